"""The training loop: when it stops, what it leaves behind, and what it leaves alone."""

import logging
import random
import signal
import time
import warnings
import weakref
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook
from toy_training import DROPPING, SERIES, cycles, fields, fit, last_state, same, weights

from xgeoml.exceptions import InputError
from xgeoml.train import fields as fields_module
from xgeoml.train import loop, pool
from xgeoml.train.fitting import fit_network
from xgeoml.train.job import Job
from xgeoml.train.module import Training
from xgeoml.train.settings import Settings


@pytest.fixture(scope="module")
def record():
    return cycles(3, 4)


@pytest.fixture(scope="module")
def plain(record):
    return fit(record)


def rates(model):
    return [row["learning_rate"] for row in model.history[1:]]


def test_patience_ends_training(record, tmp_path):
    own = fit(record, patience=2, max_epochs=30, learning_rate=0.3, validation=0.3, logdir=tmp_path)
    losses = [row["val_loss"] for row in own.history[1:]]
    assert len(losses) < 30
    assert len(losses) - 1 - int(np.argmin(losses)) == 2
    changed = (tmp_path / "last.safetensors").stat().st_mtime_ns
    common = {"max_epochs": 30, "learning_rate": 0.3, "validation": 0.3, "resume": tmp_path}
    assert len(fit(record, patience=2, **common).history[1:]) == len(losses)
    assert (tmp_path / "last.safetensors").stat().st_mtime_ns == changed
    more = fit(record, patience=4, **common)
    assert [row["val_loss"] for row in more.history[1:]][: len(losses)] == losses
    assert len(more.history[1:]) > len(losses)


def test_the_best_network_is_kept(record, tmp_path):
    common = {"learning_rate": 0.3, "schedule": "constant", "warm_up": 0, "seed": 1}
    own = fit(record, max_epochs=15, logdir=tmp_path, **common)
    losses = [row["val_loss"] for row in own.history[1:]]
    assert losses[-1] > min(losses)
    best = weights(own.path)
    held = last_state(tmp_path)
    assert not same(best, {k: held[f"state_dict/network.{k}"] for k in best})
    until = fit(record, max_epochs=1 + int(np.argmin(losses)), **common)
    assert same(weights(until.path), best)


def test_the_last_checkpoint_is_the_last(record, tmp_path):
    fit(record, max_epochs=12, learning_rate=0.3, schedule="constant", logdir=tmp_path)
    held = loop.SafeCheckpointIO().load_checkpoint(tmp_path / "last.safetensors")
    assert (held["epoch"], held["global_step"]) == (11, 36)
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {
        "best.safetensors",
        "history.json",
        "job.json",
        "last.safetensors",
        "model.safetensors",
        "result.json",
        "state.safetensors",
        "tensorboard",
    }


def test_without_validation_the_last_is_kept(record, tmp_path):
    own = fit(record, validation=0, logdir=tmp_path)
    held = last_state(tmp_path)
    assert all(
        np.array_equal(v, held[f"state_dict/network.{k}"]) for k, v in weights(own.path).items()
    )
    assert own.card.skill == ()
    assert any("its skill is not known" in limit for limit in own.card.limits)
    assert "val_loss" not in own.history[-1]
    assert not (tmp_path / "best.safetensors").exists()


def test_a_plateau_lowers_the_rate(record, tmp_path):
    common = {"schedule": "plateau", "learning_rate": 0.3, "max_epochs": 14, "warm_up": 4}
    own = fit(record, **common, logdir=tmp_path)
    assert rates(own)[1] == pytest.approx(0.3)
    assert rates(own)[-1] < 0.11
    steps = np.unique(np.round(np.log(np.divide(rates(own)[2:], 0.3)) / np.log(1 / 3), 4))
    assert set(steps) <= {0.0, 1.0, 2.0, 3.0}


def test_a_constant_rate(record):
    assert rates(fit(record, schedule="constant", warm_up=0)) == [1e-2, 1e-2]


def test_the_cosine_ends_at_zero(record):
    assert rates(fit(record, warm_up=0))[-1] == 0.0


@pytest.mark.parametrize("schedule", ["plateau", "cosine"])
def test_interrupted_it_goes_on(record, tmp_path, monkeypatch, schedule):
    common = {"schedule": schedule, "learning_rate": 0.3, "max_epochs": 8}
    whole = fit(record, DROPPING, **common, logdir=tmp_path / "whole")
    usual, calls = Training.training_step, []

    def interrupt(self, batch, batch_idx):
        calls.append(1)
        if len(calls) == 17:
            raise KeyboardInterrupt
        return usual(self, batch, batch_idx)

    before = signal.getsignal(signal.SIGINT)
    folder = tmp_path / "part"
    with monkeypatch.context() as patch:
        patch.setattr(Training, "training_step", interrupt)
        with pytest.raises(KeyboardInterrupt, match=r"same call with resume='.*part' goes on from"):
            fit(record, DROPPING, **common, logdir=folder)
    assert signal.getsignal(signal.SIGINT) is before
    rest = fit(record, DROPPING, **common, resume=folder)
    assert same(weights(rest.path), weights(whole.path))
    assert same(last_state(folder), last_state(tmp_path / "whole"))
    shown = [{k: v for k, v in row.items() if k != "seconds"} for row in rest.history]
    assert shown == [{k: v for k, v in row.items() if k != "seconds"} for row in whole.history]


def test_time_is_kept(record, tmp_path):
    began = time.monotonic()
    own = fit(record, max_epochs=10**5, max_time=2.0, warm_up=0, logdir=tmp_path)
    # A machine that is busy needs longer to begin and to end; 10**5 epochs would take an hour.
    assert time.monotonic() - began < 60
    assert 1 < len(own.history) < 10**4
    assert rates(own)[0] > 10 * rates(own)[-1]
    epochs = own.history[-1]["epoch"]
    more = fit(record, max_epochs=10**5, max_time=1.0, warm_up=0, resume=tmp_path)
    assert more.history[-1]["epoch"] > epochs
    assert more.history[: len(own.history)] == own.history


def test_patterns_take_a_part_of_the_time(record, monkeypatch, tmp_path):
    usual, made = pool._make, []

    def slowly(path, draw):
        time.sleep(0.05)
        made.append(path.parent.parent.name)
        usual(path, draw)

    monkeypatch.setattr(pool, "_make", slowly)
    fit(record, patterns=10**4, max_time=2.0, max_epochs=1)
    assert 1 < made.count("patterns") < 60


def test_parts_of_a_step_are_the_step(record):
    whole, parts = (fit(record, DROPPING, accumulate=n, batch_size=16) for n in (1, 4))
    for one, other in zip(whole.history[1:], parts.history[1:], strict=True):
        assert other["train_loss"] == pytest.approx(one["train_loss"], rel=0.05)
        assert other["val_loss"] == pytest.approx(one["val_loss"], rel=0.05)
        assert one["step"] == other["step"]


def test_lower_precision(record, plain):
    own = fit(record, precision="bfloat16")
    assert own.history[-1]["val_loss"] == pytest.approx(plain.history[-1]["val_loss"], rel=0.05)
    assert own.history[-1]["val_loss"] != plain.history[-1]["val_loss"]
    assert weights(own.path)["first.weight"].dtype == np.float32


def test_the_gradient_is_clipped(record):
    norms = []

    def seen(optimiser, *_):
        grads = [p.grad.flatten() for g in optimiser.param_groups for p in g["params"]]
        norms.append(torch.linalg.vector_norm(torch.cat(grads)).item())

    hook = register_optimizer_step_post_hook(seen)
    try:
        fit(record, clip=1e-3, max_epochs=1)
        assert max(norms) == pytest.approx(1e-3, rel=0.01)
        norms.clear()
        fit(record, clip=None, max_epochs=1)
        assert min(norms) > 1e-2
    finally:
        hook.remove()


def test_the_mean_of_the_parameters_is_kept():
    average = loop.RunningMean(0.9)._kwargs["avg_fn"]
    old = torch.tensor(1.0)
    assert average(old, torch.tensor(2.0), torch.tensor(0)) == pytest.approx(1 + 10 / 11)
    assert average(old, torch.tensor(2.0), torch.tensor(10**6)) == pytest.approx(1.1)


def test_no_mean_of_the_parameters(tmp_path):

    settings = Settings(max_epochs=1, steps=2, patterns=2, batch_size=16, average=0.0)
    trained = fit_network(fields(cycles(3)), SERIES, {}, settings, tmp_path)
    held = loop.SafeCheckpointIO().load_checkpoint(tmp_path / "last.safetensors")
    assert "current_model_state" not in held
    assert trained.history


def test_the_bar_is_shown_when_wanted(record, capfd):
    fit(record, progress=True)
    shown = capfd.readouterr()
    assert "val_loss" in shown.out + shown.err
    fit(record, progress=False)
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "")


def test_what_is_not_ours_is_left_alone(record, plain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)

    def state():
        return {
            "torch": torch.get_rng_state().numpy().tobytes(),
            "numpy": np.random.get_state()[1].tobytes(),  # noqa: NPY002
            "python": random.getstate(),
            "threads": torch.get_num_threads(),
            "grad": torch.is_grad_enabled(),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "dtype": torch.get_default_dtype(),
            "filters": list(warnings.filters),
            "signals": {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)},
            "levels": [
                logging.getLogger(n).level for n in ("lightning.pytorch", "lightning.fabric", "")
            ],
            "here": list(Path().iterdir()),
        }

    before = state()
    fit(record, DROPPING)
    assert state() == before
    with torch.no_grad():
        fit(record)
        assert not torch.is_grad_enabled()
    with torch.inference_mode():
        assert same(weights(fit(record).path), weights(plain.path))
    with pytest.raises(InputError):
        fit(record, resume="nowhere")
    assert state() == before


def test_tensorboard_gets_the_losses(record, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    own = fit(record, logdir=tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {"train_loss", "val_loss", "learning_rate"} <= set(events.Tags()["scalars"])
    shown = [e.value for e in events.Scalars("val_loss")]
    assert shown == pytest.approx([row["val_loss"] for row in own.history[1:]])


def test_without_tensorboard(record, monkeypatch, tmp_path):
    monkeypatch.setattr(loop.importlib.util, "find_spec", lambda name: None)
    assert loop._board(tmp_path) is False


@pytest.mark.parametrize("chunks", [(60, 6, 6), (1, 24, 24), (20, 24, 5)], ids=str)
def test_larger_than_memory(monkeypatch, chunks):
    monkeypatch.setattr(fields_module, "IN_MEMORY", 4000)
    monkeypatch.setattr("xgeoml.engine.plan.SAMPLE_ELEMENTS", 4000)
    monkeypatch.setattr(fields_module, "_CELLS_AT_A_TIME", 36)
    alive, most = [0], [0]

    def read(block):
        made = block.copy()
        alive[0] += made.size
        most[0] = max(most[0], alive[0])
        weakref.finalize(made, lambda size=made.size: alive.__setitem__(0, alive[0] - size))
        return made

    record = cycles(24, 24, steps=60)
    stored = da.from_array(record.values, chunks=chunks, name=False)
    with dask.config.set(scheduler="synchronous"):
        own = fit(record.copy(data=stored.map_blocks(read, dtype=float, meta=np.empty((0,) * 3))))
    assert 0 < most[0] < record.size / 2
    assert own.card.skill[0].values["climatology"] < 2.0
    assert own.history[-1]["val_loss"] < 1.0


def test_settings_of_devices():
    settings = Settings(batch_size=12)
    assert loop.settled(settings, "cpu", "auto").world == 1
    assert loop.settled(settings, "cpu", 3).world == 3
    assert loop.settled(settings, "auto", "auto").device in ("cpu", "cuda", "mps")
    with pytest.raises(InputError, match="batch_size=12: expected a multiple of 5"):
        loop.settled(settings, "cpu", 5)


LAUNCHERS = {
    "torchrun": {"RANK": "3", "WORLD_SIZE": "6", "LOCAL_WORLD_SIZE": "2"},
    "srun": {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "6", "SLURM_STEP_NUM_NODES": "3"},
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_processes_of_a_launcher(launcher, monkeypatch, record):
    for name, value in LAUNCHERS[launcher].items():
        monkeypatch.setenv(name, value)
    assert loop.launched()
    assert loop.rank() == 3
    made = loop.settled(Settings(batch_size=96), "cpu", "auto")
    assert (made.devices, made.nodes, made.world) == (2, 3, 6)
    assert loop.settled(Settings(batch_size=96, nodes=3), "cpu", 2).world == 6
    with pytest.raises(InputError, match="a launcher has started 2 processes on each of 3"):
        loop.settled(Settings(batch_size=96), "cpu", 4)
    with pytest.raises(InputError, match="batch_size=16: expected a multiple of 6"):
        fit(record)
    with pytest.raises(InputError, match="needs logdir=, a folder that all of them see"):
        fit(record, batch_size=12)


def test_one_process_in_a_batch_script(monkeypatch, record):
    # SLURM sets these for the script itself too, which is one process however many were asked for.
    script = {"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_JOB_ID": "7", "SLURM_NNODES": "2"}
    for name, value in script.items():
        monkeypatch.setenv(name, value)
    assert not loop.launched()
    assert loop.rank() == 0
    assert fit(record, max_epochs=1).history


def test_one_process_of_torchrun(monkeypatch):
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert not loop.launched()
    assert loop.rank() == 0


def test_networks_of_the_program_itself_stay_in_it(tmp_path):
    spec = SERIES.replace(factory="__main__:Net")
    settings = Settings(devices=2)
    Job(spec, settings, "", ("a",), (1.0,), 2).write(tmp_path)
    with pytest.raises(Exception, match="is in the program itself; put it into a module"):
        loop.launch(tmp_path, settings)
