"""One variable filled at its own steps, as a request says."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import xarray as xr

from xgeoml import provenance
from xgeoml.engine.execute import execute
from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.kernel import Job
from xgeoml.exceptions import AxisError, InputError, SpecError
from xgeoml.months import Freq, are_months
from xgeoml.options import Options
from xgeoml.spec import ModelSpec
from xgeoml.tasks.choose import ModelLike, WeightsLike, automatic, make_handle
from xgeoml.tasks.covariates import Covariates, names_of
from xgeoml.tasks.earlier import flag_name, spread_name
from xgeoml.tasks.gaps import fill_block
from xgeoml.tasks.masks import allowed_cells
from xgeoml.tasks.prepare import Prepared, prepare
from xgeoml.tasks.unfilled import tell_of_unfilled
from xgeoml.tasks.units import check_units

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
    freq: Freq | None = None

    def __post_init__(self) -> None:
        """Complain of values that would fail later, and with less of a reason."""
        if self.dims is not None and not isinstance(self.dims, Mapping):
            raise AxisError(f"dims={self.dims!r}: expected a mapping, such as {{'T': 'time'}}")
        if not isinstance(self.spread, bool):
            raise InputError(f"spread={self.spread!r}: expected True or False")


def is_automatic(request: Request) -> bool:
    """Whether the rule is to name the model; weights name their own."""
    return isinstance(request.model, str) and request.model == "auto" and request.weights is None


def gives_months(spec: ModelSpec) -> bool:
    """Whether a model has one step a month, whatever the steps of the data."""
    return spec.axis("T").coarsen > 1


def resolve(prepared: Prepared, request: Request) -> ModelHandle:
    """Return the model asked for, ``"auto"`` replaced by the model that the rule names.

    Raises
    ------
    SpecError
        If covariates are given to a model that has no use for them.
    """
    model = request.model
    if is_automatic(request):
        n_steps = prepared.data.sizes[prepared.time]
        model, _ = automatic(n_steps, len(prepared.covariates), prepared.on_grid)
    handle = make_handle(
        model,
        TASK,
        request.model_options,
        request.options.seed,
        weights=request.weights,
        progress=request.options.progress,
    )
    check_covariates(handle.spec, len(prepared.covariates), request.covariates)
    check_units(handle.spec, prepared.data, prepared.covariates)
    if request.freq is None and gives_months(handle.spec):
        instead = "type freq='MS'"
        if are_months(prepared.steps.stamps):
            instead = "these are months already, or longer: use another model"
        raise SpecError(
            f"it makes one field a month of shorter steps; {instead}",
            f"model {handle.spec.key} cannot fill a record at its own steps",
        )
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


def fill_variable(
    dataset: xr.Dataset, name: Hashable, request: Request
) -> tuple[xr.Dataset, xr.Variable, dict[str, xr.Variable], str]:
    """Return the Dataset with its steps completed, the variable, flag and spread, the model."""
    complete, prepared = prepare(dataset, name, request.covariates, request.dims)
    handle = resolve(prepared, request)
    prepared = in_order(prepared, handle.spec, request.covariates)
    result, extras = fill_prepared(complete[name], prepared, handle, request)
    return complete, result, extras, told(handle)


def fill_prepared(
    original: xr.DataArray, prepared: Prepared, handle: ModelHandle, request: Request
) -> tuple[xr.Variable, dict[str, xr.Variable]]:
    """Return a variable filled at its own steps, and flag and spread by name.

    Parameters
    ----------
    original : DataArray
        The variable with absent steps added, whose dtype and encoding the result has.
    prepared : Prepared
        The same for the model.
    handle : ModelHandle
    request : Request
        With the mask itself, not its name.
    """
    name = original.name
    if request.spread and not handle.spec.gives_spread:
        raise SpecError("it gives no spread", f"model {handle.spec.key} cannot do spread=True")
    dims = prepared.canonical_dims(handle.spec)
    mask = request.mask if isinstance(request.mask, xr.DataArray) else None
    allowed = allowed_cells(prepared, mask, request.max_gap)
    job = make_job(prepared, handle, request, masked=allowed is not None)
    dtype = original.dtype.newbyteorder("=")
    job = replace(job, finish=partial(fill_block, largest=float(np.finfo(dtype).max)))
    turn = prepared.turned(dims, handle.spec)
    n_across = len(job.plan.across)
    area = prepared.area(dims[:n_across])[turn[:n_across]]
    arrays = prepared.arrays(dims, () if allowed is None else (allowed,))
    fields = execute([a[turn] for a in arrays], job, area, prepared.years)
    fields = fields[(slice(None), *turn)]

    def variable(values: Any, dtype: np.typing.DTypeLike) -> xr.Variable:
        made = xr.Variable(dims, values.astype(dtype, copy=False))
        return made.transpose(*prepared.data.dims)

    result, flag = variable(fields[0], dtype), variable(fields[1], np.int8)
    spread = variable(fields[2], dtype) if request.spread else None
    if prepared.earlier is not None:
        result, flag, spread = prepared.earlier.put_back(result, flag, spread)
    tell_of_unfilled(flag, prepared.data, prepared.time, allowed, mask)
    flag.attrs = provenance.flag_attrs(str(name))
    extras = {flag_name(name): flag}
    if spread is not None:
        spread.attrs = provenance.spread_attrs(str(name), prepared.data.attrs)
        extras[spread_name(name)] = spread
    result.attrs = provenance.with_ancillary(prepared.data.attrs, list(extras))
    result.encoding = provenance.encoding_that_holds(original.encoding)
    return result, extras


def told(handle: ModelHandle) -> str:
    """Return name, version and weights of a model, for the history line."""
    weights = handle.spec.weights
    sha256 = handle.sha256 or (weights.sha256 if weights else "")
    return handle.spec.key + (f", weights sha256 {sha256[:12]}" if sha256 else "")
