from __future__ import annotations

import io
import pickle
import threading

import pytest

import xgeoml
from xgeoml.exceptions import GeoMLError
from xgeoml.options import Options, get_options, set_options

GOOD = [
    ("device", "cuda:1"),
    ("device", "mps"),
    ("batch_size", 8),
    ("batch_size", None),
    ("precision", "bfloat16"),
    ("progress", True),
    ("progress", "auto"),
    ("seed", 3),
    ("keep_history", False),
]
BAD = [
    ("device", "gpu"),
    ("device", "cuda:x"),
    ("device", 0),
    ("batch_size", 0),
    ("batch_size", True),
    ("batch_size", 2.0),
    ("precision", "float64"),
    ("precision", ["float32"]),
    ("progress", "yes"),
    ("progress", 1),
    ("seed", -1),
    ("seed", "0"),
    ("keep_history", 1),
]


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_a_good_value_is_set_and_put_back(name, value):
    before = get_options()
    with set_options(**{name: value}):
        assert getattr(get_options(), name) == value
    assert get_options() == before


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_says_what_was_found_and_what_is_expected(name, value):
    before = get_options()
    with pytest.raises(GeoMLError, match="expected") as caught:
        set_options(**{name: value})
    assert f"{name}={value!r}" in str(caught.value)
    assert get_options() == before


def test_every_problem_is_named_and_nothing_is_set():
    before = get_options()
    with pytest.raises(GeoMLError) as caught:
        set_options(seed=5, devise="cpu", batch_size=-1)
    assert "did you mean 'device'" in str(caught.value)
    assert "batch_size=-1" in str(caught.value)
    assert get_options() == before


def test_a_name_like_no_other_gets_the_list():
    with pytest.raises(GeoMLError, match="options: device, batch_size"):
        set_options(xyzzy=1)


def test_a_plain_call_lasts():
    set_options(seed=11)
    assert get_options().seed == 11


def test_blocks_nest_and_survive_an_error():
    with set_options(seed=1):
        with pytest.raises(ZeroDivisionError), set_options(seed=2):
            get_options().seed / 0
        with set_options(seed=3):
            assert get_options().seed == 3
        assert get_options().seed == 1


def test_keywords_go_before_the_defaults_and_none_keeps_them():
    with set_options(seed=4, batch_size=16):
        assert get_options(seed=9, batch_size=None) == Options(seed=9, batch_size=16)
    with pytest.raises(GeoMLError, match="precision='double'"):
        get_options(precision="double")


def test_a_snapshot_does_not_change_and_travels():
    snapshot = get_options()
    with set_options(seed=8):
        assert snapshot.seed == 0
        assert pickle.loads(pickle.dumps(get_options())) == get_options()
    with pytest.raises(AttributeError):
        snapshot.seed = 1


def test_threads_see_what_was_set():
    seen = []
    with set_options(seed=21):
        thread = threading.Thread(target=lambda: seen.append(get_options().seed))
        thread.start()
        thread.join()
    assert seen == [21]


def test_show_versions_lists_requirements_and_extras(capsys):
    stream = io.StringIO()
    xgeoml.show_versions(stream, device=False)
    xgeoml.show_versions(device=False)
    assert capsys.readouterr().out == stream.getvalue()
    rows = dict(line.split(None, 1) for line in stream.getvalue().splitlines())
    assert {"python", "system", "xgeoml", "xarray", "torch", "lightning", "netcdf4"} <= set(rows)
    assert rows["xarray"][0].isdigit()


def test_show_versions_reports_the_device():
    stream = io.StringIO()
    xgeoml.show_versions(stream)
    assert "\ndevice" in stream.getvalue()
