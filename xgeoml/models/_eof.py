"""Empirical orthogonal functions of a field with missing cells, and projections on them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xgeoml.models.series import Bools, Floats

# Rounds of filling missing cells from the modes and finding the modes again; cells missing under
# clouds settle in a few, and whole missing steps need none.
_ROUNDS = 6


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
    field = np.where(known, anomaly, 0.0) * root
    partly = not bool(known.all())
    rounds = _ROUNDS if partly else 1
    for k in range(rounds):
        count = max(1, most * (k + 1) // rounds)
        left, values, right, every = _svd(field, count)
        if partly and k < rounds - 1:
            small, large = sorted(field.shape)
            noise = every[len(values) :].sum() / max(small - len(values), 1)
            # The largest value that noise alone would have (Marchenko and Pastur 1967).
            noise *= (1.0 + np.sqrt(small / large)) ** 2
            held = np.maximum(values - noise / values, 0.0)
            field = np.where(known, field, (left * held) @ right.T)
    steps = field.shape[1]
    patterns = np.divide(left, root, out=np.zeros_like(left), where=root > 0.0)
    power = every / steps
    variance = values**2 / steps
    left_over = power[len(variance) :]
    square = float((left_over**2).sum())
    freedom = float(left_over.sum()) ** 2 / square if square > 0.0 else 1.0
    return Modes(patterns, right * values, variance, float(left_over.sum()), freedom)


def _svd(field: Floats, count: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Return leading left vectors, values and right vectors, and the squares of all values.

    Through the smaller Gram matrix, which is exact enough: modes at its rounding error are dropped.
    """
    tall = field.shape[0] > field.shape[1]
    gram = field.T @ field if tall else field @ field.T
    every, vectors = np.linalg.eigh(gram)
    every, vectors = np.maximum(every[::-1], 0.0), vectors[:, ::-1]
    floor = max(float(every[0]) * 1e-10, np.finfo(np.float64).tiny)
    count = min(count, int((every > floor).sum()))
    values, vectors = np.sqrt(every[:count]), vectors[:, :count]
    if tall:
        return (field @ vectors) / values, values, vectors, every
    return vectors, values, (field.T @ vectors) / values, every
