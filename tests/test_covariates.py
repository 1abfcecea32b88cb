"""Drivers given to `fill_gaps`: where they come from, and which of their steps is taken."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xgeoml
from xgeoml.exceptions import InputError
from xgeoml.testing import records

NAME = "lwe_thickness"


def test_drivers_by_name_and_as_arrays(record):
    data, given = records.record(), records.drivers()
    beside = data.to_dataset().assign(
        {k: ("time", v.mean(("lat", "lon")).isel(time=_kept()).values) for k, v in given.items()}
    )
    named = beside.geoml.fill_gaps("regression", covariates=["rain", "warmth"])
    assert not {v for v in named if "rain_" in str(v)}
    means = given.mean(("lat", "lon"))
    less = [v.isel(time=_kept()) for v in means.values()]
    arrays = data.geoml.fill_gaps("regression", covariates=less)
    np.testing.assert_array_equal(named["storage"], arrays)
    more = data.geoml.fill_gaps("regression", covariates=list(means.values()))
    assert bool(np.isfinite(more.drop_sel(lat=-19.0)).all())


def _kept():
    return np.setdiff1d(np.arange(records.N_TIME), records.ABSENT_STEPS)


def prepared_driver(data, driver):
    from xgeoml.tasks.prepare import prepare

    name = data.name
    return prepare(data.to_dataset(), name, driver)[1].covariates[0]


def months_of(driver, stamps):
    """Return a driver whose value is the number of its month."""
    numbers = stamps.year * 12 + stamps.month - 1
    return xr.DataArray(numbers.values.astype(float), {"time": stamps}, ["time"], driver)


def test_monthly_drivers_are_matched_by_the_month():
    # Off-centre stamps, some of them in the month beside: the month counts, not the distance.
    data = xgeoml.datasets.grace_like(nlat=4, nlon=5)[NAME]
    first = pd.date_range("2000-01-01", "2025-12-01", freq="MS")
    expected = np.arange(265.0) + 2002 * 12 + 3
    for stamps in (
        first,
        first + pd.Timedelta(days=14),
        first + pd.Timedelta(days=15, hours=12),
        pd.date_range("2000-01-01", "2025-12-31", freq="ME"),
    ):
        got = prepared_driver(data, months_of("rain", stamps))
        np.testing.assert_array_equal(got.isel(lat=0, lon=0), expected)
        assert got.dims == data.dims
    # A driver of which some months are absent leaves them missing.
    holes = months_of("rain", first.delete([30, 31, 100]))
    got = prepared_driver(data, holes).isel(lat=0, lon=0).values
    assert np.isnan(got).sum() == 3
    np.testing.assert_array_equal(got[~np.isnan(got)], expected[~np.isnan(got)])


@pytest.fixture
def stamped_late():
    """Return monthly data whose stamps are the first day of the next month, as the bounds say."""
    data = records.record().to_dataset()
    first = data.indexes["time"].to_period("M").to_timestamp()
    after = first + pd.offsets.MonthBegin(1)
    late = data.assign_coords(time=("time", after, {"bounds": "edges"}))
    return late.assign(edges=(("time", "nv"), np.stack([first, after], 1)))


def driver_of(dataset, driver):
    from xgeoml.tasks.prepare import prepare

    return prepare(dataset, "storage", driver)[1].covariates[0]


def test_bounds_tell_which_month_a_stamp_means(stamped_late):
    rain = records.drivers()["rain"]
    middle = rain.assign_coords(time=rain["time"] + np.timedelta64(9, "D"))
    expected = prepared_driver(records.record(), rain)
    np.testing.assert_array_equal(driver_of(stamped_late, middle), expected)
    pytest.importorskip("cftime")
    other = middle.convert_calendar("noleap", use_cftime=True)
    np.testing.assert_array_equal(driver_of(stamped_late, other), expected)
    early = stamped_late.assign(edges=stamped_late["edges"].shift(time=-1)).isel(time=slice(0, 40))
    np.testing.assert_array_equal(
        driver_of(early, middle), driver_of(early.drop_vars("edges"), middle)
    )


def test_drivers_that_may_be_stamped_late_too(stamped_late):
    rain = records.drivers()["rain"]
    first = rain.assign_coords(time=rain.indexes["time"].to_period("M").to_timestamp())
    with pytest.raises(InputError, match=r"'rain' holds first days of months.*days=1"):
        driver_of(stamped_late, first)
    cured = stamped_late.assign_coords(time=stamped_late.indexes["time"] - timedelta(days=1))
    expected = prepared_driver(records.record(), rain)
    np.testing.assert_array_equal(driver_of(cured, first), expected)
    # Of one record, by name or not: stamped alike.
    beside = stamped_late.assign(rain=("time", rain.mean(("lat", "lon")).values[_kept()]))
    named, given = driver_of(beside, "rain"), driver_of(beside, beside["rain"])
    np.testing.assert_array_equal(named, given)
    assert int(named.notnull().all(("lat", "lon")).sum()) == len(_kept())
    two = beside.assign(other=beside["storage"] * 2).drop_vars("rain")
    full = two.geoml.fill_gaps("regression", covariates=beside["rain"])
    np.testing.assert_allclose(full["other"], full["storage"] * 2)


def test_bounds_that_say_nothing(stamped_late):
    middle = records.drivers()["rain"]
    middle = middle.assign_coords(time=middle["time"] + np.timedelta64(9, "D"))
    expected = driver_of(stamped_late.drop_vars("edges"), middle)
    edges = stamped_late["edges"]
    for other in (edges.astype("i8"), edges.isel(nv=0), edges.where(False)):
        np.testing.assert_array_equal(driver_of(stamped_late.assign(edges=other), middle), expected)
    with pytest.raises(InputError, match=r"bounds 'edges'.* are lazy; expected them in memory"):
        driver_of(stamped_late.chunk(), middle)


def test_months_match_across_calendars():
    pytest.importorskip("cftime")
    data = records.record()
    first = pd.date_range("1999-01-01", "2010-12-01", freq="MS")
    driver = months_of("rain", first).convert_calendar("noleap", use_cftime=True)
    got = prepared_driver(data, driver).isel(lat=0, lon=0)
    np.testing.assert_array_equal(got, np.arange(60.0) + 2001 * 12)


def test_whole_numbers_as_drivers():
    data = records.record()
    rain = (records.drivers()["rain"] * 100).round().astype("i4")
    some = rain.isel(time=np.setdiff1d(np.arange(rain.sizes["time"]), [30, 31]))
    got = prepared_driver(data, some)
    assert got.dtype == np.float64
    assert int(got.isnull().any(("lat", "lon")).sum()) == 2
    known = got.notnull()
    np.testing.assert_array_equal(
        got.where(known), prepared_driver(data, rain.astype("f8")).where(known)
    )
    holed = rain.where(rain != rain.max(), -9999).assign_attrs(_FillValue=-9999)
    assert int(prepared_driver(data, holed).isnull().sum()) == int((rain == rain.max()).sum())


def test_days_match_by_the_day_and_other_steps_by_the_nearest():
    days = pd.date_range("2001-03-01", periods=50)
    data = xr.DataArray(np.arange(50.0), {"time": days}, ["time"], "x")
    noon = xr.DataArray(
        np.arange(70.0) - 10,
        {"time": days[0] + pd.to_timedelta(np.arange(-10, 60) + 0.5, "D")},
        ["time"],
        "rain",
    )
    np.testing.assert_array_equal(prepared_driver(data, noon), np.arange(50.0))
    pentads = pd.date_range("2001-03-01", periods=50, freq="5D")
    slow = data.assign_coords(time=pentads)
    late = slow.assign_coords(time=pentads + pd.Timedelta(days=2))
    np.testing.assert_array_equal(prepared_driver(slow, late), np.arange(50.0))


def test_drivers_at_other_steps_are_refused():
    data = records.record()
    days = pd.date_range("2000-01-01", "2006-12-31")
    daily = xr.DataArray(np.ones(len(days)), {"time": days}, ["time"], "rain")
    with pytest.raises(InputError, match=r"steps are daily.*monthly.*resample"):
        data.geoml.fill_gaps("regression", covariates=daily)
    years = pd.date_range("1995-01-01", "2010-12-31", freq="YS")
    yearly = xr.DataArray(np.ones(len(years)), {"time": years}, ["time"], "rain")
    with pytest.raises(InputError, match=r"yearly.*monthly"):
        data.geoml.fill_gaps("regression", covariates=yearly)


def test_a_longer_driver_changes_nothing(record, drivers):
    inside = drivers["tp"].sel(time=slice("2002-04", "2007-06"))
    some = record.geoml.fill_gaps("regression", covariates=inside)
    more = record.geoml.fill_gaps("regression", covariates=drivers["tp"])
    np.testing.assert_array_equal(some[NAME], more[NAME])


def test_coordinates_of_a_driver_do_not_leak(record, drivers):
    rain = drivers["tp"].assign_coords(era=5, lat=drivers["lat"] + 1e-9)
    full = record.geoml.fill_gaps("regression", covariates=rain)
    assert "era" not in full.coords
    assert full["lat"].identical(record["lat"])
