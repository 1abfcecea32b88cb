"""Four real earthquakes for deconvolution: records of P, responses and published moment rates.

What a benchmark of source time functions reads. ::

    python tests/benchmarks/teleseismic_events.py

says what is there. The records are read from the folder that XGEOML_DATA_PATH names, or else
``../shared/data``. Of published models only the moment rate, and of three events the mechanism, the
sum of its moment-rate tensor, are used; their synthetic records are not.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from xgeoml.datasets import teleseismic_greens

FOLDER = "seismic"
VELOCITIES = {
    "palu2018": "tele_p_stf_palu2018.nc",
    "samos2020": "tele_p_stf_samos2020.nc",
    "eastcape2021": "tele_p_stf_eastcape2021.nc",
}
ILLAPEL = "tele_body_stf_illapel2015_cc0.nc"
# Seconds from the first sample to P, and of Illapel those that are used: S comes later.
ONSET, ILLAPEL_ONSET, ILLAPEL_LENGTH = 3.5, 0.5, 200.0
# Of the comparison, seconds.
STEP, MOST_LAG = 0.1, 15.0


class Event(NamedTuple):
    """An earthquake: what was recorded, what a point source would give, what was published."""

    name: str
    record: xr.DataArray  # (station, time), NaN after the end of a station's record
    greens: xr.DataArray  # (station, time), at the same times
    moment_rate: xr.DataArray  # (time_stf,)


class Comparison(NamedTuple):
    """How alike two sources are: the best lag is how much later the first one should be."""

    correlation: float
    lag: float
    duration: float
    published_duration: float


def data_folder() -> Path:
    """Return the folder of the real records, there or not."""
    return Path(os.environ.get("XGEOML_DATA_PATH", "../shared/data")) / FOLDER


def events(path: Path) -> Iterator[Event]:
    """Read the events whose files are in the folder `path`, one after the other."""
    for name, file in VELOCITIES.items():
        if (path / file).exists():
            with xr.open_dataset(path / file) as source:
                yield _velocity(name, source.load())
    if (path / ILLAPEL).exists():
        with xr.open_dataset(path / ILLAPEL) as source:
            yield _illapel(source.load())


def _velocity(name: str, source: xr.Dataset) -> Event:
    """Return one of the events with records of velocity and a moment-rate tensor."""
    tensor = source["moment_rate_tensor"].sum("time_stf").values.astype(float)
    hypocentre = ast.literal_eval(source.attrs["hypocentre"])  # second, lat, lon, depth, step
    step = _step(source["time"])
    greens = teleseismic_greens(
        source["azimuth"],
        source["distance"],
        depth=float(hypocentre[3]),
        moment_tensor=tensor / abs(tensor).max(),
        step=step,
        samples=source.sizes["time"],
        onset=ONSET,
    )
    return Event(name, _as_timed(source["observed"], greens), greens, source["moment_rate"])


def _illapel(source: xr.Dataset) -> Event:
    """Return the event with records of displacement, of which those of P are vertical."""
    vertical = [str(name).endswith("BHZ") for name in source["trace"].values]
    step = _step(source["time"])
    part = source.isel(trace=np.flatnonzero(vertical), time=slice(round(ILLAPEL_LENGTH / step)))
    part = part.rename(trace="station")
    greens = teleseismic_greens(
        part["azimuth"],
        part["distance"],
        depth=25.0,
        # The plate boundary: the file has no tensor.
        strike=353.0,
        dip=19.0,
        rake=83.0,
        step=step,
        samples=part.sizes["time"],
        onset=ILLAPEL_ONSET,
        quantity="displacement",
    )
    return Event("illapel2015", _as_timed(part["observed"], greens), greens, part["moment_rate"])


def _step(time: xr.DataArray) -> float:
    """Return the time step, without the rounding of the file's times."""
    return round(float(np.median(np.diff(time.values))), 6)


def _as_timed(record: xr.DataArray, greens: xr.DataArray) -> xr.DataArray:
    """Return the record at the times of the responses: files put their first sample elsewhere."""
    return record.assign_coords(time=greens["time"]).transpose(*greens.dims)


def compare(source: xr.DataArray, reference: xr.DataArray) -> Comparison:
    """Compare a source with a published one, whatever their scales.

    Parameters
    ----------
    source, reference : DataArray, (time,)
        Moment rate; the coordinate of the dim is in seconds, and beyond it the rate is zero.

    Returns
    -------
    Comparison
        Correlation at the best lag within 15 s, over the time that either of the two covers; the
        lag (s); the time (s) between 5 and 95 % of the moment, of both.
    """
    (found, found_at), (known, known_at) = (
        (array.values.astype(float), array[array.dims[0]].values.astype(float))
        for array in (source, reference)
    )
    best, best_lag = -1.0, 0.0
    for lag in STEP * np.arange(-round(MOST_LAG / STEP), round(MOST_LAG / STEP) + 1):
        start = min(found_at[0] + lag, known_at[0])
        stop = max(found_at[-1] + lag, known_at[-1])
        time = np.arange(start, stop + STEP / 2, STEP)
        one = np.interp(time, found_at + lag, found, left=0.0, right=0.0)
        other = np.interp(time, known_at, known, left=0.0, right=0.0)
        if one.any() and other.any():
            correlation = float(np.corrcoef(one, other)[0, 1])
            if correlation > best:
                best, best_lag = correlation, float(lag)
    return Comparison(best, best_lag, duration(found, found_at), duration(known, known_at))


def duration(rate: np.ndarray, time: np.ndarray) -> float:
    """Return the time between 5 and 95 % of the moment, NaN where there is none."""
    parts = 0.5 * (rate[1:] + rate[:-1]) * np.diff(time)
    moment = np.concatenate([[0.0], np.cumsum(parts)])
    if moment[-1] <= 0:
        return float("nan")
    # Where nothing is released the moment stands still: of its times the first counts.
    share, first = np.unique(moment / moment[-1], return_index=True)
    early, late = np.interp([0.05, 0.95], share, time[first])
    return float(late - early)


def main() -> None:
    """Print what the files hold."""
    path = data_folder()
    found = 0
    for event in events(path):
        found += 1
        record = event.record
        cut = int(np.isnan(record.values).any(axis=1).sum())
        print(
            f"{event.name}: {record.sizes['station']} stations, {record.sizes['time']} samples of"
            f" {_step(record['time'])} s, {cut} records with NaN at the end"
        )
    if not found:
        print(f"skipped: no records in {path}; set XGEOML_DATA_PATH to the folder of real records")


if __name__ == "__main__":
    main()
