"""What a result needs to be written as it is: to netCDF files that follow CF, and to zarr."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from xgeoml.axes import is_cftime
from xgeoml.insert import bounds_name

# Attributes that name other variables.
_POINTING = ("ancillary_variables", "coordinates", "bounds")
# Of zarr: how the values were cut.
_CUT = ("chunks", "preferred_chunks", "shards")


def writable(result: xr.Dataset, given: xr.Dataset) -> xr.Dataset:
    """Return a result whose attributes and encodings hold for it.

    No variable points to one that the task has left out. Coordinates and bounds are written without
    the ``_FillValue`` that CF forbids there and xarray writes unless it is told not to, and dates
    as double: CF has 64 bits of an integer since 1.9 only, and ncview has not. The chunks of a zarr
    array are forgotten where those of dask are others.

    Parameters
    ----------
    result : Dataset
        Of a task.
    given : Dataset
        What it was made from; neither is changed.

    Returns
    -------
    Dataset
        With the same values, coordinates and indexes.
    """
    made = result.copy()
    gone = set(given.variables) - set(made.variables)
    bounds = {bounds_name(v) for v in made.variables.values()}
    for name, variable in made.variables.items():
        _forget(variable.attrs, gone)
        _forget(variable.encoding, gone)
        if name in made.dims or name in bounds:
            _write_as_doubles(variable)
            _write_without_fill(variable)
        if variable.chunks is not None and not _fits(variable):
            for key in _CUT:
                variable.encoding.pop(key, None)
    return made


def _forget(said: dict[Any, Any], gone: set[Hashable]) -> None:
    """Take the names of variables that are gone from attributes, or from an encoding."""
    for key in _POINTING:
        names = str(said.get(key, "")).split()
        if gone.intersection(names):
            left = " ".join(n for n in names if n not in gone)
            if left:
                said[key] = left
            else:
                del said[key]


def _write_as_doubles(variable: xr.Variable) -> None:
    """Have dates counted in floats, which every tool reads, not in xarray's integers of 64 bits."""
    # Of pandas' own dtypes, such as dates of a time zone, nothing is written.
    numpys = isinstance(variable.dtype, np.dtype)
    if "dtype" in variable.encoding or variable.chunks is not None or not numpys:
        return
    dates = variable.values.ravel()
    if variable.dtype.kind == "M":
        whole = np.isnat(dates) | (dates == dates.astype("M8[s]"))
    elif is_cftime(dates):
        whole = np.array([date.microsecond == 0 for date in dates])
    else:
        return
    # Fractions of seconds may need all 64 bits.
    if whole.all():
        variable.encoding["dtype"] = np.dtype(np.float64)


def _write_without_fill(variable: xr.Variable) -> None:
    """Have no ``_FillValue`` of NaN written; xarray adds one to whatever is written as floats."""
    fill = variable.encoding.get("_FillValue", np.nan)
    is_number = isinstance(fill, (int, float, np.number)) and bool(fill == fill)
    said = variable.encoding.get("dtype")
    # The dtype of a coordinate may be one of pandas alone, such as period[M].
    written = variable.dtype if said is None else np.dtype(said)
    # With both an attribute and an encoding xarray refuses to write.
    if written.kind == "f" and not is_number and "_FillValue" not in variable.attrs:
        variable.encoding["_FillValue"] = None


def _fits(variable: xr.Variable) -> bool:
    """Whether each chunk of zarr lies in one of dask."""
    cut = variable.encoding.get("shards") or variable.encoding.get("chunks")
    chunks = variable.chunks
    if not cut or chunks is None or len(cut) != len(chunks):
        return not cut
    edges = [np.cumsum(sizes[:-1]) for sizes in chunks]
    return all(not (at % size).any() for at, size in zip(edges, cut, strict=True))
