"""Seismograms from streams of obspy: what from_stream keeps, and what it refuses."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from toy_streams import START, cure, obspy, same, stream, trace

import xgeoml
from xgeoml.exceptions import InputError, TimeAxisError
from xgeoml.sampling import sample_times


def test_the_form_of_the_result():
    three, four = np.arange(3, dtype="f4"), np.arange(4, dtype="f4")
    found = xgeoml.from_stream(stream(trace(three, "BBB"), trace(four, "AAA")))
    assert found.dims == ("trace", "time")
    assert found.name == "waveform"
    assert found.attrs == {}
    assert found.dtype == np.float32
    assert found["trace"].values.tolist() == ["XX.BBB.00.HHZ", "XX.AAA.00.HHZ"]
    for name, codes in {
        "network": ["XX", "XX"],
        "station": ["BBB", "AAA"],
        "location": ["00", "00"],
        "channel": ["HHZ", "HHZ"],
    }.items():
        assert found[name].dims == ("trace",)
        assert found[name].values.tolist() == codes
    assert found["time"].dtype == "datetime64[ns]"
    assert found["time"].values[0] == np.datetime64("2020-01-01T00:00:00.123456", "ns")
    assert (np.diff(found["time"]) == np.timedelta64(10, "ms")).all()
    assert found["time"].attrs["sampling_rate"] == 100.0
    np.testing.assert_array_equal(found.values, [[0, 1, 2, np.nan], [0, 1, 2, 3]])


def test_units_are_told():
    assert xgeoml.from_stream(trace([1.0]), units="m s-1").attrs == {"units": "m s-1"}


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (["f4"], "f4"),
        (["f8"], "f8"),
        ([">f4"], "f4"),
        (["i4"], "f8"),
        (["f4", "f8"], "f8"),
        (["f4", "i4"], "f8"),
        (["?"], "f8"),
    ],
)
def test_dtypes(dtypes, expected):
    traces = [trace(np.arange(2).astype(d), f"S{n}") for n, d in enumerate(dtypes)]
    found = xgeoml.from_stream(stream(*traces))
    assert found.dtype == np.dtype(expected)
    assert found.dtype.isnative
    np.testing.assert_array_equal(found.values, [[0, 1]] * len(dtypes))


def test_pieces_are_merged_and_what_is_masked_or_absent_is_nan():
    masked = np.ma.MaskedArray([5.0, 99.0, 7.0], [False, True, False])
    traces = stream(
        trace(masked, after=0.05), trace([1, 2]), trace([2, 3], after=0.01), trace([8.0] * 9, "B")
    )
    before = traces.copy()
    found = xgeoml.from_stream(traces)
    same(traces, before)
    nan = np.nan
    expected = [[1, 2, 3, nan, nan, 5, nan, 7, nan], [8] * 9]
    np.testing.assert_array_equal(found.values, expected)


def test_a_piece_fills_what_another_lacks():
    holes = np.ma.MaskedArray([1.0, 0.0, 3.0], [False, True, False])
    for pieces in ([holes, [1.0, 2.0, np.nan]], [[1.0, 2.0, np.nan], holes]):
        found = xgeoml.from_stream(stream(*map(trace, pieces)))
        np.testing.assert_array_equal(found.values, [[1, 2, 3]])


def test_overlaps_that_disagree_are_refused():
    traces = stream(trace([1, 2, 3, 4]), trace([3, 5, 6], after=0.02), trace([0.0], "B"))
    with pytest.raises(
        InputError, match=r"'XX.AAA.00.HHZ'.*samples: 1\), .*00.153456000.* 4 and 5"
    ):
        xgeoml.from_stream(traces)
    with pytest.raises(InputError) as error:
        xgeoml.from_stream(traces)
    exec(cure(error, r"stream\.merge\(method=1\)"), {"stream": traces})
    found = xgeoml.from_stream(traces)
    np.testing.assert_array_equal(found[0], [1, 2, 3, 5, 6])


def test_pieces_that_count_other_things_are_refused():
    traces = stream(trace([1.0]), trace([1.0], after=1, calib=2.0))
    with pytest.raises(InputError, match="calib 1 and 2") as error:
        xgeoml.from_stream(traces)
    code = cure(error, r"Apply it: (.*calib = 1)$").replace("stream: ", "stream:\n ")
    exec(code, {"stream": traces})
    assert float(xgeoml.from_stream(traces).max()) == 2
    xgeoml.from_stream(stream(trace([1.0]), trace([1.0], "B", calib=2.0)))


def test_several_sampling_rates_are_refused():
    traces = stream(trace(np.ones(40)), trace(np.ones(40), "B"), trace(np.ones(8), "C", rate=20.0))
    with pytest.raises(
        InputError, match=r"2 sampling rates: 20 Hz, 100 Hz.*'XX.C.00.HHZ'"
    ) as error:
        xgeoml.from_stream(traces)
    chosen = eval(cure(error, r"stream\.select\(.*?\)"), {"stream": traces})
    assert xgeoml.from_stream(chosen).sizes == {"trace": 2, "time": 40}
    exec(cure(error, r"stream\.resample\(.*?\)"), {"stream": traces})
    assert xgeoml.from_stream(traces).sizes == {"trace": 3, "time": 8}


def test_rates_of_float32_are_the_same_while_no_sample_loses_its_place():
    rate = 1 / float(np.float32(0.01))
    assert rate != 100
    one = stream(trace(np.ones(50)), trace(np.ones(50), "B", rate=rate), trace(np.ones(50), "C"))
    assert xgeoml.from_stream(one)["time"].attrs["sampling_rate"] == 100
    many = np.ones(3_000_000, "f4")
    traces = stream(trace(many), trace(many, "B", rate=rate), trace(many, "C"))
    with pytest.raises(InputError, match=r"100\.0000022 Hz"):
        xgeoml.from_stream(traces)


@pytest.mark.parametrize("rate", [0.0, -1.0, 1e10])
def test_rates_that_are_none(rate):
    with pytest.raises(InputError, match="sampling rate of"):
        xgeoml.from_stream(trace([1.0], rate=rate))


def test_small_offsets_are_rounded():
    traces = stream(trace([1, 2, 3]), trace([4, 5, 6], "B", after=0.0104))
    found = xgeoml.from_stream(traces)
    np.testing.assert_array_equal(found.values, [[1, 2, 3, np.nan], [np.nan, 4, 5, 6]])
    assert found["time"].values[0] == np.datetime64(START.ns, "ns")


@pytest.mark.parametrize("first", [0, 2])
def test_large_offsets_are_refused_and_the_odd_trace_is_named(first):
    traces = [trace(np.arange(9.0), "A"), trace(np.arange(9.0), "B", after=0.02)]
    traces.insert(first, trace(np.arange(9.0), "ODD", after=-0.0068))
    traces = stream(*traces)
    expected = r"1 of 3 .*'XX.ODD.00.HHZ', .* off by 3.2 ms, 0.32 of a step; expected at most 0.05"
    with pytest.raises(TimeAxisError, match=expected) as error:
        xgeoml.from_stream(traces)
    told = {"stream": traces, "xgeoml": xgeoml, "obspy": obspy}
    moved = eval(cure(error, r"xgeoml\.from_stream\(.*\)$"), told)
    np.testing.assert_array_equal(moved.sel(trace="XX.ODD.00.HHZ")[:9], np.arange(9))
    exec(cure(error, r"Move its samples: (.*?\)\))"), told)
    found = xgeoml.from_stream(traces)
    np.testing.assert_allclose(found.sel(trace="XX.ODD.00.HHZ")[:8], np.arange(8) + 0.68, atol=1e-4)


def test_tolerance():
    traces = stream(trace([1.0, 2.0]), trace([3.0, 4.0], "B", after=0.004))
    assert xgeoml.from_stream(traces, tolerance=0.45).shape == (2, 2)
    with pytest.raises(TimeAxisError):
        xgeoml.from_stream(traces, tolerance=0.3)
    for wrong in (-0.1, 0.6, np.nan):
        with pytest.raises(InputError, match="tolerance"):
            xgeoml.from_stream(traces, tolerance=wrong)


def test_no_drift_where_a_step_is_no_whole_number():
    rate, count = 30.0, 2_000_001
    times = sample_times(rate, count)
    exact = [(2 * k * 10**9 + 30) // 60 for k in range(0, count, 999)]
    np.testing.assert_array_equal(times[::999], exact)
    late = trace(np.ones(3), "B", rate=rate, after=(count - 1) / rate)
    found = xgeoml.from_stream(stream(trace(np.ones(2), rate=rate), late))
    assert found.sizes["time"] == count + 2
    np.testing.assert_array_equal(
        found["time"].values.astype(int) - START.ns, sample_times(rate, count + 2)
    )


@pytest.mark.parametrize("rate", [0.1, 1 / 60, 1 / 3600, 1 / 0.03, 1 / 0.07, 1e6])
def test_whole_steps_stay_whole(rate):
    times = sample_times(rate, 1_000_001)
    assert (np.diff(times) == round(1e9 / rate)).all()


def test_traces_without_samples():
    full, empty = trace([1.0, 2.0]), trace([], "B")
    assert xgeoml.from_stream(stream(empty, full)).sizes["trace"] == 1
    for nothing in (stream(), stream(empty)):
        with pytest.raises(InputError, match="no samples"):
            xgeoml.from_stream(nothing)
    header = obspy.Trace(header={"npts": 5})
    with pytest.raises(InputError, match="headonly"):
        xgeoml.from_stream(stream(full, header))


def test_samples_that_are_no_real_numbers():
    traces = stream(trace([1.0]), trace(np.array([1j]), "LOG"))
    with pytest.raises(InputError, match=r"'XX\.LOG.* are complex128") as error:
        xgeoml.from_stream(traces)
    exec(cure(error, r"(for .*)$").replace("'): ", "'):\n "), {"stream": traces})
    assert len(traces) == 1


@pytest.mark.parametrize("wrong", [None, "a.mseed", [1.0], np.ones(3)])
def test_what_is_no_stream(wrong):
    with pytest.raises(InputError, match=r"expected an obspy Stream or Trace.*obspy.read"):
        xgeoml.from_stream(wrong)


def test_one_odd_date_does_not_fill_the_memory():
    lost = trace([1.0] * 100, "B", starttime=obspy.UTCDateTime(0.123456))
    with pytest.raises(InputError, match=r"GiB; .*stream.slice\(start, end\)"):
        xgeoml.from_stream(stream(trace([1.0] * 100), lost))


def test_dates_that_datetime64_lacks():
    with pytest.raises(TimeAxisError, match="1678 to 2261"):
        xgeoml.from_stream(trace([1.0], starttime=obspy.UTCDateTime(2300, 1, 1)))


def test_import_leaves_obspy_alone():
    code = "import sys, xgeoml; xgeoml.from_stream; print({'obspy', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
