"""Which whole steps of a field are bad: solutions that neither neighbour in time bears out."""

from __future__ import annotations

import numpy as np

from xgeoml.models.background import background_of_some
from xgeoml.models.series import Bools, Floats, Series, without_drivers

# A bad step departs from its neighbours further than the largest of so many Gaussian departures,
# so far beyond the others that no tail of theirs explains it (rain has long tails, storage short;
# robust standard deviations of the logarithm),
_BEYOND = 2.5
# and is itself, as an anomaly, this much larger than either neighbour: real extremes last.
_LONE = 1.8
# A field whose steps commonly depart less than this share of its size is calm with bursts, or
# smooth: what breaks the calm is no error.
_SMOOTH = 0.02
# A bad step is bad in all of the field: so many of its series are enough to see that.
_MOST_SERIES = 512
# Fewer steps say nothing of what is usual; fewer common cells say nothing of a whole step.
_FEWEST_STEPS, _LEAST_COMMON = 12, 0.1


def suspect_steps(sample: Series) -> Bools:
    """Return True where a whole step is bad.

    Parameters
    ----------
    sample : Series
        All series of a field, or an evenly drawn sample of them. Steps that are not trusted are
        left out of the comparison, and stay False here.

    Returns
    -------
    ndarray of bool, (time,)
        The first and the last observed step, which have one neighbour, are never True.

    Notes
    -----
    The anomaly from trend and cycles is compared with the line between the anomalies of the
    observed steps around it, over the cells that all three have. The step that departs most is set
    aside and the rest judged again without it, so that a bad step casts no doubt on the good ones
    beside it.
    """
    suspect = np.zeros(len(sample.years), dtype=bool)
    if not sample.usable().any():
        return suspect
    plain = without_drivers(sample)
    some, usual = background_of_some(plain, _MOST_SERIES)
    anomaly = plain.values[some] - usual
    anomaly[:, ~plain.trusted] = np.nan
    observed = np.flatnonzero(np.isfinite(anomaly).any(axis=0))
    while len(observed) >= _FEWEST_STEPS:
        worst = _worst(anomaly[:, observed], sample.years[observed], sample.area[some])
        if worst is None:
            break
        suspect[observed[worst]] = True
        observed = np.delete(observed, worst)
    return suspect


def _worst(anomaly: Floats, years: Floats, area: Floats) -> int | None:
    """Return the index of the worst step, None where all pass."""
    departure, lone = _departures(anomaly, years, area)
    judged = departure > 0.0
    if judged.sum() < _FEWEST_STEPS - 2:
        return None
    seen = anomaly[np.isfinite(anomaly)]
    size = np.sqrt(seen @ seen / len(seen))
    if np.median(departure[judged]) < _SMOOTH * size:
        return None
    far = np.zeros(len(departure))
    far[judged] = departure[judged] / np.median(departure[judged])
    tail = np.log(far[judged])
    # Both halves of the tail count: most steps of a rainfall may be dry and much alike.
    usual = max(1.4826 * np.median(np.abs(tail)), np.quantile(tail, 0.9) / 1.2816)
    largest = np.sqrt(2.0 * np.log(judged.sum()))
    bad = judged & (far > max(largest, np.exp(_BEYOND * usual))) & (lone > _LONE)
    return int(np.argmax(np.where(bad, far, 0.0))) if bad.any() else None


def _departures(anomaly: Floats, years: Floats, area: Floats) -> tuple[Floats, Floats]:
    """Compare each step with its two neighbours.

    Parameters
    ----------
    anomaly : ndarray, (series, time)
        NaN where missing.
    years : ndarray, (time,)
    area : ndarray, (series,)

    Returns
    -------
    departure : ndarray, (time,)
        Root mean square distance from the line between the neighbours, 0 where not judged.
    lone : ndarray, (time,)
        Root mean square of the step over that of its larger neighbour, 0 where not judged.
    """
    departure, lone = np.zeros(len(years)), np.zeros(len(years))
    known = np.isfinite(anomaly)
    value = np.where(known, anomaly, 0.0)
    common = known[:, 1:-1] & known[:, :-2] & known[:, 2:]
    weight = common * area[:, None]
    total = weight.sum(axis=0)
    enough = total > _LEAST_COMMON * area.sum()
    total = np.where(total > 0.0, total, 1.0)

    share = (years[1:-1] - years[:-2]) / (years[2:] - years[:-2])
    before, here, after = value[:, :-2], value[:, 1:-1], value[:, 2:]
    # In place and without squares of a whole field: to be given memory takes longer than the sums.
    off = after - before
    off *= share
    off += before
    np.subtract(here, off, out=off)

    def size(field: Floats) -> Floats:
        root: Floats = np.sqrt(np.einsum("st,st,st->t", weight, field, field) / total)
        return root

    departure[1:-1] = np.where(enough, size(off), 0.0)
    neighbour = np.maximum(size(before), size(after))
    safe = np.where(neighbour > 0.0, neighbour, 1.0)
    lone[1:-1] = np.where(enough & (neighbour > 0.0), size(here) / safe, 0.0)
    return departure, lone
