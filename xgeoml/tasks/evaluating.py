"""An evaluation as it runs: the variable found, values hidden, every model tried."""

from __future__ import annotations

import time as clock
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import xarray as xr

from xgeoml.axes import find_axes
from xgeoml.exceptions import GeoMLError
from xgeoml.options import Options, shows_progress
from xgeoml.spec import Task
from xgeoml.tasks.choose import ModelLike
from xgeoml.tasks.contenders import Contender, Metric, Metrics, Regions
from xgeoml.tasks.covariates import lookup, with_those_above
from xgeoml.tasks.dispatch import GeoObject
from xgeoml.tasks.downscale import variables_with_a_grid
from xgeoml.tasks.fill_gaps import listed, variables_to_fill
from xgeoml.tasks.filling import Request
from xgeoml.tasks.inspect import first_treated
from xgeoml.tasks.interp_time import variables_in_time
from xgeoml.tasks.inverting import Wish as WaveWish
from xgeoml.tasks.inverting import records_of
from xgeoml.tasks.scores import Table, to_dataset
from xgeoml.tasks.scoring import Outcome, Round, read_metrics, round_of
from xgeoml.tasks.trials import Wish, gap_trials
from xgeoml.tasks.trials_of_fields import grid_trials, time_trials
from xgeoml.tasks.trials_of_waves import record_rounds, source_rounds


def scores_of(
    obj: GeoObject,
    task: Task,
    find: Callable[[xr.DataArray, Mapping[str, str] | None], Sequence[Contender]],
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
    find : callable
        Given the variable and the user's word on its dims, returns the models to try.
    wish : Wish
    """
    further = read_metrics(metrics)
    dataset, name, wish = _treated(obj, task, variable, wish)
    tried = find(dataset[name], wish.dims)
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
        pick = partial(variables_to_fill, request=_request(wish))
    elif task == "downscale":

        def pick(dataset: xr.Dataset, names: list[Hashable] | None) -> list[Hashable]:
            return variables_with_a_grid(dataset, names, wish.covariates, None, wish.dims)

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
    return dataset, name, replace(wish, covariates=drivers, greens=greens, dims=dims)


def _request(wish: Wish) -> Request:
    return Request(
        model="auto",
        weights=None,
        model_options=None,
        covariates=wish.covariates,
        mask=None,
        max_gap=None,
        spread=False,
        dims=wish.dims,
        options=wish.options,
        call="",
        freq=None,
    )


def _waves(wish: Wish) -> WaveWish:
    return WaveWish(
        model="auto",
        weights=None,
        greens=wish.greens,
        join=wish.join,
        positive=True,
        length=wish.length,
        amplitudes="given",
        impulse="sample",
        resample=False,
        gaps="raise",
        spread=False,
        dims=wish.dims,
        model_options=None,
        options=wish.options,
        call="",
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
    trials = {"fill_gaps": gap_trials, "downscale": grid_trials, "interp_time": time_trials}[task]
    for trial in trials(dataset, name, wish):
        yield round_of(trial, regions, further)


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
    if len(table.errors) == len(tried):
        raise GeoMLError(
            "every model failed:\n"
            + "\n".join(f"  {label}: {error}" for label, error in table.errors.items())
        )
    return table


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
