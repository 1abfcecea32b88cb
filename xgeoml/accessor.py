"""``.geoml`` on DataArray, Dataset and DataTree: each method calls the task it is named for."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

import xarray as xr

from xgeoml import formatting
from xgeoml.axes import Axes
from xgeoml.spec import Task
from xgeoml.tasks.choose import ModelLike
from xgeoml.tasks.covariates import Covariates
from xgeoml.tasks.fill_gaps import fill_gaps
from xgeoml.tasks.gaps import MaxGap
from xgeoml.tasks.inspect import axes_of, models_for
from xgeoml.tasks.plan import TaskPlan, plan

GeoObject = TypeVar("GeoObject", xr.DataArray, xr.Dataset, xr.DataTree)


class GeoMLAccessor(Generic[GeoObject]):
    """Methods of xgeoml on an xarray object. Keeps nothing but the object itself."""

    def __init__(self, obj: GeoObject) -> None:
        self._obj: GeoObject = obj

    def __repr__(self) -> str:
        """Describe what was found in the object."""
        return formatting.describe(self._obj)

    @property
    def axes(self) -> Axes:
        """Which dim is which axis, and how each was found."""
        return axes_of(self._obj)

    def models(self, task: Task | None = None) -> list[str]:
        return models_for(self._obj, task)

    def fill_gaps(
        self,
        model: ModelLike = "auto",
        *,
        variables: str | Sequence[Hashable] | None = None,
        covariates: Covariates = None,
        mask: str | xr.DataArray | None = None,
        max_gap: MaxGap | None = None,
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
            variables=variables,
            covariates=covariates,
            mask=mask,
            max_gap=max_gap,
            spread=spread,
            dims=dims,
            model_options=model_options,
            device=device,
            batch_size=batch_size,
            precision=precision,
            progress=progress,
            seed=seed,
        )

    def plan(
        self,
        task: Literal["fill_gaps"] = "fill_gaps",
        model: ModelLike = "auto",
        *,
        variable: Hashable | None = None,
        covariates: Covariates = None,
        spread: bool = False,
        dims: Mapping[str, str] | None = None,
        model_options: Mapping[str, Any] | None = None,
        device: str | None = None,
        batch_size: int | None = None,
    ) -> TaskPlan:
        return plan(
            self._obj,
            task,
            model,
            variable=variable,
            covariates=covariates,
            spread=spread,
            dims=dims,
            model_options=model_options,
            device=device,
            batch_size=batch_size,
        )


for _name, _function in {
    "models": models_for,
    "fill_gaps": fill_gaps,
    "plan": plan,
}.items():
    getattr(GeoMLAccessor, _name).__doc__ = _function.__doc__


def register() -> None:
    """Give every xarray object its ``.geoml``."""
    xr.register_dataarray_accessor("geoml")(GeoMLAccessor)
    xr.register_dataset_accessor("geoml")(GeoMLAccessor)
    xr.register_datatree_accessor("geoml")(GeoMLAccessor)
