"""Put absent time steps into an xarray object, by position, without computing anything lazy.

By position, since a jitter of 1e-12 in a label would open a gap without a word.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from xarray.indexes import PandasIndex

from xgeoml.axes import is_cftime
from xgeoml.calendars import Ints, read_clock
from xgeoml.exceptions import InputError
from xgeoml.steps import Steps

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["add_steps", "bounds_name", "fill_value", "in_floats"]

Object = TypeVar("Object", xr.DataArray, xr.Dataset)
_BOUNDS_SUFFIXES = ("_bnds", "_bounds")
_PACKING = ("dtype", "scale_factor", "add_offset")
_FILLS = ("_FillValue", "missing_value")
# Beyond this, float64 does not hold every whole number.
_EXACT = 2**53


def add_steps(obj: Object, dim: str, steps: Steps) -> Object:
    """Return `obj` with the absent steps added along `dim`, all missing there.

    Parameters
    ----------
    obj
        NumPy or dask; any dims in any order.
    dim
        The time dimension.
    steps
        What `infer_steps` made of ``obj[dim]``.

    Returns
    -------
    DataArray or Dataset
        `obj` itself if nothing is absent. Else existing values, dim order, names, attributes,
        and variables without `dim` are as they were; dask stays dask, and chunks of even size
        stay even. In the added steps

        - floats are NaN, dates NaT (cftime: None), strings empty;
        - categories and nullable numbers of pandas hold its NA;
        - integers hold their ``_FillValue`` or ``missing_value``, if they have one;
        - other integers and booleans have no missing value, so such variables become float32 (up
          to 16 bits and booleans) or float64, and lose a packing that cannot write NaN;
        - time bounds are continued: the month's edges, or as wide as those of their neighbours.

    Raises
    ------
    ValueError
        If `steps` does not belong to `obj`.
    InputError
        If integers would be rounded, see `in_floats`.
    """
    if obj.sizes[dim] != len(steps.index):
        raise ValueError(f"{dim!r} has {obj.sizes[dim]} steps, `steps` has {len(steps.index)}")
    if steps.n_added == 0:
        return obj
    if isinstance(obj, xr.DataArray):
        inner = "_xgeoml_data"
        whole = _dataset(obj.to_dataset(name=inner), dim, steps)
        return whole[inner].rename(obj.name)
    return _dataset(obj, dim, steps)


def _dataset(obj: xr.Dataset, dim: str, steps: Steps) -> xr.Dataset:
    """Return the Dataset with steps added to all that lies along `dim`."""
    bounds = _bounds_of(obj, dim)
    made: dict[Hashable, xr.Variable] = {}
    for name, variable in obj.variables.items():
        if dim not in variable.dims:
            made[name] = variable
        elif name == dim:
            made[name] = _with(variable, steps.stamps)
        elif name in bounds and variable.ndim == 2:
            made[name] = _bounds(variable, dim, steps)
        else:
            made[name] = _expand(name, variable, dim, steps)

    indexes: dict[Hashable, Any] = {}
    for index, names in obj.xindexes.group_by_index():
        if not any(dim in obj.variables[name].dims for name in names):
            indexes.update(dict.fromkeys(names, index))
    if dim in obj.xindexes:
        own = PandasIndex.from_variables({dim: made[dim]}, options={})
        indexes[dim] = own
        made.update(own.create_variables({dim: made[dim]}))
    result = xr.Dataset(
        {name: made[name] for name in obj.data_vars},
        coords=xr.Coordinates({name: made[name] for name in obj.coords}, indexes=indexes),
        attrs=obj.attrs,
    )
    result.encoding = dict(obj.encoding)
    return result


def _with(
    variable: xr.Variable, data: Any, encoding: Mapping[Any, Any] | None = None
) -> xr.Variable:
    """Return a variable with other data and the same dims, attributes and encoding."""
    kept = dict(variable.encoding if encoding is None else encoding)
    # xarray compares it with the shape to tell whether the chunk sizes still hold.
    kept.pop("original_shape", None)
    return xr.Variable(variable.dims, data, dict(variable.attrs), kept)


def _expand(name: Hashable, variable: xr.Variable, dim: str, steps: Steps) -> xr.Variable:
    """Return a variable with missing values in the added steps."""
    if not isinstance(variable.dtype, np.dtype):  # of pandas: it knows how to hold nothing
        at = np.full(len(steps.stamps), -1)
        at[steps.index] = np.arange(len(steps.index))
        return _with(variable, variable.data.take(at, allow_fill=True))
    axis = variable.get_axis_num(dim)
    dtype, missing = _missing(variable.dtype)
    fill = fill_value(variable)
    if fill is not None:
        dtype, missing = variable.dtype, fill
    encoding = dict(variable.encoding)
    packed = np.dtype(encoding.get("dtype", dtype)).kind in "iub"
    if dtype != variable.dtype or (packed and dtype.kind == "f" and not _writes_nan(variable)):
        encoding = {key: value for key, value in encoding.items() if key not in _PACKING}
    if dtype.kind == "f":
        variable = in_floats(variable, name, dtype)
    if variable.chunks is not None:
        return _with(variable, _expand_dask(variable.data, axis, steps, dtype, missing), encoding)
    size = len(steps.stamps)
    made = _place(np.asarray(variable.data), steps.index, size, axis, dtype, missing)
    return _with(variable, made, encoding)


def fill_value(variable: xr.Variable) -> Any:
    """Return what stands for missing in a variable of integers, None if nothing does."""
    if variable.dtype.kind not in "iu":
        return None
    limits = np.iinfo(variable.dtype)
    for told in (variable.attrs, variable.encoding):
        for key in _FILLS:
            number = np.ravel(told.get(key, ()))[:1]
            whole = [n for n in number if number.dtype.kind in "iuf" and float(n).is_integer()]
            if whole and limits.min <= int(whole[0]) <= limits.max:
                return variable.dtype.type(int(whole[0]))
    return None


def in_floats(variable: xr.Variable, name: Hashable, dtype: np.dtype[Any]) -> xr.Variable:
    """Return a variable in the floating-point `dtype`, every whole number as it is.

    Raises
    ------
    InputError
        If that cannot be; for lazy data, once they are computed.
    """
    if variable.dtype.kind not in "iu" or variable.dtype.itemsize < 8:
        return variable.astype(dtype, copy=False)
    if variable.chunks is None:
        return _with(variable, _exact(variable.values, name, dtype))
    made = variable.data.map_blocks(_exact, exact_name=name, exact_dtype=dtype, dtype=dtype)
    return _with(variable, made)


def _exact(block: NDArray[Any], exact_name: Hashable, exact_dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return integers as floats unless that would round one."""
    large = (block > _EXACT) | (block < -_EXACT)
    if large.any():
        raise InputError(
            f"variable {exact_name!r} holds the {block.dtype} {block[large][0]}; expected whole "
            "numbers up to 2**53: integers have no missing value, and float64 would round this "
            f"one. Leave it out: obj.drop_vars({exact_name!r}), round it: .astype('float64'), or, "
            "if it is not to be filled, say what stands for missing: "
            f"obj[{exact_name!r}].attrs['_FillValue'] = -1"
        )
    return block.astype(exact_dtype)


def _writes_nan(variable: xr.Variable) -> bool:
    """Whether the encoding has a number that stands for missing."""
    return any(variable.encoding.get(key) is not None for key in _FILLS)


def _missing(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], Any]:
    """Return (dtype that can hold a missing value, the missing value)."""
    if dtype.kind in "fc":
        return dtype, np.nan
    if dtype.kind in "iub":
        return np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64), np.nan
    if dtype.kind in "mM":
        return dtype, np.array("NaT", dtype=dtype)[()]
    if dtype.kind in "US":
        return dtype, dtype.type()
    if dtype.kind == "O":
        return dtype, None
    return np.dtype(object), None


def _place(
    block: NDArray[Any],
    places: Ints,
    size: int,
    axis: int,
    dtype: np.dtype[Any],
    missing: Any,
) -> NDArray[Any]:
    """Return an array of length `size` along `axis` with `block` at `places`."""
    shape = list(block.shape)
    shape[axis] = size
    out = np.full(shape, missing, dtype=dtype)
    out[(slice(None),) * axis + (places,)] = block
    return out


def _expand_dask(
    data: da.Array, axis: int, steps: Steps, dtype: np.dtype[Any], missing: Any
) -> da.Array:
    """Return the same lazily: each chunk grows by the absent steps that follow it."""
    import dask.array as da

    old = data.chunks[axis]
    starts = np.concatenate([[0], np.cumsum(old)])
    edges = np.append(steps.index, len(steps.stamps))[starts]
    edges[0] = 0
    new = tuple(int(size) for size in np.diff(edges))
    # What a block needs to know travels as an array chunked like the data, not in every task:
    # place in the block, and the block's new size.
    local = np.stack(
        [steps.index - np.repeat(edges[:-1], old), np.repeat(np.diff(edges), old)], axis=1
    )
    guide = da.from_array(local, chunks=(old, 2))
    letters = tuple(range(data.ndim))
    grown: da.Array = da.blockwise(
        _place_block,
        letters,
        data,
        letters,
        guide,
        (axis, data.ndim),
        adjust_chunks={axis: new},
        concatenate=True,
        dtype=dtype,
        meta=np.empty((0,) * data.ndim, dtype=dtype),
        place_axis=axis,
        place_dtype=dtype,
        place_missing=missing,
    )
    if len(set(old[:-1])) <= 1 and old[-1] <= old[0] and len(old) > 1:
        # Zarr takes only even chunks; the encoding, too, speaks of these.
        grown = grown.rechunk({axis: old[0]})
    return grown


def _place_block(
    block: NDArray[Any],
    guide: NDArray[np.int64],
    place_axis: int,
    place_dtype: np.dtype[Any],
    place_missing: Any,
) -> NDArray[Any]:
    """Return one chunk with its absent steps."""
    size = int(guide[0, 1]) if len(guide) else 0
    return _place(block, guide[:, 0], size, place_axis, place_dtype, place_missing)


def bounds_name(variable: xr.Variable) -> str | None:
    """Return the name of the bounds that a coordinate's attributes speak of."""
    name = variable.attrs.get("bounds", variable.encoding.get("bounds"))
    return name if isinstance(name, str) else None


def dated_bounds(
    bounds: xr.Variable, time: str, size: int
) -> tuple[NDArray[Any], NDArray[np.bool_]] | None:
    """Return the dates at both ends of each step, (step, 2), and which steps have them.

    None if these are no bounds of `size` steps in dates, or all are missing.
    """
    edges = bounds.transpose(time, ...).values if time in bounds.dims else np.empty(0)
    if edges.shape != (size, 2) or not (edges.dtype.kind == "M" or is_cftime(edges)):
        return None
    there: NDArray[np.bool_] = np.asarray(~pd.isnull(edges).any(axis=1))
    return (edges, there) if there.any() else None


def _bounds_of(obj: xr.Dataset, dim: str) -> set[Hashable]:
    """Return the names of the variables that hold the bounds of `dim`."""
    named = bounds_name(obj[dim].variable) if dim in obj.coords else None
    usual = {dim + suffix for suffix in _BOUNDS_SUFFIXES}
    return {name for name in {named, *usual} if name in obj.variables}


def _bounds(variable: xr.Variable, dim: str, steps: Steps) -> xr.Variable:
    """Return bounds with those of the added steps worked out."""
    turned = variable.transpose(dim, ...)
    if turned.chunks is not None:
        whole = turned.data.rechunk(-1)
        edges: Any = whole.map_blocks(
            _continue_bounds,
            fill_steps=steps,
            dtype=whole.dtype,
            chunks=((len(steps.stamps),), whole.chunks[1]),
            meta=np.empty((0, 0), dtype=whole.dtype),
        )
    else:
        edges = _continue_bounds(turned.data, steps)
    return _with(variable, xr.Variable(turned.dims, edges).transpose(*variable.dims).data)


def _continue_bounds(edges: NDArray[Any], fill_steps: Steps) -> NDArray[Any]:
    """Return bounds, (full time, 2), of all steps; missing where the given ones are no dates."""
    dtype, missing = _missing(edges.dtype)
    full = _place(edges, fill_steps.index, len(fill_steps.stamps), 0, dtype, missing)
    dates = edges.dtype.kind == "M" or is_cftime(edges)
    if not dates or edges.shape[1] != 2 or any(_absent(edges)):
        return full
    stamps = fill_steps.stamps
    clock = read_clock(stamps if edges.dtype == object else stamps.astype(edges.dtype))
    there = clock.ticks[fill_steps.index]
    if fill_steps.freq == "monthly":
        # Some records stamp a month at its end, i.e. on the first day of the next one.
        shift = int(np.median(read_clock(edges[:, 0]).month - clock.month[fill_steps.index]))
        month = clock.month[fill_steps.added] + shift
        starts, ends = clock.month_start(month), clock.month_start(month + 1)
    else:
        ticks = clock.ticks[fill_steps.added]
        starts = ticks - np.median(there - clock.read(edges[:, 0])).astype(np.int64)
        ends = ticks + np.median(clock.read(edges[:, 1]) - there).astype(np.int64)
    full[fill_steps.added, 0] = clock.values(starts)
    full[fill_steps.added, 1] = clock.values(ends)
    return full


def _absent(edges: NDArray[Any]) -> list[bool]:
    """Return, entry by entry, whether a bound is missing."""
    if edges.dtype.kind == "M":
        return list(np.isnat(edges.ravel()))
    return [edge is None or edge != edge for edge in edges.ravel()]
