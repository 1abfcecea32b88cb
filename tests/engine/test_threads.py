"""Linear algebra is kept to one thread from whichever thread it is asked, and let go again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from xgeoml.engine.threads import one_blas_thread


def blas_threads() -> set[int]:
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


@pytest.fixture
def two():
    """Two threads, if the library has as many."""
    with threadpool_limits(2, user_api="blas"):
        if blas_threads() != {2}:
            pytest.skip("linear algebra has a single thread here")
        yield


def limited() -> set[int]:
    with one_blas_thread():
        return blas_threads()


def test_limits_from_any_thread(two):
    assert limited() == {1}
    for _ in range(3):
        # A new thread each time.
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(limited).result() == {1}
        assert blas_threads() == {2}
    assert limited() == {1}
    assert blas_threads() == {2}


def test_the_last_of_several_threads_lifts_the_limit(two):
    inside, first_out = Barrier(2), Barrier(2)

    def first() -> None:
        with one_blas_thread():
            inside.wait(10)
        first_out.wait(10)

    def last() -> set[int]:
        with one_blas_thread():
            inside.wait(10)
            first_out.wait(10)
            return blas_threads()

    with ThreadPoolExecutor(2) as pool:
        done, found = pool.submit(first), pool.submit(last)
        done.result()
        assert found.result() == {1}
    assert blas_threads() == {2}


def test_a_limit_of_the_user_comes_back(two):
    with threadpool_limits(1, user_api="blas"):
        assert limited() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == {2}
