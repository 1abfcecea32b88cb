"""The time axis: is it usable, and which decimal years does it hold.

Which steps are absent is found by `xgeoml.steps`; `xgeoml.insert` puts them in.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from xgeoml.axes import is_cftime
from xgeoml.calendars import read_clock
from xgeoml.exceptions import TimeAxisError

__all__ = ["check_time", "check_zone", "decimal_years"]


def decimal_years(coord: xr.DataArray | ArrayLike) -> NDArray[np.float64]:
    """Return time stamps as years with a fraction, the same for all calendars.

    The fraction is that of the stamp's own year in its own calendar: 1 July is about 0.496 in
    every one. Strictly increasing where the stamps are.

    Parameters
    ----------
    coord : (time,)
        datetime64 or cftime stamps.

    Returns
    -------
    ndarray of float64, (time,)

    Raises
    ------
    TimeAxisError
        If the stamps are of another type.

    Examples
    --------
    >>> decimal_years(np.array(["2001-01-01", "2001-07-02T12:00"], dtype="datetime64[s]")).tolist()
    [2001.0, 2001.5]
    """
    stamps = coord.values if isinstance(coord, xr.DataArray) else np.asarray(coord)
    if stamps.size == 0:
        return np.empty(stamps.shape, dtype=np.float64)
    clock = read_clock(stamps)
    year = clock.month // 12
    start, end = clock.month_start(12 * year), clock.month_start(12 * year + 12)
    return np.asarray(year + (clock.ticks - start) / (end - start), dtype=np.float64)


def check_time(coord: xr.DataArray) -> None:
    """Raise unless a coordinate is usable as time: dates, none missing, strictly increasing.

    Parameters
    ----------
    coord : (time,)
        The time coordinate, as ``obj["time"]``; one step is enough.

    Raises
    ------
    TimeAxisError
        Saying what is wrong and what to type.
    """
    dim = str(coord.dims[0]) if coord.ndim == 1 else str(coord.name)
    name = str(coord.name) if coord.name is not None else dim
    if coord.ndim != 1:
        raise TimeAxisError(
            f"the time coordinate {name!r} has dims {coord.dims}; expected one dimension"
        )
    if name not in coord.coords:
        raise TimeAxisError(
            f"dimension {dim!r} has no coordinate; expected dates. Give it some, e.g. "
            f'obj = obj.assign_coords({dim}=pd.date_range("2000-01-01", periods={coord.size}, '
            'freq="MS"))'
        )
    if coord.size == 0:
        raise TimeAxisError(f"the time coordinate {name!r} is empty; expected at least one step")
    check_zone(coord)
    values = coord.values
    if values.dtype.kind != "M" and not is_cftime(values):
        raise TimeAxisError(_wrong_dtype(coord, name, dim))
    missing = np.flatnonzero(_not_a_time(values))
    if missing.size:
        raise TimeAxisError(
            f"the time coordinate {name!r} has no date at {missing.size} of {coord.size} steps, "
            f"first at position {missing[0]}; expected a date at each. "
            f'Drop them: obj = obj.isel({dim}=np.flatnonzero(obj["{name}"].notnull()))'
        )
    ordered = np.sort(values)
    if (ordered[1:] == ordered[:-1]).any():
        again = ordered[1:][ordered[1:] == ordered[:-1]]
        different = list(dict.fromkeys(_show(stamp) for stamp in again))
        raise TimeAxisError(
            f"the time coordinate {name!r} has {again.size} duplicate "
            f"stamp{'s' * (again.size > 1)}: "
            f"{', '.join(different[:3])}{' ...' if len(different) > 3 else ''}; "
            "expected each once. "
            f'Keep the first: obj = obj.drop_duplicates("{name}"), '
            f'or average them: obj = obj.groupby("{name}").mean()'
        )
    back = np.flatnonzero(values[1:] < values[:-1])
    if back.size:
        at = int(back[0])
        raise TimeAxisError(
            f"the time coordinate {name!r} is not in order: {_show(values[at + 1])} follows "
            f"{_show(values[at])} at position {at + 1}; expected increasing time. "
            f'Type: obj = obj.sortby("{name}")'
        )


def _not_a_time(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return where a stamp is NaT, None or NaN."""
    if values.dtype.kind == "M":
        return np.asarray(np.isnat(values))
    return np.array([not is_cftime([stamp]) for stamp in values], dtype=np.bool_)


def _show(stamp: object) -> str:
    """Return a stamp without the digits that say nothing."""
    text = str(stamp).replace(" ", "T").split(".")[0]
    return text.removesuffix("T00:00:00")


def check_zone(coord: xr.DataArray) -> None:
    """Raise if stamps have a time zone: NumPy's have none.

    Parameters
    ----------
    coord
        A time coordinate.

    Raises
    ------
    TimeAxisError
    """
    zone = getattr(coord.dtype, "tz", None)
    if zone is not None:
        raise TimeAxisError(
            f"the time coordinate {coord.name!r} is of the time zone {zone}; expected dates "
            f"without one, such as those of UTC: obj = obj.assign_coords({coord.name}="
            f'obj.indexes["{coord.name}"].tz_convert(None))'
        )


def _wrong_dtype(coord: xr.DataArray, name: str, dim: str) -> str:
    """Return the message for a time coordinate that holds no dates."""
    units = str(coord.attrs.get("units", ""))
    first = str(coord.values.flat[0])
    found = f"the time coordinate {name!r} has dtype {coord.dtype}" + (
        f" and units {units!r}" if units else f", first value {first!r}"
    )
    expected = "; expected datetime64 or cftime dates. "
    assign = f"obj = obj.assign_coords({name}="
    if " since " in units and units.lower().startswith("month"):
        start = units.split(" since ")[1].split()[0]
        cure = (
            "Months are of different lengths, so give the dates: "
            f'{assign}pd.date_range("{start}", periods={coord.size}, freq="MS"))'
        )
    elif " since " in units:
        cure = "They are not decoded yet: ds = xr.decode_cf(ds)"
    elif isinstance(index := coord.to_index(), pd.PeriodIndex):
        cure = f'{assign}obj.indexes["{name}"].to_timestamp())'
    elif getattr(index, "tz", None) is not None:
        cure = f'They have a time zone; in UTC: {assign}obj.indexes["{name}"].tz_convert(None))'
    elif coord.dtype.kind == "m":
        cure = f'Add the date they count from: {assign}np.datetime64("2000-01-01") + obj["{name}"])'
    elif coord.dtype.kind in "OUST":
        cure = f'{assign}pd.to_datetime(obj["{name}"].values))'
    elif (pattern := _digits(coord)) is not None:
        cure = f'{assign}pd.to_datetime(obj["{name}"].values.astype(int), format="{pattern}"))'
    else:
        counted = {"s": "seconds", "min": "minutes", "h": "hours"}.get(units, units or "days")
        cure = (
            f'Say what they count, obj["{name}"].attrs["units"] = "{counted} since 2000-01-01", '
            "then ds = xr.decode_cf(ds)"
        )
    hint = "" if name == dim else f" (it lies along dimension {dim!r})"
    return found + hint + expected + cure


def _digits(coord: xr.DataArray) -> str | None:
    """Return the format of dates written as one number: 1998, 199807, 19980731."""
    values = coord.values
    if values.dtype.kind not in "iuf" or not np.array_equal(values, np.round(values)):
        return None
    for pattern, low, high in (
        ("%Y", 1500, 2500),
        ("%Y%m", 150_001, 250_012),
        ("%Y%m%d", 15_000_101, 25_001_231),
    ):
        if values.min() >= low and values.max() <= high:
            return pattern
    return None
