"""What is hidden: only known values, in the shapes that were asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xgeoml.exceptions import InputError
from xgeoml.tasks.holdouts import gap_lengths, hide, own_gaps, read_holdout

KINDS = ("gaps", "steps", "runs", "clouds", "blocks")
EVERY = np.ones(60, bool)


def known(seed=0):
    """Return a cloudy grid with two whole steps missing, and one cell never seen."""
    rng = np.random.default_rng(seed)
    seen = rng.random((60, 6, 7)) > 0.2
    seen[20:22] = False
    seen[:, 0, 0] = False
    return seen


@pytest.mark.parametrize("kind", KINDS)
def test_only_known_values_are_hidden_and_not_most_of_them(kind):
    seen = known()
    hidden = hide(seen, read_holdout(kind), np.random.default_rng(1), EVERY)
    assert hidden.any()
    assert not (hidden & ~seen).any()
    assert 0.02 < hidden.sum() / seen.sum() < 0.4


@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_decides(kind):
    seen = known()
    one, same, other = (
        hide(seen, read_holdout(kind), np.random.default_rng(s), EVERY) for s in (1, 1, 2)
    )
    assert (one == same).all()
    assert (one != other).any()


@pytest.mark.parametrize("kind", ["steps", "runs"])
def test_whole_steps_are_hidden_and_none_at_the_ends(kind):
    seen = known()
    hidden = hide(seen, read_holdout(kind), np.random.default_rng(3), EVERY)
    steps = hidden.any((1, 2))
    assert (hidden[steps] == seen[steps]).all()
    assert not steps[0]
    assert not steps[-1]


def test_single_steps_have_neighbours_that_are_known():
    seen = np.ones((60, 4), bool)
    hidden = hide(seen, read_holdout({"steps": 0.2}), np.random.default_rng(0), EVERY).any(1)
    assert hidden.sum() == 12
    assert not (hidden[1:] & hidden[:-1]).any()


def test_a_run_is_as_long_as_was_asked():
    seen = np.ones((200, 3), bool)
    hidden = hide(seen, read_holdout({"runs": 7}), np.random.default_rng(0), np.ones(200, bool))
    assert set(gap_lengths(hidden)[hidden]) == {7}


def test_own_gaps_move_in_time_and_keep_their_shape():
    seen = np.ones((50, 5, 5), bool)
    seen[10:13] = False
    seen[30, :2, :2] = False
    hidden = hide(seen, read_holdout("gaps"), np.random.default_rng(4), np.ones(50, bool))
    sizes = sorted(set(hidden.sum((1, 2))) - {0})
    assert set(sizes) <= {4, 25}
    assert hidden.sum() >= 25


def test_gaps_of_winter_stay_in_winter():
    seen = np.ones((10 * 36, 5), bool)
    winter = np.arange(360) % 36 < 4
    seen[winter, :3] = False
    for seed in range(5):
        hidden = hide(
            seen, read_holdout("gaps"), np.random.default_rng(seed), np.ones(360, bool), 36
        )
        part = np.flatnonzero(hidden.any(1)) % 36
        assert set((part + 18) % 36 - 18) <= set(range(-3, 8))


def test_what_a_series_lacks_before_its_first_value_is_no_gap():
    seen = np.ones((10, 2), bool)
    seen[:4, 0] = False
    seen[6, 0] = False
    seen[9, 1] = False
    assert np.argwhere(own_gaps(seen)).tolist() == [[6, 0]]


def test_of_a_sky_that_is_mostly_clouds_a_part_is_hidden():
    seen = np.random.default_rng(0).random((100, 8, 8)) > 0.7
    hidden = hide(seen, read_holdout("gaps"), np.random.default_rng(0), np.ones(100, bool))
    assert 0.05 < hidden.sum() / seen.sum() <= 0.25


def test_a_record_without_gaps_gets_a_run_and_single_steps():
    seen = np.ones((120, 3), bool)
    hidden = hide(seen, read_holdout("gaps"), np.random.default_rng(0), np.ones(120, bool))
    lengths = set(gap_lengths(hidden)[hidden])
    assert 1 in lengths
    assert max(lengths) >= 11


def test_only_steps_that_may_be_are_hidden():
    may = np.zeros(60, bool)
    may[40:50] = True
    for kind in KINDS:
        hidden = hide(known(), read_holdout(kind), np.random.default_rng(0), may)
        assert set(np.flatnonzero(hidden.any((1, 2)))) <= set(range(40, 50))


def test_nothing_to_hide_is_said():
    with pytest.raises(InputError, match="nothing could be hidden in 60 steps, 0 of all having"):
        hide(known() & False, read_holdout("steps"), np.random.default_rng(0), EVERY)
    with pytest.raises(InputError, match="hides shapes of a grid, and the data have none"):
        hide(np.ones((60, 3), bool), read_holdout("clouds"), np.random.default_rng(0), EVERY)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("gap", "expected one of 'gaps', 'steps'"),
        ({"runs": 0}, "expected steps, 1 or more for 'runs'"),
        ({"steps": 0.9}, "expected up to 0.5 for 'steps'"),
        ({"steps": True}, "expected up to 0.5"),
        ({"gaps": 3}, "expected no number for 'gaps'"),
        ({"steps": 0.1, "runs": 3}, "expected one of"),
        (3, "expected one of"),
    ],
)
def test_a_holdout_that_is_none(given, told):
    with pytest.raises(InputError, match=told):
        read_holdout(given)


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_gap_lengths_are_those_of_runs(missing):
    found = gap_lengths(np.array(missing)[:, None])[:, 0]
    text = "".join("x" if m else "." for m in missing)
    expected = []
    for i, m in enumerate(missing):
        if not m:
            expected.append(0)
            continue
        first = text.rfind(".", 0, i) + 1
        last = text.find(".", i)
        expected.append((len(text) if last < 0 else last) - first)
    assert found.tolist() == expected
