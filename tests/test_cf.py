"""What is written of a result follows CF, and opens elsewhere."""

import json
import re
import shutil
import subprocess
import warnings

import numpy as np
import pytest
import xarray as xr

import xgeoml
from xgeoml import datasets

netcdf = pytest.importorskip("netCDF4")

# Modifiers of standard names that are not deprecated (CF 1.11, appendix C).
MODIFIERS = {"detection_minimum", "standard_error"}
POINTING = ("ancillary_variables", "coordinates", "bounds")
# What checkers advise of units that came with the data.
ADVICE = "recommended that the units_metadata attribute"
# Seconds of seismograms are no dates, whatever a coordinate called time should be to the checker.
SECONDS = ("time units", "standard_name='time'", '"calendar"')


def hourly():
    record = datasets.hourly_temperature().isel(latitude=slice(0, 4), longitude=slice(0, 4))
    return record.isel(time=slice(0, 24, 6))


def clouds():
    return datasets.cloudy_sst().isel(lat=slice(0, 4), lon=slice(0, 5))


def coarse():
    return datasets.mountain_temperature(steps=2)[["t2m"]].coarsen(lat=8, lon=8).mean()


RECORDS = {
    "filled": (
        lambda: datasets.grace_like(nlat=4, nlon=4).isel(time=slice(0, 40)),
        lambda d: d.geoml.fill_gaps("kalman", spread=True),
    ),
    "filled array": (
        lambda: datasets.grace_like(nlat=4, nlon=4).isel(time=slice(0, 40)),
        lambda d: d["lwe_thickness"].geoml.fill_gaps("kalman", spread=True),
    ),
    "months": (clouds, lambda d: d.geoml.fill_gaps("linear", freq="MS")),
    "downscaled": (coarse, lambda d: d.geoml.downscale(2, "bicubic")),
    "at other times": (hourly, lambda d: d.geoml.interp_time("1h", "linear")),
    "inverted": (
        lambda: datasets.station_pairs(events=2, stations=2, samples=256, source_samples=32),
        lambda d: d.geoml.invert_waveform(
            "wiener", greens="greens", dim="station", variables="record"
        ),
    ),
    "chain": (
        lambda: datasets.grace_like(nlat=4, nlon=4).isel(time=slice(0, 40)),
        lambda d: d.geoml.fill_gaps("kalman").geoml.interp_time(factor=2, model="linear"),
    ),
}


@pytest.fixture(params=RECORDS)
def name(request):
    return request.param


@pytest.fixture(params=["memory", "lazy"])
def result(request, name):
    given, task = RECORDS[name]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="left out")
        return task(given().chunk() if request.param == "lazy" else given())


def faults(path):
    """Return what CF forbids of a file."""
    found = []
    with netcdf.Dataset(path) as file:
        names = set(file.variables)
        bounds = {getattr(v, "bounds", None) for v in file.variables.values()}
        for name, variable in file.variables.items():
            if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
                found.append(f"{name}: no name")
            told = {key: variable.getncattr(key) for key in variable.ncattrs()}
            for key, value in told.items():
                if not isinstance(value, (str, np.generic, np.ndarray)):
                    found.append(f"{name}:{key} is a {type(value).__name__}")
            for key in POINTING:
                lost = set(told.get(key, "").split()) - names
                found += [f"{name}:{key} names {each}" for each in lost]
            if name in file.dimensions or name in bounds:
                found += [f"{name} has {k}" for k in ("_FillValue", "missing_value") if k in told]
            if name in bounds:
                found += [f"bounds {name} have {k}" for k in told]
            if "since" in str(told.get("units")) and variable.dtype == np.int64:
                found.append(f"{name}: dates in 64 bits")
            if "flag_values" in told:
                if told["flag_values"].dtype != variable.dtype or told["units"] != "1":
                    found.append(f"{name}: type or units of the flag")
                if len(told["flag_values"]) != len(told["flag_meanings"].split()):
                    found.append(f"{name}: meanings of the flag")
            elif (
                "units" not in told
                and name not in bounds
                and variable.dtype != str
                and np.dtype(variable.dtype).kind == "f"
            ):
                found.append(f"{name}: no units")
            if set(told.get("standard_name", "").split()[1:]) - MODIFIERS:
                found.append(f"{name}: standard_name {told['standard_name']}")
            if not {"long_name", "standard_name"} & set(told) and name not in {*bounds, "station"}:
                found.append(f"{name}: no name in words")
    return found


@pytest.mark.parametrize("form", ["NETCDF4", "NETCDF4_CLASSIC", "NETCDF3_CLASSIC"])
def test_files_follow_cf(result, form, tmp_path):
    result.to_netcdf(tmp_path / "a.nc", format=form)
    assert faults(tmp_path / "a.nc") == []
    with xr.open_dataset(tmp_path / "a.nc") as again:
        whole = result.to_dataset() if isinstance(result, xr.DataArray) else result
        assert set(again.variables) == set(whole.variables)
        for name, variable in whole.variables.items():
            np.testing.assert_array_equal(again[name].values, variable.values)


def test_the_checks_find_faults(tmp_path):
    flag = xr.Variable("x", np.zeros(2, np.int8), {"flag_values": [0, 1], "flag_meanings": "a"})
    flag.attrs["units"] = "m"
    data = xr.Dataset(
        {"a": ("x", [0.0, 1.0], {"ancillary_variables": "b"}), "_c": ("x", [1, 2])},
        coords={"x": ("x", [0.5, 1.5], {"standard_name": "x number_of_observations"})},
    )
    data["flag"] = flag
    data.to_netcdf(tmp_path / "a.nc")
    told = " ".join(faults(tmp_path / "a.nc"))
    for each in (
        *("_c: no name", "a:ancillary_variables names b", "x has _FillValue", "a: no units"),
        *("flag: type or units", "flag: meanings", "x: standard_name", "a: no name in words"),
    ):
        assert each in told


def test_the_input_is_not_changed():
    record = datasets.grace_like(nlat=4, nlon=4).isel(time=slice(0, 40))
    record["lat"].encoding = {"zlib": True}
    record["lwe_thickness"].encoding = {"chunks": (7, 2, 3), "preferred_chunks": {"time": 7}}
    lazy = record.chunk(time=8)
    lazy.geoml.fill_gaps("linear")
    assert lazy["lat"].encoding == {"zlib": True}
    assert set(lazy["lwe_thickness"].encoding) == {"chunks", "preferred_chunks"}
    assert lazy["time"].encoding == {}


def test_dates_keep_what_their_file_says_of_them():
    record = datasets.grace_like(nlat=4, nlon=4).isel(time=slice(0, 40))
    record["time"].encoding = {"units": "hours since 2000-01-01", "dtype": np.dtype("int32")}
    record["lat"].encoding = {"_FillValue": -999.0}
    full = record.geoml.fill_gaps("linear")
    assert full["time"].encoding["dtype"] == np.int32
    assert full["lat"].encoding == {"_FillValue": -999.0}
    fine = record.assign_coords(time=record["time"] + np.timedelta64(1, "ms"))
    assert "dtype" not in fine.geoml.fill_gaps("linear")["time"].encoding


@pytest.mark.skipif(shutil.which("compliance-checker") is None, reason="no compliance-checker")
def test_the_compliance_checker_finds_nothing(result, name, tmp_path):
    whole = result.to_dataset() if isinstance(result, xr.DataArray) else result
    whole.attrs |= {"Conventions": "CF-1.11", "title": "a", "history": "b"}
    whole.drop_vars("station", errors="ignore").to_netcdf(tmp_path / "a.nc")
    command = ["compliance-checker", "-t", "cf:1.11", "-c", "strict", "-f", "json", "-o", "-"]
    done = subprocess.run([*command, tmp_path / "a.nc"], capture_output=True, check=False)
    told = json.loads(done.stdout)["cf:1.11"]
    groups = ("high_priorities", "medium_priorities", "low_priorities")
    messages = [m for g in groups for each in told[g] for m in each["msgs"] if ADVICE not in m]
    if name == "inverted":
        messages = [m for m in messages if not any(s in m for s in SECONDS)]
    assert messages == []


@pytest.mark.skipif(shutil.which("cdo") is None, reason="no cdo")
def test_cdo_reads_every_variable(result, name, tmp_path):
    result.to_netcdf(tmp_path / "a.nc")
    command = ["cdo", "-s", "showname", tmp_path / "a.nc"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    # To cdo time is the first dim, and coordinates are no fields.
    whole = result.to_dataset() if isinstance(result, xr.DataArray) else result
    known = set(map(str, whole.data_vars)) - {"time_bnds"}
    ours = {"record", "record_each_misfit"} if name == "inverted" else set()
    assert set(done.stdout.split()) | ours == known | ours


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("file", "task"),
    [
        (
            "grace_amazon_mini.nc",
            lambda d: d.geoml.fill_gaps("kalman", variables="lwe_thickness", spread=True),
        ),
        ("alboran_clouds_mini.nc", lambda d: d.geoml.fill_gaps("linear")),
        ("oisst_tasman_2012_mini.nc", lambda d: d.geoml.fill_gaps("linear", freq="MS")),
        ("kerala_mini.nc", lambda d: d.geoml.downscale(2, "bilinear")),
        ("era5_uk_t2m_mini.nc", lambda d: d.geoml.interp_time("30min", "linear")),
        (
            "palu_mini.nc",
            lambda d: d.geoml.invert_waveform(
                "wiener",
                greens=d["synthetic"].fillna(0),
                dim="station",
                variables="observed",
                gaps="window",
            ),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.filterwarnings("ignore:left out")
def test_nothing_but_what_came_with_real_records_is_wrong(data_path, file, task, tmp_path):
    with xr.open_dataset(data_path / "mini" / file) as given:
        small = given.isel({d: slice(0, 8) for d in ("lat", "lon") if d in given.dims})
        small.to_netcdf(tmp_path / "before.nc")
        task(small.chunk()).to_netcdf(tmp_path / "after.nc")
    new = set(faults(tmp_path / "after.nc")) - set(faults(tmp_path / "before.nc"))
    # Records without units have moments without.
    assert {fault for fault in new if not fault.endswith("_moment: no units")} == set()


def test_a_tree_follows_cf(tmp_path):
    record = xgeoml.datasets.grace_like(nlat=4, nlon=4).isel(time=slice(0, 40))
    tree = xr.DataTree.from_dict({"/": record[["lat", "lon"]], "/a": record.drop_vars(["lat"])})
    tree.geoml.fill_gaps("linear").to_netcdf(tmp_path / "a.nc")
    with netcdf.Dataset(tmp_path / "a.nc") as file:
        assert "_FillValue" not in file["a"]["time"].ncattrs()
        assert file["a"]["time"].dtype == np.float64
        assert file["a"]["lwe_thickness_fill_flag"].units == "1"
