"""Random calls around the tasks: plans, evaluations, fits, and what ``.geoml`` shows."""

from __future__ import annotations

import inspect
import tempfile
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import dask
import toy_training
import xarray as xr
from random_calls import CLASSICAL, Made, beside, first, mask, random_call, some_dims
from random_inputs import Dice, Frame, chunked, plane, random_object, time_axis
from random_inputs import array as random_array
from random_results import strictly, unchanged_by

import xgeoml
from xgeoml.exceptions import GeoMLError
from xgeoml.tasks.scores import Table

TASKS = list(CLASSICAL)
HOLDOUTS: list[Any] = ["gaps", "steps", "runs", "clouds", "blocks", {"runs": 3}, {"steps": 0.2}]


def random_plan(seed: int) -> Made:
    """Return a plan of a call of one of the tasks."""
    made = random_call(Random(seed).choice(TASKS), seed)
    known = inspect.signature(xgeoml.plan).parameters
    arguments = {name: v for name, v in made.arguments.items() if name in known}
    return Made("plan", made.obj, {"task": made.task, **arguments})


def random_evaluation(seed: int) -> Made:
    """Return an evaluation of one or two models."""
    dice = Dice(Random(seed), calm=seed % 3 > 0)
    task = dice.pick(TASKS)
    models = [dice.pick(CLASSICAL[task]) for _ in range(dice.number(1, 2))]
    made: dict[str, Any] = {
        "task": task,
        "models": dice.odd(models, None, "nowhere", [], {"one": models[0]}, one_in=20),
        "repeats": dice.odd(dice.pick([1, 2]), None, 0, 5),
        "baselines": dice.pick([False, False, True]),
        "progress": False,
    }
    if task == "invert_waveform":
        call = random_call(task, seed)
        given = call.arguments
        made |= {k: given[k] for k in ("greens", "dim", "length", "dims") if k in given}
        passed = ("positive", "amplitudes", "impulse", "resample", "gaps")
        made["arguments"] = {k: v for k, v in given.items() if k in passed}
        return Made("evaluate", call.obj, made)
    obj = random_object(dice, 40, 6 if task != "downscale" else 12, task == "downscale")
    data = first(obj)
    made["dims"] = dice.odd(None, some_dims(dice, data), one_in=20)
    if dice.chance(10):
        made["variable"] = dice.odd(dice.pick([*data.data_vars, "v0"]), "nowhere", 3)
    {"fill_gaps": _of_gaps, "downscale": _of_grids, "interp_time": _in_time}[task](dice, data, made)
    if dice.chance(6):
        region = dice.pick([{"lat": slice(50, 60)}, mask(dice, data), {"lat": slice(0, 1)}])
        made["regions"] = dice.odd({"a": region}, {"a": 3}, 3)
    if dice.chance(6):
        made["period"] = dice.odd(("2001-01-03", None), slice(None, "2001-03"), ("x", 3), (1, 2, 3))
    if dice.chance(8):
        made["metrics"] = dice.odd(["pearson_r"], {"own": lambda a, b: abs(a - b).mean()}, ["x"], 3)
    return Made("evaluate", obj, made)


def _of_gaps(dice: Dice, data: xr.Dataset, made: dict[str, Any]) -> None:
    if dice.chance(2):
        made["holdout"] = dice.odd(dice.pick(HOLDOUTS), mask(dice, data), "x", {"runs": 0}, 3)
    if dice.chance(5):
        made["covariates"] = beside(dice, data)
    if dice.chance(8):
        made["freq"] = "MS"
    if dice.chance(6):
        made["arguments"] = dice.odd({"max_gap": 3}, {"mask": mask(dice, data)}, {"x": 3}, 3)


def _of_grids(dice: Dice, data: xr.Dataset, made: dict[str, Any]) -> None:
    made["factor"] = dice.odd(2, 3, 1, None)
    if dice.chance(5):
        made["arguments"] = dice.odd({"conserve": "area"}, {"minimum": 0}, {"conserve": 3})


def _in_time(dice: Dice, data: xr.Dataset, made: dict[str, Any]) -> None:
    made["factor"] = dice.odd(None, 3, 1)
    if dice.chance(5):
        made["arguments"] = dice.odd({"accumulated": True}, {"max_gap": 2}, {"times": 3})


def random_fit(seed: int) -> Made:
    """Return a fit of a model that learns within a second."""
    dice = Dice(Random(seed), calm=seed % 3 > 0)
    kind = dice.pick(["pairs", "pairs", "pairs", "record", "record", "network"])
    if kind == "pairs":
        return _fit_on_pairs(dice)
    obj = random_object(dice, 40, 4, kind == "record")
    if isinstance(obj, xr.DataTree) and not dice.chance(8):
        obj = first(obj)
    if kind == "record":
        models = dice.odd(dice.pick(["ridge", "diurnal"]), "linear", "kalman")
        return Made("fit", obj, {"model": models, "progress": False, **_settings(dice)})
    quick = {**toy_training.QUICK, "max_epochs": 1, "steps": 1, "patterns": 1}
    return Made("fit", obj, {"model": toy_training.SERIES, **quick, **_settings(dice)})


def _settings(dice: Dice) -> dict[str, Any]:
    made: dict[str, Any] = {"validation": dice.odd(0.2, 0.0, 0.5, 0.9, "x")}
    if dice.chance(10):
        made["variables"] = dice.odd(["tas"], ["nowhere"])
    return made


def _fit_on_pairs(dice: Dice) -> Made:
    factor = dice.odd(2, 3)
    sizes = [factor * dice.number(2, 3) for _ in range(2)]
    frame = Frame()
    time_axis(dice, frame, dice.odd(24, 3, 0))
    plane(dice, frame, *sizes)
    fine = random_array(dice, frame)
    last = [d for d in frame.sizes if d not in ("time", "date")][:2]
    whole = all(fine.sizes.get(d, 0) % factor == 0 and fine.sizes.get(d, 0) for d in last)
    numbers = fine.dtype.kind == "f" and "point" not in fine.dims
    flat = all(c.dtype.kind in "fi" for n, c in fine.coords.items() if n in last)
    obj = fine
    if whole and numbers and flat and last:
        kept = fine.drop_vars([n for n, c in fine.coords.items() if n not in fine.dims])
        with strictly():
            obj = kept.compute().astype("f8").coarsen(dict.fromkeys(last, factor)).mean()
            obj = obj.astype(fine.dtype)
    model = dice.odd(dice.pick(["delta", "ridge", "gaussian_process"]), "auto", "bilinear")
    if dice.chance(5) and fine.size:
        fine = fine.isel({fine.dims[0]: slice(1, None)})
    target = dice.odd(fine, fine.to_dataset(name="fine"), 3)
    made = {"model": model, "target": target, "progress": False, **_settings(dice)}
    if dice.chance(6):
        made["covariates"] = beside(dice, first(obj))
    return Made("fit", chunked(dice, obj), made)


def check_plan(made: Made) -> GeoMLError | None:
    """Judge a plan."""
    with unchanged_by(made):
        try:
            with strictly():
                plan = made()
        except GeoMLError as error:
            return error
    assert len(repr(plan).splitlines()) > 3
    assert "<" in plan._repr_html_()
    return None


def check_evaluation(made: Made) -> GeoMLError | None:
    """Judge an evaluation; what models raise is raised here, too."""
    with unchanged_by(made):
        try:
            with strictly(), mock.patch.object(Table, "fail", _raise_if_not_meant(Table.fail)):
                scores = made()
        except GeoMLError as error:
            return error
    main = scores[scores.attrs["score"]]
    assert main.dims == ("model", "repeat")
    assert not (main < 0).any()
    assert (scores["hidden"] >= 0).all()
    assert scores.attrs["best"] in ("", *scores["model"].values)
    with strictly():
        assert len(repr(scores.geoml)) > 10
        assert "<" in scores.geoml._repr_html_()
    return None


def _raise_if_not_meant(fail: Any) -> Any:
    def check(table: Table, label: str, error: Exception) -> None:
        if not isinstance(error, GeoMLError):
            raise error
        fail(table, label, error)

    return check


def check_fit(made: Made) -> GeoMLError | None:
    """Judge a fit: the model can be saved, and used on the data that it was made of."""
    with unchanged_by(made):
        try:
            with strictly():
                model = made()
        except GeoMLError as error:
            return error
    with strictly(), tempfile.TemporaryDirectory() as folder:
        own = xgeoml.load(model.save(Path(folder) / "own.safetensors"))
        assert own.spec == model.spec
        assert len(repr(own)) > 10
        options = {"interp_time": {"factor": 2}}.get(own.spec.task, {})
        obj = made.obj
        if made.arguments.get("variables") and isinstance(obj, xr.Dataset):
            options = {**options, "variables": made.arguments["variables"]}
        try:
            getattr(xgeoml, own.spec.task)(obj, model=own, progress=False, **options)
        except GeoMLError as error:
            return error
    return None


def check_look(seed: int) -> GeoMLError | None:
    """Judge what is shown of an object: nothing fails, and nothing lazy is computed."""
    dice = Dice(Random(seed), calm=seed % 3 == 0)
    obj = random_object(dice, 30, 8)
    made = Made("look", obj, {})
    with unchanged_by(made), strictly(), dask.config.set(scheduler=_refuse):
        assert len(repr(obj.geoml)) > 10
        assert obj.geoml._repr_html_().startswith("<")
        try:
            repr(obj.geoml.axes)
            obj.geoml.models()
        except GeoMLError as error:
            return error
    return None


def _refuse(*_: Any, **__: Any) -> None:
    raise AssertionError("something was computed")
