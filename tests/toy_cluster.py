"""Models and blocks that write down, in the process of a worker, what they do."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import numpy as np

from xgeoml.engine import handle

_loads: Counter[str] = Counter()


class Noted:
    """A model of series that says the mean of each, and writes which series it was given.

    A line of the log holds the process, and the first value of the first series that is known.
    """

    def __init__(self, log: str) -> None:
        self.log = Path(log)

    def summarise(self, sample):
        self._write("summary")
        return {"mean": np.array(np.nanmean(sample.values))}

    def predict(self, block, state):
        self._write(block.values[0][np.isfinite(block.values[0])][0])
        mean = np.nanmean(block.values, 1, keepdims=True)
        return np.broadcast_to(mean, block.values.shape), np.ones(block.values.shape)

    def _write(self, what: object) -> None:
        with self.log.open("a") as log:
            log.write(f"{os.getpid()} {what}\n")


def killer(block, log, marker, after):
    """Return the block; once, when the log of `Noted` is long enough, end the process instead."""
    done = Path(log).read_text().count("\n") if Path(log).exists() else 0
    if done >= after:
        try:
            Path(marker).open("x").close()
        except FileExistsError:
            return block
        Path(marker).write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return block


def forget_models() -> None:
    """Have this process load its models anew, and count the files that it reads."""
    handle._loaded.clear()
    _loads.clear()
    handle.load_weights = _counted


def loads() -> dict[str, int]:
    """Return how often each file was read, by its name."""
    return dict(_loads)


def spilt(dask_worker) -> int:
    """Return the bytes of results that a worker has on its disk."""
    return dask_worker.data.spilled_total.disk


def peak() -> int:
    """Return the most bytes that this process has held at a time."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


_load = handle.load_weights


def _counted(network, path) -> None:
    _loads[Path(path).name] += 1
    _load(network, path)
