"""Small synthetic records for the checks: every awkward thing of a real one, in 42 cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

N_TIME, N_LAT, N_LON = 60, 6, 7
N_DAYS = 1_500
STATION = "station"
# Of the 60 months: missing in every cell, and not even on the time axis.
MISSING_STEPS, ABSENT_STEPS = (10, 11, 12, 30), (20, 44, 45)
EMPTY_CELL = {"lat": 1, "lon": 2}


def drivers(seed: int = 0) -> xr.Dataset:
    """Return the rain and temperature behind `record`, on every month, stamped at its start.

    Returns
    -------
    Dataset
        `rain` (mm/day) and `warmth` (K), (time, lat, lon), float32, none missing.
    """
    random = np.random.default_rng([seed, 1])
    phase = 2 * np.pi * np.arange(N_TIME) / 12
    shape = (N_TIME, N_LAT, N_LON)
    wet = 3.0 + random.standard_normal((N_TIME, 1, 1)) + random.standard_normal(shape)
    warm = 288 + 8 * np.cos(phase)[:, None, None] + 0.8 * random.standard_normal(shape)
    coords = _coords().assign(time=pd.date_range("2001-01-01", periods=N_TIME, freq="MS"))
    dims = ("time", "lat", "lon")
    made = {
        "rain": (dims, wet.astype(np.float32), {"units": "mm day-1"}),
        "warmth": (dims, warm.astype(np.float32), {"units": "K"}),
    }
    return xr.Dataset(made, coords)


def record(seed: int = 0, *, gaps: bool = True) -> xr.DataArray:
    """Return a monthly record of 42 cells over five years.

    A trend, a seasonal cycle, memory of the rain of `drivers`, and noise. With `gaps`: single
    cells, a cell of no value, months of no value, and months that are not on the time axis.

    Parameters
    ----------
    seed : int
        The same seed gives the same record.
    gaps : bool
        Whether anything is missing.

    Returns
    -------
    DataArray
        `storage` (time, lat, lon), float32, cm.
    """
    random = np.random.default_rng([seed, 2])
    phase = 2 * np.pi * np.arange(N_TIME) / 12
    rain = drivers(seed)["rain"].values.astype(np.float64)
    memory = np.zeros(rain.shape)
    for step in range(1, N_TIME):
        memory[step] = 0.8 * memory[step - 1] + rain[step] - 3.0
    south = np.linspace(0.5, 1.5, N_LAT)[:, None]
    east = np.linspace(-1.0, 1.0, N_LON)[None, :]
    values = (
        6.0 * south * np.sin(phase)[:, None, None]
        + 0.05 * east * np.arange(N_TIME)[:, None, None]
        + south * memory
        + 1.0 * random.standard_normal(rain.shape)
    ).astype(np.float32)
    array = xr.DataArray(values, _coords(), ("time", "lat", "lon"), "storage")
    array.attrs = {"units": "cm", "long_name": "stored water", "valid_min": -500.0}
    if not gaps:
        return array
    hidden = random.random(values.shape) < 0.05
    hidden[list(MISSING_STEPS)] = True
    hidden[:, EMPTY_CELL["lat"], EMPTY_CELL["lon"]] = True
    kept = np.setdiff1d(np.arange(N_TIME), ABSENT_STEPS)
    array = array.where(~hidden).isel(time=kept)
    array.encoding = {"zlib": True, "complevel": 4}
    return array


def stations(seed: int = 0) -> xr.DataArray:
    """Return the record's cells as a list of stations, (station, time)."""
    flat = record(seed).stack({STATION: ("lat", "lon")}).transpose(STATION, "time")
    places = {name: (STATION, flat[name].values) for name in ("lat", "lon")}
    names = [f"st{i:02d}" for i in range(flat.sizes[STATION])]
    return flat.drop_vars([STATION, "lat", "lon"]).assign_coords({STATION: names, **places})


def curvilinear(seed: int = 0) -> xr.DataArray:
    """Return the record on a turned grid: latitude and longitude are (y, x)."""
    flat = record(seed).rename(lat="y", lon="x")
    y, x = np.meshgrid(np.arange(N_LAT), np.arange(N_LON), indexing="ij")
    lat = xr.Variable(("y", "x"), -20.0 + y + 0.2 * x, {"units": "degrees_north"})
    lon = xr.Variable(("y", "x"), 300.0 + x - 0.2 * y, {"units": "degrees_east"})
    return flat.drop_vars(["y", "x"]).assign_coords(lat=lat, lon=lon)


def around(seed: int = 0) -> xr.DataArray:
    """Return six records side by side, 36 cells of 10 degrees that go once around the Earth."""
    side = [record(seed + k) for k in range(6)]
    whole = xr.concat(side, "lon").isel(lon=slice(0, 36))
    degrees = xr.Variable("lon", np.arange(0.0, 360.0, 10.0), {"units": "degrees_east"})
    return whole.assign_coords(lon=degrees)


def daily(n_chunks: int) -> xr.DataArray:
    """Return zeros on many days, (time, lat, lon), lazy, in so many chunks along longitude."""
    import dask.array as da

    shape = (N_DAYS, N_LAT, N_LON * n_chunks)
    values = da.zeros(shape, np.float32, chunks=(-1, -1, N_LON))
    days = pd.date_range("2001-01-01", periods=N_DAYS)
    return xr.DataArray(values, {"time": days}, ("time", "lat", "lon"), "storage")


def days(seed: int = 0) -> xr.DataArray:
    """Return a daily field of 9 x 10 cells over December and January, below clouds.

    A cell of no value, one that is never hidden, and a day that is not on the time axis.

    Returns
    -------
    DataArray
        `storage` (time, lat, lon), float32, cm.
    """
    random = np.random.default_rng([seed, 3])
    steps, rows, columns = 62, 9, 10
    slow = np.cumsum(random.standard_normal(steps))[:, None, None] / 3.0
    wave = np.sin(np.arange(rows)[:, None] / 3.0 + np.arange(columns)[None, :] / 4.0)
    noise = 0.3 * random.standard_normal((steps, rows, columns))
    values = (20.0 + 3.0 * wave + slow + noise).astype(np.float32)
    hidden = random.random((steps, rows // 3, 1 + columns // 3)) < 0.5
    hidden = hidden.repeat(3, axis=1).repeat(3, axis=2)[..., :columns]
    hidden[:, 4, 4] = False
    hidden[:, EMPTY_CELL["lat"], EMPTY_CELL["lon"]] = True
    time = pd.date_range("2001-12-01", periods=steps)
    lat = xr.Variable("lat", -20.0 + np.arange(rows), {"units": "degrees_north"})
    lon = xr.Variable("lon", 300.0 + np.arange(columns), {"units": "degrees_east"})
    coords = xr.Coordinates({"time": time, "lat": lat, "lon": lon})
    made = xr.DataArray(values, coords, ("time", "lat", "lon"), "storage", {"units": "cm"})
    return made.where(~hidden).drop_isel(time=40)


def _coords() -> xr.Coordinates:
    middle = pd.date_range("2001-01-01", periods=N_TIME, freq="MS") + pd.Timedelta(days=14)
    lat = xr.Variable("lat", np.arange(-20.0, -20.0 + N_LAT), {"units": "degrees_north"})
    lon = xr.Variable("lon", np.arange(300.0, 300.0 + N_LON), {"units": "degrees_east"})
    return xr.Coordinates({"time": middle, "lat": lat, "lon": lon})
