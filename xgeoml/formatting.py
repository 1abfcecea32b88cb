"""The ``.geoml`` repr: what was found in an object, and what to type next."""

from __future__ import annotations

import xarray as xr

from xgeoml.axes import find_axes
from xgeoml.exceptions import GeoMLError
from xgeoml.grid import describe_grid
from xgeoml.steps import infer_steps
from xgeoml.tasks.inspect import datasets_in, models_for
from xgeoml.times import check_time


def describe(obj: xr.DataArray | xr.Dataset | xr.DataTree) -> str:
    """Return the text repr; problems become a line of it, never an error."""
    lines = [f"<xgeoml on a {type(obj).__name__}>"]
    for part in datasets_in(obj):
        lines += _describe_part(part)
    if len(lines) == 1:
        lines.append("  no data variables")
    return "\n".join(lines)


def _describe_part(part: xr.DataArray | xr.Dataset) -> list[str]:
    try:
        axes = find_axes(part)
    except GeoMLError as error:
        return [f"  axes: {error}"]
    found: dict[str, str] = axes.how  # type: ignore[assignment]
    lines = []
    for axis in "XYZT":
        name = axes.names.get(axis)  # type: ignore[call-overload]
        shown = f"{name} ({part.sizes[name]}), {found[axis]}" if name else "n/a"
        lines.append(f"  {axis}: {shown}")
    if axes.others:
        lines.append(f"  other dims: {', '.join(axes.others)}")
    if "T" in axes.names:
        lines.append(f"  time: {_describe_time(part, axes.names['T'])}")
    if axes.space:
        array = part if isinstance(part, xr.DataArray) else _first_in_space(part, axes.space)
        if array is not None:
            lines.append(f"  grid: {describe_grid(array, axes)}")
    models = models_for(part, "fill_gaps")  # type: ignore[type-var]
    if models:
        lines.append(f"  fill_gaps models: {', '.join(models)}")
        lines.append('  next: .geoml.plan("fill_gaps"), .geoml.fill_gaps()')
    return lines


def _describe_time(part: xr.DataArray | xr.Dataset, time: str) -> str:
    try:
        check_time(part[time])
        steps = infer_steps(part[time])
    except GeoMLError as error:
        return str(error)
    absent = steps.n_added
    first, last = part[time].values[0], part[time].values[-1]
    return f"{steps.freq}, {str(first)[:16]} ... {str(last)[:16]}, {absent} absent steps"


def _first_in_space(dataset: xr.Dataset, space: tuple[str, ...]) -> xr.DataArray | None:
    return next((v for v in dataset.data_vars.values() if set(space) <= set(v.dims)), None)
