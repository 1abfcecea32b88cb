"""Networks on windows of a field learn from windows of it."""

import numpy as np
import pytest
from toy_training import FIELD, cycles, fields, fit

from xgeoml.exceptions import InputError
from xgeoml.spec import AxisSpec, Channel
from xgeoml.train.patterns import Ingredients

CUBE = FIELD.replace(
    name="toy_cube",
    factory="torch.nn:Conv3d",
    options={"in_channels": 2, "out_channels": 1, "kernel_size": 3, "padding": 1},
    axes=(AxisSpec("Y", "window", 8, 4), AxisSpec("X", "window", 8, 4), AxisSpec("T")),
)
STRETCH = FIELD.replace(
    name="toy_stretch",
    factory="torch.nn:Conv1d",
    options={"in_channels": 2, "out_channels": 1, "kernel_size": 5, "padding": 2},
    axes=(AxisSpec("T", "window", 24, 12),),
)


def waves(ny=16, nx=20, steps=30, land=True):
    """Return smooth fields, a corner of them without data."""
    record = cycles(ny, nx, steps=steps)
    t, y, x = np.ogrid[:steps, :ny, :nx]
    record[:] = 5 * np.sin(0.5 * y + 0.3 * t) * np.cos(0.4 * x) + 2
    if land:
        record[:, : ny // 2, : nx // 2] = np.nan
    return record


def cloudy(record):
    gaps = np.zeros(record.shape, bool)
    gaps[::3, 10:13, 12:17] = True
    return record.where(~gaps)


def test_a_network_on_windows_learns_and_fills():
    full = waves()
    record = cloudy(full)
    own = fit(record, FIELD, max_epochs=4, steps=40, patterns=5, batch_size=24, learning_rate=3e-2)
    losses = [row["val_loss"] for row in own.history]
    assert losses == sorted(losses, reverse=True)
    filled = record.geoml.fill_gaps(own)
    assert filled.notnull().where(full.notnull(), True).all()
    gaps = record.isnull() & full.notnull()
    error = np.sqrt(((filled - full) ** 2).where(gaps).mean())
    assert error < 0.6 * full.where(gaps).std()
    seen = record.notnull().values
    assert np.array_equal(filled.values[seen], record.values[seen])
    row = own.card.skill[0]
    assert row.hidden == "parts of fields of the validation part"
    assert row.values["toy_field"] < row.values["mean"]


@pytest.mark.parametrize("spec", [FIELD, CUBE, STRETCH], ids=lambda s: s.name)
def test_patterns_hide_what_they_ask_for(spec):
    (field,) = fields(cloudy(waves(steps=60)), spec)
    assert len(field.blocks) == 3
    for k in range(4):
        usual = Ingredients(spec.inputs, {})
        pattern = field.training_pattern(12, np.random.default_rng(k), usual)
        wanted = np.isfinite(pattern.truth)
        assert len(pattern) == 12
        assert pattern.x.shape[2:] == tuple(a.window for a in field.plan.core)
        assert wanted.reshape(12, -1).any(1).all()
        assert not pattern.x[:, :2][np.broadcast_to(wanted[:, None], pattern.x.shape)].any()
        assert (pattern.x[:, 1] > 0).reshape(12, -1).any(1).all()
        kept = field.validation_pattern(k, 12, usual)
        assert kept.n_wanted


@pytest.mark.parametrize("spec", [CUBE, STRETCH], ids=lambda s: s.name)
def test_windows_along_time_train(spec):
    own = fit(cloudy(waves(9, 9, steps=30)), spec, max_epochs=1, patterns=1)
    assert np.isfinite(own.history[-1]["val_loss"])


@pytest.mark.parametrize("shape", [(3, 5), (1, 7), (8, 3)])
def test_a_domain_smaller_than_a_window(shape):
    record = waves(*shape, land=False)
    record[::4, 0, 1] = np.nan
    own = fit(record, FIELD)
    assert record.geoml.fill_gaps(own).notnull().all()


def test_windows_without_anything_to_hide_are_told_of():
    record = waves()
    record[:, 1:] = record[:, :, 1:] = np.nan
    record[:, 0, 0] = 1.0
    with pytest.raises(InputError, match="tws holds nothing to learn from: expected"):
        fit(record, FIELD)


def test_covariates_come_with_their_windows():
    record = waves()
    drivers = FIELD.replace(
        name="toy_driven_field",
        inputs=(*FIELD.inputs, Channel("covariates")),
        covariates=True,
        options={"channels": 3},
    )
    rain = record.fillna(0).rename("p")
    own = fit(record, drivers, covariates=[rain])
    assert own.card.data[0].covariates == ("p",)
    filled = cloudy(record).geoml.fill_gaps(own, covariates=[rain])
    assert filled.notnull().where(record.notnull(), True).all()


def test_dask_windows_are_the_same_bits():
    record = cloudy(waves(steps=12))
    losses = [
        fit(r, FIELD, max_epochs=1, patterns=1, validation=0).history[0]["train_loss"]
        for r in (record, record.chunk({"time": 7, "lat": 5, "lon": 9}))
    ]
    assert losses[0] == losses[1]
