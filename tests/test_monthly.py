"""`fill_gaps` with ``freq=``: one field a month."""

import dask
import numpy as np
import pandas as pd
import pytest
import toy_months
import xarray as xr

import xgeoml
from xgeoml.exceptions import SpecError, TimeAxisError
from xgeoml.provenance import FILLED, OBSERVED, UNFILLED
from xgeoml.testing import assert_lazy, raise_if_computes

FLAG, NUMBER, SPREAD = "sst_fill_flag", "sst_n_observed", "sst_spread"
MONTHS = toy_months.SPEC
BOTH = pytest.mark.parametrize("model", ["linear", MONTHS], ids=["steps", "months"])


@pytest.fixture(scope="module")
def sea():
    """Return half a year of cloudy days, some of them absent, one cell seen all through May."""
    made = xgeoml.datasets.cloudy_sst(seed=1, days=190, nlat=9, nlon=10).isel(lat=slice(0, 7))
    may = made["time"].dt.month == 5
    made["sst"] = made["sst"].where(~((made["lat"] == made["lat"][2]) & may), 15.5)
    kept = (made["time"].dt.day != 3) | may
    return made.isel(time=np.flatnonzero(kept))


def same(found, expected):
    xr.testing.assert_allclose(found.drop_attrs(), expected.drop_attrs(), rtol=1e-6)


def months_of(full):
    return full.indexes["time"].strftime("%Y-%m").tolist()


# ---------------------------------------------------------------------------- values


@BOTH
def test_one_field_a_month(sea, model):
    full = sea.geoml.fill_gaps(model, freq="MS")
    assert months_of(full) == [f"2017-{k:02d}" for k in range(4, 11)]
    ocean = sea["sst"].notnull().any("time")
    assert bool((full["sst"].notnull() == ocean).all())
    assert bool((full[FLAG] == UNFILLED).where(~ocean, True).all())
    assert full["sst"].dtype == np.float32
    assert full[FLAG].dtype == np.int8
    seen = sea["sst"].notnull().resample(time="MS").sum()
    np.testing.assert_array_equal(full[NUMBER], seen)
    days = full["time"].dt.days_in_month
    assert bool(((full[FLAG] == OBSERVED) == (full[NUMBER] == days)).all())
    end = sea.geoml.fill_gaps(model, freq="ME")
    np.testing.assert_array_equal(end["sst"], full["sst"])
    assert end.indexes["time"].equals(full.indexes["time"] + pd.offsets.MonthEnd(1))


@BOTH
def test_a_month_seen_throughout_is_the_mean_of_its_days(sea, model):
    data = sea.assign(sst=sea["sst"].astype(np.float64))
    random = np.random.default_rng(0)
    may = np.flatnonzero(data["time"].dt.month == 5)
    data["sst"][may, 2] = 280 + random.standard_normal((31, 10))
    for dataset in (data, data.astype(np.float32)):
        full = dataset.geoml.fill_gaps(model, freq="MS", mask=data["lat"] > 90)
        exact = dataset["sst"][may, 2].values.astype(np.float64).mean(0)
        tolerance = 1e-14 if dataset is data else 0
        np.testing.assert_allclose(
            full["sst"][1, 2], exact.astype(dataset["sst"].dtype), rtol=tolerance
        )
        # Nothing else may be filled.
        assert int(full["sst"].notnull().sum()) == 10
        assert int((full[FLAG] == OBSERVED).sum()) == 10


def test_other_models_fill_the_steps_first(sea):
    whole = pd.date_range("2017-04-01T12", "2017-10-31T12")
    steps = sea.reindex(time=whole).geoml.fill_gaps("climatology")
    expected = steps["sst"].astype(np.float64).resample(time="MS").mean()
    full = sea.geoml.fill_gaps("climatology", freq="MS")
    np.testing.assert_allclose(full["sst"], expected, rtol=1e-6)


@BOTH
def test_a_month_without_data_is_given_too(sea, model):
    for without in (
        sea.where(sea["time"].dt.month != 7),
        sea.isel(time=np.flatnonzero(sea["time"].dt.month != 7)),
    ):
        full = without.geoml.fill_gaps(model, freq="MS")
        assert months_of(full)[3] == "2017-07"
        july = full.isel(time=3)
        ocean = sea["sst"].notnull().any("time")
        assert bool((july["sst"].notnull() == ocean).all())
        assert int(july[NUMBER].sum()) == 0
        assert bool((july[FLAG] == FILLED).where(ocean, True).all())


@BOTH
def test_the_order_of_the_steps_does_not_matter(sea, model):
    order = np.random.default_rng(0).permutation(sea.sizes["time"])
    mask = xr.ones_like(sea["sst"], dtype=bool)
    mask[:100, 3] = False
    given = {"mask": mask.isel(time=order)} if model == "linear" else {}
    expected = sea.geoml.fill_gaps(model, freq="MS", **({"mask": mask} if given else {}))
    for shuffled in (sea.isel(time=order), sea.chunk(time=40).isel(time=order)):
        same(shuffled.geoml.fill_gaps(model, freq="MS", **given), expected)
    twice = xr.concat([sea, sea.isel(time=[5])], "time")
    with pytest.raises(TimeAxisError, match="duplicate stamp"):
        twice.geoml.fill_gaps(model, freq="MS")


def test_covariates_in_any_order(sea):
    random = np.random.default_rng(0)
    daily = pd.date_range("2017-04-01T12", "2017-10-31T12")
    wind = xr.DataArray(random.standard_normal(daily.size), {"time": daily}, ("time",), "wind")
    order = random.permutation(daily.size)
    expected = sea.geoml.fill_gaps("regression", freq="MS", covariates=wind)
    for drivers in (wind.isel(time=order), [wind.isel(time=order)]):
        same(sea.geoml.fill_gaps("regression", freq="MS", covariates=drivers), expected)
    plain = sea.geoml.fill_gaps("regression", freq="MS")
    assert not plain["sst"].equals(expected["sst"])
    dataset = sea.assign(wind=wind.sel(time=sea["time"]))
    with pytest.warns(UserWarning, match="left out: 'wind'"):
        dataset.geoml.fill_gaps("regression", freq="MS", covariates="wind")
    with pytest.raises(SpecError, match="no use of covariates"):
        sea.geoml.fill_gaps(MONTHS, freq="MS", covariates=wind)


def test_a_month_with_a_gap_too_long_stays_missing(sea):
    full = sea.geoml.fill_gaps("linear", freq="MS", max_gap=4)
    steps = sea.reindex(time=pd.date_range("2017-04-01T12", "2017-10-31T12"))
    left = steps.geoml.fill_gaps("linear", max_gap=4)["sst"].isnull().resample(time="MS").any()
    assert 0 < int(left.sum()) < left.size
    np.testing.assert_array_equal(full["sst"].isnull(), left)
    np.testing.assert_array_equal(full[FLAG] == UNFILLED, left)
    with pytest.raises(SpecError, match=r"max_gap=4 says nothing"):
        sea.geoml.fill_gaps(MONTHS, freq="MS", max_gap=4)


@BOTH
def test_a_mask_says_where(sea, model):
    north = sea["lat"] > sea["lat"][3]
    full = sea.geoml.fill_gaps(model, freq="MS", mask=north)
    plain = sea.geoml.fill_gaps(model, freq="MS")
    expected = plain["sst"].where(north | (plain[FLAG] == OBSERVED))
    np.testing.assert_allclose(full["sst"], expected, rtol=1e-6)
    named = sea.assign(north=north).geoml.fill_gaps(model, freq="MS", mask="north")
    np.testing.assert_array_equal(named["sst"], full["sst"])
    assert named["north"].identical(sea.assign(north=north)["north"])


def test_a_mask_along_time_is_not_for_a_model_of_months(sea):
    mask = xr.ones_like(sea["sst"], dtype=bool)
    with pytest.raises(SpecError, match=r"mask lies along 'time'.*mask\.any\('time'\)"):
        sea.geoml.fill_gaps(MONTHS, freq="MS", mask=mask)


def test_the_spread_is_that_of_a_model_of_months(sea):
    full = sea.geoml.fill_gaps(MONTHS, freq="MS", spread=True)
    assert bool((full[SPREAD].notnull() == (full[FLAG] == FILLED)).all())
    assert float(full[SPREAD].min()) > 0
    assert full[SPREAD].attrs["units"] == "degC"
    assert full["sst"].attrs["ancillary_variables"] == f"{FLAG} {NUMBER} {SPREAD}"
    with pytest.raises(SpecError, match=r"not independent.*climanet"):
        sea.geoml.fill_gaps("kalman", freq="MS", spread=True)
    silent = MONTHS.replace(outputs=("value",))
    with pytest.raises(SpecError, match="cannot do spread=True"):
        sea.geoml.fill_gaps(silent, freq="MS", spread=True)


def test_hourly_data(sea):
    stamps = pd.date_range("2001-01-30", "2001-03-01T18", freq="6h")
    random = np.random.default_rng(0)
    values = random.standard_normal((len(stamps), 6, 6)).astype(np.float32)
    values[random.random(values.shape) < 0.4] = np.nan
    values[8:120, 1, 1] = 2.0
    coords = {"time": stamps, "lat": np.arange(6.0), "lon": np.arange(6.0)}
    data = xr.DataArray(values, coords, ("time", "lat", "lon"), "sst")
    for model in ("linear", MONTHS):
        full = data.geoml.fill_gaps(model, freq="MS")
        assert months_of(full) == ["2001-01", "2001-02", "2001-03"]
        assert full[NUMBER][1, 1, 1] == 112
        assert full[FLAG][1, 1, 1] == OBSERVED
        assert full[1, 1, 1] == 2.0
        assert int((full[FLAG] == OBSERVED).sum()) == 1
        assert not full.isnull().any()


@pytest.mark.parametrize("model", ["linear", MONTHS], ids=["steps", "months"])
def test_a_record_without_a_regular_step_is_taken_by_days(sea, model):
    passes = sea["time"].values + np.random.default_rng(0).integers(-600, 600, sea.sizes["time"])[
        :, None
    ].astype("m8[m]").ravel().astype("m8[ns]")
    twice = sea.assign_coords(time=passes)
    twice = xr.concat([twice, twice.assign_coords(time=passes + np.timedelta64(37, "m"))], "time")
    full = twice.geoml.fill_gaps(model, freq="MS")
    expected = sea.geoml.fill_gaps(model, freq="MS")
    np.testing.assert_allclose(full["sst"], expected["sst"], rtol=1e-5)
    np.testing.assert_array_equal(full[NUMBER], expected[NUMBER])
    same(twice.chunk(time=30, lat=3).geoml.fill_gaps(model, freq="MS"), full)


# ---------------------------------------------------------------------------- lazy


@BOTH
@pytest.mark.parametrize(
    "chunks", [{"time": 10}, {"time": 45, "lat": 3}, {"time": -1, "lat": 5, "lon": 4}]
)
def test_lazy_data(sea, model, chunks):
    kwargs = {"freq": "MS", "spread": model is MONTHS}
    with raise_if_computes():
        lazy = sea.chunk(chunks).geoml.fill_gaps(model, **kwargs)
        assert_lazy(lazy[["sst", FLAG, NUMBER]])
        plan = sea.chunk(chunks).geoml.plan(model=model, **kwargs)
    with dask.config.set(scheduler="synchronous"):
        same(lazy.compute(), sea.geoml.fill_gaps(model, **kwargs))
    assert lazy["sst"].transpose(*plan.dims).chunks == plan.chunks


@BOTH
def test_dims_in_any_order(sea, model):
    expected = sea.geoml.fill_gaps(model, freq="MS")
    for dims in (("lon", "time", "lat"), ("lat", "lon", "time")):
        turned = sea.transpose(*dims).geoml.fill_gaps(model, freq="MS")
        assert turned["sst"].dims == turned[FLAG].dims == turned[NUMBER].dims == dims
        same(turned.transpose(*sea["sst"].dims, ...), expected.transpose(*sea["sst"].dims, ...))


def test_members_are_treated_each_by_itself(sea):
    two = sea["sst"].expand_dims(member=[1, 2], axis=3).copy()
    two[..., 1] = two[..., 1].where(np.arange(two.sizes["time"])[:, None, None] % 3 > 0)
    for model in ("linear", MONTHS):
        full = two.geoml.fill_gaps(model, freq="MS")
        for k in (0, 1):
            alone = two.isel(member=k).geoml.fill_gaps(model, freq="MS")
            np.testing.assert_allclose(full.isel(member=k), alone, rtol=1e-6)
        np.testing.assert_allclose(
            two.chunk(member=2, time=50).geoml.fill_gaps(model, freq="MS"), full, rtol=1e-6
        )
