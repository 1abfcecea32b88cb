"""Seismograms to streams of obspy: what to_stream keeps and refuses, and there and back."""

from __future__ import annotations

import sys

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from toy_streams import cure, obspy, same, stream, trace

import xgeoml
from xgeoml.exceptions import AxisError, InputError, MissingExtraError, TimeAxisError
from xgeoml.sampling import sample_times


def array(values, time=None, dim="station", **coords):
    values = np.asarray(values)
    time = np.arange(values.shape[-1]) / 10 if time is None else time
    return xr.DataArray(values, dims=(dim, "time"), coords={"time": time, **coords})


def test_every_position_becomes_a_trace():
    x = array([[1.0, 2.0], [3.0, 4.0]], station=["ANMO", "COLA"])
    found = xgeoml.to_stream(x.assign_coords(network="IU", channel=("station", ["BHZ", "BHN"])))
    assert [t.id for t in found] == ["IU.ANMO..BHZ", "IU.COLA..BHN"]
    assert [t.data.tolist() for t in found] == [[1, 2], [3, 4]]
    assert [t.stats.starttime for t in found] == [obspy.UTCDateTime(0)] * 2
    assert {t.stats.sampling_rate for t in found} == {10.0}
    found[0].data *= 2
    assert x.values.tolist() == [[1, 2], [3, 4]]


def test_several_dims_in_any_order():
    x = xr.DataArray(
        np.arange(12.0).reshape(2, 2, 3),
        dims=("time", "station", "component"),
        coords={"time": [0.0, 0.5], "station": ["A", "B"], "channel": ("component", list("ZNE"))},
    )
    found = xgeoml.to_stream(x)
    assert [t.id for t in found] == [f".{s}..{c}" for s in "AB" for c in "ZNE"]
    assert found[4].data.tolist() == [4, 10]
    bare = xgeoml.to_stream(x.drop_vars(["station", "channel"]))
    assert [t.stats.station for t in bare] == ["0_0", "0_1", "0_2", "1_0", "1_1", "1_2"]


@pytest.mark.parametrize(
    ("coords", "ids"),
    [
        ({}, [".0..", ".1.."]),
        ({"trace": ["IU.ANMO.00.BHZ", "G.CAN..LHE"]}, ["IU.ANMO.00.BHZ", "G.CAN..LHE"]),
        ({"trace": ["first", "second"]}, [".first..", ".second.."]),
        ({"trace": [5, 7]}, [".5..", ".7.."]),
        ({"trace": ["a.b.c.d", "a.b.c"]}, [".a.b.c.d..", ".a.b.c.."]),
        ({"channel": ("trace", [b"Z", b"N"])}, ["...Z", "...N"]),
        (
            {"location": ("trace", np.array(["10", np.nan], object)), "station": "A"},
            [".A.10.", ".A.."],
        ),
        ({"trace": ["IU.A..Z", "IU.A..N"], "network": "II"}, ["II.A..Z", "II.A..N"]),
    ],
)
def test_ids(coords, ids):
    x = array(np.ones((2, 3)), dim="trace", **coords)
    assert [t.id for t in xgeoml.to_stream(x)] == ids


def test_one_position_alone():
    whole = xgeoml.from_stream(stream(trace([1.0, 2.0]), trace([3.0, 4.0], "B")))
    assert [t.id for t in xgeoml.to_stream(whole[1])] == ["XX.B.00.HHZ"]
    (bare,) = xgeoml.to_stream(xr.DataArray([1.0, 2.0], {"time": [0.0, 1.0]}, ["time"]))
    assert bare.id == "..."


def test_repeated_ids_are_refused():
    x = xr.DataArray(
        np.ones((2, 2, 3)),
        dims=("event", "station", "time"),
        coords={"station": ["A", "B"], "time": np.arange(3.0)},
    )
    expected = r"'.A..': \{'event': 0, 'station': 0\} and \{'event': 1, 'station': 0\}"
    with pytest.raises(InputError, match=expected) as error:
        xgeoml.to_stream(x)
    one = eval(cure(error, r"array\.isel\(.*?\)"), {"array": x})
    assert len(xgeoml.to_stream(one)) == 2
    told = eval(cure(error, r"array\.assign_coords\(.*\)$"), {"array": x})
    assert [t.id for t in xgeoml.to_stream(told)] == [".A.00.", ".B.00.", ".A.01.", ".B.01."]


def test_nan_is_masked_and_left_out_at_the_ends():
    nan = np.nan
    values = [
        [nan, 1, nan, 3, nan, nan],
        [nan, nan, 2, 3, nan, nan],
        [1, 2, 3, 4, 5, nan],
        [nan] * 6,
    ]
    found = xgeoml.to_stream(array(values[:2]))
    # The first trace starts where the axis does, and ends there: else its length would be lost.
    assert found[0].data.mask.tolist() == [True, False, True, False, True, True]
    assert not np.ma.isMaskedArray(found[1].data)
    assert found[1].stats.starttime == obspy.UTCDateTime(0.2)
    assert found[1].data.tolist() == [2, 3]
    found = xgeoml.to_stream(array(values))
    assert [t.stats.npts for t in found] == [3, 2, 5, 6]
    assert found[3].data.mask.all()
    assert np.isnan(found[0].data.filled()).tolist() == [False, True, False]


@pytest.mark.parametrize("dtype", ["i4", "i8", "f4", "f8", "u2"])
def test_dtypes_are_kept(dtype):
    (found,) = xgeoml.to_stream(array(np.array([[1, 2, 3]], dtype)))
    assert found.data.dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    ("time", "rate", "start"),
    [
        (pd.date_range("2020-01-01", periods=50, freq="10ms"), 100.0, "2020-01-01"),
        (pd.date_range("2020-01-01", periods=50, freq="10ms").as_unit("ms"), 100.0, "2020-01-01"),
        (pd.to_timedelta(np.arange(50) * 20, unit="ms"), 50.0, 0),
        (np.arange(50) / 30, 30.0, 0),
        ((np.arange(50) / 30).astype("f4"), 30.0, 0),
        (np.arange(50) * 0.07 - 1, 1 / 0.07, -1),
        (np.arange(50) * 3600.0, 1 / 3600, 0),
        (("time", np.arange(50), {"units": "s"}), 1.0, 0),
        (np.datetime64("2020-01-01", "ns") + sample_times(128.0, 50), 128.0, "2020-01-01"),
        (
            (np.datetime64("2020-01-01", "ns") + sample_times(128.0, 50)).astype("M8[ms]"),
            128.0,
            "2020-01-01",
        ),
    ],
)
def test_time_axes(time, rate, start):
    (found,) = xgeoml.to_stream(array(np.ones((1, 50)), time))
    assert found.stats.sampling_rate == pytest.approx(rate, rel=1e-15)
    assert found.stats.starttime == obspy.UTCDateTime(start)


def test_the_rate_is_that_of_the_attribute_while_it_fits():
    x = xgeoml.from_stream(trace(np.arange(90.0), rate=1 / float(np.float32(0.01))))
    rate = x["time"].attrs["sampling_rate"]
    assert rate != 100
    for part in (x, x[:, 3:], x[:, 7:8]):
        assert xgeoml.to_stream(part)[0].stats.sampling_rate == rate
    thinned = xgeoml.to_stream(x[:, ::2])[0]
    assert thinned.stats.sampling_rate == pytest.approx(rate / 2, rel=1e-9)
    x["time"].attrs["sampling_rate"] = "fast"
    assert xgeoml.to_stream(x)[0].stats.sampling_rate == pytest.approx(rate, rel=1e-8)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("2020-01-01T06:00", 1577858400_000000000),
        (obspy.UTCDateTime(ns=123456789), 123456789),
        (np.datetime64("2020-01-01T00:00:00.123456789"), 1577836800_123456789),
        (pd.Timestamp("2020-01-01T01:00+01:00"), 1577836800_000000000),
        (5, 5_000000000),
    ],
)
def test_start(start, expected):
    (found,) = xgeoml.to_stream(array([[1.0, 2.0]], [0.0, 0.1]), start=start)
    assert found.stats.starttime.ns == expected
    (later,) = xgeoml.to_stream(array([[1.0, 2.0]], [-0.5, 0.0]), start=start)
    assert later.stats.starttime.ns == expected - 500_000_000


@pytest.mark.parametrize("start", ["soon", [1], np.datetime64("NaT"), pd.NaT, object()])
def test_what_is_no_start(start):
    with pytest.raises(InputError, match="is no date"):
        xgeoml.to_stream(array([[1.0, 2.0]]), start=start)


def test_start_is_refused_where_there_are_dates():
    x = array([[1.0, 2.0]], pd.date_range("2020-01-01", periods=2, freq="s"))
    with pytest.raises(InputError, match="start= was given"):
        xgeoml.to_stream(x, start="2020-01-01")


AXES = {
    "dates": pd.date_range("2020-01-01", periods=20, freq="10ms"),
    "lengths": pd.to_timedelta(np.arange(20) * 10, unit="ms"),
    "seconds": np.arange(20) / 100,
}


@pytest.mark.parametrize("kind", AXES)
@pytest.mark.parametrize("dim", ["time", "sample"])
@pytest.mark.parametrize("gap", [True, False])
def test_uneven_time_is_refused_and_the_cure_works(kind, dim, gap):
    x = array(np.arange(20.0)[None], AXES[kind])
    if gap:
        x = x[:, [*range(5), *range(9, 20)]]
    else:
        times = x["time"].values
        x = x.assign_coords(time=times[0] + (times - times[0]) * (100 + np.arange(20)) / 100)
    if dim == "sample":
        x = (
            x.rename(time="sample")
            .assign_coords(time=("sample", x["time"].values))
            .drop_vars("sample")
        )
        x["time"].attrs["axis"] = "T"
    with pytest.raises(TimeAxisError, match=r"not evenly spaced: most steps are 0\.01") as error:
        xgeoml.to_stream(x)
    told = {"array": x, "np": np, "pd": pd}
    if dim == "sample":
        exec(cure(error, r"after (array = array\.swap_dims\(.*?\))"), told)
    told["array"] = eval(cure(error, r": (array\.(?:reindex|interp)\(.*?\))(?:, after|$)"), told)
    (found,) = xgeoml.to_stream(told["array"])
    assert found.stats.npts == 20 if gap else found.stats.npts > 19
    assert np.ma.count_masked(found.data) == (4 if gap else 0)
    assert np.ma.allclose(found.data, np.arange(20.0)) or not gap


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ([0.0, 2.0, 1.0], r"not in order.*sortby"),
        ([0.0, 0.0, 1.0], r"not in order.*drop_duplicates"),
        ([0.0, np.nan, 1.0], r"holds nan at position 1"),
        (pd.to_datetime(["2020-01-01", "2020-01-03", "2020-01-02"]), "not in order"),
        (pd.to_datetime(["2020-01-01", None, "2020-01-02"]), "no date"),
        (pd.to_timedelta([0, None, 1]), "NaT"),
        ([0, 1, 2], "whole numbers without a unit"),
        (("time", [0.0, 1.0, 2.0], {"units": "ms"}), "units 'ms'; expected dates, or seconds"),
        (("time", [0.0, 1.0, 2.0], {"units": "days since 2000-01-01"}), "decode_cf"),
        (["a", "b", "c"], "time"),
        (np.array(["3000-01-01", "3000-01-02", "3000-01-03"], "M8[s]"), "1678 to 2261"),
        (np.arange(3) * 1e10, "292 years"),
    ],
)
def test_time_axes_that_are_none(time, expected):
    with pytest.raises(TimeAxisError, match=expected):
        xgeoml.to_stream(array(np.ones((1, 3)), time))


def test_dates_of_cftime_are_refused():
    pytest.importorskip("cftime")
    time = xr.date_range("2000-01-01", periods=3, freq="s", calendar="standard", use_cftime=True)
    x = array(np.ones((1, 3)), time)
    with pytest.raises(TimeAxisError, match="cftime") as error:
        xgeoml.to_stream(x)
    told = {"array": x}
    exec(cure(error, r"Type (.*)$"), told)
    assert xgeoml.to_stream(told["array"])[0].stats.sampling_rate == 1


def test_axes_that_are_not_there():
    with pytest.raises(AxisError, match="needs a T axis"):
        xgeoml.to_stream(xr.DataArray(np.ones((2, 3)), dims=("a", "b")))
    with pytest.raises(TimeAxisError, match="no coordinate") as error:
        xgeoml.to_stream(bare := xr.DataArray(np.ones((2, 3)), dims=("a", "time")))
    told = {"array": bare, "np": np}
    exec(cure(error, r"type (.*)$"), told)
    assert xgeoml.to_stream(told["array"])[0].stats.sampling_rate == 100
    named = xr.DataArray(np.ones((2, 3)), {"b": np.arange(3.0)}, ("a", "b"))
    assert len(xgeoml.to_stream(named, dims={"T": "b"})) == 2


def test_one_step_tells_no_rate():
    x = array([[1.0]], [0.0])
    with pytest.raises(TimeAxisError, match="one step") as error:
        xgeoml.to_stream(x)
    exec(cure(error, r"Type (.*)$"), {"array": x})
    assert xgeoml.to_stream(x)[0].stats.sampling_rate == 100


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (np.ones((2, 3)), "found a ndarray"),
        (xr.Dataset({"v": ("time", [1.0])}), r"to_stream\(ds\['v'\]\)"),
        (array(np.ones((1, 3)) * 1j), "complex128"),
        (array([["a", "b"]]), "<U1"),
        (array(np.ones((0, 3))), "empty"),
        (array(np.ones((2, 0))), "empty"),
    ],
)
def test_what_is_no_record(wrong, expected):
    with pytest.raises(InputError, match=expected):
        xgeoml.to_stream(wrong)


def test_dask_is_computed_once():
    computed = []

    def read(block):
        computed.append(1)
        return block

    x = xgeoml.from_stream(stream(trace([1.0, 2.0]), trace([3.0, 4.0], "B")))
    lazy = x.chunk(time=2)
    lazy.data = lazy.data.map_blocks(read, dtype=x.dtype, meta=np.empty((0, 0)))
    same(xgeoml.to_stream(lazy), xgeoml.to_stream(x))
    assert len(computed) == lazy.data.npartitions


# There and back


RATES = [100.0, 30.0, 128.0, 0.1, 1 / 60, 1 / 0.03, 1 / float(np.float32(0.01)), 40.0001, 3e6]


@given(data=st.data())
def test_an_array_comes_back(data):
    rate = data.draw(st.sampled_from(RATES))
    count = data.draw(st.integers(2, 40))
    rows = data.draw(st.integers(1, 4))
    dtype = data.draw(st.sampled_from(["f4", "f8"]))
    numbers = st.one_of(st.just(np.nan), st.floats(-1e3, 1e3, width=32))
    values = data.draw(st.lists(numbers, min_size=rows * count, max_size=rows * count))
    start = np.datetime64(data.draw(st.integers(0, 10**18)), "ns")
    ids = data.draw(st.permutations(["B.A..Z", "A.B..Z", "A.A..Z", "..."]))[:rows]
    codes = zip(*(one.split(".") for one in ids), strict=True)
    named = zip(("network", "station", "location", "channel"), codes, strict=True)
    x = xr.DataArray(
        np.array(values, dtype).reshape(rows, count),
        dims=("trace", "time"),
        coords={
            "trace": ids,
            **{name: ("trace", list(column)) for name, column in named},
            "time": start + sample_times(rate, count),
        },
        name="waveform",
    )
    back = xgeoml.from_stream(xgeoml.to_stream(x))
    assert back.dtype == x.dtype
    back["time"].attrs.clear()
    xr.testing.assert_identical(back, x)


@given(data=st.data())
def test_a_stream_comes_back(data):
    rate = data.draw(st.sampled_from(RATES))
    traces = []
    for station in data.draw(st.permutations("ABC")):
        first, count = data.draw(st.integers(0, 50)), data.draw(st.integers(1, 30))
        after = float(sample_times(rate, first + 1)[-1]) / 1e9
        samples = np.arange(count) + 100.0 * first
        gone = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
        gone[[0, -1]] = False
        masked = np.ma.MaskedArray(samples, gone) if gone.any() else samples
        traces.append(trace(masked, station, rate, after))
    made = stream(*traces)
    back = xgeoml.to_stream(xgeoml.from_stream(made))
    same(back, made)
    same(back.sort(), made.sort())


def test_the_example_of_obspy_comes_back():
    made = obspy.read()
    back = xgeoml.to_stream(xgeoml.from_stream(made))
    for one in made:
        for name in set(one.stats) - set(obspy.core.Stats.defaults):
            del one.stats[name]
    assert back == made


@pytest.mark.parametrize("how", ["gap", "overlap", "touch"])
def test_pieces_come_back_merged(how):
    after = {"gap": 0.08, "overlap": 0.03, "touch": 0.05}[how]
    first = round(after * 100)
    made = stream(trace(np.arange(5.0)), trace(np.arange(5.0) + first, after=after))
    back = xgeoml.to_stream(xgeoml.from_stream(made))
    merged = made.copy().merge()
    for one in merged:
        one.stats.pop("processing", None)
    same(back, merged)


def test_an_array_comes_back_from_a_file(tmp_path):
    x = xgeoml.from_stream(stream(trace(np.arange(9.0)), trace(np.arange(5.0), "B", after=0.02)))
    xgeoml.to_stream(x).write(str(tmp_path / "a.mseed"), "MSEED")
    xr.testing.assert_identical(xgeoml.from_stream(obspy.read(str(tmp_path / "a.mseed"))), x)


def test_an_array_can_be_written_and_read(tmp_path):
    pytest.importorskip("netCDF4")
    x = xgeoml.from_stream(stream(trace(np.arange(9.0)), trace(np.arange(5.0), "B", rate=100.0)))
    x.to_netcdf(tmp_path / "a.nc")
    with xr.open_dataarray(tmp_path / "a.nc") as back:
        same(xgeoml.to_stream(back), xgeoml.to_stream(x))


def test_without_obspy(monkeypatch):
    monkeypatch.setitem(sys.modules, "obspy", None)
    for call, thing in ((xgeoml.from_stream, None), (xgeoml.to_stream, array([[1.0, 2.0]]))):
        with pytest.raises(MissingExtraError, match=r'pip install "xgeoml\[seismic\]"'):
            call(thing)
