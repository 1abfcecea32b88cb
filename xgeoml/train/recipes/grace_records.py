"""GRACE records to train on: every month that the benchmark scores is removed from them first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xgeoml.models.series import Bools, Floats, Series

Months = NDArray[np.datetime64]
TARGET = "lwe_thickness"
RECORDS = {
    "grace_csr": "grace/grace_csr_tws_1deg_land_train.nc",
    "grace_brazil": "grace/grace_era5_southern_brazil_1deg_train.nc",
    "grace_indochina": "grace/grace_era5_indochina_1deg_train.nc",
    "grace_regions": "grace/south_america_regions_grace_chirps_t2m_cc0.nc",
}
DRIVERS = {
    "grace_brazil": ("tp", "t2m"),
    "grace_indochina": ("tp", "t2m"),
    "grace_regions": ("precipitation", "t2m"),
}
# Never scored, never a target: solutions many times off their neighbours.
BAD = {
    "grace_csr": ("2004-09", "2015-02"),
    "grace_brazil": ("2004-09", "2015-02"),
    "grace_indochina": ("2015-02",),
}
SCORED_SEEDS, SCORED_SINGLES = (1, 2, 3), {"grace_csr": 12}
# South, north, west, east, in degrees: cells of the global record that the others cover.
SOUTH_AMERICA = (-57.0, 14.0, -83.0, -33.0)
INDOCHINA = (6.0, 25.0, 100.0, 112.0)
BRAZIL = (-35.0, -21.0, -59.0, -47.0)


@dataclass(frozen=True)
class Record:
    """One field of series, scored months removed.

    Attributes
    ----------
    name : str
    series : Series
        Every step of `trusted` is True: screening is the pattern's business.
    target : ndarray of bool, (time,)
        Steps that may be hidden and learnt.
    """

    name: str
    series: Series
    target: Bools


def scored_steps(observed: Bools, bad: Bools, seed: int, singles: int) -> Bools:
    """Return the steps that the benchmark hides: one run of eleven, and single ones.

    Parameters
    ----------
    observed, bad : ndarray of bool, (time,)
    seed, singles : int

    Returns
    -------
    ndarray of bool, (time,)
    """
    rng, n, run = np.random.default_rng(seed), len(observed), 11
    low, high = int(n * 0.15), int(n * 0.85) - run
    # Drawn as there, though not used here: the generator must stay in step.
    rng.integers(low, max(high, low + 1))
    starts = [s for s in range(12, n - 24) if observed[s : s + run].sum() >= run - 1]
    hidden = np.zeros(n, dtype=bool)
    start = rng.choice(starts)
    hidden[start : start + run] = True
    free = [
        i for i in range(2, n - 2) if observed[i] and not bad[i] and not hidden[i - 1 : i + 2].any()
    ]
    hidden[rng.choice(free, singles, replace=False)] = True
    return hidden


def decimal_years(time: NDArray[np.datetime64]) -> Floats:
    """Return stamps as decimal years, (time,)."""
    start = time.astype("M8[Y]")
    first, last = start.astype("M8[ns]"), (start + 1).astype("M8[ns]")
    part = (time.astype("M8[ns]") - first) / (last - first)
    years: Floats = start.astype(np.int64) + 1970 + part
    return years


def read_records(data_path: Path) -> list[Record]:
    """Return the records, without the months that any benchmark scores in their place.

    Parameters
    ----------
    data_path : Path
        Folder that holds `RECORDS`.

    Returns
    -------
    list of Record
        The global record in two parts, South America and the rest, and without the cells of the
        regional records; then the regional ones with their drivers.
    """
    import xarray as xr

    opened, hidden = {}, {}
    for name, file in RECORDS.items():
        with xr.open_dataset(data_path / file) as found:
            opened[name] = found.load()
        months = opened[name].time.values.astype("M8[M]")
        field = opened[name][TARGET].transpose("time", ...).values
        observed = np.isfinite(field.reshape(len(months), -1)).any(1)
        bad = np.isin(months, np.array(BAD.get(name, ()), "M8[M]"))
        singles = SCORED_SINGLES.get(name, 8)
        steps = [scored_steps(observed, bad, seed, singles) for seed in SCORED_SEEDS]
        hidden[name] = months[np.any(steps, axis=0)]

    world = opened["grace_csr"]
    lat, lon = (world[c].values for c in ("lat", "lon"))
    america = _inside(lat, lon, SOUTH_AMERICA)
    kept = ~_inside(lat, lon, INDOCHINA) & ~_inside(lat, lon, BRAZIL)
    parts = [
        ("grace_csr_world", "grace_csr", kept & ~america, ("grace_csr",)),
        ("grace_csr_america", "grace_csr", kept & america, ("grace_csr", "grace_regions")),
        *((name, name, None, ("grace_csr", name)) for name in DRIVERS),
    ]
    records = []
    for name, source, cells, scored in parts:
        away = np.unique(np.concatenate([hidden[s] for s in scored]))
        records.append(_record(name, source, opened[source], cells, away))
    return records


def _inside(lat: Floats, lon: Floats, box: tuple[float, float, float, float]) -> Bools:
    south, north, west, east = box
    rows = (lat > south) & (lat < north)
    inside: Bools = rows[:, None] & ((lon > west) & (lon < east))[None]
    return inside


def _record(name: str, source: str, opened: Any, cells: Bools | None, away: Months) -> Record:
    months = opened.time.values.astype("M8[M]")
    field = opened[TARGET].transpose("time", ...)
    values = field.values.reshape(len(months), -1).T.astype(np.float64)
    area = np.ones(field.shape[1:])
    if "lat" in field.dims:
        area *= np.cos(np.deg2rad(field.lat.values))[:, None]
    drivers = [opened[d].transpose("time", ...).values for d in DRIVERS.get(source, ())]
    covariates = np.array([d.reshape(len(months), -1).T for d in drivers], np.float64)
    covariates = covariates.reshape(len(drivers), *values.shape)
    values[:, np.isin(months, away)] = np.nan
    some = np.isfinite(values).any(1)
    if cells is not None:
        some &= cells.reshape(-1)
    values = values[some]
    everything = np.ones(len(months), dtype=bool)
    years = decimal_years(opened.time.values)
    series = Series(values, years, everything, covariates[:, some], area.reshape(-1)[some])
    bad = np.isin(months, np.array(BAD.get(source, ()), "M8[M]"))
    return Record(name, series, np.isfinite(values).any(0) & ~bad)


def validation_steps(record: Record, seed: int, run: int = 11, singles: int = 6) -> Bools:
    """Return a run of `run` months and some single ones, kept for choosing the network.

    Parameters
    ----------
    record : Record
    seed, run, singles : int

    Returns
    -------
    ndarray of bool, (time,)
    """
    rng = np.random.default_rng([seed, len(record.series.years)])
    n = len(record.target)
    inside = np.convolve(record.target, np.ones(run, int), "valid")
    inside[:6], inside[n - run - 5 :] = 0, 0
    starts = np.flatnonzero(inside >= max(4, np.quantile(inside[inside > 0], 0.6)))
    hidden = np.zeros(n, dtype=bool)
    start = int(rng.choice(starts))
    hidden[start : start + run] = True
    free = [i for i in np.flatnonzero(record.target) if not hidden[max(i - 1, 0) : i + 2].any()]
    hidden[rng.choice(free, min(singles, len(free)), replace=False)] = True
    return hidden & record.target
