"""Sources of records: the same however they are given, their times, moments, misfits, form."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from toy_waves import LENGTH, SAMPLES, STEP, invert, off, pulses, records, waves, weights

import xgeoml

CLASSICAL = ["water_level", "wiener", "iterative", "landweber", "nnls"]
DATES = np.datetime64("2020-01-01T00:00:05", "ns") + np.arange(SAMPLES) * np.timedelta64(100, "ms")


@pytest.fixture
def data():
    return waves()


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return weights(tmp_path_factory.mktemp("eq_tf") / "eq_tf.safetensors")


def together(data, model="nnls", **options):
    """Invert all stations of a Dataset for one source, a DataArray."""
    return invert(data["record"], model, greens=data["greens"], dim="station", **options)


@pytest.mark.parametrize("model", [*CLASSICAL, "network"])
def test_a_source_is_found(data, model, network):
    made = together(data, network if model == "network" else model)
    assert made.dims == ("time",)
    assert made.dtype == np.float32
    assert off(made, data["source"]) < 0.35
    if model != "network":  # of which nobody knows better
        assert float(made["record_moment"]) == pytest.approx(float(data["source"].sum()), rel=0.05)
    assert float(made["record_moment"]) == pytest.approx(float(made.sum()), rel=1e-5)
    assert float(made.min()) >= 0


def test_records_are_inverted_each_by_itself_or_together(data):
    each = invert(data["record"], greens=data["greens"])
    assert each.dims == data["record"].dims
    for k in range(3):
        alone = invert(data["record"][k], greens=data["greens"][k])
        np.testing.assert_allclose(alone, each[k], rtol=1e-5, atol=1e-7)
    assert each["record_moment"].dims == each["record_misfit"].dims == ("station",)
    joint = together(data)
    assert off(joint, data["source"]) < off(each, data["source"].values[None]).mean()


def test_several_dims_of_one_source(data):
    both = xr.concat([data, data * 2.0], pd.Index(["Z", "R"], name="component"))
    both = both.drop_vars("source")
    for dim in (("station", "component"), ["component", "station"]):
        made = invert(both["record"], greens=both["greens"], dim=dim)
        np.testing.assert_allclose(made, together(data), rtol=1e-4, atol=1e-6)
    one = invert(both["record"].transpose("time", ...), greens=both["greens"], dim="station")
    assert one.dims == ("time", "component")
    found = invert(both, greens="greens", dim=("station", "component"))
    assert set(found["record_each_misfit"].dims) == {"station", "component"}


def test_a_misfit_is_what_is_left_of_the_records(data):
    made = invert(data.drop_vars("source"), greens="greens", dim="station")
    source = made["record"].values.astype(float)
    guess = np.stack([np.convolve(g, source)[:SAMPLES] for g in data["greens"].values])
    left = ((data["record"].values - guess) ** 2).mean(-1)
    share = left / (data["record"].values.astype(float) ** 2).mean(-1)
    np.testing.assert_allclose(made["record_each_misfit"], np.sqrt(share), rtol=1e-4)
    np.testing.assert_allclose(made["record_misfit"], np.sqrt(share.mean()), rtol=1e-4)
    each = invert(data.drop_vars("source"), greens="greens")
    assert "record_each_misfit" not in each
    assert (each["record_misfit"] < 0.1).all()


# Times


def test_times_that_are_those_of_the_records(data):
    made = together(data)
    assert made["time"].variable.identical(data["time"].variable)
    assert (made - data["record"]).sizes["time"] == SAMPLES
    single = data.assign_coords(time=data["time"].astype(np.float32).assign_attrs(units="s"))
    assert together(single)["time"].variable.identical(single["time"].variable)


@pytest.mark.parametrize(
    ("units", "count"), [("ms", 1e3), ("s", 1.0), ("minutes", 1 / 60), (None, 1.0)]
)
def test_times_are_counted_from_the_onset(data, units, count):
    attrs = {} if units is None else {"units": units}
    times = ("time", (4.0 + STEP * np.arange(SAMPLES)) * count, attrs)
    onset = ("time", -1.5 + STEP * np.arange(SAMPLES), {"units": "s"})
    record = data["record"].assign_coords(time=times)
    made = invert(record, greens=data["greens"].assign_coords(time=onset), dim="station")
    np.testing.assert_allclose(made["time"], (5.5 + STEP * np.arange(SAMPLES)) * count)
    assert made["time"].attrs == attrs
    np.testing.assert_array_equal(made, together(data))


def test_dates(data):
    dated = data["record"].assign_coords(time=("time", DATES, {"standard_name": "time"}))
    onset = data["greens"].assign_coords(time=("time", data["time"].values - 2.0, {"units": "s"}))
    made = invert(dated, greens=onset, dim="station")
    np.testing.assert_array_equal(made["time"], DATES + np.timedelta64(2, "s"))
    assert made["time"].attrs == {"standard_name": "time"}
    late = data["greens"].assign_coords(time=DATES - np.timedelta64(3, "s"))
    lengths = invert(dated, greens=late, dim="station")["time"]
    np.testing.assert_array_equal(lengths, DATES - DATES[0] + np.timedelta64(3, "s"))
    assert lengths.attrs == {"long_name": "time since the onset"}


def test_dates_of_other_calendars(data):
    times = xr.date_range("2020-02-28", periods=SAMPLES, freq="s", calendar="noleap")
    record = data["record"].assign_coords(time=times)
    onset = data["greens"].assign_coords(time=("time", np.arange(SAMPLES) + 4.5, {"units": "s"}))
    made = invert(record, greens=onset, dim="station")["time"]
    assert made.values[0] == times[0] - timedelta(seconds=4.5)
    assert made.values[-1] == times[-1] - timedelta(seconds=4.5)
    both = invert(record, greens=data["greens"].assign_coords(time=times), dim="station")["time"]
    assert both.dtype.kind == "m"


def test_an_axis_without_times(data):
    plain = together(data)
    none = data.drop_vars("time")
    for record, greens in (
        (none["record"], data["greens"]),
        (none["record"], none["greens"]),
        (data["record"], none["greens"]),
        (none["record"].rename(time="sample"), data["greens"]),
        (none["record"].rename(time="n"), none["greens"].rename(time="n")),
    ):
        dims = {"T": "n"} if "n" in record.dims else None
        made = invert(record, greens=greens, dim="station", dims=dims)
        np.testing.assert_array_equal(made, plain)
        assert ("time" in made.coords) == ("time" in record.coords)
        assert made.dims == record.dims[1:]


def test_times_beside_the_axis(data):
    seconds = ("sample", data["time"].values, {"units": "s"})
    beside = data.rename(time="sample").drop_vars("sample").assign_coords(time=seconds)
    made = together(beside, impulse="second", length="2s")
    assert made.dims == ("sample",)
    np.testing.assert_array_equal(made["time"], data["time"][:20])
    assert made["time"].dims == ("sample",)
    late = beside["greens"].assign_coords(time=beside["time"] + 1.0)
    made = invert(beside["record"], greens=late, dim="station")
    np.testing.assert_allclose(made["time"], data["time"] - 1.0, atol=1e-9)


@pytest.mark.parametrize("length", [32, "3.2s", timedelta(seconds=3.2), np.timedelta64(3200, "ms")])
def test_the_length_of_the_source(data, length):
    made = together(data, length=length)
    assert made.sizes["time"] == 32
    np.testing.assert_array_equal(made["time"], data["time"][:32])


def test_a_source_known_to_be_short_is_found_better():
    noisy = waves(1, 0.3)
    long, short = together(noisy), together(noisy, length=LENGTH)
    assert off(short, noisy["source"]) < off(long, noisy["source"])


# Signs and amplitudes


def test_sources_of_any_sign():
    signed = waves(signed=True)
    made = together(signed, "wiener", positive=False)
    assert off(made, signed["source"]) < 0.15
    assert float(together(signed, "wiener").min()) == 0.0


@pytest.mark.parametrize("model", ["nnls", "network"])
@pytest.mark.parametrize("size", [1e-30, 1e-9, 1e9, 1e30])
def test_sizes_do_not_matter(data, model, size, network):
    model = network if model == "network" else model
    made = together(data, model)
    largest = float(made.max())
    record = (data["record"].astype(float) * size).astype(np.float32)
    louder = invert(record, model, greens=data["greens"], dim="station")
    np.testing.assert_allclose(louder / size, made, rtol=0, atol=1e-5 * largest)
    greens = (data["greens"].astype(float) * size).astype(np.float32)
    quieter = invert(data["record"], model, greens=greens, dim="station")
    np.testing.assert_allclose(quieter * size, made, rtol=0, atol=1e-5 * largest)


def test_free_amplitudes(data):
    factor = xr.DataArray([0.4, 1.0, 2.5], dims="station")
    wrong = data.assign(greens=(data["greens"] / factor).assign_attrs(units="m s-1"))
    free = invert(wrong.drop_vars("source"), greens="greens", dim="station", amplitudes="free")
    np.testing.assert_allclose(free["record_factor"], factor, rtol=0.1)
    assert free["record_factor"].attrs["units"] == "1"
    assert off(free["record"], data["source"]) < 0.25
    assert off(free["record"], data["source"]) < off(together(wrong), data["source"])
    assert float(free["record_misfit"]) < float(together(wrong)["record_misfit"])
    silent = wrong.assign(record=wrong["record"].where(wrong["station"] != "S1"))
    found = invert(silent.drop_vars("source"), greens="greens", dim="station", amplitudes="free")
    assert found["record_factor"].isnull().values.tolist() == [False, True, False]


def test_the_area_of_an_impulse(data):
    plain = together(data)
    for units, count in (("s", 1.0), ("ms", 1e3), ("min", 1 / 60)):
        times = ("time", data["time"].values * count, {"units": units})
        made = together(data.assign_coords(time=times), impulse="second")
        np.testing.assert_allclose(made, plain / STEP, rtol=1e-5)
        assert float(made["record_moment"]) == pytest.approx(float(made.sum()) * STEP, rel=1e-5)
        assert float(made["record_moment"]) == pytest.approx(float(plain["record_moment"]), 1e-5)
        assert (made.attrs["units"], made["record_moment"].attrs["units"]) == ("s-1", "1")


# What is missing


def test_a_station_that_is_missing(data):
    lost = data["record"].where(data["station"] != "S1")
    made = invert(lost, greens=data["greens"], dim="station")
    two = data.isel(station=[0, 2])
    np.testing.assert_array_equal(made, together(two))
    # Then its Green's function does not matter.
    unknown = data["greens"].where(data["station"] != "S1")
    np.testing.assert_array_equal(invert(lost, greens=unknown, dim="station"), made)
    found = invert(lost.to_dataset().assign(greens=data["greens"]), greens="greens", dim="station")
    assert found["record_each_misfit"].isnull().values.tolist() == [False, True, False]
    assert float(found["record_misfit"]) == pytest.approx(float(together(two)["record_misfit"]))


@pytest.mark.parametrize("model", ["nnls", "network"])
def test_an_event_that_is_missing(data, model, network):
    events = xr.concat([data["record"], np.nan * data["record"]], "event")
    model = network if model == "network" else model
    made = invert(events, model, greens=data["greens"], dim="station")
    np.testing.assert_allclose(made[0], together(data, model), rtol=1e-5, atol=1e-7)
    assert made[1].isnull().all()
    assert made["record_moment"].isnull().values.tolist() == [False, True]
    assert made["record_misfit"].isnull().values.tolist() == [False, True]


def test_gaps_at_the_ends(data):
    late = data["greens"].copy()
    late[:, :20] = 0.0
    record = data["record"].copy(
        data=records(late.values, data["source"].values, 0.02).astype(np.float32)
    )
    lost = record.copy()
    lost[0, :20] = lost[1, :15] = lost[2, 100:] = np.nan
    made = invert(lost, greens=late, dim="station", gaps="window")
    assert made.sizes["time"] == SAMPLES
    np.testing.assert_array_equal(made.isnull(), np.arange(SAMPLES) >= 80)
    np.testing.assert_array_equal(made["time"], data["time"])
    whole = invert(record, greens=late, dim="station")
    assert off(made[:60], whole[:60]) < 0.1
    moment = float(made["record_moment"])
    assert moment == pytest.approx(float(made.sum()), rel=1e-5)
    short = invert(lost, greens=late, dim="station", gaps="window", length=30)
    assert short.notnull().all()
    # Each by itself has a window of its own.
    each = invert(lost, greens=late, gaps="window")
    assert each.notnull().sum("time").values.tolist() == [108, 113, 100]


def test_gaps_in_the_middle(data):
    lost = data["record"].copy()
    lost[1, 90] = np.nan
    made = invert(lost, greens=data["greens"], dim="station", gaps="window")
    assert made.notnull().values.tolist() == 90 * [True] + 38 * [False]
    cut = data.isel(time=slice(90))
    np.testing.assert_array_equal(made[:90], together(cut))
    whole = together(data, gaps="window")
    assert whole.drop_attrs().identical(together(data).drop_attrs())


def test_records_that_share_no_sample(data):
    events = xr.concat([data["record"], data["record"]], "event").copy()
    events[1, 0, ::2] = events[1, 1, 1::2] = np.nan
    made = invert(events, greens=data["greens"], dim="station", gaps="window")
    assert made[1].isnull().all()
    np.testing.assert_array_equal(made[0], together(data))


def test_silence_makes_silence(data):
    for quiet in (data.assign(record=0 * data["record"]), data.assign(greens=0 * data["greens"])):
        made = together(quiet)
        assert not made.any()
        assert float(made["record_moment"]) == 0.0


# Objects


def test_variables_of_a_dataset(data):
    given = data.assign(other=2.0 * data["record"], note=("station", [1, 2, 3]), one=3)
    made = invert(given.assign_attrs(history="before"), greens="greens", dim="station")
    assert set(made.data_vars) == {
        *("source", "note", "one", "record", "record_moment", "record_misfit"),
        *("record_each_misfit", "other", "other_moment", "other_misfit", "other_each_misfit"),
    }
    assert "greens" not in made
    np.testing.assert_allclose(made["other"], 2 * made["record"], rtol=1e-5)
    assert made["source"].identical(given["source"])
    assert made["note"].identical(given["note"])
    first, line = made.attrs["history"].split("\n")
    assert first == "before"
    told = "invert_waveform(model='nnls', greens='greens', dim='station'): record by nnls@1.0, oth"
    assert told in line


def test_greens_functions_of_the_same_dataset_are_no_records(data):
    by_name = invert(data, greens="greens", dim="station")
    for greens in (data["greens"], data["greens"].fillna(0), data["greens"][::-1]):
        made = invert(data, greens=greens, dim="station")
        assert made.drop_attrs().identical(by_name.drop_attrs())
    alike = data[["record"]].rename(record="greens")
    made = invert(alike, greens=data["greens"], dim="station")
    np.testing.assert_array_equal(made["greens"], by_name["record"])


def test_other_variables_along_time_are_left_out(data):
    more = data.assign(quality=("time", np.arange(SAMPLES)))
    with pytest.warns(UserWarning, match=r"left out: variables \['quality'\], along the time axis"):
        made = invert(more, greens="greens", dim="station")
    assert "quality" not in made
    with pytest.warns(UserWarning, match=r"\['record'\]"):
        made = invert(
            data.assign(other=data["record"]), greens="greens", dim="station", variables="other"
        )
    assert "record" not in made


def test_integers_that_are_named(data):
    counts = (1e6 * data["record"]).round().astype(np.int32)
    made = invert(counts, greens=data["greens"], dim="station")
    assert made.dtype == np.float64
    np.testing.assert_allclose(made, 1e6 * together(data), rtol=1e-2, atol=1e3)
    counts.attrs["_FillValue"] = -1
    lost = counts.copy()
    lost[1] = -1
    two = invert(counts[[0, 2]], greens=data["greens"], dim="station")
    np.testing.assert_allclose(invert(lost, greens=data["greens"], dim="station"), two, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, ">f4", np.float64])
def test_other_floats(data, dtype):
    made = invert(data["record"].astype(dtype), greens=data["greens"], dim="station")
    assert made.dtype == {"f2": "f4", "f4": "f4", "f8": "f8"}[np.dtype(dtype).str[1:]]
    np.testing.assert_allclose(made, together(data), rtol=0, atol=0.02)


def test_trees(data):
    given = data.drop_vars("source")
    tree = xr.DataTree.from_dict({"/a": given, "/b": given.isel(station=[0, 1])})
    made = invert(tree, greens="greens", dim="station")
    np.testing.assert_array_equal(made["/a/record"], together(data))
    np.testing.assert_array_equal(made["/b/record"], together(data.isel(station=[0, 1])))
    # One set of Green's functions above, of groups with records.
    above = xr.DataTree.from_dict({"/": given[["greens"]], "/a": given[["record"]]})
    for greens in ("greens", data["greens"]):
        made = invert(above, greens=greens, dim="station")
        np.testing.assert_array_equal(made["/a/record"], together(data))
    # What lies along an axis that is not there any more goes.
    late = data["greens"].assign_coords(time=("time", data["time"].values - 3, {"units": "s"}))
    for options in ({"length": 20}, {}):
        moved = invert(above, greens=late, dim="station", **options)
        assert float(moved["/a/time"][0]) == pytest.approx(3.0)
        assert "greens" not in moved.data_vars


def test_labels_of_several_levels(data):
    levels = pd.MultiIndex.from_tuples([("A", "x"), ("A", "y"), ("B", "x")], names=("net", "sta"))
    coords = xr.Coordinates.from_pandas_multiindex(levels, "station")
    many = data.drop_vars(["station", "source"]).assign_coords(coords)
    each = invert(many["record"], greens=many["greens"][::-1])
    assert each.indexes["station"].equals(levels)
    np.testing.assert_array_equal(each, invert(data["record"], greens=data["greens"]))
    joint = invert(many["record"], greens=many["greens"][::-1], dim="station")
    np.testing.assert_array_equal(joint, together(data))
    made = invert(many, greens="greens", dim="station")
    assert made["record_each_misfit"].indexes["station"].equals(levels)


def test_names_attributes_and_other_coordinates_stay(data):
    record = data["record"].assign_attrs(long_name="velocity", standard_name="v", cell_methods="x")
    record = record.assign_coords(number=3, quality=("time", np.arange(SAMPLES)))
    record["time"].attrs["bounds"] = "time_bnds"
    record.encoding = {"scale_factor": 0.01, "dtype": "int16", "_FillValue": -1}
    other = data["greens"].assign_coords(distance=("station", [7.0, 8.0, 9.0]), depth=5.0)
    each = invert(record, greens=other)
    assert each.name == "record"
    assert set(each.coords) == {
        *("station", "distance", "number", "time", "record_moment", "record_misfit"),
    }
    assert each["distance"].values.tolist() == data["distance"].values.tolist()
    assert {k: v for k, v in each.attrs.items() if k != "history"} == {
        "long_name": "source time function of velocity",
        "units": "1",
        "ancillary_variables": "record_moment record_misfit",
    }
    assert each["time"].attrs == {"units": "s", "long_name": "time"}
    assert each.encoding == {}
    joint = invert(record, greens=other, dim="station")
    assert set(joint.coords) == {"number", "time", "record_moment", "record_misfit"}
    named = set(joint.attrs["ancillary_variables"].split())
    assert named <= set(joint.coords)
    unnamed = invert(record.rename(None), greens=other, dim="station")
    assert unnamed.name is None


def test_the_history(data):
    made = together(data, length="3s", positive=False, impulse="second", gaps="window")
    told = "invert_waveform(model='nnls', greens='greens', dim='station', positive=False, length="
    assert f"{told}'3s', impulse='second', gaps='window'): record by nnls@1.0" in made.history
    with xgeoml.set_options(keep_history=False):
        assert "history" not in together(data).attrs
    unnamed = invert(data["record"], greens=data["greens"].rename(None), dim="station")
    assert "greens='DataArray'" in unnamed.attrs["history"]


@pytest.mark.parametrize("times", ["seconds", "dates", "lengths", "none"])
def test_files(data, times, tmp_path):
    pytest.importorskip("netCDF4")
    coords = {"dates": DATES, "lengths": DATES - DATES[0]}
    given = data.drop_vars("source")
    if times == "none":
        given = given.drop_vars("time")
    elif times in coords:
        given = given.assign_coords(time=coords[times])
    given.to_netcdf(tmp_path / "records.nc")
    with xr.open_dataset(tmp_path / "records.nc", decode_timedelta=True) as records:
        made = invert(records, greens="greens", dim="station", amplitudes="free")
    assert made["record"].encoding == {}
    made.to_netcdf(tmp_path / "source.nc")
    with xr.open_dataset(tmp_path / "source.nc", decode_timedelta=True) as back:
        xr.testing.assert_equal(back.load(), made)
        assert back["record"].attrs == made["record"].attrs
        assert back["record_moment"].attrs == made["record_moment"].attrs


def test_a_source_of_the_toys(data):
    np.testing.assert_array_equal(data["source"], pulses(0))
