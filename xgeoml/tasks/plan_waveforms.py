"""What an inversion of waveforms would do: events, passes, device and memory, without doing it."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import xarray as xr

from xgeoml.axes import find_axes
from xgeoml.engine.execute import is_lazy
from xgeoml.engine.inversion import axis_of, events_at_once
from xgeoml.rows import Rows
from xgeoml.tasks.dispatch import GeoObject
from xgeoml.tasks.inspect import first_treated
from xgeoml.tasks.inverting import TASK, Ready, Wish, inverted, make_ready, records_of, resolve
from xgeoml.tasks.values import as_floats

# Work arrays in float64 over the records of the events that are treated at once: measured with
# `nnls` and `wiener`.
_WORK_ARRAYS = 25
# Bytes that a network takes for each sample of a source: measured with `eq_tf`.
_OF_A_NETWORK = 2500


@dataclass(frozen=True, repr=False)
class WaveformPlan(Rows):
    """What an inversion of waveforms would do. Print it.

    Attributes
    ----------
    model, reason : str
        The model as name@version, and why it was taken.
    variable : str
    dims : tuple of str
        Of the records.
    shape : tuple of int
        Of the records along these.
    axes : tuple of str
        One line for each axis: how it was found.
    join : tuple of str
        Dims along which records have one source.
    events, stations : int
        How many sources there are, and how many records have one in common.
    samples, length : int
        Samples of a record, and of a source.
    step : float or None
        Seconds from one sample to the next, if known.
    greens : tuple of str or None
        Dims of the records along which Green's functions differ; None: the model has learnt them.
    broken : int or None
        Events whose records have gaps; None if the records are lazy.
    gaps : {"raise", "window"}
        What becomes of these.
    at_once : int
        Events that are treated at a time.
    passes : int
        How often, if no event has gaps.
    chunks : tuple of tuple of int
        Of the sources; of NumPy data, one.
    device : str
        Where a network runs; deconvolutions run on the processor.
    batch_size : int or None
    memory : int
        Estimate of the bytes needed beyond the input: a chunk of the sources, all of them if the
        data are in memory, and the work on the events treated at a time.
    """

    model: str
    reason: str
    variable: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    join: tuple[str, ...]
    events: int
    stations: int
    samples: int
    length: int
    step: float | None
    greens: tuple[str, ...] | None
    broken: int | None
    gaps: str
    at_once: int
    passes: int
    chunks: tuple[tuple[int, ...], ...]
    device: str
    batch_size: int | None
    memory: int

    def _title(self) -> str:
        return f"plan: {TASK}"

    def _rows(self) -> list[tuple[str, str]]:
        sizes = ", ".join(f"{d}: {n}" for d, n in zip(self.dims, self.shape, strict=True))
        step = "" if self.step is None else f", one every {self.step:.6g} s"
        along = f"{self.stations} records along {', '.join(self.join)}"
        if self.greens is None:
            greens = "as the model has learnt them"
        else:
            greens = f"one for each {', '.join(self.greens)}" if self.greens else "one for all"
        missing = "unknown (lazy)"
        if self.broken is not None:
            then = "refused" if self.gaps == "raise" else "their longest stretch without is used"
            missing = f"{self.broken} events with gaps" + (f": {then}" if self.broken else "")
        n_chunks = math.prod(len(c) for c in self.chunks)
        return [
            ("model", f"{self.model} ({self.reason})"),
            ("variable", f"{self.variable} ({sizes})"),
            *(("axis", line) for line in self.axes),
            ("samples", f"{self.samples} of a record, {self.length} of a source{step}"),
            ("greens", greens),
            ("sources", f"{self.events}, each of {along if self.join else 'one record'}"),
            ("missing", missing),
            ("passes", f"{self.passes}, {self.at_once} event{'s' * (self.at_once != 1)} at a time"),
            ("output", f"{n_chunks} chunk{'s' * (n_chunks != 1)}"),
            ("device", f"{self.device}, batch of {self.batch_size or 'its own choice'}"),
            ("memory", f"about {self.memory / 1e6:.0f} MB beyond the input"),
        ]


def plan_waveforms(obj: GeoObject, variable: Hashable | None, wish: Wish) -> WaveformPlan:
    """Return what an inversion of the first variable that fits would do."""
    dataset, _, name = first_treated(
        obj,
        None if variable is None else [variable],
        lambda group, named: records_of(group, named, wish),
    )
    handle = resolve(wish)
    # Lazy, so that nothing is resampled or inverted here.
    lazy = dataset.assign({name: dataset[name].variable.chunk()})
    if isinstance(wish.greens, xr.DataArray):
        wish = replace(wish, greens=wish.greens.chunk())
    elif wish.greens in lazy.data_vars:
        lazy = lazy.assign({wish.greens: lazy[wish.greens].variable.chunk()})
    ready = make_ready(lazy, name, handle, wish)
    record, samples, job, spec = ready.record, ready.samples, ready.job, handle.spec
    quiet = replace(ready, job=replace(job, options=replace(job.options, progress=False)))
    source = inverted(quiet)[name]
    chunks = source.chunks or tuple((n,) for n in source.shape)
    # Of each chunk.
    loop = [c for dim, c in zip(source.dims, chunks, strict=True) if dim != samples.dim]
    events = reduce(np.multiply.outer, map(np.array, loop), np.array(1))
    stations = math.prod(record.sizes[d] for d in ready.join)
    of_event = stations * samples.count
    largest = int(events.max())
    at_once = min(largest, events_at_once(of_event, handle, wish.options))
    work = at_once * of_event * 8 * _WORK_ARRAYS
    device = "cpu"
    if spec.backend == "torch":
        from xgeoml.engine.runner import resolve_device

        device = resolve_device(wish.options.device)
        axis = axis_of(job, samples.count)
        work += min(at_once, wish.options.batch_size or at_once) * axis * _OF_A_NETWORK
    automatic = isinstance(wish.model, str) and wish.model == "auto" and wish.weights is None
    how = find_axes(dataset[name], wish.dims).how.get("T", "guessed from the name")
    greens = ready.greens
    # Value and spread in float64 besides the result itself.
    result = largest * job.length * (record.dtype.itemsize + 16)
    return WaveformPlan(
        model=spec.key,
        reason="the network of the task" if automatic else "as asked",
        variable=str(name),
        dims=tuple(map(str, record.dims)),
        shape=record.shape,
        axes=(f"T: {samples.dim} ({how})",),
        join=ready.join,
        events=int(events.sum()),
        stations=stations,
        samples=samples.count,
        length=job.length,
        step=None if samples.unit is None else samples.step,
        greens=None
        if greens.learnt is not None
        else tuple(str(d) for d in greens.array.dims if d != samples.dim),
        broken=_broken(dataset[name], ready),
        gaps=job.gaps,
        at_once=at_once,
        passes=int((-(-events // at_once)).sum()),
        chunks=chunks,
        device=device,
        batch_size=wish.options.batch_size,
        memory=result + work,
    )


def _broken(original: xr.DataArray, ready: Ready) -> int | None:
    """Return how many events have records with gaps; stations may be missing altogether."""
    if is_lazy(original.variable.data):
        return None
    missing = as_floats(original).isnull()
    dim = ready.samples.dim
    gaps = missing.any(dim) & ~missing.all(dim)
    return int((gaps.any(ready.join) if ready.join else gaps).sum())
