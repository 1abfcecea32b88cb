"""Worker processes of dask.distributed: the same bits, and what a cluster may do to a worker."""

import sys
from collections import Counter

import dask
import numpy as np
import pytest
import toy_cluster
import toy_in_time
import toy_training
import toy_waves
import xarray as xr

import xgeoml
from xgeoml.engine import in_time_run, inversion, refine
from xgeoml.spec import ModelSpec
from xgeoml.testing.compare import small_tiles

distributed = pytest.importorskip("distributed")
NAME = "lwe_thickness"
# Networks of the package, whose weights come with it, by what they are for.
NETWORKS = {"fill": "grace_tf", "finer": "subgrid", "between": "temdeep", "sources": "eq_tf"}
MB = 2**20
# Bytes of results that a worker may hold in memory, and of one that is too large for both.
KEPT, LARGE = 4 * MB, 32 * MB


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Return the client of two processes, which may each hold results of `KEPT` bytes."""
    # The modules alone are more than that: what counts here are results.
    memory = {"target": 0.5, "spill": False, "pause": False, "terminate": False}
    config = {f"distributed.worker.memory.{name}": value for name, value in memory.items()}
    options = {
        "threads_per_worker": 1,
        "memory_limit": 2 * KEPT,
        "local_directory": str(tmp_path_factory.mktemp("workers")),
        "dashboard_address": "127.0.0.1:0",
        "host": "127.0.0.1",
    }
    with (
        dask.config.set(config),
        distributed.LocalCluster(n_workers=2, processes=True, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def large(tmp_path):
    """Return a small record in a store, whose hourly fields are too large."""
    pytest.importorskip("zarr")
    steps = LARGE // (64 * 64 * 4 * 6)
    values = np.random.default_rng(0).integers(0, 9, (64, 64)) + np.arange(steps)[:, None, None]
    times = np.datetime64("2001-01-01", "ns") + np.arange(steps) * np.timedelta64(6, "h")
    dims, attrs = ("time", "y", "x"), {"units": "K"}
    record = xr.DataArray(values.astype("f4"), {"time": times}, dims, "t2m", attrs)
    path, encoding = tmp_path / "record.zarr", {"t2m": {"chunks": (16, 64, 64)}}
    record.to_dataset().to_zarr(path, encoding=encoding, consolidated=False)
    return xr.open_zarr(path, consolidated=False).t2m


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_results_larger_than_memory(client, large, tmp_path, monkeypatch):
    monkeypatch.setattr(in_time_run, "_FEWEST", MB // 4)
    hourly = large.geoml.interp_time("1h", "linear")
    with dask.config.set(scheduler="sync"):
        expected = large.compute().geoml.interp_time("1h", "linear", progress=False)
    assert hourly.nbytes > 0.95 * LARGE

    # Streamed: chunks go into the store, and do not stay.
    peaks = []
    for some in (hourly[: hourly.sizes["time"] // 4], hourly):
        some.drop_encoding().to_zarr(tmp_path / "made.zarr", mode="w", consolidated=False)
        peaks.append(client.run(toy_cluster.peak))
    assert all(peaks[1][worker] - peak < 2 * KEPT for worker, peak in peaks[0].items()), peaks
    assert sum(client.run(toy_cluster.spilt).values()) == 0
    with xr.open_zarr(tmp_path / "made.zarr", consolidated=False) as made:
        np.testing.assert_array_equal(made.t2m, expected)

    # Kept by the workers: what is too much lies on their disks.
    held = hourly.persist()
    distributed.wait(held)
    assert sum(client.run(toy_cluster.spilt).values()) > LARGE / 2
    np.testing.assert_array_equal(held, expected)


@pytest.fixture(scope="module")
def events():
    made = xr.concat([toy_waves.waves(seed=seed) for seed in range(7)], "event")
    return made.drop_vars("source")


@pytest.fixture(scope="module")
def maps():
    """Return maps with cells missing here and there."""
    made = toy_training.cycles(12, 14, steps=5)
    missing = np.random.default_rng(0).random(made.shape) < 0.2
    return made.where(~missing).to_dataset()


@pytest.fixture(scope="module")
def coarse():
    fine = xgeoml.datasets.hourly_temperature(hours=24, nlat=12, nlon=16)
    return fine.rename(latitude="lat", longitude="lon")


def fill(data, model):
    return data.geoml.fill_gaps(model, spread=True, progress=False)


def patch(data, model):
    return data.geoml.fill_gaps(model, progress=False)


def finer(data, model):
    return data.geoml.downscale(2, model, progress=False)


def between(data, model):
    return data.geoml.interp_time("2h", model, progress=False)


def sources(data, model):
    return data.geoml.invert_waveform(
        model, greens="greens", spread=model == "eq_tf", progress=False
    )


CALLS = {"fill": fill, "patch": patch, "finer": finer, "between": between, "sources": sources}
SERIES = [{"lat": 2, "lon": 3}, {"time": 20, "lat": 1}]
MAPS = [{"lat": 5, "lon": 6}, {"lat": 4, "time": 2}]
FIELDS = [{"time": 5}, {"time": 8, "lat": 2, "lon": 3}]
EVENTS = [{"event": 3}, {"event": 1, "station": 1, "time": 50}]
CASES = [
    *[("fill", "kalman", c) for c in SERIES],
    *[("fill", "grace_tf", c) for c in SERIES],
    *[("patch", toy_training.FIELD, c) for c in MAPS],
    *[("finer", "conservative", c) for c in FIELDS],
    *[("finer", "subgrid", c) for c in FIELDS],
    *[("between", "akima", c) for c in FIELDS],
    *[("between", "temdeep", c) for c in FIELDS],
    *[("sources", "nnls", c) for c in EVENTS],
    *[("sources", "eq_tf", c) for c in EVENTS],
]


@pytest.fixture(scope="module")
def expected(record, maps, coarse, events):
    """Return what is made of data in memory, by call and model; made once each."""
    data = {
        "fill": record,
        "patch": maps,
        "finer": coarse,
        "between": toy_in_time.record(40).to_dataset(),
        "sources": events,
    }
    made = {}

    def of(call, model):
        name = getattr(model, "name", model)
        if name not in made:
            made[name] = CALLS[call](data[call], model)
        return data[call], made[name]

    return of


@pytest.fixture
def cut_finely(monkeypatch):
    """Have the engine cut tiny data as it cuts large ones: several tiles, passes and tasks."""
    monkeypatch.setattr(refine, "PASS_ELEMENTS", 4 * 24 * 32)
    monkeypatch.setattr(in_time_run, "_FEWEST", 1)
    monkeypatch.setattr(inversion, "ELEMENTS", 1)
    with small_tiles():
        yield


@pytest.mark.parametrize(
    ("call", "model", "chunks"),
    CASES,
    ids=lambda value: getattr(value, "name", None) or str(value).replace(" ", ""),
)
def test_the_same_bits(client, cut_finely, expected, call, model, chunks):
    data, whole = expected(call, model)
    lazy = CALLS[call](data.chunk(chunks), model)
    assert max(v.data.npartitions for v in lazy.data_vars.values() if v.chunks) > 1
    for name, made in lazy.compute().data_vars.items():
        np.testing.assert_array_equal(made, whole[name])


def test_each_weight_is_loaded_once_a_worker(client, cut_finely, expected):
    client.run(toy_cluster.forget_models)
    for call, model in NETWORKS.items():
        data, _ = expected(call, model)
        chunks = {"event": 1} if call == "sources" else {"lat": 2, "time": 10}
        CALLS[call](data.chunk(chunks), model).compute()
    files = {xgeoml.get_model(model).weights.file: 1 for model in NETWORKS.values()}
    assert list(client.run(toy_cluster.loads).values()) == [files, files]


def test_a_killed_worker_costs_only_its_tasks(client, cut_finely, record, tmp_path):
    log, marker = tmp_path / "log", tmp_path / "killed"
    spec = ModelSpec(
        name="noted",
        task="fill_gaps",
        factory="toy_cluster:Noted",
        backend="numpy",
        options={"log": str(log)},
    )
    lazy = record[NAME].chunk(lat=1, lon=1)
    # The summary, and a third of the series.
    given = {"log": str(log), "marker": str(marker), "after": 1 + record[NAME][0].size // 3}
    values = lazy.data.map_blocks(toy_cluster.killer, **given, meta=np.empty((0,) * 3, "f4"))
    with small_tiles(series=1):
        filled = lazy.copy(data=values).geoml.fill_gaps(spec)
        expected = record[NAME].chunk(lat=1, lon=1).geoml.fill_gaps(spec)
    made = filled.compute()
    lines = [line.split() for line in log.read_text().splitlines()]
    said = [(process, what) for process, what in lines if what != "summary"]
    dead, lost = marker.read_text(), Counter(what for _, what in said)
    there = {what for process, what in said if process == dead}
    # Each series once; again only those of the process that is no more.
    assert {what for what, times in lost.items() if times > 1} <= there
    assert max(lost.values()) <= 2
    assert len(lost) == int(record[NAME].notnull().any("time").sum())
    xr.testing.assert_identical(made.drop_attrs(), expected.compute(scheduler="sync").drop_attrs())
