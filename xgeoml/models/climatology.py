"""Trend and cycles of each series, and nothing between: what any other model has to beat."""

from __future__ import annotations

import numpy as np

from xgeoml.models.background import background, learnable
from xgeoml.models.series import Estimate, Series, State


class Climatology:
    """Trend, yearly and daily cycle, and response to drivers, of each series by itself."""

    def summarise(self, sample: Series) -> State:
        """Return nothing: no series knows of another."""
        return {}

    def predict(self, block: Series, state: State) -> Estimate:
        """Return the background of each series and the standard deviation of what it leaves.

        Parameters
        ----------
        block : Series
        state : dict
            What `summarise` returned.

        Returns
        -------
        Estimate
        """
        mean = background(block)
        learnt = learnable(block)
        count = learnt.sum(axis=1, keepdims=True)
        error = np.where(learnt, block.values - mean, 0.0)
        spread = np.sqrt((error**2).sum(axis=1, keepdims=True) / np.maximum(count, 1))
        spread = np.where(count > 1, spread, np.nan)
        return Estimate(mean, np.broadcast_to(spread, mean.shape).copy())
