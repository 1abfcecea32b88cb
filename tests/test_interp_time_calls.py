"""Plans and the command line of interpolation in time."""

import numpy as np
import pytest
import toys
import xarray as xr
from click.testing import CliRunner
from toy_in_time import PLANE, TIME, interp, look, record, totals

import xgeoml
from xgeoml import cli
from xgeoml.exceptions import InputError, SpecError
from xgeoml.spec import Channel, ModelSpec
from xgeoml.tasks.plan_in_time import TimePlan
from xgeoml.weights.files import write_weights

TIMES = ["2001-01-01T01", "2001-01-01T06"]


def run(*arguments):
    return CliRunner().invoke(cli.main, [str(a) for a in arguments])


@pytest.fixture
def data():
    return record(30)


def plan(obj, model="linear", **options):
    return obj.geoml.plan("interp_time", model, **options)


def test_a_plan_says_what_would_be_done(data):
    made = plan(data, freq="1h")
    assert isinstance(made, TimePlan)
    assert (made.n_times, made.n_given, made.passes) == (175, 30, 1)
    assert (made.window, made.halo, made.whole, made.chunks) == (32, 8, False, (175,))
    assert (made.first, made.last) == ("2001-01-01", "2001-01-08T06:00:00")
    text = repr(made)
    for told in (
        "<xgeoml plan: interp_time>",
        "linear@1.0 (as asked)",
        "t2m (time: 30, lat: 3, lon: 4)",
        "T: time (",
        "175 times, 2001-01-01 to 2001-01-08T06:00:00, 30 of them given",
        "1 of 32 intervals, which see 8 steps around, each cell by itself",
        "1 chunk along time",
        "cpu, batch of its own choice",
        "MB beyond the input",
    ):
        assert told in text
    assert plan(data, "auto", freq="1h").reason == "a grid"


def test_a_plan_of_lazy_data_and_fields(data, monkeypatch):
    from xgeoml.engine import in_time_run

    monkeypatch.setattr(in_time_run, "CHUNK_ELEMENTS", 1000)
    lazy = plan(data.chunk(time=5), look("rows", whole=True), factor=6, batch_size=4)
    assert lazy.chunks == interp(data.chunk(time=5), "1h", look("rows", whole=True)).chunks[0]
    assert lazy.passes == 4
    assert "whole fields" in repr(lazy)
    assert "batch of 4" in repr(lazy)
    assert f"{len(lazy.chunks)} chunks along time" in repr(lazy)


def test_a_plan_of_totals_of_vectors_and_of_a_tree(data):
    made = plan(totals(), freq="1h", accumulated=True)
    assert made.n_times == 288
    assert "totals are kept" in repr(made)
    wind = xr.Dataset(
        {n: data.assign_attrs(standard_name=f"{s}_wind") for n, s in zip("uv", "xy", strict=True)}
    )
    assert plan(wind, freq="1h").variable == "u and v"
    assert plan(wind, freq="1h", variable="v").variable == "v"
    tree = xr.DataTree.from_dict({"/a": data.to_dataset()})
    assert plan(tree, times=data.time[:4]).n_times == 4


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({}, InputError, "no times are given"),
        ({"freq": "1h", "like": 1}, InputError, "like=: not of task='interp_time'"),
        ({"freq": "1h", "members": 2, "spread": True}, InputError, "spread=, members=: not of"),
        ({"freq": "1h", "covariates": ["a"]}, InputError, "covariates=: not of"),
        ({"freq": "1h", "model": "kalman"}, SpecError, "cannot do interp_time"),
        ({"freq": "1h", "variable": "nothing"}, InputError, "not in the Dataset"),
        ({"freq": "1h", "dims": {"T": "nothing"}}, Exception, "nothing"),
    ],
    ids=str,
)
def test_a_plan_complains_as_the_call_does(data, given, error, told):
    with pytest.raises(error, match=told):
        data.to_dataset().geoml.plan("interp_time", **given)
    with pytest.raises(InputError, match="times=, accumulated=: not of task='fill_gaps'"):
        data.geoml.plan(times=data.time, accumulated=True)


@pytest.fixture
def network(tmp_path, monkeypatch):
    """Return a network whose place is taken by a function, and what that was given."""
    given = []

    def run(stretch, handle, options):
        given.append((stretch, handle, options))
        shape = (len(stretch.value), len(stretch.wanted), *stretch.value.shape[2:])
        return np.full(shape, 7.0)

    monkeypatch.setattr("xgeoml.engine.in_time_network.run_in_time", run)
    spec = ModelSpec(
        name="net",
        task="interp_time",
        factory=toys.FieldNet,
        axes=(TIME, *PLANE),
        inputs=(Channel("value"),),
        terrain=True,
    )
    path = write_weights(tmp_path / "net.safetensors", {"a": np.ones(3)}, spec)
    return path, given


def test_a_network_is_given_options_place_and_terrain(data, network):
    path, given = network
    alps = data.assign_coords(lat=[45.0, 46.0, 47.0], lon=[6.0, 7.0, 8.0, 9.0])
    options = {"device": "cpu", "batch_size": 3, "precision": "bfloat16", "seed": 5}
    made = interp(alps, "1h", path, **options)
    assert float(made[1].max()) == 7.0
    assert made.sel(time=data.time).equals(alps)
    stretch, handle, told = given.pop()
    assert handle.weights == str(path)
    assert {k: getattr(told, k) for k in options} == options
    assert stretch.place.terrain.shape == (2, 3, 4)
    assert stretch.place.terrain[0].max() > 1000
    assert "with a map of elevation" in made.attrs["history"]
    assert plan(alps, path, freq="1h").terrain
    assert "the package's own map of elevation" in repr(plan(alps, path, freq="1h"))
    made = interp(alps, "1h", path, terrain=False)
    assert given.pop()[0].place.terrain is None
    assert "terrain=False" in made.attrs["history"]
    assert "with a map" not in made.attrs["history"]
    assert interp(alps.drop_vars("lat"), "1h", path).sizes["time"] == 175
    assert given.pop()[0].place.terrain is None


def test_weights_may_be_named_instead_of_a_model(data, network):
    path, _ = network
    made = interp(data, "1h", "auto", weights=path)
    assert float(made[1].max()) == 7.0
    assert "weights=" in made.attrs["history"]
    with pytest.raises(InputError, match="not of model='akima'"):
        interp(data, "1h", "akima", weights=path)
    assert plan(data, "auto", freq="1h", weights=path).model == "net@1.0"
    net = xgeoml.load(path).spec.replace(weights=None)
    with pytest.raises(SpecError, match="it learns from a record"):
        interp(data, "1h", net)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "six.nc"
    data = record(12)
    both = xr.Dataset({"t2m": data, "u": 2 * data, "v": 3 * data})
    both.to_netcdf(path, engine="netcdf4")
    return path


def opened(path):
    with xr.open_dataset(path) as made:
        return made.load()


def test_the_command(file, tmp_path):
    out = tmp_path / "one.nc"
    done = run("interp-time", file, "--freq", "1h", "--model", "cubic", "--out", out)
    assert done.exit_code == 0, done.output
    assert f"written to {out}: t2m, u, v" in done.output
    made = opened(out)
    expected = interp(opened(file), "1h", "cubic")
    for name in expected:
        np.testing.assert_array_equal(made[name], expected[name])
    assert made.time.equals(expected.time)


@pytest.mark.parametrize(
    ("given", "same"),
    [
        (["--factor", "3"], {"factor": 3}),
        (
            ["--times", "2001-01-01T01", "2001-01-01T06"],
            {"times": ["2001-01-01T01", "2001-01-01T06"]},
        ),
        (["--factor", "2", "--accumulated"], {"factor": 2, "accumulated": True}),
        (["--freq", "2h", "--max-gap", "1"], {"freq": "2h", "max_gap": 1}),
        (["--freq", "2h", "--max-gap", "5h"], {"freq": "2h", "max_gap": "5h"}),
        (["--freq", "2h", "--vectors", "u:v", "--no-terrain"], {"freq": "2h"}),
        (["--freq", "2h", "--model", "akima"], {"freq": "2h", "model": "akima"}),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_options_of_the_command(file, tmp_path, given, same):
    out = tmp_path / "made.zarr"
    done = run(
        "interp-time",
        file,
        *(["--model", "linear"] if "--model" not in given else []),
        *given,
        "--out",
        out,
    )
    assert done.exit_code == 0, done.output
    expected = interp(opened(file), **same)
    with xr.open_zarr(out) as made:
        assert made.time.equals(expected.time)
        np.testing.assert_array_equal(made["u"], expected["u"])
        history = made.attrs["history"]
    assert ("vectors=[('u', 'v')], " in history) == ("--vectors" in given)
    assert ("terrain=False" in history) == ("--no-terrain" in given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--freq", "1h", "--out", "six.nc"], "is the record itself"),
        (["--freq", "1h", "--out", "a.txt"], "ends in .nc or .zarr"),
        (["--out", "a.nc"], "no times are given"),
        (["--freq", "1h", "--vectors", "u", "--out", "a.nc"], "expected EASTWARD:NORTHWARD"),
        (["--freq", "1h", "--variable", "w", "--out", "a.nc"], "'w' is not in the Dataset"),
        (["--freq", "1h", "--model", "lineer", "--out", "a.nc"], "Did you mean 'linear'"),
    ],
)
def test_wrong_commands_say_what_to_type(file, tmp_path, monkeypatch, given, told):
    monkeypatch.chdir(tmp_path)
    done = run("interp-time", file, *given)
    assert done.exit_code in (1, 2)
    assert told in done.output
    assert "Traceback" not in done.output


def test_one_variable_of_a_file(file, tmp_path):
    out = tmp_path / "one.nc"
    done = run("interp-time", file, "--factor", 2, "--variable", "u", "--out", out)
    assert done.exit_code == 0, done.output
    assert "Warning: left out: variables ['t2m', 'v']" in done.output
    assert list(opened(out).data_vars) == ["u"]


def test_the_models_of_the_task_are_listed():
    done = run("models", "--task", "interp_time")
    assert done.exit_code == 0
    for name in ("linear@1.0", "cubic@1.0", "akima@1.0"):
        assert name in done.output
    assert "kalman" not in done.output
    everything = run("models").output
    assert everything.count("\nlinear@1.0 ") == 2
