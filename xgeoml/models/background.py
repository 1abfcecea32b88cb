"""The slow part of each series: trend, yearly and daily cycle, by robust regularised regression."""

from __future__ import annotations

import math

import numpy as np

from xgeoml.models._cycles import Terms, terms
from xgeoml.models._each import times_each
from xgeoml.models._reweighted import Weighted, fit
from xgeoml.models._robust import learnable, standardise
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

# Series in a block: their numbers stay in a processor's cache from one pass to the next.
_AT_ONCE = 256


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
    mean : ndarray, (series, time)
        The background.
    error_variance : ndarray, (series, time) or (series, 1)
        Of what it says of the drivers, the trend and the cycles: only learnt with drivers, 0
        without.
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
        # Without drivers nothing is said of how far it may be wrong.
        self.error_variance = np.zeros((len(series.values), 1))
        if len(series.covariates):
            self.error_variance = np.zeros_like(series.values)
        if more is None:
            self.mean = np.empty_like(series.values)
            self.done = np.zeros(len(series.values), dtype=bool)
        else:
            before, rows = more
            self.mean, self.done = before.mean[rows], before.done[rows]
            if len(series.covariates):
                self.error_variance = before.error_variance[rows]

    def complete(self, series: Series, state: State | None, rows: Rows | None = None) -> None:
        """Find that of some series, by default of all."""
        left = np.flatnonzero(~self.done) if rows is None else rows[~self.done[rows]]
        basis = terms(series.years)
        # Not on several threads: these wait for each other longer than they work.
        for start in range(0, len(left), _AT_ONCE):
            part = left[start : start + _AT_ONCE]
            self.mean[part], self.error_variance[part] = _explain(series.rows(part), basis, state)
            self.done[part] = True


def _found(series: Series, state: State | None) -> _Found:
    # Drivers count in the light of the whole field: another state is another background.
    drivers = id(state["driver_patterns"]) if state and "driver_patterns" in state else None
    key = "background", drivers
    return series.once(key, lambda: _Found(series, series.found(key)))


def _explain(series: Series, basis: Terms, state: State | None) -> tuple[Floats, Floats]:
    usable = learnable(series)
    scaled, centre, scale = standardise(series.values, usable)
    line = basis.matrix[:, 1] if basis.matrix.shape[1] > 1 else None
    bounds = None if line is None else _bounds(line, usable)
    if series.covariates.shape[0]:
        trend = None if line is None or bounds is None else np.clip(line, *bounds)
        mean, error_variance = regress(scaled, usable, series, trend, state)
        error_variance = error_variance * scale**2
    else:
        coefficients = fit(Weighted(scaled, usable, basis), _angle(basis, series.years))
        mean = times_each(basis.matrix, coefficients)
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


def _angle(basis: Terms, years: Floats) -> Floats:
    """Return the frequency of each term, radians a step."""
    step = float(np.median(np.diff(years))) if len(years) > 1 else 1.0
    return 2.0 * np.pi * basis.cycles * step


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
