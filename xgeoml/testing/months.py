"""Checks of models that make months of days."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xgeoml.provenance import FILLED, OBSERVED, UNFILLED
from xgeoml.testing import records
from xgeoml.testing.compare import FLAG, SPREAD, Subject, close, expect, same_bits
from xgeoml.testing.lazy import assert_lazy

# A cell of `records.days` that no cloud hides; one of its days is not on the time axis.
_OPEN_CELL = {"lat": 4, "lon": 4}


def no_leak(subject: Subject) -> None:
    """Fill the days by another model first: what it filled is not taken for observed."""
    data = records.days()
    before = subject.fill(data, model="linear", freq=None)
    same_bits(subject.fill(before), subject.fill(data), "days that another model filled before")


def observed(subject: Subject) -> None:
    """Find a month of which every day was observed to be their mean."""
    data = records.days()
    full = subject.fill(data).isel(_OPEN_CELL)
    december = data.isel(_OPEN_CELL).sel(time="2001-12").values.astype(np.float64).mean()
    expect(abs(float(full[0]) - december) < 1e-5, f"found {float(full[0])}, expected {december}")
    flags = full[FLAG].values.tolist()
    expect(flags == [OBSERVED, FILLED], f"flags {flags}, expected {[OBSERVED, FILLED]}")


def gaps_filled(subject: Subject) -> None:
    """Find every month of every cell with a value in it filled, and the others missing."""
    full = subject.fill(records.days())
    expect(full.sizes["time"] == 2, f"found {full.sizes['time']} months, expected 2")
    empty = full.isel(records.EMPTY_CELL)
    expect(bool(empty.isnull().all()), "a cell without any data was filled")
    expect(bool((empty[FLAG] == UNFILLED).all()), f"its flags are not all {UNFILLED}")
    missing = int(full.isnull().sum()) - empty.size
    expect(not missing, f"{missing} values are missing")


def units(subject: Subject) -> None:
    """Find other units to give the same months, in these units."""
    data = records.days()
    plain = subject.fill(data, spread=True)
    other = subject.fill(1000.0 * data.astype(np.float64) + 5.0, spread=True)
    close(other, 1000.0 * plain.astype(np.float64) + 5.0, "1000 x + 5")
    close(other[SPREAD], 1000.0 * plain[SPREAD].astype(np.float64), "its spread", 1e-2)


def spread(subject: Subject) -> None:
    """Find a spread above 0 of every month that was filled, and of no other."""
    full = subject.fill(records.days(), spread=True)
    filled = (full[FLAG] == FILLED).values
    values = full[SPREAD].values
    expect((values[filled] > 0).all(), "a filled month has no spread above 0")
    expect(bool(np.isnan(values[~filled]).all()), "a month that was not filled has a spread")


def order_of_days(subject: Subject) -> None:
    """Mix the days: the same months."""
    data = records.days()
    mixed = data.isel(time=np.random.default_rng(0).permutation(data.sizes["time"]))
    same_bits(subject.fill(mixed), subject.fill(data), "days in another order")


def chunks(subject: Subject) -> None:
    """Chunk the data in any way: the same bits, and nothing computed before it is asked for."""
    data = records.days()
    whole = subject.fill(data)
    for sizes in ({"time": 7, "lat": 4, "lon": 3}, {"time": -1, "lat": 5, "lon": 10}):
        made = subject.fill(data.chunk(sizes))
        assert_lazy(made)
        same_bits(made.compute(), whole, f"chunks {sizes}")


def batches(subject: Subject) -> None:
    """Run windows one by one: the same months."""
    data = records.days()
    close(subject.fill(data, batch_size=1), subject.fill(data), "batches of one", 1e-4)


def dim_orders(subject: Subject) -> None:
    """Transpose the data: the same months, dims in the new order."""
    data = records.days()
    turned = subject.fill(data.transpose("lon", "time", "lat"))
    expect(turned.dims == ("lon", "time", "lat"), f"found dims {turned.dims}")
    same_bits(turned.transpose(*data.dims), subject.fill(data), "other dims first")


def calendars(subject: Subject) -> None:
    """Use a calendar of 365 days: close to the same months, in that calendar."""
    try:
        import cftime  # noqa: F401
    except ImportError:
        return
    data = records.days()
    other = data.convert_calendar("noleap", use_cftime=True)
    full = subject.fill(other)
    expect(full["time"].dt.calendar == "noleap", "the calendar was changed")
    close(full, subject.fill(data), "calendar noleap", 0.05)


def metadata(subject: Subject) -> None:
    """Find name, dtype, attributes and coordinates kept, and the data as they were."""
    data = records.days()
    before = data.copy(deep=True)
    full = subject.fill(data)
    xr.testing.assert_identical(data, before)
    expect((full.name, full.dtype) == (data.name, data.dtype), f"found {full.name} {full.dtype}")
    expect(full.attrs["units"] == "cm", f"found attributes {full.attrs}")
    expect("mean" in full.attrs["cell_methods"], f"cell_methods {full.attrs['cell_methods']!r}")
    for name in ("lat", "lon"):
        expect(full[name].drop_vars(name).identical(data[name].drop_vars(name)), f"{name} changed")
