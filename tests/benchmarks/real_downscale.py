"""Real fields made coarse and fine again: every score, beside simple answers.

    python tests/benchmarks/real_downscale.py --set ncep_air kerala_t2m --fit ridge gaussian_process
    python tests/benchmarks/real_downscale.py --by hour month --pictures pictures

The records are read from `--data`, by default the folder that XGEOML_DATA_PATH names, or else
``../shared/data``. Block means are downscaled in the last quarter of the time; models of `--fit`
are fitted on the quarters before. Without options: the default model and `ridge` beside `bicubic`
and `conservative`.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import pandas as pd
import xarray as xr

import xgeoml  # noqa: F401  registers .geoml
from xgeoml import metrics
from xgeoml.axes import find_axes

SETS = {
    "ncep_air": ("temporal/ncep_r1_air_6h_201301-201406_northamerica_2p5.nc", "air"),
    "era5_uk": ("temporal/era5_t2m_hourly_uk_20190301-24_0p25.nc", "t2m"),
    "kerala_t2m": ("downscale/era5land_daily_kerala_202201-202406_0p1.nc", "t2m"),
    "kerala_tp": ("downscale/era5land_daily_kerala_202201-202406_0p1.nc", "tp"),
    "oisst_tasman": ("sst/oisst_daily_tasman_2000-2013_0p25.nc", "sst"),
}
BASELINES = ("bicubic", "conservative")


def pairs(path: Path, variable: str, factor: int, last: int | None) -> tuple[xr.DataArray, ...]:
    """Return the fine fields and their block means, of whole blocks of cells."""
    with xr.open_dataset(path) as source:
        fine = source[variable].astype("float32")
        fine = (fine.isel(time=slice(-last, None)) if last else fine).load()
    axes = find_axes(fine).space
    fine = fine.isel({d: slice(0, fine.sizes[d] // factor * factor) for d in axes})
    coarse = fine.coarsen(dict.fromkeys(axes, factor)).mean()
    return fine, coarse.assign_attrs(fine.attrs)


def estimates(
    fine: xr.DataArray, coarse: xr.DataArray, factor: int, zero_shot: list[str], fitted: list[str]
) -> dict[str, xr.DataArray]:
    """Return what each model makes of the last quarter."""
    first = int(fine.sizes["time"] * 0.75)
    before, after = slice(0, first), slice(first, None)
    test, made = coarse.isel(time=after), {}
    for name in [*BASELINES, *zero_shot]:
        start = time.perf_counter()
        made[name] = test.geoml.downscale(factor, name, progress=False)
        print(f"  {name}: {time.perf_counter() - start:.2f} s", flush=True)
    for name in fitted:
        start = time.perf_counter()
        model = coarse.isel(time=before).geoml.fit(
            name, target=fine.isel(time=before), progress=False
        )
        middle = time.perf_counter()
        made[f"{name} (fitted)"] = test.geoml.downscale(model=model, progress=False)
        end = time.perf_counter()
        print(f"  {name}: fitted in {middle - start:.2f} s, {end - middle:.2f} s", flush=True)
    return made


def score(name: str, asked: argparse.Namespace) -> None:
    """Print the tables of one record, and save its pictures."""
    path, variable = SETS[name]
    fine, coarse = pairs(asked.data / path, variable, asked.factor, asked.last)
    first = int(fine.sizes["time"] * 0.75)
    truth = fine.isel(time=slice(first, None))
    shape = " x ".join(str(coarse.sizes[d]) for d in find_axes(coarse).space)
    print(f"\n{name}: {shape} cells, {asked.factor} times as fine, {len(truth.time)} steps")
    made = estimates(fine, coarse, asked.factor, asked.model, asked.fit)
    table = metrics.downscaling_skill(truth, made, reference=BASELINES, factor=asked.factor)
    with pd.option_context("display.width", 200, "display.max_columns", 20):
        print(table.to_dataframe().round(4).to_string())
        for by in asked.by:
            groups = metrics.downscaling_skill(truth, made, by=by, reference=BASELINES)
            print(groups["rmse"].to_pandas().round(3).to_string())
    if asked.pictures:
        pictures(name, coarse.isel(time=slice(first, None)), truth, made, asked)


def pictures(
    name: str,
    coarse: xr.DataArray,
    truth: xr.DataArray,
    made: dict[str, xr.DataArray],
    asked: argparse.Namespace,
) -> None:
    """Save maps of the middle step, spectra, and errors by hour."""
    from xgeoml import plot

    asked.pictures.mkdir(parents=True, exist_ok=True)
    figures = {
        "maps": plot.downscaled(coarse, made, truth, step=truth.sizes["time"] // 2),
        "spectra": plot.spectra(truth, made, factor=asked.factor),
        "by_hour": plot.error_by(truth, made, "hour"),
        "by_month": plot.error_by(truth, made, "month"),
    }
    for kind, figure in figures.items():
        figure.savefig(asked.pictures / f"{name}_{kind}.png", dpi=110)


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    usual = os.environ.get("XGEOML_DATA_PATH", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(usual))
    parser.add_argument("--set", nargs="*", choices=SETS, default=["ncep_air"])
    parser.add_argument("--factor", type=int, default=4)
    parser.add_argument("--last", type=int, help="only the last steps of the record")
    parser.add_argument("--model", nargs="*", default=["subgrid"], help="models as they are")
    parser.add_argument("--fit", nargs="*", default=["ridge"], help="models to be fitted")
    parser.add_argument("--by", nargs="*", default=[], choices=("hour", "month", "season"))
    parser.add_argument("--pictures", type=Path, help="folder for the pictures")
    asked = parser.parse_args()
    for name in asked.set:
        if not (asked.data / SETS[name][0]).exists():
            print(f"skipped: {asked.data / SETS[name][0]} is not here; name it with --data")
            continue
        score(name, asked)


if __name__ == "__main__":
    main()
