"""The engine against a bare torch loop: same network, batch and threads, in one run.

    python tests/benchmarks/engine_overhead.py [--series 4096] [--steps 240] [--model grace_tf]

Prints medians in seconds and their ratio. The bare loop is given ready input channels.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from xgeoml.engine.execute import execute
from xgeoml.engine.features import series_channels
from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.kernel import Job, summarise
from xgeoml.engine.plan import plan_axes
from xgeoml.engine.threads import one_blas_thread
from xgeoml.models.series import Series
from xgeoml.options import Options
from xgeoml.registry import get_model
from xgeoml.spec import AxisSpec


def timed(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--model", default="grace_tf")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    a = parser.parse_args()

    random = np.random.default_rng(0)
    n, t = a.series, a.steps
    patterns = np.cumsum(random.standard_normal((5, t)), axis=1)
    values = (random.standard_normal((n, 5)) @ patterns).astype(np.float32)
    values += random.standard_normal((n, t), dtype=np.float32)
    values[:, t // 2 : t // 2 + 11] = np.nan
    years = 2002 + np.arange(t) / 12

    spec = get_model(a.model)
    handle = ModelHandle(spec, None, tuple(ModelHandle(get_model(b)) for b in spec.bases))
    options = Options(device="cpu", batch_size=a.batch, progress=False)
    plan = plan_axes((n, t), [AxisSpec("X", "pointwise"), AxisSpec("T")])
    job = Job(handle, plan, options)
    area = np.ones(n)

    summary = summarise(values[None], area, years, job)
    block = Series(values.astype(np.float64), years, summary.trusted, np.empty((0, n, t)), area)
    models = handle.series_models(drivers=False)

    def bases():
        first = {id(m): k for k, m in models.items()}
        once = {i: models[k].predict(block, summary.states[k]) for i, k in first.items()}
        return {k: once[id(m)] for k, m in models.items()}

    channels, _, _ = series_channels(block, bases(), spec.inputs)
    network = handle.network("cpu")

    def bare() -> None:
        with torch.inference_mode():
            for start in range(0, n, a.batch):
                network(torch.from_numpy(channels[start : start + a.batch]))

    def engine() -> None:
        execute([values], job, area, years)

    def classical() -> None:
        summarise(values[None], area, years, job)
        block._made.clear()
        with one_blas_thread():
            bases()

    # One after the other, again and again: a shared machine is faster now and slower then.
    runs = np.array([[timed(f) for f in (bare, classical, engine)] for _ in range(a.repeats)])
    loop, part, whole = np.median(runs, axis=0)
    ratio = np.median(runs[:, 2] / runs[:, 0])
    rest = np.median((runs[:, 2] - runs[:, 1]) / runs[:, 0])
    print(f"{spec.key}: {n} series x {t} steps, batch {a.batch}, {torch.get_num_threads()} threads")
    print(f"  bare torch loop          {loop:7.2f} s")
    print(f"  its classical bases      {part:7.2f} s, on one thread")
    print(f"  engine, bases included   {whole:7.2f} s   ratio to the loop {ratio:.3f}")
    print(f"  engine without the bases            ratio to the loop {rest:.3f}")


if __name__ == "__main__":
    main()
