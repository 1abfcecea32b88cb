"""Hiding days of gridded records as clouds do: in shapes, for days on end, tied to the field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from xgeoml.models.series import Bools, Floats
from xgeoml.train.windows import anywhere

# Smallest and largest scale of a shape, in cells and in days.
_CELLS, _DAYS = (0.8, 12.0), (0.3, 8.0)
_LEAST, _MOST = 0.2, 0.95
# Below this smoothing in time each day is by itself.
_BY_ITSELF = 0.5
# What a cloud is tied to is the departure from the mean over so many days.
_WHILE = 20.0


def hide_clouds(value: Floats, exists: Bools, rng: Generator, borrowed: Bools | None) -> Bools:
    """Return what to hide of daily fields, some of it everywhere.

    Parameters
    ----------
    value : ndarray, (day, *space)
        NaN where missing.
    exists : ndarray of bool, (day,)
        Days that the calendar has; the others are left out.
    rng : Generator
    borrowed : ndarray of bool, (day, *space), optional
        Clouds of other days or places.

    Returns
    -------
    ndarray of bool, (day, *space)
    """
    # Networks may see fewer axes of space, or none.
    cube = (int(exists.sum()), *(1,) * (3 - value.ndim), *value.shape[1:])
    clouds = None if borrowed is None else borrowed[exists].reshape(cube)
    made = _drawn(value[exists].reshape(cube), rng, clouds)
    hidden = np.zeros(value.shape, bool)
    hidden[exists] = made.reshape(-1, *value.shape[1:])
    return hidden


def _drawn(value: Floats, rng: Generator, borrowed: Bools | None) -> Bools:
    kind = rng.integers(5)
    if borrowed is not None and rng.random() < 0.5:
        return borrowed if kind else borrowed | whole_days(len(value), rng)[:, None, None]
    if kind == 0:
        return shapes(value.shape, rng, 0.0, rng.uniform(_LEAST, _MOST))
    if kind == 1:
        return shapes(
            value.shape, rng, _log_uniform(1.0, _DAYS[1], rng), rng.uniform(_LEAST, _MOST)
        )
    days = whole_days(len(value), rng)[:, None, None]
    if kind == 2:
        return days | shapes(value.shape, rng, 0.0, rng.uniform(0.05, 0.6))
    if kind == 3:
        return tied(value, rng, rng.uniform(0.3, 0.9))
    longer = _log_uniform(*_DAYS, rng)
    few = shapes(value.shape, rng, longer, rng.uniform(0.05, 0.5))
    return few | days | tied(value, rng, rng.uniform(0.1, 0.4))


def shapes(
    shape: tuple[int, ...], rng: Generator, days: float, share: float, tie: Floats | float = 0.0
) -> Bools:
    """Return connected shapes, more of them on some days than on others.

    Parameters
    ----------
    shape : (int, int, int)
        Days, rows, columns.
    rng : Generator
    days : float
        Over which shapes last.
    share : float
        Of all cells and days.
    tie : ndarray, (day, y, x), optional
        Where it is large, clouds are more likely.
    """
    cells = _log_uniform(*_CELLS, rng)
    # Beyond the edge, or shapes would avoid it.
    beyond = int(2 * cells) + 1
    noise = rng.standard_normal(
        (shape[0], shape[1] + 2 * beyond, shape[2] + 2 * beyond), np.float32
    )
    field: Floats = gaussian_filter(noise, (days if days > _BY_ITSELF else 0.0, cells, cells))
    field = field[:, beyond:-beyond, beyond:-beyond]
    cover = gaussian_filter1d(rng.standard_normal(shape[0]), max(days, _BY_ITSELF))
    field = field / max(float(field.std()), 1e-6) + rng.uniform(0.0, 1.2) * cover[:, None, None]
    likely = field + tie
    hidden: Bools = likely > np.quantile(likely, 1.0 - share)
    return hidden


def tied(value: Floats, rng: Generator, share: float) -> Bools:
    """Return shapes that go with warm, or with cold, departures of the field."""
    known = np.isfinite(value)
    mean = value[known].mean() if known.any() else 0.0
    filled = np.where(known, value, mean)
    departure = filled - gaussian_filter1d(filled, _WHILE, axis=0)
    if rng.random() < 0.5:
        departure = gaussian_filter(departure, (1.0, 2.0, 2.0))
    size = departure.std()
    strength = rng.uniform(0.3, 1.2) * rng.choice([-1.0, 1.0])
    tie = strength * departure / (size if size > 0 else 1.0)
    return shapes(value.shape, rng, float(rng.choice([0.0, 1.0, 2.0])), share, tie)


def pasted(
    pieces: Sequence[Bools], shape: tuple[int, ...], rng: Generator, *, follow: bool
) -> Bools:
    """Return clouds that were seen, turned round.

    Parameters
    ----------
    pieces : sequence of ndarray of bool, (day, *space)
        Each at least as large as what is wanted.
    shape : tuple of int
        Days, and cells along each axis of space.
    rng : Generator
    follow : bool
        Whether all days of a piece follow one another; else each day is from anywhere.
    """
    length, *space = shape
    hidden = np.zeros(shape, bool)
    first = 0
    while first < length:
        piece = pieces[int(rng.integers(len(pieces)))]
        cut = tuple(anywhere(n, m, rng) for n, m in zip(piece.shape[1:], space, strict=True))
        days = min(len(piece) if follow else 1, length - first)
        chosen = (int(rng.integers(len(piece))) + np.arange(days)) % len(piece)
        hidden[first : first + days] = Turn.drawn(rng, space)(piece[chosen][:, *cut])
        first += days
    return hidden


@dataclass(frozen=True)
class Turn:
    """How a window is turned round in space.

    Attributes
    ----------
    flips : tuple of int
        The axes that are reversed, 0 being time.
    transposed : bool
    """

    flips: tuple[int, ...]
    transposed: bool

    @classmethod
    def drawn(cls, rng: Generator, space: Sequence[int]) -> Turn:
        """Return any that fits the sizes of a window in space."""
        flips = tuple(i for i in range(1, len(space) + 1) if rng.random() < 0.5)
        square = len(space) == 2 and space[0] == space[1]
        return cls(flips, bool(square and rng.random() < 0.5))

    def __call__(self, field: Any) -> Any:
        """Return a field, (slot, *space), turned round."""
        made = np.flip(field, self.flips)
        return made.swapaxes(1, 2) if self.transposed else made


def whole_days(count: int, rng: Generator) -> Bools:
    """Return whole days to hide, (day,): single ones and runs."""
    hidden: Bools = rng.random(count) < rng.uniform(0.0, 0.6)
    for _ in range(rng.integers(0, 1 + count // 31, endpoint=True)):
        start = int(rng.integers(count))
        hidden[start : start + int(rng.integers(3, 25))] = True
    return hidden


def _log_uniform(low: float, high: float, rng: Generator) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
