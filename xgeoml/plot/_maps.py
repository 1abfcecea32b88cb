"""Maps: cells at their places, degrees along the sides, the coast, the pole seen from above."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.axes import Axes
from xgeoml.exceptions import InputError
from xgeoml.plot._coast import coast_lines
from xgeoml.plot._figures import MISSING_COLOUR
from xgeoml.plot._grid import Floats, Grid, from_above
from xgeoml.plot._quantities import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.collections import QuadMesh

# Between ticks; where a map goes far around the circle, they are such as divide it.
_DEGREE_STEPS, _WIDE_STEPS, _WIDE = [1, 2, 3, 5, 10], [1, 1.5, 3, 4.5, 6, 9, 10], 45.0
# Inches of a side that a tick takes, along and up, and ticks of a side at most.
_TICK, _MOST_TICKS = (0.75, 0.45), 5
# From the middle of a map of a pole to its corner, of half its side.
_CORNER = 1.42


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
    """Draw the cells of a field, (y, x); missing ones are grey, north is up.

    The panel has the size in which it will be seen, which tells how many ticks it has room for.
    """
    shown = np.ma.masked_invalid(values)
    east, north, lost = grid.corners
    shown = shown if lost is None else np.ma.masked_where(lost, shown)
    mesh = panel.pcolormesh(
        east,
        north,
        shown,
        cmap=style.cmap,
        vmin=style.low,
        vmax=style.high,
        rasterized=True,
    )
    if east.ndim == 1:
        panel.set_facecolor(MISSING_COLOUR)
    else:
        _draw_missing(panel, east, north, lost)
    left, right, low, high = grid.box
    panel.set_xlim(left, right)
    panel.set_ylim(low, high)
    panel.set_aspect("auto" if grid.aspect is None else grid.aspect)
    if coast and grid.degrees:
        _draw_coast(panel, grid)
    if grid.pole:
        _name_circles(panel, grid)
    else:
        _name_sides(panel, grid)
    return mesh


def hide_inner(panels: NDArray[Any]) -> None:
    """Leave the labels of the sides to the outermost panels of a (row, column) of maps or None."""
    for (row, column), panel in np.ndenumerate(panels):
        if panel is None:
            continue
        if row + 1 < panels.shape[0] and panels[row + 1, column] is not None:
            panel.tick_params(labelbottom=False)
            panel.set_xlabel("")
        if column and panels[row, column - 1] is not None:
            panel.tick_params(labelleft=False)
            panel.set_ylabel("")


def degrees_text(value: float, axis: str) -> str:
    """Return a latitude (axis Y) or longitude in words: ``12.5° S``, ``180°``."""
    if axis == "X":
        value = (value + 180.0) % 360.0 - 180.0
    size = f"{abs(round(value, 4)):g}°"
    if abs(value) < 1e-9 or (axis == "X" and abs(abs(value) - 180.0) < 1e-9):
        return size
    return f"{size} {('N' if value > 0 else 'S') if axis == 'Y' else ('E' if value > 0 else 'W')}"


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


def _draw_missing(
    panel: Panel, east: Floats, north: Floats, lost: NDArray[np.bool_] | None
) -> None:
    """Draw all cells grey below the others: around a turned grid there is nothing to be missing."""
    from matplotlib.colors import ListedColormap

    there = np.zeros((east.shape[0] - 1, east.shape[1] - 1))
    below = there if lost is None else np.ma.masked_where(lost, there)
    grey = ListedColormap([MISSING_COLOUR])
    panel.pcolormesh(east, north, below, cmap=grey, zorder=-1.0, rasterized=True)


def _name_sides(panel: Panel, grid: Grid) -> None:
    """Write degrees along the sides, or what rows and columns are."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    left, right, low, high = grid.box
    dpi = panel.figure.dpi
    inches = panel.bbox.width / dpi, panel.bbox.height / dpi
    sides = ((panel.xaxis, right - left, "X"), (panel.yaxis, high - low, "Y"))
    for (axis, span, name), length, tick in zip(sides, inches, _TICK, strict=True):
        count = min(max(int(length / tick), 1), _MOST_TICKS)
        steps = _WIDE_STEPS if grid.degrees and span > _WIDE else _DEGREE_STEPS
        axis.set_major_locator(MaxNLocator(count, steps=steps, min_n_ticks=min(count, 2)))
        if grid.degrees:
            axis.set_major_formatter(FuncFormatter(lambda v, _, name=name: degrees_text(v, name)))
    panel.tick_params(labelsize="small")
    if not grid.degrees:
        panel.set_ylabel(grid.labels[0])
        panel.set_xlabel(grid.labels[1])


def _name_circles(panel: Panel, grid: Grid) -> None:
    """Draw and write circles of latitude and the four main meridians around a pole."""
    from matplotlib.ticker import MaxNLocator

    far = grid.box[1]
    turn = np.linspace(0.0, 360.0, 181)
    for away in MaxNLocator(3, steps=_DEGREE_STEPS).tick_values(0.0, far):
        if 0.0 < away < far:
            lat = grid.pole * (90.0 - away)
            panel.plot(*from_above(grid.pole, turn, np.full(len(turn), lat)), lw=0.4, color="0.45")
            x, y = from_above(grid.pole, np.array(45.0), np.array(lat))
            panel.text(
                float(x),
                float(y),
                degrees_text(lat, "Y"),
                fontsize="x-small",
                color="0.25",
                ha="center",
                va="center",
                clip_on=True,
            )
    panel.axhline(0.0, lw=0.4, color="0.45")
    panel.axvline(0.0, lw=0.4, color="0.45")
    panel.set_xticks([0.0], ["0°" if grid.pole > 0 else "180°"], fontsize="small")
    panel.set_yticks([0.0], [degrees_text(-90.0, "X")], fontsize="small")


def _draw_coast(panel: Panel, grid: Grid) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.patheffects import withStroke

    box = grid.box
    if grid.pole:
        edge = max(90.0 - _CORNER * box[1], 0.0)
        ends = (edge, 90.0) if grid.pole > 0 else (-90.0, -edge)
        box = (-180.0, 180.0, *ends)
    lines = coast_lines(*(round(v, 4) for v in box))
    if grid.pole:
        lines = [np.stack(from_above(grid.pole, *line.T), axis=1) for line in lines]
    # The pale rim shows on dark colours, the line on light ones.
    rim = [withStroke(linewidth=1.4, foreground=(1.0, 1.0, 1.0, 0.55))]
    coast = LineCollection(lines, colors="0.25", linewidths=0.6, path_effects=rim, label="coast")
    panel.add_collection(coast, autolim=False)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, np.timedelta64)
