"""The axis of time of a picture: places, ticks, and stamps in words."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from xgeoml.axes import is_cftime
from xgeoml.exceptions import GeoMLError, InputError
from xgeoml.plot._figures import label_of
from xgeoml.times import decimal_years

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel

Floats = NDArray[np.float64]

_MONTH_OR_YEAR = re.compile(r"\d{4}(-\d{1,2})?")
_DAY = np.timedelta64(86_400_000_000_000, "ns")
# Of an axis of time, what is shown of it at both sides of the steps.
_BESIDE = 0.01
# Days between the stamps of months and years: their day says little.
_MONTH = 27.0


class TimeLine(NamedTuple):
    """Where steps are along the axis of time of a picture.

    Attributes
    ----------
    places : ndarray, (time,)
        Days since 1970 where they are dates.
    label : str
    dated : bool
    only : str
        The only stamp in words; empty where there are several.
    """

    places: Floats
    label: str
    dated: bool
    only: str = ""


def time_line(values: NDArray[Any], coord: xr.DataArray | None, dim: str) -> TimeLine:
    """Return where stamps are drawn.

    Parameters
    ----------
    values : ndarray, (time,)
        Stamps of the coordinate, or more of its kind.
    coord : DataArray or None
        What tells their meaning; None: they are counted.
    dim : str
    """
    if coord is None:
        return TimeLine(np.arange(len(values), dtype=np.float64), dim, False)
    only = stamp(values[0]) if len(values) == 1 else ""
    if is_cftime(values):
        calendar = getattr(values.flat[0], "calendar", "")
        plain = calendar in ("standard", "gregorian", "proleptic_gregorian")
        label = "" if plain else f"calendar {calendar}"
        return TimeLine(_days(_as_datetime64(values)), label, True, only)
    if values.dtype.kind == "M":
        return TimeLine(_days(values), "", True, only)
    if values.dtype.kind == "m":
        return TimeLine(values / np.timedelta64(1, "s"), f"{dim} (s)", False)
    if values.dtype.kind in "iuf":
        return TimeLine(values.astype(np.float64), label_of(coord), False)
    return TimeLine(np.arange(len(values), dtype=np.float64), dim, False)


def edges_of(places: Floats) -> Floats:
    """Return edges half-way between places; of one place, half a step to both sides."""
    if len(places) < 2:
        return np.concatenate([places - 0.5, places + 0.5])
    inner = 0.5 * (places[1:] + places[:-1])
    return np.concatenate([[2 * places[0] - inner[0]], inner, [2 * places[-1] - inner[-1]]])


def name_time(panel: Panel, line: TimeLine) -> None:
    """Write the ticks of an axis of time."""
    if line.only:
        panel.set_xticks(line.places, [line.only])
    elif line.dated:
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator: Any = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
        panel.xaxis.set_major_locator(locator)
        concise: Any = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
        panel.xaxis.set_major_formatter(concise)
    panel.set_xlabel(line.label)


def show_all(panel: Panel, line: TimeLine) -> None:
    """Show the whole of a time, also where there is no value."""
    low, high = float(line.places.min(initial=np.inf)), float(line.places.max(initial=-np.inf))
    if low <= high:
        beside = _BESIDE * (high - low) or 0.5
        panel.set_xlim(low - beside, high + beside)


def stamp(value: Any, coord: xr.DataArray | None = None) -> str:
    """Return a time as it is written above a map.

    Parameters
    ----------
    value : object
    coord : DataArray, optional
        That it is one of: of months the day is left out, of whole days the hour.
    """
    if isinstance(value, np.timedelta64):
        return f"{value / np.timedelta64(1, 's'):g} s"
    text = str(value).replace("T", " ").split(".")[0]
    if not (isinstance(value, np.datetime64) or is_cftime([value])):
        return f"{value:g}" if isinstance(value, (int, float, np.number)) else text
    all_stamps = np.asarray([value]) if coord is None else np.atleast_1d(coord.values)
    if len(all_stamps) > 1 and _median_days(all_stamps) >= _MONTH:
        return text[:7]
    short = text[:16]
    return short.removesuffix(" 00:00") if _whole_days(all_stamps) else short


def nearest_step(coord: xr.DataArray, wanted: Any) -> int:
    """Return the step nearest to a time.

    Parameters
    ----------
    coord : (time,)
    wanted : str, date or number
        Text such as ``"2015-06"`` for dates of any calendar, here a step of that month.

    Raises
    ------
    InputError
        If it is no time, or a step and more outside of the record.
    """
    line = time_line(coord.values, coord, str(coord.dims[0]))
    place = _place_of(coord, wanted)
    if isinstance(wanted, str) and _MONTH_OR_YEAR.fullmatch(wanted.strip()):
        # A step of that month, wherever in it the stamps lie.
        whole = pd.Period(wanted)
        end = _place_of(coord, str(whole.end_time))
        inside = np.flatnonzero((line.places >= place) & (line.places <= end))
        if inside.size:
            middle = np.abs(line.places[inside] - 0.5 * (place + end))
            return int(inside[np.argmin(middle)])
    apart = np.abs(line.places - place)
    steps = np.diff(line.places)
    allowed = float(np.abs(steps).max()) if len(steps) else np.inf
    outside = max(line.places.min() - place, place - line.places.max())
    if not np.isfinite(place) or outside > allowed:
        raise InputError(
            f"time={wanted!r} lies outside of the record; expected one from "
            f"{stamp(coord.values[0], coord)} to {stamp(coord.values[-1], coord)}"
        )
    return int(np.argmin(apart))


def median_step(coord: xr.DataArray) -> float:
    """Return the usual distance of steps: days, or the units of numbers; inf of one step."""
    places = time_line(coord.values, coord, str(coord.name)).places
    return float(np.median(np.diff(places))) if len(places) > 1 else float("inf")


def _place_of(coord: xr.DataArray, wanted: Any) -> float:
    """Return where along the axis a time lies."""
    dated = coord.values.dtype.kind == "M" or is_cftime(coord.values)
    try:
        if not dated:
            if coord.values.dtype.kind == "m":
                return float(np.timedelta64(wanted) / np.timedelta64(1, "s"))
            return float(wanted)
        if isinstance(wanted, xr.DataArray):
            wanted = wanted.values[()]
        if is_cftime([wanted]):
            return float(_days(_as_datetime64(np.array([wanted], object)))[0])
        # To pandas a bare number is nanoseconds after 1970.
        if not isinstance(wanted, (str, date, np.datetime64)):
            raise TypeError
        return float(_days(np.array([pd.Timestamp(wanted).to_datetime64()]))[0])
    except (ValueError, TypeError, GeoMLError) as error:
        example = repr(stamp(coord.values[0], coord)) if dated else f"{coord.values[0]}"
        raise InputError(f"time={wanted!r}: expected a time such as {example}") from error


def _as_datetime64(stamps: NDArray[Any]) -> NDArray[Any]:
    """Return dates of any calendar as those of ours at the same part of the year."""
    if getattr(stamps.flat[0], "calendar", "") in ("standard", "gregorian", "proleptic_gregorian"):
        return np.array([np.datetime64(s.isoformat(), "us") for s in stamps])
    years = decimal_years(stamps)
    whole = np.floor(years).astype(np.int64)
    start, end = (
        (whole - 1970 + k).astype("datetime64[Y]").astype("datetime64[s]") for k in (0, 1)
    )
    seconds = (end - start).astype(np.int64) * (years - whole)
    return np.asarray(start + np.round(seconds).astype("timedelta64[s]"))


def _days(stamps: NDArray[Any]) -> Floats:
    since = stamps - np.datetime64(0, "s")
    return np.asarray(since / _DAY, np.float64)


def _median_days(stamps: NDArray[Any]) -> float:
    dates = _as_datetime64(stamps) if is_cftime(stamps) else stamps
    return float(np.median(np.abs(np.diff(_days(dates)))))


def _whole_days(stamps: NDArray[Any]) -> bool:
    if is_cftime(stamps):
        return all((s.hour, s.minute, s.second) == (0, 0, 0) for s in stamps)
    return bool((stamps == stamps.astype("datetime64[D]")).all())
