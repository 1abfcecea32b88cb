"""Where a weights file is: in a package, a shared folder, the cache; or else on the network.

The order of the search is that of `places`; what is found counts only if its hash is right.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from xgeoml.exceptions import DownloadError, GeoMLError, HashError, OfflineError, WeightsError
from xgeoml.options import Progress
from xgeoml.spec import WeightsRef
from xgeoml.weights import releases
from xgeoml.weights.address import kind_of, reference
from xgeoml.weights.download import download, is_offline, shown
from xgeoml.weights.files import read_card, read_spec, sha256_of

__all__ = ["Place", "cache_folder", "find", "is_sound", "locate", "places", "read_spec"]

# One download at a time in a process; other processes write temporary files of their own.
_lock = threading.Lock()

_ABSENT = "not there"


@dataclass(frozen=True)
class Place:
    """A path where a weights file may be.

    Parameters
    ----------
    kind : {"wheel", "folder", "cache"}
        An installed package, a folder of ``XGEOML_WEIGHTS_PATH``, or the cache.
    path : Path
        The file's.
    """

    kind: str
    path: Path


def locate(weights: str | os.PathLike[str], *, progress: Progress | None = None) -> Path:
    """Return the path of a weights file, downloaded if need be.

    Parameters
    ----------
    weights : str or path
        A path; a model's name, such as ``"grace_tf"`` or ``"grace_tf@1.0"``; or an address:
        ``https://host/x.safetensors#sha256=<64 digits>``,
        ``doi:10.5281/zenodo.123/x.safetensors#sha256=<64 digits>`` or
        ``hf://owner/repo/x.safetensors@revision``.
    progress : bool or "auto", optional
        Show a bar while it is downloaded; by default as `xgeoml.set_options` says.

    Returns
    -------
    Path
        Absolute. Its hash is the one asked for; of a path, the file is taken as it is.

    Raises
    ------
    WeightsError
        If there is no such file, or none with the right hash.
    ModelNotFoundError
        If there is no model of the name.

    Examples
    --------
    >>> from xgeoml import weights
    >>> weights.locate("grace_tf@1.0").name
    'grace_tf-1.0.safetensors'
    """
    kind = kind_of(weights)
    if kind == "name" and is_there(Path(weights)):
        raise WeightsError(
            f"{os.fspath(weights)} is a file, but its name does not end in .safetensors; expected "
            "one that Model.save or xgeoml.weights.files.write_weights wrote"
        )
    if kind == "address":
        return find(reference(os.fspath(weights)), progress=progress)
    if kind == "name":
        return find(named(os.fspath(weights)), os.fspath(weights), progress=progress)
    path = Path(weights).expanduser()
    if not is_there(path):
        raise WeightsError(f"weights file {path} does not exist; expected a .safetensors file")
    return path.resolve()


def named(name: str) -> WeightsRef:
    """Return the weights file of a model.

    Raises
    ------
    ModelNotFoundError
        If there is no such model.
    WeightsError
        If the model has no weights.
    """
    if "@" in name and (found := [r for r in releases.releases() if r.key == name]):
        return found[0].ref
    # The registry reads the specs of older versions from files that it finds through this module.
    from xgeoml.registry import get_model

    spec = get_model(name)
    if spec.weights is None:
        raise WeightsError(f"model {spec.key} has no weights file: it is fitted to the data alone")
    return spec.weights


def find(ref: WeightsRef, name: str = "", *, progress: Progress | None = None) -> Path:
    """Return the path of a weights file, its hash checked, downloaded if it is not here.

    Parameters
    ----------
    ref : WeightsRef
        The file.
    name : str
        How a user asks for it, such as ``"grace_tf@1.0"``, for messages.
    progress : bool or "auto", optional
        As in `locate`.

    Raises
    ------
    OfflineError
        If it is not here and ``XGEOML_OFFLINE`` is set.
    DownloadError
        If no mirror delivered it.
    HashError
        If a file of its name is here, has another content, and cannot be downloaded.
    WeightsError
        If it is not here and no mirror of it is known, or the cache cannot be written to.
    """
    useless: list[str] = []
    for place in places(ref):
        state = _state(place.path, ref)
        if not state:
            return place.path
        if state != _ABSENT:
            useless.append(f"{place.path}: {state}")
    urls = [*_own_mirrors(ref), *ref.urls]
    if is_offline():
        cure = _elsewhere(ref, name, urls)
        raise OfflineError(_message(ref, "XGEOML_OFFLINE is set", useless, cure))
    if not urls:
        kind = HashError if useless else WeightsError
        raise kind(_message(ref, "no mirror of it is known", useless, _again(ref)))
    path = cache_folder() / cached_name(ref)
    with _lock:
        if not _state(path, ref):  # another thread was here before
            return path
        reasons = download(urls, ref, path, progress)
    if reasons:
        cure = "Try again, or name a mirror with XGEOML_WEIGHTS_URL. " + _elsewhere(ref, name, urls)
        raise DownloadError(_message(ref, "no mirror delivered it", [*useless, *reasons], cure))
    return path


def places(ref: WeightsRef) -> Iterator[Place]:
    """Yield where a file may be, in the order in which it is looked for."""
    if ref.package:
        for folder in _folders_of(ref.package):
            yield Place("wheel", folder / ref.file)
    for folder in shared_folders():
        yield Place("folder", folder / ref.file)
        yield Place("folder", folder / cached_name(ref))
    for name in (cached_name(ref), ref.file):
        yield Place("cache", cache_folder() / name)


def shared_folders() -> list[Path]:
    """Return the folders of ``XGEOML_WEIGHTS_PATH``, which are never written to."""
    named = os.environ.get("XGEOML_WEIGHTS_PATH", "").split(os.pathsep)
    return [Path(folder).expanduser() for folder in named if folder.strip()]


def cache_folder() -> Path:
    """Return the folder of downloaded weights: ``XGEOML_CACHE_DIR``, else the system's own."""
    named = os.environ.get("XGEOML_CACHE_DIR", "").strip()
    if named:
        return Path(named).expanduser()
    import pooch

    return Path(pooch.os_cache("xgeoml"))


def cached_name(ref: WeightsRef) -> str:
    """Return the name of a file in the cache: files of one name there are many on the network."""
    return f"{ref.file.removesuffix('.safetensors')}-{ref.sha256[:12]}.safetensors"


def is_sound(path: Path, ref: WeightsRef) -> bool:
    """Whether the file at `path` is there, can be read and is the one meant; hashed anew."""
    try:
        return sha256_of(path) == ref.sha256
    except WeightsError:
        return False


def is_there(path: Path) -> bool:
    """Whether there is a file at `path`, in a folder that may be looked into."""
    try:
        return path.is_file()
    except OSError:
        return False


def warn_of(sha256: str, path: Path) -> None:
    """Warn if a file is a bad release, as the list of releases or its own card says."""
    text = releases.warning_of(sha256) or _own_warning(sha256, path)
    if text:
        warnings.warn(f"this weight is a bad release: {text}", stacklevel=_to_user())


@lru_cache(maxsize=64)
def _own_warning(_sha256: str, path: Path) -> str:
    """Return the warning of a file's card: as long as its hash is the same, so is the card."""
    card = read_card(path)
    return "" if card is None else card.warning


def _to_user() -> int:
    """Return how many frames above its caller the code is that called the package."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "xgeoml":
        frame, level = frame.f_back, level + 1
    return level


def _state(path: Path, ref: WeightsRef) -> str:
    """Return why the file at `path` is of no use; empty if it is sound."""
    try:
        stat = path.stat()
    except OSError as error:
        absent = isinstance(error, (FileNotFoundError, NotADirectoryError))
        return _ABSENT if absent else f"cannot be read ({error.strerror})"
    try:
        found = _known_sha256(path, stat.st_size, stat.st_mtime_ns)
    except WeightsError as error:
        return f"cannot be read ({error.__cause__})"
    if found == ref.sha256:
        return ""
    return f"damaged, its sha256 is {found}, expected {ref.sha256}"


@lru_cache(maxsize=256)
def _known_sha256(path: Path, _size: int, _mtime: int) -> str:
    """Hash a file once for each path, size and time of change."""
    return sha256_of(path)


def _folders_of(package: str) -> list[Path]:
    """Return the folders of an installed package, without importing it."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return []
    return [Path(p) for p in (spec.submodule_search_locations or ())] if spec else []


def _own_mirrors(ref: WeightsRef) -> list[str]:
    mirrors = re.split(r"[\s,]+", os.environ.get("XGEOML_WEIGHTS_URL", ""))
    return [f"{mirror.rstrip('/')}/{ref.file}" for mirror in mirrors if mirror]


def _message(ref: WeightsRef, reason: str, notes: list[str], cure: str) -> str:
    size = f"{ref.size / 1e6:.1f} MB, " if ref.size else ""
    folders = dict.fromkeys(str(place.path.parent) for place in places(ref))
    lines = "".join(f"\n  - {note}" for note in notes)
    return (
        f"weights file {ref.file} ({size}sha256 {ref.sha256}) was not found in "
        f"{', '.join(folders)}, and {reason}.{lines}\n{cure[:1].upper()}{cure[1:]}"
    )


def _elsewhere(ref: WeightsRef, name: str, urls: list[str]) -> str:
    """Return what to type on a machine with network, and where to put what it brings."""
    asked = name if _is_named(ref, name) else ""
    if not asked and ref.urls:
        asked = f"{shown(ref.urls[0])}#sha256={ref.sha256}"
    if not asked:
        return _again(ref)
    mirror = "" if urls else ", with XGEOML_WEIGHTS_URL set to a mirror"
    again = f"\nOr {_again(ref)}" if ref.package else ""
    return (
        f"On a machine with network{mirror}, type\n  xgeoml weights fetch {shlex.quote(asked)} "
        "--to FOLDER\nCopy FOLDER to this machine, and here type\n"
        f"  export XGEOML_WEIGHTS_PATH=FOLDER{again}"
    )


def _is_named(ref: WeightsRef, name: str) -> bool:
    """Whether `name` means this file on any machine, and not by chance another one."""
    try:
        return bool(name) and named(name) == ref
    except GeoMLError:
        return False


def _again(ref: WeightsRef) -> str:
    if ref.package:
        top = ref.package.partition(".")[0]
        return f"install {top} again: pip install --force-reinstall --no-deps {top}"
    return (
        "put the file in a folder and name that in XGEOML_WEIGHTS_PATH, or name a mirror with "
        "XGEOML_WEIGHTS_URL"
    )
