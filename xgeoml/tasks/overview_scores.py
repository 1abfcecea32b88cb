"""What an evaluation found: a row for each model, the best first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

# Marks the Dataset of an evaluation, see `xgeoml.evaluate`.
MARK = "xgeoml_evaluation"
# Scores that are told beside the main one, at most.
_BESIDE = 12


@dataclass(frozen=True)
class Score:
    """The scores of a model.

    Attributes
    ----------
    model : str
    mean, error : float or None
        Of the main score over the repeats, and its standard error; None where it is not known.
    difference : tuple of float or None
        To the best model, with the ends of its interval of 95 %.
    beside : tuple of float or None
        Means of the other scores.
    failed : str
        Why there are none; empty if there are.
    """

    model: str
    mean: float | None
    error: float | None
    difference: tuple[float, float, float] | None
    beside: tuple[float | None, ...]
    failed: str

    @property
    def undecided(self) -> bool:
        """Whether it may be as good as the best."""
        return self.difference is not None and self.difference[1] <= 0 <= self.difference[2]


@dataclass(frozen=True)
class Scores:
    """An evaluation.

    Attributes
    ----------
    path : str
        Of the group of a DataTree; empty elsewhere.
    task, variable, holdout, score, best : str
        As its attributes say.
    units : str
        Of the main score; empty where it has none.
    hidden : tuple of int
        How many values were hidden in each repeat.
    beside : tuple of str
        Names of the other scores.
    rows : tuple of Score
        The best first, those that failed last.
    calls : tuple of str
        Methods to call next.
    """

    path: str
    task: str
    variable: str
    holdout: str
    score: str
    units: str
    best: str
    hidden: tuple[int, ...]
    beside: tuple[str, ...]
    rows: tuple[Score, ...]
    calls: tuple[str, ...]


def is_evaluation(obj: object) -> bool:
    """Whether an object is what `xgeoml.evaluate` returned."""
    if not isinstance(obj, xr.Dataset) or MARK not in obj.attrs or "model" not in obj.indexes:
        return False
    score = obj.data_vars.get(obj.attrs.get("score"))
    return score is not None and score.dtype.kind == "f" and not obj.chunks


def scores_of(dataset: xr.Dataset, path: str = "") -> Scores:
    """Return what an evaluation found."""
    told = {k: str(dataset.attrs.get(k, "")) for k in ("task", "variable", "holdout")}
    score, best = str(dataset.attrs["score"]), str(dataset.attrs.get("best", ""))
    beside = tuple(_beside(dataset, score))[:_BESIDE]
    rows = [_row(dataset.isel(model=i), score, beside) for i in range(dataset.sizes["model"])]
    lead = next((r.mean for r in rows if r.model == best and r.mean is not None), 0.0)
    # Scores are errors or, of one's own, the reverse: the nearest to the best is the next.
    rows.sort(key=lambda r: (r.mean is None, r.model != best, abs((r.mean or 0.0) - lead)))
    hidden = dataset["hidden"].values.ravel() if "hidden" in dataset else np.array([])
    return Scores(
        path=path,
        **told,
        score=score,
        # A misfit, say, has none, whatever the data have.
        units=str(dataset[score].attrs.get("units", "")).strip("1"),
        best=best,
        hidden=tuple(int(n) for n in hidden[np.isfinite(hidden)]),
        beside=beside,
        rows=tuple(rows),
        calls=(f"{group_of(path)}.geoml.plot.skill()",),
    )


def group_of(path: str) -> str:
    """Return how a group is got at from the DataTree that it is in; empty of the tree itself."""
    return f"[{json.dumps(path, ensure_ascii=False)}]" if path.strip("/") else ""


def _beside(dataset: xr.Dataset, score: str) -> Iterator[str]:
    """Yield the scores that something is known of, the user's own among them."""
    for name, values in dataset.data_vars.items():
        alike = values.dtype.kind == "f" and set(values.dims) == {"model", "repeat"}
        if alike and name != score and np.isfinite(values.values).any():
            yield str(name)


def _row(one: xr.Dataset, score: str, beside: Sequence[str]) -> Score:
    repeats = _finite(one, score)
    count = repeats.size
    spread = float(repeats.std(ddof=1) / np.sqrt(count)) if count > 1 else None
    names = ("difference", "difference_low", "difference_high")
    told = [_mean(one, name) for name in names]
    low_high = [n for n in told if n is not None]
    return Score(
        model=str(one["model"].values),
        mean=_mean(one, score),
        error=spread,
        difference=(low_high[0], low_high[1], low_high[2]) if len(low_high) == 3 else None,
        beside=tuple(_mean(one, name) for name in beside),
        failed=str(one["error"].values) if "error" in one else "",
    )


def _finite(one: xr.Dataset, name: str) -> NDArray[np.float64]:
    if name not in one:
        return np.array([])
    values = np.asarray(one[name].values, np.float64).ravel()
    return values[np.isfinite(values)]


def _mean(one: xr.Dataset, name: str) -> float | None:
    values = _finite(one, name)
    return float(values.mean()) if values.size else None
