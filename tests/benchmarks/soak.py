"""One process that calls everything for an hour: its memory must stay where it is.

    OMP_NUM_THREADS=1 python tests/benchmarks/soak.py [--minutes 60] [--only fill]

Calls of all tasks take turns in random order: NumPy, lazy and trees, fits, evaluations, pictures,
reprs, and calls that end in an error; every call has data of its own. After a warm-up of a fifth of
the time, prints the memory of the process every so often; in the end the slope, and of which
classes there are more objects than after the warm-up. The exit code is 1 if memory has grown by
more than 5 %.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import dask.utils
import numpy as np
import xarray as xr

import xgeoml

# What memory may grow by after the warm-up, and the share of the time that this takes.
ALLOWED = 0.05
WARM_UP = 0.2
# Samples of the memory after the warm-up.
SAMPLES = 60

Seed = int
Call = Callable[[Seed], object]


def monthly(seed: Seed) -> xr.Dataset:
    """Return a record with gaps that nobody else has."""
    record = xgeoml.datasets.grace_like(seed, nlat=6, nlon=8).isel(time=slice(0, 72))
    return record[["lwe_thickness"]]


def daily(seed: Seed) -> xr.Dataset:
    return xgeoml.datasets.cloudy_sst(seed, days=64, nlat=8, nlon=10)


def fine(seed: Seed) -> xr.DataArray:
    return xgeoml.datasets.mountain_temperature(seed, steps=24, nlat=16, nlon=24)["t2m"]


def coarse(seed: Seed) -> xr.DataArray:
    return fine(seed).coarsen(lat=4, lon=4).mean()


def hourly(seed: Seed) -> xr.DataArray:
    return xgeoml.datasets.hourly_temperature(seed, hours=49, nlat=8, nlon=8)["t2m"].isel(
        time=slice(None, None, 6)
    )


def waves(seed: Seed) -> xr.Dataset:
    return xgeoml.datasets.wavefield(seed, stations=4, samples=256, source_samples=64)


def tree(seed: Seed) -> xr.DataTree:
    return xr.DataTree.from_dict({"/": monthly(seed), "/a": monthly(seed + 1)})


def filled(model: str, **more: object) -> Call:
    return lambda seed: monthly(seed).geoml.fill_gaps(model, seed=seed, **more)


def filled_lazily(model: str) -> Call:
    return lambda seed: (
        monthly(seed).chunk(time=-1, lat=4, lon=3).geoml.fill_gaps(model, spread=True).compute()
    )


def finer(model: str, **more: object) -> Call:
    return lambda seed: coarse(seed).geoml.downscale(4, model, **more)


def between(model: str) -> Call:
    return lambda seed: hourly(seed).geoml.interp_time("1h", model)


def sources(model: str, **more: object) -> Call:
    def call(seed: Seed) -> object:
        data = waves(seed)
        return data.record.geoml.invert_waveform(
            model, greens=data.greens, dim="station", length=64, **more
        )

    return call


def fitted(seed: Seed) -> object:
    own = coarse(seed).geoml.fit("delta", target=fine(seed))
    return coarse(seed).geoml.downscale(model=own), repr(own)


def fitted_in_time(seed: Seed) -> object:
    own = hourly(seed).geoml.fit("ridge")
    return hourly(seed).geoml.interp_time("2h", own)


def trained(seed: Seed) -> object:
    own = monthly(seed).geoml.fit(
        "grace_tf", max_epochs=1, steps=2, patterns=2, batch_size=4, seed=seed
    )
    with tempfile.TemporaryDirectory() as folder:
        return monthly(seed).geoml.fill_gaps(own.save(Path(folder) / "own.safetensors"))


def evaluated(seed: Seed) -> object:
    scores = monthly(seed).geoml.evaluate("fill_gaps", ["kalman"], repeats=2, seed=seed)
    return drawn(scores.geoml.plot.skill()), scores.geoml._repr_html_()


def evaluated_waves(seed: Seed) -> object:
    data = waves(seed)
    return data.record.geoml.evaluate(
        "invert_waveform", ["nnls"], greens=data.greens, dim="station", repeats=2, seed=seed
    )


def drawn(figure: object) -> bytes:
    """Return a figure as the bytes of a picture."""
    import io

    kept = io.BytesIO()
    figure.savefig(kept, dpi=40)
    return kept.getvalue()


def pictures(seed: Seed) -> object:
    record = monthly(seed)
    after = record.geoml.fill_gaps("linear")
    return [
        drawn(record.geoml.plot.gaps()),
        drawn(record.geoml.plot.compare(after)),
        drawn(record.geoml.plot.series()),
    ]


def shown(seed: Seed) -> object:
    seen = (monthly(seed), daily(seed).chunk(), coarse(seed), waves(seed), tree(seed))
    return [(repr(obj.geoml), obj.geoml._repr_html_(), obj.geoml.models()) for obj in seen]


def planned(seed: Seed) -> object:
    return [
        repr(monthly(seed).geoml.plan()),
        repr(coarse(seed).chunk().geoml.plan("downscale", factor=3)),
        repr(hourly(seed).geoml.plan("interp_time", freq="1h")),
    ]


def refused(seed: Seed) -> object:
    """Return what calls say that cannot be met: an error holds the frames that it came through."""
    said = []
    for call in (
        lambda: monthly(seed).geoml.fill_gaps("kalmann"),
        lambda: monthly(seed).isel(time=0).geoml.fill_gaps(),
        lambda: coarse(seed).geoml.downscale(99),
        lambda: hourly(seed).geoml.interp_time("3 parsecs"),
        lambda: waves(seed).record.geoml.invert_waveform(),
    ):
        try:
            call()
        except xgeoml.GeoMLError as error:
            said.append(str(error))
    assert len(said) == 5
    return said


CALLS: dict[str, Call] = {
    "fill linear": filled("linear"),
    "fill oi": filled("oi", spread=True),
    "fill dineof": filled("dineof"),
    "fill grace_tf": filled("grace_tf"),
    "fill kalman lazily": filled_lazily("kalman"),
    "fill grace_tf lazily": filled_lazily("grace_tf"),
    "fill months": lambda seed: daily(seed).geoml.fill_gaps("linear", freq="MS"),
    "fill a tree": lambda seed: tree(seed).geoml.fill_gaps("climatology"),
    "downscale subgrid": finer("subgrid"),
    "downscale bicubic": finer("bicubic", conserve="area"),
    "downscale lazily": lambda seed: (
        coarse(seed).chunk(time=5).geoml.downscale(4, "bilinear").compute()
    ),
    "downscale like": lambda seed: coarse(seed).geoml.downscale(model="bicubic", like=fine(seed)),
    "interp akima": between("akima"),
    "interp optical_flow": between("optical_flow"),
    "interp temdeep": between("temdeep"),
    "interp lazily": lambda seed: (
        hourly(seed).chunk(time=4).geoml.interp_time("2h", "cubic").compute()
    ),
    "invert nnls": sources("nnls"),
    "invert wiener": sources("wiener", positive=False),
    "invert eq_tf": sources("eq_tf", spread=True),
    "fit delta": fitted,
    "fit ridge": fitted_in_time,
    "fit grace_tf": trained,
    "evaluate": evaluated,
    "evaluate waves": evaluated_waves,
    "pictures": pictures,
    "reprs": shown,
    "plans": planned,
    "errors": refused,
}


def memory() -> float:
    """Return the memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def objects() -> Counter[str]:
    """Return how many objects of each class Python knows."""
    gc.collect()
    return Counter(f"{type(o).__module__}.{type(o).__qualname__}" for o in gc.get_objects())


def once(names: list[str], rng: np.random.Generator) -> None:
    """Make each call once."""
    for name in rng.permutation(names):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            CALLS[name](int(rng.integers(2**31)))
    # dask remembers the names of 100,000 tasks, some 30 MB: no leak, but it looks like one.
    dask.utils.key_split.cache_clear()


def soak(names: list[str], minutes: float) -> tuple[list[float], list[int], Counter[str]]:
    """Return the memory after the warm-up, after how many calls, and which objects there are more.

    Rounds are whole: each sample was taken after the same calls.
    """
    rng = np.random.default_rng(0)
    began = told = time.monotonic()
    used: list[float] = []
    calls: list[int] = []
    before: Counter[str] = Counter()
    rounds = 0
    while (now := time.monotonic()) - began < 60 * minutes or len(used) < 3:
        once(names, rng)
        rounds += 1
        warm = now - began >= 60 * minutes * WARM_UP and rounds > 1
        if warm and not used:
            before = objects()
        if not used or now - told >= 60 * minutes / SAMPLES:
            told = now
            print(
                f"{(now - began) / 60:6.1f} min {rounds * len(names):7d} calls {memory():8.1f} MB"
            )
        if warm:
            used.append(memory())
            calls.append(rounds * len(names))
    return used, calls, objects() - before


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--only", default="", help="calls whose name begins so")
    told = parser.parse_args()
    xgeoml.set_options(progress=False)
    names = [name for name in CALLS if name.startswith(told.only)]
    used, calls, more = soak(names, told.minutes)

    # The least of several samples: what is freed a moment later does not count.
    part = max(1, len(used) // 5)
    first, last = min(used[:part]), min(used[-part:])
    slope = np.polyfit(calls, used, 1)[0] * 1000
    print(f"{calls[-1]} calls, {first:.1f} MB after the warm-up, {last:.1f} MB in the end")
    print(f"{slope:+.2f} MB per 1,000 calls; more objects than after the warm-up:")
    for name, count in more.most_common(10):
        print(f"{count:8d} {name}")
    return int(last > first * (1 + ALLOWED))


if __name__ == "__main__":
    sys.exit(main())
