"""One variable, or the two components of a vector, at other times, as a user wishes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

from xgeoml import provenance, terrain
from xgeoml.axes import Axes, find_axes, require
from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.in_time import InTime
from xgeoml.engine.in_time_run import interpolate
from xgeoml.exceptions import SpecError, TimeAxisError
from xgeoml.models.in_time import Place
from xgeoml.models.series import Floats
from xgeoml.options import Options
from xgeoml.tasks.accumulations import parts_of_totals
from xgeoml.tasks.choose import ModelLike, WeightsLike, make_handle
from xgeoml.tasks.filling import told
from xgeoml.tasks.instants import Instants, Times, TimeStep, instants_between
from xgeoml.tasks.placing import Grid
from xgeoml.tasks.points import place_of_points
from xgeoml.tasks.refining import ascending
from xgeoml.tasks.trained_place import TrainedPlace
from xgeoml.tasks.units import check_units
from xgeoml.tasks.values import as_floats, float_dtype, is_temperature
from xgeoml.times import check_time

TASK: Literal["interp_time"] = "interp_time"
# What `auto` stands for, of fields and of all else.
ON_GRIDS, ELSEWHERE = "temdeep", "akima"


@dataclass(frozen=True)
class Wish:
    """What the user asked for, see `xgeoml.interp_time`."""

    freq: TimeStep | None
    factor: int | None
    times: Times | None
    accumulated: bool
    model: ModelLike
    weights: WeightsLike | None
    terrain: bool
    max_gap: int | float | None
    dims: Mapping[str, str] | None
    model_options: Mapping[str, Any] | None
    options: Options
    call: str


@dataclass(frozen=True)
class Plane:
    """The grid that a model sees, and how the data lie on it.

    Attributes
    ----------
    dims : tuple of str or None
        Y and X; None where the data have none.
    order : tuple of slice
        Puts rows and columns into the order of the model, and back.
    place : Place
    apart : bool
        Whether the cells are stations, which are no neighbours.
    """

    dims: tuple[str | None, str | None]
    order: tuple[slice, slice]
    place: Place
    apart: bool = False


@dataclass(frozen=True)
class Ready:
    """Variables and all that the engine needs to interpolate them.

    Attributes
    ----------
    originals : list of DataArray
        As the user gave them.
    axes : Axes
    dims : tuple of str
        In the engine's order, without axes of one cell that the data do not have.
    arrays : list of array, (*pointwise axes, step, Y, X)
    job : InTime
    plane : Plane
    """

    originals: list[xr.DataArray]
    axes: Axes
    dims: tuple[str, ...]
    arrays: list[Any]
    job: InTime
    plane: Plane


def axes_in_time(
    dataset: xr.Dataset, name: Hashable, dims: Mapping[str, str] | None
) -> tuple[Axes, str]:
    """Return the axes of a variable and its time, which is checked."""
    original = dataset[name]
    others = [dim for dim in dataset.dims if dim not in original.dims]
    axes = find_axes(original, {k: d for k, d in (dims or {}).items() if d not in others})
    (time,) = require(axes, "T", purpose="interpolation in time")
    dates = axes.coords.get("T", time)
    if dates != time:
        raise TimeAxisError(
            f"the dates of dimension {time!r} are in {dates!r}; expected them in its own "
            f"coordinate: obj = obj.swap_dims({{{time!r}: {dates!r}}})"
        )
    check_time(original[time])
    return axes, time


def instants_of(dataset: xr.Dataset, time: str, wish: Wish) -> Instants:
    """Return the times that are wanted."""
    if wish.accumulated:
        return parts_of_totals(dataset, time, wish.freq, wish.factor, wish.times)
    return instants_between(dataset[time], wish.freq, wish.factor, wish.times)


def is_automatic(wish: Wish) -> bool:
    """Whether the model is left to us; weights name their own."""
    return isinstance(wish.model, str) and wish.model == "auto" and wish.weights is None


def automatic(dataset: xr.Dataset, name: Hashable, dims: Mapping[str, str] | None) -> str:
    """Return the model that ``model="auto"`` stands for; it looks at the shape of the data only."""
    axes, _ = axes_in_time(dataset, name, dims)
    sizes = [dataset[name].sizes.get(axes.names.get(axis, ""), 0) for axis in ("Y", "X")]
    return ON_GRIDS if min(sizes) > 1 else ELSEWHERE


def resolve(dataset: xr.Dataset, name: Hashable, wish: Wish) -> ModelHandle:
    """Return the model asked for, for a variable.

    Raises
    ------
    SpecError
        If it has to be fitted first.
    """
    handle = make_handle(
        automatic(dataset, name, wish.dims) if is_automatic(wish) else wish.model,
        TASK,
        wish.model_options,
        wish.options.seed,
        weights=wish.weights,
        progress=wish.options.progress,
    )
    spec = handle.spec
    learns = spec.backend == "torch" or hasattr(spec.load_factory(), "fit")
    if learns and handle.weights is None and spec.weights is None:
        raise SpecError(
            f"it learns from a record: own = obj.geoml.fit({spec.name!r}), then model=own",
            f"model {spec.key} cannot be used yet",
        )
    return handle


def make_ready(
    dataset: xr.Dataset,
    names: Sequence[Hashable],
    instants: Instants,
    handle: ModelHandle,
    wish: Wish,
) -> Ready:
    """Return variables with the times that are wanted; nothing is computed."""
    originals = [dataset[name] for name in names]
    for original in originals:
        check_units(handle.spec, original)
    axes, time = axes_in_time(dataset, names[0], wish.dims)
    numbers = [as_floats(original) for original in originals]
    plane = plane_of(numbers[0], axes, handle, wish.terrain, len(names))
    last = [d for d in (time, *plane.dims) if d is not None]
    dims = (*(str(d) for d in numbers[0].dims if d not in last), *last)
    job = InTime(
        handle=handle,
        options=wish.options,
        days=instants.days,
        wanted=instants.wanted,
        clock=instants.clock,
        clock_wanted=instants.clock_wanted,
        owner=instants.owner,
        copied=instants.copied,
        place=plane.place,
        apart=plane.apart,
        max_gap=wish.max_gap,
        thermal=is_temperature(originals[0]),
        totals=instants.totals,
    )
    turn = tuple(
        slice(None) if d is None else cut for d, cut in zip(plane.dims, plane.order, strict=True)
    )
    arrays = [on_plane(n.transpose(*dims).variable.data, plane.dims)[(..., *turn)] for n in numbers]
    return Ready(originals, axes, dims, arrays, job, plane)


def at_times(ready: Ready) -> list[xr.Variable]:
    """Return the variables at the times that are wanted."""
    made = interpolate(ready.arrays, ready.job)
    made = made[(..., *ready.plane.order)]
    single = tuple(0 if d is None else slice(None) for d in ready.plane.dims)
    made = made[(..., *single)]
    result = []
    for original, values in zip(ready.originals, made, strict=True):
        dtype = float_dtype(original)
        variable = xr.Variable(ready.dims, values.astype(dtype, copy=False))
        variable = variable.transpose(*original.dims)
        variable.attrs = dict(original.attrs)
        variable.encoding = provenance.encoding_that_holds(original.encoding)
        result.append(variable)
    return result


def history_of(handle: ModelHandle, ready: Ready) -> str:
    """Return what the history says of the model."""
    return told(handle) + ", with a map of elevation" * (ready.job.place.terrain is not None)


def on_plane(array: Any, dims: tuple[str | None, str | None]) -> Any:
    """Return an array with axes of one cell where the data have no Y or X."""
    y, x = dims
    if x is None:
        array = array[..., None]
    return array[..., None, :] if y is None else array


def plane_of(
    data: xr.DataArray, axes: Axes, handle: ModelHandle, wanted: bool, components: int
) -> Plane:
    """Return the grid that a model sees, and how the data lie on it.

    Parameters
    ----------
    data : DataArray
    axes : Axes
    handle : ModelHandle
    wanted : bool
        Whether the model may know the height of the land.
    components : int
        Of a vector 2.
    """
    y, x = axes.names.get("Y"), axes.names.get("X")
    as_it_is = (slice(None), slice(None))
    if handle.spec.axis("X").mode != "whole":
        return Plane((y, x), as_it_is, Place())
    trained = TrainedPlace.of(handle)
    shown = wanted and handle.spec.terrain
    points = place_of_points(data, axes, shown)
    grid = Grid.of(data, axes) if "Y" in axes.names and "X" in axes.names else None
    if trained is not None:
        trained.check_components(components, handle.spec.key)
        y, x = plane_dims(data, axes)
        sizes = (data.sizes[y] if y else 1, data.sizes[x] if x else 1)
        order = trained.order(grid, sizes, handle.spec.key)
    else:
        x = points[0] if points is not None else x
        order = as_it_is if grid is None else ascending(grid)
    if grid is None:
        place = Place() if points is None else points[1]
        return Plane((y, x), order, place, apart=trained is None and points is not None)
    return Plane((y, x), order, place_on(grid.turned(order), shown))


def plane_dims(data: xr.DataArray, axes: Axes) -> tuple[str | None, str | None]:
    """Return the dims of the cells that a model is fitted on: Y and X, or stations as X."""
    y, x = axes.names.get("Y"), axes.names.get("X")
    others = [str(d) for d in data.dims if d != axes.names.get("T")]
    return (y, x) if y or x or len(others) != 1 else (None, others[0])


def place_on(grid: Grid, with_terrain: bool) -> Place:
    """Return where the cells of a grid are, with the height of the land if it is wanted."""
    if grid.lat is None or grid.lon is None:
        return Place(around=grid.around)
    lat, lon = grid.plane()
    height: Floats | None = None
    if with_terrain:
        height = np.stack(terrain.elevation(grid.lat, grid.lon)).astype(np.float64)
    return Place(lat, lon, height, grid.around)
