"""Climatology as a model."""

from __future__ import annotations

import numpy as np
import pytest

from xgeoml.models.climatology import Climatology
from xgeoml.models.series import Floats, Series

YEARS = 2002.0 + np.arange(240) / 12.0


def series(values: Floats) -> Series:
    rows, steps = values.shape
    none = np.zeros((0, rows, steps))
    return Series(values, YEARS[:steps], np.ones(steps, dtype=bool), none, np.ones(rows))


def test_mean_and_spread_of_a_noisy_cycle() -> None:
    truth = 3.0 * np.sin(2.0 * np.pi * YEARS)[None] + np.zeros((200, 1))
    values = truth + np.random.default_rng(0).normal(0.0, 0.5, truth.shape)
    values[:, 100:111] = np.nan
    model = Climatology()
    found = model.predict(series(values), model.summarise(series(values)))
    assert float(np.sqrt(np.mean((found.mean - truth) ** 2))) < 0.15
    assert float(found.spread.mean()) == pytest.approx(0.5, rel=0.05)


def test_what_has_no_values_is_missing() -> None:
    values = np.full((2, 240), np.nan)
    values[1, 5] = 2.0
    found = Climatology().predict(series(values), {})
    assert np.isnan(found.mean[0]).all()
    assert (found.mean[1] == 2.0).all()
    assert np.isnan(found.spread).all()
