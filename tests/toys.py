"""Tiny networks for tests, written as a third party would write them: no xarray, no xgeoml."""

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
