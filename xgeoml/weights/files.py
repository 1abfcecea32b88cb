"""The safetensors file of a weight: tensors, and in its header the model's spec and its card."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from xgeoml.exceptions import SpecError, WeightsError
from xgeoml.spec import ModelSpec
from xgeoml.weights.card import Card

# A header lists a hundred bytes a tensor, beside spec and card; a larger one is no weight of ours.
_LONGEST_HEADER = 16_000_000
# How the name of a file ends that is not all there yet.
PART = ".part"


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


def read_spec(path: str | Path) -> ModelSpec:
    """Return the spec in the header of a safetensors file.

    Reads no parameter, imports nothing that the spec names, and needs no torch. Where the spec
    itself says that its weights are is left out: they are in this file.

    Raises
    ------
    WeightsError
        If the file is absent, is no safetensors file, or carries no valid spec.
    """
    text = _metadata(Path(path)).get("spec")
    if text is None:
        raise WeightsError(
            f"weights file {path} cannot be read; expected a safetensors file with the model's "
            "spec in its header"
        )
    try:
        return ModelSpec.from_json(text).replace(weights=None)
    except SpecError as error:
        raise WeightsError(f"weights file {path} carries no valid spec: {error}") from error


def read_card(path: str | Path) -> Card | None:
    """Return the card in the header of a safetensors file; None if it has none.

    Raises
    ------
    WeightsError
        If the file is absent, is no safetensors file, or its card makes no sense.
    """
    text = _metadata(Path(path)).get("card")
    if text is None:
        return None
    try:
        return Card.from_json(text)
    except WeightsError as error:
        raise WeightsError(f"weights file {path} carries no valid card: {error}") from error


def read_history(path: str | Path) -> tuple[dict[str, float], ...]:
    """Return the record of the training in a file's header, a row for each epoch; maybe empty.

    Raises
    ------
    WeightsError
        If the file is absent or no safetensors file, or its record makes no sense.
    """
    text = _metadata(Path(path)).get("history", "[]")
    try:
        rows = json.loads(text)
        return tuple({str(k): float(v) for k, v in row.items()} for row in rows)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(
            f"weights file {path} carries no valid record of its training: {error}"
        ) from error


def copy_weights(source: Path, target: str | os.PathLike[str]) -> Path:
    """Copy a weights file: all of it, or nothing.

    Raises
    ------
    WeightsError
        If the name does not end in ``.safetensors``, or a file cannot be read or written.
    """
    path = _checked_name(Path(target))
    try:
        content = source.read_bytes()
    except OSError as error:
        raise WeightsError(f"weights file {source} cannot be read: {error}") from error
    with writing(path) as file:
        file.write(content)
    return path


def write_weights(
    path: str | Path,
    tensors: Mapping[str, Any],
    spec: ModelSpec,
    card: Card | None = None,
    history: Sequence[Mapping[str, float]] = (),
) -> Path:
    """Write a weights file: all of it, or nothing.

    The same tensors, spec and card give the same bytes.

    Parameters
    ----------
    path : str or path
        Where, ending in ``.safetensors``; a file there is replaced.
    tensors : mapping of str to ndarray or torch.Tensor
        The network's ``state_dict()``.
    spec : ModelSpec
        The model; where its weights are is left out.
    card : Card, optional
        What the weight was trained on, and its skill.
    history : sequence of mapping
        The record of its training, a row for each epoch.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    WeightsError
        If the card is that of another model, or the file cannot be written.

    Examples
    --------
    >>> import numpy as np, tempfile, xgeoml
    >>> from xgeoml.weights.files import read_spec, write_weights
    >>> spec = xgeoml.get_model("linear")
    >>> path = write_weights(f"{tempfile.mkdtemp()}/a.safetensors", {"a": np.ones(3)}, spec)
    >>> read_spec(path) == spec
    True
    """
    path = _checked_name(Path(path))
    if card is not None and card.model != spec.key:
        raise WeightsError(f"the card of {path} is that of {card.model}; the spec is of {spec.key}")
    metadata = {"spec": spec.replace(weights=None).to_json()}
    if card is not None:
        metadata["card"] = card.to_json()
    if history:
        metadata["history"] = json.dumps([dict(row) for row in history])
    content = _with_metadata(_serialised(tensors), metadata)
    with writing(path) as file:
        file.write(content)
    return path


def _checked_name(path: Path) -> Path:
    if path.suffix != ".safetensors":
        raise WeightsError(f"weights file {path}: expected a name that ends in .safetensors")
    return path


@contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file beside `path` that gets its name when all went well, and is removed if not.

    Raises
    ------
    WeightsError
        If the folder is not there, is full, or may not be written to.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}{PART}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = temporary.open("xb")
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        with file:
            yield file
        temporary.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _cannot_write(path: Path, error: OSError) -> WeightsError:
    return WeightsError(
        f"weights file {path.name} cannot be written to the folder {path.parent}: "
        f"{error.strerror or error}; make room there, or name another folder (that of the cache: "
        "set XGEOML_CACHE_DIR)"
    )


def _metadata(path: Path) -> dict[str, str]:
    """Return the texts in the header of a safetensors file, which may be anyone's."""
    if not path.is_file():
        raise WeightsError(f"weights file {path} does not exist; expected a .safetensors file")
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(_LONGEST_HEADER, path.stat().st_size - 8):
                raise ValueError("the header's length makes no sense")
            header = json.loads(file.read(length))
        metadata = header.get("__metadata__", {})
        if not all(isinstance(text, str) for text in metadata.values()):
            raise ValueError("the header's metadata are not texts")
    except (struct.error, ValueError, AttributeError, RecursionError, OSError) as error:
        raise WeightsError(
            f"weights file {path} cannot be read ({type(error).__name__}: {error}); expected a "
            "safetensors file with the model's spec in its header"
        ) from error
    return metadata  # type: ignore[no-any-return]


def _serialised(tensors: Mapping[str, Any]) -> bytes:
    """Return the content of a safetensors file without metadata."""
    if all(hasattr(tensor, "detach") for tensor in tensors.values()) and tensors:
        from safetensors.torch import save

        # Clones, since tensors that share memory would be refused.
        return save({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()})
    import numpy as np
    from safetensors.numpy import save as save_arrays

    # `ascontiguousarray` makes a list of a single number.
    return save_arrays(
        {k: np.ascontiguousarray(v).reshape(np.shape(v)) for k, v in tensors.items()}
    )


def _with_metadata(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """Return the content with metadata in its header.

    safetensors itself would write them in another order each time, and the file would have
    another hash.
    """
    (length,) = struct.unpack("<Q", content[:8])
    header = {"__metadata__": dict(metadata), **json.loads(content[8 : 8 + length])}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of eight bytes
    return struct.pack("<Q", len(text)) + text + content[8 + length :]
