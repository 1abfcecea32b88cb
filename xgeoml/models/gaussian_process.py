"""Gaussian processes from coarse to fine fields, fitted on pairs of these."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg.lapack import spotrf, spotrs

from xgeoml.models._local_kernel import (
    Shape,
    Steps,
    Times,
    around_a_cell,
    covariance,
    in_time,
    remembered,
)
from xgeoml.models._regression import seasons_seen
from xgeoml.models._surroundings import (
    FAR,
    LAGS,
    Cells,
    Singles,
    Surroundings,
    blocks_held_out,
    covariates_of,
    first_guess,
    known_steps,
    own_steps,
    sample_of_points,
    strips,
    unexplained,
)
from xgeoml.models.downscaling import Clock, Pairs, Window
from xgeoml.models.series import Bools, Floats, State

# Steps that a record is compared with: all up to the first number; of longer records, or larger
# grids, as many as make so many coefficients (256 MB), but not fewer than the last number.
_MOST_STEPS, _COEFFICIENTS, _FEWEST_STEPS = 2000, 2**26, 256
# Steps of a longer record on which the shape is chosen, in runs of so many. Fewer steps would ask
# for another shape: one chosen on a third of the air temperatures had errors 2 % larger on all.
_STEPS_TO_CHOOSE, _RUN = 2000, 8
_NOISES = ((0.3, 0.1, 0.02), (3.0, 10.0, 100.0))
# Rounds of the search start with factors of this size, and end below the other.
_FIRST_FACTOR, _LAST_FACTOR = 2.5, 1.25
_JITTER = 1e-5


class GaussianProcess:
    """Regression on the coarse cells and steps around each point, linear and by likeness.

    Parameters
    ----------
    trials : int
        How many shapes of the covariance are tried on held-out blocks of the record.
    """

    # Each point learns by itself: what never changes there tells it nothing.
    uses_static = False

    # Steps before and after those wanted that it looks at.
    around = max(LAGS)

    def __init__(self, trials: int = 40) -> None:
        self.trials = trials

    def fit(self, pairs: Pairs) -> State:
        """Return what was learnt from coarse and fine fields of the same times."""
        around = Surroundings.of(pairs)
        coarse = np.asarray(pairs.coarse, dtype=np.float64)
        anomaly = around.anomalies(coarse)
        covariates, levels = around.standardised(np.asarray(pairs.covariates))
        pairs = replace(pairs, clock=_seen(pairs.clock, seasons_seen(pairs.clock)))
        steps = Steps.of(anomaly, covariates, pairs.clock, around)
        some = list(_sample(pairs, coarse, around))
        shape = _chosen(some, steps, around, pairs, self.trials)

        marks = _landmarks(len(coarse), pairs.fine[0].size)
        exact = len(marks) == len(coarse)
        times = in_time(steps, steps.some(marks), shape)
        noise = remembered(np.arange(len(coarse)), shape) if exact else None
        height, width = pairs.placement.shape
        weight = np.zeros((len(marks), height, width), dtype=np.float32)
        mean = np.full((height, width), np.nan)
        for rows in strips(pairs):
            pairs.report("fitting", rows.start / height)
            left = unexplained(pairs, coarse, rows, around)
            piece = weight[:, rows].reshape(len(marks), -1)
            level = mean[rows].reshape(-1)
            for own, points in around.groups(rows):
                target = _Target.of(left[:, points])
                if not len(target.points):
                    continue
                points = points[target.points]
                level[points] = target.mean
                predictors = around_a_cell(steps, around.near(own, FAR), shape)
                piece[:, points] = _solved(predictors, target, times, shape, marks, noise)
            weight[:, rows] = piece.reshape(len(marks), -1, width)
            mean[rows] = level.reshape(-1, width)
        return {
            **around.state(),
            "share": pairs.share.astype(np.float32),
            "anomaly": anomaly,
            "covariates": covariates,
            "levels": levels,
            "marks": marks,
            "clock": np.stack([pairs.clock.season, pairs.clock.day, pairs.clock.years]),
            "shape": np.array(shape),
            "weight": weight,
            "fine_mean": mean,
        }

    def predict(self, window: Window, state: State) -> Floats:
        """Return the fine fields, ``(step, Y', X')``."""
        kept: dict[str, Any] = dict(state)
        around = Surroundings.from_state(state)
        shape = Shape(*(float(v) for v in kept["shape"]))
        marks = _landmark_steps(kept, around)
        seen = known_steps(window)
        seasons = bool(np.isfinite(kept["clock"][0]).any())
        value, clock = window.value[seen], _seen(window.clock.steps(seen), seasons)
        wanted = own_steps(window)
        made = np.full((len(wanted), *window.placement.shape), np.nan)
        position = np.searchsorted(seen, wanted)
        there = np.isin(wanted, seen)
        if not there.any():
            return made
        at, value_at = position[there], window.value[wanted[there]]
        covariates, _ = around.standardised(covariates_of(window), kept["levels"])
        steps = Steps.of(around.anomalies(value), covariates[:, seen], clock, around).some(at)
        times = in_time(steps, marks, shape)
        guess = first_guess(
            value_at, window.placement, kept["share"], slice(0, made.shape[1]), around
        )
        guess += kept["fine_mean"]
        flat = guess.reshape(len(guess), -1)
        weight = kept["weight"].reshape(len(kept["weight"]), -1)
        for own, points in around.groups(slice(None)):
            points = points[np.isfinite(flat[:, points]).any(axis=0)]
            if len(points):
                near = around.near(own, FAR)
                here, then = (around_a_cell(s, near, shape) for s in (steps, marks))
                flat[:, points] += covariance(here, then, times, shape) @ weight[:, points]
        made[there] = guess
        return made


def _seen(clock: Clock, seasons: bool) -> Clock:
    """Return a clock that knows of seasons only where the record has seen them.

    In a shorter record likeness of the season is nearness in time: that helps in blocks that are
    held out between others, and not afterwards.
    """
    season = clock.season if seasons else np.full(len(clock), np.nan)
    return Clock(season, clock.day, clock.years)


class _Target(NamedTuple):
    """What is to be explained at the points around a cell.

    Attributes
    ----------
    points : ndarray
        Those that have values.
    steps : ndarray
        At which they have.
    value : ndarray, (step, point)
        Anomalies.
    mean : ndarray, (point,)
    """

    points: Cells
    steps: Cells
    value: Singles
    mean: Floats

    @classmethod
    def of(cls, left: Floats) -> _Target:
        """Return that of ``(step, point)``, NaN where missing."""
        known = np.isfinite(left)
        points = np.flatnonzero(known.any(axis=0))
        known, left = known[:, points], left[:, points]
        whole = known.all(axis=1)
        # Where points are never all seen, one that is missing counts as usual.
        some = whole if whole.mean() >= 0.5 * known.any(axis=1).mean() else known.any(axis=1)
        steps = np.flatnonzero(some)
        known, left = known[steps], left[steps]
        total = np.where(known, left, 0.0).sum(axis=0)
        mean = total / np.maximum(known.sum(axis=0), 1)
        return cls(points, steps, np.where(known, left - mean, 0.0).astype(np.float32), mean)


def _landmarks(steps: int, points: int) -> Cells:
    """Return the steps of the record that others are compared with."""
    most = min(_MOST_STEPS, max(_FEWEST_STEPS, _COEFFICIENTS // max(1, points)))
    if steps <= most:
        return np.arange(steps)
    return np.unique(np.linspace(0, steps - 1, most).round().astype(np.intp))


def _landmark_steps(state: dict[str, Any], around: Surroundings) -> Steps:
    clock = Clock(*state["clock"])
    return Steps.of(state["anomaly"], state["covariates"], clock, around).some(state["marks"])


def _solved(
    predictors: tuple[Singles, Singles],
    target: _Target,
    times: Times,
    shape: Shape,
    marks: Cells,
    noise: Singles | None,
) -> Singles:
    """Return the weights of the landmarks, ``(landmark, point)``.

    Without `noise` the covariance between steps is that through the landmarks (Seeger et al. 2003,
    the projected process).
    """
    second = (predictors[0][:, marks], predictors[1][:, marks])
    made = np.zeros((len(marks), len(target.points)), dtype=np.float32)
    s = target.steps
    if noise is not None:
        whole = covariance(predictors, second, times, shape)
        whole += noise
        made[s] = _solve(_part(whole, s, s), target.value)
        return made
    first = (predictors[0][:, s], predictors[1][:, s])
    between = covariance(first, second, Times(*(t[s] for t in times)), shape)
    among = covariance(second, second, Times(*(t[marks] for t in times)), shape)
    # As one regression on the landmarks, with their covariance for the penalty.
    normal = between.T @ between + np.float32(shape.noise + shape.memory) * among
    normal.flat[:: len(marks) + 1] += _JITTER * np.trace(normal)
    return _solve(normal, between.T @ target.value)


def _part(matrix: Singles, rows: Cells, columns: Cells) -> Singles:
    if len(rows) == len(matrix) and len(columns) == matrix.shape[1]:
        return matrix
    return matrix[np.ix_(rows, columns)]


def _solve(matrix: Singles, right: Singles) -> Singles:
    """Solve symmetric equations."""
    factor, failed = spotrf(matrix.T, lower=0, clean=0)
    if failed:
        raise np.linalg.LinAlgError("covariance not positive definite")
    return np.asarray(spotrs(factor, right, lower=0)[0])


class _Sample(NamedTuple):
    near: tuple[Cells, Singles]
    target: _Target


def _sample(pairs: Pairs, coarse: Floats, around: Surroundings) -> Iterator[_Sample]:
    """Yield the points around some cells, spread over the domain."""
    for own, left in sample_of_points(pairs, coarse, around):
        yield _Sample(around.near(own, FAR), _Target.of(left))


def _chosen(
    samples: list[_Sample], steps: Steps, around: Surroundings, pairs: Pairs, trials: int
) -> Shape:
    """Return the shape with the smallest error in blocks of steps that are held out."""
    folds = blocks_held_out(pairs.clock)
    every = -(-len(pairs.clock) // _STEPS_TO_CHOOSE)
    runs = np.arange(len(pairs.clock)) // _RUN
    some = np.flatnonzero(runs % every == 0)
    tried: dict[Shape, float] = {}

    def error(shape: Shape) -> float:
        if shape not in tried:
            pairs.report("choosing the covariance", len(tried) / max(1, trials))
            tried[shape] = _error(samples, steps, folds, shape, some)
        return tried[shape]

    return _searched(error, _free(pairs, around), lambda: len(tried) < trials)


def _searched(
    error: Callable[[Shape], float], names: list[str], goes_on: Callable[[], bool]
) -> Shape:
    """Return the shape of the smallest error, one coordinate after the other."""
    shape = Shape()
    for noises in _NOISES:
        for noise in noises:
            other = shape._replace(noise=noise)
            if error(other) >= error(shape):
                break
            shape = other
    factors = dict.fromkeys(names, _FIRST_FACTOR)
    while goes_on() and max(factors.values()) > _LAST_FACTOR:
        for name, factor in factors.items():
            if not goes_on():
                break
            for by in (factor, 1.0 / factor):
                other = shape._replace(**{name: getattr(shape, name) * by})
                if other.weather_day + other.weather_season > 1.0:
                    continue
                if error(other) < error(shape):
                    shape = other
                    break
            else:
                factors[name] = factor**0.5
    return shape


def _free(pairs: Pairs, around: Surroundings) -> list[str]:
    """Return what the record can tell of the shape, what matters most first."""
    names = ["noise", "weather", "reach", "cycles", "before_1", "own", "length"]
    names += ["linear_day", "weather_season", "before_2", "weather_reach", "weather_day"]
    names += ["before_4", "season_width", "memory", "weather_own", "linear_season", "day_width"]
    names += ["weather_before", "covariates"]
    known = {
        "day": bool(np.isfinite(pairs.clock.day).all()),
        "season": bool(np.isfinite(pairs.clock.season).all()),
        "before": not np.isnan(around.spacing),
        "covariates": len(pairs.covariates) > 0,
    }
    return [n for n in names if all(there or word not in n for word, there in known.items())]


def _error(
    samples: list[_Sample],
    steps: Steps,
    folds: list[tuple[Bools, Bools]],
    shape: Shape,
    some: Cells,
) -> float:
    """Return the mean square error of a shape in blocks that are held out.

    `some` are the steps that are looked at.
    """
    part = steps.some(some)
    times, noise = in_time(part, part, shape), remembered(some, shape)
    total, count = 0.0, 0
    for near, target in samples:
        predictors = around_a_cell(part, near, shape)
        whole = covariance(predictors, predictors, times, shape)
        place = np.full(len(steps.day), -1)
        place[target.steps] = np.arange(len(target.steps))
        place = place[some]
        for learn, held in folds:
            s, h = (np.flatnonzero(which[some] & (place >= 0)) for which in (learn, held))
            if not len(s) or not len(h):
                continue
            known = target.value[place[s]]
            mean = known.mean(axis=0)
            matrix = whole[np.ix_(s, s)]
            matrix += noise[np.ix_(s, s)]
            made = whole[np.ix_(h, s)] @ _solve(matrix, known - mean)
            off = (made + mean - target.value[place[h]]).astype(np.float64)
            total += float((off**2).sum())
            count += made.size
    return total / max(1, count)
