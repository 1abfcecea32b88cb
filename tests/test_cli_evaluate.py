"""The command that compares models."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

import xgeoml
from xgeoml import cli
from xgeoml.exceptions import InputError

pytest.importorskip("netCDF4")


def run(*arguments):
    return CliRunner().invoke(cli.main, ["evaluate", *map(str, arguments)])


@pytest.fixture
def files(record, drivers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record.to_netcdf("tws.nc")
    drivers.to_netcdf("era5.nc")
    xgeoml.datasets.wavefield(stations=2).to_netcdf("waves.nc")
    return tmp_path


def test_scores_as_a_table_and_in_files(files, record):
    given = ["fill_gaps", "tws.nc", "--model", "linear", "climatology", "--repeats", 2]
    expected = record.geoml.evaluate("fill_gaps", ["linear", "climatology"], repeats=2, seed=3)
    done = run(*given, "--seed", 3, "--out", "scores.nc")
    assert done.exit_code == 0, done.output
    assert "best: " in done.output
    assert ".geoml" not in done.output
    assert done.output.endswith("scores written to scores.nc\n")
    with xr.open_dataset("scores.nc") as scores:
        np.testing.assert_allclose(scores["rmse"], expected["rmse"])
        assert scores.attrs["best"] == expected.attrs["best"]
        assert "rmse_by_season" in scores
    for out in ("scores.csv", "scores.json"):
        done = run(*given, "--seed", 3, "--out", out)
        assert done.exit_code == 0, done.output
    table = pd.read_csv("scores.csv")
    assert list(table["model"]) == ["linear", "linear", "climatology", "climatology"]
    np.testing.assert_allclose(table["rmse"], expected["rmse"].values.ravel())
    about = json.loads(Path("scores.json").read_text())
    assert about["about"]["task"] == "fill_gaps"
    assert about["scores"][0]["model"] == "linear"
    # What linear does not tell, JSON has no NaN for.
    assert "NaN" not in Path("scores.json").read_text()
    assert sorted(p.name for p in files.glob("scores*")) == [
        *("scores.csv", "scores.json", "scores.nc")
    ]


def test_the_task_is_spelled_as_the_command_or_as_in_python(files, monkeypatch):
    asked = []

    def evaluate(data, task, **options):
        asked.append(task)
        raise InputError("that will do")

    monkeypatch.setattr("xgeoml.tasks.evaluate.evaluate", evaluate)
    for task in ("fill_gaps", "fill-gaps", "invert-waveform"):
        assert "that will do" in run(task, "tws.nc").output
    assert asked == ["fill_gaps", "fill_gaps", "invert_waveform"]


def test_a_picture(files):
    pytest.importorskip("matplotlib")
    done = run("fill_gaps", "tws.nc", "--model", "linear", "--repeats", 1, "--plot", "skill.png")
    assert done.exit_code == 0, done.output
    assert Path("skill.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (["--holdout", "runs=6"], {"holdout": {"runs": 6}}),
        (
            ["--holdout", "steps=0.2", "--no-baselines"],
            {"holdout": {"steps": 0.2}, "baselines": False},
        ),
        (["--holdout", "clouds", "--fit", "ridge"], {"holdout": "clouds", "fit": ["ridge"]}),
        (["--period", "2018:"], {"period": ("2018", None)}),
        (["--period", ":2010-05"], {"period": (None, "2010-05")}),
        (["--variable", "lwe_thickness"], {"variable": "lwe_thickness"}),
        (["--freq", "MS"], {"freq": "MS"}),
        (
            [
                "--argument",
                "max-gap=3",
                "mask=land",
                "positive=False",
                "--argument",
                "minimum=-0.5",
            ],
            {"arguments": {"max_gap": 3, "mask": "land", "positive": False, "minimum": -0.5}},
        ),
        (["--argument", "vectors=u:v"], {"arguments": {"vectors": [("u", "v")]}}),
        (["--metric", "rmse", "pearson_r"], {"metrics": ["rmse", "pearson_r"]}),
        (["--factor", "3", "--dims", "T=time"], {"factor": 3, "dims": {"T": "time"}}),
        (["--length", "30s"], {"length": "30s"}),
        (["--length", "64", "--dim", "station"], {"length": 64, "dim": ("station",)}),
        (["--device", "cpu", "--batch-size", "8"], {"device": "cpu", "batch_size": 8}),
    ],
    ids=" ".join,
)
def test_options_reach_the_function(files, monkeypatch, given, taken):
    def evaluate(data, task, **options):
        assert task == "fill_gaps"
        assert options == taken
        raise InputError("that will do")

    monkeypatch.setattr("xgeoml.tasks.evaluate.evaluate", evaluate)
    done = run("fill_gaps", "tws.nc", *given)
    assert "that will do" in done.output, done.output


def test_arrays_of_other_files_reach_the_function(files, monkeypatch):
    def evaluate(data, task, **options):
        assert [c if isinstance(c, str) else c.name for c in options["covariates"]] == ["a", "tp"]
        assert options["target"].name == "t2m"
        assert options["greens"].name == "greens"
        assert options["arguments"]["mask"].name == "tp"
        assert "t2m" in options["arguments"]["like"]
        raise InputError("that will do")

    monkeypatch.setattr("xgeoml.tasks.evaluate.evaluate", evaluate)
    given = ["--covariates", "a", "era5.nc:tp", "--target", "era5.nc:t2m"]
    given += ["--argument", "mask=era5.nc:tp", "like=era5.nc"]
    done = run("downscale", "tws.nc", *given, "--greens", "waves.nc:greens")
    assert "that will do" in done.output, done.output


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["fill", "tws.nc"], "'fill' is not one of"),
        (["fill_gaps", "no.nc"], "'no.nc' does not exist"),
        (["fill_gaps", "tws.nc", "--holdout", "runs=x"], "expected a kind and a number"),
        (["fill_gaps", "tws.nc", "--period", "2018"], "expected FROM:TO"),
        (["fill_gaps", "tws.nc", "--argument", "max_gap"], "expected NAME=VALUE"),
        (["fill_gaps", "tws.nc", "--target", "t2m"], "--target t2m: expected FILE:NAME"),
        (["fill_gaps", "tws.nc", "--out", "a.txt"], "ends in .nc or .csv or .json"),
        (["fill_gaps", "tws.nc", "--plot", "a.txt"], "ends in .png or .pdf or .svg"),
        (["fill_gaps", "tws.nc", "--out", "era5.nc"], "is there already; type --overwrite"),
    ],
)
def test_wrong_usage(files, given, told):
    done = run(*given)
    assert done.exit_code == 2
    assert told in done.output


def test_errors_of_the_task(files):
    done = run("fill_gaps", "tws.nc", "--holdout", "stripes")
    assert done.exit_code == 1
    assert "--holdout stripes: expected one of" in done.output
    done = run("fill_gaps", "tws.nc", "--argument", "positive=true")
    assert done.exit_code == 1
    assert "'positive' is none of fill" in done.output, done.output
