"""Regression of what lies between two steps on the fields around them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from xgeoml.models._intervals import Calendar, Intervals, Parts
from xgeoml.models.diurnal import Diurnal
from xgeoml.models.downscaling import Clock
from xgeoml.models.in_time import Place, Record, Stretch
from xgeoml.models.ridge_in_time import RidgeInTime
from xgeoml.models.splines import Linear

STEPS, LEARNT = 480, 360


def clock_of(days):
    years = 2001.0 + days / 365.25
    return Clock(years % 1.0, days % 1.0, years)


def record_of(value, days, place=None):
    return Record(value, days, clock_of(days), place or Place())


def hidden(value, days, every, first=0, place=None):
    """Every k-th step as a stretch, with the others wanted, and what these are."""
    shown = np.arange(first, len(days), every)
    wanted = np.setdiff1d(np.arange(shown[0], shown[-1]), shown)
    stretch = Stretch(
        value[:, shown],
        days[shown],
        days[wanted],
        clock_of(days[shown]),
        clock_of(days[wanted]),
        place or Place(),
    )
    return stretch, value[:, wanted]


def rmse(made, truth):
    return float(np.sqrt(np.nanmean((made - truth) ** 2)))


def weather(steps=STEPS, rows=7, columns=9, seed=0, daily=3.0):
    """Patterns that move eastward by a cell a step, and a daily cycle; four steps a day."""
    rng = np.random.default_rng(seed)
    wide = rng.standard_normal((steps + columns + 20, rows + 20))
    # Too small for a curve through every second step.
    wide = gaussian_filter(wide, (1.2, 2.0))[10:-10, 10:-10]
    moving = np.stack([wide[steps - step : steps - step + columns].T for step in range(steps)])
    days = np.arange(steps) / 4.0
    cycle = np.cos(2.0 * np.pi * days)[:, None, None] * rng.uniform(0.5, 1.0, (1, rows, columns))
    value = 280.0 + 4.0 * moving / moving.std() + daily * cycle
    return (value + 0.05 * rng.standard_normal(value.shape))[None], days


@pytest.fixture(scope="module")
def moving():
    value, days = weather()
    state = RidgeInTime().fit(record_of(value[:, :LEARNT], days[:LEARNT]))
    return value, days, state


@pytest.mark.parametrize("every", [2, 4])
def test_neighbours_tell_what_moves(moving, every):
    value, days, state = moving
    stretch, truth = hidden(value[:, LEARNT:], days[LEARNT:], every)
    error = rmse(RidgeInTime().predict(stretch, state), truth)
    base = Diurnal().fit(record_of(value[:, :LEARNT], days[:LEARNT]))
    assert error < 0.7 * rmse(Diurnal().predict(stretch, base), truth)


def test_own_values_count_by_the_hour():
    # What is warm at the end of the morning was so early: a shape that only the change tells.
    rng = np.random.default_rng(1)
    days = np.arange(60 * 8) / 8.0
    size = np.repeat(rng.uniform(0.0, 8.0, 60), 8)[:, None, None] * np.ones((1, 4, 4))
    value = (size * np.maximum(np.sin(2.0 * np.pi * (days[:, None, None] - 0.25)), 0.0))[None]
    value += 0.05 * rng.standard_normal(value.shape)
    state = RidgeInTime().fit(record_of(value[:, :360], days[:360]))
    stretch, truth = hidden(value[:, 360:], days[360:], 2)
    error = rmse(RidgeInTime().predict(stretch, state), truth)
    base = Diurnal().fit(record_of(value[:, :360], days[:360]))
    assert error < 0.7 * rmse(Diurnal().predict(stretch, base), truth)


def test_white_noise_teaches_nothing():
    rng = np.random.default_rng(2)
    days = np.arange(400) / 4.0
    value = np.cumsum(rng.standard_normal((1, 400, 5, 6)), axis=1)
    state = RidgeInTime().fit(record_of(value[:, :300], days[:300]))
    stretch, truth = hidden(value[:, 300:], days[300:], 2)
    error = rmse(RidgeInTime().predict(stretch, state), truth)
    assert error < 1.05 * rmse(Linear().predict(stretch, {}), truth)


def test_waves_end_at_the_steps(moving):
    value, days, state = moving
    stretch, _ = hidden(value[:, LEARNT:], days[LEARNT:], 4)
    eps = 1e-7
    near = Stretch(
        stretch.value,
        stretch.days,
        np.array([stretch.days[3] - eps, stretch.days[3] + eps]),
        stretch.clock,
        clock_of(np.array([stretch.days[3] - eps, stretch.days[3] + eps])),
    )
    made = RidgeInTime().predict(near, state)
    np.testing.assert_allclose(made[0, 0], stretch.value[0, 3], atol=1e-4)
    np.testing.assert_allclose(made[0, 1], stretch.value[0, 3], atol=1e-4)


def test_times_between_those_learnt_are_smooth(moving):
    value, days, state = moving
    stretch, _ = hidden(value[:, LEARNT:], days[LEARNT:], 4)
    fine = stretch.days[5] + np.arange(1, 96) / 96.0 * (stretch.days[6] - stretch.days[5])
    wanted = Stretch(stretch.value, stretch.days, fine, stretch.clock, clock_of(fine))
    made = RidgeInTime().predict(wanted, state)
    assert np.isfinite(made).all()
    assert np.abs(np.diff(made, axis=1)).max() < 0.2 * value.std()


def test_other_lengths_take_the_nearest_or_the_base(moving):
    value, days, state = moving
    record = record_of(value[:, :LEARNT], days[:LEARNT])
    base = Diurnal().fit(record)
    for every, known in ((5, True), (8, False)):
        stretch, _ = hidden(value[:, LEARNT:], days[LEARNT:], every)
        made = RidgeInTime().predict(stretch, state)
        assert np.isfinite(made).all()
        same = np.array_equal(made, Diurnal().predict(stretch, base))
        assert same != known


def test_short_records_are_left_to_the_base():
    value, days = weather(40)
    state = RidgeInTime().fit(record_of(value, days))
    assert not len(state["multiples"])
    stretch, _ = hidden(value, days, 2)
    base = Diurnal().predict(stretch, Diurnal().fit(record_of(value, days)))
    np.testing.assert_array_equal(RidgeInTime().predict(stretch, state), base)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps(steps):
    days = np.arange(steps) / 4.0
    state = RidgeInTime().fit(record_of(np.ones((1, steps, 2, 2)), days))
    stretch, truth = hidden(np.ones((1, 9, 2, 2)), np.arange(9) / 4.0, 2)
    np.testing.assert_array_equal(RidgeInTime().predict(stretch, state), truth)


def test_cells_that_are_never_seen_stay_missing():
    value, days = weather()
    value[:, :, :3, :4] = np.nan
    state = RidgeInTime().fit(record_of(value[:, :LEARNT], days[:LEARNT]))
    stretch, truth = hidden(value[:, LEARNT:], days[LEARNT:], 4)
    made = RidgeInTime().predict(stretch, state)
    np.testing.assert_array_equal(np.isnan(made), np.isnan(truth))
    base = Diurnal().fit(record_of(value[:, :LEARNT], days[:LEARNT]))
    assert rmse(made, truth) < 0.9 * rmse(Diurnal().predict(stretch, base), truth)


def test_missing_values_fall_back(moving):
    value, days, state = moving
    stretch, _ = hidden(value[:, LEARNT:], days[LEARNT:], 4)
    whole = RidgeInTime().predict(stretch, state)
    holed = stretch.value.copy()
    holed[:, 4, 2, 3] = np.nan  # one cell
    holed[:, 12] = np.nan  # a whole field
    made = RidgeInTime().predict(stretch.with_value(holed), state)
    assert np.isfinite(made).all()
    base = Diurnal().predict(
        stretch.with_value(holed), Diurnal().fit(record_of(value[:, :LEARNT], days[:LEARNT]))
    )
    beside = np.isin(stretch.before, (11, 12))
    np.testing.assert_array_equal(made[:, beside], base[:, beside])
    cell = np.isin(stretch.before, (3, 4))
    np.testing.assert_array_equal(made[:, cell, 2, 3], base[:, cell, 2, 3])
    # Far from both, nothing changes.
    away = stretch.before > 14
    np.testing.assert_array_equal(made[:, away], whole[:, away])


def test_values_missing_here_and_there_in_the_record():
    value, days = weather()
    full = value.copy()
    value[np.random.default_rng(3).random(value.shape) < 0.05] = np.nan
    state = RidgeInTime().fit(record_of(value[:, :LEARNT], days[:LEARNT]))
    stretch, truth = hidden(full[:, LEARNT:], days[LEARNT:], 4)
    base = Diurnal().fit(record_of(value[:, :LEARNT], days[:LEARNT]))
    error = rmse(RidgeInTime().predict(stretch, state), truth)
    assert error < 0.9 * rmse(Diurnal().predict(stretch, base), truth)


def test_units_do_not_matter(moving):
    value, days, state = moving
    stretch, _ = hidden(value[:, LEARNT:], days[LEARNT:], 4)
    made = 1.8 * RidgeInTime().predict(stretch, state) - 459.67
    other = 1.8 * value - 459.67
    fitted = RidgeInTime().fit(record_of(other[:, :LEARNT], days[:LEARNT]))
    moved = RidgeInTime().predict(stretch.with_value(1.8 * stretch.value - 459.67), fitted)
    np.testing.assert_allclose(moved, made, rtol=0, atol=1e-2 * value.std())


def test_uneven_steps_are_not_learnt_from():
    value, days = weather()
    state = RidgeInTime().fit(record_of(value[:, :LEARNT], days[:LEARNT]))
    keep = np.delete(np.arange(LEARNT), np.arange(7, LEARNT, 40))
    fewer = RidgeInTime().fit(record_of(value[:, keep], days[keep]))
    assert fewer["lengths"].tolist() == state["lengths"].tolist()
    stretch, truth = hidden(value[:, LEARNT:], days[LEARNT:], 4)
    errors = [rmse(RidgeInTime().predict(stretch, s), truth) for s in (state, fewer)]
    assert errors[1] < 1.2 * errors[0]


def test_two_components_are_learnt_apart():
    first, days = weather(300, seed=4)
    second, _ = weather(300, seed=5)
    both = np.concatenate([first, second])
    state = RidgeInTime().fit(record_of(both[:, :240], days[:240]))
    stretch, _ = hidden(both[:, 240:], days[240:], 2)
    made = RidgeInTime().predict(stretch, state)
    alone = RidgeInTime().fit(record_of(second[:, :240], days[:240]))
    one = RidgeInTime().predict(stretch.with_value(stretch.value[1:]), alone)
    np.testing.assert_array_equal(made[1:], one)


def test_the_state_is_plain_arrays_and_repeatable(moving):
    value, days, state = moving
    again = RidgeInTime().fit(record_of(value[:, :LEARNT], days[:LEARNT]))
    assert state.keys() == again.keys()
    for name, part in state.items():
        assert isinstance(part, np.ndarray)
        assert part.dtype.kind in "fi"
        np.testing.assert_array_equal(part, again[name])
    assert all(v.dtype == np.float32 for k, v in state.items() if k.startswith("coefficients"))


def test_a_fit_takes_the_penalties_of_another(moving):
    value, days, state = moving
    record = record_of(value[:, :LEARNT], days[:LEARNT])
    again = RidgeInTime().again(record, state)
    assert again.keys() == state.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(again[name], array)
    # They are taken as they are: of none but infinite ones, for which 0 stands, nothing is learnt.
    deaf = {n: np.zeros_like(a) if n.startswith("chosen") else a for n, a in state.items()}
    chosen = [n for n in state if n.startswith("coefficients")]
    assert chosen
    for name in chosen:
        assert state[name].any()
        assert not RidgeInTime().again(record, deaf)[name].any()


def test_a_time_does_not_depend_on_what_else_is_wanted(moving):
    value, days, state = moving
    stretch, _ = hidden(value[:, LEARNT:], days[LEARNT:], 4)
    whole = RidgeInTime().predict(stretch, state)
    some = np.array([4, 10])
    part = Stretch(
        stretch.value,
        stretch.days,
        stretch.wanted[some],
        stretch.clock,
        stretch.clock_wanted.steps(some),
    )
    np.testing.assert_allclose(
        RidgeInTime().predict(part, state), whole[:, some], rtol=0, atol=1e-4
    )


def test_the_sun_is_the_same_for_all_cells():
    value, days = weather(rows=4, columns=6)
    lat, lon = np.meshgrid(np.linspace(40.0, 50.0, 4), np.linspace(0.0, 300.0, 6), indexing="ij")
    place = Place(lat, lon)
    state = RidgeInTime().fit(record_of(value[:, :LEARNT], days[:LEARNT], place))
    stretch, truth = hidden(value[:, LEARNT:], days[LEARNT:], 4, place=place)
    made = RidgeInTime().predict(stretch, state)
    assert rmse(made, truth) < rmse(Linear().predict(stretch, {}), truth)


def test_predictors_in_their_order():
    value, days = weather(60)
    departures = np.moveaxis(value[0] - value[0].mean(0), 0, 2).astype(np.float32)
    calendar = Calendar.of(clock_of(days))
    assert calendar == (2, 0, 2, 0)
    first = np.arange(0, 56)
    around = Intervals.of(departures, days, clock_of(days), first, 2, None)
    made = around.predictors((slice(2, 5), slice(0, 3)), calendar)
    parts = Parts.of(calendar)
    assert made.shape == (3, 3, parts.total, 56)
    np.testing.assert_array_equal(made[:, :, 0], 1.0)
    change = (departures[..., 2:58] - departures[..., :56]) / around.scale
    np.testing.assert_allclose(made[:, :, parts.own[0]], change[2:5, :3], atol=1e-5)
    # The neighbour two rows up and as many columns to the left comes first; there is none here.
    upper = made[:, :, parts.own[-1] + 1]
    np.testing.assert_array_equal(upper[:, :2], 0.0)
    np.testing.assert_allclose(upper[:, 2], change[0:3, 0] - change[2:5, 2], atol=1e-5)
