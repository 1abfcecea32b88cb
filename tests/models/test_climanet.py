import pytest
import torch

from xgeoml.models._successive import Daily, Successive, between, roughness
from xgeoml.models.climanet import DAYS, ClimaNet

SMALL = {"width": 16, "heads": 2, "layers": 1, "hidden": 8}
LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def days(batch=2, months=3, rows=8, columns=12, missing=0.5, seed=0):
    """Return channels such as the engine builds, land in a corner, and the complete value."""
    made = torch.Generator().manual_seed(seed)
    shape = (batch, months * DAYS, rows, columns)
    slot = torch.arange(months * DAYS)
    day, month = slot % DAYS, slot // DAYS
    length = torch.tensor([LENGTHS[m % 12] for m in range(months)])
    exists = (day < length[month]).float()[None, :, None, None].expand(shape)
    start = torch.cat([torch.zeros(1), length.cumsum(0)[:-1]])
    years = ((start[month] + day + 0.5) / 365.25)[None, :, None, None].expand(shape) * exists
    column = torch.linspace(0.0, 3.0, columns)
    truth = torch.sin(9.0 * years) + torch.cos(column + 20.0 * years)
    truth = truth + 0.1 * torch.randn(shape, generator=made)
    validity = (torch.rand(shape, generator=made) > missing).float() * exists
    validity[..., :2, :3] = 0.0
    return torch.stack([truth * validity, validity, years, exists], dim=1), truth


def network(**options):
    """Return a network whose last layers have learnt something."""
    torch.manual_seed(1)
    made = ClimaNet(**{**SMALL, **options}).eval()
    torch.nn.init.normal_(made.decoder.head.weight, std=0.3)
    torch.nn.init.normal_(made.daily.adapt[-1].weight, std=0.01)
    return made


def months_of(field):
    return field.unflatten(1, (-1, DAYS))


def mean_of(truth, x):
    exists = months_of(x[:, 3])
    return (months_of(truth) * exists).sum(2) / exists.sum(2).clamp(min=1.0)


@pytest.mark.parametrize("months", [1, 2, 5, 13])
@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (8, 20)])
def test_any_number_of_months_and_patches(months, rows, columns):
    out = network()(days(months=months, rows=rows, columns=columns)[0])
    assert out.shape == (2, 2, months, rows, columns)
    assert torch.isfinite(out).all()


def test_untrained_network_is_better_than_the_available_days():
    x, truth = days(missing=0.8, months=6)
    wanted = mean_of(truth, x)
    seen = months_of(x[:, 1])
    available = (months_of(x[:, 0]) * seen).sum(2) / seen.sum(2)
    known = torch.isfinite(available)
    made = ClimaNet(**SMALL).eval()(x)[:, 0]
    error = (made - wanted)[known].abs().mean()
    assert error < 0.5 * (available - wanted)[known].abs().mean()


def test_complete_months_come_back_as_they_are():
    x, truth = days(missing=0.0)
    sea = x[:, 1].amax(1, keepdim=True).expand(-1, 3, -1, -1) > 0
    out = network()(x)
    assert torch.allclose(out[:, 0][sea], mean_of(truth, x)[sea], atol=1e-5)
    assert out[:, 1][sea].max() < -3.0


def test_what_lies_below_missing_days_and_absent_days_does_not_matter():
    net, (x, _) = network(), days()
    dirty = x.clone()
    dirty[:, 0] += 50.0 * (x[:, 1] == 0.0)
    dirty[:, 2] += 7.0 * (x[:, 3] == 0.0)
    assert torch.equal(net(x), net(dirty))


def test_a_cloudy_day_is_no_absent_day():
    net, (x, _) = network(), days()
    absent = x.clone()
    x[:, :2, 40] = absent[:, :2, 40] = 0.0
    absent[:, 2:, 40] = 0.0
    assert not torch.allclose(net(x), net(absent), atol=1e-4)


def test_cloudy_days_have_no_weight():
    """However high attention scores a day without data, nothing of it is gathered."""
    net, (x, _) = network(), days()
    cloudy = slice(9, 14)
    x[:, :2, DAYS + cloudy.start : DAYS + cloudy.stop] = 0.0
    before = net(x)
    favoured = torch.zeros(1, 3, DAYS, 1, 1, 1)
    favoured[:, 1, cloudy] = 9.0
    with net.days.score.register_forward_hook(lambda _, given, score: score + favoured):
        assert torch.equal(before, net(x))
    favoured[:, 1, cloudy.stop] = 9.0
    with net.days.score.register_forward_hook(lambda _, given, score: score + favoured):
        assert not torch.allclose(before, net(x), atol=1e-4)


def test_order_of_slots_within_a_month_is_free():
    net, (x, _) = network(), days()
    order = torch.arange(3 * DAYS)
    order[DAYS : 2 * DAYS] = DAYS + torch.randperm(DAYS, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(net(x), net(x[:, :, order]), atol=1e-4)


def test_days_are_told_apart_by_their_stamps():
    net, (x, _) = network(), days()
    moved = x.clone()
    moved[:, :2, DAYS : 2 * DAYS] = x[:, :2, DAYS : 2 * DAYS].flip(2)
    assert not torch.allclose(net(x)[:, 0], net(moved)[:, 0], atol=1e-3)


@pytest.mark.parametrize("nothing", [slice(None), slice(DAYS, 2 * DAYS)])
def test_months_without_data(nothing):
    net, (x, _) = network(), days()
    x[:, :2, nothing] = 0.0
    out = net(x)
    assert torch.isfinite(out).all()
    out.sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name


def test_nothing_observed_gives_nothing_and_a_large_spread():
    x, _ = days()
    x[:, :2] = 0.0
    out = network()(x)
    assert torch.equal(out[:, 0], torch.zeros_like(out[:, 0]))
    assert ClimaNet(**SMALL)(x)[:, 1].exp().min() > 0.3


def test_padding_of_the_window_changes_no_value_far_from_it():
    net, (x, _) = ClimaNet(**SMALL).eval(), days(months=2)
    padded = torch.nn.functional.pad(x, (0, 4, 0, 4, 0, DAYS))
    assert torch.allclose(net(x)[:, 0], net(padded)[:, 0, :2, :8, :12], atol=1e-5)


def test_a_month_that_does_not_exist_has_no_say():
    net, (x, _) = network(), days(months=2)
    padded = torch.nn.functional.pad(x, (0, 0, 0, 0, 0, 2 * DAYS))
    assert torch.allclose(net(x), net(padded)[:, :, :2], atol=1e-4)


def test_samples_are_independent():
    net, (x, _) = network(), days(batch=3)
    alone = torch.cat([net(row[None]) for row in x])
    assert torch.allclose(net(x), alone, atol=1e-4)


def test_linear_in_the_values():
    net, (x, _) = network(), days()
    other = x.clone()
    other[:, 0] *= 4.0
    out, scaled = net(x), net(other)
    assert torch.allclose(4.0 * out[:, 0], scaled[:, 0], atol=1e-2)
    assert torch.allclose(out[:, 1] + torch.log(torch.tensor(4.0)), scaled[:, 1], atol=1e-2)


def test_rows_are_not_columns():
    net, (x, _) = network(), days(rows=8, columns=8)
    assert not torch.allclose(net(x).mT, net(x.mT.contiguous()), atol=1e-3)


def test_a_day_seen_in_part_counts_in_part():
    x, _ = days(missing=0.3)
    half = x.clone()
    half[:, 1] *= 0.5
    some = ClimaNet(**SMALL).eval()
    assert (some(half)[:, 1] > some(x)[:, 1]).float().mean() > 0.9


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((1, 3, 31, 4, 4), r"expected \(sample, 4, 31 \* month, y, x\)"),
        ((1, 4, 30, 4, 4), "expected multiples of 31, 4 and 4"),
        ((1, 4, 31, 4, 6), "expected multiples of 31, 4 and 4"),
    ],
)
def test_wrong_shapes(shape, said):
    with pytest.raises(ValueError, match=said):
        ClimaNet(**SMALL)(torch.zeros(shape))


@pytest.mark.parametrize(("option", "value"), [("width", 20), ("hidden", 12)])
def test_wrong_options(option, value):
    with pytest.raises(ValueError, match=rf"{option}={value}"):
        ClimaNet(**{**SMALL, option: value})


def test_repeatable_in_evaluation():
    net, (x, _) = network(dropout=0.5), days()
    assert torch.equal(net(x), net(x))


def series(values, at, missing=()):
    value = torch.tensor(values)[None, :, None, None]
    valid = torch.ones_like(value)
    valid[:, list(missing)] = 0.0
    return Daily(value * valid, valid, torch.tensor(at)[None], torch.ones(1, len(at)))


def test_red_noise_between_two_days():
    daily = series([1.0, 0.0, 0.0, 3.0], [0.0, 1.0, 2.0, 4.0], missing=(1, 2))
    memory = torch.full((1, 1, 1, 1), 5.0)
    left, doubt = between(daily, torch.zeros_like(daily.value), memory)
    at = torch.tensor([0.0, 1.0, 2.0, 4.0], dtype=torch.float64)
    covariance = torch.exp(-(at[:, None] - at[None]).abs() / 5.0)
    seen, sought = [0, 3], [1, 2]
    gain = covariance[sought][:, seen] @ torch.linalg.inv(covariance[seen][:, seen])
    wanted = gain @ torch.tensor([1.0, 3.0], dtype=torch.float64)
    rest = covariance[sought][:, sought] - gain @ covariance[seen][:, sought]
    assert torch.allclose(left[0, sought, 0, 0].double(), wanted, atol=1e-5)
    assert torch.allclose(doubt[0, sought, 0, 0].double(), rest.diagonal(), atol=1e-5)
    assert torch.equal(left[0, seen, 0, 0], torch.tensor([1.0, 3.0]))
    assert torch.equal(doubt[0, seen, 0, 0], torch.zeros(2))


def test_observed_days_are_kept():
    x, _ = days()
    exists = x[:, 3].amax((2, 3))
    daily = Daily(x[:, 0], x[:, 1], 365.25 * x[:, 2].amax((2, 3)), exists)
    made = Successive(((30.0, 4.0), (5.0, 1.0)))(daily)
    seen = daily.valid > 0
    assert torch.allclose(made.full[seen], daily.value[seen], atol=1e-5)
    assert ((made.density >= 0) & (made.density < 1)).all()


def test_noise_is_rougher_than_waves():
    at = torch.arange(60.0)
    calm = series(torch.sin(at / 8.0).tolist(), at.tolist())
    rough = series(
        torch.randn(60, generator=torch.Generator().manual_seed(0)).tolist(), at.tolist()
    )
    assert roughness(calm)[0, 0] < -3.0
    assert roughness(rough)[0, 0] > -0.5
    # No cell has a neighbour here.
    assert torch.equal(roughness(calm)[0, 4:], torch.zeros(3))
