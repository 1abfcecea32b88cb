"""What the tests of pictures share: lazy data that tell what was read of them, and titles."""

from __future__ import annotations

import numpy as np
import xarray as xr


def drawn(figure):
    """Return a figure after all of it was drawn, which may fail."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    # The canvas of a figure without pyplot draws nothing.
    FigureCanvasAgg(figure).draw()
    return figure


def titles(figure):
    return [panel.get_title() for panel in figure.axes if panel.get_title()]


def mesh_of(panel):
    """Return the values that a map shows, NaN where missing."""
    return np.ma.filled(panel.collections[0].get_array(), np.nan)


def legend_of(figure):
    """Return the words of all legends."""
    legends = [*figure.legends, *(p.get_legend() for p in figure.axes)]
    return [text.get_text() for legend in legends if legend for text in legend.get_texts()]


def overlapping(figure):
    """Return pairs of words that lie over each other."""
    from matplotlib.text import Text

    renderer = figure.canvas.get_renderer()
    boxes = []
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip():
            box = text.get_window_extent(renderer)
            inside = figure.bbox.overlaps(box)
            if inside and box.width > 0 and _is_shown(text):
                boxes.append((text.get_text(), box))
    return [
        (one, other)
        for k, (one, a) in enumerate(boxes)
        for other, b in boxes[k + 1 :]
        if a.x0 < b.x1 - 1 and b.x0 < a.x1 - 1 and a.y0 < b.y1 - 1 and b.y0 < a.y1 - 1
    ]


def outside(figure):
    """Return words that reach beyond the figure."""
    from matplotlib.text import Text

    renderer = figure.canvas.get_renderer()
    words = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in words if _is_shown(t)]
    low, high = -1.0, 1.0
    return [
        text
        for text, box in boxes
        if min(box.x0, box.y0) < low
        or box.x1 > figure.bbox.x1 + high
        or box.y1 > figure.bbox.y1 + high
    ]


def sides(figure):
    """Return how many inches of a figure are empty at the left, right, below and above."""
    around = figure.get_tightbbox(figure.canvas.get_renderer())
    width, height = figure.get_size_inches()
    return around.x0, width - around.x1, around.y0, height - around.y1


def _is_shown(text):
    """Ticks outside of the limits are kept, but not drawn."""
    axis = next((a for p in text.figure.axes for a in (p.xaxis, p.yaxis) if _has(a, text)), None)
    if axis is None:
        return text.axes is None or text.axes.axison
    low, high = sorted(axis.get_view_interval())
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    place = next(t.get_loc() for t in ticks if text in (t.label1, t.label2))
    return low - 1e-9 <= place <= high + 1e-9 and axis.axes.axison


def _has(axis, text):
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    return any(text in (t.label1, t.label2) for t in ticks)


def watched(data, **chunks):
    """Return lazy data, and the list of the blocks that were computed, by their position."""
    read: list[tuple[int, ...]] = []

    def look(block, block_info=None):
        if block_info:
            read.append(block_info[0]["chunk-location"])
        return block

    lazy = data.chunk(chunks)
    values = lazy.data.map_blocks(look, dtype=data.dtype, meta=np.empty((0,) * data.ndim))
    return xr.DataArray(values, lazy.coords, lazy.dims, data.name, data.attrs), read
