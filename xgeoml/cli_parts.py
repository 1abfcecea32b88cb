"""What the commands share: options, and what the texts given to them stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from xgeoml.cli_cluster import cluster, on_cluster
from xgeoml.cli_files import (
    ChunkSizes,
    DataFiles,
    Opened,
    check_out,
    groups_of,
    opened,
    variables_in,
    write,
)
from xgeoml.cli_told import best_in
from xgeoml.options import Precision, Progress, set_options, shows_progress

if TYPE_CHECKING:
    import xarray as xr

F = TypeVar("F", bound=Callable[..., Any])


class ManyValues(click.Command):
    """A command whose repeatable options take several values at once: ``--covariates tp t2m``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each of its values, which is what click reads."""
        many = {o for p in self.params if getattr(p, "multiple", False) for o in p.opts}
        made: list[str] = []
        option = ""
        for arg in args:
            if arg.startswith("-"):
                option = arg if arg in many else ""
                made += [] if option else [arg]
            else:
                made += [option, arg] if option else [arg]
        return super().parse_args(ctx, made)


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Return a decorator that adds several options, in the order in which they are told."""

    def add(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def _all_of(
    _ctx: click.Context, _param: click.Parameter, found: tuple[tuple[Path, ...], ...]
) -> tuple[Path, ...]:
    """Return the files of all patterns."""
    return tuple(dict.fromkeys(path for several in found for path in several))


# One file, or several that follow one another.
data_files = click.argument(
    "data", nargs=-1, required=True, type=DataFiles(), metavar="DATA...", callback=_all_of
)
in_group = click.option("--group", help="Of a file with groups the one wanted; by default all.")
reading = together(
    in_group,
    click.option(
        "--chunks",
        type=ChunkSizes(),
        help="Sizes of what is read at once, time=100,lat=50, or auto; by default the file's.",
    ),
    click.option(
        "--dims", multiple=True, help="Which dim is which axis, where it is not found: T=month."
    ),
)


def writing(what: str) -> Callable[[F], F]:
    """Return the options of a result that is written."""
    return together(
        click.option(
            "--out",
            type=click.Path(path_type=Path),
            required=True,
            help=f"{what}, *.nc, *.zarr, or *.zip for zarr in one file.",
        ),
        click.option("--overwrite", is_flag=True, help="Replace what is there under this name."),
        click.option("--compress", type=click.IntRange(0, 9), help="How hard, of netCDF."),
        click.option(
            "--progress/--no-progress", default=None, help="A bar; by default at a terminal."
        ),
        on_cluster,
    )


def choosing(kind: str = "a model's file") -> Callable[[F], F]:
    """Return the options that name a model."""
    return together(
        click.option(
            "--model",
            default="auto",
            show_default=True,
            help=f"A name, {kind}, or best: the winner of an evaluation on these data.",
        ),
        click.option("--weights", help="Other weights than the model's own."),
    )


def running(unit: str) -> Callable[[F], F]:
    """Return the options of a run of a network."""
    return together(
        click.option("--batch-size", type=int, help=f"{unit} in a pass."),
        click.option("--precision", type=click.Choice(get_args(Precision)), help="Of the network."),
        click.option("--device", help="cpu, cuda, cuda:N or mps."),
        click.option("--seed", type=int, help="Of what is random."),
    )


# What a command makes of what it has opened, with files that it opens besides, and its options.
Make = Callable[[Opened, ExitStack, dict[str, Any]], Opened]


def transform(
    data: Sequence[Path], options: dict[str, Any], make: Make, *others: str | None
) -> None:
    """Open files, make something of them, and write it.

    Parameters
    ----------
    data : sequence of Path
    options : dict
        Of the command; those that `reading` and `writing` add are taken out.
    make : callable
        Given what was opened, a stack for files that are open until the result is written, and the
        options that were typed.
    *others : str, optional
        Texts such as FILE:NAME of other files that are read.
    """
    group, chunks = options.pop("group"), options.pop("chunks")
    out, overwrite = options.pop("out"), options.pop("overwrite")
    compress, progress = options.pop("compress"), options.pop("progress")
    scheduler, workers = options.pop("scheduler"), options.pop("workers")
    check_out(out, data, files_in(*others), overwrite)
    if compress is not None and out.suffix != ".nc":
        raise click.UsageError(f"--compress is of netCDF; {out.suffix} is compressed anyway")
    with ExitStack() as files:
        elsewhere = files.enter_context(cluster(scheduler, workers))
        opened_data = files.enter_context(opened(data, group, chunks))
        wanted: Progress = "auto" if progress is None else progress
        with set_options(progress=wanted):
            made = make(opened_data, files, given(options))
        if progress is None and not shows_progress(wanted):
            # At a terminal the task has said so.
            for model in best_in(made):
                click.echo(f"--model best: {model}", err=True)
        write(made, out, compress, progress, elsewhere)


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were typed, as the functions take them."""
    made = {k: v for k, v in options.items() if v not in (None, ())}
    if "dims" in made:
        made["dims"] = _axes(made["dims"])
    if "variable" in made:
        made["variables"] = list(made.pop("variable"))
    return made


def _axes(texts: Sequence[str]) -> dict[str, str]:
    """Return the dim of each axis in texts such as ``T=month``."""
    pairs = [text.partition("=") for text in texts]
    for text, (axis, _, dim) in zip(texts, pairs, strict=True):
        if axis not in tuple("XYZT") or not dim:
            raise click.UsageError(f"--dims {text}: expected AXIS=DIM, such as T=month or Y=row")
    return {axis: dim for axis, _, dim in pairs}


def number_or_text(text: str | None) -> int | str | None:
    """Return a number of steps, or a length such as ``92D``."""
    return int(text) if text is not None and text.isdecimal() else text


def files_in(*texts: str | None) -> list[Path]:
    """Return the files that texts such as FILE:NAME or FILE speak of."""
    return [Path(text.rpartition(":")[0] or text) for text in texts if text]


def named(text: str, files: ExitStack) -> str | xr.DataArray:
    """Return a name, or the variable that FILE:NAME stands for."""
    path, _, name = text.rpartition(":")
    if not path:
        return text
    data = files.enter_context(opened([Path(path)]))
    for dataset in groups_of(data).values():
        if name in dataset:
            return dataset[name]
    raise click.UsageError(f"{path} has {', '.join(variables_in(data))}, no {name!r}")


def array_in(text: str, files: ExitStack) -> xr.DataArray:
    """Return the variable of another file that --target FILE:NAME stands for."""
    found = named(text, files)
    if isinstance(found, str):
        raise click.UsageError(f"--target {text}: expected FILE:NAME, such as cerra.nc:t2m")
    return found


def greens_in(text: str, records: Opened, files: ExitStack) -> str | xr.DataArray:
    """Return a name among the records, or the variable that FILE or FILE:NAME stands for."""
    if text in variables_in(records):
        return text
    if not Path(text).exists():
        if ":" in text:
            return named(text, files)
        raise click.UsageError(
            f"--greens {text}: no such file, and no such variable beside the records: "
            f"{', '.join(variables_in(records))}; expected one of these, FILE or FILE:NAME, such "
            "as greens.nc:g"
        )
    names = variables_in(files.enter_context(opened([Path(text)])))
    if len(names) != 1:
        raise click.UsageError(
            f"--greens {text}: it has {', '.join(names) or 'no variable'}; expected FILE:NAME, "
            f"such as {text}:{names[0] if names else 'g'}"
        )
    return named(f"{text}:{names[0]}", files)


def pair(text: str) -> tuple[str, str]:
    """Return the two names in EASTWARD:NORTHWARD."""
    first, _, second = text.partition(":")
    if not first or not second or ":" in second:
        raise click.UsageError(f"--vectors {text}: expected EASTWARD:NORTHWARD, such as u10:v10")
    return first, second
