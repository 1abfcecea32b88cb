"""How good a network is at values that it never saw, beside its base models and the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr
from torch import nn

from xgeoml.spec import ModelSpec
from xgeoml.train.batches import Layout
from xgeoml.train.loss import HiddenLoss
from xgeoml.train.patterns import Pattern

# Samples in one pass.
_BATCH = 32
# Half the width of the interval that holds 90 % of a normal distribution, in deviations.
_HALF_90 = 1.6449


@dataclass(frozen=True)
class Skill:
    """Scores over hidden values, weighted by area.

    Attributes
    ----------
    rmse : dict
        Root mean square error of the network (under its own name) and of what it is compared with,
        in the units of the data.
    crps : dict
        Continuous ranked probability score of a normal distribution (Gneiting and Raftery, 2007,
        J. Am. Stat. Assoc. 102, 359-378), in the units of the data; empty without a spread.
    coverage : float or None
        Share of the hidden values within the network's 90 % interval.
    """

    rmse: dict[str, float]
    crps: dict[str, float]
    coverage: float | None


def predict(network: nn.Module, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the network's output for every sample, in evaluation mode."""
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    training = network.training
    network.eval()
    with torch.inference_mode():
        parts = [network(part.to(device)).cpu() for part in torch.split(torch.tensor(x), _BATCH)]
    network.train(training)
    made: NDArray[np.float32] = torch.cat(parts).float().numpy()
    return made


def validation_loss(
    network: nn.Module, spec: ModelSpec, patterns: Sequence[Pattern], price: float
) -> float:
    """Return the loss of a network over the hidden values of some patterns."""
    from xgeoml.train.module import validation_batches

    loss, seen = HiddenLoss(spec, price), np.zeros(2)
    for x, truth, weight in validation_batches(patterns):
        output = torch.tensor(predict(network, x.numpy()))
        seen += [float(v) for v in loss(output, x, truth, weight)]
    return float(seen[0] / max(seen[1], 1e-12))


def skill(network: nn.Module, spec: ModelSpec, patterns: Sequence[Pattern]) -> Skill | None:
    """Return the scores over the hidden values of some patterns; None if there are none.

    Parameters
    ----------
    network : Module
    spec : ModelSpec
    patterns : sequence of Pattern
        Of one variable, each with the same estimates to compare with.
    """
    layout = Layout.of(spec)
    loss = HiddenLoss(spec, 0.0)
    bases = {spec.inputs[i].name: i for i in layout.estimates}
    squares: dict[str, float] = {}
    scores: dict[str, float] = {}
    inside, area = 0.0, 0.0
    for pattern in patterns:
        x = np.asarray(pattern.x)
        output = predict(network, x)
        made = loss.estimate(torch.tensor(output), torch.tensor(x)).numpy()
        estimates = {spec.name: made}
        spreads = {}
        if spec.gives_spread:
            spreads[spec.name] = np.exp(output[:, 1])
        estimates |= {name: x[:, i] for name, i in bases.items()}
        for i in layout.spreads:
            spreads[spec.inputs[i].name] = np.exp(x[:, i])
        estimates |= pattern.compared
        if not bases and not pattern.compared:
            estimates["mean"] = np.zeros_like(made)
        wanted = np.isfinite(pattern.truth)
        each = pattern.area.reshape(-1, *(1,) * (wanted.ndim - 1))
        weight = np.where(wanted, each, 0.0)
        unit = pattern.deviation.reshape(each.shape).astype(np.float64)
        truth = np.where(wanted, pattern.truth, 0.0)
        for name, estimate in estimates.items():
            error = (weight * (unit * (estimate - truth)) ** 2).sum()
            squares[name] = squares.get(name, 0.0) + float(error)
        for name, spread in spreads.items():
            score = (weight * unit * _crps(truth - estimates[name], spread)).sum()
            scores[name] = scores.get(name, 0.0) + float(score)
        if spec.gives_spread:
            near = np.abs(made - truth) < _HALF_90 * spreads[spec.name]
            inside += float((weight * near).sum())
        area += float(weight.sum())
    if area == 0.0:
        return None
    return Skill(
        {name: float(np.sqrt(total / area)) for name, total in squares.items()},
        {name: total / area for name, total in scores.items()},
        inside / area if spec.gives_spread else None,
    )


def _crps(error: NDArray[np.floating], spread: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the score of normal distributions whose means are off by `error`."""
    z = error / spread
    density = np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    score: NDArray[np.floating] = spread * (
        z * (2.0 * ndtr(z) - 1.0) + 2.0 * density - 1.0 / np.sqrt(np.pi)
    )
    return score
