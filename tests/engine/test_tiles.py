"""Models of tiles with their surroundings; networks whose output is coarser than their input."""

import dask.array as da
import numpy as np
import pytest
import toys

from xgeoml.engine import plan as plan_module
from xgeoml.engine.execute import execute
from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.kernel import Job
from xgeoml.engine.plan import plan_axes
from xgeoml.exceptions import SpecError
from xgeoml.options import Options
from xgeoml.spec import AxisSpec, Channel, ModelSpec

QUIET = Options(device="cpu", progress=False)
LEVEL = AxisSpec("Z", "pointwise")
TILES = (
    AxisSpec("Y", "tile", window=8, halo=5),
    AxisSpec("X", "tile", window=8, halo=5),
    AxisSpec("T"),
)
MONTHS = (
    AxisSpec("T", "window", 62, 31, coarsen=31),
    AxisSpec("Y", "window", 8, 4),
    AxisSpec("X", "window", 8, 4),
)


def tile_spec(**changes):
    spec = ModelSpec(
        name="toy_tiles",
        task="fill_gaps",
        factory=toys.Neighbours,
        backend="numpy",
        axes=TILES,
    )
    return spec.replace(**changes)


def month_spec():
    return ModelSpec(
        name="toy_months",
        task="fill_gaps",
        factory=toys.MonthNet,
        axes=MONTHS,
        inputs=tuple(Channel(role) for role in ("value", "validity", "years", "exists")),
        outputs=("value", "log_spread"),
    )


def records(*shape, seed=0):
    random = np.random.default_rng(seed)
    values = random.standard_normal(shape)
    values[random.random(shape) < 0.7] = np.nan
    values[0, 0, :3] = np.nan
    return values


def run(values, spec, axes, periodic=False, given=(), spread=True):
    first = values[0] if isinstance(values, list) else values
    closed = [periodic and axis.axis == "X" for axis in axes]
    job = Job(
        ModelHandle(spec),
        plan_axes(first.shape, axes, closed),
        QUIET,
        spread=spread,
        given=given,
    )
    across = tuple(a.size for a in job.plan.across)
    years = 2000 + np.arange(first.shape[-1]) / 12
    return execute(values if isinstance(values, list) else [values], job, np.ones(across), years)


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize(
    "chunks", [(-1, -1, -1, -1), (1, 8, 8, -1), (2, 7, 11, 3), (1, (3, 20), (30, 1), -1)]
)
def test_tiles_give_the_same_bits_in_any_chunking(chunks, periodic):
    values = records(2, 23, 31, 12)
    axes = (LEVEL, *TILES)
    whole = run(values, tile_spec(), axes, periodic)
    lazy = run([da.from_array(values, chunks=chunks)], tile_spec(), axes, periodic)
    np.testing.assert_array_equal(lazy.compute(), whole)


def test_a_tile_sees_its_neighbours_and_nothing_beyond_the_edge():
    values = records(1, 20, 20, 6)
    made = run(values, tile_spec(), (LEVEL, *TILES))[0]
    for y, x in [(0, 5), (7, 8), (19, 19), (12, 16)]:
        around = values[0, max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
        known = np.isfinite(around).any((0, 1))
        np.testing.assert_allclose(
            made[0, y, x, known], np.nanmean(around[..., known], axis=(0, 1)), atol=1e-12
        )
    assert np.isnan(made[0, 0, :3]).all()


def test_a_periodic_grid_of_tiles_may_be_rolled_by_tiles():
    values = records(1, 16, 32, 6)
    axes = (LEVEL, *TILES)
    rolled = run(np.roll(values, 8, 2), tile_spec(), axes, periodic=True)
    np.testing.assert_array_equal(
        rolled, np.roll(run(values, tile_spec(), axes, periodic=True), 8, 3)
    )


@pytest.mark.parametrize(("size", "tile"), [(32, 8), (36, 4), (37, 8), (360, 8)])
def test_tiles_close_around_the_earth_unless_they_got_tiny(size, tile):
    plan = plan_axes((1, 16, size, 3), (LEVEL, *TILES), [False, False, True, False])
    assert plan.core[1].unit == tile
    assert plan_axes((1, 16, size, 3), (LEVEL, *TILES)).core[1].unit == 8


@pytest.mark.parametrize("shape", [(1, 1, 1, 5), (1, 3, 40, 2), (3, 9, 2, 7)])
def test_grids_smaller_than_a_tile(shape):
    values = np.random.default_rng(1).standard_normal(shape)
    assert np.isfinite(run(values, tile_spec(), (LEVEL, *TILES))).all()


def test_the_pieces_that_a_summary_sees_fit_and_spread(monkeypatch):
    monkeypatch.setattr(plan_module, "PATCH_ELEMENTS", 200_000)
    plan = plan_axes((3, 100, 150, 2000), (LEVEL, *TILES))
    patches = plan.patches()
    sizes = [
        np.prod([len(range(*cut.indices(n))) for cut, n in zip(patch, plan.shape, strict=True)])
        for patch in patches
    ]
    assert 1 <= sum(sizes) <= 600_000
    monkeypatch.setattr(plan_module, "PATCH_ELEMENTS", 20_000_000)
    patches = plan.patches()
    assert len(patches) > 9
    assert len({patch[3].start for patch in patches}) > 5
    assert len({patch[0].start for patch in patches}) == 3
    assert all(p[1].stop <= 100 and p[2].stop <= 150 and p[3].stop <= 2000 for p in patches)


def test_a_small_grid_is_one_piece():
    assert plan_axes((1, 30, 84, 399), (LEVEL, *TILES)).patches() == [
        (slice(0, 1), slice(None), slice(None), slice(None))
    ]


@pytest.mark.parametrize("chunks", [(-1, -1, -1), (31, 5, 4), (70, -1, 9)])
def test_months_give_the_same_bits_in_any_chunking(chunks):
    values = np.moveaxis(records(11, 13, 31 * 7), -1, 0)
    share = np.isfinite(values) * 0.5
    clock = np.broadcast_to((np.arange(31 * 7) / 372)[:, None, None], values.shape).copy()
    clock[30::62] = np.nan
    arrays = [values, share, clock]
    whole = run(arrays, month_spec(), MONTHS, given=("share", "clock"))
    assert whole.shape == (2, 7, 11, 13)
    lazy = [da.from_array(a, chunks=chunks) for a in arrays]
    made = run(lazy, month_spec(), MONTHS, given=("share", "clock"))
    assert made.shape == whole.shape
    np.testing.assert_array_equal(made.compute(), whole)
    assert np.isfinite(whole).all()


def test_a_network_is_told_of_shares_and_of_days_that_do_not_exist():
    values = np.ones((62, 8, 8)) + np.arange(62)[:, None, None]
    share, clock = np.ones_like(values), np.zeros_like(values)
    full = run([values, share, clock], month_spec(), MONTHS, given=("share", "clock"))
    clock[31:] = np.nan
    without = run([values, share, clock], month_spec(), MONTHS, given=("share", "clock"))
    assert (without[0, 1] < full[0, 1]).all()
    share[:31:2] = 0.25
    fewer = run([values, share, clock], month_spec(), MONTHS, given=("share", "clock"))
    assert (fewer[1, 0] < full[1, 0]).all()


@pytest.mark.parametrize(
    ("axes", "told"),
    [
        ((*TILES[:2],), "on tiles of them"),
        ((TILES[2], *TILES[:2]), "on tiles of them"),
        ((AxisSpec("Y", "tile", window=8), *TILES[1:]), "needs window= > 0 and halo= >= 0"),
        ((AxisSpec("Y", "tile", 8, 8, halo=1), *TILES[1:]), "stride= goes with mode 'window' only"),
        ((*TILES[:2], AxisSpec("T", coarsen=2)), "coarsen= goes with mode 'window' only"),
    ],
)
def test_wrong_tiles_are_named(axes, told):
    with pytest.raises(SpecError, match=told.replace("(", r"\(").replace(">", ".")):
        tile_spec(axes=axes)


def test_a_network_of_tiles_and_a_window_that_is_no_multiple_are_refused():
    with pytest.raises(SpecError, match="is for numpy models"):
        month_spec().replace(axes=TILES)
    with pytest.raises(SpecError, match="stride 20 is not a multiple of coarsen 31"):
        month_spec().replace(axes=(AxisSpec("T", "window", 40, 20, coarsen=31),))
