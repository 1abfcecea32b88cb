"""Trend and cycles: exact on what they describe, calm on what they do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from xgeoml.models.background import background, design
from xgeoml.models.series import Floats, Series

MONTHS = 2002.0 + np.arange(200) / 12.0


def series(values: Floats, years: Floats = MONTHS) -> Series:
    rows, steps = values.shape
    none = np.zeros((0, rows, steps))
    return Series(values, years, np.ones(steps, dtype=bool), none, np.ones(rows))


def signal(years: Floats = MONTHS) -> Floats:
    angle = 2.0 * np.pi * years
    return 30.0 + 0.7 * (years - 2010.0) + 4.0 * np.cos(angle) - 1.5 * np.sin(2.0 * angle)


def test_known_cycles_are_found_exactly_and_through_gaps() -> None:
    truth = np.tile(signal(), (3, 1))
    values = truth.copy()
    values[0, 80:100] = np.nan
    values[1, ::2] = np.nan
    assert background(series(values)) == pytest.approx(truth, abs=1e-8)


def test_one_absurd_value_moves_little() -> None:
    values = signal()[None] + np.random.default_rng(0).normal(0.0, 0.5, (1, 200))
    clean = background(series(values))
    values[0, 77] += 1e4
    assert np.abs(background(series(values)) - clean).max() < 0.3


def test_an_untrusted_step_moves_nothing() -> None:
    values = signal()[None] + np.random.default_rng(0).normal(0.0, 0.5, (1, 200))
    trusted = np.arange(200) != 77
    given = replace(series(values), trusted=trusted)
    other = values.copy()
    other[0, 77] = -1e4
    assert np.array_equal(background(given), background(replace(given, values=other)))
    # ... unless there is nothing else.
    only = np.where(trusted, np.nan, values)
    assert background(replace(given, values=only))[0, 0] == pytest.approx(values[0, 77])


def test_follows_the_units() -> None:
    values = signal()[None] + np.random.default_rng(1).normal(0.0, 2.0, (4, 200))
    values[:, 50:60] = np.nan
    turned = background(series(-3.0 * values + 1000.0))
    assert turned == pytest.approx(-3.0 * background(series(values)) + 1000.0, abs=1e-6)


def test_few_values_give_a_calm_background() -> None:
    random = np.random.default_rng(2)
    values = np.full((50, 200), np.nan)
    for row in values:
        row[random.choice(200, 4, replace=False)] = random.normal(size=4)
    found = background(series(values))
    assert np.abs(found).max() < 6.0


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_short_and_empty_records(steps: int) -> None:
    values = np.array([[np.nan] * steps, [7.0] * steps, [1.0, 2.0, 4.0][:steps]])
    found = background(series(values.reshape(3, steps), MONTHS[:steps]))
    assert found.shape == (3, steps)
    assert np.isnan(found[0]).all()
    assert (found[1] == 7.0).all()
    assert np.isfinite(found[2]).all()


def test_constant_series_stays_constant() -> None:
    assert background(series(np.full((1, 200), 3.3))) == pytest.approx(np.full((1, 200), 3.3))


def test_neighbours_in_the_block_change_no_bit() -> None:
    values = np.random.default_rng(3).normal(size=(40, 200))
    whole = background(series(values))
    assert np.array_equal(whole[7:8], background(series(values[7:8])))


def test_the_day_is_found_over_a_leap_year() -> None:
    hours = np.arange(24 * 700)
    days = hours / 24.0
    year = np.where(days < 366, 2020, 2021)
    years = year + np.where(days < 366, days / 366, (days - 366) / 365)
    truth = 5.0 + 2.0 * np.cos(2.0 * np.pi * (days - 0.25))[None]
    assert background(series(truth, years)) == pytest.approx(truth, abs=1e-6)


def test_cycles_only_where_the_steps_resolve_them() -> None:
    assert design(MONTHS[:12]).shape == (12, 2)
    assert design(MONTHS).shape == (200, 6)
    assert design(2000.0 + np.arange(30.0)).shape == (30, 2)
    assert design(2000.0 + np.arange(96) / 8766.0).shape == (96, 6)
