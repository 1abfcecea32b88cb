"""Single steps hidden in training stand between steps that are observed."""

import numpy as np
import pytest

from xgeoml.train.masks import hide_cells, hide_singles, hide_steps


@pytest.mark.parametrize("seed", range(10))
def test_a_single_has_observed_neighbours(seed):
    rng = np.random.default_rng(seed)
    seen = rng.random(120) < 0.7
    hidden = hide_singles(seen, rng, 200)
    assert hidden.any()
    left = seen & ~hidden
    for i in np.flatnonzero(hidden):
        assert seen[i]
        assert left[i - 1] or i == 0
        assert i == 119 or left[i + 1]


def test_steps_without_neighbours_can_still_be_hidden():
    lone = np.arange(9) % 3 == 0
    assert not hide_singles(lone, np.random.default_rng(0), 3).any()
    for seed in range(20):
        hidden = hide_steps(lone, np.random.default_rng(seed))
        assert 0 < (hidden & lone).sum() <= 0.4 * lone.sum() or hidden.sum() == 1
    rows = np.stack([lone, ~lone, np.zeros(9, bool)])
    assert hide_cells(rows, np.random.default_rng(0)).any(1).tolist() == [True, True, False]
