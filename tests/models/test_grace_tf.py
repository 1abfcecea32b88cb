import pytest
import torch

from xgeoml.models.grace_tf import GraceTF

SMALL = {"d_model": 16, "layers": 2, "heads": 2, "ffn": 32, "kernel": 7, "driver_width": 8}


def series(batch=3, time=40, drivers=2, bases=2, seed=0):
    """Return channels such as the engine builds: about half of the steps observed."""
    made = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, 3 + 2 * bases + drivers, time, generator=made)
    x[:, 1] = (x[:, 1] > 0).float()
    x[:, 0] *= x[:, 1]
    x[:, 2] = torch.arange(time) / 12.0 - time // 24
    return x


def network(**options):
    """Return a network whose last layer has learnt something."""
    torch.manual_seed(1)
    made = GraceTF(**{**SMALL, **options}).eval()
    torch.nn.init.normal_(made.head.weight, std=0.3)
    return made


def test_untrained_network_returns_its_base():
    x = series()
    out = GraceTF(**SMALL).eval()(x)
    assert out.shape == (3, 2, 40)
    assert torch.equal(out[:, 0], torch.zeros(3, 40))
    assert torch.equal(out[:, 1], x[:, 4])


@pytest.mark.parametrize("time", [1, 2, 24, 300])
@pytest.mark.parametrize("drivers", [0, 1, 3])
@pytest.mark.parametrize("attention", ["full", "logsparse"])
def test_any_length_and_number_of_drivers(time, drivers, attention):
    out = network(attention=attention)(series(time=time, drivers=drivers))
    assert out.shape == (3, 2, time)
    assert torch.isfinite(out).all()


def test_nothing_observed():
    x = series()
    x[:, :2] = 0.0
    assert torch.isfinite(network()(x)).all()


def test_order_of_drivers_is_free():
    net, x = network(), series(drivers=3)
    swapped = torch.cat([x[:, :7], x[:, 7:].flip(1)], dim=1)
    assert torch.allclose(net(x), net(swapped), atol=1e-5)


def test_drivers_matter():
    net, x = network(), series()
    assert not torch.allclose(net(x), net(x[:, :7]), atol=1e-3)


def test_series_are_independent():
    net, x = network(), series(batch=5)
    alone = torch.cat([net(row[None]) for row in x])
    assert torch.allclose(net(x), alone, atol=1e-5)


def test_position_is_the_stamp_and_not_the_index():
    net, x = network(), series()
    later = x.clone()
    later[:, 2, 20:] += 3.0
    assert not torch.allclose(net(x), net(later), atol=1e-3)


@pytest.mark.parametrize("attention", ["full", "logsparse"])
@pytest.mark.parametrize("bases", [1, 2, 3])
def test_causal_network_sees_no_later_step(attention, bases):
    net, x = network(attention=attention, causal=True, bases=bases), series(bases=bases)
    for step in (0, 13, 30):
        changed = x.clone()
        changed[:, :2, step + 1 :] = 1.0 - changed[:, :2, step + 1 :]
        changed[:, 2, step + 1 :] += 0.02
        changed[:, 3:, step + 1 :] *= -2.0
        before, after = net(x)[..., : step + 1], net(changed)[..., : step + 1]
        assert torch.allclose(before, after, atol=1e-6)
        assert not torch.allclose(net(x)[..., step + 1 :], net(changed)[..., step + 1 :])


def test_bidirectional_network_sees_both_ways():
    net, x = network(), series()
    changed = x.clone()
    changed[:, 3, 39] += 2.0
    assert not torch.allclose(net(x)[..., 0], net(changed)[..., 0], atol=1e-6)


def test_logsparse_attention_sees_powers_of_two():
    from xgeoml.models.grace_tf import _mask

    seen = _mask(64, "logsparse", False, torch.device("cpu"))
    assert seen is not None
    back = torch.nonzero(seen[63]).flatten().tolist()
    assert [63 - i for i in reversed(back)] == [0, 1, 2, 3, 4, 5, 6, 8, 16, 32]
    assert torch.equal(seen, seen.T)
    past = _mask(64, "logsparse", True, torch.device("cpu"))
    assert past is not None
    assert torch.equal(past, seen.tril())


def test_correction_is_bounded():
    net, x = network(), series()
    torch.nn.init.constant_(net.head.bias, 1e3)
    out = net(x)
    largest = 4.0 * x[:, 4].exp() + (x[:, 5] - x[:, 3]).abs()
    assert (out[:, 0].abs() <= largest + 1e-4).all()
    assert (out[:, 1] <= x[:, 4] + 3.0 + 1e-5).all()


def test_repeatable_in_evaluation():
    net, x = network(dropout=0.5), series()
    assert torch.equal(net(x), net(x))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bases": 0}, "bases=0"),
        ({"d_model": 15}, "d_model=15"),
        ({"attention": "sparse"}, "'logsparse'"),
    ],
)
def test_wrong_options_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        GraceTF(**{**SMALL, **options})


def test_too_few_channels_are_refused():
    with pytest.raises(ValueError, match="expected at least 7"):
        network()(series(drivers=0)[:, :6])


def test_driver_of_zeros_is_none():
    net, x = network(), series(drivers=1)
    more = torch.cat([x, torch.zeros(3, 2, 40)], dim=1)
    assert torch.allclose(net(x), net(more), atol=1e-5)
