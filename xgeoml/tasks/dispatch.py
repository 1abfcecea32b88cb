"""One rule for the three kinds of object: a task written for Datasets serves them all."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

import xarray as xr

from xgeoml.exceptions import GeoMLError, InputError, instead_of
from xgeoml.insert import add_steps
from xgeoml.steps import infer_steps
from xgeoml.tasks.quantities import plain, with_units_of
from xgeoml.tasks.writable import writable

GeoObject = TypeVar("GeoObject", xr.DataArray, xr.Dataset, xr.DataTree)

UNNAMED = "values"


class NothingToDoError(InputError):
    """No variable of a Dataset is one that the task works on; in a DataTree that is no error."""


# What a task does to a Dataset: given the names that the user asked for (None: those that fit) and
# the groups of the DataTree above it, the nearest first, it returns the new Dataset and, for each
# variable treated, the names of what it adds beside it.
DatasetTask = Callable[
    [xr.Dataset, list[Hashable] | None, Sequence[xr.Dataset]],
    tuple[xr.Dataset, dict[Hashable, list[str]]],
]


# How a group of a DataTree that was not treated follows one that was, along a dim which they share:
# given itself, the dim, and the other group before and after.
Follow = Callable[[xr.Dataset, str, xr.Dataset, xr.Dataset], xr.Dataset]


def with_own_steps(
    dataset: xr.Dataset, dim: str, before: xr.Dataset, _after: xr.Dataset
) -> xr.Dataset:
    """Return a group with the steps added that a group beside it lacked."""
    return add_steps(dataset, dim, infer_steps(before[dim]))


def on_object(
    obj: GeoObject,
    variables: list[Hashable] | None,
    task: DatasetTask,
    follow: Follow = with_own_steps,
) -> GeoObject:
    """Apply `task` to a DataArray, Dataset or DataTree; the result is of the same kind.

    What a task adds beside a DataArray (flag, spread) becomes coordinates of it. In a DataTree
    every node with variables that fit is treated; others only `follow` along a coordinate which
    they share. What has units of pint has them in the result, too.

    Raises
    ------
    InputError
        If `obj` is none of these, or `variables` is given with a DataArray.
    """
    bare = plain(obj)
    if isinstance(bare, xr.Dataset):
        result, added = task(bare, variables, ())
        _tell_of_floats({"": bare}, {"": result}, set(added))
        return with_units_of(writable(result, bare), obj)
    if isinstance(bare, xr.DataArray):
        return with_units_of(_on_array(bare, variables, task), obj)
    if isinstance(bare, xr.DataTree):
        return with_units_of(_on_tree(bare, variables, task, follow), obj)
    raise InputError(
        f"found a {type(obj).__name__}; expected an xarray DataArray, Dataset or DataTree: "
        "xr.DataArray(values, dims=..., coords=...) makes one"
    )


def as_dataset(array: xr.DataArray) -> tuple[xr.Dataset, Hashable]:
    """Return the Dataset of one variable, and the variable's name there."""
    name = UNNAMED if array.name is None else array.name
    if name in array.coords or name in array.dims:
        name = f"{name}_{UNNAMED}"  # a coordinate as data, such as ds.time or ds.lat
    return array.to_dataset(name=name), name


def _on_array(
    array: xr.DataArray, variables: list[Hashable] | None, task: DatasetTask
) -> xr.DataArray:
    if variables is not None:
        raise InputError(
            f"variables={variables} goes with a Dataset; a DataArray is one variable already"
        )
    dataset, name = as_dataset(array)
    if "history" in array.attrs:
        dataset.attrs["history"] = array.attrs["history"]
    result, added = task(dataset, [name], ())
    result = writable(result, dataset)
    made = result[name].assign_coords({extra: result[extra] for extra in added[name]})
    for coord in made.coords.values():
        # Bounds have a dim more than a DataArray: it cannot hold them.
        if coord.attrs.get("bounds") in result.data_vars and coord.name in array.coords:
            given = array.coords[coord.name].attrs.get("bounds")
            coord.attrs = {k: v for k, v in coord.attrs.items() if k != "bounds" or v == given}
    return made.rename(array.name).assign_attrs(result.attrs)


def _on_tree(
    tree: xr.DataTree, variables: list[Hashable] | None, task: DatasetTask, follow: Follow
) -> xr.DataTree:
    nodes = dict(tree.subtree_with_keys)
    before = {path: node.to_dataset() for path, node in nodes.items()}
    done: dict[str, xr.Dataset] = {}
    treated: set[Hashable] = set()
    idle: NothingToDoError | None = None
    check_found(before, variables)
    for path, dataset in before.items():
        wanted = variables if variables is None else [v for v in variables if v in dataset]
        if not dataset.data_vars or wanted == []:
            continue
        try:
            made, added = task(dataset, wanted, groups_above(nodes[path]))
            made = writable(made, dataset)
            done[path] = made.drop_vars(_inherited(nodes[path], made))
            treated |= set(added)
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
    for path, node in nodes.items():
        if path not in done:
            grown = _follow(path, before, done, follow)
            whole[path] = node.to_dataset(inherit=False) if grown is None else grown
    _tell_of_floats(before, whole, treated)
    return xr.DataTree.from_dict(whole, name=tree.name)


def _inherited(node: xr.DataTree, made: xr.Dataset) -> list[Hashable]:
    """Return coordinates of a group that come from above and lie along none of its variables."""
    used = {dim for variable in made.data_vars.values() for dim in variable.dims}
    own = node.to_dataset(inherit=False).coords
    return [n for n, v in made.coords.items() if n not in own and v.dims and not used & set(v.dims)]


def _tell_of_floats(
    before: Mapping[str, xr.Dataset], after: Mapping[str, xr.Dataset], treated: set[Hashable]
) -> None:
    """Warn of integers and booleans that became floats beside the variables treated.

    To `where`, the NaN of an added step is true.
    """
    changed = [
        f"{name!r} ({variable.dtype})"
        for path, dataset in before.items()
        for name, variable in dataset.data_vars.items()
        if variable.dtype.kind in "biu" and name not in treated
        if name in after[path] and after[path][name].dtype.kind == "f"
    ]
    if changed:
        warnings.warn(
            f"{', '.join(dict.fromkeys(changed))} became floating-point, with NaN in the time "
            "steps that were added: integers and booleans have no missing value. To keep integers "
            "name one, obj[...].attrs['_FillValue'] = -1, or leave the variable out",
            stacklevel=4,
        )


def groups_above(node: xr.DataTree) -> list[xr.Dataset]:
    """Return the groups above one, the nearest first: it inherits no data variable of theirs."""
    return [above.to_dataset() for above in node.parents]


def check_named(dataset: xr.Dataset, names: Sequence[Hashable]) -> None:
    """Raise if a variable that was asked for is not in the Dataset."""
    for name in names:
        if name not in dataset.data_vars:
            hint = instead_of(name, dataset.data_vars)
            raise InputError(f"variable {name!r} is not in the Dataset: {hint}")


def check_found(groups: Mapping[str, xr.Dataset], variables: list[Hashable] | None) -> None:
    """Raise if a variable is in no group of a DataTree."""
    lost = [v for v in variables or [] if not any(v in g.data_vars for g in groups.values())]
    if lost:
        known = dict.fromkeys(name for group in groups.values() for name in group.data_vars)
        hint = instead_of(lost[0], known)
        raise InputError(f"variables {lost} are in no group of the DataTree: {hint}")


def _follow(
    path: str, before: Mapping[str, xr.Dataset], done: Mapping[str, xr.Dataset], follow: Follow
) -> xr.Dataset | None:
    """Return a group that was not treated, with the steps of those above or below it.

    A group inherits the coordinates of those above it, so they cannot be others.
    None if the steps are the same as before.
    """
    grown = None
    for other, treated in done.items():
        for dim in before[path].dims:
            here = before[path] if grown is None else grown
            # It may have gone already, with another axis, or be none that the other one uses.
            if dim not in here.dims or here.sizes[dim] != before[other].sizes.get(dim):
                continue
            changed = treated.sizes.get(dim) not in (None, here.sizes[dim]) or not _same_labels(
                treated, before[other], dim
            )
            if changed and _share(dim, path, other, before):
                grown = follow(here, str(dim), before[other], treated)
    return grown


def _same_labels(one: xr.Dataset, other: xr.Dataset, dim: Hashable) -> bool:
    if dim not in one.indexes or dim not in other.indexes:
        return True
    return bool(one.indexes[dim].equals(other.indexes[dim]))


def _share(dim: Hashable, path: str, other: str, groups: Mapping[str, xr.Dataset]) -> bool:
    """Whether a group at or above both has the dim, so that xarray wants it of one length."""
    return any(
        dim in group.dims and _at_or_above(head, path) and _at_or_above(head, other)
        for head, group in groups.items()
    )


def _at_or_above(head: str, path: str) -> bool:
    return head == "." or f"{path}/".startswith(f"{head}/")
