import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import load_file

from xgeoml.datasets import grace_like
from xgeoml.models.catalog import BUILT_IN
from xgeoml.models.grace_tf import GraceTF
from xgeoml.tasks.fill_gaps import fill_gaps
from xgeoml.train.module import Training
from xgeoml.train.patterns import Ingredients
from xgeoml.train.pool import BASELINES
from xgeoml.train.recipes import grace_records, grace_tf
from xgeoml.train.recipes.grace_records import read_cases, read_records, scored_steps
from xgeoml.train.settings import Settings
from xgeoml.weights.files import read_card, read_spec
from xgeoml.weights.store import find

MONTHS = 150
TAKES_DRIVERS = any(c.role == "covariates" for c in BUILT_IN["grace_tf"].inputs)
TINY = {"d_model": 8, "layers": 1, "heads": 2, "ffn": 8, "kernel": 5}
TINY["driver_width"] = 4 * TAKES_DRIVERS


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
        away = np.any(scored, axis=(0, 1))
        assert np.isnan(record.series.values[:, away]).all()
        assert not record.target[away].any()
        assert np.isfinite(record.series.values).any()


@pytest.mark.parametrize("seed", [1, 2, 3, 7])
def test_scored_steps_are_those_of_the_benchmark(request, seed):
    real = request.getfixturevalue("real_bench")
    observed = np.ones(200, bool)
    observed[[30, 31, 90, 150]] = False
    bad = np.zeros(200, bool)
    bad[60] = True
    theirs = real.whole_steps(200, seed, blocks=1, singles=12, observed=observed, bad=bad)
    run, singles = scored_steps(observed, bad, seed, 12)
    assert np.array_equal(run | singles, theirs > 0)
    assert not (run & singles).any()
    assert (run.sum(), singles.sum()) == (11, 12)


@pytest.fixture
def real_bench():
    """Return the benchmark's own module, or skip."""
    from tests.conftest import ROOT

    path = ROOT.parent / "shared" / "bench" / "score.py"
    if not path.is_file():
        pytest.skip(f"no benchmark at {path}: nothing to compare the masks with")
    found = importlib.util.spec_from_file_location("score", path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture
def compared():
    spec = BUILT_IN["grace_tf"]
    return Ingredients(spec.inputs, grace_tf.bases({*spec.bases, *BASELINES}), BASELINES)


def test_records_are_fields_to_learn_from(data_path):
    record = read_records(data_path)[2]
    field = grace_tf.as_field(record, Settings(validation=0.15))
    assert field.name == "grace_brazil"
    assert np.array_equal(field.sample.values, record.series.values, equal_nan=True)
    assert np.array_equal(field.sample.covariates, record.series.covariates)
    assert len(field.blocks) == 3
    assert (field.apart & record.target).sum() == pytest.approx(0.15 * record.target.sum(), abs=3)
    usual = Ingredients(BUILT_IN["grace_tf"].inputs, grace_tf.bases(BUILT_IN["grace_tf"].bases))
    pattern = field.training_pattern(4, np.random.default_rng(0), usual)
    assert pattern.x.shape[:2] == (4, 9 + 2 * TAKES_DRIVERS)


def test_pattern_hides_what_it_asks_for(data_path, compared):
    (case, *_) = read_cases(data_path, seeds=(1,))
    kinds = dict(grace_tf._patterns(case, compared, np.random.default_rng(0)))
    assert list(kinds) == ["run of 11 months", "single months"]
    for kind, steps in (("run of 11 months", case.run), ("single months", case.singles)):
        pattern, wanted = kinds[kind], steps & ~case.bad
        assert pattern.x.shape[1] == 9
        assert set(pattern.compared) == set(BASELINES)
        assert not pattern.x[:, :2][..., case.run | case.singles].any()
        observed = np.isfinite(case.series.values)
        assert np.array_equal(np.isfinite(pattern.truth), wanted & observed)
    changed = case.series.values.copy()
    changed[:, case.run | case.singles] += 100.0
    spoilt = replace(case, series=replace(case.series, values=changed))
    (_, other), _ = grace_tf._patterns(spoilt, compared, np.random.default_rng(0))
    assert np.array_equal(kinds["run of 11 months"].x, other.x)


def test_cases_are_those_of_the_benchmark(data_path):
    cases = read_cases(data_path)
    assert [c.name for c in cases] == [name for name in grace_records.RECORDS for _ in (1, 2, 3)]
    assert all(c.run.sum() == 11 for c in cases)
    assert all((c.run & c.singles).sum() == 0 for c in cases)
    hidden = np.any([c.run | c.singles for c in cases if c.name == "grace_brazil"], axis=0)
    (record,) = (r for r in read_records(data_path) if r.name == "grace_brazil")
    assert np.isnan(record.series.values[:, hidden]).all()
    (kept,) = (r for r in read_records(data_path, scored=True) if r.name == "grace_brazil")
    assert np.isfinite(kept.series.values[:, hidden]).any()


@pytest.mark.filterwarnings("ignore:training did not lower")
def test_run_resumes_and_exports(data_path, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(grace_tf, "MOST_SERIES", 4)
    was = torch.are_deterministic_algorithms_enabled()
    out = tmp_path / "run"
    options = json.dumps({**TINY, "causal": True, "attention": "logsparse"})
    settings = {"max_epochs": 2, "steps": 2, "patterns": 1, "batch_size": 16}
    common = ["--data-path", str(data_path), "--options", options, "--version", "9.9"]
    common += ["--settings", json.dumps(settings)]
    usual, calls = Training.training_step, []

    def stop(self, batch, batch_idx):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return usual(self, batch, batch_idx)

    try:
        with monkeypatch.context() as patch:
            patch.setattr(Training, "training_step", stop)
            with pytest.raises(KeyboardInterrupt):
                grace_tf.main([*common, "--out", str(out)])
        grace_tf.main([*common, "--out", str(out)])
        grace_tf.main([*common, "--out", str(tmp_path / "whole")])
        path = out / "grace_tf-9.9.safetensors"
        twin = ["--months", "all", "--twin", str(path), "--out", str(tmp_path / "all")]
        grace_tf.main([*common, *twin])
    finally:
        torch.use_deterministic_algorithms(was)
    assert "grace_tf@9.9" in capsys.readouterr().out
    ours, whole = (load_file(p / path.name) for p in (out, tmp_path / "whole"))
    assert all(torch.equal(ours[k], whole[k]) for k in ours)
    spec, card = read_spec(path), read_card(path)
    assert (spec.options["causal"], spec.options["attention"]) == (True, "logsparse")
    assert spec.inputs == BUILT_IN["grace_tf"].inputs
    GraceTF(**spec.options).load_state_dict(ours)
    check_card(card, out)
    shipped = read_card(tmp_path / "all" / path.name)
    assert shipped.skill == card.skill
    assert len(shipped.limits) == len(card.limits) + 1
    assert shipped.data[0].extent != card.data[0].extent
    record = grace_like(nlat=4, nlon=5)
    filled, usual = (fill_gaps(record, m).lwe_thickness for m in (path, "linear"))
    assert filled.isnull().equals(usual.isnull())


def check_card(card, out):
    assert card.problems() == []
    assert card.model == "grace_tf@9.9"
    assert (out / "card.md").read_text() == card.to_markdown()
    assert len(card.data) == 5
    titles = {row.data for row in card.skill}
    assert {"GRACE CSR, 1 degree, land", "southern Brazil, 1 degree, with tp, t2m"} <= titles
    assert len(card.skill) == 2 * 7
    for row in card.skill:
        assert set(row.values) == {
            "grace_tf",
            "kalman",
            "regression",
            "kalman_alone",
            "linear",
            "climatology",
        }


def test_the_twin_goes_with_all_months(data_path, tmp_path, capsys):
    common = ["--data-path", str(data_path), "--out", str(tmp_path)]
    for odd in (["--months", "all"], ["--twin", "a.safetensors"]):
        with pytest.raises(SystemExit):
            grace_tf.main([*common, *odd])
        assert "--months all and --twin go together" in capsys.readouterr().err


def test_shipped_weight_and_catalogue_agree():
    spec = BUILT_IN["grace_tf"]
    shipped = read_spec(find(spec.weights))
    assert shipped.replace(weights=spec.weights) == spec
