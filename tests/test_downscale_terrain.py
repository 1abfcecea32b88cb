"""What the map of elevation that comes with the package does for finer fields."""

import numpy as np
import pytest
import xarray as xr

import xgeoml
from xgeoml.terrain import elevation

LAT, LON = 44.0 + 0.1 * np.arange(24), 6.0 + 0.1 * np.arange(36)  # the western Alps


def over(lat, lon, steps=2):
    """Return temperatures that fall with height, and their means over 4 x 4 cells."""
    height, _ = elevation(lat, lon)
    fields = 290.0 - 0.0065 * np.nan_to_num(height) + np.arange(steps)[:, None, None]
    fine = xr.DataArray(
        fields.astype("float32"),
        {
            "time": np.datetime64("2001-01-01", "ns") + np.arange(steps) * np.timedelta64(9, "D"),
            "lat": ("lat", lat, {"units": "degrees_north"}),
            "lon": ("lon", lon, {"units": "degrees_east"}),
        },
        ("time", "lat", "lon"),
        "t2m",
    )
    return fine, fine.coarsen(lat=4, lon=4).mean(keep_attrs=True)


@pytest.fixture(scope="module")
def alps():
    return over(LAT, LON)


def rmse(made, truth):
    return float(((made - truth) ** 2).mean() ** 0.5)


def test_heights_show_in_the_result_and_in_its_history(alps):
    fine, coarse = alps
    made, flat = coarse.geoml.downscale(4), coarse.geoml.downscale(4, terrain=False)
    assert rmse(made, fine) < 0.5 * rmse(flat, fine)
    assert "with its map of elevation" in made.attrs["history"]
    assert "elevation" not in flat.attrs["history"]
    assert "terrain=False" in flat.attrs["history"]
    back = made.coarsen(lat=4, lon=4).mean()
    np.testing.assert_allclose(back, coarse, atol=1e-4)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_plane_comes_back_over_mountains(factor):
    lat, lon = 40.0 + 0.5 * np.arange(9), 6.0 + 0.5 * np.arange(11)
    plane = xr.DataArray(
        2.0 * lat[:, None] - 3.0 * lon,
        {"lat": ("lat", lat, {"units": "degrees_north"}), "lon": lon},
        ("lat", "lon"),
        "air",
    )
    made = plane.geoml.downscale(factor)
    assert "elevation" in made.attrs["history"]
    expected = 2.0 * made["lat"] - 3.0 * made["lon"]
    assert float(abs(made - expected).max()) < 1e-4 * float(plane.std())


def test_a_plan_tells_of_it(alps):
    _, coarse = alps
    assert "map of elevation" in repr(coarse.geoml.plan("downscale", factor=4))
    assert "elevation" not in repr(coarse.geoml.plan("downscale", "bicubic", factor=4))


def test_covariates_of_the_user_take_its_place(alps):
    fine, coarse = alps
    flat = xr.zeros_like(fine[0], dtype=float).rename("orography").drop_vars("time")
    made = coarse.geoml.downscale(4, covariates=[flat])
    assert "elevation" not in made.attrs["history"]
    np.testing.assert_allclose(made, coarse.geoml.downscale(4, terrain=False), atol=1e-4)


def test_a_network_that_was_trained_without_it_is_not_given_it():
    pytest.importorskip("lightning")
    fine, coarse = over(LAT, LON, steps=24)
    options = {"max_epochs": 1, "steps": 1, "validation": 0, "start": "subgrid"}
    own = coarse.geoml.fit("subgrid", target=fine, **options)
    made = coarse[:2].geoml.downscale(model=own)
    assert "elevation" not in made.attrs["history"]


def test_any_order_and_convention_and_curvilinear_grids(alps):
    _, coarse = alps
    made = coarse.geoml.downscale(4)
    turned = coarse[:, ::-1].assign_coords(lon=coarse.lon + 360.0)
    np.testing.assert_allclose(turned.geoml.downscale(4)[:, ::-1], made, atol=1e-4)
    lat, lon = np.meshgrid(coarse.lat, coarse.lon, indexing="ij")
    bent = coarse.drop_vars(["lat", "lon"]).rename(lat="y", lon="x")
    bent = bent.assign_coords(lat=(("y", "x"), lat), lon=(("y", "x"), lon))
    there = bent.geoml.downscale(4)
    assert "elevation" in there.attrs["history"]
    assert rmse(there.values, made.values) < 0.1


def test_chunks_and_other_grids(alps):
    _, coarse = alps
    made = coarse.geoml.downscale(4)
    lazy = coarse.chunk(time=1, lat=3, lon=2).geoml.downscale(4)
    np.testing.assert_array_equal(lazy.compute(), made)
    part = made[:, 3:17, 5:22]
    there = coarse.geoml.downscale(like=part, conserve=False)
    assert "elevation" in there.attrs["history"]
    assert rmse(there, part) < 0.3


@pytest.mark.parametrize(
    ("lat", "lon", "units"),
    [
        (-30.0 + 0.1 * np.arange(16), -120.0 + 0.1 * np.arange(16), "degrees_"),  # the Pacific
        (44.0 + 10.0 * np.arange(4), 6.0 + 10.0 * np.arange(8), "degrees_"),  # cells too large
        (1e5 * np.arange(4), 1e5 * np.arange(8), None),  # no latitude and longitude
    ],
)
def test_where_it_says_nothing_nothing_changes(lat, lon, units):
    attrs = [{"units": units + side} if units else {"units": "m"} for side in ("north", "east")]
    names = ("lat", "lon") if units else ("y", "x")
    field = xr.DataArray(
        np.random.default_rng(0).normal(280, 5, (len(lat), len(lon))).cumsum(axis=1),
        {n: (n, v, a) for n, v, a in zip(names, (lat, lon), attrs, strict=True)},
        names,
        "air",
    )
    made = field.geoml.downscale(2)
    assert "elevation" not in made.attrs["history"]
    np.testing.assert_array_equal(made, field.geoml.downscale(2, terrain=False))


def test_another_pole_is_not_taken_for_the_earths(alps):
    _, coarse = alps
    turned = coarse.rename(lat="rlat", lon="rlon")
    turned["rlat"].attrs = {"standard_name": "grid_latitude", "units": "degrees"}
    turned["rlon"].attrs = {"standard_name": "grid_longitude", "units": "degrees"}
    assert "elevation" not in turned.geoml.downscale(4).attrs["history"]
    assert "elevation" in xgeoml.downscale(coarse, 4).attrs["history"]
