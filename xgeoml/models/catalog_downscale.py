"""The specs of our models of downscaling."""

from __future__ import annotations

from xgeoml.spec import AxisSpec, ModelSpec


def _tiles(halo: int) -> tuple[AxisSpec, ...]:
    """Return the axes of a model that serves any grid, and sees `halo` cells around a tile."""
    return AxisSpec("Y", "tile", 64, halo=halo), AxisSpec("X", "tile", 64, halo=halo)


# Of a model that knows two grids, the coarse one and that of its target.
_GRIDS = (AxisSpec("Y"), AxisSpec("X"))

DOWNSCALE = (
    ModelSpec(
        name="nearest",
        task="downscale",
        factory="xgeoml.models.interpolation:Nearest",
        backend="numpy",
        axes=_tiles(1),
        summary="the value of the coarse cell",
    ),
    ModelSpec(
        name="bilinear",
        task="downscale",
        factory="xgeoml.models.interpolation:Bilinear",
        backend="numpy",
        axes=_tiles(5),
        summary="linear between the centres of the nearest cells",
    ),
    ModelSpec(
        name="bicubic",
        task="downscale",
        factory="xgeoml.models.interpolation:Bicubic",
        backend="numpy",
        axes=_tiles(7),
        summary="cubic convolution of the 4 x 4 nearest cells",
        citation="Keys (1981), IEEE Trans. Acoust. Speech Signal Process. 29, 1153-1160",
    ),
    ModelSpec(
        name="conservative",
        task="downscale",
        factory="xgeoml.models.interpolation:Conservative",
        backend="numpy",
        axes=_tiles(11),
        summary="smooth surface whose means over the coarse cells are the coarse values",
        citation="Boneva, Kendall and Stefanov (1971), J. R. Stat. Soc. B 33, 1-70",
    ),
    ModelSpec(
        name="delta",
        task="downscale",
        factory="xgeoml.models.delta:Delta",
        backend="numpy",
        axes=_GRIDS,
        summary="interpolation, and what it lacks on average at the season and the hour",
    ),
    ModelSpec(
        name="ridge",
        task="downscale",
        factory="xgeoml.models.ridge:Ridge",
        backend="numpy",
        axes=_GRIDS,
        covariates=True,
        summary="ridge regression of each point on the 5 x 5 coarse cells around it",
    ),
    ModelSpec(
        name="gaussian_process",
        task="downscale",
        factory="xgeoml.models.gaussian_process:GaussianProcess",
        backend="numpy",
        axes=(*_GRIDS, AxisSpec("T", "tile", 1, halo=4)),
        covariates=True,
        summary="regression of each point on the cells and steps around it, linear and by likeness",
    ),
)
