"""Pictures of power at each scale."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from toy_pictures import drawn, legend_of, overlapping, watched

from xgeoml import metrics, plot
from xgeoml.exceptions import AxisError, InputError
from xgeoml.plot import scales

pytest.importorskip("matplotlib")


def waves(step=0.5, count=40, number=4, **attrs):
    lon = step * np.arange(count)
    values = np.cos(2 * np.pi * number * np.arange(count) / count) * np.ones((3, 1))
    coords = {"lat": ("lat", [40.0, 41.0, 42.0]), "lon": ("lon", lon, {"units": "degrees_east"})}
    return xr.DataArray(values, coords, ("lat", "lon"), "t2m", {"units": "K", **attrs})


def test_power_lies_at_its_wavelength():
    figure = drawn(waves().geoml.plot.spectrum())
    (panel,) = figure.axes
    lengths, power = panel.lines[0].get_data()
    assert lengths[np.nanargmax(power)] == pytest.approx(5.0), "20 degrees, four waves"
    expected = metrics.zonal_spectrum(waves())
    assert np.nanmax(power) == pytest.approx(float(expected.max()))
    assert panel.get_xlabel() == "wavelength (° of longitude)"
    assert panel.get_ylabel() == "power (K²)"
    assert panel.get_title() == "t2m: power along rows"
    assert panel.get_xlim()[0] > panel.get_xlim()[1], "long waves at the left"
    assert overlapping(figure) == []


def test_coarse_and_fine_fields_meet():
    fine = waves() + 0.1 * waves(number=15)
    coarse = fine.coarsen(lon=4).mean()
    figure = drawn(plot.spectrum({"fine": fine, "coarse": coarse}, factor=4))
    (panel,) = figure.axes
    at = [float(line.get_xdata()[np.nanargmax(line.get_ydata())]) for line in panel.lines]
    assert at == pytest.approx([5.0, 5.0])
    assert legend_of(figure) == ["fine", "coarse", "too short for coarse cells"]
    (shaded,) = panel.patches
    ends = shaded.get_x(), shaded.get_x() + shaded.get_width()
    assert sorted(ends) == pytest.approx([1.0, 4.0])
    with pytest.raises(InputError, match="expected fields over the same area"):
        plot.spectrum({"fine": fine, "part": fine.isel(lon=slice(0, 20))})


@pytest.mark.parametrize("fill", [7.0, np.nan])
def test_fields_without_waves_are_refused(fill):
    with pytest.raises(InputError, match="'t2m' vary nowhere along rows, or have no value"):
        waves().copy(data=np.full((3, 40), fill)).geoml.plot.spectrum()


def test_long_grids_in_metres_are_told_in_kilometres():
    metres = waves().rename(lon="x").assign_coords(x=("x", 12500.0 * np.arange(40), {"units": "m"}))
    (panel,) = plot.spectrum(metres).axes
    assert panel.get_xlabel() == "wavelength (km)"
    lengths, power = panel.lines[0].get_data()
    assert lengths[np.nanargmax(power)] == pytest.approx(125.0)


def test_lazy_fields_are_read_in_pieces(monkeypatch):
    steps = xr.concat([k * waves() for k in range(7)], "time")
    expected = plot.spectrum(steps).axes[0].lines[0].get_ydata()
    lazy, read = watched(steps, time=1, lon=20)
    monkeypatch.setattr(scales, "PIECE", 2 * 3 * 40)
    assert scales._pieces(lazy, "lon") == [
        {"time": slice(k, min(k + 2, 7))} for k in range(0, 7, 2)
    ]
    found = plot.spectrum(lazy).axes[0].lines[0].get_ydata()
    np.testing.assert_allclose(found, expected)
    assert set(read) == {(k, 0, n) for k in range(7) for n in range(2)}


def test_units_of_other_rows():
    kilometres = waves().rename(lon="x").drop_vars("x")
    assert plot.spectrum(kilometres).axes[0].get_xlabel() == "wavelength (cells)"
    with_units = kilometres.assign_coords(x=("x", 2.0 * np.arange(40), {"units": "km"}))
    (panel,) = plot.spectrum(with_units).axes
    assert panel.get_xlabel() == "wavelength (km)"
    lengths, power = panel.lines[0].get_data()
    assert lengths[np.nanargmax(power)] == pytest.approx(20.0)
    uneven = with_units.assign_coords(x=("x", np.arange(40.0) ** 2, {"units": "km"}))
    assert plot.spectrum(uneven).axes[0].get_xlabel() == "wavelength (cells)"
    named = waves().rename(lon="column").drop_vars("column")
    (panel,) = plot.spectrum(named, dims={"X": "column"}).axes
    assert panel.lines[0].get_xdata()[0] == 40.0


def test_datasets_trees_and_lazy_data():
    ds = xr.Dataset({"n": ("time", [1.0]), "t2m": waves()})
    lazy = waves().copy(data=da.from_array(waves().values, chunks=20))
    for obj in (ds, xr.DataTree.from_dict({"/a": ds}), lazy):
        (panel,) = obj.geoml.plot.spectrum().axes
        assert panel.get_title().startswith("t2m")
    assert ds.geoml.plot.spectrum("t2m").axes


def test_what_cannot_be_drawn_is_refused():
    for wrong in ({}, 3, {"a": waves().to_dataset()}):
        with pytest.raises(InputError, match="expected a"):
            plot.spectrum(wrong)
    with pytest.raises(InputError, match="a mapping has DataArrays"):
        plot.spectrum({"a": waves()}, "t2m")
    with pytest.raises(AxisError, match="a spectrum needs an X axis"):
        plot.spectrum(waves().isel(lon=0, drop=True))
