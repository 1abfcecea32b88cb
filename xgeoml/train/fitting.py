"""From variables to a trained network: patterns on disk, training, what came of it."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from xgeoml.exceptions import ExecutionError, InputError
from xgeoml.models.catalog import BUILT_IN
from xgeoml.spec import ModelSpec
from xgeoml.train.checkpoint import best_state
from xgeoml.train.fields import SeriesField
from xgeoml.train.history import HISTORY_FILE
from xgeoml.train.job import BEST, LAST, START_FILE, Job, check_fresh, check_same
from xgeoml.train.loop import PATTERNS, VALIDATION, launch, make_network, rank
from xgeoml.train.patterns import Ingredients, Pattern
from xgeoml.train.settings import Settings
from xgeoml.train.skill import Skill, skill, validation_loss
from xgeoml.train.windows import WindowField

Field = SeriesField | WindowField

# What every network on series is compared with.
BASELINES = ("linear", "climatology")
READY, RESULT = "ready", "result.json"
# Share of the time that the patterns may take, where it is limited, and the fewest of them.
_PREPARING, _FEWEST = 0.25, 16
# Values that all patterns hold together (2 GB in float32).
_MOST_VALUES = 2**29
# Seconds that processes of a launcher wait for the first of them.
_PATIENCE = 3600.0


@dataclass(frozen=True)
class Score:
    """The skill on one kind of hidden values of one variable."""

    field: str
    hidden: str
    skill: Skill


@dataclass(frozen=True)
class Trained:
    """A network after training.

    Attributes
    ----------
    state : dict
        Its parameters.
    history : list of dict
        A row for each epoch.
    scores : tuple of Score
        On the validation part; empty without one.
    improved : bool
        Whether training lowered the validation loss. Otherwise `state` is what it began with.
    """

    state: dict[str, NDArray[Any]]
    history: list[dict[str, float]]
    scores: tuple[Score, ...]
    improved: bool


def fit_network(
    fields: Sequence[Field],
    spec: ModelSpec,
    bases: Mapping[str, Any],
    settings: Settings,
    folder: Path,
    *,
    start: Mapping[str, Tensor] | None = None,
    shares: Sequence[float] | None = None,
    resume: bool = False,
) -> Trained:
    """Train a network.

    Parameters
    ----------
    fields : sequence of SeriesField or WindowField
        What to learn from.
    spec : ModelSpec
        The network.
    bases : mapping
        The classical models that it is fed with, by name.
    settings : Settings
    folder : Path
        Where patterns, checkpoints and the record of the training go.
    start : mapping, optional
        Parameters to begin with; by default the network's own.
    shares : sequence of float, optional
        How often each field is drawn; by default equally often.
    resume : bool
        Whether to go on with the training in `folder`.

    Raises
    ------
    InputError
        If the folder holds another training, or there is nothing to learn.
    """
    began = time.monotonic()
    job = Job(
        spec=spec,
        settings=settings,
        data=fingerprint(fields),
        names=tuple(f.name for f in fields),
        shares=tuple(shares or [1.0] * len(fields)),
        channels=n_channels(fields, spec),
        start=_hash(start) if start else "",
    )
    if resume and (folder / RESULT).exists():
        check_same(Job.read(folder), job, folder)
        done = _read(folder)
        if done.history[-1]["epoch"] >= settings.max_epochs:
            return done
    if rank() == 0:
        _begin(job, folder, start, resume)
        _make_patterns(fields, spec, bases, settings, folder, began)
        (folder / READY).write_text(job.data)
    else:
        _wait_for(folder / READY)
        check_same(Job.read(folder), job, folder)
    if settings.max_time is not None:
        left = max(1.0, settings.max_time - (time.monotonic() - began))
        settings = replace(settings, max_time=left)
    launch(folder, settings)
    if rank() == 0:
        _finish(job, folder)
    else:
        _wait_for(folder / RESULT)
    return _read(folder)


def n_channels(fields: Sequence[Field], spec: ModelSpec) -> int:
    """Return the channels of the network's input with every covariate that there is."""
    takes = any(c.role == "covariates" for c in spec.inputs)
    return len(spec.inputs) - takes + takes * max(len(f.arrays) - 1 for f in fields)


def fingerprint(fields: Sequence[Field]) -> str:
    """Return a hash of what is learnt from: of a lazy variable, of a sample of it."""
    made = hashlib.sha256()
    for field in fields:
        made.update(f"{field.name} {field.plan.shape} {len(field.arrays)}".encode())
        arrays: list[Any] = [field.area, field.target, *field.blocks]
        if isinstance(field, SeriesField):
            arrays += [field.years, field.sample.values, field.sample.covariates]
        for array in arrays:
            made.update(np.ascontiguousarray(array).tobytes())
    return made.hexdigest()


def _hash(state: Mapping[str, Tensor]) -> str:
    made = hashlib.sha256()
    for key in sorted(state):
        made.update(key.encode() + state[key].contiguous().numpy().tobytes())
    return made.hexdigest()


def _begin(job: Job, folder: Path, start: Mapping[str, Tensor] | None, resume: bool) -> None:
    """Write the job into its folder, or find it there."""
    if resume:
        check_same(Job.read(folder), job, folder)
        return
    check_fresh(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if start:
        save_file({k: v.contiguous() for k, v in start.items()}, folder / START_FILE)
    job.write(folder)


def _make_patterns(
    fields: Sequence[Field],
    spec: ModelSpec,
    bases: Mapping[str, Any],
    settings: Settings,
    folder: Path,
    began: float,
) -> None:
    """Write the patterns that are not there yet."""
    (folder / RESULT).unlink(missing_ok=True)
    for name in (PATTERNS, VALIDATION):
        for left in (folder / name).glob("*/*.new"):
            shutil.rmtree(left)
    total = sum(settings.patterns + f.n_validation for f in fields)
    with tqdm(total=total, desc="patterns", disable=not settings.progress, delay=1.0) as bar:
        for i, field in enumerate(fields):
            most = max(1, min(settings.samples, _MOST_VALUES // (total * _values(field, spec))))
            series = isinstance(field, SeriesField)
            ingredients = Ingredients(spec.inputs, bases, scale=spec.scale)
            compared = replace(ingredients, baselines=BASELINES) if series else ingredients
            if series:
                named = {n: BUILT_IN[n] for n in BASELINES if n not in bases}
                made = {n: s.load_factory()(**s.options) for n, s in named.items()}
                compared = replace(compared, bases={**bases, **made})
            for k in range(field.n_validation):
                path = folder / VALIDATION / f"{i:03d}" / f"{k:05d}"
                draw = partial(field.validation_pattern, k, settings.samples, compared)
                _make(path, draw)
                bar.update()
            until = _PREPARING * (i + 1) / len(fields) * (settings.max_time or math.inf)
            for k in range(settings.patterns):
                rng = np.random.default_rng([settings.seed, i, k])
                path = folder / PATTERNS / f"{i:03d}" / f"{k:05d}"
                _make(path, partial(field.training_pattern, most, rng, ingredients))
                bar.update()
                if k >= _FEWEST and time.monotonic() - began > until:
                    break
    for i, field in enumerate(fields):
        if not any((folder / PATTERNS / f"{i:03d}").glob("*")):
            raise InputError(
                f"{field.name} holds nothing to learn from: expected at least a few dozen observed "
                "steps besides the validation part; give a longer record, or validation=0"
            )


def _values(field: Field, spec: ModelSpec) -> int:
    """Return how many values a sample of a pattern holds."""
    core = int(np.prod([a.window for a in field.plan.core]))
    return core * (len(spec.inputs) + len(field.arrays))


def _make(path: Path, draw: Callable[[], Pattern]) -> None:
    """Write a pattern if it is not there and has something to learn."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    pattern = draw()
    if len(pattern) and pattern.n_wanted:
        pattern.save(path)


def _finish(job: Job, folder: Path) -> None:
    """Choose between start and best, score it, and write what came of it."""
    kept = [
        [Pattern.load(p) for p in sorted((folder / VALIDATION / f"{i:03d}").glob("*"))]
        for i in range(len(job.names))
    ]
    patterns = [p for each in kept for p in each]
    network = make_network(job, folder)
    improved = True
    if patterns:
        price = job.settings.price
        begin = validation_loss(network, job.spec, patterns, price)
        state = best_state(folder / BEST)
        network.load_state_dict(state)
        improved = validation_loss(network, job.spec, patterns, price) < begin
        if not improved:
            network = make_network(job, folder)
    else:
        network.load_state_dict(best_state(folder / LAST))
    scores = []
    for i, name in enumerate(job.names):
        groups: dict[str, list[Pattern]] = {}
        for path in sorted((folder / VALIDATION / f"{i:03d}").glob("*")):
            kind = "runs" if int(path.name) % 2 == 0 else "single steps"
            pattern = Pattern.load(path)
            series = pattern.n_baselines > 0
            groups.setdefault(kind if series else "parts of fields", []).append(pattern)
        for kind, each in groups.items():
            baselines = BASELINES if each[0].n_baselines else ()
            found = skill(network, job.spec, each, baselines)
            if found is not None:
                scores.append({"field": name, "hidden": kind, "skill": asdict(found)})
    save_file(
        {k: v.contiguous() for k, v in network.state_dict().items()}, folder / "state.safetensors"
    )
    result = {"scores": scores, "improved": improved}
    (folder / RESULT).write_text(json.dumps(result, indent=1))
    for name in (PATTERNS, VALIDATION, READY):
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _read(folder: Path) -> Trained:
    """Return what `_finish` wrote."""
    from safetensors.numpy import load_file

    raw = json.loads((folder / RESULT).read_text())
    scores = tuple(Score(s["field"], s["hidden"], Skill(**s["skill"])) for s in raw["scores"])
    history = json.loads((folder / HISTORY_FILE).read_text())
    return Trained(load_file(folder / "state.safetensors"), history, scores, raw["improved"])


def _wait_for(path: Path) -> None:
    """Wait until the first process has written a file."""
    end = time.monotonic() + _PATIENCE
    while not path.exists():
        if time.monotonic() > end:
            raise ExecutionError(
                f"process {rank()} waited {_PATIENCE:g} s in vain for {path}; expected logdir= on "
                "a folder that all machines share"
            )
        time.sleep(0.2)
