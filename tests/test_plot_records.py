"""Records, their source, and what it makes of them in one picture."""

import numpy as np
import pytest
import xarray as xr
from toy_pictures import drawn, legend_of, overlapping

import xgeoml
from xgeoml import plot
from xgeoml.exceptions import AxisError, InputError

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def waves():
    return xgeoml.datasets.wavefield(stations=4, samples=256, source_samples=64)


@pytest.fixture(scope="module")
def made(waves):
    found = waves[["record", "greens"]].geoml.invert_waveform(
        "nnls", greens="greens", dim="station", length=64, progress=False
    )
    found["record_spread"] = 0.0 * found.record + 0.001
    return found


def test_a_source_above_its_records(waves, made):
    figure = drawn(waves.geoml.plot.waveforms(made, truth={"true": waves.source}))
    above, below = figure.axes
    estimate = next(c for c in above.lines if c.get_label().startswith("estimate"))
    np.testing.assert_array_equal(estimate.get_ydata(), made.record.values.astype(float))
    misfit, moment = float(made.record_misfit), float(made.record_moment)
    assert above.get_title() == f"moment {moment:.3g}, misfit {misfit:.3g}"
    assert {"true", "90 % interval"} <= set(legend_of(figure))
    assert len(below.lines) == 8, "four records, and what the source makes of each"
    told = [t.get_text() for t in below.texts if t.get_text() != "misfit"]
    order = np.argsort(waves.distance.values, kind="stable")
    expected = made.record_each_misfit.values[order]
    np.testing.assert_allclose([float(t) for t in told], expected, atol=0.006)
    assert overlapping(figure) == []


def test_records_alone(waves):
    for obj in (waves, waves.record, xr.DataTree.from_dict({"/a": waves})):
        (panel,) = drawn(obj.geoml.plot.waveforms()).axes
        assert len(panel.lines) == 4
    tree = xr.DataTree.from_dict({"/a": waves, "/b": waves.isel(station=slice(0, 2))})
    assert len(tree.geoml.plot.waveforms(group="b").axes[0].lines) == 2


def test_a_result_alone_is_a_source(made, waves):
    (panel,) = drawn(made.geoml.plot.waveforms(truth=waves.source)).axes
    assert panel.get_title().startswith("moment ")
    assert panel.get_ylabel().startswith("source time function")
    array = made.set_coords(["record_moment", "record_misfit", "record_spread"]).record
    (same,) = drawn(array.geoml.plot.waveforms()).axes
    assert same.get_title() == panel.get_title()
    assert "90 % interval" in legend_of(same.figure)


def test_greens_functions_are_named_or_given(waves, made):
    def misfits(**options):
        figure = plot.waveforms(waves.drop_vars("greens"), made, **options)
        return [t.get_text() for t in figure.axes[1].texts]

    expected = [t.get_text() for t in plot.waveforms(waves, made).axes[1].texts]
    assert misfits(greens=waves.greens) == expected
    other = waves.rename(greens="paths").drop_attrs()
    figure = plot.waveforms(other, made, greens="paths", variable="record")
    assert [t.get_text() for t in figure.axes[1].texts] == expected
    with pytest.raises(InputError, match="give greens="):
        misfits()
    with pytest.raises(InputError, match=r"greens='paths' is not beside the records"):
        misfits(greens="paths")


def test_several_sources_and_factors(waves, made):
    several = {"nnls": made.record, "half": 0.5 * made.record}
    figure = drawn(plot.waveforms(waves, several))
    assert legend_of(figure) == ["nnls", "half"]
    factor = xr.ones_like(waves.distance)
    doubled = made.assign(record=0.5 * made.record, record_factor=2.0 * factor)
    expected = [t.get_text() for t in plot.waveforms(waves, made).axes[1].texts]
    found = [t.get_text() for t in plot.waveforms(waves, doubled).axes[1].texts]
    assert found == expected


def test_what_cannot_be_drawn_is_refused(waves, made):
    with pytest.raises(InputError, match=r"no 'record' as the records; expected the result of"):
        plot.waveforms(waves, made.rename(record="source"))
    with pytest.raises(InputError, match="impulse='minute'"):
        plot.waveforms(waves, impulse="minute")
    with pytest.raises(InputError, match="expected one: choose"):
        plot.waveforms(waves.expand_dims(event=2))
    with pytest.raises(AxisError, match="a T axis"):
        plot.waveforms(xr.DataArray(np.zeros((2, 2)), dims=("a", "b")))
