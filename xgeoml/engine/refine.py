"""The kernel of downscaling: a block of coarse fields, halos included, in; finer fields out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.kernel import check_size, in_dtype
from xgeoml.engine.noise import Spot
from xgeoml.engine.plan import AxisPlan, Plan
from xgeoml.engine.refine_network import run_refiner
from xgeoml.engine.regrid import Overlap, Regrid, conserve
from xgeoml.engine.threads import one_blas_thread
from xgeoml.models.downscaling import Clock, Placement, Window
from xgeoml.models.series import Bools, Floats
from xgeoml.options import Options

# Fine values that a model makes at once: 8 MB in float64; and the most steps, since small grids
# gain nothing from more.
PASS_ELEMENTS, _MOST_STEPS = 2**20, 256

_Cut = tuple[slice, slice]


@dataclass(frozen=True)
class Refinement:
    """Everything but the data: what is made of each block.

    Parameters
    ----------
    handle : ModelHandle
        The model.
    plan : Plan
        Of the coarse grid: the pointwise axes, then T, Y and X.
    options : Options
        Device, batch, precision and seed.
    placement : Placement
        Of the points that the model makes, on the whole coarse grid.
    clock : Clock
        Of all steps.
    static : ndarray, (covariate, Y', X')
        At the points that the model makes.
    kept : ndarray of bool, (Y', X'), optional
        Points of the result that get a value; by default those in cells that have one.
    seen : ndarray of bool, (Y, X), optional
        With `kept`: coarse cells that take their points with them where they are missing.
    share : ndarray, (Y', X'), optional
        Weights with which points of the result count in their coarse cell's mean, which is then
        kept.
    least : float, optional
        The smallest value that a point of the result may have.
    terrain : bool
        Whether the static covariates are elevation and share of land.
    members : int
        Members of an ensemble; 0 for a model that gives one answer.
    regrid : Regrid, optional
        From the points that the model makes to those of `wanted`.
    wanted : Placement, optional
        Of the points of the result, if these are others.
    """

    handle: ModelHandle
    plan: Plan
    options: Options
    placement: Placement
    clock: Clock
    static: Floats
    kept: Bools | None = None
    seen: Bools | None = None
    share: Floats | None = None
    least: float | None = None
    terrain: bool = False
    members: int = 0
    regrid: Regrid | None = None
    wanted: Placement | None = None

    @property
    def result(self) -> Placement:
        """The placement of the points of the result."""
        return self.wanted or self.placement

    @property
    def grid(self) -> tuple[AxisPlan, AxisPlan]:
        """How rows and columns are cut."""
        return self.plan.axes[-2], self.plan.axes[-1]

    @property
    def cut_in_space(self) -> bool:
        """Whether a block may be a part of the grid."""
        return self.regrid is None and any(a.mode == "tile" for a in self.grid)

    @property
    def n_fields(self) -> int:
        """How many fields are made of each one: the members."""
        return max(1, self.members)

    def fine_sizes(self, rows: int, columns: int) -> tuple[int, int]:
        """Return the sizes of what becomes of so many rows and columns of a block."""
        if not self.cut_in_space:
            return self.result.shape
        return rows * self.placement.factor, columns * self.placement.factor


def steps_of_a_pass(rows: int, columns: int) -> int:
    """Return how many steps a model is given at once, for so many fine rows and columns."""
    return max(1, min(_MOST_STEPS, PASS_ELEMENTS // max(1, rows * columns)))


def refine_block(
    block: NDArray[np.floating], job: Refinement, start: tuple[int, ...]
) -> NDArray[np.floating]:
    """Return the fine fields of a block.

    Parameters
    ----------
    block : ndarray, (value and covariates, *pointwise axes, step, y, x)
        With the halos of the plan.
    job : Refinement
    start : tuple of int
        Where the block without its halos begins, along each axis.

    Returns
    -------
    ndarray, (member, *pointwise axes, step, y', x')
        In the block's dtype.
    """
    across = block.shape[1:-3]
    fields = block.reshape(len(block), -1, *block.shape[-3:])
    axes = job.plan.axes[-3:]
    steps, rows, columns = (n - 2 * a.halo for n, a in zip(block.shape[-3:], axes, strict=True))
    fine = job.fine_sizes(rows, columns)
    made = np.empty((job.n_fields, fields.shape[1], steps, *fine), block.dtype)
    places = [np.arange(first, first + n) for first, n in zip(start, across, strict=False)]
    numbers = _numbers(places, job)
    with one_blas_thread():
        for p, first in itertools.product(range(fields.shape[1]), range(0, steps, axes[0].unit)):
            last = min(first + axes[0].unit, steps)
            part = fields[:, p, first : last + 2 * axes[0].halo].astype(np.float64, order="C")
            check_size(part)
            part[~np.isfinite(part)] = np.nan
            corner = (start[-3] + first, *start[-2:])
            fields_made = _fine(part, corner, int(numbers[p]), job)
            made[:, p, first:last] = in_dtype(fields_made, block.dtype)
    return made.reshape(job.n_fields, *across, *made.shape[2:])


def _numbers(places: list[NDArray[np.intp]], job: Refinement) -> NDArray[np.intp]:
    """Return the number of each pointwise position among those of the whole array."""
    if not places:
        return np.zeros(1, np.intp)
    sizes = [a.size for a in job.plan.pointwise]
    return np.ravel_multi_index(np.meshgrid(*places, indexing="ij"), sizes).ravel()


def _fine(part: Floats, corner: tuple[int, ...], number: int, job: Refinement) -> Floats:
    """Return what becomes of some steps, ``(member, step, y', x')``.

    Parameters
    ----------
    part : ndarray, (value and covariates, step, y, x)
        With halos.
    corner : tuple of int
        Step, row and column at which it begins without them.
    number : int
        Of the pointwise position.
    """
    halos = [a.halo for a in job.plan.axes[-3:]]
    inside = [slice(h, n - h) for h, n in zip(halos, part.shape[1:], strict=True)]
    own: tuple[int | slice, ...] = (0, *inside)
    coarse: Floats = part[own]
    steps, rows, columns = coarse.shape
    before = job.placement.shape
    if job.cut_in_space or job.regrid:
        before = (rows * job.placement.factor, columns * job.placement.factor)
    made = np.empty((job.n_fields, steps, *before))
    for y, x in _tiles(rows, columns, job):
        window = _window(part, (y, x), corner, job)
        spots = _spots((y, x), corner, steps, number, job)
        tile = _estimate(window, spots, job)
        if job.regrid is None:
            where = _parts((_moved(y, corner[1]), _moved(x, corner[2])), job)
            tile = _finished(tile, coarse[:, y, x], where, job)
        made[(..., *_parts((y, x), job))] = tile
    if job.regrid is None:
        return made
    made = job.regrid(made.reshape(-1, *before)).reshape(job.n_fields, steps, *job.regrid.shape)
    return _finished(made, coarse, (slice(None), slice(None)), job)


def _tiles(rows: int, columns: int, job: Refinement) -> Iterator[_Cut]:
    starts = [
        range(0, n, a.unit) if a.mode == "tile" else range(1)
        for n, a in zip((rows, columns), job.grid, strict=True)
    ]
    for y, x in itertools.product(*starts):
        yield (
            slice(y, min(y + job.grid[0].unit, rows)),
            slice(x, min(x + job.grid[1].unit, columns)),
        )


def _moved(cut: slice, by: int) -> slice:
    return slice(cut.start + by, cut.stop + by)


def _parts(cut: _Cut, job: Refinement) -> _Cut:
    """Return the fine cells of some coarse ones."""
    factor = job.placement.factor
    if job.grid[0].mode == "whole" and job.grid[1].mode == "whole":
        return slice(None), slice(None)
    y, x = (slice(c.start * factor, c.stop * factor) for c in cut)
    return y, x


def _window(part: Floats, cut: _Cut, corner: tuple[int, ...], job: Refinement) -> Window:
    """Return the window of a tile, with its halo."""
    (y, x), (rows, columns) = cut, job.grid
    piece = part[:, :, y.start : y.stop + 2 * rows.halo, x.start : x.stop + 2 * columns.halo]
    around, last = job.plan.axes[-3].halo, len(job.clock) - 1
    steps = np.clip(np.arange(piece.shape[1]) + corner[0] - around, 0, last)
    placement = job.placement
    if rows.mode == "tile" or columns.mode == "tile":
        inner = Placement.refined(y.stop - y.start, x.stop - x.start, placement.factor)
        placement = Placement(
            inner.rows + rows.halo, inner.columns + columns.halo, placement.factor
        )
    halo = (around, rows.halo, columns.halo)
    static = _static((_moved(y, corner[1]), _moved(x, corner[2])), job)
    return Window(piece[0], placement, halo, job.clock.steps(steps), piece[1:], static)


def _static(cut: _Cut, job: Refinement) -> Floats:
    """Return the static covariates of some cells; for a network with those of the halo.

    NaN beyond an edge of the domain.
    """
    if not len(job.static):
        return job.static
    if job.handle.spec.backend == "numpy" or not any(a.halo for a in job.grid):
        return job.static[(slice(None), *_parts(cut, job))]
    factor, made = job.placement.factor, job.static
    for i, (piece, axis) in enumerate(zip(cut, job.grid, strict=True), start=1):
        index = np.arange((piece.start - axis.halo) * factor, (piece.stop + axis.halo) * factor)
        size = axis.size * factor
        beyond = (index < 0) | (index >= size)
        made = made.take(index % size, axis=i)
        if not axis.periodic:
            made[(slice(None),) * i + (beyond,)] = np.nan
    return made


def _spots(
    cut: _Cut, corner: tuple[int, ...], steps: int, number: int, job: Refinement
) -> list[Spot]:
    """Return where the fine cells of a window lie, its halo included, at each step."""
    factor = max(1, job.placement.factor)
    edges = []
    for piece, axis, first in zip(cut, job.grid, corner[1:], strict=True):
        edges.append(
            (
                (piece.start + first - axis.halo) * factor,
                (piece.stop + first + axis.halo) * factor,
            )
        )
    around = job.grid[1].size * factor if job.grid[1].periodic else 0
    before = number * job.plan.axes[-3].size + corner[0]
    return [Spot(before + k, edges[0], edges[1], around) for k in range(steps)]


def _estimate(window: Window, spots: list[Spot], job: Refinement) -> Floats:
    """Return what the model says, ``(member, step, y', x')``."""
    if not np.isfinite(window.value).any():
        return np.full((job.n_fields, window.n_steps, *window.placement.shape), np.nan)
    if job.handle.spec.backend == "torch":
        return run_refiner(window, spots, job.handle, job.options, job.members, terrain=job.terrain)
    model, state = job.handle.with_state()
    placement = window.placement
    outside = [~np.isfinite(p) for p in (placement.rows, placement.columns)]
    if any(o.any() for o in outside):
        rows, columns = (np.nan_to_num(p) for p in (placement.rows, placement.columns))
        placement = Placement(rows, columns, placement.factor)
    made = np.array(
        model.predict(
            Window(
                window.value, placement, window.halo, window.clock, window.covariates, window.fine
            ),
            state,
        )
    )
    if outside[0].ndim == 2:
        made[:, outside[0] | outside[1]] = np.nan
    else:
        made[:, outside[0]] = np.nan
        made[:, :, outside[1]] = np.nan
    return made[None]


def _finished(made: Floats, coarse: Floats, where: _Cut, job: Refinement) -> Floats:
    """Return an estimate with missing cells missing and means kept.

    Parameters
    ----------
    made : ndarray, (member, step, y', x')
        May be written over.
    coarse : ndarray, (step, y, x)
        What it was made from.
    where : tuple of slice
        The points of the result.
    job : Refinement
    """
    placement, factor = job.result, job.result.factor
    missing = np.isnan(coarse)
    if job.kept is not None:
        made = np.where(job.kept[where], made, np.nan)
        taken = _of_cells(job.seen, where, factor) if job.seen is not None else False
        missing = missing & taken
    if missing.any():
        made = np.where(_at_points(missing, placement, factor), np.nan, made)
    if job.share is not None and factor:
        share = job.share[where]
        for i, member in enumerate(made):
            made[i] = conserve(member, coarse, factor, share, job.least)
        return made
    if job.share is not None:
        sizes = (coarse.shape[1], coarse.shape[2])
        overlap = Overlap.of(placement, sizes, job.share[where], job.grid[1].periodic)
        for i, member in enumerate(made):
            made[i] = overlap.conserve(member, coarse, job.least)
        return made
    return made if job.least is None else np.maximum(made, job.least)


def _of_cells(seen: Bools, where: _Cut, factor: int) -> Bools:
    """Return those coarse cells that some fine points, all or a rectangle, lie in."""
    if where[0].start is None:
        return seen
    rows, columns = (slice(w.start // factor, w.stop // factor) for w in where)
    return np.asarray(seen[rows, columns])


def _at_points(missing: Bools, placement: Placement, factor: int) -> Bools:
    """Return which points lie in missing cells, ``(step, y', x')``."""
    if factor:
        return missing.repeat(factor, axis=1).repeat(factor, axis=2)
    rows, columns = (
        np.clip(np.rint(np.nan_to_num(p)).astype(np.intp), 0, n - 1)
        for p, n in zip((placement.rows, placement.columns), missing.shape[1:], strict=True)
    )
    if rows.ndim == 2:
        return np.asarray(missing[:, rows, columns])
    return np.asarray(missing[:, rows][:, :, columns])
