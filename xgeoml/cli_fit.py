"""The command ``xgeoml fit``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

import click

from xgeoml.cli_files import check_out, opened, unfinished
from xgeoml.cli_parts import (
    ManyValues,
    array_in,
    data_files,
    files_in,
    given,
    greens_in,
    named,
    pair,
    reading,
    running,
)
from xgeoml.engine.inversion import Amplitudes
from xgeoml.spec import Scaling
from xgeoml.train.settings import Schedule

PICTURES = (".png", ".pdf", ".svg")


@click.command(cls=ManyValues)
@click.argument("model")
@data_files
@click.option(
    "--variable", multiple=True, help="What to learn from; by default all but --covariates."
)
@click.option("--covariates", multiple=True, help="Names in the file, or FILE:NAME in another.")
@click.option("--vectors", help="Components of a vector to learn from, EASTWARD:NORTHWARD.")
@click.option(
    "--target", metavar="FILE:NAME", help="The fine fields of the same times, or the sources."
)
@click.option(
    "--greens",
    metavar="FILE:NAME",
    help="Green's functions: a name in DATA, FILE:NAME, or FILE with one.",
)
@click.option("--dim", multiple=True, help="Dims whose records have one source, such as station.")
@click.option("--positive/--signed", default=True, help="Whether a source is nowhere negative.")
@click.option(
    "--amplitudes",
    type=click.Choice(get_args(Amplitudes)),
    help="Whether those of Green's functions count, or a factor is found for each.",
)
@click.option("--start", help="Weights to begin with: a name such as grace_tf, or a path.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The model's file, *.safetensors.",
)
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="The losses, *.png.")
@click.option("--overwrite", is_flag=True, help="Replace what is there under these names.")
@click.option("--validation", type=float, help="Share of the steps set aside, 0.15 by default.")
@click.option("--max-epochs", type=int, help="20 by default.")
@click.option("--steps", type=int, help="Steps in an epoch.")
@click.option("--patterns", type=int, help="Patterns of hidden values drawn beforehand.")
@click.option("--scaling", type=click.Choice(get_args(Scaling)), help="Of values and covariates.")
@click.option("--max-time", help="Seconds, or such as 30min.")
@click.option("--patience", type=int, help="Epochs without a lower loss before it stops.")
@click.option("--learning-rate", type=float, help="The largest.")
@click.option("--schedule", type=click.Choice(get_args(Schedule)), help="How it falls.")
@click.option("--accumulate", type=int, help="Passes that a step is made of.")
@click.option("--devices", type=int, help="Processes, one a device.")
@click.option("--nodes", type=int, help="Machines, under torchrun or srun.")
@click.option("--logdir", type=click.Path(file_okay=False), help="Folder of the run.")
@click.option("--resume", type=click.Path(file_okay=False), help="Folder of a run to go on with.")
@reading
@running("Series or windows")
def fit(
    model: str,
    data: tuple[Path, ...],
    out: Path,
    plot: Path | None,
    overwrite: bool,
    target: str | None,
    greens: str | None,
    group: str | None,
    chunks: Any,
    **options: Any,
) -> None:
    """Train a model.

    MODEL is a name of `xgeoml models`, or a weights file to train on from. DATA is netCDF, zarr, or
    several files that follow one another. From the records of stations it learns with their
    sources, --target, their Green's functions, --greens, or both.

    \b
    Examples:
      xgeoml fit grace_tf data.nc --variable lwe_thickness --covariates tp t2m --out my.safetensors
      xgeoml fit grace_tf tws.nc --start grace_tf --max-time 30min --out my.safetensors
      xgeoml fit grace_tf tws.nc --logdir run --out my.safetensors
      xgeoml fit grace_tf tws.nc --resume run --out my.safetensors
      xgeoml fit auto era5.nc --variable t2m --target cerra.nc:t2m --out fine.safetensors
      xgeoml fit diurnal hourly.nc --variable t2m --out hours.safetensors
      xgeoml fit eq_tf records.nc --target sources.nc:m --dim station --out site.safetensors
      xgeoml fit eq_tf records.nc --greens greens.nc --dim station --out region.safetensors
    """
    from xgeoml.tasks.fit import fit as train

    others = files_in(target, greens, *options["covariates"])
    check_out(out, data, others, overwrite, [".safetensors"])
    if plot is not None:
        check_out(plot, data, others, overwrite, PICTURES)
    typed = given(options)
    if "vectors" in typed:
        typed["vectors"] = [pair(typed["vectors"])]
    with ExitStack() as files:
        record = files.enter_context(opened(data, group, chunks))
        if "covariates" in typed:
            typed["covariates"] = [named(text, files) for text in typed["covariates"]]
        if target is not None:
            typed["target"] = array_in(target, files)
        if greens is not None:
            typed["greens"] = greens_in(greens, record, files)
        own = train(record, model, **typed)
        own.save(out)
        if plot is not None:
            with unfinished(plot) as path:
                own.plot_loss().savefig(path, dpi=120, format=plot.suffix[1:])
    click.echo(repr(own.card))
    click.echo(f"written to {out}" + (f", losses to {plot}" if plot else ""))
