"""The command ``xgeoml``."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from xgeoml.exceptions import GeoMLError
from xgeoml.insert import bounds_name
from xgeoml.months import Freq
from xgeoml.options import Precision
from xgeoml.spec import Scaling, Task
from xgeoml.train.settings import Schedule

if TYPE_CHECKING:
    import xarray as xr


class _ManyValues(click.Command):
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


@click.group()
@click.version_option(package_name="xgeoml")
def main() -> None:
    """Trained networks and classical methods for gridded data."""


@main.command(cls=_ManyValues)
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
        with _told():
            example.run(dataset, variable, drivers, out, say=click.echo)
    else:
        with _opened(data) as dataset:
            if variable is None:
                names = ", ".join(map(str, dataset.data_vars))
                raise click.UsageError(f"--data needs --variable; {data} has {names}")
            with _told():
                example.run(dataset.load(), variable, list(covariates), out, say=click.echo)


@main.command(cls=_ManyValues)
@click.argument("model")
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--variable", multiple=True, help="What to learn from; by default all but --covariates."
)
@click.option("--covariates", multiple=True, help="Names in the file, or FILE:NAME in another.")
@click.option("--target", help="The fine fields of the same times, FILE:NAME: for downscaling.")
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
    target: str | None,
    out: Path,
    plot: Path | None,
    **options: Any,
) -> None:
    """Train the model MODEL on the file DATA (netCDF, or a zarr folder).

    MODEL is a name of `xgeoml models`, or a weights file to train on from.

    \b
    Examples:
      xgeoml fit grace_tf data.nc --variable lwe_thickness --covariates tp t2m --out my.safetensors
      xgeoml fit grace_tf tws.nc --start grace_tf --max-time 30min --out my.safetensors
      xgeoml fit grace_tf tws.nc --logdir run --out my.safetensors
      xgeoml fit grace_tf tws.nc --resume run --out my.safetensors
      xgeoml fit auto era5.nc --variable t2m --target cerra.nc:t2m --out fine.safetensors
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
        files.enter_context(_told())
        dataset = files.enter_context(_opened(data))
        fine = None if target is None else _named(target, files)
        if isinstance(fine, str):
            raise click.UsageError(f"--target {fine}: expected FILE:NAME, such as cerra.nc:t2m")
        try:
            own = train(
                dataset,
                model,
                target=fine,
                variables=list(variable) or None,
                covariates=[_named(c, files) for c in covariates] or None,
                **given,
            )
        except KeyboardInterrupt as error:
            raise click.ClickException(f"interrupted. {error}") from error
        own.save(out)
        if plot is not None:
            own.plot_loss().savefig(plot, dpi=120)
    click.echo(repr(own.card))
    click.echo(f"written to {out}" + (f", losses to {plot}" if plot else ""))


@main.command("fill-gaps", cls=_ManyValues)
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

    _check_out(out, data)
    given = {k: v for k, v in options.items() if v is not None}
    if str(given.get("max_gap", "")).isdecimal():
        given["max_gap"] = int(given["max_gap"])
    with _told(), _opened(data) as dataset:
        full = fill(
            dataset, variables=list(variable) or None, covariates=list(covariates) or None, **given
        )
        _write(full, out)


@main.command(cls=_ManyValues)
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
    _check_out(out, data, *others, *filter(None, [like]))
    given = {k: v for k, v in options.items() if v is not None}
    given["conserve"] = False if conserve == "no" else conserve
    with ExitStack() as files:
        files.enter_context(_told())
        dataset = files.enter_context(_opened(data))
        fine = refine(
            dataset,
            like=None if like is None else files.enter_context(_opened(like)),
            variables=list(variable) or None,
            covariates=[_named(c, files) for c in covariates] or None,
            mask=None if mask is None else _named(mask, files),
            **given,
        )
        _write(fine, out)


def _named(text: str, files: ExitStack) -> str | xr.DataArray:
    """Return a name, or the variable that FILE:NAME stands for."""
    path, _, name = text.rpartition(":")
    if not path:
        return text
    dataset = files.enter_context(_opened(Path(path)))
    if name not in dataset:
        raise click.UsageError(f"{path} has {', '.join(map(str, dataset.data_vars))}, no {name!r}")
    return dataset[name]


def _check_out(out: Path, data: Path, *others: Path) -> None:
    if out.suffix not in (".nc", ".zarr"):
        raise click.UsageError(f"--out {out}: expected a name that ends in .nc or .zarr")
    if out.resolve() == data.resolve():
        raise click.UsageError(f"--out {out} is the record itself; expected another name")
    if out.resolve() in (other.resolve() for other in others):
        raise click.UsageError(f"--out {out} is one of the files that are read; expected another")
    if not os.access(out.parent, os.W_OK):
        raise click.UsageError(f"{out}: its folder is not there, or may not be written to")


def _write(dataset: xr.Dataset, out: Path) -> None:
    if out.suffix == ".nc":
        dataset.to_netcdf(out)
    else:
        dataset.to_zarr(out, mode="w")
    click.echo(f"written to {out}: {', '.join(map(str, dataset.data_vars))}")


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


@main.group("weights")
def weights_group() -> None:
    """Fetch, list, verify, clear trained weights, and show their cards.

    \b
    XGEOML_WEIGHTS_PATH   folders with weights files, read only
    XGEOML_CACHE_DIR      folder of downloaded files
    XGEOML_WEIGHTS_URL    mirrors, tried first
    XGEOML_OFFLINE=1      never use the network
    """


@weights_group.command("list")
def list_weights() -> None:
    """List the weights, and where they are.

    \b
    Example:
      xgeoml weights list
    """
    from xgeoml import weights

    with _told():
        click.echo(repr(weights.list()))


@weights_group.command()
@click.argument("name", required=False)
@click.option("--to", type=click.Path(file_okay=False, path_type=Path), help="Copy to this folder.")
def fetch(name: str | None, to: Path | None) -> None:
    """Have the weights NAME on this machine, or those of all models, and print the paths.

    NAME is a model's name, with or without a version, or an address with a hash.

    \b
    Examples:
      xgeoml weights fetch
      xgeoml weights fetch grace_tf@1.0
      xgeoml weights fetch --to /shared/xgeoml
      xgeoml weights fetch 'https://host/x.safetensors#sha256=<64 hexadecimal digits>'
    """
    from xgeoml import weights

    with _told():
        found = weights.fetch(name, to=to) if name else weights.fetch(to=to)
        for path in found.values() if isinstance(found, dict) else [found]:
            click.echo(str(path))


@weights_group.command()
def verify() -> None:
    """Hash all weights on this machine anew; the exit status is 1 if one is damaged.

    \b
    Example:
      xgeoml weights verify
    """
    from xgeoml import weights

    with _told():
        table = weights.verify()
    click.echo(repr(table))
    if any(row.state == "damaged" for row in table):
        raise click.ClickException(
            "damaged files are never used. Type xgeoml weights clear for those of the cache; "
            "install the package of those in a wheel again"
        )


@weights_group.command()
def clear() -> None:
    """Remove all downloaded weights from the cache, and nothing else.

    \b
    Example:
      xgeoml weights clear
    """
    from xgeoml import weights

    with _told():
        click.echo(repr(weights.clear()))


@weights_group.command()
@click.argument("name")
@click.option("--markdown", is_flag=True, help="As a page of Markdown.")
def info(name: str, markdown: bool) -> None:
    """Show the card of the weights NAME: training data, skill, limits.

    NAME is a model's name, a path or an address with a hash.

    \b
    Examples:
      xgeoml weights info grace_tf
      xgeoml weights info my_weight.safetensors --markdown
    """
    from xgeoml import weights

    with _told():
        card = weights.info(name)
    click.echo(card.to_markdown() if markdown else repr(card))


@contextmanager
def _opened(path: Path) -> Iterator[xr.Dataset]:
    """Open a netCDF file or a zarr folder, lazily."""
    import xarray as xr

    try:
        dataset = xr.open_dataset(path, chunks={})
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{path} cannot be opened: {error}") from error
    with dataset:
        # Bounds tell which day or month a stamp means; that cannot wait.
        for name in {bounds_name(v) for v in dataset.variables.values()} & set(dataset.variables):
            dataset[name].load()
        yield dataset


@contextmanager
def _told() -> Iterator[None]:
    """Print warnings, and an error that is the user's to mend, without lines of code."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            yield
    except GeoMLError as error:
        raise click.ClickException(str(error)) from error
    finally:
        for warning in caught:
            click.echo(f"Warning: {warning.message}", err=True)
