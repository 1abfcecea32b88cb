"""Self-supervision by cycles: two times between steps, and from these the step between them.

Both estimates at the share theta of two neighbouring intervals, interpolated between again, must
give the step in the middle, which needs no finer truth (Wang et al., 2025; Reda et al., 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn

from xgeoml.models._moments import SEEN, Layout, moments
from xgeoml.models.downscaling import Clock
from xgeoml.models.in_time import Record, Stretch
from xgeoml.models.series import Floats
from xgeoml.models.splines import Linear
from xgeoml.train.moments import is_whole, placed, window_of

CYCLES = "cycles.npz"
# Cycles of a record, at most, and values of all their channels, 256 MB in float32.
_MOST, _FEWEST, _ELEMENTS = 160, 4, 2**26
# Shares of the interval between which theta is drawn; the small step in time; weight of the pace.
_THETA, _LATER, _PACE = (0.2, 0.8), 0.1, 0.002
_A_YEAR = 365.2425

_ARRAYS = ("first", "offset", "scale", "second", "unit", "theta")
# Estimates of base models at the times that a stretch wants, (component, time, y, x) each.
Ask = Callable[[Stretch], Sequence[Floats]]


@dataclass(frozen=True)
class Cycles:
    """Cycles of a record, ready for a network.

    Attributes
    ----------
    first : ndarray, (cycle, 3, channel, y, x)
        What it is shown at theta and a little later in the first interval, and at theta in the
        second.
    offset : ndarray, (cycle, 3, y, x)
        What is linear there, less the step in the middle; NaN where missing.
    scale : ndarray, (cycle, 3)
    second : ndarray, (cycle, channel, y, x)
        What it is shown of the two estimates, but for the estimates themselves.
    unit : ndarray, (cycle,)
        Scale of the second pass.
    theta : ndarray, (cycle,)
    """

    first: NDArray[np.float32]
    offset: NDArray[np.float32]
    scale: NDArray[np.float32]
    second: NDArray[np.float32]
    unit: NDArray[np.float32]
    theta: NDArray[np.float32]
    around: bool = False

    @classmethod
    def load(cls, path: Path) -> Cycles:
        """Return the cycles of a folder."""
        with np.load(path / CYCLES) as held:
            arrays = {name: held[name] for name in _ARRAYS}
            return cls(**arrays, around=bool(held["around"]))

    def __len__(self) -> int:
        """Return their number."""
        return len(self.theta)

    def some(self, which: NDArray[np.intp]) -> tuple[Tensor, ...]:
        """Return some of them as tensors, in the order of the fields."""
        return tuple(torch.from_numpy(getattr(self, name)[which]) for name in _ARRAYS)


def write_cycles(record: Record, blocks: Sequence[tuple[int, int]], ask: Ask, path: Path) -> None:
    """Write cycles at the record's own steps, within blocks of steps."""
    rng = np.random.default_rng([record.seed, 12])
    starts = [
        (i, low, high)
        for low, high in blocks
        for i in range(low, high - 2)
        if all(np.isfinite(record.value[:, i + j]).any() for j in range(3))
    ]
    plane = int(np.prod([c.stop - c.start for c in window_of(record, rng)]))
    most = max(_FEWEST, min(_MOST, _ELEMENTS // max(1, 4 * plane * Layout(2).n_channels)))
    made: list[dict[str, Floats]] = []
    for at in rng.permutation(len(starts))[:most]:
        made += _cycle(record, starts[at], ask, rng)
    arrays: dict[str, Any] = {
        name: np.stack([one[name] for one in made]).astype(np.float32)
        for name in (_ARRAYS if made else ())
    }
    if arrays:
        np.savez(path / CYCLES, **arrays, around=record.place.around and is_whole(record))


def _cycle(
    record: Record, where: tuple[int, int, int], ask: Ask, rng: Generator
) -> list[dict[str, Floats]]:
    """Return a cycle for each component; `where` says its first step and the block it is in."""
    start, low, high = where
    seen = np.arange(max(low, start + 1 - SEEN), min(high, start + 2 + SEEN))
    theta = float(rng.uniform(*_THETA))
    days = record.days
    spans = days[start + 1 : start + 3] - days[start : start + 2]
    after = np.array([theta * spans[0], (theta + _LATER) * spans[0], spans[0] + theta * spans[1]])
    wanted = days[start] + after
    value = np.asarray(record.value[:, seen], np.float64)
    clock = record.clock.steps(seen)
    stretch = Stretch(
        value,
        days[seen],
        wanted,
        clock,
        _later(record.clock, start, after),
        record.place,
        record.thermal,
    )
    cut = window_of(record, rng)
    said = [estimate[(..., *cut)] for estimate in ask(stretch)]
    part = replace(stretch, value=value[(..., *cut)], place=placed(record, cut))
    shown = moments(part, said)
    middle = np.asarray(record.value[(slice(None), start + 1, *cut)], np.float64)
    channels = shown.channels.reshape(len(value), 3, *shown.channels.shape[1:])
    # The second pass: from the two estimates, here linear ones, to the step between them.
    ends = np.array([0, 2])
    two = replace(
        stretch,
        value=Linear().predict(stretch, {})[:, ends],
        days=wanted[ends],
        wanted=days[start + 1 : start + 2],
        clock=stretch.clock_wanted.steps(ends),
        clock_wanted=record.clock.steps(slice(start + 1, start + 2)),
    )
    said = [estimate[(..., *cut)] for estimate in ask(two)]
    again = moments(replace(two, value=two.value[(..., *cut)], place=part.place), said)
    share = float(two.theta[0])
    return [
        {
            "first": channels[c],
            "offset": shown.offset[c] - middle[c],
            "scale": shown.scale,
            "second": again.channels[c],
            "unit": again.unit[0],
            "theta": np.asarray(share),
        }
        for c in range(len(value))
    ]


def _later(clock: Clock, step: int, after: Floats) -> Clock:
    """Return the clock some days after a step."""
    years = after / _A_YEAR
    return Clock(
        (clock.season[step] + years) % 1.0,
        (clock.day[step] + after) % 1.0,
        clock.years[step] + years,
    )


def cycle_loss(network: nn.Module, given: Sequence[Tensor], around: bool) -> tuple[Tensor, Tensor]:
    """Return the mean square of what is left of the middle step, and of the pace of departures.

    Parameters
    ----------
    network : Module
    given : sequence of Tensor
        As `Cycles.some` returns them.
    around : bool
        Whether the last column neighbours the first.

    Returns
    -------
    residual, pace : Tensor
        In units of the changes, squared.
    """
    first, offset, scale, second, unit, theta = given
    away = network(first.flatten(0, 1), around).reshape(offset.shape)
    known = torch.isfinite(offset).all(1)
    fields = torch.nan_to_num(offset) + scale[..., None, None] * away
    early, late = fields[:, 0], fields[:, 2]
    share, size = theta[:, None, None], unit[:, None, None]
    linear = (1 - share) * early + share * late
    shown = second.clone()
    step = Layout.first
    shown[:, step] = share * (early - late) / size
    shown[:, step + 1] = (share - 1) * (early - late) / size
    left = (linear + size * network(shown, around)) / size
    residual = left[known].square().mean()
    pace = ((away[:, 1] - away[:, 0]) / _LATER)[known].square().mean()
    return residual, _PACE * pace
