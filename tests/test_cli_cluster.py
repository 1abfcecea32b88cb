"""Commands that compute on a cluster of dask.distributed."""

import builtins
import json
import logging
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from xgeoml import cli, cli_cluster
from xgeoml.exceptions import InputError

distributed = pytest.importorskip("distributed")
pytest.importorskip("netCDF4")
pytest.importorskip("zarr")
NAME = "lwe_thickness"


def run(*arguments):
    return CliRunner().invoke(cli.main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def scheduler():
    """Return the address of a cluster of one worker, in this process, and that of its file."""
    options = {"processes": False, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, protocol="tcp", **options
    ) as made:
        yield made


@pytest.fixture
def files(record, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record.to_netcdf("tws.nc", encoding={NAME: {"chunksizes": (30, 2, 5)}})
    return tmp_path


@pytest.fixture
def computed_by(monkeypatch):
    """Return the schedulers that dask is given while a result is written."""
    from dask.base import get_scheduler

    from xgeoml import cli_files

    save, seen = cli_files._save, []

    def noted(data, *rest):
        seen.append(getattr(get_scheduler(), "__self__", None))
        save(data, *rest)

    monkeypatch.setattr(cli_files, "_save", noted)
    return seen


@pytest.mark.parametrize("out", ["full.nc", "full.zarr", "full.zip"])
@pytest.mark.parametrize("model", ["linear", "kalman"])
def test_the_result_is_the_same(files, record, scheduler, computed_by, out, model):
    given = ["--model", model, "--spread", "--chunks", "time=30,lat=2,lon=5", "--out", out]
    done = run("fill-gaps", "tws.nc", *given, "--scheduler", scheduler.scheduler_address)
    assert done.exit_code == 0, done.output
    assert f"computing on {scheduler.scheduler_address}, 1 worker\n" in done.output
    assert f"{NAME}: 51 values filled, 189 still missing" in done.output
    (client,) = computed_by
    assert isinstance(client, distributed.Client)
    assert client.scheduler is None or client.status == "closed"
    expected = record.geoml.fill_gaps(model, spread=True)
    from xgeoml.cli_files import opened

    with opened([files / out]) as made:
        for name in expected.data_vars:
            np.testing.assert_allclose(made[name], expected[name], rtol=1e-6)
    assert not list(files.glob("*unfinished*"))


def test_the_file_of_a_scheduler(files, scheduler, computed_by):
    Path("scheduler.json").write_text(json.dumps({"address": scheduler.scheduler_address}))
    given = ["--model", "linear", "--out", "full.nc"]
    done = run("fill-gaps", "tws.nc", *given, "--scheduler", "scheduler.json")
    assert done.exit_code == 0, done.output
    assert len(computed_by) == 1


def test_workers_of_its_own(files, monkeypatch, scheduler):
    # Processes take their time to start.
    asked = []

    def client(**options):
        asked.append({**options, **dask.config.get("distributed.nanny.pre-spawn-environ")})
        return distributed_client(scheduler.scheduler_address)

    distributed_client = distributed.Client
    monkeypatch.setattr(distributed, "Client", client)
    done = run("fill-gaps", "tws.nc", "--model", "linear", "--workers", 3, "--out", "full.nc")
    assert done.exit_code == 0, done.output
    assert (asked[0]["n_workers"], asked[0]["threads_per_worker"]) == (3, 1)
    # They keep the memory that they free.
    assert asked[0]["MALLOC_TRIM_THRESHOLD_"] == 2**26
    assert dask.config.get("distributed.nanny.pre-spawn-environ")["MALLOC_TRIM_THRESHOLD_"] != 2**26


def test_without_a_cluster_threads_compute(files, computed_by):
    done = run("fill-gaps", "tws.nc", "--model", "linear", "--out", "full.nc")
    assert done.exit_code == 0, done.output
    assert not isinstance(computed_by[0], distributed.Client)
    assert "computing on" not in done.output


@pytest.mark.parametrize(
    ("given", "code", "told"),
    [
        (["--scheduler", "nowhere"], 2, "no such file; expected tcp://HOST:PORT"),
        (["--scheduler", "tcp://127.0.0.1:9"], 1, "none answers there: it timed out"),
        (["--scheduler", "a:1", "--workers", 1], 2, "give one"),
        (["--workers", 0], 2, "'--workers': 0 is not in the range"),
    ],
)
def test_wrong_calls(files, monkeypatch, given, code, told):
    def client(_address):
        raise OSError("it timed out")

    monkeypatch.setattr(distributed, "Client", client)
    done = run("fill-gaps", "tws.nc", "--model", "linear", "--out", "full.nc", *given)
    assert done.exit_code == code
    assert told in done.output
    assert "Traceback" not in done.output


def test_without_the_package(files, monkeypatch):
    load = builtins.__import__

    def fail(name, *args, **options):
        if name == "distributed":
            raise ImportError(name)
        return load(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", fail)
    for given in (["--workers", 2], ["--scheduler", "tcp://127.0.0.1:9"]):
        done = run("fill-gaps", "tws.nc", "--out", "full.nc", *given)
        assert done.exit_code == 1
        assert f"{given[0]} needs the package 'distributed'" in done.output
        assert 'Type: pip install "xgeoml[distributed]"' in done.output


def test_loggers_speak_again(files, scheduler, monkeypatch):
    def fill(data, **_options):
        raise InputError("that will do")

    monkeypatch.setattr("xgeoml.tasks.fill_gaps.fill_gaps", fill)
    levels = [logging.getLogger(name).level for name in ("asyncio", "distributed")]
    given = ["--out", "full.nc", "--scheduler", scheduler.scheduler_address]
    done = run("fill-gaps", "tws.nc", *given)
    assert "Error: that will do" in done.output
    assert [logging.getLogger(n).level for n in ("asyncio", "distributed")] == levels
    with cli_cluster._silenced("distributed"):
        assert not logging.getLogger("distributed").isEnabledFor(logging.CRITICAL)


@pytest.mark.parametrize(
    "arguments",
    [
        ["downscale", "--factor", 2, "--model", "bilinear"],
        ["interp-time", "--factor", 2, "--model", "linear"],
    ],
)
def test_the_other_tasks(files, scheduler, computed_by, arguments):
    given = ["--scheduler", scheduler.scheduler_address, "--out", "made.zarr"]
    done = run(arguments[0], "tws.nc", *arguments[1:], *given)
    assert done.exit_code == 0, done.output
    assert isinstance(computed_by[0], distributed.Client)
    with xr.open_zarr("made.zarr", consolidated=False) as made:
        assert NAME in made
