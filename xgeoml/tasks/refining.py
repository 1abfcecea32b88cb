"""One variable on a finer grid, as a user wishes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import xarray as xr

from xgeoml import provenance
from xgeoml.axes import Axes, find_axes
from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.plan import AxisPlan, Plan
from xgeoml.engine.refine import Refinement, steps_of_a_pass
from xgeoml.engine.refine_run import refine
from xgeoml.engine.regrid import Regrid
from xgeoml.exceptions import InputError, SpecError
from xgeoml.grid import cell_area
from xgeoml.models.downscaling import Placement
from xgeoml.models.series import Bools, Floats
from xgeoml.options import Options
from xgeoml.spec import ModelSpec
from xgeoml.tasks.beside import axes_as_said, clock_of, fine_mask, gather, terrain_of
from xgeoml.tasks.choose import ModelLike, WeightsLike, make_handle
from xgeoml.tasks.covariates import Covariates, lookup
from xgeoml.tasks.filling import told
from xgeoml.tasks.placing import Grid, factor_for, place
from xgeoml.tasks.refined import given_coords, is_angle, refined_coords
from xgeoml.tasks.trained_grids import TrainedGrids
from xgeoml.tasks.values import check_not_empty, in_numbers

TASK: Literal["downscale"] = "downscale"
DEFAULT = "subgrid"
Conserve = bool | Literal["auto", "area", "mean"]
CONSERVE = ("auto", True, False, "area", "mean")
# Attributes that name other variables.
_POINTING = ("coordinates", "ancillary_variables")
# The dim of an ensemble.
MEMBER = "member"


@dataclass(frozen=True)
class Wish:
    """What the user asked for, see `xgeoml.downscale`."""

    factor: int | None
    model: ModelLike
    like: xr.DataArray | xr.Dataset | None
    weights: WeightsLike | None
    covariates: Covariates
    terrain: bool
    mask: str | xr.DataArray | None
    conserve: Conserve
    minimum: float | None
    members: int | None
    dims: Mapping[str, str] | None
    model_options: Mapping[str, Any] | None
    options: Options
    call: str


@dataclass(frozen=True)
class Fine:
    """A variable on its new grid.

    Attributes
    ----------
    variable : Variable
    grid : Grid
        The old one.
    coords : dict
        Of the new one.
    lost : list of str
        Coordinates of the old one that have no counterpart.
    told : str
        Model and weights, for the history.
    """

    variable: xr.Variable
    grid: Grid
    coords: dict[Hashable, xr.Variable]
    lost: list[str]
    told: str


@dataclass(frozen=True)
class Target:
    """The grid that is wanted.

    Attributes
    ----------
    placement : Placement
        Of its points in cells of the data, coordinates ascending.
    factor : int
        Parts of a cell that the model makes, 0 for a model bound to its grids.
    coords : dict
    dims : tuple of str
    lost : list of str
    turned : tuple of slice
        Puts rows and columns into the order of the coordinates, and back.
    trained : TrainedGrids or None
        The grids of the pairs that the model was fitted on, if this is its target.
    """

    placement: Placement
    factor: int
    coords: dict[Hashable, xr.Variable]
    dims: tuple[str, str]
    lost: list[str]
    turned: tuple[slice, slice]
    trained: TrainedGrids | None = None


@dataclass(frozen=True)
class Ready:
    """A variable and all that the engine needs to refine it.

    Attributes
    ----------
    original : DataArray
        As the user gave it.
    grid : Grid
        Its grid.
    axes : Axes
    dims : tuple of str
        In the engine's order.
    arrays : list of array
        The value and the covariates.
    job : Refinement
    target : Target
    handle : ModelHandle
    """

    original: xr.DataArray
    grid: Grid
    axes: Axes
    dims: tuple[str, ...]
    arrays: list[Any]
    job: Refinement
    target: Target
    handle: ModelHandle


def make_ready(
    dataset: xr.Dataset, name: Hashable, above: Sequence[xr.Dataset], wish: Wish
) -> Ready:
    """Return a variable of a Dataset with the grid that is wanted; nothing is computed."""
    if isinstance(wish.mask, str):
        wish = replace(wish, mask=lookup(wish.mask, "mask", dataset, above))
    original = dataset[name]
    check_not_empty(original, f"variable {name!r}")
    if wish.members and MEMBER in {*dataset.variables, *dataset.dims}:
        raise InputError(
            f"members={wish.members} goes along a new dim {MEMBER!r}, which the data have already; "
            f"rename theirs first: obj.rename({MEMBER}='run')"
        )
    others = [dim for dim in dataset.dims if dim not in original.dims]
    axes = find_axes(original, {k: d for k, d in (wish.dims or {}).items() if d not in others})
    grid = Grid.of(original, axes)
    handle = resolve(wish)
    trained = TrainedGrids.of(handle)
    numbers = in_numbers(original, f"variable {name!r}")
    if trained is not None and handle.spec.bound:
        order = trained.order(grid, handle.spec.key)
    else:
        order = ascending(grid)
    data = numbers.isel(dict(zip(grid.dims, order, strict=True)))
    turned = grid.turned(order)
    target = _target(dataset, grid, turned, order, handle, trained, wish)
    if handle.spec.bound or target.placement.factor == target.factor:
        points, along, cut = target.coords, target.dims, target.turned
    else:  # covariates are wanted where the model works, not at the points of `like`
        points, _ = refined_coords(dataset, grid, target.factor)
        along, cut = grid.dims, order
    beside = gather(wish.covariates, dataset, above, data, axes, points, along, handle, wish.dims)
    dims = _dims(data, axes)
    hours = None if trained is None else trained.hours
    static = beside.static[(slice(None), *cut)]
    terrain = None
    if wish.terrain and handle.spec.terrain and not beside.names:
        terrain = terrain_of(turned, target.factor)
        static = static if terrain is None else terrain
    job = _job(data, axes, turned, handle, target, static, wish, hours)
    job = replace(job, terrain=terrain is not None)
    arrays = [_in_floats(a).transpose(*dims).variable.data for a in (data, *beside.moving)]
    return Ready(original, grid, axes, dims, arrays, job, target, handle)


def refine_variable(
    dataset: xr.Dataset, name: Hashable, above: Sequence[xr.Dataset], wish: Wish
) -> Fine:
    """Return a variable of a Dataset on the grid that is wanted."""
    ready = make_ready(dataset, name, above, wish)
    target, original = ready.target, ready.original
    if ready.axes.names.get("T") in ready.dims:
        made = refine(ready.arrays, ready.job)
    else:
        made = refine([a[..., None, :, :] for a in ready.arrays], ready.job)[..., 0, :, :]
    made = made[(..., *target.turned)]
    new = dict(zip(ready.grid.dims, target.dims, strict=True))
    along = tuple(new.get(d, d) for d in ready.dims)
    shape = [new.get(str(d), d) for d in original.dims]
    if wish.members:
        variable = xr.Variable((MEMBER, *along), made).transpose(MEMBER, *shape)
    else:
        variable = xr.Variable(along, made[0]).transpose(*shape)
    variable.attrs = _attrs(original, wish.like, target.lost)
    variable.encoding = {
        k: v
        for k, v in provenance.encoding_that_holds(original.encoding).items()
        if k != "coordinates"
    }
    return Fine(variable, ready.grid, target.coords, target.lost, _told(ready))


def _told(ready: Ready) -> str:
    """Return what the history says of the model."""
    return told(ready.handle) + ", with its map of elevation" * ready.job.terrain


def resolve(wish: Wish) -> ModelHandle:
    """Return the model asked for.

    Raises
    ------
    SpecError
        If it has to be fitted first, or gives no members.
    """
    automatic = isinstance(wish.model, str) and wish.model == "auto" and wish.weights is None
    handle = make_handle(
        DEFAULT if automatic else wish.model,
        TASK,
        wish.model_options,
        wish.options.seed,
        weights=wish.weights,
        progress=wish.options.progress,
    )
    spec = handle.spec
    factory = spec.load_factory()
    learns = spec.backend == "torch" or hasattr(factory, "fit")
    if learns and handle.weights is None and spec.weights is None:
        raise SpecError(
            f"it learns from pairs of coarse and fine fields: own = coarse.geoml.fit("
            f"{spec.name!r}, target=fine), then model=own",
            f"model {spec.key} cannot be used yet",
        )
    if wish.members and not hasattr(factory, "sample"):
        raise SpecError(
            "it gives one answer; leave members= out, or use a model that draws random numbers, "
            "such as 'ddpm'",
            f"model {spec.key} cannot give members={wish.members}",
        )
    return handle


def ascending(grid: Grid) -> tuple[slice, slice]:
    """Return how to cut rows and columns such that their coordinates ascend."""
    cut = []
    for values in (grid.y, grid.x):
        down = values is not None and len(values) > 1 and np.median(np.diff(values)) < 0
        cut.append(slice(None, None, -1 if down else None))
    return cut[0], cut[1]


def _target(
    dataset: xr.Dataset,
    given: Grid,
    grid: Grid,
    order: tuple[slice, slice],
    handle: ModelHandle,
    trained: TrainedGrids | None,
    wish: Wish,
) -> Target:
    """Return the grid that is wanted; `given` as the user has it, `grid` in the model's order."""
    spec = handle.spec
    fixed = spec.options.get("factor")
    if trained is not None and not spec.bound:
        # A network serves other grids too: what it knows of its target holds on its own grid.
        own = wish.like is None and wish.factor in (None, trained.placement.factor)
        trained = trained if own and trained.find(given) is not None else None
    if trained is not None and (spec.bound or wish.factor is None):
        trained.check_wish(wish.factor, wish.like, spec.key)
        coords = trained.coords()
        lost: list[str] = []
        placement = trained.placement
        # The result has the target's own order, whatever that of the data.
        factor = 0 if spec.bound else int(fixed or placement.factor or factor_for(placement))
        return Target(placement, factor, coords, trained.dims, lost, trained.turned, trained)
    wanted = wish.factor or (int(fixed) if fixed and wish.like is None else None)
    if fixed and wish.factor not in (None, int(fixed)):
        raise InputError(
            f"factor={wish.factor}: {spec.key} was trained for factor {fixed}; leave factor= out, "
            "or use model='auto'"
        )
    if wanted is not None:
        coords, lost = refined_coords(dataset, given, wanted)
        placement = Placement.refined(*grid.sizes, wanted)
        return Target(placement, wanted, coords, given.dims, lost, order, trained)
    if wish.like is None:
        raise InputError(
            "neither factor= nor like= is given; type factor=4 for cells divided into 4 by 4, or "
            "like=fine for the grid of another object"
        )
    fine = Grid.of(wish.like, axes_as_said(wish.like, wish.dims))
    turned = ascending(fine)
    placement = place(fine.turned(turned), grid)
    lost = [
        str(n)
        for n, v in dataset.coords.variables.items()
        if set(v.dims) & set(given.dims) and n not in given.dims and not is_angle(v, n)
    ]
    factor = placement.factor or int(fixed or 0) or factor_for(placement)
    if factor == 1:
        raise InputError(
            "the grid of like= is no finer than that of the data; downscaling makes grids finer: "
            "for a coarser one type obj.coarsen(...).mean() or obj.interp_like(like)"
        )
    return Target(placement, factor, given_coords(wish.like, fine), fine.dims, lost, turned)


def _dims(data: xr.DataArray, axes: Axes) -> tuple[str, ...]:
    """Return the dims in the engine's order: pointwise ones, then T, Y and X."""
    last = [axes.names[a] for a in ("T", "Y", "X") if a in axes.names]
    return (*(str(d) for d in data.dims if d not in last), *last)


def _in_floats(array: xr.DataArray) -> xr.DataArray:
    native = array.dtype.newbyteorder("=")
    return array.astype(native if native.itemsize >= 4 else np.dtype(np.float32), copy=False)


def _job(
    data: xr.DataArray,
    axes: Axes,
    grid: Grid,
    handle: ModelHandle,
    target: Target,
    static: Floats,
    wish: Wish,
    hours: bool | None,
) -> Refinement:
    """Return what the engine is to do."""
    spec, placement = handle.spec, target.placement
    regrid = None
    if not spec.bound and placement.factor != target.factor:
        regrid = Regrid.to(placement, grid.sizes, target.factor, grid.around)
    model = placement if regrid is None else Placement.refined(*grid.sizes, target.factor)
    return Refinement(
        handle=handle,
        plan=plan_of(data, axes, spec, grid, model, whole=regrid is not None),
        options=wish.options,
        placement=model,
        # A model knows what its own steps were: of a single one it cannot be told.
        clock=clock_of(data, axes, hours),
        static=static,
        kept=_kept(wish, target),
        seen=target.trained.seen if target.trained is not None and wish.mask is None else None,
        share=_share(wish, target, grid),
        least=wish.minimum,
        members=wish.members or 0,
        regrid=regrid,
        wanted=placement if regrid is not None else None,
    )


def plan_of(
    data: xr.DataArray, axes: Axes, spec: ModelSpec, grid: Grid, model: Placement, whole: bool
) -> Plan:
    """Return how the engine cuts the data.

    Parameters
    ----------
    data : DataArray
    axes : Axes
    spec : ModelSpec
    grid : Grid
        Of the data.
    model : Placement
        Of the points that the model makes.
    whole : bool
        Whether all fine cells of a step are needed at once.
    """
    made = []
    for axis, size, closed in zip("YX", grid.sizes, (False, grid.around), strict=True):
        part = spec.axis(axis)
        window = part.window or size
        if part.mode == "whole" or (size <= window and not closed):
            made.append(AxisPlan(size, "whole", size, size, size))
        else:
            window = _closing(size, window) if closed else window
            made.append(AxisPlan(size, "tile", window, window, window, closed, part.halo or 0))
    if spec.bound or whole:
        fine = model.shape
    else:
        fine = tuple(  # type: ignore[assignment]
            (min(a.unit, a.size) + 2 * a.halo) * model.factor for a in made
        )
    time = axes.names.get("T")
    n_steps = data.sizes[time] if time in data.dims else 1
    steps = steps_of_a_pass(*fine)
    around = spec.axis("T").halo or 0
    pointwise = [d for d in _dims(data, axes) if d not in (time, *grid.dims)]
    return Plan(
        (
            *(AxisPlan(data.sizes[d], "pointwise", 1, 1, 1) for d in pointwise),
            AxisPlan(n_steps, "tile", steps, steps, steps, around=around),
            *made,
        )
    )


def _closing(size: int, window: int) -> int:
    """Return tiles that divide a closed axis, unless that made them tiny."""
    common = int(np.gcd(size, window))
    return common if 2 * common >= window else min(size, window)


def _kept(wish: Wish, target: Target) -> Bools | None:
    """Return which points of the result get a value, in the model's order."""
    if wish.mask is not None:
        assert isinstance(wish.mask, xr.DataArray)
        shape = target.placement.shape
        kept = fine_mask(wish.mask, target.coords, target.dims, shape, wish.dims)
        return kept[target.turned]
    return target.trained.kept if target.trained is not None else None


def _share(wish: Wish, target: Target, grid: Grid) -> Floats | None:
    """Return the weights of points in the means that are to be kept; None: none are."""
    trained, factor = target.trained, target.placement.factor
    if wish.conserve is False:
        return None
    if wish.conserve == "auto":
        if trained is not None:
            return trained.share
        return np.ones(target.placement.shape) if factor else None
    if target.placement.rows.ndim == 2 or (grid.curvilinear and not factor):
        raise InputError(
            f"conserve={wish.conserve!r}: means are kept where the axes of both grids run the same "
            "way, not on curvilinear points; type conserve=False"
        )
    if wish.conserve == "mean":
        return np.ones(target.placement.shape)
    # Bounds, which may be coordinates, have a dim more than the points.
    flat = {n: v for n, v in target.coords.items() if set(v.dims) <= set(target.dims)}
    points = xr.Dataset(coords=flat)
    for dim, size in zip(target.dims, target.placement.shape, strict=True):
        if dim not in points.dims:
            points = points.expand_dims({dim: size})
    blank = xr.DataArray(np.zeros(target.placement.shape), dims=target.dims, coords=points.coords)
    found = find_axes(blank, dict(zip("YX", target.dims, strict=True)))
    return np.asarray(cell_area(blank, found).transpose(*target.dims).values)[target.turned]


def _attrs(
    original: xr.DataArray, like: xr.DataArray | xr.Dataset | None, lost: Sequence[str]
) -> dict[Any, Any]:
    """Return the attributes, with the projection of the new grid and without what it has lost."""
    attrs = dict(original.attrs)
    attrs.pop("cell_measures", None)  # areas of the cells as they were
    for key in _POINTING:
        if set(str(attrs.get(key, "")).split()) & set(lost):
            del attrs[key]
    if like is None:
        return attrs
    attrs.pop("grid_mapping", None)
    several = like.data_vars.values() if isinstance(like, xr.Dataset) else [like]
    for other in several:
        if "grid_mapping" in other.attrs:
            attrs["grid_mapping"] = other.attrs["grid_mapping"]
            break
    return attrs
