"""A spread that no one asked for is not made, and the estimate is the same without it."""

from dataclasses import replace

import numpy as np
import pytest

from xgeoml.models.climatology import Climatology
from xgeoml.models.dineof import Dineof
from xgeoml.models.kalman import Kalman
from xgeoml.models.linear import Linear
from xgeoml.models.series import Series


@pytest.mark.parametrize("make", [Linear, Climatology, Dineof, Kalman])
@pytest.mark.parametrize("clouds", [False, True])
def test_the_estimate_is_the_same(make, clouds):
    random = np.random.default_rng(0)
    values = random.standard_normal((40, 3)) @ random.standard_normal((3, 120)).cumsum(axis=1)
    values += 0.3 * random.standard_normal(values.shape)
    values[:, 50:58] = np.nan
    if clouds:
        values[random.random(values.shape) < 0.3] = np.nan
    none = np.zeros((0, *values.shape))
    series = Series(values, 2000 + np.arange(120) / 12, np.ones(120, bool), none, np.ones(40))
    plain = replace(series, spread=False)
    one = make().predict(series, make().summarise(series))
    other = make().predict(plain, make().summarise(plain))
    assert np.isfinite(one.spread[:, 50:58]).all()
    np.testing.assert_array_equal(other.mean, one.mean)
    assert other.spread.shape == other.mean.shape
    assert np.isnan(other.spread).all()
