"""The mean cycle of the day, which varies with the season: its terms, and their coefficients."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xgeoml.models._regression import seasons_seen
from xgeoml.models._surroundings import blocks_held_out
from xgeoml.models.downscaling import Clock
from xgeoml.models.in_time import Record
from xgeoml.models.series import Bools, Floats

# Cycles a day, at most, and of the year by which these vary.
_HARMONICS, _ANNUAL = 5, 2
# Steps within so many minutes of the day are at the same hour.
_MINUTES = 15
# Days that a record needs for its hours to be told from its weather.
_DAYS = 3.0
# The last leaves no cycle.
_PENALTIES = (0.1, 1.0, 3.0, 10.0, 30.0, 100.0, 1e3, 1e8)
# Cells on which the penalty is chosen, and values that are held in memory at once.
_CELLS, _ELEMENTS = 400, 2**22


class Terms(NamedTuple):
    """The terms of the cycle.

    Attributes
    ----------
    harmonics, annual : int
        Cycles a day, and those a year by which each varies.
    """

    harmonics: int
    annual: int

    @classmethod
    def of(cls, clock: Clock, days: Floats) -> Terms:
        """Return those that a record resolves."""
        if len(days) < 2 or days[-1] - days[0] < _DAYS or not np.isfinite(clock.day).all():
            return cls(0, 0)
        # With an even number of hours only one phase of the fastest cycle is seen, to which the
        # penalty keeps.
        most = distinct_hours(clock) // 2
        return cls(min(_HARMONICS, most), _ANNUAL * seasons_seen(clock))

    def __len__(self) -> int:
        """Return the number of terms."""
        return 2 * self.harmonics * (1 + 2 * self.annual)

    def at(self, clock: Clock) -> Floats:
        """Return the terms at some times, ``(time, term)``; 0 where the hour is unknown."""
        day = harmonics(clock.day, self.harmonics)
        one = np.ones((len(clock), 1))
        year = np.concatenate([one, harmonics(clock.season, self.annual)], axis=1)
        return np.asarray((day[:, :, None] * year[:, None, :]).reshape(len(clock), -1))


def fitted(record: Record, terms: Terms) -> NDArray[np.float32]:
    """Return the coefficients of each cell, ``(component, term, Y, X)``; 0 without values.

    From differences between successive steps, in which weather that wanders is noise without
    memory. There is one penalty for all cells, chosen in blocks of the record that are held out.
    """
    n_components, n_steps, rows, columns = record.value.shape
    made = np.zeros((n_components, len(terms), rows, columns), np.float32)
    seen = np.flatnonzero(np.isfinite(record.value).any(axis=(0, 2, 3)))
    if not len(terms) or len(seen) < 3:
        return made
    clock = record.clock.steps(seen)
    gap = np.diff(record.days[seen])
    weight = 1.0 / np.sqrt(gap / np.median(gap))
    # The first term is the trend.
    regressors = np.concatenate([gap[:, None], np.diff(terms.at(clock), axis=0)], axis=1)
    regressors *= weight[:, None]

    def changes(component: int, cells: slice) -> Floats:
        flat = record.value[component].reshape(n_steps, -1)[:, cells]
        return np.asarray(np.diff(flat[seen].astype(np.float64), axis=0) * weight[:, None])

    n_cells = rows * columns
    thin = slice(None, None, max(1, n_components * n_cells // _CELLS))
    some = np.concatenate([changes(c, thin) for c in range(n_components)], axis=1)
    penalty = _chosen(regressors, some, clock)
    at_once = max(1, _ELEMENTS // len(seen))
    for component in range(n_components):
        flat = made[component].reshape(len(terms), n_cells)
        for first in range(0, n_cells, at_once):
            cells = slice(first, first + at_once)
            flat[:, cells] = ridge(regressors, changes(component, cells), penalty)[1:]
    return made


def ridge(regressors: Floats, target: Floats, penalty: float) -> Floats:
    """Return coefficients by ridge regression, ``(term, cell)``; the first has no penalty.

    Parameters
    ----------
    regressors : ndarray, (sample, term)
    target : ndarray, (sample, cell)
        NaN where missing.
    penalty : float
    """
    known = np.isfinite(target)
    n = regressors.shape[1]
    # The first goes without, but for what keeps the equations of empty cells regular.
    held = np.diag(np.r_[1e-9, np.full(n - 1, penalty)])
    right = regressors.T @ np.where(known, target, 0.0)
    if known.all():
        return np.linalg.solve(regressors.T @ regressors + held, right)
    squares = (regressors[:, :, None] * regressors[:, None, :]).reshape(len(regressors), -1)
    normal = (known.T.astype(np.float64) @ squares).reshape(-1, n, n)
    return np.linalg.solve(normal + held, right.T[:, :, None])[:, :, 0].T


def _chosen(regressors: Floats, target: Floats, clock: Clock) -> float:
    """Return the penalty with the smallest error in blocks that are held out."""
    errors = np.zeros(len(_PENALTIES))
    for steps in blocks_held_out(clock):
        learn, held = (_pairs(which) for which in steps)
        for i, penalty in enumerate(_PENALTIES):
            found = ridge(regressors[learn], target[learn], penalty)
            errors[i] += np.nansum((regressors[held] @ found - target[held]) ** 2)
    # Of equals the largest: nothing to learn is no reason for large coefficients.
    return _PENALTIES[len(errors) - 1 - int(np.argmin(errors[::-1]))]


def _pairs(steps: Bools) -> Bools:
    return steps[1:] & steps[:-1]


def distinct_hours(clock: Clock) -> int:
    """Return at how many hours of the day steps are; 1 where the hour is unknown."""
    if not np.isfinite(clock.day).all():
        return 1
    per_day = 1440 // _MINUTES
    return len(np.unique(np.rint(clock.day * per_day).astype(np.int64) % per_day))


def harmonics(share: Floats, count: int) -> Floats:
    """Return cosines and sines of a share of a cycle, ``(time, 2 * count)``; 0 where NaN."""
    angle = 2.0 * np.pi * share[:, None] * np.arange(1, count + 1)
    both = np.stack([np.cos(angle), np.sin(angle)], axis=2)
    return np.asarray(np.nan_to_num(both.reshape(len(share), -1)))
