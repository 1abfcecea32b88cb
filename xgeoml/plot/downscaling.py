"""Pictures of finer fields, beside the coarse ones and the truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from xgeoml.axes import find_axes, require
from xgeoml.exceptions import InputError
from xgeoml.plot._clock import stamp
from xgeoml.plot._figures import broken, picture_class, several_of, with_units
from xgeoml.plot._grid import Grid, grid_of
from xgeoml.plot._maps import draw_map, finite_values, hide_inner
from xgeoml.plot._quantities import Style, look_of, look_of_difference, style_of
from xgeoml.plot._sheet import Sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches of one map at most.
_WIDTH, _HEIGHT = 2.6, 3.6


def downscaled(
    coarse: xr.DataArray,
    estimates: Mapping[str, xr.DataArray],
    truth: xr.DataArray | None = None,
    *,
    step: int = 0,
) -> Figure:
    """Draw maps of one step side by side, and the errors of the estimates below them.

    Parameters
    ----------
    coarse : DataArray
        What was downscaled.
    estimates : mapping
        Name -> DataArray on the finer grid. Of an ensemble (dim ``member``) the first is drawn.
    truth : DataArray, optional
        On the finer grid. Without it there are no errors.
    step : int
        Which step, counted along the axis T; negative ones from the end.

    Returns
    -------
    matplotlib.figure.Figure
        All fields have one scale of colours, and all errors another.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    InputError
        If there are no estimates, or if dims other than these are left.
    """
    picture_class()
    several_of(estimates, "estimates")
    axes = find_axes(coarse)
    first = _one_map(coarse, step)
    fields = {"coarse": first}
    if truth is not None:
        fields["truth"] = _one_map(truth, step)
    made = {name: _one_map(field, step) for name, field in estimates.items()}
    fields |= made
    grids = {name: grid_of(field) for name, field in fields.items()}
    values = dict(zip(fields, finite_values(fields.values()), strict=True))
    rows = 1 if truth is None else 2
    sheet, size = Sheet(), grids["coarse"].fitted(_WIDTH, _HEIGHT)
    panels = np.full((rows, len(fields)), None, object)
    for row, drawn in enumerate((fields, made)[:rows]):
        for column, name in enumerate(fields):
            if name in drawn:
                panels[row, column] = sheet.panel(row, column, *size)
    shown = values.get("truth", values["coarse"])
    style = style_of(look_of(coarse), [shown])
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    if style.low == -style.high:
        low, high = -max(-low, high), max(-low, high)
    style = style._replace(low=low, high=high, extend="both")
    for panel, name in zip(panels[0], fields, strict=True):
        mesh = draw_map(panel, values[name], grids[name], style, coast=False)
        panel.set_title(broken(name, size[0]), fontsize="medium")
    sheet.scale(mesh, style, with_units(str(coarse.name), coarse.attrs), [0], len(fields))
    if truth is not None:
        errors = {name: values[name] - shown for name in made}
        _draw_errors(sheet, panels[1, -len(errors) :], errors, grids, coarse, len(fields))
    hide_inner(panels)
    time = axes.get("T")
    told = ""
    if time in coarse.coords:
        stamps = np.atleast_1d(coarse[time].values)
        told = stamp(stamps[step if coarse[time].ndim else 0])
    return sheet.finish(told)


def _draw_errors(
    sheet: Sheet,
    panels: np.ndarray,
    errors: Mapping[str, np.ndarray],
    grids: Mapping[str, Grid],
    coarse: xr.DataArray,
    column: int,
) -> None:
    """Draw what the estimates are off, in the panels below them, and the scale in a column."""
    limit = max(float(np.nanpercentile(np.abs(e), 99)) for e in errors.values()) or 1.0
    style = Style(look_of_difference(coarse).cmap, -limit, limit, "both")
    for panel, (name, error) in zip(panels, errors.items(), strict=True):
        mesh = draw_map(panel, error, grids[name], style, coast=False)
        size = float(np.sqrt(np.nanmean(error**2)))
        panel.set_title(f"error, rms {size:.3g}", fontsize="medium")
    sheet.scale(mesh, style, with_units("error", coarse.attrs), [1], column)


def rank_histogram(truth: xr.DataArray, ensembles: Mapping[str, xr.DataArray]) -> Figure:
    """Draw how often the truth has each rank among the members, see `metrics.rank_histogram`.

    Parameters
    ----------
    truth : DataArray
    ensembles : mapping
        Name -> DataArray with the dim ``member``.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each ensemble; the line is that of an honest one.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    InputError
        If there are no ensembles.
    """
    picture = picture_class()
    several_of(ensembles, "ensembles")
    from xgeoml import metrics

    figure = picture(figsize=(3.4 * len(ensembles) + 0.6, 3.2), layout="constrained")
    panels = figure.subplots(1, len(ensembles), squeeze=False)[0]
    for panel, (name, ensemble) in zip(panels, ensembles.items(), strict=True):
        share = metrics.rank_histogram(truth, ensemble)
        panel.bar(share["rank"], share * len(share), color="#4878a8", width=0.9)
        panel.axhline(1.0, color="k", lw=1, ls="--")
        ratio = metrics.spread_skill(truth, ensemble)
        panel.set_title(f"{name}: spread / error {ratio:.2f}", fontsize="medium")
        panel.set_xlabel("members below the truth")
    panels[0].set_ylabel("frequency, honest = 1")
    return figure


def error_by(
    truth: xr.DataArray,
    estimates: Mapping[str, xr.DataArray],
    by: str | xr.DataArray = "hour",
    *,
    score: str = "rmse",
) -> Figure:
    """Draw a score by hour, month or kind of cell, a line for each estimate.

    Parameters
    ----------
    truth, estimates
        As for `metrics.downscaling_skill`.
    by : str or DataArray
        "hour", "month" or "season", or a DataArray such as a land-sea mask.
    score : str
        A variable of the table of `metrics.downscaling_skill`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    InputError
        If there are no estimates, or no such score.
    """
    picture = picture_class()
    # With scipy: not at the import of the package, which this module is part of.
    from xgeoml import metrics

    table = metrics.downscaling_skill(truth, estimates, by=by)
    if score not in table:
        raise InputError(f"score={score!r}: expected one of {list(table.data_vars)}")
    label = by if isinstance(by, str) else str(table[score].dims[1])
    groups = table[label].values
    figure = picture(figsize=(6.5, 3.6), layout="constrained")
    panel = figure.subplots()
    if groups.dtype.kind in "iu" and isinstance(by, str):
        for name in table["model"].values:
            panel.plot(groups, table[score].sel(model=name), ".-", label=name)
        panel.set_xticks(groups)
    else:
        width = 0.8 / len(table["model"])
        for k, name in enumerate(table["model"].values):
            place = np.arange(len(groups)) - 0.4 + (k + 0.5) * width
            panel.bar(place, table[score].sel(model=name), 0.92 * width, label=name)
        panel.set_xticks(np.arange(len(groups)), [str(g) for g in groups])
        panel.axhline(0.0, color="k", lw=0.8)
    if score != "bias" and float(table[score].min()) >= 0.0:
        panel.set_ylim(bottom=0.0)
    units = table[score].attrs.get("units")
    meaning = str(table[score].attrs["long_name"])
    panel.set_ylabel(meaning + (f" ({units})" if units else ""))
    panel.set_xlabel({"hour": "hour (UTC)"}.get(label, label))
    figure.legend(loc="outside upper center", frameon=False, ncols=4, fontsize="small")
    return figure


def _one_map(field: xr.DataArray, step: int) -> xr.DataArray:
    """Return one step as a map, (y, x)."""
    axes = find_axes(field)
    y, x = require(axes, "Y", "X", purpose="a map")
    if "member" in field.dims:
        field = field.isel(member=0)
    time = axes.get("T")
    if time in field.dims:
        field = field.isel({time: step})
    left = [d for d in field.dims if d not in (y, x)]
    if left:
        raise InputError(f"{left} besides the axes of a map: choose one position, as in isel(...)")
    return field.transpose(y, x)
