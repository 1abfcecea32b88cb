"""Interpolation, and what it usually lacks."""

from __future__ import annotations

from typing import Any

import numpy as np

from xgeoml.models._regression import chosen_penalty, cycles, penalised, seasons_seen
from xgeoml.models._surroundings import (
    Surroundings,
    first_guess,
    known_steps,
    own_steps,
    strips,
    unexplained,
)
from xgeoml.models.downscaling import Pairs, Window
from xgeoml.models.series import Floats, State


class Delta:
    """Conservative interpolation plus its mean error at each point, by season and hour.

    Season and hour are two harmonics of the year, two of the day and products of the first ones, by
    least squares with a penalty that is chosen in blocks of the record that are held out.
    """

    def fit(self, pairs: Pairs) -> State:
        """Return what interpolation lacks in these pairs."""
        around = Surroundings.of(pairs)
        coarse = np.asarray(pairs.coarse, dtype=np.float64)
        seasons = seasons_seen(pairs.clock)
        regressors = cycles(pairs.clock, seasons)
        penalty = chosen_penalty(pairs, coarse, around, lambda _own: regressors)
        height, width = pairs.placement.shape
        made = np.full((regressors.shape[1], height, width), np.nan, dtype=np.float32)
        for rows in strips(pairs):
            pairs.report("fitting", rows.start / height)
            left = unexplained(pairs, coarse, rows, around)
            found = penalised(regressors, left, penalty)
            made[:, rows] = found.reshape(len(found), -1, width)
        return {
            **around.state(),
            "share": pairs.share.astype(np.float32),
            "seasons": np.array(seasons),
            "mean_error": made,
        }

    def predict(self, window: Window, state: State) -> Floats:
        """Return the fine fields, ``(step, Y', X')``."""
        kept: dict[str, Any] = dict(state)
        around, wanted = Surroundings.from_state(state), own_steps(window)
        made = np.full((len(wanted), *window.placement.shape), np.nan)
        there = np.isin(wanted, known_steps(window))
        steps = wanted[there]
        rows = slice(0, made.shape[1])
        guess = first_guess(window.value[steps], window.placement, kept["share"], rows, around)
        regressors = cycles(window.clock.steps(steps), bool(kept["seasons"]))
        made[there] = guess + np.tensordot(regressors, kept["mean_error"], 1)
        return made
