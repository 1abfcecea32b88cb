"""Train subgrid: ``python -m xgeoml.train.recipes.subgrid --data-path DATA --out RUN``.

It learns from fields of many kinds and scales what lies within a coarse cell among its neighbours.
The skill in the card is that in the last quarter of six records which it has not learnt from.
Interrupted runs go on from their last checkpoint.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from xgeoml import terrain
from xgeoml.models.catalog import BUILT_IN
from xgeoml.models.downscaling import Clock, Interpolator, Placement, Window
from xgeoml.models.interpolation import Bicubic, Conservative
from xgeoml.models.series import Floats
from xgeoml.models.subgrid import Subgrid
from xgeoml.spec import ModelSpec
from xgeoml.train.recipes.subgrid_records import LEARNT, draw_patches, means, read_sources
from xgeoml.train.recipes.subgrid_training import Lot, Plan, train
from xgeoml.weights.card import Card, SkillRow, TrainingData
from xgeoml.weights.files import write_weights

# Records that nothing is learnt from. What was tried was chosen by their first three quarters.
SCORED = {
    "NCEP air temperature, North America, 2.5 degrees": (
        "temporal/ncep_r1_air_6h_201301-201406_northamerica_2p5.nc",
        "air",
    ),
    "ERA5 2 m temperature, British Isles, 0.25 degrees": (
        "temporal/era5_t2m_hourly_uk_20190301-24_0p25.nc",
        "t2m",
    ),
    "ERA5-Land 2 m temperature, Kerala, 0.1 degrees": (
        "downscale/era5land_daily_kerala_202201-202406_0p1.nc",
        "t2m",
    ),
    "ERA5-Land 2 m temperature, Iberia, 0.1 degrees": (
        "downscale/era5land_monthly_iberia_1991_0p1.nc",
        "t2m",
    ),
    "CoralTemp sea surface temperature, NW Atlantic, 0.05 degrees": (
        "sst/noaa_coraltemp_monthly_2022_nwatlantic_0p05.nc",
        "sea_surface_temperature",
    ),
    "ERA5 2 m temperature, globe, 0.25 degrees": (
        "downscale/era5_t2m_global_2dates_0p25.nc",
        "t2m",
    ),
}
FACTORS = (2, 3, 4, 5, 8)
COPERNICUS = "contains modified Copernicus Climate Change Service information; "
ERA5 = COPERNICUS + "Hersbach et al. (2020), Q. J. R. Meteorol. Soc. 146, 1999-2049"
CC_BY = "CC BY 4.0"
LIMITS = (
    "It knows how fields look within their cells in general, and of a place its height and its "
    "share of land. What else coasts and mountains do below the grid comes with a model fitted on "
    "pairs.",
    "Its answer is the expected field: smoother than nature.",
    "Sums of rain may come out slightly negative beside dry cells.",
)
# Steps that are predicted at once.
_STEPS = 64


class Scored(NamedTuple):
    """A record to score, (step, y, x), and where its cells are."""

    name: str
    truth: Floats
    lat: Floats
    lon: Floats


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the recipe; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-path", type=Path, required=True, help="folder of the records")
    parser.add_argument("--out", type=Path, required=True, help="folder of what is made")
    parser.add_argument("--version", default="1.0", help="of the weight")
    parser.add_argument("--page", type=Path, help="page of Markdown that gets the card, too")
    parser.add_argument("--options", type=json.loads, default={}, help="of the network")
    parser.add_argument("--settings", type=json.loads, default={}, help="of the training")
    a = parser.parse_args(arguments)
    plan = Plan(**a.settings)
    spec = BUILT_IN["subgrid"].replace(weights=None, version=a.version)
    spec = spec.replace(options={**spec.options, **a.options})
    patches = draw_patches(read_sources(a.data_path), np.random.default_rng(plan.seed))
    lots = {factor: Lot(some, factor) for factor, some in patches.items()}
    torch.manual_seed(plan.seed)
    network = Subgrid(**spec.options)
    train(network, lots, plan, a.out)
    card = make_card(spec, skill_rows(network, a.data_path))
    path = a.out / f"subgrid-{a.version}.safetensors"
    write_weights(path, network.state_dict(), spec, card)
    for page in filter(None, (a.out / "card.md", a.page)):
        page.write_text(card.to_markdown())
    print(card)  # noqa: T201


def read_scored(path: Path, learnt: bool = False) -> Iterator[Scored]:
    """Return the last quarter of each record, or what comes before it."""
    for name, (file, variable) in SCORED.items():
        with xr.open_dataset(path / file) as source:
            latitude = next(str(d) for d in source[variable].dims if str(d).startswith("lat"))
            record = source[variable].transpose("time", latitude, ...)
            cut = int(record.sizes["time"] * LEARNT)
            truth = record[:cut] if learnt else record[cut:]
            lat, lon = (truth[d].values.astype(np.float64) for d in truth.dims[1:])
            yield Scored(name, truth.values.astype(np.float64), lat, lon)


def skill_rows(network: Subgrid, path: Path, learnt: bool = False) -> tuple[SkillRow, ...]:
    """Return the errors in each record: of the network, with terrain and alone, and others."""
    rows = []
    for scored in read_scored(path, learnt):
        for factor in FACTORS:
            values = errors(network, scored, factor)
            hidden = f"block means, factor {factor}"
            rows.append(SkillRow(scored.name, hidden, "K", "RMSE", values))
    return tuple(rows)


def errors(network: Subgrid, scored: Scored, factor: int) -> dict[str, float]:
    """Return root mean square errors of all models, weighted with the area."""
    whole = np.lcm(4, factor)
    y, x = (n // whole * whole for n in scored.truth.shape[1:])
    truth, lat, lon = scored.truth[:, :y, :x], scored.lat[:y], scored.lon[:x]
    coarse = np.asarray(means(truth, factor), np.float64)
    weight = np.where(np.isfinite(truth), np.cos(np.deg2rad(lat))[:, None], 0.0)
    models: dict[str, Interpolator] = {"bicubic": Bicubic(), "conservative": Conservative()}
    small = abs(lat[1] - lat[0]) * factor <= terrain.LARGEST_CELL
    land = terrain.for_models(lat, lon) if small else None
    made = {
        "subgrid": predict(network, coarse, factor, land),
        "subgrid, terrain=False": predict(network, coarse, factor),
    }
    for name, model in models.items():
        made[name] = np.concatenate(
            [_interpolated(model, part, factor) for part in _pieces(coarse)], axis=0
        )
    return {
        name: float(np.sqrt((weight * np.nan_to_num(field - truth) ** 2).sum() / weight.sum()))
        for name, field in made.items()
    }


def predict(
    network: Subgrid, coarse: Floats, factor: int, land: NDArray[np.float32] | None = None
) -> Floats:
    """Return the network's fine fields of coarse ones, (step, y, x), with elevation and land."""
    made = []
    for part in _pieces(coarse):
        known = np.isfinite(part)
        mean = part[known].mean()
        value = np.where(known, part - mean, 0.0)
        given = torch.from_numpy(np.stack([value, known], axis=1)).float()
        beside = torch.empty(len(part), 0, *(n * factor for n in part.shape[1:]))
        if land is not None:
            beside = torch.from_numpy(land)[None]
        with torch.inference_mode():
            output = network(given, beside, factor, terrain=land is not None)
        made.append(output[:, 0].double().numpy() + mean)
    return np.concatenate(made)


def _pieces(coarse: Floats) -> list[Floats]:
    return [coarse[i : i + _STEPS] for i in range(0, len(coarse), _STEPS)]


def _interpolated(model: Interpolator, part: Floats, factor: int) -> Floats:
    unknown = np.full(len(part), np.nan)
    rows, columns = part.shape[1:]
    window = Window(
        part,
        Placement.refined(rows, columns, factor),
        (0, 0, 0),
        Clock(unknown, unknown, unknown),
    )
    return model.predict(window, {})


def make_card(spec: ModelSpec, rows: tuple[SkillRow, ...]) -> Card:
    """Return the card of the weight."""

    def data(
        name: str, period: str, extent: str, terms: str = CC_BY, made_by: str = ERA5
    ) -> TrainingData:
        return TrainingData(name, period, extent, (), terms, made_by)

    land = "; also land alone and sea alone, and with lapse rates on ERA5 orography"
    return Card(
        model=spec.key,
        summary=spec.summary,
        data=(
            data(
                "ERA5 temperature at 1000 and 7 hPa, geopotential, skin temperature, gusts",
                "single hours of 1940 to 2025",
                f"globe, 0.25 degrees, and means of 2, 3, 5 and 8 cells{land}",
            ),
            data(
                "ECMWF maximum 2 m temperature of 6 hours",
                "2025-04, 26 steps",
                "globe, 1.5 and 3 degrees",
                CC_BY,
                "European Centre for Medium-Range Weather Forecasts",
            ),
            data(
                "NOAA OISST V2 daily sea surface temperature off eastern Tasmania",
                "1982 to 1999",
                "0.25 and 0.5 degrees",
                "public domain (US Government work)",
                "Reynolds et al. (2007), J. Climate 20, 5473-5496",
            ),
            data("ERA5 precipitation", "2024 to 2025", "Germany, 0.25 and 0.5 degrees"),
            data(
                "WFDE5 temperature, humidity, radiation, wind and precipitation over land",
                "2017-01-01 to 2017-01-18",
                "British Isles, 0.5 degrees",
                CC_BY,
                COPERNICUS + "Cucchi et al. (2020), Earth Syst. Sci. Data 12, 2097-2120",
            ),
            data(
                "ERA5-Land temperature, dew point and pressure",
                "2020-01-01 to 2020-01-18",
                "Montenegro, 0.1 degrees",
                CC_BY,
                COPERNICUS + "Munoz-Sabater et al. (2021), Earth Syst. Sci. Data 13, 4349-4383",
            ),
            data(
                "ERA5 wind at 10 m, height of the boundary layer, precipitation",
                "2020-11-30 to 2020-12-17",
                "Europe, 0.75 and 1.5 degrees",
            ),
            data(
                "ERA5 hourly precipitation", "2023-06-01 to 2023-08-08", "Telangana, 0.25 degrees"
            ),
            data(
                "KNMI rain radar",
                "2010-08-26, 0 to 4 UTC",
                "Netherlands, 1 and 3 km",
                CC_BY,
                "Royal Netherlands Meteorological Institute",
            ),
            data(
                "MRMS precipitation rate",
                "2019-06-10, 36 minutes",
                "United States, 0.02 and 0.06 degrees",
                "public domain (US Government work)",
                "NOAA National Severe Storms Laboratory",
            ),
        ),
        valid="fields on a grid whose cells are means, in any unit, at any resolution; factors 2-8",
        skill=rows,
        limits=LIMITS,
        license=spec.license,
        citation=spec.citation,
        recipe="python -m xgeoml.train.recipes.subgrid",
        created=datetime.now(UTC).strftime("%Y-%m-%d"),
    )


if __name__ == "__main__":
    main()
