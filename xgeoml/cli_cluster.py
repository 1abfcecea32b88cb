"""Where commands compute: in threads of their own, or on a cluster of dask.distributed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import dask

from xgeoml.exceptions import MissingExtraError

F = TypeVar("F", bound=Callable[..., Any])

# Workers keep the memory that they free: dask's own setting has the system hand out every array
# anew, which takes as long as the computation.
_KEEPING = {
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 2**25,
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 2**26,
}


def on_cluster(function: F) -> F:
    """Add the options that name a cluster."""
    workers = click.option(
        "--workers", type=click.IntRange(1), help="Compute in so many processes on this machine."
    )
    scheduler = click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Compute on a cluster of dask.distributed: tcp://HOST:PORT, or its scheduler's file, "
        "*.json. All of its machines read and write the same files.",
    )
    return scheduler(workers(function))


@contextmanager
def cluster(scheduler: str | None, workers: int | None) -> Iterator[bool]:
    """Have dask compute on a cluster within the block, if one is named.

    Parameters
    ----------
    scheduler : str, optional
        Address of a scheduler, or the path of the file that it has written.
    workers : int, optional
        Processes to start on this machine.

    Yields
    ------
    bool
        Whether there is a cluster.

    Raises
    ------
    MissingExtraError
        Without the package distributed.
    click.ClickException
        If both are given, or none answers there.
    """
    if scheduler is None and workers is None:
        yield False
        return
    if scheduler is not None and workers is not None:
        raise click.UsageError("--scheduler names a cluster and --workers starts one: give one")
    with ExitStack() as after, _client(scheduler, workers) as client:
        count = len(client.scheduler_info()["workers"])
        told = f"{count} worker{'s' * (count != 1)}" if count else "which waits for workers"
        click.echo(f"computing on {client.scheduler.address}, {told}", err=True)
        try:
            yield True
        except BaseException:
            # That what is under way is dropped is no news, while the client closes.
            after.enter_context(_silenced("asyncio", "distributed"))
            raise


@contextmanager
def _silenced(*loggers: str) -> Iterator[None]:
    """Have loggers say nothing until the block ends."""
    levels = {logger: logger.level for logger in map(logging.getLogger, loggers)}
    for logger in levels:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


def _client(scheduler: str | None, workers: int | None) -> Any:
    try:
        import distributed
    except ImportError as error:
        asked = "--workers" if scheduler is None else "--scheduler"
        raise MissingExtraError("distributed", asked, "distributed") from error
    Client: Any = distributed.Client
    if scheduler is None:
        # Each worker loads its own weights; a network has threads of its own.
        with dask.config.set(_KEEPING):
            return Client(n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0")
    if Path(scheduler).exists():
        return Client(scheduler_file=scheduler)
    if ":" not in scheduler:
        raise click.UsageError(
            f"--scheduler {scheduler}: no such file; expected tcp://HOST:PORT, as the scheduler "
            "says when it starts, or the file that dask scheduler --scheduler-file writes"
        )
    try:
        return Client(scheduler)
    except (OSError, ValueError) as error:
        raise click.ClickException(
            f"--scheduler {scheduler}: none answers there: {error}"
        ) from error
