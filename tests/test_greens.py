"""Green's functions brought to records: labels, lengths, units, sampling rates."""

import subprocess
import sys

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from toy_in_time import Refuses
from toy_waves import SAMPLES, STEP, invert, off, paths, pulses, records, waves

from xgeoml.exceptions import InputError, MissingExtraError, TimeAxisError
from xgeoml.tasks.greens import aligned
from xgeoml.tasks.samples import samples_of
from xgeoml.tasks.units import quotient

UNITS = ("m s-1", "m/s")


@pytest.fixture
def data():
    return waves(4)


def align(greens, record, resample=False, impulse="sample", dims=None):
    return aligned(greens, record, samples_of(record, dims), dims, resample, impulse)


def numbered(greens):
    """Return Green's functions each of which is its number."""
    return greens.copy(data=np.arange(len(greens))[:, None] + np.zeros(greens.shape))


def cure(told):
    """Return what a message says to type for the records."""
    return str(told.value).partition("leave the others out, ")[2]


def test_labels_find_their_own(data):
    greens = numbered(data.greens)
    more = xr.concat([greens[::-1], greens[:2].assign_coords(station=["X", "Y"])], "station")
    made = align(more.sel(station=["Y", "S2", "X", "S0", "S1", "S3"]), data.record)
    assert made.array[:, 0].values.tolist() == [0, 1, 2, 3]
    assert made.array.dims == data.record.dims
    turned = align(greens.T, data.record)
    assert turned.array.transpose(*greens.dims).equals(made.array)


def test_several_records_of_one_label(data):
    twice = data.record.isel(station=[2, 0, 2])
    assert align(numbered(data.greens), twice).array[:, 0].values.tolist() == [2, 0, 2]
    both = align(numbered(data.greens).isel(station=[2, 0, 2]), twice)
    assert both.array[:, 0].values.tolist() == [2, 0, 2]


def test_labels_of_other_kinds(data):
    many = pd.MultiIndex.from_product([["A", "B"], [1, 2]], names=["net", "number"])
    for labels in (
        {"station": [3, 1, 4, 1.5]},
        {"station": pd.date_range("2001", periods=4)},
        xr.Coordinates.from_pandas_multiindex(many, "station"),
    ):
        record, greens = (
            a.drop_vars("station").assign_coords(labels)
            for a in (data.record, numbered(data.greens))
        )
        made = align(greens[[2, 0, 3, 1]], record[::-1])
        assert made.array[:, 0].values.tolist() == [3, 2, 1, 0]


def test_without_labels_their_order_counts(data):
    bare = numbered(data.greens).drop_vars("station")
    for greens, record in (
        (bare, data.record),
        (bare, data.record.drop_vars("station")),
        (numbered(data.greens), data.record.drop_vars("station")),
    ):
        assert align(greens, record).array[:, 0].values.tolist() == [0, 1, 2, 3]
    with pytest.raises(InputError, match="has 4 along 'station', the records 3; expected as many"):
        align(bare, data.record[:3])


def test_labels_that_are_not_there(data):
    with pytest.raises(InputError, match=r"no station S1, S3 \(2 of 4\); expected one for") as told:
        align(data.greens.isel(station=[2, 0]), data.record)
    kept = eval(cure(told), {"records": data.record, "greens": data.greens[[2, 0]]})
    assert kept.station.values.tolist() == ["S0", "S2"]
    assert align(data.greens.isel(station=[2, 0]), kept).array.sizes["station"] == 2
    other = data.greens.assign_coords(station=list("abcd"))
    with pytest.raises(InputError, match=r"\(4 of 4\).*found a, b, c, d: rename them"):
        align(other, data.record)
    many = waves(8)
    with pytest.raises(InputError, match=r"no station S2, S3, S4, S5, S6, \.\.\. \(6 of 8\)"):
        align(many.greens[:2], many.record)
    with pytest.raises(
        InputError, match=r"labels twice along 'station': \['S1'\].*drop_duplicates"
    ):
        align(data.greens.isel(station=[0, 1, 1, 2, 3]), data.record)


def test_dims_that_records_have_not(data):
    with pytest.raises(InputError, match=r"dims \['depth'\], which the records have not; .*select"):
        align(data.greens.expand_dims(depth=2), data.record)
    with pytest.raises(InputError, match=r"has the dims \['lag'\]"):
        align(data.greens.rename(time="lag").expand_dims(time=2), data.record)


def test_some_dims_of_the_records_only(data):
    one = align(data.greens[1].drop_vars("station"), data.record)
    assert one.array.dims == ("time",)
    event = data.record.expand_dims(event=3)
    assert align(data.greens, event).array.dims == ("station", "time")
    made = invert(event, greens=data.greens, dim="station")
    assert made.dims == ("event", "time")
    np.testing.assert_array_equal(made[2], invert(data.record, greens=data.greens, dim="station"))


def test_the_time_axis_may_be_called_otherwise(data):
    for greens, dims in (
        (data.greens.rename(time="sample"), None),
        (data.greens.rename(time="n").drop_vars("n"), {"T": "n"}),
        (data.greens.rename(time="t"), {"T": "time"}),
    ):
        record = data.record.rename(time="n") if dims == {"T": "n"} else data.record
        made = align(greens, record, dims=dims)
        assert made.array.dims == record.dims
        np.testing.assert_array_equal(made.array, data.greens)


def test_what_is_no_greens_function(data):
    for greens, told in (
        (data.greens.values, "is a ndarray; expected a DataArray"),
        (data[["greens"]], "is a Dataset; expected a DataArray"),
        (data.greens.astype(str), "has dtype <U"),
        (data.greens + 1j, "has dtype complex"),
    ):
        with pytest.raises(InputError, match=f"greens {told}"):
            align(greens, data.record)
    assert align(data.greens.astype(int), data.record).array.dtype.kind == "i"


def test_longer_ones_are_cut(data):
    long = waves(4).greens.pad(time=(0, 30), constant_values=5.0)
    long = long.assign_coords(time=("time", STEP * np.arange(SAMPLES + 30), {"units": "s"}))
    made = align(long, data.record)
    assert made.array.sizes["time"] == SAMPLES
    np.testing.assert_array_equal(made.array, data.greens)


@pytest.mark.parametrize("times", ["s", "dates", "none"])
def test_shorter_ones_are_told_how_to_grow(data, times):
    record, greens = data.record, data.greens
    if times == "dates":
        dates = np.datetime64("2020-01-01", "ns") + np.arange(SAMPLES) * np.timedelta64(100, "ms")
        record, greens = (a.assign_coords(time=dates) for a in (record, greens))
    if times == "none":
        greens = greens.drop_vars("time")
    short = greens.isel(time=slice(100))
    with pytest.raises(TimeAxisError, match="has 100 samples, the records 128; expected") as told:
        align(short, record)
    code = str(told.value).partition("it is zero: ")[2].partition("; or cut")[0]
    longer = eval(code, {"greens": short, "np": np})
    made = align(longer, record)
    np.testing.assert_array_equal(made.array[:, :100], short)
    assert not made.array[:, 100:].any()
    assert made.samples.step == pytest.approx(samples_of(greens).step)
    cut = eval(str(told.value).rpartition("records, ")[2], {"records": record})
    assert align(short, cut).array.sizes["time"] == 100


# Sampling rates


def fine(factor, count):
    """Return a smooth response of steps `factor` times as short as those of the records."""
    time = np.arange(count) * STEP / factor
    made = [
        np.exp(-0.5 * ((time - on) / 0.25) ** 2) - 0.7 * np.exp(-0.5 * ((time - off) / 0.35) ** 2)
        for on, off in ((1.5, 4.0), (2.0, 5.5), (1.2, 3.1))
    ]
    return np.stack(made)


def sampled(factor, area, count=None):
    """Return responses to a source of area 1, or of 1 in a sample, of so many steps a sample."""
    count = round(SAMPLES * factor) if count is None else count
    # A sum over samples is an integral without their length.
    values = fine(factor, count) * (1.0 if area else STEP / factor)
    times = ("time", np.arange(count) * STEP / factor, {"units": "s"})
    coords = {"station": list("ABC"), "time": times}
    return xr.DataArray(values, coords, ("station", "time"), "record")


@pytest.mark.parametrize("impulse", ["sample", "second"])
@pytest.mark.parametrize("factor", [2, 0.5, 3, 1 / 3, 1.5, 5 / 4])
def test_another_rate_gives_the_same_source(factor, impulse):
    area = impulse == "second"
    right = sampled(1, area)
    truth = pulses(3)
    values = records(right.values, truth) * (STEP if area else 1.0)
    record = right.copy(data=values)
    made = {}
    for name, greens in (("right", right), ("other", sampled(factor, area))):
        resample = name == "other"
        made[name] = invert(
            record, "wiener", greens=greens, dim="station", impulse=impulse, resample=resample
        )
    assert off(made["other"], made["right"]) < 0.02
    assert off(made["other"], truth) < 0.1
    moment = float(made["other"]["record_moment"])
    assert moment == pytest.approx(float(made["right"]["record_moment"]), rel=0.01)
    assert moment == pytest.approx(truth.sum() * (STEP if area else 1.0), rel=0.03)


def test_another_rate_has_to_be_asked_for(data):
    slow = data.greens.assign_coords(time=("time", 2 * STEP * np.arange(SAMPLES), {"units": "s"}))
    told = "one sample every 0.2 s, the records one every 0.1 s; expected the same: resample=True"
    with pytest.raises(TimeAxisError, match=told):
        align(slow, data.record)
    made = align(slow, data.record, resample=True)
    assert made.array.sizes["time"] == SAMPLES
    assert made.samples.step == pytest.approx(0.2)


def test_rates_are_compared_in_seconds(data):
    milliseconds = ("time", 1e3 * STEP * np.arange(SAMPLES), {"units": "ms"})
    for times in (
        milliseconds,
        STEP * np.arange(SAMPLES),
        (STEP * np.arange(SAMPLES)).astype(np.float32),
        np.arange(SAMPLES) * np.timedelta64(100, "ms"),
        np.datetime64("2001", "ns") + np.arange(SAMPLES) * np.timedelta64(100, "ms"),
    ):
        greens = data.greens.assign_coords(time=times)
        assert align(greens, data.record, resample=True).array.equals(
            align(data.greens, data.record).array
        )
    # Numbers of no unit are taken for those of the other axis.
    bare = data.greens.assign_coords(time=1e3 * STEP * np.arange(SAMPLES))
    record = data.record.assign_coords(time=milliseconds)
    assert align(bare, record).array.sizes["time"] == SAMPLES
    made = align(data.greens.assign_coords(time=milliseconds), record.assign_coords(bare.coords))
    assert made.array.sizes["time"] == SAMPLES
    with pytest.raises(
        TimeAxisError, match=r"one sample every 100 s, the records one every 0\.1 s"
    ):
        align(bare, data.record)


def test_rates_that_nothing_tells(data):
    bare = data.greens.drop_vars("time")
    assert align(bare, data.record).array.sizes["time"] == SAMPLES
    with pytest.raises(
        TimeAxisError, match=r"resample=True: greens has no times.*greens.assign_co"
    ):
        align(bare, data.record, resample=True)
    with pytest.raises(TimeAxisError, match=r"resample=True: records has no times"):
        align(data.greens, data.record.drop_vars("time"), resample=True)


def test_rates_of_no_simple_ratio(data):
    odd = 1e-5 * np.sqrt(2) * np.arange(SAMPLES)
    greens = data.greens.assign_coords(time=("time", odd, {"units": "s"}))
    with pytest.raises(TimeAxisError, match=r"expected rates of a simple ratio: .*greens.interp"):
        align(greens, data.record, resample=True)


def test_resampled_lazily(data):
    slow = data.greens.assign_coords(time=("time", 2 * STEP * np.arange(SAMPLES), {"units": "s"}))
    slow = slow[[1, 0, 3, 2]]
    with dask.config.set(scheduler=Refuses()):
        lazy = align(slow.chunk(time=20, station=3), data.record, resample=True).array
    assert lazy.chunks is not None
    np.testing.assert_array_equal(lazy, align(slow, data.record, resample=True).array)


# Units


@pytest.mark.parametrize("units", ["m s-1", "m  s-1", " m s-1 "])
def test_the_same_units_need_no_pint(units):
    assert quotient("m s-1", units) == (1.0, "1")
    assert quotient("nonsense", "nonsense") == (1.0, "1")
    assert quotient(None, "m") == quotient("m", None) == (1.0, None)


def test_other_units_need_pint(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    told = r"units as different as 'mm s-1' and 'm s-1' needs .*'pint'.*xgeoml\[seismic\]"
    with pytest.raises(MissingExtraError, match=told):
        quotient("mm s-1", "m s-1")


@pytest.mark.parametrize(
    ("record", "greens", "factor", "units"),
    [
        ("mm s-1", "m s-1", 1e-3, "1"),
        ("m s-1", "mm s-1", 1e3, "1"),
        ("m/s", "m s-1", 1.0, "1"),
        ("um/s", "m s**-1", 1e-6, "1"),
        ("nm", "m", 1e-9, "1"),
        ("m s-1", "m s-1 N-1 m-1", 1.0, "m N"),
        ("m", "1", 1.0, "m"),
        ("counts", "m s-1", 1.0, "count s m-1"),
        ("1e-9 m", "m", 1e-9, "1"),
    ],
)
def test_units_of_the_quotient(record, greens, factor, units):
    pytest.importorskip("pint")
    found, named = quotient(record, greens)
    assert found == pytest.approx(factor, rel=1e-12)
    assert named == units


def test_units_that_are_none():
    pytest.importorskip("pint")
    for pair in (("blah", "m"), ("m", "blah"), ("m s-1 (", "m")):
        with pytest.raises(InputError, match=r"units '.*' are not known .*obj.attrs\['units'\] ="):
            quotient(*pair)


def test_units_of_sources(data):
    plain = invert(data.record, greens=data.greens, dim="station")
    assert plain.attrs["units"] == plain["record_moment"].attrs["units"] == "1"
    bare = invert(data.record, greens=data.greens.drop_attrs(), dim="station")
    assert "units" not in bare.attrs
    assert "units" not in bare["record_moment"].attrs
    np.testing.assert_array_equal(bare, plain)
    second = invert(data.record, greens=data.greens, dim="station", impulse="second")
    assert second.attrs["units"] == "s-1"
    assert second["record_moment"].attrs["units"] == "1"
    np.testing.assert_allclose(second, plain / STEP, rtol=1e-6)
    np.testing.assert_allclose(second["record_moment"], second.sum() * STEP, rtol=1e-5)


def test_units_that_are_converted(data):
    pytest.importorskip("pint")
    plain = invert(data.record, greens=data.greens, dim="station")
    small = invert(data.record.assign_attrs(units="mm s-1"), greens=data.greens, dim="station")
    np.testing.assert_allclose(small, 1e-3 * plain, rtol=1e-6)
    assert small.attrs["units"] == "1"
    force = data.greens.assign_attrs(units="m s-1 N-1 m-1")
    rate = invert(data.record, greens=force, dim="station", impulse="second")
    assert rate.attrs["units"] == "m N s-1"
    assert rate["record_moment"].attrs["units"] == "m N"


def test_pint_is_asked_for_only_where_it_is_needed():
    code = (
        "import sys; from xgeoml.tasks.units import quotient; quotient('m', 'm'); "
        "print('pint' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_paths_of_the_toys_are_those_of_the_records():
    np.testing.assert_array_equal(waves(3, dtype=np.float64).greens, paths(0, 3))


def test_one_path_that_still_has_the_label_of_its_station(data):
    one = data.greens.isel(station=0)
    made = invert(data.record, greens=one, dim="station")
    plain = invert(data.record, greens=one.drop_vars(["station", "distance"]), dim="station")
    assert np.array_equal(made, plain)
