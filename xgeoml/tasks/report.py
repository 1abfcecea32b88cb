"""The card of a model that was trained here, filled in from its training."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import xarray as xr

from xgeoml.grid import latitude, longitude
from xgeoml.spec import ModelSpec
from xgeoml.tasks.covariates import names_of
from xgeoml.tasks.learn import Lesson
from xgeoml.tasks.prepare import Prepared
from xgeoml.train.fitting import Trained
from xgeoml.weights.card import Card, SkillRow, TrainingData
from xgeoml.weights.files import read_card, sha256_of

NOT_STATED = "not stated"


def make_card(
    spec: ModelSpec, trained: Trained, found: Sequence[Lesson], call: str, start: Path | None
) -> Card:
    """Return the card of a trained network.

    Parameters
    ----------
    spec : ModelSpec
    trained : Trained
        What came of the training.
    found : sequence of Lesson
        What it learnt from.
    call : str
        How it was called.
    start : Path, optional
        The file of the weights that training began with.
    """
    freq = found[0].prepared.steps.freq
    how, before = "trained from scratch", None
    if start is not None:
        how = f"trained on from {start.name}, sha256 {sha256_of(start)[:12]}"
        before = read_card(start)
    units = {lesson.name: str(lesson.prepared.data.attrs.get("units", "1")) for lesson in found}
    limits = ["Trained on the data named here: elsewhere it is untried."]
    if start is not None:
        limits.append(
            "The weights that it began with may have learnt from the part set aside here, if they "
            "were trained on the same record: then its skill is too good."
        )
    if not trained.scores:
        limits.append("No part of the data was set aside: its skill is not known.")
    if not trained.improved:
        limits.append(
            "Training did not lower the validation loss: the parameters are those it began with."
        )
    return Card(
        model=spec.key,
        summary=f"{spec.summary}; {how}" if spec.summary else how,
        data=(*(_data(lesson) for lesson in found), *(before.data if before else ())),
        valid=f"{freq} data like those it was trained on",
        skill=tuple(
            SkillRow(
                data=score.field,
                hidden=f"{score.hidden} of the validation part",
                unit=units[score.field],
                metric="RMSE",
                values=score.skill.rmse,
                coverage=score.skill.coverage,
                crps=score.skill.crps or None,
            )
            for score in trained.scores
        ),
        limits=tuple(limits),
        license=spec.license or NOT_STATED,
        citation=spec.citation or NOT_STATED,
        recipe=call,
        created=datetime.now(UTC).strftime("%Y-%m-%d"),
    )


def _data(lesson: Lesson) -> TrainingData:
    data, attrs = lesson.prepared.data, {**lesson.attrs, **lesson.prepared.data.attrs}
    title = _first(attrs, "title", "long_name")
    stamps = data[lesson.prepared.time].values
    return TrainingData(
        name=f"{title} ({lesson.name})" if title else lesson.name,
        period=f"{_day(stamps[0])} to {_day(stamps[-1])}, {lesson.prepared.steps.freq}",
        extent=_extent(lesson.prepared),
        covariates=tuple(names_of(lesson.prepared.covariates)),
        license=_first(attrs, "license", "licence") or NOT_STATED,
        attribution=_first(attrs, "attribution", "source", "institution", "references")
        or NOT_STATED,
    )


def _first(attrs: Mapping[Hashable, object], *names: str) -> str:
    return next((str(attrs[n]).strip() for n in names if str(attrs.get(n, "")).strip()), "")


def _day(stamp: object) -> str:
    return str(stamp)[:10]


def _extent(prepared: Prepared) -> str:
    """Return sizes along the axes of space, and the degrees that they reach over."""
    data = prepared.data
    sizes = [f"{n} {d}" for d, n in data.sizes.items() if d != prepared.time]
    parts = [" x ".join(sizes) or "one series"]
    for coordinate, name in (
        (latitude(data, prepared.axes), "latitude"),
        (longitude(data, prepared.axes), "longitude"),
    ):
        if coordinate is not None:
            parts.append(f"{name} {_range(coordinate)}")
    return ", ".join(parts)


def _range(coordinate: xr.DataArray) -> str:
    values = np.asarray(coordinate.values, np.float64)
    return f"{np.nanmin(values):g} to {np.nanmax(values):g}"
