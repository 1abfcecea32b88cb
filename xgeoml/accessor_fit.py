"""The methods of ``.geoml`` that return no data: `fit`, `evaluate` and `plan`."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Generic, Literal

import xarray as xr

from xgeoml.engine.inversion import Amplitudes, Gaps
from xgeoml.model import Model
from xgeoml.months import Freq
from xgeoml.spec import Scaling, Task
from xgeoml.tasks.choose import ModelLike, WeightsLike
from xgeoml.tasks.contenders import Fits, Metrics, Models, Regions
from xgeoml.tasks.covariates import Covariates
from xgeoml.tasks.dispatch import GeoObject
from xgeoml.tasks.evaluate import evaluate
from xgeoml.tasks.fit import fit
from xgeoml.tasks.instants import Times, TimeStep
from xgeoml.tasks.inverting import GreensLike, Length
from xgeoml.tasks.plan import AnyPlan, plan
from xgeoml.tasks.vectors import Vectors
from xgeoml.train.settings import Schedule


class FitAndPlan(Generic[GeoObject]):
    """What `GeoMLAccessor` inherits: a model of the object, scores of models, a call's plan."""

    _obj: GeoObject

    def fit(
        self,
        model: ModelLike,
        *,
        target: xr.DataArray | xr.Dataset | None = None,
        greens: GreensLike | None = None,
        dim: str | Sequence[str] | None = None,
        positive: bool = True,
        amplitudes: Amplitudes = "given",
        variables: str | Sequence[Hashable] | None = None,
        covariates: Covariates = None,
        vectors: Vectors | None = None,
        start: ModelLike | None = None,
        validation: float = 0.15,
        max_epochs: int | None = None,
        max_time: float | str | timedelta | None = None,
        patience: int | None = None,
        learning_rate: float | None = None,
        schedule: Schedule = "cosine",
        warm_up: int | None = None,
        clip: float | None = 1.0,
        accumulate: int = 1,
        steps: int | None = None,
        patterns: int = 200,
        scaling: Scaling | None = None,
        devices: int | Literal["auto"] = "auto",
        nodes: int = 1,
        logdir: str | os.PathLike[str] | None = None,
        resume: str | os.PathLike[str] | None = None,
        dims: Mapping[str, str] | None = None,
        model_options: Mapping[str, Any] | None = None,
        device: str | None = None,
        batch_size: int | None = None,
        precision: str | None = None,
        progress: bool | None = None,
        seed: int | None = None,
    ) -> Model:
        return fit(
            self._obj,
            model,
            target=target,
            greens=greens,
            dim=dim,
            positive=positive,
            amplitudes=amplitudes,
            variables=variables,
            covariates=covariates,
            vectors=vectors,
            start=start,
            validation=validation,
            max_epochs=max_epochs,
            max_time=max_time,
            patience=patience,
            learning_rate=learning_rate,
            schedule=schedule,
            warm_up=warm_up,
            clip=clip,
            accumulate=accumulate,
            steps=steps,
            patterns=patterns,
            scaling=scaling,
            devices=devices,
            nodes=nodes,
            logdir=logdir,
            resume=resume,
            dims=dims,
            model_options=model_options,
            device=device,
            batch_size=batch_size,
            precision=precision,
            progress=progress,
            seed=seed,
        )

    def evaluate(
        self,
        task: Task,
        models: Models = None,
        *,
        holdout: Any = None,
        repeats: int | None = None,
        period: slice | tuple[Any, Any] | None = None,
        fit: Fits = None,
        baselines: bool = True,
        variable: Hashable | None = None,
        covariates: Covariates = None,
        freq: Freq | None = None,
        factor: int | None = None,
        target: xr.DataArray | None = None,
        greens: GreensLike | None = None,
        dim: str | Sequence[str] | None = None,
        length: Length | None = None,
        arguments: Mapping[str, Any] | None = None,
        metrics: Metrics = None,
        regions: Regions = None,
        dims: Mapping[str, str] | None = None,
        device: str | None = None,
        batch_size: int | None = None,
        precision: str | None = None,
        progress: bool | None = None,
        seed: int | None = None,
    ) -> xr.Dataset:
        return evaluate(
            self._obj,
            task,
            models,
            holdout=holdout,
            repeats=repeats,
            period=period,
            fit=fit,
            baselines=baselines,
            variable=variable,
            covariates=covariates,
            freq=freq,
            factor=factor,
            target=target,
            greens=greens,
            dim=dim,
            length=length,
            arguments=arguments,
            metrics=metrics,
            regions=regions,
            dims=dims,
            device=device,
            batch_size=batch_size,
            precision=precision,
            progress=progress,
            seed=seed,
        )

    def plan(
        self,
        task: Task = "fill_gaps",
        model: ModelLike = "auto",
        *,
        weights: WeightsLike | None = None,
        variable: Hashable | None = None,
        covariates: Covariates = None,
        freq: Freq | TimeStep | None = None,
        spread: bool = False,
        factor: int | None = None,
        like: xr.DataArray | xr.Dataset | None = None,
        members: int | None = None,
        times: Times | None = None,
        accumulated: bool = False,
        greens: GreensLike | None = None,
        dim: str | Sequence[str] | None = None,
        length: Length | None = None,
        amplitudes: Amplitudes = "given",
        resample: bool = False,
        gaps: Gaps = "raise",
        dims: Mapping[str, str] | None = None,
        model_options: Mapping[str, Any] | None = None,
        device: str | None = None,
        batch_size: int | None = None,
    ) -> AnyPlan:
        return plan(
            self._obj,
            task,
            model,
            weights=weights,
            variable=variable,
            covariates=covariates,
            freq=freq,
            spread=spread,
            factor=factor,
            like=like,
            members=members,
            times=times,
            accumulated=accumulated,
            greens=greens,
            dim=dim,
            length=length,
            amplitudes=amplitudes,
            resample=resample,
            gaps=gaps,
            dims=dims,
            model_options=model_options,
            device=device,
            batch_size=batch_size,
        )


FitAndPlan.fit.__doc__ = fit.__doc__
FitAndPlan.evaluate.__doc__ = evaluate.__doc__
FitAndPlan.plan.__doc__ = plan.__doc__
