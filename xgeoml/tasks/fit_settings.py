"""Settings of a fit that nobody asked for, and what they may be."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, get_args

import numpy as np
import pandas as pd

from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.inversion import Amplitudes
from xgeoml.exceptions import InputError
from xgeoml.spec import ModelSpec, Task
from xgeoml.tasks.filling import gives_months
from xgeoml.tasks.joined import check_amplitudes, joined

_FINE_TUNING_RATE = 1e-4
# Windows in a step of a network that makes months.
_MONTHLY: dict[str, Any] = {"batch_size": 8}
# Of networks that learn from pairs: whole fields in a step, of which a record has few.
_PAIRS: dict[str, Any] = {
    "batch_size": 16,
    "max_epochs": 40,
    "learning_rate": 1e-3,
    "warm_up": 100,
    "weight_decay": 0.01,
    "average": 0.995,
}
# Of those that learn what lies between the steps of a record, beside base models that know it:
# little is left to learn, and more steps learn noise.
_MOMENTS: dict[str, Any] = {**_PAIRS, "max_epochs": 6, "learning_rate": 5e-4, "warm_up": 50}


# Of those that invert waveforms.
_WAVES: dict[str, Any] = {**_PAIRS, "batch_size": 8, "average": 0.99}


def usual_settings(spec: ModelSpec, begin: bool) -> dict[str, Any]:
    """Return the settings of a training where they are other than those of `Settings`.

    Parameters
    ----------
    spec : ModelSpec
    begin : bool
        Whether it begins with weights.
    """
    made: dict[str, Any] = {}
    if spec.backend == "numpy":
        return made  # fitted in one go
    if spec.task == "downscale":
        made = _PAIRS
    elif spec.task == "interp_time":
        made = _MOMENTS
    elif spec.task == "invert_waveform":
        made = _WAVES
    elif gives_months(spec):
        made = _MONTHLY
    return {**made, "learning_rate": _FINE_TUNING_RATE} if begin else dict(made)


def check_of_waveforms(
    task: Task,
    target: object,
    greens: object,
    dim: str | Sequence[str] | None,
    positive: object,
    amplitudes: object,
) -> tuple[str, ...]:
    """Return the dims along which records have one source.

    Raises
    ------
    InputError
        If arguments are given that are of another task, or there is nothing to learn from.
    """
    given = {"greens": greens, "dim": dim}
    wrong = [name for name, value in given.items() if value is not None]
    wrong += ["positive"] * (positive is not True) + ["amplitudes"] * (amplitudes != "given")
    if task != "invert_waveform":
        if wrong:
            raise InputError(
                f"{', '.join(f'{name}=' for name in wrong)}: for models of waveform inversion, "
                "such as 'eq_tf'; leave it out"
            )
        return ()
    if target is None and greens is None:
        raise InputError(
            "nothing tells what the records are made of; give their sources, target=..., their "
            "Green's functions, greens=..., or both"
        )
    if not isinstance(positive, (bool, np.bool_)):
        raise InputError(f"positive={positive!r}: expected True or False")
    if amplitudes not in get_args(Amplitudes):
        raise InputError(f"amplitudes={amplitudes!r}: expected 'given' or 'free'")
    join = joined(dim)
    check_amplitudes(str(amplitudes), join, greens is not None)
    return join


def check_in_one_go(given: Mapping[str, Any], handle: ModelHandle) -> None:
    """Raise if a model that is fitted in one go is given what is for networks."""
    fits, of_steps = ("validation", "dims", "model_options"), ("steps", "patterns", "clip")
    wrong = [k for k, v in given.items() if k not in fits and v not in (None, "auto")]
    wrong += [k for k in of_steps if k in given and k not in wrong]
    if wrong:
        raise InputError(
            f"{', '.join(f'{k}={given[k]!r}' for k in wrong)}: {handle.spec.key} is fitted in one "
            "go, not step by step; leave it out"
        )


def seconds(max_time: float | str | timedelta | None) -> float | None:
    """Return a length of time in seconds.

    Raises
    ------
    InputError
        If it is none.
    """
    if max_time is None:
        return None
    # To NumPy a timedelta is a number, and to Python True is.
    numbers = (int, float, np.integer, np.floating)
    if isinstance(max_time, numbers) and not isinstance(max_time, (bool, np.timedelta64)):
        return float(max_time)
    message = f"max_time={max_time!r}: expected seconds, or a length of time such as '5min'"
    if isinstance(max_time, str):
        with contextlib.suppress(ValueError):
            max_time = timedelta(seconds=float(max_time))  # to pandas it were nanoseconds
    try:
        made = pd.Timedelta(max_time).total_seconds()
    except (ValueError, TypeError) as error:
        raise InputError(message) from error
    if not math.isfinite(made):
        raise InputError(message)
    return made
