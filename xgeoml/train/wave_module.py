"""What Lightning trains to invert waveforms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from xgeoml.exceptions import ExecutionError
from xgeoml.models.waveforms import fast_length
from xgeoml.registry import get_model
from xgeoml.spec import ModelSpec
from xgeoml.train.module import Training
from xgeoml.train.settings import Settings
from xgeoml.train.waves import SIMULATED, KeptWaves, Pool, Simulator, WaveBatch, WaveBatches

# What the errors of the steps before the last weigh, the misfit of the records that the source
# makes, and the loss of the spread, beside the error of the source.
_EARLIER, _PHYSICS, _SPREAD = 0.1, 0.1, 0.03
# Of the energy: errors below a thousandth of the source count no more.
_LEAST = 1e-6
# Bounds of errors over the spread, in logarithms.
_NARROW, _WIDE = -8.0, 3.0
# Half the width of the interval that holds 90 % of a normal distribution, in deviations, and errors
# over the peak that are not told apart.
_HALF_90, _TOLD = 1.6449, 1e-4


class WaveTraining(Training):
    """A network of waveform inversion, in training."""

    def make_loss(self, spec: ModelSpec) -> WaveScore:
        """Return what `sums` scores the network by."""
        return WaveScore(spec)

    def sums(self, batch: WaveBatch) -> tuple[Tensor, Tensor]:
        """Return the loss over a batch as a sum, and the weight that it is a mean over."""
        sums: tuple[Tensor, Tensor] = self.loss(self.network, batch)
        return sums


class WaveScore:
    """Error of the source relative to its size, misfit of the records, likelihood of the spread.

    Events whose source is not known are scored by the records alone.

    Parameters
    ----------
    spec : ModelSpec
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.key, self.gives_spread = spec.key, spec.gives_spread

    def __call__(self, network: Any, batch: WaveBatch) -> tuple[Tensor, Tensor]:
        """Return the loss as a sum, and the weight that it is a mean over."""
        given = (batch.record, batch.greens, batch.estimates, batch.about)
        if hasattr(network, "unrolled"):
            sources, spread = network.unrolled(*given)
        else:
            answer = network(*given).float()
            sources, spread = [answer[:, 0]], answer[:, 1] if self.gives_spread else None
        shape = tuple(batch.source.shape)
        for made in (sources[-1], *([] if spread is None else [spread])):
            if tuple(made.shape) != shape:
                raise ExecutionError(
                    f"{self.key} returned shape {tuple(made.shape)}, expected {shape}: (event, "
                    "lag), of source and spread; mend its forward()"
                )
        known = torch.isfinite(batch.source[:, 0])
        truth = torch.nan_to_num(batch.source)
        size = truth.square().sum(-1).clamp(min=1e-30)
        off = [((s - truth).square().sum(-1) / size + _LEAST).sqrt() for s in sources]
        error = off[-1] + _EARLIER * sum(off[:-1], torch.zeros_like(off[-1]))
        misfit = unexplained(batch.path, sources[-1], batch.target)
        by_source = error + _PHYSICS * (misfit + _LEAST).sqrt()
        if spread is not None:
            peak = truth.abs().amax(-1, keepdim=True).clamp(min=1e-30)
            missed = (sources[-1].detach() - truth).abs() / peak
            above = log_distance(missed, spread - peak.log())
            by_source = by_source + _SPREAD * torch.maximum(0.9 * above, -0.1 * above).mean(-1)
        loss = torch.where(known, by_source, misfit)
        return (batch.weight * loss).sum(), batch.weight.sum()


def log_distance(missed: Tensor, spread: Tensor) -> Tensor:
    """Return how far errors are beyond the interval of 90 %, in logarithms.

    Their quantile of 90 % is 0 where the interval holds what it says: the loss of a quantile
    (Koenker and Bassett 1978, Econometrica 46, 33-50) of it teaches the spread.

    Parameters
    ----------
    missed : Tensor
        Size of the errors over the peak.
    spread : Tensor
        Logarithm of the spread over the peak.
    """
    wide = _HALF_90 * spread.clamp(_NARROW, _WIDE).exp()
    return (missed + _TOLD).log() - (wide + _TOLD).log()


def unexplained(path: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Return the share of the records' energy that a source leaves, mean over stations.

    Parameters
    ----------
    path, target : Tensor, (event, station, sample)
    source : Tensor, (event, lag)

    Returns
    -------
    Tensor, (event,)
    """
    n = target.shape[-1]
    padded = fast_length(n)
    spectrum = torch.fft.rfft(source, padded)[:, None] * torch.fft.rfft(path, padded)
    left = target - torch.fft.irfft(spectrum, padded)[..., :n]
    energy = target.square().sum(-1)
    there = (energy > 0).float()
    share = left.square().sum(-1) / energy.clamp(min=1e-30)
    mean: Tensor = (there * share).sum(-1) / there.sum(-1).clamp(min=1.0)
    return mean


class WaveData(pl.LightningDataModule):
    """Batches of the events that are learnt from, and of those kept for validation."""

    def __init__(self, waves: Simulator | Pool, settings: Settings) -> None:
        super().__init__()
        self.waves, self.settings = waves, settings

    def train_dataloader(self) -> DataLoader[WaveBatch]:
        """Return the batches of the epoch that begins."""
        assert self.trainer is not None
        epoch, rank = self.trainer.current_epoch, self.trainer.global_rank
        batches = WaveBatches(self.waves, self.settings, epoch, rank)
        return DataLoader(batches, batch_size=None, shuffle=False)

    def val_dataloader(self) -> DataLoader[WaveBatch] | list[Any]:
        """Return this process's share of the validation batches."""
        assert self.trainer is not None
        if not isinstance(self.waves, Pool):
            return []
        batches = KeptWaves(self.waves, self.settings, self.trainer.global_rank)
        return DataLoader(batches, batch_size=None, shuffle=False)


def load_waves(folder: Path, spec: ModelSpec) -> Simulator | Pool:
    """Return what a training's folder says is learnt from."""
    if (folder / SIMULATED).exists():
        return Simulator.load(folder, base_models(spec))
    return Pool.load(folder)


def base_models(spec: ModelSpec) -> list[Any]:
    """Return the deconvolutions that a network begins with."""
    found = [get_model(name, "invert_waveform") for name in spec.bases]
    return [base.load_factory()(**base.options) for base in found]


def kept_loss(network: nn.Module, spec: ModelSpec, pool: Pool, settings: Settings) -> float | None:
    """Return the loss over the validation part; None without one."""
    if not len(pool.kept):
        return None
    score = WaveScore(spec)
    device = next(p.device for p in network.parameters())
    total = mass = 0.0
    network.eval()
    with torch.inference_mode():
        for batch in KeptWaves(pool, settings):
            sums = score(network, WaveBatch(*(part.to(device) for part in batch)))
            total, mass = total + float(sums[0]), mass + float(sums[1])
    return total / max(mass, 1e-12)
