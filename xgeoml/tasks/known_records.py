"""Records to learn from, with what is known of their sources and paths."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from xgeoml.exceptions import InputError, TimeAxisError
from xgeoml.models.series import Bools, Floats
from xgeoml.tasks.dispatch import check_named
from xgeoml.tasks.greens import aligned, on_labels
from xgeoml.tasks.samples import Samples, samples_of
from xgeoml.tasks.values import as_floats

# By how much the steps of records and sources may differ, in samples over their length.
_DRIFT = 0.1


@dataclass(frozen=True)
class Known:
    """Records with what is known of their sources and paths, as arrays.

    Attributes
    ----------
    record : ndarray, (event, path, station, sample)
        `path` counts records of one event that are inverted by themselves.
    source : ndarray or None, (event, lag)
    greens : ndarray or None, of the shape of `record`
    apart : tuple of str
        Dims of the records that the axis `path` stands for.
    array : DataArray
        The records.
    samples : Samples
        Their time axis.
    late : float
        Seconds from the first sample of a record to that of its source.
    units : tuple of str or None
        Of record and source.
    lags : int
        Samples of the sources as they were given; 0 without.
    """

    record: Floats
    source: Floats | None
    greens: Floats | None
    apart: tuple[str, ...]
    array: xr.DataArray
    samples: Samples
    late: float
    units: tuple[str | None, str | None]
    lags: int = 0


def known_records(
    obj: xr.DataArray | xr.Dataset | xr.DataTree,
    target: xr.DataArray | xr.Dataset | None,
    greens: xr.DataArray | str | None,
    variables: Sequence[Hashable] | None,
    dims: Mapping[str, str] | None,
    join: tuple[str, ...],
) -> Known:
    """Return records with sources and Green's functions, loaded.

    Parameters
    ----------
    obj, target, greens, variables, dims
        As in `xgeoml.fit`.
    join : tuple of str
        Dims along which records have one source.

    Raises
    ------
    InputError, AxisError, TimeAxisError
        If they do not fit each other.
    """
    original = _records(obj, variables)
    samples = samples_of(original, dims, "the records")
    array = as_floats(original)
    lost = [d for d in join if d not in array.dims or d == samples.dim]
    if lost:
        raise InputError(
            f"dim={lost[0]!r}: the records have the dims {list(map(str, array.dims))}; expected one"
            f" of these but {samples.dim!r}"
        )
    loop = [str(d) for d in array.dims if d not in (*join, samples.dim)]
    source: Floats | None = None
    units: tuple[str | None, str | None] = (_units(original), None)
    late = 0.0
    apart: list[str] = []
    if target is not None:
        wanted, own = _target(target, array, samples, join)
        apart = [d for d in loop if d not in wanted.dims]
        loop = [d for d in loop if d in wanted.dims]
        source = _values(wanted, (*loop, own.dim)).reshape(-1, own.count)
        late, units = _late(own, samples), (units[0], _units(wanted))
    shape = (-1, *(_size(array, dims_) for dims_ in (apart, join)), samples.count)
    order = (*loop, *apart, *join, samples.dim)
    record = _values(array, order).reshape(shape)
    paths = None
    if greens is not None:
        if isinstance(greens, str):
            if not isinstance(obj, xr.Dataset):
                raise InputError(f"greens={greens!r}: goes with a Dataset; give a DataArray")
            check_named(obj, [greens])
            greens = obj[greens]
        known = aligned(greens, array, samples, dims, False, "sample").array
        paths = _values(known.broadcast_like(array), order).reshape(shape)
        if not np.isfinite(paths).all():
            raise InputError("greens has missing samples; expected numbers: greens.fillna(0)")
    lags = 0 if source is None else source.shape[-1]
    return _whole(Known(record, source, paths, tuple(apart), array, samples, late, units, lags))


def _records(
    obj: xr.DataArray | xr.Dataset | xr.DataTree, variables: Sequence[Hashable] | None
) -> xr.DataArray:
    """Return the one variable to learn from."""
    if isinstance(obj, xr.DataArray):
        return obj
    if not isinstance(obj, xr.Dataset):
        raise InputError(
            f"found a {type(obj).__name__}; expected records as a DataArray or a variable of a "
            "Dataset, variables='record'"
        )
    names = list(obj.data_vars) if variables is None else list(variables)
    check_named(obj, names)
    if len(names) != 1:
        raise InputError(
            f"found the variables {list(map(str, names))}; expected one, the records: "
            "variables='record'"
        )
    return obj[names[0]]


def _target(
    target: xr.DataArray | xr.Dataset,
    array: xr.DataArray,
    samples: Samples,
    join: tuple[str, ...],
) -> tuple[xr.DataArray, Samples]:
    """Return the sources at the labels of the records, and their time axis."""
    if isinstance(target, xr.Dataset):
        names = list(target.data_vars)
        if len(names) != 1:
            raise InputError(
                f"target has the variables {list(map(str, names))}; expected one, or a DataArray"
            )
        target = target[names[0]]
    if not isinstance(target, xr.DataArray):
        raise InputError(f"target is a {type(target).__name__}; expected a DataArray of sources")
    own = samples_of(target, {"T": samples.dim} if samples.dim in target.dims else None, "target")
    both = "none" not in (own.clock, samples.clock)
    if both and abs(own.step / samples.step - 1.0) * own.count > _DRIFT:
        raise TimeAxisError(
            f"target has a sample every {own.step:.6g} s, the records one every "
            f"{samples.step:.6g} s; expected the same: interpolate target"
        )
    if own.count > samples.count:
        raise TimeAxisError(
            f"target has {own.count} samples, the records {samples.count}; expected as many or "
            f"fewer: target.isel({own.dim}=slice({samples.count}))"
        )
    others = [str(d) for d in target.dims if d != own.dim]
    strange = [d for d in others if d not in array.dims or d in join]
    if strange:
        raise InputError(
            f"target has the dims {strange}; expected some of those of the records along which "
            f"each has a source of its own, "
            f"{[str(d) for d in array.dims if d not in (*join, samples.dim)]}"
        )
    for dim in others:
        target = on_labels(target, array, dim, "target")
    return as_floats(target), own


def _values(array: xr.DataArray, order: Sequence[str]) -> Floats:
    return np.asarray(array.transpose(*order).values, np.float64)


def _size(array: xr.DataArray, dims: Sequence[str]) -> int:
    return int(np.prod([array.sizes[d] for d in dims], dtype=int))


def _late(own: Samples, samples: Samples) -> float:
    """Return the seconds from the first sample of records to that of their sources."""
    if "none" in (own.clock, samples.clock) or (own.clock == "dates") != (samples.clock == "dates"):
        return 0.0  # of one of them nothing is known
    clock, late = own.since(samples)
    if clock == "lengths":
        return float(late / np.timedelta64(1, "ns")) * 1e-9
    return float(late) * (own.unit or 1.0)


def _units(array: xr.DataArray) -> str | None:
    return str(array.attrs.get("units", "")).strip() or None


def _whole(known: Known) -> Known:
    """Return the events of which nothing is missing; a station that is not there is silent."""
    gone = np.isnan(known.record).all(-1, keepdims=True)
    record = np.where(gone, 0.0, known.record)
    whole: Bools = np.asarray(np.isfinite(record).all((1, 2, 3)))
    if known.source is not None:
        whole &= np.isfinite(known.source).all(-1)
    if not whole.all():
        warnings.warn(
            f"{int((~whole).sum())} of {len(whole)} events have missing samples and are left out",
            stacklevel=6,
        )
    source, greens = (None if a is None else a[whole] for a in (known.source, known.greens))
    return replace(known, record=record[whole], source=source, greens=greens)
