"""Checks of grids and calendars, and of what lies at their edges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from xgeoml.exceptions import GeoMLError, InputError, SpecError, TimeAxisError
from xgeoml.provenance import FILLED
from xgeoml.testing import records
from xgeoml.testing.compare import (
    FLAG,
    CheckSkippedError,
    Subject,
    close,
    expect,
    raises,
    same_bits,
)

# A model may sum over cells in the order in which it finds them.
ROUNDING = 1e-4
# What a model learns from pieces of a domain depends on how it is cut.
PIECES = 0.1


def latitude_order(subject: Subject) -> None:
    """Turn north and south: the same values."""
    if subject.needs("Y", "X") and not subject.spec.tiled:
        raise CheckSkippedError("a network of fields need not be symmetric")
    data = records.record()
    turned = subject.fill(data.isel(lat=slice(None, None, -1)))
    expect(bool((np.diff(turned["lat"]) < 0).all()), "a descending latitude came back ascending")
    expected = subject.fill(data)
    close(turned.isel(lat=slice(None, None, -1)), expected, "latitude descending", ROUNDING)


def longitude_convention(subject: Subject) -> None:
    """Use longitudes below zero: the same values, longitudes kept as they are."""
    data = records.record()
    west = data.assign_coords(lon=data["lon"].values - 360.0)
    full = subject.fill(west)
    expect(full["lon"].equals(west["lon"]), "longitudes were changed")
    close(
        full.drop_vars("lon"),
        subject.fill(data).drop_vars("lon"),
        "longitudes below zero",
        ROUNDING,
    )


def global_roll(subject: Subject) -> None:
    """Roll a field that goes once around the Earth: what comes back is rolled as well."""
    data = records.around()
    turn = subject.spec.axis("X").window or 5
    rolled = subject.fill(data.roll(lon=turn))
    expected = subject.fill(data).roll(lon=turn)
    far = PIECES if subject.spec.tiled else ROUNDING
    close(rolled, expected.drop_vars("lon"), f"a global field rolled by {turn} cells", far)


def curvilinear(subject: Subject) -> None:
    """Fill a grid with two-dimensional latitude and longitude like any other."""
    data = records.curvilinear()
    full = subject.fill(data)
    for name in ("lat", "lon"):
        expect(
            full[name].identical(data[name].reset_coords(drop=True))
            or full[name].variable.identical(data[name].variable),
            f"{name} was changed",
        )
    _filled_steps(subject, full, "on a curvilinear grid")


def stations(subject: Subject) -> None:
    """Fill a list of stations, basins or regions like a grid."""
    data = records.stations()
    if subject.needs("Y", "X"):
        raises(SpecError, lambda: subject.fill(data), "stations, to a model of fields")
        return
    full = subject.fill(data)
    expect(full.dims == data.dims, f"dims {full.dims}, expected {data.dims}")
    _filled_steps(subject, full, "of stations")
    alone = subject.fill(data.isel({records.STATION: 3}))
    expect(alone.dims == ("time",), f"a single series came back with dims {alone.dims}")
    _filled_steps(subject, alone, "of a single series")


def calendars(subject: Subject) -> None:
    """Fill absent months in the calendars of climate models."""
    try:
        import cftime
    except ImportError:
        raise CheckSkippedError("cftime is not installed") from None
    data = records.record()
    expected = subject.fill(data)
    for calendar in ("noleap", "360_day"):
        other = data.convert_calendar(calendar, align_on="date", use_cftime=True)
        full = subject.fill(other)
        first = full["time"].values[0]
        expect(
            isinstance(first, cftime.datetime) and first.calendar == calendar,
            f"dates of the calendar {calendar} came back as {first!r}",
        )
        expect(full.sizes["time"] == records.N_TIME, f"{calendar}: absent months were not added")
        # Steps lie elsewhere within the year by a day or two.
        off = float(np.sqrt(np.nanmean((full.values - expected.values) ** 2)))
        allowed = 0.1 * float(expected.std())
        expect(off < allowed, f"{calendar}: {off:.3g} (rms) from the same months in other dates")


def time_errors(subject: Subject) -> None:
    """Give time out of order, or a stamp twice: an error that tells the cure."""
    data = records.record()
    unsorted = data.isel(time=[1, 0, *range(2, 57)])
    text = raises(TimeAxisError, lambda: subject.fill(unsorted), "time out of order")
    expect("sortby" in text, f"the message tells no cure: {text}")
    twice = data.isel(time=[0, 0, *range(1, 57)])
    text = raises(TimeAxisError, lambda: subject.fill(twice), "a stamp twice")
    expect("drop_duplicates" in text, f"the message tells no cure: {text}")


def one_step(subject: Subject) -> None:
    """Give one time step: it comes back, or the model says that it needs more."""
    data = records.record().isel(time=slice(0, 1))

    def fill() -> xr.DataArray:
        return subject.fill(data)

    if subject.spec.axis("T").minimum > 1:
        raises(SpecError, fill, "one time step")
        return
    full = _no_surprise(fill, "one time step")
    same_bits(full.where(data.notnull()), data, "observed values of the only step")


def few_steps(subject: Subject) -> None:
    """Give 2, 3 and 13 steps: they come back, or the model says that it needs more."""
    for n in (2, 3, 13):
        data = records.record().isel(time=slice(0, n))
        if n < subject.spec.axis("T").minimum:
            raises(SpecError, lambda data=data: subject.fill(data), f"{n} steps")  # type: ignore[misc]
            continue
        full = _no_surprise(lambda data=data: subject.fill(data), f"{n} steps")  # type: ignore[misc]
        there = full.isel(time=full.indexes["time"].get_indexer(data.indexes["time"]))
        same_bits(there.where(data.notnull()), data, f"observed values of {n} steps")
        values = full.values[np.isfinite(full.values)]
        expect(np.abs(values).max() < 1e3 * np.abs(data).max(), f"{n} steps: wild values")


def zero_size(subject: Subject) -> None:
    """Give no cell, no step, no value: an error in words."""
    data = records.record()
    for empty in (data.isel(lat=slice(0, 0)), data.isel(time=slice(0, 0)), data * np.nan):
        raises(GeoMLError, lambda empty=empty: subject.fill(empty), f"sizes {dict(empty.sizes)}")  # type: ignore[misc]


def constant_cell(subject: Subject) -> None:
    """Find a cell that never changes filled with what it always is."""
    if subject.spec.scaling == "training":
        raise CheckSkippedError("it is scaled by the data that it was trained on")
    data = records.record()
    at = {"lat": 3, "lon": 3}
    data[at] = data[at].where(data[at].isnull(), 4.0)
    full = subject.fill(data).isel(at)
    expect(not bool(np.isinf(full).any()), "a constant cell has infinite values")
    if subject.whole:
        expect(bool(np.isfinite(full).all()), "gaps of a constant cell are not filled")
        off = float(abs(full - 4.0).max())
        expect(off < 1e-3 * float(data.std()), f"a constant cell was filled {off:.3g} off")


def integers(subject: Subject) -> None:
    """Fill absent steps of integers, as floats."""
    data = (100 * records.record(gaps=False)).round().astype(np.int32)
    kept = data.isel(time=np.setdiff1d(np.arange(records.N_TIME), records.ABSENT_STEPS))
    full = subject.fill(kept)
    expect(full.dtype == np.float64, f"integers came back as {full.dtype}, expected float64")
    there = full.isel(time=full.indexes["time"].get_indexer(kept.indexes["time"]))
    expect(bool((there.values == kept.values).all()), "observed integers were changed")
    if subject.whole:
        expect(bool(np.isfinite(full).all()), "absent steps of integers were not filled")


def infinities(subject: Subject) -> None:
    """Find infinite values kept; they may teach nothing."""
    data = records.record()
    at = {"time": 5, "lat": 4, "lon": 4}
    without, infinite = data.copy(), data.copy()
    without[at], infinite[at] = np.nan, np.inf
    full = subject.fill(infinite)
    expect(np.isposinf(full.isel(at).item()), f"inf came back as {full.isel(at).item()}")
    expected = subject.fill(without)
    expected[at] = np.nan
    close(full.where(np.isfinite(full)), expected, "values beside one that is infinite", ROUNDING)


def input_kept(subject: Subject) -> None:
    """Find the object given as it was."""
    data = records.record()
    before = data.copy(deep=True)
    encoding = dict(data.encoding)
    subject.fill(data, spread=subject.spec.gives_spread, max_gap=2)
    expect(data.identical(before), "the input was changed")
    expect(data.encoding == encoding, "the encoding of the input was changed")


def _filled_steps(subject: Subject, full: xr.DataArray, what: str) -> None:
    expect(full.sizes["time"] == records.N_TIME, f"absent months {what} were not added")
    if subject.whole:
        some = full.notnull().any("time")
        expect(bool(some.any()), f"nothing {what} has a value")
        steps = [*records.MISSING_STEPS, *records.ABSENT_STEPS]
        left = (full[FLAG].isel(time=steps) != FILLED) & some
        expect(not bool(left.any()), f"{int(left.sum())} cells {what} were not filled")


def _no_surprise(call: Callable[[], xr.DataArray], what: str) -> xr.DataArray:
    try:
        return call()
    except InputError:
        raise
    except GeoMLError as error:
        raise CheckSkippedError(f"{what}: {error}") from error
