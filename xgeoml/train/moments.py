"""Moments of records to learn from: fields that are hidden between steps some multiples apart."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.random import Generator
from numpy.typing import NDArray

from xgeoml.exceptions import InputError
from xgeoml.models._moments import SEEN
from xgeoml.models.downscaling import Clock
from xgeoml.models.in_time import Place, Record, Stretch, count_estimates, estimates_of
from xgeoml.models.series import Bools, Floats, State
from xgeoml.models.splines import Linear

Ints = NDArray[np.intp]

MOMENTS = "moments"
# Multiples of the step that intervals are made of, up to a day; the first two whatever the step.
_MULTIPLES, _ALWAYS, _A_DAY = (2, 3, 4, 6, 8, 12, 24), (2, 4), 1.01
# Intervals that a record must hold of a multiple, and those that are drawn of a record at most; and
# times in each.
_FEWEST, _MOST, _EACH = 4, 1600, 3
# Share of the intervals of which some steps around are not shown, as at the ends of a record.
_SHORT = 0.2
# Values of estimates that are kept on disk, 1 GB.
_ELEMENTS = 2**28
# Parts of the record that base models are fitted without, one after the other; each is of so many
# blocks at most, so that it has all seasons, of so many days at least.
_FOLDS, _BLOCKS_EACH, _DAYS_EACH = 5, 4, 3.0
# The most blocks that are set aside, and the fewest steps of one.
_BLOCKS, _SHORTEST = 5, 24
# The least unit of errors, as a share of what linear interpolation lacks.
_LEAST = 0.02
# Cells on a side of what is learnt from at a time; fields a little longer are taken whole, as the
# network that is run on them sees them.
SIDE, _A_LITTLE = 48, 1.25
_ABOUT, _CLOCK, _PLACE = "about.json", ("season", "day", "years"), ("lat", "lon", "terrain")

# Estimates of base models, by name; see `estimates_of`.
Said = Mapping[str, Sequence[Floats]]
# Networks that are base models, by name: called with a stretch, and with what models without a
# state say of it.
Networks = Mapping[str, Callable[[Stretch, Said], Floats]]


@dataclass(frozen=True)
class Pattern:
    """A time that is hidden: `place` steps after the step `start`, of `every` to the next one.

    The steps around it are those of the part of the record from `low` to `high`.
    """

    every: int
    start: int
    place: int
    low: int
    high: int

    @property
    def hidden(self) -> int:
        """The step that is hidden."""
        return self.start + self.place

    def seen(self, around: int = SEEN) -> Ints:
        """Return the steps that are shown."""
        steps = self.start + self.every * np.arange(1 - around, around + 1)
        return steps[(steps >= self.low) & (steps < self.high)]


@dataclass(frozen=True)
class MomentField:
    """A record as a training finds it in its folder; large arrays stay on disk.

    Attributes
    ----------
    record : Record
    learnt, kept : ndarray of int, (pattern, 5)
        To learn from, and for validation; see `Pattern`.
    rapid : ndarray of bool, (learnt,)
        Which of the former are in rapid transitions.
    estimates : ndarray, (pattern, estimate, component, Y, X)
        What base models say beside what is linear, 0 where nothing; of the former, then of the
        latter. Those that are fitted have not seen the block of time that the pattern is in.
    unit : dict
        Multiple -> size of what the best of linear interpolation and the base models lacks.
    """

    record: Record
    learnt: Ints
    kept: Ints
    rapid: Bools
    estimates: NDArray[np.float32]
    unit: dict[int, float]

    @classmethod
    def load(cls, path: Path) -> MomentField:
        """Return the field that `write_moments` wrote."""
        about = json.loads((path / _ABOUT).read_text())
        clock = Clock(*(np.load(path / f"{n}.npy") for n in _CLOCK))
        at = [np.load(p) if (p := path / f"{n}.npy").exists() else None for n in _PLACE]
        value = np.load(path / "value.npy", mmap_mode="r")
        place = Place(at[0], at[1], at[2], about["around"])
        learnt, kept, rapid = (np.load(path / f"{n}.npy") for n in ("learnt", "kept", "rapid"))
        return cls(
            Record(value, np.load(path / "days.npy"), clock, place, about["thermal"]),
            learnt,
            kept,
            rapid,
            np.load(path / "estimates.npy", mmap_mode="r"),
            {int(k): v for k, v in about["unit"].items()},
        )


def stretch_of(record: Record, pattern: Pattern, wanted: Sequence[int] | Ints) -> Stretch:
    """Return the steps that a pattern shows, and some hidden ones as the times wanted."""
    seen, hidden = pattern.seen(), np.asarray(wanted, np.intp)
    return Stretch(
        np.asarray(record.value[:, seen], np.float64),
        record.days[seen],
        record.days[hidden],
        record.clock.steps(seen),
        record.clock.steps(hidden),
        record.place,
        record.thermal,
    )


def multiples(record: Record) -> list[int]:
    """Return how many steps an interval may have: up to a day, and 2 and 4 at any rate."""
    step = float(np.median(np.diff(record.days)))
    n = len(record.days)
    return [
        k
        for k in _MULTIPLES
        if (n // k >= _FEWEST and (k in _ALWAYS or k * step <= _A_DAY)) or k == _ALWAYS[0]
    ]


def fingerprint(records: Sequence[Record]) -> str:
    """Return a hash of records, of a sample of their steps."""
    made = hashlib.sha256()
    for record in records:
        n = len(record.days)
        made.update(f"{record.value.shape}".encode())
        some = np.unique(np.linspace(0, n - 1, 64).astype(np.intp))
        for array in (record.value[:, some], record.days, record.clock.season):
            made.update(np.ascontiguousarray(array).data)
    return made.hexdigest()


def parts(n: int, share: float) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the blocks of steps, (low, high), to learn from, and those that are set aside.

    Where the record is long enough several, spread over it: it may have seasons.
    """
    aside = round(share * n)
    if aside < 3:
        return [(0, n)], []
    count = int(np.clip(aside // _SHORTEST, 1, _BLOCKS))
    length, period = aside // count, n // count
    kept = [((i + 1) * period - length, (i + 1) * period) for i in range(count)]
    edges = [0, *(e for block in kept for e in block), n]
    learnt = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 2]
    return learnt, kept


def write_moments(
    record: Record,
    bases: Mapping[str, Any],
    networks: Networks,
    share: float,
    path: Path,
    seed: int,
    most: int = _MOST,
) -> dict[str, State]:
    """Write a record with patterns and estimates into a folder; return states of base models.

    Parameters
    ----------
    record : Record
    bases : mapping
        NumPy models by name; those with a method `fit` are fitted to the record.
    networks : mapping
        Other base models by name, see `Networks`.
    share : float
        Of the steps that is set aside.
    path : Path
    seed : int
    most : int
        Intervals to learn from.

    Raises
    ------
    InputError
        If the record is too short.
    """
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    n = len(record.days)
    if n < 3:
        raise InputError(f"the record has {n} steps; expected 3 or more to hide some between")
    learnt_in, kept_in = parts(n, share)
    rng = np.random.default_rng([seed, 11])
    plane = int(np.prod(record.value.shape[2:])) * len(record.value)
    n_estimates = sum(map(count_estimates, (*bases.values(), *networks.values())))
    most = max(16, min(most, _ELEMENTS // max(1, plane * n_estimates * _EACH)))
    there = np.array([np.isfinite(record.value[:, t]).any() for t in range(n)])
    learnt = _draw(record, learnt_in, most, there, rng)
    kept = _draw(record, kept_in, max(16, most // 8), there, rng)
    if not learnt:
        raise InputError(
            f"the record has {n} steps, {int(there.sum())} of them with values; expected some in a "
            "row, or nothing can be hidden between them"
        )
    every = [*learnt, *kept]
    shape = (len(every), n_estimates, len(record.value), *record.value.shape[2:])
    estimates = open_memmap(path / "estimates.npy", "w+", np.float32, shape)
    value = open_memmap(path / "value.npy", "w+", np.float64, record.value.shape)
    for t in range(n):
        value[:, t] = np.where(np.isfinite(record.value[:, t]), record.value[:, t], np.nan)
    record = replace(record, value=value)
    report = record.report
    states = _estimated(record, every, kept_in, bases, networks, estimates)
    lacks = _lacking(record, learnt, estimates)
    length = np.array([p.every for p in learnt])
    unit = {p.every: 0.0 for p in every}
    change = np.zeros(len(learnt))
    for k in np.unique(length).tolist():
        each = np.sqrt(np.square(lacks[length == k]).mean(axis=0))
        unit[k] = float(max(each.min(), _LEAST * each[0]))
        change[length == k] = lacks[length == k, 0] / (each[0] or 1.0)
    unit = {k: u if u > 0 else max(unit.values()) or 1.0 for k, u in unit.items()}
    # Rapid transitions: where the steps differ by more than they mostly do.
    rapid = change >= np.median(change)
    arrays: dict[str, Any] = {
        "learnt": _rows(learnt),
        "kept": _rows(kept),
        "rapid": rapid,
        "days": record.days,
        **{name: getattr(record.clock, name) for name in _CLOCK},
        **{name: a for name in _PLACE if (a := getattr(record.place, name)) is not None},
    }
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    estimates.flush()
    value.flush()
    about = {"unit": unit, "around": record.place.around, "thermal": record.thermal}
    (path / _ABOUT).write_text(json.dumps(about))
    report("ready", 1.0)
    return states


def _rows(patterns: Sequence[Pattern]) -> Ints:
    rows = [[p.every, p.start, p.place, p.low, p.high] for p in patterns]
    return np.array(rows, np.intp).reshape(-1, 5)


def _draw(
    record: Record, blocks: list[tuple[int, int]], most: int, there: Bools, rng: Generator
) -> list[Pattern]:
    """Return patterns within blocks of steps, as many of each multiple."""
    found: list[Pattern] = []
    wanted = multiples(record)
    for k in wanted:
        intervals = [
            (i, low, high)
            for low, high in blocks
            for i in range(low, high - k)
            if there[i] and there[i + k]
        ]
        count = min(len(intervals), max(1, most // len(wanted)))
        for at in rng.permutation(len(intervals))[:count]:
            start, low, high = intervals[at]
            if rng.random() < _SHORT:
                few, more = rng.integers(0, SEEN, 2).tolist()
                low, high = max(low, start - few * k), min(high, start + (1 + more) * k + 1)
            places = 1 + rng.permutation(k - 1)[:_EACH]
            found += [
                Pattern(k, start, int(j), low, high) for j in sorted(places) if there[start + j]
            ]
    return found


def _lacking(record: Record, patterns: Sequence[Pattern], estimates: NDArray[np.float32]) -> Floats:
    """Return by how much linear interpolation and the estimates are off, (pattern, estimate)."""
    made = np.zeros((len(patterns), 1 + estimates.shape[1]))
    for q, p in enumerate(patterns):
        share = (record.days[p.hidden] - record.days[p.start]) / (
            record.days[p.start + p.every] - record.days[p.start]
        )
        first, second = record.value[:, p.start], record.value[:, p.start + p.every]
        off = record.value[:, p.hidden] - (1 - share) * first - share * second
        known = np.isfinite(off)
        if known.any():
            left = np.concatenate([off[None], off - estimates[q]])[:, known]
            made[q] = np.sqrt(np.square(left).mean(axis=1))
    return made


def _estimated(
    record: Record,
    patterns: Sequence[Pattern],
    kept: list[tuple[int, int]],
    bases: Mapping[str, Any],
    networks: Networks,
    out: NDArray[np.float32],
) -> dict[str, State]:
    """Write what base models say, and return the states of those that were fitted to all."""
    n = len(record.days)
    learnt = np.ones(n, bool)
    for low, high in kept:
        learnt[low:high] = False
    count = int((record.days[-1] - record.days[0]) / _DAYS_EACH)
    count = int(np.clip(count, _FOLDS, _FOLDS * _BLOCKS_EACH))
    fold_of = np.full(n, _FOLDS)
    for i, block in enumerate(np.array_split(np.flatnonzero(learnt), count)):
        fold_of[block] = i % _FOLDS
    states: dict[str, State] = {}
    quiet = replace(record, report=lambda _what, _share: None)
    alone: dict[str, NDArray[np.float32]] = {}
    b = 0
    for number, (name, model) in enumerate({**bases, **networks}.items()):
        record.report(f"asking {name}", number / max(1, len(bases) + len(networks)))
        own = out[:, b : b + count_estimates(model)]
        b += own.shape[1]
        if not hasattr(model, "fit"):
            ask = _ask_network(model) if name in networks else _ask(model, {})
            _fill(record, patterns, range(len(patterns)), ask, own, alone)
            states[name] = {}
            if name in bases:
                alone[name] = own
            continue
        # What takes long to find is found once, from all that is learnt from.
        whole = model.fit(quiet.steps(np.flatnonzero(learnt)))
        for i in range(_FOLDS + 1):
            which = [q for q, p in enumerate(patterns) if fold_of[p.hidden] == i]
            if not which:
                continue
            seen = np.flatnonzero(learnt & (fold_of != i))
            state = whole if i == _FOLDS else _again(model, quiet.steps(seen), whole)
            _fill(record, patterns, which, _ask(model, state), own)
        states[name] = _again(model, quiet, whole)
    return states


def _again(model: Any, record: Record, state: State) -> State:
    """Return what a model learns of a record, given the state of a fit to most of it."""
    made: State = model.again(record, state) if hasattr(model, "again") else model.fit(record)
    return made


def _ask(model: Any, state: State) -> Callable[[Stretch, Said], list[Floats]]:
    return lambda stretch, _known: estimates_of(model, stretch, state)


def _ask_network(call: Any) -> Callable[[Stretch, Said], list[Floats]]:
    return lambda stretch, known: [call(stretch, known)]


def _fill(
    record: Record,
    patterns: Sequence[Pattern],
    which: Sequence[int] | range,
    ask: Callable[[Stretch, Said], list[Floats]],
    out: NDArray[np.float32],
    alone: Mapping[str, NDArray[np.float32]] | None = None,
) -> None:
    """Write the estimates of a model for some patterns, those of an interval at a time.

    `alone` is what was written of models without a state, which networks need not ask again.
    """
    for group in _intervals(patterns, which):
        first = patterns[group[0]]
        stretch = stretch_of(record, first, [patterns[q].hidden for q in group])
        linear = Linear().predict(stretch, {})
        known = {
            name: [linear + part for part in np.moveaxis(said[group], 0, 2)]
            for name, said in (alone or {}).items()
        }
        for e, estimate in enumerate(ask(stretch, known)):
            for t, q in enumerate(group):
                out[q, e] = np.nan_to_num(estimate[:, t] - linear[:, t])


def _intervals(patterns: Sequence[Pattern], which: Sequence[int] | range) -> Iterator[list[int]]:
    """Yield those of the patterns that follow each other and are of one interval."""
    group: list[int] = []
    for q in which:
        p = patterns[q]
        same = group and replace(patterns[group[0]], place=p.place) == p
        if group and (not same or p.place <= patterns[group[-1]].place):
            yield group
            group = []
        group.append(q)
    if group:
        yield group


def is_whole(record: Record) -> bool:
    """Whether fields are learnt from as they are, not in parts."""
    return all(size <= _A_LITTLE * SIDE for size in record.value.shape[2:])


def window_of(record: Record, rng: Generator) -> tuple[slice, slice]:
    """Return a part of the field to learn from, drawn where it is not all of it."""
    cuts = []
    for size in record.value.shape[2:]:
        if size <= _A_LITTLE * SIDE:
            cuts.append(slice(0, size))
            continue
        first = int(rng.integers(0, size - SIDE + 1))
        cuts.append(slice(first, first + SIDE))
    return cuts[0], cuts[1]


def placed(record: Record, cut: tuple[slice, slice]) -> Place:
    """Return the places of a part of the field."""
    return record.place if is_whole(record) else record.place.part(*cut)
