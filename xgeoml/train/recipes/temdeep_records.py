"""What the recipe of temdeep learns from: records of many kinds, steps and places."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from xgeoml import terrain
from xgeoml.calendars import read_clock
from xgeoml.models.downscaling import Clock
from xgeoml.models.in_time import Place, Record
from xgeoml.models.series import Floats
from xgeoml.times import decimal_years
from xgeoml.train.in_time_fitting import Named

# The last quarter of records that are scored is not learnt from.
LEARNT = 0.75

NCEP = "temporal/ncep_r1_air_6h_201301-201406_northamerica_2p5.nc"
ERA5_UK = "temporal/era5_t2m_hourly_uk_20190301-24_0p25.nc"
WFDE5 = "temporal/wfde5_multivar_hourly_uk_20170101-24_0p5.nc"
MONTENEGRO = "temporal/era5land_multivar_hourly_montenegro_20200101-24_0p1.nc"
EUROPE = "temporal/era5_u10_v10_blh_tp_6h_europe_20201130-1223_0p75.nc"
TELANGANA = "temporal/era5_tp_hourly_telangana_2023JJA_0p25.nc"
KNMI = "temporal/knmi_radar_5min_20100826_train_1km.nc"
MRMS = "temporal/mrms_preciprate_2min_20190610_train_0p02.nc"
GERMANY = "pretrain/era5_tp_6h_germany_2024-2025_0p25.nc"
TASMAN = "pretrain/oisst_daily_tasman_1982-1999_0p25.nc"
KERALA = "downscale/era5land_daily_kerala_202201-202406_0p1.nc"


class Source(NamedTuple):
    """Variables of a file: one, or the two components of a vector."""

    file: str
    variables: tuple[str, ...]
    # How often it is drawn, relative to others, and intervals drawn of it.
    share: float
    most: int = 1600


SOURCES = (
    Source(NCEP, ("air",), 3.0, 3200),
    Source(ERA5_UK, ("t2m",), 2.0),
    Source(WFDE5, ("Tair",), 1.2),
    Source(WFDE5, ("Qair",), 0.6, 800),
    Source(WFDE5, ("LWdown",), 0.4, 800),
    Source(WFDE5, ("Wind",), 0.4, 800),
    Source(WFDE5, ("SWdown",), 0.3, 800),
    Source(WFDE5, ("pr",), 0.2, 400),
    Source(MONTENEGRO, ("t2m",), 1.2),
    Source(MONTENEGRO, ("d2m",), 0.6, 800),
    Source(MONTENEGRO, ("sp",), 0.5, 800),
    Source(EUROPE, ("u10", "v10"), 1.5),
    Source(EUROPE, ("blh",), 0.6),
    Source(TELANGANA, ("tp",), 0.3, 800),
    Source(KNMI, ("precipitation",), 3.0, 400),
    Source(MRMS, ("precip_rate",), 2.0, 400),
    Source(GERMANY, ("tp",), 0.3, 800),
    Source(TASMAN, ("sst",), 0.3, 800),
    Source(KERALA, ("t2m",), 0.4, 800),
)


def read_records(path: Path, but: str = "") -> Iterator[Named]:
    """Return what is learnt from.

    Parameters
    ----------
    path : Path
    but : str
        Files whose names hold this are left out, to see what is known of them without.
    """
    for source in SOURCES:
        if but and but in source.file:
            continue
        whole = source.file.startswith("pretrain/")
        record = read_record(path / source.file, source.variables, 0.0, 1.0 if whole else LEARNT)
        name = f"{Path(source.file).stem} {' '.join(source.variables)}"
        yield Named(name, record, source.share, source.most)


def read_record(path: Path, variables: tuple[str, ...], first: float, last: float) -> Record:
    """Return variables of a file as a record, from one share of its steps to another.

    Rows and columns ascend.
    """
    with xr.open_dataset(path) as held:
        fields = [held[name] for name in variables]
        dims = fields[0].dims
        y = next(str(d) for d in dims if str(d) in ("lat", "latitude", "y"))
        x = next(str(d) for d in dims if str(d) in ("lon", "longitude", "x"))
        fields = [f.transpose("time", y, x).sortby([y, x]) for f in fields]
        n = fields[0].sizes["time"]
        cut = slice(round(first * n), round(last * n))
        value = np.stack([f[cut].values.astype(np.float64) for f in fields])
        stamps = held["time"].values[cut]
        rows, columns = (fields[0][d].values.astype(np.float64) for d in (y, x))
    clock = read_clock(stamps)
    days = (clock.ticks - clock.ticks[0]) / clock.day
    place = place_of(rows, columns) if y != "y" else Place()
    thermal = str(fields[0].attrs.get("units")) in ("K", "degK", "degC")
    return Record(value, np.asarray(days, np.float64), clock_of(stamps), place, thermal)


def clock_of(stamps: np.ndarray) -> Clock:
    """Return season, time of day and years of stamps."""
    years, clock = decimal_years(stamps), read_clock(stamps)
    return Clock(years % 1.0, clock.ticks % clock.day / clock.day, years)


def place_of(lat: Floats, lon: Floats) -> Place:
    """Return where the cells of a regular grid are, with its terrain."""
    north, east = np.meshgrid(lat, lon, indexing="ij")
    height, land = terrain.elevation(lat, lon)
    return Place(north, east, np.stack([height, land]).astype(np.float64))
