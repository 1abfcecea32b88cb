"""The spread of `eq_tf`, settled after training: its last layer fitted to the errors that are left.

In training the spread is learnt everywhere, also where there is no source and errors are next to
nothing. Here it is fitted where there is one, to the errors of the network as it ends.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from xgeoml.train.simulated_waves import simulate
from xgeoml.train.wave_module import log_distance
from xgeoml.train.waves import Simulator, prepared

_BATCHES, _EVENTS, _PASSES, _RATE, _SEED = 60, 32, 40, 3e-3, 11
# Where there is a source: shares of its peak.
_THERE = 0.01


class _Seen(NamedTuple):
    """What the last layer is given, and what its spread should have been.

    Attributes
    ----------
    features : Tensor, (event, feature, lag)
    beside : Tensor, (event, lag)
        What the logarithm of the spread over the peak is, less the layer's answer.
    missed : Tensor, (event, lag)
        Size of the errors over the peak.
    weight : Tensor, (event, lag)
        Adds up to 1 over each event.
    """

    features: Tensor
    beside: Tensor
    missed: Tensor
    weight: Tensor


def settle_spread(network: Any, waves: Simulator) -> None:
    """Fit the spread of the last step to simulated events, in place; sources stay as they are.

    Parameters
    ----------
    network : EqTF
        Trained, in evaluation mode.
    waves : Simulator
        Of the events that it was trained on.
    """
    layer = network.steps[-1].leave
    random = np.random.default_rng(_SEED)
    seen = [_seen(network, layer, waves, random) for _ in range(_BATCHES)]
    weight = layer.weight[1:].detach().clone().requires_grad_()
    bias = layer.bias[1:].detach().clone().requires_grad_()
    steps = torch.optim.Adam([weight, bias], lr=_RATE)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(steps, _PASSES)
    for _ in range(_PASSES):
        for at in random.permutation(_BATCHES):
            part = seen[at]
            made = _answer(part.features, weight, bias) + part.beside
            above = log_distance(part.missed, made)
            loss = (torch.maximum(0.9 * above, -0.1 * above) * part.weight).sum()
            steps.zero_grad()
            loss.backward()
            steps.step()
        falling.step()
    with torch.no_grad():
        layer.weight[1:], layer.bias[1:] = weight, bias


def _seen(network: Any, layer: Any, waves: Simulator, random: np.random.Generator) -> _Seen:
    """Return a batch of simulated events as the last layer sees them."""
    given: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _layer, taken: given.append(taken[0]))
    arrays = prepared(simulate(random, waves.seismograms, _EVENTS), waves.bases)
    inputs = [torch.from_numpy(arrays[k]) for k in ("record", "greens", "estimates", "about")]
    with torch.no_grad():
        made = network(*inputs)
    hook.remove()
    truth = torch.from_numpy(arrays["source"])
    peak = truth.abs().amax(-1, keepdim=True).clamp(min=1e-30)
    features = given[0][..., : truth.shape[-1]]
    own = _answer(features, layer.weight[1:], layer.bias[1:]).detach()
    there = torch.maximum(truth.abs(), made[:, 0].abs()) > _THERE * peak
    weight = there.float() / there.sum(-1, keepdim=True).clamp(min=1)
    missed = (made[:, 0] - truth).abs() / peak
    return _Seen(features, made[:, 1] - own - peak.log(), missed, weight / _EVENTS)


def _answer(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the logarithm of the spread, (event, lag), in the layer's own unit."""
    return functional.conv1d(features, weight, bias, padding="same")[:, 0]
