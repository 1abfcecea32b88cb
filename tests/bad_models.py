"""Models with one fault each, to see whether the battery finds it."""

import numpy as np
import torch
from torch import nn

from xgeoml.models.linear import Linear
from xgeoml.models.series import Estimate
from xgeoml.spec import Channel, ModelSpec


class Remembers(Linear):
    """Adds what an earlier call was given."""

    seen = 0.0

    def predict(self, block, state):
        mean, spread = super().predict(block, state)
        mean = mean + 0.1 * Remembers.seen
        Remembers.seen = float(np.nanmax(block.values))
        return Estimate(mean, spread)


class ThinksInCentimetres(Linear):
    """Keeps its distance from zero, in units of its own."""

    def predict(self, block, state):
        mean, spread = super().predict(block, state)
        return Estimate(np.maximum(mean, -5.0), spread)


class Random(Linear):
    """Draws noise from no seed."""

    def predict(self, block, state):
        mean, spread = super().predict(block, state)
        scale = 1e-3 * np.nanstd(block.values)
        return Estimate(mean + scale * np.random.default_rng().standard_normal(mean.shape), spread)


class AsksItsNeighbours(Linear):
    """Pulls every series to the mean of the block it happens to be in."""

    def predict(self, block, state):
        mean, spread = super().predict(block, state)
        return Estimate(0.9 * mean + 0.1 * np.nanmean(mean, axis=0), spread)


class TooSure(Linear):
    """Has no doubts."""

    def predict(self, block, state):
        mean, spread = super().predict(block, state)
        return Estimate(mean, 0.0 * spread)


class Gullible(Linear):
    """Learns from steps that are not to be trusted."""

    def predict(self, block, state):
        known = np.isfinite(block.values)
        mean = np.stack(
            [
                np.interp(block.years, block.years[k], v[k]) if k.any() else np.full(k.size, np.nan)
                for v, k in zip(block.values, known, strict=True)
            ]
        )
        return Estimate(mean, np.abs(mean) + 1.0)


class GivesUp(Linear):
    """Says nothing of gaps longer than a step."""

    def predict(self, block, state):
        mean, spread = super().predict(block, state)
        known = np.isfinite(block.values)
        near = known | np.roll(known, 1, axis=1) | np.roll(known, -1, axis=1)
        return Estimate(np.where(near, mean, np.nan), spread)


class NeedsTwoSteps(Linear):
    """Fails on a single step."""

    def predict(self, block, state):
        if len(block.years) < 2:
            raise IndexError("list index out of range")
        return super().predict(block, state)


class Warns(Linear):
    """Divides by the spread of a constant series."""

    def predict(self, block, state):
        mean, spread = super().predict(block, state)
        deviation = np.nanstd(block.values, axis=1, keepdims=True)
        return Estimate((mean / deviation) * deviation, spread)


class Blind(Linear):
    """Says that it takes drivers, and leaves them aside."""


class Driven(nn.Module):
    """Sound, for comparison: takes any number of channels after the first two."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0.1 * torch.tanh(x.sum(dim=1, keepdim=True))


class BatchNormal(nn.Module):
    """Takes the mean of the batch, whoever is in it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :1] - 0.5 * x[:, :1].mean(dim=0, keepdim=True)


class Undrawn(nn.Module):
    """Draws its parameters from no seed, and has no weights file."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv1d(2, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.layer(x)) * (1 + 0.1 * torch.rand(1))


def classical(factory: type, **changes: object) -> ModelSpec:
    """Return the spec of a classical model with a fault."""
    spec = ModelSpec(
        name="faulty", task="fill_gaps", factory=factory, backend="numpy", summary="has a fault"
    )
    return spec.replace(**changes)


def network(factory: type) -> ModelSpec:
    """Return the spec of a network with a fault."""
    return ModelSpec(
        name="faulty",
        task="fill_gaps",
        factory=factory,
        inputs=(Channel("value"), Channel("validity")),
        summary="has a fault",
    )
