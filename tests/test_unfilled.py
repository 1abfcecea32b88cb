"""A warning of gaps that were to be filled and stay, and of no others."""

import warnings

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xgeoml.provenance import UNFILLED

LABELS = ["A", "B", "C", "D", "E", "F"]


def stations(*empty):
    """Return thirty days of six stations with gaps, some of them without a value."""
    values = np.random.default_rng(0).random((30, 6))
    values[4:7, 1] = np.nan
    values[:, list(empty)] = np.nan
    days = pd.date_range("2001-01-01", periods=30)
    return xr.DataArray(values, {"time": days, "station": LABELS}, ("time", "station"), "rain")


def maps(*empty):
    """Return the same as a map of two rows."""
    lon = [20.0, 21.0, 22.0]
    made = stations(*empty).data.reshape(30, 2, 3)
    coords = {"time": stations().time, "lat": [10.0, 11.0], "lon": lon}
    return xr.DataArray(made, coords, ("time", "lat", "lon"), "rain")


def silent(obj, **given):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return obj.geoml.fill_gaps("linear", **given)


def test_stations_without_a_value_are_named():
    told = r"'rain': 2 of 6 series \(station A, C\) stay missing, which have no value at any step; "
    with pytest.warns(UserWarning, match=told + "'rain_fill_flag' is 2 there") as found:
        full = stations(0, 2).geoml.fill_gaps("linear")
    assert len(found) == 1
    assert (full.rain_fill_flag.sel(station=["A", "C"]) == UNFILLED).all()
    with pytest.warns(UserWarning, match=r"4 of 6 series \(station A, B, C, \.\.\.\)"):
        stations(0, 1, 2, 3).geoml.fill_gaps("linear")
    with pytest.warns(UserWarning, match="'rain': 1 of 6 series stay missing") as found:
        stations(3).drop_vars("station").to_dataset().geoml.fill_gaps("linear")
    assert found[0].filename == __file__, "it is the user's line that is told of"


def test_what_was_left_out_is_no_surprise():
    silent(stations())
    silent(stations(), max_gap=1)
    here = xr.DataArray([True, False] + [True] * 4, {"station": LABELS}, ["station"])
    left = silent(stations(1), mask=here)
    assert (left.rain_fill_flag.sel(station="B") == UNFILLED).all()


def test_land_is_no_surprise_unless_it_was_asked_for():
    made = maps(0)
    full = silent(made)
    assert (full.rain_fill_flag[:, 0, 0] == UNFILLED).all()
    land = made.notnull().any("time")
    silent(made, mask=land)
    silent(made, mask=land.any("lon"))
    with pytest.warns(UserWarning, match=r"1 of 6 series stay .* To be silent leave them out of"):
        made.geoml.fill_gaps("linear", mask=xr.ones_like(land))


def test_series_for_which_the_model_has_no_estimate(monkeypatch):
    monkeypatch.setattr(
        "xgeoml.models.linear.Linear.predict", lambda *a: np.full((2, *a[1].values.shape), np.nan)
    )
    told = "1 of 6 series stay missing, for which the model has no estimate"
    with pytest.warns(UserWarning, match=told):
        maps(0).geoml.fill_gaps("linear")


def test_nothing_is_computed_to_know():
    def never(*_, **__):
        raise AssertionError("computed")

    with dask.config.set(scheduler=never):
        silent(stations(0).chunk(station=2))
