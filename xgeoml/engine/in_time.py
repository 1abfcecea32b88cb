"""The kernel of interpolation in time: a block of steps in, the fields at other times out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.kernel import check_size, in_dtype
from xgeoml.engine.threads import one_blas_thread
from xgeoml.engine.totals import Totals, divide, signs
from xgeoml.exceptions import ExecutionError
from xgeoml.models.downscaling import Clock
from xgeoml.models.in_time import Place, Stretch
from xgeoml.models.series import Bools, Floats
from xgeoml.options import Options

Ints = NDArray[np.intp]

# Values that a model of single cells is given at once: 2 MB in float64, what caches hold (with
# 2**20 it took twice as long); and those that a model of whole fields makes.
STRETCH_ELEMENTS, FIELD_ELEMENTS = 2**18, 2**24


@dataclass(frozen=True)
class InTime:
    """Everything but the data: what is made of each block.

    Parameters
    ----------
    handle : ModelHandle
        The model.
    options : Options
        Device, batch, precision and seed.
    days : ndarray, (step,)
        When each step is.
    wanted : ndarray, (time,)
        The times of the result, ascending.
    clock, clock_wanted : Clock
        Of the steps, and of the times.
    owner : ndarray of int, (time,)
        The step at which the interval begins that each time is in; the step itself for one on it.
        Of totals the step whose part it is.
    copied : ndarray of int, (time,)
        The step whose value a time has; -1 where the model says it.
    place : Place
        Of the grid, for a model that looks around.
    apart : bool
        Whether a model that looks around is to see each column by itself: stations.
    max_gap : int or float, optional
        The most missing steps in a row (int), or days between neighbours (float), to bridge.
    thermal : bool
        Whether the values are temperatures.
    totals : Totals, optional
        The values are totals over intervals, and the result those of parts.
    """

    handle: ModelHandle
    options: Options
    days: Floats
    wanted: Floats
    clock: Clock
    clock_wanted: Clock
    owner: Ints
    copied: Ints
    place: Place = field(default_factory=Place)
    apart: bool = False
    max_gap: int | float | None = None
    thermal: bool = False
    totals: Totals | None = None

    @property
    def window(self) -> int:
        """Intervals of a pass."""
        return self.handle.spec.axis("T").window or 1

    @property
    def halo(self) -> int:
        """Steps that the model sees on either side of them."""
        return self.handle.spec.axis("T").halo or 0

    @property
    def whole(self) -> bool:
        """Whether the model sees whole fields, not single cells."""
        return self.handle.spec.axis("X").mode == "whole"

    @property
    def n_passes(self) -> int:
        """How many passes there are."""
        return -(-len(self.days) // self.window)

    def seen(self, first: int, last: int) -> slice:
        """Return the steps that passes `first` to `last` - 1 see."""
        # Parts of a total lie on both sides of its middle.
        low = first * self.window - self.halo - (self.totals is not None)
        return slice(max(0, low), min(len(self.days), last * self.window + self.halo + 1))

    def times(self, first: int, last: int) -> slice:
        """Return the times of the result that these passes make."""
        edges = np.searchsorted(self.owner, [first * self.window, last * self.window])
        return slice(int(edges[0]), int(edges[1]))


def fields_in_time(
    block: NDArray[np.floating], job: InTime, first: int, last: int, start: int
) -> NDArray[np.floating]:
    """Return the fields at the times that some passes make.

    Parameters
    ----------
    block : ndarray, (component, *pointwise axes, step, y, x)
        All steps that these passes see.
    job : InTime
    first, last : int
        The passes, without the last.
    start : int
        The first step of the block.

    Returns
    -------
    ndarray, (component, *pointwise axes, time, y, x)
        In the block's dtype.
    """
    whole = job.times(first, last)
    steps, rows, columns = block.shape[-3:]
    across = block.shape[1:-3]
    fields = block.reshape(len(block), -1, steps, rows, columns)
    made = np.empty((*fields.shape[:2], whole.stop - whole.start, rows, columns), block.dtype)
    with one_blas_thread():
        for number in range(first, last):
            times, seen = job.times(number, number + 1), job.seen(number, number + 1)
            if times.start == times.stop:
                continue
            out = made[:, :, times.start - whole.start : times.stop - whole.start]
            part = fields[:, :, seen.start - start : seen.stop - start]
            if job.whole:
                for p, (x, place) in itertools.product(range(part.shape[1]), _places(job, columns)):
                    out[:, p, ..., x] = _pass(part[:, p, ..., x], times, seen, job, place)
            else:
                out[...] = _cell_by_cell(part, times, seen, job)
    return made.reshape(len(block), *across, *made.shape[2:])


def _places(job: InTime, columns: int) -> list[tuple[slice, Place]]:
    """Return the columns that a model sees at a time, and where they are."""
    if not job.apart:
        return [(slice(None), job.place)]
    each = [slice(x, x + 1) for x in range(columns)]
    return [(x, job.place.part(slice(None), x)) for x in each]


def _cell_by_cell(
    part: NDArray[np.floating], times: slice, seen: slice, job: InTime
) -> NDArray[np.floating]:
    """Return what a model of single cells makes of a pass, ``(component, position, time, y, x)``.

    Each cell is a series of its own, so that they can be taken as many at a time as suits.
    """
    positions, rows, columns = part.shape[1], *part.shape[3:]
    cells = np.moveaxis(part, 2, 1).reshape(len(part), part.shape[2], 1, -1)
    n_times = times.stop - times.start
    made = np.empty((len(part), n_times, 1, cells.shape[-1]), part.dtype)
    most = max(1, STRETCH_ELEMENTS // (len(part) * max(n_times, part.shape[2])))
    for low in range(0, cells.shape[-1], most):
        piece = cells[..., low : low + most]
        made[..., low : low + most] = _pass(piece, times, seen, job, job.place)
    return np.moveaxis(made.reshape(len(part), n_times, positions, rows, columns), 1, 2)


def _pass(
    given: NDArray[np.floating], times: slice, seen: slice, job: InTime, place: Place
) -> NDArray[np.floating]:
    """Return the fields of a pass, ``(component, time, y, x)``, in the dtype of what is given.

    Parameters
    ----------
    given : ndarray, (component, step, y, x)
        The steps `seen`.
    times, seen : slice
        Of all times, and of all steps.
    job : InTime
    place : Place
        Of the cells.
    """
    value = given.astype(np.float64, order="C")
    check_size(value)
    value[~np.isfinite(value)] = np.nan
    copied = job.copied[times]
    on_step = copied >= 0
    between = times.start + np.flatnonzero(~on_step)
    if job.totals is None:
        made = np.empty((len(given), len(copied), *given.shape[2:]), given.dtype)
        made[:, on_step] = given[:, copied[on_step] - seen.start]
        estimates = _estimates(value, between, seen, job, place)
        made[:, ~on_step] = in_dtype(estimates, given.dtype)
        return made
    rate = np.empty((len(given), len(copied), *given.shape[2:]))
    pace = job.totals.rates(value, seen)
    rate[:, on_step] = pace[:, copied[on_step] - seen.start]
    rate[:, ~on_step] = _estimates(pace, between, seen, job, place)
    owner = job.owner[times] - seen.start
    parts = divide(value, rate, owner, job.totals.parts[times], signs(value))
    return in_dtype(parts, given.dtype)


def _estimates(value: Floats, which: Ints, seen: slice, job: InTime, place: Place) -> Floats:
    """Return what the model says at the times `which`, NaN where too much is missing."""
    shape = (len(value), len(which), *value.shape[2:])
    days = job.days[seen]
    before = np.searchsorted(days, job.wanted[which], side="right") - 1
    known = bridged(np.isfinite(value), before, days, job.halo, job.max_gap)
    made = np.full(shape, np.nan)
    if not known.any():
        return made
    most = max(1, FIELD_ELEMENTS // (len(value) * max(1, value[0, 0].size)))
    for some in _groups(before, most):
        stretch = Stretch(
            value,
            days,
            job.wanted[which[some]],
            job.clock.steps(seen),
            job.clock_wanted.steps(which[some]),
            place,
            job.thermal,
        )
        made[:, some] = _said(stretch, job)
    return np.where(known, made, np.nan)


def _said(stretch: Stretch, job: InTime) -> Floats:
    """Return what the model says of a stretch, its shape checked."""
    if job.handle.spec.backend == "torch":
        from xgeoml.engine.in_time_network import run_in_time

        made: Floats = run_in_time(stretch, job.handle, job.options)
    else:
        model, state = job.handle.with_state()
        made = np.asarray(model.predict(stretch, state), np.float64)
    shape = (len(stretch.value), len(stretch.wanted), *stretch.value.shape[2:])
    if made.shape != shape:
        raise ExecutionError(
            f"model {job.handle.spec.key} returned shape {made.shape}, expected {shape}: "
            "(component, time, y, x); mend its predict()"
        )
    return made


def _groups(before: Ints, most: int) -> Iterator[slice]:
    """Return times in groups of about so many, all those of an interval in one.

    What a model finds out of an interval, such as where things move, serves all times in it.
    """
    edges = [*np.flatnonzero(np.diff(before, prepend=-1)).tolist(), len(before)]
    first = 0
    for edge, after in itertools.pairwise(edges):
        if after - first > most and edge > first:
            yield slice(first, edge)
            first = edge
    if first < len(before):
        yield slice(first, len(before))


def bridged(
    known: Bools, before: Ints, days: Floats, halo: int, max_gap: int | float | None
) -> Bools:
    """Return which cells have neighbours in time that are near enough, at times between steps.

    Parameters
    ----------
    known : ndarray of bool, (component, step, y, x)
    before : ndarray of int, (time,)
        The step before each time.
    days : ndarray, (step,)
    halo : int
        The most missing steps in a row: so far the model sees on either side, wherever a gap lies.
    max_gap : int or float, optional
        See `InTime`.

    Returns
    -------
    ndarray of bool, (component, time, y, x)
        Axes along which nothing differs may have length 1.
    """
    n = known.shape[1]
    if known.all():
        low, high = (at[None, :, None, None] for at in (before, before + 1))
    else:
        step = np.arange(n)[:, None, None]
        low = np.maximum.accumulate(np.where(known, step, -1), axis=1)[:, before]
        high = np.where(known, step, n)[:, ::-1]
        high = np.minimum.accumulate(high, axis=1)[:, ::-1][:, before + 1]
    missing = high - low - 1
    fits = (low >= 0) & (high < n) & (missing <= halo)
    if isinstance(max_gap, int):
        fits &= missing <= max_gap
    elif max_gap is not None:
        # Tolerance: stamps that are exactly so far apart may differ by rounding; 0.1 s.
        apart = days[np.minimum(high, n - 1)] - days[np.maximum(low, 0)]
        fits &= apart <= max_gap + 1e-6
    return np.asarray(fits)
