"""`fill_gaps` from end to end: what is filled, what is kept, what is written beside it."""

from datetime import timedelta

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xgeoml
from xgeoml.exceptions import AxisError, InputError
from xgeoml.provenance import FILLED, OBSERVED, UNFILLED
from xgeoml.spec import Channel, ModelSpec
from xgeoml.testing import assert_lazy, raise_if_computes, records

NAME = "lwe_thickness"
FLAG, SPREAD = f"{NAME}_fill_flag", f"{NAME}_spread"


# ---------------------------------------------------------------------------- time


def test_absent_months_are_added_and_filled(record):
    full = record.geoml.fill_gaps("linear")
    months = full.indexes["time"].to_period("M")
    assert len(months.unique()) == full.sizes["time"] == 63
    assert set(months.strftime("%Y-%m")) - set(
        record.indexes["time"].to_period("M").strftime("%Y-%m")
    ) == {"2002-06", "2002-07", "2003-06"}
    land = record[NAME].notnull().any("time")
    assert bool(full[NAME].notnull().where(land, True).all())
    assert bool(full[NAME].isnull().where(~land, True).all())
    added = full[FLAG].sel(time="2002-06").where(land, FILLED)
    assert bool((added == FILLED).all())


def test_stamps_off_the_centre_are_kept(record):
    full = record.geoml.fill_gaps("linear")
    assert np.isin(record["time"].values, full["time"].values).all()
    assert full.indexes["time"].is_monotonic_increasing
    assert np.datetime64("2004-01-07T12:00") in full["time"].values
    assert full["time"].dtype == record["time"].dtype


def test_the_two_stamps_of_april_2015():
    whole = xgeoml.datasets.grace_like(nlat=4, nlon=5)
    full = whole.geoml.fill_gaps("linear")
    assert full.sizes["time"] == 265
    assert whole.sizes["time"] == 232
    kept = full.sel(time=whole["time"])
    np.testing.assert_array_equal(kept[NAME].where(whole[NAME].notnull()), whole[NAME])


def test_a_complete_record_comes_back_as_it_was(record):
    full = record.geoml.fill_gaps("linear")[[NAME]]
    again = full.geoml.fill_gaps("linear")
    np.testing.assert_array_equal(again[NAME], full[NAME])
    assert set(np.unique(again[FLAG])) <= {OBSERVED, UNFILLED}


def test_daily_and_hourly_records_are_completed():
    for freq, n in (("D", 60), ("6h", 80), ("h", 100)):
        stamps = pd.date_range("2001-03-01", periods=n, freq=freq)
        data = xr.DataArray(np.sin(np.arange(n) / 5), {"time": stamps}, ["time"])
        full = data.isel(time=np.setdiff1d(np.arange(n), [7, 8, 30])).geoml.fill_gaps("linear")
        assert full.indexes["time"].equals(pd.Index(stamps, name="time"))
        assert bool(np.isfinite(full).all())


def test_time_by_another_name(record):
    data = record[NAME].drop_attrs().rename(time="when", lat="a", lon="b")
    full = data.geoml.fill_gaps("linear", dims={"T": "when"})
    np.testing.assert_array_equal(full, record[NAME].geoml.fill_gaps("linear"))
    assert full.dims == ("when", "a", "b")


# ---------------------------------------------------------------------------- which gaps


@pytest.mark.parametrize(
    ("max_gap", "left"),
    [
        (1, [2, 4]),
        (2, [0, 3]),
        (3, [0, 0]),
        ("2D", [2, 3]),
        ("3D", [0, 3]),
        (timedelta(days=4), [0, 0]),
        (np.timedelta64(4, "D"), [0, 0]),
        (np.int64(3), [0, 0]),
        (pd.Timedelta("1D"), [3, 3]),
        (None, [0, 0]),
    ],
)
def test_gaps_that_are_too_long_stay(series, max_gap, left):
    if isinstance(max_gap, int | np.integer) and max_gap == 1:
        left = [2, 3]  # the gap at the start is one step long
    full = series.geoml.fill_gaps("linear", max_gap=max_gap)
    assert full.isnull().sum("time").values.tolist() == left
    unfilled = (full["level_fill_flag"] == UNFILLED).sum("time")
    assert unfilled.values.tolist() == left
    lazy = series.chunk(time=3).geoml.fill_gaps("linear", max_gap=max_gap)
    assert lazy.compute().identical(full.assign_attrs(lazy.attrs))


def test_absent_steps_count_as_a_gap(record):
    full = record.geoml.fill_gaps("linear", max_gap=1)
    land = record[NAME].notnull().any("time")
    flag = full[FLAG]
    assert bool((flag.sel(time=slice("2002-06", "2002-07")) == UNFILLED).all())
    assert bool((flag.sel(time="2003-06") == FILLED).where(land, True).all())


def test_a_mask_by_name_and_as_an_array(record):
    open_sea = xr.DataArray(np.arange(4) % 2 == 0, {"lat": record["lat"]}, ["lat"], "here")
    dataset = record.assign(here=open_sea)
    named = dataset.geoml.fill_gaps("linear", mask="here")
    given = record.geoml.fill_gaps("linear", mask=open_sea)
    bare = record[NAME].geoml.fill_gaps("linear", mask=open_sea.drop_vars("lat"))
    plain = record.geoml.fill_gaps("linear")
    expected = plain[NAME].where(open_sea | (plain[FLAG] != FILLED))
    for found in (named[NAME], given[NAME], bare):
        np.testing.assert_array_equal(found, expected)
    assert named["here"].identical(dataset["here"])
    assert FLAG not in open_sea.coords


def test_a_mask_of_integers_over_all_space(record):
    record = record.fillna(record.mean())
    mask = xr.ones_like(record[NAME].isel(time=0, drop=True), dtype=np.int8).transpose("lon", "lat")
    np.testing.assert_array_equal(
        record.geoml.fill_gaps("linear", mask=mask)[NAME], record.geoml.fill_gaps("linear")[NAME]
    )
    nothing = record.geoml.fill_gaps("linear", mask=mask * 0)
    assert not bool((nothing[FLAG] == FILLED).any())


def test_a_mask_of_shares_is_where_half_and_more_are(record):
    shares = xr.DataArray([0.4, 0.5, np.nan, 1.0], {"lat": record["lat"]}, ["lat"], "land")
    xr.testing.assert_equal(
        record.geoml.fill_gaps("linear", mask=shares)[NAME],
        record.geoml.fill_gaps("linear", mask=shares >= 0.5)[NAME],
    )
    with pytest.raises(InputError, match=r"float64 and is lazy; .* gaps may be filled: .*land > 0"):
        record.geoml.fill_gaps("linear", mask=shares.chunk())
    with pytest.raises(InputError, match=r"values that are no shares, 0 to 1; .*mask=land > 0.5"):
        record.geoml.fill_gaps("linear", mask=2 * shares)


def test_a_mask_along_time_says_nothing_of_absent_steps():
    data = records.record().to_dataset()
    late = data["storage"]["time"].dt.year > 2002
    plain = data.geoml.fill_gaps("linear")
    expected = plain["storage_fill_flag"].values
    known = plain.indexes["time"].isin(data.indexes["time"])
    off = known & (plain.indexes["time"].year <= 2002)
    expected[off] = np.where(expected[off] == FILLED, UNFILLED, expected[off])
    second = data.assign(other=data["storage"] * 2, late=late)
    with pytest.warns(UserWarning, match=r"'late' \(bool\) became floating-point"):
        named = data.assign(late=late).geoml.fill_gaps("linear", mask="late")
    with pytest.warns(UserWarning, match=r"'late' \(bool\) became floating-point"):
        both = second.geoml.fill_gaps("linear", mask="late")
    for made in (
        data.geoml.fill_gaps("linear", mask=late),
        data.chunk(lat=2).geoml.fill_gaps("linear", mask=late.chunk()),
        named,
        both,
    ):
        np.testing.assert_array_equal(made["storage_fill_flag"], expected)
    np.testing.assert_array_equal(made["other_fill_flag"], expected)
    whole = plain["time"].dt.year > 2002
    expected[(plain.indexes["time"].year <= 2002) & ~known] = UNFILLED
    expected[:, 1, 2] = UNFILLED
    made = data.geoml.fill_gaps("linear", mask=whole)
    np.testing.assert_array_equal(made["storage_fill_flag"], expected)
    with pytest.raises(InputError, match="1 time steps that the data have not"):
        data.geoml.fill_gaps(
            "linear",
            mask=late.shift(time=1, fill_value=True).assign_coords(
                time=[np.datetime64("1999-01-01", "ns"), *late["time"].values[1:]]
            ),
        )


def test_a_mask_that_lies_elsewhere_is_refused(record):
    record = record.fillna(record.mean())
    mask = xr.ones_like(record[NAME].isel(time=0, drop=True), dtype=bool)
    moved = mask.assign_coords(lat=mask["lat"] + 0.5)
    with pytest.raises(
        InputError, match=r"mask lies elsewhere along 'lat'.*mask\.reindex\(lat=obj\["
    ):
        record.geoml.fill_gaps("linear", mask=moved)
    # The cure that the message names.
    record.geoml.fill_gaps("linear", mask=moved.reindex(lat=record["lat"], method="nearest"))


def test_a_mask_whose_cells_are_in_another_order(record):
    record = record.fillna(record.mean())
    mask = xr.ones_like(record[NAME].isel(time=0, drop=True), dtype=bool)
    mask[0, 1] = mask[3, 2] = False
    expected = record.geoml.fill_gaps("linear", mask=mask)
    turned = record.geoml.fill_gaps("linear", mask=mask.isel(lat=slice(None, None, -1)))
    np.testing.assert_array_equal(turned[FLAG], expected[FLAG])


# ---------------------------------------------------------------------------- which variables


def test_variables_named_and_found(record, drivers):
    dataset = record.assign(
        double=2 * record[NAME],
        count=record[NAME].notnull().sum("time"),
        height=record[NAME].isel(time=0, drop=True),
        time_bnds=(("time", "nv"), np.zeros((60, 2)), {}),
    )
    dataset["time"].attrs["bounds"] = "time_bnds"
    full = dataset.geoml.fill_gaps("linear")
    assert {v for v in full if str(v).endswith("_flag")} == {FLAG, "double_fill_flag"}
    one = dataset.geoml.fill_gaps("linear", variables="double")
    assert {v for v in one if str(v).endswith("_flag")} == {"double_fill_flag"}
    assert one.sizes["time"] == 63
    assert bool(one[NAME].sel(time="2002-06").isnull().all())
    both = dataset.geoml.fill_gaps("linear", variables=["double", NAME])
    np.testing.assert_array_equal(both[NAME], full[NAME])
    assert one["height"].identical(dataset["height"])


def test_flags_and_spreads_of_an_earlier_call_are_left_alone(record):
    full = record.geoml.fill_gaps("kalman", spread=True)
    again = full.geoml.fill_gaps("linear", spread=True)
    assert set(again) == set(full)
    for name in full:
        np.testing.assert_array_equal(again[name], full[name])
        assert again[name].dtype == full[name].dtype


def test_only_flags_and_spreads_of_variables_that_are_there_are_skipped(record):
    dataset = record.rename({NAME: "price_spread"})
    full = dataset.geoml.fill_gaps("linear")
    assert "price_spread_fill_flag" in full
    both = record.assign({SPREAD: 0.1 * record[NAME]}).geoml.fill_gaps("linear")
    assert f"{SPREAD}_fill_flag" not in both


def test_a_variable_named_twice_is_filled_once(record):
    twice = record.geoml.fill_gaps("linear", variables=[NAME, NAME])
    np.testing.assert_array_equal(twice[FLAG], record.geoml.fill_gaps("linear")[FLAG])
    nameless = record.rename({NAME: None})
    np.testing.assert_array_equal(nameless.geoml.fill_gaps("linear")[None], twice[NAME])


def test_dims_are_meant_for_those_variables_that_have_them(record):
    other = record[NAME].rename("other").drop_attrs().rename(time="when", lat="a", lon="b")
    dataset = record.assign(other=other)
    full = dataset.geoml.fill_gaps("linear", dims={"T": "when"})
    assert {FLAG, "other_fill_flag"} <= set(full)
    np.testing.assert_array_equal(full["other"], full[NAME])
    with pytest.raises(AxisError, match="'whne'"):
        dataset.geoml.fill_gaps("linear", dims={"T": "whne"})


# ---------------------------------------------------------------------------- lazy


def test_from_zarr_to_zarr(record, tmp_path):
    pytest.importorskip("zarr")
    record.chunk(lat=2, lon=3, time=-1).to_zarr(tmp_path / "in.zarr", consolidated=False)
    expected = record.geoml.fill_gaps("kalman", spread=True)
    for chunks in ({}, {"time": 10}, {"time": 7, "lat": 1}):
        lazy = xr.open_zarr(tmp_path / "in.zarr", consolidated=False).chunk(chunks)
        with raise_if_computes():
            full = lazy.geoml.fill_gaps("kalman", spread=True)
            assert_lazy(full[[NAME, FLAG, SPREAD]])
        full.to_zarr(tmp_path / "out.zarr", mode="w", consolidated=False)
        with xr.open_zarr(tmp_path / "out.zarr", consolidated=False) as again:
            for name in (NAME, FLAG, SPREAD):
                np.testing.assert_array_equal(again[name], expected[name])


@pytest.mark.parametrize(
    "make",
    [
        lambda d: d.chunk(lat=2).isel(time=slice(0, 40)),
        lambda d: d.chunk(lat=2).isel(lat=slice(1, 3)),
        lambda d: d.chunk(time=5).chunk(time=7, lat=2),
        lambda d: d.chunk(time=1),
        lambda d: xr.concat(
            [d.isel(time=slice(0, 30)).chunk(lat=2), d.isel(time=slice(30, None)).chunk(lat=3)],
            "time",
        ),
        lambda d: d.chunk(lon=2).sel(time=slice("2002", "2005")).roll(lon=2),
        lambda d: (d.chunk(lat=2) * 2).astype("f8").transpose("lon", "time", "lat"),
    ],
    ids=["time", "lat", "rechunked", "stepwise", "concat", "rolled", "turned"],
)
def test_lazy_data_of_any_make(record, make):
    lazy = make(record[NAME])
    expected = lazy.compute().geoml.fill_gaps("kalman")
    found = lazy.geoml.fill_gaps("kalman")
    assert_lazy(found)
    np.testing.assert_array_equal(found.compute(), expected)
    np.testing.assert_array_equal(found[FLAG].compute(), expected[FLAG])


def test_options_are_read_when_the_call_is_made(record):
    lazy = record.chunk(lat=2)
    with xgeoml.set_options(seed=5):
        full = lazy.geoml.fill_gaps("dineof")
    again = record.geoml.fill_gaps("dineof", seed=5)
    np.testing.assert_array_equal(full[NAME].compute(), again[NAME])


def test_other_threads_give_the_same(record):
    full = record.chunk(lat=1, lon=2).geoml.fill_gaps("kalman")
    with dask.config.set(scheduler="threads", num_workers=4):
        one = full.compute()
    with dask.config.set(scheduler="synchronous"):
        assert one.identical(full.compute())


# ---------------------------------------------------------------------------- models and plans


@pytest.mark.parametrize(
    ("n", "model", "grid"),
    [(20, "linear", False), (40, "kalman", False), (20, "oi", True), (40, "oi", True)],
)
def test_auto_follows_the_rule(record, n, model, grid):
    data = record.isel(time=slice(0, n))
    if not grid:
        data = data.isel(lat=0)
    plan = data.geoml.plan()
    assert plan.model.startswith(f"{model}@")
    auto, named = data.geoml.fill_gaps(), data.geoml.fill_gaps(model)
    np.testing.assert_array_equal(auto[NAME], named[NAME])


def test_auto_with_covariates_heeds_them(record, drivers):
    from xgeoml.tasks.choose import automatic

    for n_covariates in (0, 1, 2):
        assert automatic(24, n_covariates, grid=False)[0] == "kalman"
        assert automatic(24, n_covariates, grid=True)[0] == "oi"
    assert automatic(23, 2, grid=False)[0] == automatic(23, 2, grid=True)[0] == "regression"
    assert automatic(23, 0, grid=False)[0] == "linear"
    assert automatic(3, 0, grid=True)[0] == "oi"
    for n, model in ((15, "regression"), (1, "regression"), (40, "oi")):
        some = record.isel(time=slice(0, n))
        given = {"covariates": [drivers["tp"], drivers["t2m"]]}
        plan = some.geoml.plan(**given)
        assert plan.model == f"{model}@1.0"
        told = "a grid" if model == "oi" else f"{n + plan.n_added} steps"
        assert told in plan.reason
        auto = some.geoml.fill_gaps(**given)
        np.testing.assert_array_equal(auto[NAME], some.geoml.fill_gaps(model, **given)[NAME])
        land = record[NAME].notnull().any("time") & some[NAME].notnull().any("time")
        assert bool(auto[NAME].notnull().where(land, True).all())


def test_options_of_the_model(record):
    spec = ModelSpec(
        name="toy",
        task="fill_gaps",
        factory="toys:SeriesNet",
        inputs=(Channel("value"), Channel("validity")),
    )
    few = record.geoml.fill_gaps(spec, model_options={"seed": 1})
    same = record.geoml.fill_gaps(spec.with_options({"seed": 1}))
    many = record.geoml.fill_gaps(spec, model_options={"seed": 2})
    assert few[NAME].equals(same[NAME])
    assert not few[NAME].equals(many[NAME])


@pytest.mark.parametrize("chunks", [{"lat": 2, "lon": 3}, {"lat": 3, "time": 7}, {"time": 1}])
def test_a_plan_says_what_the_call_does(record, drivers, chunks):
    lazy = record.chunk(chunks)
    with raise_if_computes():
        plan = lazy.geoml.plan(model="kalman", spread=True)
    full = lazy.geoml.fill_gaps("kalman", spread=True)
    turned = full[NAME].transpose(*plan.dims)
    assert plan.task == "fill_gaps"
    assert plan.model == "kalman@1.0"
    assert plan.reason == "as asked"
    assert plan.variable == NAME
    assert plan.dims == ("lat", "lon", "time")
    assert turned.shape == plan.engine.shape
    assert turned.chunks == plan.chunks
    assert plan.n_added == full.sizes["time"] - record.sizes["time"] == 3
    assert plan.missing is None
    assert plan.memory > 0
    whole = record.geoml.plan(model="kalman")
    assert all(len(c) == 1 for c in whole.chunks)
    added = full[NAME].isnull().sum() + (full[FLAG] == FILLED).sum()
    assert whole.missing == pytest.approx(float(added / full[NAME].size))
    text = repr(whole)
    for told in ("kalman@1.0", "as asked", "monthly", "lat: 4", "3 absent"):
        assert told in text, text


def test_a_plan_of_each_kind_of_object(record):
    expected = record.geoml.plan(model="linear")
    assert record[NAME].geoml.plan(model="linear") == expected
    tree = xr.DataTree.from_dict({"/a": record})
    assert tree.geoml.plan(model="linear") == expected
    for name in (None, "time", "lat"):
        assert record[NAME].rename(name).geoml.plan(model="linear").dims == expected.dims
    two = record.assign(double=record[NAME] * 2)
    assert two.geoml.plan(model="linear", variable="double").variable == "double"


def test_tiles_are_the_same_from_north_to_south_and_across_greenwich():
    record = records.record()
    turned = record.isel(lat=slice(None, None, -1)).geoml.fill_gaps("oi")
    full = record.geoml.fill_gaps("oi")
    np.testing.assert_array_equal(turned.isel(lat=slice(None, None, -1)), full)
    across = record.assign_coords(lon=("lon", [358.0, 359, 0, 1, 2, 3, 4], record.lon.attrs))
    np.testing.assert_array_equal(across.geoml.fill_gaps("oi"), full)
