"""Drivers on other grids and with other names: matched by position where the cells are the same."""

import re

import numpy as np
import pandas as pd
import pytest

import xgeoml
from xgeoml.exceptions import InputError
from xgeoml.tasks.prepare import prepare

NAME = "lwe_thickness"


def globe(lon):
    """Return a record of four years and a driver, whose values tell where on the globe they are."""
    record = xgeoml.datasets.grace_like(nlat=4, nlon=12).isel(time=slice(0, 48))
    months = pd.date_range("2003-01", periods=48, freq="MS")
    record = record.assign_coords(time=months, lon=lon, lat=[-45.0, -15.0, 15.0, 45.0])
    record = record[NAME].fillna(1.0)
    place = record["lat"] * 1000 + record["lon"] % 360
    return record, (record * 0 + place).rename("rain")


def taken(record, driver):
    return prepare(record.to_dataset(), record.name, driver)[1].covariates[0]


@pytest.mark.parametrize("first", [0.0, -180.0, 15.0])
@pytest.mark.parametrize("lazy", [False, True])
def test_longitudes_in_the_other_range(first, lazy):
    east = np.arange(12) * 30.0 + first
    record, rain = globe(east)
    signed = rain.assign_coords(lon=(rain["lon"] + 180) % 360 - 180).sortby("lon")
    eastward = rain.assign_coords(lon=rain["lon"] % 360).sortby("lon")
    rounded = eastward.assign_coords(lon=eastward["lon"].astype("f4") - np.float32(1e-4))
    expected = taken(record, rain)
    assert float(expected.std("lon").min()) > 0
    for driver in (signed, eastward, rounded, signed.isel(lat=slice(None, None, -1))):
        given = driver.chunk(lon=5) if lazy else driver
        np.testing.assert_array_equal(taken(record, given), expected)


def test_latitudes_the_other_way_change_no_bit():
    record = xgeoml.datasets.grace_like(nlat=4, nlon=5).isel(time=slice(0, 60))
    rain = xgeoml.datasets.grace_like_drivers(nlat=4, nlon=5)["tp"]
    plain = record.geoml.fill_gaps("regression", covariates=rain)
    turned = record.geoml.fill_gaps("regression", covariates=rain.sortby("lat", ascending=False))
    np.testing.assert_array_equal(turned[NAME], plain[NAME])
    assert turned["lat"].identical(record["lat"])


def test_metres_do_not_go_around():
    record, rain = globe(np.arange(12) * 30.0)
    in_metres = {"lon": "x", "lat": "y"}
    far = rain.rename(in_metres).assign_coords(x=rain["lon"].values + 360)
    with pytest.raises(InputError, match="lies elsewhere along 'x'"):
        taken(record.rename(in_metres).drop_attrs(), far.drop_attrs())


def cure_of(record, driver):
    """Return what the error tells to type."""
    with pytest.raises(InputError) as caught:
        taken(record, driver)
    return re.search(r"first, with (.*)", str(caught.value))[1]


def cured(record, driver):
    """Return a driver treated as the error tells."""
    names = {"cov": driver, "obj": record}
    *before, last = cure_of(record, driver).split("; ")
    for line in before:
        exec(line, names)
    return eval(last, names)


def test_the_cure_leaves_time_alone():
    record = xgeoml.datasets.grace_like(nlat=4, nlon=5)[NAME].isel(time=slice(0, 60))
    rain = xgeoml.datasets.grace_like_drivers(nlat=4, nlon=5)["tp"]
    moved = rain.assign_coords(lat=rain["lat"] + 0.25, lon=rain["lon"] + 0.25)
    assert cure_of(record, moved) == 'cov.interp(lat=obj["lat"], lon=obj["lon"])'
    assert cure_of(record, moved.isel(lat=slice(0, 3))).startswith("cov.interp(lat=")
    treated = cured(record, moved)
    assert treated.sizes["time"] == rain.sizes["time"]
    full = taken(record, treated)
    # In the months that the record lacks, too.
    assert bool(full[:, 1:, 1:].notnull().all())


def test_a_finer_driver_is_to_be_averaged():
    record = xgeoml.datasets.grace_like(nlat=4, nlon=5)[NAME].isel(time=slice(0, 60))
    rain = xgeoml.datasets.grace_like_drivers(nlat=4, nlon=5)["tp"]
    fine = {
        d: np.concatenate([rain[d].values[:, None] + np.arange(-(n - 1), n, 2) / (2 * n)]).ravel()
        for d, n in (("lat", 4), ("lon", 2))
    }
    finer = rain.isel(lat=np.repeat(np.arange(4), 4), lon=np.repeat(np.arange(5), 2))
    finer = finer.assign_coords(fine)
    assert cure_of(record, finer) == "cov.coarsen(lat=4, lon=2).mean()"
    np.testing.assert_allclose(taken(record, cured(record, finer)), taken(record, rain), rtol=1e-6)
    south = finer.isel(lat=slice(None, None, -1))
    assert cure_of(record, south) == "cov.coarsen(lat=4, lon=2).mean()"
    uneven = finer.isel(lat=slice(2, None))
    assert cure_of(record, uneven) == 'cov.interp(lat=obj["lat"], lon=obj["lon"])'
    assert cure_of(record, uneven.isel(lon=slice(None, None, 2))).startswith("cov.interp(")


def test_the_cure_turns_longitudes():
    record, rain = globe(np.arange(12) * 30.0 - 180.0)
    moved = rain.assign_coords(lon=rain["lon"] % 360 + 7.0).sortby("lon")
    assert cure_of(record, moved).startswith('cov = cov.assign_coords(lon=(cov["lon"] + 180) % 360')
    assert float(taken(record, cured(record, moved)).notnull().mean()) > 0.9
    other, there = globe(np.arange(12) * 30.0)
    moved = there.assign_coords(lon=(there["lon"] + 187.0) % 360 - 180).sortby("lon")
    assert '(lon=cov["lon"] % 360)' in cure_of(other, moved)
    assert float(taken(other, cured(other, moved)).notnull().mean()) > 0.9


def test_cells_without_coordinates_and_stations():
    record, rain = globe(np.arange(12) * 30.0)
    with pytest.raises(
        InputError, match=r"11 cells along 'lon', expected 12; bring it to the cell"
    ):
        taken(record, rain.drop_vars("lon").isel(lon=slice(0, 11)))
    names = [f"s{i}" for i in range(12)]
    stations = record.isel(lat=0, drop=True).rename(lon="station").assign_coords(station=names)
    driver = stations.rename("rain") * 2.0
    np.testing.assert_array_equal(taken(stations, driver), driver.drop_vars(list(driver.coords)))
    other = driver.roll(station=1, roll_coords=True)
    assert cure_of(stations, other) == 'cov.sel(station=obj["station"])'
    np.testing.assert_array_equal(taken(stations, cured(stations, other)), taken(stations, driver))


@pytest.mark.parametrize("lazy", [False, True])
def test_names_of_a_present_reanalysis(lazy):
    record = xgeoml.datasets.grace_like(nlat=4, nlon=5).isel(time=slice(0, 60))
    drivers = xgeoml.datasets.grace_like_drivers(nlat=4, nlon=5)
    expected = record.geoml.fill_gaps("regression", covariates=[drivers["tp"], drivers["t2m"]])
    era5 = drivers.rename(time="valid_time", lat="latitude", lon="longitude")
    # Scalars and labels that come along, one of them by a name that is ours.
    era5 = era5.assign_coords(number=0, time=5, expver=("valid_time", ["0001"] * 265))
    era5 = era5.isel(latitude=slice(None, None, -1))
    era5 = era5.chunk(valid_time=50) if lazy else era5
    found = record.geoml.fill_gaps("regression", covariates=[era5["tp"], era5["t2m"]])
    np.testing.assert_array_equal(found[NAME], expected[NAME])
    assert found["time"].identical(expected["time"])
    # Dates, latitude and longitude beside bare dims.
    bare = drivers.rename_dims(time="t", lat="y", lon="x")
    found = record.geoml.fill_gaps("regression", covariates=[bare["tp"], bare["t2m"]])
    np.testing.assert_array_equal(found[NAME], expected[NAME])


def test_names_that_could_mean_two_axes_are_refused():
    record, rain = globe(np.arange(12) * 30.0)
    two = rain.drop_attrs().rename(time="valid_time").expand_dims(date=rain["time"].values[:2])
    with pytest.raises(InputError, match=r"expected 'time' among them.*cov\.rename"):
        taken(record, two)


def test_a_driver_without_a_value_where_there_are_data():
    record, rain = globe(np.arange(12) * 30.0)
    empty = rain * np.nan
    told = f"'rain' has no value where '{NAME}' is observed; expected some.*cov.notnull"
    for given in (record, record.chunk()):
        with pytest.raises(InputError, match=told):
            given.geoml.fill_gaps("regression", covariates=empty)
    # In the gaps only: nothing can be learnt.
    holed = record.isel(time=[*range(10), *range(12, 48)])
    with pytest.raises(InputError, match=told):
        taken(holed, rain.where(~rain["time"].isin(holed["time"])))
    # On cells without data only.
    half = record.where(record["lon"] < 180)
    with pytest.raises(InputError, match=told):
        taken(half, rain.where(rain["lon"] >= 180))
    assert taken(half, rain.where(rain["lon"] >= 150)).sizes["time"] == 48
    # What is lazy is not looked at beforehand.
    assert taken(holed, empty.chunk()).sizes["time"] == 48
