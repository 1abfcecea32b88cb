"""Products of one matrix with each series of a block, the same bits whatever its neighbours."""

from __future__ import annotations

import numpy as np

from xgeoml.models.series import Bools, Floats, Rows

# Matrices that are held in memory together.
_AT_ONCE = 64


def times_each(matrix: Floats, series: Floats) -> Floats:
    """Return the product of a matrix, (row, column), with each series, ``(series, row)``.

    One product a series: those of a whole block, which a library cuts as it likes, would depend in
    their last digits on how many there are.

    Parameters
    ----------
    matrix : ndarray, (row, column)
    series : ndarray, (series, column)
    """
    # Along its longer axis in memory, the product takes a quarter less.
    tall = matrix.shape[0] > matrix.shape[1]
    matrix = np.asfortranarray(matrix) if tall else np.ascontiguousarray(matrix)
    made: Floats = (matrix @ series[:, :, None])[:, :, 0]
    return made


def kinds(known: Bools) -> tuple[Floats, Rows]:
    """Return the ways in which series are missing: most share theirs.

    Returns
    -------
    seen : ndarray, (kind, time)
        1 or 0.
    kind : ndarray of int, (series,)
    """
    if not len(known) or (known == known[:1]).all():
        return known[:1].astype(np.float64), np.zeros(len(known), dtype=np.int64)
    packed, kind = np.unique(np.packbits(known, axis=1), axis=0, return_inverse=True)
    seen = np.unpackbits(packed, axis=1, count=known.shape[1])
    return seen.astype(np.float64), kind.ravel()


def of_each_kind(matrices: Floats, series: Floats, kind: Rows) -> Floats:
    """Return the product of each series with the matrix of its kind, ``(series, row)``.

    Parameters
    ----------
    matrices : ndarray, (kind, row, column)
    series : ndarray, (series, column)
    kind : ndarray of int, (series,)
    """
    if len(matrices) == 1:
        return times_each(matrices[0], series)
    made = np.empty((len(series), matrices.shape[1]))
    for start in range(0, len(series), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        made[part] = (matrices[kind[part]] @ series[part, :, None])[:, :, 0]
    return made
