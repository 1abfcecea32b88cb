"""Which regular time steps a record is made of, and which of them are absent.

Records differ: exact lattices with holes, months stamped at their start, middle or end, months
stamped wherever the middle of their observations fell (GRACE), ten-day parts of a month,
eight-day parts of a year. Each kind has a finder here; they are tried from the strictest on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from xgeoml.calendars import Clock, Ints, read_clock

__all__ = ["Steps", "assign_months", "infer_steps"]

Floats = NDArray[np.float64]

# A record that would grow more than this was not sampled at that step.
MAX_RATIO = 10.0
# Least share of neighbours that are one step apart; else the step is but a common divisor.
SEEN = 0.1
# Of a step: how far a stamp may lie from its place on a regular lattice.
JITTER = 0.1
# To tell a record of one season from one with gaps.
FEWEST_MONTHS, FEWEST_YEARS = 3, 3
IRREGULAR = "irregular"
# Two stamps are always one step apart; only these steps are believed.
_COMMON = {"yearly", "seasonal", "monthly", "weekly", "daily", "6-hourly", "3-hourly", "hourly"}


@dataclass(frozen=True, eq=False)
class Steps:
    """A record's time steps, absent ones included.

    Attributes
    ----------
    freq : str
        ``"monthly"``, ``"daily"``, ``"6-hourly"``, ``"5 min"``, ``"yearly"`` ..., or
        ``"irregular"`` where no regular step was recognised (then nothing is absent).
    index : ndarray of int64, (time,)
        Position of each existing step among `stamps`.
    stamps : ndarray, (full time,)
        All steps in order, the existing ones exactly as they are.
    """

    freq: str
    index: Ints
    stamps: NDArray[Any]

    @property
    def n_added(self) -> int:
        """Number of absent steps."""
        return len(self.stamps) - len(self.index)

    @property
    def added(self) -> NDArray[np.bool_]:
        """Mask, (full time,), of the absent steps."""
        mask = np.ones(len(self.stamps), dtype=np.bool_)
        mask[self.index] = False
        return mask

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.freq}, {len(self.index)} steps, {self.n_added} absent"


@dataclass(frozen=True)
class _Place:
    """Where in a month a record has its stamps; called with a month's start and end, in ticks."""

    clock: Clock
    kind: Literal["day", "end", "share"]
    at: float

    def __call__(self, start: Ints, end: Ints) -> Ints:
        if self.kind == "day":
            # The 31st, in months that are shorter, is the last day.
            last_day = end - self.clock.day + int(self.at) % self.clock.day
            return np.minimum(start + int(self.at), last_day)
        if self.kind == "end":
            return np.asarray(end - int(self.at), dtype=np.int64)
        # In whole days where all stamps are, so that the encoding of the record still holds.
        unit = self.clock.resolution
        within = np.floor(self.at * (end - start) / unit + 1e-6).astype(np.int64) * unit
        return np.asarray(start + within, dtype=np.int64)


class _Lattice(NamedTuple):
    """A frequency, the slot of each stamp from 0 on, and the tick to put into an empty slot."""

    freq: str
    slots: Ints
    tick: Callable[[Ints], Ints]


def infer_steps(coord: xr.DataArray | ArrayLike, *, max_ratio: float = MAX_RATIO) -> Steps:
    """Find the regular step of a record, and the steps that are absent.

    Parameters
    ----------
    coord : (time,)
        Strictly increasing datetime64 or cftime stamps (see `xgeoml.times.check_time`).
    max_ratio
        Steps of which the full record would hold more than `max_ratio` times the existing ones
        are not taken for real.

    Returns
    -------
    Steps
        Never an error: what is not recognised is ``"irregular"`` and complete.

    Notes
    -----
    Months stamped off their centre are given one slot each, see `assign_months`. An absent month
    is stamped as the record's months are: on the same day, the last day, or in the middle; days
    where the record has whole days. A record of one season of several years stays one: months
    that it has in no year are not added.

    Examples
    --------
    >>> months = np.array(["2001-01-16", "2001-02-15", "2001-05-16"], dtype="datetime64[s]")
    >>> infer_steps(months).stamps.astype("datetime64[D]").tolist()[2:4]
    [datetime.date(2001, 3, 16), datetime.date(2001, 4, 16)]
    """
    stamps = np.asarray(coord.values if isinstance(coord, xr.DataArray) else coord)
    count = stamps.size
    complete = Steps(IRREGULAR, np.arange(count, dtype=np.int64), stamps)
    if count < 2:
        return complete
    clock = read_clock(stamps)
    for find in _FINDERS:
        lattice = find(clock)
        if lattice is None or lattice.slots[-1] + 1 > max_ratio * count:
            continue
        if count > 2 and np.mean(np.diff(lattice.slots) == 1) < SEEN:
            continue
        if count == 2 and lattice.freq not in _COMMON:
            continue
        full = _complete(clock, lattice, stamps)
        if full is not None:
            return full
    return complete


def assign_months(position: ArrayLike) -> Ints | None:
    """Give each stamp a calendar month of its own, in order, moving as little as possible.

    Parameters
    ----------
    position : array_like of float, (time,)
        Strictly increasing; in months: 3.5 is the middle of month 3.

    Returns
    -------
    ndarray of int64, (time,), or None
        Strictly increasing months, each the stamp's own or one beside it, at the least total
        distance of stamps outside of their month (then the least distance from its middle).
        None where that is impossible.

    Notes
    -----
    GRACE solutions of shortened months may be stamped in the month beside: in 2015 two stamps
    lie in April, and the later of them is May's.
    """
    places = np.asarray(position, dtype=np.float64)
    if places.size == 0:
        return np.empty(0, dtype=np.int64)
    moves = np.array([-1, 0, 1])
    own = np.floor(places).astype(np.int64)
    months = own[:, None] + moves
    outside = np.maximum(0.0, np.maximum(months - places[:, None], places[:, None] - months - 1))
    # A stamp on the very edge lies in both months; it stays in the one that the calendar says.
    cost = outside + 1e-3 * np.abs(places[:, None] - months - 0.5) + 1e-4 * (moves != 0)
    best = cost[0]
    came = np.zeros(months.shape, dtype=np.int64)
    for k in range(1, len(places)):
        allowed = np.where(months[k - 1][None, :] < months[k][:, None], best[None, :], np.inf)
        came[k] = allowed.argmin(axis=1)
        best = cost[k] + allowed.min(axis=1)
    if not np.isfinite(best).any():
        return None
    chosen = np.empty(len(places), dtype=np.int64)
    at = int(best.argmin())
    for k in range(len(places) - 1, -1, -1):
        chosen[k] = months[k, at]
        at = int(came[k, at])
    return chosen


def _complete(clock: Clock, lattice: _Lattice, stamps: NDArray[Any]) -> Steps | None:
    """Return the steps with the empty slots of a lattice stamped, None if out of order."""
    slots = lattice.slots
    full = np.empty(int(slots[-1]) + 1, dtype=stamps.dtype)
    empty = np.ones(full.size, dtype=np.bool_)
    empty[slots] = False
    full[slots] = stamps
    full[empty] = clock.values(lattice.tick(np.flatnonzero(empty)))
    if not (full[1:] > full[:-1]).all():
        return None
    wanted = ~(empty & _out_of_season(clock, full))
    index = np.cumsum(wanted, dtype=np.int64)[slots] - 1
    return Steps(lattice.freq, index, full[wanted])


def _out_of_season(clock: Clock, full: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the steps in calendar months of which the record has none in any year.

    A record of summers alone was cut so, or cannot be otherwise (polar night): the winters are
    no gaps. Judged only over three years and three months, or chance might do it.
    """
    never = np.setdiff1d(np.arange(12), clock.month % 12)
    months = int(np.ptp(clock.month))
    # Seasons and years have few calendar months of their own.
    coarse = full.size - 1 < months
    if coarse or never.size < FEWEST_MONTHS or months < 12 * FEWEST_YEARS:
        return np.zeros(full.size, dtype=np.bool_)
    return np.isin(read_clock(full).month % 12, never)


def _whole_months(clock: Clock) -> _Lattice | None:
    """One stamp every month, season or year, at the same place in the month."""
    apart = np.diff(clock.month)
    if not (apart > 0).all():
        return None
    every = int(np.gcd.reduce(apart))
    place = _same_place(clock)
    if place is None:
        return None
    first = int(clock.month[0])

    def tick(slots: Ints) -> Ints:
        month = first + every * slots
        return place(clock.month_start(month), clock.month_start(month + 1))

    return _Lattice(_name_months(every), (clock.month - first) // every, tick)


def _same_place(clock: Clock) -> _Place | None:
    """Return where in the month all stamps are: same day, same distance from the end, or share."""
    within, length = clock.in_month, clock.month_length
    if (within == within[0]).all():
        return _Place(clock, "day", within[0])
    if (length - within == length[0] - within[0]).all():
        return _Place(clock, "end", length[0] - within[0])
    share = within / length
    if np.ptp(share) > 0.04:
        return None
    return _Place(clock, "share", _or_middle(float(np.median(share)), 0.03))


def _or_middle(share: float, tolerance: float) -> float:
    """Return a half for a share of a month that is near it: whole days made it differ."""
    return 0.5 if abs(share - 0.5) <= tolerance else share


def _exact(clock: Clock) -> _Lattice | None:
    """Multiples of one exact step."""
    apart = np.diff(clock.ticks)
    step = int(np.gcd.reduce(apart))
    slots = (clock.ticks - clock.ticks[0]) // step
    first = int(clock.ticks[0])
    return _Lattice(_name(step / clock.day), slots, lambda empty: first + step * empty)


def _parts_of_month(clock: Clock) -> _Lattice | None:
    """Two, three (dekads) or six (pentads) stamps a month, on the same days of each."""
    names = {2: "semi-monthly", 3: "dekadal", 6: "pentadal"}
    within, length = clock.in_month, clock.month_length
    for from_end in (False, True):
        # The last part may be stamped on the last day, which is not the same in each month.
        late = (within >= 25 * clock.day) & from_end
        key = np.where(late, within - length, within)
        keys, which, often = np.unique(key, return_inverse=True, return_counts=True)
        order = np.argsort(np.where(keys < 0, keys + 30 * clock.day, keys))
        rank = np.empty(keys.size, dtype=np.int64)
        rank[order] = np.arange(keys.size)
        sorted_keys = keys[order]
        parts = keys.size
        if parts not in names or often.min() < 2:
            continue
        typical = np.where(sorted_keys < 0, sorted_keys + 30 * clock.day, sorted_keys)
        gaps = np.diff(np.append(typical, typical[0] + 30 * clock.day)) * parts / (30 * clock.day)
        if gaps.min() < 0.5 or gaps.max() > 1.5:
            continue
        number = clock.month * parts + rank[which]
        base = int(number[0])

        def tick(
            slots: Ints, base: int = base, parts: int = parts, keys: Ints = sorted_keys
        ) -> Ints:
            month, part = (base + slots) // parts, (base + slots) % parts
            start, end = clock.month_start(month), clock.month_start(month + 1)
            return np.where(keys[part] < 0, end + keys[part], start + keys[part])

        return _Lattice(names[parts], number - base, tick)
    return None


def _parts_of_year(clock: Clock) -> _Lattice | None:
    """Eight- or sixteen-day composites that start anew each year, as MODIS has them."""
    year = clock.month // 12
    start = clock.month_start(12 * year)
    for days in (16, 8):
        within = clock.ticks - start
        length = days * clock.day
        rest = within % length
        if (rest != rest[0]).any():
            continue
        parts = -(-int((clock.month_start(12 * year[:1] + 12) - start[:1])[0]) // length)
        number = year * parts + within // length
        base, offset = int(number[0]), int(rest[0])

        def tick(
            slots: Ints,
            base: int = base,
            parts: int = parts,
            length: int = length,
            offset: int = offset,
        ) -> Ints:
            whole = base + slots
            return clock.month_start(12 * (whole // parts)) + whole % parts * length + offset

        return _Lattice(f"{days}-daily", number - base, tick)
    return None


def _loose_months(clock: Clock) -> _Lattice | None:
    """One stamp a month somewhere in it or near it, as GRACE has them."""
    apart = np.diff(clock.ticks) / clock.day
    if np.quantile(apart, 0.25) < 20 or not 20 <= np.median(apart) <= 70:
        return None
    share = clock.in_month / clock.month_length
    turn = np.exp(2j * np.pi * share).mean()
    usual = 0.5
    if abs(turn) > 0.8:
        # Stamps that gather about a month's edge belong together, on whichever side they fall.
        usual = _or_middle(float(np.angle(turn) / (2 * np.pi)) % 1.0, 0.1)
    month = assign_months(clock.month + share - usual + 0.5)
    if month is None:
        return None
    moved = np.count_nonzero(month != np.floor(clock.month + share - usual + 0.5))
    if moved > max(2, 0.1 * month.size):
        return None
    first = int(month[0])
    place = _Place(clock, "share", usual)

    def tick(slots: Ints) -> Ints:
        return place(clock.month_start(first + slots), clock.month_start(first + slots + 1))

    return _Lattice("monthly", month - first, tick)


def _jittered(clock: Clock) -> _Lattice | None:
    """Every stamp within a tenth of a regular step."""
    apart = np.diff(clock.ticks).astype(np.float64)
    for guess in sorted({*np.quantile(apart, [0.5, 0.25, 0.1, 0.0])}, reverse=True):
        step = float(guess)
        for _ in range(8):
            count = np.maximum(1, np.round(apart / step))
            step = float(apart.sum() / count.sum())
        slots = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
        off = (clock.ticks - clock.ticks[0]) - step * slots
        if np.ptp(off) <= 2 * JITTER * step:
            return _Lattice(_name(step / clock.day), slots, _between(clock, slots, step))
    return None


def _between(clock: Clock, slots: Ints, step: float) -> Callable[[Ints], Ints]:
    """Return the function that stamps empty slots evenly between their neighbours."""
    unit = clock.resolution if clock.resolution <= step / 4 else 1
    base = clock.ticks[0] - clock.in_month[0]

    def tick(empty: Ints) -> Ints:
        after = np.searchsorted(slots, empty)
        low, high = slots[after - 1], slots[after]
        start, end = clock.ticks[after - 1], clock.ticks[after]
        made = start + (end - start) * (empty - low) // (high - low)
        return np.asarray(base + (made - base + unit // 2) // unit * unit, dtype=np.int64)

    return tick


def _name_months(every: int) -> str:
    """Return the name of a step of so many months."""
    known = {1: "monthly", 3: "seasonal", 12: "yearly"}
    if every in known:
        return known[every]
    return f"{every // 12}-yearly" if every % 12 == 0 else f"{every}-monthly"


def _name(days: float) -> str:
    """Return the name of a step, to 1 %."""

    def near(length: float, tolerance: float = 0.01) -> bool:
        return abs(days / length - 1.0) <= tolerance

    if days >= 330 and abs(days / 365.2425 - round(days / 365.2425)) <= 0.01:
        return _name_months(12 * round(days / 365.2425))
    if near(91.31, 0.015):
        return "seasonal"
    if near(7):
        return "weekly"
    seconds = days * 86_400.0
    for length, one, many in (
        (86_400.0, "daily", "{}-daily"),
        (3_600.0, "hourly", "{}-hourly"),
        (60.0, "1 min", "{} min"),
        (1.0, "1 s", "{} s"),
    ):
        count = seconds / length
        if count > 0.99 and abs(count - round(count)) <= 0.01 * count:
            return one if round(count) == 1 else many.format(round(count))
    return f"{seconds:.4g} s"


_FINDERS: tuple[Callable[[Clock], _Lattice | None], ...] = (
    _whole_months,
    _exact,
    _parts_of_month,
    _parts_of_year,
    _loose_months,
    _jittered,
)
