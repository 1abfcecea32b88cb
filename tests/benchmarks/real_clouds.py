"""Real cloud shapes on a complete record: what is filled below them, beside simple answers.

The masks of a week of AVHRR passes over the Alboran Sea are laid on daily OISST fields. ::

    python tests/benchmarks/real_clouds.py --model oi kalman
    python tests/benchmarks/real_clouds.py --monthly --model climanet oi

The records are read from `--data`, by default the folder that XGEOML_DATA_PATH names, or else
``../shared/data``. One row of JSON for each model, as the benchmark of the public protocols prints
them: area-weighted errors at the hidden cells, or with ``--monthly`` of the means of months over
all sea cells, beside the baselines of the same run. ``--order week`` (the default) keeps the seven
days of a piece of the masks together, as they followed each other; ``shuffled`` draws each day's
mask by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import xarray as xr

import xgeoml  # noqa: F401  registers .geoml

SEA = "sst/oisst_daily_tasman_2000-2013_0p25.nc"
CLOUDS = "sst/avhrr_l3_alboran_clouds_train_0p02.nc"
# Least share of a piece of the masks that is sea; its land counts as clear.
LEAST_SEA = 0.75
# Share of the sea that a day's cloud covers, at least and at most.
COVER = (0.09, 0.9)


def pieces(path: Path, rows: int, columns: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Return the clouds, (day, y, x), and the corners of the pieces that are mostly sea."""
    with xr.open_dataset(path) as week:
        sea = week["mask"].values == 1
        cloud = np.isnan(week["SST"].values) & sea
    corners = [
        (y, x)
        for y in range(0, sea.shape[0] - rows + 1, 2)
        for x in range(0, sea.shape[1] - columns + 1, 2)
        if sea[y : y + rows, x : x + columns].mean() >= LEAST_SEA
    ]
    return cloud, corners


def paste(field: xr.DataArray, path: Path, order: str, seed: int) -> np.ndarray:
    """Return where cloud hides the field, (time, lat, lon)."""
    random = np.random.default_rng(seed)
    cloud, corners = pieces(path, field.sizes["lat"], field.sizes["lon"])
    sea = np.isfinite(field.values)
    hidden = np.zeros(field.shape, bool)
    piece, day = cloud[:, :0], 0
    for t in range(len(hidden)):
        while True:
            if order == "shuffled" or day == 0:
                y, x = corners[random.integers(len(corners))]
                piece = cloud[:, y : y + field.sizes["lat"], x : x + field.sizes["lon"]]
                piece = piece[:, :: random.choice([-1, 1]), :: random.choice([-1, 1])]
            if order == "shuffled":
                day = int(random.integers(len(cloud)))
            mask = piece[day] & sea[t]
            day = (day + 1) % len(cloud)
            if COVER[0] <= mask.sum() / sea[t].sum() <= COVER[1]:
                break
        hidden[t] = mask
    return hidden


def linear(gappy: xr.DataArray) -> xr.DataArray:
    """Return the field with its gaps filled linearly in time, end values held."""
    days = np.arange(gappy.sizes["time"])
    flat = gappy.values.reshape(len(days), -1).copy()
    for series in flat.T:
        seen = np.isfinite(series)
        if seen.any():
            series[~seen] = np.interp(days[~seen], days[seen], series[seen])
    return gappy.copy(data=flat.reshape(gappy.shape))


def linear_of_anomalies(gappy: xr.DataArray) -> xr.DataArray:
    """Return the same of the departures from the seasonal cycle of the visible values."""
    cycle = seasonal(gappy)
    return cycle + linear(gappy - cycle)


def seasonal(gappy: xr.DataArray) -> xr.DataArray:
    """Return mean and two harmonics of the year of the visible values of each cell."""
    phase = 2 * np.pi * (gappy.time.dt.dayofyear.values - 1) / 365.25
    terms = [np.ones_like(phase)]
    terms += [f(k * phase) for k in (1, 2) for f in (np.cos, np.sin)]
    design = np.stack(terms, axis=1)
    flat = gappy.values.reshape(len(phase), -1)
    fitted = np.full(flat.shape, np.nan)
    for i, series in enumerate(flat.T):
        seen = np.isfinite(series)
        if seen.sum() > len(terms):
            fitted[:, i] = design @ np.linalg.lstsq(design[seen], series[seen], rcond=None)[0]
    return gappy.copy(data=fitted.reshape(gappy.shape))


def errors(truth: xr.DataArray, made: xr.DataArray, where: np.ndarray) -> dict[str, float]:
    """Return area-weighted errors over `where`, and the share of it that has a value."""
    weight = (xr.ones_like(truth) * np.cos(np.deg2rad(truth.lat))).values[where]
    error = (made.transpose(*truth.dims).values - truth.values)[where]
    known = np.isfinite(error)
    weight, error = weight[known] / weight[known].sum(), error[known]
    return {
        "mae": float((weight * abs(error)).sum()),
        "rmse": float(np.sqrt((weight * error**2).sum())),
        "bias": float((weight * error).sum()),
        "made": float(known.mean()),
    }


def covered(
    truth: xr.DataArray, made: xr.DataArray, spread: xr.DataArray, where: np.ndarray
) -> float:
    """Return the share of `where` in the 90 % interval."""
    error = abs(made.transpose(*truth.dims).values - truth.values)[where]
    half = 1.6449 * spread.transpose(*truth.dims).values[where]
    known = np.isfinite(error) & np.isfinite(half)
    return float((error <= half)[known].mean()) if known.any() else float("nan")


def report(label: dict[str, object], numbers: dict[str, float]) -> None:
    """Print a row."""
    print(json.dumps({**label, **{k: round(v, 4) for k, v in numbers.items()}}), flush=True)


def score(
    truth: xr.DataArray, made: xr.DataArray, where: np.ndarray, label: dict[str, object]
) -> None:
    """Print the errors of a result, and the coverage of its spread where it has one."""
    numbers = errors(truth, made, where)
    spread = made.coords.get(f"{truth.name}_spread")
    if spread is not None:
        numbers["covered_90"] = covered(truth, made, spread, where)
    report(label, numbers)


def main() -> None:
    """Score the models named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    usual = os.environ.get("XGEOML_DATA_PATH", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(usual))
    parser.add_argument("--model", nargs="*", default=["oi"])
    parser.add_argument("--years", nargs=2, default=["2012", "2013"])
    parser.add_argument("--order", choices=("week", "shuffled"), default="week")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--monthly", action="store_true")
    parser.add_argument("--no-spread", action="store_true")
    asked = parser.parse_args()
    if not (asked.data / SEA).exists():
        print(f"skipped: {asked.data / SEA} is not here; name the folder with --data")
        return
    with xr.open_dataset(asked.data / SEA) as source:
        truth = source["sst"].sel(time=slice(*asked.years)).load().astype("float32")
    hidden = paste(truth, asked.data / CLOUDS, asked.order, asked.seed)
    gappy = truth.where(~hidden)
    label = {"order": asked.order, "seed": asked.seed, "hidden": round(float(hidden.mean()), 3)}
    simple = {
        "(linear)": linear(gappy),
        "(linear of anomalies)": linear_of_anomalies(gappy),
    }
    where = hidden
    if asked.monthly:
        truth = truth.resample(time="MS").mean().assign_attrs(truth.attrs)
        simple = {k: v.resample(time="MS").mean() for k, v in simple.items()}
        simple = {"(mean of the available days)": gappy.resample(time="MS").mean(), **simple}
        where = np.isfinite(truth.values)
    for name, made in simple.items():
        score(truth, made, where, {**label, "model": name})
    for name in asked.model:
        start = time.perf_counter()
        options = {"freq": "MS"} if asked.monthly else {}
        wants_spread = not asked.no_spread and (not asked.monthly or name.startswith("climanet"))
        made = gappy.geoml.fill_gaps(model=name, spread=wants_spread, **options)
        seconds = round(time.perf_counter() - start, 1)
        score(truth, made, where, {**label, "model": name, "seconds": seconds})


if __name__ == "__main__":
    main()
