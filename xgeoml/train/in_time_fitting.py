"""From records to a trained network of interpolation in time."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from torch import Tensor, nn

from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.in_time_network import run_in_time
from xgeoml.engine.threads import one_blas_thread
from xgeoml.models._moments import Layout
from xgeoml.models.in_time import Record, Stretch, count_estimates, estimates_of
from xgeoml.models.series import Floats, State
from xgeoml.options import Options, get_options
from xgeoml.registry import get_model
from xgeoml.spec import ModelSpec
from xgeoml.train.cycles import write_cycles
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
from xgeoml.train.moment_batches import KeptMoments
from xgeoml.train.moment_module import MomentScore, load_fields
from xgeoml.train.moments import MOMENTS, MomentField, Said, fingerprint, parts, write_moments
from xgeoml.train.settings import Settings
from xgeoml.train.skill import Skill

BASES = "bases.safetensors"
# What linear interpolation is called in the skill.
_LINEAR, _CURVES = "linear", ("akima", "cubic")


@dataclass(frozen=True)
class Named:
    """A record with its name, and how often it is learnt from.

    Parameters
    ----------
    name : str
    record : Record
    share : float
    most : int
        Intervals that are drawn of it.
    """

    name: str
    record: Record
    share: float = 1.0
    most: int = 1600


def fit_records(
    records: Sequence[Named],
    spec: ModelSpec,
    bases: Sequence[ModelHandle],
    settings: Settings,
    folder: Path,
    *,
    start: Mapping[str, Tensor] | None = None,
    resume: bool = False,
) -> Trained:
    """Train a network of interpolation in time.

    Parameters
    ----------
    records : sequence of Named
        What to learn from. Base models that are fitted go with one record only.
    spec : ModelSpec
        The network.
    bases : sequence of ModelHandle
        The models whose estimates it is fed with, in the order of the spec. NumPy models with a
        method `fit` are fitted to the record.
    settings : Settings
    folder : Path
        Where patterns, checkpoints and the record of the training go.
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
        data=fingerprint([named.record for named in records]),
        names=tuple(named.name for named in records),
        shares=tuple(named.share for named in records),
        channels=len(spec.inputs),
        start=hash_of(start) if start else "",
    )

    def prepare() -> None:
        check_made(spec)
        options = get_options(progress=False, device=settings.device)
        states: dict[str, State] = {}
        for i, named in enumerate(records):
            path = folder / MOMENTS / f"{i:03d}"
            with one_blas_thread():
                states = _write(named, bases, settings, options, path)
        save_file(base_arrays(states), folder / BASES)

    return run_job(job, folder, start, resume, began, prepare, lambda: _finish(job, folder))


def _write(
    named: Named,
    bases: Sequence[ModelHandle],
    settings: Settings,
    options: Options,
    path: Path,
) -> dict[str, State]:
    """Write a record's patterns and cycles, and return the states of base models."""
    models, networks = {}, {}
    for base in bases:
        if base.spec.backend == "numpy":
            models[base.spec.name] = base.with_state()[0]
        else:
            networks[base.spec.name] = _asker(base, bases, options)
    record = replace(named.record, seed=settings.seed)
    states = write_moments(
        record, models, networks, settings.validation, path, settings.seed, named.most
    )

    def ask(stretch: Stretch) -> list[Floats]:
        said = {name: estimates_of(m, stretch, states[name]) for name, m in models.items()}
        alone = {name: said[name] for name in models if not states[name]}
        said |= {name: [call(stretch, alone)] for name, call in networks.items()}
        return [estimate for base in bases for estimate in said[base.spec.name]]

    learnt, _ = parts(len(record.days), settings.validation)
    write_cycles(record, learnt, ask, path)
    return states


def _asker(
    base: ModelHandle, beside: Sequence[ModelHandle], options: Options
) -> Callable[[Stretch, Said], Floats]:
    """Return what asks a network; `beside` it are models whose word it may be given."""
    keys = {other.spec.name: other.spec.key for other in beside}

    def ask(stretch: Stretch, known: Said) -> Floats:
        return run_in_time(stretch, base, options, {keys[n]: v for n, v in known.items()})

    return ask


def _finish(job: Job, folder: Path) -> None:
    """Choose between start and best, score it, and write what came of it."""
    fields, _ = load_fields(folder)
    device = job.settings.device
    network, start_loss, improved = chosen(job, folder, device, lambda n: _loss(n, job, fields))
    network.eval()
    scores = [
        Score(name, told, skill)
        for name, field in zip(job.names, fields, strict=True)
        for told, skill in _skills(network, job, field)
    ]
    state = dict(network.state_dict())
    state |= {k: torch.from_numpy(v) for k, v in load_file(folder / BASES).items()}
    write_result(job, folder, state, scores, start_loss, improved)
    shutil.rmtree(folder / MOMENTS, ignore_errors=True)
    (folder / BASES).unlink(missing_ok=True)


def _loss(network: nn.Module, job: Job, fields: Sequence[MomentField]) -> float | None:
    """Return the loss over the validation part; None without one."""
    if not any(len(f.kept) for f in fields):
        return None
    alone = replace(job.settings, devices=1, nodes=1, accumulate=1)
    score, seen = MomentScore(job.spec), np.zeros(2)
    device = next(p.device for p in network.parameters())
    network.eval()
    with torch.inference_mode():
        for batch in KeptMoments(fields, alone):
            given = tuple(part.to(device) for part in batch)
            seen += [float(v) for v in score(network, given)]  # type: ignore[arg-type]
    return float(seen[0] / max(seen[1], 1e-12))


def _skills(network: nn.Module, job: Job, field: MomentField) -> list[tuple[str, Skill]]:
    """Return the errors over the validation part for each length of the interval."""
    device = next(p.device for p in network.parameters())
    own_name = job.spec.name
    # The first estimate of each is what it predicts.
    others = dict(zip(_CURVES, range(len(_CURVES)), strict=True))
    at = len(_CURVES)
    for name in job.spec.bases:
        bare = name.partition("@")[0]
        others[f"{bare} before" if bare == own_name else bare] = at
        at += count_estimates(get_model(bare, job.spec.task).load_factory())
    step = float(np.median(np.diff(field.record.days)))
    made = []
    for every in np.unique(field.kept[:, 0]):
        # One multiple at a time, as a field of its own.
        own = np.flatnonzero(field.kept[:, 0] == every)
        sums: dict[str, float] = {}
        count = 0.0
        for given, truth, weight, around in _kept_batches(field, own, job):
            with torch.inference_mode():
                output = network(given.to(device), bool(around)).float().cpu()
            known = torch.isfinite(truth)
            curves = given[:, Layout(at - len(_CURVES)).curves]
            said = {_LINEAR: torch.zeros_like(output)}
            said |= {name: curves[:, i] for name, i in others.items()}
            said[job.spec.name] = output
            for name, values in said.items():
                off = torch.where(known, values - torch.nan_to_num(truth), 0.0)
                sums[name] = sums.get(name, 0.0) + float((weight * off.square()).sum())
            count += float(known.sum())
        scale = field.unit[int(every)]
        rmse = {name: scale * float(np.sqrt(total / max(count, 1))) for name, total in sums.items()}
        made.append((f"steps within {_length(every * step)}", Skill(rmse, {}, None)))
    return made


def _kept_batches(field: MomentField, own: NDArray[np.intp], job: Job) -> Any:
    some = replace(field, kept=field.kept[own])
    shifted = replace(
        some,
        learnt=np.empty((0, 5), np.intp),
        estimates=field.estimates[len(field.learnt) + own],
    )
    return KeptMoments([shifted], replace(job.settings, devices=1, nodes=1, accumulate=1))


def _length(days: float) -> str:
    """Return a length of time in the unit that suits it."""
    hours = 24.0 * days
    if hours < 1.5:
        return f"{60.0 * hours:.3g} minutes"
    return f"{hours:.3g} hours" if hours < 47.5 else f"{days:.3g} days"
