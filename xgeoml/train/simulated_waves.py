"""Simulated records: sources of pulses, paths of three kinds, noise, what is known of a path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft
from scipy.ndimage import gaussian_filter1d

from xgeoml.models.series import Floats
from xgeoml.models.waveforms import fast_length
from xgeoml.train.distant_waves import distant_paths

Kind = Literal["crust", "real", "teleseismic"]
# How often each kind is drawn.
_KINDS: dict[Kind, float] = {"crust": 0.35, "real": 0.35, "teleseismic": 0.3}
# Share of large earthquakes that are bursts, not one long release.
_BURSTS = 0.15
# Samples of a record, the usual one first, and those of its source.
_USUAL, _LENGTHS, _OF_SOURCE = 512, (256, 384, 768, 1024), 128
_OFTEN = 0.6
# Signal over noise.
_RATIOS = (2.5, 60.0)
# Share of paths that are known with errors, and the largest of these, over the path's deviation.
_WRONG, _MOST_WRONG = 1 / 3, 0.35
# Share of sources that are of both signs, and of events at several stations; the most of these, and
# of those that hear a distant earthquake.
_SIGNED, _SEVERAL, _STATIONS, _NETWORK = 0.1, 0.3, 8, 32


@dataclass(frozen=True)
class Seismogram:
    """A real record, which serves as a path and for its noise.

    Attributes
    ----------
    values : ndarray, (sample,)
    onset : int
        Sample of the first arrival.
    """

    values: Floats
    onset: int


@dataclass(frozen=True)
class Examples:
    """Events to learn from.

    Attributes
    ----------
    record, greens : ndarray, (event, station, sample)
        As a model is given them.
    source : ndarray, (event, lag)
        The truth, NaN where it is not known.
    target, path : ndarray, (event, station, sample)
        What the source convolved with the path should be: for real events record and Green's
        function themselves, for simulated ones without noise and errors.
    positive : bool
    free : bool
        Whether the amplitudes of the Green's functions are to be found.
    """

    record: Floats
    greens: Floats
    source: Floats
    target: Floats
    path: Floats
    positive: bool = True
    free: bool = False

    def some(self, which: slice | NDArray[np.intp]) -> Examples:
        """Return some of the events."""
        names = ("record", "greens", "source", "target", "path")
        return replace(self, **{name: getattr(self, name)[which] for name in names})


def simulate(
    random: np.random.Generator, seismograms: Sequence[Seismogram], events: int
) -> Examples:
    """Return simulated events, all of one kind and length.

    Parameters
    ----------
    random : Generator
    seismograms : sequence of Seismogram
        For events of the kind `real`; may be none.
    events : int
        The traces of all of them together, about.
    """
    chance = np.array([p if k != "real" or seismograms else 0.0 for k, p in _KINDS.items()])
    kind = list(_KINDS)[int(random.choice(len(chance), p=chance / chance.sum()))]
    n, lags = _USUAL, _OF_SOURCE
    if kind == "teleseismic" or random.random() > _OFTEN:
        n = int(random.choice((_USUAL, *_LENGTHS)))
        # Of distant earthquakes the large ones are heard, which are long.
        shortest = n / 8 if kind == "teleseismic" else 32
        lags = int(np.exp(random.uniform(np.log(shortest), np.log(n / 2))))
    stations = 1
    if kind == "teleseismic":
        stations = int(np.exp(random.uniform(np.log(2), np.log(_NETWORK + 1))))
    elif random.random() < _SEVERAL:
        stations = int(random.integers(2, _STATIONS + 1))
    positive = bool(random.random() > _SIGNED)
    made = [
        _event(random, kind, seismograms, n, lags, stations, positive)
        for _ in range(max(2, events // stations))
    ]
    record, known, source, target, path = map(np.stack, zip(*made, strict=True))
    return Examples(record, known, source, target, path, positive, kind == "teleseismic")


def _event(
    random: np.random.Generator,
    kind: Kind,
    seismograms: Sequence[Seismogram],
    n: int,
    lags: int,
    stations: int,
    positive: bool,
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Return record, Green's functions as they are known, source, and both without errors."""
    source = _source(random, kind, n, lags)
    if not positive:
        source = source - random.uniform(0.2, 1.0) * _source(random, kind, n, lags)
    paths, known, noises, sources = [], [], [], []
    distant = distant_paths(random, n, source, stations) if kind == "teleseismic" else None
    for k in range(stations):
        noise = gaussian_filter1d(random.standard_normal(n), random.uniform(0.3, 2.0))
        seen = source
        if distant is not None:
            path, told, seen = (each[k] for each in distant)
        else:
            if kind == "real":
                path, noise = from_real(random, seismograms, n)
            else:
                path = crust(random, n)
            told = path
            if random.random() < _WRONG:
                wrong = gaussian_filter1d(random.standard_normal(n), random.uniform(0.7, 2.5))
                size = random.uniform(0, _MOST_WRONG) * path.std() / wrong.std()
                told = path + size * wrong
        paths.append(path)
        sources.append(seen)
        known.append(told)
        noises.append(noise)
    path, told, noise = np.stack(paths), np.stack(known), np.stack(noises)
    target = convolve(path, np.stack(sources))
    low, high = np.log(_RATIOS)
    ratio = np.exp(random.uniform(low, high, size=(stations, 1)))
    level = target.std(-1, keepdims=True) / ratio / noise.std(-1, keepdims=True)
    return target + level * noise, told, source, target, path


def convolve(path: Floats, source: Floats) -> Floats:
    """Return the records, (..., sample), of a source at stations without noise."""
    n = path.shape[-1]
    padded = fast_length(n)
    made: Floats = irfft(rfft(path, padded) * rfft(source, padded), padded)[..., :n]
    return made


def _source(random: np.random.Generator, kind: Kind, n: int, lags: int) -> Floats:
    if kind != "teleseismic":
        return pulses(random, n, lags, float(np.exp(random.uniform(np.log(0.25), np.log(1.2)))))
    if random.random() < _BURSTS:
        return pulses(random, n, lags, float(np.exp(random.uniform(np.log(0.5), np.log(2.5)))))
    return rupture(random, n, lags)


def rupture(random: np.random.Generator, n: int, lags: int) -> Floats:
    """Return a positive source of unit sum, (sample,): one long release of varying strength.

    Parameters
    ----------
    random : Generator
    n : int
        Its samples.
    lags : int
        Samples that it lasts.
    """
    share = (np.arange(n) + 0.5) / lags
    inside = np.clip(share, 0.0, 1.0)
    source = inside ** random.uniform(0.7, 3.0) * (1.0 - inside) ** random.uniform(0.7, 4.0)
    width = lags * random.uniform(0.02, 0.15)
    rough = gaussian_filter1d(random.standard_normal(n), width)
    source *= np.exp(random.uniform(0.0, 1.0) * rough / rough.std())
    made: Floats = source / source.sum()
    return made


def pulses(random: np.random.Generator, n: int, lags: int, scale: float) -> Floats:
    """Return a positive source of unit sum, (sample,): pulses, fast to rise and slow to fall.

    Parameters
    ----------
    random : Generator
    n : int
        Its samples.
    lags : int
        Samples that it lasts at most.
    scale : float
        Width of the pulses, relative to usual ones.
    """
    lag = np.arange(n)
    source = np.zeros(n)
    for _ in range(random.integers(1, 5)):
        since = lag - random.uniform(0.04, 0.65) * lags
        width = max(scale * random.uniform(0.023, 0.11) * lags, 0.5)
        rise = width * random.uniform(0.4, 1.0)
        height = random.uniform(0.15, 1.0)
        source += height * np.exp(-0.5 * (since / np.where(since < 0, rise, width)) ** 2)
    source *= np.clip(lag / 4, 0, 1) * np.clip((lags - 1 - lag) / 10, 0, 1)
    made: Floats = source / source.sum()
    return made


def crust(random: np.random.Generator, n: int) -> Floats:
    """Return a path through the crust, of unit energy: P and S, each with its coda."""
    made = np.zeros(n)
    first = int(random.integers(4, 40))
    second = first + int(random.integers(20, 160))
    waves = (
        (first, 1.0, random.uniform(40, 90), int(random.integers(10, 40))),
        (second, random.uniform(0.7, 3), random.uniform(60, 130), int(random.integers(20, 60))),
    )
    for at, height, fade, count in waves:
        if at >= n:
            continue
        made[at] += height * random.choice([-1, 1])
        later = at + random.exponential(fade, count).astype(int)
        later = later[later < n]
        rough = random.normal(0, random.uniform(0.2, 0.5), len(later))
        np.add.at(made, later, height * rough * np.exp(-(later - at) / (1.5 * fade)))
    made = gaussian_filter1d(made, random.uniform(0.6, 2.2))
    unit: Floats = made / np.sqrt((made**2).sum())
    return unit


def from_real(
    random: np.random.Generator, seismograms: Sequence[Seismogram], n: int
) -> tuple[Floats, Floats]:
    """Return a real record as a path of unit energy, and the noise before one."""
    while True:
        one = seismograms[int(random.integers(len(seismograms)))]
        start = max(0, one.onset - int(random.integers(5, 70)))
        path = one.values[start : start + n]
        path = np.pad(path, (0, n - len(path)))
        path = path * np.clip(np.arange(n) / 10, 0, 1) * np.clip((n - np.arange(n)) / 60, 0, 1)
        before = one.values[: max(60, one.onset - 20)]
        noise = np.resize(np.r_[before, before[::-1]], n + 80)[int(random.integers(0, 80)) :][:n]
        energy = np.sqrt((path**2).sum())
        if energy > 0 and noise.std() > 0:
            return path / energy, noise * random.choice([-1, 1])
