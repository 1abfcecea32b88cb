"""Scores of source waveforms."""

import numpy as np
import pytest
import xarray as xr

import xgeoml
from xgeoml import metrics
from xgeoml.exceptions import AxisError, InputError, TimeAxisError
from xgeoml.metrics import waveform_skill

STEP = 0.5


def source(samples=100, middle=30.0, width=5.0, start=0.0, dim="time", height=1.0):
    """Return a pulse that is zero at both ends of its axis."""
    time = STEP * np.arange(samples)
    rate = height * np.exp(-0.5 * ((np.arange(samples) - middle) / width) ** 2)
    coord = (dim, start + time, {"units": "s"})
    return xr.DataArray(np.where(rate > 1e-3 * height, rate, 0.0), {dim: coord}, (dim,))


def events(many=4, dim="time"):
    pulses = [source(middle=25 + 3 * k, width=3.0 + k, dim=dim) for k in range(many)]
    return xr.concat(pulses, xr.DataArray(list("abcd")[:many], dims="event", name="event"))


# ---------------------------------------------------------------- what is right
def test_the_same_is_perfect():
    made = waveform_skill(events(), events())
    assert (made.correlation, made.best_correlation, made.variance_reduction) == (
        pytest.approx(1.0),
        pytest.approx(1.0),
        1.0,
    )
    assert (made.lag, made.nrmse, made.moment_error, made.duration_error) == (0, 0, 0, 0)
    assert made.spectral_misfit == 0.0
    assert (made.scored, made.skipped, made.unit) == (4, 0, "s")


@pytest.mark.parametrize("late", [-7, -1, 3, 12])
def test_a_shifted_copy_has_the_lag_and_nothing_else(late):
    made = waveform_skill(source(), source(middle=30 + late))
    assert float(made.events["lag"]) == late * STEP
    assert made.lag == abs(late) * STEP
    assert made.best_correlation == pytest.approx(1.0)
    assert made.correlation < 1.0 > made.variance_reduction
    for key in ("spectral_misfit", "moment_error", "duration_error"):
        assert getattr(made, key) == pytest.approx(0.0, abs=1e-9)


def test_a_scaled_copy_has_an_error_of_the_moment_only():
    made = waveform_skill(source(), 1.5 * source())
    assert made.correlation == pytest.approx(1.0)
    assert made.moment_error == pytest.approx(0.5)
    assert made.nrmse == pytest.approx(0.5)
    assert made.variance_reduction == pytest.approx(0.75)
    assert made.spectral_misfit == pytest.approx(np.log10(1.5))
    assert (made.lag, made.duration_error) == (0.0, pytest.approx(0.0, abs=1e-12))
    less = waveform_skill(source(), 0.8 * source())
    assert float(less.events["moment_error"]) == pytest.approx(-0.2)
    assert less.moment_error == pytest.approx(0.2)


def test_a_longer_pulse_is_longer():
    """Of a Gaussian, 90 % of the moment lie within 1.645 deviations."""
    made = waveform_skill(source(width=5.0), source(width=7.0))
    assert made.duration_error == pytest.approx(2 * 1.6449 * 2 * STEP, rel=0.01)
    back = waveform_skill(source(width=7.0), source(width=5.0))
    assert float(back.events["duration_error"]) == pytest.approx(-made.duration_error)


def test_scores_by_hand():
    truth = xr.DataArray([0.0, 2.0, 1.0, 0.0], dims="time")
    made = waveform_skill(truth, xr.DataArray([0.0, 1.0, 1.0, 1.0], dims="time"))
    assert made.correlation == pytest.approx(np.corrcoef([0, 2, 1, 0], [0, 1, 1, 1])[0, 1])
    assert made.variance_reduction == pytest.approx(1 - 2 / 5)
    assert made.nrmse == pytest.approx(np.sqrt(2 / 5))
    assert made.moment_error == 0.0
    # A sample earlier there is more time that either covers.
    assert made.lag == 1.0
    best = np.corrcoef([0, 0, 2, 1, 0], [0, 1, 1, 1, 0])[0, 1]
    assert made.best_correlation == pytest.approx(best)
    assert made.unit == "samples"


def test_the_best_correlation_is_that_of_shifted_copies():
    random = np.random.default_rng(3)
    one, other = random.standard_normal((2, 23))
    truth, made = (xr.DataArray(v, dims="time") for v in (one, other[:15]))
    best, at = -1.0, 0
    for late in range(-22, 15):
        start = min(0, -late)
        a, b = (np.zeros(max(23, 15 - late) - start) for _ in range(2))
        a[-start : 23 - start] = one
        b[-late - start : 15 - late - start] = other[:15]
        found = np.corrcoef(a, b)[0, 1]
        best, at = max((best, at), (found, late))
    score = waveform_skill(truth, made)
    assert score.best_correlation == pytest.approx(best)
    assert float(score.events["lag"]) == at


def test_the_spectral_misfit_is_of_the_frequencies_that_matter():
    """A wave far above the truth's spectrum does not count, one within it does."""
    truth = source(samples=200, middle=100, width=10.0)
    number = np.arange(200)
    ripple = 0.02 * np.cos(np.pi * number) * np.hanning(200)
    swell = 0.3 * np.sin(2 * np.pi * (number - 100) / 80) * np.hanning(200)
    fast, slow = (waveform_skill(truth, truth + wave) for wave in (ripple, swell))
    assert fast.spectral_misfit < 1e-3
    assert slow.spectral_misfit > 20 * fast.spectral_misfit


# ---------------------------------------------------------------- axes
def test_axes_may_have_other_names_lengths_and_beginnings():
    truth = source(samples=60, dim="lag")
    longer = source(samples=200)
    early = source(samples=100, middle=50, start=-20 * STEP)
    for estimate in (longer, early, source(samples=50, middle=25, start=5 * STEP)):
        made = waveform_skill(truth, estimate)
        assert made.nrmse == pytest.approx(0.0, abs=1e-6)
        assert made.correlation == pytest.approx(1.0)
        assert (made.lag, made.moment_error) == (0.0, pytest.approx(0.0, abs=1e-6))


def test_what_lies_beyond_the_axis_of_the_truth_counts():
    truth = source(samples=60)
    estimate = source(samples=200)
    estimate[150:160] = 0.3
    made = waveform_skill(truth, estimate)
    wrong = 10 * 0.3**2 / float((truth**2).sum())
    assert made.variance_reduction == pytest.approx(1 - wrong, rel=1e-6)
    assert made.moment_error == pytest.approx(3.0 / float(truth.sum()), rel=1e-6)
    assert made.duration_error > 30


def test_clocks():
    truth = source()
    length = truth.assign_coords(time=(truth.time.values * 1e9).astype("timedelta64[ns]"))
    dates = length.assign_coords(time=np.datetime64("2020-10-30T11:51:26", "ns") + length.time)
    late = {"time": dates.time + np.timedelta64(2, "s")}
    thousandths = truth.assign_coords(time=("time", 1e3 * truth.time.values, {"units": "ms"}))
    bare = truth.drop_vars("time")
    assert waveform_skill(truth, length).nrmse == 0.0
    assert waveform_skill(thousandths, truth).duration_error == 0.0
    assert waveform_skill(bare, truth).unit == waveform_skill(truth, bare).unit == "s"
    made = waveform_skill(dates, dates.assign_coords(late))
    assert (made.lag, made.unit) == (2.0, "s")
    numbers = waveform_skill(*(v.assign_coords(time=np.arange(100)) for v in (truth, truth[::-1])))
    assert (numbers.lag, numbers.unit) == (39.0, "")
    with pytest.raises(TimeAxisError, match="truth has dates, estimate has none"):
        waveform_skill(dates, truth)


def test_axes_that_do_not_fit_are_refused():
    truth = source(dim="lag")
    time = source().time
    for wrong, told in (
        (source().assign_coords(time=2 * time), "a sample every 0.5 s, estimate one every 1 s"),
        (source().assign_coords(time=time + 0.2), "samples of estimate lie 0.2 s beside those"),
    ):
        with pytest.raises(TimeAxisError, match=told) as raised:
            waveform_skill(truth, wrong)
        # What it says to type works.
        code = str(raised.value).partition("expected the same samples: ")[2]
        wrong["time"].attrs["units"] = "s"
        cured = eval(code, {"estimate": wrong, "truth": truth})
        assert np.isfinite(waveform_skill(truth, cured).nrmse)
    with pytest.raises(InputError, match="they share none"):
        waveform_skill(truth, source(start=1e5))
    with pytest.raises(TimeAxisError, match="not evenly spaced"):
        waveform_skill(truth, source().drop_isel(time=[3, 4]))
    with pytest.raises(AxisError, match="type dim='its name'"):
        waveform_skill(truth, xr.DataArray(np.ones((3, 100)), dims=("event", "seconds")))
    with pytest.raises(AxisError, match="dim='seconds'"):
        waveform_skill(truth, source(), dim="seconds")


def test_the_time_axis_may_be_named():
    made = source().drop_vars("time").rename(time="seconds").expand_dims(event=3)
    score = waveform_skill(source().expand_dims(event=3), made, dim="seconds")
    assert (score.scored, score.nrmse, score.unit) == (3, 0.0, "s")


# ---------------------------------------------------------------- events
def test_each_event_is_scored_by_itself():
    truth, made = events(), events()
    made[1] = source(middle=38, width=4.0).values  # ten samples late
    made[2] = 0.5 * made[2]
    score = waveform_skill(truth, made)
    assert score.events["event"].values.tolist() == list("abcd")
    assert score.events["lag"].values.tolist() == [0.0, 5.0, 0.0, 0.0]
    assert score.events["moment_error"].values == pytest.approx([0, 0, -0.5, 0], abs=1e-9)
    for k in range(4):
        alone = waveform_skill(truth[k], made[k])
        for name in score.events:
            assert float(score.events[name][k]) == pytest.approx(float(alone.events[name]))
    assert score.lag == 1.25
    assert score.moment_error == pytest.approx(0.125)
    assert score.events["lag"].attrs["units"] == "s"
    turned = waveform_skill(truth.T, made)
    assert turned.nrmse == score.nrmse


def test_one_source_is_the_truth_of_several_records():
    ds = xgeoml.datasets.wavefield(stations=3, samples=256, source_samples=64)
    made = ds.record.geoml.invert_waveform("nnls", greens=ds.greens, length=64, progress=False)
    score = waveform_skill(ds.source, made)
    assert score.events["station"].values.tolist() == ds.station.values.tolist()
    assert score.scored == 3
    one = waveform_skill(ds.source, made.isel(station=1))
    assert float(score.events["nrmse"][1]) == one.nrmse


def test_other_events_are_refused():
    with pytest.raises(InputError, match="3 cells along event; expected 4"):
        waveform_skill(events(), events(3))
    with pytest.raises(InputError, match="along event the estimate is at other places"):
        waveform_skill(events(), events()[::-1])
    with pytest.raises(InputError, match="the estimate has the dims"):
        waveform_skill(events(), source())


def test_events_with_missing_samples_are_skipped_and_counted():
    truth, made = events(), 1.1 * events()
    made[0, 7] = np.nan
    truth[2] = np.nan
    score = waveform_skill(truth, made)
    assert (score.scored, score.skipped) == (2, 2)
    assert np.isnan(score.events["nrmse"].values).tolist() == [True, False, True, False]
    assert score.moment_error == pytest.approx(0.1)
    assert "2 skipped: the truth is zero, or samples are missing: estimate.fillna(0)" in repr(score)
    made[:] = np.inf
    nothing = waveform_skill(truth, made)
    assert (nothing.scored, nothing.skipped) == (0, 4)
    assert np.isnan([nothing.correlation, nothing.lag, nothing.nrmse]).all()


def test_a_truth_of_zeros_has_no_scores():
    score = waveform_skill(0.0 * source(), source())
    assert (score.scored, score.skipped) == (0, 1)
    assert all(np.isnan(float(v)) for v in score.events.values())
    assert "nan" in repr(score)


def test_an_estimate_of_zeros_explains_nothing():
    score = waveform_skill(source(), 0.0 * source())
    assert (score.correlation, score.best_correlation, score.variance_reduction) == (0, 0, 0)
    assert (score.nrmse, score.moment_error) == (1.0, 1.0)
    assert 1.0 < score.spectral_misfit <= 3.0
    assert np.isnan([score.lag, score.duration_error]).all()


def test_sources_that_do_not_vary():
    flat = xr.ones_like(source())
    assert waveform_skill(source(), flat).correlation == 0.0
    score = waveform_skill(flat, source())
    assert np.isnan(score.correlation)
    assert np.isfinite(score.nrmse)


def test_signed_sources():
    truth = source(middle=30) - source(middle=50)
    score = waveform_skill(truth, -truth)
    assert score.correlation == pytest.approx(-1.0)
    assert score.variance_reduction == pytest.approx(-3.0)
    assert np.isnan([score.moment_error, score.duration_error]).all()
    assert -1.0 <= score.best_correlation <= 1.0
    assert score.spectral_misfit == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("unit", [1e-30, 1e19, 1e200])
def test_units_do_not_matter(unit):
    one, other = (
        waveform_skill(s * source(), s * source(middle=33, width=4.0)) for s in (1.0, unit)
    )
    for name in one.events:
        assert float(other.events[name]) == pytest.approx(float(one.events[name]), rel=1e-9)


def test_lazy_sources_are_loaded():
    made = waveform_skill(events().chunk(event=1), events().chunk())
    assert made.nrmse == 0.0


def test_the_repr_is_a_table():
    made = events()
    made[1] = source(middle=38, width=4.0).values
    text = repr(metrics.waveform_skill(events(), made))
    lines = text.splitlines()
    assert lines[0] == "<xgeoml waveform skill: 4 events>"
    assert lines[1].split() == ["mean", "least", "greatest"]
    (lag,) = (line for line in lines if "lag" in line and "best" not in line)
    assert lag.split() == ["lag", "(s),", "size", "1.250", "0.000", "5.000"]
    assert len(lines) == 10
    assert len({len(line) for line in lines[1:]}) == 1
    assert "1 event>" in repr(waveform_skill(source(), source()))
