"""How alike two values of a gridded record are, by the steps and cells between them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.fft import irfftn, next_fast_len, rfftn
from scipy.optimize import nnls

from xgeoml.models.series import Bools, Floats

# Lags that the covariance is read from, in steps and cells: the near ones decide on the weights of
# neighbours, and from the far ones a record tells little.
_STEPS, _CELLS = 8, 5
# The processes that it is made of: lengths in cells, how much longer along x than along y, and
# memories in steps, either rough (0) or smooth (1) in time.
_LENGTHS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_STRETCHES = (0.5, 1.0, 2.0, 4.0)
_MEMORIES = (1.0, 2.0, 4.0, 8.0, 16.0, 64.0)
# What a record of few values is taken for: lengths in cells and steps, with the weight of so many
# pairs of values.
_USUAL_LENGTH, _USUAL_PAIRS = 3.0, 30.0
# Correlations count the more, the closer they are to one, but not without end.
_CLOSE = 0.02
# Weight of the variance, which is to be met, among weights of one and less.
_MET = 1e3

_PROCESSES = np.array(list(product(_LENGTHS, _STRETCHES, _MEMORIES, (0.0, 1.0))))


class Pairs(NamedTuple):
    """Sums over all pairs of values a lag apart, each (step, y, x), the lag 0 in the middle.

    Attributes
    ----------
    product, power : ndarray
        Of the two values, and of the squares of the first.
    number : ndarray
    """

    product: Floats
    power: Floats
    number: Floats


def pairs(pieces: Iterable[tuple[Floats, Bools]]) -> Pairs:
    """Return the sums over pieces of a record.

    Parameters
    ----------
    pieces : iterable of (value, known), each (step, y, x)
        Evenly spaced; `value` is 0 where not known.

    Returns
    -------
    Pairs
    """
    reach = (_STEPS, _CELLS, _CELLS)
    sums = np.zeros((3, *(2 * far + 1 for far in reach)))
    around = np.ix_(*(np.arange(-far, far + 1) for far in reach))
    for value, known in pieces:
        shape = tuple(next_fast_len(n + far) for n, far in zip(value.shape, reach, strict=True))
        waves, there = rfftn(value, shape), rfftn(known.astype(np.float64), shape)
        sums[0] += irfftn(np.abs(waves) ** 2, shape)[around]
        sums[1] += irfftn(np.conj(there) * rfftn(value**2, shape), shape)[around]
        sums[2] += irfftn(np.abs(there) ** 2, shape)[around]
    return Pairs(sums[0], sums[1], np.rint(sums[2]))


def fit(found: Pairs) -> Floats:
    """Return the share of each process in the variance, and that of noise last, (process + 1,).

    Parameters
    ----------
    found : Pairs

    Returns
    -------
    ndarray, (process + 1,)
        Not negative, summing to one; most are 0.

    Notes
    -----
    Least squares without negative shares (Lawson and Hanson 1974), so that the sum is a covariance
    whatever the record. Misfits count by the number of pairs and, as in Cressie (1985, Math.
    Geol. 17, 563-586), by the square of what the correlation lacks to one.
    """
    steps, y, x = _lags(_STEPS, _CELLS)
    middle = (_STEPS, _CELLS, _CELLS)
    usual = np.exp(-np.hypot(y, x) / _USUAL_LENGTH) * np.exp(-np.abs(steps) / _USUAL_LENGTH)
    each = found.power[middle] / max(float(found.number[middle]), 1.0)
    power = np.sqrt(np.maximum(found.power * found.power[::-1, ::-1, ::-1], 0.0))
    total = power + _USUAL_PAIRS * each
    correlation = usual.copy()
    there = total > 0.0
    correlation[there] = (found.product + _USUAL_PAIRS * each * usual)[there] / total[there]
    correlation[middle] = 1.0
    weight = np.sqrt(found.number + _USUAL_PAIRS) / (np.maximum(1.0 - correlation, 0.0) + _CLOSE)
    weight /= weight.max()
    weight[middle] = _MET
    # The other half of the lags is the same pairs the other way round.
    half = slice(correlation.size // 2, None)
    target, weight = correlation.ravel()[half], weight.ravel()[half]
    shapes = np.stack([_process(one, steps, y, x).ravel()[half] for one in _PROCESSES], axis=1)
    noise = np.zeros((len(target), 1))
    noise[0] = 1.0
    shares = _not_negative(np.hstack([shapes, noise]) * weight[:, None], target * weight)
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def table(shares: Floats, steps: int, cells: int) -> Floats:
    """Return the covariance, without the noise, at all lags.

    Parameters
    ----------
    shares : ndarray, (process + 1,)
        What `fit` returned.
    steps, cells : int
        The largest lags.

    Returns
    -------
    ndarray, (2 steps + 1, 2 cells + 1, 2 cells + 1)
    """
    lags = _lags(steps, cells)
    found = np.zeros((2 * steps + 1, 2 * cells + 1, 2 * cells + 1))
    for share, one in zip(shares[:-1], _PROCESSES, strict=True):
        if share > 0.0:
            found += share * _process(one, *lags)
    return found


def _lags(steps: int, cells: int) -> tuple[Floats, Floats, Floats]:
    """Return the lags in steps, y and x, which broadcast against each other."""
    time, space = np.arange(-steps, steps + 1.0), np.arange(-cells, cells + 1.0)
    return time[:, None, None], space[:, None], space


def _process(one: Floats, steps: Floats, y: Floats, x: Floats) -> Floats:
    """Return the correlation of a process: Matérn's with 5/2 in space, 1/2 or 3/2 in time."""
    length, stretch, memory, smooth = one
    away = np.sqrt(5.0) / length * np.hypot(y * np.sqrt(stretch), x / np.sqrt(stretch))
    in_space = (1.0 + away + away**2 / 3.0) * np.exp(-away)
    past = np.abs(steps) / memory * (np.sqrt(3.0) if smooth else 1.0)
    return np.asarray((1.0 + smooth * past) * np.exp(-past) * in_space, dtype=np.float64)


def _not_negative(matrix: Floats, right: Floats) -> Floats:
    """Return the least squares solution without negative numbers.

    From the equations themselves: a decomposition of the normal equations by threads differs in its
    last digits from that by one.
    """
    count = matrix.shape[1]
    # Many processes are nearly alike: what is added is far below what a record tells.
    ridge = 1e-5 * np.sqrt(np.einsum("ij,ij->", matrix, matrix) / count)
    whole = np.vstack([matrix, ridge * np.eye(count)])
    found, _ = nnls(whole, np.concatenate([right, np.zeros(count)]), maxiter=50 * count)
    return np.asarray(found, dtype=np.float64)
