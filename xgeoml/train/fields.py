"""Variables to learn from, as arrays: which part of them a pattern is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from xgeoml.engine.execute import is_lazy
from xgeoml.engine.plan import SUMMARY_ELEMENTS, Plan
from xgeoml.exceptions import InputError
from xgeoml.models.series import Bools, Floats, Series
from xgeoml.spec import Scale
from xgeoml.train.masks import hide_cells, hide_singles, hide_steps
from xgeoml.train.patterns import Ingredients, Pattern, cut, series_pattern

# Values of a variable and its covariates that are held in memory (0.5 GB in float64); of larger
# ones a sample, and for each pattern some cells more.
IN_MEMORY = 2**26
# Cells of a lazy variable that are read at a time.
_CELLS_AT_A_TIME = 2048
# Shortest record that a pattern is cut from a longer one, and fewest steps that it must hide from.
_SHORTEST, _FEWEST_TARGETS = 60, 24
# A third of the gaps made are of this length, others up to the second, or one and a half times the
# longest gap of the record.
_USUAL, _LONG = 11, 24
# Where more of the values than this are missing in steps that are not missing altogether, as under
# clouds, half of the patterns hide cells, not steps.
_FEW_MISSING = 0.02


@dataclass(frozen=True)
class SeriesField:
    """A variable for networks on whole time series.

    Attributes
    ----------
    name : str
    arrays : sequence of array
        The value, then the covariates, each (*space, time); NumPy or dask.
    years : ndarray, (time,)
        Decimal year of each step.
    area : ndarray, (*space)
        Relative area of each cell.
    target : ndarray of bool, (time,)
        Steps that may be hidden and learnt.
    plan : Plan
        How the engine cuts the variable.
    blocks : sequence of ndarray of bool, (time,)
        Blocks of steps kept for validation: in training they are missing.
    aside : ndarray of bool, (*space)
        Cells kept for validation; none: validation is on all cells.
    minimum : int
        The fewest steps that the network can work on.
    """

    name: str
    arrays: Sequence[Any]
    years: Floats
    area: Floats
    target: Bools
    plan: Plan
    blocks: Sequence[Bools] = ()
    aside: Bools | None = None
    minimum: int = 1
    _read: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def n_validation(self) -> int:
        """How many validation patterns there are: each block as a run, and as single steps."""
        return 2 * len(self.blocks)

    @property
    def apart(self) -> Bools:
        """Steps kept for validation, (time,)."""
        apart: Bools = np.any([np.zeros_like(self.target), *self.blocks], axis=0)
        return apart

    @cached_property
    def gaps(self) -> tuple[int, int, float]:
        """The longest gap to make, the usual one, and the share of patterns that hide cells.

        They follow the record's own gaps, so that a network learns to bridge what it will meet.
        """
        missing = ~np.isfinite(self.sample.values)
        whole = missing.all(0)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], whole.astype(int), [0]])))
        own = int(np.max(edges[1::2] - edges[::2], initial=0))
        usual = min(own, _USUAL) if own > 1 else _USUAL
        partial = missing[:, ~whole].mean() if not whole.all() else 0.0
        return max(_LONG, round(1.5 * own)), usual, 0.08 if partial < _FEW_MISSING else 0.5

    @property
    def in_memory(self) -> bool:
        """Whether all of the variable is held in memory."""
        return math.prod(self.plan.shape) * len(self.arrays) <= IN_MEMORY

    @property
    def sample(self) -> Series:
        """All series with data, or some from everywhere: what base models are made of."""
        return self._sampled.series

    @property
    def learnt(self) -> Series:
        """The part of the sample that is learnt from: what is kept for validation is missing."""
        rows = ~self._aside[self._sampled.cells]
        whole = self.sample
        values = np.where(self.apart, np.nan, whole.values)[rows]
        drivers = whole.covariates[:, rows]
        return replace(whole, values=values, covariates=drivers, area=whole.area[rows])

    @property
    def known(self) -> Bools:
        """The cells in the sample, (*space)."""
        known = np.zeros(self.area.shape, bool)
        known.reshape(-1)[self._sampled.cells] = True
        return known

    @property
    def _sampled(self) -> _Read:
        """The sample, read once."""
        if "sample" not in self._read:
            steps = (1,) * self.plan.n_pointwise if self.in_memory else self.plan.sample_steps()
            made = self._series(tuple(slice(None, None, s) for s in steps))
            if not self.in_memory:
                size = len(self.arrays) * made.series.values.size
                made = made.every(math.ceil(size / SUMMARY_ELEMENTS))
            self._read["sample"] = made
        return self._read["sample"]  # type: ignore[no-any-return]

    @property
    def _aside(self) -> Bools:
        """Cells kept for validation, (cell,)."""
        aside = np.zeros(self.area.shape, bool) if self.aside is None else self.aside
        return aside.reshape(-1)

    def with_parts(
        self, target: Bools, blocks: Sequence[Bools], aside: Bools | None
    ) -> SeriesField:
        """Return the same variable with other parts to learn and to keep; it is not read again."""
        made = replace(self, target=target, blocks=blocks, aside=aside)
        made._read.update(self._read)
        return made

    def training_values(self) -> list[Floats]:
        """Return values and covariates, each (any,), at steps and cells that are learnt from."""
        learnt = self.learnt
        every = [learnt.values, *learnt.covariates]
        return [a[:, ~self.apart].reshape(-1) for a in every]

    def training_pattern(self, most: int, rng: Generator, ingredients: Ingredients) -> Pattern:
        """Return a random pattern: part of the record in space and time, some of its drivers."""
        series, rows = self._draw_learnt(most, rng)
        series = replace(series, values=np.where(self.apart, np.nan, series.values))
        target = self.target & ~self.apart
        steps = slice(0, len(target))
        shortest = max(_SHORTEST, self.minimum)
        if len(target) > shortest and rng.random() < 0.3:
            length = int(rng.integers(shortest, len(target) + 1))
            start = int(rng.integers(0, len(target) - length + 1))
            if target[start : start + length].sum() >= _FEWEST_TARGETS:
                steps = slice(start, start + length)
        available = len(series.covariates)
        drivers: Sequence[int] = range(available)
        if available and rng.random() < 0.5:
            drivers = sorted(rng.permutation(available)[: int(rng.integers(0, available))].tolist())
        part = cut(series, steps, np.arange(len(series.values)), range(available))
        if rng.random() < 0.2:
            part = replace(part, values=_spoilt(part, rng))
        longest, usual, scattered = self.gaps
        if rng.random() < scattered:
            hidden = hide_cells(np.isfinite(part.values) & target[steps], rng)
        else:
            hidden = hide_steps(target[steps], rng, longest=longest, usual=usual)[None]
        hidden = np.broadcast_to(hidden, part.values.shape) & np.isfinite(part.values)
        return series_pattern(part, hidden, rows, ingredients, drivers)

    def validation_pattern(self, k: int, most: int, ingredients: Ingredients) -> Pattern:
        """Return the pattern that hides block ``k // 2``: all of it, or every other of its steps.

        Everything else is there, the other blocks as well.
        """
        rng = np.random.default_rng([k, len(self.years)])
        series, rows = self._draw_kept(most, rng)
        hidden = self.blocks[k // 2] & self.target
        if k % 2:
            hidden = hide_singles(hidden, rng, len(hidden))
        wanted = np.broadcast_to(hidden, series.values.shape) & np.isfinite(series.values)
        made = series_pattern(series, wanted, rows, ingredients)
        return replace(made, hidden="single steps" if k % 2 else "runs")

    def _draw_learnt(self, most: int, rng: Generator) -> tuple[Series, NDArray[np.intp]]:
        """Return series for the base models, and which of them a training pattern keeps.

        None of them from cells set aside.
        """
        whole, learnt = self._sampled, ~self._aside
        rows = np.flatnonzero(learnt[whole.cells])
        if self.in_memory:
            rows = _part_of(rows, len(self.arrays) * len(self.years), most, rng)
        series = cut(whole.series, slice(None), rows, range(len(whole.series.covariates)))
        if self.in_memory:
            return series, _some(np.arange(len(rows)), most, rng)
        series, rows = _joined(series, self._box(rng, learnt))
        return series, _some(rows, most, rng)

    def _draw_kept(self, most: int, rng: Generator) -> tuple[Series, NDArray[np.intp]]:
        """Return series for the base models, and which of them a validation pattern keeps.

        Those from cells set aside, where there are such.
        """
        whole = self._sampled
        kept = self._aside if self._aside.any() else ~self._aside
        if self.in_memory:
            return whole.series, _some(np.flatnonzero(kept[whole.cells]), most, rng)
        series, rows = _joined(whole.series, self._box(rng, kept))
        return series, _some(rows, most, rng)

    def _box(self, rng: Generator, fitting: Bools) -> Series:
        """Read the fitting series of a block of cells around one of those in the sample."""
        cells = self._sampled.cells
        cells = cells[fitting[cells]]
        if not len(cells):
            raise InputError(
                f"{self.name} holds data in too few cells to set some of them aside; expected "
                "some in every part of it: give it without those that are all missing"
            )
        at = np.unravel_index(int(rng.choice(cells)), self.area.shape)
        starts = [n * (int(i) // n) for i, n in zip(at, self._box_shape(), strict=True)]
        sizes = zip(starts, self._box_shape(), self.area.shape, strict=True)
        index = tuple(slice(start, min(start + n, size)) for start, n, size in sizes)
        return self._series(index, fitting.reshape(self.area.shape)).series

    def _box_shape(self) -> list[int]:
        """Return the cells along each axis of space of what is read at a time."""
        array = self.arrays[0]
        sizes = [a.size for a in self.plan.pointwise]
        if is_lazy(array):
            sizes = [min(n, c) for n, c in zip(sizes, array.chunksize, strict=False)]
        while math.prod(sizes) > _CELLS_AT_A_TIME:
            sizes[int(np.argmax(sizes))] //= 2
        return [max(1, n) for n in sizes]

    def _series(self, index: tuple[slice, ...], fitting: Bools | None = None) -> _Read:
        """Read the series of some cells, those without data left out."""
        raw = computed([a[index] for a in self.arrays])
        flat = np.stack([np.asarray(a, np.float64).reshape(-1, len(self.years)) for a in raw])
        flat[~np.isfinite(flat)] = np.nan
        cells = np.arange(self.area.size).reshape(self.area.shape)[index].reshape(-1)
        kept = np.isfinite(flat[0]).any(1)
        if fitting is not None:
            kept &= fitting[index].reshape(-1)
        everything = np.ones(len(self.years), bool)
        area = self.area[index].reshape(-1)[kept]
        made = Series(flat[0, kept], self.years, everything, flat[1:, kept], area)
        return _Read(made, cells[kept])


def scale_of(fields: Sequence[Any]) -> Scale:
    """Return means and deviations over what is learnt from, of a lazy variable over a sample.

    Parameters
    ----------
    fields : sequence of SeriesField, WindowField or MonthField
        All with the same covariates.
    """
    parts = [field.training_values() for field in fields]
    count = min(map(len, parts))
    columns = [np.concatenate([part[i] for part in parts]) for i in range(count)]
    columns = [c[np.isfinite(c)] for c in columns]
    mean = tuple(float(c.mean()) if c.size else 0.0 for c in columns)
    deviation = (float(c.std()) if c.size else 1.0 for c in columns)
    return Scale(mean, tuple(d if d > 0 else 1.0 for d in deviation))


@dataclass(frozen=True)
class _Read:
    """Series, and the number of the cell that each belongs to."""

    series: Series
    cells: NDArray[np.intp]

    def every(self, n: int) -> _Read:
        kept = np.arange(0, len(self.cells), max(1, n))
        drivers = range(len(self.series.covariates))
        return _Read(cut(self.series, slice(None), kept, drivers), self.cells[kept])


def computed(arrays: Sequence[Any]) -> Sequence[Any]:
    """Return arrays in memory, lazy ones computed together."""
    if not any(is_lazy(a) for a in arrays):
        return arrays
    import dask

    # Copies: a part of a chunk that is only looked at keeps the whole chunk in memory.
    parts = [a.map_blocks(np.copy) if is_lazy(a) else a for a in arrays]
    read: Sequence[Any] = dask.compute(*parts)  # type: ignore[no-untyped-call, attr-defined]
    return read


def _part_of(rows: NDArray[np.intp], values: int, most: int, rng: Generator) -> NDArray[np.intp]:
    """Return part of the rows, each of so many values: every few of them, or neighbouring ones."""
    every = max(3 if len(rows) > 3 * most else 1, math.ceil(len(rows) * values / SUMMARY_ELEMENTS))
    # The bases know as much from every few cells; a part of the world has patterns of its own.
    rows = rows[int(rng.integers(every)) :: every]
    if len(rows) > 100 and rng.random() < 0.3:
        length = int(len(rows) * rng.uniform(0.05, 0.5))
        start = int(rng.integers(0, len(rows) - length + 1))
        rows = rows[start : start + length]
    return rows


def _some(rows: NDArray[np.intp], most: int, rng: Generator) -> NDArray[np.intp]:
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def _joined(first: Series, second: Series) -> tuple[Series, NDArray[np.intp]]:
    """Return the series of both, and the rows of the second."""
    made = replace(
        first,
        values=np.concatenate([first.values, second.values]),
        covariates=np.concatenate([first.covariates, second.covariates], axis=1),
        area=np.concatenate([first.area, second.area]),
    )
    return made, len(first.values) + np.arange(len(second.values))


def _spoilt(series: Series, rng: Generator) -> Floats:
    """Return the values with noise as large as a fifth of their deviation on every step."""
    observed = np.isfinite(series.values)
    count = np.maximum(observed.sum(1, keepdims=True), 1)
    mean = np.where(observed, series.values, 0.0).sum(1, keepdims=True) / count
    squares = np.where(observed, (series.values - mean) ** 2, 0.0).sum(1, keepdims=True) / count
    noise = 0.2 * rng.random() * np.sqrt(squares) * rng.standard_normal(series.values.shape)
    spoilt: Floats = series.values + noise
    return spoilt
