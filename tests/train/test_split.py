"""The validation part: blocks of time, and of space, never single values at random."""

import numpy as np
import pytest

from xgeoml.train.split import validation_blocks, validation_cells


def runs(flags):
    return np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]]))).reshape(-1, 2)


@pytest.mark.parametrize("seed", range(5))
def test_blocks_are_runs_in_all_parts_of_the_record(seed):
    observed = np.ones(120, bool)
    observed[50:60] = False
    blocks = validation_blocks(observed, 0.15, np.random.default_rng(seed))
    assert len(blocks) == 3
    together = np.sum(blocks, axis=0)
    assert together.max() == 1
    assert abs((together.astype(bool) & observed).sum() - 0.15 * 110) <= 2
    for i, block in enumerate(blocks):
        ((start, stop),) = runs(block)
        assert block[start:stop].all()
        assert observed[start]
        assert observed[stop - 1]
        part = np.array_split(np.flatnonzero(observed), 3)[i]
        assert part[0] <= start < stop <= part[-1] + 1


def test_short_records_have_fewer_blocks():
    def count(steps, share):
        return len(validation_blocks(np.ones(steps, bool), share, np.random.default_rng(0)))

    assert [count(14, 0.15), count(7, 0.15), count(6, 0.15), count(120, 0.0)] == [2, 1, 0, 0]


@pytest.mark.parametrize("shape", [(40, 40), (900,), (2, 20, 30)])
def test_cells_are_blocks(shape):
    known = np.ones(shape, bool)
    aside = validation_cells(known, 0.15, np.random.default_rng(0))
    assert 0.05 < aside.mean() < 0.3
    edges = sum(np.count_nonzero(np.diff(aside.astype(int), axis=i)) for i in range(aside.ndim))
    assert edges < 0.25 * aside.size  # three times as many if they were drawn one by one


def test_small_grids_are_learnt_from_whole():
    known = np.ones((19, 21), bool)
    assert not validation_cells(known, 0.15, np.random.default_rng(0)).any()
    assert not validation_cells(np.ones((30, 30), bool), 0.0, np.random.default_rng(0)).any()


@pytest.mark.parametrize("seed", range(10))
def test_cells_without_data_are_no_validation_part(seed):
    known = np.zeros((40, 40), bool)
    known[:20, :20] = True  # four blocks of sixteen
    aside = validation_cells(known, 0.15, np.random.default_rng(seed))
    assert (aside & known).sum() == 100
    assert aside.sum() == 100
    known[:, 10:] = False
    known[10:] = False  # one
    assert not validation_cells(known, 0.15, np.random.default_rng(seed)).any()
