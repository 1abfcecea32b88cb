"""Interpolation, and what it usually lacks."""

from __future__ import annotations

import numpy as np

from xgeoml.models._surroundings import (
    Surroundings,
    first_guess,
    known_steps,
    own_steps,
    strips,
    unexplained,
)
from xgeoml.models.downscaling import Clock, Pairs, Window
from xgeoml.models.series import Floats, State

# Standard deviation of the coefficients of the cycles against that of what they leave: with few
# steps they are drawn towards zero.
_PENALTY = 4.0


class Delta:
    """Conservative interpolation plus its mean error at each point, by season and hour.

    Season and hour are two harmonics of the year, two of the day and their products, by penalised
    least squares.
    """

    def fit(self, pairs: Pairs) -> State:
        """Return what interpolation lacks in these pairs."""
        around = Surroundings.of(pairs)
        coarse = np.asarray(pairs.coarse, dtype=np.float64)
        regressors = cycles(pairs.clock)
        height, width = pairs.placement.shape
        made = np.full((regressors.shape[1], height, width), np.nan, dtype=np.float32)
        for rows in strips(pairs):
            pairs.report("fitting", rows.start / height)
            left = unexplained(pairs, coarse, rows, around)
            found = penalised(regressors, left, np.full(regressors.shape[1] - 1, _PENALTY))
            made[:, rows] = found.reshape(len(found), -1, width)
        return {**around.state(), "share": pairs.share.astype(np.float32), "mean_error": made}

    def predict(self, window: Window, state: State) -> Floats:
        """Return the fine fields, ``(step, Y', X')``."""
        around, wanted = Surroundings.from_state(state), own_steps(window)
        made = np.full((len(wanted), *window.placement.shape), np.nan)
        there = np.isin(wanted, known_steps(window))
        steps = wanted[there]
        share = state["share"]
        rows = slice(0, made.shape[1])
        guess = first_guess(window.value[steps], window.placement, share, rows, around)
        regressors = cycles(window.clock.steps(steps))[:, : len(state["mean_error"])]
        made[there] = guess + np.tensordot(regressors, state["mean_error"], 1)
        return made


def cycles(clock: Clock) -> Floats:
    """Return a constant, harmonics of year and day, and their products, ``(step, term)``.

    A cycle that is unknown is 0 throughout.
    """
    year, day = (_harmonics(share) for share in (clock.season, clock.day))
    both = (year[:, :2, None] * day[:, None, :2]).reshape(len(clock), -1)
    return np.concatenate([np.ones((len(clock), 1)), year, day, both], axis=1)


def _harmonics(share: Floats) -> Floats:
    angle = 2.0 * np.pi * share[:, None] * np.array([1.0, 2.0])
    return np.nan_to_num(np.concatenate([np.cos(angle[:, :1]), np.sin(angle[:, :1]),
                                         np.cos(angle[:, 1:]), np.sin(angle[:, 1:])], axis=1))


def penalised(regressors: Floats, target: Floats, penalty: Floats) -> Floats:
    """Return coefficients by ridge regression, ``(term, point)``; NaN without a value.

    Parameters
    ----------
    regressors : ndarray, (step, term)
        The first is the constant, which has no penalty.
    target : ndarray, (step, point)
        NaN where missing.
    penalty : ndarray, (term - 1,)
        Of the others.
    """
    known = np.isfinite(target)
    made = np.full((regressors.shape[1], target.shape[1]), np.nan)
    # Points that are seen at the same steps share their equations.
    patterns, which = np.unique(known, axis=1, return_inverse=True)
    for number, seen in enumerate(patterns.T):
        if not seen.any():
            continue
        points = np.flatnonzero(which.ravel() == number)
        columns, values = regressors[seen], target[np.ix_(seen, points)]
        centre, level = columns[:, 1:].mean(axis=0), values.mean(axis=0)
        apart = columns[:, 1:] - centre
        found = np.linalg.solve(apart.T @ apart + np.diag(penalty), apart.T @ (values - level))
        made[0, points], made[1:, points] = level - centre @ found, found
    return made
