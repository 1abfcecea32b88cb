"""Settings are checked at once, and the learning rate follows them."""

import numpy as np
import pytest

from xgeoml.exceptions import InputError
from xgeoml.train.settings import Settings

BAD = {
    "max_epochs": [0, 1.5, True, "5"],
    "steps": [0, -1, None],
    "batch_size": [0, 2.5],
    "accumulate": [0, 1.0],
    "warm_up": [-1, 0.5],
    "patterns": [0],
    "samples": [0],
    "devices": [0, "two", 1.5],
    "nodes": [0],
    "seed": [-1, 0.5],
    "patience": [0, 1.5],
    "learning_rate": [0, -1e-3, np.inf, np.nan, "fast"],
    "max_time": [0, -5.0, np.inf, np.nan],
    "clip": [0, -1.0, "no"],
    "weight_decay": [-0.1, np.inf],
    "validation": [-0.1, 0.5, 1, "some"],
    "average": [-0.1, 1.0],
    "schedule": ["linear", None],
}


@pytest.mark.parametrize(("name", "value"), [(k, v) for k, vs in BAD.items() for v in vs])
def test_bad_values_are_named(name, value):
    with pytest.raises(InputError, match=rf"{name}=.*expected"):
        Settings(**{name: value})


def test_all_problems_are_told_at_once():
    with pytest.raises(InputError, match=r"steps=0.*learning_rate=-1.*schedule='up'"):
        Settings(steps=0, learning_rate=-1, schedule="up")


def test_a_batch_is_shared_among_whole_parts():
    with pytest.raises(InputError, match="batch_size=96: expected a multiple of 10, its parts"):
        Settings(batch_size=96, accumulate=5, devices=2)


@pytest.mark.parametrize("changes", [{"patience": 3}, {"schedule": "plateau"}])
def test_no_validation_no_stopping_by_it(changes):
    with pytest.raises(InputError, match=r"validation=0: .* need a validation part"):
        Settings(validation=0, **changes)


def test_numbers_of_numpy_are_numbers():
    made = Settings(steps=np.int64(7), learning_rate=np.float32(0.5), seed=np.int8(3))
    assert (made.steps, made.learning_rate, made.seed) == (7, 0.5, 3)
    assert Settings.from_json(made.to_json()) == made


def test_cosine_rises_and_falls_to_zero():
    s = Settings(max_epochs=10, steps=100, warm_up=50)
    shares = [s.share(n, 0.0) for n in range(1001)]
    assert shares[0] == 1 / 50
    assert shares[49] == 1.0
    assert np.all(np.diff(shares[50:]) <= 0)
    assert shares[525] == pytest.approx(0.5, abs=0.01)
    assert shares[1000] == 0.0


def test_the_warm_up_is_at_most_a_fifth():
    assert Settings(max_epochs=1, steps=10, warm_up=200).rise == 2
    assert Settings(max_epochs=1, steps=2, warm_up=200).share(0, 0.0) == 1.0


def test_the_rise_takes_a_fifth_of_the_time_at_most():
    s = Settings(max_epochs=500, steps=50, max_time=10.0)
    assert s.share(0, 0.0) == pytest.approx(1 / 200)
    assert s.share(5, 1.0) == pytest.approx(0.5)
    assert s.share(10, 2.0) == pytest.approx(1.0)
    assert s.share(50, 6.0) == pytest.approx(0.5)
    assert s.share(90, 10.0) == pytest.approx(0.0, abs=1e-9)


def test_cosine_ends_with_the_time():
    s = Settings(max_epochs=10, steps=100, warm_up=0, max_time=60.0)
    assert s.share(0, 30.0) == pytest.approx(0.5)
    assert s.share(500, 0.0) == pytest.approx(0.5)
    assert s.share(0, 90.0) == 0.0


def test_constant_stays():
    s = Settings(schedule="constant", warm_up=10)
    assert {s.share(n, 0.0) for n in range(9, 1000)} == {1.0}
    assert s.share(4, 0.0) == 0.5
