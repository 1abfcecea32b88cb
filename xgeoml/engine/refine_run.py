"""Run a downscaling over a whole array: pass by pass on NumPy, one task an output chunk on dask."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xgeoml.engine.execute import (
    Array,
    check_device,
    cut_block,
    edges,
    is_lazy,
    stacked,
    take,
    warn_of_progress,
)
from xgeoml.engine.passes import processors, run_passes
from xgeoml.engine.refine import Refinement, refine_block

# Fine values of a dask chunk: 64 MB in float32.
CHUNK_ELEMENTS = 2**24
# Side of a chunk of a grid that is cut, in tiles: halos are read and modelled for each.
_TILES = 4


def refine(arrays: Sequence[Array], job: Refinement) -> Array:
    """Run a downscaling over whole arrays.

    Parameters
    ----------
    arrays : sequence of array, (*pointwise axes, step, Y, X)
        The value and the covariates; all of one shape, floating. One dask array among them makes
        the result lazy.
    job : Refinement

    Returns
    -------
    array, (member, *pointwise axes, step, Y', X')
        In the dtype of the value.
    """
    if any(is_lazy(a) for a in arrays):
        return _refine_dask(arrays, job)
    return _refine_numpy([np.asarray(a) for a in arrays], job)


def chunks_of(array: Array, job: Refinement) -> list[tuple[int, ...]]:
    """Return chunk lengths along each axis of the coarse grid, close to the array's own."""
    plan = job.plan
    if not is_lazy(array):
        return [(n,) for n in array.shape]
    wanted = list(array.chunksize)
    for i in (-2, -1):
        axis = plan.axes[i]
        if axis.mode == "tile" and job.cut_in_space:
            wanted[i] = max(wanted[i], _TILES * axis.unit)
        else:
            wanted[i] = axis.size
    fine = job.fine_sizes(wanted[-2], wanted[-1])
    most = max(plan.axes[-3].unit, CHUNK_ELEMENTS // max(1, job.n_fields * fine[0] * fine[1]))
    wanted[-3] = min(max(wanted[-3], plan.axes[-3].unit), most)
    chunks = [a.chunks(n) for a, n in zip(plan.axes, wanted, strict=True)]
    # A chunk holds whole fields only, but of any number of positions elsewhere.
    for i in range(plan.n_pointwise):
        chunks[i] = tuple(array.chunks[i])
    return chunks


def _refine_numpy(arrays: list[NDArray[np.floating]], job: Refinement) -> NDArray[np.floating]:
    plan = job.plan
    shape = (*arrays[0].shape[:-2], *job.result.shape)
    made = np.empty((job.n_fields, *shape), arrays[0].dtype)
    lengths = [(1,) * a.size for a in plan.pointwise]
    lengths += [plan.axes[-3].chunks(plan.axes[-3].unit), *((a.size,) for a in job.grid)]
    corners = list(itertools.product(*map(edges, lengths)))

    def run(corner: tuple[tuple[int, int], ...]) -> None:
        block = np.stack([cut_block(a, corner, plan) for a in arrays])
        where = tuple(slice(*piece) for piece in corner[:-2])
        made[(slice(None), *where)] = refine_block(block, job, tuple(c[0] for c in corner))

    name = job.handle.spec.name
    run_passes(run, corners, job.options, threads=processors(), name=name, unit="pass")
    return made


def _refine_dask(arrays: Sequence[Array], job: Refinement) -> Array:
    import dask.array as da
    from dask.delayed import delayed

    plan = job.plan
    warn_of_progress(job.options)
    check_device(job.options)
    lazy = [a if is_lazy(a) else da.from_array(a, chunks=-1) for a in arrays]
    chunks = chunks_of(next(a for a in arrays if is_lazy(a)), job)
    whole = stacked(lazy).rechunk({0: len(lazy), **{i + 1: c for i, c in enumerate(chunks)}})
    depth, boundary = {}, {}
    for i, axis in enumerate(plan.axes, start=1):
        if axis.halo and len(chunks[i - 1]) > 1:
            depth[i] = axis.halo
            boundary[i] = "periodic" if axis.periodic else np.nan
    if depth:
        whole = da.overlap.overlap(whole, depth=depth, boundary=boundary, allow_rechunk=False)
    starts = [np.cumsum([0, *lengths[:-1]]).tolist() for lengths in chunks]
    if job.cut_in_space:
        factor = job.placement.factor
        fine = [tuple(n * factor for n in lengths) for lengths in chunks[-2:]]
    else:
        fine = [(n,) for n in job.result.shape]
    made = da.map_blocks(
        _refine_padded,
        whole,
        # Static covariates may be large: one object in the graph, not one a task.
        job=delayed(job, traverse=False, pure=True),
        starts=starts,
        has_halo=tuple(i + 1 in depth for i in range(len(plan.axes))),
        dtype=whole.dtype,
        chunks=((job.n_fields,), *chunks[:-2], *fine),
        meta=np.empty((0,) * whole.ndim, whole.dtype),
    )
    return made.astype(arrays[0].dtype)  # covariates may have more digits


def _refine_padded(
    block: NDArray[np.floating],
    job: Refinement,
    starts: Sequence[Sequence[int]],
    has_halo: tuple[bool, ...],
    block_info: Any = None,
) -> NDArray[np.floating]:
    """Refine one chunk; an axis in one chunk has no halo yet and is given it here."""
    place = block_info[0]["chunk-location"][1:]
    start = tuple(each[k] for each, k in zip(starts, place, strict=True))
    for i, (axis, ready) in enumerate(zip(job.plan.axes, has_halo, strict=True)):
        if axis.halo and not ready:
            length = block.shape[i + 1]
            block = take(block, -axis.halo, length + axis.halo, i + 1, axis)
    return refine_block(block, job, start)
