"""Hiding patterns for training gap filling: which steps of a record to take away."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from scipy.ndimage import gaussian_filter

from xgeoml.models.series import Bools


def hide_runs(
    observed: Bools, rng: Generator, runs: int, longest: int = 24, usual: int = 11
) -> Bools:
    """Return runs of hidden steps, anywhere from the first step to the last.

    Parameters
    ----------
    observed : ndarray of bool, (time,)
        Steps that have data. Each run begins at one of them, so that it hides something.
    rng : Generator
    runs : int
        How many runs; they may overlap.
    longest : int
        Lengths are log-uniform up to this,
    usual : int
        except for a third of them, which have this length.

    Returns
    -------
    ndarray of bool, (time,)
    """
    hidden = np.zeros(len(observed), dtype=bool)
    steps = np.flatnonzero(observed)
    if len(steps) == 0:
        return hidden
    for _ in range(runs):
        length = round(longest ** rng.random())
        if usual <= longest and rng.random() < 1 / 3:
            length = usual
        # A start before the first step is as likely as one at it: the ends must be hidden too.
        start = int(rng.choice(steps)) - int(rng.integers(length))
        hidden[max(start, 0) : start + length] = True
    return hidden


def hide_singles(observed: Bools, rng: Generator, count: int) -> Bools:
    """Return up to `count` hidden steps, the steps beside each observed and not hidden.

    Parameters
    ----------
    observed : ndarray of bool, (time,)
        The first and the last step have one neighbour.
    rng : Generator
    count : int

    Returns
    -------
    ndarray of bool, (time,)
    """
    hidden = np.zeros(len(observed), dtype=bool)
    for i in rng.permutation(np.flatnonzero(observed)):
        if count == 0:
            break
        beside = slice(max(i - 1, 0), i + 2)
        if (observed[beside] & ~hidden[beside]).all():
            hidden[i] = True
            count -= 1
    return hidden


def hide_steps(
    observed: Bools, rng: Generator, most: float = 0.4, longest: int = 24, usual: int = 11
) -> Bools:
    """Return whole steps to hide: one to three runs, and singles.

    Parameters
    ----------
    observed : ndarray of bool, (time,)
    rng : Generator
    most : float
        At most this share of the observed steps is hidden; a pattern beyond it is drawn again.
    longest, usual : int
        See `hide_runs`. No run is longer than a quarter of the observed steps.

    Returns
    -------
    ndarray of bool, (time,)
    """
    total = int(observed.sum())
    for _ in range(20):
        runs, limit = int(rng.integers(1, 4)), min(longest, max(1, total // 4))
        hidden = hide_runs(observed, rng, runs, limit, usual)
        rest = observed & ~hidden
        hidden |= hide_singles(rest, rng, int(rng.integers(0, 1 + max(1, total // 10))))
        if 0 < (hidden & observed).sum() <= most * total:
            return hidden & observed
    hidden = hide_singles(observed, rng, 1)
    if total and not hidden.any():  # no step has two neighbours
        hidden[rng.choice(np.flatnonzero(observed))] = True
    return hidden


def hide_cells(observed: Bools, rng: Generator, most: float = 0.4) -> Bools:
    """Return steps to hide in each series by itself, as clouds do.

    Parameters
    ----------
    observed : ndarray of bool, (series, time)
    rng : Generator
    most : float
        See `hide_steps`.

    Returns
    -------
    ndarray of bool, (series, time)
    """
    return np.stack([hide_steps(row, rng, most) for row in observed])


def hide_shapes(observed: Bools, rng: Generator, most: float = 0.6) -> Bools:
    """Return connected shapes of hidden cells, as clouds and swaths leave them.

    A smooth random field is cut at one of its quantiles.

    Parameters
    ----------
    observed : ndarray of bool, (*axes)
        Cells that have data.
    rng : Generator
    most : float
        Largest share of the observed cells that is hidden; shares are uniform from 5 % up to it.

    Returns
    -------
    ndarray of bool, (*axes)
    """
    if not observed.any():
        return np.zeros_like(observed)
    smooth = gaussian_filter(rng.standard_normal(observed.shape), rng.uniform(0.3, 4.0))
    share = rng.uniform(0.05, most)
    hidden: Bools = observed & (smooth > np.quantile(smooth[observed], 1.0 - share))
    return hidden
