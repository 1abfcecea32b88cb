"""Regression of standardised series on trend and cycles, in which far values count less.

Huber's (1964) weights, and each coefficient drawn to zero as far as the data leave it open.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xgeoml.models._cycles import Terms
from xgeoml.models._each import times_each
from xgeoml.models._robust import downweighted, scale_of
from xgeoml.models.series import Bools, Floats, Rows

Singles = NDArray[np.float32]

# Reweighting: rounds at most, and the change, in units of the sampling error, after which a series
# has settled: its next would be far smaller.
_ROUNDS, _SETTLED = 5, 0.2
# Standard deviations beyond which a value is not told from others.
_FARTHEST = 1e6
# A term whose neighbours in time are this alike has little to say on its own sampling error.
_LARGEST_CORRELATION = 0.98


class Weighted:
    """The least squares of some standardised series, in which far values count less.

    What all values give is summed once; of a few that count less a part is taken away again.

    Parameters
    ----------
    scaled : ndarray, (series, time)
        0 where not usable.
    usable : ndarray of bool, (series, time)
    basis : Terms
    """

    def __init__(self, scaled: Floats, usable: Bools, basis: Terms) -> None:
        self.columns = np.ascontiguousarray(basis.matrix.T)
        self._one, self._two = np.triu_indices(len(self.columns))
        self._products = self.columns[self._one] * self.columns[self._two]
        # What is further out has no weight left, and would drown the others in its last digits.
        self.scaled, self.count = np.clip(scaled, -_FARTHEST, _FARTHEST), usable.sum(axis=1)
        # Only weights and penalties come from residuals, for which single precision is enough.
        self._single, self.known = self.scaled.astype(np.float32), usable.astype(np.float32)
        self.beside = _beside(self.known)
        # Most series of a block are missing at the same steps.
        alike = len(usable) > 0 and bool((usable == usable[:1]).all())
        kinds = usable[:1] if alike else usable
        self._normal = times_each(self._products, kinds.astype(np.float64))
        if alike:
            self._normal = np.repeat(self._normal, len(usable), axis=0)
        self._right = times_each(self.columns, self.scaled)

    def only(self, on: Bools) -> None:
        """Go on with some of the series."""
        self.scaled, self._normal, self._right = (
            x[on] for x in (self.scaled, self._normal, self._right)
        )
        self._single, self.known, self.beside = (
            x[on] for x in (self._single, self.known, self.beside)
        )
        self.count = self.count[on]

    def solve(self, far: Rows, less: Floats, penalty: Floats) -> tuple[Floats, Floats, Floats]:
        """Return coefficients, equations and the freedom that the coefficients leave.

        Parameters
        ----------
        far : ndarray of int, (value,)
            Which values, of the flat block and in order, count less than one.
        less : ndarray, (value,)
            How much these count.
        penalty : ndarray, (series, term)

        Returns
        -------
        coefficients : ndarray, (series, term)
        normal : ndarray, (term, term, series)
        freedom : ndarray, (series,)
        """
        # Here, so that the import of the package goes without scipy.
        from scipy.sparse import csr_array

        series, steps = self.scaled.shape
        start = np.searchsorted(far, np.arange(series + 1) * steps)
        place = far % max(steps, 1)

        def taken(weight: Floats, columns: Floats) -> Floats:
            # Series by series: no sum depends on the neighbours in the block.
            some = csr_array((weight, place, start), shape=self.scaled.shape)
            return np.asarray(some @ columns.T)

        packed = self._normal - taken(1.0 - less, self._products)
        right = self._right - taken((1.0 - less) * self.scaled.ravel()[far], self.columns)
        terms = len(self.columns)
        normal = np.empty((terms, terms, series))
        normal[self._one, self._two] = normal[self._two, self._one] = packed.T
        held = penalty.T + 1e-12
        # The constant is hardly held: the values are already centred.
        held[0] *= 1e-3
        inverse = normal.copy()
        inverse[np.arange(terms), np.arange(terms)] += held
        _invert(inverse)
        # Sums term by term: others may depend on how many series there are.
        found = np.zeros_like(right)
        freedom = self.count - float(terms)
        for k in range(terms):
            found += (inverse[k] * right[:, k]).T
            freedom += inverse[k, k] * held[k]
        return found, normal, np.maximum(freedom, 0.1)

    def begin(self) -> tuple[Rows, Floats]:
        """Return which values count less before there are residuals, and how much these count."""
        # Three deviations of the values themselves keep bursts out.
        return downweighted(np.abs(self._single), np.full((len(self._single), 1), 3.0))

    def residual(self, coefficients: Floats) -> Singles:
        """Return what the coefficients leave, (series, time), 0 where not usable."""
        columns = self.columns.astype(np.float32)
        left: Singles = np.matmul(coefficients[:, None, :].astype(np.float32), columns)[:, 0]
        np.subtract(self._single, left, out=left)
        left *= self.known
        return left

    def weigh(
        self, residual: Singles, freedom: Floats, angle: Floats
    ) -> tuple[Rows, Floats, Floats, Floats]:
        """Return which values count less, how much these count, penalty and residual variance.

        The residual is changed.
        """
        size = np.abs(residual)
        spread = scale_of(size, self.count) * np.sqrt(np.maximum(self.count, 1) / freedom)
        far, less = downweighted(size, spread[:, None])
        residual.ravel()[far] *= np.sqrt(less)
        square = np.square(residual, out=size)
        variance = square.sum(axis=1) / freedom
        power = _red_spectrum(residual, square, self.count, self.beside, angle)
        return far, less, variance[:, None] * power, variance


def _invert(matrices: Floats) -> None:
    """Invert positive definite matrices, (row, column, matrix), in place by Gauss and Jordan."""
    for k in range(len(matrices)):
        pivot = 1.0 / matrices[k, k]
        row, column = matrices[k] * pivot, matrices[:, k].copy()
        matrices -= column[:, None] * row
        matrices[k], matrices[:, k] = row, -column * pivot
        matrices[k, k] = pivot


def fit(squares: Weighted, angle: Floats) -> Floats:
    """Return the coefficients, (series, terms); `angle` is the terms' frequency, radians a step."""
    count, p = len(squares.scaled), len(angle)
    coefficients = np.zeros((count, p))
    # Those of the series that go on; each stops by itself, whatever its neighbours do.
    rows = np.arange(count)
    penalty, variance = np.ones((count, p)), np.zeros(count)
    far, less = squares.begin()
    for left in reversed(range(_ROUNDS)):
        found, normal, freedom = squares.solve(far, less, penalty)
        change = found - coefficients[rows]
        coefficients[rows] = found
        moved = sum((change.T * normal[k]).sum(axis=0) * change[:, k] for k in range(p))
        on = moved > _SETTLED**2 * p * variance
        if not left or not on.any():
            break
        if not on.all():
            squares.only(on)
            rows, found, freedom = rows[on], found[on], freedom[on]
        far, less, penalty, variance = squares.weigh(squares.residual(found), freedom, angle)
    return coefficients


def _beside(known: Singles) -> Singles:
    """Return how many of the two steps beside each step are known, half of it, (series, time)."""
    beside = np.zeros_like(known)
    beside[:, 1:] = known[:, :-1]
    beside[:, :-1] += known[:, 1:]
    beside *= 0.5
    return beside


def _red_spectrum(
    residual: Singles, square: Singles, count: Rows, beside: Singles, angle: Floats
) -> Floats:
    """Return the power of each row's red noise at some frequencies, relative to its variance.

    Parameters
    ----------
    residual, square : ndarray, (series, time)
        0 where not known; and its square.
    count : ndarray of int, (series,)
        Of what is known.
    beside : ndarray, (series, time)
        What `_beside` returned.
    angle : ndarray, (terms,)
        Frequencies, radians a step.

    Returns
    -------
    ndarray, (series, terms)
        Spectrum of a first-order autoregressive process, 1 for white noise.
    """
    product = np.einsum("st,st->s", residual[:, 1:], residual[:, :-1])
    # Three pairs of no correlation, so that a short record does not claim one.
    total = np.einsum("st,st->s", square, beside)
    total += 3.0 * square.sum(axis=1) / np.maximum(count, 1)
    alike = np.where(total > 0.0, product / np.where(total > 0.0, total, 1.0), 0.0)
    alike = np.clip(alike, 0.0, _LARGEST_CORRELATION)[:, None]
    power: Floats = (1.0 - alike**2) / (
        1.0 - 2.0 * alike * np.cos(np.minimum(angle, np.pi)) + alike**2
    )
    return power
