"""What is known of the intervals between steps: predictors of what happens within them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xgeoml.models._daily import distinct_hours, harmonics
from xgeoml.models._regression import seasons_seen
from xgeoml.models.downscaling import Clock
from xgeoml.models.series import Bools, Floats

Singles = NDArray[np.float32]
Steps = NDArray[np.intp]
Tile = tuple[slice, slice]

# Lengths that differ by this share are the same.
_SAME = 0.02
# Harmonics of the day and of the year: of the cycle, and of what the cell's own values count for.
_DAY, _YEAR, _OWN_DAY, _OWN_YEAR = 5, 2, 6, 1
# Rows and columns from which neighbours count, with each of the four fields; see `Intervals`.
_REACH = (2, 2, 1, 1)


class Calendar(NamedTuple):
    """Which harmonics of day and year the predictors have.

    Attributes
    ----------
    day, year : int
        Of the cycle.
    own_day, own_year : int
        Of what the cell's own values count for.
    """

    day: int
    year: int
    own_day: int
    own_year: int

    @classmethod
    def of(cls, clock: Clock) -> Calendar:
        """Return those that a record resolves."""
        most, seasons = distinct_hours(clock) // 2, int(seasons_seen(clock))
        return cls(min(_DAY, most), _YEAR * seasons, min(_OWN_DAY, most), _OWN_YEAR * seasons)


class Parts(NamedTuple):
    """The predictors, in their order.

    Attributes
    ----------
    cycle : slice
        Of the season and the hour alone, the constant first.
    own : ndarray
        The cell's own values, and these by the hour and season.
    rest : ndarray
        All but the cycle and what counts by the hour.
    total : int
    """

    cycle: slice
    own: Steps
    rest: Steps
    total: int

    @classmethod
    def of(cls, calendar: Calendar) -> Parts:
        """Return those of a calendar."""
        cycle = (1 + 2 * calendar.day) * (1 + 2 * calendar.year)
        each = 1 + 2 * calendar.own_day + 2 * calendar.own_year
        around = sum((2 * reach + 1) ** 2 - 1 for reach in _REACH)
        own = cycle + np.arange(len(_REACH) * each)
        by_hour = (own - cycle) % each
        plain = own[(by_hour == 0) | (by_hour > 2 * calendar.own_day)]
        rest = np.concatenate([plain, cycle + len(own) + np.arange(around)])
        return cls(slice(0, cycle), own, rest, cycle + len(own) + around)


class Intervals(NamedTuple):
    """Intervals between two steps each, and the fields around them.

    Attributes
    ----------
    fields : tuple of ndarray, (y, x, interval)
        Difference of the two values, their mean, and what the steps before and after tell of the
        curve: the difference of the changes there, and their mean less that within. In units of
        `scale`; 0 where missing.
    known : ndarray of bool, (y, x, interval)
        Where both values are.
    season, day : ndarray, (interval,)
        When they begin.
    lon : ndarray, (y, x), or None
    scale : float
        Root mean square of the differences.
    """

    fields: tuple[Singles, ...]
    known: Bools
    season: Floats
    day: Floats
    lon: Floats | None
    scale: float

    @classmethod
    def of(
        cls,
        value: Singles,
        days: Floats,
        clock: Clock,
        first: Steps,
        steps: int,
        lon: Floats | None,
        scale: float | None = None,
    ) -> Intervals:
        """Return intervals of some steps.

        Parameters
        ----------
        value : ndarray, (y, x, step)
        days : ndarray, (step,)
        clock : Clock
        first : ndarray, (interval,)
            The step at which each begins.
        steps : int
            From there to the end of it.
        lon : ndarray, (y, x), or None
        scale : float, optional
            Found where not given.
        """
        last = first + steps
        length = days[last] - days[first]
        start, end = value[:, :, first], value[:, :, last]
        change = end - start
        before = start - _beyond(value, days, first, -steps, length)
        after = _beyond(value, days, last, steps, length) - end
        # Where there is no such step, the interval's own change goes on.
        before, after = (np.where(np.isnan(v), change, v) for v in (before, after))
        if scale is None:
            size = float(np.sqrt(np.nanmean(np.square(change, dtype=np.float64))))
            scale = size if size > 0.0 else 1.0
        fields = (change, (start + end) / 2, (after - before) / 2, (after + before) / 2 - change)
        one = np.float32(1.0 / scale)
        return cls(
            tuple(np.asarray(np.nan_to_num(v) * one, np.float32) for v in fields),
            np.isfinite(change),
            clock.season[first],
            clock.day[first],
            lon,
            scale,
        )

    def predictors(self, tile: Tile, calendar: Calendar, more: int = 0) -> Singles:
        """Return the predictors of the cells of a tile, ``(y, x, predictor + more, interval)``.

        Neighbours count by what they differ from the cell, not at all where they are missing. All
        are 0 where the cell is missing itself.
        """
        known = self.known[tile]
        parts = Parts.of(calendar)
        made = np.zeros((*known.shape[:2], parts.total + more, known.shape[2]), np.float32)
        day, year = harmonics(self.day, calendar.day), harmonics(self.season, calendar.year)
        one = np.ones((len(self.day), 1))
        day, year = np.concatenate([one, day], axis=1), np.concatenate([one, year], axis=1)
        made[:, :, parts.cycle] = (day[:, :, None] * year[:, None, :]).reshape(len(day), -1).T
        n = parts.cycle.stop
        counts = self._counts(tile, calendar)
        for field in self.fields:
            own = field[tile][:, :, None]
            made[:, :, n] = own[:, :, 0]
            made[:, :, n + 1 : n + 1 + counts.shape[2]] = own * counts
            n += 1 + counts.shape[2]
        for field, reach in zip(self.fields, _REACH, strict=True):
            for inner, outer in _beside(tile, known.shape[:2], self.known.shape[:2], reach):
                if inner is not None:
                    there = field[outer] - field[tile][inner]
                    made[(*inner, n)] = there * self.known[outer]
                n += 1
        if not known.all():
            made *= known[:, :, None]
        return made

    def _counts(self, tile: Tile, calendar: Calendar) -> Singles:
        """Return what own values are multiplied by, ``(y or 1, x or 1, term, interval)``."""
        year = harmonics(self.season, calendar.own_year).T
        # By the sun, since cells share what they learn of it.
        turn = np.zeros((1, 1)) if self.lon is None else self.lon[tile] / 360.0
        day = self.day + turn[:, :, None]
        terms = harmonics(day.reshape(-1), calendar.own_day)
        terms = np.moveaxis(terms.reshape(*day.shape, -1), 3, 2)
        both = [terms, np.broadcast_to(year, (*terms.shape[:2], *year.shape))]
        return np.concatenate(both, axis=2).astype(np.float32)


def _beyond(value: Singles, days: Floats, step: Steps, further: int, length: Floats) -> Singles:
    """Return the values so many steps further, NaN where these are not as far as `length`."""
    there = step + further
    at = np.clip(there, 0, len(days) - 1)
    away = np.abs(days[at] - days[step])
    right = (at == there) & (np.abs(away - length) <= _SAME * length)
    made = value[:, :, at]
    made[:, :, ~right] = np.nan
    return made


def _beside(
    tile: Tile, size: tuple[int, int], grid: tuple[int, int], reach: int
) -> Iterator[tuple[Tile | None, Tile]]:
    """Yield where in a tile there are neighbours, and where in the grid these are."""
    around = range(-reach, reach + 1)
    for shifts in ((y, x) for y in around for x in around if y or x):
        inner, outer = [], []
        for part, length, limit, shift in zip(tile, size, grid, shifts, strict=True):
            low, high = max(part.start + shift, 0), min(part.start + length + shift, limit)
            outer.append(slice(low, max(low, high)))
            inner.append(slice(low - shift - part.start, max(low, high) - shift - part.start))
        there = all(p.stop > p.start for p in outer)
        yield ((inner[0], inner[1]) if there else None), (outer[0], outer[1])
