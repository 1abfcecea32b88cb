"""Daily sea surface temperature under cloud, and without."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.datasets.fields import SOURCE, Floats, check, generator, persist, shore, smooth_noise


def cloudy_sst(seed: int = 0, *, days: int = 120, nlat: int = 40, nlon: int = 48) -> xr.Dataset:
    """Return a synthetic record of daily sea surface temperature with holes where clouds are.

    Parameters
    ----------
    seed : int
        The same seed gives the same record.
    days : int
        Length of the record, at least 2.
    nlat, nlon : int
        Cells of 0.05 degrees, 4 to 1000 each way.

    Returns
    -------
    Dataset
        `sst` (time, lat, lon), float32, degrees Celsius. NaN on land and under cloud: between
        some 5 % and 95 % of the sea a day, moving from day to day. The measurement scatters by
        0.15 K.

    See Also
    --------
    cloudy_sst_truth : the same field without clouds and without scatter.

    Examples
    --------
    >>> from xgeoml import datasets
    >>> ds = datasets.cloudy_sst(seed=2)
    >>> 0.3 < float(ds.sst.isnull().mean()) < 0.8
    True
    """
    land, truth = _sea(seed, days, nlat, nlon)
    random = generator("sst", seed, stream=1)
    shape = (nlat, nlon)
    banks = persist(smooth_noise(random, days, shape, 5.0), 0.4)
    wisps = smooth_noise(random, days, shape, 1.5)
    sky = 0.9 * banks + 0.45 * wisps
    cover = np.clip(persist(random.standard_normal(days), 0.6) * 0.27 + 0.5, 0.05, 0.95)
    clear = np.empty(truth.shape, dtype=bool)
    for day in range(days):
        clear[day] = sky[day] <= np.quantile(sky[day], 1 - cover[day])
    measured = truth + 0.15 * random.standard_normal(truth.shape)
    return _dataset(np.where(clear & ~land, measured, np.nan), "clouds hide part of each day")


def cloudy_sst_truth(
    seed: int = 0, *, days: int = 120, nlat: int = 40, nlon: int = 48
) -> xr.Dataset:
    """Return the field that `cloudy_sst` shows through clouds: every day, without scatter.

    Parameters
    ----------
    seed, days, nlat, nlon : int
        As of `cloudy_sst`.

    Returns
    -------
    Dataset
        `sst` (time, lat, lon), float32, degrees Celsius, NaN on land only.
    """
    land, truth = _sea(seed, days, nlat, nlon)
    return _dataset(np.where(land, np.nan, truth), "without clouds and measurement errors")


def _sea(seed: int, days: int, nlat: int, nlon: int) -> tuple[NDArray[np.bool_], Floats]:
    """Return where land is, (lat, lon), and the temperature, (day, lat, lon)."""
    check("days", days, 2)
    check("nlat", nlat, 4, 1000)
    check("nlon", nlon, 4, 1000)
    random = generator("sst", seed)
    shape = (nlat, nlon)
    land = shore(random, shape, (1.0, -0.4), 0.12)
    day = np.arange(days)[:, None, None]
    north = np.linspace(-1, 1, nlat)[None, :, None]
    season = 3.5 * np.cos(2 * np.pi * (day - 140) / 365.25)
    air = 0.4 * persist(random.standard_normal((days, 1, 1)), 0.93)
    eddies = 0.8 * persist(smooth_noise(random, days, shape, 6.0), 0.95)
    detail = 0.2 * persist(smooth_noise(random, days, shape, 1.8), 0.75)
    # A current's edge, that wanders: the sharp thing in such a field.
    path = 0.25 * persist(smooth_noise(random, days, (4, nlon), 8.0), 0.97)[:, :1, :]
    front = 0.8 * np.tanh((north - path) / 0.15)
    return land, 18.0 - 0.8 * north + season + air + eddies + detail - front


def _dataset(values: Floats, comment: str) -> xr.Dataset:
    days, nlat, nlon = values.shape
    attrs = {
        "long_name": "sea surface temperature",
        "standard_name": "sea_surface_temperature",
        "units": "degC",
        "comment": comment,
    }
    first = np.datetime64("2017-04-01T12", "ns")
    return xr.Dataset(
        {"sst": (("time", "lat", "lon"), values.astype(np.float32), attrs)},
        coords={
            "time": (
                "time",
                first + np.arange(days) * np.timedelta64(1, "D"),
                {"standard_name": "time", "axis": "T"},
            ),
            "lat": (
                "lat",
                34.025 + 0.05 * np.arange(nlat),
                {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"},
            ),
            "lon": (
                "lon",
                -5.975 + 0.05 * np.arange(nlon),
                {"standard_name": "longitude", "units": "degrees_east", "axis": "X"},
            ),
        },
        attrs={
            "Conventions": "CF-1.11",
            "title": "Synthetic daily sea surface temperature",
            "source": SOURCE,
            "comment": "synthetic: looks like a real record, says nothing of a real place",
        },
    )
