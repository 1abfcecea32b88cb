"""The values of a variable as models want them: floats, NaN where missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xgeoml.exceptions import InputError
from xgeoml.insert import fill_value, in_floats

__all__ = ["as_floats", "check_not_empty", "float_dtype", "in_numbers", "kinds_of"]


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
            "M": "name another one",
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


def kinds_of(dataset: xr.Dataset) -> dict[str, str]:
    """Return dtype and dims of each variable, as errors tell them."""
    return {str(k): f"{v.dtype}{tuple(map(str, v.dims))}" for k, v in dataset.data_vars.items()}


def check_not_empty(array: xr.DataArray, label: str) -> None:
    """Raise InputError if an array has no values."""
    if array.size == 0:
        sizes = {str(d): n for d, n in array.sizes.items()}
        raise InputError(f"{label} is empty: sizes {sizes}; expected one value or more")


def as_floats(original: xr.DataArray) -> xr.DataArray:
    """Return an array in floats of 32 or 64 bits, see `in_numbers`.

    Raises
    ------
    InputError
        If it is empty, no number, or of more bits.
    """
    label = f"variable {original.name!r}"
    check_not_empty(original, label)
    numbers = in_numbers(original, label)
    if numbers.dtype.itemsize > 8:
        raise InputError(
            f"{label} has dtype {original.dtype}; expected float64 or less, or given values would "
            "not come back as they are: obj = obj.astype('float64')"
        )
    return numbers.astype(float_dtype(original), copy=False)


def float_dtype(original: xr.DataArray) -> np.dtype[Any]:
    """Return the dtype of what is made of an array: its own, or float64 of integers.

    Of halves it is float32.
    """
    if original.dtype.kind != "f":
        return np.dtype(np.float64)
    native = original.dtype.newbyteorder("=")
    return native if native.itemsize >= 4 else np.dtype(np.float32)


def in_shares(mask: xr.DataArray, wanted: str) -> xr.DataArray:
    """Return a mask, missing shares being 0; those of half and more are to count as inside.

    Parameters
    ----------
    mask : DataArray
        Of bool, integers, or shares.
    wanted : str
        What is where it is True, for the message.

    Raises
    ------
    InputError
        If its values are neither. Of a lazy one in floats that is not known.
    """
    if mask.dtype.kind in "biu":
        return mask
    shares = mask.dtype.kind == "f" and mask.chunks is None
    if not (shares and bool(((mask >= 0) & (mask <= 1) | mask.isnull()).all())):
        found = "is lazy" if mask.chunks is not None else "values that are no shares, 0 to 1"
        raise InputError(
            f"mask has dtype {mask.dtype} and {found}; expected True where {wanted}: compare "
            f"first, such as mask={mask.name if mask.name is not None else 'mask'} > 0.5"
        )
    return mask.fillna(0.0)
