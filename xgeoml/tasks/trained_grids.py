"""The two grids of the pairs that a model was fitted on, kept in its file."""

from __future__ import annotations

import itertools
import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.engine.handle import ModelHandle
from xgeoml.exceptions import InputError
from xgeoml.models.downscaling import Placement
from xgeoml.models.series import Bools, Floats
from xgeoml.tasks.placing import Grid

PREFIX = "grid:"
# Share of a cell by which coordinates of one grid may differ.
_SAME = 0.01


@dataclass(frozen=True)
class TrainedGrids:
    """The grids of the pairs that a model was fitted on.

    Attributes
    ----------
    y, x : ndarray
        Of the coarse grid: its coordinates, 2-D latitude and longitude where these are curvilinear;
        empty where it has none.
    placement : Placement
        Of the target's points.
    kept : ndarray of bool, (Y', X')
        Points at which the target ever had a value.
    share : ndarray, (Y', X'), or None
        Weights with which the coarse values are means of the target's; None where they are not.
    dims : tuple of str
        Of the target, Y and X.
    variables : dict
        The target's coordinates and bounds.
    seen : ndarray of bool, (Y, X)
        Coarse cells that ever had a value: where one of them is missing, so are its points.
    hours : bool
        Whether the hour of a stamp meant something: steps were shorter than a day.
    turned : tuple of slice
        Puts rows and columns of all others into the order of `variables`.
    """

    y: Floats
    x: Floats
    placement: Placement
    kept: Bools
    share: Floats | None
    dims: tuple[str, str]
    variables: dict[Hashable, xr.Variable]
    seen: Bools
    hours: bool
    turned: tuple[slice, slice]

    @classmethod
    def of(cls, handle: ModelHandle) -> TrainedGrids | None:
        """Return the grids in a model's file; None if there are none."""
        if handle.weights is None and handle.spec.weights is None:
            return None
        arrays = handle.arrays()
        if f"{PREFIX}about" not in arrays:
            return None
        about = json.loads(arrays[f"{PREFIX}about"].tobytes())
        variables: dict[Hashable, xr.Variable] = {
            name: xr.Variable(
                said["dims"], arrays[f"{PREFIX}coord:{name}"].astype(said["dtype"]), said["attrs"]
            )
            for name, said in about["variables"].items()
        }
        share = arrays[f"{PREFIX}share"].astype(np.float64)
        rows, columns = arrays[f"{PREFIX}rows"], arrays[f"{PREFIX}columns"]
        return cls(
            arrays[f"{PREFIX}y"],
            arrays[f"{PREFIX}x"],
            Placement(rows, columns, about["factor"]),
            arrays[f"{PREFIX}kept"].astype(bool),
            share if share.any() else None,
            (about["dims"][0], about["dims"][1]),
            variables,
            arrays[f"{PREFIX}seen"].astype(bool),
            about["hours"],
            (slice(None, None, about["turned"][0]), slice(None, None, about["turned"][1])),
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a file keeps of the grids."""
        about = {
            "dims": self.dims,
            "factor": self.placement.factor,
            "hours": self.hours,
            "turned": [cut.step for cut in self.turned],
            "variables": {
                str(name): {
                    "dims": list(v.dims),
                    "dtype": v.dtype.newbyteorder("=").str,
                    "attrs": _plain(v.attrs),
                }
                for name, v in self.variables.items()
            },
        }
        share = np.zeros(self.placement.shape) if self.share is None else self.share
        made: dict[str, Any] = {
            "about": np.frombuffer(json.dumps(about).encode(), np.uint8).copy(),
            "y": self.y,
            "x": self.x,
            "rows": self.placement.rows,
            "columns": self.placement.columns,
            "kept": self.kept.astype(np.uint8),
            "seen": self.seen.astype(np.uint8),
            "share": share.astype(np.float32),
        }
        made |= {f"coord:{n}": np.asarray(v.values) for n, v in self.variables.items()}
        native = {k: a.astype(a.dtype.newbyteorder("=")) for k, a in made.items()}
        # `ascontiguousarray` makes a list of a single number.
        return {
            f"{PREFIX}{k}": np.ascontiguousarray(a).reshape(np.shape(a)) for k, a in native.items()
        }

    def coords(self) -> dict[Hashable, xr.Variable]:
        """Return the target's coordinates and bounds."""
        return dict(self.variables)

    def order(self, grid: Grid, key: str) -> tuple[slice, slice]:
        """Return how to cut rows and columns of `grid` into the order of the coarse grid.

        Raises
        ------
        InputError
            If it is another grid.
        """
        found = self.find(grid)
        if found is not None:
            return found
        y, x = coordinates(grid)
        sizes = (self.y.shape[0], self.x.shape[-1])
        raise InputError(
            f"model {key} was fitted on a grid of {told_of_grid(self.y, self.x, sizes)}; found "
            f"one of {told_of_grid(y, x, grid.sizes)}: it knows its own grid only. Cut the data to "
            "it, or fit a model to these: obj.geoml.fit(..., target=fine)"
        )

    def find(self, grid: Grid) -> tuple[slice, slice] | None:
        """Return how to cut a grid into the order of the coarse one; None if it is another."""
        return find_order((self.y, self.x), coordinates(grid), grid.lat is not None)

    def check_wish(self, factor: int | None, like: object, key: str) -> None:
        """Raise if another grid is wanted than the target's."""
        if factor is not None and factor != self.placement.factor:
            known = self.placement.factor
            why = f"for factor {known}" if known else "for a grid whose cells do not divide these"
            raise InputError(f"factor={factor}: {key} was fitted {why}; leave factor= out")
        if like is not None:
            raise InputError(f"like=: {key} makes the grid of its target only; leave like= out")


def coordinates(grid: Grid) -> tuple[Floats, Floats]:
    """Return what tells one coarse grid from another."""
    if grid.curvilinear:
        return grid.plane()
    nothing = np.empty(0)
    return (
        nothing if grid.y is None else grid.y,
        nothing if grid.x is None else grid.x,
    )


def find_order(
    ours: tuple[Floats, Floats], theirs: tuple[Floats, Floats], degrees: bool
) -> tuple[slice, slice] | None:
    """Return how to cut rows and columns into the order of `ours`; None if they are others.

    Parameters
    ----------
    ours, theirs : tuple of ndarray
        Coordinates, see `coordinates`.
    degrees : bool
        Whether the second ones are longitudes.
    """
    if [a.shape for a in ours] != [a.shape for a in theirs]:
        return None
    turns = [slice(None, None, step) for step in (None, -1)]
    if ours[0].ndim == 2:
        planes = itertools.product(turns, turns)
        fits = [c for c in planes if _same_plane(ours, (theirs[0][c], theirs[1][c]), degrees)]
        return fits[0] if fits else None
    cut = [
        next((t for t in turns if _same(own, other[t], degrees=i == 1 and degrees)), None)
        for i, (own, other) in enumerate(zip(ours, theirs, strict=True))
    ]
    return None if cut[0] is None or cut[1] is None else (cut[0], cut[1])


def _same_plane(ours: tuple[Floats, Floats], theirs: tuple[Floats, Floats], degrees: bool) -> bool:
    return _same(ours[0], theirs[0], False) and _same(ours[1], theirs[1], degrees)


def _same(ours: Floats, theirs: Floats, degrees: bool) -> bool:
    off = ours - theirs
    if degrees:
        off = (off + 180.0) % 360.0 - 180.0
    steps = np.abs(np.diff(ours.ravel()))
    width = np.nanmedian(steps) if np.isfinite(steps).any() else 1.0
    nowhere = np.isnan(ours) & np.isnan(theirs)  # cells of curvilinear grids, on land
    return bool(((np.abs(off) <= _SAME * max(float(width), 1e-12)) | nowhere).all())


def told_of_grid(y: Floats, x: Floats, sizes: tuple[int, int]) -> str:
    """Return a grid in words, for messages."""
    spans = [
        f"{np.nanmin(v):g} to {np.nanmax(v):g}" if np.isfinite(v).any() else "unknown"
        for v in (y, x)
    ]
    return f"{sizes[0]} x {sizes[1]} cells, {spans[0]} and {spans[1]}"


def _plain(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Return attributes that JSON can hold."""
    made = {}
    for key, value in attrs.items():
        if isinstance(value, (np.ndarray, np.generic)):
            value = value.tolist()
        if isinstance(value, (str, int, float, bool, list, tuple)):
            made[str(key)] = value
    return made
