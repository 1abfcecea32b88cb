"""Totals over intervals: their parts add up, whatever the intervals, the chunks and the model."""

import dataclasses

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from toy_in_time import Refuses, interp, look, totals

import xgeoml
from xgeoml.engine.totals import divide, signs
from xgeoml.exceptions import InputError, TimeAxisError

MODELS = ["linear", "cubic", "akima", look("rows", whole=True)]
HOUR = np.timedelta64(1, "h")


def parts(obj, freq=None, model="linear", **options):
    return interp(obj, freq, model, accumulated=True, **options)


def with_bounds(rain, place="end"):
    """Return the Dataset of daily totals, stamped at the end, start or middle of each day."""
    start = rain.time.values - 24 * HOUR
    shift = {"end": 24, "start": 0, "middle": 12}[place]
    made = rain.assign_coords(time=start + shift * HOUR).to_dataset()
    made["time"].attrs["bounds"] = "time_bnds"
    return made.assign(time_bnds=(("time", "nv"), np.stack([start, start + 24 * HOUR], 1)))


def sums(made, n):
    """Return the sums of n times in a row."""
    values = made.transpose("time", ...).values
    return values.reshape(-1, n, *values.shape[1:]).sum(1)


@pytest.mark.parametrize("model", MODELS, ids=["linear", "cubic", "akima", "fields"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_parts_add_up(model, dtype):
    rain = totals(dtype=dtype)
    made = parts(rain, "1h", model)
    assert made.dtype == dtype
    assert made.sizes["time"] == 12 * 24
    assert float(made.min()) >= 0.0
    close = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(sums(made, 24), rain, rtol=close, atol=0)
    dry = np.repeat(rain.values == 0, 24, axis=0)
    assert bool((made.values[dry] == 0).all())


def test_values_of_both_signs_add_up():
    heat = totals().assign_attrs(units="J m-2")
    heat = heat.copy(data=np.random.default_rng(3).standard_normal(heat.shape) * 1e6)
    for model in MODELS:
        made = parts(heat, factor=8, model=model)
        scale = np.abs(heat).max()
        np.testing.assert_allclose(sums(made, 8), heat, atol=1e-12 * float(scale))
    for sign in (1, -1):
        made = parts(sign * np.abs(heat), factor=8, model="cubic")
        assert bool((sign * made >= 0).all())
    flipped = parts(-heat, factor=8, model="cubic")
    np.testing.assert_allclose(flipped, -parts(heat, factor=8, model="cubic"), atol=1e-6)


def test_stamps_and_bounds_keep_their_place():
    rain = totals()
    expected = parts(rain, "6h")
    assert expected.time.values[0] == rain.time.values[0] - 18 * HOUR
    assert expected.time.values[-1] == rain.time.values[-1]
    for place, shift in (("end", 6), ("start", 0), ("middle", 3)):
        made = parts(with_bounds(rain, place), "6h")
        start = rain.time.values[0] - 24 * HOUR
        stamps = start + (shift + 6 * np.arange(48)) * HOUR
        np.testing.assert_array_equal(made.time, stamps)
        np.testing.assert_array_equal(made["time_bnds"][:, 0], stamps - shift * HOUR)
        np.testing.assert_array_equal(made["time_bnds"][:, 1], stamps + (6 - shift) * HOUR)
        np.testing.assert_array_equal(made["tp"], expected)
        assert made["tp"].attrs["cell_methods"] == "time: sum"
        for again in (
            parts(with_bounds(rain, place), factor=4),
            parts(with_bounds(rain, place), times=stamps),
        ):
            assert again["tp"].drop_attrs().identical(made["tp"].drop_attrs())
            assert again["time_bnds"].identical(made["time_bnds"])


def test_the_rate_is_interpolated_between_the_middles():
    """A rate that rises evenly: linear between the middles of days, even beyond the outer ones."""
    rain = totals(6)
    rain = rain.copy(data=np.broadcast_to(np.arange(1.0, 7.0)[:, None, None], rain.shape))
    made = parts(rain, "6h")[:, 0, 0].values
    rate = np.interp(np.arange(3, 144, 6) / 24, np.arange(6) + 0.5, np.arange(1.0, 7.0))
    expected = rate.reshape(6, 4) / rate.reshape(6, 4).sum(1, keepdims=True)
    expected *= np.arange(1.0, 7.0)[:, None]
    np.testing.assert_allclose(made, expected.ravel(), rtol=1e-12)
    odd = parts(rain, "8h")[:, 0, 0].values.reshape(6, 3)
    # Beside the middle of a day the rate rises and falls alike.
    np.testing.assert_allclose(odd[1:-1, 1], np.arange(2.0, 6.0) / 3, rtol=1e-12)


@pytest.mark.parametrize(
    "chunks",
    [{"time": 1}, {"time": -1, "lat": 1}, {"time": 5, "lon": 3}, {"time": (1, 9, 20)}, {"time": 8}],
    ids=str,
)
@pytest.mark.parametrize("model", ["cubic", look("rows", whole=True)], ids=["cells", "fields"])
def test_lazy_totals_have_the_same_bits(model, chunks, monkeypatch):
    from xgeoml.engine import in_time_run

    monkeypatch.setattr(in_time_run, "CHUNK_ELEMENTS", 1)
    rain = totals(30)
    rain[4, 1, 1] = rain[11] = np.nan
    expected = parts(with_bounds(rain), "3h", model)
    with dask.config.set(scheduler=Refuses()):
        lazy = parts(with_bounds(rain.chunk(chunks)), "3h", model)
    assert lazy["tp"].chunks is not None
    assert lazy["tp"].compute().values.tobytes() == expected["tp"].values.tobytes()


def test_missing_totals_have_missing_parts():
    rain = totals()
    rain[3, 0, 0] = rain[7] = np.nan
    rain[9, 1, 2] = np.inf
    made = parts(rain, "6h", "akima")
    gone = np.repeat(~np.isfinite(rain.values), 4, axis=0)
    np.testing.assert_array_equal(np.isnan(made), gone)
    known = np.isfinite(rain.values)
    np.testing.assert_allclose(sums(made, 4)[known], rain.values[known], rtol=1e-12)
    lonely = rain.copy(data=np.full(rain.shape, np.nan))
    lonely[5] = 0.004
    alone = parts(lonely, "6h")
    np.testing.assert_allclose(alone[20:24], 0.001)
    assert int(alone.notnull().sum()) == 4 * 12


def test_months_are_divided_into_days_and_years_into_months():
    months = totals().assign_coords(time=pd.date_range("2001-01-01", periods=12, freq="MS"))
    edges = pd.date_range("2001-01-01", periods=13, freq="MS")
    given = months.to_dataset().assign(
        time_bnds=(("time", "nv"), np.stack([edges[:-1], edges[1:]], 1))
    )
    days = parts(given, "1D")
    assert days.sizes["time"] == 365
    assert days.time.values[31] == np.datetime64("2001-02-01")
    sums_of = days["tp"].resample(time="MS").sum()
    np.testing.assert_allclose(sums_of, months, rtol=1e-12)
    with pytest.raises(InputError, match=r"freq='5D' does not divide the interval 2001-01-01 to"):
        parts(given, "5D")
    years = totals(3).assign_coords(time=pd.date_range("2001-01-01", periods=3, freq="YS"))
    edges = pd.date_range("2001-01-01", periods=4, freq="YS")
    yearly = years.to_dataset().assign(
        time_bnds=(("time", "nv"), np.stack([edges[:-1], edges[1:]], 1))
    )
    made = parts(yearly, "MS")
    assert made.sizes["time"] == 36
    np.testing.assert_allclose(made["tp"].resample(time="YS").sum(), years, rtol=1e-12)
    with pytest.raises(InputError, match="does not divide the interval"):
        parts(yearly, "W")
    cf = xr.date_range("2001", periods=4, freq="YS", calendar="360_day", use_cftime=True)
    other = years.assign_coords(time=cf[:3]).to_dataset()
    other["time_bnds"] = (("time", "nv"), np.stack([cf[:-1], cf[1:]], 1))
    made = parts(other, "MS")
    assert made.sizes["time"] == 36
    np.testing.assert_allclose(sums(made["tp"], 12), years, rtol=1e-12)
    assert parts(other, "1D").sizes["time"] == 1080


def test_intervals_of_several_lengths_and_with_gaps():
    rain = totals()
    uneven = rain.isel(time=[0, 1, 3, 6, 7])
    made = parts(uneven, "6h")
    assert made.sizes["time"] == 4 * (1 + 1 + 2 + 3 + 1)
    owner = np.repeat(np.arange(5), [4, 4, 8, 12, 4])
    totals_of = np.stack([made.values[owner == k].sum(0) for k in range(5)])
    np.testing.assert_allclose(totals_of, uneven, rtol=1e-12)
    gaps = with_bounds(rain).isel(time=[0, 1, 5, 6])
    made = parts(gaps, "12h")
    assert made.sizes["time"] == 8
    np.testing.assert_allclose(sums(made["tp"], 2), gaps["tp"], rtol=1e-12)
    one = parts(with_bounds(rain).isel(time=[3]), "6h")
    np.testing.assert_allclose(one["tp"], np.repeat(rain[3:4].values / 4, 4, axis=0))


def test_some_of_the_intervals():
    rain = with_bounds(totals())
    some = rain.time.values[2] + np.array([-18, -10, 0, 30, 48]) * HOUR
    some[3] = rain.time.values[4] - 18 * HOUR
    some[4] = rain.time.values[4]
    made = parts(rain, times=some)
    np.testing.assert_array_equal(made.time, some)
    np.testing.assert_allclose(made["tp"][:3].sum("time"), rain["tp"][2], rtol=1e-12)
    np.testing.assert_allclose(made["tp"][3:].sum("time"), rain["tp"][4], rtol=1e-12)
    lengths = (made["time_bnds"][:, 1] - made["time_bnds"][:, 0]) / HOUR
    np.testing.assert_array_equal(lengths, [6, 8, 10, 6, 18])


@pytest.mark.parametrize(
    ("place", "which"),
    [
        ("end", [0, 1]),
        ("end", [0, 2, 4, 5, 6, 7]),
        ("start", [1, 2, 3]),
        ("start", [0, 1, 2, 3, 5]),
        ("middle", [0, 1]),
        ("middle", [1]),
    ],
)
def test_times_that_do_not_divide_the_intervals(place, which):
    rain = with_bounds(totals(), place)
    right = parts(rain, "6h").time.values
    with pytest.raises(InputError, match=f"expected the {place}s of parts that make up each"):
        parts(rain, times=right[which])
    with pytest.raises(TimeAxisError, match="expected times from"):
        parts(rain, times=right + 48 * HOUR)


def test_stamps_at_no_place_of_their_intervals():
    rain = with_bounds(totals(), "start")
    odd = rain.assign_coords(time=rain.time + 5 * HOUR)
    odd["time"].attrs["bounds"] = "time_bnds"
    made = parts(odd, factor=2)
    hours = (made.time.values[:2] - odd["time_bnds"].values[0, 0]) / HOUR
    np.testing.assert_allclose(hours, [2.5, 14.5])
    with pytest.raises(InputError, match="neither at the ends, nor at the starts"):
        parts(odd, times=made.time)


def test_a_record_without_bounds():
    rain = totals()
    ends = parts(rain, factor=2)
    np.testing.assert_allclose(sums(ends, 2), rain, rtol=1e-12)
    with pytest.raises(TimeAxisError, match="has 1 step and no bounds"):
        parts(rain[:1], "6h")
    alone = with_bounds(rain)["tp"]
    with pytest.warns(UserWarning, match="bounds 'time_bnds' that 'time' speaks of are not here"):
        parts(alone, "6h")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda b: b[:, ::-1], "an interval that ends before it begins"),
        (lambda b: b - np.array([24 * HOUR, 0 * HOUR]), "take their differences first"),
        (lambda b: b + 30 * HOUR, "an interval without its stamp"),
        (lambda b: b.astype(np.int64), "expected the dates of both ends"),
        (lambda b: np.where(b == b[3, 0], np.datetime64("NaT"), b), "expected the dates of both"),
    ],
    ids=range(5),
)
def test_bounds_that_are_none(change, told):
    rain = with_bounds(totals())
    wrong = rain.assign(time_bnds=(("time", "nv"), change(rain["time_bnds"].values)))
    with pytest.raises(InputError, match=told):
        parts(wrong, "6h")


def test_lazy_bounds_are_loaded_first():
    rain = with_bounds(totals()).chunk(time=3)
    with pytest.raises(InputError, match=r"obj\['time_bnds'\].load\(\)"):
        parts(rain, "6h")


def test_parts_that_are_too_short():
    rain = with_bounds(totals(2))
    tiny = rain.assign(time_bnds=(("time", "nv"), rain["time_bnds"].values))
    tiny["time_bnds"][:, 0] = tiny["time_bnds"].values[:, 1] - np.timedelta64(5, "us")
    with pytest.raises(InputError, match="too short for stamps of their own"):
        parts(tiny, factor=10**4)


def test_gaps_are_never_bridged():
    with pytest.raises(InputError, match="missing totals are never bridged"):
        parts(totals(), "6h", max_gap=2)


def test_other_coordinates_reach_beyond_the_first_stamp():
    rain = totals().assign_coords(lead=("time", np.arange(12.0)))
    made = parts(rain, "6h")
    np.testing.assert_allclose(made["lead"], np.arange(-0.75, 11.1, 0.25))


def test_what_a_model_is_given():
    """Passes of 8 intervals and 2 steps around, and one step more: parts lie left of a middle."""
    from xgeoml.tasks import interp_time, interpolating

    wish = interpolating.Wish("12h", None, None, True, look("steps"), *[None] * 5, None, "")
    rain = totals(30).to_dataset()
    asked = dataclasses.replace(wish, options=xgeoml.get_options())
    ready = interpolating.make_ready(
        rain,
        ["tp"],
        interpolating.instants_of(rain, "time", wish),
        interp_time.resolve(rain, "tp", asked),
        wish,
    )
    seen = [ready.job.seen(k, k + 1) for k in range(ready.job.n_passes)]
    assert [(s.start, s.stop) for s in seen] == [(0, 11), (5, 19), (13, 27), (21, 30)]
    assert ready.job.times(1, 2) == slice(16, 32)


def test_signs():
    total = np.array([1.0, 2.0, -1.0, 0.0, np.nan, 3.0, 0.0, -2.0, -1.0])[None, :, None, None]
    np.testing.assert_array_equal(signs(total)[0, :, 0, 0], [1, 0, 0, -1, 1, 1, 0, -1, -1])


def test_divide_keeps_totals_whatever_the_rates():
    rng = np.random.default_rng(0)
    total = rng.standard_normal((2, 3, 2, 2)) * 1e3
    total[0, 0, 0, 0], total[1, 1, 1, 1] = 0.0, np.nan
    rate = rng.standard_normal((2, 9, 2, 2)) * 1e6
    rate[0, :3] = 0.0
    rate[1, 4] = np.nan
    days = rng.random(9) + 0.1
    owner = np.repeat([0, 1, 2], 3)
    for sign in (0, 1, -1):
        side = np.full(total.shape, sign, np.int8)
        if sign:
            total = sign * np.abs(total)
        made = divide(total, rate, owner, days, side)
        np.testing.assert_allclose(made.reshape(2, 3, 3, 2, 2).sum(2), total, atol=1e-6)
        assert bool((sign * np.nan_to_num(made) >= 0).all())
