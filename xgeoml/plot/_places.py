"""Which cells of a grid, or which stations, a series is drawn of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.exceptions import InputError, did_you_mean
from xgeoml.grid import latitude, longitude
from xgeoml.plot._choose import Chosen, in_pieces
from xgeoml.plot._maps import degrees_text
from xgeoml.provenance import FILLED

At = Mapping[str, Any] | Literal["mean"] | None

# Series that find room below each other.
_MOST = 8
# Of the most filled values that a cell has: such cells count as filled most often, too.
_NEARLY = 0.9
# How far from the nearest cell a place may lie, in cells.
_BEYOND = 1.0


class Place(NamedTuple):
    """Where a series is.

    Attributes
    ----------
    where : dict
        Dim -> position.
    label : str
    """

    where: dict[str, int]
    label: str


def places_at(chosen: Chosen, at: Mapping[str, Any] | None) -> list[Place]:
    """Return the places that a user asked for, or the one that tells most.

    Raises
    ------
    InputError
        If there is no such coordinate, or it has no such value.
    """
    free = free_dims(chosen)
    if at is None:
        return [_place(chosen, best_place(chosen, free))]
    keys = {_coordinate(chosen, key): _listed(key, value) for key, value in at.items()}
    counts = {len(v) for v in keys.values()} - {1}
    if len(counts) > 1:
        raise InputError(f"at={dict(at)!r}: expected values of one number, found {sorted(counts)}")
    many = max([1, *counts])
    if many > _MOST:
        raise InputError(f"at={dict(at)!r:.80} asks for {many} series; expected {_MOST} or fewer")
    made = []
    for k in range(many):
        wanted = {name: v[k % len(v)] for name, v in keys.items()}
        where = _positions(chosen, wanted)
        left = [d for d in free if d not in where]
        made.append(_place(chosen, where | best_place(chosen, left, where)))
    return made


def free_dims(chosen: Chosen) -> list[str]:
    """Return the dims that a series has not, but for the members of an ensemble."""
    return [str(d) for d in chosen.data.dims if d not in (chosen.time, "member")]


def best_place(
    chosen: Chosen, free: Sequence[str], where: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Return the position, nearest to the middle, among those with the most filled values.

    Without filled values those with the most known ones. Of lazy data only the chunk in the middle
    is computed, if it holds anything.
    """
    if not free:
        return {}
    where, chosen = where or {}, in_pieces(chosen)
    data = chosen.data.isel(where)
    known = data.notnull() if chosen.flag is None else chosen.flag.isel(where) == FILLED
    start = dict.fromkeys(free, 0)
    if data.chunks is not None:
        start, part = _middle_chunk(data, free)
        few = _counted(known.isel(part), free)
        if not few.any():
            few = _counted(data.isel(part).notnull(), free)
        if few.any():
            return _nearest(few, free, start, data)
        start = dict.fromkeys(free, 0)
    count = _counted(known, free)
    if not count.any():
        count = _counted(data.notnull(), free)
    return _nearest(count, free, start, data)


def _counted(known: xr.DataArray, free: Sequence[str]) -> NDArray[np.int64]:
    others = [d for d in known.dims if d not in free]
    return np.asarray(known.sum(others).transpose(*free).values)


def _nearest(
    count: NDArray[np.int64], free: Sequence[str], start: Mapping[str, int], data: xr.DataArray
) -> dict[str, int]:
    cells = np.argwhere(count >= _NEARLY * count.max())
    first = np.array([start[d] for d in free])
    middle = np.array([(data.sizes[d] - 1) / 2 for d in free])
    nearest = cells[np.argmin(((cells + first - middle) ** 2).sum(1))] + first
    return {d: int(i) for d, i in zip(free, nearest, strict=True)}


def _middle_chunk(
    data: xr.DataArray, free: Sequence[str]
) -> tuple[dict[str, int], dict[str, slice]]:
    """Return where the chunk in the middle begins, and the chunk."""
    start, part = {}, {}
    for dim in free:
        ends = np.cumsum(data.chunksizes[dim])
        which = int(np.searchsorted(ends, data.sizes[dim] // 2, side="right"))
        start[dim] = int(ends[which] - data.chunksizes[dim][which])
        part[dim] = slice(start[dim], int(ends[which]))
    return start, part


def _coordinate(chosen: Chosen, key: str) -> str:
    """Return the coordinate or dim that a key means."""
    data = chosen.data
    if key in data.coords or key in data.dims:
        if key == chosen.time:
            raise InputError(f"at= has {key!r}, along which the series is drawn; expected a place")
        return key
    for words, find in (("latitude", latitude), ("longitude", longitude)):
        coord = find(data, chosen.axes) if len(key) > 2 and words.startswith(key.lower()) else None
        if coord is not None:
            return str(coord.name)
    known = [str(n) for n in (*data.coords, *data.dims) if n != chosen.time]
    near = did_you_mean(key, known) or list(dict.fromkeys(known))
    raise InputError(f"at= has {key!r}, which {chosen.name!r} has not; expected such as {near}")


def _listed(key: str, value: Any) -> list[Any]:
    """Return one value or several as a list."""
    flat = value.values if isinstance(value, xr.DataArray) else value
    if isinstance(flat, str) or np.ndim(flat) == 0:
        return [flat[()] if isinstance(flat, np.ndarray) else flat]
    if np.ndim(flat) != 1 or len(flat) == 0:
        raise InputError(f"at= has {key!r}: {value!r:.60}; expected a value, or a list of values")
    return list(flat)


def _positions(chosen: Chosen, wanted: Mapping[str, Any]) -> dict[str, int]:
    """Return the positions nearest to values of coordinates."""
    data = chosen.data
    made: dict[str, int] = {}
    pair = _north_and_east(data, wanted)
    for name in wanted:
        if name in data.coords and data[name].ndim == 2 and name not in pair:
            raise InputError(
                f"at= has {name!r} of a curvilinear grid; expected latitude and longitude both"
            )
    if pair:
        made |= _in_plane([data[n] for n in pair], [wanted[n] for n in pair])
    for name, value in wanted.items():
        if name not in pair:
            dim, position = _along(chosen, name, value)
            if dim in made:
                raise InputError(f"at= has {list(wanted)}, two of which lie along {dim!r}")
            made[dim] = position
    return made


def _north_and_east(data: xr.DataArray, wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """Return latitude and longitude where both have the same dims: curvilinear, or of stations."""
    there = [n for n in wanted if n in data.coords and n not in data.dims]
    north = [n for n in there if _is_angle(data[n], "latitude", "north")]
    east = [n for n in there if _is_angle(data[n], "longitude", "east")]
    if len(north) == len(east) == 1 and set(data[north[0]].dims) == set(data[east[0]].dims):
        return north[0], east[0]
    return ()


def _is_angle(coord: xr.DataArray, name: str, side: str) -> bool:
    told = str(coord.name).lower(), coord.attrs.get("standard_name"), coord.attrs.get("units", "")
    return told[0].startswith(name[:3]) or told[1] == name or str(told[2]).endswith(side)


def _along(chosen: Chosen, name: str, value: Any) -> tuple[str, int]:
    """Return a dim, and the position where its coordinate is nearest to a value."""
    data = chosen.data
    if name not in data.coords:
        size = data.sizes[name]
        if not isinstance(value, (int, np.integer)) or not -size <= value < size:
            raise InputError(
                f"at={{{name!r}: {value!r}}}: {name!r} has no coordinate; expected a position, "
                f"0 to {size - 1}"
            )
        return name, int(value) % size
    coord = data[name]
    if coord.ndim != 1 or coord.dims[0] == chosen.time:
        raise InputError(f"at= has {name!r} with the dims {coord.dims}; expected one, of places")
    dim, values = str(coord.dims[0]), coord.values
    if values.dtype.kind not in "iuf":
        same = np.flatnonzero(values.astype(str) == str(value))
        if not len(same):
            near = did_you_mean(value, values) or [str(v) for v in values[:5]]
            raise InputError(f"at={{{name!r}: {value!r}}}: expected such as {near}")
        return dim, int(same[0])
    if not isinstance(value, (int, float, np.number)) or not np.isfinite(value):
        raise InputError(f"at={{{name!r}: {value!r}}}: expected a number")
    apart = np.abs(_apart(chosen, name, values.astype(np.float64), float(value)))
    nearest = int(np.nanargmin(apart))
    cell = np.abs(np.diff(np.sort(values.astype(np.float64))))
    if len(cell) and apart[nearest] > _BEYOND * cell.max() and dim in chosen.axes.space:
        raise InputError(
            f"at={{{name!r}: {value!r}}} lies outside of the grid; expected a value from "
            f"{values.min():g} to {values.max():g}"
        )
    return dim, nearest


def _apart(
    chosen: Chosen, name: str, values: NDArray[np.float64], value: float
) -> NDArray[np.float64]:
    """Return how far values are from another; of longitudes the short way round."""
    lon = longitude(chosen.data, chosen.axes)
    if lon is not None and lon.name == name:
        return np.asarray((values - value + 180.0) % 360.0 - 180.0)
    return values - value


def _in_plane(coords: Sequence[xr.DataArray], wanted: Sequence[Any]) -> dict[str, int]:
    """Return the position nearest to a place, given latitudes and longitudes."""
    for coord, value in zip(coords, wanted, strict=True):
        if not isinstance(value, (int, float, np.number)):
            raise InputError(f"at={{{coord.name!r}: {value!r}}}: expected a number")
    dims = coords[0].dims
    y, x = (np.deg2rad(c.transpose(*dims).values.astype(np.float64)) for c in coords)
    at_y, at_x = (np.deg2rad(float(v)) for v in wanted)
    # Cosine of the angle between the two places.
    near = np.sin(y) * np.sin(at_y) + np.cos(y) * np.cos(at_y) * np.cos(x - at_x)
    best = np.unravel_index(int(np.nanargmax(near)), near.shape)
    return {str(d): int(i) for d, i in zip(dims, best, strict=True)}


def _place(chosen: Chosen, where: dict[str, int]) -> Place:
    """Return a place with what it is in words."""
    data = chosen.data.isel(where)
    lat, lon = (find(chosen.data, chosen.axes) for find in (latitude, longitude))
    told, spoken = [], set()
    for axis, coord in (("Y", lat), ("X", lon)):
        if coord is not None and set(coord.dims) <= set(where):
            here = float(data[coord.name])
            told.append(degrees_text(round(here, 3), axis))
            spoken |= set(coord.dims)
    for dim, position in where.items():
        if dim not in spoken:
            value = data[dim].values if dim in data.coords else position
            told.append(
                f"{dim} {value:g}"
                if np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iuf"
                else f"{dim} {value}"
            )
    return Place(where, ", ".join(told))
