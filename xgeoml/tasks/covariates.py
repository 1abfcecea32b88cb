"""Drivers and masks on the cells and steps of the data, matched by position."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.axes import Axes, find_axes
from xgeoml.calendars import read_clock
from xgeoml.engine.execute import is_lazy
from xgeoml.exceptions import AxisError, InputError, instead_of
from xgeoml.grid import lon_convention, longitude
from xgeoml.steps import Steps
from xgeoml.tasks.match import match_steps, months_late
from xgeoml.tasks.values import in_numbers
from xgeoml.times import check_time

__all__ = ["Covariates", "align_covariates", "lookup", "names_of", "on_same_grid"]

Covariates = str | xr.DataArray | Sequence[str | xr.DataArray] | None
Ints = NDArray[np.intp]


def names_of(covariates: Covariates) -> list[str]:
    """Return the names of covariates, for messages and the history."""
    several = covariates if isinstance(covariates, (list, tuple)) else [covariates]
    return [
        c if isinstance(c, str) else str(getattr(c, "name", None) or "unnamed") for c in several
    ]


def lookup(
    name: str, label: str, dataset: xr.Dataset, above: Sequence[xr.Dataset] = ()
) -> xr.DataArray:
    """Return a variable by its name in a Dataset, or in a group of a DataTree above it.

    Parameters
    ----------
    name : str
    label : str
        What it is, for the message.
    dataset : Dataset
    above : sequence of Dataset
        The groups above it, the nearest first: a group inherits their coordinates, but not their
        data variables.

    Raises
    ------
    InputError
        If it is in none of them.
    """
    for group in (dataset, *above):
        if name in group:
            return group[name]
    known = list(dict.fromkeys(str(v) for group in (dataset, *above) for v in group.variables))
    where = " nor in a group above it" if above else ""
    raise InputError(f"{label} {name!r} is not in the Dataset{where}: {instead_of(name, known)}")


def with_those_above(
    covariates: Covariates, dataset: xr.Dataset, above: Sequence[xr.Dataset]
) -> Covariates:
    """Return covariates, those named that lie in groups above a Dataset as DataArrays.

    Raises
    ------
    InputError
        If one is in none of them.
    """
    if not isinstance(covariates, (str, list, tuple)):
        return covariates
    return [
        lookup(c, "covariate", dataset, above) if isinstance(c, str) and c not in dataset else c
        for c in ([covariates] if isinstance(covariates, str) else covariates)
    ]


def align_covariates(
    covariates: Covariates,
    dataset: xr.Dataset,
    original: xr.DataArray,
    data: xr.DataArray,
    axes: Axes,
    steps: Steps,
) -> list[xr.DataArray]:
    """Return the covariates on the dims, cells and steps of `data`, without coordinates.

    Parameters
    ----------
    covariates : str, DataArray or sequence of these
        As the user gave them.
    dataset : Dataset
        Where names are looked up; absent steps added.
    original : DataArray
        The variable to be filled, as it was given.
    data : DataArray
        The same, absent steps added; NaN where there is nothing to learn from.
    axes : Axes
        Those of `data`.
    steps : Steps
        What was found out about its time.

    Raises
    ------
    InputError, TimeAxisError
        If one does not fit.
    """
    if covariates is None:
        return []
    if not isinstance(covariates, (str, xr.DataArray, list, tuple)):
        raise InputError(
            f"covariates is a {type(covariates).__name__}; expected a name in the Dataset, a "
            "DataArray, or a list of these, such as [era5['tp'], era5['t2m']]"
        )
    listed = [covariates] if isinstance(covariates, (str, xr.DataArray)) else list(covariates)
    made = []
    for i, given in enumerate(listed):
        if isinstance(given, str):
            covariate = lookup(given, "covariate", dataset)
        elif isinstance(given, xr.DataArray):
            covariate = given
        else:
            raise InputError(
                f"covariate {i} is a {type(given).__name__}; expected a variable's name or a "
                "DataArray"
            )
        label = covariate.name if covariate.name is not None else f"number {i}"
        made.append(_aligned(covariate, f"covariate {label!r}", data, axes, steps, dataset))
        if isinstance(given, str) and given == original.name:
            raise InputError(f"covariate {given!r} is the variable to be filled itself")
    return made


def _aligned(
    covariate: xr.DataArray,
    label: str,
    data: xr.DataArray,
    axes: Axes,
    steps: Steps,
    dataset: xr.Dataset,
) -> xr.DataArray:
    """Return a covariate on the dims and steps of `data`, matched by position."""
    time = axes.names["T"]
    covariate = _with_our_dims(in_numbers(covariate, label), data, axes)
    if time not in covariate.dims:
        raise InputError(
            f"{label} has dims {covariate.dims}, expected {time!r} among them: a driver that does "
            "not change in time tells nothing about a gap in time. If one of them is time, say "
            f"which: cov.rename({{...: {time!r}}})"
        )
    unknown = [d for d in covariate.dims if d not in data.dims]
    if unknown:
        raise InputError(
            f"{label} has dims {unknown} that {data.name!r} lacks: {data.dims}; expected none: "
            f"rename them, cov.rename({{{unknown[0]!r}: ...}}), or pick one, "
            f"cov.isel({{{unknown[0]!r}: 0}})"
        )
    covariate = on_same_grid(covariate, label, data, axes)
    covariate = _on_steps(covariate, label, data, time, steps, dataset)
    bare = covariate.drop_vars(list(covariate.coords))
    _check_meets(bare, label, data)
    missing = {d: n for d, n in data.sizes.items() if d not in bare.dims}
    return bare.expand_dims(missing).transpose(*data.dims) if missing else bare


def _with_our_dims(covariate: xr.DataArray, data: xr.DataArray, axes: Axes) -> xr.DataArray:
    """Return a covariate whose T, Y and X are called as those of the data, where that is plain."""
    if set(covariate.dims) <= set(data.dims):
        return covariate
    try:
        theirs = find_axes(covariate)
    except AxisError:
        return covariate
    renamed = {
        dim: axes.names[axis]
        for axis, dim in theirs.names.items()
        if dim not in data.dims and axis in axes.names and axes.names[axis] not in covariate.dims
    }
    described = {dim: theirs.coords.get(axis, dim) for axis, dim in theirs.names.items()}
    dims = [renamed.get(str(dim), dim) for dim in covariate.dims]
    coords = {}
    # Rebuilt: one of its other coordinates may bear the new name.
    for old, new in zip(covariate.dims, dims, strict=True):
        own = covariate.coords.get(described.get(str(old), old))
        if own is not None and own.dims == (old,):
            coords[new] = (new, own.variable.data)
    return xr.DataArray(covariate.variable.data, coords, dims, covariate.name, covariate.attrs)


def _check_meets(covariate: xr.DataArray, label: str, data: xr.DataArray) -> None:
    """Raise if a driver in memory has no value where there are data to learn from."""
    if is_lazy(covariate.variable.data):
        return
    known = xr.Variable(covariate.dims, np.isfinite(covariate.values))
    if not is_lazy(data.variable.data):
        known = known & xr.Variable(data.dims, np.isfinite(data.values))
    if not known.values.any():
        raise InputError(
            f"{label} has no value where {data.name!r} is observed; expected some, to learn from: "
            "was a mask or a wrong _FillValue applied, or does it lie elsewhere? Type "
            "cov.notnull().sum() to see"
        )


def on_same_grid(
    given: xr.DataArray, label: str, data: xr.DataArray, axes: Axes, word: str = "cov"
) -> xr.DataArray:
    """Return a driver or mask with its cells in the order of those of `data`.

    The same cells may be stored in another order, such as from north to south, or from 0 to 360
    degrees east.

    Parameters
    ----------
    given : DataArray
        Its dims are among those of `data`; that of time is left as it is.
    label : str
        What it is, for the message.
    data : DataArray
    axes : Axes
        Those of `data`.
    word : {"cov", "mask"}
        What it is called in the cure.

    Raises
    ------
    InputError
        If it has other cells.
    """
    around = longitude(data, axes)
    circle = around.name if around is not None and around.ndim == 1 else None
    wrong = []
    for dim in given.dims:
        if dim == axes.names.get("T"):
            continue
        at = _positions_along(given, data, dim, dim == circle)
        if at is None:
            wrong.append(dim)
        elif not np.array_equal(at, np.arange(at.size)):
            turned = np.array_equal(at, np.arange(at.size)[::-1])
            given = given.isel({dim: slice(None, None, -1) if turned else at})
    if wrong:
        raise InputError(_wrong_grid(given, label, data, wrong, circle, word))
    return given


def _positions_along(
    given: xr.DataArray, data: xr.DataArray, dim: Hashable, circle: bool
) -> Ints | None:
    """Return where each cell of `data` is in `given`, None if they are not the same cells."""
    if given.sizes[dim] != data.sizes[dim]:
        return None
    if dim not in given.coords or dim not in data.coords:
        return np.arange(data.sizes[dim])
    return _positions(data[dim].values, given[dim].values, circle)


def _positions(ours: NDArray[Any], theirs: NDArray[Any], circle: bool) -> Ints | None:
    """Return where each of our cells is in theirs, None if they are not the same cells.

    Parameters
    ----------
    ours, theirs : ndarray, (n,)
    circle : bool
        Whether 360 further is the same place.
    """
    same = np.arange(ours.size)
    if not (np.issubdtype(ours.dtype, np.number) and np.issubdtype(theirs.dtype, np.number)):
        return same if bool(np.all(ours == theirs)) else None
    span = float(np.ptp(ours)) or 1.0
    step = span / max(1, ours.size - 1)

    def near(one: NDArray[Any], other: NDArray[Any]) -> bool:
        return bool(np.all(np.abs(one - other) <= 1e-3 * step))

    if near(ours, theirs) or np.array_equal(ours, theirs, equal_nan=True):
        return same
    if circle:
        # Half a cell before the first one: none lies on the seam, where rounding would matter.
        west = np.min(ours) - 0.5 * step
        ours, theirs = (ours - west) % 360.0, (theirs - west) % 360.0
    our_order, their_order = np.argsort(ours), np.argsort(theirs)
    if not near(ours[our_order], theirs[their_order]):
        return None
    at = np.empty(ours.size, dtype=np.intp)
    at[our_order] = their_order
    return at


def _wrong_grid(
    given: xr.DataArray,
    label: str,
    data: xr.DataArray,
    wrong: list[Hashable],
    circle: Hashable | None,
    word: str,
) -> str:
    """Return the message for a driver or mask with other cells along the dims `wrong`."""
    dim = wrong[0]
    found, expected = given.sizes[dim], data.sizes[dim]
    if found != expected:
        text = f"{label} has {found} cells along {dim!r}, expected {expected}"
    else:
        ours, theirs = data[dim].values, given[dim].values
        text = (
            f"{label} lies elsewhere along {dim!r}: {theirs[0]} ... {theirs[-1]}, expected "
            f"{ours[0]} ... {ours[-1]}"
        )
    if not all(d in data.coords and d in given.coords for d in wrong):
        return f"{text}; bring it to the cells of {data.name!r} first"
    factors = {d: given.sizes[d] // data.sizes[d] for d in wrong}
    if all(_is_finer(given, data, d, d == circle) for d in wrong):
        blocks = ", ".join(f"{d}={n}" for d, n in factors.items())
        mean = "mean()" if word == "cov" else "max()"
        return f"{text}; bring it to the grid first, with {word}.coarsen({blocks}).{mean}"
    # Space only: along time, interpolating would blank what the gaps are to be filled from.
    to = ", ".join(f'{d}=obj["{d}"]' for d in wrong)
    numeric = all(data[d].dtype.kind in "iuf" and given[d].dtype.kind in "iuf" for d in wrong)
    if not numeric:
        return f"{text}; pick the same ones first, with {word}.sel({to})"
    turn = ""
    if circle in wrong:
        turn = _turned(circle, lon_convention(given[circle]), lon_convention(data[circle]), word)
    cure = f"{word}.interp({to})" if word == "cov" else f'{word}.reindex({to}, method="nearest")'
    return f"{text}; bring it to the grid first, with {turn}{cure}"


def _is_finer(given: xr.DataArray, data: xr.DataArray, dim: Hashable, circle: bool) -> bool:
    """Whether each cell of `data` is made of the same number of cells of `given`."""
    factor, rest = divmod(given.sizes[dim], data.sizes[dim])
    theirs = given[dim].values
    if factor < 2 or rest or theirs.dtype.kind not in "iuf" or data[dim].dtype.kind not in "iuf":
        return False
    return _positions(data[dim].values, theirs.reshape(-1, factor).mean(1), circle) is not None


def _turned(circle: Hashable, theirs: str, ours: str, word: str) -> str:
    """Return what brings longitudes to the range of ours first; nothing if they have it."""
    there = f'{word}["{circle}"]'
    degrees = {"0-360": f"{there} % 360", "-180-180": f"({there} + 180) % 360 - 180"}
    if theirs not in degrees or ours not in degrees or theirs == ours:
        return ""
    return f'{word} = {word}.assign_coords({circle}={degrees[ours]}).sortby("{circle}"); '


def _on_steps(
    covariate: xr.DataArray,
    label: str,
    data: xr.DataArray,
    time: str,
    steps: Steps,
    dataset: xr.Dataset,
) -> xr.DataArray:
    """Pick the step of a covariate that belongs to each step of `data`; missing where it has none.

    By position, not by label: stamps of one month differ between products. `dataset` holds the
    bounds of the data's steps, if they have any.
    """
    if time not in covariate.coords:
        if covariate.sizes[time] == data.sizes[time]:
            return covariate
        raise InputError(
            f"{label} has {covariate.sizes[time]} steps and no {time!r} coordinate, expected "
            f"{data.sizes[time]} steps: give it the coordinate"
        )
    check_time(covariate[time])
    if covariate[time].dtype == data[time].dtype and np.array_equal(covariate[time], data[time]):
        return covariate
    late = _months_late(covariate, label, time, dataset, steps)
    try:
        at = match_steps(covariate[time], data[time], steps, late)
    except ValueError as error:
        raise InputError(
            f"{label} does not fit in time: {error}; bring it to the data's steps first, such as "
            f'with cov.resample({time}="MS").mean()'
        ) from error
    near = at >= 0
    if not near.any():
        raise InputError(
            f"{label} covers {covariate[time].values[0]} ... {covariate[time].values[-1]}, none of "
            f"the steps of {data.name!r}, {data[time].values[0]} ... {data[time].values[-1]}"
        )
    picked = covariate.isel({time: np.maximum(at, 0)})
    if near.all():
        return picked
    return picked.where(xr.DataArray(near, dims=time))


def _months_late(
    covariate: xr.DataArray, label: str, time: str, dataset: xr.Dataset, steps: Steps
) -> int:
    """Return how many months late the data are stamped, to the calendar of a driver's stamps.

    A DataArray has no bounds: what its stamps mean must be plain without.
    """
    stamps, given = covariate[time].values, steps.stamps
    # Another variable of the same Dataset, say, before steps were added.
    of_one_record = stamps.dtype == given.dtype and np.isin(stamps, given).all()
    if steps.freq != "monthly" or of_one_record:
        return 0
    late = months_late(dataset, time)
    if late and not read_clock(stamps).in_month.any():
        raise InputError(
            f"by the bounds, {given[0]} stands for another month in the data; {label} holds first "
            "days of months, too, and which it means cannot be told. Expected stamps within their "
            f"month: obj = obj.assign_coords({time}=obj.indexes[{time!r}] - timedelta(days=1)). A "
            "driver of the same Dataset can be given by its name"
        )
    return late
