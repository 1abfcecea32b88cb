"""Classical models beside the libraries that do the same work: one process, runs in turn.

    python tests/benchmarks/classical.py [--task fill_gaps downscale] [--repeats 5] [--cpu]

Gaps: `interpolate_na` of xarray, and the decomposition of the filled record by xeofs. Downscaling:
`zoom` of scipy.ndimage and `resize` of scikit-image. Times: `interp` of xarray. Waveforms: a few
lines of numpy.fft. What is not installed is left out, and said so. The record is that of the folder
that XGEOML_DATA_PATH names, or else ``../shared/data``; where it is not there, a made-up one of
like size.

Prints a table of median seconds and ratios to the first line of each task; with ``--cpu`` of the
processors' time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.ndimage import zoom

import xgeoml

RECORD = "sst/sst_pacific_197001-200303_2deg.nc"
# Steps hidden from the record: a run of them, and single ones.
RUN, SINGLES = 11, 30
FACTOR = 4
# Records of a source: how many, their samples, and seconds between these.
TRACES, SAMPLES, STEP = 120, 512, 0.25

Run = Callable[[], object]


def record() -> xr.DataArray:
    """Return a monthly record, (time, lat, lon), with steps hidden."""
    folder = Path(os.environ.get("XGEOML_DATA_PATH", "../shared/data"))
    if (folder / RECORD).exists():
        with xr.open_dataset(folder / RECORD) as data:
            whole = data["ssta"].transpose("time", "lat", "lon").astype(np.float32).load()
    else:
        print(f"no {folder / RECORD}: a made-up record instead")
        whole = xgeoml.datasets.cloudy_sst_truth(days=400, nlat=30, nlon=84)["sst"]
        whole = whole.transpose("time", "lat", "lon").astype(np.float32)
    random = np.random.default_rng(0)
    n = whole.sizes["time"]
    hidden = np.zeros(n, bool)
    hidden[n // 4 : n // 4 + RUN] = True
    hidden[random.choice(n, SINGLES, replace=False)] = True
    return whole.where(xr.DataArray(~hidden, dims="time"))


def gaps() -> dict[str, Run]:
    """Return what fills gaps."""
    given = record()
    runs: dict[str, Run] = {"xarray interpolate_na": lambda: given.interpolate_na("time")}
    if find_spec("xeofs"):
        from xeofs.single import EOF

        filled = given.interpolate_na("time", fill_value="extrapolate")
        runs["xeofs EOF, 30 modes"] = lambda: EOF(n_modes=30).fit(filled, dim="time")
    else:
        print("xeofs is not installed: left out")
    for model in ("linear", "climatology", "kalman", "dineof", "oi"):
        runs[f"xgeoml {model}"] = lambda model=model: given.geoml.fill_gaps(model, progress=False)
    return runs


def finer() -> dict[str, Run]:
    """Return what makes fields finer."""
    coarse = xgeoml.datasets.hourly_temperature(hours=240, nlat=48, nlon=64)["t2m"]
    fields = coarse.values
    runs: dict[str, Run] = {}
    orders = {"nearest": 0, "bilinear": 1, "bicubic": 3}
    for name, order in orders.items():
        # Field by field, as all of these do: a filter along time is another task.
        runs[f"scipy zoom, {name}"] = lambda order=order: np.stack(
            [zoom(field, FACTOR, order=order, mode="nearest", grid_mode=True) for field in fields]
        )
    if find_spec("skimage"):
        from skimage.transform import resize

        shape = tuple(FACTOR * n for n in fields.shape[1:])
        for name, order in orders.items():
            runs[f"scikit-image resize, {name}"] = lambda order=order: np.stack(
                [resize(field, shape, order=order, mode="edge") for field in fields]
            )
    else:
        print("scikit-image is not installed: left out")
    for name in orders:
        runs[f"xgeoml {name}"] = lambda name=name: coarse.geoml.downscale(
            factor=FACTOR, model=name, progress=False
        )
    return runs


def between() -> dict[str, Run]:
    """Return what interpolates in time."""
    fine = xgeoml.datasets.hourly_temperature(hours=241, nlat=64, nlon=64)["t2m"]
    coarse, times = fine[::6], fine["time"]
    runs: dict[str, Run] = {}
    for name in ("linear", "cubic", "akima"):
        runs[f"xarray interp, {name}"] = lambda name=name: coarse.interp(time=times, method=name)
    for name in ("linear", "cubic", "akima"):
        runs[f"xgeoml {name}"] = lambda name=name: coarse.geoml.interp_time(
            times=times, model=name, progress=False
        )
    return runs


def sources() -> dict[str, Run]:
    """Return what finds the source of records."""
    random = np.random.default_rng(0)
    decay = np.exp(-np.arange(SAMPLES) / 60.0)
    greens = random.standard_normal((TRACES, SAMPLES)) * decay
    pulse = np.exp(-0.5 * ((np.arange(SAMPLES) - 40.0) / 8.0) ** 2)
    records = np.stack([np.convolve(g, pulse)[:SAMPLES] for g in greens])
    axis = {"time": ("time", np.arange(SAMPLES) * STEP, {"units": "s", "axis": "T"})}

    def waves(values: np.ndarray) -> xr.DataArray:
        named = {"dims": ("trace", "time"), "coords": axis, "attrs": {"units": "m s-1"}}
        return xr.DataArray(values.astype(np.float32), **named)

    given, known = waves(records), waves(greens)

    def divided(floor: float, added: bool) -> np.ndarray:
        """Divide the spectra, those of the Green's functions kept from 0."""
        n = 2 * SAMPLES
        spectrum = np.fft.rfft(greens, n)
        power = np.abs(spectrum) ** 2
        least = floor * power.max(axis=1, keepdims=True)
        power = power + least if added else np.maximum(power, least)
        return np.fft.irfft(np.fft.rfft(records, n) * spectrum.conj() / power, n)[:, :SAMPLES]

    runs: dict[str, Run] = {
        "numpy.fft, water level": lambda: divided(0.05, False),
        "numpy.fft, Wiener": lambda: divided(0.05, True),
    }
    for name in ("water_level", "wiener"):
        runs[f"xgeoml {name}"] = lambda name=name: given.geoml.invert_waveform(
            model=name, greens=known, progress=False
        )
    return runs


TASKS: dict[str, Callable[[], dict[str, Run]]] = {
    "fill_gaps": gaps,
    "downscale": finer,
    "interp_time": between,
    "invert_waveform": sources,
}


def measured(runs: dict[str, Run], repeats: int, clock: Callable[[], float]) -> dict[str, float]:
    """Return the median time of each, after one turn that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            start = clock()
            run()
            if turn:
                taken[name].append(clock() - start)
    return {name: float(np.median(times)) for name, times in taken.items()}


def beside(name: str, runs: dict[str, float]) -> float:
    """Return the time of the first line that does the same, else of the first line of all."""
    kind = name.removeprefix("xgeoml ").replace("_", " ").lower()
    others = [other for other in runs if not other.startswith("xgeoml")]
    same = [other for other in others if other.lower().endswith(kind)]
    return runs[(same or others)[0]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", nargs="*", choices=TASKS, default=list(TASKS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cpu", action="store_true")
    a = parser.parse_args()
    clock = time.process_time if a.cpu else time.perf_counter
    rows = []
    for task in a.task:
        took = measured(TASKS[task](), a.repeats, clock)
        for name, seconds in took.items():
            ratio = seconds / beside(name, took) if name.startswith("xgeoml") else None
            rows.append((task, name, f"{seconds:.4f}", "" if ratio is None else f"{ratio:.2f} x"))
    print(f"{'task':16}{'what':34}{'seconds':>9}{'ratio':>10}")
    for task, name, told, ratio in rows:
        print(f"{task:16}{name:34}{told:>9}{ratio:>10}")


if __name__ == "__main__":
    main()
