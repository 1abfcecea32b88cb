"""Variables to learn from, for networks that see windows of a field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from xgeoml.engine.plan import Plan
from xgeoml.exceptions import InputError
from xgeoml.models.series import Bools, Floats, Series
from xgeoml.train.fields import computed
from xgeoml.train.masks import hide_shapes, hide_steps
from xgeoml.train.patterns import Ingredients, Pattern, window_pattern

# What is read at a time is so many windows long, and so many windows are cut from it.
_READ, _WINDOWS = 3, 12
# Places that means and deviations are taken from, and those that tell one variable from another.
_SAMPLED, _TOLD_BY = 64, 8
# Validation patterns of each block of time.
_EACH_BLOCK = 3


@dataclass(frozen=True)
class WindowField:
    """A variable for networks on windows of some of its axes.

    Attributes
    ----------
    name : str
    arrays : sequence of array
        The value, then the covariates, axes in the order of the plan; NumPy or dask.
    plan : Plan
        How the engine cuts the variable.
    time : int
        Which of the axes is time.
    area : ndarray, (*pointwise)
        Relative area of each position that the network does not see at once; time among them is
        1 throughout.
    target : ndarray of bool, (time,)
        Steps that may be learnt.
    blocks : sequence of ndarray of bool, (time,)
        Blocks of steps kept for validation: in training they are missing.
    """

    name: str
    arrays: Sequence[Any]
    plan: Plan
    time: int
    area: Floats
    target: Bools
    blocks: Sequence[Bools] = ()

    @property
    def n_validation(self) -> int:
        """How many validation patterns there are."""
        return _EACH_BLOCK * len(self.blocks)

    @property
    def apart(self) -> Bools:
        """Steps kept for validation, (time,)."""
        apart: Bools = np.any([np.zeros_like(self.target), *self.blocks], axis=0)
        return apart

    def samples(self) -> list[Floats]:
        """Return what lies at some places: other data have others there."""
        rng = np.random.default_rng(0)
        places = [self._place(rng, self.target)[0] for _ in range(_TOLD_BY)]
        return [np.stack(computed([a[index] for a in self.arrays])) for index in places]

    def training_values(self) -> list[Floats]:
        """Return values and covariates, each (any,), at the steps that are learnt from."""
        rng, parts = np.random.default_rng(0), []
        for _ in range(_SAMPLED):
            index, _ = self._place(rng, self.target & ~self.apart)
            read = np.stack(computed([a[index] for a in self.arrays])).astype(np.float64)
            kept = ~self.apart[index[self.time]]
            parts.append(np.moveaxis(read, 1 + self.time, 1)[:, kept].reshape(len(read), -1))
        return list(np.concatenate(parts, axis=1))

    def training_pattern(self, most: int, rng: Generator, ingredients: Ingredients) -> Pattern:
        """Return windows from random places and steps, shapes of them hidden."""
        return self._pattern(most, rng, ingredients, self.target & ~self.apart, self.apart)

    def validation_pattern(self, k: int, most: int, ingredients: Ingredients) -> Pattern:
        """Return windows of block ``k // 3``, shapes of them hidden."""
        rng = np.random.default_rng([k, *self.plan.shape])
        steps = self.blocks[k // _EACH_BLOCK] & self.target
        return self._pattern(most, rng, ingredients, steps, np.zeros_like(steps))

    def _pattern(
        self, most: int, rng: Generator, ingredients: Ingredients, steps: Bools, missing: Bools
    ) -> Pattern:
        """Return the pattern of at most `most` windows, only `steps` of them to be learnt."""
        windows, hidden, areas = [], [], []
        shape = tuple(a.window for a in self.plan.core)
        axis = self.time - self.plan.n_pointwise
        for _ in range(4 * math.ceil(most / _WINDOWS)):
            index, area = self._place(rng, steps)
            region = np.stack(computed([a[index] for a in self.arrays])).astype(np.float64)
            region = region.reshape(len(self.arrays), *region.shape[1 + self.plan.n_pointwise :])
            region[~np.isfinite(region)] = np.nan
            inside = np.ones(region.shape[1:], bool)
            if axis >= 0:
                along = tuple(slice(None) if i == axis else None for i in range(inside.ndim))
                region[:, np.broadcast_to(missing[index[self.time]][along], inside.shape)] = np.nan
                inside &= steps[index[self.time]][along]
            for _ in range(_WINDOWS):
                cut = self._window(region.shape[1:], rng)
                window = padded(region[(slice(None), *cut)], shape, np.nan)
                may = padded(inside[cut][None], shape, False)[0]
                hides = _hidden(window[0], may, axis, rng)
                if hides.any():
                    windows.append(window)
                    hidden.append(hides)
                    areas.append(area)
            if len(windows) >= most:
                break
        made = np.array(windows[:most]).reshape(-1, len(self.arrays), math.prod(shape))
        length = math.prod(shape)
        block = Series(
            made[:, 0],
            np.arange(length, dtype=np.float64),
            np.ones(length, bool),
            made[:, 1:].transpose(1, 0, 2),
            np.array(areas[:most], np.float64),
        )
        taken = np.array(hidden[:most], bool).reshape(-1, length)
        return window_pattern(block, taken, shape, ingredients)

    def _place(self, rng: Generator, steps: Bools) -> tuple[tuple[slice, ...], float]:
        """Return one position of the pointwise axes and a few windows' length of the others."""
        index = []
        for i, axis in enumerate(self.plan.axes):
            if axis.mode == "pointwise":
                among = np.flatnonzero(steps) if i == self.time else np.arange(axis.size)
                if not len(among):
                    raise InputError(f"{self.name} has no observed step to learn from")
                at = int(rng.choice(among))
                index.append(slice(at, at + 1))
            else:
                length = axis.size if axis.mode == "whole" else _READ * axis.window
                index.append(anywhere(axis.size, length, rng))
        place = tuple(s.start for s in index[: self.plan.n_pointwise])
        return tuple(index), float(self.area[place])

    def _window(self, sizes: Sequence[int], rng: Generator) -> tuple[slice, ...]:
        """Return where a window lies in what was read, all of it where that is shorter."""
        return tuple(anywhere(n, a.window, rng) for n, a in zip(sizes, self.plan.core, strict=True))


def anywhere(size: int, length: int, rng: Generator) -> slice:
    """Return a random piece of an axis, all of it where it is shorter."""
    start = int(rng.integers(max(0, size - length) + 1))
    return slice(start, min(size, start + length))


def padded(part: Any, shape: Sequence[int], fill: float | bool) -> Any:
    """Return the first axis and a window, filled up where the domain is shorter than it."""
    missing = [(0, n - m) for n, m in zip(shape, part.shape[1:], strict=True)]
    if not any(after for _, after in missing):
        return part
    return np.pad(part, [(0, 0), *missing], constant_values=fill)


def _hidden(value: Floats, may: Bools, axis: int, rng: Generator) -> Bools:
    """Return what to hide of one window: steps where time is among its axes, or shapes."""
    known = np.isfinite(value) & may
    if axis >= 0 and rng.random() < 0.5:
        others = tuple(i for i in range(known.ndim) if i != axis)
        steps = hide_steps(np.asarray(known.any(others)), rng)
        return known & steps[tuple(slice(None) if i == axis else None for i in range(known.ndim))]
    return hide_shapes(known, rng)
