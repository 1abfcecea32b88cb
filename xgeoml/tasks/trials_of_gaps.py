"""What an evaluation of gap filling tries models on: known values hidden, calls that fill them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.axes import Axes
from xgeoml.exceptions import InputError
from xgeoml.model import Model
from xgeoml.provenance import FILLED, SUSPECT
from xgeoml.registry import get_model
from xgeoml.spec import ModelSpec
from xgeoml.tasks.choose import ModelLike
from xgeoml.tasks.covariates import Covariates
from xgeoml.tasks.earlier import flag_name, spread_name
from xgeoml.tasks.fill_gaps import fill_gaps
from xgeoml.tasks.filling import gives_months
from xgeoml.tasks.fit import fit
from xgeoml.tasks.holdouts import Bools, Holdout, gap_lengths, hide, own_gaps
from xgeoml.tasks.prepare import prepare
from xgeoml.tasks.trials import (
    Answer,
    Ask,
    Teach,
    Trial,
    Wish,
    check_apart,
    in_memory,
    in_period,
    needed,
    on_cells,
    spread_over,
)


@dataclass(frozen=True)
class Record:
    """A record of which values are hidden.

    Attributes
    ----------
    bare : Dataset
        The variable with covariates and bounds, absent steps added, nothing beside them.
    data : DataArray, (time, ...)
        The variable, in memory; what an earlier call filled is missing.
    order : tuple of str
        Its dims as the user has them.
    axes : Axes
    known, suspect : ndarray of bool, (time, ...)
        The values to compare with, and those that no model learns from, so that none should be
        asked for them.
    may : ndarray of bool, (time,)
        Steps in which values may be hidden.
    year : int
        Steps in a year; 0 where there are not several of them.
    drivers : sequence, optional
        Covariates in memory, or names in `bare`.
    """

    bare: xr.Dataset
    data: xr.DataArray
    order: tuple[Hashable, ...]
    axes: Axes
    known: Bools
    suspect: Bools
    may: Bools
    year: int
    drivers: Covariates

    @property
    def name(self) -> Hashable:
        """The name of the variable."""
        return self.data.name

    def without(self, hidden: Bools) -> xr.Dataset:
        """Return what a model is given: the record without some of its values."""
        values = self.data.values.copy()
        values[hidden] = np.nan
        # Of a MultiIndex a whole array cannot be assigned without a warning.
        data = self.data.variable.copy(data=values).transpose(*self.order)
        return self.bare.assign({self.name: data})


def record_of(dataset: xr.Dataset, name: Hashable, wish: Wish) -> Record:
    """Return a record as an evaluation of gap filling sees it.

    Raises
    ------
    InputError
        If no step lies in the period, or the variable is its own covariate.
    """
    loaded = needed(dataset, name, wish.covariates).compute()
    complete, prepared = prepare(loaded, name, None, wish.dims)
    data = prepared.data.transpose(prepared.time, ...)
    drivers = in_memory(wish.covariates)
    check_apart(drivers, loaded[name])
    step = np.median(np.diff(prepared.years)) if data.shape[0] > 1 else 1.0
    record = Record(
        complete.drop_vars([flag_name(name), spread_name(name)], errors="ignore"),
        data,
        prepared.data.dims,
        prepared.axes,
        np.isfinite(data.values),
        np.zeros(data.shape, bool),
        in_period(data[prepared.time], wish.period),
        round(1.0 / step) if step < 1 / 3 else 0,
        drivers,
    )
    suspect = flags_of(record, record.suspect, wish) == SUSPECT
    return replace(record, known=record.known & ~suspect, suspect=suspect)


def flags_of(record: Record, hidden: Bools, wish: Wish, **further: Any) -> NDArray[np.int8]:
    """Return the flags, (time, ...), that any model leaves: what is suspect, and what is filled."""
    name = record.name
    made = fill_gaps(
        needed(record.without(hidden), name, None),
        "linear",
        variables=[name],
        dims=wish.dims,
        **further,
        **wish.run,
    )
    return np.asarray(made[flag_name(name)].transpose(*record.data.dims).values)


def gap_trials(dataset: xr.Dataset, name: Hashable, wish: Wish) -> Iterator[Trial]:
    """Yield the repeats of an evaluation of gap filling.

    Parameters
    ----------
    dataset : Dataset
    name : Hashable
        The variable whose values are hidden.
    wish : Wish
    """
    record = record_of(dataset, name, wish)
    told = told_of(record, wish)
    for repeat in range(wish.repeats):
        yield _gap_trial(record, wish, told, hidden_in(record, wish, (repeat,)))


def _gap_trial(record: Record, wish: Wish, told: str, hidden: Bools) -> Trial:
    counts = hidden
    if wish.arguments:  # which say of some gaps that they are not to be filled
        counts = hidden & (flags_of(record, hidden, wish, **wish.arguments) == FILLED)
        if not counts.any():
            raise InputError(
                f"{' and '.join(f'{name}=' for name in wish.arguments)} let none of the hidden "
                f"values be filled; expected some: another holdout= than {told!r}, or leave them "
                "out of arguments="
            )
    left: Bools = record.known & ~hidden
    space = tuple(range(1, hidden.ndim))
    whole = _like(np.asarray(~left.any(space) & hidden.any(space)), hidden)
    return Trial(
        told,
        record.data,
        counts,
        record.axes,
        *calls_on(record, hidden, wish),
        gap=gap_lengths(own_gaps(left) | hidden)[counts],
        whole=whole,
    )


def told_of(record: Record, wish: Wish) -> str:
    """Return in words what is hidden."""
    if isinstance(wish.holdout, Holdout):
        return wish.holdout.told(record.known)
    return "masks of the user's own"


def calls_on(record: Record, hidden: Bools, wish: Wish) -> tuple[Ask, Teach]:
    """Return how a model is asked for what is hidden, and how one is trained on what is not."""
    name, dims, seen = record.name, record.data.dims, record.without(hidden)

    def ask(model: ModelLike, spec: ModelSpec) -> Answer:
        made = fill_gaps(
            seen,
            model,
            variables=[name],
            covariates=record.drivers if spec.covariates else None,
            freq=wish.freq,
            # Of months made of days no spread follows from those of the days.
            spread=spec.gives_spread and (wish.freq is None or gives_months(spec)),
            dims=wish.dims,
            **wish.arguments,
            **wish.run,
        )
        spread = made.get(spread_name(name))
        return Answer(
            made[name].transpose(*dims),
            None if spread is None else spread.transpose(*dims),
        )

    def teach(model: str, settings: Mapping[str, Any]) -> Model:
        useful = record.drivers if get_model(model, "fill_gaps").covariates else None
        return fit(seen, model, variables=[name], covariates=useful, **wish.fitted(settings))

    return ask, teach


def hidden_in(record: Record, wish: Wish, draw: tuple[int, ...]) -> Bools:
    """Return what is hidden in a repeat, the first number of `draw`; others draw anew."""
    known, data = record.known, record.data
    if isinstance(wish.holdout, Holdout):
        rng = np.random.default_rng([wish.options.seed, *draw])
        return hide(known, wish.holdout, rng, record.may, record.year)
    assert wish.holdout is not None
    mask = wish.holdout[draw[0]]
    lost = [str(d) for d in mask.dims if d not in data.dims]
    if lost:
        raise InputError(
            f"the mask of holdout= has the dims {lost}; expected some of {list(data.dims)}"
        )
    (time,) = data.dims[:1]
    mask = on_cells(mask, data, record.axes, "the mask of holdout=")
    wrong = {d: mask.sizes[d] for d in mask.dims if mask.sizes[d] != data.sizes[d]}
    if wrong:
        raise InputError(
            f"the mask of holdout= has the sizes {wrong} and no coordinates; expected "
            f"{ {d: data.sizes[d] for d in wrong} }"
        )
    hidden = np.asarray(known & spread_over(mask, data) & _like(record.may, known))
    if not hidden.any():
        raise InputError(
            "the mask of holdout= hides no known value; expected True where there are values, on "
            f"the labels of the data: {time} {str(data[time].values[0])[:16]} to "
            f"{str(data[time].values[-1])[:16]}"
        )
    return hidden


def _like(steps: Bools, values: NDArray[Any]) -> Bools:
    """Return steps over the shape of values, whose first axis they are."""
    return np.asarray(np.broadcast_to(steps.reshape(-1, *(1,) * (values.ndim - 1)), values.shape))
