"""Checks of the grids, calendars and times of a model of interpolation in time, and their edges."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from xgeoml.exceptions import GeoMLError, TimeAxisError
from xgeoml.testing import between
from xgeoml.testing.between import FACTOR, STEP, Between
from xgeoml.testing.compare import CheckSkippedError, close, expect, raises, same_bits
from xgeoml.testing.geometry import ROUNDING


def latitude_order(subject: Between) -> None:
    """Turn north and south, east and west: the same bits, in the order of the data."""
    data = between.record()
    expected = subject.interp(data)
    for dim in ("lat", "lon"):
        back = {dim: slice(None, None, -1)}
        made = subject.interp(data.isel(back))
        expect(bool((np.diff(made[dim]) < 0).all()), f"a descending {dim} came back ascending")
        same_bits(made.isel(back), expected, f"{dim} descending")


def longitude_convention(subject: Between) -> None:
    """Use longitudes below zero: the same values, longitudes kept as they are."""
    data = between.record()
    west = data.assign_coords(lon=data["lon"] - 360.0)
    made = subject.interp(west)
    close(made, subject.interp(data), "longitudes below zero", ROUNDING)
    expect(made["lon"].equals(west["lon"]), "longitudes were changed")


def global_roll(subject: Between) -> None:
    """Roll a field that goes once around the Earth: what comes back is rolled as well."""
    if subject.bound:
        raise CheckSkippedError("it is bound to its grid")
    data = between.around()
    first = subject.interp(data)
    turned = subject.interp(data.roll(lon=5, roll_coords=True))
    close(turned, first.roll(lon=5, roll_coords=True), "a jump at Greenwich", ROUNDING)


def curvilinear(subject: Between) -> None:
    """Use a grid with two-dimensional latitude and longitude, and one without any."""
    data = _turned(between.record())
    own = subject.own
    if subject.bound:
        own = subject.fit(_turned(between.fine()))
    made = subject.interp(data, model=own)
    expect(made.dims == data.dims, f"dims {made.dims}, expected {data.dims}")
    flat = subject.interp(between.record())
    expect(bool(np.isfinite(made).all()), "on a curvilinear grid some values are missing")
    # One that knows the sun sees it elsewhere.
    close(made, flat, "a curvilinear grid", 0.3 if subject.is_torch else ROUNDING)
    bare = data.drop_vars(["lat", "lon"])
    if subject.bound:
        own = subject.fit(_turned(between.fine()).drop_vars(["lat", "lon"]))
    made = subject.interp(bare, model=own)
    expect(bool(np.isfinite(made).all()), "on a grid without coordinates values are missing")


def stations(subject: Between) -> None:
    """Give a list of stations, and a single series: what comes back has the same dims."""
    data = between.record()
    flat = data.stack(station=("lat", "lon")).drop_vars(["station", "lat", "lon"])
    learnt = between.fine().stack(station=("lat", "lon")).drop_vars(["station", "lat", "lon"])
    own = subject.fit(learnt) if subject.bound else subject.own
    made = subject.interp(flat, model=own)
    expect(made.dims == flat.dims, f"dims {made.dims}, expected {flat.dims}")
    expect(bool(np.isfinite(made).all()), "of stations some values are missing")
    one = subject.fit(learnt[:, 7]) if subject.bound else subject.own
    single = subject.interp(flat[:, 7], model=one)
    expect(single.dims == ("time",), f"dims {single.dims}, expected ('time',)")
    if not subject.bound:
        close(single, made[:, 7], "a series alone, and among others", ROUNDING)
    if not subject.bound:
        coords = {"lat": 46.5, "lon": 7.5}
        there = subject.interp(data[:, 2, 3].drop_vars(["lat", "lon"]).assign_coords(coords))
        expect(bool(np.isfinite(there).all()), "of a series with a place values are missing")


def calendars(subject: Between) -> None:
    """Use the calendars of climate models."""
    try:
        import cftime
    except ImportError:
        raise CheckSkippedError("cftime is not installed") from None
    data = between.record()
    expected = subject.interp(data)
    for calendar in ("noleap", "360_day"):
        other = data.convert_calendar(calendar, align_on="date", use_cftime=True)
        made = subject.interp(other)
        first = made["time"].values[0]
        expect(
            isinstance(first, cftime.datetime) and first.calendar == calendar,
            f"dates of the calendar {calendar} came back as {first!r}",
        )
        # Steps lie elsewhere within the year by a day or two.
        close(made, expected, f"the calendar {calendar}", 0.1)


def irregular(subject: Between) -> None:
    """Take steps out: times between those that are left have values, near a straight line."""
    data = between.record()
    kept = data.isel(time=[0, 1, 2, 3, 5, 6, 8, 9, 10, 13, 14, 15, 16, 18, 20, 21])
    made = subject.interp(kept, freq=f"{STEP // 2}h")
    expect(bool(np.isfinite(made).all()), "between steps that are not even values are missing")
    same_bits(made.sel(time=kept.time), kept, "given steps that are not even")
    line = subject.interp(kept, freq=f"{STEP // 2}h", model="linear")
    off = float(abs(made - line).max())
    reach = 3.0 * float(abs(kept.diff("time")).max())
    expect(off < reach, f"values are up to {off:.3g} from a straight line, expected < {reach:.3g}")
    exact = subject.interp(kept, times=made.time)
    same_bits(exact, made, "times= beside freq=")


def time_errors(subject: Between) -> None:
    """Give times that are of no use: an error in words for each."""
    data = between.record()
    wrong: dict[str, xr.DataArray] = {
        "not in order": data[::-1],
        "duplicate": xr.concat([data[:2], data[1:]], "time"),
        "expected datetime64": data.assign_coords(time=np.arange(between.N_STEPS)),
    }
    for told, given in wrong.items():
        text = raises(TimeAxisError, lambda given=given: subject.interp(given), told)  # type: ignore[misc]
        expect(told in text, f"the message does not say {told!r}: {text}")
    late = data.time.values[-1] + np.timedelta64(1, "h")
    text = raises(TimeAxisError, lambda: subject.interp(data, times=[late]), "a time beyond")
    expect("beyond the first and last step" in text, f"the message does not say so: {text}")


def one_step(subject: Between) -> None:
    """Give one step: an error in words, or the step itself where that is asked for."""
    data = between.record()[:1]
    text = raises(TimeAxisError, lambda: subject.interp(data), "one step")
    expect("two or more" in text, f"the message does not say what is wrong: {text}")
    same_bits(subject.interp(data, times=data.time), data, "the step itself")


def few_steps(subject: Between) -> None:
    """Give two, three, four and five steps: values come back between them."""
    for n in (2, 3, 4, 5):
        data = between.record()[:n]
        made = subject.interp(data)
        expect(made.sizes["time"] == (n - 1) * FACTOR + 1, f"of {n} steps: {dict(made.sizes)}")
        expect(bool(np.isfinite(made).all()), f"of {n} steps some values are missing")
        same_bits(made[::FACTOR], data, f"{n} given steps")


def small_grids(subject: Between) -> None:
    """Give a cell, a strip and a corner: values come back."""
    if subject.bound:
        raise CheckSkippedError("it is bound to its grid")
    data = between.record()
    for sizes in ({"lat": 1, "lon": 1}, {"lat": 2, "lon": 2}, {"lat": 1}, {"lon": 3}):
        small = data.isel({d: slice(0, n) for d, n in sizes.items()})
        made = subject.interp(small)
        expect(bool(np.isfinite(made).all()), f"of {sizes} some values are missing")


def zero_size(subject: Between) -> None:
    """Give no cell or no step: an error in words."""
    data = between.record()
    for empty in (data.isel(lat=slice(0, 0)), data.isel(time=slice(0, 0))):
        raises(GeoMLError, lambda empty=empty: subject.interp(empty), f"sizes {dict(empty.sizes)}")  # type: ignore[misc]


def far_dates(subject: Between) -> None:
    """Use years far away, and steps of a month and of a minute: values come back."""
    data = between.record()
    for start, freq in (("1850-01-01", "MS"), ("2100-12-31", "1min"), ("2001-06-01", "1D")):
        other = data.assign_coords(time=pd.date_range(start, periods=between.N_STEPS, freq=freq))
        made = subject.interp(other)
        expect(bool(np.isfinite(made).all()), f"steps of {freq} from {start}: values are missing")


def _turned(record: xr.DataArray) -> xr.DataArray:
    """Return a record on a curvilinear grid: latitude and longitude are (y, x)."""
    flat = record.rename(lat="y", lon="x").drop_vars(["y", "x"])
    rows, columns = np.meshgrid(
        np.arange(flat.sizes["y"]), np.arange(flat.sizes["x"]), indexing="ij"
    )
    lat = xr.Variable(("y", "x"), 40.0 + rows + 0.2 * columns, {"units": "degrees_north"})
    lon = xr.Variable(("y", "x"), 10.0 + columns - 0.2 * rows, {"units": "degrees_east"})
    return flat.assign_coords(lat=lat, lon=lon)
