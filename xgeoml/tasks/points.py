"""Where stations and single series are."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xgeoml import terrain
from xgeoml.axes import Axes
from xgeoml.models.in_time import Place
from xgeoml.models.series import Floats

_NAMES = {
    "latitude": ("lat", "latitude", "lats"),
    "longitude": ("lon", "longitude", "lons", "long"),
}


def place_of_points(
    data: xr.DataArray, axes: Axes, with_terrain: bool
) -> tuple[str | None, Place] | None:
    """Return the dim of stations, None for a single series, and their place as one row of cells.

    None where latitude and longitude are not known, or the data lie on a grid.

    Parameters
    ----------
    data : DataArray
    axes : Axes
    with_terrain : bool
        Whether the height of the land is wanted.
    """
    if "Y" in axes.names or "X" in axes.names:
        return None
    lat, lon = (_degrees(data, axes, name) for name in _NAMES)
    if lat is None or lon is None or lat.dims != lon.dims:
        return None
    rows = [np.atleast_2d(np.asarray(c.values, np.float64)) for c in (lat, lon)]
    height: Floats | None = None
    if with_terrain:
        # One by one: how far stations are apart says nothing of what they stand for.
        each = [
            terrain.elevation([[y]], [[x]]) for y, x in zip(rows[0][0], rows[1][0], strict=True)
        ]
        height = np.concatenate([np.stack(e) for e in each], axis=-1).astype(np.float64)
    dim = str(lat.dims[0]) if lat.dims else None
    return dim, Place(rows[0], rows[1], height)


def _degrees(data: xr.DataArray, axes: Axes, name: str) -> xr.DataArray | None:
    """Return latitude or longitude, of each station or of all, if it is there."""
    marked = [n for n in axes.marked.get(name, ()) if n in data.coords]
    called = [n for n in data.coords if str(n).lower() in _NAMES[name]]
    for found in (*marked, *called):
        coord: xr.DataArray = data.coords[found]
        fits = coord.ndim < 2 and axes.names.get("T") not in coord.dims
        if fits and coord.dtype.kind in "iuf":
            return coord
    return None
