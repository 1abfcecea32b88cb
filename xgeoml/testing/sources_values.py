"""Checks of what a model of waveform inversion makes of the numbers."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

from xgeoml.exceptions import InputError
from xgeoml.model import Model
from xgeoml.models.series import Floats
from xgeoml.spec import ModelSpec
from xgeoml.testing import sources
from xgeoml.testing.compare import CheckSkippedError, close, expect, near, raises, same_bits
from xgeoml.testing.sources import LENGTH, SAMPLES, STEP, Inverter
from xgeoml.weights.files import read_card
from xgeoml.weights.store import find

_UNITS = (1e-9, 1e9)
# In deviations: what rounding in float32 may change in a network, and in float64 in other models.
ROUNDING = 1e-4
_EXACT = 1e-6
# What may be left of records without noise, and how much more than a network's first base leaves.
_LEFT, _MORE = 0.25, 2.0
# Samples of the record and of the source.
_LENGTHS = ((128, 128), (255, 33), (1021, 101), (16, 16), (3, 2))


def no_leak(subject: Inverter) -> None:
    """Change what a model must not see: the source itself, other events, what came before."""
    data = sources.quakes()
    first = subject.invert(data, greens="greens", variables="record")["record"]
    beside = data.assign(source=3.0 - data.source.roll(lag=5))
    made = subject.invert(beside, greens="greens", variables="record")["record"]
    same_bits(made, first, "other sources beside the records")
    other = data.copy(deep=True)
    other["record"][1] = 5.0 * other["record"].values[1, :, ::-1]
    other["greens"][1] = np.roll(other["greens"].values[1], 7, axis=-1)
    made = subject.invert(other.record, greens=other.greens)
    same_bits(made[0], first[0], "an event beside another one that was changed")
    same_bits(subject.invert(data.record), first, "after other records")


def units(subject: Inverter) -> None:
    """Use other units: f(a d, g) = a f(d, g), and f(d, a g) = f(d, g) / a; each event its own."""
    data = sources.quakes(dtype=np.float64)
    spread = subject.is_torch and subject.spec.gives_spread
    plain = subject.invert(data, greens="greens", variables="record", spread=spread)
    a = xr.DataArray(list(_UNITS), dims="event")
    for what, factor, changed in (
        ("records", a, data.assign(record=a * data.record)),
        ("Green's functions", 1.0 / a, data.assign(greens=a * data.greens)),
    ):
        told = f"{what} {_UNITS[0]:g} and {_UNITS[1]:g} times as large"
        changed = changed.transpose(*data.record.dims, ...)
        made = subject.invert(changed, greens="greens", variables="record", spread=spread)
        for name in ("record", "record_moment", *["record_spread"] * spread):
            found = (made[name] / factor).transpose(*plain[name].dims)
            close(found, plain[name], f"{name!r} of {told}", ROUNDING)
        near(made["record_misfit"], plain["record_misfit"], f"misfits of {told}", 10 * ROUNDING)


def signs(subject: Inverter) -> None:
    """Find sources positive unless they need not be; a record turned over has one turned over."""
    data = sources.quakes(dtype=np.float64)
    for what, record in (("records", data.record), ("records turned over", -data.record)):
        made = subject.invert(record, greens=data.greens)
        least = float(made.min())
        expect(least >= 0.0, f"{what}: the source goes down to {least:.3g}, below zero")
    plain, turned = (
        subject.invert(sign * data.record, greens=data.greens, positive=False) for sign in (1, -1)
    )
    for made in (plain, turned):
        expect(bool(np.isfinite(made).all()), "positive=False: the source is not finite")
    if not subject.is_torch:
        close(turned, -plain, "positive=False, records turned over", _EXACT)


def forward(subject: Inverter) -> None:
    """Convolve sources with the Green's functions: the records without noise, if it has learnt.

    Moment and misfit are those of the source.
    """
    data = sources.quakes(noise=0.0, dtype=np.float64)
    made = subject.invert(data, greens="greens", variables="record")
    left = _misfit(data, made["record"].values)
    off = float(np.abs(made["record_each_misfit"].values - left).max())
    expect(off < _EXACT, f"the misfit of a record is {off:.3g} from that of the source")
    whole = np.sqrt((left**2).mean(-1))
    off = float(np.abs(made["record_misfit"].values - whole).max())
    expect(off < _EXACT, f"the misfit of an event is {off:.3g} from that of its source")
    near(made["record_moment"], made["record"].sum("time"), "the moment", _EXACT)
    expect(bool(np.isfinite(left).all()), "the source is not finite")
    if subject.learns or subject.knows_paths:
        return
    allowed = _LEFT
    if subject.spec.bases:
        base = subject.invert(data.record, greens=data.greens, model=subject.spec.bases[0])
        allowed = max(allowed, _MORE * float(base["record_misfit"].max()))
    most = float(whole.max())
    expect(
        most < allowed, f"{most:.1%} of records without noise are left, expected < {allowed:.0%}"
    )


def lengths(subject: Inverter) -> None:
    """Change the lengths of records and sources, odd ones and very short ones too."""
    for samples, length in _LENGTHS:
        data = sources.quakes(2, samples=max(samples, 64)).isel(time=slice(-samples, None))
        # Of short records the end, since they begin with silence.
        what = f"records of {samples} samples, sources of {length}"
        made = subject.invert(data.record, greens=data.greens, length=length)
        expect(made.sizes["time"] == length, f"{what}: {made.sizes['time']} came back")
        expect(bool(np.isfinite(made).all()), f"{what}: some values are not finite")
    short = subject.invert(sources.quakes().record, length=f"{LENGTH * STEP}s")
    same_bits(short, subject.usual, "length= in seconds")
    whole = subject.invert(sources.quakes().record, length=None)
    expect(whole.sizes["time"] == SAMPLES, f"no length: {whole.sizes['time']} samples came back")


def longer_greens(subject: Inverter) -> None:
    """Give Green's functions that are longer than the records: the rest changes no bit."""
    data = sources.quakes()
    more = data.greens.assign_coords(time=data.time + SAMPLES * STEP)
    longer = xr.concat([data.greens, 7.0 * more], "time")
    made = subject.invert(data.record, greens=longer)
    same_bits(made, subject.usual, "longer Green's functions")


def spread(subject: Inverter) -> None:
    """Find the spread a finite number that is not negative; else an error that says so."""
    data = sources.quakes().record.copy()
    data[0] = np.nan
    if not (subject.is_torch and subject.spec.gives_spread):
        text = raises(InputError, lambda: subject.invert(data, spread=True), "spread=True")
        expect("spread=True" in text, f"the message does not name spread=True: {text}")
        return
    made = subject.invert(data, spread=True)
    sigma = made["record_spread"]
    same_bits(made.drop_vars("record_spread"), subject.invert(data), "sources with spread=True")
    expect((sigma.dims, sigma.dtype) == (made.dims, made.dtype), f"the spread is {sigma.dtype}")
    expect(bool(sigma[0].isnull().all()), "there is a spread of an event without records")
    expect(bool(np.isfinite(sigma[1]).all()), "some of the spread is not finite")
    expect(bool((sigma[1] >= 0).all()), "some of the spread is negative")


def free_amplitudes(subject: Inverter) -> None:
    """Free the amplitudes: the factors make up for what Green's functions were multiplied by."""
    data = sources.quakes(dtype=np.float64)
    factor = xr.DataArray([0.1, 1.0, 40.0], dims="station")
    changed = data.assign(greens=(factor * data.greens).transpose(*data.greens.dims))
    given: dict[str, object] = {"greens": "greens", "variables": "record", "amplitudes": "free"}
    plain, made = (subject.invert(d, **given) for d in (data, changed))
    for one in (plain, made):
        off = float(np.abs(np.log(one["record_factor"].values).mean(-1)).max())
        expect(off < _EXACT, f"the geometric mean of the factors is exp({off:.3g}), expected 1")
    middle = float(np.exp(np.log(factor).mean()))
    expected = plain["record_factor"] * middle / factor
    near(made["record_factor"], expected, "factors", ROUNDING)
    close(made["record"] * middle, plain["record"], "sources with free amplitudes", ROUNDING)


def impulse(subject: Inverter) -> None:
    """Give Green's functions of a unit of area: sources are per second, moments the same."""
    plain, made = subject.usual, subject.invert(sources.quakes().record, impulse="second")
    close(STEP * made, plain, "the source per second", ROUNDING)
    near(made["record_moment"], plain["record_moment"], "the moment", ROUNDING)


def repeatable(subject: Inverter) -> None:
    """Call twice: the same bits."""
    same_bits(subject.invert(sources.quakes().record), subject.usual, "the second of two calls")


def spec_json(subject: Inverter) -> None:
    """Send the spec through JSON: it is equal, and does the same."""
    spec = subject.handle(subject.own).spec
    again = ModelSpec.from_json(spec.to_json())
    expect(again == spec, f"from JSON: found {again}, expected {spec}")
    expect(hash(again) == hash(spec), "the hash is another after a trip through JSON")
    if subject.handle(subject.own).weights is None:
        data = sources.quakes().record
        same_bits(subject.invert(data, model=again), subject.usual, "the spec from JSON")


def weights_file(subject: Inverter) -> None:
    """Copy the model's file: it does the same."""
    handle = subject.handle(subject.own)
    if handle.weights is None:
        raise CheckSkippedError("it has no file of its own")
    data = sources.quakes().record
    expected = subject.usual
    with tempfile.TemporaryDirectory() as folder:
        path = Model(Path(handle.weights)).save(Path(folder, "copy.safetensors"))
        same_bits(subject.invert(data, model=path), expected, "the model from a copy")
        same_bits(subject.invert(data, model=str(path)), expected, "its path as text")


def card(subject: Inverter) -> None:
    """Read in the spec what the model is; of weights, in their card, what they are."""
    expect(subject.spec.summary.strip(), "the spec has no summary")
    handle = subject.handle(subject.model)
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


def _misfit(data: xr.Dataset, source: Floats) -> Floats:
    """Return what sources leave of records, (event, station), as a share."""
    record, greens = data.record.values, data.greens.values
    left = np.empty(record.shape[:2])
    for at in np.ndindex(left.shape):
        made = np.convolve(greens[at], source[at[0]])[: record.shape[-1]]
        left[at] = np.sqrt(((record[at] - made) ** 2).mean() / (record[at] ** 2).mean())
    return left
