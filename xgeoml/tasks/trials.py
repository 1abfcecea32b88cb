"""What an evaluation tries models on: known values hidden, and the calls that bring them back."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.axes import Axes
from xgeoml.exceptions import InputError
from xgeoml.insert import bounds_name
from xgeoml.model import Model
from xgeoml.options import Options
from xgeoml.provenance import SUSPECT
from xgeoml.registry import get_model
from xgeoml.spec import ModelSpec
from xgeoml.tasks.choose import ModelLike
from xgeoml.tasks.covariates import Covariates, on_same_grid
from xgeoml.tasks.earlier import flag_name, spread_name
from xgeoml.tasks.fill_gaps import fill_gaps
from xgeoml.tasks.fit import fit
from xgeoml.tasks.holdouts import Bools, Holdout, gap_lengths, hide, own_gaps
from xgeoml.tasks.inverting import GreensLike
from xgeoml.tasks.prepare import prepare


class Answer(NamedTuple):
    """What a model made: an estimate on the cells of the truth, and one standard deviation."""

    estimate: xr.DataArray
    spread: xr.DataArray | None


@dataclass(frozen=True)
class Trial:
    """One repeat: what is hidden, and how a model is asked for it.

    Attributes
    ----------
    told : str
        What is hidden, in words.
    truth : DataArray
        In memory.
    where : ndarray of bool
        The values that count, over the dims of the truth.
    axes : Axes
        Of the truth.
    ask : callable
        Given a model and its spec, returns its answer; it has not seen what is hidden.
    teach : callable
        Given a name and settings of `fit`, returns a model trained on what is not hidden.
    gap : ndarray of int, optional
        How many steps in a row each hidden value lacks, itself included.
    whole : ndarray of bool, optional
        Fields, over the dims of the truth, whose spectra can be compared; None: all of it.
    """

    told: str
    truth: xr.DataArray
    where: Bools
    axes: Axes
    ask: Callable[[ModelLike, ModelSpec], Answer]
    teach: Callable[[str, Mapping[str, Any]], Model]
    gap: NDArray[np.int64] | None = None
    whole: Bools | None = None


@dataclass(frozen=True)
class Wish:
    """What the user asked of `evaluate`, see there."""

    holdout: Holdout | Sequence[xr.DataArray] | None
    repeats: int
    period: slice | None
    covariates: Covariates
    factor: int | None
    target: xr.DataArray | None
    greens: GreensLike | None
    join: tuple[str, ...]
    length: Any
    dims: Mapping[str, str] | None
    options: Options

    @property
    def run(self) -> dict[str, Any]:
        """The options of each call."""
        options = self.options
        return {
            "device": options.device,
            "batch_size": options.batch_size,
            "precision": options.precision,
            "seed": options.seed,
            "progress": False,
        }

    def fitted(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of `fit`, the user's before the others."""
        return {**self.run, "dims": self.dims, **settings}


def in_period(coord: xr.DataArray, period: slice | None) -> Bools:
    """Return which steps of a time axis lie in a period.

    Raises
    ------
    InputError
        If none does.
    """
    chosen = np.ones(coord.size, bool)
    if period is not None:
        _check_dated(coord, period)
        time = coord.dims[0]
        number = xr.DataArray(np.arange(coord.size), {time: coord.values}, (time,))
        try:
            chosen = np.isin(np.arange(coord.size), number.sel({time: period}).values)
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(
                f"period={period}: expected dates such as ('2015', '2018'); the time axis cannot "
                f"be cut by it: {error}"
            ) from error
    if not chosen.any():
        first, last = (str(v)[:16] for v in coord.values[[0, -1]])
        raise InputError(f"period={period}: no step lies in it; the data have {first} to {last}")
    return chosen


def _check_dated(coord: xr.DataArray, period: slice) -> None:
    """Raise if ends of a period say nothing to a time axis: pandas compares texts with numbers."""
    ends = [end for end in (period.start, period.stop) if end is not None]
    named = coord.name in coord.coords
    if not named or (coord.dtype.kind in "iuf" and any(isinstance(end, str) for end in ends)):
        raise InputError(
            f"period={period}: the time axis {coord.name!r} has no dates; give it some, "
            f"obj.assign_coords({coord.dims[0]}=...), or leave period= out"
        )


def gap_trials(dataset: xr.Dataset, name: Hashable, wish: Wish) -> Iterator[Trial]:
    """Yield the repeats of an evaluation of gap filling.

    Parameters
    ----------
    dataset : Dataset
    name : Hashable
        The variable whose values are hidden.
    wish : Wish
    """
    complete, prepared = prepare(
        needed(dataset, name, wish.covariates).compute(), name, None, wish.dims
    )
    time = prepared.time
    data = prepared.data.transpose(time, ...)
    bare = complete.drop_vars([flag_name(name), spread_name(name)], errors="ignore")
    drivers = in_memory(wish.covariates)
    # What no model learns from, none should be asked for.
    plain = fill_gaps(bare[[name]], "linear", variables=[name], dims=wish.dims, **wish.run)
    suspect = (plain[flag_name(name)] == SUSPECT).transpose(*data.dims).values
    known = np.isfinite(data.values) & ~suspect
    may = in_period(data[time], wish.period)

    def blind(hidden: Bools) -> xr.Dataset:
        values = data.copy(data=np.where(hidden, np.nan, data.values)).astype(data.dtype)
        return bare.assign({name: values.transpose(*prepared.data.dims)})

    step = np.median(np.diff(prepared.years)) if len(known) > 1 else 1.0
    year = round(1.0 / step) if step < 1 / 3 else 0
    told = "masks of the user's own"
    if isinstance(wish.holdout, Holdout):
        told = wish.holdout.told(known)
    for repeat in range(wish.repeats):
        hidden = _hidden(known, data, prepared.axes, wish, repeat, may, year)
        seen = blind(hidden)

        def ask(model: ModelLike, spec: ModelSpec, seen: xr.Dataset = seen) -> Answer:
            made = fill_gaps(
                seen,
                model,
                variables=[name],
                covariates=drivers if spec.covariates else None,
                spread=spec.gives_spread,
                dims=wish.dims,
                **wish.run,
            )
            spread = made.get(spread_name(name))
            return Answer(
                made[name].transpose(*data.dims),
                None if spread is None else spread.transpose(*data.dims),
            )

        def teach(model: str, settings: Mapping[str, Any], seen: xr.Dataset = seen) -> Model:
            useful = drivers if get_model(model, "fill_gaps").covariates else None
            return fit(seen, model, variables=[name], covariates=useful, **wish.fitted(settings))

        left = known & ~hidden
        steps = left.any(tuple(range(1, data.ndim)))
        yield Trial(
            told,
            data,
            hidden,
            prepared.axes,
            ask,
            teach,
            gap_lengths(own_gaps(left) | hidden),
            _like(~steps & hidden.any(tuple(range(1, data.ndim))), hidden),
        )


def _hidden(
    known: Bools,
    data: xr.DataArray,
    axes: Axes,
    wish: Wish,
    repeat: int,
    may: Bools,
    year: int,
) -> Bools:
    """Return what is hidden in a repeat."""
    if isinstance(wish.holdout, Holdout):
        rng = np.random.default_rng([wish.options.seed, repeat])
        return hide(known, wish.holdout, rng, may, year)
    assert wish.holdout is not None
    mask = wish.holdout[repeat]
    lost = [str(d) for d in mask.dims if d not in data.dims]
    if lost:
        raise InputError(
            f"the mask of holdout= has the dims {lost}; expected some of {list(data.dims)}"
        )
    (time,) = data.dims[:1]
    mask = on_cells(mask, data, axes, "the mask of holdout=")
    wrong = {d: mask.sizes[d] for d in mask.dims if mask.sizes[d] != data.sizes[d]}
    if wrong:
        raise InputError(
            f"the mask of holdout= has the sizes {wrong} and no coordinates; expected "
            f"{ {d: data.sizes[d] for d in wrong} }"
        )
    hidden = np.asarray(known & spread_over(mask, data) & _like(may, known))
    if not hidden.any():
        raise InputError(
            "the mask of holdout= hides no known value; expected True where there are values, on "
            f"the labels of the data: {time} {str(data[time].values[0])[:16]} to "
            f"{str(data[time].values[-1])[:16]}"
        )
    return hidden


def on_cells(mask: xr.DataArray, data: xr.DataArray, axes: Axes, label: str) -> xr.DataArray:
    """Return a mask on the labels of the data, False where it says nothing.

    The same cells are found in any order, and by place: of coordinates that differ by rounding, or
    by 360 degrees, labels would lose some without a word.

    Raises
    ------
    InputError
        If it has as many cells along a dim, and others.
    """
    labelled = [d for d in mask.dims if d in mask.coords and d in data.coords]
    # Absent steps were added to the data: a mask knows nothing of them.
    apart = [d for d in labelled if d == axes.get("T") or mask.sizes[d] != data.sizes[d]]
    mask = mask.reindex({d: data[d] for d in apart}, fill_value=False) if apart else mask
    if any(mask.sizes[d] != data.sizes.get(d) for d in mask.dims):
        return mask  # which the caller complains of
    return on_same_grid(mask, label, data, axes, "mask")


def spread_over(mask: xr.DataArray, data: xr.DataArray) -> Bools:
    """Return a mask over all dims of the data, matched by dim."""
    shape = [data.sizes[d] if d in mask.dims else 1 for d in data.dims]
    ordered = mask.transpose(*[d for d in data.dims if d in mask.dims])
    return np.broadcast_to(ordered.values.reshape(shape), data.shape)


def _like(steps: Bools, values: NDArray[Any]) -> Bools:
    """Return steps over the shape of values, whose first axis they are."""
    return np.asarray(np.broadcast_to(steps.reshape(-1, *(1,) * (values.ndim - 1)), values.shape))


def needed(dataset: xr.Dataset, name: Hashable, covariates: Covariates) -> xr.Dataset:
    """Return what an evaluation of a variable makes use of: itself, covariates, bounds, flags."""
    given = covariates if isinstance(covariates, (list, tuple)) else [covariates]
    keep = [name, *(c for c in given if isinstance(c, str)), flag_name(name), spread_name(name)]
    keep += [n for v in dataset.variables.values() if (n := bounds_name(v)) is not None]
    return dataset[[n for n in dict.fromkeys(keep) if n in dataset.data_vars]]


def in_memory(covariates: Covariates) -> Covariates:
    """Return covariates loaded, so that lazy ones are not read for every model."""
    if isinstance(covariates, xr.DataArray):
        return covariates.compute()
    if isinstance(covariates, (list, tuple)):
        return [c.compute() if isinstance(c, xr.DataArray) else c for c in covariates]
    return covariates
