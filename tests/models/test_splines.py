"""Curves through each cell's own series."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import Akima1DInterpolator, CubicSpline, interp1d

from xgeoml.models.downscaling import Clock
from xgeoml.models.in_time import Stretch
from xgeoml.models.splines import Akima, Cubic, Linear

CURVES = [Linear(), Cubic(), Akima()]
SCIPY = [
    (Linear(), lambda x, y: interp1d(x, y, axis=0)),
    (Cubic(), CubicSpline),
    (Akima(), Akima1DInterpolator),
]


def clock(times):
    return Clock(*(np.full(times, np.nan) for _ in range(3)))


def stretch(value, days, wanted):
    return Stretch(value, days, wanted, clock(len(days)), clock(len(wanted)))


def uneven(steps=9, seed=0, wanted=25):
    rng = np.random.default_rng(seed)
    days = 1000.0 + np.cumsum(rng.uniform(0.1, 2.0, steps))
    times = np.sort(rng.uniform(days[0], days[-1], wanted))
    return rng.standard_normal((2, steps, 3, 4)), days, times


@pytest.mark.parametrize(("curve", "theirs"), SCIPY)
@pytest.mark.parametrize("steps", [2, 3, 4, 5, 9])
def test_curves_are_those_of_scipy(curve, theirs, steps):
    value, days, wanted = uneven(steps)
    made = curve.predict(stretch(value, days, wanted), {})
    for component, series in zip(made, value, strict=True):
        np.testing.assert_allclose(component, theirs(days, series)(wanted), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("curve", "theirs"), SCIPY)
def test_missing_values_are_bridged_between_the_cells_own(curve, theirs):
    value, days, wanted = uneven()
    value[np.random.default_rng(1).random(value.shape) < 0.4] = np.nan
    value[:, :, 0, 0] = np.nan  # never seen
    value[:, 1:, 0, 1] = np.nan  # seen once
    value[:, 4] = np.nan  # a whole field
    made = curve.predict(stretch(value, days, wanted), {})
    for at in np.ndindex(2, 3, 4):
        series = value[at[0], :, at[1], at[2]]
        known = np.isfinite(series)
        expected = np.full(len(wanted), np.nan)
        if known.sum() > 1:
            inside = (wanted >= days[known][0]) & (wanted <= days[known][-1])
            expected[inside] = theirs(days[known], series[known])(wanted[inside])
        np.testing.assert_allclose(made[at[0], :, at[1], at[2]], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("steps", [2, 3, 4, 8])
def test_straight_series_come_back(curve, steps):
    _, days, wanted = uneven(steps)
    slope = np.random.default_rng(2).standard_normal((1, 1, 3, 4))
    value = 280.0 + slope * (days - days[0])[:, None, None]
    made = curve.predict(stretch(value, days, wanted), {})
    expected = 280.0 + slope * (wanted - days[0])[:, None, None]
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-11)


def test_cubics_come_back_from_the_spline():
    _, days, wanted = uneven(6)
    value = ((days - days[2]) ** 3)[None, :, None, None]
    made = Cubic().predict(stretch(value, days, wanted), {})
    np.testing.assert_allclose(made[0, :, 0, 0], (wanted - days[2]) ** 3, atol=1e-9)


@pytest.mark.parametrize("curve", CURVES)
def test_units_do_not_matter(curve):
    value, days, wanted = uneven()
    value[0, 3, 1, 1] = np.nan
    made = curve.predict(stretch(value, days, wanted), {})
    other = curve.predict(stretch(1.8 * value - 459.67, days, wanted), {})
    np.testing.assert_allclose(other, 1.8 * made - 459.67, rtol=0, atol=1e-9)


def test_rounding_does_not_bend_a_corner():
    days = np.arange(8.0)
    corner = np.maximum(days - 3.0, 0.0)[None, :, None, None]
    wanted = np.arange(0.5, 7.0)
    first, second = (
        Akima().predict(stretch(v, days, wanted), {}) for v in (corner, 0.1 * corner + 1e4 / 3.0)
    )
    np.testing.assert_allclose(second, 0.1 * first + 1e4 / 3.0, rtol=0, atol=1e-5)


@pytest.mark.parametrize("curve", CURVES)
def test_a_cell_does_not_depend_on_others(curve):
    value, days, wanted = uneven()
    value[np.random.default_rng(3).random(value.shape) < 0.3] = np.nan
    whole = curve.predict(stretch(value, days, wanted), {})
    part = curve.predict(stretch(value[:, :, 1:2, 2:3], days, wanted), {})
    np.testing.assert_array_equal(part, whole[:, :, 1:2, 2:3])


@pytest.mark.parametrize("curve", CURVES)
def test_more_cells_than_are_treated_at_once(curve):
    rng = np.random.default_rng(4)
    days, wanted = np.arange(5.0), np.array([0.25, 2.5, 3.75])
    value = rng.standard_normal((1, 5, 150, 150))
    made = curve.predict(stretch(value, days, wanted), {})
    assert np.isfinite(made).all()
    corner = curve.predict(stretch(value[:, :, -1:, -1:], days, wanted), {})
    np.testing.assert_array_equal(made[:, :, -1:, -1:], corner)


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("shape", [(1, 4, 0, 3), (1, 4, 3, 0)])
def test_no_cells(curve, shape):
    made = curve.predict(stretch(np.zeros(shape), np.arange(4.0), np.array([1.5])), {})
    assert made.shape == (1, 1, *shape[2:])
