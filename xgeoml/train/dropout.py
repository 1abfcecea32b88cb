"""Dropout that does not depend on how many processes share a batch, or on what ran before."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SharedDropout(nn.Module):
    """Dropout whose mask is drawn for the whole batch from the number of the step.

    Each process drops what it would drop if it held the whole batch, and a run that was stopped
    goes on with the same masks: the result is the same however it was computed.

    Parameters
    ----------
    share : float
        Share of the activations dropped.
    place : int
        Number of this layer in the network.
    """

    def __init__(self, share: float, place: int) -> None:
        super().__init__()
        self.share, self.place = share, place
        self.seed = self.step = self.calls = self.part = 0
        self.parts = 1

    def start(self, seed: int, step: int, part: int, parts: int) -> None:
        """Begin a step, as one of the parts of its batch."""
        self.seed, self.step, self.part, self.parts, self.calls = seed, step, part, parts, 0

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with a share of it dropped, in training only."""
        if not self.training or self.share == 0:
            return x
        generator = torch.Generator(x.device)
        generator.manual_seed(hash((self.seed, self.step, self.place, self.calls)) % 2**63)
        self.calls += 1
        whole = (len(x) * self.parts, *x.shape[1:])
        kept = torch.rand(whole, generator=generator, device=x.device) >= self.share
        own = kept[self.part * len(x) : (self.part + 1) * len(x)]
        return x * own / (1.0 - self.share)


def share_dropout(network: nn.Module) -> list[SharedDropout]:
    """Replace every `torch.nn.Dropout` in a network, and return what it was replaced by.

    It has no parameters: the network's state is the same as before.
    """
    made: list[SharedDropout] = []
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                made.append(SharedDropout(child.p, len(made)))
                setattr(module, name, made[-1])
    return made
