"""Where the points of one grid lie among the cells of another, by their coordinates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.axes import Axes, require
from xgeoml.exceptions import InputError
from xgeoml.grid import is_global, is_rotated, latitude, longitude, unwrap
from xgeoml.models.downscaling import Placement
from xgeoml.models.series import Floats

# Points farther beyond the outer centres have no place: half a cell beyond the outer edge.
_REACH = 1.0
# Share of a coarse cell within which points are those of the cell's parts.
_SAME = 0.01
# The same on curvilinear grids: their parts need not lie quite evenly.
_SAME_CURVED = 0.05
FACTORS = range(2, 9)


@dataclass(frozen=True)
class Grid:
    """A horizontal grid.

    Attributes
    ----------
    dims : tuple of str
        Y and X.
    sizes : tuple of int
    y, x : ndarray or None
        Coordinates along the dims, where they are one-dimensional numbers: latitude and longitude,
        or those of a projection.
    lat, lon : ndarray or None
        Degrees, both 2-D on a curvilinear grid, both 1-D on a regular one.
    units : tuple of str
        Of y and x.
    """

    dims: tuple[str, str]
    sizes: tuple[int, int]
    y: Floats | None
    x: Floats | None
    lat: Floats | None
    lon: Floats | None
    units: tuple[str, str]

    @classmethod
    def of(cls, obj: xr.DataArray | xr.Dataset, axes: Axes) -> Grid:
        """Return the grid of an object whose axes Y and X were found."""
        y_dim, x_dim = require(axes, "Y", "X", purpose="downscaling")
        lat, lon = latitude(obj, axes), longitude(obj, axes)
        if is_rotated(lat) or is_rotated(lon):
            lat = lon = None  # of another pole: the place on Earth is not known
        both = lat is not None and lon is not None and lat.ndim == lon.ndim
        # Asked for a dim without a coordinate, xarray would count its cells.
        one_d = [obj[d] if d in obj.coords else None for d in (y_dim, x_dim)]
        if both and lat is not None and lon is not None and lat.ndim == 1:
            one_d = [lat, lon]
        numbers = [
            None if c is None or c.dtype.kind not in "iuf" else c.values.astype(np.float64)
            for c in one_d
        ]
        in_circle = both and lat is not None and lat.ndim == 1
        for dim, values in zip((y_dim, x_dim), numbers, strict=True):
            if values is not None:
                _check_order(dim, unwrap(values) if in_circle and dim == x_dim else values)
        return cls(
            (y_dim, x_dim),
            (obj.sizes[y_dim], obj.sizes[x_dim]),
            numbers[0],
            numbers[1],
            _plane(lat, (y_dim, x_dim)) if both else None,
            _plane(lon, (y_dim, x_dim)) if both else None,
            (_units(one_d[0]), _units(one_d[1])),
        )

    @property
    def regular(self) -> bool:
        """Whether latitude and longitude are one-dimensional."""
        return self.lat is not None and self.lat.ndim == 1

    @property
    def curvilinear(self) -> bool:
        """Whether latitude and longitude are two-dimensional."""
        return self.lat is not None and self.lat.ndim == 2

    @property
    def around(self) -> bool:
        """Whether the last column neighbours the first."""
        return self.regular and self.lon is not None and is_global(self.lon)

    def turned(self, order: tuple[slice, slice]) -> Grid:
        """Return the grid with its rows and columns in another order."""
        rows, columns = order
        whole = (self.lat, self.lon)
        lat, lon = (
            v if v is None else v[order] if v.ndim == 2 else v[along]
            for v, along in zip(whole, order, strict=True)
        )
        y, x = (v if v is None else v[c] for v, c in ((self.y, rows), (self.x, columns)))
        return replace(self, y=y, x=x, lat=lat, lon=lon)

    def plane(self) -> tuple[Floats, Floats]:
        """Return latitude and longitude of every cell, ``(Y, X)``."""
        assert self.lat is not None
        assert self.lon is not None
        if self.curvilinear:
            return self.lat, self.lon
        lat, lon = np.meshgrid(self.lat, self.lon, indexing="ij")
        return lat, lon


def _check_order(dim: str, values: NDArray[np.generic]) -> None:
    """Raise unless a coordinate ascends or descends throughout."""
    steps = np.diff(values.astype(np.float64))
    if not ((steps > 0).all() or (steps < 0).all()):
        raise InputError(
            f"the coordinate along {dim!r} neither ascends nor descends throughout; expected cells "
            f"in their order, each once: obj.sortby({dim!r}).drop_duplicates({dim!r})"
        )


def _plane(coord: xr.DataArray | None, dims: tuple[str, str]) -> Floats | None:
    if coord is None:
        return None
    values = coord.transpose(*dims).values if coord.ndim == 2 else coord.values
    return np.asarray(values, np.float64)


def _units(coord: xr.DataArray | None) -> str:
    return "" if coord is None else str(coord.attrs.get("units", ""))


def place(points: Grid, cells: Grid, label: str = "like", of: str = "the data") -> Placement:
    """Return where `points` lie among `cells`; for messages, what they are and whose these are.

    NaN for points more than half a cell beyond the outermost edge.

    Raises
    ------
    InputError
        If the two cannot be compared, or no point lies inside.
    """
    if cells.regular and points.regular:
        assert cells.lat is not None
        assert points.lat is not None
        made = Placement(_along(points.lat, cells.lat), _around(points.lon, cells))
    elif cells.regular and points.curvilinear:
        assert cells.lat is not None
        lat, lon = points.plane()
        made = Placement(_along(lat, cells.lat), _around(lon, cells))
        known = np.isfinite(made.rows) & np.isfinite(made.columns)
        made = Placement(np.where(known, made.rows, np.nan), np.where(known, made.columns, np.nan))
    elif cells.curvilinear and (points.curvilinear or points.regular):
        made = _search(points, cells)
    elif _same_map(points, cells):
        assert points.y is not None
        assert points.x is not None
        assert cells.y is not None
        assert cells.x is not None
        made = Placement(_along(points.y, cells.y), _along(points.x, cells.x))
    else:
        raise InputError(
            f"{label} has {_told(points)}, {of} {_told(cells)}; expected latitude and "
            "longitude of both, or coordinates of one map projection: assign_coords(lat=..., "
            "lon=...) gives them"
        )
    if not (np.isfinite(made.rows).any() and np.isfinite(made.columns).any()):
        raise InputError(
            f"no point of {label} lies on the grid of {of}: found {_span(points)}, and there "
            f"{_span(cells)}; expected the two to overlap"
        )
    return _with_factor(made, cells.sizes)


def _same_map(points: Grid, cells: Grid) -> bool:
    there = all(v is not None for v in (points.y, points.x, cells.y, cells.x))
    return there and not points.regular and not cells.regular and points.units == cells.units


def _told(grid: Grid) -> str:
    if grid.lat is not None:
        return f"{grid.lat.ndim}-D latitude and longitude over {grid.dims}"
    units = " and ".join(u or "no units" for u in grid.units)
    return f"no latitude and longitude, but {grid.dims[0]!r} and {grid.dims[1]!r} in {units}"


def _span(grid: Grid) -> str:
    pairs = ((grid.dims[0], grid.y), (grid.dims[1], grid.x))
    if grid.lat is not None:
        pairs = (("latitude", grid.lat), ("longitude", grid.lon))
    return ", ".join(
        f"{name} {np.nanmin(v):g} to {np.nanmax(v):g}" for name, v in pairs if v is not None
    )


def _along(wanted: Floats, centres: Floats) -> Floats:
    """Return positions among centres that ascend or descend, linear beyond the ends."""
    n = centres.size
    if n < 2:
        raise InputError(
            f"an axis of the data has {n} cell; expected two or more: one centre alone says "
            "nothing of its cell's width"
        )
    order = slice(None) if centres[-1] > centres[0] else slice(None, None, -1)
    at = np.arange(n, dtype=np.float64)[order]
    known = centres[order]
    made = np.interp(wanted, known, at)
    low, high = known[0], known[-1]
    first = (wanted - low) / (known[1] - low) * (at[1] - at[0]) + at[0]
    last = (wanted - high) / (high - known[-2]) * (at[-1] - at[-2]) + at[-1]
    made = np.where(wanted < low, first, np.where(wanted > high, last, made))
    return np.where((made < -_REACH) | (made > n - 1 + _REACH), np.nan, made)


def _around(wanted: Floats | None, cells: Grid) -> Floats:
    """Return positions of longitudes, whatever the convention."""
    assert wanted is not None
    assert cells.lon is not None
    lon = np.asarray(unwrap(cells.lon), np.float64)
    if not cells.around:
        middle = 0.5 * (lon[0] + lon[-1])
        return _along(middle + (wanted - middle + 180.0) % 360.0 - 180.0, lon)
    step = (lon[-1] - lon[0]) / (lon.size - 1)
    return np.asarray(((wanted - lon[0]) / step + 0.5) % lon.size - 0.5)


def _search(points: Grid, cells: Grid) -> Placement:
    """Return positions on a curvilinear grid: the nearest cell, then two steps of Newton's."""
    from scipy.ndimage import map_coordinates
    from scipy.spatial import KDTree

    where, there = _on_sphere(*points.plane()), _on_sphere(*cells.plane())
    rows, columns = there.shape[:2]
    if min(rows, columns) < 2:
        raise InputError(
            f"the grid has {rows} x {columns} cells; expected two or more along both axes: one "
            "centre alone says nothing of its cell's width"
        )
    flat = there.reshape(-1, 3)
    known = np.flatnonzero(np.isfinite(flat).all(1))
    wanted = where.reshape(-1, 3)
    sought = np.isfinite(wanted).all(1)
    nearest = np.zeros(len(wanted), np.intp)
    nearest[sought] = known[KDTree(flat[known]).query(wanted[sought])[1]]
    at = np.stack(np.unravel_index(nearest, (rows, columns))).astype(np.float64)
    slopes = np.gradient(there, axis=(0, 1))
    for _ in range(3):
        inside = np.clip(at, 0, [[rows - 1], [columns - 1]])

        def sample(field: Floats, inside: Floats = inside) -> Floats:
            each = [map_coordinates(field[..., k], inside, order=1) for k in range(3)]
            return np.stack(each, -1)

        down, across = sample(slopes[0]), sample(slopes[1])
        off = wanted - sample(there) - (at - inside)[0][:, None] * down
        off -= (at - inside)[1][:, None] * across
        aa, bb, ab = (down**2).sum(-1), (across**2).sum(-1), (down * across).sum(-1)
        pa, pb = (off * down).sum(-1), (off * across).sum(-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            determinant = aa * bb - ab**2
            at = at + np.stack([bb * pa - ab * pb, aa * pb - ab * pa]) / determinant
    outside = ~(sought & (at >= -_REACH).all(0))
    outside |= (at[0] > rows - 1 + _REACH) | (at[1] > columns - 1 + _REACH)
    at[:, outside] = np.nan
    return Placement(at[0].reshape(where.shape[:2]), at[1].reshape(where.shape[:2]))


def _on_sphere(lat: Floats, lon: Floats) -> Floats:
    phi, theta = np.deg2rad(lat), np.deg2rad(lon)
    return np.stack([np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta), np.sin(phi)], -1)


def _with_factor(made: Placement, sizes: tuple[int, int]) -> Placement:
    """Return the placement with its factor, where the points are the parts of all cells."""
    for factor in FACTORS:
        parts = Placement.refined(*sizes, factor)
        if parts.shape != made.shape:
            continue
        rows, columns, close = parts.rows, parts.columns, _SAME
        if made.rows.ndim == 2:
            rows, columns, close = rows[:, None], columns[None, :], _SAME_CURVED
        off = [np.abs(made.rows - rows), np.abs(made.columns - columns)]
        if all(bool((o < close).all()) for o in off):
            return parts
    return made


def factor_for(wanted: Placement) -> int:
    """Return how many times finer than the cells the points are, a whole number of 1 to 8."""
    if wanted.rows.ndim == 2:
        steps = [
            np.hypot(np.diff(wanted.rows, axis=k), np.diff(wanted.columns, axis=k)) for k in (0, 1)
        ]
    else:
        steps = [np.abs(np.diff(wanted.rows)), np.abs(np.diff(wanted.columns))]
    widths = [float(np.nanmedian(s)) for s in steps if np.isfinite(s).any()]
    finest = min((w for w in widths if w > 0), default=1.0)
    return int(np.clip(np.ceil(1.0 / finest - _SAME), 1, FACTORS[-1]))
