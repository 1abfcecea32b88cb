"""Fit a model of interpolation in time to a record."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.axes import Axes
from xgeoml.calendars import read_clock
from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.in_time import InTime
from xgeoml.engine.in_time_run import interpolate
from xgeoml.engine.threads import one_blas_thread
from xgeoml.exceptions import InputError
from xgeoml.model import Model
from xgeoml.models.in_time import Place, Record, count_estimates
from xgeoml.models.series import Floats
from xgeoml.options import Options
from xgeoml.registry import get_model
from xgeoml.spec import Channel, ModelSpec, Scale
from xgeoml.tasks.choose import make_handle
from xgeoml.tasks.dispatch import as_dataset
from xgeoml.tasks.fit_pairs import MODEL_FILE, NOT_STATED, fit_bar
from xgeoml.tasks.instants import clock_at
from xgeoml.tasks.interp_time import variables_in_time
from xgeoml.tasks.interpolating import (
    TASK,
    axes_in_time,
    on_plane,
    place_on,
    plane_dims,
)
from xgeoml.tasks.pairs import stored
from xgeoml.tasks.placing import Grid
from xgeoml.tasks.points import place_of_points
from xgeoml.tasks.refining import ascending
from xgeoml.tasks.trained_place import TrainedPlace
from xgeoml.tasks.units import check_units, units_of
from xgeoml.tasks.values import in_numbers, is_temperature
from xgeoml.tasks.vectors import in_groups
from xgeoml.weights.card import Card, SkillRow, TrainingData
from xgeoml.weights.files import write_weights

if TYPE_CHECKING:
    from xgeoml.train.settings import Settings

BASELINES = ("linear", "cubic", "akima")
# Of the validation part, one step in so many is kept, and the others between are predicted.
_KEPT = {2: "second", 4: "fourth"}
# Steps of the validation part that the skill is measured on, at most; the fewest that it needs; and
# the fewest to fit a trial to.
_SCORED, _FEWEST_KEPT, _FEWEST = 512, 6, 8
# Two steps, and one between them.
_BETWEEN = 3


@dataclass(frozen=True)
class Learnt:
    """A record to learn from, and where it comes from.

    Attributes
    ----------
    record : Record
        Coordinates ascending.
    trained : TrainedPlace
        Its grid, for the model's file.
    data : tuple of DataArray
        The variable, or the components of a vector.
    axes : Axes
    stamps : ndarray, (step,)
    attrs : dict
        Of the objects, for the card.
    """

    record: Record
    trained: TrainedPlace
    data: tuple[xr.DataArray, ...]
    axes: Axes
    stamps: NDArray[Any]
    attrs: dict[Hashable, Any]

    @property
    def name(self) -> str:
        """Of the variables."""
        return " and ".join(str(d.name) for d in self.data)


@dataclass(frozen=True)
class _Trial:
    """Stands for the handle of a model that has no file yet."""

    spec: ModelSpec
    model: Any
    state: Mapping[str, Any]

    def with_state(self) -> tuple[Any, Mapping[str, Any]]:
        return self.model, self.state


def fit_in_time(
    obj: xr.DataArray | xr.Dataset | xr.DataTree,
    handle: ModelHandle,
    begin: bool,
    variables: Sequence[Hashable] | None,
    vectors: Sequence[tuple[Hashable, Hashable]] | None,
    dims: Mapping[str, str] | None,
    validation: float,
    options: Options,
    settings: Settings | None,
    folder: Path,
    resume: bool,
    call: str,
) -> Model:
    """Return a model fitted to a record, written into a folder.

    Parameters
    ----------
    obj : DataArray or Dataset
    handle : ModelHandle
        What is fitted.
    begin : bool
        Whether training begins with the weights of `handle`.
    variables, vectors, dims
        As in `xgeoml.fit`.
    validation : float
        Share of the steps, the last ones, that the skill on the card is measured on.
    options : Options
    settings : Settings or None
        Of a network.
    folder : Path
    resume : bool
    call : str
        For the card.
    """
    spec = handle.spec.replace(weights=None)
    learnt = learn(obj, spec, variables, vectors, dims, folder, options.seed)
    check_units(spec, learnt.data[0])
    if spec.backend == "numpy":
        return _fit_numpy(learnt, spec, validation, options, folder, call)
    assert settings is not None
    return _fit_network(learnt, spec, handle, begin, settings, folder, resume, call)


def learn(
    obj: xr.DataArray | xr.Dataset | xr.DataTree,
    spec: ModelSpec,
    variables: Sequence[Hashable] | None,
    vectors: Sequence[tuple[Hashable, Hashable]] | None,
    dims: Mapping[str, str] | None,
    folder: Path,
    seed: int,
) -> Learnt:
    """Return the record to learn from; that of lazy variables lies in a folder.

    Raises
    ------
    InputError
        If it is not one variable or the two components of a vector, has other axes than time
        and cells, or fewer than three steps.
    """
    dataset, names = _variables(obj, variables, vectors, dims)
    axes, time = axes_in_time(dataset, names[0], dims)
    if dataset.sizes[time] < _BETWEEN:
        raise InputError(
            f"{time!r} has {dataset.sizes[time]} steps; expected {_BETWEEN} or more: what lies "
            "between two steps is learnt from others that do. Take more of the record"
        )
    arrays = [in_numbers(dataset[name], f"variable {name!r}") for name in names]
    plane = plane_dims(arrays[0], axes)
    extra = [d for d in arrays[0].dims if d not in (time, *plane)]
    if extra:
        raise InputError(
            f"variable {names[0]!r} has dims {arrays[0].dims}; expected time, Y and X, or one list "
            f"of cells: pick one of the others, obj.isel({extra[0]}=0)"
        )
    points = place_of_points(arrays[0], axes, spec.terrain)
    grid, place = None, Place() if points is None else points[1]
    if "Y" in axes.names and "X" in axes.names:
        grid = Grid.of(arrays[0], axes)
        turn = ascending(grid)
        grid = grid.turned(turn)
        place = place_on(grid, spec.terrain)
        cut = dict(zip(grid.dims, turn, strict=True))
        arrays = [a.isel(cut) for a in arrays]
    order = [time, *(d for d in plane if d is not None)]
    values = [
        on_plane(stored(a.transpose(*order), folder / f"record{i}.npy"), plane)
        for i, a in enumerate(arrays)
    ]
    value = values[0][None] if len(values) == 1 else np.stack(values)
    if not any(np.isfinite(step).any() for step in value[0]):
        raise InputError(f"variable {names[0]!r} is missing everywhere: nothing can be learnt")
    stamps = dataset[time].values
    clock = read_clock(stamps)
    record = Record(
        value,
        np.asarray((clock.ticks - clock.ticks[0]) / clock.day, np.float64),
        clock_at(stamps),
        place,
        is_temperature(arrays[0]),
        seed,
    )
    sizes = (value.shape[2], value.shape[3])
    trained = TrainedPlace.on(grid, sizes, [str(n) for n in names])
    return Learnt(record, trained, tuple(arrays), axes, stamps, dict(dataset.attrs))


def _variables(
    obj: xr.DataArray | xr.Dataset | xr.DataTree,
    variables: Sequence[Hashable] | None,
    vectors: Sequence[tuple[Hashable, Hashable]] | None,
    dims: Mapping[str, str] | None,
) -> tuple[xr.Dataset, tuple[Hashable, ...]]:
    """Return the Dataset, and the one variable or the pair in it."""
    if isinstance(obj, xr.DataArray):
        dataset, name = as_dataset(obj)
        return dataset, (name,)
    if not isinstance(obj, xr.Dataset):
        raise InputError(
            f"found a {type(obj).__name__}; a record is learnt from a DataArray or a Dataset: take "
            "one group of a DataTree, tree['...'].to_dataset()"
        )
    names = variables_in_time(obj, None if variables is None else list(variables), dims)
    if vectors is not None and variables is None:
        names = [name for name in names if any(name in pair for pair in vectors)] or names
    groups = in_groups(obj, names, vectors)
    if len(groups) != 1:
        told = [" and ".join(map(str, group)) for group in groups]
        raise InputError(
            f"found {len(groups)} variables to learn from, {told}; expected one, or the two "
            "components of a vector: name it, variables='...', or them, vectors=[('u', 'v')]"
        )
    return obj, groups[0]


def _fit_numpy(
    learnt: Learnt,
    spec: ModelSpec,
    validation: float,
    options: Options,
    folder: Path,
    call: str,
) -> Model:
    """Fit a model in one go: to all of the record; for its card also to all but its last part."""
    model = spec.load_factory()(**spec.options)
    spec = spec.replace(units=units_of(learnt.data[0]))
    record = learnt.record
    with fit_bar(spec.name, options) as report, one_blas_thread():
        first = len(record.days) - round(validation * len(record.days))
        rows: tuple[SkillRow, ...] = ()
        if first >= _FEWEST and len(record.days) - first >= _FEWEST_KEPT:
            state = model.fit(replace(record.steps(slice(0, first)), report=report))
            rows = _skill(learnt, first, _Trial(spec, model, state), options)
        # All over again: what is learnt does not depend on how much was set aside for the card.
        state = model.fit(replace(record, report=report))
    arrays = {**state, **learnt.trained.arrays()}
    card = make_card(spec, learnt, rows, call, bound=True)
    return Model(write_weights(folder / MODEL_FILE, arrays, spec, card))


def _skill(learnt: Learnt, first: int, trial: _Trial, options: Options) -> tuple[SkillRow, ...]:
    """Return the errors on the steps from `first` on, of which some are hidden."""
    held = learnt.record.steps(slice(first, first + _SCORED))
    handles: dict[str, Any] = {trial.spec.name: trial}
    handles |= {name: ModelHandle(get_model(name, TASK)) for name in BASELINES}
    rows = []
    for every, told in _KEPT.items():
        kept = np.arange(0, len(held.days), every)
        if len(kept) < _FEWEST_KEPT:
            continue
        hidden = np.setdiff1d(np.arange(kept[-1]), kept)
        made = {name: _between(held, kept, hidden, h, options) for name, h in handles.items()}
        truth = held.value[:, hidden].astype(np.float64)
        known = np.isfinite(truth) & np.isfinite(np.stack(list(made.values()))).all(0)
        if not known.any():
            continue
        rows.append(
            SkillRow(
                data=learnt.name,
                hidden=f"all but every {told} of the last {len(learnt.record.days) - first} steps",
                unit=str(learnt.data[0].attrs.get("units", "1")),
                metric="RMSE",
                values={
                    name: float(np.sqrt(np.mean((values - truth)[known] ** 2)))
                    for name, values in made.items()
                },
            )
        )
    return tuple(rows)


def _between(
    record: Record,
    kept: NDArray[np.intp],
    hidden: NDArray[np.intp],
    handle: Any,
    options: Options,
) -> Floats:
    """Return what a model says of hidden steps, from those that are kept."""
    days, wanted = record.days[kept], record.days[hidden]
    job = InTime(
        handle=cast("ModelHandle", handle),
        options=replace(options, progress=False),
        days=days,
        wanted=wanted,
        clock=record.clock.steps(kept),
        clock_wanted=record.clock.steps(hidden),
        owner=np.searchsorted(days, wanted, side="right") - 1,
        copied=np.full(len(hidden), -1, np.intp),
        place=record.place,
        thermal=record.thermal,
    )
    return np.asarray(interpolate(list(record.value[:, kept].astype(np.float64)), job))


def _fit_network(
    learnt: Learnt,
    spec: ModelSpec,
    handle: ModelHandle,
    begin: bool,
    settings: Settings,
    folder: Path,
    resume: bool,
    call: str,
) -> Model:
    """Train a network on a record."""
    from xgeoml.train.in_time_fitting import Named, fit_records

    if not begin:
        spec = _with_company(spec)
    if spec.scaling == "training" and spec.scale is None:
        spec = spec.replace(scale=_scale_of(learnt.record))
    bases = make_handle(spec, TASK, None, settings.seed).bases
    trained = fit_records(
        [Named(learnt.name, learnt.record)],
        spec,
        bases,
        settings,
        folder,
        start=handle.network("cpu").state_dict() if begin else None,
        resume=resume,
    )
    rows = tuple(
        SkillRow(
            data=learnt.name,
            hidden=score.hidden,
            unit=str(learnt.data[0].attrs.get("units", "1")),
            metric="RMSE",
            values=score.skill.rmse,
            coverage=score.skill.coverage,
            crps=score.skill.crps or None,
        )
        for score in trained.scores
    )
    # What base models have learnt lies on this grid; the network itself knows none.
    bound = any(hasattr(base.spec.load_factory(), "fit") for base in bases)
    if bound or spec.scaling == "training":
        spec = spec.replace(units=spec.units or units_of(learnt.data[0]))
    arrays = {**trained.state, **(learnt.trained.arrays() if bound else {})}
    card = make_card(spec, learnt, rows, call, bound)
    path = write_weights(folder / MODEL_FILE, arrays, spec, card, history=trained.whole_history)
    if not trained.improved:
        warnings.warn(
            "training did not lower the validation loss: the model is what it began with. Try "
            "more epochs, another learning_rate=, or more data",
            stacklevel=4,
        )
    return Model(path)


def _with_company(spec: ModelSpec) -> ModelSpec:
    """Return the spec of a network with the base models that one fitted to a record is given."""
    named = [get_model(name, TASK) for name in spec.fitted_with]
    # Its own weights by their version: those of a later one would be others.
    ready = [m for m in named if m.name != spec.name or m.weights is not None]
    further = [m.key if m.name == spec.name else m.name for m in ready]
    inputs = (*spec.inputs, *(Channel("estimate", name) for name in further))
    made = spec.replace(inputs=inputs, fitted_with=())
    known = inspect.signature(spec.load_factory()).parameters
    if "bases" in known:
        bases = [get_model(name, TASK).load_factory() for name in made.bases]
        count = sum(count_estimates(base) for base in bases)
        made = made.replace(options={**spec.options, "bases": count})
    return made


def _scale_of(record: Record) -> Scale:
    """Return mean and deviation of all values."""
    count, total, square = 0, 0.0, 0.0
    for step in range(len(record.days)):
        values = record.value[:, step].astype(np.float64)
        values = values[np.isfinite(values)]
        count += values.size
        total += float(values.sum())
        square += float((values**2).sum())
    mean = total / max(1, count)
    deviation = float(np.sqrt(max(square / max(1, count) - mean**2, 0.0)))
    return Scale((mean,), (deviation or 1.0,))


def make_card(
    spec: ModelSpec, learnt: Learnt, rows: tuple[SkillRow, ...], call: str, bound: bool
) -> Card:
    """Return the card of a model that was fitted to a record."""
    attrs = learnt.attrs | learnt.data[0].attrs
    stamps = learnt.stamps

    def first(*names: str) -> str:
        return next((str(attrs[n]).strip() for n in names if str(attrs.get(n, "")).strip()), "")

    limits = ["Knows the variable that it was fitted to: on others it is untried."]
    if bound:
        limits = ["Knows the grid and the variable that it was fitted to, and no others."]
    if not rows:
        limits.append("No part of the data was set aside: its skill is not known.")
    return Card(
        model=spec.key,
        summary=f"{spec.summary}; fitted to a record" if spec.summary else "fitted to a record",
        data=(
            TrainingData(
                name=first("title", "long_name") or learnt.name,
                period=f"{str(stamps[0])[:10]} to {str(stamps[-1])[:10]}, {len(stamps)} steps",
                extent=" x ".join(f"{n} {d}" for d, n in learnt.data[0].sizes.items()),
                license=first("license", "licence") or NOT_STATED,
                attribution=first("attribution", "source", "institution", "references")
                or NOT_STATED,
            ),
        ),
        valid="the grid that it was fitted on" if bound else "records like that it was fitted to",
        skill=rows,
        limits=tuple(limits),
        license=spec.license or NOT_STATED,
        citation=spec.citation or NOT_STATED,
        recipe=call,
        created=datetime.now(UTC).strftime("%Y-%m-%d"),
    )
