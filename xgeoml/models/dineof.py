"""Data interpolating empirical orthogonal functions.

Beckers and Rixen (2003), J. Atmos. Oceanic Technol. 20, 1839-1856; cross-validation of the number
of modes: Alvera-Azcarate et al. (2005), Ocean Modelling 9, 325-346; filter in time:
Alvera-Azcarate et al. (2009), Ocean Science 5, 475-485. Written from the papers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from xgeoml.models._each import times_each
from xgeoml.models._on_modes import Regression
from xgeoml.models.background import background, design
from xgeoml.models.series import Bools, Estimate, Floats, Series, State

Singles = NDArray[np.float32]

# Numbers of modes that are tried, one after the other, each starting from the one before.
_RANKS = (1, 2, 4, 8, 15, 27, 48)
# Passes of the filter in time, as many as help, each with a diffusion of 0.3 steps squared.
_PASSES = (0, 1, 3)
_DIFFUSION = 0.3
# Rounds for each number of modes, series that these are found on, and series whose held-out values
# tell how good they are. With half as many, filters and numbers of modes came out wrong.
_SEARCH_ROUNDS, _MOST_SERIES, _MOST_JUDGED = 4, 512, 256
# Share of the values held out, and at how many values the share may end.
_HELD, _LEAST_HELD = 0.03, 20
_ITERATIONS, _ITERATIONS_WHOLE, _TOLERANCE = 40, 10, 1e-3
# Conjugate gradients: steps at most, and what may be left of the right-hand side.
_STEPS, _EXACT = 40, 1e-3
_TINY = np.float32(1e-30)
# Share of missing values below which these alone are filled, and not all where they are.
_FEW = 0.1
# After that many ranks in a row without a better score the search ends.
_PATIENCE = 3


@dataclass(frozen=True)
class Dineof:
    """DINEOF in two steps: temporal modes of the whole field, then each series on them.

    At the fixed point of DINEOF's iteration the spatial coefficients of a series are the least
    squares fit of its observed values on the temporal modes, so that a series needs the modes and
    nothing else of its field.

    Attributes
    ----------
    seed : int
        Chooses the values that are held out.
    """

    seed: int = 0

    def summarise(self, sample: Series) -> State:
        """Return the temporal modes of the field.

        Parameters
        ----------
        sample : Series

        Returns
        -------
        dict
            `modes` (time, k), of unit variance; `error_variance` (time, k), of what is missing of
            them where no series has a value; `penalty` (k,), noise over variance of each mode's
            coefficient; `inflation` (), error variance of held-out values over the fitted one's.
        """
        known = sample.usable()
        anomaly = sample.values - background(sample)
        anomaly[~known] = 0.0
        rows = known.sum(axis=1) > 1
        steps = known[rows].any(axis=0)
        scale = float(np.sqrt(np.vdot(anomaly, anomaly) / max(known.sum(), 1)))
        if scale == 0.0 or steps.sum() < 3:
            none = np.zeros((len(sample.years), 0))
            return {
                "modes": none,
                "error_variance": none.copy(),
                "penalty": np.zeros(0),
                "inflation": np.ones(()),
            }
        inside = np.ascontiguousarray(known[rows][:, steps])
        field = (anomaly[rows][:, steps] / scale).astype(np.float32, order="C")
        root = np.sqrt(sample.area[rows] / sample.area[rows].mean()).astype(np.float32)
        root = root[:, None]
        found = _search(field, inside, root, sample.years[steps], self.seed)
        some = _evenly(len(field))
        if found.error > 0.0 and not inside.all():
            # The background of half a record takes its share of every mode, and gives it back here.
            penalty = _penalty(field[some], inside[some], found.modes)[0]
            slow = design(sample.years)[steps]
            given = Regression(inside, found.modes, penalty, slow).fit(field.astype(np.float64))
            field -= times_each(slow, given.first).astype(np.float32)
        start = found.modes.astype(np.float32)
        own = _iterate(field * root, inside, start, sample.years[steps], found.passes)
        penalty, noise = _penalty(field[some], inside[some], own)
        modes, error_variance = _interpolate(own, sample.years[steps], sample.years)
        return {
            "modes": modes,
            "error_variance": error_variance,
            "penalty": penalty,
            "inflation": np.array(max(1.0, found.error**2 / noise) if noise > 0.0 else 1.0),
        }

    def predict(self, block: Series, state: State) -> Estimate:
        """Return the background plus the modes, fitted to the usable values of each series.

        Parameters
        ----------
        block : Series
            On the steps of the sample that was summarised.
        state : dict
            What `summarise` returned.

        Returns
        -------
        Estimate
        """
        modes = np.asarray(state["modes"], dtype=np.float64)
        penalty = np.asarray(state["penalty"], dtype=np.float64)
        slow, base = design(block.years), background(block)
        regression = Regression(block.usable(), modes, penalty, slow)
        fit = regression.fit(block.values - base)
        mean = times_each(np.concatenate([slow, modes], axis=1), fit.whole)
        mean += base
        if not block.spread:
            return Estimate.without_spread(mean)
        variance = regression.leverage() + 1.0
        variance *= (fit.noise * float(state["inflation"]))[:, None]
        error_variance = np.asarray(state["error_variance"], dtype=np.float64)
        variance += times_each(error_variance, fit.coefficients**2)
        spread = np.sqrt(variance, out=variance)
        spread[np.isnan(base)] = np.nan
        return Estimate(mean, spread)


class _Found(NamedTuple):
    modes: Floats  # (time, k), 0 where none of the series has a value that these are found on
    error: float  # standard deviation for held-out values, in the field's; 0 where none were
    passes: int  # of the filter in time


def _evenly(length: int) -> slice:
    """Return series spread evenly over a field: how many modes there are, these can tell."""
    return slice(None, None, -(-length // _MOST_SERIES))


def _search(field: Singles, known: Bools, root: Singles, years: Floats, seed: int) -> _Found:
    """Return the modes that predict held-out values of some of the series best."""
    random = np.random.default_rng(seed)
    some = _evenly(len(field))
    field, known, root = field[some], known[some], root[some]
    held = hold_out(known, random)
    start = random.standard_normal((field.shape[1], max(_RANKS)))
    start[~known.any(axis=0)] = 0.0
    if not held.any():
        return _Found(start[:, :1], 0.0, 0)
    most = min(min(field.shape) - 1, int(known.sum()) // (2 * sum(field.shape)) + 1)
    ranks = [k for k in _RANKS if k <= most] or [1]
    trial = _Trial(field, known & ~held, held, root, years)
    error, modes = _path(trial, start, 0, ranks)
    passes, least = 0, np.inf
    for tried in _PASSES:
        filtered = trial.error(trial.modes(modes, tried))
        if filtered >= least:
            break
        passes, least = tried, filtered
    if passes:
        # With a filter there may be more modes.
        error, modes = _path(trial, start, passes, ranks)
    return _Found(modes, error, passes)


def hold_out(known: Bools, random: np.random.Generator) -> Bools:
    """Choose values to hold out that are missing in the way that others are missing.

    A step loses the values that another step, drawn at random, lacks: clouds hold out clouds. Where
    no step is missing in part, single values are drawn.

    Parameters
    ----------
    known : ndarray of bool, (series, time)
    random : numpy.random.Generator

    Returns
    -------
    ndarray of bool, (series, time)
        No step and no series loses more than three quarters of its values.
    """
    held, count = np.zeros_like(known), 0
    wanted = max(_LEAST_HELD, _HELD * known.sum())
    for step in random.permutation(known.shape[1]):
        lost = known[:, step] & ~known[:, random.integers(known.shape[1])]
        if 0 < lost.sum() <= 0.75 * known[:, step].sum():
            held[:, step] = lost
            count += int(lost.sum())
        if count >= wanted:
            break
    if count < wanted and len(known) > 3:
        share = min(wanted / known.sum(), 0.2)
        held |= known & (random.random(known.shape) < share)
    held[held.sum(axis=1) > 0.75 * known.sum(axis=1)] = False
    held[:, held.sum(axis=0) > 0.75 * known.sum(axis=0)] = False
    return held


class _Trial:
    """A field with some of its values held out."""

    def __init__(
        self, field: Singles, kept: Bools, held: Bools, root: Singles, years: Floats
    ) -> None:
        self.field = np.where(kept, field, np.float32(0.0))
        self.kept, self.years = kept, years
        self._weighed = self.field * root
        # Some of the series tell how good the modes are.
        some = np.flatnonzero(held.any(axis=1))
        some = some[:: -(-len(some) // _MOST_JUDGED)]
        self._part, self._known, self._held = self.field[some], kept[some], held[some]
        self._truth = field[some][self._held].astype(np.float64)
        self._weight = np.broadcast_to(root[some] ** 2, self._held.shape)[self._held]

    def modes(self, start: Floats, passes: int) -> Floats:
        """Return the modes after a few rounds, (time, k)."""
        first = start.astype(np.float32)
        return _iterate(self._weighed, self.kept, first, self.years, passes, _SEARCH_ROUNDS)

    def error(self, modes: Floats) -> float:
        """Return the root mean square error of what the modes make of held-out values."""
        guess = _guess(self._part, self._known, modes)[self._held]
        return float(np.sqrt(np.average((guess - self._truth) ** 2, weights=self._weight)))


def _path(trial: _Trial, start: Floats, passes: int, ranks: list[int]) -> tuple[float, Floats]:
    """Return the least error of held-out values and the modes that reach it."""
    best, found, late = np.inf, start[:, :1], 0
    modes = start[:, :0]
    for rank in ranks:
        first = np.concatenate([modes, start[:, modes.shape[1] : rank]], axis=1)
        modes = trial.modes(first, passes)
        error = trial.error(modes)
        late += 1
        # Half a per cent is no reason for more modes.
        if error < 0.995 * best:
            best, found, late = error, modes, 0
        if late >= _PATIENCE:
            break
    return best, found


def _iterate(
    weighed: Singles,
    known: Bools,
    start: Singles,
    years: Floats,
    passes: int,
    rounds: int = _ITERATIONS,
) -> Floats:
    """Return the leading temporal modes of the field whose gaps they fill, (time, k).

    One round is a step of subspace iteration on the filled field, its filter in time, and a new
    fill; the gaps start from the modes that are given.

    Parameters
    ----------
    weighed : ndarray, (series, time)
        The field times the root of the areas, anything where not known.
    known : ndarray of bool, (series, time)
    start : ndarray, (time, k)
    years : ndarray, (time,)
    passes : int
        Of the filter.
    rounds : int
        At most.
    """
    missing = np.flatnonzero(~known)
    gaps, steps = len(missing), known.shape[1]
    few = gaps < _FEW * known.size
    row, step = np.divmod(missing, steps) if few else (missing, missing)
    filled = np.ascontiguousarray(np.where(known, weighed, np.float32(0.0)))
    # Steps that border on each other are filtered together, those beyond an absence are not.
    apart = np.diff(years)
    joined = (apart <= 1.5 * np.median(apart)).astype(np.float32)[:, None]
    modes = qr(start, mode="economic")[0]
    fill: NDArray[np.floating] = np.zeros(1, dtype=np.float32)
    # Without gaps the field stays as it is.
    short = not gaps and filled.shape[1] < filled.shape[0]
    gram = filled.T @ filled if short else None
    # All of a field without gaps is in its first rounds: later ones only turn the weakest modes.
    for iteration in range(rounds if gaps else min(rounds, _ITERATIONS_WHOLE)):
        if gaps:
            scores = filled @ modes
            if few:
                before, fill = fill, np.einsum("mk,mk->m", scores[row], modes[step])
                filled.ravel()[missing] = fill
            else:
                before, fill = fill, scores @ modes.T
                np.copyto(filled, fill, where=~known)
        if gaps and iteration and iteration % 4 == 0:
            change = fill - before if few else (fill - before).ravel()[missing]
            if np.linalg.norm(change) < _TOLERANCE * np.sqrt(gaps):
                break
        turned = filled.T @ (filled @ modes) if gram is None else gram @ modes
        for _ in range(passes):
            flow = np.float32(_DIFFUSION) * joined * np.diff(turned, axis=0)
            turned[:-1] += flow
            turned[1:] -= flow
        modes = qr(turned, mode="economic")[0]
    found: Floats = modes.astype(np.float64) * np.sqrt(len(modes))
    return found


def _penalty(field: Singles, known: Bools, modes: Floats) -> tuple[Floats, float]:
    """Return how far to draw the coefficients to 0, (k,), noise over variance, and the noise."""
    values = np.where(known, field, np.float32(0.0)).astype(np.float64)
    regression = Regression(known, modes, np.full(modes.shape[1], 1e-3))
    sums = regression.sums(values)
    fit = regression.solve(*sums)
    for _ in range(2):
        regression = regression.held_by(_held_back(fit.coefficients, float(np.mean(fit.noise))))
        fit = regression.solve(*sums)
    return regression.penalty, float(np.mean(fit.noise))


def _held_back(coefficients: NDArray[np.floating], noise: float) -> Floats:
    power = np.maximum(np.mean(coefficients**2, axis=0), 1e-12)
    held: Floats = np.maximum(noise / power, 1e-9)
    return held


def _guess(field: Singles, known: Bools, modes: Floats) -> Singles:
    """Return the field as the modes have it, fitted to its known values alone.

    By conjugate gradients, all series at once: few values are missing, or about as many in each, so
    that a few steps are enough, and a step costs no more than a product with the modes.
    """
    there, modes = known.astype(np.float32), modes.astype(np.float32)
    count = there.sum(axis=1, keepdims=True)
    right = (field * there) @ modes
    # As if all were known, which tells enough of how far to draw the coefficients to 0.
    found: Any = right / np.maximum(count, np.float32(1.0))
    left = field - found @ modes.T
    left *= there
    noise = float(np.vdot(left, left)) / max(float(count.sum()), 1.0)
    penalty = _held_back(found, noise).astype(np.float32)

    def applied(coefficients: Any) -> Any:
        return ((coefficients @ modes.T) * there) @ modes + coefficients * penalty

    left = right - applied(found)
    way, size = left.copy(), (left**2).sum(axis=1, keepdims=True)
    enough = _EXACT**2 * float((right**2).sum())
    for _ in range(_STEPS):
        if size.sum() <= enough:
            break
        step = applied(way)
        far = size / np.maximum((way * step).sum(axis=1, keepdims=True), _TINY)
        found += far * way
        left -= far * step
        before, size = size, (left**2).sum(axis=1, keepdims=True)
        way *= size / np.maximum(before, _TINY)
        way += left
    guess: Singles = found @ modes.T
    return guess


def _interpolate(modes: Floats, seen: Floats, years: Floats) -> tuple[Floats, Floats]:
    """Return the modes at every step, linear where none was seen, and the variance they lack."""
    whole = np.stack([np.interp(years, seen, mode) for mode in modes.T], axis=1)
    apart = np.diff(seen)
    rate = (np.diff(modes, axis=0) ** 2).sum(axis=0) / apart.sum()
    after = np.searchsorted(seen, years)
    left = years - seen[np.maximum(after - 1, 0)]
    right = seen[np.minimum(after, len(seen) - 1)] - years
    inner = (left > 0.0) & (right > 0.0)
    away = np.where(inner, left * right / np.where(inner, left + right, 1.0), 0.0)
    # Beyond the ends np.interp holds the last value.
    away = np.where(years < seen[0], seen[0] - years, away)
    away = np.where(years > seen[-1], years - seen[-1], away)
    return whole, np.minimum(away[:, None] * rate, 2.0)
