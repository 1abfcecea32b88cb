"""Robust scales and weights of blocks of time series."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xgeoml.models.series import Bools, Floats, Rows, Series

# Deviations kept at full weight: wide, because a skewed series (rain) must keep its mean; what is
# beyond the second number is no tail and loses its pull as it grows.
_HUBER, _ABSURD = 2.5, 8.0
# Next to nothing, so that 0 / 0 is 1.
_TINY = 1e-300
# Of single precision: its last digit, and what is so small that it has fewer.
_EPSILON, _LEAST = 1e-7, 1e-30
# Root mean squares of which no value leaves its range, nor its inverse.
_USUAL = 1e12


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
    count = usable.sum(axis=1)
    # In single precision, which sorts in a quarter of the time: the middle need not be exact, ...
    with np.errstate(over="ignore"):
        middle = _median(values.astype(np.float32), usable, count)[:, None]
    centre = np.where(np.isfinite(middle), middle, 0.0)
    anomaly, scale = _around(values, usable, centre, count)
    # ... where what there is around it is far larger than the last of its digits.
    exact = np.isfinite(middle) & (np.abs(centre) * _EPSILON < 1e-3 * scale) & (scale > _LEAST)
    coarse = ~exact[:, 0]
    if coarse.any():
        some, known, n = values[coarse], usable[coarse], count[coarse]
        centre[coarse] = _median(some, known, n)[:, None]
        anomaly[coarse], scale[coarse] = _around(some, known, centre[coarse], n)
    # The last digits of a constant are no signal.
    scale = np.where(scale > 1e-12 * np.abs(centre), scale, 1.0)
    anomaly /= scale
    return anomaly, centre, scale


def _around(values: Floats, usable: Bools, centre: Floats, count: Rows) -> tuple[Floats, Floats]:
    """Return the distances from a centre, 0 where not usable, and their robust scale."""
    anomaly = values - centre
    anomaly[~usable] = 0.0
    return anomaly, scale_of(np.abs(anomaly), count)[:, None]


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


def downweighted(size: NDArray[np.floating], scale: Floats) -> tuple[Rows, Floats]:
    """Return which residuals of a block have a weight below one, and that weight.

    Few have: to look at these alone takes a fifth of the time of `huber` over all.

    Parameters
    ----------
    size : ndarray, (series, time)
        Absolute residuals.
    scale : ndarray, (series, 1)
        As in `huber`.

    Returns
    -------
    place : ndarray of int, (residual,)
        Of the flat block.
    weight : ndarray, (residual,)
    """
    place = np.flatnonzero(size > (_HUBER * scale).astype(size.dtype))
    row = place // max(size.shape[1], 1)
    return place, huber(size.ravel()[place].astype(np.float64), scale.ravel()[row])


def robust_scale(residual: Floats, usable: Bools) -> Floats:
    """Return the standard deviation of each row, (series,), that a tenth of absurd values spares.

    From the median of the absolute residuals, or half of what their ninth decile says where that
    is more: of a series of zeros and bursts (rain) the median sees nothing.
    """
    return scale_of(np.where(usable, np.abs(residual), 0.0), usable.sum(axis=1))


def scale_of(size: NDArray[np.floating], count: Rows) -> Floats:
    """Return what `robust_scale` does, of absolute residuals.

    Parameters
    ----------
    size : ndarray, (series, time)
        0 where not usable.
    count : ndarray of int, (series,)
        Of the usable residuals.
    """
    steps = size.shape[1]
    if steps == 0:
        return np.zeros(len(size))
    square = np.einsum("st,st->s", size, size).astype(np.float64)
    rms = np.sqrt(square / np.maximum(count, 1))
    # In single precision, which sorts in a quarter of the time, of any unit.
    usual = (rms > 1.0 / _USUAL) & (rms < _USUAL)
    unit = np.where(usual | (rms == 0.0), 1.0, rms)
    ordered = (size if usual.all() else size / unit[:, None]).astype(np.float32, copy=True)
    ordered.sort(axis=1)
    # What is not usable comes first, as 0.
    median, decile = _quantiles(ordered, steps - count, count, 0.5, 0.9)
    found = np.maximum(1.4826 * median, 0.5 * decile / 1.645) * unit
    scale: Floats = np.where(found > 1e-12 * rms, found, rms)
    return scale


def _median(values: NDArray[np.floating], usable: Bools, count: Rows) -> Floats:
    """Return the median of the usable values of each row, (series,), 0 where there are none."""
    if values.shape[1] == 0:
        return np.zeros(len(values))
    ordered = np.where(usable, values, values.dtype.type(np.inf))
    ordered.sort(axis=1)
    median: Floats = _quantiles(ordered, np.zeros_like(count), count, 0.5)[0]
    return median


def _quantiles(ordered: NDArray[np.floating], first: Rows, count: Rows, *levels: float) -> Floats:
    """Return quantiles of each row's `count` values from `first` on, (level, series), 0 of none."""
    last = np.maximum(count - 1, 0)
    place = np.array(levels)[:, None] * last
    low = place.astype(np.int64)
    # A row of no value has its place at the end.
    start = np.minimum(first, ordered.shape[1] - 1) + np.arange(len(ordered)) * ordered.shape[1]
    values = ordered.ravel()
    below = values.take(start + low).astype(np.float64)
    above = values.take(start + np.minimum(low + 1, last)).astype(np.float64)
    with np.errstate(invalid="ignore"):
        found = below + (place - low) * (above - below)
    return np.where(count > 0, found, 0.0)
