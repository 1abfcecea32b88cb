"""``.geoml`` on DataArray, Dataset and DataTree: each method calls the task it is named for."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import xarray as xr

from xgeoml import formatting, formatting_html
from xgeoml.accessor_fit import FitAndPlan
from xgeoml.accessor_plot import PlotAttribute
from xgeoml.axes import Axes
from xgeoml.engine.inversion import Amplitudes, Gaps
from xgeoml.months import Freq
from xgeoml.spec import Task
from xgeoml.tasks.choose import ModelLike, WeightsLike
from xgeoml.tasks.covariates import Covariates
from xgeoml.tasks.dispatch import GeoObject
from xgeoml.tasks.downscale import downscale
from xgeoml.tasks.fill_gaps import fill_gaps
from xgeoml.tasks.gaps import MaxGap
from xgeoml.tasks.greens import Impulse
from xgeoml.tasks.inspect import axes_of, models_for
from xgeoml.tasks.instants import Times, TimeStep
from xgeoml.tasks.interp_time import interp_time
from xgeoml.tasks.invert_waveform import invert_waveform
from xgeoml.tasks.inverting import GreensLike, Length
from xgeoml.tasks.refining import Conserve
from xgeoml.tasks.vectors import Vectors


class GeoMLAccessor(FitAndPlan[GeoObject]):
    """Methods of xgeoml on an xarray object. Keeps nothing but the object itself."""

    def __init__(self, obj: GeoObject) -> None:
        self._obj: GeoObject = obj

    def __repr__(self) -> str:
        """Describe what was found in the object."""
        return formatting.describe(self._obj)

    def _repr_html_(self) -> str:
        """Describe it for a notebook."""
        return formatting_html.describe_html(self._obj)

    @property
    def axes(self) -> Axes:
        """Which dim is which axis, and how each was found."""
        return axes_of(self._obj)

    plot = PlotAttribute()

    def models(self, task: Task | None = None) -> list[str]:
        return models_for(self._obj, task)

    def fill_gaps(
        self,
        model: ModelLike = "auto",
        *,
        weights: WeightsLike | None = None,
        variables: str | Sequence[Hashable] | None = None,
        covariates: Covariates = None,
        mask: str | xr.DataArray | None = None,
        max_gap: MaxGap | None = None,
        freq: Freq | None = None,
        spread: bool = False,
        dims: Mapping[str, str] | None = None,
        model_options: Mapping[str, Any] | None = None,
        device: str | None = None,
        batch_size: int | None = None,
        precision: str | None = None,
        progress: bool | None = None,
        seed: int | None = None,
    ) -> GeoObject:
        return fill_gaps(
            self._obj,
            model,
            weights=weights,
            variables=variables,
            covariates=covariates,
            mask=mask,
            max_gap=max_gap,
            freq=freq,
            spread=spread,
            dims=dims,
            model_options=model_options,
            device=device,
            batch_size=batch_size,
            precision=precision,
            progress=progress,
            seed=seed,
        )

    def downscale(
        self,
        factor: int | None = None,
        model: ModelLike = "auto",
        *,
        like: xr.DataArray | xr.Dataset | None = None,
        weights: WeightsLike | None = None,
        variables: str | Sequence[Hashable] | None = None,
        covariates: Covariates = None,
        terrain: bool = True,
        mask: str | xr.DataArray | None = None,
        conserve: Conserve = "auto",
        minimum: float | None = None,
        members: int | None = None,
        dims: Mapping[str, str] | None = None,
        model_options: Mapping[str, Any] | None = None,
        device: str | None = None,
        batch_size: int | None = None,
        precision: str | None = None,
        progress: bool | None = None,
        seed: int | None = None,
    ) -> GeoObject:
        return downscale(
            self._obj,
            factor,
            model,
            like=like,
            weights=weights,
            variables=variables,
            covariates=covariates,
            terrain=terrain,
            mask=mask,
            conserve=conserve,
            minimum=minimum,
            members=members,
            dims=dims,
            model_options=model_options,
            device=device,
            batch_size=batch_size,
            precision=precision,
            progress=progress,
            seed=seed,
        )

    def interp_time(
        self,
        freq: TimeStep | None = None,
        model: ModelLike = "auto",
        *,
        factor: int | None = None,
        times: Times | None = None,
        accumulated: bool = False,
        vectors: Vectors | None = None,
        weights: WeightsLike | None = None,
        variables: str | Sequence[Hashable] | None = None,
        terrain: bool = True,
        max_gap: MaxGap | None = None,
        dims: Mapping[str, str] | None = None,
        model_options: Mapping[str, Any] | None = None,
        device: str | None = None,
        batch_size: int | None = None,
        precision: str | None = None,
        progress: bool | None = None,
        seed: int | None = None,
    ) -> GeoObject:
        return interp_time(
            self._obj,
            freq,
            model,
            factor=factor,
            times=times,
            accumulated=accumulated,
            vectors=vectors,
            weights=weights,
            variables=variables,
            terrain=terrain,
            max_gap=max_gap,
            dims=dims,
            model_options=model_options,
            device=device,
            batch_size=batch_size,
            precision=precision,
            progress=progress,
            seed=seed,
        )

    def invert_waveform(
        self,
        model: ModelLike = "auto",
        *,
        greens: GreensLike | None = None,
        dim: str | Sequence[str] | None = None,
        positive: bool = True,
        length: Length | None = None,
        amplitudes: Amplitudes = "given",
        impulse: Impulse = "sample",
        resample: bool = False,
        gaps: Gaps = "raise",
        spread: bool = False,
        weights: WeightsLike | None = None,
        variables: str | Sequence[Hashable] | None = None,
        dims: Mapping[str, str] | None = None,
        model_options: Mapping[str, Any] | None = None,
        device: str | None = None,
        batch_size: int | None = None,
        precision: str | None = None,
        progress: bool | None = None,
        seed: int | None = None,
    ) -> GeoObject:
        return invert_waveform(
            self._obj,
            model,
            greens=greens,
            dim=dim,
            positive=positive,
            length=length,
            amplitudes=amplitudes,
            impulse=impulse,
            resample=resample,
            gaps=gaps,
            spread=spread,
            weights=weights,
            variables=variables,
            dims=dims,
            model_options=model_options,
            device=device,
            batch_size=batch_size,
            precision=precision,
            progress=progress,
            seed=seed,
        )


for _name, _function in {
    "models": models_for,
    "downscale": downscale,
    "fill_gaps": fill_gaps,
    "interp_time": interp_time,
    "invert_waveform": invert_waveform,
}.items():
    getattr(GeoMLAccessor, _name).__doc__ = _function.__doc__


class _Fresh:
    """``.geoml`` of an object, made each time it is asked for.

    An accessor that is registered with xarray is kept on the object, which it holds in turn: the
    object's data would stay in memory until Python looks for circles.
    """

    def __get__(self, obj: Any, owner: type) -> Any:
        return GeoMLAccessor if obj is None else GeoMLAccessor(obj)


def register(name: str = "geoml") -> None:
    """Give every xarray object its ``.geoml``."""
    for kind in (xr.DataArray, xr.Dataset, xr.DataTree):
        setattr(kind, name, _Fresh())
