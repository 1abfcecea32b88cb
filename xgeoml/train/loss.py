"""The loss over hidden values: misfit of the estimate, and likelihood of the spread."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from xgeoml.spec import ModelSpec
from xgeoml.train.batches import Layout

# What the likelihood counts beside the misfit, and what a spread other than the base has costs:
# learnt from months that the estimate knows by heart, spreads come out too narrow.
LIKELIHOOD, SPREAD_PRICE = 0.2, 2.0
# Of means of months, small errors matter in proportion: what they count beside the likelihood.
_ABSOLUTE = 10.0
# Errors beyond so many spreads count by their size, not by its square.
_HUBER = 2.0


class HiddenLoss:
    """Misfit and likelihood at hidden values, as a sum and the weight that it is a mean over.

    Parameters
    ----------
    spec : ModelSpec
        The network. One that corrects a base model is scored in units of the base's spread, and
        pays a price for every departure from its estimate and its spread; others are scored in
        units of the data's deviation: those that make months by the size of the error and the
        likelihood of a Laplace distribution, since errors of months with few days have long tails.
    price : float
        What a departure costs, as a share of what it may gain.
    """

    def __init__(self, spec: ModelSpec, price: float) -> None:
        layout = Layout.of(spec)
        self.residual = spec.outputs[0] == "residual"
        self.base = layout.estimates[0] if self.residual else None
        base_name = spec.inputs[self.base].name if self.base is not None else ""
        spreads = [i for i in layout.spreads if spec.inputs[i].name == base_name]
        self.spread = spreads[0] if spreads else None
        self.gives_spread = spec.gives_spread
        self.months = spec.axis("T").coarsen > 1
        self.price = price

    def estimate(self, output: Tensor, x: Tensor) -> Tensor:
        """Return the network's estimate, (sample, *axes), in scaled units."""
        return output[:, 0] + x[:, self.base] if self.base is not None else output[:, 0]

    def __call__(
        self, output: Tensor, x: Tensor, truth: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the weighted sum of the loss, and the sum of the weights.

        Parameters
        ----------
        output : Tensor, (sample, output, *axes)
        x : Tensor, (sample, channel, *axes)
        truth : Tensor, (sample, *axes)
            NaN wherever nothing is to be learnt.
        weight : Tensor, (sample,)
        """
        wanted = torch.isfinite(truth)
        error = torch.where(wanted, self.estimate(output, x) - truth, 0.0)
        base = x[:, self.spread] if self.spread is not None else torch.zeros_like(error)
        unit = base.exp()
        loss = _ABSOLUTE * error.abs() if self.months else huber(error / unit)
        if self.residual:
            loss = loss + 0.5 * self.price * (output[:, 0] / unit) ** 2
        if self.gives_spread:
            # About an estimate that it cannot move; normally distributed, or else Laplace's.
            log_spread = output[:, 1]
            ratio = error.detach() / log_spread.exp()
            surprise = math.sqrt(2.0) * ratio.abs() if self.months else 0.5 * ratio**2
            likelihood = log_spread - base + surprise
            if self.spread is not None:
                likelihood = likelihood + 0.5 * SPREAD_PRICE * (log_spread - base) ** 2
            loss = loss + LIKELIHOOD * likelihood
        each = weight.reshape(-1, *(1,) * (truth.ndim - 1))
        weights = torch.where(wanted, each, 0.0)
        return (weights * loss).sum(), weights.sum()


def huber(error: Tensor) -> Tensor:
    """Return half the square up to two, linear beyond (Huber 1964, Ann. Math. Stat. 35, 73-101)."""
    size = error.abs()
    return torch.where(size < _HUBER, 0.5 * error**2, _HUBER * size - 0.5 * _HUBER**2)
