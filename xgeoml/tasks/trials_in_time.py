"""What an evaluation of interpolation in time tries models on: steps hidden, or summed."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.axes import find_axes
from xgeoml.exceptions import InputError
from xgeoml.model import Model
from xgeoml.spec import ModelSpec
from xgeoml.tasks.accumulations import parts_of_totals, time_bounds
from xgeoml.tasks.choose import ModelLike
from xgeoml.tasks.fit import fit
from xgeoml.tasks.gaps import check_max_gap
from xgeoml.tasks.holdouts import Bools, Ints
from xgeoml.tasks.interp_time import interp_time
from xgeoml.tasks.interpolating import axes_in_time
from xgeoml.tasks.trials import (
    Answer,
    Trial,
    Wish,
    check_some,
    has_values,
    in_period,
    in_stretches,
)
from xgeoml.tasks.values import as_floats
from xgeoml.tasks.vectors import in_groups

# Steps of which one is kept, where nobody says.
_EVERY = 2
# Steps that have to be kept, and that a model has to learn from: one between two others.
_FEWEST = 3


@dataclass(frozen=True)
class _Thinned:
    """A record of which some steps are hidden.

    Attributes
    ----------
    told : str
        Which, in words.
    coarse : Dataset
        What models are given: the variable, of a vector both components.
    times : ndarray
        When each step of the record is, which models are asked for.
    hidden : ndarray of bool, (time,)
    block : int
        Steps that are asked for together.
    """

    told: str
    coarse: xr.Dataset
    times: NDArray[Any]
    hidden: Bools
    block: int


def time_trials(dataset: xr.Dataset, name: Hashable, wish: Wish) -> Iterator[Trial]:
    """Yield the repeats of an evaluation of interpolation in time: blocks of time.

    Of every `factor` steps one is kept, and the others are hidden. Of totals the sums of `factor`
    steps are given, and divided again.
    """
    dims = wish.dims
    # A stamp that comes twice would be hidden and kept.
    _, time = axes_in_time(dataset, name, dims)
    every = wish.factor or _EVERY
    totals = bool(wish.arguments.get("accumulated"))
    data = _with_partner(dataset, name, time, wish)
    whole = _whole(data.sizes[time], every, totals)
    data = data.isel({time: slice(0, whole)}).compute()
    make = _summed if totals else _skipped
    thinned = make(dataset, data, time, every)
    further = _further(wish.arguments, every)
    inside = in_period(data[time], wish.period) & has_values(data[name], time) & thinned.hidden
    for block in in_stretches(inside, wish.repeats, thinned.block):
        truth, times = data[name].isel({time: block}), thinned.times[block]

        def ask(
            model: ModelLike,
            _spec: ModelSpec,
            truth: xr.DataArray = truth,
            times: NDArray[Any] = times,
        ) -> Answer:
            made = interp_time(
                thinned.coarse,
                None,
                model,
                times=times,
                variables=list(data.data_vars),
                dims=dims,
                **further,
                **wish.run,
            )
            return Answer(made[name].transpose(*truth.dims), None)

        def teach(model: str, settings: Mapping[str, Any], block: Ints = block) -> Model:
            if totals:
                raise InputError(
                    f"fit={model!r}: models learn from values at moments, not from totals; leave "
                    "fit= out, or accumulated"
                )
            longer = _longer(data, time, block, model)
            vectors = {k: v for k, v in further.items() if k == "vectors"}
            names = list(data.data_vars)
            return fit(longer, model, variables=names, **vectors, **wish.fitted(settings))

        where = np.isfinite(truth.values)
        check_some(where, name)
        yield Trial(thinned.told, truth, where, find_axes(truth, dims), ask, teach)


def _with_partner(dataset: xr.Dataset, name: Hashable, time: str, wish: Wish) -> xr.Dataset:
    """Return the variable in floats, with the other component if it is one of a vector."""
    along = [n for n, v in dataset.data_vars.items() if time in v.dims]
    groups = in_groups(dataset, along, wish.arguments.get("vectors"))
    names = next(group for group in groups if name in group)
    return xr.Dataset({n: as_floats(dataset[n]) for n in names})


def _whole(count: int, every: int, totals: bool) -> int:
    """Return the steps of a record that are made use of: all but a rest at its end."""
    kept = count // every if totals else -(-count // every)
    if kept < _FEWEST:
        raise InputError(
            f"factor={every}: of {count} steps {kept} would be {'made' if totals else 'kept'}; "
            f"expected {_FEWEST} or more"
        )
    return kept * every if totals else (kept - 1) * every + 1


def _skipped(_dataset: xr.Dataset, data: xr.Dataset, time: str, every: int) -> _Thinned:
    """Return a record of which one of so many steps is kept."""
    hidden = np.ones(data.sizes[time], bool)
    hidden[::every] = False
    coarse = data.isel({time: slice(None, None, every)})
    return _Thinned(f"all but every {every}. step", coarse, data[time].values, hidden, 1)


def _summed(dataset: xr.Dataset, data: xr.Dataset, time: str, every: int) -> _Thinned:
    """Return a record of totals with the sums of so many of them in place of each."""
    # Halves tell where intervals begin and end.
    halves = parts_of_totals(dataset, time, None, 2, None).edges
    assert halves is not None
    count = data.sizes[time]
    starts, ends = halves[::2, 0][:count], halves[1::2, 1][:count]
    first = np.arange(0, count, every)
    last = first + every - 1
    coarse = data.isel({time: last}).assign_coords({time: (time, ends[last])})
    for name, variable in data.data_vars.items():
        sums = np.add.reduceat(variable.values, first, axis=variable.get_axis_num(time))
        coarse[name] = (variable.dims, sums, variable.attrs)
    edges = np.stack([starts[first], ends[last]], axis=1)
    bounds = time_bounds(dataset, time) or f"{time}_bnds"
    coarse[bounds] = ((time, "xgeoml_end"), edges)
    coarse[time].attrs["bounds"] = bounds
    # What lies between two intervals belongs to neither, and so not to their sum.
    gap = np.append(starts[1:] != ends[:-1], False)
    gap[last] = False
    hidden = ~np.logical_or.reduceat(gap, first).repeat(every)
    return _Thinned(f"totals of {every} steps, to be divided", coarse, ends, hidden, every)


def _further(arguments: Mapping[str, Any], every: int) -> dict[str, Any]:
    """Return the arguments of each call: on longer steps a gap is longer, too."""
    made = dict(arguments)
    longest = check_max_gap(made.get("max_gap"))
    if isinstance(longest, float):
        made["max_gap"] = timedelta(days=longest * every)
    return made


def _longer(data: xr.Dataset, time: str, block: Ints, model: str) -> xr.Dataset:
    """Return the longer of the stretches before and after a block: a hole is no step."""
    before, after = slice(0, int(block[0])), slice(int(block[-1]) + 1, None)
    longer = max(
        (data.isel({time: part}) for part in (before, after)), key=lambda part: part.sizes[time]
    )
    if longer.sizes[time] < _FEWEST:
        raise InputError(
            f"fit={model!r}: beside the steps that are hidden {longer.sizes[time]} in a row are "
            f"left to learn from; expected {_FEWEST} or more: type repeats=2 or more, or a "
            "shorter period="
        )
    return longer
