"""Pairs of coarse and fine fields to learn from, made of two xarray objects."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.axes import Axes, find_axes
from xgeoml.engine.execute import is_lazy
from xgeoml.exceptions import GeoMLError, InputError
from xgeoml.grid import cell_area
from xgeoml.models.downscaling import Clock, Pairs, Placement
from xgeoml.models.series import Floats
from xgeoml.tasks.beside import axes_as_said, check_finer, clock_of, on_points, sort_out
from xgeoml.tasks.covariates import Covariates, names_of
from xgeoml.tasks.dispatch import as_dataset
from xgeoml.tasks.downscale import variables_with_a_grid
from xgeoml.tasks.placing import Grid, factor_for, place
from xgeoml.tasks.refined import given_coords
from xgeoml.tasks.refining import ascending
from xgeoml.tasks.trained_grids import TrainedGrids, coordinates
from xgeoml.tasks.units import converted, units_of
from xgeoml.tasks.values import in_numbers

# Means differ from the coarse values by less than this share of their deviation where they are
# meant to be equal; the steps on which that is looked at.
_EQUAL, _LOOKED_AT = 1e-3, 64
# Single precision holds sums of squares of these.
_LARGEST = 1e16
# Steps without which there is nothing to learn.
_FEWEST = 2
# Steps that are read at a time.
_PIECE = 2**24


@dataclass(frozen=True)
class Couple:
    """Two variables, coarse and fine, of the same times.

    Attributes
    ----------
    coarse, fine : DataArray
        ``(time, Y, X)`` each, coordinates ascending.
    axes : Axes
        Of the coarse one.
    placement : Placement
        Of the target's points.
    clock : Clock
    points : dict
        The target's coordinates, in its own order.
    turned : tuple of slice
        Puts rows and columns of the target into this order.
    dims : tuple of str
        Y and X of the target.
    covariates : tuple of DataArray
    static : ndarray, (covariate, Y', X')
    names : tuple of str
        Of the covariates.
    units : tuple of str
        Of the coarse one and the covariates; empty if none are told.
    attrs : dict
        Of the objects, for the card.
    """

    coarse: xr.DataArray
    fine: xr.DataArray
    axes: Axes
    placement: Placement
    clock: Clock
    points: dict[Hashable, xr.Variable]
    turned: tuple[slice, slice]
    dims: tuple[str, str]
    covariates: tuple[xr.DataArray, ...]
    static: Floats
    names: tuple[str, ...]
    units: tuple[str, ...]
    attrs: dict[Hashable, Any]

    def pairs(self, folder: Path, seed: int) -> Pairs:
        """Return the pairs as arrays; those of lazy variables lie in a folder.

        Raises
        ------
        InputError
            If at no step both have a value.
        """
        coarse = stored(self.coarse, folder / "coarse.npy")
        fine = stored(self.fine, folder / "fine.npy")
        placement = _inside(self.placement, fine)
        moving = [stored(c, folder / f"covariate{i}.npy") for i, c in enumerate(self.covariates)]
        shape = (0, *coarse.shape)
        made = Pairs(
            coarse,
            fine,
            placement,
            self.clock,
            self.share(coarse, fine),
            np.stack(moving) if moving else np.empty(shape, np.float32),
            self.static,
            seed,
        )
        usable = int(usable_steps(made).sum())
        if usable < _FEWEST:
            raise InputError(
                f"at {usable} of {len(coarse)} steps both the data and the target have a value; "
                f"expected {_FEWEST} or more to learn from"
            )
        return made

    def share(self, coarse: NDArray[Any], fine: NDArray[Any]) -> Floats:
        """Return the weights with which the coarse values are means of the fine ones, or zeros."""
        shape, factor = self.placement.shape, self.placement.factor
        if not factor:
            return np.zeros(shape)
        steps = np.linspace(0, len(coarse) - 1, min(len(coarse), _LOOKED_AT)).astype(np.intp)
        few, parts = coarse[steps].astype(np.float64), fine[steps].astype(np.float64)
        blocks = parts.reshape(len(steps), coarse.shape[1], factor, coarse.shape[2], factor)
        known = np.isfinite(blocks)
        for share in (np.ones(shape), self._area()):
            weight = np.where(known, share.reshape(blocks.shape[1:]), 0.0)
            with np.errstate(invalid="ignore", divide="ignore"):
                mean = (np.where(known, blocks, 0.0) * weight).sum((2, 4)) / weight.sum((2, 4))
            both = np.isfinite(mean) & np.isfinite(few)
            off = np.mean((mean - few)[both] ** 2) ** 0.5 if both.any() else np.inf
            if both.any() and off <= _EQUAL * np.std(few[both]):
                return share
        return np.zeros(shape)

    def _area(self) -> Floats:
        blank = self.fine.isel({d: 0 for d in self.fine.dims if d not in self.dims}, drop=True)
        axes = find_axes(blank, dict(zip("YX", self.dims, strict=True)))
        return np.asarray(cell_area(blank, axes).transpose(*self.dims).values)

    def grids(self, pairs: Pairs) -> TrainedGrids:
        """Return what the model's file keeps of the two grids."""
        y, x = coordinates(Grid.of(self.coarse, self.axes))
        kept, seen = _ever(pairs.fine), _ever(pairs.coarse)
        share = pairs.share if pairs.share.any() else None
        hours = bool(np.isfinite(self.clock.day).any())
        return TrainedGrids(
            y, x, self.placement, kept, share, self.dims, self.points, seen, hours, self.turned
        )


def _ever(fields: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which cells ever have a value, read piece by piece."""
    found = np.zeros(fields.shape[1:], bool)
    piece = max(1, _PIECE // max(1, found.size))
    for first in range(0, len(fields), piece):
        found |= np.isfinite(fields[first : first + piece]).any(0)
    return found


def couple(
    obj: xr.DataArray | xr.Dataset | xr.DataTree,
    target: xr.DataArray | xr.Dataset,
    variables: Sequence[Hashable] | None,
    covariates: Covariates,
    dims: Mapping[str, str] | None,
) -> Couple:
    """Return the variable to learn from and its target, at the times that both have.

    Raises
    ------
    InputError
        If there is more than one variable, or the two have no time or no place in common.
    """
    dataset, name, goal = _variables(obj, target, variables, covariates, dims)
    coarse = in_numbers(dataset[name], f"variable {name!r}")
    fine = _in_units_of(coarse, in_numbers(goal, "target"))
    others = [d for d in dataset.dims if d not in coarse.dims]
    axes = find_axes(coarse, {k: d for k, d in (dims or {}).items() if d not in others})
    grid, their_axes = Grid.of(coarse, axes), axes_as_said(fine, dims)
    points = Grid.of(fine, their_axes)
    coarse = _with_time(coarse, axes, grid, f"variable {name!r}")
    fine = _with_time(fine, their_axes, points, "target")
    ours, theirs = _same_times(coarse, fine)
    turn = dict(zip(grid.dims, ascending(grid), strict=True))
    coarse = coarse.isel({coarse.dims[0]: ours, **turn})
    turned = ascending(points)
    fine = fine.isel({fine.dims[0]: theirs, **dict(zip(points.dims, turned, strict=True))})
    axes = find_axes(coarse, dict(zip("TYX", map(str, coarse.dims), strict=True)))
    grid = Grid.of(coarse, axes)
    placement = place(points.turned(turned), grid, "target")
    if factor_for(placement) == 1:
        raise InputError(
            f"target has {points.sizes} cells and is no finer than the data with {grid.sizes}; "
            "expected a finer grid: is it the other way round?"
        )
    found = sort_out(covariates, dataset, (), coarse, axes, dims)
    check_finer(found.static, coarse, axes, dims)
    whole = target if isinstance(target, xr.Dataset) else goal  # which has bounds too
    coords = _in_file(given_coords(whole, points))
    where = xr.Dataset(coords={n: v for n, v in coords.items() if set(v.dims) <= set(points.dims)})
    still = [on_points(c, where, f"covariate {names_of(c)[0]!r}", dims) for c in found.static]
    fixed = np.empty((0, *placement.shape))
    if still:
        fixed = np.stack(still)[(slice(None), *turned)]
    return Couple(
        coarse=coarse,
        fine=fine.transpose(fine.dims[0], *points.dims),
        axes=axes,
        placement=placement,
        clock=clock_of(coarse, axes),
        points=coords,
        turned=turned,
        dims=points.dims,
        covariates=tuple(c.transpose(*coarse.dims) for c in found.moving),
        static=fixed,
        names=found.names,
        units=units_of(coarse, *found.moving, *found.static),
        attrs={**dataset.attrs, **goal.attrs},
    )


def _variables(
    obj: xr.DataArray | xr.Dataset | xr.DataTree,
    target: xr.DataArray | xr.Dataset,
    variables: Sequence[Hashable] | None,
    covariates: Covariates,
    dims: Mapping[str, str] | None,
) -> tuple[xr.Dataset, Hashable, xr.DataArray]:
    """Return the Dataset, the variable's name in it, and its target."""
    if isinstance(obj, xr.DataArray):
        dataset, name = as_dataset(obj)
    elif isinstance(obj, xr.Dataset):
        dataset = obj
        names = variables_with_a_grid(
            obj, None if variables is None else list(variables), covariates, None, dims
        )
        if len(names) != 1:
            raise InputError(
                f"found {len(names)} variables to learn from, {list(map(str, names))}; expected "
                "one: name it, variables='...'"
            )
        name = names[0]
    else:
        raise InputError(
            f"found a {type(obj).__name__}; pairs are learnt from a DataArray or a Dataset: take "
            "one group of a DataTree, tree['...'].to_dataset()"
        )
    if isinstance(target, xr.DataArray):
        return dataset, name, target
    if not isinstance(target, xr.Dataset):
        raise InputError(
            f"target is a {type(target).__name__}; expected a DataArray or Dataset of the fine "
            "fields"
        )
    choice = [name] if name in target.data_vars else list(target.data_vars)
    if len(choice) != 1:  # bounds and a projection may lie beside it
        choice = variables_with_a_grid(target, None, None, None, dims)
    if len(choice) != 1:
        raise InputError(
            f"target has variables {list(map(str, choice))}, none of them {name!r}; "
            "expected one: target=fine['...']"
        )
    return dataset, name, target[choice[0]]


def _in_units_of(coarse: xr.DataArray, fine: xr.DataArray) -> xr.DataArray:
    """Return a target in the units of the data: a result has these.

    Raises
    ------
    InputError
        If they are of another kind, or cannot be told without pint.
    """
    ours, theirs = (str(a.attrs.get("units", "")).strip() for a in (coarse, fine))
    if not ours or not theirs or ours == theirs:
        return fine
    try:
        return converted(fine, ours)
    except GeoMLError as error:
        raise InputError(
            f"data in {ours!r} and a target in {theirs!r}; expected one unit: convert either, or "
            f"where only the writing differs type target=fine.assign_attrs(units={ours!r}). {error}"
        ) from error


def _with_time(array: xr.DataArray, axes: Axes, grid: Grid, label: str) -> xr.DataArray:
    """Return ``(time, Y, X)``; of fields without time, one step."""
    time = axes.names.get("T")
    extra = [d for d in array.dims if d not in (time, *grid.dims)]
    if extra:
        raise InputError(
            f"{label} has dims {array.dims}; expected time, Y and X only: pick one of the others, "
            f"obj.isel({extra[0]}=0)"
        )
    if time is None or time not in array.dims:
        time = "time"
        along = time in array.coords and array[time].ndim > 0  # another dim, of which it is no axis
        array = (array.drop_vars(time) if along else array).expand_dims(time)
    return array.transpose(time, *grid.dims)


def _same_times(
    coarse: xr.DataArray, fine: xr.DataArray
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the steps of each that have the same stamps."""
    ours, theirs = coarse.dims[0], fine.dims[0]
    if not (coarse.sizes[ours] and fine.sizes[theirs]):
        raise InputError(
            f"the data have {coarse.sizes[ours]} steps, the target {fine.sizes[theirs]}; expected "
            "some in both, of the same times"
        )
    if ours not in coarse.coords or theirs not in fine.coords:
        if coarse.sizes[ours] != fine.sizes[theirs]:
            raise InputError(
                f"target has {fine.sizes[theirs]} steps and the data {coarse.sizes[ours]}, without "
                "stamps that tell which belong together; expected a coordinate of time in both"
            )
        every = np.arange(coarse.sizes[ours])
        return every, every
    stamps = coarse.get_index(ours)
    for label, array, dim in (("the data", coarse, ours), ("the target", fine, theirs)):
        if not array.get_index(dim).is_unique:
            raise InputError(
                f"{label} have steps with the same stamp; expected each once: "
                f"obj.drop_duplicates({dim!r})"
            )
    at = fine.get_index(theirs).get_indexer(stamps)
    both = np.flatnonzero(at >= 0)
    if not both.size:
        raise InputError(
            f"no step of the data, {stamps[0]} to {stamps[-1]}, has the stamp of one of the target,"
            f" {fine.get_index(theirs)[0]} to {fine.get_index(theirs)[-1]}; expected the same "
            "times: of means whose stamps differ by some hours, "
            f"target=fine.assign_coords({theirs}=...)"
        )
    if both.size < len(stamps):
        warnings.warn(
            f"{len(stamps) - both.size} of {len(stamps)} steps have no counterpart in the target "
            "and are not learnt from",
            stacklevel=5,
        )
    return both, at[both]


def _in_file(coords: dict[Hashable, xr.Variable]) -> dict[Hashable, xr.Variable]:
    """Return the coordinates that a model's file can hold: numbers, and attributes of any."""
    made = {
        name: xr.Variable((), 0, variable.attrs) if variable.ndim == 0 else variable
        for name, variable in coords.items()
        if variable.ndim == 0 or variable.dtype.kind in "biuf"
    }
    lost = [str(name) for name in coords if name not in made]
    if lost:
        warnings.warn(
            f"left out: coordinates {lost} of the target, which are no numbers; the model's file "
            "cannot hold them",
            stacklevel=6,
        )
    return made


def _inside(placement: Placement, fine: NDArray[Any]) -> Placement:
    """Return the placement with a place for every point; of those without, nothing is learnt."""
    rows, columns = placement.rows, placement.columns
    if rows.ndim == 2:
        outside = ~(np.isfinite(rows) & np.isfinite(columns))
    else:
        outside = ~(np.isfinite(rows)[:, None] & np.isfinite(columns))
    if not outside.any():
        return placement
    for step in range(len(fine)):
        fine[step][outside] = np.nan
    return Placement(np.nan_to_num(rows), np.nan_to_num(columns), placement.factor)


def usable_steps(pairs: Pairs) -> NDArray[np.bool_]:
    """Return at which steps both fields have a value."""
    both = zip(pairs.coarse, pairs.fine, strict=True)
    return np.array([np.isfinite(c).any() and np.isfinite(f).any() for c, f in both], bool)


def stored(array: xr.DataArray, path: Path) -> NDArray[Any]:
    """Return the values, in float32 unless they need more; of a lazy array as a file."""
    data = array.variable.data
    dtype = np.dtype(np.float32) if array.dtype.itemsize <= 4 else np.dtype(np.float64)
    if not is_lazy(data):
        return _known(array.values, array.name).astype(dtype)
    path.parent.mkdir(parents=True, exist_ok=True)
    made = np.lib.format.open_memmap(path, "w+", dtype, array.shape)
    piece = max(1, _PIECE // max(1, int(np.prod(array.shape[1:]))))
    for first in range(0, array.shape[0], piece):
        made[first : first + piece] = _known(np.asarray(data[first : first + piece]), array.name)
    made.flush()
    return made


def _known(values: NDArray[Any], name: Hashable) -> NDArray[Any]:
    """Return values, NaN where they are infinite."""
    made = np.where(np.isfinite(values), values, np.nan)
    largest = float(np.nanmax(np.abs(made), initial=0.0))
    if largest > _LARGEST:
        raise InputError(
            f"{name!r} holds {largest:g}; expected values within {_LARGEST:g}, which can be learnt "
            f"from: is it what stands for missing? Type obj = obj.where(abs(obj) < {_LARGEST:g})"
        )
    return made
