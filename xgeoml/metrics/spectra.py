"""How much a field varies at each scale, along its rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from xgeoml.axes import find_axes, require
from xgeoml.exceptions import InputError
from xgeoml.metrics._pairs import Floats, like, units


class SpectrumError(NamedTuple):
    """How far the power of an estimate is from that of the truth.

    Attributes
    ----------
    all : float
        Mean over all wavenumbers of the size of log10 of the ratio of powers: 0 is right, 1 means
        ten times too much or too little.
    fine : float
        Mean over those wavenumbers that the coarse grid cannot hold; NaN if no factor was given.
    """

    all: float
    fine: float


def zonal_spectrum(field: xr.DataArray, *, where: xr.DataArray | None = None) -> xr.DataArray:
    """Return the power of a field at each wavenumber along its rows, mean over rows and steps.

    Each row's mean is taken off first, and missing cells then count as 0, so that spectra of two
    fields compare only where both lack the same cells. Rows without any value do not count.

    Parameters
    ----------
    field : DataArray
        With the axis X, along which cells are evenly spaced.
    where : DataArray of bool, optional
        Cells that count as known, such as those of the truth; broadcast against the field, on its
        cells.

    Returns
    -------
    DataArray
        (wavenumber,), in the units of the data, squared; the sum is the variance along the rows.
        Wavenumber 1 is one wave over the width of the grid. Coordinate `wavelength`, in cells.

    Raises
    ------
    AxisError
        If there is no axis X.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> wave = xr.DataArray([np.cos(2 * np.pi * 3 * np.arange(16) / 16)], dims=("lat", "lon"))
    >>> zonal_spectrum(wave).round(3).values.tolist()
    [0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    (x,) = require(find_axes(field), "X", purpose="a spectrum along rows")
    field = field.transpose(..., x)
    values = field.values.astype(np.float64)
    if where is not None:
        values = np.where(like(where, field), values, np.nan)
    rows = values.reshape(-1, values.shape[-1])
    some = np.isfinite(rows).any(-1)
    power = row_power(rows[some] if some.any() else rows).mean(0)
    number = np.arange(1, len(power) + 1)
    given = units(field).get("units", "")
    squared = f"{given}2" if given.isalpha() else f"({given})2"
    return xr.DataArray(
        power,
        {
            "wavenumber": ("wavenumber", number, {"long_name": "waves over the grid"}),
            "wavelength": ("wavenumber", field.sizes[x] / number, {"units": "cells"}),
        },
        ("wavenumber",),
        "power",
        {"units": squared} if given else {},
    )


def spectrum_error(
    truth: xr.DataArray, estimate: xr.DataArray, *, factor: int | None = None
) -> SpectrumError:
    """Return how far the zonal spectrum of an estimate is from that of the truth.

    Parameters
    ----------
    truth, estimate : DataArray
        On the same cells. The estimate counts where the truth is known.
    factor : int, optional
        How many times as fine as the coarse field they are.

    Returns
    -------
    SpectrumError

    Raises
    ------
    AxisError
        If there is no axis X.
    InputError
        If `factor` is below 1.
    """
    if factor is not None and factor < 1:
        raise InputError(f"factor={factor}: expected 1 or more")
    known = truth.notnull()
    right, made = (zonal_spectrum(field, where=known).values for field in (truth, estimate))
    return power_error(right, made, factor)


def row_power(rows: Floats) -> Floats:
    """Return the power of rows, ``(..., x)``, at wavenumbers 1 and above."""
    size = rows.shape[-1]
    known = np.isfinite(rows)
    values = np.where(known, rows, 0.0)
    level = values.sum(-1, keepdims=True) / np.maximum(known.sum(-1, keepdims=True), 1)
    wave = np.fft.rfft(np.where(known, values - level, 0.0), axis=-1)[..., 1:]
    power = 2.0 * np.abs(wave / size) ** 2
    if size % 2 == 0:
        power[..., -1] *= 0.5  # the shortest wave has no twin
    return np.asarray(power)


def power_error(truth: Floats, estimate: Floats, factor: int | None = None) -> SpectrumError:
    """Return how far two spectra, ``(wavenumber,)``, are apart."""
    there = truth > 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.where(there, np.abs(np.log10(estimate / truth)), np.nan)
    fine = apart[len(apart) // factor :] if factor else apart[:0]
    return SpectrumError(_mean(apart), _mean(fine))


def _mean(values: Floats) -> float:
    known = np.isfinite(values)
    return float(values[known].mean()) if known.any() else float("nan")
