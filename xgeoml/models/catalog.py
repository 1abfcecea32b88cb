"""The specs of our own models. Plain values: reading this file imports no model and no torch."""

from __future__ import annotations

from xgeoml.spec import ModelSpec

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
    ),
)

BUILT_IN = {spec.name: spec for spec in _FILL_GAPS}
