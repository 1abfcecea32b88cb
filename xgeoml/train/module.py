"""What Lightning trains: a network, its loss, its optimiser and its schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Timer, WeightAveraging
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.utils.data import DataLoader

from xgeoml.exceptions import ExecutionError
from xgeoml.spec import ModelSpec
from xgeoml.train.batches import Batch, Batches
from xgeoml.train.dropout import share_dropout
from xgeoml.train.job import Job
from xgeoml.train.loss import HiddenLoss
from xgeoml.train.patterns import Pattern
from xgeoml.train.settings import Settings

# Samples of a validation pattern in one pass.
_VALIDATION_BATCH = 32
# The learning rate falls to this share when the validation loss has not for so many epochs.
_PLATEAU_FACTOR, _PLATEAU_PATIENCE = 1 / 3, 3


class Training(pl.LightningModule):
    """A network in training.

    Parameters
    ----------
    network : Module
        Changed in place: its dropout is made to depend on the number of the step alone.
    spec : ModelSpec
    settings : Settings
    """

    def __init__(self, network: nn.Module, spec: ModelSpec, settings: Settings) -> None:
        super().__init__()
        self.network, self.settings, self.key = network, settings, spec.key
        self.dropouts = share_dropout(network)
        self.loss = self.make_loss(spec)
        self.seen = torch.zeros(2, dtype=torch.float64)
        self.learnt = torch.zeros(2, dtype=torch.float64)

    def make_loss(self, spec: ModelSpec) -> Any:
        """Return what `sums` scores the network by."""
        return HiddenLoss(spec, self.settings.price)

    def forward(self, x: Tensor) -> Tensor:
        """Return the network's output."""
        output: Tensor = self.network(x)
        return output.float()

    def sums(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Return the loss over a batch as a sum, and the weight that it is a mean over."""
        x, truth, weight = batch
        sums: tuple[Tensor, Tensor] = self.loss(self(x), x, truth, weight)
        return sums

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Make all that is random depend on the number of the step alone."""
        s = self.settings
        step = self.current_epoch * s.steps + batch_idx // s.accumulate
        part = (batch_idx % s.accumulate) * s.world + self.global_rank
        for layer in self.dropouts:
            layer.start(s.seed, step, part, s.accumulate * s.world)
        torch.manual_seed(1_000_003 * s.seed + step)
        if s.schedule == "plateau" and step < s.rise:
            for group in self.trainer.optimizers[0].param_groups:
                group["lr"] = s.learning_rate * s.share(step, 0.0)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of this process's part of a step."""
        total, mass = self.sums(batch)
        self.learnt += self._checked(torch.stack([total.detach(), mass]).cpu().double())
        # The mean over all processes, which then average their gradients.
        everywhere = self.trainer.strategy.reduce(mass.detach().clone(), reduce_op="sum")
        mean: Tensor = total * self.trainer.world_size / everywhere.clamp(min=1.0)
        return mean

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Add to the validation loss."""
        self.seen += self._checked(torch.stack(self.sums(batch)).cpu().double())

    def on_validation_epoch_end(self) -> None:
        """Report the validation loss, over all processes."""
        loss = self._mean(self.seen)
        self.seen = torch.zeros_like(self.seen)
        self.log("val_loss", loss, prog_bar=True)

    def on_train_epoch_end(self) -> None:
        """Lower the rate on a plateau; Lightning does so when the checkpoint is written already."""
        if self.settings.schedule == "plateau":
            plateau: Any = self.lr_schedulers()
            plateau.step(self.trainer.callback_metrics["val_loss"])

    def lr_scheduler_step(self, scheduler: Any, metric: Any | None) -> None:
        """Let the learning rate fall, the plateau apart."""
        if self.settings.schedule != "plateau":
            scheduler.step()

    def take_train_loss(self) -> float:
        """Return the mean loss over all processes since this was last asked."""
        loss = self._mean(self.learnt)
        self.learnt = torch.zeros_like(self.learnt)
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimiser and what lowers its learning rate."""
        s = self.settings
        optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=s.learning_rate, weight_decay=s.weight_decay
        )
        if s.schedule == "plateau":
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimiser, factor=_PLATEAU_FACTOR, patience=_PLATEAU_PATIENCE
            )
            config = {"scheduler": plateau, "interval": "epoch", "monitor": "val_loss"}
        else:
            falling = torch.optim.lr_scheduler.LambdaLR(
                optimiser, lambda step: s.share(step, self._elapsed())
            )
            config = {"scheduler": falling, "interval": "step"}
        return {"optimizer": optimiser, "lr_scheduler": config}  # type: ignore[return-value]

    def _checked(self, sums: Tensor) -> Tensor:
        """Return the sums, or raise if they are no numbers: no step mends the network any more."""
        if not torch.isfinite(sums).all():
            raise ExecutionError(
                f"the loss of {self.key} is not finite in epoch {self.current_epoch + 1}; expected "
                "numbers: try a smaller learning_rate=, clip=0.5 or precision='float32', and see "
                "that forward() divides by nothing that may be 0"
            )
        return sums

    def _elapsed(self) -> float:
        timers = [c for c in self.trainer.callbacks if isinstance(c, Timer)]  # type: ignore[attr-defined]
        elapsed = timers[0].time_elapsed() if timers else 0.0
        if timers and self.settings.max_time is not None and self.trainer.world_size > 1:
            # One clock for all processes, or their rates and so their networks would part.
            clock = torch.tensor(elapsed, dtype=torch.float32, device=self.device)
            elapsed = float(self.trainer.strategy.reduce(clock, reduce_op="mean"))
        return elapsed

    def _mean(self, sums: Tensor) -> float:
        there = sums.to(self.device, torch.float32 if self.device.type == "mps" else None)
        total, mass = self.trainer.strategy.reduce(there, reduce_op="sum").tolist()
        return total / max(mass, 1e-12)  # type: ignore[no-any-return]


class Data(pl.LightningDataModule):
    """Batches of the patterns that are learnt from, and of those kept for validation.

    Parameters
    ----------
    pool : sequence of sequence of Pattern
        Patterns of each variable.
    kept : sequence of Pattern
        For validation.
    job : Job
        What is trained.
    settings : Settings
        How, in this process.
    """

    def __init__(
        self,
        pool: Sequence[Sequence[Pattern]],
        kept: Sequence[Pattern],
        job: Job,
        settings: Settings,
    ) -> None:
        super().__init__()
        self.make: Callable[[int, int], Batches] = lambda epoch, rank: Batches(
            pool, job, settings, epoch, rank
        )
        self.kept = kept

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the batches of the epoch that begins."""
        assert self.trainer is not None
        batches = self.make(self.trainer.current_epoch, self.trainer.global_rank)
        return DataLoader(batches, batch_size=None, shuffle=False)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return this process's share of the validation batches: each has as many."""
        assert self.trainer is not None
        rank, world = self.trainer.global_rank, self.trainer.world_size
        batches = list(validation_batches(self.kept))
        while len(batches) % world:
            x, truth, weight = batches[0]
            batches.append((x, truth, torch.zeros_like(weight)))
        return DataLoader(batches[rank::world], batch_size=None, shuffle=False)  # type: ignore[arg-type]


def validation_batches(patterns: Sequence[Pattern]) -> Iterator[Batch]:
    """Yield input, truth and weight of all samples of some patterns."""
    for pattern in patterns:
        signal = pattern.area * pattern.deviation
        weight = torch.from_numpy(signal / max(float(signal.mean()), 1e-12))
        x, truth = torch.tensor(pattern.x), torch.tensor(pattern.truth)
        parts = (torch.split(t, _VALIDATION_BATCH) for t in (x, truth, weight))
        yield from zip(*parts, strict=True)


class RunningMean(WeightAveraging):
    """The running mean of the parameters, young ones forgotten sooner.

    Parameters
    ----------
    memory : float
        What is kept of the mean at each step, once it is old.
    """

    def __init__(self, memory: float) -> None:
        def mean(old: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
            kept = min(memory, (float(count) + 1.0) / (float(count) + 11.0))
            return old + (1.0 - kept) * (new - old)

        super().__init__(avg_fn=mean)
