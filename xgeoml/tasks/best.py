"""What ``model="best"`` stands for: the winner of an evaluation on the user's own data."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import xarray as xr

from xgeoml.exceptions import InputError
from xgeoml.options import Options, shows_progress
from xgeoml.spec import Task
from xgeoml.tasks.choose import ModelLike, WeightsLike
from xgeoml.tasks.dispatch import GeoObject

BEST = "best"
# A choice needs less certainty than a table.
_REPEATS = 3


def resolve_best(
    model: ModelLike,
    weights: WeightsLike | None,
    obj: GeoObject,
    task: Task,
    options: Options,
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
    **given
        Further arguments of `evaluate`.

    Raises
    ------
    InputError
        If weights are given too.
    """
    if not (isinstance(model, str) and model == BEST):
        return model, ""
    if weights is not None:
        raise InputError("model='best' and weights= both name a model; give one of them")
    from xgeoml.tasks.evaluate import evaluate

    scores = evaluate(
        obj,
        task,
        repeats=_REPEATS,
        device=options.device,
        batch_size=options.batch_size,
        precision=options.precision,
        progress=None if options.progress == "auto" else options.progress,
        seed=options.seed,
        **{k: v for k, v in given.items() if v is not None},
    )
    words = _told(scores)
    if shows_progress(options.progress):
        sys.stderr.write(f"model='best': {words}\n")
    return str(scores.attrs["best"]), f" (best by {words})"


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
    high = float(scores["difference_low"].sel(model=label))
    sure = "" if high > 0 else ", no sure difference"
    return f"{best}, {said}; next {label}, {float(next_best):.4g}{sure}"
