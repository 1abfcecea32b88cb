"""Which models there are: our own, those of installed packages, and those registered by hand."""

from __future__ import annotations

import threading
from functools import lru_cache
from importlib.metadata import entry_points

from xgeoml.exceptions import ModelNotFoundError, SpecError
from xgeoml.models.catalog import BUILT_IN
from xgeoml.spec import ModelSpec, Task

ENTRY_POINT_GROUP = "xgeoml.models"

_registered: dict[str, ModelSpec] = {}
_lock = threading.Lock()


def register_model(spec: ModelSpec, *, overwrite: bool = False) -> ModelSpec:
    """Make a model known by its name, in this process.

    A package makes its models known in every process by an entry point of the group
    ``xgeoml.models`` that leads to a `ModelSpec`.

    Parameters
    ----------
    spec : ModelSpec
        The model's description.
    overwrite : bool
        Whether to replace a model of the same name.

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
    if spec.name in known and not overwrite:
        raise SpecError(
            f"the name is taken by {known[spec.name].factory}; pass overwrite=True to replace it",
            f"model {spec.name!r} cannot be registered",
        )
    unknown = [name for name in spec.bases if name not in known]
    if unknown:
        raise SpecError(
            [f"its base model {name!r} is not known; known: {sorted(known)}" for name in unknown],
            f"model {spec.name!r} cannot be registered",
        )
    with _lock:
        _registered[spec.name] = spec
    return spec


def get_model(name: str, task: Task | None = None) -> ModelSpec:
    """Return the description of a model.

    Parameters
    ----------
    name : str
        Such as ``"kalman"`` or, to insist on a version, ``"grace_tf@1.0"``.
    task : str, optional
        Look among the models of this task only.

    Raises
    ------
    ModelNotFoundError
        With the nearest names.
    """
    bare, _, version = name.partition("@")
    known = {k: s for k, s in _all().items() if task in (None, s.task)}
    spec = known.get(bare)
    if spec is None:
        raise ModelNotFoundError(bare, known)
    if version and version != spec.version:
        raise ModelNotFoundError(name, (s.key for s in known.values()))
    return spec


def list_models(task: Task | None = None) -> list[str]:
    """Return the names of the models to choose from, all or those of one task, in order.

    Examples
    --------
    >>> import xgeoml
    >>> "kalman" in xgeoml.list_models("fill_gaps")
    True
    """
    return sorted(
        name for name, spec in _all().items() if spec.listed and task in (None, spec.task)
    )


def _all() -> dict[str, ModelSpec]:
    return {**BUILT_IN, **_installed(), **_registered}


@lru_cache(maxsize=1)
def _installed() -> dict[str, ModelSpec]:
    """Return the models of installed packages; a broken entry point is named, not swallowed."""
    found: dict[str, ModelSpec] = {}
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
            found[spec.name] = spec
    return found
