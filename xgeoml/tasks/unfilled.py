"""What was to be filled, and could not be: a warning says so."""

from __future__ import annotations

import warnings

import xarray as xr

from xgeoml.engine.execute import is_lazy
from xgeoml.provenance import UNFILLED
from xgeoml.tasks.earlier import flag_name

__all__ = ["tell_of_unfilled"]

# Series that are named, at most.
_NAMED = 3


def tell_of_unfilled(
    flag: xr.Variable,
    data: xr.DataArray,
    time: str,
    allowed: xr.DataArray | None,
    mask: xr.DataArray | None,
) -> None:
    """Warn of gaps that were to be filled and stay; of lazy data that is not known yet.

    What a mask or the length of gaps leaves out is no surprise, and neither are cells of a map
    without a value at any step, most often land, unless a mask of the cells asks for them.

    Parameters
    ----------
    flag : Variable
        Of the result, on its steps.
    data : DataArray
        The variable, NaN where missing, on the steps of `flag` or others.
    time : str
    allowed : DataArray of bool or None
        Where gaps may be filled, over dims of the flag.
    mask : DataArray or None
        The user's own, on any of the dims.
    """
    if is_lazy(flag.data) or is_lazy(data.variable.data):
        return
    left = flag == UNFILLED
    if not left.any():
        return
    if allowed is not None:
        if is_lazy(allowed.variable.data):
            return
        left = left & allowed.variable
    lost, known = left.any(time), data.variable.notnull().any(time)
    several = [(lost & known, "for which the model has no estimate")]
    masked = mask is not None and set(mask.dims) == set(lost.dims)
    if masked or lost.ndim == 1:
        several.append((lost & ~known, "which have no value at any step"))
    for there, why in several:
        count = int(there.sum())
        if count:
            cure = "leave them out of mask=" if masked else "name a mask= of those that are meant"
            warnings.warn(
                f"{data.name!r}: {count} of {there.size} series{_named(there, data)} stay missing, "
                f"{why}; {flag_name(data.name)!r} is {UNFILLED} there. To be silent {cure}",
                stacklevel=9,
            )


def _named(there: xr.Variable, data: xr.DataArray) -> str:
    """Return which series are meant, where they have labels."""
    if there.ndim != 1 or there.dims[0] not in data.coords:
        return ""
    dim = there.dims[0]
    labels = [str(label) for label in data[dim].values[there.values]]
    more = ", ..." if len(labels) > _NAMED else ""
    return f" ({dim} {', '.join(labels[:_NAMED])}{more})"
