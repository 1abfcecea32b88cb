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


def error_by_count(
    truth: xr.DataArray, estimate: xr.DataArray, count: xr.DataArray, area: xr.DataArray
) -> xr.DataArray:
    """Return the mean absolute error for each number of observations behind a value.

    Parameters
    ----------
    truth, estimate : DataArray
        On the same cells and steps, such as monthly means.
    count : DataArray
        How many observations each value was made from, such as ``<variable>_n_observed`` of
        ``fill_gaps(freq="MS")``.
    area : DataArray
        Relative weights, such as the area of the cells; broadcast against `truth`.

    Returns
    -------
    DataArray
        (count,): weighted mean of the absolute error, in the units of the data, over the counts
        that occur; coordinate `number`, (count,): how many values that is.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> truth = xr.DataArray(np.zeros(4), dims="time")
    >>> made, days = truth + [1.0, 2.0, 4.0, 0.5], truth + [3, 3, 3, 30]
    >>> error_by_count(truth, made, days, xr.ones_like(truth)).values.round(2).tolist()
    [2.33, 0.5]
    """
    truth, estimate, count, area = xr.broadcast(truth, estimate, count, area)
    error = np.abs(estimate.values.astype(np.float64) - truth.values)
    known = np.isfinite(error) & np.isfinite(count.values) & (area.values > 0.0)
    counts, which = np.unique(count.values[known].astype(np.int64), return_inverse=True)
    weights = area.values[known]
    mean = np.bincount(which, weights * error[known]) / np.bincount(which, weights)
    number = ("count", np.bincount(which), {"long_name": "number of values"})
    return xr.DataArray(
        mean,
        {"count": ("count", counts, {"long_name": "number of observations"}), "number": number},
        ("count",),
        "absolute_error",
        {k: v for k, v in truth.attrs.items() if k == "units"},
    )
