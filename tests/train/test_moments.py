"""What a network of interpolation in time learns from, and how."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from xgeoml.exceptions import InputError
from xgeoml.models._moments import Layout
from xgeoml.models.diurnal import Diurnal
from xgeoml.models.downscaling import Clock
from xgeoml.models.in_time import Place, Record, Stretch
from xgeoml.models.series import Floats, State
from xgeoml.models.splines import Akima, Linear
from xgeoml.models.temdeep import TemDeep, octaves
from xgeoml.registry import get_model
from xgeoml.spec import Channel
from xgeoml.train.cycles import CYCLES, Cycles, cycle_loss, write_cycles
from xgeoml.train.job import Job
from xgeoml.train.moment_batches import KeptMoments, MomentBatches
from xgeoml.train.moment_module import begin_moments
from xgeoml.train.moments import (
    MOMENTS,
    MomentField,
    Pattern,
    multiples,
    parts,
    stretch_of,
    window_of,
    write_moments,
)
from xgeoml.train.settings import Settings

SHAPE = (5, 6)


def record(steps: int = 120, hours: float = 6.0, parts: int = 1, seed: int = 0) -> Record:
    """Return a record with a daily cycle and waves that move."""
    random = np.random.default_rng(seed)
    days = np.arange(steps) * hours / 24.0
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    moving = np.sin(x / 2.0 + y / 3.0 - 2.2 * days[:, None, None])
    cycle = np.sin(2 * np.pi * days)[:, None, None] * (1.0 + 0.1 * y)
    noise = 0.05 * random.standard_normal((parts, steps, *SHAPE))
    value = 280.0 + 2.0 * moving + 3.0 * cycle + noise
    clock = Clock((days / 365.25) % 1.0, days % 1.0, 2001.0 + days / 365.25)
    lat, lon = np.meshgrid(45.0 + np.arange(SHAPE[0]), np.arange(SHAPE[1]) * 1.0, indexing="ij")
    return Record(value, days, clock, Place(lat, lon), seed)


@pytest.fixture
def field(tmp_path):
    write_moments(record(), {"diurnal": Diurnal()}, {}, 0.2, tmp_path / "000", seed=3)
    return MomentField.load(tmp_path / "000")


def test_intervals_are_up_to_a_day_long():
    assert multiples(record(hours=6.0)) == [2, 3, 4]
    assert multiples(record(hours=1.0)) == [2, 3, 4, 6, 8, 12, 24]
    assert multiples(record(hours=24.0)) == [2, 4]
    assert multiples(record(steps=9, hours=1.0)) == [2]


def test_what_is_set_aside_lies_in_blocks_over_the_record():
    learnt, kept = parts(1000, 0.2)
    assert len(kept) == 5
    assert sum(b - a for a, b in kept) == 200
    steps = [t for a, b in (*learnt, *kept) for t in range(a, b)]
    assert sorted(steps) == list(range(1000))
    assert kept[-1][1] == 1000
    assert parts(1000, 0.0) == ([(0, 1000)], [])
    assert len(parts(72, 0.15)[1]) == 1  # too short for several


def test_patterns_stay_within_their_block(field):
    learnt, kept = parts(120, 0.2)
    for rows, blocks in ((field.learnt, learnt), (field.kept, kept)):
        assert len(rows)
        for row in rows:
            pattern = Pattern(*row)
            within = [low <= pattern.low and pattern.high <= high for low, high in blocks]
            assert sum(within) == 1
            seen = pattern.seen()
            assert pattern.low <= seen.min() <= pattern.start
            assert pattern.start + pattern.every <= seen.max() < pattern.high
            assert pattern.hidden not in seen


def test_base_models_have_not_seen_what_they_are_asked(tmp_path):
    plain = record()
    spoilt = plain.value.copy()
    _, kept = parts(120, 0.2)
    for low, high in kept:
        spoilt[:, low:high] += 40.0 * np.sin(np.arange(high - low))[:, None, None]
    estimates = []
    for name, value in (("a", plain.value), ("b", spoilt)):
        path = tmp_path / name
        write_moments(replace(plain, value=value), {"diurnal": Diurnal()}, {}, 0.2, path, seed=3)
        field = MomentField.load(path)
        estimates.append(np.array(field.estimates[: len(field.learnt)]))
    # What is set aside has no say in what is learnt from.
    np.testing.assert_array_equal(*estimates)


def test_estimates_are_departures_from_linear(field):
    pattern = Pattern(*field.learnt[0])
    stretch = stretch_of(field.record, pattern, [pattern.hidden])
    state = Diurnal().fit(field.record)
    close = Diurnal().predict(stretch, state) - Linear().predict(stretch, {})
    off = field.estimates[0, 0] - close[:, 0]
    assert np.abs(off).mean() < 0.3 * np.abs(close).mean()


def test_rapid_transitions_are_where_linear_is_far_off(field):
    assert 0.4 < field.rapid.mean() < 0.6
    off = []
    for row in field.learnt:
        p = Pattern(*row)
        first, second = (field.record.value[0, t] for t in (p.start, p.start + p.every))
        share = p.place / p.every
        linear = (1 - share) * first + share * second
        rms = np.sqrt(np.mean((field.record.value[0, p.hidden] - linear) ** 2))
        off.append(rms)
    size, every = np.array(off), field.learnt[:, 0]
    for k in np.unique(every):
        size[every == k] /= np.sqrt(np.mean(size[every == k] ** 2))
    assert min(size[field.rapid]) >= max(size[~field.rapid]) - 1e-6


def test_all_lengths_are_drawn_short_ones_more_often(field, monkeypatch):
    drawn: list[int] = []

    def note(_field, _numbers, rows, *_):
        drawn.extend(rows[:, 0].tolist())
        return torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1, 1), torch.tensor(data=False)

    monkeypatch.setattr("xgeoml.train.moment_batches._batch", note)
    batches = MomentBatches([field], [1.0], Settings(batch_size=600, steps=10), epoch=5)
    assert len(list(batches)) == 10
    every, count = np.unique(drawn, return_counts=True)
    assert every.tolist() == [2, 3, 4]
    chance = every**-0.5 / (every**-0.5).sum()
    np.testing.assert_allclose(count / count.sum(), chance, atol=0.03)


def test_ends_of_records_are_learnt_from_too(field):
    low, high = parts(120, 0.2)[0][0]
    cut = (field.learnt[:, 3] > low) | (field.learnt[:, 4] < high)
    assert 0.1 < cut.mean() < 0.3


def test_errors_are_in_units_of_what_the_best_of_all_lacks(field):
    """`diurnal` is better than linear here, by far."""
    for k, unit in field.unit.items():
        rows = np.flatnonzero(field.learnt[:, 0] == k)
        lacks = []
        for q in rows:
            pattern = Pattern(*field.learnt[q])
            stretch = stretch_of(field.record, pattern, [pattern.hidden])
            made = Linear().predict(stretch, {})[0, 0] + field.estimates[q, 0, 0]
            lacks.append(np.mean((field.record.value[0, pattern.hidden] - made) ** 2))
        np.testing.assert_allclose(unit, np.sqrt(np.mean(lacks)), rtol=1e-3)


def test_training_begins_with_what_is_known_best_at_each_length(tmp_path):
    """Of two base models one is right about short intervals, the other about long ones."""

    class Knows:
        def __init__(self, short: bool) -> None:
            self.short = short

        def predict(self, stretch: Stretch, state: State) -> Floats:
            hours = 24.0 * np.diff(stretch.days)[stretch.before]
            right = (hours < 15.0) == self.short
            steps = np.rint(stretch.wanted / 0.25).astype(int)
            noise = 5.0 * np.random.default_rng(0).standard_normal(SHAPE)
            truth = made.value[:, steps]
            return np.where(right[:, None, None], truth, truth + noise)

    made = record()
    models = {"a": Knows(short=True), "b": Knows(short=False)}
    write_moments(made, models, {}, 0.2, tmp_path / MOMENTS / "000", seed=3)
    spec = get_model("temdeep", "interp_time").replace(weights=None)
    settings = Settings(batch_size=16, steps=4, max_epochs=2)
    job = Job(spec, settings, "", ("made up",), (1.0,), 3)
    network = TemDeep(width=8, bases=2)
    begin_moments(network, job, tmp_path)
    at = [int(octaves(torch.tensor([np.log2(h / 6.0) / 3.0]))[0].argmax()) for h in (12.0, 24.0)]
    first, second = network.trust[2:, at].detach()
    # 18 hours lie between the two octaves.
    assert first[0] > 0.6 > 0.3 > first[1]
    assert second[1] > 0.6 > 0.3 > second[0]
    # Of minutes it has seen nothing: Akima's curve is trusted, and the network says nothing.
    assert network.trust[0, 0] > 0.9
    assert network.learnt[0] < 0.01
    assert network.learnt[at].min() > 0.9


def test_of_lengths_that_it_has_not_seen_a_fit_trusts_the_network_it_begins_beside(tmp_path):
    """Steps a day apart say nothing of what lies between them; at two days another is better."""

    def truth(stretch: Stretch) -> Floats:
        return made.value[:, np.rint(stretch.wanted).astype(int)]

    class Knows:
        def predict(self, stretch: Stretch, state: State) -> Floats:
            return truth(stretch)

    def network(stretch: Stretch, _: object) -> Floats:
        return truth(stretch) + 5.0 * np.random.default_rng(0).standard_normal(SHAPE)

    made = record(hours=24.0)
    networks = {"temdeep": network}
    write_moments(made, {"a": Knows()}, networks, 0.2, tmp_path / MOMENTS / "000", seed=3)
    spec = get_model("temdeep", "interp_time").replace(weights=None)
    spec = spec.replace(inputs=(*spec.inputs, Channel("estimate", "temdeep@1.0")))
    job = Job(spec, Settings(batch_size=16, steps=4, max_epochs=2), "", ("made up",), (1.0,), 4)
    fitted = TemDeep(width=8, bases=2)
    begin_moments(fitted, job, tmp_path)
    one, two = (int(octaves(torch.tensor([v / 3.0]))[0].argmax()) for v in (2.0, 3.0))
    assert fitted.trust[2, two] > 0.7 > 0.2 > fitted.trust[3, two]
    assert fitted.trust[3, one] > 0.9
    assert fitted.learnt[one] < 0.01


def test_a_batch_depends_on_the_number_of_the_step_alone(field):
    settings = Settings(batch_size=8, steps=4, max_epochs=4)
    first = MomentBatches([field], [1.0], settings, epoch=2)[1]
    again = MomentBatches([field], [1.0], settings, epoch=2)[1]
    other = MomentBatches([field], [1.0], settings, epoch=3)[1]
    for a, b, c in zip(first[:3], again[:3], other[:3], strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
        assert not torch.equal(a, c)


def test_processes_share_a_batch(field):
    whole = MomentBatches([field], [1.0], Settings(batch_size=8, steps=2), 1)[0]
    settings = Settings(batch_size=8, steps=2, devices=2)
    halves = [MomentBatches([field], [1.0], settings, 1, rank)[0] for rank in (0, 1)]
    for a, *b in zip(whole[:3], *(h[:3] for h in halves), strict=True):
        torch.testing.assert_close(a, torch.cat(b), rtol=0, atol=0, equal_nan=True)


def test_the_beginning_learns_from_rapid_transitions_only(field):
    settings = Settings(batch_size=64, steps=5, max_epochs=10)
    rapid = MomentBatches([field], [1.0], settings, epoch=0)
    later = MomentBatches([field], [1.0], settings, epoch=5)

    def size(batches):
        lack = [(w * t.nan_to_num().square()).mean() for _, t, w, _ in (batches[i] for i in (0, 1))]
        return float(torch.stack(lack).mean())

    assert size(rapid) > 1.3 * size(later)


def test_truth_and_channels_belong_together(field):
    """Linear interpolation plus the truth in its scale is the hidden field."""
    batches = KeptMoments([field], Settings(batch_size=8))
    given, truth, weight, around = batches[0]
    assert given.shape[1] == Layout(1).n_channels
    assert not bool(around)
    units = np.array([field.unit[int(k)] for k in field.kept[: len(given), 0]])
    changes = np.sqrt(weight.mean((1, 2)).numpy()) * units
    for i, row in enumerate(field.kept[: len(given)]):
        p = Pattern(*row)
        first, second = (field.record.value[0, t] for t in (p.start, p.start + p.every))
        share = p.place / p.every
        made = (1 - share) * first + share * second + changes[i] * truth[i].numpy()
        np.testing.assert_allclose(made, field.record.value[0, p.hidden], atol=2e-2)


def test_large_fields_are_cut():
    large = replace(record(6), value=np.zeros((1, 6, 200, 70)), place=Place())
    rows, columns = window_of(large, np.random.default_rng(0))
    assert (rows.stop - rows.start, columns.stop - columns.start) == (48, 48)
    assert window_of(record(6), np.random.default_rng(0)) == (slice(0, 5), slice(0, 6))


def test_too_short_a_record_is_told_of(tmp_path):
    with pytest.raises(InputError, match="2 steps; expected 3"):
        write_moments(record(2), {}, {}, 0.0, tmp_path / "a", seed=0)
    gaps = record(12)
    gaps.value[:, ::2] = np.nan
    with pytest.raises(InputError, match="in a row"):
        write_moments(gaps, {}, {}, 0.0, tmp_path / "b", seed=0)


def test_cycles_vanish_for_what_is_linear_in_time(tmp_path):
    """Linear interpolation makes no error where all is linear: nothing is left of the cycle."""
    straight = record(40)
    slope = np.random.default_rng(0).standard_normal((1, 1, *SHAPE))
    straight = replace(straight, value=280.0 + slope * straight.days[:, None, None])
    write_cycles(straight, [(0, 40)], lambda _: [], tmp_path)
    cycles = Cycles.load(tmp_path)
    given = cycles.some(np.arange(4))
    residual, pace = cycle_loss(TemDeep(width=8, bases=0), given, cycles.around)
    assert residual.item() < 1e-8
    assert pace.item() < 1e-10
    curved = replace(straight, value=record(40).value)
    write_cycles(curved, [(0, 40)], lambda _: [], tmp_path)
    residual, _ = cycle_loss(
        TemDeep(width=8, bases=0), Cycles.load(tmp_path).some(np.arange(4)), False
    )
    assert residual.item() > 1e-2


def test_cycles_come_from_the_steps_to_learn_from(tmp_path):
    plain = record(60)
    spoilt = replace(plain, value=plain.value.copy())
    spoilt.value[:, 40:] += 50.0
    held = []
    for name, one in (("a", plain), ("b", spoilt)):
        (tmp_path / name).mkdir()
        write_cycles(one, [(0, 40)], lambda s: [Akima().predict(s, {})], tmp_path / name)
        held.append(np.load(tmp_path / name / CYCLES))
    for key in held[0]:
        np.testing.assert_array_equal(held[0][key], held[1][key])


def test_the_residual_of_cycles_falls_in_training(tmp_path):
    write_cycles(record(), [(0, 120)], lambda _: [], tmp_path)
    cycles = Cycles.load(tmp_path)
    torch.manual_seed(0)
    network = TemDeep(width=8, bases=0)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    given = cycles.some(np.arange(16))
    losses = []
    for _ in range(40):
        residual, pace = cycle_loss(network, given, False)
        losses.append(residual.item())
        optimiser.zero_grad()
        (residual + pace).backward()
        optimiser.step()
    assert losses[-1] < 0.7 * losses[0]
