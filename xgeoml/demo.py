"""The main job from end to end: what was found, how good the models are here, a filled record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import fill

import xarray as xr

from xgeoml import datasets
from xgeoml.cli_told import filled_in
from xgeoml.exceptions import InputError
from xgeoml.formatting import in_text
from xgeoml.registry import get_model
from xgeoml.tasks.evaluate import evaluate
from xgeoml.tasks.fill_gaps import fill_gaps
from xgeoml.tasks.overview import overview
from xgeoml.tasks.overview_scores import scores_of
from xgeoml.tasks.plan import plan

REPEATS = 3
_WIDTH = 100
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
    say("What is in the record:")
    say(_without_calls(dataset))
    planned = plan(dataset, variable=variable, covariates=given, spread=True)
    say(f"\nWhat filling it with the default model would do:\n{planned!r}")
    say("\nHow good the models are here: known values are hidden, and each model asked for them.")
    say("This may take a minute or two ...")
    scores = evaluate(dataset, "fill_gaps", variable=variable, covariates=given, repeats=REPEATS)
    say(_without_calls(scores))
    model, why = chosen(scores, planned.model.partition("@")[0])
    say("\n" + fill(f"Filling the record with {model}: {why}.", _WIDTH, break_on_hyphens=False))
    keep = [variable, *(c for c in covariates if isinstance(c, str))]
    filled = fill_gaps(
        dataset[keep], model, variables=variable, covariates=_fit_for(model, given), spread=True
    )
    folder.mkdir(parents=True, exist_ok=True)
    netcdf = folder / "xgeoml_demo.nc"
    filled.to_netcdf(netcdf)
    for line in filled_in(filled, {}):
        say(line)
    say(f"written to {netcdf}")
    return netcdf, _picture(filled, variable, folder, say)


def _without_calls(dataset: xr.Dataset) -> str:
    """Return what is known of a Dataset, without what to type next in Python."""
    found = overview(dataset)
    return in_text(replace(found, parts=tuple(replace(p, calls=()) for p in found.parts)))


def chosen(scores: xr.Dataset, default: str) -> tuple[str, str]:
    """Return the model to fill with, and why: the default, unless another is surely better.

    Parameters
    ----------
    scores : Dataset
        Of an evaluation.
    default : str
        The model that the rule on the shape of the data takes.
    """
    found = scores_of(scores)
    rows = {row.model: row for row in found.rows}
    best, own = found.best, rows[default]
    if best == default:
        return best, "the default for such data, and no model has a smaller error here"
    if own.mean is None or own.difference is None:
        return best, f"it has the smallest error, and {default}, the default, failed"
    middle, low, high = own.difference
    told = f"{middle:.3g}{f' {found.units}' if found.units else ''}"
    within = f"the error is {told} smaller, 95 % interval {low:+.3g} to {high:+.3g}"
    if low > 0:
        return best, f"surely better than {default}, the default for such data ({within})"
    return default, f"the default for such data; {best} is not surely better ({within})"


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
    say(f"written to {path}")
    return path
