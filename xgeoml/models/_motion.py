"""Motion of fields from step to step, and fields that are moved along it.

A velocity has two components, along rows and along columns, in cells for the length of an interval.
It is that of what passes a cell half-way through the interval, so that it is the same, but for its
sign, when time runs backwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
from scipy import fft, ndimage

from xgeoml.models.series import Bools, Floats

# Fields with fewer rows or columns show no motion.
SMALLEST = 8
# Resolutions, each half as fine as the one before, and how many cells the coarsest has at least.
_LEVELS, _COARSEST = 4, 8
# Cells around one that are taken to move like it, and over which velocities are alike.
_AROUND, _ALIKE = 12.0, 12.0
# The same, where all cells of the field are looked at, for the last of the improvements.
_FINE_AROUND = 6.5
# Improvements of the velocity at each resolution, and at the finest.
_ROUNDS, _FINE_ROUNDS = 4, 3
# What the intervals before and after count, as long as the motion is being found and at last.
_BESIDE, _FINE_BESIDE = 1.0, 0.1
# Strength of the likeness of velocities, in shares of the mean squared gradient.
_STRENGTH, _FINE_STRENGTH = 0.15, 0.5
# Cells over which misfits are compared, and the share of the mean misfit that none falls below.
_MISFIT, _LEAST_MISFIT = 8.0, 0.05
# Cells that a velocity changes by at most in one improvement.
_STRIDE = 2.0
# Intervals more than so many times as long as the one in question tell nothing of it.
_LONGEST = 2.5
# Values that are much more skewed than waves are, such as rain, are looked at as logarithms; then
# this share of a deviation is told from nothing.
_SKEWED, _LITTLE = 1.5, 0.02
# Means over more cells than this are made on a coarser grid.
_WIDE = 6.0
# Weight of the mean of more cells, where missing ones are made from those around.
_FEW = 0.01
_TINY = 1e-30


@dataclass(frozen=True)
class Grid:
    """Means over the cells of a grid, and fields that are moved on it.

    Around the Earth a coarser grid keeps its columns, so that no column has a place of its own;
    there several columns count as one cell.

    Parameters
    ----------
    rows, columns : int
    around : bool
        Whether the last column neighbours the first.
    wide : int
        Columns that count as one cell.
    """

    rows: int
    columns: int
    around: bool = False
    wide: int = 1

    @property
    def coarse(self) -> Grid:
        """The grid of half the resolution; the middle of the two is the same."""
        rows = (self.rows + 1) // 2
        if self.around:
            return Grid(rows, self.columns, True, 2 * self.wide)
        return Grid(rows, (self.columns + 1) // 2)

    @property
    def smallest(self) -> int:
        """Cells along the shorter side."""
        return min(self.rows, self.columns // self.wide)

    def mean(self, of: Floats, width: float) -> Floats:
        """Return means weighted by a bell curve, `width` cells its deviation, ``(..., y, x)``."""
        if width > _WIDE:
            few: Floats = _bells(self.rows, width) @ of
            if not self.around:
                few = few @ _bells(self.columns, width).T
            else:
                few = self._across(few, width)
            return self._fine(few)
        made = ndimage.gaussian_filter1d(of, width, axis=-2, mode="nearest", truncate=3.0)
        if self.around:
            return self._across(made, width)
        return ndimage.gaussian_filter1d(made, width, axis=-1, mode="nearest", truncate=3.0)

    def _across(self, of: Floats, width: float) -> Floats:
        """Return means along columns that go around the Earth."""
        waves = np.arange(self.columns // 2 + 1) * (2.0 * np.pi * self.wide * width / self.columns)
        return np.asarray(fft.irfft(fft.rfft(of) * np.exp(-0.5 * waves**2), self.columns))

    def halved(self, of: Floats) -> Floats:
        """Return the field on the coarse grid."""
        coarse = self.coarse
        made = _at(self.mean(of, 1.0), _places(self.rows, coarse.rows), -2)
        return made if self.around else _at(made, _places(self.columns, coarse.columns), -1)

    def doubled(self, velocity: Floats) -> Floats:
        """Return a velocity of the coarse grid on this one."""
        return 2.0 * self._fine(velocity)

    def _fine(self, coarse: Floats) -> Floats:
        """Return a field of fewer cells on this grid."""
        made = _at(coarse, _back(self.rows, coarse.shape[-2]), -2)
        return made if self.around else _at(made, _back(self.columns, coarse.shape[-1]), -1)

    def gradient(self, of: Floats) -> tuple[Floats, Floats]:
        """Return the change from cell to cell along rows and along columns."""
        down = np.asarray(np.gradient(of, axis=-2))
        if not self.around:
            return down, np.asarray(np.gradient(of, axis=-1))
        across = np.roll(of, -1, axis=-1) - np.roll(of, 1, axis=-1)
        return down, 0.5 * self.wide * across

    def warp(self, of: Floats, flow: Floats) -> Floats:
        """Return what is `flow` away from each cell, ``(..., y, x)``, of a field without gaps."""
        down = np.clip(np.arange(self.rows)[:, None] + flow[0], 0.0, self.rows - 1.0)
        across = np.arange(self.columns) + self.wide * flow[1]
        mode: Literal["grid-wrap", "nearest"] = "grid-wrap" if self.around else "nearest"
        fields = of.reshape(-1, self.rows, self.columns)
        made = [ndimage.map_coordinates(f, (down, across), order=1, mode=mode) for f in fields]
        return np.stack(made).reshape(of.shape)

    def filled(self, of: Floats, known: Bools) -> Floats:
        """Return the fields with what is missing made from the cells around, ``(..., y, x)``."""
        if known.all():
            return of
        there, share = np.where(known, of, 0.0), known.astype(np.float64)
        total, count = there.sum((-2, -1), keepdims=True), share.sum((-2, -1), keepdims=True)
        made = np.broadcast_to(total / np.maximum(count, 1.0), of.shape)
        for width in (32.0, 8.0, 2.0):
            # A few neighbours far away count no more than the mean of more.
            weight = self.mean(share, width) + _FEW
            made = (self.mean(there, width) + _FEW * made) / weight
        return np.where(known, of, made)


def warp(value: Floats, flow: Floats, around: bool = False) -> Floats:
    """Return what is `flow` away from each cell, linear between the cells.

    Parameters
    ----------
    value : ndarray, (..., y, x)
        NaN where missing. Beyond the edges lies what is on them.
    flow : ndarray, (2, y, x)
        Rows and columns from each cell to where its value comes from.
    around : bool
        Whether the last column neighbours the first.

    Returns
    -------
    ndarray, (..., y, x)
        NaN where less than half of what would count is known.
    """
    grid = Grid(value.shape[-2], value.shape[-1], around)
    known = np.isfinite(value)
    if known.all():
        return grid.warp(value, flow)
    share = grid.warp(known.astype(np.float64), flow)
    made = grid.warp(np.where(known, value, 0.0), flow)
    there = share >= 0.5
    return np.where(there, made / np.where(there, share, 1.0), np.nan)


def flow_between(
    first: Floats,
    second: Floats,
    at: float = 0.0,
    around: bool = False,
    before: Floats | None = None,
    after: Floats | None = None,
) -> Floats:
    """Return the motion from one field to another.

    Parameters
    ----------
    first, second : ndarray, (y, x) or (component, y, x)
        NaN where missing.
    at : float
        When the motion is looked at, 0 to 1: that of what is in a cell of `first`, of `second`, or
        passes the cell at a time between.
    around : bool
        Whether the last column neighbours the first.
    before, after : ndarray, optional
        Fields an interval earlier and later, which make it steadier.

    Returns
    -------
    ndarray, (2, y, x)
        Rows and columns from the first to the second: ``warp(second, (1 - at) * flow)`` and
        ``warp(first, -at * flow)`` are alike.
    """
    fields = {-1.0: before, 0.0: first, 1.0: second, 2.0: after}
    there = {t: f for t, f in fields.items() if f is not None}
    steps = np.stack([f.reshape(-1, *f.shape[-2:]) for f in there.values()], axis=1)
    motion = Motion(steps, np.array(list(there)), around)
    return motion.velocity_at(at)


class Motion:
    """How what is seen in some steps moves through the interval from time 0 to time 1.

    Found from coarse to fine; at each resolution the steps are brought together half-way by what is
    known of the motion, and what then still differs from step to step is explained by more of it,
    by least squares over the cells around (Lucas and Kanade 1981, IJCAI, 674-679). What has changed
    more than it has moved counts less. The intervals before and after are taken to have the
    same motion.

    Parameters
    ----------
    value : ndarray, (component, step, y, x)
        NaN where missing.
    times : ndarray, (step,)
        Ascending; 0 and 1 are among them.
    around : bool
        Whether the last column neighbours the first.
    """

    def __init__(self, value: Floats, times: Floats, around: bool = False) -> None:
        first = int(np.searchsorted(times, 0.0))
        low = first - int(first > 0 and times[first - 1] >= -_LONGEST)
        last = first + 2
        high = last + int(last < len(times) and times[last] <= 1.0 + _LONGEST)
        # Of the intervals, the one in question.
        self.first = first - low
        self.times = times[low:high]
        self.steps = slice(low, high)
        self.grid = Grid(value.shape[-2], value.shape[-1], around)
        looked = _looked_at(value[:, low:high])
        known = np.isfinite(looked)
        self._fields = [self.grid.filled(looked, known)]
        self._shares = [None if known.all() else known[:, :1].astype(np.float64)]
        self._grids = [self.grid]
        while len(self._grids) < _LEVELS and self._grids[-1].smallest >= 2 * _COARSEST:
            grid, share = self._grids[-1], self._shares[-1]
            self._fields.append(grid.halved(self._fields[-1]))
            self._shares.append(None if share is None else grid.halved(share))
            self._grids.append(grid.coarse)
        self._half = min(1, len(self._grids) - 1)
        coarse = np.zeros((2, self._grids[-1].rows, self._grids[-1].columns))
        own = np.arange(len(self.times) - 1) == self.first
        for level in range(len(self._grids) - 1, self._half - 1, -1):
            if level < len(self._grids) - 1:
                coarse = self._grids[level].doubled(coarse)
            coarse = self._improved(level, coarse, np.where(own, 1.0, _BESIDE), _ROUNDS)
        # Of half the resolution, for what is to be compared with it.
        self._coarse = coarse
        velocity = self.grid.doubled(coarse) if self._half else coarse
        weights = np.where(own, 1.0, _FINE_BESIDE)
        self.velocity = self._improved(0, velocity, weights, _FINE_ROUNDS, fine=True)

    def velocity_at(self, time: float) -> Floats:
        """Return the velocity of what passes each cell at a time."""
        if time == 0.5:
            return self.velocity
        # What passes here is taken to be as fast as what passes here half-way: it varies slowly.
        return self.grid.warp(self.velocity, (0.5 - time) * self.velocity)

    @cached_property
    def unsteadiness(self) -> float | None:
        """By how much of its way what moves is early or late at a step, squared, on average.

        Told from how much the motion differs from interval to interval; None where there is one
        interval only.
        """
        count = len(self.times) - 1
        if count < 2:
            return None
        each = []
        for interval in range(count):
            alone = (np.arange(count) == interval).astype(np.float64)
            each.append(self._improved(self._half, self._coarse, alone, _ROUNDS - 1))
        # If each step were late by chance, this is what the differences would be, squared.
        if count == 2:
            differs, times_late = each[1] - each[0], 6.0
        else:
            differs, times_late = each[1] - 0.5 * (each[0] + each[2]), 5.0
        fields = self._fields[self._half]
        moved = fields[self.first + 1] - fields[self.first]
        weight = self._grids[self._half].mean((moved**2).sum(axis=0), 2.0)
        speed = (np.mean(each, axis=0) ** 2).sum(axis=0)
        late = (weight * (differs**2).sum(axis=0)).sum() / times_late
        return float(late / ((weight * speed).sum() + _TINY))

    def _improved(
        self, level: int, velocity: Floats, weights: Floats, rounds: int, fine: bool = False
    ) -> Floats:
        """Return the velocity after some improvements, each interval with its weight."""
        grid, fields, share = self._grids[level], self._fields[level], self._shares[level]
        around = _FINE_AROUND if fine else _AROUND
        strength = _FINE_STRENGTH if fine else _STRENGTH
        for _ in range(rounds):
            terms = self._terms(grid, fields, share, velocity, weights)
            yy, yx, xx, y, x = grid.mean(terms, around)
            likeness = strength * float((yy + xx).mean()) + _TINY
            alike = grid.mean(velocity, _ALIKE) - velocity
            yy, xx = yy + likeness, xx + likeness
            y, x = y + likeness * alike[0], x + likeness * alike[1]
            more = np.stack([xx * y - yx * x, yy * x - yx * y]) / (yy * xx - yx**2)
            velocity = velocity + np.clip(more, -_STRIDE, _STRIDE)
        return velocity

    def _terms(
        self,
        grid: Grid,
        fields: Floats,
        share: Floats | None,
        velocity: Floats,
        weights: Floats,
    ) -> Floats:
        """Return what each cell adds to the equations of the velocity, (5, y, x)."""
        used = np.flatnonzero(np.convolve(weights > 0.0, [1, 1]))
        moved, there = {}, {}
        for step in used.tolist():
            flow = (self.times[step] - 0.5) * velocity
            moved[step] = grid.warp(fields[step], flow)
            if share is not None:
                there[step] = grid.warp(share[step], flow)
        slope = {step: grid.gradient(f) for step, f in moved.items()}
        total = np.zeros((5, *velocity.shape[1:]))
        for step in np.flatnonzero(weights > 0.0).tolist():
            length = 0.5 * (self.times[step + 1] - self.times[step])
            differs = moved[step + 1] - moved[step]
            y, x = (length * (a + b) for a, b in zip(slope[step], slope[step + 1], strict=True))
            counts: Floats | float = 1.0
            if share is not None:
                # What was made for missing cells says nothing, nor does its border.
                counts = np.clip(2.0 * there[step] * there[step + 1] - 1.0, 0.0, 1.0)
            misfit = grid.mean(counts * differs**2, _MISFIT)
            level = misfit.mean((-2, -1), keepdims=True)
            counts = weights[step] * counts * level / (misfit + _LEAST_MISFIT * level + _TINY)
            terms = np.stack([y * y, y * x, x * x, -y * differs, -x * differs])
            total += (counts * terms).sum(axis=1)
        return total


def _looked_at(value: Floats) -> Floats:
    """Return the values in a form in which all that moves shows, (step, component, y, x).

    The same for other units. The signs of vectors have no lower end, so they are left as they are.
    """
    made = []
    for component in value:
        known = component[np.isfinite(component)]
        spread = float(known.std()) if known.size else 0.0
        if spread == 0.0 or spread <= 1e-12 * float(np.abs(known).max()):
            made.append(np.where(np.isfinite(component), 0.0, np.nan))
            continue
        level = (known - known.mean()) / spread
        if len(value) == 1 and float((level**3).mean()) > _SKEWED:
            component = np.log1p((component - known.min()) / (_LITTLE * spread))
            known = component[np.isfinite(component)]
        made.append((component - known.mean()) / known.std())
    fields = np.stack(made, axis=1)
    missing = np.isnan(fields).any(axis=1, keepdims=True)
    return np.where(missing, np.nan, fields)


def _apart(size: int, few: int) -> int:
    """Return how many cells of an axis there are for one of a coarser axis."""
    return -(-size // few)


def _places(size: int, few: int) -> Floats:
    """Return where a coarser axis has its cells, in cells of the axis; their middle is the same."""
    from_middle = np.arange(few) - 0.5 * (few - 1)
    return np.asarray(0.5 * (size - 1) + _apart(size, few) * from_middle)


def _back(size: int, few: int) -> Floats:
    """Return where an axis has its cells, in cells of a coarser axis."""
    from_middle = np.arange(size) - 0.5 * (size - 1)
    return np.asarray(0.5 * (few - 1) + from_middle / _apart(size, few))


def _at(of: Floats, places: Floats, axis: Literal[-2, -1]) -> Floats:
    """Return a field at some places of an axis, linear between its cells."""
    last = of.shape[axis] - 1
    places = np.clip(places, 0.0, last)
    low = np.floor(places).astype(np.intp)
    share = places - low if axis == -1 else (places - low)[:, None]
    first, second = (np.take(of, np.minimum(i, last), axis=axis) for i in (low, low + 1))
    return np.asarray(first + share * (second - first))


@lru_cache(maxsize=32)
def _bells(size: int, width: float) -> Floats:
    """Return the matrix to means at places of an axis that are about half a width apart."""
    few = -(-size // int(width / 2.0))
    apart = _places(size, few)[:, None] - np.arange(size)
    weight = np.exp(-0.5 * (apart / width) ** 2)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))
