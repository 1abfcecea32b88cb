"""The map of elevation that comes with the package."""

import hashlib

import numpy as np
import pytest

from xgeoml import terrain
from xgeoml.terrain import elevation


def at(lat, lon):
    """Return elevation and share of land of a cell of the map's size."""
    step = 1 / terrain.PER_DEGREE
    height, land = elevation([lat, lat + step], [lon, lon + step])
    return height[0, 0], land[0, 0]


def test_the_map_is_the_one_that_the_recipe_makes():
    assert hashlib.sha256(terrain.table().tobytes()).hexdigest() == terrain.SHA256
    values = terrain.table()[::7, ::5]
    assert np.array_equal(terrain.decoded(terrain.encoded(values)), values)


@pytest.mark.parametrize(
    ("lat", "lon", "low", "high"),
    [
        (27.98, 86.92, 5000, 8900),  # Everest
        (33.0, 88.0, 4500, 5500),  # Tibet
        (52.0, 5.0, -30, 60),  # the Netherlands
        (-16.5, -68.2, 3500, 4500),  # the Altiplano
        (72.0, -40.0, 2800, 3300),  # Greenland's ice, not the rock under it
        (-80.0, 77.0, 3800, 4200),  # Antarctica
        (-90.0, 0.0, 2600, 3000),  # beyond the end of pvlib's map
        (31.5, 35.5, -450, 0),  # the Dead Sea
    ],
)
def test_known_heights(lat, lon, low, high):
    height, land = at(lat, lon)
    assert low < height < high
    assert land == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(("lat", "lon"), [(0.0, -30.0), (-50.0, 180.0), (89.9, 10.0)])
def test_no_height_at_sea(lat, lon):
    height, land = at(lat, lon)
    assert np.isnan(height)
    assert land == 0.0


def test_longitudes_and_orders_do_not_matter():
    lat, lon = np.arange(30.0, 45.0, 0.7), np.arange(-20.0, 25.0, 0.9)
    height, land = elevation(lat, lon)
    assert np.isnan(height).any()
    assert (land[np.isfinite(height)] > 0).all()
    turned = elevation(lat[::-1], lon % 360)
    for ours, theirs in zip((height, land), turned, strict=True):
        np.testing.assert_allclose(theirs[::-1], ours, rtol=1e-4, atol=1e-3)
    backwards = elevation(lat, lon[::-1] + 360)
    np.testing.assert_allclose(backwards[0][:, ::-1], height, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("margin", [0.0, 0.25])
def test_across_180_degrees_the_earth_goes_on(margin):
    lat = np.arange(60.0, 70.0, 0.5)
    for lon in (np.arange(170.25, 190.0, 0.5), np.arange(-10.25, 10.0, 0.5)):
        whole = elevation(lat, lon, margin=margin)
        folded = elevation(lat, (lon + 180) % 360 - 180, margin=margin)
        for ours, theirs in zip(whole, folded, strict=True):
            np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-2)


@pytest.mark.parametrize("centre", [(46.0, 8.0), (55.0, -4.0), (65.0, 179.0), (80.0, -40.0)])
def test_means_over_large_cells_are_those_of_the_small_ones_in_them(centre):
    factor, step = 6, 0.25
    lat = centre[0] + step * (np.arange(4 * factor) + 0.5)
    lat = lat[lat < 90]
    lon = centre[1] + step * (np.arange(5 * factor) + 0.5)
    height, land = elevation(lat, lon)
    area = np.diff(np.sin(np.deg2rad(np.append(lat - step / 2, lat[-1] + step / 2))))[:, None]

    def means(field):
        blocks = (area * field).reshape(len(lat) // factor, factor, 5, factor).sum((1, 3))
        return blocks / (area * np.ones_like(land)).reshape(-1, factor, 5, factor).sum((1, 3))

    coarse = (v.reshape(-1, factor).mean(1) for v in (lat, lon))
    above, share = elevation(*coarse)
    np.testing.assert_allclose(share, means(land), atol=1e-5)
    volume = means(np.where(land > 0, height, 0.0) * land)
    np.testing.assert_allclose(np.nan_to_num(above) * share, volume, rtol=1e-4, atol=0.05)


def test_small_cells_are_interpolated_between_land():
    step = 1 / terrain.PER_DEGREE
    centres = np.array([46.0, 46.0 + step]) + step / 2, np.array([8.0, 8.0 + step]) + step / 2
    corners, _ = elevation(*centres)
    middle, _ = elevation(*(np.linspace(*c, 3) for c in centres))
    np.testing.assert_allclose(middle[1, 1], corners.mean(), rtol=1e-3)
    lat, lon = np.linspace(36.0, 38.0, 97), np.linspace(-9.5, -8.0, 90)
    height, land = elevation(lat, lon)
    assert np.isnan(height[land == 0]).all()
    # At the coast the land keeps its height, whatever the share of it.
    coast = (land > 0) & (land < 0.2)
    assert coast.any()
    assert height[coast].min() > -100


def test_the_poles_are_a_part_of_the_earth():
    lat, lon = np.linspace(-90.0, 90.0, 181), np.arange(0.0, 360.0, 1.0)
    _, land = elevation(lat, lon)
    assert (land >= 0).all()
    assert (land <= 1).all()
    assert land[0].min() > 0.999
    assert land[-1].max() == 0.0
    # Cells across a pole, as a coarse grid's parts have them, are those at it.
    beyond, _ = elevation([-90.5, -89.5], lon)
    assert np.isfinite(beyond).all()


def test_curvilinear_grids():
    lat, lon = np.arange(-35.0, 60.0, 0.8), np.arange(150.0, 300.0, 1.1)
    flat = elevation(lat, lon)
    bent = elevation(*np.meshgrid(lat, lon, indexing="ij"))
    np.testing.assert_allclose(bent[1], flat[1], atol=2e-3)
    both = (flat[1] > 0.2) & np.isfinite(flat[0])
    np.testing.assert_allclose(bent[0][both], flat[0][both], rtol=0.01, atol=10.0)
    # A grid turned by 45 degrees over Tibet; a corner is missing.
    y, x = np.meshgrid(np.arange(8.0), np.arange(8.0), indexing="ij")
    lat, lon = 33.0 + 0.1 * (y + x), 86.0 + 0.1 * (x - y)
    lat[0, 0] = np.nan
    height, land = elevation(lat, lon)
    assert np.isnan(height[0, 0])
    assert land[0, 0] == 0
    assert (height[2:, 2:] > 4000).all()
    assert (land[2:, 2:] > 0.99).all()


def test_a_margin_smooths():
    lat, lon = np.arange(45.0, 47.0, 0.1), np.arange(7.0, 10.0, 0.1)
    rough, smooth = elevation(lat, lon)[0], elevation(lat, lon, margin=0.25)[0]
    assert np.abs(np.diff(smooth, axis=0)).mean() < 0.8 * np.abs(np.diff(rough, axis=0)).mean()
    assert smooth.mean() == pytest.approx(rough.mean(), rel=0.03)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"lat of shape \(2,\) and lon of shape \(2, 2\)"):
        elevation([1.0, 2.0], np.zeros((2, 2)))
