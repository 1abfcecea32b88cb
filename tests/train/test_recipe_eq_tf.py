"""The recipe of eq_tf on made-up seismograms with the names of the real ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import xarray as xr

from xgeoml.models.eq_tf import EqTf
from xgeoml.train.recipes import eq_tf, eq_tf_spread
from xgeoml.train.recipes.eq_tf_records import (
    FIRST,
    LOCAL,
    THREE_COMPONENTS,
    read_others,
    read_seismograms,
)
from xgeoml.train.simulated_waves import simulate
from xgeoml.train.wave_module import base_models
from xgeoml.train.waves import Simulator, prepared
from xgeoml.weights.files import read_card, read_spec

TINY = {"width": 4, "dim": 8, "heads": 2, "steps": 2}
SHORT = {"max_epochs": 1, "steps": 2, "batch_size": 4}


@pytest.fixture(autouse=True)
def few_events(monkeypatch):
    """Score few events."""
    monkeypatch.setattr(eq_tf, "_EVENTS", 12)


@pytest.fixture
def data_path(tmp_path):
    """Return a folder with seismograms: one event at a station has three traces in a row."""
    random = np.random.default_rng(0)
    names = [f"NC_S{i // 3:03d}.HHZ:{i % 3}" for i in range(FIRST + 9)]
    local = random.standard_normal((len(names), 900))
    local[:, 200:] *= 20.0
    path = tmp_path / "data"
    (path / "seismic").mkdir(parents=True)
    xr.Dataset(
        {
            "waveform": (("trace", "time"), local),
            "onset": ("trace", np.full(len(names), 200)),
        },
        {"trace": names},
    ).to_netcdf(path / LOCAL)
    # The first of the scored ones, the first of the others, and one that is new.
    others = ["NC_S000.HHE_HHN_HHZ", f"NC_S{FIRST // 3:03d}.HHE_HHN_HHZ", "NC_NEW.HHE_HHN_HHZ"]
    three = random.standard_normal((3, 3, 1800)).astype(np.float32)
    three[2, 1] = 0.0
    xr.Dataset(
        {
            "waveform": (("trace", "component", "time"), three),
            "p_sample": ("trace", np.full(3, 400)),
        },
        {"trace": others},
    ).to_netcdf(path / THREE_COMPONENTS)
    return path


def test_scored_events_are_not_learnt_from(data_path):
    learnt = list(read_seismograms(data_path))
    with xr.open_dataset(data_path / LOCAL) as held:
        scored = held["waveform"].values[:FIRST]
    assert not any(np.array_equal(one.values, s) for one in learnt for s in scored)
    # Nine local traces, and two components of the one event that the first file has not.
    assert len(learnt) == 9 + 2
    assert [one.onset for one in learnt] == [200] * 11
    assert np.abs(learnt[-1].values).max() == pytest.approx(1.0)
    assert len(read_others(data_path)) == FIRST


def test_recipe_writes_a_weight_with_its_card(data_path, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(eq_tf_spread, "_BATCHES", 2)
    arguments = ["--data-path", str(data_path), "--out", str(tmp_path / "run")]
    arguments += ["--options", json.dumps(TINY), "--settings", json.dumps(SHORT)]
    eq_tf.main([*arguments, "--page", str(tmp_path / "page.md")])
    path = tmp_path / "run" / "eq_tf-1.0.safetensors"
    spec, card = read_spec(path), read_card(path)
    assert spec.task == "invert_waveform"
    assert spec.options["width"] == 4
    assert len(card.skill) == 6
    assert all({"eq_tf", "nnls", "iterative"} <= set(row.values) for row in card.skill)
    assert (tmp_path / "page.md").read_text().startswith("#")
    assert "NRMSE" in capsys.readouterr().out
    before = path.read_bytes()
    eq_tf.main(arguments)  # it has ended: the same comes back
    assert path.read_bytes() == before


def test_skill_of_a_network_that_says_nothing_is_that_of_its_base(data_path):
    spec = eq_tf.get_model("eq_tf", "invert_waveform")
    torch.manual_seed(0)
    network = EqTf(**{**spec.options, **TINY})
    rows = eq_tf.skill_rows(network.eval(), spec, read_others(data_path))
    for row in rows:
        assert row.values["eq_tf"] == pytest.approx(row.values["iterative"], rel=0.01)
    assert {row.data.partition(",")[0] for row in rows} == {"drawn paths", "real paths"}


def test_the_spread_is_settled_and_sources_stay(monkeypatch):
    for name, value in {"_BATCHES": 8, "_EVENTS": 8, "_PASSES": 80, "_RATE": 0.03}.items():
        monkeypatch.setattr(eq_tf_spread, name, value)
    spec = eq_tf.get_model("eq_tf", "invert_waveform")
    torch.manual_seed(0)
    network = EqTf(**{**spec.options, **TINY}).eval()
    with torch.no_grad():
        network.steps[-1].leave.bias[1] = -4.0
    waves = Simulator([], base_models(spec))
    # The same kinds of events, each batch being of one.
    random = np.random.default_rng(eq_tf_spread._SEED)
    batches = [prepared(simulate(random, [], 8), waves.bases) for _ in range(8)]

    def answers():
        names = ("record", "greens", "estimates", "about")
        with torch.no_grad():
            return [network(*(torch.from_numpy(b[k]) for k in names)).numpy() for b in batches]

    def held(made):
        shares = []
        for batch, answer in zip(batches, made, strict=True):
            truth = np.abs(batch["source"])
            peak = truth.max(-1, keepdims=True)
            there = np.maximum(truth, np.abs(answer[:, 0])) > 0.01 * peak
            missed = np.abs(answer[:, 0] - batch["source"])
            shares.append((missed < 1.645 * np.exp(answer[:, 1]))[there].mean())
        return float(np.mean(shares))

    before = answers()
    eq_tf_spread.settle_spread(network, waves)
    after = answers()
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one[:, 0], other[:, 0])
    assert held(before) < 0.6
    assert held(after) == pytest.approx(0.9, abs=0.07)
