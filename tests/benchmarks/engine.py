"""What the engine adds to the models: whole calls against a bare torch loop, for each task.

    python tests/benchmarks/engine.py [MODEL ...] [--repeats 5] [--size 1] [--chunk 64]

A network is run once by the public method, and what it is given is kept. The bare loop gives it the
same batches again and does nothing else. Some networks are shown what classical models say, which a
script written by hand would have to ask as well: the time inside these is told apart. The runs of a
case take turns in one process, and ratios are medians over the rounds.

With `--chunk` the same is done on dask's threads, in chunks of so many MB of the result; choose a
`--size` that fills several.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import dask
import numpy as np
import torch
import xarray as xr
from torch import nn

import xgeoml
from xgeoml.engine import handle

# How classical models are asked.
_ASKED = ("predict", "summarise", "parts", "invert")


@dataclass(frozen=True)
class Case:
    """Data and the call that is timed.

    Attributes
    ----------
    call : callable
        Given the data, lazy or not, and the name of a model, returns the result.
    along : str
        The dim that chunks cut.
    finer : float
        Values of the result for one of the data.
    """

    model: str
    data: xr.DataArray
    call: Callable[[xr.DataArray, str], Any]
    along: str
    finer: float = 1.0


@dataclass
class Watch:
    """What happens inside models: the time in them, and what networks are given.

    Attributes
    ----------
    spans : list of tuple
        When a classical model began and ended, in seconds.
    given : list of tuple
        Networks, and what they are called with.
    """

    spans: list[tuple[float, float]] = field(default_factory=list)
    given: list[tuple[nn.Module, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Time in which at least one classical model was at work."""
        total, reached = 0.0, -np.inf
        for start, stop in sorted(self.spans):
            total += max(0.0, stop - max(start, reached))
            reached = max(reached, stop)
        return total


@contextmanager
def watched(keeps: bool) -> Iterator[Watch]:
    """Note what happens inside models; with `keeps`, also what networks are given."""
    watch = Watch()

    def timed(method: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return method(*args, **named)
            finally:
                watch.spans.append((start, time.perf_counter()))

        return run

    def keep(network: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        # Copies: the engine may use its memory again.
        watch.given.append((network, tuple(_copy(a) for a in args), dict(named)))

    with ExitStack() as stack:
        # That were loaded by a run before, each once.
        for model in {id(m): m for m in list(handle._loaded.values())}.values():
            if isinstance(model, nn.Module):
                if keeps:
                    hook = model.register_forward_pre_hook(keep, with_kwargs=True)
                    stack.callback(hook.remove)
            elif not isinstance(model, dict):
                for name in _ASKED:
                    if hasattr(model, name):
                        new = timed(getattr(model, name))
                        stack.enter_context(patch.object(type(model), name, _method(new)))
        yield watch


def _method(call: Callable[..., Any]) -> Callable[..., Any]:
    return staticmethod(call)


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else value


def months(size: float) -> Case:
    """Series of months, eleven of them missing in a row."""
    record = xgeoml.datasets.grace_like(nlat=32, nlon=max(4, round(64 * size))).lwe_thickness
    return Case("grace_tf", record, lambda d, m: d.geoml.fill_gaps(m, progress=False), "lon")


def days(size: float) -> Case:
    """Days under clouds, of which months are made."""
    record = xgeoml.datasets.cloudy_sst(days=365, nlat=64, nlon=max(16, round(64 * size))).sst
    return Case(
        "climanet",
        record,
        lambda d, m: d.geoml.fill_gaps(m, freq="MS", progress=False),
        "lon",
        1 / 30,
    )


def maps(size: float) -> Case:
    """Fields that are made four times as fine."""
    fine = xgeoml.datasets.mountain_temperature(steps=max(8, round(240 * size)), nlat=96, nlon=128)
    record = next(iter(fine.data_vars.values())).coarsen(lat=4, lon=4).mean()
    return Case("subgrid", record, lambda d, m: d.geoml.downscale(4, m, progress=False), "time", 16)


def hours(size: float) -> Case:
    """Six-hourly fields that become hourly."""
    n = max(13, round(24 * size) * 6 + 1)
    record = xgeoml.datasets.hourly_temperature(hours=n, nlat=64, nlon=64).t2m[::6]
    return Case(
        "temdeep", record, lambda d, m: d.geoml.interp_time("1h", m, progress=False), "time", 6
    )


def records(size: float) -> Case:
    """Seismograms with their Green's functions."""
    ds = xgeoml.datasets.station_pairs(events=max(8, round(120 * size)), stations=1, samples=512)
    greens = ds.greens.isel(station=0)

    def call(data: xr.DataArray, model: str) -> Any:
        return data.geoml.invert_waveform(model, greens=greens, progress=False)

    return Case("eq_tf", ds.record.isel(station=0), call, "event")


CASES = {"grace_tf": months, "climanet": days, "subgrid": maps, "temdeep": hours, "eq_tf": records}


def clock(call: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(case: Case, repeats: int, chunk: float) -> None:
    """Print the ratios of one case."""
    data = case.data
    if chunk:
        each = max(1, round(chunk * 1e6 / (data.nbytes * case.finer) * data.sizes[case.along]))
        data = data.chunk({d: each if d == case.along else -1 for d in data.dims})

    def whole() -> None:
        # Threads that end with the call: as long as they live, torch is slower in all others.
        with ThreadPoolExecutor(os.cpu_count()) as pool, dask.config.set(pool=pool):
            xr.Dataset({"made": case.call(data, case.model)}).compute()

    whole()  # reads the weights and imports what is needed
    with watched(keeps=True) as watch:
        whole()
    given = watch.given

    def loop() -> None:
        with torch.inference_mode():
            for network, args, named in given:
                network(*args, **named)

    loop()
    rows = []
    for _ in range(repeats):
        with watched(keeps=False) as watch:
            took = clock(whole)
        rows.append((clock(loop), watch.seconds, took))
    bare, classical, took = np.median(rows, axis=0)
    beside = np.median([t / (b + c) for b, c, t in rows])
    alone = np.median([t / b for b, _, t in rows])
    blocks = f", {data.data.npartitions} chunks of {chunk:g} MB" if chunk else ""
    print(
        f"{case.model:10} {dict(data.sizes)}{blocks}: {took:.2f} s; loop {bare:.2f} s in "
        f"{len(given)} batches, classical models {classical:.2f} s; ratio {beside:.3f} to both, "
        f"{alone:.2f} to the loop",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", help=f"of {', '.join(CASES)}; by default all")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--size", type=float, default=1.0, help="of the data, over the usual one")
    parser.add_argument("--chunk", type=float, default=0.0, help="MB of the result; 0: no dask")
    asked = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, medians of {asked.repeats} rounds")
    for model in asked.models or CASES:
        measure(CASES[model](asked.size), asked.repeats, asked.chunk)


if __name__ == "__main__":
    main()
