"""Batches of a network: on threads or one by one, in halves where memory runs out, streamed."""

import os
import pickle
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np
import pytest
import torch
import toys
from safetensors.torch import save_file
from torch import nn

from xgeoml.engine import runner
from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.passes import processors, run_passes, together
from xgeoml.engine.runner import moved, resolve_device, run_network
from xgeoml.exceptions import ExecutionError, HashError, InputError
from xgeoml.options import Options
from xgeoml.spec import Channel, ModelSpec

QUIET = Options(device="cpu", progress=False)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator here")


def series_spec(**changes):
    inputs = (Channel("value"), Channel("validity"))
    spec = ModelSpec(name="toy_run", task="fill_gaps", factory=toys.SeriesNet, inputs=inputs)
    return spec.replace(**changes)


class Watched(nn.Module):
    """Notes on which threads it runs, with how many of torch's, and how many run at a time."""

    threads: ClassVar[set] = set()
    of_torch: ClassVar[set] = set()
    now = most = 0
    lock = threading.Lock()

    def forward(self, x):
        cls = type(self)
        with cls.lock:
            cls.now += 1
            cls.most = max(cls.most, cls.now)
            cls.threads.add(threading.current_thread().name)
            cls.of_torch.add(torch.get_num_threads())
        time.sleep(0.02)
        with cls.lock:
            cls.now -= 1
        return x[:, :1] * 2.0


@pytest.fixture
def watched():
    Watched.threads, Watched.of_torch, Watched.most = set(), set(), 0
    return ModelHandle(series_spec(factory=Watched))


@pytest.fixture(params=[1, 2, 3])
def count(request):
    """How many threads torch is given."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def samples(n=20):
    return np.random.default_rng(0).standard_normal((n, 2, 5)).astype(np.float32)


def test_batches_share_the_processors(watched, count):
    given = samples()
    made = run_network(watched, given, Options(device="cpu", batch_size=3))
    np.testing.assert_array_equal(made, given[:, :1] * 2.0)
    assert Watched.most == (1 if count == 1 else count)
    assert Watched.of_torch == {1}
    # What the user has set stays, here and in threads that are yet to come.
    assert torch.get_num_threads() == count
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == count


def test_callers_share_the_same_threads(watched):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with ThreadPoolExecutor(4) as pool:
            calls = [
                pool.submit(run_network, watched, samples(), Options(device="cpu", batch_size=5))
                for _ in range(4)
            ]
            made = [call.result() for call in calls]
    finally:
        torch.set_num_threads(before)
    assert Watched.most <= 2
    assert all(np.array_equal(m, made[0]) for m in made)


def test_a_lone_batch_has_all_threads(watched, count):
    run_network(watched, samples(), Options(device="cpu", batch_size=20))
    assert Watched.of_torch == {count}
    assert Watched.threads == {threading.current_thread().name}


def test_the_number_of_threads_changes_no_bit():
    handle, made = ModelHandle(series_spec()), []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            made.append(run_network(handle, samples(64), Options(device="cpu", batch_size=8)))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(made[0], made[1])
    np.testing.assert_array_equal(made[0], made[2])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_makes_threads_of_its_own():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        handle, options = ModelHandle(series_spec()), Options(device="cpu", batch_size=4)
        expected = run_network(handle, samples(), options)
        assert runner._threads.cache_info().currsize == 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
            child = os.fork()
        if not child:
            # Without threads of its own it would wait for ever.
            os._exit(int(runner._threads.cache_info().currsize != 0))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        np.testing.assert_array_equal(run_network(handle, samples(), options), expected)
    finally:
        torch.set_num_threads(before)


def test_an_error_on_a_thread_reaches_the_caller():
    def call(network, given, which):
        raise ZeroDivisionError(f"at {which.start}")

    with pytest.raises(ZeroDivisionError, match="at 0"):
        run_network(
            ModelHandle(series_spec()), samples(), Options(device="cpu", batch_size=5), call=call
        )


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_passes_come_in_order_and_so_many_at_a_time(threads):
    running, most, lock = [], [], threading.Lock()

    def run(number):
        with lock:
            running.append(number)
            most.append(len(running))
        time.sleep(0.01 * (number % 3))
        with lock:
            running.remove(number)
        return number**2

    assert list(together(run, range(10), threads)) == [n**2 for n in range(10)]
    assert max(most) <= threads
    assert list(together(run, [], threads)) == []


def test_a_pass_that_fails_stops_the_others(capsys):
    done = []

    def run(number):
        if number == 1:
            raise InputError("that will do")
        time.sleep(0.01)
        done.append(number)

    with pytest.raises(InputError, match="that will do"):
        run_passes(run, range(100), QUIET, threads=2, name="toy", unit="pass")
    assert len(done) < 50
    assert not capsys.readouterr().err
    assert 1 <= processors() <= 8


def test_an_array_is_moved_as_it_is():
    array = samples()[1:3]
    assert torch.equal(moved(array, "cpu"), torch.from_numpy(array))


@pytest.mark.gpu
@needs_cuda
def test_batches_are_streamed():
    handle, options = ModelHandle(series_spec()), Options(device="cuda", batch_size=7)
    expected = run_network(handle, samples(100), Options(device="cpu", batch_size=7))
    made = run_network(handle, samples(100), options)
    np.testing.assert_allclose(made, expected, atol=1e-4)
    one = run_network(handle, samples(5), options)
    np.testing.assert_allclose(one, expected[:5], atol=1e-4)


@pytest.mark.gpu
@needs_cuda
@pytest.mark.filterwarnings("ignore:cuda ran out of memory")
def test_memory_that_runs_out_between_streamed_batches_costs_nothing_but_time():
    handle = ModelHandle(series_spec(factory=toys.Hungry, options={"most": 5}))
    made = run_network(handle, samples(64), Options(device="cuda", batch_size=16))
    np.testing.assert_array_equal(made, samples(64)[:, :1])


def test_memory_that_runs_out_halves_the_batch_and_is_remembered():
    handle = ModelHandle(series_spec(factory=toys.Hungry, options={"most": 4}))
    samples = np.ones((20, 2, 5), np.float32)
    with pytest.warns(UserWarning, match="batch_size=4"):
        output = run_network(handle, samples, Options(device="cpu", batch_size=8))
    np.testing.assert_array_equal(output, samples[:, :1])
    run_network(handle, samples, Options(device="cpu", batch_size=8))  # no warning: remembered


def test_memory_that_never_suffices_says_so():
    spec = series_spec(factory=toys.Hungry, options={"most": 0})
    with pytest.raises(ExecutionError, match="one sample at a time"):
        run_network(
            ModelHandle(spec), np.ones((2, 2, 5), np.float32), Options(device="cpu", batch_size=1)
        )


def test_a_wrong_output_shape_is_named():
    spec = series_spec(factory=toys.WrongShape)
    with pytest.raises(ExecutionError, match="returned shape"):
        run_network(ModelHandle(spec), np.ones((2, 2, 5), np.float32), QUIET)


def test_a_device_that_is_not_here_is_named():
    with pytest.raises(InputError, match=r"'cuda:99' is not here; found .*'cpu'"):
        resolve_device("cuda:99")


def test_a_weights_file_that_has_changed_is_another_model(tmp_path):
    network = toys.SeriesNet()
    path = tmp_path / "net.safetensors"
    save_file(network.state_dict(), path)
    before = ModelHandle(series_spec(), str(path))
    first = before.network("cpu").state_dict()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 1.0
    save_file(network.state_dict(), path)
    after = ModelHandle(series_spec(), str(path))
    assert before != after
    second = after.network("cpu").state_dict()
    assert all(torch.equal(second[k], first[k] + 1.0) for k in first)
    with pytest.raises(HashError, match="has changed"):
        pickle.loads(pickle.dumps(before)).network("meta")
