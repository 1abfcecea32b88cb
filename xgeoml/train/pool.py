"""The patterns of a training on disk: made once, before it starts, and read by every process."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from xgeoml.exceptions import InputError
from xgeoml.models.catalog import BUILT_IN
from xgeoml.spec import ModelSpec
from xgeoml.train.batches import SHORT
from xgeoml.train.fields import SeriesField
from xgeoml.train.job import Job
from xgeoml.train.loop import PATTERNS, VALIDATION, make_network
from xgeoml.train.month_patterns import COMPLETE
from xgeoml.train.months import MonthField
from xgeoml.train.patterns import Ingredients, Pattern
from xgeoml.train.probe import check_network
from xgeoml.train.windows import WindowField

Field = SeriesField | WindowField | MonthField

# What every network on series is compared with.
BASELINES = ("linear", "climatology")
# Share of the time that the patterns may take, where it is limited, and as many as are made even
# if that takes twice as long.
_PREPARING, _FEWEST = 0.25, 16
# Values that all patterns hold together (2 GB in float32).
_MOST_VALUES = 2**29


def make_pool(
    fields: Sequence[Field], bases: Mapping[str, Any], job: Job, folder: Path, began: float
) -> None:
    """Write the patterns of a job that are not there yet.

    Parameters
    ----------
    fields : sequence of SeriesField, WindowField or MonthField
        What to learn from.
    bases : mapping
        The classical models that the network is fed with, by name.
    job : Job
    folder : Path
        Of the job.
    began : float
        When the clock of `max_time` was started, by `time.monotonic`.

    Raises
    ------
    InputError
        If there is nothing to learn, or nothing to validate with.
    ExecutionError
        If the network cannot work on the first of them.
    """
    settings = job.settings
    for name in (PATTERNS, VALIDATION):
        for left in (folder / name).glob("*/*.new"):
            shutil.rmtree(left)
    network = make_network(job, folder).to(settings.device)
    shortest = max(SHORT, job.spec.axis("T").minimum)
    total = sum(settings.patterns + f.n_validation for f in fields)
    with tqdm(total=total, desc="patterns", disable=not settings.progress, delay=1.0) as bar:
        for i, field in enumerate(fields):
            most = max(1, min(settings.samples, _MOST_VALUES // (total * _values(field, job.spec))))
            usual = Ingredients(job.spec.inputs, bases, scale=job.spec.scale)
            compared = _with_baselines(usual) if isinstance(field, SeriesField) else usual
            draw = partial(_draw, field, i, most=most, ingredients=usual, seed=settings.seed)
            first = _path(folder, PATTERNS, i, 0)
            _make(first, partial(draw, 0))
            if first.exists():
                check_network(network, job.spec, Pattern.load(first), shortest)
            for k in range(field.n_validation):
                kept = partial(field.validation_pattern, k, settings.samples, compared)
                _make(_path(folder, VALIDATION, i, k), kept)
                bar.update()
            until = _PREPARING * (i + 1) / len(fields) * (settings.max_time or math.inf)
            for k in range(settings.patterns):
                _make(_path(folder, PATTERNS, i, k), partial(draw, k))
                bar.update()
                # Few, but in time: those of large fields take long.
                if time.monotonic() - began > (until if k >= _FEWEST else 2.0 * until):
                    break
    _check_made(fields, settings.validation, folder)


def _with_baselines(ingredients: Ingredients) -> Ingredients:
    """Return ingredients with the estimates of the baselines besides."""
    named = {n: BUILT_IN[n] for n in BASELINES if n not in ingredients.bases}
    made = {n: s.load_factory()(**s.options) for n, s in named.items()}
    return replace(ingredients, bases={**ingredients.bases, **made}, baselines=BASELINES)


def _values(field: Field, spec: ModelSpec) -> int:
    """Return how many values a sample of a pattern holds."""
    core = int(np.prod([a.window for a in field.plan.core]))
    return core * (len(spec.inputs) + len(field.arrays))


def _path(folder: Path, kind: str, field: int, k: int) -> Path:
    return folder / kind / f"{field:03d}" / f"{k:05d}"


def _draw(
    field: Field, number: int, k: int, *, most: int, ingredients: Ingredients, seed: int
) -> Pattern:
    """Return the training pattern `k` of a field."""
    return field.training_pattern(most, np.random.default_rng([seed, number, k]), ingredients)


def _make(path: Path, draw: Callable[[], Pattern]) -> None:
    """Write a pattern if it is not there and has something to learn."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    pattern = draw()
    if len(pattern) and pattern.n_wanted:
        pattern.save(path)


def _check_made(fields: Sequence[Field], validation: float, folder: Path) -> None:
    for i, field in enumerate(fields):
        if not any((folder / PATTERNS / f"{i:03d}").glob("*")):
            least = "at least a few dozen observed steps"
            if isinstance(field, MonthField):
                least = f"months with {COMPLETE:.0%} of their days in several parts of the domain"
            raise InputError(
                f"{field.name} holds nothing to learn from: expected {least} besides the "
                "validation part; give a longer record, or validation=0"
            )
    if validation > 0 and not any((folder / VALIDATION).glob("*/*")):
        raise InputError(
            f"validation={validation:g} of {', '.join(f.name for f in fields)} is less than a few "
            "observed steps; give a longer record, a larger share, or validation=0"
        )
