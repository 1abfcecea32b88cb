"""The one kernel: a block of data, halos included, in; the model's estimate of it out.

NumPy and dask execution both call this, on blocks of the same lattice.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from xgeoml.engine import blend
from xgeoml.engine.features import series_channels, series_estimate
from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.plan import TILE_ELEMENTS, Plan
from xgeoml.engine.runner import run_network
from xgeoml.models.screen import suspect_steps
from xgeoml.models.series import Bools, Estimate, Floats, Series, State
from xgeoml.options import Options


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
    years : tuple of float
        Decimal years along the last axis if the model takes whole series, else empty.
    spread : bool
        Whether the spread is wanted beside the estimate.
    """

    handle: ModelHandle
    plan: Plan
    options: Options
    years: tuple[float, ...] = ()
    spread: bool = False

    @property
    def n_outputs(self) -> int:
        """How many fields come out: the estimate, and the spread if wanted."""
        return 1 + self.spread


@dataclass(frozen=True)
class Summary:
    """What the whole field knows, for use in every block.

    Parameters
    ----------
    trusted : ndarray of bool, (time,)
        False at suspect steps.
    states : dict
        The state of each classical model involved, by name.
    """

    trusted: Bools
    states: dict[str, State]


def summarise(sample: NDArray[np.floating], area: Floats, job: Job) -> Summary:
    """Return what the whole field knows, from a sample of its series.

    Parameters
    ----------
    sample : ndarray, (value and covariates, *pointwise axes, time)
    area : ndarray, (*pointwise axes)
    job : Job
    """
    flat = np.asarray(sample, np.float64).reshape(len(sample), -1, sample.shape[-1])
    flat[~np.isfinite(flat)] = np.nan
    kept = np.isfinite(flat[0]).any(-1)
    flat = flat[:, kept]
    years = np.array(job.years)
    everything = np.ones(len(years), bool)
    weights = area.reshape(-1)[kept]
    suspect = suspect_steps(Series(flat[0], years, everything, flat[1:], weights))
    series = Series(flat[0], years, ~suspect, flat[1:], weights)
    models = job.handle.series_models()
    return Summary(~suspect, {name: model.summarise(series) for name, model in models.items()})


def run_block(
    block: NDArray[np.floating], job: Job, summary: Summary | None
) -> NDArray[np.floating]:
    """Return the model's estimate of a block.

    Parameters
    ----------
    block : ndarray, (value and covariates, *axes)
        Starts on the lattice; along windowed axes it has a halo on both sides and is padded to
        whole windows.
    job : Job
    summary : Summary, optional
        Needed by models of whole series.

    Returns
    -------
    ndarray, (estimate and spread, *axes)
        In the block's dtype, halos cropped. NaN where the model says nothing.
    """
    plan = job.plan
    n = plan.n_pointwise
    core_shape = block.shape[1 + n :]
    result = np.full((job.n_outputs, *block.shape[1:]), np.nan, block.dtype)
    for tile in _tiles(block.shape[1 : 1 + n], [a.unit for a in plan.pointwise]):
        where = (slice(None), *tile)
        part = block[where]
        flat = part.reshape(len(part), -1, *core_shape)
        if any(a.mode == "window" for a in plan.core):
            estimate = _run_windows(flat, job)
        else:
            estimate = _run_samples(flat, job, summary)
        result[where] = estimate.reshape(job.n_outputs, *part.shape[1:])
    crop = tuple(slice(a.halo, s - a.halo) for a, s in zip(plan.core, core_shape, strict=True))
    return result[(slice(None),) * (1 + n) + crop]


def _tiles(shape: tuple[int, ...], units: list[int]) -> Iterator[tuple[slice, ...]]:
    starts = [range(0, n, unit) for n, unit in zip(shape, units, strict=True)]
    for corner in itertools.product(*starts):
        yield tuple(slice(c, c + unit) for c, unit in zip(corner, units, strict=True))


def _run_windows(fields: NDArray[np.floating], job: Job) -> Floats:
    """Run the model over all windows of ``(channel, field, *core axes)`` and blend them."""
    core = job.plan.core
    windows = sliding_window_view(
        fields, [a.window for a in core], axis=tuple(range(2, fields.ndim))
    )
    windows = windows[(slice(None), slice(None), *(slice(None, None, a.stride) for a in core))]
    lattice = windows.shape[1 : 2 + len(core)]
    total = np.zeros((job.n_outputs, *fields.shape[1:]))
    weight = np.zeros(fields.shape[1:])
    weights = blend.window_weights(core)[None]
    for group in _groups(math.prod(lattice), max(1, TILE_ELEMENTS // job.plan.sample_elements)):
        field, *index = np.unravel_index(group, lattice)
        where: Any = (slice(None), field, *index)
        estimate = _run_samples(windows[where], job, None)
        strides = [a.stride for a in core]
        corners = [field, *(i * s for i, s in zip(index, strides, strict=True))]
        starts = [tuple(map(int, corner)) for corner in zip(*corners, strict=True)]
        blend.add_windows(total, weight, estimate[:, :, None], starts, weights)
    return blend.weighted_mean(total, weight)


def _groups(n: int, size: int) -> Iterator[NDArray[np.intp]]:
    for start in range(0, n, size):
        yield np.arange(start, min(start + size, n))


def _run_samples(samples: NDArray[np.floating], job: Job, summary: Summary | None) -> Floats:
    """Run the model on ``(channel, sample, *axes)``; samples without any data stay NaN."""
    flat = np.asarray(samples, np.float64).reshape(*samples.shape[:2], -1)
    result = np.full((job.n_outputs, *flat.shape[1:]), np.nan)
    finite = np.isfinite(flat[0])
    some = finite.any(-1)
    if some.any():
        values = np.where(finite[some], flat[0, some], np.nan)
        length = flat.shape[-1]
        block = Series(
            values,
            np.array(job.years) if job.years else np.arange(length, dtype=np.float64),
            summary.trusted if summary else np.ones(length, bool),
            flat[1:, some],
            np.ones(len(values)),
        )
        estimate = _estimate(block, samples.shape[2:], job, summary)
        result[:, some] = np.stack(estimate)[: job.n_outputs]
    return result.reshape(job.n_outputs, *samples.shape[1:])


def _estimate(block: Series, shape: tuple[int, ...], job: Job, summary: Summary | None) -> Estimate:
    """Return the model's estimate of each series; a network gets its own shape back first."""
    spec = job.handle.spec
    states = summary.states if summary else {}
    bases: dict[str, Estimate] = {
        name: model.predict(block, states[name])
        for name, model in job.handle.series_models().items()
    }
    if spec.backend == "numpy":
        return bases[spec.name]
    channels, mean, deviation = series_channels(block, bases, spec.inputs)
    output = run_network(job.handle, channels.reshape(*channels.shape[:2], *shape), job.options)
    output = output.reshape(*output.shape[:2], -1)
    first = next((bases[c.name] for c in spec.inputs if c.role == "estimate"), None)
    return series_estimate(output, spec.outputs, mean, deviation, first)
