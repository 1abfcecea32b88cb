"""One field a month of data in shorter steps: what `fill_gaps` does with ``freq=``."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import xarray as xr

from xgeoml import provenance
from xgeoml.axes import find_axes, is_cftime, require
from xgeoml.engine.execute import execute, is_lazy
from xgeoml.engine.handle import ModelHandle
from xgeoml.exceptions import SpecError
from xgeoml.insert import add_steps, bounds_name
from xgeoml.models.series import Floats
from xgeoml.months import Months, add_mean, lateness, months_of, whole_months
from xgeoml.provenance import FILLED, OBSERVED, SUSPECT, UNFILLED
from xgeoml.spec import ModelSpec
from xgeoml.steps import IRREGULAR, infer_steps
from xgeoml.tasks.covariates import Covariates
from xgeoml.tasks.earlier import flag_name, spread_name
from xgeoml.tasks.filling import (
    Request,
    fill_prepared,
    gives_months,
    in_order,
    make_job,
    resolve,
    told,
)
from xgeoml.tasks.in_months import in_months
from xgeoml.tasks.masks import mask_on
from xgeoml.tasks.prepare import Prepared, prepare
from xgeoml.tasks.slots import SLOTS, Array, Slots, month_means, slots_of
from xgeoml.tasks.values import in_numbers
from xgeoml.times import check_time, check_zone

__all__ = ["fill_months", "in_chunks", "in_slots", "prepare_months"]

Object = TypeVar("Object", xr.DataArray, xr.Dataset)

# A chunk with its halo is read at once, and windows on its edge are run for its neighbour, too.
STRIDES_A_CHUNK = 4
FLAG_COMMENT = (
    "observed: each step of the month was, and the value is their mean; filled: some or all were "
    "not; unfilled: some were not and could not be filled"
)


@dataclass(frozen=True)
class Monthly:
    """A variable ready to be filled, with the months that its steps make.

    Attributes
    ----------
    original : DataArray
        With absent steps added, those that the first and last month lack among them.
    prepared : Prepared
        The same for a model.
    late : int
        By how many ticks its stamps are late, see `xgeoml.months.lateness`.
    months : Months
        Those of its steps.
    """

    original: xr.DataArray
    prepared: Prepared
    late: int
    months: Months

    @property
    def time(self) -> str:
        """The time dim."""
        return self.prepared.time


def fill_months(
    dataset: xr.Dataset, names: Sequence[Hashable], request: Request
) -> tuple[xr.Dataset, dict[Hashable, list[str]], list[str]]:
    """Give one field a month of some variables of a Dataset.

    Parameters
    ----------
    dataset : Dataset
        NumPy or dask; its steps in any order.
    names : sequence of str
        The variables.
    request : Request
        With the mask itself, not its name.

    Returns
    -------
    Dataset
        The variables with flag, number of observed steps and spread, and all that does not lie
        along their time.
    dict
        For each variable the names of what was added beside it.
    list of str
        What each variable was filled by, for the history.
    """
    result = dataset
    added: dict[Hashable, list[str]] = {}
    used: list[str] = []
    axes: dict[str, list[Hashable]] = {}
    for name in names:
        axes.setdefault(_time_of(dataset, name, request), []).append(name)
    for time, some in axes.items():
        whole, asked, late = _whole(dataset, time, some, request)
        made: dict[Hashable, xr.Variable] = {}
        for name in some:
            monthly, handle = _ready(whole, name, asked, late)
            value, extras = _of_months(monthly, handle, asked)
            made[name] = value
            made.update(extras)
            added[name] = list(extras)
            used.append(f"{name} by {told(handle)}")
        result = in_months(result, time, made, monthly.months, request.freq or "MS")
    return result, added, used


def prepare_months(
    dataset: xr.Dataset, name: Hashable, request: Request
) -> tuple[Monthly, ModelHandle]:
    """Return one variable ready to be filled, and the model; nothing is run.

    Parameters
    ----------
    dataset : Dataset
    name : str
    request : Request
        With the mask itself, not its name.
    """
    whole, asked, late = _whole(dataset, _time_of(dataset, name, request), [name], request)
    return _ready(whole, name, asked, late)


def _time_of(dataset: xr.Dataset, name: Hashable, request: Request) -> str:
    """Return the time dim of a variable, dates along it being certain."""
    data = dataset[name]
    others = [dim for dim in dataset.dims if dim not in data.dims]
    usable = {k: d for k, d in (request.dims or {}).items() if d not in others}
    (time,) = require(find_axes(data, usable), "T", purpose="making months")
    coord = dataset[time]
    if time not in dataset.coords or not (coord.dtype.kind == "M" or is_cftime(coord.values)):
        prepare(dataset, name, None, request.dims)  # which says what is wrong
        check_time(coord)
    return time


def _whole(
    dataset: xr.Dataset, time: str, names: Sequence[Hashable], request: Request
) -> tuple[xr.Dataset, Request, int]:
    """Return the steps in order, from the first of a month to the last of one, none absent.

    Also the request, its mask and covariates in the same order, and by how many ticks stamps are
    late.
    """
    drivers = request.covariates
    given = drivers if isinstance(drivers, (list, tuple)) else [drivers]
    named = {c for c in given if isinstance(c, str) and c in dataset.variables}
    bounds = bounds_name(dataset[time].variable)
    beside = {made(name) for name in names for made in (flag_name, spread_name)}
    # Of a stacked dim all levels go, or none: `check_time` has something to say of it.
    levels = dataset.xindexes.get_all_coords(time, errors="ignore")
    needed = {*names, *named, *beside, *levels, time, bounds}
    # What will not be in the result need not be able to hold absent steps either.
    ordered = dataset.drop_vars(
        [n for n, v in dataset.variables.items() if time in v.dims and n not in needed]
    )
    ordered = _by_time(ordered, time, dataset)
    check_time(ordered[time])
    variables = [n for n in ordered.data_vars if n in names]
    ordered = ordered.assign(
        {n: in_numbers(ordered[n], f"variable {n!r}").variable for n in variables}
    )
    mask = request.mask
    if isinstance(mask, xr.DataArray):
        mask = _by_time(mask, time, dataset)
    drivers = _drivers_by_time(drivers, time, dataset)
    asked = replace(request, mask=mask, covariates=drivers)
    late = lateness(ordered, time)
    steps = whole_months(infer_steps(ordered[time]), late, time)
    if steps.freq != IRREGULAR:
        return add_steps(ordered, time, steps), asked, late
    return _by_day(ordered, time, names, named, asked, late), asked, 0


def _by_time(obj: Object, time: str, dataset: xr.Dataset) -> Object:
    """Return an object in the order of its own time; without one, of the time of the Dataset."""
    if time not in obj.dims:
        return obj
    if time not in obj.coords and obj.sizes[time] == dataset.sizes[time]:
        obj = obj.assign_coords({time: dataset[time]})
    if time not in obj.coords:
        return obj
    check_zone(obj[time])
    stamps = obj[time].values
    if stamps.dtype.kind != "M" and not is_cftime(stamps):
        return obj
    order = np.argsort(stamps, kind="stable")
    return obj if (np.diff(order) == 1).all() else obj.isel({time: order})


def _drivers_by_time(drivers: Covariates, time: str, dataset: xr.Dataset) -> Covariates:
    """Return covariates in the order of their time; those that are names lie in the Dataset."""
    if isinstance(drivers, xr.DataArray):
        return _by_time(drivers, time, dataset)
    if drivers is None or isinstance(drivers, str):
        return drivers
    return [c if isinstance(c, str) else _by_time(c, time, dataset) for c in drivers]


def _by_day(
    dataset: xr.Dataset,
    time: str,
    names: Sequence[Hashable],
    drivers: set[str],
    request: Request,
    late: int,
) -> xr.Dataset:
    """Return daily means of a record without a regular step, of whole months."""
    arrays = {name: prepare(dataset, name, None, request.dims)[1].data for name in names}
    arrays |= {c: in_numbers(dataset[c], f"covariate {c!r}") for c in drivers}
    made: dict[Hashable, xr.DataArray] = {}
    for name, array in arrays.items():
        if time not in array.dims:
            continue
        slots = slots_of(array, time, late)
        made[name] = slots.value.isel({time: np.flatnonzero(slots.exists)})
        made[name].attrs, made[name].encoding = array.attrs, dataset[name].encoding
    clock, number = slots.months.clock, slots.months.number
    ticks = clock.month_start(number)[:, None] + np.arange(SLOTS) * clock.day
    attrs = {k: v for k, v in dataset[time].attrs.items() if k != "bounds"}
    stamps = xr.Variable(time, clock.values(ticks.ravel()[slots.exists]), attrs)
    return dataset.drop_dims(time).assign(made).assign_coords({time: stamps})


def _ready(
    whole: xr.Dataset, name: Hashable, request: Request, late: int
) -> tuple[Monthly, ModelHandle]:
    """Return one variable of a Dataset of whole months, and the model."""
    complete, prepared = prepare(whole, name, request.covariates, request.dims)
    handle = resolve(prepared, request)
    prepared = in_order(prepared, handle.spec, request.covariates)
    if request.spread and not (gives_months(handle.spec) and handle.spec.gives_spread):
        raise SpecError(
            "errors of neighbouring steps are not independent, so that the spread of their mean "
            "does not follow from theirs; leave spread= out, or use model='climanet'",
            f"model {handle.spec.key} cannot do spread=True with freq=",
        )
    months = months_of(complete[prepared.time].values, late)
    return Monthly(complete[name], prepared, late, months), handle


def _of_months(
    monthly: Monthly, handle: ModelHandle, request: Request
) -> tuple[xr.Variable, dict[str, xr.Variable]]:
    """Return the months of a variable, and flag, number of observed steps and spread by name."""
    make = _by_months if gives_months(handle.spec) else _by_own_steps
    value, count, spread = make(monthly, handle, request)
    original = monthly.original
    name = str(original.name)
    full = count == _along(monthly, monthly.months.n_steps)
    flag = xr.where(full, OBSERVED, xr.where(value.notnull(), FILLED, UNFILLED)).astype(np.int8)
    flag.attrs = {**provenance.flag_attrs(name), "comment": FLAG_COMMENT}
    number = count.astype(np.int32)
    number.attrs = provenance.number_attrs(name)
    extras = {flag_name(name): flag, f"{name}_n_observed": number}
    if spread is not None:
        spread = spread.where(flag == FILLED).astype(value.dtype)
        spread.attrs = provenance.spread_attrs(name, original.attrs)
        extras[spread_name(name)] = spread
    methods = add_mean(str(original.attrs.get("cell_methods", "")), monthly.time)
    attrs = {**original.attrs, "cell_methods": methods}
    value.attrs = provenance.with_ancillary(attrs, list(extras))
    value.encoding = provenance.encoding_that_holds(original.encoding)
    return value, extras


def _along(monthly: Monthly, values: np.typing.NDArray[np.generic]) -> xr.Variable:
    return xr.Variable(monthly.time, values)


Fields = tuple[xr.Variable, xr.Variable, xr.Variable | None]


def _by_own_steps(monthly: Monthly, handle: ModelHandle, request: Request) -> Fields:
    """Return value and number of observed steps of each month, the steps filled beforehand."""
    original, time, months = monthly.original, monthly.time, monthly.months
    filled, extras = fill_prepared(original, monthly.prepared, handle, request)
    flag = extras[flag_name(original.name)]
    mean, _ = month_means(filled, time, months)
    seen = filled.where((flag == OBSERVED) | (flag == SUSPECT))
    _, count = month_means(seen, time, months)
    return mean.astype(filled.dtype), count, None


def _by_months(monthly: Monthly, handle: ModelHandle, request: Request) -> Fields:
    """Return value, number of observed steps and spread of each month, by a model of months."""
    original, prepared, time = monthly.original, monthly.prepared, monthly.time
    _check_usable(request, handle.spec, time)
    arranged, slots = in_chunks(*in_slots(monthly), handle.spec)
    dims = arranged.canonical_dims(handle.spec)
    job = make_job(arranged, handle, request)
    job = replace(job, finish=None, n_finished=0, given=("share", "clock"))
    area = arranged.area(dims[: len(job.plan.across)])
    value, share = (a.transpose(*dims).variable.data for a in (slots.value, slots.share))
    arrays = [value, share, _broadcast(slots.clock, value, dims.index(time))]
    fields = execute(arrays, job, area, slots.clock)

    def variable(field: np.typing.NDArray[np.floating]) -> xr.Variable:
        return xr.Variable(dims, field).transpose(*prepared.data.dims)

    estimate = variable(fields[0])
    mean, count = month_means(prepared.seen.variable, time, monthly.months)
    if estimate.chunks is not None:
        mean, count = mean.chunk(estimate.chunksizes), count.chunk(estimate.chunksizes)
    dtype = original.dtype.newbyteorder("=")
    may = (np.abs(estimate) <= float(np.finfo(dtype).max)) & (count > 0).any(time)
    if isinstance(request.mask, xr.DataArray):
        may = may & mask_on(prepared, request.mask).variable
    full = count == _along(monthly, monthly.months.n_steps)
    value = mean.where(full, estimate.where(may)).transpose(*prepared.data.dims)
    spread = variable(fields[1]) if request.spread else None
    return value.astype(dtype), count, spread


def _check_usable(request: Request, spec: ModelSpec, time: str) -> None:
    """Raise if something is asked for that a model of months cannot do."""
    problems = []
    if spec.axis("T").coarsen != SLOTS:
        problems.append(f"its months have {spec.axis('T').coarsen} steps, expected {SLOTS}")
    if request.max_gap is not None:
        problems.append(
            f"it fills no gaps of steps, so that max_gap={request.max_gap!r} says nothing; leave "
            "it out, or use another model"
        )
    if isinstance(request.mask, xr.DataArray) and time in request.mask.dims:
        problems.append(
            f"the mask lies along {time!r}, expected one of the cells alone: "
            f"mask.any({time!r}), say"
        )
    if problems:
        raise SpecError(problems, f"model {spec.key} cannot make months so")


def in_slots(monthly: Monthly) -> tuple[Prepared, Slots]:
    """Return a variable as a model of months sees it, see `xgeoml.tasks.slots`."""
    slots = slots_of(monthly.prepared.data, monthly.time, monthly.late)
    return replace(monthly.prepared, data=slots.value, covariates=(), earlier=None), slots


def in_chunks(arranged: Prepared, slots: Slots, spec: ModelSpec) -> tuple[Prepared, Slots]:
    """Return the same with lazy chunks that are large beside a window's halo, and no larger."""
    if not is_lazy(slots.value.variable.data):
        return arranged, slots
    axes = zip(arranged.canonical_dims(spec), arranged.plan(spec).axes, strict=True)
    chunks = {d: STRIDES_A_CHUNK * a.stride if a.mode == "window" else a.unit for d, a in axes}
    slots = replace(slots, value=slots.value.chunk(chunks), share=slots.share.chunk(chunks))
    return replace(arranged, data=slots.value), slots


def _broadcast(clock: Floats, like: Array, axis: int) -> Array:
    """Return the clock in the shape, dtype and chunks of an array, without memory of its own."""
    shape = [-1 if i == axis else 1 for i in range(like.ndim)]
    given = clock.astype(like.dtype).reshape(shape)
    if not is_lazy(like):
        return np.broadcast_to(given, like.shape)
    import dask.array as da

    chunks = [c if i == axis else (1,) for i, c in enumerate(like.chunks)]
    return da.broadcast_to(da.from_array(given, chunks=tuple(chunks)), like.shape, like.chunks)
