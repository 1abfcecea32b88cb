"""Ridge regression on the coarse cells around each fine point."""

from __future__ import annotations

import numpy as np

from xgeoml.models._surroundings import (
    Surroundings,
    blocks_held_out,
    first_guess,
    known_steps,
    own_steps,
    sample_of_points,
    strips,
    unexplained,
)
from xgeoml.models.delta import cycles, penalised
from xgeoml.models.downscaling import Pairs, Window
from xgeoml.models.series import Floats, State

_PENALTIES = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e6)
# Cells within two rows and columns of the own one.
_MOST = 25


class Ridge:
    """What interpolation lacks, linear in the 5 x 5 coarse cells around, season and hour.

    One penalty for the whole domain, chosen in blocks of the record that are held out.
    """

    def fit(self, pairs: Pairs) -> State:
        """Return the coefficients."""
        around = Surroundings.of(pairs)
        coarse = np.asarray(pairs.coarse, dtype=np.float64)
        anomaly, terms = around.anomalies(coarse).astype(np.float64), cycles(pairs.clock)
        penalty = _chosen(pairs, coarse, around, anomaly, terms)
        height, width = pairs.placement.shape
        made = np.zeros((terms.shape[1] + _MOST, height, width), dtype=np.float32)
        for rows in strips(pairs):
            pairs.report("fitting", rows.start / height)
            left = unexplained(pairs, coarse, rows, around)
            piece = made[:, rows].reshape(len(made), -1)
            for own, points in around.groups(rows):
                regressors = np.concatenate([terms, anomaly[:, around.near(own)[0]]], axis=1)
                count = regressors.shape[1]
                piece[:count, points] = penalised(
                    regressors, left[:, points], np.full(count - 1, penalty)
                )
            made[:, rows] = piece.reshape(len(made), -1, width)
        return {
            **around.state(),
            "share": pairs.share.astype(np.float32),
            "coefficients": made,
            "penalty": np.array(penalty),
        }

    def predict(self, window: Window, state: State) -> Floats:
        """Return the fine fields, ``(step, Y', X')``."""
        around, wanted = Surroundings.from_state(state), own_steps(window)
        made = np.full((len(wanted), *window.placement.shape), np.nan)
        there = np.isin(wanted, known_steps(window))
        value = window.value[wanted[there]]
        terms = cycles(window.clock.steps(wanted[there]))
        anomaly = around.anomalies(value).astype(np.float64)
        rows = slice(0, made.shape[1])
        guess = first_guess(value, window.placement, state["share"], rows, around)
        flat = guess.reshape(len(guess), -1)
        coefficients = state["coefficients"].reshape(len(state["coefficients"]), -1)
        for own, points in around.groups(rows):
            regressors = np.concatenate([terms, anomaly[:, around.near(own)[0]]], axis=1)
            flat[:, points] += regressors @ coefficients[: regressors.shape[1], points]
        made[there] = guess
        return made


def _chosen(
    pairs: Pairs, coarse: Floats, around: Surroundings, anomaly: Floats, terms: Floats
) -> float:
    """Return the penalty with the smallest error in blocks that are held out."""
    folds = blocks_held_out(pairs.clock)
    errors = np.zeros(len(_PENALTIES))
    for own, left in sample_of_points(pairs, coarse, around):
        regressors = np.concatenate([terms, anomaly[:, around.near(own)[0]]], axis=1)
        for learn, held in folds:
            for i, penalty in enumerate(_PENALTIES):
                weights = np.full(regressors.shape[1] - 1, penalty)
                found = penalised(regressors[learn], left[learn], weights)
                errors[i] += np.nansum((regressors[held] @ found - left[held]) ** 2)
    return _PENALTIES[int(np.argmin(errors))]
