"""Files that commands open, and results that they write: whole, or not at all."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from xgeoml.cli_kinds import need_zarr, what_is_wrong
from xgeoml.cli_words import TYPED
from xgeoml.exceptions import GeoMLError
from xgeoml.insert import bounds_name

if TYPE_CHECKING:
    import xarray as xr

# A Dataset or a DataTree: the tasks give back the kind that they are given, and take no union.
Opened = Any
Chunks = Mapping[str, int] | Literal["auto"]
# What a name ends in, and what is written.
KINDS = (".nc", ".zarr", ".zip")
# What reading or writing raises for what is no fault of the package.
_FAILURES = (OSError, ValueError, TypeError, RuntimeError, KeyError, ImportError)


class DataFiles(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2
    """A file or a zarr folder that is there, or a pattern such as ``'sst_*.nc'``."""

    name = "path"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Path, ...]:
        """Return the files, in the order of their names."""
        if isinstance(value, tuple):
            return value
        if ctx is not None:
            ctx.meta.setdefault(TYPED, []).append(value)
        if Path(value).exists():
            return (Path(value),)
        found = _matching(value) if has_magic(value) else ()
        if not found:
            self.fail(f"{value!r} does not exist", param, ctx)
        return found


def _matching(pattern: str) -> tuple[Path, ...]:
    """Return the files that a pattern stands for, in the order of their names."""
    path = Path(pattern)
    rest = path.relative_to(path.anchor)
    return tuple(sorted(Path(path.anchor).glob(str(rest))))


class ChunkSizes(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2
    """``auto``, or sizes of chunks such as ``time=100,lat=50``."""

    name = "chunks"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Chunks:
        """Return them as xarray takes them."""
        if not isinstance(value, str) or value == "auto":
            return value  # type: ignore[no-any-return]
        sizes = {}
        for part in value.split(","):
            dim, _, size = part.partition("=")
            if not dim or size == "0" or not (size == "-1" or size.isdecimal()):
                told = f"{value!r}: expected auto, or such as time=100,lat=50; -1 is all of a dim"
                self.fail(told, param, ctx)
            sizes[dim.strip()] = int(size)
        return sizes


@contextmanager
def opened(
    paths: Sequence[Path], group: str | None = None, chunks: Chunks | None = None
) -> Iterator[Opened]:
    """Open a file lazily, or several that follow one another.

    Parameters
    ----------
    paths : sequence of Path
        netCDF files, zarr folders, or zarr in a zip file.
    group : str, optional
        The one that is wanted. Without it, a file with variables in groups only is a DataTree.
    chunks : mapping or "auto", optional
        By default those of the file.

    Raises
    ------
    click.ClickException
        If they cannot be read.
    """
    told = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} others"
    with ExitStack() as files:
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Failed to open Zarr store with consoli")
                warnings.filterwarnings("ignore", message=".* fails while guessing")
                data = _open(paths, group, {} if chunks is None else chunks, files)
        except _FAILURES as error:
            told = _wrong_among(paths) or f"{told} cannot be opened: {error}"
            raise click.ClickException(told) from error
        for variables in (part.variables for part in groups_of(data).values()):
            # Bounds tell which day or month a stamp means; that cannot wait.
            for name in {bounds_name(v) for v in variables.values()} & set(variables):
                variables[name].load()
        yield data


def _wrong_among(paths: Sequence[Path]) -> str | None:
    """Return the first file of which nothing can be read, and why, in a sentence."""
    for path in paths:
        try:
            wrong = what_is_wrong(path)
        except OSError:
            return None  # what xarray says of it is the reason
        if wrong is not None:
            return f"{path} cannot be opened: {wrong}"
    return None


def _open(paths: Sequence[Path], group: str | None, chunks: Chunks, files: ExitStack) -> Opened:
    import xarray as xr

    options: dict[str, Any] = {"chunks": chunks}
    if all(path.is_dir() or path.suffix == ".zip" for path in paths):
        options["engine"] = "zarr"
    # Workers elsewhere may be in another folder.
    stores = [_zipped(p, files) if p.suffix == ".zip" else p.absolute() for p in paths]
    if len(stores) > 1:
        options |= {"data_vars": "minimal", "coords": "minimal", "compat": "override"}
        options |= {"combine": "by_coords", "join": "outer", "combine_attrs": "override"}
        return files.enter_context(xr.open_mfdataset(stores, group=group, **options))
    if group is None:
        data = files.enter_context(xr.open_dataset(stores[0], **options))
        if data.data_vars:
            return data
    try:
        tree = files.enter_context(xr.open_datatree(stores[0], **options))
    except _FAILURES:
        if group is None:  # a kind of file that has no groups
            return data
        raise
    if group is None:
        return tree if any(node.data_vars for node in tree.subtree) else data
    path = f"/{group.strip('/')}"
    if path not in tree.groups:
        raise ValueError(f"no group {group!r}; it has {', '.join(tree.groups)}")
    return tree[path].to_dataset()


def _zipped(path: Path, files: ExitStack) -> Any:
    from zarr.storage import ZipStore

    if not zipfile.is_zipfile(path):
        raise ValueError("it is no zip file")  # zarr's own store cannot be closed then
    store = ZipStore(path.absolute(), mode="r")
    files.callback(store.close)
    return store


def groups_of(data: Opened) -> dict[str, xr.Dataset]:
    """Return the groups of a DataTree by path; of a Dataset itself."""
    import xarray as xr

    if isinstance(data, xr.Dataset):
        return {"/": data}
    return {node.path: node.to_dataset() for node in data.subtree}


def variables_in(data: Opened) -> list[str]:
    """Return the names of all data variables, each once."""
    return list(dict.fromkeys(str(n) for d in groups_of(data).values() for n in d.data_vars))


def check_out(
    out: Path,
    data: Sequence[Path],
    others: Sequence[Path],
    overwrite: bool,
    kinds: Sequence[str] = KINDS,
) -> None:
    """Raise before the work begins if a result could not be written to a path.

    Parameters
    ----------
    out : Path
    data, others : sequence of Path
        What is read: it is never replaced.
    overwrite : bool
        Whether something else may be.
    kinds : sequence of str
        What its name may end in.

    Raises
    ------
    click.UsageError
    """
    if out.suffix not in kinds:
        raise click.UsageError(f"{out}: expected a name that ends in {' or '.join(kinds)}")
    need_zarr(out)
    if out.resolve() in (path.resolve() for path in data):
        raise click.UsageError(f"--out {out} is the record itself; expected another name")
    if out.resolve() in (path.resolve() for path in others):
        raise click.UsageError(f"--out {out} is one of the files that are read; expected another")
    if not os.access(out.parent, os.W_OK):
        raise click.UsageError(f"{out}: its folder is not there, or may not be written to")
    if out.exists() and not overwrite:
        raise click.UsageError(f"{out} is there already; type --overwrite to replace it")


def write(
    data: Opened, out: Path, compress: int | None, progress: bool | None, elsewhere: bool = False
) -> None:
    """Compute a result chunk by chunk, write it, and say so.

    Parameters
    ----------
    data : Dataset or DataTree
    out : Path
        Ending in ``.nc``, ``.zarr`` or ``.zip``.
    compress : int, optional
        Of netCDF: how hard to compress, 0 to 9.
    progress : bool, optional
        Whether to show a bar; by default at a terminal.
    elsewhere : bool
        Whether a cluster computes, and not this process.

    Raises
    ------
    click.ClickException
        If it cannot be written.
    """
    computing = nullcontext() if elsewhere else _computing(progress)
    with unfinished(out) as path, computing, warnings.catch_warnings():
        # Of zarr's version 3; xarray writes them all the same.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        try:
            _save(data, path.absolute(), out.suffix, compress)
        except _FAILURES as error:
            if isinstance(error, GeoMLError):
                raise
            raise click.ClickException(f"{out} cannot be written: {error}") from error
    click.echo(f"written to {out}: {', '.join(variables_in(data))}")


def _save(data: Opened, path: Path, suffix: str, compress: int | None) -> None:
    import xarray as xr

    if suffix == ".nc":
        encoding: dict[str, Any] = {
            name: {n: {"zlib": True, "complevel": compress} for n in _numbers(group)}
            for name, group in groups_of(data).items()
            if compress is not None
        }
        single = isinstance(data, xr.Dataset)
        data.to_netcdf(path, encoding=encoding.get("/") if single else encoding or None)
    elif suffix == ".zarr":
        data.to_zarr(path, mode="w")
    else:
        folder = path.with_name(f"{path.name}.folder")
        try:
            data.to_zarr(folder, mode="w")
            _zip(folder, path)
        finally:
            _remove(folder)


def _numbers(dataset: xr.Dataset) -> list[str]:
    """Return the variables that can be compressed."""
    return [str(n) for n, v in dataset.data_vars.items() if v.ndim and v.dtype.kind in "fiub"]


def _zip(folder: Path, path: Path) -> None:
    """Put a folder into a zip file; its chunks are compressed already."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as made:
        for each in sorted(folder.rglob("*")):
            if each.is_file():
                made.write(each, each.relative_to(folder))


@contextmanager
def _computing(progress: bool | None) -> Iterator[None]:
    """Compute with threads that end with the block, so that none writes after it."""
    import dask
    from dask.diagnostics.progress import ProgressBar
    from dask.system import CPU_COUNT

    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(dask.config.get("num_workers", CPU_COUNT)))
        stack.enter_context(dask.config.set(pool=pool))
        if sys.stderr.isatty() if progress is None else progress:
            stack.enter_context(ProgressBar(out=sys.stderr))
        yield


@contextmanager
def unfinished(out: Path) -> Iterator[Path]:
    """Give a path beside `out` to write to, which takes its name once the block has ended well.

    Whatever else ends the block, what was written is removed. Where the process is killed, it
    stays under a name that says what it is.
    """
    path = out.with_name(f"{out.name}.unfinished-{os.getpid()}")
    try:
        yield path
        _take_place(path, out)
    finally:
        _remove(path)


def _take_place(path: Path, out: Path) -> None:
    """Give a file or folder the name of another, which is gone then."""
    if not out.is_dir():
        path.replace(out)
        return
    # No folder takes the place of one that is not empty.
    before = out.with_name(f"{out.name}.replaced-{os.getpid()}")
    out.replace(before)
    path.replace(out)
    _remove(before)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
