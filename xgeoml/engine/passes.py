"""Work that is cut into passes: several at a time on threads of their own, beside a bar."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from xgeoml.options import Options, shows_progress

_Pass = TypeVar("_Pass")
_Made = TypeVar("_Made")

# Each pass has work arrays of its own in memory.
_MOST_THREADS = 8
# Seconds after which a bar is shown.
_DELAY = 1.0


def processors() -> int:
    """Return how many processors this process may use, at most eight."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(here or 1, _MOST_THREADS)


def run_passes(
    run: Callable[[_Pass], None],
    passes: Sequence[_Pass],
    options: Options,
    *,
    threads: int,
    name: str,
    unit: str,
) -> None:
    """Call `run` for each pass, so many at a time.

    While the network of one is at work, the next is made ready and the last put in its place.

    Parameters
    ----------
    run : callable
        Puts what it makes where no other pass does.
    passes : sequence
    options : Options
        Whether a bar is shown.
    threads : int
        1 where a scheduler already runs several blocks.
    name, unit : str
        What the bar says.
    """
    bar = _with_bar(together(run, passes, threads), len(passes), options, name, unit)
    for _ in bar:
        pass


def together(
    run: Callable[[_Pass], _Made], passes: Sequence[_Pass], threads: int
) -> Iterator[_Made]:
    """Yield what `run` makes of each pass, in their order; so many run at a time."""
    threads = min(threads, len(passes))
    if threads < 2:
        yield from map(run, passes)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(run, passes)


def _with_bar(
    passes: Iterable[None], count: int, options: Options, name: str, unit: str
) -> Iterable[None]:
    if not shows_progress(options.progress):
        return passes
    # `tqdm.auto` warns in a notebook without widgets; text does not, and serves there as well.
    from tqdm import tqdm

    return tqdm(passes, desc=name, unit=unit, total=count, delay=_DELAY)
