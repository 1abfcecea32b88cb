"""The grid of the record that a model was fitted on, kept in its file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xgeoml.engine.handle import ModelHandle
from xgeoml.exceptions import InputError
from xgeoml.models.series import Floats
from xgeoml.tasks.placing import Grid
from xgeoml.tasks.trained_grids import PREFIX, coordinates, find_order, told_of_grid


@dataclass(frozen=True)
class TrainedPlace:
    """The grid of the record that a model was fitted on.

    Attributes
    ----------
    y, x : ndarray
        Its coordinates, ascending, 2-D latitude and longitude where these are curvilinear; empty
        where it has none.
    sizes : tuple of int
        Rows and columns.
    variables : tuple of str
        What it was fitted to: one, or the two components of a vector.
    """

    y: Floats
    x: Floats
    sizes: tuple[int, int]
    variables: tuple[str, ...]

    @classmethod
    def on(
        cls, grid: Grid | None, sizes: tuple[int, int], variables: Sequence[str]
    ) -> TrainedPlace:
        """Return the place of a grid; of None that of cells without coordinates."""
        y, x = (np.empty(0), np.empty(0)) if grid is None else coordinates(grid)
        return cls(y, x, sizes, tuple(variables))

    @classmethod
    def of(cls, handle: ModelHandle) -> TrainedPlace | None:
        """Return the place in a model's file; None if there is none."""
        if handle.weights is None and handle.spec.weights is None:
            return None
        arrays = handle.arrays()
        if f"{PREFIX}about" not in arrays:
            return None
        about = json.loads(arrays[f"{PREFIX}about"].tobytes())
        sizes = about["sizes"]
        return cls(
            arrays[f"{PREFIX}y"],
            arrays[f"{PREFIX}x"],
            (sizes[0], sizes[1]),
            tuple(about["variables"]),
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a file keeps of the place."""
        about = {"sizes": list(self.sizes), "variables": list(self.variables)}
        made: dict[str, NDArray[Any]] = {
            "about": np.frombuffer(json.dumps(about).encode(), np.uint8).copy(),
            "y": np.ascontiguousarray(self.y, np.float64),
            "x": np.ascontiguousarray(self.x, np.float64),
        }
        return {f"{PREFIX}{k}": a for k, a in made.items()}

    def check_components(self, count: int, key: str) -> None:
        """Raise if a model of one variable is to treat a vector, or the other way round."""
        if count == len(self.variables):
            return
        fitted = " and ".join(map(repr, self.variables))
        found = "one variable" if count == 1 else "the two components of a vector"
        cure = (
            "name the pair, vectors=[('u', 'v')], in a Dataset that has both"
            if count == 1
            else "treat each by itself: obj['u'].geoml.interp_time(...)"
        )
        raise InputError(f"model {key} was fitted to {fitted} and is given {found}; {cure}")

    def order(self, grid: Grid | None, sizes: tuple[int, int], key: str) -> tuple[slice, slice]:
        """Return how to cut rows and columns of a grid into the order of the model's own.

        Parameters
        ----------
        grid : Grid or None
            None for cells without Y and X.
        sizes : tuple of int
            Rows and columns.
        key : str
            The model, for the message.

        Raises
        ------
        InputError
            If it is another grid.
        """
        y, x = (np.empty(0), np.empty(0)) if grid is None else coordinates(grid)
        found = None
        if sizes == self.sizes:
            degrees = grid is not None and grid.lat is not None
            found = find_order((self.y, self.x), (y, x), degrees)
        if found is None:
            raise InputError(
                f"model {key} was fitted on a grid of {told_of_grid(self.y, self.x, self.sizes)}; "
                f"found one of {told_of_grid(y, x, sizes)}: it knows its own grid only. Cut the "
                "data to it, or fit a model to these: obj.geoml.fit(...)"
            )
        return found
