"""An evaluation as it runs: the variable found, values hidden, every model tried."""

from __future__ import annotations

import time as clock
import warnings
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import xarray as xr

from xgeoml.axes import find_axes
from xgeoml.exceptions import GeoMLError
from xgeoml.options import Options, shows_progress
from xgeoml.spec import Task
from xgeoml.tasks import interpolating, inverting, refining
from xgeoml.tasks.choose import ModelLike
from xgeoml.tasks.contenders import Contender, Lineup, Metric, Metrics, Regions, contenders
from xgeoml.tasks.covariates import lookup, with_those_above
from xgeoml.tasks.dispatch import GeoObject
from xgeoml.tasks.downscale import variables_with_a_grid
from xgeoml.tasks.fill_gaps import listed, variables_to_fill
from xgeoml.tasks.filling import resolve
from xgeoml.tasks.inspect import first_treated
from xgeoml.tasks.interp_time import variables_in_time
from xgeoml.tasks.inverting import Wish as WaveWish
from xgeoml.tasks.inverting import records_of
from xgeoml.tasks.monthly import prepare_months
from xgeoml.tasks.prepare import prepare
from xgeoml.tasks.scores import Table, to_dataset
from xgeoml.tasks.scoring import Outcome, Round, read_metrics, round_of
from xgeoml.tasks.trials import Wish
from xgeoml.tasks.trials_in_time import time_trials
from xgeoml.tasks.trials_of_fields import grid_trials
from xgeoml.tasks.trials_of_gaps import gap_trials
from xgeoml.tasks.trials_of_months import month_trials
from xgeoml.tasks.trials_of_waves import record_rounds, source_rounds


def scores_of(
    obj: GeoObject,
    task: Task,
    lineup: Lineup,
    variable: Hashable | None,
    wish: Wish,
    regions: Regions,
    metrics: Metrics,
) -> xr.Dataset:
    """Return the scores of models, see `xgeoml.evaluate`.

    Parameters
    ----------
    obj, task, variable, regions, metrics
        As the user gave them.
    lineup : Lineup
        Which models to try.
    wish : Wish
    """
    further = read_metrics(metrics)
    dataset, name, wish = _treated(obj, task, variable, wish)
    automatic = partial(_automatic, dataset, name, task, wish)
    tried = contenders(dataset[name], task, lineup, wish.dims, automatic)
    rounds = _rounds(dataset, name, task, wish, regions, further)
    table = _run(rounds, tried, wish.options, task, wish.repeats)
    return to_dataset(table, dataset[name], task, wish.period)


def _treated(
    obj: GeoObject, task: Task, variable: Hashable | None, wish: Wish
) -> tuple[xr.Dataset, Hashable, Wish]:
    """Return the Dataset, the variable, and the wish with what lies in groups above it."""
    named = None if variable is None else listed([variable])
    pick: Any
    if task == "fill_gaps":
        pick = partial(variables_to_fill, request=wish.request)
    elif task == "downscale":

        def pick(dataset: xr.Dataset, names: list[Hashable] | None) -> list[Hashable]:
            mask = wish.arguments.get("mask")
            return variables_with_a_grid(dataset, names, wish.covariates, mask, wish.dims)

    elif task == "interp_time":

        def pick(dataset: xr.Dataset, names: list[Hashable] | None) -> list[Hashable]:
            return variables_in_time(dataset, names, wish.dims)

    else:
        pick = partial(records_of, wish=_waves(wish))
    dataset, above, name = first_treated(obj, named, pick)
    drivers = with_those_above(wish.covariates, dataset, above)
    # Some of `dims` may be meant for other variables; of one that is nowhere AxisError tells.
    others = set(dataset.dims) - set(dataset[name].dims)
    dims = {k: d for k, d in (wish.dims or {}).items() if d not in others} or None
    find_axes(dataset[name], dims)
    greens = wish.greens
    if isinstance(greens, str) and greens not in dataset:
        greens = lookup(greens, "variable", dataset, above)
    # The variable is taken out of its Dataset, and from its groups.
    found = dict(wish.arguments)
    if isinstance(found.get("mask"), str):
        found["mask"] = lookup(found["mask"], "mask", dataset, above)
    wish = replace(wish, covariates=drivers, greens=greens, dims=dims, arguments=found)
    return dataset, name, wish


def _automatic(dataset: xr.Dataset, name: Hashable, task: Task, wish: Wish) -> str:
    """Return the name of the model that ``model="auto"`` stands for."""
    if task == "downscale":
        return refining.DEFAULT
    if task == "interp_time":
        return interpolating.automatic(dataset, name, wish.dims)
    if task == "invert_waveform":
        return inverting.DEFAULT
    if wish.freq is not None:
        return prepare_months(dataset, name, wish.request)[1].spec.name
    _, prepared = prepare(dataset, name, wish.covariates, wish.dims)
    return resolve(prepared, wish.request).spec.name


def _waves(wish: Wish) -> WaveWish:
    usual = {
        "positive": True,
        "amplitudes": "given",
        "impulse": "sample",
        "resample": False,
        "gaps": "raise",
    }
    return WaveWish(
        model="auto",
        weights=None,
        greens=wish.greens,
        join=wish.join,
        length=wish.length,
        spread=False,
        dims=wish.dims,
        model_options=None,
        options=wish.options,
        call="",
        **{**usual, **wish.arguments},
    )


def _rounds(
    dataset: xr.Dataset,
    name: Hashable,
    task: Task,
    wish: Wish,
    regions: Regions,
    further: Mapping[str, Metric],
) -> Iterator[Round]:
    """Yield the repeats."""
    if task == "invert_waveform":
        yield from (record_rounds if wish.target is None else source_rounds)(dataset, name, wish)
        return
    filling = gap_trials if wish.freq is None else month_trials
    trials = {"fill_gaps": filling, "downscale": grid_trials, "interp_time": time_trials}[task]
    # A name of its own would keep each trial while the next one is made.
    yield from map(partial(round_of, regions=regions, further=further), trials(dataset, name, wish))


def _run(
    rounds: Iterator[Round],
    tried: Sequence[Contender],
    options: Options,
    task: Task,
    repeats: int,
) -> Table:
    """Return what every model scored in every repeat."""
    from tqdm import tqdm

    table = Table([c.label for c in tried])
    shown = shows_progress(options.progress)
    total = repeats * len(tried)
    with tqdm(total=total, desc=f"evaluate {task}", unit="run", disable=not shown) as bar:
        for each in rounds:
            table.begin(each)
            for contender in tried:
                bar.set_postfix_str(contender.label)
                if contender.label in table.errors:
                    continue
                try:
                    outcome, seconds = _try(each, contender)
                except Exception as error:  # a model of another package may raise anything
                    table.fail(contender.label, error)
                else:
                    table.put(contender.label, outcome, seconds)
                bar.update()
            del each  # before the next one is made: it holds a record
    if len(table.errors) == len(tried):
        raise _all_failed(table)
    return table


def _all_failed(table: Table) -> GeoMLError:
    """Return the error of an evaluation without any scores, each reason once."""
    of: dict[str, list[str]] = {}
    for label, reason in table.errors.items():
        of.setdefault(reason, []).append(label)
    lines = [f"  {', '.join(labels)}: {reason}" for reason, labels in of.items()]
    return GeoMLError("\n".join(["every model failed:", *lines]))


def _try(each: Round, contender: Contender) -> tuple[Outcome, float]:
    """Return the scores of a model in a repeat, and the seconds that it took."""
    model: ModelLike = contender.model
    spec = contender.spec
    # Of data that are the same in each call, warnings would come again and again.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        if contender.settings is not None:
            own = each.teach(contender.spec.name, contender.settings)
            model, spec = own, own.spec
        start = clock.perf_counter()
        outcome = each.score(model, spec)
    return outcome, clock.perf_counter() - start
