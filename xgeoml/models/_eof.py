"""Empirical orthogonal functions of a field with missing cells, and projections on them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh

from xgeoml.models.series import Bools, Floats

# Rounds of filling missing cells from the modes and finding the modes again: under clouds, where
# a few cells are missing here and there, and where none is.
_ROUNDS, _ROUNDS_FEW, _FEW = 6, 2, 0.02


class Modes(NamedTuple):
    """The leading modes of a field.

    Attributes
    ----------
    patterns : ndarray, (series, mode)
        Orthonormal under the weights: sum over series of weight * pattern_j * pattern_k = (j == k).
    amplitudes : ndarray, (step, mode)
        Of each observed step.
    variance : ndarray, (mode,)
        Mean square of the amplitudes.
    rest : float
        Variance that the modes leave, sum over series of weight * residual^2.
    freedom : float
        Number of independent patterns that share `rest` (Bretherton et al. 1999, eq. 5).
    """

    patterns: Floats
    amplitudes: Floats
    variance: Floats
    rest: float
    freedom: float


def leading_modes(anomaly: Floats, known: Bools, weight: Floats, most: int) -> Modes:
    """Return the leading modes of the observed steps.

    Parameters
    ----------
    anomaly : ndarray, (series, step)
        Any finite value where not `known`.
    known : ndarray of bool, (series, step)
    weight : ndarray, (series,)
        Summing to one.
    most : int
        Largest number of modes.

    Returns
    -------
    Modes

    Notes
    -----
    Cells missing at a step are filled from the modes found so far (Beckers and Rixen 2003), their
    number growing to `most`, each held back by its share of noise so that the filled cells do not
    feed on themselves (Josse and Husson 2012, J. Soc. Fr. Stat. 153, 79-99).
    """
    root = np.sqrt(weight)[:, None]
    field = np.where(known, anomaly, 0.0)
    field *= root
    missing = 0.0 if known.all() else 1.0 - float(known[weight > 0.0].mean())
    rounds = (_ROUNDS if missing > _FEW else _ROUNDS_FEW) if missing > 0.0 else 1
    small, large = sorted(field.shape)
    for k in range(rounds):
        left, values, right, rest, square = _svd(field, max(1, most * (k + 1) // rounds))
        if k < rounds - 1:
            # The largest value that noise alone would have (Marchenko and Pastur 1967).
            noise = rest / max(small - len(values), 1) * (1.0 + np.sqrt(small / large)) ** 2
            held = np.maximum(values - noise / values, 0.0)
            field = np.where(known, field, (left * held) @ right.T)
    steps = field.shape[1]
    patterns = np.divide(left, root, out=np.zeros_like(left), where=root > 0.0)
    freedom = max(rest**2 / square, 1.0) if square > 0.0 else 1.0
    return Modes(patterns, right * values, values**2 / steps, rest / steps, freedom)


def _svd(field: Floats, count: int) -> tuple[Floats, Floats, Floats, float, float]:
    """Return leading left vectors, values and right vectors, and what is left of the values.

    That is the sum and the sum of squares of the other values' squares. Through the smaller Gram
    matrix, which is exact enough: modes at its rounding error are dropped.
    """
    tall = field.shape[0] > field.shape[1]
    gram = field.T @ field if tall else field @ field.T
    size = len(gram)
    count = min(count, size)
    # In single precision, half the time, and then made exact by one step of iteration.
    unit = float(np.trace(gram)) or 1.0
    some = (size - count, size - 1)
    start = eigh((gram / unit).astype(np.float32), subset_by_index=some, driver="evx")[1]
    start = np.linalg.qr(gram @ start)[0]
    power, vectors = np.linalg.eigh(start.T @ gram @ start)
    power, vectors = power[::-1], start @ vectors[:, ::-1]
    real = power > max(float(power[0]) * 1e-10, np.finfo(np.float64).tiny)
    power, vectors = power[real], vectors[:, real]
    rest = max(float(np.trace(gram)) - float(power.sum()), 0.0)
    square = max(float((gram**2).sum()) - float((power**2).sum()), 0.0)
    values = np.sqrt(power)
    if tall:
        return (field @ vectors) / values, values, vectors, rest, square
    return vectors, values, (field.T @ vectors) / values, rest, square
