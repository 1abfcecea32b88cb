"""Pairs of coarse and fine fields on disk, with what base models say of them."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from xgeoml.exceptions import InputError, SpecError
from xgeoml.models.downscaling import Clock, Pairs
from xgeoml.models.series import Bools, Floats, State
from xgeoml.spec import ModelSpec, Scale

PAIRS, BASES = "pairs", "bases.safetensors"
# Blocks of time that base models are fitted without, one after the other.
_FOLDS = 4
# Values that are read at a time, and steps of which a fingerprint is taken.
_AT_A_TIME, _SAMPLE = 2**24, 64
_ABOUT, _CLOCK = "about.json", ("season", "day", "years")


@dataclass(frozen=True)
class PairField:
    """Pairs as a training finds them in its folder; large arrays stay on disk.

    Attributes
    ----------
    coarse : ndarray, (step, Y, X)
        float64, NaN where missing.
    fine : ndarray, (step, Y', X')
        Departures from `reference`, NaN where missing.
    estimates : ndarray, (base model, step, Y', X')
        In the same way. Of a base model that is fitted on pairs: by one that has not seen the step.
    covariates : ndarray, (covariate, step, Y, X)
    static : ndarray, (covariate, Y', X')
    clock : Clock
    factor : int
    share : ndarray, (Y', X')
        See `xgeoml.models.downscaling.Pairs`.
    reference : float
    learnt, kept : ndarray of int
        Steps to learn from, and for validation.
    """

    coarse: Floats
    fine: NDArray[np.float32]
    estimates: NDArray[np.float32]
    covariates: Floats
    static: Floats
    clock: Clock
    factor: int
    share: Floats
    reference: float
    learnt: NDArray[np.intp]
    kept: NDArray[np.intp]

    @classmethod
    def load(cls, folder: Path) -> PairField:
        """Return the pairs that `write_pairs` wrote into the folder of a training."""
        path = folder / PAIRS
        about = json.loads((path / _ABOUT).read_text())
        small = {n: np.load(path / f"{n}.npy") for n in ("static", "share", "learnt", "kept")}
        large = {
            n: np.load(path / f"{n}.npy", mmap_mode="r")
            for n in ("coarse", "fine", "estimates", "covariates")
        }
        clock = Clock(*(np.load(path / f"{n}.npy") for n in _CLOCK))
        return cls(**large, **small, **about, clock=clock)


def spec_for(spec: ModelSpec, pairs: Pairs) -> ModelSpec:
    """Return the spec of a network with the options and the scale that go with some pairs.

    Options that are called so are filled in, unless they are given: `factor`; `channels` and
    `fine_channels`, the numbers of coarse and fine ones; and `grid`, rows and columns of the
    target, of a network that is bound to its grids.

    Raises
    ------
    SpecError
        If the options that are given do not fit.
    """
    factor = pairs.placement.factor
    if not factor:
        raise SpecError(
            "the target's cells do not divide those of the data into equal parts; bring the target "
            "to a grid that does, or fit a model that needs none, such as 'ridge'",
            f"model {spec.key} cannot be trained",
        )
    found: dict[str, Any] = {
        "factor": factor,
        "channels": _coarse_channels(spec, len(pairs.covariates)),
        "fine_channels": len(spec.bases) + len(pairs.static),
    }
    if spec.bound:
        found["grid"] = list(pairs.placement.shape)
    known = inspect.signature(spec.load_factory()).parameters
    found = {k: v for k, v in found.items() if k in known}
    wrong = [
        f"{k}={spec.options[k]!r}: expected {v!r} for these data, or nothing"
        for k, v in found.items()
        if spec.options.get(k) not in (None, v)
    ]
    if wrong:
        raise SpecError(wrong, f"model {spec.key} does not go with the data")
    # It sees no terrain in training but what is given as a covariate, and must see none later.
    spec = spec.replace(options={**spec.options, **found}, terrain=False)
    if spec.scaling == "training" and spec.scale is None:
        spec = spec.replace(scale=_scale(pairs))
    return spec


def _coarse_channels(spec: ModelSpec, covariates: int) -> int:
    count = {"value": 1, "validity": 1, "season": 2, "day": 2, "covariates": covariates}
    return sum(count.get(c.role, 0) for c in spec.inputs)


def _scale(pairs: Pairs) -> Scale:
    """Return means and deviations of the value, then of each covariate, static ones last."""
    moments = [_moments(pairs.coarse)]
    moments += [_moments(field) for field in (*pairs.covariates, *pairs.static)]
    mean, deviation = zip(*moments, strict=True)
    return Scale(mean, deviation)


def _moments(array: NDArray[np.floating]) -> tuple[float, float]:
    """Return mean and deviation, piece by piece; 1 for a deviation of 0."""
    count, total, square, origin = 0, 0.0, 0.0, None
    for piece in _pieces(array):
        values = array[piece].astype(np.float64)
        values = values[np.isfinite(values)]
        if not values.size:
            continue
        origin = float(values[0]) if origin is None else origin
        count, total = count + values.size, total + float((values - origin).sum())
        square += float(((values - origin) ** 2).sum())
    if not count or origin is None:
        raise InputError("one of the fields is missing throughout; expected values to learn from")
    mean = total / count
    deviation = math.sqrt(max(square / count - mean**2, 0.0))
    return origin + mean, deviation if deviation > 1e-12 * abs(origin + mean) else 1.0


def _pieces(array: NDArray[Any]) -> Iterator[slice]:
    """Yield runs of steps that fit into memory."""
    each = max(1, _AT_A_TIME // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(array), each):
        yield slice(start, min(start + each, len(array)))


def fingerprint(pairs: Pairs) -> str:
    """Return a hash of pairs, of a sample of the steps where there are many."""
    steps = np.unique(np.linspace(0, len(pairs.clock) - 1, _SAMPLE).astype(np.intp))
    made = hashlib.sha256(f"{pairs.coarse.shape} {pairs.fine.shape}".encode())
    placement, clock = pairs.placement, pairs.clock
    arrays = [pairs.coarse[steps], pairs.fine[steps], pairs.covariates[:, steps], pairs.static]
    arrays += [placement.rows, placement.columns, pairs.share, clock.season, clock.day, clock.years]
    for array in arrays:
        made.update(np.ascontiguousarray(array).data)
    return made.hexdigest()


def write_pairs(
    pairs: Pairs, spec: ModelSpec, bases: Mapping[str, Any], validation: float, folder: Path
) -> dict[str, State]:
    """Write pairs into the folder of a training, and return the states of the base models.

    A base model that is fitted on pairs knows the steps that it has seen too well. What it says of
    a step of the training is therefore said by one that was fitted without the block of time that
    the step is in, and of the validation part by one that was fitted without that; the state is
    that of one fitted on all.

    Raises
    ------
    InputError
        If there are too few steps.
    """
    path = folder / PAIRS
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    learnt, kept = split(pairs, validation)
    reference = float(np.nanmean(pairs.fine[learnt[0]]))
    _copy(path / "coarse.npy", pairs.coarse, np.float64, 0.0)
    _copy(path / "fine.npy", pairs.fine, np.float32, reference)
    np.save(path / "covariates.npy", np.asarray(pairs.covariates, np.float64))
    for name, small in (
        ("static", pairs.static),
        ("share", pairs.share),
        ("learnt", learnt),
        ("kept", kept),
        *((n, getattr(pairs.clock, n)) for n in _CLOCK),
    ):
        np.save(path / f"{name}.npy", small)
    shape = (len(spec.bases), *pairs.fine.shape)
    estimates = open_memmap(path / "estimates.npy", "w+", np.float32, shape)
    states = {}
    # As the engine does it: base models see the steps around that the network's spec names.
    around = spec.axis("T").halo or 0
    for i, name in enumerate(spec.bases):
        ask = _Asked(name, bases[name], pairs, around, reference, estimates[i])
        states[name] = ask.cross_fitted(learnt, kept)
    estimates.flush()
    about = {"factor": pairs.placement.factor, "reference": reference}
    (path / _ABOUT).write_text(json.dumps(about))
    return states


def split(pairs: Pairs, share: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the steps to learn from, and the last ones of the record, for validation."""
    there: Bools = np.zeros(len(pairs.clock), bool)
    for piece in _pieces(pairs.fine):
        there[piece] = np.isfinite(pairs.fine[piece]).any((1, 2))
        there[piece] &= np.isfinite(pairs.coarse[piece]).any((1, 2))
    steps = np.flatnonzero(there)
    n_kept = math.ceil(share * len(steps)) if share else 0
    if len(steps) - n_kept < _FOLDS:
        raise InputError(
            f"{len(steps)} steps have both a coarse and a fine field, {n_kept} of which are set "
            f"aside by validation={share}; expected at least {_FOLDS} to learn from"
        )
    return steps[: len(steps) - n_kept], steps[len(steps) - n_kept :]


def _copy(path: Path, array: NDArray[np.floating], dtype: type, reference: float) -> None:
    made = open_memmap(path, "w+", dtype, array.shape)
    for piece in _pieces(array):
        values = array[piece].astype(np.float64) - reference
        made[piece] = np.where(np.isfinite(values), values, np.nan)
    made.flush()


@dataclass(frozen=True)
class _Asked:
    """A base model that is asked about pairs.

    Attributes
    ----------
    name : str
    model : object
    pairs : Pairs
    around : int
        Steps before and after that it sees.
    reference : float
    out : ndarray, (step, Y', X')
        What it says, as a departure from `reference`; 0 where nothing.
    """

    name: str
    model: Any
    pairs: Pairs
    around: int
    reference: float
    out: NDArray[np.float32]

    def cross_fitted(self, learnt: NDArray[np.intp], kept: NDArray[np.intp]) -> State:
        """Write what it says of every step without having seen it, and return its state."""
        every = np.concatenate([learnt, kept])
        self.out[:] = 0.0
        if not hasattr(self.model, "fit"):
            self.predict({}, every)
            return {}
        blocks = list(np.array_split(learnt, _FOLDS))
        seen = [np.setdiff1d(learnt, block) for block in blocks]
        if len(kept):
            blocks, seen = [*blocks, kept], [*seen, learnt]
        report, fits = self.pairs.report, len(blocks) + 1
        for i, (block, steps) in enumerate(zip(blocks, seen, strict=True)):
            report(f"fitting {self.name}, {i + 1} of {fits}", i / fits)
            self.predict(self.model.fit(_quietly(self.pairs, steps)), block)
        report(f"fitting {self.name} on all steps", 1.0 - 1.0 / fits)
        state: State = self.model.fit(_quietly(self.pairs, every))
        return state

    def predict(self, state: State, steps: NDArray[np.intp]) -> None:
        """Write what it says of some steps."""
        pairs = self.pairs
        each = max(1, _AT_A_TIME // 16 // max(1, math.prod(pairs.placement.shape)))
        for start, stop in _runs(steps, each):
            window = pairs.window(start, stop, self.around)
            made = np.asarray(self.model.predict(window, state), np.float64) - self.reference
            self.out[start:stop] = np.where(np.isfinite(made), made, 0.0)


def _runs(steps: NDArray[np.intp], longest: int) -> Iterator[tuple[int, int]]:
    """Yield where runs of neighbouring steps start and stop."""
    for run in np.split(steps, np.flatnonzero(np.diff(steps) > 1) + 1):
        for start in range(0, len(run), longest):
            yield int(run[start]), int(run[min(start + longest, len(run)) - 1]) + 1


def _quietly(pairs: Pairs, steps: NDArray[np.intp]) -> Pairs:
    """Return the pairs of some steps; of fits within a fit nothing is reported."""
    return replace(pairs.steps(steps), report=lambda _what, _share: None)
