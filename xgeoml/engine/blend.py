"""Overlapping windows become one field: tapered weights, summed in a fixed order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from xgeoml.engine.plan import AxisPlan
from xgeoml.models.series import Floats


def taper(window: int, halo: int) -> Floats:
    """Return weights, (window,), that fall off linearly over the halo at both ends.

    Never zero, so that a cell covered by one window only still gets that window's value.
    """
    rise = np.minimum(1.0, (np.arange(window) + 1.0) / (halo + 1.0))
    weights: Floats = np.minimum(rise, rise[::-1])
    return weights


def window_weights(axes: Sequence[AxisPlan]) -> Floats:
    """Return the weights of what a model returns for one window, over all its axes."""
    tapers = [taper(a.window // a.coarsen, a.halo // a.coarsen) for a in axes]
    return reduce(np.multiply.outer, tapers, np.ones(()))


def add_windows(
    total: Floats,
    weight: Floats,
    values: Floats,
    starts: Sequence[tuple[int, ...]],
    taper_weights: Floats,
) -> None:
    """Add windows to a weighted sum, in place.

    Parameters
    ----------
    total : ndarray, (output, *axes)
        Sum of weight times value.
    weight : ndarray, (*axes)
        Sum of the weights.
    values : ndarray, (output, window, *window axes)
        NaN where a model says nothing: such a window gets no weight.
    starts : sequence of tuple of int
        First cell of each window.
    taper_weights : ndarray, (*window axes)
        From `window_weights`.
    """
    for i, start in enumerate(starts):
        where = tuple(slice(s, s + n) for s, n in zip(start, taper_weights.shape, strict=True))
        known = np.isfinite(values[0, i])
        total[(slice(None), *where)] += np.where(known, values[:, i] * taper_weights, 0.0)
        weight[where] += np.where(known, taper_weights, 0.0)


def weighted_mean(total: Floats, weight: Floats) -> NDArray[np.float64]:
    """Return the blended field, NaN where no window had a value."""
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), np.nan)
