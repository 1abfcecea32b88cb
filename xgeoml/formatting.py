"""The ``.geoml`` repr: what was found in an object, and what to type next."""

from __future__ import annotations

import xarray as xr

from xgeoml.axes import find_axes
from xgeoml.exceptions import GeoMLError
from xgeoml.grid import describe_grid
from xgeoml.spec import Task
from xgeoml.steps import infer_steps
from xgeoml.tasks.inspect import datasets_in, models_for, seismograms_in
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
    waves = seismograms_in(part)
    if waves is not None:
        step = "" if waves.unit is None else f", one every {waves.step:.6g} s"
        since = f", from {str(waves.first)[:19]}" if waves.clock == "dates" else ""
        lines.append(f"  records: {waves.count} samples along {waves.dim!r}{step}{since}")
    if "T" in axes.names and (waves is None or waves.unit is None):
        lines.append(f"  time: {_describe_time(part, axes.names['T'])}")
    if axes.space:
        array = part if isinstance(part, xr.DataArray) else _first_in_space(part, axes.space)
        if array is not None:
            lines.append(f"  grid: {describe_grid(array, axes)}")
    task: Task = "fill_gaps" if waves is None else "invert_waveform"
    needs = "" if waves is None else "greens=..."
    models = models_for(part, task)  # type: ignore[type-var]
    if models:
        lines.append(f"  {task} models: {', '.join(models)}")
        given = ", ".join(filter(None, (f'"{task}"', needs)))
        lines.append(f"  next: .geoml.plan({given}), .geoml.{task}({needs})")
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
