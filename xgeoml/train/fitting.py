"""From variables to a trained network: patterns on disk, training, what came of it."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save, save_file
from torch import Tensor, nn

from xgeoml.engine.handle import BASE
from xgeoml.exceptions import ExecutionError, SpecError
from xgeoml.spec import ModelSpec
from xgeoml.train.checkpoint import best_state
from xgeoml.train.fields import SeriesField
from xgeoml.train.history import HISTORY_FILE
from xgeoml.train.job import BEST, LAST, START_FILE, Job, check_fresh, check_same
from xgeoml.train.loop import PATTERNS, VALIDATION, launch, make_network, rank
from xgeoml.train.patterns import Pattern
from xgeoml.train.pool import Field, make_pool
from xgeoml.train.settings import Settings
from xgeoml.train.skill import Skill, skill, validation_loss

READY, RESULT = "ready", "result.json"
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
    start_loss : float or None
        Validation loss of what training began with.
    improved : bool
        Whether training lowered the validation loss. Otherwise `state` is what it began with.
    """

    state: dict[str, NDArray[Any]]
    history: list[dict[str, float]]
    scores: tuple[Score, ...]
    start_loss: float | None
    improved: bool

    @property
    def whole_history(self) -> list[dict[str, float]]:
        """The history with a row for what training began with, epoch 0."""
        if self.start_loss is None:
            return self.history
        return [{"epoch": 0, "step": 0, "val_loss": self.start_loss, "seconds": 0}, *self.history]


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
    fields : sequence of SeriesField, WindowField or MonthField
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
    ExecutionError
        If the network fails, or its loss is not finite.
    KeyboardInterrupt
        As the user wished, saying how to go on.
    """
    began = time.monotonic()
    job = Job(
        spec=spec,
        settings=settings,
        data=fingerprint(fields),
        names=tuple(f.name for f in fields),
        shares=tuple(shares or [1.0] * len(fields)),
        channels=n_channels(fields, spec),
        start=hash_of(start) if start else "",
    )

    def prepare() -> None:
        make_pool(fields, bases, job, folder, began)

    def finish() -> None:
        _finish(job, folder, settings.device)

    return run_job(job, folder, start, resume, began, prepare, finish)


def run_job(
    job: Job,
    folder: Path,
    start: Mapping[str, Tensor] | None,
    resume: bool,
    began: float,
    prepare: Callable[[], None],
    finish: Callable[[], None],
) -> Trained:
    """Train a job, see `fit_network`.

    Parameters
    ----------
    job : Job
    folder : Path
    start, resume
        See `fit_network`.
    began : float
        When the clock of `max_time` was started, by `time.monotonic`.
    prepare : callable
        Writes what is learnt from into the folder.
    finish : callable
        Writes what came of it, `write_result`.
    """
    try:
        with _nothing_else_changed(job.settings):
            return _run(job, folder, start, resume, began, prepare, finish)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"training was interrupted; the same call with resume={str(folder)!r} goes on from its "
            "last epoch"
        ) from None


@contextmanager
def _nothing_else_changed(settings: Settings) -> Iterator[None]:
    """Compute gradients, and leave torch's random numbers and modes as they were."""
    index = settings.device.partition(":")[2] or "0"
    devices = [int(index)] if settings.device.startswith("cuda") else []
    with torch.random.fork_rng(devices), torch.inference_mode(False), torch.enable_grad():
        yield


def _run(
    job: Job,
    folder: Path,
    start: Mapping[str, Tensor] | None,
    resume: bool,
    began: float,
    prepare: Callable[[], None],
    finish: Callable[[], None],
) -> Trained:
    settings = job.settings
    if resume and (folder / RESULT).exists():
        check_same(Job.read(folder), job, folder)
        done = _read(folder)
        if _has_ended(done.history, settings):
            return done
    if rank() == 0:
        _begin(job, folder, start, resume)
        (folder / RESULT).unlink(missing_ok=True)
        if not (folder / READY).exists():
            prepare()
            (folder / READY).write_text(job.data)
    else:
        _wait_for(folder / READY)
        check_same(Job.read(folder), job, folder)
    if settings.max_time is not None:
        left = max(1.0, settings.max_time - (time.monotonic() - began))
        settings = replace(settings, max_time=left)
    launch(folder, settings)
    if rank() == 0:
        finish()
    else:
        _wait_for(folder / RESULT)
    return _read(folder)


def _has_ended(history: Sequence[Mapping[str, float]], settings: Settings) -> bool:
    """Whether there is nothing left to do: every epoch is done, or patience is at its end."""
    if history[-1]["epoch"] >= settings.max_epochs:
        return True
    losses = [row["val_loss"] for row in history if "val_loss" in row]
    if settings.patience is None or not losses:
        return False
    return len(losses) - 1 - int(np.argmin(losses)) >= settings.patience


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
        else:
            arrays += field.samples()
        for array in arrays:
            made.update(np.ascontiguousarray(array).data)
    return made.hexdigest()


def hash_of(state: Mapping[str, Tensor]) -> str:
    """Return a hash of parameters."""
    return hashlib.sha256(save(_own(state))).hexdigest()


def check_made(spec: ModelSpec) -> None:
    """Make the network once, so that a wrong option is told of before base models are fitted."""
    try:
        spec.load_factory()(**spec.options)
    except (TypeError, ValueError) as error:
        raise SpecError(str(error), f"{spec.key} cannot be made as its spec says") from error


def base_arrays(states: Mapping[str, Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Return the states of base models under the names that they have in a model's file."""
    return {
        # `ascontiguousarray` makes a list of a single number.
        f"{BASE}{base}:{key}": np.array(array, order="C").reshape(np.shape(array))
        for base, state in states.items()
        for key, array in state.items()
    }


def _own(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors that share no memory, in order: no others can be written."""
    return {k: state[k].detach().cpu().contiguous().clone() for k in sorted(state)}


def _begin(job: Job, folder: Path, start: Mapping[str, Tensor] | None, resume: bool) -> None:
    """Write the job into its folder, or find it there."""
    if resume:
        check_same(Job.read(folder), job, folder)
        return
    check_fresh(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if start:
        save_file(_own(start), folder / START_FILE)
    job.write(folder)


def _finish(job: Job, folder: Path, device: str) -> None:
    """Choose between start and best, score it, and write what came of it."""
    kept = {}
    for i, name in enumerate(job.names):
        paths = sorted((folder / VALIDATION / f"{i:03d}").glob("*"))
        kept[name] = [Pattern.load(path) for path in paths]
    patterns = [p for each in kept.values() for p in each]

    def loss(network: nn.Module) -> float | None:
        return (
            validation_loss(network, job.spec, patterns, job.settings.price) if patterns else None
        )

    network, start_loss, improved = chosen(job, folder, device, loss)
    scores = [
        Score(name, hidden, found)
        for name, each in kept.items()
        for hidden, group in _kinds(each).items()
        if (found := skill(network, job.spec, group))
    ]
    write_result(job, folder, network.state_dict(), scores, start_loss, improved)
    for name in (PATTERNS, VALIDATION):
        shutil.rmtree(folder / name, ignore_errors=True)


def write_result(
    job: Job,
    folder: Path,
    state: Mapping[str, Tensor],
    scores: Sequence[Score],
    start_loss: float | None,
    improved: bool,
) -> None:
    """Write what came of a training.

    Raises
    ------
    ExecutionError
        If a parameter is no number.
    """
    own = _own(state)
    # Base models may mark with NaN what they do not know.
    learnt = {k: v for k, v in own.items() if v.is_floating_point() and not k.startswith(BASE)}
    lost = [k for k, v in learnt.items() if not torch.isfinite(v).all()]
    if lost:
        raise ExecutionError(
            f"training of {job.spec.key} ended with {lost} not finite; expected numbers: try a "
            "smaller learning_rate=, or validation= above 0, which keeps the best network"
        )
    save_file(own, folder / "state.safetensors")
    held = folder / (RESULT + ".new")
    shown = [asdict(score) for score in scores]
    result = {"scores": shown, "start_loss": start_loss, "improved": improved}
    held.write_text(json.dumps(result, indent=1))
    held.replace(folder / RESULT)
    # In this order: what is learnt from is complete as long as there is a word that it is.
    (folder / READY).unlink(missing_ok=True)


def chosen(
    job: Job, folder: Path, device: str, loss: Callable[[nn.Module], float | None]
) -> tuple[nn.Module, float | None, bool]:
    """Return the best network, the loss of what training began with, and whether it is lower.

    Parameters
    ----------
    job : Job
    folder : Path
    device : str
    loss : callable
        The validation loss of a network; None without a validation part.
    """
    network = make_network(job, folder).to(device)
    begin = loss(network)
    if begin is None:
        network.load_state_dict(best_state(folder / LAST))
        return network, None, True
    network.load_state_dict(best_state(folder / BEST))
    best = loss(network)
    assert best is not None
    if best < begin:
        return network, begin, True
    return make_network(job, folder).to(device), begin, False


def _kinds(patterns: Iterable[Pattern]) -> dict[str, list[Pattern]]:
    """Return the validation patterns of one variable by what is hidden in them."""
    kinds: dict[str, list[Pattern]] = {}
    for pattern in patterns:
        kinds.setdefault(pattern.hidden, []).append(pattern)
    return kinds


def _read(folder: Path) -> Trained:
    """Return what `_finish` wrote."""
    from safetensors.numpy import load_file

    raw = json.loads((folder / RESULT).read_text())
    scores = tuple(Score(s["field"], s["hidden"], Skill(**s["skill"])) for s in raw["scores"])
    history = json.loads((folder / HISTORY_FILE).read_text())
    state = load_file(folder / "state.safetensors")
    return Trained(state, history, scores, raw["start_loss"], raw["improved"])


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
