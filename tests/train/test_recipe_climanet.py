"""The recipe of climanet on small records with the names and places of the real ones."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from safetensors.torch import load_file

from xgeoml.models.catalog import BUILT_IN
from xgeoml.models.climanet import ClimaNet
from xgeoml.train.module import Training
from xgeoml.train.recipes import climanet, climanet_records
from xgeoml.train.recipes.climanet_records import (
    SLOTS,
    as_field,
    read_clouds,
    read_sea,
    waves,
    with_noise,
)
from xgeoml.weights.files import read_card, read_spec

TINY = {"width": 16, "heads": 2, "layers": 1, "hidden": 8, "cycles": 1}
AXES = BUILT_IN["climanet"].axes


@pytest.fixture
def data_path(tmp_path):
    """Return a folder with a year to learn from and one to score, and a week of clouds."""
    rng = np.random.default_rng(0)
    time = pd.date_range("1996-01-01", "1997-12-31")
    t, y, x = np.ogrid[: len(time), :12, :12]
    value = 5 * np.sin(2 * np.pi * t / 365) + np.sin(0.5 * y + 0.2 * t) * np.cos(0.4 * x)
    value[:, :3, :3] = np.nan
    coords = {"time": time, "lat": np.arange(12) / 4.0, "lon": np.arange(12) / 4.0}
    sea = xr.Dataset({"sst": (("time", "lat", "lon"), value)}, coords)
    cloudy = rng.standard_normal((7, 40, 60))
    cloudy[rng.random((7, 10, 15)).repeat(4, 1).repeat(4, 2) < 0.5] = np.nan
    land = np.zeros((40, 60))
    land[:, :50] = 1.0
    cloudy[:, land == 0] = np.nan
    week = xr.Dataset({"SST": (("time", "lat", "lon"), cloudy), "mask": (("lat", "lon"), land)})
    for name, made in ((climanet_records.SEA, sea), (climanet_records.CLOUDS, week)):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True)
        made.to_netcdf(path)
    return tmp_path / "data"


def test_the_sea_is_arranged_by_months(data_path):
    learnt, scored = read_sea(data_path)
    with xr.open_dataset(data_path / climanet_records.SEA) as source:
        for days, year in ((learnt, "1996"), (scored, "1997")):
            record = source.sst.sel(time=year)
            assert days.value.shape == (12 * SLOTS, 12, 12)
            there = np.isfinite(days.clock)
            assert np.allclose(days.value[there], record, equal_nan=True)
            assert np.isnan(days.value[~there]).all()
            slot = (record.time.dt.month - 1) * SLOTS + record.time.dt.day - 1
            assert np.array_equal(np.flatnonzero(there), slot)
            assert np.allclose(np.diff(days.clock[there]), 1 / len(record.time))


def test_noise_leaves_gaps_alone(data_path):
    learnt, _ = read_sea(data_path)
    noisy = with_noise(learnt, np.random.default_rng(0))
    assert np.array_equal(np.isnan(noisy.value), np.isnan(learnt.value))
    size = np.nanstd((noisy.value - learnt.value).reshape(12, -1), axis=1)
    assert ((size > 0.04) & (size < 0.6)).all()
    assert size.max() > 2 * size.min()


def test_waves_are_complete_days(monkeypatch):
    monkeypatch.setattr(climanet_records, "_WAVES", 4)
    made = waves(np.random.default_rng(0), side=12)
    assert made.value.shape == (4, 6 * SLOTS, 12, 12)
    assert np.isfinite(made.value).any((1, 2, 3)).all()
    field = as_field("waves", made, AXES, [])
    assert field.plan.n_pointwise == 1
    assert len(field.target) == 6


def test_clouds_over_land_are_those_of_the_nearest_sea(data_path):
    learnt, others = read_clouds(data_path, side=20)
    assert {p.shape for p in learnt} == {(5, 20, 20)}
    assert {p.shape for p in others} == {(2, 20, 20)}
    last = learnt[-1]
    assert not last.all()
    assert 0.2 < np.mean([p.mean() for p in learnt]) < 0.8


@pytest.mark.filterwarnings("ignore:training did not lower")
def test_run_resumes_and_exports(data_path, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(climanet_records, "_WAVES", 2)
    monkeypatch.setattr(climanet, "_SCORED", 1)
    was = torch.are_deterministic_algorithms_enabled()
    out = tmp_path / "run"
    settings = {"max_epochs": 2, "steps": 2, "patterns": 1, "batch_size": 2}
    common = ["--data-path", str(data_path), "--options", json.dumps(TINY), "--version", "9.9"]
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
                climanet.main([*common, "--out", str(out)])
        climanet.main([*common, "--out", str(out)])
        climanet.main([*common, "--out", str(tmp_path / "whole")])
    finally:
        torch.use_deterministic_algorithms(was)
    assert "climanet@9.9" in capsys.readouterr().out
    path = out / "climanet-9.9.safetensors"
    ours, whole = (load_file(p / path.name) for p in (out, tmp_path / "whole"))
    assert all(torch.equal(ours[k], whole[k]) for k in ours)
    spec, card = read_spec(path), read_card(path)
    assert spec.inputs == BUILT_IN["climanet"].inputs
    ClimaNet(**spec.options).load_state_dict(ours)
    assert card.problems() == []
    assert (out / "card.md").read_text() == card.to_markdown()
    assert len(card.skill) == 12
    for row in card.skill:
        assert set(row.values) == {"climanet", "available days", "linear"}
        assert (row.coverage is None) == (row.metric == "RMSE")
