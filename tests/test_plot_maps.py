"""Maps: places, degrees, coasts, colours that go with the quantity."""

import numpy as np
import pytest
import xarray as xr
from toy_pictures import drawn, mesh_of

from xgeoml import plot
from xgeoml.exceptions import InputError
from xgeoml.plot import _coast, _grid, _maps
from xgeoml.plot._figures import label_of, pretty_units
from xgeoml.plot._grid import grid_of
from xgeoml.plot._quantities import look_of, style_of
from xgeoml.testing import records

pytest.importorskip("matplotlib")


def field(lat, lon, values=None, **attrs):
    shape = (len(lat), len(lon))
    values = np.arange(float(np.prod(shape))).reshape(shape) if values is None else values
    coords = {
        "lat": ("lat", lat, {"units": "degrees_north"}),
        "lon": ("lon", lon, {"units": "degrees_east"}),
    }
    return xr.DataArray(values, coords, ("lat", "lon"), "a", attrs)


def the_map(data, **options):
    return drawn(plot.compare(data, data + 1.0, **options)).axes[0]


# ---------------------------------------------------------------- places


@pytest.mark.parametrize("turned", [False, True], ids=["ascending", "descending"])
def test_north_is_up(turned):
    lat = np.arange(40.0, 50.0)[:: -1 if turned else 1]
    data = field(lat, np.arange(0.0, 12.0))
    panel = the_map(data)
    assert panel.get_ylim() == (39.5, 49.5)
    corners = panel.collections[0].get_coordinates()
    middle = 0.5 * (corners[:-1, 0, 1] + corners[1:, 0, 1])
    np.testing.assert_allclose(middle, lat)
    np.testing.assert_array_equal(mesh_of(panel), data)


def test_a_map_is_as_wide_as_the_earth_is_there():
    assert the_map(field(np.arange(55.0, 66.0), np.arange(12.0))).get_aspect() == pytest.approx(2.0)
    assert the_map(field(np.arange(-90.0, 91, 9), np.arange(0, 360.0, 9))).get_aspect() == 1.0
    polar = the_map(field(np.arange(80.0, 91.0), np.arange(12.0))).get_aspect()
    assert polar == pytest.approx(1 / np.cos(np.deg2rad(75.0)))


def test_degrees_have_sides():
    panel = the_map(field(np.arange(-10.0, 11.0, 2), np.arange(340.0, 381.0, 4.0)))
    north = [t.get_text() for t in panel.get_yticklabels()]
    # Maps below each other: the lowest has the longitudes.
    east = [t.get_text() for t in panel.figure.axes[2].get_xticklabels()]
    assert {"5° S", "0°", "5° N"} <= set(north)
    assert {"10° W", "0°", "10° E"} <= set(east)
    assert _maps.degrees_text(180.0, "X") == _maps.degrees_text(-180.0, "X") == "180°"
    assert _maps.degrees_text(190.5, "X") == "169.5° W"


def test_a_grid_across_the_seam_is_in_one_piece():
    for lon in ([170.0, 175.0, 180.0, -175.0, -170.0], [350.0, 355.0, 0.0, 5.0, 10.0]):
        panel = the_map(field(np.arange(0.0, 25, 5), np.array(lon)))
        low, high = panel.get_xlim()
        assert high - low == pytest.approx(25.0)


def test_curvilinear_cells_lie_at_their_places():
    turned = records.curvilinear().isel(time=0)
    panel = the_map(turned)
    corners = panel.collections[0].get_coordinates()
    middle = 0.25 * (corners[:-1, :-1] + corners[1:, :-1] + corners[:-1, 1:] + corners[1:, 1:])
    np.testing.assert_allclose(middle[..., 1], turned.lat, atol=1e-9)
    np.testing.assert_allclose(middle[..., 0] % 360, turned.lon, atol=1e-9)


def test_curvilinear_cells_without_a_place_are_left_out():
    turned = records.curvilinear().isel(time=0)
    lost = turned.assign_coords(lat=turned.lat.where(turned.lat < -16))
    shown = mesh_of(the_map(lost))
    np.testing.assert_array_equal(np.isnan(shown), turned.isnull() | (turned.lat >= -16))


def test_a_curvilinear_grid_across_the_seam():
    turned = records.curvilinear().isel(time=0)
    moved = turned.assign_coords(lon=(turned.lon - 124.0 + 180.0) % 360.0 - 180.0)
    assert float(moved.lon.max() - moved.lon.min()) > 300
    low, high = the_map(moved).get_xlim()
    assert high - low < 12.0


def test_grids_without_degrees():
    plain = xr.DataArray(
        np.zeros((4, 6)),
        {
            "y": ("y", 1e3 * np.arange(4.0), {"units": "m"}),
            "x": ("x", 1e3 * np.arange(6.0), {"units": "m"}),
        },
        ("y", "x"),
    )
    panel = the_map(plain)
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("x (m)", "y (m)")
    assert panel.get_aspect() == 1.0
    bare = the_map(plain.drop_vars(["x", "y"]))
    assert bare.get_xlabel() == "x"


def around_the_pole(sign=1, side=8):
    """Return cells of 200 km on a plane that touches the Earth at a pole."""
    y, x = np.meshgrid(*[200.0 * (np.arange(side) - 0.5 * side + 0.25)] * 2, indexing="ij")
    lat = sign * (90.0 - np.hypot(x, y) / 111.2)
    lon = np.rad2deg(np.arctan2(x, -sign * y))
    coords = {
        "lat": (("y", "x"), lat, {"units": "degrees_north"}),
        "lon": (("y", "x"), lon, {"units": "degrees_east"}),
    }
    return xr.DataArray(np.arange(float(side**2)).reshape(side, side), coords, ("y", "x"), "a")


@pytest.mark.parametrize("sign", [1, -1])
def test_a_grid_around_a_pole_is_seen_from_above(sign):
    ice = around_the_pole(sign)
    panel = the_map(ice)
    np.testing.assert_array_equal(mesh_of(panel), ice)
    assert panel.get_aspect() == 1.0
    corners = panel.collections[0].get_coordinates()
    middle = 0.25 * (corners[:-1, :-1] + corners[1:, :-1] + corners[:-1, 1:] + corners[1:, 1:])
    steps = np.linalg.norm(np.diff(middle, axis=1), axis=-1)
    np.testing.assert_allclose(steps, 200.0 / 111.2, rtol=1e-6)
    ticks = panel.get_xticklabels()[0].get_text(), panel.get_yticklabels()[0].get_text()
    assert ticks == ("0°" if sign > 0 else "180°", "90° W")
    # Greenland is where it is.
    if sign > 0:
        (coast,) = coasts(the_map(ice))
        points = np.concatenate([p.vertices for p in coast.get_paths()])
        x, y = _grid.from_above(1, np.array(-32.0), np.array(83.6))
        assert np.hypot(points[:, 0] - x, points[:, 1] - y).min() < 0.5


def test_rows_around_a_pole_are_seen_from_above_and_others_not():
    cap = field(np.arange(60.0, 91.0, 2), np.arange(0.0, 360.0, 10))
    panel = the_map(cap)
    assert panel.get_xlim() == (-31.0, 31.0)
    np.testing.assert_array_equal(mesh_of(panel), cap)
    assert grid_of(cap).pole == 1
    assert grid_of(cap.assign_coords(lat=-cap.lat)).pole == -1
    for part in (cap.isel(lon=slice(0, 20)), cap.assign_coords(lat=cap.lat - 40)):
        assert grid_of(part).pole == 0
    assert grid_of(records.curvilinear()).pole == 0


# ---------------------------------------------------------------- coasts


def coasts(panel):
    return [c for c in panel.collections if c.get_label() == "coast"]


def test_the_coast_is_where_the_land_begins():
    lines = np.concatenate(_coast.coast_lines(8.0, 18.0, 37.0, 46.0))
    # Rome's beach, Naples, and Bari.
    for lon, lat in ((12.25, 41.75), (14.25, 40.83), (16.87, 41.13)):
        assert np.hypot(lines[:, 0] - lon, lines[:, 1] - lat).min() < 0.15
    same = np.concatenate(_coast.coast_lines(368.0, 378.0, 37.0, 46.0))
    np.testing.assert_allclose(same[:, 0].min() - 360.0, lines[:, 0].min(), atol=0.1)


def test_coasts_are_drawn_where_they_mean_something():
    italy = field(np.arange(37.5, 46.0), np.arange(8.5, 18.0))
    (coast,) = coasts(the_map(italy))
    assert coast.get_paths()
    assert coasts(the_map(italy, coast=False)) == []
    small = field(np.arange(40.0, 41.0, 0.1), np.arange(14.0, 15.0, 0.1))
    assert all(not c.get_paths() for c in coasts(the_map(small)))
    assert coasts(the_map(records.curvilinear().isel(time=0).drop_vars(["lat", "lon"]))) == []


def test_invented_shores_have_no_coast():
    import xgeoml

    sea = xgeoml.datasets.cloudy_sst(days=6, nlat=12, nlon=12)
    assert coasts(drawn(sea.geoml.plot.gaps()).axes[1]) == []
    real = sea.drop_attrs(deep=False)
    assert coasts(drawn(real.geoml.plot.gaps()).axes[1]) != []


def test_files_of_cartopy_are_used_if_they_are_here(tmp_path, monkeypatch):
    cartopy = pytest.importorskip("cartopy")
    shapefile = pytest.importorskip("shapefile")
    monkeypatch.setitem(cartopy.config, "data_dir", tmp_path)
    monkeypatch.setitem(cartopy.config, "pre_existing_data_dir", tmp_path / "none")
    _coast.coast_lines.cache_clear()
    assert _coast._cartopy_file(20.0) is None
    path = tmp_path / "shapefiles/natural_earth/physical/ne_110m_coastline.shp"
    path.parent.mkdir(parents=True)
    with shapefile.Writer(str(path)) as writer:
        writer.field("name", "C")
        writer.line([[[-10, 40], [0, 45], [5, 50]]])
        writer.record("a")
    (line,) = _coast.coast_lines(340.0, 370.0, 30.0, 60.0)
    _coast.coast_lines.cache_clear()
    np.testing.assert_allclose(line, [[350, 40], [360, 45], [365, 50]])


# ---------------------------------------------------------------- colours


@pytest.mark.parametrize(
    ("name", "attrs", "cmap"),
    [
        ("lwe_thickness", {"standard_name": "lwe_thickness_of_x_anomaly"}, "BrBG"),
        ("tp", {"long_name": "Total precipitation"}, "YlGnBu"),
        ("pr", {"standard_name": "precipitation_flux"}, "YlGnBu"),
        ("t2m", {}, "inferno"),
        ("sst", {}, "plasma"),
        ("analysed_sst", {"standard_name": "sea_surface_temperature"}, "plasma"),
        ("sst_anomaly", {}, "RdBu_r"),
        ("u10", {}, "PuOr_r"),
        ("v", {"standard_name": "northward_wind"}, "PuOr_r"),
        ("ws", {"standard_name": "wind_speed"}, "BuPu"),
        ("q", {"standard_name": "specific_humidity"}, "GnBu"),
        ("sd", {"long_name": "Snow depth"}, "Blues_r"),
        ("Z", {"units": "dBZ"}, "inferno"),
        ("orography", {}, "YlOrBr"),
        ("msl", {}, "cividis"),
        ("zos", {"standard_name": "sea_surface_height_above_geoid"}, "RdBu_r"),
        ("tas_spread", {"long_name": "spread of tas: one standard deviation"}, "YlOrBr"),
        ("thing", {}, "viridis"),
        ("sump", {"long_name": "tprx"}, "viridis"),
    ],
)
def test_colours_go_with_the_quantity(name, attrs, cmap):
    assert look_of(xr.DataArray(0.0, name=name, attrs=attrs)).cmap == cmap


def test_scales_of_signed_and_other_quantities():
    random = np.random.default_rng(0)
    values = random.standard_normal(1000)
    wind = style_of(look_of(xr.DataArray(0.0, name="u10")), [values + 1.0])
    assert wind.low == -wind.high
    rain = style_of(look_of(xr.DataArray(0.0, name="tp")), [np.abs(values)])
    assert rain.low == 0.0
    assert rain.high == pytest.approx(np.percentile(np.abs(values), 99))
    assert rain.extend == "max"
    celsius = style_of(look_of(xr.DataArray(0.0, name="t2m")), [values])
    assert (celsius.cmap, celsius.extend) == ("inferno", "both")
    assert celsius.low != -celsius.high
    unknown = look_of(xr.DataArray(0.0, name="thing"))
    assert style_of(unknown, [values]).cmap == "RdBu_r"
    assert style_of(unknown, [values + 9]).cmap == "viridis"
    assert style_of(unknown, [values], "magma").cmap == "magma"


def test_scales_of_almost_nothing():
    look = look_of(xr.DataArray(0.0, name="t2m"))
    for values in ([5.0, 5.0], [0.0], [np.nan], []):
        style = style_of(look, [values])
        assert style.low < style.high
    # Rain in one cell of a hundred and more.
    dry = np.zeros(500)
    dry[0] = 3.0
    assert style_of(look_of(xr.DataArray(0.0, name="tp")), [dry]).high == 3.0


def test_maps_of_dark_and_light_are_monotone():
    from matplotlib import colormaps

    from xgeoml.plot._quantities import _TABLE

    for _, look in _TABLE:
        rgb = colormaps[look.cmap](np.linspace(0, 1, 65))[:, :3]
        light = rgb @ [0.2126, 0.7152, 0.0722]
        steps = np.diff(light)
        halves = (steps[:32], steps[32:]) if look.cmap in ("BrBG", "RdBu_r", "PuOr_r") else (steps,)
        for half in halves:
            assert (half > -0.02).all() or (half < 0.02).all(), look.cmap


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("units", "printed"),
    [
        ("m s-1", "m s⁻¹"),
        ("kg m-2 s-1", "kg m⁻² s⁻¹"),
        ("W m**-2", "W m⁻²"),
        ("m^2", "m²"),
        ("K2", "K²"),
        ("degC", "°C"),
        ("degK", "K"),
        ("1", ""),
        (None, ""),
        ("%", "%"),
        ("days since 1970", "days since 1970"),
    ],
)
def test_units_as_they_are_printed(units, printed):
    assert pretty_units(units) == printed


def test_labels_tell_what_and_in_which_units():
    data = xr.DataArray(0.0, name="a")
    assert label_of(data) == "a"
    assert label_of(data.assign_attrs(standard_name="air_temperature", units="K")) == (
        "air temperature (K)"
    )
    assert label_of(data.assign_attrs(long_name="warmth", standard_name="b")) == "warmth"
    assert label_of(xr.DataArray(0.0)) == "values"


def test_only_numbers_have_colours():
    data = field(np.arange(3.0), np.arange(3.0), np.full((3, 3), "a"))
    with pytest.raises(InputError, match="dtype <U1; expected a variable of numbers"):
        plot.compare(data, data)
