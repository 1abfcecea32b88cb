"""Temperature over mountains: fine structure that stays, and some that comes with the weather."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.datasets.fields import SOURCE, Floats, check, generator, persist, shore, smooth_noise

_CELL = 0.1  # degrees
# Lengths of hills and ranges in cells; their heights are in proportion.
_SCALES = (1.0, 2.0, 4.0, 8.0)


def mountain_temperature(
    seed: int = 0, *, steps: int = 240, nlat: int = 40, nlon: int = 48
) -> xr.Dataset:
    """Return synthetic temperature near the ground over mountains, valleys and a sea.

    To practise downscaling on: coarsen it, and compare what comes back with the record itself.
    Most of the fine structure is that of the terrain, and stays: it is colder on the heights, and
    the sea is warmer at night. Some comes with the weather: cold air in the valleys in calm nights,
    a colder windward side, and showers that nothing foretells.

    Parameters
    ----------
    seed : int
        The same seed gives the same record.
    steps : int
        Length of the record in steps of six hours, at least 2.
    nlat, nlon : int
        Cells of a tenth of a degree, 8 to 400 each way.

    Returns
    -------
    Dataset
        `t2m` (time, lat, lon), K; `orography` (lat, lon), m, and `land` (lat, lon), 1 on land and 0
        at sea; float32. Complete.

    Examples
    --------
    >>> from xgeoml import datasets
    >>> ds = datasets.mountain_temperature()
    >>> coarse = ds.t2m.coarsen(lat=4, lon=4).mean()
    >>> coarse.sizes["lat"]
    10
    """
    check("steps", steps, 2)
    check("nlat", nlat, 8, 400)
    check("nlon", nlon, 8, 400)
    random = generator("terrain", seed)
    shape = (nlat, nlon)
    sea = shore(random, shape, (-0.6, -0.8), 0.25)
    height = _terrain(random, sea)
    lat, lon = (first + _CELL * np.arange(n) for first, n in ((42.0, nlat), (4.0, nlon)))
    values = _weather(random, height, sea, np.arange(0.0, 6.0 * steps, 6.0), lat)
    time = np.datetime64("2021-01-01T00", "ns") + np.arange(steps) * np.timedelta64(6, "h")
    named = {
        "t2m": (("time", "lat", "lon"), values, "K", "2 metre temperature", "air_temperature"),
        "orography": (("lat", "lon"), height, "m", "height of the ground", "surface_altitude"),
        "land": (("lat", "lon"), ~sea, "1", "land", "land_binary_mask"),
    }
    return xr.Dataset(
        {
            name: (
                dims,
                np.asarray(array, np.float32),
                {"long_name": long, "standard_name": standard, "units": units},
            )
            for name, (dims, array, units, long, standard) in named.items()
        },
        coords={
            "time": ("time", time, {"standard_name": "time", "axis": "T"}),
            "lat": ("lat", lat.round(6), _place("latitude", "degrees_north", "Y")),
            "lon": ("lon", lon.round(6), _place("longitude", "degrees_east", "X")),
        },
        attrs={
            "Conventions": "CF-1.11",
            "title": "Synthetic temperature at 2 m over mountains",
            "source": SOURCE,
            "comment": "synthetic: looks like a real record, says nothing of a real place",
        },
    )


def _place(name: str, units: str, axis: str) -> dict[str, str]:
    return {"standard_name": name, "units": units, "axis": axis}


def _terrain(random: np.random.Generator, sea: NDArray[np.bool_]) -> Floats:
    """Draw the height of the ground, m: ranges with hills on them, flat towards the sea."""
    relief = sum(
        scale * smooth_noise(random, 1, (sea.shape[0], sea.shape[1]), scale)[0] for scale in _SCALES
    )
    ridges: Floats = np.asarray(relief) - np.quantile(relief, 0.2)
    return np.where(sea, 0.0, 90.0 * np.maximum(ridges, 0.0) + 20.0)


def _weather(
    random: np.random.Generator,
    height: Floats,
    sea: NDArray[np.bool_],
    hour: NDArray[np.floating],
    lat: NDArray[np.floating],
) -> Floats:
    """Return the temperature, (step, row, column), K."""
    shape, steps = (height.shape[0], height.shape[1]), len(hour)
    column = (slice(None), None, None)
    local = 2 * np.pi * (hour - 14.0) / 24
    season = -np.cos(2 * np.pi * hour / 24 / 365.25)[column]
    clear = np.clip(0.6 + 0.4 * persist(random.standard_normal(steps), 0.95), 0.05, 1.2)[column]
    wind = 5.0 * persist(random.standard_normal((steps, 2)), 0.93)
    air = 3.0 * persist(smooth_noise(random, steps, shape, 12.0), 0.93)
    showers = 0.4 * persist(smooth_noise(random, steps, shape, 1.5), 0.5)
    night = np.clip(-np.cos(local), 0.0, None)[column]
    calm = np.exp(-((wind**2).sum(1)) / 18.0)[column]

    surroundings = _smoothed(height)
    valley = np.clip(surroundings - height, 0.0, None) / 100.0
    slope_y, slope_x = np.gradient(height)
    uphill = (wind[:, 0][column] * slope_y + wind[:, 1][column] * slope_x) / 100.0
    swing = np.where(sea, 0.3, 4.0) * clear * np.cos(local)[column]
    coast = np.where(sea, -3.0 * season, 3.0 * season)
    return np.asarray(
        286.0
        + 7.0 * season
        - 0.7 * (lat - lat.mean())[None, :, None]
        - 0.0062 * height
        + air
        + showers
        + swing
        + coast
        - 1.6 * valley * night * calm * clear
        - 0.10 * np.where(sea, 0.0, uphill)
    )


def _smoothed(field: Floats) -> Floats:
    """Return the mean over 7 by 7 cells, fewer at the edges."""
    around = np.pad(field, 3, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(around, (7, 7))
    return np.asarray(windows.mean((-2, -1)))
