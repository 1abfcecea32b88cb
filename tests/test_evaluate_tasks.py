"""Evaluation of downscaling, of interpolation in time and of waveform inversion; model='best'."""

import numpy as np
import pytest
import xarray as xr

import xgeoml
from xgeoml.exceptions import GeoMLError, InputError
from xgeoml.tasks import trials_in_time, trials_of_fields, trials_of_waves


@pytest.fixture(scope="module")
def fine():
    return xgeoml.datasets.mountain_temperature(steps=8)["t2m"].isel(
        lat=slice(0, 19), lon=slice(0, 24)
    )


@pytest.fixture(scope="module")
def hourly():
    return xgeoml.datasets.hourly_temperature()["t2m"].isel(time=slice(0, 49), latitude=slice(0, 6))


@pytest.fixture(scope="module")
def waves():
    return xgeoml.datasets.wavefield(stations=4)


@pytest.fixture(scope="module")
def pairs():
    return xgeoml.datasets.station_pairs(events=6, stations=3)


def spied(monkeypatch, module, name):
    """Return what a task is given from now on."""
    given = []
    task = getattr(module, name)

    def spy(obj, *args, **options):
        given.append((obj, options))
        return task(obj, *args, **options)

    monkeypatch.setattr(module, name, spy)
    return given


def test_downscaling_is_given_means_of_cells_alone(fine, monkeypatch):
    given = spied(monkeypatch, trials_of_fields, "downscale")
    scores = fine.geoml.evaluate("downscale", ["bilinear"], factor=3, baselines=False, repeats=2)
    assert [obj.sizes for obj, _ in given] == [{"time": 4, "lat": 6, "lon": 8}] * 2
    whole = fine.isel(lat=slice(0, 18))
    means = whole.coarsen(lat=3, lon=3).mean()
    np.testing.assert_allclose(xr.concat([o for o, _ in given], "time"), means, rtol=1e-6)
    made = means.geoml.downscale(3, "bilinear")
    expected = xgeoml.metrics.rmse(whole.isel(time=slice(0, 4)), made.isel(time=slice(0, 4)))
    assert float(scores.rmse[0, 0]) == pytest.approx(expected, rel=1e-6)
    assert scores.hidden.values.tolist() == [4 * 18 * 24] * 2
    assert scores.attrs["holdout"] == "fields averaged to cells 3 times as large"


def test_downscaling_onto_a_target(fine):
    whole = fine.isel(lat=slice(0, 16))
    coarse = whole.coarsen(lat=4, lon=4).mean()
    one = coarse.geoml.evaluate("downscale", ["bicubic"], target=whole, baselines=False, repeats=1)
    other = whole.geoml.evaluate("downscale", ["bicubic"], factor=4, baselines=False, repeats=1)
    assert float(one.rmse[0, 0]) == pytest.approx(float(other.rmse[0, 0]), rel=0.1)
    later = whole.assign_coords(time=whole.time + np.timedelta64(400, "D"))
    with pytest.raises(InputError, match="target= has none of the times of the data"):
        coarse.geoml.evaluate("downscale", ["bicubic"], target=later)


def test_a_fit_sees_other_times_only(fine, monkeypatch):
    taught = spied(monkeypatch, trials_of_fields, "fit")
    scores = fine.geoml.evaluate("downscale", ["bilinear"], fit=["ridge"], repeats=2)
    assert list(scores.model.values) == ["bilinear", "ridge, fitted", "nearest", "bicubic"]
    assert (scores.error == "").all()
    for (obj, options), part in zip(taught, (slice(4, 8), slice(0, 4)), strict=True):
        assert (obj.time.values == fine.time.values[part]).all()
        assert (options["target"].time.values == fine.time.values[part]).all()


def test_one_field_is_enough_to_compare_but_not_to_fit(fine):
    field = fine.isel(time=0, drop=True)
    scores = field.geoml.evaluate("downscale", ["bilinear"], fit="ridge")
    assert scores.sizes["repeat"] == 1
    assert np.isnan(scores.difference_low).all()
    assert "no time axis" in str(scores.error.sel(model="ridge, fitted").values)
    with pytest.raises(InputError, match="15 x 24 cells make less than 2 coarse"):
        field[:15].geoml.evaluate("downscale", ["bilinear"], factor=8)


def test_interpolation_in_time_is_given_the_steps_that_are_kept(hourly, monkeypatch):
    given = spied(monkeypatch, trials_in_time, "interp_time")
    scores = hourly.geoml.evaluate("interp_time", ["linear"], factor=6, baselines=False, repeats=2)
    for obj, _ in given:
        xr.testing.assert_equal(obj["t2m"], hourly[::6])
    hidden = np.flatnonzero(np.arange(49) % 6)
    half = hourly[hidden[:20]]
    made = hourly[::6].geoml.interp_time(times=half.time.values, model="linear")
    expected = xgeoml.metrics.rmse(half, made)
    assert float(scores.rmse[0, 0]) == pytest.approx(expected, rel=1e-6)
    assert scores.attrs["holdout"] == "all but every 6. step"
    with pytest.raises(InputError, match="of 49 steps 2 would be kept"):
        hourly.geoml.evaluate("interp_time", ["linear"], factor=40)


def test_interpolation_in_time_in_a_period(hourly):
    first, last = (str(t) for t in hourly.time.values[[24, 36]])
    scores = hourly.geoml.evaluate("interp_time", ["linear"], factor=6, period=(first, last))
    assert int(scores.hidden.sum()) == 10 * hourly[0].size


def test_stations_are_left_out(waves, monkeypatch):
    given = spied(monkeypatch, trials_of_waves, "invert_waveform")
    scores = waves.geoml.evaluate(
        "invert_waveform", ["wiener"], greens="greens", dim="station", repeats=2, baselines=False
    )
    assert scores.attrs["score"] == "misfit"
    names = [set(obj.station.values) for obj, _ in given]
    assert names == [set(waves.station.values[2:]), set(waves.station.values[:2])]
    # Of the true source only the noise would be left.
    source = waves.record.geoml.invert_waveform("wiener", greens=waves.greens, dim="station")
    assert 0.0 < float(scores.misfit.max()) < 1.6 * float(source.record_misfit)
    assert float(scores.r.min()) > 0.9


def test_known_sources_are_compared(pairs):
    scores = pairs.geoml.evaluate(
        "invert_waveform",
        ["wiener"],
        greens="greens",
        dim="station",
        target=pairs.source,
        repeats=3,
        baselines=False,
        variable="record",
    )
    first = pairs.record.isel(event=slice(0, 2)).geoml.invert_waveform(
        "wiener", greens=pairs.greens, dim="station"
    )
    right = xgeoml.metrics.waveform_skill(pairs.source.isel(event=slice(0, 2)), first)
    assert float(scores.nrmse[0, 0]) == pytest.approx(right.nrmse, rel=1e-5)
    assert scores.duration_error.attrs["units"] == "s"


def test_of_records_alone_nothing_can_be_said(waves):
    with pytest.raises(InputError, match=r"needs known sources, target=\.\.\., or Green's"):
        waves.record.geoml.evaluate("invert_waveform", ["wiener"], greens=waves.greens)
    with pytest.raises(InputError, match="metrics=: not of task='invert_waveform'"):
        waves.record.geoml.evaluate("invert_waveform", metrics=["rmse"])


def test_the_best_model_is_taken_and_named(hourly):
    scores = hourly.geoml.evaluate("interp_time", repeats=3)
    made = hourly.geoml.interp_time("30min", "best")
    best = scores.attrs["best"]
    assert f"model={best!r}" in made.attrs["history"]
    assert f"(best by {best}, rmse " in made.attrs["history"]
    assert "on hidden values of t2m; next " in made.attrs["history"]
    xr.testing.assert_equal(made, hourly.geoml.interp_time("30min", best))


def test_the_best_model_of_each_task(fine, waves, capsys):
    finer = fine.geoml.downscale(2, "best", progress=True)
    assert finer.sizes["lat"] == 38
    assert "model='best': subgrid, rmse" in capsys.readouterr().err
    source = waves.geoml.invert_waveform("best", greens="greens", dim="station", length=128)
    assert "(best by " in source.attrs["history"]
    record = xgeoml.datasets.grace_like(nlat=4, nlon=4).isel(time=slice(0, 60))
    full = record.geoml.fill_gaps("best")
    assert "rmse" in full.attrs["history"]
    with pytest.raises(InputError, match="model='best' and weights= both name a model"):
        record.geoml.fill_gaps("best", weights="grace_tf@1.1")


def test_a_plan_runs_nothing_and_so_knows_no_best(fine):
    with pytest.raises(InputError, match=r"a plan runs none; .*evaluate\('downscale'\)"):
        fine.geoml.plan("downscale", "best", factor=2)


def test_trees(fine):
    tree = xr.DataTree.from_dict({"/a": fine.to_dataset()})
    one = tree.geoml.evaluate("downscale", ["bilinear"], repeats=1)
    other = fine.geoml.evaluate("downscale", ["bilinear"], repeats=1)
    np.testing.assert_array_equal(one.rmse, other.rmse)
    with pytest.raises(GeoMLError, match="w"):
        tree.geoml.evaluate("downscale", ["bilinear"], variable="w")


@pytest.mark.parametrize("station", [0, 3])
def test_records_that_are_infinite_are_told_of_whoever_is_left_out(waves, station):
    broken = waves.record.copy()
    broken[station, 100] = np.inf
    options = {"greens": waves.greens, "dim": "station", "baselines": False, "repeats": 4}
    with pytest.raises(GeoMLError, match="infinite samples"):
        broken.geoml.evaluate("invert_waveform", ["nnls"], arguments={"gaps": "window"}, **options)
