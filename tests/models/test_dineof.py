"""DINEOF on planted patterns under clouds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from xgeoml.models.background import background
from xgeoml.models.dineof import Dineof, hold_out
from xgeoml.models.series import Estimate, Floats, Series


def series(values: Floats) -> Series:
    rows, steps = values.shape
    years = 2000.0 + np.arange(steps) / 12.0
    none = np.zeros((0, rows, steps))
    return Series(values, years, np.ones(steps, dtype=bool), none, np.ones(rows))


def planted(rank: int = 3, noise: float = 0.2) -> tuple[Floats, Floats]:
    """Return a field of a few patterns, and the same under clouds of half of it."""
    random = np.random.default_rng(0)
    truth = random.normal(size=(150, rank)) @ random.normal(size=(rank, 120))
    values = truth + random.normal(0.0, noise, truth.shape)
    at = np.arange(150)[:, None]
    cloudy = np.abs((at - random.integers(0, 150, 120) + 75) % 150 - 75) < 38
    return truth, np.where(cloudy, np.nan, values)


def run(values: Floats, seed: int = 0) -> Estimate:
    model = Dineof(seed=seed)
    return model.predict(series(values), model.summarise(series(values)))


def test_finds_the_planted_rank_and_beats_climatology() -> None:
    truth, values = planted()
    model = Dineof()
    state = model.summarise(series(values))
    assert state["modes"].shape[1] in (3, 4)
    found = model.predict(series(values), state)
    hidden = np.isnan(values)
    error = np.sqrt(np.mean((found.mean - truth)[hidden] ** 2))
    plain = np.sqrt(np.mean((background(series(values)) - truth)[hidden] ** 2))
    assert error < 0.25 * plain
    # The spread is that of a value with its noise.
    assert float(found.spread[hidden].mean()) == pytest.approx(np.hypot(error, 0.2), rel=0.3)


def test_same_seed_same_bits() -> None:
    values = planted()[1]
    assert np.array_equal(run(values).mean, run(values).mean)


def test_follows_the_units() -> None:
    values = planted()[1]
    one, two = run(values), run(-4.0 * values + 300.0)
    assert two.mean == pytest.approx(-4.0 * one.mean + 300.0, abs=1e-2)
    assert two.spread == pytest.approx(4.0 * one.spread, rel=1e-2)


def test_neighbours_in_the_block_change_no_bit() -> None:
    values = planted()[1]
    model = Dineof()
    state = model.summarise(series(values))
    whole = model.predict(series(values), state)
    assert np.array_equal(whole.mean[5:6], model.predict(series(values[5:6]), state).mean)


def test_untrusted_steps_move_nothing() -> None:
    values = planted()[1]
    trusted = np.arange(120) != 60
    wild = values.copy()
    wild[:, 60] *= 1000.0
    means = []
    for v in (values, wild):
        given = replace(series(v), trusted=trusted)
        model = Dineof()
        means.append(model.predict(given, model.summarise(given)).mean)
    assert np.array_equal(means[0], means[1])


def test_steps_without_a_value_lie_between_their_neighbours() -> None:
    years = np.arange(120) / 12.0
    random = np.random.default_rng(1)
    slow = np.stack([np.sin(1.3 * years), np.cos(0.9 * years)])
    values = random.normal(size=(40, 2)) @ slow
    truth = values.copy()
    values[:, 50:53] = np.nan
    found = run(values)
    assert np.abs((found.mean - truth)[:, 50:53]).max() < 0.5
    assert (found.spread[:, 51] >= found.spread[:, 48]).all()


@pytest.mark.parametrize("shape", [(1, 30), (4, 1), (3, 0), (2, 40)])
def test_small_and_empty_fields(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(2).normal(size=shape)
    values[0] = np.nan if shape[0] > 1 else values[0]
    found = run(values)
    assert found.mean.shape == shape
    assert np.isfinite(found.mean[-1]).all()
    run(np.full(shape, np.nan))
    assert (run(np.full(shape, 5.0)).mean == 5.0).all()


def test_clouds_hold_out_clouds() -> None:
    known = np.isfinite(planted()[1])
    held = hold_out(known, np.random.default_rng(0))
    assert not (held & ~known).any()
    assert 0.02 < held.sum() / known.sum() < 0.1
    # Whole pieces of steps, not single values.
    steps = held.sum(axis=0)
    assert steps[steps > 0].mean() > 15


def test_steps_that_only_few_series_have_are_filled_from_these() -> None:
    random = np.random.default_rng(1)
    truth = random.normal(size=(1100, 2)) @ random.normal(size=(2, 80))
    values = truth + random.normal(0.0, 0.1, truth.shape)
    # Every third series is one on which the modes are counted: none has a value here.
    lost = np.arange(1100) % 3 != 1
    values[np.ix_(lost, [20, 50])] = np.nan
    found = run(values).mean
    error = (found - truth)[np.ix_(lost, [20, 50])]
    assert np.sqrt(np.mean(error**2)) < 0.2 * truth.std()
