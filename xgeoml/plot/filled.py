"""Pictures of a filled record."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from xgeoml.axes import find_axes
from xgeoml.exceptions import InputError
from xgeoml.grid import cell_area
from xgeoml.plot._choose import Chosen, GeoData, choose
from xgeoml.plot._clock import name_time, stamp, time_line
from xgeoml.plot._figures import broken, label_of, picture_class, pretty_units, several_of
from xgeoml.plot._grid import grid_of
from xgeoml.plot._lines import draw_line, name_below
from xgeoml.plot._maps import draw_map, finite_values
from xgeoml.plot._places import best_place, free_dims
from xgeoml.plot._quantities import look_of, style_of
from xgeoml.plot._sheet import Sheet
from xgeoml.plot.missing import runs
from xgeoml.provenance import FILLED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches of the map at most, of the height of the series, and of a title above a narrow map.
_MAP, _SERIES, _TITLE = (7.4, 4.2), 2.6, 3.0


def filled_record(
    obj: GeoData,
    variable: Hashable | None = None,
    *,
    group: str | None = None,
    dims: Mapping[str, str] | None = None,
    cmap: str | None = None,
    coast: bool = True,
) -> Figure:
    """Draw a map of a filled step, and a series with its spread.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        As `fill_gaps` returns it, with ``<variable>_fill_flag`` and, for the band around the
        series, ``<variable>_spread``. Of lazy (dask) data only the step and the series that are
        drawn are computed, and the chunk in the middle to find them.
    variable : str, optional
        Of a Dataset; by default the first that was filled.
    group : str, optional
        Of a DataTree; by default the first with such a variable.
    dims : mapping, optional
        Axes that cannot be found out, such as ``{"T": "date"}``.
    cmap : str, optional
        Colours of the map, by name in matplotlib.
    coast : bool
        As in `gaps`.

    Returns
    -------
    matplotlib.figure.Figure
        The series is that of the cell in the middle among those that were filled most, the map
        that in the middle of its longest gap. `compare` has the same map beside what was there
        before, `series` the series of other places.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    AxisError
        If there is no axis of time.
    InputError
        If there is no such variable, or no flag variable beside it.

    Examples
    --------
    >>> import xgeoml
    >>> full = xgeoml.datasets.grace_like(nlat=4, nlon=5).geoml.fill_gaps("climatology")
    >>> full.geoml.plot.filled_record().axes[0].get_title()
    '2017-12: 100% of this map was filled in'
    """
    chosen = choose(obj, variable, group, dims, needs=("T",), purpose="the picture")
    if chosen.flag is None:
        raise InputError(
            f"{chosen.name}_fill_flag is not beside {chosen.name!r}; expected the result of "
            f".geoml.fill_gaps(), found {list(map(str, chosen.dataset.variables))[:8]}"
        )
    picture_class()
    time, axes = str(chosen.time), chosen.axes
    members = [str(d) for d in chosen.data.dims if d == "member"]
    cell = best_place(chosen, [*free_dims(chosen), *members])
    series = _computed(chosen, cell)
    step = _middle_of_gap(series["flag"] == FILLED)
    sheet, has_map = Sheet(), len(axes.space) == 2
    if has_map:
        grid = grid_of(chosen.data, axes)
        width, height = grid.fitted(*_MAP)
        above = sheet.panel(0, 0, width, height)
        panel = sheet.wide(1, _MAP[0], _SERIES, width)
        others = {d: i for d, i in cell.items() if d not in axes.space}
        field = _computed(chosen, {time: step, **others})
        filled = (field["flag"] == FILLED).sum() / max(np.isfinite(field["data"]).sum(), 1)
        style = style_of(look_of(chosen.data), [field["data"]], cmap)
        mesh = draw_map(above, field["data"], grid, style, coast=coast and not chosen.invented)
        told = f"{_when(chosen.data, time, step)}: {filled:.0%} of this map was filled in"
        above.set_title(broken(told, max(width, _TITLE)), fontsize="medium")
        at = tuple(cell[d] for d in axes.space)
        x, y = (
            places[at] if places.ndim == 2 else places[at[k]]
            for places, k in zip(grid.middles, (1, 0), strict=True)
        )
        above.plot(x, y, marker="o", mfc="none", mec="k", ms=9, mew=1.5)
        sheet.scale(mesh, style, label_of(chosen.data), [0], 1)
    else:
        panel = sheet.panel(0, 0, _MAP[0], _SERIES)
    coord = chosen.data.coords.get(time)
    stamps = np.arange(chosen.data.sizes[time]) if coord is None else coord.values
    line = time_line(stamps, coord, time)
    draw_line(panel, line.places, series["data"], series["flag"], series.get("spread"))
    panel.margins(x=0.01)
    name_time(panel, line)
    panel.set_ylabel(broken(label_of(chosen.data), _SERIES))
    panel.set_title("the series at the circle" if has_map else "a series", fontsize="medium")
    name_below(panel)
    return sheet.finish()


def _computed(chosen: Chosen, where: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Return values, flags and spread at some positions, computed at once; Y before X."""
    parts = {"data": chosen.data, "flag": chosen.flag, "spread": chosen.spread}
    there = {k: v.isel(where) for k, v in parts.items() if v is not None}
    order = [d for d in (chosen.time, *chosen.axes.space) if d in there["data"].dims]
    bare = {k: v.transpose(*order).drop_vars(list(v.coords)) for k, v in there.items()}
    found = xr.Dataset(bare).compute()
    numbers = [k for k in found.data_vars if k != "flag"]
    made = dict(zip(numbers, finite_values(found[k] for k in numbers), strict=True))
    return {str(k): v for k, v in made.items()} | {"flag": found["flag"].values}


def _when(data: xr.DataArray, time: str, step: int) -> str:
    coord = data.coords.get(time)
    return f"{time} {step}" if coord is None else stamp(coord.values[step], coord)


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
