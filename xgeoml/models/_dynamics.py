"""How the amplitudes of the leading patterns move in time, and a smoother that follows them.

Two kinds of model are averaged. In the first each mode is a first-order autoregressive process. In
the others the leading modes drive each other from step to step (linear inverse models, Penland and
Sardeshmukh 1995, J. Climate 8, 1999-2024), in a way that depends on the season: El Niño grows and
decays at set times of the year. How many modes to couple cannot be told from a short record, so
several numbers are tried and their results averaged. The smoother is Rauch, Tung and Striebel's
(1965); the noise of the amplitudes and, in short records, the coupling are learnt by a round or
two of expectation and maximisation (Shumway and Stoffer 1982, J. Time Series Anal. 3, 253-264).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from scipy.linalg.lapack import dpttrf, dpttrs

from xgeoml.models._each import kinds
from xgeoml.models.series import Bools, Floats, Rows

# Numbers of coupled modes, beside the model without coupling.
_COUPLED = (7, 13, 20)
# The coupling is drawn to none with the weight of so many steps (more for weaker modes). Choosing
# the weight by leaving steps out was no better on sea surface temperature or water storage.
_RIDGE, _TILT = 150.0, 0.5
# Eigenvalues are kept off one: no mode remembers for more than about five years of months.
_MOST_MEMORY = 0.985
_FIRST_NOISE, _LEAST_NOISE = 0.01, 0.003
# Rounds of learning; where steps were seen in part the second tells the noise of what is seen.
# Of more steps times modes, the coupling is told without them, and they would take long.
_ROUNDS, _ROUNDS_IN_PART, _LONG = 1, 2, 6000
# A dependence on the season takes some years to show.
_SEASONAL_YEARS = 4.0


class Observed(NamedTuple):
    """Amplitudes as the cells of each step give them, in units of their standard deviation.

    Attributes
    ----------
    value : ndarray, (step, mode)
        The amplitudes where all cells were observed, 0 where none was, and between these what is
        expected of amplitudes of variance one, given the cells.
    error : ndarray, (step, mode, mode)
        Covariance of what is expected, given the cells; not read where all or none were observed.
    seen, whole : ndarray of bool, (step,)
        Whether anything was observed, and whether every cell was.
    years : ndarray, (step,)
    """

    value: Floats
    error: Floats
    seen: Bools
    whole: Bools
    years: Floats

    def leading(self, modes: int) -> tuple[Floats, Floats]:
        """Return the leading amplitudes and the covariance of their observation error.

        The other modes are noise of variance one here, and the variance that was assumed of the
        leading ones themselves is taken out again.
        """
        value, error = self.value[:, :modes].copy(), self.error[:, :modes, :modes].copy()
        error[self.whole | ~self.seen] = 0.0
        part = self.seen & ~self.whole
        value[part], error[part] = _likelihood(value[part], error[part])
        return value, error

    def single(self) -> tuple[Floats, Floats]:
        """Return each amplitude and the variance of its observation error, all others noise."""
        value, error = self.value.copy(), np.zeros_like(self.value)
        part = self.seen & ~self.whole
        of_each = np.einsum("tii->ti", self.error[part])[:, :, None, None]
        one, sure = _likelihood(value[part][:, :, None], of_each)
        value[part], error[part] = one[:, :, 0], sure[:, :, 0, 0]
        return value, error


def _likelihood(mean: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """Take a prior of variance one out of a posterior mean and covariance."""
    information = np.linalg.inv(covariance)
    pull = np.einsum("...ij,...j->...i", information, mean)
    # What the cells do not show at all has a large error, not an endless one.
    own = np.asarray(np.linalg.inv(information - (1.0 - 1e-3) * np.eye(mean.shape[-1])), float)
    return np.einsum("...ij,...j->...i", own, pull), own


class _Path(NamedTuple):
    """A smoothed path: mean and, where these are wanted, covariances."""

    mean: Floats  # (step, mode)
    covariance: Floats  # (step, mode, mode)
    link: Floats  # (step - 1, mode, mode), covariance of step t+1 with step t


def smooth_amplitudes(
    observed: Observed, variance: Floats, spread: bool = True, threads: int = 1
) -> tuple[Floats, Floats]:
    """Return the smoothed amplitudes of evenly spaced steps.

    Parameters
    ----------
    observed : Observed
    variance : ndarray, (mode,)
        Of each mode in the field, decreasing.
    spread : bool
        Whether the error variance is wanted.
    threads : int
        How many may share the work.

    Returns
    -------
    mean, error_variance : ndarray, (step, mode)
        Expected amplitude and its error variance, in units of the standard deviation; 0 where it
        is not wanted.
    """
    alone, alone_variance = _independent(observed)
    modes = alone.shape[1]
    numbers = sorted({min(k, modes) for k in _COUPLED})
    mean, square = alone.copy(), alone_variance + alone**2
    with ThreadPoolExecutor(threads) as pool:
        # The longest first.
        paths = list(pool.map(lambda k: _coupled(observed, variance[:k], spread), numbers[::-1]))
    for k, path in zip(numbers, paths[::-1], strict=True):
        member, error_variance = alone.copy(), alone_variance.copy()
        member[:, :k] = path.mean
        if spread:
            error_variance[:, :k] = np.einsum("tii->ti", path.covariance)
        mean += member
        square += error_variance + member**2
    mean /= 1 + len(numbers)
    if not spread:
        return mean, np.zeros_like(mean)
    return mean, np.maximum(square / (1 + len(numbers)) - mean**2, 0.0)


def decay(correlation: Floats) -> tuple[Floats, Floats]:
    """Fit signal * memory**lag to correlations.

    Parameters
    ----------
    correlation : ndarray, (2, column)
        At lags of one and two steps.

    Returns
    -------
    signal, memory : ndarray, (column,)
        Share of the variance that has a memory, and its correlation from step to step.
    """
    one, two = correlation
    memory = np.divide(two, one, out=np.zeros_like(one), where=one > 0.05)
    memory = np.clip(memory, np.clip(one, 0.0, 0.98), 0.98)
    signal = np.divide(one, memory, out=np.ones_like(one), where=memory > 0.05)
    return np.clip(signal, 0.05, 1.0), memory


def _independent(observed: Observed) -> tuple[Floats, Floats]:
    """Smooth each mode by itself; return mean and error variance, (step, mode)."""
    seen = observed.seen
    value, error = observed.single()
    correlation = []
    for lag in (1, 2):
        pair = (seen[lag:] & seen[:-lag])[:, None]
        product = np.where(pair, value[lag:] * value[:-lag], 0.0).sum(axis=0)
        power = np.where(pair, 0.5 * (value[lag:] ** 2 + value[:-lag] ** 2), 0.0).sum(axis=0)
        ratio = np.divide(product, power, out=np.zeros_like(power), where=power > 0.0)
        correlation.append(ratio)
    signal, memory = decay(np.stack(correlation))
    noise = (np.maximum(1.0 - signal, 0.01) + error).T
    known = np.broadcast_to(seen, value.T.shape)
    apart = np.ones(len(value) - 1, dtype=np.int64)
    mean, variance = smooth_red(value.T, known, memory, apart, signal, noise)
    assert variance is not None
    return mean.T, variance.T


def smooth_red(
    value: Floats,
    known: Bools,
    memory: Floats,
    apart: Rows,
    signal: Floats,
    noise: Floats,
    spread: bool = True,
) -> tuple[Floats, Floats | None]:
    """Smooth many first-order autoregressive processes, each observed with noise.

    Parameters
    ----------
    value : ndarray, (process, step)
        Any finite number where not known.
    known : ndarray of bool, (process, step)
    memory : ndarray, (process,)
        Correlation over a distance of one.
    apart : ndarray of int, (step - 1,)
        Distance of each step from the one before.
    signal : ndarray, (process,)
        Variance of the process.
    noise : ndarray, (process, 1) or (process, step)
        Variance of the noise on the values.
    spread : bool
        Whether the variance is wanted, which takes as long again.

    Returns
    -------
    mean, variance : ndarray, (process, step)
        Of the process, given all that is known of it; no variance where none is wanted.
    """
    if value.size == 0:
        return np.zeros(value.shape), np.zeros(value.shape) if spread else None
    # Processes of the same kind, missing at the same steps, have the same precisions.
    first, group = _alike(known, memory, signal, noise)
    known, memory, noise = known[first], memory[first], noise[first]
    root = np.sqrt(signal[first])[:, None]
    # Of variance one, so that a process of none has a precision as well. Its precision given the
    # values has a diagonal and one beside it.
    distances, kind = np.unique(apart, return_inverse=True)
    each = kind if len(distances) > 1 else slice(None)
    inside = memory[:, None] ** distances
    after = 1.0 / (1.0 - inside**2)
    pull = np.where(known, root / noise, 0.0)
    whole = pull * root
    whole[:, 0] += 1.0
    whole[:, 1:] += after[:, each]
    whole[:, :-1] += (after - 1.0)[:, each]
    # All processes in a row make one long one, with nothing between them.
    beside = np.zeros(whole.shape)
    beside[:, :-1] = -(inside * after)[:, each]
    link = beside.ravel()[:-1]
    forward, ratio = (x.reshape(whole.shape) for x in _factors(whole.ravel(), link))
    right = pull[group]
    right *= value
    if value.size == 1:
        mean: Floats = right / forward
    else:
        factors = forward[group].ravel(), ratio[group].ravel()[:-1]
        mean = dpttrs(*factors, right.ravel(), overwrite_b=True)[0].reshape(value.shape)
    mean *= root[group]
    if not spread:
        return mean, None
    backward, _ = _factors(whole.ravel()[::-1], link[::-1])
    variance = forward + backward[::-1].reshape(whole.shape)
    variance -= whole
    return mean, (root**2 / variance)[group]


def _factors(diagonal: Floats, link: Floats) -> tuple[Floats, Floats]:
    """Return pivots and ratios of a symmetric tridiagonal matrix, as many of the one as the other.

    LAPACK's wrapper asks for two rows at least: one more stands by itself.
    """
    pivot, ratio, _ = dpttrf(np.append(diagonal, 1.0), np.append(link, 0.0))
    return pivot[:-1], ratio


def _alike(known: Bools, memory: Floats, signal: Floats, noise: Floats) -> tuple[Rows, Rows]:
    """Return one process of each kind, and the kind of each process."""
    if noise.shape[1] > 1:
        every = np.arange(len(known))
        return every, every
    number = kinds(known)[1]
    for each in (memory, signal, noise[:, 0]):
        values, place = np.unique(each, return_inverse=True)
        number = number * len(values) + place
    _, first, group = np.unique(number, return_index=True, return_inverse=True)
    return first, group


def _seasons(years: Floats) -> Floats:
    """Return the functions of the season that the coupling is made of, (step, 1 or 3)."""
    one = np.ones(len(years))
    step = (years[-1] - years[0]) / max(len(years) - 1, 1)
    if years[-1] - years[0] < _SEASONAL_YEARS or step > 0.25:
        return one[:, None]
    angle = 2.0 * np.pi * (years - np.floor(years))
    return np.stack([one, np.cos(angle), np.sin(angle)], axis=1)


def _coupled(observed: Observed, variance: Floats, spread: bool) -> _Path:
    """Learn the coupling of the leading modes and smooth them with it."""
    k = len(variance)
    seen = observed.seen
    value, error_variance = observed.leading(k)
    season = _seasons(observed.years)
    later = np.flatnonzero(seen[1:] & seen[:-1]) + 1
    power = (value[later - 1] ** 2).sum(axis=0)
    product = (value[later - 1] * value[later]).sum(axis=0)
    own = np.clip(product / np.maximum(power, 1e-12), 0.0, 0.97)
    # Ridge of each regressor, _RIDGE on their geometric mean.
    tilt = variance**-_TILT
    ridge = np.tile(_RIDGE * tilt / np.exp(np.mean(np.log(tilt))), season.shape[1])

    before = season[later][:, :, None] * value[later - 1][:, None, :]
    before = before.reshape(len(later), season.shape[1] * k)  # also where no two steps are seen
    change = value[later] - own * value[later - 1]
    coupling = np.linalg.solve(before.T @ before + np.diag(ridge), before.T @ change)
    rest = change - before @ coupling
    noise = rest.T @ rest / max(len(later), 1) + 1e-6 * np.eye(k)
    error = np.full(k, _FIRST_NOISE)
    move = _moves(own, coupling, season)
    rounds = _ROUNDS_IN_PART if (seen & ~observed.whole).any() else _ROUNDS
    if len(value) * k > _LONG:
        rounds = 0
    sure = _sure(observed, error_variance, error)
    path = _smooth(value, sure, move, noise, spread or rounds > 0)
    for left in reversed(range(rounds)):
        coupling, noise = _relearn(path, own, season, ridge)
        if observed.whole.any():
            square = (value - path.mean) ** 2 + np.einsum("tii->ti", path.covariance)
            error = np.maximum(square[observed.whole].mean(axis=0), _LEAST_NOISE)
        move = _moves(own, coupling, season)
        sure = _sure(observed, error_variance, error)
        path = _smooth(value, sure, move, noise, spread or left > 0)
    return path


def _sure(observed: Observed, error_variance: Floats, error: Floats) -> Floats:
    """Return the inverse of the error's covariance at each step, 0 where nothing was seen."""
    part = observed.seen & ~observed.whole
    sure = np.zeros_like(error_variance)
    sure[observed.whole] = np.diag(1.0 / error)
    sure[part] = np.linalg.inv(error_variance[part] + np.diag(error))
    return sure


def _moves(own: Floats, coupling: Floats, season: Floats) -> Floats:
    """Return the matrix that carries each step's amplitudes on from the step before."""
    k = len(own)
    parts = coupling.reshape(season.shape[1], k, k)
    move = np.diag(own) + np.einsum("ts,sji->tij", season, parts)
    largest = float(np.abs(np.linalg.eigvals(move.mean(axis=0))).max())
    return np.asarray(move * min(1.0, _MOST_MEMORY / max(largest, 1e-12)))


def _relearn(path: _Path, own: Floats, season: Floats, ridge: Floats) -> tuple[Floats, Floats]:
    """Return coupling and noise that are likeliest, given a smoothed path and the ridge."""
    now, before = path.mean[1:], path.mean[:-1]
    spread, spread_before = path.covariance[1:], path.covariance[:-1]
    part = season[1:]
    steps, k = now.shape
    width = part.shape[1] * k
    regressor = (part[:, :, None] * before[:, None, :]).reshape(steps, width)
    both = part[:, :, None] * part[:, None, :]
    normal = regressor.T @ regressor
    normal += np.einsum("tab,tij->aibj", both, spread_before, optimize=True).reshape(width, width)
    change = now - own * before
    linked = path.link.transpose(0, 2, 1) - spread_before * own
    right = regressor.T @ change
    right += np.einsum("ta,tij->aij", part, linked, optimize=True).reshape(width, k)
    coupling: Floats = np.asarray(np.linalg.solve(normal + np.diag(ridge), right), float)

    # The mean square of what the coupling leaves, from sums alone.
    link = path.link.sum(axis=0) * own
    square = change.T @ change + spread.sum(axis=0) - link - link.T
    square += own[:, None] * spread_before.sum(axis=0) * own
    explained = coupling.T @ right
    square += coupling.T @ normal @ coupling - explained - explained.T
    noise = square / max(steps, 1)
    return coupling, 0.5 * (noise + noise.T) + 1e-6 * np.eye(k)


def _smooth(value: Floats, sure: Floats, move: Floats, noise: Floats, spread: bool = True) -> _Path:
    """Smooth a path; `sure` is the inverse of the error's covariance, 0 where nothing was seen.

    The precision of the path given the values links each step to the two beside it.
    """
    of_noise = np.linalg.inv(noise)
    links = -(of_noise @ move[1:])
    precise = sure.copy()
    precise[0] += np.linalg.inv(_stationary(move.mean(axis=0), noise))
    precise[1:] += of_noise
    precise[:-1] -= move[1:].transpose(0, 2, 1) @ links
    return _solve(precise, links, sure @ value[:, :, None], spread)


def _solve(precise: Floats, links: Floats, right: Floats, spread: bool) -> _Path:
    """Return the path of which each step is linked to the two beside it.

    Every other step is eliminated, all at once, until one is left; then these are solved for in the
    opposite order (cyclic reduction). That takes twice the operations of going from step to step,
    but a twentieth of the calls, each of which takes as long as many operations.

    Parameters
    ----------
    precise, links : ndarray, (step, mode, mode) and (step - 1, mode, mode)
        Precision of each step, and of each but the first with the one before.
    right : ndarray, (step, mode, 1)
    spread : bool
        Whether the covariances are wanted, half of the work.
    """
    if len(precise) == 1:
        covariance: Floats = np.asarray(np.linalg.inv(precise), float)
        return _Path((covariance @ right)[:, :, 0], covariance, links)
    # What is eliminated has one step before it, and all but perhaps the last have one after.
    count, both = len(precise) // 2, len(links) // 2
    forth, back = links[1::2], links[::2].transpose(0, 2, 1)
    inverse = np.linalg.inv(precise[1::2])
    before, after = inverse @ links[::2], inverse[:both] @ forth.transpose(0, 2, 1)
    own = inverse @ right[1::2]
    left, rest = precise[::2].copy(), right[::2].copy()
    left[:count] -= back @ before
    left[1:] -= forth @ after
    rest[:count] -= back @ own
    rest[1:] -= forth @ own[:both]
    kept = _solve(left, -(forth @ before[:both]), rest, spread)

    mean = np.empty(right.shape[:2])
    mean[::2] = kept.mean
    own -= before @ kept.mean[:count, :, None]
    own[:both] -= after @ kept.mean[1:, :, None]
    mean[1::2] = own[:, :, 0]
    if not spread:
        return _Path(mean, precise[:0], links[:0])
    covariance, link = np.empty_like(precise), np.empty_like(links)
    covariance[::2] = kept.covariance
    to_before = before @ kept.covariance[:count]
    to_before[:both] += after @ kept.link
    to_after = before[:both] @ kept.link.transpose(0, 2, 1) + after @ kept.covariance[1:]
    inverse += to_before @ before.transpose(0, 2, 1)
    inverse[:both] += to_after @ after.transpose(0, 2, 1)
    covariance[1::2] = inverse
    link[::2] = -to_before
    link[1::2] = -to_after.transpose(0, 2, 1)
    return _Path(mean, covariance, link)


def _stationary(move: Floats, noise: Floats) -> Floats:
    """Return the covariance that `move` and `noise` keep up, by doubling."""
    covariance, power = noise.copy(), move.copy()
    for _ in range(12):
        covariance = covariance + power @ covariance @ power.T
        power = power @ power
    return covariance
