"""What networks of waveform inversion learn from."""

import numpy as np
import pytest
import torch

from xgeoml.models._path import learn_path
from xgeoml.models.waveforms import Gather
from xgeoml.registry import get_model
from xgeoml.train.settings import Settings
from xgeoml.train.simulated_waves import Examples, Seismogram, convolve, pulses, rupture, simulate
from xgeoml.train.wave_module import WaveScore, base_models, unexplained
from xgeoml.train.wave_pools import pool_of, recorrupted, with_paths
from xgeoml.train.waves import KeptWaves, Pool, Simulator, WaveBatches, prepared

SPEC = get_model("eq_tf", "invert_waveform")
BASES = base_models(SPEC)


def some_events(count=12, stations=2, n=192, lags=64, ratio=10.0):
    random = np.random.default_rng(5)
    source = np.stack([pulses(random, n, lags, 1.0) for _ in range(count)])[:, :lags]
    path = random.standard_normal((stations, n)) * np.exp(-np.arange(n) / 20)
    target = convolve(np.broadcast_to(path, (count, stations, n)), source[:, None])
    noise = random.standard_normal(target.shape) * target.std(-1, keepdims=True) / ratio
    greens = np.broadcast_to(path, target.shape).copy()
    return Examples(target + noise, greens, source, target, greens)


def seismograms():
    random = np.random.default_rng(1)
    return [Seismogram(random.standard_normal(1500) * (1 + 9 * (np.arange(1500) > 300)), 300)]


def test_simulated_events_are_what_they_say():
    random = np.random.default_rng(2)
    for _ in range(12):
        made = simulate(random, seismograms(), 8)
        assert made.record.shape == made.greens.shape == made.target.shape
        for values in (made.record, made.greens, made.source, made.target, made.path):
            assert np.isfinite(values).all()
        if made.positive:
            assert (made.source >= 0).all()
            np.testing.assert_allclose(made.source.sum(-1), 1.0)
        if not made.free:
            again = convolve(made.path, made.source[:, None])
            np.testing.assert_allclose(again, made.target, atol=1e-9)


def test_a_rupture_is_positive_and_as_long_as_told():
    made = rupture(np.random.default_rng(0), 256, 100)
    assert (made >= 0).all()
    assert made.sum() == pytest.approx(1.0)
    assert not made[100:].any()


def test_batches_depend_on_the_number_of_the_step_alone():
    settings = Settings(steps=4, batch_size=8, max_epochs=2)
    waves = Simulator(seismograms(), BASES)
    one, other = (WaveBatches(waves, settings, 1)[2] for _ in range(2))
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    before = WaveBatches(waves, settings, 0)[2]
    assert before.record.shape != one.record.shape or not torch.equal(before.record, one.record)


def test_parts_of_a_batch_are_the_batch():
    pool = pool_of(some_events(), None, BASES)
    whole = WaveBatches(pool, Settings(batch_size=8, steps=2), 0)[1]
    parts = [
        WaveBatches(pool, Settings(batch_size=8, steps=2, devices=2), 0, rank)[1]
        for rank in range(2)
    ]
    joined = torch.stack([p.record for p in parts], 1).flatten(0, 1)
    torch.testing.assert_close(joined, whole.record, rtol=0, atol=0)


def test_pools_and_simulators_come_back_from_their_folder(tmp_path):
    pool = pool_of(some_events(8), some_events(4), BASES)
    pool.save(tmp_path)
    again = Pool.load(tmp_path)
    assert again.learnt == 8
    np.testing.assert_array_equal(again.kept, np.arange(8, 12))
    for name, values in pool.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], values)
    waves = Simulator(seismograms(), BASES)
    waves.save(tmp_path)
    (back,) = Simulator.load(tmp_path, BASES).seismograms
    np.testing.assert_array_equal(back.values, waves.seismograms[0].values)
    assert back.onset == 300


def test_kept_batches_of_two_processes_hold_each_event_once():
    pool = pool_of(some_events(4), some_events(40), BASES)
    settings = Settings(devices=2, batch_size=8)
    batches = [b for rank in range(2) for b in KeptWaves(pool, settings, rank)]
    assert sum(float(b.weight.sum()) for b in batches) == 40.0


def test_a_record_has_size_one_whatever_its_unit():
    examples = some_events()
    small = Examples(
        examples.record * 1e-9,
        examples.greens,
        examples.source * 1e-9,
        examples.target * 1e-9,
        examples.path,
    )
    for name, values in prepared(examples, BASES).items():
        np.testing.assert_allclose(prepared(small, BASES)[name], values, rtol=1e-4, atol=1e-6)


def test_paths_are_learnt_from_pairs():
    examples = some_events(count=20, ratio=20.0)
    found = learn_path(examples.record, examples.source)
    for one, other in zip(found, examples.path[0], strict=True):
        # Beyond the source's frequencies nothing can be known of a path.
        smooth = [np.convolve(a, examples.source[0])[: len(a)] for a in (one, other)]
        assert np.corrcoef(*smooth)[0, 1] > 0.95


def test_an_event_is_shown_paths_that_it_had_no_part_in():
    examples = some_events(count=8)
    learnt = np.arange(8) < 6
    before, _ = with_paths(examples.record, examples.source, True, learnt)
    changed = examples.record.copy()
    changed[2] = np.random.default_rng(0).standard_normal(changed[2].shape)
    after, path = with_paths(changed, examples.source, True, learnt)
    np.testing.assert_array_equal(before.greens[2], after.greens[2])
    assert not np.allclose(before.greens[3], after.greens[3])
    np.testing.assert_array_equal(after.greens[7], path)


def test_recorrupted_records_are_unbiased_judges():
    """The noise that is scored is independent of the noise that is shown."""
    examples = some_events(count=400, stations=1, ratio=3.0)
    made = recorrupted(np.random.default_rng(3), examples, 1)
    shown, scored = (a - examples.target for a in (made.record, made.target))
    alike = np.corrcoef(shown.ravel(), scored.ravel())[0, 1]
    assert abs(alike) < 0.1
    own = np.corrcoef((examples.record - examples.target).ravel(), scored.ravel())[0, 1]
    assert own > 0.4
    assert np.isnan(made.source).all()


def test_the_loss_of_the_truth_is_nearly_nothing():
    arrays = prepared(some_events(ratio=1e6), BASES)
    pool = Pool(arrays, len(arrays["weight"]))
    batch = pool.some(np.arange(4))
    assert float(unexplained(batch.path, batch.source, batch.target).max()) < 1e-6

    class Knows(torch.nn.Module):
        def forward(self, *_):
            return torch.stack([batch.source, torch.full_like(batch.source, -5.0)], 1)

    class Silent(torch.nn.Module):
        def forward(self, *_):
            return torch.zeros(4, 2, batch.source.shape[-1])

    score = WaveScore(SPEC)
    knows, silent = (float(score(n, batch)[0]) / 4 for n in (Knows(), Silent()))
    assert knows < 0.05
    assert silent > 1.0

    class Unsure(torch.nn.Module):
        def forward(self, *_):
            return batch.source[:, None]

    alone = WaveScore(SPEC.replace(outputs=("value",)))
    assert float(alone(Unsure(), batch)[0]) / 4 < 0.01
    unknown = batch._replace(source=torch.full_like(batch.source, torch.nan))
    assert float(score(Knows(), unknown)[0]) / 4 < 1e-5
    assert float(score(Silent(), unknown)[0]) / 4 == pytest.approx(1.0)


def test_free_amplitudes_are_taken_into_account():
    random = np.random.default_rng(8)
    examples = some_events(count=6, stations=6)
    wrong = np.exp(random.normal(0, 0.5, (6, 6, 1)))
    free = Examples(
        examples.record, examples.greens * wrong, examples.source, examples.target, examples.path,
        free=True,
    )  # fmt: skip
    made = prepared(free, BASES)
    # The truth is scaled by what all factors have in common, so that it fits the records.
    gather = Gather(
        made["target"].astype(float), made["path"].astype(float), made["source"].shape[-1]
    )
    left = gather.convolved(made["source"].astype(float)) - made["target"]
    assert np.sqrt((left**2).mean()) < 0.05
    error = made["estimates"][:, 1] - made["source"]
    assert np.sqrt((error**2).sum(-1) / (made["source"] ** 2).sum(-1)).mean() < 0.3
