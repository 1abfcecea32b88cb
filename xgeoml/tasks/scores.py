"""The Dataset that an evaluation gives: scores, groups of them, and how sure differences are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from xgeoml.exceptions import GeoMLError
from xgeoml.metrics._pairs import Floats
from xgeoml.spec import Task
from xgeoml.tasks.scoring import LEVEL, Outcome, Round

MARK = "xgeoml_evaluation"
_OF_DATA = {
    "rmse": "root mean square error",
    "mae": "mean absolute error",
    "bias": "mean error, estimate less truth",
    "crps": "continuous ranked probability score",
}
_OF_ONE = {
    "nrmse": "root mean square error over the root mean square of the truth",
    "misfit": "root mean square of what is not explained of the records, over theirs",
    "coverage": f"share of the hidden values in the interval of {LEVEL:.0%}",
    "r": "correlation coefficient",
    "nse": "Nash-Sutcliffe efficiency",
    "spectrum_error": "mean size of log10 of the ratio of powers along rows",
    "kge": "Kling-Gupta efficiency",
    "made": "share of the hidden values that got one",
    "moment_error": "size of the relative error of the moment",
}
_OF_TIME = {
    "lag": "size of the best lag",
    "duration_error": "size of the error of the time between 5 and 95 % of the moment",
    "seconds": "time that the model took",
}
# Models that leave out more of what is hidden than others are not compared with them.
_LEAST_MADE = 0.999


class Table:
    """What models have scored so far."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = list(labels)
        self.errors: dict[str, str] = {}
        self.hidden: list[int] = []
        self.told = ""
        self.unit = "s"
        self._kinds: dict[str, list[str]] = {}
        self._scores: dict[tuple[str, str, int], float] = {}
        self._groups: dict[tuple[str, str, str, int], float] = {}
        self._names: dict[str, None] = {}

    def begin(self, each: Round) -> None:
        """Begin a repeat."""
        self.hidden.append(each.hidden)
        self.told = each.told
        for kind, labels in each.groups.items():
            known = self._kinds.setdefault(kind, [])
            known += [label for label in labels if label not in known]

    def put(self, label: str, outcome: Outcome, seconds: float) -> None:
        """Put in the scores of a model in this repeat."""
        repeat = len(self.hidden) - 1
        self.unit = outcome.unit
        for name, value in {**outcome.scores, "seconds": seconds}.items():
            self._names.setdefault(name)
            self._scores[name, label, repeat] = value
        for kind, values in outcome.groups.items():
            for group, value in values.items():
                self._groups[kind, group, label, repeat] = value

    def fail(self, label: str, error: Exception) -> None:
        """Note why a model failed; what it scored before does not count."""
        kind = "" if isinstance(error, GeoMLError) else f"{type(error).__name__}: "
        self.errors[label] = kind + " ".join(str(error).split())
        self._scores = {k: v for k, v in self._scores.items() if k[1] != label}
        self._groups = {k: v for k, v in self._groups.items() if k[2] != label}

    @property
    def names(self) -> list[str]:
        """The names of the scores, those that no model has left out."""
        known = [*_OF_DATA, *_OF_ONE, *_OF_TIME]
        order = {name: known.index(name) if name in known else len(known) for name in self._names}
        found = sorted(self._names, key=lambda name: order[name])
        return [n for n in found if np.isfinite(self.of(n)).any()]

    def of(self, name: str) -> Floats:
        """Return a score, (model, repeat)."""
        return np.array(
            [
                [self._scores.get((name, label, r), np.nan) for r in range(len(self.hidden))]
                for label in self.labels
            ]
        )

    def grouped(self) -> Mapping[str, tuple[list[str], Floats]]:
        """Return for each kind of group its labels and the main score, (model, repeat, group)."""
        made = {}
        for kind, groups in self._kinds.items():
            values = np.array(
                [
                    [
                        [self._groups.get((kind, g, label, r), np.nan) for g in groups]
                        for r in range(len(self.hidden))
                    ]
                    for label in self.labels
                ]
            )
            some = np.isfinite(values).any((0, 1))
            if some.any():
                made[kind] = [g for g, s in zip(groups, some, strict=True) if s], values[..., some]
        return made


def to_dataset(table: Table, data: xr.DataArray, task: Task, period: slice | None) -> xr.Dataset:
    """Return the scores as a Dataset.

    Parameters
    ----------
    table : Table
    data : DataArray
        The variable, for its name and units.
    task : str
    period : slice, optional
        The part of the time in which values were hidden.
    """
    units = str(data.attrs.get("units", ""))
    main = next((n for n in ("rmse", "nrmse", "misfit") if n in table.names), None)
    if main is None:
        raise _nothing_to_compare()
    result = xr.Dataset(
        coords={
            "model": ("model", table.labels, {"long_name": "model"}),
            "repeat": ("repeat", np.arange(len(table.hidden)), {"long_name": "repeat"}),
        }
    )
    for name in table.names:
        attrs = _attrs(name, units)
        if name in _OF_TIME and name != "seconds":
            attrs = {k: table.unit if k == "units" else v for k, v in attrs.items()}
        result[name] = (("model", "repeat"), table.of(name), attrs)
    for kind, (labels, values) in table.grouped().items():
        result = result.assign_coords({kind: (kind, labels)})
        attrs = _attrs(main, units)
        attrs["long_name"] += f", by {kind.replace('_', ' ')}"
        result[f"{main}_by_{kind}"] = (("model", "repeat", kind), values, attrs)
    if "gap_length" in result.coords:
        result["gap_length"].attrs = {"long_name": "steps in a row without a value"}
    best = _best(table, main)
    ends = () if period is None else (("from", period.start), ("to", period.stop))
    when = "".join(f", {word} {_date(end)}" for word, end in ends if end is not None)
    result = result.assign(_differences(table, main, best, _attrs(main, units)))
    result["hidden"] = ("repeat", table.hidden, {"long_name": "values hidden", "units": "1"})
    errors = [table.errors.get(label, "") for label in table.labels]
    result["error"] = ("model", errors, {"long_name": "why the model failed"})
    result.attrs = {
        "title": f"Scores of models of {task} on hidden values",
        MARK: "1",
        "task": task,
        "variable": str(data.name if data.name is not None else ""),
        "units": _attrs(main, units).get("units", ""),
        "holdout": table.told + when,
        "score": main,
        "best": table.labels[best],
    }
    return result


def _date(end: object) -> str:
    """Return one end of a period without the part of the day that it begins with."""
    text = str(end)
    return re.sub(r"[T ]00:00:00(\.0+)?$", "", text)


def _attrs(name: str, units: str) -> dict[str, str]:
    if name in _OF_DATA:
        return {"long_name": _OF_DATA[name], **({"units": units} if units else {})}
    if name in _OF_TIME:
        return {"long_name": _OF_TIME[name], "units": "s"}
    # Of a user's own score no unit is known.
    return {"long_name": _OF_ONE[name], "units": "1"} if name in _OF_ONE else {"long_name": name}


def _best(table: Table, main: str) -> int:
    """Return the number of the model with the least mean error over all repeats."""
    mean = table.of(main).mean(1)
    if not np.isfinite(mean).any():
        raise _nothing_to_compare()
    if "made" in table.names:
        made = table.of("made").mean(1)
        most = np.nanmax(np.where(np.isfinite(mean), made, np.nan))
        mean = np.where(made >= _LEAST_MADE * most, mean, np.nan)
    return int(np.nanargmin(mean))


def _nothing_to_compare() -> GeoMLError:
    return GeoMLError(
        "no model gave values in every repeat; nothing can be compared. Type repeats=1, or "
        "another holdout="
    )


def _differences(
    table: Table, main: str, best: int, attrs: Mapping[str, str]
) -> dict[str, tuple[str, Floats, dict[str, str]]]:
    """Return how much worse models are than the best, paired over repeats, with 95 % intervals."""
    from scipy.stats import t

    apart = table.of(main) - table.of(main)[best]
    count = apart.shape[1]
    mean = apart.mean(1)
    half = np.full(len(mean), np.nan)
    if count > 1:
        half = apart.std(1, ddof=1) / count**0.5 * float(t.ppf(0.975, count - 1))
    words = f"{attrs['long_name']} less that of {table.labels[best]}, mean over repeats"
    units = {k: v for k, v in attrs.items() if k == "units"}
    return {
        name: ("model", value, {"long_name": f"{words}{end}", **units})
        for name, value, end in (
            ("difference", mean, ""),
            ("difference_low", mean - half, ": lower end of the interval of 95 %"),
            ("difference_high", mean + half, ": upper end of the interval of 95 %"),
        )
    }
