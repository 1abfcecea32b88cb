"""How strong, how smooth and how noisy: spectra of source and noise, by maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xgeoml.models.series import Floats

# Corners of the source's spectrum that are tried, in cycles a sample, and signal over noise.
_CORNERS = np.geomspace(0.004, 0.3, 18)
_RATIOS = np.geomspace(1e-3, 1e7, 26)
_EVERY = 3
# The source's power beyond its corner, as a share of that at long periods.
_FLOOR = 1e-9
# Width of what smooths spectra, as a share of all frequencies, and the least power of the noise, as
# a share of its mean.
_WIDTH, _LEAST_NOISE = 0.023, 0.02


@dataclass(frozen=True)
class Spectra:
    """What the records say of their source and noise.

    Attributes
    ----------
    corner : ndarray, (event,)
        Frequency at which the power of the source has fallen to 1/e, in cycles a sample.
    ratio : ndarray, (event,)
        Power of the signal over that of the noise at long periods, all stations together.
    source : ndarray, (event, frequency)
        Power of the source.
    noise : ndarray, (event, station, frequency)
        Power of the noise.
    """

    corner: Floats
    ratio: Floats
    source: Floats
    noise: Floats


def spectra_of(
    record: Floats,
    greens: Floats,
    frequency: Floats,
    shape: Floats | None = None,
    known: Floats | None = None,
) -> Spectra:
    """Return the spectra of source and noise under which the records are most likely.

    The source is a Gaussian process whose power falls with the square of the frequency over its
    corner in the exponent, the noise one of a known shape. Where its level is not known, the best
    one has a closed form; the others are tried on a grid.

    Parameters
    ----------
    record, greens : ndarray, (event, station, frequency)
        Power.
    frequency : ndarray, (frequency,)
        In cycles a sample.
    shape : ndarray, (event, station, frequency), optional
        Of the noise's power; white by default.
    known : ndarray, (event, station), optional
        Power of the noise, if it is known.
    """
    if shape is None:
        shape = np.ones_like(record)
    d, g = record / shape, greens / shape
    size = np.where((mean := g.mean(-1)) > 0, mean, 1.0)
    g = g / size[..., None]
    # By corner: how unlikely the best ratio of each station is, and what goes with it.
    found = [_best_ratio(d, g * _fall(frequency, corner), known) for corner in _CORNERS]
    best, level, ratio = (np.stack(each) for each in zip(*found, strict=True))
    # A station without a record or a Green's function says nothing.
    silent = ~((d.sum(-1) > 0) & (mean > 0))
    at = np.where(silent, 0.0, best).sum(-1).argmin(0)
    chosen = at[None, :, None]
    noise, ratio = (np.take_along_axis(a, chosen, 0)[0] for a in (level, ratio))
    power = np.where(silent, 0.0, noise * ratio / size)
    heard = np.maximum((~silent).sum(-1), 1)
    corner = _CORNERS[at]
    source = power.sum(-1)[:, None] / heard[:, None] * _fall(frequency, corner[:, None])
    together = np.where(silent, 0.0, ratio).sum(-1)
    return Spectra(corner, together, source, noise[..., None] * shape)


def _best_ratio(
    record: Floats, strong: Floats, known: Floats | None
) -> tuple[Floats, Floats, Floats]:
    """Return, (event, station), how unlikely records are with the best ratio, level and ratio.

    Parameters
    ----------
    record : ndarray, (event, station, frequency)
        Power, over that of the noise.
    strong : ndarray
        Power of the signal, but for the ratio.
    known : ndarray, (event, station), optional
        The level, if it is known.
    """
    best = np.full(record.shape[:-1], np.inf)
    level, at = np.zeros_like(best), np.zeros(best.shape, np.intp)

    def ask(number: NDArray[np.intp]) -> None:
        power = _RATIOS[number][..., None] * strong + 1.0
        noise = (record / power).mean(-1)
        if known is None:
            unlikely = np.log(noise, out=np.full_like(noise, -np.inf), where=noise > 0)
        else:
            unlikely, noise = noise / known, known
        unlikely = unlikely + np.log(power).mean(-1)
        better = unlikely < best
        best[better], level[better] = unlikely[better], noise[better]
        at[better] = number[better]

    # Every third first, then those beside the best.
    for number in range(0, len(_RATIOS), _EVERY):
        ask(np.full(best.shape, number))
    middle = at.copy()
    for offset in range(1 - _EVERY, _EVERY):
        ask(np.clip(middle + offset, 0, len(_RATIOS) - 1))
    return best, level, _RATIOS[at]


def _fall(frequency: Floats, corner: float | Floats) -> Floats:
    made: Floats = np.exp(-((frequency / corner) ** 2)) + _FLOOR
    return made


def smoothed(power: Floats) -> Floats:
    """Return a spectrum smoothed along frequency, of mean 1 and nowhere near 0."""
    from scipy.ndimage import gaussian_filter1d

    wide = gaussian_filter1d(power, _WIDTH * power.shape[-1], axis=-1, mode="nearest")
    mean = wide.mean(-1, keepdims=True)
    wide = np.divide(wide, mean, out=np.ones_like(wide), where=mean > 0)
    made: Floats = (1.0 - _LEAST_NOISE) * wide + _LEAST_NOISE
    return made
