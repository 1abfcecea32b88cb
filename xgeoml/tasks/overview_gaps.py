"""The gaps of a variable: whole steps, cells that are never seen, and what is scattered.

A look, not an audit: lazy data are not read, and large ones only in part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.tasks.values import in_numbers

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

# Columns of a strip, at most.
COLUMNS = 120
# Values that are looked at, at most, and values that are read from a file for it.
SAMPLE = 2_000_000
IN_FILE = 10_000_000
# Cells of the piece in which the size of gaps is measured.
_PIECE = 96 * 96


@dataclass(frozen=True, eq=False)
class Timeline:
    """The steps of a variable, absent ones included.

    Attributes
    ----------
    dim : str
    index : ndarray of int, (time,)
        Place of each step of the data among all.
    stamps : ndarray, (full time,)
        Of all steps: dates, lengths of time or numbers.
    shown : int
        How many characters of a date tell it.
    unit : str
        Of numbers.
    """

    dim: str
    index: NDArray[np.int64]
    stamps: NDArray[Any]
    shown: int = 19
    unit: str = ""

    @property
    def count(self) -> int:
        """How many steps there are, absent ones included."""
        return len(self.stamps)

    def label(self, step: int) -> str:
        """Return a step in words."""
        stamp = self.stamps[step]
        if self.stamps.dtype.kind == "m":
            return f"{stamp / np.timedelta64(1, 's'):.6g} s"
        if self.stamps.dtype.kind in "iuf":
            return f"{stamp:.6g} {self.unit}".strip()
        return str(stamp).replace(" ", "T")[: self.shown]


@dataclass(frozen=True)
class Strip:
    """Shares along time, of a few columns of steps; what they lack to 1 is scattered.

    Attributes
    ----------
    seen : tuple of float
        What is observed, of all cells that are ever seen.
    empty, absent : tuple of float
        Steps at which nothing is seen, and steps that are not there.
    first, last : tuple of str
        First and last step of each column, in words.
    """

    seen: tuple[float, ...]
    empty: tuple[float, ...]
    absent: tuple[float, ...]
    first: tuple[str, ...]
    last: tuple[str, ...]


@dataclass(frozen=True)
class Gaps:
    """What a variable lacks.

    Attributes
    ----------
    variable, units : str
    sizes : dict
    unread : str
        Why its values are not known; empty if they are.
    about : bool
        Whether only a part was looked at.
    missing : float or None
        Share of the values of cells that are ever seen, those of absent steps included; without a
        time axis of all values. 1 if there is no value; None if it is not known.
    steps, absent : int
        All steps, and those that are not there; 0 without a time axis.
    empty, longest : int
        Steps at which nothing is seen, and the longest run of these and absent ones.
    never : float
        Share of the cells that are seen at no step: land, what lies beyond an edge.
    scattered : float
        Share that is missing of the other cells, at steps with any value: clouds.
    long, wide : int or tuple of int
        Of a typical scattered gap: steps, and cells along Y and X; 0 and empty if there is none.
    on_grid : bool
        Whether the cells are those of a map.
    strip : Strip or None
    """

    variable: str
    units: str
    sizes: dict[str, int]
    unread: str = ""
    about: bool = False
    missing: float | None = None
    steps: int = 0
    absent: int = 0
    empty: int = 0
    longest: int = 0
    never: float = 0.0
    scattered: float = 0.0
    long: int = 0
    wide: tuple[int, ...] = ()
    on_grid: bool = False
    strip: Strip | None = None

    @property
    def fillable(self) -> bool | None:
        """Whether there is anything to fill; None if that is not known."""
        if self.missing == 1:
            return False
        if self.absent or self.empty or self.scattered:
            return True
        return None if self.unread else False


def gaps_of(
    array: xr.DataArray, name: str, space: tuple[str, ...], timeline: Timeline | None
) -> Gaps:
    """Return what a variable lacks.

    Parameters
    ----------
    array : DataArray
        Of real numbers.
    name : str
        What it is called.
    space : tuple of str
        Dims of the map, Y before X.
    timeline : Timeline, optional
        Its steps; None if it has no time axis.
    """
    here = tuple(d for d in space if d in array.dims)
    absent = 0 if timeline is None else timeline.count - len(timeline.index)
    known: dict[str, Any] = {
        "variable": name,
        "units": str(array.attrs.get("units", "")),
        "sizes": {str(d): n for d, n in array.sizes.items()},
        "steps": 0 if timeline is None else timeline.count,
        "absent": absent,
        "on_grid": bool(here),
    }
    if unread := _why_unread(array):
        return Gaps(**known, unread=unread)
    if array.size == 0:
        return Gaps(**known, missing=0.0)
    array = _in_memory(array)
    if timeline is None:
        present, about = _present(array, None)
        return Gaps(**known, about=about, missing=float(1 - present.mean()))
    present, about = _present(array, timeline.dim)
    return Gaps(**known, about=about, **_along_time(array, here, timeline, present))


def _along_time(
    array: xr.DataArray, space: tuple[str, ...], timeline: Timeline, present: Bools
) -> dict[str, Any]:
    """Return what is told of gaps with a time axis, from the sample (time, cells)."""
    ever = int(present.any(axis=0).sum())
    share = present.sum(axis=1) / max(ever, 1)
    every = -(-array.sizes[timeline.dim] // len(share))
    share = np.repeat(share, every)[: array.sizes[timeline.dim]]
    seen = np.zeros(timeline.count)
    seen[timeline.index] = share
    lost = seen == 0
    absent = np.ones(timeline.count, np.bool_)
    absent[timeline.index] = False
    scattered = 1 - float(share[share > 0].mean()) if ever else 0.0
    long, wide = _typical(array, space, timeline.dim) if scattered else (0, ())
    return {
        "missing": float(1 - seen.mean()),
        "empty": int((lost & ~absent).sum()),
        "longest": int(_runs(lost[None]).max(initial=0)),
        "never": 1 - ever / present.shape[1],
        # Of many values a mean of ones may end beside one.
        "scattered": scattered if scattered > 1e-9 else 0.0,
        "long": long,
        "wide": wide,
        "strip": _strip(seen, lost & ~absent, absent, timeline),
    }


def _why_unread(array: xr.DataArray) -> str:
    """Return why values are not looked at: a repr computes nothing, and reads no large file."""
    if array.chunks is not None:
        return "lazy: not read"
    if _is_loaded(array):
        return ""
    source = array.encoding.get("source")
    if isinstance(source, str) and Path(source).exists() and array.size <= IN_FILE:
        return ""
    return f"not in memory ({array.nbytes / 1e6:.0f} MB): not read, .load() it to see"


def _is_loaded(array: xr.DataArray) -> bool:
    """Whether the values are in memory: those of an open file are read when they are asked for."""
    return bool(array.variable._in_memory)


def _in_memory(array: xr.DataArray) -> xr.DataArray:
    """Return an array with its values, which the one given does not keep."""
    return array if _is_loaded(array) else array.copy(data=array.variable[...].values)


def _present(array: xr.DataArray, time: str | None) -> tuple[Bools, bool]:
    """Return which values of a sample are there, (time, cells), and whether it is not all of them.

    Every third cell, say, at all steps; of very long records every third step, too.
    """
    cells = [d for d in array.dims if d != time]
    steps = 1 if time is None else array.sizes[time]
    every: dict[Any, int] = dict.fromkeys(array.dims, 1)
    while _size(array, cells, every) * steps > SAMPLE and _size(array, cells, every) > 64:
        widest = max(cells, key=lambda d: array.sizes[d] / every[d])
        every[widest] += 1
    if time is not None:
        every[time] = -(-_size(array, cells, every) * steps // SAMPLE)
    some = array.isel({d: slice(None, None, k) for d, k in every.items()})
    numbers = in_numbers(some, f"variable {array.name!r}")
    there = numbers.notnull()
    if time is not None:
        there = there.transpose(time, ...)
    values = there.values.reshape(there.sizes[time] if time else 1, -1)
    return values, any(k > 1 for k in every.values())


def _size(array: xr.DataArray, dims: list[Any], every: dict[Any, int]) -> int:
    size = 1
    for dim in dims:
        size *= -(-array.sizes[dim] // every[dim])
    return size


def _typical(array: xr.DataArray, space: tuple[str, ...], time: str) -> tuple[int, tuple[int, ...]]:
    """Return the size of the gap in which the median of the scattered missing values lies.

    Measured in a piece in the middle: in a sample of every third cell gaps have no size.
    """
    others = [str(d) for d in array.dims if d != time]
    along = [d for d in others if not space or d in space]
    most = dict.fromkeys(others, 1) | dict.fromkeys(along, int(_PIECE ** (1 / max(len(along), 1))))
    most[time] = SAMPLE // math.prod(min(array.sizes[d], n) for d, n in most.items())
    middle = {d: max((array.sizes[d] - n) // 2, 0) for d, n in most.items()}
    piece = array.isel({d: slice(at, at + most[d]) for d, at in middle.items()})
    lost = in_numbers(piece, f"variable {array.name!r}").isnull().transpose(..., time)
    values = lost.values
    never, empty = values.all(axis=-1), values.reshape(-1, values.shape[-1]).all(axis=0)
    scattered = values & ~np.expand_dims(never, -1) & ~empty
    if not scattered.any():
        return 0, ()
    moved = (np.moveaxis(scattered, lost.dims.index(dim), -1) for dim in (time, *space))
    long, *wide = (int(np.median(_runs(np.ascontiguousarray(m)))) for m in moved)
    return long, tuple(wide)


def _runs(lost: Bools) -> NDArray[np.int64]:
    """Return, for every true value, how many in a row there are along the last axis."""
    # One more cell, after each row, parts its last run from the first of the next.
    rows, count = math.prod(lost.shape[:-1]), lost.shape[-1]
    flat = np.zeros(1 + rows * (count + 1), np.bool_)
    flat[1:].reshape(rows, count + 1)[:, :-1] = lost.reshape(rows, count)
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    length = edges[1::2] - edges[::2]
    return np.repeat(length, length)


def _strip(seen: Floats, empty: Bools, absent: Bools, timeline: Timeline) -> Strip:
    """Return the shares of a few columns of steps."""
    columns = min(COLUMNS, len(seen))
    edges = np.linspace(0, len(seen), columns + 1).round().astype(np.int64)
    length = np.diff(edges)

    def shares(values: NDArray[Any]) -> tuple[float, ...]:
        return tuple((np.add.reduceat(values.astype(float), edges[:-1]) / length).tolist())

    return Strip(
        seen=shares(seen),
        empty=shares(empty),
        absent=shares(absent),
        first=tuple(timeline.label(i) for i in edges[:-1]),
        last=tuple(timeline.label(i - 1) for i in edges[1:]),
    )
