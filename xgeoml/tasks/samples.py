"""The time axis of seismograms: evenly spaced samples, whatever their clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from xgeoml.axes import find_axes, is_cftime
from xgeoml.exceptions import AxisError, InputError, TimeAxisError
from xgeoml.models.series import Floats
from xgeoml.sampling import SAMPLE_DIMS, SECONDS, rounded_to
from xgeoml.times import check_zone

# Names of times where they are no index.
_TIMES = ("time", "times", "t", "seconds")
# How far a sample may be from its place, and what rounding may add to that, in steps: where a
# sample is lost, another is half a step off.
_PLACE, _COARSE = 0.02, 0.25

Clock = Literal["dates", "lengths", "numbers", "none"]


@dataclass(frozen=True)
class Samples:
    """The samples of a record.

    Attributes
    ----------
    dim : str
    clock : {"dates", "lengths", "numbers", "none"}
        Whether their times are dates, lengths of time, or numbers; or there is no coordinate.
    first : object
        Time of the first sample; 0.0 without a coordinate.
    step : float
        Seconds; samples without a coordinate, and numbers of no unit of time are as they are.
    unit : float or None
        Seconds that the numbers count; None where it is not known.
    count : int
    coord : DataArray or None
        Of the dim, or another along it that has the times.
    """

    dim: str
    clock: Clock
    first: Any
    step: float
    unit: float | None
    count: int
    coord: xr.DataArray | None

    def since(self, other: Samples) -> tuple[Clock, Any]:
        """Return the time of the first sample, counted from the first of another axis.

        Raises
        ------
        TimeAxisError
            If one has dates and the other numbers that are no lengths of time, or the like.
        """
        pair = (self.clock, other.clock)
        if self.clock == "none":
            return "none", 0.0
        if pair == ("dates", "dates"):
            if isinstance(self.first, np.datetime64) != isinstance(other.first, np.datetime64):
                raise TimeAxisError(
                    f"the records have dates of {type(self.first).__name__}, the Green's functions "
                    f"of {type(other.first).__name__}; expected the same: one of them as "
                    "obj.convert_calendar('standard', use_cftime=False)"
                )
            return "lengths", np.timedelta64(_length(self.first - other.first), "ns")
        if pair == ("numbers", "numbers"):
            scale = 1.0 if self.unit is None or other.unit is None else other.unit / self.unit
            return "numbers", self.first - scale * other.first
        if pair[1] in ("lengths", "numbers") and pair[0] in ("dates", "lengths"):
            return self.clock, self.first - other._as_length(self.first)
        if other.clock == "none":
            return self.clock, self.first
        if pair == ("numbers", "lengths"):
            unit = 1.0 if self.unit is None else self.unit
            return "numbers", self.first - _length(other.first) * 1e-9 / unit
        raise TimeAxisError(
            f"the Green's functions have dates, the records {_NAMED[self.clock]}; expected times "
            "from the source's onset, such as seconds: "
            f"greens = greens.assign_coords({other.dim}=...)"
        )

    def _as_length(self, like: Any) -> Any:
        """Return the time of the first sample as a length that can be taken from a date."""
        if self.clock == "lengths":
            nanoseconds = _length(self.first)
        else:
            nanoseconds = round(self.first * (1.0 if self.unit is None else self.unit) * 1e9)
        if isinstance(like, (np.datetime64, np.timedelta64)):
            return np.timedelta64(nanoseconds, "ns")
        return timedelta(microseconds=nanoseconds / 1000)

    def stamps(self, clock: Clock, first: Any, count: int) -> NDArray[Any] | None:
        """Return so many of its times, moved so that the first is this; None without any.

        Times that need not be moved stay what they are, so that others are found by them.
        """
        if clock == "none" or self.coord is None:
            return None
        values = self.coord.values[:count]
        if clock == self.clock and first == self.first:
            return np.asarray(values)
        if clock == "numbers":
            step = self.step / (1.0 if self.unit is None else self.unit)
            return np.asarray(first + step * np.arange(count), np.float64)
        if values.dtype.kind in "mM":
            return np.asarray(first + (values - values[0]))
        moved = [v - values[0] for v in values]
        if isinstance(first, np.timedelta64):
            return np.array([first + np.timedelta64(_length(v), "ns") for v in moved])
        return np.array([first + v for v in moved])


_NAMED = {
    "dates": "dates",
    "lengths": "lengths of time",
    "numbers": "numbers",
    "none": "no coordinate",
}


def samples_of(
    array: xr.DataArray, dims: Mapping[str, str] | None = None, label: str = "the data"
) -> Samples:
    """Return the time axis of records.

    Parameters
    ----------
    array : DataArray
    dims : mapping, optional
        The user's word, such as ``{"T": "sample"}``.
    label : str
        For messages.

    Raises
    ------
    AxisError
        If there is no such axis.
    TimeAxisError
        If its samples are not evenly spaced, or fewer than 2.
    """
    dim = sample_dim(array, dims)
    if dim is None:
        raise AxisError(
            f"{label} has the dims {tuple(map(str, array.dims))}, none of which is known to be the "
            "time axis; type dims={'T': 'its name'}"
        )
    count = array.sizes[dim]
    if count < 2:
        raise TimeAxisError(
            f"{label} has {count} sample{'s' * (count != 1)} along {dim!r}; expected 2 or more"
        )
    coord = _times_along(array, dim)
    if coord is None:
        return Samples(dim, "none", 0.0, 1.0, None, count, None)
    check_zone(coord)
    values = coord.values
    if is_cftime(values) or values.dtype.kind in "mM":
        clock: Clock = "lengths" if values.dtype.kind == "m" else "dates"
        step = _even(*_since_first(values), dim, label)
        return Samples(dim, clock, values[0], step, 1.0, count, coord)
    if values.dtype.kind not in "iuf":
        raise TimeAxisError(
            f"{label}: coordinate {coord.name!r} has dtype {values.dtype}; expected dates, lengths "
            "of time or numbers"
        )
    unit = SECONDS.get(str(coord.attrs.get("units", "")).strip().lower())
    numbers = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    finite = values[np.isfinite(values)]
    step = _even(numbers - numbers[0], rounded_to(finite), dim, label)
    return Samples(dim, "numbers", float(numbers[0]), step * (unit or 1.0), unit, count, coord)


def sample_dim(array: xr.DataArray, dims: Mapping[str, str] | None) -> str | None:
    """Return the dim that is the time axis; None if none is known to be."""
    found = find_axes(array, dims).names.get("T")
    if found is None and not (dims and "T" in dims):
        named = [str(d) for d in array.dims if str(d).lower() in SAMPLE_DIMS]
        found = named[0] if len(named) == 1 else None
    return found


def _times_along(array: xr.DataArray, dim: str) -> xr.DataArray | None:
    """Return the coordinate of a dim, or the one other along it that has times; None without."""
    if dim in array.coords:
        own: xr.DataArray = array.coords[dim]
        return own
    found: list[xr.DataArray] = [
        coord
        for name, coord in array.coords.items()
        if coord.dims == (dim,)
        if coord.dtype.kind in "mM" or (str(name).lower() in _TIMES and coord.dtype.kind in "iuf")
    ]
    return found[0] if len(found) == 1 else None


def _since_first(values: NDArray[Any]) -> tuple[Floats, float]:
    """Return dates or lengths in seconds after the first, and what they are rounded to."""
    if values.dtype.kind == "O":
        return np.array([_length(v - values[0]) for v in values], np.float64) * 1e-9, 1e-6
    since = (values - values[0]).astype("timedelta64[ns]")
    seconds = since.astype(np.int64) * 1e-9
    unit, many = np.datetime_data(values.dtype)
    digit = np.array(many).astype(f"timedelta64[{unit}]")[()]
    return np.where(np.isnat(since), np.nan, seconds), _length(digit) * 1e-9


def _even(since: Floats, digit: float, dim: str, label: str) -> float:
    """Return the step of times that are evenly spaced.

    Parameters
    ----------
    since : ndarray
        Times after the first.
    digit : float
        What they are rounded to.
    dim, label : str
        For messages.
    """
    found = f"{label}: times along {dim!r}"
    lost = np.flatnonzero(~np.isfinite(since))
    if lost.size:
        raise TimeAxisError(
            f"{found} are missing or infinite, {lost.size} of {len(since)}; expected one for each "
            f"sample: obj.dropna({dim!r}), or assign_coords"
        )
    step = float(since[-1]) / (len(since) - 1)
    back = np.flatnonzero(np.diff(since) <= 0)
    if back.size == len(since) - 1 and step < 0:
        raise TimeAxisError(f"{found} descend; expected them to ascend: obj.sortby({dim!r})")
    off = np.abs(since - step * np.arange(len(since)))
    coarse = digit > _COARSE * step
    told = f" (they are rounded to {digit:.2g}: too coarse to tell)" if coarse else ""
    if back.size:
        at = int(back[0]) + 1
        raise TimeAxisError(
            f"{found} do not ascend, see number {at}{told}; expected each later than the last: "
            f"obj.sortby({dim!r}).drop_duplicates({dim!r})"
        )
    if off.max() > _PLACE * step + min(digit, _COARSE * step):
        raise TimeAxisError(
            f"{found} are not evenly spaced, see number {int(off.argmax())}{told}; expected one "
            f"step throughout: obj.interp({dim}=...), or where only the stamps are wrong "
            f"obj.assign_coords({dim}=...)"
        )
    return step


def _length(value: Any) -> int:
    """Return a length of time in nanoseconds."""
    if isinstance(value, np.timedelta64):
        return int(value.astype("timedelta64[ns]").astype(np.int64))
    return round(float(value.total_seconds()) * 1e9)


def count_of(length: int | str | timedelta | np.timedelta64 | None, samples: Samples) -> int:
    """Return how many samples a source has that was asked for.

    Parameters
    ----------
    length : int, str, timedelta or None
        Samples, or a length of time such as ``"30s"``; None: as many as the record has.
    samples : Samples
        Of the record.

    Raises
    ------
    InputError
        If it is no length, or longer than the record.
    """
    if length is None:
        return samples.count
    # To NumPy a length of time is an integer, and to Python True is.
    no_count = isinstance(length, (bool, np.timedelta64))
    if isinstance(length, (int, np.integer)) and not no_count:
        count = int(length)
    else:
        seconds = _seconds_of(length)
        if samples.unit is None:
            raise InputError(
                f"length={length!r}: the time axis {samples.dim!r} is in no unit of time; expected "
                "a number of samples, or type "
                f"obj[{samples.dim!r}].attrs['units'] = 's' first"
            )
        count = round(seconds / samples.step)
    if not 2 <= count <= samples.count:
        raise InputError(
            f"length={length!r} is {count} samples; expected 2 to {samples.count}, those of the "
            "record"
        )
    return count


def _seconds_of(length: Any) -> float:
    """Return a length of time in seconds."""
    try:
        # To pandas bare numbers are nanoseconds.
        if isinstance(length, (str, timedelta, np.timedelta64)) and not _is_number(length):
            seconds = float(pd.Timedelta(length).total_seconds())
            if np.isfinite(seconds):
                return seconds
    except (ValueError, OverflowError):
        pass
    raise InputError(
        f"length={length!r}: expected a whole number of samples, or a length of time such as '30s'"
    )


def _is_number(length: Any) -> bool:
    return isinstance(length, str) and length.strip().replace(".", "", 1).isdecimal()
