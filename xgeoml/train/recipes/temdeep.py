"""Train temdeep: ``python -m xgeoml.train.recipes.temdeep --data-path DATA --out RUN``.

It learns from records of many kinds what lies between their steps, at intervals of many lengths.
The skill in the card is that in the last quarter of the records that are scored, of which nothing
was learnt; ``--without NAME`` leaves files out altogether, to see what it knows of other places.
Interrupted runs go on from their last checkpoint.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.in_time import InTime
from xgeoml.engine.in_time_run import interpolate
from xgeoml.models.in_time import Record
from xgeoml.models.series import Floats
from xgeoml.options import get_options
from xgeoml.registry import get_model
from xgeoml.spec import ModelSpec
from xgeoml.train.in_time_fitting import fit_records
from xgeoml.train.job import JOB_FILE
from xgeoml.train.moment_batches import area_of
from xgeoml.train.recipes.temdeep_records import (
    ERA5_UK,
    EUROPE,
    KNMI,
    LEARNT,
    MONTENEGRO,
    MRMS,
    NCEP,
    WFDE5,
    read_record,
    read_records,
)
from xgeoml.train.settings import Settings
from xgeoml.weights.card import Card, SkillRow, TrainingData
from xgeoml.weights.files import write_weights

# Name, file, variables, unit, and how many steps apart those are that are shown.
SCORED = (
    ("NCEP air temperature, North America, 6-hourly", NCEP, ("air",), "K", (2, 4)),
    ("ERA5 2 m temperature, British Isles, hourly", ERA5_UK, ("t2m",), "K", (3, 6)),
    ("WFDE5 temperature, British Isles, hourly", WFDE5, ("Tair",), "K", (3, 6)),
    ("ERA5-Land 2 m temperature, Montenegro, hourly", MONTENEGRO, ("t2m",), "K", (3, 6)),
    ("ERA5 wind at 10 m, Europe, 6-hourly", EUROPE, ("u10", "v10"), "m s-1", (2, 4)),
    ("KNMI rain radar, 5 minutes", KNMI, ("precipitation",), "mm", (2, 4)),
    ("MRMS rain radar, 2 minutes", MRMS, ("precip_rate",), "mm h-1", (2, 4)),
)
BESIDE = ("linear", "akima", "cubic", "optical_flow")
COPERNICUS = "contains modified Copernicus Climate Change Service information; "
ERA5 = COPERNICUS + "Hersbach et al. (2020), Q. J. R. Meteorol. Soc. 146, 1999-2049"
CC_BY, PUBLIC = "CC BY 4.0", "public domain (US Government work)"
LIMITS = (
    "What the day does between two steps a day apart it cannot see in them: it knows the sun, but "
    "not how a variable that it has no other values of answers to it. Fit it to finer fields.",
    "Its answer is the expected field: smoother than nature.",
    "Hourly temperatures that it learnt from are of European winters and a spring.",
    "Sums of rain may come out slightly negative beside dry cells.",
)
SETTINGS: dict[str, Any] = {
    "max_epochs": 50,
    "steps": 150,
    "batch_size": 16,
    "learning_rate": 3e-3,
    "weight_decay": 0.01,
    "warm_up": 150,
    "average": 0.998,
    "precision": "bfloat16",
    "validation": 0.0,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the recipe; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-path", type=Path, required=True, help="folder of the records")
    parser.add_argument("--out", type=Path, required=True, help="folder of what is made")
    parser.add_argument("--version", default="1.0", help="of the weight")
    parser.add_argument("--page", type=Path, help="page of Markdown that gets the card, too")
    parser.add_argument("--without", default="", help="leave out files whose names hold this")
    parser.add_argument("--options", type=json.loads, default={}, help="of the network")
    parser.add_argument("--settings", type=json.loads, default={}, help="of the training")
    a = parser.parse_args(arguments)
    spec = get_model("temdeep", "interp_time").replace(weights=None, version=a.version)
    spec = spec.replace(options={**spec.options, **a.options})
    bases = tuple(ModelHandle(get_model(name, "interp_time")) for name in spec.bases)
    records = list(read_records(a.data_path, a.without))
    settings = Settings(**{**SETTINGS, **a.settings})
    training = a.out / "training"
    going_on = (training / JOB_FILE).exists()
    trained = fit_records(records, spec, bases, settings, training, resume=going_on)
    path = a.out / f"temdeep-{a.version}.safetensors"
    # Without its card, to be run.
    write_weights(path, trained.state, spec)
    own = ModelHandle(spec, str(path), bases)
    card = make_card(spec, skill_rows(own, a.data_path))
    write_weights(path, trained.state, spec, card, history=trained.whole_history)
    for page in filter(None, (a.out / "card.md", a.page)):
        page.write_text(card.to_markdown())
    print(card)  # noqa: T201


def skill_rows(own: ModelHandle, path: Path) -> tuple[SkillRow, ...]:
    """Return the errors in the last quarter of each record: of the network, and others."""
    models = {"temdeep": own}
    models |= {name: ModelHandle(get_model(name, "interp_time")) for name in BESIDE}
    rows = []
    for name, file, variables, unit, multiples in SCORED:
        for every in multiples:
            record = read_record(path / file, variables, 0.0, 1.0)
            values = errors(models, record, every)
            hidden = f"all but every {every}. step of the last quarter"
            rows.append(SkillRow(name, hidden, unit, "RMSE", values))
    return tuple(rows)


def errors(models: dict[str, ModelHandle], record: Record, every: int) -> dict[str, float]:
    """Return root mean square errors at the hidden steps of the last quarter, area-weighted."""
    n = (len(record.days) - 1) // every * every + 1
    first = int(n * LEARNT) // every * every
    kept = np.arange(first, n, every)
    hidden = np.setdiff1d(np.arange(first, n), kept)
    truth = np.asarray(record.value[:, hidden], np.float64)
    weight = np.where(np.isfinite(truth), area_of(record.place, truth.shape[2:]), 0.0)
    made = {}
    for name, handle in models.items():
        off = np.nan_to_num(between(handle, record, kept, hidden) - truth)
        made[name] = float(np.sqrt((weight * off**2).sum() / weight.sum()))
    return made


def between(handle: ModelHandle, record: Record, kept: np.ndarray, hidden: np.ndarray) -> Floats:
    """Return what a model says of hidden steps, (component, step, y, x)."""
    days, wanted = record.days[kept], record.days[hidden]
    job = InTime(
        handle=handle,
        options=replace(get_options(), progress=False, device="cpu"),
        days=days,
        wanted=wanted,
        clock=record.clock.steps(kept),
        clock_wanted=record.clock.steps(hidden),
        owner=np.searchsorted(days, wanted, side="right") - 1,
        copied=np.full(len(hidden), -1, np.intp),
        place=record.place,
        thermal=record.thermal,
    )
    return np.asarray(interpolate(list(record.value[:, kept]), job))


def make_card(spec: ModelSpec, rows: tuple[SkillRow, ...]) -> Card:
    """Return the card of the weight."""

    def data(
        name: str, period: str, extent: str, terms: str = CC_BY, made_by: str = ERA5
    ) -> TrainingData:
        return TrainingData(name, period, extent, (), terms, made_by)

    wfde5 = COPERNICUS + "Cucchi et al. (2020), Earth Syst. Sci. Data 12, 2097-2120"
    land = COPERNICUS + "Munoz-Sabater et al. (2021), Earth Syst. Sci. Data 13, 4349-4383"
    return Card(
        model=spec.key,
        summary=spec.summary,
        data=(
            data(
                "NCEP/NCAR reanalysis air temperature",
                "2013-01-01 to 2014-02-14, 6-hourly",
                "North America, 2.5 degrees",
                PUBLIC,
                "Kalnay et al. (1996), Bull. Am. Meteorol. Soc. 77, 437-471",
            ),
            data(
                "ERA5 2 m temperature",
                "2019-03-01 to 2019-03-18, hourly",
                "British Isles, 0.25 degrees",
            ),
            data(
                "WFDE5 temperature, humidity, radiation, wind and precipitation over land",
                "2017-01-01 to 2017-01-18, hourly",
                "British Isles, 0.5 degrees",
                CC_BY,
                wfde5,
            ),
            data(
                "ERA5-Land temperature, dew point and pressure",
                "2020-01-01 to 2020-01-18, hourly",
                "Montenegro, 0.1 degrees",
                CC_BY,
                land,
            ),
            data(
                "ERA5 wind at 10 m and height of the boundary layer",
                "2020-11-30 to 2020-12-17, 6-hourly",
                "Europe, 0.75 degrees",
            ),
            data(
                "ERA5 precipitation, hourly", "2023-06-01 to 2023-08-08", "Telangana, 0.25 degrees"
            ),
            data("ERA5 precipitation, 6-hourly", "2024 to 2025", "Germany, 0.25 degrees"),
            data(
                "KNMI rain radar",
                "2010-08-26, 0 to 4 UTC, 5 minutes",
                "Netherlands, 1 km",
                CC_BY,
                "Royal Netherlands Meteorological Institute",
            ),
            data(
                "MRMS precipitation rate",
                "2019-06-10, 36 minutes, every 2",
                "United States, 0.02 degrees",
                PUBLIC,
                "NOAA National Severe Storms Laboratory",
            ),
            data(
                "NOAA OISST V2 daily sea surface temperature",
                "1982 to 1999",
                "off eastern Tasmania, 0.25 degrees",
                PUBLIC,
                "Reynolds et al. (2007), J. Climate 20, 5473-5496",
            ),
            data(
                "ERA5-Land daily 2 m temperature",
                "2022-01-01 to 2023-11-14",
                "Kerala, 0.1 degrees",
                CC_BY,
                land,
            ),
        ),
        valid="fields of any variable in any unit; intervals of minutes to days",
        skill=rows,
        limits=LIMITS,
        license=spec.license,
        citation=spec.citation,
        recipe="python -m xgeoml.train.recipes.temdeep",
        created=datetime.now(UTC).strftime("%Y-%m-%d"),
    )


if __name__ == "__main__":
    main()
