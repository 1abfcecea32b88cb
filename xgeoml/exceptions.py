"""What can go wrong, in the user's words.

Every message says three things: what was found, what was expected, and what to type next.
All errors of the package derive from `GeoMLError`; where Python has a builtin of the same
meaning they derive from that too, so that ``except KeyError`` works as one would expect.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

__all__ = [
    "AxisError",
    "DownloadError",
    "ExecutionError",
    "GeoMLError",
    "HashError",
    "InputError",
    "MissingExtraError",
    "ModelNotFoundError",
    "OfflineError",
    "SpecError",
    "TimeAxisError",
    "WeightsError",
    "did_you_mean",
]


def did_you_mean(name: object, known: Iterable[object], limit: int = 3) -> list[str]:
    """Return the entries of `known` that look like `name`, best first.

    Parameters
    ----------
    name
        What was typed.
    known
        What exists.
    limit
        The most entries to return.

    Returns
    -------
    list of str
        Empty when nothing is close.
    """
    by_lower = {str(entry).lower(): str(entry) for entry in known}
    close = difflib.get_close_matches(str(name).lower(), by_lower, n=limit, cutoff=0.55)
    return [by_lower[entry] for entry in close]


class GeoMLError(Exception):
    """Root of all errors that xgeoml raises on purpose."""


class AxisError(GeoMLError, ValueError):
    """An axis (X, Y, Z, T) is absent, ambiguous, or named wrongly in ``dims=``."""


class TimeAxisError(AxisError):
    """The time coordinate cannot be used: unsorted, duplicated, undecoded, absent."""


class InputError(GeoMLError, ValueError):
    """The data, their units, a mask or a covariate do not fit the request."""


class SpecError(GeoMLError, ValueError):
    """A model and the data do not go together; lists every problem at once.

    Parameters
    ----------
    problems
        One sentence for each problem.
    subject
        What was being checked, e.g. ``"model 'grace_tf' cannot fill variable 'lwe'"``.
    """

    def __init__(
        self, problems: str | Iterable[str], subject: str = "the request cannot be met"
    ) -> None:
        self.problems: list[str] = [problems] if isinstance(problems, str) else list(problems)
        self.subject = subject
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(f"{subject}:{lines}" if lines else subject)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the parts: by default the class would be called with the finished message."""
        return type(self), (self.problems, self.subject)


class ModelNotFoundError(GeoMLError, KeyError):
    """No model of this name is registered.

    Parameters
    ----------
    name
        What was asked for.
    known
        Names of the registered models; those that look like `name` are suggested.
    """

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        self.name = name
        self.known = sorted(known)
        self.suggestions = did_you_mean(name, self.known)
        message = f"no model is called {name!r}."
        if self.suggestions:
            message += f" Did you mean {' or '.join(repr(s) for s in self.suggestions)}?"
        if self.known:
            message += f" Expected one of: {', '.join(self.known)}."
        super().__init__(f"{message} Type xgeoml.list_models() to see what is there.")

    def __str__(self) -> str:
        """Return the message; KeyError would print its repr, quotes and all."""
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the parts, see `SpecError`."""
        return type(self), (self.name, self.known)


class WeightsError(GeoMLError, RuntimeError):
    """The parameters of a model cannot be found, read or trusted."""


class OfflineError(WeightsError):
    """Weights are not on this machine and the network is not to be used."""


class HashError(WeightsError):
    """A file's sha256 is not the one that the registry names."""


class DownloadError(WeightsError):
    """No mirror delivered the file."""


class MissingExtraError(GeoMLError, ImportError):
    """An optional dependency is not installed.

    Parameters
    ----------
    extra
        The extra that brings it, as in ``pip install "xgeoml[extra]"``.
    purpose
        What needs it, e.g. ``"model 'grace_tf'"``.
    package
        The module that could not be imported.
    """

    def __init__(self, extra: str, purpose: str, package: str | None = None) -> None:
        self.extra = extra
        self.purpose = purpose
        self.package = package
        missing = f"the package {package!r}" if package else f"the extra {extra!r}"
        super().__init__(
            f"{purpose} needs {missing}, which is not installed. "
            f'Type: pip install "xgeoml[{extra}]"'
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the parts, see `SpecError`."""
        return type(self), (self.extra, self.purpose, self.package)


class ExecutionError(GeoMLError, RuntimeError):
    """A model failed while it ran: out of memory, a wrong shape, a value that is not finite."""
