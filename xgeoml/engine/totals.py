"""Totals over intervals, divided among parts of these: what is lost or gained is put back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xgeoml.models.series import Bools, Floats


@dataclass(frozen=True)
class Totals:
    """How long the intervals are.

    Parameters
    ----------
    lengths : ndarray, (step,)
        Days of each interval.
    parts : ndarray, (time,)
        Days of each part, which together make the intervals that they are of.
    """

    lengths: Floats
    parts: Floats

    def rates(self, value: Floats, steps: slice) -> Floats:
        """Return totals, (component, step, y, x), of some of the steps, a day."""
        return value / self.lengths[steps, None, None]


def divide(
    total: Floats, rate: Floats, owner: NDArray[np.intp], parts: Floats, sign: NDArray[np.int8]
) -> Floats:
    """Return the totals of parts; those of an interval add up to its own.

    Parameters
    ----------
    total : ndarray, (component, step, y, x)
        NaN where missing: its parts are then missing too.
    rate : ndarray, (component, time, y, x)
        What is known of each part, a day; NaN where that is nothing.
    owner : ndarray of int, (time,)
        The step that each part is of; ascending.
    parts : ndarray, (time,)
        Days.
    sign : ndarray of int, (component, step, y, x)
        1 where no part can be below zero, -1 where none can be above it, else 0; see `signs`.
    """
    made = np.empty_like(rate)
    for step in np.unique(owner):
        first, last = np.searchsorted(owner, [step, step + 1])
        own, days = total[:, step, None], parts[first:last, None, None]
        even = own / days.sum()
        each = np.where(np.isfinite(rate[:, first:last]), rate[:, first:last], even)
        side = sign[:, step, None]
        shares = np.maximum(each * side, 0.0) * days
        whole = shares.sum(1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            by_factor = own * np.where(whole > 0, shares / whole, days / days.sum())
        lacking = own - (each * days).sum(1, keepdims=True)
        added = each * days + lacking * (days / days.sum())
        made[:, first:last] = np.where(side == 0, added, by_factor)
    return made


def signs(total: Floats) -> NDArray[np.int8]:
    """Return the sign that totals have, with those before and after them; 0 where they differ.

    Rain is never negative, but the heat of a day may be, beside days on which it is not: there
    the parts of a day need not have one sign.

    Parameters
    ----------
    total : ndarray, (component, step, y, x)
    """

    def throughout(right: Bools) -> Bools:
        made = right.copy()
        made[:, 1:] &= right[:, :-1]
        made[:, :-1] &= right[:, 1:]
        return made

    unknown = np.isnan(total)
    positive, negative = (throughout(unknown | each) for each in (total >= 0, total <= 0))
    return np.where(positive, 1, np.where(negative, -1, 0)).astype(np.int8)
