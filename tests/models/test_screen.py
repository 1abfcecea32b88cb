"""Whole steps that are bad are found, and none in good fields."""

from __future__ import annotations

import numpy as np
import pytest

from xgeoml.models.screen import suspect_steps
from xgeoml.models.series import Series


def make(values, per_year=12.0):
    rows, steps = values.shape
    return Series(
        values=values,
        years=2000.0 + np.arange(steps) / per_year,
        trusted=np.ones(steps, dtype=bool),
        covariates=np.zeros((0, rows, steps)),
        area=np.ones(rows),
    )


def field(rows=40, steps=200, seed=0, memory=0.8):
    rng = np.random.default_rng(seed)
    pattern = rng.standard_normal((rows, 4))
    state = np.zeros((steps, 4))
    for t in range(1, steps):
        state[t] = memory * state[t - 1] + rng.standard_normal(4)
    cycle = 3.0 * np.cos(2.0 * np.pi * np.arange(steps) / 12.0 + rng.standard_normal((rows, 1)))
    return pattern @ state.T + cycle + 0.3 * rng.standard_normal((rows, steps))


def spoil(values, step, factor=8.0):
    out = values.copy()
    rng = np.random.default_rng(step)
    out[:, step] += factor * values.std() * rng.standard_normal(len(values))
    return out


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_clean_field(seed, memory):
    assert not suspect_steps(make(field(seed=seed, memory=memory))).any()


@pytest.mark.parametrize("step", [1, 50, 198])
def test_planted_step(step):
    assert np.flatnonzero(suspect_steps(make(spoil(field(), step)))).tolist() == [step]


def test_two_steps_beside_a_gap_and_units():
    values = spoil(spoil(field(), 29), 120)
    values[:, 18:29] = np.nan
    for scaled in (values, -1e-3 * values + 5.0):
        assert np.flatnonzero(suspect_steps(make(scaled))).tolist() == [29, 120]


def test_an_extreme_that_lasts_is_real():
    values = field()
    values[:, 80:90] += 10.0 * values.std() * np.hanning(12)[1:-1]
    assert not suspect_steps(make(values)).any()


def test_bursts_of_rain_are_real():
    rng = np.random.default_rng(2)
    rain = np.where(rng.random(400) < 0.2, rng.gamma(0.5, 20.0, 400), 0.0)
    assert not suspect_steps(make(rain * rng.gamma(2.0, 1.0, (30, 1)), 365.25)).any()


def test_hourly_temperature():
    hours = np.arange(24 * 20)
    rng = np.random.default_rng(4)
    weather = np.cumsum(0.2 * rng.standard_normal(len(hours)))
    day = 5.0 * np.cos(2.0 * np.pi * hours / 24.0)
    values = 280.0 + weather + day + 0.2 * rng.standard_normal((25, len(hours)))
    assert not suspect_steps(make(values, 24 * 365.25)).any()


def test_clouds():
    values = spoil(field(steps=300), 150)
    values[np.random.default_rng(1).random(values.shape) < 0.4] = np.nan
    assert np.flatnonzero(suspect_steps(make(values))).tolist() == [150]


@pytest.mark.parametrize(
    "values", [np.zeros((3, 0)), np.full((3, 20), np.nan), np.ones((3, 20)), np.ones((1, 1))]
)
def test_nothing_to_judge(values):
    assert not suspect_steps(make(values)).any()
