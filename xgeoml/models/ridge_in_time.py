"""Ridge regression of what lies between two steps on the fields around them, and on the hour."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xgeoml.models._intervals import Calendar, Intervals, Parts, Singles, Steps, Tile
from xgeoml.models._stages import Sample, Stages
from xgeoml.models.diurnal import Diurnal
from xgeoml.models.downscaling import Clock
from xgeoml.models.in_time import Record, Stretch
from xgeoml.models.series import Bools, Floats, State

# Lengths of interval, in steps: those up to a day, but the first ones in any case.
_MULTIPLES, _ALWAYS, _DAY = (2, 3, 4, 6, 8, 12, 24), (2, 4), 1.02
# Waves within an interval.
_WAVES = 5
# Intervals from which one length can be learnt, and more of which need not be looked at.
_FEWEST, _MOST = 60, 8192
# Hours at which intervals begin that are told apart, and intervals that each needs.
_HOURS, _EACH = 8, 100
_MINUTES = 15
# Blocks of the record that are held out in turn: days of each, sets of them, blocks a set.
_BLOCK, _SETS, _BLOCKS = 3.0, 4, 4
# Tiles on which choices are made: their size and number, at most and at least, and values of their
# moments. Small ones, spread over the domain: land and sea differ.
_SIDE, _MOST_TILES, _FEWEST_TILES, _MOMENTS = 4, 20, 5, 2**27
# Values of a tile's predictors at once, and its size at most.
_ELEMENTS, _LARGEST = 2**26, 16
# Other lengths take the nearest one's coefficients up to this factor.
_NEAR = 1.5


class RidgeInTime:
    """Straight lines from step to step, and sine waves upon them by ridge regression.

    The size of each wave is regressed on the values at both ends and at the steps before and after,
    of the cell and of the cells within two rows and columns, on season and hour, and on what the
    cell's own values tell at the hour and season. In stages, each of which learns what those before
    leave: all cells together, each cell with those next to it, and each hour at which intervals
    begin, where there are few. Penalties are chosen in blocks of the record that are held out.

    There is one regression for each length of interval, up to a day. Where there is none, for
    intervals much longer or shorter and where a value is missing, `Diurnal` serves.
    """

    def fit(self, record: Record) -> State:
        """Return the coefficients for each length of interval that the record teaches."""
        return self.again(record, {})

    def again(self, record: Record, state: State) -> State:
        """Return the coefficients with the penalties of a fit to other steps of the record.

        Choosing them takes most of the time. Lengths that the state has none for choose their own.
        """
        base = Diurnal().fit(record)
        calendar = Calendar.of(record.clock)
        mean = _means(record.value)
        step = float(np.median(np.diff(record.days))) if len(record.days) > 1 else 1.0
        lengths = [
            k
            for k in _MULTIPLES
            if (k * step <= _DAY or k in _ALWAYS) and len(_starts(record, k, step)) >= _FEWEST
        ]
        made: State = {f"diurnal_{name}": value for name, value in base.items()}
        made |= {
            "calendar": np.array(calendar),
            "mean": mean,
            "multiples": np.array(lengths, np.int64),
            "lengths": np.array(lengths) * step,
        }
        for number, k in enumerate(lengths):
            for component, (value, level) in enumerate(zip(record.value, mean, strict=True)):
                done = (number + component / len(mean)) / len(lengths)
                record.report(f"fitting intervals of {k} steps", done)
                departures = np.ascontiguousarray(np.moveaxis(value - level, 0, 2), np.float32)
                name = f"_{k}_{component}"
                own = _Length(departures, record, k, step, calendar)
                made |= {n + name: part for n, part in own.fit(state.get("chosen" + name)).items()}
        return made

    def predict(self, stretch: Stretch, state: State) -> Floats:
        """Return the fields at the times that are wanted, ``(component, time, y, x)``."""
        kept: dict[str, Any] = dict(state)
        prefix = "diurnal_"
        base = {n.removeprefix(prefix): v for n, v in kept.items() if n.startswith(prefix)}
        before = stretch.before
        nearest = _nearest(np.diff(stretch.days), kept["lengths"])[before]
        made = np.empty((len(stretch.value), len(before), *stretch.value.shape[2:]))
        for component, level in enumerate(kept["mean"]):
            value = stretch.value[component]
            line = stretch.theta[:, None, None] * (value[before + 1] - value[before])
            made[component] = value[before] + line
            departures = np.moveaxis(value - level, 0, 2).astype(np.float32)
            for number in np.unique(nearest[nearest >= 0]).tolist():
                times = nearest == number
                name = f"_{int(kept['multiples'][number])}_{component}"
                own = {n.removesuffix(name): v for n, v in kept.items() if n.endswith(name)}
                part = _times(stretch, times)
                made[component, times] += _waves(departures, part, own, kept["calendar"])
        made[:, nearest < 0] = np.nan
        lacking: Bools = np.any(np.isnan(made), axis=(0, 2, 3))
        if lacking.any():
            guess = Diurnal().predict(_times(stretch, lacking), base)
            made[:, lacking] = np.where(np.isnan(made[:, lacking]), guess, made[:, lacking])
        return made


class _Length:
    """Intervals of one length, to learn from.

    Parameters
    ----------
    value : ndarray, (y, x, step)
        Departures from the mean.
    record : Record
    steps : int
    step : float
        Days from one step to the next.
    calendar : Calendar
    """

    def __init__(
        self, value: Singles, record: Record, steps: int, step: float, calendar: Calendar
    ) -> None:
        first = _starts(record, steps, step)
        minutes = _minutes(record.clock.steps(first))
        hours = np.unique(minutes)
        apart = 1 < len(hours) <= _HOURS and len(first) >= _EACH * len(hours)
        self.hours = hours if apart else hours[:1]
        hour = np.searchsorted(hours, minutes) if apart else np.zeros(len(first), np.intp)
        block = _blocks(record.days, first, first + steps)
        # Intervals of the same hour and block lie together.
        group = hour * (_SETS + 1) + block
        order = np.argsort(group, kind="stable")
        self.first, self.steps, self.value = first[order], steps, value
        edges = np.searchsorted(group[order], np.arange(len(self.hours) * (_SETS + 1) + 1))
        self.groups = [slice(*pair) for pair in pairwise(edges.tolist())]
        self.calendar, self.waves = calendar, min(steps - 1, _WAVES)
        self.parts = Parts.of(calendar)
        lon = record.place.lon
        self.around = Intervals.of(value, record.days, record.clock, self.first, steps, lon)
        self.known: Bools = np.any(self.around.known, axis=2)

    def fit(self, chosen: NDArray[Any] | None) -> State:
        """Return coefficients, hours, the scale and the penalties, if need be chosen."""
        height, width = self.known.shape
        made = np.zeros((len(self.hours), self.waves, self.parts.total, height, width), np.float32)
        stages = Stages(self.parts, self.waves)
        if chosen is not None:
            stages.chosen = np.asarray(chosen, np.float32)
        if self.known.any():
            samples = self._samples()
            if chosen is None:
                stages.choose(samples)
            stages.share(samples)
        side = int(np.sqrt(_ELEMENTS / (self._size * len(self.first)))) - 2
        for tile in _tiles(height, width, int(np.clip(side, 1, _LARGEST))):
            if self.known[tile].any():
                wide, inner = _wider(tile, height, width)
                moments = self.moments(wide).sum(axis=1)
                found = stages.coefficients(moments, self.known[wide], inner)
                made[:, :, :, *tile] = np.moveaxis(found, (4, 3), (1, 2))
        scale = np.array(self.around.scale)
        return {
            "coefficients": made,
            "hours": self.hours,
            "scale": scale,
            "chosen": stages.chosen,
        }

    def _samples(self) -> list[Sample]:
        height, width = self.known.shape
        tiles = [t for t in _tiles(height, width, _SIDE) if self.known[t].any()]
        each = len(self.groups) * (_SIDE + 2) ** 2 * self._size**2
        count = min(len(tiles), int(np.clip(_MOMENTS // each, _FEWEST_TILES, _MOST_TILES)))
        places = ((np.arange(count) + 0.5) * len(tiles) / count).astype(np.intp)
        made = []
        for tile in (tiles[i] for i in places.tolist()):
            wide, inner = _wider(tile, height, width)
            made.append(Sample(self.moments(wide), self.known[wide], inner))
        return made

    @property
    def _size(self) -> int:
        return self.parts.total + self.waves

    def moments(self, tile: Tile) -> Singles:
        """Return the moments of a tile; see `Sample`."""
        made = self.around.predictors(tile, self.calendar, self.waves)
        value, k = self.value[tile], self.steps
        start, end = value[:, :, self.first], value[:, :, self.first + k]
        waves = np.zeros((*start.shape[:2], self.waves, start.shape[2]), np.float32)
        for j in range(1, k):
            left = value[:, :, self.first + j] - (start + np.float32(j / k) * (end - start))
            share = 2.0 / k * _sines(np.array([j / k]), self.waves)[0]
            waves += left[:, :, None] * share.astype(np.float32)[:, None]
        waves /= np.float32(self.around.scale)
        made[:, :, self.parts.total :] = waves
        missing: Bools = np.any(np.isnan(waves), axis=2)
        if missing.any():
            made = np.where(missing[:, :, None], np.float32(0.0), made)
        parts = [made[..., group] for group in self.groups]
        moments = np.stack([part @ part.swapaxes(2, 3) for part in parts])
        return moments.reshape(len(self.hours), _SETS + 1, *moments.shape[1:])


class _Own(NamedTuple):
    """The coefficients for one length of interval and one component.

    Attributes
    ----------
    coefficients : ndarray, (hour, wave, predictor, Y, X)
    hours : ndarray, (hour,)
        Minutes of the day.
    scale : ndarray, ()
    chosen : ndarray, (1 + stage, wave)
        Penalties; see `Stages`.
    """

    coefficients: Singles
    hours: Steps
    scale: Floats
    chosen: Floats


def _waves(value: Singles, stretch: Stretch, own: State, calendar: Any) -> Floats:
    """Return what is added to straight lines, ``(time, y, x)``; NaN where a value is missing."""
    kept = _Own(**own)  # type: ignore[arg-type]
    first, which = np.unique(stretch.before, return_inverse=True)
    around = Intervals.of(
        value, stretch.days, stretch.clock, first, 1, stretch.place.lon, float(kept.scale)
    )
    minutes = _minutes(stretch.clock.steps(first))
    away = np.abs(minutes[:, None] - kept.hours)
    hour = np.minimum(away, 1440 - away).argmin(axis=1)
    n_waves = kept.coefficients.shape[1]
    sizes = np.empty((len(first), n_waves, *value.shape[:2]))
    for tile in _tiles(value.shape[0], value.shape[1], _LARGEST):
        made = around.predictors(tile, Calendar(*calendar.tolist()))
        for number in np.unique(hour).tolist():
            there = hour == number
            matrix = kept.coefficients[number][:, :, *tile].transpose(2, 3, 0, 1)
            found = matrix @ made[..., there]
            sizes[there, :, *tile] = np.moveaxis(found, (3, 2), (0, 1))
    sizes = np.where(np.moveaxis(around.known, 2, 0)[:, None], sizes, np.nan) * kept.scale
    return np.asarray((_sines(stretch.theta, n_waves)[:, :, None, None] * sizes[which]).sum(axis=1))


def _sines(theta: Floats, count: int) -> Floats:
    """Return the waves at shares of an interval, ``(time, wave)``."""
    return np.sin(np.pi * theta[:, None] * np.arange(1, count + 1))


def _means(value: NDArray[np.floating]) -> Singles:
    """Return the mean over the steps; NaN where there is none."""
    known = np.isfinite(value)
    count = known.sum(axis=1)
    total = np.where(known, value, 0.0).sum(axis=1, dtype=np.float64)
    mean = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return np.asarray(mean, np.float32)


def _starts(record: Record, steps: int, step: float) -> Steps:
    """Return the steps at which even intervals of so many steps begin, `_MOST` at most."""
    uneven = np.abs(np.diff(record.days) - step) > 0.02 * step
    so_far = np.concatenate([[0], np.cumsum(uneven)])
    first = np.arange(max(0, len(so_far) - steps))
    first = first[so_far[first + steps] == so_far[first]]
    # Spread unevenly, so that all hours remain.
    which = np.linspace(0, len(first) - 1, min(len(first), _MOST)).astype(np.intp)
    return np.asarray(first[which])


def _minutes(clock: Clock) -> Steps:
    """Return the minutes of the day, to the nearest quarter; 0 where the hour is unknown."""
    quarters = np.rint(np.nan_to_num(clock.day) * 1440 / _MINUTES).astype(np.intp)
    return np.asarray(quarters * _MINUTES % 1440)


def _blocks(days: Floats, first: Steps, last: Steps) -> Steps:
    """Return to which set of blocks intervals belong, `_SETS` where they reach over two blocks."""
    count = int(np.clip((days[-1] - days[0]) / _BLOCK, _SETS, _SETS * _BLOCKS))
    begin, end = first * count // len(days), last * count // len(days)
    return np.where(begin == end, begin % _SETS, _SETS)


def _tiles(height: int, width: int, side: int) -> list[Tile]:
    return [
        (slice(y, min(y + side, height)), slice(x, min(x + side, width)))
        for y in range(0, height, side)
        for x in range(0, width, side)
    ]


def _wider(tile: Tile, height: int, width: int) -> tuple[Tile, Tile]:
    """Return a tile with the cells next to it, and where in that it is."""
    wide, inner = [], []
    for part, size in zip(tile, (height, width), strict=True):
        low = max(part.start - 1, 0)
        wide.append(slice(low, min(part.stop + 1, size)))
        inner.append(slice(part.start - low, part.stop - low))
    return (wide[0], wide[1]), (inner[0], inner[1])


def _nearest(lengths: Floats, known: Floats) -> Steps:
    """Return the number of the known length nearest to each, -1 where none is near."""
    if not len(known):
        return np.full(len(lengths), -1)
    away = np.abs(np.log(lengths[:, None] / known))
    return np.where(away.min(axis=1) <= np.log(_NEAR), away.argmin(axis=1), -1)


def _times(stretch: Stretch, which: Bools) -> Stretch:
    return replace(
        stretch, wanted=stretch.wanted[which], clock_wanted=stretch.clock_wanted.steps(which)
    )
