"""The one kernel: a block of data, halos included, in; the model's estimate of it out.

NumPy and dask execution both call this, on blocks of the same lattice.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from xgeoml.engine import blend
from xgeoml.engine.features import series_channels, series_estimate
from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.passes import together
from xgeoml.engine.plan import SUMMARY_ELEMENTS, TILE_ELEMENTS, Plan
from xgeoml.engine.runner import run_network
from xgeoml.engine.threads import one_blas_thread
from xgeoml.exceptions import InputError
from xgeoml.models.field import Field, FieldSample
from xgeoml.models.screen import suspect_steps
from xgeoml.models.series import Bools, Estimate, Floats, Rows, Series, State
from xgeoml.options import Options

_Made = TypeVar("_Made")

# Largest value of the data.
LARGEST = 1e75
# Fewer series are not worth a thread.
_LEAST_ROWS = 256
# Windows that a network is shown at once, at least, so that several threads have one to run.
_LEAST_WINDOWS = 4


class Finish(Protocol):
    """The last step, done tile by tile so that no estimate of a whole chunk is ever held."""

    def __call__(
        self,
        value: NDArray[np.floating],
        estimate: NDArray[np.floating],
        mask: NDArray[np.floating] | None,
        trusted: Bools | None,
    ) -> NDArray[np.floating]:
        """Return ``(field, *axes)`` from the value, ``(*axes)``, and the estimate.

        `trusted` runs along the last axis.
        """
        ...


@dataclass(frozen=True)
class Job:
    """Everything but the data: what is run on each block.

    Parameters
    ----------
    handle : ModelHandle
        The model.
    plan : Plan
        The lattice.
    options : Options
        Device, batch and precision.
    spread : bool
        Whether the spread is wanted beside the estimate.
    masked : bool
        Whether the last input array is a mask for `finish`, not a covariate.
    finish : callable, optional
        What a task makes of a tile, see `Finish`; by default the estimate is the result.
    n_finished : int
        How many fields `finish` returns.
    given : tuple of str
        What the input arrays after the value are, where they are no covariates: ``"share"`` and
        ``"clock"``, see `xgeoml.engine.features.series_channels`.
    threads : int
        How many threads share the classical models' work on one tile: one where a scheduler
        already runs several blocks at a time.
    """

    handle: ModelHandle
    plan: Plan
    options: Options
    spread: bool = False
    masked: bool = False
    finish: Finish | None = None
    n_finished: int = 0
    given: tuple[str, ...] = ()
    threads: int = 1

    @property
    def n_estimates(self) -> int:
        """How many fields a model returns: the estimate, and the spread if wanted."""
        return 1 + self.spread

    @property
    def n_outputs(self) -> int:
        """How many fields come out in the end."""
        return self.n_finished if self.finish else self.n_estimates


@dataclass(frozen=True)
class Summary:
    """What the whole field knows, for use in every block.

    Parameters
    ----------
    years : ndarray, (time,)
        Decimal year of each step.
    trusted : ndarray of bool, (time,)
        False at suspect steps.
    states : dict
        The state of each classical model involved, by name.
    whole : Series, optional
        All series that have a value, where these have been seen, with what was found of each.
    place : ndarray of int, (*axes across), optional
        Where in `whole` the series of each cell is, -1 where it has no value.
    """

    years: Floats
    trusted: Bools
    states: dict[str, State]
    whole: Series | None = None
    place: Rows | None = None


def summarise(
    sample: NDArray[np.floating],
    area: Floats,
    years: Floats,
    job: Job,
    patches: Sequence[NDArray[np.floating]] = (),
    keep: bool = False,
) -> Summary:
    """Return what the whole field knows, from a sample of its series.

    Parameters
    ----------
    sample : ndarray, (value and covariates, *axes across, time)
    area : ndarray, (*axes across)
    years : ndarray, (time,)
    job : Job
    patches : sequence of ndarray, (value and covariates, *axes)
        The pieces that `Plan.patches` names, for a model of tiles.
    keep : bool
        Whether the sample is every series, so that blocks can be taken from it.
    """
    if job.masked:
        sample = sample[:-1]
    raw = sample.reshape(len(sample), -1, len(years))
    kept = np.flatnonzero(np.isfinite(raw[0]).any(-1))
    thin = math.ceil(kept.size * len(sample) * len(years) / SUMMARY_ELEMENTS) or 1
    kept = kept[::thin]
    flat = _finite(raw[:, kept])
    series = Series(
        flat[0],
        years,
        np.ones(len(years), bool),
        flat[1:],
        area.reshape(-1)[kept],
        spread=_spread_wanted(job),
        threads=job.threads,
    )
    with one_blas_thread():
        suspect = suspect_steps(series)
        if suspect.any():
            series = replace(series, trusted=~suspect)
        models = job.handle.series_models(drivers=len(series.covariates) > 0)
        seen = FieldSample(series, _patches(patches, series, job)) if job.plan.tiled else series
        states = of_each(models, lambda _, model: model.summarise(seen))
    if not keep or thin > 1:
        return Summary(years, series.trusted, states)
    place = np.full(area.size, -1)
    place[kept] = np.arange(len(kept))
    return Summary(years, series.trusted, states, series, place.reshape(area.shape))


def _patches(arrays: Sequence[NDArray[np.floating]], series: Series, job: Job) -> tuple[Field, ...]:
    """Return the pieces of a grid that have a value in them."""
    made = []
    rows, columns = job.plan.core[:2]
    tile = (rows.unit, columns.unit)
    for array, cut in zip(arrays, job.plan.patches(), strict=True):
        given = array[:-1] if job.masked else array
        piece = _finite(given.reshape(len(given), *given.shape[-3:]))
        if np.isfinite(piece[0]).any():
            years, trusted = series.years[cut[-1]], series.trusted[cut[-1]]
            made.append(Field(piece[0], (0, 0), tile, years, trusted, piece[1:]))
    return tuple(made)


def run_block(
    block: NDArray[np.floating], job: Job, summary: Summary | None, place: Rows | None = None
) -> NDArray[np.floating]:
    """Return the model's estimate of a block.

    Parameters
    ----------
    block : ndarray, (value, covariates and mask, *axes)
        Starts on the lattice; along windowed axes it has a halo on both sides and is padded to
        whole windows.
    job : Job
    summary : Summary, optional
        Needed by models of whole series.
    place : ndarray of int, (*axes across), optional
        The block's part of that of the summary.

    Returns
    -------
    ndarray, (output, *axes)
        In the block's dtype, halos cropped. NaN where the model says nothing.
    """
    plan = job.plan
    n = plan.n_pointwise
    sizes = list(zip(plan.core, block.shape[1 + n :], strict=True))
    every = (slice(None), slice(None))
    inside = (*every, *(slice(a.halo, size - a.halo) for a, size in sizes))
    coarse = [(a.halo // a.coarsen, size // a.coarsen) for a, size in sizes]
    crop = (*every, *(slice(halo, size - halo) for halo, size in coarse))
    shape = (*block.shape[1 : 1 + n], *(size - 2 * halo for halo, size in coarse))
    result = np.empty((job.n_outputs, *shape), block.dtype)
    windowed = any(a.mode == "window" for a in plan.core)
    tiles = list(_tiles(block.shape[1 : 1 + n], [a.unit for a in plan.pointwise]))
    # Threads that have no tile of their own help with those of the others.
    several = min(job.threads, len(tiles))
    shared = replace(job, threads=math.ceil(job.threads / several) if several else 1)

    def run(tile: tuple[slice, ...]) -> None:
        part = block[(slice(None), *tile)]
        fields = part.reshape(len(part), -1, *part.shape[1 + n :])
        given = fields[:-1] if job.masked else fields
        estimate: NDArray[np.floating]
        if plan.tiled:
            estimate = _run_fields(given, shared, summary)
        elif windowed:
            estimate = _run_windows(given, shared)[crop]
        else:
            rows = None if place is None else place[tile].ravel()
            estimate = _run_samples(given, shared, summary, rows)
        if job.finish is not None:
            own = fields[inside]
            trusted = summary.trusted if summary else None
            estimate = job.finish(own[0], estimate, own[-1] if job.masked else None, trusted)
        target = result[(slice(None), *tile)]
        target[...] = estimate.reshape(target.shape)

    deque(together(run, tiles, several), maxlen=0)
    return result


def _tiles(shape: tuple[int, ...], units: list[int]) -> Iterator[tuple[slice, ...]]:
    starts = [range(0, n, unit) for n, unit in zip(shape, units, strict=True)]
    for corner in itertools.product(*starts):
        yield tuple(slice(c, c + unit) for c, unit in zip(corner, units, strict=True))


def _run_fields(fields: NDArray[np.floating], job: Job, summary: Summary | None) -> Floats:
    """Run a model of tiles over ``(channel, field, y, x, time)``, halos included.

    Returns
    -------
    ndarray, (estimate, field, y, x, time)
        Without halos.
    """
    assert summary is not None
    values = _finite(fields)
    (name, model), *_ = job.handle.series_models(drivers=len(values) > 1).items()
    rows, columns = job.plan.core[:2]
    blocks = []
    for i in range(values.shape[1]):
        for start, stop in _shares(values.shape[2] - 2 * rows.halo, rows.unit, job.threads):
            cut = values[:, i, start : stop + 2 * rows.halo]
            halo, tile = (rows.halo, columns.halo), (rows.unit, columns.unit)
            blocks.append(Field(cut[0], halo, tile, summary.years, summary.trusted, cut[1:]))
    with one_blas_thread():
        state = summary.states[name]
        made = list(together(lambda block: model.predict(block, state), blocks, job.threads))
    parts = [np.stack(estimate)[: job.n_estimates] for estimate in made]
    each = len(parts) // values.shape[1]
    return np.stack(
        [np.concatenate(parts[i : i + each], axis=1) for i in range(0, len(parts), each)], axis=1
    )


def _shares(length: int, unit: int, count: int) -> list[tuple[int, int]]:
    """Return where `count` shares of an axis, in whole tiles, start and stop."""
    share = max(1, math.ceil(length / unit / count)) * unit
    return [(start, min(start + share, length)) for start in range(0, length, share)]


def _run_windows(fields: NDArray[np.floating], job: Job) -> Floats:
    """Run the model over all windows of ``(channel, field, *core axes)`` and blend them."""
    core = job.plan.core
    windows = sliding_window_view(
        fields, [a.window for a in core], axis=tuple(range(2, fields.ndim))
    )
    windows = windows[(slice(None), slice(None), *(slice(None, None, a.stride) for a in core))]
    lattice = windows.shape[1 : 2 + len(core)]
    shape = [fields.shape[1]]
    shape += [n // a.coarsen for n, a in zip(fields.shape[2:], core, strict=True)]
    total, weight = np.zeros((job.n_estimates, *shape)), np.zeros(shape)
    weights = blend.window_weights(core)[None]
    several = max(_LEAST_WINDOWS, TILE_ELEMENTS // job.plan.sample_elements)
    for group in _groups(math.prod(lattice), several):
        field, *index = np.unravel_index(group, lattice)
        where: Any = (slice(None), field, *index)
        estimate = _run_samples(windows[where], job, None)
        strides = [a.stride // a.coarsen for a in core]
        corners = [field, *(i * s for i, s in zip(index, strides, strict=True))]
        starts = [tuple(map(int, corner)) for corner in zip(*corners, strict=True)]
        blend.add_windows(total, weight, estimate[:, :, None], starts, weights)
    return blend.weighted_mean(total, weight)


def _groups(n: int, size: int) -> Iterator[NDArray[np.intp]]:
    for start in range(0, n, size):
        yield np.arange(start, min(start + size, n))


def _run_samples(
    samples: NDArray[np.floating], job: Job, summary: Summary | None, rows: Rows | None = None
) -> Floats:
    """Run the model on ``(channel, sample, *axes)``; samples without any data stay NaN.

    With `rows` of the summary's series, one a sample, these are taken instead.
    """
    shape = _coarse(samples.shape[2:], job)
    result = np.empty((job.n_estimates, samples.shape[1], math.prod(shape)))
    given: dict[str, Floats] = {}
    if rows is not None and summary is not None and summary.whole is not None:
        some = rows >= 0
        block = summary.whole.rows(rows[some])
    else:
        flat = np.asarray(samples, np.float64).reshape(*samples.shape[:2], -1)
        if samples.dtype.itemsize > 4:
            check_size(flat)
        some = np.isfinite(flat[0]).any(-1)
        block = _series(flat[:, some], job, summary)
        given = {name: flat[i, some] for i, name in enumerate(job.given, start=1)}
    result[:, ~some] = np.nan
    if some.any():
        estimate = _estimate(block, given, samples.shape[2:], job, summary)
        for made, found in zip(result, estimate, strict=False):
            made[some] = found
    return result.reshape(job.n_estimates, len(some), *shape)


def _series(flat: Floats, job: Job, summary: Summary | None) -> Series:
    """Return ``(channel, sample, time)`` as series."""
    length = flat.shape[-1]
    return Series(
        np.where(np.isfinite(flat[0]), flat[0], np.nan),
        summary.years if summary else np.arange(length, dtype=np.float64),
        summary.trusted if summary else np.ones(length, bool),
        flat[1 + len(job.given) :],
        np.ones(flat.shape[1]),
        spread=_spread_wanted(job),
    )


def _spread_wanted(job: Job) -> bool:
    """Whether anything is made of the spreads of classical models: networks are shown them."""
    return job.spread or job.plan.tiled or job.handle.spec.backend != "numpy"


def _coarse(shape: tuple[int, ...], job: Job) -> tuple[int, ...]:
    """Return the sizes of the output for those of the input, along the axes of the model."""
    return tuple(n // a.coarsen for n, a in zip(shape, job.plan.core, strict=True))


def _finite(values: NDArray[np.floating]) -> Floats:
    """Return values as models of series have them: in double precision, NaN where missing."""
    if values.dtype.itemsize > 4:
        check_size(values)
    made: Floats = values.astype(np.float64, order="C")
    infinite = np.isinf(made)
    if infinite.any():
        made[infinite] = np.nan
    return made


def check_size(values: NDArray[np.floating]) -> None:
    """Raise if a value is so large that its fourth power, a variance of variances, overflows."""
    if not (np.abs(values) > np.float64(LARGEST)).any():
        return
    largest = np.max(np.abs(values), initial=0.0, where=np.isfinite(values))
    if largest > LARGEST:
        raise InputError(
            f"the data hold {largest:g}; expected values within {LARGEST:g}: is it what stands for "
            f"missing? Type obj = obj.where(abs(obj) < {LARGEST:g})"
        )


def in_dtype(values: Floats, dtype: np.dtype[Any]) -> NDArray[np.floating]:
    """Return estimates in the dtype of the result; those that it cannot hold are missing."""
    with np.errstate(over="ignore"):
        made: NDArray[np.floating] = values.astype(dtype)
    made[np.isinf(made)] = np.nan
    return made


def of_each(models: Mapping[str, Any], call: Callable[[str, Any], _Made]) -> dict[str, _Made]:
    """Return what `call` makes of each model, calling it once for models that are the same."""
    made: dict[int, _Made] = {}
    for name, model in models.items():
        if id(model) not in made:
            made[id(model)] = call(name, model)
    return {name: made[id(model)] for name, model in models.items()}


def _joined(model: Any, parts: Sequence[Series], state: State, threads: int) -> Estimate:
    """Return one model's estimate of all parts, so many at a time."""
    made: list[Estimate] = list(together(lambda part: model.predict(part, state), parts, threads))
    if len(made) == 1:
        return made[0]
    mean = np.concatenate([part.mean for part in made])
    if not parts[0].spread:
        return Estimate.without_spread(mean)
    return Estimate(mean, np.concatenate([part.spread for part in made]))


def _estimate(
    block: Series,
    given: Mapping[str, Floats],
    shape: tuple[int, ...],
    job: Job,
    summary: Summary | None,
) -> Estimate:
    """Return the model's estimate of each series; a network gets its own shape back first."""
    spec = job.handle.spec
    states = summary.states if summary else {}
    models = job.handle.series_models(drivers=len(block.covariates) > 0)
    # The same parts for every model: what one has found of a part, another need not find again.
    size = max(_LEAST_ROWS, math.ceil(len(block.values) / job.threads))
    parts = [block.rows(slice(i, i + size)) for i in range(0, len(block.values), size)]
    with one_blas_thread():
        bases: dict[str, Estimate] = of_each(
            models, lambda name, model: _joined(model, parts, states[name], job.threads)
        )
    if spec.backend == "numpy":
        return bases[spec.name]
    channels, mean, deviation = series_channels(block, bases, spec.inputs, spec.scale, given)
    channels = channels.reshape(*channels.shape[:2], *shape)
    output = run_network(job.handle, channels, job.options, _coarse(shape, job))
    output = output.reshape(*output.shape[:2], -1)
    first = next((bases[c.name] for c in spec.inputs if c.role == "estimate"), None)
    return series_estimate(output, spec.outputs, mean, deviation, first)
