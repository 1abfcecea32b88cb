"""What the recipe of subgrid learns from: neighbourhoods of coarse cells and what is in them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.lib.stride_tricks import sliding_window_view
from numpy.random import Generator
from numpy.typing import NDArray

from xgeoml.models._around import REACH
from xgeoml.models.series import Bools, Floats
from xgeoml.train.patterns import Single

Reals = NDArray[np.floating]

GLOBE = "pretrain/era5_global_fields_0p25.nc"
STATIC = "static/era5_orography_landmask_global_0p25.nc"
HEAT = "pretrain/mx2t6_global_1p5deg.nc"
SEA = "pretrain/oisst_daily_tasman_1982-1999_0p25.nc"
RAIN = "pretrain/era5_tp_6h_germany_2024-2025_0p25.nc"
UK = "temporal/wfde5_multivar_hourly_uk_20170101-24_0p5.nc"
MONTENEGRO = "temporal/era5land_multivar_hourly_montenegro_20200101-24_0p1.nc"
EUROPE = "temporal/era5_u10_v10_blh_tp_6h_europe_20201130-1223_0p75.nc"
RADAR_KNMI = "temporal/knmi_radar_5min_20100826_train_1km.nc"
RADAR_MRMS = "temporal/mrms_preciprate_2min_20190610_train_0p02.nc"
TELANGANA = "temporal/era5_tp_hourly_telangana_2023JJA_0p25.nc"

FACTORS = tuple(range(2, 9))
# The last quarter of records that others are scored in is not learnt from.
LEARNT = 0.75
# Half the size of a neighbourhood's side, and its cells.
SIDE = 2 * REACH + 1
# Of global fields: how many neighbourhoods see the whole globe, land alone, the sea alone.
_MASKS = {"all": 0.5, "land": 0.38, "sea": 0.12}
# Poleward of it cells of equal angles are slivers.
_HIGHEST_LATITUDE = 80.0
# Rough places are drawn more often, and count less in turn; this share of the mean is everywhere.
_EVERYWHERE = 0.3
# Neighbourhoods drawn from one grid.
_FEWEST, _MOST = 20, 600
_GLOBAL = (1, 2, 3, 5, 8)
_SMALLEST = 1e-20


@dataclass(frozen=True)
class Source:
    """Fields to learn from.

    Attributes
    ----------
    share : float
        How often it is drawn, relative to others.
    fields : ndarray, (step, y, x)
        NaN where missing.
    coarsenings : tuple of int
        Cells along each axis that are averaged first, for fields at more scales.
    count : int
        Neighbourhoods of each coarsening and factor.
    factors : tuple of int
    latitude : ndarray, (y,), optional
        Where the grid reaches from pole to pole.
    land : ndarray of bool, (y, x), optional
        With it, parts see the land alone, or the sea.
    """

    share: float
    fields: Single
    coarsenings: tuple[int, ...]
    count: int
    factors: tuple[int, ...] = FACTORS
    latitude: Single | None = None
    land: Bools | None = None


@dataclass(frozen=True)
class Patches:
    """Neighbourhoods of coarse cells with the fine values in the cell, all of one factor.

    Attributes
    ----------
    around : ndarray, (patch, SIDE, SIDE)
        Differences of the coarse cells from the one in the middle; NaN where missing.
    inside : ndarray, (patch, factor, factor)
        Differences of the fine values from the coarse one; NaN where missing.
    weight : ndarray, (patch,)
        With which its error counts; 1 on average over a group.
    group : ndarray of int, (patch,)
        Those of one record, coarsening, mask and factor.
    share : ndarray, (group,)
        How often each group is drawn.
    """

    around: Single
    inside: Single
    weight: Single
    group: np.ndarray
    share: Floats


def read_sources(path: Path) -> Iterator[Source]:
    """Return all that is learnt from, one after the other."""
    yield from _global_sources(path)
    heat = _fields(path / HEAT, ["mx2t6"])
    yield Source(1.5, heat["mx2t6"], (1, 2), 15_000)
    yield Source(1.5, _fields(path / SEA, ["sst"])["sst"][::5], (1, 2), 15_000)
    yield Source(0.5, _fields(path / RAIN, ["tp"])["tp"][::3], (1, 2), 9_000)
    few = (2, 3, 4, 5)
    for name, fields in _fields(path / UK, None, LEARNT).items():
        yield Source(0.1 if name == "pr" else 0.4, fields, (1,), 7_500, few)
    for fields in _fields(path / MONTENEGRO, ["t2m", "d2m", "sp"], LEARNT).values():
        yield Source(0.5, fields, (1,), 7_500, few)
    for name, fields in _fields(path / EUROPE, None, LEARNT).items():
        yield Source(0.1 if name == "tp" else 0.5, fields, (1, 2), 7_500)
    knmi = _fields(path / RADAR_KNMI, ["precipitation"], LEARNT)["precipitation"]
    mrms = _fields(path / RADAR_MRMS, ["precip_rate"], LEARNT)["precip_rate"]
    telangana = _fields(path / TELANGANA, ["tp"], LEARNT)["tp"]
    yield Source(0.15, knmi, (1, 3), 4_500)
    yield Source(0.15, mrms, (1, 3), 4_500)
    yield Source(0.15, telangana[::8], (1, 2), 4_500)


def _global_sources(path: Path) -> Iterator[Source]:
    """Return global fields, and those of temperature with slopes on orography."""
    with xr.open_dataset(path / STATIC) as source:
        orography = source["orography"].values.astype(np.float32)
        land = np.nan_to_num(source["land_mask"].values) > 0.5
        latitude = source["lat"].values.astype(np.float32)
    globe = _fields(path / GLOBE, None)
    common: dict[str, Any] = {"coarsenings": _GLOBAL, "latitude": latitude, "land": land}
    shares = {"t_1000hpa": 1.5, "skt": 2.0, "t_7hpa": 0.5, "z_1000hpa": 0.8, "i10fg": 1.0}
    for name, fields in globe.items():
        share = next(v for k, v in shares.items() if name.startswith(k))
        count = 15_000 if name.startswith("skt") else 7_500
        yield Source(share, fields, count=count, **common)
    # The free air as it would be at the ground, and the ground with other lapse rates (K/km).
    rates = {"t_1000hpa": (1.6, (4.0, 6.5, 9.0)), "skt": (1.2, (-3.0, 2.0, 4.0))}
    common["coarsenings"] = _GLOBAL[:-1]
    for name, fields in globe.items():
        for start, (share, lapse) in rates.items():
            if name.startswith(start):
                made = np.concatenate([fields - 1e-3 * rate * orography for rate in lapse])
                yield Source(share, made, count=15_000, **common)


def _fields(path: Path, names: Sequence[str] | None, part: float = 1.0) -> dict[str, Single]:
    """Return variables as (step, y, x), the first part of the steps."""
    with xr.open_dataset(path) as source:
        if "time" in source.dims:
            source = source.isel(time=slice(0, int(source.sizes["time"] * part)))
            source = source.transpose("time", ...)
        made = {str(k): source[k].values.astype(np.float32) for k in names or source.data_vars}
    return {k: v if v.ndim == 3 else v[None] for k, v in made.items()}


def draw_patches(sources: Iterator[Source], rng: Generator) -> dict[int, Patches]:
    """Return neighbourhoods of all sources, by factor."""
    gathered: dict[int, _Gathered] = {f: _Gathered() for f in FACTORS}
    for source in sources:
        for coarsening in source.coarsenings:
            for fields, latitude, part in _variants(source, coarsening, rng):
                share = source.share * part / len(source.coarsenings)
                for factor in source.factors:
                    drawn = _draw(fields, latitude, factor, int(source.count * part), rng)
                    gathered[factor].add(drawn, share)
    return {factor: some.patches() for factor, some in gathered.items() if some.share}


@dataclass
class _Gathered:
    drawn: list[tuple[Single, Single, Single]] = field(default_factory=list)
    share: list[float] = field(default_factory=list)

    def add(self, drawn: list[tuple[Reals, Reals, Reals]], share: float) -> None:
        if not drawn:
            return
        around, inside, weight = (np.concatenate(part) for part in zip(*drawn, strict=True))
        each = weight[:, None, None] * np.isfinite(inside)
        variance = np.nansum(each * inside**2) / each.sum()
        deviation = max(float(variance), _SMALLEST) ** 0.5
        made = (around / deviation, inside / deviation, weight / weight.mean())
        self.drawn.append(tuple(part.astype(np.float32) for part in made))
        self.share.append(share)

    def patches(self) -> Patches:
        around, inside, weight = (np.concatenate(part) for part in zip(*self.drawn, strict=True))
        sizes = [len(part[0]) for part in self.drawn]
        group = np.repeat(np.arange(len(sizes)), sizes)
        return Patches(around, inside, weight, group, np.array(self.share))


def _variants(
    source: Source, coarsening: int, rng: Generator
) -> Iterator[tuple[Single, Single | None, float]]:
    """Return the coarser fields, their latitudes, and the share of each mask."""
    if source.land is None or source.latitude is None:
        yield means(source.fields, coarsening), None, 1.0
        return
    for mask, part in _MASKS.items():
        y, x = rng.integers(0, coarsening, 2)
        fields = means(source.fields[:, y:, x:], coarsening)
        latitude = means(source.latitude[None, y:, None], coarsening, 1)[0, :, 0]
        land = means(source.land[None, y:, x:].astype(np.float32), coarsening)[0] > 0.5
        if mask != "all":
            fields = np.where(land if mask == "land" else ~land, fields, np.float32(np.nan))
        inside = np.abs(latitude) < _HIGHEST_LATITUDE
        yield fields[:, inside], latitude[inside], part


def means(fields: Floats | Single, rows: int, columns: int | None = None) -> Single:
    """Return means of what there is in blocks of (step, y, x)."""
    columns = columns or rows
    n, y, x = fields.shape
    cut = fields[:, : y // rows * rows, : x // columns * columns]
    return _mean(cut.reshape(n, y // rows, rows, x // columns, columns), (2, 4))


def _mean(blocks: Floats | Single, axes: tuple[int, ...]) -> Single:
    with warnings.catch_warnings():
        # Blocks without any value have no mean.
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        made: Single = np.nanmean(blocks, axis=axes)
    return made


def _draw(
    fields: Single, latitude: Single | None, factor: int, count: int, rng: Generator
) -> list[tuple[Reals, Reals, Reals]]:
    """Return neighbourhoods from several grids."""
    cells = (fields.shape[1] // factor) * (fields.shape[2] // factor)
    grids = max(1, count // max(_FEWEST, min(_MOST, cells)))
    grids = min(grids, len(fields) * factor**2)
    drawn = (
        _draw_one(fields[rng.integers(len(fields))], latitude, factor, -(-count // grids), rng)
        for _ in range(grids)
    )
    return [some for some in drawn if some is not None]


def _draw_one(
    one: Single, latitude: Single | None, factor: int, count: int, rng: Generator
) -> tuple[Reals, Reals, Reals] | None:
    """Return neighbourhoods of a grid that begins somewhere in a field; None where it is tiny."""
    if min(one.shape) < 2 * factor:
        return None
    y, x = (int(rng.integers(0, min(factor, n - 2 * factor + 1))) for n in one.shape)
    rows, columns = ((n - o) // factor for n, o in zip(one.shape, (y, x), strict=True))
    fine = one[y : y + rows * factor, x : x + columns * factor]
    fine = fine.reshape(rows, factor, columns, factor).swapaxes(1, 2)
    coarse = _mean(fine, (2, 3))
    known = np.isfinite(coarse)
    if known.sum() < 3:
        return None
    padded = np.pad(coarse, REACH, constant_values=np.nan)
    area = known.astype(np.float64)
    if latitude is not None:
        middle = latitude[y : y + rows * factor].reshape(rows, factor).mean(1)
        area *= np.cos(np.deg2rad(middle))[:, None]
    area /= area.sum()
    rough = _roughness(padded) * known
    chance = area * (rough + _EVERYWHERE * (rough * area).sum() + _SMALLEST)
    chance /= chance.sum()
    at = rng.choice(chance.size, count, p=chance.ravel())
    i, j = np.unravel_index(at, coarse.shape)
    centre = coarse[i, j][:, None, None]
    around = sliding_window_view(padded, (SIDE, SIDE))[i, j] - centre
    return around, fine[i, j] - centre, area[i, j] / chance[i, j]


def _roughness(padded: Single) -> Floats:
    """Return how much each cell differs from its four neighbours."""
    inner = slice(REACH, -REACH)
    centre = padded[inner, inner]
    steps = [np.roll(padded, by, axis)[inner, inner] - centre for axis in (0, 1) for by in (1, -1)]
    stacked = np.stack(steps)
    mean, square = (np.nan_to_num(_mean(v, (0,))) for v in (stacked, stacked**2))
    made: Floats = np.sqrt(mean**2 + 0.1 * square)
    return made
