"""Robust scales and weights of blocks of time series."""

from __future__ import annotations

import numpy as np

from xgeoml.models.series import Bools, Floats, Series

# Deviations kept at full weight: wide, because a skewed series (rain) must keep its mean; what is
# beyond the second number is no tail and loses its pull as it grows.
_HUBER, _ABSURD = 2.5, 8.0
# Next to nothing, so that 0 / 0 is 1.
_TINY = 1e-300


def learnable(series: Series) -> Bools:
    """Return the usable values, or all finite ones where a series has no usable value."""
    usable = series.usable()
    none = ~usable.any(axis=1)
    if none.any():
        usable[none] = np.isfinite(series.values[none])
    return usable


def standardise(values: Floats, usable: Bools) -> tuple[Floats, Floats, Floats]:
    """Return each series in its own units, so that no threshold depends on the user's.

    Parameters
    ----------
    values : ndarray, (series, time)
    usable : ndarray of bool, (series, time)

    Returns
    -------
    scaled : ndarray, (series, time)
        0 where not usable.
    centre, scale : ndarray, (series, 1)
        Median of the usable values, and their median distance from it as a standard deviation;
        0 and 1 where there are none, and a `scale` of 1 for a constant series.
    """
    centre = quantiles(values, usable, 0.5)[0][:, None]
    anomaly = np.where(usable, values - centre, 0.0)
    scale = robust_scale(anomaly, usable)[:, None]
    # The last digits of a constant are no signal.
    scale = np.where(scale > 1e-12 * np.abs(centre), scale, 1.0)
    return anomaly / scale, centre, scale


def huber(residual: Floats, scale: Floats) -> Floats:
    """Return the weight of each residual, 0 ... 1: Huber's, falling faster for absurd ones.

    Parameters
    ----------
    residual : ndarray
    scale : ndarray, broadcast against `residual`
        Standard deviation; where it is 0, residuals of 0 keep a weight of 1.
    """
    # In place: on a block of many series the time goes into passing over memory.
    ratio = np.abs(residual)
    ratio += _TINY
    np.divide(scale + _TINY, ratio, out=ratio)
    absurd = np.minimum(_ABSURD * ratio, 1.0)
    absurd *= absurd
    ratio *= _HUBER
    ratio *= absurd
    return np.minimum(ratio, 1.0, out=ratio)


def robust_scale(residual: Floats, usable: Bools) -> Floats:
    """Return the standard deviation of each row, (series,), that a tenth of absurd values spares.

    From the median of the absolute residuals, or half of what their ninth decile says where that
    is more: of a series of zeros and bursts (rain) the median sees nothing.
    """
    size = np.where(usable, np.abs(residual), 0.0)
    median, decile = quantiles(size, usable, 0.5, 0.9)
    found = np.maximum(1.4826 * median, 0.5 * decile / 1.645)
    rms = np.sqrt(np.einsum("st,st->s", size, size) / np.maximum(usable.sum(axis=1), 1))
    scale: Floats = np.where(found > 1e-12 * rms, found, rms)
    return scale


def quantiles(values: Floats, usable: Bools, *levels: float) -> list[Floats]:
    """Return quantiles of the usable values of each row, each (series,), 0 where there are none."""
    if values.shape[1] == 0:
        return [np.zeros(len(values)) for _ in levels]
    ordered = np.sort(np.where(usable, values, np.inf), axis=1)
    count = usable.sum(axis=1)
    rows = np.arange(len(values))
    last = np.maximum(count - 1, 0)
    found = []
    for level in levels:
        place = level * last
        low = np.floor(place).astype(np.int64)
        below, above = ordered[rows, low], ordered[rows, np.minimum(low + 1, last)]
        below, above = (np.where(count > 0, x, 0.0) for x in (below, above))
        found.append(below + (place - low) * (above - below))
    return found
