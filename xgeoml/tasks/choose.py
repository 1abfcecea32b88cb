"""From the name that a user types to a model that can be run."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xgeoml.engine.handle import ModelHandle
from xgeoml.exceptions import InputError, ModelNotFoundError, SpecError
from xgeoml.registry import get_model, list_models
from xgeoml.spec import ModelSpec, Task
from xgeoml.weights.store import find, read_spec

ModelLike = str | os.PathLike[str] | ModelSpec

# Below this, patterns and cycles cannot be told from noise.
FEWEST_STEPS = 24


def automatic(n_steps: int, n_covariates: int) -> tuple[str, str]:
    """Return the model that ``model="auto"`` stands for in `fill_gaps`, and why.

    The rule looks at the shape of the data only, never at values, so that it is the same for lazy
    and loaded data: under 24 steps `linear`; with covariates `grace_tf`; else `kalman`, which
    bridges whole missing steps by the memory of the large patterns, and steps with some cells
    missing by the cells that are there.
    """
    if n_steps < FEWEST_STEPS:
        return "linear", f"{n_steps} steps are too few to learn from (under {FEWEST_STEPS})"
    if n_covariates:
        return "grace_tf", "covariates are given"
    return "kalman", "no covariates are given"


def make_handle(
    model: ModelLike, task: Task, options: Mapping[str, Any] | None, seed: int
) -> ModelHandle:
    """Return the handle of a model given by name, spec, or path of a weights file.

    Parameters
    ----------
    model : str, path or ModelSpec
        What the user gave, ``"auto"`` resolved already.
    task : str
        What it is to do.
    options : mapping, optional
        Options of the model's factory.
    seed : int
        Handed to models that draw random numbers.

    Raises
    ------
    ModelNotFoundError, WeightsError, SpecError, InputError
        If there is no such model, its weights are not usable, or it does another task.
    """
    weights = None
    if isinstance(model, ModelSpec):
        spec = model
    elif isinstance(model, (str, os.PathLike)):
        text = os.fspath(model)
        if text.endswith(".safetensors") or isinstance(model, os.PathLike) or os.sep in text:
            spec, weights = read_spec(text), str(Path(text).resolve())
        else:
            spec = _by_name(text, task)
    else:
        raise InputError(
            f"model={model!r}: expected a name such as 'kalman', a path of a .safetensors file or "
            "a ModelSpec"
        )
    if spec.task != task:
        raise SpecError(f"it is a model for {spec.task}", f"model {spec.key} cannot do {task}")
    if options is not None and not isinstance(options, Mapping):
        raise InputError(
            f"model_options={options!r}: expected a mapping, such as {{'attention': 'logsparse'}}"
        )
    if options:
        spec = spec.with_options(options)
    if spec.weights is not None and weights is None:
        find(spec.weights)  # complain about a missing or damaged file now, not in a worker
    if spec.backend == "numpy" and "seed" in inspect.signature(spec.load_factory()).parameters:
        spec = spec.replace(options={"seed": seed, **spec.options})
    bases = tuple(make_handle(name, task, None, seed) for name in spec.bases)
    return ModelHandle(spec, weights, bases)


def _by_name(name: str, task: Task) -> ModelSpec:
    try:
        return get_model(name, task)
    except ModelNotFoundError:
        if name.partition("@")[0] in list_models(task) or name not in list_models():
            raise
        return get_model(name)  # of another task, which is what the user should be told
