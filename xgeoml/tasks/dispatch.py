"""One rule for the three kinds of object: a task written for Datasets serves them all."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

import xarray as xr

from xgeoml.exceptions import GeoMLError, InputError

GeoObject = TypeVar("GeoObject", xr.DataArray, xr.Dataset, xr.DataTree)

UNNAMED = "values"


class NothingToDoError(InputError):
    """No variable of a Dataset is one that the task works on; in a DataTree that is no error."""


# What a task does to a Dataset: given the names that the user asked for (None: those that fit),
# it returns the new Dataset and, for each variable treated, the names of what it adds beside it.
DatasetTask = Callable[
    [xr.Dataset, list[Hashable] | None], tuple[xr.Dataset, dict[Hashable, list[str]]]
]


def on_object(obj: GeoObject, variables: list[Hashable] | None, task: DatasetTask) -> GeoObject:
    """Apply `task` to a DataArray, Dataset or DataTree; the result is of the same kind.

    What a task adds beside a DataArray (flag, spread) becomes coordinates of it. In a DataTree
    every node with variables that fit is treated; others only follow in steps that are added to
    a coordinate which they share.

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
    before = {path: node.to_dataset() for path, node in tree.subtree_with_keys}
    done: dict[str, xr.Dataset] = {}
    idle: NothingToDoError | None = None
    _check_found(before, variables)
    for path, dataset in before.items():
        wanted = variables if variables is None else [v for v in variables if v in dataset]
        if not dataset.data_vars or wanted == []:
            continue
        try:
            done[path] = task(dataset, wanted)[0]
        except NothingToDoError as error:
            idle = idle or error
        except GeoMLError as error:
            error.add_note(f"in the group {tree[path].path!r} of the DataTree")
            raise
    if not done:
        raise idle or InputError(
            "the DataTree holds no data variables; expected some in a group of it"
        )
    whole = dict(done)
    for path, node in tree.subtree_with_keys:
        if path not in done:
            grown = _follow(path, before, done)
            whole[path] = node.to_dataset(inherit=False) if grown is None else grown
    return xr.DataTree.from_dict(whole, name=tree.name)


def _check_found(groups: Mapping[str, xr.Dataset], variables: list[Hashable] | None) -> None:
    lost = [v for v in variables or [] if not any(v in g.data_vars for g in groups.values())]
    if lost:
        raise InputError(f"variables {lost} are in no group of the DataTree")


def _follow(
    path: str, before: Mapping[str, xr.Dataset], done: Mapping[str, xr.Dataset]
) -> xr.Dataset | None:
    """Return a group that was not treated, with the steps added to those above or below it.

    A group inherits the coordinates of those above it, so they cannot be of different lengths.
    None if no steps were added.
    """
    grown = None
    for other, treated in done.items():
        if not _above_or_below(path, other):
            continue
        for dim, index in before[path].indexes.items():
            new = treated.indexes.get(dim)
            if new is None or index.equals(new) or not index.equals(before[other].indexes[dim]):
                continue
            grown = (before[path] if grown is None else grown).reindex({dim: new})
    return grown


def _above_or_below(path: str, other: str) -> bool:
    one, two = f"{path}/", f"{other}/"
    return "." in (path, other) or one.startswith(two) or two.startswith(one)
