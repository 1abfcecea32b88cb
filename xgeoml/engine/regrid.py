"""From a fine grid to the points that were asked for, and back to coarse means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xgeoml.models.downscaling import Placement
from xgeoml.models.series import Bools, Floats

if TYPE_CHECKING:
    from scipy import sparse

# Weights, zeros included, up to which whole matrices are faster than sparse ones.
_SMALL = 2**14
# Share of a point's weight that must have a value.
_ENOUGH = 0.5
# Values of a few steps, 256 kB.
_CACHED = 2**15
# Rounds of spreading back what the means of coarse cells lack, and when to stop, in deviations.
_ROUNDS, _CLOSE = 200, 1e-5


@dataclass(frozen=True)
class Regrid:
    """Linear interpolation from the cells that divide a coarse grid to any points.

    Parameters
    ----------
    rows, columns : sparse array
        ``(Y', Y)`` and ``(X', X)`` where the axes run the same way; else `rows` is
        ``(Y' X', Y X)`` and `columns` is None.
    shape : tuple of int
        Y' and X'.
    """

    rows: sparse.csr_array
    columns: sparse.csr_array | None
    shape: tuple[int, int]

    @classmethod
    def to(
        cls, wanted: Placement, sizes: tuple[int, int], factor: int = 1, around: bool = False
    ) -> Regrid:
        """Return what leads from a grid `factor` times as fine as the coarse one of `sizes`.

        Where a point stands for a cell larger than the fine ones, it is the mean over the cell.

        Parameters
        ----------
        wanted : Placement
            Of the points, in cells of the coarse grid; NaN where there is no place for one.
        sizes : tuple of int
            Rows and columns of the coarse grid.
        factor : int
        around : bool
            Whether the last column neighbours the first.
        """
        from scipy import sparse

        rows, columns = ((p + 0.5) * factor - 0.5 for p in (wanted.rows, wanted.columns))
        height, width = (n * factor for n in sizes)
        if rows.ndim == 1:
            down, across = _cell_means(rows, height), _cell_means(columns, width, around)
            return cls(down, across, wanted.shape)
        r0, wr = _neighbours(rows.ravel(), height)
        c0, wc = _neighbours(columns.ravel(), width, around)
        corners = [(r0, c0, (1 - wr) * (1 - wc)), (r0, c0 + 1, (1 - wr) * wc)]
        corners += [(r0 + 1, c0, wr * (1 - wc)), (r0 + 1, c0 + 1, wr * wc)]
        point = np.tile(np.arange(rows.size), 4)
        row = np.minimum(np.concatenate([r for r, _, _ in corners]), height - 1)
        column = np.concatenate([c for _, c, _ in corners])
        column = column % width if around else np.minimum(column, width - 1)
        weight = np.concatenate([w for _, _, w in corners])
        known = np.isfinite(weight)
        matrix = sparse.csr_array(
            (weight[known], (point[known], (row * width + column)[known])),
            shape=(rows.size, height * width),
        )
        return cls(matrix, None, wanted.shape)

    def __call__(self, fields: Floats) -> Floats:
        """Return ``(step, Y', X')`` from ``(step, Y, X)``; NaN where too little is known."""
        # A few steps at a time, which the processor's caches hold: all at once took three times
        # as long.
        at_once = max(1, _CACHED // max(1, math.prod(fields.shape[1:]), math.prod(self.shape)))
        made = np.empty((len(fields), *self.shape))
        whole = self._share(np.ones((1, *fields.shape[1:])))
        for first in range(0, len(fields), at_once):
            some = slice(first, first + at_once)
            part, share = fields[some], whole
            known = np.isfinite(part)
            if not known.all():
                part, share = np.where(known, part, 0.0), self._share(known * 1.0)
            np.multiply(self._apply(part), share, out=made[some])
        return made

    def _share(self, known: Floats) -> Floats:
        """Return by what sums over known values are multiplied; NaN where too little is known."""
        weight = self._apply(known)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(weight >= _ENOUGH, 1.0 / weight, np.nan))

    @cached_property
    def _dense(self) -> tuple[Floats, Floats] | None:
        """The same as full matrices, of which products are faster where they are small."""
        if self.columns is None:
            return None
        if max(math.prod(self.rows.shape), math.prod(self.columns.shape)) > _SMALL:
            return None
        return self.rows.toarray(), np.ascontiguousarray(self.columns.toarray().T)

    def _apply(self, fields: Floats) -> Floats:
        steps = len(fields)
        if self.columns is None:
            flat = self.rows @ fields.reshape(steps, -1).T
            return np.asarray(flat.T.reshape(steps, *self.shape))
        if self._dense is not None:
            rows, columns = self._dense
            return np.asarray(rows @ fields @ columns)
        height = fields.shape[1]
        flat = (self.columns @ fields.reshape(-1, fields.shape[2]).T).T
        across = flat.reshape(steps, height, self.shape[1])
        down = self.rows @ across.transpose(1, 0, 2).reshape(height, -1)
        return np.asarray(down.reshape(self.shape[0], steps, self.shape[1]).transpose(1, 0, 2))


def _neighbours(at: Floats, size: int, around: bool = False) -> tuple[NDArray[np.intp], Floats]:
    """Return the lower neighbour of each position, and the weight of the upper; linear beyond."""
    known = np.where(np.isfinite(at), at, 0.0)
    low = np.floor(known).astype(np.intp)
    if not around:
        low = np.clip(low, 0, max(0, size - 2))
    return low, np.where(np.isfinite(at), at - low if size > 1 else 0.0, np.nan)


def _cell_means(at: Floats, size: int, around: bool = False) -> sparse.csr_array:
    """Return weights of linear interpolation, mean over the cells whose centres are `at`."""
    from scipy import sparse

    apart = np.abs(np.diff(at))
    apart = apart[np.isfinite(apart)]
    width = float(np.median(apart)) if apart.size else 1.0
    parts = 2 * math.ceil(width) if width > 1.0 else 1
    inside = ((np.arange(parts) + 0.5) / parts - 0.5) * width
    points = (at[:, None] + inside).ravel()
    low, upper = _neighbours(points, size, around)
    row = np.tile(np.repeat(np.arange(at.size), parts), 2)
    column = np.concatenate([low, low + 1])
    column = column % size if around else np.minimum(column, size - 1)
    values = np.concatenate([1.0 - upper, upper]) / parts
    known = np.isfinite(values)
    return sparse.csr_array((values[known], (row[known], column[known])), shape=(at.size, size))


def conserve(
    fine: Floats, coarse: Floats, factor: int, share: Floats, least: float | None = None
) -> Floats:
    """Add a constant to the parts of each coarse cell such that their mean is its value.

    The result may be `fine` itself, written over. With `least`, parts below it are raised to it,
    and what the others are above it is multiplied by one number a cell.

    Parameters
    ----------
    fine : ndarray, (step, Y * factor, X * factor)
        Parts that are NaN do not count.
    coarse : ndarray, (step, Y, X)
    factor : int
    share : ndarray, broadcast to (Y * factor, X * factor)
        Relative weight of each part.
    least : float, optional
    """
    steps, rows, columns = coarse.shape
    blocks = fine.reshape(steps, rows, factor, columns, factor)
    weight = np.broadcast_to(share, fine.shape[1:]).reshape(rows, factor, columns, factor)
    # Where the coarse value is missing nothing is lacking.
    lacking = np.nan_to_num(coarse - _block_means(blocks, weight))
    made = np.add(blocks, lacking[:, :, None, :, None], out=blocks)
    if least is not None:
        above = np.maximum(made - least, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            factors = np.maximum(coarse - least, 0.0) / _block_means(above, weight)
        made = least + above * np.where(np.isfinite(factors), factors, 1.0)[:, :, None, :, None]
    return np.asarray(made.reshape(fine.shape))


def _block_means(blocks: Floats, weight: Floats) -> Floats:
    """Return weighted means of the parts of each cell, ``(step, y, x)``."""
    known = np.isfinite(blocks)
    if known.all():
        return np.asarray(np.einsum("nrfcg,rfcg->nrc", blocks, weight) / weight.sum((1, 3)))
    each = np.where(known, weight, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.einsum("nrfcg,nrfcg->nrc", np.where(known, blocks, 0.0), each)
        return np.asarray(mean / each.sum((2, 4)))


@dataclass(frozen=True)
class Overlap:
    """How the cells of two grids overlap whose axes run the same way.

    Parameters
    ----------
    rows, columns : ndarray, (Y, Y') and (X, X')
        Length that a coarse and a fine cell share, in coarse cells.
    share : ndarray, broadcast to (Y', X')
        Relative weight of the fine cells' area.
    """

    rows: Floats
    columns: Floats
    share: Floats

    @classmethod
    def of(
        cls, placement: Placement, sizes: tuple[int, int], share: Floats, around: bool = False
    ) -> Overlap:
        """Return the overlap of a placement with a coarse grid of `sizes`.

        `around` says whether the last column neighbours the first.
        """
        rows = _overlap(placement.rows, sizes[0])
        return cls(rows, _overlap(placement.columns, sizes[1], around), share)

    def conserve(self, fine: Floats, coarse: Floats, least: float | None = None) -> Floats:
        """Spread back what the means of wholly covered cells lack, until they lack nothing.

        Each step by itself, so that none depends on those that come along. With `least`, parts
        below it are raised to it, and what the others are above it is multiplied such that the
        means stay.
        """
        known = np.isfinite(fine)
        share = np.broadcast_to(self.share, fine.shape[1:])
        weight = np.where(known, share, 0.0)
        cover = self._means(weight)
        area = self.rows.sum(1)[:, None] * self.columns.sum(1)
        kept = (cover > 0.99 * self._means(share[None])) & (area > 0.99) & np.isfinite(coarse)
        made = np.where(known, fine, 0.0)
        cover = np.where(kept, cover, 1.0)
        close = np.array([_CLOSE * _deviation(step) for step in coarse])
        left = np.flatnonzero(kept.any((1, 2)))
        for _ in range(_ROUNDS):
            mean = self._means(made[left] * weight[left]) / cover[left]
            lacking = np.where(kept[left], coarse[left] - mean, 0.0)
            far = np.abs(lacking).max((1, 2), initial=0.0) >= close[left]
            left = left[far]
            if not left.size:
                break
            made[left] += np.where(weight[left] > 0, self._spread(lacking[far]), 0.0)
        if least is not None:
            made = least + self._scaled(np.maximum(made - least, 0.0), coarse - least, weight, kept)
        return np.where(known, made, np.nan)

    def _scaled(self, above: Floats, coarse: Floats, weight: Floats, kept: Bools) -> Floats:
        """Multiply fields that are nowhere below 0, until the means are those of `coarse`."""
        cover = np.where(kept, self._means(weight), 1.0)
        wanted = np.maximum(np.nan_to_num(coarse), 0.0)
        close = np.array([_CLOSE * _deviation(step) for step in coarse])
        inside = self._spread(np.ones((1, *kept.shape[1:]))) > 0
        left = np.flatnonzero(kept.any((1, 2)))
        for _ in range(_ROUNDS):
            mean = self._means(above[left] * weight[left]) / cover[left]
            counts = kept[left] & (mean > 0)
            lacking = np.where(counts, wanted[left] - mean, 0.0)
            far = np.abs(lacking).max((1, 2), initial=0.0) >= close[left]
            left = left[far]
            if not left.size:
                break
            ratio = 1.0 + lacking[far] / np.where(counts, mean, 1.0)[far]
            above[left] *= np.where(inside, self._spread(ratio), 1.0)
        return above

    def _spread(self, fields: Floats) -> Floats:
        """Return for each fine cell the mean of the coarse ones that it lies in; 0 outside."""
        length = np.maximum(self.rows.sum(0)[:, None] * self.columns.sum(0), 1e-12)
        return np.asarray(self.rows.T @ fields @ self.columns / length)

    def _means(self, fields: Floats) -> Floats:
        means: Floats = np.asarray(self.rows @ fields @ self.columns.T)
        return means


def _deviation(step: Floats) -> float:
    """Return that of a field's values, or what their rounding comes to."""
    known = step[np.isfinite(step)]
    return max(float(known.std()), 1e-9 * float(np.abs(known).max()), 1e-300) if known.size else 1.0


def _overlap(at: Floats, size: int, around: bool = False) -> Floats:
    """Return the length that each coarse cell shares with each fine one."""
    if around:
        known = np.isfinite(at)
        at = at.copy()
        at[known] = np.unwrap(at[known], period=size)
        turns = (np.arange(3) - 1 - round(float(np.nanmean(at)) / size)) * size
        return np.asarray(sum(_overlap(at + turn, size) for turn in turns))
    if at.size > 1:
        inner = 0.5 * (at[1:] + at[:-1])
        edges = np.concatenate([[2 * at[0] - inner[0]], inner, [2 * at[-1] - inner[-1]]])
    else:
        edges = np.array([at[0] - 0.5, at[0] + 0.5])
    low, high = np.minimum(edges[:-1], edges[1:]), np.maximum(edges[:-1], edges[1:])
    cells = np.arange(size)[:, None]
    shared = np.minimum(high, cells + 0.5) - np.maximum(low, cells - 0.5)
    return np.asarray(
        np.maximum(np.nan_to_num(shared), 0.0)
    )  # a point without a place shares nothing
