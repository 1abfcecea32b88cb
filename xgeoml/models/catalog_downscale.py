"""The specs of our models of downscaling."""

from __future__ import annotations

from xgeoml.spec import AxisSpec, Channel, ModelSpec
from xgeoml.weights.releases import release


def _tiles(halo: int) -> tuple[AxisSpec, ...]:
    """Return the axes of a model that serves any grid, and sees `halo` cells around a tile."""
    return AxisSpec("Y", "tile", 64, halo=halo), AxisSpec("X", "tile", 64, halo=halo)


# Of a model that knows two grids, the coarse one and that of its target.
_GRIDS = (AxisSpec("Y"), AxisSpec("X"))

_NETWORK_TILES = (AxisSpec("Y", "tile", 48, halo=8), AxisSpec("X", "tile", 48, halo=8))

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
        citation="Hoerl and Kennard (1970), Technometrics 12, 55-67",
    ),
    ModelSpec(
        name="gaussian_process",
        task="downscale",
        factory="xgeoml.models.gaussian_process:GaussianProcess",
        backend="numpy",
        axes=(*_GRIDS, AxisSpec("T", "tile", 1, halo=4)),
        covariates=True,
        summary="regression of each point on the cells and steps around it, linear and by likeness",
        citation="Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, MIT",
    ),
    ModelSpec(
        name="conv_baseline",
        task="downscale",
        factory="xgeoml.models.conv_baseline:ConvBaseline",
        axes=_NETWORK_TILES,
        inputs=(
            Channel("value"),
            Channel("validity"),
            Channel("estimate", "bicubic"),
            Channel("covariates"),
        ),
        outputs=("residual",),
        covariates=True,
        scaling="training",
        options={"width": 64},
        summary="convolutions and up-convolutions that correct bicubic interpolation; fit it first",
        citation="after DeepR, arXiv 2410.12728",
        license="Apache-2.0",
    ),
    ModelSpec(
        name="swin2sr",
        task="downscale",
        factory="xgeoml.models.swin2sr:Swin2SR",
        axes=_NETWORK_TILES,
        inputs=(
            Channel("value"),
            Channel("validity"),
            Channel("estimate", "bicubic"),
            Channel("covariates"),
        ),
        outputs=("residual",),
        covariates=True,
        scaling="training",
        options={"embed": 60, "depths": [4, 4], "heads": [6, 6], "window": 8, "mlp": 2.0},
        summary="attention within shifted windows that corrects bicubic; fit it first",
        citation="Conde et al. (2022), arXiv 2209.11345; DeepR, arXiv 2410.12728",
        license="Apache-2.0",
    ),
    ModelSpec(
        name="ddpm",
        task="downscale",
        factory="xgeoml.models.ddpm:Ddpm",
        axes=_GRIDS,
        inputs=(
            Channel("value"),
            Channel("validity"),
            Channel("season"),
            Channel("day"),
            Channel("estimate", "ridge"),
            Channel("covariates"),
        ),
        outputs=("residual",),
        covariates=True,
        scaling="training",
        options={
            "unet": "tailored",
            "time": "cyclical",
            "scheduler": "ddim",
            "steps": 16,
            "prediction": "velocity",
            "residual": True,
        },
        summary="denoising diffusion: an ensemble around a fitted estimate; fit it first",
        citation="Ho, Jain and Abbeel (2020), NeurIPS 33, 6840-6851; DeepR, arXiv 2410.12728",
        license="Apache-2.0",
    ),
    ModelSpec(
        name="subgrid",
        task="downscale",
        factory="xgeoml.models.subgrid:Subgrid",
        axes=_tiles(3),
        # Coarse covariates would tell nothing: of static ones, on the fine grid, any number.
        inputs=(Channel("value"), Channel("validity"), Channel("covariates")),
        outputs=("value",),
        options={"width": 144, "layers": 3, "degree": 5},
        weights=release("subgrid@1.0").ref,
        covariates=True,
        terrain=True,
        summary="network for any field and factor: polynomials within each cell",
        citation="after Harder et al. (2023), J. Mach. Learn. Res. 24, 372 (exact means)",
        license="Apache-2.0",
    ),
)
