"""Models of waveform inversion with one fault each, to see whether the battery finds it."""

import numpy as np
import torch
from torch import nn

from xgeoml.models.waveforms import fast_length
from xgeoml.spec import Channel, ModelSpec

# How sure the damped division is of the records: stations of less noise count no more.
DAMPING = 0.02


class Plain:
    """Sound, for comparison: damped spectral division."""

    def invert(self, gather):
        made = self.divided(gather, gather.heard)
        return np.maximum(made, 0.0) if gather.positive else made

    def divided(self, gather, heard):
        greens = gather.greens_spectrum * heard[..., None]
        called = (np.conj(greens) * gather.record_spectrum).sum(1)
        power = (np.abs(greens) ** 2).sum(1)
        damped = power + DAMPING * power.mean(-1, keepdims=True)
        spectrum = np.divide(called, damped, out=np.zeros_like(called), where=damped > 0)
        return gather.samples(spectrum, gather.length)


class Remembers(Plain):
    """Adds what an earlier call was given."""

    seen = 0.0

    def invert(self, gather):
        made = super().invert(gather) * (1 + 1e-6 * Remembers.seen)
        Remembers.seen = float(np.abs(gather.record).max())
        return made


class AsksOtherEvents(Plain):
    """Pulls every source to the mean of those that happen to come along."""

    def invert(self, gather):
        made = super().invert(gather)
        return 0.9 * made + 0.1 * made.mean(0)


class AnySign(Plain):
    """Goes below zero whatever it is told."""

    def invert(self, gather):
        return self.divided(gather, gather.heard)


class OnlyPositive(Plain):
    """Never goes below zero."""

    def invert(self, gather):
        return np.maximum(self.divided(gather, gather.heard), 0.0)


class Late(Plain):
    """Has sources begin three samples late."""

    def invert(self, gather):
        made = np.roll(super().invert(gather), 3, -1)
        made[:, :3] = 0.0
        return made


class Overwrites(Plain):
    """Writes into the records that it is given."""

    def invert(self, gather):
        made = super().invert(gather)
        gather.record[:] *= 0.5
        return made


class Whole(Plain):
    """Returns as many samples as the record has."""

    def invert(self, gather):
        made = super().invert(gather)
        return np.pad(made, ((0, 0), (0, gather.n_samples - gather.length)))


class Even(Plain):
    """Fails on an odd number of samples."""

    def invert(self, gather):
        if gather.length % 2:
            raise ValueError("cannot reshape array")
        return super().invert(gather)


class Silent(Plain):
    """Says nothing of short records."""

    def invert(self, gather):
        made = super().invert(gather)
        return made * np.nan if gather.n_samples < 64 else made


class FirstStation(Plain):
    """Trusts the first station twice."""

    def divided(self, gather, heard):
        count = np.where(np.arange(heard.shape[1]) == 0, np.sqrt(2.0), 1.0)
        return super().divided(gather, heard * count)


class CountsStations(Plain):
    """Divides by the number of stations, those included that say nothing."""

    def invert(self, gather):
        return super().invert(gather) * (1 + 0.01 * gather.record.shape[1])


class Divides(Plain):
    """Divides by the size of the record."""

    def invert(self, gather):
        size = np.abs(gather.record).max((1, 2))[:, None]
        return super().invert(gather) / size * size


class Never(Plain):
    """Has a little of a source always."""

    def invert(self, gather):
        return super().invert(gather) + 1e-9


class Random(Plain):
    """Draws noise from no seed."""

    def invert(self, gather):
        made = super().invert(gather)
        return made * (1 + 0.01 * np.random.default_rng().random(made.shape))


class Crowds(Plain):
    """Depends on how many events come along."""

    def invert(self, gather):
        return super().invert(gather) * (1 + 0.001 * len(gather.record))


class Coarse(Plain):
    """Keeps three digits, and nothing of what is very small or large."""

    def invert(self, gather):
        return super().invert(gather).astype(np.float16).astype(np.float64)


class Net(nn.Module):
    """Sound, for comparison: scales what the first base model says, sample by sample."""

    def __init__(self, estimates: int = 1) -> None:
        super().__init__()
        self.layer = nn.Conv1d(estimates, 2, 5, padding=2)

    def forward(self, record, greens, estimates, about):
        size = estimates.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-30)
        answer = self.layer(self.given(record, greens, estimates) / size)
        source = estimates[:, 0] + size[:, 0] * self.changed(answer[:, 0])
        source = torch.where(about[:, -1:] > 0, source.relu(), source)
        return torch.stack([source, self.sure(answer[:, 1]) + size[:, 0].log()], 1)

    def given(self, record, greens, estimates):
        return estimates

    def changed(self, answer):
        return answer

    def sure(self, answer):
        return answer


class CrowdNet(Net):
    """Subtracts the mean over those that happen to come along."""

    def changed(self, answer):
        return answer - answer.mean(0)


class OrderNet(Net):
    """Looks at the first station only."""

    def given(self, record, greens, estimates):
        share = record[:, :1, :1].abs() + record[:, :1].square().mean(-1, keepdim=True)
        return estimates * share


class UnsureNet(Net):
    """Has no spread where it is sure."""

    def sure(self, answer):
        return answer + float("inf")


class Alone(nn.Module):
    """Sound, for comparison: carries records back to the source, and needs no base model."""

    def __init__(self) -> None:
        super().__init__()
        self.damping = nn.Parameter(torch.zeros(1))

    def forward(self, record, greens, estimates, about):
        padded = fast_length(record.shape[-1])
        response = torch.fft.rfft(greens, padded)
        called = (response.conj() * torch.fft.rfft(record, padded)).sum(1)
        power = response.abs().square().sum(1)
        damped = power + DAMPING * self.damping.exp() * power.mean(-1, keepdim=True)
        spectrum = called / damped.clamp(min=1e-30)
        source = torch.fft.irfft(spectrum, padded)[:, : estimates.shape[-1]]
        return torch.where(about[:, -1:] > 0, source.relu(), source)[:, None]


def deconvolution(factory, **changes):
    """Return the spec of a NumPy model."""
    given = {"backend": "numpy", "summary": "has a fault", **changes}
    return ModelSpec(name="faulty", task="invert_waveform", factory=factory, **given)


def network(factory, **changes):
    """Return the spec of a network."""
    given = {
        "inputs": (Channel("value"), Channel("estimate", "water_level")),
        "outputs": ("value", "log_spread"),
        "summary": "has a fault",
        **changes,
    }
    return ModelSpec(name="faulty_net", task="invert_waveform", factory=factory, **given)
