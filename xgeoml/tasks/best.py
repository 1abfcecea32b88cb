"""What ``model="best"`` stands for: the winner of an evaluation on the user's own data."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import xarray as xr

from xgeoml.exceptions import GeoMLError, InputError
from xgeoml.options import Options, shows_progress
from xgeoml.registry import all_models
from xgeoml.spec import ModelSpec, Task
from xgeoml.tasks.choose import ModelLike, WeightsLike
from xgeoml.tasks.contenders import is_ready
from xgeoml.tasks.dispatch import GeoObject
from xgeoml.tasks.filling import gives_months

BEST = "best"
# A choice needs less certainty than a table.
_REPEATS = 3


def _tells_spread(spec: ModelSpec) -> bool:
    # Of deconvolutions only networks tell how sure they are.
    return spec.gives_spread and not (spec.task == "invert_waveform" and spec.backend == "numpy")


# What a model must be able to do where the user asks for it: only such models are compared.
_NEEDS: Final[Mapping[str, Callable[[ModelSpec], bool]]] = {
    "covariates": lambda spec: spec.covariates,
    "members": lambda spec: hasattr(spec.load_factory(), "sample"),
    "spread": _tells_spread,
}


def resolve_best(
    model: ModelLike,
    weights: WeightsLike | None,
    obj: GeoObject,
    task: Task,
    options: Options,
    *,
    apart: Mapping[str, Any],
    needs: Mapping[str, Any],
    arguments: Mapping[str, Any],
    **given: Any,
) -> tuple[ModelLike, str]:
    """Return the model itself, or the best one if that is asked for, and words for the history.

    Parameters
    ----------
    model, weights
        As the user gave them.
    obj : DataArray, Dataset or DataTree
    task : str
    options : Options
    apart : mapping
        Arguments of the task that no comparison can heed; None where they are not given.
    needs : mapping
        Those that not every model serves: covariates, members, spread; None likewise.
    arguments : mapping
        Those that `evaluate` passes on, None likewise.
    **given
        Further arguments of `evaluate`.

    Raises
    ------
    InputError
        If weights are given too, or something that no comparison can heed.
    """
    if not (isinstance(model, str) and model == BEST):
        return model, ""
    if weights is not None:
        raise InputError("model='best' and weights= both name a model; give one of them")
    wrong = [f"{name}={value!r}" for name, value in apart.items() if value is not None]
    if wrong:
        raise InputError(
            f"model='best' compares models without {', '.join(wrong)}; name a model, one of "
            f"xgeoml.list_models({task!r})"
        )
    asked = [name for name, value in needs.items() if value is not None]
    if asked:
        months = given.get("freq") is not None
        given = {**given, "models": _able(task, asked, months), "baselines": False}
    passed = {name: value for name, value in arguments.items() if value is not None}
    from xgeoml.tasks.evaluate import evaluate

    try:
        scores = evaluate(
            obj,
            task,
            repeats=_REPEATS,
            device=options.device,
            batch_size=options.batch_size,
            precision=options.precision,
            progress=None if options.progress == "auto" else options.progress,
            seed=options.seed,
            arguments=passed or None,
            **{k: v for k, v in given.items() if v is not None},
        )
    except GeoMLError as error:
        error.add_note("model='best' evaluates models on these data first: name a model instead")
        raise
    words = _told(scores)
    if shows_progress(options.progress):
        sys.stderr.write(f"model='best': {words}\n")
    return str(scores.attrs["best"]), f" (best by {words})"


def _able(task: Task, asked: list[str], months: bool) -> list[str]:
    """Return the models that are ready and serve all that is asked for."""
    ready = [s for s in all_models() if s.task == task and s.listed and is_ready(s, months)]
    if months and "spread" in asked:
        ready = [s for s in ready if gives_months(s)]
    found = [s.name for s in ready if all(_NEEDS[name](s) for name in asked)]
    if not found:
        words = " and ".join(f"{name}=" for name in asked)
        raise InputError(
            f"model='best': no model that can be used as it is serves {words}; name one, such as a "
            "model that xgeoml.fit returned, or leave it out"
        )
    return found


def _told(scores: xr.Dataset) -> str:
    """Return which model won, and by how much."""
    name, best, units = (scores.attrs[k] for k in ("score", "best", "units"))
    mean = scores[name].mean("repeat")
    won = float(mean.sel(model=best))
    unit = f" {units}" if units not in ("", "1") else ""
    said = f"{name} {won:.4g}{unit} on hidden values of {scores.attrs['variable']}"
    others = mean.drop_sel(model=best).dropna("model")
    if not others.size:
        return f"{best}, {said}"
    next_best = others.isel(model=int(np.argmin(others.values)))
    label = str(next_best["model"].values)
    low = float(scores["difference_low"].sel(model=label))
    sure = "" if low > 0 else ", no sure difference"
    return f"{best}, {said}; next {label}, {float(next_best):.4g}{sure}"
