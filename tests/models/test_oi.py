"""Optimal interpolation of gaps from what is seen around them."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from xgeoml import datasets
from xgeoml.models._covariance import fit, pairs, table
from xgeoml.models.background import background
from xgeoml.models.field import Field, FieldSample
from xgeoml.models.kalman import Kalman
from xgeoml.models.linear import Linear
from xgeoml.models.oi import OptimalInterpolation, _cleaned
from xgeoml.models.series import Estimate, Series


def make(values, years=None, trusted=None):
    """A whole domain, (y, x, time), as one block without surroundings."""
    values = np.asarray(values, dtype=np.float64)
    steps = values.shape[-1]
    return Field(
        values=values,
        halo=(0, 0),
        tile=(8, 8),
        years=2000.0 + np.arange(steps) / 365.25 if years is None else np.asarray(years),
        trusted=np.ones(steps, dtype=bool) if trusted is None else trusted,
        covariates=np.zeros((0, *values.shape)),
    )


def red_field(shape=(12, 12), steps=40, seed=0, memory=0.8):
    """A Gaussian field of unit variance with a memory in space and time."""
    rng = np.random.default_rng(seed)
    field = np.zeros((*shape, steps))
    for t in range(steps):
        new = gaussian_filter(rng.standard_normal((shape[0] + 16, shape[1] + 16)), 2.0)
        new = new[8:-8, 8:-8] * 2.0 * 2.0 * np.sqrt(np.pi)
        field[..., t] = memory * field[..., t - 1] + np.sqrt(1.0 - memory**2) * new if t else new
    return field


def clouds(shape, seed=1, share=0.4):
    rng = np.random.default_rng(seed)
    sky = gaussian_filter(rng.standard_normal(shape), (2.5, 2.5, 0.0))
    return sky > np.quantile(sky, 1.0 - share, axis=(0, 1))


def series_of(field):
    """The cells that have a value, as series, and where they are, (y, x)."""
    some = np.isfinite(field.values).any(axis=-1)
    values, drivers = field.values[some], field.covariates[:, some]
    return Series(values, field.years, field.trusted, drivers, np.ones(len(values))), some


def state_of(field):
    return OptimalInterpolation().summarise(FieldSample(series_of(field)[0], (field,)))


def estimate(field) -> Estimate:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return OptimalInterpolation().predict(field, state_of(field))


def by_series(field, model) -> Estimate:
    """What a model of single series says of the same field."""
    series, some = series_of(field)
    found = model.predict(series, model.summarise(series))
    grids = np.full((2, *field.values.shape), np.nan)
    grids[:, some] = found
    return Estimate(*grids)


def rms(x):
    return float(np.sqrt(np.mean(np.square(x))))


def test_beats_linear_and_climatology_under_clouds():
    seen, truth = (
        make(np.moveaxis(ds.sst.values, 0, -1))
        for ds in (
            datasets.cloudy_sst(3, days=40, nlat=14, nlon=14),
            datasets.cloudy_sst_truth(3, days=40, nlat=14, nlon=14),
        )
    )
    hidden = np.isnan(seen.values) & np.isfinite(seen.values).any(axis=-1)[..., None]
    series, some = series_of(seen)
    climatology = np.full(seen.values.shape, np.nan)
    climatology[some] = background(series)
    error = {
        name: rms((mean - truth.values)[hidden])
        for name, mean in {
            "oi": estimate(seen).mean,
            "linear": by_series(seen, Linear()).mean,
            "climatology": climatology,
        }.items()
    }
    assert error["oi"] < 0.75 * min(error["linear"], error["climatology"])


def test_knows_its_error():
    truth = red_field((16, 20), steps=60)
    hidden = clouds(truth.shape)
    found = estimate(make(np.where(hidden, np.nan, truth)))
    covered = np.abs(found.mean - truth) < 1.645 * found.spread
    assert 0.86 < covered[hidden].mean() < 0.96


def test_doubt_grows_away_from_what_is_seen():
    truth = red_field()
    hidden = np.zeros(truth.shape, dtype=bool)
    hidden[2:10, 2:10, 15:25] = True
    spread = estimate(make(np.where(hidden, np.nan, truth))).spread
    assert spread[6, 6, 20] > spread[2, 6, 20] > 0.0
    assert spread[6, 6, 20] > spread[6, 6, 15]


def test_steps_that_nothing_is_seen_of_are_no_worse_than_by_the_smoother():
    truth = red_field((8, 8), steps=120, memory=0.95)
    hidden = np.zeros(120, dtype=bool)
    hidden[[20, 50, 51, 52, 80]] = True
    gap = make(np.where(hidden, np.nan, truth))
    ours, smooth = estimate(gap), by_series(gap, Kalman())
    assert rms((ours.mean - truth)[..., hidden]) < 1.02 * rms((smooth.mean - truth)[..., hidden])


@pytest.mark.parametrize("factor", [1000.0, -0.01])
def test_units_do_not_matter(factor):
    truth = red_field(steps=30)
    field = make(np.where(clouds(truth.shape), np.nan, truth))
    one, two = estimate(field), estimate(replace(field, values=factor * field.values + 40.0))
    np.testing.assert_allclose(two.mean, factor * one.mean + 40.0, atol=1e-5 * abs(factor))
    np.testing.assert_allclose(two.spread, abs(factor) * one.spread, atol=1e-5 * abs(factor))


def test_a_block_gives_the_same_bits_as_its_tiles():
    truth = red_field((36, 36), steps=6)
    field = make(np.where(clouds(truth.shape), np.nan, truth))
    state = state_of(field)
    model = OptimalInterpolation()

    def block(y, x, side, halo):
        """Some cells with their surroundings, which may reach beyond the domain."""
        around = np.pad(field.values, ((12, 12), (12, 12), (0, 0)), constant_values=np.nan)
        cut = slice(12 + y - halo, 12 + y + side + halo), slice(12 + x - halo, 12 + x + side + halo)
        covariates = np.zeros((0, *around[cut].shape))
        return replace(field, values=around[cut], halo=(halo, halo), covariates=covariates)

    whole = model.predict(field, state)
    large = model.predict(block(8, 16, 16, 12), state)
    for y in (0, 8):
        for x in (0, 8):
            small = model.predict(block(8 + y, 16 + x, 8, model.halo), state)
            for one, two, three in zip(small, large, whole, strict=True):
                np.testing.assert_array_equal(one, two[y : y + 8, x : x + 8])
                place = slice(8 + y, 16 + y), slice(16 + x, 24 + x)
                np.testing.assert_array_equal(one, three[place])


def test_a_suspect_step_has_no_weight():
    truth = red_field(steps=30)
    truth[..., 12] += 50.0
    trusted = np.arange(30) != 12
    with_it = make(np.where(clouds(truth.shape), np.nan, truth), trusted=trusted)
    without = replace(with_it, values=np.where(trusted, with_it.values, np.nan))
    for one, two in zip(estimate(with_it), estimate(without), strict=True):
        np.testing.assert_allclose(one, two)


def test_observed_values_stay():
    field = make(np.where(clouds((8, 8, 20)), np.nan, red_field((8, 8), steps=20)))
    seen = np.isfinite(field.values)
    found = estimate(field)
    np.testing.assert_array_equal(found.mean[seen], field.values[seen])
    assert found.spread[seen].max() < found.spread[~seen].min()


def test_one_absurd_value_spoils_nothing():
    truth = red_field(steps=40)
    values = np.where(clouds(truth.shape), np.nan, truth)
    y, x, t = np.argwhere(np.isfinite(values))[1500]
    wrong = values.copy()
    wrong[y, x, t] = 1e4
    hidden = np.isnan(values)
    clean, spoilt = (rms((estimate(make(v)).mean - truth)[hidden]) for v in (values, wrong))
    assert spoilt < 1.1 * clean


def test_lags_are_counted_in_steps_whatever_is_absent():
    truth = red_field()
    hidden = clouds(truth.shape)
    there = np.ones(40, dtype=bool)
    there[[10, 11, 30]] = False
    empty = make(np.where(hidden | ~there, np.nan, truth))
    absent = make(empty.values[..., there], years=empty.years[there])
    state = state_of(empty)
    kept = {"mean", "error_variance"}
    state_there = {k: v[there] if k in kept else v for k, v in state.items()}
    one = OptimalInterpolation().predict(empty, state).mean[..., there]
    two = OptimalInterpolation().predict(absent, state_there).mean
    assert rms(one - two) < 0.02 * rms(one)


@pytest.mark.parametrize(
    "shape", [(1, 1, 40), (1, 9, 30), (9, 1, 30), (5, 6, 10), (5, 6, 2), (3, 3, 1)]
)
def test_small_domains_and_short_records(shape):
    truth = np.random.default_rng(0).standard_normal(shape).cumsum(axis=-1)
    values = np.where(np.random.default_rng(1).random(shape) < 0.3, np.nan, truth)
    found = estimate(make(values))
    some = np.isfinite(values).any(axis=-1)
    assert np.isfinite(found.mean[some]).all()
    assert np.isnan(found.mean[~some]).all()
    assert (found.spread[some] >= 0.0).all()


def test_cells_without_values_constant_cells_and_empty_steps():
    values = np.where(clouds((10, 10, 30)), np.nan, red_field((10, 10), steps=30))
    values[:2] = np.nan
    values[2] = 4.0
    values[2, :, 9] = np.nan
    values[..., [0, 17, 18, 29]] = np.nan
    found = estimate(make(values))
    assert np.isnan(found.mean[:2]).all()
    assert np.isfinite(found.mean[2:]).all()
    assert np.isfinite(found.spread[2:]).all()
    np.testing.assert_allclose(found.mean[2], 4.0, atol=0.2)


@pytest.mark.parametrize("value", [0.0, 273.15, np.nan])
def test_fields_that_do_not_vary(value):
    values = np.full((6, 6, 20), value)
    values[2:4, 2:4, 5:9] = np.nan
    found = estimate(make(values))
    np.testing.assert_allclose(found.mean, np.full(values.shape, value), atol=1e-9)


def test_months_of_unequal_length_and_no_gaps():
    years = 1990.0 + np.cumsum([0.085, 0.077, 0.085, 0.082] * 9)
    field = make(red_field((6, 6), steps=36), years=years)
    np.testing.assert_array_equal(estimate(field).mean, field.values)


def test_covariance_is_found_and_positive():
    rng = np.random.default_rng(0)
    field = np.moveaxis(red_field((30, 30), steps=60), -1, 0)
    noisy = np.sqrt(0.8) * field + np.sqrt(0.2) * rng.standard_normal(field.shape)
    shares = fit(pairs([(noisy, np.ones(noisy.shape, dtype=bool))]))
    assert shares.min() >= 0.0
    assert shares[-1] == pytest.approx(0.2, abs=0.08)
    found = table(shares, 3, 6)
    assert found[4, 6, 6] == pytest.approx(0.8 * 0.8, abs=0.08)
    assert found[3, 8, 6] == pytest.approx(0.8 * np.exp(-0.25), abs=0.08)
    place = rng.integers(0, [4, 7, 7], size=(80, 3))
    matrix = found[tuple((place[:, None] - place + [3, 6, 6]).transpose(2, 0, 1))]
    assert np.linalg.eigvalsh(matrix).min() > -1e-9


@pytest.mark.parametrize("seed", [0, 1])
def test_a_smooth_field_with_a_little_noise(seed):
    rng = np.random.default_rng(seed)
    shape = (16, 16, 60)
    truth = 12.0 * gaussian_filter(rng.standard_normal(shape), (3.0, 3.0, 2.0))
    noisy = truth + 0.1 * truth.std() * rng.standard_normal(shape)
    hidden = clouds(shape, seed)
    field = make(np.where(hidden, np.nan, noisy))
    found = estimate(field)
    error = (found.mean - truth)[hidden]
    assert rms(error) < 0.75 * rms((by_series(field, Linear()).mean - truth)[hidden])
    around = np.hypot(found.spread[hidden], 0.1 * truth.std())
    assert 0.8 < np.mean(np.abs(error) < 1.645 * around) < 0.99


def test_a_burst_that_its_neighbours_see_is_no_error():
    rng = np.random.default_rng(3)
    values = 0.1 * rng.standard_normal((12, 12, 60))
    values[3:7, 3:7, 30] += 20.0
    values[9, 9, 40] += 20.0
    kept = np.isfinite(_cleaned(make(values)).values)
    assert kept[3:7, 3:7, 30].all()
    assert not kept[9, 9, 40]
    assert kept.sum() == kept.size - 1


def test_drivers_are_heeded_where_nothing_is_seen_at_a_step():
    rng = np.random.default_rng(4)
    shape = (8, 8, 120)
    driver = rng.standard_normal(120) + 0.2 * rng.standard_normal(shape)
    values = 3.0 * driver + 0.3 * rng.standard_normal(shape)
    truth = values.copy()
    values[..., 60] = values[..., 75] = np.nan
    field = make(values, years=2000.0 + np.arange(120) / 12.0)
    blind, told = estimate(field), estimate(replace(field, covariates=driver[None]))
    for step in (60, 75):
        errors = [rms(found.mean[..., step] - truth[..., step]) for found in (blind, told)]
        assert errors[1] < 0.5 * errors[0]
