"""The batch of a step depends on the seed and the number of the step, and on nothing else."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_training import DRIVEN, FIELD, SERIES, cycles, fields

from xgeoml.models.series import Series
from xgeoml.spec import Channel
from xgeoml.train.batches import Batches, Layout, mix, rescale
from xgeoml.train.dropout import SharedDropout, share_dropout
from xgeoml.train.fitting import n_channels
from xgeoml.train.job import Job
from xgeoml.train.patterns import Ingredients, Pattern, series_pattern
from xgeoml.train.settings import Settings

SETTINGS = Settings(max_epochs=2, steps=3, batch_size=48, seed=5)


def pool_of(spec, obj, covariates=None, count=4):
    found = fields(obj, spec, covariates=covariates)
    usual = Ingredients(spec.inputs, {}, scale=spec.scale)
    pool = [
        [f.training_pattern(20, np.random.default_rng([i, k]), usual) for k in range(count)]
        for i, f in enumerate(found)
    ]
    names = tuple(f.name for f in found)
    return pool, Job(spec, SETTINGS, "", names, (1.0,) * len(pool), n_channels(found, spec))


@pytest.fixture(scope="module")
def pools():
    record = cycles(12, 12, steps=72)
    both = record.to_dataset().assign(other=record * 2)
    return {
        "series": pool_of(SERIES, both),
        "windows": pool_of(FIELD, record),
        "drivers": pool_of(DRIVEN, record, covariates=[record.rename("p"), record.rename("t")]),
    }


def step(pools, kind, number, settings=SETTINGS):
    """Return the whole batch of a step, put together from its parts."""
    pool, job = pools[kind]
    epoch, i = divmod(number, settings.steps)
    parts = [
        Batches(pool, job, settings, epoch, rank)[i * settings.accumulate + a]
        for a, rank in itertools.product(range(settings.accumulate), range(settings.world))
    ]
    return [torch.cat(each) for each in zip(*parts, strict=True)]


def same(one, other):
    return all(
        a.numpy().tobytes() == b.numpy().tobytes() and a.shape == b.shape
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("kind", ["series", "windows", "drivers"])
@pytest.mark.parametrize(
    ("accumulate", "devices", "nodes"), [(2, 1, 1), (1, 2, 1), (1, 3, 1), (2, 2, 2), (1, 1, 24)]
)
def test_the_parts_make_the_whole_batch(pools, kind, accumulate, devices, nodes):
    shared = replace(SETTINGS, accumulate=accumulate, devices=devices, nodes=nodes)
    for number in (0, 4):
        assert same(step(pools, kind, number, shared), step(pools, kind, number))


@pytest.mark.parametrize("kind", ["series", "windows"])
def test_a_batch_is_that_of_its_step(pools, kind):
    first = step(pools, kind, 4)
    pool, job = pools[kind]
    batches = Batches(pool, job, SETTINGS, 1)
    assert len(batches) == 3
    assert same(list(batches)[1], first)
    assert same(batches[1], first)
    longer = replace(SETTINGS, steps=4)
    assert same(step(pools, kind, 4, longer), first)
    assert not same(step(pools, kind, 5), first)
    assert not same(step(pools, kind, 4, replace(SETTINGS, seed=6)), first)


@pytest.mark.parametrize("size", [1, 5, 16, 17, 48])
def test_any_size_of_batch(pools, size):
    x, truth, weight = step(pools, "series", 0, replace(SETTINGS, batch_size=size))
    assert len(x) == len(truth) == len(weight) == size
    assert (weight > 0).all()
    assert torch.isfinite(x).all()


def test_batches_have_something_to_learn(pools):
    for kind, channels in {"series": 2, "windows": 2, "drivers": 4}.items():
        lengths = set()
        for number in range(6):
            x, truth, weight = step(pools, kind, number)
            assert x.shape[1] == channels
            assert x.dtype == truth.dtype == weight.dtype == torch.float32
            wanted = torch.isfinite(truth)
            assert wanted.any()
            assert not x[:, 0][wanted].any()
            assert not x[:, 1][wanted].any()
            lengths.add(x.shape[2])
        assert (len(lengths) > 1) == (kind != "windows")


def test_pieces_are_as_long_as_the_network_needs(pools):
    pool, job = pools["series"]
    longer = job.spec.axes[0].__class__("T", minimum=50)
    batches = Batches(pool, replace(job, spec=job.spec.replace(axes=(longer,))), SETTINGS, 0)
    assert min(batches[i][0].shape[2] for i in range(3)) >= 50
    drawn = {batches._length(72, np.random.default_rng(k)) for k in range(50)}
    assert min(drawn) >= 50
    assert len(drawn) > 5


def pattern_of(values, hidden, spec=SERIES):
    n, t = values.shape
    series = Series(
        values, 2000 + np.arange(t) / 12, np.ones(t, bool), np.empty((0, n, t)), np.ones(n)
    )
    return series_pattern(series, hidden, np.arange(n), Ingredients(spec.inputs, {}))


def test_sums_of_series_are_scaled_as_series_are():
    rng = np.random.default_rng(0)
    hidden = np.zeros((6, 80), bool)
    hidden[:, 20:30] = True
    pattern = pattern_of(rng.standard_normal((6, 80)).cumsum(1), hidden)
    layout = Layout.of(SERIES)
    x, truth, weight = mix(pattern, slice(10, 60), 200, layout, np.random.default_rng(1))
    known = x[:, 1] > 0.5
    assert np.array_equal(known, np.broadcast_to(~hidden[0, 10:60], known.shape))
    values = np.where(known, x[:, 0], np.nan)
    assert np.allclose(np.nanmean(values, 1), 0, atol=1e-4)
    assert np.allclose(np.nanstd(values, 1), 1, atol=1e-3)
    assert np.array_equal(np.isfinite(truth), ~known)
    assert (weight > 0).all()


def test_series_with_gaps_of_their_own_are_not_summed():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((6, 80)) + 5 * np.arange(6)[:, None]
    values[rng.random((6, 80)) < 0.1] = np.nan
    hidden = np.isfinite(values) & (np.arange(80) % 9 == 4)
    pattern = pattern_of(values, hidden)
    x, truth, _ = mix(pattern, slice(0, 80), 50, Layout.of(SERIES), np.random.default_rng(1))
    rows = [next(i for i in range(6) if np.array_equal(pattern.x[i, 1], piece[1])) for piece in x]
    assert len(set(rows)) > 1
    np.testing.assert_allclose(truth, pattern.truth[rows], atol=1e-4)


def test_without_validity_pieces_keep_the_scale_of_their_series():
    spec = SERIES.replace(inputs=(Channel("value"),), options={"channels": 1})
    assert not Layout.of(spec).rescaled
    assert not Layout.of(SERIES.replace(scaling="training")).rescaled
    assert Layout.of(SERIES).rescaled


def test_few_values_give_no_scale():
    x = np.zeros((2, 2, 40), np.float32)
    x[0, :, :5] = [[1.0, 1.1, 0.9, 1.0, 1.05], [1] * 5]
    x[1, 0], x[1, 1] = np.sin(np.arange(40)), 1
    truth = np.full((2, 40), 3.0, np.float32)
    rescale(x, truth, Layout.of(SERIES))
    assert truth[0, 0] == 3.0
    assert np.allclose(x[0, 0, :5], [1.0, 1.1, 0.9, 1.0, 1.05])
    assert x[1, 0].std() == pytest.approx(1, abs=1e-3)


def test_a_constant_window_weighs_nothing(pools):
    pool, job = pools["windows"]
    (pattern, *_), *_ = pool
    still = np.array(pattern.deviation)
    still[: len(still) // 2] = 1e-9
    calm = Pattern(pattern.x, pattern.truth, pattern.area, still)
    _, _, weight = Batches([[calm]], job, SETTINGS, 0)[0]
    assert ((weight < 1e-6) | (weight > 0.1)).all()
    assert (weight < 1e-6).any()


def test_dropout_is_that_of_the_whole_batch():
    layer = SharedDropout(0.4, 3).train()
    x = torch.ones(12, 5, 7)
    layer.start(seed=1, step=8, part=0, parts=1)
    whole = layer(x), layer(x)
    assert not torch.equal(*whole)
    assert 0.4 < (whole[0] > 0).float().mean() < 0.8
    assert whole[0].max() == pytest.approx(1 / 0.6)
    for parts in (2, 3, 12):
        found = []
        for part in range(parts):
            torch.manual_seed(part)  # of no consequence
            layer.start(seed=1, step=8, part=part, parts=parts)
            size = 12 // parts
            own = x[part * size : (part + 1) * size]
            found.append((layer(own), layer(own)))
        for first, each in zip(whole, zip(*found, strict=True), strict=True):
            assert torch.equal(torch.cat(each), first)
    layer.start(seed=1, step=9, part=0, parts=1)
    assert not torch.equal(layer(x), whole[0])
    assert torch.equal(layer.eval()(x), x)


def test_dropout_is_replaced_in_place():
    network = torch.nn.Sequential(
        torch.nn.Linear(2, 2), torch.nn.Dropout(0.1), torch.nn.Sequential(torch.nn.Dropout(0.2))
    )
    names = list(network.state_dict())
    made = share_dropout(network)
    assert [(m.share, m.place) for m in made] == [(0.1, 0), (0.2, 1)]
    assert list(network.state_dict()) == names
    assert not any(type(m) is torch.nn.Dropout for m in network.modules())
