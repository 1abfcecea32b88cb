"""The commands ``xgeoml fill-gaps``, ``downscale``, ``interp-time`` and ``invert-waveform``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

import click

from xgeoml.cli_files import Opened, opened
from xgeoml.cli_parts import (
    ManyValues,
    choosing,
    data_files,
    given,
    greens_in,
    named,
    number_or_text,
    pair,
    reading,
    running,
    transform,
    writing,
)
from xgeoml.cli_told import filled_in
from xgeoml.engine.inversion import Amplitudes, Gaps
from xgeoml.months import Freq
from xgeoml.tasks.greens import Impulse


@click.command("fill-gaps", cls=ManyValues)
@data_files
@writing("The filled record")
@choosing("a weights file")
@click.option("--variable", multiple=True, help="What to fill; by default all but --covariates.")
@click.option("--covariates", multiple=True, help="Names in the file, or FILE:NAME in another.")
@click.option(
    "--mask",
    metavar="FILE:NAME",
    help="Where gaps may be filled: a name in the file, or FILE:NAME.",
)
@click.option("--max-gap", help="Longest gap to fill: steps, or such as 92D.")
@click.option("--freq", type=click.Choice(get_args(Freq)), help="One field a month.")
@click.option("--spread", is_flag=True, help="Add one standard deviation of each filled value.")
@reading
@running("Series or windows")
def fill_gaps(data: tuple[Path, ...], **options: Any) -> None:
    """Fill gaps in a record.

    DATA is netCDF, zarr, or several files that follow one another.

    \b
    Examples:
      xgeoml fill-gaps tws.nc --model kalman --spread --out full.nc
      xgeoml fill-gaps tws.nc --covariates era5.nc:tp era5.nc:t2m --out full.nc
      xgeoml fill-gaps tws.nc --variable lwe_thickness --mask land --max-gap 92D --out full.zarr
      xgeoml fill-gaps 'sst_*.nc' --freq MS --out monthly.nc --compress 4
    """
    from xgeoml.tasks.fill_gaps import fill_gaps as fill

    def make(record: Opened, files: ExitStack, options: dict[str, Any]) -> Opened:
        _with_arrays(record, options, files)
        return fill(record, **options)

    options["max_gap"] = number_or_text(options["max_gap"])
    out = options["out"]
    transform(data, options, make, *options["covariates"], options["mask"])
    with opened([out]) as made:
        for line in filled_in(made, given(options)):
            click.echo(line)


@click.command(cls=ManyValues)
@data_files
@writing("The finer fields")
@click.option("--factor", type=int, help="Parts of a cell along each axis, 2 to 8.")
@click.option(
    "--like",
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE",
    help="A file on the grid wanted.",
)
@choosing()
@click.option("--variable", multiple=True, help="What to downscale; by default all on the grid.")
@click.option("--covariates", multiple=True, help="Names in the file, or FILE:NAME in another.")
@click.option(
    "--terrain/--no-terrain",
    default=True,
    help="Whether subgrid may use its own map of elevation, without --covariates.",
)
@click.option("--mask", metavar="FILE:NAME", help="Which fine cells get a value.")
@click.option(
    "--conserve",
    type=click.Choice(["auto", "area", "mean", "no"]),
    default="auto",
    show_default=True,
    help="Whether the parts of a cell have its mean.",
)
@click.option("--minimum", type=float, help="The smallest value there can be, such as 0 of rain.")
@click.option("--members", type=int, help="Answers of a model that draws random numbers.")
@reading
@running("Fields")
def downscale(data: tuple[Path, ...], like: Path | None, conserve: str, **options: Any) -> None:
    """Bring fields to a finer grid.

    DATA is netCDF, zarr, or several files that follow one another.

    \b
    Examples:
      xgeoml downscale era5.nc --factor 4 --out fine.nc
      xgeoml downscale era5.zarr --like cerra.nc --chunks time=100 --out fine.zarr
      xgeoml downscale era5.nc --model own.safetensors --out fine.nc
      xgeoml downscale era5.nc --factor 5 --covariates orography.nc:z --out fine.nc
    """
    from xgeoml.tasks.downscale import downscale as refine

    def make(fields: Opened, files: ExitStack, options: dict[str, Any]) -> Opened:
        _with_arrays(fields, options, files)
        if like is not None:
            options["like"] = files.enter_context(opened([like]))
        options["conserve"] = False if conserve == "no" else conserve
        return refine(fields, **options)

    others = (*options["covariates"], options["mask"], None if like is None else str(like))
    transform(data, options, make, *others)


@click.command("interp-time", cls=ManyValues)
@data_files
@writing("The fields at other times")
@click.option("--freq", help="Step of the result, such as 1h or MS.")
@click.option("--factor", type=int, help="Equal parts of each step, 2 or more.")
@click.option(
    "--times", multiple=True, metavar="TIME", help="The times themselves, such as 2001-01-01T06."
)
@click.option("--accumulated", is_flag=True, help="Values are totals over steps, which are kept.")
@choosing()
@click.option("--variable", multiple=True, help="What to interpolate; by default all along time.")
@click.option("--vectors", multiple=True, help="Components of a vector, EASTWARD:NORTHWARD.")
@click.option(
    "--terrain/--no-terrain",
    default=True,
    help="Whether a network may use the package's own map of elevation.",
)
@click.option("--max-gap", help="Longest gap to bridge: missing steps, or such as 12h.")
@reading
@running("Samples")
def interp_time(data: tuple[Path, ...], **options: Any) -> None:
    """Interpolate fields to other times.

    DATA is netCDF, zarr, or several files that follow one another.

    \b
    Examples:
      xgeoml interp-time era5.nc --freq 1h --out hourly.nc
      xgeoml interp-time era5.nc --factor 6 --model cubic --out hourly.nc
      xgeoml interp-time rain.nc --factor 6 --accumulated --out hourly.nc
      xgeoml interp-time wind.nc --times 2001-01-01T06 2001-01-01T07 --vectors u:v --out two.nc
    """
    from xgeoml.tasks.interp_time import interp_time as interpolate

    def make(fields: Opened, _files: ExitStack, options: dict[str, Any]) -> Opened:
        if "times" in options:
            options["times"] = list(options["times"])
        if "vectors" in options:
            options["vectors"] = [pair(text) for text in options["vectors"]]
        return interpolate(fields, **options)

    options["max_gap"] = number_or_text(options["max_gap"])
    transform(data, options, make)


@click.command("invert-waveform", cls=ManyValues)
@data_files
@writing("The source waveforms")
@click.option(
    "--greens",
    metavar="FILE:NAME",
    help="Green's functions: a name in DATA, FILE:NAME, or FILE with one.",
)
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
@choosing()
@click.option("--variable", multiple=True, help="What to invert; by default all along time.")
@reading
@running("Events")
def invert_waveform(data: tuple[Path, ...], greens: str | None, **options: Any) -> None:
    """Invert records of stations for their sources.

    DATA is netCDF or zarr. Models that have learnt from pairs of records and sources need no
    --greens.

    \b
    Examples:
      xgeoml invert-waveform records.nc --greens greens.nc --dim station --out source.nc
      xgeoml invert-waveform records.nc --greens path.nc:g --length 30s --spread --out source.nc
      xgeoml invert-waveform both.nc --greens greens --model wiener --signed --out source.nc
      xgeoml invert-waveform records.nc --model own.safetensors --out source.nc
    """
    from xgeoml.tasks.invert_waveform import invert_waveform as invert

    def make(records: Opened, files: ExitStack, options: dict[str, Any]) -> Opened:
        if greens is not None:
            options["greens"] = greens_in(greens, records, files)
        return invert(records, **options)

    options["length"] = number_or_text(options["length"])
    transform(data, options, make, greens)


def _with_arrays(data: Opened, options: dict[str, Any], files: ExitStack) -> None:
    """Put variables of other files in the place of FILE:NAME, and load a mask."""
    from xgeoml.tasks.inspect import datasets_in

    if "covariates" in options:
        options["covariates"] = [named(text, files) for text in options["covariates"]]
    if "mask" in options:
        # Whether its numbers are shares cannot wait.
        mask = options["mask"] = named(options["mask"], files)
        if isinstance(mask, str):
            for part in datasets_in(data):
                if mask in part:
                    part[mask].load()
        else:
            mask.load()
