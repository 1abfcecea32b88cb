"""What travels to a worker in place of a model: a few plain values, turned into the model there.

A network inside a dask graph would be pickled into every task. A handle is a name; each process
loads the model that it means once.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xgeoml.exceptions import HashError, SpecError, WeightsError
from xgeoml.spec import ModelSpec
from xgeoml.weights.files import sha256_of
from xgeoml.weights.store import find

if TYPE_CHECKING:
    from torch import nn

# Models in memory at a time: all that a run needs, but not every file that was ever tried.
_MOST_LOADED = 32
# How the names of arrays begin that are the state of a base model, not the network's parameters.
BASE = "base:"
_loaded: dict[Any, Any] = {}
_lock = threading.RLock()


@dataclass(frozen=True)
class ModelHandle:
    """A model by description.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    weights : str, optional
        Path of its parameters if the user gave one; otherwise those that the spec names are found
        and checked in the process that needs them.
    bases : tuple of ModelHandle
        The models whose estimates it is fed with.

    Attributes
    ----------
    sha256 : str
        Of the file at `weights` when the handle was made, empty without one.
    """

    spec: ModelSpec
    weights: str | None = None
    bases: tuple[ModelHandle, ...] = field(default=())
    sha256: str = field(default="", init=False)

    def __post_init__(self) -> None:
        """Tell files of one path apart, here and in the keys of a dask graph."""
        if self.weights is not None:
            object.__setattr__(self, "sha256", sha256_of(Path(self.weights)))

    def series_models(self, drivers: bool) -> dict[str, Any]:
        """Return the classical models involved, by name, made in this process.

        Models that differ only in whether they heed drivers are one object where there are none,
        so that their work is done once.
        """
        own = (self,) if self.spec.backend == "numpy" else ()
        return {h.spec.name: h._series_model(drivers) for h in (*self.bases, *own)}

    def network(self, device: str) -> nn.Module:
        """Return the network on `device`, in evaluation mode, loaded once a process."""
        return self._made(lambda: self._make_network(device), device)  # type: ignore[no-any-return]

    def with_state(self, name: str = "") -> tuple[Any, dict[str, Any]]:
        """Return a NumPy model that predicts in one go, with the state that its file holds.

        Parameters
        ----------
        name : str
            A base model, whose state lies in this model's file; by default the model itself.
        """
        owner = next((b for b in self.bases if b.spec.name == name), self)
        model = owner._series_model(drivers=True)
        beginning = f"{BASE}{name}:" if name else ""
        return model, {
            key.removeprefix(beginning): array
            for key, array in self.arrays().items()
            if (key.startswith(beginning) if name else ":" not in key)
        }

    def arrays(self) -> dict[str, Any]:
        """Return what the weights file holds, by name; empty without one."""
        from safetensors.numpy import load_file

        if self.weights is not None:
            path = Path(self.weights)
        elif self.spec.weights is not None:
            path = find(self.spec.weights, self.spec.key)
        else:
            return {}
        found: dict[str, Any] = self._made(lambda: load_file(path), "arrays")
        return found

    def _made(self, make: Any, *extra: str) -> Any:
        return _once((self.spec, self.weights, self.sha256, *extra), make)

    def _series_model(self, drivers: bool) -> Any:
        options = {k: v for k, v in self.spec.options.items() if drivers or k != "drivers"}
        key = (self.spec.factory, json.dumps(options, sort_keys=True))
        return _once(key, lambda: self.spec.load_factory()(**options))

    def _make_network(self, device: str) -> nn.Module:
        try:
            network: nn.Module = self.spec.load_factory()(**self.spec.options)
        except TypeError as error:
            raise SpecError(
                str(error), f"{self.spec.key} cannot be made as its spec says"
            ) from error
        if self.weights is not None:
            if sha256_of(Path(self.weights)) != self.sha256:
                raise HashError(
                    f"weights file {self.weights} has changed since it was named; call again"
                )
            load_weights(network, self.weights)
        elif self.spec.weights is not None:
            load_weights(network, find(self.spec.weights, self.spec.key))
        return network.eval().requires_grad_(False).to(device)


def _once(key: Any, make: Callable[[], Any]) -> Any:
    """Return what `make` makes, kept for the next that asks; what none asked for longest goes."""
    with _lock:
        made = _loaded.pop(key) if key in _loaded else make()
        while len(_loaded) >= _MOST_LOADED:
            del _loaded[next(iter(_loaded))]
        _loaded[key] = made
        return made


def load_weights(network: nn.Module, path: str | Path) -> None:
    """Fill `network` with the parameters of a safetensors file.

    Raises
    ------
    WeightsError
        If the file is no safetensors file, or holds other parameters than the network has. Names
        with a colon are no parameters: see `ModelHandle.with_state`.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(path)
        network.load_state_dict({k: v for k, v in found.items() if ":" not in k})
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"weights file {path} cannot be read ({error}); expected a safetensors file"
        ) from error
    except RuntimeError as error:
        raise WeightsError(
            f"weights file {path} does not fit the network: {error}; "
            "was it made by another version of the model, or with other options?"
        ) from error
