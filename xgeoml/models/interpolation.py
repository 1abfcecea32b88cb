"""Interpolation from a coarse grid to finer points: what any other model has to beat.

All know nothing but the values around a point. All but `Nearest` give a field that is linear in
row and column back as it is, at the edges of the domain too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from xgeoml.models._extension import SLOPE, Box, extend
from xgeoml.models.downscaling import Placement, Window
from xgeoml.models.series import Bools, Floats, State

# Positions this close to the border of two cells lie on it, whatever the rounding.
_ROUNDING = 1e-6
# Cells to either side that count in the coefficients of the spline. The inverse of its cell means
# decays by 0.27 a cell; with three the errors are those of the full inverse within 0.2 %.
_TERMS = 3


class Nearest:
    """The value of the cell that a point lies in.

    On the border of two cells it is the one first in the array, unless that is missing.
    """

    def predict(self, window: Window, state: State) -> Floats:
        """Return the fine fields, ``(step, Y', X')``."""
        value, at = _own_steps(window), window.placement
        made = _at(value, at, low=(True, True))
        for low in ((False, True), (True, False), (False, False)):
            if np.isfinite(made).all():
                break
            made = np.where(np.isfinite(made), made, _at(value, at, low))
        return made


class _Smooth(ABC):
    """Sums of coarse values, the weights of which depend on the distance along each axis.

    `reach` is how far from a point's cell the weights go, in cells.
    """

    reach: int

    @property
    def halo(self) -> int:
        """Cells around a tile on which its values depend."""
        return self.reach + self._extent + SLOPE

    @property
    def _extent(self) -> int:
        """How far missing cells are filled: as points in the outermost of them need it."""
        return self.reach + 1

    @abstractmethod
    def kernel(self, distance: Floats, factor: int) -> Floats:
        """Return the weight of a coefficient at this distance from a point, in cells."""

    def coefficients(self, size: int) -> Floats:
        """Return the matrix from values to coefficients along an axis."""
        return np.eye(size)

    def weights(self, at: Floats, size: int, factor: int) -> Floats:
        """Return the weights of `size` values along an axis at each position, ``(point, size)``."""
        return self.kernel(at[:, None] - np.arange(size), factor) @ self.coefficients(size)

    def predict(self, window: Window, state: State) -> Floats:
        """Return the fine fields, ``(step, Y', X')``.

        NaN where a value that would count is missing and no known one is near.
        """
        cut = _cut(window, self.halo, self.reach)
        if not cut.value.size:
            return np.full((window.n_steps, *window.placement.shape), np.nan)
        known = np.isfinite(cut.value)
        if known.all():
            level = cut.value.mean((1, 2), keepdims=True)
        else:
            count = np.maximum(known.sum((1, 2), keepdims=True), 1)
            level = np.where(known, cut.value, 0.0).sum((1, 2), keepdims=True) / count
        filled = extend(cut.value - level, self._extent, cut.box)
        missing = np.isnan(filled)
        rows, columns = cut.rows, cut.columns
        apply = self._on_points if rows.ndim == 2 else self._on_axes
        if missing.any():
            filled[missing] = 0.0
            # A pattern that all steps share is looked at once.
            missing = missing[:1] if (missing == missing[0]).all() else missing
        else:
            missing = missing[:1]
        made, lost = apply(filled, missing, Placement(rows, columns, window.placement.factor))
        made += level
        if lost.any():
            made[np.broadcast_to(lost, made.shape)] = np.nan
        return made

    def _on_axes(self, filled: Floats, missing: Bools, at: Placement) -> tuple[Floats, Bools]:
        """Return the fields at the crossings of rows and columns, and where they mean nothing."""
        down = self.weights(at.rows, filled.shape[1], at.factor)
        across = self.weights(at.columns, filled.shape[2], at.factor)
        # One product for each step: a step's value does not depend on how many come along.
        made = np.matmul(down @ filled, np.ascontiguousarray(across.T))
        first, second = (_counts(w) for w in (down, across))
        return made, first @ missing.astype(np.float32) @ second.T > 0.5

    def _on_points(self, filled: Floats, missing: Bools, at: Placement) -> tuple[Floats, Bools]:
        """Do the same for points that lie anywhere."""
        steps, height, width = filled.shape
        level = [self.coefficients(n) for n in (height, width)]
        filled = np.matmul(level[0] @ filled, level[1].T)
        reach = np.arange(-2, 3)
        rows, columns = at.rows.ravel(), at.columns.ravel()
        near = [np.rint(p).astype(np.intp)[:, None] + reach for p in (rows, columns)]
        weight = [
            self.kernel(p[:, None] - n, at.factor)
            for p, n in zip((rows, columns), near, strict=True)
        ]
        y, x = (np.clip(n, 0, size - 1) for n, size in zip(near, (height, width), strict=True))
        cell = (y[:, :, None] * width + x[:, None, :]).reshape(len(rows), -1)
        value = (weight[0][:, :, None] * weight[1][:, None, :]).reshape(len(rows), -1)
        index = (np.repeat(np.arange(len(rows)), cell.shape[1]), cell.ravel())
        matrix = sparse.csr_array((value.ravel(), index), shape=(len(rows), height * width))
        made = matrix @ np.ascontiguousarray(filled.reshape(steps, -1).T)
        first, second = (_counts(c) for c in level)
        lacking = first @ missing.astype(np.float32) @ second.T > 0.5
        found = abs(matrix) @ lacking.reshape(len(lacking), -1).T.astype(np.float64)
        lost = found > _ROUNDING
        return made.T.reshape(steps, *at.shape).copy(), lost.T.reshape(-1, *at.shape)


class Bilinear(_Smooth):
    """Linear between the centres of the nearest cells, and beyond the outermost."""

    reach = 1

    def kernel(self, distance: Floats, factor: int) -> Floats:
        """Return the weight of a value at this distance, in cells."""
        return np.maximum(1.0 - np.abs(distance), 0.0)


class Bicubic(_Smooth):
    """Cubic convolution of the 4 x 4 nearest cells.

    The kernel of Keys (1981, IEEE Trans. Acoust. Speech Signal Process. 29, 1153-1160, eq. 15),
    with a = -1/2: of these kernels the only one that gives linear and quadratic fields back. With
    a = -3/4, as in image software, errors of temperature are up to 4 % smaller, but a plane comes
    back in steps.
    """

    reach = 2

    def kernel(self, distance: Floats, factor: int) -> Floats:
        """Return the weight of a value at this distance, in cells."""
        d = np.minimum(np.abs(distance), 2.0)
        near = (1.5 * d - 2.5) * d * d + 1.0
        far = ((2.5 - 0.5 * d) * d - 4.0) * d + 2.0
        return np.where(d < 1.0, near, far)


class Conservative(_Smooth):
    """The smooth surface whose means over the coarse cells are the coarse values.

    Along each axis a quadratic spline whose integral over each cell is given, which is the
    derivative of the cubic spline through the running sum (Boneva, Kendall and Stefanov 1971, J. R.
    Stat. Soc. B 33, 1-70). Its coefficients come from the 7 nearest values. Where fine cells divide
    coarse ones it is averaged over the fine cells, and what these lack in the mean is added: 2 % of
    what neighbours differ by in white noise, far less in smooth fields. Elsewhere it is read off at
    the points.
    """

    reach = _TERMS + 1

    def kernel(self, distance: Floats, factor: int) -> Floats:
        """Return the quadratic B-spline, or its mean over fine cells."""
        if not factor:
            d = np.minimum(np.abs(distance), 1.5)
            return np.where(d < 0.5, 0.75 - d * d, 0.5 * (1.5 - d) ** 2)
        half = 0.5 / factor
        return factor * (_integral(distance + half) - _integral(distance - half))

    def coefficients(self, size: int) -> Floats:
        """Return the matrix from values to coefficients along an axis."""
        terms = np.arange(-_TERMS, _TERMS + 1)
        inverse = (np.sqrt(3.0) - 2.0) ** np.abs(terms)
        inverse /= inverse.sum()
        matrix = np.zeros((size, size))
        for weight, term in zip(inverse, terms.tolist(), strict=True):
            matrix += weight * np.eye(size, k=term)
        return matrix

    def weights(self, at: Floats, size: int, factor: int) -> Floats:
        """Return the weights of `size` values along an axis at each position, ``(point, size)``."""
        made = super().weights(at, size, factor)
        if not factor:
            return made
        own = np.rint(at).astype(np.intp)
        cells, which, count = np.unique(own, return_inverse=True, return_counts=True)
        mean = np.zeros((len(cells), size))
        np.add.at(mean, which, made)
        lacking = np.eye(size)[np.clip(cells, 0, size - 1)] - mean / count[:, None]
        lacking[(count != factor) | (cells < 0) | (cells >= size)] = 0.0
        return made + lacking[which]


class _Piece(NamedTuple):
    """What is needed of a window.

    Attributes
    ----------
    value : ndarray, (step, y, x)
        All known values on which the points depend.
    box : tuple of slice
        The cells with a weight, numbered as those of `value`.
    rows, columns : ndarray
        The points, in cells of the box.
    """

    value: Floats
    box: Box
    rows: Floats
    columns: Floats


def _integral(x: Floats) -> Floats:
    """Return the integral of the quadratic B-spline up to `x`."""
    d = np.minimum(np.abs(x), 1.5)
    inner = 0.75 * d - d**3 / 3.0
    outer = 0.5 - (1.5 - d) ** 3 / 6.0
    return 0.5 + np.sign(x) * np.where(d < 0.5, inner, outer)


def _own_steps(window: Window) -> Floats:
    """Return the values of the steps wanted."""
    return window.value[window.halo[0] : window.halo[0] + window.n_steps]


def _at(value: Floats, placement: Placement, low: tuple[bool, bool]) -> Floats:
    """Return the values of the cells in which points lie; on borders the lower or upper ones."""
    places, inside = [], []
    for position, lower, size in zip(
        (placement.rows, placement.columns), low, value.shape[1:], strict=True
    ):
        cell = (
            np.ceil(position - 0.5 - _ROUNDING) if lower else np.floor(position + 0.5 + _ROUNDING)
        )
        places.append(np.clip(cell, 0, size - 1).astype(np.intp))
        inside.append((cell >= 0) & (cell < size))
    rows, columns = places
    if rows.ndim == 2:
        return np.where(inside[0] & inside[1], value[:, rows, columns], np.nan)
    made = value[:, rows[:, None], columns]
    return np.where(inside[0][:, None] & inside[1], made, np.nan)


def _cut(window: Window, halo: int, reach: int) -> _Piece:
    """Return the part of a window that its points depend on."""
    value, placement = _own_steps(window), window.placement
    known = np.asarray(np.isfinite(value).any(axis=0))
    parts, box, moved = [], [], []
    for axis, position in enumerate((placement.rows, placement.columns)):
        first, last = (int(np.rint(p)) for p in (position.min(), position.max()))
        there = np.flatnonzero(known.any(axis=1 - axis))
        there = there[(there >= first - halo) & (there <= last + halo)]
        part = slice(there[0], there[-1] + 1) if len(there) else slice(0, 0)
        parts.append(part)
        box.append(slice(first - reach - part.start, last + reach + 1 - part.start))
        moved.append(position - (first - reach))
    return _Piece(value[:, *parts], (box[0], box[1]), moved[0], moved[1])


def _counts(weights: Floats) -> NDArray[np.float32]:
    """Return 1 where there is a weight, to count with: products of booleans are slow."""
    return (np.abs(weights) > _ROUNDING).astype(np.float32)
