"""What to type next: calls in Python as commands that run, keywords in messages as options."""

import shlex

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import xgeoml
from xgeoml import cli
from xgeoml.cli_words import as_command, in_words

pytest.importorskip("netCDF4")


def run(*arguments):
    return CliRunner().invoke(cli.main, [str(a) for a in arguments])


def command(call):
    return as_command(call, cli.main, ["a.nc"])


@pytest.mark.parametrize(
    ("call", "typed"),
    [
        (".geoml.fill_gaps()", "fill-gaps a.nc --out filled.nc"),
        (
            '.geoml.fill_gaps(variables="sea level", covariates=["tp", "t2m"])',
            "fill-gaps a.nc --variable 'sea level' --covariates tp t2m --out filled.nc",
        ),
        (
            "obj.geoml.fill_gaps('linear', max_gap=-3, spread=True)",
            "fill-gaps a.nc --model linear --max-gap -3 --spread --out filled.nc",
        ),
        ('.geoml.evaluate("fill_gaps", variable="x")', "evaluate fill-gaps a.nc --variable x"),
        (
            ".geoml.evaluate('fill_gaps', ['kalman', 'oi'], baselines=False)",
            "evaluate fill-gaps a.nc --model kalman oi --no-baselines",
        ),
        ('["/a/b"].geoml.downscale(4)', "downscale a.nc --group /a/b --factor 4 --out fine.nc"),
        (".geoml.downscale(conserve=False)", "downscale a.nc --conserve no --out fine.nc"),
        ('.geoml.interp_time(freq="1h")', "interp-time a.nc --freq 1h --out between.nc"),
        (
            ".geoml.invert_waveform(greens=..., dim='station', positive=False)",
            "invert-waveform a.nc --greens FILE:NAME --dim station --signed --out source.nc",
        ),
        (
            "own = records.geoml.fit('eq_tf', target=sources)",
            "fit eq_tf a.nc --target FILE:NAME --out own.safetensors",
        ),
        (
            "obj.geoml.fit(..., target=fine)",
            "fit ... a.nc --target FILE:NAME --out own.safetensors",
        ),
        ("xgeoml.list_models()", "models"),
        ("xgeoml.list_models('fill_gaps')", "models --task fill-gaps"),
        ("xgeoml.weights.fetch('grace_tf')", "weights fetch grace_tf"),
    ],
)
def test_a_call_as_a_command(call, typed):
    assert command(call) == f"xgeoml {typed}"


@pytest.mark.parametrize(
    "call",
    [
        '.geoml.plan("fill_gaps")',
        ".geoml.plot.gaps()",
        ".geoml.fill_gaps(model_options={'rank': 3})",  # no such option
        "obj.sortby('time')",
        "xgeoml.nothing()",
        "xgeoml.datasets.grace_like()",
        "no call",
        "",
    ],
)
def test_what_no_command_does(call):
    assert command(call) is None


@pytest.mark.parametrize(
    ("name", "said", "told"),
    [
        ("downscale", "neither factor= nor like= is given", "neither --factor nor --like is given"),
        ("downscale", "type like=fine for another.", "type --like FILE for another."),
        ("downscale", "factor=40: expected 2 to 8", "--factor 40: expected 2 to 8"),
        ("interp-time", "freq='1x' is no step", "--freq 1x is no step"),
        ("interp-time", "or times=[...], them", "or --times TIME, them"),
        ("fill-gaps", "dims={'T': ...}", "--dims T=..."),
        ("fill-gaps", "factor=4 and model=='a'", "factor=4 and model=='a'"),
        ("fill-gaps", "name one with variables=", "name one with --variable"),
        ("fill-gaps", "the model=own.", "the --model own.safetensors."),
        ("fill-gaps", "cells(s) of model='oi'", "cells(s) of --model oi"),
        ("invert-waveform", "positive=: for models", "--positive: for models"),
        ("fit", "it is trained, obj.geoml.plan(model='a')", None),
        ("models", "Type xgeoml.list_models() to see.", "Type xgeoml models to see."),
        ("weights", "", ""),
    ],
)
def test_keywords_are_the_options_of_the_command(name, said, told):
    words = in_words(said, cli.main, cli.main.commands[name], ["a.nc"])
    assert words == (told if told is not None else words.partition("\n")[0] + PYTHON)
    assert told is not None or words.startswith(said)


PYTHON = (
    "\nIn Python obj is xarray.open_dataset('a.nc'); write what you make of it, "
    "obj.to_netcdf('mended.nc'), and give that file"
)


def test_keywords_of_other_calls_stay():
    said = "type obj = obj.assign_coords(time=pd.date_range('2000', freq='s')), or freq='1h'"
    words = in_words(said, cli.main, cli.main.commands["interp-time"], ["a.nc"])
    assert words == said.replace("or freq='1h'", "or --freq 1h") + PYTHON


# ---------------------------------------------------------------- on files
@pytest.fixture
def files(record, drivers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record.to_netcdf("my tws.nc")
    both = record.geoml.fill_gaps("linear")[["lwe_thickness"]].assign(
        missing=record["lwe_thickness"], tp=drivers["tp"]
    )
    both["lwe_thickness"].encoding.clear()
    both.fillna({"lwe_thickness": 0.0}).to_netcdf("both.nc")
    xr.DataTree.from_dict({"/a b": record}).to_netcdf("groups.nc")
    hours = xgeoml.datasets.hourly_temperature(hours=48).isel(time=slice(None, None, 6))
    hours.isel(latitude=slice(0, 8), longitude=slice(0, 8)).to_netcdf("era5.nc")
    xgeoml.datasets.wavefield(stations=2).to_netcdf("waves.nc")


def commands_in(output):
    return [line.strip() for line in output.partition("  next:\n")[2].splitlines()]


@pytest.mark.parametrize(
    ("file", "tasks"),
    [
        ("my tws.nc", ["fill-gaps", "evaluate fill-gaps"]),
        ("both.nc", ["fill-gaps", "evaluate fill-gaps"]),
        ("groups.nc", ["fill-gaps", "evaluate fill-gaps"]),
        (
            "era5.nc",
            ["downscale", "evaluate downscale", "interp-time", "evaluate interp-time"],
        ),
        ("waves.nc", ["invert-waveform", "evaluate invert-waveform"]),
    ],
)
def test_what_info_shows_runs(files, monkeypatch, file, tasks):
    from xgeoml.tasks import evaluate

    # What is compared takes its time; that the command is understood is what counts here.
    plainest = {"fill_gaps": "linear", "downscale": "bilinear", "interp_time": "linear"}
    compare = evaluate.evaluate

    def quick(data, task, **options):
        models = [plainest.get(task, "water_level")]
        return compare(data, task, **options, models=models, repeats=1, baselines=False)

    monkeypatch.setattr(evaluate, "evaluate", quick)
    shown = commands_in(run("info", file).output)
    assert [" ".join(shlex.split(s)[1 : 2 + ("evaluate" in s)]) for s in shown] == tasks
    for line in shown:
        done = run(*shlex.split(line)[1:])
        assert done.exit_code == 0, done.output


def test_info_of_many_files_names_them_as_typed(files, record):
    for year in (2002, 2003, 2004, 2005, 2006):
        record.sel(time=str(year)).to_netcdf(f"y{year}.nc")
    assert "fill-gaps 'y*.nc' --out" in run("info", "y*.nc").output
    each = [f"y{year}.nc" for year in (2002, 2003, 2004, 2005)]
    assert "fill-gaps y2002.nc y2003.nc --out" in run("info", *each[:2]).output
    assert "fill-gaps DATA... --out" in run("info", *each).output


def test_info_of_scores_has_no_python(files, record):
    record.geoml.evaluate("fill_gaps", ["linear"], repeats=1).to_netcdf("scores.nc")
    done = run("info", "scores.nc")
    assert "best: linear" in done.output
    assert "next" not in done.output


def test_problems_and_errors_say_how_to_mend_a_file(files, record):
    record.isel(time=slice(None, None, -1)).to_netcdf("turned.nc")
    for arguments in (["info"], ["fill-gaps", "--out", "full.nc"]):
        done = run(arguments[0], "turned.nc", *arguments[1:])
        said = " ".join(done.output.split())
        assert "obj = obj.sortby(" in said
        assert "obj is xarray.open_dataset('turned.nc')" in said
    done = run("fill-gaps", "my tws.nc", "--model", "krigging", "--out", "full.nc")
    assert "Type xgeoml models to see" in done.output
    done = run("downscale", "era5.nc", "--out", "fine.nc")
    assert "neither --factor nor --like is given; type --factor 4" in done.output


def test_warnings_speak_of_options(monkeypatch):
    import warnings

    def listed():
        warnings.warn("see xgeoml.list_models()", stacklevel=1)
        return np.array(())

    monkeypatch.setattr("xgeoml.weights.list", listed)
    assert "Warning: see xgeoml models\n" in run("weights", "list").output
