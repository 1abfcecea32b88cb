"""Convolutions that sharpen a first estimate: the plain network that others are compared with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEAST, MOST = 2, 8


class ConvBaseline(nn.Module):
    """Up-convolution blocks from the coarse cells to the fine ones.

    Parameters
    ----------
    factor : int
        2 to 8.
    channels : int
        Coarse channels: value, validity, covariates.
    fine_channels : int
        Fine channels: estimates, then static covariates.
    width : int
        Channels of the first convolution of each block; the others have half as many.

    Notes
    -----
    One block for each prime factor of `factor`, the largest first. The last layer starts at zero:
    an untrained network returns the first estimate.
    """

    def __init__(
        self, factor: int = 4, channels: int = 2, fine_channels: int = 1, width: int = 64
    ) -> None:
        super().__init__()
        check_factor(factor)
        self.factor = factor
        half = width // 2
        self.lead = nn.Conv2d(channels, half, 3, padding=1)
        self.blocks = nn.ModuleList(_Block(half, width, stride) for stride in primes(factor))
        self.merge = nn.Conv2d(half + fine_channels, half, 3, padding=1)
        self.head = quiet(nn.Conv2d(half, 1, 1))

    def forward(self, coarse: Tensor, fine: Tensor, factor: int) -> Tensor:
        """Return what to add to the first estimate, see `xgeoml.models.downscaling.Refiner`."""
        same_factor(factor, self.factor)
        x = self.lead(coarse)
        for block in self.blocks:
            x = block(x)
        made: Tensor = self.head(nn.functional.relu(self.merge(torch.cat([x, fine], dim=1))))
        return made


class _Block(nn.Module):
    """Two convolutions, then one that makes `stride` cells of each."""

    def __init__(self, size: int, width: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(size, width, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(width, size, 3, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(size, size, stride, stride=stride),
        )

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.layers(x)
        return made


def primes(factor: int) -> list[int]:
    """Return the prime factors of a number below 9, the largest first."""
    return [p for p in (7, 5, 3, 2) for q in (p, p**2, p**3) if factor % q == 0]


def quiet(layer: nn.Conv2d) -> nn.Conv2d:
    """Return a layer that says nothing before it has learnt."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def check_factor(factor: int) -> None:
    """Raise if a network cannot be made for a factor."""
    if factor not in range(LEAST, MOST + 1):
        raise ValueError(f"factor={factor!r}: expected a whole number, {LEAST} to {MOST}")


def same_factor(asked: int, own: int) -> None:
    """Raise if a network is asked for another factor than its own."""
    if asked != own:
        raise ValueError(
            f"got factor {asked}, expected {own}, which the network was made for; fit another, or "
            f"pass model_options={{'factor': {asked}}} to one that has no weights yet"
        )
