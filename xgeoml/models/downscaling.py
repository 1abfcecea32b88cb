"""Models of downscaling: from coarse fields to finer ones.

Three kinds, which all the engine runs window by window:

* interpolators (NumPy) know nothing but the window;
* models fitted on pairs (NumPy) know two grids, the coarse and the fine one, and what lies between
  them; they see the whole coarse domain;
* networks (torch) map a window to one `factor` times as fine, see `Refiner`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xgeoml.models.series import Floats, State

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Clock:
    """When each step is, as far as fields depend on it.

    Parameters
    ----------
    season, day : ndarray, (step,)
        Share of the year and of the day (UTC) that has passed, 0 to 1; NaN where it is unknown
        (no time axis), and `day` also where each step is a day or longer.
    years : ndarray, (step,)
        Decimal years; NaN where unknown.
    """

    season: Floats
    day: Floats
    years: Floats

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self.season)

    def steps(self, which: slice | NDArray[Any]) -> Clock:
        """Return some of the steps."""
        return Clock(self.season[which], self.day[which], self.years[which])


@dataclass(frozen=True)
class Placement:
    """Where the points of the fine grid lie among the cells of a coarse one.

    Parameters
    ----------
    rows, columns : ndarray
        In cells of the coarse grid, 0 is the centre of its first row. Both are 1-D, ``(Y',)`` and
        ``(X',)``, where the axes of the two grids run the same way; otherwise both are 2-D,
        ``(Y', X')``.
    factor : int
        Cells of the fine grid in one of the coarse grid, along each axis, where the former divide
        the latter; 0 where they do not.
    """

    rows: Floats
    columns: Floats
    factor: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """The sizes of the fine grid, Y' and X'."""
        if self.rows.ndim == 2:
            return self.rows.shape[0], self.rows.shape[1]
        return len(self.rows), len(self.columns)

    @classmethod
    def refined(cls, rows: int, columns: int, factor: int) -> Placement:
        """Return the placement of cells that divide those of a coarse grid."""
        return cls(_parts(rows, factor), _parts(columns, factor), factor)


def _parts(n: int, factor: int) -> Floats:
    return (np.arange(n * factor) + 0.5) / factor - 0.5


@dataclass(frozen=True)
class Window:
    """A piece of the coarse fields, with what surrounds it.

    Parameters
    ----------
    value : ndarray, (step, y, x)
        float64; NaN where missing and beyond the edges of the domain. Steps, rows and columns
        include the halo.
    placement : Placement
        The fine points wanted, in cells of this window: its row 0 is the first of the halo. The
        halo itself has none.
    halo : tuple of int
        Steps, rows and columns of the halo, on either side.
    clock : Clock
        Of all steps, those of the halo included.
    covariates : ndarray, (covariate, step, y, x)
        On the grid and at the steps of `value`.
    fine : ndarray, (covariate, Y', X')
        Static, at the fine points. For a network those of the halo too, NaN beyond the edges of
        the domain.
    """

    value: Floats
    placement: Placement
    halo: tuple[int, int, int]
    clock: Clock
    covariates: Floats = field(default_factory=lambda: np.empty((0, 0, 0, 0)))
    fine: Floats = field(default_factory=lambda: np.empty((0, 0, 0)))

    @property
    def n_steps(self) -> int:
        """Steps wanted: without those of the halo."""
        return len(self.value) - 2 * self.halo[0]

    def with_value(self, value: Floats) -> Window:
        """Return the window with other values."""
        return replace(self, value=value)


@dataclass(frozen=True)
class Pairs:
    """Coarse and fine fields of the same times, to learn from.

    Parameters
    ----------
    coarse : ndarray, (step, Y, X)
        NaN where missing. Pieces may be read from disk: index it, do not copy it whole.
    fine : ndarray, (step, Y', X')
        The target, at the points of `placement`.
    placement : Placement
        Of the target in cells of the coarse grid.
    clock : Clock
    share : ndarray, (Y', X')
        Relative weight with which each fine cell counts in its coarse cell's mean. All zero where
        the coarse values are no means of the fine ones: then nothing need be conserved.
    covariates : ndarray, (covariate, step, Y, X)
    static : ndarray, (covariate, Y', X')
    seed : int
    report : callable
        Called now and then with what is being done and the share that is done (0 to 1).
    """

    coarse: NDArray[np.floating]
    fine: NDArray[np.floating]
    placement: Placement
    clock: Clock
    share: Floats
    covariates: NDArray[np.floating]
    static: Floats
    seed: int = 0
    report: Callable[[str, float], None] = lambda _what, _share: None

    def steps(self, which: slice | NDArray[Any]) -> Pairs:
        """Return some of the steps."""
        return replace(
            self,
            coarse=self.coarse[which],
            fine=self.fine[which],
            clock=self.clock.steps(which),
            covariates=self.covariates[:, which],
        )

    def window(self, start: int, stop: int, around: int) -> Window:
        """Return some steps as a model is given them, with `around` more on either side."""
        which = np.arange(start - around, stop + around)
        there = np.clip(which, 0, len(self.clock) - 1)
        value = np.asarray(self.coarse[there], np.float64)
        value[which != there] = np.nan
        covariates = np.asarray(self.covariates[:, there], np.float64)
        clock = self.clock.steps(there)
        return Window(value, self.placement, (around, 0, 0), clock, covariates, self.static)


class Interpolator(Protocol):
    """A NumPy model of downscaling.

    One that is fitted on pairs has the method ``fit(pairs: Pairs) -> State`` as well, which returns
    small arrays by name; these are kept in the model's file and given back to `predict`. One that
    takes covariates but learns nothing of static ones says so: ``uses_static = False``.
    """

    def predict(self, window: Window, state: State) -> Floats:
        """Return the fine fields, ``(step, Y', X')``, without the steps of the halo.

        NaN where nothing can be said. A constant added to the window's values, or a factor, comes
        back in the result.
        """
        ...


class Refiner(Protocol):
    """A network of downscaling: an `nn.Module` that is called so.

    A network that draws random numbers has a method ``sample`` too, with the same arguments and
    ``noise``: called with the number of the draw, it returns standard normal numbers of the shape
    of the output; which numbers depends on the seed, the member and the position only.

    One whose spec has ``terrain=True`` is called with ``terrain=True`` where the user gives no
    covariates; `fine` is then elevation (m) and share of land, (1, 2, y * factor, x * factor), as
    they are: NaN at sea, and both NaN beyond the grid.
    """

    def __call__(self, coarse: Tensor, fine: Tensor, factor: int) -> Tensor:
        """Return the fine field, ``(batch, 1, y * factor, x * factor)``, halo included.

        Parameters
        ----------
        coarse : Tensor, (batch, channel, y, x)
            The channels of the spec: the scaled value (0 where missing), validity (1 or 0; 0 beyond
            the edges of the domain too), those of time, covariates.
        fine : Tensor, (batch, channel, y * factor, x * factor)
            Estimates of base models in the scale of the value, then static covariates, each
            standardised; maybe none. Missing values are 0, or NaN if the class has the attribute
            ``takes_missing = True``.
        factor : int
        """
        ...
