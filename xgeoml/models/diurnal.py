"""Interpolation of what departs from the mean cycle of the day."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xgeoml.models._daily import Terms, fitted
from xgeoml.models.downscaling import Clock
from xgeoml.models.in_time import Record, Stretch
from xgeoml.models.series import Floats, State
from xgeoml.models.splines import Akima, Cubic, Linear

_CURVES = (Linear(), Akima(), Cubic())
# Lengths of interval for which a curve is chosen: so many steps, up to a day, but a few at least.
_STEPS, _FEWEST, _DAY = (2, 3, 4, 6, 8, 12, 24), 2, 1.02
# Values on which it is chosen, and cells: at most, at least.
_ELEMENTS, _MOST_CELLS, _FEWEST_CELLS = 2**19, 400, 16


class Diurnal:
    """The mean cycle of each cell by hour and season, and a curve through what departs from it.

    The cycle has the harmonics of the day that the hours of the record resolve; size and phase of
    each vary with the season where the record covers the year. Whether the curve is linear, Akima's
    or a cubic spline is decided by steps that are hidden, for each length of interval.
    """

    def fit(self, record: Record) -> State:
        """Return the cycle, and which curve serves which interval."""
        record.report("fitting the cycle of the day", 0.0)
        terms = Terms.of(record.clock, record.days)
        cycle = fitted(record, terms)
        n_cells = int(np.prod(cycle.shape[2:]))
        some = slice(None, None, max(1, n_cells // _MOST_CELLS))
        values, thin = (
            v.reshape(*v.shape[:2], 1, n_cells)[..., some] for v in (record.value, cycle)
        )
        left = values - _at(terms, thin, record.clock)
        lengths, errors = _hidden(replace(record, value=left))
        return {
            "terms": np.array(terms),
            "cycle": cycle,
            "lengths": lengths,
            "curves": errors.argmin(axis=1),
        }

    def predict(self, stretch: Stretch, state: State) -> Floats:
        """Return the fields at the times that are wanted, ``(component, time, y, x)``."""
        kept: dict[str, Any] = dict(state)
        terms, cycle = Terms(*kept["terms"].tolist()), kept["cycle"]
        left = stretch.with_value(stretch.value - _at(terms, cycle, stretch.clock))
        lengths = np.diff(stretch.days)[stretch.before]
        near = np.abs(np.log(lengths[:, None] / kept["lengths"])).argmin(axis=1)
        return _through(left, kept["curves"][near]) + _at(terms, cycle, stretch.clock_wanted)


def _at(terms: Terms, cycle: NDArray[np.floating], clock: Clock) -> Floats:
    """Return the cycle at some times, ``(component, time, Y, X)``."""
    made = np.tensordot(terms.at(clock), cycle.astype(np.float64), (1, 1))
    return np.asarray(made.swapaxes(0, 1))


def _through(stretch: Stretch, which: NDArray[np.intp]) -> Floats:
    """Return the fields at the times that are wanted, each from the curve of that number."""
    n_components, _, *plane = stretch.value.shape
    made = np.empty((n_components, len(which), *plane))
    for number in np.unique(which).tolist():
        times = which == number
        part = replace(
            stretch,
            wanted=stretch.wanted[times],
            clock_wanted=stretch.clock_wanted.steps(times),
        )
        made[:, times] = _CURVES[number].predict(part, {})
    return made


def _hidden(record: Record) -> tuple[Floats, Floats]:
    """Return lengths of interval (days), and the error of each curve there, ``(length, curve)``."""
    n_steps, days, clock = len(record.days), record.days, record.clock
    n_cells = int(np.clip(_ELEMENTS // n_steps, _FEWEST_CELLS, _MOST_CELLS))
    value = record.value[..., :: max(1, record.value.shape[3] // n_cells)].astype(np.float64)
    step = float(np.median(np.diff(days))) if n_steps > 1 else 1.0
    # Where nothing can be hidden, straight lines.
    lengths, errors = [step], [np.arange(len(_CURVES), dtype=np.float64)]
    for number, k in enumerate(_STEPS):
        if 2 * k >= n_steps or (k * step > _DAY and number >= _FEWEST):
            break
        found = np.zeros(len(_CURVES))
        for first in range(0, k, -(-k // 4)):
            shown = np.arange(first, n_steps, k)
            hidden = np.setdiff1d(np.arange(shown[0], shown[-1]), shown)
            stretch = Stretch(
                value[:, shown], days[shown], days[hidden], clock.steps(shown), clock.steps(hidden)
            )
            for i, curve in enumerate(_CURVES):
                found[i] += np.nansum((curve.predict(stretch, {}) - value[:, hidden]) ** 2)
        lengths.append(k * step)
        errors.append(found)
    del lengths[: len(lengths) > 1], errors[: len(errors) > 1]
    return np.array(lengths), np.array(errors)
