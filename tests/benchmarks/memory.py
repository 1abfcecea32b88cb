"""Peak memory of filling a record larger than the memory it is given, streamed to zarr.

    python tests/benchmarks/memory.py [--model kalman] [--cells 768] [--chunks 264 128 128] ...

Writes a synthetic record to a temporary zarr store, fills it in a process of its own and prints the
peak of that process beside the bound ``6 x chunk x workers + 500 MB``. Without `--chunks`: for
chunks in space on the lattice of tiles, in space off it, in time and space, and a file a step.
"""

from __future__ import annotations

import argparse
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def write(path: Path, cells: int, steps: int, chunks: tuple[int, int, int]) -> int:
    import dask.array as da
    import pandas as pd
    import xarray as xr

    noise = da.random.default_rng(0).standard_normal(
        (steps, cells, cells), chunks=chunks, dtype=np.float32
    )
    gaps = np.zeros((steps, 1, 1), bool)
    gaps[steps // 2 : steps // 2 + 11] = True
    values = da.where(gaps, np.float32(np.nan), noise)
    coords = {
        "time": pd.date_range("2000-01-01", periods=steps, freq="MS"),
        "lat": np.linspace(-60, 60, cells),
        "lon": np.linspace(0, 300, cells),
    }
    record = xr.DataArray(values, dims=("time", "lat", "lon"), coords=coords, name="tws")
    record.to_dataset().to_zarr(path)
    return int(values.nbytes)


def fill(source: Path, target: Path, model: str, workers: int) -> None:
    import dask
    import xarray as xr

    import xgeoml  # noqa: F401  registers .geoml

    with dask.config.set(scheduler="threads", num_workers=workers):
        record = xr.open_zarr(source)
        record.geoml.fill_gaps(model, spread=True).to_zarr(target)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="kalman")
    parser.add_argument("--cells", type=int, default=768)
    parser.add_argument("--steps", type=int, default=264)
    parser.add_argument("--chunks", type=int, nargs=3, metavar=("TIME", "LAT", "LON"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--fill", nargs=2, metavar=("SOURCE", "TARGET"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.fill:
        fill(*map(Path, arguments.fill), arguments.model, arguments.workers)
        return
    steps, cells = arguments.steps, arguments.cells
    usual = [(steps, 128, 128), (steps, 100, 160), (24, 100, 100), (1, cells, cells)]
    for chunks in [tuple(arguments.chunks)] if arguments.chunks else usual:
        measure(arguments, chunks)


def measure(arguments: argparse.Namespace, chunks: tuple[int, int, int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "record.zarr"), Path(folder, "filled.zarr")
        size = write(source, arguments.cells, arguments.steps, chunks)
        command = [sys.executable, __file__, "--model", arguments.model]
        command += ["--workers", str(arguments.workers), "--fill", str(source), str(target)]
        start = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - start
        peak = int(done.stdout.split()[-1])
    chunk = math.prod(chunks) * 4
    bound = 6 * chunk * arguments.workers + 500e6
    print(
        f"{arguments.model}: record {size / 1e6:.0f} MB, chunks {chunks} of {chunk / 1e6:.1f} MB, "
        f"{arguments.workers} workers: {seconds:.0f} s, peak {peak / 1e6:.0f} MB, "
        f"bound {bound / 1e6:.0f} MB, "
        f"factor over 500 MB {(peak - 500e6) / (chunk * arguments.workers):.1f}"
    )


if __name__ == "__main__":
    main()
