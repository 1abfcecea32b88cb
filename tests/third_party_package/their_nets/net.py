"""A pure network."""

import torch
from torch import nn


class TheirNet(nn.Module):
    """Two convolutions along time, (batch, channel, time) -> (batch, 2, time)."""

    def __init__(self, channels: int = 4, width: int = 12) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)  # stands in for a weights file
        self.layers = nn.Sequential(
            nn.Conv1d(channels, width, 7, padding=3), nn.Tanh(), nn.Conv1d(width, 2, 1)
        )
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1, generator=generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)
