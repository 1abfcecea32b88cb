"""A Dataset at other times: its time coordinate, bounds, and what else lies along time."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.indexes import PandasIndex

from xgeoml.axes import is_cftime
from xgeoml.calendars import read_clock
from xgeoml.engine.execute import is_lazy
from xgeoml.insert import bounds_name
from xgeoml.models.series import Floats
from xgeoml.tasks.accumulations import time_bounds
from xgeoml.tasks.instants import Instants

# Of the encoding of times: what says how they are counted.
_UNITS = ("hours", "minutes", "seconds", "milliseconds", "microseconds", "nanoseconds")
_COUNTED = ("units", "dtype", "_FillValue", "missing_value", "scale_factor", "add_offset")


def at_new_times(
    dataset: xr.Dataset, instants: Instants, fields: Mapping[Hashable, xr.Variable]
) -> xr.Dataset:
    """Return the Dataset with everything along the time replaced.

    Parameters
    ----------
    dataset : Dataset
    instants : Instants
        The new times.
    fields : mapping
        The variables that were interpolated. Others along the time, and coordinates that are no
        numbers, are left out; a warning tells of them.
    """
    dim = instants.dim
    bounds = time_bounds(dataset, dim)
    lent = {b for v in dataset.variables.values() if (b := bounds_name(v)) is not None}
    made: dict[Hashable, xr.Variable] = {}
    lost: list[str] = []
    for name, variable in dataset.variables.items():
        if name in fields:
            made[name] = fields[name]
        elif name == dim:
            encoding = time_encoding(variable, instants)
            made[name] = xr.Variable(dim, instants.stamps, variable.attrs, encoding)
        elif dim not in variable.dims:
            made[name] = variable
        else:
            new = None
            if name == bounds:
                new = _bounds(variable, instants)
            elif name in dataset.coords or name in lent:
                new = _in_between(variable, instants)
            if new is None:
                lost.append(str(name))
            else:
                made[name] = new
    if lost:
        coords = [n for n in lost if n in dataset.coords]
        others = [n for n in lost if n not in dataset.coords]
        parts = [f"coordinates {coords}, which say nothing of times between"] if coords else []
        parts += [f"variables {others}, which were not interpolated"] if others else []
        hint = "; name variables= to interpolate them" if others else ""
        warnings.warn(f"left out: {' and '.join(parts)}{hint}", stacklevel=6)
    return _rebuilt(dataset, dim, made)


def _rebuilt(dataset: xr.Dataset, dim: str, made: dict[Hashable, xr.Variable]) -> xr.Dataset:
    """Return a Dataset of other variables along `dim`, with all else of the old one."""
    indexes: dict[Hashable, Any] = {}
    for index, names in dataset.xindexes.group_by_index():
        if not any(dim in dataset.variables[name].dims for name in names):
            indexes.update(dict.fromkeys(names, index))
    own = PandasIndex.from_variables({dim: made[dim]}, options={})
    indexes[dim] = own
    made.update(own.create_variables({dim: made[dim]}))
    coords = {name: made[name] for name in dataset.coords if name in made}
    result = xr.Dataset(
        {name: made[name] for name in dataset.data_vars if name in made},
        coords=xr.Coordinates(coords, indexes=indexes),
        attrs=dataset.attrs,
    )
    result.encoding = dict(dataset.encoding)
    return result


def time_encoding(variable: xr.Variable, instants: Instants) -> dict[Any, Any]:
    """Return the encoding of the time, in finer units where the new stamps need them."""
    kept = {
        k: v
        for k, v in variable.encoding.items()
        if k not in ("original_shape", "chunksizes", "chunks", "preferred_chunks", "source")
    }
    unit, _, since = str(kept.get("units", "")).partition(" since ")
    if not since:
        return kept
    several = [instants.stamps, *([] if instants.edges is None else [instants.edges.ravel()])]
    for finer in (unit, *_UNITS):
        if all(_are_whole(stamps, f"{finer} since {since}", kept) for stamps in several):
            others = {} if finer == unit else {"units": f"{finer} since {since}"}
            # Of finer units there may be more than a short integer can count.
            return {k: v for k, v in kept.items() if not others or k not in _COUNTED} | others
    return {k: v for k, v in kept.items() if k not in _COUNTED}


def _are_whole(stamps: NDArray[Any], units: str, encoding: Mapping[Any, Any]) -> bool:
    """Whether stamps are whole numbers in some units."""
    said = {"units": units, **{k: encoding[k] for k in ("calendar",) if k in encoding}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of units that the stamps are not whole in
        try:
            coded = xr.conventions.encode_cf_variable(xr.Variable("time", stamps, encoding=said))
        except (KeyError, ValueError, OverflowError):
            return False
    return coded.dtype.kind in "iu" and coded.attrs.get("units") == units


def _bounds(variable: xr.Variable, instants: Instants) -> xr.Variable | None:
    """Return the bounds of the new times: those of parts, or a window that runs along."""
    if instants.edges is None:
        return _in_between(variable, instants)
    turned = variable.transpose(instants.dim, ...)
    made = xr.Variable(turned.dims, instants.edges, variable.attrs, _encoding(variable))
    return made.transpose(*variable.dims)


def _encoding(variable: xr.Variable) -> dict[Any, Any]:
    kept = ("calendar", "zlib", "complevel", "shuffle")
    return {k: v for k, v in variable.encoding.items() if k in kept}


def _in_between(variable: xr.Variable, instants: Instants) -> xr.Variable | None:
    """Return a variable linear in time; None of one that holds no numbers and no times."""
    dated = variable.dtype == object and not is_lazy(variable.data) and _all_dates(variable.values)
    alone = len(instants.days) == 1 and not np.all(instants.copied >= 0)
    if not (variable.dtype.kind in "fmM" or dated) or alone:
        return None
    axis = variable.get_axis_num(instants.dim)
    east = str(variable.attrs.get("units", "")).lower().startswith(("degrees_e", "degree_e"))
    between = partial(
        _linear, line_axis=axis, line_low=instants.low, line_share=instants.share, line_east=east
    )
    data = variable.data
    if is_lazy(data):
        whole = data.rechunk({axis: -1})
        chunks = list(whole.chunks)
        chunks[axis] = (len(instants.stamps),)
        meta = np.empty((0,) * data.ndim, data.dtype)
        made = whole.map_blocks(between, dtype=data.dtype, chunks=tuple(chunks), meta=meta)
    else:
        made = between(variable.values)
    return xr.Variable(variable.dims, made, variable.attrs, _encoding(variable))


def _all_dates(values: NDArray[Any]) -> bool:
    return values.size > 0 and all(is_cftime([v]) for v in values.ravel())


def _linear(
    values: NDArray[Any],
    line_axis: int,
    line_low: NDArray[np.intp],
    line_share: Floats,
    line_east: bool,
) -> NDArray[Any]:
    """Return values linear in time; those at steps as they are."""
    if values.dtype == object:
        clock = read_clock(values.ravel())
        ticks = clock.ticks.reshape(values.shape)
        made = _linear(ticks.astype("m8[us]"), line_axis, line_low, line_share, False)
        flat = clock.values(made.astype(np.int64).ravel())
        return flat.reshape(made.shape)
    n = values.shape[line_axis]
    low, share = line_low, line_share
    first = values.take(low, line_axis)
    second = values.take(np.minimum(low + 1, n - 1), line_axis)
    share = share.reshape([-1 if k == line_axis else 1 for k in range(values.ndim)])
    if values.dtype.kind in "mM":
        gone = np.isnat(first) | np.isnat(second)
        apart = np.where(gone, 0, (second - first).astype(np.int64))
        made = first + np.rint(apart * share).astype(np.int64).astype("m8").astype(
            (second - first).dtype
        )
        made[gone] = np.array("NaT", made.dtype)
    else:
        apart = second - first
        if line_east:
            apart = (apart + 180.0) % 360.0 - 180.0  # the short way round
        made = (first + apart * share).astype(values.dtype)
        if line_east and values.size:
            start = 0.0 if np.nanmin(values) >= 0 else -180.0
            made = ((made - start) % 360.0 + start).astype(values.dtype)
    return np.where(share == 0, first, np.where(share == 1, second, made))
