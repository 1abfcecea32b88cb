"""Calendar months: which one each step is of, their stamps and bounds, steps of whole months."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.calendars import Clock, Ints, read_clock
from xgeoml.exceptions import InputError, TimeAxisError
from xgeoml.insert import bounds_name, dated_bounds
from xgeoml.steps import IRREGULAR, Steps

__all__ = [
    "Freq",
    "Months",
    "add_mean",
    "are_months",
    "check_freq",
    "lateness",
    "months_of",
    "whole_months",
]

Freq = Literal["MS", "ME"]

# Days from step to step from which on there are no two in a month.
A_MONTH = 28
_PARTS = {"semi-monthly": 2, "dekadal": 3, "pentadal": 6}
# One entry of cell_methods: the names, then the method with what is said of it.
_METHOD = re.compile(r"((?:[\w-]+:\s+)+)((?:(?![\w-]+:\s)[^(])*(?:\([^)]*\)\s*)?)")


def check_freq(freq: Freq | None) -> Freq | None:
    """Return `freq`, or raise if it is none of those that there are.

    Raises
    ------
    InputError
    """
    if freq is None or (isinstance(freq, str) and freq in get_args(Freq)):
        return freq
    raise InputError(
        f"freq={freq!r}: expected 'MS', months stamped on their first day, 'ME', on their last, or "
        "None, the data's own step; type freq='MS'"
    )


@dataclass(frozen=True, eq=False)
class Months:
    """The calendar months from the first step of a record to its last, each of them.

    Attributes
    ----------
    clock : Clock
        Of the moments that the steps stand for, which may be others than their stamps, see
        `lateness`.
    number : ndarray of int64, (month,)
        ``12 * year + (month - 1)``, increasing by one.
    index : ndarray of int64, (time,)
        Which of them each step is of.
    """

    clock: Clock
    number: Ints
    index: Ints

    @property
    def n_steps(self) -> Ints:
        """How many steps each month has, (month,)."""
        return np.bincount(self.index, minlength=self.number.size)

    @property
    def days(self) -> Ints:
        """How many days the calendar gives each month, (month,)."""
        ticks = self.clock.month_start(self.number + 1) - self.clock.month_start(self.number)
        return ticks // self.clock.day

    def stamps(self, freq: Freq) -> NDArray[Any]:
        """Return the stamp of each month, in the type and calendar of the record's."""
        if freq == "MS":
            return self.clock.values(self.clock.month_start(self.number))
        return self.clock.values(self.clock.month_start(self.number + 1) - self.clock.day)

    def bounds(self) -> NDArray[Any]:
        """Return the start of each month and of the next, (month, 2)."""
        edges = [self.clock.month_start(self.number + k) for k in (0, 1)]
        return np.stack([self.clock.values(edge) for edge in edges], axis=1)


def lateness(dataset: xr.Dataset, time: str) -> int:
    """Return by how many ticks stamps are later than the middle of their steps; without bounds 0.

    Some models stamp the mean of a day on its end, midnight of the next one: by the stamp alone,
    the last day of a month would be of the next month.

    Raises
    ------
    InputError
        If the bounds are lazy, and there are stamps at midnight.
    """
    name = bounds_name(dataset[time].variable)
    clock = read_clock(dataset[time].values)
    if name is None or name not in dataset.variables:
        return 0
    bounds = dataset.variables[name]
    if bounds.chunks is not None:
        if (clock.in_month % clock.day).all():
            return 0
        raise InputError(
            f"{time!r} holds stamps at midnight, and its bounds {name!r}, which tell whether the "
            "day that begins or the one that ends is meant, are lazy; expected them in memory: "
            f"obj[{name!r}].load()"
        )
    dated = dated_bounds(bounds, time, clock.ticks.size)
    if dated is None:
        return 0
    edges, there = dated
    first, last = (clock.read(edges[there, k]) for k in (0, 1))
    return int(np.median(clock.ticks[there] - (first + (last - first) // 2)))


def months_of(stamps: NDArray[Any], late: int = 0) -> Months:
    """Return the months of a record, those without a step among them.

    Parameters
    ----------
    stamps : ndarray, (time,)
        Increasing datetime64 or cftime stamps.
    late : int
        See `lateness`.
    """
    clock = _moments(stamps, late)
    number = np.arange(clock.month[0], clock.month[-1] + 1)
    return Months(clock, number, clock.month - number[0])


def are_months(stamps: NDArray[Any]) -> bool:
    """Whether steps are months, or longer, so that months cannot be made of them.

    Parameters
    ----------
    stamps : ndarray, (time,)
        Increasing datetime64 or cftime stamps.
    """
    clock = read_clock(stamps)
    apart = np.diff(clock.ticks)
    return bool(apart.size and np.median(apart) >= A_MONTH * clock.day)


def whole_months(steps: Steps, late: int = 0, time: str = "time") -> Steps:
    """Return steps with those added that the first and the last month lack, at either end.

    Parameters
    ----------
    steps : Steps
        What `xgeoml.steps.infer_steps` found. Irregular ones come back as they are.
    late : int
        See `lateness`.
    time : str
        What the time is called, for the message.

    Raises
    ------
    TimeAxisError
        If the steps are no shorter than months.

    Examples
    --------
    >>> from xgeoml.steps import infer_steps
    >>> days = np.arange("2001-01-30", "2001-03-02", dtype="datetime64[D]").astype("M8[s]")
    >>> whole_months(infer_steps(days)).stamps[[0, -1]].astype("datetime64[D]").tolist()
    [datetime.date(2001, 1, 1), datetime.date(2001, 3, 31)]
    """
    clock = _moments(steps.stamps, late)
    if are_months(steps.stamps):
        found = _told(steps.freq, np.median(np.diff(clock.ticks)) / clock.day)
        raise TimeAxisError(
            f"the steps of {time!r} are {found}; expected shorter ones, such as days, which "
            "freq= makes months of. Leave freq= out: the record is then filled at its own steps"
        )
    if steps.freq == IRREGULAR:
        return steps
    begin = int(clock.month_start(clock.month[:1])[0])
    end = int(clock.month_start(clock.month[-1:] + 1)[0])
    before, after = _beyond(clock, steps.freq, begin, end)
    made = np.concatenate([before, after]) + late
    stamps = np.empty(made.size + steps.stamps.size, steps.stamps.dtype)
    n = before.size
    stamps[:n], stamps[n + steps.stamps.size :] = (
        clock.values(part) for part in np.split(made, [n])
    )
    stamps[n : n + steps.stamps.size] = steps.stamps
    return Steps(steps.freq, steps.index + n, stamps)


def _moments(stamps: NDArray[Any], late: int) -> Clock:
    clock = read_clock(stamps)
    return read_clock(clock.values(clock.ticks - late)) if late else clock


def _beyond(clock: Clock, freq: str, begin: int, end: int) -> tuple[Ints, Ints]:
    """Return the ticks of the steps that lack from `begin` on and up to `end`."""
    ticks = clock.ticks
    parts = _PARTS.get(freq)
    if parts is None:
        step = int(np.median(np.diff(ticks)))
        before = np.arange(ticks[0] - step, begin - 1, -step, dtype=np.int64)[::-1]
        return before, np.arange(ticks[-1] + step, end, step, dtype=np.int64)
    _, index, count = np.unique(clock.month, return_inverse=True, return_counts=True)
    usual = clock.in_month[count[index] == parts][:parts]
    before = begin + usual[usual < clock.in_month[0]]
    # The 31st, in months that are shorter, is the last day.
    late = usual[usual > clock.in_month[-1]]
    return before, np.minimum(clock.ticks[-1] - clock.in_month[-1] + late, end - clock.day)


def _told(freq: str, days: float | np.floating) -> str:
    return freq if freq != IRREGULAR else f"some {days:.0f} days apart"


def add_mean(methods: str, time: str) -> str:
    """Return CF ``cell_methods`` of values that were averaged over time.

    Parameters
    ----------
    methods : str
        Those of the values before, such as ``"area: mean time: point"``; may be empty.
    time : str
        The name of the time coordinate.

    Examples
    --------
    >>> add_mean("area: mean", "time")
    'area: mean time: mean'
    >>> add_mean("time: point area: mean", "time")
    'area: mean time: mean'
    >>> add_mean("time: maximum", "time")
    'time: maximum time: mean'
    >>> add_mean("time: mean (interval: 1 hour)", "time")
    'time: mean (interval: 1 hour)'
    """
    own = {f"{time}:", "time:"}
    kept: list[tuple[list[str], str]] = []
    for names, method in _METHOD.findall(methods):
        entry = names.split()
        if own & set(entry) and method.split()[:1] == ["point"]:
            entry = [name for name in entry if name not in own]
        if entry:
            kept.append((entry, method.strip()))
    of_time = [method for names, method in kept if own & set(names)]
    # The mean of means over equal steps is a mean; what is said of it, such as the interval, holds.
    averaged = of_time and re.fullmatch(r"mean(\s*\(.*\))?", of_time[-1])
    if not averaged:
        kept.append(([f"{time}:"], "mean"))
    return " ".join(f"{' '.join(names)} {method}" for names, method in kept)
