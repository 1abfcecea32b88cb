"""Tiny trainings: specs of the toy networks, a call that takes a second, and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import toys
import xarray as xr
from safetensors.numpy import load_file

import xgeoml
from xgeoml.model import Model
from xgeoml.spec import AxisSpec, Channel, ModelSpec
from xgeoml.tasks.fill_gaps import Request
from xgeoml.tasks.learn import lessons
from xgeoml.train.checkpoint import SafeCheckpointIO

VALUE = (Channel("value"), Channel("validity"))
SERIES = ModelSpec(
    name="toy_series",
    task="fill_gaps",
    factory=toys.SeriesNet,
    inputs=VALUE,
    summary="two convolutions",
)
DRIVEN = SERIES.replace(
    name="toy_driven",
    inputs=(*VALUE, Channel("covariates")),
    covariates=True,
    options={"channels": 4},
)
DROPPING = SERIES.replace(name="toy_dropping", factory=toys.DropNet)
FIELD = SERIES.replace(
    name="toy_field",
    factory=toys.FieldNet,
    axes=(AxisSpec("Y", "window", 8, 4), AxisSpec("X", "window", 8, 4)),
)
QUICK: dict[str, Any] = {
    "max_epochs": 2,
    "steps": 3,
    "patterns": 3,
    "batch_size": 16,
    "learning_rate": 1e-2,
    "progress": False,
    "device": "cpu",
}


def fit(obj: Any, model: Any = SERIES, **changes: Any) -> Model:
    """Train in a second."""
    return xgeoml.fit(obj, model, **{**QUICK, **changes})


def cycles(*space: int, steps: int = 72, seed: int = 0) -> xr.DataArray:
    """Return monthly cycles, a trend and noise on a grid or at stations, (time, *space)."""
    rng = np.random.default_rng(seed)
    t = np.arange(steps).reshape(-1, *(1 for _ in space))
    phase = rng.uniform(0, 2 * np.pi, space)
    values = 10.0 * np.sin(2 * np.pi * t / 12 + phase) + rng.standard_normal((steps, *space))
    months = np.datetime64("2001-01", "M") + np.arange(steps)
    dims = {0: (), 1: ("station",), 2: ("lat", "lon")}[len(space)]
    coords: dict[str, Any] = {"time": months.astype("M8[ns]")}
    if len(space) == 2:
        coords |= {"lat": 10.0 - np.arange(space[0]), "lon": 20.0 + np.arange(space[1])}
    return xr.DataArray(values, coords, ("time", *dims), "tws", {"units": "cm"})


def weights(path: str | Path) -> dict[str, np.ndarray]:
    """Return the tensors of a weights file."""
    return load_file(path)


def last_state(folder: str | Path) -> dict[str, np.ndarray]:
    """Return the parameters of the last checkpoint, and their running mean."""
    held = SafeCheckpointIO().load_checkpoint(Path(folder) / "last.safetensors")
    parts = ("state_dict", "current_model_state")
    return {f"{p}/{k}": v.numpy() for p in parts for k, v in held.get(p, {}).items()}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Whether two sets of tensors have the same bits."""
    return one.keys() == other.keys() and all(
        one[k].tobytes() == other[k].tobytes() and one[k].shape == other[k].shape for k in one
    )


def fields(
    obj: Any, spec: ModelSpec = SERIES, share: float = 0.15, covariates: Any = None
) -> list[Any]:
    """Return what a network learns from, as `fit` makes it."""
    options = xgeoml.get_options(progress=False)
    request = Request(spec, None, None, covariates, None, None, False, None, options, "")
    return [lesson.field for lesson in lessons(obj, None, request, spec, share, 0)]
