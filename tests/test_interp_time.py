"""Fields at other times: which, from which neighbours, lazily, in which numbers."""

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from toy_in_time import Refuses, interp, look, record, spec

from xgeoml.exceptions import ExecutionError, InputError, SpecError

CHUNKS = [
    {"time": 1},
    {"time": -1, "lat": 1, "lon": 2},
    {"time": 7, "lat": 2},
    {"time": (3, 20, 7)},
    {"time": 8},
]


@pytest.fixture
def data():
    return record()


@pytest.fixture
def holes(data):
    """Return the record with single values, a step, and the ends of a cell missing."""
    data[5, 1, 1] = data[6, 1, 1] = data[9, 0, 2] = np.nan
    data[17] = np.nan
    data[:4, 2, 3] = data[25:, 2, 3] = np.nan
    return data


def test_linear_is_that_of_xarray(data):
    hours = interp(data, "1h")
    assert hours.sizes["time"] == 6 * 29 + 1
    expected = data.astype(np.float64).interp(time=hours.time)
    np.testing.assert_allclose(hours, expected, rtol=1e-6)
    np.testing.assert_array_equal(np.diff(hours.time), np.timedelta64(1, "h"))


@pytest.mark.parametrize("model", ["linear", "cubic", "akima"])
def test_given_steps_come_back_bit_for_bit(holes, model):
    holes[3, 0, 0] = np.inf
    holes[4, 0, 0] = -0.0
    made = interp(holes, "1h", model).sel(time=holes.time)
    assert made.values.tobytes() == holes.values.tobytes()
    assert made.dtype == np.float32


def test_models_say_something_of_their_own(data):
    made = {m: interp(data, "1h", m) for m in ("linear", "cubic", "akima")}
    assert float(np.abs(made["cubic"] - made["linear"]).max()) > 0.1
    assert float(np.abs(made["akima"] - made["cubic"]).max()) > 0.1


def test_auto_is_temdeep_on_grids_and_a_curve_elsewhere(data):
    assert interp(data, "1h", "auto").equals(interp(data, "1h", "temdeep"))
    series = data[:, 0, 0]
    assert interp(series, "1h", "auto").equals(interp(series, "1h", "akima"))
    assert "temdeep@" in str(data.geoml.plan("interp_time", freq="1h"))
    assert "akima@" in str(series.geoml.plan("interp_time", freq="1h"))


def test_frequency_factor_and_times_name_the_same_times(data):
    hours = interp(data, "1h")
    for again in (
        interp(data, factor=6),
        interp(data, times=hours.time),
        interp(data, times=hours.time.values),
        interp(data, times=hours.indexes["time"]),
        interp(data, times=[str(t) for t in hours.time.values]),
        interp(data, pd.Timedelta("1h")),
        interp(data, np.timedelta64(60, "m")),
    ):
        assert again.time.equals(hours.time)
        assert again.values.tobytes() == hours.values.tobytes()


def test_some_times_are_those_of_many(data):
    hours = interp(data, "1h", "cubic")
    few = hours.time[[0, 7, 8, 60, 120, 174]]
    assert interp(data, times=few, model="cubic").equals(hours.sel(time=few))


def test_a_longer_step_picks(data):
    days = interp(data, "1D")
    assert days.equals(data.isel(time=slice(None, None, 4)))
    assert interp(data, "9h").sizes["time"] == 20


def test_an_axis_that_is_not_even(data):
    uneven = data.isel(time=[0, 1, 4, 5, 9, 20, 29])
    hours = interp(uneven, "1h")
    np.testing.assert_allclose(hours, uneven.astype(np.float64).interp(time=hours.time), rtol=1e-6)
    parts = interp(uneven, factor=3)
    assert parts.sizes["time"] == 3 * 6 + 1
    assert parts.sel(time=uneven.time).equals(uneven)
    lengths = np.diff(parts.time).reshape(6, 3)
    np.testing.assert_array_equal(lengths, lengths[:, :1].repeat(3, 1))


def test_missing_values_are_bridged_between_a_cells_own_neighbours(holes):
    made = interp(holes, "1h")
    expected = holes.astype(np.float64).interpolate_na("time").interp(time=made.time)
    between = ~made.time.isin(holes.time)
    np.testing.assert_allclose(made[between], expected[between], rtol=1e-6)
    beyond = made.sel(lat=30, lon=30)
    assert beyond.sel(time=slice(None, "2001-01-01T23:00")).isnull().all()
    assert beyond.sel(time=slice("2001-01-07T01:00", None)).isnull().all()


def test_a_gap_is_bridged_wherever_it_lies_or_nowhere(data):
    """A model of 2 steps around bridges 2 missing ones, at the edges of passes too."""
    around = look("lost")
    for n, bridged in ((1, True), (2, True), (3, False), (5, False)):
        for first in range(1, 30 - n - 1):
            gap = data.copy()
            gap[first : first + n, 0, 0] = np.nan
            made = interp(gap, "3h", around)[:, 0, 0]
            inside = slice(data.time[first - 1].values, data.time[first + n].values)
            between = made.sel(time=inside)[1::2]
            assert bool(between.notnull().all()) == bridged
            assert bool(between.notnull().any()) == bridged
            assert int(made.isnull().sum()) == n + (0 if bridged else n + 1)


def test_the_longest_gap_that_is_bridged(data):
    data[5] = data[10:12] = data[20:23] = np.nan
    made = interp(data, "1h")
    steps = [interp(data, "1h", max_gap=n) for n in (1, 2, 3)]
    lost = [int(m[:, 0, 0].isnull().sum()) for m in (made, *steps)]
    # A gap of n steps has n + 1 intervals of 5 times, and n steps.
    assert lost == [6, 6 + 3 * 5 + 4 * 5, 6 + 4 * 5, 6]
    lengths = [interp(data, "1h", max_gap=g) for g in ("11h", "12h", "18h", "24h", "1D")]
    lost = [int(m[:, 0, 0].isnull().sum()) for m in lengths]
    assert lost == [6 + 9 * 5, 6 + 7 * 5, 6 + 4 * 5, 6, 6]
    uneven = data.isel(time=[0, 1, 8, 9])  # of absent steps only the time tells
    assert int(interp(uneven, "1h", max_gap=1)[:, 0, 0].isnull().sum()) == 0
    assert int(interp(uneven, "1h", max_gap="41h")[:, 0, 0].isnull().sum()) == 7 * 6 - 1
    assert int(interp(uneven, "1h", max_gap="42h")[:, 0, 0].isnull().sum()) == 0


@pytest.mark.parametrize("max_gap", [0, "soon", -1, 1.5, True])
def test_a_gap_that_is_none(data, max_gap):
    with pytest.raises(InputError, match="max_gap"):
        interp(data, "1h", max_gap=max_gap)


def test_infinite_values_are_no_neighbours(data):
    data[7, 1, 1] = np.inf
    missing = data.copy()
    missing[7, 1, 1] = np.nan
    made, expected = interp(data, "1h"), interp(missing, "1h")
    between = ~made.time.isin(data.time)
    assert made[between].equals(expected[between])
    with pytest.raises(InputError, match="the data hold 1e"):
        interp(data.where(data < 1e30, 0.0).astype(np.float64) + 1e80, "1h")


@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
@pytest.mark.parametrize("model", ["akima", look("lost", whole=True)], ids=["cells", "fields"])
def test_lazy_data_stay_lazy_and_have_the_same_bits(holes, model, chunks):
    expected = interp(holes, "1h", model)
    with dask.config.set(scheduler=Refuses()):
        lazy = interp(holes.chunk(chunks), "1h", model)
    assert lazy.chunks is not None
    assert lazy.compute().identical(expected.assign_attrs(lazy.attrs))
    uneven = holes.isel(time=[0, 1, 2, 5, 6, 11, 12, 13, 20, 28, 29])
    lazy = interp(uneven.chunk(time=3, lat=1), factor=4, model=model).compute()
    assert lazy.values.tobytes() == interp(uneven, factor=4, model=model).values.tobytes()


def test_chunks_along_time_are_even(data, monkeypatch):
    from xgeoml.engine import in_time_run

    monkeypatch.setattr(in_time_run, "CHUNK_ELEMENTS", 1000)
    lazy = interp(data.chunk(time=5), "1h", look("steps"))
    assert lazy.chunks[0] == (48, 48, 48, 31)
    lazy = interp(data.isel(time=[*range(10), 20, 29]).chunk(time=5), "1h", look("steps"))
    assert len(set(lazy.chunks[0][:-1])) == 1
    assert lazy.chunks[0][-1] <= lazy.chunks[0][0]
    few = interp(data.chunk(time=5), times=data.time[[0, 25]])
    assert few.chunks[0] == (2,)
    assert few.compute().equals(data[[0, 25]])
    long = record(301).chunk(time=100)
    assert interp(long, "1h", look("steps")).chunks[0] == (48,) * 37 + (25,)


def test_the_graph_is_small():
    import pickle

    long = record(1000).chunk(time=10)
    lazy = interp(long, "1h", "akima")
    graph = dict(lazy.__dask_graph__())
    small = [v for k, v in graph.items() if not str(k).startswith("InTime")]
    assert len(pickle.dumps(small)) / len(small) < 2000


def test_numbers(data):
    whole = (data * 10).round().astype(np.int16)
    made = interp(whole, "1h")
    assert made.dtype == np.float64
    np.testing.assert_array_equal(made.sel(time=data.time), whole)
    half = interp(data.astype(np.float16), "1h")
    assert half.dtype == np.float32
    assert half.sel(time=data.time).equals(data.astype(np.float16).astype(np.float32))
    big = interp(data.astype(">f4"), "1h")
    assert big.dtype == np.dtype(np.float32)
    assert big.equals(interp(data, "1h"))
    coded = whole.assign_attrs(_FillValue=np.int16(-1))
    coded[3, 0, 0] = -1
    assert bool(interp(coded, "1h").sel(time=data.time)[3, 0, 0].isnull())
    with pytest.raises(InputError, match="has dtype bool"):
        interp(data > 280, "1h")


def test_any_dims_in_any_order(data):
    expected = interp(data, "1h", "cubic")
    levels = xr.concat([data, 2 * data], xr.DataArray([850, 500], dims="level"))
    for dims in (("lat", "level", "time", "lon"), ("lon", "lat", "level", "time")):
        made = interp(levels.transpose(*dims), "1h", "cubic")
        assert made.dims == dims
        np.testing.assert_array_equal(
            made.sel(level=850).transpose(*data.dims), expected, err_msg=str(dims)
        )
    stations = data.stack(station=("lat", "lon")).drop_vars(["station", "lat", "lon"])
    made = interp(stations, "1h", "cubic")
    assert made.dims == ("time", "station")
    np.testing.assert_array_equal(made.values.reshape(expected.shape), expected)
    profile = interp(data[:, :, 1].T, "1h", "cubic")
    assert profile.dims == ("lat", "time")
    np.testing.assert_array_equal(profile.T, expected[:, :, 1])
    np.testing.assert_array_equal(interp(data[:, 0, 0], "1h", "cubic"), expected[:, 0, 0])


def test_what_a_model_is_given(data):
    seen = interp(data, "3h", look("steps"))[1::2, 0, 0]
    # 8 intervals and 2 steps around are 13 steps: 3 fewer at the first, and at the last pass.
    np.testing.assert_array_equal(seen, [11] * 8 + [13] * 8 + [13] * 8 + [8] * 5)
    assert set(np.unique(interp(data, "3h", look("times"))[1::2])) == {8.0, 5.0}
    np.testing.assert_allclose(interp(data, "3h", look("theta"))[1::2], 0.5)
    days = interp(data, "3h", look("day"))[1::2, 0, 0]
    np.testing.assert_allclose(days, (days.time.dt.hour / 24), atol=1e-7)
    season = interp(data, "3h", look("season"))[1::2, 0, 0]
    hours = (season.time - np.datetime64("2001-01-01")) / np.timedelta64(365, "D")
    np.testing.assert_allclose(season, hours, atol=1e-7)
    before = interp(data, "3h", look("before"))[1::2, 0, 0]
    np.testing.assert_allclose(before, np.arange(29) % 4 / 4, atol=1e-7)


def test_a_model_of_whole_fields_is_given_the_grid_from_south_to_north(data):
    for name, coord in (("lat", data.lat), ("lon", data.lon)):
        expected = coord.broadcast_like(data[0]).transpose("lat", "lon")
        for turn in (1, -1):
            turned = data.isel(lat=slice(None, None, turn), lon=slice(None, None, turn))
            made = interp(turned, "3h", look(name, whole=True))[1]
            np.testing.assert_array_equal(made.sortby(["lat", "lon"]), expected)
    turned = data.isel(lat=slice(None, None, -1))
    rows = interp(turned, "3h", look("rows", whole=True))[1, :, 0]
    np.testing.assert_array_equal(rows.sortby("lat"), [0, 1, 2])
    columns = interp(data.isel(lon=slice(None, None, -1)), "3h", look("columns", whole=True))
    np.testing.assert_array_equal(columns[1, 0], [3, 2, 1, 0])
    bare = data.drop_vars(["lat", "lon"])
    assert bool(interp(bare, "3h", look("lat", whole=True))[1].isnull().all())
    around = data.pad(lon=(0, 32), mode="wrap").assign_coords(lon=np.arange(36) * 10.0)
    for obj, closed in ((data, 0.0), (around, 1.0)):
        assert float(interp(obj, "3h", look("around", whole=True))[1, 0, 0]) == closed
    station = data[:, 0, 0]
    assert float(interp(station, "3h", look("rows", whole=True))[1]) == 0.0
    plane = data.isel(lat=0).drop_vars("lon").rename(lon="station")
    assert interp(plane, "3h", look("columns", whole=True))[1].max() == 0.0


def test_stations_are_no_neighbours_and_have_a_place_of_their_own(data):
    stations = data.isel(lat=[0, 1, 2], lon=xr.DataArray([0, 1, 2], dims="lat"))
    stations = stations.drop_vars(["lat", "lon"]).rename(lat="station")
    where = {"lat": ("station", [47.0, 46.0, 0.5]), "lon": ("station", [8.0, 9.0, 350.0])}
    placed = stations.assign_coords(where)
    for obj in (placed, placed.T, placed.chunk(time=4, station=1)):
        for name, coord in where.items():
            made = interp(obj, "3h", look(name, whole=True)).transpose("time", "station")
            np.testing.assert_array_equal(made[1], coord[1])
        assert float(interp(obj, "3h", look("columns", whole=True)).isel(time=1).max()) == 0.0
    np.testing.assert_array_equal(
        interp(placed, "3h", look("other", whole=True)).drop_vars(["lat", "lon"])[1::2],
        stations[:-1],
    )
    one = placed.isel(station=1)
    assert one.lat.ndim == 0
    assert float(interp(one, "3h", look("lat", whole=True))[1]) == 46.0
    levels = placed.expand_dims(level=2)
    made = interp(levels, "3h", look("lon", whole=True))
    np.testing.assert_array_equal(made[:, 1], [where["lon"][1]] * 2)
    from xgeoml.tasks.points import place_of_points

    dim, place = place_of_points(placed, placed.geoml.axes, True)
    assert dim == "station"
    assert place.terrain.shape == (2, 1, 3)
    assert place.terrain[0, 0, 1] > 500
    assert place.terrain[1, 0, 2] == 0.0
    assert place_of_points(placed, placed.geoml.axes, False)[1].terrain is None
    assert place_of_points(stations, stations.geoml.axes, True) is None
    assert place_of_points(data, data.geoml.axes, True) is None


def test_the_height_of_the_land(data):
    alps = data.assign_coords(lat=[45.0, 46.0, 47.0], lon=[6.0, 7.0, 8.0, 9.0])
    knows = look("height", whole=True).replace(backend="numpy")
    assert float(interp(alps, "3h", knows)[1].notnull().sum()) == 0
    from xgeoml.tasks.interpolating import place_on
    from xgeoml.tasks.placing import Grid

    grid = Grid.of(alps, alps.geoml.axes)
    place = place_on(grid, True)
    assert place.terrain.shape == (2, 3, 4)
    assert float(place.terrain[0].max()) > 1000
    assert place_on(grid, False).terrain is None


def test_a_model_that_returns_something_else(data):
    with pytest.raises(ExecutionError, match=r"returned shape .* expected \(1, 8, 1, 12\)"):
        interp(data, "3h", spec("Wrong"))


def test_a_model_that_learns_is_fitted_first(data):
    with pytest.raises(SpecError, match=r"obj\.geoml\.fit\('learner'\)"):
        interp(data, "1h", spec("Learner", "learner"))


def test_input_is_kept_and_calls_repeat(holes):
    before = holes.copy(deep=True)
    first, second = interp(holes, "1h", "akima"), interp(holes, "1h", "akima")
    assert holes.identical(before)
    assert first.values.tobytes() == second.values.tobytes()


def test_options_of_the_model_are_checked(data):
    with pytest.raises(SpecError, match="'degree'"):
        interp(data, "1h", model_options={"degree": 2})
    made = interp(data, "3h", spec("Look"), model_options={"at": "components"})
    assert float(made[1, 0, 0]) == 1.0
