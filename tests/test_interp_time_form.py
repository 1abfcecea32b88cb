"""What comes back beside the fields: coordinates, bounds, attributes, other variables; errors."""

import warnings

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from toy_in_time import Refuses, interp, look, record

import xgeoml
from xgeoml.exceptions import InputError, TimeAxisError


@pytest.fixture
def data():
    return record(12)


def with_bounds(data, name="time_bnds"):
    """Return the Dataset of means over the six hours before each stamp."""
    edges = np.stack([data.time - np.timedelta64(6, "h"), data.time], 1)
    made = data.to_dataset().assign({name: (("time", "nv"), edges)})
    made["time"].attrs = {"bounds": name, "long_name": "the time"}
    return made


def test_names_attributes_and_other_coordinates_stay(data):
    data = data.assign_coords(number=3, surface=("lat", ["a", "b", "c"]))
    data["time"].attrs["long_name"] = "the time"
    made = interp(data, "1h")
    assert made.name == "t2m"
    assert {k: v for k, v in made.attrs.items() if k != "history"} == data.attrs
    assert set(made.coords) == set(data.coords)
    for name in ("lat", "lon", "number", "surface"):
        assert made[name].identical(data[name].assign_coords(number=3))
    assert made["time"].attrs == {"long_name": "the time"}
    assert made.attrs["cell_methods"] == "time: point"


def test_the_history_says_what_was_done(data):
    made = interp(data.to_dataset().assign_attrs(history="before"), factor=2, model="cubic")
    first, line = made.attrs["history"].split("\n")
    assert first == "before"
    assert "interp_time(model='cubic', factor=2): t2m by cubic@1.0" in line
    times = interp(data, times=data.time[:3], max_gap="1D")
    assert "times='3 times, 2001-01-01T00:00:00.000000" in times.attrs["history"]
    assert "max_gap='1D'" in times.attrs["history"]
    with xgeoml.set_options(keep_history=False):
        assert "history" not in interp(data, "1h").attrs


def test_bounds_run_along_with_time(data):
    given = with_bounds(data)
    made = interp(given, "1h")
    assert list(made.data_vars) == ["t2m", "time_bnds"]
    lengths = made["time_bnds"][:, 1] - made["time_bnds"][:, 0]
    assert bool((lengths == np.timedelta64(6, "h")).all())
    assert bool((made["time_bnds"][:, 1] == made.time).all())
    np.testing.assert_array_equal(
        made["time_bnds"].sel(time=given.time).values, given["time_bnds"].values
    )
    turned = given.assign(time_bnds=given["time_bnds"].T)
    assert interp(turned, "1h")["time_bnds"].variable.T.identical(made["time_bnds"].variable)
    with dask.config.set(scheduler=Refuses()):
        lazy = interp(given.chunk(time=4), "1h")
    assert lazy["time_bnds"].chunks is not None
    assert lazy.compute().drop_attrs().identical(made.drop_attrs())
    usual = given.copy()
    del usual["time"].attrs["bounds"]
    assert interp(usual, "1h")["time_bnds"].variable.identical(made["time_bnds"].variable)


def test_bounds_in_other_calendars_and_numbers(data):
    times = xr.date_range("2001-02-27", periods=12, freq="6h", calendar="noleap", use_cftime=True)
    cf = data.assign_coords(time=times)
    early = np.array([t - pd.Timedelta("6h").to_pytimedelta() for t in times])
    given = cf.to_dataset().assign(time_bnds=(("time", "nv"), np.stack([early, times], 1)))
    made = interp(given, "1h")
    assert made["time_bnds"].dtype == object
    assert list(made["time_bnds"].values[:, 1]) == list(made.time.values)
    given["time_bnds"] = (("time", "nv"), np.arange(24.0).reshape(12, 2))
    made = interp(given, "1h")
    np.testing.assert_allclose(made["time_bnds"][:, 0], np.arange(67) / 3)


def test_other_coordinates_along_time(data):
    lead = pd.to_timedelta(np.arange(12) * 6.0, unit="h")
    data = data.assign_coords(
        lead=("time", lead),
        start=("time", np.repeat(data.time.values[:1], 12)),
        depth=("time", np.arange(12, dtype=np.float32)),
        track=("time", np.linspace(170, 191, 12) % 360, {"units": "degrees_east"}),
        west=("time", (np.linspace(170, 191, 12) + 180) % 360 - 180, {"units": "degrees_east"}),
        moving=(("time", "lat"), np.arange(36.0).reshape(12, 3)),
        month=("time", np.ones(12, int)),
        label=("time", list("abcdefghijkl")),
    )
    with pytest.warns(UserWarning, match=r"left out: coordinates \['month', 'label'\]"):
        made = interp(data, "1h")
    assert set(made.coords) == set(data.coords) - {"month", "label"}
    np.testing.assert_array_equal(made["lead"], pd.to_timedelta(np.arange(67.0), unit="h"))
    assert bool((made["start"] == data["start"][0]).all())
    np.testing.assert_allclose(made["depth"], np.arange(67) / 6, rtol=1e-6)
    assert made["depth"].dtype == np.float32
    np.testing.assert_allclose(made["track"], np.linspace(170, 191, 67))
    np.testing.assert_allclose(made["west"], (np.linspace(170, 191, 67) + 180) % 360 - 180)
    np.testing.assert_allclose(made["moving"][:, 0], np.arange(67) / 2)
    for name in ("lead", "start", "depth", "track", "moving"):
        given = made[name].sel(time=data.time)
        assert given.variable.equals(data[name].variable), name
    cf = xr.date_range("2001-01-01", periods=12, freq="D", calendar="noleap", use_cftime=True)
    made = interp(data.drop_vars(["month", "label"]).assign_coords(start=("time", cf)), "1h")
    assert made["start"].values[3] == cf[0] + pd.Timedelta("12h").to_pytimedelta()


def test_other_variables_of_a_dataset(data):
    given = data.to_dataset().assign(
        wind=2 * data,
        number=("time", np.arange(12)),
        seen=data > 280,
        name=("time", list("abcdefghijkl")),
        height=data[0].drop_vars("time"),
        crs=0,
        t2m_fill_flag=data.astype(np.int8),
        t2m_spread=data,
    )
    with pytest.warns(UserWarning, match="left out: variables") as told:
        made = interp(given, "1h")
    text = str(told[0].message)
    left = ["number", "seen", "name", "t2m_fill_flag", "t2m_spread"]
    assert all(repr(name) in text for name in left)
    assert list(made.data_vars) == ["t2m", "wind", "height", "crs"]
    assert made["height"].identical(given["height"])
    with pytest.warns(UserWarning, match="name variables= to interpolate them"):
        one = interp(given, "1h", variables="wind")
    assert list(one.data_vars) == ["wind", "height", "crs"]
    assert one["wind"].equals(made["wind"])
    numbers = interp(given[["number", "t2m"]], "1h", variables=["number", "t2m"])
    np.testing.assert_allclose(numbers["number"], np.arange(67) / 6)
    with pytest.raises(InputError, match="'wint' is not in the Dataset: did you mean"):
        interp(given, "1h", variables="wint")
    with pytest.raises(InputError, match="no floating-point variable with a time axis"):
        interp(given[["number", "height"]], "1h")


def test_several_times_in_a_dataset(data):
    daily = record(6, "1D").rename(time="day").rename("daily")
    made = interp(xr.merge([data, daily]), factor=2, variables=["t2m", "daily"])
    assert made.sizes["time"] == 23
    assert made.sizes["day"] == 11
    assert made["daily"].equals(interp(daily, factor=2))
    assert made["t2m"].equals(interp(data, factor=2))


def test_the_encoding_holds_the_new_times(data, tmp_path):
    pytest.importorskip("netCDF4")
    packed = {"dtype": "int16", "scale_factor": 0.01, "zlib": True, "chunksizes": (1, 3, 4)}
    given = with_bounds(record(6, "1D"))
    given["t2m"].encoding = packed
    days = {"units": "days since 2000-01-01", "dtype": "int64", "calendar": "standard"}
    given["time"].encoding = days
    made = interp(given, "1h")
    assert made["t2m"].encoding == {"zlib": True}
    assert made["time"].encoding == {
        "units": "hours since 2000-01-01",
        "calendar": "standard",
        "dtype": np.float64,
        "_FillValue": None,
    }
    assert interp(given, factor=7)["time"].encoding["units"] == "nanoseconds since 2000-01-01"
    made.to_netcdf(tmp_path / "hours.nc")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with xr.open_dataset(tmp_path / "hours.nc") as again:
            assert again.time.equals(made.time)
            xr.testing.assert_allclose(again["t2m"], made["t2m"])
            np.testing.assert_array_equal(again["time_bnds"], made["time_bnds"])
    longer = interp(given, "2D")
    assert {k: longer["time"].encoding[k] for k in days} == days
    given["time"].encoding = {"units": "fortnights since 2000-01-01"}
    assert interp(given, "1h")["time"].encoding["units"] == "hours since 2000-01-01"
    given["time"].encoding = {"units": "seconds since 2000-01-01", "dtype": "int32"}
    assert interp(given, "1h")["time"].encoding["units"] == "seconds since 2000-01-01"


def test_a_stored_record_is_read_written_and_read(data, tmp_path):
    pytest.importorskip("zarr")
    data.to_dataset().chunk(time=5).to_zarr(tmp_path / "six.zarr", consolidated=False)
    with xr.open_zarr(tmp_path / "six.zarr", consolidated=False) as lazy:
        interp(lazy, "1h").to_zarr(tmp_path / "one.zarr", consolidated=False)
    with xr.open_zarr(tmp_path / "one.zarr", consolidated=False) as again:
        np.testing.assert_array_equal(again["t2m"], interp(data, "1h"))


@pytest.mark.parametrize("calendar", ["noleap", "360_day", "all_leap", "julian", "standard"])
def test_calendars(calendar):
    given = record(20, "6h")
    times = xr.date_range("2000-02-27", periods=20, freq="6h", calendar=calendar, use_cftime=True)
    data = given.assign_coords(time=times)
    made = interp(data, "1h", "akima")
    assert isinstance(made.indexes["time"], xr.CFTimeIndex)
    assert made.indexes["time"].calendar == calendar
    np.testing.assert_array_equal(made.values, interp(given, "1h", "akima").values)
    assert made.sel(time=data.time).equals(data)
    parts = interp(data, factor=6, model="akima")
    assert parts.time.equals(made.time)
    text = [f"2000-02-{day}T{hour:02}" for day in (27, 28) for hour in (1, 2, 18)]
    some = interp(data, times=text, model="akima")
    assert some.equals(made.sel(time=some.time))
    lazy = interp(data.chunk(time=3), "1h", "akima").compute()
    assert lazy.equals(made)


def test_months_and_years():
    years = record(5, "YS").assign_attrs(units="mm")
    made = interp(years, "MS")
    assert made.sizes["time"] == 49
    assert made.sel(time=years.time).equals(years)
    assert set(made.time.dt.day.values) == {1}
    cf = years.assign_coords(
        time=xr.date_range("2001", periods=5, freq="YS", calendar="noleap", use_cftime=True)
    )
    assert interp(cf, "MS").sizes["time"] == 49
    assert interp(cf, "QS").sizes["time"] == 17
    late = years.assign_coords(time=years.time + np.timedelta64(20, "D"))
    assert str(interp(late, "MS").time.values[0])[:10] == "2001-02-01"
    with pytest.raises(InputError, match="has no time between"):
        interp(record(5, "D").isel(time=slice(1, None)), "YS")


def test_units_of_dates_are_fine_enough():
    data = record(4, "1D")
    seconds = data.assign_coords(time=data.time.values.astype("M8[s]"))
    assert interp(seconds, "1h").time.dtype == np.dtype("M8[s]")
    assert interp(seconds, "500ms").time.dtype == np.dtype("M8[ns]")
    assert interp(seconds, factor=7).time.dtype == np.dtype("M8[ns]")
    assert interp(seconds, factor=7).sel(time=seconds.time).equals(seconds)
    far = seconds.assign_coords(time=seconds.time + np.timedelta64(365_000, "D"))
    assert interp(far, factor=7).time.dtype == np.dtype("M8[us]")
    exact = interp(seconds, times=["2001-01-01T00:00:00.250"])
    assert exact.time.values[0] == np.datetime64("2001-01-01T00:00:00.250")


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({}, InputError, "no times are given; expected one of freq='1h'"),
        ({"freq": "1h", "factor": 2}, InputError, "freq= and factor= are given"),
        ({"freq": "1x"}, InputError, "is no step forward in time; expected one such as '1h'"),
        ({"freq": "-1h"}, InputError, "is no step forward in time"),
        ({"freq": 6}, InputError, "or factor=6"),
        ({"freq": "1ns"}, InputError, "gives 2.38e.14 times; expected at most 1e.07"),
        ({"factor": 10**8}, InputError, "times; expected at most"),
        ({"factor": 1}, InputError, "expected a whole number, 2 or more"),
        ({"factor": True}, InputError, "expected a whole number, 2 or more"),
        ({"factor": 2.5}, InputError, "expected a whole number, 2 or more"),
        ({"times": []}, InputError, "at least one time"),
        ({"times": [3.0]}, TimeAxisError, "numbers are no dates"),
        ({"times": ["soon"]}, TimeAxisError, "cannot be read as dates"),
        ({"times": ["2001-01-02T00Z"]}, TimeAxisError, "time zone"),
        ({"times": pd.date_range("2001", periods=2, tz="UTC")}, TimeAxisError, "tz_convert"),
        (
            {"times": xr.DataArray(pd.date_range("2001", periods=2, tz="UTC"))},
            TimeAxisError,
            r"times.to_index\(\).tz_convert",
        ),
        ({"times": ["2001-01-02", "2001-01-02"]}, TimeAxisError, "ascending times, each once"),
        ({"times": ["2001-01-02", "2001-01-01"]}, TimeAxisError, "at position 1"),
        ({"times": [np.datetime64("NaT")]}, TimeAxisError, "NaT, which is no time"),
        ({"times": ["2000-12-31"]}, TimeAxisError, "expected times from 2001-01-01 to"),
        ({"times": ["2001-01-05"]}, TimeAxisError, "beyond the first and last step"),
        ({"freq": "1h", "accumulated": "yes"}, InputError, "accumulated='yes'"),
        ({"freq": "1h", "terrain": 1.5}, InputError, "terrain=1.5"),
        ({"freq": "1h", "dims": "time"}, xgeoml.AxisError, "expected a mapping"),
        ({"freq": "1h", "model": "lineer"}, xgeoml.ModelNotFoundError, "Did you mean 'linear'"),
        ({"freq": "1h", "model": "bicubic"}, xgeoml.SpecError, "cannot do interp_time"),
        ({"freq": "1h", "variables": "t2m"}, InputError, "goes with a Dataset"),
    ],
    ids=str,
)
def test_wrong_calls_say_what_to_type(data, given, error, told):
    with pytest.raises(error, match=told):
        interp(data, **given)


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (lambda d: d[::-1], TimeAxisError, "is not in order"),
        (lambda d: d[[0, 0, 1]], TimeAxisError, "duplicate stamp"),
        (lambda d: d[:1], TimeAxisError, "has 1 step; expected two or more"),
        (lambda d: d[0], xgeoml.AxisError, "interpolation in time needs a T axis"),
        (lambda d: d.assign_coords(time=np.arange(12)), TimeAxisError, "expected datetime64"),
        (lambda d: d.drop_vars("time"), TimeAxisError, "has no coordinate"),
        (lambda d: d[:, :0], InputError, "is empty"),
        (lambda d: d.astype(complex), InputError, "expected real numbers"),
        (
            lambda d: (
                d.assign_coords(date=("time", d.time.values)).drop_vars("time").rename(time="n")
            ),
            TimeAxisError,
            "swap_dims",
        ),
    ],
    ids=range(9),
)
def test_data_that_cannot_be_interpolated(data, change, error, told):
    with pytest.raises(error, match=told):
        interp(change(data), "1h")


def test_times_of_another_kind(data):
    cf = xr.date_range("2001-01-02", periods=2, calendar="noleap", use_cftime=True)
    with pytest.raises(TimeAxisError, match="'time' is datetime64; expected the same of both"):
        interp(data, times=cf)
    times = xr.date_range("2001", periods=12, freq="6h", calendar="360_day", use_cftime=True)
    other = data.assign_coords(time=times)
    for wrong in (cf, data.time):
        with pytest.raises(TimeAxisError, match="dates of the calendar '360_day'; expected the s"):
            interp(other, times=wrong)
    with pytest.raises(TimeAxisError, match="cannot be read as dates of the calendar '360_day'"):
        interp(other, times=["2001-01-31"])


def test_one_step_may_be_picked(data):
    one = interp(data[:1], times=data.time[:1])
    assert one.equals(data[:1])


def test_dims_may_be_named(data):
    odd = data.rename(time="a", lat="b", lon="c").drop_vars(["b", "c"])
    odd["a"].attrs = {}
    dims = {"T": "a", "Y": "b", "X": "c"}
    made = interp(odd.to_dataset(name="x").assign(other=("d", np.zeros(3))), "1h", dims=dims)
    np.testing.assert_array_equal(made["x"], interp(data, "1h"))
    with pytest.raises(xgeoml.AxisError):
        interp(data, "1h", dims={"T": "nothing"})
    # Of two times the user says which.
    both = odd.expand_dims(b2=pd.date_range("2000", periods=2)).rename(b2="start")
    made = interp(both, "1h", dims={"T": "a"})
    assert made.sizes["a"] == 67
    assert made.sizes["start"] == 2


def test_a_tree(data):
    fine = {"/": xr.Dataset({"height": data[0].drop_vars("time")}), "/a": data.to_dataset()}
    tree = xr.DataTree.from_dict({**fine, "/a/b": (2 * data).rename("twice").to_dataset()})
    made = interp(tree, "1h", "cubic")
    assert isinstance(made, xr.DataTree)
    assert made["/a/t2m"].drop_attrs().equals(interp(data, "1h", "cubic").drop_attrs())
    assert made["/a/b/twice"].sizes["time"] == 67
    assert made["/height"].identical(tree["/height"])
    shared = xr.Dataset(coords={"time": data.time})
    bare = data.drop_vars("time").to_dataset()
    made = interp(xr.DataTree.from_dict({"/": shared, "/a": bare, "/b": bare}), "1h")
    assert made["/"].to_dataset().sizes["time"] == 67
    assert "time" not in made["/a"].to_dataset(inherit=False).coords
    assert made["/b/t2m"].time.equals(made["/time"])
    below = xr.Dataset({"number": ("time", np.arange(12))})
    tree = xr.DataTree.from_dict({"/": data.to_dataset(), "/c": below})
    with pytest.warns(UserWarning, match=r"variables \['number'\] of a group of the DataTree"):
        made = interp(tree, "1h")
    assert made["/t2m"].sizes["time"] == 67
    with pytest.raises(InputError, match="are in no group"):
        interp(tree, "1h", variables="nothing")


def test_a_sum_that_is_not_called_one_is_warned_of(data):
    rain = data.assign_attrs(cell_methods="area: mean time: sum (interval: 6 hours)")
    with pytest.warns(UserWarning, match="type accumulated=True"):
        interp(rain, "1h")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        interp(data.assign_attrs(cell_methods="lat: lon: sum time: mean"), "1h")
        interp(rain, "1h", accumulated=True)


def test_nothing_else_is_warned_of(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data[3] = data[6, 1] = np.nan
        for model in ("linear", "cubic", "akima", look("lost", whole=True)):
            interp(data, "1h", model)
            interp(data.chunk(time=3, lat=1), factor=5, model=model).compute()
            interp(with_bounds(data), "1h", model, accumulated=True)
    with pytest.warns(UserWarning, match="progress=True says nothing of lazy data"):
        data.chunk(time=3).geoml.interp_time("1h", "linear", progress=True)
    with pytest.raises(InputError, match="'cuda:99' is not here"):
        interp(data.chunk(time=3), "1h", device="cuda:99")


def test_the_progress_is_shown(data, capsys, monkeypatch):
    from xgeoml.engine import passes

    monkeypatch.setattr(passes, "_DELAY", 0.0)
    data.geoml.interp_time("1h", "akima", progress=True)
    assert "akima: 100%" in capsys.readouterr().err
    data.geoml.interp_time("1h", "akima", progress=False)
    assert not capsys.readouterr().err


def test_means_stay_means_over_intervals_as_long():
    days = pd.date_range("2001-01-01", periods=4, freq="D")
    edges = np.stack([days, days + pd.Timedelta("1D")], axis=1)
    means = xr.Dataset(
        {"t": ("time", [1.0, 3.0, 2.0, 5.0], {"units": "K", "cell_methods": "time: mean"})},
        {"time": ("time", days + pd.Timedelta("12h"), {"bounds": "time_bnds"})},
    ).assign(time_bnds=(("time", "nv"), edges))
    made = means.geoml.interp_time("6h", "linear")
    assert made["t"].attrs["cell_methods"] == "time: mean"
    first, last = made["time_bnds"].transpose("nv", ...)
    assert (last - first == np.timedelta64(1, "D")).all(), "neighbours overlap, as running means do"
    assert (made["time"] - first == np.timedelta64(12, "h")).all()
    np.testing.assert_array_equal(made["time_bnds"][::4], means["time_bnds"])
