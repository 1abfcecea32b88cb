"""Pictures of a filled record."""

import builtins

import numpy as np
import pytest
import xarray as xr
from toy_pictures import drawn, titles, watched

import xgeoml
from xgeoml import metrics, plot
from xgeoml.exceptions import InputError, MissingExtraError
from xgeoml.testing import records

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def filled():
    record = xgeoml.datasets.grace_like(nlat=4, nlon=5)
    return record.geoml.fill_gaps("climatology", spread=True)


def test_a_map_and_a_series(filled):
    figure = drawn(plot.filled_record(filled, "lwe_thickness"))
    field, series = figure.axes[0], figure.axes[1]
    assert "of this map was filled" in field.get_title()
    shown = series.get_legend_handles_labels()[1]
    assert {"observed", "filled", "observed, suspect", "90 % interval"} <= set(shown)
    assert "cm" in series.get_ylabel()


def test_the_map_shows_the_longest_gap(filled):
    figure = plot.filled_record(filled, "lwe_thickness")
    assert figure.axes[0].get_title().startswith(("2017-12", "2018-01"))


def test_without_a_spread(filled):
    figure = drawn(plot.filled_record(filled.drop_vars("lwe_thickness_spread"), "lwe_thickness"))
    assert "90 % interval" not in figure.axes[1].get_legend_handles_labels()[1]


def test_a_single_series_and_stations(filled):
    one = filled.isel(lat=2, lon=2)
    assert len(drawn(plot.filled_record(one, "lwe_thickness")).axes) == 1
    stations = records.stations()[:3].to_dataset().geoml.fill_gaps("linear", spread=True)
    assert len(drawn(plot.filled_record(stations, "storage")).axes) == 1


def test_any_object_is_drawn(filled):
    expected = titles(plot.filled_record(filled, "lwe_thickness"))
    assert titles(filled.geoml.plot.filled_record()) == expected
    tree = xr.DataTree.from_dict({"/a": xr.Dataset({"n": 1}), "/b": filled})
    assert titles(tree.geoml.plot.filled_record()) == expected
    array = filled.lwe_thickness.assign_coords(
        lwe_thickness_fill_flag=filled.lwe_thickness_fill_flag
    )
    assert titles(plot.filled_record(array)) == expected


def test_lazy_records_are_computed_where_they_are_drawn(filled):
    data, read = watched(filled.lwe_thickness, time=1, lat=2, lon=5)
    flag = filled.lwe_thickness_fill_flag.chunk(time=1, lat=2, lon=5)
    plot.filled_record(xr.Dataset({"lwe_thickness": data, "lwe_thickness_fill_flag": flag}))
    assert len(read) < 1.1 * data.sizes["time"], "one band of cells, and one step"


def test_a_curvilinear_grid_and_another_calendar():
    pytest.importorskip("cftime")
    data = records.curvilinear().convert_calendar("noleap", use_cftime=True).to_dataset()
    full = data.geoml.fill_gaps("linear", spread=True)
    drawn(plot.filled_record(full, "storage"))


def test_nothing_was_filled(filled):
    full = filled[["lwe_thickness"]].geoml.fill_gaps("linear")
    drawn(plot.filled_record(full, "lwe_thickness"))


def test_a_record_that_was_not_filled_is_refused(filled):
    with pytest.raises(InputError, match=r"fill_flag is not beside.*fill_gaps\(\)"):
        plot.filled_record(filled[["lwe_thickness"]], "lwe_thickness")


def test_without_matplotlib(filled, monkeypatch):
    real = builtins.__import__

    def fake(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fake)
    with pytest.raises(MissingExtraError, match=r'pip install "xgeoml\[plot\]"'):
        plot.filled_record(filled, "lwe_thickness")


def test_extra_dims_are_cut(filled):
    both = xr.concat([filled, filled], "member").transpose("lat", "member", "time", "lon")
    both["lwe_thickness_fill_flag"] = both["lwe_thickness_fill_flag"].astype(np.int8)
    drawn(plot.filled_record(both, "lwe_thickness"))


def months():
    random = np.random.default_rng(0)
    lat = ("lat", [0.0, 60.0], {"units": "degrees_north"})
    lon = ("lon", [0.0, 1.0, 2.0], {"units": "degrees_east"})
    time = np.arange("2001-01", "2003-01", dtype="datetime64[M]").astype("datetime64[ns]")
    truth = xr.DataArray(
        random.standard_normal((24, 2, 3)),
        {"time": time, "lat": lat, "lon": lon},
        ("time", "lat", "lon"),
        "sst",
        {"units": "K"},
    )
    return truth, truth.copy(data=random.integers(0, 31, truth.shape))


def test_errors_against_the_number_of_days():
    truth, count = months()
    estimates = {"mean of the available days": truth + (31 - count) / 10, "climanet": truth + 0.1}
    figure = drawn(plot.error_by_count(truth, estimates, count))
    errors, numbers = figure.axes
    plain, network = (line.get_ydata() for line in errors.lines)
    np.testing.assert_allclose(plain, (31 - np.unique(count)) / 10)
    np.testing.assert_allclose(network, 0.1)
    assert "K" in errors.get_ylabel()
    assert sum(bar.get_height() for bar in numbers.patches) == truth.size


def test_errors_of_one_count_are_weighted_by_area():
    truth, count = months()
    error = xr.zeros_like(truth).where(truth.lat < 30, 3.0)
    made = metrics.error_by_count(truth, truth + error, count * 0, np.cos(np.deg2rad(truth.lat)))
    np.testing.assert_allclose(made, [3 * 0.5 / 1.5])
    assert made.attrs == {"units": "K"}


def test_errors_of_nothing_are_refused():
    truth, count = months()
    with pytest.raises(InputError, match="expected a mapping"):
        plot.error_by_count(truth, {}, count)
    with pytest.raises(InputError, match="'none' has no value"):
        plot.error_by_count(truth, {"none": truth * np.nan}, count)
