"""Run a job over a whole array: tile by tile on NumPy, one task an output chunk on dask."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xgeoml.engine.kernel import Job, Summary, run_block, summarise
from xgeoml.engine.passes import processors, run_passes
from xgeoml.engine.plan import AxisPlan, Plan
from xgeoml.engine.runner import resolve_device
from xgeoml.models.series import Floats
from xgeoml.options import Options

if TYPE_CHECKING:
    from dask.delayed import Delayed

Array = Any  # numpy.ndarray or dask.array.Array

_Corner = tuple[tuple[int, int], ...]

# Elements of a block that the NumPy path works on at once: several tiles, so that the loop
# over blocks costs nothing, and the temporaries of one block stay small.
BLOCK_ELEMENTS = 2**22
# Elements of a dask chunk that is joined from pieces of others: a few tiles, 4 MB in float32.
JOINED_ELEMENTS = 2**20


def is_lazy(array: Array) -> bool:
    """Whether `array` is a dask array, found without importing dask."""
    return type(array).__module__.split(".")[0] == "dask"


def output_chunks(array: Array, plan: Plan) -> tuple[tuple[int, ...], ...]:
    """Return the chunk lengths along each axis, in cells of the data, from the array itself.

    Close to its own, moved to the lattice, where series come whole and chunks begin on the lattice.
    Otherwise its chunks have to be torn and joined again, and wait in memory for each other: the
    smaller what they are joined to, the fewer of them.
    """
    if not is_lazy(array):
        return tuple((n,) for n in array.shape)
    wanted = list(array.chunksize)
    torn = any(n < a.size and n % a.unit for a, n in zip(plan.axes, wanted, strict=True))
    if plan.tiled:
        # Surroundings are read and modelled for every chunk: small ones would be little else.
        for i, axis in enumerate(plan.axes):
            wanted[i] = max(wanted[i], 4 * axis.unit) if axis.mode == "tile" else wanted[i]
    elif _needs_summary(plan) and torn:
        most = max(1, JOINED_ELEMENTS // plan.sample_elements)
        pointwise = range(plan.n_pointwise)
        while math.prod(wanted[i] for i in pointwise) > most:
            longest = max(pointwise, key=lambda i: wanted[i])
            wanted[longest] = math.ceil(wanted[longest] / 2)
    return tuple(a.chunks(n) for a, n in zip(plan.axes, wanted, strict=True))


def execute(arrays: Sequence[Array], job: Job, area: Floats, years: Floats) -> Array:
    """Run a job over whole arrays.

    Parameters
    ----------
    arrays : sequence of array
        The value, the covariates, and the mask if the job has one; all of one shape and one
        floating dtype, axes in the order of the plan. One dask array among them makes the result
        lazy. On dask the arrays are read a second time after the summary, so that no chunk waits
        in memory for the summary to be ready.
    job : Job
        Model, plan and options.
    area : ndarray, (*pointwise axes)
        Relative area of each series.
    years : ndarray, (time,)
        Decimal year of each step, for models of whole series.

    Returns
    -------
    array, (output, *axes)
        What the job makes of every cell, in the dtype of the input; of a model that coarsens an
        axis, fewer cells.
    """
    if any(is_lazy(a) for a in arrays):
        return _execute_dask(arrays, job, area, years)
    return _execute_numpy([np.asarray(a) for a in arrays], job, area, years)


def _needs_summary(plan: Plan) -> bool:
    return plan.tiled or (len(plan.core) == 1 and plan.core[0].mode == "whole")


def _sample_index(plan: Plan) -> tuple[slice, ...]:
    return tuple(slice(None, None, s) for s in plan.sample_steps())


def _patches(plan: Plan) -> list[tuple[slice, ...]]:
    return plan.patches() if plan.tiled else []


def _execute_numpy(
    arrays: list[NDArray[np.floating]], job: Job, area: Floats, years: Floats
) -> NDArray[np.floating]:
    plan, job = job.plan, replace(job, threads=processors())
    summary = None
    if _needs_summary(plan):
        index = _sample_index(plan)
        patches = [np.stack([a[cut] for a in arrays]) for cut in _patches(plan)]
        sample = np.stack([a[index] for a in arrays])
        # Other inputs than covariates are no part of the summary's series.
        keep = not (plan.tiled or job.given) and all(n == 1 for n in plan.sample_steps())
        summary = summarise(sample, area[index], years, job, patches, keep)
        del patches, sample
    result = np.empty((job.n_outputs, *plan.output_shape), arrays[0].dtype)

    def run(corner: _Corner) -> None:
        block = np.stack([cut_block(a, corner, plan) for a in arrays])
        place = summary.place if summary else None
        if place is not None:
            place = place[tuple(slice(*edge) for edge in corner[: plan.n_pointwise])]
        estimate = run_block(block, job, summary, place)
        cells = [
            (start // a.coarsen, stop // a.coarsen)
            for (start, stop), a in zip(corner, plan.axes, strict=True)
        ]
        inside = tuple(slice(0, stop - start) for start, stop in cells)
        where = tuple(slice(start, stop) for start, stop in cells)
        result[(slice(None), *where)] = estimate[(slice(None), *inside)]

    corners = list(itertools.product(*map(edges, _blocks(plan))))
    # The threads share the tiles of a block.
    run_passes(run, corners, job.options, threads=1, name=job.handle.spec.name, unit="block")
    return result


def _blocks(plan: Plan) -> list[tuple[int, ...]]:
    """Return chunk lengths along each axis for blocks of about `BLOCK_ELEMENTS`."""
    wanted = [a.unit for a in plan.axes]
    for i in reversed(range(len(plan.axes))):
        rest = int(np.prod([w for k, w in enumerate(wanted) if k != i], dtype=np.int64))
        wanted[i] = max(plan.axes[i].unit, min(plan.axes[i].size, BLOCK_ELEMENTS // max(1, rest)))
    return [a.chunks(w) for a, w in zip(plan.axes, wanted, strict=True)]


def edges(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Return where pieces of such lengths start and stop."""
    return list(itertools.pairwise(np.cumsum([0, *lengths]).tolist()))


def cut_block(array: NDArray[Any], corner: Sequence[tuple[int, int]], plan: Plan) -> NDArray[Any]:
    """Return one block with its halo; NaN beyond an edge, the other side if periodic."""
    block = array
    for i, ((start, stop), axis) in enumerate(zip(corner, plan.axes, strict=True)):
        if axis.mode in ("window", "tile"):
            first = start - axis.halo
            block = take(block, first, first + axis.padded(stop - start), i, axis)
        else:
            block = block[(slice(None),) * i + (slice(start, stop),)]
    return block


def take(block: NDArray[Any], start: int, stop: int, i: int, axis: AxisPlan) -> NDArray[Any]:
    """Return cells of axis `i`; NaN beyond an edge, the other side if periodic."""
    index = np.arange(start, stop)
    taken = np.take(block, index % axis.size, axis=i)
    if not axis.periodic:
        beyond = (index < 0) | (index >= axis.size)
        taken[(slice(None),) * i + (beyond,)] = np.nan
    return taken


def _execute_dask(arrays: Sequence[Array], job: Job, area: Floats, years: Floats) -> Array:
    import dask.array as da

    from xgeoml.engine.reread import read_again

    plan = job.plan
    warn_of_progress(job.options)
    check_device(job.options)
    lazy = [a if is_lazy(a) else da.from_array(a, chunks=-1) for a in arrays]
    chunks = output_chunks(next(a for a in arrays if is_lazy(a)), plan)
    summary = None
    if _needs_summary(plan):
        index = _sample_index(plan)
        # A copy: a strided view would keep the whole chunk in memory until the summary is made.
        sample = stacked([a[index].map_blocks(np.copy) for a in lazy])
        patches = [stacked([a[cut].map_blocks(np.copy) for a in lazy]) for cut in _patches(plan)]
        summary = _summary_of(sample, patches, area[index], years, job)
        lazy = [read_again(a, summary) for a in lazy]
    whole = stacked(lazy)
    whole = whole.rechunk({0: len(lazy), **{i + 1: c for i, c in enumerate(chunks)}})
    depth, boundary = {}, {}
    for i, axis in enumerate(plan.axes, start=1):
        if axis.halo and len(chunks[i - 1]) > 1:
            depth[i] = axis.halo
            boundary[i] = "periodic" if axis.periodic else np.nan
    if depth:
        whole = da.overlap.overlap(whole, depth=depth, boundary=boundary, allow_rechunk=False)
    coarse = [
        tuple(n // a.coarsen for n in lengths) for lengths, a in zip(chunks, plan.axes, strict=True)
    ]
    return da.map_blocks(
        _run_padded,
        whole,
        job=job,
        summary=summary,
        has_halo=tuple(i + 1 in depth for i in range(len(plan.axes))),
        dtype=whole.dtype,
        chunks=((job.n_outputs,), *coarse),
        meta=np.empty((0,) * whole.ndim, whole.dtype),
    )


def _summary_of(
    sample: Array, patches: Sequence[Array], area: Floats, years: Floats, job: Job
) -> Delayed:
    """Return what the whole field knows, lazily.

    `dask.delayed` would do, but lays out and optimises the graph of its arguments at once, which
    takes longer than all the rest.
    """
    from dask._task_spec import List, Task, TaskRef
    from dask.base import tokenize
    from dask.delayed import Delayed
    from dask.highlevelgraph import HighLevelGraph

    whole = [a.rechunk(-1) for a in (sample, *patches)]
    first, *others = (TaskRef((a.name, *(0,) * a.ndim)) for a in whole)
    key = f"summarise-{tokenize([a.name for a in whole], area, years, job)}"
    task = Task(key, summarise, first, area, years, job, List(*others))
    return Delayed(key, HighLevelGraph.from_collections(key, {key: task}, dependencies=whole))


def warn_of_progress(options: Options) -> None:
    """Say what shows the progress of lazy data."""
    if options.progress is True:
        warnings.warn(
            "progress=True says nothing of lazy data, which are computed later; use "
            "dask.diagnostics.ProgressBar() or the dashboard of dask.distributed",
            stacklevel=3,
        )


def check_device(options: Options) -> None:
    """Raise if the device is not here, unless a cluster computes."""
    if options.device not in ("auto", "cpu") and not _computed_elsewhere():
        resolve_device(options.device)


def _computed_elsewhere() -> bool:
    """Whether a cluster's client is the scheduler: its workers have devices of their own."""
    from dask.base import get_scheduler

    return hasattr(get_scheduler(), "__self__")


def stacked(arrays: Sequence[Array]) -> Array:
    """Return dask arrays as one, along a new first axis."""
    import dask.array as da

    # Stacking copies; one array alone only gets an axis more.
    return arrays[0][None] if len(arrays) == 1 else da.stack(arrays)


def _run_padded(
    block: NDArray[np.floating], job: Job, summary: Summary | None, has_halo: tuple[bool, ...]
) -> NDArray[np.floating]:
    """Run one chunk; windowed axes are first padded to whole windows.

    An axis in one chunk has no halo yet: it is made here, however short the axis.
    """
    lengths = []
    for i, (axis, ready) in enumerate(zip(job.plan.axes, has_halo, strict=True)):
        length = block.shape[i + 1] - 2 * axis.halo * ready
        if axis.mode in ("window", "tile") and not ready:
            block = take(block, -axis.halo, axis.padded(length) - axis.halo, i + 1, axis)
        elif axis.mode == "window":
            extra = axis.padded(length) - block.shape[i + 1]
            padding = [(0, extra if k == i + 1 else 0) for k in range(block.ndim)]
            block = np.pad(block, padding, constant_values=np.nan)
        lengths.append(length // axis.coarsen)
    estimate = run_block(block, job, summary)
    return estimate[(slice(None), *(slice(0, n) for n in lengths))]
