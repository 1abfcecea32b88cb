"""Run a network batch after batch: device, precision, and what to do when memory is short."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xgeoml.engine.handle import ModelHandle
from xgeoml.exceptions import ExecutionError, InputError
from xgeoml.options import Options

if TYPE_CHECKING:
    import torch

# Input elements that a batch holds unless told otherwise: on a processor what its caches hold (a
# batch of 16 series of 265 steps took half the time of one of 64), on a GPU enough to keep it
# busy.
BATCH_ELEMENTS = {"cpu": 2**16, "cuda": 2**23, "mps": 2**21}

Call = Callable[[Any, Any, slice], Any]

_forward_locks: dict[str, threading.Lock] = {}
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

    One forward pass at a time and device: two would only share the same cores and memory.
    When memory runs out the batch is halved, and the size that worked is remembered.

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
    import torch

    device = resolve_device(options.device)
    network = handle.network(device)
    per_sample = int(np.prod(samples.shape[1:]))
    batch = options.batch_size or max(1, BATCH_ELEMENTS[device.split(":")[0]] // per_sample)
    batch = min(batch, _fitting_batch.get((handle, device), batch))
    sizes = samples.shape[2:] if sizes is None else sizes
    shape = (len(samples), len(handle.spec.outputs), *sizes)
    result = np.empty(shape, np.float32)
    with _lock_of(device), torch.inference_mode(), _autocast(device, options.precision):
        start = 0
        while start < len(samples):
            stop = min(start + batch, len(samples))
            try:
                given = torch.from_numpy(samples[start:stop]).to(device)
                output = call(network, given, slice(start, stop)) if call else network(given)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                batch = _smaller(batch, handle, device, error)
                continue
            _check_shape(output, (stop - start, *shape[1:]), handle)
            result[start:stop] = output.float().cpu().numpy()
            start = stop
    return result


def _smaller(batch: int, handle: ModelHandle, device: str, error: Exception) -> int:
    import torch

    if batch == 1:
        raise ExecutionError(
            f"model {handle.spec.key} ran out of memory on {device} with one sample at a time; "
            "use device='cpu', a machine with more memory, or shorter series or windows"
        ) from error
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    batch //= 2
    _fitting_batch[handle, device] = batch
    warnings.warn(f"{device} ran out of memory; going on with batch_size={batch}", stacklevel=2)
    return batch


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
        return _forward_locks.setdefault(device, threading.Lock())


def _autocast(device: str, precision: str) -> contextlib.AbstractContextManager[Any]:
    import torch

    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.split(":")[0], dtype=getattr(torch, precision))
