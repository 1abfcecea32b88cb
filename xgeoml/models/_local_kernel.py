"""The covariance of local Gaussian processes between steps of a pair of records."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xgeoml.models._surroundings import LAGS, Cells, Singles, Surroundings, neighbours_in_time
from xgeoml.models.downscaling import Clock

# Predictors of less weight than this are left out.
_LEAST_WEIGHT = 0.02
# Steps that the noise stays.
_MEMORY = 12.0


class Shape(NamedTuple):
    """What the covariance depends on; amplitudes count in those of the linear response.

    Attributes
    ----------
    noise : float
        Variance that nothing explains.
    memory : float
        Variance of the noise that stays for some steps.
    reach : float
        Cells within which the linear response sees.
    own : float
        Weight of the point's own cell; its neighbours count by their difference to it.
    before_1, before_2, before_4 : float
        Weights of the fields one, two and four steps before and after.
    linear_day, linear_season : float
        Share of the linear response that depends on the hour and the season.
    weather : float
        Variance of the response that is not linear.
    length : float
        How far apart two states of the surroundings are that have little in common.
    weather_reach, weather_own, weather_before : float
        As `reach`, `own` and `before_1`, of the surroundings that are compared.
    weather_day, weather_season : float
        Share of that response that depends on the hour and the season.
    cycles : float
        Variance of the mean over hours and seasons.
    day_width, season_width : float
        How alike hours and seasons are, in radians.
    covariates : float
        Weight of covariates of the own cell.
    """

    noise: float = 0.8
    memory: float = 0.05
    reach: float = 1.1
    own: float = 0.3
    before_1: float = 0.5
    before_2: float = 0.5
    before_4: float = 0.15
    linear_day: float = 0.15
    linear_season: float = 0.04
    weather: float = 0.6
    length: float = 1.0
    weather_reach: float = 1.2
    weather_own: float = 0.6
    weather_before: float = 0.2
    weather_day: float = 0.1
    weather_season: float = 0.25
    cycles: float = 0.025
    day_width: float = 0.8
    season_width: float = 1.0
    covariates: float = 0.5


class Steps(NamedTuple):
    """What is known of some steps.

    Attributes
    ----------
    values : ndarray, (lag, predictor, step)
        Standardised anomalies, those of `LAGS` steps away.
    covariates : ndarray, (covariate, step, predictor)
    day, season : ndarray, (step,)
        In radians; 0 where unknown.
    """

    values: Singles
    covariates: Singles
    day: Singles
    season: Singles

    @classmethod
    def of(cls, anomaly: Singles, covariates: Singles, clock: Clock, around: Surroundings) -> Steps:
        """Return those of a record or a piece of one."""
        lagged = neighbours_in_time(clock.years, around.spacing)
        day, season = (
            (2.0 * np.pi * np.nan_to_num(share)).astype(np.float32)
            for share in (clock.day, clock.season)
        )
        values = np.stack([anomaly[there].T for there in lagged.T])
        return cls(values, covariates, day, season)

    def some(self, which: Cells) -> Steps:
        """Return some of the steps."""
        return Steps(
            self.values[:, :, which],
            self.covariates[:, which],
            self.day[which],
            self.season[which],
        )


class Times(NamedTuple):
    """The factors of the covariance that all points share: those of hour and season."""

    linear: Singles
    weather: Singles
    cycles: Singles


def in_time(first: Steps, second: Steps, shape: Shape) -> Times:
    """Return the factors between two sets of steps, ``(first, second)``."""
    day = _alike(first.day, second.day, shape.day_width)
    season = _alike(first.season, second.season, shape.season_width)
    always = max(0.0, 1.0 - shape.weather_day - shape.weather_season)
    linear = 1.0 + shape.linear_day * day + shape.linear_season * season
    weather = always + shape.weather_day * day + shape.weather_season * season
    cycles = day + season + day * season
    return Times(linear, np.float32(shape.weather) * weather, np.float32(shape.cycles) * cycles)


def _alike(first: Singles, second: Singles, width: float) -> Singles:
    apart = np.cos(first[:, None] - second[None, :])
    return np.asarray(np.exp((apart - 1.0) / np.float32(width**2)), dtype=np.float32)


def around_a_cell(
    steps: Steps, near: tuple[Cells, Singles], shape: Shape
) -> tuple[Singles, Singles]:
    """Return the predictors of the linear response and of the other one, ``(predictor, step)``.

    Parameters
    ----------
    steps : Steps
    near : tuple of ndarray
        The own cell and those around it, with their squared distances.
    shape : Shape
    """
    cells, distance = near
    own = steps.values[LAGS.index(0), cells[0]]
    linear, weather = [shape.own * own[None]], [shape.weather_own * own[None]]
    by_lag = {0: 1.0, 1: shape.before_1, 2: shape.before_2, 4: shape.before_4}
    fading = np.exp(-0.5 * distance / shape.reach**2)
    weather_fading = np.exp(-0.5 * distance / shape.weather_reach**2)
    # At its own time the own cell differs from itself by nothing.
    elsewhere = distance > 0.0
    for lag, value in zip(LAGS, steps.values, strict=True):
        counts = elsewhere if lag == 0 else np.ones_like(elsewhere)
        linear.append(_apart(value, cells, own, by_lag[abs(lag)] * fading * counts))
        if lag in (-1, 0, 1):
            share = 1.0 if lag == 0 else shape.weather_before
            weather.append(_apart(value, cells, own, share * weather_fading * counts))
    driven = shape.covariates * steps.covariates[:, :, cells[0]]
    first, second = (
        np.concatenate([*parts, driven], dtype=np.float32) for parts in (linear, weather)
    )
    return first, second


def _apart(value: Singles, cells: Cells, own: Singles, weight: Singles) -> Singles:
    """Return what cells differ by from the own one, times their weights."""
    some = weight > _LEAST_WEIGHT
    made = (value[cells[some]] - own) * weight[some, None]
    return made.astype(np.float32)


def covariance(
    first: tuple[Singles, Singles], second: tuple[Singles, Singles], times: Times, shape: Shape
) -> Singles:
    """Return the covariance between the responses at two sets of steps, ``(first, second)``."""
    made = first[0].T @ second[0]
    made *= times.linear
    made += times.cycles
    apart = first[1].T @ second[1]
    apart *= -2.0
    apart += (first[1] ** 2).sum(axis=0)[:, None]
    apart += (second[1] ** 2).sum(axis=0)[None, :]
    np.maximum(apart, 0.0, out=apart)
    apart *= np.float32(-0.5 / shape.length**2)
    np.exp(apart, out=apart)
    apart *= times.weather
    made += apart
    return made


def remembered(steps: Cells, shape: Shape) -> Singles:
    """Return the covariance of the noise between some steps: part of it stays."""
    way = np.abs(np.subtract.outer(steps, steps)).astype(np.float32)
    made = np.float32(shape.memory) * np.exp(-way / np.float32(_MEMORY))
    made.flat[:: len(steps) + 1] += shape.noise
    return np.asarray(made)
