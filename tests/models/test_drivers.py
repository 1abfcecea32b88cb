"""The response to drivers, on a planted store of rain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from xgeoml.models.background import background, explain, summarise_drivers
from xgeoml.models.climatology import Climatology
from xgeoml.models.drivers import reservoirs
from xgeoml.models.series import Floats, Series

STEPS, ROWS, GAP = 200, 12, slice(90, 101)
YEARS = 2002.0 + np.arange(STEPS) / 12.0


def watered() -> tuple[Floats, Series]:
    """Return what a leaky store holds, and the record of it with a gap and its drivers."""
    random = np.random.default_rng(0)
    rain = random.gamma(2.0, 1.0, STEPS) + 0.3 * random.gamma(2.0, 1.0, (ROWS, STEPS))
    rain = rain * (1.5 + np.cos(2.0 * np.pi * YEARS))
    heat = 10.0 * np.cos(2.0 * np.pi * YEARS) + random.normal(size=(ROWS, STEPS))
    store = np.zeros((ROWS, STEPS))
    for t in range(1, STEPS):
        store[:, t] = 0.85 * store[:, t - 1] + rain[:, t] - 2.0
    truth = store + 3.0 * np.sin(2.0 * np.pi * YEARS)
    values = truth + random.normal(0.0, 0.3, truth.shape)
    values[:, GAP] = np.nan
    drivers = np.stack([rain, heat])
    return truth, Series(values, YEARS, np.ones(STEPS, dtype=bool), drivers, np.ones(ROWS))


def error(found: Floats, truth: Floats) -> float:
    return float(np.sqrt(np.mean((found - truth)[:, GAP] ** 2)))


def test_a_planted_store_is_recovered() -> None:
    truth, given = watered()
    plain = error(background(replace(given, covariates=given.covariates[:0])), truth)
    alone = error(background(given), truth)
    shared = error(background(given, summarise_drivers(given)), truth)
    assert alone < 0.4 * plain
    assert shared < 0.25 * plain
    model = Climatology()
    found = model.predict(given, model.summarise(given))
    assert np.array_equal(found.mean, background(given, summarise_drivers(given)))


def test_useless_drivers_cost_little() -> None:
    truth, given = watered()
    plain = background(replace(given, covariates=given.covariates[:0]))
    random = np.random.default_rng(1).normal(size=(2, ROWS, STEPS))
    noise = replace(given, covariates=random)
    found = background(noise, summarise_drivers(noise))
    assert error(found, truth) < 1.15 * error(plain, truth)


def test_follows_the_units_of_target_and_drivers() -> None:
    _, given = watered()
    state = summarise_drivers(given)
    one = background(given, state)
    drivers = given.covariates * np.array([1e-3, 1.8])[:, None, None]
    drivers = drivers + np.array([0.0, 459.67])[:, None, None]
    turned = replace(given, values=-2.0 * given.values + 100.0, covariates=drivers)
    two = background(turned, summarise_drivers(turned))
    assert two == pytest.approx(-2.0 * one + 100.0, abs=1e-5)


def test_constant_missing_and_gappy_drivers() -> None:
    truth, given = watered()
    drivers = np.concatenate([given.covariates, np.full((2, ROWS, STEPS), 287.3)])
    drivers[3] = np.nan
    one = background(given, summarise_drivers(given))
    more = replace(given, covariates=drivers)
    two = background(more, summarise_drivers(more))
    assert np.abs(one - two)[:, GAP].max() < 0.05
    drivers = given.covariates.copy()
    drivers[:, :, 30:34] = np.nan
    gappy = replace(given, covariates=drivers)
    found = background(gappy, summarise_drivers(gappy))
    assert np.isfinite(found).all()
    assert error(found, truth) < 1.5 * error(one, truth)
    empty = replace(given, covariates=np.full((1, ROWS, STEPS), np.nan))
    assert np.isfinite(background(empty, summarise_drivers(empty))).all()


def test_untrusted_steps_move_nothing() -> None:
    _, given = watered()
    wild = given.values.copy()
    wild[:, 40] = 1e4
    trusted = np.arange(STEPS) != 40
    found = []
    for values in (given.values, wild):
        record = replace(given, values=values, trusted=trusted)
        found.append(background(record, summarise_drivers(record)))
    assert np.array_equal(found[0], found[1])


def test_an_absurd_value_moves_little() -> None:
    _, given = watered()
    state = summarise_drivers(given)
    wild = given.values.copy()
    wild[0, 40] += 1e4
    moved = background(replace(given, values=wild), state) - background(given, state)
    assert np.abs(moved).max() < 0.5


def test_neighbours_in_the_block_change_no_bit() -> None:
    _, given = watered()
    state = summarise_drivers(given)
    one = replace(
        given, values=given.values[3:4], covariates=given.covariates[:, 3:4], area=np.ones(1)
    )
    assert np.array_equal(background(given, state)[3:4], background(one, state))


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_short_and_empty_records(steps: int) -> None:
    values = np.array([[np.nan] * steps, [7.0] * steps, [1.0, 2.0, 4.0, 1.0, 0.0][:steps]])
    drivers = np.random.default_rng(2).normal(size=(1, 3, steps))
    trusted = np.ones(steps, dtype=bool)
    given = Series(values.reshape(3, steps), YEARS[:steps], trusted, drivers, np.ones(3))
    found = background(given, summarise_drivers(given))
    assert np.isnan(found[0]).all()
    assert found[1] == pytest.approx(np.full(steps, 7.0))
    assert np.isfinite(found[2]).all()


def test_reservoirs_start_before_the_first_value_of_the_target() -> None:
    impulse = np.zeros((1, 1, STEPS))
    impulse[0, 0, 100] = 1.0
    columns = reservoirs(impulse, YEARS)[0]
    assert columns.shape == (STEPS, 8)
    peaks = columns.argmax(axis=0)
    assert (peaks == np.array([100, 101, 100, 100, 100, 100, 100, 100])).all()
    # A longer residence time, a slower decay.
    left = columns[110] / columns[100]
    assert (np.diff(left[3:]) > 0.0).all()


def test_error_variance_is_that_of_the_response_and_grows_where_nothing_is_known() -> None:
    truth, given = watered()
    state = summarise_drivers(given)
    mean, variance = explain(given, state)
    assert (variance > 0.0).all()
    outside = np.r_[0 : GAP.start, GAP.stop : STEPS]
    assert variance[:, GAP].mean() > variance[:, outside].mean()
    # Of the order of the errors it stands for: the noise of the values is not in it.
    assert 0.2 < np.sqrt(variance[:, GAP].mean()) / error(mean, truth) < 2.0
    plain = explain(replace(given, covariates=given.covariates[:0]))
    assert not plain[1].any()


def test_rain_that_runs_off_is_what_damping_is_for() -> None:
    _, given = watered()
    state = summarise_drivers(given)
    assert {k + "_damped" for k in state if not k.endswith("_damped")} <= set(state)
    anomaly = reservoirs(given.covariates, YEARS)[..., 0]
    damped = reservoirs(given.covariates, YEARS, damped=True)[..., 0]
    top = anomaly.argmax(axis=1)
    rows = np.arange(ROWS)
    assert (damped[rows, top] < anomaly[rows, top]).all()


def test_models_of_one_block_share_its_background() -> None:
    _, given = watered()
    state = summarise_drivers(given)
    assert summarise_drivers(given) is state
    assert background(given, state) is background(given, dict(state))
    assert background(given, state) is not background(given)
    assert background(replace(given), state) is not background(given, state)
