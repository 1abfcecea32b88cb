"""Checkpoints hold all that Lightning keeps, without pickle, whole or not at all."""

import math
import pickle

import numpy as np
import pytest
import torch
from toy_training import cycles, fit, last_state

from xgeoml.exceptions import WeightsError
from xgeoml.train.checkpoint import SafeCheckpointIO, best_state

HELD = {
    "epoch": 3,
    "state_dict": {
        "network.a": torch.arange(6.0).reshape(2, 3).T,
        "network.half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "network.count": torch.tensor(7),
        "other": torch.tensor([True, False]),
    },
    "optimizer_states": [{"state": {0: {"step": torch.tensor(4.0)}, 1: {}}, "betas": (0.9, 0.999)}],
    "nothing": None,
    "best": math.inf,
    "worst": -math.inf,
    "lists": [1, "two", [True, {"deep": (None, 2.5)}]],
    "numpy": np.float64(0.25),
    "empty": torch.zeros(0, 3, dtype=torch.int16),
    "names": {"ModelCheckpoint{'monitor': 'val_loss'}": {"path": ""}},
}


def equal(one, other):
    if isinstance(one, torch.Tensor):
        same = one.dtype == other.dtype and one.shape == other.shape
        return same and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        same = type(one) is type(other) and len(one) == len(other)
        return same and all(map(equal, one, other))
    return one == other


@pytest.fixture
def no_pickle(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("pickle was used")

    for module, name in [(pickle, n) for n in ("load", "loads", "dump", "dumps", "Unpickler")]:
        monkeypatch.setattr(module, name, refuse)
    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr(torch, "save", refuse)


def test_everything_comes_back(tmp_path, no_pickle):
    path = tmp_path / "new" / "last.safetensors"
    io = SafeCheckpointIO()
    io.save_checkpoint(HELD, path)
    assert equal(io.load_checkpoint(path), {**HELD, "numpy": 0.25})
    assert [p.name for p in path.parent.iterdir()] == ["last.safetensors"]
    assert set(best_state(path)) == {"a", "half", "count"}
    io.remove_checkpoint(path)
    io.remove_checkpoint(path)
    assert not path.exists()


def test_nan_comes_back(tmp_path):
    SafeCheckpointIO().save_checkpoint({"loss": math.nan}, tmp_path / "a.safetensors")
    assert math.isnan(SafeCheckpointIO().load_checkpoint(tmp_path / "a.safetensors")["loss"])


def test_tensors_that_share_memory(tmp_path):
    one = torch.ones(3)
    SafeCheckpointIO().save_checkpoint({"a": one, "b": one}, tmp_path / "a.safetensors")
    made = SafeCheckpointIO().load_checkpoint(tmp_path / "a.safetensors")
    assert torch.equal(made["a"], made["b"])


def test_what_cannot_be_written_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "a.safetensors"
    SafeCheckpointIO().save_checkpoint({"a": 1}, path)
    with pytest.raises(TypeError, match="a checkpoint holds a object"):
        SafeCheckpointIO().save_checkpoint({"a": object()}, path)
    assert SafeCheckpointIO().load_checkpoint(path) == {"a": 1}


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "absent", "foreign"])
def test_a_damaged_file_is_told_of(tmp_path, damage):
    path = tmp_path / "a.safetensors"
    SafeCheckpointIO().save_checkpoint(HELD, path)
    if damage == "absent":
        path.unlink()
    elif damage == "foreign":
        from safetensors.torch import save_file

        save_file({"a": torch.ones(2)}, path)
    else:
        whole = path.read_bytes()
        path.write_bytes({"cut": whole[:-5], "empty": b"", "text": b"no weights"}[damage])
    with pytest.raises(WeightsError, match=r"checkpoint .* cannot be read .*; expected one that"):
        SafeCheckpointIO().load_checkpoint(path)


def test_a_training_uses_no_pickle(tmp_path, no_pickle):
    folder = tmp_path / "run"
    fit(cycles(3, steps=48), logdir=folder, max_epochs=1)
    assert last_state(folder)


def test_going_on_from_a_damaged_checkpoint(tmp_path):
    folder = tmp_path / "run"
    record = cycles(3, steps=48)
    fit(record, logdir=folder)
    for name in ("result.json", "last.safetensors"):
        (folder / name).unlink()
    (folder / "last.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(WeightsError, match=r"checkpoint .*last.safetensors cannot be read"):
        fit(record, resume=folder)
