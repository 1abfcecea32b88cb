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
