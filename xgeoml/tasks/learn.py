"""What a network learns from: variables of an object as arrays, a part of each set aside."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from xgeoml.engine.execute import is_lazy
from xgeoml.exceptions import InputError
from xgeoml.models.screen import suspect_steps
from xgeoml.models.series import Bools
from xgeoml.spec import ModelSpec
from xgeoml.tasks.dispatch import (
    GeoObject,
    as_dataset,
    check_found,
    groups_above,
)
from xgeoml.tasks.fill_gaps import Request, variables_to_fill, with_named
from xgeoml.tasks.prepare import Prepared, prepare
from xgeoml.train.fields import SeriesField
from xgeoml.train.split import validation_blocks, validation_cells
from xgeoml.train.windows import WindowField


@dataclass(frozen=True)
class Lesson:
    """One variable to learn from.

    Attributes
    ----------
    name : str
        Of the variable, with its group's path if there are several.
    prepared : Prepared
        The variable with what is known of its axes.
    field : SeriesField or WindowField
        The same as arrays.
    attrs : dict
        Of the Dataset that it is in.
    """

    name: str
    prepared: Prepared
    field: SeriesField | WindowField
    attrs: dict[Hashable, object]


def lessons(
    obj: GeoObject,
    names: list[Hashable] | None,
    request: Request,
    spec: ModelSpec,
    share: float,
    seed: int,
) -> list[Lesson]:
    """Return what a network learns from, in the order of the object.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
    names : list, optional
        The variables asked for.
    request : Request
        Covariates and dims.
    spec : ModelSpec
        The network.
    share : float
        Share of the observed steps, and of blocks of a large grid, that is set aside.
    seed : int
        What decides which.

    Raises
    ------
    InputError, SpecError, AxisError
        If nothing fits.
    """
    made = []
    for path, dataset, above, wanted in _datasets(obj, names):
        asked = with_named(request, dataset, above)
        for name in variables_to_fill(dataset, wanted, asked):
            _, prepared = prepare(dataset, name, asked.covariates, asked.dims)
            label = f"{path}/{name}".lstrip("/")
            field = _field(label, prepared, spec, share, seed)
            made.append(Lesson(label, prepared, field, dict(dataset.attrs)))
    return made


def _datasets(
    obj: GeoObject, names: list[Hashable] | None
) -> Iterator[tuple[str, xr.Dataset, list[xr.Dataset], list[Hashable] | None]]:
    """Yield path, Dataset, the groups above it, and the variables wanted of it."""
    if isinstance(obj, xr.DataArray):
        if names is not None:
            raise InputError(f"variables={names} goes with a Dataset; a DataArray is one already")
        dataset, name = as_dataset(obj)
        yield "", dataset.assign_attrs(obj.attrs), [], [name]
    elif isinstance(obj, xr.Dataset):
        yield "", obj, [], names
    elif isinstance(obj, xr.DataTree):
        nodes = {n.path: n for n in obj.subtree if n.data_vars}
        groups = {path: node.to_dataset() for path, node in nodes.items()}
        check_found(groups, names)
        for path, dataset in groups.items():
            wanted = names if names is None else [n for n in names if n in dataset.data_vars]
            if wanted == []:
                continue
            yield path, dataset, groups_above(nodes[path]), wanted
    else:
        raise InputError(
            f"found a {type(obj).__name__}; expected an xarray DataArray, Dataset or DataTree"
        )


def _field(
    label: str, prepared: Prepared, spec: ModelSpec, share: float, seed: int
) -> SeriesField | WindowField:
    """Return a variable as arrays, in the engine's order of axes."""
    dims = prepared.canonical_dims(spec)
    plan = prepared.plan(spec)
    arrays = prepared.arrays(dims)
    area = prepared.area(dims[: plan.n_pointwise])
    rng = np.random.default_rng([seed, plan.n_samples])
    if len(plan.core) > 1 or plan.core[0].mode != "whole" or dims[-1] != prepared.time:
        target = _observed(prepared)
        blocks = validation_blocks(target, share, rng)
        axis = dims.index(prepared.time)
        return WindowField(label, arrays, plan, axis, area, target, blocks)
    if is_lazy(arrays[0]):
        # Whole series are read, whatever the chunks in time.
        arrays = [a.rechunk({a.ndim - 1: -1}) if is_lazy(a) else a for a in arrays]
    target = np.ones(len(prepared.years), bool)
    field = SeriesField(label, arrays, prepared.years, area, target, plan)
    sample = field.sample
    target = np.asarray(np.isfinite(sample.values).any(0))
    # What no model should trust, none should learn to predict.
    target &= ~suspect_steps(sample)
    blocks = validation_blocks(target, share, rng)
    aside = validation_cells(area.shape, share, rng)
    return field.with_parts(target, blocks, aside)


def _observed(prepared: Prepared) -> Bools:
    """Return the steps with data, (time,)."""
    others = [d for d in prepared.data.dims if d != prepared.time]
    return np.asarray(prepared.data.notnull().any(others).values)
