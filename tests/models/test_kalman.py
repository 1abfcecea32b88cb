"""The smoother in the space of the leading patterns."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from xgeoml.models._dynamics import _smooth, _stationary, smooth_red
from xgeoml.models.kalman import Kalman
from xgeoml.models.linear import Linear
from xgeoml.models.series import Estimate, Series


def make(values, years=None, covariates=None, trusted=None):
    values = np.asarray(values, dtype=np.float64)
    rows, steps = values.shape
    return Series(
        values=values,
        years=2000.0 + np.arange(steps) / 12.0 if years is None else np.asarray(years),
        trusted=np.ones(steps, dtype=bool) if trusted is None else trusted,
        covariates=np.zeros((0, rows, steps)) if covariates is None else covariates,
        area=np.linspace(0.5, 1.0, rows),
    )


def oscillating(rows=60, steps=300, seed=0):
    """A field of two modes that drive each other, a yearly cycle, and noise."""
    rng = np.random.default_rng(seed)
    turn = 2.0 * np.pi / 40.0
    move = 0.97 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    state = np.zeros((steps, 2))
    for t in range(1, steps):
        state[t] = move @ state[t - 1] + 0.25 * rng.standard_normal(2)
    x = np.linspace(0.0, np.pi, rows)
    field = np.stack([np.sin(x), np.cos(2.0 * x)], axis=1) @ state.T
    field += np.cos(2.0 * np.pi * np.arange(steps) / 12.0) * np.cos(x)[:, None]
    return field + 0.2 * rng.standard_normal((rows, steps))


def hidden(steps, starts=(60, 150, 230), run=11):
    hide = np.zeros(steps, dtype=bool)
    for start in starts:
        hide[start : start + run] = True
    return hide


def estimate(series, model=None) -> Estimate:
    model = Kalman() if model is None else model
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return model.predict(series, model.summarise(series))


def rms(x):
    return float(np.sqrt(np.mean(np.square(x))))


def test_beats_linear_and_knows_its_error():
    truth = oscillating()
    hide = hidden(truth.shape[1])
    gap = make(np.where(hide, np.nan, truth))
    ours, line = estimate(gap), estimate(gap, Linear())
    error = (ours.mean - truth)[:, hide]
    assert rms(error) < 0.8 * rms((line.mean - truth)[:, hide])
    covered = np.mean(np.abs(error) < 1.645 * ours.spread[:, hide])
    assert 0.75 < covered < 0.99


def test_doubt_grows_into_a_gap():
    truth = oscillating()
    spread = estimate(make(np.where(hidden(300), np.nan, truth))).spread.mean(axis=0)
    assert spread[155] > spread[150] > spread[100]


def test_uses_the_cells_of_a_step_that_are_present():
    truth = oscillating()
    hide = hidden(300)
    none, some = np.where(hide, np.nan, truth), np.where(hide, np.nan, truth)
    some[::3] = truth[::3]
    rest = np.ones(len(truth), dtype=bool)
    rest[::3] = False
    at = np.ix_(rest, hide)
    without = rms((estimate(make(none)).mean - truth)[at])
    assert rms((estimate(make(some)).mean - truth)[at]) < 0.75 * without


def test_units():
    values = np.where(hidden(200, (60, 120)), np.nan, oscillating(20, 200))
    one, other = estimate(make(values)), estimate(make(-3.0 * values + 40.0))
    np.testing.assert_allclose(other.mean, -3.0 * one.mean + 40.0, atol=1e-6)
    np.testing.assert_allclose(other.spread, 3.0 * one.spread, rtol=1e-6)


def test_an_untrusted_step_has_no_weight():
    values = oscillating(20, 120)
    trusted = np.ones(120, dtype=bool)
    trusted[50] = False
    bad = values.copy()
    bad[:, 50] = 1e3
    one, other = (estimate(make(v, trusted=trusted)) for v in (values, bad))
    np.testing.assert_array_equal(one.mean, other.mean)


def test_a_block_of_the_field_gives_the_same_bits():
    values = np.where(hidden(150, (60,)), np.nan, oscillating(23, 150))
    values[3, 10:40] = np.nan
    series = make(values)
    model = Kalman()
    state = model.summarise(series)
    whole = model.predict(series, state)
    for rows in (slice(0, 1), slice(2, 9), slice(9, 23)):
        part = Series(
            values[rows],
            series.years,
            series.trusted,
            series.covariates[:, rows],
            series.area[rows],
        )
        got = model.predict(part, state)
        np.testing.assert_array_equal(got.mean, whole.mean[rows])
        np.testing.assert_array_equal(got.spread, whole.spread[rows])


def test_state_is_small():
    state = Kalman().summarise(make(oscillating(200, 100)))
    assert all(200 not in np.shape(v) for v in state.values())


@pytest.mark.parametrize("steps", [1, 2, 5, 30])
def test_odd_series(steps):
    values = np.full((4, steps), np.nan)
    values[0] = 7.0
    values[1, 0] = 3.0
    values[2] = np.random.default_rng(1).standard_normal(steps)
    got = estimate(make(values))
    assert np.isnan(got.mean[3]).all()
    assert np.isnan(got.spread[3]).all()
    np.testing.assert_allclose(got.mean[0], 7.0)
    np.testing.assert_allclose(got.mean[1], 3.0)
    assert np.isfinite(got.mean[2]).all()


def test_nothing_observed():
    got = estimate(make(np.full((3, 12), np.nan)))
    assert np.isnan(got.mean).all()
    assert np.isnan(got.spread).all()


def test_no_series():
    model = Kalman()
    state = model.summarise(make(oscillating(5, 40)))
    assert model.predict(make(np.zeros((0, 40))), state).mean.shape == (0, 40)


def test_one_series():
    truth = oscillating(1, 240)
    hide = hidden(240, (60, 150), 4)
    got = estimate(make(np.where(hide, np.nan, truth)))
    assert rms((got.mean - truth)[:, hide]) < truth.std()
    assert np.isfinite(got.spread).all()


def test_uneven_years():
    rng = np.random.default_rng(3)
    years = np.sort(2002.0 + np.arange(260) / 12.0 + rng.uniform(-0.02, 0.02, 260))
    keep = np.ones(260, dtype=bool)
    keep[rng.choice(np.arange(1, 259), 40, replace=False)] = False
    keep[120:131] = False
    truth = oscillating(30, 260)
    hide = hidden(260, (60, 200))
    got = estimate(make(np.where(hide, np.nan, truth)[:, keep], years[keep]))
    assert rms((got.mean - truth[:, keep])[:, hide[keep]]) < truth.std()


def test_a_long_pause():
    years = np.concatenate([2000.0 + np.arange(60) / 365.25, 2015.0 + np.arange(60) / 365.25])
    assert np.isfinite(estimate(make(oscillating(8, 120), years)).mean).all()


def test_drivers_help():
    rng = np.random.default_rng(5)
    rows, steps = 12, 240
    rain = rng.gamma(2.0, 1.0, (rows, steps))
    store = np.zeros((rows, steps))
    for t in range(1, steps):
        store[:, t] = 0.8 * store[:, t - 1] + rain[:, t]
    truth = store + 0.2 * rng.standard_normal(store.shape)
    hide = hidden(steps, (60, 150))
    gap = np.where(hide, np.nan, truth)
    without = rms((estimate(make(gap)).mean - truth)[:, hide])
    with_rain = rms((estimate(make(gap, covariates=rain[None])).mean - truth)[:, hide])
    assert with_rain < 0.7 * without


def test_drivers_can_be_left_out():
    values = oscillating(8, 120)
    values[:, 60:71] = np.nan
    drivers = np.random.default_rng(1).standard_normal((1, 8, 120)).cumsum(axis=2)
    blind, plain = make(values, covariates=drivers), make(values)
    model = Kalman(drivers=False)
    found = model.predict(blind, model.summarise(blind))
    expected = Kalman().predict(plain, Kalman().summarise(plain))
    np.testing.assert_array_equal(found.mean, expected.mean)
    np.testing.assert_array_equal(found.spread, expected.spread)


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 13])
def test_the_smoother_of_coupled_modes_inverts_the_precision_of_the_whole_path(steps):
    rng = np.random.default_rng(steps)
    move = 0.3 * rng.standard_normal((steps, 2, 2))
    noise, first = np.array([[1.0, 0.3], [0.3, 0.8]]), rng.standard_normal((steps, 2))
    sure = np.tile(np.diag([4.0, 9.0]), (steps, 1, 1))
    sure[1::3] = 0.0
    path = _smooth(first, sure, move, noise)
    # The same from the covariance that the moves give the path, all steps at once.
    whole = np.zeros((steps, 2, steps, 2))
    whole[0, :, 0] = _stationary(move.mean(axis=0), noise)
    for t in range(1, steps):
        whole[t] = np.einsum("ij,jsk->isk", move[t], whole[t - 1])
        whole[:, :, t] = whole[t].transpose(1, 2, 0)
        whole[t, :, t] = move[t] @ whole[t - 1, :, t - 1] @ move[t].T + noise
    seen = np.zeros_like(whole)
    seen[range(steps), :, range(steps)] = sure
    of_path = np.linalg.inv(
        np.linalg.inv(whole.reshape(2 * steps, -1)) + seen.reshape(2 * steps, -1)
    )
    right = np.einsum("tij,tj->ti", sure, first).ravel()
    assert path.mean.ravel() == pytest.approx(of_path @ right, abs=1e-9)
    blocks = of_path.reshape(steps, 2, steps, 2)
    for t in range(steps):
        assert path.covariance[t] == pytest.approx(blocks[t, :, t], abs=1e-9)
        if t:
            assert path.link[t - 1] == pytest.approx(blocks[t, :, t - 1], abs=1e-9)


def test_red_noise_is_smoothed_across_uneven_steps_as_its_covariance_says():
    rng = np.random.default_rng(3)
    apart, memory, signal = (
        np.array([1, 1, 4, 1, 2]),
        np.array([0.9, 0.5, 0.7]),
        np.array([0.8, 0, 2]),
    )
    known = rng.random((3, 6)) > 0.3
    value, noise = rng.standard_normal((3, 6)), np.full((3, 1), 0.3)
    mean, variance = smooth_red(value, known, memory, apart, signal, noise)
    place = np.concatenate([[0], np.cumsum(apart)])
    for i in range(3):
        prior = signal[i] * memory[i] ** np.abs(place[:, None] - place)
        seen = np.flatnonzero(known[i])
        gain = prior[:, seen] @ np.linalg.inv(prior[np.ix_(seen, seen)] + 0.3 * np.eye(len(seen)))
        assert mean[i] == pytest.approx(gain @ value[i, seen], abs=1e-12)
        assert variance[i] == pytest.approx(np.diag(prior - gain @ prior[seen]), abs=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 1), (0, 4), (3, 0)])
def test_red_noise_of_few_values(shape):
    known = np.ones(shape, bool)
    memory, signal, noise = (np.full(shape[0], x) for x in (0.8, 0.6, 0.4))
    apart = np.ones(max(shape[1] - 1, 0), dtype=np.int64)
    value = np.random.default_rng(0).standard_normal(shape)
    mean, variance = smooth_red(value, known, memory, apart, signal, noise[:, None])
    assert mean.shape == variance.shape == shape
    if shape[1] == 1:
        assert mean == pytest.approx(0.6 * value)
        assert variance == pytest.approx(0.6 * 0.4)
    assert smooth_red(value, known, memory, apart, signal, noise[:, None], spread=False)[1] is None
