"""Linear in time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from xgeoml.models.linear import Linear
from xgeoml.models.series import Floats, Series


def series(values: Floats, years: Floats | None = None) -> Series:
    rows, steps = values.shape
    years = 2000.0 + np.arange(steps) / 12.0 if years is None else years
    none = np.zeros((0, rows, steps))
    return Series(values, years, np.ones(steps, dtype=bool), none, np.ones(rows))


def test_agrees_with_numpy_on_uneven_steps() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(20, 60))
    years = 2000.0 + np.cumsum(random.uniform(0.1, 1.0, 60))
    values[random.random(values.shape) < 0.5] = np.nan
    found = Linear().predict(series(values, years), {}).mean
    for row, mean in zip(values, found, strict=True):
        ok = np.isfinite(row)
        assert mean == pytest.approx(np.interp(years, years[ok], row[ok]))


def test_the_spread_grows_with_the_distance() -> None:
    values = np.cumsum(np.random.default_rng(1).normal(size=(1, 80)), axis=1)
    values[:, 30:41] = np.nan
    values[:, 70:] = np.nan
    spread = Linear().predict(series(values), {}).spread[0]
    assert (spread[:30] == 0.0).all()
    assert (np.diff(spread[29:36]) > 0.0).all()
    assert (np.diff(spread[35:42]) < 0.0).all()
    assert (np.diff(spread[70:]) >= 0.0).all()
    assert spread[79] > spread[35]


def test_untrusted_steps_are_the_last_resort() -> None:
    values = np.array([[0.0, 9.0, 2.0], [np.nan, 9.0, np.nan]])
    given = replace(series(values), trusted=np.array([True, False, True]))
    assert Linear().predict(given, {}).mean == pytest.approx(np.array([[0, 1, 2], [9, 9, 9]]))


def test_follows_the_units() -> None:
    values = np.random.default_rng(2).normal(size=(3, 40))
    values[:, 10:15] = np.nan
    one = Linear().predict(series(values), {})
    two = Linear().predict(series(-2.0 * values + 50.0), {})
    assert two.mean == pytest.approx(-2.0 * one.mean + 50.0)
    assert two.spread == pytest.approx(2.0 * one.spread)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_short_and_empty_records(steps: int) -> None:
    values = np.array([[np.nan] * steps, [7.0] * steps]).reshape(2, steps)
    found = Linear().predict(series(values), {})
    assert np.isnan(found.mean[0]).all()
    assert (found.mean[1] == 7.0).all()
    assert found.spread.shape == (2, steps)
