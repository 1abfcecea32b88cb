"""Networks that invert records: spread, batches, and the paths that they have learnt from pairs."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from toy_waves import SAMPLES, STEP, invert, paths, waves, weights

import xgeoml
from xgeoml.tasks.trained_path import TrainedPath

DATES = np.datetime64("2020-01-01T00:00:05", "ns") + np.arange(SAMPLES) * np.timedelta64(100, "ms")


@pytest.fixture
def data():
    return waves()


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return weights(tmp_path_factory.mktemp("eq_tf") / "eq_tf.safetensors")


def together(data, model, **options):
    """Invert all stations of a Dataset for one source, a DataArray."""
    return invert(data["record"], model, greens=data["greens"], dim="station", **options)


def bare(array):
    return array.drop_vars(list(array.coords)).drop_attrs()


def test_the_spread_of_a_network(data, network):
    made = together(data, network, spread=True)
    spread = made["record_spread"]
    assert spread.dims == ("time",)
    assert (spread > 0).all()
    assert spread.attrs["units"] == "1"
    np.testing.assert_array_equal(bare(made), bare(together(data, network)))
    second = together(data, network, spread=True, impulse="second")["record_spread"]
    np.testing.assert_allclose(second, spread / STEP, rtol=1e-5)
    louder = data.assign(record=7 * data["record"])
    np.testing.assert_allclose(
        together(louder, network, spread=True)["record_spread"], 7 * spread, rtol=1e-3
    )
    assert "spread=True" in made.attrs["history"]
    lost = invert(
        xr.concat([data["record"], np.nan * data["record"]], "event"),
        network,
        greens=data["greens"],
        dim="station",
        spread=True,
    )
    assert lost["record_spread"].isnull().all("time").values.tolist() == [False, True]


def test_weights_may_be_named_in_two_ways(data, network):
    made = together(data, network)
    for model in ("auto", "eq_tf"):
        np.testing.assert_array_equal(together(data, model, weights=network), made)
    assert "weights sha256" in made.attrs["history"]


def test_batches_and_precision(data, network):
    events = xr.concat([data["record"] * (k + 1) for k in range(5)], "event")
    whole = invert(events, network, greens=data["greens"], dim="station")
    for size in (1, 2, 64):
        made = invert(events, network, greens=data["greens"], dim="station", batch_size=size)
        np.testing.assert_allclose(made, whole, rtol=0, atol=1e-6 * float(whole.max()))
    half = invert(events, network, greens=data["greens"], dim="station", precision="bfloat16")
    assert half.dtype == np.float32
    assert not half.equals(whole)
    np.testing.assert_allclose(half, whole, rtol=0, atol=0.03 * float(whole.max()))
    assert "precision='bfloat16'" in half.attrs["history"]


def test_an_untrained_network_returns_its_first_base_model(data, tmp_path):
    plain = weights(tmp_path / "plain.safetensors", moved=0.0)
    base = together(data, "iterative")
    np.testing.assert_allclose(together(data, plain), base, rtol=0, atol=1e-6 * float(base.max()))


# Paths that a model has learnt


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """Return a network that has learnt the paths to three stations, and a maker of others."""
    folder = tmp_path_factory.mktemp("learnt")

    def made(**changes):
        given = {
            "values": paths(0, 3).astype(np.float32).astype(float),
            "dims": ("station",),
            "labels": {"station": ["S0", "S1", "S2"]},
            "step": STEP,
            "late": 1.5,
            "units": ("m s-1", "N m s-1"),
            **changes,
        }
        name = f"{len(list(folder.iterdir()))}.safetensors"
        return weights(folder / name, path_learnt=TrainedPath(**given))

    return made


def test_learnt_paths_take_the_place_of_greens_functions(data, network, learnt):
    own = learnt()
    made = invert(data["record"], own, dim="station")
    np.testing.assert_allclose(made, together(data, network), rtol=1e-5, atol=1e-7)
    assert made.attrs["units"] == "N m s-1"
    np.testing.assert_allclose(made["time"], data["time"] + 1.5)
    given = together(data, own)
    assert given.attrs["units"] == "1"
    np.testing.assert_array_equal(given["time"], data["time"])


def test_learnt_paths_are_found_by_label(data, network, learnt):
    own = learnt()
    some = data.isel(station=[2, 0])
    np.testing.assert_allclose(
        invert(some["record"], own, dim="station"), together(some, network), rtol=1e-5, atol=1e-7
    )
    unlabelled = invert(data["record"].drop_vars("station"), own, dim="station")
    np.testing.assert_array_equal(unlabelled, invert(data["record"], own, dim="station"))
    each = invert(data["record"], own)
    assert each.dims == ("station", "time")
    events = data["record"].expand_dims(event=2)
    np.testing.assert_allclose(
        invert(events, own, dim="station")[1], unlabelled, rtol=1e-5, atol=1e-7
    )
    numbers = learnt(labels={"station": ["3", "1", "2"]})
    some = data["record"].assign_coords(station=[3, 1, 2])
    np.testing.assert_array_equal(invert(some, numbers, dim="station"), unlabelled)
    single = invert(data["record"][1].expand_dims("station"), own)
    np.testing.assert_allclose(single[0], each[1], rtol=1e-5, atol=1e-7)


def test_times_of_sources_of_learnt_paths(data, learnt):
    own = learnt()
    none = data["record"].drop_vars("time")
    assert "time" not in invert(none, own, dim="station").coords
    dated = none.assign_coords(time=DATES)
    late = np.timedelta64(1500, "ms")
    np.testing.assert_array_equal(invert(dated, own, dim="station")["time"], DATES + late)
    lengths = none.assign_coords(time=DATES - DATES[3])
    made = invert(lengths, own, dim="station")["time"]
    np.testing.assert_array_equal(made, DATES - DATES[3] + late)
    times = ("time", 1e3 * data["time"].values, {"units": "ms"})
    made = invert(none.assign_coords(time=times), own, dim="station")["time"]
    np.testing.assert_allclose(made, 1e3 * data["time"].values + 1500.0)
    assert made.attrs == {"units": "ms"}


def test_units_of_sources_of_learnt_paths(data, learnt):
    own = learnt()
    plain = invert(data["record"], own, dim="station")
    for record in (data["record"].drop_attrs(), data["record"]):
        made = invert(record, own, dim="station")
        assert made.attrs["units"] == "N m s-1"
        np.testing.assert_array_equal(made, plain)
    pytest.importorskip("pint")
    small = invert(data["record"].assign_attrs(units="mm s-1"), own, dim="station")
    np.testing.assert_allclose(small, 1e-3 * plain, rtol=1e-5)
    assert small.attrs["units"] == "N m s-1"
    assert "units" not in invert(data["record"], learnt(units=(None, None)), dim="station").attrs


def test_records_longer_and_shorter_than_learnt_paths(data, learnt):
    short = data.isel(time=slice(60))
    assert invert(short["record"], learnt(), dim="station").sizes["time"] == 60
    cut = paths(0, 3)[:, :60]
    padded = data.assign(greens=data["greens"].where(np.arange(SAMPLES) < 60, 0.0))
    made = invert(data["record"], learnt(values=cut), dim="station")
    np.testing.assert_allclose(made, together(padded, learnt()), rtol=1e-4, atol=1e-6)


def test_the_shipped_weight_beats_what_it_begins_with_at_any_length():
    ds = xgeoml.datasets.station_pairs(3, events=12, stations=4, samples=512, source_samples=128)
    errors = {}
    for model in ("nnls", "iterative", "eq_tf"):
        for length in (128, None):
            options = {"greens": ds.greens, "dim": "station", "length": length, "progress": False}
            made = ds.record.geoml.invert_waveform(model, **options).values[:, :128]
            off = ((made - ds.source.values) ** 2).sum(-1) / (ds.source.values**2).sum(-1)
            errors[model, length] = float(np.sqrt(off).mean())
    assert errors["eq_tf", None] < 0.9 * min(errors["nnls", None], errors["iterative", None])
    # An axis that ends with the source does not cut it off.
    assert errors["eq_tf", 128] < 1.05 * errors["eq_tf", None]


def test_the_shipped_spread_holds_what_it_says():
    ds = xgeoml.datasets.station_pairs(3, events=12, stations=1, samples=512, source_samples=128)
    made = ds.record.geoml.invert_waveform(greens=ds.greens, spread=True, progress=False)
    inside = abs(made[..., :128].values - ds.source.values[:, None]) < (
        1.645 * made.record_spread[..., :128].values
    )
    assert inside.mean() > 0.85
