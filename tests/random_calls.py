"""Random arguments for random objects, and what every result must hold."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import toy_training
import toy_waves
import xarray as xr
from random_inputs import Dice, chunked, random_object
from toy_months import SPEC as MONTHS

import xgeoml

# Classical, with the same bits on NumPy and on dask.
CLASSICAL = {
    "fill_gaps": ["linear", "climatology", "kalman", "dineof", "oi", "regression"],
    "downscale": ["bilinear", "nearest", "bicubic", "conservative"],
    "interp_time": ["linear", "akima", "cubic", "optical_flow"],
    "invert_waveform": ["nnls", "wiener", "water_level", "landweber", "iterative"],
}
# Networks, their weights in the package; toys; and what must be fitted first or is not there.
OTHERS: dict[str, list[Any]] = {
    "fill_gaps": ["auto", toy_training.SERIES, toy_training.FIELD, MONTHS, "kalmn", "ridge", 3],
    "downscale": ["auto", "subgrid", "delta", "akima", None],
    "interp_time": ["auto", "temdeep", "diurnal", "kalman", ()],
    "invert_waveform": ["auto", "eq_tf", "nnls@9", ""],
}


@dataclass(frozen=True)
class Made:
    """A call: its object and arguments.

    Attributes
    ----------
    task : str
    obj : DataArray, Dataset or DataTree
    arguments : dict
    """

    task: str
    obj: Any
    arguments: dict[str, Any]

    def __call__(self, obj: Any = None) -> Any:
        """Make the call, on another object if one is given."""
        return getattr(xgeoml, self.task)(self.obj if obj is None else obj, **self.arguments)


def first(obj: Any) -> xr.Dataset:
    """Return a Dataset of an object, of a DataTree the first with variables."""
    if isinstance(obj, xr.DataTree):
        groups = [node.to_dataset() for node in obj.subtree]
        return next((g for g in groups if g.data_vars), groups[0])
    return obj.to_dataset(name="<data>") if isinstance(obj, xr.DataArray) else obj


def some_dims(dice: Dice, data: xr.Dataset) -> dict[Any, Any]:
    names = [*data.dims, "nowhere"]
    axes = dice.odd(["T"], ["Y", "X"], ["Q"], ["T", "Y", "X"], one_in=3)
    return {axis: dice.pick(names) for axis in axes}


def common(dice: Dice, task: str, data: xr.Dataset) -> dict[str, Any]:
    """Return arguments that every task has."""
    usual = dice.pick(CLASSICAL[task])
    made: dict[str, Any] = {"model": dice.odd(usual, *OTHERS[task], one_in=4), "progress": False}
    if dice.chance(10) and "<data>" not in data:
        names = list(data.data_vars)
        made["variables"] = dice.odd(dice.pick([names, *names]), ["nowhere"], [], 3)
    made["dims"] = dice.odd(None, some_dims(dice, data), "time", {})
    made["model_options"] = dice.odd(None, {"nothing": 1}, {}, 3, {"drivers": False}, one_in=20)
    made["seed"] = dice.odd(None, 0, -1, "a", one_in=20)
    made["device"] = dice.odd(None, "cpu", "gpu", one_in=20)
    made["batch_size"] = dice.odd(None, 1, 7, 0, one_in=20)
    return made


def beside(dice: Dice, data: xr.Dataset) -> Any:
    """Return a covariate: a name, or an array like the first variable."""
    if dice.chance(2):
        return dice.odd(
            dice.pick([n for n in data.data_vars if n != "<data>"] or ["v0"]), "nowhere"
        )
    like = next(iter(data.data_vars.values()), xr.DataArray(1.0))
    made = xr.DataArray(dice.rng().standard_normal(like.shape), like.coords, like.dims)
    if made.ndim and dice.chance(2):
        made = made.isel({made.dims[0]: slice(1, None)})
    if made.size and made.ndim and dice.chance(4):
        made = made.isel({made.dims[-1]: 0}, drop=True)
    return chunked(dice, made.rename(dice.odd("cov", None, "tas", 3)))


def mask(dice: Dice, data: xr.Dataset) -> Any:
    like = next(iter(data.data_vars.values()), xr.DataArray(1.0))
    part = (
        like.isel({like.dims[0]: 0}, drop=True)
        if like.size and like.ndim and dice.chance(2)
        else like
    )
    values = dice.rng().random(part.shape)
    array = xr.DataArray(values > 0.4 if dice.chance(2) else values, part.coords, part.dims)
    return dice.odd(array, "mask", "nowhere", array.astype("f4") * 3, 5)


def gap_arguments(dice: Dice, data: xr.Dataset) -> dict[str, Any]:
    made = common(dice, "fill_gaps", data)
    if dice.chance(4):
        made["covariates"] = [beside(dice, data)] if dice.chance(2) else beside(dice, data)
    if dice.chance(4):
        made["mask"] = mask(dice, data)
    if dice.chance(4):
        usual = dice.pick([1, 3, "40D", "1h", np.timedelta64(3, "D")])
        made["max_gap"] = dice.odd(usual, 0, "x", 2.5)
    if dice.chance(8):
        made["freq"] = dice.odd(dice.pick(["MS", "ME"]), "D")
    if dice.chance(3):
        made["spread"] = True
    return made


def grid_like(dice: Dice, data: xr.Dataset) -> Any:
    """Return a grid that may be finer than that of the data, and may lie elsewhere."""
    names = [d for d in data.dims if data.sizes[d] > 1 and d in data.coords][-2:]
    made = {}
    for name in names:
        values = data[name].values
        if values.dtype.kind not in "fi":
            continue
        ends = values[[0, -1]].astype(float) + dice.odd(0.0, 1.0, 300.0)
        count = max(1, int(len(values) * dice.pick([2, 3, 1.5, 0.5])))
        made[name] = (name, np.linspace(*ends, count), data[name].attrs)
    if not made or dice.chance(5):
        made = {"lat": np.linspace(-5, 5, 7), "lon": np.linspace(0, 9, 9)}
    return xr.Dataset(coords=made)


def grid_arguments(dice: Dice, data: xr.Dataset) -> dict[str, Any]:
    made = common(dice, "downscale", data)
    if dice.chance(5):
        made["like"] = grid_like(dice, data)
        if dice.chance(3):
            made["like"] = made["like"].assign(
                a=(tuple(made["like"].dims), np.zeros(tuple(made["like"].sizes.values())))
            )
    else:
        made["factor"] = dice.odd(dice.pick([2, 3]), 4, 8, None, 1, 9, 2.5, "2", True)
    if dice.chance(5):
        made["covariates"] = beside(dice, data)
    if dice.chance(6):
        made["mask"] = mask(dice, data)
    if dice.chance(3):
        made["conserve"] = dice.odd(dice.pick([True, False, "area", "mean", "auto"]), "sum")
    if dice.chance(6):
        made["minimum"] = dice.odd(dice.pick([0, 280.0, -1e30]), -np.inf, np.nan, "0")
    if dice.chance(15):
        made["members"] = dice.odd(2, 1, 0)
    if dice.chance(8):
        made["terrain"] = dice.odd(False, 1)
    return made


def wanted_times(dice: Dice, data: xr.Dataset) -> Any:
    """Return times between those of the data, or somewhere else."""
    name = next((n for n, v in data.coords.items() if v.ndim == 1 and v.dtype.kind in "MO"), None)
    if name is None or not data[name].size:
        return ["2001-01-02", "2001-01-03"]
    stamps = data[name].values
    if dice.chance(2):
        return stamps[::2] if dice.chance(2) else data[name]
    if stamps.dtype.kind == "M":
        half = stamps[:-1] + np.diff(stamps) // 2
        return pd.DatetimeIndex(half) if dice.chance(2) else half[::-1]
    return list(stamps)


def moment_arguments(dice: Dice, data: xr.Dataset) -> dict[str, Any]:
    made = common(dice, "interp_time", data)
    by = dice.odd(dice.pick(["factor", "freq", "times"]), "none", "two")
    if by in ("factor", "two"):
        made["factor"] = dice.odd(dice.pick([2, 3]), 1, 0, 2.5, "2")
    if by in ("freq", "two"):
        usual = dice.pick(["1D", "15D", "6h", "MS", "7h", pd.Timedelta("36h")])
        made["freq"] = dice.odd(usual, "3 parsecs", 0)
    if by == "times":
        made["times"] = wanted_times(dice, data)
    if dice.chance(5):
        made["accumulated"] = True
    if dice.chance(5):
        made["max_gap"] = dice.odd(dice.pick([1, 2, "40D", "1h"]), 0)
    if dice.chance(8):
        names = list(data.data_vars)
        pair = (dice.pick([*names, "u"]), dice.pick([*names[1:], "v"]))
        made["vectors"] = dice.odd([pair], [], "u", [("u",)])
    if dice.chance(8):
        made["terrain"] = False
    return made


MAKERS: dict[str, Callable[[Dice, xr.Dataset], dict[str, Any]]] = {
    "fill_gaps": gap_arguments,
    "downscale": grid_arguments,
    "interp_time": moment_arguments,
}


def random_call(task: str, seed: int) -> Made:
    """Return a call of one of the tasks."""
    random = Random(seed)
    dice = Dice(random, calm=random.random() < 0.6)
    if task == "invert_waveform":
        return seismograms(dice)
    steps = {"fill_gaps": 60, "downscale": 6, "interp_time": 24}[task]
    obj = random_object(dice, steps, 12 if task == "downscale" else 6, task == "downscale")
    return Made(task, obj, MAKERS[task](dice, first(obj)))


def seismograms(dice: Dice) -> Made:
    """Return a call that inverts records, with clocks and Green's functions of all kinds."""
    stations, samples = dice.odd(dice.number(1, 4), 0), dice.odd(64, 33, 5, 2, 1, 0)
    greens = toy_waves.paths(dice.number(0, 9), stations, 64)
    source = toy_waves.pulses(dice.number(0, 9), signed=dice.chance(3))
    records = np.array([np.convolve(g, source)[:64] for g in greens]).reshape(greens.shape)
    records, greens = records[:, :samples], greens[:, :samples]
    data = _clocked(dice, records, greens)
    made = common(dice, "invert_waveform", data)
    if not dice.chance(8):
        made["greens"] = _greens(dice, data)
    if not dice.chance(3):
        made["dim"] = dice.odd("station", ["station"], "nowhere", "time", ("event", "station"))
    odd: dict[str, list[Any]] = {
        "length": [20, "2s", 1, 0, 1000, "x", pd.Timedelta("1s")],
        "positive": [False],
        "amplitudes": ["free", "given", "x"],
        "impulse": ["second", "x"],
        "resample": [True],
        "gaps": ["window", "x", "raise"],
        "spread": [True],
    }
    for name, values in odd.items():
        if dice.chance(5):
            made[name] = dice.odd(values[0], *values)
    return Made("invert_waveform", _wrapped(dice, data, made), made)


def _clocked(dice: Dice, records: Any, greens: Any) -> xr.Dataset:
    samples = records.shape[-1]
    seconds = 0.1 * np.arange(samples)
    nanoseconds = np.round(seconds * 1e9).astype("m8[ns]")
    jagged = np.where(np.arange(samples) == samples // 2, seconds + 0.04, seconds)
    clock = dice.odd(
        ("time", seconds, {"units": "s"}),
        ("time", seconds),
        ("time", nanoseconds),
        ("time", np.datetime64("2001-01-01", "ns") + nanoseconds),
        ("time", seconds[::-1]),
        ("time", jagged),
        ("time", np.full(samples, np.nan)),
        ("time", np.arange(samples)),
        ("time", seconds, {"units": "minutes"}),
        ("time", [str(n) for n in range(samples)]),
        None,
        one_in=3,
    )
    shape = ("station", "time")
    rng = dice.rng()
    factor = dice.odd(1.0, 1e-9, 1e12, 0.0, np.nan)
    noise = dice.odd(0.02, 0.0, 1.0) * rng.standard_normal(records.shape)
    values = factor * (records + noise * (records.std() if records.size else 1.0))
    if dice.chance(5):
        values[rng.random(values.shape) < 0.05] = np.nan
    if dice.chance(12) and len(values):
        values[0] = dice.pick([np.nan, 0.0, np.inf])
    units = dice.odd({"units": "m s-1"}, {"units": "m"}, {"units": "x"}, {})
    dtype = dice.odd("f4", "f8", ">f4", "f2", "i4", "c8")
    with np.errstate(over="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = xr.Dataset(
            {
                "record": (shape, values.astype(dtype), units),
                "greens": (shape, greens, dice.odd({"units": "m s-1"}, {}, {"units": "m"})),
            }
        )
    labels = [f"S{n}" for n in range(len(records))]
    if not dice.chance(4):
        made = made.assign_coords(station=labels)
    return made if clock is None else made.assign_coords(time=clock)


def _greens(dice: Dice, data: xr.Dataset) -> Any:
    given = data["greens"]
    how = dice.odd("", "name", "order", "fewer", "longer", "slower", "one", "other", "nan", "wrong")
    n = given.sizes["station"]
    if how == "name":
        return dice.odd("greens", "nowhere")
    if how == "order":
        return given.isel(station=slice(None, None, -1))
    if how == "fewer":
        return given.isel(station=slice(0, max(0, n - 1)))
    if how == "longer" and "time" not in given.coords:
        return xr.concat([given, given], "time")
    if how == "slower":
        return given.isel(time=slice(None, None, 2))
    if how == "one" and n:
        return given.isel(station=0)
    if how == "other":
        return given.rename(station="path")
    if how == "nan":
        return given * np.nan
    return 3 if how == "wrong" else given


def _wrapped(dice: Dice, data: xr.Dataset, arguments: dict[str, Any]) -> Any:
    kind = dice.pick(["array", "array", "dataset", "tree"])
    if dice.chance(6):
        data = data.expand_dims(event=dice.odd(2, 1, 0))
    named = isinstance(arguments.get("greens"), str)
    if kind == "array" and not named:
        return chunked(dice, data["record"])
    if not named:
        data = data[["record"]]
    made = chunked(dice, data)
    return xr.DataTree.from_dict({"/a": made}) if kind == "tree" else made
