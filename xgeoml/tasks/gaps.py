"""Which gaps may be filled, and what becomes of each cell."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xgeoml.exceptions import InputError
from xgeoml.provenance import FILLED, OBSERVED, SUSPECT, UNFILLED

MaxGap = int | str | timedelta | np.timedelta64


def check_max_gap(max_gap: MaxGap | None) -> int | float | None:
    """Return the longest gap to fill: steps (int), or days (float) if given as a duration.

    Raises
    ------
    InputError
        If it is neither a positive whole number nor a duration.
    """
    if max_gap is None:
        return None
    # To NumPy a timedelta is an integer, and to Python True is.
    if isinstance(max_gap, (int, np.integer)) and not isinstance(max_gap, (bool, np.timedelta64)):
        steps = int(max_gap)
        if steps < 1:
            raise InputError(f"max_gap={max_gap!r}: expected at least 1 step")
        return steps
    try:
        # pandas would take a bare number, as text too, for nanoseconds.
        if isinstance(max_gap, (bool, float, np.floating)) or _is_bare(max_gap):
            raise TypeError
        days = pd.Timedelta(max_gap) / pd.Timedelta(days=1)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"max_gap={max_gap!r}: expected a number of steps, such as 3, or a duration, such as "
            "'92D' or timedelta(days=92)"
        ) from error
    if not days > 0:
        raise InputError(f"max_gap={max_gap!r}: expected a duration above zero")
    return float(days)


def _is_bare(duration: object) -> bool:
    """Whether a text is a number without a unit."""
    return isinstance(duration, str) and not any(letter.isalpha() for letter in duration)


def short_gaps(
    values: NDArray[np.floating], max_gap: int | float, days: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which missing values lie in gaps no longer than `max_gap`.

    Parameters
    ----------
    values : ndarray, (..., time)
        NaN where missing.
    max_gap : int or float
        Steps in a row (int), or days between the observed neighbours (float). A gap at an end of
        the record has no second neighbour: there the days are counted to the record's end.
    days : ndarray, (time,)
        Days of each step since any one moment.
    """
    missing = np.isnan(values)
    n = values.shape[-1]
    step = np.arange(n)
    before = np.maximum.accumulate(np.where(missing, -1, step), axis=-1)
    after = np.where(missing, n, step)
    after = np.minimum.accumulate(after[..., ::-1], axis=-1)[..., ::-1]
    if isinstance(max_gap, int):
        return np.asarray(missing & (after - before - 1 <= max_gap))
    edges = np.concatenate([[days[0]], days, [days[-1]]])
    # Tolerance: stamps that are exactly `max_gap` apart may differ by rounding; 1e-6 days is 0.1 s.
    return np.asarray(missing & (edges[after + 1] - edges[before + 1] <= max_gap + 1e-6))


def fill_block(
    value: NDArray[np.floating],
    estimate: NDArray[np.floating],
    mask: NDArray[np.floating] | None,
    trusted: NDArray[np.bool_] | None,
    largest: float = float(np.finfo(np.float64).max),
) -> NDArray[np.floating]:
    """Return filled values, flags and, if the estimate has one, the spread of filled cells.

    Parameters
    ----------
    value : ndarray, (..., time)
        NaN where missing; every other value, infinite ones too, is returned as it is.
    estimate : ndarray, (estimate and spread, ..., time)
    mask : ndarray, (..., time), optional
        Above zero where gaps may be filled.
    trusted : ndarray of bool, (time,), optional
        False at suspect steps.
    largest : float
        What the dtype of the result can hold: beyond it a gap stays.
    """
    result = np.empty((1 + len(estimate), *value.shape), value.dtype)
    result[0] = value
    result[1] = OBSERVED if trusted is None else np.where(trusted, OBSERVED, SUSPECT)
    result[2:] = np.nan
    # Few are missing in most records: only these are looked at.
    missing = np.flatnonzero(np.isnan(value))
    made = estimate.reshape(len(estimate), -1)[:, missing]
    # NaN compares false. A scalar of NumPy is not rounded to the estimate's dtype.
    may = np.abs(made[0]) <= np.float64(largest)
    if mask is not None:
        may &= mask.ravel()[missing] > 0
    flat, filled = result.reshape(len(result), -1), missing[may]
    flat[1, missing] = UNFILLED
    flat[1, filled] = FILLED
    flat[0, filled] = made[0, may]
    flat[2:, filled] = made[1:, may]
    return result
