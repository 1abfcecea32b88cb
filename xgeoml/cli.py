"""The command ``xgeoml``."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from xgeoml.exceptions import GeoMLError
from xgeoml.spec import Task


@click.group()
@click.version_option(package_name="xgeoml")
def main() -> None:
    """Trained networks and classical methods for gridded data."""


@main.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="A netCDF file.")
@click.option("--variable", help="What to fill; needed with --data.")
@click.option("--covariates", multiple=True, help="A driver in the file; may be repeated.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Folder for the filled record and the picture.",
)
def demo(data: Path | None, variable: str | None, covariates: tuple[str, ...], out: Path) -> None:
    """Fill gaps in a record, beside the skill of every model on hidden steps of it.

    Without --data the record is a built-in, synthetic one that resembles GRACE.

    \b
    Examples:
      xgeoml demo
      xgeoml demo --data tws.nc --variable lwe_thickness --covariates tp --covariates t2m
    """
    import xarray as xr

    from xgeoml import demo as example

    if data is None:
        if variable or covariates:
            raise click.UsageError("--variable and --covariates go with --data FILE")
        dataset, variable, drivers = example.sample()
        _run(example.run, dataset, variable, drivers, out)
    else:
        try:
            dataset = xr.open_dataset(data)
        except (OSError, ValueError) as error:
            raise click.ClickException(f"{data} cannot be opened: {error}") from error
        with dataset:
            if variable is None:
                names = ", ".join(map(str, dataset.data_vars))
                raise click.UsageError(f"--data needs --variable; {data} has {names}")
            _run(example.run, dataset.load(), variable, list(covariates), out)


@main.command()
@click.argument("task", required=False, type=click.Choice(get_args(Task)))
def models(task: str | None) -> None:
    """List the models, all or those of TASK.

    \b
    Examples:
      xgeoml models
      xgeoml models fill_gaps
    """
    from xgeoml.registry import get_model, list_models

    for name in list_models():
        spec = get_model(name)
        if task in (None, spec.task):
            click.echo(f"{spec.key:<20} {spec.task:<12} {spec.summary}")


def _run(function: object, *arguments: object) -> None:
    """Call `function`; an error that is the user's to mend is printed without a traceback."""
    try:
        function(*arguments, say=click.echo)  # type: ignore[operator]
    except GeoMLError as error:
        raise click.ClickException(str(error)) from error
