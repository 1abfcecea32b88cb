"""Run a waveform inversion over whole arrays, some events at a time."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.passes import run_passes
from xgeoml.engine.runner import resolve_device, run_network
from xgeoml.engine.threads import one_blas_thread
from xgeoml.exceptions import ExecutionError, InputError
from xgeoml.models._amplitudes import matched
from xgeoml.models.series import Bools, Floats
from xgeoml.models.waveforms import Gather, estimated, shown
from xgeoml.options import Options
from xgeoml.spec import ModelSpec

Amplitudes = Literal["given", "free"]
Gaps = Literal["raise", "window"]
_Group = tuple[NDArray[np.intp], slice]
GreensOf = Callable[[NDArray[np.intp]], NDArray[Any]]

# Samples of the records of all events that are treated at once: a quarter of a megabyte in float64,
# so that what is made of them fits the caches. On a GPU, to keep it busy, so many times as many.
ELEMENTS, _MORE_ON_GPU = 2**15, 32
# The same for a pass of a network on a processor.
_PASS = 2**13
# Share of a Green's function's energy that may lie where a record is missing.
_BEFORE = 1e-6


class Inverted(NamedTuple):
    """What records say of their sources.

    Attributes
    ----------
    source, spread : ndarray, (event, lag)
        The spread is NaN where the model tells none.
    misfit : ndarray, (event, station)
        Root mean square of what the source leaves of a record, over that of the record.
    factor : ndarray, (event, station)
        By which the Green's functions were multiplied.
    """

    source: Floats
    spread: Floats
    misfit: Floats
    factor: Floats


@dataclass(frozen=True)
class Inversion:
    """How records are inverted.

    Parameters
    ----------
    handle : ModelHandle
        The model.
    length : int
        Samples of the source.
    positive : bool
        Whether it is nowhere negative.
    amplitudes : {"given", "free"}
        Whether the amplitudes of the Green's functions count, or a factor is found for each.
    gaps : {"raise", "window"}
        What becomes of records with gaps: refused, or cut to the longest stretch without.
    options : Options
    threads : int
        How many groups of events are inverted at a time: one where a scheduler already runs several
        blocks.
    """

    handle: ModelHandle
    length: int
    positive: bool
    amplitudes: Amplitudes
    gaps: Gaps
    options: Options
    threads: int = 1


def invert(record: NDArray[Any], greens: GreensOf, job: Inversion) -> Inverted:
    """Return the sources of events.

    Parameters
    ----------
    record : ndarray, (event, station, sample)
        NaN where missing; a station that is missing altogether says nothing, an event of which all
        are missing has a source of NaN.
    greens : callable
        Given numbers of events, returns their Green's functions, of the same shape.
    job : Inversion

    Raises
    ------
    InputError
        If a record has gaps which it may not have, or a Green's function has any.
    """
    events, stations, _ = record.shape
    shapes = [(events, job.length)] * 2 + [(events, stations)] * 2
    made = Inverted(*(np.full(shape, np.nan) for shape in shapes))

    def run(group: _Group) -> None:
        some, window = group
        if window.stop == window.start:
            return  # nowhere have they all a sample
        one = _of_events(record[some], greens(some), window, job)
        for whole, part in zip(made, one, strict=True):
            whole[some] = part

    groups = list(_groups(record, job))
    name = "invert waveforms"
    run_passes(run, groups, job.options, threads=job.threads, name=name, unit="batch")
    return made


def _groups(record: NDArray[Any], job: Inversion) -> Iterator[_Group]:
    """Yield events that are treated together, and the samples that all of them have."""
    missing = np.isnan(record)
    # Of stations that are there at all.
    gaps = (missing & ~missing.all(-1, keepdims=True)).any(1)
    broken = gaps.any(-1)
    if broken.any() and job.gaps == "raise":
        raise InputError(
            f"{int(broken.sum())} of {len(broken)} events have records with missing samples; "
            "expected none: gaps='window' uses the longest stretch without, or fill them first"
        )
    windows: dict[tuple[int, int], list[int]] = {}
    for event in range(len(record)):
        window = _longest(gaps[event]) if broken[event] else (0, record.shape[-1])
        windows.setdefault(window, []).append(event)
    several = events_at_once(int(np.prod(record.shape[1:])), job.handle, job.options)
    for (start, stop), events in windows.items():
        for first in range(0, len(events), several):
            yield np.array(events[first : first + several], np.intp), slice(start, stop)


def events_at_once(samples: int, handle: ModelHandle, options: Options) -> int:
    """Return how many events are treated at once.

    Parameters
    ----------
    samples : int
        Of the records of an event.
    handle : ModelHandle
    options : Options
    """
    elements = ELEMENTS
    if handle.spec.backend == "torch" and resolve_device(options.device) != "cpu":
        elements *= _MORE_ON_GPU
    return max(1, elements // max(1, samples), options.batch_size or 1)


def _longest(gaps: Bools) -> tuple[int, int]:
    """Return where the longest run without gaps begins and ends."""
    edges = np.flatnonzero(np.r_[True, gaps, True])
    at = int(np.diff(edges).argmax())
    return int(edges[at]), int(edges[at + 1]) - 1


def _of_events(
    record: NDArray[Any], greens: NDArray[Any], window: slice, job: Inversion
) -> Inverted:
    """Return the sources of events whose records are whole within a window."""
    known = np.asarray(greens, np.float64)
    # Of a station that is missing altogether it does not matter.
    known = np.where(np.isnan(record).all(-1, keepdims=True), 0.0, known)
    if not np.isfinite(known).all():
        raise InputError(
            "a Green's function has missing or infinite samples; expected numbers: where it is not "
            "known it is zero, greens.fillna(0)"
        )
    _check_before(known, window.start)
    d = np.asarray(record[..., window], np.float64)
    # Of stations that are missing altogether.
    d = np.where(np.isnan(d), 0.0, d)
    if not np.isfinite(d).all():
        raise InputError(
            "a record has infinite samples; expected numbers, or NaN where there are none: "
            "records.where(np.isfinite(records))"
        )
    g = known[..., window]
    # In units in which both have size 1: any unit will do.
    sizes = [_size(a) for a in (d, g)]
    d, g = (a / size[:, None, None] for a, size in zip((d, g), sizes, strict=True))
    length = min(job.length, d.shape[-1])
    gather = Gather(d, g, axis_of(job, d.shape[-1]), job.positive)
    factor = np.ones(d.shape[:2])
    with one_blas_thread():
        if job.amplitudes == "free":
            gather, factor = matched(gather)
        source, spread = (_cut(a, gather, length) for a in _of_model(gather, job))
    unit = (sizes[0] / sizes[1])[:, None]
    # What lies beyond a window it does not show.
    made = np.full((2, len(d), job.length), np.nan)
    made[:, :, :length] = np.stack([source, spread]) * unit
    made[:, np.isnan(record).all((1, 2))] = np.nan
    factor = np.where(gather.heard, factor, np.nan)
    return Inverted(made[0], made[1], _misfit(gather, source), factor)


def _cut(made: Floats, gather: Gather, length: int) -> Floats:
    """Return the first samples of what a model returned.

    Raises
    ------
    ExecutionError
        If it has another shape than the model was asked for.
    """
    expected = (len(gather.record), gather.length)
    if made.shape != expected:
        raise ExecutionError(
            f"the model returned shape {made.shape}, expected {expected}: (event, lag), of "
            "gather.length samples; mend its invert()"
        )
    return made[:, :length]


def axis_of(job: Inversion, samples: int) -> int:
    """Return the samples of the axis on which a source is looked for, at most those of a record."""
    return min(room_of(job.handle.spec) * job.length, samples)


def room_of(spec: ModelSpec) -> int:
    """Return how many times as long as the source the axis is: a model's option `room`, or 1."""
    parameter = inspect.signature(spec.load_factory()).parameters.get("room")
    usual = 1 if parameter is None else parameter.default
    return int(spec.options.get("room", usual))


def _check_before(greens: Floats, start: int) -> None:
    """Raise if a Green's function is not silent where the record is missing at first."""
    if not start:
        return
    energy = (greens**2).sum(-1)
    before = (greens[..., :start] ** 2).sum(-1) / np.where(energy > 0, energy, 1.0)
    if before.max() > _BEFORE:
        raise InputError(
            f"records miss their first {start} samples, where a Green's function has "
            f"{before.max():.1%} of its energy; expected silence there: leave such stations out, "
            "or where nothing has arrived yet records.fillna(0)"
        )


def _size(values: Floats) -> Floats:
    """Return the root mean square of each event; 1 where there is nothing."""
    largest = np.abs(values).max((1, 2))
    largest = np.where(largest > 0, largest, 1.0)
    # Not squared as they are: squares of very small numbers are zero.
    rms = np.sqrt(((values / largest[:, None, None]) ** 2).mean((1, 2))) * largest
    made: Floats = np.where(rms > 0, rms, 1.0)
    return made


def _of_model(gather: Gather, job: Inversion) -> tuple[Floats, Floats]:
    """Return source and spread, (event, lag)."""
    if job.handle.spec.backend == "numpy":
        model, _ = job.handle.with_state()
        source = model.invert(gather)
        return source, np.full_like(source, np.nan)
    seen = shown(gather)
    estimates = estimated([base.with_state()[0] for base in job.handle.bases], gather)

    def call(network: Any, record: Any, which: slice) -> Any:
        import torch

        others = (seen.greens, estimates, seen.about)
        given = [record, *(torch.from_numpy(a[which]).to(record.device) for a in others)]
        # One alone is multiplied by other routines, which round in another way: it goes as two.
        alone = len(record) == 1
        return network(*(torch.cat([a, a]) if alone else a for a in given))[: len(record)]

    options = job.options
    if options.batch_size is None and resolve_device(options.device) == "cpu":
        # What a step makes of a sample is some hundred times as large: it is to fit the caches.
        options = replace(options, batch_size=max(1, _PASS // seen.record[0].size))
    output = run_network(job.handle, seen.record, options, (gather.length,), call)
    made = output.astype(np.float64)
    there = np.asarray(gather.heard.any(-1))
    source = np.where(there[:, None], made[:, 0], 0.0)
    if not job.handle.spec.gives_spread:
        return source, np.full_like(source, np.nan)
    return source, np.where(there[:, None], np.exp(made[:, 1]), 0.0)


def _misfit(gather: Gather, source: Floats) -> Floats:
    left = np.sqrt(((gather.record - gather.convolved(source)) ** 2).mean(-1))
    size = np.sqrt((gather.record**2).mean(-1))
    share: Floats = np.divide(left, size, out=np.full_like(left, np.nan), where=size > 0)
    return share
