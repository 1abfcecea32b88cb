"""`fit` against a bare torch loop: same network, batches, optimiser and threads, in one run.

    python tests/benchmarks/training_throughput.py [--steps 20] [--repeats 5] [--average 0.995]

Prints samples a second of both, medians over alternating runs, and their ratio. The bare loop
takes its batches from a list in memory, clips the gradient and steps AdamW, and does nothing else.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import xgeoml
from xgeoml.models.catalog import BUILT_IN
from xgeoml.tasks.choose import make_handle
from xgeoml.tasks.fill_gaps import Request
from xgeoml.tasks.learn import lessons
from xgeoml.train import loop
from xgeoml.train.batches import Batches, load_pool
from xgeoml.train.fitting import n_channels
from xgeoml.train.job import Job
from xgeoml.train.loss import HiddenLoss
from xgeoml.train.pool import make_pool
from xgeoml.train.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20, help="in each run")
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--average", type=float, default=0.995, help="0: no mean of the parameters")
    a = parser.parse_args()

    spec = BUILT_IN["grace_tf"].replace(weights=None)
    settings = Settings(
        max_epochs=1,
        steps=a.steps,
        batch_size=a.batch,
        patterns=8,
        validation=0.0,
        average=a.average,
        schedule="constant",
    )
    folder = Path(tempfile.mkdtemp(prefix="xgeoml-bench-"))
    record = xgeoml.datasets.grace_like(nlat=12, nlon=12)
    options = xgeoml.get_options(progress=False)
    request = Request(spec, None, None, None, None, None, False, None, options, "")
    fields = [lesson.field for lesson in lessons(record, None, request, spec, 0.0, 0)]
    job = Job(spec, settings, "", (fields[0].name,), (1.0,), n_channels(fields, spec))
    job.write(folder)
    bases = make_handle(spec, "fill_gaps", None, 0).series_models(drivers=False)
    make_pool(fields, bases, job, folder, time.monotonic())
    batches = list(Batches(load_pool(folder / loop.PATTERNS), job, settings, 0))

    def bare() -> float:
        network = loop.make_network(job, folder).train()
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        loss = HiddenLoss(spec, settings.price)
        began = time.perf_counter()
        for x, truth, weight in batches:
            total, mass = loss(network(x), x, truth, weight)
            optimiser.zero_grad()
            (total / mass).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
        return time.perf_counter() - began

    def fitted() -> float:
        began = time.perf_counter()
        loop.run(folder, settings)
        spent = time.perf_counter() - began
        (folder / "last.safetensors").unlink()
        return spent

    bare(), fitted()
    runs = np.array([[bare(), fitted()] for _ in range(a.repeats)])
    speed = a.steps * a.batch / np.median(runs, axis=0)
    ratio = np.median(runs[:, 0] / runs[:, 1])
    print(f"{spec.key}: {a.steps} steps of {a.batch} samples, {torch.get_num_threads()} threads")
    print(f"  bare torch loop   {speed[0]:8.1f} samples a second")
    print(f"  fit               {speed[1]:8.1f} samples a second, start and checkpoint included")
    print(f"  ratio             {ratio:8.3f}")


if __name__ == "__main__":
    main()
