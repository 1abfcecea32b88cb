"""The sampling grid of the traces of an obspy Stream: its rate, and where each trace starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from xgeoml.exceptions import InputError, TimeAxisError
from xgeoml.sampling import sample_times

__all__ = ["common_grid", "common_rate"]

_SAME_RATE = 1e-6  # SAC keeps the step as float32: 100 Hz come back as 100.000002


def common_rate(traces: Sequence[Any], tolerance: float) -> float:
    """Return the sampling rate in Hz; raise unless all samples keep their place with it."""
    rates = np.array([trace.stats.sampling_rate for trace in traces], dtype=np.float64)
    bad = np.flatnonzero(~((rates > 0) & (rates <= 1e9)))
    if bad.size:
        raise InputError(
            f"trace {traces[bad[0]].id!r} has a sampling rate of {rates[bad[0]]:g} Hz; expected "
            "more than 0, and at most one sample a nanosecond. "
            "Type trace.stats.sampling_rate = 100.0"
        )
    found, counts = np.unique(rates, return_counts=True)
    rate = float(found[counts.argmax()])
    apart = np.abs(rates / rate - 1)
    drift = apart * [trace.data.size for trace in traces]
    other = np.flatnonzero((apart > _SAME_RATE) | (drift > tolerance))
    if other.size:
        listed = ", ".join(f"{one:.10g} Hz" for one in found[:5]) + ", ..." * (found.size > 5)
        raise InputError(
            f"the traces have {found.size} sampling rates: {listed} (most have {rate:.10g} Hz, "
            f"{traces[other[0]].id!r} has {rates[other[0]]:.10g} Hz); expected one. Type "
            f"stream.resample({found[0]:.10g}), or choose: "
            f"stream.select(sampling_rate={rate:.10g})"
        )
    return rate


def common_grid(traces: Sequence[Any], rate: float, tolerance: float) -> tuple[int, list[int]]:
    """Return (time of sample 0 in nanoseconds, the sample at which each trace starts)."""
    starts = [trace.stats.starttime.ns for trace in traces]
    earliest = min(starts)
    latest = max(trace.stats.endtime.ns for trace in traces)
    if earliest <= pd.Timestamp.min.value or latest >= pd.Timestamp.max.value:
        raise TimeAxisError(
            f"the traces lie between {min(trace.stats.starttime for trace in traces)} and "
            f"{max(trace.stats.endtime for trace in traces)}; expected dates from 1678 to 2261, "
            "which datetime64[ns] holds. Type trace.stats.starttime = obspy.UTCDateTime(...)"
        )
    order = np.argsort(starts, kind="stable")
    place = (np.array(starts) - earliest) * (rate / 1e9)
    allowed = tolerance + rate / 1e9  # starts are whole nanoseconds, samples need not be
    # The grid that most traces share: else one odd trace at the beginning condemns all others.
    phase = place % 1
    around = np.sort(np.concatenate([phase - 1, phase, phase + 1]))
    shared = np.searchsorted(around, phase + allowed, "right")
    shared -= np.searchsorted(around, phase - allowed, "left")
    model = int(order[shared[order].argmax()])
    place -= place[model]
    nearest = np.rint(place)
    away = place - nearest
    off = np.flatnonzero(np.abs(away) > allowed)
    if off.size:
        worst = int(off[0])
        next_sample = starts[model] + round(np.ceil(place[worst]) * 1e9 / rate)
        raise TimeAxisError(
            f"{off.size} of {len(traces)} traces have their samples between those of "
            f"{traces[model].id!r}: trace {traces[worst].id!r}, which starts at "
            f"{traces[worst].stats.starttime}, is off by {away[worst] * 1e3 / rate:.4g} ms, "
            f"{away[worst]:.2g} of a step; expected at most {tolerance:g}. Move its samples: "
            f"{_name_of(traces, worst)}.interpolate({rate!r}, "
            f"starttime=obspy.UTCDateTime(ns={next_sample})), for all of one time together: "
            f"stream.interpolate({rate!r}, starttime=...); or allow half a step: "
            "xgeoml.from_stream(stream, tolerance=0.5)"
        )
    first = nearest.astype(np.int64)
    before = int(first.min())
    origin = starts[model] - int(sample_times(rate, 1 - before)[-1])
    return origin, [int(at) - before for at in first]


def _name_of(traces: Sequence[Any], number: int) -> str:
    """Return how to type one trace."""
    same = [trace for trace in traces if trace.id == traces[number].id]
    at = next(k for k, trace in enumerate(same) if trace is traces[number])
    return f"stream.select(id={traces[number].id!r})[{at}]"
