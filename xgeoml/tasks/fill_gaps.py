"""Fill what is missing in time: cells that are NaN, and steps that are absent altogether."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from xgeoml import provenance
from xgeoml.axes import find_axes
from xgeoml.engine.execute import execute, is_lazy
from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.kernel import Job
from xgeoml.exceptions import AxisError, InputError, SpecError, did_you_mean
from xgeoml.insert import bounds_name
from xgeoml.options import Options, get_options
from xgeoml.spec import ModelSpec
from xgeoml.tasks.choose import ModelLike, WeightsLike, automatic, make_handle
from xgeoml.tasks.covariates import Covariates, lookup, names_of, on_same_grid
from xgeoml.tasks.dispatch import GeoObject, NothingToDoError, on_object
from xgeoml.tasks.earlier import flag_name, spread_name
from xgeoml.tasks.gaps import MaxGap, check_max_gap, fill_block, short_gaps
from xgeoml.tasks.prepare import Prepared, prepare
from xgeoml.times import check_time
from xgeoml.weights.download import shown

TASK: Literal["fill_gaps"] = "fill_gaps"


@dataclass(frozen=True)
class Request:
    """What the user asked for, checked as far as it can be without the data."""

    model: ModelLike
    weights: WeightsLike | None
    model_options: Mapping[str, Any] | None
    covariates: Covariates
    mask: str | xr.DataArray | None
    max_gap: int | float | None
    spread: bool
    dims: Mapping[str, str] | None
    options: Options
    call: str

    def __post_init__(self) -> None:
        """Complain of values that would fail later, and with less of a reason."""
        if self.dims is not None and not isinstance(self.dims, Mapping):
            raise AxisError(f"dims={self.dims!r}: expected a mapping, such as {{'T': 'time'}}")
        if not isinstance(self.spread, bool):
            raise InputError(f"spread={self.spread!r}: expected True or False")


def fill_gaps(
    obj: GeoObject,
    model: ModelLike = "auto",
    *,
    weights: WeightsLike | None = None,
    variables: str | Sequence[Hashable] | None = None,
    covariates: Covariates = None,
    mask: str | xr.DataArray | None = None,
    max_gap: MaxGap | None = None,
    spread: bool = False,
    dims: Mapping[str, str] | None = None,
    model_options: Mapping[str, Any] | None = None,
    device: str | None = None,
    batch_size: int | None = None,
    precision: str | None = None,
    progress: bool | None = None,
    seed: int | None = None,
) -> GeoObject:
    """Fill missing values and absent time steps.

    Observed values come back bit for bit. Time steps that are absent from a regular axis (months
    without a GRACE solution, days without a file) are added and filled. A series without a single
    value stays missing. Cells that ``<variable>_fill_flag`` of an earlier call says were filled, or
    are suspect, keep value, flag and spread, and no model learns from them.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        Data with a time axis; any other axes. Lazy (dask) in, lazy out. Values that an attribute
        ``_FillValue`` or ``missing_value`` names are missing, as NaN is.
    model : str, path or ModelSpec
        A name from ``xgeoml.list_models("fill_gaps")``, the path of a ``.safetensors`` file, or
        a spec. ``"auto"``: `kalman`; under 24 steps `linear`, or `regression` with covariates.
    weights : str or path, optional
        Other weights than the model's own: a version (``"grace_tf@1.0"``), the path of a
        ``.safetensors`` file, or an address (``https://...#sha256=...``, ``doi:...#sha256=...``,
        ``hf://owner/repo/file@revision``), see `xgeoml.weights.locate`. The file says of which
        model they are; `model` may be left out, and may be given in any of these ways too.
    variables : str or sequence of str, optional
        Which variables of a Dataset to fill. By default every floating-point variable with a
        time axis that is not a covariate, a mask, or a flag or spread made by an earlier call.
    covariates : str, DataArray or sequence of these, optional
        Drivers, such as precipitation and temperature: names in the Dataset, or DataArrays on the
        same grid with a time axis of their own. Months, days and hours are matched by the
        calendar, wherever in them the stamps lie; other steps with the nearest. Bounds of time
        in a Dataset tell if a month is stamped on the first day of the next. Axes may have other
        names, and cells another order (north to south, 0 to 360 degrees). One in memory without
        a value where there are data is refused; of a lazy one that is not known beforehand.
    mask : str or DataArray of bool, optional
        Where gaps may be filled, such as a land mask: a variable's name, or an array over some
        of the dims. Other gaps stay. Of absent steps a mask along time says nothing: they are
        filled. In a DataTree names of masks and covariates may be those of a group above, too.
    max_gap : int, str or timedelta, optional
        Longest gap to fill: steps in a row (``3``), or the time between the observed values on
        either side (``"92D"``). By default all are filled.
    spread : bool
        Add ``<variable>_spread``: one standard deviation of each filled value.
    dims : mapping, optional
        Which dim is which axis, such as ``{"T": "month"}``, where it cannot be found out.
    model_options : mapping, optional
        Options of the model itself, such as ``{"drivers": False}`` of `kalman`.
    device, batch_size, precision, progress, seed : optional
        For this call, in place of `xgeoml.set_options`.

    Returns
    -------
    same type as `obj`
        With every step present; dims in their order, coordinates, attributes and dtype kept
        (integers that are filled become float64). Whatever else lies along time is missing in the
        steps added, if any are: integers with a ``_FillValue`` or ``missing_value`` hold that and
        keep their dtype, other integers and booleans become floats with NaN, and a warning names
        them. ``<variable>_fill_flag`` tells observed (0), filled (1), unfilled (2) and suspect (3)
        cells; beside a DataArray it is a coordinate.
        `suspect` marks observed steps that depart so far from their neighbours that no model
        learnt from them; their values are kept.

    Raises
    ------
    AxisError, TimeAxisError
        If there is no time axis, or it is unsorted or has duplicates.
    InputError, SpecError
        If data, covariates, mask or options do not fit.
    ModelNotFoundError, WeightsError
        If there is no such model, or its weights cannot be used.

    Examples
    --------
    >>> import xgeoml
    >>> record = xgeoml.datasets.grace_like(nlat=4, nlon=5)
    >>> full = record.geoml.fill_gaps(model="climatology")
    >>> record.sizes["time"] < full.sizes["time"]
    True
    """
    options = get_options(
        device=device, batch_size=batch_size, precision=precision, progress=progress, seed=seed
    )
    request = Request(
        model=model,
        weights=weights,
        model_options=model_options,
        covariates=covariates,
        mask=mask,
        max_gap=check_max_gap(max_gap),
        spread=spread,
        dims=dims,
        options=options,
        call=describe_call(
            "fill_gaps",
            options,
            model=model,
            weights=weights,
            variables=variables,
            covariates=covariates,
            mask=mask,
            max_gap=max_gap,
            spread=spread,
            dims=dims,
            model_options=model_options,
        ),
    )
    wanted = None if variables is None else listed(variables)
    return on_object(obj, wanted, partial(_fill_dataset, request=request))


def listed(variables: str | Sequence[Hashable]) -> list[Hashable]:
    """Return the names in `variables`, each once.

    Raises
    ------
    InputError
        If there are none, or they are no names.
    """
    if isinstance(variables, str):
        return [variables]
    names = list(variables) if isinstance(variables, Iterable) else []
    if not names or not all(isinstance(name, Hashable) for name in names):
        raise InputError(f"variables={variables!r}: expected a name or a list of names")
    # Each once: of a second time it would be said that all of it was observed.
    return list(dict.fromkeys(names))


def describe_call(method: str, options: Options, **given: Any) -> str:
    """Return a call for the history line, with what is not at its default; arrays by name."""
    for name, value in given.items():
        if isinstance(value, (str, os.PathLike)):
            given[name] = shown(value) if name in ("model", "weights", "start") else value
    for name in {"model", "start"} & set(given):
        # Of a spec, and of a trained model, the name and version.
        value = getattr(given[name], "spec", given[name])
        given[name] = getattr(value, "key", value)
    if given["covariates"] is not None:
        given["covariates"] = names_of(given["covariates"])
    if isinstance(given.get("mask"), xr.DataArray):
        (given["mask"],) = names_of(given["mask"])
    for field in ("device", "batch_size", "precision", "seed"):
        value = getattr(options, field)
        given[field] = None if value == getattr(Options(), field) else value
    said = [f"{k}={v!r}" for k, v in given.items() if v is not None and v is not False]
    return " ".join(f"{method}({', '.join(said)})".split())


def _fill_dataset(
    dataset: xr.Dataset,
    names: list[Hashable] | None,
    above: Sequence[xr.Dataset],
    request: Request,
) -> tuple[xr.Dataset, dict[Hashable, list[str]]]:
    names = variables_to_fill(dataset, names, request)
    request = with_named(request, dataset, above)
    added: dict[Hashable, list[str]] = {}
    used: list[str] = []
    result = dataset
    for name in names:
        result, filled, extras, model = _fill_variable(result, name, request)
        result = result.assign({name: filled, **extras})
        added[name] = list(extras)
        used.append(f"{name} by {model}")
    if request.options.keep_history:
        line = provenance.history_line(f"{request.call}: {', '.join(used)}")
        result.attrs = provenance.with_history(result.attrs, line)
    return result, added


def with_named(request: Request, dataset: xr.Dataset, above: Sequence[xr.Dataset]) -> Request:
    """Return the request with the mask itself, and with the covariates of groups above.

    The mask is looked up before steps are added to the Dataset: after that, one along time is no
    longer of bool.
    """
    mask = request.mask
    if isinstance(mask, str):
        mask = lookup(mask, "mask", dataset, above)
    elif mask is not None and not isinstance(mask, xr.DataArray):
        raise InputError(
            f"mask is a {type(mask).__name__}; expected a variable's name or a DataArray of bool"
        )
    drivers = request.covariates
    if above and isinstance(drivers, (str, list, tuple)):
        drivers = [
            lookup(c, "covariate", dataset, above) if isinstance(c, str) and c not in dataset else c
            for c in ([drivers] if isinstance(drivers, str) else drivers)
        ]
    return replace(request, mask=mask, covariates=drivers)


def variables_to_fill(
    dataset: xr.Dataset, names: list[Hashable] | None, request: Request
) -> list[Hashable]:
    """Return the variables to fill, named or found.

    Raises
    ------
    InputError
        If a name is not there, or no variable fits.
    """
    if names is not None:
        for name in names:
            if name not in dataset.data_vars:
                known = list(map(str, dataset.data_vars))
                near = did_you_mean(name, known)
                hint = f"did you mean {near}?" if near else f"found {known}"
                raise InputError(f"variable {name!r} is not in the Dataset: {hint}")
        return names
    drivers = request.covariates
    if drivers is None or isinstance(drivers, (str, xr.DataArray)):
        drivers = [] if drivers is None else [drivers]
    apart: set[object] = {c for c in drivers if isinstance(c, str)}
    apart |= {request.mask} if isinstance(request.mask, str) else set()
    apart |= {n for v in dataset.variables.values() if (n := bounds_name(v)) is not None}
    apart |= {made(v) for v in dataset.variables for made in (flag_name, spread_name)}
    found = [
        name
        for name, variable in dataset.data_vars.items()
        if variable.dtype.kind == "f" and name not in apart and _has_time(variable, request.dims)
    ]
    if not found:
        kinds = {str(k): f"{v.dtype}{v.dims}" for k, v in dataset.data_vars.items()}
        raise NothingToDoError(
            f"no floating-point variable with a time axis to fill; found {kinds}: name one with "
            "variables=, and its time axis with dims={'T': ...}"
        )
    return found


def _has_time(variable: xr.DataArray, dims: Mapping[str, str] | None) -> bool:
    usable = {k: d for k, d in (dims or {}).items() if d in variable.dims}
    return "T" in find_axes(variable, usable or None).names


def _fill_variable(
    dataset: xr.Dataset, name: Hashable, request: Request
) -> tuple[xr.Dataset, xr.Variable, dict[str, xr.Variable], str]:
    """Return the Dataset with its steps completed, the variable, flag and spread, the model."""
    complete, prepared = prepare(dataset, name, request.covariates, request.dims)
    handle = resolve(prepared, request)
    prepared = in_order(prepared, handle.spec, request.covariates)
    if request.spread and not handle.spec.gives_spread:
        raise SpecError("it gives no spread", f"model {handle.spec.key} cannot do spread=True")
    dims = prepared.canonical_dims(handle.spec)
    allowed = _allowed(prepared, request)
    job = make_job(prepared, handle, request, masked=allowed is not None)
    dtype = complete[name].dtype.newbyteorder("=")
    job = replace(job, finish=partial(fill_block, largest=float(np.finfo(dtype).max)))
    area = prepared.area(dims[: len(job.plan.across)])
    arrays = prepared.arrays(dims, () if allowed is None else (allowed,))
    fields = execute(arrays, job, area, prepared.years)

    def variable(values: Any, dtype: np.typing.DTypeLike) -> xr.Variable:
        made = xr.Variable(dims, values.astype(dtype, copy=False))
        return made.transpose(*prepared.data.dims)

    result, flag = variable(fields[0], dtype), variable(fields[1], np.int8)
    spread = variable(fields[2], dtype) if request.spread else None
    if prepared.earlier is not None:
        result, flag, spread = prepared.earlier.put_back(result, flag, spread)
    flag.attrs = provenance.flag_attrs(str(name))
    extras = {flag_name(name): flag}
    if spread is not None:
        spread.attrs = provenance.spread_attrs(str(name), prepared.data.attrs)
        extras[spread_name(name)] = spread
    result.attrs = provenance.with_ancillary(prepared.data.attrs, list(extras))
    result.encoding = provenance.encoding_that_holds(complete[name].encoding)
    return complete, result, extras, _told(handle)


def _told(handle: ModelHandle) -> str:
    """Return name, version and weights of a model, for the history line."""
    weights = handle.spec.weights
    sha256 = handle.sha256 or (weights.sha256 if weights else "")
    return handle.spec.key + (f", weights sha256 {sha256[:12]}" if sha256 else "")


def is_automatic(request: Request) -> bool:
    """Whether the rule is to name the model; weights name their own."""
    return isinstance(request.model, str) and request.model == "auto" and request.weights is None


def resolve(prepared: Prepared, request: Request) -> ModelHandle:
    """Return the model asked for, ``"auto"`` replaced by the model that the rule names.

    Raises
    ------
    SpecError
        If covariates are given to a model that has no use for them.
    """
    model = request.model
    if is_automatic(request):
        model, _ = automatic(prepared.data.sizes[prepared.time], len(prepared.covariates))
    handle = make_handle(
        model,
        TASK,
        request.model_options,
        request.options.seed,
        weights=request.weights,
        progress=request.options.progress,
    )
    check_covariates(handle.spec, len(prepared.covariates), request.covariates)
    if handle.spec.scaling == "training" and handle.spec.scale is None:
        raise SpecError(
            "it knows no scale yet: train it first, own = obj.geoml.fit(...), and use model=own",
            f"model {handle.spec.key} cannot be used",
        )
    return handle


def in_order(prepared: Prepared, spec: ModelSpec, given: Covariates) -> Prepared:
    """Return the variable with the covariates that a network was trained with, in their order.

    Raises
    ------
    SpecError
        If others are given, or some of them are missing.
    """
    if not spec.covariate_names:
        return prepared
    names = [] if given is None else names_of(given)
    if sorted(names) != sorted(spec.covariate_names):
        raise SpecError(
            f"it was trained with {list(spec.covariate_names)}, found {names}; give the same, by "
            "the same names",
            f"model {spec.key} needs its own covariates",
        )
    order = [names.index(name) for name in spec.covariate_names]
    return replace(prepared, covariates=tuple(prepared.covariates[i] for i in order))


def check_covariates(spec: ModelSpec, count: int, given: Covariates) -> None:
    """Raise if a model has no use for covariates, or was trained with another number of them.

    Raises
    ------
    SpecError
    """
    problems = []
    if count and not spec.covariates:
        problems.append(
            "it makes no use of covariates; leave them out, or use 'kalman', 'regression' or "
            "'grace_tf'"
        )
    elif spec.scale is not None and count != len(spec.scale.mean) - 1:
        problems.append(f"it was trained with {len(spec.scale.mean) - 1} covariates; give as many")
    if problems:
        names = [] if given is None else names_of(given)
        raise SpecError(problems, f"model {spec.key} cannot take covariates={names}")


def make_job(
    prepared: Prepared, handle: ModelHandle, request: Request, masked: bool = False
) -> Job:
    """Return what the engine is to do."""
    return Job(
        handle=handle,
        plan=prepared.plan(handle.spec),
        options=request.options,
        spread=request.spread,
        masked=masked,
        finish=fill_block,
        n_finished=2 + request.spread,
    )


def _allowed(prepared: Prepared, request: Request) -> xr.DataArray | None:
    """Return where gaps may be filled, over all dims of the data; None: everywhere."""
    data = prepared.data
    allowed = None
    if isinstance(request.mask, xr.DataArray):
        allowed = _mask(prepared, request.mask)
    if request.max_gap is not None:
        seen = prepared.seen
        short = xr.apply_ufunc(
            short_gaps,
            seen.chunk({prepared.time: -1}) if is_lazy(seen.variable.data) else seen,
            input_core_dims=[[prepared.time]],
            output_core_dims=[[prepared.time]],
            kwargs={"max_gap": request.max_gap, "days": prepared.days},
            dask="parallelized",
            output_dtypes=[bool],
        )
        short = short.drop_vars(list(short.coords))
        allowed = short if allowed is None else allowed & short
    if allowed is None:
        return None
    lacking = {d: n for d, n in data.sizes.items() if d not in allowed.dims}
    return allowed.expand_dims(lacking)


def _mask(prepared: Prepared, given: xr.DataArray) -> xr.DataArray:
    """Return a mask without coordinates, on the cells and steps of the data."""
    data, time = prepared.data, prepared.time
    if given.dtype.kind not in "bi":
        raise InputError(
            f"mask has dtype {given.dtype}; expected True where gaps may be filled: compare first, "
            f"such as mask={given.name if given.name is not None else 'mask'} > 0.5"
        )
    if time in given.dims and time in given.coords:
        given = _mask_on_steps(data.get_index(time), given, time)
    wrong = {d: n for d, n in given.sizes.items() if data.sizes.get(d) != n}
    if wrong:
        raise InputError(f"mask has sizes {wrong}; the data have {dict(data.sizes)}")
    given = on_same_grid(given, "mask", data, prepared.axes, "mask")
    return given.drop_vars(list(given.coords)).astype(bool)


def _mask_on_steps(ours: pd.Index[Any], given: xr.DataArray, time: str) -> xr.DataArray:
    """Return a mask on all steps; those that it says nothing of, being absent, may be filled."""
    check_time(given[time])
    at = given.get_index(time).get_indexer(ours)
    foreign = given.sizes[time] - np.count_nonzero(at >= 0)
    if foreign:
        raise InputError(
            f"mask has {foreign} time steps that the data have not; expected those of the data: "
            f"give it their stamps, or none, with mask.drop_vars({time!r})"
        )
    picked = given.isel({time: np.maximum(at, 0)}).astype(bool)
    return picked | xr.DataArray(at < 0, dims=time)
