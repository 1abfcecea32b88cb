"""Checks of stations that say nothing, and of records that are missing, in waveform inversion."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xgeoml.exceptions import InputError
from xgeoml.testing import sources
from xgeoml.testing.compare import close, expect, near, raises, same_bits
from xgeoml.testing.sources import LENGTH, STATIONS, Inverter
from xgeoml.testing.sources_values import ROUNDING

# What a sum over stations in another order may change, in deviations.
_ORDER = 1e-5
# Of records of three stations, given twice, what may be left.
_TWICE = 2.0


def stations(subject: Inverter) -> None:
    """Give stations in another order, one alone, and all of them twice."""
    data = sources.quakes(dtype=np.float64)
    plain = subject.invert(data, greens="greens", variables="record")
    order = [2, 0, 1]
    made = subject.invert(data.isel(station=order), greens="greens", variables="record")
    close(made["record"], plain["record"], f"stations in the order {order}", _ORDER)
    expected = plain["record_each_misfit"].isel(station=order)
    near(made["record_each_misfit"], expected, "misfits in another order", ROUNDING)
    one = data.isel(station=[1])
    alone = subject.invert(one.record, greens=one.greens)
    each = subject.invert(one.record, greens=one.greens, dim=None)
    same_bits(alone, each.isel(station=0), "one station with dim= beside none")
    both = xr.concat([data.record, data.record], "station")
    greens = xr.concat([data.greens, data.greens], "station")
    labels = [f"XG{i:02d}" for i in range(2 * STATIONS)]
    twice = subject.invert(
        both.assign_coords(station=labels), greens=greens.assign_coords(station=labels)
    )
    left, allowed = float(twice["record_misfit"].max()), float(plain["record_misfit"].max())
    expect(left <= _TWICE * allowed, f"of stations given twice {left:.0%} are left")


def missing_stations(subject: Inverter) -> None:
    """Add a station that is missing, silent or has no Green's function: nothing changes."""
    data = sources.quakes(dtype=np.float64)
    some = data.isel(station=[0, 2])
    expected = subject.invert(some.record, greens=some.greens)
    here = {"station": 1}
    for what, name, value in (
        ("whose record is missing", "record", np.nan),
        ("whose record is zero", "record", 0.0),
        ("whose Green's function is zero", "greens", 0.0),
    ):
        other = data.copy(deep=True)
        other[name][here] = value
        made = subject.invert(other, greens="greens", variables="record")
        close(made["record"], expected, f"beside a station {what}", ROUNDING)
        left = made["record_each_misfit"]
        if name == "record":
            expect(bool(left[here].isnull().all()), f"there is a misfit of a station {what}")
            near(made["record_misfit"], expected["record_misfit"], "the misfit", ROUNDING)
        expect(bool(np.isfinite(left[{"station": [0, 2]}]).all()), "misfits of others are missing")
    # One that only one of the events lacks.
    other = data.copy(deep=True)
    other["record"][{"event": 0, **here}] = np.nan
    made = subject.invert(other.record, greens=other.greens)
    close(made[0], expected[0], "an event that lacks a station", ROUNDING)
    whole = subject.invert(data.record, greens=data.greens)
    same_bits(made[1], whole[1], "an event beside one that lacks a station")


def silent(subject: Inverter) -> None:
    """Give an event whose records, or whose Green's functions, are zero: so is its source."""
    data = sources.quakes()
    expected = subject.usual
    for names in (("record",), ("greens",), ("record", "greens")):
        other = data.copy(deep=True)
        for name in names:
            other[name][0] = 0.0
        made = subject.invert(other.record, greens=other.greens)
        what = f"where {' and '.join(names)} are zero"
        expect(bool((made[0] == 0.0).all()), f"the source is not zero {what}")
        expect(float(made["record_moment"][0]) == 0.0, f"the moment is not zero {what}")
        same_bits(made[1], expected[1], f"the event beside one {what}")
    each = subject.invert(0.0 * data.record, dim=None)
    expect(bool((each == 0.0).all()), "single records of zeros have sources")


def all_missing(subject: Inverter) -> None:
    """Give an event without any record: its source is missing, and no bit of others changes."""
    data = sources.quakes().record
    expected = subject.usual
    other = data.copy()
    other[0] = np.nan
    made = subject.invert(other)
    for name in ("record", "record_moment", "record_misfit"):
        told = made if name == "record" else made[name]
        expect(bool(told[0].isnull().all()), f"{name!r} of an event without records is there")
    same_bits(made[1], expected[1], "the event beside one without records")
    nothing = subject.invert(data * np.nan)
    expect(bool(nothing.isnull().all()), "something was made of missing records only")
    each = subject.invert(other, dim=None)
    expect(bool(each[0].isnull().all()), "something was made of missing records, one by one")


def gaps(subject: Inverter) -> None:
    """Hide samples: an error that says what to type; then the longest stretch without is used."""
    data = sources.quakes(dtype=np.float64)
    whole = subject.invert(data.record, greens=data.greens)
    for what, lost, left in (
        ("the end", slice(40, None), slice(0, 40)),
        ("two samples", slice(200, 202), slice(0, 200)),
        ("the beginning", slice(0, 3), slice(3, None)),
    ):
        record = data.record.copy()
        record[{"event": 0, "station": 2, "time": lost}] = np.nan
        text = raises(
            InputError,
            lambda record=record: subject.invert(record, greens=data.greens),  # type: ignore[misc]
            f"records without {what}",
        )
        expect("gaps='window'" in text, f"without {what}: the message names no way out: {text}")
        made = subject.invert(record, greens=data.greens, gaps="window")
        cut = data.isel(event=[0], time=left).assign_coords(time=data.time[: len(data.time[left])])
        known = min(LENGTH, cut.sizes["time"])
        expected = subject.invert(cut.record, greens=cut.greens, length=known)
        close(made[:1, :known], expected, f"records without {what}", ROUNDING)
        beyond = made[0, known:].isnull()
        expect(bool(beyond.all()), f"without {what}: there is a source where nothing is known")
        close(made[1], whole[1], f"the event beside one without {what}", ROUNDING)
    record = data.record.copy()
    record[{"time": slice(0, 60)}] = np.nan
    text = raises(
        InputError,
        lambda: subject.invert(record, greens=data.greens, gaps="window"),
        "records that begin late",
    )
    expect("silence" in text, f"records that begin late: the message does not say so: {text}")


def infinities(subject: Inverter) -> None:
    """Find infinite samples refused, and Green's functions with gaps."""
    data = sources.quakes()
    at = {"event": 1, "station": 0, "time": 100}
    for name, value, told in (
        ("record", np.inf, "infinite"),
        ("record", -np.inf, "infinite"),
        ("greens", np.inf, "infinite"),
        ("greens", np.nan, "fillna(0)"),
    ):
        other = data.copy(deep=True)
        other[name][at] = value
        text = raises(
            InputError,
            lambda other=other: subject.invert(other.record, greens=other.greens),  # type: ignore[misc]
            f"a {name} of {value}",
        )
        expect(told in text, f"a {name} of {value}: the message does not say so: {text}")
