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

# Names of the axis where nothing else tells it.
_NAMES = ("sample", "samples", "time_sample", "lag")
# Seconds in units of times that are numbers.
_SECONDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "µs", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
}
# How far a sample may be from its place, in steps, and what numbers of an axis may be off by, in
# units of their own last digits.
_PLACE, _DIGITS = 0.02, 4.0

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
        if pair in (("none", "none"), ("numbers", "none"), ("none", "numbers")):
            return self.clock, self.first - other.first if pair[0] == pair[1] else self.first
        if pair == ("dates", "dates"):
            return "lengths", np.timedelta64(_length(self.first - other.first), "ns")
        if pair == ("numbers", "numbers"):
            scale = 1.0 if self.unit is None or other.unit is None else other.unit / self.unit
            return "numbers", self.first - scale * other.first
        if pair[1] in ("lengths", "numbers") and pair[0] in ("dates", "lengths"):
            return self.clock, self.first - other._as_length(self.first)
        if pair[1] == "none":
            return self.clock, self.first
        if pair == ("numbers", "lengths"):
            unit = 1.0 if self.unit is None else self.unit
            return "numbers", self.first - _length(other.first) * 1e-9 / unit
        if pair == ("none", "lengths"):
            return "none", 0.0
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
        """Return so many times with the step of this axis; None without a coordinate."""
        if clock == "none":
            return None
        number = np.arange(count)
        if clock == "numbers":
            step = self.step / (1.0 if self.unit is None else self.unit)
            return np.asarray(first + step * number, np.float64)
        offset = np.round(number * self.step * 1e9).astype(np.int64)
        if isinstance(first, (np.datetime64, np.timedelta64)):
            unit = "datetime64[ns]" if isinstance(first, np.datetime64) else "timedelta64[ns]"
            return np.asarray(first.astype(unit) + offset.astype("timedelta64[ns]"))
        return np.array([first + timedelta(microseconds=int(o) / 1000) for o in offset])


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
        raise TimeAxisError(f"{label} has {count} samples along {dim!r}; expected 2 or more")
    if dim not in array.coords:
        return Samples(dim, "none", 0.0, 1.0, None, count, None)
    coord = array.coords[dim]
    values = coord.values
    if is_cftime(values) or values.dtype.kind in "mM":
        clock: Clock = "lengths" if values.dtype.kind == "m" else "dates"
        since = np.array([_length(v - values[0]) for v in values], np.float64) * 1e-9
        step = _even(since, 1e-9, dim, label)
        return Samples(dim, clock, values[0], step, 1.0, count, coord)
    if values.dtype.kind not in "iuf":
        raise TimeAxisError(
            f"{label}: coordinate {dim!r} has dtype {values.dtype}; expected dates, lengths of "
            "time or numbers"
        )
    unit = _SECONDS.get(str(coord.attrs.get("units", "")).strip().lower())
    numbers = values.astype(np.float64)
    digits = np.finfo(values.dtype if values.dtype.kind == "f" else np.float64).eps
    largest = float(np.abs(numbers).max()) if np.isfinite(numbers).all() else np.inf
    step = _even(numbers - numbers[0], digits * largest, dim, label)
    return Samples(dim, "numbers", float(numbers[0]), step * (unit or 1.0), unit, count, coord)


def sample_dim(array: xr.DataArray, dims: Mapping[str, str] | None) -> str | None:
    """Return the dim that is the time axis; None if none is known to be."""
    found = find_axes(array, dims).names.get("T")
    if found is None and not (dims and "T" in dims):
        named = [str(d) for d in array.dims if str(d).lower() in _NAMES]
        found = named[0] if len(named) == 1 else None
    return found


def _even(since: Floats, digits: float, dim: str, label: str) -> float:
    """Return the step of times that are evenly spaced."""
    number = np.arange(len(since))
    step = since[-1] / number[-1]
    off = np.abs(since - step * number) if np.isfinite(since).all() else np.array([np.inf])
    if not step > 0 or off.max() > _PLACE * step + _DIGITS * digits:
        at = int(off.argmax()) if np.isfinite(off.max()) else int((~np.isfinite(since)).argmax())
        raise TimeAxisError(
            f"{label}: samples along {dim!r} are not evenly spaced and ascending, see number {at}; "
            f"expected one step throughout: sort and interpolate, obj.sortby({dim!r}).interp"
            f"({dim}=...)"
        )
    return float(step)


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
        try:
            seconds = pd.Timedelta(length).total_seconds()
        except (ValueError, TypeError) as error:
            raise InputError(
                f"length={length!r}: expected a number of samples, or a length of time such as "
                "'30s'"
            ) from error
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
