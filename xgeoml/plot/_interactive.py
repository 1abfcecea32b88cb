"""The same pictures to zoom into, by hvplot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from xgeoml.exceptions import MissingExtraError
from xgeoml.plot._clock import TimeLine, edges_of
from xgeoml.plot._figures import FILLED_COLOUR, HALF_90, OBSERVED_COLOUR
from xgeoml.plot._grid import Grid, grid_of
from xgeoml.plot._panels import FLAGS, Row
from xgeoml.provenance import FILLED

if TYPE_CHECKING:
    from xgeoml.plot.at_a_place import Series

_WIDTH = 300


def check_hvplot() -> None:
    """Give pandas and xarray objects their ``.hvplot``.

    Raises
    ------
    MissingExtraError
        Without hvplot.
    """
    try:
        import hvplot.pandas
        import hvplot.xarray  # noqa: F401
    except ImportError as error:
        missing = MissingExtraError("interactive", "interactive=True", "hvplot")
        missing.add_note("or: pip install hvplot")
        raise missing from error


def gaps(
    line: TimeLine, observed: NDArray[np.float64], filled: NDArray[np.float64], cells: xr.DataArray
) -> Any:
    """Return the share observed at each step above the map of how often each cell is."""
    check_hvplot()
    # Both ends of each step, or the shares of neighbours would run into each other.
    ends = line._replace(places=np.repeat(edges_of(line.places), 2)[1:-1])
    columns = {"none": 0.0 * observed, "observed": observed, "filled": observed + filled}
    table = pd.DataFrame({k: np.repeat(v, 2) for k, v in columns.items()}, _times(ends))
    shares = None
    kinds = [("none", "observed", OBSERVED_COLOUR)]
    if filled.any():
        kinds.append(("observed", "filled", FILLED_COLOUR))
    for low, high, colour in kinds:
        area = table.hvplot.area(
            y=low,
            y2=high,
            color=colour,
            line_alpha=0,
            label=high,
            ylabel="area observed (%)",
            xlabel="",
            frame_width=2 * _WIDTH,
            frame_height=_WIDTH // 2,
        )
        shares = area if shares is None else shares * area
    label = "steps observed (%)"
    drawn = _mesh(cells.values, grid_of(cells), ("viridis", 0.0, 100.0), "", label)
    return (shares + drawn).cols(1)


def series(line: TimeLine, drawn: Sequence[Series], label: str) -> Any:
    """Return lines with the 90 % interval, below each other."""
    check_hvplot()
    made = []
    for one in drawn:
        table = pd.DataFrame({"value": one.values}, _times(line))
        options = {"title": one.label, "ylabel": label, "xlabel": "", "frame_width": 2 * _WIDTH}
        picture = table.hvplot.line(y="value", color="gray", line_width=1, **options)
        if one.spread is not None:
            sure = np.where(np.isfinite(one.spread), HALF_90 * one.spread, 0.0)
            band = pd.DataFrame({"low": one.values - sure, "high": one.values + sure}, _times(line))
            area = band.hvplot.area(
                y="low", y2="high", color=FILLED_COLOUR, alpha=0.3, line_width=0
            )
            picture = area * picture
        if one.flag is not None:
            for label_of_kind, colour, which in (
                ("observed", OBSERVED_COLOUR, one.flag != FILLED),
                ("filled", FILLED_COLOUR, one.flag == FILLED),
            ):
                dots = table[which].rename(columns={"value": label_of_kind})
                if len(dots):
                    picture = picture * dots.hvplot.scatter(
                        y=label_of_kind, color=colour, size=12, label=label_of_kind
                    )
        made.append(picture)
    if len(made) == 1:
        return made[0]
    stacked = made[0]
    for picture in made[1:]:
        stacked = stacked + picture
    return stacked.cols(1)


def maps(rows: Sequence[Row], title: str) -> Any:
    """Return maps beside each other, with linked axes."""
    check_hvplot()
    made = []
    for row in rows:
        for shown in row.panels:
            if shown is None or shown.values is None:
                continue
            flags = [FLAGS[k][1] for k in sorted(FLAGS)], -0.5, len(FLAGS) - 0.5
            colours = flags if row.style is None else row.style[:3]
            label = row.label or ", ".join(f"{k} {FLAGS[k][0]}" for k in sorted(FLAGS))
            name = shown.title.replace("\n", ", ")
            made.append(_mesh(shown.values, shown.grid, colours, name, label))
    layout = made[0]
    for picture in made[1:]:
        layout = layout + picture
    each = {len(row.panels) for row in rows}
    columns = each.pop() if len(rows) > 1 and len(each) == 1 else len(made)
    return layout.cols(columns).opts(title=title) if len(made) > 1 else layout


def _mesh(
    values: NDArray[np.float64],
    grid: Grid,
    colours: tuple[Any, float, float],
    title: str,
    label: str,
) -> Any:
    """Return a map."""
    east, north = grid.middles
    flat = north.ndim == 1
    names = ("latitude", "longitude") if grid.degrees else grid.labels
    if grid.pole:
        names = ("up from the pole (°)", "right of the pole (°)")
    dims = names if flat else ("row", "column")
    data = xr.DataArray(
        values,
        {names[0]: (dims[0] if flat else dims, north)}
        | {names[1]: (dims[1] if flat else dims, east)},
        dims,
        # Scales of one name would be one scale.
        label,
    )
    cmap, low, high = colours
    return data.hvplot.quadmesh(
        x=names[1],
        y=names[0],
        cmap=cmap,
        clim=(low, high),
        title=title,
        clabel=label,
        frame_width=_WIDTH,
        frame_height=int(min(max(_WIDTH * grid.shape, _WIDTH // 2), 2 * _WIDTH)),
    ).opts(bgcolor="lightgray")


def _times(line: TimeLine) -> Any:
    if not line.dated:
        return pd.Index(line.places, name=line.label or "time")
    return pd.DatetimeIndex(pd.to_datetime(line.places, unit="D"), name="time")
