"""Arguments of a task that an evaluation passes on to each of its calls."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import xarray as xr

from xgeoml.exceptions import InputError, instead_of
from xgeoml.spec import Task
from xgeoml.tasks.downscale import check_wish as check_downscale
from xgeoml.tasks.gaps import check_max_gap
from xgeoml.tasks.interp_time import check_wish as check_interp_time
from xgeoml.tasks.quantities import plain
from xgeoml.tasks.vectors import check_vectors

# What decides the answers, or which of them are wanted.
PASSED: dict[Task, tuple[str, ...]] = {
    "fill_gaps": ("mask", "max_gap"),
    "downscale": ("like", "terrain", "mask", "conserve", "minimum", "members"),
    "interp_time": ("accumulated", "vectors", "terrain", "max_gap"),
    "invert_waveform": ("positive", "amplitudes", "impulse", "resample", "gaps"),
}
# What an evaluation says in another way.
_INSTEAD = {
    "model": "what is compared goes in models=",
    "weights": "versions and files go in models=, such as models=['grace_tf@1.0']",
    "variables": "one variable is evaluated; type variable=",
    "spread": "where models tell a spread that can be scored it is; leave it out",
    "model_options": "options go with their model: models={'blind': "
    "xgeoml.get_model('kalman').with_options({'drivers': False})}",
}
_STEPS = "factor= says which steps are kept, and the others are wanted"
_INSTEAD_IN_TIME = {"freq": _STEPS, "times": _STEPS}


def read_arguments(task: Task, given: object, own: Container[str]) -> dict[str, Any]:
    """Return the arguments that a user wants to be passed on to a task.

    Parameters
    ----------
    task : str
    given : mapping or None
        What the user says of `arguments`.
    own : container of str
        The arguments of `evaluate` itself.

    Raises
    ------
    InputError
        If they are no names and values, the task has not got them, or they are no matter of an
        evaluation.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InputError(
            f"arguments={given!r}: expected names and values, such as {_example(task)}"
        )
    wrong = [_problem(task, str(name), own) for name in given if name not in PASSED[task]]
    if wrong:
        raise InputError("arguments: " + "; ".join(wrong))
    made = {str(name): plain(value) for name, value in given.items() if value is not None}
    _check(task, made)
    return made


def _example(task: Task) -> str:
    examples: dict[Task, str] = {
        "fill_gaps": "{'max_gap': 3}",
        "downscale": "{'minimum': 0}",
        "interp_time": "{'accumulated': True}",
        "invert_waveform": "{'positive': False}",
    }
    return examples[task]


def _problem(task: Task, name: str, own: Container[str]) -> str:
    """Return why an argument is none that is passed on, and what to type."""
    instead = {**_INSTEAD, **(_INSTEAD_IN_TIME if task == "interp_time" else {})}
    if name in instead:
        return f"{name!r}: {instead[name]}"
    if name in own:
        return f"{name!r} is one of evaluate itself; type {name}=..., outside of arguments="
    hint = instead_of(name, PASSED[task])
    return f"{name!r} is none of {task} that is passed on; {hint}"


def _check(task: Task, made: Mapping[str, Any]) -> None:
    """Complain of values that are wrong whatever the data, and whichever model."""
    say = made.get
    if task == "fill_gaps":
        check_max_gap(say("max_gap"))
        if not isinstance(say("mask", ""), (str, xr.DataArray)):
            raise InputError(
                f"mask is a {type(made['mask']).__name__}; expected a variable's name or a "
                "DataArray of bool"
            )
    elif task == "downscale":
        like, mask, conserve = say("like"), say("mask"), say("conserve", "auto")
        terrain, members = say("terrain", True), say("members")
        check_downscale(None, like, terrain, mask, conserve, say("minimum"), members, None)
    elif task == "interp_time":
        check_vectors(say("vectors"))
        check_max_gap(say("max_gap"))
        accumulated, terrain = say("accumulated", False), say("terrain", True)
        check_interp_time(None, 2, None, accumulated, terrain, say("max_gap"), None)
