"""The command ``xgeoml evaluate``."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from xgeoml.cli_files import check_out, opened, unfinished
from xgeoml.cli_fit import PICTURES
from xgeoml.cli_look import described
from xgeoml.cli_parts import (
    ManyValues,
    array_in,
    data_files,
    files_in,
    given,
    greens_in,
    named,
    number_or_text,
    pair,
    reading,
    running,
)
from xgeoml.spec import Task

if TYPE_CHECKING:
    import xarray as xr

TABLES = (".nc", ".csv", ".json")


@click.command(cls=ManyValues)
@click.argument("task", type=click.Choice(get_args(Task)), metavar="TASK")
@data_files
@click.option(
    "--model",
    multiple=True,
    help="What to compare, names or files; by default all that fit and have their weights here.",
)
@click.option("--fit", multiple=True, help="Models to train anew on what is not hidden.")
@click.option("--no-baselines", is_flag=True, help="Without the usual cheap methods beside them.")
@click.option("--variable", help="Which variable; by default the first that the task treats.")
@click.option("--covariates", multiple=True, help="Names in the file, or FILE:NAME in another.")
@click.option(
    "--holdout",
    help="Of fill-gaps, what is hidden: gaps, steps, runs, clouds or blocks; runs=6, steps=0.2.",
)
@click.option("--repeats", type=int, help="How often other values are hidden, 4 by default.")
@click.option(
    "--period", help="Hide in this part of the time only, FROM:TO such as 2018: or :2010."
)
@click.option(
    "--freq", type=click.Choice(["MS", "ME"]), help="Of fill-gaps: compare months, not steps."
)
@click.option("--factor", type=int, help="Of downscale, 4 by default; of interp-time, 2.")
@click.option("--target", metavar="FILE:NAME", help="The fine fields, or the known sources.")
@click.option(
    "--greens",
    metavar="FILE:NAME",
    help="Green's functions: a name in DATA, FILE:NAME, or FILE with one.",
)
@click.option("--dim", multiple=True, help="Dims whose records have one source, such as station.")
@click.option("--length", help="Of the source: samples, or such as 30s.")
@click.option(
    "--argument",
    multiple=True,
    metavar="NAME=VALUE",
    help="Of the task, for every model: max_gap=3, mask=land or FILE:NAME, positive=false.",
)
@click.option("--metric", multiple=True, help="Further scores, by name.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The scores: all of them, *.nc; one line a model and repeat, *.csv or *.json.",
)
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="A picture, *.png.")
@click.option("--overwrite", is_flag=True, help="Replace what is there under these names.")
@reading
@running("Series or windows")
def evaluate(
    task: Task,
    data: tuple[Path, ...],
    out: Path | None,
    plot: Path | None,
    overwrite: bool,
    group: str | None,
    chunks: Any,
    **options: Any,
) -> None:
    """Compare models on your data.

    Known values are hidden, models asked for them, and the answers scored. TASK is fill-gaps,
    downscale, interp-time or invert-waveform.

    \b
    Examples:
      xgeoml evaluate fill-gaps tws.nc --model kalman dineof --holdout runs=6
      xgeoml evaluate fill-gaps tws.nc --model own.safetensors --period 2018: --out scores.csv
      xgeoml evaluate downscale era5.nc --factor 4 --variable t2m --plot skill.png
      xgeoml evaluate interp-time era5.nc --model cubic temdeep --factor 6 --out scores.nc
      xgeoml evaluate invert-waveform records.nc --greens greens.nc --dim station
    """
    from xgeoml.tasks.evaluate import evaluate as compare

    beside = [text.partition("=")[2] for text in options["argument"]]
    others = files_in(*options["covariates"], options["target"], options["greens"], *beside)
    for path, kinds in ((out, TABLES), (plot, PICTURES)):
        if path is not None:
            check_out(path, data, others, overwrite, kinds)
    typed = _typed(options)
    with ExitStack() as files:
        found = files.enter_context(opened(data, group, chunks))
        if "covariates" in typed:
            typed["covariates"] = [named(text, files) for text in typed["covariates"]]
        if "target" in typed:
            typed["target"] = array_in(typed["target"], files)
        if "greens" in typed:
            typed["greens"] = greens_in(typed["greens"], found, files)
        if "argument" in typed:
            typed["arguments"] = dict(_argument(text, files) for text in typed.pop("argument"))
        scores = compare(found, task, **typed)
    click.echo(described(scores))
    if out is not None:
        with unfinished(out) as path:
            _save(scores, path, out.suffix)
        click.echo(f"scores written to {out}")
    if plot is not None:
        with unfinished(plot) as path:
            scores.geoml.plot.skill().savefig(path, dpi=120, format=plot.suffix[1:])
        click.echo(f"picture written to {plot}")


def _typed(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options as `xgeoml.evaluate` takes them."""
    variable = options.pop("variable")
    made = given(options)
    if variable is not None:
        made["variable"] = variable
    for one, several in (("model", "models"), ("metric", "metrics"), ("fit", "fit")):
        if one in made:
            made[several] = list(made.pop(one))
    if made.pop("no_baselines"):
        made["baselines"] = False
    if "holdout" in made:
        made["holdout"] = _holdout(made["holdout"])
    if "period" in made:
        made["period"] = _period(made["period"])
    if "length" in made:
        made["length"] = number_or_text(made["length"])
    return made


def _argument(text: str, files: ExitStack) -> tuple[str, Any]:
    """Return name and value in NAME=VALUE: a number, true or false, a file, or a text."""
    name, is_said, value = text.partition("=")
    if not is_said or not value:
        raise click.UsageError(f"--argument {text}: expected NAME=VALUE, such as max_gap=3")
    name = name.replace("-", "_")
    if value.lower() in ("true", "false"):
        return name, value.lower() == "true"
    try:
        return name, int(value) if value.lstrip("-").isdecimal() else float(value)
    except ValueError:
        pass
    if name == "vectors":
        return name, [pair(value)]
    if name == "like":
        return name, files.enter_context(opened([Path(value)]))
    return name, named(value, files)


def _holdout(text: str) -> str | dict[str, float]:
    """Return what is hidden, with its number in texts such as ``runs=6``."""
    kind, is_said, number = text.partition("=")
    if not is_said:
        return kind
    try:
        return {kind: int(number) if number.isdecimal() else float(number)}
    except ValueError as error:
        raise click.UsageError(
            f"--holdout {text}: expected a kind and a number, such as runs=6 or steps=0.2"
        ) from error


def _period(text: str) -> tuple[str | None, str | None]:
    """Return both ends of FROM:TO."""
    start, is_said, end = text.partition(":")
    if not is_said or not (start or end):
        raise click.UsageError(f"--period {text}: expected FROM:TO, such as 2018: or 2003:2010")
    return start or None, end or None


def _save(scores: xr.Dataset, path: Path, suffix: str) -> None:
    """Write all scores, or a table of those of each model in each repeat."""
    if suffix == ".nc":
        scores.to_netcdf(path)
        return
    each = [name for name, v in scores.data_vars.items() if v.dims == ("model", "repeat")]
    rows = scores[each].reset_coords(drop=True).to_dataframe().reset_index()
    if suffix == ".csv":
        rows.to_csv(path, index=False)
        return
    # What is not known is null: NaN is no JSON.
    told = {"about": scores.attrs, "scores": json.loads(rows.to_json(orient="records"))}
    path.write_text(json.dumps(told, indent=1, default=str) + "\n", encoding="utf-8")
