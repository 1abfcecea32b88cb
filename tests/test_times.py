"""Usable time axes, decimal years, and the steps of regular records with holes."""

from __future__ import annotations

import itertools

import cftime
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from xgeoml.exceptions import TimeAxisError
from xgeoml.steps import assign_months, infer_steps
from xgeoml.times import check_time, decimal_years

CALENDARS = ["standard", "noleap", "all_leap", "360_day", "julian", "proleptic_gregorian"]

# Middles of the solutions of GRACE, days since 2002-01-01: months of 13 to 35 days.
GRACE_2011_2016 = [
    3335.0, 3361.5, 3392.0, 3422.5, 3486.0, 3514.5, 3545.0, 3575.5, 3590.5, 3652.5, 3667.5,
    3697.5, 3727.5, 3749.5, 3818.0, 3849.0, 3880.5, 3909.0, 3975.0, 4002.5, 4031.5, 4061.5,
    4128.0, 4153.5, 4183.5, 4214.0, 4306.5, 4337.0, 4367.5, 4391.5, 4457.0, 4488.0, 4518.5,
    4545.5, 4610.0, 4640.5, 4668.0, 4697.0, 4769.0, 4792.0, 4823.0, 4855.5, 4864.0, 4943.5,
    4975.0, 5002.5, 5103.5, 5120.5, 5155.0, 5193.5,
]  # fmt: skip


def time(stamps, **attrs) -> xr.DataArray:
    return xr.DataArray(stamps, dims="time", coords={"time": stamps}, attrs=attrs, name="time")[
        "time"
    ]


def dates(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[s]")


def every(start: str, count: int, freq: str, calendar: str | None = None) -> np.ndarray:
    if calendar is None:
        return pd.date_range(start, periods=count, freq=freq).values
    return xr.date_range(start, periods=count, freq=freq, calendar=calendar, use_cftime=True).values


# ------------------------------------------------------------------------------ decimal years
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_decimal_years_of_datetime64(unit):
    stamps = dates("1969-12-31T12", "2000-01-01", "2001-07-02T12").astype(f"datetime64[{unit}]")
    np.testing.assert_allclose(
        decimal_years(time(stamps)), [1969 + 364.5 / 365, 2000.0, 2001.5], atol=1e-12
    )


@pytest.mark.parametrize("calendar", CALENDARS)
def test_decimal_years_of_all_calendars(calendar):
    stamps = every("1850-01-01", 40, "5D", calendar)
    years = decimal_years(stamps)
    assert years[0] == 1850.0
    assert (np.diff(years) > 0).all()
    length = {"360_day": 360, "all_leap": 366}.get(calendar, 365)
    np.testing.assert_allclose(years[1:] - years[:-1], 5 / length, atol=1e-9)


@pytest.mark.filterwarnings("ignore:this date/calendar/year zero")
def test_decimal_years_cross_the_missing_year_zero():
    before, after = (
        cftime.DatetimeJulian(y, m, 1, has_year_zero=False) for y, m in ((-1, 12), (1, 1))
    )
    years = decimal_years(np.array([before, after], dtype=object))
    assert 0 < years[1] - years[0] < 0.1


def test_decimal_years_refuse_numbers():
    with pytest.raises(TimeAxisError, match="decode_cf"):
        decimal_years(np.arange(3.0))
    assert decimal_years(np.empty(0, "datetime64[s]")).size == 0


# ------------------------------------------------------------------------------ check_time
def test_good_axes_pass():
    check_time(time(every("2000", 5, "D")))
    check_time(time(every("2000-01-01", 5, "D", "360_day")))
    check_time(time(dates("2000-01-01")))


D = np.datetime64("NaT", "s")


@pytest.mark.parametrize(
    ("coord", "parts"),
    [
        (time(dates("2001", "2000")), ["not in order: 2000-01-01 follows 2001", 'sortby("time")']),
        (
            time(dates("2000", "2001", "2001", "2003", "2003", "2003")),
            ["3 duplicate", "2001-01-01, 2003-01-01", "drop_duplicates", "groupby"],
        ),
        (time(np.array(["2000", "NaT"], "M8[s]")), ["no date at 1 of 2", "position 1", "isel"]),
        (time(dates()), ["empty"]),
        (time(np.arange(3.0)), ["float64", "days since 2000-01-01", "decode_cf"]),
        (time([1998, 1999]), ["int64", 'format="%Y"']),
        (time([199801, 199802]), ['format="%Y%m"']),
        (time([19980101, 19980102]), ['format="%Y%m%d"']),
        (time(["2000-01", "2000-02"]), ["<U7", "pd.to_datetime"]),
        (time(np.arange(2).astype("m8[D]")), ["timedelta64", "np.datetime64"]),
        (xr.DataArray(np.arange(3), dims="time", name="time"), ["no coordinate", "assign_coords"]),
        (time(np.array([None, None])), ["dtype object"]),
        (time(pd.period_range("2001", periods=2, freq="M")), ['indexes["time"].to_timestamp()']),
    ],
)  # fmt: skip
def test_bad_axes_name_the_cure(coord, parts):
    with pytest.raises(TimeAxisError) as caught:
        check_time(coord)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.filterwarnings("ignore:DatetimeIndex.values")
def test_a_time_zone_is_taken_off():
    coord = time(pd.date_range("2001-01-01", periods=3, tz="Asia/Tokyo"))
    with pytest.raises(TimeAxisError, match=r'indexes\["time"\].tz_convert\(None\)'):
        check_time(coord)
    check_time(time(coord.indexes["time"].tz_convert(None)))


def test_undecoded_axes_name_the_cure():
    coord = time(np.arange(3))
    coord.attrs["units"] = "days since 1990-01-01"
    with pytest.raises(TimeAxisError, match=r"xr\.decode_cf"):
        check_time(coord)
    coord.attrs["units"] = "months since 1990-01-01"
    with pytest.raises(TimeAxisError, match=r'date_range\("1990-01-01", periods=3'):
        check_time(coord)


def test_cftime_with_a_hole_and_disorder():
    stamps = every("2000-01-01", 3, "D", "noleap")
    with pytest.raises(TimeAxisError, match="sortby"):
        check_time(time(stamps[::-1]))
    with pytest.raises(TimeAxisError, match="duplicate"):
        check_time(time(stamps[[0, 0, 1]]))


# ------------------------------------------------------------------------------ infer_steps
REGULAR = [
    ("monthly", "2000-01-01", "MS", 30),
    ("monthly", "2000-01-31", "ME", 30),
    ("seasonal", "2000-01-01", "QS", 20),
    ("yearly", "2000-01-01", "YS", 20),
    ("yearly", "2000-12-31", "YE", 20),
    ("daily", "1999-12-01T12", "D", 500),
    ("weekly", "2000-01-01", "7D", 60),
    ("10-daily", "2000-01-01", "10D", 60),
    ("30-daily", "2000-01-05", "30D", 60),
    ("hourly", "2000-01-01", "h", 100),
    ("6-hourly", "2000-01-01", "6h", 100),
    ("5 min", "2000-01-01", "5min", 100),
    ("10 s", "2000-01-01", "10s", 100),
]


def holes(count: int, seed: int = 0) -> np.ndarray:
    """Two thirds of the positions, both ends among them."""
    keep = np.random.default_rng(seed).random(count) < 0.66
    keep[[0, -1]] = True
    return np.flatnonzero(keep)


@pytest.mark.parametrize("unit", ["s", "ns"])
@pytest.mark.parametrize(("freq", "start", "code", "count"), REGULAR)
def test_holes_in_regular_records(freq, start, code, count, unit):
    full = every(start, count, code).astype(f"datetime64[{unit}]")
    keep = holes(count)
    s = infer_steps(time(full[keep]))
    assert s.freq == freq
    assert s.stamps.dtype == full.dtype
    np.testing.assert_array_equal(s.stamps, full)
    np.testing.assert_array_equal(s.index, keep)
    assert s.n_added == count - keep.size == s.added.sum()
    whole = infer_steps(full)
    assert (whole.freq, whole.n_added) == (freq, 0)


@pytest.mark.parametrize("calendar", CALENDARS)
@pytest.mark.parametrize(
    ("freq", "code"), [("monthly", "MS"), ("monthly", "ME"), ("daily", "D"), ("yearly", "YS")]
)
def test_holes_in_all_calendars(calendar, freq, code):
    full = every("1999-01-01", 40, code, calendar)
    keep = holes(40)
    s = infer_steps(full[keep])
    assert s.freq == freq
    np.testing.assert_array_equal(s.stamps, full)
    assert {type(stamp) for stamp in s.stamps} == {type(full[0])}
    assert {stamp.calendar for stamp in s.stamps} == {full[0].calendar}


def test_middles_of_months():
    start = every("2001-01-01", 25, "MS")
    middle = (start[:-1] + (start[1:] - start[:-1]) // 2).astype("datetime64[s]")
    for full in (middle, middle.astype("datetime64[D]").astype("datetime64[s]")):
        s = infer_steps(np.delete(full, [3, 4, 14]))
        assert s.freq == "monthly"
        np.testing.assert_array_equal(s.stamps, full)


@pytest.mark.parametrize("days", [(1, 11, 21), (5, 15, 25), (10, 20, -1), (1, 16), (15, -1)])
def test_parts_of_months(days):
    months = every("2001-01-01", 25, "MS").astype("datetime64[D]")
    full = np.array(
        [
            (start + (day - 1) if day > 0 else end - 1)
            for start, end in itertools.pairwise(months)
            for day in days
        ]
    ).astype("datetime64[s]")
    s = infer_steps(np.delete(full, [2, 3, 20]))
    assert s.freq == {3: "dekadal", 2: "semi-monthly"}[len(days)]
    np.testing.assert_array_equal(s.stamps, full)


def test_eight_days_anew_each_year():
    full = np.concatenate(
        [
            np.datetime64(f"{y}-01-01", "s") + np.arange(46) * np.timedelta64(8, "D")
            for y in (2003, 2004, 2005)
        ]
    )
    s = infer_steps(np.delete(full, [1, 45, 46, 100]))
    assert s.freq == "8-daily"
    np.testing.assert_array_equal(s.stamps, full)


def test_jitter_is_borne_and_kept():
    rng = np.random.default_rng(1)
    full = every("2000-01-01", 200, "h").astype("datetime64[s]")
    full = full + rng.integers(-300, 300, 200).astype("timedelta64[s]")
    keep = holes(200)
    s = infer_steps(full[keep])
    assert s.freq == "hourly"
    np.testing.assert_array_equal(s.index, keep)
    np.testing.assert_array_equal(s.stamps[s.index], full[keep])
    assert (np.abs(s.stamps - every("2000-01-01", 200, "h")) < np.timedelta64(700, "s")).all()


def test_irregular_is_no_error():
    rng = np.random.default_rng(2)
    wild = np.sort(rng.choice(10_000_000, 60, replace=False)).astype("datetime64[s]")
    for stamps in (wild, wild[:1], wild[:0], dates("2000-01-01", "2005-07-03T12")):
        s = infer_steps(stamps)
        assert (s.freq, s.n_added) == ("irregular", 0)
        np.testing.assert_array_equal(s.stamps, stamps)


def test_a_common_divisor_is_no_step():
    stamps = every("2000-01-01", 50, "6h").astype("datetime64[s]")
    stamps[[10, 30]] += np.timedelta64(2, "h")
    assert infer_steps(stamps).freq == "irregular"


def test_absurd_growth_is_refused():
    stamps = dates("2000-01-01", "2000-01-02", "2000-01-03", "2001-01-01")
    assert infer_steps(stamps).n_added == 0
    assert infer_steps(stamps, max_ratio=100).n_added == 363


@pytest.mark.parametrize("code", ["MS", "D"])
def test_a_record_of_summers_gets_no_winters(code):
    full = pd.date_range("2001-01-01", "2006-12-31", freq=code)
    full = full[full.month.isin([6, 7, 8])].values
    assert infer_steps(full).n_added == 0
    s = infer_steps(np.delete(full, [1, 10]))
    np.testing.assert_array_equal(s.stamps, full)
    np.testing.assert_array_equal(s.index, np.delete(np.arange(full.size), [1, 10]))
    quarters = every("2001-02-01", 24, "QS-FEB")
    assert infer_steps(np.delete(quarters, [3, 4])).n_added == 2


# ------------------------------------------------------------------------------ GRACE
def grace_stamps() -> np.ndarray:
    days = (np.array(GRACE_2011_2016) * 86_400).astype("timedelta64[s]")
    return np.datetime64("2002-01-01", "s") + days


def test_grace_stamps():
    stamps = grace_stamps()
    s = infer_steps(stamps)
    assert s.freq == "monthly"
    np.testing.assert_array_equal(s.stamps[s.index], stamps)
    assert (np.diff(s.stamps) > np.timedelta64(0)).all()
    own = np.arange("2011-02", "2016-04", dtype="datetime64[M]")
    assert s.stamps.size == own.size
    moved = {
        str(stamp)[:10]: str(own[k])
        for stamp, k in zip(stamps, s.index, strict=True)
        if stamp.astype("datetime64[M]") != own[k]
    }
    assert moved == {"2011-10-31": "2011-11", "2012-01-01": "2011-12", "2015-04-27": "2015-05"}
    added = s.stamps[s.added].astype("datetime64[M]")
    assert [str(month) for month in added] == [
        "2011-06", "2012-05", "2012-10", "2013-03", "2013-08", "2013-09", "2014-02", "2014-07",
        "2014-12", "2015-06", "2015-10", "2015-11",
    ]  # fmt: skip
    within = s.stamps[s.added] - added
    assert (within >= np.timedelta64(14, "D")).all()
    assert (within <= np.timedelta64(16, "D")).all()


def test_grace_stamps_in_cftime():
    stamps = np.array([cftime.DatetimeNoLeap(2002, 1, 1) + pd.Timedelta(days=d).to_pytimedelta()
                       for d in GRACE_2011_2016[20:]])  # fmt: skip
    s = infer_steps(stamps)
    assert s.freq == "monthly"
    assert all(a is b for a, b in zip(s.stamps[s.index], stamps, strict=True))


def test_stamps_about_the_edge_of_a_month_stay_there():
    starts = every("2001-01-01", 36, "MS").astype("datetime64[s]")
    off = np.random.default_rng(3).integers(-36, 37, 36).astype("timedelta64[h]")
    full = starts + off
    keep = np.delete(np.arange(36), [5, 6, 20])
    s = infer_steps(full[keep])
    assert s.freq == "monthly"
    np.testing.assert_array_equal(s.index, keep)
    assert (np.abs(s.stamps - starts) <= np.timedelta64(3, "D")).all()


def test_any_stamp_in_the_month_finds_the_absent_ones():
    rng = np.random.default_rng(4)
    starts = every("2001-01-01", 120, "MS").astype("datetime64[D]")
    full = (starts + rng.integers(8, 22, 120)).astype("datetime64[s]")
    for seed in range(5):
        keep = holes(120, seed)
        s = infer_steps(full[keep])
        np.testing.assert_array_equal(s.index, keep)
        np.testing.assert_array_equal(s.stamps.astype("datetime64[M]"), starts.astype("M8[M]"))


def price(places, months) -> float:
    """Distance outside of the month in tenths, so that only real moves count."""
    outside = np.maximum(0, np.maximum(months - places, places - months - 1))
    return float(
        (outside + 1e-3 * np.abs(places - months - 0.5) + 1e-4 * (months != np.floor(places))).sum()
    )


@given(st.lists(st.integers(0, 70), min_size=1, max_size=6, unique=True))
def test_assignment_is_the_cheapest_in_order(tenths):
    places = np.sort(np.array(tenths)) / 10 + 0.037
    own = np.floor(places).astype(int)
    best = None
    for moves in itertools.product((-1, 0, 1), repeat=len(places)):
        months = own + moves
        if (np.diff(months) > 0).all():
            cost = price(places, months)
            best = cost if best is None else min(best, cost)
    found = assign_months(places)
    if best is None:
        assert found is None
    else:
        assert found is not None
        assert (np.diff(found) > 0).all()
        assert (np.abs(found - own) <= 1).all()
        assert price(places, found) == pytest.approx(best)


@given(st.lists(st.floats(0.0, 0.999), min_size=1, max_size=30), st.data())
def test_one_stamp_a_month_is_never_moved(shares, data):
    gaps = data.draw(st.lists(st.integers(1, 4), min_size=len(shares), max_size=len(shares)))
    months = np.cumsum(gaps)
    np.testing.assert_array_equal(assign_months(months + np.array(shares)), months)


def test_assignment_of_nothing_and_of_the_impossible():
    empty = assign_months([])
    assert empty is not None
    assert empty.size == 0
    assert assign_months([3.1, 3.2, 3.3, 3.4]) is None


def test_real_records(data_path):
    for file in sorted(data_path.glob("*/*.nc")):
        with xr.open_dataset(file) as ds:
            if "time" not in ds.coords or ds.time.dtype.kind != "M":
                continue
            check_time(ds.time)
            assert infer_steps(ds.time).n_added == 0
            assert (np.diff(decimal_years(ds.time)) > 0).all()
            if ds.sizes["time"] > 10:
                s = infer_steps(ds.time[holes(ds.sizes["time"])])
                np.testing.assert_array_equal(s.stamps, ds.time.values)


def test_a_time_zone_is_refused():
    stamps = pd.date_range("2001-01-01", periods=3, tz="Asia/Tokyo")
    with pytest.raises(TimeAxisError, match="of the time zone Asia/Tokyo; expected dates") as told:
        check_time(time(stamps))
    obj = xr.DataArray(np.zeros(3), {"time": stamps}, ("time",))
    cure = str(told.value).partition("UTC: ")[2]
    assert cure.startswith("obj = obj.assign_coords(time=")
    check_time(obj.assign_coords(time=obj.indexes["time"].tz_convert(None)).time)
