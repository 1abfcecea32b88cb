"""The command line: what there is to see, the demo, fits to the records of stations."""

import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import xgeoml
from xgeoml import cli, demo
from xgeoml.exceptions import InputError


def run(*arguments):
    return CliRunner().invoke(cli.main, [str(a) for a in arguments])


def test_the_version_and_the_help():
    assert xgeoml.__version__ in run("--version").output
    assert {"demo", "fill-gaps", "fit", "models", "weights"} <= set(run("--help").output.split())
    assert "xgeoml demo --data tws.nc" in run("demo", "--help").output


def test_models_are_listed():
    everything = run("models").output
    assert all(name in everything for name in xgeoml.list_models())
    some = run("models", "--task", "fill_gaps")
    assert some.exit_code == 0
    assert "kalman@1.0" in some.output
    assert "Kalman smoother" in some.output
    assert "eq_tf" not in some.output
    assert re.search(r"grace_tf@.*; weights here", some.output)


def test_models_of_an_unknown_task_are_not_nothing():
    done = run("models", "--task", "fil_gaps")
    assert done.exit_code == 2
    assert "'fill-gaps', 'downscale'" in done.output.replace("_", "-")


def test_models_that_fit_a_file(file, tmp_path):
    done = run("models", file)
    assert done.exit_code == 0, done.output
    assert "kalman@1.0" in done.output
    assert "eq_tf" not in done.output
    assert "downscale" not in run("models", file, "--task", "fill_gaps").output
    done = run("models", file, "--task", "invert_waveform")
    assert done.exit_code == 1
    assert "no model of invert_waveform fits these data" in done.output


def test_what_is_in_a_file(file):
    done = run("info", file)
    assert done.exit_code == 0, done.output
    with xr.open_dataset(file) as record:
        facts, _, calls = repr(record.geoml).partition("  next:\n")
    told, _, commands = done.output.partition("  next:\n")
    assert told == facts
    assert ".geoml" in calls
    assert ".geoml" not in commands
    assert f"    xgeoml fill-gaps {file} --out filled.nc\n" in commands


@pytest.fixture
def file(tmp_path):
    pytest.importorskip("netCDF4")
    record = xgeoml.datasets.grace_like(nlat=4, nlon=5).isel(time=slice(0, 60))
    path = tmp_path / "tws.nc"
    record.to_netcdf(path)
    return path


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--variable", "tws"], "go with --data"),
        (["--covariates", "tp"], "go with --data"),
        (["--data", "missing.nc", "--variable", "a"], "does not exist"),
    ],
)
def test_wrong_calls_say_what_to_type(arguments, told):
    done = run("demo", *arguments)
    assert done.exit_code == 2
    assert told in done.output


def test_a_file_without_a_variable_lists_what_it_has(file):
    done = run("demo", "--data", file)
    assert done.exit_code == 2
    assert "lwe_thickness" in done.output


def test_an_error_of_ours_has_no_traceback(file, tmp_path):
    done = run("demo", "--data", file, "--variable", "nothing", "--out", tmp_path)
    assert done.exit_code == 1
    assert "Error: variable 'nothing' not found" in done.output
    assert "Traceback" not in done.output


def test_a_file_that_is_no_netcdf(tmp_path):
    path = tmp_path / "text.nc"
    path.write_text("not a netCDF file")
    done = run("demo", "--data", path, "--variable", "a")
    assert done.exit_code in (1, 2)
    assert "Traceback" not in done.output
    assert str(path) in done.output


def test_the_demo_on_a_file(file, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "evaluate", partial(xgeoml.evaluate, models=["linear", "oi"]))
    out = tmp_path / "out"
    done = run("demo", "--data", file, "--variable", "lwe_thickness", "--out", out)
    assert done.exit_code == 0, done.output
    for told in (
        "T: time (60)",
        "climatology",
        "linear",
        "Filling the record with oi: the default",
    ):
        assert told in done.output
    assert "51 values filled, 189 still missing, in cells that were never" in done.output
    # Nothing in Python: the demo is a command.
    assert ".geoml" not in done.output
    with xr.open_dataset(out / "xgeoml_demo.nc") as filled:
        assert filled.sizes["time"] == 63
        assert {"lwe_thickness", "lwe_thickness_fill_flag", "lwe_thickness_spread"} <= set(filled)
    assert Path(out, "xgeoml_demo.png").stat().st_size > 10_000


def test_a_record_too_short_for_the_demo(file, tmp_path):
    with xr.open_dataset(file) as record:
        record.isel(time=slice(0, 2)).to_netcdf(tmp_path / "short.nc")
    done = run(
        "demo", "--data", tmp_path / "short.nc", "--variable", "lwe_thickness", "--out", tmp_path
    )
    assert done.exit_code == 1
    assert "nothing could be hidden in 2 steps" in done.output


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--out", "a.txt"), "ends in .safetensors"),
        (("--out", "a.safetensors", "--plot", "a.xyz"), "ends in .png"),
        (("--out", "nowhere/a.safetensors"), "its folder is not there"),
    ],
)
def test_fit_checks_where_it_writes_before_it_trains(tmp_path, monkeypatch, option, said):
    monkeypatch.chdir(tmp_path)
    record = xgeoml.datasets.grace_like(nlat=4, nlon=5)
    record.to_netcdf("a.nc", engine="scipy")
    done = run("fit", "grace_tf", "a.nc", *option)
    assert done.exit_code == 2
    assert said in done.output


# ---------------------------------------------------------------- fit to the records of stations
@pytest.fixture(scope="module")
def pairs():
    return xgeoml.datasets.station_pairs(events=5, stations=3, samples=256, source_samples=64)


@pytest.fixture
def waves(pairs, tmp_path, monkeypatch):
    pytest.importorskip("netCDF4")
    monkeypatch.chdir(tmp_path)
    pairs.to_netcdf("all.nc")
    pairs[["record"]].to_netcdf("records.nc")
    pairs[["greens"]].to_netcdf("greens.nc")
    pairs[["source"]].assign(twice=2 * pairs.source).to_netcdf("sources.nc")


SOURCE = ["--target", "sources.nc:source"]


@pytest.mark.parametrize(
    ("data", "given", "same"),
    [
        ("records.nc", SOURCE, {"target": "source"}),
        ("records.nc", [*SOURCE, "--dim", "station"], {"target": "source", "dim": ("station",)}),
        (
            "records.nc",
            ["--greens", "all.nc:greens", "--dim", "station", "event", "--signed"],
            {"greens": "greens", "dim": ("station", "event"), "positive": False},
        ),
        (
            "records.nc",
            ["--greens", "greens.nc", "--dim", "station", "--amplitudes", "free"],
            {"greens": "greens", "dim": ("station",), "amplitudes": "free"},
        ),
        ("all.nc", [*SOURCE, "--greens", "greens"], {"target": "source", "greens": "greens"}),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_fit_takes_records(pairs, waves, monkeypatch, data, given, same):
    taken = {}

    def fit(dataset, model, **options):
        taken.update(options, model=model)
        for name in {"target", "greens"} & set(options):
            if isinstance(options[name], xr.DataArray):
                taken[name] = options[name].load()
        raise InputError("that will do")

    monkeypatch.setattr("xgeoml.tasks.fit.fit", fit)
    done = run("fit", "eq_tf", data, *given, "--variable", "record", "--out", "a.safetensors")
    assert done.exit_code == 1
    assert "Error: that will do" in done.output
    assert (taken["model"], taken["variables"]) == ("eq_tf", ["record"])
    assert taken.get("dim") == same.get("dim")
    assert taken["positive"] is same.get("positive", True)
    assert taken.get("amplitudes") == same.get("amplitudes")
    for name in ("target", "greens"):
        if name not in same:
            assert name not in taken
        elif isinstance(taken[name], str):
            assert (data, taken[name]) == ("all.nc", "greens")
        else:
            np.testing.assert_array_equal(taken[name], pairs[same[name]])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "give their sources, --target FILE:NAME, their Green's functions"),
        (["--target", "source"], "--target source: expected FILE:NAME"),
        (["--target", "sources.nc:s"], "sources.nc has source, twice, no 's'"),
        (["--greens", "nothing"], "no such file, and no such variable beside the records"),
        (["--greens", "sources.nc"], "it has source, twice; expected FILE:NAME"),
        (["--greens", "greens", "--amplitudes", "free"], "name their dim, --dim station"),
        ([*SOURCE, "--dim", "station", "--amplitudes", "free"], "give them, --greens FILE:NAME"),
        (["--greens", "greens", "--amplitudes", "loud"], "is not one of"),
        ([*SOURCE, "--dim", "staton"], "--dim staton"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_fit_to_records_says_what_to_type(waves, given, told):
    pytest.importorskip("lightning")
    done = run("fit", "eq_tf", "all.nc", *given, "--variable", "record", "--out", "a.safetensors")
    assert done.exit_code in (1, 2)
    assert told in done.output
    assert "Traceback" not in done.output


def test_other_models_are_not_fitted_to_records(waves):
    done = run(
        *("fit", "grace_tf", "all.nc", "--greens", "greens", "--dim", "station", "--signed"),
        *("--variable", "record", "--out", "a.safetensors"),
    )
    assert done.exit_code == 1
    assert "--greens, --dim, --positive: for models of waveform inversion" in done.output


@pytest.mark.filterwarnings("ignore:training did not lower the validation loss")
def test_a_model_that_fit_writes_inverts_records(waves):
    pytest.importorskip("lightning")
    done = run(
        *("fit", "eq_tf", "records.nc", *SOURCE, "--dim", "station", "--validation", "0"),
        *("--max-epochs", "1", "--steps", "1", "--device", "cpu", "--out", "own.safetensors"),
    )
    assert done.exit_code == 0, done.output
    assert "written to own.safetensors" in done.output
    done = run(
        *("invert-waveform", "records.nc", "--model", "own.safetensors", "--dim", "station"),
        *("--length", "64", "--device", "cpu", "--out", "s.nc"),
    )
    assert done.exit_code == 0, done.output
    with xr.open_dataset("s.nc") as made:
        assert made.record.sizes == {"event": 5, "time": 64}
