"""Models of interpolation in time that are fitted to a record, and the grid that they then know."""

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner
from toy_in_time import LEARNER, Learner, interp, record, spec

import xgeoml
from xgeoml import cli, registry
from xgeoml.engine.handle import ModelHandle
from xgeoml.exceptions import InputError, SpecError
from xgeoml.tasks.fit_models import fitted_task
from xgeoml.tasks.trained_place import TrainedPlace


@pytest.fixture
def data():
    return record(40, "1h", title="a record", institution="us")


def fit(obj, model=LEARNER, **options):
    return obj.geoml.fit(model, progress=False, **options)


@pytest.fixture
def own(data):
    return fit(data)


def test_what_was_learnt_is_used(data, own):
    coarse = data[::4]
    made = interp(coarse, "1h", own)
    line = interp(coarse, "1h", "linear")
    between = ~made.time.isin(coarse.time)
    expected = line + 0.5 * data.mean("time")
    np.testing.assert_allclose(made[between], expected[between], rtol=1e-5)
    assert made.sel(time=coarse.time).equals(coarse)
    lazy = interp(coarse.chunk(time=3, lat=2), "1h", own)
    assert lazy.chunks[1:] == ((3,), (4,))
    assert lazy.compute().equals(made)


def test_the_file_holds_state_and_grid(data, own):
    handle = ModelHandle(own.spec, str(own.path))
    _, state = handle.with_state()
    assert set(state) == {"mean", "number"}
    assert state["number"] == 40
    np.testing.assert_allclose(state["mean"][0], data.mean("time"), rtol=1e-6)
    arrays = handle.arrays()
    assert {n for n in arrays if ":" in n} == {"grid:about", "grid:y", "grid:x"}
    place = TrainedPlace.of(handle)
    assert place.sizes == (3, 4)
    assert place.variables == ("t2m",)
    np.testing.assert_array_equal(place.y, data.lat)
    again = TrainedPlace.on(None, (1, 5), ["a", "b"])
    assert set(again.arrays()) == {"grid:about", "grid:y", "grid:x"}
    assert TrainedPlace.of(ModelHandle(own.spec)) is None


def test_a_saved_model_is_the_same(data, own, tmp_path):
    path = own.save(tmp_path / "own.safetensors")
    expected = interp(data[::4], "1h", own)
    for model in (xgeoml.load(path), str(path), path):
        assert interp(data[::4], "1h", model).equals(expected)
    sha = interp(data[::4], "1h", path).attrs["history"]
    assert "t2m by learner@1.0, weights sha256" in sha


def test_it_knows_its_grid_in_any_order(data, own):
    expected = interp(data[::4], "1h", own)
    for turn in ({"lat": slice(None, None, -1)}, {"lon": slice(None, None, -1)}):
        made = interp(data[::4].isel(turn), "1h", own)
        assert made.isel(turn).equals(expected)
    learnt = fit(data.isel(lat=slice(None, None, -1)))
    np.testing.assert_array_equal(interp(data[::4], "1h", learnt), expected)
    west = data[::4].assign_coords(lon=data.lon - 360.0)
    np.testing.assert_array_equal(interp(west, "1h", own), expected)
    dims = interp(data[::4].transpose("lon", "time", "lat"), "1h", own)
    assert dims.transpose(*expected.dims).equals(expected)
    levels = data[::4].expand_dims(level=[1, 2])
    assert interp(levels, "1h", own).sel(level=2, drop=True).equals(expected)


def test_it_refuses_other_grids(data, own):
    with pytest.raises(InputError, match="a grid of 3 x 4 cells, 10 to 30 and 0 to 30; found"):
        interp(data[:, 1:], "1h", own)
    with pytest.raises(InputError, match="it knows its own grid only"):
        interp(data.assign_coords(lat=data.lat + 1.0), "1h", own)
    with pytest.raises(InputError, match="cells, unknown and unknown"):
        interp(data.drop_vars(["lat", "lon"]), "1h", own)


def test_curvilinear_grids_and_cells_without_coordinates(data):
    lat, lon = np.meshgrid(data.lat, data.lon, indexing="ij")
    lat = lat + 0.1 * lon
    lat[0, 0] = np.nan
    curved = data.drop_vars(["lat", "lon"]).rename(lat="y", lon="x")
    curved = curved.assign_coords(lat=(("y", "x"), lat), lon=(("y", "x"), lon))
    own = fit(curved)
    expected = interp(curved[::4], "1h", own)
    turned = {"y": slice(None, None, -1), "x": slice(None, None, -1)}
    assert interp(curved[::4].isel(turned), "1h", own).isel(turned).equals(expected)
    bare = curved.drop_vars(["lat", "lon"])
    np.testing.assert_array_equal(interp(bare[::4], "1h", fit(bare)), expected)
    with pytest.raises(InputError, match="knows its own grid only"):
        interp(bare[::4], "1h", own)


def test_stations_and_single_series(data):
    stations = data.stack(station=("lat", "lon")).drop_vars(["station", "lat", "lon"])
    own = fit(stations)
    made = interp(stations[::4], "1h", own)
    expected = interp(data[::4], "1h", fit(data))
    np.testing.assert_array_equal(made.values.reshape(expected.shape), expected)
    with pytest.raises(InputError, match="grid of 1 x 12 cells, unknown and unknown; found one"):
        interp(stations[::4, :5], "1h", own)
    one = fit(data[:, 0, 0])
    np.testing.assert_allclose(interp(data[::4, 0, 0], "1h", one), expected[:, 0, 0], rtol=1e-6)


def test_the_card_tells_data_and_skill(data, own):
    card = own.card
    assert card.model == "learner@1.0"
    assert card.data[0].name == "a record"
    assert card.data[0].period == "2001-01-01 to 2001-01-02, 40 steps"
    assert card.data[0].extent == "40 time x 3 lat x 4 lon"
    assert card.data[0].attribution == "us"
    assert "fit(model='learner@1.0')" in card.recipe
    assert not card.skill, "6 steps of the last part would be kept of 12"
    long = fit(record(200, "1h"), validation=0.2)
    assert [row.hidden for row in long.card.skill] == [
        "all but every second of the last 40 steps",
        "all but every fourth of the last 40 steps",
    ]
    for row in long.card.skill:
        assert set(row.values) == {"learner", "linear", "cubic", "akima"}
        assert row.unit == "K"
        # It adds half of the mean, some 140 K.
        assert row.values["learner"] > 100 > 5 > row.values["linear"] > 0
    none = fit(record(200, "1h"), validation=0)
    assert not none.card.skill
    assert "its skill is not known" in " ".join(none.card.limits)
    _, state = ModelHandle(long.spec, str(long.path)).with_state()
    _, all_of_it = ModelHandle(none.spec, str(none.path)).with_state()
    np.testing.assert_array_equal(state["mean"], all_of_it["mean"], "learnt from all of it")


def test_the_skill_is_that_of_a_model_that_has_not_seen_it(monkeypatch):
    seen = []
    plain = Learner.fit
    monkeypatch.setattr(Learner, "fit", lambda s, r: seen.append(len(r.days)) or plain(s, r))
    fit(record(200, "1h"), validation=0.25)
    assert seen == [150, 200]


def test_what_a_model_learns_from(data, monkeypatch):
    records = []
    plain = Learner.fit
    monkeypatch.setattr(Learner, "fit", lambda s, r: records.append(r) or plain(s, r))
    data[5] = np.nan
    data[6, 0, 0] = np.inf
    turned = data.isel(lat=slice(None, None, -1)).transpose("lon", "lat", "time")
    for obj in (data, turned, turned.chunk(time=7)):
        fit(obj, validation=0, seed=7)
        made = records.pop()
        assert made.value.shape == (1, 40, 3, 4)
        assert made.value.dtype == np.float32
        np.testing.assert_array_equal(made.value[0], data.where(np.isfinite(data)))
        np.testing.assert_allclose(made.days, np.arange(40) / 24)
        np.testing.assert_allclose(made.clock.day, np.arange(40) % 24 / 24, atol=1e-9)
        np.testing.assert_array_equal(made.place.lat[:, 0], data.lat)
        assert made.seed == 7


def test_a_vector_is_learnt_as_one(data):
    wind = xr.Dataset({"u": data, "v": 2 * data, "t": 3 * data})
    own = fit(wind, vectors=[("u", "v")])
    assert TrainedPlace.of(ModelHandle(own.spec, str(own.path))).variables == ("u", "v")
    assert "vectors=[('u', 'v')]" in own.card.recipe
    coarse = wind.isel(time=slice(None, None, 4))
    made = interp(coarse[["u", "v"]], "1h", own, vectors=[("u", "v")])
    np.testing.assert_array_equal(made["u"], interp(data[::4], "1h", fit(data)))
    with pytest.raises(InputError, match="fitted to 'u' and 'v' and is given one variable"):
        interp(coarse["u"], "1h", own)
    single = fit(data)
    with pytest.raises(InputError, match="fitted to 't2m' and is given the two components"):
        interp(coarse[["u", "v"]], "1h", single, vectors=[("u", "v")])
    named = xr.Dataset(
        {n: data.assign_attrs(standard_name=f"{s}_wind") for n, s in zip("uv", "xy", strict=True)}
    )
    assert fit(named).card.data[0].extent == own.card.data[0].extent


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, r"found 2 variables to learn from, \['a', 'b'\].*variables='...'"),
        ({"variables": ["a", "b"]}, "found 2 variables"),
        ({"variables": "c"}, "not in the Dataset"),
        ({"vectors": [("a", "c")]}, "'c', which is not in the data"),
        ({"vectors": [("a", "b"), ("b", "a")]}, "twice"),
        ({"variables": "a", "covariates": ["b"]}, "makes no use of them"),
        ({"variables": "a", "validation": 0.7}, "validation"),
        ({"variables": "a", "max_epochs": 3}, "fitted in one go"),
        ({"variables": "a", "start": "akima"}, "is of another model"),
    ],
)
def test_wrong_calls_say_what_to_type(data, given, told):
    both = xr.Dataset({"a": data, "b": data})
    with pytest.raises((InputError, SpecError, xgeoml.ModelNotFoundError), match=told):
        fit(both, **given)


def test_data_that_cannot_be_learnt_from(data):
    with pytest.raises(InputError, match=r"pick one of the others, obj\.isel"):
        fit(data.expand_dims(level=[1, 2]))
    with pytest.raises(InputError, match="take one group of a DataTree"):
        fit(xr.DataTree.from_dict({"/a": data.to_dataset()}))
    with pytest.raises(InputError, match="missing everywhere"):
        fit(data.where(data < 0))
    for model in ("ridge", "diurnal", "temdeep"):
        with pytest.raises(InputError, match="'time' has 1 steps; expected 3 or more"):
            data[:1].geoml.fit(model, validation=0)
    with pytest.raises(SpecError, match="it has no parameters to train"):
        fit(data, spec("Look"))
    with pytest.raises(InputError, match=r"vectors=.* for models of interpolation in time"):
        data.geoml.fit("grace_tf", vectors=[("u", "v")])


def test_the_task_follows_from_the_model(monkeypatch, own, data):
    learner = LEARNER.replace(name="ridge")
    monkeypatch.setattr(registry, "_registered", {("interp_time", "ridge"): learner})
    assert fitted_task("ridge", on_pairs=True) == "downscale"
    assert fitted_task("ridge", on_pairs=False) == "interp_time"
    assert fitted_task("ridge@1.0", on_pairs=False) == "interp_time"
    assert fitted_task("grace_tf", on_pairs=False) == "fill_gaps"
    assert fitted_task("linear", on_pairs=False) == "fill_gaps"
    assert fitted_task("akima", on_pairs=False) == "interp_time"
    assert fitted_task("delta", on_pairs=False) == "fill_gaps"  # which says that it needs pairs
    assert fitted_task("nothing", on_pairs=False) == "fill_gaps"
    for model in (own, own.path, str(own.path), own.spec):
        assert fitted_task(model, on_pairs=False) == "interp_time"
    assert fit(data, "ridge").spec.name == "ridge"
    with pytest.raises(InputError, match="target=fine"):
        data.geoml.fit("delta")
    with pytest.raises(SpecError, match=r"obj\.geoml\.interp_time\(model='akima'\)"):
        data.geoml.fit("akima")


def test_the_command(data, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {("interp_time", "learner"): LEARNER})
    wind = xr.Dataset({"u": data, "v": 2 * data})
    wind.to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    out = tmp_path / "own.safetensors"
    given = ["fit", "learner", tmp_path / "a.nc", "--out", out]
    done = CliRunner().invoke(cli.main, [*map(str, given), "--vectors", "u:v"])
    assert done.exit_code == 0, done.output
    assert xgeoml.load(out).spec.name == "learner"
    done = CliRunner().invoke(cli.main, [*map(str, given), "--variable", "u", "--overwrite"])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(cli.main, [*map(str, given), "--overwrite"])
    assert "found 2 variables" in done.output


def test_the_progress_is_shown(data, capsys):
    data.geoml.fit(LEARNER, progress=True)
    assert "fit learner" in capsys.readouterr().err
