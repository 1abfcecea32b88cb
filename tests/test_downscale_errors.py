"""What is wrong with a downscaling is told in words: arguments, models, data, grids."""

import numpy as np
import pytest
import xarray as xr

import xgeoml
from xgeoml.exceptions import AxisError, InputError, ModelNotFoundError, SpecError
from xgeoml.testing import finer


@pytest.fixture
def coarse():
    """Return three steps of fields of 6 x 7 cells."""
    return finer.pairs()[0].isel(time=slice(0, 3))


def refine(obj, factor=None, model="bicubic", **options):
    return obj.geoml.downscale(factor, model, **options)


def grid(lat, lon):
    """Return an object on a grid of latitudes and longitudes."""
    return xr.DataArray(np.zeros((len(lat), len(lon))), {"lat": lat, "lon": lon}, ("lat", "lon"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "neither factor= nor like= is given; type factor=4"),
        ({"factor": 1}, "factor=1: expected a whole number, 2 to 8"),
        ({"factor": 9}, "for other ratios give the grid that is wanted, like="),
        ({"factor": 2.0}, "factor=2.0: expected a whole number"),
        ({"factor": True}, "factor=True: expected a whole number"),
        ({"factor": 2, "like": grid([41.0, 42.0], [11.0, 12.0])}, "give one of them"),
        ({"like": np.zeros(3)}, "like is a ndarray; expected a DataArray or Dataset"),
        ({"like": grid([41.0, 42.0, 43.0], [11.0, 12.0])}, "is no finer than that of the data"),
        ({"like": grid([0.0, 0.1, 0.2], [11.0, 11.1])}, "no point of like lies on the grid"),
        ({"factor": 2, "terrain": 3}, "terrain=3: expected True or False"),
        ({"factor": 2, "conserve": "sum"}, "conserve='sum': expected one of 'auto', True"),
        ({"factor": 2, "members": 0}, "members=0: expected a whole number above 0"),
        ({"factor": 2, "mask": 3}, "mask is a int; expected a variable's name"),
        ({"factor": 2, "variables": "air"}, "a DataArray is one variable already"),
    ],
)
def test_what_is_wrong_is_told(coarse, options, told):
    with pytest.raises(InputError) as caught:
        refine(coarse, **options)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("model", "options", "kind", "told"),
    [
        ("bicubik", {}, ModelNotFoundError, "'bicubic'"),
        ("linear", {}, SpecError, "it is a model for fill_gaps"),
        ("ridge", {}, SpecError, "own = coarse.geoml.fit('ridge', target=fine)"),
        ("conv_baseline", {}, SpecError, "own = coarse.geoml.fit('conv_baseline', target=fine)"),
        ("bicubic", {"members": 2}, SpecError, "it gives one answer; leave members= out"),
        ("bicubic", {"covariates": ["height"]}, SpecError, "leave them out"),
        ("bicubic", {"model_options": {"a": 1}}, SpecError, "'a': expected one of"),
        ("bicubic", {"dims": "lat"}, AxisError, "expected a mapping"),
    ],
)
def test_models_that_do_not_fit(coarse, model, options, kind, told):
    dataset = coarse.to_dataset().assign(height=coarse.isel(time=0, drop=True))
    with pytest.raises(kind) as caught:
        refine(dataset, 2, model, variables="air", **options)
    assert told in str(caught.value)


def test_data_that_do_not_fit(coarse):
    with pytest.raises(InputError, match="expected an xarray DataArray"):
        xgeoml.downscale(coarse.values, 2, "bicubic")
    with pytest.raises(InputError, match="is empty: sizes"):
        refine(coarse.isel(lat=slice(0, 0)), 2)
    with pytest.raises(InputError, match="has 1 cell; expected two or more"):
        refine(coarse.isel(lon=[0]), 2)
    with pytest.raises(AxisError, match="X"):
        refine(coarse.isel(lon=0), 2)
    with pytest.raises(InputError, match=r"did you mean.*air"):
        refine(coarse.to_dataset(), 2, variables="aim")
    with pytest.raises(InputError, match="no floating-point variable with axes Y and X"):
        refine(coarse.astype(int).to_dataset(), 2)
    with pytest.raises(InputError, match="has dtype complex64"):
        refine(coarse.astype(np.complex64), 2)


@pytest.mark.parametrize(
    "lat", [[40, 42, 41, 43, 44, 45], [40, 41, 41, 42, 43, 44], [40, 41, np.nan, 43, 44, 45]]
)
def test_coordinates_out_of_order(coarse, lat):
    odd = coarse.assign_coords(lat=np.array(lat, float))
    fine = refine(coarse, 2).isel(time=0, drop=True)
    for call in (lambda: refine(odd, 2), lambda: refine(odd, like=fine)):
        with pytest.raises(InputError, match=r"'lat' neither ascends .*sortby\('lat'\)"):
            call()


def test_covariates_that_a_model_has_no_use_for():
    coarse, fine = (fields[:8] for fields in finer.pairs())
    height, rain = fine[0].drop_vars("time").rename("height"), coarse.rename("rain")
    own = coarse.geoml.fit("ridge", target=fine, validation=0)
    with pytest.raises(SpecError, match="fitted without any: leave them out"):
        coarse.geoml.downscale(model=own, covariates=height)
    small = {"validation": 0, "max_epochs": 1, "steps": 1, "model_options": {"width": 8}}
    network = coarse.geoml.fit("conv_baseline", target=fine, **small)
    with pytest.raises(SpecError, match="fitted without any: leave them out"):
        coarse.geoml.downscale(model=network, covariates=height)
    with pytest.raises(SpecError, match=r"takes fields without a time axis on a fine grid") as told:
        coarse.geoml.downscale(2, covariates=[height, rain])
    assert "covariates=['rain']" in str(told.value)
    with pytest.raises(SpecError, match="takes fields without a time axis on a fine grid"):
        coarse.geoml.fit("subgrid", target=fine, covariates=rain)


def test_a_static_covariate_that_is_no_finer_than_the_data():
    coarse, fine = (fields[:8] for fields in finer.pairs())
    height = coarse[0].drop_vars("time").rename("height")
    for call in (
        lambda: coarse.geoml.downscale(2, covariates=height),
        lambda: coarse.geoml.fit("conv_baseline", target=fine, covariates=height),
    ):
        with pytest.raises(InputError, match=r"'height' has .* no finer than the data"):
            call()


def test_a_covariate_of_one_step_on_a_fine_grid_is_a_fixed_field(coarse):
    height = refine(coarse, 2)[0].rename("height")
    alone = coarse.geoml.downscale(2, covariates=height.drop_vars("time"))
    np.testing.assert_array_equal(
        coarse.geoml.downscale(2, covariates=height.expand_dims("time")), alone
    )


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32])
def test_masks_of_whole_numbers(coarse, dtype):
    mask = refine(coarse, 2)[0] > 281.0
    made = refine(coarse, 2, mask=mask.astype(dtype))
    np.testing.assert_array_equal(made[0].notnull(), mask)


def test_points_need_a_place(coarse):
    fine = refine(coarse, 2).isel(time=0, drop=True)
    with pytest.raises(InputError, match="expected latitude and longitude of both"):
        refine(coarse, like=fine.drop_vars(["lat", "lon"]))
    with pytest.raises(InputError, match="expected latitude and longitude of both"):
        refine(coarse.drop_vars(["lat", "lon"]), like=fine)
    bare = fine.drop_vars(["lat", "lon"]).rename("height")
    with pytest.raises(InputError, match="covariate 'height' no latitude and longitude, but 'lat'"):
        coarse.geoml.downscale(2, covariates=bare)
    far = fine.rename("height").assign_coords(lat=fine["lat"] - 90.0)
    with pytest.raises(InputError, match="no point of the result lies on the grid of covariate"):
        coarse.geoml.downscale(2, covariates=far)


def test_a_curved_grid_of_one_column(coarse):
    lat, lon = np.meshgrid(coarse.lat.values, coarse.lon.values[:1], indexing="ij")
    row = coarse.isel(lon=[0]).drop_vars(["lat", "lon"]).rename(lat="y", lon="x")
    row = row.assign_coords(lat=(("y", "x"), lat), lon=(("y", "x"), lon))
    for call in (row.geoml.downscale, lambda **k: row.geoml.plan("downscale", **k)):
        with pytest.raises(InputError, match=r"6 x 1 cells; expected two or more"):
            call(model="bicubic", like=grid([41.0, 42.0], [11.0, 12.0]))
