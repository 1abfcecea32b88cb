"""Green's functions brought to the records that they are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from xgeoml.engine.execute import is_lazy
from xgeoml.exceptions import InputError, TimeAxisError
from xgeoml.tasks.samples import Samples, samples_of

Impulse = Literal["sample", "second"]
# How far the last sample may be off where steps differ a little, in steps.
_DRIFT = 0.1
# The largest number in the ratio of two sampling rates.
_LARGEST = 4096
_LABEL = "greens"


@dataclass(frozen=True)
class Greens:
    """Green's functions, on the labels and the step of the records.

    Attributes
    ----------
    array : DataArray, (*dims of the records, sample)
        As many samples as the records have, along a dim of the same name.
    samples : Samples
        Its own time axis, as it was given.
    learnt : tuple of str or None, optional
        Of those that were learnt from pairs, the units of record and source.
    lags : int
        Of those, the samples of the sources; 0 for others.
    """

    array: xr.DataArray
    samples: Samples
    learnt: tuple[str | None, str | None] | None = None
    lags: int = 0


def aligned(
    greens: xr.DataArray,
    record: xr.DataArray,
    samples: Samples,
    dims: Mapping[str, str] | None,
    resample: bool,
    impulse: Impulse,
) -> Greens:
    """Return Green's functions on the labels and the step of a record.

    Parameters
    ----------
    greens : DataArray
        Of dims that the record has, too.
    record : DataArray
    samples : Samples
        Of the record.
    dims : mapping, optional
        The user's word on the time axis.
    resample : bool
        Whether to bring it to the record's step.
    impulse : {"sample", "second"}
        What it is a response to.

    Raises
    ------
    InputError
        If it is no DataArray, lacks labels, or has dims that the record has not.
    TimeAxisError
        If it is too short, or its step is another one.
    """
    if not isinstance(greens, xr.DataArray):
        raise InputError(
            f"greens is a {type(greens).__name__}; expected a DataArray with the time axis and dims"
            " of the records"
        )
    own = samples_of(greens, _of_time(greens, samples, dims), _LABEL)
    if greens.dtype.kind not in "fiu":
        raise InputError(f"greens has dtype {greens.dtype}; expected numbers")
    others = [d for d in greens.dims if d != own.dim]
    strange = [str(d) for d in others if d not in record.dims]
    if strange:
        raise InputError(
            f"greens has the dims {strange}, which the records have not; expected some of "
            f"{[str(d) for d in record.dims if d != samples.dim]}: rename them, or select one"
        )
    for dim in others:
        greens = on_labels(greens, record, str(dim))
    greens = greens.drop_vars([c for c in greens.coords if own.dim in greens.coords[c].dims])
    if own.dim != samples.dim:
        greens = greens.rename({own.dim: samples.dim})
    greens = _on_step(greens, own, samples, resample, impulse)
    count = greens.sizes[samples.dim]
    if count < samples.count:
        raise TimeAxisError(
            f"greens has {count} samples, the records {samples.count}; expected as many or more. "
            f"Where it is over it is zero: {_longer(own, samples.count - count)}; or cut the "
            f"records, records.isel({samples.dim}=slice({count}))"
        )
    return Greens(greens.isel({samples.dim: slice(0, samples.count)}), own)


def _of_time(
    greens: xr.DataArray, samples: Samples, dims: Mapping[str, str] | None
) -> Mapping[str, str] | None:
    """Return the word on the time axis of Green's functions: the user's, or that of the records."""
    named = [(dims or {}).get("T"), samples.dim]
    found = next((d for d in named if d is not None and d in greens.dims), None)
    return None if found is None else {"T": found}


def _longer(own: Samples, more: int) -> str:
    """Return code that makes Green's functions longer by so many samples of the records."""
    code = f"greens.pad({own.dim}=(0, {more}), constant_values=0)"
    if own.coord is None:
        return code
    # Padded labels are missing.
    name = own.coord.name
    last = f"np.arange({own.count}, {own.count + more})"
    step = f"(greens.{name}[1] - greens.{name}[0]).values"
    labels = f"np.r_[greens.{name}, greens.{name}.values[0] + {last} * {step}]"
    return f"{code}.assign_coords({name}=({own.dim!r}, {labels}, greens.{name}.attrs))"


def on_labels(
    array: xr.DataArray, record: xr.DataArray, dim: str, what: str = _LABEL
) -> xr.DataArray:
    """Return an array, such as Green's functions, at the labels of records along a dim.

    Raises
    ------
    InputError
        If labels are lost or ambiguous, or without labels the lengths differ.
    """
    if dim in array.indexes and dim in record.indexes:
        have, want = array.indexes[dim], record.indexes[dim]
        if have.equals(want):
            return array
        if not have.is_unique:
            twice = list(map(str, have[have.duplicated()][:3]))
            raise InputError(
                f"{what} has labels twice along {dim!r}: {twice}; expected each once: "
                f"{what}.drop_duplicates({dim!r})"
            )
        places = have.get_indexer(want)
        lost = list(map(str, want[places < 0]))
        if lost:
            cure = (
                f"found {_few(have)}: rename them"
                if len(lost) == len(want)
                else "leave the others out, records.isel("
                f"{dim}=records.indexes[{dim!r}].isin({what}.indexes[{dim!r}]))"
            )
            raise InputError(
                f"{what} has no {dim} {_few(lost)} ({len(lost)} of {len(want)}); expected one for "
                f"each of the records; {cure}"
            )
        return array.isel({dim: places})
    if array.sizes[dim] != record.sizes[dim]:
        raise InputError(
            f"{what} has {array.sizes[dim]} along {dim!r}, the records {record.sizes[dim]}; "
            "expected as many, or labels by which to find them"
        )
    return array


def _few(labels: Sequence[Any] | pd.Index) -> str:
    return ", ".join(map(str, labels[:5])) + ", ..." * (len(labels) > 5)


def _on_step(
    greens: xr.DataArray, own: Samples, samples: Samples, resample: bool, impulse: Impulse
) -> xr.DataArray:
    """Return Green's functions with the step of the record."""
    if "none" in (own.clock, samples.clock):
        if resample:
            blank = "greens" if own.clock == "none" else "records"
            raise TimeAxisError(
                f"resample=True: {blank} has no times along its time axis, so that nothing tells "
                f"its sampling rate; expected some: {blank}.assign_coords("
                f"{(own if own.clock == 'none' else samples).dim}=...), in seconds"
            )
        return greens
    # Numbers of no known unit are taken for those of the other axis.
    units = [s.unit or o.unit or 1.0 for s, o in ((own, samples), (samples, own))]
    steps = [s.step if s.unit else s.step * u for s, u in zip((own, samples), units, strict=True)]
    ratio = steps[0] / steps[1]
    if abs(ratio - 1.0) * samples.count <= _DRIFT:
        return greens
    rates = f"one sample every {steps[0]:.6g} s, the records one every {steps[1]:.6g} s"
    if not resample:
        raise TimeAxisError(
            f"greens has {rates}; expected the same: resample=True brings it to the records' step"
        )
    parts = Fraction(ratio).limit_denominator(_LARGEST)
    off = abs(float(parts) / ratio - 1.0) * samples.count if parts else np.inf
    if off > _DRIFT or parts.numerator > _LARGEST:
        raise TimeAxisError(
            f"greens has {rates}; expected rates of a simple ratio: interpolate it first, "
            f"greens.interp({own.dim}=...)"
        )
    # A response to one sample is one to less area where samples are shorter.
    factor = 1.0 if impulse == "second" else 1.0 / ratio
    dim = samples.dim
    count = -(-greens.sizes[dim] * parts.numerator // parts.denominator)

    def resampled(values: Any) -> Any:
        from scipy.signal import resample_poly

        wide = values.astype(np.float64)
        return factor * resample_poly(wide, parts.numerator, parts.denominator, axis=-1)

    if is_lazy(greens.data):
        greens = greens.chunk({dim: -1})
    made: xr.DataArray = xr.apply_ufunc(
        resampled,
        greens,
        input_core_dims=[[dim]],
        output_core_dims=[[dim]],
        exclude_dims={dim},
        dask="parallelized",
        dask_gufunc_kwargs={"output_sizes": {dim: count}},
        output_dtypes=[np.float64],
        keep_attrs=True,
    )
    return made
