"""Checks of time axes, and of records that are too few, in waveform inversion."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from xgeoml.exceptions import AxisError, GeoMLError, InputError, TimeAxisError
from xgeoml.testing import sources
from xgeoml.testing.compare import close, expect, raises, same_bits
from xgeoml.testing.sources import LENGTH, SAMPLES, STEP, Inverter
from xgeoml.testing.sources_values import ROUNDING

# Seconds at which records and Green's functions begin, so that sources begin at their difference.
_RECORD, _GREENS = 5.0, 2.0
_DAY = np.datetime64("2011-03-11T05:46:00", "ns")


def clocks(subject: Inverter) -> None:
    """Use seconds, milliseconds, dates, lengths of time or none: the same bits, at right times."""
    data = sources.quakes()
    expected = subject.usual.drop_vars("time")
    starts = _RECORD - _GREENS
    for what, record, greens, right in (
        ("seconds", _seconds(_RECORD), _seconds(_GREENS), _seconds(starts)),
        ("dates, and seconds", _dates(_RECORD), _seconds(_GREENS), _dates(starts)),
        ("dates, and lengths", _dates(_RECORD), _lengths(_GREENS), _dates(starts)),
        ("dates", _dates(_RECORD), _dates(_GREENS), _lengths(starts)),
        ("lengths of time", _lengths(_RECORD), _lengths(_GREENS), _lengths(starts)),
        ("milliseconds", _milliseconds(_RECORD), _seconds(_GREENS), _milliseconds(starts)),
        ("no times", None, None, None),
        *_calendars(),
    ):
        made = subject.invert(_at(data.record, record), greens=_at(data.greens, greens))
        found = "time" in made.coords
        expect(found == (right is not None), f"{what}: {'there are' if found else 'no'} times")
        if right is not None:
            times = made["time"].values
            same = _close_times(times, right.values[:LENGTH])
            expect(same, f"{what}: sources begin at {times[0]}, expected {right.values[0]}")
        same_bits(made.drop_vars("time", errors="ignore"), expected, what)


def resampled(subject: Inverter) -> None:
    """Give Green's functions at twice the rate: refused, then brought to that of the records."""
    data = sources.quakes(dtype=np.float64)
    fine = np.arange(2 * SAMPLES) * STEP / 2
    between = data.greens.interp(time=fine, kwargs={"fill_value": 0.0}) / 2.0
    between["time"].attrs.update(data["time"].attrs)
    text = raises(
        TimeAxisError, lambda: subject.invert(data.record, greens=between), "twice the rate"
    )
    expect("resample=True" in text, f"twice the rate: the message names no way out: {text}")
    made = subject.invert(data.record, greens=between, resample=True)
    expect(bool(np.isfinite(made).all()), "twice the rate: some values are not finite")
    expected = subject.invert(data.record, greens=data.greens)
    expect(made.sizes == expected.sizes, f"twice the rate: found {dict(made.sizes)}")


def time_errors(subject: Inverter) -> None:
    """Give time axes and lengths that make no sense: errors that say what is wrong."""
    data = sources.quakes()
    uneven = data.time.values.copy()
    uneven[100:] += STEP
    short = data.greens.isel(time=slice(0, -1))
    given: tuple[tuple[str, type[GeoMLError], xr.DataArray, dict[str, Any]], ...] = (
        ("a lost sample", TimeAxisError, data.record.assign_coords(time=uneven), {}),
        ("time that runs back", TimeAxisError, data.record[..., ::-1], {}),
        ("one sample", TimeAxisError, data.record[..., :1], {}),
        ("short Green's functions", TimeAxisError, data.record, {"greens": short}),
        ("no axis of time", AxisError, data.record.rename(time="z").drop_vars("z"), {}),
        ("a source of one sample", InputError, data.record, {"length": 1}),
        ("a source longer than the record", InputError, data.record, {"length": SAMPLES + 1}),
        ("a dim that is not there", InputError, data.record, {"dim": "site"}),
        ("no Green's functions", InputError, data.record, {"greens": "greens"}),
        ("no events", InputError, data.record[:0], {}),
    )
    for what, kind, record, options in given:
        raises(kind, lambda r=record, o=options: subject.invert(r, **o), what)  # type: ignore[misc]


def one_event(subject: Inverter) -> None:
    """Invert one event, and one record: the same as among others."""
    data = sources.quakes()
    expected = subject.usual
    one = subject.invert(data.record[:1], greens=data.greens[:1])
    close(one, expected[:1], "one event alone", ROUNDING)
    scalar = subject.invert(data.record[1], greens=data.greens[1])
    expect(scalar.dims == ("time",), f"an event without a dim came back as {scalar.dims}")
    close(scalar, expected[1], "an event without a dim", ROUNDING)
    each = subject.invert(data.record, dim=None)
    alone = subject.invert(data.record[1, 2], greens=data.greens[1, 2], dim=None)
    expect(alone.dims == ("time",), f"a record alone came back with dims {alone.dims}")
    close(alone, each[1, 2], "a record alone", ROUNDING)


def _at(array: xr.DataArray, times: xr.Variable | None) -> xr.DataArray:
    bare = array.drop_vars("time")
    return bare if times is None else bare.assign_coords(time=times)


def _since(first: float) -> NDArray[np.int64]:
    """Return the times of samples in nanoseconds."""
    made: NDArray[np.int64] = np.rint((first + STEP * np.arange(SAMPLES)) * 1e9).astype(np.int64)
    return made


def _seconds(first: float) -> xr.Variable:
    return xr.Variable("time", first + STEP * np.arange(SAMPLES), {"units": "s", "axis": "T"})


def _milliseconds(first: float) -> xr.Variable:
    return xr.Variable("time", _since(first) // 1_000_000, {"units": "ms", "axis": "T"})


def _lengths(first: float) -> xr.Variable:
    return xr.Variable("time", _since(first).astype("timedelta64[ns]"))


def _dates(first: float) -> xr.Variable:
    return xr.Variable("time", _DAY + _since(first).astype("timedelta64[ns]"))


def _calendars() -> list[tuple[str, xr.Variable, xr.Variable, xr.Variable]]:
    """Return dates of another calendar, if cftime is installed."""
    try:
        from cftime import DatetimeNoLeap
    except ImportError:
        return []
    begin = pd.Timestamp(_DAY).to_pydatetime()

    def made(first: float) -> xr.Variable:
        return xr.Variable("time", [_moved(begin, DatetimeNoLeap, n) for n in _since(first)])

    return [("dates without leap years", made(_RECORD), _seconds(_GREENS), made(_RECORD - _GREENS))]


def _moved(begin: datetime, kind: Any, nanoseconds: int) -> Any:
    date = kind(begin.year, begin.month, begin.day, begin.hour, begin.minute)
    return date + timedelta(microseconds=int(nanoseconds) // 1000)


def _close_times(found: NDArray[Any], right: NDArray[Any]) -> bool:
    if found.shape != right.shape:
        return False
    if found.dtype.kind in "iuf" and right.dtype.kind in "iuf":
        return bool(np.allclose(found.astype(np.float64), right.astype(np.float64), atol=1e-6))
    return bool((found == right).all())
