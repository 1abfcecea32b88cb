"""Maps and images beside each other, groups of them with one scale of colours each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xgeoml.plot._figures import FILLED_COLOUR, MISSING_COLOUR, OBSERVED_COLOUR, broken
from xgeoml.plot._grid import Grid
from xgeoml.plot._maps import draw_map, hide_inner
from xgeoml.plot._quantities import Style
from xgeoml.plot._sheet import Sheet
from xgeoml.provenance import FILLED, OBSERVED, SUSPECT, UNFILLED

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

# Height over width below which maps stand below each other.
_FLAT = 0.62
# Of the size of a map: others whose edges differ less have the same sides.
_SAME = 1e-3
# Inches of a scale of colours with its label, and of the words at the left of all panels.
_SCALE, _SIDE = 1.1, 0.8
# Width of all panels beside each other at most.
_WIDEST = 13.0
# Room of a map beside others, below others, and in a column beside another one.
_BESIDE, _STACKED, _COLUMN = (4.2, 4.2), (6.0, 2.4), (4.6, 1.7)
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
    shown = [panel for row in rows for panel in row.panels if panel is not None]
    sheet, flat = Sheet(), shown[0].grid.shape < _FLAT
    room = (_WIDEST - _SCALE * len(rows) - _SIDE) / len(shown)
    width, height = _STACKED if flat else (min(_BESIDE[0], room), _BESIDE[1])
    groups: list[list[Panel]] = []
    ends, at = [], 0
    for row in rows:
        groups.append([])
        for one in filter(None, row.panels):
            place = (at, 0) if flat else (0, at)
            groups[-1].append(sheet.panel(*place, *one.grid.fitted(width, height)))
            at += 1
        ends.append(at)
        # In a row each group has its scale at its right.
        at += not flat
    for row, group, end in zip(rows, groups, ends, strict=True):
        lines = range(end - len(group), end) if flat else [0] * len(group)
        _draw_row(sheet, group, row, coast, lines, 1 if flat else end)
    boxes = np.array([one.grid.box for one in shown])
    if np.ptp(boxes, axis=0).max() < _SAME * np.ptp(boxes[0]):
        panels = np.array([panel for group in groups for panel in group], object)
        hide_inner(panels.reshape((-1, 1) if flat else (1, -1)))
    return sheet.finish(title)


def draw_table(rows: Sequence[Row], *, coast: bool, title: str = "") -> Figure:
    """Draw groups of equal length as rows of a table, flat maps as its columns."""
    first = rows[0].panels[0]
    assert first is not None
    many = len(rows[0].panels)
    sheet, flat = Sheet(), first.grid.shape < _FLAT
    room = (_WIDEST - _SCALE - _SIDE) / many
    size = first.grid.fitted(*(_COLUMN if flat else (min(_BESIDE[0], room), _BESIDE[1])))
    panels = np.full((many, 2 * len(rows)) if flat else (len(rows), many), None, object)
    for k, row in enumerate(rows):
        for n, one in enumerate(row.panels):
            if one is not None:
                # A column of flat maps has its scale at its right.
                place = (n, 2 * k) if flat else (k, n)
                panels[place] = sheet.panel(*place, *size)
    for k, row in enumerate(rows):
        part, lines = (panels[:, 2 * k], range(many)) if flat else (panels[k], [k] * many)
        _draw_row(sheet, list(part), row, coast, lines, 2 * k + 1 if flat else many)
    hide_inner(panels[:, ::2] if flat else panels)
    return sheet.finish(title)


def _draw_row(
    sheet: Sheet,
    panels: Sequence[Panel | None],
    row: Row,
    coast: bool,
    lines: Sequence[int],
    column: int,
) -> None:
    """Draw panels, which lie in these lines of the sheet, with one scale, in a column of it."""
    style = row.style or _flag_style()
    mesh, where = None, []
    for panel, shown, line in zip(panels, row.panels, lines, strict=True):
        if shown is None or panel is None:
            continue
        values = shown.values
        if values is None:
            values = np.full((len(shown.grid.north), shown.grid.east.shape[-1]), np.nan)
            panel.text(0.5, 0.5, "absent step", transform=panel.transAxes, ha="center")
        mesh = draw_map(panel, values, shown.grid, style, coast=coast)
        inches = panel.bbox.width / panel.figure.dpi
        told = "\n".join(broken(line, inches) for line in shown.title.split("\n"))
        panel.set_title(told, fontsize="medium")
        where.append(line)
    if mesh is None:
        return
    if row.style is None:
        sheet.legend(_flags_of(row), where, column)
    else:
        sheet.scale(mesh, style, row.label, where, column)


def _flag_style() -> Style:
    from matplotlib.colors import ListedColormap

    colours = ListedColormap([FLAGS[k][1] for k in sorted(FLAGS)])
    return Style(colours, -0.5, len(FLAGS) - 0.5, "neither")


def _flags_of(row: Row) -> list[Patch]:
    """Return a patch for each flag that is there."""
    from matplotlib.patches import Patch

    values = np.concatenate([p.values.ravel() for p in row.panels if p and p.values is not None])
    there = [k for k in sorted(FLAGS) if (values == k).any()]
    return [Patch(facecolor=FLAGS[k][1], edgecolor="0.5", label=FLAGS[k][0]) for k in there]
