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


def shared(fine, size):
    """Return the length that each cell, 1 wide, shares with each of the fine ones."""
    edges = np.concatenate([[fine[0] - (fine[1] - fine[0]) / 2], (fine[1:] + fine[:-1]) / 2])
    edges = np.append(edges, 2 * fine[-1] - edges[-1])
    cells = np.arange(size)[:, None]
    low, high = np.maximum(edges[:-1], cells - 0.5), np.minimum(edges[1:], cells + 0.5)
    return np.maximum(high - low, 0.0)


@pytest.mark.parametrize("minimum", [None, 0])
def test_means_stay_on_a_grid_that_does_not_divide_the_cells(rain, minimum):
    lat, lon = -0.5 + 0.4 * (0.5 + np.arange(20)), -0.5 + 0.36 * (0.5 + np.arange(25))
    other = xr.DataArray(np.zeros((20, 25)), {"lat": lat, "lon": lon}, ("lat", "lon"))
    rain = rain * 10.0 ** xr.DataArray(np.arange(5.0) - 4.0, dims="time")

    def finer(data):
        return data.geoml.downscale(like=other, conserve="mean", minimum=minimum)

    made = finer(rain)
    rows, columns = shared(lat, 8), shared(lon, 9)
    mean = rows @ made.values @ columns.T / np.outer(rows.sum(1), columns.sum(1))
    assert (
        np.abs((mean - rain.values) / rain.std(("lat", "lon")).values[:, None, None]).max() < 1e-3
    )
    assert (float(made.min()) >= 0.0) == (minimum == 0)
    np.testing.assert_array_equal(finer(rain[:1]), made[:1])  # nothing of the steps beside it
