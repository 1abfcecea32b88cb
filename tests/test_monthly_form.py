"""What lies around the months that `fill_gaps` gives: time, bounds, attributes, other variables."""

import numpy as np
import pandas as pd
import pytest
import toy_months
import xarray as xr
from click.testing import CliRunner

from xgeoml import cli
from xgeoml.exceptions import AxisError, InputError, TimeAxisError
from xgeoml.provenance import FILLED, MEANINGS, OBSERVED

MONTHS = toy_months.SPEC
FLAG, NUMBER = "sst_fill_flag", "sst_n_observed"


def field(stamps, seed=0, **kwargs):
    random = np.random.default_rng(seed)
    values = (280 + random.standard_normal((len(stamps), 2, 3))).astype(np.float32)
    values[random.random(values.shape) < 0.3] = np.nan
    coords = {"time": stamps, "lat": [10.0, 11.0], "lon": [0.0, 1.0, 2.0]}
    attrs = {"units": "K", "standard_name": "sea_surface_temperature"}
    return xr.DataArray(values, coords, ("time", "lat", "lon"), "sst", attrs | kwargs)


@pytest.fixture
def daily():
    return field(pd.date_range("2001-01-10", "2001-04-20"))


# ---------------------------------------------------------------------------- time


@pytest.mark.parametrize("calendar", ["standard", "noleap", "360_day", "julian"])
def test_months_of_any_calendar(calendar, tmp_path):
    pytest.importorskip("netCDF4")
    stamps = xr.date_range(
        "2003-12-12T12", periods=100, freq="D", calendar=calendar, use_cftime=True
    )
    data = field(stamps).to_dataset()
    data["time"].attrs = {"long_name": "time", "axis": "T"}
    data["time"].encoding = {"units": "days since 2000-01-01 12:00:00", "dtype": np.dtype("i4")}
    data["time"].encoding["calendar"] = calendar
    full = data.geoml.fill_gaps("linear", freq="MS")
    assert [(s.month, s.day, s.hour) for s in full["time"].values] == [
        (m, 1, 0) for m in (12, 1, 2, 3)
    ]
    assert full["time"].dt.calendar == calendar
    assert full["time"].attrs == {"long_name": "time", "axis": "T", "bounds": "time_bnds"}
    edges = full["time_bnds"].values
    assert full["time_bnds"].dims == ("time", "bnds")
    assert (edges[:, 0] == full["time"].values).all()
    assert (edges[1:, 0] == edges[:-1, 1]).all()
    # The file says the same, in the units of the record.
    full.to_netcdf(tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc", decode_times=False) as raw:
        assert raw["time"].attrs["units"].replace("T", " ") == "days since 2000-01-01 12:00:00"
        assert raw["time"].attrs["calendar"] == calendar
    coder = xr.coders.CFDatetimeCoder(use_cftime=True)
    with xr.open_dataset(tmp_path / "a.nc", decode_times=coder) as again:
        assert (again["time"].values == full["time"].values).all()
        assert (again["time_bnds"].values == edges).all()
    lengths = (edges[:, 1] - edges[:, 0]) / pd.Timedelta("1D")
    days = {"360_day": [30, 30, 30, 30], "noleap": [31, 31, 28, 31]}
    assert list(lengths) == days.get(calendar, [31, 31, 29, 31])


def test_bounds_are_called_as_before(daily):
    dataset = daily.to_dataset()
    stamps = daily["time"].values
    edges = np.stack([stamps, stamps + np.timedelta64(1, "D")], axis=1)
    dataset = dataset.assign(span=(("time", "nv"), edges), area=(("lat",), [1.0, 2.0]))
    dataset["time"].attrs["bounds"] = "span"
    full = dataset.geoml.fill_gaps("linear", freq="ME")
    assert list(full) == ["sst", "span", "area", FLAG, NUMBER]
    assert full["span"].dims == ("time", "nv")
    np.testing.assert_array_equal(full["span"][0], np.array(["2001-01-01", "2001-02-01"], "M8[ns]"))
    assert "time_bnds" not in full.variables
    moved = dataset.set_coords("span")
    moved["time"].encoding["bounds"] = moved["time"].attrs.pop("bounds")
    full = moved.geoml.fill_gaps("linear", freq="MS")
    assert "span" in full.coords
    assert full["time"].encoding["bounds"] == "span"
    assert "bounds" not in full["time"].attrs


def test_days_stamped_at_their_end(daily):
    full = daily.to_dataset().geoml.fill_gaps("linear", freq="MS")
    ends = daily["time"].values + np.timedelta64(1, "D")
    edges = np.stack([daily["time"].values, ends], axis=1)
    late = daily.assign_coords(time=ends).to_dataset().assign(time_bnds=(("time", "nv"), edges))
    late["time"].attrs["bounds"] = "time_bnds"
    found = late.geoml.fill_gaps("linear", freq="MS")
    for name in ("sst", FLAG, NUMBER):
        np.testing.assert_array_equal(found[name], full[name])
    assert found.indexes["time"].equals(full.indexes["time"])
    without = late.drop_vars("time_bnds").geoml.fill_gaps("linear", freq="MS")
    assert not np.array_equal(without[NUMBER], full[NUMBER])


def test_a_data_array_has_no_bounds(daily):
    full = daily.geoml.fill_gaps("linear", freq="MS")
    assert set(full.coords) == {"time", "lat", "lon", FLAG, NUMBER}
    assert full["time"].attrs == {}
    assert full.name == "sst"
    told = daily.copy()
    told["time"].attrs["bounds"] = "elsewhere"
    assert told.geoml.fill_gaps("linear", freq="MS")["time"].attrs == {"bounds": "elsewhere"}


def test_a_record_of_summers_stays_one():
    stamps = pd.date_range("2001-01-01", "2004-12-31")
    data = field(stamps[np.isin(stamps.month, (6, 7, 8))])
    full = data.geoml.fill_gaps("linear", freq="MS")
    assert full.sizes["time"] == 12
    assert set(full["time"].dt.month.values) == {6, 7, 8}
    lazy = data.chunk(time=50).geoml.fill_gaps("linear", freq="MS")
    np.testing.assert_array_equal(lazy, full)
    for given in (data, data.chunk(time=50)):
        months = given.geoml.fill_gaps(MONTHS, freq="MS")
        assert months.indexes["time"].equals(full.indexes["time"])
        np.testing.assert_array_equal(months[NUMBER], full[NUMBER])


def test_one_day_is_a_month(daily):
    full = daily.isel(time=[3]).geoml.fill_gaps("linear", freq="MS")
    assert full.sizes["time"] == 1
    assert int(full[NUMBER].max()) == 1
    assert bool((full[FLAG] != OBSERVED).all())


@pytest.mark.parametrize(
    ("change", "kind", "match"),
    [
        (lambda d: d.resample(time="MS").mean(), TimeAxisError, "steps of 'time' are monthly"),
        (lambda d: d.drop_vars("time"), TimeAxisError, "'time' has no coordinate"),
        (lambda d: d.isel(time=0), AxisError, "making months"),
        (lambda d: d.assign_coords(time=np.arange(101)), TimeAxisError, "has dtype int64"),
        (lambda d: d.where(False), InputError, "missing everywhere"),
        (lambda d: d.isel(time=slice(0, 0)), TimeAxisError, "is empty"),
    ],
)
def test_what_cannot_be_made_months_of(daily, change, kind, match):
    with pytest.raises(kind, match=match):
        change(daily).geoml.fill_gaps("linear", freq="MS")


# ---------------------------------------------------------------------------- attributes


def test_attributes_and_encodings(daily):
    daily.attrs |= {"cell_methods": "area: mean time: point", "ancillary_variables": "lat_err"}
    daily.encoding = {"scale_factor": 0.01, "dtype": "i2", "_FillValue": -1, "zlib": True}
    full = daily.to_dataset().assign_attrs(title="x").geoml.fill_gaps("linear", freq="MS")
    told = full["sst"].attrs
    assert told["units"] == "K"
    assert told["cell_methods"] == "area: mean time: mean"
    assert told["ancillary_variables"] == f"lat_err {FLAG} {NUMBER}"
    assert full["sst"].encoding == {"zlib": True}
    assert full[FLAG].attrs["flag_meanings"] == MEANINGS
    assert full[NUMBER].attrs["units"] == "1"
    assert full[NUMBER].attrs["standard_name"] == "number_of_observations"
    assert full.attrs["title"] == "x"
    assert "fill_gaps(model='linear', freq='MS'): sst by linear@1.0" in full.attrs["history"]


def test_integers_are_filled_as_numbers():
    stamps = pd.date_range("2001-01-01", "2001-02-20")
    counts = xr.DataArray(np.arange(51, dtype=np.int16), {"time": stamps}, ("time",), "n")
    counts[5] = -9
    counts.attrs["_FillValue"] = -9
    full = counts.to_dataset().geoml.fill_gaps("linear", freq="MS", variables="n")
    assert full["n"].dtype == np.float64
    assert full["n"][0] == pytest.approx(15)
    assert full["n_n_observed"].values.tolist() == [30, 20]


# ---------------------------------------------------------------------------- other variables


def test_what_lies_along_time_and_was_not_filled_is_left_out(daily):
    dataset = daily.to_dataset().assign(
        other=daily * 2,
        quality=daily.notnull().astype(np.int64),
        depth=(("lat", "lon"), np.ones((2, 3))),
        name=((), "buoy"),
    )
    dataset = dataset.assign_coords(season=("time", np.arange(101)), member=3)
    dataset["sst"].attrs["ancillary_variables"] = "quality depth"
    dataset["sst"].encoding["coordinates"] = "season member"
    with pytest.warns(UserWarning, match=r"left out: 'quality', 'season'.*variables="):
        full = dataset.geoml.fill_gaps("linear", freq="MS")
    assert {FLAG, "other_fill_flag", "depth", "name", "member"} <= set(full.variables)
    np.testing.assert_allclose(full["other"], 2 * full["sst"], rtol=1e-6)
    for name in ("depth", "name", "member", "lat"):
        assert full[name].variable.identical(dataset[name].variable)
    assert full["sst"].attrs["ancillary_variables"] == f"depth {FLAG} {NUMBER}"
    assert full["sst"].encoding["coordinates"] == "member"
    assert full["lat"].to_index().equals(dataset["lat"].to_index())
    with pytest.warns(UserWarning, match="left out: 'other', 'quality', 'season'"):
        one = dataset.geoml.fill_gaps("linear", freq="MS", variables="sst")
    assert "other" not in one
    with pytest.warns(UserWarning, match="left out: 'season'"):
        array = dataset["sst"].geoml.fill_gaps("linear", freq="MS")
    np.testing.assert_array_equal(array, full["sst"])


def test_two_time_axes(daily):
    dataset = daily.to_dataset().assign(other=daily.rename(time="when").rename("other"))
    dataset["when"].attrs["standard_name"] = "time"
    full = dataset.geoml.fill_gaps("linear", freq="MS")
    np.testing.assert_array_equal(full["other"].values, full["sst"].values)
    assert {"time_bnds", "when_bnds"} <= set(full)


def test_values_that_an_earlier_call_filled_are_no_observations(daily):
    plain = daily.to_dataset()
    plain["sst"][22:50] = 280.0
    earlier = plain.geoml.fill_gaps("linear", spread=True)
    full = plain.geoml.fill_gaps("linear", freq="MS")
    again = earlier.geoml.fill_gaps("linear", freq="MS")
    xr.testing.assert_allclose(again.drop_attrs(), full.drop_attrs(), rtol=1e-6)
    # And the months are known as filled to a call at their own step.
    more = again.geoml.fill_gaps("linear")
    for name in ("sst", FLAG):
        np.testing.assert_array_equal(more[name], full[name])
    assert bool((more[FLAG] == FILLED).any())


# ---------------------------------------------------------------------------- trees, plans, files


def test_groups_that_share_the_time_axis_are_in_months_together(daily):
    count = xr.Dataset(
        {"count": ("time", np.arange(101)), "area": ("lat", np.ones(2))},
        {"time": daily["time"], "lat": daily["lat"]},
    )
    alone = daily.to_dataset().geoml.fill_gaps("linear", freq="MS")
    for paths in (("/", "/a"), ("/a/b", "/a")):
        tree = xr.DataTree.from_dict(dict(zip(paths, (count, daily.to_dataset()), strict=True)))
        with pytest.warns(UserWarning, match="left out: 'count'"):
            full = tree.geoml.fill_gaps("linear", freq="MS")
        np.testing.assert_array_equal(full["/a/sst"], alone["sst"])
        there = full[paths[0]].to_dataset()
        assert "count" not in there
        assert there["area"].equals(count["area"])
        assert there.indexes["time"].equals(alone.indexes["time"])
    tree = xr.DataTree.from_dict({"/a": daily.to_dataset(), "/b": count})
    full = tree.geoml.fill_gaps("linear", freq="MS")
    assert full["/b"].to_dataset().identical(count)
    assert full["/a"].to_dataset().drop_attrs().identical(alone.drop_attrs())
    shared = xr.DataTree.from_dict(
        {
            "/": xr.Dataset(coords={"time": daily["time"]}),
            "/a": daily.drop_vars("time").to_dataset(),
            "/b": (daily * 2).drop_vars("time").to_dataset(),
        }
    ).geoml.fill_gaps("linear", freq="MS")
    np.testing.assert_allclose(shared["/b/sst"], 2 * alone["sst"], rtol=1e-6)


def test_a_plan_tells_of_months(daily):
    plan = daily.geoml.plan(model="linear", freq="MS")
    assert plan.months == 4
    assert plan.n_added == 19  # 9 days before, 10 after
    assert plan.time_step == "daily"
    assert "4 months" in repr(plan)
    assert plan.chunks[plan.dims.index("time")] == (4,)
    assert daily.geoml.plan(model="linear").months is None
    with pytest.raises(InputError, match="expected 'MS'"):
        daily.geoml.plan(model="linear", freq="W")


def test_the_command(daily, tmp_path):
    pytest.importorskip("netCDF4")
    dataset = daily.to_dataset()
    edges = np.stack([daily["time"], daily["time"] + np.timedelta64(1, "D")], axis=1)
    dataset = dataset.assign(time_bnds=(("time", "nv"), edges))
    dataset["time"].attrs["bounds"] = "time_bnds"
    dataset["time"].encoding["units"] = "days since 2000-01-01"
    dataset.to_netcdf(tmp_path / "daily.nc")
    out = tmp_path / "months.nc"

    def run(*arguments):
        return CliRunner().invoke(cli.main, ["fill-gaps", *map(str, arguments)])

    done = run(tmp_path / "daily.nc", "--freq", "MS", "--model", "linear", "--out", out)
    assert done.exit_code == 0, done.output
    assert FLAG in done.output
    with xr.open_dataset(out) as full:
        expected = dataset.geoml.fill_gaps("linear", freq="MS")
        np.testing.assert_array_equal(full["sst"], expected["sst"])
        np.testing.assert_array_equal(full["time_bnds"], expected["time_bnds"])
    done = run(
        tmp_path / "daily.nc", "--model", "linear", "--max-gap", "2", "--overwrite", "--out", out
    )
    assert done.exit_code == 0, done.output
    with xr.open_dataset(out) as full:
        expected = dataset.geoml.fill_gaps("linear", max_gap=2)
        np.testing.assert_array_equal(full["sst"], expected["sst"])
    for wrong, told in (
        (("--freq", "W", "--out", out), "'MS'"),
        (("--out", tmp_path / "daily.nc"), "is the record itself"),
        (("--out", tmp_path / "a.txt"), "ends in .nc or .zarr"),
        (("--out", tmp_path / "no" / "a.nc"), "its folder is not there"),
        (("--out", out), "is there already; type --overwrite"),
        (("--overwrite", "--out", out, "--freq", "MS", "--spread"), "not independent"),
    ):
        done = run(tmp_path / "daily.nc", *wrong)
        assert done.exit_code in (1, 2)
        assert told in done.output
        assert "Traceback" not in done.output


def test_of_stacked_cells_levels_are_kept(daily):
    stacked = daily.stack(point=("lat", "lon"))
    full = stacked.geoml.fill_gaps("linear", freq="MS")
    assert full.indexes["point"].equals(stacked.indexes["point"])
    expected = daily.geoml.fill_gaps("linear", freq="MS").stack(point=("lat", "lon"))
    xr.testing.assert_equal(full.drop_vars([FLAG, NUMBER]), expected.drop_vars([FLAG, NUMBER]))


def test_stacked_steps_are_no_time(daily):
    stacked = daily.stack(step=("time", "lat"))
    with pytest.raises(TimeAxisError, match="'step' has dtype object"):
        stacked.geoml.fill_gaps("linear", freq="MS", dims={"T": "step"})
