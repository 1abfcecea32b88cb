"""Arguments of the tasks in an evaluation: passed on to each call, or refused by name."""

import inspect

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xgeoml
from xgeoml.exceptions import InputError
from xgeoml.tasks import trials_in_time, trials_of_fields, trials_of_gaps, trials_of_waves
from xgeoml.tasks.arguments import PASSED

ALONE = {"baselines": False, "repeats": 2}


@pytest.fixture(scope="module")
def months():
    rng = np.random.default_rng(0)
    time = pd.date_range("2001-01-01", periods=48, freq="MS")
    coords = {"time": time, "lat": np.arange(4.0), "lon": np.arange(4.0)}
    values = rng.normal(0, 1, (48, 4, 4)) * (1 + 9 * (np.arange(4) > 1))
    return xr.DataArray(values, coords, ("time", "lat", "lon"), "v")


@pytest.fixture(scope="module")
def hills():
    return xgeoml.datasets.mountain_temperature(steps=4).t2m.isel(
        lat=slice(0, 16), lon=slice(0, 16)
    )


@pytest.fixture(scope="module")
def rain():
    """Return totals of hours."""
    rng = np.random.default_rng(0)
    time = pd.date_range("2001-01-01T01", periods=26, freq="h")
    fallen = rng.gamma(0.5, 1.0, (26, 3, 3))
    coords = {"time": time, "lat": np.arange(3.0), "lon": np.arange(3.0)}
    return xr.DataArray(fallen, coords, ("time", "lat", "lon"), "tp", {"units": "mm"})


@pytest.fixture(scope="module")
def waves():
    return xgeoml.datasets.wavefield(stations=4)


@pytest.fixture
def calls(monkeypatch):
    """Return what tasks are given from now on, by name."""
    made = {}
    modules = {
        "fill_gaps": trials_of_gaps,
        "downscale": trials_of_fields,
        "interp_time": trials_in_time,
        "invert_waveform": trials_of_waves,
    }

    def spied(name, task):
        def spy(obj, *args, **options):
            made.setdefault(name, []).append((obj, options))
            return task(obj, *args, **options)

        return spy

    for name, module in modules.items():
        monkeypatch.setattr(module, name, spied(name, getattr(module, name)))
    return made


def evaluated(obj, task, models, arguments, **options):
    return obj.geoml.evaluate(task, models, arguments=arguments, **{**ALONE, **options})


def test_a_mask_says_which_gaps_count(months, calls):
    mask = (months.lon <= 1).rename("quiet")
    scores = evaluated(months, "fill_gaps", ["linear"], {"mask": mask}, holdout="steps")
    assert calls["fill_gaps"][-1][1]["mask"] is mask
    assert (scores.rmse < 2).all()
    assert (scores.made == 1).all()
    whole = evaluated(months, "fill_gaps", ["linear"], None, holdout="steps")
    np.testing.assert_array_equal(scores.hidden, whole.hidden / 2)
    np.testing.assert_allclose(
        scores.rmse,
        months.geoml.evaluate(
            "fill_gaps", ["linear"], holdout="steps", regions={"quiet": mask}, **ALONE
        ).rmse_by_region.isel(region=0),
    )
    named = months.to_dataset().assign(quiet=mask.astype("f4"))
    again = evaluated(named, "fill_gaps", ["linear"], {"mask": "quiet"}, holdout="steps")
    np.testing.assert_array_equal(again.rmse, scores.rmse)
    with pytest.raises(
        InputError, match="mask 'quite' is not in the Dataset: did you mean 'quiet'"
    ):
        evaluated(named, "fill_gaps", ["linear"], {"mask": "quite"})


def test_gaps_that_are_too_long_do_not_count(months):
    mask = xr.zeros_like(months, bool)
    mask[10] = mask[20:23] = True
    call = {"holdout": mask, "repeats": 1}
    scores = evaluated(months, "fill_gaps", ["linear"], {"max_gap": 2}, **call)
    assert scores.hidden.values.tolist() == [16]
    assert list(scores.gap_length.values) == ["1"]
    with pytest.raises(InputError, match="max_gap= let none of the hidden values be filled"):
        evaluated(months, "fill_gaps", ["linear"], {"max_gap": 1}, holdout=mask[15:30], repeats=1)


def test_downscaling_is_asked_as_the_user_will(hills, calls):
    given = {"minimum": 280.0, "conserve": False, "terrain": False}
    scores = evaluated(hills, "downscale", ["bilinear"], given)
    assert all(given.items() <= options.items() for _, options in calls["downscale"])
    plain = evaluated(hills, "downscale", ["bilinear"], None)
    assert (abs(scores.bias) > abs(plain.bias)).all(), "means are not kept"
    mask = xr.zeros_like(hills[0], bool)
    mask[:8] = True
    scores = evaluated(hills, "downscale", ["bilinear"], {"mask": mask})
    assert scores.hidden.values.tolist() == [2 * 8 * 16] * 2
    assert (scores.made == 1).all()


def test_a_grid_says_how_much_finer(hills, calls):
    rows = np.linspace(float(hills.lat[0]), float(hills.lat[-1]), 3 * 16 - 2)
    like = hills[0].interp(lat=rows, lon=np.linspace(*hills.lon.values[[0, -1]], 3 * 16 - 2))
    scores = evaluated(hills, "downscale", ["bilinear"], {"like": like})
    assert scores.attrs["holdout"] == "fields averaged to cells 3 times as large"
    obj, options = calls["downscale"][0]
    assert (obj.sizes["lat"], options["like"].sizes["lat"]) == (5, 15)
    assert not options["like"].any(), "the grid alone: its values are what is wanted"
    with pytest.raises(InputError, match="'like' and factor= both say how fine"):
        evaluated(hills, "downscale", ["bilinear"], {"like": like}, factor=2)


def test_of_members_the_mean_is_scored(hills, calls):
    truth, draws = hills[:2], [hills[:2] + k for k in (0.0, 1.0, 5.0)]
    made = xr.concat(draws, "member")
    answer = trials_of_fields._mean_of_members(made.transpose(..., "member"), truth)
    np.testing.assert_allclose(answer.estimate, truth + 2, rtol=1e-6)
    np.testing.assert_allclose(answer.spread, 2.6457514, rtol=1e-3)
    assert trials_of_fields._mean_of_members(made[:1], truth).spread is None
    evaluated(hills, "downscale", ["bilinear"], {"members": 3})
    assert calls["downscale"][-1][1]["members"] is None, "it gives one answer"


def test_totals_are_divided(rain, calls):
    scores = evaluated(rain, "interp_time", ["akima"], {"accumulated": True}, factor=3)
    assert scores.attrs["holdout"] == "totals of 3 steps, to be divided"
    assert scores.hidden.values.tolist() == [12 * 9] * 2
    coarse = calls["interp_time"][0][0]
    np.testing.assert_allclose(coarse.tp.sum("time"), rain[:24].sum("time"))
    sums = coarse.tp.drop_vars("time").assign_coords(time=rain.time.values[2:24:3])
    made = sums.geoml.interp_time(factor=3, model="akima", accumulated=True)
    expected = xgeoml.metrics.rmse(rain[:12], made[:12])
    assert float(scores.rmse[0, 0]) == pytest.approx(expected, rel=1e-6)
    start = rain.time.values - np.timedelta64(1, "h")
    ds = rain.to_dataset().assign_coords(time=("time", start, {"bounds": "b"}))
    ds["b"] = (("time", "n"), np.stack([start, rain.time.values], 1))
    bounded = evaluated(ds, "interp_time", ["akima"], {"accumulated": True}, factor=3)
    np.testing.assert_allclose(bounded.rmse, scores.rmse, rtol=1e-6)
    ds["b"][4, 0] -= np.timedelta64(10, "m")
    ds["b"][3, 1] -= np.timedelta64(20, "m")
    holed = evaluated(ds, "interp_time", ["akima"], {"accumulated": True}, factor=3)
    assert int(holed.hidden.sum()) == (24 - 3) * 9, "of a hole the sum knows nothing"
    failed = evaluated(rain, "interp_time", ["akima"], {"accumulated": True}, fit="ridge")
    assert "not from totals" in str(failed.error.values[-1])


def test_both_components_of_a_vector_are_given(rain, calls):
    names = ["eastward_wind", "northward_wind"]
    u, v = (rain.assign_attrs(standard_name=n, units="m s-1") for n in names)
    ds = xr.Dataset({"u": u, "v": v, "w": rain})
    evaluated(ds, "interp_time", ["linear"], None)
    assert list(calls["interp_time"][-1][0]) == ["u", "v"]
    evaluated(ds, "interp_time", ["linear"], {"max_gap": "2h"}, variable="w", factor=3)
    obj, options = calls["interp_time"][-1]
    assert list(obj) == ["w"]
    assert options["max_gap"] == pd.Timedelta("6h")
    evaluated(ds, "interp_time", ["linear"], {"vectors": [("w", "v")]}, variable="w")
    assert calls["interp_time"][-1][1]["vectors"] == [("w", "v")]


def test_inversion_is_asked_as_the_user_will(waves, calls):
    call = {"greens": "greens", "dim": "station"}
    plain = evaluated(waves, "invert_waveform", ["wiener"], None, **call)
    given = {"positive": False, "gaps": "window", "resample": True}
    scores = evaluated(waves, "invert_waveform", ["wiener"], given, **call)
    assert all(given.items() <= options.items() for _, options in calls["invert_waveform"][2:])
    assert (scores.misfit != plain.misfit).all()
    # The unit of the source is not that of the records.
    second = evaluated(waves, "invert_waveform", ["wiener"], {"impulse": "second"}, **call)
    np.testing.assert_allclose(second.misfit, plain.misfit, rtol=1e-5)
    with pytest.raises(InputError, match="positive=3: expected True or False"):
        evaluated(waves, "invert_waveform", ["wiener"], {"positive": 3}, **call)


def test_free_amplitudes_are_those_of_stations_left_out_too(waves):
    factor = xr.DataArray([1.0, 30.0, 0.2, 4.0], dims="station")
    call = {"greens": "greens", "dim": "station", "arguments": {"amplitudes": "free"}, **ALONE}
    right, other = (
        waves.assign(record=waves.record * f).geoml.evaluate("invert_waveform", ["wiener"], **call)
        for f in (1.0, factor)
    )
    assert (other.misfit < 0.3).all()
    np.testing.assert_allclose(other.misfit, right.misfit, atol=0.02)


def test_events_count_alike_however_large(waves):
    """A large event must not hide a small one that is explained badly."""
    call = {"greens": "greens", "dim": "station", **ALONE}
    noise = np.random.default_rng(0).normal(0, float(waves.record.std()), waves.record.shape)
    noisy = waves.record + noise
    both = xr.concat([1e6 * waves.record, noisy], "event")
    scores = [
        waves.assign(record=r).geoml.evaluate("invert_waveform", ["wiener"], **call)
        for r in (waves.record, noisy, both)
    ]
    for name in ("misfit", "r"):
        one, other, mean = (s[name] for s in scores)
        np.testing.assert_allclose(mean, (one + other) / 2, rtol=1e-3)


def test_of_what_is_not_known_of_a_source_nothing_is_expected(waves):
    holes = waves.record.copy()
    holes[:, 300:] = np.nan
    cut = waves.assign(record=holes)
    call = {"greens": "greens", "dim": "station"}
    scores = evaluated(cut, "invert_waveform", ["wiener"], {"gaps": "window"}, **call)
    assert (scores.error == "").all()
    assert (scores.misfit < 0.3).all()


@pytest.mark.parametrize(
    ("task", "given", "told"),
    [
        ("fill_gaps", 3, r"arguments=3: expected names and values, such as {'max_gap': 3}"),
        ("fill_gaps", {"mx_gap": 1}, "'mx_gap' is none of fill_gaps .*; did you mean 'max_gap'"),
        (
            "fill_gaps",
            {"covariates": 1},
            "'covariates' is one of evaluate itself; type covariates=",
        ),
        ("fill_gaps", {"model_options": {}}, "'model_options': options go with their model"),
        ("fill_gaps", {"mask": 4}, "mask is a int; expected"),
        ("fill_gaps", {"max_gap": 0}, "max_gap=0: expected at least 1 step"),
        ("downscale", {"weights": "a", "variables": "b"}, "models=.*; 'variables': one variable"),
        ("downscale", {"conserve": 3}, "conserve=3: expected one of"),
        ("interp_time", {"times": 1}, "'times': factor= says which steps are kept"),
        ("interp_time", {"vectors": "uv"}, "vectors='uv': expected pairs"),
        (
            "invert_waveform",
            {"mask": 1},
            r"'mask' is none of invert_waveform .*; found \['positive'",
        ),
    ],
)
def test_others_are_refused_by_name(months, task, given, told):
    with pytest.raises(InputError, match=told):
        months.geoml.evaluate(task, arguments=given)


def test_every_argument_of_a_task_is_passed_on_or_has_a_reason(months):
    """None is ignored without a word: of each there is a place, or a message."""
    for task, passed in PASSED.items():
        parameters = inspect.signature(getattr(xgeoml, task)).parameters
        for name in set(parameters) - {"obj", *passed}:
            with pytest.raises(InputError, match=f"^arguments: '{name}'(:| is one of evaluate)"):
                months.geoml.evaluate(task, arguments={name: 1})


def test_a_covariate_that_tells_what_is_hidden_is_refused(months):
    filled = months.where(months.time != months.time[5]).geoml.fill_gaps("linear").rename("other")
    gappy = months.where(months.time != months.time[5])
    with pytest.raises(InputError, match="covariate 'other' holds the values of 'v' itself"):
        gappy.geoml.evaluate("fill_gaps", ["kalman"], covariates=[filled])


def test_what_auto_stands_for(months, hills, rain, waves):
    assert list(evaluated(months, "fill_gaps", "auto", None).model.values) == ["oi"]
    scores = evaluated(months[:, 0, 0], "fill_gaps", ["linear", "auto", "kalman"], None)
    assert list(scores.model.values) == ["linear", "kalman"], "once"
    scores = evaluated(months[:, 0, 0], "fill_gaps", {"usual": "auto"}, None)
    assert list(scores.model.values) == ["usual"]
    assert list(evaluated(hills, "downscale", ["auto"], None).model.values) == ["subgrid"]
    line = rain[:, 0, 0]
    assert list(evaluated(line, "interp_time", ["auto"], None).model.values) == ["akima"]


def test_a_model_that_is_another_one_without_covariates_is_left_out(months):
    station = months[:, 0, 0]
    scores = station.geoml.evaluate("fill_gaps", repeats=1)
    assert "regression" not in scores.model.values
    scores = station.geoml.evaluate("fill_gaps", ["regression"], repeats=1)
    assert "regression" in scores.model.values
    driver = (station * 0 + np.arange(48) % 5).rename("driver")
    scores = station.geoml.evaluate("fill_gaps", covariates=[driver], repeats=1)
    assert "regression" in scores.model.values


def test_the_best_model_is_that_of_the_call(months, hills, rain, waves, calls, monkeypatch):
    monkeypatch.setattr("xgeoml.tasks.contenders.ready_models", lambda *_: [])
    mask = (months.lon <= 1).rename("quiet")
    full = months[:30].where(months.time != months.time[9]).geoml.fill_gaps("best", mask=mask)
    assert "mask='quiet'" in full.attrs["history"]
    assert calls["fill_gaps"][-1][1]["mask"] is mask
    hills.geoml.downscale(2, "best", minimum=0.0)
    assert calls["downscale"][-1][1]["minimum"] == 0.0
    rain.geoml.interp_time("30min", "best", accumulated=True)
    assert calls["interp_time"][-1][1]["accumulated"] is True
    source = waves.geoml.invert_waveform("best", greens="greens", dim="station", positive=False)
    assert calls["invert_waveform"][-1][1]["positive"] is False
    assert "(best by " in source.attrs["history"]
