"""What must hold of every random call: a result that keeps its word, or one clear error."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from random_calls import CLASSICAL, Made

from xgeoml.exceptions import GeoMLError

# What a task may say anew: its history, what stands beside a variable, and what no longer holds.
VOLATILE = {
    "_FillValue",
    "ancillary_variables",
    "bounds",
    "cell_measures",
    "cell_methods",
    "coordinates",
    "grid_mapping",
    "history",
    "missing_value",
    "units",
}


@contextmanager
def strictly() -> Iterator[None]:
    """Have every warning raised but those that tasks give on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", UserWarning)
        yield


@contextmanager
def unchanged_by(made: Made) -> Iterator[None]:
    """Complain if a call changes what it is given."""
    before = {"": copy.deepcopy(made.obj), **copy.deepcopy(made.arguments)}
    yield
    for name, given in {"": made.obj, **made.arguments}.items():
        assert unchanged(given, before[name]), f"{name or 'the object'} was changed"


def check(made: Made) -> GeoMLError | None:
    """Make a call and judge what comes of it; return the error if it was refused."""
    with unchanged_by(made):
        try:
            with strictly():
                result = made()
                values = result.compute()
        except GeoMLError as error:
            return error
    assert type(result) is type(made.obj)
    for given, whole, lazy in zip(groups(made.obj), groups(values), groups(result), strict=True):
        keeps_form(made, given, whole, lazy)
        JUDGES[made.task](made, given, whole)
    same_on_numpy(made, values)
    return None


def unchanged(one: Any, other: Any) -> bool:
    """Whether an argument is as it was, chunks and encodings included."""
    if isinstance(one, xr.DataTree):
        return all(unchanged(*pair) for pair in zip(groups(one), groups(other), strict=True))
    if isinstance(one, xr.Dataset | xr.DataArray):
        variables = [dict(o.coords.variables) for o in (one, other)]
        for mine, o in zip(variables, (one, other), strict=True):
            mine.update(o.variables if isinstance(o, xr.Dataset) else {"": o.variable})
        kept = [[(n, v.dtype, v.chunks, v.encoding) for n, v in m.items()] for m in variables]
        return bool(one.identical(other)) and kept[0] == kept[1]
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(unchanged(v, other[k]) for k, v in one.items())
    if isinstance(one, list | tuple):
        return all(unchanged(*pair) for pair in zip(one, other, strict=True))
    if isinstance(one, np.ndarray | pd.Index):
        dates_or_floats = getattr(one, "dtype", None) is not None and one.dtype.kind in "fM"
        return bool(np.array_equal(one, other, equal_nan=dates_or_floats))
    return bool(one == other) or one != one


def groups(obj: Any) -> list[xr.Dataset]:
    """Return an object as Datasets, the groups of a DataTree by their path."""
    if isinstance(obj, xr.DataTree):
        return [node.to_dataset() for _, node in sorted(obj.subtree_with_keys)]
    return [obj.to_dataset(name="<data>") if isinstance(obj, xr.DataArray) else obj]


def keeps_form(made: Made, given: xr.Dataset, whole: xr.Dataset, lazy: xr.Dataset) -> None:
    """Names, dims, dtypes, attributes and laziness."""
    gone = made.arguments.get("dim") or ()
    for name, variable in given.data_vars.items():
        if name not in whole:
            continue
        found = whole[name]
        expected = [d for d in variable.dims if d not in gone]
        assert [d for d in found.dims if d in variable.dims] == expected, (name, found.dims)
        if variable.dtype.kind == "f":
            assert found.dtype in dtypes_of(made, variable), (name, variable.dtype, found.dtype)
        for key, value in variable.attrs.items():
            if key not in VOLATILE:
                assert key in found.attrs, (name, key)
                assert unchanged(found.attrs[key], value), (name, key)
        if variable.chunks is not None and "bnds" not in variable.dims:
            assert lazy[name].chunks is not None, f"{name} was computed"


def dtypes_of(made: Made, variable: xr.DataArray) -> set[np.dtype[Any]]:
    """Return the dtypes that a result may have: its own, or of halves single precision."""
    known = {variable.dtype, variable.dtype.newbyteorder("=")}
    own = made.task == "fill_gaps" and made.arguments.get("freq") is None
    halves = variable.dtype.itemsize == 2 and not own
    return known | {np.dtype(np.float32)} if halves else known


def filled_by_position(made: Made, given: xr.Dataset, whole: xr.Dataset) -> None:
    """Steps are there, observed values have their bits, and no finite value has gone."""
    if made.arguments.get("freq") is not None:
        return
    for name, variable in given.data_vars.items():
        if variable.dtype.kind != "f" or name not in whole:
            continue
        found, values = whole[name], variable.values
        for axis, dim in enumerate(variable.dims):
            if found.sizes[dim] != variable.sizes[dim]:
                places = np.isin(whole[dim].values, given[dim].values)
                assert places.sum() == given.sizes[dim], f"steps of {dim} are lost"
                found = found.isel({dim: np.flatnonzero(places)})
            assert found.dims[axis] == dim
        seen = ~np.isnan(values)
        assert np.array_equal(found.values[seen], values[seen]), f"{name}: observed values changed"


def finer_by_factor(made: Made, given: xr.Dataset, whole: xr.Dataset) -> None:
    """Each cell has its parts, whose mean is its value."""
    factor = made.arguments.get("factor")
    if factor is None or made.arguments.get("mask") is not None:
        return
    for name, variable in given.data_vars.items():
        if name not in whole or variable.dtype not in ("f4", "f8"):
            continue
        found = whole[name]
        refined = [d for d in variable.dims if found.sizes[d] != variable.sizes[d]]
        assert all(found.sizes[d] == factor * variable.sizes[d] for d in refined), found.sizes
        plain = made.arguments.get("conserve", "auto") in ("auto", "mean")
        if len(refined) != 2 or not plain or "minimum" in made.arguments:
            continue
        found = found.mean("member") if "members" in made.arguments else found
        means = found.astype("f8").coarsen(dict.fromkeys(refined, factor)).mean()
        off = np.abs(means.values - variable.values)
        size = np.nanmax(np.abs(np.where(np.isfinite(variable), variable, np.nan)), initial=0.0)
        # A part may be more than the dtype holds.
        parts = found.notnull().coarsen(dict.fromkeys(refined, factor)).min()
        known = np.isfinite(variable.values) & parts.values
        assert (off[known] <= 1e-4 * size + 1e-30).all(), f"{name}: means are off"


def steps_as_they_were(made: Made, given: xr.Dataset, whole: xr.Dataset) -> None:
    """At the record's own times are the record's own values."""
    if made.arguments.get("accumulated"):
        return
    for name, variable in given.data_vars.items():
        if name not in whole or variable.dtype.kind != "f":
            continue
        for dim in variable.dims:
            if dim not in whole.indexes or dim not in given.indexes:
                continue
            index = given.indexes[dim]
            if index.equals(whole.indexes[dim]) or index.dtype.kind not in "MO":
                continue
            common = index.intersection(whole.indexes[dim])
            before, after = (o[name].sel({dim: common}) for o in (given, whole))
            after = after.transpose(*before.dims).values
            seen = ~np.isnan(before.values)
            assert np.array_equal(after[seen], before.values[seen]), f"{name}: steps changed"


def finite_sources(made: Made, given: xr.Dataset, whole: xr.Dataset) -> None:
    """Sources are numbers, or wholly unknown; none is negative that must not be."""
    for name, variable in whole.data_vars.items():
        if name not in given or name == "greens" or variable.dtype.kind != "f":
            continue
        assert not np.isinf(variable.values).any(), f"{name} is infinite"
        if made.arguments.get("positive", True):
            assert not (variable.values < 0).any(), f"{name} is negative"


JUDGES = {
    "fill_gaps": filled_by_position,
    "downscale": finer_by_factor,
    "interp_time": steps_as_they_were,
    "invert_waveform": finite_sources,
}


def same_on_numpy(made: Made, values: Any) -> None:
    """A classical model gives the same bits on data in memory."""
    if made.arguments["model"] not in CLASSICAL[made.task] or not is_lazy(made.obj):
        return
    try:
        with strictly():
            loaded = made(made.obj.compute())
    except GeoMLError:
        return  # of data in memory more is known
    for given, one, other in zip(groups(made.obj), groups(values), groups(loaded), strict=True):
        # Of a lazy coordinate it is not known whether it makes an axis.
        if any(c.ndim == 1 and c.chunks is not None for c in given.coords.values()):
            continue
        assert set(one.variables) == set(other.variables)
        for name, variable in one.variables.items():
            assert variable.dtype == other[name].dtype, name
            assert variable.equals(other[name].variable), f"{name}: other bits on dask"


def is_lazy(obj: Any) -> bool:
    return any(v.chunks is not None for g in groups(obj) for v in g.variables.values())
