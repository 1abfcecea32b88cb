"""The kernel of interpolation in time: passes, what they see, gaps that are bridged, groups."""

import numpy as np
import pytest
import toy_in_time

from xgeoml.engine import in_time, in_time_run
from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.in_time import InTime, bridged, fields_in_time
from xgeoml.models.downscaling import Clock
from xgeoml.options import get_options
from xgeoml.registry import get_model


def job(n_steps=30, factor=4, spec=None, **changes):
    """Return what divides each interval of a record of days."""
    spec = spec or get_model("cubic", "interp_time").replace(axes=(toy_in_time.TIME,))
    days = np.arange(n_steps, dtype=np.float64)
    wanted = np.arange((n_steps - 1) * factor + 1) / factor
    owner = np.floor(wanted).astype(np.intp)
    clocks = [Clock(t / 365, t % 1, 2001 + t / 365) for t in (days, wanted)]
    given = {
        "handle": ModelHandle(spec),
        "options": get_options(progress=False),
        "days": days,
        "wanted": wanted,
        "clock": clocks[0],
        "clock_wanted": clocks[1],
        "owner": owner,
        "copied": np.where(wanted == owner, owner, -1),
    }
    return InTime(**{**given, **changes})


def values(n_steps=30, shape=(5, 7), components=1):
    rng = np.random.default_rng(0)
    made = rng.standard_normal((components, n_steps, *shape)).cumsum(1)
    made[0, 11:13, 2, 3] = np.nan
    return made


def test_passes_lie_on_a_lattice_and_are_cut_at_the_ends():
    one = job()
    assert one.n_passes == 4
    assert [(one.seen(k, k + 1).start, one.seen(k, k + 1).stop) for k in range(4)] == [
        (0, 11),
        (6, 19),
        (14, 27),
        (22, 30),
    ]
    assert [one.times(k, k + 1) for k in range(4)] == [
        slice(0, 32),
        slice(32, 64),
        slice(64, 96),
        slice(96, 117),
    ]
    assert one.seen(1, 3) == slice(6, 27)
    assert job(33).times(4, 5) == slice(128, 129), "the last step has a pass of its own"


def test_a_block_has_the_same_bits_as_the_whole():
    one, data = job(), values()
    whole = fields_in_time(data, one, 0, 4, 0)
    for first in range(4):
        seen = one.seen(first, first + 1)
        part = fields_in_time(data[:, seen], one, first, first + 1, seen.start)
        assert part.tobytes() == whole[:, one.times(first, first + 1)].tobytes()


@pytest.mark.parametrize("limit", [1, 100, 1000])
def test_the_size_of_pieces_changes_nothing(monkeypatch, limit):
    data = values(components=2)
    deep = np.stack([data, data + 1, data * 2], axis=1)
    expected = fields_in_time(deep, job(), 0, 4, 0)
    assert expected.shape == (2, 3, 117, 5, 7)
    monkeypatch.setattr(in_time, "STRETCH_ELEMENTS", limit)
    assert fields_in_time(deep, job(), 0, 4, 0).tobytes() == expected.tobytes()
    np.testing.assert_array_equal(fields_in_time(deep[:, 1], job(), 0, 4, 0), expected[:, 1])


def test_fields_come_in_groups_of_whole_intervals(monkeypatch):
    times = toy_in_time.look("times", whole=True)
    data = values()
    assert set(np.unique(fields_in_time(data, job(spec=times), 0, 1, 0)[0, 1::4, 0, 0])) == {24.0}
    monkeypatch.setattr(in_time, "FIELD_ELEMENTS", 7 * 5 * 7)
    made = fields_in_time(data, job(spec=times), 0, 1, 0)[0, :, 0, 0]
    np.testing.assert_array_equal(made[1:32:4], 6.0)  # two intervals of three times
    np.testing.assert_array_equal(made[2:32:4], 6.0)
    monkeypatch.setattr(in_time, "FIELD_ELEMENTS", 1)
    made = fields_in_time(data, job(spec=times), 0, 1, 0)[0, :, 0, 0]
    np.testing.assert_array_equal(made[1:32:4], 3.0)


def test_which_cells_are_bridged():
    days = np.array([0.0, 1.0, 2.0, 5.0, 6.0, 7.0])
    before = np.arange(5)
    known = np.array([[1, 1, 0, 1, 0, 0], [0, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]], bool)
    known = known.T[None, :, :, None]

    def found(**changes):
        given = {"halo": 2, "max_gap": None, **changes}
        return bridged(known, before, days, **given)[0, :, :, 0].T.astype(int).tolist()

    assert found() == [[1, 1, 1, 0, 0], [0, 1, 1, 1, 1], [0, 0, 0, 0, 0]]
    assert found(halo=0) == [[1, 0, 0, 0, 0], [0, 1, 1, 1, 1], [0, 0, 0, 0, 0]]
    assert found(max_gap=3.0) == [[1, 0, 0, 0, 0], [0, 1, 1, 1, 1], [0, 0, 0, 0, 0]]
    assert found(max_gap=2.9) == [[1, 0, 0, 0, 0], [0, 1, 0, 1, 1], [0, 0, 0, 0, 0]]
    assert found(max_gap=4.0) == found()
    every = bridged(np.ones((1, 6, 2, 2), bool), before, days, 0, 2.0)
    assert every.ravel().tolist() == [True, True, False, True, True]


def test_chunks_hold_whole_passes():
    groups = in_time_run.groups_of_passes(job(), 35, 1)
    assert groups == [(0, 4)]
    for own in (2**24, 2**30):
        many = in_time_run.groups_of_passes(job(), 2**24 // 60, own)
        assert many == [(0, 2), (2, 4)]
    # Of small chunks smaller ones are made, but not tiny ones.
    small = in_time_run.groups_of_passes(job(), 2**20 // 60, 1)
    assert small == [(0, 2), (2, 4)]
    few = job(wanted=np.array([1.5, 28.5]), owner=np.array([1, 28]), copied=np.array([-1, -1]))
    assert in_time_run.groups_of_passes(few, 2**24, 1) == [(0, 1), (3, 4)]
