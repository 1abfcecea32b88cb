"""One thread for each product of matrices: the same bits whatever the number of processors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

_lock = threading.Lock()
_users = 0
_limit: threadpool_limits | None = None


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
            _limit = threadpool_limits(limits=1, user_api="blas")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _limit is not None:
                _limit.restore_original_limits()
