"""Green's functions brought to the records that they are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np
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
    """

    array: xr.DataArray
    samples: Samples
    learnt: tuple[str | None, str | None] | None = None


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
    own = samples_of(greens, dims if dims and dims.get("T") in greens.dims else None, _LABEL)
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
        greens = _on_labels(greens, record, str(dim))
    greens = greens.drop_vars([c for c in greens.coords if own.dim in greens.coords[c].dims])
    if own.dim != samples.dim:
        greens = greens.rename({own.dim: samples.dim})
    greens = _on_step(greens, own, samples, resample, impulse)
    count = greens.sizes[samples.dim]
    if count < samples.count:
        raise TimeAxisError(
            f"greens has {count} samples, the records {samples.count}; expected as many or more: "
            f"where it is over it is zero, greens.pad({own.dim}=(0, {samples.count - count}), "
            "constant_values=0), or cut the records"
        )
    return Greens(greens.isel({samples.dim: slice(0, samples.count)}), own)


def _on_labels(greens: xr.DataArray, record: xr.DataArray, dim: str) -> xr.DataArray:
    """Return Green's functions at the labels of the record."""
    if dim in greens.indexes and dim in record.indexes:
        have, want = greens.indexes[dim], record.indexes[dim]
        if have.equals(want):
            return greens
        if not have.is_unique:
            twice = list(map(str, have[have.duplicated()][:3]))
            raise InputError(f"greens has labels twice along {dim!r}: {twice}; expected each once")
        lost = list(map(str, want[~want.isin(have)]))
        if lost:
            shown = ", ".join(lost[:5]) + (", ..." if len(lost) > 5 else "")
            raise InputError(
                f"greens has no {dim} {shown} ({len(lost)} of {len(want)}); expected one for each "
                f"of the records: records = records.sel({dim}=greens[{dim!r}])"
            )
        return greens.sel({dim: want})
    if greens.sizes[dim] != record.sizes[dim]:
        raise InputError(
            f"greens has {greens.sizes[dim]} along {dim!r}, the records {record.sizes[dim]}; "
            "expected as many, or labels by which to find them"
        )
    return greens


def _on_step(
    greens: xr.DataArray, own: Samples, samples: Samples, resample: bool, impulse: Impulse
) -> xr.DataArray:
    """Return Green's functions with the step of the record."""
    if "none" in (own.clock, samples.clock):
        return greens
    if own.unit is None or samples.unit is None:
        own, samples = replace(own, unit=1.0), replace(samples, unit=1.0)
    ratio = own.step / samples.step
    if abs(ratio - 1.0) * samples.count <= _DRIFT:
        return greens
    rates = f"one sample every {own.step:.6g} s, the records one every {samples.step:.6g} s"
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
