"""Data with units of pint: worked on as plain numbers, and given their units back."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import xarray as xr

from xgeoml.exceptions import InputError

__all__ = ["plain", "with_units_of"]

T = TypeVar("T")
GeoObject = TypeVar("GeoObject", xr.DataArray, xr.Dataset, xr.DataTree)

# The name of a DataArray's values in a Dataset: no coordinate has it.
_VALUES = "<values>"


def plain(value: T) -> T:
    """Return data whose units are attributes, as CF writes them, not those of pint.

    Parameters
    ----------
    value : DataArray, Dataset, DataTree, or a list or tuple with such
        Anything else, and data without units of pint, come back as they are.

    Returns
    -------
    same type as `value`
        Values are not copied, and lazy ones stay lazy.

    Raises
    ------
    InputError
        Without pint-xarray.
    """
    # Where pint was not imported nothing can have its units.
    if "pint" not in sys.modules:
        return value
    made: Any = value
    if isinstance(value, (list, tuple)):
        made = type(value)(plain(each) for each in value)
    elif isinstance(value, xr.DataTree):
        if any(_has_units(node.to_dataset()) for node in value.subtree):
            made = _in_groups(value, lambda _, dataset: plain(dataset))
    elif isinstance(value, (xr.DataArray, xr.Dataset)) and _has_units(value):
        _require_pint_xarray()
        made = value.pint.dequantify(format="~cf")
    return made  # type: ignore[no-any-return]


def with_units_of(result: GeoObject, given: GeoObject) -> GeoObject:
    """Return a result with units of pint where the data that it is made from had them.

    Parameters
    ----------
    result : DataArray, Dataset or DataTree
        With units as attributes.
    given : same type
        As the user gave it.

    Returns
    -------
    same type as `result`
        What stands beside the data and is new, such as a spread, has units of pint, too, unless
        they are 1.
    """
    if "pint" not in sys.modules:
        return result
    made: Any = result
    if isinstance(result, xr.DataTree) and isinstance(given, xr.DataTree):
        before = {path: node.to_dataset() for path, node in given.subtree_with_keys}
        if any(map(_has_units, before.values())):
            made = _in_groups(result, lambda path, dataset: _with_units(dataset, before[path]))
    elif isinstance(result, xr.DataArray) and isinstance(given, xr.DataArray):
        if _has_units(given):
            both = (array.to_dataset(name=_VALUES) for array in (result, given))
            made = _with_units(*both)[_VALUES].rename(result.name)
    elif isinstance(result, xr.Dataset) and isinstance(given, xr.Dataset) and _has_units(given):
        made = _with_units(result, given)
    return made  # type: ignore[no-any-return]


def _with_units(result: xr.Dataset, given: xr.Dataset) -> xr.Dataset:
    quantities = {n: v.data for n, v in given.variables.items() if _is_quantity(v)}
    if not quantities:
        return result
    registry = next(iter(quantities.values()))._REGISTRY
    told = {n: v.attrs["units"] for n, v in result.variables.items() if "units" in v.attrs}
    new = {n for n, units in told.items() if n not in given.variables and units != "1"}
    units = {n: u if n in quantities or n in new else None for n, u in told.items()}
    made: xr.Dataset = result.pint.quantify(units, unit_registry=registry)
    for name, unit in units.items():
        if unit is None:  # pint-xarray takes the attribute away
            made.variables[name].attrs["units"] = told[name]
    return made


def _in_groups(tree: xr.DataTree, change: Callable[[str, xr.Dataset], xr.Dataset]) -> xr.DataTree:
    groups = {path: node.to_dataset(inherit=False) for path, node in tree.subtree_with_keys}
    return xr.DataTree.from_dict({p: change(p, d) for p, d in groups.items()}, name=tree.name)


def _has_units(obj: xr.DataArray | xr.Dataset) -> bool:
    variables = [*obj.coords.variables.values()]
    variables += [obj.variable] if isinstance(obj, xr.DataArray) else [*obj.variables.values()]
    return any(map(_is_quantity, variables))


def _is_quantity(variable: xr.Variable) -> bool:
    # Its `data` would be read from the file of a variable that was not loaded.
    return isinstance(variable._data, sys.modules["pint"].Quantity)


def _require_pint_xarray() -> None:
    try:
        for module in ("cf_xarray.units", "pint_xarray"):
            importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            "the data have units of pint, and pint-xarray, which takes them off and puts them "
            "back, is not installed. Type: pip install pint-xarray; or have the units as "
            "attributes: obj.copy(data=obj.data.magnitude).assign_attrs(units='K')"
        ) from error
