"""From the name that a user types to a model that can be run."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import xarray as xr

from xgeoml.engine.handle import ModelHandle
from xgeoml.exceptions import (
    GeoMLError,
    InputError,
    ModelNotFoundError,
    SpecError,
    WeightsError,
    did_you_mean,
)
from xgeoml.options import Progress, get_options
from xgeoml.registry import all_models, base_model, check_factory, get_model, list_models
from xgeoml.spec import ModelSpec, Task
from xgeoml.weights.address import kind_of, reference
from xgeoml.weights.download import shown
from xgeoml.weights.files import read_spec
from xgeoml.weights.store import find, locate, warn_of


class Trained(Protocol):
    """A trained model, such as `xgeoml.Model`: it has a description, and a file."""

    @property
    def spec(self) -> ModelSpec:
        """What the model is."""

    @property
    def path(self) -> Path:
        """The weights file."""


ModelLike = str | os.PathLike[str] | ModelSpec | Trained
WeightsLike = str | os.PathLike[str]

# What stands for a model that is still to be chosen.
WORDS = ("auto", "best")
# Below this, patterns and cycles cannot be told from noise.
FEWEST_STEPS = 24


def automatic(n_steps: int, n_covariates: int, grid: bool) -> tuple[str, str]:
    """Return the model that ``model="auto"`` stands for in `fill_gaps`, and why.

    The rule looks at the shape of the data only, never at values, so that it is the same for lazy
    and loaded data. On a grid it is `oi`, which takes from the cells around what they know, be it
    below a cloud or between scattered pixels, and bridges steps of which nothing is seen as
    `kalman` does. Elsewhere it is `kalman`. Under 24 steps it is `linear` where there is no grid,
    and `regression` with covariates.

    Parameters
    ----------
    n_steps, n_covariates : int
    grid : bool
        Whether there are at least two cells along both Y and X.
    """
    few = f"{n_steps} steps are too few to learn patterns from (under {FEWEST_STEPS})"
    if n_covariates and n_steps < FEWEST_STEPS:
        return "regression", f"{few}, and covariates are given"
    if grid:
        return "oi", "a grid: what is missing is taken from the cells around it as well"
    if n_steps >= FEWEST_STEPS:
        return "kalman", f"{n_steps} steps are enough to learn patterns from"
    return "linear", few


def check_name(model: object, task: Task | None, obj: object, keyword: str = "variables") -> None:
    """Raise if a model's name is none, and tell if it is that of a variable.

    Parameters
    ----------
    model : object
        What the user gave; what is no name is left to `make_handle`.
    task : str or None
        Of which the message lists the models; None: of all tasks.
    obj : DataArray, Dataset or DataTree
        Of one that is none of these the task tells.
    keyword : str
        The argument in which variables are named.

    Raises
    ------
    ModelNotFoundError
    """
    if not isinstance(model, str) or model in WORDS or kind_of(model) != "name":
        return
    bare = model.partition("@")[0]
    if any(bare == spec.name for spec in all_models()):
        return
    known = list_models(task)
    hint = _as_variable(bare, obj, keyword)
    if not hint and not did_you_mean(bare, known):
        near = did_you_mean(bare, _variables_of(obj), limit=1)
        hint = f"For the variable {near[0]!r} type {keyword}={json.dumps(near[0])}" if near else ""
    raise ModelNotFoundError(bare, known, hint)


def misplaced(value: object, task: Task, obj: object) -> str:
    """Return what to type where the name of a model or variable stands in another's place.

    Empty if it is none. `check_name` tells what the parameters are.
    """
    if not isinstance(value, str):
        return ""
    if value in WORDS or value.partition("@")[0] in list_models(task):
        return f"{value!r} is a model: type model={json.dumps(value)}"
    return _as_variable(value, obj, "variables")


def _as_variable(name: str, obj: object, keyword: str) -> str:
    """Return how to name a variable, if a name is one."""
    if isinstance(obj, xr.DataArray) and obj.name == name:
        return f"{name!r} is the DataArray itself: leave it out"
    there = name in _variables_of(obj)
    return f"{name!r} is a variable: type {keyword}={json.dumps(name)}" if there else ""


def _variables_of(obj: object) -> list[str]:
    """Return the names of the variables of a Dataset or DataTree."""
    if isinstance(obj, xr.DataTree):
        return [str(v) for node in obj.subtree for v in node.data_vars]
    return [str(v) for v in obj.data_vars] if isinstance(obj, xr.Dataset) else []


def task_of(model: ModelLike) -> Task | None:
    """Return the task of a spec, a weights file or a trained object; None of a name."""
    if isinstance(model, str) and kind_of(model) == "name":
        return None
    return _from_model(model, "fill_gaps", None)[0].task


def make_handle(
    model: ModelLike,
    task: Task,
    options: Mapping[str, Any] | None,
    seed: int,
    *,
    weights: WeightsLike | None = None,
    progress: Progress | None = None,
) -> ModelHandle:
    """Return the handle of a model given by name, spec, weights file, or as a trained object.

    Parameters
    ----------
    model : str, path, ModelSpec or object with a spec and a path
        What the user gave, ``"auto"`` resolved already unless `weights` are given.
    task : str
        What it is to do.
    options : mapping, optional
        Options of the model.
    seed : int
        For models that draw random numbers.
    weights : str or path, optional
        The weights to use, as in `xgeoml.weights.locate`.
    progress : bool or "auto", optional
        Show a bar while weights are downloaded.

    Raises
    ------
    ModelNotFoundError, WeightsError, SpecError, InputError
        If there is no such model, its weights are not usable, or it does another task.
    """
    if weights is None:
        spec, path = _from_model(model, task, progress)
    else:
        spec, path = _from_weights(weights, model, task, progress)
    if spec.task != task:
        raise SpecError(f"it is a model for {spec.task}", f"model {spec.key} cannot do {task}")
    if options is not None and not isinstance(options, Mapping):
        raise InputError(
            f"model_options={options!r}: expected a mapping, such as {{'drivers': False}}, which "
            "'kalman' has"
        )
    if options:
        changed = spec.with_options(options)
        _check_trained(spec, changed, options, path)
        _check_made(spec, changed, options)
        spec = changed
    if spec.weights is not None and path is None:
        # Complain about a missing or damaged file now, not in a worker.
        found = find(spec.weights, spec.key, progress=progress)
        warn_of(spec.weights.sha256, found)
    if spec.backend == "numpy" and "seed" in inspect.signature(spec.load_factory()).parameters:
        spec = spec.replace(options={"seed": seed, **spec.options})
    bases = tuple(_base(name, task, seed) for name in spec.bases)
    handle = ModelHandle(spec, path, bases)
    if path is not None:
        warn_of(handle.sha256, Path(path))
    return handle


def _base(name: str, task: Task, seed: int) -> ModelHandle:
    spec = base_model(name, task)
    # Gaps are filled in time too: such a model may be a base of one of interpolation in time.
    lent = task == "interp_time" and spec.task == "fill_gaps"
    return make_handle(spec, spec.task if lent else task, None, seed)


def _from_model(
    model: object, task: Task, progress: Progress | None
) -> tuple[ModelSpec, str | None]:
    """Return the spec, and the path of the weights unless the spec itself names them."""
    if isinstance(model, ModelSpec):
        return model, None
    if not isinstance(model, (str, os.PathLike)):
        return _from_object(model)
    kind = kind_of(model)
    text = os.fspath(model)
    if kind == "name":
        return by_name(text, task), None
    return _from_file(text, kind == "address", progress)


def _from_object(model: object) -> tuple[ModelSpec, str | None]:
    """Return the spec and the path of a trained model: an object with these two attributes."""
    spec, path = getattr(model, "spec", None), getattr(model, "path", None)
    if not isinstance(spec, ModelSpec) or not isinstance(path, (str, os.PathLike)):
        raise InputError(
            f"model={model!r}: expected a name such as 'kalman', a path of a .safetensors file, "
            "an address with its hash, or a ModelSpec"
        )
    return _from_file(os.fspath(path), False, None)


def _from_file(text: str, remote: bool, progress: Progress | None) -> tuple[ModelSpec, str | None]:
    """Return the spec in a weights file, and the file's path.

    Of a file from the network the spec names the file, so that a worker elsewhere can find it too.
    """
    if not remote:
        path = locate(text)
        spec = read_spec(path)
        check_factory(spec)
        return spec, str(path)
    ref = reference(text)
    spec = read_spec(find(ref, progress=progress))
    check_factory(spec)
    return spec.replace(weights=ref), None


def _from_weights(
    weights: WeightsLike, model: ModelLike, task: Task, progress: Progress | None
) -> tuple[ModelSpec, str | None]:
    """Return spec and path of `weights`, which must be those of the model named beside them."""
    if not isinstance(weights, (str, os.PathLike)):
        raise InputError(
            f"weights={weights!r}: expected a name such as 'grace_tf@1.0', a path of a "
            ".safetensors file, or an address with its hash"
        )
    spec, path = _from_model(weights, task, progress)
    if path is None and spec.weights is None:
        raise WeightsError(
            f"weights={shown(weights)!r}: model {spec.key} has no weights; use model="
        )
    if isinstance(model, str) and kind_of(model) == "name":
        wanted = model
    elif isinstance(model, ModelSpec):
        wanted = model.key
    else:
        raise InputError(
            f"model={model!r} and weights={shown(weights)!r} both name weights; give one of them"
        )
    if wanted not in ("auto", spec.name, spec.key):
        if isinstance(model, str):
            by_name(wanted, task)  # a name that is no model's is what the user should be told of
        raise InputError(
            f"weights={shown(weights)!r} are those of {spec.key}, not of model={wanted!r}; leave "
            f"model= out, or type model={spec.name!r}"
        )
    return spec, path


def _check_trained(
    spec: ModelSpec, changed: ModelSpec, options: Mapping[str, Any], weights: str | None
) -> None:
    """Raise if options make of a network another one than its weights were trained for."""
    if spec.backend != "torch" or (weights is None and spec.weights is None):
        return
    own = _own_options(spec)
    other = [k for k in options if k not in own or own[k] != changed.options[k]]
    if other:
        trained = ", ".join(f"{k}={own[k]!r}" for k in other if k in own) or "other options"
        asked = {k: options[k] for k in other}
        raise InputError(
            f"the weight of {spec.name} was trained with {trained}; model_options={asked!r} needs "
            "a weight trained so: pass its file, model='my_weight.safetensors', or leave "
            f"{' and '.join(map(repr, other))} out"
        )


def _check_made(spec: ModelSpec, changed: ModelSpec, options: Mapping[str, Any]) -> None:
    """Make the model once, here, so that a wrong option is told of now and not in a worker."""
    own = {k: v for k, v in _own_options(spec).items() if k in options}
    try:
        if spec.backend == "numpy" and "seed" in options:
            get_options(seed=options["seed"])
        for key, value in own.items():
            # Every text and number is true or false to `if`.
            if isinstance(value, bool) and not isinstance(options[key], bool):
                raise InputError(f"{key}={options[key]!r}: expected True or False")
        changed.load_factory()(**changed.options)
    except Exception as error:  # whatever a factory of a third party may raise
        kind = "" if isinstance(error, GeoMLError) else f"{type(error).__name__}: "
        usual = f"; expected values such as its own, {own!r}" if own else ""
        raise InputError(
            f"model {spec.name!r} cannot be made with model_options={dict(options)!r}: "
            f"{kind}{error}{usual}"
        ) from error


def _own_options(spec: ModelSpec) -> dict[str, Any]:
    """Return the options of a model: those of its spec, and what its factory has by default."""
    parameters = inspect.signature(spec.load_factory()).parameters
    default = {k: p.default for k, p in parameters.items() if p.default is not p.empty}
    return {**default, **spec.options}


def by_name(name: str, task: Task) -> ModelSpec:
    """Return the model of a name for a task, or one of another task that has the name.

    Raises
    ------
    ModelNotFoundError, WeightsError
    """
    try:
        return get_model(name, task)
    except ModelNotFoundError:
        if name.partition("@")[0] in list_models(task) or name not in list_models():
            raise
        return get_model(name)  # of another task, which is what the user should be told
