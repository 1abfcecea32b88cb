"""The recipe of temdeep on small records with the names and places of the real ones."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from xgeoml.models.temdeep import TemDeep
from xgeoml.train.orthogonal import optimiser
from xgeoml.train.recipes import temdeep
from xgeoml.train.recipes.temdeep_records import LEARNT, SOURCES, read_records
from xgeoml.weights.files import read_card, read_spec

STEPS = {"mrms": "2min", "knmi": "5min", "6h": "6h", "daily": "D"}
TINY = {"width": 8, "dilations": [1]}
SHORT = {"max_epochs": 1, "steps": 2, "batch_size": 4}


@pytest.fixture
def data_path(tmp_path):
    """Return a folder with all records, small ones."""
    rng = np.random.default_rng(0)
    found: dict[str, list[str]] = {}
    for source in SOURCES:
        found.setdefault(source.file, []).extend(source.variables)
    for file, names in found.items():
        step = next((s for key, s in STEPS.items() if key in file), "h")
        y, x = ("y", "x") if "knmi" in file else ("lat", "lon")
        coords = {
            "time": pd.date_range("2001-01-01", periods=24, freq=step),
            y: np.linspace(50.0, 46.0, 9),
            x: 5.0 + np.arange(10) / 2.0,
        }
        fields = {
            name: (
                ("time", y, x),
                rng.standard_normal((24, 9, 10)).cumsum(0),
                {"units": "K" if name in ("air", "t2m", "Tair") else "1"},
            )
            for name in names
        }
        path = tmp_path / "data" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        xr.Dataset(fields, coords).to_netcdf(path)
    return tmp_path / "data"


def test_last_quarters_are_not_learnt_from(data_path):
    records = list(read_records(data_path))
    assert len(records) == len(SOURCES)
    for named, source in zip(records, SOURCES, strict=True):
        whole = source.file.startswith("pretrain/")
        assert len(named.record.days) == (24 if whole else LEARNT * 24)
    scored = {file for _, file, *_ in temdeep.SCORED}
    assert not any(file.startswith("pretrain/") for file in scored)


def test_records_lie_from_south_to_north_and_know_where(data_path):
    named = {n.name: n.record for n in read_records(data_path)}
    air = next(r for name, r in named.items() if name.endswith(" air"))
    assert (np.diff(air.place.lat, axis=0) > 0).all()
    assert air.thermal
    assert np.isfinite(air.place.terrain[1]).all()
    wind = next(r for name, r in named.items() if name.endswith("u10 v10"))
    assert wind.value.shape[0] == 2
    assert not wind.thermal
    assert np.median(np.diff(wind.days)) == pytest.approx(0.25)
    radar = next(r for name, r in named.items() if "knmi" in name)
    assert radar.place.lat is None


def test_files_may_be_left_out(data_path):
    but = list(read_records(data_path, "hourly_uk"))
    assert len(but) == len(SOURCES) - sum("hourly_uk" in s.file for s in SOURCES)
    assert len(but) < len(SOURCES)


def test_the_recipe_makes_a_weight_with_its_card(data_path, tmp_path, capsys):
    run = tmp_path / "run"
    page = tmp_path / "page.md"
    arguments = ["--data-path", str(data_path), "--out", str(run), "--version", "0.9"]
    arguments += ["--options", json.dumps(TINY), "--settings", json.dumps(SHORT)]
    temdeep.main([*arguments, "--page", str(page)])
    path = run / "temdeep-0.9.safetensors"
    spec, card = read_spec(path), read_card(path)
    assert spec.key == "temdeep@0.9"
    assert spec.options["width"] == TINY["width"]
    assert len(card.skill) == sum(len(multiples) for *_, multiples in temdeep.SCORED)
    for row in card.skill:
        assert set(row.values) == {"temdeep", *temdeep.BESIDE}
        assert all(np.isfinite(v) and v > 0 for v in row.values.values())
    assert page.read_text() == (run / "card.md").read_text()
    assert "temdeep@0.9" in capsys.readouterr().out


def test_matrices_get_orthogonal_steps():
    torch.manual_seed(0)
    network = TemDeep(width=8, dilations=(1, 2), bases=0)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    made = optimiser(network.blocks, network, 0.1, 0.01, 0.0)
    given = torch.randn(2, network.layout.n_channels, 5, 6)
    with torch.no_grad():
        network.leave.weight.normal_()
    (network(given) - 1.0).square().mean().backward()
    made.step()
    step = (network.blocks[0].mix.weight - before["blocks.0.mix.weight"]).flatten(1) / 0.1
    values = torch.linalg.svdvals(step)
    assert (values > 0.5).all()
    assert (values < 1.5).all()
    assert (network.enter.weight != before["enter.weight"]).any()
