"""Which variable of an object is drawn, and what lies beside it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import NamedTuple

import xarray as xr

from xgeoml.axes import Axes, AxisName, find_axes, require
from xgeoml.datasets.fields import SOURCE
from xgeoml.exceptions import AxisError, InputError, did_you_mean
from xgeoml.tasks.dispatch import as_dataset, check_named
from xgeoml.tasks.inspect import datasets_in
from xgeoml.tasks.quantities import plain
from xgeoml.tasks.samples import sample_dim

GeoData = xr.DataArray | xr.Dataset | xr.DataTree

# Values that are in memory at once of files that are open, and of lazy data with smaller chunks.
PIECE = 2**24

# What tasks put beside a variable under its name.
_BESIDE = (
    *("fill_flag", "spread", "n_observed"),
    *("moment", "misfit", "each_misfit", "factor"),
)


class Chosen(NamedTuple):
    """A variable, and what the tasks have put beside it.

    Attributes
    ----------
    name : str
    data : DataArray
    flag, spread : DataArray or None
        ``NAME_fill_flag`` and ``NAME_spread``.
    axes : Axes
    time : str or None
        The axis of time, of seismograms that of their samples.
    dataset : Dataset
        Where it was found.
    """

    name: str
    data: xr.DataArray
    flag: xr.DataArray | None
    spread: xr.DataArray | None
    axes: Axes
    time: str | None
    dataset: xr.Dataset

    @property
    def invented(self) -> bool:
        """Whether these are synthetic data of the package, whose shores are no real ones."""
        return self.dataset.attrs.get("source") == SOURCE


def choose(
    obj: GeoData,
    variable: Hashable | None = None,
    group: str | None = None,
    dims: Mapping[str, str] | None = None,
    *,
    needs: tuple[AxisName, ...] = (),
    wants: tuple[AxisName, ...] = (),
    purpose: str,
) -> Chosen:
    """Return what is drawn of an object.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
    variable : str, optional
        Of a Dataset; by default the first that has the axes, those that were filled before others.
    group : str, optional
        Of a DataTree; by default the first with such a variable.
    dims : mapping, optional
        The user's word on axes.
    needs : tuple of str
        Letters of axes that it must have.
    wants : tuple of str
        Of axes that the first that has them is taken for.
    purpose : str
        What needs them, for messages.

    Raises
    ------
    InputError
        If there is no such variable or group.
    AxisError
        If no variable has the axes.
    """
    first: Chosen | None = None
    obj = plain(obj)
    wanted = as_dataset(obj)[1] if isinstance(obj, xr.DataArray) else variable
    for dataset in _datasets(obj, variable, group):
        _check_dims(dataset, dims)
        for name in _names(dataset, wanted):
            found = _chosen(dataset, name, dims)
            if _has(found, (*needs, *wants)):
                return found
            if first is None or (_has(found, needs) and not _has(first, needs)):
                first = found
    if first is None:
        raise InputError(f"{purpose} needs a variable of numbers; found none in {_shown(obj)}")
    if not _has(first, needs):
        require(first.axes, *needs, purpose=purpose)
    return first


def in_pieces(chosen: Chosen) -> Chosen:
    """Return a variable of which all is asked for: of a large open file a piece at a time."""
    parts = {"data": chosen.data, "flag": chosen.flag, "spread": chosen.spread}
    made = {k: _in_pieces(v, chosen.time) for k, v in parts.items() if v is not None}
    return chosen._replace(**made)  # type: ignore[arg-type]  # none of them is a name


def _in_pieces(array: xr.DataArray, time: str | None) -> xr.DataArray:
    loaded = array.chunks is not None or array.variable._in_memory
    if loaded or array.size <= PIECE:
        return array
    dim = time if time in array.dims else str(array.dims[0])
    return array.chunk({dim: max(PIECE * array.sizes[dim] // array.size, 1)})


def _has(found: Chosen, needs: tuple[AxisName, ...]) -> bool:
    there = {*found.axes.names} | ({"T"} if found.time else set())
    return set(needs) <= there


def _chosen(dataset: xr.Dataset, name: Hashable, dims: Mapping[str, str] | None) -> Chosen:
    data = dataset[name]
    own = {k: v for k, v in (dims or {}).items() if v in data.dims}
    axes = find_axes(data, own)
    beside = {key: dataset.get(f"{name}_{key}") for key in ("fill_flag", "spread")}
    same = {k: v for k, v in beside.items() if v is not None and set(v.dims) == set(data.dims)}
    ordered = {k: v.transpose(*data.dims) for k, v in same.items()}
    return Chosen(
        str(name),
        data,
        ordered.get("fill_flag"),
        ordered.get("spread"),
        axes,
        sample_dim(data, own),
        dataset,
    )


def _datasets(obj: GeoData, variable: Hashable | None, group: str | None) -> Iterator[xr.Dataset]:
    """Yield the Datasets in which a variable may be."""
    if not isinstance(obj, xr.DataTree):
        if group is not None:
            raise InputError(f"group={group!r} goes with a DataTree; this is {_shown(obj)}")
        (only,) = datasets_in(obj)
        if isinstance(only, xr.DataArray):
            if variable is not None:
                raise InputError(
                    f"variable={variable!r} goes with a Dataset; a DataArray is one variable"
                )
            extras = {n: c for n, c in only.coords.items() if _beside_array(n, only)}
            yield as_dataset(only)[0].reset_coords(list(extras))
        else:
            yield only
        return
    if group is not None:
        paths = [node.path for node in obj.subtree]
        wanted = f"/{group.strip('/')}"
        if wanted not in paths:
            near = did_you_mean(wanted, paths) or paths[:5]
            raise InputError(f"the DataTree has no group {group!r}; expected such as {near}")
        obj = obj[wanted]
    found = [d for d in datasets_in(obj) if variable is None or variable in d]
    if variable is not None and not found:
        raise InputError(f"variable={variable!r} is in no group of the DataTree")
    yield from found  # type: ignore[misc]


def _beside_array(name: Hashable, array: xr.DataArray) -> bool:
    base = as_dataset(array)[1]
    return any(name == f"{base}_{key}" for key in _BESIDE)


def _names(dataset: xr.Dataset, variable: Hashable | None) -> list[Hashable]:
    """Return the variables that may be drawn, the likeliest first."""
    if variable is not None:
        check_named(dataset, [variable])
        if dataset[variable].dtype.kind not in "biuf":
            found = dataset[variable].dtype
            raise InputError(f"{variable!r} has dtype {found}; expected a variable of numbers")
        return [variable]
    ancillary = {f"{n}_{key}" for n in dataset.data_vars for key in _BESIDE}
    for array in (*dataset.data_vars.values(), *dataset.coords.values()):
        ancillary |= set(str(array.attrs.get("ancillary_variables", "")).split())
        ancillary |= {str(array.attrs.get("bounds", ""))}
    names = [
        name
        for name, array in dataset.data_vars.items()
        if array.dtype.kind in "biuf" and name not in ancillary
    ]
    return sorted(
        names, key=lambda n: (f"{n}_fill_flag" not in dataset, dataset[n].dtype.kind != "f")
    )


def _check_dims(dataset: xr.Dataset, dims: Mapping[str, str] | None) -> None:
    if dims:
        lost = [v for v in dims.values() if v not in dataset.dims]
        if lost:
            raise AxisError(
                f"dims={dict(dims)} names {lost[0]!r}, which is not there; expected some of "
                f"{list(map(str, dataset.dims))}"
            )


def _shown(obj: object) -> str:
    return f"a {type(obj).__name__}"
