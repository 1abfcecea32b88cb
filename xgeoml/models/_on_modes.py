"""Ridge regression of series on temporal modes, over the steps that each has."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xgeoml.models._each import kinds, of_each_kind, times_each
from xgeoml.models.series import Bools, Floats

# Steps whose weight draws trend and cycles to 0: few values say little of them.
_SLOW = 3.0


class Fit(NamedTuple):
    """The fit of some series.

    Attributes
    ----------
    first : ndarray, (series, p)
        Coefficients of what goes before the modes.
    coefficients : ndarray, (series, k)
    noise : ndarray, (series,)
        Residual variance.
    """

    first: Floats
    coefficients: Floats
    noise: Floats

    @property
    def whole(self) -> Floats:
        """All coefficients, (series, p + k)."""
        return np.concatenate([self.first, self.coefficients], axis=1)


class Regression:
    """The equations of series on modes, the same for those that are missing at the same steps.

    Parameters
    ----------
    known : ndarray of bool, (series, time)
    modes : ndarray, (time, k)
    penalty : ndarray, (k,)
        Of each coefficient, in units of the noise.
    slow : ndarray, (time, p), optional
        Trend and cycles that have already been taken from the series, and with them a share of the
        modes: what the modes leave of that is fitted again. Each is drawn to 0 by the power that
        the modes have along it, so that the modes come first.
    """

    def __init__(
        self, known: Bools, modes: Floats, penalty: Floats, slow: Floats | None = None
    ) -> None:
        slow = np.zeros((len(modes), 0)) if slow is None else slow
        self.modes, self.penalty = np.concatenate([slow, modes], axis=1), penalty
        self._known, self._p = known, slow.shape[1]
        seen, self._kind = kinds(known)
        size = self.modes.shape[1]
        self._normal = np.empty((len(seen), size, size))
        for normal, there in zip(self._normal, seen > 0.0, strict=True):
            normal[...] = self.modes[there].T @ self.modes[there]
        self._invert()

    def held_by(self, penalty: Floats) -> Regression:
        """Return the same with another penalty."""
        other = object.__new__(Regression)
        other.__dict__.update(self.__dict__, penalty=penalty)
        other._invert()
        return other

    def _invert(self) -> None:
        p = self._p
        normal = self._normal + np.diag(np.concatenate([np.full(p, _SLOW), self.penalty]))
        if p:
            cross = normal[:, :p, p:]
            normal[:, :p, :p] += cross @ np.linalg.inv(normal[:, p:, p:]) @ cross.mT
        self._inverse: Floats = np.linalg.inv(normal).astype(np.float64, copy=False)

    def fit(self, values: Floats) -> Fit:
        """Fit series, (series, time); where they are not known they may be anything."""
        return self.solve(*self.sums(values))

    def sums(self, values: Floats) -> tuple[Floats, Floats]:
        """Return the products of series with all columns, (series, p + k), and with themselves."""
        anomaly = np.where(self._known, values, 0.0)
        return times_each(self.modes.T, anomaly), np.einsum("st,st->s", anomaly, anomaly)

    def solve(self, right: Floats, square: Floats) -> Fit:
        """Return the fit of series of which the sums are known."""
        found = of_each_kind(self._inverse, right, self._kind)
        # |a - M c|^2 from its three products.
        normal = of_each_kind(self._normal, found, self._kind)
        square = square + np.einsum("sk,sk->s", found, normal - 2.0 * right)
        free = np.maximum(self._known.sum(axis=1) - self.freedom(), 1.0)
        return Fit(found[:, : self._p], found[:, self._p :], np.maximum(square, 0.0) / free)

    def coefficients(self, anomaly: Floats) -> Floats:
        """Return all coefficients of series that are 0 where not known, (series, p + k)."""
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
