"""The main job from end to end: what was found, how good the models are here, a filled record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import xarray as xr

from xgeoml import datasets
from xgeoml.exceptions import InputError
from xgeoml.registry import get_model
from xgeoml.tasks.evaluate import evaluate
from xgeoml.tasks.fill_gaps import fill_gaps
from xgeoml.tasks.plan import plan

REPEATS = 3
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
    scores = evaluate(
        dataset, "fill_gaps", variable=variable, covariates=given, repeats=REPEATS, progress=False
    )
    say(repr(scores.geoml))
    best = str(scores.attrs["best"])
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
