"""GRACE records to train on: every month that the benchmark scores is removed from them first."""

from __future__ import annotations

from collections.abc import Sequence
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


def scored_steps(observed: Bools, bad: Bools, seed: int, singles: int) -> tuple[Bools, Bools]:
    """Return the steps that the benchmark hides: one run of eleven, and single ones.

    Parameters
    ----------
    observed, bad : ndarray of bool, (time,)
    seed, singles : int

    Returns
    -------
    run, singles : ndarray of bool, (time,)
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
    alone = np.zeros(n, dtype=bool)
    alone[rng.choice(free, singles, replace=False)] = True
    return hidden, alone


def decimal_years(time: NDArray[np.datetime64]) -> Floats:
    """Return stamps as decimal years, (time,)."""
    start = time.astype("M8[Y]")
    first, last = start.astype("M8[ns]"), (start + 1).astype("M8[ns]")
    part = (time.astype("M8[ns]") - first) / (last - first)
    years: Floats = start.astype(np.int64) + 1970 + part
    return years


@dataclass(frozen=True)
class Case:
    """What the benchmark hides of a record with one of its seeds.

    Attributes
    ----------
    name : str
        Of the record.
    series : Series
        All of it.
    run, singles, bad : ndarray of bool, (time,)
        Hidden steps; those of them that are not scored, their solutions being bad.
    """

    name: str
    series: Series
    run: Bools
    singles: Bools
    bad: Bools


def read_cases(data_path: Path, seeds: Sequence[int] = SCORED_SEEDS) -> list[Case]:
    """Return what the benchmark hides of each record, for each of its seeds."""
    cases = []
    nothing = np.zeros(0, "M8[M]")
    for name, dataset in _opened(data_path).items():
        record = _record(name, name, dataset, None, nothing)
        observed, bad = _observed(name, dataset)
        for seed in seeds:
            run, singles = scored_steps(observed, bad, seed, SCORED_SINGLES.get(name, 8))
            cases.append(Case(name, record.series, run, singles, bad))
    return cases


def read_records(data_path: Path, *, scored: bool = False) -> list[Record]:
    """Return the records, without the months that any benchmark scores in their place.

    Parameters
    ----------
    data_path : Path
        Folder that holds `RECORDS`.
    scored : bool
        Whether to keep the months that the benchmark scores.

    Returns
    -------
    list of Record
        The global record in two parts, South America and the rest, and without the cells of the
        regional records; then the regional ones with their drivers.
    """
    opened, hidden = _opened(data_path), {}
    for name, dataset in opened.items():
        observed, bad = _observed(name, dataset)
        singles = SCORED_SINGLES.get(name, 8)
        steps = [scored_steps(observed, bad, seed, singles) for seed in SCORED_SEEDS]
        months = dataset.time.values.astype("M8[M]")
        hidden[name] = months[np.any(steps, axis=(0, 1))] if not scored else months[:0]

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
    for name, source, cells, scorers in parts:
        away = np.unique(np.concatenate([hidden[s] for s in scorers]))
        records.append(_record(name, source, opened[source], cells, away))
    return records


def _opened(data_path: Path) -> dict[str, Any]:
    import xarray as xr

    opened = {}
    for name, file in RECORDS.items():
        with xr.open_dataset(data_path / file) as found:
            opened[name] = found.load()
    return opened


def _observed(name: str, dataset: Any) -> tuple[Bools, Bools]:
    """Return the steps with data, and those whose solution is bad, (time,)."""
    months = dataset.time.values.astype("M8[M]")
    field = dataset[TARGET].transpose("time", ...).values
    bad = np.isin(months, np.array(BAD.get(name, ()), "M8[M]"))
    return np.isfinite(field.reshape(len(months), -1)).any(1), bad


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
