"""Estimates of the cells of small tiles from the values that are most like them."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from xgeoml.models._covariance import table
from xgeoml.models.background import background
from xgeoml.models.series import Bools, Floats, Series

Places = NDArray[np.int64]
_Kind = TypeVar("_Kind", bound=np.generic)

# Cells of a tile along y and along x, whose values are estimated from the same neighbours, and how
# far these may be: cells beyond the tile, steps.
TILE, HALO, STEPS = 4, 8, 12
# Neighbours that are looked at, the most alike first, and those with a value that are taken.
_LOOKED_AT, _TAKEN = 1000, 100
# Steps that are solved for together, which bounds the memory.
_AT_ONCE = 48
# Exchanges between the effects of steps and of cells.
_ROUNDS = 6
# A cell's own variance counts as much as the field's after so many values.
_FEW_VALUES = 3.0

_WIDTH = TILE + 2 * HALO


class Neighbourhood(NamedTuple):
    """Where a tile's values are looked for, and how alike they are.

    Attributes
    ----------
    steps, place : ndarray, (neighbour,)
        Steps from the tile's own, and cell of the tile with its surroundings, row by row.
    offset : ndarray, (neighbour,)
        The covariance of neighbours i and j is ``covariance[offset[i] - offset[j] + middle]``.
    covariance : ndarray
    middle : int
    own : ndarray, (neighbour, target)
        The covariance with each cell of the tile.
    noise : float
    """

    steps: Places
    place: Places
    offset: Places
    covariance: Floats
    middle: int
    own: Floats
    noise: float


class Guess(NamedTuple):
    """What the neighbours say, in units of each cell's standard deviation, (step, target) each.

    Attributes
    ----------
    mean : ndarray
    variance : ndarray
        Of the error, 0 ... 1.
    at_once : ndarray
        The part of what is explained, 0 ... 1, that neighbours at the same step explain.
    """

    mean: Floats
    variance: Floats
    at_once: Floats


def neighbourhood(shares: Floats, noise: float) -> Neighbourhood:
    """Return the neighbours of a tile, the most alike first.

    Parameters
    ----------
    shares : ndarray, (process + 1,)
        The covariance, as `fit` returned it.
    noise : float
        Least share of the variance that no neighbour explains, above 0.
    """
    far_steps, far_cells = 2 * STEPS, _WIDTH - 1
    covariance = table(shares, far_steps, far_cells)
    side = 2 * far_cells + 1
    lags = np.arange(-STEPS, STEPS + 1)
    steps, y, x = (
        axis.ravel()
        for axis in np.meshgrid(lags, np.arange(_WIDTH), np.arange(_WIDTH), indexing="ij")
    )
    inside = np.arange(HALO, HALO + TILE)
    target_y, target_x = (axis.ravel() for axis in np.meshgrid(inside, inside, indexing="ij"))
    index = (steps * side + y) * side + x
    middle = (far_steps * side + far_cells) * side + far_cells
    flat = covariance.ravel()
    own = flat[index[:, None] - (target_y * side + target_x) + middle]
    first = np.argsort(-own.max(axis=1), kind="stable")[:_LOOKED_AT]
    place = (y * _WIDTH + x)[first]
    noise = max(float(shares[-1]), noise)
    return Neighbourhood(steps[first], place, index[first], flat, middle, own[first], noise)


class Record(NamedTuple):
    """A piece of a record, its surroundings included.

    Attributes
    ----------
    value : ndarray, (step + 1, y, x)
        0 where not known. The last step is one more, of which nothing is known.
    known : ndarray of bool, (step + 1, y, x)
    around : ndarray, (step, 2 STEPS + 1)
        The steps from `STEPS` before to `STEPS` after each step, -1 where there is none.
    years : ndarray, (step,)
    """

    value: Floats
    known: Bools
    around: Places
    years: Floats


def surround(value: Floats, known: Bools, years: Floats, halo: tuple[int, int]) -> Record:
    """Return the record with surroundings of `HALO` cells, at its end also a tile more.

    Parameters
    ----------
    value, known : ndarray, (step + 1, y, x)
        As in `Record`.
    years : ndarray, (step,)
    halo : tuple of int
        Cells along y and x that surround the piece already, at most `HALO`.
    """
    width = [(0, 0), *((HALO - had, HALO - had + TILE) for had in halo)]
    position = positions(years)
    wanted = position[:, None] + np.arange(-STEPS, STEPS + 1)
    around = np.searchsorted(position, wanted)
    around[position[np.minimum(around, len(position) - 1)] != wanted] = -1
    return Record(np.pad(value, width), np.pad(known, width), around, years)


def positions(years: Floats) -> Places:
    """Return the place of each step among evenly spaced ones, strictly increasing, (step,)."""
    if len(years) < 2:
        return np.zeros(len(years), dtype=np.int64)
    apart = np.rint(np.diff(years) / np.median(np.diff(years))).astype(np.int64)
    # Steps further apart have no say in each other.
    return np.concatenate([[0], np.cumsum(np.clip(apart, 1, STEPS + 1))])


class Window(NamedTuple):
    """The values in a tile and around it, in units of each cell's standard deviation.

    Attributes
    ----------
    value : ndarray, (step + 1, cell)
        Anomalies, 0 where not known.
    known : ndarray of bool, (step + 1, cell)
    level : ndarray, (step,)
        Trend and cycles of the window as a whole.
    centre : ndarray, (cell,)
        Of the values of a cell around the level, NaN where none is known.
    deviation : ndarray, (cell,)
    """

    value: Floats
    known: Bools
    level: Floats
    centre: Floats
    deviation: Floats


def window(record: Record, corner: tuple[int, int], variance: float) -> Window:
    """Return a tile with its surroundings.

    Parameters
    ----------
    record : Record
    corner : tuple of int
        The first cell of the surroundings, along y and x, in `record`.
    variance : float
        Of the anomalies of the field, to which that of a cell of few values is drawn.
    """
    y, x = corner
    where = slice(None), slice(y, y + _WIDTH), slice(x, x + _WIDTH)
    flat = len(record.value), _WIDTH * _WIDTH
    return level(
        record.value[where].reshape(flat), record.known[where].reshape(flat), record.years, variance
    )


def level(value: Floats, known: Bools, years: Floats, variance: float | None) -> Window:
    """Take the common trend and cycles, and each cell's mean around them, out of some series.

    Parameters
    ----------
    value, known : ndarray, (step + 1, cell)
        As in `Record`.
    years : ndarray, (step,)
    variance : float, optional
        As in `window`; without it the anomalies stay in their own units.

    Notes
    -----
    Steps and cells have effects that add, each fitted with the other taken out: what clouds hide
    of a cell does not shift its mean. Trend and cycles are those of the effects of the steps. A
    few values of a single cell would tell them much less well.
    """
    there = known.astype(np.float64)
    of_cell, of_step = there.sum(axis=0), there.sum(axis=1)
    sum_cell, sum_step = value.sum(axis=0), value.sum(axis=1)
    some, seen = np.maximum(of_cell, 1.0), np.maximum(of_step, 1.0)
    centre, effect = sum_cell / some, np.zeros(len(value))
    for _ in range(_ROUNDS):
        effect = (sum_step - there @ centre) / seen
        centre = (sum_cell - there.T @ effect) / some
    effects = np.where(of_step > 0.0, effect, np.nan)[None, :-1]
    trusted = np.ones(len(years), dtype=bool)
    none = np.zeros((0, 1, len(years)))
    common = background(Series(effects, years, trusted, none, np.ones(1)))[0]
    common = np.where(np.isfinite(common), common, 0.0)
    rest = value - centre
    rest[:-1] -= common[:, None]
    rest *= there
    deviation = np.ones(len(centre))
    if variance is not None:
        power = np.einsum("ts,ts->s", rest, rest) + _FEW_VALUES * variance
        deviation = np.sqrt(power / (of_cell + _FEW_VALUES))
        rest /= np.where(deviation > 0.0, deviation, 1.0)
    return Window(rest, known, common, np.where(of_cell > 0.0, centre, np.nan), deviation)


def guess(here: Window, around: Places, near: Neighbourhood) -> Guess:
    """Return what the neighbours say of the cells of a tile at some steps.

    Parameters
    ----------
    here : Window
    around : ndarray, (step, 2 STEPS + 1)
        The rows of ``Record.around`` of the steps wanted.
    near : Neighbourhood
    """
    found = Guess(*(np.empty((len(around), TILE * TILE)) for _ in Guess._fields))
    for start in range(0, len(around), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        for whole, piece in zip(
            found, _solve(here.value, here.known, around[part], near), strict=True
        ):
            whole[part] = piece
    return found


def inner(cells: NDArray[_Kind]) -> NDArray[_Kind]:
    """Return the cells of the tile itself, (..., TILE, TILE), of those of a window."""
    square = cells.reshape(*cells.shape[:-1], _WIDTH, _WIDTH)
    return square[..., HALO : HALO + TILE, HALO : HALO + TILE]


def _solve(value: Floats, known: Bools, around: Places, near: Neighbourhood) -> Guess:
    """Return the guess at the steps in the middle of `around`; the last step is the unknown one."""
    step = around[:, near.steps + STEPS]
    there = known[step, near.place]
    rank = np.cumsum(there, axis=1)
    row, column = np.nonzero(there & (rank <= _TAKEN))
    count = min(_TAKEN, max(int(rank[:, -1].max()), 1))
    taken = np.zeros((len(around), count), dtype=np.int64)
    real = np.zeros(taken.shape, dtype=bool)
    at = row, rank[row, column] - 1
    taken[at], real[at] = column, True

    index = near.offset[taken]
    matrix = near.covariance.take(index[:, :, None] - (index - near.middle)[:, None, :])
    if not real.all():
        # A neighbour that is not there is a process of its own.
        matrix *= real[:, :, None] & real[:, None, :]
    diagonal = np.arange(count)
    matrix[:, diagonal, diagonal] = near.covariance[near.middle] + near.noise
    own = near.own[taken] * real[:, :, None]
    weight = np.linalg.solve(matrix, own)
    rows = np.arange(len(around))[:, None]
    values = np.where(real, value[step[rows, taken], near.place[taken]], 0.0)
    mean = np.einsum("nks,nk->ns", weight, values)
    weight *= own
    explained = weight.sum(axis=1)
    same = (near.steps[taken] == 0).astype(np.float64)
    at_once = np.einsum("nks,nk->ns", weight, same)
    variance = np.clip(1.0 - explained, near.noise, 1.0)
    at_once /= np.maximum(explained, 1e-12)
    return Guess(mean, variance, np.clip(at_once, 0.0, 1.0))
