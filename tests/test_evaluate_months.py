"""Evaluation of means of months: days are hidden, and months compared that are known well."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from toy_months import SPEC

import xgeoml
from xgeoml.exceptions import InputError
from xgeoml.registry import all_models
from xgeoml.tasks import trials_of_gaps
from xgeoml.tasks.best import _able
from xgeoml.tasks.contenders import is_ready

ALONE = {"freq": "MS", "baselines": False}


@pytest.fixture(scope="module")
def days():
    """Return four months of days on a grid, complete."""
    time = pd.date_range("2001-01-01", "2001-04-30", freq="D")
    rng = np.random.default_rng(0)
    wander = np.cumsum(rng.normal(0, 1, (time.size, 6, 6)), axis=0)
    coords = {"time": time, "lat": np.arange(6.0), "lon": np.arange(6.0)}
    return xr.DataArray(wander.astype("f4"), coords, ("time", "lat", "lon"), "sst", {"units": "K"})


def mask_of(days, *steps):
    mask = xr.zeros_like(days, bool)
    mask[list(steps)] = True
    return mask


def weighted_rmse(truth, made, where):
    return xgeoml.metrics.rmse(truth, made, where=where)


def test_months_of_what_is_left_are_compared_with_those_of_all(days):
    mask = mask_of(days, *range(40, 55))
    scores = days.geoml.evaluate("fill_gaps", ["linear", SPEC], holdout=mask, **ALONE)
    assert (scores.error == "").all()
    assert scores.attrs["holdout"] == "masks of the user's own; months compared"
    # February alone lost something.
    assert scores.hidden.values.tolist() == [36]
    truth = days.resample(time="MS").mean()
    february = truth.time.dt.month == 2
    for model, name in (("linear", "linear"), (SPEC, SPEC.key)):
        made = days.where(~mask).geoml.fill_gaps(model, freq="MS")
        expected = weighted_rmse(truth, made, february)
        assert float(scores.rmse.sel(model=name)[0]) == pytest.approx(expected, rel=1e-4)
    # Of months alone a spread is told.
    assert np.isfinite(scores.crps.sel(model=SPEC.key)).all()
    assert np.isnan(scores.crps.sel(model="linear")).all()


def test_no_model_of_months_sees_what_is_hidden(days, monkeypatch):
    seen = []
    fill = trials_of_gaps.fill_gaps

    def spy(obj, model, **options):
        seen.append((obj, options))
        return fill(obj, model, **options)

    mask = mask_of(days, *range(40, 55))
    monkeypatch.setattr(trials_of_gaps, "fill_gaps", spy)
    days.geoml.evaluate("fill_gaps", [SPEC], holdout=mask, **ALONE)
    given, options = seen[-1]
    assert options["freq"] == "MS"
    np.testing.assert_array_equal(given["sst"].isnull(), mask)


def test_a_month_counts_if_ten_times_as_much_is_hidden_as_is_missing(days):
    gappy = days.copy()
    gappy[33, :, 0] = np.nan  # 1 day of February, and 2 of March
    gappy[[65, 66], :, 0] = np.nan
    gappy[33, :, 1] = np.nan
    steps = [*range(40, 50), *range(70, 85)]  # 10 days of February, and 15 of March
    mask = mask_of(days, *steps)
    call = {"holdout": mask, "regions": {"one": days.lon == 1, "none": days.lon > 1}}
    scores = gappy.geoml.evaluate("fill_gaps", ["linear"], **call, **ALONE)
    # All of February; of March all but the column without two days.
    assert scores.hidden.values.tolist() == [36 + 30]
    whole = gappy.geoml.fill_gaps("linear", freq="MS")
    made = gappy.where(~mask).geoml.fill_gaps("linear", freq="MS")
    of_one = (whole.time.dt.month.isin([2, 3])) & (whole.lon == 1)
    expected = weighted_rmse(whole, made, of_one)
    found = scores.rmse_by_region.sel(region="one").values.item()
    assert found == pytest.approx(expected, rel=1e-4)


def test_a_record_that_is_too_gappy_is_no_truth(days):
    gappy = days.where(days.time.dt.day % 5 > 0)
    with pytest.raises(InputError, match="the most complete one has 82% of its steps, expected 91"):
        gappy.geoml.evaluate("fill_gaps", ["linear"], **ALONE)
    one = days.where(days.time.dt.day != 3)
    with pytest.raises(InputError, match="too few values of each of the 144 months of cells"):
        one.geoml.evaluate("fill_gaps", ["linear"], holdout=mask_of(days, 40, 70), **ALONE)


def test_hidden_values_are_drawn_until_months_lose_enough(days):
    one = days.where(days.time.dt.day != 3)
    scores = one.geoml.evaluate("fill_gaps", ["linear"], holdout="clouds", repeats=2, **ALONE)
    assert (scores.hidden > 0).all()
    assert scores.attrs["holdout"] == "clouds over 30% of the cells of each step; months compared"


def test_the_order_of_days_and_days_that_are_absent_do_not_matter(days):
    call = {"holdout": {"runs": 6}, "repeats": 2, **ALONE}
    right = days.geoml.evaluate("fill_gaps", ["linear"], **call)
    turned = days.isel(time=np.random.default_rng(1).permutation(120))
    np.testing.assert_array_equal(
        turned.geoml.evaluate("fill_gaps", ["linear"], **call).rmse, right.rmse
    )
    lazy = days.chunk(time=30).to_dataset(name="sst")
    np.testing.assert_allclose(
        lazy.geoml.evaluate("fill_gaps", ["linear"], **call).rmse, right.rmse, rtol=1e-6
    )
    without = days.isel(time=np.delete(np.arange(120), 50))
    scores = without.geoml.evaluate("fill_gaps", ["linear"], holdout={"runs": 20}, **ALONE)
    assert (scores.hidden > 0).all()


def test_days_that_end_at_midnight_are_of_the_month_before(days):
    end = days.time.values + np.timedelta64(1, "D")
    bounds = ("time", "bnds"), np.stack([days.time.values, end], 1)
    late = days.to_dataset().assign_coords(time=("time", end, {"bounds": "time_bnds"}))
    late = late.assign(time_bnds=bounds)
    call = {"holdout": {"runs": 6}, "repeats": 1, **ALONE}
    one, other = (d.geoml.evaluate("fill_gaps", ["linear"], **call) for d in (days, late))
    np.testing.assert_allclose(one.rmse, other.rmse, rtol=1e-6)
    assert one.hidden.values.tolist() == other.hidden.values.tolist()


def test_which_models_make_months(days):
    climanet = next(s for s in all_models() if s.name == "climanet")
    assert is_ready(climanet, months=True)
    assert not is_ready(climanet)
    assert _able("fill_gaps", ["spread"], months=True) == ["climanet"]
    assert "climanet" not in _able("fill_gaps", ["spread"], months=False)
    with pytest.raises(InputError, match=r"climanet@.* makes months of days.*type freq='MS'"):
        days.geoml.evaluate("fill_gaps", fit="climanet")
    with pytest.raises(InputError, match="freq=: not of task='downscale'"):
        days.geoml.evaluate("downscale", freq="MS")
    with pytest.raises(InputError, match="freq='M': expected 'MS'"):
        days.geoml.evaluate("fill_gaps", freq="M")


def test_the_best_model_of_months(days, monkeypatch):
    monkeypatch.setattr("xgeoml.tasks.contenders.ready_models", lambda *_: ["kalman"])
    months = days.isel(lat=slice(0, 2)).geoml.fill_gaps("best", freq="ME")
    assert months.sizes["time"] == 4
    words = months.attrs["history"]
    assert "(best by linear, rmse " in words
    assert "next kalman" in words
