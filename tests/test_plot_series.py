"""Pictures of series at a place."""

import numpy as np
import pytest
import xarray as xr
from toy_pictures import drawn, legend_of, overlapping, titles, watched

from xgeoml import plot
from xgeoml.exceptions import AxisError, InputError
from xgeoml.testing import records

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def full():
    return records.record().to_dataset().geoml.fill_gaps("linear", spread=True)


def line_of(panel, label):
    return next(line for line in panel.lines if line.get_label() == label)


def test_what_is_filled_is_told_apart(full):
    figure = drawn(full.geoml.plot.series(at={"lat": -18.2, "lon": 303}))
    (panel,) = figure.axes
    cell = full.sel(lat=-18.0, lon=303.0)
    filled = cell.storage_fill_flag.values == 1
    np.testing.assert_array_equal(
        line_of(panel, "filled").get_ydata(), cell.storage.values[filled].astype(float)
    )
    np.testing.assert_array_equal(
        line_of(panel, "observed").get_ydata(), cell.storage.values[~filled].astype(float)
    )
    assert panel.get_title() == "18° S, 57° W"
    assert panel.get_ylabel() == "stored water (cm)"
    assert legend_of(figure) == ["90 % interval", "observed", "filled"]
    assert overlapping(figure) == []


def test_the_band_is_the_90_percent_interval_of_filled_steps(full):
    (panel,) = drawn(plot.series(full, at={"lat": -18, "lon": 303})).axes
    cell = full.sel(lat=-18.0, lon=303.0)
    corners = panel.collections[0].get_paths()[0].vertices
    top = corners[:, 1].max()
    expected = (cell.storage + 1.645 * cell.storage_spread.fillna(0.0)).max()
    assert top == pytest.approx(float(expected))
    known = np.flatnonzero(cell.storage_spread.isnull())
    place = line_of(panel, "observed").get_xdata()[0]
    at = corners[np.isclose(corners[:, 0], place), 1]
    np.testing.assert_allclose(at, float(cell.storage[known[0]]), rtol=1e-6)


def test_dates_run_along_the_axis(full):
    from matplotlib.dates import date2num

    (panel,) = drawn(plot.series(full, at={"lat": -18, "lon": 303})).axes
    np.testing.assert_allclose(panel.lines[0].get_xdata(), date2num(full.time.values))
    ticks = [t.get_text() for t in panel.get_xticklabels()]
    assert {"2002", "2003", "2004"} <= set(ticks)


def test_places_by_other_names_and_conventions(full):
    def title(**at):
        return titles(plot.series(full, at=at))[0]

    assert title(latitude=-18, longitude=-57) == "18° S, 57° W"
    assert title(lat=-18, lon=303) == title(lat=-18, lon=-57)
    # Only a latitude: the longitude is that with most filled values, nearest to the middle.
    assert title(lat=-16).startswith("16° S, ")


def test_places_as_sel_takes_them(full):
    same = titles(plot.series(full, at={"lat": -18, "lon": 303}))
    assert titles(full.geoml.plot.series(lat=-18, lon=-57)) == same
    assert titles(plot.series(full, latitude=[-18], longitude=[303])) == same
    several = titles(full.geoml.plot.series("storage", lat=[-18, -16], lon=303))
    assert several == ["18° S, 57° W", "16° S, 57° W"]
    assert titles(records.stations().geoml.plot.series(station="st07")) == ["station st07"]
    with pytest.raises(InputError, match=r"lat=-18: expected a place in one of the two ways"):
        plot.series(full, at="mean", lat=-18)
    with pytest.raises(InputError, match="'varable', which 'storage' has not"):
        plot.series(full, varable="storage")


def test_nothing_but_missing_values(full):
    (panel,) = drawn(plot.series(full.storage * np.nan, at={"lat": -18, "lon": 303})).axes
    assert panel.get_title() == "18° S, 57° W: no value at all"
    ticks = [t.get_text() for t in panel.get_xticklabels()]
    assert {"2002", "2003", "2004"} <= set(ticks)


def test_one_step(full):
    (panel,) = drawn(plot.series(full.isel(time=[3]), lat=-18, lon=303)).axes
    assert [t.get_text() for t in panel.get_xticklabels()] == ["2001-04-15"]


def test_several_places_have_a_panel_each(full):
    figure = drawn(plot.series(full, at={"lat": [-18, -16], "lon": [301, 304]}))
    assert titles(figure) == ["18° S, 59° W", "16° S, 56° W"]
    figure = plot.series(full, at={"lat": [-18, -16], "lon": 301})
    assert titles(figure) == ["18° S, 59° W", "16° S, 59° W"]
    assert overlapping(drawn(figure)) == []


def test_the_default_place_was_filled_most(full):
    (panel,) = plot.series(full).axes
    filled = (full.storage_fill_flag == 1).sum("time")
    shown = len(line_of(panel, "filled").get_ydata())
    assert shown >= 0.9 * int(filled.max())


def test_the_mean_over_the_area(full):
    figure = drawn(plot.series(full, at="mean"))
    (panel,) = figure.axes
    area = np.cos(np.deg2rad(full.lat))
    expected = full.storage.astype(float).weighted(area).mean(("lat", "lon"))
    np.testing.assert_allclose(panel.lines[0].get_ydata(), expected, rtol=1e-5)
    assert titles(figure) == ["mean over 41 cells"]
    assert "90 % interval" not in legend_of(figure)
    absent = len(records.ABSENT_STEPS) + len(records.MISSING_STEPS)
    assert len(line_of(panel, "filled").get_ydata()) == absent


def test_lazy_data_are_read_where_they_are_drawn(full):
    lazy, read = watched(full.storage, lat=2, lon=3)
    plot.series(lazy, at={"lat": -18, "lon": 303})
    assert set(read) == {(0, 1, 1)}
    read.clear()
    plot.series(lazy)
    assert len(set(read)) == 1, "the chunk in the middle"
    read.clear()
    plot.series(lazy.where(lazy.lat < -18), at=None)
    assert len(set(read)) > 1, "nothing is known in that chunk"


def test_stations_by_name_and_by_place():
    stations = records.stations()
    assert titles(drawn(plot.series(stations, at={"station": "st07"}))) == ["station st07"]
    assert titles(plot.series(stations, at={"lat": -18, "lon": 303})) == ["station st17"]
    same = plot.series(stations.drop_vars("station"), at={"station": -1})
    assert titles(same) == ["station 41"]
    assert titles(plot.series(stations, at="mean")) == ["mean over 41 places"]


def test_cells_of_a_curvilinear_grid():
    turned = records.curvilinear()
    cell = turned.isel(y=2, x=3)
    at = {"lat": float(cell.lat) + 0.1, "lon": float(cell.lon) - 360.0}
    (panel,) = drawn(plot.series(turned, at=at)).axes
    np.testing.assert_array_equal(panel.lines[0].get_ydata(), cell.values.astype(float))
    with pytest.raises(InputError, match="expected latitude and longitude both"):
        plot.series(turned, at={"lat": -17.0})


def test_members_are_thin_lines(full):
    several = xr.concat([full.storage, full.storage + 2.0], "member")
    (panel,) = drawn(plot.series(several, at={"lat": -18, "lon": 303})).axes
    cell = full.storage.sel(lat=-18.0, lon=303.0)
    np.testing.assert_allclose(line_of(panel, "mean of the members").get_ydata(), cell + 1.0)
    np.testing.assert_allclose(panel.lines[1].get_ydata(), cell + 2.0, rtol=1e-6)


def test_samples_without_a_clock_are_counted():
    (panel,) = drawn(plot.series(xr.DataArray(np.arange(5.0), dims="time", name="a"))).axes
    assert panel.get_xlabel() == "time"
    np.testing.assert_array_equal(panel.lines[0].get_xdata(), np.arange(5))


@pytest.mark.parametrize(
    ("at", "told"),
    [
        ({"lat": 30, "lon": 303}, r"at=\{'lat': 30\} lies outside of the grid; .* -20 to -15"),
        ({"height": 3}, "'height', which 'storage' has not; expected such as"),
        ({"time": 3}, "along which the series is drawn"),
        ({"lat": "north"}, "expected a number"),
        ({"lat": [-18, -17], "lon": [1, 2, 3]}, "expected values of one number"),
        ({"lat": list(range(-20, -11))}, "expected 8 or fewer"),
        ({"lat": []}, "expected a value, or a list"),
        ("everywhere", "or 'mean'"),
    ],
)
def test_places_that_are_none(full, at, told):
    with pytest.raises(InputError, match=told):
        plot.series(full, at=at)


def test_stations_that_are_none():
    stations = records.stations()
    with pytest.raises(InputError, match=r"expected such as .*'st41'"):
        plot.series(stations, at={"station": "st4l"})
    with pytest.raises(InputError, match="has no coordinate; expected a position, 0 to 41"):
        plot.series(stations.drop_vars("station"), at={"station": 42})
    with pytest.raises(AxisError, match="a series needs a T axis"):
        plot.series(xr.DataArray([1.0], dims="station"))
