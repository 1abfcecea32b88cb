"""A model of interpolation in time under test, and small records that it is tried on."""

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
import pandas as pd
import xarray as xr

from xgeoml.engine import in_time, in_time_run
from xgeoml.engine.handle import ModelHandle
from xgeoml.model import TEMPORARY, Model
from xgeoml.spec import AxisSpec, ModelSpec
from xgeoml.tasks.choose import ModelLike, make_handle
from xgeoml.tasks.dispatch import GeoObject
from xgeoml.tasks.fit import fit
from xgeoml.tasks.interp_time import interp_time
from xgeoml.testing.compare import CheckSkippedError
from xgeoml.weights.files import write_weights

# Intervals of a pass in the checks, few enough that a small record has several; parts of a step.
WINDOW, FACTOR = 4, 3
N_STEPS, N_LAT, N_LON = 22, 5, 6
# Hours between steps; of the record that models are fitted to, which is longer.
STEP, FINE_STEP, N_FINE = 6, 2, 300
_QUIET: dict[str, Any] = {"device": "cpu", "progress": False}
# The first steps are large, so that the network says something.
_SHORT: dict[str, Any] = {"max_epochs": 1, "steps": 2, "batch_size": 4, "learning_rate": 1e-2}


@dataclass(frozen=True)
class Between:
    """The model of interpolation in time under test.

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
        """Whether the model has to be fitted before it can be used."""
        handle = self.handle(self.model)
        learns = self.is_torch or hasattr(self.spec.load_factory(), "fit")
        return learns and handle.weights is None and handle.spec.weights is None

    @property
    def bound(self) -> bool:
        """Whether it knows the grid that it was fitted on, and no other."""
        return not self.is_torch and any(":" in name for name in self.handle(self.own).arrays())

    @property
    def whole(self) -> bool:
        """Whether it sees whole fields."""
        return self.spec.axis("X").mode == "whole"

    @property
    def halo(self) -> int:
        """Steps that it sees on either side of an interval."""
        return self.spec.axis("T").halo or 0

    @property
    def own(self) -> Any:
        """The model, ready to be used: fitted to `fine` if it learns."""
        if "own" not in self._made:
            self._made["own"] = self.fit(fine()) if self.learns else self.model
        return self._made["own"]

    @property
    def in_passes(self) -> Any:
        """The same model, with passes of a few intervals."""
        if "passes" not in self._made:
            self._made["passes"] = self._cut(self.own)
        return self._made["passes"]

    def interp(self, obj: GeoObject, **options: Any) -> GeoObject:
        """Interpolate `obj` with the model, on the processor, without a bar."""
        model = options.pop("model", None) or self.own
        if not {"freq", "times"} & set(options):
            options.setdefault("factor", FACTOR)
        # Fields are moved about, and the mountains of the Earth are not.
        options.setdefault("terrain", False)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="left out")
            made: GeoObject = interp_time(obj, model=model, **{**_QUIET, **options})
        return made

    def fit(self, record: Any, **options: Any) -> Model:
        """Fit the model to a record; a network for two steps."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="training did not lower")
            if not self.is_torch:
                return fit(record, self.spec, **{**_QUIET, **options})
            try:
                import lightning  # noqa: F401
            except ImportError:
                raise CheckSkippedError("lightning is not installed") from None
            # What it is after its last step, even if it was better before.
            short = {"validation": 0, **_QUIET, **_SHORT}
            return fit(record, self.spec, **{**short, **options})

    def handle(self, model: Any) -> ModelHandle:
        """Return the handle of the model, or of a form of it."""
        return make_handle(model, "interp_time", None, 0)

    def _cut(self, model: Any) -> Any:
        handle = self.handle(model)
        axes = tuple(
            AxisSpec("T", "tile", WINDOW, halo=a.halo) if a.axis == "T" else a
            for a in handle.spec.axes
        )
        spec = handle.spec.replace(axes=axes)
        if handle.weights is None:
            return spec
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return Model(write_weights(folder / "model.safetensors", handle.arrays(), spec))


def fine(seed: int = 0) -> xr.DataArray:
    """Return a record to learn from, `air` (time, lat, lon), float32, K: 300 steps of 2 hours."""
    return _field(seed, N_FINE, FINE_STEP, N_LAT, N_LON, 1.0)


def record(seed: int = 1, *, steps: int = N_STEPS) -> xr.DataArray:
    """Return a record to be interpolated, on the grid of `fine`: a step every six hours."""
    return _field(seed, steps, STEP, N_LAT, N_LON, 1.0)


def around(*, steps: int = 8) -> xr.DataArray:
    """Return a record of 5 x 12 cells that goes once around the Earth."""
    return _field(2, steps, STEP, N_LAT, 12, 30.0)


def wind(*, steps: int = 8, hours: int = STEP) -> xr.Dataset:
    """Return the components `u` and `v` of a wind, named as CF does."""
    both = {
        name: _field(seed, steps, hours, N_LAT, N_LON, 1.0) - 280.0
        for seed, name in ((3, "u"), (4, "v"))
    }
    names = {"u": "eastward_wind", "v": "northward_wind"}
    attrs = {"units": "m s-1", "license": "CC0-1.0", "source": "made up"}
    return xr.Dataset(
        {n: d.rename(n).assign_attrs(standard_name=names[n], **attrs) for n, d in both.items()}
    )


def rain(dtype: Any = np.float64, *, steps: int = N_STEPS) -> xr.DataArray:
    """Return totals of six hours, of which some are 0."""
    data = record(steps=steps).astype(np.float64).rename("rain")
    made = (data - data.mean()).clip(min=0.0)
    made[2] = 0.0
    # Without units: a model that was fitted to values in others would refuse them.
    return made.astype(dtype).assign_attrs(cell_methods="time: sum")


@contextmanager
def small_passes() -> Iterator[None]:
    """Let the engine take few cells at a time, and make chunks of one pass."""
    usual = in_time.STRETCH_ELEMENTS, in_time_run.CHUNK_ELEMENTS
    in_time.STRETCH_ELEMENTS, in_time_run.CHUNK_ELEMENTS = 100, 1
    try:
        yield
    finally:
        in_time.STRETCH_ELEMENTS, in_time_run.CHUNK_ELEMENTS = usual


def _field(
    seed: int, steps: int, hours: int, rows: int, columns: int, width: float
) -> xr.DataArray:
    """Return fields with waves that move eastward, a cycle of the day, and noise."""
    random = np.random.default_rng([seed, 6])
    days = np.arange(steps)[:, None, None] * hours / 24.0
    y, x = np.arange(rows)[:, None], np.arange(columns)[None, :]
    turn = 2 * np.pi * x / columns
    values = 280.0 + 2.0 * np.sin(turn - days + y / 2.0) + y / 3.0 * np.cos(0.7 * days)
    values = values + 1.5 * np.cos(2 * np.pi * (days + x * width / 360.0))
    noise = random.standard_normal((steps, rows, columns)).cumsum(0) * np.sqrt(hours / 24.0)
    values = values + 0.1 * noise
    time = pd.date_range("2001-03-01", periods=steps, freq=f"{hours}h")
    north = xr.Variable("lat", 40.0 + np.arange(rows), {"units": "degrees_north"})
    east = xr.Variable("lon", 10.0 + width * np.arange(columns), {"units": "degrees_east"})
    attrs = {
        "units": "K",
        "long_name": "air temperature",
        "cell_methods": "time: point",
        "license": "CC0-1.0",
        "source": "made up",
    }
    coords = xr.Coordinates({"time": time, "lat": north, "lon": east})
    made = values.astype(np.float32)
    return xr.DataArray(made, coords, ("time", "lat", "lon"), "air", attrs)
