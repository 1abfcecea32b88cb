"""Pictures to zoom into, where hvplot is installed."""

import warnings

import numpy as np
import pytest

from xgeoml.exceptions import InputError
from xgeoml.testing import records

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def holoviews():
    with warnings.catch_warnings():
        # What it imports warns of what is to come, none of it ours.
        warnings.simplefilter("ignore")
        pytest.importorskip("hvplot.xarray")
        return pytest.importorskip("holoviews")


@pytest.fixture(scope="module")
def record():
    return records.record().to_dataset()


@pytest.fixture(scope="module")
def full(record):
    return record.geoml.fill_gaps("linear", spread=True)


def found(picture, kind):
    return [part for part in picture.traverse() if type(part) is kind]


def test_gaps(holoviews, full):
    picture = full.geoml.plot.gaps(interactive=True)
    observed, filled = found(picture, holoviews.Area)
    assert observed.dimension_values(1).min() == 0.0
    top = filled.dimension_values("filled")
    np.testing.assert_allclose(top, 100.0, atol=0.1)
    (cells,) = found(picture, holoviews.QuadMesh)
    assert cells.dimension_values(2, flat=False).shape == (6, 7)


def test_series(holoviews, full):
    picture = full.geoml.plot.series(at={"lat": -18, "lon": 303}, interactive=True)
    (line,) = found(picture, holoviews.Curve)
    expected = full.storage.sel(lat=-18, lon=303)
    np.testing.assert_allclose(line.dimension_values(1), expected)
    assert len(found(picture, holoviews.Area)) == 1
    dots = found(picture, holoviews.Scatter)
    assert sum(len(d) for d in dots) == 60
    both = full.geoml.plot.series(at={"lat": [-18, -17], "lon": 303}, interactive=True)
    assert len(found(both, holoviews.Curve)) == 2


def test_compare(holoviews, record, full):
    picture = record.geoml.plot.compare(full, time="2001-03-15", interactive=True)
    before, after, spread = found(picture, holoviews.QuadMesh)
    step = full.isel(time=2)
    np.testing.assert_allclose(after.dimension_values(2, flat=False), step.storage)
    np.testing.assert_allclose(spread.dimension_values(2, flat=False), step.storage_spread)
    assert before.get_dimension(2).range == after.get_dimension(2).range
    assert None not in after.get_dimension(2).range
    turned = records.curvilinear().to_dataset()
    again = turned.geoml.plot.compare(turned.geoml.fill_gaps("linear"), interactive=True)
    assert len(found(again, holoviews.QuadMesh)) == 3


def test_stations_have_no_interactive_gaps():
    with pytest.raises(InputError, match=r"\.geoml\.plot\.series\(interactive=True\)"):
        records.stations().geoml.plot.gaps(interactive=True)
