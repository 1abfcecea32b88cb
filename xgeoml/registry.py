"""Which models there are: our own, those of installed packages, and those registered by hand."""

from __future__ import annotations

import sys
import threading
from functools import lru_cache
from importlib.metadata import entry_points
from typing import get_args

from xgeoml.exceptions import (
    InputError,
    ModelNotFoundError,
    SpecError,
    WeightsError,
    instead_of,
)
from xgeoml.models.catalog import SPECS
from xgeoml.spec import ModelSpec, Task
from xgeoml.weights.files import read_spec
from xgeoml.weights.releases import Release, releases
from xgeoml.weights.store import find

ENTRY_POINT_GROUP = "xgeoml.models"

_Key = tuple[str, str]  # the task, and the name
_registered: dict[_Key, ModelSpec] = {}
_lock = threading.Lock()


def register_model(spec: ModelSpec, *, overwrite: bool = False) -> ModelSpec:
    """Make a model known by its name, in this process.

    Models of different tasks may have the same name.

    A package makes its models known in every process by an entry point of the group
    ``xgeoml.models`` that leads to a `ModelSpec`.

    Parameters
    ----------
    spec : ModelSpec
        The model's description.
    overwrite : bool
        Whether to replace a model of the same name and task.

    Returns
    -------
    ModelSpec
        `spec`, so that the call can be part of an assignment.

    Raises
    ------
    SpecError
        If the name is taken, or one of the base models is unknown.
    """
    known = _all()
    taken = known.get((spec.task, spec.name))
    if taken is not None and not overwrite:
        raise SpecError(
            f"the name is taken by {taken.factory}; pass overwrite=True to replace it",
            f"model {spec.name!r} cannot be registered",
        )
    # What fills gaps is nothing to begin an inversion with.
    lent = spec.task != "invert_waveform"
    names = {name for task, name in known if lent or task == spec.task}
    unknown = [name for name in spec.bases if name not in names]
    if unknown:
        raise SpecError(
            [f"its base model {name!r} is not known; known: {sorted(names)}" for name in unknown],
            f"model {spec.name!r} cannot be registered",
        )
    with _lock:
        _registered[spec.task, spec.name] = spec
    return spec


def get_model(name: str, task: Task | None = None) -> ModelSpec:
    """Return the description of a model.

    Parameters
    ----------
    name : str
        Such as ``"kalman"``, the newest version that is installed, or ``"grace_tf@1.0"``. An
        older version is what its weights file says; that is fetched if it is not here.
    task : str, optional
        Look among the models of this task only. Of a name that models of several tasks have, it is
        otherwise that of the first of `fill_gaps`, `downscale`, `interp_time`, `invert_waveform`.

    Raises
    ------
    ModelNotFoundError
        With the nearest names.
    InputError
        If there is no such task.
    WeightsError
        If the weights file of an older version cannot be had.
    """
    bare, _, version = name.partition("@")
    check_task(task)
    known = [s for s in all_models() if task in (None, s.task)]
    named = [s for s in known if s.name == bare]
    if not named:
        raise ModelNotFoundError(bare, {s.name for s in known if s.listed})
    for spec in named:
        if version in ("", spec.version):
            return spec
    older = [r for r in releases() if r.model == bare]
    found = next((r for r in older if r.version == version), None)
    if found is None:
        keys = {s.key for s in known} | {r.key for r in older}
        raise ModelNotFoundError(name, keys)
    return _older(found)


def base_model(name: str, task: Task) -> ModelSpec:
    """Return the description of a base model of one for `task`: of that task, or of another.

    Raises
    ------
    ModelNotFoundError
        With the nearest names.
    """
    own = name.partition("@")[0] in {s.name for s in all_models() if s.task == task}
    return get_model(name, task if own else None)


def list_models(task: Task | None = None) -> list[str]:
    """Return the names of the models to choose from, all or those of one task, each once, in order.

    Raises
    ------
    InputError
        If there is no such task.

    Examples
    --------
    >>> import xgeoml
    >>> "kalman" in xgeoml.list_models("fill_gaps")
    True
    """
    check_task(task)
    return sorted({s.name for s in all_models() if s.listed and task in (None, s.task)})


def check_task(task: Task | None) -> None:
    """Raise if there is no such task."""
    if task is not None and task not in get_args(Task):
        raise InputError(f"there is no task {task!r}: {instead_of(task, get_args(Task))}")


def all_models() -> list[ModelSpec]:
    """Return the descriptions of all models, task by task, those too that are not listed."""
    return sorted(_all().values(), key=lambda s: get_args(Task).index(s.task))


def check_factory(spec: ModelSpec) -> None:
    """Raise if a spec from a file names a factory that is no model.

    The spec of a weights file is a stranger's, and its factory is called with options that are
    theirs too: ``os:system`` must not be. Nothing is imported on a file's word: its module must be
    that of an installed or registered model, or be imported already.

    Raises
    ------
    WeightsError
        If the module is another one, or the factory is no class of the kind that models are.
    SpecError
        If the factory cannot be imported.
    """
    module = str(spec.factory).partition(":")[0]
    if module not in sys.modules and module not in {
        str(known.factory).partition(":")[0] for known in all_models()
    }:
        raise WeightsError(
            f"the weights file of {spec.key} needs {spec.factory}, which is not imported on a "
            f"file's word. If you know the package and trust it, type first: import {module}"
        )
    factory = spec.load_factory()
    if spec.backend == "torch":
        from torch import nn

        wanted, right = "a torch.nn.Module", nn.Module
        fits = isinstance(factory, type) and issubclass(factory, right)
    else:
        kinds = {"fill_gaps": ("summarise", "predict"), "invert_waveform": ("invert",)}
        needed = kinds.get(spec.task, ("predict",))
        wanted = f"a class with the methods {' and '.join(needed)}"
        methods = (getattr(factory, name, None) for name in needed)
        fits = isinstance(factory, type) and all(map(callable, methods))
    if not fits:
        raise WeightsError(
            f"the weights file of {spec.key} names {spec.factory} as its model, which is not "
            f"{wanted}, and was not called; do not use the file"
        )


def _older(found: Release) -> ModelSpec:
    """Return the description of a version before that of the catalogue."""
    spec = read_spec(find(found.ref, found.key))
    if spec.key != found.key:
        raise WeightsError(f"weights file {found.ref.file} is of {spec.key}, not of {found.key}")
    check_factory(spec)
    return spec.replace(weights=found.ref)


def _all() -> dict[_Key, ModelSpec]:
    return {**{(s.task, s.name): s for s in SPECS}, **_installed(), **_registered}


@lru_cache(maxsize=1)
def _installed() -> dict[_Key, ModelSpec]:
    """Return the models of installed packages; a broken entry point is named, not swallowed."""
    found: dict[_Key, ModelSpec] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            loaded = point.load()
        except (ImportError, AttributeError) as error:
            raise SpecError(
                f"entry point {point.name} = {point.value}: {error}",
                "the models of an installed package cannot be loaded",
            ) from error
        specs = loaded if isinstance(loaded, (list, tuple)) else [loaded]
        for spec in specs:
            if not isinstance(spec, ModelSpec):
                raise SpecError(
                    f"entry point {point.name} = {point.value}: {spec!r} is no ModelSpec",
                    "the models of an installed package cannot be loaded",
                )
            found[spec.task, spec.name] = spec
    return found
