"""Variables to learn from, for networks that make months of days."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from xgeoml.engine.plan import Plan
from xgeoml.exceptions import InputError
from xgeoml.models.series import Bools, Floats
from xgeoml.train.clouds import Turn, hide_clouds, pasted
from xgeoml.train.fields import computed
from xgeoml.train.month_patterns import COMPLETE, Sample, month_pattern, month_truth
from xgeoml.train.patterns import Ingredients, Pattern
from xgeoml.train.windows import anywhere, padded

# Windows cut from what is read at a time, which is so many windows long and wide.
_WINDOWS, _READ = 2, 2
# Validation patterns of each block, and windows in each.
_EACH_BLOCK, _KEPT = 2, 6
# Places that means and deviations are taken from, and those that tell one variable from another.
_SAMPLED, _TOLD_BY = 16, 4
# Gaps are borrowed from a piece of which at least this share is missing.
_WORTH_BORROWING = 0.05


@dataclass(frozen=True)
class MonthField:
    """A variable in days, to be made months of.

    Attributes
    ----------
    name : str
    arrays : sequence of array
        Value and share of each slot that was observed; axes in the order of the plan, time in
        slots (31 a month); NumPy or dask.
    clock : ndarray, (slot,)
        Decimal years, NaN where the calendar has no such day.
    plan : Plan
        How the engine cuts the variable.
    time : int
        Which of the axes is time.
    area : ndarray, (*pointwise)
        Relative area of each position that the network does not see at once.
    target : ndarray of bool, (month,)
        Months that may be learnt.
    blocks : sequence of ndarray of bool, (month,)
        Blocks of months kept for validation: in training they are missing.
    clouds : sequence of ndarray of bool, (day, *space)
        Clouds to hide values with beside the gaps of the variable itself, see
        `xgeoml.train.clouds.pasted`.
    """

    name: str
    arrays: Sequence[Any]
    clock: Floats
    plan: Plan
    time: int
    area: Floats
    target: Bools
    blocks: Sequence[Bools] = ()
    clouds: Sequence[Bools] = ()

    @property
    def n_validation(self) -> int:
        """How many validation patterns there are."""
        return _EACH_BLOCK * len(self.blocks)

    @property
    def apart(self) -> Bools:
        """Months kept for validation, (month,)."""
        apart: Bools = np.any([np.zeros_like(self.target), *self.blocks], axis=0)
        return apart

    @property
    def per_month(self) -> int:
        """Slots of a month."""
        return self.plan.axes[self.time].coarsen

    def samples(self) -> list[Floats]:
        """Return what lies at some places: other data have others there."""
        rng = np.random.default_rng(0)
        places = [self._place(rng, self.target)[0] for _ in range(_TOLD_BY)]
        return [self.clock, *(np.stack(computed([a[i] for a in self.arrays])) for i in places)]

    def training_values(self) -> list[Floats]:
        """Return the values, (any,), of months that are learnt from."""
        rng, parts = np.random.default_rng(0), []
        kept = np.repeat(self.target & ~self.apart, self.per_month)
        for _ in range(_SAMPLED):
            index, _ = self._place(rng, self.target & ~self.apart)
            (read,) = computed([self.arrays[0][index]])
            values = np.moveaxis(np.asarray(read, np.float64), self.time, 0)
            parts.append(values[kept[index[self.time]]].reshape(-1))
        return [np.concatenate(parts)]

    def training_pattern(self, most: int, rng: Generator, ingredients: Ingredients) -> Pattern:
        """Return windows from random places and months, with clouds to lay on them."""
        wanted = self.target & ~self.apart
        return self._pattern(most, rng, ingredients, wanted, self.apart, False)

    def validation_pattern(self, k: int, most: int, ingredients: Ingredients) -> Pattern:
        """Return windows around block ``k // 2``, clouds laid on them."""
        rng = np.random.default_rng([k, *self.plan.shape])
        wanted = self.blocks[k // _EACH_BLOCK] & self.target
        nothing = np.zeros_like(wanted)
        return self._pattern(min(most, _KEPT), rng, ingredients, wanted, nothing, True)

    def _pattern(
        self,
        most: int,
        rng: Generator,
        ingredients: Ingredients,
        wanted: Bools,
        missing: Bools,
        hides: bool,
    ) -> Pattern:
        """Return the pattern of at most `most` windows, only months `wanted` to be learnt."""
        made: list[Sample] = []
        for _ in range(4 * math.ceil(most / _WINDOWS)):
            index, area = self._place(rng, wanted)
            region = self._read(index, missing)
            months = self._months(index[self.time])
            for _ in range(_WINDOWS):
                sample = self._sample(region, wanted[months], rng, area)
                if sample is not None:
                    made.append(sample)
            if len(made) >= most:
                break
        return month_pattern(made[:most], self.per_month, ingredients, self._axis, hides)

    @property
    def _axis(self) -> int:
        """Which of the axes that the network sees is time."""
        return self.time - self.plan.n_pointwise

    def _months(self, slots: slice) -> slice:
        return slice(slots.start // self.per_month, slots.stop // self.per_month)

    def _place(self, rng: Generator, wanted: Bools) -> tuple[tuple[slice, ...], float]:
        """Return one position of the pointwise axes and some windows' length of the others."""
        if not wanted.any():
            raise InputError(
                f"{self.name} has no month to learn from: expected some with {COMPLETE:.0%} of "
                "their days"
            )
        index = []
        for i, axis in enumerate(self.plan.axes):
            if axis.mode == "pointwise":
                at = int(rng.integers(axis.size))
                index.append(slice(at, at + 1))
            elif i == self.time:
                # Around a month that is wanted: there may be few.
                count, length = len(wanted), axis.window // self.per_month
                at = int(rng.choice(np.flatnonzero(wanted)))
                start = int(np.clip(at - rng.integers(length), 0, max(0, count - length)))
                stop = min(start + length, count)
                index.append(slice(start * self.per_month, stop * self.per_month))
            else:
                length = axis.size if axis.mode == "whole" else _READ * axis.window
                index.append(anywhere(axis.size, length, rng))
        place = tuple(s.start for s in index[: self.plan.n_pointwise])
        return tuple(index), float(self.area[place])

    def _read(self, index: tuple[slice, ...], missing: Bools) -> _Region:
        """Return what lies there, time first, with months that are `missing` taken away."""
        read = [np.asarray(a, np.float64) for a in computed([a[index] for a in self.arrays])]
        n = self.plan.n_pointwise
        value, share = (np.moveaxis(a.reshape(a.shape[n:]), self._axis, 0) for a in read)
        clock = self.clock[index[self.time]]
        observed = np.isfinite(value) & (share > 0)
        sea = observed.any(0)
        gaps = ~observed & sea & np.isfinite(clock).reshape(-1, *(1,) * sea.ndim)
        taken = np.repeat(missing[self._months(index[self.time])], self.per_month)
        observed[taken] = False
        value, share = np.where(observed, value, np.nan), np.where(observed, share, 0.0)
        days = int(np.isfinite(clock).sum()) * int(sea.sum())
        worth = gaps.sum() > _WORTH_BORROWING * days
        return _Region(value, share, clock, gaps if worth else None)

    def _sample(self, region: _Region, wanted: Bools, rng: Generator, area: float) -> Sample | None:
        """Return a window of a region with clouds laid on it; None if nothing is to be learnt."""
        space = [a for i, a in enumerate(self.plan.core) if i != self._axis]
        sizes = region.value.shape[1:]
        cut = tuple(anywhere(n, a.window, rng) for n, a in zip(sizes, space, strict=True))
        turn = Turn.drawn(rng, [a.window for a in space])
        shape = [self.plan.core[self._axis].window, *(a.window for a in space)]
        value, share = (
            turn(padded(a[:, *cut][None], shape, fill)[0])
            for a, fill in ((region.value, np.nan), (region.share, 0.0))
        )
        clock = np.broadcast_to(
            region.clock.reshape(-1, *(1,) * len(cut)), region.value[:, *cut].shape
        )
        clock = turn(padded(clock[None], shape, np.nan)[0])
        whole = np.zeros(shape[0] // self.per_month, bool)
        whole[: len(wanted)] = wanted
        truth = month_truth(value, share, clock, whole, self.per_month)
        exists = np.isfinite(clock).reshape(shape[0], -1).any(1)
        clouds = self._clouds(region, shape, rng)
        made = Sample(value, share, clock, truth, hide_clouds(value, exists, rng, clouds), area)
        return made if np.isfinite(truth).any() and made.left.share.any() else None

    def _clouds(self, region: _Region, shape: Sequence[int], rng: Generator) -> Bools | None:
        """Return clouds that were seen, in another place or at another time, (day, *space)."""
        length, *space = shape
        if self.clouds and (region.gaps is None or rng.random() < 0.5):
            return pasted(self.clouds, tuple(shape), rng, follow=rng.random() < 0.5)
        if region.gaps is None:
            return None
        sizes = region.gaps.shape[1:]
        cut = tuple(anywhere(n, m, rng) for n, m in zip(sizes, space, strict=True))
        turn = Turn.drawn(rng, space)
        gaps: Bools = turn(padded(region.gaps[:, *cut][None], shape, False)[0])
        return np.roll(gaps, int(rng.integers(length)), axis=0)


@dataclass(frozen=True)
class _Region:
    """What was read: value and share, (slot, *space), the clock, and the gaps if there are any."""

    value: Floats
    share: Floats
    clock: Floats
    gaps: Bools | None
