"""Maps and images beside each other, groups of them with one scale of colours each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xgeoml.plot._figures import FILLED_COLOUR, MISSING_COLOUR, OBSERVED_COLOUR, picture_class
from xgeoml.plot._maps import Grid, draw_map, draw_scale, hide_inner
from xgeoml.plot._quantities import Style
from xgeoml.provenance import FILLED, OBSERVED, SUSPECT, UNFILLED

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.figure import Figure

# Height over width below which maps stand below each other.
_FLAT = 0.62
# Of the size of a map: others whose edges differ less have the same sides.
_SAME = 1e-3
# Inches of a scale of colours with its label.
_SCALE = 1.1
# Width of all panels beside each other at most.
_WIDEST = 13.0
FLAGS = {
    OBSERVED: ("observed", OBSERVED_COLOUR),
    FILLED: ("filled", FILLED_COLOUR),
    UNFILLED: ("unfilled", MISSING_COLOUR),
    SUSPECT: ("suspect", "#7b3294"),
}


class Shown(NamedTuple):
    """A panel: its title, its cells, and their values; None where there is no such step."""

    title: str
    grid: Grid
    values: NDArray[np.float64] | None


class Row(NamedTuple):
    """Panels that share a scale of colours.

    Attributes
    ----------
    panels : sequence of Shown
    style : Style or None
        None: flags of `fill_gaps`, which have a legend.
    label : str
    """

    panels: Sequence[Shown | None]
    style: Style | None
    label: str


def draw_beside(rows: Sequence[Row], *, coast: bool, title: str = "") -> Figure:
    """Draw groups of maps one after the other: in one row, or flat ones in one column."""
    shown = [panel for row in rows for panel in row.panels]
    flat = shown[0].grid.shape < _FLAT  # type: ignore[union-attr]
    shape = (len(shown), 1) if flat else (1, len(shown))
    figure, panels, high = _grid_of_panels(shown[0], shape, scales=1 if flat else len(rows))
    at = 0
    for row in rows:
        part = panels.ravel()[at : at + len(row.panels)]
        _draw_row(figure, part, row, coast, high * (len(part) if flat else 1))
        at += len(part)
    boxes = np.array([p.grid.box for p in shown if p is not None])
    if np.ptp(boxes, axis=0).max() < _SAME * np.ptp(boxes[0]):
        hide_inner(panels)
    figure.suptitle(title, fontsize="medium")
    return figure


def draw_table(rows: Sequence[Row], *, coast: bool, title: str = "") -> Figure:
    """Draw groups of equal length as rows of a table, flat maps as its columns."""
    first = rows[0].panels[0]
    assert first is not None
    flat = first.grid.shape < _FLAT
    many = len(rows[0].panels)
    shape = (many, len(rows)) if flat else (len(rows), many)
    figure, panels, high = _grid_of_panels(first, shape, scales=len(rows) if flat else 1)
    for k, row in enumerate(rows):
        part = panels[:, k] if flat else panels[k]
        _draw_row(figure, part, row, coast, high * (many if flat else 1))
    hide_inner(panels)
    figure.suptitle(title, fontsize="medium")
    return figure


def _grid_of_panels(
    first: Shown | None, shape: tuple[int, int], scales: int
) -> tuple[Figure, NDArray[Any], float]:
    """Return a figure, its panels, and how many inches high they are."""
    assert first is not None
    width, height = first.grid.inches
    smaller = min(1.0, (_WIDEST - scales * _SCALE) / (shape[1] * width))
    size = (
        shape[1] * smaller * width + scales * _SCALE + 0.8,
        shape[0] * (smaller * height + 0.3) + 0.7,
    )
    figure = picture_class()(figsize=size)
    figure.set_layout_engine("compressed", w_pad=0.08)
    return figure, figure.subplots(*shape, squeeze=False), smaller * height


def _draw_row(figure: Figure, panels: NDArray[Any], row: Row, coast: bool, high: float) -> None:
    """Draw panels with one scale."""
    style = row.style or _flag_style()
    mesh, used = None, []
    for panel, shown in zip(panels, row.panels, strict=True):
        if shown is None:
            panel.set_axis_off()
            continue
        empty = shown.values is None
        values = np.full((len(shown.grid.north), shown.grid.east.shape[-1]), np.nan)
        mesh = draw_map(
            panel, values if shown.values is None else shown.values, shown.grid, style, coast=coast
        )
        panel.set_title(shown.title, fontsize="medium")
        used.append(panel)
        if empty:
            panel.text(0.5, 0.5, "absent step", transform=panel.transAxes, ha="center")
    if mesh is None:
        return
    if row.style is None:
        _name_flags(used[-1], row)
    else:
        draw_scale(figure, mesh, used, style, row.label, high)


def _flag_style() -> Style:
    from matplotlib.colors import ListedColormap

    colours = ListedColormap([FLAGS[k][1] for k in sorted(FLAGS)])
    return Style(colours, -0.5, len(FLAGS) - 0.5, "neither")


def _name_flags(panel: Panel, row: Row) -> None:
    from matplotlib.patches import Patch

    values = np.concatenate([p.values.ravel() for p in row.panels if p and p.values is not None])
    there = [k for k in sorted(FLAGS) if (values == k).any()]
    handles = [Patch(facecolor=FLAGS[k][1], edgecolor="0.5", label=FLAGS[k][0]) for k in there]
    panel.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        frameon=False,
        fontsize="small",
    )
