"""Peak memory of results that are streamed to zarr, while the data grow and their chunks do not.

    python tests/benchmarks/memory.py [CASE ...] [--times 1 4 16] [--mb 64] [--workers 2]
    python tests/benchmarks/memory.py --chunks 264 128 128

Writes a synthetic record of `--mb` MB, and records so many times as large, to temporary zarr
stores. A process of its own opens each, calls a task, writes the result to another store, and tells
its peak. The last column is the peak over that of the smallest record.

With `--chunks` gaps are filled in a record of 264 steps of 768 x 768 cells in these chunks; the
peak is printed beside the bound ``6 x chunk x workers + 500 MB``. ``--chunks all`` tries chunks in
space on the lattice of tiles, in space off it, in time and space, and a file a step.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

STEPS, CELLS = 264, 768
TORN = ((STEPS, 128, 128), (STEPS, 100, 160), (24, 100, 100), (1, CELLS, CELLS))


def fields(shape: tuple[int, ...], chunks: tuple[int, ...], freq: str, gap: bool) -> xr.Dataset:
    """Return lazy noise on maps."""
    import dask.array as da
    import pandas as pd

    steps, rows, columns = shape
    random = da.random.default_rng(0)
    values = random.standard_normal(shape, chunks=chunks, dtype=np.float32)
    if gap:
        gaps = np.zeros((steps, 1, 1), bool)
        gaps[steps // 2 : steps // 2 + 11] = True
        values = da.where(gaps, np.float32(np.nan), values)
    coords = {
        "time": pd.date_range("1950-01-01", periods=steps, freq=freq),
        "lat": np.linspace(-60, 60, rows),
        "lon": np.linspace(0, 300, columns),
    }
    made = xr.DataArray(values, coords, ("time", "lat", "lon"), "t", {"units": "K"})
    return made.to_dataset()


def gappy(mb: float) -> xr.Dataset:
    """Months of a grid that grows in space."""
    columns = 128 * max(1, round(mb * 1e6 / (4 * STEPS * 256 * 128)))
    return fields((STEPS, 256, columns), (STEPS, 128, 128), "MS", gap=True)


def maps(mb: float) -> xr.Dataset:
    """Fields of 96 x 96 cells; more and more of them."""
    steps = 32 * max(1, round(mb * 1e6 / (4 * 96 * 96 * 32)))
    return fields((steps, 96, 96), (32, 96, 96), "6h", gap=False)


def records(mb: float) -> xr.Dataset:
    """Seismograms; more and more events."""
    import dask.array as da

    events, samples = 512 * max(1, round(mb * 1e6 / (2 * 4 * 512 * 512))), 512
    random = da.random.default_rng(0)
    noise = [random.standard_normal((events, samples), chunks=(512, -1), dtype="f4") for _ in "ab"]
    time_axis = ("time", 0.05 * np.arange(samples), {"units": "s"})
    dims = ("event", "time")
    return xr.Dataset({"record": (dims, noise[0]), "greens": (dims, noise[1])}, {"time": time_axis})


def _fill(model: str) -> Callable[[xr.Dataset], Any]:
    return lambda ds: ds.geoml.fill_gaps(model, spread=model != "linear")


def _refine(model: str) -> Callable[[xr.Dataset], Any]:
    return lambda ds: ds.geoml.downscale(4, model)


def _between(model: str) -> Callable[[xr.Dataset], Any]:
    return lambda ds: ds.geoml.interp_time("3h", model)


def _source(model: str) -> Callable[[xr.Dataset], Any]:
    return lambda ds: ds.geoml.invert_waveform(model, greens="greens", length="6.4s")


# By task and model: the data for so many MB, and the call. What makes 16 values of one, or takes
# long, is given less data.
CASES: dict[str, tuple[Callable[[float], xr.Dataset], Callable[[xr.Dataset], Any], float]] = {
    "fill_gaps/linear": (gappy, _fill("linear"), 1.0),
    "fill_gaps/kalman": (gappy, _fill("kalman"), 1.0),
    "downscale/conservative": (maps, _refine("conservative"), 0.25),
    "downscale/subgrid": (maps, _refine("subgrid"), 0.125),
    "interp_time/linear": (maps, _between("linear"), 1.0),
    "interp_time/temdeep": (maps, _between("temdeep"), 0.125),
    "invert_waveform/wiener": (records, _source("wiener"), 1.0),
}


def run(case: str, source: Path, target: Path, workers: int) -> None:
    """Call a task on a store, write the result, and print the peak of this process."""
    import dask

    import xgeoml  # noqa: F401  registers .geoml

    with dask.config.set(scheduler="threads", num_workers=workers):
        CASES[case][1](xr.open_zarr(source)).to_zarr(target)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def peak_of(case: str, ds: xr.Dataset, workers: int) -> tuple[int, float]:
    """Return the peak of a process that treats a Dataset, in bytes, and its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "record.zarr"), Path(folder, "made.zarr")
        ds.to_zarr(source)
        command = [sys.executable, __file__, case, "--workers", str(workers)]
        command += ["--run", str(source), str(target)]
        start = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
        return int(done.stdout.split()[-1]), time.perf_counter() - start


def growth(case: str, mb: float, times: list[int], workers: int) -> None:
    """Print the peaks for records of several sizes."""
    make, _, share = CASES[case]
    first = None
    for several in times:
        ds = make(mb * share * several)
        peak, seconds = peak_of(case, ds, workers)
        first = first or peak
        print(
            f"{case:24} {several:3d} x: {ds.nbytes / 1e6:6.0f} MB, {seconds:4.0f} s, peak "
            f"{peak / 1e6:5.0f} MB, {peak / first:.2f}",
            flush=True,
        )


def torn(case: str, chunks: tuple[int, ...], workers: int) -> None:
    """Print the peak for a record in such chunks, beside the bound."""
    ds = fields((STEPS, CELLS, CELLS), chunks, "MS", gap=True)
    peak, seconds = peak_of(case, ds, workers)
    chunk = math.prod(chunks) * 4
    bound = 6 * chunk * workers + 500e6
    print(
        f"{case}: record {ds.nbytes / 1e6:.0f} MB, chunks {chunks} of {chunk / 1e6:.1f} MB, "
        f"{workers} workers: {seconds:.0f} s, peak {peak / 1e6:.0f} MB, bound {bound / 1e6:.0f} MB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; by default all")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--mb", type=float, default=64.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--chunks", nargs="+", help="TIME LAT LON, or all")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run:
        run(asked.cases[0], *map(Path, asked.run), asked.workers)
        return
    if asked.chunks:
        several = TORN if asked.chunks == ["all"] else (tuple(map(int, asked.chunks)),)
        for case in asked.cases or ["fill_gaps/kalman"]:
            for chunks in several:
                torn(case, chunks, asked.workers)
        return
    for case in asked.cases or CASES:
        growth(case, asked.mb, asked.times, asked.workers)


if __name__ == "__main__":
    main()
