"""Interpolation in time against a bare torch loop and against xarray: same fields, one run.

    python tests/benchmarks/in_time.py [--cells 64] [--steps 41] [--every 6]

Prints medians in seconds and ratios. The bare loop is given ready channels; what making these takes
(curves, the sun, and the motion) stands beside it.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

import xgeoml
from xgeoml.models._moments import moments
from xgeoml.models.in_time import Stretch
from xgeoml.models.optical_flow import OpticalFlow
from xgeoml.registry import get_model
from xgeoml.tasks.choose import make_handle
from xgeoml.tasks.instants import clock_at
from xgeoml.tasks.interpolating import place_on
from xgeoml.tasks.placing import Grid


def timed(function, repeats: int) -> float:
    """Return the median time of a call, after one that is not counted."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=64)
    parser.add_argument("--steps", type=int, default=41)
    parser.add_argument("--every", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    a = parser.parse_args()
    n = (a.steps - 1) * a.every + 1
    fine = xgeoml.datasets.hourly_temperature(hours=n, nlat=a.cells, nlon=a.cells).t2m
    coarse = fine[:: a.every]
    times = fine.time[np.setdiff1d(np.arange(n), np.arange(0, n, a.every))]

    def run(model: str) -> float:
        return timed(
            lambda: coarse.geoml.interp_time(times=times, model=model, progress=False), a.repeats
        )

    plain = timed(lambda: coarse.interp(time=times), a.repeats)
    splined = timed(lambda: coarse.interp(time=times, method="akima"), a.repeats)
    seconds = {m: run(m) for m in ("linear", "akima", "optical_flow", "temdeep")}

    grid = Grid.of(fine, fine.geoml.axes)
    days = [np.asarray((t - fine.time[0]) / np.timedelta64(1, "D")) for t in (coarse.time, times)]
    clocks = [clock_at(t.values) for t in (coarse.time, times)]
    value = coarse.values.astype(np.float64)[None]
    stretch = Stretch(value, *days, *clocks, place_on(grid, True), True)
    motion = timed(lambda: OpticalFlow().parts(stretch), a.repeats)
    said = OpticalFlow().parts(stretch)
    channels = timed(lambda: moments(stretch, said), a.repeats)
    given = torch.from_numpy(moments(stretch, said).channels)
    spec = get_model("temdeep", "interp_time")
    network = make_handle(spec, "interp_time", None, 0).network("cpu").eval()

    def loop() -> None:
        with torch.inference_mode():
            for batch in given.split(16):
                network(batch)

    bare = timed(loop, a.repeats)
    whole = motion + channels + bare
    print(f"{len(times)} fields of {a.cells} x {a.cells} cells, {torch.get_num_threads()} threads")
    print(f"xarray linear {plain:.3f}, akima {splined:.3f}")
    for name, took in seconds.items():
        beside = {"linear": plain, "akima": splined}.get(name)
        print(f"{name} {took:.3f}" + (f", {took / beside:.2f} x xarray" if beside else ""))
    print(f"motion {motion:.3f}, channels {channels:.3f}, bare network {bare:.3f}")
    print(f"temdeep {seconds['temdeep'] / whole:.2f} x these, {seconds['temdeep'] / bare:.2f} x")


if __name__ == "__main__":
    main()
