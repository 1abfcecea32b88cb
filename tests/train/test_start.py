"""Weights to begin with: what may be trained on, and what comes of it."""

import numpy as np
import pytest
from toy_training import SERIES, cycles, fit, same, weights

from xgeoml.exceptions import InputError
from xgeoml.spec import Channel, WeightsRef
from xgeoml.train.job import Job


@pytest.fixture(scope="module")
def record():
    """Return six years of monthly cycles, with gaps."""
    made = cycles(3, 4)
    made[20:23] = np.nan
    return made


@pytest.fixture(scope="module")
def own(record):
    return fit(record)


def test_training_goes_on_from_a_model(record, own, tmp_path):
    more = fit(record, own, learning_rate=1e-3, logdir=tmp_path)
    assert "trained on from model.safetensors, sha256" in more.card.summary
    assert len(more.card.data) == 1 + len(own.card.data)
    assert more.card.recipe.count("toy_series@1.0") == 1
    assert not same(weights(more.path), weights(own.path))
    begun = weights(tmp_path / "start.safetensors")
    assert same(begun, weights(own.path))
    assert more.history[-1]["val_loss"] < own.history[-1]["val_loss"]
    named = fit(record, SERIES, start=own, learning_rate=1e-3)
    assert same(weights(named.path), weights(more.path))
    by_path = fit(record, str(own.path), learning_rate=1e-3)
    assert same(weights(by_path.path), weights(more.path))


def test_fine_tuning_has_a_rate_of_its_own(record, own, tmp_path):
    fit(record, own, logdir=tmp_path, learning_rate=None, schedule="constant", warm_up=0)
    job = Job.read(tmp_path)
    assert job.settings.learning_rate == 1e-4


def test_training_that_does_not_help_keeps_what_it_began_with(record, own):
    with pytest.warns(UserWarning, match="training did not lower the validation loss"):
        kept = fit(record, own, learning_rate=10.0, clip=None, max_epochs=1, steps=1)
    assert same(weights(kept.path), weights(own.path))
    assert any("did not lower the validation loss" in limit for limit in kept.card.limits)


def test_weights_of_another_model(record, own):
    other = SERIES.replace(inputs=(Channel("value"),), options={"channels": 1})
    with pytest.raises(InputError, match="is of another model: inputs differ; expected weights"):
        fit(record, other, start=own)
    with pytest.raises(InputError, match="is without weights; expected weights of 'toy_series'"):
        fit(record, SERIES, start=SERIES)
    with pytest.raises(InputError, match="of another model: factory and inputs and outputs"):
        fit(record, "grace_tf", start="kalman")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model_options": {"channels": 2}}, "weights fit the network that they were trained in"),
        ({"scaling": "training"}, "the weights to begin with were trained with 'sample'"),
    ],
)
def test_weights_settle_options_and_scaling(record, own, changes, told):
    for begin in ({"model": own}, {"model": SERIES, "start": own}):
        with pytest.raises(InputError, match=told):
            fit(record, **begin, **changes)


def test_from_scratch_needs_no_weights_file(record):
    absent = WeightsRef("toy_series-1.0.safetensors", "0" * 64, urls=("https://not.there/a",))
    assert fit(record, SERIES.replace(weights=absent)).spec == SERIES
