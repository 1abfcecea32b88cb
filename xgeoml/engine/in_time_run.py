"""Run an interpolation in time over whole arrays: pass by pass, or one task an output chunk."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xgeoml.engine.execute import (
    Array,
    check_device,
    edges,
    is_lazy,
    stacked,
    warn_of_progress,
)
from xgeoml.engine.in_time import InTime, fields_in_time
from xgeoml.engine.passes import processors, run_passes

# Values of a dask chunk of the result, as many as one of the data has: 64 MB in float32 at most,
# and where chunks are small 4 MB: a network takes 5 s for so many, and workers need several.
CHUNK_ELEMENTS, _FEWEST = 2**24, 2**20


def interpolate(arrays: Sequence[Array], job: InTime) -> Array:
    """Return fields at the times that are wanted.

    Parameters
    ----------
    arrays : sequence of array, (*pointwise axes, step, Y, X)
        The components; all of one shape, floating. One dask array among them makes the result lazy.
    job : InTime

    Returns
    -------
    array, (component, *pointwise axes, time, Y, X)
        In a dtype that holds those of all components.
    """
    if any(is_lazy(a) for a in arrays):
        return _interpolate_dask(arrays, job)
    return _interpolate_numpy([np.asarray(a) for a in arrays], job)


def groups_of_passes(job: InTime, n_series: int, own: int) -> list[tuple[int, int]]:
    """Return which passes make a chunk each, those without a wanted time left out.

    Parameters
    ----------
    job : InTime
    n_series : int
        Components and cells of a chunk.
    own : int
        Values of a chunk of the data.
    """
    each = -(-len(job.wanted) // max(1, job.n_passes))
    most = min(CHUNK_ELEMENTS, max(own, _FEWEST))
    several = max(1, most // max(1, n_series * each))
    made = [(k, min(k + several, job.n_passes)) for k in range(0, job.n_passes, several)]
    cut = [job.times(*group) for group in made]
    return [group for group, times in zip(made, cut, strict=True) if times.start < times.stop]


def cells_of_a_chunk(array: Array, job: InTime) -> int:
    """Return how many cells, of all steps, the largest chunk of the result has."""
    if not is_lazy(array):
        return int(np.prod(array.shape[:-3]) * np.prod(array.shape[-2:]))
    largest = [max(lengths, default=0) for lengths in array.chunks]
    plane = array.shape[-2:] if job.whole else largest[-2:]
    return int(np.prod(largest[:-3]) * np.prod(plane))


def _interpolate_numpy(arrays: list[NDArray[np.floating]], job: InTime) -> NDArray[np.floating]:
    *across, _, rows, columns = arrays[0].shape
    dtype = np.result_type(*arrays)
    made = np.empty((len(arrays), *across, len(job.wanted), rows, columns), dtype)
    # Pass by pass: what one sees of all components is enough to have in memory twice.
    passes = [(k, k + 1) for k in range(job.n_passes)]
    wanted = [p for p in passes if job.times(*p).start < job.times(*p).stop]

    def run(each: tuple[int, int]) -> None:
        seen = job.seen(*each)
        block = np.stack([a[..., seen, :, :] for a in arrays])
        made[..., job.times(*each), :, :] = fields_in_time(block, job, *each, seen.start)

    name = job.handle.spec.name
    run_passes(run, wanted, job.options, threads=processors(), name=name, unit="pass")
    return made


def _interpolate_dask(arrays: Sequence[Array], job: InTime) -> Array:
    import dask.array as da
    from dask._task_spec import Task, TaskRef
    from dask.base import tokenize
    from dask.delayed import delayed
    from dask.highlevelgraph import HighLevelGraph

    warn_of_progress(job.options)
    check_device(job.options)
    lazy = [a if is_lazy(a) else da.from_array(a, chunks=-1) for a in arrays]
    whole = stacked(lazy)
    plane = {whole.ndim - 2: -1, whole.ndim - 1: -1} if job.whole else {}
    whole = whole.rechunk({0: -1, **plane})
    axis = whole.ndim - 3
    n_series = len(arrays) * cells_of_a_chunk(whole[0], job)
    groups = groups_of_passes(job, n_series, int(np.prod(lazy[0].chunksize)))
    # The clock and the grid may be large: one object in the graph, not one a task.
    shared = delayed(job, traverse=False, pure=True)
    token = tokenize(whole.name, job, groups)
    name, cut = f"interp-time-{token}", f"steps-{token}"
    steps = np.array(edges(whole.chunks[axis]))
    needed = []  # by each group: chunks along time, and which of their steps
    for group in groups:
        seen = job.seen(*group)
        low, high = np.maximum(steps[:, 0], seen.start), np.minimum(steps[:, 1], seen.stop)
        needed.append([(int(k), low[k], high[k]) for k in np.flatnonzero(low < high)])
    layer: dict[Any, Any] = {}
    across = [range(len(c)) for k, c in enumerate(whole.chunks) if k != axis]
    for place, (g, (first, last)) in itertools.product(
        itertools.product(*across), enumerate(groups)
    ):
        pieces = []
        for k, low, high in needed[g]:
            source: Any = (whole.name, *place[:axis], k, *place[axis:])
            start, stop = (int(edge) for edge in steps[k])
            if (low, high) != (start, stop):
                key = (cut, g, *source[1:])
                layer[key] = Task(key, _piece, TaskRef(source), int(low) - start, int(high) - start)
                source = key
            pieces.append(TaskRef(source))
        key = (name, *place[:axis], g, *place[axis:])
        start = job.seen(first, last).start
        layer[key] = Task(key, _fields, TaskRef(shared.key), first, last, start, *pieces)
    lengths = [job.times(*group) for group in groups]
    chunks = list(whole.chunks)
    chunks[axis] = tuple(times.stop - times.start for times in lengths)
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[whole, shared])
    made = da.Array(graph, name, tuple(chunks), meta=np.empty((0,) * whole.ndim, whole.dtype))
    if len(set(chunks[axis][:-1])) > 1 or chunks[axis][-1] > chunks[axis][0]:
        made = made.rechunk({axis: max(chunks[axis])})  # Zarr takes only even chunks
    return made


def _piece(block: NDArray[np.floating], low: int, high: int) -> NDArray[np.floating]:
    """Return some steps; a copy, since a view would keep the whole chunk in memory."""
    return block[..., low:high, :, :].copy()


def _fields(
    job: InTime, first: int, last: int, start: int, *pieces: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Return one chunk of the result."""
    block = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=-3)
    return fields_in_time(block, job, first, last, start)
