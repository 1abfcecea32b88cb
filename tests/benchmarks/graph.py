"""The graph of lazy calls on records of 10,000 chunks: time to build it, and bytes of a task.

    python tests/benchmarks/graph.py [--chunks 10000]

The bytes are those of the pickled graph, as a scheduler would be sent it, over the number of its
tasks; what all tasks share counts once.
"""

from __future__ import annotations

import argparse
import pickle
import time

import cloudpickle
import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

import xgeoml


def record(shape: tuple[int, int, int], chunks: tuple[int, int, int], freq: str) -> xr.DataArray:
    """Return a lazy record of maps."""
    steps, rows, columns = shape
    coords = {
        "time": pd.date_range("1950-01-01", periods=steps, freq=freq),
        "lat": np.linspace(-89.9, 89.9, rows),
        "lon": np.linspace(0.1, 359.9, columns),
    }
    values = da.zeros(shape, chunks=chunks, dtype="float32")
    return xr.DataArray(values, coords, ("time", "lat", "lon"), "t", {"units": "K"})


def seismograms(events: int) -> xr.Dataset:
    """Return lazy records of as many chunks as events."""
    ds = xgeoml.datasets.wavefield(stations=1, samples=256, source_samples=64)
    one = ds[["record", "greens"]].isel(station=0)
    return one.expand_dims(event=np.arange(events)).chunk({"event": 1})


def calls(n: int):
    """Yield names and calls that are to make lazy results of about n chunks."""
    side = round(n**0.5)
    whole = record((240, 64 * side, 64 * side), (240, 64, 64), "MS")
    for model in ("linear", "kalman", "oi", "grace_tf"):
        yield f"fill_gaps, {model}", lambda m=model: whole.geoml.fill_gaps(m)
    steps = record((n, 96, 96), (1, 96, 96), "6h")
    for model in ("conservative", "subgrid"):
        yield f"downscale, {model}", lambda m=model: steps.geoml.downscale(4, m)
    for model in ("linear", "temdeep"):
        yield f"interp_time, {model}", lambda m=model: steps.geoml.interp_time("3h", m)
    pairs = seismograms(n)
    for model in ("wiener", "eq_tf"):
        yield (
            f"invert_waveform, {model}",
            lambda m=model: pairs.record.geoml.invert_waveform(m, greens=pairs.greens),
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chunks", type=int, default=10_000)
    asked = parser.parse_args()
    for name, call in calls(asked.chunks):
        start = time.perf_counter()
        made = call()
        data = made if isinstance(made, xr.Dataset) else made.to_dataset(name="made")
        built = time.perf_counter()
        tasks = dict(data.__dask_graph__())
        laid = time.perf_counter()
        size = len(cloudpickle.dumps(tasks, protocol=pickle.HIGHEST_PROTOCOL))
        chunks = max(v.data.npartitions for v in data.data_vars.values() if v.chunks)
        print(
            f"{name:28} {chunks} chunks, {len(tasks)} tasks: built in {built - start:.2f} s, laid "
            f"out in {laid - built:.2f} s, {size / len(tasks):.0f} bytes a task",
            flush=True,
        )


if __name__ == "__main__":
    main()
