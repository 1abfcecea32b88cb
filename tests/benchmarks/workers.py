"""Two worker processes against one: the same lazy data, from zarr to zarr, on two clusters.

    OMP_NUM_THREADS=1 python tests/benchmarks/workers.py [--model kalman subgrid] [--size 0.2]

Both clusters stand ready, their modules and weights loaded, and take turns. Prints the medians in
seconds and the ratio of one worker to two. On a busy machine two other columns tell more: the same
ratio of processor time, that of one worker over that of the busier of two; and what part of the
time of one worker its longest task is, since for so long the others may have nothing to do. First
comes a control: products of matrices in two processes without dask; where that ratio is far below
2, the machine is busy.

With `--keep-memory` the workers keep memory that they have freed, as docs/clusters.md advises; else
they give it back at once, as dask has them do.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import dask
import numpy as np
import xarray as xr
from distributed import Client, LocalCluster

import xgeoml

CONTROL = 24
# From which size on glibc asks the system for an array of its own, and how much it keeps.
KEEP = {"MALLOC_MMAP_THRESHOLD_": 2**25, "MALLOC_TRIM_THRESHOLD_": 2**26}


class Case(NamedTuple):
    """A model at work.

    Parameters
    ----------
    task : str
    chunks : dict
        Of the data.
    data : callable
        Given how large, returns a Dataset.
    call : callable
        Given lazy data and the model's name, returns the lazy result.
    """

    task: str
    chunks: dict[str, int]
    data: Callable[[float], xr.Dataset]
    call: Callable[[xr.Dataset, str], xr.Dataset]


def months(cells: float) -> xr.Dataset:
    """Return 22 years of a monthly record on a grid of so many cells."""
    lat = min(108, max(4, round((cells / 2) ** 0.5)))
    record = xgeoml.datasets.grace_like(nlat=lat, nlon=2 * lat)
    # It comes in no larger grid: side by side.
    several = max(1, round(cells / record.lwe_thickness[0].size))
    wide = xr.concat([record] * several, "lon")
    return wide.assign_coords(lon=np.linspace(0, 300, wide.sizes["lon"]))


def hours(steps: float, side: int = 64) -> xr.Dataset:
    """Return hourly fields."""
    return xgeoml.datasets.hourly_temperature(hours=round(steps), nlat=side, nlon=side)


def waves(events: float) -> xr.Dataset:
    """Return records of events at three stations: two pulses, noise, and paths with a coda."""
    random = np.random.default_rng(0)
    shape = (round(events), 3, 512)
    number = np.arange(shape[-1])
    at, width = random.uniform(20, 60, (shape[0], 1)), random.uniform(3, 8, (shape[0], 1))
    source = np.exp(-0.5 * ((number - at) / width) ** 2)
    paths = random.standard_normal(shape) * np.exp(-number / 40.0)
    spectra = (np.fft.rfft(a, 2 * shape[-1]) for a in (source[:, None], paths))
    record = np.fft.irfft(np.multiply(*spectra), 2 * shape[-1])[..., : shape[-1]]
    record += 0.02 * record.std() * random.standard_normal(shape)
    dims, step = ("event", "station", "time"), {"units": "s"}
    made = {"record": (dims, record.astype("f4")), "greens": (dims, paths.astype("f4"))}
    return xr.Dataset(made, {"time": ("time", 0.1 * number, step)})


def filled(data: xr.Dataset, model: str) -> xr.Dataset:
    return data.geoml.fill_gaps(model)


def finer(data: xr.Dataset, model: str) -> xr.Dataset:
    return data.geoml.downscale(4, model)


def between(data: xr.Dataset, model: str) -> xr.Dataset:
    return data.isel(time=slice(None, None, 6)).geoml.interp_time("1h", model)


def sources(data: xr.Dataset, model: str) -> xr.Dataset:
    return data.geoml.invert_waveform(model, greens="greens", length=128)


SERIES = {"lat": 16, "lon": 32}
CASES = {
    "kalman": Case("fill_gaps", SERIES, lambda s: months(60000 * s), filled),
    "grace_tf": Case("fill_gaps", SERIES, lambda s: months(6000 * s), filled),
    "conservative": Case("downscale", {"time": 256}, lambda s: hours(24000 * s, 16), finer),
    "subgrid": Case("downscale", {"time": 256}, lambda s: hours(6000 * s, 16), finer),
    "optical_flow": Case("interp_time", {"time": 120}, lambda s: hours(3000 * s), between),
    "temdeep": Case("interp_time", {"time": 120}, lambda s: hours(960 * s), between),
    "nnls": Case("invert_waveform", {"event": 100}, lambda s: waves(1800 * s), sources),
    "eq_tf": Case("invert_waveform", {"event": 50}, lambda s: waves(800 * s), sources),
}


def busy(_number: int) -> float:
    """Multiply matrices for a while."""
    matrix = np.ones((300, 300))
    for _ in range(40):
        matrix = np.tanh(matrix @ matrix)
    return float(matrix[0, 0])


def control() -> float:
    """Return the ratio of one process to two, without dask and files."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(busy, range(2), chunksize=1)
        once = []
        for _ in range(3):
            at_once = [CONTROL, 1]
            once.append([timed(lambda n=n: pool.map(busy, range(CONTROL), n)) for n in at_once])
    return float(np.median([one / two for one, two in once]))


def timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(name: str, clusters: list[LocalCluster], size: float, repeats: int) -> str:
    """Return a line of the table."""
    case = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "data.zarr"), Path(folder, "made.zarr")
        case.data(size).chunk(case.chunks).to_zarr(source, consolidated=False)

        def run() -> None:
            lazy = xr.open_zarr(source, consolidated=False)
            made = case.call(lazy, name).drop_encoding()
            made.to_zarr(target, consolidated=False, mode="w")

        took: list[list[float]] = []
        worked: list[list[float]] = []
        longest = 0.0
        # The first round loads modules and weights.
        for _ in range(1 + repeats):
            took.append([])
            worked.append([])
            for cluster in clusters:
                with Client(cluster) as client:
                    start, before = first_of_stream(client), client.run(time.process_time)
                    took[-1].append(timed(run))
                    after = client.run(time.process_time)
                    worked[-1].append(max(after[worker] - before[worker] for worker in before))
                    if len(took[-1]) == 1:
                        longest = longest_task(client, start) / took[-1][0]
    one, two = np.median(took[1:], axis=0)
    ratio, work = (np.median([a / b for a, b in each[1:]]) for each in (took, worked))
    times = f"{one:7.1f} {two:7.1f} {ratio:7.2f} {work:9.2f} {longest:9.2f}"
    return f"{case.task:16} {name:13} {times}"


def first_of_stream(client: Client) -> float:
    """Have tasks written down from now on; return what time it is."""
    client.get_task_stream(count=1)
    return time.time()


def longest_task(client: Client, start: float) -> float:
    """Return the seconds that the longest task since then took."""
    stream: Any = client.get_task_stream(start=start)
    spans = [s for task in stream for s in task["startstops"] if s["action"] == "compute"]
    return max((s["stop"] - s["start"] for s in spans), default=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--size", type=float, default=1.0, help="of the data, 1: ten seconds")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--keep-memory", action="store_true")
    a = parser.parse_args()
    environ = {f"distributed.nanny.pre-spawn-environ.{k}": v for k, v in KEEP.items()}
    print(f"control, without dask: {control():.2f}")
    options: dict[str, Any] = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    with (
        dask.config.set(environ if a.keep_memory else {}),
        LocalCluster(n_workers=1, **options) as one,
        LocalCluster(n_workers=2, **options) as two,
    ):
        print(f"{'':30} {'one':>7} {'two':>7} {'ratio':>7} {'processor':>9} {'longest':>9}")
        for name in a.model:
            print(measure(name, [one, two], a.size, a.repeats), flush=True)


if __name__ == "__main__":
    main()
