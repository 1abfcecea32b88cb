"""What a user does with weights files: fetch, list, verify, clear them, and read their cards."""

from __future__ import annotations

import builtins
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import overload

from xgeoml.exceptions import WeightsError
from xgeoml.spec import WeightsRef
from xgeoml.weights import releases, store
from xgeoml.weights.address import kind_of, reference
from xgeoml.weights.card import Card
from xgeoml.weights.files import PART, read_card, read_spec, sha256_of, writing
from xgeoml.weights.table import WeightsRow, WeightsTable

# The names that `store.cached_name` gives, and those of files that are being downloaded.
_OURS = re.compile(r"\w[\w.+-]*-(?P<hash>[0-9a-f]{12})\.safetensors")
_UNFINISHED = re.compile(r"\.\w[\w.+-]*-[0-9a-f]{12}\.safetensors\.[0-9a-f]{16}" + re.escape(PART))
# Of another process that may still write to it; no download goes on so long without a byte.
_SECONDS_IN_USE = 600.0


@overload
def fetch(name: str | os.PathLike[str], *, to: str | os.PathLike[str] | None = None) -> Path: ...


@overload
def fetch(name: None = None, *, to: str | os.PathLike[str] | None = None) -> dict[str, Path]: ...


def fetch(
    name: str | os.PathLike[str] | None = None, *, to: str | os.PathLike[str] | None = None
) -> Path | dict[str, Path]:
    """Have a weight on this machine: download it if it is not here, and check its hash.

    Parameters
    ----------
    name : str, optional
        A model's name, such as ``"grace_tf"`` (its newest sound version) or ``"grace_tf@1.0"``;
        or an address, see `locate`. By default all sound releases, and the weights of all
        installed models.
    to : str or path, optional
        A folder that gets a copy under the file's own name: a shared folder for
        ``XGEOML_WEIGHTS_PATH``, or one that a web server offers as a mirror.

    Returns
    -------
    Path, or dict of str to Path
        Of the file; without a name, ``name@version`` -> path.

    Raises
    ------
    WeightsError
        If the file cannot be had, or the copy not be written.
    ModelNotFoundError
        If there is no model of the name.

    Examples
    --------
    >>> from xgeoml import weights
    >>> weights.fetch("grace_tf@1.0").name
    'grace_tf-1.0.safetensors'
    """
    if name is None:
        sound = {key: ref for key, ref in _known().items() if not releases.warning_of(ref.sha256)}
        return {key: _fetch(ref, key, to) for key, ref in sound.items()}
    kind = kind_of(name)
    if kind == "path":
        raise WeightsError(f"{os.fspath(name)} is a file already; expected a name or an address")
    text = os.fspath(name)
    ref = reference(text) if kind == "address" else store.named(text)
    return _fetch(ref, text if kind == "name" else "", to)


def _fetch(ref: WeightsRef, name: str, to: str | os.PathLike[str] | None) -> Path:
    path = store.find(ref, name)
    store.warn_of(ref.sha256, path)
    if to is None:
        return path
    target = Path(to).expanduser() / ref.file
    if not store.is_sound(target, ref):
        with path.open("rb") as source, writing(target) as copy:
            shutil.copyfileobj(source, copy)
    return target


def list() -> WeightsTable:  # noqa: A001 - read as weights.list()
    """Return all weights files that are known, and where they are; asks no network.

    Returns
    -------
    WeightsTable
        Prints as a table: model, version, where (wheel, folder, cache, not here), size and file.

    Examples
    --------
    >>> from xgeoml import weights
    >>> weights.list()
    model     version  where  size    file
    climanet  1.0      wheel  ... MB  ...climanet-1.0.safetensors...
    grace_tf  1.0      wheel  ... MB  ...grace_tf-1.0.safetensors...
    grace_tf  1.1      wheel  ... MB  ...grace_tf-1.1.safetensors...
    """
    rows = []
    for key, ref in _known().items():
        model, _, version = key.partition("@")
        state = "bad release" if releases.warning_of(ref.sha256) else ""
        place = next((p for p in store.places(ref) if store.is_there(p.path)), None)
        if place is None:
            rows.append(WeightsRow(model, version, "not here", ref.size, None, state))
        else:
            size = place.path.stat().st_size
            rows.append(WeightsRow(model, version, place.kind, size, place.path, state))
    listed = {row.path for row in rows}
    return WeightsTable([*rows, *(_row(path) for path in _cached() if path not in listed)])


def verify() -> WeightsTable:
    """Hash all weights files that are on this machine anew.

    Returns
    -------
    WeightsTable
        With the state of each, ``"sound"`` or ``"damaged"``.

    Examples
    --------
    >>> from xgeoml import weights
    >>> {row.state for row in weights.verify()}
    {'sound'}
    """
    rows, seen = [], set()
    for key, ref in _known().items():
        model, _, version = key.partition("@")
        for place in store.places(ref):
            if store.is_there(place.path) and place.path not in seen:
                seen.add(place.path)
                state = "sound" if store.is_sound(place.path, ref) else "damaged"
                size = place.path.stat().st_size
                rows.append(WeightsRow(model, version, place.kind, size, place.path, state))
    for path in _cached():
        if path not in seen:
            match = _OURS.fullmatch(path.name)
            assert match is not None
            rows.append(_row(path, "sound" if _starts_with(path, match["hash"]) else "damaged"))
    return WeightsTable(rows)


def clear() -> WeightsTable:
    """Remove all downloaded weights files from the cache, and nothing else.

    Returns
    -------
    WeightsTable
        What was removed.

    Raises
    ------
    WeightsError
        If a file cannot be removed.

    Examples
    --------
    >>> from xgeoml import weights
    >>> weights.clear()
    no weights files
    """
    rows = [_row(path, "removed") for path in [*_cached(), *_left_over()]]
    for row in rows:
        assert row.path is not None
        try:
            row.path.unlink(missing_ok=True)
        except OSError as error:
            raise WeightsError(
                f"{row.path} cannot be removed: {error.strerror}; remove it by hand"
            ) from error
    return WeightsTable(rows)


def info(name: str | os.PathLike[str]) -> Card:
    """Return the card of a weight: what it was trained on, its skill, its limits.

    Parameters
    ----------
    name : str or path
        A model's name, a path or an address, see `locate`.

    Raises
    ------
    WeightsError
        If there is no such file, or it has no card.

    Examples
    --------
    >>> import numpy as np, tempfile, xgeoml
    >>> from xgeoml.weights import Card, files
    >>> spec, card = xgeoml.get_model("linear"), Card("linear@1.0", "nothing to train")
    >>> path = f"{tempfile.mkdtemp()}/a.safetensors"
    >>> path = files.write_weights(path, {"a": np.ones(3)}, spec, card)
    >>> xgeoml.weights.info(path)
    <xgeoml card: linear@1.0>
      nothing to train
    """
    path = store.locate(name)
    card = read_card(path)
    if card is None:
        raise WeightsError(
            f"weights file {path} has no card: its makers wrote none. Its spec says: "
            f"{read_spec(path).summary or 'nothing'}"
        )
    return card


def _known() -> dict[str, WeightsRef]:
    """Return the files of all releases and of all installed models, by ``name@version``."""
    # The registry finds the files of older versions through `store`.
    from xgeoml.registry import all_models

    found = {release.key: release.ref for release in releases.releases()}
    return found | {spec.key: spec.weights for spec in all_models() if spec.weights is not None}


def _cached() -> builtins.list[Path]:
    """Return the downloaded files in the cache."""
    return [path for path in _in_cache() if _OURS.fullmatch(path.name)]


def _starts_with(path: Path, digits: str) -> bool:
    try:
        return sha256_of(path).startswith(digits)
    except WeightsError:  # it cannot be read
        return False


def _left_over() -> builtins.list[Path]:
    """Return what downloads left that were killed."""
    old = time.time() - _SECONDS_IN_USE
    return [p for p in _in_cache() if _UNFINISHED.fullmatch(p.name) and p.stat().st_mtime < old]


def _in_cache() -> Iterator[Path]:
    folder = store.cache_folder()
    try:
        names = sorted(folder.iterdir())
    except OSError:  # not there yet, or not to be read: then there is nothing of ours
        return
    yield from (path for path in names if path.is_file() and not path.is_symlink())


def _row(path: Path, state: str = "") -> WeightsRow:
    """Return the row of a file in the cache, which tells itself what it is."""
    try:
        spec = read_spec(path)
        model, version = spec.name, spec.version
    except WeightsError:
        model, version = "?", "?"
    return WeightsRow(model, version, "cache", path.stat().st_size, path, state)
