"""The smallest value that there can be: rain does not fall below 0."""

import numpy as np
import pytest
import xarray as xr

from xgeoml.engine.regrid import conserve
from xgeoml.exceptions import InputError


@pytest.fixture(scope="module")
def rain():
    rng = np.random.default_rng(3)
    values = np.maximum(rng.gamma(0.4, 2.0, (5, 8, 9)) - 0.5, 0.0)
    return xr.DataArray(
        values, dims=("time", "lat", "lon"), coords={"lat": np.arange(8.0), "lon": np.arange(9.0)}
    )


@pytest.mark.parametrize("model", ["bicubic", "conservative", "auto"])
def test_nothing_is_below_it_and_means_stay(rain, model):
    free = rain.geoml.downscale(3, model)
    assert float(free.min()) < -0.01  # or there were nothing to do
    held = rain.geoml.downscale(3, model, minimum=0)
    assert float(held.min()) >= 0.0
    assert abs(held.coarsen(lat=3, lon=3).mean() - rain).max() < 1e-6
    dry = (rain == 0.0).to_numpy().repeat(3, 1).repeat(3, 2)
    assert (held.values[dry] == 0.0).all()


def test_what_is_far_above_it_is_left_alone(rain):
    warm = rain + 100.0
    xr.testing.assert_allclose(
        warm.geoml.downscale(3, "bicubic", minimum=0),
        warm.geoml.downscale(3, "bicubic"),
        rtol=1e-12,
    )


def test_without_means_values_are_cut_off(rain):
    free = rain.geoml.downscale(3, "bicubic", conserve=False)
    held = rain.geoml.downscale(3, "bicubic", conserve=False, minimum=0)
    np.testing.assert_array_equal(held, np.maximum(free, 0.0))


def test_missing_parts_stay_missing():
    fine = np.array([[[1.0, -1.0], [np.nan, 3.0]]])
    made = conserve(fine, np.array([[[2.0]]]), 2, np.ones((2, 2)), least=0.0)
    assert np.isnan(made[0, 1, 0])
    assert np.nanmin(made) >= 0.0
    assert np.nanmean(made) == pytest.approx(2.0)


@pytest.mark.parametrize("wrong", ["0", np.nan, True])
def test_it_is_a_number(rain, wrong):
    with pytest.raises(InputError, match=r"minimum=.*expected a number, such as 0"):
        rain.geoml.downscale(3, "bicubic", minimum=wrong)
