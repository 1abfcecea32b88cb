"""Batches of pairs: pieces of random steps, drawn from the number of the step and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from xgeoml.engine.refine_network import coarse_channels, fine_channels, scale_of
from xgeoml.models.downscaling import Placement, Window
from xgeoml.models.series import Floats
from xgeoml.spec import ModelSpec
from xgeoml.train.pairs import PairField
from xgeoml.train.settings import Settings

# Coarse and fine channels, truth, noise, how noisy, weight; all of the sample first.
PairBatch = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
# The most steps that the validation loss is taken of, and what their draws are numbered with.
MOST_KEPT, _VALIDATION = 512, 2**31


@dataclass(frozen=True)
class Piece:
    """Some steps of pairs as a network is given them.

    Attributes
    ----------
    coarse, fine : ndarray of float32, (step, channel, y, x)
    truth : ndarray of float32, (step, 1, y, x)
        In the scale of the value; NaN where missing and in the halo.
    deviation : ndarray, (step,)
        Unit of that scale.
    share : ndarray, (y, x)
        See `PairField`; 0 in the halo.
    """

    coarse: NDArray[np.float32]
    fine: NDArray[np.float32]
    truth: NDArray[np.float32]
    deviation: Floats
    share: Floats


class Cutter:
    """Cut pieces out of pairs as the engine cuts the data that a network is run on.

    Parameters
    ----------
    field : PairField
    spec : ModelSpec
    """

    def __init__(self, field: PairField, spec: ModelSpec) -> None:
        self.field, self.spec = field, spec
        self.cuts = [
            (min(axis.window or size, size), axis.halo or 0 if (axis.window or size) < size else 0)
            for axis, size in zip(
                (spec.axis("Y"), spec.axis("X")), field.coarse.shape[1:], strict=True
            )
        ]

    @property
    def whole(self) -> bool:
        """Whether every piece is all of the domain."""
        return [n for n, _ in self.cuts] == list(self.field.coarse.shape[1:])

    def corner(self, rng: Generator) -> tuple[int, int]:
        """Return where a random piece begins."""
        y, x = (
            int(rng.integers(size - n + 1))
            for size, (n, _) in zip(self.field.coarse.shape[1:], self.cuts, strict=True)
        )
        return y, x

    def piece(self, steps: NDArray[np.intp], corner: tuple[int, int] = (0, 0)) -> Piece:
        """Return some steps of the piece that begins in a corner."""
        f, field = self.field.factor, self.field
        (rows, above), (columns, left) = self.cuts
        inner = tuple(slice(c, c + n) for c, n in zip(corner, (rows, columns), strict=True))
        value = _cut(_some(field.coarse, steps), corner, self.cuts, 1, np.nan)
        moving = [_cut(_some(c, steps), corner, self.cuts, 1, np.nan) for c in field.covariates]
        covariates = np.stack(moving) if moving else np.empty((0, *value.shape))
        static = _cut(field.static, corner, self.cuts, f, None)
        placement = Placement.refined(rows + 2 * above, columns + 2 * left, f)
        window = Window(value, placement, (0, 0, 0), field.clock.steps(steps), covariates)
        mean, deviation = scale_of(value, self.spec)
        # Fields and estimates are departures, so that float32 has digits for them.
        away = mean - field.reference
        said = {
            name: _cut(_some(field.estimates[i], steps), corner, self.cuts, f, None)
            for i, name in enumerate(self.spec.bases)
        }
        shape = (len(steps), 1, *placement.shape)
        truth = np.full(shape, np.nan, np.float32)
        share = np.zeros(placement.shape)
        here = (slice(above * f, (above + rows) * f), slice(left * f, (left + columns) * f))
        there = tuple(slice(s.start * f, s.stop * f) for s in inner)
        own = _some(field.fine, steps)[(slice(None), *there)]
        truth[(slice(None), 0, *here)] = (own - away[:, None, None]) / deviation[:, None, None]
        # What is missing on the coarse grid is missing in the result.
        lost = np.isnan(value).repeat(f, axis=1).repeat(f, axis=2)
        truth[:, 0][lost] = np.nan
        share[here] = field.share[there]
        return Piece(
            coarse_channels(window, self.spec, mean, deviation),
            fine_channels(said, static, self.spec, away, deviation),
            truth,
            deviation,
            share,
        )


def _cut(
    array: NDArray[np.floating],
    corner: tuple[int, int],
    cuts: list[tuple[int, int]],
    factor: int,
    beyond: float | None,
) -> Floats:
    """Return a piece with its halo, along the last two axes; `beyond` the edges, or the edge's."""
    where: list[Any] = [...]
    lacking = []
    for c, (n, halo), size in zip(corner, cuts, array.shape[-2:], strict=True):
        start, stop = (c - halo) * factor, (c + n + halo) * factor
        where.append(slice(max(start, 0), min(stop, size)))
        lacking.append((max(-start, 0), max(stop - size, 0)))
    piece = np.asarray(array[tuple(where)], np.float64)
    if not any(map(any, lacking)):
        return piece
    padding = [(0, 0)] * (array.ndim - 2) + lacking
    if beyond is None:
        return np.pad(piece, padding, mode="edge")
    return np.pad(piece, padding, constant_values=beyond)


def _some(array: NDArray[Any], steps: NDArray[np.intp]) -> NDArray[Any]:
    """Return some steps, without reading all of a step where it is but one."""
    return array[steps[0] : steps[0] + 1] if len(steps) == 1 else array[steps]


class PairBatches(Dataset[PairBatch]):
    """The batches of one epoch, as one of the processes that share them sees them.

    Parameters
    ----------
    field : PairField
    spec : ModelSpec
    settings : Settings
    epoch, rank : int
        The epoch, and which of the processes this is.
    """

    def __init__(
        self, field: PairField, spec: ModelSpec, settings: Settings, epoch: int, rank: int = 0
    ) -> None:
        self.cutter, self.settings = Cutter(field, spec), settings
        self.epoch, self.rank = epoch, rank

    def __len__(self) -> int:
        """Return the number of passes in the epoch."""
        return self.settings.steps * self.settings.accumulate

    def __iter__(self) -> Iterator[PairBatch]:
        """Yield every batch of the epoch."""
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> PairBatch:
        """Return this process's part of a step."""
        s = self.settings
        parts = s.accumulate * s.world
        part, size = (i % s.accumulate) * s.world + self.rank, s.batch_size // parts
        number = self.epoch * s.steps + i // s.accumulate
        rng = np.random.default_rng([s.seed, number])
        learnt = self.cutter.field.learnt
        # All of the step is drawn: whatever the parts, it is the same.
        steps = learnt[rng.integers(len(learnt), size=s.batch_size)]
        corners = [self.cutter.corner(rng) for _ in range(s.batch_size)]
        at = (rng.random() + np.arange(s.batch_size) / s.batch_size) % 1.0
        own = slice(part * size, (part + 1) * size)
        keys = [[s.seed, number, k] for k in range(own.start, own.stop)]
        return _batch(self.cutter, steps[own], corners[own], at[own], keys)


class KeptBatches(Dataset[PairBatch]):
    """The batches of the validation part; of each step a piece that is always the same.

    Parameters
    ----------
    field : PairField
    spec : ModelSpec
    settings : Settings
    rank : int
        Which of the processes this is: each has as many batches.
    """

    def __init__(self, field: PairField, spec: ModelSpec, settings: Settings, rank: int = 0):
        self.cutter, self.settings, self.rank = Cutter(field, spec), settings, rank
        some = np.linspace(0, len(field.kept) - 1, min(MOST_KEPT, len(field.kept)))
        self.steps = field.kept[some.astype(np.intp)]

    def __len__(self) -> int:
        """Return the number of batches."""
        s = self.settings
        return -(-len(self.steps) // (s.batch_size // s.accumulate))

    def __iter__(self) -> Iterator[PairBatch]:
        """Yield every batch."""
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> PairBatch:
        """Return this process's part of a batch."""
        s = self.settings
        size = s.batch_size // (s.accumulate * s.world)
        first = (i * s.world + self.rank) * size
        numbers = np.arange(first, first + size)
        there = numbers < len(self.steps)
        numbers = np.minimum(numbers, len(self.steps) - 1)
        rngs = [np.random.default_rng([s.seed, _VALIDATION, int(n)]) for n in numbers]
        corners = [self.cutter.corner(rng) for rng in rngs]
        at = (numbers + 0.5) / len(self.steps)
        # In another order than the steps, which have seasons.
        at = at * 0.6180339887 * len(self.steps) % 1.0
        keys = [[s.seed, _VALIDATION, int(n), 1] for n in numbers]
        made = _batch(self.cutter, self.steps[numbers], corners, at, keys)
        return (*made[:-1], made[-1] * torch.from_numpy(there))


def _batch(
    cutter: Cutter,
    steps: NDArray[np.intp],
    corners: list[tuple[int, int]],
    at: Floats,
    keys: list[list[int]],
) -> PairBatch:
    if cutter.whole:
        pieces = [cutter.piece(steps)]
    else:
        pieces = [cutter.piece(s[None], c) for s, c in zip(steps, corners, strict=True)]
    coarse, fine, truth = (
        np.concatenate([getattr(p, n) for p in pieces]) for n in ("coarse", "fine", "truth")
    )
    noise = [
        np.random.default_rng(key).standard_normal(truth.shape[1:], np.float32) for key in keys
    ]
    some = np.isfinite(truth).any((1, 2, 3))
    parts = (coarse, fine, truth, np.stack(noise), at, some)
    coarse_, fine_, truth_, noise_, at_, weight = (
        torch.from_numpy(np.asarray(a, np.float32)) for a in parts
    )
    return coarse_, fine_, truth_, noise_, at_, weight
