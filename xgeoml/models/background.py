"""The slow part of each series: trend, yearly and daily cycle, by robust regularised regression."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from xgeoml.models._cycles import Terms, terms
from xgeoml.models._robust import huber, learnable, robust_scale, standardise
from xgeoml.models.drivers import regress, summarise_drivers
from xgeoml.models.series import Bools, Floats, Series, State

__all__ = ["background", "design", "explain", "learnable", "summarise_drivers"]

# Reweighting: five rounds settle the coefficients to a hundredth of their sampling error.
_ROUNDS = 5
# Series in a block: their numbers stay in a processor's cache from one pass to the next.
_AT_ONCE = 256
# More blocks than these, the sample of a whole field, are shared between threads.
_FEW_BLOCKS, _THREADS = 4, 4
# A term whose neighbours in time are this alike has little to say on its own sampling error.
_LARGEST_CORRELATION = 0.98


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


def background(series: Series, state: State | None = None) -> Floats:
    """Return trend, cycles and response to the drivers of each series at every step.

    Parameters
    ----------
    series : Series
        Only its usable values are learnt from.
    state : dict, optional
        What `summarise_drivers` returned for the whole field, among anything else. Without it each
        series has its own drivers and nothing of the field's.

    Returns
    -------
    ndarray, (series, time)
        In the units of the values; NaN for a series without any value.  A series whose every value
        is untrusted is learnt from those.

    Notes
    -----
    Least squares with Huber's (1964) weights, each coefficient drawn to zero as far as the data
    leave it open: its penalty is the power, at the term's own frequency, of a first-order
    autoregressive process fitted to the residuals. Few or strongly correlated values then give a
    flat background instead of a wild one, and noise-free cycles are found exactly. Beyond the first
    and last value of a series its trend goes on for a tenth of the time between them.
    With drivers, see `xgeoml.models.drivers`.
    """
    return explain(series, state)[0]


def explain(series: Series, state: State | None = None) -> tuple[Floats, Floats]:
    """Return the `background` and how far it may be wrong.

    Returns
    -------
    mean, error_variance : ndarray, (series, time)
        The background, and the error variance of what it says of the drivers, the trend and the
        cycles: only learnt with drivers, 0 without.
    """
    # Drivers count in the light of the whole field: another state is another background.
    drivers = id(state["driver_patterns"]) if state and "driver_patterns" in state else None
    return series.once(("background", drivers), lambda: _in_blocks(series, state))


def _in_blocks(series: Series, state: State | None) -> tuple[Floats, Floats]:
    mean, error_variance = np.empty_like(series.values), np.zeros_like(series.values)

    def fit(start: int) -> None:
        part = slice(start, start + _AT_ONCE)
        mean[part], error_variance[part] = _explain(series.rows(part), state)

    starts = range(0, len(mean), _AT_ONCE)
    if len(starts) > _FEW_BLOCKS:
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(fit, starts))
    else:
        for start in starts:
            fit(start)
    return mean, error_variance


def _explain(series: Series, state: State | None) -> tuple[Floats, Floats]:
    usable = learnable(series)
    scaled, centre, scale = standardise(series.values, usable)
    basis = terms(series.years)
    trend = _bounded(basis.matrix[:, 1], usable) if basis.matrix.shape[1] > 1 else None
    if series.covariates.shape[0]:
        mean, error_variance = regress(scaled, usable, series, trend, state)
    else:
        coefficients = _fit(scaled, usable, basis, series.years)
        mean = np.einsum("tp,sp->st", basis.matrix, coefficients)
        if trend is not None:
            mean += (trend - basis.matrix[:, 1]) * coefficients[:, 1:2]
        error_variance = np.zeros_like(mean)
    mean = mean * scale + centre
    mean[~usable.any(axis=1)] = np.nan
    return mean, error_variance * scale**2


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
    # Time last and each product once: einsum is at its fastest along contiguous numbers.
    columns = np.ascontiguousarray(matrix.T)
    one, two = np.triu_indices(p)
    products = columns[one] * columns[two]
    normal = np.empty((len(scaled), p, p))
    step = float(np.median(np.diff(years))) if len(years) > 1 else 1.0
    angle = 2.0 * np.pi * basis.cycles * step
    count = usable.sum(axis=1)
    # Before the first residuals, three deviations of the values themselves keep bursts out.
    weight = usable * huber(scaled, np.full((len(scaled), 1), 3.0))
    known = usable.astype(np.float64)
    penalty = np.ones((len(scaled), p))
    coefficients = np.zeros((len(scaled), p))
    for _ in range(_ROUNDS):
        normal[:, one, two] = normal[:, two, one] = np.einsum("st,qt->sq", weight, products)
        right = np.einsum("st,pt->sp", weight * scaled, columns)
        # The constant is hardly held: the values are already centred.
        penalty[:, 0] *= 1e-3
        ridged = normal + (penalty + 1e-12)[:, :, None] * np.eye(p)
        inverse = np.linalg.inv(ridged)
        coefficients = np.einsum("spq,sq->sp", inverse, right)
        residual = (scaled - np.einsum("sp,pt->st", coefficients, columns)) * known
        free = np.maximum(count - np.einsum("spq,sqp->s", inverse, normal), 0.1)
        spread = robust_scale(residual, usable) * np.sqrt(np.maximum(count, 1) / free)
        weight = known * huber(residual, spread[:, None])
        damped = residual * np.sqrt(weight)
        variance = np.einsum("st,st->s", damped, damped) / free
        penalty = variance[:, None] * red_spectrum(damped, known, angle)
    return coefficients


def red_spectrum(residual: Floats, known: Floats, angle: Floats) -> Floats:
    """Return the power of each row's red noise at some frequencies, relative to its variance.

    Parameters
    ----------
    residual : ndarray, (series, time)
        0 where not known.
    known : ndarray, (series, time)
        1 or 0.
    angle : ndarray, (terms,)
        Frequencies, radians a step.

    Returns
    -------
    ndarray, (series, terms)
        Spectrum of a first-order autoregressive process, 1 for white noise.
    """
    product = np.einsum("st,st->s", residual[:, 1:], residual[:, :-1])
    square = residual**2
    energy = np.einsum("st,st->s", square[:, 1:], known[:, :-1])
    energy += np.einsum("st,st->s", square[:, :-1], known[:, 1:])
    # Three pairs of no correlation, so that a short record does not claim one.
    total = 0.5 * energy + 3.0 * square.sum(axis=1) / np.maximum(known.sum(axis=1), 1.0)
    alike = np.where(total > 0.0, product / np.where(total > 0.0, total, 1.0), 0.0)
    alike = np.clip(alike, 0.0, _LARGEST_CORRELATION)[:, None]
    power: Floats = (1.0 - alike**2) / (
        1.0 - 2.0 * alike * np.cos(np.minimum(angle, np.pi)) + alike**2
    )
    return power
