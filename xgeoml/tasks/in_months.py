"""A Dataset with months in place of its steps: stamps, bounds, and what else lay along time."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence

import numpy as np
import xarray as xr

from xgeoml.insert import bounds_name
from xgeoml.months import Freq, Months
from xgeoml.tasks.earlier import spread_name

__all__ = ["follow_months", "in_months"]


def in_months(
    dataset: xr.Dataset,
    time: str,
    made: dict[Hashable, xr.Variable],
    months: Months,
    freq: Freq,
) -> xr.Dataset:
    """Return a Dataset with months in place of all that lay along time.

    Parameters
    ----------
    dataset : Dataset
        As it was given: what has no time passes through.
    time : str
        The time dim.
    made : dict
        The variables, (..., month), with what belongs to them.
    months : Months
        Those of `made`; a month in which the record has no step at all, being of another season,
        is left out.
    freq : {"MS", "ME"}

    Returns
    -------
    Dataset
        Stamps and bounds of time in the type, calendar and units of the record.
    """
    present = np.flatnonzero(months.n_steps)
    if present.size < months.number.size:
        made = {name: variable.isel({time: present}) for name, variable in made.items()}
    rest = dataset.drop_dims(time)
    coord = dataset[time].variable
    bounds = bounds_name(coord) or f"{time}_bnds"
    treated = [n for n in made if n in dataset.variables]
    theirs = {spread_name(n) for n in made}
    lost = [n for n, v in dataset.variables.items() if time in v.dims]
    lost = [n for n in lost if n not in (time, bounds, *treated, *theirs)]
    _warn_of(lost)
    gone = set(dataset.variables) - set(rest.variables) - set(made) - {time, bounds}
    for variable in made.values():
        _forget(variable, gone)
    stamps = xr.Variable(time, months.stamps(freq)[present], coord.attrs)
    stamps.encoding = {k: v for k, v in coord.encoding.items() if k in ("units", "calendar")}
    # Without units xarray would choose others for the bounds.
    stamps.encoding.setdefault("units", f"days since {str(stamps.values[0])[:10]}")
    if bounds_name(coord) is None:
        stamps.attrs["bounds"] = bounds
    elif "bounds" not in coord.attrs:
        stamps.encoding["bounds"] = bounds
    old = dataset.variables.get(bounds)
    pair = [d for d in old.dims if d != time] if old is not None and time in old.dims else []
    edges = xr.Variable((time, *(pair or ["bnds"])), months.bounds()[present])
    data = {name: array.variable for name, array in rest.data_vars.items()}
    data |= {**made, bounds: edges}
    order = [n for n in dict.fromkeys((*dataset.data_vars, *made, bounds)) if n in data]
    coords = rest.assign_coords({time: stamps}).coords
    result = xr.Dataset({n: data[n] for n in order}, coords, dataset.attrs)
    result.encoding = dict(dataset.encoding)
    return result.set_coords(bounds) if bounds in dataset.coords else result


def follow_months(
    dataset: xr.Dataset, dim: str, before: xr.Dataset, after: xr.Dataset
) -> xr.Dataset:
    """Return a group of a DataTree that shares its time with one that is in months now."""
    lost = [n for n, v in dataset.variables.items() if dim in v.dims and n not in before.coords]
    _warn_of(lost)
    rest = dataset.drop_dims(dim)
    return rest.assign_coords({dim: after[dim]}) if dim in dataset.coords else rest


def _warn_of(lost: Sequence[Hashable]) -> None:
    """Warn of variables that have no place in the result."""
    if lost:
        warnings.warn(
            f"left out: {', '.join(map(repr, lost))}. What lies along the time axis, which is one "
            "of months now, has to be filled to stay. To have months of floating-point variables, "
            "name them in variables=",
            stacklevel=7,
        )


def _forget(variable: xr.Variable, gone: set[Hashable]) -> None:
    """Take names of what is left out from the attributes that speak of other variables."""
    for said in (variable.attrs, variable.encoding):
        for key in ("ancillary_variables", "coordinates"):
            if isinstance(said.get(key), str):
                said[key] = " ".join(n for n in said[key].split() if n not in gone)
                if not said[key]:
                    del said[key]
