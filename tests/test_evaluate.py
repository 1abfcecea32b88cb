"""Evaluation of gap filling: hidden values reach no model, scores are right, errors are said."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xgeoml
from xgeoml import metrics
from xgeoml.exceptions import GeoMLError, InputError, ModelNotFoundError
from xgeoml.tasks import trials_of_gaps as trials
from xgeoml.tasks.scoring import GAP_LENGTHS

CHEAP = ["linear", "climatology"]


@pytest.fixture(scope="module")
def station():
    """Return six years of months at three stations: a cycle, and noise."""
    time = pd.date_range("2001-01-15", periods=72, freq="MS")
    rng = np.random.default_rng(0)
    cycle = 10 * np.sin(2 * np.pi * np.arange(72) / 12)[:, None] + rng.normal(0, 1, (72, 3))
    data = xr.DataArray(
        cycle.astype("f4"), {"time": time}, ("time", "station"), "level", {"units": "m"}
    )
    return data.where(data.time != time[30])


@pytest.fixture(scope="module")
def scores(station):
    return station.geoml.evaluate("fill_gaps", CHEAP, holdout="steps", repeats=3)


@pytest.fixture
def seen(monkeypatch):
    """Return a list of what models are given."""
    given = []
    fill = trials.fill_gaps

    def spy(obj, model, **options):
        given.append(obj)
        return fill(obj, model, **options)

    monkeypatch.setattr(trials, "fill_gaps", spy)
    return given


def mask_of(station, *steps):
    mask = xr.zeros_like(station, bool)
    mask[list(steps)] = True
    return mask


def test_no_model_sees_what_is_hidden(station, seen):
    mask = mask_of(station, 11, 40, 41)
    result = station.geoml.evaluate("fill_gaps", ["linear"], holdout=mask, baselines=False)
    assert int(result.hidden[0]) == 9
    # The first call looks for suspect steps in all that is known.
    assert len(seen) == 2
    assert np.isnan(seen[1]["level"].values[[11, 40, 41]]).all()
    kept = ~mask.values
    np.testing.assert_array_equal(seen[1]["level"].values[kept], station.values[kept])


def test_options_of_the_run_reach_every_call(station, monkeypatch):
    given = []
    fill = trials.fill_gaps

    def spy(obj, model, **options):
        given.append(options)
        return fill(obj, model, **options)

    monkeypatch.setattr(trials, "fill_gaps", spy)
    options = {"device": "cpu", "batch_size": 7, "precision": "bfloat16", "seed": 5}
    station.geoml.evaluate("fill_gaps", ["linear"], repeats=1, baselines=False, **options)
    assert len(given) == 2
    assert all(options.items() <= each.items() for each in given)


def test_scores_are_those_of_the_hidden_values(station):
    mask = mask_of(station, 11, 40)
    result = station.geoml.evaluate("fill_gaps", ["linear"], holdout=mask, baselines=False)
    made = station.where(~mask).geoml.fill_gaps("linear", spread=True)
    spread = made["level_spread"]
    truth, estimate = station.where(mask), made.where(mask)
    one = result.isel(model=0, repeat=0)
    assert float(one.rmse) == pytest.approx(float(((truth - estimate) ** 2).mean() ** 0.5))
    assert float(one.bias) == pytest.approx(float((estimate - truth).mean()), rel=1e-5)
    for name, metric in {"r": "correlation", "nse": "r2", "kge": "kge", "mae": "mae"}.items():
        expected = getattr(metrics, metric)(station, made, where=mask)
        assert float(one[name]) == pytest.approx(expected, rel=1e-6), name
    for name, metric in {"crps": "crps_normal", "coverage": "coverage"}.items():
        expected = getattr(metrics, metric)(station, made, spread, where=mask)
        assert float(one[name]) == pytest.approx(expected, rel=1e-6), name
    assert float(one.made) == 1.0


def test_the_dataset_says_what_it_is(scores):
    assert scores.rmse.dims == ("model", "repeat")
    assert list(scores.model.values) == CHEAP
    told = {k: scores.attrs[k] for k in ("task", "variable", "units", "score", "best")}
    assert told == {
        "task": "fill_gaps",
        "variable": "level",
        "units": "m",
        "score": "rmse",
        "best": "climatology",
    }
    assert scores.attrs["holdout"] == "single steps, 10% of all"
    assert scores.attrs["xgeoml_evaluation"] == "1"
    assert scores.rmse.attrs == {"long_name": "root mean square error", "units": "m"}
    assert scores.nse.attrs["units"] == "1"
    assert (scores.error == "").all()
    assert (scores.seconds > 0).all()


def test_differences_are_paired(scores):
    apart = scores.rmse.sel(model="linear") - scores.rmse.sel(model="climatology")
    assert float(scores.difference.sel(model="linear")) == pytest.approx(float(apart.mean()))
    half = 4.302653 * float(apart.std(ddof=1)) / 3**0.5  # Student's t of two degrees of freedom
    low, high = (scores[f"difference_{e}"].sel(model="linear") for e in ("low", "high"))
    assert float(high - low) == pytest.approx(2 * half, rel=1e-5)
    assert float(scores.difference.sel(model="climatology")) == 0.0


def test_groups_are_parts_of_the_whole(scores):
    assert list(scores.season.values) == ["DJF", "MAM", "JJA", "SON"]
    assert scores.rmse_by_season.dims == ("model", "repeat", "season")
    # A step beside the one that is missing lacks two in a row.
    assert set(scores.gap_length.values) <= set(GAP_LENGTHS)
    least, most = (getattr(scores.rmse_by_season, f)("season") for f in ("min", "max"))
    assert bool(((least <= scores.rmse) & (scores.rmse <= most)).all())


def test_the_same_seed_hides_the_same(station, scores):
    again = station.geoml.evaluate("fill_gaps", CHEAP, holdout="steps", repeats=3)
    other = station.geoml.evaluate("fill_gaps", CHEAP, holdout="steps", repeats=3, seed=1)
    xr.testing.assert_equal(scores.drop_vars("seconds"), again.drop_vars("seconds"))
    assert (scores.rmse != other.rmse).all()


def test_the_data_stay_as_they_are(station):
    before = station.copy(deep=True)
    lazy = station.chunk(time=24)
    result = lazy.geoml.evaluate("fill_gaps", ["linear"], holdout="runs", repeats=1)
    assert lazy.chunks is not None
    loaded = station.geoml.evaluate("fill_gaps", ["linear"], holdout="runs", repeats=1)
    xr.testing.assert_identical(station, before)
    np.testing.assert_array_equal(result.rmse, loaded.rmse)


def test_a_period_is_all_that_is_hidden(station, seen):
    scores = station.geoml.evaluate(
        "fill_gaps", ["linear"], holdout="steps", repeats=2, period=("2005", None), baselines=False
    )
    assert scores.attrs["holdout"] == "single steps, 10% of all, from 2005"
    for given in seen[1:]:
        changed = given["level"].isnull() & station.notnull()
        assert changed.any()
        assert (given.time[changed.any("station")].dt.year >= 2005).all()


def test_ends_of_a_period_are_told_without_the_time_of_the_day(station):
    first = station.time.values[40]
    result = station.geoml.evaluate("fill_gaps", ["linear"], repeats=1, period=(first, None))
    assert result.attrs["holdout"].endswith(f", from {str(first)[:10]}")


def test_absent_steps_are_gaps_too():
    record = xgeoml.datasets.grace_like(nlat=4, nlon=5).isel(time=slice(0, 60))
    result = record.geoml.evaluate("fill_gaps", ["kalman"], repeats=2)
    assert result.attrs["holdout"] == "the record's own gaps, moved in time"
    assert float(result.rmse.sel(model="kalman").mean()) < float(
        result.rmse.sel(model="linear").mean()
    )


def test_what_was_filled_before_is_no_truth(station):
    filled = station.to_dataset().geoml.fill_gaps("linear")
    mask = mask_of(station, 30)
    with pytest.raises(InputError, match="hides no known value"):
        filled.geoml.evaluate("fill_gaps", ["linear"], holdout=mask)


def test_models_are_trained_on_what_is_not_hidden(station, monkeypatch):
    taught = []

    def fit(obj, model, **options):
        taught.append((obj, model, options["max_epochs"]))
        raise InputError("seen enough")

    monkeypatch.setattr(trials, "fit", fit)
    mask = mask_of(station, 11)
    result = station.geoml.evaluate(
        "fill_gaps", ["linear"], holdout=mask, fit={"grace_tf": {"max_epochs": 1}}
    )
    ((obj, model, epochs),) = taught
    assert (model, epochs) == ("grace_tf", 1)
    assert np.isnan(obj["level"].values[11]).all()
    assert str(result.error.sel(model="grace_tf, fitted").values) == "seen enough"


def test_a_model_that_fails_leaves_the_others(station):
    result = station.geoml.evaluate("fill_gaps", ["linear", "oi"], holdout="steps", repeats=1)
    assert "needs axis" in str(result.error.sel(model="oi").values)
    assert np.isnan(result.rmse.sel(model="oi")).all()
    assert result.attrs["best"] == "climatology"
    with pytest.raises(GeoMLError, match="every model failed:\n  oi: "):
        station.geoml.evaluate("fill_gaps", ["oi"], repeats=1, baselines=False)


def test_labels_are_the_users(station):
    result = station.geoml.evaluate(
        "fill_gaps", {"mine": "linear", "again": "linear"}, repeats=1, baselines=False
    )
    assert list(result.model.values) == ["mine", "again"]
    twice = station.geoml.evaluate("fill_gaps", ["linear", "linear"], repeats=1, baselines=False)
    assert list(twice.model.values) == ["linear", "linear (2)"]
    np.testing.assert_array_equal(twice.rmse[0], twice.rmse[1])


def test_without_models_all_that_are_ready_are_tried(station):
    result = station.geoml.evaluate("fill_gaps", holdout="steps", repeats=1)
    assert {"linear", "climatology", "kalman", "dineof", "grace_tf"} <= set(result.model.values)
    # It makes months of days, and needs a grid.
    assert "climanet" not in result.model.values


def test_metrics_of_ones_own(station):
    xskillscore = pytest.importorskip("xskillscore")

    def worst(truth, estimate):
        return float(abs(estimate - truth).max())

    result = station.geoml.evaluate(
        "fill_gaps",
        ["linear"],
        holdout="steps",
        repeats=1,
        metrics=[worst, "psnr", xskillscore.pearson_r, "xskillscore.me"],
    )
    assert (result.worst >= result.mae).all()
    np.testing.assert_allclose(result.pearson_r, result.r, rtol=1e-5)
    np.testing.assert_allclose(-result["xskillscore.me"], result.bias, rtol=1e-4)
    with pytest.raises(InputError, match=r"did you mean .*'psnr'"):
        station.geoml.evaluate("fill_gaps", metrics=["pnsr"])
    with pytest.raises(InputError, match=r"takes .'truth', 'ensemble'"):
        station.geoml.evaluate("fill_gaps", metrics=["crps"])
    with pytest.raises(GeoMLError, match="expected one number"):
        station.geoml.evaluate(
            "fill_gaps", ["linear"], baselines=False, metrics={"all": lambda a, b: a - b}
        )


def test_what_does_not_vary_has_an_error_of_zero(station):
    result = (station * 0 + 3).geoml.evaluate("fill_gaps", ["linear"], repeats=1, baselines=False)
    assert float(result.rmse[0, 0]) == 0.0
    assert "nse" not in result


def test_regions():
    lat, lon = np.arange(-60.0, 61.0, 20.0), np.arange(0.0, 90.0, 15.0)
    time = pd.date_range("2001-01-01", periods=48, freq="MS")
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (48, 7, 6)) * (1 + 9 * (lat > 23))[:, None]
    data = xr.DataArray(values, {"time": time, "lat": lat, "lon": lon}, ("time", "lat", "lon"), "v")
    kind = {"holdout": "steps", "repeats": 1, "baselines": False}
    bands = data.geoml.evaluate("fill_gaps", ["climatology"], **kind)
    assert list(bands.region.values) == ["90S-23S", "23S-23N", "23N-90N"]
    far = bands.rmse_by_region.isel(model=0, repeat=0)
    assert float(far[2]) > 5 * float(far[0])
    own = data.geoml.evaluate(
        "fill_gaps",
        ["climatology"],
        regions={"north": data.lat > 23, "box": {"lat": slice(90, 23), "lon": slice(None, 200)}},
        **kind,
    )
    np.testing.assert_allclose(own.rmse_by_region.isel(region=0), far[2])
    np.testing.assert_allclose(own.rmse_by_region.isel(region=1), far[2])
    for wrong, told in {
        "a": ({"pole": data.lat > 89}, "'pole' holds no cell"),
        "b": ({"x": 3}, "'x' is int; expected a DataArray of bool"),
        "c": ({"x": {"latitude": slice(0, 1)}}, r"names \['latitude'\]"),
    }.values():
        with pytest.raises(InputError, match=told):
            data.geoml.evaluate("fill_gaps", ["climatology"], regions=wrong, **kind)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"task": "fill"}, "task='fill': expected one of 'fill_gaps'"),
        ({"factor": 2}, "factor=: not of task='fill_gaps'; leave it out"),
        ({"greens": "g", "dim": "station"}, "greens=, dim=: not of task"),
        ({"repeats": 0}, "repeats=0: expected a whole number, 1 or more"),
        ({"period": "2001"}, "period='2001': expected two dates"),
        ({"period": ("2030", None)}, "no step lies in it; the data have 2001-02-01"),
        ({"holdout": xr.DataArray([1, 0])}, "holdout is a DataArray of int64; expected bool"),
        ({"models": []}, "no model to evaluate"),
        ({"models": 3}, "models=3: expected names, paths or models"),
        ({"models": ["best"]}, "'best' is what comes out"),
        ({"models": ["climanet"]}, "makes months of days, .*; type freq='MS'"),
        ({"fit": 3}, "fit=3: expected names of models that learn"),
        ({"variable": "w"}, "goes with a Dataset; a DataArray is one variable"),
        ({"metrics": ["nothing"]}, "metrics: 'nothing'"),
    ],
)
def test_what_is_wrong_is_said(station, given, told):
    given = {"task": "fill_gaps", "baselines": False, **given}
    with pytest.raises(GeoMLError, match=told):
        station.geoml.evaluate(given.pop("task"), **given)


def test_an_unknown_model_is_named_at_once(station):
    with pytest.raises(ModelNotFoundError, match="kalman"):
        station.geoml.evaluate("fill_gaps", ["kalmann"])


def test_masks_lie_on_labels_or_on_the_same_cells(station):
    masks = [station.time.dt.year == y for y in (2002, 2003)]
    result = station.geoml.evaluate("fill_gaps", ["linear"], holdout=masks, baselines=False)
    assert result.sizes["repeat"] == 2
    assert result.hidden.values.tolist() == [36, 33]  # one month of 2003 is missing
    with pytest.raises(InputError, match="has 2 masks, one for each repeat"):
        station.geoml.evaluate("fill_gaps", ["linear"], holdout=masks, repeats=3)
    short = xr.DataArray(np.ones(7, bool), dims="time")
    with pytest.raises(InputError, match=r"has the sizes {'time': 7} and no coordinates"):
        station.geoml.evaluate("fill_gaps", ["linear"], holdout=short)
    other = xr.DataArray(np.ones(7, bool), dims="depth")
    with pytest.raises(InputError, match=r"has the dims \['depth'\]"):
        station.geoml.evaluate("fill_gaps", ["linear"], holdout=other)
