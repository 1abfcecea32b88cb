"""Pictures of sources, and of the records that they make."""

import builtins
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from toy_pictures import drawn

import xgeoml
from xgeoml import plot
from xgeoml.exceptions import AxisError, InputError, MissingExtraError, TimeAxisError

pytest.importorskip("matplotlib")

START = np.datetime64("2018-09-28T10:02:45.500", "ns")


@pytest.fixture(scope="module")
def waves():
    return xgeoml.datasets.wavefield(stations=4, samples=256, source_samples=64)


@pytest.fixture(scope="module")
def made(waves):
    return invert(waves.record, waves.greens)


def invert(record, greens, **options):
    options = {"dim": "station", "length": 64, "progress": False, **options}
    return record.geoml.invert_waveform("nnls", greens=greens, **options)


def dated(array):
    lengths = (1e9 * array.time.values).round().astype("timedelta64[ns]")
    return array.assign_coords(time=START + lengths)


def labels(panel):
    return panel.get_legend_handles_labels()[1]


def misfits(figure):
    texts = (t.get_text() for t in figure.axes[0].texts)
    return [float(t) for t in texts if t not in ("misfit", "-")]


def traces(figure, stations):
    """Return what is drawn, (records and those of each source, station, sample), upwards."""
    rows = np.array([line.get_ydata() for line in figure.axes[0].lines])
    rows = rows.reshape(-1, stations, rows.shape[-1])
    return np.arange(stations)[:, None] - rows


# ---------------------------------------------------------------- the source
def test_a_source_with_its_spread_and_the_truth(waves, made):
    sure = made.assign_coords(record_spread=("time", 0.7 * made.values))
    figure = drawn(plot.source_time_function(sure, waves.source))
    (panel,) = figure.axes
    likeness = xgeoml.metrics.waveform_skill(waves.source, made).correlation
    assert labels(panel) == ["truth", f"estimate, correlation {likeness:.3f}", "90 % interval"]
    truth, estimate = panel.lines[:2]
    np.testing.assert_allclose(truth.get_ydata(), waves.source)
    np.testing.assert_allclose(estimate.get_xdata(), made.time)
    band = panel.collections[1].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(2.1515 * float(made.max()), rel=1e-3)
    assert band[:, 1].min() == 0.0
    assert panel.get_xlabel() == "time (s)"
    assert panel.get_ylabel() == "source time function"


def test_a_band_of_a_signed_source_goes_below_zero(made):
    signed = made - 0.5 * float(made.max())
    signed = signed.assign_coords(record_spread=("time", np.full(64, 0.01))).rename("record")
    (panel,) = drawn(plot.source_time_function(signed)).axes
    band = panel.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(float(signed.min()) - 0.01645, rel=1e-4)
    assert labels(panel) == ["estimate", "90 % interval"]


def test_several_sources_beside_a_published_one(waves, made):
    published = (3e18 * waves.source).assign_attrs(units="N m s-1")
    with_units = made.assign_attrs(units="m")
    figure = plot.source_time_function({"nnls": with_units, "half": 0.5 * made})
    assert figure.axes[0].get_ylabel() == "source time function (m)"
    assert labels(figure.axes[0]) == ["nnls", "half"]
    figure = drawn(
        plot.source_time_function(
            {"nnls": made, "half": 0.5 * made}, {"published": published}, normalise=True
        )
    )
    (panel,) = figure.axes
    names = [label.partition(",")[0] for label in labels(panel)]
    assert names == ["published", "nnls", "half"]
    areas = [0.1 * line.get_ydata().sum() for line in panel.lines[:3]]
    assert areas == pytest.approx([1.0, 1.0, 1.0])
    assert panel.get_ylabel() == "source time function / moment (1/s)"


def test_truth_and_source_of_different_steps_are_drawn(waves, made):
    coarse = waves.source[::2]
    (panel,) = drawn(plot.source_time_function(made, coarse)).axes
    assert labels(panel) == ["truth", "estimate"]
    assert panel.lines[0].get_xdata()[1] == pytest.approx(0.2)


def test_clocks_of_sources(waves, made):
    source = dated(made)
    late = source.assign_coords(time=source.time + np.timedelta64(3, "s"))
    (panel,) = drawn(plot.source_time_function({"a": source, "b": late}, waves.source)).axes
    assert panel.get_xlabel() == "time after 2018-09-28T10:02:45.5 (s)"
    assert [line.get_xdata()[0] for line in panel.lines[:3]] == pytest.approx([0.0, 0.0, 3.0])
    (panel,) = drawn(plot.source_time_function(made.drop_vars("time"))).axes
    assert panel.get_xlabel() == "sample"
    bare = made.drop_vars("time").assign_coords(time=np.arange(64.0))
    assert plot.source_time_function(bare).axes[0].get_xlabel() == "time"


def test_a_source_that_ends_early_is_drawn_as_far_as_it_is_known(waves, made):
    cut = made.where(made.time < 5.0)
    (panel,) = drawn(plot.source_time_function(cut, waves.source)).axes
    assert np.isnan(panel.lines[1].get_ydata()[50:]).all()
    assert "correlation 0." in labels(panel)[1]


# ---------------------------------------------------------------- the records
def test_a_record_section_is_sorted_and_tells_the_misfits(waves, made):
    figure = drawn(plot.record_section(waves.record, made, waves.greens))
    (panel,) = figure.axes
    order = np.argsort(waves.distance.values)
    names = [f"{waves.station.values[k]}   {waves.distance.values[k]:.1f} km" for k in order]
    assert [t.get_text() for t in panel.get_yticklabels()] == names
    whole = invert(waves.record.to_dataset(), waves.greens).record_each_misfit.values[order]
    assert misfits(figure) == pytest.approx(whole, abs=0.006)
    record, synthetic = traces(figure, 4)
    np.testing.assert_allclose(np.abs(record).max(-1), 0.5)
    np.testing.assert_allclose(record[0], 0.5 * _unit(waves.record.values[order[0]]), atol=1e-6)
    convolved = np.convolve(waves.greens.values[order[0]], made.values)[:256]
    scale = 0.5 / np.abs(waves.record.values[order[0]]).max()
    np.testing.assert_allclose(synthetic[0], scale * convolved, atol=1e-6)
    assert labels(panel) == ["record", "synthetic"]
    assert panel.get_xlabel() == "time (s)"


def _unit(values):
    return values / np.abs(values).max()


def test_stations_keep_their_order_where_nothing_sorts_them(waves):
    for figure in (
        plot.record_section(waves.record, sort=None),
        plot.record_section(waves.record.drop_vars("distance")),
    ):
        ticks = [t.get_text() for t in drawn(figure).axes[0].get_yticklabels()]
        assert ticks == waves.station.values.tolist()
        assert not figure.legends
    degrees = waves.record.assign_coords(
        distance=("station", [160.0, 35.25, 90.5, 31.0], {"units": "degrees"})
    )
    ticks = [t.get_text() for t in plot.record_section(degrees).axes[0].get_yticklabels()]
    assert ticks == ["XG03   31.0°", "XG01   35.2°", "XG02   90.5°", "XG00   160°"]
    by = plot.record_section(degrees, sort="azimuth").axes[0].get_yticklabels()
    assert [t.get_text()[:4] for t in by] == ["XG00", "XG01", "XG02", "XG03"]


def test_several_models_stand_beside_each_other(waves, made):
    figure = drawn(
        plot.record_section(waves.record, {"nnls": made, "nothing": 0 * made}, waves.greens)
    )
    assert labels(figure.axes[0]) == ["record", "nnls", "nothing"]
    assert misfits(figure)[4:] == [1.0] * 4
    places = {t.xyann[0] for t in figure.axes[0].texts if t.get_text() != "misfit"}
    assert len(places) == 2
    colours = [t.get_color() for t in figure.axes[0].texts[:-1]]
    assert len(set(colours[:4])) == 1
    assert colours[0] != colours[4]


def test_greens_functions_are_found_by_label(waves, made):
    expected = misfits(plot.record_section(waves.record, made, waves.greens))
    turned = plot.record_section(waves.record, made, waves.greens[::-1])
    assert misfits(turned) == expected
    with pytest.raises(InputError, match="greens has no station XG02, XG03; expected one for each"):
        plot.record_section(waves.record, made, waves.greens[:2])
    twice = waves.greens.isel(station=[0, 0, 1, 2, 3])
    with pytest.raises(InputError, match="labels twice"):
        plot.record_section(waves.record, made, twice)
    bare = waves.record.drop_vars("station")
    assert misfits(plot.record_section(bare, made, waves.greens)) == expected
    with pytest.raises(InputError, match="greens has 3 along 'station'; expected 4"):
        plot.record_section(bare, made, waves.greens[:3])


def test_each_record_may_have_a_source_of_its_own(waves):
    each = waves.record.geoml.invert_waveform("nnls", greens=waves.greens, progress=False)
    order = np.argsort(waves.distance.values)
    figure = plot.record_section(waves.record, each, waves.greens)
    assert misfits(figure) == pytest.approx(each.record_misfit.values[order], abs=0.006)
    one = plot.record_section(waves.record[2], each[2], waves.greens[2])
    assert misfits(drawn(one)) == pytest.approx([float(each.record_misfit[2])], abs=0.006)


def test_free_amplitudes_and_sources_by_second(waves):
    wrong = waves.greens * xr.DataArray([1.0, 3.0, 0.5, 1.0], dims="station")
    options = {"amplitudes": "free", "impulse": "second"}
    found = invert(waves[["record"]], wrong, **options)
    order = np.argsort(waves.distance.values)
    figure = plot.record_section(
        waves.record, found.record, wrong, factor=found.record_factor, impulse="second"
    )
    assert misfits(figure) == pytest.approx(found.record_each_misfit.values[order], abs=0.006)
    bad = misfits(plot.record_section(waves.record, found.record, wrong, impulse="second"))
    assert max(bad) > 2 * max(misfits(figure))


def test_a_source_begins_when_its_times_say_so(waves, made):
    """What is late in Green's functions is early in the source, and the other way round."""
    expected = misfits(plot.record_section(waves.record, made, waves.greens))
    late = waves.greens.assign_coords(time=waves.greens.time + 2.0)
    early = made.assign_coords(time=made.time - 2.0)
    assert misfits(plot.record_section(waves.record, early, late)) == expected
    moved = plot.record_section(waves.record, early, waves.greens)
    assert min(misfits(moved)) > 3 * max(expected)
    record = dated(waves.record)
    source = invert(record, waves.greens)
    assert source.time.values[0] == START
    figure = drawn(plot.record_section(record, source, waves.greens))
    assert misfits(figure) == expected
    assert figure.axes[0].get_xlabel() == "time after 2018-09-28T10:02:45.5 (s)"
    both = invert(record, dated(waves.greens))
    assert misfits(plot.record_section(record, both, dated(waves.greens))) == expected
    # Their clocks cannot be compared: the source begins with the record.
    assert misfits(plot.record_section(record, made, waves.greens)) == expected


def test_records_with_missing_samples(waves, made):
    record = waves.record.copy(deep=True)
    record[1] = np.nan
    record[2, 200:] = np.nan
    figure = drawn(plot.record_section(record, made, waves.greens))
    ticks = [t.get_text()[:4] for t in figure.axes[0].get_yticklabels()]
    assert set(ticks) == {"XG00", "XG02", "XG03"}
    assert np.isfinite(misfits(figure)).all()
    window = invert(record, waves.greens, gaps="window", length=256)
    assert np.isnan(window.values[200:]).all()
    figure = plot.record_section(record, window, waves.greens)
    _, synthetic = traces(figure, 3)
    assert np.isnan(synthetic[:, 200:]).all()
    each = invert(record.to_dataset(), waves.greens, gaps="window", length=256).record_each_misfit
    expected = each.sortby("distance").values
    assert misfits(figure) == pytest.approx(expected[np.isfinite(expected)], abs=0.006)
    with pytest.raises(InputError, match="no sample that is known"):
        plot.record_section(record * np.nan)


def test_fifty_stations_fit_on_a_page(waves):
    many = waves.record.isel(station=np.arange(52) % 4).drop_vars("station")
    figure = drawn(plot.record_section(many))
    assert figure.get_size_inches()[1] < 14
    boxes = [t.get_window_extent() for t in figure.axes[0].get_yticklabels()]
    assert not any(a.overlaps(b) for a, b in pairwise(boxes))


# ---------------------------------------------------------------- what cannot be drawn
def test_what_cannot_be_drawn_is_refused(waves, made):
    events = waves.record.expand_dims(event=2)
    for draw, told in (
        (lambda: plot.source_time_function({}), "expected a DataArray, or a mapping"),
        (lambda: plot.source_time_function(made.to_dataset(name="a")), "of a Dataset one variable"),
        (lambda: plot.source_time_function(waves.record), r"has the dims \['station'\]"),
        (lambda: plot.source_time_function(made, {"a": made, "b": made}), "expected one: draw"),
        (lambda: plot.record_section(waves.record, made), "give greens="),
        (lambda: plot.record_section(events), "expected one: choose"),
        (lambda: plot.record_section(waves.record, made, events), r"greens has the dims \['event'"),
        (lambda: plot.record_section(waves.record, impulse="minute"), "impulse='minute'"),
        (
            lambda: plot.record_section(waves.record, 1e9 * made, waves.greens),
            "type greens = 1e-09",
        ),
    ):
        with pytest.raises(InputError, match=told):
            draw()
    fast = waves.greens.assign_coords(time=0.5 * waves.time)
    with pytest.raises(TimeAxisError, match=r"greens one every 0.05 .*; expected the same step"):
        plot.record_section(waves.record, made, fast)
    with pytest.raises(AxisError, match="dim='its name'"):
        plot.record_section(xr.DataArray(np.ones((2, 9)), dims=("a", "b")))


def test_without_matplotlib(waves, monkeypatch):
    real = builtins.__import__

    def missing(name, *arguments, **options):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    for draw in (
        lambda: plot.source_time_function(waves.source),
        lambda: plot.record_section(waves.record),
    ):
        with pytest.raises(MissingExtraError, match=r"xgeoml\[plot\]"):
            draw()
