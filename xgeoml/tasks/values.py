"""The values of a variable as models want them: floats, NaN where missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xgeoml.exceptions import InputError
from xgeoml.insert import fill_value, in_floats

__all__ = ["in_numbers"]


def in_numbers(array: xr.DataArray, label: str) -> xr.DataArray:
    """Return an array in floats, missing where its attributes say so; itself if there is no need.

    Attributes that name a missing value are those of data that were not decoded: xarray moves
    them to the encoding.
    """
    kind = array.dtype.kind if isinstance(array.dtype, np.dtype) else "O"
    if kind not in "fiu":
        cure = {
            "m": "obj / np.timedelta64(1, 'D')",
            "c": "obj.real",
            "M": "name another one, variables=...",
        }.get(kind, "obj.astype('float64')")
        raise InputError(
            f"{label} has dtype {array.dtype}; expected real numbers, such as float32: {cure}"
        )
    fills: list[Any] = [array.attrs.get(key) for key in ("_FillValue", "missing_value")]
    variable = array.variable
    if kind in "iu":
        fills = [fill_value(variable)]
        variable = in_floats(variable, array.name, np.dtype(np.float64))
    fills = [n for fill in fills for n in np.ravel(fill) if np.asarray(n).dtype.kind in "fiu"]
    for fill in fills:
        with np.errstate(over="ignore"):
            variable = variable.where(variable != variable.dtype.type(fill))
    return array if variable is array.variable else array.copy(data=variable.data)


def is_temperature(array: xr.DataArray) -> bool:
    """Whether the units of a variable are those of temperature."""
    units = str(array.attrs.get("units", "")).lower().replace("_", "").replace(" ", "")
    bare = units.removeprefix("degrees").removeprefix("degree").removeprefix("deg").strip("°")
    return bare in ("k", "kelvin", "c", "celsius", "celcius", "f", "fahrenheit")
