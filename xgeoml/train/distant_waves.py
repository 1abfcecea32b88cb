"""Simulated distant earthquakes: P, pP and sP as they are, and as somebody believes them to be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.fft import irfft, rfft

from xgeoml.datasets.teleseismic import CRUST, teleseismic_greens
from xgeoml.models.series import Floats
from xgeoml.models.waveforms import fast_length

Quantity = Literal["velocity", "displacement"]

# Bounds of the sampling step (s), attenuation (s) and depth (km).
_STEP, _ATTENUATION, _DEPTH = (0.08, 1.0), (0.7, 1.4), (5.0, 80.0)
# Dips and rakes of thrust, strike-slip and normal faults, degrees.
_FAULTS = (((10, 50), (60, 120)), ((65, 90), (-30, 30)), ((35, 70), (-120, -60)))
# How little may be known, in units of what follows: of real records half the energy and more is
# not explained.
_MOST_WRONG = 1.4
# Deviations of what is believed: angles (degrees), logarithms of depth and of speeds.
_ANGLE, _DEEPER, _FASTER = 15.0, 0.15, 0.05
# Deviations of waves that nobody knows of, of those scattered, and of times (samples).
_RING, _SCATTERED, _SHIFT = 0.3, 0.2, 2.0


@dataclass(frozen=True)
class _Quake:
    depth: float
    strike: float
    dip: float
    rake: float
    faster: float = 1.0

    def believed(self, random: np.random.Generator, wrong: float) -> _Quake:
        """Return what somebody takes it for."""
        strike, dip, rake = (
            angle + random.normal(0, _ANGLE * wrong) for angle in (self.strike, self.dip, self.rake)
        )
        depth = self.depth * np.exp(random.normal(0, _DEEPER * wrong))
        return replace(
            self,
            strike=float(strike % 360),
            dip=float(np.clip(dip, 1, 90)),
            rake=float((rake + 180) % 360 - 180),
            depth=float(np.clip(depth, 1, 99)),
            faster=float(np.exp(random.normal(0, _FASTER * wrong))),
        )


def distant_paths(
    random: np.random.Generator, n: int, source: Floats, stations: int
) -> tuple[Floats, Floats, Floats]:
    """Return the paths of a distant earthquake, what is known of them, and the sources as seen.

    What is not known of mechanism, depth, crust and scatterers at the source is wrong at all
    stations alike: more of them do not make up for it.

    Parameters
    ----------
    random : Generator
    n : int
        Samples.
    source : ndarray, (sample,)
    stations : int

    Returns
    -------
    path, known, seen : ndarray, (station, sample)
        `path` of unit energy. A source is seen shorter where the rupture comes towards a station.
    """
    wrong = random.uniform(0, _MOST_WRONG)
    quake = _quake(random)
    azimuth, distance = random.uniform(0, 360, stations), random.uniform(31, 94, stations)
    step = _between(random, _STEP)
    onset = step * random.uniform(2, 40) + 1.0
    quantity: Quantity = "velocity" if random.random() < 0.5 else "displacement"

    def response(of: _Quake, attenuation: float) -> Floats:
        made = teleseismic_greens(
            azimuth,
            distance,
            depth=of.depth,
            strike=of.strike,
            dip=of.dip,
            rake=of.rake,
            step=step,
            samples=n,
            onset=onset,
            attenuation=attenuation,
            quantity=quantity,
            crust=[(bottom, p * of.faster, s * of.faster) for bottom, p, s in CRUST],
        )
        values: Floats = made.values
        return values

    path = response(quake, _between(random, _ATTENUATION))
    known = response(quake.believed(random, wrong), 1.0)
    path = _rung(random, path, wrong)
    path = _unit(path)
    path = _unit(path + _scattered(random, path, wrong))
    towards = np.cos(np.deg2rad(azimuth - random.uniform(0, 360)))
    factor = np.exp(random.normal(0, 0.1 * wrong) * towards)
    lag = np.arange(n)
    seen = np.stack([f * np.interp(f * lag, lag, source, right=0.0) for f in factor])
    return path, _unit(known) * np.exp(random.normal(0, 0.5, (stations, 1))), seen


def _unit(paths: Floats) -> Floats:
    made: Floats = paths / np.maximum(np.sqrt((paths**2).sum(-1, keepdims=True)), 1e-12)
    return made


def _quake(random: np.random.Generator) -> _Quake:
    dips, rakes = _FAULTS[int(random.integers(len(_FAULTS)))]
    # Strike-slip faults move either way.
    rake = random.uniform(*rakes) + (180.0 if random.random() < 0.5 and rakes[0] == -30 else 0.0)
    return _Quake(
        _between(random, _DEPTH),
        random.uniform(0, 360),
        random.uniform(*dips),
        (rake + 180) % 360 - 180,
    )


def _between(random: np.random.Generator, bounds: tuple[float, float]) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(random.uniform(*np.log(bounds))))


def _rung(random: np.random.Generator, path: Floats, wrong: float) -> Floats:
    """Return paths with later waves, much the same at all stations, and late or early."""
    n = path.shape[-1]
    padded = fast_length(n)
    frequency = np.fft.rfftfreq(padded)
    count = int(random.integers(0, 16))
    strength = random.normal(0, _RING * wrong, count)
    strength = strength + random.normal(0, 0.1 * wrong, (len(path), count))
    late = np.exp(-2j * np.pi * random.uniform(0, n / 2, (count, 1)) * frequency)
    shift = np.exp(-2j * np.pi * random.normal(0, _SHIFT * wrong, (len(path), 1)) * frequency)
    made: Floats = irfft(rfft(path, padded) * (1.0 + strength @ late) * shift, padded)[..., :n]
    return made


def _scattered(random: np.random.Generator, path: Floats, wrong: float) -> Floats:
    """Return what is scattered on the way, half of it at the source, of the colour of the paths."""
    n = path.shape[-1]
    padded = fast_length(n)
    fade = np.exp(-np.arange(n) / (n * random.uniform(0.1, 1.0)))
    rough = random.standard_normal((len(path), n)) + random.standard_normal(n)
    made = irfft(rfft(rough * fade, padded) * rfft(path, padded), padded)[..., :n]
    size = np.sqrt((path**2).mean(-1, keepdims=True)) / np.maximum(
        np.sqrt((made**2).mean(-1, keepdims=True)), 1e-12
    )
    found: Floats = _SCATTERED * wrong * size * made
    return found
