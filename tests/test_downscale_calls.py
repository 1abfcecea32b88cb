"""Other ways to ask for finer fields: the command line, a plan, a network that was trained here."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

import xgeoml
from xgeoml import cli
from xgeoml.exceptions import InputError, TimeAxisError
from xgeoml.testing import finer


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    pytest.importorskip("netCDF4")
    folder = tmp_path_factory.mktemp("fields")
    truth = xgeoml.datasets.mountain_temperature(steps=12)
    truth.to_netcdf(folder / "fine.nc")
    truth[["t2m"]].coarsen(lat=4, lon=4).mean().to_netcdf(folder / "coarse.nc")
    return folder


def run(*arguments):
    return CliRunner().invoke(cli.main, [str(a) for a in arguments])


def test_a_file_by_a_factor(files, tmp_path):
    out = tmp_path / "out.nc"
    done = run("downscale", files / "coarse.nc", "--factor", 2, "--model", "bicubic", "--out", out)
    assert done.exit_code == 0, done.output
    with xr.open_dataset(files / "coarse.nc") as coarse, xr.open_dataset(out) as made:
        xr.testing.assert_allclose(made.t2m, coarse.geoml.downscale(2, "bicubic").t2m)


def test_a_file_like_another_with_a_covariate_and_a_mask(files, tmp_path):
    out, fine = tmp_path / "out.nc", files / "fine.nc"
    options = ["--covariates", f"{fine}:orography", "--conserve", "no", "--minimum", "280"]
    done = run("downscale", files / "coarse.nc", "--like", fine, *options, "--out", out)
    assert done.exit_code == 0, done.output
    with (
        xr.open_dataset(files / "coarse.nc") as coarse,
        xr.open_dataset(fine) as truth,
        xr.open_dataset(out) as made,
    ):
        expected = coarse.t2m.geoml.downscale(
            like=truth, covariates=truth.orography, conserve=False, minimum=280
        )
        np.testing.assert_allclose(made.t2m, expected, rtol=1e-6)
        assert float(made.t2m.min()) == 280.0


def test_a_file_without_the_map_of_elevation(files, tmp_path):
    made = {}
    for option in ("--terrain", "--no-terrain"):
        out = tmp_path / f"out{option}.nc"
        done = run("downscale", files / "coarse.nc", "--factor", 2, option, "--out", out)
        assert done.exit_code == 0, done.output
        with xr.open_dataset(out) as dataset:
            made[option] = dataset.attrs["history"]
    assert "map of elevation" in made["--terrain"]
    assert "map of elevation" not in made["--no-terrain"]


def test_a_model_fitted_and_used(files, tmp_path):
    own, out = tmp_path / "own.safetensors", tmp_path / "out.nc"
    coarse, target = files / "coarse.nc", f"{files / 'fine.nc'}:t2m"
    fitted = run("fit", "delta", coarse, "--target", target, "--out", own)
    assert fitted.exit_code == 0, fitted.output
    done = run("downscale", coarse, "--model", own, "--out", out)
    assert done.exit_code == 0, done.output
    with xr.open_dataset(files / "fine.nc") as truth, xr.open_dataset(out) as made:
        assert made.t2m.sizes == truth.t2m.sizes
        assert float(abs(made.t2m - truth.t2m).mean()) < 1.0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--out", "out.txt"], "ends in .nc or .zarr"),
        (["--out", "out.nc", "--covariates", "{fine}:height"], "no 'height'"),
        (["--out", "out.nc"], "--factor 4"),
        (["--out", "out.nc", "--factor", "9"], "expected a whole number, 2 to 8"),
        (["--out", "{fine}", "--like", "{fine}"], "is one of the files that are read"),
        (["--out", "{fine}", "--factor", "4", "--mask", "{fine}:land"], "files that are read"),
    ],
)
def test_a_wrong_call_says_what_to_type(files, tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    given = [a.format(fine=files / "fine.nc") for a in arguments]
    done = run("downscale", files / "coarse.nc", *given)
    assert done.exit_code != 0
    assert told in done.output
    assert "Traceback" not in done.output


def test_a_target_is_a_variable_of_a_file(files, tmp_path):
    out = tmp_path / "own.safetensors"
    done = run("fit", "delta", files / "coarse.nc", "--target", "t2m", "--out", out)
    assert done.exit_code != 0
    assert "expected FILE:NAME" in done.output


def test_a_plan_says_what_the_call_does():
    coarse = xr.DataArray(
        np.zeros((5, 90, 180), np.float32),
        dims=("time", "lat", "lon"),
        coords={
            "time": np.arange("2001-01-01", "2001-01-06", dtype="datetime64[D]").astype(
                "datetime64[ns]"
            ),
            "lat": np.linspace(-89, 89, 90),
            "lon": np.arange(1.0, 360.0, 2.0),
        },
        name="air",
    )
    plan = coarse.geoml.plan("downscale", "bicubic", factor=3)
    assert plan.sizes == coarse.geoml.downscale(3, "bicubic").sizes
    assert plan.factor == 3
    assert "lon: 64 cells at a time, which see 7 around, closed around the Earth" in repr(plan)
    lazy = coarse.chunk(time=1).geoml.plan("downscale", "bicubic", factor=3)
    made = coarse.chunk(time=1).geoml.downscale(3, "bicubic")
    assert [len(c) for c in lazy.chunks] == [len(c) for c in made.chunks]
    assert 0 < lazy.memory < 1e9
    half = coarse.isel(lat=slice(0, 45))
    there = half.geoml.plan("downscale", "bicubic", like=coarse.geoml.downscale(2)[:, 3:50, 5:70])
    assert there.regrids
    assert there.sizes == {"time": 5, "lat": 47, "lon": 65}


@pytest.mark.parametrize(
    ("task", "given", "told"),
    [
        ("downscale", {"freq": "MS"}, "freq=: not of task='downscale'"),
        ("fill_gaps", {"factor": 2}, "factor=: not of task='fill_gaps'"),
        ("forecast", {}, "expected one of 'fill_gaps', 'downscale', 'interp_time'"),
    ],
)
def test_a_plan_of_something_else(task, given, told):
    coarse, _ = finer.pairs()
    with pytest.raises(InputError, match=told):
        coarse.geoml.plan(task, "auto", **given)


def test_a_plan_of_a_group_of_a_tree():
    coarse = finer.pairs()[0]
    height = finer.pairs()[1][0].drop_vars("time").rename(lat="y", lon="x")
    root = coarse.mean(["lat", "lon"]).to_dataset(name="series")
    tree = xr.DataTree.from_dict({"/": root, "/a": coarse.to_dataset()})
    assert tree.geoml.plan("downscale", factor=2).variable == "air"
    tree = xr.DataTree.from_dict({"/": root.assign(height=height), "/a": coarse.to_dataset()})
    assert tree.geoml.plan("downscale", factor=2).variable == "height"
    made = tree.geoml.plan("downscale", factor=2, variable="air", covariates="height")
    assert made.variable == "air"
    with pytest.raises(InputError, match="are in no group"):
        tree.geoml.plan("downscale", factor=2, variable="rain")


def test_a_network_on_its_own_grid_and_on_others():
    coarse, fine = finer.pairs()
    sea = fine["lon"] > fine["lon"][-3]
    spec = xgeoml.get_model("conv_baseline").with_options({"width": 4})
    own = coarse.geoml.fit(spec, target=fine.where(~sea), max_epochs=1, steps=1, validation=0)
    made = coarse.geoml.downscale(model=own)
    xr.testing.assert_identical(made.drop_attrs(), coarse.geoml.downscale(2, own).drop_attrs())
    assert (made.isnull() == sea).all()
    # With factor= the result runs as the data do, without it as the target does.
    turned = coarse.isel(lat=slice(None, None, -1), lon=slice(None, None, -1))
    there = turned.geoml.downscale(2, own)
    assert float(there["lat"][0]) == float(fine["lat"][-1])
    xr.testing.assert_allclose(there.sortby(["lat", "lon"]), made.sortby(["lat", "lon"]))
    xr.testing.assert_allclose(turned.geoml.downscale(model=own), made)
    elsewhere = coarse.assign_coords(lon=coarse["lon"] + 40.0).geoml.downscale(model=own)
    assert elsewhere.notnull().all()


def test_the_card_of_a_network_names_the_baselines():
    coarse, fine = finer.pairs()
    spec = xgeoml.get_model("conv_baseline").with_options({"width": 4})
    own = coarse.geoml.fit(spec, target=fine, max_epochs=1, steps=1, validation=0.25)
    (row,) = own.card.skill
    assert row.hidden == "the last 6 steps"
    assert list(row.values) == ["conv_baseline", "bicubic", "conservative", "delta", "ridge"]
    simple = coarse.geoml.fit("delta", target=fine, validation=0.25).card.skill[0]
    for name in ("bicubic", "conservative", "delta", "ridge"):
        assert row.values[name] == pytest.approx(simple.values[name], rel=1e-4), "the same steps"


@pytest.fixture(scope="module")
def coarse():
    return finer.pairs()[0].isel(time=slice(0, 3))


def test_means_by_area_beside_bounds_that_are_coordinates(coarse):
    edges = xgeoml.grid.cell_edges(coarse.lat.values)
    bounds = (("lat", "bnds"), np.stack([edges[:-1], edges[1:]], 1))
    given = coarse.to_dataset(name="a").assign_coords(lat_bnds=bounds)
    given.lat.attrs["bounds"] = "lat_bnds"
    made = given.geoml.downscale(2, "bilinear", conserve="area")
    plain = coarse.geoml.downscale(2, "bilinear", conserve="area")
    assert np.array_equal(made.a, plain)
    assert made.lat_bnds.sizes == {"lat": 2 * coarse.sizes["lat"], "bnds": 2}


@pytest.mark.parametrize(
    "labels",
    [
        pd.period_range("2001-01", periods=3, freq="M"),
        pd.CategoricalIndex(["a", "b", "c"]),
    ],
    ids=["periods", "categories"],
)
def test_labels_of_pandas_alone_are_kept(coarse, labels):
    made = coarse.assign_coords(time=labels).geoml.downscale(2, "bilinear")
    assert made.indexes["time"].equals(pd.Index(labels))


def test_dates_of_a_time_zone_are_refused(coarse):
    stamps = pd.date_range("2001-01-01", periods=3, tz="Asia/Tokyo")
    with pytest.raises(TimeAxisError, match=r"of the time zone Asia/Tokyo.*tz_convert\(None\)"):
        coarse.assign_coords(time=stamps).geoml.downscale(2, "bilinear")


@pytest.mark.parametrize("model", ["bicubic", "conservative"])
def test_parts_that_the_dtype_does_not_hold_are_missing(coarse, model):
    given = coarse.astype(np.float32)
    given[1, 2, 2], given[1, 2, 3] = 3.3e38, -3.3e38
    made = given.geoml.downscale(2, model)
    assert not np.isinf(made).any()
    assert 0 < made[1].isnull().sum() < made[1].size
    assert made[[0, 2]].notnull().all()


def test_the_order_of_dims_and_chunks_change_no_bit(coarse):
    given = coarse.astype(np.float64).transpose("lat", "lon", "time").copy()
    whole = given.geoml.downscale(2, "conservative")
    lazy = given.chunk().geoml.downscale(2, "conservative")
    other = given.transpose("time", "lat", "lon").copy().geoml.downscale(2, "conservative")
    assert np.array_equal(lazy, whole)
    assert np.array_equal(other.transpose(*whole.dims), whole)


def test_onto_a_grid_around_the_globe_that_meets_the_data_at_both_ends(coarse):
    first = coarse.lon.values[4]
    lon = np.array([first, first + 100.0, first + 200.0, coarse.lon.values[3] + 360.0])
    lat = np.linspace(coarse.lat.values[0], coarse.lat.values[-1], 4 * coarse.sizes["lat"])
    like = xr.Dataset(coords={"lat": lat, "lon": lon})
    made = coarse.geoml.downscale(like=like, model="bilinear", conserve="area")
    assert made.isel(lon=[1, 2]).isnull().all()
    assert made.isel(lon=[0, 3]).notnull().any()
