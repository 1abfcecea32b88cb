"""Defaults for the run options that every method takes: set for the process, read once a call."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

from xgeoml.exceptions import InputError, did_you_mean

Precision = Literal["float32", "bfloat16", "float16"]
Progress = bool | Literal["auto"]


@dataclass(frozen=True)
class Options:
    """The options of one call, as plain values that travel to other threads and processes.

    Attributes
    ----------
    device : str
        Where networks run: ``"auto"`` (an accelerator if there is one), ``"cpu"``, ``"cuda"``,
        ``"cuda:N"`` or ``"mps"``.
    batch_size : int or None
        Windows or series in one forward pass. None: as many as fit the memory, halved when they
        do not.
    precision : {"float32", "bfloat16", "float16"}
        Arithmetic of the networks. Results come back in the dtype of the input either way.
    progress : bool or "auto"
        Show a progress bar. ``"auto"``: only at a terminal or in a notebook. Lazy data are computed
        later: `dask.diagnostics.ProgressBar` shows their progress.
    seed : int
        Start of every random draw; the same seed gives the same bits.
    keep_history : bool
        Add a line to the ``history`` attribute of what is returned.
    """

    device: str = "auto"
    batch_size: int | None = None
    precision: Precision = "float32"
    progress: Progress = "auto"
    seed: int = 0
    keep_history: bool = True


def _is_whole_number(value: Any) -> bool:
    # True and False are ints to Python, not to a user who mixes up two options.
    return isinstance(value, int) and not isinstance(value, bool)


def _is_device(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", value))


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "device": (_is_device, "'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'"),
    "batch_size": (
        lambda value: value is None or (_is_whole_number(value) and value > 0),
        "None or a whole number above 0",
    ),
    "precision": (
        lambda value: isinstance(value, str) and value in get_args(Precision),
        "'float32', 'bfloat16' or 'float16'",
    ),
    "progress": (
        lambda value: isinstance(value, bool) or (isinstance(value, str) and value == "auto"),
        "True, False or 'auto'",
    ),
    "seed": (
        lambda value: _is_whole_number(value) and value >= 0,
        "a whole number, 0 or above",
    ),
    "keep_history": (lambda value: isinstance(value, bool), "True or False"),
}


def _problems(given: dict[str, Any]) -> Iterator[str]:
    for name, value in given.items():
        if name not in _RULES:
            near = did_you_mean(name, _RULES, limit=1)
            hint = f"did you mean {near[0]!r}?" if near else f"options: {', '.join(_RULES)}"
            yield f"no option {name!r}: {hint}"
        elif not _RULES[name][0](value):
            yield f"{name}={value!r}: expected {_RULES[name][1]}"


def _checked(base: Options, given: dict[str, Any]) -> Options:
    problems = list(_problems(given))
    if problems:
        raise InputError("; ".join(problems))
    return dataclasses.replace(base, **given)


def shows_progress(progress: Progress) -> bool:
    """Whether a progress bar is wanted; ``"auto"``: at a terminal or in a notebook."""
    if progress == "auto":
        return sys.stderr.isatty() or "ipykernel" in sys.modules
    return progress


# One value for the process, as in xarray: a context variable would be lost between the cells of
# some notebooks and in threads that the user starts. It is replaced whole, never changed.
_current = Options()


def get_options(**overrides: Any) -> Options:
    """Return the options in force, as a snapshot that later changes do not touch.

    Parameters
    ----------
    **overrides
        Options of this one call; None keeps the default of `set_options`.

    Returns
    -------
    Options
        Frozen, hashable, picklable.

    Raises
    ------
    InputError
        If a name is no option or a value is not among those allowed; lists every such problem.

    Examples
    --------
    >>> import xgeoml
    >>> from xgeoml.options import get_options
    >>> with xgeoml.set_options(seed=7):
    ...     get_options(batch_size=64).seed
    7
    """
    return _checked(_current, {k: v for k, v in overrides.items() if v is not None})


def set_options(**options: Any) -> AbstractContextManager[None]:
    """Set defaults for the run options, for good or for the length of a ``with`` block.

    Every method takes the same names as keywords, which go before these defaults. All values are
    checked first: if one is wrong, none is set. A call reads the options once, when it is made; a
    lazy result that is computed later still uses those.

    Parameters
    ----------
    **options
        Any of the attributes of `Options`: `device`, `batch_size`, `precision`, `progress`,
        `seed`, `keep_history`.

    Returns
    -------
    context manager
        Leaving its block puts back what held before this call. Ignore it to set for good.

    Raises
    ------
    InputError
        If a name is no option or a value is not among those allowed; lists every such problem.

    Examples
    --------
    >>> import xgeoml
    >>> with xgeoml.set_options(device="cpu", progress=False):
    ...     xgeoml.get_options().device
    'cpu'
    >>> xgeoml.get_options().device
    'auto'
    """
    global _current
    before = _current
    _current = _checked(_current, options)

    @contextmanager
    def put_back() -> Iterator[None]:
        global _current
        try:
            yield
        finally:
            _current = before

    return put_back()
