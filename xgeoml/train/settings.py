"""How a network is trained: plain values, all checked before anything starts."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from xgeoml.exceptions import InputError
from xgeoml.options import Precision

# Share of the steps, and of the time, that the warm-up may take.
_LONGEST_RISE = 0.2

Schedule = Literal["cosine", "plateau", "constant"]


@dataclass(frozen=True)
class Settings:
    """The settings of a training.

    Attributes
    ----------
    max_epochs, steps : int
        Epochs, and optimiser steps in each.
    max_time : float or None
        Seconds after which this process stops, whatever is left of the epochs. The cosine schedule
        ends with whichever comes first.
    batch_size : int
        Series or windows in a step, over all devices and accumulated passes.
    accumulate : int
        Passes that a step is made of: each needs the memory of `batch_size` / `accumulate`.
    learning_rate, weight_decay : float
        Of AdamW (Loshchilov and Hutter, 2019, ICLR).
    schedule : {"cosine", "plateau", "constant"}
        How the learning rate falls after the warm-up: half a cosine to zero; to a third whenever
        the validation loss has not fallen for three epochs; not at all.
    warm_up : int
        Steps over which the learning rate rises from zero.
    clip : float or None
        Largest norm of the gradient.
    patience : int or None
        Epochs without a lower validation loss after which training stops.
    validation : float
        Share of the observed steps that is set aside, in blocks. 0: all is learnt from.
    patterns : int
        Patterns of hidden values that are drawn of each variable before training starts.
    samples : int
        The most series or windows that are kept of a pattern.
    price : float
        For networks that correct a base model: what a departure from it costs, as a share of what
        it may gain.
    average : float
        Memory of the running mean of the parameters, which is what is kept in the end. 0: none.
    precision : {"float32", "bfloat16", "float16"}
        Arithmetic of the network; parameters and loss stay in float32.
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``.
    devices, nodes : int
        Processes on each machine, one a device, and machines.
    seed : int
    progress : bool
    """

    max_epochs: int = 20
    steps: int = 50
    max_time: float | None = None
    batch_size: int = 96
    accumulate: int = 1
    learning_rate: float = 8e-4
    weight_decay: float = 0.1
    schedule: Schedule = "cosine"
    warm_up: int = 200
    clip: float | None = 1.0
    patience: int | None = None
    validation: float = 0.15
    patterns: int = 200
    samples: int = 300
    price: float = 0.4
    average: float = 0.995
    precision: Precision = "float32"
    device: str = "cpu"
    devices: int = 1
    nodes: int = 1
    seed: int = 0
    progress: bool = False

    def __post_init__(self) -> None:
        """Take NumPy's numbers for Python's, which JSON knows; complain of every value at once."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.generic):
                object.__setattr__(self, field.name, value.item())
        found = list(self._problems())
        if found:
            raise InputError("; ".join(found))

    @property
    def total(self) -> int:
        """Steps of the whole training."""
        return self.max_epochs * self.steps

    @property
    def rise(self) -> int:
        """Steps of the warm-up, at most a fifth of all."""
        return min(self.warm_up, self.total // 5)

    @property
    def world(self) -> int:
        """Processes that share a step."""
        return self.devices * self.nodes

    def to_json(self) -> str:
        """Return the settings as a JSON text that `from_json` reads back."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Return the settings that `to_json` wrote."""
        return cls(**json.loads(text))

    def share(self, step: int, elapsed: float) -> float:
        """Return the learning rate at a step as a share of the largest, the plateau apart.

        Parameters
        ----------
        step : int
            Steps made.
        elapsed : float
            Seconds since the training began.
        """
        spent = 0.0 if self.max_time is None else elapsed / self.max_time
        if step < self.rise and spent < _LONGEST_RISE:
            return max((step + 1) / self.rise, spent / _LONGEST_RISE)
        if self.schedule != "cosine":
            return 1.0
        done = (step - self.rise) / max(1, self.total - self.rise)
        risen = _LONGEST_RISE if self.rise else 0.0
        done = max(0.0, done, (spent - risen) / (1.0 - risen))
        return 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))

    def _problems(self) -> Iterator[str]:
        whole = {"max_epochs": 1, "steps": 1, "batch_size": 1, "accumulate": 1, "warm_up": 0}
        whole |= {"patterns": 1, "samples": 1, "devices": 1, "nodes": 1, "seed": 0}
        if self.patience is not None:
            whole["patience"] = 1
        for name, least in whole.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                yield f"{name}={value!r}: expected a whole number, {least} or above"
        above_zero = ["learning_rate"]
        above_zero += [n for n in ("max_time", "clip") if getattr(self, n) is not None]
        for name in above_zero:
            if not _is_number(getattr(self, name)) or not 0 < getattr(self, name) < math.inf:
                yield f"{name}={getattr(self, name)!r}: expected a number above 0"
        for name, most in {"weight_decay": math.inf, "validation": 0.5, "average": 1.0}.items():
            value = getattr(self, name)
            if not _is_number(value) or not 0 <= value < most:
                yield f"{name}={value!r}: expected a number from 0 to below {most:g}"
        if self.schedule not in get_args(Schedule):
            yield f"schedule={self.schedule!r}: expected one of {get_args(Schedule)}"
        sizes = (self.batch_size, self.accumulate, self.devices, self.nodes)
        if all(isinstance(n, int) and n > 0 for n in sizes):
            parts = self.accumulate * self.world
            if self.batch_size % parts:
                yield (
                    f"batch_size={self.batch_size}: expected a multiple of {parts}, its parts: "
                    f"accumulate={self.accumulate} x devices={self.devices} x nodes={self.nodes}"
                )
        if self.validation == 0 and (self.patience is not None or self.schedule == "plateau"):
            yield "validation=0: patience= and schedule='plateau' need a validation part"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
