"""Where the cells of a map are, and how large a panel they make."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.axes import Axes, find_axes, require
from xgeoml.grid import is_rotated, latitude, longitude, unwrap
from xgeoml.plot._clock import edges_of
from xgeoml.plot._figures import label_of

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# A map is so many times as long as it is wide at most, or it would be a line.
_LONGEST = 6.0
# Above this latitude a map is as wide as it is there: at the pole it would have no end.
_FARTHEST = 75.0
# Degrees between neighbours on two sides of the seam of a curvilinear grid.
_SEAM = 90.0
# Latitudes of one hemisphere, all beyond the first of rows and the second of curvilinear cells,
# that are seen from above the pole where they go all around it.
_POLAR, _POLAR_CELLS = 45.0, 20.0
# Degrees of the circle that lie between the cells of a row around it.
_AROUND = 359.0


class Grid(NamedTuple):
    """Where the cells of a map are.

    Attributes
    ----------
    y, x : str
        Dims.
    north, east : ndarray, (y,) and (x,), or (y, x) both
        Degrees, other coordinates, or the numbers of rows and columns.
    degrees : bool
        Whether they are latitudes and longitudes of the Earth.
    labels : tuple of str
        What rows and columns are.
    equal : bool
        Whether a step is as long in both directions.
    pole : {0, 1, -1}
        Whether it is seen from above the north or the south pole.
    """

    y: str
    x: str
    north: Floats
    east: Floats
    degrees: bool
    labels: tuple[str, str]
    equal: bool
    pole: int = 0

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, right, lower and upper edge of the map."""
        if self.pole and self.north.ndim == 1:
            far = 90.0 - float(np.abs(edges_of(self.north)).min())
            return -far, far, -far, far
        ends: list[float] = []
        for places in self.middles:
            if places.ndim == 2:
                half = 0.5 * max(_usual_step(places, 0), _usual_step(places, 1)) or 0.5
            else:
                half = 0.5 * abs(places[-1] - places[0]) / max(len(places) - 1, 1) or 0.5
            ends += [float(np.nanmin(places) - half), float(np.nanmax(places) + half)]
        if self.degrees and not self.pole:
            ends[2:] = max(ends[2], -90.0), min(ends[3], 90.0)
        return ends[0], ends[1], ends[2], ends[3]

    @property
    def middles(self) -> tuple[Floats, Floats]:
        """How far to the right and up the middles of the cells are drawn."""
        if not self.pole:
            return self.east, self.north
        if self.north.ndim == 1:
            return from_above(self.pole, *np.meshgrid(self.east, self.north))
        return from_above(self.pole, self.east, self.north)

    @property
    def corners(self) -> tuple[Floats, Floats, Bools | None]:
        """Where the corners of the cells are drawn, and which cells have no place."""
        if self.north.ndim == 1:
            east, north = edges_of(self.east), edges_of(self.north)
            if not self.pole:
                return east, north, None
            beyond = np.clip(north, -90.0, 90.0)
            return *from_above(self.pole, *np.meshgrid(east, beyond)), None
        return _corners(*self.middles, torn=self.degrees and not self.pole)

    @property
    def aspect(self) -> float | None:
        """Length of a unit upwards over that of one to the right; None: any."""
        made = self._true_aspect
        if made is None:
            return None
        left, right, low, high = self.box
        shape = made * (high - low) / (right - left)
        return made if 1.0 / _LONGEST <= shape <= _LONGEST else None

    @property
    def shape(self) -> float:
        """Height of the map over its width."""
        made = self._true_aspect
        left, right, low, high = self.box
        if made is None:
            shape = float(self.north.shape[0]) / float(self.east.shape[-1])
        else:
            shape = made * (high - low) / (right - left)
        return min(max(shape, 1.0 / _LONGEST), _LONGEST)

    def fitted(self, width: float, height: float) -> tuple[float, float]:
        """Return the width and height of the largest panel within so many inches."""
        wide = min(width, height / self.shape)
        return wide, wide * self.shape

    @property
    def _true_aspect(self) -> float | None:
        if self.pole:
            return 1.0
        if not self.degrees:
            return 1.0 if self.equal else None
        _, _, south, north = self.box
        return 1.0 / float(np.cos(np.deg2rad(min(abs(0.5 * (south + north)), _FARTHEST))))


def grid_of(field: xr.DataArray, axes: Axes | None = None) -> Grid:
    """Return where the cells of a field are; the field may have other dims.

    Raises
    ------
    AxisError
        If there is no axis X or Y.
    """
    axes = axes or find_axes(field)
    y, x = require(axes, "Y", "X", purpose="a map")
    lat, lon = latitude(field, axes), longitude(field, axes)
    known = lat is not None and lon is not None and not (is_rotated(lat) or is_rotated(lon))
    if known and lat is not None and lon is not None and lat.ndim == lon.ndim:
        north, east = (
            _degrees(c.transpose(*(d for d in (y, x) if d in c.dims))) for c in (lat, lon)
        )
        east = _without_seam(east) if east.ndim == 2 else np.asarray(unwrap(east), np.float64)
        return Grid(y, x, north, east, True, ("", ""), False, _pole_of(north, east))
    places = [_numbers(field, dim) for dim in (y, x)]
    units = [field[d].attrs.get("units") if d in field.coords else None for d in (y, x)]
    spans = [abs(float(p[-1] - p[0])) or 1.0 for p in places]
    equal = units[0] == units[1] and 0.2 < spans[0] / spans[1] < 5.0
    labels = [label_of(field[d]) if d in field.coords else d for d in (y, x)]
    return Grid(y, x, places[0], places[1], False, (labels[0], labels[1]), equal)


def same_cells(one: Grid, other: Grid) -> bool:
    """Whether two grids have their cells at the same places, in the same order."""
    return all(
        a.shape == b.shape and np.allclose(a, b, rtol=0, atol=1e-3, equal_nan=True)
        for a, b in ((one.north, other.north), (one.east, other.east))
    )


def from_above(pole: int, east: Floats, north: Floats) -> tuple[Floats, Floats]:
    """Return how far to the right and up of a pole, in degrees, places are drawn.

    Greenwich is below the north pole and above the south pole, as in atlases.
    """
    away, turn = 90.0 - pole * north, np.deg2rad(east)
    return np.asarray(away * np.sin(turn)), np.asarray(-pole * away * np.cos(turn))


def _pole_of(north: Floats, east: Floats) -> int:
    """Return the pole around which the cells lie; 0 for maps of other regions."""
    least, most = float(np.nanmin(north)), float(np.nanmax(north))
    pole = 1 if least > 0.0 else -1 if most < 0.0 else 0
    nearest = min(abs(least), abs(most))
    if north.ndim == 1:
        around = abs(edges_of(east)[-1] - edges_of(east)[0]) >= _AROUND
        return pole if around and nearest >= _POLAR else 0
    return pole if nearest >= _POLAR_CELLS and _is_torn(east).any() else 0


def _is_torn(east: Floats) -> Bools:
    """Return which cells lie beside the seam of longitudes."""
    torn = np.zeros(east.shape, np.bool_)
    for axis in (0, 1):
        far = np.abs(np.diff(east, axis=axis)) > _SEAM
        first, second = np.insert(far, 0, False, axis), np.insert(far, far.shape[axis], False, axis)
        torn |= first | second
    return torn


def _degrees(coord: xr.DataArray) -> Floats:
    values = coord.values.astype(np.float64)
    radians = str(coord.attrs.get("units", "")).lower().startswith("rad")
    return np.asarray(np.rad2deg(values) if radians else values, np.float64)


def _numbers(field: xr.DataArray, dim: str) -> Floats:
    """Return the coordinate of a dim, or the numbers of its positions where it runs no way."""
    coord = field.coords.get(dim)
    if coord is not None and coord.dtype.kind in "iuf":
        values: Floats = coord.values.astype(np.float64)
        steps = np.diff(values)
        if (steps > 0).all() or (steps < 0).all():
            return values
    return np.arange(field.sizes[dim], dtype=np.float64)


def _without_seam(east: Floats) -> Floats:
    """Return longitudes, (y, x), within half a circle of their middle."""
    angles = np.deg2rad(east[np.isfinite(east)])
    middle = np.rad2deg(np.arctan2(np.sin(angles).mean(), np.cos(angles).mean()))
    return np.asarray((east - middle + 180.0) % 360.0 - 180.0 + middle)


def _corners(east: Floats, north: Floats, *, torn: bool) -> tuple[Floats, Floats, Bools]:
    """Return the corners of curvilinear cells, and which cells are not to be drawn.

    Cells have no place where such grids leave out the land, and with `torn` none that could be
    drawn beside the seam of longitudes.
    """
    lost = ~(np.isfinite(east) & np.isfinite(north))
    corners = []
    for places in (east, north):
        around = _extended(np.pad(np.where(lost, np.nan, places), 1, constant_values=np.nan))
        rows = 0.5 * (around[1:] + around[:-1])
        corners.append(0.5 * (rows[:, 1:] + rows[:, :-1]))
    return corners[0], corners[1], lost | _is_torn(east) if torn else lost


def _extended(places: Floats) -> Floats:
    """Return places with those around the known ones set forth, and any number further away."""
    for _ in range(2):
        total, count = np.zeros(places.shape), np.zeros(places.shape, np.int64)
        for axis, turn in ((0, 1), (0, -1), (1, 1), (1, -1)):
            guess = 2.0 * _moved(places, turn, axis) - _moved(places, 2 * turn, axis)
            known = np.isfinite(guess)
            total, count = total + np.where(known, guess, 0.0), count + known
        use = np.isnan(places) & (count > 0)
        places = np.where(use, total / np.maximum(count, 1), places)
    # Corners of cells that are not drawn; there must be numbers.
    return np.where(np.isnan(places), np.nanmean(places), places)


def _moved(places: Floats, by: int, axis: int) -> Floats:
    """Return places moved along an axis, NaN where nothing comes in."""
    made = np.full(places.shape, np.nan)
    near, far = slice(None, -abs(by)), slice(abs(by), None)
    there, here = (near, far) if by > 0 else (far, near)
    before = (slice(None),) * axis
    made[(*before, here)] = places[(*before, there)]
    return made


def _usual_step(places: Floats, axis: int) -> float:
    """Return the median distance of neighbours along an axis."""
    steps = np.abs(np.diff(places, axis=axis))
    return float(np.nanmedian(steps)) if np.isfinite(steps).any() else 0.0
