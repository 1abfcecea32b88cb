"""The kernel of downscaling: tiles, halos, noise at places, means that are kept, other points."""

import numpy as np
import pytest

from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.noise import Spot, noise_at
from xgeoml.engine.plan import AxisPlan, Plan
from xgeoml.engine.refine import Refinement, refine_block, steps_of_a_pass
from xgeoml.engine.refine_run import chunks_of, refine
from xgeoml.engine.regrid import Overlap, Regrid, conserve
from xgeoml.models.downscaling import Clock, Placement
from xgeoml.options import get_options
from xgeoml.registry import get_model

ROWS, COLUMNS, FACTOR = 19, 26, 3


def clock(steps):
    unknown = np.full(steps, np.nan)
    return Clock(unknown, unknown, unknown)


def job(model="bicubic", tile=None, halo=0, steps=3, periodic=False, passes=2, **changes):
    """Return a job over (level, step, Y, X)."""
    spec = get_model(model)
    made = []
    for size, closed in ((ROWS, False), (COLUMNS, periodic)):
        if tile is None:
            made.append(AxisPlan(size, "whole", size, size, size))
        else:
            made.append(AxisPlan(size, "tile", tile, tile, tile, closed, halo))
    axes = (
        AxisPlan(2, "pointwise", 1, 1, 1),
        AxisPlan(steps, "tile", passes, passes, passes),
        *made,
    )
    placement = Placement.refined(ROWS, COLUMNS, FACTOR)
    return Refinement(
        handle=ModelHandle(spec, None, ()),
        plan=Plan(axes),
        options=get_options(progress=False),
        placement=placement,
        clock=clock(steps),
        static=np.empty((0, *placement.shape)),
        **changes,
    )


def fields(steps=3, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal((2, steps, ROWS, COLUMNS)).astype(dtype)


def test_tiles_with_the_halo_of_the_model_leave_no_seam():
    data = fields()
    whole = refine([data], job())
    assert whole.shape == (1, 2, 3, ROWS * FACTOR, COLUMNS * FACTOR)
    for tile in (1, 4, 7, 30):
        np.testing.assert_allclose(refine([data], job(tile=tile, halo=7)), whole, atol=1e-12)
    seams = refine([data], job(tile=4, halo=0))
    assert np.abs(seams - whole).max() > 0.1


def test_a_closed_axis_has_no_edge():
    data = fields()
    plain = job(tile=13, halo=7, periodic=True)
    made = refine([np.roll(data, 13, -1)], plain)
    np.testing.assert_array_equal(made, np.roll(refine([data], plain), 13 * FACTOR, -1))
    other = refine([np.roll(data, 5, -1)], plain)
    np.testing.assert_allclose(other, np.roll(refine([data], plain), 5 * FACTOR, -1), atol=1e-12)
    edged = refine([data], job(tile=13, halo=7))
    assert np.abs(edged - refine([data], plain)).max() > 0.1


@pytest.mark.parametrize("chunks", [(1, 1, 19, 26), (2, 3, 8, 8), (2, 2, 5, 26), (1, 3, 1, 1)])
def test_dask_gives_the_same_bits(chunks):
    import dask.array as da

    data = fields(dtype=np.float32)
    data[0, 1, 3:6, 4] = np.nan
    one = job(tile=4, halo=7, periodic=True, share=np.ones((ROWS * FACTOR, COLUMNS * FACTOR)))
    lazy = refine([da.from_array(data, chunks=chunks)], one)
    assert lazy.dtype == np.float32
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), refine([data], one))


def test_chunks_lie_on_the_lattice():
    import dask.array as da

    data = da.zeros((2, 3, ROWS, COLUMNS), chunks=(1, 1, 5, 9))
    found = chunks_of(data, job(tile=4, halo=7))
    assert found[0] == (1, 1)
    assert found[1] == (2, 1), "steps of a pass come together"
    for lengths in found[2:]:
        assert all(n % 4 == 0 for n in lengths[:-1])
        assert min(lengths) >= 7, "a chunk lends its neighbour a halo"


def test_blocks_know_where_they_begin():
    data = fields()
    whole = refine([data], job())
    kept = np.random.default_rng(1).random((ROWS * FACTOR, COLUMNS * FACTOR)) < 0.7
    one = job(tile=4, halo=7, kept=kept)
    made = refine([data], one)
    np.testing.assert_allclose(made, np.where(kept, whole, np.nan), atol=1e-12)
    part = data[:, :, 1:19, 1:23]
    block = refine_block(part[None], one, (0, 0, 8, 8))
    rows, columns = slice(8 * FACTOR, 12 * FACTOR), slice(8 * FACTOR, 16 * FACTOR)
    np.testing.assert_array_equal(block[0], made[0, :, :, rows, columns])


def test_missing_cells_stay_missing_and_no_others():
    data = fields()
    data[0, 0, 2:4, 3:7] = np.nan
    data[1, 2] = np.nan
    data[0, 1, 0, 0] = np.inf
    made = refine([data], job(tile=4, halo=7))[0]
    lost = ~np.isfinite(data).repeat(FACTOR, -2).repeat(FACTOR, -1)
    np.testing.assert_array_equal(np.isnan(made), lost)


def test_passes_are_small_enough():
    assert steps_of_a_pass(1, 1) == 256
    assert steps_of_a_pass(2**10, 2**10) == 1
    assert steps_of_a_pass(2**9, 2**9) == 4
    assert steps_of_a_pass(10**6, 10**6) == 1


def test_noise_belongs_to_its_place():
    whole = noise_at(Spot(5, (0, 150), (0, 200)), seed=1, member=2, draw=3)
    part = noise_at(Spot(5, (60, 70), (120, 140)), seed=1, member=2, draw=3)
    np.testing.assert_array_equal(part, whole[60:70, 120:140])
    halo = noise_at(Spot(5, (-9, 4), (-3, 5)), seed=1, member=2, draw=3)
    np.testing.assert_array_equal(halo[9:, 3:], whole[:4, :5])
    assert abs(whole.mean()) < 0.02
    assert abs(whole.std() - 1.0) < 0.02
    assert abs(np.corrcoef(whole[:, :-1].ravel(), whole[:, 1:].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize("change", [{"seed": 2}, {"member": 3}, {"draw": 4}, {"step": 6}])
def test_noise_differs_by_seed_member_draw_and_step(change):
    usual = {"seed": 1, "member": 2, "draw": 3}
    first = noise_at(Spot(5, (0, 20), (0, 20)), **usual)
    step = change.pop("step", 5)
    other = noise_at(Spot(step, (0, 20), (0, 20)), **{**usual, **change})
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.2


def test_noise_closes_around_the_earth():
    whole = noise_at(Spot(0, (0, 8), (0, 100), around=100), 0, 0, 0)
    over = noise_at(Spot(0, (0, 8), (-10, 110), around=100), 0, 0, 0)
    np.testing.assert_array_equal(over, np.concatenate([whole[:, 90:], whole, whole[:, :10]], 1))


def test_means_are_kept_to_rounding():
    random = np.random.default_rng(0)
    coarse, fine = random.standard_normal((2, 4, 5)), random.standard_normal((2, 12, 15))
    share = random.random((12, 15)) + 0.1
    made = conserve(fine, coarse, 3, share)
    blocks = (made * share).reshape(2, 4, 3, 5, 3).sum((2, 4))
    means = blocks / share.reshape(4, 3, 5, 3).sum((1, 3))
    np.testing.assert_allclose(means, coarse, atol=1e-12)
    added = (made - fine).reshape(2, 4, 3, 5, 3)
    np.testing.assert_allclose(added, added[:, :, :1, :, :1] + 0 * added, atol=1e-12)


def test_means_are_those_of_the_parts_that_are_there():
    random = np.random.default_rng(0)
    coarse, fine = random.standard_normal((2, 4, 5)), random.standard_normal((2, 12, 15))
    fine[:, 0, 0] = np.nan
    fine[:, 3:6, 3:6] = np.nan
    coarse[0, 2, 2] = np.nan
    made = conserve(fine, coarse, 3, np.ones((12, 15)))
    np.testing.assert_array_equal(np.isnan(made), np.isnan(fine))
    with np.errstate(invalid="ignore"):
        blocks = made.reshape(2, 4, 3, 5, 3)
        known = np.isfinite(blocks)
        means = np.where(known, blocks, 0).sum((2, 4)) / np.maximum(known.sum((2, 4)), 1)
    there = np.isfinite(coarse) & known.any((2, 4))
    np.testing.assert_allclose(means[there], coarse[there], atol=1e-12)
    np.testing.assert_array_equal(made[0, 6:9, 6:9], fine[0, 6:9, 6:9])


def cells(at, edges):
    """Return the overlap of coarse cells with fine ones given by their edges, by brute force."""
    low, high = np.arange(at)[:, None] - 0.5, np.arange(at)[:, None] + 0.5
    return np.maximum(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0.0)


def test_means_over_cells_that_do_not_nest_are_kept():
    random = np.random.default_rng(0)
    edges = [np.linspace(-0.5, 5.5, 20), np.linspace(-0.5, 7.5, 30)]
    at = [0.5 * (e[1:] + e[:-1]) for e in edges]
    share = np.linspace(0.5, 1.0, 19)[:, None] * np.ones(29)
    overlap = Overlap.of(Placement(*at), (6, 8), share)
    rows, columns = cells(6, edges[0]), cells(8, edges[1])
    np.testing.assert_allclose(overlap.rows, rows, atol=1e-12)
    np.testing.assert_allclose(overlap.columns, columns, atol=1e-12)
    coarse = random.standard_normal((2, 6, 8))
    fine = random.standard_normal((2, 19, 29))
    made = overlap.conserve(fine, coarse)
    means = (rows @ (made * share) @ columns.T) / (rows @ share @ columns.T)
    assert np.abs(means - coarse).max() < 1e-4 * coarse.std()
    assert np.abs(rows @ (fine * share) @ columns.T - coarse).max() > 0.5


def test_cells_that_are_covered_in_part_are_left_alone():
    at = Placement(np.linspace(0.1, 2.9, 12), np.linspace(-0.3, 3.2, 15))
    fine = np.random.default_rng(0).standard_normal((1, 12, 15))
    overlap = Overlap.of(at, (10, 4), np.ones((12, 15)))
    made = overlap.conserve(fine, np.full((1, 10, 4), 5.0))
    assert np.isfinite(made).all()
    outer = np.abs(made - fine)[0, 0, :]
    assert outer.max() < np.abs(made - fine)[0, 6].max()
    nowhere = Overlap.of(Placement(np.array([20.0, 20.3]), at.columns), (10, 4), np.ones((2, 15)))
    np.testing.assert_array_equal(
        nowhere.conserve(fine[:, :2], np.full((1, 10, 4), 5.0)), fine[:, :2]
    )


def linear(rows, columns):
    return 3.0 * np.asarray(rows)[..., None] - 2.0 * np.asarray(columns)


@pytest.mark.parametrize("factor", [1, 3])
def test_a_plane_is_read_off_exactly(factor):
    own = Placement.refined(6, 7, factor)
    field = linear(own.rows, own.columns)[None]
    rows, columns = np.linspace(-0.9, 5.9, 31), np.linspace(0.2, 6.8, 40)
    regrid = Regrid.to(Placement(rows, columns), (6, 7), factor)
    np.testing.assert_allclose(regrid(field)[0], linear(rows, columns), atol=1e-10)
    both = np.meshgrid(rows, columns, indexing="ij")
    anywhere = Regrid.to(Placement(*both), (6, 7), factor)
    np.testing.assert_allclose(anywhere(field)[0], linear(rows, columns), atol=1e-10)


def test_points_without_a_place_and_without_values_are_missing():
    rows, columns = np.linspace(0.0, 5.0, 11), np.linspace(0.0, 6.0, 13)
    rows[3] = np.nan
    regrid = Regrid.to(Placement(rows, columns), (6, 7))
    field = np.ones((2, 6, 7))
    field[1, 2, 2] = np.nan
    made = regrid(field)
    np.testing.assert_array_equal(np.isnan(made[0]), np.isnan(rows)[:, None] & np.full(13, True))
    assert np.isnan(made[1, 4, 4]), "the point in the middle of a missing cell"
    assert np.nanmax(np.abs(made - 1.0)) < 1e-12, "known values count in full"
    assert np.isfinite(made[1, 4, 6])


def test_points_that_stand_for_large_cells_get_their_means():
    field = np.random.default_rng(0).standard_normal((1, 12, 12))
    at = np.arange(3) * 4 + 1.5
    made = Regrid.to(Placement(at, at), (12, 12))(field)[0]
    means = field[0].reshape(3, 4, 3, 4).mean((1, 3))
    assert np.abs(made - means).max() < 0.25
    assert np.abs(field[0, 1::4, 1::4] - means).max() > 0.8


def test_points_beyond_the_last_column_lie_between_it_and_the_first():
    field = np.cos(2 * np.pi * np.arange(8) / 8)[None, None, :] * np.ones((1, 3, 1))
    at = np.array([6.5, 7.0, 7.4, -0.2, 0.1, 0.5])
    made = Regrid.to(Placement(np.array([0.0, 1.0]), at), (3, 8), around=True)(field)[0, 0]
    last, first = field[0, 0, 7], 1.0
    expected = [0.6 * last + 0.4 * first, 0.2 * last + 0.8 * first]
    np.testing.assert_allclose(made[1:4], [last, *expected])
