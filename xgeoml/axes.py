"""Which dimension is X, Y, Z or T, and how that was found.

The ladder, first rung that answers wins, axis by axis:

1. ``dims=`` given by the user;
2. the ``axis`` attribute, then the other CF marks of an axis (``standard_name`` ...);
3. CF latitude, longitude, vertical and time coordinates, by ``standard_name``, then by ``units``;
4. one-dimensional coordinates that are not the dimension's own, e.g. ``lat(y)``;
5. two-dimensional latitude and longitude: their two index dimensions;
6. the dtype: datetime64 or cftime is T;
7. names in common use, in full: cf_xarray's own guess matches beginnings of words, which makes
   X of a dimension called ``index`` and T of one called ``minimum``.

Only attributes, dtypes and names are read; values are read of one-dimensional coordinates and of
those two-dimensional ones that are in memory.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias, cast

import cf_xarray  # noqa: F401  registers .cf
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from xgeoml.exceptions import AxisError, instead_of

__all__ = ["Axes", "AxisName", "find_axes", "is_cftime", "require"]

AxisName: TypeAlias = Literal["X", "Y", "Z", "T"]
LETTERS: tuple[AxisName, ...] = ("X", "Y", "Z", "T")

# Names in common use, the surest first: a later tuple counts only if no earlier one answers.
_NAMES: dict[AxisName, tuple[tuple[str, ...], ...]] = {
    "X": (
        ("lon", "longitude", "lons", "nav_lon", "long"),
        ("x", "xc", "rlon", "nlon", "projection_x_coordinate", "west_east", "xi_rho", "easting"),
        ("i", "ni"),
    ),
    "Y": (
        ("lat", "latitude", "lats", "nav_lat"),
        (
            "y",
            "yc",
            "rlat",
            "nlat",
            "projection_y_coordinate",
            "south_north",
            "eta_rho",
            "northing",
        ),
        ("j", "nj"),
    ),
    "Z": (
        ("level", "lev", "plev", "depth", "height", "altitude", "pressure", "pressure_level"),
        ("z", "zc", "levels", "isobaricinhpa", "model_level", "hybrid", "sigma", "bottom_top"),
        ("deptht", "depthu", "depthv", "depthw", "s_rho", "nlev", "olevel"),
    ),
    "T": (
        ("time", "t"),
        ("valid_time", "date", "datetime", "date_time", "times", "time_counter", "ocean_time"),
        ("month", "year", "day", "hour", "week", "doy", "dayofyear", "day_of_year", "yyyymm"),
    ),
}
_COORDINATES: dict[str, AxisName] = dict(
    zip(("longitude", "latitude", "vertical", "time"), LETTERS, strict=True)
)
_DEGREES = re.compile(r"degrees?[\s_]*(?P<side>n|north|e|east)", re.IGNORECASE)


@dataclass(frozen=True)
class Axes:
    """The axes of one object.

    Attributes
    ----------
    names : dict
        Axis letter -> dimension; letters that were not found are absent.
    how : dict
        Axis letter -> how it was found, in words.
    coords : dict
        Axis letter -> the coordinate variable that describes it; absent for a bare dimension.
    others : tuple of str
        The remaining dimensions, in the object's order: station, basin, region, member ...
    curvilinear : bool
        Whether X and Y are the index dimensions of two-dimensional latitude and longitude.
    seen : tuple of str
        Each dimension in words, for error messages.
    marked : dict
        ``"latitude"`` and ``"longitude"`` -> the coordinates that CF attributes say are these.
    """

    names: dict[AxisName, str]
    how: dict[AxisName, str]
    coords: dict[AxisName, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    curvilinear: bool = False
    seen: tuple[str, ...] = ()
    marked: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def get(self, axis: AxisName) -> str | None:
        """Return the dimension of an axis, or None."""
        return self.names.get(axis)

    @property
    def space(self) -> tuple[str, ...]:
        """The horizontal dimensions that are there, Y before X."""
        return tuple(self.names[axis] for axis in ("Y", "X") if axis in self.names)

    def __repr__(self) -> str:
        """Return one line an axis."""
        lines = [
            f"{axis}: {self.names[axis]} ({self.how[axis]})" if axis in self.names else f"{axis}: -"
            for axis in LETTERS
        ]
        if self.others:
            lines.append(f"others: {', '.join(self.others)}")
        return "\n".join(lines)


class _Claim(NamedTuple):
    """A reason to take dimension `dim` for `axis`; a lower `rank` is surer."""

    rank: float
    axis: AxisName
    dim: str
    coord: str | None
    how: str


def find_axes(obj: xr.DataArray | xr.Dataset, dims: Mapping[str, str] | None = None) -> Axes:
    """Find which dimension of `obj` is X, Y, Z and T.

    Parameters
    ----------
    obj
        Any dims in any order.
    dims
        The user's word, axis letter -> dimension, e.g. ``{"T": "date"}``; beats everything else.

    Returns
    -------
    Axes

    Raises
    ------
    AxisError
        If `dims` names an axis or a dimension that does not exist, if two dimensions are
        equally good candidates for an axis, if a name is no text, or if a length is unknown.

    Examples
    --------
    >>> import xarray as xr
    >>> print(find_axes(xr.DataArray([[1.0]], dims=("lat", "station"))))
    X: -
    Y: lat (guessed from the name)
    Z: -
    T: -
    others: station
    """
    _check_dimensions(obj)
    given = _check_dims(obj, dims or {})
    claims = [_Claim(0, axis, dim, _own(obj, dim), "dims=") for axis, dim in given.items()]
    told = _without_data(obj).cf
    marked = {key: tuple(map(str, names)) for key, names in told.coordinates.items()}
    claims += _attribute_claims(obj, told.axes, marked)
    plane = _plane(obj, marked)
    if plane is not None:
        how = "index dimension of 2-D latitude and longitude"
        claims += [_Claim(6, axis, dim, name, how) for axis, (dim, name) in plane.items()]
    claims += _dtype_claims(obj)
    claims += _name_claims(obj)

    found: dict[AxisName, _Claim] = {}
    for rank in sorted({claim.rank for claim in claims}):
        taken = {claim.dim for claim in found.values()}
        level = [claim for claim in claims if claim.rank == rank and claim.axis not in found]
        for axis in LETTERS:
            candidates = {
                claim.dim: claim for claim in level if claim.axis == axis and claim.dim not in taken
            }
            if len(candidates) > 1:
                raise _ambiguous(axis, list(candidates.values()))
            for dim, claim in candidates.items():
                found[axis] = claim
                taken.add(dim)

    names = {axis: found[axis].dim for axis in LETTERS if axis in found}
    return Axes(
        names=names,
        how={axis: found[axis].how for axis in names},
        coords={axis: coord for axis in names if (coord := found[axis].coord) is not None},
        others=tuple(str(dim) for dim in obj.dims if dim not in names.values()),
        curvilinear=plane is not None
        and {dim for dim, _ in plane.values()} == {names.get("X"), names.get("Y")},
        seen=tuple(_describe(obj, str(dim)) for dim in obj.dims),
        marked=marked,
    )


def require(axes: Axes, *wanted: AxisName, purpose: str = "this task") -> tuple[str, ...]:
    """Return the dimensions of the axes `wanted`.

    Parameters
    ----------
    axes
        What `find_axes` found.
    *wanted
        Axis letters.
    purpose
        What needs them, for the message.

    Raises
    ------
    AxisError
        If one is missing; shows what was tried and two ways out.
    """
    missing = [axis for axis in wanted if axis not in axes.names]
    if not missing:
        return tuple(axes.names[axis] for axis in wanted)
    axis = missing[0]
    taken = [f"{name!r} is {letter} ({axes.how[letter]})" for letter, name in axes.names.items()]
    example = axes.others[0] if axes.others else "my_dim"
    raise AxisError(
        f"{purpose} needs {'an' if axis == 'X' else 'a'} {axis} axis, and none was found. "
        f"The dimensions are: {'; '.join(axes.seen) or 'none at all'}. "
        f"{('Found: ' + '; '.join(taken) + '. ') if taken else ''}"
        "Tried: dims=, the axis attribute, standard_name, units, 2-D latitude and longitude, "
        "the dtype (datetime64, cftime), and names such as "
        f"{', '.join(repr(name) for name in _NAMES[axis][0][:3])}. "
        f'Either pass dims={{"{axis}": "{example}"}}, '
        f'or say so in the data: obj["{example}"].attrs["axis"] = "{axis}".'
    )


def is_cftime(values: ArrayLike) -> bool:
    """Whether an array of objects holds cftime dates, judged by its first entry."""
    array = np.asarray(values)
    if array.dtype != object or array.size == 0:
        return False
    # Not isinstance: cftime is optional, and nobody without it can hold such a date.
    return type(array.flat[0]).__module__.startswith("cftime")


def _check_dimensions(obj: xr.DataArray | xr.Dataset) -> None:
    """Raise unless dimensions have lengths, and names that CF attributes can speak of."""
    for name in (*obj.dims, *obj.coords):
        if not isinstance(name, str):
            raise AxisError(
                f"a dimension or coordinate is called {name!r}, of type {type(name).__name__}; "
                f"expected text. Type obj = obj.rename({{{name!r}: 'my_name'}})"
            )
    for name, size in obj.sizes.items():
        along = obj.coords[name].dims if name in obj.coords else (name,)
        if name not in along:
            raise AxisError(
                f"coordinate {name!r} has the dims {along}, and a dimension is called so, too; "
                f"expected one of a name. Type obj = obj.rename_dims({name}='my_dim')"
            )
        if np.isnan(size):
            raise AxisError(
                f"dimension {name!r} is of unknown length, in dask chunks of unknown size; "
                "expected known ones: obj = obj.compute(), or compute_chunk_sizes() of the array"
            )


def _check_dims(obj: xr.DataArray | xr.Dataset, dims: Mapping[str, str]) -> dict[AxisName, str]:
    """Return `dims` if every axis and every dimension in it exists."""
    present = [str(dim) for dim in obj.dims]
    for axis, dim in dims.items():
        if axis not in LETTERS:
            if str(axis).upper() in LETTERS:
                cure = f'dims={{"{str(axis).upper()}": "{dim}"}}'
            elif axis in present and dim in LETTERS:
                cure = f'dims={{"{dim}": "{axis}"}}: the letter first, then the dimension'
            else:
                cure = 'e.g. dims={"T": "time"}'
            raise AxisError(f"dims= has the axis {axis!r}; expected X, Y, Z or T. Type {cure}")
        if dim not in present:
            raise AxisError(
                f'dims={{"{axis}": {dim!r}}} names a dimension that is not there: '
                f"{instead_of(dim, present)}"
            )
    twice = [dim for dim in set(dims.values()) if list(dims.values()).count(dim) > 1]
    if twice:
        raise AxisError(f"dims= gives {twice[0]!r} to two axes; expected one axis a dimension")
    return cast("dict[AxisName, str]", dict(dims))


def _without_data(obj: xr.DataArray | xr.Dataset) -> xr.Dataset:
    """Return what cf_xarray reads: on `obj` xarray would keep ``.cf``, and that `obj` in memory."""
    wide = {name: v for name, v in obj.coords.variables.items() if v.ndim > 1}
    if isinstance(obj, xr.Dataset):
        wide |= {name: v for name, v in obj.data_vars.variables.items() if "cf_role" in v.attrs}
    none = {n: v.copy(deep=False, data=np.broadcast_to(0.0, v.shape)) for n, v in wide.items()}
    made = obj.coords.to_dataset().assign(none)
    made.attrs, made.encoding = obj.attrs, obj.encoding
    return made


def _own(obj: xr.DataArray | xr.Dataset, dim: str) -> str | None:
    """Return the name of the dimension's own coordinate, or None."""
    return dim if dim in obj.coords else None


def _along(obj: xr.DataArray | xr.Dataset) -> Iterator[tuple[str, str, xr.DataArray]]:
    """Yield (coordinate, its dimension, the array) of all one-dimensional coordinates.

    Levels of a stacked dimension are labels of points, not axes.
    """
    stacked = {name for name, index in obj.indexes.items() if isinstance(index, pd.MultiIndex)}
    for name, coord in obj.coords.items():
        if coord.ndim == 1 and name not in stacked:
            yield str(name), str(coord.dims[0]), coord


def _attribute_claims(
    obj: xr.DataArray | xr.Dataset,
    lettered: Mapping[AxisName, list[Hashable]],
    marked: Mapping[str, tuple[str, ...]],
) -> list[_Claim]:
    """Return what CF attributes say of one-dimensional coordinates."""
    marks: dict[str, list[tuple[float, str, AxisName]]] = {}
    for letter, names in lettered.items():
        for name in names:
            attrs = obj.coords[name].attrs if name in obj.coords else {}
            marks.setdefault(str(name), []).append((*_axis_reason(attrs), letter))
    for key, labels in marked.items():
        for name in labels:
            attrs = obj.coords[name].attrs if name in obj.coords else {}
            marks.setdefault(name, []).append((*_coordinate_reason(attrs), _COORDINATES[key]))

    own, lent = [], []
    for name, dim, coord in _along(obj):
        found = marks.get(name, [])
        units = str(coord.attrs.get("units", "")).strip()
        if (match := _DEGREES.fullmatch(units)) is not None:
            found.append((4.0, "units", "Y" if match["side"][0].lower() == "n" else "X"))
        if " since " in units:
            found.append((4.0, "units", "T"))
        for rank, how, axis in found:
            if name == dim:
                own.append(_Claim(rank, axis, dim, name, how))
            else:
                lent.append(_Claim(5, axis, dim, name, f"{how} of {name!r}"))
    return own + _not_points(obj, lent)


def _axis_reason(attrs: Mapping[str, object]) -> tuple[float, str]:
    """Return (rank, words) for a coordinate that cf_xarray takes for an axis."""
    if any(key in attrs for key in ("axis", "cartesian_axis", "grads_dim")):
        return 1.0, "CF axis attribute"
    named = [key for key in ("standard_name", "long_name", "_CoordinateAxisType") if key in attrs]
    return 2.0, named[0] if named else "CF"


def _coordinate_reason(attrs: Mapping[str, object]) -> tuple[float, str]:
    """Return (rank, words) for what cf_xarray takes for latitude, longitude, vertical or time."""
    for key in ("standard_name", "long_name"):
        if attrs.get(key) in ("latitude", "longitude", "time"):
            return 3.0, key
    if "units" in attrs and "positive" not in attrs:
        return 4.0, "units"
    return 4.0, "CF attributes"


def _not_points(obj: xr.DataArray | xr.Dataset, claims: list[_Claim]) -> list[_Claim]:
    """Drop the claims of a list of points: lat(station), height(station) make no axis."""
    kept = []
    for claim in claims:
        letters = {other.axis for other in claims if other.dim == claim.dim}
        own = obj.coords.get(claim.dim)
        labelled = own is not None and own.dtype.kind in "OUST"
        labelled |= claim.coord is not None and obj.coords[claim.coord].dtype.kind in "US"
        points = claim.axis != "T" and {"X", "Y"} <= letters
        if not (points or labelled) and claim.coord is not None and _monotonic(obj, claim.coord):
            kept.append(claim)
    return kept


def _monotonic(obj: xr.DataArray | xr.Dataset, name: str) -> bool:
    """Whether a coordinate is known to run one way; a lazy one is believed to."""
    variable = obj.coords[name].variable
    if variable.chunks is not None:
        return True
    values = variable.values
    return bool((values[1:] > values[:-1]).all() or (values[1:] < values[:-1]).all())


def _plane(
    obj: xr.DataArray | xr.Dataset, marked: Mapping[str, tuple[str, ...]]
) -> dict[AxisName, tuple[str, str]] | None:
    """Return {"X": (dim, longitude), "Y": (dim, latitude)} of a curvilinear grid."""
    flat = {str(name): coord for name, coord in obj.coords.items() if coord.ndim == 2}
    found: dict[str, list[str]] = {}
    for key, axis in (("longitude", LETTERS[0]), ("latitude", LETTERS[1])):
        by_cf = [name for name in marked.get(key, ()) if name in flat]
        by_name = [name for name in flat if name.lower() in _NAMES[axis][0]]
        found[key] = by_cf or by_name
    # Bounds may carry the same attributes, but never on the same two dims.
    pairs = [
        (lat, lon)
        for lat in found["latitude"]
        for lon in found["longitude"]
        if set(flat[lat].dims) == set(flat[lon].dims)
    ]
    if not pairs:
        return None
    lat, lon = (flat[name] for name in pairs[0])
    first, second = (str(dim) for dim in lat.dims)
    if _turned(lat.transpose(first, second), lon.transpose(first, second)):
        first, second = second, first
    return {"X": (second, pairs[0][1]), "Y": (first, pairs[0][0])}


def _turned(lat: xr.DataArray, lon: xr.DataArray) -> bool:
    """Whether the first of the two dims is X: by its name, else by where longitude changes most."""
    first, second = (str(dim).lower() for dim in lat.dims)
    east = {name for names in _NAMES["X"] for name in names}
    north = {name for names in _NAMES["Y"] for name in names}
    if first in east or second in north:
        return True
    if first in north or second in east or lat.chunks is not None or lon.chunks is not None:
        return False
    degrees = lon.values.astype(np.float64)
    change = [
        np.nanmean(np.abs((np.diff(degrees, axis=k) + 180.0) % 360.0 - 180.0))
        if degrees.shape[k] > 1 and np.isfinite(degrees).any()
        else 0.0
        for k in (0, 1)
    ]
    return bool(change[0] > change[1])


def _dtype_claims(obj: xr.DataArray | xr.Dataset) -> list[_Claim]:
    """Return the dims whose coordinate holds dates; among several, those called like a time."""
    own, lent = [], []
    for name, dim, coord in _along(obj):
        if coord.dtype.kind == "M":
            how = "datetime64 dtype"
        elif coord.variable.chunks is None and is_cftime(coord.values):
            how = "cftime dtype"
        else:
            continue
        if name == dim:
            own.append(_Claim(7, "T", dim, name, how))
        else:
            lent.append(_Claim(10, "T", dim, name, f"{how} of {name!r}"))
    called = [[claim for claim in own if claim.dim.lower() in names] for names in _NAMES["T"]]
    return next(filter(None, called), own) + _not_points(obj, lent)


def _name_claims(obj: xr.DataArray | xr.Dataset) -> list[_Claim]:
    """Return the dims, and the one-dimensional coordinates, that are called like an axis."""
    own, lent = [], []
    stacked = {name for name, index in obj.indexes.items() if isinstance(index, pd.MultiIndex)}
    for axis, levels in _NAMES.items():
        for step, names in enumerate(levels):
            own += [
                _Claim(8 + step / 10, axis, str(dim), _own(obj, str(dim)), "guessed from the name")
                for dim in obj.dims
                if str(dim).lower() in names and dim not in stacked
            ]
        lent += [
            _Claim(9, axis, dim, name, f"guessed from the name of {name!r}")
            for name, dim, _ in _along(obj)
            if name != dim and name.lower() in levels[0]
        ]
    return own + _not_points(obj, lent)


def _ambiguous(axis: AxisName, claims: list[_Claim]) -> AxisError:
    """Return the error for two equally good candidates."""
    listed = " and ".join(f"{claim.dim!r} ({claim.how})" for claim in claims)
    dim = claims[0].dim
    return AxisError(
        f"two dimensions could be the {axis} axis: {listed}; expected one. "
        f'Either pass dims={{"{axis}": "{dim}"}}, '
        f'or say so in the data: obj["{dim}"].attrs["axis"] = "{axis}".'
    )


def _describe(obj: xr.DataArray | xr.Dataset, dim: str) -> str:
    """Return a dimension in words: name, size, dtype and telling attributes of its coordinate."""
    size = obj.sizes[dim]
    if dim not in obj.coords:
        return f"{dim!r} ({size}, no coordinate)"
    coord = obj.coords[dim]
    told = [
        f"{key}={coord.attrs[key]!r}"
        for key in ("axis", "standard_name", "units")
        if key in coord.attrs
    ]
    return f"{dim!r} ({', '.join([str(size), str(coord.dtype), *told])})"
