"""Finer grids: each cell divided into parts, or the points of another grid."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xgeoml import provenance
from xgeoml.axes import find_axes
from xgeoml.exceptions import AxisError, InputError
from xgeoml.insert import bounds_name
from xgeoml.options import get_options
from xgeoml.tasks.best import resolve_best
from xgeoml.tasks.choose import ModelLike, WeightsLike, check_name, misplaced
from xgeoml.tasks.covariates import Covariates
from xgeoml.tasks.dispatch import GeoObject, NothingToDoError, check_named, on_object
from xgeoml.tasks.earlier import flag_name, spread_name
from xgeoml.tasks.fill_gaps import describe_call, listed
from xgeoml.tasks.placing import FACTORS
from xgeoml.tasks.quantities import plain
from xgeoml.tasks.refined import on_new_grid
from xgeoml.tasks.refining import CONSERVE, Conserve, Fine, Wish, refine_variable
from xgeoml.tasks.values import kinds_of


def downscale(
    obj: GeoObject,
    factor: int | None = None,
    model: ModelLike = "auto",
    *,
    like: xr.DataArray | xr.Dataset | None = None,
    weights: WeightsLike | None = None,
    variables: str | Sequence[Hashable] | None = None,
    covariates: Covariates = None,
    terrain: bool = True,
    mask: str | xr.DataArray | None = None,
    conserve: Conserve = "auto",
    minimum: float | None = None,
    members: int | None = None,
    dims: Mapping[str, str] | None = None,
    model_options: Mapping[str, Any] | None = None,
    device: str | None = None,
    batch_size: int | None = None,
    precision: str | None = None,
    progress: bool | None = None,
    seed: int | None = None,
) -> GeoObject:
    """Bring fields to a finer grid.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        Data with axes Y and X, two cells or more along each; any other axes. Lazy (dask) in, lazy
        out. Latitude and longitude may run either way and be one- or two-dimensional.
    factor : int, optional
        Each cell is divided into `factor` by `factor` parts, 2 to 8, by its edges: the mean of the
        parts' coordinates is the cell's own. A model that was trained for one factor knows it.
    model : str, path or ModelSpec
        A name from ``xgeoml.list_models("downscale")``, a model that `xgeoml.fit` returned, or its
        file. ``"auto"``: `subgrid`, a network that serves any field at any factor. ``"best"``:
        `xgeoml.evaluate` first, on these fields averaged by `factor` (4 if none is given), and the
        model with the least error; of several variables the first one decides. With covariates or
        members it is one of those that serve them.
    like : DataArray or Dataset, optional
        In place of `factor`: an object on the grid that is wanted, finer than that of `obj`. It may
        cover another domain, be curvilinear or a map projection with latitude and longitude, and
        the ratio of the grids need be no whole number. Points farther than half a cell beyond the
        edge of `obj` are missing.
    weights : str or path, optional
        Other weights than the model's own, as in `xgeoml.fill_gaps`.
    variables : str or sequence of str, optional
        Which variables of a Dataset to downscale. By default every floating-point one with axes Y
        and X that is no covariate, mask or bounds. Others along Y or X are left out, with a
        warning.
    covariates : str, DataArray or sequence of these, optional
        For models that make use of them: fields without a time axis on a grid as fine as that
        wanted or finer, such as orography and land mask, or fields on the grid and at the times of
        `obj`. Names in the Dataset, or DataArrays.
    terrain : bool
        Whether `subgrid` is to know the height of the land from a map of the package's own
        (`xgeoml.terrain.elevation`) where it is given no covariates and the grid has latitude and
        longitude.
    mask : str or DataArray of bool, optional
        On the grid of the result, or a finer one: which of its cells get a value; of shares, 0 to
        1, those of half and more. By default those
        in cells that have one; of a model fitted on pairs, those that its target had.
    conserve : bool or {"auto", "area", "mean"}
        Whether the mean of a cell's parts is to be the cell's value. ``"mean"``: the plain mean,
        with which a field that is linear in latitude comes back exactly. ``True`` or ``"area"``:
        weighted by area. ``False``: not at all. ``"auto"``: as it was in the pairs that a model was
        fitted on; otherwise ``"mean"`` where cells are divided, and not with other grids.
    minimum : float, optional
        The smallest value that there can be, such as 0 of rain: models may fall below it beside dry
        cells. Such values are raised to it, and the others in the cell lowered in proportion, so
        that its mean stays.
    members : int, optional
        Of models that draw random numbers: how many answers to give, along a new dim ``member``.
        They depend on `seed` and the position, not on chunks.
    dims : mapping, optional
        Which dim is which axis, such as ``{"Y": "south_north"}``, where it cannot be found out.
    model_options : mapping, optional
        Options of the model itself.
    device, batch_size, precision, progress, seed : optional
        For this call, in place of `xgeoml.set_options`.

    Returns
    -------
    same type as `obj`
        Dims in their order, names, attributes and dtype kept (integers become float64, float16
        float32). Coordinates and bounds along Y and X are those of the parts, or those of `like`.
        Of other coordinates along them, such as areas of cells, a warning tells that they were left
        out. Missing cells stay missing.

    Raises
    ------
    InputError, AxisError, SpecError
        If the data, the grids or the model do not fit.
    ModelNotFoundError, WeightsError, ExecutionError
        If the model or its weights are not there, or it fails.

    Examples
    --------
    >>> import xgeoml
    >>> fine = xgeoml.datasets.mountain_temperature(steps=2)["t2m"]
    >>> coarse = fine.coarsen(lat=4, lon=4).mean()
    >>> coarse.geoml.downscale(4, "bicubic").sizes == fine.sizes
    True
    """
    like, covariates, mask = plain((like, covariates, mask))
    options = get_options(
        device=device, batch_size=batch_size, precision=precision, progress=progress, seed=seed
    )
    if hint := misplaced(factor, "downscale", obj):
        raise InputError(f"factor={factor!r}: expected a whole number, such as 4. {hint}")
    check_wish(factor, like, terrain, mask, conserve, minimum, members, dims)
    check_name(model, "downscale", obj)
    model, won = resolve_best(
        model,
        weights,
        obj,
        "downscale",
        options,
        apart={"model_options": model_options},
        needs={"covariates": covariates, "members": members},
        variable=None if variables is None else listed(variables)[0],
        covariates=covariates,
        factor=None if factor is None else int(factor),
        dims=dims,
        arguments={
            "like": like,
            "terrain": None if terrain else False,
            "mask": mask,
            "conserve": None if conserve == "auto" else conserve,
            "minimum": minimum,
            "members": members,
        },
    )
    told = None if like is None else (like.name if isinstance(like, xr.DataArray) else "Dataset")
    call = describe_call(
        "downscale",
        options,
        factor=factor,
        model=model,
        like=told,
        weights=weights,
        variables=variables,
        covariates=covariates,
        terrain=None if terrain else False,
        mask=mask,
        conserve=None if conserve == "auto" else conserve,
        minimum=minimum,
        members=members,
        dims=dims,
        model_options=model_options,
    )
    wish = Wish(
        factor=None if factor is None else int(factor),
        model=model,
        like=like,
        weights=weights,
        covariates=covariates,
        terrain=terrain,
        mask=mask,
        conserve=conserve,
        minimum=None if minimum is None else float(minimum),
        members=members,
        dims=dims,
        model_options=model_options,
        options=options,
        call=call + won,
    )
    wanted = None if variables is None else listed(variables)
    return on_object(obj, wanted, partial(_downscale_dataset, wish=wish), _without)


def check_wish(
    factor: object,
    like: object,
    terrain: object,
    mask: object,
    conserve: object,
    minimum: object,
    members: object,
    dims: object,
) -> None:
    """Complain of arguments that are wrong whatever the data."""

    def whole(value: object) -> bool:
        return isinstance(value, (int, np.integer)) and not isinstance(value, bool)

    if factor is not None and not (whole(factor) and factor in FACTORS):
        raise InputError(
            f"factor={factor!r}: expected a whole number, {FACTORS[0]} to {FACTORS[-1]}; for other "
            "ratios give the grid that is wanted, like=..."
        )
    if factor is not None and like is not None:
        raise InputError("factor= and like= both name a grid; give one of them")
    if like is not None and not isinstance(like, (xr.DataArray, xr.Dataset)):
        raise InputError(
            f"like is a {type(like).__name__}; expected a DataArray or Dataset on the grid wanted"
        )
    if not isinstance(terrain, (bool, np.bool_)):
        raise InputError(
            f"terrain={terrain!r}: expected True or False; heights of your own go in covariates="
        )
    if conserve not in CONSERVE:
        raise InputError(f"conserve={conserve!r}: expected one of {', '.join(map(repr, CONSERVE))}")
    number = isinstance(minimum, (int, float, np.integer, np.floating))
    if minimum is not None and not (number and np.isfinite(minimum) and minimum is not True):  # type: ignore[call-overload]
        raise InputError(f"minimum={minimum!r}: expected a number, such as 0, or None")
    if members is not None and not (whole(members) and int(str(members)) > 0):
        raise InputError(f"members={members!r}: expected a whole number above 0")
    if dims is not None and not isinstance(dims, Mapping):
        raise AxisError(f"dims={dims!r}: expected a mapping, such as {{'Y': 'lat', 'X': 'lon'}}")
    if mask is not None and not isinstance(mask, (str, xr.DataArray)):
        raise InputError(
            f"mask is a {type(mask).__name__}; expected a variable's name or a DataArray of bool"
        )


def _downscale_dataset(
    dataset: xr.Dataset,
    names: list[Hashable] | None,
    above: Sequence[xr.Dataset],
    wish: Wish,
) -> tuple[xr.Dataset, dict[Hashable, list[str]]]:
    """Return the Dataset on the finer grid."""
    names = variables_with_a_grid(dataset, names, wish.covariates, wish.mask, wish.dims)
    done: dict[Hashable, Fine] = {n: refine_variable(dataset, n, above, wish) for n in names}
    grids = {fine.grid.dims for fine in done.values()}
    result = dataset
    for dims in grids:
        here = {n: fine for n, fine in done.items() if fine.grid.dims == dims}
        first = next(iter(here.values()))
        fields = {n: fine.variable for n, fine in here.items()}
        result = on_new_grid(result, first.grid, first.coords, fields, first.lost)
    if wish.members:
        result = result.assign_coords(member=np.arange(wish.members))
    if wish.options.keep_history:
        used = ", ".join(f"{n} by {fine.told}" for n, fine in done.items())
        line = provenance.history_line(f"{wish.call}: {used}")
        result.attrs = provenance.with_history(result.attrs, line)
    return result, {name: [] for name in names}


def variables_with_a_grid(
    dataset: xr.Dataset,
    names: list[Hashable] | None,
    covariates: Covariates,
    mask: str | xr.DataArray | None,
    dims: Mapping[str, str] | None,
) -> list[Hashable]:
    """Return the variables to downscale, named or found.

    Raises
    ------
    InputError
        If a name is not there, or no variable fits.
    """
    if names is not None:
        check_named(dataset, names)
        return names
    given = covariates if isinstance(covariates, (list, tuple)) else [covariates]
    apart: set[object] = {c for c in given if isinstance(c, str)}
    apart |= {mask} if isinstance(mask, str) else set()
    apart |= {n for v in dataset.variables.values() if (n := bounds_name(v)) is not None}
    apart |= {made(v) for v in dataset.variables for made in (flag_name, spread_name)}
    # Areas are no means: those of the parts are other ones.
    for each in dataset.variables.values():
        apart |= set(str(each.attrs.get("cell_measures", "")).split())
    found: list[Hashable] = []
    for name, variable in dataset.data_vars.items():
        if variable.dtype.kind == "f" and name not in apart:
            usable = {k: d for k, d in (dims or {}).items() if d in variable.dims}
            if {"Y", "X"} <= set(find_axes(variable, usable or None).names):
                found.append(name)
    if not found:
        raise NothingToDoError(
            f"no floating-point variable with axes Y and X to downscale; found "
            f"{kinds_of(dataset)}: name one with variables=, "
            f"and its axes with dims={{'Y': ..., 'X': ...}}"
        )
    return found


def _without(dataset: xr.Dataset, dim: str, _before: xr.Dataset, _after: xr.Dataset) -> xr.Dataset:
    """Return a group of a DataTree without what lies along an axis that has changed above it."""
    lost = [str(name) for name, variable in dataset.data_vars.items() if dim in variable.dims]
    if lost:
        warnings.warn(
            f"left out: variables {lost} of a group of the DataTree, along {dim!r} of a group "
            "above it that is on a finer grid now",
            stacklevel=6,
        )
    return dataset.drop_dims(dim)
