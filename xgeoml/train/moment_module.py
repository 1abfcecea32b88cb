"""What Lightning trains to interpolate in time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.utils.data import DataLoader

from xgeoml.exceptions import ExecutionError
from xgeoml.models.temdeep import TemDeep, octaves
from xgeoml.spec import ModelSpec
from xgeoml.train.cycles import CYCLES, Cycles, cycle_loss
from xgeoml.train.job import Job
from xgeoml.train.module import Training
from xgeoml.train.moment_batches import KeptMoments, MomentBatch, MomentBatches
from xgeoml.train.moments import MOMENTS, MomentField
from xgeoml.train.orthogonal import optimiser
from xgeoml.train.settings import Settings

# What errors of differences between neighbouring cells weigh beside those of values.
_GRADIENTS = 0.05
# One step in so many also goes through cycles: so many of them, and what they weigh.
_EVERY, _SOME, _CYCLES = 8, 4, 0.1
# Samples that the weights to begin with are found from.
_BEGIN = 1536
# How strongly those of lengths are drawn to each other and to a guess, in shares of the mean square
# of what they weigh; and the same where the guess is a network that has learnt from other records:
# of lengths that the record has not, it knows more than those beside them tell.
_DRAWN, _TAUGHT = (1e-2, 1e-2), (1e-3, 3e-2)
# Learning rates of matrices as a multiple of the others'.
_FASTER = 7.0


class MomentTraining(Training):
    """A network of interpolation in time, in training.

    Parameters
    ----------
    network : Module
    spec : ModelSpec
    settings : Settings
    cycles : sequence of Cycles
        Of the records; may be none.
    """

    def __init__(
        self, network: nn.Module, spec: ModelSpec, settings: Settings, cycles: Sequence[Cycles]
    ) -> None:
        self.cycles = [c for c in cycles if len(c)]
        super().__init__(network, spec, settings)

    def make_loss(self, spec: ModelSpec) -> MomentScore:
        """Return what `sums` scores the network by."""
        return MomentScore(spec)

    def sums(self, batch: MomentBatch) -> tuple[Tensor, Tensor]:
        """Return the loss over a batch as a sum, and the weight that it is a mean over."""
        sums: tuple[Tensor, Tensor] = self.loss(self.network, batch)
        return sums

    def training_step(self, batch: MomentBatch, batch_idx: int) -> Tensor:
        """Return the loss of this process's part of a step, now and then with cycles."""
        loss = super().training_step(batch, batch_idx)
        s = self.settings
        number = self.current_epoch * s.steps + batch_idx // s.accumulate
        if not self.cycles or number % _EVERY:
            return loss
        rng = np.random.default_rng([s.seed, 14, number])
        of = self.cycles[int(rng.integers(len(self.cycles)))]
        given = [t.to(self.device) for t in of.some(rng.integers(len(of), size=_SOME))]
        residual, pace = cycle_loss(self.network, given, of.around)
        return loss + _CYCLES * _EVERY / s.accumulate * (residual + pace)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimiser and what lowers its learning rate."""
        s = self.settings
        if s.schedule == "plateau" or not hasattr(self.network, "blocks"):
            return super().configure_optimizers()
        made = optimiser(
            self.network.blocks,  # type: ignore[arg-type]
            self.network,
            _FASTER * s.learning_rate,
            s.learning_rate,
            s.weight_decay,
        )
        falling = torch.optim.lr_scheduler.LambdaLR(
            made, lambda step: s.share(step, self._elapsed())
        )
        return {"optimizer": made, "lr_scheduler": {"scheduler": falling, "interval": "step"}}


class MomentScore:
    """Mean square error in units of what linear interpolation lacks, and that of gradients.

    Parameters
    ----------
    spec : ModelSpec
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.key = spec.key

    def __call__(self, network: Any, batch: MomentBatch) -> tuple[Tensor, Tensor]:
        """Return the loss as a sum, and the weight that it is a mean over."""
        given, truth, weight, around = batch
        output = network(given, bool(around)).float()
        if output.shape != truth.shape:
            raise ExecutionError(
                f"{self.key} returned shape {tuple(output.shape)}, expected {tuple(truth.shape)}: "
                "(sample, y, x); mend its forward()"
            )
        known = torch.isfinite(truth)
        error = torch.where(known, output - torch.nan_to_num(truth), 0.0)
        loss = (weight * error.square()).sum((1, 2))
        for axis in (1, 2):
            n = error.shape[axis]
            if n > 1:
                step = error.diff(dim=axis)
                both = known.narrow(axis, 1, n - 1) & known.narrow(axis, 0, n - 1)
                own = weight.narrow(axis, 0, n - 1)
                loss = loss + _GRADIENTS * (own * both * step.square()).sum((1, 2))
        count = known.sum((1, 2)) * (weight > 0).any(2).any(1)
        return (loss / known.sum((1, 2)).clamp(min=1)).sum(), (count > 0).float().sum()


class MomentData(pl.LightningDataModule):
    """Batches of the moments that are learnt from, and of those kept for validation."""

    def __init__(
        self, fields: Sequence[MomentField], shares: Sequence[float], settings: Settings
    ) -> None:
        super().__init__()
        self.fields, self.shares, self.settings = fields, shares, settings

    def train_dataloader(self) -> DataLoader[MomentBatch]:
        """Return the batches of the epoch that begins."""
        assert self.trainer is not None
        epoch, rank = self.trainer.current_epoch, self.trainer.global_rank
        batches = MomentBatches(self.fields, self.shares, self.settings, epoch, rank)
        return DataLoader(batches, batch_size=None, shuffle=False)

    def val_dataloader(self) -> DataLoader[MomentBatch]:
        """Return this process's share of the validation batches."""
        assert self.trainer is not None
        batches = KeptMoments(self.fields, self.settings, self.trainer.global_rank)
        return DataLoader(batches, batch_size=None, shuffle=False)


def load_fields(folder: Path) -> tuple[list[MomentField], list[Cycles]]:
    """Return the records of a training's folder, and their cycles."""
    paths = sorted((folder / MOMENTS).iterdir())
    cycles = [Cycles.load(path) for path in paths if (path / CYCLES).exists()]
    return [MomentField.load(path) for path in paths], cycles


def begin_moments(network: nn.Module, job: Job, folder: Path) -> None:
    """Let a network begin with the best weights, one for all cells, of what it is shown.

    Those of curves and base models for each length of the interval, by least squares over what is
    learnt from. Where that says little, lengths that follow each other have like weights, and those
    far from all that is learnt from trust only the network that is a base model, or Akima's curve.
    """
    if not isinstance(network, TemDeep):
        return
    fields, _ = load_fields(folder)
    settings, layout = job.settings, network.layout
    # Of an epoch that never comes.
    batches = MomentBatches(fields, job.shares, settings, settings.max_epochs)
    n_curves, n_lengths = network.trust.shape
    square = torch.zeros(n_lengths, n_curves, n_lengths, n_curves).double()
    left = torch.zeros(n_lengths, n_curves).double()
    for i in range(math.ceil(_BEGIN / settings.batch_size)):
        given, truth, weight, _ = batches[i]
        known = torch.isfinite(truth)
        share = octaves(given[:, layout.length, 0, 0]).double()
        x = torch.where(known[:, None], given[:, layout.curves], 0.0).flatten(2).double()
        y = torch.nan_to_num(truth).flatten(1).double()
        weighted = x * weight.flatten(1)[:, None]
        products = torch.einsum("sax,sbx->sab", weighted, x)
        square += torch.einsum("sk,sl,sab->kalb", share, share, products)
        left += torch.einsum("sk,sax,sx->ka", share, weighted, y)
    each = square.flatten(2).flatten(0, 1).diagonal().reshape(n_lengths, n_curves).mean(1)
    size = each.mean()
    taught = job.spec.name in [name.partition("@")[0] for name in job.spec.bases]
    to_each_other, to_guess = (share * size for share in (_TAUGHT if taught else _DRAWN))
    learnt = each / (each + to_guess)
    guess = torch.zeros(n_curves).double()
    # A network that is a base model comes last.
    guess[-1 if taught else 0] = 1.0
    for k in range(n_lengths):
        for c in range(n_curves):
            square[k, c, k, c] += to_guess
            for other in (k - 1, k + 1):
                if 0 <= other < n_lengths:
                    square[k, c, k, c] += to_each_other
                    square[k, c, other, c] -= to_each_other
        left[k] += to_guess * guess
    whole = square.reshape(n_lengths * n_curves, -1)
    found = torch.linalg.solve(whole, left.flatten()).reshape(n_lengths, n_curves)
    network.begin(found.T.float(), learnt.float())
