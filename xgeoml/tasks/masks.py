"""Where gaps may be filled: masks on the cells and steps of the data, gaps short enough."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from xgeoml.engine.execute import is_lazy
from xgeoml.exceptions import InputError
from xgeoml.tasks.covariates import on_same_grid
from xgeoml.tasks.gaps import short_gaps
from xgeoml.tasks.prepare import Prepared
from xgeoml.tasks.values import in_shares
from xgeoml.times import check_time

__all__ = ["allowed_cells", "mask_on"]

# Shares of a cell that count as inside.
_INSIDE = 0.5


def allowed_cells(
    prepared: Prepared, mask: xr.DataArray | None, max_gap: int | float | None
) -> xr.DataArray | None:
    """Return where gaps may be filled, over all dims of the data; None: everywhere."""
    data = prepared.data
    allowed = None if mask is None else mask_on(prepared, mask)
    if max_gap is not None:
        seen = prepared.seen
        short = xr.apply_ufunc(
            short_gaps,
            seen.chunk({prepared.time: -1}) if is_lazy(seen.variable.data) else seen,
            input_core_dims=[[prepared.time]],
            output_core_dims=[[prepared.time]],
            kwargs={"max_gap": max_gap, "days": prepared.days},
            dask="parallelized",
            output_dtypes=[bool],
        )
        short = short.drop_vars(list(short.coords))
        allowed = short if allowed is None else allowed & short
    if allowed is None:
        return None
    lacking = {d: n for d, n in data.sizes.items() if d not in allowed.dims}
    return allowed.expand_dims(lacking)


def mask_on(prepared: Prepared, given: xr.DataArray) -> xr.DataArray:
    """Return a mask without coordinates, on the cells and steps of the data."""
    data, time = prepared.data, prepared.time
    given = in_shares(given, "gaps may be filled")
    given = given >= _INSIDE if given.dtype.kind == "f" else given
    if time in given.dims and time in given.coords:
        given = _mask_on_steps(data.get_index(time), given, time)
    wrong = {d: n for d, n in given.sizes.items() if data.sizes.get(d) != n}
    if wrong:
        raise InputError(f"mask has sizes {wrong}; the data have {dict(data.sizes)}")
    given = on_same_grid(given, "mask", data, prepared.axes, "mask")
    return given.drop_vars(list(given.coords)).astype(bool)


def _mask_on_steps(ours: pd.Index[Any], given: xr.DataArray, time: str) -> xr.DataArray:
    """Return a mask on all steps; those that it says nothing of, being absent, may be filled."""
    check_time(given[time])
    at = given.get_index(time).get_indexer(ours)
    foreign = given.sizes[time] - np.count_nonzero(at >= 0)
    if foreign:
        raise InputError(
            f"mask has {foreign} time steps that the data have not; expected those of the data: "
            f"give it their stamps, or none, with mask.drop_vars({time!r})"
        )
    picked = given.isel({time: np.maximum(at, 0)}).astype(bool)
    return picked | xr.DataArray(at < 0, dims=time)
