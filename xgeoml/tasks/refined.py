"""Coordinates of a finer grid: of the parts of cells, or those of a grid that was given."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from xgeoml.exceptions import InputError
from xgeoml.grid import refine_centres, unwrap
from xgeoml.insert import bounds_name
from xgeoml.models.downscaling import Placement
from xgeoml.models.series import Floats
from xgeoml.tasks.placing import Grid


def refined_coords(
    dataset: xr.Dataset, grid: Grid, factor: int
) -> tuple[dict[Hashable, xr.Variable], list[str]]:
    """Return the coordinates and bounds of the parts of all cells, and what could not be refined.

    Parameters
    ----------
    dataset : Dataset
        On the coarse grid.
    grid : Grid
    factor : int

    Returns
    -------
    dict
        By name: everything along Y and X that is a coordinate or the bounds of one.
    list of str
        Names of coordinates that lie along Y or X and have no meaning for a part of a cell.
    """
    made: dict[Hashable, xr.Variable] = {}
    lost = []
    bounds = {b for v in dataset.variables.values() if (b := bounds_name(v)) is not None}
    for name, variable in dataset.variables.items():
        along = [d for d in variable.dims if d in grid.dims]
        if not along or (name in dataset.data_vars and name not in bounds):
            continue
        fine = None
        if variable.dtype.kind in "iuf":
            if name in bounds:
                fine = _fine_bounds(variable, grid, factor)
            elif variable.dims == (along[0],):
                fine = _fine_centres(variable, factor, _is_longitude(variable, grid))
            elif name not in bounds and set(variable.dims) == set(grid.dims):
                fine = _fine_plane(variable, grid, factor) if is_angle(variable, name) else None
        if fine is None:
            lost.append(str(name))
        else:
            made[name] = fine
    return made, lost


def fine_angles(grid: Grid, factor: int) -> tuple[Floats, Floats]:
    """Return latitude and longitude of the parts of all cells, both 1-D or both ``(Y', X')``.

    The grid must have these.
    """
    assert grid.lat is not None
    assert grid.lon is not None
    if grid.regular:
        made = [refine_centres(unwrap(v), factor) for v in (grid.lat, grid.lon)]
    else:
        planes = (xr.Variable(grid.dims, v) for v in (grid.lat, grid.lon))
        made = [_fine_plane(plane, grid, factor).values for plane in planes]
    return made[0].astype(np.float64), made[1].astype(np.float64)


def _fine_centres(variable: xr.Variable, factor: int, in_circle: bool) -> xr.Variable | None:
    """Return the centres of the parts; None of what neither ascends nor descends."""
    values = variable.values
    if values.size < 2:
        raise InputError(
            f"the coordinate along {variable.dims[0]!r} has {values.size} cell; expected two or "
            "more: one centre alone says nothing of its cell's width"
        )
    straight = unwrap(values) if in_circle else values
    steps = np.diff(straight.astype(np.float64))
    if not ((steps > 0).all() or (steps < 0).all()):
        return None
    fine = refine_centres(straight, factor)
    if (straight != values).any():
        low = 0.0 if float(values.min()) >= 0 else -180.0  # as the user counts longitudes
        fine = (fine - low) % 360.0 + low
        fine = fine.astype(values.dtype if values.dtype.kind == "f" else np.float64)
    return xr.Variable(variable.dims, fine, variable.attrs, _encoding(variable))


def _is_longitude(variable: xr.Variable, grid: Grid) -> bool:
    """Whether a coordinate is the longitude of a regular grid, not metres of a projection."""
    if not grid.regular or grid.lon is None or variable.dims[0] != grid.dims[1]:
        return False
    return np.array_equal(variable.values.astype(np.float64), grid.lon)


def is_angle(variable: xr.Variable, name: Hashable) -> bool:
    """Whether a plane holds latitudes or longitudes."""
    units = str(variable.attrs.get("units", "")).lower()
    return units.startswith("degree") or str(name).lower()[:3] in (
        "lat",
        "lon",
        "nav",
        "xla",
        "xlo",
    )


def _fine_plane(variable: xr.Variable, grid: Grid, factor: int) -> xr.Variable:
    """Return latitude or longitude of the parts of a curvilinear grid, linear between cells."""
    values = variable.transpose(*grid.dims).values.astype(np.float64)
    turns = np.cumsum(np.nan_to_num(np.round(np.diff(values, axis=1) / 360.0)), axis=1)
    values[:, 1:] -= 360.0 * turns
    known = values[np.isfinite(values)]  # there may be none on land
    values -= 360.0 * np.round((values - known[:1]) / 360.0) if known.size else 0.0
    at = Placement.refined(values.shape[0], values.shape[1], factor)
    fine = _linear(_linear(values, at.rows, 0), at.columns, 1)
    given = variable.values
    if (given > 180.0).any():
        fine = fine % 360.0
    elif (np.abs(fine) > 180.0).any():
        fine = (fine + 180.0) % 360.0 - 180.0
    dtype = variable.dtype if variable.dtype.kind == "f" else np.dtype(np.float64)
    made = xr.Variable(grid.dims, fine.astype(dtype), variable.attrs, _encoding(variable))
    return made.transpose(*variable.dims)


def _linear(values: Floats, at: Floats, axis: int) -> Floats:
    """Return values at positions along an axis, linear beyond the ends."""
    n = values.shape[axis]
    low = np.clip(np.floor(at).astype(np.intp), 0, max(0, n - 2))
    share = (at - low if n > 1 else np.zeros_like(at))[:, None]
    share = share if axis == 0 else share.T
    first, second = values.take(low, axis), values.take(np.minimum(low + 1, n - 1), axis)
    return np.asarray(first + share * (second - first))


def _fine_bounds(variable: xr.Variable, grid: Grid, factor: int) -> xr.Variable | None:
    """Return the bounds of the parts of cells: of intervals; None for those of polygons."""
    if variable.ndim != 2 or variable.shape[1] != 2 or variable.dims[0] not in grid.dims:
        return None
    first, last = variable.values.T.astype(np.float64)
    edges = first[:, None] + (last - first)[:, None] * np.linspace(0.0, 1.0, factor + 1)
    fine = np.stack([edges[:, :-1].ravel(), edges[:, 1:].ravel()], axis=1)
    dtype = variable.dtype if variable.dtype.kind == "f" else np.dtype(np.float64)
    return xr.Variable(variable.dims, fine.astype(dtype), variable.attrs, _encoding(variable))


def _encoding(variable: xr.Variable) -> dict[Any, Any]:
    kept = ("units", "calendar", "_FillValue", "dtype", "zlib", "complevel")
    found = {k: v for k, v in variable.encoding.items() if k in kept}
    if np.dtype(found.get("dtype", "f4")).kind in "iu":
        del found["dtype"]  # parts of cells lie between whole numbers
        found.pop("_FillValue", None)
    return found


def given_coords(like: xr.DataArray | xr.Dataset, grid: Grid) -> dict[Hashable, xr.Variable]:
    """Return all coordinates of a grid that was given, with their bounds and its projection."""
    made: dict[Hashable, xr.Variable] = {}
    variables = dict(like.coords.variables)
    if isinstance(like, xr.Dataset):
        mapped = {v.attrs.get("grid_mapping") for v in like.variables.values()}
        bounds = {bounds_name(v) for v in like.variables.values()}
        variables |= {n: like.variables[n] for n in like.data_vars if n in mapped | bounds}
    for name, variable in variables.items():
        own = [d for d in variable.dims if d not in grid.dims]
        is_bounds = len(own) == 1 and variable.ndim >= 2 and variable.sizes[own[0]] in (2, 4)
        along = any(d in grid.dims for d in variable.dims)
        projection = variable.ndim == 0 and "grid_mapping_name" in variable.attrs
        if projection or (along and (not own or is_bounds)):
            made[name] = variable
    return made


def on_new_grid(
    dataset: xr.Dataset,
    grid: Grid,
    coords: Mapping[Hashable, xr.Variable],
    fields: Mapping[Hashable, xr.Variable],
    lost: list[str],
) -> xr.Dataset:
    """Return the Dataset with everything along the old grid replaced.

    Parameters
    ----------
    dataset : Dataset
    grid : Grid
        The old one.
    coords : mapping
        Of the new one, bounds among them.
    fields : mapping
        The variables that were downscaled.
    lost : list of str
        Coordinates that could not be refined; of these, and of variables that nobody asked for, a
        warning tells.
    """
    gone = [
        name
        for name, variable in dataset.data_vars.items()
        if set(variable.dims) & set(grid.dims) and name not in fields and name not in coords
    ]
    # Bounds go with the coordinates that they bound.
    bounds = {bounds_name(v) for v in dataset.variables.values()}
    dropped = [str(name) for name in gone if name not in bounds]
    if lost or dropped:
        parts = [f"coordinates {lost}, which say nothing of a part of a cell"] if lost else []
        parts += [f"variables {dropped}, which were not downscaled"] if dropped else []
        warnings.warn(
            f"left out: {' and '.join(parts)}; name variables= to downscale them", stacklevel=6
        )
    order = [n for n in dataset.data_vars if n not in gone]
    kept = dataset.drop_dims(list(grid.dims))
    names = [n for n in coords if n in dataset.coords or n not in dataset.data_vars]
    made = kept.assign_coords({n: coords[n] for n in names})
    made = made.assign({n: coords[n] for n in coords if n not in names} | dict(fields))
    # Coordinates of dims that no variable has, such as bounds, stay only if they are named.
    return made[[*order, *(n for n in made.coords if n not in order)]] if order else made
