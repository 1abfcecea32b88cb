"""Batches of moments, drawn from the number of the step and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from xgeoml.models._moments import moments
from xgeoml.models.in_time import Place
from xgeoml.train.moments import MomentField, Pattern, placed, stretch_of, window_of
from xgeoml.train.settings import Settings

# Channels, truth in the scale of the changes (NaN where missing), weight of each cell, and whether
# the last column neighbours the first.
MomentBatch = tuple[Tensor, Tensor, Tensor, Tensor]
# Share of the training, at its beginning, that learns from rapid transitions only.
_RAPID = 0.2
# Samples of the validation part in a batch.
_KEPT = 16


class MomentBatches(Dataset[MomentBatch]):
    """The batches of an epoch; each from one record.

    Parameters
    ----------
    fields : sequence of MomentField
    shares : sequence of float
        How often each is drawn.
    settings : Settings
    epoch, rank : int
        Which epoch, and which of the processes this is.
    """

    def __init__(
        self,
        fields: Sequence[MomentField],
        shares: Sequence[float],
        settings: Settings,
        epoch: int,
        rank: int = 0,
    ) -> None:
        self.fields, self.settings, self.epoch, self.rank = fields, settings, epoch, rank
        self.chance = np.asarray(shares, np.float64) / np.sum(shares)

    def __len__(self) -> int:
        """Return the number of passes in an epoch."""
        return self.settings.steps * self.settings.accumulate

    def __iter__(self) -> Iterator[MomentBatch]:
        """Yield every batch."""
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> MomentBatch:
        """Return this process's part of a batch."""
        s = self.settings
        size = s.batch_size // (s.accumulate * s.world)
        part = (i % s.accumulate) * s.world + self.rank
        number = self.epoch * s.steps + i // s.accumulate
        rng = np.random.default_rng([s.seed, number])
        field = self.fields[int(rng.choice(len(self.fields), p=self.chance))]
        choice = np.arange(len(field.learnt))
        if number < _RAPID * s.total and field.rapid.any():
            choice = np.flatnonzero(field.rapid)
        drawn = rng.choice(choice, s.batch_size, p=_chances(field.learnt[choice, 0]))
        y, x = window_of(field.record, rng)
        flips = rng.random(2) < 0.5
        own = drawn[part * size : (part + 1) * size]
        # A component each.
        which = rng.integers(len(field.record.value), size=s.batch_size)
        which = which[part * size : (part + 1) * size]
        batch = _batch(field, own, field.learnt[own], which, (y, x))
        axes = [axis for axis, turned in zip((-2, -1), flips, strict=True) if turned]
        first, second, third, around = batch
        return first.flip(axes), second.flip(axes), third.flip(axes), around


def _chances(lengths: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return how often patterns are drawn, by the steps of their intervals.

    Long intervals have more patterns, but these overlap and say less.
    """
    _, which, count = np.unique(lengths, return_inverse=True, return_counts=True)
    chance = lengths**-0.5 / count[which]
    return np.asarray(chance / chance.sum())


class KeptMoments(Dataset[MomentBatch]):
    """The batches of the validation parts, always the same."""

    def __init__(self, fields: Sequence[MomentField], settings: Settings, rank: int = 0) -> None:
        self.fields, self.settings, self.rank = fields, settings, rank
        self.parts = [
            (f, at)
            for f in fields
            for at in np.array_split(np.arange(len(f.kept)), -(-len(f.kept) // _KEPT) or 1)
            if len(at)
        ]

    def __len__(self) -> int:
        """Return how many there are for each process."""
        return -(-len(self.parts) // self.settings.world)

    def __iter__(self) -> Iterator[MomentBatch]:
        """Yield every batch."""
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> MomentBatch:
        """Return a batch; one that was another process's already weighs nothing."""
        number = i * self.settings.world + self.rank
        field, at = self.parts[number % len(self.parts)]
        which = at % len(field.record.value)
        rng = np.random.default_rng([self.settings.seed, 13, number % len(self.parts)])
        cut = window_of(field.record, rng)
        batch = _batch(field, at + len(field.learnt), field.kept[at], which, cut)
        return batch if number < len(self.parts) else (*batch[:2], 0.0 * batch[2], batch[3])


def _batch(
    field: MomentField,
    numbers: NDArray[np.intp],
    rows: NDArray[np.intp],
    which: NDArray[np.intp],
    cut: tuple[slice, slice],
) -> MomentBatch:
    """Return patterns, a component of each, as a network is shown them."""
    channels, truth, weight = [], [], []
    record = field.record
    place = placed(record, cut)
    area = area_of(place, [c.stop - c.start for c in cut])
    for number, row, c in zip(numbers, rows, which, strict=True):
        pattern = Pattern(*(int(v) for v in row))
        stretch = stretch_of(record, pattern, [pattern.hidden])
        value = stretch.value[(slice(None), slice(None), *cut)]
        stretch = replace(stretch, value=value, place=place)
        said = field.estimates[(number, slice(None), slice(None), *cut)]
        shown = moments(stretch, list(said[:, :, None].astype(np.float64)), beside=True)
        off = record.value[(slice(None), pattern.hidden, *cut)] - shown.offset[:, 0]
        channels.append(shown.channels[c])
        truth.append(off[c] / shown.unit[0])
        weight.append(area * (shown.scale[0] / field.unit[pattern.every]) ** 2)
    made = (np.stack(a).astype(np.float32) for a in (channels, truth, weight))
    first, second, third = (torch.from_numpy(a) for a in made)
    return first, second, third, torch.tensor(place.around)


def area_of(place: Place, shape: Sequence[int]) -> NDArray[np.float64]:
    """Return the relative area of cells, (y, x), of mean 1."""
    if place.lat is None:
        return np.ones(shape)
    cosine = np.clip(np.cos(np.deg2rad(np.nan_to_num(place.lat))), 0.01, 1.0)
    return np.asarray(cosine / cosine.mean())
