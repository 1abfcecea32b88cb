"""What a downscaling is given beside the data: the clock, covariates coarse and fine, masks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from xgeoml import terrain
from xgeoml.axes import Axes, find_axes, is_cftime
from xgeoml.calendars import read_clock
from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.regrid import Regrid
from xgeoml.exceptions import InputError, SpecError
from xgeoml.models.downscaling import Clock
from xgeoml.models.series import Bools, Floats
from xgeoml.spec import ModelSpec
from xgeoml.steps import infer_steps
from xgeoml.tasks.covariates import Covariates, align_covariates, lookup, names_of
from xgeoml.tasks.placing import Grid, factor_for, place
from xgeoml.tasks.refined import fine_angles
from xgeoml.tasks.units import check_units
from xgeoml.tasks.values import in_numbers, in_shares
from xgeoml.times import check_time, check_zone, decimal_years

# Share of a day, from which on the time of the day says nothing.
_A_DAY = 0.999
# Points of which at least so much lies in cells of a mask count as inside.
_INSIDE = 0.5


def clock_of(data: xr.DataArray, axes: Axes, hours: bool | None = None) -> Clock:
    """Return when each step is; NaN where there is no time in dates.

    Parameters
    ----------
    data : DataArray
    axes : Axes
    hours : bool, optional
        Whether the hours of the stamps mean something; by default where steps are shorter than a
        day.
    """
    time = axes.names.get("T") or _stamp_of(data)
    size = data.sizes[time] if time is not None and time in data.dims else 1
    unknown = Clock(*(np.full(size, np.nan) for _ in range(3)))
    if time is None or time not in data.coords or size == 0:
        return unknown
    check_zone(data[time])
    stamps = np.atleast_1d(data[time].values)
    if stamps.dtype.kind != "M" and not is_cftime(stamps):
        return unknown
    years = decimal_years(stamps)
    clock = read_clock(stamps)
    days = np.asarray(clock.ticks / clock.day, np.float64)
    if hours is None:
        hours = size > 1 and float(np.median(np.abs(np.diff(days)))) < _A_DAY
    day = days % 1.0 if hours else np.full(size, np.nan)
    return Clock(years % 1.0, day, years)


def _stamp_of(data: xr.DataArray) -> str | None:
    """Return the coordinate that says when a single step is, which was picked of several."""
    found = [
        str(name)
        for name, coord in data.coords.items()
        if coord.ndim == 0 and (coord.dtype.kind == "M" or coord.dtype == object)
    ]
    # Of a forecast there are those of its beginning and its length too.
    times = [name for name in found if find_axes(data.expand_dims(name)).names.get("T") == name]
    return min(times, key=lambda name: name != "time") if times else None


def axes_as_said(obj: xr.DataArray | xr.Dataset, said: Mapping[str, str] | None) -> Axes:
    """Return the axes of what is given beside the data; the user's ``dims=`` holds there too."""
    return find_axes(obj, {axis: dim for axis, dim in (said or {}).items() if dim in obj.dims})


@dataclass(frozen=True)
class Beside:
    """Covariates for a model of downscaling.

    Attributes
    ----------
    moving : tuple of DataArray
        On the grid and at the steps of the data.
    static : ndarray, (covariate, Y', X')
        At the points that are wanted.
    names : tuple of str
        Of the moving ones, then of the static ones.
    """

    moving: tuple[xr.DataArray, ...]
    static: Floats
    names: tuple[str, ...]


def gather(
    covariates: Covariates,
    dataset: xr.Dataset,
    above: Sequence[xr.Dataset],
    data: xr.DataArray,
    axes: Axes,
    coords: Mapping[Hashable, xr.Variable],
    dims: tuple[str, str],
    handle: ModelHandle,
    said: Mapping[str, str] | None = None,
) -> Beside:
    """Return the covariates where a model wants them.

    Parameters
    ----------
    covariates : str, DataArray or sequence of these
        As the user gave them.
    dataset : Dataset
        Where names are looked up.
    above : sequence of Dataset
        Groups of a DataTree above it.
    data : DataArray
        The variable.
    axes : Axes
        Of `data`.
    coords : mapping
        Of the points that are wanted.
    dims : tuple of str
        Along which these lie.
    handle : ModelHandle
    said : mapping, optional
        The user's word of which dim is which axis.

    Raises
    ------
    InputError, SpecError
        If one does not fit, or the model has no use for them.
    """
    found = sort_out(covariates, dataset, above, data, axes, said)
    check_units(handle.spec, data, (*found.moving, *found.static))
    points = _points(coords, dims)
    still = [on_points(c, points, f"covariate {names_of(c)[0]!r}", said) for c in found.static]
    shape = tuple(points.sizes.get(d, 0) for d in dims)  # without coordinates it has no points
    static = np.stack(still) if still else np.empty((0, *shape))
    beside = in_order(Beside(found.moving, static, found.names), handle.spec)
    if found.static:
        check_finer(found.static, data, axes, said)
    return beside


def check_finer(
    static: Sequence[xr.DataArray],
    data: xr.DataArray,
    axes: Axes,
    said: Mapping[str, str] | None = None,
) -> None:
    """Raise if a field without time is no finer than the data: of parts of cells it tells nothing.

    Grids with 2-D coordinates are not looked at.
    """
    cells = Grid.of(data, axes)
    for given in static:
        theirs = Grid.of(given, axes_as_said(given, said))
        label = f"covariate {names_of(given)[0]!r}"
        if theirs.curvilinear or cells.curvilinear or factor_for(place(theirs, cells, label)) > 1:
            continue
        raise InputError(
            f"{label} has {theirs.sizes} cells and is no finer than the data with {cells.sizes}; "
            "expected a field on the grid of the result, or a finer one"
        )


def terrain_of(grid: Grid, factor: int) -> Floats | None:
    """Return elevation and share of the land in the parts of all cells, ``(2, Y', X')``.

    None where the grid has no latitude and longitude, its cells are too large for the terrain to
    show, or there is no land.
    """
    if grid.lat is None or grid.lon is None or _cell_size(grid.lat) > terrain.LARGEST_CELL:
        return None
    made = terrain.for_models(*fine_angles(grid, factor))
    return made.astype(np.float64) if made[1].any() else None


def _cell_size(lat: Floats) -> float:
    """Return the distance of neighbouring rows, degrees."""
    steps = np.abs(np.diff(lat, axis=0))
    return float(np.nanmedian(steps)) if np.isfinite(steps).any() else np.inf


@dataclass(frozen=True)
class Sorted:
    """Covariates by what they are."""

    moving: tuple[xr.DataArray, ...]
    static: tuple[xr.DataArray, ...]
    names: tuple[str, ...]


def sort_out(
    covariates: Covariates,
    dataset: xr.Dataset,
    above: Sequence[xr.Dataset],
    data: xr.DataArray,
    axes: Axes,
    said: Mapping[str, str] | None = None,
) -> Sorted:
    """Return covariates by whether they change in time."""
    if covariates is None:
        return Sorted((), (), ())
    listed = list(covariates) if isinstance(covariates, (list, tuple)) else [covariates]
    moving: list[xr.DataArray] = []
    static: list[xr.DataArray] = []
    for given in listed:
        if isinstance(given, str):
            given = lookup(given, "covariate", dataset, above)
        if not isinstance(given, xr.DataArray):
            raise InputError(
                f"covariates hold a {type(given).__name__}; expected names in the Dataset or "
                "DataArrays, such as covariates=[orography]"
            )
        given = _without_time(given, axes_as_said(given, said), data, axes)
        changes = "T" in axes_as_said(given, said).names
        (moving if changes else static).append(given)
    aligned: list[xr.DataArray] = []
    if moving:
        time = axes.names.get("T")
        if time is None or time not in data.dims:
            raise InputError(
                f"covariates {names_of(moving)} change in time and {data.name!r} has no time axis; "
                "expected fields without one: pick a step, cov.isel(time=0)"
            )
        check_time(data[time])
        name = data.name
        own = dataset.drop_vars([v for v in dataset.data_vars if v == name])
        aligned = align_covariates(
            moving, own.assign({name: data}), data, data, axes, infer_steps(data[time])
        )
    names = (*names_of(moving), *names_of(static)) if moving else tuple(names_of(static))
    names = names if static else tuple(names_of(moving))
    return Sorted(tuple(aligned), tuple(static), names)


def _without_time(given: xr.DataArray, own: Axes, data: xr.DataArray, axes: Axes) -> xr.DataArray:
    """Return a covariate of one step without its time, unless it lies on the grid of the data.

    Files of orography often have a time axis of one step.
    """
    theirs = own.names
    time = theirs.get("T")
    if time is None or given.sizes[time] != 1 or not {"Y", "X"} <= set(theirs):
        return given
    same = all(given.sizes[theirs[a]] == data.sizes[axes.names[a]] for a in ("Y", "X"))
    return given if same else given.isel({time: 0}, drop=True)


def in_order(beside: Beside, spec: ModelSpec) -> Beside:
    """Return the covariates in the order of a model's training.

    Raises
    ------
    SpecError
        If it has no use for them, or was trained with others.
    """
    names, wanted = list(beside.names), list(spec.covariate_names)
    if names and not spec.covariates:
        raise SpecError(
            "it makes no use of covariates; leave them out",
            f"model {spec.key} cannot take covariates={names}",
        )
    if names and not wanted and (spec.bound or spec.scale is not None):
        raise SpecError(
            "it was fitted without any: leave them out, or fit one that knows them, "
            "obj.geoml.fit(..., target=fine, covariates=...)",
            f"model {spec.key} cannot take covariates={names}",
        )
    if not wanted:
        if beside.moving and spec.backend == "torch":
            raise static_only(names[: len(beside.moving)], spec)
        return beside
    if sorted(names) != sorted(wanted):
        raise SpecError(
            f"it was trained with {wanted}, found {names}; give the same, by the same names",
            f"model {spec.key} needs its own covariates",
        )
    n_moving = len(beside.moving)
    order = [names.index(n) for n in wanted]
    moving = [i for i in order if i < n_moving]
    static = [i - n_moving for i in order if i >= n_moving]
    return Beside(tuple(beside.moving[i] for i in moving), beside.static[static], tuple(wanted))


def static_only(moving: Sequence[str], spec: ModelSpec) -> SpecError:
    """Return the error of a network that is given covariates which it has no channels for."""
    return SpecError(
        "of covariates it takes fields without a time axis on a fine grid, such as orography; "
        "leave others out, or fit a model that learns from them, such as 'ridge'",
        f"model {spec.key} cannot take covariates={list(moving)}",
    )


def _points(coords: Mapping[Hashable, xr.Variable], dims: tuple[str, str]) -> xr.Dataset:
    return xr.Dataset(coords={n: v for n, v in coords.items() if set(v.dims) <= set(dims)})


def on_points(
    given: xr.DataArray, points: xr.Dataset, label: str, said: Mapping[str, str] | None = None
) -> Floats:
    """Return a field without time at the points of a grid, ``(Y', X')``.

    Means over their cells where the field is finer than they are, else linear between its cells.

    Raises
    ------
    InputError
        If it has other dims, or does not cover them.
    """
    theirs = Grid.of(given, axes_as_said(given, said))
    extra = [d for d in given.dims if d not in theirs.dims]
    if extra:
        what = label if label.isidentifier() else "cov"
        raise InputError(
            f"{label} has dims {tuple(map(str, given.dims))}; expected Y and X only: pick one of "
            f"the others, {what}.isel({extra[0]}=0)"
        )
    placement = place(Grid.of(points, axes_as_said(points, said)), theirs, "the result", label)
    values = in_numbers(given, label).transpose(*theirs.dims).values.astype(np.float64)
    made: Floats = Regrid.to(placement, theirs.sizes, around=theirs.around)(values[None])[0]
    if not np.isfinite(made).any():
        raise InputError(f"{label} has no value on the grid that is wanted; expected some")
    return made


def fine_mask(
    given: xr.DataArray,
    coords: Mapping[Hashable, xr.Variable],
    dims: tuple[str, str],
    shape: tuple[int, int],
    said: Mapping[str, str] | None = None,
) -> Bools:
    """Return a mask at the points of a grid, ``(Y', X')``; of shares, where half or more counts."""
    given = in_shares(given.compute(), "values are wanted")
    if set(given.dims) == set(dims) and given.transpose(*dims).shape == shape and not given.coords:
        return np.asarray(given.transpose(*dims).values >= _INSIDE)
    return on_points(given.astype(np.float64), _points(coords, dims), "mask", said) >= _INSIDE
