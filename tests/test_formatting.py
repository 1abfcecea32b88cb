"""The text repr of ``.geoml``: facts, problems, and calls that can be typed as they stand."""

import itertools
import sys

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from test_accessor import kinds, waves

import xgeoml
from xgeoml.tasks import overview as facts
from xgeoml.tasks.overview_gaps import IN_FILE, _runs

DAYS = pd.date_range("2001-01-01", periods=30)


def never(*_, **__):
    raise AssertionError("computed")


def days(seed=0, **coords):
    """Return thirty days of a map with a hole, and a cell that is never seen."""
    values = np.random.default_rng(seed).random((30, 4, 5)).astype(np.float32)
    values[3:6, 1:3, 1:3] = np.nan
    values[:, 0, 0] = np.nan
    coords = {"time": DAYS, "lat": 10.0 + np.arange(4), "lon": 20.0 + np.arange(5), **coords}
    return xr.DataArray(values, coords, ("time", "lat", "lon"), "sst", {"units": "K"})


def calls_of(obj, path=""):
    text = repr(obj.geoml).partition("  next:\n")[2]
    return [line.strip() for line in text.splitlines() if line.startswith("    ")]


def test_what_was_found(record):
    text = repr(record.geoml)
    for told in (
        "<xgeoml on a Dataset>",
        "T: time (60), CF axis attribute, 2002-04 to ",
        "Y: lat (4), CF axis attribute, -18.5 to -15.5 degrees_north",
        "Z: n/a",
        "4 x 5 cells, 1 x 1 deg, regular, about 111 x 107 km, regional, latitude ascending",
        "monthly, proleptic_gregorian calendar, 3 of 63 steps absent",
        "lwe_thickness [cm]: ",
        "3 steps absent, longest run 2",
        "classical: oi (auto), climatology",
        "networks, weights here: grace_tf",
        "    .geoml.fill_gaps()\n",
        '    .geoml.evaluate("fill_gaps")\n',
    ):
        assert told in text
    assert max(map(len, text.splitlines())) <= 100
    for kind, obj in kinds(record).items():
        assert repr(obj.geoml).startswith(f"<xgeoml on a {kind}>")


def test_the_strip_is_as_high_as_what_is_seen():
    made = days()
    made[10:12] = np.nan
    text = repr(made.drop_isel(time=[20, 21]).geoml)
    strip = next(line for line in text.splitlines() if line.strip().startswith("|"))
    assert strip.strip() == "|███▆▆▆████  ████████··████████|"


def test_a_long_record_has_a_strip_of_one_line():
    many = (
        days().isel(time=[*range(30)] * 20).assign_coords(time=pd.date_range("2001", periods=600))
    )
    strip = next(line for line in repr(many.geoml).splitlines() if line.strip().startswith("|"))
    assert len(strip.strip()) == 62


def test_the_kinds_of_gaps_are_told_apart():
    made = days()
    made[10:12] = np.nan
    text = " ".join(repr(made.drop_isel(time=[12]).geoml).split())
    assert "12.1% missing where ever seen; 1 step absent, 2 steps empty, longest run 3; " in text
    assert "of the rest scattered (clouds), typically for 3 steps and over 2 x 2 cells; " in text
    assert "; 5.0% of the cells never seen (land, edges)" in text
    whole = days().fillna(0.0)
    whole[:, 0, 0] = np.nan
    assert "sst [K]: complete where ever seen; 5.0% of the cells never seen" in repr(whole.geoml)
    assert "series never seen" in repr(made.rename(lat="a", lon="b").drop_vars(["a", "b"]).geoml)


@pytest.mark.parametrize(
    ("obj", "told"),
    [
        (days().isel(lat=slice(1, None)).fillna(1), "sst [K]: complete"),
        (days() * np.nan, "no value at all"),
        (days().isel(time=0, drop=True), "5.0% missing"),
        (days().chunk(), "lazy: not read"),
        (days().chunk().drop_isel(time=4), "lazy: not read; 1 step absent"),
        (days().astype("f2"), "scattered"),
        ((days().fillna(-9) * 10).astype(int).assign_attrs(_FillValue=-90), "scattered"),
    ],
    ids=["complete", "nothing", "no time", "lazy", "lazy and absent", "float16", "fill value"],
)
def test_gaps_in_a_few_words(obj, told):
    with xr.set_options(keep_attrs=True):
        assert told in repr(obj.geoml)


def test_lazy_data_are_not_computed(record):
    lazy = record.chunk(lat=2)
    plane = (
        days()
        .chunk()
        .assign_coords(
            lat2=(("lat", "lon"), np.zeros((4, 5))), lon2=(("lat", "lon"), np.ones((4, 5)))
        )
    )
    with dask.config.set(scheduler=never):
        for obj in (lazy, lazy.lwe_thickness, xr.DataTree(lazy), plane, plane.chunk().to_dataset()):
            assert "not read" in repr(obj.geoml)
            assert "not read" in obj.geoml._repr_html_()


def test_a_file_is_looked_into_but_not_kept(record, tmp_path, monkeypatch):
    path = tmp_path / "record.nc"
    record.to_netcdf(path)
    with xr.open_dataset(path) as opened:
        assert "3 steps absent" in repr(opened.geoml)
        assert not opened.lwe_thickness.variable._in_memory
        monkeypatch.setattr("xgeoml.tasks.overview_gaps.IN_FILE", 100)
        assert IN_FILE > opened.lwe_thickness.size > 100
        assert "not in memory (0 MB): not read, .load() it to see" in repr(opened.geoml)


def test_of_large_data_a_part_is_looked_at(monkeypatch):
    made = days()
    made[10:12] = np.nan
    whole = repr(made.geoml)
    monkeypatch.setattr("xgeoml.tasks.overview_gaps.SAMPLE", 2000)
    monkeypatch.setattr("xgeoml.tasks.overview_gaps._PIECE", 9)
    part = repr(made.expand_dims(member=10).geoml)
    assert "about" not in whole.partition("gaps:")[2]
    assert "sst [K]: about " in part
    assert "about 2 steps empty, longest run 2" in part


def test_the_repr_of_seismograms():
    text = repr(xgeoml.datasets.wavefield(stations=2).geoml)
    assert "512 samples along 'time', one every 0.1 s (10 Hz), length 51.1 s\n" in text
    assert "classical: iterative, landweber, nnls, water_level, wiener\n" in text
    assert "networks, weights here: eq_tf (auto)\n" in text
    assert "problem" not in text
    assert '    .geoml.invert_waveform(greens="greens", dim="station")\n' in text
    dates = waves(pd.date_range("2001-01-01T02:03:04.5", periods=50, freq="10ms"))
    assert "one every 0.01 s (100 Hz), length 0.49 s, first 2001-01-01T02:03:04" in repr(
        dates.geoml
    ).replace("\n   ", "")
    broken = waves(0.1 * np.arange(50), "s").where(lambda w: w.time > 1)
    assert 'gaps="window")' in repr(broken.geoml)
    assert ".geoml.plot.gaps()" in repr(broken.geoml)


@pytest.mark.parametrize(
    ("obj", "told"),
    [
        (xr.Dataset(), "T: n/a"),
        (xr.DataTree.from_dict({"/": xr.Dataset()}), "no data variables"),
        (xr.DataArray([[1.0]], dims=("a", "b")), "other dims: a (1), b (1)"),
        (xr.DataArray([1.0, 2.0], dims="time"), "no coordinate"),
        (xr.DataArray([1.0], {"time": [3]}, ["time"]), "expected datetime64"),
        (days()[[0, 2, 1]], "not in order"),
        (days()[[0, 0, 1]], "duplicate"),
        (days(time=DAYS.where(DAYS.day != 3)), "no date at 1 of 30 steps"),
        (days().rename(lat="latitude").rename(lon="lat"), "two dimensions could be the Y axis"),
        (days()[[0, 4, 10, 27]], "irregular"),
        (xr.DataArray(1.0), "unnamed: complete"),
        (xr.DataArray(np.nan), "no value at all"),
        (xr.DataArray("text"), "T: n/a"),
        (xr.DataArray(np.zeros((0, 2)), dims=("time", "x")), "time (0)"),
        (xr.DataArray([1j], dims="x"), "X: x (1)"),
        (xr.DataArray([1.0], dims=(3,)), "expected text"),
        (xr.DataArray([1.0], dims="x", name=("a", 1)), "('a', 1): complete"),
    ],
)
def test_the_repr_never_fails(obj, told):
    assert told in repr(obj.geoml).replace("\n   ", "")
    assert obj.geoml._repr_html_().endswith("</div>")


@pytest.mark.parametrize("calendar", ["noleap", "360_day", "julian"])
def test_calendars(calendar):
    months = xr.date_range("2000-01-16", periods=24, freq="MS", calendar=calendar, use_cftime=True)
    made = xr.DataArray(np.ones((24, 2)), {"time": months}, ("time", "basin")).drop_isel(time=5)
    assert f"monthly, {calendar} calendar, 1 of 24 steps absent" in repr(made.geoml)
    assert "2000-02 to 2002-01" in repr(made.geoml)


def test_curvilinear_global_and_bare_grids():
    plane = np.meshgrid(np.arange(5.0), 40 + np.arange(4.0))
    bent = days().drop_vars(["lat", "lon"]).rename(lat="y", lon="x")
    assert "4 x 5 cells, no coordinates" in repr(bent.geoml)
    bent = bent.assign_coords(lon=(("y", "x"), plane[0]), lat=(("y", "x"), plane[1]))
    assert "4 x 5 cells, curvilinear, regional, latitude ascending" in repr(bent.geoml)
    turned = bent.isel(y=slice(None, None, -1))
    assert "curvilinear, regional, latitude descending" in repr(turned.geoml)
    assert "index dimension of 2-D latitude and longitude, 40 to 43" in repr(bent.geoml)
    around = days(lon=np.arange(0, 360, 72.0), lat=[30.0, 10, -10, -30])
    assert "global, latitude descending, longitude 0 to 360" in repr(around.geoml).replace(
        "\n   ", ""
    )
    assert "5 cells, irregular" in repr(days(lon=[20.0, 21, 23, 24, 25]).geoml)


def test_long_lists_are_cut():
    many = xr.Dataset({f"v{i}": days(i).rename(None) for i in range(20)})
    text = repr(many.geoml)
    assert "    v7: " in text.replace(" [K]", "")
    assert "    v8: " not in text.replace(" [K]", "")
    assert "    and 12 more\n" in text
    tree = xr.DataTree.from_dict({f"/g{i}": days(i).to_dataset() for i in range(10)})
    assert repr(tree.geoml).endswith("\nand 2 more groups")
    assert repr(tree.geoml).count("models: as above") == facts.GROUPS - 1


def test_texts_of_strangers_stay_in_their_line():
    odd = days().rename("a\nb\x1b[31m").assign_attrs(units="K\r" + 500 * "x")
    odd["lat"].attrs["units"] = "\x1b[2Jnorth"
    text = repr(odd.geoml)
    assert not {"\x1b", "\r"} & set(text)
    assert "\nb" not in text
    assert max(map(len, text.splitlines())) < 400


def test_calls_are_those_that_make_sense():
    whole = days().isel(lat=slice(1, None)).fillna(1)
    assert not any("fill_gaps" in call for call in calls_of(whole))
    assert '.geoml.interp_time(freq="6h")' in calls_of(whole)
    both = xr.Dataset({"rain": whole, "sst": days().isel(lat=slice(1, None))})
    assert '.geoml.fill_gaps(covariates="rain")' in calls_of(both)
    assert '.geoml.plot.gaps(variable="sst")' in calls_of(both)
    other = both.assign(depth=whole.isel(lon=0).drop_vars("lon"))
    assert '.geoml.fill_gaps(variables="sst", covariates="rain")' in calls_of(other)
    assert calls_of(days()[[0, 2, 1]])[0] == ".geoml.downscale(factor=4)", "time is not in order"
    assert calls_of(xr.DataArray(1.0)) == []
    tree = xr.DataTree.from_dict({"/a/b": days().to_dataset()})
    assert calls_of(tree)[0] == '["/a/b"].geoml.fill_gaps()'


def test_calls_run_as_they_stand(record):
    rain = record.lwe_thickness.fillna(0) * 2
    wave = xgeoml.datasets.wavefield(stations=2, samples=256)
    hourly = xgeoml.datasets.hourly_temperature(hours=24, nlat=4, nlon=4)
    for obj in (
        record,
        xr.Dataset({"rain": rain, "lwe": record.lwe_thickness.where(rain != 0)}).isel(
            time=slice(0, 30)
        ),
        xr.DataTree.from_dict({"/a": record}),
        wave,
        hourly,
    ):
        calls = [c for c in calls_of(obj) if ".plan(" in c]
        assert calls
        for call in calls:
            assert repr(eval(f"obj{call}")).startswith("<xgeoml plan: ")


def test_no_torch_is_imported_for_it(record, monkeypatch):
    hidden = [name for name in sys.modules if name.partition(".")[0] == "torch"]
    for name in hidden:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "grace_tf" in repr(record.geoml)


@pytest.mark.parametrize("shape", [(5,), (3, 4, 7), (2, 1), (4, 0), (0, 3), (1, 1)])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_how_many_in_a_row_there_are(shape, share):
    lost = np.random.default_rng(0).random(shape) < share
    lengths = iter(_runs(lost).tolist())
    for row in lost.reshape(-1, shape[-1]) if lost.size else []:
        for there, cells in itertools.groupby(row.tolist()):
            count = len(list(cells))
            assert not there or [next(lengths) for _ in range(count)] == [count] * count
    assert list(lengths) == []


def test_a_variable_that_is_called_by_a_number():
    assert "  3 [K]" in repr(days().to_dataset(name=3).geoml)


def test_dates_of_a_time_zone():
    text = repr(days(time=DAYS.tz_localize("Asia/Tokyo")).geoml)
    assert "2001-01-01 00:00:00 to 2001-01-30 00:00:00" in text
    assert "of the time zone Asia/Tokyo; expected dates" in text


def test_lazy_coordinates_are_not_computed():
    places = {"lat": ("y", 10.0 + np.arange(4)), "lon": ("x", 20.0 + np.arange(5))}
    obj = days().drop_vars(["lat", "lon"]).rename(lat="y", lon="x").assign_coords(places)
    stamps = days().swap_dims(time="step").reset_coords("time").set_coords("time").sst
    with dask.config.set(scheduler=never):
        assert "4 x 5 cells" in repr(obj.chunk().geoml)
        assert "lazy: not read" in repr(stamps.chunk().geoml)


def test_a_curved_grid_without_cells():
    plane = {"lat": (("y", "x"), np.zeros((0, 5))), "lon": (("y", "x"), np.zeros((0, 5)))}
    obj = xr.DataArray(np.zeros((30, 0, 5)), plane, ("time", "y", "x"))
    assert "0 x 5 cells" in repr(obj.geoml)
