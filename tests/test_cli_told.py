"""What commands say of files that are none, and of their results."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import xgeoml
from xgeoml import cli, cli_kinds, cli_told, demo, options

pytest.importorskip("netCDF4")
pytest.importorskip("zarr")


def run(*arguments):
    return CliRunner().invoke(cli.main, [str(a) for a in arguments])


@pytest.fixture
def files(record, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record.to_netcdf("tws.nc")
    return tmp_path


# ---------------------------------------------------------------- files that are none
@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.nc", b"", "it is empty; expected netCDF (*.nc), a zarr folder"),
        ("a.nc", b"lon,lat\n1,2\n", "it is text, which begins with 'lon,lat'; expected netCDF"),
        ("a.csv", b"x" * 90, f"begins with '{'x' * 40}'; expected"),
        ("a.txt", "höhe;länge\n1;2".encode(), "it is text, which begins with 'höhe;länge'"),
        ("a.nc", b"\x00\x01\x02", "of a kind that is not known; expected"),
        ("a.nc", b"\xfe\xff\xff\xffab", "of a kind that is not known; expected"),
        ("a.nc", b"GRIB\x00", "a GRIB file, which xarray opens with the package cfgrib"),
        ("a.nc", b"II*\x00\x01", "it is a TIFF file"),
        ("a.nc", b"\x1f\x8b\x08", "packed by gzip; type gunzip first"),
        ("a.nc", b"PK\x03\x04", "it is a zip file; expected a name that ends in .zip"),
        ("a.zip", b"hello", "it is text, which begins with 'hello'"),
        ("a.zip", b"PK\x03\x04", "cut short: 4 bytes are here"),
        ("a.nc", b"CDF\x01", "it begins as netCDF does, and cannot be read: cut short or"),
        ("a.nc", b"\x89HDF\r\n\x1a\n", "damaged (8 bytes are here)"),
    ],
)
def test_what_a_file_is_that_cannot_be_opened(files, name, content, told):
    Path(name).write_bytes(content)
    for command in (["info"], ["fill-gaps", "--out", "full.nc"]):
        done = run(command[0], name, *command[1:])
        assert done.exit_code == 1
        assert f"Error: {name} cannot be opened: it " in done.output
        assert told in done.output
        assert "engine" not in done.output
        assert len(done.output.splitlines()) == 1


def test_a_file_that_is_cut_short(files):
    Path("cut.nc").write_bytes(Path("tws.nc").read_bytes()[:3000])
    done = run("info", "cut.nc")
    assert "cut.nc cannot be opened: it begins as netCDF does" in done.output
    # Of several, which one it is.
    done = run("fill-gaps", "tws.nc", "cut.nc", "--out", "full.nc")
    assert "cut.nc cannot be opened: it begins as netCDF does" in done.output
    done = run("fill-gaps", "tws.nc", "--covariates", "cut.nc:tp", "--out", "full.nc")
    assert "cut.nc cannot be opened: it begins as netCDF does" in done.output


def test_a_folder_that_is_no_zarr(files):
    Path("a.zarr").mkdir()
    done = run("info", "a.zarr")
    assert "a.zarr cannot be opened: it is a folder without zarr.json" in done.output


def test_what_is_wrong_with_a_sound_file_is_what_xarray_says(files):
    bad = xr.Dataset({"a": ("time", [1.0])}, {"time": ("time", [1], {"units": "days since ever"})})
    bad.to_netcdf("odd.nc")
    done = run("info", "odd.nc")
    assert "odd.nc cannot be opened: " in done.output
    assert "unable to decode time units" in done.output


@pytest.mark.parametrize(
    ("package", "arguments", "told"),
    [
        ("zarr", ["fill-gaps", "tws.nc", "--out", "full.zarr"], "full.zarr needs the package"),
        ("netCDF4", ["info", "tws.nc"], "tws.nc, of netCDF 4, needs the package 'netCDF4'"),
    ],
)
def test_a_package_that_is_missing(files, monkeypatch, package, arguments, told):
    find = cli_kinds.importlib.util.find_spec
    gone = {package, "h5netcdf"}
    monkeypatch.setattr(
        cli_kinds.importlib.util, "find_spec", lambda n, *a: None if n in gone else find(n, *a)
    )

    def fail(*_args, **_options):
        raise ValueError("did not find a match in any of xarray's engines")

    if package == "netCDF4":
        monkeypatch.setattr(xr, "open_dataset", fail)
    done = run(*arguments)
    assert done.exit_code == 1
    assert told in done.output
    assert 'Type: pip install "xgeoml[io]"' in done.output


# ---------------------------------------------------------------- what was filled
def test_how_many_values_are_filled_and_missing(files, record):
    done = run("fill-gaps", "tws.nc", "--model", "linear", "--out", "full.nc")
    filled = "lwe_thickness: 51 values filled, 189 still missing, in cells that were never"
    assert done.output.splitlines()[1] == f"{filled} observed"
    given = ["fill-gaps", "tws.nc", "--overwrite", "--model", "linear", "--out", "full.nc"]
    done = run(*given, "--max-gap", 1)
    assert "17 values filled, 223 still missing: 189 in cells" in done.output
    assert "34 in gaps above --max-gap" in done.output
    land = record["lwe_thickness"].isel(time=0, drop=True).notnull() & (record.lat > -17)
    land.to_dataset(name="land").to_netcdf("land.nc")
    done = run(*given, "--mask", "land.nc:land")
    assert " outside --mask\n" in done.output
    done = run(*given, "--mask", "land.nc:land", "--max-gap", 1)
    assert " outside --mask or in gaps above --max-gap\n" in done.output
    with xr.open_dataset("full.nc") as full:
        flag = full["lwe_thickness_fill_flag"]
        assert f": {int((flag == 1).sum())} values filled, {int((flag == 2).sum())} " in done.output


def test_what_a_model_does_not_know_and_what_is_complete(files, record):
    full = xgeoml.fill_gaps(record.isel(lat=[3], lon=[0, 1]), "linear")
    flag = full["lwe_thickness_fill_flag"]
    assert list(cli_told.filled_in(full, {})) == ["lwe_thickness: 6 values filled, none missing"]
    # A model of one's own need not have a value everywhere.
    flag[0] = 2
    assert list(cli_told.filled_in(full, {"dims": {"T": "time", "Z": "depth"}})) == [
        "lwe_thickness: 6 values filled, 2 still missing, of which the model knows nothing"
    ]
    # Suspect values are observed ones.
    flag[1:] = 3
    assert "2 still missing, of which the model" in next(cli_told.filled_in(full, {}))


def test_what_was_filled_in_groups(files, record):
    tree = xr.DataTree.from_dict({"/a/b": record})
    tree.to_netcdf("groups.nc")
    done = run("fill-gaps", "groups.nc", "--model", "linear", "--out", "g.nc")
    assert "a/b/lwe_thickness: 51 values filled" in done.output


# ---------------------------------------------------------------- the best model
@pytest.fixture
def two_models(monkeypatch):
    from xgeoml.tasks import contenders

    monkeypatch.setattr(contenders, "ready_models", lambda *_args: ["linear"])


def test_the_best_model_is_told_at_a_terminal_or_not(files, two_models, monkeypatch):
    given = ["fill-gaps", "tws.nc", "--model", "best", "--overwrite", "--out", "full.nc"]
    done = run(*given)
    assert done.exit_code == 0, done.output
    assert done.output.count("--model best: ") == 1
    assert "rmse" in done.output
    assert "best" not in run(*given, "--no-progress").output
    done = run(*given, "--progress")
    assert done.output.count("best") == 1


def test_the_help_knows_the_best_model():
    for command in ("fill-gaps", "downscale", "interp-time", "invert-waveform"):
        assert "or best: the winner" in " ".join(run(command, "--help").output.split())


def test_progress_is_an_option_of_the_task(files, monkeypatch):
    asked = []

    def fill(data, **_options):
        asked.append(options.get_options().progress)
        return data

    monkeypatch.setattr("xgeoml.tasks.fill_gaps.fill_gaps", fill)
    for given in ([], ["--progress"], ["--no-progress"]):
        assert run("fill-gaps", "tws.nc", "--overwrite", "--out", "a.nc", *given).exit_code == 0
    assert asked == ["auto", True, False]


# ---------------------------------------------------------------- the demo's choice
def scores(low, high, failed=False):
    lost = np.nan if failed else 1.0
    return xr.Dataset(
        {
            "rmse": (("model", "repeat"), [[1.0, 1.0], [lost + 1, lost + 1]], {"units": "cm"}),
            "difference": ("model", [0.0, lost]),
            "difference_low": ("model", [0.0, np.nan if failed else low]),
            "difference_high": ("model", [0.0, np.nan if failed else high]),
            "error": ("model", ["", "it failed" if failed else ""]),
            "hidden": ("repeat", [5, 5]),
        },
        {"model": ["network", "plain"], "repeat": [0, 1]},
        {"xgeoml_evaluation": "1", "score": "rmse", "best": "network", "task": "fill_gaps"},
    )


@pytest.mark.parametrize(
    ("low", "high", "default", "model", "why"),
    [
        (-0.1, 2.1, "plain", "plain", "network is not surely better (the error is 1 cm smaller"),
        (0.0, 2.0, "plain", "plain", "network is not surely better"),
        (0.1, 1.9, "plain", "network", "surely better than plain, the default for such data"),
        (0.1, 1.9, "network", "network", "no model has a smaller error here"),
    ],
)
def test_the_demo_takes_the_default_unless_another_is_surely_better(low, high, default, model, why):
    taken, told = demo.chosen(scores(low, high), default)
    assert taken == model
    assert why in told


def test_the_demo_takes_the_best_where_the_default_failed():
    taken, told = demo.chosen(scores(0, 0, failed=True), "plain")
    assert taken == "network"
    assert "plain, the default, failed" in told
