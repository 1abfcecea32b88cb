"""Models of downscaling with one fault each, to see whether the battery finds it."""

import numpy as np
import torch
from torch import nn

from xgeoml.models.downscaling import Window
from xgeoml.models.interpolation import Bilinear, Nearest
from xgeoml.spec import AxisSpec, Channel, ModelSpec

TILES = (AxisSpec("Y", "tile", 64, halo=5), AxisSpec("X", "tile", 64, halo=5))
GRIDS = (AxisSpec("Y"), AxisSpec("X"))


def within(fields):
    """Return -1 and 1 in turns along columns: the engine takes out what cells have in common."""
    return np.broadcast_to(np.arange(fields.shape[-1]) % 2 * 2.0 - 1.0, fields.shape)


class Remembers(Bilinear):
    """Adds what an earlier call was given."""

    seen = 0.0

    def predict(self, window, state):
        made = super().predict(window, state)
        made = made + 1e-3 * Remembers.seen * within(made)
        Remembers.seen = float(np.nanmax(window.value))
        return made


class KnowsItsWindow(Bilinear):
    """Adds the deviation of the window that it happens to be in."""

    def predict(self, window, state):
        made = super().predict(window, state)
        return made + np.nanstd(window.value) * within(made)


class NoFrost(Bilinear):
    """Keeps above freezing, in kelvins."""

    def predict(self, window, state):
        return np.maximum(super().predict(window, state), 282.0)


class Steps(Bilinear):
    """Half a staircase."""

    def predict(self, window, state):
        return 0.5 * (super().predict(window, state) + Nearest().predict(window, state))


class GivesUp(Bilinear):
    """Says nothing of fields with a gap."""

    def predict(self, window, state):
        made = super().predict(window, state)
        made[np.isnan(window.value).any((1, 2))] = np.nan
        return made


class Careful(Bilinear):
    """Changes everything from the first gap on that it has seen."""

    gaps = 0

    def predict(self, window, state):
        made = super().predict(window, state)
        Careful.gaps += int(np.isnan(window.value).sum())
        return made + 1e-3 * Careful.gaps * within(made)


class Random(Bilinear):
    """Draws noise from no seed."""

    def predict(self, window, state):
        made = super().predict(window, state)
        return made + 0.01 * np.random.default_rng().standard_normal(made.shape)


class AsksOtherSteps(Bilinear):
    """Pulls every step to the mean of those that happen to come along."""

    def predict(self, window, state):
        made = super().predict(window, state)
        return 0.9 * made + 0.1 * made.mean(0)


class Warns(Bilinear):
    """Divides by the deviation of a constant field."""

    def predict(self, window, state):
        made = super().predict(window, state)
        return made / np.nanstd(window.value) * np.nanstd(window.value)


class NeedsThree(Bilinear):
    """Fails on two rows."""

    def predict(self, window, state):
        if window.value.shape[1] < 3:
            raise IndexError("list index out of range")
        return super().predict(window, state)


class Single(Bilinear):
    """Computes in float32, a large mean included."""

    def predict(self, window, state):
        value = window.value.astype(np.float32).astype(np.float64)
        return super().predict(window.with_value(value), state).astype(np.float32)


class ChangesItsInput(Bilinear):
    """Works in place."""

    def predict(self, window, state):
        window.value[:] = np.nan_to_num(window.value)
        return super().predict(window, state)


class Learner:
    """Sound, for comparison: interpolation plus the mean of what it lacks at each point."""

    def fit(self, pairs):
        window = Window(
            np.asarray(pairs.coarse, np.float64), pairs.placement, (0, 0, 0), pairs.clock
        )
        lacking = pairs.fine - Bilinear().predict(window, {})
        known = np.isfinite(lacking)
        total, count = np.where(known, lacking, 0.0).sum(0), known.sum(0)
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        return {"lacking": self.settled(mean)}

    def settled(self, lacking):
        return lacking

    def predict(self, window, state):
        return Bilinear().predict(window, {}) + state["lacking"]


class Dices(Learner):
    """Learns something else each time."""

    def settled(self, lacking):
        return lacking + 0.01 * np.random.default_rng().standard_normal(lacking.shape)


class Bold(Learner):
    """Learns nothing that is smaller than half a kelvin."""

    def settled(self, lacking):
        return np.where(np.abs(lacking) < 0.5, 0.0, lacking)


class Net(nn.Module):
    """Sound, for comparison: adds a convolution to the repeated values."""

    def __init__(self, channels: int = 2, fine_channels: int = 0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, coarse, fine, factor):
        return self._finer(coarse[:, :1] + torch.tanh(self.layer(coarse)), factor)

    def _finer(self, x, factor):
        made = x.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
        return made * (1.0 + 0.5 * torch.arange(made.shape[3]).remainder(2))


class BatchNormal(Net):
    """Takes the mean of the batch, whoever is in it."""

    def forward(self, coarse, fine, factor):
        made = super().forward(coarse, fine, factor)
        return made + 0.5 * torch.sin(made.mean(0, keepdim=True))


class Undrawn(Net):
    """Draws in every call."""

    def forward(self, coarse, fine, factor):
        made = super().forward(coarse, fine, factor)
        return made + 0.1 * torch.rand_like(made)


class Deaf(Net):
    """Has an ensemble of which all members are one."""

    def sample(self, coarse, fine, factor, noise):
        return self(coarse, fine, factor)


class Coarse(Net):
    """Returns the coarse field."""

    def forward(self, coarse, fine, factor):
        return coarse[:, :1] + 0.0 * self.layer(coarse)


def interpolator(factory: type, **changes: object) -> ModelSpec:
    """Return the spec of a model of tiles."""
    spec = ModelSpec(
        name="faulty",
        task="downscale",
        factory=factory,
        backend="numpy",
        axes=TILES,
        summary="has a fault",
    )
    return spec.replace(**changes)


def learner(factory: type, **changes: object) -> ModelSpec:
    """Return the spec of a model that is fitted on pairs."""
    return interpolator(factory, axes=GRIDS, license="MIT", citation="nobody", **changes)


def network(factory: type) -> ModelSpec:
    """Return the spec of a network."""
    return ModelSpec(
        name="faulty",
        task="downscale",
        factory=factory,
        axes=TILES,
        inputs=(Channel("value"), Channel("validity")),
        summary="has a fault",
        license="MIT",
    )
