"""Waveform inversion: what a model is given, records and Green's functions, and what it returns.

Two kinds of model, which the engine runs event by event, many at a time: deconvolutions (NumPy) and
networks (torch).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xgeoml.models._source_spectrum import Spectra, smoothed, spectra_of
from xgeoml.models.series import Bools, Floats

# Values that tell a network of the whole event, see `shown`.
ABOUT = 3
_TINY = 1e-300


def fast_length(n: int) -> int:
    """Return the length of a transform in which nothing of `n` samples wraps around."""
    from scipy.fft import next_fast_len

    return int(next_fast_len(2 * n, real=True))


@dataclass(frozen=True)
class Gather:
    """Records of events, each at one station or several, that have one source.

    The record of a station is the source convolved with the Green's function of the path, a plain
    sum without the step, cut to its own length, plus noise.

    Parameters
    ----------
    record : ndarray, (event, station, sample)
        float64, no NaN. A station that an event lacks is zero.
    greens : ndarray, (event, station, sample)
        The Green's functions, of the same length.
    length : int
        Samples of the source, at most those of the record.
    positive : bool
        Whether the source is nowhere negative.
    noise : ndarray, (event, station), optional
        Mean square of what no source explains, if it is known: noise, and errors of the Green's
        functions. Otherwise it is estimated.
    """

    record: Floats
    greens: Floats
    length: int
    positive: bool = True
    noise: Floats | None = None

    @property
    def n_samples(self) -> int:
        """Samples of the record."""
        return int(self.record.shape[-1])

    @cached_property
    def heard(self) -> Bools:
        """Which stations have a record and a Green's function, (event, station)."""
        found: Bools = (self.record != 0).any(-1) & (self.greens != 0).any(-1)
        return found

    @cached_property
    def padded(self) -> int:
        """Samples of transforms, see `fast_length`."""
        return fast_length(self.n_samples)

    @cached_property
    def frequency(self) -> Floats:
        """Of the transforms, in cycles a sample."""
        return np.asarray(np.fft.rfftfreq(self.padded), np.float64)

    def transform(self, values: Floats) -> np.ndarray:
        """Return the transform of samples, (..., frequency)."""
        from scipy.fft import rfft

        made: np.ndarray = rfft(values, self.padded)
        return made

    def samples(self, spectrum: np.ndarray, count: int) -> Floats:
        """Return the first samples of what a transform is of."""
        from scipy.fft import irfft

        made: Floats = irfft(spectrum, self.padded)[..., :count]
        return made

    @cached_property
    def record_spectrum(self) -> np.ndarray:
        """Transform of the records."""
        return self.transform(self.record)

    @cached_property
    def greens_spectrum(self) -> np.ndarray:
        """Transform of the Green's functions."""
        return self.transform(self.greens)

    def convolved(self, source: Floats) -> Floats:
        """Return the records that sources, (event, lag), make without noise."""
        spectrum = self.transform(source)[:, None] * self.greens_spectrum
        return self.samples(spectrum, self.n_samples)

    @cached_property
    def white(self) -> Spectra:
        """Spectra of source and noise, if the noise is white."""
        return self._spectra(None)

    @cached_property
    def coloured(self) -> Spectra:
        """Spectra of source and noise, the noise of the colour of what Wiener's filter leaves."""
        misfit = self.record - self.convolved(self.filtered(self.white))
        return self._spectra(smoothed(np.abs(self.transform(misfit)) ** 2))

    def _spectra(self, shape: Floats | None) -> Spectra:
        record, greens = (np.abs(s) ** 2 for s in (self.record_spectrum, self.greens_spectrum))
        # Of transforms, which sum up the samples.
        known = None if self.noise is None else self.noise * self.n_samples
        return spectra_of(record, greens, self.frequency, shape, known)

    def weights(self, noise: Floats) -> Floats:
        """Return what frequencies of stations count, by their noise: nothing where one is silent.

        Parameters
        ----------
        noise : ndarray, (event, station, frequency)
            Power.
        """
        made: Floats = 1.0 / np.maximum(noise, _TINY)
        made[~self.heard] = 0.0
        return made

    def filtered(self, spectra: Spectra) -> Floats:
        """Return what Wiener's filter makes of the records, (event, lag), of any sign."""
        weights = self.weights(spectra.noise)
        called = (np.conj(self.greens_spectrum) * self.record_spectrum * weights).sum(1)
        gain = (np.abs(self.greens_spectrum) ** 2 * weights).sum(1)
        inverse = np.maximum(gain + 1.0 / np.maximum(spectra.source, _TINY), _TINY)
        return self.samples(called / inverse, self.length)


@dataclass(frozen=True)
class Shown:
    """What a network is shown of events.

    Attributes
    ----------
    record, greens : ndarray of float32, (event, station, sample)
        Divided by the noise of each station, in units of the quietest.
    about : ndarray of float32, (event, 3)
        Logarithms of the source's corner and of signal over noise; 1 where the source is nowhere
        negative, else 0.
    """

    record: NDArray[np.float32]
    greens: NDArray[np.float32]
    about: NDArray[np.float32]


def shown(gather: Gather) -> Shown:
    """Return what a network is shown of events."""
    spectra = gather.white
    weight = np.sqrt(gather.weights(spectra.noise)[..., 0])
    most = weight.max(-1, keepdims=True)
    weight = np.divide(weight, most, out=np.zeros_like(weight), where=most > 0)[..., None]
    # About 0 and 1, whatever the record.
    corner = np.log(spectra.corner) + 3.0
    ratio = 0.2 * np.log(np.maximum(spectra.ratio, 1.0))
    about = np.stack([corner, ratio, np.full(len(corner), float(gather.positive))], 1)
    return Shown(
        (gather.record * weight).astype(np.float32),
        (gather.greens * weight).astype(np.float32),
        about.astype(np.float32),
    )


def estimated(bases: Sequence[Deconvolution], gather: Gather) -> NDArray[np.float32]:
    """Return what base models say, (event, estimate, lag)."""
    made = np.empty((len(gather.record), len(bases), gather.length), np.float32)
    for number, base in enumerate(bases):
        made[:, number] = base.invert(gather)
    return made


class Deconvolution(Protocol):
    """A NumPy model of waveform inversion."""

    def invert(self, gather: Gather) -> Floats:
        """Return the sources, ``(event, lag)`` of ``gather.length`` samples.

        In units of the record over those of the Green's functions: a record twice as large has a
        source twice as large.
        """
        ...
