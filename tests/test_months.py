"""Calendar months, and steps arranged by them."""

import cftime
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xgeoml.exceptions import InputError, TimeAxisError
from xgeoml.months import add_mean, check_freq, lateness, months_of, whole_months
from xgeoml.steps import infer_steps
from xgeoml.tasks.slots import month_means, slots_of
from xgeoml.testing import raise_if_computes

CALENDARS = ["standard", "noleap", "all_leap", "360_day", "julian"]


def days(calendar, start="2004-01-28", periods=40, freq="D"):
    return xr.date_range(start, periods=periods, freq=freq, calendar=calendar, use_cftime=True)


# ---------------------------------------------------------------------------- months


@pytest.mark.parametrize(
    ("calendar", "february"),
    [("standard", 29), ("noleap", 28), ("all_leap", 29), ("360_day", 30), ("julian", 29)],
)
def test_months_of_every_calendar(calendar, february):
    months = months_of(days(calendar).values)
    assert months.days.tolist()[1] == february
    starts, ends = months.stamps("MS"), months.stamps("ME")
    assert [(s.month, s.day, s.hour) for s in starts] == [(1, 1, 0), (2, 1, 0), (3, 1, 0)]
    assert ends[1].day == february
    assert ends[1].calendar == starts[1].calendar == calendar
    edges = months.bounds()
    assert (edges[:, 0] == starts).all()
    assert (edges[:-1, 1] == starts[1:]).all()
    assert (edges[-1, 1].month, edges[-1, 1].day) == (4, 1)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_months_of_datetimes_keep_their_unit(unit):
    stamps = pd.date_range("2003-12-05", periods=60).values.astype(f"M8[{unit}]")
    months = months_of(stamps)
    assert months.stamps("MS").dtype == months.bounds().dtype == stamps.dtype
    assert months.stamps("ME").astype("M8[D]").tolist()[-1].day == 29
    assert months.n_steps.tolist() == [27, 31, 2]


def test_a_month_without_a_step_is_a_month():
    stamps = np.array(["2001-01-31", "2001-03-01"], "M8[ns]")
    assert months_of(stamps).n_steps.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("start", "freq", "periods", "n"),
    [
        ("2001-01-31T12", "D", 2, 31 + 28),
        ("2001-01-31T12", "6h", 4, 4 * (31 + 28)),
        ("2001-02-10", "h", 3, 24 * 28),
        ("2001-01-05T00:30", "30min", 9, 48 * 31),
    ],
)
def test_the_first_and_the_last_month_are_completed(start, freq, periods, n):
    stamps = pd.date_range(start, periods=periods, freq=freq).values
    steps = whole_months(infer_steps(stamps))
    assert steps.stamps.size == n
    assert (steps.stamps[steps.index] == stamps).all()
    assert np.unique(np.diff(steps.stamps)).size == 1
    # What was completed is complete.
    assert whole_months(infer_steps(steps.stamps)).n_added == 0


@pytest.mark.parametrize("calendar", CALENDARS)
def test_months_of_any_calendar_are_completed(calendar):
    stamps = days(calendar)
    steps = whole_months(infer_steps(stamps.values))
    months = months_of(steps.stamps)
    assert months.n_steps.tolist() == months.days.tolist()
    assert (steps.stamps[steps.index] == stamps.values).all()


def test_parts_of_months_are_completed_with_parts():
    first = pd.date_range("2001-01-01", periods=8, freq="MS")
    stamps = np.sort(np.concatenate([(first + pd.Timedelta(days=k)).values for k in (0, 10, 20)]))
    steps = whole_months(infer_steps(stamps[2:-1]))
    assert (steps.stamps == stamps).all()


@pytest.mark.parametrize("freq", ["MS", "QS", "YS", "35D", "28D"])
def test_steps_of_a_month_or_more_are_refused(freq):
    stamps = pd.date_range("2001-01-01", periods=9, freq=freq).values
    with pytest.raises(TimeAxisError, match="Leave freq= out"):
        whole_months(infer_steps(stamps))


def test_bounds_tell_that_a_stamp_is_the_end_of_a_day():
    stamps = days("noleap", "2001-01-02", 31)
    edges = np.stack([stamps - pd.Timedelta(days=1), stamps], axis=1)
    dataset = xr.Dataset({"edges": (("time", "nv"), edges)}, {"time": stamps})
    assert lateness(dataset, "time") == 0
    dataset["time"].attrs["bounds"] = "edges"
    late = lateness(dataset, "time")
    assert months_of(stamps.values, late).n_steps.tolist() == [31]
    assert months_of(stamps.values).n_steps.tolist() == [30, 1]
    steps = whole_months(infer_steps(stamps.values[:9]), late)
    assert steps.stamps.size == 31
    assert steps.stamps[-1] == cftime.DatetimeNoLeap(2001, 2, 1)
    with pytest.raises(InputError, match=r"obj\['edges'\].load\(\)"):
        lateness(dataset.chunk(), "time")
    noon = dataset.assign_coords(time=stamps - pd.Timedelta(hours=12))
    noon["time"].attrs["bounds"] = "edges"
    assert lateness(noon.chunk(), "time") == lateness(noon, "time") == 0
    assert lateness(dataset.drop_vars("edges"), "time") == 0
    wrong = dataset.assign(edges=(("time", "nv"), np.zeros((31, 2))))
    assert lateness(wrong, "time") == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "time: mean"),
        ("area: mean", "area: mean time: mean"),
        ("time: point", "time: mean"),
        ("time: point area: mean", "area: mean time: mean"),
        ("time: lat: lon: point", "lat: lon: point time: mean"),
        ("time: mean", "time: mean"),
        ("time: mean (interval: 1 hour)", "time: mean (interval: 1 hour)"),
        ("area: mean where sea time: mean", "area: mean where sea time: mean"),
        ("time: maximum", "time: maximum time: mean"),
        ("time: mean within days time: point", "time: mean within days time: mean"),
        ("time: sum (note: a b: c) area: sum", "time: sum (note: a b: c) area: sum time: mean"),
        ("lat: range (note: a time: b)", "lat: range (note: a time: b) time: mean"),
    ],
)
def test_cell_methods_of_a_mean(before, after):
    assert add_mean(before, "time") == after


def test_cell_methods_know_the_coordinate_by_its_own_name():
    assert add_mean("t: point", "t") == "t: mean"
    assert add_mean("time: point", "t") == "t: mean"


@pytest.mark.parametrize("freq", ["M", "D", "ms", "QS", 30, True])
def test_other_frequencies_are_refused(freq):
    with pytest.raises(InputError, match=r"expected 'MS'.*type freq='MS'"):
        check_freq(freq)


# ---------------------------------------------------------------------------- slots


def series(stamps, values=None):
    values = np.arange(len(stamps), dtype=np.float64) if values is None else values
    return xr.DataArray(values, {"time": stamps}, ("time",), "x")


@pytest.mark.parametrize("calendar", CALENDARS)
def test_every_day_has_its_slot(calendar):
    data = series(days(calendar, "2004-01-01", 90))
    slots = slots_of(data, "time")
    assert slots.value.sizes["time"] == 31 * slots.months.number.size
    there = slots.value.notnull().values
    np.testing.assert_array_equal(slots.value.values[there], data)
    position = 31 * (data["time"].dt.month - 1) + data["time"].dt.day - 1
    np.testing.assert_array_equal(np.flatnonzero(there), position)
    np.testing.assert_array_equal(slots.share, there.astype(float))
    counts = slots.exists.reshape(-1, 31).sum(1)
    np.testing.assert_array_equal(counts, slots.months.days)
    assert (np.diff(slots.clock[slots.exists]) > 0).all()


def test_the_clock_keeps_the_phase_of_the_year():
    slots = slots_of(series(pd.date_range("2001-01-01", "2004-12-31")), "time")
    clock = slots.clock.reshape(48, 31)
    assert clock[0, 0] == pytest.approx(-1 + 0.5 / 365)
    assert clock[12, 0] == pytest.approx(0.5 / 365)
    assert clock[36 + 11, 30] == pytest.approx(3 - 0.5 / 366)
    assert np.isnan(clock[1, 28:]).all()
    assert np.isfinite(clock[37, 28])


def test_absent_days_and_hours_count_as_not_observed():
    stamps = pd.date_range("2001-01-01", "2001-02-28T23", freq="h")
    data = series(stamps, np.ones(len(stamps)))
    data[5:11] = np.nan
    slots = slots_of(data, "time")
    assert slots.share[0] == 0.75
    assert set(slots.share.values[slots.exists][1:]) == {1.0}
    some = slots_of(data.isel(time=np.arange(0, len(stamps), 48)), "time")
    assert int(some.value.notnull().sum()) == 30
    assert some.share[1] == 0


def cycle(random, cells=3, months=5):
    stamps = pd.date_range("2001-01-01", periods=months, freq="MS")
    stamps = pd.date_range(stamps[0], stamps[-1], freq="h")
    hour = stamps.hour.values / 24
    daily = np.repeat(random.standard_normal((cells, len(stamps) // 24 + 1)), 24, axis=1)
    truth = daily[:, : len(stamps)] + 3 * np.maximum(np.cos(2 * np.pi * (hour - 0.6)), -0.2)
    truth += 0.2 * random.standard_normal(truth.shape)
    coords = {"time": stamps, "cell": np.arange(cells)}
    return xr.DataArray(truth, coords, ("cell", "time"), "x").isel(time=slice(0, -1)), hour[:-1]


def test_cloud_in_the_afternoon_does_not_make_days_cold():
    random = np.random.default_rng(1)
    truth, hour = cycle(random)
    likely = np.where(np.abs(hour - 0.6) < 0.2, 0.8, 0.3)
    seen = random.random(truth.shape) > likely
    exact = slots_of(truth, "time")
    blocks = truth.values.reshape(3, -1, 24).mean(-1)
    np.testing.assert_allclose(exact.value.values[:, exact.exists], blocks, atol=1e-12)
    naive = truth.where(seen).resample(time="D").mean().values
    ours = slots_of(truth.where(seen), "time").value.values[:, exact.exists]
    assert abs(np.mean(naive - blocks)) > 0.5
    assert abs(np.mean(ours - blocks)) < 0.03
    assert np.std(ours - blocks) < 0.15
    scaled = slots_of(7 * truth.where(seen) - 200, "time").value.values[:, exact.exists]
    np.testing.assert_allclose(scaled, 7 * ours - 200, atol=1e-8)


def test_a_cycle_that_is_not_well_determined_is_left_alone():
    random = np.random.default_rng(2)
    truth, hour = cycle(random)
    for seen in (
        np.isin(np.round(24 * hour), (9, 10, 11)),  # always the same three hours
        np.arange(hour.size) % 24 < np.where(np.arange(hour.size) // 24 % 31 == 4, 12, 0),
    ):
        given = truth.where(xr.DataArray(seen, dims="time"))
        slots = slots_of(given, "time")
        naive = given.resample(time="D").mean().values
        np.testing.assert_allclose(slots.value.values[:, slots.exists], naive, atol=1e-12)
    noise = truth.copy(data=random.standard_normal(truth.shape)).where(
        random.random(truth.shape) > 0.4
    )
    slots = slots_of(noise, "time")
    naive = noise.resample(time="D").mean().values
    assert np.std(slots.value.values[:, slots.exists] - naive) < 0.03


@pytest.mark.parametrize("chunks", [{"time": 31}, {"time": 100, "cell": 2}, {"time": -1}, {}])
def test_slots_and_means_of_lazy_data(chunks):
    random = np.random.default_rng(3)
    truth, _ = cycle(random, months=3)
    data = truth.where(random.random(truth.shape) > 0.5).astype(np.float32)
    months = months_of(data["time"].values)
    with raise_if_computes():
        lazy = slots_of(data.chunk(chunks).T, "time")
        means = month_means(data.chunk(chunks).T.variable, "time", months)
    expected = slots_of(data, "time")
    assert lazy.value.dims == ("time", "cell")
    assert lazy.value.dtype == lazy.share.dtype == data.dtype
    np.testing.assert_allclose(lazy.value.compute().T, expected.value, rtol=1e-6)
    np.testing.assert_array_equal(lazy.share.compute().T, expected.share)
    for ours, theirs in zip(means, month_means(data.variable, "time", months), strict=True):
        np.testing.assert_allclose(ours.compute().T, theirs, rtol=1e-12)


def test_large_blocks_are_worked_on_in_pieces(monkeypatch):
    random = np.random.default_rng(5)
    stamps = pd.date_range("2001-01-01", "2001-03-31T18", freq="6h")
    values = random.standard_normal((1, 4, 3, len(stamps)))
    values[random.random(values.shape) < 0.3] = np.nan
    data = xr.DataArray(values, {"time": stamps}, ("member", "lat", "lon", "time"))
    whole = slots_of(data, "time")
    pieces = months_of(stamps.values)
    means = month_means(data.variable, "time", pieces)
    monkeypatch.setattr("xgeoml.tasks.slots.BLOCK_ELEMENTS", 500)
    small = slots_of(data.transpose("time", ...), "time")
    np.testing.assert_allclose(small.value.transpose(*data.dims), whole.value, rtol=1e-9)
    np.testing.assert_array_equal(small.share.transpose(*data.dims), whole.share)
    for ours, theirs in zip(month_means(data.variable, "time", pieces), means, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_means_are_exact_and_missing_where_a_step_is():
    stamps = pd.date_range("2001-01-01", "2001-03-31")
    random = np.random.default_rng(4)
    values = (280 + random.standard_normal((90, 2))).astype(np.float32)
    values[40, 0] = np.nan
    months = months_of(stamps.values)
    mean, count = month_means(xr.Variable(("time", "x"), values), "time", months)
    exact = [values[months.index == k].astype(np.float64).mean(0) for k in range(3)]
    np.testing.assert_allclose(mean, exact, rtol=1e-14)
    assert np.isnan(mean.values).sum() == 1
    assert count.values.tolist() == [[31, 31], [27, 28], [31, 31]]
