"""Pictures of data before and after a task."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from toy_pictures import drawn, legend_of, mesh_of, overlapping, titles, watched

import xgeoml
from xgeoml import plot
from xgeoml.exceptions import AxisError, InputError
from xgeoml.testing import records

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def record():
    return records.record().to_dataset()


@pytest.fixture(scope="module")
def full(record):
    return record.geoml.fill_gaps("linear", spread=True)


@pytest.fixture(scope="module")
def hourly():
    return xgeoml.datasets.hourly_temperature(hours=24, nlat=8, nlon=9)


def limits(panel):
    return panel.collections[0].get_clim()


def maps(figure):
    return [panel for panel in figure.axes if panel.get_title() or panel.get_images()]


# ---------------------------------------------------------------- gaps


def test_a_filled_step_beside_its_spread(record, full):
    figure = drawn(record.geoml.plot.compare(full, time="2003-07"))
    before, after, spread = figure.axes[:3]
    assert titles(figure) == ["before", "after", "spread of filled cells"]
    step = full.sel(time="2003-07").isel(time=0)
    np.testing.assert_array_equal(mesh_of(after), step.storage)
    np.testing.assert_array_equal(mesh_of(spread), step.storage_spread)
    assert np.isnan(mesh_of(before)).all(), "a month of no value"
    assert limits(before) == limits(after)
    assert figure.get_suptitle() == "2003-07"
    assert [p.get_ylabel() for p in figure.axes[3:]] == [
        "stored water (cm)",
        "one standard deviation (cm)",
    ]
    assert overlapping(figure) == []


@pytest.mark.parametrize("stamped", ["MS", "ME"])
def test_a_month_is_found_wherever_it_is_stamped(stamped):
    time = pd.date_range("2017-01-01", periods=24, freq=stamped)
    before = xr.DataArray(
        np.ones((24, 3, 4)),
        {"time": time, "lat": [0.0, 1.0, 2.0], "lon": [0.0, 1.0, 2.0, 3.0]},
        ("time", "lat", "lon"),
        "v",
    )
    figure = before.geoml.plot.compare(before + 1, time="2017-12", coast=False)
    assert figure.get_suptitle().startswith("2017-12")
    figure = before.geoml.plot.compare(before + 1, time="2018", coast=False)
    assert figure.get_suptitle().startswith("2018-0")


def test_a_step_with_some_gaps(record, full):
    figure = plot.compare(record, full, time="2001-03-15")
    before, after = figure.axes[:2]
    observed = record.storage.sel(time="2001-03").isel(time=0)
    np.testing.assert_array_equal(mesh_of(before), observed)
    known = observed.notnull().values
    np.testing.assert_array_equal(mesh_of(after)[known], observed.values[known])


def test_an_absent_step_is_told(record, full):
    figure = drawn(plot.compare(record, full, time="2002-09"))
    assert [t.get_text() for t in figure.axes[0].texts] == ["absent step"]
    assert figure.get_suptitle() == "2002-09"


def test_flags_without_a_spread(record, full):
    figure = drawn(plot.compare(record, full.drop_vars("storage_spread"), time="2001-03-15"))
    assert titles(figure) == ["before", "after", "which cells were filled"]
    flag = full.storage_fill_flag.sel(time="2001-03").isel(time=0)
    shown = mesh_of(figure.axes[2])
    known = np.isfinite(shown)
    np.testing.assert_array_equal(shown[known], flag.values[known])
    assert not known[records.EMPTY_CELL["lat"], records.EMPTY_CELL["lon"]]
    assert set(legend_of(figure)) == {"observed", "filled"}


def test_the_default_is_the_middle_of_the_largest_gap(record, full):
    assert plot.compare(record, full).get_suptitle() == "2001-12"
    assert plot.compare(record.storage, full).get_suptitle() == "2001-12"


def test_only_the_steps_that_are_drawn_are_computed(record, full):
    before, read = watched(record.storage, time=1)
    lazy, after_read = watched(full.storage, time=1)
    flag, flag_read = watched(full.storage_fill_flag, time=1)
    after = xr.Dataset({"storage": lazy, "storage_fill_flag": flag})
    figure = plot.compare(before, after)
    assert figure.get_suptitle() == "2001-12"
    assert {place[0] for place in after_read} == {11}
    assert {place[0] for place in flag_read} == {11}
    assert len(set(read)) == before.sizes["time"], "what is known is counted in the data before"


def test_a_lazy_step_is_computed_once_for_all_panels(record, full):
    lazy, read = watched(full.storage, time=1)
    flag, spread = (full[f"storage_{n}"].chunk(time=1) for n in ("fill_flag", "spread"))
    after = xr.Dataset({"storage": lazy})
    after["storage_fill_flag"] = (0 * lazy).fillna(0).astype(np.int8) + flag
    after["storage_spread"] = 0 * lazy + spread
    plot.compare(record, after, time="2003-07")
    assert [place[0] for place in read] == [30]


def test_the_same_cells_without_flags_differ(record, full):
    warmer = full.storage.drop_vars("storage_fill_flag", errors="ignore") + 2.0
    figure = drawn(plot.compare(full.storage, warmer, time="2003-01"))
    assert titles(figure)[2] == "difference"
    known = mesh_of(figure.axes[2])[np.isfinite(mesh_of(figure.axes[2]))]
    np.testing.assert_allclose(known, 2.0, rtol=1e-5)
    low, high = limits(figure.axes[2])
    assert low == -high


def test_means_of_months():
    days = records.days().to_dataset()
    months = days.geoml.fill_gaps("linear", freq="MS")
    figure = drawn(days.geoml.plot.compare(months, time="2001-12"))
    assert titles(figure) == ["mean of the 31 steps before", "after", "difference"]
    expected = days.storage.sel(time="2001-12").mean("time")
    np.testing.assert_allclose(mesh_of(figure.axes[0]), expected, rtol=1e-5)
    with pytest.raises(InputError, match="outside of the record"):
        plot.compare(days, months, time="2005-12")


# ---------------------------------------------------------------- finer grids


def test_coarse_and_fine_have_one_scale():
    fine = xgeoml.datasets.mountain_temperature(steps=3, nlat=16, nlon=20)[["t2m"]]
    coarse = fine.coarsen(lat=4, lon=4).mean()
    figure = drawn(coarse.geoml.plot.compare(fine, time="2021-01-01 06:00"))
    assert titles(figure) == ["coarse", "fine"]
    first, second = figure.axes[:2]
    np.testing.assert_array_equal(mesh_of(first), coarse.t2m[1])
    np.testing.assert_array_equal(mesh_of(second), fine.t2m[1])
    assert limits(first) == limits(second)
    both = np.concatenate([coarse.t2m[1].values.ravel(), fine.t2m[1].values.ravel()])
    np.testing.assert_allclose(limits(first), np.percentile(both.astype(float), [1, 99]))
    assert first.get_xlim() == pytest.approx(second.get_xlim())
    sharpest = int(coarse.t2m.std(("lat", "lon")).argmax("time"))
    when = str(coarse.time.values[sharpest]).replace("T", " ")[:16]
    assert plot.compare(coarse, fine).get_suptitle() == when


def test_members_and_levels_are_told():
    fine = xgeoml.datasets.mountain_temperature(steps=2, nlat=16, nlon=20).t2m
    coarse = fine.coarsen(lat=4, lon=4).mean()
    several = xr.concat([fine, fine + 1], "member")
    figure = plot.compare(coarse, several, time="2021-01-01")
    assert figure.get_suptitle() == "2021-01-01 00:00, member 0"
    np.testing.assert_array_equal(mesh_of(figure.axes[1]), several[0, 0])


# ---------------------------------------------------------------- times between


def test_steps_between_and_how_they_change(hourly):
    six = hourly.isel(time=slice(0, None, 6))
    made = six.geoml.interp_time("1h", "linear")
    figure = drawn(six.geoml.plot.compare(made, time="2019-03-01 09:00"))
    assert titles(figure) == [
        "2019-03-01 06:00\ngiven",
        "2019-03-01 07:00\nbetween",
        "2019-03-01 09:00\nbetween",
        "2019-03-01 11:00\nbetween",
        "2019-03-01 12:00\ngiven",
    ]
    upper, lower = figure.axes[:5], figure.axes[5:9]
    assert len({limits(p) for p in upper}) == 1
    np.testing.assert_array_equal(mesh_of(upper[2]), made.t2m.sel(time="2019-03-01T09"))
    change = mesh_of(lower[3])
    np.testing.assert_allclose(change, six.t2m[2] - six.t2m[1], atol=1e-4)
    low, high = limits(lower[0])
    assert low == -high
    # Sides are named where nothing is drawn beside or below.
    assert upper[0].xaxis.get_tick_params()["labelbottom"]
    assert lower[0].yaxis.get_tick_params()["labelleft"]
    assert overlapping(figure) == []


def test_the_interval_with_the_largest_change(hourly):
    six = hourly.isel(time=slice(0, None, 6))
    six = six + xr.DataArray([0.0, 0.0, 9.0, 9.0], dims="time")
    made = six.geoml.interp_time("2h", "linear")
    figure = plot.compare(six, made)
    assert titles(figure)[0] == "2019-03-01 06:00\ngiven"
    assert figure.get_suptitle() == "2 metre temperature"


# ---------------------------------------------------------------- trees, words, errors


def test_groups_of_trees(record, full):
    before = xr.DataTree.from_dict({"/a": xr.Dataset({"n": 1}), "/b": record})
    after = xr.DataTree.from_dict({"/a": xr.Dataset({"n": 1}), "/b": full})
    expected = titles(plot.compare(record, full))
    assert titles(before.geoml.plot.compare(after)) == expected
    assert titles(plot.compare(before, after, group="b")) == expected
    with pytest.raises(InputError, match="no group 'c'"):
        plot.compare(before, after, group="c")


def test_the_result_may_be_asked(record, full):
    assert titles(full.geoml.plot.compare(before=record)) == titles(plot.compare(record, full))
    for wrong in ({}, {"after": full, "before": record}):
        with pytest.raises(InputError, match="expected one other object"):
            record.geoml.plot.compare(**wrong)


def test_records_are_drawn_as_waveforms():
    ds = xgeoml.datasets.wavefield(stations=3, samples=256, source_samples=64)
    made = ds.geoml.invert_waveform(
        "nnls", greens="greens", dim="station", length=64, variables="record", progress=False
    )
    figure = drawn(ds.geoml.plot.compare(made))
    assert figure.axes[0].get_title().startswith("moment ")
    with pytest.raises(InputError, match=r"type before.geoml.plot.waveforms\(after, greens="):
        plot.compare(ds.record, made.record)


@pytest.mark.parametrize(
    ("time", "told"),
    [
        ("1999-01", "outside of the record; expected one from 2001-01 to 2005-12"),
        ("soon", "time='soon': expected a time such as '2001-01'"),
        (3, "time=3: expected a time such as"),
    ],
)
def test_times_that_are_none(record, full, time, told):
    with pytest.raises(InputError, match=told):
        plot.compare(record, full, time=time)


def test_dates_of_any_kind(record, full):
    for time in (pd.Timestamp("2003-07-15"), np.datetime64("2003-07-15"), full.time[30]):
        assert plot.compare(record, full, time=time).get_suptitle() == "2003-07"
    pytest.importorskip("cftime")
    first, second = (d.convert_calendar("noleap", use_cftime=True) for d in (record, full))
    for time in ("2003-07", second.time.values[30]):
        assert plot.compare(first, second, time=time).get_suptitle() == "2003-07"


def test_what_cannot_be_compared_is_refused(record, full):
    stations = records.stations()
    with pytest.raises(InputError, match=r"no map; type after.geoml.plot.series\(\)"):
        plot.compare(stations, stations)
    with pytest.raises(AxisError, match="needs a Y axis"):
        plot.compare(record.isel(time=0, lat=0, drop=True), full.isel(time=0, lat=0, drop=True))
    later = full.storage.assign_coords(time=full.time + np.timedelta64(9999, "D"))
    with pytest.raises(InputError, match="no time in common"):
        plot.compare(record, later)
    with pytest.raises(InputError, match="no axis of time; leave it out"):
        plot.compare(record.isel(time=0, drop=True), full.isel(time=0, drop=True), time="2001")
