import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors import safe_open
from safetensors.torch import load_file

from xgeoml.datasets import grace_like
from xgeoml.models.catalog import BUILT_IN
from xgeoml.models.grace_tf import GraceTF
from xgeoml.tasks.fill_gaps import fill_gaps
from xgeoml.train.recipes import grace_records, grace_tf
from xgeoml.train.recipes.grace_patterns import make_pool, mix
from xgeoml.train.recipes.grace_records import Record, read_records, scored_steps, validation_steps
from xgeoml.weights.store import find, read_spec

MONTHS = 150
TINY = {"d_model": 8, "layers": 1, "heads": 2, "ffn": 8, "kernel": 5, "driver_width": 4}


def field(rng, *shape):
    """Return cycles, a trend and noise that lasts, time first; two months absent in each year."""
    t = np.arange(MONTHS).reshape(-1, *(1 for _ in shape))
    noise = rng.standard_normal((MONTHS, *shape))
    for k in range(1, MONTHS):
        noise[k] += 0.8 * noise[k - 1]
    values = 10.0 * np.cos(2 * np.pi * t / 12) + 0.05 * t + 3.0 * noise
    values[7::24] = np.nan
    return values.astype(np.float32)


@pytest.fixture
def data_path(tmp_path):
    """Return a folder of small records with the names and places of the real ones."""
    rng = np.random.default_rng(0)
    time = np.datetime64("2004-01", "M") + np.arange(MONTHS)
    (tmp_path / "grace").mkdir()
    grids = {
        "grace_csr": ([-30.0, -5.0, 15.0, 50.0], [-52.0, -60.0, 20.0, 105.0]),
        "grace_brazil": ([-30.0, -29.0], [-55.0, -54.0]),
        "grace_indochina": ([15.0, 16.0], [105.0, 106.0]),
    }
    for name, file in grace_records.RECORDS.items():
        drivers = grace_records.DRIVERS.get(name, ())
        if name in grids:
            lat, lon = grids[name]
            dims, coords = ("time", "lat", "lon"), {"time": time, "lat": lat, "lon": lon}
            shape = (len(lat), len(lon))
        else:
            dims, coords, shape = ("time", "region"), {"time": time}, (3,)
        data = {"lwe_thickness": (dims, field(rng, *shape))}
        for driver in drivers:
            data[driver] = (dims, np.nan_to_num(field(rng, *shape)))
        coords["time"] = time.astype("M8[ns]")
        made = xr.Dataset(data, coords)
        order = ("region", "time") if name == "grace_regions" else dims
        made.transpose(*order).to_netcdf(tmp_path / file, engine="scipy")
    return tmp_path


def test_records_lack_the_scored_months(data_path):
    records = {r.name: r for r in read_records(data_path)}
    assert list(records) == [
        "grace_csr_world",
        "grace_csr_america",
        "grace_brazil",
        "grace_indochina",
        "grace_regions",
    ]
    sizes = [len(r.series.values) for r in records.values()]
    assert sizes == [11, 3, 4, 4, 3]
    for record in records.values():
        with xr.open_dataset(data_path / grace_records.RECORDS["grace_csr"]) as world:
            observed = np.isfinite(world.lwe_thickness.values).any((1, 2))
        bad = np.isin(
            np.datetime64("2004-01", "M") + np.arange(MONTHS),
            np.array(grace_records.BAD["grace_csr"], "M8[M]"),
        )
        scored = [scored_steps(observed, bad, seed, 12) for seed in (1, 2, 3)]
        assert np.isnan(record.series.values[:, np.any(scored, axis=0)]).all()
        assert not record.target[np.any(scored, axis=0)].any()
        assert np.isfinite(record.series.values).any()


@pytest.mark.parametrize("seed", [1, 2, 3, 7])
def test_scored_steps_are_those_of_the_benchmark(request, seed):
    real = request.getfixturevalue("real_bench")
    observed = np.ones(200, bool)
    observed[[30, 31, 90, 150]] = False
    bad = np.zeros(200, bool)
    bad[60] = True
    theirs = real.whole_steps(200, seed, blocks=1, singles=12, observed=observed, bad=bad)
    assert np.array_equal(scored_steps(observed, bad, seed, 12), theirs > 0)


@pytest.fixture
def real_bench():
    """Return the benchmark's own module, or skip."""
    from tests.conftest import ROOT

    path = ROOT.parent / "shared" / "bench" / "score.py"
    if not path.is_file():
        pytest.skip(f"no benchmark at {path}")
    found = importlib.util.spec_from_file_location("score", path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_pattern_hides_what_it_asks_for(data_path):
    record = read_records(data_path)[0]
    steps = validation_steps(record, 0)
    hidden = np.broadcast_to(steps, record.series.values.shape)
    pattern = grace_tf.make_pattern(record, hidden, 5, np.random.default_rng(0))
    assert pattern.x.shape == (5, 9, MONTHS)
    assert not pattern.x[:, :2][..., steps].any()
    assert np.isfinite(pattern.truth[:, steps]).all()
    assert np.isnan(pattern.truth[:, ~steps]).all()
    changed = record.series.values.copy()
    changed[hidden] += 100.0
    spoilt = Record(record.name, replace(record.series, values=changed), record.target)
    other = grace_tf.make_pattern(spoilt, hidden, 5, np.random.default_rng(0))
    assert np.array_equal(pattern.x, other.x)


def test_run_resumes_and_exports(data_path, tmp_path, monkeypatch):
    monkeypatch.setattr(grace_tf, "NETWORK", {**grace_tf.NETWORK, **TINY})
    was = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    out = tmp_path / "run"
    patterns = ["--patterns", *["1"] * 5, "--series", "4", "--threads", "1"]
    patterns += ["--options", '{"causal": true, "attention": "logsparse"}']
    common = ["--data-path", str(data_path), "--out", str(out), *patterns]
    try:
        grace_tf.main([*common, "--steps", "2", "--validate"])
        first = (out / "grace_tf-1.0.safetensors").read_bytes()
        grace_tf.main([*common, "--steps", "3", "--validate"])
    finally:
        torch.set_num_threads(was[0])
        torch.use_deterministic_algorithms(was[1])
    assert (out / "grace_tf-1.0.safetensors").read_bytes() != first
    with safe_open(out / "last.safetensors", "pt") as file:
        assert file.metadata() == {"step": "3"}
    spec = read_spec(out / "grace_tf-1.0.safetensors")
    assert (spec.options["causal"], spec.options["attention"]) == (True, "logsparse")
    assert spec.inputs == BUILT_IN["grace_tf"].inputs
    record = grace_like(nlat=4, nlon=5)
    ours, shipped = (fill_gaps(record, m) for m in (out / "grace_tf-1.0.safetensors", "grace_tf"))
    assert ours.lwe_thickness.isnull().equals(shipped.lwe_thickness.isnull())
    assert not ours.equals(shipped)
    weights = load_file(out / "grace_tf-1.0.safetensors")
    GraceTF(**spec.options).load_state_dict(weights)
    table = json.loads((out / "skill.json").read_text())
    assert set(table["grace_brazil"]) == {"rmse", "kalman", "regression", "kalman_alone", "inside"}
    assert "grace_brazil without drivers" in table


def test_saved_run_goes_on_the_same(tmp_path):
    run = grace_tf.start_run(TINY, 0)
    x = torch.randn(2, 9, 30)
    run.network(x).square().sum().backward()
    run.optimiser.param_groups[0]["lr"] = 1e-2
    run.optimiser.step()
    run.step = 5
    run.save(tmp_path / "a.safetensors")
    other = grace_tf.start_run(TINY, 1)
    other.load(tmp_path / "a.safetensors")
    assert other.step == 5
    for one, two in zip(run.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(one, two)
    ours, theirs = (r.optimiser.state_dict()["state"] for r in (run, other))
    for i, state in ours.items():
        assert all(torch.equal(v, theirs[i][k]) for k, v in state.items())


def test_mixed_series_are_scaled_and_consistent(data_path):
    record = read_records(data_path)[2]
    hidden = np.broadcast_to(validation_steps(record, 0), record.series.values.shape)
    pattern = grace_tf.make_pattern(record, hidden, 5, np.random.default_rng(0))
    x, truth, weight = mix(pattern, slice(10, 120), 20, np.random.default_rng(1))
    assert x.shape == (20, 11, 110)
    known = x[:, 1] > 0.5
    values = np.where(known, x[:, 0], np.nan)
    assert np.allclose(np.nanmean(values, 1), 0.0, atol=1e-4)
    assert np.allclose(np.nanstd(values, 1), 1.0, atol=1e-3)
    assert np.allclose(x[:, 9:].std(2), 1.0, atol=1e-3)
    assert (weight > 0.0).all()
    wanted = np.isfinite(pattern.truth[0, 10:120])
    assert np.array_equal(np.isfinite(truth), np.broadcast_to(wanted, truth.shape))
    # What the bases miss keeps its size against their spread.
    before = (pattern.truth - pattern.x[:, 3])[:, 10:120][:, wanted]
    before /= np.exp(pattern.x[:, 4, 10:120][:, wanted])
    after = (truth - x[:, 3])[:, wanted] / np.exp(x[:, 4][:, wanted])
    assert 0.5 < np.std(after) / np.std(before) < 2.0


def test_shipped_weight_and_catalogue_agree():
    spec = BUILT_IN["grace_tf"]
    shipped = read_spec(find(spec.weights))
    assert shipped.replace(weights=spec.weights) == spec


def test_interrupted_run_ends_at_the_same_weight(data_path, tmp_path, monkeypatch):
    pool = make_pool(read_records(data_path)[:1], [2], 8, 0)
    whole = grace_tf.start_run(TINY, 0)
    grace_tf.train(whole, pool, 4, tmp_path, size=16)

    def stop(step, steps):
        if step == 2:
            raise KeyboardInterrupt
        return usual(step, steps)

    usual = grace_tf.schedule
    part = grace_tf.start_run(TINY, 0)
    monkeypatch.setattr(grace_tf, "schedule", stop)
    with pytest.raises(KeyboardInterrupt):
        grace_tf.train(part, pool, 4, tmp_path, size=16)
    monkeypatch.setattr(grace_tf, "schedule", usual)
    part.save(tmp_path / "part.safetensors")
    resumed = grace_tf.start_run(TINY, 1)
    resumed.load(tmp_path / "part.safetensors")
    grace_tf.train(resumed, pool, 4, tmp_path, size=16)
    for one, two in zip(whole.mean.parameters(), resumed.mean.parameters(), strict=True):
        assert torch.equal(one, two)
