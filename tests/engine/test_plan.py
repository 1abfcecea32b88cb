import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xgeoml.engine.blend import add_windows, taper, weighted_mean
from xgeoml.engine.plan import (
    SAMPLE_ELEMENTS,
    TILE_ELEMENTS,
    AxisPlan,
    Plan,
    plan_axes,
    tile_lengths,
)
from xgeoml.spec import AxisSpec

sizes = st.integers(1, 400)
strides = st.integers(1, 24)
multiples = st.integers(1, 5)


def window_plan(size, stride, multiple, periodic=False):
    spec = AxisSpec("X", "window", window=stride * multiple, stride=stride)
    return plan_axes([size], [spec], [periodic]).axes[0]


@given(sizes, strides, multiples, st.integers(1, 500))
def test_chunks_cover_the_axis_on_the_lattice(size, stride, multiple, wanted):
    axis = window_plan(size, stride, multiple)
    chunks = axis.chunks(wanted)
    assert sum(chunks) == size
    assert all(c % axis.unit == 0 for c in chunks[:-1])
    # As zarr wants them.
    assert set(chunks[:-1]) <= {chunks[0]}
    assert chunks[-1] <= chunks[0]
    if len(chunks) > 1:
        assert min(chunks) >= axis.halo


@given(sizes, strides, multiples)
def test_every_cell_is_covered_by_the_same_windows_in_any_chunking(size, stride, multiple):
    axis = window_plan(size, stride, multiple)

    def windows_of(cell, start, stop):
        first = [start - axis.halo + k * axis.stride for k in range(axis.n_windows(stop - start))]
        return [w for w in first if w <= cell < w + axis.window]

    edges = np.cumsum([0, *axis.chunks(stride)])
    for start, stop in itertools.pairwise(edges):
        for cell in {start, stop - 1}:
            found = windows_of(cell, start, stop)
            assert found == windows_of(cell, 0, size)
            assert len(found) == multiple


@given(sizes, strides, multiples, st.integers(1, 300))
def test_the_padded_block_holds_all_its_windows_and_nothing_more(size, stride, multiple, length):
    axis = window_plan(size, stride, multiple)
    last = (axis.n_windows(length) - 1) * axis.stride
    assert last + axis.window == axis.padded(length)
    assert axis.padded(length) >= length + 2 * axis.halo
    assert axis.padded(length) - length - 2 * axis.halo < axis.stride


@given(sizes, strides, multiples)
def test_a_periodic_lattice_closes(size, stride, multiple):
    axis = window_plan(size, stride, multiple, periodic=True)
    assert size % axis.stride == 0
    assert axis.window % axis.stride == 0
    assert axis.stride <= stride


@given(st.lists(st.integers(1, 500), max_size=3), st.integers(1, 10_000))
def test_tiles_hold_at_most_what_they_may(lengths, most):
    tile = tile_lengths(lengths, most)
    assert math.prod(tile) <= most
    assert all(t == 1 or t < 2 * n for t, n in zip(tile, lengths, strict=True))


@given(st.integers(1, 2000), st.integers(1, 2000), st.integers(1, 400))
def test_the_sample_fits(ny, nx, nt):
    spec = [AxisSpec("Y", "pointwise"), AxisSpec("X", "pointwise"), AxisSpec("T")]
    plan = plan_axes([ny, nx, nt], spec)
    kept = [math.ceil(n / s) for n, s in zip((ny, nx), plan.sample_steps(), strict=True)]
    assert math.prod(kept) * nt <= SAMPLE_ELEMENTS or kept == [1, 1]
    assert math.prod(a.unit for a in plan.pointwise) * nt <= max(TILE_ELEMENTS, nt)


def test_a_whole_axis_is_one_window():
    axis = plan_axes([50], [AxisSpec("T")]).axes[0]
    assert (axis.window, axis.halo, axis.chunks(7)) == (50, 0, (50,))
    assert Plan((axis,)).n_samples == 1


def test_pointwise_axes_must_come_first():
    with pytest.raises(ValueError, match="first"):
        plan_axes([5, 6], [AxisSpec("T"), AxisSpec("X", "pointwise")])


@given(st.integers(1, 60), st.integers(0, 59))
def test_taper_is_positive_symmetric_and_flat_inside(window, halo):
    halo = min(halo, window - 1)
    weights = taper(window, halo)
    assert (weights > 0).all()
    assert (weights <= 1).all()
    np.testing.assert_array_equal(weights, weights[::-1])
    assert (weights[halo : window - halo] == 1).all()


def test_blending_equal_windows_gives_them_back_and_skips_silent_ones():
    axis = AxisPlan(12, "window", 6, 3, 3)
    weights = taper(6, axis.halo)
    total, weight = np.zeros((1, 12)), np.zeros(12)
    values = np.full((1, 3, 6), 2.5)
    values[0, 1] = np.nan
    add_windows(total, weight, values, [(0,), (3,), (6,)], weights)
    np.testing.assert_allclose(weighted_mean(total, weight)[0], 2.5)
    assert np.isnan(weighted_mean(np.zeros(3), np.zeros(3))).all()
