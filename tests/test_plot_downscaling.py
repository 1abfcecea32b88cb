"""Pictures of finer fields."""

import numpy as np
import pytest
import xarray as xr
from toy_pictures import drawn

from xgeoml import plot
from xgeoml.datasets import hourly_temperature
from xgeoml.exceptions import AxisError, InputError

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def fields():
    truth = hourly_temperature(hours=48, nlat=16, nlon=20).t2m
    coarse = truth.coarsen(latitude=2, longitude=2).mean()
    near = coarse.interp_like(truth, method="nearest", kwargs={"fill_value": "extrapolate"})
    return coarse, truth, {"nearest": near, "warm": truth + 1.0}


def members(truth, size=3):
    random = np.random.default_rng(0)
    noise = [truth + random.standard_normal(truth.shape) for _ in range(size)]
    return xr.concat(noise, "member")


def titles(figure):
    return [panel.get_title() for panel in figure.axes if panel.get_title()]


def test_maps_beside_each_other(fields):
    coarse, truth, made = fields
    figure = drawn(plot.downscaled(coarse, made, truth, step=5))
    errors = [
        "error, rms " + f"{e:.3g}"
        for e in (float(((made["nearest"] - truth)[5] ** 2).mean() ** 0.5), 1.0)
    ]
    assert titles(figure) == ["coarse", "truth", "nearest", "warm", *errors]
    assert figure.get_suptitle() == "2019-03-01 05:00"
    upper = [panel.collections[0].get_clim() for panel in figure.axes[:4]]
    assert len(set(upper)) == 1
    assert upper[0] == (float(truth[5].min()), float(truth[5].max()))


def test_maps_without_the_truth(fields):
    coarse, _, made = fields
    assert titles(drawn(plot.downscaled(coarse, made, step=-1))) == ["coarse", "nearest", "warm"]
    still = {name: field.isel(time=0, drop=True) for name, field in made.items()}
    assert drawn(plot.downscaled(coarse.isel(time=0, drop=True), still)).get_suptitle() == ""


def test_the_first_member_is_drawn(fields):
    coarse, truth, _ = fields
    several = members(truth)
    figure = plot.downscaled(coarse, {"a": several}, truth)
    shown = figure.axes[2].collections[0].get_array()
    np.testing.assert_allclose(shown, several[0, 0].values)


def test_other_dims_are_refused(fields):
    coarse, truth, made = fields
    with pytest.raises(InputError, match="isel"):
        plot.downscaled(coarse.expand_dims(level=2), made, truth)


def test_spectra(fields):
    _, truth, made = fields[0], fields[1], dict(fields[2])
    made["warm"] = made["warm"].assign_coords(longitude=truth.longitude.astype("float32") + 1e-5)
    figure = drawn(plot.spectra(truth, {**made, "drawn": members(truth)}, factor=2))
    (panel,) = figure.axes
    labels = panel.get_legend_handles_labels()[1]
    assert labels == ["truth", "nearest", "warm", "drawn", "too short for coarse cells"]
    true, _, warm, noisy = (line.get_ydata() for line in panel.lines)
    np.testing.assert_allclose(warm, true, rtol=1e-3)
    assert (noisy > true).mean() > 0.8
    assert "K" in panel.get_ylabel()


def test_ranks(fields):
    truth = fields[1]
    figure = drawn(plot.rank_histogram(truth, {"a": members(truth), "b": members(truth, 5)}))
    heights = [[bar.get_height() for bar in panel.patches] for panel in figure.axes]
    assert [len(h) for h in heights] == [4, 6]
    assert [np.mean(h) for h in heights] == pytest.approx([1.0, 1.0])


def test_scores_by_hour_and_by_kind_of_cell(fields):
    _, truth, made = fields
    (panel,) = drawn(plot.error_by(truth, made)).axes
    assert [len(line.get_xdata()) for line in panel.lines] == [24, 24]
    np.testing.assert_allclose(panel.lines[1].get_ydata(), 1.0, rtol=1e-4)
    assert panel.get_ylabel() == "root mean square error (K)"
    north = (truth.latitude > 55).rename("north")
    (panel,) = drawn(plot.error_by(truth, made, north, score="bias")).axes
    assert [label.get_text() for label in panel.get_xticklabels()] == ["False", "True"]
    assert [bar.get_height() for bar in panel.patches][-2:] == pytest.approx([1.0, 1.0], rel=1e-3)


def test_what_cannot_be_drawn_is_refused(fields):
    coarse, truth, made = fields
    for draw in (
        lambda: plot.downscaled(coarse, {}, truth),
        lambda: plot.spectra(truth, {}),
        lambda: plot.rank_histogram(truth, {}),
        lambda: plot.error_by(truth, {}),
    ):
        with pytest.raises(InputError, match="expected a mapping"):
            draw()
    with pytest.raises(InputError, match="score='skill'"):
        plot.error_by(truth, made, score="skill")
    with pytest.raises(AxisError):
        plot.downscaled(coarse.isel(latitude=0), made, truth)
