"""A toy weight: its spec, its tensors, and the reference to its file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import toys

from xgeoml.spec import Channel, ModelSpec, WeightsRef

TOY = ModelSpec(
    name="toy",
    task="fill_gaps",
    factory="toys:SeriesNet",
    inputs=(Channel("value"),),
    options={"channels": 1},
    license="CC0-1.0",
    citation="nobody",
)


def tensors(seed: int = 0) -> dict[str, np.ndarray]:
    return {k: v.numpy() for k, v in toys.SeriesNet(channels=1, seed=seed).state_dict().items()}


@dataclass
class Weight:
    """A file, and what a reference to it says."""

    path: Path
    content: bytes = field(init=False)
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        self.content = self.path.read_bytes()
        self.sha256 = hashlib.sha256(self.content).hexdigest()

    def ref(self, **more: object) -> WeightsRef:
        given = {"file": self.path.name, "sha256": self.sha256, "size": len(self.content)}
        return WeightsRef(**{**given, **more})

    @property
    def cached_name(self) -> str:
        return f"{self.path.stem}-{self.sha256[:12]}.safetensors"
