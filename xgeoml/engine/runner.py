"""Run a network batch after batch: device, precision, and what to do when memory is short."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xgeoml.engine.handle import ModelHandle
from xgeoml.exceptions import ExecutionError, InputError
from xgeoml.options import Options

if TYPE_CHECKING:
    import torch
    from torch import nn

# Input elements that a batch holds unless told otherwise: on a processor what its caches hold (a
# batch of 16 series of 265 steps took half the time of one of 64), on a GPU enough to keep it
# busy.
BATCH_ELEMENTS = {"cpu": 2**16, "cuda": 2**23, "mps": 2**21}
# Batches that run at a time on a processor, at most: each has its own features in memory.
_MOST_THREADS = 8

Call = Callable[[Any, Any, slice], Any]

_device_locks: dict[str, threading.Lock] = {}
_locks_lock = threading.Lock()
_fitting_batch: dict[tuple[ModelHandle, str], int] = {}


def resolve_device(device: str) -> str:
    """Return the device meant: ``"auto"`` is the first of CUDA, MPS and the CPU that is there.

    Raises
    ------
    InputError
        If the device is not there.
    """
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available()}
    there["mps"] = torch.backends.mps.is_available()
    if device == "auto":
        return next(d for d in ("cuda", "mps", "cpu") if there[d])
    kind, _, index = device.partition(":")
    if not there.get(kind) or (index and int(index) >= torch.cuda.device_count()):
        raise InputError(
            f"device {device!r} is not here; found {[d for d in there if there[d]]}: "
            "pass one of these, or device='auto'"
        )
    return device


def run_network(
    handle: ModelHandle,
    samples: NDArray[np.float32],
    options: Options,
    sizes: tuple[int, ...] | None = None,
    call: Call | None = None,
) -> NDArray[np.float32]:
    """Return the network's output for every sample.

    On a processor several batches run at a time, each on a thread of its own: small ones take 0.6
    to 0.9 of the time that they take one after the other with all threads in each. Whoever calls,
    from however many threads, shares the same few; batches are the same whatever their number. On
    an accelerator one forward pass runs at a time, while the next batch is brought there and the
    last one back. When memory runs out the batch is halved, and the size that worked is remembered.

    Parameters
    ----------
    handle : ModelHandle
        The network.
    samples : ndarray of float32, (sample, channel, *axes)
        Contiguous, no NaN.
    options : Options
        Device, batch and precision.
    sizes : tuple of int, optional
        Of the axes of the output; by default those of the input.
    call : callable, optional
        Given the network, some of the samples and which they are, returns the output; by default
        the network itself is called with the samples.

    Returns
    -------
    ndarray of float32, (sample, output, *axes)

    Raises
    ------
    ExecutionError
        If not even one sample fits into memory, or the output has the wrong shape.
    """
    device = resolve_device(options.device)
    per_sample = int(np.prod(samples.shape[1:]))
    batch = options.batch_size or max(1, BATCH_ELEMENTS[device.split(":")[0]] // per_sample)
    batch = min(batch, _fitting_batch.get((handle, device), batch))
    sizes = samples.shape[2:] if sizes is None else sizes
    result = np.empty((len(samples), len(handle.spec.outputs), *sizes), np.float32)
    run = _Run(handle, handle.network(device), device, options.precision, samples, result, call)
    cuts = [slice(i, min(i + batch, len(samples))) for i in range(0, len(samples), batch)]
    pool = _pool() if device == "cpu" else None
    if pool is not None and len(cuts) > 1:
        list(pool.map(run.batch, cuts))
        return result
    # A lone batch has all threads.
    with _lock_of(device) if pool is not None or device != "cpu" else contextlib.nullcontext():
        if device.startswith("cuda"):
            run.streamed(cuts)
        else:
            for cut in cuts:
                run.batch(cut)
    return result


@dataclass(frozen=True)
class _Run:
    """A network, what it is given, and where its output goes."""

    handle: ModelHandle
    network: nn.Module
    device: str
    precision: str
    samples: NDArray[np.float32]
    result: NDArray[np.float32]
    call: Call | None

    def batch(self, cut: slice) -> None:
        """Run one batch, in halves where memory does not suffice."""
        import torch

        if cut.stop - cut.start > self._most:
            self._halves(cut)
            return
        try:
            output = self._forward(torch.from_numpy(self.samples[cut]).to(self.device), cut)
            self.result[cut] = output.float().cpu().numpy()
        except (torch.OutOfMemoryError, RuntimeError) as error:
            self._smaller(cut, error)
            self._halves(cut)

    def streamed(self, cuts: Sequence[slice]) -> None:
        """Run batches on a CUDA device: while one is there, the next and the last are on their way.

        The host waits for an output only when the next forward pass has been started.
        """
        import torch

        with torch.cuda.device(self.device):
            way = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            here = torch.cuda.current_stream()
            done: tuple[slice, torch.Tensor, torch.cuda.Event] | None = None

            def bring(cut: slice) -> torch.Tensor:
                with torch.cuda.stream(way):
                    return moved(self.samples[cut], self.device)

            def take() -> None:
                if done is not None:
                    done[2].synchronize()
                    self.result[done[0]] = done[1].numpy()

            brought = bring(cuts[0])
            for cut, after in itertools.zip_longest(cuts, cuts[1:]):
                here.wait_stream(way)
                brought.record_stream(here)
                try:
                    output = self._forward(brought, cut).float()
                    brought = brought if after is None else bring(after)
                    back = torch.empty(output.shape, dtype=torch.float32, pin_memory=True)
                    back.copy_(output, non_blocking=True)
                except (torch.OutOfMemoryError, RuntimeError) as error:
                    self._smaller(cut, error)
                    take()
                    done = None
                    self.batch(cut)
                    brought = brought if after is None else bring(after)
                    continue
                event = torch.cuda.Event()  # type: ignore[no-untyped-call]
                event.record(here)
                take()
                done = (cut, back, event)
            take()

    @property
    def _most(self) -> int:
        """The largest batch that may fit."""
        return _fitting_batch.get((self.handle, self.device), len(self.samples))

    def _forward(self, given: torch.Tensor, cut: slice) -> torch.Tensor:
        import torch

        with torch.inference_mode(), _autocast(self.device, self.precision):
            output = self.call(self.network, given, cut) if self.call else self.network(given)
        _check_shape(output, (cut.stop - cut.start, *self.result.shape[1:]), self.handle)
        made: torch.Tensor = output
        return made

    def _halves(self, cut: slice) -> None:
        middle = (cut.start + cut.stop + 1) // 2
        self.batch(slice(cut.start, middle))
        self.batch(slice(middle, cut.stop))

    def _smaller(self, cut: slice, error: Exception) -> None:
        """Remember that a batch was too large; raise if that was not what went wrong."""
        import torch

        if not _out_of_memory(error):
            raise error
        size, device = cut.stop - cut.start, self.device
        if size == 1:
            raise ExecutionError(
                f"model {self.handle.spec.key} ran out of memory on {device} with one sample at a "
                "time; use device='cpu', a machine with more memory, or shorter series or windows"
            ) from error
        if device.startswith("cuda"):
            torch.cuda.empty_cache()
        half = (size + 1) // 2
        if half < self._most:
            _fitting_batch[self.handle, device] = half
            warnings.warn(
                f"{device} ran out of memory; going on with batch_size={half}", stacklevel=2
            )


def moved(array: NDArray[Any], device: Any) -> torch.Tensor:
    """Return an array on a device; on its way to a CUDA device the host does not wait for it."""
    import torch

    tensor = torch.from_numpy(array)
    if not str(device).startswith("cuda"):
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def _pool() -> ThreadPoolExecutor | None:
    """Return the threads that batches run on; None if there is one processor for all."""
    import torch

    with _locks_lock:
        # Asked inside: while another thread starts them, the number of all threads is theirs.
        count = torch.get_num_threads()
        return _threads(count) if count > 1 else None


@lru_cache(maxsize=1)
def _threads(count: int) -> ThreadPoolExecutor:
    """Return threads that share `count` processors."""
    import torch

    workers = min(count, _MOST_THREADS)
    all_here = threading.Barrier(workers)

    def prepare(_number: int) -> None:
        all_here.wait()
        # Asked first: a thread that was never asked takes the number of all others once it works.
        torch.get_num_threads()
        torch.set_num_threads(count // workers)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="xgeoml")
    list(pool.map(prepare, range(workers)))
    # It holds for the thread that calls it, and for all that are yet to come.
    torch.set_num_threads(count)
    return pool


# The threads do not come along into a forked process.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.cache_clear)


def _out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text


def _check_shape(output: torch.Tensor, expected: tuple[int, ...], handle: ModelHandle) -> None:
    if tuple(output.shape) != expected:
        raise ExecutionError(
            f"model {handle.spec.key} returned shape {tuple(output.shape)}, expected {expected}: "
            f"(sample, {' and '.join(handle.spec.outputs)}, *axes); mend its forward() or its spec"
        )


def _lock_of(device: str) -> threading.Lock:
    with _locks_lock:
        return _device_locks.setdefault(device, threading.Lock())


def _autocast(device: str, precision: str) -> contextlib.AbstractContextManager[Any]:
    import torch

    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.split(":")[0], dtype=getattr(torch, precision))
