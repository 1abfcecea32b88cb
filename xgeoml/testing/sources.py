"""A model of waveform inversion under test, and small made-up records that it is tried on."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xgeoml.engine import inversion
from xgeoml.engine.handle import ModelHandle
from xgeoml.model import TEMPORARY, Model
from xgeoml.models.series import Floats
from xgeoml.spec import ModelSpec
from xgeoml.tasks.choose import ModelLike, make_handle
from xgeoml.tasks.dispatch import GeoObject
from xgeoml.tasks.invert_waveform import invert_waveform
from xgeoml.tasks.trained_path import TrainedPath
from xgeoml.weights.files import write_weights

EVENTS, STATIONS, SAMPLES, LENGTH = 2, 3, 256, 64
# Seconds between samples.
STEP = 0.1
_QUIET: dict[str, Any] = {"device": "cpu", "progress": False}
# By how much every parameter of a network without weights is moved from where it begins: layers
# that begin at zero would say nothing.
_MOVED = 0.02


@dataclass(frozen=True)
class Inverter:
    """The model of waveform inversion under test.

    Attributes
    ----------
    model : str, path, ModelSpec or Model
        As the user gave it.
    spec : ModelSpec
        Its description.
    """

    model: ModelLike
    spec: ModelSpec
    _made: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def is_torch(self) -> bool:
        """Whether the model is a network."""
        return self.spec.backend == "torch"

    @property
    def learns(self) -> bool:
        """Whether the model is a network without weights."""
        handle = self.handle(self.model)
        return self.is_torch and handle.weights is None and handle.spec.weights is None

    @property
    def knows_paths(self) -> bool:
        """Whether it has learnt from pairs what the paths are: none of those of `quakes`."""
        return TrainedPath.of(self.handle(self.own)) is not None

    @property
    def own(self) -> Any:
        """The model, ready to be used: with random parameters if it has none."""
        if "own" not in self._made:
            self._made["own"] = self._random() if self.learns else self.model
        return self._made["own"]

    @property
    def usual(self) -> xr.DataArray:
        """What it makes of the records of `quakes`, found once."""
        if "usual" not in self._made:
            self._made["usual"] = self.invert(quakes()["record"])
        found: xr.DataArray = self._made["usual"]
        return found

    def invert(self, obj: GeoObject, **options: Any) -> GeoObject:
        """Invert records with the model, on the processor, without a bar.

        Those of several stations are inverted together, with the Green's functions of `quakes`.
        """
        given: dict[str, Any] = {"dim": "station", "length": LENGTH, **_QUIET, **options}
        model = given.pop("model", None) or self.own
        if "greens" not in given:
            given["greens"] = quakes()["greens"]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="left out")
            made: GeoObject = invert_waveform(obj, model, **given)
        return made

    def handle(self, model: Any) -> ModelHandle:
        """Return the handle of the model, or of a form of it."""
        return make_handle(model, "invert_waveform", None, 0)

    def _random(self) -> Model:
        """Return the network with random parameters, the same in every process."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = self.spec.load_factory()(**self.spec.options)
            state = {k: v.detach().clone() for k, v in network.state_dict().items()}
            for value in state.values():
                if value.is_floating_point():
                    value += _MOVED * torch.randn_like(value)
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return Model(write_weights(folder / "model.safetensors", state, self.spec))


def quakes(
    seed: int = 0,
    *,
    events: int = EVENTS,
    stations: int = STATIONS,
    samples: int = SAMPLES,
    noise: float = 0.05,
    dtype: Any = np.float32,
) -> xr.Dataset:
    """Return earthquakes: `record` and `greens` (event, station, time), `source` (event, lag).

    Parameters
    ----------
    seed : int
    events, stations, samples : int
    noise : float
        Its standard deviation over that of the record.
    dtype : dtype
        Of the variables.
    """
    random = np.random.default_rng([seed, 7])
    source = np.stack([_source(random) for _ in range(events)])
    greens = np.stack(
        [[_path(random, samples) for _ in range(stations)] for _ in range(events)]
    ).reshape(events, stations, samples)
    record = np.stack(
        [
            [np.convolve(path, one)[:samples] for path in paths]
            for paths, one in zip(greens, source, strict=True)
        ]
    ).reshape(greens.shape)
    size = record.std(-1, keepdims=True)
    record = record + noise * size * random.standard_normal(record.shape)
    seconds = {"long_name": "time", "units": "s", "axis": "T"}
    dims = ("event", "station", "time")
    speed = {"units": "m s-1", "license": "CC0-1.0", "source": "made up"}
    return xr.Dataset(
        {
            "record": (dims, record.astype(dtype), {"long_name": "ground velocity", **speed}),
            "greens": (dims, greens.astype(dtype), {"long_name": "Green's function", **speed}),
            "source": (("event", "lag"), source.astype(dtype), {"units": "1"}),
        },
        coords={
            "event": [f"quake {i}" for i in range(events)],
            "station": [f"XG{i:02d}" for i in range(stations)],
            "time": ("time", STEP * np.arange(samples), seconds),
            "lag": ("lag", STEP * np.arange(LENGTH), {"units": "s"}),
        },
    )


@contextmanager
def small_groups() -> Iterator[None]:
    """Let the engine take one event at a time, as it takes some of many thousands."""
    usual = inversion.ELEMENTS
    inversion.ELEMENTS = 1
    try:
        yield
    finally:
        inversion.ELEMENTS = usual


def _source(random: np.random.Generator) -> Floats:
    """Draw a smooth source of one or two pulses, with unit sum."""
    lag = np.arange(LENGTH)
    made = np.zeros(LENGTH)
    for at in random.uniform(0.25, 0.65, random.integers(1, 3)) * LENGTH:
        width = random.uniform(2.5, 5.0)
        made += random.uniform(0.4, 1.0) * np.exp(-0.5 * ((lag - at) / width) ** 2)
    found: Floats = made / made.sum()
    return found


def _path(random: np.random.Generator, samples: int) -> Floats:
    """Draw a Green's function of unit energy: two arrivals and their echoes, silent at first."""
    made = np.zeros(samples)
    first = int(random.integers(8, 20))
    # Drawn for any length, so that short ones are the beginnings of long ones.
    for at, height, many in ((first, 1.0, 12), (first + int(random.integers(25, 45)), 1.5, 20)):
        echoes = at + random.exponential(25.0, many).astype(int)
        rough = height * np.where(random.random() < 0.5, -1.0, 1.0)
        size = np.r_[rough, 0.4 * height * random.standard_normal(many)]
        where = np.r_[at, echoes]
        size = size * np.exp(-(where - at) / 40.0)
        np.add.at(made, where[where < samples], size[where < samples])
    narrow = np.exp(-0.5 * (np.arange(-4, 5) / 1.2) ** 2)
    made = np.convolve(made, narrow, mode="same")
    found: Floats = made / np.sqrt((made**2).sum())
    return found
