"""The validation part of a record: blocks of time, and of space where there is enough of it."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from xgeoml.models.series import Bools

# Blocks of time. Fewer would make the loss a matter of one event.
_BLOCKS = 3
# Fewer cells are all learnt from: they say much the same as each other.
_FEWEST_CELLS = 400
# The domain is cut into so many parts along each axis of space.
_PARTS = 4


def validation_blocks(observed: Bools, share: float, rng: Generator) -> list[Bools]:
    """Return blocks of steps for validation, one from each part of the record.

    Parameters
    ----------
    observed : ndarray of bool, (time,)
        Steps that have data.
    share : float
        Share of the observed steps that the blocks hold together.
    rng : Generator

    Returns
    -------
    list of ndarray of bool, (time,)
        Each a run of neighbouring steps, of which those observed are meant. Empty where a block
        would have no step.
    """
    steps = np.flatnonzero(observed)
    n_blocks = min(_BLOCKS, int(share * len(steps)))
    blocks = []
    for part in np.array_split(steps, n_blocks) if n_blocks else []:
        length = max(1, round(share * len(part)))
        start = int(rng.integers(len(part) - length + 1))
        block = np.zeros(len(observed), dtype=bool)
        block[part[start] : part[start + length - 1] + 1] = True
        blocks.append(block)
    return blocks


def validation_cells(known: Bools, share: float, rng: Generator) -> Bools:
    """Return the cells of some blocks of a grid, none where the grid is small.

    Parameters
    ----------
    known : ndarray of bool, (*space)
        Cells that hold data. Blocks without any are no part of either.
    share : float
        Share of the blocks.
    rng : Generator

    Returns
    -------
    ndarray of bool, (*space)
    """
    index = np.zeros(known.shape, dtype=np.int64)
    for i, size in enumerate(known.shape):
        parts = min(_PARTS, size)
        part = np.arange(size) * parts // size
        index = index * parts + part.reshape([-1 if k == i else 1 for k in range(known.ndim)])
    blocks = np.unique(index[known])
    if known.size < _FEWEST_CELLS or share == 0 or len(blocks) < 2:
        return np.zeros_like(known)
    chosen = rng.choice(blocks, max(1, round(share * len(blocks))), replace=False)
    return np.isin(index, chosen)
