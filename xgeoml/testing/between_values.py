"""Checks of what a model of interpolation in time makes of the numbers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xgeoml.exceptions import InputError
from xgeoml.model import Model
from xgeoml.spec import ModelSpec
from xgeoml.testing import between
from xgeoml.testing.between import FACTOR, STEP, WINDOW, Between
from xgeoml.testing.compare import CheckSkippedError, close, expect, raises, same_bits
from xgeoml.weights.files import read_card
from xgeoml.weights.store import find

_UNITS = ((0.01, -3.0), (1000.0, 0.0), (1.0, -273.15))
# A field hardly moves within a minute: share of its deviation.
_CONTINUOUS = 0.05
# What comes back of a record that does not change, in its own units.
_STILL = 1e-3
# Totals are kept to this share of the largest: those of float64, and of float32.
_TOTALS = {np.float64: 1e-12, np.float32: 1e-5}
# A mirrored field has the mirrored result, in deviations.
_MIRROR = 1e-3


def no_leak(subject: Between) -> None:
    """Change what a model must not see: steps far away, what came before, other cells."""
    data = between.record()
    with between.small_passes():
        first = subject.interp(data, model=subject.in_passes)
        other = data.copy()
        last = data.sizes["time"] - 1
        other[{"time": last}] = 600.0 - other[{"time": last}]
        made = subject.interp(other, model=subject.in_passes)
        # Passes that do not see the last step.
        passes = max(0, (last - subject.halo - 1) // WINDOW)
        if passes == 0:
            raise CheckSkippedError("it sees more steps than the record of the check has")
        seen = {"time": slice(0, passes * WINDOW * FACTOR)}
        same_bits(made[seen], first[seen], "times that do not see a step that was changed")
        again = subject.interp(data, model=subject.in_passes)
        same_bits(again, first, "after another record")
        if not subject.whole:
            other = data.copy()
            other[{"lat": 1, "lon": 2}] *= -1.0
            made = subject.interp(other, model=subject.in_passes)
            made[{"lat": 1, "lon": 2}] = first[{"lat": 1, "lon": 2}]
            same_bits(made, first, "beside a cell that was changed")


def ends(subject: Between) -> None:
    """Find given steps bit for bit, and hardly anything else a minute after them."""
    data = between.record().copy()
    data[{"time": 3, "lat": 1, "lon": 1}] = np.nan
    data[{"time": 5, "lat": 0, "lon": 0}] = np.inf
    data[{"time": 7, "lat": 0, "lon": 0}] = -0.0
    made = subject.interp(data)
    same_bits(made[{"time": slice(None, None, FACTOR)}], data, "the given steps")
    expect(bool(made.time[::FACTOR].equals(data.time)), "the stamps of given steps were changed")
    signs = np.signbit(made[{"time": slice(None, None, FACTOR)}].values)
    expect(np.array_equal(signs, np.signbit(data.values)), "the sign of a zero was changed")
    smooth = between.record()
    minute = np.timedelta64(1, "m")
    for what, times, step in (
        ("after", smooth.time.values[:-1] + minute, smooth[:-1]),
        ("before", smooth.time.values[1:] - minute, smooth[1:]),
    ):
        near = subject.interp(smooth, times=times)
        off = float(np.sqrt(((near.values - step.values) ** 2).mean()))
        allowed = _CONTINUOUS * float(smooth.std())
        expect(off < allowed, f"a minute {what} a step the field is {off:.3g} away from it")


def units(subject: Between) -> None:
    """Use other units: f(a x + b) = a f(x) + b, to 1e-3 of the standard deviation."""
    if subject.is_torch and subject.handle(subject.own).spec.scaling == "training":
        raise CheckSkippedError("it is scaled by the data that it was trained on")
    data = between.record().astype(np.float64)
    plain = subject.interp(data)
    for a, b in _UNITS[: 1 if subject.bound else None]:
        own = subject.own
        if subject.bound:
            own = subject.fit(a * between.fine().astype(np.float64) + b)
        close(subject.interp(a * data + b, model=own), a * plain + b, f"{a:g} x + {b:g}")


def somewhere_between(subject: Between) -> None:
    """Find values that are there, and not far beyond those before and after."""
    data = between.record()
    made = subject.interp(data)
    expect(bool(np.isfinite(made).all()), "some values between steps are missing")
    off = float(abs(made - subject.interp(data, model="linear")).max())
    reach = 3.0 * float(abs(data.diff("time")).max())
    expect(off < reach, f"values are up to {off:.3g} from a straight line, expected < {reach:.3g}")


def missing_cells(subject: Between) -> None:
    """Hide single values: they are bridged, but not before the first and after the last."""
    data = between.record().copy()
    here = {"lat": 2, "lon": 3}
    late = data.sizes["time"] - 4
    single = {"time": [10], **here}
    data[single] = np.nan
    data[{"time": slice(0, 3), "lat": 1, "lon": 1}] = np.nan
    data[{"time": slice(late, None), "lat": 1, "lon": 1}] = np.nan
    made = subject.interp(data)
    lost = made.isnull()
    if subject.halo:
        gap = lost[here][{"time": slice(9 * FACTOR, 11 * FACTOR + 1)}]
        expect(int(gap.sum()) == 1, f"{int(gap.sum())} times are missing around a missing value")
    right = np.zeros(made.shape, bool)
    right[: 3 * FACTOR, 1, 1] = right[(late - 1) * FACTOR + 1 :, 1, 1] = True
    right[10 * FACTOR, 2, 3] = True
    if subject.halo:
        wrong = int((lost.values != right).sum())
        expect(not wrong, f"{wrong} values are missing, or are not, where they should not be")
    else:
        expect(bool(lost.values[right].all()), "there are values where nothing is known")


def missing_fields(subject: Between) -> None:
    """Hide whole fields: as many as the model sees around are bridged, and no more."""
    for n in (1, subject.halo, subject.halo + 1):
        first, last = 6, between.N_STEPS - 6
        if n < 1 or first + n > last:
            continue
        data = between.record().copy()
        data[{"time": slice(first, first + n)}] = np.nan
        made = subject.interp(data)
        inside = made[{"time": slice((first - 1) * FACTOR + 1, (first + n) * FACTOR)}]
        steps = np.arange((first - 1) * FACTOR + 1, (first + n) * FACTOR) % FACTOR == 0
        expect(bool(inside[steps].isnull().all()), "a missing step has values")
        found, right = bool(np.isfinite(inside[~steps]).all()), n <= subject.halo
        expect(
            found == right,
            f"{n} missing fields are {'' if found else 'not '}bridged by a model with halo "
            f"{subject.halo}",
        )


def all_missing(subject: Between) -> None:
    """Give nothing but missing values: nothing comes back, and no warning."""
    made = subject.interp(between.record() * np.nan)
    expect(bool(made.isnull().all()), "something was made of missing values only")


def infinities(subject: Between) -> None:
    """Find an infinite value treated as a missing one."""
    data = between.record()
    at = {"time": 8, "lat": 2, "lon": 2}
    without, infinite = data.copy(), data.copy()
    without[at], infinite[at] = np.nan, np.inf
    made = subject.interp(infinite)
    expect(bool(np.isposinf(made[{**at, "time": 8 * FACTOR}])), "a given infinite value is lost")
    made[{**at, "time": 8 * FACTOR}] = np.nan
    same_bits(made, subject.interp(without), "beside an infinite value")


def constant(subject: Between) -> None:
    """Find a record that never changes unchanged, unless more was learnt; a still cell too."""
    data = between.record()
    still = xr.full_like(data, 4.0)
    made = subject.interp(still)
    expect(
        bool(np.isfinite(made).all()), "a record that never changes has values that are no numbers"
    )
    if not subject.bound and not subject.learns:
        off = float(abs(made - 4.0).max())
        expect(off < _STILL, f"a record of 4 throughout came back {off:.3g} off")
    other = data.copy()
    other[{"lat": 0, "lon": 0}] = 280.0
    expect(bool(np.isfinite(subject.interp(other)).all()), "beside a still cell values are missing")


def totals(subject: Between) -> None:
    """Divide totals: the parts add up, none is negative, and lazy data have the same bits."""
    for dtype, allowed in _TOTALS.items():
        data = between.rain(dtype)
        if subject.bound:
            data = data + data.dtype.type(1.0)
        with between.small_passes():
            made = subject.interp(data, model=subject.in_passes, accumulated=True)
            expect(made.dtype == dtype, f"totals of {dtype.__name__} came back as {made.dtype}")
            sums = made.values.reshape(-1, FACTOR, *made.shape[1:]).sum(1)
            off = float(np.abs(sums - data.values).max() / np.abs(data.values).max())
            expect(off <= allowed, f"parts differ from their total by {off:.3g} of the largest")
            expect(float(made.min()) >= 0.0, f"a part is {float(made.min()):.3g}, below zero")
            lazy = subject.interp(
                data.chunk(time=5, lat=2), model=subject.in_passes, accumulated=True
            )
            same_bits(lazy.compute(scheduler="threads"), made, "lazy totals")
    holes = between.rain().copy()
    holes[{"time": 6}] = holes[{"time": 9, "lat": 1}] = np.nan
    lost = subject.interp(holes, accumulated=True).isnull().values
    right = np.repeat(holes.isnull().values, FACTOR, axis=0)
    expect(np.array_equal(lost, right), "other parts are missing than those of missing totals")


def vectors_flip(subject: Between) -> None:
    """Mirror a wind from west to east, from south to north: so is the result."""
    both = _bare(between.wind())
    own = subject.own
    if subject.bound:
        own = subject.fit(_bare(between.wind(steps=120, hours=2)))
    plain = subject.interp(both, model=own)
    for dim, across in (("x", "u"), ("y", "v")):
        if subject.bound:
            own = subject.fit(_mirrored(_bare(between.wind(steps=120, hours=2)), dim, across))
        made = _mirrored(subject.interp(_mirrored(both, dim, across), model=own), dim, across)
        for name in ("u", "v"):
            close(made[name], plain[name], f"{name!r} of a wind mirrored along {dim}", _MIRROR)


def _bare(dataset: xr.Dataset) -> xr.Dataset:
    """Return a Dataset without latitude and longitude: the sun is no mirror image."""
    return dataset.drop_vars(["lat", "lon"]).rename(lat="y", lon="x")


def _mirrored(dataset: xr.Dataset, dim: str, across: str) -> xr.Dataset:
    made = dataset.isel({dim: slice(None, None, -1)})
    return made.assign({across: -made[across]})


def gaps(subject: Between) -> None:
    """Name the longest gap to bridge: longer ones stay."""
    data = between.record().copy()
    data[{"time": [8]}] = np.nan
    short, none = (subject.interp(data, max_gap=g) for g in (f"{2 * STEP}h", f"{2 * STEP - 1}h"))
    gap = {"time": slice(7 * FACTOR + 1, 9 * FACTOR)}
    if subject.halo:
        same_bits(short, subject.interp(data), "max_gap= that is no limit")
    expect(bool(none[gap].isnull().all()), "a gap longer than max_gap= is bridged")
    expect(bool(np.isfinite(none[:, 0, 0][: 7 * FACTOR]).all()), "max_gap= takes more than gaps")


def repeatable(subject: Between) -> None:
    """Call twice: the same bits."""
    data = between.record()
    first, second = (subject.interp(data, seed=3) for _ in range(2))
    same_bits(second, first, "the second of two calls")


def spec_json(subject: Between) -> None:
    """Send the spec through JSON: it is equal, and does the same."""
    spec = subject.handle(subject.own).spec
    again = ModelSpec.from_json(spec.to_json())
    expect(again == spec, f"from JSON: found {again}, expected {spec}")
    expect(hash(again) == hash(spec), "the hash is another after a trip through JSON")
    if subject.handle(subject.own).weights is None:
        data = between.record()
        same_bits(subject.interp(data, model=again), subject.interp(data), "the spec from JSON")


def weights_file(subject: Between) -> None:
    """Copy the model's file: it does the same."""
    handle = subject.handle(subject.own)
    if handle.weights is None:
        raise CheckSkippedError("it has no file of its own")
    data = between.record()
    with tempfile.TemporaryDirectory() as folder:
        path = Model(Path(handle.weights)).save(Path(folder, "copy.safetensors"))
        expected = subject.interp(data)
        same_bits(subject.interp(data, model=path), expected, "the model from a copy")
        same_bits(subject.interp(data, model=str(path)), expected, "its path as text")


def card(subject: Between) -> None:
    """Read in the spec what the model is; of weights, in their card, what they are."""
    expect(subject.spec.summary.strip(), "the spec has no summary")
    learns = subject.learns and subject.is_torch  # whose skill was not measured yet
    handle = subject.handle(subject.fit(between.fine(), validation=0.3) if learns else subject.own)
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


def parameters(subject: Between) -> None:
    """Find every number in the model's file finite, or missing where nothing was learnt."""
    arrays = subject.handle(subject.own).arrays()
    if not arrays:
        raise CheckSkippedError("it has no weights")
    floats: dict[str, Any] = {k: v for k, v in arrays.items() if v.dtype.kind == "f"}
    wrong = [k for k, v in floats.items() if np.isinf(v).any()]
    if subject.is_torch:
        wrong += [k for k, v in floats.items() if ":" not in k and not np.isfinite(v).all()]
    expect(not wrong, f"{wrong} hold values that are no finite numbers")


def learns_again(subject: Between) -> None:
    """Fit it twice to the same record: it learns the same."""
    if not subject.learns:
        raise CheckSkippedError("it learns from no record")
    first = subject.handle(subject.own).arrays()
    second = subject.handle(subject.fit(between.fine())).arrays()
    expect(first.keys() == second.keys(), f"it keeps {set(first) ^ set(second)} in one case only")
    wrong = [k for k, v in first.items() if not np.array_equal(v, second[k], equal_nan=True)]
    expect(not wrong, f"{wrong} differ from fit to fit")


def far_values(subject: Between) -> None:
    """Add a large offset: what varies is not lost in its rounding."""
    if subject.bound or subject.learns:
        raise CheckSkippedError("it was fitted to other values")
    data = between.record().astype(np.float64)
    made = subject.interp(data + 1e6) - 1e6
    close(made, subject.interp(data), "an offset of a million", 1e-3)


def other_grid(subject: Between) -> None:
    """Give a model of one grid another one: an error that names it."""
    if not subject.bound:
        raise CheckSkippedError("it serves any grid")
    data = between.record()
    for what, given in (
        ("a grid beside it", data.assign_coords(lat=data["lat"] + 1.0)),
        ("a smaller grid", data.isel(lon=slice(0, 4))),
    ):
        text = raises(InputError, lambda given=given: subject.interp(given), what)  # type: ignore[misc]
        expect("was fitted on a grid" in text, f"{what}: the message does not say so: {text}")
