"""Records, and small models of interpolation in time, for tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
import xarray as xr

from xgeoml.models._moments import Layout
from xgeoml.spec import AxisSpec, ModelSpec

TIME = AxisSpec("T", "tile", 8, halo=2)
PLANE = (AxisSpec("Y"), AxisSpec("X"))


def record(steps=30, freq="6h", dtype=np.float32, **attrs):
    """Return fields of 3 x 4 cells that move on from step to step."""
    rng = np.random.default_rng(0)
    values = 280.0 + rng.standard_normal((steps, 3, 4)).cumsum(0)
    coords = {
        "time": pd.date_range("2001-01-01", periods=steps, freq=freq),
        "lat": ("lat", np.array([10.0, 20.0, 30.0]), {"units": "degrees_north"}),
        "lon": ("lon", np.array([0.0, 10.0, 20.0, 30.0]), {"units": "degrees_east"}),
    }
    attrs = {"units": "K", "cell_methods": "time: point", **attrs}
    return xr.DataArray(values.astype(dtype), coords, ("time", "lat", "lon"), "t2m", attrs)


def totals(steps=12, dtype=np.float64):
    """Return totals of rain, of which some are 0."""
    made = record(steps, "1D", np.float64)
    rng = np.random.default_rng(1)
    rain = np.maximum(0.0, rng.standard_normal(made.shape)) * 1e-3
    attrs = {"units": "m", "cell_methods": "time: sum"}
    return made.copy(data=rain).astype(dtype).rename("tp").assign_attrs(attrs)


def interp(obj, freq=None, model="linear", **options):
    """Interpolate without a bar."""
    return obj.geoml.interp_time(freq, model, progress=False, **options)


def spec(factory, name="toy", axes=(TIME,), **changes):
    """Return the description of a model in this file."""
    return ModelSpec(
        name=name,
        task="interp_time",
        factory=f"toy_in_time:{factory}",
        backend="numpy",
        axes=axes,
        **changes,
    )


class Refuses:
    """A scheduler that computes nothing."""

    def __call__(self, *_, **__):
        raise AssertionError("something was computed")


class Look:
    """Returns one thing that it is given, everywhere."""

    def __init__(self, at="steps"):
        self.at = at

    def predict(self, stretch, state):
        shape = (len(stretch.value), len(stretch.wanted), *stretch.value.shape[2:])
        place, clock = stretch.place, stretch.clock_wanted
        seen = {
            "steps": stretch.value.shape[1],
            "times": len(stretch.wanted),
            "components": len(stretch.value),
            "theta": stretch.theta[:, None, None],
            "season": clock.season[:, None, None],
            "day": clock.day[:, None, None],
            "before": stretch.clock.day[stretch.before][:, None, None],
            "lat": np.nan if place.lat is None else place.lat,
            "lon": np.nan if place.lon is None else place.lon,
            "height": np.nan if place.terrain is None else np.nan_to_num(place.terrain[0]),
            "around": place.around,
            "rows": np.arange(shape[2])[:, None],
            "columns": np.arange(shape[3]),
            "first": stretch.value[:, :1],
            "other": stretch.value[::-1][:, stretch.before],
            "lost": np.isnan(stretch.value).sum(),
        }[self.at]
        return np.broadcast_to(seen, shape).astype(np.float64)


class Learner:
    """Linear interpolation, and half of the mean field that it has learnt."""

    def fit(self, record):
        record.report("the mean", 0.5)
        return {"mean": np.nanmean(record.value, axis=1), "number": np.array(len(record.days))}

    def predict(self, stretch, state):
        low, theta = stretch.before, stretch.theta[:, None, None]
        line = stretch.value[:, low] * (1 - theta) + theta * stretch.value[:, low + 1]
        return line + 0.5 * state["mean"][:, None]


class Wrong:
    """Returns a shape that nobody asked for."""

    def predict(self, stretch, state):
        return stretch.value


LEARNER = spec("Learner", "learner", (TIME, *PLANE))


def look(at, whole=False, **changes):
    """Return a model that tells what it is given."""
    axes = (TIME, *PLANE) if whole else (TIME,)
    return spec("Look", axes=axes, options={"at": at}, **changes)


class OneNumber(torch.nn.Module):
    """A network that adds a share of the departure of Akima's curve, which it learns."""

    def __init__(self) -> None:
        super().__init__()
        self.share = torch.nn.Parameter(torch.zeros(()))

    def forward(self, given: torch.Tensor, around: bool = False) -> torch.Tensor:
        return self.share * given[:, Layout().curves.start]
