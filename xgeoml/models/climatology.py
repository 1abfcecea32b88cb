"""Trend and cycles of each series, and nothing between: what any other model has to beat."""

from __future__ import annotations

import numpy as np

from xgeoml.models.background import background, learnable, summarise_drivers
from xgeoml.models.series import Estimate, Series, State, without_drivers


class Climatology:
    """Trend, yearly and daily cycle, and response to the drivers of each series.

    Parameters
    ----------
    drivers : bool
        Whether drivers, where they are given, explain part of the series; without them this is
        the climatology in the strict sense, with them a regression.
    """

    def __init__(self, drivers: bool = True) -> None:
        self.drivers = drivers

    def summarise(self, sample: Series) -> State:
        """Return what the field knows of its response to the drivers; nothing without drivers."""
        return summarise_drivers(sample) if self.drivers else {}

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
            The spread is NaN for a series of one value.
        """
        if not self.drivers:
            block = without_drivers(block)
        mean = background(block, state)
        if not block.spread:
            return Estimate.without_spread(mean.copy())
        learnt = learnable(block)
        count = learnt.sum(axis=1, keepdims=True)
        error = np.where(learnt, block.values - mean, 0.0)
        spread = np.sqrt((error**2).sum(axis=1, keepdims=True) / np.maximum(count - 1, 1))
        spread = np.where(count > 1, spread, np.nan)
        return Estimate(mean, np.broadcast_to(spread, mean.shape).copy())
