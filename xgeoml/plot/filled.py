"""Pictures of a filled record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from xgeoml.axes import find_axes, require
from xgeoml.exceptions import InputError
from xgeoml.grid import cell_area
from xgeoml.plot._choose import choose
from xgeoml.plot._clock import name_time, stamp, time_line
from xgeoml.plot._figures import broken, label_of, picture_class, pretty_units, several_of
from xgeoml.plot._lines import draw_line, name_lines
from xgeoml.plot._maps import draw_map, draw_scale, finite_values, grid_of
from xgeoml.plot._places import best_place, free_dims
from xgeoml.plot._quantities import look_of, style_of
from xgeoml.plot.missing import runs
from xgeoml.provenance import FILLED

if TYPE_CHECKING:
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
        The series is that of the cell in the middle among those that were filled most, the map
        that in the middle of its longest gap.

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
    chosen = choose(dataset, variable, needs=("T",), purpose="the picture")
    data, flag, axes = chosen.data, dataset[f"{variable}_fill_flag"], chosen.axes
    (time,) = require(axes, "T", purpose="the picture")
    cell = best_place(chosen, [*free_dims(chosen), *(d for d in data.dims if d == "member")])
    step = _middle_of_gap(flag.isel(cell).values == FILLED)
    has_map = len(axes.space) == 2
    figure = picture(figsize=(9, 8 if has_map else 4), layout="constrained")
    panels = np.atleast_1d(
        figure.subplots(1 + has_map, 1, height_ratios=[3, 2] if has_map else None)
    )
    if has_map:
        beside = {d: i for d, i in cell.items() if d not in axes.space}
        field = data.isel({time: step, **beside}).transpose(*axes.space)
        filled = (flag.isel({time: step, **beside}) == FILLED).sum() / field.notnull().sum()
        grid, (values,) = grid_of(field, axes), finite_values([field])
        style = style_of(look_of(data), [values])
        mesh = draw_map(panels[0], values, grid, style, coast=not chosen.invented)
        draw_scale(figure, mesh, [panels[0]], style, label_of(data), 3.5)
        when = stamp(data[time].values[step], data[time])
        panels[0].set_title(f"{when}: {float(filled):.0%} of this map was filled in")
        at = tuple(cell[d] for d in axes.space)
        x, y = (p[at] if p.ndim == 2 else p[at[k]] for p, k in ((grid.east, 1), (grid.north, 0)))
        panels[0].plot(x, y, marker="o", mfc="none", mec="k", ms=9, mew=1.5)
    line = time_line(data[time].values, data[time], time)
    spread = None if chosen.spread is None else chosen.spread.isel(cell).values.astype(np.float64)
    draw_line(
        panels[-1],
        line.places,
        data.isel(cell).values.astype(np.float64),
        flag.isel(cell).values,
        spread,
    )
    name_time(panels[-1], line)
    panels[-1].set_ylabel(broken(label_of(data), 2.4))
    panels[-1].set_title("the series at the circle" if has_map else "a series")
    name_lines(panels[-1])
    return figure


def _middle_of_gap(filled: np.ndarray) -> int:
    """Return the step in the middle of the longest gap."""
    starts, stops = runs(filled)
    if not len(starts):
        return len(filled) // 2
    longest = int(np.argmax(stops - starts))
    return int((starts[longest] + stops[longest] - 1) // 2)


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
    # With scipy: not at the import of the package, which this module is part of.
    from xgeoml import metrics

    picture = picture_class()
    several_of(estimates, "estimates")
    area = cell_area(truth, find_axes(truth))
    figure = picture(figsize=(7, 5), layout="constrained")
    errors, numbers = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    for name, estimate in estimates.items():
        made = metrics.error_by_count(truth, estimate, count, area)
        if not made.size:
            raise InputError(f"{name!r} has no value where the truth has one, on the same steps")
        errors.plot(made["count"], made, ".-", label=name)
    numbers.bar(made["count"], made["number"], color="0.7", width=0.8)
    units = pretty_units(truth.attrs.get("units"))
    errors.set_ylabel("mean absolute error" + (f" ({units})" if units else ""))
    errors.set_ylim(bottom=0)
    errors.legend(frameon=False)
    numbers.set(xlabel="number of observations", ylabel="values")
    return figure
