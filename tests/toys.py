"""Tiny networks for tests, written as a third party would write them: no xarray, no xgeoml."""

import numpy as np
import torch
from torch import nn


class SeriesNet(nn.Module):
    """A two-layer convolution along time, (batch, channel, time) -> (batch, 1 or 2, time)."""

    def __init__(self, channels: int = 2, outputs: int = 1, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first = nn.Conv1d(channels, 8, 5, padding=2)
        self.last = nn.Conv1d(8, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.tanh(self.first(x)))


class FieldNet(nn.Module):
    """Three convolutions in space, (batch, channel, Y, X) -> (batch, 1, Y, X)."""

    def __init__(self, channels: int = 2, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1),
            nn.Tanh(),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.Tanh(),
            nn.Conv2d(8, 1, 3, padding=1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Hungry(nn.Module):
    """Runs out of memory whenever a batch holds more than `most` samples."""

    def __init__(self, most: int = 3) -> None:
        super().__init__()
        self.most = most

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.most:
            raise torch.OutOfMemoryError("out of memory")
        return x[:, :1]


class WrongShape(nn.Module):
    """Returns one time step too few."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :1, 1:]


class DropNet(nn.Module):
    """`SeriesNet` with dropout between its layers."""

    def __init__(self, channels: int = 2, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first = nn.Conv1d(channels, 8, 5, padding=2)
        self.dropout = nn.Dropout(0.3)
        self.last = nn.Conv1d(8, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.dropout(torch.tanh(self.first(x))))


class TiedNet(nn.Module):
    """Uses one matrix twice, under two names."""

    def __init__(self, channels: int = 2) -> None:
        super().__init__()
        self.before = nn.Linear(channels, channels)
        self.after = nn.Linear(channels, channels)
        self.after.weight = self.before.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.after(torch.tanh(self.before(x.transpose(1, 2)))).transpose(1, 2)[:, :1]


class GivesNaN(SeriesNet):
    """Returns no numbers from the call on that is the `after`-th in training."""

    def __init__(self, after: int = 0) -> None:
        super().__init__()
        self.after, self.calls = after, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        missing = self.calls > self.after or self.after == 0
        return super().forward(x) * (torch.nan if missing else 1.0)


class NoParameters(nn.Module):
    """Returns the value as it is."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :1]


class LongOnly(SeriesNet):
    """Fails on less than 48 steps."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[2] < 48:
            raise RuntimeError(f"{x.shape[2]} steps are too few")
        return super().forward(x)


class Steep(SeriesNet):
    """Has a gradient that is no number, and values that are."""

    def __init__(self) -> None:
        super().__init__()
        self.bend = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + 0.0 * torch.sqrt(self.bend)


class Neighbours:
    """A NumPy model of tiles: mean of the cells around, where there are none that of the field."""

    def __init__(self, reach: int = 2) -> None:
        self.reach = reach

    def summarise(self, sample):
        known = [patch.values[np.isfinite(patch.values)] for patch in sample.patches]
        return {"mean": np.array(np.concatenate(known).mean()), "series": sample.series.area[:1]}

    def predict(self, block, state):
        width = 2 * self.reach + 1
        near = (width, width)
        around = [(h - self.reach,) * 2 for h in block.halo]
        cut = tuple(slice(a, -a or None) for a, _ in around)
        cells = np.lib.stride_tricks.sliding_window_view(block.values[cut], near, (0, 1))
        known = np.isfinite(cells)
        count = known.sum((-1, -2))
        total = np.where(known, cells, 0.0).sum((-1, -2))
        mean = np.where(count > 0, total / np.maximum(count, 1), state["mean"])
        empty = ~np.isfinite(block.values[block.inside]).any(-1)
        mean[empty] = np.nan
        return mean, np.ones_like(mean)


class MonthNet(nn.Module):
    """Means over 31 slots and a blur in space, (batch, 4, 31 * months, Y, X) -> months."""

    def __init__(self, slots: int = 31) -> None:
        super().__init__()
        self.slots = slots

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, _, steps, rows, columns = x.shape
        days = x.reshape(batch, 4, steps // self.slots, self.slots, rows, columns)
        share = days[:, 1].sum(2)
        mean = (days[:, 0] * days[:, 1]).sum(2) / share.clamp(min=1e-6)
        months = nn.functional.avg_pool2d(mean, 3, 1, 1) + 0.1 * days[:, 2:].mean((1, 3))
        return torch.stack([months, torch.log1p(share)], 1)
