"""A network of months for tests, without anything to learn."""

import torch
from torch import nn

from xgeoml.spec import AxisSpec, Channel, ModelSpec

DAYS = 31


class MonthNet(nn.Module):
    """The mean of the days of a month and its neighbours, smoothed in space.

    ``(batch, 4, 31 * months, Y, X) -> (batch, 2, months, Y, X)``; channels are value, share of
    the day that was observed, years and whether the calendar has the day.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, slots, *space = x.shape
        value, share, years, exists = x.reshape(
            batch, channels, slots // DAYS, DAYS, *space
        ).unbind(1)
        share = share * exists
        total, weight = (value * share).sum(2), share.sum(2)
        total, weight = (self.smoothed(part) for part in (total, weight))
        mean = total / weight.clamp_min(1e-6) + 0.01 * (years * exists).mean(2)
        spread = -0.5 * torch.log1p(weight)
        return torch.stack([mean, spread], 1)

    def smoothed(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool3d(nn.functional.pad(x, [1] * 6), 3, 1)


SPEC = ModelSpec(
    name="toy_months",
    task="fill_gaps",
    factory="toy_months:MonthNet",
    axes=(
        AxisSpec("T", "window", window=31 * 2, stride=31, coarsen=31),
        AxisSpec("Y", "window", window=4, stride=2),
        AxisSpec("X", "window", window=4, stride=2),
    ),
    inputs=(Channel("value"), Channel("validity"), Channel("years"), Channel("exists")),
    outputs=("value", "log_spread"),
)
