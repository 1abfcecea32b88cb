"""Random fields and series that the generators are built from, and what they share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xgeoml.exceptions import InputError

Floats = NDArray[np.float64]

SOURCE = "synthetic, xgeoml.datasets"


def check(name: str, value: int, least: int, most: int | None = None) -> None:
    """Raise `InputError` unless `value` is a whole number from `least` up to `most`."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        bounds = f"{least} or above" if most is None else f"{least} to {most}"
        raise InputError(f"{name}={value!r}: expected a whole number, {bounds}")


def generator(name: str, seed: int, stream: int = 0) -> np.random.Generator:
    """Return the random generator of the data set `name`.

    Parameters
    ----------
    name : str
        Two data sets with one seed have nothing in common.
    seed : int
        The user's.
    stream : int
        Draws that must not depend on how many others are made take a stream of their own.
    """
    check("seed", seed, 0)
    return np.random.default_rng([*name.encode(), stream, int(seed)])


def smooth_noise(
    random: np.random.Generator, count: int, shape: tuple[int, int], length: float
) -> Floats:
    """Draw Gaussian fields of unit variance with a Gaussian correlation in space.

    Parameters
    ----------
    random : numpy.random.Generator
        Where the draws come from.
    count : int
        Number of independent fields.
    shape : (int, int)
        Rows and columns.
    length : float
        Distance, in cells, at which the correlation is exp(-1/2).

    Returns
    -------
    ndarray, (count, rows, columns)

    Notes
    -----
    White noise times a filter in the wavenumber domain. The fields are cut from larger ones, for
    the transform is periodic and a region is not.
    """
    rows, columns = (size + int(np.ceil(4 * length)) for size in shape)
    ky = np.fft.fftfreq(rows)[:, None]
    kx = np.fft.rfftfreq(columns)[None, :]
    gain = np.exp(-((np.pi * length) ** 2) * (ky**2 + kx**2))
    white = random.standard_normal((count, rows, columns))
    field = np.fft.irfft2(np.fft.rfft2(white) * gain, s=(rows, columns))
    # The variance follows from the filter, so that one draw is not scaled by its own chance.
    response = np.fft.irfft2(gain, s=(rows, columns))
    scaled: Floats = field[:, : shape[0], : shape[1]] / np.sqrt((response**2).sum())
    return scaled


def persist(innovations: Floats, memory: float) -> Floats:
    """Turn white series into first-order autoregressive ones of the same variance.

    Parameters
    ----------
    innovations : ndarray, (time, ...)
        White in time.
    memory : float
        Correlation of neighbouring steps, 0 up to 1.

    Returns
    -------
    ndarray, (time, ...)
    """
    series = np.empty_like(innovations)
    series[0] = innovations[0]
    fresh = np.sqrt(1 - memory**2)
    for step in range(1, len(series)):
        series[step] = memory * series[step - 1] + fresh * innovations[step]
    return series


def shore(
    random: np.random.Generator, shape: tuple[int, int], towards: tuple[float, float], share: float
) -> NDArray[np.bool_]:
    """Draw a coast: which cells lie beyond it.

    Parameters
    ----------
    random : numpy.random.Generator
        Where the draws come from.
    shape : (int, int)
        Rows and columns.
    towards : (float, float)
        Direction, in rows and columns, in which the far side lies.
    share : float
        Share of the cells on the far side.

    Returns
    -------
    ndarray of bool, (rows, columns)
    """
    y, x = (np.linspace(-1, 1, size) for size in shape)
    height = towards[0] * y[:, None] + towards[1] * x[None, :]
    height = height + 0.25 * smooth_noise(random, 1, shape, max(2.0, min(shape) / 5))[0]
    beyond: NDArray[np.bool_] = height > np.quantile(height, 1 - share)
    return beyond
