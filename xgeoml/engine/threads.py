"""One thread for each product of matrices: the same bits whatever the number of processors."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_users = 0
_limit: Any = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep linear algebra to the calling thread, in the whole process, until the last user is done.

    A sum that is split over threads is added up in another order, so that a worker with two of them
    would return other bits than one with eight. For the many small systems of time series one
    thread is the fastest besides: with two, a regression on drivers took seven times longer.
    """
    global _users, _limit
    with _lock:
        if _users == 0:
            libraries = _libraries(len(sys.modules))
            with _owned(libraries):
                _limit = libraries.limit(limits=1, user_api="blas")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _limit is not None:
                with _owned(_libraries(len(sys.modules))):
                    _limit.restore_original_limits()


@contextmanager
def _owned(libraries: ThreadpoolController) -> Iterator[None]:
    """Let this thread change the limits, whichever changed them before.

    From release 3.8 on threadpoolctl ignores all threads but the first that has set a limit, until
    that thread gives it up. Here the last user, in any thread, lifts what the first has set.
    """
    _give_up(libraries)
    try:
        yield
    finally:
        _give_up(libraries)


def _give_up(libraries: ThreadpoolController) -> None:
    for library in libraries.lib_controllers:
        give_up = getattr(library, "clear_controlling_thread", None)
        if give_up is not None:
            give_up(force=True)


@lru_cache(maxsize=1)
def _libraries(_modules: int) -> ThreadpoolController:
    """Return the libraries in use; looking for them takes 2 ms, and an import may bring others."""
    return ThreadpoolController()
