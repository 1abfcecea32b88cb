"""A record like that of the GRACE satellites, the weather behind it, and the truth under it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from xgeoml.datasets.fields import SOURCE, Floats, check, generator, persist, shore, smooth_noise

FIRST, LAST = "2002-04", "2024-04"

GRACE_MISSING = (
    *("2002-06", "2002-07", "2003-06", "2011-01", "2011-06", "2012-05", "2012-10", "2013-03"),
    *("2013-08", "2013-09", "2014-02", "2014-07", "2014-12", "2015-06", "2015-10", "2015-11"),
    *("2016-04", "2016-09", "2016-10", "2017-02", "2017-07", "2017-08", "2017-09", "2017-10"),
    *("2017-11", "2017-12", "2018-01", "2018-02", "2018-03", "2018-04", "2018-05", "2018-08"),
    "2018-09",
)
"""The months, ``YYYY-MM``, without a solution: battery care from 2011 on, and the eleven months
between the end of GRACE and the start of GRACE-FO."""

# Solutions whose days do not fill their month are stamped with the middle of the days they have:
# that of May 2015 lies in April. A user's axis holds such stamps too.
_STAMPS = {
    "2002-04": "2002-04-18",
    "2002-05": "2002-05-10",
    "2004-01": "2004-01-07T12",
    "2011-10": "2011-10-31",
    "2012-04": "2012-04-05T12",
    "2015-04": "2015-04-22T12",
    "2015-05": "2015-04-27T12",
    "2016-12": "2016-12-24",
    "2017-01": "2017-01-21T12",
    "2017-04": "2017-04-24T12",
    "2017-05": "2017-05-10T12",
    "2018-06": "2018-06-16",
    "2018-10": "2018-10-31",
    "2018-11": "2018-11-09",
}
# One solution is bad, and nothing in the file says so: the ground tracks of that month hardly
# moved. The real one has about six times the scatter of its neighbours.
_BAD = "2015-02"

_DAYS = 30.4  # of a mean month
_SPIN_UP = 60  # months, several times the memory of the slow bucket


class _World(NamedTuple):
    """All that is drawn for a seed; fields are (month, lat, lon), on the months of the record."""

    months: pd.PeriodIndex
    lat: Floats
    lon: Floats
    sea: NDArray[np.bool_]
    rain: Floats  # m/day
    temperature: Floats  # K
    storage: Floats  # cm


def grace_like(seed: int = 0, *, nlat: int = 20, nlon: int = 24) -> xr.Dataset:
    """Return a synthetic record of terrestrial water storage, with the gaps of GRACE.

    Parameters
    ----------
    seed : int
        The same seed gives the same record.
    nlat, nlon : int
        Cells of one degree, at least 4 each way, at most 108 and 252.

    Returns
    -------
    Dataset
        `lwe_thickness` (time, lat, lon), float32, cm. NaN at sea. The months of `GRACE_MISSING`
        are *absent* from the time axis, whose stamps sit at the middle of the days of each
        solution, and one of the solutions (February 2015) is bad, as in the real record.

    See Also
    --------
    grace_like_drivers : the rain and temperature that made it, every month.
    grace_like_truth : the storage itself, every month, without the errors of measurement.

    Examples
    --------
    >>> from xgeoml import datasets
    >>> ds = datasets.grace_like(seed=1)
    >>> dict(ds.sizes)
    {'time': 232, 'lat': 20, 'lon': 24}
    """
    world = _world(seed, nlat, nlon)
    random = generator("grace", seed, stream=1)
    shape = (nlat, nlon)
    scatter = 1.6 * smooth_noise(random, len(world.months), shape, 2.5)
    # Errors of this measurement run along the satellites' tracks, close to north-south.
    stripes = np.repeat(random.standard_normal((1, 1, nlon)), nlat, axis=1)
    names = world.months.strftime("%Y-%m")
    bad = np.asarray(names == _BAD)
    values = world.storage + scatter
    values[bad] += 18.0 * (0.7 * stripes + 0.7 * smooth_noise(random, 1, shape, 2.0))
    kept = ~np.isin(names, GRACE_MISSING)
    middle = world.months.start_time + (world.months.end_time - world.months.start_time) / 2
    stamps = pd.DatetimeIndex(
        [
            pd.Timestamp(_STAMPS.get(name, day))
            for name, day in zip(names, middle.round("12h"), strict=True)
        ]
    )
    return _storage(world, values, stamps, "a stand-in for a monthly GRACE solution").isel(
        time=np.flatnonzero(kept)
    )


def grace_like_truth(seed: int = 0, *, nlat: int = 20, nlon: int = 24) -> xr.Dataset:
    """Return the water storage that `grace_like` measures: every month, without errors.

    Parameters
    ----------
    seed, nlat, nlon : int
        As of `grace_like`.

    Returns
    -------
    Dataset
        `lwe_thickness` (time, lat, lon), float32, cm, on 265 months stamped on their first day.
    """
    world = _world(seed, nlat, nlon)
    return _storage(world, world.storage, world.months.start_time, "without measurement errors")


def grace_like_drivers(seed: int = 0, *, nlat: int = 20, nlon: int = 24) -> xr.Dataset:
    """Return the weather behind `grace_like`: what ERA5's monthly means would hold.

    Parameters
    ----------
    seed, nlat, nlon : int
        As of `grace_like`.

    Returns
    -------
    Dataset
        `tp` (m day-1) and `t2m` (K), (time, lat, lon), float32, over land and sea, on 265 months
        stamped on their first day, as ERA5's are. None is missing.

    Examples
    --------
    >>> from xgeoml import datasets
    >>> datasets.grace_like_drivers(seed=1).tp.attrs["units"]
    'm day-1'
    """
    world = _world(seed, nlat, nlon)
    dims = ("time", "lat", "lon")
    rain = {
        "long_name": "total precipitation (monthly mean daily rate)",
        "standard_name": "lwe_precipitation_rate",
        "units": "m day-1",
        "cell_methods": "time: mean",
    }
    warmth = {
        "long_name": "2 metre temperature",
        "standard_name": "air_temperature",
        "units": "K",
        "cell_methods": "time: mean",
    }
    return xr.Dataset(
        {
            "tp": (dims, world.rain.astype(np.float32), rain),
            "t2m": (dims, world.temperature.astype(np.float32), warmth),
        },
        coords=_coords(world, world.months.start_time),
        attrs=_attrs("Weather behind a synthetic GRACE-like record"),
    )


def _storage(world: _World, values: Floats, stamps: pd.DatetimeIndex, comment: str) -> xr.Dataset:
    attrs = {
        "long_name": "terrestrial water storage anomaly",
        "units": "cm",
        "comment": comment,
    }
    land = np.where(world.sea, np.nan, values).astype(np.float32)
    return xr.Dataset(
        {"lwe_thickness": (("time", "lat", "lon"), land, attrs)},
        coords=_coords(world, stamps),
        attrs=_attrs("Synthetic GRACE-like terrestrial water storage"),
    )


def _attrs(title: str) -> dict[str, str]:
    return {
        "Conventions": "CF-1.11",
        "title": title,
        "source": SOURCE,
        "comment": "synthetic: looks like a real record, says nothing of a real place",
    }


def _coords(world: _World, stamps: pd.DatetimeIndex) -> dict[str, xr.Variable]:
    coords = {
        dim: xr.Variable(dim, values, {"standard_name": name, "units": units, "axis": axis})
        for dim, values, name, units, axis in (
            ("lat", world.lat, "latitude", "degrees_north", "Y"),
            ("lon", world.lon, "longitude", "degrees_east", "X"),
        )
    }
    # Nanoseconds whatever pandas prefers: the files that these stand for are decoded so.
    coords["time"] = xr.Variable(
        "time", stamps.to_numpy().astype("datetime64[ns]"), {"standard_name": "time", "axis": "T"}
    )
    return coords


def _world(seed: int, nlat: int, nlon: int) -> _World:
    """Draw the weather, and let it fill and empty two leaky buckets in each cell."""
    check("nlat", nlat, 4, 108)
    check("nlon", nlon, 4, 252)
    random = generator("grace", seed)
    shape = (nlat, nlon)
    record = pd.period_range(FIRST, LAST, freq="M")
    months = pd.period_range(record[0] - _SPIN_UP, record[-1], freq="M")
    count = len(months)
    year = np.asarray(months.year + (months.month - 0.5) / 12)[:, None, None]

    def pattern(length: float) -> Floats:
        return smooth_noise(random, 1, shape, length)

    def wave(harmonic: int, peak: Floats) -> Floats:
        """Return a cosine over the year that peaks at `peak`, in years."""
        cosine: Floats = np.cos(2 * np.pi * harmonic * (year - peak))
        return cosine

    sea = shore(random, shape, (0.5, 1.0), 0.15)
    # A wet season in the first months of the year, later towards one side of the region.
    peak = 0.16 + 0.05 * pattern(8.0)
    wet = 5.0e-3 * np.exp(0.2 * pattern(6.0))
    depth = 1 / (1 + np.exp(-0.4 - pattern(8.0)))
    season = np.maximum(1 + depth * wave(1, peak) + 0.15 * wave(2, peak), 0.03)

    # The large-scale modes: one like ENSO (years), one faster, both seen in rain and temperature.
    slow = persist(random.standard_normal((count, 1, 1)), 0.88)
    fast = persist(random.standard_normal((count, 1, 1)), 0.5)
    slow_reach, fast_reach = np.tanh(pattern(9.0)), np.tanh(pattern(7.0))
    weather = persist(smooth_noise(random, count, shape, 4.5), 0.05)
    drive = 0.20 * slow_reach * slow + 0.12 * fast_reach * fast + 0.34 * weather
    rain = wet * season * np.exp(drive - 0.5 * drive.var(axis=0))

    height = np.abs(pattern(5.0))
    warmth = persist(smooth_noise(random, count, shape, 5.0), 0.15)
    temperature = (
        297.0
        - 2.5 * height
        + (1.0 + 1.2 * (np.linspace(1, 0, nlat)[:, None])) * wave(1, peak - 0.1)
        + 0.45 * slow
        - 1.2 * drive
        + 0.7 * warmth
        + 0.025 * (year - 2013)
    )

    # What reaches the ground beyond what evaporates, cm a month; warm months evaporate more.
    supply = 100 * _DAYS * (rain - rain.mean(axis=0)) - 0.9 * (
        temperature - temperature.mean(axis=0)
    )
    quick = _bucket(supply, np.full(shape, 1.6))
    deep = _bucket(supply, 7.0 * np.exp(0.3 * pattern(6.0)[0]))
    # What no weather explains: pumping, dams, ice; smooth in space, slow in time.
    own = 1.6 * persist(smooth_noise(random, count, shape, 5.0), 0.96)
    storage = 0.34 * quick + 0.14 * deep + own + 0.18 * pattern(5.0) * (year - 2013)
    # The satellites see no detail under some 300 km, nor an absolute level.
    storage = _blur(storage, 1.5)
    kept = slice(_SPIN_UP, None)
    base = (year[:, 0, 0] >= 2004) & (year[:, 0, 0] < 2010)
    storage = (storage - storage[base].mean(axis=0))[kept]
    lat = -18.5 + np.arange(nlat, dtype=np.float64)
    lon = -72.5 + np.arange(nlon, dtype=np.float64)
    return _World(record, lat, lon, sea, rain[kept], temperature[kept], storage)


def _bucket(supply: Floats, memory: Floats) -> Floats:
    """Return the content of leaky buckets.

    Parameters
    ----------
    supply : ndarray, (time, lat, lon)
        What flows in at each step.
    memory : ndarray, (lat, lon)
        Steps in which a bucket loses 1 - 1/e of its content.

    Returns
    -------
    ndarray, (time, lat, lon)
        Mean content of each step.
    """
    keep = np.exp(-1 / memory)
    content = np.zeros(supply.shape[1:])
    held = np.empty_like(supply)
    for step, gain in enumerate(supply):
        before = content
        content = keep * content + (1 - keep) * memory * gain
        held[step] = 0.5 * (before + content)
    return held


def _blur(fields: Floats, length: float) -> Floats:
    """Smooth (time, lat, lon) fields with a Gaussian of `length` cells, edges mirrored."""
    reach = int(np.ceil(3 * length))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / length) ** 2)
    kernel /= kernel.sum()
    for axis in (1, 2):
        width = [(0, 0)] * fields.ndim
        width[axis] = (reach, reach)
        wide = np.pad(fields, width, mode="symmetric")
        size = fields.shape[axis]
        fields = sum(
            weight * wide.take(np.arange(offset, offset + size), axis=axis)
            for offset, weight in enumerate(kernel)
        )
    return fields
