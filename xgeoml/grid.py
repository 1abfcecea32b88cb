"""Geometry of the horizontal grid: spacing, cell edges, refining, areas, global or regional.

Pure functions of coordinate values; nothing here reads a data variable.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, cast

import cf_xarray  # noqa: F401  registers .cf
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from xgeoml.axes import Axes, AxisName
from xgeoml.exceptions import InputError

__all__ = [
    "GridInfo",
    "cell_area",
    "cell_edges",
    "describe_grid",
    "is_global",
    "latitude",
    "lon_convention",
    "longitude",
    "refine_centres",
    "spacing",
]

Floats = NDArray[np.float64]
LonConvention = Literal["0-360", "-180-180", "either", "neither"]

# Coordinates are often stored as float32 or rounded to a few decimals.
REGULAR = 1e-3
FULL_CIRCLE = 360.0
# Cells at the very pole have area too; a model may divide by it.
LEAST_AREA = 1e-6


def spacing(values: ArrayLike) -> float | None:
    """Return the step of a regular coordinate, negative where it descends.

    Parameters
    ----------
    values : array_like, (n,)
        Cell centres, any numeric dtype.

    Returns
    -------
    float or None
        None where there are fewer than two centres, or where a step differs from the mean step
        by more than 0.1 % (and more than the rounding of the dtype explains).
    """
    given = np.asarray(values)
    if given.ndim != 1 or given.size < 2 or given.dtype.kind not in "iuf":
        return None
    centres = given.astype(np.float64)
    step = float((centres[-1] - centres[0]) / (centres.size - 1))
    rounding = np.finfo(given.dtype).eps if given.dtype.kind == "f" else 0.0
    allowed = REGULAR * abs(step) + 2.0 * rounding * float(np.abs(centres).max())
    # Written so that a NaN, which compares false, is not regular.
    regular = step != 0.0 and bool((np.abs(np.diff(centres) - step) <= allowed).all())
    return step if regular else None


def cell_edges(centres: ArrayLike) -> Floats:
    """Return the edges of cells half-way between their centres, the outer ones mirrored.

    Parameters
    ----------
    centres : array_like, (n,)
        Strictly ascending or descending, n >= 2; regular or not.

    Returns
    -------
    ndarray, (n + 1,)
        Latitudes are not clipped at the poles.

    Raises
    ------
    InputError
        If there is one centre only, or if they do not run one way.

    Examples
    --------
    >>> cell_edges([10.0, 20.0, 30.0]).tolist()
    [5.0, 15.0, 25.0, 35.0]
    """
    middle = _monotonic(centres)
    inner = 0.5 * (middle[1:] + middle[:-1])
    first = middle[0] - (inner[0] - middle[0])
    last = middle[-1] + (middle[-1] - inner[-1])
    return np.concatenate([[first], inner, [last]])


def refine_centres(centres: ArrayLike, factor: int) -> NDArray[np.floating]:
    """Divide each cell into `factor` equal parts and return the centres of the parts.

    The mean of the parts of a cell is the cell's centre. On an irregular coordinate the parts
    are laid symmetrically about the centre, as wide as the nearer neighbour allows, so that they
    never overlap.

    Parameters
    ----------
    centres : array_like, (n,)
        Strictly ascending or descending, n >= 2.
    factor
        Number of parts, at least 1.

    Returns
    -------
    ndarray, (n * factor,)
        In the dtype of `centres` if that is floating, else float64.

    Raises
    ------
    InputError
        As `cell_edges`, or if `factor` is below 1.

    Examples
    --------
    >>> refine_centres([0.0, 1.0], 2).tolist()
    [-0.25, 0.25, 0.75, 1.25]
    """
    if factor < 1:
        raise InputError(f"factor={factor} was given; expected a whole number of at least 1")
    given = np.asarray(centres)
    middle = _monotonic(given)
    step = spacing(given)
    if step is not None:
        width = np.full(middle.size, step)
    else:
        gaps = np.diff(middle)
        gaps = np.concatenate([gaps[:1], gaps, gaps[-1:]])
        width = np.where(np.abs(gaps[:-1]) < np.abs(gaps[1:]), gaps[:-1], gaps[1:])
    part = (np.arange(factor) + 0.5) / factor - 0.5
    fine = (middle[:, None] + width[:, None] * part).ravel()
    return fine.astype(given.dtype) if given.dtype.kind == "f" else fine


def is_global(lon: ArrayLike) -> bool:
    """Whether longitudes (degrees) go once around: spacing * n is 360 within 0.001."""
    unwrapped = unwrap(lon)
    step = spacing(unwrapped)
    if step is None:
        return False
    return abs(abs(step) * unwrapped.size - FULL_CIRCLE) <= REGULAR


def lon_convention(lon: ArrayLike) -> LonConvention:
    """Return the range that longitudes (degrees) are given in.

    ``"either"`` where all lie in 0 ... 180, ``"neither"`` where they cross both ranges.
    """
    degrees = np.asarray(lon, dtype=np.float64)
    if not np.isfinite(degrees).any():
        return "neither"
    low, high = float(np.nanmin(degrees)), float(np.nanmax(degrees))
    eastward, signed = low >= 0.0 and high <= FULL_CIRCLE, low >= -180.0 and high <= 180.0
    if eastward and signed:
        return "either"
    if eastward:
        return "0-360"
    return "-180-180" if signed else "neither"


def latitude(obj: xr.DataArray | xr.Dataset, axes: Axes) -> xr.DataArray | None:
    """Return the latitude of the cells, 1-D along Y or 2-D over Y and X, or None.

    Found by CF attributes, units, or name; a rotated grid's own latitude counts where there is
    no true one, since its cells shrink with that.
    """
    return _angle(obj, axes, "Y", "latitude", ("lat", "latitude", "lats", "nav_lat", "xlat"))


def longitude(obj: xr.DataArray | xr.Dataset, axes: Axes) -> xr.DataArray | None:
    """Return the longitude of the cells, 1-D along X or 2-D over Y and X, or None."""
    return _angle(obj, axes, "X", "longitude", ("lon", "longitude", "lons", "nav_lon", "xlong"))


def is_rotated(coord: xr.DataArray | None) -> bool:
    """Whether a latitude or longitude counts from another pole than the Earth's."""
    if coord is None:
        return False
    name, standard = str(coord.name).lower(), str(coord.attrs.get("standard_name", ""))
    return standard.startswith("grid_") or (not standard and name in ("rlat", "rlon"))


def cell_area(obj: xr.DataArray | xr.Dataset, axes: Axes) -> xr.DataArray:
    """Return relative cell areas: the cosine of latitude, 1 where there is none.

    Parameters
    ----------
    obj
        The data; only its coordinates are used.
    axes
        Its axes.

    Returns
    -------
    DataArray
        float64, positive, over the space dims of `obj` in the order of `obj` (no dims for a list
        of stations or regions); broadcasts against the data by dimension name. Carries no
        coordinates, so that nothing is aligned by label. Lazy if latitude is.
    """
    dims = [dim for dim in obj.dims if dim in axes.space]
    shape = {dim: obj.sizes[dim] for dim in dims}
    lat = latitude(obj, axes)
    if lat is None:
        return xr.DataArray(np.ones(tuple(shape.values())), dims=dims)
    degrees = xr.DataArray(lat.variable.to_base_variable().astype(np.float64))
    if str(lat.attrs.get("units", "")).lower().startswith("rad"):
        degrees = degrees * (180.0 / np.pi)
    # Curvilinear grids often have no latitude on land: such cells hold no data either.
    cosine = cast("xr.DataArray", np.cos(np.deg2rad(degrees)))
    area = cosine.clip(min=LEAST_AREA).fillna(LEAST_AREA)
    area = area.expand_dims({dim: shape[dim] for dim in dims if dim not in area.dims})
    area.attrs = {}
    return area.transpose(*dims)


@dataclass(frozen=True)
class GridInfo:
    """The horizontal grid in words, for reprs.

    Attributes
    ----------
    resolution : dict
        Axis letter -> size of a step, in the coordinate's units; None where irregular.
    units : str
        ``"deg"`` on latitude and longitude, else the units of the coordinate, maybe empty.
    cells : dict
        Axis letter -> number of cells.
    global_ : bool
        Whether X goes once around the Earth.
    orientation : str
        ``"ascending"`` or ``"descending"`` latitude (or y), ``""`` where unknown.
    lon_convention : str
        ``"0-360"``, ``"-180-180"``, ``"either"``, ``"neither"``, ``"unknown"`` where longitude is
        lazy; ``""`` without longitude.
    curvilinear : bool
        Whether latitude and longitude are two-dimensional.
    """

    resolution: dict[AxisName, float | None] = field(default_factory=dict)
    units: str = ""
    cells: dict[AxisName, int] = field(default_factory=dict)
    global_: bool = False
    orientation: str = ""
    lon_convention: str = ""
    curvilinear: bool = False

    @property
    def n_cells(self) -> int:
        """Number of cells of the plane; 1 without a space axis."""
        return int(np.prod(list(self.cells.values()), dtype=np.int64))

    def __str__(self) -> str:
        """Return one line."""
        if not self.cells:
            return "no horizontal grid"
        steps = [
            "irregular" if step is None else f"{abs(step):.4g}" for step in self.resolution.values()
        ]
        size = " x ".join(str(n) for n in self.cells.values()) + " cells"
        parts = [size]
        if any(step is not None for step in self.resolution.values()):
            parts.append(" x ".join(steps) + (f" {self.units}" if self.units else ""))
        elif not self.curvilinear:
            parts.append("irregular")
        if self.curvilinear:
            parts.append("curvilinear")
        if self.lon_convention:
            parts.append("global" if self.global_ else "regional")
        if self.orientation:
            parts.append(f"{'latitude' if self.lon_convention else 'y'} {self.orientation}")
        if self.lon_convention in ("0-360", "-180-180"):
            parts.append(f"longitude {self.lon_convention}")
        return ", ".join(parts)


def describe_grid(obj: xr.DataArray | xr.Dataset, axes: Axes) -> GridInfo:
    """Return what the coordinates say of the horizontal grid.

    Lazy coordinates are not computed.
    """
    letters: list[AxisName] = [axis for axis in ("Y", "X") if axis in axes.names]
    lat, lon = latitude(obj, axes), longitude(obj, axes)
    resolution: dict[AxisName, float | None] = {}
    orientation, units = "", ""
    for axis in letters:
        dim = axes.names[axis]
        # Of a bare dim `get` would return its numbers.
        one_d = obj.coords[dim] if dim in obj.coords else None  # noqa: SIM401
        angle = lat if axis == "Y" else lon
        if one_d is None and angle is not None and angle.ndim == 1:
            one_d = angle
        if one_d is None or one_d.chunks is not None:
            resolution[axis] = None
            if (
                axis == "Y"
                and lat is not None
                and lat.chunks is None
                and lat.size
                and dim in lat.dims
            ):
                south, north = (float(lat.isel({dim: at}).mean()) for at in (0, -1))
                orientation = "descending" if north < south else "ascending"
            continue
        on_circle = axis == "X" and angle is not None and angle.ndim == 1
        resolution[axis] = spacing(unwrap(one_d.values) if on_circle else one_d.values)
        units = "deg" if angle is not None and angle.ndim == 1 else one_d.attrs.get("units", "")
        if axis == "Y" and one_d.size > 1 and one_d.dtype.kind in "iuf":
            orientation = "descending" if one_d.values[-1] < one_d.values[0] else "ascending"
    convention, around = "", False
    if lon is not None:
        around = lon.ndim == 1 and lon.chunks is None and is_global(lon.values)
        convention = "unknown" if lon.chunks is not None else lon_convention(lon.values)
    return GridInfo(
        resolution=resolution,
        units=str(units),
        cells={axis: obj.sizes[axes.names[axis]] for axis in letters},
        global_=around,
        orientation=orientation,
        lon_convention=convention,
        curvilinear=axes.curvilinear,
    )


def _monotonic(centres: ArrayLike) -> Floats:
    """Return float64 centres, or raise unless there are two or more that run one way."""
    middle = np.asarray(centres, dtype=np.float64)
    if middle.ndim != 1 or middle.size < 2:
        raise InputError(
            f"a coordinate of shape {middle.shape} has no cell edges; expected two or more "
            "centres in one dimension: one centre alone says nothing of its width"
        )
    steps = np.diff(middle)
    if not ((steps > 0).all() or (steps < 0).all()):
        at = int(np.flatnonzero(~(np.sign(steps) == np.sign(steps[0])))[0]) if steps[0] else 0
        raise InputError(
            f"a coordinate goes from {middle[at]:g} to {middle[at + 1]:g} at position {at}; "
            "expected centres that strictly ascend or descend: sort them with obj.sortby(...)"
        )
    return middle


def unwrap(lon: ArrayLike) -> NDArray[np.generic]:
    """Return longitudes without the jump of 360 at the date line or at Greenwich."""
    degrees = np.asarray(lon)
    if degrees.ndim != 1 or degrees.size < 2 or degrees.dtype.kind not in "iuf":
        return degrees
    # The turn counts are whole numbers, so the dtype's rounding stays what it was.
    turns = np.cumsum(np.round(np.diff(degrees.astype(np.float64)) / FULL_CIRCLE))
    if not turns.any():
        return degrees
    unwrapped = degrees.astype(np.float64) - FULL_CIRCLE * np.concatenate([[0.0], turns])
    return unwrapped.astype(degrees.dtype) if degrees.dtype.kind == "f" else unwrapped


def _angle(
    obj: xr.DataArray | xr.Dataset,
    axes: Axes,
    axis: AxisName,
    key: str,
    names: tuple[str, ...],
) -> xr.DataArray | None:
    """Return the 2-D coordinate over both space dims, else the 1-D one along `axis`."""
    if axis not in axes.names:
        return None
    by_cf = [name for name in axes.marked.get(key, ()) if name in obj.coords]
    by_name = [str(name) for name in obj.coords if str(name).lower() in names]
    rotated = [
        str(name)
        for name, coord in obj.coords.items()
        if coord.attrs.get("standard_name") == f"grid_{key}" or str(name).lower() == f"r{key[:3]}"
    ]
    claimed = axes.coords.get(axis)
    by_units = (
        [claimed]
        if claimed is not None
        and str(obj.coords[claimed].attrs.get("units", "")).lower().startswith("degree")
        else []
    )
    candidates = [obj.coords[name] for name in [*by_cf, *by_name, *by_units, *rotated]]
    planes = (set(axes.space), {axes.names[axis]})
    for dims in planes:
        for coord in candidates:
            if set(coord.dims) == dims and coord.dtype.kind in "iuf":
                return coord
    return None
