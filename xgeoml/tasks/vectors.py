"""Vectors: which variables are the two components of one, by their CF standard names."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import xarray as xr

from xgeoml.exceptions import InputError, instead_of

Vectors = Sequence[tuple[Hashable, Hashable]]

# Words of standard names: of the first component, and of the second.
_WORDS = {"eastward": "northward", "x": "y"}
# Letters that tell variables with the same standard name apart, such as u10 and u100.
_LETTERS = (("u", "v"), ("x", "y"), ("east", "north"), ("zonal", "meridional"))


def check_vectors(vectors: object) -> tuple[tuple[Hashable, Hashable], ...] | None:
    """Return pairs of names, or raise if they are none.

    Raises
    ------
    InputError
    """
    if vectors is None:
        return None
    given = list(vectors) if isinstance(vectors, (list, tuple)) else []
    pairs = [tuple(p) for p in given if isinstance(p, (list, tuple))]
    names = [name for pair in pairs for name in pair]
    named = all(isinstance(n, Hashable) for n in names)
    if not given or len(pairs) < len(given) or any(len(p) != 2 for p in pairs) or not named:
        raise InputError(
            f"vectors={vectors!r}: expected pairs of names, eastward first, such as "
            "vectors=[('u10', 'v10')]"
        )
    twice = [n for n in names if names.count(n) > 1]
    if twice:
        raise InputError(f"vectors={vectors!r} name {twice[0]!r} twice; expected each once")
    return tuple((p[0], p[1]) for p in pairs)


def in_groups(
    dataset: xr.Dataset,
    names: Sequence[Hashable],
    vectors: Sequence[tuple[Hashable, Hashable]] | None,
) -> list[tuple[Hashable, ...]]:
    """Return the variables one by one, and the components of vectors two by two.

    Parameters
    ----------
    dataset : Dataset
    names : sequence of str
        The variables that are treated.
    vectors : sequence of tuple of str, optional
        Pairs that the user named; by default those that standard names make.

    Raises
    ------
    InputError
        If a name is not among them, or the components have other dims.
    """
    pairs = _by_names(dataset, names) if vectors is None else _checked(dataset, names, vectors)
    of = {name: pair for pair in pairs for name in pair}
    return list(dict.fromkeys(of.get(name, (name,)) for name in names))


def _checked(
    dataset: xr.Dataset, names: Sequence[Hashable], vectors: Sequence[tuple[Hashable, Hashable]]
) -> list[tuple[Hashable, Hashable]]:
    for pair in vectors:
        for name in pair:
            if name not in dataset.data_vars:
                hint = instead_of(name, dataset.data_vars)
                raise InputError(f"vectors= name {name!r}, which is not in the data: {hint}")
            if name not in names:
                raise InputError(
                    f"vectors= name {name!r}, which is not to be interpolated; name it in "
                    "variables= too, or leave the pair out"
                )
        first, second = (dataset[name] for name in pair)
        if set(first.dims) != set(second.dims):
            raise InputError(
                f"vectors= name {pair[0]!r} with dims {first.dims} and {pair[1]!r} with dims "
                f"{second.dims}; expected the same dims of both"
            )
    return list(vectors)


def _by_names(dataset: xr.Dataset, names: Sequence[Hashable]) -> list[tuple[Hashable, Hashable]]:
    """Return the pairs that standard names make; none where it is not clear which two."""
    made = []
    taken: set[Hashable] = set()
    for name in names:
        wanted = _partner(str(dataset[name].attrs.get("standard_name", "")))
        if wanted is None:
            continue
        likely = [
            other
            for other in names
            if other not in taken
            and dataset[other].attrs.get("standard_name") == wanted
            and set(dataset[other].dims) == set(dataset[name].dims)
        ]
        same = [n for n in names if _alike(dataset, n, name)]
        if len(likely) > 1 or len(same) > 1:
            likely = [other for other in likely if _named_alike(str(name), str(other))]
        if len(likely) == 1:
            made.append((name, likely[0]))
            taken |= {name, likely[0]}
    return made


def _alike(dataset: xr.Dataset, name: Hashable, other: Hashable) -> bool:
    first, second = dataset[name], dataset[other]
    same = first.attrs.get("standard_name") == second.attrs.get("standard_name")
    return same and set(first.dims) == set(second.dims)


def _partner(standard_name: str) -> str | None:
    """Return the standard name of the second component, of that of the first; else None."""
    words = standard_name.split("_")
    turned = [_WORDS.get(word, word) for word in words]
    return "_".join(turned) if turned != words else None


def _named_alike(first: str, second: str) -> bool:
    """Whether two names differ in the letters of components only."""
    first, second = first.lower(), second.lower()
    return any(a in first and first.replace(a, b) == second for a, b in _LETTERS)
