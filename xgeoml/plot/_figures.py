"""What all pictures share."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.exceptions import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure


def label_of(data: xr.DataArray) -> str:
    name = data.attrs.get("long_name", data.name)
    units = data.attrs.get("units")
    return f"{name} ({units})" if units else str(name)


def draw_map(
    panel: Panel, field: xr.DataArray, limits: tuple[float | None, float | None], cmap: str
) -> QuadMesh:
    """Draw a field, (y, x); missing cells are grey."""
    y, x = field.dims
    mesh = panel.pcolormesh(
        _places(field, x),
        _places(field, y),
        field.values,
        cmap=cmap,
        vmin=limits[0],
        vmax=limits[1],
        shading="nearest",
    )
    panel.set_facecolor("0.85")
    return mesh


def name_axes(panel: Panel, field: xr.DataArray) -> None:
    """Write along a map what its rows and columns are."""
    y, x = field.dims
    panel.set_xlabel(label_of(field[x]) if x in field.coords else str(x))
    panel.set_ylabel(label_of(field[y]) if y in field.coords else str(y))


def _places(field: xr.DataArray, dim: object) -> NDArray[np.generic]:
    return field[dim].values if dim in field.coords else np.arange(field.sizes[dim])


def picture_class() -> type[Figure]:
    """Return the class of figures that notebooks show, whether pyplot was used before or not."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("plot", "drawing", "matplotlib") from error

    class Picture(Figure):
        def _repr_png_(self) -> bytes:
            made = io.BytesIO()
            self.savefig(made, format="png")
            return made.getvalue()

    return Picture
