"""Interpolation of each cell's own series: what any other model has to beat.

All pass through the values, and give a series that is linear in time back as it is. A missing value
is bridged by those before and after it; before the first and after the last value there is none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xgeoml.models.in_time import Stretch
from xgeoml.models.series import Bools, Floats, State

# Series that are treated at once: more gain nothing and need memory.
_AT_ONCE = 2**14
# Share of the slopes around that each difference of slopes counts at least, so that rounding does
# not decide which of two slopes counts where both differences are 0.
_EVEN = 1e-9
_TINY = np.finfo(np.float64).tiny


class _Knots(NamedTuple):
    """Series that have the same number of values.

    Attributes
    ----------
    series : ndarray, (series,)
        Their numbers.
    x : ndarray, (knot, series) or (knot, 1)
        When each value is, relative to the first step; one column where that is the same for all.
    y : ndarray, (knot, series)
    low : ndarray, (time, series) or (time, 1)
        The knot before each time that is wanted; clipped so that one follows.
    inside : ndarray of bool, of the shape of `low`
        Whether the time is between two knots.
    """

    series: NDArray[np.intp]
    x: Floats
    y: Floats
    low: NDArray[np.intp]
    inside: Bools

    def at(self, of: Floats, further: int = 0) -> Floats:
        """Return one of `x`, `y` and the like at the knots before the times, or further ones."""
        low = self.low + further
        if low.shape[1] == 1:
            return of[low[:, 0]]
        if of.shape[1] == 1:
            return of[:, 0][low]
        return np.take_along_axis(of, low, axis=0)


class _Curve(ABC):
    """A curve through the values of each series."""

    def predict(self, stretch: Stretch, state: State) -> Floats:
        """Return the fields at the times that are wanted, ``(component, time, y, x)``."""
        n_components, n_steps, rows, columns = stretch.value.shape
        made = np.full((n_components, len(stretch.wanted), rows, columns), np.nan)
        when = (stretch.wanted - stretch.days[0])[:, None]
        for value, component in zip(stretch.value, made, strict=True):
            series = value.reshape(n_steps, rows * columns)
            flat = component.reshape(len(when), rows * columns)
            for first in range(0, flat.shape[1], _AT_ONCE):
                part = slice(first, first + _AT_ONCE)
                for knots in _knots(series[:, part], stretch):
                    between = self.between(knots, when)
                    flat[:, part][:, knots.series] = np.where(knots.inside, between, np.nan)
        return made

    @abstractmethod
    def between(self, knots: _Knots, when: Floats) -> Floats:
        """Return the series at some times, ``(time, series)``.

        Parameters
        ----------
        knots : _Knots
            At least two of each series.
        when : ndarray, (time, 1)
        """


class Linear(_Curve):
    """Straight lines from value to value."""

    def between(self, knots: _Knots, when: Floats) -> Floats:
        """Return the series at some times, ``(time, series)``."""
        start, value = knots.at(knots.x), knots.at(knots.y)
        theta = (when - start) / (knots.at(knots.x, 1) - start)
        return np.asarray(value + theta * (knots.at(knots.y, 1) - value))


class _Smooth(_Curve):
    """Cubics from value to value, with one slope at each value."""

    @abstractmethod
    def slopes(self, step: Floats, slope: Floats) -> Floats:
        """Return the slope of the curve at each knot, ``(knot, series)``.

        Parameters
        ----------
        step : ndarray, (knot - 1, series) or (knot - 1, 1)
            From one knot to the next.
        slope : ndarray, (knot - 1, series)
            Of the straight line from one to the next; at least two.
        """

    def between(self, knots: _Knots, when: Floats) -> Floats:
        """Return the series at some times, ``(time, series)``."""
        step = np.diff(knots.x, axis=0)
        slope = np.diff(knots.y, axis=0) / step
        curve = self.slopes(step, slope) if len(slope) > 1 else np.repeat(slope, 2, axis=0)
        length = knots.at(step)
        theta = (when - knots.at(knots.x)) / length
        line = knots.at(slope)
        # What the curve adds to the straight line, which a straight series is to the last bit.
        first, last = knots.at(curve) - line, knots.at(curve, 1) - line
        bend = theta * (1.0 - theta) * length * ((1.0 - theta) * first - theta * last)
        return np.asarray(knots.at(knots.y) + theta * length * line + bend)


class Cubic(_Smooth):
    """The spline with two continuous derivatives, and a third one next to the ends (not-a-knot).

    Through three values it is a parabola (de Boor 1978, A Practical Guide to Splines, ch. IV).
    """

    def slopes(self, step: Floats, slope: Floats) -> Floats:
        """Return the slope of the curve at each knot, ``(knot, series)``."""
        if len(slope) == 2:
            turn = (slope[1:] - slope[:1]) / (step[:1] + step[1:])
            return np.concatenate(
                [
                    slope[:1] - step[:1] * turn,
                    slope[:1] + step[:1] * turn,
                    slope[1:] + step[1:] * turn,
                ]
            )
        both = step[:-1] + step[1:]
        right = 3.0 * (step[1:] * slope[:-1] + step[:-1] * slope[1:])
        # Of each row: what multiplies the slope before, at and after the knot.
        before = np.concatenate([step[1:], both[-1:]])
        at = np.concatenate([step[1:2], 2.0 * both, step[-2:-1]])
        after = np.concatenate([both[:1], step[:-1]])
        right = np.concatenate(
            [_end(step[:2], slope[:2]), right, _end(step[:-3:-1], slope[:-3:-1])]
        )
        return _tridiagonal(before, at, after, right)


class Akima(_Smooth):
    """Cubics with a slope at each value that depends on the five values around it only.

    It overshoots less than the spline (Akima 1970, J. ACM 17, 589-602).
    """

    def slopes(self, step: Floats, slope: Floats) -> Floats:
        """Return the slope of the curve at each knot, ``(knot, series)``."""
        first = 2.0 * slope[:1] - slope[1:2]
        last = 2.0 * slope[-1:] - slope[-2:-1]
        wide = np.concatenate(
            [2.0 * first - slope[:1], first, slope, last, 2.0 * last - slope[-1:]]
        )
        turn = np.abs(np.diff(wide, axis=0))
        size = np.abs(wide)
        least = _EVEN * (size[:-3] + size[1:-2] + size[2:-1] + size[3:]) + _TINY
        before, after = turn[2:] + least, turn[:-2] + least
        return np.asarray((before * wide[1:-2] + after * wide[2:-1]) / (before + after))


def _knots(series: Floats, stretch: Stretch) -> Iterator[_Knots]:
    """Yield the values of series, (step, series), those of as many values together."""
    known = np.isfinite(series)
    days = (stretch.days - stretch.days[0])[:, None]
    before = stretch.before
    if known.all():
        low = before[:, None]
        yield _Knots(np.arange(series.shape[1]), days, series, low, np.ones(low.shape, np.bool_))
        return
    count = known.sum(axis=0)
    for number in np.unique(count[count > 1]).tolist():
        which = np.flatnonzero(count == number)
        there = known[:, which]
        if (there == there[:, :1]).all():
            there, x = there[:, :1], days[there[:, 0]]
            y = series[:, which][there[:, 0]]
        else:
            order = np.argsort(~there, axis=0, kind="stable")[:number]
            x, y = days[:, 0][order], np.take_along_axis(series[:, which], order, axis=0)
        low = np.cumsum(there, axis=0)[before] - 1
        inside = (low >= 0) & (low < number - 1)
        yield _Knots(which, x, y, np.clip(low, 0, number - 2), inside)


def _end(step: Floats, slope: Floats) -> Floats:
    """Return the right-hand side of the row of an end, ``(1, series)``; the end comes first."""
    near, far = step[:1], step[1:]
    both = near + far
    return np.asarray(((near + 2.0 * both) * far * slope[:1] + near**2 * slope[1:]) / both)


def _tridiagonal(before: Floats, at: Floats, after: Floats, right: Floats) -> Floats:
    """Solve one system for each series: `before` and `after` have a row less than the others."""
    made, at = right.copy(), at.copy()
    for i in range(1, len(at)):
        share = before[i - 1] / at[i - 1]
        at[i] -= share * after[i - 1]
        made[i] -= share * made[i - 1]
    made[-1] /= at[-1]
    for i in range(len(at) - 2, -1, -1):
        made[i] = (made[i] - after[i] * made[i + 1]) / at[i]
    return made
