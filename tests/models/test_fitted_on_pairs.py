"""Models of downscaling that are fitted on pairs of coarse and fine fields."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from xgeoml.models._regression import penalised
from xgeoml.models._surroundings import (
    LAGS,
    Surroundings,
    blocks_held_out,
    cell_means,
    first_guess,
    neighbours_in_time,
)
from xgeoml.models.delta import Delta
from xgeoml.models.downscaling import Clock, Pairs, Placement, Window
from xgeoml.models.gaussian_process import GaussianProcess
from xgeoml.models.ridge import Ridge

FACTOR = 3
ALL = [Delta, Ridge, lambda: GaussianProcess(trials=6)]
REGRESSIONS = ALL[1:]


def clock(steps, hours=6.0, start=2001.0):
    days = np.arange(steps) * hours / 24.0
    years = start + days / 365.25
    day = np.full(steps, np.nan) if hours >= 24.0 else days % 1.0
    return Clock(years % 1.0, day, years)


def weather(steps=160, rows=4, columns=4, factor=FACTOR, seed=0):
    """Fine fields: weather that moves slowly, hills that cool it, more so when it is warm."""
    rng = np.random.default_rng(seed)
    shape = (steps + 40, rows * factor + 40, columns * factor + 40)
    large = gaussian_filter(rng.standard_normal(shape), (3.0, 8.0, 8.0))[20:-20, 20:-20, 20:-20]
    large *= 4.0 / large.std()
    hills = gaussian_filter(rng.standard_normal(large.shape[1:]), 1.0)
    hills /= hills.std()
    small = 0.1 * rng.standard_normal(large.shape)
    return 280.0 + large - hills * (4.0 + 0.3 * large) + small


def pairs_of(fields, factor=FACTOR, hours=6.0, **kept):
    share = np.isfinite(fields).any(axis=0).astype(float)
    coarse = cell_means(fields, share, factor)
    placement = Placement.refined(*coarse.shape[1:], factor)
    none = np.empty((0, *coarse.shape))
    values = {
        "coarse": coarse,
        "fine": fields,
        "placement": placement,
        "clock": clock(len(fields), hours),
        "share": share,
        "covariates": none,
        "static": np.empty((0, *fields.shape[1:])),
    }
    return Pairs(**(values | kept))


def some(pairs, which):
    return Pairs(
        pairs.coarse[which],
        pairs.fine[which],
        pairs.placement,
        pairs.clock.steps(which),
        pairs.share,
        pairs.covariates[:, which],
        pairs.static,
    )


def window(pairs, which=slice(None), around=4):
    """The coarse fields of some steps, with their neighbours in time as the engine gives them."""
    steps = np.arange(len(pairs.clock))[which]
    wide = np.arange(steps[0] - around, steps[-1] + around + 1)
    inside = np.clip(wide, 0, len(pairs.clock) - 1)
    value = pairs.coarse[inside].copy()
    value[wide != inside] = np.nan
    covariates = pairs.covariates[:, inside]
    halo = (around, 0, 0)
    return Window(value, pairs.placement, halo, pairs.clock.steps(inside), covariates)


def rmse(made, truth):
    return float(np.sqrt(np.nanmean((made - truth) ** 2)))


def later(model, pairs, first):
    """Fit on the steps before one and return the fields from there on."""
    state = model.fit(some(pairs, slice(0, first)))
    return model.predict(window(pairs, slice(first, None)), state)


def interpolated(pairs):
    around = Surroundings.of(pairs)
    rows = slice(0, pairs.placement.shape[0])
    return first_guess(pairs.coarse, pairs.placement, pairs.share, rows, around)


def test_regressions_learn_more_than_a_mean_error():
    pairs = pairs_of(weather())
    truth = pairs.fine[120:]
    errors = [rmse(interpolated(pairs)[120:], truth)]
    models = [Delta(), Ridge(), GaussianProcess(trials=16)]
    errors += [rmse(later(model, pairs, 120), truth) for model in models]
    assert errors[1] < 0.5 * errors[0]
    assert errors[2] < 0.2 * errors[1]
    assert errors[3] < 0.2 * errors[1]


def test_what_is_not_linear_is_learnt_by_likeness():
    rng = np.random.default_rng(3)
    large = gaussian_filter(rng.standard_normal((240, 29, 29)), (1.0, 5.0, 5.0))[:, 10:-10, 10:-10]
    large *= 3.0 / large.std()
    hills = gaussian_filter(rng.standard_normal(large.shape[1:]), 1.0)
    # Snow lies below freezing only: a response with a bend.
    fine = large + 3.0 * (hills / hills.std()) * np.maximum(large, 0.0)
    pairs = pairs_of(fine)
    truth = pairs.fine[180:]
    models = [Ridge(), GaussianProcess(trials=16)]
    linear, likeness = (rmse(later(model, pairs, 180), truth) for model in models)
    assert likeness < 0.95 * linear


def test_neighbours_in_time_tell_of_what_moves_on():
    rng = np.random.default_rng(4)
    signal = np.cumsum(rng.standard_normal((200, 1, 1)), axis=0)
    steps = signal - np.roll(signal, 1, axis=0)
    hills = rng.standard_normal((1, 12, 12))
    hills -= cell_means(hills, np.ones((12, 12)), 3).repeat(3, 1).repeat(3, 2)
    fine = signal + steps * hills + 0.05 * rng.standard_normal((200, 12, 12))
    pairs = pairs_of(fine[1:])
    truth = pairs.fine[150:]
    linear, process = (rmse(later(model(), pairs, 150), truth) for model in REGRESSIONS)
    assert process < 0.8 * linear


@pytest.mark.parametrize("model", REGRESSIONS)
@pytest.mark.parametrize(("steps", "hours"), [(9, 730.5), (12, 730.5), (16, 24.0)])
def test_few_steps_do_no_harm(model, steps, hours):
    pairs = pairs_of(weather(steps + 4), hours=hours)
    truth = pairs.fine[steps:]
    assert rmse(later(model(), pairs, steps), truth) < rmse(interpolated(pairs)[steps:], truth)


def test_few_steps_are_no_reason_to_do_worse_than_the_mean_error():
    errors = {}
    for model in (Delta, GaussianProcess):
        made = []
        for seed in range(4):
            pairs = pairs_of(weather(13, seed=seed), hours=730.5)
            made.append(rmse(later(model(), pairs, 9), pairs.fine[9:]))
        errors[model] = np.mean(made)
    assert errors[GaussianProcess] < 1.02 * errors[Delta]


@pytest.mark.parametrize("model", ALL)
def test_units_do_not_matter(model):
    pairs = pairs_of(weather(60))
    celsius = pairs_of(1.8 * pairs.fine - 459.67)
    expected = 1.8 * later(model(), pairs, 48) - 459.67
    np.testing.assert_allclose(later(model(), celsius, 48), expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("model", ALL)
def test_means_are_nearly_kept(model):
    pairs = pairs_of(weather(80))
    made = later(model(), pairs, 60)
    kept = cell_means(made, pairs.share, FACTOR)
    np.testing.assert_allclose(kept, pairs.coarse[60:], rtol=0, atol=2e-3)


@pytest.mark.parametrize("model", ALL)
def test_the_same_pairs_give_the_same_fields(model):
    pairs = pairs_of(weather(60))
    np.testing.assert_array_equal(later(model(), pairs, 48), later(model(), pairs, 48))


@pytest.mark.parametrize("model", ALL)
def test_a_step_does_not_depend_on_how_many_come_along(model):
    pairs = pairs_of(weather(60))
    fitted = model()
    state = fitted.fit(pairs)
    whole = fitted.predict(window(pairs), state)
    part = fitted.predict(window(pairs, slice(20, 23)), state)
    np.testing.assert_allclose(part, whole[20:23], rtol=0, atol=1e-4)


@pytest.mark.parametrize("model", ALL)
def test_points_that_are_never_seen_stay_missing(model):
    fine = weather(80)
    fine[:, :4, :7] = np.nan
    fine[:, 9, 9] = np.nan
    pairs = pairs_of(fine)
    assert np.isnan(pairs.coarse).any()
    made = later(model(), pairs, 60)
    np.testing.assert_array_equal(np.isnan(made), np.isnan(fine[60:]))
    assert rmse(made, fine[60:]) < rmse(interpolated(pairs)[60:], fine[60:])


@pytest.mark.parametrize("model", ALL)
def test_values_that_are_missing_now_and_then_are_no_matter(model):
    fine = weather(120)
    whole = pairs_of(fine)
    gaps = fine.copy()
    rng = np.random.default_rng(5)
    gaps[rng.random(gaps.shape) < 0.02] = np.nan
    gaps[rng.random(len(gaps)) < 0.1] = np.nan
    holes = whole.coarse.copy()
    holes[rng.random(holes.shape) < 0.01] = np.nan
    broken = pairs_of(fine, fine=gaps, coarse=holes)
    fitted = model()
    state = fitted.fit(some(broken, slice(0, 90)))
    made = fitted.predict(window(whole, slice(90, None)), state)
    assert np.isfinite(made).all()
    assert rmse(made, fine[90:]) < 1.3 * rmse(later(model(), whole, 90), fine[90:])


@pytest.mark.parametrize("model", ALL)
def test_a_step_without_any_value_stays_without(model):
    pairs = pairs_of(weather(60))
    fitted = model()
    state = fitted.fit(pairs)
    seen = window(pairs, slice(20, 26))
    value = seen.value.copy()
    value[6] = np.nan
    made = fitted.predict(seen.with_value(value), state)
    assert np.isnan(made[2]).all()
    assert np.isfinite(np.delete(made, 2, axis=0)).all()


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("bent", [False, True])
def test_grids_that_do_not_nest(model, bent):
    fine = weather(120, 6, 7, factor=4)
    rows, columns = np.arange(-0.8, 5.9, 0.31), np.arange(-0.6, 6.4, 0.29)
    if bent:
        rows, columns = np.meshgrid(rows, columns, indexing="ij")
        rows, columns = rows + 0.1 * columns, columns - 0.05 * rows
    placement = Placement(rows, columns)
    if not bent:
        rows, columns = np.meshgrid(rows, columns, indexing="ij")
    where = [(p + 0.5) * 4.0 - 0.5 for p in (rows, columns)]
    target = np.stack([map_coordinates(f, where, order=1, mode="nearest") for f in fine])
    none = np.empty((0, *rows.shape))
    other = pairs_of(
        fine, 4, fine=target, placement=placement, share=np.zeros(rows.shape), static=none
    )
    made = later(model(), other, 90)
    assert made.shape == (30, *rows.shape)
    assert rmse(made, target[90:]) < 0.9 * rmse(interpolated(other)[90:], target[90:])


@pytest.mark.parametrize("model", REGRESSIONS)
def test_a_covariate_that_explains_much_is_used(model):
    fine = weather(160)
    rng = np.random.default_rng(7)
    wind = rng.standard_normal((160, 4, 4))
    fine += wind.repeat(3, 1).repeat(3, 2) * rng.standard_normal(fine.shape[1:])
    alone = pairs_of(fine)
    blown = pairs_of(fine, covariates=wind[None] * 30.0 + 7.0)
    errors = [rmse(later(model(), p, 120), fine[120:]) for p in (blown, alone)]
    assert errors[0] < 0.8 * errors[1]


@pytest.mark.parametrize("model", ALL)
def test_no_time_at_all(model):
    pairs = pairs_of(weather(80))
    unknown = np.full(80, np.nan)
    timeless = pairs_of(pairs.fine, clock=Clock(unknown, unknown, unknown))
    made = later(model(), timeless, 60)
    assert rmse(made, pairs.fine[60:]) < rmse(interpolated(pairs)[60:], pairs.fine[60:])


def test_long_records_are_compared_with_part_of_themselves(monkeypatch):
    pairs = pairs_of(weather(240))
    exact = rmse(later(GaussianProcess(trials=6), pairs, 200), pairs.fine[200:])
    monkeypatch.setattr("xgeoml.models.gaussian_process._MOST_STEPS", 60)
    monkeypatch.setattr("xgeoml.models.gaussian_process._FEWEST_STEPS", 60)
    fitted = GaussianProcess(trials=6)
    state = fitted.fit(some(pairs, slice(0, 200)))
    assert len(state["weight"]) == 60
    made = fitted.predict(window(pairs, slice(200, None)), state)
    assert rmse(made, pairs.fine[200:]) < 1.15 * exact
    assert rmse(made, pairs.fine[200:]) != exact


def test_pieces_of_the_target_make_no_difference(monkeypatch):
    pairs = pairs_of(weather(60))
    whole = [later(model(), pairs, 48) for model in ALL]
    monkeypatch.setattr("xgeoml.models._surroundings._STRIP_ELEMENTS", 1)
    for model, expected in zip(ALL, whole, strict=True):
        np.testing.assert_allclose(later(model(), pairs, 48), expected, rtol=0, atol=1e-4)


def test_neighbours_stop_at_gaps_and_ends():
    years = np.array([0, 1, 2, 3, 10, 11, 12], dtype=float)
    found = neighbours_in_time(years, 1.0)
    assert found[0].tolist() == [0, 0, 0, 0, 1, 2, 3]
    assert found[4].tolist() == [4, 4, 4, 4, 5, 6, 6]
    assert found[3].tolist() == [0, 1, 2, 3, 3, 3, 3]
    assert (neighbours_in_time(years, np.nan) == np.arange(7)[:, None]).all()
    assert found.shape == (7, len(LAGS))


@pytest.mark.parametrize("steps", [4, 9, 30, 200])
def test_blocks_held_out_are_apart_and_not_learnt_from(steps):
    folds = blocks_held_out(clock(steps))
    assert folds
    for learn, held in folds:
        assert held.any()
        assert learn.any()
        assert not (learn & held).any()
    if steps == 200:
        assert folds[0][1][-1]
        assert not any((learn[1:] & held[:-1]).any() for learn, held in folds)


def test_a_point_without_values_has_no_coefficients():
    target = np.stack([np.arange(6.0), np.full(6, np.nan)], axis=1)
    found = penalised(np.stack([np.ones(6), np.arange(6.0)], axis=1), target, 0.0)
    np.testing.assert_allclose(found[:, 0], [0.0, 1.0], atol=1e-12)
    assert np.isnan(found[:, 1]).all()
