"""Time axes of samples at a fixed rate: the stamps of a rate, and the rate of stamps.

In whole nanoseconds: a step that is added again and again drifts away unless it is a whole number.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.calendars import Ints
from xgeoml.exceptions import InputError, TimeAxisError
from xgeoml.times import check_time

__all__ = [
    "SAMPLE_DIMS",
    "SECONDS",
    "SampleTimes",
    "find_rate",
    "read_times",
    "rounded_to",
    "sample_times",
]

# Names of an axis of samples where nothing else tells it: that of a source is seldom called time.
SAMPLE_DIMS = ("sample", "samples", "time_sample", "lag")
# Seconds in units of times that are numbers.
SECONDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "\u00b5s", "\u03bcs", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), 1e-9),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}

_EVEN = 0.05  # of a step
_SECONDS = ("s", "sec", "second", "seconds")
_LONGEST = 9.2e9  # seconds: 2**63 nanoseconds, about


class SampleTimes(NamedTuple):
    """The stamps of an axis.

    Attributes
    ----------
    stamps : (time,)
        Nanoseconds after `since`.
    since : int
        Nanoseconds after 1970; 0 where the axis has dates.
    resolution : int
        Nanoseconds that a stamp may be off by rounding.
    coord : DataArray
        Where they come from.
    """

    stamps: Ints
    since: int
    resolution: int
    coord: xr.DataArray


def sample_times(rate: float, count: int) -> Ints:
    """Return the nanoseconds after the first sample of samples at `rate` Hz, each rounded.

    Examples
    --------
    >>> sample_times(30.0, 4).tolist()
    [0, 33333333, 66666667, 100000000]
    """
    step = 1e9 / rate
    whole, part = round(step), 0.0
    # What misses a whole number by rounding only is one: 0.1 Hz is no exact float, 10 s are.
    if not math.isclose(step, whole, rel_tol=1e-15):
        quotient, rest = divmod(1e9, rate)
        whole, part = int(quotient), rest / rate
    number = np.arange(count, dtype=np.int64)
    times: Ints = number * whole + np.rint(number * part).astype(np.int64)
    return times


def rounded_to(numbers: NDArray[Any]) -> float:
    """Return what times that are numbers are rounded to: few decimals, or what their type holds.

    Where more than a quarter of a step were lost, decimals tell nothing: samples 0, 1, 2, ... are
    no rounded times.

    Examples
    --------
    >>> rounded_to(np.array([0.0, 0.008, 0.016, 0.023, 0.031]))
    0.001
    """
    if numbers.dtype.kind != "f" or numbers.size < 2:
        return 0.0
    largest = np.abs(numbers).max()
    digit = float(np.spacing(largest))
    step = abs(float(numbers[-1] - numbers[0])) / (numbers.size - 1)
    if not 0.0 < step < np.inf:
        return digit
    for decimals in range(math.ceil(math.log10(4.0 / step)), math.floor(-math.log10(digit)) + 1):
        if (np.abs(np.round(numbers, decimals) - numbers) <= 2.0 * digit).all():
            return max(10.0**-decimals, digit)
    return digit


def read_times(array: xr.DataArray, dim: str, name: str | None, since: int | None) -> SampleTimes:
    """Return the stamps along `dim`.

    Parameters
    ----------
    array
        Any dims, `dim` not empty.
    dim, name
        The time dimension, and the coordinate that describes it, if there is one.
    since
        The date from which an axis without dates counts, in nanoseconds after 1970.

    Raises
    ------
    TimeAxisError
        If there are no stamps, one is missing, they are out of order, or they are something else
        than datetime64, timedelta64 and seconds.
    InputError
        If `since` is given and the axis has dates.
    """
    if name is None or name not in array.coords:
        raise TimeAxisError(
            f"dimension {dim!r} has no coordinate; expected dates, or seconds. At 100 Hz, type "
            f"array = array.assign_coords({dim}=np.arange({array.sizes[dim]}) / 100.0)"
        )
    coord = array[name]
    kind = coord.dtype.kind
    if kind in "fm" or (kind in "iu" and str(coord.attrs.get("units", "")) in _SECONDS):
        stamps, resolution = _lengths(coord)
        back = np.flatnonzero(np.diff(stamps) <= 0)
        if back.size:
            at = int(back[0]) + 1
            raise TimeAxisError(
                f"the time coordinate {name!r} is not in order: {coord.values[at]} follows "
                f"{coord.values[at - 1]} at position {at}; expected increasing time. "
                f'Type: array = array.drop_duplicates("{name}").sortby("{name}")'
            )
        return SampleTimes(stamps, since or 0, resolution, coord)
    if kind in "iu":
        raise TimeAxisError(
            f"the time coordinate {name!r} holds whole numbers without a unit; expected dates, or "
            f"seconds. If it counts samples at 100 Hz, type array = array.assign_coords({name}="
            f'array["{name}"] / 100.0); if seconds, array["{name}"].attrs["units"] = "s"'
        )
    check_time(coord)
    if kind != "M":
        raise TimeAxisError(
            f"the time coordinate {name!r} holds dates of cftime; expected datetime64. "
            'Type array = array.convert_calendar("standard", use_cftime=False)'
        )
    if since is not None:
        raise InputError(
            f"start= was given, and the time coordinate {name!r} has dates; expected one of them. "
            f'Leave start= out, or move the dates: array.assign_coords({name}=array["{name}"] + '
            'np.timedelta64(1, "s"))'
        )
    stamps = coord.values.astype("datetime64[ns]")
    if (stamps.astype(coord.dtype) != coord.values).any():
        raise TimeAxisError(
            f"the time coordinate {name!r} reaches from {coord.values[0]} to {coord.values[-1]}; "
            "expected dates from 1678 to 2261, which datetime64[ns] holds. Move them: "
            f'array = array.assign_coords({name}=array["{name}"] - np.timedelta64(days, "D"))'
        )
    return SampleTimes(stamps.astype(np.int64), 0, _unit(coord.dtype) // 2, coord)


def find_rate(times: SampleTimes) -> float:
    """Return the sampling rate in Hz: the one that the coordinate names if it fits, or a round one.

    Raises
    ------
    TimeAxisError
        If the stamps are uneven, or a single one names no rate.
    """
    stamps, coord = times.stamps, times.coord
    told = coord.attrs.get("sampling_rate")
    named = [float(told)] if isinstance(told, int | float | np.number) else []
    if stamps.size == 1:
        if not named or not 0 < named[0] <= 1e9:
            raise TimeAxisError(
                f"the time coordinate {coord.name!r} has one step, and names no sampling rate; "
                "expected two steps or more, or the rate in Hz. "
                f'Type array["{coord.name}"].attrs["sampling_rate"] = 100.0'
            )
        return named[0]
    number = np.arange(1, stamps.size)
    after = stamps[1:] - stamps[0]
    step = float(after[-1] / number[-1])
    off = float(np.abs(after - number * step).max())
    # Milliseconds are a good part of a step at 100 Hz, and no fault of the clock.
    if off > max(_EVEN * step, min(2 * times.resolution, step / 4)):
        raise TimeAxisError(_uneven(times))
    # The steps that explain all stamps, with as little rounding as will do; the last is never none.
    for slack in (0.5, 2.0 * times.resolution, off + 0.5):
        allowed = min(slack, step / 4)
        shortest = float(((after - allowed) / number).max())
        longest = float(((after + allowed) / number).min())
        if shortest <= longest:
            break
    rates = 1e9 / longest, 1e9 / shortest
    within = (rate for rate in named if rates[0] <= rate <= rates[1])
    return next(within, None) or _roundest(*rates)


def _roundest(lowest: float, highest: float) -> float:
    """Return the rate between two that needs the fewest digits, or whose step does."""
    middle = (lowest + highest) / 2
    for digit in range(1, 1001):
        whole, steps = round(middle * digit), round(digit / middle)
        for rate in (whole / digit, digit / max(steps, 1)):
            if lowest <= rate <= highest:
                return rate
    return middle


def _lengths(coord: xr.DataArray) -> tuple[Ints, int]:
    """Return lengths of time in nanoseconds, and how far rounding may have moved them."""
    units = str(coord.attrs.get("units", "s"))
    if coord.dtype.kind != "m" and units not in _SECONDS:
        cure = (
            "Type array = xr.decode_cf(array.to_dataset(name='record'))['record']"
            if " since " in units
            else f"Type array = array.assign_coords({coord.name}=...) with seconds"
        )
        raise TimeAxisError(
            f"the time coordinate {coord.name!r} has units {units!r}; expected dates, or "
            f"seconds. {cure}"
        )
    values = coord.values
    seconds = values / np.timedelta64(1, "s") if values.dtype.kind == "m" else values
    bad = np.flatnonzero(~(np.abs(seconds) < _LONGEST))
    if bad.size:
        raise TimeAxisError(
            f"the time coordinate {coord.name!r} holds {values[bad[0]]} at position {bad[0]}; "
            f"expected a number of seconds within 292 years. Drop it: "
            f'array = array.isel({coord.dims[0]}=np.flatnonzero(array["{coord.name}"].notnull()))'
        )
    if values.dtype.kind == "m":
        return values.astype("timedelta64[ns]").astype(np.int64), _unit(values.dtype) // 2
    digit = rounded_to(seconds)
    stamps = np.rint(seconds.astype(np.float64) * 1e9).astype(np.int64)
    return stamps, math.ceil(digit * 1e9) if digit > 1e-9 else 0


def _unit(dtype: np.dtype[Any]) -> int:
    """Return what dates or lengths of time count, in nanoseconds."""
    return int(np.array([1], dtype).astype(f"{dtype.kind}8[ns]").astype(np.int64)[0])


def _uneven(times: SampleTimes) -> str:
    """Return the message for stamps that no rate explains."""
    stamps, coord = times.stamps, times.coord
    name, (dim,) = coord.name, coord.dims
    steps = np.diff(stamps)
    usual = int(np.median(steps))
    at = int(np.flatnonzero(np.abs(steps - usual) > _EVEN * usual)[:1].sum())
    count = round(float(stamps[-1] - stamps[0]) / usual) + 1
    absent = bool((np.abs(steps / usual - np.rint(steps / usual)) <= _EVEN).all())
    ends = f'array["{name}"].values[0], array["{name}"].values[-1]'
    even, near = {
        "M": (f"pd.date_range({ends}, periods={count})", f'np.timedelta64({usual // 10}, "ns")'),
        "m": (
            f"pd.timedelta_range({ends}, periods={count})",
            f"np.timedelta64({usual // 10}, 'ns')",
        ),
    }.get(coord.dtype.kind, (f"np.linspace({ends}, {count})", f"{usual / 1e10:g}"))
    cure = (
        f'Put in what is absent: array.reindex({name}={even}, method="nearest", tolerance={near})'
        if absent
        else f"Resample it: array.interp({name}={even})"
    )
    if name != dim:
        cure += f', after array = array.swap_dims({dim}="{name}")'
    return (
        f"the time coordinate {name!r} is not evenly spaced: most steps are {usual / 1e9:g} s, the "
        f"one after position {at}, {coord.values[at]}, is {steps[at] / 1e9:g} s; expected one "
        f"sampling rate. {cure}"
    )
