"""A training that was stopped goes on, and no other does in its place."""

import numpy as np
import pytest
from toy_training import FIELD, QUICK, cycles, fit, last_state, same, weights

from xgeoml.exceptions import InputError
from xgeoml.model import Model
from xgeoml.train import fitting
from xgeoml.train.checkpoint import SafeCheckpointIO
from xgeoml.train.module import Training
from xgeoml.train.patterns import Pattern


@pytest.fixture(scope="module")
def record():
    """Return six years of monthly cycles, with gaps."""
    made = cycles(3, 4)
    made[20:23] = np.nan
    return made


@pytest.fixture(scope="module")
def own(record):
    return fit(record)


def test_a_folder_holds_one_training(record, tmp_path):
    fit(record, logdir=tmp_path)
    with pytest.raises(InputError, match=r"holds a training already: go on with it, resume="):
        fit(record, logdir=tmp_path)


def test_a_finished_training_comes_back(record, own, tmp_path, monkeypatch):
    fit(record, logdir=tmp_path)
    monkeypatch.setattr("xgeoml.train.fitting.launch", None)
    again = fit(record, resume=tmp_path)
    assert same(weights(again.path), weights(own.path))
    assert again.history == Model(tmp_path / "model.safetensors").history
    also = fit(record, resume=tmp_path, logdir=str(tmp_path))
    assert also.card.skill == own.card.skill


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"steps": 4}, r"differs in steps \(3, now 4\)"),
        ({"seed": 9}, r"differs in .*data.*; seed \(0, now 9\)"),
        ({"max_epochs": 3, "patterns": 5}, r"max_epochs \(2, now 3\); patterns \(3, now 5\)"),
        ({"model": FIELD}, r"differs in model toy_series@1.0 and its options; data"),
        ({"validation": 0.3}, r"data.*; validation \(0.15, now 0.3\)"),
        ({"start": "own"}, "differs in start"),
        ({"obj": "other"}, r"differs in data: give the same data and arguments"),
    ],
)
def test_another_training_does_not_go_on(record, own, tmp_path_factory, changes, told):
    folder = tmp_path_factory.getbasetemp() / "finished"
    if not folder.exists():
        fit(record, logdir=folder)
    changes = dict(changes)
    if "start" in changes:
        changes |= {"start": own, "learning_rate": QUICK["learning_rate"]}
    obj = record * 1.5 if changes.pop("obj", None) else record
    with pytest.raises(InputError, match=told):
        fit(obj, resume=folder, **changes)


def test_other_values_on_a_field_do_not_go_on(tmp_path):
    made = cycles(9, 9, steps=24)
    fit(made, FIELD, logdir=tmp_path, patterns=1, validation=0, max_epochs=1)
    with pytest.raises(InputError, match="differs in data"):
        fit(made * 1.5, FIELD, resume=tmp_path, patterns=1, validation=0, max_epochs=1)


def test_a_folder_that_is_no_training(record, tmp_path):
    with pytest.raises(InputError, match="holds no training that can be gone on with"):
        fit(record, resume=tmp_path)
    (tmp_path / "job.json").write_text("{}")
    with pytest.raises(InputError, match="holds no training that can be gone on with"):
        fit(record, resume=tmp_path)


@pytest.mark.parametrize("moment", ["patterns", "first epoch", "checkpoint", "finish"])
def test_stopped_at_any_moment_it_ends_the_same(record, own, tmp_path, monkeypatch, moment):
    owner, name, when = {
        "patterns": (Pattern, "save", 4),
        "first epoch": (Training, "training_step", 2),
        "checkpoint": (SafeCheckpointIO, "save_checkpoint", 4),
        "finish": (fitting, "skill", 1),
    }[moment]
    usual, calls = getattr(owner, name), []

    def stop(*args, **kwargs):
        calls.append(1)
        if len(calls) == when:
            raise SystemError("gone")
        return usual(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, stop)
        with pytest.raises(SystemError, match="gone"):
            fit(record, logdir=tmp_path)
    if moment == "patterns":
        # As a process leaves it that is killed while it writes.
        (tmp_path / "patterns" / "000" / "00002.new").mkdir()
    again = fit(record, resume=tmp_path)
    assert same(weights(again.path), weights(own.path))
    losses = [[row["train_loss"] for row in m.history[1:]] for m in (again, own)]
    assert losses[0] == losses[1]
    assert not (tmp_path / "patterns").exists()
    straight = tmp_path / "straight"
    fit(record, logdir=straight)
    assert same(last_state(tmp_path), last_state(straight))
