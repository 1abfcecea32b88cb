"""Linear interpolation in time."""

from __future__ import annotations

import numpy as np

from xgeoml.models.background import learnable
from xgeoml.models.series import Estimate, Floats, Series, State


class Linear:
    """Linear in time between the neighbouring usable steps, the end values held."""

    def summarise(self, sample: Series) -> State:
        """Return nothing: no series knows of another."""
        return {}

    def predict(self, block: Series, state: State) -> Estimate:
        """Return the interpolated series, with the error of a random walk pinned at its neighbours.

        Parameters
        ----------
        block : Series
        state : dict
            What `summarise` returned.

        Returns
        -------
        Estimate
            The spread is 0 at usable steps, grows with the distance to them, levels off where two
            ends tell nothing more, and is NaN for a series of one value.
        """
        known = learnable(block)
        rows, steps = known.shape
        if steps == 0:
            return Estimate(block.values.copy(), block.values.copy())
        index = np.arange(steps)
        before = np.maximum.accumulate(np.where(known, index, -1), axis=1)
        after = np.minimum.accumulate(np.where(known, index, steps)[:, ::-1], axis=1)[:, ::-1]
        left, right = before >= 0, after < steps
        before, after = np.where(left, before, after), np.where(right, after, before)
        before = np.clip(before, 0, steps - 1)
        after = np.clip(after, 0, steps - 1)
        values = np.where(known, block.values, 0.0)
        row = np.arange(rows)[:, None]
        from_left = block.years[None, :] - block.years[before]
        to_right = block.years[after] - block.years[None, :]
        length = block.years[after] - block.years[before]
        share = np.where(length > 0.0, from_left / np.where(length > 0.0, length, 1.0), 0.0)
        start, end = values[row, before], values[row, after]
        mean = start + share * (end - start)
        mean = np.where(known, values, mean)
        mean[~known.any(axis=1)] = np.nan

        rate, variance = _walk(values, known, before, block.years)
        inside = left & right
        away = np.where(inside, share * (1.0 - share) * length, np.abs(from_left + 0.0))
        away = np.where(left, away, np.abs(to_right))
        # Two uncorrelated ends: their weighted mean adds 1 ... 0.5 of the variance to the value's.
        most = np.where(inside, share**2 + (1.0 - share) ** 2, 1.0) + 1.0
        spread = np.sqrt(np.minimum(rate * away, most * variance))
        spread = np.where(known, 0.0, spread)
        spread[known.sum(axis=1) < 2] = np.nan
        return Estimate(mean, spread)


def _walk(
    values: Floats, known: np.ndarray, before: np.ndarray, years: Floats
) -> tuple[Floats, Floats]:
    """Return the variance a year of the steps of each series and that of its values."""
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    centre = values.sum(axis=1, keepdims=True) / count
    variance = np.where(known, values - centre, 0.0) ** 2
    variance = variance.sum(axis=1, keepdims=True) / np.maximum(count - 1, 1)
    last = np.concatenate([np.full((len(values), 1), -1), before[:, :-1]], axis=1)
    pair = known & (last >= 0)
    pair[:, 1:] &= np.maximum.accumulate(known, axis=1)[:, :-1]
    last = np.maximum(last, 0)
    jump = np.where(pair, values - np.take_along_axis(values, last, axis=1), 0.0)
    time = np.where(pair, years[None, :] - years[last], 0.0).sum(axis=1, keepdims=True)
    rate = (jump**2).sum(axis=1, keepdims=True) / np.where(time > 0.0, time, 1.0)
    return rate, variance
