"""The cycle of the day, and curves through what it leaves."""

from __future__ import annotations

import numpy as np
import pytest

from xgeoml.models._daily import Terms
from xgeoml.models.diurnal import Diurnal
from xgeoml.models.downscaling import Clock
from xgeoml.models.in_time import Record, Stretch
from xgeoml.models.splines import Akima, Cubic, Linear


def clock_of(days, hours_known=True):
    years = 2001.0 + days / 365.25
    day = days % 1.0 if hours_known else np.full(len(days), np.nan)
    return Clock(years % 1.0, day, years)


def record_of(value, days, **known):
    return Record(value, days, clock_of(days, **known))


def hidden(value, days, every, **known):
    """Every k-th step as a stretch, with the others wanted, and what these are."""
    shown = np.arange(0, len(days), every)
    wanted = np.setdiff1d(np.arange(shown[-1]), shown)
    stretch = Stretch(
        value[:, shown],
        days[shown],
        days[wanted],
        clock_of(days[shown], **known),
        clock_of(days[wanted], **known),
    )
    return stretch, value[:, wanted]


def rmse(made, truth):
    return float(np.sqrt(np.nanmean((made - truth) ** 2)))


def field(days, cells=6, seed=0, noise=1.0, seasonal=False):
    """A daily cycle of each cell's own size and hour, and weather that wanders."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(2.0, 6.0, (1, 2, cells // 2))
    late = rng.uniform(0.0, 1.0, (1, 2, cells // 2))
    if seasonal:
        season = (days / 365.25 % 1.0)[:, None, None]
        size = size * (1.0 + 0.8 * np.cos(2.0 * np.pi * season))
    angle = 2.0 * np.pi * (days[:, None, None] - late)
    weather = np.cumsum(rng.standard_normal((len(days), 2, cells // 2)), axis=0)
    weather *= noise * np.sqrt(np.median(np.diff(days)))
    return (280.0 + size * (np.cos(angle) + 0.3 * np.cos(2.0 * angle)) + weather)[None]


@pytest.mark.parametrize("every", [6, 12, 24])
def test_a_known_cycle_is_recovered(every):
    days = np.arange(24 * 60) / 24.0
    value = field(days, noise=0.0)
    state = Diurnal().fit(record_of(value[:, : 24 * 40], days[: 24 * 40]))
    stretch, truth = hidden(value[:, 24 * 40 :], days[24 * 40 :], every)
    assert rmse(Diurnal().predict(stretch, state), truth) < 0.02
    assert rmse(Linear().predict(stretch, {}), truth) > 0.4


def test_the_cycle_under_weather_beats_curves_alone():
    days = np.arange(4 * 120) / 4.0
    value = field(days)
    state = Diurnal().fit(record_of(value[:, :360], days[:360]))
    stretch, truth = hidden(value[:, 360:], days[360:], 4)
    error = rmse(Diurnal().predict(stretch, state), truth)
    for curve in (Linear(), Akima(), Cubic()):
        assert error < 0.5 * rmse(curve.predict(stretch, {}), truth)


def test_the_cycle_varies_with_the_season():
    days = np.arange(4 * 365 * 2) / 4.0
    value = field(days, noise=0.5, seasonal=True)
    half = len(days) // 2
    stretch, truth = hidden(value[:, half:], days[half:], 4)
    errors = []
    for known in (True, False):
        record = record_of(value[:, :half], days[:half])
        if not known:
            season = np.full(half, np.nan)
            record = Record(
                record.value, record.days, Clock(season, record.clock.day, record.clock.years)
            )
        errors.append(rmse(Diurnal().predict(stretch, Diurnal().fit(record)), truth))
    assert errors[0] < 0.7 * errors[1]


@pytest.mark.parametrize(
    ("per_day", "harmonics"), [(1, 0), (2, 1), (4, 2), (8, 4), (24, 5), (96, 5)]
)
def test_harmonics_are_those_that_the_hours_resolve(per_day, harmonics):
    days = np.arange(10 * per_day) / per_day
    assert Terms.of(clock_of(days), days) == (harmonics, 0)


def test_hours_of_a_single_day_are_no_cycle():
    days = np.arange(40) / 24.0
    assert Terms.of(clock_of(days), days) == (0, 0)


def test_where_the_hour_is_unknown_it_is_a_curve():
    days = np.arange(60.0)
    value = field(days)
    state = Diurnal().fit(record_of(value, days, hours_known=False))
    stretch, _ = hidden(value, days, 2, hours_known=False)
    made = Diurnal().predict(stretch, state)
    curves = [curve.predict(stretch, {}) for curve in (Linear(), Akima(), Cubic())]
    assert any(np.array_equal(made, curve) for curve in curves)


def test_a_cycle_at_hours_that_the_record_did_not_have():
    days = np.arange(8 * 60) / 8.0
    state = Diurnal().fit(record_of(field(days, noise=0.0), days))
    fine = 5.0 + np.arange(48 * 6) / 48.0
    stretch, truth = hidden(field(fine, noise=0.0), fine, 24)
    assert rmse(Diurnal().predict(stretch, state), truth) < 0.05


def test_noise_is_no_cycle():
    rng = np.random.default_rng(5)
    days = np.arange(4 * 20) / 4.0
    value = np.cumsum(rng.standard_normal((1, len(days), 5, 5)), axis=1)
    state = Diurnal().fit(record_of(value, days))
    rest = np.cumsum(rng.standard_normal((1, len(days), 5, 5)), axis=1)
    stretch, truth = hidden(rest, days, 2)
    error = rmse(Diurnal().predict(stretch, state), truth)
    assert error < 1.05 * rmse(Linear().predict(stretch, {}), truth)


def test_missing_values_and_cells():
    rng = np.random.default_rng(6)
    days = np.arange(4 * 90) / 4.0
    value = field(days, noise=0.3)
    full = value.copy()
    value[rng.random(value.shape) < 0.2] = np.nan
    value[:, :, 0, 0] = np.nan
    value[:, 50:53] = np.nan
    state = Diurnal().fit(record_of(value, days))
    assert np.isfinite(state["cycle"]).all()
    stretch, truth = hidden(full, days, 4)
    made = Diurnal().predict(stretch, state)
    straight = Linear().predict(stretch, {})
    assert rmse(made[:, :, 0, 1:], truth[:, :, 0, 1:]) < 0.4 * rmse(straight, truth)
    # Never seen in the record: no cycle, but a curve.
    assert np.isfinite(made[:, :, 0, 0]).all()


def test_a_constant_or_a_factor_comes_back():
    days = np.arange(4 * 60) / 4.0
    value = field(days)
    state = Diurnal().fit(record_of(value, days))
    stretch, _ = hidden(value, days, 4)
    made = Diurnal().predict(stretch, state)
    moved = Diurnal().predict(stretch.with_value(stretch.value + 100.0), state)
    np.testing.assert_allclose(moved, made + 100.0, rtol=0, atol=1e-9)
    other = Diurnal().fit(record_of(1.8 * value - 459.67, days))
    stretch = stretch.with_value(1.8 * stretch.value - 459.67)
    expected = 1.8 * made - 459.67
    np.testing.assert_allclose(Diurnal().predict(stretch, other), expected, rtol=0, atol=1e-3)


def test_two_components_have_a_cycle_each():
    days = np.arange(4 * 60) / 4.0
    both = np.concatenate([field(days, seed=1, noise=0.1), field(days, seed=2, noise=0.1)])
    state = Diurnal().fit(record_of(both, days))
    stretch, truth = hidden(both, days, 4)
    error = np.sqrt(np.mean((Diurnal().predict(stretch, state) - truth) ** 2, axis=(1, 2, 3)))
    assert (error < 0.3).all()


def test_few_steps():
    for steps in (1, 2, 3, 5):
        days = np.arange(steps) / 4.0
        state = Diurnal().fit(record_of(np.ones((1, steps, 2, 2)), days))
        long = np.arange(9) / 4.0
        stretch, truth = hidden(np.ones((1, 9, 2, 2)), long, 2)
        np.testing.assert_array_equal(Diurnal().predict(stretch, state), truth)
