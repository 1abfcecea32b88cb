"""Deconvolutions: the source of a record whose Green's function is known, without any training.

How smooth the source is, and how strong the noise, is found by maximum likelihood
(`xgeoml.models._source_spectrum`): none of them has to be told.
"""

from __future__ import annotations

import numpy as np

from xgeoml.exceptions import InputError
from xgeoml.models.series import Floats
from xgeoml.models.waveforms import Gather

# Of the corner, in cycles a sample: pulses longer than this are taken for several.
_LEAST_CORNER = 0.01
# The same where Green's functions are not sure, and what the corner is there, of that found: all of
# it where a tenth of the records' power is not explained, half of it where a third is not.
_LEAST_UNSURE, _UNEXPLAINED, _UNSURE = 0.004, (0.1, 0.35), (1.0, 0.5)
_TINY = 1e-300
# Of Landweber's steps, below 2 over the largest gain; and what is added to the gain to begin with.
_STEP, _BEGIN = 1.9, 0.05


def _checked(name: str, value: float, whole: bool = False) -> float:
    """Return an option, or raise if it is no number above zero."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value < np.inf or (whole and value != int(value)):
        kind = "a whole number, 1 or above" if whole else "a number above 0"
        raise InputError(f"{name}={value!r}: expected {kind}")
    return value


class _Equations:
    """The normal equations of sources that are made of pulses of one shape.

    The source is ``pulse * x``: x is what is found. Stations count by their noise.
    """

    def __init__(self, gather: Gather, noise: Floats, pulse: Floats) -> None:
        self.gather, self.pulse = gather, pulse
        self.weight = gather.weights(noise)
        self.response = gather.greens_spectrum * pulse[:, None]
        self.gain = (np.abs(self.response) ** 2 * self.weight).sum(1)

    def forward(self, x: Floats) -> Floats:
        """Return the records of x, (event, station, sample)."""
        spectrum = self.gather.transform(x)[:, None] * self.response
        return self.gather.samples(spectrum, self.gather.n_samples)

    def back(self, misfit: Floats) -> Floats:
        """Return the gradient that misfits of the records make, (event, lag)."""
        spectrum = np.conj(self.response) * self.weight * self.gather.transform(misfit)
        return self.gather.samples(spectrum.sum(1), self.gather.length)

    def source(self, x: Floats) -> Floats:
        """Return the source that x stands for."""
        made = self.gather.samples(self.gather.transform(x) * self.pulse, self.gather.length)
        # Of x that is nowhere negative the sum of pulses is not, but for rounding.
        return np.maximum(made, 0.0) if self.gather.positive else made


def _equations(gather: Gather, smooth: float) -> _Equations:
    """Return the equations of pulses as short as the source needs them.

    If noise is taken for white, what it adds at long periods makes the source look rougher than it
    is; taken for as coloured as the misfit, smoother, since the misfit holds what the filter cut
    off the source. The truth lies between. Where what no source explains is known, it is more than
    noise: errors of the Green's functions look like details of the source.
    """
    if gather.noise is None:
        corner = np.sqrt(gather.white.corner * gather.coloured.corner)
        corner = np.maximum(smooth * corner, _LEAST_CORNER)
    else:
        share = gather.noise / np.maximum((gather.record**2).mean(-1), _TINY)
        # Of the station in the middle: one that is wrong altogether does not blur the source.
        share = np.where(gather.heard, share, np.nan)
        share[~gather.heard.any(-1)] = 0.0
        unsure = np.interp(np.nanmedian(share, -1), _UNEXPLAINED, _UNSURE)
        corner = np.maximum(smooth * unsure * gather.white.corner, _LEAST_UNSURE)
    # Transforms of the pulses that the source is made of, (event, frequency).
    pulse = np.exp(-0.5 * (gather.frequency / corner[:, None]) ** 2)
    return _Equations(gather, gather.white.noise, pulse)


class WaterLevel:
    """Spectral division, the spectrum of the Green's function filled up to a level.

    Parameters
    ----------
    level : float
        Share of the largest power of the Green's function below which none is let fall.
    smooth : float
        Corner of the low-pass filter, in units of that of the source.

    Notes
    -----
    After Clayton and Wiggins (1976), Geophys. J. R. Astron. Soc. 47, 151-177.
    """

    def __init__(self, level: float = 0.01, smooth: float = 1.5) -> None:
        self.level, self.smooth = _checked("level", level), _checked("smooth", smooth)

    def invert(self, gather: Gather) -> Floats:
        """Return the sources, (event, lag)."""
        equations = _equations(gather, self.smooth)
        greens = gather.greens_spectrum
        power = (np.abs(greens) ** 2 * equations.weight).sum(1)
        spectrum = (np.conj(greens) * gather.record_spectrum * equations.weight).sum(1)
        filled = np.maximum(power, self.level * power.max(-1, keepdims=True))
        spectrum = spectrum * equations.pulse / np.maximum(filled, _TINY)
        made = gather.samples(spectrum, gather.length)
        return np.maximum(made, 0.0) if gather.positive else made


class Wiener:
    """Wiener's filter, with the spectrum of the noise as the misfit shows it.

    Notes
    -----
    After Wiener (1949), Extrapolation, Interpolation, and Smoothing of Stationary Time Series.
    First the noise is white; then it has the smoothed spectrum of what that left.
    """

    def invert(self, gather: Gather) -> Floats:
        """Return the sources, (event, lag)."""
        made = gather.filtered(gather.coloured)
        return np.maximum(made, 0.0) if gather.positive else made


class Iterative:
    """Pulse after pulse, each where the record calls for it most.

    Parameters
    ----------
    pulses : int
        How many are set.
    gain : float
        Share of its best height that each is given.
    smooth : float
        Corner of the pulses, in units of that of the source.

    Notes
    -----
    After Kikuchi and Kanamori (1982), Bull. Seismol. Soc. Am. 72, 491-506, and Ligorria and Ammon
    (1999), Bull. Seismol. Soc. Am. 89, 1395-1400. Heights are given in part, since full ones
    overshoot where pulses overlap.
    """

    def __init__(self, pulses: int = 200, gain: float = 0.3, smooth: float = 1.0) -> None:
        self.pulses = int(_checked("pulses", pulses, whole=True))
        self.gain, self.smooth = _checked("gain", gain), _checked("smooth", smooth)

    def invert(self, gather: Gather) -> Floats:
        """Return the sources, (event, lag)."""
        equations = _equations(gather, self.smooth)
        called = equations.back(gather.record)
        alike = gather.samples(equations.gain, gather.padded)
        energy = np.maximum(alike[:, 0], _TINY)
        x = np.zeros_like(called)
        event, lag = np.arange(len(x)), np.arange(gather.length)
        for _ in range(self.pulses):
            at = (called if gather.positive else np.abs(called)).argmax(-1)
            height = self.gain * called[event, at] / energy
            if gather.positive:
                height = np.maximum(height, 0.0)
            x[event, at] += height
            apart = np.abs(lag - at[:, None])
            called -= height[:, None] * np.take_along_axis(alike, apart, -1)
        return equations.source(x)


class Landweber:
    """Steps down the misfit, each cut at zero: positive, and smooth by stopping early.

    Parameters
    ----------
    steps : int
        The most steps; an event has no more once its misfit is that of the noise.
    smooth : float
        Corner of the pulses, in units of that of the source.

    Notes
    -----
    After Landweber (1951), Am. J. Math. 73, 615-624; projected as by Bertero et al. (1997),
    Inverse Probl. 13, 411-431.
    """

    def __init__(self, steps: int = 100, smooth: float = 1.0) -> None:
        self.steps, self.smooth = int(_checked("steps", steps, True)), _checked("smooth", smooth)

    def invert(self, gather: Gather) -> Floats:
        """Return the sources, (event, lag)."""
        equations = _equations(gather, self.smooth)
        largest = np.maximum(equations.gain.max(-1), _TINY)[:, None]
        noise = gather.white.noise.mean(-1)
        x = np.zeros((len(gather.record), gather.length))
        for _ in range(self.steps):
            misfit = gather.record - equations.forward(x)
            more = ((misfit**2).sum(-1) > noise).any(-1)
            if not more.any():
                break
            x[more] = (x + _STEP * equations.back(misfit) / largest)[more]
            if gather.positive:
                x = np.maximum(x, 0.0)
        return equations.source(x)


class NonNegative:
    """Least squares of sources that are nowhere negative, made of pulses.

    Parameters
    ----------
    steps : int
        Of the accelerated descent.
    ridge : float
        Penalty of the squares, as a share of the largest gain.
    smooth : float
        Corner of the pulses, in units of that of the source.

    Notes
    -----
    The problem of Lawson and Hanson (1974), Solving Least Squares Problems, by the descent of Beck
    and Teboulle (2009), SIAM J. Imaging Sci. 2, 183-202.
    """

    def __init__(self, steps: int = 60, ridge: float = 2e-3, smooth: float = 1.0) -> None:
        self.steps = int(_checked("steps", steps, whole=True))
        self.ridge, self.smooth = _checked("ridge", ridge), _checked("smooth", smooth)

    def invert(self, gather: Gather) -> Floats:
        """Return the sources, (event, lag)."""
        equations = _equations(gather, self.smooth)
        largest = np.maximum(equations.gain.max(-1), _TINY)[:, None]
        ridge = self.ridge * largest
        # Begin with the solution that may be negative.
        begun = (np.conj(equations.response) * gather.record_spectrum * equations.weight).sum(1)
        x = gather.samples(begun / (equations.gain + _BEGIN * largest), gather.length)
        x = np.maximum(x, 0.0) if gather.positive else x
        ahead, pace = x, 1.0
        for _ in range(self.steps):
            slope = ridge * ahead - equations.back(gather.record - equations.forward(ahead))
            made = ahead - slope / (largest + ridge)
            made = np.maximum(made, 0.0) if gather.positive else made
            faster = (1.0 + np.sqrt(1.0 + 4.0 * pace**2)) / 2.0
            ahead = made + (pace - 1.0) / faster * (made - x)
            x, pace = made, faster
        return equations.source(x)
