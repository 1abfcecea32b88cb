"""A figure of panels of given sizes, as far apart as the words around them need.

The layouts of matplotlib make panels of the room that a figure has. A map has a shape of its own,
and the rest of the room would stay empty at one of its sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xgeoml.plot._figures import broken, picture_class
from xgeoml.plot._quantities import Style

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes as Panel
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure

# Inches between panels with their words, around all of them, and of the width of a scale.
_GAP, _EDGE, _SCALE = 0.12, 0.1, 0.14
# Inches of a side of the figure until its own is known, and from there to its panels.
_PAPER, _ASIDE = 10.0, 2.0

# Of the width of a panel: a map as wide as this has the same sides.
_NEARLY = 0.75

Ends = tuple[int, int]


class _Item(NamedTuple):
    """A panel, and where it goes.

    Attributes
    ----------
    panel : Axes
    rows, columns : tuple of int
        First and last. Columns are None of a panel that is as wide as it says, whatever they are.
    width, height : float
        Inches; of a panel that covers several rows, or columns, theirs count.
    """

    panel: Panel
    rows: Ends
    columns: Ends | None
    width: float
    height: float


class _Margins(NamedTuple):
    """Inches that words take around a panel."""

    left: float
    right: float
    above: float
    below: float


class _Track(NamedTuple):
    """Where rows, or columns, begin and end without their words, and the length of all, inches."""

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    length: float


class Sheet:
    """Panels in rows and columns, the first at the upper left.

    Attributes
    ----------
    figure : Figure
        It gets its size, and its panels their places, when all is drawn: see `finish`.
    """

    def __init__(self) -> None:
        self.figure: Figure = picture_class()(figsize=(_PAPER, _PAPER))
        # Settings of the user shall not lay it out once more.
        self.figure.set_layout_engine("none")
        self._items: list[_Item] = []

    def panel(self, row: int, column: int, width: float, height: float) -> Panel:
        """Add a panel so many inches wide and high."""
        return self._add((row, row), (column, column), width, height)

    def wide(self, row: int, width: float, height: float, map_width: float) -> Panel:
        """Add a panel above or below a map: as wide as this, or wider, with the map in the middle.

        Parameters
        ----------
        row : int
        width, height : float
            Inches, where the map is much narrower.
        map_width : float
            Inches of the only map, in column 0.
        """
        if map_width > _NEARLY * width:
            return self.panel(row, 0, map_width, height)
        return self._add((row, row), None, width, height)

    def scale(
        self, mesh: QuadMesh, style: Style, label: str, rows: Sequence[int], column: int
    ) -> None:
        """Add the scale of colours of the panels in some rows, as high as these."""
        ends = min(rows), max(rows)
        height = sum(self._height(row) for row in range(ends[0], ends[1] + 1))
        panel = self._add(ends, (column, column), _SCALE, height)
        bar = self.figure.colorbar(mesh, cax=panel, extend=style.extend)
        bar.set_label(broken(label, height))
        bar.outline.set_linewidth(0.6)

    def legend(self, handles: Sequence[Artist], rows: Sequence[int], column: int) -> None:
        """Add a legend beside the panels in some rows."""
        ends = min(rows), max(rows)
        panel = self._add(ends, (column, column), _SCALE, self._height(ends[0]))
        panel.set_axis_off()
        panel.legend(
            handles=list(handles),
            loc="center left",
            bbox_to_anchor=(0.0, 0.5),
            borderpad=0.0,
            borderaxespad=0.0,
            frameon=False,
            fontsize="small",
        )

    def finish(self, title: str = "") -> Figure:
        """Return the figure, its panels at their places."""
        margins = [self._margins(item) for item in self._items]
        both = list(zip(self._items, margins, strict=True))
        across = _track([(i.columns, i.width, m.left, m.right) for i, m in both if i.columns])
        down = _track([(i.rows, i.height, m.above, m.below) for i, m in both])
        lone = [(m.left, i.width, m.right) for i, m in both if i.columns is None]
        left, widest = (max((one[k] for one in lone), default=0.0) for k in (0, 1))
        width = max([across.length, *map(sum, lone)])
        begin = max(left + 0.5 * (widest - across.length), 0.0) if lone else 0.0
        above = self._write_title(title, width)
        size = width + 2.0 * _EDGE, down.length + above + 2.0 * _EDGE
        self.figure.set_size_inches(*size)
        for item in self._items:
            first, last = item.rows
            low = size[1] - _EDGE - above - down.end[last]
            high = down.end[last] - down.start[first] if last > first else item.height
            if item.columns is None:
                x, wide = left, item.width
            else:
                first, last = item.columns
                room = across.end[last] - across.start[first]
                wide = min(item.width, room)
                x = begin + across.start[first] + 0.5 * (room - wide)
            place = (x + _EDGE) / size[0], low / size[1], wide / size[0], high / size[1]
            item.panel.set_position(place)
        return self.figure

    def _add(self, rows: Ends, columns: Ends | None, width: float, height: float) -> Panel:
        start = _ASIDE / _PAPER
        panel = self.figure.add_axes((start, start, width / _PAPER, height / _PAPER))
        self._items.append(_Item(panel, rows, columns, width, height))
        return panel

    def _height(self, row: int) -> float:
        return max(item.height for item in self._items if item.rows == (row, row))

    def _margins(self, item: _Item) -> _Margins:
        around, dpi = item.panel.get_tightbbox(), self.figure.dpi
        # A title wider than a narrow map may go on above its scale.
        beside = item.panel.get_tightbbox(for_layout_only=True)
        if around is None or beside is None:
            return _Margins(0.0, 0.0, 0.0, 0.0)
        found = (
            _ASIDE - beside.x0 / dpi,
            beside.x1 / dpi - _ASIDE - item.width,
            around.y1 / dpi - _ASIDE - item.height,
            _ASIDE - around.y0 / dpi,
        )
        return _Margins(*(max(float(m), 0.0) for m in found))

    def _write_title(self, title: str, width: float) -> float:
        """Write the title of the figure; return how many inches it takes."""
        if not title:
            return 0.0
        text = self.figure.suptitle(broken(title, width), fontsize="medium")
        height = float(text.get_window_extent().height) / self.figure.dpi
        return height + _GAP


def _track(parts: Sequence[tuple[Ends, float, float, float]]) -> _Track:
    """Return where rows are, given ends, lengths, and margins before and after of their panels."""
    count = 1 + max(ends[1] for ends, *_ in parts)
    before, length, after = (np.zeros(count) for _ in range(3))
    for (first, last), size, lead, trail in parts:
        before[first] = max(before[first], lead)
        after[last] = max(after[last], trail)
        if first == last:
            length[first] = max(length[first], size)
    stop = np.cumsum(before + length + after) + _GAP * np.arange(count)
    end = stop - after
    return _Track(end - length, end, float(stop[-1]))
