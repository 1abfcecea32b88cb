"""Training on pairs: what base models say, what a batch holds, and that a training goes on."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
import toy_pairs
from toy_pairs import CONV, DDPM, FACTOR, fit, pairs
from toy_training import last_state, same

from xgeoml.exceptions import ExecutionError, InputError, SpecError
from xgeoml.models.downscaling import Placement
from xgeoml.spec import AxisSpec
from xgeoml.train import pair_fitting
from xgeoml.train.pair_batches import Cutter, KeptBatches, PairBatches
from xgeoml.train.pair_loss import PairLoss
from xgeoml.train.pair_module import PairTraining
from xgeoml.train.pair_skill import ensemble_crps
from xgeoml.train.pairs import PairField, spec_for, write_pairs
from xgeoml.train.settings import Settings

BOTH = pytest.mark.parametrize("spec", [CONV, DDPM], ids=lambda s: s.name)


def written(folder, data, spec, validation=0.2):
    """Return pairs as a training finds them, and the states of base models."""
    spec = spec_for(spec, data)
    bases = {"bicubic": toy_pairs.Bicubic(), "slope": toy_pairs.Slope()}
    states = write_pairs(data, spec, bases, validation, folder)
    return PairField.load(folder), spec, states


# Base models and the two parts.


def test_no_base_model_has_seen_what_it_is_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(toy_pairs.Slope, "seen", seen := [])
    data = pairs(steps=40)
    field, _, states = written(tmp_path, data, DDPM)
    assert field.learnt.tolist() == list(range(32))
    assert field.kept.tolist() == list(range(32, 40))
    years = data.clock.years
    blocks = [*np.array_split(field.learnt, 4), field.kept]
    for block, known in zip(blocks, seen, strict=False):
        expected = set(field.learnt) - set(block)
        assert known == [float(years[s]) for s in sorted(expected)]
    assert len(seen) == 6
    assert seen[-1] == years.tolist()
    # Each estimate is that of the one that has not seen the step.
    for block, known in zip(blocks, seen, strict=False):
        steps = [int(y - 2000) for y in known]
        model = toy_pairs.Slope()
        state = model.fit(
            replace(
                data,
                coarse=data.coarse[steps],
                fine=data.fine[steps],
                clock=data.clock.steps(np.array(steps)),
            )
        )
        said = state["offset"] + state["slope"] * toy_pairs._repeated(data.coarse[block], FACTOR)
        found = field.estimates[0][block] + field.reference
        np.testing.assert_allclose(found, said, atol=1e-4)
    assert states["slope"]["count"] == 40


def test_base_models_see_the_steps_around(tmp_path, monkeypatch):
    windows = []
    usual = toy_pairs.Slope.predict

    def predict(self, window, state):
        windows.append(window)
        inner = window.with_value(window.value[2:-2])
        return usual(self, inner, state)

    monkeypatch.setattr(toy_pairs.Slope, "predict", predict)
    data = pairs(steps=20)
    written(tmp_path, data, DDPM.replace(axes=(*DDPM.axes, AxisSpec("T", "tile", 1, halo=2))))
    assert [w.halo for w in windows] == [(2, 0, 0)] * 5
    first, last = windows[0], windows[-1]
    assert np.isnan(first.value[:2]).all()
    assert np.array_equal(first.value[2:], data.coarse[:6])
    assert np.array_equal(last.value[:-2], data.coarse[14:])
    assert np.isnan(last.value[-2:]).all()
    assert last.clock.years.tolist() == [*range(2014, 2020), 2019, 2019]


def test_steps_without_data_are_in_no_part(tmp_path):
    data = pairs(steps=20)
    data.coarse[3], data.fine[18] = np.nan, np.nan
    field, _, _ = written(tmp_path, data, CONV)
    assert field.learnt.tolist() == [0, 1, 2, *range(4, 15)]
    assert field.kept.tolist() == [15, 16, 17, 19]


def test_too_few_steps(tmp_path):
    with pytest.raises(InputError, match="4 steps have both a coarse and a fine field, 1 of which"):
        written(tmp_path, pairs(steps=4), CONV)


def test_small_departures_from_large_values_are_kept(tmp_path):
    data = pairs(steps=12)
    data = replace(data, coarse=1e-3 * data.coarse + 1e6, fine=1e-3 * data.fine + 1e6)
    field, spec, _ = written(tmp_path, data, CONV)
    piece = Cutter(field, spec).piece(field.learnt[:2])
    made = piece.truth[:, 0] * piece.deviation[:, None, None]
    expected = data.fine[:2] - data.coarse[:2].mean((1, 2))[:, None, None]
    np.testing.assert_allclose(made, expected, rtol=1e-3, atol=1e-5)


# The spec that goes with pairs.


def test_options_and_scale_are_filled_in():
    data = pairs(covariates=2, static=1)
    made = spec_for(DDPM, data)
    assert made.options["channels"] == 8
    assert made.options["fine_channels"] == 2
    assert made.options["grid"] == [10, 12]
    assert "factor" not in made.options
    assert len(made.scale.mean) == 4
    assert made.scale.mean[0] == pytest.approx(data.coarse.mean())
    assert made.scale.deviation[3] == pytest.approx(data.static[0].std())
    conv = spec_for(CONV, data)
    assert {"factor": 2, "channels": 4, "fine_channels": 2}.items() <= conv.options.items()
    assert "grid" not in conv.options
    assert conv.scale is None
    assert spec_for(conv, data) == conv


def test_pairs_that_do_not_fit():
    data = pairs()
    with pytest.raises(SpecError, match=r"factor=3: expected 2 for these data"):
        spec_for(CONV.with_options({"factor": 3}), data)
    odd = replace(data, placement=Placement(data.placement.rows, data.placement.columns))
    with pytest.raises(SpecError, match="do not divide those of the data into equal parts"):
        spec_for(CONV, odd)


# Batches.


def test_a_batch_depends_on_the_number_of_its_step_only(tmp_path):
    field, spec, _ = written(tmp_path, pairs(rows=12, columns=14, static=1), CONV)
    settings = Settings(steps=3, batch_size=8)
    whole = PairBatches(field, spec, settings, 1)[2]
    # The domain is larger than a tile: pieces of one, with its halo.
    assert whole[0].shape == (8, 2, 12, 12)
    assert whole[1].shape == (8, 2, 24, 24)
    for changes in ({"accumulate": 2}, {"devices": 2}):
        other = replace(settings, **changes)
        if "devices" in changes:
            parts = [PairBatches(field, spec, other, 1, rank)[2] for rank in (0, 1)]
        else:
            parts = [PairBatches(field, spec, other, 1)[i] for i in (4, 5)]
        for one, each in zip(whole, zip(*parts, strict=True), strict=True):
            assert torch.equal(one.nan_to_num(9.0), torch.cat(each).nan_to_num(9.0))
    again = PairBatches(field, spec, settings, 0)[2]
    assert not torch.equal(again[0], whole[0])


def test_a_piece_is_what_the_engine_cuts(tmp_path):
    data = pairs(rows=12, columns=14, static=1)
    data.coarse[:, 4, 8] = np.nan
    field, spec, _ = written(tmp_path, data, CONV)
    # Tiles of 8 with a halo of 2: two rows beyond the edge, four columns of other tiles.
    piece = Cutter(field, spec).piece(np.array([3]), (0, 6))
    value = np.full((12, 12), np.nan)
    value[2:, :10] = data.coarse[3, :10, 4:14]
    mean, deviation = np.nanmean(value), np.nanstd(value)
    scaled = np.nan_to_num((value - mean) / deviation)
    np.testing.assert_allclose(piece.coarse[0, 0], scaled, rtol=1e-4, atol=1e-5)
    assert np.array_equal(piece.coarse[0, 1], np.isfinite(value))
    truth = np.full((24, 24), np.nan)
    truth[4:20, 4:20] = (data.fine[3, :16, 12:28] - mean) / deviation
    truth[~np.isfinite(value).repeat(2, 0).repeat(2, 1)] = np.nan
    np.testing.assert_allclose(piece.truth[0, 0], truth, rtol=1e-4, atol=1e-4)
    assert np.isfinite(truth).sum() == 16 * 16 - 4
    rows, columns = np.arange(-4, 20).clip(0), np.arange(8, 32).clip(0, 27)
    static = data.static[0][rows][:, columns]
    static = (static - static.mean()) / static.std()
    np.testing.assert_allclose(piece.fine[0, 1], static, rtol=1e-4, atol=1e-4)


def test_the_validation_part_is_the_same_however_it_is_shared(tmp_path):
    field, spec, _ = written(tmp_path, pairs(steps=50, rows=12, columns=14), CONV, 0.3)
    assert len(field.kept) == 15

    def all_of(settings, ranks=(0,)):
        made = {}
        for rank in ranks:
            batches = KeptBatches(field, spec, settings, rank)
            for batch in batches:
                for k in range(len(batch[5])):
                    if batch[5][k]:
                        made[batch[3][k].numpy().tobytes()] = [part[k] for part in batch]
        return made

    whole = all_of(Settings(batch_size=8))
    assert len(whole) == 15
    shared = all_of(Settings(batch_size=8, devices=2), (0, 1))
    assert shared.keys() == whole.keys()
    for key, parts in whole.items():
        for one, other in zip(parts, shared[key], strict=True):
            assert torch.equal(one.nan_to_num(9.0), other.nan_to_num(9.0))


# The loss.


def test_the_loss_is_that_of_three_scales():
    truth = torch.zeros(1, 1, 8, 8)
    loss, weight = PairLoss(2), torch.ones(1)
    assert float(loss(truth + 1.0, truth, weight)[0]) == pytest.approx(3.0, rel=1e-5)
    checks = torch.ones(1, 1, 8, 8)
    checks[..., ::2, 1::2] = checks[..., 1::2, ::2] = -1.0
    fine = float(loss(checks, truth, weight)[0])
    assert 1.0 < fine < 1.2
    gap = truth.clone()
    gap[..., :4] = torch.nan
    error = checks.clone()
    error[..., 4:] = 1.0
    assert float(loss(error, gap, weight)[0]) == pytest.approx(3.0, rel=1e-5)
    total, mass = loss(torch.ones(2, 1, 8, 8), gap.expand(2, 1, 8, 8), torch.tensor([1.0, 0.0]))
    assert (float(total), float(mass)) == (pytest.approx(3.0, rel=1e-5), 1.0)


def test_the_score_of_an_ensemble():
    members = np.array([0.0, 1.0, 3.0])[:, None]
    truth = np.array([2.0])
    pairwise = np.abs(members - members.T).mean() / 2
    assert ensemble_crps(members, truth)[0] == pytest.approx(np.abs(members - 2).mean() - pairwise)
    assert ensemble_crps(members[:1], truth)[0] == 2.0


# Training.


def test_a_network_learns_what_lies_below_the_cells(tmp_path):
    data = pairs(static=1)
    made = fit(data, CONV, tmp_path, max_epochs=15, steps=20, average=0.9, weight_decay=0.0)
    assert made.improved
    assert made.history[-1]["val_loss"] < 0.6 * made.start_loss
    (score,) = made.scores
    assert (score.field, score.hidden) == ("target", "the last 8 steps")
    assert score.skill.rmse["toy_conv"] < 0.6 * score.skill.rmse["bicubic"]
    assert score.skill.crps == {}
    names = {p.name for p in tmp_path.iterdir()}
    assert "pairs" not in names
    assert {"state.safetensors", "result.json", "best.safetensors"} <= names


def test_an_ensemble_spreads_as_the_truth_does(tmp_path):
    made = fit(pairs(steps=80), DDPM, tmp_path, max_epochs=8, steps=20, average=0.9)
    (score,) = made.scores
    # Noise of 0.3 is all that there is to know: a spread of none would score the absolute error.
    assert score.skill.crps["toy_ddpm"] < 0.9 * score.skill.crps["slope"]
    assert score.skill.rmse["toy_ddpm"] < 1.15 * score.skill.rmse["slope"]
    assert made.state["spread"] != 1.0
    assert {"base:slope:offset", "base:slope:slope"} <= made.state.keys()
    assert made.state["base:slope:offset"].shape == (10, 12)
    assert made.state["base:slope:count"].shape == ()
    assert made.state["base:slope:count"] == 80


def test_without_validation_the_spread_is_that_of_what_was_learnt(tmp_path):
    made = fit(pairs(), DDPM, tmp_path, validation=0.0)
    assert made.scores == ()
    assert made.start_loss is None
    assert made.state["spread"] != 1.0


@BOTH
def test_stopped_it_ends_the_same(tmp_path, monkeypatch, spec):
    data = pairs()
    whole = fit(data, spec, tmp_path / "whole", max_epochs=4)
    usual, calls = PairTraining.training_step, []

    def interrupt(self, batch, batch_idx):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return usual(self, batch, batch_idx)

    folder = tmp_path / "part"
    with monkeypatch.context() as patch:
        patch.setattr(PairTraining, "training_step", interrupt)
        with pytest.raises(KeyboardInterrupt, match=r"resume='.*part' goes on"):
            fit(data, spec, folder, max_epochs=4)
    assert (folder / "pairs").exists()
    rest = fit(data, spec, folder, resume=True, max_epochs=4)
    assert same(rest.state, whole.state)
    assert same(last_state(folder), last_state(tmp_path / "whole"))
    again = fit(data, spec, folder, resume=True, max_epochs=4)
    assert same(again.state, whole.state)


def test_stopped_while_it_ends_it_ends_the_same(tmp_path, monkeypatch):
    data = pairs()
    whole = fit(data, DDPM, tmp_path / "whole")

    def gone(*_):
        raise SystemError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(pair_fitting, "pair_skill", gone)
        with pytest.raises(SystemError, match="gone"):
            fit(data, DDPM, tmp_path / "part")
    assert same(fit(data, DDPM, tmp_path / "part", resume=True).state, whole.state)


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"seed": 3}, r"differs in seed \(0, now 3\)"), ({"other": True}, "differs in data")],
)
def test_another_training_does_not_go_on(tmp_path, changes, told):
    data = pairs()
    fit(data, CONV, tmp_path)
    if changes.pop("other", False):
        data = replace(data, fine=data.fine + 1.0)
    with pytest.raises(InputError, match=told):
        fit(data, CONV, tmp_path, resume=True, **changes)


@BOTH
def test_parts_of_a_step_are_the_step(tmp_path, spec):
    data = pairs()
    one = fit(data, spec, tmp_path / "one")
    other = fit(data, spec, tmp_path / "other", accumulate=2)
    for a, b in zip(one.history, other.history, strict=True):
        assert b["val_loss"] == pytest.approx(a["val_loss"], rel=1e-3)


def test_training_begins_with_what_it_is_given(tmp_path):
    data = pairs()
    first = fit(data, CONV, tmp_path / "first", max_epochs=10, steps=20)
    settings = Settings(**{**toy_pairs.QUICK, "learning_rate": 1e-9, "average": 0.0})
    start = {k: torch.from_numpy(v) for k, v in first.state.items()}
    more = pair_fitting.fit_pairs(
        data,
        spec_for(CONV, data),
        {"bicubic": toy_pairs.Bicubic()},
        settings,
        tmp_path / "more",
        start=start,
    )
    assert more.start_loss == pytest.approx(first.history[-1]["val_loss"], rel=0.05)


def test_a_wrong_option_is_told_of_before_base_models_are_fitted(tmp_path, monkeypatch):
    monkeypatch.setattr(toy_pairs.Slope, "seen", seen := [])
    wrong = DDPM.replace(options={**DDPM.options, "time": "hour"})
    with pytest.raises(SpecError, match="time='hour': expected one of"):
        fit(pairs(), wrong, tmp_path)
    assert seen == []


def test_an_output_of_another_shape_is_refused(tmp_path):
    small = CONV.replace(factory=toy_pairs.OneNumber, options={})
    with pytest.raises(
        ExecutionError, match=r"returned shape \(8, 1, 1, 1\), expected \(8, 1, 10,"
    ):
        fit(pairs(), small, tmp_path)


def test_patience_and_time_end_it(tmp_path):
    data = pairs()
    made = fit(data, CONV, tmp_path / "a", max_epochs=60, patience=2, learning_rate=0.3)
    assert len(made.history) < 60
    short = fit(data, CONV, tmp_path / "b", max_epochs=10**5, max_time=1.0)
    assert 1 <= len(short.history) < 10**4


def test_tiles_and_whole_domains_train(tmp_path):
    data = pairs(rows=12, columns=14, static=1, covariates=1)
    small = CONV.replace(axes=(AxisSpec("Y", "tile", 4, halo=2), AxisSpec("X", "tile", 6, halo=1)))
    made = fit(data, small, tmp_path / "small")
    assert np.isfinite(made.history[-1]["val_loss"])
    whole = fit(data, CONV.replace(axes=DDPM.axes), tmp_path / "whole")
    assert np.isfinite(whole.history[-1]["val_loss"])


@pytest.mark.slow
@BOTH
def test_two_devices_are_one(tmp_path, monkeypatch, spec):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(os.sys.path))
    data = pairs()
    alone = fit(data, spec, tmp_path / "alone")
    shared = fit(data, spec, tmp_path / "shared", devices=2)
    for one, other in zip(shared.history, alone.history, strict=True):
        for key in ("train_loss", "val_loss"):
            assert one[key] == pytest.approx(other[key], rel=1e-3)
