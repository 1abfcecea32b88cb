"""What a whole-axis model is given and what it returns: blocks of time series as plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.int64]
State = dict[str, NDArray[np.generic]]
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Series:
    """A block of time series.

    Attributes
    ----------
    values : ndarray, (series, time)
        NaN where missing, in the user's units.
    years : ndarray, (time,)
        Decimal year of each step, strictly increasing, not always evenly spaced.
    trusted : ndarray of bool, (time,)
        False where the whole step is suspect: a model gives such a step no weight.
    covariates : ndarray, (covariate, series, time)
        Drivers on the same steps; the first axis may have length 0; NaN where missing.
    area : ndarray, (series,)
        Relative area that each series stands for.
    spread : bool
        Whether estimates are to have a spread; a model may leave it NaN otherwise.
    threads : int
        How many threads may share the work on these series.
    """

    values: Floats
    years: Floats
    trusted: Bools
    covariates: Floats
    area: Floats
    spread: bool = True
    threads: int = 1
    _made: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    # Not given on by `replace`: of other values, nothing is found there.
    _more: tuple[Series, Rows] | None = field(default=None, init=False, repr=False, compare=False)

    def once(self, key: Hashable, make: Callable[[], _Made]) -> _Made:
        """Return what `make` returns, made once for all models that ask it of these series.

        The result is shared: it must not be changed.
        """
        if key not in self._made:
            self._made[key] = make()
        made: _Made = self._made[key]
        return made

    def rows(self, which: slice | Rows) -> Series:
        """Return some of the series; what is found of these can be looked up there."""
        part = replace(
            self,
            values=self.values[which],
            covariates=self.covariates[:, which],
            area=self.area[which],
        )
        more, rows = self._more or (self, np.arange(len(self.values)))
        object.__setattr__(part, "_more", (more, rows[which]))
        return part

    def found(self, key: Hashable) -> tuple[Any, Rows] | None:
        """Return what was made of the series that these are some of, and which rows these are."""
        if self._more is None or key not in self._more[0]._made:
            return None
        return self._more[0]._made[key], self._more[1]

    def usable(self) -> Bools:
        """Return the mask, (series, time), of values that a model may learn from."""
        return np.isfinite(self.values) & self.trusted


def without_drivers(series: Series) -> Series:
    """Return the same series with no covariates."""
    if not len(series.covariates):
        return series
    return replace(series, covariates=series.covariates[:0])


class Estimate(NamedTuple):
    """What a model says of every step of every series.

    Attributes
    ----------
    mean : ndarray, (series, time)
        The estimate, NaN where none is possible.
    spread : ndarray, (series, time)
        One standard deviation of an unobserved value around `mean`; NaN where none was asked for.
    """

    mean: Floats
    spread: Floats

    @classmethod
    def without_spread(cls, mean: Floats) -> Estimate:
        """Return an estimate of which no spread was asked for; it takes no memory."""
        return cls(mean, np.broadcast_to(np.float64(np.nan), mean.shape))


class SeriesModel(Protocol):
    """A model of whole time series, in two steps: the field once, then each block of series."""

    def summarise(self, sample: Series) -> State:
        """Return what the whole field knows, as a few small arrays."""
        ...

    def predict(self, block: Series, state: State) -> Estimate:
        """Return the estimate for each series of `block`, independent of its neighbours there."""
        ...
