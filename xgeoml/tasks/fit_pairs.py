"""Fit a model of downscaling on pairs of coarse and fine fields."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Container, Hashable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.refine import steps_of_a_pass
from xgeoml.engine.regrid import conserve
from xgeoml.exceptions import InputError
from xgeoml.model import Model
from xgeoml.models.downscaling import Pairs
from xgeoml.models.series import Floats
from xgeoml.options import Options, shows_progress
from xgeoml.registry import get_model
from xgeoml.spec import ModelSpec
from xgeoml.tasks.beside import static_only
from xgeoml.tasks.covariates import Covariates
from xgeoml.tasks.pairs import Couple, couple, usable_steps
from xgeoml.tasks.units import check_units
from xgeoml.weights.card import Card, SkillRow, TrainingData
from xgeoml.weights.files import write_weights

if TYPE_CHECKING:
    from xgeoml.train.settings import Settings

NOT_STATED = "not stated"
BASELINES = ("bicubic", "conservative", "delta", "ridge")
# Steps of the validation part that a card's skill is measured on, and the fewest to fit on.
_SCORED, _FEWEST = 256, 8
MODEL_FILE = "model.safetensors"


def fit_on_pairs(
    obj: xr.DataArray | xr.Dataset | xr.DataTree,
    target: xr.DataArray | xr.Dataset,
    handle: ModelHandle,
    begin: bool,
    variables: Sequence[Hashable] | None,
    covariates: Covariates,
    dims: Mapping[str, str] | None,
    validation: float,
    options: Options,
    settings: Settings | None,
    folder: Path,
    resume: bool,
    call: str,
) -> Model:
    """Return a model fitted on pairs, written into a folder.

    Parameters
    ----------
    obj, target : DataArray or Dataset
        Coarse and fine.
    handle : ModelHandle
        What is fitted.
    begin : bool
        Whether training begins with the weights of `handle`.
    variables, covariates, dims
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
    found = couple(obj, target, variables, covariates, dims)
    spec = handle.spec.replace(weights=None, covariate_names=found.names)
    if not begin and (spec.backend == "numpy" or spec.scaling == "training"):
        spec = spec.replace(units=found.units)
    check_units(spec, found.coarse, found.covariates)
    _check_covariates(spec, found)
    pairs = found.pairs(folder, options.seed)
    if spec.backend == "numpy":
        return _fit_numpy(found, pairs, spec, validation, options, folder, call)
    assert settings is not None
    return _fit_network(found, pairs, spec, handle, begin, settings, folder, resume, call)


def _check_covariates(spec: ModelSpec, found: Couple) -> None:
    if found.names and not spec.covariates:
        raise InputError(
            f"covariates={list(found.names)}: {spec.key} makes no use of them; leave them out"
        )
    moving, still = found.names[: len(found.covariates)], found.names[len(found.covariates) :]
    if still and not getattr(spec.load_factory(), "uses_static", True):
        warnings.warn(
            f"covariates {list(still)} never change, and tell {spec.name} nothing, which learns "
            "each point by itself: it will ask for them and be no better for them",
            stacklevel=5,
        )
    takes = inspect.signature(spec.load_factory()).parameters
    if moving and spec.backend == "torch" and "channels" not in takes:
        raise static_only(moving, spec)  # it has as many coarse channels as ever


def _fit_numpy(
    found: Couple,
    pairs: Pairs,
    spec: ModelSpec,
    validation: float,
    options: Options,
    folder: Path,
    call: str,
) -> Model:
    """Fit a model in one go: on all pairs; for its card also on all but the last."""
    model = spec.load_factory()(**spec.options)
    with fit_bar(spec.name, options) as report:
        first = len(pairs.clock) - round(validation * len(pairs.clock))
        rows: tuple[SkillRow, ...] = ()
        usable = usable_steps(pairs)
        if usable[:first].sum() >= _FEWEST and usable[first:].any():
            trial = model.fit(replace(pairs.steps(slice(0, first)), report=report))
            rows = (_skill(found, pairs, first, {spec.name: (model, trial)}),)
        # All over again: what is learnt does not depend on how much was set aside for the card.
        state = model.fit(replace(pairs, report=report))
    arrays = {**state, **found.grids(pairs).arrays()}
    card = make_card(spec, found, rows, call)
    path = write_weights(folder / MODEL_FILE, arrays, spec, card)
    return Model(path)


class fit_bar:  # noqa: N801  reads as a context, not as a class
    """A progress bar that a fit reports to."""

    def __init__(self, name: str, options: Options) -> None:
        self.name, self.shown = name, shows_progress(options.progress)
        self.bar: Any = None

    def __enter__(self) -> Any:
        """Return the function that a fit calls."""
        if not self.shown:
            return lambda _what, _share: None
        from tqdm import tqdm

        self.bar = tqdm(total=100, desc=f"fit {self.name}", unit="%")
        return self._report

    def _report(self, what: str, share: float) -> None:
        self.bar.set_postfix_str(what)
        self.bar.update(round(100 * share) - self.bar.n)

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()


def _skill(
    found: Couple, pairs: Pairs, first: int, models: Mapping[str, tuple[Any, Any]]
) -> SkillRow:
    """Return the error on the steps from `first` on, beside that of simple models."""
    steps = first + np.flatnonzero(usable_steps(pairs.steps(slice(first, None))))
    steps = steps[:: max(1, len(steps) // _SCORED)]
    simple = _baselines(pairs.steps(slice(0, first)), models)
    return SkillRow(
        data=_name(found),
        hidden=f"the last {len(pairs.clock) - first} steps",
        unit=str(found.fine.attrs.get("units", "1")),
        metric="RMSE",
        values=_errors({**models, **simple}, pairs, steps),
    )


def _simple_errors(
    pairs: Pairs, spec: ModelSpec, validation: float, known: Mapping[str, float]
) -> dict[str, float]:
    """Return the errors of simple models at the steps and points that a network was scored at.

    None on a grid that it sees in pieces: it was scored in some of these only.
    """
    from xgeoml.train.pair_skill import scored_steps
    from xgeoml.train.pairs import split

    learnt, kept = split(pairs, validation)
    sizes = zip("YX", pairs.coarse.shape[1:], strict=True)
    if not len(kept) or any((spec.axis(a).window or n) < n for a, n in sizes):
        return {}
    simple = _baselines(pairs.steps(learnt), known)
    return _errors(simple, pairs, scored_steps(kept), of_missing=False)


def _baselines(learnt: Pairs, but: Container[str]) -> dict[str, tuple[Any, Any]]:
    """Return simple models and what they have learnt, but for some."""
    made = {}
    for name in (n for n in BASELINES if n not in but):
        simple = get_model(name).load_factory()(**get_model(name).options)
        made[name] = (simple, simple.fit(learnt) if hasattr(simple, "fit") else {})
    return made


def _errors(
    models: Mapping[str, tuple[Any, Any]],
    pairs: Pairs,
    steps: NDArray[np.intp],
    of_missing: bool = True,
) -> dict[str, float]:
    """Return root mean square errors; `of_missing` says whether parts of missing cells count."""
    held, factor = pairs.steps(steps), pairs.placement.factor
    truth = held.fine.astype(np.float64)
    if not of_missing:
        truth[np.isnan(held.coarse).repeat(factor, 1).repeat(factor, 2)] = np.nan
    # Models see steps in a row: their neighbours too.
    made = {
        name: _kept(_predicted(model, state, pairs, steps), held)
        for name, (model, state) in models.items()
    }
    for values in made.values():
        truth[np.isnan(values)] = np.nan  # all are scored at the same points
    return {
        name: float(np.sqrt(np.nanmean((values - truth) ** 2))) for name, values in made.items()
    }


def _predicted(model: Any, state: Any, pairs: Pairs, steps: NDArray[np.intp]) -> Floats:
    """Return what a model says of some steps, which it sees with those between them."""
    around = int(getattr(model, "around", 0))  # steps before and after that it looks at
    each = steps_of_a_pass(*pairs.placement.shape)
    made = []
    for start in range(int(steps[0]), int(steps[-1]) + 1, each):
        own = steps[(steps >= start) & (steps < start + each)]
        window = pairs.window(start, min(start + each, len(pairs.clock)), around)
        if len(own):
            made.append(np.asarray(model.predict(window, state))[own - start])
    return np.concatenate(made)


def _kept(made: Floats, held: Pairs) -> Floats:
    """Return an estimate with the means of cells as the engine would keep them."""
    made = np.where(np.isfinite(held.fine), made, np.nan)
    if held.share.any() and held.placement.factor:
        coarse = held.coarse.astype(np.float64)
        return conserve(made, coarse, held.placement.factor, held.share)
    return made


def _fit_network(
    found: Couple,
    pairs: Pairs,
    spec: ModelSpec,
    handle: ModelHandle,
    begin: bool,
    settings: Settings,
    folder: Path,
    resume: bool,
    call: str,
) -> Model:
    """Train a network on pairs."""
    from xgeoml.train.pair_fitting import fit_pairs
    from xgeoml.train.pairs import spec_for

    spec = spec_for(spec, pairs)
    if begin and spec.options != handle.spec.options:
        changed = {k: v for k, v in spec.options.items() if handle.spec.options.get(k) != v}
        raise InputError(
            f"the weights to begin with are for other pairs: these need {changed}; leave start= out"
        )
    bases = {name: get_model(name).load_factory()(**get_model(name).options) for name in spec.bases}
    trained = fit_pairs(
        pairs,
        spec,
        bases,
        settings,
        folder,
        name=_name(found),
        start=handle.network("cpu").state_dict() if begin else None,
        resume=resume,
    )
    rows = tuple(
        SkillRow(
            data=_name(found),
            hidden=score.hidden,
            unit=str(found.fine.attrs.get("units", "1")),
            metric="RMSE",
            values=score.skill.rmse
            | _simple_errors(pairs, spec, settings.validation, score.skill.rmse),
            coverage=score.skill.coverage,
            crps=score.skill.crps or None,
        )
        for score in trained.scores
    )
    arrays = {**trained.state, **found.grids(pairs).arrays()}
    card = make_card(spec, found, rows, call)
    path = write_weights(folder / MODEL_FILE, arrays, spec, card, history=trained.whole_history)
    if not trained.improved:
        warnings.warn(
            "training did not lower the validation loss: the model is what it began with. Try "
            "more epochs, another learning_rate=, or more data",
            stacklevel=4,
        )
    return Model(path)


def _name(found: Couple) -> str:
    return "target" if found.fine.name is None else str(found.fine.name)


def make_card(spec: ModelSpec, found: Couple, rows: tuple[SkillRow, ...], call: str) -> Card:
    """Return the card of a model that was fitted on pairs."""
    attrs = found.attrs | found.fine.attrs
    coarse, fine = found.coarse, found.fine
    stamps = coarse[coarse.dims[0]].values if coarse.dims[0] in coarse.coords else ["", ""]

    def first(*names: str) -> str:
        return next((str(attrs[n]).strip() for n in names if str(attrs.get(n, "")).strip()), "")

    sizes = [f"{n} {d}" for d, n in coarse.sizes.items()]
    parts = " x ".join(f"{n} {d}" for d, n in fine.sizes.items() if d in found.dims)
    limits = [
        "Knows the two grids and the variable that it was fitted on: elsewhere it is untried."
    ]
    if not rows:
        limits.append("No part of the data was set aside: its skill is not known.")
    return Card(
        model=spec.key,
        summary=f"{spec.summary}; fitted on pairs" if spec.summary else "fitted on pairs",
        data=(
            TrainingData(
                name=first("title", "long_name") or _name(found),
                period=f"{str(stamps[0])[:10]} to {str(stamps[-1])[:10]}, {coarse.shape[0]} steps",
                extent=f"{' x '.join(sizes)}, to {parts}",
                covariates=found.names,
                license=first("license", "licence") or NOT_STATED,
                attribution=first("attribution", "source", "institution", "references")
                or NOT_STATED,
            ),
        ),
        valid="the two grids that it was fitted on",
        skill=rows,
        limits=tuple(limits),
        license=spec.license or NOT_STATED,
        citation=spec.citation or NOT_STATED,
        recipe=call,
        created=datetime.now(UTC).strftime("%Y-%m-%d"),
    )
