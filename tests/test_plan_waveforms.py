"""Plans and the command line of waveform inversion."""

import dask
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import xgeoml
from xgeoml import cli
from xgeoml.engine import inversion
from xgeoml.exceptions import GeoMLError, InputError, TimeAxisError
from xgeoml.tasks.plan_waveforms import WaveformPlan
from xgeoml.tasks.trained_path import TrainedPath
from xgeoml.weights.files import write_weights


def run(*arguments):
    return CliRunner().invoke(cli.main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def waves():
    """Return records and Green's functions of five earthquakes at three stations."""
    one = xgeoml.datasets.wavefield(stations=3, samples=256)[["record", "greens"]]
    many = one.record.expand_dims(event=5) * xr.DataArray(np.arange(1.0, 6.0), dims="event")
    return one.assign(record=many.assign_attrs(one.record.attrs).astype(np.float32))


def plan(obj, model="wiener", **options):
    return obj.geoml.plan("invert_waveform", model, **{"greens": "greens", **options})


def test_a_plan_says_what_would_be_done(waves):
    made = plan(waves, dim="station", length="12.8s", batch_size=4)
    assert isinstance(made, WaveformPlan)
    assert (made.events, made.stations, made.samples, made.length) == (5, 3, 256, 128)
    assert (made.step, made.greens, made.join) == (pytest.approx(0.1), ("station",), ("station",))
    assert (made.at_once, made.passes, made.broken, made.chunks) == (5, 1, 0, ((5,), (128,)))
    text = repr(made)
    for told in (
        "<xgeoml plan: invert_waveform>",
        "wiener@1.0 (as asked)",
        "record (event: 5, station: 3, time: 256)",
        "T: time (long_name)",
        "256 of a record, 128 of a source, one every 0.1 s",
        "one for each station",
        "5, each of 3 records along station",
        "0 events with gaps",
        "1, 5 events at a time",
        "1 chunk\n",
        "cpu, batch of 4",
        "MB beyond the input",
    ):
        assert told in text
    alone = plan(waves.record, greens=waves.greens[0].drop_vars("station"))
    assert (alone.events, alone.stations, alone.greens) == (15, 1, ())
    assert "one for all" in repr(alone)
    assert "15, each of one record" in repr(alone)


def test_a_plan_has_the_chunks_of_the_result(waves, monkeypatch):
    monkeypatch.setattr(inversion, "ELEMENTS", 2 * waves.record[0].size)
    lazy = waves.chunk(event=2, time=100)
    made = plan(lazy, dim="station")
    result = lazy.geoml.invert_waveform("wiener", greens="greens", dim="station")
    assert made.chunks == result.record.chunks == ((2, 2, 1), (256,))
    assert (made.passes, made.at_once, made.broken) == (3, 2, None)
    assert "unknown (lazy)" in repr(made)
    assert "3 chunks" in repr(made)
    # Green's functions in chunks make lazy sources.
    only = plan(waves.record, greens=waves.greens.chunk(station=1))
    assert only.chunks == ((5,), (1, 1, 1), (256,))


def test_many_events_are_treated_some_at_a_time(waves, monkeypatch):
    monkeypatch.setattr(inversion, "ELEMENTS", 2 * 3 * 256)
    made = plan(waves, dim="station")
    assert (made.at_once, made.passes) == (2, 3)
    assert plan(waves.chunk(event=3), dim="station").passes == 3
    assert made.memory < plan(waves.isel(event=[0] * 100), dim="station").memory


def test_nothing_is_computed(waves, monkeypatch):
    def fails(*_, **__):
        raise AssertionError("computed")

    monkeypatch.setattr("xgeoml.tasks.inverting.invert", fails)
    monkeypatch.setattr("scipy.signal.resample_poly", fails)
    coarse = waves.greens[:, ::2]
    made = plan(waves, greens=coarse.pad(time=(0, 128), constant_values=0)[:, :128], resample=True)
    assert made.samples == 256
    with dask.config.set(scheduler=fails):
        assert plan(waves.chunk(), greens=coarse.chunk(), resample=True).broken is None


def test_a_plan_counts_events_with_gaps(waves):
    holes = waves.record.copy()
    holes[0, 0, 100] = np.nan
    holes[2, 1, 50:] = np.nan
    # A station that is missing altogether is no gap.
    holes[3, 2] = np.nan
    broken = waves.assign(record=holes)
    assert "2 events with gaps: refused" in repr(plan(broken, dim="station"))
    made = plan(broken, dim="station", gaps="window")
    assert "2 events with gaps: their longest stretch without is used" in repr(made)
    counts = broken.assign(record=waves.record.astype(int)), broken
    assert [plan(b, variable="record").broken for b in counts] == [0, 2]


def test_a_plan_of_a_network_with_learnt_paths(waves, tmp_path):
    path = TrainedPath(
        waves.greens.values.astype(float),
        ("station",),
        {"station": list(waves.station.values)},
        0.1,
        0.0,
        ("m s-1", None),
    )
    spec = xgeoml.get_model("eq_tf")
    file = write_weights(tmp_path / "own.safetensors", path.arrays(), spec.replace(weights=None))
    made = plan(waves, file, greens=None, variable="record", dim="station", spread=True)
    assert (made.model, made.reason, made.greens, made.events) == (spec.key, "as asked", None, 5)
    assert "as the model has learnt them" in repr(made)
    assert made.memory > plan(waves, dim="station").memory
    given = plan(waves, "auto", weights=file, device="cpu")
    assert (given.reason, given.device, given.greens) == ("as asked", "cpu", ("station",))
    with pytest.raises(InputError, match="device"):
        plan(waves, file, device="cuda:77")


def test_a_plan_of_a_tree_and_of_one_variable(waves):
    tree = xr.DataTree.from_dict({"/none": xr.Dataset({"a": 1}), "/b": waves})
    assert plan(tree, dim="station") == plan(waves, dim="station")
    two = waves.assign(other=waves.record[:2].rename(event="shot"))
    assert plan(two, variable="other").events == 6
    renamed = waves.drop_vars("time").rename(time="sample")
    made = plan(renamed)
    assert made.step is None
    assert "T: sample (guessed from the name)" in repr(made)


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"greens": None}, InputError, "needs the Green's functions"),
        ({"greens": "nothing"}, InputError, "not in the Dataset"),
        ({"dim": "staton", "variable": "record"}, InputError, "dim='staton'"),
        ({"dim": ["station", "station"]}, InputError, "each once"),
        ({"length": 1000}, InputError, "is 1000 samples; expected 2 to 256"),
        ({"amplitudes": "free"}, InputError, "dim='station'"),
        ({"gaps": "skip"}, InputError, "expected 'raise' or 'window'"),
        ({"spread": True}, InputError, "does not tell how sure it is"),
        ({"model": "kalman"}, GeoMLError, "cannot do invert_waveform"),
        ({"freq": "1h", "like": 1}, InputError, "freq=, like=: not of task='invert_waveform'"),
        ({"covariates": ["a"]}, InputError, "covariates=: not of"),
    ],
    ids=str,
)
def test_a_plan_complains_as_the_call_does(waves, given, error, told):
    with pytest.raises(error, match=told):
        plan(waves, **given)


def test_other_tasks_refuse_what_only_waveforms_have(waves):
    given = {"greens": "g", "dim": "s", "length": 3, "amplitudes": "free", "gaps": "window"}
    with pytest.raises(InputError, match="greens=, dim=, length=, amplitudes=, resample=, gaps=:"):
        waves.geoml.plan(**given, resample=True)
    with pytest.raises(TimeAxisError, match="one sample every"):
        plan(waves, greens=waves.greens.assign_coords(time=2 * waves.time.values))


@pytest.fixture
def files(waves, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    waves.to_netcdf("both.nc")
    waves[["record"]].to_netcdf("records.nc")
    waves[["greens"]].to_netcdf("greens.nc")
    xr.Dataset({"a": waves.greens, "b": 2 * waves.greens}).to_netcdf("two.nc")


def opened(path):
    with xr.open_dataset(path) as made:
        return made.load()


@pytest.mark.parametrize(
    ("data", "given", "same"),
    [
        ("both.nc", ["--greens", "greens"], {}),
        ("records.nc", ["--greens", "greens.nc"], {}),
        ("records.nc", ["--greens", "two.nc:a", "--signed"], {"positive": False}),
        ("both.nc", ["--greens", "greens", "--length", "64"], {"length": 64}),
        (
            "both.nc",
            ["--greens", "greens", "--length", "6s", "--impulse", "second", "--resample"],
            {"length": "6s", "impulse": "second"},
        ),
        (
            "both.nc",
            ["--greens", "greens", "--dim", "station", "event", "--amplitudes", "free"],
            {"dim": ("station", "event"), "amplitudes": "free"},
        ),
        (
            "both.nc",
            ["--greens", "greens", "--gaps", "window", "--model", "water_level"],
            {"gaps": "window", "model": "water_level"},
        ),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_the_command(waves, files, data, given, same):
    model = [] if "--model" in given else ["--model", "wiener"]
    done = run("invert-waveform", data, *given, *model, "--variable", "record", "--out", "s.nc")
    assert done.exit_code == 0, done.output
    assert "written to s.nc: record, record_moment, record_misfit" in done.output
    made = opened("s.nc")
    same = {"model": "wiener", "greens": "greens", **same}
    expected = waves.geoml.invert_waveform(variables="record", **same)
    assert made.time.equals(expected.time)
    np.testing.assert_allclose(made.record, expected.record, rtol=1e-5, atol=1e-6)
    assert made.record.attrs["units"] == expected.record.attrs["units"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--greens", "greens", "--out", "both.nc"], "is the record itself"),
        (["--greens", "two.nc:a", "--out", "two.nc"], "is one of the files that are read"),
        (["--greens", "greens.nc", "--out", "greens.nc"], "is one of the files that are read"),
        (
            ["--greens", "two.nc", "--out", "s.nc"],
            "it has a, b; expected FILE:NAME, such as two.nc",
        ),
        (
            ["--greens", "nothing", "--out", "s.nc"],
            "record, greens; expected one of these, FILE or",
        ),
        (["--greens", "two.nc:c", "--out", "s.nc"], "two.nc has a, b, no 'c'"),
        (["--greens", "no.nc:c", "--out", "s.nc"], "cannot be opened"),
        (["--out", "s.nc"], "needs the Green's functions"),
        (["--greens", "greens", "--spread", "--out", "s.nc"], "does not tell how sure it is"),
        (
            ["--greens", "greens", "--length", "long", "--out", "s.nc"],
            "--length long: expected a",
        ),
        (["--greens", "greens", "--gaps", "skip", "--out", "s.nc"], "is not one of"),
    ],
)
def test_wrong_commands_say_what_to_type(files, given, told):
    done = run("invert-waveform", "both.nc", "--model", "wiener", *given)
    assert done.exit_code in (1, 2)
    assert told in done.output
    assert "Traceback" not in done.output


def test_options_of_networks_reach_the_task(files, monkeypatch):
    taken = {}

    def invert(dataset, **given):
        taken.update(given)
        return dataset

    monkeypatch.setattr("xgeoml.tasks.invert_waveform.invert_waveform", invert)
    options = {"weights": "w", "batch_size": 3, "precision": "bfloat16", "device": "cpu", "seed": 5}
    flags = [t for k, v in options.items() for t in (f"--{k.replace('_', '-')}", v)]
    done = run("invert-waveform", "records.nc", "--spread", *flags, "--out", "s.nc")
    assert done.exit_code == 0, done.output
    assert {k: taken[k] for k in options} == options
    assert taken["spread"] is True
    assert taken["model"] == "auto"
    assert not {"greens", "dim", "variables"} & set(taken)


def test_the_models_of_the_task_are_listed():
    done = run("models", "--task", "invert_waveform")
    assert "nnls@1.0             invert_waveform  non-negative" in done.output
