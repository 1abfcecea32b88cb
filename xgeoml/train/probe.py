"""A first pass of a network over a pattern: what does not fit is found before time is spent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from xgeoml.exceptions import ExecutionError
from xgeoml.spec import ModelSpec
from xgeoml.train.batches import time_axis
from xgeoml.train.patterns import Pattern

# Samples of the pattern that are tried.
_SAMPLES = 2


def check_network(network: nn.Module, spec: ModelSpec, pattern: Pattern, shortest: int) -> None:
    """Raise if a network cannot be trained on samples such as those of a pattern.

    Parameters
    ----------
    network : Module
    spec : ModelSpec
    pattern : Pattern
    shortest : int
        The fewest steps of a series that training will give it.

    Raises
    ------
    ExecutionError
        If it has no parameters, fails, or returns another shape than it should, or values that are
        not finite.
    """
    if not any(p.requires_grad for p in network.parameters()):
        raise ExecutionError(f"model {spec.key} has no parameters; expected some to train")
    device = next(network.parameters()).device
    x = torch.tensor(np.asarray(pattern.x[:_SAMPLES])).to(device)
    network.eval()
    _check(network, spec, x)
    month = spec.axis("T").coarsen
    if len(spec.axes) == 1 and spec.axis("T").mode == "whole" and shortest < x.shape[2]:
        _check(network, spec, x[:, :, :shortest])
    elif month > 1:
        # Trained on pieces of any number of months.
        _check(network, spec, x.narrow(2 + time_axis(spec), 0, month))


def _check(network: nn.Module, spec: ModelSpec, x: torch.Tensor) -> None:
    given = f"input of shape {tuple(x.shape)}: (sample, {_names(spec, x.shape[1])}, *axes)"
    axes = [a for a in spec.axes if a.mode != "pointwise"]
    coarse = (n // a.coarsen for n, a in zip(x.shape[2:], axes, strict=True))
    expected = (len(x), len(spec.outputs), *coarse)
    try:
        with torch.no_grad():
            output = network(x)
    except Exception as error:  # whatever the network of a third party may raise
        raise ExecutionError(
            f"model {spec.key} failed on {given}: {type(error).__name__}: {error}; expected output "
            f"of shape {expected}; mend its forward(), its options or its spec"
        ) from error
    if not isinstance(output, torch.Tensor) or tuple(output.shape) != expected:
        found = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise ExecutionError(
            f"model {spec.key} returned {found} for {given}; expected shape {expected}: (sample, "
            f"{' and '.join(spec.outputs)}, *axes); mend its forward() or its spec"
        )
    if not torch.isfinite(output).all():
        raise ExecutionError(
            f"model {spec.key} returned values that are not finite for {given}; expected numbers "
            "from the beginning: mend its forward()"
        )


def _names(spec: ModelSpec, channels: int) -> str:
    """Return what the channels are, in order."""
    names: Sequence[str] = [
        f"{c.role} of {c.name}" if c.name else c.role for c in spec.inputs if c.role != "covariates"
    ]
    drivers = channels - len(names)
    return ", ".join([*names, f"{drivers} covariates"] if drivers else names)
