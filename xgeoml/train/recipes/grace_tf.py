"""Train grace_tf: ``python -m xgeoml.train.recipes.grace_tf --data-path DATA --out RUN``.

Every month that the benchmark scores is removed first, and the skill in the card is that on these
months. With ``--months all`` the same is learnt from all months: that is the shipped weight, whose
card shows the skill of the other (``--twin``), since there is no month left to judge it by.
Interrupted runs go on from their last checkpoint.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xgeoml.engine.plan import plan_axes
from xgeoml.models.catalog import BUILT_IN
from xgeoml.models.series import without_drivers
from xgeoml.spec import AxisSpec, ModelSpec
from xgeoml.train.fields import SeriesField
from xgeoml.train.fitting import Trained, fit_network
from xgeoml.train.job import JOB_FILE
from xgeoml.train.patterns import Ingredients, Pattern, series_pattern
from xgeoml.train.pool import BASELINES
from xgeoml.train.recipes.grace_records import Case, Record, read_cases, read_records
from xgeoml.train.settings import Settings
from xgeoml.train.skill import skill
from xgeoml.train.split import validation_blocks
from xgeoml.weights.card import Card, SkillRow, TrainingData
from xgeoml.weights.files import read_card, write_weights

# How often each record is drawn, in the order of `read_records`.
SHARES = (0.25, 0.15, 0.2, 0.2, 0.2)
RECIPE: Mapping[str, Any] = {
    "max_epochs": 20,
    "steps": 50,
    "patterns": 150,
    "validation": 0.0,
}
# What the spread of the weight that has learnt from all months is multiplied with. The interval of
# 90 % of its twin held 90 % of the values in eight draws of months kept for validation, and 87 % in
# the months that the benchmark hides.
WIDENING = 1.05
# Series of a record that its skill is measured on, at most.
MOST_SERIES = 1500
CSR = "CSR GRACE/GRACE-FO mascons: Save, Bettadpur and Tapley (2016), J. Geophys. Res. 121, 7547"
ERA5 = "ERA5: Hersbach et al. (2020), Q. J. R. Meteorol. Soc. 146, 1999"
# Title, drivers, license and attribution of each record that the benchmark knows.
SOURCES: dict[str, tuple[str, tuple[str, ...], str, str]] = {
    "grace_csr": ("GRACE CSR, 1 degree, land", (), "NASA open data", CSR),
    "grace_brazil": (
        "southern Brazil, 1 degree",
        ("tp", "t2m"),
        "NASA open data; CC BY 4.0 (Copernicus)",
        f"{CSR}; {ERA5}",
    ),
    "grace_indochina": (
        "Indochina, 1 degree",
        ("tp", "t2m"),
        "NASA open data; CC BY 4.0 (Copernicus)",
        f"{CSR}; {ERA5}",
    ),
    "grace_regions": (
        "45 regions of South America",
        ("precipitation", "t2m"),
        "CC0",
        "regional means of GRACE, CHIRPS and ERA5",
    ),
}
LIMITS = (
    "The gain on kalman is a few per cent; kalman is faster.",
    "It knows monthly water storage. On other series, or daily steps, use kalman, or fit.",
    "It sees covariates through its base models only; those were precipitation and temperature in "
    "three regions, 201 series.",
    "Its inputs are the estimates of its base models: when those change, it is trained anew.",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the recipe; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-path", type=Path, required=True, help="folder of the real records")
    parser.add_argument("--out", type=Path, required=True, help="folder of what is made")
    parser.add_argument(
        "--months", choices=("unscored", "all"), default="unscored", help="what to learn from"
    )
    parser.add_argument("--version", default="1.0", help="of the weight")
    parser.add_argument("--page", type=Path, help="page of Markdown that gets the card, too")
    parser.add_argument("--twin", type=Path, help="weight whose skill the card shows")
    parser.add_argument(
        "--options",
        type=json.loads,
        default={},
        help="of the network, in place of its own, such as '{\"causal\": true}'",
    )
    parser.add_argument(
        "--settings",
        type=json.loads,
        default={},
        help="of the training, in place of the recipe's, such as '{\"validation\": 0.15}'",
    )
    a = parser.parse_args(arguments)
    if (a.months == "all") != (a.twin is not None):
        parser.error("--months all and --twin go together: the skill is that of the twin")
    torch.use_deterministic_algorithms(True)
    settings = Settings(**{**RECIPE, **a.settings})
    spec = BUILT_IN["grace_tf"].replace(weights=None, version=a.version)
    spec = spec.replace(options={**spec.options, **a.options})
    records = read_records(a.data_path, scored=a.months == "all")
    trained = fit_network(
        [as_field(record, settings) for record in records],
        spec,
        bases(spec.bases),
        settings,
        a.out,
        shares=SHARES,
        resume=(a.out / JOB_FILE).exists(),
    )
    if a.twin is None:
        rows = benchmark_skill(trained, spec, a.data_path)
    else:
        trained.state["head.bias"][1] += np.float32(np.log(WIDENING))
        card = read_card(a.twin)
        assert card is not None
        rows = card.skill
    card = make_card(spec, records, rows, a.months)
    write_weights(
        a.out / f"grace_tf-{a.version}.safetensors",
        trained.state,
        spec,
        card,
        trained.whole_history,
    )
    for page in filter(None, (a.out / "card.md", a.page)):
        page.write_text(card.to_markdown())
    print(card)  # noqa: T201


def bases(names: Iterable[str]) -> dict[str, Any]:
    """Return classical models by name."""
    return {n: BUILT_IN[n].load_factory()(**BUILT_IN[n].options) for n in names}


def as_field(record: Record, settings: Settings) -> SeriesField:
    """Return a record to learn from, with blocks of time set aside if the settings say so."""
    series = record.series
    plan = plan_axes(series.values.shape, [AxisSpec("X", "pointwise"), AxisSpec("T")])
    rng = np.random.default_rng(settings.seed)
    blocks = validation_blocks(record.target, settings.validation, rng)
    arrays = [series.values, *series.covariates]
    return SeriesField(record.name, arrays, series.years, series.area, record.target, plan, blocks)


def benchmark_skill(trained: Trained, spec: ModelSpec, data_path: Path) -> tuple[SkillRow, ...]:
    """Return the skill on the months that the benchmark scores, with drivers and without."""
    network = spec.load_factory()(**spec.options)
    network.load_state_dict({k: torch.from_numpy(v) for k, v in trained.state.items()})
    compared = Ingredients(spec.inputs, bases({*spec.bases, *BASELINES}), BASELINES)
    found: dict[tuple[str, str], list[Pattern]] = {}
    for i, case in enumerate(read_cases(data_path)):
        title, drivers, *_ = SOURCES[case.name]
        versions = {title: without_drivers(case.series)}
        if drivers:
            versions[f"{title}, with {', '.join(drivers)}"] = case.series
        for name, series in versions.items():
            rng = np.random.default_rng(i)
            for hidden, pattern in _patterns(replace(case, series=series), compared, rng):
                found.setdefault((name, hidden), []).append(pattern)
    rows = []
    for (name, hidden), patterns in found.items():
        scores = skill(network, spec, patterns)
        assert scores is not None
        rows.append(SkillRow(name, hidden, "cm", "RMSE", scores.rmse, scores.coverage, scores.crps))
    return tuple(rows)


def _patterns(
    case: Case, compared: Ingredients, rng: np.random.Generator
) -> list[tuple[str, Pattern]]:
    """Return the pattern of one seed, scored in its run and in its single months."""
    series = case.series
    rows = np.arange(len(series.values))
    if len(rows) > MOST_SERIES:
        rows = np.sort(rng.choice(rows, MOST_SERIES, replace=False))
    hidden = np.broadcast_to(case.run | case.singles, series.values.shape)
    whole = series_pattern(series, hidden & np.isfinite(series.values), rows, compared)
    kinds = {"run of 11 months": case.run, "single months": case.singles}
    return [
        (name, replace(whole, truth=np.where(steps & ~case.bad, whole.truth, np.float32(np.nan))))
        for name, steps in kinds.items()
    ]


def make_card(
    spec: ModelSpec,
    records: Sequence[Record],
    rows: tuple[SkillRow, ...],
    months: str,
) -> Card:
    """Return the card of the weight."""
    data = []
    for record in records:
        source = "grace_csr" if record.name.startswith("grace_csr") else record.name
        title, drivers, terms, attribution = SOURCES[source]
        part = record.name.removeprefix(source).strip("_")
        data.append(
            TrainingData(
                name=f"{title}, {part}" if part else title,
                period=_period(record),
                extent=f"{len(record.series.values)} series, {int(record.target.sum())} months",
                covariates=drivers,
                license=terms,
                attribution=attribution,
            )
        )
    limits: tuple[str, ...] = LIMITS
    if months == "all":
        limits = (
            *LIMITS,
            "The skill is that of version 1.0, made the same way without the months that it is "
            "scored on; this one has learnt from them as well, and its spread is "
            f"{WIDENING - 1.0:.0%} wider.",
        )
    return Card(
        model=spec.key,
        summary=spec.summary,
        data=tuple(data),
        valid="monthly series of 24 steps or more, in any unit, with or without covariates",
        skill=rows,
        limits=limits,
        license=spec.license,
        citation=spec.citation,
        recipe=f"python -m xgeoml.train.recipes.grace_tf --months {months}",
        created=datetime.now(UTC).strftime("%Y-%m-%d"),
    )


def _period(record: Record) -> str:
    """Return the first and the last month that is learnt from."""
    years = record.series.years[np.flatnonzero(record.target)[[0, -1]]]
    # A stamp on the first day of a month may lie a little before its share of the year.
    months = np.floor(12.0 * years + 0.1).astype(int)
    first, last = (f"{m // 12}-{m % 12 + 1:02d}" for m in months)
    return f"{first} to {last}"


if __name__ == "__main__":
    main()
