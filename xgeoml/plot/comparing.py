"""Pictures of data before and after a task."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.axes import require
from xgeoml.calendars import read_clock
from xgeoml.exceptions import GeoMLError, InputError
from xgeoml.plot._choose import Chosen, GeoData, choose, in_pieces
from xgeoml.plot._clock import median_step, nearest_step, stamp, time_line
from xgeoml.plot._figures import Drawn, label_of, with_units, words_of
from xgeoml.plot._grid import Grid, grid_of, same_cells
from xgeoml.plot._maps import finite_values, one_map
from xgeoml.plot._order import check_order, check_step
from xgeoml.plot._panels import Row, Shown, draw_beside, draw_table
from xgeoml.plot._quantities import SPREAD, look_of, look_of_difference, style_of
from xgeoml.plot.missing import observed_of, runs
from xgeoml.plot.seismograms import greens_of, waveforms
from xgeoml.provenance import FILLED
from xgeoml.tasks.inspect import seismograms_in

# Of the usual step of the data before: steps shorter than this lie between them.
_BETWEEN = 0.75
# And longer than this: they are means of several.
_MEANS = 5.0
# Fields between two given ones that are drawn.
_MOST_BETWEEN = 3


class _Pair(NamedTuple):
    """A variable before and after, on the same axes."""

    before: Chosen
    after: Chosen
    cmap: str | None


def compare(
    before: GeoData,
    after: GeoData,
    variable: Hashable | None = None,
    *,
    time: Any = None,
    group: str | None = None,
    dims: Mapping[str, str] | None = None,
    cmap: str | None = None,
    coast: bool = True,
    interactive: bool = False,
) -> Drawn:
    """Draw maps of data before and after a task beside each other, with one scale of colours.

    What is drawn depends on what was done. Gaps filled: the step before and after, and the spread,
    else which cells were filled. A finer grid: coarse and fine. Steps between: those around, some
    between, and how they differ from the first. Means of months: the mean of what there is, the
    result, and their difference. Anything else on the same cells: the difference. Sources of
    seismograms: as `waveforms`.

    Parameters
    ----------
    before, after : DataArray, Dataset or DataTree
        Such as the input and the result of `fill_gaps`. Of lazy (dask) data after only the steps
        that are drawn are computed; of those before also what tells which step that is, chunk by
        chunk: with `time` nothing else.
    variable : str, optional
        Of Datasets; by default the first of `after` that has both axes of a map.
    time : str, date or number, optional
        The step nearest to it is drawn, ``"2017-09"``. By default that with the largest gap; the
        interval with the largest change; for finer grids the step with the largest contrast.
    group : str, optional
        Of DataTrees; by default the first with such a variable.
    dims : mapping, optional
        Axes that cannot be found out, such as ``{"X": "i", "Y": "j"}``.
    cmap : str, optional
        Colours by name in matplotlib; by default those that go with the quantity.
    coast : bool
        As in `gaps`.
    interactive : bool
        Return an object of HoloViews to zoom into, which needs ``pip install hvplot``.

    Returns
    -------
    matplotlib.figure.Figure or holoviews object
        Colours reach from the 1st to the 99th percentile of both. Of dims besides time and those of
        the map the first position is drawn; the title tells which.

    Raises
    ------
    MissingExtraError
        Without matplotlib, or hvplot if that is asked for.
    AxisError
        If there are no axes of a map.
    InputError
        If there is no such variable or time, grids and times have nothing to do with each other,
        or `before` is the result and `after` what it was made from.

    Examples
    --------
    >>> import xgeoml
    >>> record = xgeoml.datasets.grace_like(nlat=4, nlon=5)
    >>> full = record.geoml.fill_gaps("climatology")
    >>> figure = record.geoml.plot.compare(full, time="2017-09")
    >>> [panel.get_title() for panel in figure.axes[:3]]
    ['before', 'after', 'which cells were filled']
    """
    one = isinstance(before, xr.DataArray)
    own = None if one else variable
    early = choose(before, own, group, dims, wants=("Y", "X"), purpose="a comparison")
    if seismograms_in(early.data) is not None:
        return _waves(before, after, variable, early, interactive)
    named = None if isinstance(after, xr.DataArray) else variable
    late = choose(after, named, group, dims, wants=("Y", "X"), purpose="a comparison")
    if not one and variable is None:
        shared = _shared(before, late)
        early = choose(before, shared, group, dims, wants=("Y", "X"), purpose="a comparison")
    for chosen in (early, late):
        if not chosen.axes.space and chosen.time is not None:
            raise InputError(
                f"{chosen.name!r} has the dims {tuple(map(str, chosen.data.dims))}, no map; type "
                "after.geoml.plot.series(), or .gaps()"
            )
        require(chosen.axes, "Y", "X", purpose="a comparison of maps")
    check_order(early, late)
    title, rows, table = _rows(_Pair(early, late, cmap), time)
    if interactive:
        from xgeoml.plot import _interactive

        return _interactive.maps(rows, title)
    draw = draw_table if table else draw_beside
    return draw(rows, coast=coast and not (early.invented or late.invented), title=title)


def _rows(pair: _Pair, time: Any) -> tuple[str, list[Row], bool]:
    """Return the title, the rows of maps, and whether these are as long as each other."""
    early, late = pair.before, pair.after
    same = same_cells(grid_of(early.data, early.axes), grid_of(late.data, late.axes))
    if early.time is None or late.time is None:
        if time is not None:
            raise InputError(f"time={time!r}: the data have no axis of time; leave it out")
        return _one_step(pair, None, None, same)
    old, new = early.data[early.time], late.data[late.time]
    for chosen in (early, late):
        if chosen.time not in chosen.data.coords:
            raise InputError(
                f"the axis of time {chosen.time!r} has no coordinate; expected dates, by which "
                "steps before and after are found"
            )
    if same and late.flag is None:
        share = median_step(new) / median_step(old) if min(old.size, new.size) > 1 else 1.0
        if share < _BETWEEN:
            return _between(pair, time)
        if share > _MEANS:
            return _months(pair, time)
    if late.flag is not None and same and median_step(new) > _MEANS * median_step(old):
        return _months(pair, time)
    step = nearest_step(new, time) if time is not None else _telling_step(early, late, same)
    return _one_step(pair, _same_time(old, new, step), step, same)


def _one_step(
    pair: _Pair, first: int | None, second: int | None, same: bool
) -> tuple[str, list[Row], bool]:
    """Return the maps of one step; `first` is None where the data before have no such step."""
    early, late = pair.before, pair.after
    absent = second is not None and first is None
    late, told = _at_step(late, second)
    new = late.data
    old = _at_step(early, first)[0].data
    grids = [grid_of(old, early.axes), grid_of(new, late.axes)]
    values = finite_values([old, new])
    if same and not absent and late.flag is None:
        # Of lazy data nothing else was looked at.
        check_step(*values)
    shown = values[1:] if absent else values
    style = style_of(look_of(late.data), shown, pair.cmap)
    names = ("before", "after") if same else ("coarse", "fine")
    if not same and values[0].size > values[1].size:
        names = ("before", "after")
    panels = [
        Shown(names[0], grids[0], None if absent else values[0]),
        Shown(names[1], grids[1], values[1]),
    ]
    rows = [Row(panels, style, label_of(late.data))]
    if same:
        rows.append(_beside(late, grids[1], None if absent else values[0], values[1]))
    when = "" if second is None else _stamp(pair.after, second)
    return ", ".join(filter(None, (when, told))), rows, False


def _beside(
    late: Chosen, grid: Grid, before: NDArray[np.float64] | None, after: NDArray[np.float64]
) -> Row:
    """Return the panel at the right of a step: spread, flags, or the difference."""
    if late.flag is not None:
        if late.spread is not None:
            (values,) = finite_values([late.spread])
            if np.isfinite(values).any():
                label = with_units("one standard deviation", late.data.attrs)
                panel = Shown("spread of filled cells", grid, values)
                return Row([panel], style_of(SPREAD, [values]), label)
        values = late.flag.values.astype(np.float64)
        # Cells that hold nothing before and after, such as land, are no gaps.
        values = np.where(np.isfinite(after) | (values == FILLED), values, np.nan)
        return Row([Shown("which cells were filled", grid, values)], None, "")
    off = after - (np.full(after.shape, np.nan) if before is None else before)
    style = style_of(look_of_difference(late.data), [off])
    label = with_units("after - before", late.data.attrs)
    return Row([Shown("difference", grid, off)], style, label)


def _between(pair: _Pair, time: Any) -> tuple[str, list[Row], bool]:
    """Return given steps and some between them, and below how they differ from the first."""
    early, late = pair.before, pair.after
    old, new = early.data[early.time], late.data[late.time]
    given = time_line(old.values, old, str(early.time)).places
    made = time_line(new.values, new, str(late.time)).places
    inside = [int(((made > a) & (made < b)).sum()) for a, b in pairwise(given)]
    if not any(inside):
        raise InputError("after has no step between those of before; expected such of interp_time")
    if time is None:
        start = _largest_change(early, np.array(inside) > 0)
    else:
        wanted = made[nearest_step(new, time)]
        start = int(np.clip(np.searchsorted(given, wanted, side="right") - 1, 0, len(given) - 2))
    steps = np.flatnonzero((made > given[start]) & (made < given[start + 1]))
    every = np.linspace(0, len(steps) - 1, min(len(steps), _MOST_BETWEEN)).round().astype(int)
    between = steps[np.unique(every)]
    given_maps = _several_steps(early, [start, start + 1])
    made_maps = _several_steps(late, [int(k) for k in between])
    maps = [given_maps[0], *made_maps, given_maps[1]]
    values = finite_values(maps)
    grid = grid_of(maps[0], early.axes)
    stamps = [
        f"{stamp(m[early.time].values, old if k in (0, len(maps) - 1) else new)}"
        for k, m in enumerate(maps)
    ]
    kinds = ["given", *["between"] * (len(maps) - 2), "given"]
    panels = [Shown(f"{w}\n{k}", grid, v) for w, k, v in zip(stamps, kinds, values, strict=True)]
    change = [v - values[0] for v in values]
    first = Row(panels, style_of(look_of(late.data), values, pair.cmap), label_of(late.data))
    below = [None, *(Shown("", grid, v) for v in change[1:])]
    label = with_units(f"change since {stamps[0]}", late.data.attrs)
    second = Row(below, style_of(look_of_difference(late.data), change[1:]), label)
    return words_of(late.data), [first, second], True


def _months(pair: _Pair, time: Any) -> tuple[str, list[Row], bool]:
    """Return the mean of what there is of a month, the result, and their difference."""
    early, late = pair.before, pair.after
    old, new = early.data[early.time], late.data[late.time]
    try:
        of_old, of_new = read_clock(old.values).month, read_clock(new.values).month
    except GeoMLError as error:
        raise InputError(
            "before has steps many times shorter than after; expected dates"
        ) from error
    there = np.isin(of_new, of_old)
    if not there.any():
        raise InputError("before and after have no month in common; expected the same record")
    if time is None:
        known = observed_of(in_pieces(early))
        count = _bare(known).sum([d for d in known.dims if d != early.time]).compute().values
        share = [
            count[of_old == m].mean() if t else np.inf for m, t in zip(of_new, there, strict=True)
        ]
        step = int(np.argmin(share))
    else:
        step = nearest_step(new, time)
    days = np.flatnonzero(of_old == of_new[step])
    if not days.size:
        raise InputError(f"time={time!r}: before has no step in that month")
    mean = early.data.isel({str(early.time): days}).mean(str(early.time), keep_attrs=True)
    first, told = one_map(mean, early.axes)
    second = _at_step(late, step)[0].data
    values = finite_values([first, second])
    grid = grid_of(second, late.axes)
    panels = [
        Shown(f"mean of the {days.size} steps before", grid, values[0]),
        Shown("after", grid, values[1]),
    ]
    off = values[1] - values[0]
    rows = [
        Row(panels, style_of(look_of(late.data), values, pair.cmap), label_of(late.data)),
        Row(
            [Shown("difference", grid, off)],
            style_of(look_of_difference(late.data), [off]),
            with_units("after - before", late.data.attrs),
        ),
    ]
    return ", ".join(filter(None, (_stamp(late, step), told))), rows, False


def _at_step(chosen: Chosen, step: int | None) -> tuple[Chosen, str]:
    """Return a step as a map with what lies beside it, computed at once, and which in words."""
    parts = {"data": chosen.data, "flag": chosen.flag, "spread": chosen.spread}
    made, told = {}, ""
    for key, part in parts.items():
        if part is not None:
            if chosen.time in part.dims:
                part = part.isel({str(chosen.time): step or 0})
            made[key], told = one_map(part, chosen.axes)
    names = {key: made[key].name for key in made}
    coords = made["data"].coords
    bare = {k: v.variable for k, v in made.items()}
    found = xr.Dataset(bare, coords.drop_vars([n for n in bare if n in coords])).compute()
    arrays = {k: found[k].rename(names[k]) for k in bare}
    kept = chosen._replace(
        data=arrays["data"], flag=arrays.get("flag"), spread=arrays.get("spread")
    )
    return kept, told


def _several_steps(chosen: Chosen, steps: list[int]) -> list[xr.DataArray]:
    """Return steps as maps, computed at once."""
    time = str(chosen.time)
    fields, _ = one_map(chosen.data.isel({time: steps}), chosen.axes, keep=(time,))
    found = fields.compute()
    return [found.isel({time: k}) for k in range(len(steps))]


def _stamp(chosen: Chosen, step: int) -> str:
    coord = chosen.data[chosen.time]
    return stamp(coord.values[step], coord)


def _telling_step(early: Chosen, late: Chosen, same: bool) -> int:
    """Return the step with the largest gap, else that with the most contrast."""
    early, late = in_pieces(early), in_pieces(late)
    old, new = early.data[early.time], late.data[late.time]
    at = [_same_time(old, new, k) for k in range(new.size)]
    others = [d for d in early.data.dims if d != early.time]
    if late.flag is not None and same:
        if late.flag.chunks is None:
            flag_others = [d for d in late.flag.dims if d != late.time]
            score = (late.flag == FILLED).sum(flag_others).values.astype(np.float64)
        else:
            # What is known before is read; the flags would have to be computed.
            known = _bare(observed_of(early)).sum(others).compute().values
            score = -np.array([0 if k is None else known[k] for k in at], np.float64)
        starts, stops = runs(score == score.max())
        longest = int(np.argmax(stops - starts))
        return int((starts[longest] + stops[longest] - 1) // 2)
    contrast = _bare(early.data).std(others).compute().values
    found = [np.nan if k is None else contrast[k] for k in at]
    if all(k is None for k in at):
        raise InputError("before and after have no time in common; expected the same record")
    if np.isnan(found).all():
        return next(step for step, k in enumerate(at) if k is not None)
    return int(np.nanargmax(found))


def _largest_change(early: Chosen, allowed: NDArray[np.bool_]) -> int:
    """Return the interval of the data before in which they change most."""
    early = in_pieces(early)
    others = [d for d in early.data.dims if d != early.time]
    steps: xr.DataArray = abs(_bare(early.data).astype(np.float64).diff(str(early.time)))
    change = steps.mean(others)
    found = np.where(allowed, change.compute().values, np.nan)
    return int(np.nanargmax(found)) if np.isfinite(found).any() else int(np.argmax(allowed))


def _same_time(old: xr.DataArray, new: xr.DataArray, step: int) -> int | None:
    """Return the step of `old` with the stamp of a step of `new`; None without one."""
    found = np.flatnonzero(old.values == new.values[step])
    return int(found[0]) if found.size else None


def _bare(data: xr.DataArray) -> xr.DataArray:
    return data.drop_vars(list(data.coords))


def _shared(before: GeoData, late: Chosen) -> Hashable | None:
    """Return the name of the variable after, if the data before have it, too."""
    if isinstance(before, xr.DataTree):
        return late.name if any(late.name in node for node in before.subtree) else None
    return late.name if isinstance(before, xr.Dataset) and late.name in before else None


def _waves(
    before: GeoData, after: GeoData, variable: Hashable | None, early: Chosen, interactive: bool
) -> Drawn:
    """Draw records and what their source makes of them."""
    if interactive:
        raise InputError("interactive=True: seismograms are drawn without; expected False")
    if isinstance(after, xr.DataTree):
        raise InputError("after is a DataTree of seismograms; expected one group, tree['name']")
    if greens_of(early.dataset, None) is None:
        raise InputError(
            "records are compared with what the source makes of them, which needs the Green's "
            "functions; type before.geoml.plot.waveforms(after, greens=...)"
        )
    return waveforms(before, after, variable=variable)
