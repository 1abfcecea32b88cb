"""Checkpoints as safetensors files: no pickle, and never half a file under the final name."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.plugins.io import CheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from xgeoml.exceptions import WeightsError

_TENSOR, _PAIRS, _TUPLE = "tensor", "pairs", "tuple"


class SafeCheckpointIO(CheckpointIO):
    """Write what Lightning keeps of a training: tensors as they are, all else as JSON."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint, by way of a temporary file."""
        tensors: dict[str, Tensor] = {}
        header = json.dumps(_plain(checkpoint, tensors))
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        held = path.with_name(f"{path.name}.{os.getpid()}.new")
        save_file(tensors, held, {"checkpoint": header})
        held.replace(path)

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Return what `save_checkpoint` wrote.

        Raises
        ------
        WeightsError
            If the file cannot be read.
        """
        try:
            with safe_open(path, "pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
                header = (file.metadata() or {})["checkpoint"]
        except (OSError, SafetensorError, KeyError) as error:
            raise WeightsError(
                f"checkpoint {path} cannot be read ({error}); expected one that fit() wrote"
            ) from error
        made: dict[str, Any] = _rebuilt(json.loads(header), tensors)
        return made

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint, if it is there."""
        Path(path).unlink(missing_ok=True)


def _plain(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return a value that JSON can hold; tensors are put aside under numbers."""
    if isinstance(value, Tensor):
        key = str(len(tensors))
        tensors[key] = value.detach().cpu().contiguous().clone()
        return {_TENSOR: key}
    if isinstance(value, dict):
        return {_PAIRS: [[_plain(k, tensors), _plain(v, tensors)] for k, v in value.items()]}
    if isinstance(value, tuple):
        return {_TUPLE: [_plain(v, tensors) for v in value]}
    if isinstance(value, list):
        return [_plain(v, tensors) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a checkpoint holds a {type(value).__name__}: {value!r}")


def _rebuilt(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_rebuilt(v, tensors) for v in value]
    if isinstance(value, dict):
        ((kind, inner),) = value.items()
        if kind == _TENSOR:
            return tensors[inner]
        if kind == _TUPLE:
            return tuple(_rebuilt(v, tensors) for v in inner)
        return {_rebuilt(k, tensors): _rebuilt(v, tensors) for k, v in inner}
    return value


def best_state(path: Path) -> dict[str, Tensor]:
    """Return the parameters of the network that a checkpoint holds."""
    state = SafeCheckpointIO().load_checkpoint(path)["state_dict"]
    start = "network."
    return {k[len(start) :]: v for k, v in state.items() if k.startswith(start)}
