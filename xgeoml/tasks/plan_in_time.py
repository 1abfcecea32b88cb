"""What an interpolation in time would do: passes, chunks, device and memory, without doing it."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from xgeoml.engine.execute import is_lazy
from xgeoml.engine.in_time import STRETCH_ELEMENTS, InTime
from xgeoml.engine.in_time_run import cells_of_a_chunk, groups_of_passes
from xgeoml.rows import Rows
from xgeoml.spec import ModelSpec
from xgeoml.tasks.dispatch import GeoObject
from xgeoml.tasks.inspect import first_treated
from xgeoml.tasks.instants import shown
from xgeoml.tasks.interp_time import variables_in_time
from xgeoml.tasks.interpolating import (
    ON_GRIDS,
    Wish,
    axes_in_time,
    instants_of,
    is_automatic,
    make_ready,
    resolve,
)
from xgeoml.tasks.vectors import in_groups

# Work arrays in float64 of a model of single cells, over steps and times: measured with `akima`.
_WORK_ARRAYS = 6


@dataclass(frozen=True, repr=False)
class TimePlan(Rows):
    """What an interpolation in time would do. Print it.

    Attributes
    ----------
    model, reason : str
        The model as name@version, and why it was taken.
    variable : str
        The variable, or both components of a vector.
    dims : tuple of str
        In the engine's order.
    shape : tuple of int
        Of the data along these.
    axes : tuple of str
        One line for each axis: how it was found.
    first, last : str
        Times of the result.
    n_times, n_given : int
        How many there are, and how many of them are steps of the data.
    window, halo : int
        Intervals that are treated at a time, and steps seen on either side of them.
    passes : int
    whole : bool
        Whether the model sees whole fields.
    accumulated : bool
        Whether the values are totals, which are kept.
    terrain : bool
        Whether the model is given the package's own map of elevation.
    chunks : tuple of int
        Of the result along time; of NumPy data, one.
    device : str
        Where a network runs.
    batch_size : int or None
    memory : int
        Estimate of the bytes needed beyond the input: a chunk of the result, all of it if the data
        are in memory, and the work on one pass.
    """

    model: str
    reason: str
    variable: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    first: str
    last: str
    n_times: int
    n_given: int
    window: int
    halo: int
    passes: int
    whole: bool
    accumulated: bool
    terrain: bool
    chunks: tuple[int, ...]
    device: str
    batch_size: int | None
    memory: int

    def _title(self) -> str:
        return "plan: interp_time"

    def _rows(self) -> list[tuple[str, str]]:
        sizes = ", ".join(f"{d}: {n}" for d, n in zip(self.dims, self.shape, strict=True))
        sees = "whole fields" if self.whole else "each cell by itself"
        made = f"{self.n_times} times, {self.first} to {self.last}"
        if self.accumulated:
            made += "; totals are kept"
        else:
            made += f", {self.n_given} of them given"
        n_chunks = len(self.chunks)
        return [
            ("model", f"{self.model} ({self.reason})"),
            ("variable", f"{self.variable} ({sizes})"),
            *(("axis", line) for line in self.axes),
            ("result", made),
            (
                "passes",
                f"{self.passes} of {self.window} intervals, which see {self.halo} steps around, "
                f"{sees}",
            ),
            *([("terrain", "the package's own map of elevation")] if self.terrain else []),
            ("output", f"{n_chunks} chunk{'s' * (n_chunks != 1)} along time"),
            ("device", f"{self.device}, batch of {self.batch_size or 'its own choice'}"),
            ("memory", f"about {self.memory / 1e6:.0f} MB beyond the input"),
        ]


def _reason(spec: ModelSpec) -> str:
    """Return why a model was taken that was not asked for."""
    return "a grid" if spec.name == ON_GRIDS else "no grid of two cells along both axes"


def plan_in_time(obj: GeoObject, variable: Hashable | None, wish: Wish) -> TimePlan:
    """Return what an interpolation of the first variable that fits would do."""
    dataset, _, name = first_treated(
        obj,
        None if variable is None else [variable],
        lambda group, named: variables_in_time(group, named, wish.dims),
    )
    names = variables_in_time(dataset, None if variable is None else [variable], wish.dims)
    group = in_groups(dataset, [name] if variable is not None else names, None)[0]
    found, time = axes_in_time(dataset, group[0], wish.dims)
    instants = instants_of(dataset, time, wish)
    handle = resolve(dataset, group[0], wish)
    ready = make_ready(dataset, group, instants, handle, wish)
    job, spec, value = ready.job, ready.job.handle.spec, ready.arrays[0]
    n_series = len(group) * cells_of_a_chunk(value, job)
    chunks: tuple[int, ...] = (len(job.wanted),)
    if is_lazy(value):
        groups = groups_of_passes(job, n_series, math.prod(value.chunksize))
        cut = [job.times(*passes) for passes in groups]
        chunks = tuple(times.stop - times.start for times in cut)
    passes = [job.times(k, k + 1) for k in range(job.n_passes)]
    device = "cpu"
    if spec.backend == "torch":
        from xgeoml.engine.runner import resolve_device

        device = resolve_device(wish.options.device)
    return TimePlan(
        model=spec.key,
        reason=_reason(spec) if is_automatic(wish) else "as asked",
        variable=" and ".join(map(str, group)),
        dims=ready.dims,
        shape=tuple(ready.originals[0].sizes[d] for d in ready.dims),
        axes=tuple(f"{axis}: {found.names[axis]} ({how})" for axis, how in found.how.items()),
        first=shown(instants.stamps[0]),
        last=shown(instants.stamps[-1]),
        n_times=len(instants.stamps),
        n_given=int((instants.copied >= 0).sum()),
        window=job.window,
        halo=job.halo,
        passes=sum(times.start < times.stop for times in passes),
        whole=job.whole,
        accumulated=wish.accumulated,
        terrain=job.place.terrain is not None,
        chunks=chunks,
        device=device,
        batch_size=wish.options.batch_size,
        memory=max(chunks) * n_series * value.dtype.itemsize + _work(job, value, n_series),
    )


def _work(job: InTime, value: Any, n_series: int) -> int:
    """Return the bytes that the work on one pass takes."""
    passes = [job.times(k, k + 1) for k in range(job.n_passes)]
    in_a_pass = max(int(times.stop - times.start) for times in passes)
    steps = min(len(job.days), job.window + 2 * job.halo + 1)
    block = (steps + in_a_pass) * n_series
    work = block if job.whole else _WORK_ARRAYS * min(block, STRETCH_ELEMENTS)
    itemsize: int = value.dtype.itemsize
    return block * itemsize + work * 8
