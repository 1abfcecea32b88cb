"""Train a job with Lightning, in this process or in one for each device."""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, Timer, TQDMProgressBar
from lightning.pytorch.strategies import DDPStrategy
from safetensors.torch import load_file
from torch import nn

from xgeoml.engine.runner import resolve_device
from xgeoml.exceptions import ExecutionError, InputError, SpecError
from xgeoml.train.batches import load_pool
from xgeoml.train.checkpoint import SafeCheckpointIO
from xgeoml.train.history import History
from xgeoml.train.job import BEST, LAST, START_FILE, Job
from xgeoml.train.module import Data, RunningMean, Training
from xgeoml.train.moment_module import (
    MomentData,
    MomentTraining,
    begin_moments,
    load_fields,
)
from xgeoml.train.pair_module import PairData, PairTraining, begin_pairs
from xgeoml.train.pairs import PairField
from xgeoml.train.settings import Settings
from xgeoml.train.wave_module import WaveData, WaveTraining, load_waves
from xgeoml.train.waves import Pool

PATTERNS, VALIDATION = "patterns", "validation"
_PRECISION = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}


class _Checkpoint(ModelCheckpoint):
    """The best or the last checkpoint, as a safetensors file."""

    FILE_EXTENSION = ".safetensors"


class _Clock(Timer):
    """The limit in time of this call: what earlier calls took does not count."""

    def state_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Begin at 0."""


class _Patience(EarlyStopping):
    """Early stopping that goes on with the patience of this call, not with an earlier one's."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over how long there has been no gain."""
        super().load_state_dict({**state_dict, "patience": self.patience})


def make_network(job: Job, folder: Path) -> nn.Module:
    """Return the network as it is before training."""
    torch.manual_seed(job.settings.seed)
    try:
        network: nn.Module = job.spec.load_factory()(**job.spec.options)
    except TypeError as error:
        raise SpecError(str(error), f"{job.spec.key} cannot be made as its spec says") from error
    if job.start:
        network.load_state_dict(load_file(folder / START_FILE))
    elif job.spec.task == "downscale":
        begin_pairs(network, job, folder)
    elif job.spec.task == "interp_time":
        begin_moments(network, job, folder)
    return network


def launch(folder: Path, settings: Settings) -> None:
    """Train the job in `folder` to its end, on as many processes as it asks for.

    Where a launcher (torchrun, SLURM's srun) has started this process as one of several, it takes
    its place among them; otherwise the processes are started here, by torchrun.

    Raises
    ------
    ExecutionError
        If one of them fails.
    """
    if settings.world == 1 or launched():
        run(folder, settings)
        return
    if settings.nodes > 1:
        raise InputError(
            f"nodes={settings.nodes}: start the same program on every machine, with torchrun or "
            "srun; expected one of them to have started this process"
        )
    job = Job.read(folder)
    if str(job.spec.factory).startswith("__main__:"):
        raise SpecError(
            f"{job.spec.factory} is in the program itself; put it into a module that it imports, "
            "so that other processes find it",
            f"model {job.spec.key} cannot be trained with devices={settings.devices}",
        )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={settings.devices}", "-m", "xgeoml.train.worker", str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    # Parameters that are used after all, see `_trainer`, are no reason to warn.
    environment.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if settings.device == "cpu":
        each = max(1, torch.get_num_threads() // settings.devices)
        environment["OMP_NUM_THREADS"] = str(each)
    (folder / "settings.json").write_text(settings.to_json())
    process = subprocess.Popen(command, env=environment)
    try:
        code = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if code:
        raise ExecutionError(
            f"training on {settings.devices} processes failed (exit {code}), see above; "
            f"resume={str(folder)!r} goes on from the last checkpoint"
        )


def settled(settings: Settings, device: str, devices: int | Literal["auto"]) -> Settings:
    """Return the settings with the devices that there are.

    Parameters
    ----------
    settings : Settings
    device : str
        As in `xgeoml.set_options`.
    devices : int or "auto"
        Processes on this machine. `auto`: as many as a launcher has started, else every GPU, if
        the batch can be shared among them, else one.

    Raises
    ------
    InputError
        If they are not there, or the batch cannot be shared among them.
    """
    device = resolve_device(device)
    there = torch.cuda.device_count() if device == "cuda" else 1
    if launched():
        here, world = _launched_processes()
        if devices not in ("auto", here) or settings.nodes not in (1, world // here):
            raise InputError(
                f"devices={devices!r}, nodes={settings.nodes}: a launcher has started {here} "
                f"processes on each of {world // here} machines; leave both out"
            )
        return replace(settings, device=device, devices=here, nodes=world // here)
    if device == "cpu" and settings.precision == "float16":
        raise InputError("precision='float16': expected 'bfloat16' or 'float32' on a processor")
    if devices == "auto":
        devices = there if settings.batch_size % (there * settings.accumulate) == 0 else 1
    if device != "cpu" and isinstance(devices, int) and devices > there:
        raise InputError(f"devices={devices}: found {there} of {device!r}")
    return replace(settings, device=device, devices=devices)


def _launched_processes() -> tuple[int, int]:
    """Return how many processes a launcher has started on this machine, and on all."""
    if "RANK" in os.environ:
        return int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    world = int(os.environ["SLURM_STEP_NUM_TASKS"])
    return world // int(os.environ.get("SLURM_STEP_NUM_NODES", "1")), world


def launched() -> bool:
    """Whether a launcher has started this process as one of several."""
    if "RANK" in os.environ:
        return int(os.environ.get("WORLD_SIZE", "1")) > 1
    # Of SLURM's own variables only srun sets this one: a batch script that starts one process
    # finds the others set as well.
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1


def rank() -> int:
    """Return which of the processes of a launcher this is."""
    if not launched():
        return 0
    return int(os.environ.get("RANK") or os.environ["SLURM_PROCID"])


def run(folder: Path, settings: Settings) -> None:
    """Train the job in `folder` to its end, from its last checkpoint if there is one."""
    job = Job.read(folder)
    with quiet():
        data, module, validates = _parts(job, folder, settings)
        trainer = _trainer(folder, settings, validates)
        last = folder / LAST
        try:
            trainer.fit(module, datamodule=data, ckpt_path=last if last.exists() else None)
        except SystemExit as error:
            # Lightning ends the program where it was interrupted; that is for the caller to do.
            if isinstance(error.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise


def _parts(
    job: Job, folder: Path, settings: Settings
) -> tuple[pl.LightningDataModule, Training, bool]:
    """Return data and network as Lightning wants them, and whether there is a validation part."""
    network = make_network(job, folder)
    if job.spec.task == "downscale":
        pairs = PairField.load(folder)
        data = PairData(pairs, job.spec, settings)
        return data, PairTraining(network, job.spec, settings, pairs), len(pairs.kept) > 0
    if job.spec.task == "interp_time":
        fields, cycles = load_fields(folder)
        moments = MomentData(fields, job.shares, settings)
        module = MomentTraining(network, job.spec, settings, cycles)
        return moments, module, any(len(f.kept) for f in fields)
    if job.spec.task == "invert_waveform":
        waves = load_waves(folder, job.spec)
        validates = isinstance(waves, Pool) and len(waves.kept) > 0
        return WaveData(waves, settings), WaveTraining(network, job.spec, settings), validates
    (pool, kept) = (load_pool(folder / name) for name in (PATTERNS, VALIDATION))
    patterns = Data(pool, [p for each in kept for p in each], job, settings)
    return patterns, Training(network, job.spec, settings), bool(kept)


def _trainer(folder: Path, settings: Settings, validates: bool) -> pl.Trainer:
    s = settings
    callbacks: list[pl.Callback] = [History(folder)]
    if s.average:
        callbacks.append(RunningMean(s.average))
    if s.patience is not None:
        callbacks.append(_Patience("val_loss", patience=s.patience, check_on_train_epoch_end=True))
    if s.max_time is not None:
        callbacks.append(_Clock(timedelta(seconds=s.max_time), verbose=False))
    if s.progress:
        callbacks.append(TQDMProgressBar())
    # Two of them, the last one last: one that keeps the best would write the last only beside it.
    kept = [(BEST, "val_loss")] if validates else []
    callbacks += [
        _Checkpoint(
            folder,
            filename=Path(name).stem,
            monitor=monitor,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        for name, monitor in [*kept, (LAST, None)]
    ]
    kind, _, index = s.device.partition(":")
    strategy: Any = "auto"
    plugins: list[Any] = [SafeCheckpointIO()]
    if s.world > 1:
        # A network may leave parameters out, such as those for drivers where there are none.
        strategy = DDPStrategy(find_unused_parameters=True)
    else:
        # Alone, whatever a cluster has put into the environment.
        plugins.append(LightningEnvironment())
    return pl.Trainer(
        default_root_dir=folder,
        accelerator=kind,
        devices=[int(index)] if index else s.devices,
        num_nodes=s.nodes,
        strategy=strategy,
        precision=_PRECISION[s.precision],  # type: ignore[arg-type]
        max_epochs=s.max_epochs,
        gradient_clip_val=s.clip,
        accumulate_grad_batches=s.accumulate,
        callbacks=callbacks,
        plugins=plugins,
        logger=_board(folder),
        log_every_n_steps=10,
        limit_val_batches=1.0 if validates else 0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        enable_progress_bar=s.progress,
        enable_model_summary=False,
    )


def _board(folder: Path) -> Any:
    """Return the logger of TensorBoard, or False without it."""
    if importlib.util.find_spec("tensorboard") is None:
        return False
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(folder, name="tensorboard", version="")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning's notes to itself: on devices, workers, and what it would rather have."""
    loggers: Sequence[logging.Logger] = [
        logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")
    ]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
