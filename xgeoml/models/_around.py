"""Cells of coarse fields and their neighbours."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as fn

# Rows and columns of the neighbours: all within 3.2 cells.
REACH = 3
_RADIUS = 3.2
OFFSETS = tuple(
    (y, x)
    for y in range(-REACH, REACH + 1)
    for x in range(-REACH, REACH + 1)
    if 0 < y * y + x * x <= _RADIUS**2
)


class Cells(NamedTuple):
    """Coarse cells and their neighbours.

    Attributes
    ----------
    differences : Tensor, (cell, neighbour)
        Of the neighbours from the cell; 0 where the neighbour is missing.
    valid : Tensor, (cell, neighbour)
        1 where the neighbour has a value, else 0.
    """

    differences: Tensor
    valid: Tensor


def neighbours(value: Tensor, valid: Tensor) -> Cells:
    """Return every cell of fields, (batch, y, x), with its neighbours; none beyond the edges."""
    value, valid = (fn.pad(field, [REACH] * 4) for field in (value * valid, valid))
    known = _shifted(valid)
    centre = value[:, REACH:-REACH, REACH:-REACH, None]
    differences = (_shifted(value) - centre) * known
    n = len(OFFSETS)
    return Cells(differences.reshape(-1, n), known.reshape(-1, n))


def _shifted(padded: Tensor) -> Tensor:
    rows, columns = (n - 2 * REACH for n in padded.shape[1:])
    return torch.stack(
        [
            padded[:, REACH + y : REACH + y + rows, REACH + x : REACH + x + columns]
            for y, x in OFFSETS
        ],
        dim=-1,
    )
