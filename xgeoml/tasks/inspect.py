"""What an object holds and which models fit it, without running any."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator

import xarray as xr

from xgeoml.axes import Axes, find_axes
from xgeoml.exceptions import InputError
from xgeoml.registry import all_models
from xgeoml.spec import Task
from xgeoml.tasks.dispatch import (
    GeoObject,
    NothingToDoError,
    as_dataset,
    check_found,
    groups_above,
)


def datasets_in(
    obj: xr.DataArray | xr.Dataset | xr.DataTree,
) -> Iterator[xr.DataArray | xr.Dataset]:
    """Yield the object itself, or the groups of a DataTree that hold data."""
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
    first = next(datasets_in(obj), None)
    if first is None:
        raise InputError("the DataTree holds no data variables")
    return find_axes(first)


def models_for(obj: GeoObject, task: Task | None = None) -> list[str]:
    """Return the names of the models that can work on the object's axes.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        The data.
    task : str, optional
        Only models for this task.

    Examples
    --------
    >>> import xgeoml
    >>> record = xgeoml.datasets.grace_like(nlat=4, nlon=5)
    >>> "kalman" in record.geoml.models("fill_gaps")
    True
    """
    there = set(axes_of(obj).names)
    fit = [s for s in all_models() if s.listed and {a.axis for a in s.axes} <= there]
    return sorted({s.name for s in fit if task in (None, s.task)})


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
    if not isinstance(obj, xr.DataTree):
        first = next(datasets_in(obj))
        if isinstance(first, xr.DataArray):
            first, name = as_dataset(first)
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
