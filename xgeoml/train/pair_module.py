"""What Lightning trains to make fine fields of coarse ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from xgeoml.exceptions import ExecutionError
from xgeoml.spec import ModelSpec
from xgeoml.train.job import Job
from xgeoml.train.module import Training
from xgeoml.train.pair_batches import Cutter, KeptBatches, PairBatch, PairBatches
from xgeoml.train.pair_loss import PairLoss, mean_of
from xgeoml.train.pairs import PairField
from xgeoml.train.settings import Settings

# Steps that the unit of a target is taken from, and how many of them at a time.
_UNIT_STEPS, _AT_A_TIME = 2048, 32


class PairTraining(Training):
    """A network of downscaling in training.

    One with a method ``training_loss`` is trained by that, others by `PairLoss`.

    Parameters
    ----------
    network : Module
    spec : ModelSpec
    settings : Settings
    pairs : PairField
    """

    def __init__(
        self, network: nn.Module, spec: ModelSpec, settings: Settings, pairs: PairField
    ) -> None:
        self.factor = pairs.factor
        super().__init__(network, spec, settings)

    def make_loss(self, spec: ModelSpec) -> PairScore:
        """Return what `sums` scores the network by."""
        return PairScore(spec, self.factor)

    def sums(self, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """Return the loss over a batch as a sum, and the weight that it is a mean over."""
        sums: tuple[Tensor, Tensor] = self.loss(self.network, batch)
        return sums


class PairScore:
    """The loss of a network over a batch of pairs.

    Parameters
    ----------
    spec : ModelSpec
    factor : int
    """

    def __init__(self, spec: ModelSpec, factor: int) -> None:
        self.factor, self.residual = factor, spec.outputs[0] == "residual"
        self.key = spec.key
        self.loss = PairLoss(factor)

    def __call__(self, network: Any, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """Return the loss as a sum, and the weight that it is a mean over."""
        coarse, fine, truth, noise, at, weight = batch
        if hasattr(network, "training_loss"):
            each = network.training_loss(coarse, fine, self.factor, truth, noise, at)
            loss = mean_of(each, torch.isfinite(truth).to(each.dtype))
            return (weight * loss).sum(), weight.sum()
        output = network(coarse, fine, self.factor).float()
        if output.shape != truth.shape:
            raise ExecutionError(
                f"{self.key} returned shape {tuple(output.shape)}, expected {tuple(truth.shape)}: "
                "(sample, 1, y * factor, x * factor); mend its forward()"
            )
        return self.loss(output + fine[:, :1] if self.residual else output, truth, weight)


class PairData(pl.LightningDataModule):
    """Batches of the pairs that are learnt from, and of those kept for validation.

    Parameters
    ----------
    pairs : PairField
    spec : ModelSpec
    settings : Settings
    """

    def __init__(self, pairs: PairField, spec: ModelSpec, settings: Settings) -> None:
        super().__init__()
        self.pairs, self.spec, self.settings = pairs, spec, settings

    def train_dataloader(self) -> DataLoader[PairBatch]:
        """Return the batches of the epoch that begins."""
        assert self.trainer is not None
        epoch, rank = self.trainer.current_epoch, self.trainer.global_rank
        batches = PairBatches(self.pairs, self.spec, self.settings, epoch, rank)
        return DataLoader(batches, batch_size=None, shuffle=False)

    def val_dataloader(self) -> DataLoader[PairBatch]:
        """Return this process's share of the validation batches."""
        assert self.trainer is not None
        batches = KeptBatches(self.pairs, self.spec, self.settings, self.trainer.global_rank)
        return DataLoader(batches, batch_size=None, shuffle=False)


def begin_pairs(network: Any, job: Job, folder: Path) -> None:
    """Tell a network that asks for it, ``fit_unit``, in which unit its target is."""
    if not hasattr(network, "fit_unit"):
        return
    pairs = PairField.load(folder)
    cutter = Cutter(pairs, job.spec)
    some = np.linspace(0, len(pairs.learnt) - 1, min(_UNIT_STEPS, len(pairs.learnt)))
    steps = pairs.learnt[some.astype(np.intp)]
    rng = np.random.default_rng(job.settings.seed)

    def targets() -> Iterator[Tensor]:
        for start in range(0, len(steps), _AT_A_TIME):
            piece = cutter.piece(steps[start : start + _AT_A_TIME], cutter.corner(rng))
            yield network.target(torch.from_numpy(piece.fine), torch.from_numpy(piece.truth))

    network.fit_unit(targets())
