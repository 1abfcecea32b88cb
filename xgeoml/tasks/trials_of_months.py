"""What an evaluation of means of months tries models on: days hidden, and the months they make."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from xgeoml.axes import find_axes, require
from xgeoml.exceptions import InputError
from xgeoml.provenance import FILLED
from xgeoml.tasks.fill_gaps import fill_gaps
from xgeoml.tasks.holdouts import Bools, Holdout, Ints
from xgeoml.tasks.monthly import prepare_months
from xgeoml.tasks.trials import Trial, Wish, needed
from xgeoml.tasks.trials_of_gaps import (
    Record,
    calls_on,
    flags_of,
    hidden_in,
    record_of,
    told_of,
)
from xgeoml.times import check_zone

# So many times as many values are hidden in a month as are missing in the record itself. What is
# missing there is put linearly between its neighbours, which has an error as every filled value
# has, and one that `linear` shares: with twice as many it won against a model that was better. The
# mean of the days that are there alone is no truth at all. Below clouds, with a tenth of the days
# missing, it was off by 0.04 to 0.06 K of sea surface temperature, which good models are not where
# half of the days are hidden.
MORE = 10
_DRAWS = 8


@dataclass(frozen=True)
class _Steps:
    """What a record has of each month.

    Attributes
    ----------
    seen : ndarray of int, (month, ...)
        How many steps with a value.
    lacking : ndarray of int, (month, ...)
        How many without, those before the first step of the record and after the last one too.
    """

    seen: Ints
    lacking: Ints


def month_trials(dataset: xr.Dataset, name: Hashable, wish: Wish) -> Iterator[Trial]:
    """Yield the repeats of an evaluation of gap filling with ``freq=``.

    Values are hidden at the steps of the record, and models asked for months of what is left. The
    truth are the months of all that is known.

    Parameters
    ----------
    dataset : Dataset
        Its steps in any order.
    name : Hashable
    wish : Wish

    Raises
    ------
    InputError
        If no month of any cell is known well enough, or none of these loses values.
    """
    (time,) = require(find_axes(dataset[name], wish.dims), "T", purpose="making months")
    check_zone(dataset[time])
    record = record_of(dataset.sortby(time) if time in dataset.indexes else dataset, name, wish)
    whole = _steps_of(record, record.suspect, wish)
    sure = (whole.seen > 0) & (whole.seen >= MORE * whole.lacking)
    if not sure.any():
        raise _too_gappy(whole)
    truth = _months_of(record, wish).where(xr.DataArray(sure, dims=record.data.dims))
    told = f"{told_of(record, wish)}; months compared"
    for repeat in range(wish.repeats):
        hidden, counts = _hidden(record, wish, repeat, whole, sure)
        axes = find_axes(truth, wish.dims)
        yield Trial(told, truth, counts, axes, *calls_on(record, hidden, wish))


def _hidden(
    record: Record, wish: Wish, repeat: int, whole: _Steps, sure: Bools
) -> tuple[Bools, Bools]:
    """Return the values to hide, (time, ...), and the months that are compared, (month, ...)."""
    # Masks hide what they hide.
    draws = _DRAWS if isinstance(wish.holdout, Holdout) else 1
    for draw in range(draws):
        hidden = hidden_in(record, wish, (repeat, draw) if draw else (repeat,))
        left = _steps_of(record, hidden | record.suspect, wish)
        lost = whole.seen - left.seen
        counts = sure & (lost > 0) & (lost >= MORE * whole.lacking)
        if counts.any():
            flags = flags_of(record, hidden, wish, freq=wish.freq, **wish.arguments)
            counts &= flags == FILLED
        if counts.any():
            return hidden, counts
    raise InputError(
        f"holdout= hides {told_of(record, wish)}: too few values of each of the {int(sure.sum())} "
        f"months of cells that are known well, of which it takes {MORE} times as many as the "
        "record itself misses there; expected another one, such as holdout='clouds', or a longer "
        "period="
    )


def _steps_of(record: Record, hidden: Bools, wish: Wish) -> _Steps:
    """Return what a record has of each month without some of its values."""
    request = replace(wish.request, model="linear", covariates=None, mask=None)
    seen = needed(record.without(hidden), record.name, None)
    monthly, _ = prepare_months(seen, record.name, request)
    known = np.isfinite(monthly.prepared.data.transpose(*record.data.dims).values)
    count = monthly.months.n_steps
    # Months that the record has in no year are left out of the result, too.
    count = count[count > 0].reshape(-1, *(1,) * (known.ndim - 1))
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    seen_of = np.add.reduceat(known, first, axis=0, dtype=np.int64)
    return _Steps(seen_of, count - seen_of)


def _months_of(record: Record, wish: Wish) -> xr.DataArray:
    """Return the months of all that is known, (month, ...), the rest put between it."""
    made = fill_gaps(
        needed(record.without(record.suspect), record.name, None),
        "linear",
        variables=[record.name],
        freq=wish.freq,
        dims=wish.dims,
        **wish.run,
    )
    return made[record.name].transpose(*record.data.dims)


def _too_gappy(whole: _Steps) -> InputError:
    """Return the error of a record without a month that could be compared with."""
    share = float((whole.seen / (whole.seen + whole.lacking)).max())
    return InputError(
        "freq=: in every month of every cell the record itself misses too much to compare with: "
        f"the most complete one has {share:.0%} of its steps, expected {MORE / (MORE + 1):.0%} or "
        "more in some. Leave freq= out to compare values at the record's own steps"
    )
