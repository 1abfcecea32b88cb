"""What `fill_gaps` writes beside the values: flags, spread, history, dtypes and encodings."""

from contextlib import nullcontext
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xgeoml
from xgeoml.provenance import FILLED, SUSPECT, UNFILLED

NAME = "lwe_thickness"
FLAG, SPREAD = f"{NAME}_fill_flag", f"{NAME}_spread"


def test_half_precision_stays_so(record):
    half = record[NAME].astype(np.float16)
    full = half.geoml.fill_gaps("kalman", spread=True)
    assert full.dtype == full[SPREAD].dtype == np.float16
    kept = full.sel(time=half["time"])
    np.testing.assert_array_equal(kept.where(half.notnull()), half)


@pytest.mark.parametrize("lazy", [False, True])
def test_what_half_precision_cannot_hold_stays_missing(lazy):
    rising = np.linspace(0, 80_000, 60)[:, None] * np.ones(3)
    rising[45:] = np.nan
    months = pd.date_range("2001", periods=60, freq="MS")
    half = xr.DataArray(rising.astype("f2"), {"time": months}, ("time", "x"), "height")
    given = half.chunk(x=2) if lazy else half
    with nullcontext() if lazy else pytest.warns(UserWarning, match="3 of 3 series stay missing"):
        full = given.geoml.fill_gaps("climatology", spread=True).compute()
    assert full.dtype == np.float16
    assert not np.isinf(full).any()
    left = full.isel(x=0).isnull().values
    assert left.any()
    assert not left[:46].any()
    np.testing.assert_array_equal(full["height_fill_flag"] == UNFILLED, full.isnull())


def test_a_stacked_dim_is_kept(record):
    flat = record.stack(cell=("lat", "lon"))
    with pytest.warns(UserWarning, match="3 of 20 series"):
        full = flat.geoml.fill_gaps("linear", spread=True)
    assert full.indexes["cell"].equals(flat.indexes["cell"])
    expected = record.geoml.fill_gaps("linear")[NAME]
    np.testing.assert_array_equal(full[NAME].unstack("cell").transpose(*expected.dims), expected)


def test_history_ancillary_and_flags(record):
    dataset = record.assign_attrs(history="2020 made")
    full = dataset.geoml.fill_gaps("linear", max_gap="92D", spread=True)
    first, last = full.attrs["history"].split("\n")
    assert first == "2020 made"
    assert "xgeoml " in last
    assert "fill_gaps(model='linear', max_gap='92D', spread=True)" in last
    assert full[NAME].attrs["ancillary_variables"] == f"{FLAG} {SPREAD}"
    flag = full[FLAG]
    assert flag.dtype == np.int8
    assert flag.attrs["flag_values"].tolist() == [0, 1, 2, 3]
    assert flag.attrs["flag_values"].dtype == flag.dtype
    assert flag.attrs["flag_meanings"] == "observed filled unfilled suspect"
    assert flag.attrs["standard_name"] == "status_flag"
    assert full[SPREAD].attrs["units"] == record[NAME].attrs["units"]
    assert "history" not in record.attrs or record.attrs["history"] != full.attrs["history"]
    with xgeoml.set_options(keep_history=False):
        silent = record.geoml.fill_gaps("linear")
    assert "xgeoml" not in silent.attrs.get("history", "")


def test_beside_a_dataarray_flag_and_spread_are_coordinates(record):
    array = record[NAME].assign_attrs(history="before")
    full = array.geoml.fill_gaps("kalman", spread=True)
    assert {FLAG, SPREAD} <= set(full.coords)
    assert full.attrs["history"].startswith("before\n")
    filled = full[FLAG] == FILLED
    assert bool((full[SPREAD].notnull() == filled).all())
    assert bool((full[SPREAD].where(filled, 1.0) > 0).all())


def last_line(obj):
    return obj.attrs["history"].split("\n")[-1]


def test_the_call_can_be_repeated_from_the_history(record, drivers):
    few = record.isel(time=slice(0, 30))
    mask = xr.ones_like(few[NAME].isel(time=0, drop=True), dtype=bool).rename("land")
    made = few.geoml.fill_gaps(
        "kalman",
        variables=NAME,
        covariates=[drivers["tp"], drivers["t2m"].rename(None)],
        mask=mask,
        max_gap=timedelta(days=92),
        spread=True,
        dims={"T": "time"},
        model_options={"drivers": False},
        batch_size=7,
        precision="bfloat16",
        seed=3,
        progress=False,
    )
    line = last_line(made)
    assert line.endswith(
        f"fill_gaps(model='kalman', variables='{NAME}', covariates=['tp', 'unnamed'], "
        "mask='land', max_gap=datetime.timedelta(days=92), spread=True, dims={'T': 'time'}, "
        "model_options={'drivers': False}, batch_size=7, precision='bfloat16', seed=3): "
        f"{NAME} by kalman@1.0"
    )
    plain = few.geoml.fill_gaps("linear", seed=0, max_gap=None)
    assert last_line(plain).endswith(f"fill_gaps(model='linear'): {NAME} by linear@1.0")
    with xgeoml.set_options(seed=5):
        assert "seed=5" in last_line(few.geoml.fill_gaps("dineof"))
    with pytest.warns(UserWarning, match="3 of 20 series stay missing"):
        named = few.assign(land=mask).geoml.fill_gaps("linear", mask="land")
    assert "mask='land'" in last_line(named)


def test_the_weights_are_in_the_history(record):
    pytest.importorskip("torch")
    sha = xgeoml.get_model("grace_tf").weights.sha256
    made = record.isel(time=slice(0, 30), lon=slice(0, 1)).geoml.fill_gaps("grace_tf")
    assert last_line(made).endswith(f"{NAME} by grace_tf@1.1, weights sha256 {sha[:12]}")


def test_a_bad_month_is_flagged_and_kept():
    whole = xgeoml.datasets.grace_like(nlat=6, nlon=7)
    full = whole.geoml.fill_gaps("kalman")
    flag = full[FLAG].sel(time="2015-02").squeeze("time")
    land = whole[NAME].sel(time="2015-02").notnull().squeeze("time")
    assert bool((flag == SUSPECT).where(land, True).all())
    np.testing.assert_array_equal(full[NAME].sel(time="2015-02"), whole[NAME].sel(time="2015-02"))
    suspects = (full[FLAG] == SUSPECT).any(("lat", "lon"))
    assert int(suspects.sum()) == 1


def test_the_result_is_written_and_read(record, tmp_path):
    pytest.importorskip("netCDF4")
    packed = record.copy()
    packed[NAME].encoding = {"dtype": "int16", "scale_factor": 0.01, "_FillValue": -9999}
    packed.to_netcdf(tmp_path / "in.nc")
    with xr.open_dataset(tmp_path / "in.nc") as opened:
        full = opened.load().geoml.fill_gaps("linear", spread=True)
    full.to_netcdf(tmp_path / "out.nc")
    with xr.open_dataset(tmp_path / "out.nc") as again:
        np.testing.assert_array_equal(again[NAME], full[NAME])
        np.testing.assert_array_equal(again[FLAG], full[FLAG])
        assert again[FLAG].dtype == again[FLAG].attrs["flag_values"].dtype == np.int8
        assert SPREAD in again[NAME].attrs["ancillary_variables"]
