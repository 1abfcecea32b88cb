"""The regressors of slow change: constant, trend, cycles of the year and of the day."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xgeoml.models.series import Floats


class Terms(NamedTuple):
    """The columns that a background is made of.

    Attributes
    ----------
    matrix : ndarray, (time, terms)
        Constant, trend (-1 ... 1 over the record), then a cosine and a sine for each cycle.
    cycles : ndarray, (terms,)
        Cycles per year of each column; 0 for the constant, half a cycle a record for the trend.
    """

    matrix: Floats
    cycles: Floats


def terms(years: Floats, harmonics: int = 2) -> Terms:
    """Return the regressors of the background with their frequencies; see `design`.

    `harmonics` is the number of the year's, as far as the steps resolve them.
    """
    n = len(years)
    columns, cycles = [np.ones(n)], [0.0]
    if n > 1:
        span = float(years[-1] - years[0])
        step = float(np.median(np.diff(years)))
        columns.append(2.0 * (years - years[0]) / span - 1.0)
        cycles.append(0.5 / span)
        per_year = 365.25
        for harmonic in range(1, harmonics + 1):
            # 2.5 steps a cycle: at the Nyquist frequency the sine of a cycle is not seen.
            if span >= 1.5 and step * harmonic * 2.5 <= 1.0:
                _add_cycle(columns, harmonic * years)
                cycles += [harmonic] * 2
        for harmonic in (1, 2):
            if span >= 1.5 / per_year and step * per_year * harmonic * 2.5 <= 1.0:
                _add_cycle(columns, harmonic * _days(years))
                cycles += [harmonic * per_year] * 2
    return Terms(np.stack(columns, axis=1), np.array(cycles))


def _add_cycle(columns: list[Floats], phase: Floats) -> None:
    angle = 2.0 * np.pi * (phase - np.floor(phase))
    columns += [np.cos(angle), np.sin(angle)]


def _days(years: Floats) -> Floats:
    """Return the time in days since the start of each step's year, (time,).

    A decimal year does not say how long its year is, and a day lost a leap year turns the daily
    cycle by a whole turn every few years: the length is the one that puts the stamps on minutes.
    """
    year = np.floor(years)
    part = years - year
    days = np.empty_like(years)
    for y in np.unique(year):
        at = year == y
        leap = y % 4 == 0 and (y % 100 != 0 or y % 400 == 0)
        lengths = (366.0, 365.0, 360.0) if leap else (365.0, 366.0, 360.0)
        off = []
        for length in lengths:
            minutes = part[at] * length * 1440.0
            off.append(float(np.mean(np.abs(minutes - np.round(minutes)))))
        # The calendar in use wins a tie, but for rounding of the stamps.
        best = 0 if off[0] <= min(off) + 1e-3 else int(np.argmin(off))
        days[at] = part[at] * lengths[best]
    return days
