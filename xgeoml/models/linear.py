"""Linear interpolation in time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xgeoml.models.background import learnable
from xgeoml.models.series import Bools, Estimate, Floats, Rows, Series, State


class Linear:
    """Linear in time between the neighbouring usable steps, the end values held."""

    def summarise(self, sample: Series) -> State:
        """Return nothing: no series knows of another."""
        return {}

    def predict(self, block: Series, state: State) -> Estimate:
        """Return the interpolated series, with the error of a random walk pinned at its neighbours.

        Parameters
        ----------
        block : Series
        state : dict
            What `summarise` returned.

        Returns
        -------
        Estimate
            The spread is 0 at usable steps, grows with the distance to them, levels off where two
            ends tell nothing more, and is NaN for a series of one value.
        """
        known = learnable(block)
        mean, spread = block.values.copy(), np.zeros(known.shape)
        if not known.shape[1]:
            return Estimate(mean, spread)
        # Only what is not known takes time.
        gaps = _gaps(known, block.years)
        value = block.values.ravel()
        start, end = value[gaps.before], value[gaps.after]
        mean.ravel()[gaps.place] = start + gaps.share * (end - start)
        count = known.sum(axis=1)
        mean[count == 0] = np.nan
        if not block.spread:
            return Estimate.without_spread(mean)
        rate, variance = (x[gaps.row] for x in _walk(block.values, known, block.years))
        # Two uncorrelated ends: their weighted mean adds 1 ... 0.5 of the variance to the value's.
        most = gaps.share**2 + (1.0 - gaps.share) ** 2 + 1.0
        spread.ravel()[gaps.place] = np.sqrt(np.minimum(rate * gaps.away, most * variance))
        spread[count < 2] = np.nan
        return Estimate(mean, spread)


class _Gaps(NamedTuple):
    """What is missing of series of which something is known, (value,) each."""

    place: Rows  # in the flat block
    row: Rows
    before: Rows  # the neighbours, in the flat block, both the same beyond the ends
    after: Rows
    share: Floats  # of the way from the one to the other
    away: Floats  # years, as long as a random walk from the one neighbour would take


def _gaps(known: Bools, years: Floats) -> _Gaps:
    steps = len(years)
    some = np.asarray(known.any(axis=1))
    place = np.flatnonzero(~known & some[:, None])
    there = np.flatnonzero(known)
    row, step = np.divmod(place, max(steps, 1))
    # How many known values lie before each that is missing, in this and the rows above.
    number = place - np.arange(len(place)) - np.concatenate([[0], np.cumsum(~some)])[row] * steps
    if not len(there):
        none = np.zeros(0, dtype=np.int64)
        return _Gaps(none, none, none, none, np.zeros(0), np.zeros(0))
    before, after = there[number - 1], there[np.minimum(number, len(there) - 1)]
    first, last = before // steps != row, (after // steps != row) | (number == len(there))
    first |= number == 0
    before, after = np.where(first, after, before), np.where(last, before, after)
    start, end = years[before - row * steps], years[after - row * steps]
    from_start = years[step] - start
    length = end - start
    inside = length > 0.0
    share = np.where(inside, from_start / np.where(inside, length, 1.0), 0.0)
    away = np.where(inside, share * (1.0 - share) * length, np.abs(from_start))
    return _Gaps(place, row, before, after, share, away)


def _walk(values: Floats, known: Bools, years: Floats) -> tuple[Floats, Floats]:
    """Return the variance a year of the steps of each series and that of its values, (series,)."""
    count = known.sum(axis=1)
    value = np.where(known, values, 0.0)
    centre = value.sum(axis=1, keepdims=True) / np.maximum(count, 1)[:, None]
    value -= centre
    value *= known
    variance = np.einsum("st,st->s", value, value) / np.maximum(count - 1, 1)
    # From each known value to the next, those of all series in one line.
    there = np.flatnonzero(known)
    ends = np.cumsum(count)
    jump = np.diff(values.ravel()[there], append=0.0)
    jump[ends[count > 0] - 1] = 0.0
    square = np.zeros(len(values))
    square[count > 0] = np.add.reduceat(jump**2, (ends - count)[count > 0])
    first, last = known.argmax(axis=1), known.shape[1] - 1 - known[:, ::-1].argmax(axis=1)
    time = np.where(count > 1, years[last] - years[first], 0.0)
    return square / np.where(time > 0.0, time, 1.0), variance
