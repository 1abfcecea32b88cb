import numpy as np
import pytest

from xgeoml.train.masks import hide_cells, hide_runs, hide_singles, hide_steps


def observed(n=120):
    seen = np.ones(n, dtype=bool)
    seen[40:51] = False
    return seen


@pytest.mark.parametrize("seed", range(20))
def test_steps_leave_enough(seed):
    seen = observed()
    hidden = hide_steps(seen, np.random.default_rng(seed))
    assert not (hidden & ~seen).any()
    assert 0 < hidden.sum() <= 0.4 * seen.sum()


def test_runs_reach_both_ends():
    rng = np.random.default_rng(0)
    drawn = np.array([hide_runs(np.ones(60, bool), rng, 1) for _ in range(300)])
    lengths = drawn.sum(1)
    assert lengths.min() >= 1
    assert lengths.max() == 24
    assert drawn[:, 0].any()
    assert drawn[:, -1].any()
    assert (np.abs(np.diff(drawn.astype(int), axis=1)).sum(1) <= 2).all()


def test_singles_stand_alone():
    hidden = hide_singles(observed(), np.random.default_rng(0), 12)
    assert hidden.sum() == 12
    assert not (hidden[1:] & hidden[:-1]).any()


def test_no_more_singles_than_there_is_room_for():
    assert hide_singles(np.ones(3, bool), np.random.default_rng(0), 12).sum() <= 2


def test_nothing_to_hide():
    nothing = np.zeros(30, bool)
    rng = np.random.default_rng(0)
    assert not hide_runs(nothing, rng, 2).any()
    assert not hide_steps(nothing, rng).any()


def test_cells_differ():
    hidden = hide_cells(np.ones((5, 80), bool), np.random.default_rng(0))
    assert len(np.unique(hidden, axis=0)) == 5


def test_same_seed_same_pattern():
    first, second = (hide_steps(observed(), np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second)
