"""Scores of fields, spectra and ensembles."""

import numpy as np
import pytest
import xarray as xr

from xgeoml import metrics
from xgeoml.datasets import hourly_temperature
from xgeoml.exceptions import AxisError, InputError
from xgeoml.metrics import downscaling_skill


@pytest.fixture(scope="module")
def truth():
    return hourly_temperature(hours=48, nlat=16, nlon=20).t2m


def noisy(truth, deviation=1.0, seed=0):
    random = np.random.default_rng(seed)
    return truth + deviation * random.standard_normal(truth.shape)


def ensemble(truth, size, spread=1.0, seed=0):
    members = [noisy(truth, spread, seed + k) for k in range(size)]
    return xr.concat(members, "member")


# ---------------------------------------------------------------- errors
def test_errors_by_hand():
    truth = xr.DataArray([1.0, 2.0, 3.0, np.nan], dims="time", attrs={"units": "K"})
    made = xr.DataArray([1.0, 3.0, 1.0, 7.0], dims="time")
    assert metrics.rmse(truth, made) == pytest.approx(np.sqrt(5 / 3))
    assert metrics.mae(truth, made) == pytest.approx(1.0)
    assert metrics.bias(truth, made) == pytest.approx(-1 / 3)
    assert metrics.r2(truth, made) == pytest.approx(1 - 5 / 2)
    assert metrics.psnr(truth, made) == pytest.approx(20 * np.log10(2 / np.sqrt(5 / 3)))
    assert metrics.psnr(truth, made, data_range=10) == pytest.approx(
        20 * np.log10(10 / np.sqrt(5 / 3))
    )


def test_errors_weigh_areas():
    lat = ("lat", [0.0, 60.0], {"units": "degrees_north"})
    truth = xr.DataArray(np.zeros((2, 3)), {"lat": lat}, ("lat", "lon"))
    made = truth + xr.DataArray([0.0, 3.0], dims="lat")
    assert metrics.mae(truth, made) == pytest.approx(3 * 0.5 / 1.5)
    assert metrics.mae(truth, made, area=xr.DataArray([1, 1], dims="lat")) == pytest.approx(1.5)
    assert metrics.mae(truth, made, where=xr.DataArray([True, False], dims="lat")) == 0.0


def test_r2_measures_the_truth_about_its_own_mean(truth):
    flat = xr.full_like(truth, float(truth.weighted(np.cos(np.deg2rad(truth.latitude))).mean()))
    assert metrics.r2(truth, flat) == pytest.approx(0.0, abs=1e-5)
    assert metrics.r2(truth, flat + 10.0) < -5.0
    assert metrics.r2(truth, truth) == 1.0


@pytest.mark.parametrize("score", [metrics.rmse, metrics.r2, metrics.psnr, metrics.ssim])
def test_dims_in_any_order(truth, score):
    made = noisy(truth)
    assert score(truth, made.transpose("longitude", "time", "latitude")) == score(truth, made)


def test_misplaced_cells_are_refused(truth):
    with pytest.raises(InputError, match="at other places than the truth"):
        metrics.rmse(truth, truth.assign_coords(longitude=truth.longitude + 0.1))
    with pytest.raises(InputError, match="at other places than the truth"):
        metrics.rmse(truth, truth[:, ::-1])
    turned = (truth.isel(time=0) > 280)[::-1]
    for given in ({"where": turned}, {"area": turned * 1.0}):
        with pytest.raises(InputError, match="along latitude a weight or mask is at other places"):
            metrics.rmse(truth, truth, **given)
    with pytest.raises(InputError, match="a weight or mask is at other places"):
        downscaling_skill(truth, {"a": truth}, by=turned)
    with pytest.raises(InputError, match="19 cells along longitude"):
        metrics.rmse(truth, truth[..., 1:])
    with pytest.raises(InputError, match="the estimate has the dims"):
        metrics.rmse(truth, ensemble(truth, 2))


def test_coordinates_may_be_rounded(truth):
    rounded = truth.assign_coords(longitude=truth.longitude.astype("float32") + 1e-5)
    land = (rounded.isel(time=0) > 280).rename("land")
    assert metrics.rmse(truth, rounded, where=land) == 0.0
    assert metrics.spectrum_error(truth, rounded).all == 0.0
    table = downscaling_skill(truth, {"a": rounded + 1.0}, by=land)
    np.testing.assert_allclose(table.rmse, 1.0, rtol=1e-4)


def test_masks_of_other_sizes_are_refused(truth):
    with pytest.raises(InputError, match="expected dims of the truth"):
        metrics.rmse(truth, truth, where=xr.DataArray([True, False], dims="latitude"))


def test_nothing_to_score(truth):
    nothing = truth * np.nan
    scores = (metrics.rmse, metrics.bias, metrics.r2, metrics.psnr, metrics.ssim)
    assert all(np.isnan(score(truth, nothing)) for score in scores)


# ---------------------------------------------------------------- structure
def test_structural_similarity(truth):
    assert metrics.ssim(truth, truth) == pytest.approx(1.0, abs=1e-12)
    little, much = (metrics.ssim(truth, noisy(truth, d)) for d in (0.5, 3.0))
    assert 1.0 > little > much > 0.0
    assert metrics.ssim(truth, truth + 20.0) < 0.8


def test_structural_similarity_follows_the_units(truth):
    made, truth = noisy(truth.astype(float)), truth.astype(float)
    one = metrics.ssim(truth, made)
    fahrenheit = (1.8 * (v - 273.15) + 32 for v in (truth, made))
    assert metrics.ssim(*fahrenheit) == pytest.approx(one, rel=1e-9)


def test_structural_similarity_of_a_picture_by_hand():
    """One window wholly inside, against the formula written out."""
    random = np.random.default_rng(0)
    a, b = random.random((2, 11, 11))
    a.flat[:2] = 0.0, 1.0
    g = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    g = np.outer(g, g) / g.sum() ** 2
    ma, mb = (g * a).sum(), (g * b).sum()
    va, vb, ab = (g * a * a).sum() - ma**2, (g * b * b).sum() - mb**2, (g * a * b).sum() - ma * mb
    expected = (2 * ma * mb + 1e-4) / (ma**2 + mb**2 + 1e-4)
    expected *= (2 * ab + 9e-4) / (va + vb + 9e-4)
    maps = (xr.DataArray(v, dims=("y", "x")) for v in (a, b))
    centre = xr.zeros_like(xr.DataArray(a, dims=("y", "x")))
    centre[5, 5] = 1.0
    assert metrics.ssim(*maps, area=centre + 1e-12) == pytest.approx(expected, abs=1e-8)


def test_missing_cells_have_no_part_in_windows(truth):
    hole = xr.zeros_like(truth[0], bool)
    hole[4:9, 6:12] = True
    made = noisy(truth)
    alike = metrics.ssim(truth.where(~hole), made.where(~hole))
    wild = metrics.ssim(truth.where(~hole), made.where(~hole, 1e4))
    assert alike == wild


# ---------------------------------------------------------------- spectra
def test_the_spectrum_adds_up_to_the_variance(truth):
    for size in (19, 20):
        rows = truth[..., :size].astype(float)
        variance = rows.var("longitude").mean()
        assert float(metrics.zonal_spectrum(rows).sum()) == pytest.approx(float(variance))
    spectrum = metrics.zonal_spectrum(truth)
    assert spectrum.attrs["units"] == "K2"
    speed = metrics.zonal_spectrum(truth.assign_attrs(units="m s-1"))
    assert speed.attrs["units"] == "(m s-1)2"
    assert spectrum.wavelength.values[0] == 20


def test_the_spectrum_error_is_that_of_the_ratio(truth):
    double = truth.mean("longitude") + np.sqrt(10.0) * (truth - truth.mean("longitude"))
    error = metrics.spectrum_error(truth, double, factor=4)
    assert error.all == pytest.approx(1.0, abs=1e-4)
    assert error.fine == pytest.approx(1.0, abs=1e-4)
    assert metrics.spectrum_error(truth, truth) == (0.0, pytest.approx(np.nan, nan_ok=True))


def test_smoothing_shows_in_the_fine_part(truth):
    smooth = truth.rolling(longitude=3, center=True, min_periods=1).mean()
    error = metrics.spectrum_error(truth, smooth, factor=2)
    assert error.fine > 2 * error.all - error.fine
    with pytest.raises(InputError, match="factor=0"):
        metrics.spectrum_error(truth, smooth, factor=0)


# ---------------------------------------------------------------- ensembles
def test_ranked_score_by_hand():
    truth = xr.DataArray([1.0], dims="time")
    members = xr.DataArray([[0.0], [3.0], [5.0]], dims=("member", "time"))
    off, apart = (1 + 2 + 4) / 3, 2 * (3 + 5 + 2)
    assert metrics.crps(truth, members, fair=False) == pytest.approx(off - apart / (2 * 9))
    assert metrics.crps(truth, members) == pytest.approx(off - apart / (2 * 6))


def test_one_member_scores_its_absolute_error(truth):
    one = ensemble(truth, 1)
    assert metrics.crps(truth, one, fair=False) == pytest.approx(
        metrics.mae(truth, one.isel(member=0))
    )
    with pytest.raises(InputError, match="two or more"):
        metrics.crps(truth, one)
    with pytest.raises(InputError, match="two or more"):
        metrics.spread_skill(truth, one)


def test_the_fair_score_does_not_depend_on_the_number_of_members(truth):
    few, many = ensemble(truth, 3), ensemble(truth, 30, seed=50)
    fair = [metrics.crps(truth, e) for e in (few, many)]
    plain = [metrics.crps(truth, e, fair=False) for e in (few, many)]
    assert fair[0] == pytest.approx(fair[1], rel=0.05)
    assert plain[0] > 1.2 * plain[1]


def test_an_honest_ensemble_has_even_ranks_and_spread(truth):
    seen = noisy(truth, seed=99)
    honest, narrow = ensemble(truth, 5), ensemble(truth, 5, spread=0.3)
    np.testing.assert_allclose(metrics.rank_histogram(seen, honest), 1 / 6, atol=0.02)
    assert metrics.spread_skill(seen, honest) == pytest.approx(1.0, abs=0.03)
    ends = metrics.rank_histogram(seen, narrow).values[[0, -1]]
    assert (ends > 0.25).all()
    assert metrics.spread_skill(seen, narrow) < 0.5


def test_ranks_that_tie_are_shared():
    truth = xr.DataArray([0.0, 5.0], dims="time")
    members = xr.DataArray([[0.0, 0.0], [0.0, 1.0], [2.0, 2.0]], dims=("member", "time"))
    made = metrics.rank_histogram(truth, members)
    np.testing.assert_allclose(made, [1 / 6, 1 / 6, 1 / 6, 1 / 2])


# ---------------------------------------------------------------- the table
def test_the_table_says_what_the_functions_say(truth):
    made = {"a": noisy(truth), "b": noisy(truth, 2.0)}
    table = downscaling_skill(truth, made, factor=2)
    assert table.model.values.tolist() == ["a", "b"]
    for name, field in made.items():
        row = table.sel(model=name)
        for score in ("rmse", "mae", "bias", "r2", "psnr", "ssim"):
            expected = getattr(metrics, score)(truth, field)
            assert float(row[score]) == pytest.approx(expected, rel=1e-9)
        expected = metrics.spectrum_error(truth, field, factor=2)
        assert (float(row.spectrum), float(row.spectrum_fine)) == pytest.approx(expected)
        assert float(row.made) == 1.0
        assert float(row.crps) == float(row.mae)
    assert table.rmse.attrs["units"] == "K"
    one, other = table.rmse.values
    assert table.gain.values == pytest.approx([0.0, 1 - other / one])


def test_references_come_first(truth):
    made = {k: noisy(truth, seed=i) for i, k in enumerate(["x", "bicubic", "y", "ridge"])}
    table = downscaling_skill(truth, made, reference=["ridge", "bicubic"])
    assert table.model.values.tolist() == ["ridge", "bicubic", "x", "y"]
    with pytest.raises(InputError, match="linear"):
        downscaling_skill(truth, made, reference="linear")
    with pytest.raises(InputError, match="expected a mapping"):
        downscaling_skill(truth, {})


@pytest.mark.parametrize(("by", "groups"), [("hour", 24), ("month", 1), ("season", 1)])
def test_groups_of_steps(truth, by, groups):
    made = {"a": noisy(truth)}
    table = downscaling_skill(truth, made, by=by, factor=2)
    assert table.sizes == {"model": 1, by: groups}
    first = table[by].values[0]
    steps = truth.time.dt
    inside = getattr(steps, by) == first
    assert float(table.rmse[0, 0]) == pytest.approx(
        metrics.rmse(truth.isel(time=inside.values), made["a"].isel(time=inside.values))
    )
    assert np.isfinite(table.spectrum_fine).all()
    assert float((table.rmse**2).mean() ** 0.5) == pytest.approx(metrics.rmse(truth, made["a"]))


def test_groups_of_cells(truth):
    land = xr.DataArray(
        np.arange(20) > 7, {"longitude": truth.longitude}, ("longitude",), name="land"
    )
    made = truth + xr.where(land, 2.0, 1.0)
    table = downscaling_skill(truth, {"a": made}, by=land)
    assert table.land.values.tolist() == [False, True]
    np.testing.assert_allclose(table.rmse.values, [[1.0, 2.0]], rtol=1e-4)
    assert np.isnan(table.spectrum).all()


def test_ensembles_in_the_table(truth):
    members = ensemble(truth, 4)
    table = downscaling_skill(truth, {"one": noisy(truth), "many": members})
    many = table.sel(model="many")
    assert float(many.crps) == pytest.approx(metrics.crps(truth, members))
    assert float(many.spread_skill) == pytest.approx(metrics.spread_skill(truth, members))
    assert float(many.rmse) == pytest.approx(metrics.rmse(truth, members.mean("member")))
    assert np.isnan(table.spread_skill[0])


def test_holes_are_counted(truth):
    made = noisy(truth).where(truth.longitude != truth.longitude[3])
    land = truth.where(truth.longitude != truth.longitude[5])
    table = downscaling_skill(land, {"a": made})
    assert float(table.made[0]) == pytest.approx(18 / 19)


def test_what_cannot_be_grouped_is_refused(truth):
    with pytest.raises(InputError, match="'hour', 'month', 'season' or a DataArray"):
        downscaling_skill(truth, {"a": truth}, by="week")
    with pytest.raises(InputError, match="expected dims of"):
        downscaling_skill(truth, {"a": truth}, by=xr.DataArray([1, 2], dims="basin"))
    with pytest.raises(AxisError):
        downscaling_skill(truth.isel(time=0), {"a": truth.isel(time=0)}, by="hour")
