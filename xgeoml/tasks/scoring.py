"""The scores of an answer in an evaluation: of all that was hidden, and of groups of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from xgeoml import metrics
from xgeoml.axes import Axes, is_cftime
from xgeoml.exceptions import InputError, MissingExtraError, did_you_mean
from xgeoml.grid import cell_area, is_rotated, latitude, longitude
from xgeoml.metrics._pairs import Floats, Pair
from xgeoml.metrics.agreement import correlated, covered, kling_gupta, normal_score
from xgeoml.metrics.fields import explained, mean_error, rms_error
from xgeoml.metrics.spectra import power_error, row_power
from xgeoml.model import Model
from xgeoml.spec import ModelSpec
from xgeoml.tasks.choose import ModelLike
from xgeoml.tasks.contenders import Metric, Metrics, Regions
from xgeoml.tasks.holdouts import Bools
from xgeoml.tasks.trials import Answer, Trial, on_cells, spread_over
from xgeoml.times import check_zone

SEASONS = ("DJF", "MAM", "JJA", "SON")
GAP_LENGTHS = {"1": (1, 1), "2-3": (2, 3), "4-11": (4, 11), "12+": (12, np.inf)}
LEVEL = 0.9  # of the interval whose coverage is told
_ROWS = 2**14  # that are worked on at a time
# What a Dataset of scores holds besides a user's own.
_TAKEN = {
    *("rmse", "mae", "bias", "r", "nse", "kge", "crps", "coverage", "spectrum_error", "made"),
    *("seconds", "hidden", "error", "model", "repeat", "season", "region", "gap_length"),
}
# Bands of latitude, from the south, where a grid reaches over more than one.
_BANDS = {"90S-23S": (-90.1, -23.4), "23S-23N": (-23.4, 23.4), "23N-90N": (23.4, 90.1)}


class Outcome(NamedTuple):
    """Scores of one model in one repeat.

    Attributes
    ----------
    scores : dict
        Name -> value.
    groups : dict
        Such as ``"season"`` -> label -> main score.
    unit : str
        Of scores that are times; empty if it is not known.
    """

    scores: dict[str, float]
    groups: dict[str, dict[str, float]]
    unit: str = "s"


@dataclass(frozen=True)
class Round:
    """One repeat of an evaluation.

    Attributes
    ----------
    told : str
        What is hidden, in words.
    hidden : int
        How many values are.
    score : callable
        Given a model and its spec, returns its scores.
    teach : callable
        Given a name and settings of `fit`, returns a model trained on what is not hidden.
    groups : dict
        Such as ``"season"`` -> labels, in order.
    """

    told: str
    hidden: int
    score: Callable[[ModelLike, ModelSpec], Outcome]
    teach: Callable[[str, Mapping[str, Any]], Model]
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)


def round_of(trial: Trial, regions: Regions, further: Mapping[str, Metric]) -> Round:
    """Return the repeat whose scores are those of fields."""
    groups = _groups_of(trial, regions)
    area = np.broadcast_to(_weights(trial.truth, trial.axes), trial.truth.shape)
    # Of what counts alone, which may be a small part of the record.
    hidden = Hidden(
        trial.truth.values[trial.where].astype(np.float64),
        area[trial.where],
        {k: {name: m[trial.where] for name, m in masks.items()} for k, masks in groups.items()},
    )
    if trial.gap is not None:
        hidden.groups["gap_length"] = {
            label: (trial.gap >= low) & (trial.gap <= high)
            for label, (low, high) in GAP_LENGTHS.items()
        }

    def score(model: ModelLike, spec: ModelSpec) -> Outcome:
        return _outcome(_given(trial, trial.ask(model, spec), area, further), hidden)

    labels = {kind: list(masks) for kind, masks in hidden.groups.items()}
    return Round(trial.told, int(trial.where.sum()), score, trial.teach, labels)


class Hidden(NamedTuple):
    """The values that count in a repeat, one after the other.

    Attributes
    ----------
    truth, weight : ndarray, (value,)
    groups : dict
        Such as ``"season"`` -> label -> which values belong to it.
    """

    truth: Floats
    weight: Floats
    groups: dict[str, dict[str, Bools]]


class _Given(NamedTuple):
    """What a model made of the values that count, and scores that need fields.

    Attributes
    ----------
    made : ndarray, (value,)
    spread : ndarray, (value,), or None
    scores : dict
    """

    made: Floats
    spread: Floats | None
    scores: dict[str, float]


def _given(trial: Trial, answer: Answer, area: Floats, further: Mapping[str, Metric]) -> _Given:
    """Return what is needed of an answer, which may then be forgotten."""
    if answer.estimate.shape != trial.truth.shape:
        raise InputError(
            f"the model returned the sizes {dict(answer.estimate.sizes)}; expected "
            f"{dict(trial.truth.sizes)}"
        )
    made = answer.estimate.values
    scores = {"spectrum_error": _spectrum_error(trial, made)}
    for name, metric in further.items():
        scores[name] = _measured(metric, trial, made, area)
    several = (made, None if answer.spread is None else answer.spread.values)
    counted = [None if v is None else v[trial.where].astype(np.float64) for v in several]
    assert counted[0] is not None
    return _Given(counted[0], counted[1], scores)


def _outcome(given: _Given, hidden: Hidden) -> Outcome:
    there = np.isfinite(given.made)
    both = Pair(hidden.truth, given.made, np.where(there, hidden.weight, 0.0))
    scores = {
        "rmse": rms_error(both),
        "mae": mean_error(both, np.abs),
        "bias": mean_error(both),
        "r": correlated(both),
        "nse": explained(both),
    }
    if given.spread is not None:
        sure = both._replace(weight=np.where(np.isfinite(given.spread), both.weight, 0.0))
        scores["crps"] = normal_score(sure, given.spread)
        scores["coverage"] = covered(sure, given.spread, LEVEL)
    scores["kge"] = kling_gupta(both)
    scores["made"] = float(there.mean())
    by: dict[str, dict[str, float]] = {
        kind: {
            label: rms_error(both._replace(weight=np.where(mask, both.weight, 0.0)))
            for label, mask in masks.items()
        }
        for kind, masks in hidden.groups.items()
    }
    return Outcome({**scores, **given.scores}, by)


def _weights(truth: xr.DataArray, axes: Axes) -> Floats:
    """Return the relative area of each cell, in a shape that broadcasts against the truth."""
    area = cell_area(truth, axes)
    shape = [truth.sizes[d] if d in area.dims else 1 for d in truth.dims]
    ordered = area.transpose(*[d for d in truth.dims if d in area.dims])
    return np.asarray(ordered.values.reshape(shape), np.float64)


def _spectrum_error(trial: Trial, made: NDArray[Any]) -> float:
    """Return how far the power of hidden fields is from the right one; NaN without any."""
    if len(trial.axes.space) < 2:
        return float("nan")
    x = trial.truth.dims.index(trial.axes.space[1])
    right, wrong = (np.moveaxis(v, x, -1) for v in (trial.truth.values, made))
    known = np.isfinite(right) & np.isfinite(wrong)
    if trial.whole is not None:
        known &= np.moveaxis(trial.whole, x, -1)
    # Rows with few cells say little of waves, and those of other steps nothing.
    some = known.mean(-1) >= 0.5
    if not some.any() or right.shape[-1] < 8:
        return float("nan")
    known = known[some]
    return power_error(_mean_power(right[some], known), _mean_power(wrong[some], known)).all


def _mean_power(rows: NDArray[Any], known: Bools) -> Floats:
    """Return the mean power of rows, (row, x), at each wavenumber, where they are known."""
    total = np.zeros(rows.shape[-1] // 2)
    for first in range(0, len(rows), _ROWS):
        part = slice(first, first + _ROWS)
        total += row_power(np.where(known[part], rows[part], np.nan).astype(np.float64)).sum(0)
    return total / len(rows)


def _groups_of(trial: Trial, regions: Regions) -> dict[str, dict[str, Bools]]:
    """Return masks of groups that can be told apart in the truth, by kind and label.

    They need no memory: what they do not depend on is not repeated.
    """
    truth, axes = trial.truth, trial.axes
    found: dict[str, dict[str, Bools]] = {}
    time = axes.coords.get("T")
    if time is not None:
        check_zone(truth[time])
    if time is not None and _dated(truth[time].values):
        season = truth[time].dt.season
        # All of them, in their order: what a repeat lacks another may have.
        found["season"] = {s: spread_over(season == s, truth) for s in SEASONS}
    areas = _regions(truth, axes, regions)
    if areas:
        found["region"] = areas
    return found


def _dated(values: NDArray[Any]) -> bool:
    return values.dtype.kind == "M" or is_cftime(values)


def _regions(truth: xr.DataArray, axes: Axes, regions: Regions) -> dict[str, Bools]:
    """Return the regions that the user named, or bands of latitude if the grid reaches over some.

    Raises
    ------
    InputError
        If a region is neither a mask nor slices of the axes, or holds no cell.
    """
    if regions is not None:
        if not isinstance(regions, Mapping):
            raise InputError(
                f"regions is a {type(regions).__name__}; expected names and what they are, such as "
                "{'tropics': {'lat': slice(-23, 23)}}"
            )
        return {str(name): _region(name, what, truth, axes) for name, what in regions.items()}
    lat = latitude(truth, axes)
    # Of a turned pole latitudes are not those of the bands.
    if lat is None or is_rotated(lat):
        return {}
    bands = {label: (lat > low) & (lat <= high) for label, (low, high) in _BANDS.items()}
    bands = {label: mask for label, mask in bands.items() if bool(mask.any())}
    several = bands.items() if len(bands) > 1 else ()
    return {label: spread_over(mask, truth) for label, mask in several}


def _region(name: str, what: Any, truth: xr.DataArray, axes: Axes) -> Bools:
    if isinstance(what, Mapping):
        lost = [d for d in what if d not in truth.coords]
        if lost:
            raise InputError(
                f"regions: {name!r} names {lost}; expected coordinates of the data, "
                f"{list(truth.coords)}"
            )
        mask = xr.DataArray(True)
        around = longitude(truth, axes)
        for key, cut in what.items():
            try:
                inside = _between(truth[key], cut, around is not None and key == around.name)
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"regions: {name!r} has {key!r}: {cut!r}; expected a slice of numbers, such as "
                    "{'lat': slice(-23, 23)}"
                ) from error
            mask = mask & inside
    elif isinstance(what, xr.DataArray) and what.dtype == bool:
        mask = on_cells(what, truth, axes, f"regions: {name!r}")
    else:
        raise InputError(
            f"regions: {name!r} is {type(what).__name__}; expected a DataArray of bool, or slices "
            "such as {'lat': slice(-23, 23)}"
        )
    lost = [d for d in mask.dims if truth.sizes.get(d) != mask.sizes[d]]
    # A mask along time may be of another repeat.
    if lost or not (bool(mask.any()) or axes.get("T") in mask.dims):
        raise InputError(
            f"regions: {name!r} "
            + (f"has the dims {dict(mask.sizes)}" if lost else "holds no cell")
            + f"; expected cells of the data, {dict(truth.sizes)}"
            + ", or labels by which to find them" * bool(lost)
        )
    return spread_over(mask, truth)


def _between(coord: xr.DataArray, cut: Any, circle: bool) -> xr.DataArray:
    """Return where a coordinate lies in a slice, whose ends count; longitudes go around."""
    low, high = (cut.start, cut.stop) if isinstance(cut, slice) else cut
    if low is not None and high is not None:
        if circle:
            width = 360.0 if high - low >= 360.0 else (high - low) % 360.0
            around: xr.DataArray = (coord - low) % 360.0 <= width
            return around
        # Latitude may descend: a slice has two ends, in any order.
        low, high = min(low, high), max(low, high)
    inside = coord.notnull()
    inside = inside if low is None else inside & (coord >= low)
    return inside if high is None else inside & (coord <= high)


def read_metrics(given: Metrics) -> dict[str, Metric]:
    """Return the further metrics that a user asked for, by name.

    Raises
    ------
    InputError
        If one is neither callable nor the name of one.
    MissingExtraError
        If a name is not ours and xskillscore is not installed.
    """
    if given is None:
        return {}
    if isinstance(given, str) or callable(given):
        given = [given]
    if not isinstance(given, (Mapping, Sequence)):
        raise InputError(
            f"metrics={given!r}: expected functions (truth, estimate) or names, such as ['psnr'], "
            "or labels and these, {'worst': worst}"
        )
    named = (
        given.items()
        if isinstance(given, Mapping)
        else [(getattr(m, "__name__", str(m)), m) for m in given]
    )
    made: dict[str, Metric] = {}
    for name, one in named:
        metric = _metric(one)
        taken = str(name) in made or str(name) in _TAKEN or str(name).startswith("difference")
        if taken:
            raise InputError(
                f"metrics: {str(name)!r} is the name of another score or of what goes with it; "
                "expected one of its own: metrics={'my_score': ...}"
            )
        made[str(name)] = metric
    return made


def _metric(given: Metric | str) -> Metric:
    if callable(given):
        return given
    if not isinstance(given, str):
        raise InputError(
            f"metrics: found {given!r}; expected a function (truth, estimate), or the name of one "
            "of xgeoml.metrics or xskillscore"
        )
    name = given.removeprefix("xskillscore.").removeprefix("xs.")
    if name == given and name in metrics.__all__:
        return _checked(getattr(metrics, name), name)
    try:
        import xskillscore
    except ImportError as error:
        if did_you_mean(name, metrics.__all__) and name == given:
            raise InputError(
                f"metrics: {given!r} is not of xgeoml.metrics; did you mean "
                f"{did_you_mean(name, metrics.__all__)}? Those of xskillscore need it: "
                "pip install xskillscore"
            ) from error
        raise MissingExtraError("metrics", f"the metric {given!r}", "xskillscore") from error
    return _checked(_of_module(xskillscore, name), name)


def _of_module(module: ModuleType, name: str) -> Any:
    found = getattr(module, name, None)
    if not callable(found):
        near = did_you_mean(name, [*metrics.__all__, *dir(module)])
        hint = f"did you mean {near}?" if near else f"ours are {metrics.__all__}"
        raise InputError(f"metrics: {name!r} is none of xgeoml.metrics or xskillscore; {hint}")
    return found


def _checked(metric: Metric, name: str) -> Metric:
    first = list(inspect.signature(metric).parameters)[:3]
    if "spread" in first or "ensemble" in first or isinstance(metric, type):
        raise InputError(
            f"metrics: {name!r} takes {first}; expected a function of truth and estimate"
        )
    return metric


def _measured(metric: Metric, trial: Trial, made: NDArray[Any], area: Floats) -> float:
    """Return a user's metric of what was hidden: ours, of xskillscore, or (truth, estimate)."""
    given = trial.where & np.isfinite(made)
    right = trial.truth.values.astype(np.float64)
    truth = trial.truth.copy(data=np.where(given, right, np.nan))
    # A metric may stack all dims: a MultiIndex cannot be a part of another, nor can other bytes.
    truth = truth.drop_vars([n for n, i in truth.indexes.items() if isinstance(i, pd.MultiIndex)])
    swapped = [n for n, c in truth.coords.items() if not getattr(c.dtype, "isnative", True)]
    truth = truth.assign_coords(
        {n: truth[n].astype(truth[n].dtype.newbyteorder()) for n in swapped}
    )
    estimate = truth.copy(data=np.where(given, made.astype(np.float64), np.nan))
    weight = truth.copy(data=np.where(given, area, 0.0))
    known = inspect.signature(metric).parameters
    call: Callable[..., Any] = metric
    if "where" in known and "area" in known:
        call = partial(metric, area=weight)
    elif "dim" in known:
        call = partial(metric, dim=list(truth.dims))
        if "weights" in known:
            call = partial(call, weights=weight)
        if "skipna" in known:
            call = partial(call, skipna=True)
    value = call(truth, estimate)
    value = np.asarray(getattr(value, "values", value))
    if value.size != 1 or value.dtype.kind not in "fiub":
        raise InputError(
            f"metrics: {getattr(metric, '__name__', metric)} returned {value!r:.80}; expected one "
            "number"
        )
    return float(value)
