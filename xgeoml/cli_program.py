"""How the command ends: errors in words, exit codes, nothing left behind where it is stopped."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TextIO

import click

from xgeoml.cli_words import in_words, typed_files
from xgeoml.exceptions import GeoMLError

INTERRUPTED, TERMINATED = 130, 143


class Terminated(BaseException):
    """SIGTERM, which would end the process without a chance to tidy up."""


class Program(click.Group):
    """A group of commands whose errors have no traceback, unless ``--debug`` asks for it."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; end with the exit code that its help tells."""

        def said(text: str) -> str:
            command = self.commands.get(ctx.invoked_subcommand or "")
            return in_words(text, self, command, typed_files(ctx))

        try:
            with _told_of_warnings(said), _stopped_by_sigterm():
                return super().invoke(ctx)
        except (GeoMLError, click.ClickException) as error:
            cause = error.__cause__ if isinstance(error, click.ClickException) else error
            if ctx.params.get("debug") and cause is not None:
                raise cause from None
            if isinstance(error, click.ClickException):
                raise
            raise click.ClickException(said(_with_notes(error))) from error
        except KeyboardInterrupt as error:
            click.echo(f"Interrupted. {said(str(error))}".rstrip(), err=True)
            ctx.exit(INTERRUPTED)
        except Terminated:
            click.echo("Terminated.", err=True)
            ctx.exit(TERMINATED)


def _with_notes(error: GeoMLError) -> str:
    return "\n".join([str(error), *getattr(error, "__notes__", [])])


@contextmanager
def _told_of_warnings(said: Callable[[str], str]) -> Iterator[None]:
    """Print warnings as they come, without lines of code."""

    def show(
        message: Warning | str,
        category: type[Warning],  # noqa: ARG001 - as Python calls it
        filename: str,  # noqa: ARG001
        lineno: int,  # noqa: ARG001
        file: TextIO | None = None,  # noqa: ARG001
        line: str | None = None,  # noqa: ARG001
    ) -> None:
        click.echo(f"Warning: {said(str(message))}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show
        yield


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Have SIGTERM raise, so that a file that is half written is removed."""
    if threading.current_thread() is not threading.main_thread():
        yield  # no other thread may set what a signal does
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
