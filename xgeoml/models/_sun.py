"""Where the sun stands, and how the ground remembers it: shapes of the daily cycle."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from xgeoml.models.series import Floats

# Hours over which the response to the sun decays: 0 is sunshine itself.
MEMORIES = (0.0, 3.0, 12.0)
_TILT = 23.44
# Of the table that responses are read from: hours of the day, and degrees of latitude.
_A_DAY, _APART = 48, 2.0
_LATITUDES = np.arange(-90.0, 90.0 + _APART, _APART)
# Days of a year, for each of which there is one table.
_DAYS = 366


def declination(season: float) -> float:
    """Return the sun's declination, radians, at a share of the year (Cooper, 1969)."""
    return float(np.deg2rad(_TILT) * np.sin(2 * np.pi * (season * 365.25 - 80.0) / 365.25))


def solar_time(day: float, season: float, lon: Floats) -> Floats:
    """Return local solar time as a share of the day, 0 at midnight, 0.5 at noon.

    Parameters
    ----------
    day, season : float
        Share of the day (UTC) and of the year.
    lon : ndarray
        Degrees east.
    """
    b = 2 * np.pi * (season * 365.25 - 81.0) / 364.0
    # The equation of time (Spencer's short form), minutes.
    minutes = 9.87 * np.sin(2 * b) - 7.53 * np.cos(b) - 1.5 * np.sin(b)
    return np.asarray((day + minutes / 1440.0 + lon / 360.0) % 1.0)


def noon_height(season: float, lat: Floats) -> Floats:
    """Return the sine of the sun's height at noon, at least 0."""
    tilt = declination(season)
    return np.asarray(np.maximum(0.0, np.cos(np.deg2rad(lat) - tilt)))


def responses(day: float, season: float, lat: Floats, lon: Floats) -> Floats:
    """Return what the sun has done to the ground until now, ``(memory, y, x)``.

    The sine of the sun's height, 0 at night, weighted with how long ago it shone: exponentially,
    over `MEMORIES`, every day like this one.

    Parameters
    ----------
    day, season : float
        Share of the day (UTC) and of the year.
    lat, lon : ndarray, (y, x)
        Degrees.
    """
    table = _table(round(season * _DAYS) % _DAYS)
    row = np.clip((lat - _LATITUDES[0]) / _APART, 0.0, len(_LATITUDES) - 1.0)
    column = solar_time(day, season, lon) * _A_DAY
    top = np.minimum(row.astype(np.intp), len(_LATITUDES) - 2)
    left = column.astype(np.intp) % _A_DAY
    down, right = row - top, column - np.floor(column)
    next_ = (left + 1) % _A_DAY
    upper = table[:, top, left] * (1 - right) + table[:, top, next_] * right
    lower = table[:, top + 1, left] * (1 - right) + table[:, top + 1, next_] * right
    return np.asarray(upper * (1 - down) + lower * down)


@lru_cache(maxsize=_DAYS)
def _table(day: int) -> NDArray[np.float32]:
    """Return the responses by latitude and solar time, ``(memory, latitude, hour)``."""
    lat, tilt = np.deg2rad(_LATITUDES)[:, None], declination(day / _DAYS)
    angle = 2 * np.pi * (np.arange(_A_DAY) / _A_DAY - 0.5)[None, :]
    height = np.sin(lat) * np.sin(tilt) + np.cos(lat) * np.cos(tilt) * np.cos(angle)
    waves = np.fft.rfft(np.maximum(height, 0.0), axis=1)
    turns = 2 * np.pi * np.arange(waves.shape[1]) / 24.0
    made = [np.fft.irfft(waves / (1.0 + 1j * turns * m), _A_DAY, axis=1) for m in MEMORIES]
    return np.stack(made).astype(np.float32)
