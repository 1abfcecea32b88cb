"""Elevation and the share of land anywhere on Earth, from a map of five minutes that is shipped.

The map is that of pvlib (`pvlib.location.lookup_altitude`; Copyright 2013 Sandia National
Laboratories, 2014 PVLIB Python Development Team, 2023 pvlib python contributors; BSD 3-clause
licence), made of Mapzen's terrain tiles, in steps of 28 m. Over Greenland's ice, where that has the
bedrock, and south of 85 degrees, where it ends, it is NOAA's ETOPO5 (1988, public domain).
``xgeoml.train.recipes.elevation`` says how they were put together.

Notes
-----
Attributions of Mapzen's sources, as they ask for them:

* ArcticDEM terrain data DEM(s) were created from DigitalGlobe, Inc., imagery and funded under
  National Science Foundation awards 1043681, 1559691, and 1542736;
* Australia terrain data © Commonwealth of Australia (Geoscience Australia) 2017;
* Austria terrain data © offene Daten Österreichs - Digitales Geländemodell (DGM) Österreich;
* Canada terrain data contains information licensed under the Open Government Licence - Canada;
* Europe terrain data produced using Copernicus data and information funded by the European Union -
  EU-DEM layers;
* Global ETOPO1 terrain data U.S. National Oceanic and Atmospheric Administration;
* Mexico terrain data source: INEGI, Continental relief, 2016;
* New Zealand terrain data Copyright 2011 Crown copyright (c) Land Information New Zealand and the
  New Zealand Government (All rights reserved);
* Norway terrain data © Kartverket;
* United Kingdom terrain data © Environment Agency copyright and/or database right 2015. All rights
  reserved;
* United States 3DEP (formerly NED) and global GMTED2010 and SRTM terrain data courtesy of the U.S.
  Geological Survey.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["elevation"]

Floats = NDArray[np.float64]
Elevation = tuple[NDArray[np.float32], NDArray[np.float32]]

FILE = "terrain_data/elevation-1.0.npz"
# Of the map as `table` returns it.
SHA256 = "29f9b1b214757da492b48aaea78bc04ea0ef633a22ec4e5bea5831ed1a4373c5"
# Rows from the north pole, columns from 180 degrees west; cells a degree.
ROWS, COLUMNS, PER_DEGREE = 2160, 4320, 12
# Metres = STEP * value + LOWEST; no land where the value is SEA.
STEP, LOWEST, SEA = 28.0, -450.0, 255
# What networks are given: degrees by which their cells are widened, since fields do not resolve the
# terrain of theirs; and the largest coarse cells, degrees. Of larger ones terrain explained 2 % of
# the errors, and took longer than the network.
MARGIN, LARGEST_CELL = 0.25, 8.0
# Less land than this is the rounding of sums.
_LEAST = 1e-6


class _Spans(NamedTuple):
    """From where to where cells reach, in cells of the map from its first edge."""

    low: Floats
    high: Floats


def elevation(lat: ArrayLike, lon: ArrayLike, *, margin: float = 0.0) -> Elevation:
    """Return the mean elevation of the land in each cell of a grid, and how much land there is.

    Cells finer than the map's get what is interpolated linearly between its land.

    Parameters
    ----------
    lat, lon : array_like, (y,) and (x,), or (y, x) both
        Centres of the cells, degrees north and east; longitudes from -180 or from 0 on. They may
        run either way. Edges are half-way between the centres.
    margin : float
        Degrees by which cells are made longer and wider, up to twice what they are: models and
        analyses do not resolve the cells of fine grids.

    Returns
    -------
    elevation : ndarray of float32, (y, x)
        Metres above the sea; NaN where there is no land, or where a centre is NaN.
    land : ndarray of float32, (y, x)
        Share of the cell that is land, 0 to 1; lakes are land, but for the Caspian Sea.

    Raises
    ------
    ValueError
        If `lat` and `lon` are not both 1-D, or both 2-D and of one shape.

    Examples
    --------
    >>> height, land = elevation([33.0, 33.5], [88.0, 88.5])  # Tibet
    >>> bool((height > 4500).all()), land.min().item()
    (True, 1.0)
    """
    lat, lon = (np.asarray(v, np.float64) for v in (lat, lon))
    if lat.ndim == lon.ndim == 1:
        sums = _over_rectangles(lat, lon, margin)
    elif lat.ndim == 2 and lat.shape == lon.shape:
        sums = _over_any(lat, lon, margin)
    else:
        raise ValueError(
            f"got lat of shape {lat.shape} and lon of shape {lon.shape}, expected both 1-D, or "
            f"both 2-D and of one shape"
        )
    value, land = sums
    known = land > _LEAST
    height = np.full(land.shape, np.nan, np.float32)
    np.divide(value, land, out=height, where=known)
    return STEP * height + LOWEST, np.where(known, land, 0).clip(0, 1).astype(np.float32)


def for_models(lat: ArrayLike, lon: ArrayLike) -> NDArray[np.float32]:
    """Return what networks of downscaling are given: elevation and share of land, (2, y, x)."""
    return np.stack(elevation(lat, lon, margin=MARGIN))


@lru_cache(maxsize=1)
def table() -> NDArray[np.uint8]:
    """Return the map, (ROWS, COLUMNS), in steps of STEP metres from LOWEST on; SEA at sea."""
    with files("xgeoml").joinpath(FILE).open("rb") as file, np.load(file) as stored:
        made = decoded(stored["along_rows"])
    made.flags.writeable = False
    return made


def encoded(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the differences along rows, which take less room when compressed."""
    return np.diff(values, axis=1, prepend=np.uint8(0))


def decoded(differences: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what `encoded` was given."""
    return differences.cumsum(axis=1, dtype=np.uint8)


def _over_rectangles(lat: Floats, lon: Floats, margin: float) -> tuple[Floats, Floats]:
    """Return the mean over each cell of value times land, and of land; 1-D centres."""
    rows, lines = _overlaps(_along_lat(lat, _widths(lat, margin)), _sine)
    columns, places = _overlaps(_along_lon(lon, _widths(lon, margin)), np.asarray)
    part = table()[np.ix_(lines, places % COLUMNS)]
    land = (part != SEA).astype(np.float32)
    made = []
    for field in (part * land, land):
        along = rows @ field
        made.append((columns @ along.T).T)
    return made[0], made[1]


def _over_any(lat: Floats, lon: Floats, margin: float) -> tuple[Floats, Floats]:
    """Return the same for 2-D centres: over boxes as long and as wide as the cells."""
    known = np.isfinite(lat) & np.isfinite(lon)
    y, x = _along_lat(lat, _widths(lat, margin)), _along_lon(lon, _widths(lon, margin))
    y, x = (_Spans(*(np.where(known, v, 0.0) for v in spans)) for spans in (y, x))
    first = int(y.low.min())
    part = table()[first : int(np.ceil(y.high.max())) + 1]
    north_of = _sine(first + np.arange(len(part) + 1.0))
    land = np.diff(north_of)[:, None] * (part != SEA)
    y = _Spans(y.low - first, y.high - first)
    south, north = (np.interp(v, np.arange(len(north_of)), north_of) for v in (y.high, y.low))
    area = np.where(known, (south - north) * (x.high - x.low), np.inf)
    value, share = (_box_sums(field, y, x) for field in (part * land, land))
    return value / area, share / area


def _box_sums(field: Floats, y: _Spans, x: _Spans) -> Floats:
    """Return the integral of a field, (row, column), over boxes, from its running sums."""
    from scipy.ndimage import map_coordinates

    sums = np.zeros((field.shape[0] + 1, field.shape[1] + 1))
    np.cumsum(field, axis=0, out=sums[1:, 1:])
    np.cumsum(sums[:, 1:], axis=1, out=sums[:, 1:])

    def up_to(row: Floats, column: Floats) -> Floats:
        turns, column = np.divmod(column, COLUMNS)
        whole = turns * np.interp(row, np.arange(len(sums)), sums[:, -1])
        made: Floats = whole + map_coordinates(sums, [row, column], order=1, mode="nearest")
        return made

    below, above = (up_to(row, x.high) - up_to(row, x.low) for row in (y.high, y.low))
    return below - above


def _widths(centres: Floats, margin: float) -> Floats:
    """Return the widths of cells, from the distances of their neighbours along every axis."""
    widths = np.zeros_like(centres)
    for axis in range(centres.ndim):
        # The short way round, where longitudes jump.
        steps = (np.diff(centres, axis=axis) + 180.0) % 360.0 - 180.0
        before, after = (np.insert(steps, end, np.nan, axis=axis) for end in (0, steps.shape[axis]))
        known = np.isfinite(before).astype(int) + np.isfinite(after)
        total = np.nan_to_num(before) + np.nan_to_num(after)
        widths = np.hypot(widths, total / np.maximum(known, 1))
    return widths + np.minimum(widths, margin)


def _along_lat(centres: Floats, widths: Floats) -> _Spans:
    """Return where cells reach; those across a pole, or beyond, to the pole."""
    spans = _spans((90.0 - centres) * PER_DEGREE, widths)
    low = spans.low.clip(0, ROWS - 1)
    return _Spans(low, np.maximum(spans.high.clip(0, ROWS), low + 0.5))


def _along_lon(centres: Floats, widths: Floats) -> _Spans:
    return _spans((centres + 180.0) * PER_DEGREE, widths.clip(0, 360.0))


def _spans(middle: Floats, widths: Floats) -> _Spans:
    # A mean over a length of the map's own cells, centred anywhere, is linear interpolation.
    half = 0.5 * np.maximum(widths * PER_DEGREE, 1.0)
    return _Spans(middle - half, middle + half)


def _sine(rows: Floats) -> Floats:
    """Return that of the latitude of the map's edges, turned round: area goes with it."""
    return 1.0 - np.sin(np.deg2rad(90.0 - rows / PER_DEGREE))


def _overlaps(
    spans: _Spans, measure: Callable[[Floats], Floats]
) -> tuple[csr_array, NDArray[np.intp]]:
    """Return the share of each span in the map's lines, and which lines these are."""
    from scipy.sparse import csr_array

    first = np.floor(spans.low).astype(np.intp)
    count = np.ceil(spans.high).astype(np.intp) - first
    ends = np.concatenate([[0], count.cumsum()])
    each = np.repeat(np.arange(len(first)), count)
    lines = np.arange(ends[-1]) - ends[each] + first[each]
    low, high = np.maximum(spans.low[each], lines), np.minimum(spans.high[each], lines + 1)
    share = (measure(high) - measure(low)) / (measure(spans.high) - measure(spans.low))[each]
    kept, place = np.unique(lines, return_inverse=True)
    shape = (len(first), len(kept))
    return csr_array((share.astype(np.float32), place, ends), shape=shape), kept
