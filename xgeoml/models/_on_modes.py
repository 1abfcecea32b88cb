"""Ridge regression of series on temporal modes, over the steps that each has."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xgeoml.models._each import kinds, of_each_kind, times_each
from xgeoml.models.series import Bools, Floats


class Fit(NamedTuple):
    """The fit of some series.

    Attributes
    ----------
    coefficients : ndarray, (series, k)
    noise : ndarray, (series,)
        Residual variance.
    """

    coefficients: Floats
    noise: Floats


class Regression:
    """The equations of series on modes, the same for those that are missing at the same steps.

    Parameters
    ----------
    known : ndarray of bool, (series, time)
    modes : ndarray, (time, k)
    penalty : ndarray, (k,)
        Of each coefficient, in units of the noise.
    """

    def __init__(self, known: Bools, modes: Floats, penalty: Floats) -> None:
        self.modes, self.penalty = modes, penalty
        self._known = known
        seen, self._kind = kinds(known)
        self._normal = np.empty((len(seen), modes.shape[1], modes.shape[1]))
        for normal, there in zip(self._normal, seen > 0.0, strict=True):
            normal[...] = modes[there].T @ modes[there]
        self._invert()

    def held_by(self, penalty: Floats) -> Regression:
        """Return the same with another penalty."""
        other = object.__new__(Regression)
        other.__dict__.update(self.__dict__, penalty=penalty)
        other._invert()
        return other

    def _invert(self) -> None:
        inverse = np.linalg.inv(self._normal + np.diag(self.penalty))
        self._inverse: Floats = inverse.astype(np.float64, copy=False)

    def fit(self, values: Floats) -> Fit:
        """Fit series, (series, time); where they are not known they may be anything."""
        anomaly = np.where(self._known, values, 0.0)
        right = times_each(self.modes.T, anomaly)
        coefficients = of_each_kind(self._inverse, right, self._kind)
        taken = self.freedom()
        # |a - M c|^2 from its three products.
        square = np.einsum("st,st->s", anomaly, anomaly)
        normal = of_each_kind(self._normal, coefficients, self._kind)
        square += np.einsum("sk,sk->s", coefficients, normal - 2.0 * right)
        free = np.maximum(self._known.sum(axis=1) - taken, 1.0)
        return Fit(coefficients, np.maximum(square, 0.0) / free)

    def coefficients(self, anomaly: Floats) -> Floats:
        """Return the coefficients of series that are 0 where not known, (series, k)."""
        return of_each_kind(self._inverse, times_each(self.modes.T, anomaly), self._kind)

    def freedom(self) -> Floats:
        """Return how many of its values the fit of a series takes, (series,)."""
        taken: Floats = np.einsum("gkl,glk->g", self._inverse, self._normal)
        return taken[self._kind]

    def leverage(self) -> Floats:
        """Return the error variance of the fit over that of the noise, (series, time)."""
        found = np.empty((len(self._inverse), len(self.modes)))
        for each, inverse in zip(found, self._inverse, strict=True):
            np.einsum("tk,tk->t", self.modes @ inverse, self.modes, out=each)
        return np.maximum(found, 0.0)[self._kind]
