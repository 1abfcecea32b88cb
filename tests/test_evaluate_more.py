"""Evaluation of data that are unusual, and of requests that are not what they seem."""

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xgeoml
from xgeoml import registry
from xgeoml.exceptions import AxisError, GeoMLError, InputError, TimeAxisError
from xgeoml.tasks import trials_of_fields
from xgeoml.tasks.contenders import _label

ALONE = {"baselines": False, "repeats": 2}


@pytest.fixture(scope="module")
def months():
    """Return four years of months on a grid around Greenwich."""
    rng = np.random.default_rng(0)
    time = pd.date_range("2001-07-01", periods=48, freq="MS")
    lat, lon = np.arange(40.0, 43.9, 0.5), np.arange(-2.0, 1.9, 0.5)
    values = rng.normal(0, 1, (48, 8, 8)) * (1 + 4 * (lon > 0))
    return xr.DataArray(values, {"time": time, "lat": lat, "lon": lon}, ("time", "lat", "lon"), "v")


@pytest.fixture(scope="module")
def hills():
    return xgeoml.datasets.mountain_temperature(steps=8).isel(lat=slice(0, 16), lon=slice(0, 16))


@pytest.fixture(scope="module")
def hourly():
    ds = xgeoml.datasets.hourly_temperature()
    return ds["t2m"].isel(time=slice(0, 25), latitude=slice(0, 4), longitude=slice(0, 8))


@pytest.fixture(scope="module")
def waves():
    return xgeoml.datasets.wavefield(stations=4)


def evaluated(obj, task, models, **options):
    return obj.geoml.evaluate(task, models, **{**ALONE, **options})


def test_a_mask_hides_the_same_cells_whatever_their_labels(months):
    mask = xr.zeros_like(months, bool)
    mask[10] = True
    rounded = mask.assign_coords(lat=mask.lat.astype("f4") + np.float32(1e-5))
    eastward = mask.assign_coords(lon=mask.lon % 360)
    for given in (mask, rounded, eastward, mask.isel(lat=slice(None, None, -1))):
        scores = evaluated(months, "fill_gaps", ["linear"], holdout=given, repeats=1)
        assert scores.hidden.values.tolist() == [64]
    south = mask.assign_coords(lat=mask.lat - 30)
    with pytest.raises(InputError, match="the mask of holdout= lies elsewhere along 'lat'"):
        evaluated(months, "fill_gaps", ["linear"], holdout=south, repeats=1)
    with pytest.raises(InputError, match=r"holdout=\[\]: expected one of 'gaps'"):
        evaluated(months, "fill_gaps", ["linear"], holdout=[])


def test_a_region_of_longitudes_goes_eastward(months):
    around = months.assign_coords(lon=months.lon % 360)
    west = (months.lon >= -2) & (months.lon <= 0)
    for data in (months, around):
        scores = evaluated(
            data,
            "fill_gaps",
            ["climatology"],
            regions={"box": {"lon": slice(358, 0)}, "mask": west},
            holdout="steps",
        )
        box, mask = (scores.rmse_by_region.sel(region=name) for name in ("box", "mask"))
        np.testing.assert_array_equal(box, mask)
        assert (box < scores.rmse).all()


@pytest.mark.parametrize(
    ("regions", "told"),
    [
        ([1], "regions is a list; expected names and what they are"),
        ({"a": {"lon": 3}}, "'a' has 'lon': 3; expected a slice of numbers"),
        ({"a": {"time": slice("2001", "2002")}}, "'a' has 'time': .*; expected a slice of numbers"),
    ],
)
def test_regions_that_are_none(months, regions, told):
    with pytest.raises(InputError, match=told):
        evaluated(months, "fill_gaps", ["linear"], regions=regions)


def test_seasons_are_in_order_wherever_the_record_begins(months):
    scores = evaluated(months.isel(time=slice(0, 12)), "downscale", ["bilinear"], factor=2)
    assert list(scores.season.values) == ["DJF", "MAM", "JJA", "SON"]


@pytest.mark.parametrize("name", ["made", "error", "model", "rmse", "difference_low"])
def test_a_score_of_ones_own_has_a_name_of_its_own(months, name):
    with pytest.raises(InputError, match=f"metrics: '{name}' is the name of another score"):
        evaluated(months, "fill_gaps", ["linear"], metrics={name: lambda _truth, _made: 0.0})


def test_two_scores_of_one_name_are_not_one(months):
    with pytest.raises(InputError, match="'<lambda>' is the name of another score"):
        evaluated(months, "fill_gaps", ["linear"], metrics=[lambda *_: 0.0, lambda *_: 1.0])
    with pytest.raises(InputError, match="metrics=3: expected functions"):
        evaluated(months, "fill_gaps", ["linear"], metrics=3)


def test_where_no_model_says_anything_an_error_does(months):
    # A series without a single value stays missing.
    mask = xr.zeros_like(months, bool)
    mask[:, 0, 0] = True
    with pytest.raises(GeoMLError, match="no model gave values in every repeat"):
        evaluated(months, "fill_gaps", ["linear"], holdout=mask, repeats=1)


def test_a_run_is_told_as_it_is(months):
    scores = evaluated(months, "fill_gaps", ["linear"], holdout={"runs": 30}, repeats=1)
    assert scores.attrs["holdout"] == "runs of 12 steps"


def test_dims_are_heeded(months, hills, waves):
    both = xr.Dataset({"v": months, "w": ("depth", np.arange(3.0))})
    evaluated(both, "fill_gaps", ["linear"], variable="v", dims={"Z": "depth"})
    for data, task in ((hills.t2m, "downscale"), (waves.record, "invert_waveform")):
        with pytest.raises(AxisError, match="did you mean 'time'"):
            evaluated(data, task, None, dims={"T": "tim"})
    with pytest.raises(AxisError, match=r"dims=\['T'\]: expected a mapping"):
        evaluated(hills.t2m, "downscale", ["bilinear"], dims=["T"])
    nameless = hills.t2m.drop_vars(["lat", "lon"]).rename(lat="a", lon="b")
    scores = evaluated(nameless, "downscale", None, dims={"Y": "a", "X": "b"})
    named = evaluated(hills.t2m, "downscale", None)
    assert list(scores.model.values) == list(named.model.values)
    plain = scores.spectrum_error.sel(model="bicubic")
    np.testing.assert_allclose(plain, named.spectrum_error.sel(model="bicubic"), rtol=1e-5)


def test_without_names_the_models_are_those_of_the_variable(months, hills):
    series = months.isel(lat=0, lon=0, drop=True).to_dataset()
    tree = xr.DataTree.from_dict({"/series": series, "/grid": hills})
    scores = tree.geoml.evaluate("downscale", repeats=1)
    assert {"bilinear", "subgrid"} <= set(scores.model.values)


def test_covariates_of_downscaling(hills, monkeypatch):
    given = []

    def fit(obj, model, **options):
        given.append(options["covariates"])
        raise InputError("seen enough")

    monkeypatch.setattr(trials_of_fields, "fit", fit)
    wind = hills.assign(wind=hills.t2m * 2)
    call = {"variable": "t2m", "covariates": ("orography", "wind"), "factor": 4}
    scores = evaluated(wind, "downscale", ["bilinear"], fit=["ridge", "delta"], **call)
    assert set(scores.error.values) == {"", "seen enough"}
    static, moving = given[0]
    xr.testing.assert_equal(static, hills.orography)
    # What changes in time belongs on the coarse grid.
    np.testing.assert_allclose(moving, 2 * hills.t2m.coarsen(lat=4, lon=4).mean(), rtol=1e-6)
    assert given[1] is None  # `delta` makes no use of any
    with pytest.raises(InputError, match="covariates hold a int"):
        evaluated(hills, "downscale", ["bilinear"], covariates=3)


def test_targets(hills):
    fine = hills.t2m
    coarse = fine.coarsen(lat=4, lon=4).mean()
    right = evaluated(coarse, "downscale", ["bilinear"], target=fine).rmse
    bare = evaluated(
        coarse.drop_vars("time"), "downscale", ["bilinear"], target=fine.drop_vars("time")
    )
    np.testing.assert_array_equal(bare.rmse, right)
    packed = (fine * 10).round().astype("i4").where(fine.lat < 43, -999).astype("i4")
    packed.attrs["_FillValue"] = -999
    scores = evaluated(coarse * 10, "downscale", ["bilinear"], target=packed)
    assert (scores.rmse < 30).all()
    assert scores.hidden.values.tolist() == [4 * 10 * 16] * 2
    for wrong in (fine[0], fine.expand_dims(member=2)):
        with pytest.raises(InputError, match="expected the same but for those of the grid"):
            evaluated(coarse, "downscale", ["bilinear"], target=wrong)
    with pytest.raises(InputError, match="factor=9: expected a whole number, 2 to 8"):
        evaluated(fine, "downscale", ["bilinear"], factor=9)


def test_cells_on_both_sides_of_greenwich(hills):
    around = hills.t2m.assign_coords(
        lon=(hills.lon - 4.85) % 360, name=("lon", [f"column {i}" for i in range(16)])
    )
    scores = evaluated(around, "downscale", ["bilinear"])
    assert (scores.error == "").all()
    np.testing.assert_allclose(
        scores.rmse, evaluated(hills.t2m, "downscale", ["bilinear"]).rmse, rtol=1e-5
    )


def test_a_period_needs_dates(hills):
    without = hills.t2m.drop_vars("time")
    with pytest.raises(InputError, match="the time axis 'time' has no dates"):
        evaluated(without, "downscale", ["bilinear"], period=("2021", None))
    with pytest.raises(InputError, match="the data have no time axis; leave it out"):
        evaluated(hills.t2m[0], "downscale", ["bilinear"], period=("2021", None))
    valid = without.rename(time="step").assign_coords(valid_time=("step", hills.time.values))
    scores = evaluated(valid, "downscale", ["bilinear"], period=("2021-01-02", None))
    assert int(scores.hidden.sum()) == 4 * 16 * 16
    assert list(scores.season.values) == ["DJF"]


def test_steps_in_time_that_cannot_be_hidden(hourly):
    half = hourly.where(hourly.time >= hourly.time[12])
    scores = evaluated(half, "interp_time", ["linear"])
    assert int(scores.hidden.sum()) == 6 * hourly[0].size
    twice = hourly.isel(time=[0, 1, 1, 2, 3, 4, 5])
    with pytest.raises(TimeAxisError, match="1 duplicate stamp: "):
        evaluated(twice, "interp_time", ["linear"])
    scores = evaluated(hourly, "interp_time", ["linear"], fit="ridge", repeats=1)
    assert "1 in a row are left to learn from" in str(scores.error.values[1])


def test_lazy_data_are_read_once(hills):
    reads = []

    def read(block):
        reads.append(block.shape)
        return block

    values = da.from_array(hills.t2m.values, chunks=-1).map_blocks(read, meta=np.empty(0, "f4"))
    evaluated(hills.t2m.copy(data=values), "downscale", ["bilinear"])
    assert len(reads) == 1


def test_a_package_that_cannot_be_imported_leaves_the_others(hourly, monkeypatch):
    spec = xgeoml.get_model("linear", "interp_time")
    gone = spec.replace(name="gone", factory="no_such_module:Thing")
    monkeypatch.setitem(registry._registered, ("interp_time", "gone"), gone)
    scores = hourly.geoml.evaluate("interp_time", repeats=1)
    assert "no_such_module" in str(scores.error.sel(model="gone").values)
    assert scores.attrs["best"] in scores.model.values


def test_a_label_holds_no_password():
    spec = xgeoml.get_model("linear", "fill_gaps")
    assert "secret" not in _label("https://me:secret@example.org/a.safetensors#sha256=0", spec)


def test_sources_are_found_by_label(waves):
    pairs = xgeoml.datasets.station_pairs(events=4, stations=2)
    call = {"greens": "greens", "dim": "station", "variable": "record"}
    right, turned = (
        evaluated(pairs, "invert_waveform", ["wiener"], target=source, **call)
        for source in (pairs.source, pairs.source.isel(event=[3, 1, 0, 2]))
    )
    np.testing.assert_array_equal(turned.nrmse, right.nrmse)
    with pytest.raises(InputError, match="target has no event 3"):
        evaluated(pairs, "invert_waveform", ["wiener"], target=pairs.source[:3], **call)
    bare = pairs.drop_vars(["time", "lag"]).rename(time="sample")
    scores = evaluated(bare, "invert_waveform", ["wiener"], target=bare.source, **call)
    assert scores.lag.attrs["units"] == scores.duration_error.attrs["units"] == "samples"
    assert scores.seconds.attrs["units"] == "s"


def test_a_silent_station_is_not_left_out(waves):
    silent = waves.assign(record=waves.record.where(waves.station != "XG02"))
    call = {"greens": "greens", "dim": "station", "repeats": 4}
    scores = evaluated(silent, "invert_waveform", ["wiener"], **call)
    assert scores.sizes["repeat"] == 3
    assert float(scores.misfit.max()) < 1.0
    with pytest.raises(InputError, match=r"dim='statio': .* has the dims \['station'\]"):
        evaluated(silent.record, "invert_waveform", None, greens=waves.greens, dim="statio")
    with pytest.raises(InputError, match="greens is a ndarray; expected a DataArray"):
        evaluated(silent.record, "invert_waveform", None, greens=waves.greens.values, dim="station")


def test_the_best_model_serves_what_is_asked_for(months, hills, waves, hourly):
    rain = (months * 0 + np.arange(48)[:, None, None] % 5).rename("rain")
    full = months[:30].geoml.fill_gaps("best", covariates=rain[:30])
    words = full.attrs["history"]
    assert "covariates=['rain']" in words
    assert any(f"(best by {name}," in words for name in ("kalman", "regression", "oi", "grace_tf"))
    coarse = hills.t2m.coarsen(lat=2, lon=2).mean()
    with pytest.raises(InputError, match="no model that can be used as it is serves members="):
        coarse.geoml.downscale(2, "best", members=2)
    source = waves.geoml.invert_waveform("best", greens="greens", dim="station", spread=True)
    assert "record_spread" in source
    with pytest.raises(InputError, match="'best' compares models without model_options="):
        months.geoml.fill_gaps("best", model_options={"drivers": False})
    with pytest.raises(InputError, match="would be kept") as caught:
        hourly[:4].geoml.interp_time("30min", "best")
    assert "name a model instead" in caught.value.__notes__[0]


def test_cells_that_are_stacked(months):
    stacked = months.isel(lat=slice(0, 2), lon=slice(0, 2)).stack(point=("lat", "lon"))
    scores = evaluated(stacked, "fill_gaps", ["linear"], holdout="steps")
    assert np.isfinite(scores.rmse).all()


def test_a_metric_that_stacks_cells_that_are_stacked(months):
    pytest.importorskip("xskillscore")
    stacked = months.isel(lat=slice(0, 2), lon=slice(0, 2)).stack(point=("lat", "lon"))
    options = {"holdout": "steps", "metrics": ["pearson_r"]}
    scores = evaluated(stacked, "fill_gaps", ["linear"], **options)
    assert np.isfinite(scores.pearson_r).all()


def test_a_metric_that_stacks_axes_in_other_bytes(months):
    pytest.importorskip("xskillscore")
    other = months.assign_coords(lat=months["lat"].astype(">f8"))
    options = {"holdout": "steps", "metrics": ["pearson_r"]}
    xr.testing.assert_equal(
        evaluated(other, "fill_gaps", ["linear"], **options).pearson_r,
        evaluated(months, "fill_gaps", ["linear"], **options).pearson_r,
    )


def test_a_region_along_a_time_with_labels_that_occur_twice(hills):
    field = hills["t2m"].isel(time=[0, 0, 1, 2])
    region = {"a": (field > field.mean()).isel(lon=0, drop=True)}
    with pytest.raises(InputError, match="along 'time', of which labels occur twice"):
        evaluated(field, "downscale", ["bilinear"], regions=region)


def test_dates_of_a_time_zone(hills):
    stamps = pd.date_range("2001-01-01", periods=8, tz="UTC")
    with pytest.raises(TimeAxisError, match="of the time zone UTC"):
        evaluated(hills.assign_coords(time=stamps), "downscale", ["bilinear"], variable="t2m")
    days = hills["t2m"].assign_coords(time=stamps)
    with pytest.raises(TimeAxisError, match="of the time zone UTC"):
        evaluated(days, "fill_gaps", ["linear"], freq="MS")
