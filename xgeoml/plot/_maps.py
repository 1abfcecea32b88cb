"""Maps: cells at their places, degrees along the sides, the coast, one scale for several panels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.axes import Axes, find_axes, require
from xgeoml.exceptions import InputError
from xgeoml.grid import is_rotated, latitude, longitude, unwrap
from xgeoml.plot._clock import edges_of
from xgeoml.plot._coast import coast_lines
from xgeoml.plot._figures import MISSING_COLOUR, broken, label_of
from xgeoml.plot._quantities import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

# Longest side of a map, and the shortest, in inches.
_LONGEST, _SHORTEST = 4.2, 1.6
# Above this latitude a map is as wide as it is there: at the pole it would have no end.
_FARTHEST = 75.0
# Degrees between neighbours on two sides of the seam of a curvilinear grid.
_SEAM = 90.0
# Between ticks; where a map goes far around the circle, they are such as divide it.
_DEGREE_STEPS, _WIDE_STEPS, _WIDE = [1, 2, 3, 5, 10], [1, 1.5, 3, 4.5, 6, 9, 10], 45.0


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
    """

    y: str
    x: str
    north: Floats
    east: Floats
    degrees: bool
    labels: tuple[str, str]
    equal: bool

    @property
    def box(self) -> tuple[float, float, float, float]:
        """West, east, south and north edge."""
        if self.north.ndim == 2:
            ends = []
            for places in (self.east, self.north):
                half = 0.5 * max(_usual_step(places, 0), _usual_step(places, 1))
                ends += [float(np.nanmin(places) - half), float(np.nanmax(places) + half)]
            return ends[0], ends[1], ends[2], ends[3]
        ends = []
        for places in (self.east, self.north):
            half = 0.5 * abs(places[-1] - places[0]) / max(len(places) - 1, 1) or 0.5
            ends += [float(places.min() - half), float(places.max() + half)]
        return ends[0], ends[1], ends[2], ends[3]

    @property
    def aspect(self) -> float | None:
        """Length of a unit northwards over that of one eastwards; None: any."""
        if not self.degrees:
            return 1.0 if self.equal else None
        _, _, south, north = self.box
        middle = min(abs(0.5 * (max(south, -90.0) + min(north, 90.0))), _FARTHEST)
        return 1.0 / float(np.cos(np.deg2rad(middle)))

    @property
    def shape(self) -> float:
        """Height of the map over its width."""
        west, east, south, north = self.box
        if self.aspect is None:
            return float(self.north.shape[0]) / float(self.east.shape[-1])
        return self.aspect * (north - south) / (east - west)

    @property
    def inches(self) -> tuple[float, float]:
        """Width and height of a panel."""
        shape = self.shape
        width, height = (_LONGEST, _LONGEST * shape) if shape <= 1 else (_LONGEST / shape, _LONGEST)
        return max(width, _SHORTEST), max(height, _SHORTEST)


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
        return Grid(y, x, north, east, True, ("", ""), False)
    places = [_numbers(field, dim) for dim in (y, x)]
    units = [field[d].attrs.get("units") if d in field.coords else None for d in (y, x)]
    spans = [abs(float(p[-1] - p[0])) or 1.0 for p in places]
    equal = units[0] == units[1] and 0.2 < spans[0] / spans[1] < 5.0
    labels = [label_of(field[d]) if d in field.coords else d for d in (y, x)]
    return Grid(y, x, places[0], places[1], False, (labels[0], labels[1]), equal)


def one_map(
    field: xr.DataArray, axes: Axes, *, keep: Sequence[str] = ()
) -> tuple[xr.DataArray, str]:
    """Return the field (y, x) at the first position of other dims, and which one that is in words.

    Parameters
    ----------
    field : DataArray
    axes : Axes
    keep : sequence of str
        Dims, besides those of the map, that are kept in front.
    """
    others = [str(d) for d in field.dims if d not in (*axes.space, *keep)]
    told = []
    for dim in others:
        value = field[dim].values[0] if dim in field.coords else 0
        units = str(field[dim].attrs.get("units", "")) if dim in field.coords else ""
        told.append(f"{dim} {value:g} {units}".strip() if _is_number(value) else f"{dim} {value}")
    return field.isel(dict.fromkeys(others, 0)).transpose(*keep, *axes.space), ", ".join(told)


def draw_map(
    panel: Panel, values: Floats, grid: Grid, style: Style, *, coast: bool = True
) -> QuadMesh:
    """Draw the cells of a field, (y, x); missing ones are grey, north is up."""
    shown = np.ma.masked_invalid(values)
    if grid.east.ndim == 2:
        east, north, lost = _corners(grid.east, grid.north)
        shown = np.ma.masked_where(lost, shown)
    else:
        east, north = edges_of(grid.east), edges_of(grid.north)
    mesh = panel.pcolormesh(
        east,
        north,
        shown,
        cmap=style.cmap,
        vmin=style.low,
        vmax=style.high,
        rasterized=True,
    )
    panel.set_facecolor(MISSING_COLOUR)
    west, right, south, up = grid.box
    if grid.degrees:
        south, up = max(south, -90.0), min(up, 90.0)
    panel.set_xlim(west, right)
    panel.set_ylim(south, up)
    panel.set_aspect("auto" if grid.aspect is None else grid.aspect)
    if coast and grid.degrees:
        _draw_coast(panel, west, right, south, up)
    _name_sides(panel, grid)
    return mesh


def draw_scale(
    figure: Figure, mesh: QuadMesh, panels: Sequence[Panel], style: Style, label: str, inches: float
) -> None:
    """Draw the scale of colours of some panels at their right, so many inches high."""
    bar = figure.colorbar(mesh, ax=list(panels), extend=style.extend, pad=0.02, aspect=25)
    bar.set_label(broken(label, inches))
    bar.outline.set_linewidth(0.6)


def hide_inner(panels: NDArray[Any]) -> None:
    """Leave the labels of the sides to the outermost panels of a (row, column) of maps."""
    for (row, column), panel in np.ndenumerate(panels):
        if row + 1 < panels.shape[0] and panels[row + 1, column].axison:
            panel.tick_params(labelbottom=False)
            panel.set_xlabel("")
        if column and panels[row, column - 1].axison:
            panel.tick_params(labelleft=False)
            panel.set_ylabel("")


def same_cells(one: Grid, other: Grid) -> bool:
    """Whether two grids have their cells at the same places, in the same order."""
    return all(
        a.shape == b.shape and np.allclose(a, b, rtol=0, atol=1e-3, equal_nan=True)
        for a, b in ((one.north, other.north), (one.east, other.east))
    )


def degrees_text(value: float, axis: str) -> str:
    """Return a latitude (axis Y) or longitude in words: ``12.5° S``, ``180°``."""
    if axis == "X":
        value = (value + 180.0) % 360.0 - 180.0
    size = f"{abs(round(value, 4)):g}°"
    if abs(value) < 1e-9 or (axis == "X" and abs(abs(value) - 180.0) < 1e-9):
        return size
    return f"{size} {('N' if value > 0 else 'S') if axis == 'Y' else ('E' if value > 0 else 'W')}"


def _name_sides(panel: Panel, grid: Grid) -> None:
    """Write degrees along the sides, or what rows and columns are."""
    if not grid.degrees:
        panel.set_ylabel(grid.labels[0])
        panel.set_xlabel(grid.labels[1])
        return
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    west, east, south, north = grid.box
    wide = 5 if grid.shape < 1.4 else 3
    for axis, count, span in ((panel.xaxis, wide, east - west), (panel.yaxis, 5, north - south)):
        steps = _WIDE_STEPS if span > _WIDE else _DEGREE_STEPS
        axis.set_major_locator(MaxNLocator(count, steps=steps))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda v, _: degrees_text(v, "X")))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda v, _: degrees_text(v, "Y")))
    panel.tick_params(labelsize="small")


def _draw_coast(panel: Panel, west: float, east: float, south: float, north: float) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.patheffects import withStroke

    lines = coast_lines(*(round(v, 4) for v in (west, east, south, north)))
    # The pale rim shows on dark colours, the line on light ones.
    rim = [withStroke(linewidth=1.4, foreground=(1.0, 1.0, 1.0, 0.55))]
    coast = LineCollection(lines, colors="0.25", linewidths=0.6, path_effects=rim, label="coast")
    panel.add_collection(coast, autolim=False)


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


def _corners(east: Floats, north: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return the corners of curvilinear cells, and which cells are not to be drawn.

    Cells have no place where such grids leave out the land, and none that could be drawn beside the
    seam of longitudes.
    """
    lost = ~(np.isfinite(east) & np.isfinite(north))
    torn = lost.copy()
    for axis in (0, 1):
        far = np.abs(np.diff(east, axis=axis)) > _SEAM
        first, second = np.insert(far, 0, False, axis), np.insert(far, far.shape[axis], False, axis)
        torn |= first | second
    corners = []
    for places in (east, north):
        around = _extended(np.pad(np.where(lost, np.nan, places), 1, constant_values=np.nan))
        rows = 0.5 * (around[1:] + around[:-1])
        corners.append(0.5 * (rows[:, 1:] + rows[:, :-1]))
    return corners[0], corners[1], torn


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


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, np.timedelta64)


def finite_values(fields: Iterable[xr.DataArray]) -> list[Floats]:
    """Return the values of fields as floats, NaN where missing."""
    made = []
    for field in fields:
        if field.dtype.kind not in "biuf":
            raise InputError(
                f"{field.name!r} has dtype {field.dtype}; expected numbers, which have colours"
            )
        made.append(field.values.astype(np.float64))
    return made
