"""From events to a trained network of waveform inversion."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xgeoml.spec import ModelSpec
from xgeoml.train.fitting import Trained, check_made, chosen, hash_of, run_job, write_result
from xgeoml.train.job import Job
from xgeoml.train.settings import Settings
from xgeoml.train.wave_module import kept_loss, load_waves
from xgeoml.train.waves import POOL, SIMULATED, Pool, Simulator


def fit_waves(
    waves: Simulator | Pool,
    spec: ModelSpec,
    settings: Settings,
    folder: Path,
    *,
    name: str = "events",
    start: Mapping[str, Tensor] | None = None,
    resume: bool = False,
) -> Trained:
    """Train a network of waveform inversion.

    Parameters
    ----------
    waves : Simulator or Pool
        What to learn from.
    spec : ModelSpec
        The network.
    settings : Settings
    folder : Path
        Where events, checkpoints and the record of the training go.
    name : str
        Of the data.
    start : mapping, optional
        Parameters to begin with; by default the network's own.
    resume : bool
        Whether to go on with the training in `folder`.

    Raises
    ------
    InputError
        If the folder holds another training, or there is nothing to learn.
    SpecError
        If the network cannot be made.
    ExecutionError
        If the network fails, or its loss is not finite.
    KeyboardInterrupt
        As the user wished, saying how to go on.
    """
    began = time.monotonic()
    job = Job(
        spec=spec,
        settings=settings,
        data=_fingerprint(waves),
        names=(name,),
        shares=(1.0,),
        channels=len(spec.inputs),
        start=hash_of(start) if start else "",
    )

    def prepare() -> None:
        check_made(spec)
        waves.save(folder)

    return run_job(job, folder, start, resume, began, prepare, lambda: _finish(job, folder))


def _fingerprint(waves: Simulator | Pool) -> str:
    """Return a hash of what is learnt from."""
    made = hashlib.sha256()
    arrays: list[Any]
    if isinstance(waves, Simulator):
        arrays = [np.r_[one.onset, one.values] for one in waves.seismograms]
    else:
        arrays = [np.array(waves.learnt), *(waves.arrays[k] for k in sorted(waves.arrays))]
    for array in arrays:
        made.update(np.ascontiguousarray(array).data)
    return made.hexdigest()


def _finish(job: Job, folder: Path) -> None:
    """Choose between start and best, and write what came of it."""
    waves = load_waves(folder, job.spec)
    alone = replace(job.settings, devices=1, nodes=1, accumulate=1)

    def loss(network: torch.nn.Module) -> float | None:
        return kept_loss(network, job.spec, waves, alone) if isinstance(waves, Pool) else None

    network, start_loss, improved = chosen(job, folder, job.settings.device, loss)
    write_result(job, folder, network.state_dict(), [], start_loss, improved)
    for file in (SIMULATED, POOL):
        (folder / file).unlink(missing_ok=True)
