"""One rule for the three kinds of object: a task written for Datasets serves them all."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

import xarray as xr

from xgeoml.exceptions import GeoMLError, InputError

GeoObject = TypeVar("GeoObject", xr.DataArray, xr.Dataset, xr.DataTree)

UNNAMED = "values"

# What a task does to a Dataset: given the names that the user asked for (None: those that fit),
# it returns the new Dataset and, for each variable treated, the names of what it adds beside it.
DatasetTask = Callable[
    [xr.Dataset, list[Hashable] | None], tuple[xr.Dataset, dict[Hashable, list[str]]]
]


def on_object(obj: GeoObject, variables: list[Hashable] | None, task: DatasetTask) -> GeoObject:
    """Apply `task` to a DataArray, Dataset or DataTree; the result is of the same kind.

    What a task adds beside a DataArray (flag, spread) becomes coordinates of it. In a DataTree
    every node with data variables is treated.

    Raises
    ------
    InputError
        If `obj` is none of these, or `variables` is given with a DataArray.
    """
    if isinstance(obj, xr.Dataset):
        return task(obj, variables)[0]
    if isinstance(obj, xr.DataArray):
        return _on_array(obj, variables, task)
    if isinstance(obj, xr.DataTree):
        return _on_tree(obj, variables, task)
    raise InputError(
        f"found a {type(obj).__name__}; expected an xarray DataArray, Dataset or DataTree: "
        "xr.DataArray(values, dims=..., coords=...) makes one"
    )


def _on_array(
    array: xr.DataArray, variables: list[Hashable] | None, task: DatasetTask
) -> xr.DataArray:
    if variables is not None:
        raise InputError(
            f"variables={variables} goes with a Dataset; a DataArray is one variable already"
        )
    name = UNNAMED if array.name is None else array.name
    if name in array.coords:
        name = f"{name}_{UNNAMED}"  # a coordinate as data, such as ds.time or ds.lat
    dataset = array.to_dataset(name=name)
    if "history" in array.attrs:
        dataset.attrs["history"] = array.attrs["history"]
    result, added = task(dataset, [name])
    made = result[name].assign_coords({extra: result[extra] for extra in added[name]})
    return made.rename(array.name).assign_attrs(result.attrs)


def _on_tree(tree: xr.DataTree, variables: list[Hashable] | None, task: DatasetTask) -> xr.DataTree:
    done = {}
    if not any(node.data_vars for node in tree.subtree):
        raise InputError("the DataTree holds no data variables; expected some in a group of it")
    for path, node in tree.subtree_with_keys:
        dataset = node.to_dataset()
        wanted = variables if variables is None else [v for v in variables if v in dataset]
        if not dataset.data_vars or wanted == []:
            done[path] = node.to_dataset(inherit=False)
            continue
        try:
            done[path] = task(dataset, wanted)[0]
        except GeoMLError as error:
            error.add_note(f"in the group {node.path!r} of the DataTree")
            raise
    if variables is not None:
        lost = [v for v in variables if not any(v in n.data_vars for n in tree.subtree)]
        if lost:
            raise InputError(f"variables {lost} are in no group of the DataTree")
    return xr.DataTree.from_dict(done, name=tree.name)
