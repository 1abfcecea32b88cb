"""Models that learn from pairs of coarse and fine fields: what pairs may look like, and use."""

import json

import bad_refiners
import numpy as np
import pytest
import xarray as xr

import xgeoml
from xgeoml.exceptions import AxisError, InputError, SpecError
from xgeoml.tasks.fit import DEFAULT_LEARNER
from xgeoml.testing import finer


@pytest.fixture(scope="module")
def both():
    """Return coarse fields and the fine ones of which they are the means."""
    return finer.pairs()


@pytest.fixture(scope="module")
def own(both):
    """Return a model that has learnt from the first steps."""
    coarse, fine = both
    return coarse[:20].geoml.fit(QUICK, target=fine, validation=0)


# Sound, and fitted at once.
QUICK = bad_refiners.learner(bad_refiners.Learner, name="quick")


def fit(coarse, fine, model=QUICK, validation=0, **options):
    return coarse.geoml.fit(model, target=fine, validation=validation, **options)


def refine(data, model, **options):
    return data.geoml.downscale(model=model, **options)


def error(made, truth):
    return float(np.sqrt(((made - truth.values) ** 2).mean()))


@pytest.mark.parametrize("model", ["auto", "delta", "ridge"])
def test_what_is_learnt_is_better_than_interpolation(both, model):
    coarse, fine = both
    own = fit(coarse[:18], fine, model)
    late = slice(18, None)
    plain = error(coarse[late].geoml.downscale(2, "bicubic"), fine[late])
    assert error(refine(coarse[late], own), fine[late]) < 0.6 * plain
    assert own.spec.name == (DEFAULT_LEARNER if model == "auto" else model)


def test_the_result_lies_on_the_grid_of_the_target(both, own):
    coarse, fine = both
    made = refine(coarse[20:], own)
    assert made.dims == ("time", "lat", "lon")
    assert made["lat"].identical(fine["lat"].reset_coords(drop=True))
    assert made["lon"].identical(fine["lon"].reset_coords(drop=True))
    assert made["time"].identical(coarse[20:]["time"])
    assert made.name == "air"
    assert "quick@1.0" in made.attrs["history"]
    means = made.coarsen(lat=2, lon=2).mean()
    xr.testing.assert_allclose(means, coarse[20:], rtol=1e-6)


def test_steps_are_matched_by_their_stamps(both, own):
    coarse, fine = both
    arrays = _arrays(own)
    with pytest.warns(UserWarning, match="4 of 24 steps have no counterpart in the target"):
        fewer = fit(coarse, fine[:20])
    shuffled = fit(coarse[:20], fine[np.random.default_rng(0).permutation(24)])
    renamed = fit(coarse[:20], fine.rename(time="valid_time"))
    for other in (fewer, shuffled, renamed):
        _same(_arrays(other), arrays)


def test_pairs_without_stamps_are_matched_by_their_order(both):
    coarse, fine = (d.drop_vars("time") for d in both)
    made = refine(coarse, fit(coarse, fine))
    assert error(made, fine) < 0.5
    with pytest.raises(InputError, match="target has 20 steps and the data 24, without stamps"):
        fit(coarse, fine[:20])


def test_no_step_in_common(both):
    coarse, fine = both
    late = fine.assign_coords(time=fine["time"] + np.timedelta64(12, "h"))
    with pytest.raises(InputError, match=r"no step of the data, 2001-03-01 .*assign_coords"):
        fit(coarse, late)
    cftime = pytest.importorskip("cftime")
    other = fine.convert_calendar("noleap", use_cftime=True)
    assert isinstance(other["time"].values[0], cftime.datetime)
    with pytest.raises(InputError, match="no step of the data"):
        fit(coarse, other)


def test_model_dates_of_both(both):
    coarse, fine = (d.convert_calendar("360_day", align_on="date", use_cftime=True) for d in both)
    assert error(refine(coarse, fit(coarse, fine)), fine) < 0.5


@pytest.mark.parametrize("turn", [("lat",), ("lon",), ("lat", "lon")])
@pytest.mark.parametrize("which", ["coarse", "fine", "both"])
def test_grids_may_run_either_way(both, own, turn, which):
    coarse, fine = both
    back = {d: slice(None, None, -1) for d in turn}
    first = coarse.isel(back) if which != "fine" else coarse
    second = fine.isel(back) if which != "coarse" else fine
    other = fit(first[:20], second)
    _same(_arrays(other), _arrays(own), but=("about", "coord"))
    made = refine(coarse[20:], other)
    for dim in ("lat", "lon"):
        assert made[dim].equals(second[dim])
    expected = refine(coarse[20:], own)
    xr.testing.assert_equal(made.sortby(["lat", "lon"]), expected)
    xr.testing.assert_equal(refine(coarse[20:].isel(back), other), made)


def test_longitudes_may_be_counted_in_two_ways(both, own):
    coarse, fine = both
    expected = refine(coarse[20:], own)
    west = coarse.assign_coords(lon=coarse["lon"] - 360.0)
    xr.testing.assert_equal(refine(west[20:], own), expected)
    other = fit(west[:20], fine)
    xr.testing.assert_equal(refine(coarse[20:], other), expected)


def test_coordinates_may_be_rounded(both, own):
    coarse, _ = both
    near = coarse.assign_coords(lat=(coarse["lat"] + 1e-4).astype(np.float32))
    xr.testing.assert_equal(refine(near[20:], own), refine(coarse[20:], own))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.assign_coords(lat=d["lat"] + 0.5),
        lambda d: d.isel(lat=slice(0, 5)),
        lambda d: d.rename(lat="y", lon="x").assign_coords(y=np.arange(6.0), x=np.arange(7.0)),
        finer.turned,
    ],
)
def test_a_model_knows_its_own_grid_only(both, own, change):
    with pytest.raises((InputError, AxisError)) as caught:
        refine(change(both[0][20:]), own)
    text = str(caught.value)
    assert "was fitted on a grid of 6 x 7 cells, 40.5 to 45.5 and 10.5 to 16.5" in text or (
        isinstance(caught.value, AxisError)
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"factor": 4}, "factor=4: quick@1.0 was fitted for factor 2; leave factor= out"),
        ({"like": xr.DataArray()}, "like=: quick@1.0 makes the grid of its target only"),
        ({"members": 2}, "it gives one answer"),
        ({"covariates": [finer.pairs()[1][0].drop_vars("time")]}, "leave them out"),
    ],
)
def test_what_a_fitted_model_cannot_do_is_told(both, own, options, told):
    with pytest.raises((InputError, SpecError, AxisError)) as caught:
        refine(both[0][20:], own, **options)
    assert told in str(caught.value)
    assert refine(both[0][20:], own, factor=2).sizes["lat"] == 12


def test_grids_that_do_not_nest(both):
    coarse, fine = both
    points = {"lat": np.linspace(40.6, 45.4, 15), "lon": np.linspace(10.7, 16.3, 20)}
    target = fine.interp(points)
    own = fit(coarse[:18], target, "ridge")
    made = refine(coarse[18:], own)
    assert made.sizes == {"time": 6, "lat": 15, "lon": 20}
    like = target.isel(time=0, drop=True)
    plain = coarse[18:].geoml.downscale(model="bilinear", like=like)
    assert error(made, target[18:]) < 0.8 * error(plain, target[18:])
    with pytest.raises(InputError, match="was fitted for a grid whose cells do not divide these"):
        refine(coarse[18:], own, factor=2)


def test_a_curvilinear_target_and_curvilinear_pairs(both):
    coarse, fine = both
    curved = finer.turned(coarse), finer.turned(fine, 2)
    own = fit(curved[0], curved[1])
    made = refine(curved[0], own)
    assert made["lat"].dims == ("y", "x")
    assert error(made, fine) < 0.5
    means = made.coarsen(y=2, x=2).mean()
    np.testing.assert_allclose(means, coarse, rtol=1e-6)
    rows, columns = np.meshgrid(fine["lat"], fine["lon"], indexing="ij")
    flat = fine.rename(lat="y", lon="x").drop_vars(["y", "x"])
    flat = flat.assign_coords(lat=(("y", "x"), rows), lon=(("y", "x"), columns))
    made = refine(coarse, fit(coarse, flat))
    assert made.dims == ("time", "y", "x")
    np.testing.assert_allclose(made, refine(coarse, fit(coarse, fine)), rtol=1e-5)


def test_a_target_that_is_larger_than_the_data(both):
    coarse, fine = both
    larger = fine.pad(lat=4, lon=(0, 5), mode="edge").assign_coords(
        lat=38.25 + 0.5 * np.arange(20), lon=10.25 + 0.5 * np.arange(19)
    )
    for model in (QUICK, "ridge"):
        made = refine(coarse, fit(coarse, larger, model))
        assert made.shape == larger.shape
        inside = made.sel(lat=slice(40.0, 46.0), lon=slice(10.0, 17.0))
        assert bool(inside.notnull().all())
        assert bool(made.sel(lat=slice(48.0, None)).isnull().all())
        assert error(inside, fine) < 0.5


def test_points_that_are_always_missing_stay_missing(both):
    coarse, fine = both
    holes = fine.copy()
    holes[:, 3:6, 4] = np.nan  # for ever
    holes[2:9, 8, 9] = np.nan  # for some time
    holes[5] = np.nan
    made = refine(coarse, fit(coarse, holes))
    assert bool(made[:, 3:6, 4].isnull().all())
    assert int(made.isnull().sum()) == 3 * 24
    mask = xr.DataArray(np.ones((12, 14), bool), dims=("lat", "lon"))
    with_mask = refine(coarse, fit(coarse, holes), mask=mask)
    assert int(with_mask.isnull().sum()) <= 3 * 24


def test_missing_data(both):
    coarse, fine = both
    holes = coarse.copy()
    holes[3:5, 2, 2] = np.nan
    holes[7] = np.nan
    own = fit(holes, fine)
    made = refine(holes, own)
    assert bool(made[7].isnull().all())
    assert bool(made.drop_isel(time=7).notnull().all(["lat", "lon"]).any())
    assert error(made.drop_isel(time=7).fillna(0 * fine + 280.0), fine.drop_isel(time=7)) < 3.0
    nothing = "at 0 of 24 steps both the data and the target have a value; expected 2 or more"
    with pytest.raises(InputError, match=nothing):
        fit(coarse, fine * np.nan)
    with pytest.raises(InputError, match=nothing):
        fit(coarse.where(coarse["time"].dt.hour < 12), fine.where(fine["time"].dt.hour >= 12))
    late = fine.where(fine["time"] < fine["time"][18])
    own = fit(coarse, late, validation=0.2)
    assert own.card.skill == (), "there is nothing to measure a skill on"


def test_stamps_that_are_there_twice(both):
    coarse, fine = both
    twice = xr.concat([fine, fine[:1]], "time")
    with pytest.raises(InputError, match=r"the target have steps .*drop_duplicates\('time'\)"):
        fit(coarse, twice)
    with pytest.raises(InputError, match=r"the data have steps with the same stamp"):
        fit(xr.concat([coarse, coarse[:1]], "time"), fine)
    with pytest.raises(InputError, match=r"at 1 of 1 steps both .*expected 2 or more"):
        fit(coarse[:1], fine[:1])


def test_coordinates_and_bounds_of_the_target_are_kept(both):
    coarse, fine = both
    target = fine.assign_coords(
        height=("lat", np.arange(12.0)), run=7, name=("lat", list("abcdefghijkl"))
    ).to_dataset(name="t2m")
    edges = np.stack([fine["lat"] - 0.25, fine["lat"] + 0.25], 1)
    target["lat_bnds"] = (("lat", "bnds"), edges)
    target["lat"].attrs["bounds"] = "lat_bnds"
    target["crs"] = ((), b"", {"grid_mapping_name": "latitude_longitude"})
    target["t2m"].attrs["grid_mapping"] = "crs"
    with pytest.warns(UserWarning, match=r"coordinates \['name'\] of the target"):
        own = fit(coarse, target["t2m"].to_dataset().assign(target[["lat_bnds", "crs"]]))
    made = refine(coarse.to_dataset(), own)
    np.testing.assert_array_equal(made["lat_bnds"], edges)
    np.testing.assert_array_equal(made["height"], np.arange(12.0))
    assert made["crs"].attrs == {"grid_mapping_name": "latitude_longitude"}


def test_lazy_pairs_give_the_same_model(both, own):
    coarse, fine = both
    lazy = fit(coarse[:20].chunk(time=3, lat=2), fine.chunk(time=5, lon=4))
    _same(_arrays(lazy), _arrays(own))


def test_integers_big_endian_and_other_units(both):
    coarse, fine = both
    own = fit(coarse.astype(">f8"), (100 * fine).round().astype("i4"))
    made = refine(coarse, own)
    assert abs(float(made.mean()) - 100 * float(fine.mean())) < 1.0
    assert made.dtype == np.float32


def test_a_single_step_is_what_it_is_among_others(both, own):
    coarse, _ = both
    every = refine(coarse[20:], own)
    for i in range(4):
        xr.testing.assert_allclose(refine(coarse[[20 + i]], own), every[[i]], rtol=1e-7)
    coarser = refine(coarse[2::4], own)  # every third day, at the same hour
    xr.testing.assert_allclose(coarser[-1], refine(coarse[[22]], own)[0], rtol=1e-7)


def test_a_step_that_was_picked_knows_its_time(both):
    coarse, fine = both
    own = fit(coarse[:20], fine, "delta")  # depends on the time of the day
    forecast = coarse.assign_coords(begun=coarse["time"].values[0])
    for called in ("time", "valid_time"):
        one = refine(forecast.rename(time=called)[22], own)
        np.testing.assert_allclose(one, refine(coarse[[22]], own)[0], rtol=1e-7)
    assert abs(refine(coarse[22].drop_vars("time"), own) - one).max() > 0.01, "it would matter"


def test_covariates_coarse_and_fine(both):
    coarse, fine = both
    random = np.random.default_rng(0)
    rain = coarse.copy(data=random.standard_normal(coarse.shape)).rename("rain")
    height = fine.isel(time=0, drop=True).rename("height")
    truth = fine + 3.0 * rain.values.repeat(2, 1).repeat(2, 2) * finer_pattern(fine)
    truth = truth.astype(np.float32)
    plain = fit(coarse[:18], truth, "ridge")
    with pytest.warns(UserWarning, match=r"\['height'\] never change, and tell ridge nothing"):
        own = fit(coarse[:18], truth, "ridge", covariates=[rain, height])
    assert set(own.spec.covariate_names) == {"rain", "height"}
    assert set(own.card.data[0].covariates) == {"rain", "height"}
    made = refine(coarse[18:], own, covariates=[height, rain])
    assert error(made, truth[18:]) < 0.8 * error(refine(coarse[18:], plain), truth[18:])
    dataset = xr.Dataset({"air": coarse, "rain": rain})
    again = dataset.geoml.fit(
        "ridge", target=truth, validation=0, variables="air", covariates=["rain"]
    )
    with pytest.warns(UserWarning, match=r"left out: variables \['rain'\]"):
        named = refine(dataset, again, variables="air", covariates=["rain"])
    assert named["air"].sizes["lat"] == 12
    for wrong in (None, [rain], [height, rain.rename("snow")]):
        with pytest.raises(SpecError, match="was trained with"):
            refine(coarse[18:], own, covariates=wrong)
    with pytest.raises(InputError, match="makes no use of them"):
        fit(coarse, fine, QUICK, covariates=[rain])
    far = height.assign_coords(lat=height["lat"] - 90.0)
    with pytest.raises(InputError, match="covariate 'height'"):
        fit(coarse, fine, "ridge", covariates=[far])


def finer_pattern(fine):
    """Return -1 and 1 in turns along columns."""
    return np.arange(fine.shape[-1]) % 2 * 2.0 - 1.0


def test_datasets(both):
    coarse, fine = both
    data = xr.Dataset({"air": coarse, "sea": coarse + 1.0})
    own = data.geoml.fit(
        QUICK, validation=0, variables="sea", target=fine.to_dataset(name="t2m") + 1.0
    )
    with pytest.warns(UserWarning, match=r"left out: variables \['air'\]"):
        made = refine(data, own, variables="sea")
    assert error(made["sea"], fine + 1.0) < 0.5
    with pytest.raises(InputError, match="found 2 variables to learn from"):
        data.geoml.fit(QUICK, target=fine)
    several = xr.Dataset({"a": fine, "b": fine})
    with pytest.raises(InputError, match=r"none of them 'air'.*target=fine"):
        fit(coarse, several)
    fit(coarse, several.rename(a="air"))


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (lambda c, f: f.values, "target is a ndarray"),
        (lambda c, f: c, "is no finer than the data"),
        (lambda c, f: f.expand_dims(level=2), "pick one of the others, obj.isel(level=0)"),
        (lambda c, f: f.assign_coords(lat=f["lat"] - 90.0), "expected the two to overlap"),
        (lambda c, f: f.drop_vars(["lat", "lon"]), "target has no latitude and longitude, but"),
        (lambda c, f: f.assign_attrs(units="m"), "in 'K' and a target in 'm'"),
    ],
)
def test_targets_that_do_not_fit(both, target, told):
    with pytest.raises((InputError, AxisError)) as caught:
        fit(both[0], target(*both))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"max_epochs": 3},
        {"learning_rate": 1e-3},
        {"steps": 10},
        {"patience": 2},
        {"max_time": "5min"},
        {"clip": None},
        {"schedule": "constant"},
        {"devices": 2},
        {"scaling": "training"},
        {"warm_up": 5},
        {"resume": "folder"},
    ],
)
def test_options_of_a_training_do_not_apply_to_what_is_fitted_in_one_go(both, options):
    (name, value), *_ = options.items()
    with pytest.raises(InputError) as caught:
        fit(*both, validation=0.2, **options)
    assert f"{name}={value!r}" in str(caught.value)
    assert "is fitted in one go" in str(caught.value)


def test_what_learns_and_what_does_not(both):
    coarse, fine = both
    with pytest.raises(SpecError, match=r"obj.geoml.downscale\(model='bicubic'\)"):
        fit(coarse, fine, "bicubic")
    with pytest.raises(InputError, match="give the fine fields, target=fine"):
        coarse.geoml.fit("gaussian_process")
    with pytest.raises(SpecError, match="it is a model for fill_gaps"):
        fit(coarse, fine, "grace_tf")


def test_save_and_load(both, own, tmp_path):
    coarse, _ = both
    path = own.save(tmp_path / "own.safetensors")
    expected = refine(coarse[20:], own)
    for model in (path, str(path), xgeoml.load(path)):
        assert refine(coarse[20:], model).identical(expected.assign_attrs()) or (
            np.array_equal(refine(coarse[20:], model), expected)
        )
    assert xgeoml.load(path).spec == own.spec


def test_the_card_tells_what_was_learnt_from(both):
    coarse, fine = both
    card = fit(coarse[:20], fine, "delta", validation=0.15).card
    assert card.problems() == []
    assert card.model == "delta@1.0"
    (data,) = card.data
    assert data.name == "air temperature"
    assert data.period == "2001-03-01 to 2001-03-15, 20 steps"
    assert data.extent == "20 time x 6 lat x 7 lon, to 12 lat x 14 lon"
    assert data.license == "CC0-1.0"
    (row,) = card.skill
    assert {"delta", "bicubic", "conservative", "ridge"} == set(row.values)
    assert row.values["delta"] < row.values["bicubic"]
    assert row.hidden == "the last 3 steps"
    assert row.unit == "K"
    assert "target='air'" in card.recipe
    none = fit(coarse, fine).card
    assert none.skill == ()
    assert any("its skill is not known" in limit for limit in none.limits)


def test_fitting_needs_no_lightning(both, monkeypatch):
    import sys

    for name in [n for n in sys.modules if n.split(".")[0] == "lightning"]:
        monkeypatch.delitem(sys.modules, name)
    for name in [n for n in sys.modules if n.startswith("xgeoml.train.") and "settings" not in n]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lightning", None)
    fit(*both)


def test_a_model_in_the_language_of_others(both):
    coarse, fine = both
    target = fine.rename(time="Zeit").transpose("lon", "Zeit", "lat")
    target.encoding = {"scale_factor": 0.1, "dtype": "int16"}
    made = refine(coarse, fit(coarse.transpose("lat", "lon", "time"), target))
    assert made.dims == coarse.dims
    np.testing.assert_array_equal(made, refine(coarse, fit(coarse, fine)))


def _arrays(model):
    from safetensors.numpy import load_file

    return load_file(model.path)


def _same(found, expected, but=("about",)):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        if not any(part in name for part in but):
            np.testing.assert_array_equal(found[name], array, err_msg=name)
    about = [json.loads(a["grid:about"].tobytes()) for a in (found, expected)]
    assert about[0]["factor"] == about[1]["factor"]


def test_a_cell_that_is_missing_now_stays_missing(both, own):
    coarse, fine = both
    cloudy = coarse[20:].copy(data=coarse[20:].values)
    cloudy[1, 2, 3] = np.nan
    made = refine(cloudy, own)
    gone = made.isnull().values
    assert gone[1, 4:6, 6:8].all()
    assert gone.sum() == 4
    everywhere = xr.ones_like(fine[0], bool).reset_coords(drop=True)
    assert refine(cloudy, own, mask=everywhere).notnull().all()


def test_a_cell_that_never_had_a_value_may_have_a_target(both):
    coarse, fine = both
    coast = coarse.where((coarse["lat"] != coarse["lat"][2]) | (coarse["lon"] != coarse["lon"][3]))
    made = refine(coast[20:], fit(coast[:20], fine, "ridge"))
    assert made.notnull().all()
