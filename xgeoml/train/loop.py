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
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.strategies import DDPStrategy
from safetensors.torch import load_file
from torch import nn

from xgeoml.engine.runner import resolve_device
from xgeoml.exceptions import ExecutionError, InputError
from xgeoml.train.batches import load_pool
from xgeoml.train.checkpoint import SafeCheckpointIO
from xgeoml.train.history import History
from xgeoml.train.job import BEST, LAST, START_FILE, Job
from xgeoml.train.module import Data, RunningMean, Training
from xgeoml.train.settings import Settings

PATTERNS, VALIDATION = "patterns", "validation"
_PRECISION = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}


class _Checkpoint(ModelCheckpoint):
    """The best and the last checkpoint, as safetensors files."""

    FILE_EXTENSION = ".safetensors"


def make_network(job: Job, folder: Path) -> nn.Module:
    """Return the network as it is before training."""
    torch.manual_seed(job.settings.seed)
    network: nn.Module = job.spec.load_factory()(**job.spec.options)
    if job.start:
        network.load_state_dict(load_file(folder / START_FILE))
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
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={settings.devices}", "-m", "xgeoml.train.worker", str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
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
        here = int(os.environ.get("LOCAL_WORLD_SIZE") or os.environ["SLURM_NTASKS"])
        world = int(os.environ.get("WORLD_SIZE") or os.environ["SLURM_NTASKS"])
        if "LOCAL_WORLD_SIZE" not in os.environ:
            here = world // int(os.environ.get("SLURM_NNODES", "1"))
        if devices not in ("auto", here) or settings.nodes not in (1, world // here):
            raise InputError(
                f"devices={devices!r}, nodes={settings.nodes}: a launcher has started {here} "
                f"processes on each of {world // here} machines; leave both out"
            )
        return replace(settings, device=device, devices=here, nodes=world // here)
    if devices == "auto":
        devices = there if settings.batch_size % (there * settings.accumulate) == 0 else 1
    if device != "cpu" and isinstance(devices, int) and devices > there:
        raise InputError(f"devices={devices}: found {there} of {device!r}")
    return replace(settings, device=device, devices=devices)


def launched() -> bool:
    """Whether a launcher has started this process as one of several."""
    world = os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS") or "1"
    ranked = "RANK" in os.environ or "SLURM_PROCID" in os.environ
    return ranked and int(world) > 1


def rank() -> int:
    """Return which of the processes of a launcher this is."""
    if not launched():
        return 0
    return int(os.environ.get("RANK") or os.environ.get("SLURM_PROCID") or 0)


def run(folder: Path, settings: Settings) -> None:
    """Train the job in `folder` to its end, from its last checkpoint if there is one."""
    job = Job.read(folder)
    (pool, kept) = (load_pool(folder / name) for name in (PATTERNS, VALIDATION))
    with _quiet():
        data = Data(pool, [p for each in kept for p in each], job, settings)
        module = Training(make_network(job, folder), job.spec, settings)
        trainer = _trainer(folder, settings, bool(kept))
        last = folder / LAST
        trainer.fit(module, datamodule=data, ckpt_path=last if last.exists() else None)
        if trainer.interrupted:
            raise KeyboardInterrupt


def _trainer(folder: Path, settings: Settings, validates: bool) -> pl.Trainer:
    s = settings
    callbacks: list[pl.Callback] = [History(folder)]
    if s.average:
        callbacks.append(RunningMean(s.average))
    if s.patience is not None:
        stop = EarlyStopping("val_loss", patience=s.patience, check_on_train_epoch_end=True)
        callbacks.append(stop)
    if s.progress:
        callbacks.append(TQDMProgressBar())
    callbacks.append(
        _Checkpoint(
            folder,
            filename=Path(BEST).stem,
            monitor="val_loss" if validates else None,
            save_last=True,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
    )
    kind, _, index = s.device.partition(":")
    strategy: Any = "auto"
    if s.world > 1:
        # A network may leave parameters out, such as those for drivers where there are none.
        strategy = DDPStrategy(find_unused_parameters=True)
    return pl.Trainer(
        default_root_dir=folder,
        accelerator=kind,
        devices=[int(index)] if index else s.devices,
        num_nodes=s.nodes,
        strategy=strategy,
        precision=_PRECISION[s.precision],  # type: ignore[arg-type]
        max_epochs=s.max_epochs,
        max_time=timedelta(seconds=s.max_time) if s.max_time else None,
        gradient_clip_val=s.clip,
        accumulate_grad_batches=s.accumulate,
        callbacks=callbacks,
        plugins=[SafeCheckpointIO()],
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
def _quiet() -> Iterator[None]:
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
