"""Records in chunks, and more events than are treated at once."""

import dask
import numpy as np
import pytest
import xarray as xr
from toy_in_time import Refuses
from toy_waves import SAMPLES, invert, waves, weights

from xgeoml.engine import inversion


@pytest.fixture
def data():
    return waves()


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return weights(tmp_path_factory.mktemp("eq_tf") / "eq_tf.safetensors")


@pytest.mark.parametrize("model", ["nnls", "network"])
@pytest.mark.parametrize(
    "chunks",
    [
        ({"time": 50}, {"time": 30}),
        ({"event": 2, "station": 1}, None),
        (None, {"time": 30, "station": 2}),
        ({"event": 1, "time": 128}, {"time": -1}),
    ],
)
def test_lazy_records_make_lazy_sources(data, model, chunks, network, monkeypatch):
    monkeypatch.setattr(inversion, "ELEMENTS", 1)
    model = network if model == "network" else model
    events = xr.concat([data["record"] * (k + 1) for k in range(5)], "event")
    expected = invert(events, model, greens=data["greens"], dim="station")
    lazy = [
        a if c is None else a.chunk(c) for a, c in zip((events, data.greens), chunks, strict=True)
    ]
    with dask.config.set(scheduler=Refuses()):
        made = invert(lazy[0], model, greens=lazy[1], dim="station")
    assert made.chunks is not None
    assert made["record_moment"].chunks is not None
    assert made["record_misfit"].chunks is not None
    assert made.dtype == expected.dtype
    done = made.compute()
    assert done.attrs.keys() == expected.attrs.keys()
    np.testing.assert_allclose(done, expected, rtol=0, atol=1e-6 * float(expected.max()))
    if model == "nnls":
        assert done.values.tobytes() == expected.values.tobytes()


def test_many_events_in_a_few_passes(data, monkeypatch):
    events = xr.concat([data["record"] * (k + 1) for k in range(9)], "event").copy()
    events[3:5, 1, 100:] = np.nan
    events[7, 0] = np.nan
    whole = invert(events, greens=data["greens"], dim="station", gaps="window")
    monkeypatch.setattr(inversion, "ELEMENTS", 2 * 3 * SAMPLES)
    parts = invert(events, greens=data["greens"], dim="station", gaps="window")
    np.testing.assert_array_equal(parts, whole)
    np.testing.assert_allclose(whole[8] / 9, whole[0], rtol=1e-5)


@pytest.mark.parametrize("chunks", [{"event": 1}, {"event": 1, "station": 1, "time": 50}])
def test_chunks_of_few_events_are_joined(data, monkeypatch, chunks):
    events = xr.concat([data["record"] * (k + 1) for k in range(9)], "event")
    whole = invert(events, greens=data["greens"])
    monkeypatch.setattr(inversion, "ELEMENTS", 4 * 3 * SAMPLES)
    made = invert(events.chunk(chunks), greens=data["greens"].chunk(station=1))
    assert made.variable.chunksizes["event"] == (4, 4, 1)
    assert made.variable.chunksizes["station"] == (3,)
    np.testing.assert_array_equal(made, whole)
