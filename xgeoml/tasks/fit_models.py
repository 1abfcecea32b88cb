"""What is fitted, and to what end: from the model that a user names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from xgeoml.engine.handle import ModelHandle
from xgeoml.exceptions import InputError, SpecError
from xgeoml.options import Options
from xgeoml.registry import all_models, list_models
from xgeoml.spec import ModelSpec, Scaling, Task
from xgeoml.tasks.choose import ModelLike, by_name, make_handle, task_of
from xgeoml.weights.address import kind_of


def fitted_task(model: ModelLike, on_pairs: bool) -> Task:
    """Return the task that a model is fitted for.

    Parameters
    ----------
    model : str, path, ModelSpec or Model
        Of a name that models of several tasks have, the one that learns from a record is meant.
    on_pairs : bool
        Whether there is a target: then it is downscaling, or waveform inversion.
    """
    task = task_of(model)
    bare = str(model).partition("@")[0]
    if task == "invert_waveform" or (task is None and _only_of_waveforms(bare)):
        return "invert_waveform"
    if on_pairs:
        return "downscale"
    if task is not None:
        return "interp_time" if task == "interp_time" else "fill_gaps"
    named = [s for s in all_models() if s.name == bare and s.task in ("fill_gaps", "interp_time")]
    if len(named) > 1:
        named = [s for s in named if learns(s)] or named
    return "interp_time" if named and named[0].task == "interp_time" else "fill_gaps"


def _only_of_waveforms(name: str) -> bool:
    """Whether all models of a name invert waveforms."""
    tasks = {s.task for s in all_models() if s.name == name}
    return tasks == {"invert_waveform"}


def learns(spec: ModelSpec) -> bool:
    """Whether there is anything in a model that can be fitted."""
    return spec.backend == "torch" or hasattr(spec.load_factory(), "fit")


def resolve_fitted(
    model: ModelLike,
    start: ModelLike | None,
    model_options: Mapping[str, Any] | None,
    scaling: Scaling | None,
    options: Options,
    task: Task,
) -> tuple[ModelHandle, bool]:
    """Return what is fitted, and whether training begins with weights of its own."""
    if task == "fill_gaps" and _of_pairs(model):
        raise InputError(
            f"model={getattr(model, 'name', model)!r} is for downscaling and learns from pairs; "
            "give the fine fields, target=fine"
        )
    handle = make_handle(_without_weights(model, task), task, None, options.seed)
    if not learns(handle.spec):
        raise SpecError(
            "it has no parameters to train; use it as it is, "
            f"obj.geoml.{task}(model={handle.spec.name!r})",
            f"model {handle.spec.key} cannot be trained",
        )
    begin = handle.weights is not None or handle.spec.weights is not None
    if start is not None:
        first = make_handle(start, task, None, options.seed)
        same = ("factory", "inputs", "outputs", "axes")
        other = [n for n in same if getattr(first.spec, n) != getattr(handle.spec, n)]
        if not other and isinstance(model, ModelSpec) and first.spec.options != model.options:
            other = ["options"]  # a name stands for the network, whatever its options
        if other or (first.weights is None and first.spec.weights is None):
            why = f"of another model: {' and '.join(other)} differ" if other else "without weights"
            raise InputError(
                f"start={first.spec.key!r} is {why}; expected weights of {handle.spec.name!r}, "
                "such as a file that Model.save wrote"
            )
        handle, begin = first, True
    if model_options:
        if begin:
            raise InputError(
                f"model_options={dict(model_options)!r}: weights fit the network that they were "
                "trained in only; leave model_options= or the weights out"
            )
        handle = make_handle(handle.spec.replace(weights=None), task, model_options, options.seed)
    if scaling is not None and scaling != handle.spec.scaling:
        if begin:
            raise InputError(
                f"scaling={scaling!r}: the weights to begin with were trained with "
                f"{handle.spec.scaling!r}; leave scaling= out"
            )
        handle = replace(handle, spec=handle.spec.replace(scaling=scaling, scale=None))
    return handle, begin


def _of_pairs(model: ModelLike) -> bool:
    """Whether a name, or what comes with one, is that of a model of downscaling."""
    if isinstance(model, str) and kind_of(model) == "name" and model in list_models("downscale"):
        return True
    return getattr(getattr(model, "spec", model), "task", "") == "downscale"


def _without_weights(model: ModelLike, task: Task) -> ModelLike:
    """Return the network that a name or a spec stands for: its weights need not be there."""
    if isinstance(model, str) and kind_of(model) == "name":
        model = by_name(model, task)
    return model.replace(weights=None) if isinstance(model, ModelSpec) else model
