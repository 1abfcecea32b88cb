"""Amplitudes of Green's functions that are known but for a factor, found along with the source."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xgeoml.models.deconvolution import NonNegative
from xgeoml.models.series import Floats
from xgeoml.models.waveforms import Gather

# Rounds in which source and amplitudes are found in turn, steps of each, bounds of its factor.
_ROUNDS, _STEPS, _FACTOR = 3, 25, (0.2, 5.0)
# Bounds of the correlation of a record with what explains it; what is not explained at first.
_ALIKE, _BEGIN = (0.05, 0.98), 0.1
# Correlation below which a record is not explained at all: its factor is none.
_NOT_ALIKE = 0.3
_TINY = 1e-12


def matched(gather: Gather) -> tuple[Gather, Floats]:
    """Return events with Green's functions as large as their records need, and the factors.

    The factors of an event have a geometric mean of 1, over the stations that are explained at all.
    What the source leaves of a record is its noise: stations count by how well they are explained.

    Returns
    -------
    Gather
    ndarray, (event, station)
    """
    there = gather.heard
    sizes = [_root(a) for a in (gather.record, gather.greens)]
    # Every record counts alike, whatever its size.
    alike = np.where(there, 1.0 / sizes[0], 0.0)[..., None]
    usual = np.where(there, sizes[0] / sizes[1], 1.0)
    record, greens = gather.record * alike, gather.greens * alike * usual[..., None]
    factor, noise = np.ones(there.shape), np.full(there.shape, _BEGIN)
    model = NonNegative(steps=_STEPS)
    for _ in range(_ROUNDS):
        now = replace(gather, record=record, greens=greens * factor[..., None], noise=noise)
        made = now.convolved(model.invert(now))
        product, energy = (made * record).sum(-1), (made**2).sum(-1)
        better = np.clip(product / np.maximum(energy, _TINY), *_FACTOR)
        factor = np.where(there, factor * better, 1.0)
        size = np.sqrt(energy * (record**2).sum(-1))
        alikeness = np.clip(product / np.maximum(size, _TINY), *_ALIKE)
        noise = 1.0 - alikeness**2
    whole = factor * usual
    told = there & (alikeness > _NOT_ALIKE)
    told = np.where(told.any(-1, keepdims=True), told, there)
    count = np.maximum(told.sum(-1, keepdims=True), 1)
    mean = np.exp(np.where(told, np.log(whole), 0.0).sum(-1, keepdims=True) / count)
    whole = np.where(there, whole / mean, 1.0)
    scaled = gather.greens * (whole[..., None] * alike)
    return replace(gather, record=record, greens=scaled, noise=noise), whole


def _root(values: Floats) -> Floats:
    made = np.sqrt((values**2).mean(-1))
    found: Floats = np.where(made > 0, made, 1.0)
    return found
