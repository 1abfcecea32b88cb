"""Optimal interpolation in space and time: gaps filled from what is seen around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from xgeoml.models._covariance import fit, pairs
from xgeoml.models._neighbours import (
    HALO,
    TILE,
    Neighbourhood,
    Places,
    Record,
    Window,
    guess,
    inner,
    level,
    neighbourhood,
    positions,
    surround,
    window,
)
from xgeoml.models._robust import robust_scale
from xgeoml.models.background import background
from xgeoml.models.field import Field, FieldSample
from xgeoml.models.kalman import Kalman
from xgeoml.models.series import Bools, Estimate, Floats, Series, State, without_drivers

# An anomaly beyond so many robust standard deviations is an error, unless the step before or after
# has one of this share of it: what is real lasts.
_ABSURD, _LONE = 8.0, 0.3
# What the smoother says of a cell counts by this power of the neighbours' error variance. Of what
# is seen at the same step nearby it knows little; with the other steps it does more than they do.
_BESIDE, _ALONE = 3.0, 0.5
# Share of what is explained from which on neighbours at the same step count as such in full.
_ENOUGH_AT_ONCE = 0.2
# Series that are in memory with all their parts at a time, and tiles side by side that have them.
_AT_ONCE, _STRIP = 256, 16
# Of each patch, the steps of a run, and the runs, that the covariance is read from.
_RUN, _RUNS = 512, 6
# Steps with held-out values and tiles of steps that are tried, at most; values after which the
# error that was found counts as much as the expected one; and its bounds.
_HELD_STEPS, _HELD_TILES, _HELD_VALUES = 40, 1500, 50.0
# Shares of noise that are tried, the first if none is better, and the share of the held-out values
# that choose.
_NOISES, _MOST_HELD = (1e-3, 1e-6, 1e-4, 3e-3, 1e-2, 3e-2), 0.98
_LEAST_INFLATION, _MOST_INFLATION = 0.8, 2.0
_NORMAL_90 = 1.6449
# A cell is taken for constant if its smoother is this much surer than its neighbours vary.
_CONSTANT = 1e-4

_Kind = TypeVar("_Kind", bound=np.generic)


class OptimalInterpolation:
    """Each gap from the values around it in space and time, weighted by how alike they are.

    The anomalies from each cell's mean and from the trend and cycles of all cells around have a
    covariance that depends on the steps and the cells between two values, and is fitted to the
    record's own pairs of values. Where little is seen nearby the smoother of the leading patterns,
    `xgeoml.models.kalman`, has its say.

    Parameters
    ----------
    drivers : bool
        Whether drivers, where they are given, explain part of each value beforehand.

    Attributes
    ----------
    tile : int
        Cells along y and x that share their neighbours; a multiple is as good for the engine.
    halo : int
        No cell further away from a tile has a say.

    Notes
    -----
    Simple kriging (Gandin 1963; Bretherton, Davis and Fandry 1976, Deep-Sea Res. 23, 559-582) of
    the cells of each tile from one set of neighbours. The least share of noise is chosen, and the
    spread calibrated, on values of the sample that are held out in the shape of other steps' gaps.
    """

    tile = TILE
    halo = HALO + 1

    def __init__(self, drivers: bool = True) -> None:
        self.drivers = drivers
        self._smoother = Kalman(drivers)

    def summarise(self, sample: FieldSample) -> State:
        """Return the covariance of the field, and what the smoother knows.

        Parameters
        ----------
        sample : FieldSample

        Returns
        -------
        dict
            `shares`, (process,): of the variance, see `xgeoml.models._covariance.fit`; `variance`,
            (): of the anomalies; `noise`, (): least share of noise, that with which held-out values
            were met best; `inflation`, (): error of these values over the expected one;
            and what `Kalman.summarise` returns.
        """
        state = dict(self._smoother.summarise(_without_absurd(sample.series)))
        pieces = [
            piece
            for patch in sample.patches
            for piece in _pieces(self._without_drivers(patch, sample.series.years, state))
        ]
        found = [_level(piece, None) for piece in pieces]
        number = sum(int(one.known.sum()) for one in found)
        variance = sum(float((one.value**2).sum()) for one in found) / max(number, 1)
        scaled = ((piece, _level(piece, variance)) for piece in pieces)
        shares = fit(pairs(run for piece, one in scaled for run in _runs(piece, one)))
        # A fit to correlations cannot tell a smooth field with a little noise from a rough one.
        near = [neighbourhood(shares, noise) for noise in _NOISES]
        held_out = zip(_NOISES, _held_out(pieces, near, variance), strict=True)
        noise, held = min(held_out, key=lambda one: one[1].misfit)
        return state | {
            "shares": shares,
            "variance": np.array(variance),
            "noise": np.array(noise),
            "inflation": np.array(_inflation(held)),
        }

    def predict(self, block: Field, state: State) -> Estimate:
        """Return the estimate of the cells inside `block`.

        Parameters
        ----------
        block : Field
            Its halo is `halo` cells or more.
        state : dict
            What `summarise` returned.

        Returns
        -------
        Estimate
            (y, x, time) each. A usable value is its own estimate.
        """
        # One cell more tells whether those at the edge stand alone.
        block = _cropped(block, HALO + 1)
        shares = np.asarray(state["shares"], dtype=np.float64)
        near = neighbourhood(shares, float(state["noise"]))
        response = self._response(block, state)
        rest = _cleaned(replace(block, values=block.values - response))
        near_by = _cropped(rest, HALO)
        record = surround(*_stacked(near_by), block.years, near_by.halo)
        interior, response = _part(block, block.inside), response[block.inside]
        usual = np.isfinite(rest.values[block.inside])
        sound = replace(interior, values=np.where(usual, interior.values, np.nan))
        result = Estimate(*(np.full_like(interior.values, np.nan) for _ in Estimate._fields))
        lefts = _spans(interior.values.shape[1], block.tile[1], TILE)
        for rows in _spans(interior.values.shape[0], block.tile[0], TILE):
            for first in range(0, len(lefts), _STRIP):
                strip = lefts[first : first + _STRIP]
                across = slice(strip[0].start, strip[-1].stop)
                prior = self._smoothed(_part(sound, (rows, across)), state)
                for columns in strip:
                    here = window(record, (rows.start, columns.start), float(state["variance"]))
                    place = slice(columns.start - across.start, columns.stop - across.start)
                    driven = response[rows, columns]
                    smooth = Estimate(prior.mean[:, place] - driven, prior.spread[:, place])
                    values = interior.values[rows, columns] - driven
                    made = _tile(values, here, record, smooth, near, float(state["inflation"]))
                    result.mean[rows, columns] = made.mean + driven
                    result.spread[rows, columns] = made.spread
        return result

    def _response(self, field: Field, state: State) -> Floats:
        """Return the part of all values that the drivers explain, 0 where there is none."""
        response: Floats = np.broadcast_to(0.0, field.values.shape)
        some = np.flatnonzero(np.isfinite(field.values).any(axis=-1))
        if self.drivers and len(field.covariates) and len(some):
            response = np.zeros(field.values.shape)
            flat = response.reshape(-1, len(field.years))
            for start in range(0, len(some), _AT_ONCE):
                cells = some[start : start + _AT_ONCE]
                series = _series(field, cells)
                flat[cells] = background(series, state) - background(without_drivers(series))
        return response

    def _without_drivers(self, patch: Field, years: Floats, state: State) -> Field:
        """Return a piece without the response to drivers, which is that of the whole record."""
        if not np.array_equal(patch.years, years):
            return patch
        return replace(patch, values=patch.values - self._response(patch, state))

    def _smoothed(self, part: Field, state: State) -> Estimate:
        """Return what the smoother says of each cell, NaN where it says nothing."""
        some = np.isfinite(part.values).any(axis=-1)
        found = Estimate(*(np.full_like(part.values, np.nan) for _ in Estimate._fields))
        if some.any():
            series = _series(part, np.flatnonzero(some))
            found.mean[some], found.spread[some] = self._smoother.predict(series, state)
        return found


def _tile(
    values: Floats,
    here: Window,
    record: Record,
    smooth: Estimate,
    near: Neighbourhood,
    inflation: float,
) -> Estimate:
    """Return the estimate of the cells of a tile, (y, x, time)."""
    rows, columns = values.shape[:2]

    def own(cells: NDArray[_Kind]) -> NDArray[_Kind]:
        """Return the tile's part of a window, its first axis last."""
        return np.moveaxis(inner(cells)[:, :rows, :columns], 0, -1)

    known = own(here.known[:-1])
    deviation = own(here.deviation[None])
    mean, spread = values.copy(), np.where(known, np.sqrt(near.noise) * deviation, np.nan)
    some = np.isfinite(smooth.mean).any(axis=-1, keepdims=True)
    at = np.flatnonzero((some & ~known).any(axis=(0, 1)))
    said = guess(here, record.around[at], near)
    normal, variance, at_once = (
        np.moveaxis(part.reshape(-1, TILE, TILE)[:, :rows, :columns], 0, -1) for part in said
    )
    share = variance ** (_ALONE + (_BESIDE - _ALONE) * np.minimum(at_once / _ENOUGH_AT_ONCE, 1.0))
    guessed = own(here.centre[None]) + here.level[at] + normal * deviation
    doubt = variance * (inflation * deviation) ** 2
    other, other_doubt = smooth.mean[..., at], smooth.spread[..., at] ** 2
    # A cell of one value has no smoother, one of untrusted values alone nothing else.
    share = np.where(np.isfinite(other_doubt), share, 0.0)
    share = np.where(np.isfinite(guessed), share, 1.0)
    # Of a cell that never changes the smoother is sure, whatever its neighbours do.
    share = np.where(other_doubt < (_CONSTANT * deviation) ** 2, 1.0, share)
    guessed = np.where(share < 1.0, guessed, 0.0)
    mixed = guessed + np.where(share > 0.0, share * (other - guessed), 0.0)
    doubt += np.where(share > 0.0, share * (other_doubt - doubt), 0.0)
    wanted = some & ~known[..., at]
    mean[..., at] = np.where(wanted, mixed, mean[..., at])
    spread[..., at] = np.where(wanted, np.sqrt(doubt), spread[..., at])
    return Estimate(mean, spread)


def _series(field: Field, cells: Places) -> Series:
    """Return some cells, counted row by row, as series."""
    y, x = np.divmod(cells, field.values.shape[1])
    values, drivers = field.values[y, x], field.covariates[:, y, x]
    return Series(values, field.years, field.trusted, drivers, np.ones(len(cells)))


def _departures(series: Series) -> tuple[Floats, Bools]:
    """Return how far values lie from trend and cycles, and which stand alone in time."""
    usable = series.usable()
    usual = background(without_drivers(series))
    size = np.abs(np.where(usable, series.values - usual, 0.0))
    lone = size > _ABSURD * robust_scale(size, usable)[:, None]
    lone[:, 1:] &= size[:, :-1] <= _LONE * size[:, 1:]
    lone[:, :-1] &= size[:, 1:] <= _LONE * size[:, :-1]
    return size, lone


def _without_absurd(series: Series) -> Series:
    """Return the series without values that can only be errors."""
    _, lone = _departures(series)
    return replace(series, values=np.where(lone, np.nan, series.values)) if lone.any() else series


def _cleaned(field: Field) -> Field:
    """Return the field without values that can only be errors: nothing beside them is like them.

    A burst of rain lasts a step, but falls on more than one cell.
    """
    size, lone = np.zeros(field.values.shape), np.zeros(field.values.shape, dtype=bool)
    flat = len(field.years)
    some = np.flatnonzero(np.isfinite(field.values).any(axis=-1))
    for start in range(0, len(some), _AT_ONCE):
        cells = some[start : start + _AT_ONCE]
        found = _departures(_series(field, cells))
        size.reshape(-1, flat)[cells], lone.reshape(-1, flat)[cells] = found
    if not lone.any():
        return field
    y, x, step = np.nonzero(lone)
    around = np.pad(size, ((1, 1), (1, 1), (0, 0)))
    beside = [around[y + i, x + j, step] for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    lone[y, x, step] = np.max(beside, axis=0) <= _LONE * size[y, x, step]
    return replace(field, values=np.where(lone, np.nan, field.values))


def _stacked(field: Field) -> tuple[Floats, Bools]:
    """Return the usable values, 0 elsewhere, and where they are, (step + 1, y, x)."""
    usable = np.isfinite(field.values) & field.trusted
    more = (0, 1), (0, 0), (0, 0)
    value = np.moveaxis(np.where(usable, field.values, 0.0), -1, 0)
    return np.pad(value, more), np.pad(np.moveaxis(usable, -1, 0), more)


def _spans(cells: int, tile: int, most: int) -> list[slice]:
    """Return spans of at most so many cells, which do not cross the ends of tiles."""
    return [
        slice(start, min(start + most, first + tile, cells))
        for first in range(0, cells, tile)
        for start in range(first, min(first + tile, cells), most)
    ]


def _part(field: Field, where: tuple[slice, slice]) -> Field:
    """Return some cells of a block, without surroundings."""
    return replace(
        field,
        values=field.values[where],
        covariates=field.covariates[(slice(None), *where)],
        halo=(0, 0),
    )


def _cropped(block: Field, most: int) -> Field:
    """Return the block with so many cells of surroundings at most."""
    more = [max(had - most, 0) for had in block.halo]
    rows, columns = block.values.shape[:2]
    where = slice(more[0], rows - more[0]), slice(more[1], columns - more[1])
    halo = block.halo[0] - more[0], block.halo[1] - more[1]
    return replace(_part(block, where), halo=halo)


def _pieces(patch: Field) -> Iterator[Record]:
    """Yield pieces of a patch that are about as large as a tile with its surroundings."""
    value, known = _stacked(_cleaned(patch))
    for y in _spans(value.shape[1], value.shape[1], TILE + 2 * HALO):
        for x in _spans(value.shape[2], value.shape[2], TILE + 2 * HALO):
            yield surround(value[:, y, x], known[:, y, x], patch.years, (HALO, HALO))


def _level(piece: Record, variance: float | None) -> Window:
    """Return all of a piece as one window."""
    flat = len(piece.value), -1
    return level(piece.value.reshape(flat), piece.known.reshape(flat), piece.years, variance)


def _runs(piece: Record, found: Window) -> Iterator[tuple[Floats, Bools]]:
    """Yield runs of evenly spaced steps, with those that are absent, spread over the record."""
    position = positions(piece.years)
    length = int(position[-1]) + 1
    for start in np.linspace(0, max(length - _RUN, 0), min(-(-length // _RUN), _RUNS)).astype(int):
        first, last = np.searchsorted(position, (start, start + _RUN))
        value = np.zeros((min(_RUN, length), *piece.value.shape[1:]))
        known = np.zeros(value.shape, dtype=bool)
        at = position[first:last] - start
        value[at] = found.value[first:last].reshape(-1, *value.shape[1:])
        known[at] = piece.known[first:last]
        yield value, known


class _HeldOut(NamedTuple):
    """Values that were withheld: errors and expected errors, in standard deviations, (value,)."""

    error: Floats
    expected: Floats

    @property
    def misfit(self) -> float:
        """The mean square of the errors, the largest left out; 0 without any."""
        square = np.sort(self.error**2)[: round(_MOST_HELD * len(self.error))]
        return float(square.mean()) if len(square) else 0.0


def _held_out(
    pieces: list[Record], near: Sequence[Neighbourhood], variance: float
) -> list[_HeldOut]:
    """Return what several neighbourhoods make of values withheld in the shape of gaps."""
    random = np.random.default_rng(0)
    made = [([np.zeros(0)], [np.zeros(0)]) for _ in near]
    tiles = [
        (piece, y, x)
        for piece in pieces
        for y in range(0, piece.value.shape[1] - TILE, TILE)
        for x in range(0, piece.value.shape[2] - TILE, TILE)
    ]
    for piece, y, x in tiles[:: -(-len(tiles) * _HELD_STEPS // _HELD_TILES) or 1]:
        sides = (0, 0), (HALO, HALO), (HALO, HALO)
        value, known = np.pad(piece.value, sides), np.pad(piece.known, sides)
        held = np.pad(_hold_out(piece.known, random), sides)
        left = piece._replace(value=np.where(held, 0.0, value), known=known & ~held)
        here = window(left, (y, x), variance)
        tile = slice(None), slice(y + HALO, y + HALO + TILE), slice(x + HALO, x + HALO + TILE)
        out = held[tile][:-1] & np.isfinite(inner(here.centre))
        at = np.flatnonzero(out.any(axis=(1, 2)))
        deviation = inner(here.deviation)
        truth = value[tile][at] - inner(here.centre) - here.level[at, None, None]
        for (errors, expected), one in zip(made, near, strict=True):
            mean, square, _ = (
                part.reshape(-1, TILE, TILE) for part in guess(here, piece.around[at], one)
            )
            with np.errstate(divide="ignore", invalid="ignore"):
                error = np.abs(truth / deviation - mean)
            told = out[at] & np.isfinite(error)
            errors.append(error[told])
            expected.append(np.sqrt(square)[told])
    return [_HeldOut(np.concatenate(error), np.concatenate(size)) for error, size in made]


def _inflation(held: _HeldOut) -> float:
    """Return the error of held-out values over the expected one."""
    count = len(held.error)
    if not count:
        return 1.0
    # What nine in ten errors stay below.
    wide = float(np.quantile(held.error / held.expected, 0.9)) / _NORMAL_90
    drawn = (count * wide + _HELD_VALUES) / (count + _HELD_VALUES)
    return float(np.clip(drawn, _LEAST_INFLATION, _MOST_INFLATION))


def _hold_out(known: Bools, random: np.random.Generator) -> Bools:
    """Choose values of some steps in the shape of another step's gaps, or of a box."""
    held = np.zeros_like(known)
    steps = np.flatnonzero(known.any(axis=(1, 2)))
    # The last step is no step of the record.
    gappy = np.flatnonzero((known.any(axis=0) & ~known[:-1]).any(axis=(1, 2)))
    for step in steps[:: max(-(-len(steps) // _HELD_STEPS), 2)]:
        if len(gappy):
            held[step] = known[step] & ~known[random.choice(gappy)]
        else:
            y, x = (int(random.integers(n)) for n in known.shape[1:])
            held[step, y : y + TILE, x : x + TILE] = known[step, y : y + TILE, x : x + TILE]
    return held
