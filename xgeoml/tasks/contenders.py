"""What an evaluation is given: models that the user names, the baselines beside them, metrics."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import xarray as xr

from xgeoml.axes import find_axes
from xgeoml.exceptions import GeoMLError, InputError, SpecError
from xgeoml.model import Model
from xgeoml.options import Options
from xgeoml.registry import all_models, get_model
from xgeoml.spec import ModelSpec, Task
from xgeoml.tasks.choose import ModelLike, make_handle
from xgeoml.tasks.filling import gives_months
from xgeoml.tasks.inspect import lacking
from xgeoml.weights.download import shown
from xgeoml.weights.store import is_there, places

Models = ModelLike | Sequence[ModelLike] | Mapping[str, ModelLike] | None
Fits = str | Sequence[str] | Mapping[str, Mapping[str, Any]] | None
Metric = Callable[..., Any]
Metrics = Mapping[str, Metric | str] | Sequence[Metric | str] | None
Regions = Mapping[str, xr.DataArray | Mapping[Hashable, slice]] | None

# Cheap and hard to beat: beside them a figure means something.
BASELINES: dict[Task, tuple[str, ...]] = {
    "fill_gaps": ("linear", "climatology"),
    "downscale": ("nearest", "bicubic"),
    "interp_time": ("linear", "akima"),
    "invert_waveform": ("wiener", "nnls"),
}


# What a model is without covariates, by its name: of the two one is enough.
_THE_SAME_WITHOUT = {"regression": "climatology"}


@dataclass(frozen=True)
class Lineup:
    """Which models a user wants to compare, see `xgeoml.evaluate`.

    Attributes
    ----------
    models, fits, baselines
        As the user gave them.
    months : bool
        Whether they are to make months.
    drivers : bool
        Whether there are covariates.
    options : Options
    """

    models: Models
    fits: Fits
    baselines: bool
    months: bool
    drivers: bool
    options: Options


class Contender(NamedTuple):
    """A model of an evaluation.

    Attributes
    ----------
    label : str
        How it is called there.
    model : str, path, ModelSpec or Model
    spec : ModelSpec
    settings : mapping or None
        Of `fit`, of one that is trained anew in each repeat.
    """

    label: str
    model: ModelLike
    spec: ModelSpec
    settings: Mapping[str, Any] | None = None


def contenders(
    data: xr.DataArray,
    task: Task,
    lineup: Lineup,
    dims: Mapping[str, str] | None,
    automatic: Callable[[], str],
) -> list[Contender]:
    """Return the models to try, each once.

    Parameters
    ----------
    data : DataArray
        The variable that they are tried on.
    task : str
    lineup : Lineup
    dims : mapping, optional
        The user's word on the axes of the variable.
    automatic : callable
        Returns the name of the model that ``"auto"`` stands for.

    Raises
    ------
    GeoMLError
        If one that the user named is not there, is one of another task, or makes months where none
        are asked for.
    """
    found: list[Contender] = []
    if lineup.models is None:
        ready = [get_model(name, task) for name in ready_models(data, task, lineup, dims)]
        found += [Contender(spec.name, spec.name, spec) for spec in ready]
    for label, model in _without_auto(_named(lineup.models), automatic):
        spec = _spec_of(model, task, lineup.options)
        _check_months(spec, lineup)
        found.append(Contender(label or _label(model, spec), model, spec))
    for name, given in _settings(lineup.fits).items():
        spec = get_model(name, task)
        _check_months(spec, lineup)
        found.append(Contender(f"{name}, fitted", name, spec, given))
    if lineup.baselines:
        here = {c.spec.name for c in found if c.settings is None}
        for name in BASELINES[task]:
            if name not in here:
                spec = get_model(name, task)
                found.append(Contender(name, name, spec))
    return _with_own_labels(found)


def _check_months(spec: ModelSpec, lineup: Lineup) -> None:
    """Raise if a model makes months, and what is compared are values at the record's own steps."""
    if gives_months(spec) and not lineup.months:
        raise InputError(
            f"model {spec.key} makes months of days, and what is compared here are values at the "
            "steps of the record; type freq='MS' to compare months, or leave it out"
        )


def _named(models: Models) -> list[tuple[str, ModelLike]]:
    """Return labels, empty where the user gave none, and models."""
    if models is None:
        return []
    if isinstance(models, Mapping):
        return [(str(label), model) for label, model in models.items()]
    if isinstance(models, (str, os.PathLike, ModelSpec, Model)):
        models = [models]
    if not isinstance(models, Sequence):
        raise InputError(
            f"models={models!r}: expected names, paths or models, such as ['kalman', own], or "
            "labels and models, {'mine': own}"
        )
    return [("", model) for model in models]


def _without_auto(
    named: list[tuple[str, ModelLike]], automatic: Callable[[], str]
) -> list[tuple[str, ModelLike]]:
    """Return labels and models, ``"auto"`` replaced by what it stands for, each of them once."""
    if not any(isinstance(model, str) and model == "auto" for _, model in named):
        return named
    meant = automatic()
    there = any(isinstance(model, str) and model == meant for _, model in named)
    found: list[tuple[str, ModelLike]] = []
    for label, model in named:
        if not (isinstance(model, str) and model == "auto"):
            found.append((label, model))
        elif label or not there:
            found.append((label, meant))
            there = True
    return found


def ready_models(
    data: xr.DataArray, task: Task, lineup: Lineup, dims: Mapping[str, str] | None = None
) -> list[str]:
    """Return the models that can be run on a variable as they are, their weights being here."""
    axes = find_axes(data, dims)
    there: set[str] = set(axes.names)
    # The time axis of records is one of samples, whatever it is called.
    there |= {"T"} if task == "invert_waveform" else set()
    fit_in = [s for s in all_models() if s.task == task and {a.axis for a in s.axes} <= there]
    large = [s for s in fit_in if s.listed and not lacking(s, data.sizes, axes)]
    found = sorted(s.name for s in large if is_ready(s, lineup.months))
    twice = {n for n, same in _THE_SAME_WITHOUT.items() if task == "fill_gaps" and same in found}
    return [name for name in found if lineup.drivers or name not in twice]


def is_ready(spec: ModelSpec, months: bool = False) -> bool:
    """Whether a model can be used now: it need not be fitted first, and its weights are here.

    Models of months can where `months` are asked for.
    """
    if gives_months(spec) and not months:
        return False
    if spec.weights is not None:
        return any(is_there(place.path) for place in places(spec.weights))
    # A network without weights has to be trained; it is not imported to find that out.
    if spec.backend != "numpy":
        return False
    try:
        return not hasattr(spec.load_factory(), "fit")
    except SpecError:
        return True  # what is wrong with it will be told where it fails


def _spec_of(model: ModelLike, task: Task, options: Options) -> ModelSpec:
    if isinstance(model, str) and model == "best":
        raise InputError(
            "models: 'best' is what comes out; expected names of "
            f"xgeoml.list_models({task!r}), paths or models"
        )
    return make_handle(model, task, None, options.seed, progress=options.progress).spec


def _label(model: ModelLike, spec: ModelSpec) -> str:
    if isinstance(model, ModelSpec):
        return spec.key
    path = getattr(model, "path", None)
    if path is not None:
        return f"own {spec.name}"
    text = str(model)
    return Path(text).stem if text.endswith(".safetensors") else shown(text)


def _settings(fits: Fits) -> dict[str, Mapping[str, Any]]:
    if fits is None:
        return {}
    if isinstance(fits, str):
        return {fits: {}}
    if isinstance(fits, Mapping):
        made = dict(fits)
    elif isinstance(fits, Sequence) and all(isinstance(name, str) for name in fits):
        made = {name: {} for name in fits}
    else:
        made = {}
    wrong = [name for name, given in made.items() if not isinstance(given, Mapping)]
    if not made or wrong:
        raise InputError(
            f"fit={fits!r}: expected names of models that learn, such as ['ridge'], or with "
            "settings of xgeoml.fit, {'ridge': {}, 'grace_tf': {'max_epochs': 5}}"
        )
    return made


def _with_own_labels(found: list[Contender]) -> list[Contender]:
    """Return contenders with labels that differ."""
    made: dict[str, Contender] = {}
    for contender in found:
        label, number = contender.label, 1
        while label in made:
            number += 1
            label = f"{contender.label} ({number})"
        made[label] = contender._replace(label=label)
    if not made:
        raise GeoMLError("no model to evaluate: name some, models=['...']")
    return list(made.values())
