"""Pictures of series at a place."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.exceptions import InputError
from xgeoml.grid import cell_area
from xgeoml.plot._choose import Chosen, GeoData, choose, in_pieces
from xgeoml.plot._clock import TimeLine, name_time, show_all, time_line
from xgeoml.plot._figures import Drawn, broken, label_of, picture_class
from xgeoml.plot._lines import draw_line, name_lines
from xgeoml.plot._places import At, free_dims, places_at
from xgeoml.provenance import FILLED, OBSERVED, SUSPECT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches of a panel.
_HEIGHT = 2.6


class Series(NamedTuple):
    """What is drawn at one place.

    Attributes
    ----------
    label : str
    values : ndarray, (time,)
    members : ndarray, (member, time)
        Of an ensemble; nothing else.
    flag, spread : ndarray, (time,), or None
    """

    label: str
    values: NDArray[np.float64]
    members: NDArray[np.float64]
    flag: NDArray[np.generic] | None
    spread: NDArray[np.float64] | None


def series(
    obj: GeoData,
    variable: Hashable | None = None,
    *,
    at: At = None,
    group: str | None = None,
    dims: Mapping[str, str] | None = None,
    interactive: bool = False,
    **coords: Any,
) -> Drawn:
    """Draw a variable against time at a place or several, with what was filled and how sure it is.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        Such as `fill_gaps` returns it, with ``<variable>_fill_flag`` and ``<variable>_spread``. Of
        lazy (dask) data only the series that are drawn are computed, the chunk in the middle where
        no place is given, and all, chunk by chunk, for a mean.
    variable : str, optional
        Of a Dataset; by default the first with an axis of time, one that was filled before others.
    at : mapping or "mean", optional
        Coordinates of a place, ``{"lat": -3, "lon": -60}``; the nearest cell is drawn. Lists of
        values are several places, one panel each. ``"mean"``: the mean over all cells that have a
        value at a step, by their area. By default the cell nearest to the middle among those with
        the most filled values; of lazy data within the chunk in the middle.
    group : str, optional
        Of a DataTree; by default the first with such a variable.
    dims : mapping, optional
        Axes that cannot be found out, such as ``{"T": "date"}``.
    interactive : bool
        Return an object of HoloViews to zoom into, which needs ``pip install hvplot``.
    **coords
        The same as `at`, as ``lat=-3, lon=-60``.

    Returns
    -------
    matplotlib.figure.Figure or holoviews object
        The band is the 90 % interval, 1.645 times the spread to both sides. Members of an ensemble
        are thin lines, their mean a thick one. The mean over an area has no band: how errors of
        neighbours go together is not known. A step of it counts as filled if more than half is.

    Raises
    ------
    MissingExtraError
        Without matplotlib, or hvplot if that is asked for.
    AxisError
        If there is no axis of time.
    InputError
        If there is no such variable or place.

    Examples
    --------
    >>> import xgeoml
    >>> record = xgeoml.datasets.grace_like(nlat=4, nlon=5)
    >>> full = record.geoml.fill_gaps("climatology", spread=True)
    >>> figure = full.geoml.plot.series(lat=-17, lon=-70)
    >>> figure.axes[0].get_title()
    '17.5° S, 70.5° W'
    """
    chosen = choose(obj, variable, group, dims, needs=("T",), purpose="a series")
    if at is not None and not isinstance(at, Mapping) and at != "mean":
        raise InputError(f"at={at!r}: expected such as {{'lat': 45, 'lon': 10}}, or 'mean'")
    if coords:
        if at is not None:
            raise InputError(
                f"at={at!r} and {', '.join(f'{k}={v!r}' for k, v in coords.items())}: expected a "
                "place in one of the two ways"
            )
        at = coords
    if at == "mean":
        drawn = [_mean(in_pieces(chosen))]
    else:
        drawn = [_one(chosen, place.where, place.label) for place in places_at(chosen, at)]
    time = str(chosen.time)
    coord = chosen.data.coords.get(time)
    stamps = np.arange(chosen.data.sizes[time]) if coord is None else coord.values
    line = time_line(stamps, coord, time)
    if interactive:
        from xgeoml.plot import _interactive

        return _interactive.series(line, drawn, label_of(chosen.data))
    return _draw(chosen, drawn, line)


def _one(chosen: Chosen, where: Mapping[str, int], label: str) -> Series:
    """Return the series at one place."""
    parts = {"data": chosen.data, "flag": chosen.flag, "spread": chosen.spread}
    there = {k: v.isel(where) for k, v in parts.items() if v is not None}
    bare = {k: v.drop_vars(list(v.coords)) for k, v in there.items()}
    found = xr.Dataset(bare).compute()
    order = ("member", chosen.time) if "member" in found["data"].dims else (chosen.time,)
    values = found["data"].transpose(*order).values.astype(np.float64)
    if values.ndim == 2:
        return Series(label, _known_mean(values), values, None, None)
    return Series(
        label,
        values,
        np.empty((0, len(values))),
        found["flag"].values if "flag" in found else None,
        found["spread"].values.astype(np.float64) if "spread" in found else None,
    )


def _mean(chosen: Chosen) -> Series:
    """Return the mean over all places by their area."""
    time, free = str(chosen.time), free_dims(chosen)
    if not free:
        return _one(chosen, {}, "")
    area = cell_area(chosen.data, chosen.axes)
    known = chosen.data.notnull()
    weights = (known * area).drop_vars(list(known.coords))
    others = [d for d in chosen.data.dims if d != time]
    bare = chosen.data.drop_vars(list(chosen.data.coords))
    parts = {"sum": (bare.fillna(0.0) * area).sum(others), "weight": weights.sum(others)}
    parts["cells"] = known.drop_vars(list(known.coords)).any(time).sum()
    if chosen.flag is not None:
        flag = chosen.flag.drop_vars(list(chosen.flag.coords))
        parts["filled"] = ((flag == FILLED) * area).sum(others)
        parts["suspect"] = (flag == SUSPECT).any(others)
    found = xr.Dataset(parts).compute()
    weight = found["weight"].values
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = found["sum"].values / weight
    state = None
    if chosen.flag is not None:
        state = np.full(len(mean), OBSERVED)
        state[found["suspect"].values] = SUSPECT
        state[found["filled"].values > 0.5 * weight] = FILLED
    label = f"mean over {int(found['cells'])} {'cells' if chosen.axes.space else 'places'}"
    return Series(label, mean, np.empty((0, len(mean))), state, None)


def _known_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of rows where they are known, NaN where none is."""
    known = np.isfinite(values)
    count, total = known.sum(0), np.where(known, values, 0.0).sum(0)
    mean = np.full(len(count), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean


def _draw(chosen: Chosen, drawn: list[Series], line: TimeLine) -> Figure:
    picture = picture_class()
    height = _HEIGHT * len(drawn) + 0.9
    figure = picture(figsize=(9.0, height), layout="constrained")
    panels = figure.subplots(len(drawn), 1, squeeze=False, sharex=True)[:, 0]
    for panel, one in zip(panels, drawn, strict=True):
        if len(one.members):
            panel.plot(line.places, one.members.T, color="0.7", lw=0.6, zorder=0)
            panel.lines[0].set_label(f"{len(one.members)} members")
        if len(one.members):
            panel.plot(line.places, one.values, color="0.1", lw=1.5, label="mean of the members")
        else:
            draw_line(panel, line.places, one.values, one.flag, one.spread)
        parts = (one.label, "" if np.isfinite(one.values).any() else "no value at all")
        panel.set_title(": ".join(filter(None, parts)), fontsize="medium")
        panel.set_ylabel(broken(label_of(chosen.data), _HEIGHT - 0.5))
        panel.margins(x=0.01)
        if not np.isfinite(one.values).any():
            show_all(panel, line)
    name_time(panels[-1], line)
    shown = max(panels, key=lambda p: len(p.get_legend_handles_labels()[1]))
    if len(shown.get_legend_handles_labels()[1]) > 1:
        name_lines(shown)
    return figure
