"""Pictures of the skill of models."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.exceptions import InputError, did_you_mean
from xgeoml.plot._figures import (
    broken,
    picture_class,
    pretty_units,
    shortened,
    with_units,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.figure import Figure

MARK = "xgeoml_evaluation"

# Scores of which more is better, and those that are best at a value.
_HIGHER = ("r", "nse", "kge", "r2", "ssim", "psnr")
_AT_BEST = {"bias": 0.0, "coverage": 0.9}
_GROUPS = {"season": "season", "region": "region", "gap_length": "length of gap (steps)"}
# Told apart by all eyes; further models are grey.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#000000")
_BEYOND = "0.6"
_MARKERS = "osD^vPXh"
# Inches of the figure, of a row of the table of models, and of a panel of groups.
_WIDTH, _ROW, _GROUP = 10.0, 0.34, 2.8
# Of a panel of groups, what its title and its ticks take.
_BESIDE = 1.1
# Letters of an error that fit into a row, and into one of half the width.
_LETTERS, _HALF = 90, 40
# Letters of the name of a model, of a group, and of its ticks that go into an inch.
_NAME, _TURNED, _TICK = 30, 24, 11


def skill(evaluation: xr.Dataset, *, score: str | None = None) -> Figure:
    """Draw the scores of models, the best one uppermost, as `evaluate` returns them.

    Parameters
    ----------
    evaluation : Dataset
        What `xgeoml.evaluate` returned.
    score : str, optional
        One of its variables with the dims ``model`` and ``repeat``; by default the main score.

    Returns
    -------
    matplotlib.figure.Figure
        A large dot is the mean over the repeats, a small one a repeat. Of the main score the panel
        at the right has the mean difference from the best model, repeat by repeat, and its 95 %
        interval: where that contains 0, the hold-out does not tell the two apart. Below are the
        scores by season, region and length of gap, where there are any. Models that failed are
        named at the end.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    InputError
        If it is no result of `evaluate`, has no such score, or no model that worked.
    """
    _check(evaluation)
    main = str(evaluation.attrs.get("score", "rmse"))
    score = main if score is None else score
    values = _scores(evaluation, score)
    order = _ranked(values.mean("repeat", skipna=True).values, score)
    names = [str(n) for n in evaluation["model"].values]
    there = [k for k in order if np.isfinite(values.values[k]).any()]
    if not there:
        raise InputError(f"no model has a {score!r}: {_failures(evaluation) or 'all are missing'}")
    failed = [k for k in order if k not in there]
    look = {k: _look(at) for at, k in enumerate(there)}
    # Of one group there is nothing to compare.
    groups = [
        g for g in _GROUPS if f"{score}_by_{g}" in evaluation and evaluation.sizes.get(g, 0) > 1
    ]
    beside = score == main and _has_intervals(evaluation, there)

    picture = picture_class()
    rows = _ROW * (len(there) + len(failed)) + 0.5
    below = _GROUP * bool(groups)
    figure = picture(figsize=(_WIDTH, rows + below + 1.2), layout="constrained")
    heights = [rows + 0.9, below][: 1 + bool(groups)]
    upper, *lower = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    panels = upper.subplots(1, 1 + beside, sharey=True, squeeze=False)[0]
    _draw_scores(panels[0], values, there, look)
    _name_models(panels[0], names, there, look, _reasons(evaluation, failed, beside))
    # Names of models are at the left.
    room = (_WIDTH - 2.0) / len(panels)
    panels[0].set_xlabel(broken(_label(values), room))
    if beside:
        _draw_differences(panels[1], evaluation, there, look)
        panels[1].set_xlabel(broken(_label(values, "difference from the best"), room))
    upper.suptitle(_title(evaluation), fontsize="medium")
    if groups:
        panels = lower[0].subplots(1, len(groups), squeeze=False)[0]
        for panel, group in zip(panels, groups, strict=True):
            _draw_groups(panel, evaluation[f"{score}_by_{group}"], group, there, look, names)
            _name_groups(panel, evaluation[group], _WIDTH / len(groups) - _BESIDE)
        panels[0].set_ylabel(broken(_label(values), _GROUP - _BESIDE))
    return figure


def _check(evaluation: object) -> None:
    if not isinstance(evaluation, xr.Dataset) or MARK not in evaluation.attrs:
        found = (
            f"a Dataset with {list(map(str, evaluation.data_vars))[:5]}"
            if isinstance(evaluation, xr.Dataset)
            else f"a {type(evaluation).__name__}"
        )
        raise InputError(
            f"found {found}; expected the Dataset that evaluate returns: "
            "skill(ds.geoml.evaluate('fill_gaps'))"
        )


def _scores(evaluation: xr.Dataset, score: str) -> xr.DataArray:
    known = [str(n) for n, v in evaluation.data_vars.items() if set(v.dims) == {"model", "repeat"}]
    if score not in known:
        near = did_you_mean(score, known) or known
        raise InputError(f"score={score!r} is not in the evaluation; expected such as {near}")
    return evaluation[score].transpose("model", "repeat")


def _ranked(means: NDArray[np.float64], score: str) -> list[int]:
    """Return the models from the best to the worst, those without a score last."""
    if score in _HIGHER:
        off = -means
    else:
        off = np.abs(means - _AT_BEST[score]) if score in _AT_BEST else means
    return [int(k) for k in np.argsort(np.where(np.isnan(off), np.inf, off), kind="stable")]


def _look(at: int) -> tuple[str, str]:
    """Return the colour and the marker of the model at a rank."""
    return (_COLOURS[at], _MARKERS[at]) if at < len(_COLOURS) else (_BEYOND, "o")


def _draw_scores(
    panel: Panel, values: xr.DataArray, there: list[int], look: dict[int, tuple[str, str]]
) -> None:
    for row, k in enumerate(there):
        colour, marker = look[k]
        each = values.values[k]
        each = each[np.isfinite(each)]
        mean = float(each.mean())
        if len(each) > 1:
            panel.plot(each, np.full(len(each), row), "o", color=colour, ms=4, alpha=0.45, mew=0)
        panel.plot(mean, row, marker, color=colour, ms=8, mec="w", mew=0.8, zorder=3)
        panel.annotate(
            f"{mean:.3g}",
            (mean, row),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontsize="x-small",
            color=colour,
        )
    panel.grid(axis="x", color="0.92")
    panel.set_axisbelow(True)
    panel.margins(x=0.12)


def _name_models(
    panel: Panel,
    names: list[str],
    there: list[int],
    look: dict[int, tuple[str, str]],
    failed: dict[int, str],
) -> None:
    """Write the models along the rows, in their colours, and why some have no score."""
    panel.set_ylim(len(there) + len(failed) - 0.5, -0.7)
    shown = [shortened(names[k], _NAME) for k in (*there, *failed)]
    panel.set_yticks(range(len(shown)), shown)
    panel.tick_params(axis="y", length=0)
    for k, text in zip((*there, *failed), panel.get_yticklabels(), strict=True):
        text.set_color(look[k][0] if k in look else "0.5")
        text.set_fontweight("bold" if there and k == there[0] else "normal")
    for row, why in enumerate(failed.values(), len(there)):
        panel.annotate(
            why,
            (0.0, row),
            (6, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize="x-small",
            color="0.4",
        )


def _reasons(evaluation: xr.Dataset, failed: list[int], beside: bool) -> dict[int, str]:
    """Return why models have no score, as far as there is room."""
    made = {}
    for k in failed:
        why = str(evaluation["error"].values[k]) if "error" in evaluation else ""
        told = f"failed: {why}" if why else "no score"
        made[k] = textwrap.shorten(told, _HALF if beside else _LETTERS, placeholder=" ...")
    return made


def _has_intervals(evaluation: xr.Dataset, there: list[int]) -> bool:
    if "difference" not in evaluation or len(there) < 2:
        return False
    return bool(np.isfinite(evaluation["difference"].values[there]).sum() > 1)


def _draw_differences(
    panel: Panel, evaluation: xr.Dataset, there: list[int], look: dict[int, tuple[str, str]]
) -> None:
    """Draw how far models are from the best one, and the 95 % intervals of that."""
    middle, low, high = (
        evaluation[n].values if n in evaluation else np.full(evaluation.sizes["model"], np.nan)
        for n in ("difference", "difference_low", "difference_high")
    )
    panel.axvline(0.0, color="0.4", lw=0.9, zorder=0)
    for row, k in enumerate(there):
        colour, marker = look[k]
        if row and np.isfinite(low[k]) and np.isfinite(high[k]):
            panel.plot([low[k], high[k]], [row, row], "-", color=colour, lw=2.2, alpha=0.6)
        panel.plot(middle[k], row, marker, color=colour, ms=7, mec="w", mew=0.8, zorder=3)
    panel.tick_params(axis="y", length=0, labelleft=False)
    panel.grid(axis="x", color="0.92")
    panel.set_axisbelow(True)
    panel.margins(x=0.1)
    told = "95 % interval of the mean over repeats" if np.isfinite(low[there[1:]]).any() else ""
    panel.set_title(told, fontsize="small")


def _draw_groups(
    panel: Panel,
    table: xr.DataArray,
    group: str,
    there: list[int],
    look: dict[int, tuple[str, str]],
    names: list[str],
) -> None:
    """Draw the mean score of each model in each group."""
    means = table.mean("repeat", skipna=True).transpose("model", group)
    for k in there[::-1]:
        colour, marker = look[k]
        joined = "-" if group != "region" else ""
        panel.plot(
            range(means.sizes[group]),
            means.values[k],
            joined + marker,
            color=colour,
            ms=5,
            lw=1.2,
            mec="w",
            mew=0.5,
            label=names[k],
        )
    panel.margins(x=0.08)
    panel.grid(axis="y", color="0.92")
    panel.set_axisbelow(True)
    panel.set_title(f"by {_GROUPS[group]}", fontsize="medium")


def _name_groups(panel: Panel, coord: xr.DataArray, inches: float) -> None:
    """Write the groups below a panel so many inches wide: upright in lines, or turned."""
    labels = [str(v) for v in coord.values]
    letters = int(_TICK * inches / len(labels))
    upright = [textwrap.fill(t, max(letters, 1), break_long_words=False) for t in labels]
    if max(len(line) for text in upright for line in text.split("\n")) <= letters:
        panel.set_xticks(range(len(labels)), upright, fontsize="small")
        return
    short = [shortened(t, _TURNED) for t in labels]
    # A turned name begins below its own tick, and not in the panel beside this one.
    panel.set_xticks(range(len(labels)), short, fontsize="small", rotation=-35, ha="left")
    for text in panel.get_xticklabels():
        text.set_rotation_mode("anchor")


def _label(values: xr.DataArray, words: str | None = None) -> str:
    name = str(values.attrs.get("long_name", values.name)) if words is None else words
    return with_units(name, values.attrs)


def _title(evaluation: xr.Dataset) -> str:
    """Return what was evaluated and how, in the words of the table that ``.geoml`` shows."""
    attrs = evaluation.attrs
    task = str(attrs.get("task", "")).replace("_", " ")
    variable, holdout = attrs.get("variable"), attrs.get("holdout")
    repeats = evaluation.sizes.get("repeat", 1)
    times = f"{repeats} time{'s' * (repeats != 1)}"
    parts = [f"{task} of {shortened(str(variable))}" if variable else task]
    parts.append(f"hidden: {holdout}, {times}" if holdout else times)
    if "hidden" in evaluation:
        hidden = evaluation["hidden"].values
        hidden = hidden[np.isfinite(hidden)].astype(np.int64)
        units = pretty_units(evaluation["hidden"].attrs.get("units")) or "values"
        if hidden.size:
            least, most = f"{hidden.min():,}", f"{hidden.max():,}"
            many = least if least == most else f"{least} to {most}"
            parts.append(f"{many} {units}{' a time' * (repeats > 1)}")
    return broken("; ".join(filter(None, parts)), _WIDTH - 1.0, lines=5)


def _failures(evaluation: xr.Dataset) -> str:
    if "error" not in evaluation:
        return ""
    told = zip(evaluation["model"].values, evaluation["error"].values, strict=True)
    return "; ".join(f"{name}: {textwrap.shorten(str(why), _LETTERS)}" for name, why in told if why)
