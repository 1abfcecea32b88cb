"""Which times are wanted of a record, and where they lie among its own."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from xgeoml.axes import is_cftime
from xgeoml.calendars import Ints, read_clock
from xgeoml.engine.totals import Totals
from xgeoml.exceptions import InputError, TimeAxisError
from xgeoml.models.downscaling import Clock
from xgeoml.models.series import Floats
from xgeoml.tasks.frequencies import fixed_length, read_freq
from xgeoml.times import decimal_years

TimeStep = str | timedelta | np.timedelta64 | pd.offsets.BaseOffset
Times = str | Sequence[Any] | NDArray[Any] | pd.Index | xr.DataArray
# More times than that were a slip of the pen.
_MOST = 10**7
_DAY = pd.Timedelta(days=1)
# What nanoseconds since 1970 can hold.
_NANOSECONDS = np.array(["1678-01-01", "2262-01-01"], "datetime64[s]")


@dataclass(frozen=True, eq=False)
class Instants:
    """Times, in the calendar of the record whose they are.

    Attributes
    ----------
    dim : str
        The record's time.
    stamps : ndarray, (time,)
        Of the result.
    days, wanted : ndarray, (step,) and (time,)
        When steps and times are, days since any moment: of totals the middles.
    clock, clock_wanted : Clock
    owner, copied : ndarray of int, (time,)
        See `xgeoml.engine.in_time.InTime`.
    low : ndarray of int, (time,)
        The step from which coordinates are interpolated to each stamp.
    share : ndarray, (time,)
        Of the interval after it; below 0 or above 1 beyond the ends.
    edges : ndarray, (time, 2), or None
        Of the intervals that the result has totals of.
    totals : Totals or None
    """

    dim: str
    stamps: NDArray[Any]
    days: Floats
    wanted: Floats
    clock: Clock
    clock_wanted: Clock
    owner: NDArray[np.intp]
    copied: NDArray[np.intp]
    low: NDArray[np.intp]
    share: Floats
    edges: NDArray[Any] | None = None
    totals: Totals | None = None


def instants_between(
    coord: xr.DataArray, freq: TimeStep | None, factor: int | None, times: Times | None
) -> Instants:
    """Return the times that are wanted between the steps of a record.

    Parameters
    ----------
    coord : DataArray, (step,)
        Its time, see `xgeoml.times.check_time`.
    freq, factor, times
        One of them; see `xgeoml.interp_time`.

    Raises
    ------
    TimeAxisError, InputError
        If they say nothing of a time within the record.
    """
    dim, given = str(coord.dims[0]), coord.values
    if times is not None:
        asked = read_times(times, given, dim)
        given, asked = same_unit(given, asked)
        clock = read_clock(given)
        ticks = clock.read(asked)
        check_within(asked, ticks, clock.ticks[[0, -1]], given[[0, -1]], dim)
    elif given.size < 2:
        raise TimeAxisError(
            f"{dim!r} has 1 step; expected two or more: times lie between steps. Take more of the "
            "record, or leave this one as it is"
        )
    elif factor is not None:
        given = divisible(given, np.diff(read_clock(given).ticks), factor)
        clock = read_clock(given)
        parts = divided(clock.ticks[:-1], clock.ticks[1:], factor, f"factor={factor}")
        ticks = np.append(parts[:, :-1].ravel(), clock.ticks[-1])
        if (np.diff(ticks) <= 0).any():
            raise InputError(
                f"factor={factor}: parts of a step are too short for stamps of their own"
            )
    else:
        assert freq is not None
        offset = read_freq(freq)
        given = with_unit_of(given, offset)
        clock = read_clock(given)
        ticks = ticks_of(given[0], given[-1], offset, freq)
        if not ticks.size:
            raise InputError(
                f"freq={freq!r} has no time between {shown(given[0])} and {shown(given[-1])}, the "
                f"first and last of {dim!r}; expected a shorter one, or times=[...]"
            )
    owner = np.searchsorted(clock.ticks, ticks, side="right") - 1
    stamps = clock.values(ticks)
    low, share = places(ticks, clock.ticks)
    return Instants(
        dim,
        stamps,
        _days(clock.ticks, clock.ticks[0], clock.day),
        _days(ticks, clock.ticks[0], clock.day),
        clock_at(given),
        clock_at(stamps),
        owner,
        np.where(clock.ticks[owner] == ticks, owner, -1),
        low,
        share,
    )


def clock_at(stamps: NDArray[Any]) -> Clock:
    """Return season, time of day and years of stamps."""
    years, clock = decimal_years(stamps), read_clock(stamps)
    return Clock(years % 1.0, clock.ticks % clock.day / clock.day, years)


def _days(ticks: Ints, origin: int, day: int) -> Floats:
    return np.asarray((ticks - origin) / day, np.float64)


def places(ticks: Ints, steps: Ints) -> tuple[NDArray[np.intp], Floats]:
    """Return the step before each time, and the share of the interval after it that has passed.

    Parameters
    ----------
    ticks, steps : ndarray of int, (time,) and (step,)
    """
    if len(steps) == 1:
        return np.zeros(len(ticks), np.intp), np.zeros(len(ticks))
    low = np.clip(np.searchsorted(steps, ticks, side="right") - 1, 0, len(steps) - 2)
    return low, np.asarray((ticks - steps[low]) / (steps[low + 1] - steps[low]), np.float64)


def check_no_zone(times: Times) -> None:
    """Raise TimeAxisError if times have a time zone: NumPy's have none."""
    zone = getattr(getattr(times, "dtype", None), "tz", None)
    if zone is not None:
        index = "times.to_index()" if isinstance(times, xr.DataArray) else "pd.DatetimeIndex(times)"
        raise TimeAxisError(
            f"times= have the time zone {zone}; expected UTC: times={index}.tz_convert(None)"
        )


def read_times(times: Times, given: NDArray[Any], dim: str) -> NDArray[Any]:
    """Return what the user says of times as stamps of the record's kind.

    Raises
    ------
    TimeAxisError, InputError
        If they are no dates, of another calendar, not in order, or there are none.
    """
    check_no_zone(times)
    values = times.values if isinstance(times, xr.DataArray) else np.asarray(times)
    values = np.atleast_1d(values)
    if values.ndim != 1 or values.size == 0:
        raise InputError(
            f"times= have shape {values.shape}; expected one dimension, and at least one time: "
            f"times=['{shown(given[0])}']"
        )
    made = _in_cftime(values, given, dim) if is_cftime(given) else _in_datetime64(values, dim)
    if made.dtype.kind == "M" and np.isnat(made).any():
        raise TimeAxisError("times= hold NaT, which is no time; leave it out")
    if (made[1:] <= made[:-1]).any():
        at = int(np.flatnonzero(made[1:] <= made[:-1])[0])
        raise TimeAxisError(
            f"times= go from {shown(made[at])} to {shown(made[at + 1])} at position {at + 1}; "
            "expected ascending times, each once: times=np.unique(times)"
        )
    return made


def _in_datetime64(values: NDArray[Any], dim: str) -> NDArray[Any]:
    if values.dtype.kind == "M":
        return values
    if is_cftime(values):
        raise TimeAxisError(
            f"times= are cftime dates of the calendar {values[0].calendar!r} and {dim!r} is "
            "datetime64; expected the same of both: give text, such as '2001-01-01T06'"
        )
    try:
        if values.dtype.kind in "biuf":
            raise TypeError("numbers are no dates")
        made = pd.DatetimeIndex([pd.Timestamp(v) for v in values.tolist()])
        if made.tz is not None:
            raise TypeError("they have a time zone: give UTC without one")
    except (TypeError, ValueError) as error:
        raise TimeAxisError(
            f"times= cannot be read as dates: {error}; expected such as '2001-01-01T06' or "
            "np.datetime64('2001-01-01T06')"
        ) from error
    return made.values


def _in_cftime(values: NDArray[Any], given: NDArray[Any], dim: str) -> NDArray[Any]:
    calendar = given[0].calendar
    if is_cftime(values):
        other = {v.calendar for v in values} - {calendar}
        if not other:
            return values
        found = f"cftime dates of the calendar {other.pop()!r}"
    elif values.dtype.kind == "U" or all(isinstance(v, str) for v in values):
        try:
            kept = {"periods": 1, "freq": "D", "calendar": calendar, "use_cftime": True}
            made = [xr.date_range(str(v), **kept)[0] for v in values]
        except ValueError as error:
            raise TimeAxisError(
                f"times= cannot be read as dates of the calendar {calendar!r}: {error}; expected "
                "such as '2001-01-01T06:00'"
            ) from error
        return np.array(made, dtype=object)
    else:
        found = f"of dtype {values.dtype}"
    raise TimeAxisError(
        f"times= are {found} and {dim!r} has cftime dates of the calendar {calendar!r}; expected "
        f"the same, or text: xr.date_range(..., calendar={calendar!r}, use_cftime=True)"
    )


def same_unit(*several: NDArray[Any]) -> list[NDArray[Any]]:
    """Return stamps in the finest unit of all, those of cftime as they are."""
    if any(s.dtype.kind != "M" for s in several):
        return list(several)
    finest = np.result_type(*several)
    return [s.astype(finest) for s in several]


def check_within(
    asked: NDArray[Any], ticks: Ints, ends: Ints, dates: NDArray[Any], dim: str
) -> None:
    """Raise if a time lies outside of the record."""
    outside = np.flatnonzero((ticks < ends[0]) | (ticks > ends[1]))
    if outside.size:
        raise TimeAxisError(
            f"times= hold {shown(asked[outside[0]])}; expected times from {shown(dates[0])} to "
            f"{shown(dates[1])}, those of {dim!r}: nothing is known beyond the first and last step"
        )


def with_unit_of(stamps: NDArray[Any], offset: pd.offsets.BaseOffset) -> NDArray[Any]:
    """Return stamps in a unit that a frequency is whole in."""
    step = fixed_length(offset)
    if step is None or stamps.dtype.kind != "M":
        return stamps
    within = step / _DAY * read_clock(stamps[:1]).day
    return stamps if within == round(within) else _finest(stamps)


def divisible(stamps: NDArray[Any], lengths: Ints, factor: int) -> NDArray[Any]:
    """Return stamps in a unit in which so many parts of each length are whole, or nearly so."""
    if stamps.dtype.kind != "M" or not (lengths % factor).any():
        return stamps
    return _finest(stamps)


def _finest(stamps: NDArray[Any]) -> NDArray[Any]:
    low, high = _NANOSECONDS
    fits = bool((stamps > low).all() and (stamps < high).all())
    return np.asarray(
        stamps.astype(np.result_type(stamps, f"datetime64[{'ns' if fits else 'us'}]"))
    )


def divided(starts: Ints, ends: Ints, factor: int, what: str) -> Ints:
    """Return the edges of so many parts of each interval, (interval, factor + 1)."""
    check_number(len(starts) * factor, what)
    lengths, k = (ends - starts)[:, None], np.arange(factor + 1)
    # In this order nothing overflows that is in nanoseconds.
    return np.asarray(starts[:, None] + lengths // factor * k + lengths % factor * k // factor)


def ticks_of(first: Any, last: Any, offset: pd.offsets.BaseOffset, freq: object) -> Ints:
    """Return the ticks of a frequency from one stamp to another, in the clock of the first.

    Of one of fixed length they begin with the first; the calendar decides where others do.
    """
    ends = np.array([first, last])
    clock = read_clock(ends)
    step = fixed_length(offset)
    if step is not None:
        length = ticks_in(step, clock.day, freq)
        check_number((clock.ticks[1] - clock.ticks[0]) // length, f"freq={freq!r}")
        return np.arange(clock.ticks[0], clock.ticks[1] + 1, length, dtype=np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names of frequencies that pandas is about to change
        try:
            if is_cftime(ends):
                made = xr.date_range(
                    first,
                    last,
                    freq=offset.freqstr,
                    calendar=ends[0].calendar,
                    use_cftime=True,
                )
            else:
                made = pd.date_range(first, last, freq=offset)
        except ValueError as error:
            raise InputError(
                f"freq={freq!r} cannot be used with this calendar: {error}; expected one such as "
                "'MS', or give the times, times=[...]"
            ) from error
    return clock.read(np.asarray(made, dtype=ends.dtype))


def ticks_in(step: pd.Timedelta, day: int, freq: object) -> int:
    """Return a length of time in ticks, of which a day has so many."""
    whole, rest = divmod(int(step / pd.Timedelta(1, "ns")) * day, int(_DAY / pd.Timedelta(1, "ns")))
    if rest or not whole:
        raise InputError(f"freq={freq!r} is finer than the stamps can say; expected a longer one")
    return whole


def check_number(n: int, what: str) -> None:
    """Raise if there would be more times than anyone wants."""
    if n > _MOST:
        raise InputError(f"{what} gives {n:.3g} times; expected at most {_MOST:.0g}")


def shown(stamp: object) -> str:
    """Return a stamp without the digits that say nothing."""
    text = str(stamp).replace(" ", "T")
    text = text if text.partition(".")[2].strip("0") else text.split(".")[0]
    return text.removesuffix("T00:00:00")
