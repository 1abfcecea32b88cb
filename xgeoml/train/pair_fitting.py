"""From pairs of coarse and fine fields to a trained network of downscaling."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor, nn

from xgeoml.models.downscaling import Pairs
from xgeoml.spec import ModelSpec
from xgeoml.train.fitting import (
    Score,
    Trained,
    base_arrays,
    check_made,
    chosen,
    hash_of,
    run_job,
    write_result,
)
from xgeoml.train.job import Job
from xgeoml.train.pair_batches import KeptBatches
from xgeoml.train.pair_module import PairScore
from xgeoml.train.pair_skill import fit_spread, pair_skill
from xgeoml.train.pairs import BASES, PAIRS, PairField, fingerprint, write_pairs
from xgeoml.train.settings import Settings


def fit_pairs(
    pairs: Pairs,
    spec: ModelSpec,
    bases: Mapping[str, Any],
    settings: Settings,
    folder: Path,
    *,
    name: str = "target",
    start: Mapping[str, Tensor] | None = None,
    resume: bool = False,
) -> Trained:
    """Train a network of downscaling.

    Parameters
    ----------
    pairs : Pairs
        What to learn from.
    spec : ModelSpec
        The network, as `xgeoml.train.pairs.spec_for` returns it.
    bases : mapping
        The models whose estimates it is fed with, by name. Those with a method `fit` are fitted on
        the pairs.
    settings : Settings
    folder : Path
        Where pairs, checkpoints and the record of the training go.
    name : str
        Of the target.
    start : mapping, optional
        Parameters to begin with; by default the network's own.
    resume : bool
        Whether to go on with the training in `folder`.

    Returns
    -------
    Trained
        Its `state` holds the states of base models too, under ``base:NAME:``.

    Raises
    ------
    InputError
        If the folder holds another training, or there is nothing to learn.
    SpecError, MissingExtraError
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
        data=fingerprint(pairs),
        names=(name,),
        shares=(1.0,),
        channels=int(spec.options.get("channels", len(spec.inputs))),
        start=hash_of(start) if start else "",
    )

    def prepare() -> None:
        check_made(spec)
        states = write_pairs(pairs, spec, bases, settings.validation, folder)
        save_file(base_arrays(states), folder / BASES)

    return run_job(job, folder, start, resume, began, prepare, lambda: _finish(job, folder))


def _finish(job: Job, folder: Path) -> None:
    """Choose between start and best, find its spread, score it, and write what came of it."""
    pairs, device = PairField.load(folder), job.settings.device
    network, start_loss, improved = chosen(job, folder, device, lambda n: _loss(n, job, pairs))
    network.eval()
    if hasattr(network, "sample"):
        fit_spread(network, job, pairs)
    skill = pair_skill(network, job, pairs) if len(pairs.kept) else None
    state = dict(network.state_dict())
    state |= {k: torch.from_numpy(v) for k, v in load_file(folder / BASES).items()}
    hidden = f"the last {len(pairs.kept)} steps"
    scores = [Score(job.names[0], hidden, skill)] if skill else []
    write_result(job, folder, state, scores, start_loss, improved)
    shutil.rmtree(folder / PAIRS, ignore_errors=True)
    (folder / BASES).unlink(missing_ok=True)


def _loss(network: nn.Module, job: Job, pairs: PairField) -> float | None:
    """Return the loss over the validation part; None without one."""
    if not len(pairs.kept):
        return None
    alone = replace(job.settings, devices=1, nodes=1, accumulate=1)
    score, seen = PairScore(job.spec, pairs.factor), np.zeros(2)
    device = next(p.device for p in network.parameters())
    network.eval()
    with torch.inference_mode():
        for batch in KeptBatches(pairs, job.spec, alone):
            given = tuple(part.to(device) for part in batch)
            seen += [float(v) for v in score(network, given)]  # type: ignore[arg-type]
    return float(seen[0] / max(seen[1], 1e-12))
