"""What covariates explain of a coarse field, and what they must leave alone."""

import pytest
import torch

from xgeoml.models._around import REACH
from xgeoml.models._lapse import of_covariates, of_terrain

ROWS, COLUMNS, FACTOR = 12, 14, 3
FINE = (ROWS * FACTOR, COLUMNS * FACTOR)


def rough(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def smooth(steps=2, seed=4):
    return rough(steps, ROWS, COLUMNS, seed=seed).cumsum(1).cumsum(2) / 10


def means(fine):
    return fine.unflatten(-1, (-1, FACTOR)).unflatten(-3, (-1, FACTOR)).mean((-3, -1))


def cells(within, steps=1):
    made = within.view(steps, ROWS, COLUMNS, FACTOR, FACTOR).transpose(2, 3)
    return made.reshape(steps, *FINE)


def everywhere(value):
    return torch.ones_like(value)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_slopes_are_found(count):
    fine = rough(1, count, *FINE)
    weights = torch.tensor([-6.5, 2.0, 0.7])[:count, None, None]
    truth = (weights * fine[0]).sum(0)[None]
    value = means(truth)
    lapse = of_covariates(value, everywhere(value), fine, FACTOR)
    left = truth - value.repeat_interleave(FACTOR, 1).repeat_interleave(FACTOR, 2)
    assert (cells(lapse.within) - left).std() < 0.1 * left.std()


@pytest.mark.parametrize("explain", [of_covariates, of_terrain])
def test_planes_are_left_alone_at_edges_and_holes_too(explain):
    y, x = torch.meshgrid(torch.arange(ROWS), torch.arange(COLUMNS), indexing="ij")
    value = (0.3 * y - 0.7 * x)[None]
    valid = everywhere(value)
    valid[:, 2:5, 3:8] = 0.0
    fine = torch.stack([1000 * rough(*FINE), rough(*FINE).sigmoid()])[None]
    lapse = explain(value, valid, fine, FACTOR)
    assert lapse.within.abs().max() < 1e-4
    assert lapse.explained.abs().max() < 1e-4


@pytest.mark.parametrize("explain", [of_covariates, of_terrain])
def test_means_are_kept(explain):
    land = rough(*FINE, seed=1).sigmoid()
    fine = torch.stack([rough(*FINE).where(land > 0.4, torch.nan), land * (land > 0.4)])[None]
    value = means(fine[0, 0].nan_to_num())[None] + smooth()
    lapse = explain(value, everywhere(value), fine, FACTOR)
    assert lapse.within.abs().max() > 0.1
    assert lapse.within.mean(1).abs().max() < 1e-5


def test_chance_is_told_from_a_covariate_that_matters():
    fine = rough(1, 1, *FINE, seed=7)
    other, own = smooth(), 0.3 * means(fine[0])
    for value, low, high in ((other, 0.0, 0.2), (other + own, 0.5, 1.5)):
        within = of_covariates(value, everywhere(value), fine, FACTOR).within
        ratio = cells(within, 2).std() / (0.3 * fine.std())
        assert low <= ratio < high


@pytest.mark.parametrize(("a", "b"), [(1e-3, 5.0), (20.0, -3.0)])
def test_units_do_not_matter(a, b):
    fine = rough(1, 2, *FINE)
    value = means(fine[0, 0])[None] + smooth()
    made = of_covariates(value, everywhere(value), fine, FACTOR)
    other = of_covariates(a * value + b, everywhere(value), 7.0 * fine + 30.0, FACTOR)
    assert (other.within / a - made.within).abs().max() < 2e-3 * made.within.std()


def test_the_cells_within_reach_decide():
    fine = rough(1, 2, *FINE)
    fine[:, 1] = fine[:, 1].sigmoid()
    value = means(fine[0, 0])[None] + smooth(1)
    changed, row = value.clone(), 4
    changed[:, row + REACH + 1 :] += rough(1, ROWS - row - REACH - 1, COLUMNS, seed=9)
    for explain in (of_covariates, of_terrain):
        one, two = (explain(v, everywhere(v), fine, FACTOR).within for v in (value, changed))
        kept = slice(0, (row + 1) * FACTOR)
        assert torch.equal(cells(one)[:, kept], cells(two)[:, kept])
        assert not torch.equal(one, two)


def test_steps_do_not_matter_to_each_other():
    fine = rough(1, 1, *FINE)
    value = means(fine[0])[None, 0] + smooth(3)
    valid = everywhere(value)
    valid[1, 3:5, 2] = 0.0
    together = of_covariates(value, valid, fine, FACTOR).within.unflatten(0, (3, -1))
    for k in range(3):
        alone = of_covariates(value[k : k + 1], valid[k : k + 1], fine, FACTOR).within
        assert torch.allclose(together[k], alone, atol=1e-5)


@pytest.mark.parametrize("nothing", [4.0, torch.nan])
def test_covariates_that_say_nothing_change_nothing(nothing):
    value = smooth()
    fine = torch.full((1, 2, *FINE), nothing)
    for explain in (of_covariates, of_terrain):
        lapse = explain(value, everywhere(value), fine, FACTOR)
        assert torch.equal(lapse.within, torch.zeros_like(lapse.within))


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 9), (2, 2), (2, 3)])
def test_few_cells_tell_nothing(rows, columns):
    fine = rough(1, 2, rows * 2, columns * 2)
    value = rough(4, rows, columns, seed=3)
    assert (of_covariates(value, everywhere(value), fine, 2).within == 0).all()


def coast():
    """Return elevation and share of land: hills in the west, a shore that winds, the sea."""
    line = FINE[1] * 0.6 + 4 * rough(FINE[0], seed=11)
    land = ((torch.arange(FINE[1])[None] - line[:, None]) < 0).float()
    height = 500 + 300 * rough(*FINE, seed=12)
    return torch.stack([height.where(land > 0, torch.nan), land])[None]


def test_terrain_of_a_field_that_exists_at_sea():
    """Warmer or colder land and the heights on it both show."""
    fine = coast()
    height, land = fine[0, 0].nan_to_num(), fine[0, 1]
    truth = (-0.0065 * height * land + 8.0 * land)[None]
    value = means(truth)
    left = truth - value.repeat_interleave(FACTOR, 1).repeat_interleave(FACTOR, 2)
    within = cells(of_terrain(value, everywhere(value), fine, FACTOR).within)
    assert (within - left).std() < 0.3 * left.std()


def test_terrain_of_a_field_that_is_missing_at_sea():
    """Coarse values are the means over land: nothing is as high as the sea."""
    fine = coast()
    truth = -0.0065 * fine[:, 0]
    known = torch.isfinite(truth)
    share = means(known.float())
    value = means(truth.nan_to_num()) / share.clamp(min=1e-6)
    within = cells(of_terrain(value, (share > 0).float(), fine, FACTOR).within)
    left = truth - value.repeat_interleave(FACTOR, 1).repeat_interleave(FACTOR, 2)
    assert (within - left)[known].std() < 0.3 * left[known].std()


def test_terrain_says_nothing_of_a_field_that_is_missing_on_land():
    fine = coast()
    share = means(fine[:, 1])
    value = 5.0 * share + smooth(1)
    lapse = of_terrain(value, (share < 0.3).float(), fine, FACTOR)
    assert (lapse.within == 0).all()
