"""Patterns of months: what a network sees of the days, and what the means of months should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xgeoml.engine.features import series_channels
from xgeoml.models.linear import Linear
from xgeoml.models.series import Bools, Floats, Series
from xgeoml.train.patterns import Ingredients, Pattern

# A month is learnt where at least this share of its days was observed.
COMPLETE = 0.8


@dataclass(frozen=True)
class Sample:
    """A window of daily fields.

    Attributes
    ----------
    value, share : ndarray, (slot, *space)
        NaN where missing; share of the day that was observed.
    clock : ndarray, (slot, *space)
        Decimal years, NaN where there is no such day, or beyond the edge of the domain.
    truth : ndarray, (month, *space)
        NaN where nothing is to be learnt.
    hidden : ndarray of bool, (slot, *space)
        What is to be taken away.
    area : float
        Relative area.
    """

    value: Floats
    share: Floats
    clock: Floats
    truth: Floats
    hidden: Bools
    area: float

    @property
    def left(self) -> Sample:
        """The window without what is hidden."""
        value = np.where(self.hidden, np.nan, self.value)
        return replace(self, value=value, share=np.where(self.hidden, 0.0, self.share))


def month_truth(
    value: Floats, share: Floats, clock: Floats, wanted: Bools, per_month: int
) -> Floats:
    """Return the means of months that are all but complete, NaN elsewhere.

    Parameters
    ----------
    value, share, clock : ndarray, (slot, *space)
        As those of a `Sample`.
    wanted : ndarray of bool, (month,)
        The others are NaN as well.
    per_month : int
        Slots of a month.

    Returns
    -------
    ndarray, (month, *space)
    """
    exists = np.isfinite(clock)
    total = _of_months(np.where(share > 0, share * value, 0.0), per_month).sum(1)
    seen, days = (_of_months(a, per_month).sum(1) for a in (share, exists))
    known = (seen >= COMPLETE * days) & (days > 0)
    known &= wanted.reshape(-1, *(1,) * (known.ndim - 1))
    return np.where(known, total / np.where(known, seen, 1.0), np.nan)


def _of_months(field: Any, per_month: int) -> Any:
    """Return (month, slot, *space) of (slots, *space)."""
    return field.reshape(-1, per_month, *field.shape[1:])


def month_pattern(
    samples: Sequence[Sample],
    per_month: int,
    ingredients: Ingredients,
    axis: int,
    hides: bool,
) -> Pattern:
    """Return the pattern of windows, their axes as the network has them.

    Parameters
    ----------
    samples : sequence of Sample
    per_month : int
        Slots of a month.
    ingredients : Ingredients
    axis : int
        Where time lies.
    hides : bool
        Whether to take away what is hidden, and say what simple estimates make of the rest; else
        each batch hides it.
    """
    if not samples:
        nothing = np.empty((0, 1), np.float32)
        return Pattern(nothing, nothing, nothing[:, 0], nothing[:, 0])
    seen = [s.left for s in samples] if hides else samples
    value, share, clock, truth, hidden = (
        np.stack([np.moveaxis(getattr(s, name), 0, axis) for s in seen])
        for name in ("value", "share", "clock", "truth", "hidden")
    )
    area = np.array([s.area for s in samples])
    flat = value.reshape(len(samples), -1)
    length = flat.shape[1]
    block = Series(
        flat,
        np.arange(length, dtype=float),
        np.ones(length, bool),
        np.empty((0, *flat.shape)),
        area,
    )
    given = {"share": share.reshape(flat.shape), "clock": clock.reshape(flat.shape)}
    x, mean, deviation = series_channels(block, {}, ingredients.channels, ingredients.scale, given)
    mean, divisor = (
        a.reshape(-1, *(1,) * (truth.ndim - 1))
        for a in (mean, np.where(deviation > 0, deviation, np.nan))
    )
    made = {}
    if hides:
        estimates = [simple_estimates(s, per_month) for s in seen]
        for name in estimates[0]:
            stacked = np.stack([np.moveaxis(e[name], 0, axis) for e in estimates])
            made[name] = np.nan_to_num((stacked - mean) / divisor).astype(np.float32)
    return Pattern(
        x.reshape(*x.shape[:2], *value.shape[1:]),
        ((truth - mean) / divisor).astype(np.float32),
        area.astype(np.float32),
        deviation.astype(np.float32),
        made,
        "days under clouds",
        None if hides else hidden,
    )


def simple_estimates(sample: Sample, per_month: int) -> Mapping[str, Floats]:
    """Return what anyone would take for the means of the months, (month, *space) each.

    The mean of the days that were observed, and that of all days, interpolated in time at each
    cell. A month without any takes the latter for both; a cell without any is NaN.
    """
    seen = sample.share > 0
    filled = np.full(sample.value.shape, np.nan)
    clock = sample.clock.reshape(len(sample.clock), -1)
    exists = np.isfinite(clock).any(1)
    years = np.nanmax(clock[exists], axis=1)
    rows = sample.value[exists].reshape(len(years), -1).T
    nothing = np.empty((0, *rows.shape))
    series = Series(rows, years, np.ones(len(years), bool), nothing, np.ones(len(rows)))
    made = Linear().predict(series, {}).mean
    filled[exists] = made.T.reshape(len(years), *sample.value.shape[1:])
    days = _of_months(np.isfinite(sample.clock), per_month).sum(1)
    linear = _of_months(np.where(np.isfinite(sample.clock), filled, 0.0), per_month).sum(1)
    linear = np.where(days > 0, linear / np.maximum(days, 1), np.nan)
    total = _of_months(np.where(seen, sample.share * sample.value, 0.0), per_month).sum(1)
    count = _of_months(sample.share, per_month).sum(1)
    available = np.where(count > 0, total / np.where(count > 0, count, 1.0), linear)
    return {"available days": available, "linear": linear}
