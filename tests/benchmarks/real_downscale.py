"""Real fields made coarse and fine again: every score, beside simple answers.

    python tests/benchmarks/real_downscale.py --set ncep_air kerala_t2m --fit ridge gaussian_process
    python tests/benchmarks/real_downscale.py --by hour month --pictures pictures
    python tests/benchmarks/real_downscale.py --timing
    python tests/benchmarks/real_downscale.py --memory

The records are read from `--data`, by default the folder that XGEOML_DATA_PATH names, or else
``../shared/data``. Block means are downscaled in the last quarter of the time; models of `--fit`
are fitted on the quarters before. Without options: the default model and `ridge` beside `bicubic`
and `conservative`.

``--timing`` compares 730 fields of 6 x 13 cells, made four times as fine by the default model, with
a bare torch loop over its network that is given ready inputs, and with torch's own bicubic.
``--memory`` reports the peak of a process that downscales lazy fields into a zarr store, for longer
and longer records.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

import xgeoml
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
FIELDS, ROWS, COLUMNS, TIMES = 730, 6, 13, 4


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


# ---------------------------------------------------------------- timing
def weather(steps: int, rows: int, columns: int) -> xr.DataArray:
    """Return smooth fields of `rows` x `columns` cells."""
    random = np.random.default_rng(0)
    lines = np.cumsum(random.standard_normal((steps, rows, columns)), axis=-1)
    stamps = pd.date_range("2020-01-01", periods=steps, freq="6h")
    return xr.DataArray(
        (280.0 + np.cumsum(lines, axis=-2)).astype("float32"),
        {
            "time": stamps,
            "lat": ("lat", 20.0 + 10.0 * np.arange(rows), {"units": "degrees_north"}),
            "lon": ("lon", 200.0 + 10.0 * np.arange(columns), {"units": "degrees_east"}),
        },
        ("time", "lat", "lon"),
        "air",
    )


def bare_loop(name: str, fields: xr.DataArray):
    """Return a function that runs a model's network, batch by batch, on ready inputs."""
    import torch

    from xgeoml.engine.handle import ModelHandle
    from xgeoml.engine.refine_network import coarse_channels, fine_channels, scale_of
    from xgeoml.engine.runner import BATCH_ELEMENTS
    from xgeoml.models.downscaling import Clock, Placement, Window

    spec = xgeoml.get_model(name)
    handle = ModelHandle(spec, None, tuple(ModelHandle(xgeoml.get_model(b)) for b in spec.bases))
    # Without the halo that the engine adds: a loop written by hand would have none.
    value = fields.values.astype("float64")
    unknown = np.full(len(value), np.nan)
    rows, columns = value.shape[1:]
    window = Window(
        value,
        Placement.refined(rows, columns, TIMES),
        (0, 0, 0),
        Clock(unknown, unknown, unknown),
        np.empty((0, *value.shape)),
    )
    scale = scale_of(value, spec)
    coarse = torch.from_numpy(coarse_channels(window, spec, *scale))
    bases = {
        base: handle.with_state(base)[0].predict(window, handle.with_state(base)[1])
        for base in spec.bases
    }
    static = np.empty((0, rows * TIMES, columns * TIMES))
    fine = torch.from_numpy(fine_channels(bases, static, spec, *scale))
    network = handle.network("cpu")
    batch = max(1, BATCH_ELEMENTS["cpu"] // coarse[0].numel())

    def run() -> None:
        with torch.inference_mode():
            for start in range(0, len(coarse), batch):
                some = slice(start, start + batch)
                network(coarse[some], fine[some], TIMES)

    return run


def timing(model: str, repeats: int) -> None:
    """Print the medians of runs that alternate."""
    import torch

    fields = weather(FIELDS, ROWS, COLUMNS)
    step = 10.0 / TIMES
    grid = xr.Dataset(
        coords={
            "lat": ("lat", 16.0 + step * np.arange(ROWS * TIMES + 1), fields.lat.attrs),
            "lon": ("lon", 196.0 + step * np.arange(COLUMNS * TIMES + 1), fields.lon.attrs),
        }
    )
    tensor = torch.from_numpy(fields.values)[:, None]
    runs = {
        "bare torch loop": bare_loop(model, fields),
        f"{model}, factor={TIMES}": lambda: fields.geoml.downscale(TIMES, model, progress=False),
        f"{model}, like=25 x 53": lambda: fields.geoml.downscale(
            model=model, like=grid, progress=False
        ),
        "conservative": lambda: fields.geoml.downscale(TIMES, "conservative", progress=False),
        "torch's bicubic": lambda: torch.nn.functional.interpolate(
            tensor, scale_factor=TIMES, mode="bicubic"
        ),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    # The first round reads weights and imports what is needed.
    middle = {name: np.array(each[1:]) for name, each in seconds.items()}
    bare = middle["bare torch loop"]
    print(f"{FIELDS} fields of {ROWS} x {COLUMNS}, {torch.get_num_threads()} threads")
    for name, each in middle.items():
        ratio = np.median(each / bare)
        print(f"  {name:28s} {1e3 * np.median(each):8.1f} ms   ratio to the loop {ratio:.2f}")


# ---------------------------------------------------------------- memory
def memory(model: str, lengths: list[int]) -> None:
    """Print the peak of a process of its own for each length of the record."""
    for steps in lengths:
        command = [sys.executable, __file__, "--model", model, "--measure", str(steps)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        print(done.stdout.strip(), flush=True)


def measure(model: str, steps: int) -> None:
    """Downscale lazy fields into a store, and print the peak of this process."""
    import dask.array as da

    shape = (steps, 96, 96)
    some = weather(shape[0], 2, 2)
    noise = da.random.default_rng(0).standard_normal(shape, chunks=(32, 96, 96), dtype="float32")
    fields = xr.DataArray(
        noise,
        {
            "time": some.time,
            "lat": ("lat", np.linspace(-40, 40, 96), some.lat.attrs),
            "lon": ("lon", np.linspace(0, 80, 96), some.lon.attrs),
        },
        ("time", "lat", "lon"),
        "air",
    )
    with tempfile.TemporaryDirectory() as folder:
        made = fields.geoml.downscale(TIMES, model)
        made.to_zarr(Path(folder, "fine.zarr"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    chunk = np.prod(made.data.chunksize) * made.dtype.itemsize
    print(
        f"{model}: {steps} steps, result {made.nbytes / 1e6:.0f} MB in chunks of "
        f"{chunk / 1e6:.0f} MB: peak {peak / 1e6:.0f} MB"
    )


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    usual = os.environ.get("XGEOML_DATA_PATH", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(usual))
    parser.add_argument("--set", nargs="*", choices=SETS, default=["ncep_air"])
    parser.add_argument("--factor", type=int, default=TIMES)
    parser.add_argument("--last", type=int, help="only the last steps of the record")
    parser.add_argument("--model", nargs="*", default=["subgrid"], help="models as they are")
    parser.add_argument("--fit", nargs="*", default=["ridge"], help="models to be fitted")
    parser.add_argument("--by", nargs="*", default=[], choices=("hour", "month", "season"))
    parser.add_argument("--pictures", type=Path, help="folder for the pictures")
    parser.add_argument("--timing", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--lengths", type=int, nargs="*", default=[128, 512, 2048])
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        measure(asked.model[0], asked.measure)
    elif asked.timing:
        timing(asked.model[0], asked.repeats)
    elif asked.memory:
        memory(asked.model[0], asked.lengths)
    else:
        for name in asked.set:
            if not (asked.data / SETS[name][0]).exists():
                print(f"skipped: {asked.data / SETS[name][0]} is not here; name it with --data")
                continue
            score(name, asked)


if __name__ == "__main__":
    main()
