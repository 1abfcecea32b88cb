"""Where the sun stands, and what it has done."""

from __future__ import annotations

import numpy as np
import pytest

from xgeoml.models import _sun

JUNE, MARCH = 172 / 365.25, 80 / 365.25


def _at(day: float, season: float, lat: float, lon: float) -> np.ndarray:
    return _sun.responses(day, season, np.array([[lat]]), np.array([[lon]]))[:, 0, 0]


def test_noon_on_the_equator_is_overhead():
    assert _at(0.5, MARCH, 0.0, 0.0)[0] == pytest.approx(1.0, abs=0.02)
    assert _at(0.0, MARCH, 0.0, 0.0)[0] == pytest.approx(0.0, abs=1e-3)


def test_noon_comes_earlier_in_the_east():
    assert _at(0.25, MARCH, 0.0, 90.0)[0] == pytest.approx(_at(0.5, MARCH, 0.0, 0.0)[0], abs=1e-3)


def test_no_night_in_polar_summer():
    assert min(_at(h / 24, JUNE, 80.0, 0.0)[0] for h in range(24)) > 0.2
    assert max(_at(h / 24, JUNE, -80.0, 0.0)[0] for h in range(24)) == pytest.approx(0.0, abs=1e-3)


def test_memory_delays_and_flattens():
    hours = np.arange(0, 24, 0.5)
    series = np.array([_at(h / 24, MARCH, 40.0, 0.0) for h in hours])
    peaks = hours[series.argmax(0)]
    assert peaks[0] < peaks[1] < peaks[2]
    ranges = np.ptp(series, axis=0)
    assert ranges[0] > ranges[1] > ranges[2]
    # What comes in, in a day, is the same.
    np.testing.assert_allclose(series.mean(0), series.mean(0)[0], atol=0.01)


def test_solar_time_counts_longitude_and_the_equation_of_time():
    greenwich = _sun.solar_time(0.5, 0.0, np.array([0.0, 180.0, -90.0]))
    np.testing.assert_allclose(greenwich, [0.4973, 0.9973, 0.2473], atol=2e-3)
    # Early in November the sun is a quarter of an hour ahead of the clock.
    assert _sun.solar_time(0.5, 307 / 365.25, np.zeros(1))[0] > 0.51


def test_noon_is_never_below_the_horizon():
    assert _sun.noon_height(JUNE, np.array([-85.0]))[0] == 0.0
    assert _sun.noon_height(JUNE, np.array([23.44]))[0] == pytest.approx(1.0, abs=1e-3)
