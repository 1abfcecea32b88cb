"""How the penalties of a ridge regression in stages are chosen."""

import numpy as np

from xgeoml.models import _stages
from xgeoml.models._intervals import Calendar, Parts
from xgeoml.models._stages import Sample, Stages

CELLS, BLOCKS, SAMPLES = (3, 4), 4, 40


def sample_of(signal):
    """Return the moments of random predictors, and of a target of which they tell that share."""
    parts = Parts.of(Calendar(1, 0, 1, 0))
    rng = np.random.default_rng(0)
    known = rng.standard_normal((BLOCKS + 1, *CELLS, parts.total, SAMPLES)).astype(np.float32)
    noise = rng.standard_normal((BLOCKS + 1, *CELLS, 1, SAMPLES)).astype(np.float32)
    target = signal * known[..., parts.own[:1], :] + (1.0 - signal) * noise
    both = np.concatenate([known, target], axis=-2)
    moments = (both @ both.swapaxes(-1, -2))[None]
    return parts, Sample(moments, np.ones(CELLS, bool), (slice(None), slice(None)))


def chosen(signal, monkeypatch):
    """Return the penalties of the first stage, and all that were tried."""
    parts, sample = sample_of(signal)
    tried = []
    whole = Stages._tried

    def spied(self, fold, scope, which, penalty):
        tried.append((scope, penalty))
        return whole(self, fold, scope, which, penalty)

    monkeypatch.setattr(Stages, "_tried", spied)
    stages = Stages(parts, 1)
    stages.choose([sample])
    return stages.penalties, [penalty for scope, penalty in tried if scope == "cell"]


def test_what_tells_something_is_penalised_little(monkeypatch):
    penalties, _ = chosen(0.9, monkeypatch)
    assert penalties[0][0] <= 100.0


def test_of_noise_nothing_is_learnt_and_little_is_tried(monkeypatch):
    penalties, tried = chosen(0.0, monkeypatch)
    assert all(np.isinf(row).all() for row in penalties[2:])
    # Errors grow from one penalty to the next: the small ones are not tried.
    assert min(tried) > _stages._PENALTIES[-1]
    assert len(tried) <= 2 * BLOCKS * (2 + _stages._WORSE)


def test_the_error_of_the_cycle_alone_is_that_of_all_that_is_left():
    parts, sample = sample_of(0.5)
    stages = Stages(parts, 1)
    moments = sample.moments[0, 0]
    cycles = stages._cycles(moments, 10.0)
    nothing = np.zeros((parts.total - parts.cycle.stop, 1), np.float32)
    whole = stages._error(stages._without(cycles, moments), nothing).sum()
    alone = stages._left(stages._cycles(moments, 10.0, stages._last), moments)
    np.testing.assert_allclose(alone, whole, rtol=1e-4)
