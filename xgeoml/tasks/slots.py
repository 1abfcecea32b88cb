"""Steps of a record arranged by months: 31 slots of a day each, or one mean a month.

Months come whole: lazy data are cut at the borders of months, so that nothing is computed here
and the numbers are the same however the record was cut before.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.calendars import Ints
from xgeoml.engine.execute import is_lazy
from xgeoml.models.series import Floats
from xgeoml.months import Months, months_of

__all__ = ["SLOTS", "Slots", "month_means", "slots_of"]

Array = Any  # numpy.ndarray or dask.array.Array
# From a block, (cell, time), and what is known of its steps, (time, fact), to (field, cell, slot).
Kernel = Callable[[NDArray[np.floating], Floats], NDArray[np.floating]]

# Days of the longest month.
SLOTS = 31
# Elements of a block that is worked on at once, and of a lazy chunk that is joined from others.
BLOCK_ELEMENTS = 2**21
# Of the daily cycle two waves a day are enough: what is left of it is in the noise of a mean.
WAVES = 2
# How surely the daily cycle must follow from the hours that are there: the least eigenvalue of its
# normal matrix by the number of values (0.5 where all hours are there), values by unknowns, and F.
LEAST_EIGENVALUE, LEAST_VALUES, LEAST_F = 0.1, 8, 4.0


@dataclass(frozen=True, eq=False)
class Slots:
    """A record as months of 31 slots, one a day; slots beyond a month's end are empty.

    Attributes
    ----------
    value : DataArray
        Mean of the day; NaN where nothing was observed. Dims of the data, their time being
        31 slots for each month and without a coordinate.
    share : DataArray
        Share of the day's steps that were observed, 0 to 1.
    clock : ndarray, (slot,)
        Decimal years at the middle of the day, from the start of the year in the middle of the
        record on; NaN in slots that the calendar does not have.
    months : Months
        Every month from the record's first step to its last.
    """

    value: xr.DataArray
    share: xr.DataArray
    clock: Floats
    months: Months

    @property
    def exists(self) -> NDArray[np.bool_]:
        """Which slots are days of the calendar, (slot,)."""
        return np.isfinite(self.clock)


def slots_of(data: xr.DataArray, time: str, late: int = 0) -> Slots:
    """Arrange a record by months of 31 days.

    Parameters
    ----------
    data : DataArray
        Floats, NaN where missing, NumPy or dask; any dims in any order. Steps that are absent from
        the time axis are days without data; of shorter steps than days, absent ones should have
        been added (`xgeoml.insert.add_steps`), or the shares are those of the steps that exist.
    time : str
        The time dim: increasing datetime64 or cftime stamps.
    late : int
        By how many ticks stamps are later than what they stand for, see `xgeoml.months.lateness`.

    Returns
    -------
    Slots
        `value` and `share` in the dtype of `data`; lazy if they are.

    Notes
    -----
    The mean of the hours that were observed is off if those of one time of day are missing more
    often: cloud in the afternoon makes days too cold. The daily cycle of each cell and month, two
    waves, is therefore fitted to departures from each day's own mean, and its part in the hours
    observed is taken off the day's mean; of a day with all its hours that part is zero. Nothing is
    taken off where the cycle is not well determined: with few values, with few times of day, or
    where it explains no more than noise would.
    """
    months = months_of(data[time].values, late)
    clock = months.clock
    day = clock.in_month // clock.day
    slot = SLOTS * months.index + day
    phase = clock.in_month / clock.day % 1.0
    facts = np.stack([slot, np.bincount(slot)[slot], phase], axis=1)
    # One step a day has no cycle, whenever in the day it is.
    several = np.unique(np.round(1440 * phase)).size if facts[:, 1].max() > 1 else 1
    kernel = partial(_daily, waves=min(WAVES, (several - 1) // 2))
    dims = (*(d for d in data.dims if d != time), time)
    fields = _by_month(data.transpose(*dims).variable.data, months, facts, kernel, SLOTS)
    coords = {name: c for name, c in data.coords.items() if time not in c.dims}

    def array(field: Array) -> xr.DataArray:
        made = xr.DataArray(field, coords, dims, data.name)
        return made.transpose(*data.dims)

    value, share = array(fields[0]), array(fields[1])
    return Slots(value, share, _years(months), months)


def month_means(data: xr.Variable, time: str, months: Months) -> tuple[xr.Variable, xr.Variable]:
    """Return the mean of all steps of each month, NaN if one is missing, and how many are not.

    Parameters
    ----------
    data : Variable
        NaN where missing.
    time : str
        The time dim.
    months : Months
        Of its steps.

    Returns
    -------
    mean, count : Variable of float64
        Dims of the data, their time being one step a month.
    """
    dims = (*(d for d in data.dims if d != time), time)
    facts = months.index[:, None].astype(np.float64)
    fields = _by_month(data.transpose(*dims).data, months, facts, _monthly, 1, np.float64)
    mean, count = (xr.Variable(dims, field).transpose(*data.dims) for field in fields)
    return mean, count


def _years(months: Months) -> Floats:
    """Return the clock of all slots, see `Slots`."""
    clock = months.clock
    day = np.arange(SLOTS)
    ticks = clock.month_start(months.number)[:, None] + day * clock.day + clock.day // 2
    year = months.number // 12
    start, end = clock.month_start(12 * year), clock.month_start(12 * year + 12)
    middle = (year[0] + year[-1]) // 2
    years = (year - middle)[:, None] + (ticks - start[:, None]) / (end - start)[:, None]
    return np.where(day < months.days[:, None], years, np.nan).ravel()


def _by_month(
    array: Array,
    months: Months,
    facts: Floats,
    kernel: Kernel,
    per_month: int,
    dtype: np.typing.DTypeLike | None = None,
) -> Array:
    """Run a kernel on pieces of whole months of an array, (..., time).

    Parameters
    ----------
    facts : ndarray, (time, fact)
        What the kernel knows of each step. The first is its place among all slots, from which
        that of the piece's first slot is taken off.
    per_month : int
        Slots of a month.

    Returns
    -------
    array, (field, ..., per_month * months)
    """
    dtype = np.dtype(dtype or array.dtype)
    run = partial(_on_cells, run_kernel=kernel)
    if is_lazy(array):
        return _by_month_dask(array, months, facts, run, per_month, dtype)
    cells = max(1, array.size // max(1, array.shape[-1]))
    out = np.empty((2, *array.shape[:-1], per_month * months.number.size), dtype)
    for first, last in _pieces(months, BLOCK_ELEMENTS // cells):
        start, stop = np.searchsorted(months.index, (first, last))
        known = _local(facts[start:stop], per_month * first, per_month * (last - first))
        out[..., per_month * first : per_month * last] = run(array[..., start:stop], known)
    return out


def _by_month_dask(
    array: Array, months: Months, facts: Floats, run: Kernel, per_month: int, dtype: np.dtype[Any]
) -> Array:
    import dask.array as da

    pieces = _pieces(months, max(array.chunks[-1]))
    edges = np.searchsorted(months.index, [first for first, _ in pieces] + [months.number.size])
    steps = tuple(int(n) for n in np.diff(edges))
    array = array.rechunk({array.ndim - 1: steps, **_smaller(array, max(steps))})
    known = [
        _local(facts[start:stop], per_month * first, per_month * (last - first))
        for (first, last), start, stop in zip(pieces, edges[:-1], edges[1:], strict=True)
    ]
    # What a block needs to know travels as an array chunked like the data, not in every task.
    guide = da.from_array(np.concatenate(known), chunks=(steps, -1))
    letters = tuple(range(1, array.ndim + 1))
    return da.blockwise(
        run,
        (0, *letters),
        array,
        letters,
        guide,
        (letters[-1], array.ndim + 1),
        new_axes={0: 2},
        adjust_chunks={letters[-1]: tuple(per_month * (last - first) for first, last in pieces)},
        concatenate=True,
        dtype=dtype,
        meta=np.empty((0,) * (array.ndim + 1), dtype=dtype),
        align_arrays=False,
    ).astype(dtype)


def _pieces(months: Months, steps: int) -> list[tuple[int, int]]:
    """Return pieces of at most so many steps, but whole months: first month, and last plus one.

    Months without a step go with the one before them.
    """
    full = np.flatnonzero(months.n_steps)
    first = np.searchsorted(months.index, full)
    ends = np.append(first[1:], months.index.size)
    starts = [0]
    for k in range(1, full.size):
        if ends[k] - first[starts[-1]] > steps:
            starts.append(k)
    borders = [*(int(full[k]) for k in starts), months.number.size]
    borders[0] = 0
    return list(itertools.pairwise(borders))


def _smaller(array: Array, steps: int) -> dict[int, int]:
    """Return chunks in space small enough that whole months of them are no larger than usual."""
    wanted = list(array.chunksize[:-1])
    most = max(BLOCK_ELEMENTS, math.prod(array.chunksize)) // steps
    while wanted and math.prod(wanted) > most and max(wanted) > 1:
        longest = wanted.index(max(wanted))
        wanted[longest] = math.ceil(wanted[longest] / 2)
    return {i: n for i, n in enumerate(wanted) if n < array.chunksize[i]}


def _local(facts: Floats, first: int, count: int) -> Floats:
    """Return the facts of a piece: places from its own first slot on, and its number of slots."""
    own = facts - np.eye(1, facts.shape[1]) * first
    return np.concatenate([own, np.full((len(own), 1), float(count))], axis=1)


def _on_cells(
    block: NDArray[np.floating], guide: Floats, run_kernel: Kernel
) -> NDArray[np.floating]:
    """Run a kernel on a block of any number of dims, on some cells at a time where it is large.

    A block whose time did not lie last in memory is copied, and the kernel's own arrays are several
    times as large as what it is given.
    """
    if block.ndim > 1 and block.size > BLOCK_ELEMENTS:
        rows = max(1, BLOCK_ELEMENTS * len(block) // block.size)
        if len(block) == 1 and block.ndim > 2:
            return _on_cells(block[0], guide, run_kernel)[:, None]
        if rows < len(block):
            parts = [block[i : i + rows] for i in range(0, len(block), rows)]
            return np.concatenate([_on_cells(part, guide, run_kernel) for part in parts], axis=1)
    made = run_kernel(block.reshape(-1, block.shape[-1]), guide)
    return made.reshape(2, *block.shape[:-1], made.shape[-1])


def _monthly(block: NDArray[np.floating], guide: Floats) -> Floats:
    """Return mean and count of each month; the mean is NaN if a step is missing."""
    month = guide[:, 0].astype(np.int64)
    out = np.zeros((2, len(block), int(guide[0, -1])))
    out[0] = np.nan
    starts = np.flatnonzero(np.diff(month, prepend=-1))
    length = np.diff(starts, append=month.size)
    with np.errstate(invalid="ignore"):  # where both infinities are
        total = np.add.reduceat(block, starts, axis=1, dtype=np.float64)
    out[0][:, month[starts]] = total / length
    out[1][:, month[starts]] = np.add.reduceat(~np.isnan(block), starts, axis=1, dtype=np.int64)
    return out


def _daily(block: NDArray[np.floating], guide: Floats, waves: int) -> NDArray[np.floating]:
    """Return value and share of each slot; month by month, since the daily cycle is its own."""
    slot, expected, phase = guide[:, 0].astype(np.int64), guide[:, 1], guide[:, 2]
    out = np.zeros((2, len(block), int(guide[0, -1])), block.dtype)
    out[0] = np.nan
    month = slot // SLOTS
    for steps in np.split(np.arange(slot.size), np.flatnonzero(np.diff(month)) + 1):
        values = block[:, steps].astype(np.float64)
        seen = np.isfinite(values)
        values[~seen] = 0.0
        starts = np.flatnonzero(np.diff(slot[steps], prepend=-1))
        count = np.add.reduceat(seen, starts, axis=1, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            mean = np.add.reduceat(values, starts, axis=1) / count
        if waves:
            mean -= _daily_cycle(values, seen, starts, count, _waves(phase[steps], waves))
        where = slot[steps][starts]
        out[0][:, where] = mean
        out[1][:, where] = count / expected[steps][starts]
    return out


def _waves(phase: Floats, waves: int) -> Floats:
    """Return cosine and sine of one, two ... waves a day, (wave, time)."""
    angle = 2 * np.pi * phase * np.arange(1, waves + 1)[:, None]
    return np.concatenate([np.cos(angle), np.sin(angle)])


def _daily_cycle(
    values: Floats, seen: NDArray[np.bool_], starts: Ints, count: Floats, waves: Floats
) -> Floats:
    """Return what the daily cycle adds to the mean of the hours observed, (cell, day).

    Least squares of ``value = day + cycle``, the days being eliminated beforehand: each wave and
    the values enter as departures from their means over the hours observed of a day.

    Parameters
    ----------
    values, seen : ndarray, (cell, time)
        Of one month; 0 where not observed.
    starts : ndarray, (day,)
        The first step of each day.
    count : ndarray, (cell, day)
        How many steps of a day were observed.
    waves : ndarray, (wave, time)
    """
    total = np.maximum(count.sum(1), 1.0)
    centred = np.where(seen, values - (values.sum(1) / total)[:, None], 0.0)
    per_day = np.maximum(count, 1.0)
    sums = [np.add.reduceat(seen * wave, starts, axis=1) for wave in waves]
    means = np.stack([each / per_day for each in sums])
    day = np.add.reduceat(centred, starts, axis=1)
    right = centred @ waves.T - np.einsum("wcd,cd->cw", means, day)
    products = np.einsum("vt,wt->tvw", waves, waves).reshape(waves.shape[1], -1)
    normal = (seen @ products).reshape(-1, len(waves), len(waves))
    normal = normal - np.einsum("vcd,wcd,cd->cvw", means, means, per_day * (count > 0))
    scatter = (centred**2).sum(1) - (day**2 / per_day).sum(1)
    free = count.sum(1) - (count > 0).sum(1) - len(waves)
    known = (free >= LEAST_VALUES * len(waves)) & (
        np.linalg.eigvalsh(normal)[:, 0] >= LEAST_EIGENVALUE * total
    )
    normal[~known] = np.eye(len(waves))
    cycle = np.linalg.solve(normal, right[..., None])[..., 0]
    explained = (cycle * right).sum(1)
    noise = np.maximum(scatter - explained, 0.0)
    known &= explained * np.maximum(free, 0) >= LEAST_F * len(waves) * noise
    part: Floats = np.einsum("cw,wcd->cd", np.where(known[:, None], cycle, 0.0), means)
    return part
