"""Find a weights file, check it, and read the spec that it carries."""

from __future__ import annotations

import hashlib
import json
import struct
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from xgeoml.exceptions import HashError, SpecError, WeightsError
from xgeoml.spec import ModelSpec, WeightsRef

# The header of a safetensors file is at most this long; a larger number means another format.
_LONGEST_HEADER = 100_000_000


def find(ref: WeightsRef) -> Path:
    """Return the path of a shipped weights file, its hash checked.

    Raises
    ------
    WeightsError
        If the file is not there.
    HashError
        If its content is not what it was when it was published.
    """
    path = Path(str(files("xgeoml.weights").joinpath("data", ref.file)))
    if not path.is_file():
        raise WeightsError(
            f"weights file {ref.file} was not found in {path.parent}; expected it in the installed "
            "package: install xgeoml again"
        )
    stat = path.stat()
    found = _known_sha256(path, stat.st_size, stat.st_mtime_ns)
    if found != ref.sha256:
        raise HashError(
            f"weights file {path} has sha256 {found}, expected {ref.sha256}: it was changed or cut "
            "off; install xgeoml again"
        )
    return path


def sha256_of(path: Path) -> str:
    """Return the hash of a file, in hexadecimal digits.

    Raises
    ------
    WeightsError
        If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"weights file {path} cannot be read: {error}") from error


@lru_cache(maxsize=64)
def _known_sha256(path: Path, _size: int, _mtime: int) -> str:
    """Hash a shipped file once for each path, size and time of change."""
    return sha256_of(path)


def read_spec(path: str | Path) -> ModelSpec:
    """Return the spec in the header of a safetensors file. Reads no parameter and needs no torch.

    Raises
    ------
    WeightsError
        If the file is absent, is no safetensors file, or carries no valid spec.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"weights file {path} does not exist; expected a .safetensors file")
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(_LONGEST_HEADER, path.stat().st_size):
                raise ValueError("the header's length makes no sense")
            text = json.loads(file.read(length))["__metadata__"]["spec"]
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"weights file {path} cannot be read ({type(error).__name__}: {error}); expected a "
            "safetensors file with the model's spec in its header"
        ) from error
    try:
        return ModelSpec.from_json(text)
    except SpecError as error:
        raise WeightsError(f"weights file {path} carries no valid spec: {error}") from error
