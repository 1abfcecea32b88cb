"""Absent steps put into objects: nothing else changes, and nothing lazy is computed."""

from __future__ import annotations

import warnings

import dask
import dask.array
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xgeoml.exceptions import InputError
from xgeoml.insert import add_steps
from xgeoml.steps import infer_steps

KEEP = np.array([0, 1, 2, 5, 6, 9])
FULL = pd.date_range("2001-01-01", periods=10, freq="MS")


def refuse(*args, **kwargs):
    raise AssertionError("computed")


def record(stamps=None) -> xr.Dataset:
    stamps = FULL[KEEP] if stamps is None else stamps
    rng = np.random.default_rng(0)
    time = xr.Variable("time", stamps, {"axis": "T", "bounds": "time_bnds"})
    edges = np.stack([FULL[KEEP], FULL[KEEP] + pd.offsets.MonthBegin(1)], 1)
    return xr.Dataset(
        {
            "v": (("lat", "time", "lon"), rng.normal(size=(3, 6, 4)).astype("f4"), {"units": "cm"}),
            "n": (("time",), np.arange(6, dtype="i2"), {"long_name": "days"}),
            "ok": (("time",), np.array([True, False] * 3)),
            "when": (("time",), FULL[KEEP].values),
            "what": (("time",), list("abcdef")),
            "time_bnds": (("time", "nv"), edges),
            "land": (("lat", "lon"), rng.normal(size=(3, 4))),
        },
        coords={
            "time": time,
            "lat": [3.0, 2.0, 1.0],
            "lon": ("lon", np.arange(4.0), {"units": "degrees_east"}),
            "month": ("time", FULL[KEEP].month.astype("i8")),
            "height": 2.0,
        },
        attrs={"source": "here"},
    )


def check_filled(out: xr.Dataset, ds: xr.Dataset) -> None:
    assert list(out.data_vars) == list(ds.data_vars)
    assert list(out.coords) == list(ds.coords)
    assert out.attrs == ds.attrs
    np.testing.assert_array_equal(out.time.values, FULL.values)
    gone = np.delete(np.arange(10), KEEP)
    for name in ds.variables:
        assert out[name].dims == ds[name].dims
        assert out[name].attrs == ds[name].attrs
        if "time" not in ds[name].dims:
            xr.testing.assert_identical(out[name].variable, ds[name].variable)
        elif name not in ("time", "time_bnds"):
            np.testing.assert_array_equal(out[name].isel(time=KEEP).values, ds[name].values)
            if name != "what":
                assert out[name].isel(time=gone).isnull().all()
    assert out.v.dtype == np.float32
    assert (out.n.dtype, out.ok.dtype, out.month.dtype) == ("f4", "f4", "f8")
    assert out.when.dtype == ds.when.dtype
    assert (out.what.isel(time=gone) == "").all()
    edges = np.stack([FULL, FULL + pd.offsets.MonthBegin(1)], 1)
    np.testing.assert_array_equal(out.time_bnds.values, edges)


def test_dataset():
    ds = record()
    before = ds.copy(deep=True)
    out = add_steps(ds, "time", infer_steps(ds.time))
    check_filled(out, ds)
    xr.testing.assert_identical(ds, before)
    assert "time" in out.indexes
    assert float(out.v.sel(time="2001-06-01", lat=2.0, lon=1.0)) == float(ds.v[1, 3, 1])


@pytest.mark.parametrize("chunks", [{}, {"time": 2}, {"time": 4, "lat": 1}, {"time": (1, 3, 2)}])
def test_lazy_gives_the_same_without_computing(chunks):
    ds = record()
    with dask.config.set(scheduler=refuse):
        lazy = ds.chunk(chunks)
        out = add_steps(lazy, "time", infer_steps(lazy.time))
    assert out.v.chunks is not None
    assert out.time_bnds.chunks is not None
    assert out.v.variable.data._meta.dtype == np.float32
    check_filled(out.compute(scheduler="synchronous"), ds)
    if isinstance(chunks.get("time"), int):
        assert set(out.v.chunksizes["time"][:-1]) == {chunks["time"]}
        assert out.v.chunksizes["lat"] == lazy.v.chunksizes["lat"]


def test_graph_stays_small():
    import pickle

    stamps = pd.date_range("2001-01-01", periods=4000, freq="D").delete(np.arange(50, 90))
    data = dask.array.zeros((len(stamps), 40), chunks=(100, 4))
    da = xr.DataArray(data, dims=("time", "x"), coords={"time": stamps})
    out = add_steps(da, "time", infer_steps(da.time))
    graph = dict(out.variable.data.__dask_graph__())
    assert len(pickle.dumps(graph)) / len(graph) < 2000


def test_array_keeps_name_encoding_and_order():
    da = record().v.transpose("lon", "lat", "time")
    da.encoding = {"zlib": True, "_FillValue": np.float32(-9)}
    da.time.encoding["units"] = "days since 1990-01-01"
    out = add_steps(da, "time", infer_steps(da.time))
    assert isinstance(out, xr.DataArray)
    assert (out.name, out.dims, out.attrs) == (da.name, da.dims, da.attrs)
    assert out.encoding == da.encoding
    assert out.time.encoding["units"] == "days since 1990-01-01"
    assert out.time.attrs == da.time.attrs
    nameless = add_steps(da.rename(None), "time", infer_steps(da.time))
    assert nameless.name is None
    same_name = add_steps(da.rename("time_of_day"), "time", infer_steps(da.time))
    assert same_name.name == "time_of_day"


def test_complete_records_come_back_themselves():
    ds = record().isel(time=[0, 1, 2])
    assert add_steps(ds, "time", infer_steps(ds.time)) is ds
    assert add_steps(ds.n, "time", infer_steps(ds.time)).dtype == np.int16


def test_steps_of_another_record_are_refused():
    ds = record()
    with pytest.raises(ValueError, match="steps"):
        add_steps(ds.isel(time=slice(3)), "time", infer_steps(ds.time))


def test_packing_that_cannot_hold_nan_is_dropped():
    ds = record()
    ds.v.encoding = {"dtype": "i2", "scale_factor": 0.1, "zlib": True}
    ds.n.encoding = {"dtype": "i2"}
    out = add_steps(ds, "time", infer_steps(ds.time))
    assert out.v.encoding == {"zlib": True}
    assert out.n.encoding == {}
    ds.v.encoding["_FillValue"] = -32768
    assert add_steps(ds, "time", infer_steps(ds.time)).v.encoding == ds.v.encoding


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    ("dtype", "attrs", "encoding", "expected"),
    [
        ("i1", {"_FillValue": np.int8(-1)}, {}, -1),
        ("u2", {"missing_value": [65535.0]}, {}, 65535),
        (">i4", {}, {"_FillValue": -9}, -9),
        ("i8", {"_FillValue": np.int64(-(2**63))}, {}, -(2**63)),
    ],
)
def test_integers_with_a_missing_value_stay_integers(dtype, attrs, encoding, expected, lazy):
    flag = xr.DataArray(np.arange(6).astype(dtype), {"time": FULL[KEEP]}, ["time"], attrs=attrs)
    flag.encoding = encoding
    out = add_steps(flag.chunk(time=4) if lazy else flag, "time", infer_steps(flag.time))
    assert out.dtype == flag.dtype
    assert (out.attrs, out.encoding) == (attrs, encoding)
    np.testing.assert_array_equal(out.isel(time=KEEP), flag)
    assert out.values[3] == expected


@pytest.mark.parametrize("told", [np.nan, 1e20, -1, 0.5, "none", [], None])
def test_a_missing_value_that_the_dtype_cannot_hold_is_none(told):
    flag = xr.DataArray(np.arange(6, dtype="u1"), {"time": FULL[KEEP]}, ["time"])
    out = add_steps(flag.assign_attrs(_FillValue=told), "time", infer_steps(flag.time))
    assert out.dtype == np.float32
    assert int(out.isnull().sum()) == 4


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    ("dtype", "number"), [("i8", 2**53 + 1), ("i8", -(2**60) - 1), ("u8", 2**63)]
)
def test_integers_that_floats_would_round_are_refused(dtype, number, lazy):
    ds = record().assign(big=("time", np.array([0, 1, 2, 3, 4, number], dtype)))
    steps = infer_steps(ds.time)
    with pytest.raises(InputError, match=rf"'big' holds the \w+ {number}; .*_FillValue"):
        add_steps(ds.chunk(time=2) if lazy else ds, "time", steps).compute(scheduler="sync")
    ds["big"].attrs["_FillValue"] = np.dtype(dtype).type(99)
    kept = add_steps(ds, "time", steps)["big"]
    assert kept.values[KEEP[-1]] == number
    few = record().assign(big=("time", np.array([0, 1, 2, 3, 4, 2**53], dtype)))
    np.testing.assert_array_equal(add_steps(few, "time", steps)["big"][KEEP], few["big"])


def test_what_pandas_alone_knows():
    columns = {"kind": pd.Categorical(list("ababab")), "n": pd.array([1, 2, 3, 4, 5, None])}
    ds = pd.DataFrame(columns, index=pd.Index(FULL[KEEP], name="time")).to_xarray()
    out = add_steps(ds, "time", infer_steps(ds.time))
    for name in columns:
        assert out[name].dtype == ds[name].dtype
        assert list(out[name].values[KEEP][:5]) == list(ds[name].values[:5])
        assert out[name].isnull().values[[3, 4, 7, 8]].all()


def test_bounds_that_are_no_name():
    ds = record().drop_vars("time_bnds")
    ds["time"].attrs["bounds"] = [0, 1]
    assert add_steps(ds, "time", infer_steps(ds.time)).sizes["time"] == 10


def test_odd_dtypes():
    ds = record()
    ds["big"] = ("time", np.arange(6).astype(">f8"))
    ds["z"] = ("time", np.arange(6) + 1j)
    ds["dt"] = ("time", np.arange(6).astype("m8[s]"))
    ds["half"] = ("time", np.arange(6).astype("f2"))
    out = add_steps(ds, "time", infer_steps(ds.time))
    for name in ("big", "z", "dt", "half"):
        assert out[name].dtype == ds[name].dtype
        assert int(out[name].isnull().sum()) == 4


@pytest.mark.parametrize("calendar", ["noleap", "360_day"])
def test_cftime(calendar):
    full = xr.date_range("2001-01-01", periods=11, freq="MS", calendar=calendar, use_cftime=True)
    ds = record(full[KEEP]).assign(when=("time", full.values[KEEP]))
    ds["time_bnds"] = (("time", "nv"), np.stack([full[KEEP], full[KEEP + 1]], 1))
    out = add_steps(ds, "time", infer_steps(ds.time))
    assert isinstance(out.indexes["time"], xr.CFTimeIndex)
    np.testing.assert_array_equal(out.time.values, full[:10].values)
    assert out.when.values[3] is None
    np.testing.assert_array_equal(out.time_bnds.values, np.stack([full[:10], full[1:]], 1))


@pytest.mark.parametrize("offset", ["0h", "6h", "12h"])
def test_bounds_of_days_are_as_wide_as_the_others(offset):
    stamps = pd.date_range("2001-01-01", periods=6, freq="D") + pd.Timedelta(offset)
    edges = np.stack([stamps.normalize(), stamps.normalize() + pd.Timedelta("1D")], 1)
    ds = xr.Dataset({"time_bnds": (("time", "nv"), edges)}, coords={"time": stamps})
    few = ds.isel(time=[0, 1, 4, 5])
    out = add_steps(few, "time", infer_steps(few.time))
    np.testing.assert_array_equal(out.time_bnds.values, edges)


def test_months_stamped_at_their_end_have_bounds_before_the_stamp():
    stamps = pd.date_range("2001-02-01", periods=8, freq="MS")
    edges = np.stack([stamps - pd.offsets.MonthBegin(1), stamps], 1)
    ds = xr.Dataset({"time_bnds": (("time", "nv"), edges)}, coords={"time": stamps})
    few = ds.isel(time=[0, 1, 4, 7])
    out = add_steps(few, "time", infer_steps(few.time))
    np.testing.assert_array_equal(out.time_bnds.values, edges)


def test_undecoded_bounds_are_missing_not_wrong():
    ds = record()
    ds["time_bnds"] = (("time", "nv"), np.zeros((6, 2)))
    out = add_steps(ds, "time", infer_steps(ds.time))
    assert int(out.time_bnds.isnull().sum()) == 8


def test_other_indexes_survive():
    ds = record()[["v"]].stack(cell=("lat", "lon"))
    out = add_steps(ds, "time", infer_steps(ds.time))
    assert out.indexes["cell"].equals(ds.indexes["cell"])
    xr.testing.assert_identical(
        out.unstack("cell").v.transpose("lat", "time", "lon").isel(time=KEEP).drop_attrs().variable,
        record().v.drop_attrs().variable,
    )


@pytest.mark.parametrize("habit", [0, 15])
def test_the_filled_record_can_be_written(tmp_path, habit):
    pytest.importorskip("netCDF4")
    stamps = FULL[KEEP] + pd.Timedelta(days=habit)
    ds = record(stamps)[["v", "n", "ok", "what"]]
    path = tmp_path / "a.nc"
    ds.to_netcdf(path)
    with xr.open_dataset(path, chunks={}) as back:
        out = add_steps(back, "time", infer_steps(back.time))
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            out.to_netcdf(tmp_path / "b.nc")
    with xr.open_dataset(tmp_path / "b.nc") as again:
        np.testing.assert_array_equal(again.time.values, FULL.values + np.timedelta64(habit, "D"))
        np.testing.assert_array_equal(again.v.isel(time=KEEP).values, ds.v.values)


def test_even_chunks_can_be_written_to_zarr(tmp_path):
    pytest.importorskip("zarr")
    ds = record()[["v"]]
    ds.chunk(time=2).to_zarr(tmp_path / "a.zarr", consolidated=False)
    with xr.open_zarr(tmp_path / "a.zarr", consolidated=False) as back:
        out = add_steps(back, "time", infer_steps(back.time))
        out.to_zarr(tmp_path / "b.zarr", consolidated=False)
    with xr.open_zarr(tmp_path / "b.zarr", consolidated=False) as again:
        np.testing.assert_array_equal(again.v.isel(time=KEEP).values, ds.v.values)


def test_grace_protocol(data_path):
    with xr.open_dataset(data_path / "grace" / "grace_csr_tws_1deg_land_train.nc") as ds:
        tws = ds.lwe_thickness.load()
    months = tws.time.values.astype("datetime64[M]")
    there = np.flatnonzero(tws.notnull().any(("lat", "lon")))
    for seed in range(3):
        rng = np.random.default_rng(seed)
        keep = np.sort(rng.choice(there, there.size - 23, replace=False))
        kept = tws.isel(time=keep)
        out = add_steps(kept, "time", infer_steps(kept.time))
        np.testing.assert_array_equal(
            out.time.values.astype("datetime64[M]"), months[keep[0] : keep[-1] + 1]
        )
        np.testing.assert_array_equal(out.isel(time=keep - keep[0]).values, kept.values)
