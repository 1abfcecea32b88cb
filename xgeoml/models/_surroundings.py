"""Coarse cells around each fine point, as predictors of models that are fitted on pairs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xgeoml.models.downscaling import Clock, Pairs, Placement, Window
from xgeoml.models.interpolation import Conservative
from xgeoml.models.series import Bools, Floats, State

Cells = NDArray[np.intp]
Singles = NDArray[np.float32]
# Predictors are taken from so many cells on either side: few, or where distance is weighed many;
# and steps before and after.
REACH, FAR, LAGS = 2, 3, (-4, -2, -1, 0, 1, 2, 4)
# A coarse cell that is missing more often than this predicts nothing.
_MOST_MISSING = 0.1
_TINY = 1e-12
# Cells of the coarse grid, spread over the domain, on whose points choices are made: at least, at
# most, and values at each that make the least number enough. Short records need many.
_FEWEST_CELLS, _MOST_CELLS, _ENOUGH = 8, 24, 1600
# Shorter records are held out block by block, longer ones only half of the blocks.
_SHORT = 800
# Values of the fine grid that are held in memory at once: 128 MB in float64.
_STRIP_ELEMENTS = 2**24


class Surroundings(NamedTuple):
    """The coarse cells that predict, in the state of a model.

    Attributes
    ----------
    cell : ndarray, (predictor,)
        Numbers of those that are seldom missing, in the flattened coarse grid.
    row, column : ndarray, (predictor,)
    mean : ndarray, (predictor,)
    scale : float
        Root mean square of the anomalies from these means.
    spacing : float
        Years from one step to the next; NaN where steps are uneven or their times unknown.
    own : ndarray, (Y', X')
        The nearest predictor of each fine point.
    """

    cell: Cells
    row: Floats
    column: Floats
    mean: Floats
    scale: float
    spacing: float
    own: Cells

    @classmethod
    def of(cls, pairs: Pairs) -> Surroundings:
        """Return those of the pairs that a model is fitted on."""
        coarse = np.asarray(pairs.coarse, dtype=np.float64)
        steps, _, width = coarse.shape
        flat = coarse.reshape(steps, -1)
        missing = np.isnan(flat).mean(axis=0)
        cell = np.flatnonzero(missing <= max(_MOST_MISSING, missing.min()))
        flat = flat[:, cell]
        mean = np.nanmean(flat, axis=0)
        scale = float(np.sqrt(np.nanmean((flat - mean) ** 2)))
        row, column = (i.astype(np.float64) for i in np.divmod(cell, width))
        own = _nearest(pairs.placement, row, column)
        return cls(cell, row, column, mean, scale or 1.0, _spacing(pairs.clock), own)

    @classmethod
    def from_state(cls, state: State) -> Surroundings:
        """Return what `state` kept."""
        kept: dict[str, Any] = {name: state[name] for name in cls._fields}
        kept["scale"], kept["spacing"] = float(kept["scale"]), float(kept["spacing"])
        return cls(**kept)

    def state(self) -> State:
        """Return all as arrays."""
        return {name: np.asarray(value) for name, value in self._asdict().items()}

    def anomalies(self, coarse: Floats) -> Singles:
        """Return the standardised anomalies of the predictors, ``(step, predictor)``.

        One that is missing takes the mean anomaly of those near it, or 0.
        """
        made = coarse.reshape(len(coarse), -1)[:, self.cell] - self.mean
        missing = np.isnan(made)
        filled = np.where(missing, 0.0, made)
        for own in np.flatnonzero(missing.any(axis=0)):
            cells, distance = self.near(int(own))
            weight = np.exp(-0.5 * distance) * ~missing[:, cells]
            total = (weight * filled[:, cells]).sum(axis=1)
            level = total / np.maximum(weight.sum(axis=1), _TINY)
            made[missing[:, own], own] = level[missing[:, own]]
        return (made / self.scale).astype(np.float32)

    def standardised(
        self, covariates: Floats, levels: Floats | None = None
    ) -> tuple[Singles, Floats]:
        """Return standardised covariates of the predictors, and their deviations and means.

        Parameters
        ----------
        covariates : ndarray, (covariate, step, Y, X)
            A missing value becomes the mean.
        levels : ndarray, (covariate, 1 + predictor), optional
            A deviation, then means; found from the covariates where not given.

        Returns
        -------
        ndarray, (covariate, step, predictor)
        ndarray
            The levels.
        """
        n, steps = covariates.shape[:2]
        flat = covariates.reshape(n, steps, int(np.prod(covariates.shape[2:])))
        flat = flat[:, :, self.cell].astype(np.float64)
        if levels is None:
            levels = np.zeros((n, 1 + flat.shape[2]))
            for each, value in zip(levels, flat, strict=True):
                known = np.isfinite(value)
                each[1:] = np.where(known, value, 0.0).sum(0) / np.maximum(known.sum(0), 1)
                each[0] = np.sqrt(np.mean((value - each[1:])[known] ** 2)) if known.any() else 1.0
                each[0] = each[0] or 1.0
        made = (flat - levels[:, None, 1:]) / levels[:, :1, None]
        return np.nan_to_num(made).astype(np.float32), levels

    def near(self, own: int, reach: int = REACH) -> tuple[Cells, Singles]:
        """Return the predictors around one of them, itself first, and their squared distances."""
        down, across = self.row - self.row[own], self.column - self.column[own]
        cells = np.flatnonzero((np.abs(down) <= reach) & (np.abs(across) <= reach))
        cells = np.concatenate([[own], cells[cells != own]])
        return cells, (down[cells] ** 2 + across[cells] ** 2).astype(np.float32)

    def groups(self, rows: slice) -> list[tuple[int, Cells]]:
        """Return each predictor with the points that it is nearest to, in some rows of points.

        Points are numbered from the first of these rows.
        """
        own = self.own[rows].ravel()
        order = np.argsort(own, kind="stable")
        first = np.flatnonzero(np.diff(own[order], prepend=-1))
        parts = np.split(order, first[1:])
        return [(int(own[p[0]]), p) for p in parts if len(p)]


def _nearest(placement: Placement, row: Floats, column: Floats) -> Cells:
    from scipy.spatial import cKDTree

    rows, columns = placement.rows, placement.columns
    if rows.ndim == 1:
        rows, columns = np.meshgrid(rows, columns, indexing="ij")
    points = np.nan_to_num(np.stack([rows.ravel(), columns.ravel()], axis=1))
    _, own = cKDTree(np.stack([row, column], axis=1)).query(points)
    return np.asarray(own, dtype=np.intp).reshape(rows.shape)


def _spacing(clock: Clock) -> float:
    """Return the years between two steps, NaN where that means little."""
    way = np.diff(clock.years)
    if not len(way) or not np.isfinite(way).all():
        return float("nan")
    usual = float(np.median(way))
    # Months are of unequal length.
    even = np.abs(way - usual) <= 0.2 * usual
    return usual if usual > 0.0 and even.mean() > 0.5 else float("nan")


def neighbours_in_time(years: Floats, spacing: float) -> Cells:
    """Return the steps that lie `LAGS` steps away from each, ``(step, lag)``.

    Where there is none, at the ends and beside gaps, it is the one next to it towards the step.
    """
    steps = np.arange(len(years))
    found = np.tile(steps[:, None], (1, len(LAGS)))
    if np.isnan(spacing):
        return found
    for towards in (-1, 1):
        here = steps
        for lag in range(1, max(LAGS) + 1):
            there = np.clip(steps + towards * lag, 0, len(steps) - 1)
            away = np.abs(years[there] - years)
            there = np.where(np.abs(away - lag * spacing) <= 0.5 * spacing, there, here)
            here = there
            if towards * lag in LAGS:
                found[:, LAGS.index(towards * lag)] = there
    return found


def own_steps(window: Window) -> Cells:
    """Return the numbers of the steps that are wanted of a window."""
    return window.halo[0] + np.arange(window.n_steps)


def known_steps(window: Window) -> Cells:
    """Return the steps of a window with any value: what lies beyond the ends of time has none."""
    return np.flatnonzero(np.isfinite(window.value).any(axis=(1, 2)))


def covariates_of(window: Window) -> Floats:
    """Return the covariates, ``(covariate, step, y, x)``, also where there are none."""
    none = np.empty((0, *window.value.shape))
    return window.covariates if len(window.covariates) else none


def strips(pairs: Pairs) -> list[slice]:
    """Return the rows of the target, cut so that each piece of the fields fits into memory."""
    height, width = pairs.placement.shape
    factor = max(1, pairs.placement.factor)
    most = max(1, _STRIP_ELEMENTS // max(1, len(pairs.fine) * width * factor)) * factor
    return [slice(i, min(i + most, height)) for i in range(0, height, most)]


def rows_of(placement: Placement, rows: slice) -> Placement:
    """Return the placement of some rows of the fine grid."""
    columns = placement.columns[rows] if placement.columns.ndim == 2 else placement.columns
    return Placement(placement.rows[rows], columns, placement.factor)


def first_guess(
    coarse: Floats, placement: Placement, share: Floats, rows: slice, around: Surroundings
) -> Floats:
    """Return the conservative interpolation, ``(step, y', X')``, with the cells' means.

    Parameters
    ----------
    coarse : ndarray, (step, Y, X)
    placement : Placement
        Of all points.
    share : ndarray, (Y', X')
        Weights of the fine cells in the means of the coarse ones; all zero: none to keep.
    rows : slice
        Those wanted; with whole coarse cells where fine ones divide these.
    around : Surroundings
        Of which the nearest predictor serves where there is nothing to interpolate.
    """
    piece = rows_of(placement, rows)
    clock = Clock(*(np.full(len(coarse), np.nan) for _ in range(3)))
    made = Conservative().predict(Window(coarse, piece, (0, 0, 0), clock), {})
    lacking = np.isnan(made)
    if lacking.any():
        nearest = coarse.reshape(len(coarse), -1)[:, around.cell][:, around.own[rows]]
        made = np.where(lacking, nearest, made)
    factor, weight = placement.factor, share[rows]
    if not factor or not weight.any():
        return made
    own = coarse[:, rows.start // factor : rows.stop // factor]
    off = own - cell_means(made, weight, factor)
    made += np.nan_to_num(off).repeat(factor, axis=1).repeat(factor, axis=2)
    return made


def cell_means(fine: Floats, share: Floats, factor: int) -> Floats:
    """Return the weighted means over coarse cells, ``(step, y, X)``; NaN without any weight."""
    steps, height, width = fine.shape
    blocks = (height // factor, factor, width // factor, factor)
    known = np.where(np.isfinite(fine), share, 0.0).reshape(steps, *blocks)
    total = known.sum(axis=(2, 4))
    values = np.nan_to_num(fine).reshape(steps, *blocks)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((known * values).sum(axis=(2, 4)) / total)


def blocks_held_out(clock: Clock) -> list[tuple[Bools, Bools]]:
    """Return pairs of steps to learn from and to test on: blocks of steps, apart from each other.

    Twelve blocks, or fewer of at least three days; every sixth is held out at once. What is learnt
    of blocks between others is what later blocks of the same seasons will need.
    """
    n = len(clock)
    span = (clock.years[-1] - clock.years[0]) * 365.25
    count = int(np.clip(span / 3.0, 4, 12)) if np.isfinite(span) else 6
    count = min(count, n // 2)
    folds = min(6, count)
    block = np.arange(n) * count // n
    gap = min(8, n // (4 * count))
    made = []
    for fold in range(folds - 1, -1, -1 if n < _SHORT else -2):
        held = block % folds == fold
        near = held.copy()
        for shift in range(1, gap + 1):
            near[shift:] |= held[:-shift]
            near[:-shift] |= held[shift:]
        made.append((~near, held))
    return made


def unexplained(pairs: Pairs, coarse: Floats, rows: slice, around: Surroundings) -> Floats:
    """Return what interpolation leaves of some rows of the target, ``(step, point)``.

    NaN where the coarse cell is missing: without it there is nothing to learn from.
    """
    left = np.asarray(pairs.fine[:, rows], dtype=np.float64)
    left = left - first_guess(coarse, pairs.placement, pairs.share, rows, around)
    own = coarse.reshape(len(coarse), -1)[:, around.cell]
    missing = np.isnan(own)
    if missing.any():
        left[missing[:, around.own[rows]]] = np.nan
    return left.reshape(len(left), -1)


def sample_of_points(
    pairs: Pairs, coarse: Floats, around: Surroundings
) -> Iterator[tuple[int, Floats]]:
    """Yield some predictors, spread over the domain, and what is left at the points nearest them.

    The latter is ``(step, point)``, without points that never have a value.
    """
    cells = np.unique(around.own)
    enough = _FEWEST_CELLS * (_ENOUGH / len(coarse)) ** 1.5
    count = min(int(np.clip(enough, _FEWEST_CELLS, _MOST_CELLS)), len(cells))
    factor = max(1, pairs.placement.factor)
    for own in cells[((np.arange(count) + 0.5) * len(cells) / count).astype(np.intp)]:
        there = np.flatnonzero((around.own == own).any(axis=1))
        rows = slice(there[0] // factor * factor, -(-(there[-1] + 1) // factor) * factor)
        points = np.flatnonzero(around.own[rows].ravel() == own)
        left = unexplained(pairs, coarse, rows, around)[:, points]
        left = left[:, np.isfinite(left).any(axis=0)]
        if left.size:
            yield int(own), left
