from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xgeoml import datasets
from xgeoml.exceptions import GeoMLError

GENERATORS = [
    datasets.grace_like,
    datasets.grace_like_truth,
    datasets.grace_like_drivers,
    datasets.cloudy_sst,
    datasets.cloudy_sst_truth,
    datasets.hourly_temperature,
    datasets.mountain_temperature,
    datasets.wavefield,
]


@pytest.fixture(params=GENERATORS, ids=lambda generator: generator.__name__)
def generator(request):
    return request.param


def test_the_seed_decides(generator):
    xr.testing.assert_identical(generator(seed=3), generator(seed=3))
    assert not generator(seed=3).equals(generator(seed=4))


def test_it_says_that_it_is_synthetic(generator):
    attrs = generator().attrs
    assert attrs["source"] == "synthetic, xgeoml.datasets"
    assert "synthetic" in attrs["comment"]
    assert attrs["Conventions"].startswith("CF-")


def test_every_variable_is_described(generator):
    for name, variable in generator().data_vars.items():
        assert variable.dtype == np.float32, name
        assert {"units", "long_name"} <= set(variable.attrs), name
        # xarray takes a unit with "since" for a time.
        assert "since" not in variable.attrs["units"]


def test_it_survives_a_file(generator, tmp_path):
    made = generator()
    made.to_netcdf(tmp_path / "made.nc")
    with xr.open_dataset(tmp_path / "made.nc") as read:
        xr.testing.assert_equal(read.load(), made)


@pytest.mark.parametrize("seed", [-1, 1.5, "0", None, True])
def test_a_seed_that_is_none_is_refused(generator, seed):
    with pytest.raises(GeoMLError, match=r"seed=.* expected a whole number"):
        generator(seed=seed)


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (datasets.grace_like, {"nlat": 3}),
        (datasets.grace_like, {"nlon": 300}),
        (datasets.cloudy_sst, {"days": 1}),
        (datasets.hourly_temperature, {"hours": 0}),
        (datasets.mountain_temperature, {"steps": 1}),
        (datasets.mountain_temperature, {"nlat": 7}),
        (datasets.wavefield, {"stations": 0}),
        (datasets.wavefield, {"source_samples": 4}),
    ],
)
def test_a_size_that_makes_no_field_is_refused(make, size):
    with pytest.raises(GeoMLError, match=f"{next(iter(size))}="):
        make(**size)


def test_sizes_are_those_asked_for():
    assert dict(datasets.grace_like(nlat=5, nlon=7).sizes) == {"time": 232, "lat": 5, "lon": 7}
    assert datasets.grace_like_drivers(nlat=5, nlon=7).tp.shape == (265, 5, 7)
    assert datasets.cloudy_sst(days=3, nlat=9, nlon=8).sst.shape == (3, 9, 8)
    assert datasets.hourly_temperature(hours=5, nlat=6, nlon=7).t2m.shape == (5, 6, 7)


# ---------------------------------------------------------------- GRACE
@pytest.fixture(scope="module")
def grace():
    return datasets.grace_like(seed=5)


@pytest.fixture(scope="module")
def storage():
    return datasets.grace_like_truth(seed=5)


def nominal_months() -> pd.PeriodIndex:
    months = pd.period_range("2002-04", "2024-04", freq="M")
    return months[~months.strftime("%Y-%m").isin(datasets.GRACE_MISSING)]


def test_the_missing_months_are_absent(grace):
    assert len(datasets.GRACE_MISSING) == 33
    assert grace.sizes["time"] == 265 - 33
    steps = np.diff(grace.time.values) / np.timedelta64(1, "D")
    assert steps.max() > 300  # from June 2017 to June 2018
    assert (steps > 0).all()


def test_stamps_lie_off_centre_and_two_share_a_month(grace):
    stamps = grace.indexes["time"]
    offset = (stamps - nominal_months().start_time).days
    assert offset.min() < 0  # that of May 2015 lies in April
    assert offset.max() >= 30
    shared = stamps.to_period("M")
    assert shared[shared.duplicated()].astype(str).tolist() == ["2015-04"]


def test_drivers_and_truth_have_every_month_and_no_hole(storage):
    drivers = datasets.grace_like_drivers(seed=5)
    months = pd.date_range("2002-04-01", "2024-04-01", freq="MS")
    assert drivers.indexes["time"].equals(months)
    assert storage.indexes["time"].equals(months)
    assert not drivers.isnull().any().to_array().any()
    assert (drivers.tp > 0).all()
    assert drivers.t2m.mean() == pytest.approx(296, abs=4)


def test_the_sea_is_missing_and_the_land_is_not(grace, storage):
    sea = storage.lwe_thickness.isnull()
    assert (sea.all("time") == sea.any("time")).all()
    assert float(sea[0].mean()) == pytest.approx(0.15, abs=0.02)
    assert (grace.lwe_thickness.isnull() == sea[0]).all()


def test_the_record_is_the_truth_but_for_scatter_and_one_bad_month(grace, storage):
    names = nominal_months().strftime("%Y-%m")
    truth = storage.lwe_thickness.sel(time=nominal_months().start_time)
    error = np.sqrt(np.nanmean((grace.lwe_thickness.values - truth.values) ** 2, axis=(1, 2)))
    assert np.median(error) == pytest.approx(1.6, abs=0.4)
    assert names[error > 10].tolist() == ["2015-02"]


@pytest.mark.parametrize("seed", range(4))
def test_it_varies_as_water_does(seed):
    truth = datasets.grace_like_truth(seed=seed).lwe_thickness
    land = truth.stack(cell=("lat", "lon")).dropna("cell").transpose("time", "cell").values
    month = truth.time.dt.month.values
    season = np.stack([land[month == m].mean(axis=0) for m in range(1, 13)])
    rest = land - season[month - 1]
    memory = (rest[1:] * rest[:-1]).mean() / (rest**2).mean()
    assert 4 < land.std() < 12  # cm
    assert 2 < rest.std() < 9
    assert 3 < np.ptp(season, axis=0).mean() < 30
    assert 0.7 < memory < 0.97


@pytest.mark.parametrize("seed", range(4))
def test_rain_fills_the_ground(seed):
    rain = datasets.grace_like_drivers(seed=seed).tp
    truth = datasets.grace_like_truth(seed=seed).lwe_thickness
    cut = {"lat": slice(2, 8), "lon": slice(2, 8)}
    anomalies = [
        (x.isel(cut).groupby("time.month") - x.isel(cut).groupby("time.month").mean()).values
        for x in (rain, truth)
    ]
    now = np.corrcoef(anomalies[0][:-1].ravel(), anomalies[1][1:].ravel())[0, 1]
    later = np.corrcoef(anomalies[0][:-12].ravel(), anomalies[1][12:].ravel())[0, 1]
    assert now > 0.4
    assert later < now - 0.2


# ---------------------------------------------------------------- the others
def test_clouds_hide_part_of_each_day_and_land_always():
    seen, truth = datasets.cloudy_sst(seed=6).sst, datasets.cloudy_sst_truth(seed=6).sst
    land = truth.isnull().all("time")
    assert (truth.isnull().any("time") == land).all()
    hidden = seen.isnull().values[:, ~land.values].mean(axis=1)
    assert hidden.min() < 0.3
    assert hidden.max() > 0.8
    assert hidden.max() < 1
    error = (seen - truth).where(seen.notnull())
    assert float(error.std()) == pytest.approx(0.15, abs=0.01)


def test_clouds_hang_together():
    seen, truth = datasets.cloudy_sst(seed=6).sst, datasets.cloudy_sst_truth(seed=6).sst
    cloud = (seen.isnull() & truth.notnull()).values.astype(float)
    share = cloud.mean(axis=(1, 2), keepdims=True)
    alike = ((cloud - share)[:, :, 1:] * (cloud - share)[:, :, :-1]).mean() / cloud.var()
    assert alike > 0.3


def test_warm_in_the_afternoon_over_land_and_weather_from_the_west():
    t2m = datasets.hourly_temperature(seed=1).t2m
    cycle = t2m.groupby("time.hour").mean().transpose("hour", ...).values
    swing = np.ptp(cycle, axis=0)
    inland = swing > np.median(swing)
    assert 13 <= np.median(cycle.argmax(axis=0)[inland]) <= 18
    assert swing[inland].mean() > 2
    moves = (t2m - t2m.groupby("time.hour").mean()).values
    east = np.corrcoef(moves[:-4, :, :-4].ravel(), moves[4:, :, 4:].ravel())[0, 1]
    west = np.corrcoef(moves[:-4, :, 4:].ravel(), moves[4:, :, :-4].ravel())[0, 1]
    assert east > west


def test_longitude_stays_within_its_range():
    longitude = datasets.hourly_temperature(nlon=100).longitude
    assert longitude.min() >= 0
    assert longitude.max() < 360


def test_it_is_colder_on_the_heights_and_in_valleys_of_calm_nights():
    ds = datasets.mountain_temperature(seed=4)
    land = (ds.land == 1).values
    height, t2m = ds.orography.values, ds.t2m.values
    assert (height[~land] == 0).all()
    assert 600 < height.max() < 4000
    lapse = [np.polyfit(height[land], field[land], 1)[0] for field in t2m]
    assert -0.009 < np.mean(lapse) < -0.003
    night, day = (t2m[ds.time.dt.hour == h].mean(0) for h in (0, 12))
    assert (day - night)[land].mean() > 2 + (day - night)[~land].mean()


def test_the_fine_structure_of_mountains_is_more_than_a_mean_pattern():
    ds = datasets.mountain_temperature(seed=4)
    coarse = ds.t2m.coarsen(lat=4, lon=4).mean()
    near = coarse.interp_like(ds.t2m, method="nearest", kwargs={"fill_value": "extrapolate"})
    fine = (ds.t2m - near).values
    stays = fine.mean(0)
    assert 0.5 < (stays**2).mean() / (fine**2).mean() < 0.95


def test_records_are_what_source_and_response_make():
    ds = datasets.wavefield(seed=2, signal_to_noise=10.0)
    made = np.stack([np.convolve(g, ds.source)[: ds.sizes["time"]] for g in ds.greens.values])
    noise = ds.record.values - made
    np.testing.assert_allclose(noise.std(axis=1) / made.std(axis=1), 0.1, rtol=1e-3)
    assert float(ds.source.sum()) == pytest.approx(1, abs=1e-5)
    assert float(ds.source.min()) >= 0
    np.testing.assert_allclose((ds.greens**2).sum("time"), 1, rtol=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_p_comes_before_s_and_no_station_is_silent(seed):
    ds = datasets.wavefield(seed=seed, stations=30)
    assert np.isfinite(ds.record).all()
    onset = (abs(ds.greens) > 1e-3 * abs(ds.greens).max("time")).argmax("time")
    assert (onset < 30).all()


# ---------------------------------------------------------------- beside real ones
@pytest.mark.realdata
def test_it_scatters_as_the_real_record_does(data_path, grace):
    with xr.open_dataset(data_path / "mini" / "grace_amazon_mini.nc") as real:
        rms = float(np.sqrt((real.lwe_thickness**2).mean()))
    made = float(np.sqrt((grace.lwe_thickness**2).mean()))
    assert 0.3 < made / rms < 3
