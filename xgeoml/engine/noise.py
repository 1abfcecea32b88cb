"""Random numbers that belong to a place, so that neither chunks nor tiles change them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Side of the squares that are drawn at once, in fine cells.
_SIDE = 64
# Squares before the first cell, which a halo may reach into, get numbers of their own.
_OFFSET = 2**20


@dataclass(frozen=True)
class Spot:
    """A rectangle of a fine grid at one step.

    Parameters
    ----------
    step : int
        Of the whole array, over all pointwise axes.
    rows, columns : tuple of int
        Where the rectangle starts and stops, in cells of the whole fine grid; may begin before it.
    around : int
        Columns after which the grid closes on itself; 0 if it does not.
    """

    step: int
    rows: tuple[int, int]
    columns: tuple[int, int]
    around: int = 0


def noise_at(spot: Spot, seed: int, member: int, draw: int) -> NDArray[np.float32]:
    """Return standard normal numbers, (rows, columns), always the same at the same place."""
    shape = (spot.rows[1] - spot.rows[0], spot.columns[1] - spot.columns[0])
    rows = np.arange(*spot.rows) + _OFFSET * _SIDE
    columns = np.arange(*spot.columns)
    columns = columns % spot.around if spot.around else columns + _OFFSET * _SIDE
    made = np.empty(shape, np.float32)
    for r, c in itertools.product(np.unique(rows // _SIDE), np.unique(columns // _SIDE)):
        square = np.random.default_rng([seed, member, draw, spot.step, int(r), int(c)])
        numbers = square.standard_normal((_SIDE, _SIDE), np.float32)
        here, there = rows // _SIDE == r, columns // _SIDE == c
        made[np.ix_(here, there)] = numbers[np.ix_(rows[here] % _SIDE, columns[there] % _SIDE)]
    return made
