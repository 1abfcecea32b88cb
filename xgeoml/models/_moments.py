"""What temdeep is shown of the moments that it is asked for: channels made of a stretch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xgeoml.models import _sun
from xgeoml.models.in_time import Stretch
from xgeoml.models.series import Floats
from xgeoml.models.splines import Akima, Cubic, Linear

Singles = NDArray[np.float32]

# Steps that it sees on either side of a moment.
SEEN = 4
STEPS = np.arange(1 - SEEN, SEEN + 1)
N_STEPS = 2 * SEEN
CURVES = ("akima", "cubic")
_N_TIME, _N_PLACE = 7, 4
_N_SUN = len(_sun.MEMORIES) + N_STEPS
# Hours that lengths of intervals are counted in, kilometres that heights are.
_USUAL, _KM = 6.0, 1000.0
# Octaves from that length that the channel of lengths is in.
OCTAVES = 3.0
# Smaller than this share of the values, changes are rounding.
_ROUNDING = 1e-10


@dataclass(frozen=True)
class Layout:
    """Which channel is what.

    Parameters
    ----------
    bases : int
        Estimates of base models that are shown.
    """

    bases: int = 0

    # Of the steps around, less what is linear; the one before the time is `first`. Then whether
    # they are known.
    first = SEEN - 1
    known = N_STEPS

    @property
    def curves(self) -> slice:
        """The curves and the base models, less what is linear."""
        first = 2 * N_STEPS
        return slice(first, first + len(CURVES) + self.bases)

    @property
    def level(self) -> int:
        """What is linear, less its mean over the field."""
        return 2 * N_STEPS + len(CURVES) + self.bases

    @property
    def theta(self) -> int:
        """Share of the interval that has passed."""
        return self.level + 1

    @property
    def length(self) -> int:
        """Length of the interval, 0 for six hours, in units of `OCTAVES`."""
        return self.theta + 2

    @property
    def n_channels(self) -> int:
        """How many there are."""
        return self.theta + _N_TIME + _N_PLACE + _N_SUN

    @property
    def signed(self) -> tuple[slice, slice]:
        """Those which change their sign with the values."""
        return slice(0, self.known), slice(self.curves.start, self.theta)


@dataclass(frozen=True)
class Moments:
    """What a network is shown, and how its answer is read.

    Attributes
    ----------
    channels : ndarray, (sample, channel, y, x)
        A sample for each component and time, components first.
    offset : ndarray, (component, time, y, x)
        What is linear between the steps.
    scale : ndarray, (time,)
        Of the changes from step to step: the answer is ``offset + scale * output``. 0 where nothing
        changes.
    """

    channels: Singles
    offset: Floats
    scale: Floats

    @property
    def unit(self) -> Floats:
        """What the channels are in, (time,): the scale, or 1 where nothing changes."""
        return _unit(self.scale)

    def read(self, output: NDArray[np.floating]) -> Floats:
        """Return the fields, (component, time, y, x), that an output, (sample, y, x), means."""
        shaped = output.reshape(self.offset.shape).astype(np.float64)
        return np.asarray(self.offset + self.scale[:, None, None] * shaped)


def moments(stretch: Stretch, estimates: Sequence[Floats] = (), *, beside: bool = False) -> Moments:
    """Return the channels for all times that are wanted.

    Parameters
    ----------
    stretch : Stretch
    estimates : sequence of ndarray, (component, time, y, x)
        Of base models.
    beside : bool
        Whether these are departures from what is linear already.
    """
    n_parts, _, height, width = stretch.value.shape
    n_times = len(stretch.wanted)
    linear = Linear().predict(stretch, {})
    which = stretch.before[:, None] + STEPS
    there = (which >= 0) & (which < len(stretch.days))
    at = np.clip(which, 0, len(stretch.days) - 1)
    value = stretch.value[:, at]  # (component, time, step, y, x)
    known = np.isfinite(value) & there[None, :, :, None, None]
    size = _sizes(value, known, linear)
    unit = _unit(size)[:, None, None]
    base = np.nan_to_num(linear)
    layout = Layout(len(estimates))
    made = np.zeros((n_parts, n_times, layout.n_channels, height, width), np.float32)
    k = 0

    def put(fields: NDArray[Any]) -> None:
        """Add channels, (component or 1, time, channel, y, x)."""
        nonlocal k
        made[:, :, k : k + fields.shape[2]] = fields
        k += fields.shape[2]

    put(np.where(known, (np.nan_to_num(value) - base[:, :, None]) / unit[:, None], 0.0))
    put(known)
    curves = [curve.predict(stretch, {}) for curve in (Akima(), Cubic())]
    said = [np.nan_to_num(e) + linear for e in estimates] if beside else list(estimates)
    for curve in (*curves, *said):
        put(_beside(curve, linear, unit)[:, :, None])
    put(_level(linear, unit)[:, :, None])
    put(_time_channels(stretch)[None])
    put(_place_channels(stretch)[None, None])
    put(_sun_channels(stretch, at, there)[None])
    return Moments(made.reshape(-1, *made.shape[2:]), linear, size)


def _beside(estimate: Floats, linear: Floats, unit: Floats) -> Floats:
    """Return an estimate less the linear one, in the unit of changes; 0 where there is none."""
    return np.nan_to_num((estimate - linear) / unit)


def _sizes(value: Floats, known: NDArray[np.bool_], linear: Floats) -> Floats:
    """Return the size of the changes from step to step around each time, (time,)."""
    both = known[:, :, 1:] & known[:, :, :-1]
    change = np.where(both, np.diff(np.nan_to_num(value), axis=2), 0.0)
    # Of the interval itself three times: what happens far away says less of it.
    weight = np.ones(N_STEPS - 1)
    weight[SEEN - 1] = 3.0
    weighted = weight[None, None, :, None, None] * both
    total = (weighted * change**2).sum((0, 2, 3, 4))
    size = np.sqrt(total / np.maximum(weighted.sum((0, 2, 3, 4)), 1.0))
    level = np.sqrt(np.nanmean(np.nan_to_num(linear) ** 2, axis=(0, 2, 3)))
    return np.where(size > _ROUNDING * level, size, 0.0)


def _unit(scale: Floats) -> Floats:
    return np.where(scale > 0.0, scale, 1.0)


def _sun_channels(stretch: Stretch, at: NDArray[np.intp], there: NDArray[np.bool_]) -> Floats:
    """Return what the sun does beside what is linear between the steps, (time, channel, y, x)."""
    height, width = stretch.value.shape[2:]
    made = np.zeros((len(at), _N_SUN, height, width))
    place, clock = stretch.place, stretch.clock
    if place.lat is None or place.lon is None or not np.isfinite(clock.day).all():
        return made
    assert place.lon is not None
    n = len(_sun.MEMORIES)
    lat, lon = np.nan_to_num(place.lat), np.nan_to_num(place.lon)
    needed = np.unique(at)
    past = {
        i: _sun.responses(float(clock.day[i]), float(clock.season[i]), lat, lon) for i in needed
    }
    soon, theta = stretch.clock_wanted, stretch.theta
    for t, low in enumerate(stretch.before):
        between = (1 - theta[t]) * past[low] + theta[t] * past[low + 1]
        now = _sun.responses(float(soon.day[t]), float(soon.season[t]), lat, lon)
        made[t, :n] = now - between
        for c in np.flatnonzero(there[t]):
            made[t, n + c] = past[at[t, c]][1] - between[1]
    made[:, :, ~np.isfinite(place.lat)] = 0.0
    return made


def _time_channels(stretch: Stretch) -> Floats:
    """Return share and length of the interval, solar time and season, (time, channel, y, x)."""
    height, width = stretch.value.shape[2:]
    made = np.zeros((len(stretch.wanted), _N_TIME, height, width))
    theta, low = stretch.theta, stretch.before
    hours = 24.0 * (stretch.days[low + 1] - stretch.days[low])
    made[:, 0] = theta[:, None, None]
    made[:, 1] = (4 * theta * (1 - theta))[:, None, None]
    made[:, 2] = (np.log2(np.maximum(hours, 1e-3) / _USUAL) / OCTAVES)[:, None, None]
    place, clock = stretch.place, stretch.clock_wanted
    if place.lat is None or place.lon is None or not np.isfinite(clock.day).all():
        return made
    for t, (day, season) in enumerate(zip(clock.day, clock.season, strict=True)):
        phase = 2 * np.pi * _sun.solar_time(float(day), float(season), place.lon)
        noon = _sun.noon_height(float(season), place.lat)
        made[t, 3:6] = np.nan_to_num(np.stack([np.sin(phase), np.cos(phase), noon]))
        made[t, 6] = np.isfinite(place.lat)
    return made


def _place_channels(stretch: Stretch) -> Floats:
    """Return land, height, whether they are known, and the kind of value, (channel, y, x)."""
    made = np.zeros((_N_PLACE, *stretch.value.shape[2:]))
    terrain = stretch.place.terrain
    if terrain is not None:
        made[0] = np.nan_to_num(terrain[1])
        made[1] = np.nan_to_num(terrain[0]) / _KM
        made[2] = np.isfinite(terrain[1])
    made[3] = stretch.thermal
    return made


def _level(linear: Floats, unit: Floats) -> Floats:
    """Return the fields less their means, in the unit of changes, (component, time, y, x)."""
    known = np.isfinite(linear)
    count = np.maximum(known.sum((2, 3), keepdims=True), 1)
    mean = np.where(known, linear, 0.0).sum((2, 3), keepdims=True) / count
    return np.asarray(np.where(known, linear - mean, 0.0) / unit)
