"""What a network of waveform inversion learns from: simulated events, or a pool of given ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from torch import Tensor
from torch.utils.data import Dataset

from xgeoml.models._amplitudes import matched
from xgeoml.models.series import Floats
from xgeoml.models.waveforms import Deconvolution, Gather, estimated, shown
from xgeoml.train.settings import Settings
from xgeoml.train.simulated_waves import Examples, Seismogram, simulate

# Files of a training's folder.
SIMULATED, POOL = "seismograms.safetensors", "events.safetensors"
# Events of the validation part in a batch.
_KEPT = 32
# Bounds of what the amplitudes of an event's Green's functions may have in common.
_SCALE = (0.2, 5.0)


class WaveBatch(NamedTuple):
    """Events as a network is shown them, and what its answer is scored by.

    See `xgeoml.models.waveforms.Shown` for `record`, `greens` and `about`, and
    `xgeoml.train.simulated_waves.Examples` for the rest. `estimates`, (event, estimate, lag), are
    what base models say. `weight`, (event,), is 0 for events that do not count.
    """

    record: Tensor
    greens: Tensor
    estimates: Tensor
    about: Tensor
    source: Tensor
    target: Tensor
    path: Tensor
    weight: Tensor


def prepared(examples: Examples, bases: Sequence[Deconvolution]) -> dict[str, NDArray[np.float32]]:
    """Return the arrays of a `WaveBatch`, each event in units in which its record has size 1."""
    size = np.sqrt((examples.record**2).mean((1, 2)))
    size = np.where(size > 0, size, 1.0)
    unit = size[:, None, None]
    lags = examples.source.shape[-1]
    gather = Gather(examples.record / unit, examples.greens, lags, examples.positive)
    source, path = examples.source / size[:, None], examples.path
    if examples.free:
        gather, factor = matched(gather)
        greens = examples.greens * factor[..., None]
        known = np.isfinite(source).all()
        # What all factors have in common is the source's.
        scale = _scale(greens, source, examples.target / unit) if known else np.ones(len(size))
        source, path = source * scale[:, None], path / scale[:, None, None]
        if np.array_equal(examples.path, examples.greens):
            path = greens
    seen = shown(gather)
    made = {
        "record": seen.record,
        "greens": seen.greens,
        "estimates": estimated(bases, gather),
        "about": seen.about,
        "source": source,
        "target": examples.target / unit,
        "path": path,
        "weight": np.ones(len(size)),
    }
    return {k: np.ascontiguousarray(v, np.float32) for k, v in made.items()}


def _scale(greens: Floats, source: Floats, target: Floats) -> Floats:
    """Return by how much sources, (event, lag), are to be larger to make records best."""
    made = Gather(target, greens, source.shape[-1]).convolved(source)
    scale = (made * target).sum((1, 2)) / np.maximum((made**2).sum((1, 2)), 1e-30)
    found: Floats = np.clip(scale, *_SCALE)
    return found


class Waves(Protocol):
    """Where batches come from."""

    def draw(self, random: np.random.Generator, count: int, share: slice) -> WaveBatch:
        """Return `share` of a batch of about `count` events."""
        ...


@dataclass(frozen=True)
class Simulator:
    """Events that are simulated while a network learns from them: no two are alike.

    Parameters
    ----------
    seismograms : sequence of Seismogram
        Real records, as paths and for their noise.
    bases : sequence of Deconvolution
    """

    seismograms: Sequence[Seismogram]
    bases: Sequence[Deconvolution]

    def save(self, folder: Path) -> None:
        """Write the real records."""
        held: dict[str, NDArray[np.float64]] = {}
        for i, one in enumerate(self.seismograms):
            held[f"{i:04d}"] = np.ascontiguousarray(np.r_[one.onset, one.values])
        save_file(held, folder / SIMULATED)

    @classmethod
    def load(cls, folder: Path, bases: Sequence[Deconvolution]) -> Simulator:
        """Return what `save` wrote."""
        held = load_file(folder / SIMULATED)
        found = [Seismogram(held[k][1:], int(held[k][0])) for k in sorted(held)]
        return cls(found, bases)

    def draw(self, random: np.random.Generator, count: int, share: slice) -> WaveBatch:
        """Return `share` of a batch of `count` traces, about."""
        examples = simulate(random, self.seismograms, count).some(share)
        arrays = prepared(examples, self.bases)
        return WaveBatch(**{k: torch.from_numpy(v) for k, v in arrays.items()})


@dataclass(frozen=True)
class Pool:
    """Given events, as `prepared` returns them; the last of them are kept for validation.

    Parameters
    ----------
    arrays : mapping
        By the names of `WaveBatch`.
    learnt : int
        How many are learnt from.
    """

    arrays: Mapping[str, NDArray[np.float32]]
    learnt: int

    @property
    def kept(self) -> NDArray[np.intp]:
        """Which are kept for validation."""
        return np.arange(self.learnt, len(self.arrays["weight"]))

    def save(self, folder: Path) -> None:
        """Write the events."""
        save_file({**self.arrays, "learnt": np.array([self.learnt])}, folder / POOL)

    @classmethod
    def load(cls, folder: Path) -> Pool:
        """Return what `save` wrote."""
        held = load_file(folder / POOL)
        return cls(held, int(held.pop("learnt")[0]))

    def some(self, which: NDArray[np.intp]) -> WaveBatch:
        """Return some events."""
        return WaveBatch(**{k: torch.from_numpy(a[which]) for k, a in self.arrays.items()})

    def draw(self, random: np.random.Generator, count: int, share: slice) -> WaveBatch:
        """Return `share` of a batch of `count` events that are learnt from."""
        several = count > self.learnt
        return self.some(random.choice(self.learnt, count, replace=several)[share])


class WaveBatches(Dataset[WaveBatch]):
    """The batches of an epoch, drawn from the number of the step and nothing else.

    Parameters
    ----------
    waves : Waves
    settings : Settings
    epoch, rank : int
        Which epoch, and which of the processes this is.
    """

    def __init__(self, waves: Waves, settings: Settings, epoch: int, rank: int = 0) -> None:
        self.waves, self.settings, self.epoch, self.rank = waves, settings, epoch, rank

    def __len__(self) -> int:
        """Return the number of passes in an epoch."""
        return self.settings.steps * self.settings.accumulate

    def __iter__(self) -> Iterator[WaveBatch]:
        """Yield every batch."""
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> WaveBatch:
        """Return this process's part of a batch."""
        s = self.settings
        parts = s.accumulate * s.world
        part = (i % s.accumulate) * s.world + self.rank
        number = self.epoch * s.steps + i // s.accumulate
        random = np.random.default_rng([s.seed, 21, number])
        return self.waves.draw(random, s.batch_size, slice(part, None, parts))


class KeptWaves(Dataset[WaveBatch]):
    """The batches of the validation part, always the same."""

    def __init__(self, pool: Pool, settings: Settings, rank: int = 0) -> None:
        self.pool, self.settings, self.rank = pool, settings, rank
        kept = pool.kept
        self.parts = np.array_split(kept, -(-len(kept) // _KEPT) or 1) if len(kept) else []

    def __len__(self) -> int:
        """Return how many there are for each process."""
        return -(-len(self.parts) // self.settings.world)

    def __iter__(self) -> Iterator[WaveBatch]:
        """Yield every batch."""
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> WaveBatch:
        """Return a batch; one that was another process's already weighs nothing."""
        number = i * self.settings.world + self.rank
        batch = self.pool.some(self.parts[number % len(self.parts)])
        there = number < len(self.parts)
        return batch if there else batch._replace(weight=torch.zeros_like(batch.weight))
