"""What is installed here: the first thing to paste into a report of a problem."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import sys
from typing import TextIO

NOT_INSTALLED = "-"

# A distribution need not be named in the metadata to matter: these carry out what dask is asked.
_ALSO = ("distributed", "cftime")


def versions(*, device: bool = False) -> dict[str, str]:
    """Return the version of Python, the system, xgeoml and all that it can use.

    Parameters
    ----------
    device : bool
        Also report the accelerator. This imports torch, which takes seconds; without it, the
        accelerator is reported only if torch is imported already.

    Returns
    -------
    dict
        Name -> version, ``"-"`` where a package is not installed.
    """
    found = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "xgeoml": _version("xgeoml"),
    }
    for name in _named_in_metadata():
        found[name] = _version(name)
    if device or "torch" in sys.modules:
        found["device"] = _device()
    return found


def show_versions(file: TextIO | None = None, *, device: bool = True) -> None:
    """Print the version of Python, the system, xgeoml and all that it can use.

    Parameters
    ----------
    file : text file, optional
        Where to print; standard output if not given.
    device : bool
        Also report the accelerator, which imports torch (seconds).

    Examples
    --------
    >>> import xgeoml
    >>> xgeoml.show_versions(device=False)
    python       3...
    system       ...
    xgeoml       ...
    """
    rows = versions(device=device)
    width = max(map(len, rows)) + 1
    for name, version in rows.items():
        print(f"{name:<{width}} {version}", file=file)


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return NOT_INSTALLED


def _named_in_metadata() -> list[str]:
    """Return the distributions that the package requires, then those of its extras."""
    try:
        lines = importlib.metadata.requires("xgeoml") or []
    except importlib.metadata.PackageNotFoundError:  # a source tree on the path, not installed
        lines = []
    needed: dict[bool, list[str]] = {False: [], True: []}
    for line in lines:
        match = re.match(r"[A-Za-z0-9._-]+", line)
        if match and match[0] != "xgeoml":
            needed["extra ==" in line].append(match[0])
    return list(dict.fromkeys([*needed[False], *needed[True], *_ALSO]))


def _device() -> str:
    try:
        import torch
    except ImportError as error:
        return f"torch cannot be imported: {error}"
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return f"cuda {torch.version.cuda}: {', '.join(names)}"
    if torch.backends.mps.is_available():
        return "mps"
    return f"cpu, {torch.get_num_threads()} threads"
