"""Seismograms: obspy Streams as DataArrays, and DataArrays as Streams.

Times are counted in whole nanoseconds since 1970, as both sides do: a float of that size has not
even microseconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from xgeoml.axes import find_axes, require
from xgeoml.calendars import Ints
from xgeoml.common_grid import common_grid, common_rate
from xgeoml.exceptions import InputError, MissingExtraError
from xgeoml.sampling import find_rate, read_times, sample_times

if TYPE_CHECKING:
    from obspy import Stream, Trace

__all__ = ["from_stream", "to_stream"]

_CODES = ("network", "station", "location", "channel")
# What would be nearly empty is a mistake, such as one trace without a date; small ones do no harm.
_EMPTY, _SMALL = 100, 2**30


def from_stream(
    stream: Stream | Trace, *, units: str | None = None, tolerance: float = 0.05
) -> xr.DataArray:
    """Return the traces of an obspy Stream as one DataArray.

    Parameters
    ----------
    stream : obspy.Stream or obspy.Trace
        Traces of one sampling rate, as they are read; pieces of one id are merged. Not changed.
    units : str, optional
        Of the samples, such as ``"m s-1"``: becomes the attribute.
    tolerance : float
        How far samples may lie from those of the other traces, in sampling steps, 0 to 0.5: they
        are moved to the nearest sample. The stamps are those of the grid that most traces share.

    Returns
    -------
    DataArray, (trace, time)
        Called ``waveform``. `trace` holds ids ``NET.STA.LOC.CHA`` in the order of their first
        appearance, with the coordinates `network`, `station`, `location` and `channel`. `time` is
        datetime64[ns], even, from the first to the last sample of all traces; its attribute
        ``sampling_rate`` is in Hz. Floats keep their dtype, integers become float64. Masked
        samples, and times that a trace does not cover, are NaN. Nothing else of ``trace.stats`` is
        kept: no coordinates, responses, calibration or processing.

    Raises
    ------
    InputError
        If the stream is empty or something else, without samples or of several sampling rates;
        if pieces of one id disagree where they overlap, or in their calibration; if the traces
        are so far apart in time that nearly all would be NaN.
    TimeAxisError
        If a trace lies further than `tolerance` from the samples of the others.
    MissingExtraError
        Without obspy: ``pip install "xgeoml[seismic]"``.

    See Also
    --------
    to_stream

    Examples
    --------
    >>> import obspy
    >>> import xgeoml
    >>> records = xgeoml.from_stream(obspy.read())  # the example that comes with obspy
    >>> dict(records.sizes)
    {'trace': 3, 'time': 3000}
    >>> records["trace"].values.tolist()
    ['BW.RJOB..EHZ', 'BW.RJOB..EHN', 'BW.RJOB..EHE']
    """
    if not 0 <= tolerance <= 0.5:
        raise InputError(
            f"tolerance={tolerance!r}; expected 0 to 0.5 sampling steps: every time lies within "
            "half a step of a sample. Type tolerance=0.05"
        )
    traces = _traces(stream)
    rate = common_rate(traces, tolerance)
    origin, first = common_grid(traces, rate, tolerance)
    pieces: dict[tuple[str, ...], list[int]] = {}
    for number, trace in enumerate(traces):
        pieces.setdefault(tuple(trace.stats[code] for code in _CODES), []).append(number)

    count = max(at + trace.data.size for at, trace in zip(first, traces, strict=True))
    dtype = np.result_type(*(_float_type(trace) for trace in traces))
    _check_span(traces, count, len(pieces), dtype)
    times = origin + sample_times(rate, count)
    values = np.full((len(pieces), count), np.nan, dtype=dtype)
    for row, numbers in zip(values, pieces.values(), strict=True):
        _check_calibration([traces[number] for number in numbers])
        for number in numbers:
            _put(row, traces[number], first[number], times, whole=len(numbers) == 1)

    ids = [".".join(codes) for codes in pieces]
    columns = zip(_CODES, zip(*pieces, strict=True), strict=True)
    told = {"long_name": "time", "axis": "T", "sampling_rate": rate}
    return xr.DataArray(
        values,
        dims=("trace", "time"),
        coords={
            "trace": ids,
            **{name: ("trace", list(column)) for name, column in columns},
            "time": ("time", times.view("datetime64[ns]"), told),
        },
        name="waveform",
        attrs={} if units is None else {"units": units},
    )


def to_stream(
    array: xr.DataArray, *, start: object = None, dims: Mapping[str, str] | None = None
) -> Stream:
    """Return a DataArray as an obspy Stream: one Trace for every position along the other dims.

    Parameters
    ----------
    array
        Dims in any order, one of them time, evenly spaced: datetime64, or timedelta64 or seconds
        since `start`. Real numbers; dask is computed. Not changed, nothing is shared with it.
    start : optional
        The date from which an axis counts that has none: an obspy UTCDateTime, or what makes one,
        such as ``"2020-01-01T06:00"``. By default 1970-01-01.
    dims : mapping, optional
        Which dim is time, such as ``{"T": "sample"}``, where it cannot be found out.

    Returns
    -------
    obspy.Stream
        In the order of `array`. Codes are those of the coordinates `network`, `station`,
        `location` and `channel`, else of the ids ``NET.STA.LOC.CHA`` of a coordinate `trace`. Where
        nothing tells the station, it is the label of the position; obspy takes any text, files
        less: MiniSEED cuts stations after five letters. Integers and floats keep their dtype.
        NaN is masked; at both ends of a trace it is left out, unless no trace would reach the end
        of the axis. The sampling rate is the attribute ``sampling_rate`` of the time coordinate if
        its stamps agree, else the simplest one that they allow.

    Raises
    ------
    InputError
        If `array` is no DataArray of real numbers or empty, if two positions have the same codes,
        or if `start` is no date or not needed.
    TimeAxisError
        If the time axis is uneven, or holds nothing of the above.
    AxisError
        If there is no time axis, or more than one.
    MissingExtraError
        Without obspy: ``pip install "xgeoml[seismic]"``.

    See Also
    --------
    from_stream

    Examples
    --------
    >>> import xgeoml
    >>> record = xgeoml.datasets.wavefield(stations=2)["record"]
    >>> print(xgeoml.to_stream(record, start="2020-01-01"))
    2 Trace(s) in Stream:
    .XG00.. | 2020-01-01T00:00:00.000000Z - 2020-01-01T00:00:51.100000Z | 10.0 Hz, 512 samples
    .XG01.. | 2020-01-01T00:00:00.000000Z - 2020-01-01T00:00:51.100000Z | 10.0 Hz, 512 samples
    """
    obspy = _obspy("to_stream")
    if not isinstance(array, xr.DataArray):
        raise InputError(_no_array(array))
    if array.dtype.kind not in "iuf":
        raise InputError(
            f"the samples are {array.dtype}; expected integers or floats. Type array.astype(float)"
        )
    if array.size == 0:
        raise InputError(
            f"the array is empty: {dict(array.sizes)}; expected samples along every dim. "
            "Look where they got lost: array.sizes"
        )
    axes = find_axes(array, dims)
    (dim,) = require(axes, "T", purpose="to_stream")
    time = read_times(array, dim, axes.coords.get("T"), since=_since(start, obspy.UTCDateTime))
    rate = find_rate(time)
    others = {str(other): size for other, size in array.sizes.items() if other != dim}
    codes = _codes(array, others)
    values = array.transpose(*others, dim).values.reshape(len(codes), -1)
    missing = np.isnan(values)
    begin, end = _ends(missing)
    made = obspy.Stream()
    for row, gone, names, at, to in zip(values, missing, codes, begin, end, strict=True):
        # obspy works in place: a view would change the array with it.
        data = row[at:to].copy()
        if gone[at:to].any():
            data = np.ma.MaskedArray(data, gone[at:to].copy(), fill_value=np.nan)
        header = {
            **dict(zip(_CODES, names, strict=True)),
            "sampling_rate": rate,
            "starttime": obspy.UTCDateTime(ns=time.since + int(time.stamps[at])),
        }
        made.append(obspy.Trace(data, header))
    return made


def _obspy(purpose: str) -> Any:
    """Return the package, which is slow to import and optional."""
    try:
        import obspy
    except ImportError as error:
        raise MissingExtraError("seismic", purpose, "obspy") from error
    return obspy


def _traces(stream: object) -> list[Any]:
    """Return the traces that have samples, all of them real numbers."""
    obspy = _obspy("from_stream")
    if isinstance(stream, obspy.Trace):
        stream = obspy.Stream([stream])
    if not isinstance(stream, obspy.Stream):
        raise InputError(
            f"found a {type(stream).__name__}; expected an obspy Stream or Trace. "
            "Type xgeoml.from_stream(obspy.read(path)), or obspy.Stream(traces) around a list"
        )
    for trace in stream:
        if trace.data.size != trace.stats.npts:
            raise InputError(
                f"trace {trace.id!r} has {trace.data.size} samples, its header says "
                f"{trace.stats.npts}; expected both the same. If only headers were read, "
                "leave headonly out: obspy.read(path)"
            )
        if trace.data.dtype.kind not in "biuf":
            raise InputError(
                f"the samples of trace {trace.id!r} are {trace.data.dtype}; expected real numbers. "
                f"Leave it out: for trace in stream.select(id={trace.id!r}): stream.remove(trace)"
            )
    # As obspy's merge does: a trace without samples has no place in time.
    traces = [trace for trace in stream if trace.data.size]
    if not traces:
        raise InputError(
            f"the stream has no samples ({len(stream)} traces); expected at least one. "
            "Look what was read or selected: print(stream)"
        )
    return traces


def _float_type(trace: Any) -> np.dtype[Any]:
    """Return the type of floats that holds a trace and NaN."""
    return np.dtype(trace.data.dtype if trace.data.dtype.kind == "f" else np.float64)


def _check_span(traces: Sequence[Any], count: int, rows: int, dtype: np.dtype[Any]) -> None:
    """Raise if nearly all of a large array would be missing."""
    samples = sum(trace.data.size for trace in traces)
    size = rows * count * dtype.itemsize
    if size > _SMALL and rows * count > _EMPTY * samples:
        raise InputError(
            f"the traces lie between {min(trace.stats.starttime for trace in traces)} and "
            f"{max(trace.stats.endtime for trace in traces)}, and cover "
            f"{100 * samples / (rows * count):.2g} % of it: the array would take "
            f"{size / 2**30:.3g} GiB; expected records of about the same time. "
            "Take one event at a time: xgeoml.from_stream(stream.slice(start, end))"
        )


def _check_calibration(pieces: Sequence[Any]) -> None:
    """Raise if the samples of one id count different things."""
    factors = sorted({float(trace.stats.calib) for trace in pieces})
    if len(factors) > 1:
        raise InputError(
            f"the pieces of trace {pieces[0].id!r} have calib {factors[0]:g} and {factors[1]:g}; "
            "expected one. Apply it: for trace in stream: "
            "trace.data = trace.data * trace.stats.calib; trace.stats.calib = 1"
        )


def _put(row: NDArray[Any], trace: Any, at: int, times: Ints, *, whole: bool) -> None:
    """Write a piece into its row from sample `at`; `whole` says that there is no other."""
    samples = np.ma.getdata(trace.data)
    target = row[at : at + samples.size]
    there = ~np.ma.getmaskarray(trace.data)
    if not whole:
        there &= ~np.isnan(samples)
        differ = np.flatnonzero(there & ~np.isnan(target) & (target != samples))
        if differ.size:
            k = int(differ[0])
            shown = times[at + differ[[0, -1]]].view("datetime64[ns]")
            raise InputError(
                f"pieces of trace {trace.id!r} overlap and disagree (samples: {differ.size}), "
                f"from {shown[0]} to {shown[1]}: "
                f"first {target[k]:g} and {samples[k]:g}; expected the same. "
                "Let the later piece win: stream.merge(method=1)"
            )
    np.copyto(target, samples, where=there)


def _no_array(found: object) -> str:
    """Return the message for what is no DataArray."""
    cure = 'xr.DataArray(values, {"time": seconds}, dims=("station", "time"))'
    if isinstance(found, xr.Dataset):
        cure = f"xgeoml.to_stream(ds[{next(iter(found.data_vars), 'name')!r}])"
    return f"found a {type(found).__name__}; expected a DataArray. Type {cure}"


def _since(start: object, date: Any) -> int | None:
    """Return `start` in nanoseconds since 1970."""
    if start is None:
        return None
    try:
        # obspy misreads the first, and cuts the second to microseconds.
        if isinstance(start, np.datetime64 | pd.Timestamp) and not pd.isna(start):
            return int(pd.Timestamp(start).as_unit("ns").value)
        return int(date(start).ns)
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise InputError(
            f"start={start!r} is no date; expected an obspy UTCDateTime or what makes one. "
            'Type start="2020-01-01T06:00"'
        ) from error


def _codes(array: xr.DataArray, others: dict[str, int]) -> list[tuple[str, ...]]:
    """Return network, station, location and channel of every position along the other dims."""
    told: dict[str, list[str]] = {}
    dims: set[object] = set()
    for name in _CODES:
        if name in array.coords and set(array[name].dims) <= others.keys():
            told[name] = _labels(array[name].variable, others)
            dims |= set(array[name].dims)
    if "trace" in array.coords and set(array["trace"].dims) <= others.keys():
        ids = [label.split(".") for label in _labels(array["trace"].variable, others)]
        if all(len(parts) == len(_CODES) for parts in ids):
            told = dict(zip(_CODES, map(list, zip(*ids, strict=True)), strict=True)) | told
            dims |= set(array["trace"].dims)
    count = math.prod(others.values())
    if "station" not in told:
        free = [_labels(array[dim].variable, others) for dim in others if dim not in dims]
        told["station"] = list(map("_".join, zip(*free, strict=True))) if free else [""] * count
    codes = list(zip(*(told.get(name, [""] * count) for name in _CODES), strict=True))
    if len(set(codes)) < count:
        _refuse_repeated(codes, others)
    return codes


def _labels(variable: xr.Variable, others: dict[str, int]) -> list[str]:
    """Return the labels of a coordinate, one for each position along the other dims."""
    values = variable.to_base_variable().set_dims(others).values.flat
    return [
        "" if pd.isna(value) else value.decode() if isinstance(value, bytes) else str(value)
        for value in values
    ]


def _refuse_repeated(codes: Sequence[tuple[str, ...]], others: dict[str, int]) -> None:
    """Raise for codes that several positions share."""
    repeated = next(code for code in codes if codes.count(code) > 1)
    both = [at for at, code in enumerate(codes) if code == repeated][:2]
    where = np.array(np.unravel_index(both, list(others.values()))).T
    dim = next(dim for dim, one, two in zip(others, *where, strict=True) if one != two)
    raise InputError(
        f"two positions have the id {'.'.join(repeated)!r}: "
        f"{' and '.join(str(dict(zip(others, at.tolist(), strict=True))) for at in where)}; "
        "expected ids that differ, since obspy takes traces of one id for pieces of one record. "
        f"Choose one: array.isel({dim}=0), or tell them apart, e.g. "
        f'array.assign_coords(location=("{dim}", [f"{{n:02d}}" for n in range({others[dim]})]))'
    )


def _ends(missing: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Return from where to where each row, (trace, time), is kept."""
    count = missing.shape[1]
    begin, end = (~missing).argmax(axis=1), count - (~missing[:, ::-1]).argmax(axis=1)
    nothing = missing.all(axis=1)
    begin[nothing], end[nothing] = 0, count
    # The axis itself must not get shorter: one trace reaches each of its ends.
    begin[begin.argmin()], end[end.argmax()] = 0, count
    return begin, end
