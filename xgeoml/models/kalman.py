"""Kalman smoother in the space of the leading patterns: the classical default for missing steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xgeoml.models._dynamics import Observed, smooth_amplitudes, smooth_red
from xgeoml.models._each import kinds, of_each_kind, times_each
from xgeoml.models._eof import Modes, leading_modes
from xgeoml.models._on_modes import Regression
from xgeoml.models.background import background, design, explain, learnable, summarise_drivers
from xgeoml.models.series import Bools, Estimate, Floats, Series, State, without_drivers

Lattice = NDArray[np.int64]

_MOST_MODES = 30
# A pause of more steps than this leaves no memory, and is not walked through step by step.
_LONGEST_PAUSE = 400
# The memory of what the patterns leave: lags that it is read from, memories that are tried, and
# the number of pairs of steps that a series needs for its own to count as much as the field's.
_LAGS = (1, 2, 3, 4, 5, 6)
_MEMORIES = np.array([0.3, 0.5, 0.7, 0.8, 0.87, 0.92, 0.95, 0.97, 0.985, 0.995])
# Shares of the variance with a memory, closer to each other where little is noise.
_SIGNALS = np.concatenate([np.arange(30) / 32.0, 1.0 - np.geomspace(1 / 16, 1e-3, 13)])
_PAIRS = 60.0
# Series that tell the memory of the field's.
_MOST_SERIES = 512


class Kalman:
    """Leading patterns followed through the gaps by a smoother, the rest bridged cell by cell.

    Parameters
    ----------
    drivers : bool
        Whether drivers, where they are given, explain part of each series beforehand.
    """

    def __init__(self, drivers: bool = True) -> None:
        self.drivers = drivers

    def summarise(self, sample: Series) -> State:
        """Return the amplitudes of the leading patterns at every step.

        Parameters
        ----------
        sample : Series
            All series of a field, or an evenly drawn sample of them.

        Returns
        -------
        dict
            `mean` and `error_variance`, (time, mode): of the amplitudes, in units of their standard
            deviation; `explained`, (mode,): share of the field's variance; `autocorrelation`,
            (lag,): of what the modes leave; `excess`, (): by how much the variance around the
            background was underestimated where it was not fitted, 0 with drivers, whose regression
            knows its own error; and what `summarise_drivers` returns.
        """
        if not self.drivers:
            sample = without_drivers(sample)
        drivers = summarise_drivers(sample)
        known = sample.usable()
        anomaly = np.where(known, sample.values - background(sample, drivers), 0.0)
        weight = np.where(known.any(axis=1), sample.area, 0.0)
        steps = np.flatnonzero(known.any(axis=0))
        most = min(_MOST_MODES, len(steps) // 4, int((weight > 0.0).sum()))
        mean, error_variance = np.zeros((len(sample.years), 0)), np.zeros((len(sample.years), 0))
        explained, autocorrelation, excess = np.zeros(0), np.zeros(len(_LAGS)), 0.0
        if most > 0:
            weight = weight / weight.sum()
            lattice = _lattice(sample.years)
            modes = leading_modes(
                anomaly.take(steps, axis=1), known.take(steps, axis=1), weight, most
            )
            total = float(modes.variance.sum()) + modes.rest
            if total > 0.0:
                observed = _observed(modes, anomaly, known, weight, sample.years)
                mean, error_variance = (
                    x[lattice] for x in smooth_amplitudes(observed, modes.variance, sample.spread)
                )
                explained = modes.variance / total
                # Evenly spaced series are enough to tell the memory of all.
                some = slice(None, None, -(-len(known) // _MOST_SERIES))
                anomaly, known, weight = anomaly[some], known[some], weight[some]
                pattern = modes.patterns[some] * np.sqrt(modes.variance)
                rest = np.where(known, anomaly - pattern @ mean.T, 0.0)
                autocorrelation = _pooled(_pairs(rest, known, lattice), weight)
                persistence = _pooled(_pairs(anomaly, known, lattice, _LAGS[:1]), weight)[0]
                if not len(sample.covariates):
                    excess = _excess(sample, float(persistence), len(steps))
        return drivers | {
            "mean": mean,
            "error_variance": error_variance,
            "explained": explained,
            "autocorrelation": autocorrelation,
            "excess": np.array(excess),
        }

    def predict(self, block: Series, state: State) -> Estimate:
        """Return background, patterns and bridged rest of each series.

        Parameters
        ----------
        block : Series
        state : dict
            What `summarise` returned.

        Returns
        -------
        Estimate
        """
        mean, error_variance, explained, autocorrelation = (
            np.asarray(state[name], dtype=np.float64)
            for name in ("mean", "error_variance", "explained", "autocorrelation")
        )
        if not self.drivers:
            block = without_drivers(block)
        lattice = _lattice(block.years)
        base, base_variance = explain(block, state)
        known = learnable(block)
        anomaly = block.values - base
        anomaly[~known] = 0.0
        # As far as its values tell, each series is a sum of the amplitudes.
        penalty = max(1.0 - float(explained.sum()), 0.01) / np.maximum(explained, 1e-9)
        regression = Regression(known, mean, penalty)
        loading = regression.coefficients(anomaly)
        found = times_each(mean, loading)
        rest = np.subtract(anomaly, found, out=anomaly)
        rest *= known
        signal, memory = _memory(_pairs(rest, known, lattice), autocorrelation)
        noise = np.maximum(1.0 - signal, 1e-3)[:, None]
        apart = np.diff(lattice)
        carried, spread = smooth_red(rest, known, memory, apart, signal, noise, block.spread)
        found += base
        found += carried
        if spread is None:
            return Estimate.without_spread(found)
        # The error of the rest and of the loadings, over the variance of the rest, of which the
        # regressed amplitudes have taken their share of freedom.
        count = known.sum(axis=1)
        spread += noise
        spread += regression.leverage()
        square = np.einsum("st,st->s", rest, rest)
        spread *= (square / np.maximum(count - regression.freedom(), 1.0))[:, None]
        spread += times_each(error_variance, loading**2)
        spread *= 1.0 + float(state["excess"])
        spread += base_variance
        np.sqrt(spread, out=spread)
        spread[count < 2] = np.nan
        return Estimate(found, spread)


def _lattice(years: Floats) -> Lattice:
    """Return the position of each step in whole median steps, strictly increasing, (time,)."""
    if len(years) < 2:
        return np.zeros(len(years), dtype=np.int64)
    apart = np.rint(np.diff(years) / np.median(np.diff(years))).astype(np.int64)
    return np.concatenate([[0], np.cumsum(np.clip(apart, 1, _LONGEST_PAUSE))])


def _observed(
    modes: Modes, anomaly: Floats, known: Bools, weight: Floats, years: Floats
) -> Observed:
    """Return the amplitudes that the cells of each step give, on the whole lattice."""
    lattice = _lattice(years)
    length, count = int(lattice[-1]) + 1, len(modes.variance)
    scale = np.sqrt(modes.variance)
    value, error = np.zeros((length, count)), np.zeros((length, count, count))
    seen, whole = np.zeros(length, dtype=bool), np.zeros(length, dtype=bool)
    cells = known.any(axis=1)
    steps = np.flatnonzero(known.any(axis=0))
    seen[lattice[steps]] = True
    whole[lattice[steps]] = known[cells][:, steps].all(axis=0)
    value[lattice[steps]] = modes.amplitudes / scale
    # The rest is noise on the amplitudes where cells are missing, as many times smaller as it has
    # independent patterns.
    noise = max(modes.rest, 1e-6 * float(modes.variance.sum())) / modes.freedom
    for t in steps[~whole[lattice[steps]]]:
        at = known[:, t]
        pattern = modes.patterns[at] * scale
        weighed = pattern * (weight[at] / noise)[:, None]
        covariance = np.linalg.inv(pattern.T @ weighed + np.eye(count))
        error[lattice[t]] = covariance
        value[lattice[t]] = covariance @ (weighed.T @ anomaly[at, t])
    return Observed(value, error, seen, whole, np.interp(np.arange(length), lattice, years))


def _excess(sample: Series, persistence: float, steps: int) -> float:
    """Return the share of the variance around the background that its fit has taken away."""
    memory = min(max(persistence, 0.0), 0.98)
    independent = max(steps * (1.0 - memory) / (1.0 + memory), 1.0)
    return float(min(design(sample.years).shape[1] / independent, 1.0))


class _Pairs(NamedTuple):
    product: Floats  # (lag, series)
    power: Floats  # (lag, series)
    number: Floats  # (lag, series)


def _pairs(value: Floats, known: Bools, lattice: Lattice, lags: Sequence[int] = _LAGS) -> _Pairs:
    """Return the sums that correlations in time are made of; `value` is 0 where not known."""
    sums = np.zeros((3, len(lags), len(value)))
    seen, kind = kinds(known)
    beside = np.zeros((len(seen), len(lags), known.shape[1]))
    for i, lag in enumerate(lags):
        one, two = _apart(lattice, lag)
        sums[0, i] = np.einsum("st,st->s", value[:, one], value[:, two])
        beside[:, i, one] = 0.5 * seen[:, two]
        beside[:, i, two] += 0.5 * seen[:, one]
        sums[2, i] = np.einsum("gt,gt->g", seen[:, one], seen[:, two])[kind]
    sums[1] = of_each_kind(beside, value**2, kind).T
    return _Pairs(*sums)


def _apart(lattice: Lattice, lag: int) -> tuple[slice | Lattice, slice | Lattice]:
    """Return the places of all steps that have another `lag` steps later, and of those."""
    if len(lattice) and lattice[-1] == len(lattice) - 1:
        # Evenly spaced: views, no copies.
        return slice(None, max(len(lattice) - lag, 0)), slice(lag, None)
    later = np.searchsorted(lattice, lattice + lag)
    first = np.flatnonzero(later < len(lattice))
    first = first[lattice[later[first]] == lattice[first] + lag]
    return first, later[first]


def _pooled(pairs: _Pairs, weight: Floats) -> Floats:
    """Return the correlation in time over the field, (lag,)."""
    power = pairs.power @ weight
    return np.divide(pairs.product @ weight, power, out=np.zeros_like(power), where=power > 0.0)


def _memory(pairs: _Pairs, autocorrelation: Floats) -> tuple[Floats, Floats]:
    """Fit signal * memory**lag to the correlations of each series, drawn to the field's."""
    own = np.divide(
        pairs.product, pairs.power, out=np.zeros_like(pairs.power), where=pairs.power > 0.0
    )
    drawn = (pairs.number * own + _PAIRS * autocorrelation[:, None]) / (pairs.number + _PAIRS)
    shape = _MEMORIES ** np.array(_LAGS)[:, None]
    fit = np.einsum("lm,ls->ms", shape, drawn) / (shape**2).sum(axis=0)[:, None]
    # Of a few values, so that many series share a smoother.
    signal = _SIGNALS[np.searchsorted(0.5 * (_SIGNALS[1:] + _SIGNALS[:-1]), fit)]
    # Squared misfit, less the part that is the same for all memories.
    misfit = signal * (signal - 2.0 * fit) * (shape**2).sum(axis=0)[:, None]
    best = np.argmin(misfit, axis=0)
    return np.take_along_axis(signal, best[None], axis=0)[0], _MEMORIES[best]
