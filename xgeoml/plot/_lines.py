"""Series with what was filled, and how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xgeoml.plot._figures import FILLED_COLOUR, HALF_90
from xgeoml.provenance import FILLED, SUSPECT

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel

Floats = NDArray[np.float64]

# Steps above which dots would become a band.
_DOTS = 1500


def draw_line(
    panel: Panel,
    places: Floats,
    values: Floats,
    flag: NDArray[np.generic] | None,
    spread: Floats | None,
) -> None:
    """Draw a series: observed and filled values, and the 90 % interval of what has a spread.

    Parameters
    ----------
    panel : Axes
    places, values : ndarray, (time,)
    flag : ndarray, (time,), optional
        As `fill_gaps` returns it.
    spread : ndarray, (time,), optional
        One standard deviation; NaN where the value was observed.
    """
    small = len(values) <= _DOTS
    if spread is not None:
        sure = np.where(np.isfinite(spread), HALF_90 * spread, 0.0)
        # The band narrows to nothing at the observed values on both sides of a gap.
        panel.fill_between(
            places,
            values - sure,
            values + sure,
            color=FILLED_COLOUR,
            alpha=0.28,
            lw=0,
            zorder=0,
            label="90 % interval",
        )
    panel.plot(places, values, color="0.6" if small else "0.35", lw=0.9, zorder=1)
    filled = np.zeros(len(values), np.bool_) if flag is None else flag == FILLED
    suspect = np.zeros(len(values), np.bool_) if flag is None else flag == SUSPECT
    size = 4.0 if len(values) <= _DOTS // 3 else 2.5
    if small or flag is not None:
        panel.plot(
            places[~filled], values[~filled], ".", color="0.2", ms=size, label="observed", zorder=2
        )
    if filled.any():
        panel.plot(
            places[filled],
            values[filled],
            ".",
            color=FILLED_COLOUR,
            ms=size + 1.5,
            label="filled",
            zorder=3,
        )
    if suspect.any():
        panel.plot(
            places[suspect],
            values[suspect],
            "x",
            color="k",
            ms=6,
            label="observed, suspect",
            zorder=3,
        )


def name_below(panel: Panel) -> None:
    """Write the legend of a panel of a sheet below its ticks, where it hides nothing."""
    from matplotlib.transforms import ScaledTranslation

    words, dpi = panel.xaxis.get_tightbbox(), panel.figure.dpi
    drop = 0.0 if words is None else (panel.bbox.y0 - words.y0) / dpi
    down = ScaledTranslation(0.0, -drop, panel.figure.dpi_scale_trans)
    panel.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        bbox_transform=panel.transAxes + down,
        ncols=4,
        frameon=False,
        fontsize="small",
    )


def name_lines(panel: Panel) -> None:
    """Write the legend below the ticks, where it hides nothing."""
    panel.figure.legend(
        *panel.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize="small",
    )
