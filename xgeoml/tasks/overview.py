"""What is known of an object at a glance: the facts that its repr shows, as text and as a page."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from xgeoml.axes import LETTERS, Axes, find_axes, is_cftime
from xgeoml.exceptions import GeoMLError
from xgeoml.grid import describe_grid, latitude
from xgeoml.insert import bounds_name
from xgeoml.steps import IRREGULAR, Steps, infer_steps
from xgeoml.tasks.earlier import flag_name, spread_name
from xgeoml.tasks.inspect import datasets_in, seismograms_in
from xgeoml.tasks.overview_gaps import Gaps, Timeline, gaps_of
from xgeoml.tasks.overview_models import TaskModels, calls_for, models_of
from xgeoml.tasks.overview_scores import Scores, group_of, is_evaluation, scores_of
from xgeoml.tasks.samples import Samples
from xgeoml.times import check_time

# What is told of at most: variables of a Dataset, groups of a DataTree.
VARIABLES = 8
GROUPS = 8
UNNAMED = "unnamed"
# Of a degree along a meridian.
_KM = 111.195
# How many characters of a date are worth showing, where all are alike beyond.
_CHARACTERS = {"yearly": 4, "monthly": 7, "seasonal": 7}
_Object = xr.DataArray | xr.Dataset


@dataclass(frozen=True)
class AxisFact:
    """An axis.

    Attributes
    ----------
    letter : str
    dim, how : str
        Empty if there is none.
    size : int
    extent : str
        First and last value, with units; empty where there is no coordinate.
    """

    letter: str
    dim: str = ""
    how: str = ""
    size: int = 0
    extent: str = ""


@dataclass(frozen=True)
class Part:
    """A DataArray or Dataset, or a group of a DataTree.

    Attributes
    ----------
    path : str
        Of the group; empty elsewhere.
    axes : tuple of AxisFact
        X, Y, Z and T; empty if they could not be found.
    others : tuple of str
        Further dims, with their sizes.
    grid, time : tuple of (str, str)
        Labels and texts.
    gaps : tuple of Gaps
        Of the first variables of real numbers.
    more : int
        How many such variables there are besides.
    models : tuple of TaskModels
    calls : tuple of str
        Methods to call next.
    problems : tuple of str
        What stands in the way, and what to type.
    """

    path: str
    axes: tuple[AxisFact, ...] = ()
    others: tuple[str, ...] = ()
    grid: tuple[tuple[str, str], ...] = ()
    time: tuple[tuple[str, str], ...] = ()
    gaps: tuple[Gaps, ...] = ()
    more: int = 0
    models: tuple[TaskModels, ...] = ()
    calls: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Overview:
    """An object at a glance.

    Attributes
    ----------
    kind : str
        ``"DataArray"``, ``"Dataset"`` or ``"DataTree"``.
    parts : tuple of Part or Scores
    more : int
        How many groups there are besides.
    """

    kind: str
    parts: tuple[Part | Scores, ...]
    more: int = 0


def overview(obj: xr.DataArray | xr.Dataset | xr.DataTree) -> Overview:
    """Return the facts of an object; problems are among them, never an error.

    Values of lazy data are not computed, and of large data only a part is looked at.
    """
    if not isinstance(obj, xr.DataTree):
        parts = [_part_of(part, "") for part in datasets_in(obj)]
        return Overview(type(obj).__name__, tuple(parts))
    nodes = [node for node in obj.subtree if node.data_vars]
    parts = [_part_of(node.to_dataset(), node.path) for node in nodes[:GROUPS]]
    return Overview("DataTree", tuple(parts), len(nodes) - len(parts))


def _part_of(obj: _Object, path: str) -> Part | Scores:
    if is_evaluation(obj) and isinstance(obj, xr.Dataset):
        return scores_of(obj, path)
    try:
        axes = find_axes(obj)
    except GeoMLError as error:
        return Part(path, problems=(f"axes: {error}",))
    waves = seismograms_in(obj)
    time, timeline, problem = _time_of(obj, axes, waves)
    shown = None if problem else timeline
    found = Part(
        path,
        axes=tuple(_axis(obj, axes, letter, shown) for letter in LETTERS),
        others=tuple(f"{d} ({obj.sizes[d]})" for d in axes.others),
        grid=_grid_rows(obj, axes),
        time=time,
        problems=(problem,) if problem else (),
    )
    return _with_values(found, obj, axes, waves, timeline)


def _with_values(
    part: Part, obj: _Object, axes: Axes, waves: Samples | None, timeline: Timeline | None
) -> Part:
    """Return a part with what is told of its variables, its models and what to type."""
    numbers = list(_numbers_in(obj))
    gaps = []
    for name, array in numbers[:VARIABLES]:
        own = timeline
        if waves is not None:
            mine = seismograms_in(array)
            own = None if mine is None else _of_samples(mine)
        along = own is not None and own.dim in array.dims
        gaps.append(gaps_of(array, name, axes.space, own if along else None))
    stamps = None if timeline is None else timeline.stamps
    models = models_of(obj.sizes, axes, waves, gaps, stamps) if numbers else ()
    freq = next((text for label, text in part.time if label == "step"), "")
    calls = calls_for(obj, axes, freq, gaps, models)
    inside = group_of(part.path)
    return replace(
        part,
        gaps=tuple(gaps),
        more=len(numbers) - len(gaps),
        models=models,
        calls=tuple(inside + call for call in calls),
    )


def _numbers_in(obj: _Object) -> Iterator[tuple[str, xr.DataArray]]:
    """Yield the variables of real numbers, without bounds and what a task put beside them."""
    if isinstance(obj, xr.DataArray):
        if obj.dtype.kind in "iuf":
            yield str(UNNAMED if obj.name is None else obj.name), obj
        return
    apart: set[Hashable | None] = {bounds_name(v) for v in obj.variables.values()}
    apart |= {made(v) for v in obj.variables for made in (flag_name, spread_name)}
    for name, array in obj.data_vars.items():
        if array.dtype.kind in "iuf" and name not in apart:
            yield str(name), array


def _axis(obj: _Object, axes: Axes, letter: str, timeline: Timeline | None) -> AxisFact:
    dim = axes.names.get(letter)  # type: ignore[call-overload]
    if dim is None:
        return AxisFact(letter)
    how: Mapping[str, str] = axes.how  # type: ignore[assignment]
    fact = AxisFact(letter, dim, how[letter], obj.sizes[dim])
    if timeline is not None and timeline.dim == dim and timeline.count:
        ends = dict.fromkeys([timeline.label(0), timeline.label(timeline.count - 1)])
        return replace(fact, extent=" to ".join(ends))
    return replace(fact, extent=_extent(obj, axes, letter))


def _extent(obj: _Object, axes: Axes, letter: str) -> str:
    """Return the ends of a coordinate in words, of a two-dimensional one the extremes."""
    name = axes.coords.get(letter)  # type: ignore[call-overload]
    coord = None if name is None else obj.coords[name]
    if coord is None or coord.size == 0 or coord.chunks is not None:
        return ""
    if coord.dtype.kind not in "iuf":
        # NumPy has no dates of a time zone.
        zone = getattr(coord.dtype, "tz", None)
        labels = coord.values if zone is None else coord.to_index()
        return "" if coord.ndim > 1 else " to ".join(str(v)[:19] for v in labels[[0, -1]])
    values = coord.values if coord.ndim == 1 else _extremes(coord)
    ends = dict.fromkeys(f"{v:.6g}" for v in (values[0], values[-1]))
    return f"{' to '.join(ends)} {coord.attrs.get('units', '')}".strip()


def _extremes(coord: xr.DataArray) -> list[float]:
    finite = coord.values[np.isfinite(coord.values)]
    return [finite.min(), finite.max()] if finite.size else [np.nan]


def _grid_rows(obj: _Object, axes: Axes) -> tuple[tuple[str, str], ...]:
    """Return what is known of the horizontal grid."""
    array = obj if isinstance(obj, xr.DataArray) else _first_in_space(obj, axes.space)
    if not axes.space or array is None:
        return ()
    grid = describe_grid(array, axes)
    rows = [("cells", " x ".join(map(str, grid.cells.values())))]
    steps = list(grid.resolution.values())
    if not (grid.lon_convention or any(dim in array.coords for dim in axes.space)):
        return (*rows, ("resolution", "no coordinates"))
    if grid.curvilinear:
        rows.append(("resolution", "curvilinear"))
    elif all(step is not None for step in steps):
        shown = " x ".join(f"{abs(step):.4g}" for step in steps if step is not None)
        size = _size_in_km(array, axes, steps) if grid.units == "deg" else ""
        rows.append(("resolution", f"{shown} {grid.units}".strip() + f", regular{size}"))
    else:
        rows.append(("resolution", "irregular"))
    if grid.lon_convention:
        rows.append(("extent", "global" if grid.global_ else "regional"))
    if grid.orientation:
        rows.append(("latitude" if grid.lon_convention else "y", grid.orientation))
    if grid.lon_convention in ("0-360", "-180-180", "neither"):
        told = {"neither": "beyond -180 to 360"}.get(grid.lon_convention, grid.lon_convention)
        rows.append(("longitude", told.replace("0-", "0 to ")))
    return tuple(rows)


def _size_in_km(array: xr.DataArray, axes: Axes, steps: list[float | None]) -> str:
    """Return the size of a cell in the middle of the grid, in words."""
    lat = latitude(array, axes)
    if len(steps) < 2 or lat is None or lat.ndim != 1 or lat.chunks is not None or not lat.size:
        return ""
    middle = float(lat.values[lat.size // 2])
    north, east = (abs(step or 0.0) * _KM for step in steps)
    return f", about {north:.3g} x {east * np.cos(np.deg2rad(middle)):.3g} km"


def _first_in_space(dataset: xr.Dataset, space: tuple[str, ...]) -> xr.DataArray | None:
    return next((v for v in dataset.data_vars.values() if set(space) <= set(v.dims)), None)


def _time_of(
    obj: _Object, axes: Axes, waves: Samples | None
) -> tuple[tuple[tuple[str, str], ...], Timeline | None, str]:
    """Return what is known of time, the steps, and what is wrong with them."""
    dim = axes.names.get("T")
    if waves is not None and (waves.unit is not None or dim is None):
        return _wave_rows(waves), _of_samples(waves), ""
    if dim is None:
        return (), None, ""
    coord = obj[dim]
    try:
        check_time(coord)
        steps = infer_steps(coord)
    except GeoMLError as error:
        # Of what may be seismograms, too: they may be no such thing.
        told = f"time: {error}"
        if waves is not None:
            return _wave_rows(waves), _of_samples(waves), told
        return (), Timeline(dim, np.arange(obj.sizes[dim]), np.arange(obj.sizes[dim])), told
    timeline = Timeline(dim, steps.index, steps.stamps, _characters(steps))
    if steps.freq == IRREGULAR:
        told = "irregular" if coord.size > 1 else "a single one"
    else:
        told = steps.freq
    absent = f"{steps.n_added} of {len(steps.stamps)} steps" if steps.n_added else "no step"
    rows = (("step", told), ("calendar", str(coord.dt.calendar)), ("absent", absent))
    return rows, timeline, ""


def _characters(steps: Steps) -> int:
    """Return how many characters tell the dates of a record."""
    stamps = steps.stamps
    if steps.freq in _CHARACTERS:
        return _CHARACTERS[steps.freq]
    if is_cftime(stamps):
        midnight = all(str(s).endswith("00:00:00") for s in (stamps[0], stamps[-1]))
    else:
        midnight = bool((stamps == stamps.astype("datetime64[D]")).all())
    return 10 if midnight or steps.freq == "daily" else 16


def _wave_rows(waves: Samples) -> tuple[tuple[str, str], ...]:
    """Return what is known of the time axis of seismograms."""
    rows = [("records", f"{waves.count} samples along {waves.dim!r}")]
    if waves.unit is not None:
        rows.append(("rate", f"one every {waves.step:.6g} s ({1 / waves.step:.6g} Hz)"))
        rows.append(("length", f"{waves.step * (waves.count - 1):.6g} s"))
    if waves.clock == "dates":
        rows.append(("first", str(waves.first)[:19]))
    return tuple(rows)


def _of_samples(waves: Samples) -> Timeline:
    """Return the steps of seismograms: none of them is absent."""
    index = np.arange(waves.count)
    if waves.coord is None:
        return Timeline(waves.dim, index, index)
    units = str(waves.coord.attrs.get("units", ""))
    return Timeline(waves.dim, index, waves.coord.values, unit=units)


__all__ = ["AxisFact", "Overview", "Part", "overview"]
