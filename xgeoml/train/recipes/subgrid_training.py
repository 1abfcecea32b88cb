"""How subgrid learns: batches of neighbourhoods, the loss, the optimiser."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import ModelCheckpoint
from numpy.random import Generator
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from xgeoml.models._around import OFFSETS, REACH, Cells
from xgeoml.models.subgrid import Subgrid, places, shape_of
from xgeoml.train.checkpoint import SafeCheckpointIO, best_state
from xgeoml.train.loop import quiet
from xgeoml.train.module import RunningMean
from xgeoml.train.orthogonal import Orthogonal
from xgeoml.train.recipes.subgrid_records import SIDE, Patches

# How often each factor is drawn, relative to the others.
_FACTORS = {2: 0.2, 3: 0.18, 4: 0.18, 5: 0.16, 6: 0.05, 7: 0.05, 8: 0.18}
# Batches in which edges are near, and sides of a neighbourhood that then are one.
_EDGY, _EDGES = 0.7, 0.3
_CHUNK = 50_000
_SMALLEST = 1e-7
LAST = "last.safetensors"

Batch = tuple[Tensor, Tensor, Tensor, int]


@dataclass(frozen=True)
class Plan:
    """How long and how fast it learns; `share` is of the learning rates."""

    epochs: int = 40
    steps: int = 500
    batch: int = 1536
    rate: float = 0.02
    rate_of_others: float = 3e-3
    warm_up: int = 200
    last: float = 0.02
    memory: float = 0.998
    seed: int = 0

    def share(self, step: int) -> float:
        """Return the share of the learning rate at a step: a rise, then half a cosine."""
        done = min(1.0, step / (self.epochs * self.steps))
        fall = self.last + (1 - self.last) * 0.5 * (1 + math.cos(math.pi * done))
        return min(1.0, (step + 1) / self.warm_up) * fall


class Lot:
    """Neighbourhoods of one factor, and how often and with which weight each is drawn."""

    def __init__(self, patches: Patches, factor: int) -> None:
        self.factor = factor
        self.around = torch.from_numpy(patches.around)
        self.inside = torch.from_numpy(patches.inside)
        weight = torch.from_numpy(patches.weight)
        group = torch.from_numpy(patches.group)
        error = torch.cat(
            [
                _error_of_planes(self.around[i : i + _CHUNK], self.inside[i : i + _CHUNK], factor)
                for i in range(0, len(group), _CHUNK)
            ]
        )
        n = len(patches.share)
        total, mass = torch.zeros(n), torch.zeros(n)
        total.index_add_(0, group, weight * error)
        mass.index_add_(0, group, weight)
        # Errors count in units of those of planes: no kind of field weighs more than others.
        self.weight = weight / (total / mass)[group].clamp(min=_SMALLEST)
        chance = (torch.from_numpy(patches.share) / mass)[group].double().numpy()
        self.until = np.cumsum(chance / chance.sum())

    def draw(self, size: int, rng: Generator) -> Batch:
        """Return a batch, turned and flipped, some of its signs changed, and cut at edges."""
        at = np.minimum(np.searchsorted(self.until, rng.random(size)), len(self.until) - 1)
        which = torch.from_numpy(at)
        turn = int(rng.integers(8))
        around, inside = (turned(x[which], turn) for x in (self.around, self.inside))
        sign = torch.from_numpy(np.where(rng.random(size) < 0.5, -1.0, 1.0)).float()[:, None, None]
        around, inside = around * sign, (inside * sign).flatten(1)
        if rng.random() < _EDGY:
            around = torch.where(within_edges(size, rng), around, torch.nan)
        return around, inside, self.weight[which], self.factor


def turned(fields: Tensor, turn: int) -> Tensor:
    """Return fields, (sample, y, x), in one of the eight positions of a square."""
    for bit, axis in ((1, 1), (2, 2)):
        if turn & bit:
            fields = fields.flip(axis)
    return fields.transpose(1, 2) if turn & 4 else fields


def within_edges(size: int, rng: Generator) -> Tensor:
    """Return what lies within the domain, (size, SIDE, SIDE), where edges are near."""
    place = np.arange(-REACH, REACH + 1)
    inside = np.ones((size, SIDE, SIDE), bool)
    for shape in ((1, SIDE, 1), (1, 1, SIDE)):
        for sign in (1, -1):
            near = rng.random(size) < _EDGES
            edge = np.where(near, rng.integers(0, REACH + 1, size), SIDE)
            inside &= sign * place.reshape(shape) <= edge[:, None, None]
    return torch.from_numpy(inside)


def cells_of(around: Tensor) -> Cells:
    """Return neighbourhoods, (cell, SIDE, SIDE), as the network takes them."""
    y, x = torch.tensor(OFFSETS).T + REACH
    differences = around[:, y, x]
    known = torch.isfinite(differences)
    return Cells(torch.where(known, differences, 0.0), known.float())


def _error_of_planes(around: Tensor, inside: Tensor, factor: int) -> Tensor:
    plane = shape_of(cells_of(around)).slope @ torch.from_numpy(places(factor))
    return torch.nan_to_num(inside.flatten(1) - plane).square().mean(1)


class _Epoch(IterableDataset[Batch]):
    """The batches of an epoch: each depends on its number alone."""

    def __init__(self, lots: Mapping[int, Lot], plan: Plan, epoch: int) -> None:
        self.lots, self.plan, self.epoch = lots, plan, epoch

    def __iter__(self) -> Iterator[Batch]:
        factors = [f for f in _FACTORS if f in self.lots]
        chance = np.array([_FACTORS[f] for f in factors])
        for step in range(self.plan.steps):
            rng = np.random.default_rng([self.plan.seed, self.epoch, step])
            factor = factors[rng.choice(len(factors), p=chance / chance.sum())]
            yield self.lots[factor].draw(self.plan.batch, rng)


class Learning(pl.LightningModule):
    """The network while it learns."""

    def __init__(self, network: Subgrid, lots: Mapping[int, Lot], plan: Plan) -> None:
        super().__init__()
        self.network, self.lots, self.plan = network, lots, plan
        self.losses: list[float] = []

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the batches of the epoch."""
        return self.batches(self.current_epoch)

    def batches(self, epoch: int) -> DataLoader[Batch]:
        """Return the batches of any epoch."""
        return DataLoader(_Epoch(self.lots, self.plan, epoch), batch_size=None)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the weighted square of errors."""
        around, inside, weight, factor = batch
        made = self.network.within(cells_of(around), factor)
        error = torch.where(torch.isfinite(inside), made - torch.nan_to_num(inside), 0.0)
        loss = (weight * error.square().mean(1)).mean()
        self.losses.append(loss.item())
        return loss

    def on_train_epoch_end(self) -> None:
        """Tell how it goes."""
        print(f"epoch {self.current_epoch}: loss {np.mean(self.losses):.4f}", flush=True)  # noqa: T201
        self.losses.clear()

    def configure_optimizers(self) -> Any:
        """Return the optimiser and its schedule."""
        inner = [p for p in self.network.blocks.parameters() if p.ndim == 2]
        others = [p for p in self.network.parameters() if all(p is not q for q in inner)]
        groups = [
            {"params": inner, "matrices": True, "lr": self.plan.rate, "decay": 0.02},
            {"params": others, "matrices": False, "lr": self.plan.rate_of_others, "decay": 0.01},
        ]
        optimizer = Orthogonal(groups)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.plan.share)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def train(network: Subgrid, lots: Mapping[int, Lot], plan: Plan, folder: Path) -> None:
    """Train a network in place; go on from the last checkpoint in `folder`, if there is one."""
    last = folder / LAST
    keeper = ModelCheckpoint(
        folder, filename=last.stem, enable_version_counter=False, save_on_train_epoch_end=True
    )
    keeper.FILE_EXTENSION = last.suffix
    with quiet():
        trainer = pl.Trainer(
            default_root_dir=folder,
            accelerator="cpu",
            devices=1,
            max_epochs=plan.epochs,
            gradient_clip_val=1.0,
            callbacks=[RunningMean(plan.memory), keeper],
            plugins=[SafeCheckpointIO(), LightningEnvironment()],
            logger=False,
            reload_dataloaders_every_n_epochs=1,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Learning(network, lots, plan), ckpt_path=last if last.exists() else None)
    # Where nothing was left to do, the network itself does not hold the running mean.
    network.load_state_dict(best_state(last))
