"""Amplitudes of Green's functions that are known but for a factor, found along with the source."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xgeoml.models.deconvolution import NonNegative
from xgeoml.models.series import Floats
from xgeoml.models.waveforms import Gather

# Rounds in which source and amplitudes are found in turn, and the bounds of a round's factor.
_ROUNDS, _FACTOR = 3, (0.2, 5.0)
# What the worst station counts beside the best.
_LEAST_TRUST = 0.05
_TINY = 1e-12


def matched(gather: Gather) -> tuple[Gather, Floats]:
    """Return events with Green's functions as large as their records need, and the factors.

    The factors of an event have a geometric mean of 1. Stations count by the square of the
    correlation of their record with the one that the source makes.

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
    factor, trust = np.ones(there.shape), np.ones(there.shape)
    model = NonNegative()
    for _ in range(_ROUNDS):
        now = replace(gather, record=record, greens=greens * factor[..., None], trust=trust)
        made = now.convolved(model.invert(now))
        product, energy = (made * record).sum(-1), (made**2).sum(-1)
        better = product / np.maximum(energy, _TINY)
        factor = np.where(there, factor * np.clip(better, *_FACTOR), 1.0)
        alikeness = product / np.maximum(np.sqrt(energy * (record**2).sum(-1)), _TINY)
        trust = np.clip(alikeness, _LEAST_TRUST, 1.0) ** 2
    whole = factor * usual
    count = np.maximum(there.sum(-1, keepdims=True), 1)
    mean = np.exp(np.log(whole).sum(-1, keepdims=True) / count)
    whole = np.where(there, whole / mean, 1.0)
    scaled = gather.greens * (whole[..., None] * alike)
    return replace(gather, record=record, greens=scaled, trust=trust), whole


def _root(values: Floats) -> Floats:
    made = np.sqrt((values**2).mean(-1))
    found: Floats = np.where(made > 0, made, 1.0)
    return found
