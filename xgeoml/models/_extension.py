"""Fields continued beyond their edges: coasts, holes, and the border of the domain."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from xgeoml.models.series import Bools, Floats

Cells = NDArray[np.intp]
Box = tuple[slice, slice]

# Cells beyond the nearest one with a value whose values count too: they give its slope.
SLOPE = 2


class Links(NamedTuple):
    """Which cells are filled from which, for one pattern of missing cells.

    Attributes
    ----------
    filled : ndarray, (filled cell,)
        Numbered in the box.
    source : ndarray, (source cell,)
        Numbered in the fields.
    level, down, across : sparse arrays, (filled cell, source cell)
        Share of each source's value, and of its slopes times the way from it.
    """

    filled: Cells
    source: Cells
    level: sparse.csr_array
    down: sparse.csr_array
    across: sparse.csr_array


def extend(fields: Floats, radius: int, box: Box) -> Floats:
    """Fill missing cells near known ones with the value and the slope of the nearest known cell.

    Where several are nearest their answers are averaged. A slope that is known on one side only is
    reduced by its change from one cell to the next, so that noise is not carried outwards, while a
    field linear in row and column goes on as it is.

    Parameters
    ----------
    fields : ndarray, (step, y, x)
        NaN where missing.
    radius : int
        Cells farther than this from all known ones, along either axis, stay NaN. What a cell gets
        depends on those up to ``radius + SLOPE`` away.
    box : tuple of slice
        The rows and columns wanted: numbers of those of `fields`, below 0 and beyond the last too.

    Returns
    -------
    ndarray, (step, rows of the box, columns of the box)
    """
    shape = tuple(b.stop - b.start for b in box)
    filled = np.full((len(fields), *shape), np.nan)
    inner, place = [], []
    for b, size in zip(box, fields.shape[1:], strict=True):
        first, last = max(b.start, 0), min(b.stop, size)
        inner.append(slice(first, last))
        place.append(slice(first - b.start, last - b.start))
    filled[:, *place] = fields[:, *inner]
    known = np.isfinite(fields)
    if known.all() and inner == list(box):
        return filled
    for steps, pattern in _patterns(known):
        links = _links(pattern.tobytes(), pattern.shape, radius, box)
        if not len(links.filled):
            continue
        flat = fields[steps].reshape(-1, pattern.size)
        made = links.level @ flat[:, links.source].T
        for part, axis in ((links.down, 0), (links.across, 1)):
            made += part @ _slopes(flat, pattern, links.source, axis).T
        y, x = np.unravel_index(links.filled, shape)
        if isinstance(steps, slice):
            filled[:, y, x] = made.T
        else:
            filled[steps[:, None], y, x] = made.T
    return filled


def _patterns(known: Bools) -> Iterator[tuple[slice | Cells, Bools]]:
    """Yield the steps that lack the same cells, and which cells are known in them."""
    if len(known) and (known == known[0]).all():
        yield slice(None), known[0]
        return
    packed = np.packbits(known.reshape(len(known), -1), axis=1)
    _, first, which = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    for number, step in enumerate(first):
        yield np.flatnonzero(which.ravel() == number), known[step]


# The same coasts and edges come again with every pass over the steps.
@lru_cache(maxsize=64)
def _links_cached(
    pattern: bytes, shape: tuple[int, int], radius: int, edges: tuple[int, int, int, int]
) -> Links:
    top, bottom, left, right = edges
    known = np.frombuffer(pattern, bool).reshape(shape)
    wide = np.zeros((bottom - top + 2 * radius, right - left + 2 * radius), bool)
    for_rows, for_columns = np.arange(shape[0]) - top + radius, np.arange(shape[1]) - left + radius
    rows = (for_rows >= 0) & (for_rows < wide.shape[0])
    columns = (for_columns >= 0) & (for_columns < wide.shape[1])
    wide[np.ix_(for_rows[rows], for_columns[columns])] = known[np.ix_(rows, columns)]
    y, x = np.nonzero(~wide[radius:-radius, radius:-radius])
    target, step = _nearest(wide, y + radius, x + radius, radius)
    source = (y[target] + top + step[:, 0]) * shape[1] + x[target] + left + step[:, 1]
    number = y[target] * (right - left) + x[target]
    filled, row = np.unique(number, return_inverse=True)
    cells, column = np.unique(source, return_inverse=True)
    share = 1.0 / np.bincount(row)[row] if len(row) else np.zeros(0)
    size = (len(filled), len(cells))
    level, down, across = (
        sparse.csr_array((share * way, (row, column)), shape=size)
        for way in (1.0, -step[:, 0], -step[:, 1])
    )
    return Links(filled, cells, level, down, across)


def _links(pattern: bytes, shape: tuple[int, ...], radius: int, box: Box) -> Links:
    rows, columns = box
    edges = (rows.start, rows.stop, columns.start, columns.stop)
    return _links_cached(pattern, (shape[0], shape[1]), radius, edges)


def _nearest(known: Bools, y: Cells, x: Cells, radius: int) -> tuple[Cells, Cells]:
    """Return pairs of a cell's number and the step, (y, x), to a known cell nearest to it."""
    left = np.arange(len(y))
    numbers, steps = [np.zeros(0, np.intp)], [np.zeros((0, 2), np.intp)]
    for ring in _rings(radius):
        found = known[y[left] + ring[:, :1], x[left] + ring[:, 1:]]
        step, which = np.nonzero(found)
        numbers.append(left[which])
        steps.append(ring[step])
        left = left[~found.any(0)]
        if not len(left):
            break
    return np.concatenate(numbers), np.concatenate(steps)


@lru_cache(maxsize=8)
def _rings(radius: int) -> tuple[Cells, ...]:
    """Return the steps to cells equally far away, the nearest first."""
    side = np.arange(-radius, radius + 1)
    steps = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    distance = (steps**2).sum(1)
    return tuple(steps[distance == d] for d in np.unique(distance)[1:])


def _slopes(flat: Floats, known: Bools, cells: Cells, axis: int) -> Floats:
    """Return the slope along `axis` at known cells, ``(step, cell)``; 0 where nothing tells."""
    around = np.pad(known, SLOPE)
    y, x = (place + SLOPE for place in np.unravel_index(cells, known.shape))
    stride = known.shape[1] if axis == 0 else 1

    def there(n: int) -> Bools:
        return np.asarray(around[y + n, x] if axis == 0 else around[y, x + n])

    def value(n: int) -> Floats:
        return flat[:, np.where(there(n), cells + n * stride, cells)]

    ahead, behind = there(1), there(-1)
    after, before, here = value(1), value(-1), value(0)
    rising = _reduced(after - here, value(2) - after, there(2))
    falling = _reduced(here - before, before - value(-2), there(-2))
    both = 0.5 * (after - before)
    one = np.where(ahead, rising, np.where(behind, falling, 0.0))
    return np.where(ahead & behind, both, one)


def _reduced(slope: Floats, inner: Floats, known: Bools) -> Floats:
    """Return a slope less its change from the `inner` one, 0 at most, where that is known."""
    least = np.copysign(np.maximum(np.abs(slope) - np.abs(slope - inner), 0.0), slope)
    return np.where(known, least, slope)
