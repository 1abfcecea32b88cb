"""The commands ``xgeoml info``, ``models`` and ``demo``: what there is, and what it can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from xgeoml.cli_files import DataFiles, groups_of, opened
from xgeoml.cli_parts import ManyValues, data_files, in_group
from xgeoml.cli_words import as_command, in_words, typed_files
from xgeoml.spec import Task

if TYPE_CHECKING:
    import xarray as xr

    from xgeoml.tasks.overview import Part
    from xgeoml.tasks.overview_models import ModelFact
    from xgeoml.tasks.overview_scores import Scores


@click.command()
@data_files
@in_group
def info(data: tuple[Path, ...], group: str | None) -> None:
    """Say what is in a file.

    That is: axes, time steps, gaps, the models that fit, and what to type next.

    \b
    Examples:
      xgeoml info tws.nc
      xgeoml info era5.zarr
      xgeoml info levels.nc --group /surface
      xgeoml info 'sst_*.nc'
    """
    from xgeoml.tasks.overview_gaps import IN_FILE

    with opened(data, group) as found:
        # The gaps are what is asked for; what is lazy would not be read.
        for part in groups_of(found).values():
            for variable in part.variables.values():
                if variable.size <= IN_FILE:
                    variable.load()
        click.echo(described(found))


def described(obj: xr.Dataset | xr.DataTree) -> str:
    """Return what is known of what was read or made, with what is typed on the command line."""
    from xgeoml.formatting import in_text
    from xgeoml.tasks.overview import overview

    root = click.get_current_context().find_root()
    program = root.command
    if not isinstance(program, click.Group):
        raise TypeError(f"{program!r}: expected the group of all commands")
    known = overview(obj)
    parts = tuple(_to_type(part, program, typed_files(root)) for part in known.parts)
    return in_text(replace(known, parts=parts))


def _to_type(part: Part | Scores, program: click.Group, files: Sequence[str]) -> Part | Scores:
    """Return a part with what is typed on the command line in the place of Python."""
    from xgeoml.tasks.overview_scores import Scores

    commands = (as_command(call, program, files) for call in part.calls)
    calls = tuple(filter(None, commands))
    if isinstance(part, Scores):
        return replace(part, calls=calls)

    def said(fact: ModelFact, task: str) -> ModelFact:
        command = program.commands[task.replace("_", "-")]
        return replace(fact, state=in_words(fact.state, program, command, files))

    models = tuple(
        replace(m, models=tuple(said(fact, m.task) for fact in m.models)) for m in part.models
    )
    problems = tuple(in_words(p, program, None, files) for p in part.problems)
    return replace(part, calls=calls, models=models, problems=problems)


@click.command()
@click.argument("data", required=False, type=DataFiles(), metavar="[DATA]")
@click.option("--task", type=click.Choice(get_args(Task)), help="Those of one task.")
@in_group
def models(data: tuple[Path, ...] | None, task: Task | None, group: str | None) -> None:
    """List the models.

    With DATA, those that fit it. Weights, packages and training that they lack are told.

    \b
    Examples:
      xgeoml models
      xgeoml models --task fill-gaps
      xgeoml models tws.nc
      xgeoml models tws.nc --task fill-gaps
    """
    from xgeoml.registry import all_models
    from xgeoml.tasks.inspect import models_for
    from xgeoml.weights.availability import availability

    specs = [s for s in all_models() if s.listed and task in (None, s.task)]
    if data is not None:
        with opened(data, group) as found:
            fit = {t: models_for(found, t) for t in {s.task for s in specs}}
        specs = [s for s in specs if s.name in fit[s.task]]
    for spec in sorted(specs, key=lambda s: s.name):
        told = "; ".join(filter(None, (spec.summary, availability(spec))))
        click.echo(f"{spec.key:<20} {spec.task:<16} {told}")
    if not specs:
        raise click.ClickException(f"no model{f' of {task}' if task else ''} fits these data")


@click.command(cls=ManyValues)
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="A netCDF file.")
@click.option("--variable", help="What to fill; needed with --data.")
@click.option("--covariates", multiple=True, help="Drivers in the file.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Folder for the filled record and the picture; those of an earlier demo are replaced.",
)
def demo(data: Path | None, variable: str | None, covariates: tuple[str, ...], out: Path) -> None:
    """Show gap filling from end to end.

    Every model fills hidden steps of a record, and the default one its gaps, or the best one where
    it is surely better.

    Without --data the record is a built-in, synthetic one that resembles GRACE.

    \b
    Examples:
      xgeoml demo
      xgeoml demo --data tws.nc --variable lwe_thickness --covariates tp t2m
    """
    import xarray as xr

    from xgeoml import demo as example

    if data is None:
        if variable or covariates:
            raise click.UsageError("--variable and --covariates go with --data FILE")
        dataset, name, drivers = example.sample()
        click.echo("A synthetic record of water storage, with the gaps of the GRACE satellites.\n")
        example.run(dataset, name, drivers, out, say=click.echo)
        click.echo("\nNext, on a file of yours: xgeoml info FILE")
        return
    with opened([data]) as record:
        if not isinstance(record, xr.Dataset):
            raise click.UsageError(f"{data} has its variables in groups; expected them in none")
        if variable is None:
            names = ", ".join(map(str, record.data_vars))
            raise click.UsageError(f"--data needs --variable; {data} has {names}")
        example.run(record.load(), variable, list(covariates), out, say=click.echo)
