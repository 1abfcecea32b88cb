"""Files that the commands read and write: kinds, groups, chunks, and never half of one."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import xgeoml
from xgeoml import cli, cli_files

pytest.importorskip("netCDF4")
pytest.importorskip("zarr")
NAME = "lwe_thickness"


def run(*arguments):
    return CliRunner().invoke(cli.main, [str(a) for a in arguments])


@pytest.fixture
def files(record, tmp_path, monkeypatch):
    """Go to a folder with a record as netCDF, zarr, two halves, and groups."""
    monkeypatch.chdir(tmp_path)
    record.to_netcdf("tws.nc")
    record.isel(time=slice(0, 30)).to_netcdf("part_1.nc")
    record.isel(time=slice(30, None)).to_netcdf("part_2.nc")
    tree = xr.DataTree.from_dict({"/north": record.isel(lat=slice(2, 4)), "/b/south": record})
    tree.to_netcdf("groups.nc")
    return tmp_path


@pytest.mark.parametrize("where", ["land", "land.nc:land"])
def test_a_mask_of_zeros_and_ones_in_a_file(files, record, where):
    land = xr.DataArray([0.0, 1.0, 1.0, 0.0], {"lat": record["lat"]}, ["lat"], "land")
    record.assign(land=land).to_netcdf("land.nc")
    done = run("fill-gaps", "land.nc", "--model", "linear", "--mask", where, "--out", "full.nc")
    assert done.exit_code == 0, done.output
    expected = record.geoml.fill_gaps("linear", mask=land > 0.5)
    with xr.open_dataset("full.nc") as full:
        np.testing.assert_array_equal(full["lwe_thickness"], expected["lwe_thickness"])


@pytest.fixture
def zarr(files, record):
    record.chunk(lat=2, time=25).to_zarr("tws.zarr", consolidated=False)


def opened(path):
    return xr.open_zarr(path, consolidated=False).load()


def test_zarr_in_and_out(zarr, record):
    done = run("fill-gaps", "tws.zarr", "--model", "linear", "--out", "full.zarr")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[0] == f"written to full.zarr: {NAME}, {NAME}_fill_flag"
    full = record.geoml.fill_gaps("linear")
    np.testing.assert_array_equal(opened("full.zarr")[NAME], full[NAME])
    assert opened("full.zarr").chunksizes == {}
    done = run("fill-gaps", "tws.zarr", "--model", "linear", "--out", "full.zarr.zip")
    assert done.exit_code == 0, done.output
    done = run("interp-time", "full.zarr.zip", "--factor", 2, "--model", "linear", "--out", "a.nc")
    assert done.exit_code == 0, done.output
    assert not list(Path().glob("*unfinished*"))
    with xr.open_dataset("a.nc") as made:
        assert made.sizes["time"] == 125


def test_several_files_are_one_record(files, record):
    full = record.geoml.fill_gaps("linear")
    for given in (["part_*.nc"], ["part_2.nc", "part_1.nc"]):
        out = ["--model", "linear", "--overwrite", "--out", "full.nc"]
        done = run("fill-gaps", *given, *out)
        assert done.exit_code == 0, done.output
        with xr.open_dataset("full.nc") as made:
            np.testing.assert_array_equal(made[NAME], full[NAME])
            np.testing.assert_array_equal(made["time"], full["time"])
    done = run("fill-gaps", "piece_*.nc", "--out", "b.nc")
    assert done.exit_code == 2
    assert "'piece_*.nc' does not exist" in done.output


def test_groups(files, record):
    done = run("fill-gaps", "groups.nc", "--model", "linear", "--out", "full.nc")
    assert done.exit_code == 0, done.output
    whole = record.geoml.fill_gaps("linear")
    with xr.open_datatree("full.nc") as tree:
        assert set(tree.groups) == {"/", "/north", "/b", "/b/south"}
        np.testing.assert_array_equal(tree["b/south"][NAME], whole[NAME])
    done = run("fill-gaps", "groups.nc", "--group", "north", "--model", "linear", "--out", "one.nc")
    assert done.exit_code == 0, done.output
    with xr.open_dataset("one.nc") as made:
        assert made[NAME].sizes["lat"] == 2
    assert run("info", "groups.nc").output.count("T: time (60)") == 2
    # Gaps of small files are read.
    assert run("info", "groups.nc").output.count("3 steps absent, longest run") == 2
    assert "not read" not in run("info", "tws.zarr").output
    assert run("info", "groups.nc", "--group", "/b/south").output.count("T: time (60)") == 1
    done = run("info", "groups.nc", "--group", "south")
    assert done.exit_code == 1
    assert "no group 'south'; it has /, /north, /b, /b/south" in done.output.replace("\n", " ")
    assert "kalman" in run("models", "groups.nc").output
    done = run("fill-gaps", "groups.nc", "--model", "linear", "--out", "full.zarr")
    assert done.exit_code == 0, done.output
    assert (files / "full.zarr" / "b" / "south").is_dir()


def test_names_in_other_files(files, record):
    land = xr.Dataset({"land": record[NAME].isel(time=0, drop=True).notnull()})
    xr.DataTree.from_dict({"/masks": land, "/a": record}).to_netcdf("g.nc")
    given = ["fill-gaps", "tws.nc", "--model", "linear", "--out", "full.nc"]
    done = run(*given, "--mask", "g.nc:land")
    assert done.exit_code == 0, done.output
    expected = record.geoml.fill_gaps("linear", mask=land["land"])
    with xr.open_dataset("full.nc") as made:
        np.testing.assert_array_equal(made[NAME], expected[NAME])
    done = run(*given, "--overwrite", "--mask", "g.nc:sea")
    assert done.exit_code == 2
    assert "g.nc has land, lwe_thickness, no 'sea'" in done.output


def test_chunks(files, monkeypatch):
    seen = []

    def fill(data, **options):
        seen.append(data.chunksizes)
        return data

    monkeypatch.setattr("xgeoml.tasks.fill_gaps.fill_gaps", fill)
    for chunks in (None, "time=20,lat=-1", "auto"):
        given = [] if chunks is None else ["--chunks", chunks]
        done = run("fill-gaps", "tws.nc", "--overwrite", "--out", "a.nc", *given)
        assert done.exit_code == 0, done.output
    assert [s["time"] for s in seen] == [(60,), (20, 20, 20), (60,)]
    for wrong in ("time", "time=x", "time=0", "=3", "time=-2"):
        done = run("fill-gaps", "tws.nc", "--out", "b.nc", "--chunks", wrong)
        assert done.exit_code == 2
        assert "expected auto, or such as time=100,lat=50" in done.output


def test_compression_and_progress(files):
    given = ["tws.nc", "--model", "linear"]
    done = run("fill-gaps", *given, "--out", "full.nc", "--compress", 4, "--progress")
    assert done.exit_code == 0, done.output
    assert "100% Completed" in done.output
    with xr.open_dataset("full.nc") as made:
        assert made[NAME].encoding["complevel"] == 4
        assert made[f"{NAME}_fill_flag"].encoding["zlib"]
    done = run("fill-gaps", *given, "--out", "full.zarr", "--compress", 4)
    assert done.exit_code == 2
    assert "--compress is of netCDF" in done.output
    done = run("fill-gaps", "groups.nc", "--model", "linear", "--out", "g.nc", "--compress", 1)
    assert done.exit_code == 0, done.output
    with xr.open_dataset("g.nc", group="b/south") as made:
        assert made[NAME].encoding["complevel"] == 1


def test_axes_that_are_not_found(files, record):
    record.rename(time="record").drop_vars("record").assign_coords(
        record=("record", record.time.values)
    ).to_netcdf("odd.nc")
    done = run("interp-time", "odd.nc", "--factor", 2, "--dims", "T=record", "--out", "a.nc")
    assert done.exit_code == 0, done.output
    done = run("interp-time", "odd.nc", "--factor", 2, "--dims", "time", "--out", "b.nc")
    assert done.exit_code == 2
    assert "--dims time: expected AXIS=DIM" in done.output


def test_nothing_is_replaced_unasked(zarr):
    for out in ("full.nc", "full.zarr", "full.zip"):
        given = ["fill-gaps", "tws.nc", "--model", "linear", "--out", out]
        assert run(*given).exit_code == 0
        done = run(*given)
        assert done.exit_code == 2
        assert f"{out} is there already; type --overwrite to replace it" in done.output
        assert run(*given, "--spread", "--model", "kalman", "--overwrite").exit_code == 0
        with cli_files.opened([Path(out)]) as made:
            assert f"{NAME}_spread" in made
    done = run("fill-gaps", "tws.nc", "--overwrite", "--out", "tws.nc")
    assert done.exit_code == 2
    assert "is the record itself" in done.output
    given = ["fill-gaps", "tws.nc", "--covariates", "part_1.nc:tp", "--out", "part_1.nc"]
    assert "is one of the files that are read" in run(*given, "--overwrite").output


@pytest.mark.parametrize("out", ["full.nc", "full.zarr", "full.zip"])
def test_an_error_leaves_nothing_behind(files, monkeypatch, out):
    save = cli_files._save

    def fail(data, path, *rest):
        save(data, path, *rest)
        raise OSError("no space left on device")

    before = set(files.iterdir())
    monkeypatch.setattr(cli_files, "_save", fail)
    done = run("fill-gaps", "tws.nc", "--model", "linear", "--out", out)
    assert done.exit_code == 1
    assert f"Error: {out} cannot be written: no space left on device" in done.output
    assert set(files.iterdir()) == before


# Fills a record of several chunks, each of which takes its time to be written.
SLOW = """
import signal, sys, time
from xgeoml import cli, cli_files
# A shell has the jobs in its background ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
save = cli_files._save
def block(values):
    print("writing", flush=True)
    time.sleep(float(sys.argv[1]))
    return values
def slow(data, path, *rest):
    name = next(iter(data.data_vars))
    made = data[name].data.map_blocks(block, dtype=data[name].dtype, meta=data[name].data._meta)
    save(data.assign({name: data[name].copy(data=made)}), path, *rest)
cli_files._save = slow
cli.main(sys.argv[2:])
"""


@pytest.mark.parametrize(
    ("out", "number", "code"),
    [
        ("full.nc", signal.SIGTERM, 143),
        ("full.zarr", signal.SIGINT, 130),
        ("full.nc", signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_a_run_that_is_stopped_leaves_no_half_file(zarr, files, out, number, code):
    xgeoml.datasets.grace_like(nlat=4, nlon=5).to_netcdf("full.nc")
    before = Path("full.nc").read_bytes()
    given = ["fill-gaps", "tws.zarr", "--model", "linear", "--overwrite", "--out", out]
    # Where it has to end by itself the chunk at work is finished first.
    seconds = "60" if number == signal.SIGKILL else "0.5"
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, seconds, *given],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "writing\n"
        left = [path.name for path in files.glob("*unfinished*")]
        assert left == [f"{out}.unfinished-{process.pid}"]
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    assert process.returncode == code, told
    assert "Traceback" not in told
    assert Path("full.nc").read_bytes() == before
    assert not Path("full.zarr").exists()
    there = [path.name for path in files.glob("*unfinished*")]
    assert there == (left if number == signal.SIGKILL else [])
