"""Sizes and places of panels: no hole, no empty side, no word over another."""

import numpy as np
import pytest
import xarray as xr
from toy_pictures import drawn, outside, overlapping, sides

from xgeoml import plot
from xgeoml.plot._figures import broken, pretty_units
from xgeoml.plot._grid import grid_of

pytest.importorskip("matplotlib")

REGIONS = {
    "square": (np.arange(0.0, 20), np.arange(0.0, 22)),
    "wide": (np.arange(0.0, 6), np.arange(0.0, 60)),
    "flat": (np.arange(0.0, 10), np.arange(0.0, 20)),
    "tall": (np.arange(-30.0, 30, 2), np.arange(100.0, 110, 2)),
    "a line": (np.arange(-70.0, 70, 4), np.arange(100.0, 103)),
    "global": (np.arange(-88.0, 89, 8), np.arange(0.0, 360, 8)),
    "around the pole": (np.arange(60.0, 91, 3), np.arange(0.0, 360, 8)),
}


def record(region, **attrs):
    lat, lon = REGIONS[region]
    time = np.arange("2001-01", "2003-01", dtype="datetime64[M]").astype("datetime64[ns]")
    random = np.random.default_rng(0)
    values = random.standard_normal((24, len(lat), len(lon)))
    values[5:8] = np.nan
    coords = {
        "time": time,
        "lat": ("lat", lat, {"units": "degrees_north"}),
        "lon": ("lon", lon, {"units": "degrees_east"}),
    }
    return xr.DataArray(values, coords, ("time", "lat", "lon"), "a", attrs)


def filled(region, **attrs):
    """Return a record as it would be filled, without a model."""
    data = record(region, **attrs)
    flag = data.isnull().astype(np.int8)
    return xr.Dataset(
        {
            "a": data.fillna(0.5),
            "a_fill_flag": flag,
            "a_spread": xr.full_like(data, 0.3).where(flag == 1).assign_attrs(attrs),
        }
    )


def neat(figure):
    """Check that a figure is full to its edges, and that all its words can be read."""
    empty = sides(drawn(figure))
    assert max(empty) < 0.25
    assert min(empty) > -0.02
    assert overlapping(figure) == []
    assert outside(figure) == []


def gap_before(figure, k):
    """Return inches between what is drawn before an axes and the axes."""
    panels = sorted(figure.axes, key=lambda p: p.get_position().x0)
    boxes = [p.get_tightbbox(figure.canvas.get_renderer()) for p in panels]
    at = panels.index(figure.axes[k])
    return (boxes[at].x0 - max(b.x1 for b in boxes[:at])) / figure.dpi


@pytest.mark.parametrize("region", ["square", "flat", "tall", "a line", "global"])
def test_a_map_of_gaps_is_in_the_middle(region):
    figure = record(region).geoml.plot.gaps(coast=False)
    neat(figure)
    above, below, scale = (p.get_tightbbox() for p in figure.axes)
    together = 0.5 * (below.x0 + scale.x1)
    frame = figure.axes[0].get_window_extent()
    aligned = abs(figure.axes[1].get_window_extent().x0 - frame.x0) < 1.0
    assert aligned or abs(together - 0.5 * (frame.x0 + frame.x1)) < 1.0
    assert above.y0 > below.y1
    high = [p.get_window_extent().height for p in figure.axes[1:]]
    assert high[0] == pytest.approx(high[1], abs=1.0), "the scale is as high as its map"


@pytest.mark.parametrize("region", ["wide", "tall", "global"])
def test_a_filled_record_is_in_the_middle(region):
    figure = filled(region).geoml.plot.filled_record(coast=False)
    neat(figure)
    panel, scale = figure.axes[0], figure.axes[2]
    assert (scale.get_window_extent().x0 - panel.get_window_extent().x1) / figure.dpi < 0.5


@pytest.mark.parametrize("region", ["wide", "tall", "around the pole"])
@pytest.mark.parametrize("panels", [2, 3, "flags"])
def test_maps_beside_each_other_have_no_hole(region, panels):
    before, after = record(region), filled(region)
    if panels == "flags":
        after = after.drop_vars("a_spread")
    if panels == 2:
        lat, lon = REGIONS[region]
        after = record(region).isel(
            lat=slice(0, len(lat) // 2 * 2), lon=slice(0, len(lon) // 2 * 2)
        )
        before = after.coarsen(lat=2, lon=2).mean()
        after = after.rename("a")
    figure = plot.compare(before, after, time="2001-03", coast=False)
    neat(figure)
    if len({round(p.get_position().y0, 3) for p in figure.axes[:2]}) == 1:
        assert max(gap_before(figure, k) for k in range(1, len(figure.axes))) < 0.2


@pytest.mark.parametrize("region", ["flat", "tall"])
def test_tables_of_maps(region):
    given = (
        record(region)
        .isel(time=slice(8, 11))
        .assign_coords(time=np.array(["2001-01-01", "2001-01-02", "2001-01-03"], "datetime64[ns]"))
    )
    made = given.geoml.interp_time("6h", "linear")
    neat(given.geoml.plot.compare(made, coast=False))
    fine = record(region)[:1]
    lat, lon = (n // 2 * 2 for n in fine.shape[1:])
    fine = fine[:, :lat, :lon]
    coarse = fine.coarsen(lat=2, lon=2).mean()
    neat(plot.downscaled(coarse, {"one": fine, "another one": fine + 1}, fine))


@pytest.mark.parametrize("region", ["square", "tall"])
def test_long_names_and_units(region):
    words = {"long_name": "Volumetric soil moisture of the uppermost five centimetres " * 3}
    attrs = words | {"units": "kilograms per cubic metre"}
    neat(
        plot.compare(record(region, **attrs), filled(region, **attrs), time="2001-07", coast=False)
    )
    neat(filled(region, **attrs).geoml.plot.filled_record(coast=False))
    neat(record(region).rename("a_name_of_many_words_" * 4).geoml.plot.gaps(coast=False))


def test_layouts_that_the_user_has_set_change_nothing():
    from matplotlib import rc_context

    expected = record("square").geoml.plot.gaps(coast=False).axes[1].get_position().bounds
    with rc_context({"figure.constrained_layout.use": True}):
        figure = drawn(record("square").geoml.plot.gaps(coast=False))
    assert figure.axes[1].get_position().bounds == pytest.approx(expected, abs=1e-6)


def test_large_letters_take_more_room():
    from matplotlib import rc_context

    with rc_context({"font.size": 16}):
        figure = plot.compare(record("square"), filled("square"), time="2001-07", coast=False)
        assert max(sides(drawn(figure))) < 0.25
        assert outside(figure) == []


def test_shapes_of_maps():
    grids = {name: grid_of(record(name)) for name in REGIONS}
    assert grids["global"].shape == pytest.approx(176.0 / 360.0, abs=0.02)
    assert grids["around the pole"].shape == 1.0
    assert grids["a line"].shape == 6.0
    assert grids["a line"].aspect is None, "drawn wider than it is"
    assert grids["tall"].fitted(4.0, 3.0) == pytest.approx((3.0 / grids["tall"].shape, 3.0))


def test_labels_are_broken_into_lines_of_one_length():
    assert broken("short (K)", 1.0) == "short (K)"
    assert broken("one standard deviation (°C)", 1.2) == "one standard\ndeviation (°C)"
    assert broken("sea surface skin temperature (K)", 2.0).split("\n")[-1].endswith("e (K)")
    long = broken("much " * 60 + "more (kg m⁻² s⁻¹)", 2.0)
    assert len(long.split("\n")) <= 4
    assert long.endswith("… (kg m⁻² s⁻¹)")
    assert broken("a_word_of_many_letters", 1.0) == "a_word_of_man\ny_letters"


@pytest.mark.parametrize(
    ("units", "printed"),
    [
        ("degree Celsius", "°C"),
        ("Degrees_Celsius", "°C"),
        ("deg C", "°C"),
        ("degrees K", "K"),
        ("(degree Celsius)2", "°C²"),
        ("degC2", "°C²"),
        ("(kg m-2 s-1)2", "(kg m⁻² s⁻¹)²"),
        ("m3/m3", "m³/m³"),
        ("dimensionless", ""),
        ("degrees_north", "degrees_north"),
    ],
)
def test_odd_spellings_of_units(units, printed):
    assert pretty_units(units) == printed
