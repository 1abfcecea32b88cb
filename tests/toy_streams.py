"""Streams of obspy for the tests, and how they are compared."""

from __future__ import annotations

import re

import numpy as np
import pytest

obspy = pytest.importorskip("obspy")
START = obspy.UTCDateTime("2020-01-01T00:00:00.123456")


def trace(data, station="AAA", rate=100.0, after=0.0, **header):
    """Return a trace of XX.<station>.00.HHZ that starts `after` seconds after START."""
    start = obspy.UTCDateTime(ns=START.ns + round(after * 1e9))
    told = {"network": "XX", "station": station, "location": "00", "channel": "HHZ"}
    told |= {"sampling_rate": rate, "starttime": start}
    return obspy.Trace(np.asanyarray(data), told | header)


def stream(*traces):
    return obspy.Stream(list(traces))


def same(one, two):
    """Compare streams, masks as well: obspy's own == sees what lies below them."""
    assert [t.stats for t in one] == [t.stats for t in two]
    for a, b in zip(one, two, strict=True):
        assert np.ma.isMaskedArray(a.data) == np.ma.isMaskedArray(b.data)
        np.testing.assert_array_equal(np.ma.getmaskarray(a.data), np.ma.getmaskarray(b.data))
        np.testing.assert_array_equal(np.ma.filled(a.data, 0), np.ma.filled(b.data, 0))


def cure(error, pattern):
    """Return the code that a message says to type."""
    found = re.search(pattern, str(error.value))
    assert found, str(error.value)
    return found.group(1) if found.groups() else found.group(0)
