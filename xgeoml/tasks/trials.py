"""What an evaluation tries models on: the parts that are the same of all tasks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.axes import Axes
from xgeoml.exceptions import InputError
from xgeoml.insert import bounds_name
from xgeoml.model import Model
from xgeoml.months import Freq
from xgeoml.options import Options
from xgeoml.spec import ModelSpec
from xgeoml.tasks.choose import ModelLike
from xgeoml.tasks.covariates import Covariates, on_same_grid
from xgeoml.tasks.earlier import flag_name, spread_name
from xgeoml.tasks.filling import Request
from xgeoml.tasks.holdouts import Bools, Holdout, Ints
from xgeoml.tasks.inverting import GreensLike

Ask = Callable[[ModelLike, ModelSpec], "Answer"]
Teach = Callable[[str, Mapping[str, Any]], Model]


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
        How many steps in a row are missing around each value that counts, itself included; in the
        order of these.
    whole : ndarray of bool, optional
        Fields, over the dims of the truth, whose spectra can be compared; None: all of it.
    """

    told: str
    truth: xr.DataArray
    where: Bools
    axes: Axes
    ask: Ask
    teach: Teach
    gap: NDArray[np.int32] | None = None
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
    freq: Freq | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)

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

    @property
    def request(self) -> Request:
        """What a call of `fill_gaps` is made of, for what is found out without one."""
        return Request(
            model="auto",
            weights=None,
            model_options=None,
            covariates=self.covariates,
            mask=self.arguments.get("mask"),
            max_gap=None,
            spread=False,
            dims=self.dims,
            options=self.options,
            call="",
            freq=self.freq,
        )

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
    for dim in apart:
        if not (mask.indexes[dim].is_unique and data.indexes[dim].is_unique):
            raise InputError(
                f"{label} lies along {dim!r}, of which labels occur twice; expected each once, by "
                f"which its values are found: obj.drop_duplicates({dim!r})"
            )
    mask = mask.reindex({d: data[d] for d in apart}, fill_value=False) if apart else mask
    if any(mask.sizes[d] != data.sizes.get(d) for d in mask.dims):
        return mask  # which the caller complains of
    return on_same_grid(mask, label, data, axes, "mask")


def spread_over(mask: xr.DataArray, data: xr.DataArray) -> Bools:
    """Return a mask over all dims of the data, matched by dim."""
    shape = [data.sizes[d] if d in mask.dims else 1 for d in data.dims]
    ordered = mask.transpose(*[d for d in data.dims if d in mask.dims])
    return np.broadcast_to(ordered.values.reshape(shape), data.shape)


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


def check_apart(covariates: Covariates, truth: xr.DataArray) -> None:
    """Raise if a covariate tells what is hidden: the variable itself, with its gaps or filled.

    Parameters
    ----------
    covariates : sequence, optional
        In memory, or names.
    truth : DataArray
        In memory, as the user has it.

    Raises
    ------
    InputError
    """
    several = covariates if isinstance(covariates, (list, tuple)) else [covariates]
    known = truth.notnull().values
    for given in several:
        alike = isinstance(given, xr.DataArray) and dict(given.sizes) == dict(truth.sizes)
        if not alike or not isinstance(given, xr.DataArray):
            continue
        values = given.transpose(*truth.dims).values
        if known.any() and np.array_equal(values[known], truth.values[known]):
            raise InputError(
                f"covariate {given.name!r} holds the values of {truth.name!r} itself, so that "
                "models would be told what is hidden; leave it out"
            )


def has_values(array: xr.DataArray, time: str) -> Bools:
    """Return which steps hold a value."""
    return np.asarray(array.notnull().any([d for d in array.dims if d != time]).values)


def in_stretches(inside: Bools, repeats: int, together: int = 1) -> list[Ints]:
    """Return the steps of each repeat: stretches of those that may be hidden, as many as there are.

    Parameters
    ----------
    inside : ndarray of bool, (time,)
        Which may be hidden.
    repeats : int
    together : int
        So many steps, counted from the first one, are hidden together or not at all.
    """
    wanted = inside.reshape(-1, together).all(1)
    groups = np.flatnonzero(wanted)
    if not len(groups):
        raise InputError("no step with values can be hidden; expected data, or a longer period=")
    parts = np.array_split(groups, min(repeats, len(groups)))
    return [(part[:, None] * together + np.arange(together)).ravel() for part in parts]


def check_some(where: Bools, name: Hashable) -> None:
    """Raise if nothing counts in a part of the record."""
    if not where.any():
        raise InputError(
            f"variable {name!r} is missing throughout a part that was to be hidden; expected data "
            "in it: choose period="
        )
