"""Fields at other times: any time between the steps of a record."""

from __future__ import annotations

import re
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
from xgeoml.tasks.at_times import at_new_times
from xgeoml.tasks.best import resolve_best
from xgeoml.tasks.choose import ModelLike, WeightsLike, check_name, misplaced
from xgeoml.tasks.dispatch import GeoObject, NothingToDoError, check_named, on_object
from xgeoml.tasks.earlier import flag_name, spread_name
from xgeoml.tasks.fill_gaps import describe_call, listed
from xgeoml.tasks.frequencies import is_freq
from xgeoml.tasks.gaps import MaxGap, check_max_gap
from xgeoml.tasks.instants import Instants, Times, TimeStep, check_no_zone
from xgeoml.tasks.interpolating import (
    Wish,
    at_times,
    axes_in_time,
    history_of,
    instants_of,
    make_ready,
    resolve,
)
from xgeoml.tasks.values import kinds_of
from xgeoml.tasks.vectors import Vectors, check_vectors, in_groups

# What says that values are totals over an interval of time.
_SUM = r"\b{time}: (?:\w+: )*sum\b"


def interp_time(
    obj: GeoObject,
    freq: TimeStep | None = None,
    model: ModelLike = "auto",
    *,
    factor: int | None = None,
    times: Times | None = None,
    accumulated: bool = False,
    vectors: Vectors | None = None,
    weights: WeightsLike | None = None,
    variables: str | Sequence[Hashable] | None = None,
    terrain: bool = True,
    max_gap: MaxGap | None = None,
    dims: Mapping[str, str] | None = None,
    model_options: Mapping[str, Any] | None = None,
    device: str | None = None,
    batch_size: int | None = None,
    precision: str | None = None,
    progress: bool | None = None,
    seed: int | None = None,
) -> GeoObject:
    """Interpolate fields to other times, between the steps of a record.

    A time that is one of the record's own steps has the value of the step, bit for bit. Elsewhere
    each cell is interpolated between its own neighbours in time: a missing value, or a field that
    is missing altogether, is bridged. Nothing is said of times before a cell's first value or after
    its last. Give one of `freq`, `factor` and `times`.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        Data with a time axis of dates, evenly spaced or not, in any calendar; any other axes. Lazy
        (dask) in, lazy out.
    freq : str or timedelta, optional
        Step of the result, such as ``"1h"``, from the first step of `obj` to its last. ``"MS"`` and
        others that depend on the calendar begin where this says.
    model : str, path or ModelSpec
        A name from ``xgeoml.list_models("interp_time")``, a model that `xgeoml.fit` returned, or
        its file. ``"auto"``: on grids the network `temdeep`, elsewhere `akima`. ``"best"``:
        `xgeoml.evaluate` first, on every second step of these data, and the model with the least
        error; of several variables the first one decides.
    factor : int, optional
        Divide each interval of the record into so many equal parts, 2 or more.
    times : sequence of dates, optional
        The times of the result, ascending: datetime64, cftime, text, an index or a DataArray.
    accumulated : bool
        Whether values are totals over intervals, such as rain. The intervals are divided, and the
        totals of the parts of an interval add up to its own. They are those of the time's bounds;
        without bounds each ends at its stamp, and the first is as long as the second. Stamps keep
        their place in the interval, and `times` are such stamps. Parts of missing totals are
        missing.
    vectors : sequence of tuple of str, optional
        Pairs of variables that are the components of a vector, eastward first, such as
        ``[("u10", "v10")]``: models that move fields are given both. By default those whose CF
        standard names say so, `eastward_wind` and `northward_wind`.
    weights : str or path, optional
        Other weights than the model's own, as in `xgeoml.fill_gaps`.
    variables : str or sequence of str, optional
        Which variables of a Dataset to interpolate. By default every floating-point one with a time
        axis that is no bounds. Others along time are left out, with a warning.
    terrain : bool
        Whether a network that makes use of it is to know the height of the land from a map of the
        package's own (`xgeoml.terrain.elevation`), where there are latitude and longitude.
    max_gap : int, str or timedelta, optional
        The longest gap to bridge: missing steps in a row, or the time between the values on either
        side, such as ``"12h"``, absent steps included. By default as many missing steps as the
        model sees on either side of an interval.
    dims : mapping, optional
        Which dim is which axis, such as ``{"T": "valid_time"}``, where it cannot be found out.
    model_options : mapping, optional
        Options of the model itself.
    device, batch_size, precision, progress, seed : optional
        For this call, in place of `xgeoml.set_options`.

    Returns
    -------
    same type as `obj`
        Dims in their order, names, attributes and dtype kept (integers become float64, float16
        float32). Bounds of time run along with it, or are those of the parts. What ``cell_methods``
        call a mean over time stays one: between two steps it is an estimate of the mean over an
        interval as long as theirs, not of the value at a moment. Coordinates along time are
        interpolated linearly where they are floats or times; of others a warning tells that they
        were left out.

    Raises
    ------
    InputError, AxisError, TimeAxisError, SpecError
        If the data, the times or the model do not fit.
    ModelNotFoundError, WeightsError, ExecutionError
        If the model or its weights are not there, or it fails.

    Examples
    --------
    >>> import xgeoml
    >>> record = xgeoml.datasets.grace_like(nlat=4, nlon=5)["lwe_thickness"]
    >>> days = record.geoml.interp_time("1D", "linear")
    >>> bool(days.time[0] == record.time[0]), days.sizes["time"] > 25 * record.sizes["time"]
    (True, True)
    """
    options = get_options(
        device=device, batch_size=batch_size, precision=precision, progress=progress, seed=seed
    )
    if not is_freq(freq) and (hint := misplaced(freq, "interp_time", obj)):
        raise InputError(f"freq={freq!r}: expected a step, such as '1h'. {hint}")
    check_wish(freq, factor, times, accumulated, terrain, max_gap, dims)
    check_name(model, "interp_time", obj)
    pairs = check_vectors(vectors)
    model, won = resolve_best(
        model,
        weights,
        obj,
        "interp_time",
        options,
        apart={"model_options": model_options},
        needs={},
        variable=None if variables is None else listed(variables)[0],
        dims=dims,
        arguments={
            "accumulated": accumulated or None,
            "vectors": vectors,
            "terrain": None if terrain else False,
            "max_gap": max_gap,
        },
    )
    call = describe_call(
        "interp_time",
        options,
        freq=freq,
        model=model,
        factor=factor,
        times=None if times is None else _told(times),
        accumulated=accumulated or None,
        vectors=vectors,
        weights=weights,
        variables=variables,
        covariates=None,
        terrain=None if terrain else False,
        max_gap=max_gap,
        dims=dims,
        model_options=model_options,
    )
    wish = Wish(
        freq=freq,
        factor=None if factor is None else int(factor),
        times=times,
        accumulated=bool(accumulated),
        model=model,
        weights=weights,
        terrain=bool(terrain),
        max_gap=check_max_gap(max_gap),
        dims=dims,
        model_options=model_options,
        options=options,
        call=call + won,
    )
    wanted = None if variables is None else listed(variables)
    task = partial(_interpolate_dataset, vectors=pairs, wish=wish)
    return on_object(obj, wanted, task, _without)


def check_wish(
    freq: object,
    factor: object,
    times: object,
    accumulated: object,
    terrain: object,
    max_gap: object,
    dims: object,
) -> None:
    """Complain of arguments that are wrong whatever the data."""
    given = {"freq": freq, "factor": factor, "times": times}
    named = [f"{k}=" for k, v in given.items() if v is not None]
    if len(named) != 1:
        found = f"{' and '.join(named)} are given" if named else "no times are given"
        raise InputError(
            f"{found}; expected one of freq='1h', an even step; factor=6, equal parts of each step;"
            " times=[...], the times themselves"
        )
    whole = isinstance(factor, (int, np.integer)) and not isinstance(factor, bool)
    if factor is not None and not (whole and int(str(factor)) > 1):
        raise InputError(f"factor={factor!r}: expected a whole number, 2 or more")
    for name, value in (("accumulated", accumulated), ("terrain", terrain)):
        if not isinstance(value, (bool, np.bool_)):
            raise InputError(f"{name}={value!r}: expected True or False")
    if accumulated and max_gap is not None:
        raise InputError(
            f"max_gap={max_gap!r}: missing totals are never bridged; leave it out, or fill them "
            "first, obj.geoml.fill_gaps()"
        )
    if dims is not None and not isinstance(dims, Mapping):
        raise AxisError(f"dims={dims!r}: expected a mapping, such as {{'T': 'time'}}")


def _told(times: Times) -> str:
    """Return what a call says of its times."""
    check_no_zone(times)
    values = np.atleast_1d(np.asarray(times))
    several = [str(v) for v in (values[0], values[-1])] if values.size else []
    return f"{values.size} times, {' to '.join(dict.fromkeys(several))}"


def _interpolate_dataset(
    dataset: xr.Dataset,
    names: list[Hashable] | None,
    _above: Sequence[xr.Dataset],
    vectors: Sequence[tuple[Hashable, Hashable]] | None,
    wish: Wish,
) -> tuple[xr.Dataset, dict[Hashable, list[str]]]:
    """Return the Dataset at other times."""
    names = variables_in_time(dataset, names, wish.dims)
    instants: dict[str, Instants] = {}
    fields: dict[str, dict[Hashable, xr.Variable]] = {}
    used = []
    for group in in_groups(dataset, names, vectors):
        _, time = axes_in_time(dataset, group[0], wish.dims)
        if time not in instants:
            instants[time] = instants_of(dataset, time, wish)
        handle = resolve(dataset, group[0], wish)
        ready = make_ready(dataset, group, instants[time], handle, wish)
        fields.setdefault(time, {}).update(zip(group, at_times(ready), strict=True))
        used.append(f"{' and '.join(map(str, group))} by {history_of(handle, ready)}")
    if not wish.accumulated:
        _tell_of_sums(dataset, fields)
    result = dataset
    for time, made in fields.items():
        result = at_new_times(result, instants[time], made)
    if wish.options.keep_history:
        line = provenance.history_line(f"{wish.call}: {', '.join(used)}")
        result.attrs = provenance.with_history(result.attrs, line)
    return result, {name: [] for name in names}


def variables_in_time(
    dataset: xr.Dataset, names: list[Hashable] | None, dims: Mapping[str, str] | None
) -> list[Hashable]:
    """Return the variables to interpolate, named or found.

    Raises
    ------
    InputError
        If a name is not there, or no variable fits.
    """
    if names is not None:
        check_named(dataset, names)
        return names
    apart: set[object] = {
        n for v in dataset.variables.values() if (n := bounds_name(v)) is not None
    }
    apart |= {made(v) for v in dataset.variables for made in (flag_name, spread_name)}
    found: list[Hashable] = []
    for name, variable in dataset.data_vars.items():
        if variable.dtype.kind == "f" and name not in apart:
            usable = {k: d for k, d in (dims or {}).items() if d in variable.dims}
            if "T" in find_axes(variable, usable or None).names:
                found.append(name)
    if not found:
        raise NothingToDoError(
            f"no floating-point variable with a time axis to interpolate; found "
            f"{kinds_of(dataset)}: name one with variables=, "
            f"and its time axis with dims={{'T': ...}}"
        )
    return found


def _tell_of_sums(
    dataset: xr.Dataset, fields: Mapping[str, Mapping[Hashable, xr.Variable]]
) -> None:
    """Warn of totals that are treated as if they were values at moments."""
    sums = [
        str(name)
        for time, made in fields.items()
        for name in made
        if re.search(
            _SUM.format(time=f"(?:{re.escape(time)}|time)"),
            str(dataset[name].attrs.get("cell_methods", "")),
        )
    ]
    if sums:
        warnings.warn(
            f"{', '.join(map(repr, sums))}: cell_methods say that these are totals over intervals, "
            "and they are interpolated as if they were values at moments. For totals of shorter "
            "intervals that add up to these type accumulated=True",
            stacklevel=6,
        )


def _without(dataset: xr.Dataset, dim: str, _before: xr.Dataset, after: xr.Dataset) -> xr.Dataset:
    """Return a group of a DataTree with the times of one that shares them, and no data along it."""
    lost = [str(name) for name, variable in dataset.data_vars.items() if dim in variable.dims]
    if lost:
        warnings.warn(
            f"left out: variables {lost} of a group of the DataTree, along {dim!r} of another "
            "group, which is at other times now",
            stacklevel=6,
        )
    made = dataset.drop_dims(dim)
    return made.assign_coords({dim: after.variables[dim]}) if dim in dataset.coords else made
