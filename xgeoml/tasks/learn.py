"""What a network learns from: variables of an object as arrays, a part of each set aside."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from xgeoml.exceptions import GeoMLError, InputError, SpecError
from xgeoml.models.screen import suspect_steps
from xgeoml.models.series import Bools
from xgeoml.spec import ModelSpec
from xgeoml.tasks.dispatch import (
    GeoObject,
    NothingToDoError,
    as_dataset,
    check_found,
    groups_above,
)
from xgeoml.tasks.fill_gaps import variables_to_fill, with_named
from xgeoml.tasks.filling import Request, check_covariates, gives_months, in_order
from xgeoml.tasks.monthly import in_slots, prepare_months
from xgeoml.tasks.prepare import Prepared, prepare
from xgeoml.tasks.slots import SLOTS
from xgeoml.train.fields import SeriesField
from xgeoml.train.month_patterns import COMPLETE
from xgeoml.train.months import MonthField
from xgeoml.train.split import validation_blocks, validation_cells
from xgeoml.train.windows import WindowField


@dataclass(frozen=True)
class Lesson:
    """One variable to learn from.

    Attributes
    ----------
    name : str
        Of the variable, with its group's path if there are several.
    prepared : Prepared
        The variable with what is known of its axes.
    field : SeriesField, WindowField or MonthField
        The same as arrays.
    attrs : dict
        Of the Dataset that it is in.
    """

    name: str
    prepared: Prepared
    field: SeriesField | WindowField | MonthField
    attrs: dict[Hashable, object]


def lessons(
    obj: GeoObject,
    names: list[Hashable] | None,
    request: Request,
    spec: ModelSpec,
    share: float,
    seed: int,
) -> list[Lesson]:
    """Return what a network learns from, in the order of the object.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
    names : list, optional
        The variables asked for.
    request : Request
        Covariates and dims.
    spec : ModelSpec
        The network.
    share : float
        Share of the observed steps, and of blocks of a large grid, that is set aside.
    seed : int
        What decides which.

    Raises
    ------
    InputError, SpecError, AxisError
        If nothing fits.
    """
    made: list[Lesson] = []
    idle: NothingToDoError | None = None
    for path, dataset, above, wanted in _datasets(obj, names):
        asked = with_named(request, dataset, above)
        try:
            for name in variables_to_fill(dataset, wanted, asked):
                label = f"{path}/{name}".lstrip("/")
                make = _months if gives_months(spec) else _steps
                prepared, field = make(label, dataset, name, asked, spec, share, seed)
                made.append(Lesson(label, prepared, field, dict(dataset.attrs)))
        except NothingToDoError as error:
            idle = idle or error
        except GeoMLError as error:
            if path:
                error.add_note(f"in the group {path!r} of the DataTree")
            raise
    if not made:
        raise idle or InputError(
            "the DataTree holds no data variables; expected some to learn from"
        )
    return made


def _datasets(
    obj: GeoObject, names: list[Hashable] | None
) -> Iterator[tuple[str, xr.Dataset, list[xr.Dataset], list[Hashable] | None]]:
    """Yield path, Dataset, the groups above it, and the variables wanted of it."""
    if isinstance(obj, xr.DataArray):
        if names is not None:
            raise InputError(f"variables={names} goes with a Dataset; a DataArray is one already")
        dataset, name = as_dataset(obj)
        yield "", dataset.assign_attrs(obj.attrs), [], [name]
    elif isinstance(obj, xr.Dataset):
        yield "", obj, [], names
    elif isinstance(obj, xr.DataTree):
        nodes = {n.path: n for n in obj.subtree if n.data_vars}
        groups = {path: node.to_dataset() for path, node in nodes.items()}
        check_found(groups, names)
        for path, dataset in groups.items():
            wanted = names if names is None else [n for n in names if n in dataset.data_vars]
            if wanted == []:
                continue
            yield path, dataset, groups_above(nodes[path]), wanted
    else:
        raise InputError(
            f"found a {type(obj).__name__}; expected an xarray DataArray, Dataset or DataTree: "
            "xr.DataArray(values, dims=..., coords=...) makes one"
        )


def _steps(
    label: str,
    dataset: xr.Dataset,
    name: Hashable,
    request: Request,
    spec: ModelSpec,
    share: float,
    seed: int,
) -> tuple[Prepared, SeriesField | WindowField]:
    """Return a variable at its own steps, also as arrays."""
    _, prepared = prepare(dataset, name, request.covariates, request.dims)
    check_covariates(spec, len(prepared.covariates), request.covariates)
    prepared = in_order(prepared, spec, request.covariates)
    return prepared, _field(label, prepared, spec, share, seed)


def _months(
    label: str,
    dataset: xr.Dataset,
    name: Hashable,
    request: Request,
    spec: ModelSpec,
    share: float,
    seed: int,
) -> tuple[Prepared, MonthField]:
    """Return a variable whose months are learnt, also as arrays of days."""
    asked = replace(request, model=spec.replace(weights=None), freq="MS")
    monthly, _ = prepare_months(dataset, name, asked)
    arranged, slots = in_slots(monthly)
    dims, plan = arranged.canonical_dims(spec), arranged.plan(spec)
    value, part = (a.transpose(*dims).variable.data for a in (slots.value, slots.share))
    complete = (slots.share.coarsen({monthly.time: SLOTS}).sum()).transpose(monthly.time, ...)
    complete = complete >= COMPLETE * xr.Variable(monthly.time, slots.months.days)
    target = np.asarray(complete.any([d for d in dims if d != monthly.time]).values)
    if not target.any():
        raise InputError(
            f"no cell of variable {label!r} has a month with {COMPLETE:.0%} of its days observed; "
            "expected some: means of months are learnt from months that are all but complete. Give "
            "a record with fewer gaps, such as an analysis or a model's output"
        )
    rng = np.random.default_rng([seed, plan.n_samples])
    blocks = validation_blocks(target, share, rng)
    area = arranged.area(dims[: plan.n_pointwise])
    axis = dims.index(monthly.time)
    field = MonthField(label, [value, part], slots.clock, plan, axis, area, target, blocks)
    return monthly.prepared, field


def _field(
    label: str, prepared: Prepared, spec: ModelSpec, share: float, seed: int
) -> SeriesField | WindowField:
    """Return a variable as arrays, in the engine's order of axes."""
    dims = prepared.canonical_dims(spec)
    plan = prepared.plan(spec)
    if not plan.core:
        raise SpecError(
            "it sees every value by itself; expected axes= with one that it sees more of, such as "
            "AxisSpec('T')",
            f"model {spec.key} cannot learn to fill gaps",
        )
    arrays = prepared.arrays(dims)
    area = prepared.area(dims[: plan.n_pointwise])
    rng = np.random.default_rng([seed, plan.n_samples])
    if len(plan.core) > 1 or plan.core[0].mode != "whole" or dims[-1] != prepared.time:
        target = _observed(prepared)
        blocks = validation_blocks(target, share, rng)
        axis = dims.index(prepared.time)
        return WindowField(label, arrays, plan, axis, area, target, blocks)
    target = np.ones(len(prepared.years), bool)
    minimum = spec.axis("T").minimum
    field = SeriesField(label, arrays, prepared.years, area, target, plan, minimum=minimum)
    sample = field.sample
    if not len(sample.values):
        raise InputError(
            f"variable {label!r} is missing everywhere: there is nothing to learn from"
        )
    observed = np.asarray(np.isfinite(sample.values).any(0))
    blocks = validation_blocks(observed, share, rng)
    field = field.with_parts(observed, blocks, validation_cells(field.known, share, rng))
    # What no model should trust, none should learn to predict; what is set aside has no say in
    # what the rest is made of.
    learnt = ~suspect_steps(field.learnt)
    target = observed & np.where(field.apart, ~suspect_steps(sample), learnt)
    return field.with_parts(target, blocks, field.aside)


def _observed(prepared: Prepared) -> Bools:
    """Return the steps with data, (time,); lazy data are read once for it."""
    others = [d for d in prepared.data.dims if d != prepared.time]
    return np.asarray(prepared.data.notnull().any(others).values)
