"""Pictures of a filled record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from xgeoml import metrics
from xgeoml.axes import find_axes, require
from xgeoml.exceptions import InputError
from xgeoml.grid import cell_area
from xgeoml.plot._figures import draw_map, label_of, name_axes, picture_class
from xgeoml.provenance import FILLED, SUSPECT
from xgeoml.times import decimal_years

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.figure import Figure


def filled_record(dataset: xr.Dataset, variable: str) -> Figure:
    """Draw a map of a filled step, and a series with its spread.

    Parameters
    ----------
    dataset : Dataset
        As `fill_gaps` returns it, with ``<variable>_fill_flag`` and, for the band around the
        series, ``<variable>_spread``.
    variable : str
        What was filled.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    InputError
        If the flag variable is not there.
    """
    picture = picture_class()
    if f"{variable}_fill_flag" not in dataset:
        raise InputError(
            f"{variable}_fill_flag is not in the Dataset; expected the result of "
            f"ds.geoml.fill_gaps(), found {list(dataset.data_vars)}"
        )
    data, flag = dataset[variable], dataset[f"{variable}_fill_flag"]
    axes = find_axes(data)
    (time,) = require(axes, "T", purpose="the picture")
    space = [str(d) for d in data.dims if d != time]
    series_at, step = _where_to_look(flag, time)
    has_map = len(axes.space) == 2
    figure = picture(figsize=(9, 8 if has_map else 4), layout="constrained")
    panels = figure.subplots(1 + has_map, 1, height_ratios=[3, 2] if has_map else None)
    panels = np.atleast_1d(panels)
    if has_map:
        beside = {d: series_at[d] for d in space if d not in axes.space}
        field = data.isel({time: step, **beside}).transpose(*axes.space)
        filled = (flag.isel({time: step, **beside}) == FILLED).sum() / field.notnull().sum()
        when = str(data[time].values[step])[:10]
        _map(panels[0], field, f"{when}: {float(filled):.0%} of this map was filled in")
        point = {str(d): series_at[d] for d in axes.space}
        at = [field[d].values[i] if d in field.coords else i for d, i in point.items()]
        panels[0].plot(at[1], at[0], marker="o", mfc="none", mec="k", ms=9, mew=1.5)
    spread = dataset.get(f"{variable}_spread")
    cell = {d: series_at[d] for d in space}
    _series(
        panels[-1],
        data.isel(cell),
        flag.isel(cell),
        None if spread is None else spread.isel(cell),
        time,
    )
    return figure


def _where_to_look(flag: xr.DataArray, time: str) -> tuple[dict[str, int], int]:
    """Return the cell nearest to the middle that was filled, and the middle of its longest gap."""
    filled = (flag == FILLED).transpose(time, ...)
    ever = filled.any(time)
    shape = ever.shape
    cells = np.argwhere(ever.values) if shape else np.zeros((1, 0), int)
    if len(cells) == 0:
        cells = np.array([[n // 2 for n in shape]])
    centre = np.array([n / 2 for n in shape])
    nearest = cells[np.argmin(((cells - centre) ** 2).sum(1))]
    where = {str(d): int(i) for d, i in zip(ever.dims, nearest, strict=True)}
    gap = filled.isel(where).values
    edges = np.flatnonzero(np.diff(np.concatenate([[0], gap.astype(int), [0]])))
    if len(edges) == 0:
        return where, len(gap) // 2
    starts, stops = edges[::2], edges[1::2]
    longest = int(np.argmax(stops - starts))
    return where, int((starts[longest] + stops[longest] - 1) // 2)


def _map(panel: Panel, field: xr.DataArray, title: str) -> None:
    values = field.values
    signed = bool(np.nanmin(values) < 0 < np.nanmax(values))
    limit = float(np.nanpercentile(np.abs(values), 99))
    limits = (-limit, limit) if signed else (None, None)
    mesh = draw_map(panel, field, limits, "RdBu" if signed else "viridis")
    panel.figure.colorbar(mesh, ax=panel, label=label_of(field), extend="both" if signed else None)
    panel.set_title(title)
    name_axes(panel, field)


def _series(
    panel: Panel,
    series: xr.DataArray,
    flag: xr.DataArray,
    spread: xr.DataArray | None,
    time: str,
) -> None:
    years = decimal_years(series[time])
    values, filled = series.values, flag.values == FILLED
    panel.plot(years, values, color="0.6", lw=1, zorder=1)
    panel.plot(years[~filled], values[~filled], ".", color="0.25", ms=4, label="observed")
    panel.plot(years[filled], values[filled], ".", color="#c44e00", ms=6, label="filled")
    suspect = flag.values == SUSPECT
    if suspect.any():
        panel.plot(years[suspect], values[suspect], "x", color="k", ms=7, label="observed, suspect")
    if spread is not None:
        # Runs of filled steps are joined by lines of their own, so that no band crosses data.
        sigma = np.where(filled, spread.values, np.nan)
        panel.errorbar(
            years[filled],
            values[filled],
            1.645 * sigma[filled],
            fmt="none",
            ecolor="#c44e00",
            alpha=0.45,
            lw=2,
            zorder=0,
            label="90 % interval",
        )
    panel.set_xlabel("year")
    panel.set_ylabel(label_of(series))
    panel.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=4, frameon=False, fontsize="small"
    )
    panel.set_title("the series at the circle" if len(panel.figure.axes) > 1 else "a series")


def error_by_count(
    truth: xr.DataArray, estimates: Mapping[str, xr.DataArray], count: xr.DataArray
) -> Figure:
    """Draw the mean absolute error against the number of observations behind a value.

    The plain answer, the mean of the available days, belongs beside a model's: where hardly a day
    is missing both are right, and the fewer days there are, the more a model has to add.

    Parameters
    ----------
    truth : DataArray
        Such as the monthly means of complete data.
    estimates : mapping
        Name -> DataArray on the same cells and steps.
    count : DataArray
        How many observations each value was made from, such as ``<variable>_n_observed`` of
        ``fill_gaps(freq="MS")``.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    InputError
        If there are no estimates, or nothing of one can be compared.
    """
    picture = picture_class()
    if not estimates:
        raise InputError("estimates={}: expected a mapping of names to DataArrays")
    area = cell_area(truth, find_axes(truth))
    figure = picture(figsize=(7, 5), layout="constrained")
    errors, numbers = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    for name, estimate in estimates.items():
        made = metrics.error_by_count(truth, estimate, count, area)
        if not made.size:
            raise InputError(f"{name!r} has no value where the truth has one, on the same steps")
        errors.plot(made["count"], made, ".-", label=name)
    numbers.bar(made["count"], made["number"], color="0.7", width=0.8)
    units = truth.attrs.get("units")
    errors.set_ylabel("mean absolute error" + (f" ({units})" if units else ""))
    errors.set_ylim(bottom=0)
    errors.legend(frameon=False)
    numbers.set(xlabel="number of observations", ylabel="values")
    return figure
