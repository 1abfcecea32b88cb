"""Models of interpolation in time: fields at times between those of a record.

Three kinds, which all the engine runs stretch by stretch:

* interpolators (NumPy) know nothing but the stretch;
* models that are fitted to a record (NumPy) know its grid and what lies between its steps;
* networks (torch), see `Interpolation`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xgeoml.models.downscaling import Clock
from xgeoml.models.series import Floats, State


@dataclass(frozen=True)
class Place:
    """Where the cells of a grid are.

    Parameters
    ----------
    lat, lon : ndarray, (y, x), or None
        Degrees north and east; None where they are not known.
    terrain : ndarray, (2, y, x), or None
        Elevation (m, NaN at sea) and share of land; None where it is not known or not wanted.
    around : bool
        Whether the last column neighbours the first.
    """

    lat: Floats | None = None
    lon: Floats | None = None
    terrain: Floats | None = None
    around: bool = False

    def part(self, y: slice, x: slice) -> Place:
        """Return the places of a part of the grid; its columns are no longer around the Earth."""
        cut = (y, x)
        lat, lon = (None if v is None else v[cut] for v in (self.lat, self.lon))
        terrain = None if self.terrain is None else self.terrain[:, y, x]
        return Place(lat, lon, terrain)


@dataclass(frozen=True)
class Stretch:
    """A stretch of a record, and the times that are wanted within it.

    Parameters
    ----------
    value : ndarray, (component, step, y, x)
        float64, NaN where missing. One component, or the two of a vector, eastward and northward.
    days : ndarray, (step,)
        When each step is, days since any moment; ascending, not always evenly spaced.
    wanted : ndarray, (time,)
        Days too; each strictly between two steps, in ascending order.
    clock, clock_wanted : Clock
        Of the steps, and of the times that are wanted.
    place : Place
    thermal : bool
        Whether the values are temperatures, which the sun raises.
    """

    value: Floats
    days: Floats
    wanted: Floats
    clock: Clock
    clock_wanted: Clock
    place: Place = field(default_factory=Place)
    thermal: bool = False

    @property
    def before(self) -> NDArray[np.intp]:
        """The step before each time that is wanted, (time,)."""
        return np.searchsorted(self.days, self.wanted, side="right") - 1

    @property
    def theta(self) -> Floats:
        """Share of the interval that has passed at each time that is wanted, 0 to 1."""
        low = self.before
        return (self.wanted - self.days[low]) / (self.days[low + 1] - self.days[low])

    def with_value(self, value: Floats) -> Stretch:
        """Return the stretch with other values."""
        return replace(self, value=value)


@dataclass(frozen=True)
class Record:
    """A record to learn from.

    Parameters
    ----------
    value : ndarray, (component, step, Y, X)
        NaN where missing.
    days : ndarray, (step,)
    clock : Clock
    place : Place
    thermal : bool
        Whether the values are temperatures.
    seed : int
    report : callable
        Called now and then with what is being done and the share that is done (0 to 1).
    """

    value: NDArray[np.floating]
    days: Floats
    clock: Clock
    place: Place = field(default_factory=Place)
    thermal: bool = False
    seed: int = 0
    report: Callable[[str, float], None] = lambda _what, _share: None

    def steps(self, which: slice | NDArray[Any]) -> Record:
        """Return some of the steps."""
        return replace(
            self,
            value=self.value[:, which],
            days=self.days[which],
            clock=self.clock.steps(which),
        )


class Interpolator(Protocol):
    """A NumPy model of interpolation in time.

    One that learns has the method ``fit(record: Record) -> State`` as well, which returns small
    arrays by name; these are kept in the model's file and given back to `predict`, together with
    the whole grid that it was fitted on. Where that takes long, it may have the method
    ``again(record: Record, state: State) -> State``, which takes what it can from the state of a
    fit to much the same record.
    """

    def predict(self, stretch: Stretch, state: State) -> Floats:
        """Return the fields at the times that are wanted, ``(component, time, y, x)``.

        NaN where nothing can be said. A constant added to the values, or a factor, comes back in
        the result.
        """
        ...


def estimates_of(model: Interpolator, stretch: Stretch, state: State) -> list[Floats]:
    """Return what a network is given of a base model, ``(component, time, y, x)`` each.

    What it predicts; and where it has a method ``parts(stretch)``, of as many fields as its
    attribute ``n_parts`` says, in their place what that returns: the same first, then what it is
    made of.
    """
    parts = getattr(model, "parts", None)
    made = [model.predict(stretch, state)] if parts is None else parts(stretch)
    return [np.asarray(field, np.float64) for field in made]


def count_estimates(model: Any) -> int:
    """Return how many fields a network is given of a base model, or of its class."""
    return int(getattr(model, "n_parts", 1))
