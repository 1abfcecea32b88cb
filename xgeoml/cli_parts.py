"""What the commands share: files that are opened and written, warnings and errors in words."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xgeoml.exceptions import GeoMLError
from xgeoml.insert import bounds_name

if TYPE_CHECKING:
    import xarray as xr


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


def named(text: str, files: ExitStack) -> str | xr.DataArray:
    """Return a name, or the variable that FILE:NAME stands for."""
    path, _, name = text.rpartition(":")
    if not path:
        return text
    dataset = files.enter_context(opened(Path(path)))
    if name not in dataset:
        raise click.UsageError(f"{path} has {', '.join(map(str, dataset.data_vars))}, no {name!r}")
    return dataset[name]


def greens_in(text: str, records: xr.Dataset, files: ExitStack) -> str | xr.DataArray:
    """Return a name among the records, or the variable that FILE or FILE:NAME stands for."""
    if text in records:
        return text
    if not Path(text).exists():
        if ":" in text:
            return named(text, files)
        raise click.UsageError(
            f"--greens {text}: no such file, and no such variable beside the records: "
            f"{', '.join(map(str, records.data_vars))}; expected one of these, FILE or FILE:NAME, "
            "such as greens.nc:g"
        )
    dataset = files.enter_context(opened(Path(text)))
    names = list(map(str, dataset.data_vars))
    if len(names) != 1:
        raise click.UsageError(
            f"--greens {text}: it has {', '.join(names) or 'no variable'}; expected FILE:NAME, "
            f"such as {text}:{names[0] if names else 'g'}"
        )
    return dataset[names[0]]


def pair(text: str) -> tuple[str, str]:
    """Return the two names in EASTWARD:NORTHWARD."""
    first, _, second = text.partition(":")
    if not first or not second or ":" in second:
        raise click.UsageError(f"--vectors {text}: expected EASTWARD:NORTHWARD, such as u10:v10")
    return first, second


def check_out(out: Path, data: Path, *others: Path) -> None:
    """Raise if a result cannot be written to a path, or would replace what is read."""
    if out.suffix not in (".nc", ".zarr"):
        raise click.UsageError(f"--out {out}: expected a name that ends in .nc or .zarr")
    if out.resolve() == data.resolve():
        raise click.UsageError(f"--out {out} is the record itself; expected another name")
    if out.resolve() in (other.resolve() for other in others):
        raise click.UsageError(f"--out {out} is one of the files that are read; expected another")
    if not os.access(out.parent, os.W_OK):
        raise click.UsageError(f"{out}: its folder is not there, or may not be written to")


def write(dataset: xr.Dataset, out: Path) -> None:
    """Write a result, and say so."""
    if out.suffix == ".nc":
        dataset.to_netcdf(out)
    else:
        dataset.to_zarr(out, mode="w")
    click.echo(f"written to {out}: {', '.join(map(str, dataset.data_vars))}")


@contextmanager
def opened(path: Path) -> Iterator[xr.Dataset]:
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
def told() -> Iterator[None]:
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
