import pytest
import torch

from xgeoml.models.conv_baseline import ConvBaseline, primes


def fields(factor, channels=2, fine_channels=1, rows=9, columns=7):
    made = torch.Generator().manual_seed(0)
    coarse = torch.randn(2, channels, rows, columns, generator=made)
    fine = torch.randn(2, fine_channels, rows * factor, columns * factor, generator=made)
    return coarse, fine


def network(factor=2, **options):
    """Return a network whose last layer has learnt something."""
    torch.manual_seed(1)
    made = ConvBaseline(factor, width=8, **options).eval()
    torch.nn.init.normal_(made.head.weight)
    return made


@pytest.mark.parametrize("factor", range(2, 9))
def test_untrained_it_adds_nothing(factor):
    coarse, fine = fields(factor)
    made = ConvBaseline(factor, width=8)(coarse, fine, factor)
    assert made.shape == fine.shape
    assert not made.any()


@pytest.mark.parametrize(
    ("factor", "strides"),
    [(2, [2]), (3, [3]), (4, [2, 2]), (5, [5]), (6, [3, 2]), (7, [7]), (8, [2, 2, 2])],
)
def test_a_block_for_each_prime_factor(factor, strides):
    assert primes(factor) == strides
    assert len(ConvBaseline(factor, width=8).blocks) == len(strides)


def test_all_channels_count():
    model = network(channels=4, fine_channels=3)
    coarse, fine = fields(2, 4, 3)
    usual = model(coarse, fine, 2)
    for given, n in ((coarse, 4), (fine, 3)):
        for i in range(n):
            before = given[:, i].clone()
            given[:, i] += 1.0
            assert not torch.allclose(model(coarse, fine, 2), usual)
            given[:, i] = before


def test_cells_farther_than_the_halo_do_not_count():
    model = network(8)
    coarse, fine = fields(8, rows=24, columns=24)
    usual = model(coarse, fine, 8)
    coarse[:, :, 0, 0] += 1.0
    changed = (model(coarse, fine, 8) != usual).nonzero()
    # The halo of the catalogue's tiles, in coarse cells.
    assert 0 < int(changed[:, 2:].max()) < 8 * 8


def test_other_factors_are_refused():
    with pytest.raises(ValueError, match="factor=9: expected a whole number, 2 to 8"):
        ConvBaseline(9)
    with pytest.raises(ValueError, match="got factor 3, expected 2"):
        network()(*fields(3), 3)
