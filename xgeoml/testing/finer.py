"""A model of downscaling under test, and small fields that it is tried on."""

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

from xgeoml.engine import refine as engine_refine
from xgeoml.engine import refine_run as engine_run
from xgeoml.engine.handle import ModelHandle
from xgeoml.model import TEMPORARY, Model
from xgeoml.spec import AxisSpec, ModelSpec
from xgeoml.tasks.choose import ModelLike, make_handle
from xgeoml.tasks.dispatch import GeoObject
from xgeoml.tasks.downscale import downscale
from xgeoml.tasks.fit import fit
from xgeoml.testing.compare import CheckSkippedError
from xgeoml.weights.files import write_weights

FACTOR = 2
# Cells of a tile in the checks, few enough that a small field has several.
TILE = 6
N_STEPS, N_SEEN, N_LAT, N_LON = 24, 18, 6, 7
_QUIET: dict[str, Any] = {"device": "cpu", "progress": False}
# The first steps are large, so that the network says something.
_SHORT: dict[str, Any] = {"max_epochs": 1, "steps": 2, "batch_size": 8, "learning_rate": 1e-2}


@dataclass(frozen=True)
class Finer:
    """The model of downscaling under test.

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
    def draws(self) -> bool:
        """Whether the model draws random numbers."""
        return hasattr(self.spec.load_factory(), "sample")

    @property
    def around(self) -> int:
        """Steps before and after its own that the model looks at."""
        return self.spec.axis("T").halo or 0

    @property
    def own(self) -> Any:
        """The model, ready to be used: fitted on `seen` if it learns."""
        if "own" not in self._made:
            # Of a network what it is after its last step, even if it was better before.
            rest: dict[str, Any] = {"validation": 0} if self.is_torch else {}
            self._made["own"] = self.fit(*seen(), **rest) if self.learns else self.model
        return self._made["own"]

    @property
    def in_tiles(self) -> Any:
        """The same model, cut into small tiles if it serves any grid."""
        if "tiles" not in self._made:
            self._made["tiles"] = self._cut(self.own)
        return self._made["tiles"]

    def refine(self, obj: GeoObject, **options: Any) -> GeoObject:
        """Bring `obj` to a finer grid with the model, on the processor, without a bar."""
        model = options.pop("model", None) or self.own
        if "like" not in options and not self.spec.bound:
            options.setdefault("factor", FACTOR)
        # Fields are moved about, and the mountains of the Earth are not.
        options.setdefault("terrain", False)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="left out")
            made: GeoObject = downscale(obj, model=model, **{**_QUIET, **options})
        return made

    def fit(self, coarse: xr.DataArray, fine: xr.DataArray, **options: Any) -> Model:
        """Fit the model to pairs; a network for two steps."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="training did not lower")
            warnings.filterwarnings("ignore", message=".*never change, and tell")
            warnings.filterwarnings("ignore", message=".*have no counterpart in the target")
            if not self.is_torch:
                return fit(coarse, self.spec, target=fine, **{**_QUIET, **options})
            try:
                import lightning  # noqa: F401
            except ImportError:
                raise CheckSkippedError("lightning is not installed") from None
            return fit(coarse, self.spec, target=fine, **{**_QUIET, **_SHORT, **options})

    def record(self) -> xr.DataArray:
        """Return a few steps of fields that the model can make finer."""
        return pairs()[0].isel(time=slice(0, 4))

    def several(self) -> xr.DataArray:
        """Return fields that hold several of the tiles of `in_tiles`."""
        return pairs()[0].isel(time=slice(0, 12)) if self.spec.bound else wide()

    def handle(self, model: Any) -> ModelHandle:
        """Return the handle of the model, or of a form of it."""
        return make_handle(model, "downscale", None, 0)

    def reach(self) -> int:
        """Return how far a cell of `in_tiles` may lie from one that it depends on, in cells.

        Raises
        ------
        CheckSkippedError
            If it may depend on all of them.
        """
        axes = [self.spec.axis(a) for a in "YX"]
        if any(a.mode != "tile" for a in axes):
            raise CheckSkippedError("it sees the whole field")
        return TILE - 1 + max(a.halo or 0 for a in axes)

    def _cut(self, model: Any) -> Any:
        handle = self.handle(model)
        if all(handle.spec.axis(a).mode != "tile" for a in "YX"):
            return model
        axes = tuple(
            AxisSpec(a.axis, "tile", TILE, halo=a.halo) if a.axis in "YX" else a
            for a in handle.spec.axes
        )
        spec = handle.spec.replace(axes=axes)
        if handle.weights is None:
            return spec
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return Model(write_weights(folder / "model.safetensors", handle.arrays(), spec))


def pairs(seed: int = 0, *, steps: int = N_STEPS) -> tuple[xr.DataArray, xr.DataArray]:
    """Return coarse fields, and the finer ones of which they are the means.

    Returns
    -------
    DataArray
        `air` (time, lat, lon), float32, K: 6 x 7 cells of one degree, every 18 hours.
    DataArray
        The same on 12 x 14 cells of half a degree.
    """
    random = np.random.default_rng([seed, 4])
    rows, columns = N_LAT * FACTOR, N_LON * FACTOR
    y, x = np.arange(rows)[:, None] / FACTOR, np.arange(columns)[None, :] / FACTOR
    slope = random.standard_normal((2, steps, 1, 1))
    wave = np.sin(x / 2.0 + y / 3.0 + random.standard_normal((steps, 1, 1)))
    values = 280.0 + slope[0] * y + slope[1] * x + 2.0 * wave
    values = values + random.standard_normal((rows, columns))  # what lies below, always the same
    values = values + 0.2 * random.standard_normal((steps, rows, columns))
    time = pd.date_range("2001-03-01", periods=steps, freq="18h")
    attrs = {
        "units": "K",
        "long_name": "air temperature",
        "license": "CC0-1.0",
        "source": "made up",
    }
    fine = _field(values, time, (40.25, 0.5), (10.25, 0.5)).assign_attrs(attrs)
    coarse = fine.coarsen(lat=FACTOR, lon=FACTOR).mean()
    return coarse.astype(np.float32), fine


def seen() -> tuple[xr.DataArray, xr.DataArray]:
    """Return the pairs that a model under test is fitted on: the last steps only have a target."""
    coarse, fine = pairs()
    return coarse[:N_SEEN], fine


def wide(seed: int = 0, *, steps: int = 3, around: bool = False) -> xr.DataArray:
    """Return smooth fields of 18 x 26 cells, or of 8 x 24 that go once around the Earth."""
    random = np.random.default_rng([seed, 5])
    rows, columns = (8, 24) if around else (18, 26)
    step = 360.0 / columns if around else 1.0
    y, x = np.arange(rows)[:, None], 2 * np.pi * np.arange(columns)[None, :] / columns
    phase = random.standard_normal((steps, 1, 1))
    values = 280.0 + y * np.cos(phase) + 3.0 * np.sin(x + phase) + np.cos(3.0 * x + y / 2.0)
    values = values + 0.5 * random.standard_normal((steps, rows, columns))
    time = pd.date_range("2001-03-01", periods=steps, freq="18h")
    return _field(values, time, (-20.0, 3.0), (0.0, step)).assign_attrs(units="K")


def plane(like: xr.DataArray) -> xr.DataArray:
    """Return fields that are linear in latitude and longitude, on the grid of `like`."""
    lat, lon = (like[n].astype(np.float64) for n in ("lat", "lon"))
    slope = xr.DataArray([1.0, -0.5, 2.0], dims="time")
    made = 280.0 + slope * lat - 0.7 * lon
    return made.transpose("time", *like.dims[-2:]).rename("air").assign_attrs(units="K")


def turned(coarse: xr.DataArray, factor: int = 1) -> xr.DataArray:
    """Return fields on a curvilinear grid: latitude and longitude are (y, x), linear in both."""
    flat = coarse.rename(lat="y", lon="x").drop_vars(["y", "x"])
    y, x = ((np.arange(flat.sizes[d]) + 0.5) / factor - 0.5 for d in ("y", "x"))
    rows, columns = np.meshgrid(y, x, indexing="ij")
    lat = xr.Variable(("y", "x"), 40.0 + rows + 0.2 * columns, {"units": "degrees_north"})
    lon = xr.Variable(("y", "x"), 10.0 + columns - 0.2 * rows, {"units": "degrees_east"})
    return flat.assign_coords(lat=lat, lon=lon)


def blocks(fine: xr.DataArray, weights: xr.DataArray | None = None) -> np.ndarray[Any, Any]:
    """Return the means over the parts of each cell, ``(..., Y, X)``."""
    values = fine.values.astype(np.float64)
    shape = values.shape[-2] // FACTOR, FACTOR, values.shape[-1] // FACTOR, FACTOR
    parts = values.reshape(*values.shape[:-2], *shape)
    if weights is None:
        return np.asarray(parts.mean((-3, -1)))
    weight = np.broadcast_to(weights.values, fine.shape[-2:]).reshape(shape)
    return np.asarray((parts * weight).sum((-3, -1)) / weight.sum((-3, -1)))


def repeated(coarse: xr.DataArray) -> np.ndarray[Any, Any]:
    """Return each value at all parts of its cell."""
    return np.asarray(coarse.values.repeat(FACTOR, -2).repeat(FACTOR, -1))


@contextmanager
def small_passes() -> Iterator[None]:
    """Let the engine take two steps at a time, and chunks of one tile.

    At its usual size one pass would hold a small record, and all chunkings of it would be one.
    """
    usual = engine_refine._MOST_STEPS, engine_run._TILES
    engine_refine._MOST_STEPS, engine_run._TILES = 2, 1
    try:
        yield
    finally:
        engine_refine._MOST_STEPS, engine_run._TILES = usual


def _field(
    values: np.ndarray[Any, Any],
    time: pd.DatetimeIndex,
    lat: tuple[float, float],
    lon: tuple[float, float],
) -> xr.DataArray:
    """Return fields on a regular grid whose first cell and step are given."""
    rows, columns = values.shape[1:]
    north = xr.Variable("lat", lat[0] + lat[1] * np.arange(rows), {"units": "degrees_north"})
    east = xr.Variable("lon", lon[0] + lon[1] * np.arange(columns), {"units": "degrees_east"})
    coords = xr.Coordinates({"time": time, "lat": north, "lon": east})
    return xr.DataArray(values.astype(np.float32), coords, ("time", "lat", "lon"), "air")
