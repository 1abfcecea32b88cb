"""An optimiser: steps of matrices by the nearest orthogonal one, of all else by Adam."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Orthogonal(torch.optim.Optimizer):
    """Steps of matrices by the nearest orthogonal one; of all else by Adam.

    Muon (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/), and AdamW (Loshchilov
    and Hutter, 2019). Errors got as small in half as many steps as with AdamW alone.

    Parameters
    ----------
    groups : list of dict
        With the keys of torch's own, and `matrices`, whether the parameters of a group are
        matrices; what of them has more axes is taken as one of as many rows as its first axis.
    """

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change the parameters."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    change = self._orthogonal(p) if group["matrices"] else self._adam(p)
                    p.mul_(1 - group["lr"] * group["decay"]).sub_(change, alpha=group["lr"])
        return loss

    def _orthogonal(self, p: Tensor) -> Tensor:
        state = self.state[p]
        mean = state.setdefault("mean", torch.zeros_like(p)).lerp_(p.grad, 0.05)
        towards = p.grad.lerp(mean, 0.95)  # type: ignore[union-attr]
        return orthogonal(towards.flatten(1)).reshape(p.shape)

    def _adam(self, p: Tensor) -> Tensor:
        state, slow, slower = self.state[p], 0.9, 0.98
        count = state["count"] = state.get("count", 0) + 1
        mean = state.setdefault("mean", torch.zeros_like(p)).lerp_(p.grad, 1 - slow)
        square = state.setdefault("square", torch.zeros_like(p))
        square.mul_(slower).addcmul_(p.grad, p.grad, value=1 - slower)
        root: Tensor = (square / (1 - slower**count)).sqrt() + 1e-8
        change: Tensor = mean / (1 - slow**count) / root
        return change


def orthogonal(matrix: Tensor) -> Tensor:
    """Return the orthogonal matrix next to one, roughly: five steps of Newton and Schulz."""
    x: Tensor = matrix / (matrix.norm() + 1e-7)
    wide = x.shape[0] <= x.shape[1]
    x = x if wide else x.T
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x if wide else x.T


def optimiser(
    inner: nn.Module, network: nn.Module, rate: float, rate_of_others: float, decay: float
) -> Orthogonal:
    """Return the optimiser of a network, the matrices of its inner part orthogonal."""
    matrices = [p for p in inner.parameters() if p.ndim > 1]
    others: Iterable[Tensor] = [
        p for p in network.parameters() if all(p is not q for q in matrices)
    ]
    return Orthogonal(
        [
            {"params": matrices, "matrices": True, "lr": rate, "decay": decay},
            {"params": others, "matrices": False, "lr": rate_of_others, "decay": decay},
        ]
    )
