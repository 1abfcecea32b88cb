"""Fields between two steps from motion, the sun and the steps around: a network for any record."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from xgeoml.models._moments import CURVES, OCTAVES, Layout

# The farthest that the network itself moves what it sees, in cells.
_REACH = 3.0
# Where less than this of what is moved was observed, it says nothing.
_SEEN = 0.999
_SMALLEST = 1e-6
# Octaves of the length of intervals, from six hours, at which the trust in curves is told apart.
_OCTAVES = tuple(range(-8, 6))


class TemDeep(nn.Module):
    """Linear interpolation, corrected by curves, by what has moved, and by what is left.

    How much to trust each curve through the steps around and each base model depends on the length
    of the interval. An encoder of dilated convolutions, all of one resolution so that no cell has a
    place of its own, makes maps: of where to trust them more or less; of the
    motion between the two steps, along which both are warped; which of the two to see, where they
    differ; and a remainder that vanishes at both steps. Shifted fields give
    shifted results.

    Parameters
    ----------
    width : int
        Features of each cell.
    dilations : sequence of int
        Of the convolutions, one after the other.
    bases : int
        Estimates of base models that it is given.

    Notes
    -----
    After Wang et al. (2025), Geosci. Model Dev. 18, 2427-2442 (fusion maps, warping and the
    self-supervision by cycles, for which see `xgeoml.train.cycles`), and for the flow at a time
    between from that between the steps Jiang et al. (2018), CVPR, 9000-9008, equation 4. Unlike the
    former it never sees a value, but differences in units of those from step to step: it serves any
    variable.
    """

    def __init__(
        self, width: int = 40, dilations: Sequence[int] = (1, 2, 4, 1), bases: int = 1
    ) -> None:
        super().__init__()
        self.layout = Layout(bases)
        curves = len(CURVES) + bases
        # For each octave of the interval's length, and how far it was learnt from.
        self.trust = nn.Parameter(torch.zeros(curves, len(_OCTAVES)))
        self.learnt: Tensor
        self.register_buffer("learnt", torch.ones(len(_OCTAVES)))
        # What becomes of its answer: more trust in each curve or less, then see `forward`.
        self.parts = [curves, 1, 4, 1, 1]
        self.enter = nn.Conv2d(self.layout.n_channels, width, 1)
        self.blocks = nn.ModuleList(_Block(width, dilation) for dilation in dilations)
        self.leave = nn.Conv2d(width, sum(self.parts), 1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    @torch.no_grad()
    def begin(self, trust: Tensor, learnt: Tensor) -> None:
        """Begin with some trust in each curve and base model, (curve, octave).

        `learnt` says how far each octave is learnt from, 0 to 1, (octave,): where it is not, there
        is nothing but that trust.
        """
        self.trust.copy_(trust)
        self.learnt.copy_(learnt)

    def forward(self, given: Tensor, around: bool = False) -> Tensor:
        """Return the departure from linear interpolation, in units of the changes.

        Parameters
        ----------
        given : Tensor, (sample, channel, y, x)
            As `xgeoml.models._moments.moments` makes them.
        around : bool
            Whether the last column neighbours the first.

        Returns
        -------
        Tensor, (sample, y, x)
        """
        layout = self.layout
        level = given[:, layout.level]
        size = level.square().mean((1, 2), keepdim=True).sqrt()
        pattern = level / size.clamp(min=_SMALLEST)
        shown = given.clone()
        shown[:, layout.level] = pattern
        x = self.enter(shown)
        for block in self.blocks:
            x = block(x, around)
        # Of places between cells bfloat16 knows too few digits.
        answer = self.leave(functional.silu(x)).float()
        made: Sequence[Tensor] = torch.split(answer, self.parts, 1)
        more, rest, flows, fusion, moved = made
        share = octaves(given[:, layout.length, 0, 0])
        # No matrix product, which would be made of bfloat16.
        trust = (share[:, None] * self.trust).sum(2)[:, :, None, None]
        known = (share * self.learnt).sum(1)[:, None, None]
        theta = given[:, layout.theta]
        warped = self._moved(given, level, theta, flows, fusion[:, 0], around)
        gate = 4.0 * theta * (1.0 - theta)
        curves = given[:, layout.curves]
        # A half at first: the motion is learnt through what it is trusted with.
        found = (more * curves).sum(1) + gate * rest[:, 0] + (0.5 + moved[:, 0]) * warped
        away: Tensor = (trust * curves).sum(1) + known * found
        return away

    def _moved(
        self,
        given: Tensor,
        level: Tensor,
        theta: Tensor,
        flows: Tensor,
        fusion: Tensor,
        around: bool,
    ) -> Tensor:
        """Return what both steps, each moved to the time between, say beside the linear one."""
        t = theta[:, None]
        forth, back = torch.chunk(_REACH * torch.tanh(flows), 2, 1)
        to_first = -(1 - t) * t * forth + t.square() * back
        to_second = (1 - t).square() * forth - t * (1 - t) * back
        made = []
        for flow, step in ((to_first, self.layout.first), (to_second, self.layout.first + 1)):
            field = torch.stack([level + given[:, step], given[:, self.layout.known + step]], 1)
            made.append(warp(field, flow, around))
        first, second = made
        # Trusted alike, the nearer in time counts for more.
        early = (1 - theta) * 2.0 * torch.sigmoid(fusion)
        late = theta * 2.0 * torch.sigmoid(-fusion)
        whole = (early * first[:, 0] + late * second[:, 0]) / (early + late).clamp(min=_SMALLEST)
        seen = torch.minimum(first[:, 1], second[:, 1]) > _SEEN
        return torch.where(seen, whole - level, torch.zeros_like(level))


class _Block(nn.Module):
    """A residual convolution."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.look = nn.Conv2d(width, width, 3, dilation=dilation)
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, around: bool) -> Tensor:
        """Return the features, (sample, feature, y, x), with what is around them."""
        seen = self.look(_padded(functional.silu(x), self.dilation, around))
        added: Tensor = x + self.mix(functional.silu(seen))
        return added


def octaves(length: Tensor) -> Tensor:
    """Return the share of each octave, (sample, octave), in lengths of intervals, (sample,).

    Between two of them the shares of both are linear in the logarithm of the length.
    """
    known = torch.tensor(_OCTAVES, device=length.device, dtype=length.dtype)
    away = (OCTAVES * length).clamp(known[0], known[-1])[:, None] - known
    return (1.0 - away.abs()).clamp(min=0.0)


def _padded(x: Tensor, by: int, around: bool) -> Tensor:
    """Return features with a margin: the other side around the Earth, else zeros."""
    if not around:
        return functional.pad(x, (by, by, by, by))
    # Narrow grids go around more than once.
    index = torch.arange(-by, x.shape[-1] + by, device=x.device) % x.shape[-1]
    return functional.pad(x[..., index], (0, 0, by, by))


def warp(field: Tensor, flow: Tensor, around: bool = False) -> Tensor:
    """Return fields, each cell taking what lies `flow` cells from it, linear between cells.

    Parameters
    ----------
    field : Tensor, (sample, channel, y, x)
    flow : Tensor, (sample, 2, y, x)
        Along y, then along x.
    around : bool
        Whether the last column neighbours the first; other edges have the outermost cells beyond
        them.
    """
    height, width = field.shape[-2:]
    rows = torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None] + flow[:, 0]
    columns = torch.arange(width, device=flow.device, dtype=flow.dtype) + flow[:, 1]
    margin = int(_REACH) + 1 if around else 0
    if margin:
        index = torch.arange(-margin, width + margin, device=field.device) % width
        field, columns = field[..., index], columns + margin
    last = [max(1, height - 1), max(1, width + 2 * margin - 1)]
    grid = torch.stack([2 * columns / last[1] - 1, 2 * rows / last[0] - 1], -1)
    return functional.grid_sample(field, grid, "bilinear", "border", align_corners=True)
