"""Interpolation in time of fields that move: rain, clouds, fronts.

Both steps are moved along the motion between them to the time that is wanted, and averaged. How
far that can be trusted is found from the steps themselves: details that do not come along are
damped, and where motion would not have helped to make the steps that are known from their
neighbours, or differs from interval to interval, the result is that of linear interpolation.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from xgeoml.models._motion import SMALLEST, Grid, Motion, flow_between, warp
from xgeoml.models.in_time import Stretch
from xgeoml.models.series import Bools, Floats, State
from xgeoml.models.splines import Linear

__all__ = ["OpticalFlow", "flow_between", "warp"]

# Sizes of details, in cells: the deviations of the bell curves between which they lie.
_SIZES = (0.7, 1.4, 2.8, 5.6)
# Their likeness between the steps is found from so many times as many cells around, and from the
# whole field, which counts this much beside them.
_AROUND, _WHOLE = 8.0, 1.0
# A likeness r between the steps is r ** (d ** p) after a share d of the interval; p is this, and
# so much more for each unit of r: small details are gone at random times, large ones change slowly.
_POWER, _MORE_POWER = 0.5, 1.5
_LEAST_LIKE, _MOST_LIKE = 0.005, 0.999
# Cells around over which errors are compared, and the weight of the whole field beside them.
_COMPARED, _COMPARED_WHOLE = 16.0, 0.3
# What moves is early or late by this share of its way where motion explains half.
_LATE = 0.35
# Without other steps: the share of the change that is left after moving, from where motion is
# trusted fully to where it is not at all.
_LEFT = (0.4, 0.8)
_TINY = 1e-300


class OpticalFlow:
    """Fields moved along the motion from step to step.

    Notes
    -----
    The motion is that of `xgeoml.models._motion.Motion`; that the steps on both sides are warped to
    the time between and averaged follows Jiang et al. (2018), CVPR, 9000-9008. Details of each size
    are weighted by least squares, as in optimal interpolation, from their likeness between
    the two steps along the motion; that small ones of rain do not last is known from Germann and
    Zawadzki (2002), Mon. Wea. Rev. 130, 2859-2873.
    """

    # What `parts` returns.
    n_parts = 3

    def predict(self, stretch: Stretch, state: State) -> Floats:
        """Return the fields at the times that are wanted, ``(component, time, y, x)``.

        Where a cell lacks what comes along the motion, or the grid is too small to show any, they
        are those of linear interpolation.
        """
        return self.parts(stretch)[0]

    def parts(self, stretch: Stretch) -> list[Floats]:
        """Return what is predicted, and the steps before and after, both moved to the time."""
        linear = Linear().predict(stretch, {})
        parts = [linear.copy() for _ in range(self.n_parts)]
        known = np.asarray(np.isfinite(stretch.value).all(axis=0))
        there = np.flatnonzero(known.any(axis=(1, 2)))
        if min(stretch.value.shape[-2:]) < SMALLEST or len(there) < 2:
            return parts
        # A step without any value is as good as none: what moves is followed across it.
        value = np.where(known, stretch.value, np.nan)[:, there]
        days = stretch.days[there]
        before = replace(stretch, days=days).before
        for first in np.unique(before[(before >= 0) & (before + 1 < len(days))]).tolist():
            which = np.flatnonzero(before == first)
            length = days[first + 1] - days[first]
            times = (days - days[first]) / length
            interval = _Interval(value, times, stretch.place.around)
            for i in which.tolist():
                time = float((stretch.wanted[i] - days[first]) / length)
                for part, field in zip(parts, interval.mixed(time, linear[:, i]), strict=True):
                    part[:, i] = field
        return parts


class _Interval:
    """The fields between two steps, at time 0 and 1.

    Parameters
    ----------
    value : ndarray, (component, step, y, x)
    times : ndarray, (step,)
        0 and 1 are among them.
    around : bool
    """

    def __init__(self, value: Floats, times: Floats, around: bool) -> None:
        self.motion = Motion(value, times, around)
        self.grid: Grid = self.motion.grid
        self.value = value[:, self.motion.steps]
        self.times, self.first = self.motion.times, self.motion.first
        known = np.isfinite(self.value)
        self.known: Bools = np.asarray(known.all(axis=0))
        self.filled = self.grid.filled(self.value, known)
        ends = self.value[:, self.first : self.first + 2]
        self.least, self.most = (
            np.reshape(f(ends, axis=(1, 2, 3)), (-1, 1, 1)) for f in (np.nanmin, np.nanmax)
        )
        a, b, seen = self._brought(self.first, self.first + 1, 0.5)
        details = (self._details(f)[:-1] for f in (a, b))
        self.alike = [
            self._likeness(one, other, size)
            for one, other, size in zip(*details, _SIZES, strict=True)
        ]
        self.trust = 1.0 - self._better_still(a, b, seen)

    def mixed(self, time: float, linear: Floats) -> list[Floats]:
        """Return the fields at a time, ``(component, y, x)``, given those linear in time.

        Then both steps moved to it.
        """
        a, b, seen = self._brought(self.first, self.first + 1, time)
        moved = np.clip(self._averaged(a, b, time, self.alike), self.least, self.most)
        made = linear + self.trust * (moved - linear)
        seen = np.asarray(seen & np.isfinite(linear))
        return [np.where(seen, field, linear) for field in (made, a, b)]

    def _brought(self, first: int, second: int, time: float) -> tuple[Floats, Floats, Bools]:
        """Return two steps moved to a time, and where there is something of both."""
        velocity = self.motion.velocity_at(time)
        seen = np.ones(velocity.shape[1:], np.bool_)
        moved = []
        for step in (first, second):
            flow = (self.times[step] - time) * velocity
            moved.append(self.grid.warp(self.filled[:, step], flow))
            if not self.known[step].all():
                seen &= self.grid.warp(self.known[step].astype(np.float64), flow) > 0.5
        return moved[0], moved[1], seen

    def _details(self, of: Floats) -> list[Floats]:
        """Return the details of each size, and what is left when they are taken away."""
        levels = [of, *(self.grid.mean(of, size) for size in _SIZES)]
        return [*(fine - smooth for fine, smooth in pairwise(levels)), levels[-1]]

    def _likeness(self, a: Floats, b: Floats, size: float | None = None) -> Floats:
        """Return the correlation of details around each cell; without a size of the whole field."""
        products = np.stack([a * b, a * a, b * b])
        whole = products.mean((-2, -1), keepdims=True)
        if size is not None:
            whole = self.grid.mean(products, _AROUND * size) + _WHOLE * whole
        like = whole[0] / np.sqrt(whole[1] * whole[2] + _TINY)
        return np.asarray(np.clip(like, _LEAST_LIKE, _MOST_LIKE))

    def _averaged(self, a: Floats, b: Floats, share: float, alike: list[Floats]) -> Floats:
        """Return the best average of two steps moved to one time, `share` after the first."""
        *first, made = self._details(a)
        *second, rest = self._details(b)
        made = made + share * (rest - made)
        for one, other, like in zip(first, second, alike, strict=True):
            power = _POWER + _MORE_POWER * like
            to_one, to_other = (like ** (d**power) for d in (share, 1.0 - share))
            of_one, of_other = to_one - like * to_other, to_other - like * to_one
            made = made + (of_one * one + of_other * other) / (1.0 - like**2)
        return made

    def _better_still(self, a: Floats, b: Floats, seen: Bools) -> Floats:
        """Return the weight of linear interpolation, 0 to 1, ``(component, y, x)``.

        Parameters
        ----------
        a, b : ndarray, (component, y, x)
            The two steps moved to the middle of the interval.
        seen : ndarray of bool, (y, x)
        """
        late = self.motion.unsteadiness
        first, second = (self.filled[:, i] for i in (self.first, self.first + 1))
        if late is None:
            left = ((a - b) ** 2 * seen).sum((-2, -1), keepdims=True)
            left = left / (((first - second) ** 2 * seen).sum((-2, -1), keepdims=True) + _TINY)
            low, high = _LEFT
            return np.asarray(np.clip((left - low) / (high - low), 0.0, 1.0)) + np.zeros(a.shape)
        gain, size = np.zeros(a.shape), np.zeros(a.shape)
        for step in range(max(1, self.first), min(self.first + 2, len(self.times) - 1)):
            # A step that is known, as if it were not.
            before, after = step - 1, step + 1
            share = (self.times[step] - self.times[before]) / (
                self.times[after] - self.times[before]
            )
            a, b, seen = self._brought(before, after, self.times[step])
            details = (self._details(f)[:-1] for f in (a, b))
            moved = self._averaged(
                a, b, share, [self._likeness(*both) for both in zip(*details, strict=True)]
            )
            linear = self.filled[:, before] * (1.0 - share) + self.filled[:, after] * share
            counts = seen & self.known[before] & self.known[step] & self.known[after]
            gain += counts * (self.filled[:, step] - moved) * (linear - moved)
            size += counts * (linear - moved) ** 2
        gain, size = (
            self.grid.mean(f, _COMPARED) + _COMPARED_WHOLE * f.mean((-2, -1), keepdims=True)
            for f in (gain, size)
        )
        better = np.clip(gain / (size + _TINY), 0.0, 1.0)
        return np.asarray(better + (1.0 - better) * late / (late + _LATE**2))
