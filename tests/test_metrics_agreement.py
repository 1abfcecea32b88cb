"""Correlation, Kling-Gupta efficiency, and scores of a spread."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from xgeoml import metrics
from xgeoml.exceptions import InputError

RNG = np.random.default_rng(0)
TRUTH = xr.DataArray(RNG.normal(5, 2, 400), dims="time")
MADE = 0.5 * TRUTH + xr.DataArray(RNG.normal(1, 1, 400), dims="time")
EVERY = xr.ones_like(TRUTH)


def test_correlation_is_that_of_numpy():
    expected = np.corrcoef(TRUTH, MADE)[0, 1]
    assert metrics.correlation(TRUTH, MADE) == pytest.approx(expected)
    weights = xr.DataArray(RNG.integers(1, 4, 400).astype(float), dims="time")
    repeated = [np.repeat(v.values, weights.values.astype(int)) for v in (TRUTH, MADE)]
    expected = np.corrcoef(*repeated)[0, 1]
    assert metrics.correlation(TRUTH, MADE, area=weights) == pytest.approx(expected)


def test_kling_gupta_by_its_definition():
    r = np.corrcoef(TRUTH, MADE)[0, 1]
    alpha, beta = float(MADE.std() / TRUTH.std()), float(MADE.mean() / TRUTH.mean())
    expected = 1 - ((r - 1) ** 2 + (alpha - 1) ** 2 + (beta - 1) ** 2) ** 0.5
    assert metrics.kge(TRUTH, MADE) == pytest.approx(expected)
    assert metrics.kge(TRUTH, TRUTH) == pytest.approx(1.0)


def test_what_does_not_vary_has_no_correlation():
    assert np.isnan(metrics.correlation(TRUTH, EVERY))
    assert np.isnan(metrics.kge(TRUTH, EVERY))
    assert np.isnan(metrics.correlation(TRUTH * np.nan, MADE))
    assert np.isnan(metrics.kge(TRUTH * np.nan, MADE))
    assert np.isnan(metrics.kge(EVERY, EVERY))


def test_the_ranked_score_of_a_normal_distribution_is_its_integral():
    levels = np.linspace(-40, 60, 200_001)
    expected = []
    for truth, made in zip(TRUTH.values[:20], MADE.values[:20], strict=True):
        step = (norm.cdf(levels, made, 1.5) - (levels >= truth)) ** 2
        expected.append(step.sum() * (levels[1] - levels[0]))
    found = metrics.crps_normal(TRUTH[:20], MADE[:20], 1.5 * EVERY[:20])
    assert found == pytest.approx(np.mean(expected), rel=1e-3)


def test_the_ranked_score_without_spread_is_the_mean_absolute_error():
    found = metrics.crps_normal(TRUTH, MADE, 0.0 * EVERY)
    assert found == pytest.approx(metrics.mae(TRUTH, MADE))


def test_coverage_of_an_honest_spread():
    noise = xr.DataArray(RNG.normal(0, 1, 400), dims="time")
    assert metrics.coverage(TRUTH, TRUTH + noise, EVERY) == pytest.approx(0.9, abs=0.05)
    half = metrics.coverage(TRUTH, TRUTH + noise, EVERY, level=0.5)
    assert half == pytest.approx(0.5, abs=0.08)
    with pytest.raises(InputError, match=r"level=90: expected a share between 0 and 1"):
        metrics.coverage(TRUTH, TRUTH, EVERY, level=90)


def test_where_the_spread_is_missing_nothing_counts():
    some = EVERY.where(TRUTH > 5)
    both = metrics.coverage(TRUTH, MADE, some), metrics.crps_normal(TRUTH, MADE, some)
    assert both == (
        metrics.coverage(TRUTH, MADE, EVERY, where=TRUTH > 5),
        metrics.crps_normal(TRUTH, MADE, EVERY, where=TRUTH > 5),
    )
    nothing = EVERY * np.nan
    assert np.isnan(metrics.coverage(TRUTH, MADE, nothing))
    assert np.isnan(metrics.crps_normal(TRUTH, MADE, nothing))
