"""The main job from end to end: what was found, how good the models are here, a filled record."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from xgeoml import datasets
from xgeoml.axes import find_axes, require
from xgeoml.exceptions import GeoMLError, InputError
from xgeoml.grid import cell_area
from xgeoml.metrics import skill
from xgeoml.options import get_options
from xgeoml.registry import get_model, list_models
from xgeoml.tasks.fill_gaps import fill_gaps
from xgeoml.tasks.filling import gives_months
from xgeoml.tasks.plan import plan

RUN, SINGLES = 11, 8
Say = Callable[[str], None]


def sample() -> tuple[xr.Dataset, str, list[xr.DataArray]]:
    """Return the built-in, synthetic record, its variable, and its drivers."""
    drivers = datasets.grace_like_drivers()
    return datasets.grace_like(), "lwe_thickness", [drivers["tp"], drivers["t2m"]]


def run(
    dataset: xr.Dataset,
    variable: str,
    covariates: Sequence[str | xr.DataArray],
    folder: Path,
    say: Say = print,
) -> tuple[Path, Path | None]:
    """Score every model on hidden steps, fill the record, write a netCDF file and a picture.

    Parameters
    ----------
    dataset : Dataset
        Holds `variable`.
    variable : str
        What to fill.
    covariates : sequence of str or DataArray
        Drivers, may be empty.
    folder : Path
        Where to write; made if it is not there.
    say : callable
        Takes each line of text.

    Returns
    -------
    netcdf, picture : Path
        `picture` is None without matplotlib.
    """
    if variable not in dataset:
        raise InputError(f"variable {variable!r} not found; found {list(dataset.data_vars)}")
    given = list(covariates) or None
    say(repr(dataset.geoml))
    say("")
    say(repr(plan(dataset, variable=variable, covariates=given, spread=True)))
    say("")
    best = _skill_table(dataset, variable, given, say)
    say(f"\nfilling the record with {best}")
    keep = [variable, *(c for c in covariates if isinstance(c, str))]
    filled = fill_gaps(
        dataset[keep], best, variables=variable, covariates=_fit_for(best, given), spread=True
    )
    folder.mkdir(parents=True, exist_ok=True)
    netcdf = folder / "xgeoml_demo.nc"
    filled.to_netcdf(netcdf)
    say(f"wrote {netcdf}")
    return netcdf, _picture(filled, variable, folder, say)


def _fit_for(
    model: str, covariates: list[str | xr.DataArray] | None
) -> list[str | xr.DataArray] | None:
    return covariates if get_model(model).covariates else None


def _skill_table(
    dataset: xr.Dataset, variable: str, covariates: list[str | xr.DataArray] | None, say: Say
) -> str:
    """Hide a run and single steps of the record, fill them with every model, print the scores."""
    truth = dataset[variable]
    axes = find_axes(truth)
    (time,) = require(axes, "T", purpose="the demo")
    hidden = _hidden(truth, time)
    blind = dataset.assign({variable: truth.where(hidden == 0)})
    area = cell_area(truth.isel({time: 0}, drop=True), axes)
    units = truth.attrs.get("units", "")
    in_a_row, single = int((hidden == 2).sum()), int((hidden == 1).sum())
    say(f"skill on {in_a_row} steps in a row and {single} single ones, hidden in all cells")
    say(f"before any model sees the data; RMSE in {units or 'the units of the data'}")
    say(f"  {'model':<14}{'covariates':<12}{'run':>8}{'singles':>9}{'NSE':>7}{'seconds':>9}")
    scores: dict[str, float] = {}
    for model in list_models("fill_gaps"):
        if gives_months(get_model(model)):
            continue
        used = _fit_for(model, covariates)
        start = clock.perf_counter()
        try:
            estimate = fill_gaps(blind, model, variables=variable, covariates=used, progress=False)[
                variable
            ]
        except GeoMLError as error:
            say(f"  {model:<14}{error}")
            continue
        seconds = clock.perf_counter() - start
        # Steps that are absent from the record were added: score by position of the record's own.
        estimate = estimate.sel({time: truth[time]})
        run, singles = (skill(truth, estimate, hidden == k, area) for k in (2, 1))
        both = skill(truth, estimate, hidden > 0, area)
        scores[model] = both.rmse
        say(
            f"  {model:<14}{'yes' if used else 'no':<12}{run.rmse:8.3f}{singles.rmse:9.3f}"
            f"{both.nse:7.3f}{seconds:9.1f}"
        )
    return min(scores, key=lambda model: scores[model])


def _hidden(truth: xr.DataArray, time: str) -> xr.DataArray:
    """Return 0 for kept steps, 1 for single hidden ones, 2 for a hidden run."""
    others = [d for d in truth.dims if d != time]
    observed = np.flatnonzero(truth.notnull().any(others).values)
    if len(observed) < 4 * RUN:
        raise InputError(
            f"{len(observed)} steps with data; the demo needs at least {4 * RUN} to hide some"
        )
    random = np.random.default_rng(get_options().seed)
    kind = np.zeros(truth.sizes[time], np.int8)
    start = int(random.integers(len(observed) // 4, 3 * len(observed) // 4 - RUN))
    kind[observed[start : start + RUN]] = 2
    free = [
        i
        for k, i in enumerate(observed)
        if 0 < k < len(observed) - 1 and not kind[observed[k - 1 : k + 2]].any()
    ]
    kind[random.choice(free, min(SINGLES, len(free) // 4), replace=False)] = 1
    return xr.DataArray(kind, dims=time)


def _picture(filled: xr.Dataset, variable: str, folder: Path, say: Say) -> Path | None:
    from xgeoml import plot
    from xgeoml.exceptions import MissingExtraError

    try:
        figure = plot.filled_record(filled, variable)
    except MissingExtraError as error:
        say(str(error))
        return None
    path = folder / "xgeoml_demo.png"
    figure.savefig(path, dpi=120)
    say(f"wrote {path}")
    return path
