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
    "instead_of",
]

# Names that a message lists, at most.
_SHOWN = 20


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
        Empty when nothing is close. Of names that differ in capitals only that one; then those
        spelt alike, then those that are a part of the other, such as ``lwe`` of ``lwe_thickness``.
    """
    by_lower = {str(entry).lower(): str(entry) for entry in known}
    typed = str(name).lower()
    if typed in by_lower:
        return [by_lower[typed]]
    close = difflib.get_close_matches(typed, by_lower, n=limit, cutoff=0.55)
    parts = [entry for entry in by_lower if _is_part(typed, entry) or _is_part(entry, typed)]
    return [by_lower[entry] for entry in dict.fromkeys([*close, *parts])][:limit]


def _is_part(short: str, long: str) -> bool:
    """Whether one name begins another, or, of three characters and more, lies within it."""
    return len(short) > 1 and (long.startswith(short) or (len(short) > 2 and short in long))


def instead_of(name: object, known: Iterable[object]) -> str:
    """Return what may have been meant by a name that is not there, and what there is.

    Examples
    --------
    >>> instead_of("lwe", ["lwe_thickness", "time"])
    "did you mean 'lwe_thickness'? found ['lwe_thickness', 'time']"
    """
    names = [str(entry) for entry in known]
    near = did_you_mean(name, names)
    meant = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{meant}found {names[:_SHOWN]}{more}"


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
    hint
        What the name is instead, and what to type.
    """

    def __init__(self, name: str, known: Iterable[str] = (), hint: str = "") -> None:
        self.name = name
        self.known = sorted(known)
        self.hint = hint
        self.suggestions = [] if hint else did_you_mean(name, self.known)
        message = f"no model is called {name!r}."
        if hint:
            message += f" {hint}."
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
        return type(self), (self.name, self.known, self.hint)


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
