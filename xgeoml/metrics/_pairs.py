"""Truth and estimate, brought to the same cells and weighted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.axes import find_axes
from xgeoml.exceptions import InputError
from xgeoml.grid import cell_area

Floats = NDArray[np.float64]

# Share of a step between coordinates by which those of truth and estimate may differ.
_APART = 0.01


class Pair(NamedTuple):
    """Truth and estimate as arrays.

    Attributes
    ----------
    truth : ndarray
        float64, in the truth's dims.
    estimate : ndarray
        The same, members first if there are any.
    weight : ndarray
        Relative weight of each value, in the truth's dims; 0 where it does not count.
    """

    truth: Floats
    estimate: Floats
    weight: Floats


def pair(
    truth: xr.DataArray,
    estimate: xr.DataArray,
    where: xr.DataArray | None = None,
    area: xr.DataArray | None = None,
    member: str | None = None,
) -> Pair:
    """Return arrays of truth and estimate, and the weights where both are known.

    Parameters
    ----------
    truth, estimate : DataArray
        On the same cells, in any order of dims; the estimate may have the dim `member` too.
    where : DataArray of bool, optional
        What counts; broadcast against the truth.
    area : DataArray, optional
        Relative weights; broadcast against the truth. By default those of the cells' areas.
    member : str, optional
        The dim of an ensemble.

    Raises
    ------
    InputError
        If the two are not on the same cells.
    """
    dims = [*([member] if member else []), *truth.dims]
    if set(dims) != set(estimate.dims):
        raise InputError(
            f"the estimate has the dims {tuple(estimate.dims)}; expected {tuple(dims)}, "
            "those of the truth" + (" and the members'" if member else "")
        )
    estimate = estimate.transpose(*dims)
    for dim in truth.dims:
        _check_same(truth, estimate, str(dim), "the estimate")
    made = estimate.values.astype(np.float64)
    right = truth.values.astype(np.float64)
    known = np.isfinite(right) & (np.isfinite(made).all(0) if member else np.isfinite(made))
    if where is not None:
        known &= like(where, truth).astype(bool)
    if area is None:
        area = cell_area(truth, find_axes(truth))
    return Pair(right, made, np.where(known, like(area, truth), 0.0))


def units(truth: xr.DataArray) -> dict[str, str]:
    """Return the units of a DataArray as attributes."""
    return {k: str(v) for k, v in truth.attrs.items() if k == "units"}


def like(data: xr.DataArray, truth: xr.DataArray) -> Floats:
    """Return values broadcast to the truth's dims, matched by dim.

    Not by label: coordinates that differ by rounding would lose their cells without a word.

    Raises
    ------
    InputError
        If they have other dims, or lie on other cells.
    """
    extra = [d for d in data.dims if truth.sizes.get(d) != data.sizes[d]]
    if extra:
        raise InputError(
            f"weights or masks have the sizes {dict(data.sizes)}; expected dims of the truth, "
            f"{dict(truth.sizes)}"
        )
    dims = [d for d in truth.dims if d in data.dims]
    for dim in dims:
        _check_same(truth, data, str(dim), "a weight or mask")
    values = data.transpose(*dims).values
    shape = [truth.sizes[d] if d in data.dims else 1 for d in truth.dims]
    return np.asarray(np.broadcast_to(values.reshape(shape), truth.shape))


def _check_same(truth: xr.DataArray, given: xr.DataArray, dim: str, label: str) -> None:
    """Raise `InputError` unless both have the same cells along `dim`."""
    if truth.sizes[dim] != given.sizes[dim]:
        raise InputError(
            f"{label} has {given.sizes[dim]} cells along {dim}; expected {truth.sizes[dim]}, as "
            "the truth has"
        )
    if dim not in truth.coords or dim not in given.coords:
        return
    one, other = truth[dim].values, given[dim].values
    if one.dtype.kind in "iuf" and other.dtype.kind in "iuf":
        step = np.abs(np.diff(one)).min() if len(one) > 1 else 1.0
        same = bool((np.abs(one - other) <= _APART * step).all())
    else:
        same = bool((one == other).all())
    if not same:
        raise InputError(
            f"along {dim} {label} is at other places than the truth, {other[0]} to "
            f"{other[-1]} and {one[0]} to {one[-1]}: scores of misplaced cells mean nothing"
        )
