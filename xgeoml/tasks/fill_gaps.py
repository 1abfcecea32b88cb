"""Fill what is missing in time: cells that are NaN, and steps that are absent altogether."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import xarray as xr

from xgeoml import provenance
from xgeoml.axes import find_axes
from xgeoml.exceptions import InputError
from xgeoml.insert import bounds_name
from xgeoml.months import Freq, check_freq
from xgeoml.options import Options, get_options
from xgeoml.tasks.best import resolve_best
from xgeoml.tasks.choose import ModelLike, WeightsLike, check_name
from xgeoml.tasks.covariates import Covariates, lookup, names_of, with_those_above
from xgeoml.tasks.dispatch import (
    GeoObject,
    NothingToDoError,
    check_named,
    on_object,
    with_own_steps,
)
from xgeoml.tasks.earlier import check_no_spread, flag_name, spread_name
from xgeoml.tasks.filling import Request, fill_variable
from xgeoml.tasks.gaps import MaxGap, check_max_gap
from xgeoml.tasks.in_months import follow_months
from xgeoml.tasks.monthly import fill_months
from xgeoml.tasks.quantities import plain
from xgeoml.tasks.values import kinds_of
from xgeoml.weights.download import shown


def fill_gaps(
    obj: GeoObject,
    model: ModelLike = "auto",
    *,
    weights: WeightsLike | None = None,
    variables: str | Sequence[Hashable] | None = None,
    covariates: Covariates = None,
    mask: str | xr.DataArray | None = None,
    max_gap: MaxGap | None = None,
    freq: Freq | None = None,
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
        a spec. ``"auto"``: `oi` on a grid (two cells or more along Y and X), else `kalman`; of
        under 24 steps `regression` with covariates, and `linear` where there is no grid. `oi` takes
        about ten times as long as `kalman`. ``"best"``: `xgeoml.evaluate` on these data first, and
        the model with the least error; of several variables the first one decides. With `freq`
        months are compared, see there; with covariates, models that make use of them.
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
        of the dims; of shares, 0 to 1, those of half and more. Other gaps stay. Of absent steps a
        mask along time says nothing: they are filled. In a DataTree names of masks and covariates
        may be those of a group above, too.
    max_gap : int, str or timedelta, optional
        Longest gap to fill: steps in a row (``3``), or the time between the observed values on
        either side (``"92D"``). By default all are filled.
    freq : {"MS", "ME"}, optional
        Give one field a month, stamped on its first or its last day, of data in shorter steps.
        A model of months, such as `climanet`, estimates the mean of each month from what was
        observed in it and around it; any other fills the data at their own steps, of which the mean
        of each month is taken. Days absent from the time axis are days without data, also before
        the first and after the last; the order of the steps does not matter. Bounds of time are
        added. Of what else lies along time in a Dataset nothing is kept: a warning names it.
    spread : bool
        Add ``<variable>_spread``: one standard deviation of each filled value. With `freq`, of
        models of months only: errors of neighbouring days are not independent, so that the spread
        of their mean does not follow from theirs.
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
        learnt from them; their values are kept. With `freq`, a month is observed (0) where each of
        its steps was, and its value is their mean; unfilled (2) where a step could not be filled;
        else filled (1). ``<variable>_n_observed`` counts the steps observed.

    Raises
    ------
    AxisError, TimeAxisError
        If there is no time axis, or it is unsorted or has duplicates.
    InputError, SpecError
        If data, covariates, mask or options do not fit.
    ModelNotFoundError, WeightsError
        If there is no such model, or its weights cannot be used.

    Warns
    -----
    UserWarning
        Of data in memory, if series that were to be filled stay missing: stations without a value,
        and what `mask`, one of the cells, asks for. Cells of a map that have no value at any step
        are most often land, and what `mask` and `max_gap` leave out is no surprise.

    Examples
    --------
    >>> import xgeoml
    >>> record = xgeoml.datasets.grace_like(nlat=4, nlon=5)
    >>> full = record.geoml.fill_gaps(model="climatology")
    >>> record.sizes["time"] < full.sizes["time"]
    True
    """
    covariates, mask = plain((covariates, mask))
    options = get_options(
        device=device, batch_size=batch_size, precision=precision, progress=progress, seed=seed
    )
    check_name(model, "fill_gaps", obj)
    model, won = resolve_best(
        model,
        weights,
        obj,
        "fill_gaps",
        options,
        apart={"model_options": model_options},
        needs={"covariates": covariates, "spread": spread or None},
        variable=None if variables is None else listed(variables)[0],
        covariates=covariates,
        freq=freq,
        dims=dims,
        arguments={"mask": mask, "max_gap": max_gap},
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
        freq=check_freq(freq),
        call=describe_call(
            "fill_gaps",
            options,
            model=model,
            weights=weights,
            variables=variables,
            covariates=covariates,
            mask=mask,
            max_gap=max_gap,
            freq=freq,
            spread=spread or None,
            dims=dims,
            model_options=model_options,
        )
        + won,
    )
    wanted = None if variables is None else listed(variables)
    follow = with_own_steps if request.freq is None else follow_months
    return on_object(obj, wanted, partial(_fill_dataset, request=request), follow)


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
    said = [f"{k}={v!r}" for k, v in given.items() if v is not None]
    return " ".join(f"{method}({', '.join(said)})".split())


def _fill_dataset(
    dataset: xr.Dataset,
    names: list[Hashable] | None,
    above: Sequence[xr.Dataset],
    request: Request,
) -> tuple[xr.Dataset, dict[Hashable, list[str]]]:
    names = variables_to_fill(dataset, names, request)
    if request.spread:
        for name in names:
            check_no_spread(dataset, name)
    request = with_named(request, dataset, above)
    fill = _fill_steps if request.freq is None else fill_months
    result, added, used = fill(dataset, names, request)
    if request.options.keep_history:
        line = provenance.history_line(f"{request.call}: {', '.join(used)}")
        result.attrs = provenance.with_history(result.attrs, line)
    return result, added


def _fill_steps(
    dataset: xr.Dataset, names: Sequence[Hashable], request: Request
) -> tuple[xr.Dataset, dict[Hashable, list[str]], list[str]]:
    """Return the Dataset filled, what was added for each variable, and what it was filled by."""
    added: dict[Hashable, list[str]] = {}
    used: list[str] = []
    for name in names:
        dataset, filled, extras, model = fill_variable(dataset, name, request)
        dataset = dataset.assign({name: filled, **extras})
        added[name] = list(extras)
        used.append(f"{name} by {model}")
    return dataset, added, used


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
    drivers = with_those_above(drivers, dataset, above) if above else drivers
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
        check_named(dataset, names)
        return names
    drivers = request.covariates
    several = drivers if isinstance(drivers, (list, tuple)) else [drivers]
    apart: set[object] = {c for c in several if isinstance(c, str)}
    apart |= {request.mask} if isinstance(request.mask, str) else set()
    apart |= {n for v in dataset.variables.values() if (n := bounds_name(v)) is not None}
    apart |= {made(v) for v in dataset.variables for made in (flag_name, spread_name)}
    found = [
        name
        for name, variable in dataset.data_vars.items()
        if variable.dtype.kind == "f" and name not in apart and _has_time(variable, request.dims)
    ]
    if not found:
        raise NothingToDoError(
            f"no floating-point variable with a time axis to fill; found "
            f"{kinds_of(dataset)}: name one with variables=, "
            f"and its time axis with dims={{'T': ...}}"
        )
    return found


def _has_time(variable: xr.DataArray, dims: Mapping[str, str] | None) -> bool:
    usable = {k: d for k, d in (dims or {}).items() if d in variable.dims}
    return "T" in find_axes(variable, usable or None).names
