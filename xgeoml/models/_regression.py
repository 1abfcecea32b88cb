"""Penalised regression at the points of a fine grid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xgeoml.models._surroundings import Surroundings, blocks_held_out, sample_of_points
from xgeoml.models.downscaling import Clock, Pairs
from xgeoml.models.series import Floats

# Twelfths of the year that must have been seen for its cycle to be fitted.
_MONTHS = 10
# The last leaves the mean.
_PENALTIES = (0.1, 1.0, 3.0, 10.0, 30.0, 100.0, 1e3, 1e4, 1e8)


def seasons_seen(clock: Clock) -> bool:
    """Return whether steps are spread over the year: of other records, the next season is new."""
    there = np.unique(np.floor(12.0 * clock.season[np.isfinite(clock.season)]))
    return len(there) >= _MONTHS


def cycles(clock: Clock, seasons: bool) -> Floats:
    """Return a constant, harmonics of year and day, and their products, ``(step, term)``.

    A cycle that is unknown, or of the year unless `seasons`, is 0 throughout.
    """
    year, day = (_harmonics(share) for share in (clock.season, clock.day))
    year = year * seasons
    both = (year[:, :2, None] * day[:, None, :2]).reshape(len(clock), -1)
    return np.concatenate([np.ones((len(clock), 1)), year, day, both], axis=1)


def _harmonics(share: Floats) -> Floats:
    angle = 2.0 * np.pi * share[:, None] * np.array([1.0, 2.0])
    both = np.stack([np.cos(angle), np.sin(angle)], axis=2)
    return np.asarray(np.nan_to_num(both.reshape(len(share), -1)))


def penalised(regressors: Floats, target: Floats, penalty: float) -> Floats:
    """Return coefficients by ridge regression, ``(term, point)``; NaN without a value.

    Parameters
    ----------
    regressors : ndarray, (step, term)
        The first is the constant, which has no penalty.
    target : ndarray, (step, point)
        NaN where missing.
    penalty : float
        Of the others.
    """
    known = np.isfinite(target)
    made = np.full((regressors.shape[1], target.shape[1]), np.nan)
    # Points that are seen at the same steps share their equations.
    if (known == known[:, :1]).all():
        patterns, which = known[:, :1], np.zeros(known.shape[1], np.intp)
    else:
        patterns, which = np.unique(known, axis=1, return_inverse=True)
    for number, seen in enumerate(patterns.T):
        if not seen.any():
            continue
        points = np.flatnonzero(which.ravel() == number)
        columns, values = regressors[seen], target[np.ix_(seen, points)]
        centre, level = columns[:, 1:].mean(axis=0), values.mean(axis=0)
        apart = columns[:, 1:] - centre
        normal = apart.T @ apart
        normal.flat[:: len(normal) + 1] += penalty
        found = np.linalg.solve(normal, apart.T @ (values - level))
        made[0, points], made[1:, points] = level - centre @ found, found
    return made


def chosen_penalty(
    pairs: Pairs, coarse: Floats, around: Surroundings, regressors_of: Callable[[int], Floats]
) -> float:
    """Return the penalty with the smallest error in blocks of steps that are held out.

    Parameters
    ----------
    pairs : Pairs
    coarse : ndarray, (step, Y, X)
    around : Surroundings
    regressors_of : callable
        Given a predictor, returns what its points are regressed on.
    """
    folds = blocks_held_out(pairs.clock)
    errors = np.zeros(len(_PENALTIES))
    for own, left in sample_of_points(pairs, coarse, around):
        regressors = regressors_of(own)
        for learn, held in folds:
            for i, penalty in enumerate(_PENALTIES):
                found = penalised(regressors[learn], left[learn], penalty)
                errors[i] += np.nansum((regressors[held] @ found - left[held]) ** 2)
    # Of equals the largest: nothing to learn is no reason for large coefficients.
    return _PENALTIES[len(errors) - 1 - int(np.argmin(errors[::-1]))]
