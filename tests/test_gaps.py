"""How long a gap is."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xgeoml.exceptions import InputError
from xgeoml.provenance import FILLED, OBSERVED, SUSPECT, UNFILLED
from xgeoml.tasks.gaps import check_max_gap, fill_block, short_gaps

nan = np.nan


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        (3, 3),
        (np.int32(4), 4),
        ("92D", 92.0),
        ("6h", 0.25),
        (timedelta(hours=36), 1.5),
        (np.timedelta64(2, "D"), 2.0),
        (pd.Timedelta("1W"), 7.0),
    ],
)
def test_a_longest_gap_is_steps_or_days(given, expected):
    made = check_max_gap(given)
    assert made == expected
    assert type(made) is type(expected)


@pytest.mark.parametrize(
    "given",
    [
        *("3 parsecs", "", "3", " 3.0 ", "-3D", "NaT", b"3D"),
        *(0, -1, True, 2.5, nan, np.float32(2), timedelta(0), [3], {}),
    ],
)
def test_anything_else_is_refused(given):
    with pytest.raises(InputError, match=r"max_gap=.*expected"):
        check_max_gap(given)


def test_steps_in_a_row():
    values = np.array([[nan, 1, nan, nan, 4, nan, nan, nan], [nan] * 8, [1.0] * 8])
    for longest, expected in (
        (1, [1, 0, 0, 0, 0, 0, 0, 0]),
        (2, [1, 0, 1, 1, 0, 0, 0, 0]),
        (3, [1, 0, 1, 1, 0, 1, 1, 1]),
    ):
        short = short_gaps(values, longest, np.arange(8.0))
        assert short[0].astype(int).tolist() == expected
        assert not short[1:].any()


def test_time_between_the_neighbours():
    days = np.array([0.0, 31, 59, 90, 120, 151])
    values = np.array([1.0, nan, 3, nan, nan, 6])
    assert short_gaps(values, 59.0, days).tolist() == [False, True, *[False] * 4]
    assert short_gaps(values, 58.0, days).sum() == 0
    assert short_gaps(values, 92.0, days).sum() == 3
    ends = np.array([nan, nan, 3, 4, 5, nan])
    assert short_gaps(ends, 31.0, days).tolist() == [*[False] * 5, True]
    assert short_gaps(ends, 59.0, days).sum() == 3


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 10))
def test_steps_agree_with_counting(missing, longest):
    values = np.where(missing, nan, 1.0)
    expected = np.zeros(len(missing), bool)
    start = 0
    while start < len(missing):
        stop = start
        while stop < len(missing) and missing[stop]:
            stop += 1
        if 0 < stop - start <= longest:
            expected[start:stop] = True
        start = max(stop, start + 1)
    found = short_gaps(values, longest, np.arange(len(missing)) * 1.0)
    assert found.tolist() == expected.tolist()


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(1, 8))
def test_even_days_agree_with_steps(missing, longest):
    values = np.where([False, *missing, False], nan, 1.0)
    days = np.arange(len(values)) * 1.0
    assert (short_gaps(values, longest, days) == short_gaps(values, float(longest + 1), days)).all()


def test_a_block_is_finished():
    value = np.array([[1.0, nan, nan, np.inf, nan]], np.float32)
    estimate = np.stack([[[9.0, 2, nan, 4, 5]], [[0.1, 0.2, 0.3, 0.4, 0.5]]]).astype(np.float32)
    mask = np.array([[1.0, 1, 1, 1, 0]], np.float32)
    trusted = np.array([True, True, True, False, True])
    filled, flag, spread = fill_block(value, estimate, mask, trusted)
    np.testing.assert_array_equal(filled, [[1, 2, nan, np.inf, nan]])
    np.testing.assert_array_equal(flag, [[OBSERVED, FILLED, UNFILLED, SUSPECT, UNFILLED]])
    np.testing.assert_array_equal(spread, np.array([[nan, 0.2, nan, nan, nan]], np.float32))
    assert filled.dtype == np.float32
    plain = fill_block(value, estimate[:1], None, None)
    assert plain.shape == (2, 1, 5)
    np.testing.assert_array_equal(plain[0], [[1, 2, nan, np.inf, 5]])
