"""The time axes of waveforms that are compared."""

from __future__ import annotations

from typing import NamedTuple

import xarray as xr

from xgeoml.axes import find_axes
from xgeoml.exceptions import AxisError, TimeAxisError
from xgeoml.sampling import SAMPLE_DIMS, SECONDS, find_rate, read_times

# By how much samples may miss those of another axis, in steps; of the last, if steps differ.
_OFF, _DRIFT = 0.05, 0.1


class TimeAxis(NamedTuple):
    """The evenly spaced samples of a waveform.

    Attributes
    ----------
    dim : str
    size : int
        Number of samples.
    dated : bool or None
        Whether their times are dates; None: there are no times.
    first : int
        Time of the first sample in nanoseconds, dates after 1970; 0 without times.
    step : float
        In `unit`.
    unit : str
        "s"; of numbers in no unit of time what they say of themselves, or nothing; "samples"
        without times.
    """

    dim: str
    size: int
    dated: bool | None
    first: int
    step: float
    unit: str


def time_axis(array: xr.DataArray, dim: str | None = None, what: str = "it") -> TimeAxis:
    """Return the time axis of waveforms.

    Parameters
    ----------
    array : DataArray
    dim : str, optional
        The user's word on it; counts if the array has such a dim.
    what : str
        For messages.

    Raises
    ------
    AxisError
        If no dim is known to be it.
    TimeAxisError
        If its samples are not evenly spaced.
    """
    found = dim if dim in array.dims else find_axes(array).get("T")
    if found is None:
        dims = [str(d) for d in array.dims]
        named = [d for d in dims if d.lower() in SAMPLE_DIMS] or dims
        found = named[0] if len(named) == 1 else None
    if found is None:
        raise AxisError(
            f"{what} has the dims {tuple(map(str, array.dims))}, none of which is known to be the "
            "time axis; type dim='its name'"
        )
    size = array.sizes[found]
    if found not in array.coords:
        return TimeAxis(found, size, None, 0, 1.0, "samples")
    coord, unit = array[found], "s"
    told = str(coord.attrs.get("units", "")).strip()
    if coord.dtype.kind in "iuf" and " since " not in told:
        seconds = SECONDS.get(told.lower())
        unit = told if seconds is None else "s"
        numbers = coord.values * (seconds or 1.0)
        # Numbers of another kind are read as if they were seconds, and called what they are.
        array = array.assign_coords({found: (found, numbers, {**coord.attrs, "units": "s"})})
    times = read_times(array, found, found, None)
    return TimeAxis(
        found,
        size,
        times.coord.dtype.kind == "M",
        int(times.stamps[0]),
        1.0 / find_rate(times),
        unit,
    )


def steps_apart(one: TimeAxis, other: TimeAxis, names: tuple[str, str]) -> int:
    """Return by how many steps the first sample of `other` is later than that of `one`.

    Where one of them has no times, both begin together.

    Parameters
    ----------
    one, other : TimeAxis
    names : tuple of str
        What they are of, as the user would type it.

    Raises
    ------
    TimeAxisError
        If their samples do not coincide, or only one of them has dates.
    """
    if one.dated is None or other.dated is None:
        return 0
    if one.dated != other.dated:
        with_dates, without = names if one.dated else names[::-1]
        dim = one.dim if one.dated else other.dim
        raise TimeAxisError(
            f"{with_dates} has dates, {without} has none; expected both or none: count from the "
            f"onset, {with_dates}.assign_coords({dim}=({with_dates}[{dim!r}] - onset) / "
            "np.timedelta64(1, 's'))"
        )
    cure = (
        f"expected the same samples: {names[1]}.interp({other.dim}={names[0]}[{one.dim!r}].values, "
        "kwargs={'fill_value': 0.0})"
    )
    unit = "s" if "s" in (one.unit, other.unit) else one.unit
    check_steps(one, other, names, cure)
    apart = (other.first - one.first) * 1e-9 / one.step
    if abs(apart - round(apart)) > _OFF:
        off = abs(apart - round(apart)) * one.step
        raise TimeAxisError(
            f"samples of {names[1]} lie {off:.4g} {unit} beside those of {names[0]}; {cure}"
        )
    return round(apart)


def check_steps(one: TimeAxis, other: TimeAxis, names: tuple[str, str], cure: str) -> None:
    """Raise `TimeAxisError` unless both have one step, as far as that is known."""
    if one.dated is None or other.dated is None:
        return
    count = min(one.size, other.size)
    if abs(other.step / one.step - 1.0) * count > _DRIFT:
        raise TimeAxisError(
            f"{names[0]} has a sample every {one.step:.6g} {one.unit}, {names[1]} one every "
            f"{other.step:.6g} {other.unit}; {cure}"
        )
