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
from xgeoml.exceptions import InputError, SpecError, TimeAxisError
from xgeoml.grid import cell_area, is_global, latitude, longitude
from xgeoml.insert import add_steps
from xgeoml.models.series import Floats
from xgeoml.spec import ModelSpec
from xgeoml.steps import Steps, infer_steps
from xgeoml.tasks.covariates import Covariates, align_covariates
from xgeoml.tasks.earlier import Earlier, find_earlier, flag_name
from xgeoml.tasks.values import check_not_empty, in_numbers
from xgeoml.times import check_time, decimal_years

# Cells at the poles may be stamped a little beyond them.
FARTHEST_NORTH = 91.0


@dataclass(frozen=True)
class Prepared:
    """A variable on its completed time axis, with all that goes with it.

    Attributes
    ----------
    data : DataArray
        The variable, absent steps added as missing, dims in the user's order. What an earlier
        call filled, or found suspect, is missing too.
    axes : Axes
        Which dim is which.
    steps : Steps
        What was found out about the time axis.
    covariates : tuple of DataArray
        On the dims and steps of `data`.
    earlier : Earlier or None
        What an earlier call filled, or found suspect.
    """

    data: xr.DataArray
    axes: Axes
    steps: Steps
    covariates: tuple[xr.DataArray, ...]
    earlier: Earlier | None = None

    @property
    def seen(self) -> xr.DataArray:
        """The data with the values that an earlier call found suspect: they, too, end a gap."""
        if self.earlier is None:
            return self.data
        return self.data.copy(data=self.earlier.seen.data)

    @property
    def time(self) -> str:
        """The time dim."""
        return self.axes.names["T"]

    @property
    def on_grid(self) -> bool:
        """Whether there are at least two cells along both Y and X."""
        return all(self.data.sizes.get(self.axes.names.get(a, ""), 0) > 1 for a in ("Y", "X"))

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
        """Return the dims in the engine's order: pointwise ones, then as the spec names them."""
        letter = {name: axis for axis, name in self.axes.names.items()}
        order = {"Z": 1, "Y": 2, "X": 3, "T": 4}
        named = [a.axis for a in spec.axes]

        def rank(dim: str) -> tuple[bool, int]:
            axis = letter.get(dim, "")
            if spec.axis(axis).mode == "pointwise":
                return False, order.get(axis, 0)
            return True, named.index(axis)

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
            f"it needs axis {a.axis}, which {self.data.name!r} does not have: name others with "
            "variables=[...], or type model='auto', which treats each by its shape"
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

    def turned(self, dims: Sequence[Hashable], spec: ModelSpec) -> tuple[slice, ...]:
        """Return how to cut arrays over `dims` so that coordinates of a model of tiles ascend.

        Tiles are counted from the first cell: the same grid from north to south has the same.
        """
        cut = []
        for dim in dims:
            values = self.data[dim].values if dim in self.data.coords else np.zeros(0)
            # By most of the steps: longitudes from 350 to 10 degrees ascend.
            numbers = spec.tiled and values.dtype.kind in "fiu" and len(values) > 1
            down = numbers and np.median(np.diff(values.astype(np.float64))) < 0
            cut.append(slice(None, None, -1 if down else None))
        return tuple(cut)

    def area(self, dims: Sequence[Hashable]) -> Floats:
        """Return the relative area of each cell, over the dims `dims`; not to be written to."""
        space = self.data.isel({self.time: 0}, drop=True)
        area = cell_area(space, self.axes)
        area = area.mean([d for d in area.dims if d not in dims])
        # A view: of a record larger than memory even one number a cell is much.
        whole = area.variable.set_dims({d: self.data.sizes[d] for d in dims})
        return np.asarray(whole.transpose(*dims).values)


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
    # Of a Dataset whose variables have different dims, some of `dims` may be meant for the others.
    others = [dim for dim in dataset.dims if dim not in original.dims]
    axes = find_axes(original, {k: d for k, d in (dims or {}).items() if d not in others})
    (time,) = require(axes, "T", purpose="filling gaps in time")
    numbers = _checked(original, f"variable {name!r}")
    _check_latitude(original, axes)
    dates = axes.coords.get("T", time)
    if dates != time:
        raise TimeAxisError(
            f"the dates of dimension {time!r} are in {dates!r}; expected them in its own "
            f"coordinate: obj = obj.swap_dims({{{time!r}: {dates!r}}})"
        )
    check_time(original[time])
    steps = infer_steps(original[time])
    _check_apart(steps, time)
    if numbers is not original:
        dataset = dataset.assign({name: numbers.variable})
    complete = add_steps(dataset, time, steps)
    data = complete[name]
    native = data.dtype.newbyteorder("=")
    if native.itemsize < 4:
        native = np.dtype(np.float32)
    data = data.astype(native, copy=False)
    earlier = find_earlier(complete, name)
    if earlier is not None:
        data = data.copy(data=data.variable.where(~earlier.kept).data)
    if not is_lazy(data.variable.data) and not np.isfinite(data.values).any():
        left = "" if earlier is None else f" but where {flag_name(name)!r} says filled or suspect"
        raise InputError(
            f"variable {name!r} is missing everywhere{left}: there is nothing to learn from; "
            "was a mask or a wrong _FillValue applied?"
        )
    gathered = tuple(align_covariates(covariates, complete, original, data, axes, steps))
    return complete, Prepared(data, axes, steps, gathered, earlier)


def _checked(original: xr.DataArray, label: str) -> xr.DataArray:
    """Return the variable in floats, or raise if its values cannot be filled or kept."""
    check_not_empty(original, label)
    numbers = in_numbers(original, label)
    if numbers.dtype.itemsize > 8:
        raise InputError(
            f"{label} has dtype {original.dtype}; expected float64 or less, or observed values "
            "would not come back as they are: obj = obj.astype('float64')"
        )
    return numbers


def _check_apart(steps: Steps, time: str) -> None:
    """Raise if decimal years, by which models know time, cannot tell two stamps apart."""
    close = np.flatnonzero(np.diff(decimal_years(steps.stamps)) <= 0)
    if close.size:
        first, second = steps.stamps[close[0] : close[0] + 2]
        raise TimeAxisError(
            f"the time coordinate {time!r} holds {first} and {second}; expected stamps at least "
            "0.01 ms apart. Count in slower time: obj = obj.assign_coords("
            f'{time}=pd.date_range("2000-01-01", periods=obj.sizes[{time!r}], freq="s"))'
        )


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
