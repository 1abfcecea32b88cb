"""Peak memory of filling a record larger than the memory it is given, streamed to zarr.

    python tests/benchmarks/memory.py [--model kalman] [--cells 384] [--chunk 64] [--workers 2]

Writes a synthetic record to a temporary zarr store, fills it in a process of its own and prints the
peak of that process beside the bound ``6 x chunk x workers + 500 MB``.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np


def write(path: Path, cells: int, steps: int, chunk: int) -> int:
    import dask.array as da
    import pandas as pd
    import xarray as xr

    noise = da.random.default_rng(0).standard_normal(
        (steps, cells, cells), chunks=(steps, chunk, chunk), dtype=np.float32
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
    parser.add_argument("--chunk", type=int, default=128)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--fill", nargs=2, metavar=("SOURCE", "TARGET"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.fill:
        fill(*map(Path, arguments.fill), arguments.model, arguments.workers)
        return
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "record.zarr"), Path(folder, "filled.zarr")
        size = write(source, arguments.cells, arguments.steps, arguments.chunk)
        command = [sys.executable, __file__, "--model", arguments.model]
        command += ["--workers", str(arguments.workers), "--fill", str(source), str(target)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peak = int(done.stdout.split()[-1])
    chunk = arguments.chunk**2 * arguments.steps * 4
    bound = 6 * chunk * arguments.workers + 500e6
    print(
        f"{arguments.model}: record {size / 1e6:.0f} MB, chunk {chunk / 1e6:.1f} MB, "
        f"{arguments.workers} workers: peak {peak / 1e6:.0f} MB, bound {bound / 1e6:.0f} MB, "
        f"factor over 500 MB {(peak - 500e6) / (chunk * arguments.workers):.1f}"
    )


if __name__ == "__main__":
    main()
