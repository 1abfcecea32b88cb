"""Fields on finer grids: factors, other objects' grids, masks, means, metadata, errors."""

import warnings

import numpy as np
import pytest
import xarray as xr

import xgeoml
from xgeoml.exceptions import AxisError, InputError
from xgeoml.testing import finer


@pytest.fixture
def coarse():
    """Return three steps of fields of 6 x 7 cells."""
    return finer.pairs()[0].isel(time=slice(0, 3))


def refine(obj, factor=None, model="bicubic", **options):
    return obj.geoml.downscale(factor, model, **options)


def grid(lat, lon, **attrs):
    """Return an object on a grid of latitudes and longitudes."""
    shape = len(lat), len(lon)
    return xr.DataArray(np.zeros(shape), {"lat": lat, "lon": lon}, ("lat", "lon"), attrs=attrs)


def blocks(fine, factor):
    return fine.coarsen(lat=factor, lon=factor).mean()


def rises(made):
    """Return the plane of `finer.plane` at the first step, from the coordinates of the result."""
    return (280.0 + made["lat"] - 0.7 * made["lon"]).transpose(*made.dims)


@pytest.mark.parametrize("factor", range(2, 9))
def test_cells_are_divided(coarse, factor):
    made = refine(coarse, factor)
    assert made.sizes == {"time": 3, "lat": 6 * factor, "lon": 7 * factor}
    means = blocks(made, factor)
    xr.testing.assert_allclose(means, coarse, rtol=1e-6)
    for name in ("lat", "lon"):
        np.testing.assert_allclose(np.diff(made[name]), 1.0 / factor, rtol=1e-9)


@pytest.mark.parametrize("model", ["nearest", "bilinear", "bicubic", "conservative"])
def test_models_say_something_of_their_own(coarse, model):
    made = refine(coarse, 2, model)
    repeated = finer.repeated(coarse)
    assert (np.abs(made - repeated).max() > 0.3) == (model != "nearest")


def test_a_field_without_time_and_one_with_levels(coarse):
    alone = refine(coarse.isel(time=1, drop=True), 2)
    assert alone.dims == ("lat", "lon")
    xr.testing.assert_equal(alone, refine(coarse, 2).isel(time=1, drop=True))
    levels = xr.concat([coarse, 2 * coarse], xr.DataArray([850, 500], dims="level"))
    made = refine(levels.transpose("lat", "level", "time", "lon"), 2)
    assert made.dims == ("lat", "level", "time", "lon")
    np.testing.assert_allclose(
        made.sel(level=500).transpose(*coarse.dims).values, 2 * refine(coarse, 2).values, rtol=1e-6
    )


def test_the_grid_of_another_object_at_no_whole_ratio(coarse):
    plane = finer.plane(coarse).isel(time=0)
    like = grid(np.linspace(40.6, 45.4, 17), np.linspace(10.7, 16.2, 23)[::-1])
    for model in ("bilinear", "bicubic", "conservative"):
        made = refine(plane, model=model, like=like)
        np.testing.assert_array_equal(made["lon"], like["lon"])
        np.testing.assert_allclose(made, rises(made), rtol=1e-7)


def test_points_far_beyond_the_edge_are_missing(coarse):
    plane = finer.plane(coarse).isel(time=0)
    like = grid(np.arange(38.1, 50.0, 0.3), np.arange(12.0, 30.0, 0.3))
    made = refine(plane, model="bicubic", like=like)
    first, last = 40.5 - 1.0, 45.5 + 1.0  # the outermost centres, half a cell, and another half
    lat = (like["lat"] > first - 1e-6) & (like["lat"] < last + 1e-6)
    inside = lat & (like["lon"] < 17.5 + 1e-6)
    xr.testing.assert_equal(made.notnull(), inside.transpose(*made.dims))
    np.testing.assert_allclose(made.where(inside), rises(made).where(inside), rtol=1e-7)


def test_the_parts_of_all_cells_are_the_same_by_factor_and_by_grid(coarse):
    expected = refine(coarse, 4)
    for like in (expected, expected.isel(time=0), expected.to_dataset(name="x")):
        xr.testing.assert_equal(refine(coarse, like=like).reset_coords(drop=True), expected)
    turned = expected.isel(lat=slice(None, None, -1))
    for data in (coarse, coarse.isel(lat=slice(None, None, -1))):
        made = refine(data, like=turned)
        assert made["lat"].equals(turned["lat"])
        xr.testing.assert_equal(made.isel(lat=slice(None, None, -1)), expected)


def test_longitudes_may_be_counted_in_two_ways(coarse):
    expected = refine(coarse, 2)
    west = expected.assign_coords(lon=expected["lon"] - 360.0)
    made = refine(coarse, like=west)
    np.testing.assert_array_equal(made["lon"], west["lon"])
    np.testing.assert_array_equal(made, expected)


def test_longitudes_with_a_jump_at_greenwich(coarse):
    jump = (np.arange(7) + 357.0) % 360.0
    made = refine(coarse.assign_coords(lon=jump), 2)
    np.testing.assert_array_equal(made, refine(coarse, 2))
    np.testing.assert_allclose(made["lon"], (np.arange(14) * 0.5 + 356.75) % 360.0)


def test_a_grid_around_the_earth_has_no_seam():
    data = finer.wide(around=True)
    made = refine(data, 3, "conservative")
    rolled = refine(data.roll(lon=5, roll_coords=False), 3, "conservative")
    np.testing.assert_allclose(rolled, made.roll(lon=15, roll_coords=False), rtol=1e-6)
    like = grid(np.linspace(-15.0, -2.0, 20), np.linspace(-179.0, 179.0, 100))
    there = refine(data, model="bilinear", like=like)
    assert bool(there.notnull().all())
    cells = np.linspace(-180.0, 180.0, 97)
    kept = grid(np.linspace(-21.0, 1.0, 23), 0.5 * (cells[1:] + cells[:-1]))
    kept = refine(data.isel(time=0, drop=True), model="bilinear", like=kept, conserve="mean")
    shifted = kept.roll(lon=2, roll_coords=False)  # the first coarse cell begins at -187.5
    means = shifted.values.reshape(23, 24, 4).mean(-1)
    rows = means[:21].reshape(7, 3, 24).mean(1)
    expected = data.isel(time=0).roll(lon=12, roll_coords=False).values[:7]
    assert float(np.abs(rows - expected).max()) < 1e-3
    seam = refine(data, model="bilinear", like=grid(like["lat"].values, [-4.0, -1.0, 2.0]))
    west, east = data.sel(lon=345.0).values, data.sel(lon=0.0).values
    assert np.ptp(seam.values, axis=-1).max() < np.abs(east - west).max()


def test_a_curvilinear_grid_is_divided(coarse):
    data = finer.turned(finer.plane(coarse))
    made = refine(data, 3)
    assert made.dims == ("time", "y", "x")
    fine = finer.turned(
        made.drop_vars(["lat", "lon"])
        .rename(y="lat", x="lon")
        .assign_coords(lat=np.arange(18), lon=np.arange(21)),
        3,
    )
    for name in ("lat", "lon"):
        np.testing.assert_allclose(made[name], fine[name], atol=1e-9)
    slope = float(data[0, 1, 0] - data[0, 0, 0])
    np.testing.assert_allclose(made.diff("y").isel(time=0), slope / 3, atol=1e-6)


def test_points_of_a_curvilinear_grid(coarse):
    rows, columns = np.meshgrid(np.linspace(41, 45, 12), np.linspace(11, 16, 15), indexing="ij")
    like = xr.DataArray(
        np.zeros(rows.shape),
        {
            "lat": (("y", "x"), rows + 0.02 * columns),
            "lon": (("y", "x"), columns - 0.05 * (rows - 41)),
        },
        ("y", "x"),
    )
    plane = finer.plane(coarse).isel(time=0)
    made = refine(plane, model="bicubic", like=like)
    assert made.dims == ("y", "x")
    np.testing.assert_allclose(made, 280.0 + like["lat"] - 0.7 * like["lon"], rtol=1e-6)


def test_from_a_curvilinear_grid_to_a_regular_one(coarse):
    data = finer.turned(coarse).isel(time=0)
    data = data.copy(data=280.0 + data["lat"] - 0.7 * data["lon"])
    like = grid(np.arange(41.5, 44.6, 0.3), np.arange(11.0, 15.0, 0.3))
    made = refine(data, model="bicubic", like=like)
    assert made.dims == ("lat", "lon")
    assert made.notnull().mean() > 0.9
    off = np.abs(made - (280.0 + made["lat"] - 0.7 * made["lon"]))
    assert float(off.max()) < 0.01


def metres(data, step=1e5):
    made = data.rename(lat="y", lon="x").drop_vars(["y", "x"])
    attrs = {"units": "m"}
    return made.assign_coords(
        y=("y", step * np.arange(data.sizes["lat"]), {**attrs, "axis": "Y"}),
        x=("x", step * np.arange(data.sizes["lon"]), {**attrs, "axis": "X"}),
    )


def test_a_projection_in_metres(coarse):
    data = metres(coarse)
    made = refine(data, 4)
    np.testing.assert_array_equal(made, refine(coarse, 4))
    np.testing.assert_allclose(made["x"], 1e5 * ((np.arange(28) + 0.5) / 4 - 0.5), atol=1e-6)
    like = made.isel(y=slice(3, 20), x=slice(2, 25))
    there = refine(data, model="bicubic", like=like)
    free = refine(data, 4, conserve=False).isel(y=slice(3, 20), x=slice(2, 25))
    xr.testing.assert_allclose(there, free, rtol=1e-6)
    feet = like.assign_coords(x=like["x"].assign_attrs(units="km"))
    with pytest.raises(InputError, match="coordinates of one map projection"):
        refine(data, like=feet)
    with pytest.raises(InputError, match="expected latitude and longitude of both"):
        refine(data, like=refine(coarse, 4))


def test_grids_without_coordinates(coarse):
    bare = coarse.drop_vars(["lat", "lon"])
    made = refine(bare, 2)
    np.testing.assert_array_equal(made, refine(coarse, 2))
    assert "lat" not in made.coords


def test_missing_cells_and_a_mask_of_what_gets_a_value(coarse):
    holes = coarse.copy()
    holes[:, 2, 3] = np.nan
    made = refine(holes, 2)
    assert int(made[0].isnull().sum()) == 4
    mask = refine(coarse, 2).isel(time=0, drop=True) > 281.0
    covered = refine(holes, 2, mask=mask)
    xr.testing.assert_equal(covered.notnull(), mask.broadcast_like(covered).transpose(*made.dims))
    assert bool(np.isfinite(covered.where(mask, 0.0)).all())
    named = holes.to_dataset(name="air").assign(land=mask.rename(lat="y", lon="x"))
    by_name = refine(named.drop_vars("land").assign(land=mask.values.any()), 2)
    assert set(by_name.data_vars) == {"air", "land"}


def test_a_mask_may_be_finer_or_elsewhere(coarse):
    finest = refine(coarse, 8).isel(time=0, drop=True)
    mask = (finest["lat"] > 43.0) & (finest["lon"] > 0.0)
    made = refine(coarse, 2, mask=mask)
    xr.testing.assert_equal(
        made.notnull().isel(time=0, drop=True), (made["lat"] > 43.0) & (made["lon"] > 0.0)
    )
    turned = refine(coarse.isel(lat=slice(None, None, -1)), 2, mask=mask)
    xr.testing.assert_equal(turned.isel(lat=slice(None, None, -1)), made)
    with pytest.raises(InputError, match=r"mask has dtype float64.*compare first"):
        refine(coarse, 2, mask=finest.astype(float))
    shares = mask.astype(float).where(mask)
    xr.testing.assert_equal(refine(coarse, 2, mask=shares), made)
    with pytest.raises(InputError, match="expected the two to overlap"):
        refine(coarse, 2, mask=mask.assign_coords(lat=mask["lat"] - 90.0))


def test_covariates_follow_the_order_of_the_data(coarse):
    # A model of tiles that takes covariates hands the engine what it was given.
    spec = xgeoml.get_model("nearest").replace(
        name="adds", factory="test_downscale:Adds", covariates=True
    )
    height = refine(coarse, 2).isel(time=0, drop=True).rename("height")
    height = height.copy(data=np.random.default_rng(0).random(height.shape))
    made = refine(coarse, 2, spec, covariates=[height], conserve=False)
    np.testing.assert_allclose(made, finer.repeated(coarse) + height.values, rtol=1e-6)
    back = {"lat": slice(None, None, -1), "lon": slice(None, None, -1)}
    for given in (height, height.isel(back)):
        turned = refine(coarse.isel(back), 2, spec, covariates=[given], conserve=False)
        xr.testing.assert_allclose(turned.isel(back), made, rtol=1e-6)
    like = made.isel(time=0, drop=True).isel(lat=slice(None, None, -1))
    there = refine(coarse, model=spec, like=like, covariates=[height], conserve=False)
    xr.testing.assert_allclose(there.isel(lat=slice(None, None, -1)), made, rtol=1e-6)
    moving = coarse.rename("rain")
    with pytest.raises(InputError, match="change in time"):
        refine(coarse.isel(time=0), 2, spec, covariates=[moving])


class Adds:
    """Adds its static covariates to the values of the cells."""

    def predict(self, window, state):
        rows, columns = window.halo[1:]
        own = window.value[:, rows : -rows or None, columns : -columns or None]
        factor = window.placement.factor
        return own.repeat(factor, 1).repeat(factor, 2) + window.fine.sum(0)


def test_means_are_kept_as_is_asked(coarse):
    data = coarse.astype(np.float64)
    weight = np.cos(np.deg2rad(refine(data, 3)["lat"]))
    plain, area = (refine(data, 3, conserve=c) for c in ("mean", True))
    xr.testing.assert_equal(refine(data, 3), plain)
    xr.testing.assert_equal(refine(data, 3, conserve="area"), area)
    np.testing.assert_allclose(blocks(plain, 3), data, rtol=1e-12)
    weighted = blocks(area * weight, 3) / blocks(weight.broadcast_like(area), 3)
    np.testing.assert_allclose(weighted.transpose(*data.dims), data, rtol=1e-12)
    assert float(np.abs(blocks(area, 3) - data).max()) > 1e-4
    free = refine(data, 3, conserve=False)
    assert float(np.abs(blocks(free, 3) - data).max()) > 1e-3


def test_means_on_a_grid_that_does_not_nest(coarse):
    data = coarse.astype(np.float64)
    like = grid(np.linspace(40.0, 46.0, 38)[1::2], np.linspace(10.0, 17.0, 46)[1::2])
    free = refine(data, model="bilinear", like=like)
    kept = refine(data, model="bilinear", like=like, conserve="mean")
    assert bool(kept.notnull().all())

    cells = [
        np.maximum(
            np.minimum.outer(d.values + 0.5, f.values + 0.5 * width)
            - np.maximum.outer(d.values - 0.5, f.values - 0.5 * width),
            0.0,
        )
        for d, f, width in (
            (data["lat"], like["lat"], 12 / 37),
            (data["lon"], like["lon"], 14 / 45),
        )
    ]
    whole = [np.isclose(c.sum(1), 1.0) for c in cells]
    assert [int(w.sum()) for w in whole] == [6, 7]

    def off(made):
        means = cells[0] @ made.values @ cells[1].T
        return float(np.abs(means - data.values)[:, whole[0]][..., whole[1]].max())

    assert off(kept) < 1e-4
    assert off(free) > 1e-2
    with pytest.raises(InputError, match=r"means are kept where the axes.*type conserve=False"):
        refine(finer.turned(coarse), like=like, conserve="area")


def test_bounds_and_what_cannot_be_refined(coarse):
    lat = coarse["lat"].values
    data = coarse.assign_coords(
        cell_area=(("lat", "lon"), np.ones((6, 7))), name=("lat", list("abcdef"))
    ).to_dataset()
    data["lat_bnds"] = (("lat", "bnds"), np.stack([lat - 0.5, lat + 0.5], 1))
    data["lat"].attrs["bounds"] = "lat_bnds"
    data["count"] = (("lat", "lon"), np.ones((6, 7), int))
    data["crs"] = ((), 0, {"grid_mapping_name": "latitude_longitude"})
    data["air"].attrs |= {"grid_mapping": "crs", "cell_measures": "area: cell_area"}
    with pytest.warns(UserWarning, match="left out") as told:
        made = refine(data, 2)
    text = str(told[0].message)
    assert all(name in text for name in ("cell_area", "'name'", "count"))
    assert list(made.data_vars) == ["air", "lat_bnds", "crs"]
    np.testing.assert_allclose(made["lat_bnds"].mean("bnds"), made["lat"], rtol=1e-12)
    np.testing.assert_allclose(made["lat_bnds"][1:, 0], made["lat_bnds"][:-1, 1], rtol=1e-12)
    assert made["air"].attrs["grid_mapping"] == "crs"
    assert "cell_measures" not in made["air"].attrs, "it points to what is left out"


def test_the_grid_given_brings_its_coordinates_and_projection(coarse):
    like = metres(refine(coarse, 2)).isel(time=0, drop=True).to_dataset(name="height")
    rows, columns = np.meshgrid(refine(coarse, 2)["lat"], refine(coarse, 2)["lon"], indexing="ij")
    like = like.assign_coords(lat=(("y", "x"), rows), lon=(("y", "x"), columns))
    like["x_bnds"] = (("x", "nv"), np.stack([like["x"] - 2.5e4, like["x"] + 2.5e4], 1))
    like["x"].attrs["bounds"] = "x_bnds"
    like["crs"] = ((), 0, {"grid_mapping_name": "lambert_conformal_conic"})
    like["height"].attrs["grid_mapping"] = "crs"
    made = refine(coarse.to_dataset(), like=like)
    assert made["air"].dims == ("time", "y", "x")
    assert made["air"].attrs["grid_mapping"] == "crs"
    assert {"lat", "lon", "x", "y"} <= set(made.coords)
    assert {"crs", "x_bnds"} <= set(made.variables)
    assert "height" not in made
    np.testing.assert_allclose(made["air"], refine(coarse, 2), rtol=1e-5)
    # Bounds of the old grid go with it, without a word.
    data = coarse.to_dataset().assign(lat_bnds=(("lat", "nv"), np.zeros((6, 2))))
    data["lat"].attrs["bounds"] = "lat_bnds"
    again = refine(data, like=like)
    assert set(again.variables) == set(made.variables)


def test_several_variables_of_a_dataset_and_a_tree(coarse):
    data = xr.Dataset({"air": coarse, "sea": coarse + 1.0, "series": coarse.mean(["lat", "lon"])})
    made = refine(data, 2)
    assert {n: v.sizes["lat"] for n, v in made.data_vars.items() if "lat" in v.dims} == {
        "air": 12,
        "sea": 12,
    }
    assert made["series"].identical(data["series"])
    with pytest.warns(UserWarning, match="variables \\['air'\\], which were not downscaled"):
        one = refine(data, 2, variables="sea")
    assert set(one.data_vars) == {"sea", "series"}
    assert one["sea"].identical(made["sea"])
    tree = xr.DataTree.from_dict({"/": data[["series"]], "/a": data[["air"]], "/b": data[["sea"]]})
    grown = refine(tree, 2)
    assert grown["/a/air"].sizes["lat"] == grown["/b/sea"].sizes["lat"] == 12
    np.testing.assert_array_equal(grown["/a/air"], made["air"])
    below = xr.Dataset({"row": ("lat", np.arange(6.0)), "number": 5})
    with pytest.warns(UserWarning, match=r"left out: variables \['row'\] of a group"):
        grown = refine(xr.DataTree.from_dict({"/": data[["air"]], "/c": below}), 2)
    assert grown["/air"].sizes["lat"] == 12
    assert int(grown["/c/number"]) == 5


def test_what_has_no_part_in_it_stays(coarse):
    data = coarse.to_dataset().assign_coords(station=[3, 5], run=7)
    assert set(refine(data, 2).coords) == {"time", "lat", "lon", "station", "run"}
    height = refine(coarse, 3).isel(time=0, drop=True).rename(lat="y", lon="x").rename("height")
    tree = xr.DataTree.from_dict({"/": height.to_dataset(), "/a": coarse.to_dataset()})
    made = tree.geoml.downscale(2, covariates="height", variables="air")
    np.testing.assert_array_equal(made["/a/air"], coarse.geoml.downscale(2, covariates=height))
    assert made["/height"].identical(height)
    both = tree.geoml.downscale(2, "bicubic")  # their grids have nothing in common
    assert (both["/height"].sizes["y"], both["/a/air"].sizes["lat"]) == (36, 12)


def test_history_and_encoding(coarse, tmp_path):
    coarse.encoding = {"dtype": "int16", "scale_factor": 0.1, "zlib": True, "chunksizes": (1, 6, 7)}
    coarse["lat"].encoding = {"dtype": "int32", "_FillValue": -1}
    made = refine(coarse.to_dataset(), 2)
    assert "downscale(factor=2, model='bicubic')" in made.attrs["history"]
    assert "air by bicubic@1.0" in made.attrs["history"]
    assert made["air"].encoding == {"zlib": True}
    assert "dtype" not in made["lat"].encoding
    pytest.importorskip("netCDF4")
    made.to_netcdf(tmp_path / "made.nc")
    with xr.open_dataset(tmp_path / "made.nc") as again:
        xr.testing.assert_allclose(again, made)
    with xgeoml.set_options(keep_history=False):
        assert "history" not in refine(coarse, 2).attrs


def test_lazy_data_stay_lazy_and_the_input_is_kept(coarse):
    before = coarse.copy(deep=True)
    lazy = refine(coarse.chunk(time=1, lat=3), 2, mask=refine(coarse, 2)[0].drop_vars("time") > 0)
    assert lazy.chunks is not None
    np.testing.assert_array_equal(lazy.compute(), refine(coarse, 2))
    assert coarse.identical(before)


def test_real_files_look_like_this(coarse):
    """As those of ERA5: names, scalars, latitude from the north, a label along time."""
    era = coarse.rename(time="valid_time", lat="latitude", lon="longitude")
    era = era.isel(latitude=slice(None, None, -1)).assign_coords(
        number=0, surface=0.0, expver=("valid_time", ["0001", "0001", "0005"])
    )
    era["latitude"] = era["latitude"].astype(np.float32).assign_attrs(units="degrees_north")
    made = refine(era, 4)
    assert made["latitude"].dtype == np.float32
    assert set(made.coords) == set(era.coords)
    assert made["expver"].identical(era["expver"].drop_vars([])) or made["expver"].equals(
        era["expver"]
    )
    np.testing.assert_array_equal(made[:, ::-1], refine(coarse, 4))
    packed = (era * 100).round().astype(np.int16).assign_attrs(scale_factor=0.01)
    assert refine(packed, 2).dtype == np.float64


def test_dims_may_be_named(coarse):
    odd = coarse.drop_vars(["lat", "lon"]).rename(lat="a", lon="b")
    with pytest.raises(AxisError):
        refine(odd, 2)
    dims = {"Y": "a", "X": "b"}
    made = refine(odd, 2, dims=dims)
    np.testing.assert_array_equal(made, refine(coarse, 2))
    # What is given beside the data has the same dims.
    odd = odd.assign_coords(a=np.arange(6.0), b=np.arange(7.0))
    made = refine(odd, 2, dims=dims)
    one = made.isel(time=0, drop=True)
    np.testing.assert_allclose(odd.geoml.downscale(like=one, model="bicubic", dims=dims), made)
    masked = refine(odd, 2, dims=dims, mask=one > one.mean())
    assert (masked.notnull() == (one > one.mean())).all()
    beside = odd.geoml.downscale(2, covariates=[one], dims=dims)
    assert not np.allclose(beside, odd.geoml.downscale(2, dims=dims))


def test_a_curvilinear_grid_may_have_no_place_on_land(coarse):
    data = finer.turned(coarse)
    expected = refine(data, 2)
    lat = data["lat"].values.copy()
    lat[:2, 0] = np.nan
    made = refine(data.assign_coords(lat=(("y", "x"), lat)), 2)
    np.testing.assert_array_equal(made, expected)
    known = made["lat"].notnull()
    assert int((~known).sum()) == 15, "parts that lie between a cell with a place and one without"
    np.testing.assert_allclose(made["lat"].values[known], expected["lat"].values[known])


def test_nothing_else_is_warned_of(coarse):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        holes = coarse.where(coarse > 281.0)
        holes[1] = np.nan
        refine(holes, 2)
        refine(holes.chunk(time=1), 3, conserve=True).compute()
        refine(holes, like=grid(np.arange(38.0, 50.0, 0.3), np.arange(12.0, 30.0, 0.3)))
        refine(
            holes,
            like=grid(np.arange(42.1, 44.0, 0.3), np.arange(12.0, 15.0, 0.3)),
            conserve="mean",
        )


@pytest.mark.parametrize("step", [1, -1])
def test_static_covariates_on_another_grid(step):
    truth = xgeoml.datasets.mountain_temperature(steps=2)
    coarse = truth["t2m"].coarsen(lat=4, lon=4).mean().isel(lat=slice(None, None, step))
    like = xr.DataArray(
        np.zeros((27, 31)),
        dims=("lat", "lon"),
        coords={"lat": np.linspace(42.2, 45.6, 27)[::-1], "lon": np.linspace(4.2, 8.4, 31)},
    )
    there = truth["t2m"].interp(lat=like["lat"], lon=like["lon"])
    plain, high = (
        coarse.geoml.downscale(like=like, covariates=c) for c in (None, truth["orography"])
    )
    assert high.sizes == plain.sizes
    assert ((high - there) ** 2).mean() < 0.7 * ((plain - there) ** 2).mean()
