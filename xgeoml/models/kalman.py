"""Kalman smoother in the space of the leading patterns: the classical default for missing steps."""

from __future__ import annotations

import numpy as np

from xgeoml.models._eof import Modes, leading_modes
from xgeoml.models.background import background, learnable
from xgeoml.models.series import Bools, Estimate, Floats, Series, State

_MOST_MODES = 30


class Kalman:
    """Leading patterns followed through the gaps by a smoother, the rest bridged cell by cell."""

    def summarise(self, sample: Series) -> State:
        """Return the amplitudes of the leading patterns at every step.

        Parameters
        ----------
        sample : Series
            All series of a field, or an evenly drawn sample of them.

        Returns
        -------
        dict
            `mean`, (time, mode), and `covariance`, (time, mode, mode), of the amplitudes in units
            of their standard deviation; `share`, (mode,), of the field's variance; `memory`, the
            correlation from step to step of what the modes leave, and `signal`, its share that
            has one.
        """
        anomaly, known = _anomaly(sample)
        steps = np.flatnonzero(known.any(axis=0))
        weight = np.where(known.any(axis=1), sample.area, 0.0)
        most = min(_MOST_MODES, len(steps) // 4, int((weight > 0.0).sum()))
        if most < 1:
            n = len(sample.years)
            return {
                "mean": np.zeros((n, 0)),
                "covariance": np.zeros((n, 0, 0)),
                "share": np.zeros(0),
                "memory": np.array(0.0),
                "signal": np.array(1.0),
            }
        weight = weight / weight.sum()
        modes = leading_modes(anomaly[:, steps], known[:, steps], weight, most)
        lattice = _lattice(sample.years)
        mean, covariance = _smooth(modes, anomaly, known, weight, steps, lattice)
        total = float(modes.variance.sum()) + modes.rest
        rest = np.where(known, anomaly - modes.patterns @ (mean * np.sqrt(modes.variance)).T, 0.0)
        signal, memory = _memory(rest, known, weight, lattice)
        return {
            "mean": mean,
            "covariance": covariance,
            "share": modes.variance / total if total > 0.0 else modes.variance,
            "memory": np.array(memory),
            "signal": np.array(signal),
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
        base = background(block)
        known = learnable(block)
        anomaly = np.where(known, block.values - base, 0.0)
        mean = np.asarray(state["mean"], dtype=np.float64)
        covariance = np.asarray(state["covariance"], dtype=np.float64)
        share = np.asarray(state["share"], dtype=np.float64)
        loading = _loading(anomaly, known, mean, share)
        pattern = np.einsum("sk,tk->st", loading, mean)
        rest = np.where(known, anomaly - pattern, 0.0)
        count = np.maximum(known.sum(axis=1, keepdims=True), 1)
        variance = (rest**2).sum(axis=1, keepdims=True) / count
        bridge, doubt = _bridge(
            rest, known, _lattice(block.years), float(state["signal"]), float(state["memory"])
        )
        # By einsum, so that a series' result does not depend on the number of its neighbours.
        n = mean.shape[1]
        products = (loading[:, :, None] * loading[:, None, :]).reshape(-1, n * n)
        spread = np.einsum("sq,tq->st", products, covariance.reshape(-1, n * n))
        spread = np.sqrt(np.maximum(spread, 0.0) + variance * doubt)
        missing = ~known.any(axis=1)
        spread[missing] = np.nan
        return Estimate(base + pattern + bridge, spread)


def _anomaly(series: Series) -> tuple[Floats, Bools]:
    """Return the usable values less their background, 0 elsewhere, and where they are."""
    known = series.usable()
    return np.where(known, series.values - background(series), 0.0), known


def _lattice(years: Floats) -> np.ndarray:
    """Return the position of each step in whole median steps, strictly increasing, (time,)."""
    if len(years) < 2:
        return np.zeros(len(years), dtype=np.int64)
    apart = np.diff(years) / np.median(np.diff(years))
    return np.concatenate([[0], np.cumsum(np.maximum(np.rint(apart), 1).astype(np.int64))])


def _correlation(value: Floats, weight: Floats, lattice: np.ndarray, lag: int) -> Floats:
    """Return the correlation of each column of `value`, (time, column), with itself `lag` later."""
    order = np.searchsorted(lattice, lattice + lag)
    first = np.flatnonzero(order < len(lattice))
    first = first[lattice[order[first]] == lattice[first] + lag]
    later = order[first]
    both = weight[first] * weight[later]
    product = (both * value[first] * value[later]).sum(axis=0)
    power = 0.5 * (both * (value[first] ** 2 + value[later] ** 2)).sum(axis=0)
    return np.divide(product, power, out=np.zeros_like(product), where=power > 0.0)


def _decay(correlation: Floats) -> tuple[Floats, Floats]:
    """Fit signal * memory**lag to correlations, (lag, column), of lags 1, 2, ..."""
    one, two = correlation[0], correlation[1]
    memory = np.divide(two, one, out=np.zeros_like(one), where=one > 0.05)
    memory = np.clip(memory, np.clip(one, 0.0, 0.98), 0.98)
    signal = np.divide(one, memory, out=np.ones_like(one), where=memory > 0.05)
    return np.clip(signal, 0.05, 1.0), memory


def _memory(rest: Floats, known: Bools, weight: Floats, lattice: np.ndarray) -> tuple[float, float]:
    """Return signal share and memory of what the modes leave, over the field."""
    pooled = []
    for lag in (1, 2):
        order = np.searchsorted(lattice, lattice + lag)
        first = np.flatnonzero(order < len(lattice))
        first = first[lattice[order[first]] == lattice[first] + lag]
        later = order[first]
        both = known[:, first] & known[:, later]
        product = weight @ np.where(both, rest[:, first] * rest[:, later], 0.0).sum(axis=1)
        square = rest[:, first] ** 2 + rest[:, later] ** 2
        power = weight @ np.where(both, 0.5 * square, 0.0).sum(axis=1)
        pooled.append(product / power if power > 0.0 else 0.0)
    signal, memory = _decay(np.array(pooled)[:, None])
    return float(signal[0]), float(memory[0])


def _smooth(
    modes: Modes,
    anomaly: Floats,
    known: Bools,
    weight: Floats,
    steps: np.ndarray,
    lattice: np.ndarray,
) -> tuple[Floats, Floats]:
    """Return mean and covariance of the standardised amplitudes at every step."""
    scale = np.sqrt(modes.variance)
    observed = np.zeros((len(lattice), len(scale)))
    observed[steps] = modes.amplitudes / scale
    seen = np.zeros((len(lattice), 1))
    seen[steps] = 1.0
    correlation = np.stack([_correlation(observed, seen, lattice, lag) for lag in (1, 2)])
    signal, memory = _decay(correlation)
    n, k = observed.shape
    precision = np.zeros((n, k, k))
    pull = np.zeros((n, k))
    noise = np.maximum(1.0 - signal, 0.01)
    whole = known.sum(axis=0) == known.any(axis=1).sum()
    for t in steps:
        if whole[t]:
            precision[t] = np.diag(1.0 / noise)
            pull[t] = observed[t] / noise
        else:
            at = known[:, t]
            pattern = modes.patterns[at] * scale
            weighed = pattern * (weight[at] / max(modes.rest, 1e-6 * modes.variance.sum()))[:, None]
            precision[t] = pattern.T @ weighed
            pull[t] = weighed.T @ anomaly[at, t]
    mean, covariance = np.zeros((n, k)), np.zeros((n, k, k))
    ahead, ahead_covariance = np.zeros((n, k)), np.zeros((n, k, k))
    move = np.zeros((n, k))
    m, c = np.zeros(k), np.diag(signal)
    for t in range(n):
        if t:
            move[t] = memory ** float(lattice[t] - lattice[t - 1])
            m = move[t] * m
            c = move[t][:, None] * c * move[t] + np.diag(signal * (1.0 - move[t] ** 2))
        ahead[t], ahead_covariance[t] = m, c
        if t in set(steps[:0]) or seen[t, 0]:
            gain = np.linalg.inv(np.eye(k) + c @ precision[t])
            c = gain @ c
            c = 0.5 * (c + c.T)
            m = m + c @ (pull[t] - precision[t] @ m)
        mean[t], covariance[t] = m, c
    for t in range(n - 2, -1, -1):
        back = np.linalg.solve(
            ahead_covariance[t + 1] + 1e-9 * np.eye(k), move[t + 1][:, None] * covariance[t]
        ).T
        mean[t] += back @ (mean[t + 1] - ahead[t + 1])
        covariance[t] += back @ (covariance[t + 1] - ahead_covariance[t + 1]) @ back.T
    return mean, covariance


def _loading(anomaly: Floats, known: Bools, mean: Floats, share: Floats) -> Floats:
    """Return the ridge regression of each series on the amplitudes, (series, mode)."""
    n = mean.shape[1]
    if n == 0:
        return np.zeros((len(anomaly), 0))
    rest = max(1.0 - float(share.sum()), 0.01)
    products = (mean[:, :, None] * mean[:, None, :]).reshape(len(mean), n * n)
    patterns, group = np.unique(known, axis=0, return_inverse=True)
    normal = np.einsum("gt,tq->gq", patterns.astype(np.float64), products).reshape(-1, n, n)
    inverse = np.linalg.inv(normal + np.diag(rest / np.maximum(share, 1e-9)))
    right = np.einsum("st,tk->sk", np.where(known, anomaly, 0.0), mean)
    return np.einsum("skj,sj->sk", inverse[group.ravel()], right)


def _bridge(
    rest: Floats, known: Bools, lattice: np.ndarray, signal: float, memory: float
) -> tuple[Floats, Floats]:
    """Carry the rest of each series into its gaps; return it and the share of variance in doubt."""
    rows, n = rest.shape
    noise = max(1.0 - signal, 1e-3)
    m, c = np.zeros(rows), np.full(rows, signal)
    mean, variance = np.zeros((rows, n)), np.zeros((rows, n))
    ahead, ahead_variance = np.zeros((rows, n)), np.zeros((rows, n))
    move = np.zeros(n)
    for t in range(n):
        if t:
            move[t] = memory ** float(lattice[t] - lattice[t - 1])
            m, c = move[t] * m, move[t] ** 2 * c + signal * (1.0 - move[t] ** 2)
        ahead[:, t], ahead_variance[:, t] = m, c
        gain = np.where(known[:, t], c / (c + noise), 0.0)
        m, c = m + gain * (rest[:, t] - m), c * (1.0 - gain)
        mean[:, t], variance[:, t] = m, c
    for t in range(n - 2, -1, -1):
        back = move[t + 1] * variance[:, t] / np.maximum(ahead_variance[:, t + 1], 1e-12)
        mean[:, t] += back * (mean[:, t + 1] - ahead[:, t + 1])
        variance[:, t] += back**2 * (variance[:, t + 1] - ahead_variance[:, t + 1])
    return mean, variance + noise
