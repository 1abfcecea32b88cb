"""The loss of networks that make fine fields: cell by cell, in means of blocks, and blurred."""

from __future__ import annotations

import torch
from torch import Tensor

# Deviation of the blur, as a share of a coarse cell, and how many of them it reaches.
_BLUR, _REACH = 0.5, 3.0


class PairLoss:
    """Mean absolute error of fine cells, of the means of coarse ones, and of blurred fields.

    Parameters
    ----------
    factor : int

    Notes
    -----
    The blur is the same for estimate and truth, and for every step: all three are linear, and work
    on the error. Missing cells have no weight in it.
    """

    def __init__(self, factor: int) -> None:
        self.factor = factor
        reach = int(_REACH * _BLUR * factor)
        at = torch.arange(-reach, reach + 1, dtype=torch.float32)
        bell = torch.exp(-0.5 * (at / (_BLUR * factor)) ** 2)
        self.bell = bell / bell.sum()

    def __call__(self, estimate: Tensor, truth: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted sum of the loss, and the sum of the weights.

        Parameters
        ----------
        estimate, truth : Tensor, (sample, 1, y, x)
            The truth is NaN where it is missing.
        weight : Tensor, (sample,)
        """
        known = torch.isfinite(truth).to(estimate.dtype)
        error = torch.where(known > 0, estimate - truth, 0.0)
        loss = mean_of(error.abs(), known)
        for smooth in (self._block_means, self._blurred):
            share = smooth(known)
            loss = loss + mean_of((smooth(error) / share.clamp(min=1e-6)).abs(), share)
        return (weight * loss).sum(), weight.sum()

    def _block_means(self, field: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(field, self.factor)

    def _blurred(self, field: Tensor) -> Tensor:
        bell, reach = self.bell.to(field), len(self.bell) // 2
        field = torch.nn.functional.conv2d(field, bell[None, None, :, None], padding=(reach, 0))
        return torch.nn.functional.conv2d(field, bell[None, None, None], padding=(0, reach))


def mean_of(loss: Tensor, known: Tensor) -> Tensor:
    """Return the mean of each sample, (sample,), over what is known of it; 0 if nothing is."""
    return (loss * known).sum((1, 2, 3)) / known.sum((1, 2, 3)).clamp(min=1e-6)
