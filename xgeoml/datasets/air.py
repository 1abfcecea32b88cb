"""Hourly temperature near the ground: a daily cycle, and weather that moves."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xgeoml.datasets.fields import SOURCE, Floats, check, generator, persist, shore, smooth_noise

_CELL = 0.5  # degrees
_WIND = 0.9  # cells an hour, towards the east: some 9 m/s at this latitude


def hourly_temperature(
    seed: int = 0, *, hours: int = 192, nlat: int = 24, nlon: int = 32
) -> xr.Dataset:
    """Return a synthetic record of hourly 2 m temperature, complete over land and sea.

    Parameters
    ----------
    seed : int
        The same seed gives the same record.
    hours : int
        Length of the record, at least 2.
    nlat, nlon : int
        Cells of half a degree, at least 4 each way, at most 200 and 600.

    Returns
    -------
    Dataset
        `t2m` (time, latitude, longitude), float32, K. Latitude runs down, as in ERA5, and
        longitude from 0 to 360.

    Examples
    --------
    >>> from xgeoml import datasets
    >>> ds = datasets.hourly_temperature()
    >>> bool(ds.latitude[0] > ds.latitude[-1])
    True
    """
    check("hours", hours, 2)
    check("nlat", nlat, 4, 200)
    check("nlon", nlon, 4, 600)
    random = generator("air", seed)
    shape = (nlat, nlon)
    latitude = 58.0 - _CELL * np.arange(nlat)
    longitude = 358.5 - _CELL * np.arange(nlon)[::-1]
    hour = np.arange(hours)[:, None, None]
    sea = shore(random, shape, (0.2, -1.0), 0.4)

    # The sun is highest at noon of local time; the air follows some two and a half hours later.
    local = (hour + longitude / 15 - 2.5) % 24
    sun = np.cos(2 * np.pi * (local - 12) / 24)
    cycle = sun + 0.25 * np.cos(4 * np.pi * (local - 12) / 24)
    # Cloudy days have a flat cycle.
    clear = np.clip(0.8 + 0.35 * _moving(random, hours, shape, 9.0), 0.15, None)
    swing = np.where(sea, 0.35, 2.4 + 0.4 * smooth_noise(random, 1, shape, 4.0)[0])

    fronts = 1.7 * _moving(random, hours, shape, 5.0) + 0.5 * _moving(random, hours, shape, 2.0)
    air = 1.3 * persist(smooth_noise(random, hours, shape, 8.0), 0.985)
    height = np.where(sea, 0.0, np.abs(smooth_noise(random, 1, shape, 2.5)[0]))
    values = (
        282.0
        - 0.55 * (latitude[:, None] - latitude.mean())
        - 2.0 * height
        + swing * clear * cycle
        + np.where(sea, 0.6, 1.0) * fronts
        + air
    )
    attrs = {
        "long_name": "2 metre temperature",
        "standard_name": "air_temperature",
        "units": "K",
        "cell_methods": "time: point",
    }
    first = np.datetime64("2019-03-01T00", "ns")
    return xr.Dataset(
        {"t2m": (("time", "latitude", "longitude"), values.astype(np.float32), attrs)},
        coords={
            "time": (
                "time",
                first + np.arange(hours) * np.timedelta64(1, "h"),
                {"standard_name": "time", "axis": "T"},
            ),
            "latitude": (
                "latitude",
                latitude,
                {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"},
            ),
            "longitude": (
                "longitude",
                longitude,
                {"standard_name": "longitude", "units": "degrees_east", "axis": "X"},
            ),
        },
        attrs={
            "Conventions": "CF-1.11",
            "title": "Synthetic hourly temperature at 2 m",
            "source": SOURCE,
            "comment": "synthetic: looks like a real record, says nothing of a real place",
        },
    )


def _moving(
    random: np.random.Generator, hours: int, shape: tuple[int, int], length: float
) -> Floats:
    """Draw one frozen field, (hour, row, column), that the wind carries eastwards over the grid."""
    rows, columns = shape
    upwind = int(np.ceil(_WIND * hours)) + 1
    frozen = smooth_noise(random, 1, (rows, columns + upwind), length)[0]
    at = upwind - 1 - _WIND * np.arange(hours)[:, None] + np.arange(columns)
    left = np.floor(at).astype(int)
    share = at - left
    moved: Floats = (1 - share) * frozen[:, left] + share * frozen[:, left + 1]
    return np.ascontiguousarray(moved.transpose(1, 0, 2))
