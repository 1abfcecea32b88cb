"""Ridge regression on the coarse cells around each fine point."""

from __future__ import annotations

from typing import Any

import numpy as np

from xgeoml.models._regression import chosen_penalty, cycles, penalised, seasons_seen
from xgeoml.models._surroundings import (
    REACH,
    Singles,
    Surroundings,
    covariates_of,
    first_guess,
    known_steps,
    own_steps,
    strips,
    unexplained,
)
from xgeoml.models.downscaling import Pairs, Window
from xgeoml.models.series import Floats, State


class Ridge:
    """What interpolation lacks, linear in the 5 x 5 coarse cells around, season and hour.

    Covariates count with their value in the point's own coarse cell. There is one penalty for the
    whole domain, chosen in blocks of the record that are held out.
    """

    # Each point learns by itself: what never changes there tells it nothing.
    uses_static = False

    def fit(self, pairs: Pairs) -> State:
        """Return the coefficients."""
        around = Surroundings.of(pairs)
        coarse = np.asarray(pairs.coarse, dtype=np.float64)
        covariates, levels = around.standardised(np.asarray(pairs.covariates))
        seasons = seasons_seen(pairs.clock)
        predictors = _Predictors(
            around, cycles(pairs.clock, seasons), around.anomalies(coarse), covariates
        )
        penalty = chosen_penalty(pairs, coarse, around, predictors.of)
        height, width = pairs.placement.shape
        made = np.zeros((predictors.most, height, width), dtype=np.float32)
        for rows in strips(pairs):
            pairs.report("fitting", rows.start / height)
            left = unexplained(pairs, coarse, rows, around)
            piece = made[:, rows].reshape(len(made), -1)
            for own, points in around.groups(rows):
                regressors = predictors.of(own)
                found = penalised(regressors, left[:, points], penalty)
                piece[: len(found), points] = found
            made[:, rows] = piece.reshape(len(made), -1, width)
        return {
            **around.state(),
            "share": pairs.share.astype(np.float32),
            "seasons": np.array(seasons),
            "levels": levels,
            "coefficients": made,
            "penalty": np.array(penalty),
        }

    def predict(self, window: Window, state: State) -> Floats:
        """Return the fine fields, ``(step, Y', X')``."""
        kept: dict[str, Any] = dict(state)
        around, wanted = Surroundings.from_state(state), own_steps(window)
        made = np.full((len(wanted), *window.placement.shape), np.nan)
        there = np.isin(wanted, known_steps(window))
        steps = wanted[there]
        value = window.value[steps]
        covariates, _ = around.standardised(covariates_of(window)[:, steps], kept["levels"])
        terms = cycles(window.clock.steps(steps), bool(kept["seasons"]))
        predictors = _Predictors(around, terms, around.anomalies(value), covariates)
        rows = slice(0, made.shape[1])
        guess = first_guess(value, window.placement, kept["share"], rows, around)
        flat = guess.reshape(len(guess), -1)
        coefficients = kept["coefficients"].reshape(len(kept["coefficients"]), -1)
        for own, points in around.groups(rows):
            regressors = predictors.of(own)
            flat[:, points] += regressors @ coefficients[: regressors.shape[1], points]
        made[there] = guess
        return made


class _Predictors:
    """The regressors at some steps.

    Parameters
    ----------
    around : Surroundings
    terms : ndarray, (step, term)
        Those of time.
    anomaly : ndarray, (step, predictor)
    covariates : ndarray, (covariate, step, predictor)
    """

    def __init__(
        self, around: Surroundings, terms: Floats, anomaly: Singles, covariates: Singles
    ) -> None:
        self.around, self.terms, self.anomaly = around, terms, anomaly
        self.covariates = covariates

    @property
    def most(self) -> int:
        """The largest number of regressors that a point has."""
        return int(self.terms.shape[1]) + len(self.covariates) + (2 * REACH + 1) ** 2

    def of(self, own: int) -> Floats:
        """Return those of the points nearest to a predictor, ``(step, regressor)``."""
        cells, _ = self.around.near(own)
        driven = self.covariates[:, :, own].T
        return np.concatenate([self.terms, driven, self.anomaly[:, cells]], axis=1)
