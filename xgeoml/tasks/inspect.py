"""What an object holds and which models fit it, without running any."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

import xarray as xr
from numpy.typing import NDArray

from xgeoml.axes import Axes, find_axes, is_cftime
from xgeoml.exceptions import GeoMLError, InputError, TimeAxisError
from xgeoml.months import are_months
from xgeoml.registry import all_models, check_task
from xgeoml.spec import ModelSpec, Task
from xgeoml.steps import infer_steps
from xgeoml.tasks.dispatch import (
    GeoObject,
    NothingToDoError,
    as_dataset,
    check_found,
    groups_above,
)
from xgeoml.tasks.filling import gives_months
from xgeoml.tasks.quantities import plain
from xgeoml.tasks.samples import Samples, sample_dim, samples_of
from xgeoml.times import check_time

# Seconds between samples of seismograms, at most.
_SLOWEST = 60.0
# Steps between which there are times, and cells whose width is known, at least; their names.
_FEWEST = 2
_COUNTED = {"T": "steps", "Y": "rows", "X": "columns"}

Stamps = NDArray[Any] | None


def datasets_in(
    obj: xr.DataArray | xr.Dataset | xr.DataTree,
) -> Iterator[xr.DataArray | xr.Dataset]:
    """Yield the object itself, or the groups of a DataTree that hold data; units as attributes."""
    obj = plain(obj)
    if isinstance(obj, xr.DataTree):
        yield from (node.to_dataset() for node in obj.subtree if node.data_vars)
    elif isinstance(obj, (xr.DataArray, xr.Dataset)):
        yield obj
    else:
        raise InputError(
            f"found a {type(obj).__name__}; expected an xarray DataArray, Dataset or DataTree"
        )


def axes_of(obj: GeoObject) -> Axes:
    """Return which dim is which axis; of a DataTree, in its first group with data.

    Raises
    ------
    InputError
        If a DataTree holds no data.
    """
    return find_axes(_first(obj))


def _first(obj: GeoObject) -> xr.DataArray | xr.Dataset:
    first = next(datasets_in(obj), None)
    if first is None:
        raise InputError("the DataTree holds no data variables")
    return first


def models_for(obj: GeoObject, task: Task | None = None) -> list[str]:
    """Return the names of the models that can work on an object: on its axes and its steps.

    Some have to be fitted first; those that make months of shorter steps want ``freq="MS"``. Those
    of `invert_waveform` are for seismograms: evenly spaced samples, at least one a minute.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        The data.
    task : str, optional
        Only models for this task.

    Raises
    ------
    InputError
        If there is no such task.

    Examples
    --------
    >>> import xgeoml
    >>> record = xgeoml.datasets.grace_like(nlat=4, nlon=5)
    >>> "kalman" in record.geoml.models("fill_gaps")
    True
    """
    check_task(task)
    first = _first(obj)
    axes, stamps = find_axes(first), None
    if "T" in axes.names:
        coord = first[axes.names["T"]]
        stamps = infer_steps(coord).stamps if _are_in_order(coord) else None
    found = specs_for(axes, seismograms_in(first), stamps)
    able = (s for s in found if task in (None, s.task))
    return sorted({s.name for s in able if not lacking(s, first.sizes, axes, stamps)})


def specs_for(axes: Axes, waves: Samples | None, stamps: Stamps = None) -> list[ModelSpec]:
    """Return the models that can work on the axes of an object, if it is large enough.

    Parameters
    ----------
    axes : Axes
    waves : Samples or None
        What `seismograms_in` says of the object.
    stamps : ndarray, (time,), or None
        All of its steps, absent ones included. Of those of months none can be made.
    """
    there: set[str] = set(axes.names)
    if waves is not None and waves.unit is not None and waves.clock != "dates":
        # No dates can be made of seconds.
        there.discard("T")
    found = []
    for spec in all_models():
        needed = {a.axis for a in spec.axes}
        if spec.task == "invert_waveform":
            # Their time axis is one of samples, whatever it is called.
            fits = waves is not None and needed - {"T"} <= there
        else:
            fits = needed <= there and not (gives_months(spec) and _are_months(stamps))
        if spec.listed and fits:
            found.append(spec)
    return found


def lacking(
    spec: ModelSpec, sizes: Mapping[Hashable, int], axes: Axes, stamps: Stamps = None
) -> str:
    """Return what an object has too little of for a model, such as ``"needs 24 steps"``.

    Parameters
    ----------
    spec : ModelSpec
        One of `specs_for`.
    sizes : mapping
        Of the object.
    axes, stamps
        As for `specs_for`.

    Returns
    -------
    str
        Empty if it has enough.
    """
    if spec.task == "invert_waveform":
        return ""
    there: dict[str, int] = {axis: sizes.get(dim, 0) for axis, dim in axes.names.items()}
    needed = {a.axis: a.minimum for a in spec.axes if a.coarsen == 1}
    if spec.task == "interp_time":
        needed["T"] = max(_FEWEST, needed["T"])
    elif stamps is not None:
        there["T"] = len(stamps)
    if spec.task == "downscale" and not spec.bound:
        # One centre alone does not say how wide its cell is.
        needed |= {a: max(_FEWEST, needed[a]) for a in ("Y", "X") if a in axes.coords}
    few = [axis for axis, count in needed.items() if there.get(axis, 0) < count]
    return ", ".join(f"needs {needed[axis]} {_COUNTED[axis]}" for axis in few)


def _are_months(stamps: Stamps) -> bool:
    """Whether steps are dates, and months or longer."""
    return stamps is not None and _are_dates(stamps) and are_months(stamps)


def _are_in_order(coord: xr.DataArray) -> bool:
    """Whether a coordinate holds dates that a task can use."""
    try:
        check_time(coord)
    except TimeAxisError:
        return False
    return True


def _are_dates(values: NDArray[Any]) -> bool:
    """Whether values are dates."""
    return values.ndim == 1 and values.size > 0 and (values.dtype.kind == "M" or is_cftime(values))


def seismograms_in(obj: xr.DataArray | xr.Dataset) -> Samples | None:
    """Return the time axis of the first variable that may be seismograms; None without any."""
    first: dict[tuple[Hashable, ...], xr.DataArray] = {}
    for array in [obj] if isinstance(obj, xr.DataArray) else obj.data_vars.values():
        if array.dtype.kind in "iuf":
            # Variables along the same dims have the same coordinates, and there may be hundreds.
            first.setdefault(array.dims, array)
    return next(filter(None, map(_samples_of, first.values())), None)


def _samples_of(array: xr.DataArray) -> Samples | None:
    try:
        axes, dim = find_axes(array), sample_dim(array, None)
        if any(c.dims == (dim,) and c.chunks is not None for c in array.coords.values()):
            return None  # they would have to be computed
        samples = samples_of(array)
    except GeoMLError:
        return None
    if samples.unit is None:
        # Numbers of what is not said: not those of years, nor beside latitude and longitude.
        may_be = samples.dim.lower() in ("time", "t") or "T" not in axes.names
        return samples if may_be and not axes.space else None
    return samples if samples.step <= _SLOWEST else None


def first_treated(
    obj: GeoObject,
    named: list[Hashable] | None,
    pick: Callable[[xr.Dataset, list[Hashable] | None], list[Hashable]],
) -> tuple[xr.Dataset, list[xr.Dataset], Hashable]:
    """Return the first Dataset that a task would treat, the groups above it, and the variable.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
    named : list of str, optional
        The variable that was asked for.
    pick : callable
        Given a Dataset and the names that were asked for, returns those that the task would treat.

    Raises
    ------
    InputError
        If there is none.
    """
    obj = plain(obj)
    if not isinstance(obj, xr.DataTree):
        first = next(datasets_in(obj))
        if isinstance(first, xr.DataArray):
            first, name = as_dataset(first)
            if named not in (None, [name]):
                raise InputError(
                    f"variable={named} goes with a Dataset; a DataArray is one variable already"
                )
            named = [name]
        return first, [], pick(first, named)[0]
    nodes = [node for node in obj.subtree if node.data_vars]
    check_found({node.path: node.to_dataset() for node in nodes}, named)
    idle: NothingToDoError | None = None
    for node in nodes:
        dataset = node.to_dataset()
        if named is not None and named[0] not in dataset.data_vars:
            continue
        try:
            name = pick(dataset, named)[0]
        except NothingToDoError as error:
            idle = idle or error
        else:
            return dataset, groups_above(node), name
    raise idle or InputError("the DataTree holds no data variables; expected some in a group of it")
