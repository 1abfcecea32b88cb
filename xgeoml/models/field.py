"""What a model of whole fields is given: tiles of a grid with their surroundings, all steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from xgeoml.models.series import Bools, Estimate, Floats, Series, State


@dataclass(frozen=True)
class Field:
    """A block of a gridded record, with the cells around it.

    Attributes
    ----------
    values : ndarray, (y, x, time)
        NaN where missing, and beyond the edge of the domain; in the user's units.
    halo : tuple of int
        How many of the cells at either end of y and of x are surroundings: no estimate is wanted
        of them.
    tile : tuple of int
        Cells of a tile along y and x. The first cell inside begins one.
    years : ndarray, (time,)
        Decimal year of each step, strictly increasing, not always evenly spaced.
    trusted : ndarray of bool, (time,)
        False where the whole step is suspect: a model gives such a step no weight.
    covariates : ndarray, (covariate, y, x, time)
        Drivers on the same steps; the first axis may have length 0; NaN where missing.
    """

    values: Floats
    halo: tuple[int, int]
    tile: tuple[int, int]
    years: Floats
    trusted: Bools
    covariates: Floats

    @property
    def inside(self) -> tuple[slice, slice]:
        """The cells, along y and x, of which an estimate is wanted."""
        y, x = self.halo
        rows, columns = self.values.shape[:2]
        return slice(y, rows - y), slice(x, columns - x)


@dataclass(frozen=True)
class FieldSample:
    """What the summary of a whole record is made from.

    Attributes
    ----------
    series : Series
        Cells thinned out over the whole domain.
    patches : tuple of Field
        Pieces of the grid with all their neighbours, without surroundings (`halo` is 0), spread
        over the domain, and for long records over time. All of it in one piece, if it is small.
        There is none if no piece has a value in it.
    """

    series: Series
    patches: tuple[Field, ...]


class FieldModel(Protocol):
    """A model of a gridded record in two steps: a sample of all of it once, then each block."""

    def summarise(self, sample: FieldSample) -> State:
        """Return what the whole field knows, as a few small arrays."""
        ...

    def predict(self, block: Field, state: State) -> Estimate:
        """Return the estimate, (y, x, time), of the cells inside `block`.

        It must not depend on how far the block reaches beyond a tile: neighbours further away than
        the model's halo have no say.
        """
        ...
