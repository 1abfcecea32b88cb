"""What an evaluation of downscaling tries models on."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.axes import Axes, find_axes, require
from xgeoml.exceptions import InputError
from xgeoml.grid import longitude
from xgeoml.model import Model
from xgeoml.registry import get_model
from xgeoml.spec import ModelSpec
from xgeoml.tasks.beside import axes_as_said
from xgeoml.tasks.choose import ModelLike
from xgeoml.tasks.covariates import Covariates, lookup, on_same_grid
from xgeoml.tasks.downscale import downscale
from xgeoml.tasks.fit import fit
from xgeoml.tasks.holdouts import Ints
from xgeoml.tasks.placing import FACTORS, Grid, factor_for, place
from xgeoml.tasks.refining import MEMBER
from xgeoml.tasks.trials import (
    Answer,
    Trial,
    Wish,
    check_apart,
    check_some,
    has_values,
    in_memory,
    in_period,
    in_stretches,
)
from xgeoml.tasks.values import as_floats

# Times finer, where nobody says.
_FINER = 4


def grid_trials(dataset: xr.Dataset, name: Hashable, wish: Wish) -> Iterator[Trial]:
    """Yield the repeats of an evaluation of downscaling: blocks of time.

    The fields are averaged to a grid `factor` times as coarse, and brought back; or, with a target,
    they are the coarse ones, and the target is the truth.
    """
    given, dims = as_floats(dataset[name]).compute(), wish.dims
    axes = find_axes(given, dims)
    require(axes, "Y", "X", purpose="downscaling")
    time = axes.get("T")
    drivers = in_memory(_found(wish.covariates, dataset))
    factor: int | None
    if wish.target is None:
        factor = _factor(given, axes, wish)
        fine, coarse = _thinned(given, axes, factor)
        if time is None:
            check_apart(drivers, given)
        drivers = _also_thinned(drivers, given, axes, factor)
        told = f"fields averaged to cells {factor} times as large"
        # Where a grid is wanted, theirs is given as one.
        factor = None if "like" in wish.arguments else factor
    else:
        factor, coarse = None, given
        coarse, fine = _same_times(coarse, as_floats(wish.target).compute(), axes, dims)
        check_apart(drivers, fine)
        told = "the fine fields of the target"
    further = {k: v for k, v in wish.arguments.items() if k not in ("like", "members")}
    members = wish.arguments.get("members")
    for block in _blocks(coarse, fine, axes, wish):
        cut = {} if time is None else {time: block}
        truth, query = fine.isel(_here(cut, fine)), coarse.isel(cut)
        # The grid alone: of a field the values would go with it.
        grid = xr.zeros_like(truth.isel({d: 0 for d in truth.dims if d == time}, drop=True))

        def ask(
            model: ModelLike,
            spec: ModelSpec,
            truth: xr.DataArray = truth,
            query: xr.DataArray = query,
            grid: xr.DataArray = grid,
        ) -> Answer:
            # Beside an ensemble those that give one answer are compared, too.
            draws = hasattr(spec.load_factory(), "sample")
            made = downscale(
                query,
                factor,
                model,
                like=grid if factor is None and not spec.bound else None,
                covariates=drivers if spec.covariates else None,
                dims=dims,
                members=members if draws else None,
                **further,
                **wish.run,
            )
            return _mean_of_members(made, truth)

        def teach(model: str, settings: Mapping[str, Any], block: Ints = block) -> Model:
            if time is None:
                raise InputError(
                    f"fit={model!r}: the data have no time axis, so that nothing is left to learn "
                    "from; leave fit= out"
                )
            rest = np.setdiff1d(np.arange(coarse.sizes[time]), block)
            return fit(
                coarse.isel({time: rest}),
                model,
                target=fine.isel(_here({time: rest}, fine)),
                covariates=drivers if get_model(model, "downscale").covariates else None,
                **wish.fitted(settings),
            )

        where = np.isfinite(truth.values)
        if "mask" in further:
            like, mask = grid if factor is None else None, further["mask"]
            wanted = downscale(query, factor, "nearest", like=like, mask=mask, dims=dims)
            where &= wanted.notnull().transpose(*truth.dims).values
        check_some(where, name)
        yield Trial(told, truth, where, axes_as_said(truth, dims), ask, teach)


def _factor(given: xr.DataArray, axes: Axes, wish: Wish) -> int:
    """Return how many times coarser the fields are to be made."""
    like = wish.arguments.get("like")
    if like is None:
        return wish.factor or _FINER
    # As much as they are coarser than what is wanted.
    wanted = Grid.of(like, axes_as_said(like, wish.dims))
    return max(factor_for(place(wanted, Grid.of(given, axes))), FACTORS[0])


def _mean_of_members(made: xr.DataArray, truth: xr.DataArray) -> Answer:
    """Return an answer, of several members their mean, and how far they are apart."""
    if MEMBER not in made.dims or MEMBER in truth.dims:
        return Answer(made.transpose(*truth.dims), None)
    several = made.sizes[MEMBER] > 1
    return Answer(
        made.mean(MEMBER).transpose(*truth.dims),
        made.std(MEMBER, ddof=1).transpose(*truth.dims) if several else None,
    )


def _found(covariates: Covariates, dataset: xr.Dataset) -> Covariates:
    """Return covariates themselves in place of their names: the fields are asked for alone."""
    if covariates is None:
        return None
    several = [covariates] if isinstance(covariates, (str, xr.DataArray)) else covariates
    return [lookup(c, "covariate", dataset) if isinstance(c, str) else c for c in several]


def _also_thinned(
    covariates: Covariates, given: xr.DataArray, axes: Axes, factor: int
) -> Covariates:
    """Return covariates; those that lie on the cells and steps of the fields are averaged, too."""
    if not isinstance(covariates, list):
        return covariates
    along = {axes.get("T"), *axes.space}

    def thinned(given_too: xr.DataArray) -> xr.DataArray:
        sizes = given_too.sizes
        if not along <= set(sizes) or any(sizes[d] != given.sizes[d] for d in axes.space):
            return given_too
        label = f"covariate {given_too.name!r}"
        return _thinned(on_same_grid(given_too, label, given, axes), axes, factor)[1]

    return [thinned(c) for c in covariates]


def _thinned(fine: xr.DataArray, axes: Axes, factor: int) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the fine fields, cut so that coarse cells are whole, and their means."""
    y, x = axes.space
    whole = {d: fine.sizes[d] // factor * factor for d in (y, x)}
    if min(whole.values()) < 2 * factor:
        raise InputError(
            f"factor={factor}: {fine.sizes[y]} x {fine.sizes[x]} cells make less than 2 coarse "
            "ones along an axis; expected a smaller factor"
        )
    fine = fine.isel({d: slice(0, n) for d, n in whole.items()})
    # Of names, flags and dates of cells there is no mean.
    words = [
        n for n, c in fine.coords.items() if {y, x} & set(c.dims) and c.dtype.kind not in "iuf"
    ]
    lon = longitude(fine, axes)
    around: Any = {} if lon is None or np.ptp(lon.values) <= 180.0 else {lon.name: _mean_around}
    coarse = fine.drop_vars(words).coarsen({y: factor, x: factor}, coord_func=around).mean()
    coarse.attrs, coarse.name = fine.attrs, fine.name
    for coord in coarse.coords:
        coarse[coord].attrs = {k: v for k, v in fine[coord].attrs.items() if k != "bounds"}
    return fine, coarse


def _mean_around(degrees: NDArray[Any], axis: tuple[int, ...]) -> NDArray[Any]:
    """Return mean longitudes of cells that may lie on either side of the date line."""
    # Of NaN and a number it is the number.
    one = np.fmax.reduce(degrees, axis=axis, keepdims=True)
    off = (degrees - one + 180.0) % 360.0 - 180.0
    known = np.isfinite(off)
    mean = np.where(known, off, 0.0).sum(axis) / np.maximum(known.sum(axis), 1)
    return np.asarray(np.squeeze(one, axis) + mean)


def _same_times(
    coarse: xr.DataArray, target: xr.DataArray, axes: Axes, dims: Mapping[str, str] | None
) -> tuple[xr.DataArray, xr.DataArray]:
    """Return coarse and fine fields at the times that both have."""
    theirs = axes_as_said(target, dims)
    require(theirs, "Y", "X", purpose="target=")
    time, own = axes.get("T"), theirs.get("T")
    apart = {time, own, *axes.space, *theirs.space}
    if (set(coarse.dims) ^ set(target.dims)) - apart or (time is None) != (own is None):
        raise InputError(
            f"target= has the dims {target.dims}, the data {coarse.dims}; expected the same but "
            "for those of the grid"
        )
    if time is None or own is None:
        return coarse, target
    if time not in coarse.indexes or own not in target.indexes:
        if coarse.sizes[time] != target.sizes[own]:
            raise InputError(
                f"target= has {target.sizes[own]} steps, the data {coarse.sizes[time]}, and not "
                "both have stamps by which to match them; give them a time coordinate"
            )
        return coarse, target.rename({own: time})
    both = coarse.indexes[time].intersection(target.indexes[own])
    if not len(both):
        raise InputError(
            f"target= has none of the times of the data, {str(coarse[time].values[0])[:16]} to "
            f"{str(coarse[time].values[-1])[:16]}; expected the fine fields of the same times"
        )
    return coarse.sel({time: both}), target.sel({own: both}).rename({own: time})


def _blocks(coarse: xr.DataArray, fine: xr.DataArray, axes: Axes, wish: Wish) -> list[Ints]:
    """Return the steps of each repeat."""
    time = axes.get("T")
    if time is None:
        if wish.period is not None:
            raise InputError(f"period={wish.period}: the data have no time axis; leave it out")
        return [np.zeros(1, np.int64)]
    inside = in_period(coarse[axes.coords.get("T", time)], wish.period)
    return in_stretches(inside & has_values(fine, time), wish.repeats)


def _here(cut: Mapping[str, Ints], array: xr.DataArray) -> dict[str, Ints]:
    return {d: steps for d, steps in cut.items() if d in array.dims}
