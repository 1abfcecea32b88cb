"""Pictures of what is missing, and when."""

import re

import numpy as np
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
    return records.record()


def heights(panel, label):
    return next(p for p in panel.patches if p.get_label() == label).get_data().values


def test_the_share_of_the_area_at_each_step(record):
    figure = drawn(record.geoml.plot.gaps())
    panel = figure.axes[0]
    assert panel.get_ylabel() == "area observed (%)"
    assert panel.get_title().startswith("storage: ")
    assert "3 of 60 monthly steps absent" in panel.get_title()
    assert "longest gap 3 steps, 2001-11 to 2002-01" in " ".join(panel.get_title().split())
    share = heights(panel, "observed")
    area = np.cos(np.deg2rad(record.lat)) * record.notnull().any("time")
    expected = 100 * (record.notnull() * area).sum(("lat", "lon")) / area.sum()
    kept = np.setdiff1d(np.arange(60), records.ABSENT_STEPS)
    np.testing.assert_allclose(share[kept], expected, rtol=1e-6)
    assert (share[list(records.ABSENT_STEPS)] == 0).all()
    assert overlapping(figure) == []


def headline(data):
    return " ".join(drawn(data.geoml.plot.gaps()).axes[0].get_title().split())


def test_the_title_and_the_text_of_the_object_agree(record):
    sea = record.where(record.lat < -16).to_dataset()
    text = " ".join(repr(sea.geoml).split())
    told = (r"([\d.]+)% missing where ever seen", r"([\d.]+)% of the cells never seen")
    missing, never = (re.search(words, text)[1] for words in told)
    assert headline(sea).startswith(
        f"storage: {missing} % missing where ever seen; {never} % of the cells never seen; 3 of 60 "
    )
    full = sea.geoml.fill_gaps("linear")
    assert "complete where ever seen" in " ".join(repr(full.geoml).split())
    assert headline(full) == (
        f"storage: complete where ever seen; {never} % of the cells never seen; "
        f"{missing} % filled; 60 monthly steps; longest gap 3 steps, 2001-11 to 2002-01"
    )
    whole = full.sel(lat=slice(None, -16.5)).fillna(0.0).drop_vars("storage_fill_flag")
    assert "complete" in repr(whole.geoml)
    assert headline(whole) == "storage: complete; 60 monthly steps"
    none = record * np.nan
    assert "no value at all" in repr(none.geoml)
    assert headline(none) == "storage: no value at all; 3 of 60 monthly steps absent"


def test_one_step_is_a_map(record):
    figure = drawn(plot.gaps(record.isel(time=[0])))
    assert len(figure.axes) == 2
    share = 100 * float(record.isel(time=0).isnull().mean())
    assert figure.get_suptitle() == (
        f"storage: complete where ever seen; {share:.1f} % of the cells never seen; 2001-01-15"
    )
    assert f"{share:.1f}% of the cells never seen" in repr(record.isel(time=[0]).geoml)
    still = drawn(plot.gaps(record.isel(time=0, drop=True)))
    assert still.get_suptitle() == f"storage: {share:.1f} % missing"


def test_absent_steps_are_marked_where_they_are(record):
    panel = drawn(plot.gaps(record)).axes[0]
    spans = [p for p in panel.patches if hasattr(p, "get_width") and p.get_alpha()]
    from matplotlib.dates import num2date

    marked = [f"{num2date(p.get_x() + 0.5 * p.get_width()):%Y-%m}" for p in spans]
    assert marked == ["2002-09", "2004-09"] or marked == ["2002-09", "2004-10"]
    assert "absent steps (3)" in legend_of(panel.figure)


def test_the_map_tells_how_often_each_cell_is_observed(record):
    figure = drawn(plot.gaps(record))
    panel = figure.axes[1]
    shown = mesh_of(panel)
    count = record.notnull().sum("time")
    expected = (100 * count / 60).where(count > 0)
    np.testing.assert_allclose(shown, expected)
    assert np.isnan(shown[records.EMPTY_CELL["lat"], records.EMPTY_CELL["lon"]])
    assert figure.axes[-1].get_ylabel() == "steps observed (%)"
    assert panel.collections[0].get_clim() == (0.0, 100.0)


def test_filled_values_are_not_observed(record):
    full = record.to_dataset().geoml.fill_gaps("linear")
    figure = drawn(full.geoml.plot.gaps())
    before = drawn(plot.gaps(record))
    panel = figure.axes[0]
    np.testing.assert_allclose(
        heights(panel, "observed"), heights(before.axes[0], "observed"), atol=1e-4
    )
    assert heights(panel, "filled").min() > 99.9
    np.testing.assert_allclose(mesh_of(figure.axes[1]), mesh_of(before.axes[1]))
    assert "filled" in legend_of(figure)
    assert "absent" not in panel.get_title()


def test_other_dims_count_as_well(record):
    alone = heights(plot.gaps(record).axes[0], "observed")
    both = xr.concat([record, record.where(record.time.dt.year > 2003)], "level")
    share = heights(drawn(plot.gaps(both)).axes[0], "observed")
    np.testing.assert_allclose(share[:36], alone[:36] / 2)
    np.testing.assert_allclose(share[36:], alone[36:])


def test_levels_that_are_never_seen_do_not_count(record):
    deep = xr.concat([record, record * np.nan], "level")
    figure, expected = drawn(plot.gaps(deep)), plot.gaps(record)
    shares = (heights(f.axes[0], "observed") for f in (figure, expected))
    np.testing.assert_allclose(*shares)
    np.testing.assert_allclose(mesh_of(figure.axes[1]), mesh_of(expected.axes[1]))
    assert "51.2 % of the cells never seen" in " ".join(figure.axes[0].get_title().split())


def test_lazy_data_are_read_once(record):
    lazy, read = watched(record, lat=3, lon=4)
    figure = plot.gaps(lazy)
    assert len(read) == len(set(read)) == 4
    np.testing.assert_allclose(mesh_of(figure.axes[1]), mesh_of(plot.gaps(record).axes[1]))


def test_stations_are_rows():
    stations = records.stations()
    figure = drawn(stations.geoml.plot.gaps())
    panel = figure.axes[0]
    states = mesh_of(panel)
    assert states.shape == (42, 60)
    kept = np.setdiff1d(np.arange(60), records.ABSENT_STEPS)
    np.testing.assert_array_equal(states[:, kept] == 0, stations.notnull())
    assert (states[:, list(records.ABSENT_STEPS)] == 3).all()
    assert {"observed", "missing", "absent step"} == set(legend_of(figure))
    assert panel.get_ylabel() == "station"
    assert panel.get_yticklabels()[0].get_text() == "st00"
    # The first station is uppermost.
    assert panel.get_ylim()[0] > panel.get_ylim()[1]
    assert overlapping(figure) == []


def test_filled_stations_and_a_single_series():
    full = records.stations()[:8].geoml.fill_gaps("linear")
    states = mesh_of(drawn(plot.gaps(full)).axes[0])
    assert (states == 1).sum() == (full.storage_fill_flag == 1).sum()
    one = mesh_of(drawn(plot.gaps(records.stations()[0])).axes[0])
    assert one.shape == (1, 60)


def test_seismograms_lack_samples_and_no_steps():
    ds = xgeoml.datasets.wavefield(stations=3, samples=256, source_samples=64)
    ds["record"][1, 40:60] = np.nan
    figure = drawn(ds.geoml.plot.gaps("record"))
    states = mesh_of(figure.axes[0])
    assert (states == 2).sum() == 20
    assert (states[1, 40:60] == 2).all()
    assert figure.axes[0].get_xlabel() == "time (s)"
    assert legend_of(figure) == ["observed", "missing"]


def test_one_missing_sample_of_many_is_shown():
    values = np.zeros((2, 9000))
    values[1, 4321] = np.nan
    time = ("time", 0.01 * np.arange(9000), {"units": "s"})
    states = mesh_of(plot.gaps(xr.DataArray(values, {"time": time}, ("station", "time"))).axes[0])
    assert states.shape[1] <= 1500
    assert (states == 2).sum() == 1


def test_a_field_without_time(record):
    (panel, _) = drawn(plot.gaps(record.isel(time=0, drop=True))).axes
    np.testing.assert_array_equal(np.isnan(mesh_of(panel)), record.isel(time=0).isnull())


def test_other_calendars_and_a_global_record(record):
    pytest.importorskip("cftime")
    other = record.convert_calendar("noleap", use_cftime=True)
    figure = drawn(plot.gaps(other))
    assert "3 of 60 monthly steps absent" in figure.axes[0].get_title()
    assert figure.axes[0].get_xlabel() == "calendar noleap"
    drawn(plot.gaps(records.around()))


def test_what_cannot_be_drawn_is_refused(record):
    with pytest.raises(AxisError, match="type dims="):
        plot.gaps(xr.DataArray(np.zeros((2, 3)), dims=("a", "b")))
    with pytest.raises(InputError, match="is not in the Dataset: found"):
        plot.gaps(record.to_dataset(), "rain")
    with pytest.raises(InputError, match="a DataArray is one variable"):
        plot.gaps(record, "storage")
    with pytest.raises(InputError, match="needs a variable of numbers"):
        plot.gaps(xr.Dataset())
    with pytest.raises(InputError, match=r"group='a' goes with a DataTree"):
        plot.gaps(record, group="a")
    with pytest.raises(InputError, match=r"cmap='virids' is no colour map.*'viridis'"):
        plot.gaps(record, cmap="virids")
    with pytest.raises(AxisError, match="names 'day'"):
        plot.gaps(record, dims={"T": "day"})
    assert titles(plot.gaps(record, cmap="cividis"))
