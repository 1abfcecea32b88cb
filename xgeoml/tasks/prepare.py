"""From an xarray object to arrays that the engine can run on; nothing is computed here."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xgeoml.axes import Axes, find_axes, require
from xgeoml.calendars import read_clock
from xgeoml.engine.execute import is_lazy
from xgeoml.engine.plan import Plan, plan_axes
from xgeoml.exceptions import InputError, SpecError, TimeAxisError, did_you_mean
from xgeoml.grid import cell_area, is_global, latitude, longitude
from xgeoml.models.series import Floats
from xgeoml.spec import ModelSpec
from xgeoml.tasks.match import match_steps
from xgeoml.times import Steps, add_steps, check_time, decimal_years, infer_steps

# Cells at the poles may be stamped a little beyond them.
FARTHEST_NORTH = 91.0

Covariates = str | xr.DataArray | Sequence[str | xr.DataArray] | None


@dataclass(frozen=True)
class Prepared:
    """A variable on its completed time axis, with all that goes with it.

    Attributes
    ----------
    data : DataArray
        The variable, absent steps added as missing, dims in the user's order.
    axes : Axes
        Which dim is which.
    steps : Steps
        What was found out about the time axis.
    covariates : tuple of DataArray
        On the dims and steps of `data`.
    """

    data: xr.DataArray
    axes: Axes
    steps: Steps
    covariates: tuple[xr.DataArray, ...]

    @property
    def time(self) -> str:
        """The time dim."""
        return self.axes.names["T"]

    @property
    def years(self) -> Floats:
        """Decimal year of every step."""
        return decimal_years(self.data[self.time])

    @property
    def days(self) -> Floats:
        """Days of every step since some moment."""
        clock = read_clock(self.data[self.time].values)
        return np.asarray(clock.ticks / clock.day, dtype=np.float64)

    def canonical_dims(self, spec: ModelSpec) -> tuple[str, ...]:
        """Return the dims in the engine's order: other dims, Y, X, T; pointwise ones first."""
        letter = {name: axis for axis, name in self.axes.names.items()}
        order = {"Z": 1, "Y": 2, "X": 3, "T": 4}

        def rank(dim: str) -> tuple[bool, int]:
            axis = letter.get(dim, "")
            return spec.axis(axis).mode != "pointwise", order.get(axis, 0)

        return tuple(sorted(map(str, self.data.dims), key=rank))

    def plan(self, spec: ModelSpec) -> Plan:
        """Return how the engine will cut the data for a model.

        Raises
        ------
        SpecError
            Listing every axis that the model cannot work on.
        """
        letter = {name: axis for axis, name in self.axes.names.items()}
        dims = self.canonical_dims(spec)
        axis_specs = [spec.axis(letter.get(d, "")) for d in dims]
        problems = [
            f"axis {a.axis} ({d!r}) has {self.data.sizes[d]} steps, expected at least {a.minimum}"
            for d, a in zip(dims, axis_specs, strict=True)
            if self.data.sizes[d] < a.minimum
        ]
        problems += [
            f"it needs axis {a.axis}, which {self.data.name!r} does not have"
            for a in spec.axes
            if a.axis not in self.axes.names
        ]
        if problems:
            raise SpecError(problems, f"model {spec.key} cannot use {self.data.name!r}")
        lon = longitude(self.data, self.axes)
        closed = lon is not None and lon.ndim == 1 and is_global(lon.values)
        periodic = [closed and letter.get(d) == "X" for d in dims]
        return plan_axes([self.data.sizes[d] for d in dims], axis_specs, periodic)

    def arrays(self, dims: Sequence[Hashable], further: Sequence[xr.DataArray] = ()) -> list[Any]:
        """Return value, covariates and `further` arrays in the order `dims` and in one dtype."""
        dtype = self.data.dtype
        made = [self.data, *(c.astype(dtype) for c in (*self.covariates, *further))]
        return [a.transpose(*dims).variable.data for a in made]

    def area(self, dims: Sequence[Hashable]) -> Floats:
        """Return the relative area of each cell, over the dims `dims`."""
        space = self.data.isel({self.time: 0}, drop=True)
        ones = xr.DataArray(np.ones([self.data.sizes[d] for d in dims]), dims=dims)
        area = cell_area(space, self.axes)
        area = area.mean([d for d in area.dims if d not in dims])
        return (ones * area.drop_vars(list(area.coords))).transpose(*dims).values


def prepare(
    dataset: xr.Dataset,
    name: Hashable,
    covariates: Covariates = None,
    dims: Mapping[str, str] | None = None,
) -> tuple[xr.Dataset, Prepared]:
    """Complete the time axis of `dataset` and gather what belongs to the variable `name`.

    Returns
    -------
    Dataset
        `dataset` with absent steps added to all that lies along time.
    Prepared
        The variable.

    Raises
    ------
    AxisError, TimeAxisError, InputError
        If no time axis is found or usable, or the data or covariates do not fit.
    """
    original = dataset[name]
    if not np.issubdtype(original.dtype, np.number) or original.dtype.kind == "c":
        raise InputError(
            f"variable {name!r} has dtype {original.dtype}; expected real numbers, such as float32"
        )
    if original.dtype.kind == "f" and original.dtype.itemsize > 8:
        raise InputError(
            f"variable {name!r} has dtype {original.dtype}; expected float64 or less, or observed "
            "values would not come back as they are: obj = obj.astype('float64')"
        )
    if original.size == 0:
        raise InputError(f"variable {name!r} is empty: sizes {dict(original.sizes)}")
    axes = find_axes(original, dims)
    (time,) = require(axes, "T", purpose="filling gaps in time")
    _check_latitude(original, axes)
    dates = axes.coords.get("T", time)
    if dates != time:
        raise TimeAxisError(
            f"the dates of dimension {time!r} are in {dates!r}; expected them in its own "
            f"coordinate: obj = obj.swap_dims({{{time!r}: {dates!r}}})"
        )
    check_time(original[time])
    steps = infer_steps(original[time])
    complete = add_steps(dataset, time, steps)
    data = complete[name]
    if not np.issubdtype(data.dtype, np.floating):
        data = data.astype(np.float64)
    native = data.dtype.newbyteorder("=")
    if native.itemsize < 4:
        native = np.dtype(np.float32)
    data = data.astype(native, copy=False)
    if not is_lazy(data.variable.data) and not np.isfinite(data.values).any():
        raise InputError(
            f"variable {name!r} is missing everywhere: there is nothing to learn from; "
            "was a mask or a wrong _FillValue applied?"
        )
    gathered = tuple(_covariates(complete, original, data, time, covariates, steps))
    return complete, Prepared(data, axes, steps, gathered)


def _check_latitude(data: xr.DataArray, axes: Axes) -> None:
    """Raise if latitudes are no degrees: areas of cells follow from them."""
    lat = latitude(data, axes)
    if lat is None or is_lazy(lat.variable.data):
        return
    beyond = lat.values[np.abs(lat.values) > FARTHEST_NORTH]
    if beyond.size:
        raise InputError(
            f"latitude {lat.name!r} holds {beyond.flat[np.abs(beyond).argmax()]:g}; expected "
            "degrees between -90 and 90. If it is a distance on a map, call it otherwise and say "
            f"so: obj = obj.rename({lat.name}='y'); obj['y'].attrs = {{'axis': 'Y', 'units': 'm'}}"
        )


def _covariates(
    dataset: xr.Dataset,
    original: xr.DataArray,
    data: xr.DataArray,
    time: str,
    covariates: Covariates,
    steps: Steps,
) -> list[xr.DataArray]:
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
            if given not in dataset:
                near = did_you_mean(given, map(str, dataset.data_vars))
                hint = f"did you mean {near}?" if near else f"found {list(dataset.data_vars)}"
                raise InputError(f"covariate {given!r} is not in the Dataset: {hint}")
            covariate = dataset[given]
        elif isinstance(given, xr.DataArray):
            covariate = given
        else:
            raise InputError(
                f"covariate {i} is a {type(given).__name__}; expected a variable's name or a "
                "DataArray"
            )
        label = covariate.name if covariate.name is not None else f"number {i}"
        made.append(_aligned(covariate, f"covariate {label!r}", data, time, steps))
        if isinstance(given, str) and given == original.name:
            raise InputError(f"covariate {given!r} is the variable to be filled itself")
    return made


def _aligned(
    covariate: xr.DataArray, label: str, data: xr.DataArray, time: str, steps: Steps
) -> xr.DataArray:
    """Return a covariate on the dims and steps of `data`, matched by position."""
    if not np.issubdtype(covariate.dtype, np.number):
        raise InputError(f"{label} has dtype {covariate.dtype}; expected real numbers")
    if time not in covariate.dims:
        raise InputError(
            f"{label} has dims {covariate.dims}, expected {time!r} among them: a driver that does "
            "not change in time tells nothing about a gap in time"
        )
    unknown = [d for d in covariate.dims if d not in data.dims]
    if unknown:
        raise InputError(f"{label} has dims {unknown} that {data.name!r} lacks: {data.dims}")
    for dim in covariate.dims:
        if dim != time:
            check_same_grid(covariate, label, data, dim)
    covariate = _on_steps(covariate, label, data, time, steps)
    bare = covariate.drop_vars(list(covariate.coords))
    missing = {d: n for d, n in data.sizes.items() if d not in bare.dims}
    return bare.expand_dims(missing).transpose(*data.dims) if missing else bare


def check_same_grid(covariate: xr.DataArray, label: str, data: xr.DataArray, dim: Hashable) -> None:
    """Raise unless a driver or mask lies on the cells of `data` along `dim`."""
    cure = f"bring it to the grid first, with cov.interp_like({data.name})"
    if covariate.sizes[dim] != data.sizes[dim]:
        raise InputError(
            f"{label} has {covariate.sizes[dim]} cells along {dim!r}, expected "
            f"{data.sizes[dim]}; {cure}"
        )
    if dim in covariate.coords and dim in data.coords:
        ours, theirs = data[dim].values, covariate[dim].values
        if np.issubdtype(ours.dtype, np.number) and np.issubdtype(theirs.dtype, np.number):
            span = float(np.ptp(ours)) or 1.0
            same = bool(np.all(np.abs(ours - theirs) <= 1e-3 * span / max(1, len(ours) - 1)))
        else:
            same = bool(np.all(ours == theirs))
        if not same:
            raise InputError(
                f"{label} lies elsewhere along {dim!r}: {theirs[0]} ... {theirs[-1]}, expected "
                f"{ours[0]} ... {ours[-1]}; {cure}"
            )


def _on_steps(
    covariate: xr.DataArray, label: str, data: xr.DataArray, time: str, steps: Steps
) -> xr.DataArray:
    """Pick the step of a covariate that belongs to each step of `data`; missing where it has none.

    By position, not by label: stamps of one month differ between products.
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
    try:
        at = match_steps(covariate[time], data[time], steps)
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
    return picked.where(xr.DataArray(near, dims=time)).astype(covariate.dtype)
