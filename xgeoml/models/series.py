"""What a whole-axis model is given and what it returns: blocks of time series as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
State = dict[str, NDArray[np.generic]]


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
    """

    values: Floats
    years: Floats
    trusted: Bools
    covariates: Floats
    area: Floats

    def usable(self) -> Bools:
        """Return the mask, (series, time), of values that a model may learn from."""
        return np.isfinite(self.values) & self.trusted


def without_drivers(series: Series) -> Series:
    """Return the same series with no covariates."""
    return replace(series, covariates=series.covariates[:0])


class Estimate(NamedTuple):
    """What a model says of every step of every series.

    Attributes
    ----------
    mean : ndarray, (series, time)
        The estimate, NaN where none is possible.
    spread : ndarray, (series, time)
        One standard deviation of an unobserved value around `mean`.
    """

    mean: Floats
    spread: Floats


class SeriesModel(Protocol):
    """A model of whole time series, in two steps: the field once, then each block of series."""

    def summarise(self, sample: Series) -> State:
        """Return what the whole field knows, as a few small arrays."""
        ...

    def predict(self, block: Series, state: State) -> Estimate:
        """Return the estimate for each series of `block`, independent of its neighbours there."""
        ...
