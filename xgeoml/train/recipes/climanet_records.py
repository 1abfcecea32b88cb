"""What the recipe of climanet learns from: the sea, the same with noise, waves, real clouds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.random import Generator
from scipy.ndimage import distance_transform_edt, gaussian_filter

from xgeoml.engine.plan import plan_axes
from xgeoml.models.series import Bools, Floats
from xgeoml.months import months_of
from xgeoml.spec import AxisSpec
from xgeoml.train.months import MonthField
from xgeoml.train.patterns import Single

SEA = "pretrain/oisst_daily_tasman_1982-1999_0p25.nc"
CLOUDS = "sst/avhrr_l3_alboran_clouds_train_0p02.nc"
SLOTS = 31
# Years that the skill is measured in: nothing is learnt from them.
FIRST_SCORED = 1997
# Days of real clouds that are learnt from; the others belong to the skill.
LEARNT_CLOUDS = 5
# Clouds are cut with every so manieth of their cells, where at least this share is sea.
_STRIDES, _LEAST_SEA, _APART = (1, 2, 3, 4), 0.75, 8
# Noise of each day and cell, in kelvins: least and most.
_NOISE = (0.05, 0.5)
# Records of waves, six months each.
_WAVES, _MONTHS = 120, 6


@dataclass(frozen=True)
class Days:
    """A record as months of 31 slots.

    Attributes
    ----------
    value, share : ndarray of float32, (*case, slot, y, x)
        NaN where missing; share of the day that was observed.
    clock : ndarray, (slot,)
        Decimal years, NaN where the calendar has no such day.
    """

    value: Single
    share: Single
    clock: Floats


def read_sea(data_path: Path) -> tuple[Days, Days]:
    """Return the sea surface temperature until `FIRST_SCORED`, and from then on."""
    with xr.open_dataset(data_path / SEA) as source:
        record = source["sst"].load()
    return tuple(  # type: ignore[return-value]
        _in_slots(record.isel(time=some))
        for some in (record.time.dt.year < FIRST_SCORED, record.time.dt.year >= FIRST_SCORED)
    )


def _in_slots(record: xr.DataArray) -> Days:
    months = months_of(record.time.values)
    day = months.clock.in_month // months.clock.day
    slot = SLOTS * months.index + day
    count = SLOTS * months.number.size
    value = np.full((count, *record.shape[1:]), np.nan, np.float32)
    value[slot] = record.values
    year = months.number[months.index] // 12
    start, end = (months.clock.month_start(12 * (year + k)) for k in (0, 1))
    part = (months.clock.ticks - start) / (end - start)
    clock = np.full(count, np.nan)
    clock[slot] = year - (year[0] + year[-1]) // 2 + part
    return Days(value, np.isfinite(value).astype(np.float32), clock)


def with_noise(days: Days, rng: Generator) -> Days:
    """Return a record with noise, another amount each month."""
    count = len(days.value) // SLOTS
    low, high = map(math.log, _NOISE)
    size = np.exp(rng.uniform(low, high, count)).repeat(SLOTS)[:, None, None]
    noise = size * rng.standard_normal(days.value.shape)
    return Days((days.value + noise).astype(np.float32), days.share, days.clock)


def waves(rng: Generator, side: int = 32) -> Days:
    """Return records of random fields of all scales, each with a season and a land of its own."""
    clock = (np.arange(_MONTHS * SLOTS) // SLOTS) / 12.0 + (
        np.arange(_MONTHS * SLOTS) % SLOTS
    ) / 366
    clock[np.arange(_MONTHS * SLOTS) % SLOTS == SLOTS - 1] = np.nan
    made = np.stack([_wave(clock, side, rng) for _ in range(_WAVES)])
    return Days(made, np.isfinite(made).astype(np.float32), clock)


def _wave(clock: Floats, side: int, rng: Generator) -> Single:
    """Return one of them, (slot, y, x)."""
    phase = rng.uniform(0.0, 2.0 * np.pi)
    season = rng.uniform(0.0, 3.0) * np.cos(2.0 * np.pi * clock + phase)
    pattern = rng.uniform(0.0, 2.0) * _smooth((1, side, side), 0.0, (1.0, 8.0), rng)
    value = season[:, None, None] + pattern
    for _ in range(2):
        days = math.exp(rng.uniform(math.log(0.5), math.log(12.0)))
        size = rng.uniform(0.1, 1.0)
        value = value + size * _smooth((len(clock), side, side), days, (0.6, 6.0), rng)
    if rng.random() < 0.3:
        value = value + rng.uniform(0.0, 0.4) * rng.standard_normal(value.shape)
    if rng.random() < 0.5:
        value[:, _smooth((1, side, side), 0.0, (4.0, 4.1), rng)[0] > rng.uniform(0.8, 3.0)] = np.nan
    made: Single = value.astype(np.float32)
    return made


def _smooth(
    shape: tuple[int, int, int], days: float, cells: tuple[float, float], rng: Generator
) -> Floats:
    """Return smoothed noise of deviation 1, its scale in cells log-uniform."""
    low, high = map(math.log, cells)
    scale = math.exp(rng.uniform(low, high))
    beyond = int(2 * scale) + 1
    noise = rng.standard_normal((shape[0], shape[1] + 2 * beyond, shape[2] + 2 * beyond))
    field: Floats = gaussian_filter(noise, (days, scale, scale))[:, beyond:-beyond, beyond:-beyond]
    field /= field.std()
    return field


def read_clouds(data_path: Path, side: int = 32) -> tuple[list[Bools], list[Bools]]:
    """Return pieces of real clouds, each (day, y, x): those to learn from, and the others.

    What lies over land is taken from the nearest sea; pieces that are land for the most part are
    left out.
    """
    with xr.open_dataset(data_path / CLOUDS) as week:
        sea = week["mask"].values == 1
        cloud = np.isnan(week["SST"].values)
    nearest = distance_transform_edt(~sea, return_distances=False, return_indices=True)
    cloud = cloud[:, nearest[0], nearest[1]]
    pieces = []
    for stride in _STRIDES:
        thin, there = cloud[:, ::stride, ::stride], sea[::stride, ::stride]
        for y in range(0, there.shape[0] - side + 1, _APART):
            for x in range(0, there.shape[1] - side + 1, _APART):
                cut = (slice(y, y + side), slice(x, x + side))
                if there[cut].mean() >= _LEAST_SEA:
                    pieces.append(thin[:, *cut])
    return [p[:LEARNT_CLOUDS] for p in pieces], [p[LEARNT_CLOUDS:] for p in pieces]


def as_field(name: str, days: Days, axes: tuple[AxisSpec, ...], clouds: list[Bools]) -> MonthField:
    """Return a record to learn from, all of it."""
    cases = days.value.ndim - len(axes)
    specs = [*(AxisSpec("Z", "pointwise") for _ in range(cases)), *axes]
    plan = plan_axes(days.value.shape, specs)
    area = np.ones(days.value.shape[:cases])
    target = np.ones(len(days.clock) // SLOTS, bool)
    arrays = [days.value, days.share]
    return MonthField(name, arrays, days.clock, plan, cases, area, target, clouds=clouds)
