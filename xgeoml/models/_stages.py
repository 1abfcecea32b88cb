"""Ridge regression in stages, each of what those before leave: all cells, each cell, each hour.

All is done with moments, the sums over samples of the products of predictors and targets: what is
learnt of some blocks of a record is the sum of their moments, and an error in the others follows
from theirs. In each cell, the cycle of season and hour is first taken out of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from xgeoml.models._intervals import Parts, Singles, Steps, Tile
from xgeoml.models.series import Bools, Floats

Scope = Literal["all", "cell", "hour"]

# The first leaves nothing; once so many in a row are worse for all targets, so are those below.
_PENALTIES = (np.inf, 1e4, 1e3, 300.0, 100.0, 30.0, 10.0, 3.0)
_WORSE = 2
_CYCLE_PENALTIES = (1.0, 10.0, 100.0, 1e3, np.inf)
# Share of the constant's penalty, and what a stage must gain.
_CONSTANT, _GAIN = 1e-3, 1e-3
# What the samples of a neighbouring cell count, along each axis.
_NEIGHBOUR = 0.3


class Sample(NamedTuple):
    """Cells on which choices are made.

    Attributes
    ----------
    moments : ndarray, (hour, block, y, x, predictor + target, predictor + target)
        The last block is of samples that belong to none.
    known : ndarray of bool, (y, x)
        Cells that have values.
    inner : tuple of slice
        Those that count; the others are their neighbours.
    """

    moments: Singles
    known: Bools
    inner: Tile


@dataclass
class Stages:
    """The penalties of all stages, and what cells share.

    Parameters
    ----------
    parts : Parts
    targets : int
    """

    parts: Parts
    targets: int
    cycle: float = np.inf
    penalties: list[list[float]] = field(init=False)
    shared: Singles = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def __post_init__(self) -> None:
        """Begin with penalties that leave nothing."""
        self.penalties = [[np.inf] * self.targets for _ in self._stages]

    @property
    def _stages(self) -> tuple[tuple[Scope, Steps], ...]:
        own, rest = (part - self.parts.cycle.stop for part in (self.parts.own, self.parts.rest))
        every = np.arange(self.parts.total - self.parts.cycle.stop)
        return ("all", own), ("all", every), ("cell", own), ("cell", rest), ("hour", rest)

    @property
    def chosen(self) -> Singles:
        """The penalties, (1 + stage, target): that of the cycle, then those of the stages.

        0 stands for infinite ones, which files do not hold.
        """
        penalties = np.array([[self.cycle] * self.targets, *self.penalties], np.float32)
        return np.where(np.isinf(penalties), np.float32(0.0), penalties)

    @chosen.setter
    def chosen(self, penalties: Singles) -> None:
        finite = np.where(penalties == 0.0, np.inf, penalties)
        self.cycle, self.penalties = float(finite[0, 0]), finite[1:].tolist()

    def choose(self, samples: list[Sample]) -> None:
        """Choose penalties by the error in blocks that are held out."""
        n_blocks = samples[0].moments.shape[1] - 1
        errors = np.zeros(len(_CYCLE_PENALTIES))
        for sample in samples:
            blocks = sample.moments.sum(axis=0)[:n_blocks, *sample.inner]
            for held in blocks:
                learn = blocks.sum(axis=0) - held
                for i, penalty in enumerate(_CYCLE_PENALTIES):
                    errors[i] += self._left(self._cycles(learn, penalty, self._last), held)
        self.cycle = _CYCLE_PENALTIES[len(errors) - 1 - int(np.argmin(errors[::-1]))]
        folds = [[self._fold(sample, block) for sample in samples] for block in range(n_blocks)]
        self.penalties = []
        for scope, which in self._stages:
            if scope == "hour" and len(samples[0].moments) == 1:
                self.penalties.append([np.inf] * self.targets)
                continue
            tried: list[list[list[Singles]]] = []
            errors = np.zeros((0, self.targets))
            for penalty in _PENALTIES:
                tried.append([self._tried(fold, scope, which, penalty) for fold in folds])
                error = np.zeros(self.targets)
                for fold, changes in zip(folds, tried[-1], strict=True):
                    for part, more in zip(fold, changes, strict=True):
                        left = self._error(part.held, part.found + more)
                        error += left.sum(axis=(0, 1, 2))
                errors = np.concatenate([errors, error[None]])
                if len(errors) > _WORSE and (np.diff(errors[-1 - _WORSE :], axis=0) > 0).all():
                    break
            gains = errors.min(axis=0) < (1.0 - _GAIN) * errors[0]
            best = np.where(gains, errors.argmin(axis=0), 0).tolist()
            self.penalties.append([_PENALTIES[i] for i in best])
            for j, fold in enumerate(folds):
                for k, part in enumerate(fold):
                    for target, i in enumerate(best):
                        part.found[..., target] += tried[i][j][k][..., target]

    def share(self, samples: list[Sample]) -> None:
        """Find what cells share."""
        n = self.parts.total - self.parts.cycle.stop
        self.shared = np.zeros((n, self.targets), np.float32)
        total = np.zeros(())
        for sample in samples:
            moments = sample.moments.sum(axis=(0, 1))
            left = self._without(self._cycles(moments, self.cycle), moments)[sample.inner]
            total = total + left.sum(axis=(0, 1), dtype=np.float64)
        for (scope, which), chosen in zip(self._stages, self.penalties, strict=True):
            if scope == "all":
                self.shared = self.shared + self._change(total, self.shared, which, chosen)

    def coefficients(self, moments: Singles, known: Bools, inner: Tile) -> Singles:
        """Return the coefficients of cells, ``(hour, y, x, predictor, target)``.

        Parameters
        ----------
        moments : ndarray, (hour, y, x, predictor + target, predictor + target)
        known, inner
            See `Sample`.
        """
        cycles = self._cycles(moments.sum(axis=0), self.cycle)
        left = _blended(self._without(cycles, moments), known)[:, *inner]
        found = np.broadcast_to(self.shared, (*left.shape[:3], *self.shared.shape)).copy()
        together = left.sum(axis=0)
        for (scope, which), chosen in zip(self._stages, self.penalties, strict=True):
            if scope == "cell":
                found = found + self._change(together, found[0], which, chosen)
            elif scope == "hour":
                found = found + self._change(left, found, which, chosen)
        cycles = cycles[inner]
        n = found.shape[-2]
        return np.concatenate([cycles[..., n:] - cycles[..., :n] @ found, found], axis=-2)

    @property
    def _last(self) -> slice:
        """The targets among predictors and targets."""
        return slice(self.parts.total, None)

    def _cycles(self, moments: Singles, penalty: float, which: slice | None = None) -> Singles:
        """Return the cycle in each predictor and target, ``(..., term, predictor + target)``.

        By default in all, else in those of `which`.
        """
        n = self.parts.cycle.stop
        right = moments[..., :n, which or slice(n, None)].astype(np.float64)
        if np.isinf(penalty):
            return np.zeros(right.shape, np.float32)
        held = penalty * np.diag(np.r_[_CONSTANT, np.ones(n - 1)])
        return np.linalg.solve(moments[..., :n, :n] + held, right).astype(np.float32)

    def _left(self, cycles: Singles, moments: Singles) -> float:
        """Return the sum of squares of what cycles leave of the targets, `cycles` being theirs."""
        n = self.parts.cycle.stop
        square = np.diagonal(moments[..., self._last, self._last], axis1=-2, axis2=-1)
        along = 2.0 * moments[..., :n, self._last] - moments[..., :n, :n] @ cycles
        return float(square.sum() - (along * cycles).sum())

    def _without(self, cycles: Singles, moments: Singles) -> Singles:
        """Return the moments of what departs from the cycles."""
        n = self.parts.cycle.stop
        across = cycles.swapaxes(-1, -2) @ moments[..., :n, n:]
        both = cycles.swapaxes(-1, -2) @ (moments[..., :n, :n] @ cycles)
        return np.asarray(moments[..., n:, n:] - across - across.swapaxes(-1, -2) + both)

    def _error(self, moments: Singles, found: Singles) -> Singles:
        """Return the sum of squared errors, ``(..., target)``."""
        n = moments.shape[-1] - self.targets
        square = np.diagonal(moments[..., n:, n:], axis1=-2, axis2=-1)
        along = 2.0 * moments[..., :n, n:] - moments[..., :n, :n] @ found
        return np.asarray(square - (along * found).sum(axis=-2))

    def _fold(self, sample: Sample, block: int) -> _Fold:
        held = sample.moments[:, block]
        learn = sample.moments[:, :-1].sum(axis=1) - held
        cycles = self._cycles(learn.sum(axis=0), self.cycle)
        learn = self._without(cycles, learn)
        held = self._without(cycles[sample.inner], held[:, *sample.inner])
        blended = _blended(learn, sample.known)[:, *sample.inner]
        learn = learn[:, *sample.inner]
        n = held.shape[-1] - self.targets
        found = np.zeros((*held.shape[:-2], n, self.targets), np.float32)
        total = learn.sum(axis=(0, 1, 2), dtype=np.float64)
        return _Fold(total, blended.sum(axis=0), blended, held, found)

    def _tried(
        self, fold: list[_Fold], scope: Scope, which: Steps, penalty: float
    ) -> list[Singles]:
        """Return what a stage adds to the coefficients, for each sample."""
        chosen = [penalty] * self.targets
        if scope == "all":
            total = np.sum([part.learn for part in fold], axis=0)
            return [self._change(total, fold[0].found[0, 0, 0], which, chosen)] * len(fold)
        if scope == "cell":
            return [self._change(part.together, part.found[0], which, chosen) for part in fold]
        return [self._change(part.blended, part.found, which, chosen) for part in fold]

    def _change(
        self, moments: Floats | Singles, found: Singles, which: Steps, chosen: list[float]
    ) -> Singles:
        """Return what ridge regression of what is left adds, of some predictors."""
        n = moments.shape[-1] - self.targets
        made = np.zeros(np.broadcast_shapes(found.shape, (*moments.shape[:-2], 1, 1)), np.float32)
        rows = moments[..., which, :]
        left = rows[..., n:] - rows[..., :n] @ found
        for penalty in set(chosen) - {np.inf}:
            targets = np.flatnonzero(np.array(chosen) == penalty)
            squares = rows[..., which]
            squares[..., range(len(which)), range(len(which))] += penalty
            change = np.linalg.solve(squares, left[..., targets])
            for number, target in enumerate(targets.tolist()):
                made[..., which, target] = change[..., number]
        return made


class _Fold(NamedTuple):
    """What is learnt from, and what is held out.

    Attributes
    ----------
    learn : ndarray, (predictor + target, predictor + target)
        Of all cells and hours.
    together : ndarray, (y, x, predictor + target, predictor + target)
        Of all hours.
    blended, held : ndarray, (hour, y, x, predictor + target, predictor + target)
    found : ndarray, (hour, y, x, predictor, target)
        Coefficients so far.
    """

    learn: Floats
    together: Singles
    blended: Singles
    held: Singles
    found: Singles


def _blended(moments: Singles, known: Bools) -> Singles:
    """Return the moments of cells and, with less weight, of those next to them."""
    height, width = known.shape
    total, count = np.zeros_like(moments), np.zeros(known.shape, np.float32)
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            weight = np.float32(_NEIGHBOUR ** (abs(down) + abs(across)))
            here, there = (
                tuple(
                    slice(max(0, sign * shift), size + min(0, sign * shift))
                    for shift, size in ((down, height), (across, width))
                )
                for sign in (-1, 1)
            )
            part = weight * known[there]
            total[(slice(None), *here)] += moments[(slice(None), *there)] * part[..., None, None]
            count[here] += part
    return np.asarray(total / np.maximum(count, np.float32(1e-6))[..., None, None])
