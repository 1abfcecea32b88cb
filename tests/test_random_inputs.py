"""Whatever it is given, a call keeps its word or raises one clear error, of the package's own.

In the suite each test makes a few calls, the same in every run. Many others, in each run new ones:

    XGEOML_EXAMPLES=1000 python -m pytest tests/test_random_inputs.py

What fails is a seed: ``random_call("fill_gaps", seed)`` of `random_calls` makes its call again, and
`random_plan`, `random_evaluation` and `random_fit` of `random_around` those around the tasks.
"""

from __future__ import annotations

import os

import hypothesis
import pytest
import random_around as around
from hypothesis import HealthCheck, Phase, given, settings
from random_calls import CLASSICAL, random_call
from random_inputs import SEEDS
from random_results import check

from xgeoml.exceptions import GeoMLError

MANY = os.environ.get("XGEOML_EXAMPLES")
# A seed cannot be made simpler: there is nothing to shrink.
some = settings(
    max_examples=int(MANY or 20),
    derandomize=MANY is None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


def is_clear(error: GeoMLError | None) -> bool:
    """Whether an error, if there is one, is a sentence or some, and not a page."""
    return error is None or 20 < len(str(error)) < 3000


@pytest.mark.parametrize("task", CLASSICAL)
@some
@given(seed=SEEDS)
def test_a_task(task, seed):
    made = random_call(task, seed)
    hypothesis.note(repr(made))
    assert is_clear(check(made))


@some
@given(seed=SEEDS)
def test_a_plan(seed):
    made = around.random_plan(seed)
    hypothesis.note(repr(made))
    assert is_clear(around.check_plan(made))


@some
@given(seed=SEEDS)
def test_an_evaluation(seed):
    made = around.random_evaluation(seed)
    hypothesis.note(repr(made))
    assert is_clear(around.check_evaluation(made))


@some
@given(seed=SEEDS)
def test_a_fit(seed):
    made = around.random_fit(seed)
    hypothesis.note(repr(made))
    assert is_clear(around.check_fit(made))


@some
@given(seed=SEEDS)
def test_what_is_shown(seed):
    assert is_clear(around.check_look(seed))
