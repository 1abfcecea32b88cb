"""Totals over intervals: which intervals a record has, and which parts of them are wanted."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.calendars import Clock, Ints, read_clock
from xgeoml.engine.totals import Totals
from xgeoml.exceptions import InputError, TimeAxisError
from xgeoml.insert import bounds_name, dated_bounds
from xgeoml.models.series import Floats
from xgeoml.tasks.frequencies import fixed_length, read_freq
from xgeoml.tasks.instants import (
    Instants,
    Times,
    TimeStep,
    check_number,
    check_within,
    clock_at,
    divided,
    divisible,
    places,
    read_times,
    same_unit,
    shown,
    ticks_in,
    ticks_of,
    with_unit_of,
)


@dataclass(frozen=True)
class _Intervals:
    """The intervals of a record.

    Attributes
    ----------
    dim : str
    stamps : ndarray, (step,)
    starts, ends : ndarray, (step,)
        Stamps too.
    """

    dim: str
    stamps: NDArray[Any]
    starts: NDArray[Any]
    ends: NDArray[Any]

    def map(self, change: Any) -> _Intervals:
        """Return the intervals with stamps of another unit."""
        return _Intervals(self.dim, *map(change, (self.stamps, self.starts, self.ends)))


def time_bounds(dataset: xr.Dataset, dim: str) -> str | None:
    """Return the name of the bounds of a time coordinate, by its attributes or as is usual."""
    named = bounds_name(dataset[dim].variable)
    for name in (named, f"{dim}_bnds", f"{dim}_bounds"):
        if name is not None and name in dataset.variables:
            return name
    return None


def parts_of_totals(
    dataset: xr.Dataset, dim: str, freq: TimeStep | None, factor: int | None, times: Times | None
) -> Instants:
    """Return the parts that are wanted of the intervals of a record of totals.

    Parameters
    ----------
    dataset : Dataset
        With the time coordinate and its bounds, if there are any.
    dim : str
    freq, factor, times
        One of them; see `xgeoml.interp_time`.

    Raises
    ------
    InputError, TimeAxisError
        If the intervals are not known, or the parts do not divide them.
    """
    found = _intervals(dataset, dim)
    if times is not None:
        found, clock, edges, owner = _by_times(found, times)
    elif factor is not None:
        lengths = read_clock(found.ends).ticks
        lengths = lengths - read_clock(found.ends).read(found.starts)
        found = found.map(lambda s: divisible(s, lengths, factor))
        clock = read_clock(found.stamps)
        whole = divided(
            clock.read(found.starts), clock.read(found.ends), factor, f"factor={factor}"
        )
        edges = np.stack([whole[:, :-1].ravel(), whole[:, 1:].ravel()], axis=1)
        owner = np.arange(len(whole)).repeat(factor)
    else:
        assert freq is not None
        offset = read_freq(freq)
        found = found.map(lambda s: with_unit_of(s, offset))
        clock = read_clock(found.stamps)
        edges, owner = _by_freq(found, clock, freq)
    return _instants(found, clock, edges, owner)


def _instants(found: _Intervals, clock: Clock, edges: Ints, owner: NDArray[np.intp]) -> Instants:
    starts, ends = clock.read(found.starts), clock.read(found.ends)
    share = (clock.ticks - starts) / (ends - starts)
    lengths = edges[:, 1] - edges[:, 0]
    ticks = edges[:, 0] + np.rint(lengths * share[owner]).astype(np.int64)
    if (lengths <= 0).any() or (np.diff(ticks) <= 0).any():
        raise InputError(
            f"parts of the intervals of {found.dim!r} are too short for stamps of their own; "
            "expected a smaller factor=, or a longer freq="
        )
    middle, wanted = starts + ends, edges.sum(1)  # of twice the length, so that they are whole
    before = np.searchsorted(middle, wanted, side="right") - 1
    copied = np.where(middle[before] == wanted, before, -1)
    copied[wanted <= middle[0]] = 0
    copied[wanted >= middle[-1]] = len(middle) - 1
    origin = 2 * clock.ticks[0]
    low, part = places(ticks, clock.ticks)
    return Instants(
        found.dim,
        clock.values(ticks),
        _halves(middle - origin, clock.day),
        _halves(wanted - origin, clock.day),
        clock_at(clock.values(starts + (ends - starts) // 2)),
        clock_at(clock.values(edges[:, 0] + lengths // 2)),
        owner.astype(np.intp),
        copied.astype(np.intp),
        low,
        part,
        np.stack([clock.values(edge) for edge in edges.T], axis=1),
        Totals((ends - starts) / clock.day, lengths / clock.day),
    )


def _halves(ticks: Ints, day: int) -> Floats:
    return np.asarray(ticks / (2 * day), np.float64)


def _intervals(dataset: xr.Dataset, dim: str) -> _Intervals:
    """Return the intervals of a record: its bounds, or those that end at its stamps."""
    stamps = dataset[dim].values
    name = time_bounds(dataset, dim)
    if name is not None:
        bounds = dataset.variables[name]
        if bounds.chunks is not None:
            raise InputError(
                f"the bounds {name!r} of {dim!r}, which tell the intervals of the totals, are "
                f"lazy; expected them in memory: obj[{name!r}].load()"
            )
        dated = dated_bounds(bounds, dim, len(stamps))
        if dated is None or not dated[1].all():
            raise InputError(
                f"the bounds {name!r} of {dim!r} hold {bounds.dtype} of dims {bounds.dims}; "
                "expected the dates of both ends of each interval: ds = xr.decode_cf(ds), or "
                f"obj = obj.drop_vars({name!r}) for intervals that end at the stamps"
            )
        several = same_unit(stamps, dated[0])
        found = _Intervals(dim, several[0], several[1][:, 0], several[1][:, 1])
        _check(found, name)
        return found
    told = bounds_name(dataset[dim].variable)
    if told is not None:
        warnings.warn(
            f"the bounds {told!r} that {dim!r} speaks of are not here: each total is taken to be "
            "that of the interval which ends at its stamp. For other intervals call it on the "
            "Dataset that has the bounds",
            stacklevel=9,
        )
    if len(stamps) < 2:
        raise TimeAxisError(
            f"{dim!r} has 1 step and no bounds, so that the length of its interval is not known; "
            "expected two steps or more, or bounds"
        )
    clock = read_clock(stamps)
    first = clock.values(clock.ticks[:1] - (clock.ticks[1] - clock.ticks[0]))
    return _Intervals(dim, stamps, np.concatenate([first, stamps[:-1]]), stamps)


def _check(found: _Intervals, name: str) -> None:
    """Raise unless intervals follow one another, with their stamps in them."""
    backward = np.flatnonzero(~(found.starts < found.ends))
    overlapping = np.flatnonzero(~(found.ends[:-1] <= found.starts[1:]))
    outside = np.flatnonzero((found.stamps < found.starts) | (found.stamps > found.ends))
    for wrong, what, cure in (
        (backward, "an interval that ends before it begins", "mend them"),
        (
            overlapping,
            "an interval that overlaps with the next",
            "totals since the start of a forecast are not those of their steps: take their "
            "differences first",
        ),
        (outside, "an interval without its stamp", "mend them"),
    ):
        if wrong.size:
            k = int(wrong[0])
            raise InputError(
                f"the bounds {name!r} hold {what}: {shown(found.starts[k])} to "
                f"{shown(found.ends[k])}, stamp {shown(found.stamps[k])}; {cure}, or type "
                f"obj = obj.drop_vars({name!r}) for intervals that end at the stamps"
            )


def _by_freq(found: _Intervals, clock: Clock, freq: TimeStep) -> tuple[Ints, NDArray[np.intp]]:
    """Return the edges of parts of a frequency, (part, 2), and the interval of each."""
    offset = read_freq(freq)
    step = fixed_length(offset)
    starts, ends = clock.read(found.starts), clock.read(found.ends)
    if step is not None:
        length = ticks_in(step, clock.day, freq)
        wrong = np.flatnonzero((ends - starts) % length)
        counts = (ends - starts) // length
        check_number(int(counts.sum()), f"freq={freq!r}")
        owner = np.arange(len(starts)).repeat(counts)
        within = np.arange(counts.sum()) - (np.cumsum(counts) - counts)[owner]
        first = starts[owner] + length * within
        edges = np.stack([first, first + length], axis=1)
    else:
        each = [
            ticks_of(a, b, offset, freq) - read_clock(np.array([a, b])).ticks[0] + start
            for a, b, start in zip(found.starts, found.ends, starts, strict=True)
        ]
        right = [
            len(t) > 1 and t[0] == a and t[-1] == b
            for t, a, b in zip(each, starts, ends, strict=True)
        ]
        wrong = np.flatnonzero(~np.array(right))
        if not wrong.size:
            edges = np.concatenate([np.stack([t[:-1], t[1:]], axis=1) for t in each])
            owner = np.arange(len(each)).repeat([len(t) - 1 for t in each])
    if wrong.size:
        k = int(wrong[0])
        raise InputError(
            f"freq={freq!r} does not divide the interval {shown(found.starts[k])} to "
            f"{shown(found.ends[k])} of {found.dim!r} into whole parts; expected one that does, or "
            "factor=..., equal parts of each"
        )
    return edges, owner


def _by_times(found: _Intervals, times: Times) -> tuple[_Intervals, Clock, Ints, NDArray[np.intp]]:
    """Return intervals and clock in one unit, the edges of parts, and the interval of each."""
    asked = read_times(times, found.stamps, found.dim)
    stamps, starts, ends, asked = same_unit(found.stamps, found.starts, found.ends, asked)
    found = _Intervals(found.dim, stamps, starts, ends)
    clock = read_clock(stamps)
    at, low, high = clock.read(asked), clock.read(starts), clock.read(ends)
    share = (clock.ticks - low) / (high - low)
    check_within(
        asked, at, np.array([low[0], high[-1]]), np.array([starts[0], ends[-1]]), found.dim
    )
    place = next((p for p in (1.0, 0.0, 0.5) if (np.abs(share - p) * (high - low) < 1).all()), None)
    if place is None:
        raise InputError(
            f"the stamps of {found.dim!r} lie neither at the ends, nor at the starts, nor in the "
            "middles of its intervals, so that times= say nothing of the parts; expected freq= or "
            "factor="
        )
    if place == 1.0:
        owner = np.searchsorted(high, at, side="left")
    else:
        owner = np.searchsorted(low, at, side="right") - 1
    inside = (owner >= 0) & (owner < len(low))
    owner = np.clip(owner, 0, len(low) - 1)
    inside &= (at >= low[owner]) & (at <= high[owner])
    edges = np.empty((len(at), 2), np.int64)
    right = np.zeros(len(low), bool)
    for k in np.unique(owner[inside]):
        which = owner == k
        edges[which], right[k] = _edges_of(at[which], int(low[k]), int(high[k]), place)
    wrong = np.flatnonzero(~(inside & right[owner]))
    if wrong.size:
        k = int(owner[wrong[0]])
        where = {1.0: "ends", 0.0: "starts", 0.5: "middles"}[place]
        raise InputError(
            f"times= do not divide the interval {shown(starts[k])} to {shown(ends[k])} of "
            f"{found.dim!r}; expected the {where} of parts that make up each interval that they "
            "touch, since their totals are to add up to its own"
        )
    return found, clock, edges, owner


def _edges_of(at: Ints, low: int, high: int, place: float) -> tuple[Ints, bool]:
    """Return the edges of parts of an interval, and whether they make it up."""
    if place == 1.0:
        return np.stack([np.append(low, at[:-1]), at], axis=1), bool(at[-1] == high)
    if place == 0.0:
        return np.stack([at, np.append(at[1:], high)], axis=1), bool(at[0] == low)
    made, start = [], low
    for middle in at:
        end = 2 * int(middle) - start
        made.append((start, end))
        start = end
    edges = np.array(made, np.int64)
    return edges, bool(start == high and (edges[:, 0] < edges[:, 1]).all())
