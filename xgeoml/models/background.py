"""The slow part of each series: trend, yearly and daily cycle, by robust regularised regression."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from xgeoml.models._cycles import Terms, terms
from xgeoml.models._robust import downweighted, learnable, scale_of, standardise
from xgeoml.models.drivers import regress, summarise_drivers
from xgeoml.models.series import Bools, Floats, Rows, Series, State

__all__ = [
    "background",
    "background_of_some",
    "design",
    "explain",
    "learnable",
    "summarise_drivers",
]

# Reweighting: rounds at most, and the change, in units of the sampling error, after which a series
# has settled: its next would be far smaller.
_ROUNDS, _SETTLED = 5, 0.1
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
    found = _found(series, state)
    found.complete(series, state)
    return found.mean, found.error_variance


def background_of_some(series: Series, most: int) -> tuple[Rows, Floats]:
    """Return at most so many of the series, spread evenly, and their `background`.

    What is found here need not be found again for all.

    Returns
    -------
    rows : ndarray of int, (row,)
    ndarray, (row, time)
    """
    found = _found(series, None)
    rows = np.arange(0, len(series.values), math.ceil(len(series.values) / most) or 1)
    found.complete(series, None, rows)
    return rows, found.mean[rows]


class _Found:
    """The background of some series, as far as it was found."""

    def __init__(self, series: Series, more: tuple[_Found, Rows] | None) -> None:
        if more is None:
            self.mean = np.empty_like(series.values)
            self.error_variance = np.zeros_like(series.values)
            self.done = np.zeros(len(series.values), dtype=bool)
        else:
            before, rows = more
            self.mean, self.error_variance = before.mean[rows], before.error_variance[rows]
            self.done = before.done[rows]

    def complete(self, series: Series, state: State | None, rows: Rows | None = None) -> None:
        """Find that of some series, by default of all."""
        left = np.flatnonzero(~self.done) if rows is None else rows[~self.done[rows]]

        def fit(part: Rows) -> None:
            self.mean[part], self.error_variance[part] = _explain(series.rows(part), state)
            self.done[part] = True

        parts = [left[i : i + _AT_ONCE] for i in range(0, len(left), _AT_ONCE)]
        if len(parts) > _FEW_BLOCKS:
            with ThreadPoolExecutor(_THREADS) as pool:
                list(pool.map(fit, parts))
        else:
            for part in parts:
                fit(part)


def _found(series: Series, state: State | None) -> _Found:
    # Drivers count in the light of the whole field: another state is another background.
    drivers = id(state["driver_patterns"]) if state and "driver_patterns" in state else None
    key = "background", drivers
    return series.once(key, lambda: _Found(series, series.found(key)))


def _explain(series: Series, state: State | None) -> tuple[Floats, Floats]:
    usable = learnable(series)
    scaled, centre, scale = standardise(series.values, usable)
    basis = terms(series.years)
    line = basis.matrix[:, 1] if basis.matrix.shape[1] > 1 else None
    bounds = None if line is None else _bounds(line, usable)
    if series.covariates.shape[0]:
        trend = None if line is None or bounds is None else np.clip(line, *bounds)
        mean, error_variance = regress(scaled, usable, series, trend, state)
        error_variance = error_variance * scale**2
    else:
        coefficients = _fit(scaled, usable, basis, series.years)
        mean = (coefficients[:, None, :] @ np.ascontiguousarray(basis.matrix.T))[:, 0]
        if line is not None and bounds is not None:
            low, high = bounds
            beyond = (line < low.max(initial=-np.inf)) | (line > high.min(initial=np.inf))
            held = np.clip(line[beyond], low, high) - line[beyond]
            mean[:, beyond] += held * coefficients[:, 1:2]
        error_variance = np.zeros((1, 1))
    mean *= scale
    mean += centre
    mean[~usable.any(axis=1)] = np.nan
    return mean, error_variance


def _bounds(line: Floats, usable: Bools) -> tuple[Floats, Floats]:
    """Return where the trend of each series starts and ends, both (series, 1), as on its `line`.

    Outside its record it is held.
    """
    none = ~usable.any(axis=1)
    first = line[usable.argmax(axis=1)]
    last = line[usable.shape[1] - 1 - usable[:, ::-1].argmax(axis=1)]
    first, last = np.where(none, 0.0, first)[:, None], np.where(none, 0.0, last)[:, None]
    margin = 0.1 * (last - first)
    return first - margin, last + margin


def _fit(scaled: Floats, usable: Bools, basis: Terms, years: Floats) -> Floats:
    """Return the coefficients, (series, terms), of standardised series."""
    p = basis.matrix.shape[1]
    # Each product of two columns once, time last.
    columns = np.ascontiguousarray(basis.matrix.T)
    one, two = np.triu_indices(p)
    products = columns[one] * columns[two]
    step = float(np.median(np.diff(years))) if len(years) > 1 else 1.0
    angle = 2.0 * np.pi * basis.cycles * step
    coefficients = np.zeros((len(scaled), p))
    # Those of the series that go on; each stops by itself, whatever its neighbours do.
    rows = np.arange(len(scaled))
    known, count = usable.astype(np.float64), usable.sum(axis=1)
    beside = _beside(known)
    penalty, variance = np.ones((len(scaled), p)), np.zeros(len(scaled))
    # The same memory in each round: to be given some takes as long as to compute.
    weight, residual, size = np.empty_like(scaled), np.empty_like(scaled), np.abs(scaled)
    # Before the first residuals, three deviations of the values themselves keep bursts out.
    far, less = downweighted(size, np.full((len(scaled), 1), 3.0))
    for left in reversed(range(_ROUNDS)):
        np.copyto(weight, known)
        weight.ravel()[far] = less
        normal = np.empty((len(rows), p, p))
        # One product a series: its bits do not depend on its neighbours.
        normal[:, one, two] = normal[:, two, one] = (products @ weight[:, :, None])[:, :, 0]
        weight *= scaled
        right = (columns @ weight[:, :, None])[:, :, 0]
        # The constant is hardly held: the values are already centred.
        penalty[:, 0] *= 1e-3
        inverse = np.linalg.inv(normal + (penalty + 1e-12)[:, :, None] * np.eye(p))
        found = np.einsum("spq,sq->sp", inverse, right)
        change = found - coefficients[rows]
        coefficients[rows] = found
        moved = np.einsum("sp,spq,sq->s", change, normal, change)
        on = moved > _SETTLED**2 * p * variance
        if not left or not on.any():
            break
        if not on.all():
            rows, scaled, known, count, beside = (
                x[on] for x in (rows, scaled, known, count, beside)
            )
            normal, inverse, found = normal[on], inverse[on], found[on]
            weight, residual, size = (x[: len(rows)] for x in (weight, residual, size))
        np.matmul(found[:, None, :], columns, out=residual[:, None, :])
        np.subtract(scaled, residual, out=residual)
        residual *= known
        np.abs(residual, out=size)
        free = np.maximum(count - np.einsum("spq,sqp->s", inverse, normal), 0.1)
        spread = scale_of(size, count) * np.sqrt(np.maximum(count, 1) / free)
        far, less = downweighted(size, spread[:, None])
        residual.ravel()[far] *= np.sqrt(less)
        square = np.square(residual, out=size)
        variance = square.sum(axis=1) / free
        penalty = variance[:, None] * _red_spectrum(residual, square, count, beside, angle)
    return coefficients


def _beside(known: Floats) -> Floats:
    """Return how many of the two steps beside each step are known, half of it, (series, time)."""
    beside = np.zeros_like(known)
    beside[:, 1:] = known[:, :-1]
    beside[:, :-1] += known[:, 1:]
    beside *= 0.5
    return beside


def _red_spectrum(
    residual: Floats, square: Floats, count: Rows, beside: Floats, angle: Floats
) -> Floats:
    """Return the power of each row's red noise at some frequencies, relative to its variance.

    Parameters
    ----------
    residual, square : ndarray, (series, time)
        0 where not known; and its square.
    count : ndarray of int, (series,)
        Of what is known.
    beside : ndarray, (series, time)
        What `_beside` returned.
    angle : ndarray, (terms,)
        Frequencies, radians a step.

    Returns
    -------
    ndarray, (series, terms)
        Spectrum of a first-order autoregressive process, 1 for white noise.
    """
    product = np.einsum("st,st->s", residual[:, 1:], residual[:, :-1])
    # Three pairs of no correlation, so that a short record does not claim one.
    total = np.einsum("st,st->s", square, beside)
    total += 3.0 * square.sum(axis=1) / np.maximum(count, 1)
    alike = np.where(total > 0.0, product / np.where(total > 0.0, total, 1.0), 0.0)
    alike = np.clip(alike, 0.0, _LARGEST_CORRELATION)[:, None]
    power: Floats = (1.0 - alike**2) / (
        1.0 - 2.0 * alike * np.cos(np.minimum(angle, np.pi)) + alike**2
    )
    return power
