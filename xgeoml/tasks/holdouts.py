"""Which known values an evaluation of gap filling hides, and in what shapes.

All arrays are ``(time, *space)`` with absent steps added; a hold-out is a mask of that shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from xgeoml.exceptions import InputError

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

# Share of the known values to hide, about; of a record's own gaps at least and at most so much.
SHARE, _LEAST, _MOST = 0.15, 0.05, 0.25
# Steps in a run where nobody says how many: as many as GRACE lacked between its two missions.
_RUN = 11
_TRIES = 12
# Values that are worked on at a time.
_VALUES = 2**20
# Years that a record needs for clouds to be moved by whole ones; by how much of one they may miss.
_YEARS, _NEARLY = 3, 0.08


@dataclass(frozen=True)
class Holdout:
    """What to hide.

    Attributes
    ----------
    kind : {"gaps", "steps", "runs", "clouds", "blocks"}
    number : float
        Steps in a run or block, otherwise the share of steps or cells.
    """

    kind: str
    number: float

    def told(self, known: Bools) -> str:
        """Return in words what is hidden of known values, (time, *space)."""
        if self.kind == "gaps" and not own_gaps(known).any():
            return f"single steps, and runs of up to {_RUN}: the record has no gaps of its own"
        kind = _KINDS[self.kind]
        number = _steps_in(len(known), self.number) if kind.steps else self.number
        return kind.words.format(n=number)


@dataclass(frozen=True)
class _Kind:
    """How values are hidden: by what function of (known, number, rng), and what the number is."""

    hide: Callable[[Bools, float, Generator], Bools]
    number: float
    steps: bool
    words: str


def read_holdout(holdout: object) -> Holdout:
    """Return what a user's `holdout=` says.

    Raises
    ------
    InputError
        If it is none of the kinds, or its number makes no sense.
    """
    kind, number = holdout, None
    if isinstance(holdout, Mapping) and len(holdout) == 1:
        ((kind, number),) = holdout.items()
    if not isinstance(kind, str) or kind not in _KINDS:
        raise InputError(
            f"holdout={holdout!r}: expected one of {', '.join(map(repr, _KINDS))}; one of these "
            "with a number, such as {'runs': 11} or {'steps': 0.1}; or a DataArray of bool, True "
            "where values are to be hidden"
        )
    made = _KINDS[kind]
    if number is None:
        return Holdout(kind, made.number)
    right = isinstance(number, (int, float, np.number)) and not isinstance(number, bool)
    if kind == "gaps" or not right or not (number >= 1 if made.steps else 0 < number <= 0.5):
        expected = (
            "no number" if kind == "gaps" else "steps, 1 or more" if made.steps else "up to 0.5"
        )
        raise InputError(f"holdout={holdout!r}: expected {expected} for {kind!r}")
    return Holdout(kind, float(int(number)) if made.steps else float(number))


def hide(known: Bools, holdout: Holdout, rng: Generator, may: Bools, year: int = 0) -> Bools:
    """Return which known values to hide.

    Parameters
    ----------
    known : ndarray of bool, (time, *space)
        Where there are values to compare with.
    holdout : Holdout
    rng : Generator
    may : ndarray of bool, (time,)
        Steps in which values may be hidden.
    year : int
        Steps in a year; 0 where there are not several of them.

    Raises
    ------
    InputError
        If nothing can be hidden in this way.
    """
    steps = may.reshape(-1, *(1,) * (known.ndim - 1))
    hidden = known & False
    number = year if holdout.kind == "gaps" else holdout.number
    for _ in range(_TRIES):
        hidden = _KINDS[holdout.kind].hide(known, number, rng) & known & steps
        if hidden.any():
            return hidden
    many = int(known.any(tuple(range(1, known.ndim))).sum())
    raise InputError(
        f"holdout={holdout.kind!r}: nothing could be hidden in {int(may.sum())} steps, {many} of "
        "all having data; expected more steps, a longer period=, or another holdout="
    )


def own_gaps(known: Bools) -> Bools:
    """Return where series lack values that they have before and after: (time, *space)."""
    begun = np.logical_or.accumulate(known, axis=0)
    goes_on = np.logical_or.accumulate(known[::-1], axis=0)[::-1]
    return np.asarray(begun & goes_on & ~known)


def gap_lengths(missing: Bools) -> NDArray[np.int32]:
    """Return for each missing value how many in a row are missing, along the first axis; else 0."""
    flat = missing.reshape(len(missing), -1)
    made = np.empty(flat.shape, np.int32)
    # Some series at a time: counts of all of them would take many times the memory of the record.
    several = max(1, _VALUES // max(1, len(flat)))
    for first in range(0, flat.shape[1], several):
        part = flat[:, first : first + several]
        before, after = _count(part), _count(part[::-1])[::-1]
        made[:, first : first + several] = np.where(part, before + after - 1, 0)
    return made.reshape(missing.shape)


def _count(missing: Bools) -> Ints:
    """Return how many values in a row are missing up to each, along the first axis."""
    number = np.arange(1, len(missing) + 1)[:, None]
    last_seen = np.maximum.accumulate(np.where(missing, 0, number), axis=0)
    return np.asarray(np.where(missing, number - last_seen, 0), np.int64)


def _moved_gaps(known: Bools, year: float, rng: Generator) -> Bools:
    """Return the record's own gaps, moved in time: whole steps stay whole, clouds keep shapes.

    Clouds of several years are moved by whole ones, or nearly: winter is cloudy in every year.
    """
    gaps = own_gaps(known)
    if not gaps.any():
        return _runs(known, _RUN, rng) | _single_steps(known, SHARE / 2, rng)
    space = tuple(range(1, known.ndim))
    partial = gaps.any(space) & known.any(space)
    seasonal = len(known) >= _YEARS * year > 0 and 2 * partial.sum() > gaps.any(space).sum()
    hidden = known & False
    # Few gaps are moved several times.
    for _ in range(_TRIES):
        shift = int(rng.integers(1, max(2, len(known))))
        if seasonal:
            near = max(1, round(year * _NEARLY))
            shift = round(year) * int(rng.integers(1, len(known) // round(year)))
            shift += int(rng.integers(-near, near + 1))
        hidden = hidden | (np.roll(gaps, shift, axis=0) & known)
        if hidden.sum() >= _LEAST * known.sum():
            break
    few = np.asarray(hidden.any(space))
    # Of a sky that is cloudy half of the time some stretches of clouds are enough.
    while hidden.sum() > _MOST * known.sum() and few.sum() > 1:
        steps = np.flatnonzero(few)
        at = int(rng.choice(steps))
        few[at : at + max(1, len(steps) // 10)] = False
        hidden = hidden & few.reshape(-1, *(1,) * len(space))
    return np.asarray(hidden)


def _single_steps(known: Bools, share: float, rng: Generator) -> Bools:
    """Return whole steps, the steps on either side known and not hidden."""
    seen = np.asarray(known.any(tuple(range(1, known.ndim))))
    chosen = np.zeros(len(known), bool)
    wanted = max(1, round(share * seen.sum()))
    for at in rng.permutation(np.flatnonzero(seen)):
        beside = seen[at - 1 : at + 2] & ~chosen[at - 1 : at + 2]
        if 0 < at < len(seen) - 1 and beside.all():
            chosen[at] = True
            wanted -= 1
        if not wanted:
            break
    return np.asarray(known & chosen.reshape(-1, *(1,) * (known.ndim - 1)))


def _steps_in(count: int, wanted: float) -> int:
    """Return the steps of a run: of a short record it must leave some."""
    return int(min(wanted, max(1, count // 4)))


def _runs(known: Bools, length: float, rng: Generator) -> Bools:
    """Return runs of whole steps, none at the ends."""
    count = len(known)
    size = _steps_in(count, length)
    chosen = np.zeros(count, bool)
    for _ in range(max(1, round(SHARE * count / size))):
        first = int(rng.integers(1, max(2, count - size)))
        if not chosen[max(first - 1, 0) : first + size + 1].any():
            chosen[first : min(first + size, count - 1)] = True
    return np.asarray(known & chosen.reshape(-1, *(1,) * (known.ndim - 1)))


def _clouds(known: Bools, share: float, rng: Generator) -> Bools:
    """Return connected shapes in each step, of so large a share of its cells."""
    from xgeoml.train.clouds import shapes

    plane = known.shape[1:]
    if len(plane) != 2 or min(plane) < 2:
        raise InputError(
            "holdout='clouds' hides shapes of a grid, and the data have none; expected 'gaps', "
            "'steps', 'runs' or 'blocks'"
        )
    return shapes((len(known), *plane), rng, 0.0, share) & known


def _blocks(known: Bools, length: float, rng: Generator) -> Bools:
    """Return boxes: a third of the cells along each axis of space, for some steps."""
    hidden = np.zeros(known.shape, bool)
    size = [_steps_in(len(known), length)]
    size += [max(1, round(n / 3)) for n in known.shape[1:]]
    ends = np.flatnonzero(known.any(tuple(range(1, known.ndim))))
    wanted = SHARE * known.sum()
    # A series must be known on either side.
    known = known.copy()
    known[: ends[0] + 1] = known[ends[-1] :] = False
    for _ in range(1000):
        first = [int(rng.integers(0, n - s + 1)) for n, s in zip(known.shape, size, strict=True)]
        box = tuple(slice(f, f + s) for f, s in zip(first, size, strict=True))
        # Counted box by box: records may have 100 million values.
        wanted -= (known[box] & ~hidden[box]).sum()
        hidden[box] = True
        if wanted <= 0:
            break
    return hidden & known


_KINDS: dict[str, _Kind] = {
    "gaps": _Kind(_moved_gaps, 0, False, "the record's own gaps, moved in time"),
    "steps": _Kind(_single_steps, 0.1, False, "single steps, {n:.0%} of all"),
    "runs": _Kind(_runs, _RUN, True, "runs of {n:.0f} steps"),
    "clouds": _Kind(_clouds, 0.3, False, "clouds over {n:.0%} of the cells of each step"),
    "blocks": _Kind(_blocks, _RUN, True, "boxes of a third of each axis, for {n:.0f} steps"),
}


def read_masks(holdout: Any) -> list[Any] | None:
    """Return the masks that a user gave, one for each repeat; None if it is something else."""
    import xarray as xr

    given = list(holdout) if isinstance(holdout, (list, tuple)) else [holdout]
    if not given or not all(isinstance(mask, xr.DataArray) for mask in given):
        return None
    wrong = [mask.dtype for mask in given if mask.dtype != bool]
    if wrong:
        raise InputError(
            f"holdout is a DataArray of {wrong[0]}; expected bool, True where values are to be "
            "hidden: such as data.time.dt.year == 2015"
        )
    return given
