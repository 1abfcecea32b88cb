"""The Kalman smoother blind to drivers: a second opinion for networks, where drivers mislead."""

from __future__ import annotations

from dataclasses import replace

from xgeoml.models.kalman import Kalman
from xgeoml.models.series import Estimate, Series, State


class KalmanAlone(Kalman):
    """`xgeoml.models.kalman.Kalman` that is never given a driver."""

    def summarise(self, sample: Series) -> State:
        """Return what `Kalman.summarise` does for the values alone."""
        return super().summarise(replace(sample, covariates=sample.covariates[:0]))

    def predict(self, block: Series, state: State) -> Estimate:
        """Return what `Kalman.predict` does for the values alone."""
        return super().predict(replace(block, covariates=block.covariates[:0]), state)
