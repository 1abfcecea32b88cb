import numpy as np
import pytest
import torch

from xgeoml import datasets
from xgeoml.models._around import REACH
from xgeoml.models.subgrid import Subgrid, places, polynomials

SMALL = {"width": 16, "layers": 1, "degree": 3}


def network(seed=1, **options):
    """Return a network that says something: the last layers of a new one are zero."""
    torch.manual_seed(seed)
    made = Subgrid(**{**SMALL, **options}).eval()
    torch.nn.init.normal_(made.head.weight, std=0.3)
    torch.nn.init.normal_(made.head.bias, std=0.3)
    torch.nn.init.normal_(made.linear.weight, std=0.1)
    return made


def rough(rows=12, columns=15, steps=2, seed=0):
    made = torch.Generator().manual_seed(seed)
    return torch.randn((steps, rows, columns), generator=made).cumsum(1).cumsum(2)


def refine(net, value, factor, valid=None, fine=None):
    valid = torch.ones_like(value) if valid is None else valid
    steps, rows, columns = value.shape
    if fine is None:
        fine = torch.empty(steps, 0, rows * factor, columns * factor)
    with torch.inference_mode():
        return net(torch.stack([value * valid, valid], 1), fine, factor)[:, 0]


def block_means(fine, factor):
    return fine.unflatten(2, (-1, factor)).unflatten(1, (-1, factor)).mean((2, 4))


def repeated(field, factor):
    return field.repeat_interleave(factor, -2).repeat_interleave(factor, -1)


def sloping(rows, columns, factor):
    """Return a plane at the coarse cells and at the fine ones."""
    made = []
    for part in (1, factor):
        y, x = ((torch.arange(n * part) + 0.5) / part - 0.5 for n in (rows, columns))
        made.append((0.3 * y[:, None] - 0.7 * x[None, :])[None])
    return made


@pytest.mark.parametrize("factor", [1, 2, 3, 5, 8, 11])
def test_means_over_cells_are_the_coarse_values(factor):
    value = rough()
    made = refine(network(), value, factor)
    assert made.shape == (2, 12 * factor, 15 * factor)
    assert torch.allclose(block_means(made, factor), value, atol=1e-4)


@pytest.mark.parametrize("factor", [2, 3, 5, 8])
@pytest.mark.parametrize("masked", [False, True])
def test_planes_come_back(factor, masked):
    coarse, fine = sloping(9, 14, factor)
    valid = torch.ones_like(coarse)
    if masked:
        valid[:, 2:5, 3:8] = 0.0
    made = refine(network(), coarse, factor, valid)
    error = (made - fine).abs() * repeated(valid, factor)
    assert error.max() < 1e-4 * coarse.std()


def test_answer_is_more_than_planes():
    value = rough()
    made, plain = refine(network(), value, 4), refine(Subgrid(**SMALL), value, 4)
    assert (made - plain).std() > 0.1 * value.diff(dim=1).std()


@pytest.mark.parametrize(("a", "b"), [(1.0, 300.0), (1e-5, 0.0), (1e5, -3e4), (0.5, 10.0)])
def test_any_unit(a, b):
    value, net = rough() / 10.0, network()
    made, other = refine(net, value, 4), refine(net, a * value + b, 4)
    assert ((other - b) / a - made).abs().max() < 1e-3 * value.std()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 2), (3, 1)])
def test_tiny_and_constant_fields(shape):
    net, value = network(), torch.full((1, *shape), 280.0)
    assert torch.equal(refine(net, value, 3), repeated(value, 3))
    assert torch.isfinite(refine(net, rough(*shape), 3)).all()


def test_missing_values_do_not_matter():
    value, net = rough(), network()
    valid = (torch.rand(value.shape, generator=torch.Generator().manual_seed(5)) > 0.4).float()
    made = refine(net, value, 3, valid)
    dirty = torch.where(valid > 0, value, 1e6)
    assert torch.isfinite(made).all()
    with torch.inference_mode():
        fine = torch.empty(2, 0, 36, 45)
        other = net(torch.stack([dirty, valid], 1), fine, 3)[:, 0]
    known = repeated(valid, 3) > 0
    assert torch.equal(made[known], other[known])


def test_depends_on_the_cells_around_alone():
    value, net = rough(20, 20, 1), network()
    whole = refine(net, value, 2)
    part = refine(net, value[:, 4:16, 5:17], 2)
    inner = slice(2 * REACH, 24 - 2 * REACH)
    at = whole[:, 8:32, 10:34]
    assert torch.allclose(part[:, inner, inner], at[:, inner, inner], atol=1e-5)
    changed = value.clone()
    changed[:, 10 + REACH + 1] += 5.0
    assert torch.allclose(refine(net, changed, 2)[:, :22], whole[:, :22], atol=1e-5)


def test_many_cells_are_done_in_parts(monkeypatch):
    value, net = rough(), network()
    whole = refine(net, value, 3)
    monkeypatch.setattr("xgeoml.models.subgrid._AT_ONCE", 7)
    assert torch.allclose(refine(net, value, 3), whole, atol=1e-5)


def orography(rows, columns, factor, seed=3):
    made = torch.Generator().manual_seed(seed)
    return torch.randn((1, 1, rows * factor, columns * factor), generator=made)


@pytest.mark.parametrize("factor", [2, 4])
def test_covariates_explain_what_depends_on_them(factor):
    height = orography(14, 14, factor)
    _, plane = sloping(14, 14, factor)
    truth = plane - 6.5 * height[:, 0]
    value = block_means(truth, factor)
    without = refine(network(), value, factor)
    made = refine(network(), value, factor, fine=height)
    assert (made - truth).std() < 0.3 * (without - truth).std()
    assert torch.allclose(block_means(made, factor), value, atol=1e-4)


def test_covariates_in_another_unit_say_the_same():
    height, value, net = orography(10, 10, 3), rough(10, 10, 1), network()
    made = refine(net, value, 3, fine=height)
    other = refine(net, value, 3, fine=20.0 * height + 5.0)
    assert torch.allclose(made, other, atol=1e-3)


def test_covariates_leave_planes_alone_and_may_be_missing_or_constant():
    coarse, fine = sloping(10, 10, 3)
    height = orography(10, 10, 3)
    height[:, :, :7, :9] = torch.nan
    assert (refine(network(), coarse, 3, fine=height) - fine).abs().max() < 1e-3
    value, flat = rough(10, 10, 1), torch.full((1, 1, 30, 30), 4.0)
    plain = refine(network(), value, 3)
    for nothing in (flat, torch.full_like(flat, torch.nan)):
        assert torch.allclose(refine(network(), value, 3, fine=nothing), plain, atol=1e-5)


def test_covariates_count_only_where_the_field_is():
    """At a coast the mean of the height is that over land, and so is the field's."""
    factor = 4
    height = orography(12, 12, factor)
    height[:, :, :, :21] = torch.nan
    truth = -6.5 * height[:, 0]
    land = torch.isfinite(truth)
    count = block_means(land.float(), factor)
    value = block_means(torch.nan_to_num(truth), factor) / count.clamp(min=1e-6)
    made = refine(network(), value, factor, (count > 0).float(), height)
    left = (made - truth)[land].std() / truth[land].std()
    assert left < 0.5


@pytest.mark.parametrize("factor", [2, 3, 7])
def test_polynomials_have_no_mean_and_are_means_of_finer_ones(factor):
    basis = torch.from_numpy(polynomials(factor, 5))
    assert basis.mean(1).abs().max() < 1e-6
    finer = torch.from_numpy(polynomials(3 * factor, 5)).unflatten(1, (3 * factor, 3 * factor))
    assert torch.allclose(block_means(finer, 3).flatten(1), basis, atol=1e-5)
    y, x = places(factor)
    assert np.allclose([y.mean(), x.mean()], 0.0, atol=1e-6)
    assert np.isclose(x[1] - x[0], 1 / factor)


def test_other_channels_are_refused():
    with pytest.raises(ValueError, match="expected 2"):
        network()(torch.zeros(1, 3, 4, 4), torch.empty(1, 0, 8, 8), 2)


@pytest.fixture(scope="module")
def mountains():
    made = datasets.mountain_temperature().isel(time=slice(24))
    return made.isel(lat=slice(36), lon=slice(48))


def error(fine, factor, **arguments):
    coarse = fine.coarsen(lat=factor, lon=factor).mean()
    made = coarse.geoml.downscale(factor=factor, **arguments).transpose(*fine.dims)
    assert np.allclose(made.coarsen(lat=factor, lon=factor).mean(), coarse, atol=1e-3)
    return float(((made.values - fine.values) ** 2).mean() ** 0.5)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_shipped_weight_is_better_than_interpolation(mountains, factor):
    ours = error(mountains.t2m, factor, model="subgrid", terrain=False)
    for other in ("bicubic", "conservative"):
        assert ours < 0.97 * error(mountains.t2m, factor, model=other)


def test_shipped_weight_makes_use_of_orography(mountains):
    ours = error(mountains.t2m, 4, model="subgrid", terrain=False)
    assert error(mountains.t2m, 4, model="subgrid", covariates=[mountains.orography]) < 0.8 * ours
