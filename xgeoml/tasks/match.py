"""Which step of a driver belongs to which step of a record."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.calendars import read_clock
from xgeoml.exceptions import InputError
from xgeoml.insert import bounds_name, dated_bounds
from xgeoml.steps import IRREGULAR, Steps, infer_steps
from xgeoml.times import decimal_years

Ints = NDArray[np.int64]
# Of the record's step: how far off the nearest step of a driver may be.
NEAR = 0.55
# How much the steps of two records may differ in length and still be the same.
SAME = 1.5


def match_steps(theirs: xr.DataArray, ours: xr.DataArray, steps: Steps, late: int = 0) -> Ints:
    """Return, for each step of `ours`, the position of the step of `theirs` that belongs to it.

    Months, days and hours are matched by the calendar: the first and the sixteenth of May, or
    midnight and noon, are the same May and the same day. Other steps are matched with the nearest,
    if it is about half a step off at most.

    Parameters
    ----------
    theirs : DataArray, (their time,)
        Time of the driver, checked.
    ours : DataArray, (full time,)
        Time of the record, absent steps added.
    steps : Steps
        What was found out about the record's time.
    late : int
        How many months after the month that it means a stamp of `ours` lies, see `months_late`.

    Returns
    -------
    ndarray of int64, (full time,)
        -1 where the driver has no such step.

    Raises
    ------
    ValueError
        If the driver's step is of another length; the message names both.
    """
    found = infer_steps(theirs)
    if steps.freq != IRREGULAR:
        _check_length(theirs, ours, found, steps)
    if found.freq == steps.freq:
        their_keys, our_keys = _keys(theirs, found), _keys(ours, steps)
        if their_keys is not None and our_keys is not None:
            return _look_up(their_keys, our_keys - late)
    return _nearest(decimal_years(theirs), decimal_years(ours))


def months_late(dataset: xr.Dataset, time: str) -> int:
    """Return how many months after the month that it means a stamp lies, as the bounds say.

    Some records stamp a month at its end, on the first day of the next: 1. Without bounds 0.

    Raises
    ------
    InputError
        If the bounds are lazy and the stamps are first days of months.
    """
    name = bounds_name(dataset[time].variable)
    clock = read_clock(dataset[time].values)
    if name not in dataset.variables or clock.in_month.any():
        return 0
    bounds = dataset.variables[name]
    if bounds.chunks is not None:
        raise InputError(
            f"{time!r} holds first days of months, and its bounds {name!r}, which tell whether "
            "the month that begins or the one that ends is meant, are lazy; expected them in "
            f"memory: obj[{name!r}].load()"
        )
    dated = dated_bounds(bounds, time, clock.ticks.size)
    if dated is None:
        return 0
    edges, there = dated
    first, last = read_clock(edges[there, 0]), edges[there, 1]
    middle = first.values(first.ticks + (first.read(last) - first.ticks) // 2)
    return int(np.median(clock.month[there] - read_clock(middle).month))


def _check_length(theirs: xr.DataArray, ours: xr.DataArray, found: Steps, steps: Steps) -> None:
    """Raise unless the steps of both are about equally long."""
    if theirs.size < 2 or ours.size < 2:
        return
    ratio = np.median(np.diff(decimal_years(theirs))) / np.median(np.diff(decimal_years(ours)))
    if not 1 / SAME < ratio < SAME and found.freq != steps.freq:
        raise ValueError(f"its steps are {found.freq}, those of the data {steps.freq}")


def _keys(coord: xr.DataArray, steps: Steps) -> Ints | None:
    """Return the number of the month, day or hour of each stamp; None for other steps.

    `steps` are those of the coordinate itself, or those that it was completed with.
    """
    clock = read_clock(coord.values)
    if steps.freq == "monthly":
        # A month is stamped in the month beside now and then: what most stamps say is right.
        slot = np.arange(coord.size) if coord.size == len(steps.stamps) else steps.index
        keys = slot + int(np.median(clock.month - slot))
    elif steps.freq == "yearly":
        keys = clock.month // 12
    elif steps.freq in ("daily", "hourly"):
        parts = 1 if steps.freq == "daily" else 24
        keys = clock.month * 31 * parts + clock.in_month * parts // clock.day
    else:
        return None
    return keys if (np.diff(keys) > 0).all() else None


def _look_up(theirs: Ints, ours: Ints) -> Ints:
    at = np.minimum(np.searchsorted(theirs, ours), len(theirs) - 1)
    return np.where(theirs[at] == ours, at, -1)


def _nearest(theirs: NDArray[np.float64], ours: NDArray[np.float64]) -> Ints:
    after = np.minimum(np.searchsorted(theirs, ours), len(theirs) - 1)
    before = np.maximum(after - 1, 0)
    nearer_before = np.abs(theirs[before] - ours) <= np.abs(theirs[after] - ours)
    nearest = np.where(nearer_before, before, after)
    step = np.median(np.diff(ours)) if len(ours) > 1 else 1.0
    return np.where(np.abs(theirs[nearest] - ours) <= NEAR * step, nearest, -1)
