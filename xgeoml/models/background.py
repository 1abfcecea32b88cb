"""The slow part of each series: trend, yearly and daily cycle, by robust regularised regression."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xgeoml.models.series import Bools, Floats, Series

# Reweighting: five rounds settle the coefficients to a hundredth of their sampling error.
_ROUNDS = 5
# Deviations kept at full weight: wide, because a skewed series (rain) must keep its mean; what is
# beyond the second number is no tail and loses its pull as it grows.
_HUBER, _ABSURD = 2.5, 8.0
# A term whose neighbours in time are this alike has little to say on its own sampling error.
_LARGEST_CORRELATION = 0.98


class Terms(NamedTuple):
    """The columns that a background is made of.

    Attributes
    ----------
    matrix : ndarray, (time, terms)
        Constant, trend (-1 ... 1 over the record), then a cosine and a sine for each cycle.
    cycles : ndarray, (terms,)
        Cycles per year of each column; 0 for the constant, half a cycle a record for the trend.
    """

    matrix: Floats
    cycles: Floats


def design(years: Floats) -> Floats:
    """Return the regressors of the background, (time, terms).

    Parameters
    ----------
    years : ndarray, (time,)
        Decimal years of the steps, increasing.

    Returns
    -------
    ndarray, (time, terms)
        Constant and trend; the year and its half where the record spans 1.5 years and the steps
        resolve them; the day and its half where it spans 1.5 days and the steps resolve them.

    Examples
    --------
    >>> import numpy as np
    >>> design(2000 + np.arange(48) / 12).shape
    (48, 6)
    """
    return terms(years).matrix


def terms(years: Floats) -> Terms:
    """Return the regressors of the background with their frequencies; see `design`."""
    n = len(years)
    columns, cycles = [np.ones(n)], [0.0]
    if n > 1:
        span = float(years[-1] - years[0])
        step = float(np.median(np.diff(years)))
        columns.append(2.0 * (years - years[0]) / span - 1.0)
        cycles.append(0.5 / span)
        per_year = 365.25
        for harmonic in (1, 2):
            # 2.5 steps a cycle: at the Nyquist frequency the sine of a cycle is not seen.
            if span >= 1.5 and step * harmonic * 2.5 <= 1.0:
                _add_cycle(columns, harmonic * years)
                cycles += [harmonic] * 2
        for harmonic in (1, 2):
            if span >= 1.5 / per_year and step * per_year * harmonic * 2.5 <= 1.0:
                _add_cycle(columns, harmonic * _days(years))
                cycles += [harmonic * per_year] * 2
    return Terms(np.stack(columns, axis=1), np.array(cycles))


def _add_cycle(columns: list[Floats], phase: Floats) -> None:
    angle = 2.0 * np.pi * (phase - np.floor(phase))
    columns += [np.cos(angle), np.sin(angle)]


def _days(years: Floats) -> Floats:
    """Return the time in days since the start of each step's year, (time,).

    A decimal year does not say how long its year is, and a day lost a leap year turns the daily
    cycle by a whole turn every few years: the length is the one that puts the stamps on minutes.
    """
    year = np.floor(years)
    part = years - year
    days = np.empty_like(years)
    for y in np.unique(year):
        at = year == y
        leap = y % 4 == 0 and (y % 100 != 0 or y % 400 == 0)
        lengths = (366.0, 365.0, 360.0) if leap else (365.0, 366.0, 360.0)
        off = []
        for length in lengths:
            minutes = part[at] * length * 1440.0
            off.append(float(np.mean(np.abs(minutes - np.round(minutes)))))
        # The calendar in use wins a tie, but for rounding of the stamps.
        best = 0 if off[0] <= min(off) + 1e-3 else int(np.argmin(off))
        days[at] = part[at] * lengths[best]
    return days


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
    centre = _median(values, usable)[:, None]
    anomaly = np.where(usable, values - centre, 0.0)
    scale = robust_scale(anomaly, usable)[:, None]
    # The last digits of a constant are no signal.
    scale = np.where(scale > 1e-12 * np.abs(centre), scale, 1.0)
    return anomaly / scale, centre, scale


def background(series: Series) -> Floats:
    """Return trend and cycles of each series at every step.

    Parameters
    ----------
    series : Series
        Only its usable values are learnt from.

    Returns
    -------
    ndarray, (series, time)
        In the units of the values; NaN for a series without any value.  A series whose every value
        is untrusted is learnt from those.

    Notes
    -----
    Least squares with Huber's (1964) weights, each coefficient drawn to zero as far as the data leave it
    open: its penalty is the power, at the term's own frequency, of a first-order autoregressive
    process fitted to the residuals. Few or strongly correlated values then give a flat background
    instead of a wild one, and noise-free cycles are found exactly. Beyond the first and last value
    of a series its trend goes on for a tenth of the time between them.
    """
    usable = learnable(series)
    scaled, centre, scale = standardise(series.values, usable)
    basis = terms(series.years)
    coefficients = _fit(scaled, usable, basis, series.years)
    trend = np.zeros(len(series.years))
    if basis.matrix.shape[1] > 1:
        trend = basis.matrix[:, 1]
    mean = np.einsum("tp,sp->st", basis.matrix, coefficients)
    if basis.matrix.shape[1] > 1:
        mean += (_bounded(trend, usable) - trend) * coefficients[:, 1:2]
    mean = mean * scale + centre
    mean[~usable.any(axis=1)] = np.nan
    return mean


def learnable(series: Series) -> Bools:
    """Return the usable values, or all finite ones where a series has no usable value."""
    usable = series.usable()
    none = ~usable.any(axis=1)
    if none.any():
        usable[none] = np.isfinite(series.values[none])
    return usable


def _bounded(trend: Floats, usable: Bools) -> Floats:
    """Return the trend regressor for each series, (series, time), held outside its record."""
    first = np.where(usable, trend, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    last = np.where(usable, trend, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    none = first > last
    first, last = np.where(none, 0.0, first), np.where(none, 0.0, last)
    margin = 0.1 * (last - first)
    return np.clip(trend, first - margin, last + margin)


def _fit(scaled: Floats, usable: Bools, basis: Terms, years: Floats) -> Floats:
    """Return the coefficients, (series, terms), of standardised series."""
    matrix = basis.matrix
    p = matrix.shape[1]
    products = (matrix[:, :, None] * matrix[:, None, :]).reshape(len(matrix), p * p)
    step = float(np.median(np.diff(years))) if len(years) > 1 else 1.0
    angle = 2.0 * np.pi * basis.cycles * step
    count = usable.sum(axis=1)
    # Before the first residuals, three deviations of the values themselves keep bursts out.
    weight = usable * huber(scaled, np.full((len(scaled), 1), 3.0))
    penalty = np.ones((len(scaled), p))
    coefficients = np.zeros((len(scaled), p))
    for _ in range(_ROUNDS):
        normal = np.einsum("st,tq->sq", weight, products).reshape(-1, p, p)
        right = np.einsum("st,tp->sp", weight * scaled, matrix)
        # The constant is hardly held: the values are already centred.
        penalty[:, 0] *= 1e-3
        ridged = normal + (penalty + 1e-12)[:, :, None] * np.eye(p)
        inverse = np.linalg.inv(ridged)
        coefficients = np.einsum("spq,sq->sp", inverse, right)
        residual = np.where(usable, scaled - np.einsum("tp,sp->st", matrix, coefficients), 0.0)
        free = np.maximum(count - np.einsum("spq,sqp->s", inverse, normal), 0.1)
        spread = robust_scale(residual, usable) * np.sqrt(np.maximum(count, 1) / free)
        weight = usable * huber(residual, spread[:, None])
        variance = (weight * residual**2).sum(axis=1) / free
        penalty = variance[:, None] * red_spectrum(residual * np.sqrt(weight), usable, angle)
    return coefficients


def huber(residual: Floats, scale: Floats) -> Floats:
    """Return the weight of each residual, 0 ... 1: Huber's, falling faster for absurd ones.

    Parameters
    ----------
    residual : ndarray
    scale : ndarray, broadcast against `residual`
        Standard deviation; where it is 0, residuals of 0 keep a weight of 1.
    """
    size = np.abs(residual)
    whole = size <= _HUBER * scale
    ratio = scale / np.where(whole, 1.0, size)
    weight: Floats = _HUBER * ratio * np.minimum(_ABSURD * ratio, 1.0) ** 2
    return np.where(whole, 1.0, weight)


def robust_scale(residual: Floats, usable: Bools) -> Floats:
    """Return the standard deviation of each row, (series,), from its median absolute residual."""
    median = _median(np.abs(residual), usable)
    count = usable.sum(axis=1)
    rms = np.sqrt((np.where(usable, residual, 0.0) ** 2).sum(axis=1) / np.maximum(count, 1))
    # More than half of the residuals exactly 0 (a series of zeros and bursts) leaves no median.
    return np.where(median > 0.05 * rms, 1.4826 * median, rms)


def _median(values: Floats, usable: Bools) -> Floats:
    """Return the median of the usable values of each row, (series,), 0 where there are none."""
    if values.shape[1] == 0:
        return np.zeros(len(values))
    ordered = np.sort(np.where(usable, values, np.inf), axis=1)
    count = usable.sum(axis=1)
    rows, last = np.arange(len(values)), np.maximum(count - 1, 0)
    low, high = ordered[rows, last // 2], ordered[rows, np.minimum(count // 2, last)]
    return 0.5 * (np.where(count > 0, low, 0.0) + np.where(count > 0, high, 0.0))


def red_spectrum(residual: Floats, usable: Bools, angle: Floats) -> Floats:
    """Return the power of each row's red noise at some frequencies, relative to its variance.

    Parameters
    ----------
    residual : ndarray, (series, time)
    usable : ndarray of bool, (series, time)
    angle : ndarray, (terms,)
        Frequencies, radians a step.

    Returns
    -------
    ndarray, (series, terms)
        Spectrum of a first-order autoregressive process, 1 for white noise.
    """
    value = np.where(usable, residual, 0.0)
    both = usable[:, 1:] & usable[:, :-1]
    product = np.where(both, value[:, 1:] * value[:, :-1], 0.0).sum(axis=1)
    energy = np.where(both, 0.5 * (value[:, 1:] ** 2 + value[:, :-1] ** 2), 0.0).sum(axis=1)
    # Three pairs of no correlation, so that a short record does not claim one.
    total = energy + 3.0 * (value**2).sum(axis=1) / np.maximum(usable.sum(axis=1), 1)
    alike = np.where(total > 0.0, product / np.where(total > 0.0, total, 1.0), 0.0)
    alike = np.clip(alike, 0.0, _LARGEST_CORRELATION)[:, None]
    power: NDArray[np.float64] = (1.0 - alike**2) / (
        1.0 - 2.0 * alike * np.cos(np.minimum(angle, np.pi)) + alike**2
    )
    return power
