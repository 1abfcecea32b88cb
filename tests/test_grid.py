"""Spacing, edges, refining and areas."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from xgeoml.axes import find_axes
from xgeoml.exceptions import InputError
from xgeoml.grid import (
    cell_area,
    cell_edges,
    describe_grid,
    is_global,
    latitude,
    lon_convention,
    longitude,
    refine_centres,
    spacing,
)


def grid(lat, lon, **attrs) -> xr.DataArray:
    return xr.DataArray(
        np.zeros((len(lat), len(lon))), dims=("lat", "lon"), coords={"lat": lat, "lon": lon}
    )


@st.composite
def centres(draw) -> np.ndarray:
    gaps = draw(st.lists(st.floats(0.01, 10.0), min_size=1, max_size=12))
    start = draw(st.floats(-180, 180))
    values = start + np.concatenate([[0.0], np.cumsum(gaps)])
    return values[::-1].copy() if draw(st.booleans()) else values


def test_spacing():
    assert spacing([0, 2, 4]) == 2.0
    assert spacing([90.0, 89.0, 88.0]) == -1.0
    assert spacing([1.0]) is None
    assert spacing([1.0, 1.0]) is None
    assert spacing([0.0, 1.0, 2.1]) is None
    assert spacing([0.0, np.nan, 2.0]) is None
    assert spacing(["a", "b"]) is None
    assert spacing(np.arange(-90, 90, 0.01, dtype="f4")) == pytest.approx(0.01, rel=1e-3)
    assert spacing(np.round(np.arange(100) / 3, 4)) == pytest.approx(1 / 3, rel=1e-4)


@given(centres())
def test_edges_bracket_their_centres(middle):
    edges = cell_edges(middle)
    assert edges.size == middle.size + 1
    inside = (edges[:-1] - middle) * (edges[1:] - middle)
    assert (inside < 0).all()


@given(centres(), st.integers(1, 9))
def test_block_mean_of_the_fine_is_the_coarse(middle, factor):
    fine = refine_centres(middle, factor)
    assert fine.size == middle.size * factor
    np.testing.assert_allclose(fine.reshape(-1, factor).mean(1), middle, atol=1e-9)
    steps = np.diff(fine) * np.sign(middle[1] - middle[0])
    assert (steps > 0).all()


@given(st.integers(2, 50), st.integers(1, 8), st.sampled_from([0.25, 1.0, 2.5, -0.75]))
def test_regular_stays_regular_and_inside_the_edges(n, factor, step):
    middle = -100.0 + step * np.arange(n)
    fine = refine_centres(middle, factor)
    assert spacing(fine) == pytest.approx(step / factor)
    np.testing.assert_allclose(cell_edges(fine)[::factor], cell_edges(middle), atol=1e-9)


def test_refine_keeps_float32_and_refuses_nonsense():
    assert refine_centres(np.array([0, 1], dtype="f4"), 2).dtype == np.float32
    assert refine_centres([0, 1], 1).tolist() == [0.0, 1.0]
    for wrong, message in (([1.0], "two or more"), ([0.0, 1.0, 0.5], "sortby"), ([1, 1], "sortby")):
        with pytest.raises(InputError, match=message):
            refine_centres(wrong, 2)
    with pytest.raises(InputError, match="factor=0"):
        refine_centres([0.0, 1.0], 0)


@pytest.mark.parametrize(
    ("lon", "around"),
    [
        (np.arange(0, 360, 0.25), True),
        (np.arange(-179.5, 180), True),
        (np.r_[np.arange(180, 360.0), np.arange(0, 180.0)], True),
        (np.arange(359.0, -1, -1), True),
        (np.arange(0, 360, 1 / 12, dtype="f4"), True),
        (np.arange(0, 359.0), False),
        (np.arange(0, 361.0), False),
        (np.array([0.0]), False),
        (np.array([0.0, 1.0, 5.0]), False),
    ],
)
def test_global(lon, around):
    assert is_global(lon) is around


def test_conventions():
    assert lon_convention([0, 359]) == "0-360"
    assert lon_convention([-180, 180]) == "-180-180"
    assert lon_convention([100, 150]) == "either"
    assert lon_convention([-10, 350]) == "neither"
    assert lon_convention([np.nan]) == "neither"


def test_area_of_latitude():
    da = grid([60.0, 0.0, -90.0], [0.0, 1.0])
    area = cell_area(da, find_axes(da))
    assert area.dims == ("lat", "lon")
    assert not area.coords
    np.testing.assert_allclose(area.values[:2], [[0.5, 0.5], [1.0, 1.0]])
    assert (area.values > 0).all()
    turned = da.T
    assert cell_area(turned, find_axes(turned)).dims == ("lon", "lat")


def test_area_without_latitude():
    da = xr.DataArray(np.zeros((3, 2)), dims=("y", "x"), coords={"y": [0, 1, 2], "x": [0, 1]})
    assert cell_area(da, find_axes(da)).values.tolist() == [[1.0, 1.0]] * 3
    stations = xr.DataArray(np.zeros(3), dims="station", coords={"lat": ("station", [1, 50, 2])})
    assert cell_area(stations, find_axes(stations)).dims == ()


def test_area_of_curvilinear_and_its_laziness():
    lat = np.array([[0.0, 60.0], [np.nan, 0.0]])
    coords = {"lat": (("y", "x"), lat), "lon": (("y", "x"), np.zeros((2, 2)))}
    da = xr.DataArray(np.zeros((2, 2)), dims=("y", "x"), coords=coords)
    area = cell_area(da, find_axes(da))
    np.testing.assert_allclose(area.values, [[1.0, 0.5], [1e-6, 1.0]])
    lazy = da.assign_coords(lat=da.lat.chunk(), lon=da.lon.chunk())
    assert cell_area(lazy, find_axes(lazy)).chunks is not None
    assert "curvilinear" in str(describe_grid(lazy, find_axes(lazy)))


def test_rotated_pole_uses_true_latitude_else_its_own():
    coords = {
        "rlat": ("rlat", [0.0, 60.0], {"standard_name": "grid_latitude", "units": "degrees"}),
        "rlon": ("rlon", [0.0, 1.0], {"standard_name": "grid_longitude", "units": "degrees"}),
    }
    da = xr.DataArray(np.zeros((2, 2)), dims=("rlat", "rlon"), coords=coords)
    np.testing.assert_allclose(cell_area(da, find_axes(da)).values[:, 0], [1.0, 0.5])
    true = da.assign_coords(
        lat=(("rlat", "rlon"), np.full((2, 2), 60.0)), lon=(("rlat", "rlon"), np.zeros((2, 2)))
    )
    found = latitude(true, find_axes(true))
    assert found is not None
    assert found.name == "lat"
    np.testing.assert_allclose(cell_area(true, find_axes(true)).values, 0.5)


def test_longitude_of_a_bare_plane_is_none():
    da = xr.DataArray(np.zeros((2, 2)), dims=("y", "x"))
    assert longitude(da, find_axes(da)) is None
    assert latitude(da, find_axes(da)) is None


def test_describe():
    da = grid(np.arange(89.5, -90, -1), np.arange(0.5, 360))
    info = describe_grid(da, find_axes(da))
    assert info.resolution == {"Y": -1.0, "X": 1.0}
    assert info.global_
    assert info.n_cells == 180 * 360
    assert str(info) == ("180 x 360 cells, 1 x 1 deg, global, latitude descending, longitude 0-360")
    plain = xr.DataArray(np.zeros(3), dims="region")
    assert str(describe_grid(plain, find_axes(plain))) == "no horizontal grid"
    assert describe_grid(plain, find_axes(plain)).n_cells == 1
    km = xr.DataArray(
        np.zeros((2, 360)), dims=("y", "x"), coords={"y": [0.0, 1.0], "x": np.arange(360.0)}
    )
    assert not describe_grid(km, find_axes(km)).global_


def test_area_of_real_records(data_path):
    with xr.open_dataset(data_path / "grace" / "grace_csr_tws_1deg_land_train.nc") as ds:
        axes = find_axes(ds)
        assert describe_grid(ds, axes).global_
        assert cell_area(ds, axes).sizes == {"lat": 144, "lon": 360}
