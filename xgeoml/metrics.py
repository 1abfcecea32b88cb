"""Scores of an estimate against the truth, over the cells that were hidden."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr


class Skill(NamedTuple):
    """Area-weighted scores.

    Attributes
    ----------
    rmse, mae, bias : float
        Root mean square error, mean absolute error, mean error; in the units of the data.
    nse : float
        Nash-Sutcliffe efficiency, 1 - sum of squared errors / sum of squares of the truth about
        its mean (Nash and Sutcliffe 1970, J. Hydrol. 10, 282-290).
    made : float
        Share of the hidden cells that got a value.
    """

    rmse: float
    mae: float
    bias: float
    nse: float
    made: float


def skill(
    truth: xr.DataArray, estimate: xr.DataArray, hidden: xr.DataArray, area: xr.DataArray
) -> Skill:
    """Return the scores of `estimate` where `hidden`, weighted by `area`.

    Parameters
    ----------
    truth, estimate : DataArray
        On the same cells.
    hidden : DataArray of bool
        The cells that count; broadcast against `truth`.
    area : DataArray
        Relative weights, such as the area of the cells; broadcast against `truth`.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> truth = xr.DataArray(np.arange(4.0), dims="time")
    >>> skill(truth, truth + 1, xr.ones_like(truth, bool), xr.ones_like(truth)).bias
    1.0
    """
    truth, estimate, hidden, area = xr.broadcast(truth, estimate, hidden, area)
    where = hidden.values & np.isfinite(truth.values)
    made = where & np.isfinite(estimate.values)
    if not made.any():
        nothing = float("nan")
        return Skill(nothing, nothing, nothing, nothing, 0.0)
    weights = area.values[made] / area.values[made].sum()
    right = truth.values[made].astype(np.float64)
    error = estimate.values[made].astype(np.float64) - right
    squares = float((weights * error**2).sum())
    variance = float((weights * (right - (weights * right).sum()) ** 2).sum())
    return Skill(
        rmse=squares**0.5,
        mae=float((weights * np.abs(error)).sum()),
        bias=float((weights * error).sum()),
        nse=1 - squares / variance if variance else float("nan"),
        made=float(made.sum() / where.sum()),
    )
