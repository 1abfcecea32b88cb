"""Scores of ensembles: how good they are, and whether their spread says so."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xgeoml.exceptions import InputError
from xgeoml.metrics._pairs import Floats, Pair, pair


def crps(
    truth: xr.DataArray,
    ensemble: xr.DataArray,
    *,
    fair: bool = True,
    where: xr.DataArray | None = None,
    area: xr.DataArray | None = None,
    member: str = "member",
) -> float:
    """Return the mean continuous ranked probability score, in the units of the data.

    The mean distance of the members to the truth, less half their mean distance to each other; of
    one answer alone it is the mean absolute error.

    Parameters
    ----------
    truth : DataArray
    ensemble : DataArray
        On the same cells, with the dim `member`. Where a member is missing nothing counts.
    fair : bool
        Count each pair of different members once, so that the score does not depend on the number
        of members (Ferro 2014, Q. J. R. Meteorol. Soc. 140, 1917-1923). Otherwise the score is that
        of the distribution with a step at each member (Gneiting and Raftery 2007, J. Am. Stat.
        Assoc. 102, 359-378, eq. 20).
    where, area : DataArray, optional
        As for `rmse`.
    member : str
        The dim of the members.

    Raises
    ------
    InputError
        If the two are not on the same cells, or if there is one member only and `fair` is asked.

    Examples
    --------
    >>> import xarray as xr
    >>> truth = xr.DataArray([0.0], dims="time")
    >>> made = xr.DataArray([[-1.0], [1.0]], dims=("member", "time"))
    >>> crps(truth, made, fair=False), crps(truth, made)
    (0.5, 0.0)
    """
    both = pair(truth, ensemble, where, area, member)
    if fair and len(both.estimate) < 2:
        raise InputError(f"one {member} alone has no fair score; expected two or more")
    return ranked_score(both, fair)


def rank_histogram(
    truth: xr.DataArray,
    ensemble: xr.DataArray,
    *,
    where: xr.DataArray | None = None,
    area: xr.DataArray | None = None,
    member: str = "member",
) -> xr.DataArray:
    """Return how often the truth has each rank among the members.

    Even shares mean that the truth might be one of them; high ones at both ends that the members
    are too much alike (Hamill 2001, Mon. Wea. Rev. 129, 550-560).

    Parameters
    ----------
    truth, ensemble, where, area, member
        As for `crps`.

    Returns
    -------
    DataArray
        (rank,), 0 where all members are above the truth; shares that add up to 1. Of ranks that
        tie, such as dry days among dry members, each gets its part.
    """
    both = pair(truth, ensemble, where, area, member)
    known = both.weight > 0.0
    members, right = both.estimate[:, known], both.truth[known]
    below, tied = (members < right).sum(0), (members == right).sum(0)
    size = len(members) + 1
    share = np.zeros(size + 1)
    each = both.weight[known] / (tied + 1)
    # What begins at a rank and ends after another, summed up.
    np.add.at(share, below, each)
    np.add.at(share, below + tied + 1, -each)
    share = np.cumsum(share)[:size]
    total = share.sum()
    return xr.DataArray(
        share / total if total else np.full(size, np.nan),
        {"rank": ("rank", np.arange(size), {"long_name": "members below the truth"})},
        ("rank",),
        "share",
    )


def spread_skill(
    truth: xr.DataArray,
    ensemble: xr.DataArray,
    *,
    where: xr.DataArray | None = None,
    area: xr.DataArray | None = None,
    member: str = "member",
) -> float:
    """Return the spread of an ensemble over the error of its mean: 1 where it is honest.

    Root of the mean variance of the members over the root mean square error of their mean, with
    the factor for their number (Fortin, Abaza, Anctil and Turcotte 2014, J. Hydrometeorol. 15,
    1708-1713, eq. 15).

    Parameters
    ----------
    truth, ensemble, where, area, member
        As for `crps`.

    Raises
    ------
    InputError
        As `crps`.
    """
    both = pair(truth, ensemble, where, area, member)
    if len(both.estimate) < 2:
        raise InputError(f"one {member} alone has no spread; expected two or more")
    return spread_ratio(both)


def ranked_score(both: Pair, fair: bool) -> float:
    """Return the mean ranked probability score of members, which come first in the estimate."""
    known = both.weight > 0.0
    if not known.any():
        return float("nan")
    weight = both.weight[known] / both.weight.sum()
    members = np.sort(both.estimate[:, known], axis=0)
    size = len(members)
    off = (weight * np.abs(members - both.truth[known]).mean(0)).sum()
    # Sorted, each member is above those before it and below those after it.
    turn = (2.0 * np.arange(size) - size + 1.0)[:, None]
    apart = (turn * members).sum(0) / (size * (size - 1 if fair else size))
    return float(off - (weight * apart).sum())


def spread_ratio(both: Pair) -> float:
    """Return spread over error of members, which come first in the estimate."""
    known = both.weight > 0.0
    if not known.any():
        return float("nan")
    weight = both.weight[known]
    members = both.estimate[:, known]
    size = len(members)
    variance: Floats = members.var(0, ddof=1) * (size + 1) / size
    wrong = (members.mean(0) - both.truth[known]) ** 2
    total = float((weight * wrong).sum())
    return float(((weight * variance).sum() / total) ** 0.5) if total else float("nan")
