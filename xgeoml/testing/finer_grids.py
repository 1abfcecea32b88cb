"""Checks of the grids and calendars that a model of downscaling is given, and of their edges."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xgeoml.exceptions import GeoMLError, InputError
from xgeoml.testing import finer
from xgeoml.testing.compare import CheckSkippedError, close, expect, raises, same_bits
from xgeoml.testing.finer import FACTOR, TILE, Finer
from xgeoml.testing.geometry import ROUNDING


def latitude_order(subject: Finer) -> None:
    """Turn north and south, east and west: the same bits, in the order of the data or target."""
    data = subject.record()
    expected = subject.refine(data)
    for dim in ("lat", "lon"):
        back = {dim: slice(None, None, -1)}
        made = subject.refine(data.isel(back))
        if subject.spec.bound:
            same_bits(made, expected, f"{dim} descending")
        else:
            expect(bool((np.diff(made[dim]) < 0).all()), f"a descending {dim} came back ascending")
            same_bits(made.isel(back), expected, f"{dim} descending")


def longitude_convention(subject: Finer) -> None:
    """Use longitudes below zero: the same bits, counted as those of the data or the target."""
    data = subject.record()
    expected = subject.refine(data)
    west = data.assign_coords(lon=data["lon"] - 360.0)
    made = subject.refine(west)
    same_bits(made, expected, "longitudes below zero")
    right = expected["lon"].values - (0.0 if subject.spec.bound else 360.0)
    off = float(np.abs(made["lon"].values - right).max())
    expect(off < 1e-6, f"longitudes are {off:.3g} from what was expected")


def global_roll(subject: Finer) -> None:
    """Roll a field that goes once around the Earth: what comes back is rolled as well."""
    if subject.spec.bound:
        raise CheckSkippedError("it is bound to its grids")
    data = finer.wide(around=True)
    first = subject.refine(data, model=subject.in_tiles)
    rolled = subject.refine(data.roll(lon=TILE), model=subject.in_tiles)
    expected = first.roll(lon=TILE * FACTOR)
    close(rolled, expected, f"a global field rolled by {TILE} cells", ROUNDING)
    turned = data.roll(lon=TILE, roll_coords=True)
    close(
        subject.refine(turned, model=subject.in_tiles),
        expected,
        "longitudes with a jump at Greenwich",
        ROUNDING,
    )


def curvilinear(subject: Finer) -> None:
    """Refine a grid with two-dimensional latitude and longitude like any other."""
    coarse, fine = finer.pairs()
    data = finer.turned(subject.record())
    own = subject.own
    if subject.spec.bound:
        own = subject.fit(finer.turned(coarse), finer.turned(fine, FACTOR), validation=0)
    made = subject.refine(data, model=own)
    expect(made.dims == data.dims, f"dims {made.dims}, expected {data.dims}")
    expect(bool(np.isfinite(made).all()), "on a curvilinear grid some values are missing")
    flat = subject.refine(subject.record())
    # A model of two grids may look at distances, which are others here.
    close(made, flat, "a curvilinear grid", 0.3 if subject.learns else ROUNDING)
    for name in ("lat", "lon"):
        mean = finer.blocks(made[name])
        off = float(np.abs(mean - data[name].values).max())
        expect(off < 1e-6, f"{name!r}: the means of parts are {off:.3g} from the cells")


def projection(subject: Finer) -> None:
    """Refine a map projection in metres, without latitude and longitude."""
    coarse, fine = (_in_metres(d) for d in finer.pairs())
    data = coarse.isel(time=slice(0, 4))
    own = subject.fit(coarse, fine, validation=0) if subject.spec.bound else subject.own
    made = subject.refine(data, model=own)
    expect(bool(np.isfinite(made).all()), "in metres some values are missing")
    same = np.abs(made["x"].values - fine["x"].values).max()
    expect(float(same) < 1e-3, f"x is {same:.3g} m from the parts of the cells")
    close(made, subject.refine(subject.record()), "in metres", 0.3 if subject.learns else ROUNDING)


def calendars(subject: Finer) -> None:
    """Use the calendars of climate models."""
    try:
        import cftime
    except ImportError:
        raise CheckSkippedError("cftime is not installed") from None
    data = subject.record()
    expected = subject.refine(data)
    for calendar in ("noleap", "360_day"):
        other = data.convert_calendar(calendar, align_on="date", use_cftime=True)
        made = subject.refine(other)
        first = made["time"].values[0]
        expect(
            isinstance(first, cftime.datetime) and first.calendar == calendar,
            f"dates of the calendar {calendar} came back as {first!r}",
        )
        # Steps lie elsewhere within the year by a day or two.
        close(made, expected, f"the calendar {calendar}", 0.1)


def one_step(subject: Finer) -> None:
    """Give one step, as a field too, and a field without time: values come back."""
    data = subject.record()
    expected = subject.refine(data)
    single = subject.refine(data[:1])
    expect(bool(np.isfinite(single).all()), "of a single step some values are missing")
    if not subject.around:
        close(single, expected[:1], "a single step", 1e-5)
    still = subject.refine(data.isel(time=0))
    expect(still.dims == data.dims[1:], f"dims {still.dims}, expected {data.dims[1:]}")
    same_bits(still, single[0], "a field with its time as a scalar")
    bare = subject.refine(data.isel(time=0, drop=True))
    expect(bool(np.isfinite(bare).all()), "of a field without time some values are missing")


def small_grids(subject: Finer) -> None:
    """Give two cells, three, and a strip: values come back. One cell is an error in words."""
    if subject.spec.bound:
        raise CheckSkippedError("it is bound to its grids")
    data = subject.record()
    for sizes in ({"lat": 2, "lon": 2}, {"lat": 3, "lon": 2}, {"lat": 2, "lon": 7}):
        small = data.isel({d: slice(0, n) for d, n in sizes.items()})
        made = subject.refine(small)
        expect(bool(np.isfinite(made).all()), f"of {sizes} some values are missing")
        off = np.abs(finer.blocks(made) - small.values).max()
        expect(float(off) < 1e-2, f"of {sizes} the means are {off:.3g} off")
    one = data.isel(lat=slice(0, 1))
    text = raises(InputError, lambda: subject.refine(one), "one row of cells")
    expect("two or more" in text, f"the message does not say what is wrong: {text}")


def zero_size(subject: Finer) -> None:
    """Give no cell or no step: an error in words."""
    data = subject.record()
    for empty in (data.isel(lat=slice(0, 0)), data.isel(time=slice(0, 0))):
        raises(GeoMLError, lambda empty=empty: subject.refine(empty), f"sizes {dict(empty.sizes)}")  # type: ignore[misc]


def infinities(subject: Finer) -> None:
    """Find an infinite value treated as a missing one."""
    data = subject.record()
    at = {"time": 1, "lat": 4, "lon": 4}
    without, infinite = data.copy(), data.copy()
    without[at], infinite[at] = np.nan, np.inf
    same_bits(subject.refine(infinite), subject.refine(without), "beside an infinite value")


def far_values(subject: Finer) -> None:
    """Add a large offset: what varies is not lost in its rounding."""
    if subject.learns:
        raise CheckSkippedError("it was fitted on other values")
    data = subject.record().astype(np.float64)
    made = subject.refine(data + 1e6) - 1e6
    close(made, subject.refine(data), "an offset of a million", 1e-3)


def _in_metres(array: xr.DataArray) -> xr.DataArray:
    """Return the field on a grid of a projection, a degree as 100 km."""
    flat = array.rename(lat="y", lon="x")
    made = {
        d: (d, 1e5 * flat[d].values, {"units": "m", "standard_name": f"projection_{d}_coordinate"})
        for d in ("y", "x")
    }
    return flat.drop_vars(["y", "x"]).assign_coords(made)
