"""Estimate every day of gappy daily fields from the days and cells around it.

Successive correction (Cressman, 1959, Mon. Wea. Rev. 87, 367-374; Barnes, 1964, J. Appl. Meteor. 3,
396-409): an estimate is corrected by the smoothed departures of the observations from it, at ever
finer scales. What is then left is interpolated in time, at each cell, as a red noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

# Parameters are departures from where training begins, in units that let them move soon enough.
_PACE = 3.0
# Days, and cells, at which it is looked how rough the fields are.
_LAGS, _STEPS = (1, 2, 4, 8), (1, 2, 4)
# Smaller variances are none, in scaled units.
_LEAST = 1e-6


class Daily(NamedTuple):
    """Daily fields and what was observed of them.

    Attributes
    ----------
    value : Tensor, (sample, day, y, x)
        0 where missing.
    valid : Tensor, (sample, day, y, x)
        Share of the day that was observed, from 0 to 1.
    days : Tensor, (sample, day)
        Time in days, in any order; meaningless where there is no such day.
    exists : Tensor, (sample, day)
        1, or 0 where the calendar has no such day.
    """

    value: Tensor
    valid: Tensor
    days: Tensor
    exists: Tensor


class Estimated(NamedTuple):
    """What is made of daily fields.

    Attributes
    ----------
    broad : Tensor, (sample, day, y, x)
        The estimate after the first scale.
    full : Tensor, (sample, day, y, x)
        The estimate: the observed value itself where the day was observed.
    density : Tensor, (sample, scale, day, y, x)
        How much of an estimate is owed to observations around it, from 0 to 1.
    doubt : Tensor, (sample, day, y, x)
        Variance of the red noise given its neighbours in time, from 0 (observed) to 1.
    """

    broad: Tensor
    full: Tensor
    density: Tensor
    doubt: Tensor


class Successive(nn.Module):
    """Successive correction at several scales, over and over.

    Parameters
    ----------
    scales : sequence of (float, float)
        Days and cells over which weights fall off, coarse ones first.
    cycles : int
        How often all scales are gone through.
    memory : float
        Days over which what is left is remembered.
    hidden : int
        Width of what adapts scales, trust, gain and memory to how rough the fields are.
    """

    def __init__(
        self,
        scales: Sequence[tuple[float, float]],
        cycles: int = 2,
        memory: float = 15.0,
        hidden: int = 24,
    ) -> None:
        super().__init__()
        self.start: Tensor
        start = torch.tensor(scales, dtype=torch.float32).log()
        self.register_buffer("start", start, persistent=False)
        self.memory, self.cycles = memory, cycles
        count = len(scales)
        self.sizes = (2 * count, count * cycles, count * cycles, 2)
        self.usual = nn.Parameter(torch.zeros(sum(self.sizes)))
        self.adapt = nn.Sequential(
            nn.Linear(len(_LAGS) + len(_STEPS), hidden),
            nn.Tanh(),
            nn.Linear(hidden, sum(self.sizes)),
        )
        # So that it starts with the scales that are given.
        for parameter in self.adapt[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, daily: Daily) -> Estimated:
        """Return the estimate of every day."""
        ordered = _in_order(daily)
        made = _PACE * (self.usual + self.adapt(roughness(ordered)))
        scale, trust, gain, left = made.split(self.sizes, dim=1)
        shape = (len(made), len(self.start), self.cycles, 1, 1, 1)
        trust, gain = torch.exp(trust - 1.5).view(shape), 1.8 + gain.view(shape)
        scale = torch.exp(self.start + scale.view(-1, *self.start.shape))
        kernels = [self._kernels(daily, *pair.unbind(1)) for pair in scale.unbind(1)]
        weights = [_smoothed(daily.valid, kernel) for kernel in kernels]
        estimate = torch.zeros_like(daily.value)
        broad = estimate
        for cycle in range(self.cycles):
            for i, (kernel, weight) in enumerate(zip(kernels, weights, strict=True)):
                departure = _smoothed((daily.value - estimate) * daily.valid, kernel)
                estimate = estimate + gain[:, i, cycle] * departure / (weight + trust[:, i, cycle])
                if cycle == i == 0:
                    broad = estimate
        density = torch.stack([w / (w + trust[:, i, 0]) for i, w in enumerate(weights)], 1)
        memory, share = left.exp()[..., None, None, None].unbind(1)
        more, doubt = between(daily, estimate, self.memory * memory)
        missing = daily.valid == 0.0
        return Estimated(broad, estimate + torch.where(missing, share * more, more), density, doubt)

    def _kernels(self, daily: Daily, days: Tensor, cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the weights of every day, row and column in the estimate of every other."""
        days, cells = days[:, None, None], cells[:, None, None]
        apart = (daily.days[:, :, None] - daily.days[:, None, :]).abs()
        time = _fall_off(apart / days) * daily.exists[:, None, :]
        rows, columns = (
            _fall_off(_distances(n, daily.value.device) / cells) for n in daily.value.shape[-2:]
        )
        return time, rows, columns


def roughness(daily: Daily) -> Tensor:
    """Return how much observations some days and some cells apart differ.

    Parameters
    ----------
    daily : Daily
        In the order of time.

    Returns
    -------
    Tensor, (sample, lag)
        Logarithm of the semivariance of departures from each cell's mean, at several lags in time
        and in space, by their variance; 0 where no pair is so far apart.
    """
    seen = daily.valid
    mean = (seen * daily.value).sum(1, keepdim=True) / seen.sum(1, keepdim=True).clamp(min=1e-6)
    departure = daily.value - mean
    variance = (seen * departure**2).sum((1, 2, 3)) / seen.sum((1, 2, 3)).clamp(min=1e-6)
    made = []

    def add(pairs: list[tuple[Tensor, Tensor]]) -> None:
        total = torch.stack([w.sum((1, 2, 3)) for _, w in pairs]).sum(0)
        square = torch.stack([(w * d**2).sum((1, 2, 3)) for d, w in pairs]).sum(0)
        square = 0.5 * square / total.clamp(min=1e-6)
        log = torch.log((square + _LEAST) / (variance + _LEAST)).clamp(-6.0, 6.0)
        made.append(torch.where(total > 0, log, 0.0))

    for lag in _LAGS:
        apart = daily.days[:, lag:] - daily.days[:, :-lag]
        near = ((apart - lag).abs() < 0.5)[:, :, None, None]
        add([(departure[:, lag:] - departure[:, :-lag], near * seen[:, lag:] * seen[:, :-lag])])
    for step in _STEPS:
        add([_pairs(departure, seen, step), _pairs(departure.mT, seen.mT, step)])
    return torch.stack(made, dim=1)


def _pairs(departure: Tensor, seen: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Return differences of cells so many columns apart, and their weights."""
    difference = departure[..., step:] - departure[..., :-step]
    return difference, seen[..., step:] * seen[..., :-step]


def between(daily: Daily, estimate: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Interpolate in time, cell by cell, what an estimate leaves of the observations.

    Parameters
    ----------
    daily : Daily
    estimate : Tensor, (sample, day, y, x)
    memory : Tensor, (sample, 1, 1, 1)
        Days over which the autocorrelation falls to 1/e.

    Returns
    -------
    left : Tensor, (sample, day, y, x)
        The mean of an Ornstein-Uhlenbeck process given its neighbours before and after.
    doubt : Tensor, (sample, day, y, x)
        Its variance, as a share of that without any.
    """
    order = _order(daily)
    days = daily.days.gather(1, order)[:, :, None, None].expand_as(daily.value)
    order = order[:, :, None, None].expand_as(daily.value)
    departure, known = (daily.value - estimate).gather(1, order), daily.valid.gather(1, order) > 0
    count = known.shape[1]
    place = torch.arange(count, device=known.device)[None, :, None, None]
    before = torch.where(known, place, -1).cummax(1).values
    after = torch.where(known, place, count).flip(1).cummin(1).values.flip(1)
    left, near = [], []
    for there, at in ((before >= 0, before), (after < count, after)):
        at = at.clamp(0, count - 1)
        left.append(departure.gather(1, at))
        near.append(there * torch.exp(-(days - days.gather(1, at)).abs() / memory))
    a, b = near
    total = (1.0 - (a * b) ** 2).clamp(min=1e-6)
    mean = (a * (1.0 - b**2) * left[0] + b * (1.0 - a**2) * left[1]) / total
    doubt = (1.0 - a**2) * (1.0 - b**2) / total
    mean, doubt = torch.where(known, departure, mean), torch.where(known, 0.0, doubt)
    back = torch.empty_like(mean)
    return back.scatter(1, order, mean), back.scatter(1, order, doubt)


def _order(daily: Daily) -> Tensor:
    """Return the order of time, (sample, day), whatever order the days come in."""
    return torch.where(daily.exists > 0, daily.days, torch.inf).argsort(dim=1)


def _in_order(daily: Daily) -> Daily:
    order = _order(daily)
    where = order[:, :, None, None].expand_as(daily.value)
    value, valid = daily.value.gather(1, where), daily.valid.gather(1, where)
    return Daily(value, valid, daily.days.gather(1, order), daily.exists.gather(1, order))


def _fall_off(distance: Tensor) -> Tensor:
    """Return the Matern correlation of order 3/2."""
    return (1.0 + distance) * torch.exp(-distance)


def _distances(count: int, device: torch.device) -> Tensor:
    place = torch.arange(count, device=device, dtype=torch.float32)
    return (place[:, None] - place[None, :]).abs()


def _smoothed(field: Tensor, kernels: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return weighted sums over days, rows and columns, (sample, day, y, x)."""
    time, rows, columns = kernels
    made = torch.bmm(time, field.flatten(2)).view(field.shape)
    made = torch.bmm(made.flatten(1, 2), columns).view(field.shape).transpose(2, 3)
    return torch.bmm(made.flatten(1, 2), rows).view(made.shape).transpose(2, 3)
