"""Coast lines: those of cartopy where they are on this machine, else those of the elevation map."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xgeoml import terrain

Lines = list[NDArray[np.float64]]

# Degrees: the coast of a smaller map would be the steps of the elevation map's own cells.
_SMALLEST = 2.0
# Points along the longer side of a map: finer coasts cannot be seen.
_POINTS = 500
# Degrees: maps smaller than these get the finer ones of cartopy's coasts.
_SCALES = (("10m", 15.0), ("50m", 90.0), ("110m", 361.0))


@lru_cache(maxsize=32)
def coast_lines(west: float, east: float, south: float, north: float) -> Lines:
    """Return the coast within a box.

    Parameters
    ----------
    west, east, south, north : float
        Degrees; longitudes of any convention, `east` above `west`.

    Returns
    -------
    list of ndarray, (point, longitude and latitude)
        Nothing for boxes that are too small to have one.
    """
    if not min(east - west, north - south) >= _SMALLEST:
        return []
    file = _cartopy_file(max(east - west, north - south))
    if file is not None:
        return _of_cartopy(file, west, east)
    return _of_terrain(west, east, max(south, -90.0), min(north, 90.0))


def _of_terrain(west: float, east: float, south: float, north: float) -> Lines:
    """Return where the share of land is a half."""
    from contourpy import contour_generator

    step = max((east - west) / _POINTS, (north - south) / _POINTS, 1.0 / terrain.PER_DEGREE)
    lon = np.arange(west - step, east + step, step)
    lat = np.arange(max(south - step, -90.0 + 0.5 * step), min(north + step, 90.0), step)
    _, land = terrain.elevation(lat, lon)
    made: Lines = contour_generator(lon, lat, land).lines(0.5)  # type: ignore[assignment]
    return made


def _cartopy_file(degrees: float) -> Path | None:
    """Return the file of coasts that cartopy would draw, if it need not be downloaded."""
    if importlib.util.find_spec("cartopy") is None:
        return None
    from cartopy import config
    from cartopy.io import Downloader, shapereader  # noqa: F401 - tells the other of its files

    fit = [scale for scale, widest in _SCALES if degrees <= widest]
    others = [scale for scale, _ in _SCALES if scale not in fit]
    for scale in [*fit, *others[::-1]]:
        told = {"resolution": scale, "category": "physical", "name": "coastline"}
        source = Downloader.from_config(("shapefiles", "natural_earth", *told.values()))
        # `path` would download what is not there.
        for where in (source.pre_downloaded_path, source.target_path):
            file = where({"config": config, **told})
            if file is not None and Path(file).exists():
                return Path(file)
    return None


def _of_cartopy(file: Path, west: float, east: float) -> Lines:
    """Return lines of a shapefile, repeated where a map goes on beyond 180 degrees."""
    from cartopy.io.shapereader import Reader

    lines: Lines = []
    for shape in Reader(file).geometries():
        for part in getattr(shape, "geoms", [shape]):
            points = np.asarray(part.coords, np.float64)[:, :2]
            for turn in (-360.0, 0.0, 360.0):
                moved = points + np.array([turn, 0.0])
                if moved[:, 0].max() >= west and moved[:, 0].min() <= east:
                    lines.append(moved)
    return lines
