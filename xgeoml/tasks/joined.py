"""Records that have one source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xgeoml.exceptions import InputError


def joined(dim: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the dims along which records have one source, from the user's word.

    Raises
    ------
    InputError
        If it is no name, or a name twice.
    """
    many = isinstance(dim, Sequence) and not isinstance(dim, str)
    join: tuple[Any, ...] = () if dim is None else tuple(dim) if many else (dim,)
    if not all(isinstance(d, str) for d in join) or len(set(join)) < len(join):
        raise InputError(
            f"dim={dim!r}: expected the name of a dim, or several, each once, such as 'station'"
        )
    return join


def check_amplitudes(amplitudes: str, join: tuple[str, ...], greens: bool) -> None:
    """Raise if amplitudes cannot be found.

    Raises
    ------
    InputError
    """
    if amplitudes == "free" and not join:
        raise InputError(
            "amplitudes='free' finds a factor for each of several records of one source: name "
            "their dim, dim='station'"
        )
    if amplitudes == "free" and not greens:
        raise InputError(
            "amplitudes='free' finds factors of Green's functions: give them, greens=..., or "
            "leave it out"
        )
