"""Checks of what a model of downscaling makes of the numbers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xgeoml.axes import find_axes
from xgeoml.exceptions import InputError, SpecError
from xgeoml.grid import cell_area
from xgeoml.model import Model
from xgeoml.spec import ModelSpec
from xgeoml.testing import finer
from xgeoml.testing.compare import CheckSkippedError, close, expect, raises, same_bits
from xgeoml.testing.finer import FACTOR, Finer
from xgeoml.testing.geometry import ROUNDING
from xgeoml.weights.files import read_card
from xgeoml.weights.store import find

_UNITS = ((0.01, -3.0), (1000.0, 0.0), (1.0, -273.15))
# Means are kept to this many standard deviations: those of float32.
_MEANS = 1e-5
# What a network makes of a field depends on how it is cut by less than this share of deviations.
_SEAMS = 0.02


def no_leak(subject: Finer) -> None:
    """Change what a model must not see: other steps, fields that came before, cells far away."""
    data = subject.several()
    first = subject.refine(data, model=subject.in_tiles)
    other = data.copy()
    step = data.sizes["time"] - 1
    other[{"time": step}] = 600.0 - other[{"time": step}]
    seen = slice(0, step - subject.around)
    made = subject.refine(other, model=subject.in_tiles)
    same_bits(made[seen], first[seen], "steps before one that was changed")
    same_bits(subject.refine(data, model=subject.in_tiles), first, "after another field")


def far_cells(subject: Finer) -> None:
    """Change a cell: nothing changes beyond the halo of the spec."""
    reach = subject.reach() + 1
    data = finer.wide()
    other = data.copy()
    other[{"lat": 0, "lon": 0}] += 100.0
    first, made = (subject.refine(d, model=subject.in_tiles) for d in (data, other))
    for dim in ("lat", "lon"):
        beyond = {dim: slice(reach * FACTOR, None)}
        same_bits(
            made[beyond], first[beyond], f"more than {reach} cells from a change, along {dim}"
        )


def seams(subject: Finer) -> None:
    """Cut a field into small tiles: what comes back is that of one tile, with no seams in it."""
    subject.reach()
    data = finer.wide(steps=1)
    whole, tiles = (subject.refine(data, model=m) for m in (subject.own, subject.in_tiles))
    if not subject.is_torch:
        close(tiles, whole, "small tiles beside a single one", ROUNDING)
        return
    off = float(np.sqrt(((tiles - whole) ** 2).mean()))
    allowed = _SEAMS * float(whole.std())
    expect(off < allowed, f"small tiles differ by {off:.3g} (rms) from one, expected {allowed:.3g}")


def unseen_truth(subject: Finer) -> None:
    """Change the target at steps that are not learnt from: the model stays as it is."""
    _needs_fit(subject)
    coarse, fine = finer.seen()
    other = fine.copy()
    late = {"time": slice(finer.N_SEEN, None)}
    other[late] = 600.0 - other[late]
    rest: dict[str, Any] = {"validation": 0} if subject.is_torch else {}
    first, second = (_arrays(subject, m) for m in (subject.own, subject.fit(coarse, other, **rest)))
    expect(first.keys() == second.keys(), f"it keeps {set(first) ^ set(second)} in one case only")
    wrong = [k for k, v in first.items() if not np.array_equal(v, second[k], equal_nan=True)]
    expect(not wrong, f"{wrong} depend on what was not learnt from, or differ from fit to fit")


def units(subject: Finer) -> None:
    """Use other units: f(a x + b) = a f(x) + b, to 1e-3 of the standard deviation."""
    if subject.is_torch and subject.handle(subject.own).spec.scaling == "training":
        raise CheckSkippedError("it is scaled by the data that it was trained on")
    coarse, fine = finer.seen()
    few = slice(0, 4)
    plain = subject.refine(coarse[few].astype(np.float64))
    for a, b in _UNITS[: 1 if subject.learns else None]:
        scaled = a * coarse.astype(np.float64) + b
        own = subject.own
        if subject.learns and not subject.is_torch:
            own = subject.fit(scaled, a * fine.astype(np.float64) + b, validation=0)
        made = subject.refine(scaled[few], model=own)
        close(made, a * plain + b, f"{a:g} x + {b:g}")


def planes(subject: Finer) -> None:
    """Find a field that is linear in latitude and longitude linear again, however they run."""
    if subject.learns and subject.is_torch:
        raise CheckSkippedError("it says what it has learnt, and here that is little")
    if not subject.learns and _repeats(subject):
        raise CheckSkippedError("it repeats the values of the cells")
    back = slice(None, None, -1)
    turns: dict[str, Callable[[xr.DataArray], xr.DataArray]] = {
        "a plane": lambda d: d,
        "latitude descending": lambda d: d.isel(lat=back),
        "longitude descending, from -180": lambda d: d.isel(lon=back).assign_coords(
            lon=d["lon"].values[::-1] - 20.0
        ),
    }
    for what, turn in turns.items():
        if not subject.learns:
            made = subject.refine(finer.plane(turn(subject.record()[:3])))
            close(made, finer.plane(made), what)
        elif what != "latitude descending":
            drawn = _planes(turn(finer.pairs()[1]))
            given = drawn.coarsen(lat=FACTOR, lon=FACTOR).mean()
            own = subject.fit(given, drawn, validation=0)
            close(subject.refine(given[:3], model=own), drawn[:3], what)


def means_kept(subject: Finer) -> None:
    """Find the mean of each cell's parts equal to its value, plain or weighted by area."""
    data = subject.record().astype(np.float64)
    allowed = _MEANS * float(data.std())
    if subject.learns:
        # As in the pairs, which hold in float32.
        _means(subject.refine(data), data, None, allowed, "as in the pairs")
    else:
        _means(subject.refine(data), data, None, allowed, "as it is")
        _means(subject.refine(data, conserve="mean"), data, None, allowed, "conserve='mean'")
    made = subject.refine(data, conserve="area")
    area = cell_area(made, find_axes(made)).transpose("lat", "lon")
    _means(made, data, area, allowed, "conserve='area'")
    same_bits(subject.refine(data, conserve=True), made, "conserve=True")


def missing(subject: Finer) -> None:
    """Find the parts of missing cells missing, and no others.

    What was fitted to a target knows which of its points have values, and may fill single cells.
    """
    data = subject.record().copy()
    random = np.random.default_rng(6)
    hidden = random.random(data.shape) < 0.1
    hidden[:, 2:5, 3:6] = True
    hidden[2] = True
    holes = data.where(~hidden)
    made = subject.refine(holes)
    lost, right = np.isnan(made.values), finer.repeated(holes.isnull())
    expect(not (lost & ~right).any(), f"{int((lost & ~right).sum())} parts of known cells are lost")
    left = right & ~lost
    if subject.learns:
        left = left[2]
    expect(not left.any(), f"{int(left.sum())} parts of missing cells have values")
    if not subject.around and not subject.draws:
        same_bits(made[2:], subject.refine(holes[2:]), "steps from an empty one on")


def near_missing(subject: Finer) -> None:
    """Hide cells: nothing changes beyond the halo of the spec."""
    reach = subject.reach() + 1
    data = finer.wide()
    holes = data.copy()
    holes[{"lat": slice(0, 2), "lon": slice(0, 3)}] = np.nan
    first, made = (subject.refine(d, model=subject.in_tiles) for d in (data, holes))
    for dim, n in (("lat", 1), ("lon", 2)):
        beyond = {dim: slice((reach + n) * FACTOR, None)}
        same_bits(made[beyond], first[beyond], f"far from missing cells, along {dim}")


def all_missing(subject: Finer) -> None:
    """Give nothing but missing values: nothing comes back, and no warning."""
    made = subject.refine(subject.record() * np.nan)
    expect(bool(made.isnull().all()), "something was made of missing values only")


def constant(subject: Finer) -> None:
    """Find a field that is the same everywhere the same, unless more was learnt."""
    data = xr.full_like(subject.record(), 4.0)
    made = subject.refine(data)
    expect(bool(np.isfinite(made).all()), "a constant field has values that are no numbers")
    if not subject.learns:
        off = float(abs(made - 4.0).max())
        expect(off < 1e-5, f"a constant field of 4 came back {off:.3g} off")


def repeatable(subject: Finer) -> None:
    """Call twice: the same bits."""
    data = subject.record()
    first, second = (subject.refine(data, seed=3) for _ in range(2))
    same_bits(second, first, "the second of two calls")


def members(subject: Finer) -> None:
    """Ask for an ensemble: members differ, and each is the same again; else an error says so."""
    data = subject.record()
    if not subject.draws:
        raises(SpecError, lambda: subject.refine(data, members=2), "members=2")
        return
    made = subject.refine(data, members=3, seed=1)
    expect(made.sizes.get("member") == 3, f"members=3: found sizes {dict(made.sizes)}")
    expect(made.dims[1:] == data.dims, f"members=3: found dims {made.dims}")
    for k in (1, 2):
        expect(not np.array_equal(made[k].values, made[0].values), f"member {k} is member 0")
    few = subject.refine(data, members=2, seed=1)
    same_bits(few, made[:2], "two members of three")
    same_bits(subject.refine(data, seed=1), made[0].drop_vars("member"), "a single answer")
    other = subject.refine(data, members=2, seed=2)
    expect(not np.array_equal(other.values, few.values), "another seed gives the same members")


def covariates(subject: Finer) -> None:
    """Find covariates used, coarse and fine ones; else an error that says so."""
    coarse, fine = finer.pairs()
    height = fine.isel(time=0, drop=True).rename("height")
    height = height.copy(data=100.0 * np.random.default_rng(7).random(height.shape))
    rain = coarse.copy(data=np.random.default_rng(8).random(coarse.shape)).rename("rain")
    record = subject.record()
    if not subject.spec.covariates:
        raises(SpecError, lambda: subject.refine(record, covariates=[height]), "covariates=")
        return
    if not subject.learns:
        _free_covariates(subject, record, height)
        return
    own = subject.fit(coarse, fine, covariates=[height, rain], validation=0)
    expect(
        sorted(own.spec.covariate_names) == ["height", "rain"],
        f"covariate_names {own.spec.covariate_names}, expected height and rain",
    )
    made = subject.refine(record, model=own, covariates=[height, rain])
    expect(bool(np.isfinite(made).all()), "with covariates some values are missing")
    swapped = subject.refine(record, model=own, covariates=[rain, height])
    same_bits(swapped, made, "covariates in another order")
    lazy = subject.refine(
        record.chunk(time=1), model=own, covariates=[height.chunk(), rain.chunk(time=3)]
    )
    same_bits(lazy.compute(), made, "lazy data and covariates")
    raises(SpecError, lambda: subject.refine(record, model=own), "covariates left out")


def spec_json(subject: Finer) -> None:
    """Send the spec through JSON: it is equal, and does the same."""
    spec = subject.handle(subject.own).spec
    again = ModelSpec.from_json(spec.to_json())
    expect(again == spec, f"from JSON: found {again}, expected {spec}")
    expect(hash(again) == hash(spec), "the hash is another after a trip through JSON")
    if subject.handle(subject.own).weights is None:
        data = subject.record()
        same_bits(subject.refine(data, model=again), subject.refine(data), "the spec from JSON")


def weights_file(subject: Finer) -> None:
    """Copy the model's file: it does the same."""
    handle = subject.handle(subject.own)
    if handle.weights is None:
        raise CheckSkippedError("it has no file of its own")
    data = subject.record()
    with tempfile.TemporaryDirectory() as folder:
        path = Model(Path(handle.weights)).save(Path(folder, "copy.safetensors"))
        expected = subject.refine(data)
        same_bits(subject.refine(data, model=path), expected, "the model from a copy")
        same_bits(subject.refine(data, model=str(path)), expected, "its path as text")


def card(subject: Finer) -> None:
    """Read in the spec what the model is; of weights, in their card, what they are."""
    expect(subject.spec.summary.strip(), "the spec has no summary")
    learns = subject.learns and subject.is_torch  # whose skill was not measured yet
    handle = subject.handle(subject.fit(*finer.seen()) if learns else subject.own)
    if handle.weights is not None:
        path = Path(handle.weights)
    elif handle.spec.weights is not None:
        path = find(handle.spec.weights)
    else:
        return
    found = read_card(path)
    expect(found is not None, f"{path.name} has no card; write_weights(..., card=)")
    assert found is not None
    problems = found.problems()
    expect(not problems, f"the card is not complete: {'; '.join(problems)}")
    expect(found.model == handle.spec.key, f"the card is that of {found.model}")


def parameters(subject: Finer) -> None:
    """Find every number in the model's file finite, or missing where nothing was learnt."""
    arrays = _arrays(subject, subject.own)
    if not arrays:
        raise CheckSkippedError("it has no weights")
    floats = {k: v for k, v in arrays.items() if v.dtype.kind == "f"}
    wrong = [k for k, v in floats.items() if np.isinf(v).any()]
    if subject.is_torch:
        wrong += [k for k, v in floats.items() if ":" not in k and not np.isfinite(v).all()]
    expect(not wrong, f"{wrong} hold values that are no finite numbers")


def _needs_fit(subject: Finer) -> None:
    if not subject.learns:
        raise CheckSkippedError("it learns from no pairs")


def _arrays(subject: Finer, model: Any) -> dict[str, np.ndarray[Any, Any]]:
    return subject.handle(model).arrays()


def _repeats(subject: Finer) -> bool:
    data = subject.record()
    made = subject.refine(data, conserve=False).values
    return bool(np.abs(made - finer.repeated(data)).max() < 1e-3)


def _planes(fine: xr.DataArray) -> xr.DataArray:
    """Return a random plane for each step, on the grid of `fine`."""
    random = np.random.default_rng(9)
    slopes = [xr.DataArray(random.standard_normal(fine.sizes["time"]), dims="time") for _ in "yx"]
    lat, lon = (fine[n] - float(fine[n].mean()) for n in ("lat", "lon"))
    made = 280.0 + slopes[0] * lat + slopes[1] * lon
    return fine.copy(data=made.transpose(*fine.dims).values.astype(np.float64))


def _means(made: xr.DataArray, data: xr.DataArray, area: Any, allowed: float, what: str) -> None:
    off = float(np.abs(finer.blocks(made, area) - data.values).max())
    expect(off <= allowed, f"{what}: means differ by up to {off:.3g}, expected {allowed:.3g}")


def _free_covariates(subject: Finer, record: xr.DataArray, height: xr.DataArray) -> None:
    """Give a covariate to a model that takes any."""
    plain, made = subject.refine(record), subject.refine(record, covariates=[height])
    expect(bool(np.isfinite(made).all()), "with a covariate some values are missing")
    expect(not made.equals(plain), "a covariate changes nothing")
    scaled = subject.refine(record, covariates=[1000.0 * height + 5.0])
    close(scaled, made, "a covariate in other units")
    lazy = subject.refine(record.chunk(time=1), covariates=[height.chunk()])
    same_bits(lazy.compute(), made, "lazy data and covariate")
    far = height.assign_coords(lat=height["lat"] - 90.0)
    raises(InputError, lambda: subject.refine(record, covariates=[far]), "a covariate elsewhere")
