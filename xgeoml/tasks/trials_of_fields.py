"""What an evaluation of downscaling, and of interpolation in time, tries models on."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from xgeoml.axes import find_axes, require
from xgeoml.exceptions import InputError
from xgeoml.model import Model
from xgeoml.spec import ModelSpec
from xgeoml.tasks.choose import ModelLike
from xgeoml.tasks.downscale import downscale
from xgeoml.tasks.fit import fit
from xgeoml.tasks.holdouts import Bools, Ints
from xgeoml.tasks.interp_time import interp_time
from xgeoml.tasks.trials import Answer, Trial, Wish, in_period
from xgeoml.tasks.values import as_floats

# Where nobody says: times finer, and steps of which one is kept.
_FINER, _EVERY = 4, 2


def grid_trials(dataset: xr.Dataset, name: Hashable, wish: Wish) -> Iterator[Trial]:
    """Yield the repeats of an evaluation of downscaling: blocks of time.

    The fields are averaged to a grid `factor` times as coarse, and brought back; or, with a target,
    they are the coarse ones, and the target is the truth.
    """
    given, dims = _of_variable(dataset, name, wish)
    axes = find_axes(given, dims)
    y, x = require(axes, "Y", "X", purpose="downscaling")
    time = axes.get("T")
    if wish.target is None:
        factor = wish.factor or _FINER
        fine, coarse = _thinned(given, y, x, factor)
        told = f"fields averaged to cells {factor} times as large"
    else:
        factor, coarse = None, given
        coarse, fine = _same_times(coarse, wish.target, time)
        told = "the fine fields of the target"
    fine, coarse = fine.compute(), coarse.compute()
    for block in _blocks(coarse, time, wish):
        cut = {} if time is None else {time: block}
        truth, query = fine.isel(_here(cut, fine)), coarse.isel(cut)

        def ask(
            model: ModelLike,
            spec: ModelSpec,
            truth: xr.DataArray = truth,
            query: xr.DataArray = query,
        ) -> Answer:
            like = None
            if factor is None and not spec.bound:
                like = truth.isel({d: 0 for d in truth.dims if d == time}, drop=True)
            made = downscale(
                query,
                factor,
                model,
                like=like,
                covariates=wish.covariates if spec.covariates else None,
                dims=dims,
                **wish.run,
            )
            return Answer(made.transpose(*truth.dims), None)

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
                covariates=wish.covariates,
                **wish.fitted(settings),
            )

        where = np.isfinite(truth.values)
        _check_some(where, name)
        yield Trial(told, truth, where, find_axes(truth), ask, teach)


def time_trials(dataset: xr.Dataset, name: Hashable, wish: Wish) -> Iterator[Trial]:
    """Yield the repeats of an evaluation of interpolation in time: blocks of time.

    Of every `factor` steps one is kept, the others are hidden.
    """
    given, dims = _of_variable(dataset, name, wish)
    axes = find_axes(given, dims)
    (time,) = require(axes, "T", purpose="interpolation in time")
    every = wish.factor or _EVERY
    kept = np.arange(0, given.sizes[time], every)
    if len(kept) < 3:
        raise InputError(
            f"factor={every}: of {given.sizes[time]} steps {len(kept)} would be kept; expected 3 "
            "or more"
        )
    data = given.isel({time: slice(0, int(kept[-1]) + 1)}).compute()
    coarse = data.isel({time: kept})
    inside = in_period(data[time], wish.period)
    inside[kept] = False
    for block in _parts(np.flatnonzero(inside), wish.repeats):
        truth = data.isel({time: block})

        def ask(model: ModelLike, _spec: ModelSpec, truth: xr.DataArray = truth) -> Answer:
            made = interp_time(coarse, None, model, times=truth[time].values, dims=dims, **wish.run)
            return Answer(made.transpose(*truth.dims), None)

        def teach(model: str, settings: Mapping[str, Any], block: Ints = block) -> Model:
            # The longer of the stretches before and after: a hole is no step.
            before, after = slice(0, int(block[0])), slice(int(block[-1]) + 1, None)
            longer = max(
                (data.isel({time: part}) for part in (before, after)),
                key=lambda part: part.sizes[time],
            )
            return fit(longer, model, **wish.fitted(settings))

        where = np.isfinite(truth.values)
        _check_some(where, name)
        told = f"all but every {every}. step"
        yield Trial(told, truth, where, find_axes(truth, dims), ask, teach)


def _of_variable(
    dataset: xr.Dataset, name: Hashable, wish: Wish
) -> tuple[xr.DataArray, dict[str, str] | None]:
    """Return the variable in floats, and the user's word on its dims."""
    array = as_floats(dataset[name])
    dims = {k: d for k, d in (wish.dims or {}).items() if d in array.dims}
    return array, dims or None


def _thinned(fine: xr.DataArray, y: str, x: str, factor: int) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the fine fields, cut so that coarse cells are whole, and their means."""
    whole = {d: fine.sizes[d] // factor * factor for d in (y, x)}
    if min(whole.values()) < 2 * factor:
        raise InputError(
            f"factor={factor}: {fine.sizes[y]} x {fine.sizes[x]} cells make less than 2 coarse "
            "ones along an axis; expected a smaller factor"
        )
    fine = fine.isel({d: slice(0, n) for d, n in whole.items()})
    parts = fine.coarsen({y: factor, x: factor})
    coarse = parts.mean()
    coarse.attrs, coarse.name = fine.attrs, fine.name
    for coord in coarse.coords:
        coarse[coord].attrs = {k: v for k, v in fine[coord].attrs.items() if k != "bounds"}
    return fine, coarse


def _same_times(
    coarse: xr.DataArray, target: xr.DataArray, time: str | None
) -> tuple[xr.DataArray, xr.DataArray]:
    """Return coarse and fine fields at the times that both have."""
    own = find_axes(target).get("T")
    if time is None or own is None:
        return coarse, target
    both = coarse.indexes[time].intersection(target.indexes[own])
    if not len(both):
        raise InputError(
            f"target= has none of the times of the data, {str(coarse[time].values[0])[:16]} to "
            f"{str(coarse[time].values[-1])[:16]}; expected the fine fields of the same times"
        )
    return coarse.sel({time: both}), target.sel({own: both}).rename({own: time})


def _blocks(coarse: xr.DataArray, time: str | None, wish: Wish) -> list[Ints]:
    if time is None:
        return [np.zeros(1, np.int64)]
    chosen = np.flatnonzero(in_period(coarse[time], wish.period))
    return _parts(chosen, wish.repeats)


def _parts(steps: Ints, repeats: int) -> list[Ints]:
    """Return steps in so many stretches, as far as there are steps."""
    if not len(steps):
        raise InputError("no step between those that are kept; expected a longer period=")
    return [p for p in np.array_split(steps, min(repeats, len(steps))) if len(p)]


def _here(cut: Mapping[str, Ints], array: xr.DataArray) -> dict[str, Ints]:
    return {d: steps for d, steps in cut.items() if d in array.dims}


def _check_some(where: Bools, name: Hashable) -> None:
    if not where.any():
        raise InputError(
            f"variable {name!r} is missing throughout a part that was to be hidden; expected data "
            "in it: choose period="
        )
