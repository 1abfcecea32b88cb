"""The specs of our models of interpolation in time."""

from __future__ import annotations

from xgeoml.spec import AxisSpec, Channel, ModelSpec
from xgeoml.weights.releases import release

IN_TIME = (
    ModelSpec(
        name="linear",
        task="interp_time",
        factory="xgeoml.models.splines:Linear",
        backend="numpy",
        # A gap of more steps than the halo has is not bridged.
        axes=(AxisSpec("T", "tile", 32, halo=8),),
        summary="linear in time between the steps on either side",
    ),
    ModelSpec(
        name="cubic",
        task="interp_time",
        factory="xgeoml.models.splines:Cubic",
        backend="numpy",
        axes=(AxisSpec("T", "tile", 32, halo=8),),
        summary="cubic spline through the steps",
        citation="de Boor (1978), A Practical Guide to Splines, Springer",
    ),
    ModelSpec(
        name="akima",
        task="interp_time",
        factory="xgeoml.models.splines:Akima",
        backend="numpy",
        axes=(AxisSpec("T", "tile", 32, halo=8),),
        summary="Akima's curve through the steps, which does not swing beyond them",
        citation="Akima (1970), J. ACM 17, 589-602",
    ),
    ModelSpec(
        name="diurnal",
        task="interp_time",
        factory="xgeoml.models.diurnal:Diurnal",
        backend="numpy",
        axes=(AxisSpec("T", "tile", 32, halo=8), AxisSpec("Y"), AxisSpec("X")),
        summary="a curve through what the daily cycle leaves, and the cycle; fit it first",
    ),
    ModelSpec(
        name="ridge",
        task="interp_time",
        factory="xgeoml.models.ridge_in_time:RidgeInTime",
        backend="numpy",
        axes=(AxisSpec("T", "tile", 32, halo=8), AxisSpec("Y"), AxisSpec("X")),
        summary="ridge regression on the fields around, season and hour; fit it first",
        citation="Hoerl and Kennard (1970), Technometrics 12, 55-67",
    ),
    ModelSpec(
        name="optical_flow",
        task="interp_time",
        factory="xgeoml.models.optical_flow:OpticalFlow",
        backend="numpy",
        axes=(AxisSpec("T", "tile", 8, halo=2), AxisSpec("Y"), AxisSpec("X")),
        summary="both steps moved along the motion between them",
        citation="after Lucas and Kanade (1981), IJCAI, 674-679",
    ),
    ModelSpec(
        name="temdeep",
        task="interp_time",
        factory="xgeoml.models.temdeep:TemDeep",
        axes=(AxisSpec("T", "tile", 8, halo=4), AxisSpec("Y"), AxisSpec("X")),
        inputs=(Channel("value"), Channel("estimate", "optical_flow")),
        options={"width": 40, "dilations": [1, 2, 4, 1], "bases": 3},
        weights=release("temdeep@1.0").ref,
        terrain=True,
        fitted_with=("diurnal", "ridge", "temdeep"),
        summary="network that knows the sun, the motion and the steps around",
        citation="after Wang et al. (2025), Geosci. Model Dev. 18, 2427-2442",
        license="Apache-2.0",
    ),
)
