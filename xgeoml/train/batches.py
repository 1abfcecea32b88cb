"""Batches: pieces of random patterns, drawn from the number of the step and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from xgeoml.models.series import Bools
from xgeoml.spec import ModelSpec
from xgeoml.train.job import Job
from xgeoml.train.patterns import Pattern, Single
from xgeoml.train.settings import Settings

Batch = tuple[Tensor, Tensor, Tensor]

# Patterns that a batch is made of.
_GROUPS = 16
# Shortest and longest piece of a series, but for one batch in seven.
SHORT, _LONG, _WHOLE = 30, 110, 0.15
# Fewer values give no scale.
_FEWEST_VALUES = 12
_SMALLEST_SCALE = 1e-3


@dataclass(frozen=True)
class Layout:
    """Where the channels of a network lie.

    Attributes
    ----------
    value, estimates, spreads : tuple of int
        Channels of the value; of the estimates of base models; of their spreads, as logarithms.
    validity, years, exists : int or None
    first_driver : int
        Covariates lie from here on, if the network takes them.
    takes_drivers : bool
    rescaled : bool
        Whether pieces of series are scaled by themselves, as whole ones are: not where nothing
        tells the network which values are missing, and what is 0 in a piece may be either.
    """

    value: tuple[int, ...]
    estimates: tuple[int, ...]
    spreads: tuple[int, ...]
    validity: int | None
    years: int | None
    exists: int | None
    first_driver: int
    takes_drivers: bool
    rescaled: bool

    @classmethod
    def of(cls, spec: ModelSpec) -> Layout:
        """Return the layout of a network's input."""
        roles = [c.role for c in spec.inputs]

        def where(role: str) -> tuple[int, ...]:
            return tuple(i for i, r in enumerate(roles) if r == role)

        def one(role: str) -> int | None:
            return next(iter(where(role)), None)

        takes = "covariates" in roles
        return cls(
            where("value"),
            where("estimate"),
            where("spread"),
            one("validity"),
            one("years"),
            one("exists"),
            len(roles) - takes,
            takes,
            spec.scaling == "sample" and "validity" in roles,
        )


def time_axis(spec: ModelSpec) -> int:
    """Return which of the axes that a network sees is time."""
    return [a.axis for a in spec.axes if a.mode != "pointwise"].index("T")


class Batches(Dataset[Batch]):
    """The batches of one epoch, as one of the processes that share them sees them.

    Parameters
    ----------
    pool : sequence of sequence of Pattern
        Patterns of each variable.
    job : Job
        What is trained.
    settings : Settings
        How, in this process.
    epoch, rank : int
        The epoch, and which of the processes this is.
    """

    def __init__(
        self,
        pool: Sequence[Sequence[Pattern]],
        job: Job,
        settings: Settings,
        epoch: int,
        rank: int = 0,
    ) -> None:
        self.pool, self.settings = pool, settings
        self.shares = np.asarray(job.shares, np.float64) / np.sum(job.shares)
        self.layout, self.channels = Layout.of(job.spec), job.channels
        self.series = len(job.spec.axes) == 1 and job.spec.axis("T").mode == "whole"
        self.minimum, self.month = job.spec.axis("T").minimum, job.spec.axis("T").coarsen
        self.time = time_axis(job.spec) if self.month > 1 else 0
        self.epoch, self.rank = epoch, rank

    def __len__(self) -> int:
        """Return the number of passes in the epoch."""
        return self.settings.steps * self.settings.accumulate

    def __iter__(self) -> Iterator[Batch]:
        """Yield every batch of the epoch."""
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> Batch:
        """Return input, truth and weight of this process's part of a step.

        Every process draws which patterns all of them use, since their pieces have one length.
        """
        s = self.settings
        parts = s.accumulate * s.world
        part = (i % s.accumulate) * s.world + self.rank
        number = self.epoch * s.steps + i // s.accumulate
        rng = np.random.default_rng([s.seed, number])
        chosen = [self._draw(rng) for _ in range(_GROUPS)]
        core, made_core = list(chosen[0].x.shape[2:]), list(chosen[0].truth.shape[1:])
        if self.series:
            core = made_core = [self._length(min(p.x.shape[2] for p in chosen), rng)]
        elif self.month > 1:
            made_core[self.time] = _months(made_core[self.time], rng)
            core[self.time] = self.month * made_core[self.time]
        size = s.batch_size // parts
        x = np.zeros((size, self.channels, *core), np.float32)
        truth = np.full((size, *made_core), np.nan, np.float32)
        weight = np.zeros(size, np.float32)
        for g, pattern in enumerate(chosen):
            first, last = (k * s.batch_size // _GROUPS for k in (g, g + 1))
            start, stop = max(first, part * size), min(last, (part + 1) * size)
            if start >= stop:
                continue
            # A stream for each group, all of it drawn: whatever the parts, the same batch.
            draw = np.random.default_rng([s.seed, number, g + 1])
            if self.series:
                made = self._pieces(pattern, core[0], last - first, draw)
            elif self.month > 1:
                made = self._spells(pattern, made_core[self.time], last - first, draw)
            else:
                made = _windows(pattern, last - first, draw)
            piece, wanted, weights = (a[start - first : stop - first] for a in made)
            own = slice(start - part * size, stop - part * size)
            x[own, : piece.shape[1]], truth[own], weight[own] = piece, wanted, weights
        return torch.from_numpy(x), torch.from_numpy(truth), torch.from_numpy(weight)

    def _length(self, shortest: int, rng: Generator) -> int:
        """Return the length of a batch's pieces.

        Short ones mostly: where the absent months are gives the date of a long one away.
        """
        least = max(SHORT, self.minimum)
        if rng.random() < _WHOLE or shortest <= least:
            return shortest
        return int(rng.integers(least, min(max(_LONG, least), shortest) + 1))

    def _draw(self, rng: Generator) -> Pattern:
        patterns = self.pool[int(rng.choice(len(self.pool), p=self.shares))]
        return patterns[int(rng.integers(len(patterns)))]

    def _pieces(
        self, pattern: Pattern, length: int, count: int, rng: Generator
    ) -> tuple[Single, Single, Single]:
        """Return pieces of series: mixed, reversed, moved in time."""
        layout = self.layout
        start = _start(pattern, length, rng)
        x, truth, weight = mix(pattern, slice(start, start + length), count, layout, rng)
        if not x[:, layout.first_driver :].any() and rng.random() < 0.5:
            # What has no cause among its inputs may run backwards.
            x, truth = x[:, :, ::-1].copy(), truth[:, ::-1].copy()
            if layout.years is not None:
                x[:, layout.years] *= -1.0
        if layout.years is not None:
            # Absolute time is no clue to what happened.
            x[:, layout.years] += rng.integers(-8, 9) if rng.random() < 0.5 else rng.uniform(-8, 8)
        return x, truth, weight

    def _spells(
        self, pattern: Pattern, months: int, count: int, rng: Generator
    ) -> tuple[Single, Single, Single]:
        """Return some months of random windows under clouds, turned round and moved in time."""
        layout, axis = self.layout, self.time
        rows = rng.integers(len(pattern), size=count)
        signal = _signal(pattern)
        made = []
        for row in rows:
            wanted = pattern.truth[row]
            others = tuple(i for i in range(wanted.ndim) if i != axis)
            start = _start_of(np.isfinite(wanted).any(others), months, rng)
            flips = tuple(i for i in others if rng.random() < 0.5)
            days = slice(self.month * start, self.month * (start + months))
            where = tuple(days if i == axis else slice(None) for i in range(wanted.ndim))
            spell = np.flip(
                pattern.x[(row, slice(None), *where)], tuple(1 + i for i in flips)
            ).copy()
            cut = tuple(slice(start, start + months) if w is days else w for w in where)
            truth = np.flip(wanted[cut], flips).copy()
            clouds = np.flip(self._clouds(pattern, row, rng)[where], flips)
            for channel in (*layout.value, layout.validity):
                if channel is not None:
                    spell[channel][clouds] = 0.0
            if layout.years is not None:
                moved = rng.integers(-8, 9) if rng.random() < 0.5 else rng.uniform(-8, 8)
                there = spell[layout.exists] if layout.exists is not None else 1.0
                spell[layout.years] += np.float32(moved) * there
            if layout.rescaled:
                _rescale_window(spell, truth, layout)
            made.append((spell, truth))
        x, truths = (np.stack(each) for each in zip(*made, strict=True))
        return x, truths, (signal[rows] / signal.mean()).astype(np.float32)

    def _clouds(self, pattern: Pattern, row: int, rng: Generator) -> Bools:
        """Return what to hide of a window: its own clouds, or those of any other."""
        assert pattern.clouds is not None
        if rng.random() < 0.5:
            other = self._draw(rng)
            if other.clouds is not None:
                return np.asarray(other.clouds[int(rng.integers(len(other)))])
        return np.asarray(pattern.clouds[row])


def mix(
    pattern: Pattern, steps: slice, count: int, layout: Layout, rng: Generator
) -> tuple[Single, Single, Single]:
    """Return input, truth and weight of `count` random sums of up to three series of a pattern.

    Base models are all but linear in the series, so the sum of their estimates is the estimate of
    the sum. A few dozen months that the whole record shares are soon known by heart; sums of
    far-off series, with random signs, are not.
    """
    rows = rng.integers(len(pattern), size=(count, 3))
    factor = rng.standard_normal((count, 3)).astype(np.float32)
    factor[:, 1:] *= rng.random((count, 2)) < 0.6
    signal = _signal(pattern)
    known = pattern.x[:, layout.validity] if layout.validity is not None else None
    if known is None or np.ptp(known, axis=0).any():
        # Series with gaps of their own have no sum.
        factor[:, 0], factor[:, 1:] = 1.0, 0.0
        x = pattern.x[rows[:, 0], :, steps]
        truth = pattern.truth[rows[:, 0], steps]
    else:
        x = np.einsum("nk,nkct->nct", factor, pattern.x[rows, :, steps])
        truth = np.einsum("nk,nkt->nt", factor, pattern.truth[rows, steps])
        for channel in layout.spreads:
            each = np.exp(2.0 * pattern.x[rows, channel, steps])
            total = np.einsum("nk,nkt->nt", factor**2, each)
            x[:, channel] = 0.5 * np.log(np.maximum(total, 1e-6))
        for kept in (layout.validity, layout.years):
            if kept is not None:
                x[:, kept] = pattern.x[rows[:, 0], kept, steps]
    if layout.rescaled:
        rescale(x, truth, layout)
    # Large signals count more than small ones, less than their squares would make them.
    weight = (factor**2 * signal[rows]).sum(1) / ((factor**2).sum(1) * signal.mean())
    return x, truth, weight.astype(np.float32)


def rescale(x: Single, truth: Single, layout: Layout) -> None:
    """Scale pieces of series in place as the engine scales whole ones."""
    known = np.ones(truth.shape, bool)
    if layout.validity is not None:
        known = x[:, layout.validity] > 0.5
    count = known.sum(1)
    values = x[:, layout.value[0]]
    mean = np.where(known, values, 0.0).sum(1) / np.maximum(count, 1)
    square = np.where(known, (values - mean[:, None]) ** 2, 0.0).sum(1) / np.maximum(count, 1)
    enough = count >= _FEWEST_VALUES
    middle = np.where(enough, mean, 0.0)[:, None].astype(np.float32)
    scale = np.where(enough, np.maximum(np.sqrt(square), _SMALLEST_SCALE), 1.0)
    scale = scale[:, None].astype(np.float32)
    for channel in layout.value:
        x[:, channel] = np.where(known, (x[:, channel] - middle) / scale, 0.0)
    truth[:] = (truth - middle) / scale
    for channel in layout.estimates:
        x[:, channel] = (x[:, channel] - middle) / scale
    for channel in layout.spreads:
        x[:, channel] -= np.log(scale)
    drivers = x[:, layout.first_driver :]
    if drivers.size:
        drivers -= drivers.mean(2, keepdims=True)
        drivers /= np.maximum(drivers.std(2, keepdims=True), _SMALLEST_SCALE)


def _windows(pattern: Pattern, count: int, rng: Generator) -> tuple[Single, Single, Single]:
    """Return input, truth and weight of `count` random windows of a pattern."""
    rows = rng.integers(len(pattern), size=count)
    # As for pieces of series. A window that is all but constant has large errors in its own scale.
    signal = _signal(pattern)
    weight = signal[rows] / signal.mean()
    return pattern.x[rows], pattern.truth[rows], weight.astype(np.float32)


def _signal(pattern: Pattern) -> NDArray[np.float64]:
    """Return how much each sample counts; single precision does not hold the sums of all data."""
    return np.asarray(pattern.area, np.float64) * pattern.deviation


def _start(pattern: Pattern, length: int, rng: Generator) -> int:
    """Return where a piece begins, such that it has something to learn if it can."""
    return _start_of(np.any(np.isfinite(pattern.truth), axis=0), length, rng)


def _start_of(wanted: Bools, length: int, rng: Generator) -> int:
    """Return where a piece of so many steps begins, with one that is `wanted` if it can."""
    start = 0
    for _ in range(10):
        start = int(rng.integers(len(wanted) - length + 1))
        if wanted[start : start + length].any():
            break
    return start


def _months(longest: int, rng: Generator) -> int:
    """Return the length of a batch's pieces: any, short ones more often."""
    return min(1 + int(longest * rng.random() ** 1.5), longest)


def _rescale_window(x: Single, truth: Single, layout: Layout) -> None:
    """Scale a window in place by what was observed in it, as the engine does."""
    assert layout.validity is not None
    known = x[layout.validity] > 0
    values = x[layout.value[0]][known]
    if len(values) < _FEWEST_VALUES:
        return
    mean, scale = values.mean(), max(float(values.std()), _SMALLEST_SCALE)
    x[layout.value[0]] = np.where(known, (x[layout.value[0]] - mean) / scale, 0.0)
    truth[:] = (truth - mean) / scale


def load_pool(folder: Path) -> list[list[Pattern]]:
    """Return the patterns of each variable that a folder holds, in order."""
    return [[Pattern.load(p) for p in sorted(f.glob("?????"))] for f in sorted(folder.glob("*"))]
