"""How long a first call takes: imports, and each task in a process of its own.

    python tests/benchmarks/start.py [--repeats 5]

Importing the package is compared with importing xarray, cf-xarray and `dask.array`, which it needs.
A cold start is a process that imports the package, makes a small record and calls one task once; of
that, what a second call takes is told apart. Medians of processes that take turns.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

import numpy as np

IMPORTS = {
    "xarray, cf_xarray": "import xarray, cf_xarray",
    "xarray, cf_xarray, dask.array": "import xarray, cf_xarray, dask.array",
    "xgeoml": "import xgeoml",
    "torch": "import torch",
}
_RECORD = "d.grace_like(nlat=8, nlon=8)"
_HOURS = "d.hourly_temperature(hours=8)"
CALLS = {
    "fill_gaps, kalman": f"{_RECORD}.geoml.fill_gaps('kalman', progress=False)",
    "fill_gaps, grace_tf": f"{_RECORD}.geoml.fill_gaps('grace_tf', progress=False)",
    "downscale, subgrid": f"{_HOURS}.geoml.downscale(4, progress=False)",
    "interp_time, temdeep": f"{_HOURS}.geoml.interp_time('30min', progress=False)",
    "invert_waveform, eq_tf": "(lambda w: w.record.geoml.invert_waveform("
    "'eq_tf', greens=w.greens, dim='station', progress=False))(d.wavefield())",
    ".geoml of a record": f"repr({_RECORD}.geoml)",
}
_COLD = """
import time
start = time.perf_counter()
import xgeoml
from xgeoml import datasets as d
{call}
cold = time.perf_counter() - start
start = time.perf_counter()
{call}
print(cold, time.perf_counter() - start)
"""
_IMPORT = """
import time
start = time.perf_counter()
{call}
print(time.perf_counter() - start)
"""


def seconds(code: str) -> list[float]:
    """Return what a process prints."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True, text=True
    )
    return [float(word) for word in done.stdout.split()]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    code = {name: _IMPORT.format(call=call) for name, call in IMPORTS.items()}
    code |= {name: _COLD.format(call=call) for name, call in CALLS.items()}
    rows: dict[str, list[list[float]]] = {name: [] for name in code}
    for _ in range(repeats):
        for name, each in code.items():
            rows[name].append(seconds(each))
    for name, each in rows.items():
        middle = np.median(each, axis=0)
        again = "" if len(middle) < 2 else f", again {middle[1]:.2f} s"
        print(f"{name:32} {middle[0]:.2f} s{again}")


if __name__ == "__main__":
    main()
