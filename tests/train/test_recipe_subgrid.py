"""The recipe of subgrid on small records with the names and places of the real ones."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from safetensors.torch import load_file

from xgeoml.models.catalog import BUILT_IN
from xgeoml.models.subgrid import Subgrid, places, shape_of
from xgeoml.train.orthogonal import orthogonal
from xgeoml.train.recipes import subgrid, subgrid_records
from xgeoml.train.recipes.subgrid_records import (
    SIDE,
    Source,
    draw_patches,
    means,
    read_sources,
)
from xgeoml.train.recipes.subgrid_training import (
    Learning,
    Lot,
    Plan,
    cells_of,
    turned,
    within_edges,
)
from xgeoml.weights.files import read_card, read_spec

TINY = {"width": 16, "layers": 1, "degree": 2}
GLOBAL = ("t_1000hpa_20080101", "t_7hpa_20250421", "z_1000hpa_20240301", "skt_2017", "i10fg_2011")
RECORDS = {
    subgrid_records.HEAT: ("mx2t6",),
    subgrid_records.SEA: ("sst",),
    subgrid_records.RAIN: ("tp",),
    subgrid_records.UK: ("Tair", "pr"),
    subgrid_records.MONTENEGRO: ("t2m", "d2m", "sp", "tp"),
    subgrid_records.EUROPE: ("u10", "tp"),
    subgrid_records.RADAR_KNMI: ("precipitation",),
    subgrid_records.RADAR_MRMS: ("precip_rate",),
    subgrid_records.TELANGANA: ("tp",),
    **{file: (variable,) for file, variable in subgrid.SCORED.values()},
}


def fields(rng, steps, rows=24, columns=32):
    walk = rng.standard_normal((steps, rows, columns)).cumsum(1).cumsum(2)
    return ("time", "latitude", "lon"), 280 + walk


@pytest.fixture
def data_path(tmp_path):
    """Return a folder with all records, small ones."""
    rng = np.random.default_rng(0)
    made = {}
    for file, names in RECORDS.items():
        coords = {
            "time": pd.date_range("2001-01-01", periods=16),
            "latitude": np.linspace(50.0, 44.25, 24),
            "lon": np.arange(32) / 4.0,
        }
        made[file] = xr.Dataset({name: fields(rng, 16) for name in names}, coords)
    made[subgrid_records.SEA]["sst"][:, :6, :9] = np.nan
    coords = {"lat": np.linspace(90, -90, 91), "lon": np.arange(120) * 3.0}
    globe = {n: (("lat", "lon"), fields(rng, 1, 91, 120)[1][0]) for n in GLOBAL}
    made[subgrid_records.GLOBE] = xr.Dataset(globe, coords)
    static = {"orography": globe["skt_2017"], "land_mask": (("lat", "lon"), np.eye(91, 120))}
    static["land_mask"][1][20:60, 30:80] = 1.0
    made[subgrid_records.STATIC] = xr.Dataset(static, coords)
    for file, record in made.items():
        path = tmp_path / "data" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        record.to_netcdf(path)
    return tmp_path / "data"


@pytest.fixture
def few(monkeypatch):
    """Draw fewer neighbourhoods."""
    usual = read_sources

    def some(path):
        for source in usual(path):
            yield Source(**{**vars(source), "count": 40})

    monkeypatch.setattr(subgrid, "read_sources", some)
    return some


def test_last_quarters_are_not_learnt_from(data_path):
    sources = list(read_sources(data_path))
    # One record of steps is learnt from to its end: those that nothing is scored in.
    assert {len(s.fields) for s in sources} == {1, 2, 3, 4, 6, 12, 16}
    with xr.open_dataset(data_path / subgrid_records.UK) as record:
        uk = [s for s in sources if np.array_equal(s.fields, record.Tair[:12].astype("f4"))]
    assert len(uk) == 1
    assert not {subgrid_records.UK, subgrid_records.SEA} & {f for f, _ in subgrid.SCORED.values()}


def test_neighbourhoods_and_what_is_in_them(data_path, few):
    made = draw_patches(few(data_path), np.random.default_rng(1))
    assert set(made) == set(range(2, 9))
    for factor, patches in made.items():
        n = len(patches.weight)
        assert patches.around.shape == (n, SIDE, SIDE)
        assert patches.inside.shape == (n, factor, factor)
        assert (patches.around[:, SIDE // 2, SIDE // 2] == 0).all()
        assert np.abs(np.nanmean(patches.inside, axis=(1, 2))).max() < 1e-2
        assert len(patches.share) == patches.group.max() + 1
        mean = [patches.weight[patches.group == g].mean() for g in range(len(patches.share))]
        assert np.allclose(mean, 1.0, atol=1e-5)
    assert np.isnan(made[2].inside).any()


def test_rough_places_are_drawn_more_often_and_count_less():
    rng = np.random.default_rng(2)
    calm = 0.01 * rng.standard_normal((1, 60, 60))
    calm[:, :30] *= 100
    source = Source(1.0, calm.astype(np.float32), (1,), 4000, factors=(2,))
    made = draw_patches(iter([source]), rng)[2]
    rough = np.abs(made.inside).max((1, 2)) > 0.3
    assert 0.55 < rough.mean() < 0.95
    assert np.isclose(made.weight[rough].sum() / made.weight.sum(), 0.5, atol=0.05)


@pytest.mark.parametrize("turn", range(8))
def test_neighbourhoods_turn_with_their_inside(turn):
    y, x = np.mgrid[-3:4, -3:4].astype(np.float32)
    inside = (2.0 * places(3)[0] - 5.0 * places(3)[1]).reshape(1, 3, 3)
    around, inside = (
        turned(torch.from_numpy(v), turn) for v in ((2.0 * y - 5.0 * x)[None], inside)
    )
    plane = shape_of(cells_of(around)).slope @ torch.from_numpy(places(3))
    assert torch.allclose(plane, inside.flatten(1), atol=1e-4)


def test_edges_leave_a_rectangle_about_the_cell():
    inside = within_edges(500, np.random.default_rng(3)).numpy()
    assert inside[:, SIDE // 2, SIDE // 2].all()
    rows, columns = inside.any(2), inside.any(1)
    assert (inside == rows[:, :, None] & columns[:, None, :]).all()
    assert 0.1 < inside.all((1, 2)).mean() < 0.4


def test_steps_of_matrices_are_all_but_orthogonal():
    matrix = torch.randn(24, 24, generator=torch.Generator().manual_seed(0))
    size = torch.linalg.svdvals(orthogonal(matrix))
    assert (size[:-1] > 0.5).all()
    assert (size < 1.3).all()


def test_learning_rate_rises_and_falls():
    plan = Plan(epochs=10, steps=100, warm_up=50)
    share = [plan.share(step) for step in (0, 49, 500, 1000)]
    assert share == pytest.approx([0.02, 0.994, 0.51, 0.02], abs=2e-3)


def test_it_learns():
    rng = np.random.default_rng(4)
    wave = np.sin(np.arange(200) / 2.5)
    field = (wave[:, None] * wave[None]).astype(np.float32)[None]
    patches = draw_patches(iter([Source(1.0, field, (1,), 3000, factors=(4,))]), rng)
    lots = {4: Lot(patches[4], 4)}
    torch.manual_seed(0)
    learning = Learning(Subgrid(**TINY), lots, Plan(epochs=1, steps=60, batch=256, warm_up=5))
    (optimizer,), _ = learning.configure_optimizers()
    for batch in learning.batches(0):
        optimizer.zero_grad()
        learning.training_step(batch, 0).backward()
        optimizer.step()
    # Errors are in units of those of planes.
    assert np.mean(learning.losses[-10:]) < 0.5 * learning.losses[0]


def test_run_resumes_and_exports(data_path, few, tmp_path, monkeypatch, capsys):
    out, whole = tmp_path / "run", tmp_path / "whole"
    settings = {"epochs": 3, "steps": 2, "batch": 32}
    common = ["--data-path", str(data_path), "--options", json.dumps(TINY), "--version", "9.9"]
    common += ["--settings", json.dumps(settings)]
    usual, calls = Learning.training_step, []

    def stop(self, batch, batch_idx):
        calls.append(1)
        if len(calls) == 4:
            raise RuntimeError("interrupted")
        return usual(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(Learning, "training_step", stop)
        with pytest.raises(RuntimeError, match="interrupted"):
            subgrid.main([*common, "--out", str(out)])
    page = tmp_path / "page.md"
    subgrid.main([*common, "--out", str(out), "--page", str(page)])
    subgrid.main([*common, "--out", str(whole)])
    assert "subgrid@9.9" in capsys.readouterr().out
    path = out / "subgrid-9.9.safetensors"
    ours, other = load_file(path), load_file(whole / path.name)
    assert all(torch.equal(ours[k], other[k]) for k in ours)
    subgrid.main([*common, "--out", str(whole)])
    again = load_file(whole / path.name)
    assert all(torch.equal(other[k], again[k]) for k in other)
    spec, card = read_spec(path), read_card(path)
    assert spec.inputs == BUILT_IN["subgrid"].inputs
    Subgrid(**spec.options).load_state_dict(ours)
    assert card.problems() == []
    assert page.read_text() == card.to_markdown()
    assert len(card.skill) == len(subgrid.SCORED) * len(subgrid.FACTORS)
    for row in card.skill:
        alone = "subgrid, terrain=False"
        assert set(row.values) == {"subgrid", alone, "bicubic", "conservative"}


def test_errors_are_those_of_the_last_quarter(data_path):
    for learnt, steps in ((False, 4), (True, 12)):
        for scored in subgrid.read_scored(data_path, learnt):
            assert scored.truth.shape == (steps, 24, 32)
    fine = means(scored.truth, 1)
    made = subgrid.predict(Subgrid(**TINY), means(fine, 2), 2)
    area = np.cos(np.deg2rad(scored.lat))
    wanted = np.sqrt(((made - fine) ** 2 * area[:, None]).mean() / area.mean())
    found = subgrid.errors(Subgrid(**TINY), scored, 2)
    assert np.isclose(found["subgrid, terrain=False"], wanted, rtol=1e-3)
