"""The specs of our own models. Plain values: reading this file imports no model and no torch."""

from __future__ import annotations

from xgeoml.models.catalog_downscale import DOWNSCALE
from xgeoml.models.catalog_in_time import IN_TIME
from xgeoml.models.catalog_waveforms import WAVEFORMS
from xgeoml.spec import AxisSpec, Channel, ModelSpec
from xgeoml.weights.releases import release

_FILL_GAPS = (
    ModelSpec(
        name="linear",
        task="fill_gaps",
        factory="xgeoml.models.linear:Linear",
        backend="numpy",
        summary="linear in time between the neighbouring observed steps",
    ),
    ModelSpec(
        name="climatology",
        task="fill_gaps",
        factory="xgeoml.models.climatology:Climatology",
        backend="numpy",
        options={"drivers": False},
        summary="trend and harmonics of the year (and day) by robust least squares",
        citation="Holland and Welsch (1977), Commun. Stat. Theory Methods 6, 813-827",
    ),
    ModelSpec(
        name="regression",
        task="fill_gaps",
        factory="xgeoml.models.climatology:Climatology",
        backend="numpy",
        covariates=True,
        summary="climatology, and the response to drivers stored in reservoirs of several ages",
    ),
    ModelSpec(
        name="dineof",
        task="fill_gaps",
        factory="xgeoml.models.dineof:Dineof",
        backend="numpy",
        summary="empirical orthogonal functions, number of modes by cross-validation",
        citation="Beckers and Rixen (2003), J. Atmos. Oceanic Technol. 20, 1839-1856",
    ),
    ModelSpec(
        name="kalman",
        task="fill_gaps",
        factory="xgeoml.models.kalman:Kalman",
        backend="numpy",
        covariates=True,
        summary="Kalman smoother in the space of the leading patterns",
        citation="Rauch, Tung and Striebel (1965), AIAA J. 3, 1445-1450",
    ),
    ModelSpec(
        name="kalman_alone",
        task="fill_gaps",
        factory="xgeoml.models.kalman:Kalman",
        backend="numpy",
        options={"drivers": False},
        listed=False,
        summary="kalman, blind to covariates: a second opinion for networks",
    ),
    ModelSpec(
        name="oi",
        task="fill_gaps",
        factory="xgeoml.models.oi:OptimalInterpolation",
        backend="numpy",
        axes=(
            AxisSpec("Y", "tile", window=8, halo=9),
            AxisSpec("X", "tile", window=8, halo=9),
            AxisSpec("T"),
        ),
        covariates=True,
        summary="optimal interpolation from what is seen nearby in space and time, over kalman",
        citation="Bretherton, Davis and Fandry (1976), Deep-Sea Res. 23, 559-582",
    ),
    ModelSpec(
        name="grace_tf",
        task="fill_gaps",
        factory="xgeoml.models.grace_tf:GraceTF",
        axes=(AxisSpec("T", minimum=24),),
        inputs=(
            Channel("value"),
            Channel("validity"),
            Channel("years"),
            Channel("estimate", "kalman"),
            Channel("spread", "kalman"),
            Channel("estimate", "regression"),
            Channel("spread", "regression"),
            Channel("estimate", "kalman_alone"),
            Channel("spread", "kalman_alone"),
            # Covariates reach it through its base models alone: filters of its own learnt the few
            # months by heart (errors 9 % below kalman there, 0 to 3 % in months held out).
        ),
        outputs=("residual", "log_spread"),
        options={
            "bases": 3,
            "d_model": 64,
            "layers": 3,
            "heads": 2,
            "ffn": 192,
            "kernel": 13,
            "driver_width": 0,
            "attention": "full",
            "causal": False,
            "dropout": 0.25,
        },
        weights=release("grace_tf@1.1").ref,
        covariates=True,
        version="1.1",
        summary="transformer on each series that corrects the Kalman smoother",
        citation="after Wang and Zhang (2024), Remote Sensing of Environment 315, 114465",
        license="Apache-2.0",
    ),
    ModelSpec(
        name="climanet",
        task="fill_gaps",
        factory="xgeoml.models.climanet:ClimaNet",
        axes=(
            # Six months: with twelve errors were no smaller.
            AxisSpec("T", "window", 31 * 6, 31 * 3, coarsen=31),
            AxisSpec("Y", "window", 32, 16),
            AxisSpec("X", "window", 32, 16),
        ),
        inputs=(Channel("value"), Channel("validity"), Channel("years"), Channel("exists")),
        outputs=("value", "log_spread"),
        options={
            "width": 48,
            "patch": 4,
            "heads": 4,
            "layers": 2,
            "hidden": 32,
            "overlap": 2,
            "cycles": 2,
            "dropout": 0.0,
        },
        weights=release("climanet@1.0").ref,
        summary="months of days: attention over what clouds left, on top of successive correction",
        citation="after ClimaNet, ESMValGroup; Cressman (1959), Mon. Wea. Rev. 87, 367-374",
        license="Apache-2.0",
    ),
)

SPECS = (*_FILL_GAPS, *DOWNSCALE, *IN_TIME, *WAVEFORMS)
# By name; of one that models of several tasks have, the first.
BUILT_IN = {spec.name: spec for spec in reversed(SPECS)}
