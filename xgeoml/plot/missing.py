"""Pictures of what is missing."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.exceptions import AxisError, GeoMLError, InputError
from xgeoml.grid import cell_area
from xgeoml.plot._choose import Chosen, GeoData, choose, in_pieces
from xgeoml.plot._clock import TimeLine, edges_of, name_time, stamp, time_line
from xgeoml.plot._figures import (
    ABSENT_COLOUR,
    FILLED_COLOUR,
    MISSING_COLOUR,
    OBSERVED_COLOUR,
    Drawn,
    broken,
    picture_class,
    shortened,
)
from xgeoml.plot._grid import grid_of
from xgeoml.plot._lines import name_below
from xgeoml.plot._maps import draw_map
from xgeoml.plot._quantities import Look, style_of
from xgeoml.plot._sheet import Sheet
from xgeoml.provenance import FILLED, UNFILLED
from xgeoml.steps import infer_steps
from xgeoml.times import check_time

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.figure import Figure

# States of a value, in the order in which the worst of several is shown.
_OBSERVED, _FILLED, _MISSING, _ABSENT = range(4)
_STATES = ("observed", "filled", "missing", "absent step")
_COLOURS = (OBSERVED_COLOUR, FILLED_COLOUR, MISSING_COLOUR, ABSENT_COLOUR)
_SHARE = Look("viridis")
# Columns of an image at most: more cannot be seen, and one missing sample would be lost.
_COLUMNS = 1500
# Inches of the map at most, and of the shares of the area above it.
_MAP, _SHARES = (6.4, 4.2), 2.0
# Rows that are named, and inches of a row and of all rows.
_NAMED_ROWS, _ROW, _HIGHEST = 36, 0.2, 7.0


class _Record(NamedTuple):
    """How much is known at each step, and of each cell.

    Attributes
    ----------
    line : TimeLine
        Of all steps, absent ones included.
    stamps : ndarray, (time,)
    observed, filled : ndarray, (time,)
        Percent of the area that ever holds a value.
    absent : ndarray of bool, (time,)
    freq : str
    cells : DataArray
        Percent of the steps at which each cell was observed; NaN where it never holds a value.
    missing, made, never : float
        Shares of the values that are missing and that were filled, of the cells that ever hold one,
        and of the cells that never do. The text of ``.geoml`` counts them in the same way.
    """

    line: TimeLine
    stamps: NDArray[Any]
    observed: NDArray[np.float64]
    filled: NDArray[np.float64]
    absent: NDArray[np.bool_]
    freq: str
    cells: xr.DataArray
    missing: float
    made: float
    never: float


def gaps(
    obj: GeoData,
    variable: Hashable | None = None,
    *,
    group: str | None = None,
    dims: Mapping[str, str] | None = None,
    cmap: str | None = None,
    coast: bool = True,
    interactive: bool = False,
) -> Drawn:
    """Draw where and when values are missing.

    Of fields it draws how much of their area is observed at each step, with steps that are absent
    from the record, and how often each cell is. Of stations, seismograms and single series it draws
    each value. What `fill_gaps` has filled is told apart by its flag variable.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        All of it is read, of lazy (dask) data and large files that are open a piece at a time, of
        which only how much is known is kept.
    variable : str, optional
        Of a Dataset; by default the first with an axis of time, one that was filled before others.
    group : str, optional
        Of a DataTree; by default the first with such a variable.
    dims : mapping, optional
        Axes that cannot be found out, such as ``{"T": "date"}``.
    cmap : str, optional
        Colours of the map, by name in matplotlib.
    coast : bool
        Draw coast lines on a map of latitudes and longitudes: those of cartopy if they are on this
        machine, else those of `xgeoml.terrain`; none where the map is smaller than two degrees, nor
        on the records of `xgeoml.datasets`, whose shores are invented.
    interactive : bool
        Return an object of HoloViews to zoom into, which needs ``pip install hvplot``.

    Returns
    -------
    matplotlib.figure.Figure or holoviews object
        Cells that never hold a value, such as land where the sea is measured, are left out of the
        share of the area, and are grey on the map.

    Raises
    ------
    MissingExtraError
        Without matplotlib, or hvplot if that is asked for.
    InputError, AxisError
        If there is no such variable, or it has neither an axis of time nor both axes of a map.

    Examples
    --------
    >>> import xgeoml
    >>> record = xgeoml.datasets.grace_like(nlat=4, nlon=5)
    >>> figure = record.geoml.plot.gaps()
    >>> figure.axes[0].get_ylabel()
    'area observed (%)'
    """
    chosen = choose(obj, variable, group, dims, wants=("T",), purpose="a picture of gaps")
    chosen = in_pieces(chosen)
    both = len(chosen.axes.space) == 2
    if chosen.time is None and not both:
        raise AxisError(
            f"{chosen.name!r} has the dims {tuple(map(str, chosen.data.dims))}, none of which is "
            "known to be an axis of time, nor two those of a map; type dims={'T': 'its name'}"
        )
    if both:
        record = _record(chosen)
        if interactive:
            from xgeoml.plot import _interactive

            return _interactive.gaps(record.line, record.observed, record.filled, record.cells)
        return _draw_fields(chosen, record, cmap, coast)
    if interactive:
        raise InputError(
            "interactive=True: expected fields with latitude and longitude; stations and single "
            "series are drawn without it, .geoml.plot.gaps(), or as .geoml.plot.series("
            "interactive=True)"
        )
    return _draw_values(chosen)


def observed_of(chosen: Chosen) -> xr.DataArray:
    """Return where a variable was observed: known, and not filled."""
    if chosen.flag is None:
        return chosen.data.notnull()
    return chosen.data.notnull() & (chosen.flag != FILLED) & (chosen.flag != UNFILLED)


def all_steps(coord: xr.DataArray | None) -> tuple[NDArray[Any], NDArray[np.bool_], str]:
    """Return the stamps of a record with its absent ones, which these are, and its frequency."""
    if coord is None:
        return np.empty(0), np.empty(0, np.bool_), ""
    try:
        check_time(coord)
        steps = infer_steps(coord)
    except GeoMLError:
        return coord.values, np.zeros(coord.size, np.bool_), ""
    return steps.stamps, steps.added, steps.freq


def _record(chosen: Chosen) -> _Record:
    """Return how much is known; one pass over lazy data."""
    data, time = chosen.data, chosen.time
    parts = {"observed": observed_of(chosen)}
    if chosen.flag is not None:
        parts["filled"] = chosen.flag == FILLED
    area = cell_area(data, chosen.axes)
    space = [d for d in data.dims if d != time]
    wanted = {}
    for key, part in parts.items():
        wanted[f"{key} by step"] = (part * area).sum(space)
        wanted[f"{key} by cell"] = part.sum([d for d in data.dims if d == time])
    known = xr.Dataset({k: v.drop_vars(list(v.coords)) for k, v in wanted.items()}).compute()
    often = known["observed by cell"]
    often = often if "filled" not in parts else often + known["filled by cell"]
    ever = often > 0
    whole = float((ever * area).sum()) or 1.0
    coord = data.coords.get(time) if time is not None else None
    stamps, absent, freq = all_steps(coord)
    if coord is None or time is None:
        count = 1 if time is None else data.sizes[time]
        stamps, absent = np.arange(count), np.zeros(count, np.bool_)
    shares = {}
    for key in ("observed", "filled"):
        share = np.zeros(len(stamps))
        if key in parts:
            share[~absent] = 100.0 * known[f"{key} by step"].values / whole
        shares[key] = share
    others = [d for d in space if d not in chosen.axes.space]
    places = {n: c for n, c in data.coords.items() if set(c.dims) <= set(chosen.axes.space)}
    # Of an ocean, say, the levels that are below its floor do not count.
    many = len(stamps) * ever.sum(others)
    cells = 100.0 * known["observed by cell"].sum(others) / many.where(many > 0)
    cells = cells.transpose(*chosen.axes.space).assign_coords(places)
    cells.attrs = {"long_name": "share of steps observed", "units": "%"}
    line = time_line(stamps, coord, str(time))
    # Without time no cell can be told to be seen at another step.
    all_of_them = max(int(many.sum()), 1) if time is not None else often.size
    return _Record(
        line,
        stamps,
        shares["observed"],
        shares["filled"],
        absent,
        freq,
        cells,
        missing=1.0 - float(often.sum()) / all_of_them,
        made=float(known["filled by cell"].sum()) / all_of_them if "filled" in parts else 0.0,
        never=1.0 - float(ever.mean()) if time is not None else 0.0,
    )


def _draw_fields(chosen: Chosen, record: _Record, cmap: str | None, coast: bool) -> Figure:
    sheet, grid = Sheet(), grid_of(record.cells, chosen.axes)
    width, height = grid.fitted(*_MAP)
    several = len(record.stamps) > 1
    if several:
        above = sheet.wide(0, _MAP[0], _SHARES, width)
        _draw_shares(above, chosen, record)
    below = sheet.panel(int(several), 0, width, height)
    style = style_of(_SHARE, [record.cells.values], cmap)._replace(
        low=0.0, high=100.0, extend="neither"
    )
    mesh = draw_map(below, record.cells.values, grid, style, coast=coast and not chosen.invented)
    sheet.scale(mesh, style, "steps observed (%)", [int(several)], 1)
    return sheet.finish("" if several else _headline(chosen, record))


def _draw_shares(panel: Panel, chosen: Chosen, record: _Record) -> None:
    """Draw the share of the area that is observed, and filled, at each step."""
    edges = edges_of(record.line.places)
    top = record.observed + record.filled
    if chosen.flag is not None:
        panel.stairs(top, edges, fill=True, color=FILLED_COLOUR, label="filled")
    panel.stairs(record.observed, edges, fill=True, color=OBSERVED_COLOUR, label="observed")
    starts, stops = runs(record.absent)
    for k, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        label = f"absent steps ({int(record.absent.sum())})" if k == 0 else None
        panel.axvspan(
            edges[start], edges[stop], ymax=1.0, color=ABSENT_COLOUR, alpha=0.45, lw=0, label=label
        )
    panel.set_ylim(0.0, 100.0)
    panel.set_xlim(edges[0], edges[-1])
    panel.set_ylabel("area observed (%)")
    panel.set_facecolor(MISSING_COLOUR)
    inches = panel.bbox.width / panel.figure.dpi
    panel.set_title(broken(_headline(chosen, record), inches, lines=5), fontsize="medium")
    name_time(panel, record.line)
    if chosen.flag is not None or record.absent.any():
        name_below(panel)


def _headline(chosen: Chosen, record: _Record) -> str:
    """Return how much is missing, of which cells, and the longest gap."""
    steps = len(record.stamps)
    parts = [f"{shortened(chosen.name)}: {_missing(record.missing)}"]
    if record.never and record.missing < 1.0:
        parts[0] += " where ever seen"
        parts.append(f"{_percent(record.never)} of the cells never seen")
    if record.made:
        parts.append(f"{_percent(record.made)} filled")
    if steps == 1 and chosen.time in chosen.data.coords:
        parts.append(stamp(record.stamps[0], _coord(record.stamps)))
    elif record.absent.any():
        parts.append(f"{int(record.absent.sum())} of {steps} {record.freq} steps absent")
    elif steps > 1:
        parts.append(f"{steps} {record.freq} steps".replace("  ", " "))
    starts, stops = runs(record.observed == 0.0)
    if len(starts) and record.missing < 1.0:
        at = int(np.argmax(stops - starts))
        first, last = (
            stamp(record.stamps[k], _coord(record.stamps)) for k in (starts[at], stops[at] - 1)
        )
        many = int(stops[at] - starts[at])
        parts.append(
            f"longest gap {many} steps, {first} to {last}" if many > 1 else f"gap at {first}"
        )
    return "; ".join(parts)


def _missing(share: float) -> str:
    if share in (0.0, 1.0):
        return "no value at all" if share else "complete"
    return f"{_percent(share)} missing"


def _percent(share: float) -> str:
    """Return a share in percent; what is little is not none, and what is nearly all is not all."""
    if 0.0 < share < 0.0005:
        return "under 0.1 %"
    return "over 99.9 %" if 0.9995 <= share < 1.0 else f"{100.0 * share:.1f} %"


def runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where runs of True start, and the positions after their ends."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return edges[::2], edges[1::2]


def _coord(stamps: NDArray[Any]) -> xr.DataArray:
    return xr.DataArray(stamps, dims="time")


def _draw_values(chosen: Chosen) -> Figure:
    """Draw the state of each value: rows of stations, columns of time."""
    states, stamps, coord = _states(chosen)
    line = time_line(stamps, coord, str(chosen.time))
    names = _row_names(chosen)
    from matplotlib.colors import ListedColormap

    picture = picture_class()
    height = min(max(_ROW * len(states), 0.6), _HIGHEST)
    figure = picture(figsize=(9.0, height + 1.5), layout="constrained")
    panel = figure.subplots()
    shown, edges = _thinned(states, edges_of(line.places))
    panel.pcolormesh(
        edges,
        np.arange(len(states) + 1) - 0.5,
        shown,
        cmap=ListedColormap(list(_COLOURS)),
        vmin=-0.5,
        vmax=len(_STATES) - 0.5,
        rasterized=True,
    )
    panel.set_ylim(len(states) - 0.5, -0.5)
    every = -(-len(states) // _NAMED_ROWS)
    panel.set_yticks(np.arange(len(states))[::every], names[::every])
    panel.tick_params(axis="y", length=0, labelsize="small")
    panel.set_ylabel(", ".join(str(d) for d in chosen.data.dims if d != chosen.time))
    share = 100.0 * np.mean(states <= _FILLED, axis=1)
    right = panel.secondary_yaxis("right")
    right.set_yticks(np.arange(len(states))[::every], [f"{s:.3g} %" for s in share[::every]])
    right.tick_params(length=0, labelsize="small")
    right.set_ylabel("known")
    _name_states(panel, states)
    name_time(panel, line)
    missing = _missing(float(np.mean(states >= _MISSING)))
    absent = int((states[0] == _ABSENT).sum())
    told = f"; {absent} of {states.shape[1]} steps absent" if absent else ""
    panel.set_title(f"{shortened(chosen.name)}: {missing}{told}", fontsize="medium")
    return figure


def _states(chosen: Chosen) -> tuple[NDArray[np.int8], NDArray[Any], xr.DataArray | None]:
    """Return the states of all values, (row, time), the stamps, and the coordinate of time."""
    data, time = chosen.data, str(chosen.time)
    parts = {"known": data.notnull()}
    if chosen.flag is not None:
        parts["filled"] = chosen.flag == FILLED
    bare = {k: v.transpose(..., time).drop_vars(list(v.coords)) for k, v in parts.items()}
    known = xr.Dataset(bare).compute()
    flat = {k: v.values.reshape(-1, data.sizes[time]) for k, v in known.items()}
    coord = data.coords.get(time)
    if coord is None or _is_sampled(chosen):
        stamps = np.arange(data.sizes[time]) if coord is None else coord.values
        absent = np.zeros(len(stamps), np.bool_)
    else:
        stamps, absent, _ = all_steps(coord)
    states = np.full((len(flat["known"]), len(stamps)), _ABSENT, np.int8)
    states[:, ~absent] = np.where(flat["known"], _OBSERVED, _MISSING)
    if "filled" in flat:
        there = states[:, ~absent]
        there[flat["filled"]] = _FILLED
        states[:, ~absent] = there
    return states, stamps, coord


def _is_sampled(chosen: Chosen) -> bool:
    """Whether the steps are samples of a clock that misses none, as those of seismograms."""
    from xgeoml.tasks.inspect import seismograms_in

    return seismograms_in(chosen.data) is not None


def _row_names(chosen: Chosen) -> list[str]:
    """Return what is written beside the rows."""
    others = [d for d in chosen.data.dims if d != chosen.time]
    if not others:
        return [""]
    columns: list[Sequence[str]] = []
    for dim in others:
        values = (
            chosen.data[dim].values if dim in chosen.data.coords else range(chosen.data.sizes[dim])
        )
        columns.append([f"{v:g}" if isinstance(v, float) else str(v) for v in values])
    meshed = np.meshgrid(*[np.array(c, object) for c in columns], indexing="ij")
    return [" / ".join(map(str, row)) for row in zip(*(m.ravel() for m in meshed), strict=True)]


def _thinned(
    states: NDArray[np.int8], edges: NDArray[np.float64]
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Return the worst state of several steps where there are more than can be seen."""
    every = -(-states.shape[1] // _COLUMNS)
    if every == 1:
        return states, edges
    starts = np.arange(0, states.shape[1], every)
    return np.maximum.reduceat(states, starts, axis=1), np.append(edges[starts], edges[-1])


def _name_states(panel: Panel, states: NDArray[np.int8]) -> None:
    from matplotlib.patches import Patch

    there = [k for k in range(len(_STATES)) if (states == k).any()]
    handles = [
        Patch(facecolor=_COLOURS[k], edgecolor="0.5", lw=0.4, label=_STATES[k]) for k in there
    ]
    panel.figure.legend(
        handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize="small"
    )
