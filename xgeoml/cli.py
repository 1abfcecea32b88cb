"""The command ``xgeoml``."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

import click

from xgeoml.cli_parts import ManyValues, check_out, greens_in, named, opened, pair, told, write
from xgeoml.cli_weights import weights_group
from xgeoml.engine.inversion import Amplitudes, Gaps
from xgeoml.months import Freq
from xgeoml.options import Precision
from xgeoml.spec import Scaling, Task
from xgeoml.tasks.greens import Impulse
from xgeoml.train.settings import Schedule


@click.group()
@click.version_option(package_name="xgeoml")
def main() -> None:
    """Trained networks and classical methods for gridded data and seismograms."""


@main.command(cls=ManyValues)
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="A netCDF file.")
@click.option("--variable", help="What to fill; needed with --data.")
@click.option("--covariates", multiple=True, help="Drivers in the file.")
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
      xgeoml demo --data tws.nc --variable lwe_thickness --covariates tp t2m
    """
    from xgeoml import demo as example

    if data is None:
        if variable or covariates:
            raise click.UsageError("--variable and --covariates go with --data FILE")
        dataset, variable, drivers = example.sample()
        with told():
            example.run(dataset, variable, drivers, out, say=click.echo)
    else:
        with opened(data) as dataset:
            if variable is None:
                names = ", ".join(map(str, dataset.data_vars))
                raise click.UsageError(f"--data needs --variable; {data} has {names}")
            with told():
                example.run(dataset.load(), variable, list(covariates), out, say=click.echo)


@main.command(cls=ManyValues)
@click.argument("model")
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--variable", multiple=True, help="What to learn from; by default all but --covariates."
)
@click.option("--covariates", multiple=True, help="Names in the file, or FILE:NAME in another.")
@click.option("--vectors", help="Components of a vector to learn from, EASTWARD:NORTHWARD.")
@click.option("--target", help="The fine fields of the same times, or the sources, FILE:NAME.")
@click.option("--greens", help="Green's functions: a name in DATA, FILE:NAME, or FILE with one.")
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
@click.option("--validation", type=float, help="Share of the steps set aside, 0.15 by default.")
@click.option("--max-epochs", type=int, help="20 by default.")
@click.option("--steps", type=int, help="Steps in an epoch.")
@click.option("--patterns", type=int, help="Patterns of hidden values drawn beforehand.")
@click.option("--scaling", type=click.Choice(get_args(Scaling)), help="Of values and covariates.")
@click.option("--max-time", help="Seconds, or such as 30min.")
@click.option("--patience", type=int, help="Epochs without a lower loss before it stops.")
@click.option("--learning-rate", type=float, help="The largest.")
@click.option("--schedule", type=click.Choice(get_args(Schedule)), help="How it falls.")
@click.option("--batch-size", type=int, help="Series or windows in a step, 96 by default.")
@click.option("--accumulate", type=int, help="Passes that a step is made of.")
@click.option("--precision", type=click.Choice(get_args(Precision)), help="Of the network.")
@click.option("--device", help="cpu, cuda, cuda:N or mps.")
@click.option("--devices", type=int, help="Processes, one a device.")
@click.option("--nodes", type=int, help="Machines, under torchrun or srun.")
@click.option("--logdir", type=click.Path(file_okay=False), help="Folder of the run.")
@click.option("--resume", type=click.Path(file_okay=False), help="Folder of a run to go on with.")
@click.option("--seed", type=int, help="The same seed gives the same network.")
def fit(
    model: str,
    data: Path,
    variable: tuple[str, ...],
    covariates: tuple[str, ...],
    vectors: str | None,
    target: str | None,
    greens: str | None,
    dim: tuple[str, ...],
    out: Path,
    plot: Path | None,
    **options: Any,
) -> None:
    """Train the model MODEL on the file DATA (netCDF, or a zarr folder).

    MODEL is a name of `xgeoml models`, or a weights file to train on from. From the records of
    stations it learns with their sources, --target, their Green's functions, --greens, or both.

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

    if out.suffix != ".safetensors":
        raise click.UsageError(f"--out {out}: expected a name that ends in .safetensors")
    if plot is not None and plot.suffix not in (".png", ".pdf", ".svg"):
        raise click.UsageError(f"--plot {plot}: expected a name that ends in .png, .pdf or .svg")
    for path in filter(None, (out, plot)):
        if not os.access(path.parent, os.W_OK):
            raise click.UsageError(f"{path}: its folder is not there, or may not be written to")
    given = {k: v for k, v in options.items() if v is not None}
    with ExitStack() as files:
        files.enter_context(told())
        dataset = files.enter_context(opened(data))
        known = None if target is None else named(target, files)
        if isinstance(known, str):
            raise click.UsageError(f"--target {known}: expected FILE:NAME, such as cerra.nc:t2m")
        try:
            own = train(
                dataset,
                model,
                target=known,
                greens=None if greens is None else greens_in(greens, dataset, files),
                dim=dim or None,
                variables=list(variable) or None,
                covariates=[named(c, files) for c in covariates] or None,
                vectors=None if vectors is None else [pair(vectors)],
                **given,
            )
        except KeyboardInterrupt as error:
            raise click.ClickException(f"interrupted. {error}") from error
        own.save(out)
        if plot is not None:
            own.plot_loss().savefig(plot, dpi=120)
    click.echo(repr(own.card))
    click.echo(f"written to {out}" + (f", losses to {plot}" if plot else ""))


@main.command("fill-gaps", cls=ManyValues)
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The filled record, *.nc or *.zarr.",
)
@click.option("--model", default="auto", show_default=True, help="A name, or a weights file.")
@click.option("--weights", help="Other weights than the model's own.")
@click.option("--variable", multiple=True, help="What to fill; by default all but --covariates.")
@click.option("--covariates", multiple=True, help="Drivers in the file.")
@click.option("--mask", help="A variable that says where gaps may be filled.")
@click.option("--max-gap", help="Longest gap to fill: steps, or such as 92D.")
@click.option("--freq", type=click.Choice(get_args(Freq)), help="One field a month.")
@click.option("--spread", is_flag=True, help="Add one standard deviation of each filled value.")
@click.option("--batch-size", type=int, help="Series or windows in a pass.")
@click.option("--precision", type=click.Choice(get_args(Precision)), help="Of the network.")
@click.option("--device", help="cpu, cuda, cuda:N or mps.")
@click.option("--seed", type=int, help="Of models that draw random numbers.")
def fill_gaps(
    data: Path, out: Path, variable: tuple[str, ...], covariates: tuple[str, ...], **options: Any
) -> None:
    """Fill gaps in the file DATA (netCDF, or a zarr folder).

    \b
    Examples:
      xgeoml fill-gaps tws.nc --model kalman --spread --out full.nc
      xgeoml fill-gaps tws.nc --variable lwe_thickness --covariates tp t2m --out full.nc
      xgeoml fill-gaps daily_sst.nc --freq MS --out monthly.nc
    """
    from xgeoml.tasks.fill_gaps import fill_gaps as fill

    check_out(out, data)
    given = {k: v for k, v in options.items() if v is not None}
    if str(given.get("max_gap", "")).isdecimal():
        given["max_gap"] = int(given["max_gap"])
    with told(), opened(data) as dataset:
        full = fill(
            dataset, variables=list(variable) or None, covariates=list(covariates) or None, **given
        )
        write(full, out)


@main.command(cls=ManyValues)
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The finer fields, *.nc or *.zarr.",
)
@click.option("--factor", type=int, help="Parts of a cell along each axis, 2 to 8.")
@click.option(
    "--like", type=click.Path(exists=True, path_type=Path), help="A file on the grid wanted."
)
@click.option("--model", default="auto", show_default=True, help="A name, or a model's file.")
@click.option("--weights", help="Other weights than the model's own.")
@click.option("--variable", multiple=True, help="What to downscale; by default all on the grid.")
@click.option("--covariates", multiple=True, help="Names in the file, or FILE:NAME in another.")
@click.option(
    "--terrain/--no-terrain",
    default=True,
    help="Whether subgrid may use its own map of elevation, without --covariates.",
)
@click.option("--mask", help="Which fine cells get a value: FILE:NAME.")
@click.option("--conserve", type=click.Choice(["auto", "area", "mean", "no"]), default="auto")
@click.option("--minimum", type=float, help="The smallest value there can be, such as 0 of rain.")
@click.option("--members", type=int, help="Answers of a model that draws random numbers.")
@click.option("--batch-size", type=int, help="Fields in a pass.")
@click.option("--precision", type=click.Choice(get_args(Precision)), help="Of the network.")
@click.option("--device", help="cpu, cuda, cuda:N or mps.")
@click.option("--seed", type=int, help="Of models that draw random numbers.")
def downscale(
    data: Path,
    out: Path,
    like: Path | None,
    variable: tuple[str, ...],
    covariates: tuple[str, ...],
    mask: str | None,
    conserve: str,
    **options: Any,
) -> None:
    """Bring the fields of the file DATA (netCDF, or a zarr folder) to a finer grid.

    \b
    Examples:
      xgeoml downscale era5.nc --factor 4 --out fine.nc
      xgeoml downscale era5.nc --like cerra.nc --out fine.nc
      xgeoml downscale era5.nc --model own.safetensors --out fine.nc
      xgeoml downscale era5.nc --factor 5 --covariates orography.nc:z --out fine.nc
    """
    from xgeoml.tasks.downscale import downscale as refine

    others = [Path(text.rpartition(":")[0]) for text in (*covariates, mask or "") if ":" in text]
    check_out(out, data, *others, *filter(None, [like]))
    given = {k: v for k, v in options.items() if v is not None}
    given["conserve"] = False if conserve == "no" else conserve
    with ExitStack() as files:
        files.enter_context(told())
        dataset = files.enter_context(opened(data))
        fine = refine(
            dataset,
            like=None if like is None else files.enter_context(opened(like)),
            variables=list(variable) or None,
            covariates=[named(c, files) for c in covariates] or None,
            mask=None if mask is None else named(mask, files),
            **given,
        )
        write(fine, out)


@main.command("interp-time", cls=ManyValues)
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The fields at other times, *.nc or *.zarr.",
)
@click.option("--freq", help="Step of the result, such as 1h or MS.")
@click.option("--factor", type=int, help="Equal parts of each step, 2 or more.")
@click.option("--times", multiple=True, help="The times themselves, such as 2001-01-01T06.")
@click.option("--accumulated", is_flag=True, help="Values are totals over steps, which are kept.")
@click.option("--model", default="auto", show_default=True, help="A name, or a model's file.")
@click.option("--weights", help="Other weights than the model's own.")
@click.option("--variable", multiple=True, help="What to interpolate; by default all along time.")
@click.option("--vectors", multiple=True, help="Components of a vector, EASTWARD:NORTHWARD.")
@click.option(
    "--terrain/--no-terrain",
    default=True,
    help="Whether a network may use the package's own map of elevation.",
)
@click.option("--max-gap", help="Longest gap to bridge: missing steps, or such as 12h.")
@click.option("--batch-size", type=int, help="Samples in a pass.")
@click.option("--precision", type=click.Choice(get_args(Precision)), help="Of the network.")
@click.option("--device", help="cpu, cuda, cuda:N or mps.")
@click.option("--seed", type=int, help="Of models that draw random numbers.")
def interp_time(
    data: Path,
    out: Path,
    times: tuple[str, ...],
    variable: tuple[str, ...],
    vectors: tuple[str, ...],
    **options: Any,
) -> None:
    """Interpolate the fields of the file DATA (netCDF, or a zarr folder) to other times.

    \b
    Examples:
      xgeoml interp-time era5.nc --freq 1h --out hourly.nc
      xgeoml interp-time era5.nc --factor 6 --model cubic --out hourly.nc
      xgeoml interp-time rain.nc --factor 6 --accumulated --out hourly.nc
      xgeoml interp-time wind.nc --times 2001-01-01T06 2001-01-01T07 --vectors u:v --out two.nc
    """
    from xgeoml.tasks.interp_time import interp_time as interpolate

    check_out(out, data)
    given = {k: v for k, v in options.items() if v is not None}
    if str(given.get("max_gap", "")).isdecimal():
        given["max_gap"] = int(given["max_gap"])
    with told(), opened(data) as dataset:
        made = interpolate(
            dataset,
            times=list(times) or None,
            variables=list(variable) or None,
            vectors=[pair(text) for text in vectors] or None,
            **given,
        )
        write(made, out)


@main.command("invert-waveform", cls=ManyValues)
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The source waveforms, *.nc or *.zarr.",
)
@click.option("--greens", help="Green's functions: a name in DATA, FILE:NAME, or FILE with one.")
@click.option("--dim", multiple=True, help="Dims whose records have one source, such as station.")
@click.option("--positive/--signed", default=True, help="Whether a source is nowhere negative.")
@click.option("--length", help="Of the source: samples, or such as 30s; by default the record's.")
@click.option(
    "--amplitudes",
    type=click.Choice(get_args(Amplitudes)),
    help="Whether those of Green's functions count, or a factor is found for each.",
)
@click.option(
    "--impulse",
    type=click.Choice(get_args(Impulse)),
    help="What Green's functions answer: 1 in one sample, or an area of 1.",
)
@click.option("--resample", is_flag=True, help="Bring Green's functions to the records' step.")
@click.option(
    "--gaps",
    type=click.Choice(get_args(Gaps)),
    help="Of records: an error, or their longest stretch without is used.",
)
@click.option("--spread", is_flag=True, help="Add one standard deviation of each source.")
@click.option("--model", default="auto", show_default=True, help="A name, or a model's file.")
@click.option("--weights", help="Other weights than the model's own.")
@click.option("--variable", multiple=True, help="What to invert; by default all along time.")
@click.option("--batch-size", type=int, help="Events in a pass.")
@click.option("--precision", type=click.Choice(get_args(Precision)), help="Of the network.")
@click.option("--device", help="cpu, cuda, cuda:N or mps.")
@click.option("--seed", type=int, help="Of models that draw random numbers.")
def invert_waveform(
    data: Path,
    out: Path,
    greens: str | None,
    dim: tuple[str, ...],
    length: str | None,
    variable: tuple[str, ...],
    **options: Any,
) -> None:
    """Invert the records of stations in the file DATA (netCDF, or a zarr folder) for their sources.

    Models that have learnt from pairs of records and sources need no --greens.

    \b
    Examples:
      xgeoml invert-waveform records.nc --greens greens.nc --dim station --out source.nc
      xgeoml invert-waveform records.nc --greens path.nc:g --length 30s --spread --out source.nc
      xgeoml invert-waveform both.nc --greens greens --model wiener --signed --out source.nc
      xgeoml invert-waveform records.nc --model own.safetensors --out source.nc
    """
    from xgeoml.tasks.invert_waveform import invert_waveform as invert

    others = [] if greens is None else [Path(greens.rpartition(":")[0] or greens)]
    check_out(out, data, *others)
    given = {k: v for k, v in options.items() if v is not None}
    if length is not None:
        given["length"] = int(length) if length.isdecimal() else length
    with ExitStack() as files:
        files.enter_context(told())
        dataset = files.enter_context(opened(data))
        made = invert(
            dataset,
            greens=None if greens is None else greens_in(greens, dataset, files),
            dim=dim or None,
            variables=list(variable) or None,
            **given,
        )
        write(made, out)


@main.command()
@click.argument("task", required=False, type=click.Choice(get_args(Task)))
def models(task: str | None) -> None:
    """List the models, all or those of TASK.

    \b
    Examples:
      xgeoml models
      xgeoml models fill_gaps
    """
    from xgeoml.registry import all_models

    for spec in sorted(all_models(), key=lambda s: s.name):
        if spec.listed and task in (None, spec.task):
            click.echo(f"{spec.key:<20} {spec.task:<16} {spec.summary}")


main.add_command(weights_group)
