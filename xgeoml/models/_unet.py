"""The network that tells noise from field: a U-Net with attention on chosen levels.

After Ho, Jain and Abbeel (2020), Adv. Neural Inf. Process. Syst. 33, 6840-6851, and Ronneberger,
Fischer and Brox (2015), MICCAI, 234-241.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

# The longest period of the waves that a number is turned into.
_LONGEST = 10_000.0


class UNet(nn.Module):
    """Residual blocks on several levels, each half as fine as the one above.

    Parameters
    ----------
    in_channels, out_channels : int
    n_channels : int
        Channels of the first level, a multiple of 8.
    channel_multipliers : sequence of int
        Channels of each level, as multiples of `n_channels`.
    is_attention : sequence of bool
        On which levels every cell may look at every other.
    n_blocks : int
        Residual blocks of each level, on the way down and on the way up.
    patch : int
        Cells along each axis that are taken together, as channels, before all else.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 1,
        n_channels: int = 16,
        channel_multipliers: Sequence[int] = (1, 2, 2, 4),
        is_attention: Sequence[bool] = (False, False, True, True),
        n_blocks: int = 2,
        patch: int = 1,
    ) -> None:
        super().__init__()
        if n_channels % 8 or len(channel_multipliers) != len(is_attention):
            raise ValueError(
                f"n_channels={n_channels}, channel_multipliers={list(channel_multipliers)}, "
                f"is_attention={list(is_attention)}: expected a multiple of 8, and as many levels "
                "in the one as in the other"
            )
        self.multiple, self.patch = patch * 2 ** (len(channel_multipliers) - 1), patch
        self.width = width = 4 * n_channels
        self.step = nn.Sequential(nn.Linear(n_channels, width), nn.SiLU(), nn.Linear(width, width))
        self.n_channels = n_channels
        self.first = nn.Conv2d(in_channels * patch**2, n_channels, 3, padding=1)
        sizes = [n_channels * m for m in channel_multipliers]
        down: list[nn.Module] = []
        kept, size = [n_channels], n_channels
        for level, wanted in enumerate(sizes):
            for _ in range(n_blocks):
                down.append(_Block(size, wanted, width, is_attention[level]))
                kept.append(size := wanted)
            if level + 1 < len(sizes):
                down.append(_Coarser(size))
                kept.append(size)
        self.down = nn.ModuleList(down)
        self.middle = nn.ModuleList([_Block(size, size, width, a) for a in (True, False)])
        up: list[nn.Module] = []
        for level, wanted in reversed(list(enumerate(sizes))):
            for _ in range(n_blocks + 1):
                up.append(_Block(size + kept.pop(), wanted, width, is_attention[level]))
                size = wanted
            if level:
                up.append(_Finer(size))
        self.up = nn.ModuleList(up)
        self.norm = nn.GroupNorm(8, size)
        self.last = _quiet(nn.Conv2d(size, out_channels * patch**2, 3, padding=1))

    def forward(self, x: Tensor, step: Tensor, stamp: Tensor | None = None) -> Tensor:
        """Return what the network makes of a noisy field.

        Parameters
        ----------
        x : Tensor, (batch, channel, y, x)
            Sizes are multiples of `multiple`.
        step : Tensor, (batch,)
            How noisy: the number of the step of diffusion.
        stamp : Tensor, (batch, width), optional
            What else all blocks are told.
        """
        told = self.step(waves(step, self.n_channels))
        if stamp is not None:
            told = told + stamp
        x = self.first(nn.functional.pixel_unshuffle(x, self.patch))
        kept = [x]
        for part in self.down:
            x = part(x, told)
            kept.append(x)
        for part in self.middle:
            x = part(x, told)
        for part in self.up:
            x = part(x if isinstance(part, _Finer) else torch.cat([x, kept.pop()], 1), told)
        made = self.last(nn.functional.silu(self.norm(x)))
        return nn.functional.pixel_shuffle(made, self.patch)


class _Block(nn.Module):
    """Two convolutions beside a shortcut, maybe attention."""

    def __init__(self, size: int, wanted: int, width: int, attention: bool) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.GroupNorm(8, size), nn.SiLU(), nn.Conv2d(size, wanted, 3, padding=1)
        )
        self.told = nn.Sequential(nn.SiLU(), nn.Linear(width, wanted))
        self.second = nn.Sequential(
            nn.GroupNorm(8, wanted), nn.SiLU(), _quiet(nn.Conv2d(wanted, wanted, 3, padding=1))
        )
        self.shortcut = nn.Conv2d(size, wanted, 1) if size != wanted else nn.Identity()
        self.attention = _Attention(wanted) if attention else nn.Identity()

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        inner = self.first(x) + self.told(told)[:, :, None, None]
        made: Tensor = self.attention(self.shortcut(x) + self.second(inner))
        return made


class _Attention(nn.Module):
    """Every cell looks at every other, beside a shortcut."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, size)
        self.each = nn.Conv2d(size, 3 * size, 1)
        self.last = _quiet(nn.Conv2d(size, size, 1))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.each(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=-1)
        seen = nn.functional.scaled_dot_product_attention(query, key, value)
        made: Tensor = x + self.last(seen.transpose(1, 2).reshape(x.shape))
        return made


class _Coarser(nn.Module):
    """Half as many rows and columns."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(size, size, 3, stride=2, padding=1)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        made: Tensor = self.convolution(x)
        return made


class _Finer(nn.Module):
    """Twice as many rows and columns."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(size, size, 3, padding=1)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        made: Tensor = self.convolution(nn.functional.interpolate(x, scale_factor=2.0))
        return made


def waves(number: Tensor, size: int) -> Tensor:
    """Return sines and cosines of a number, (batch, size), of periods from 2 pi to 10,000 times it.

    Vaswani et al. (2017), Adv. Neural Inf. Process. Syst. 30.
    """
    half = size // 2
    slow = torch.arange(half, device=number.device, dtype=torch.float32) / max(half - 1, 1)
    angle = number.float()[:, None] * torch.exp(-math.log(_LONGEST) * slow)
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def _quiet(layer: Any) -> Any:
    """Return a layer that says nothing before it has learnt."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
