"""The time axis of records: what is one, its step, its origin, and the lengths along it."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xgeoml.exceptions import AxisError, InputError, TimeAxisError
from xgeoml.tasks.samples import count_of, samples_of

N = 40
NUMBER = np.arange(N)
DATES = np.datetime64("2020-01-01T00:00:05", "ns") + NUMBER * np.timedelta64(100, "ms")
LENGTHS = NUMBER * np.timedelta64(100, "ms")


def along(times=None, units=None, dim="time", **coords):
    """Return a record with these times."""
    made = xr.DataArray(np.zeros((2, len(NUMBER))), dims=("station", dim))
    if times is not None:
        made = made.isel({dim: slice(len(times))})
        made = made.assign_coords({dim: (dim, times, {} if units is None else {"units": units})})
    return made.assign_coords(coords)


def step_of(*args, **kwargs):
    return samples_of(along(*args, **kwargs)).step


@pytest.mark.parametrize(
    ("units", "seconds"),
    [
        ("s", 1.0),
        ("Seconds", 1.0),
        (" sec ", 1.0),
        ("ms", 1e-3),
        ("milliseconds", 1e-3),
        ("\u00b5s", 1e-6),
        ("\u03bcs", 1e-6),
        ("ns", 1e-9),
        ("min", 60.0),
        ("hours", 3600.0),
        ("d", 86400.0),
    ],
)
def test_numbers_count_in_their_units(units, seconds):
    samples = samples_of(along(2.0 + 0.5 * NUMBER, units))
    assert (samples.clock, samples.first, samples.count) == ("numbers", 2.0, N)
    assert samples.unit == seconds
    assert samples.step == pytest.approx(0.5 * seconds)


@pytest.mark.parametrize("units", [None, "", "m", "seconds since 2020-01-01"])
def test_numbers_of_no_known_unit(units):
    samples = samples_of(along(0.5 * NUMBER, units))
    assert (samples.unit, samples.step) == (None, 0.5)
    assert samples_of(along(3 * NUMBER)).step == 3.0
    assert samples_of(along(NUMBER.astype(np.uint8))).step == 1.0


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_dates_and_lengths_of_time(unit):
    dates = samples_of(along(DATES.astype(f"M8[{unit}]")))
    assert (dates.clock, dates.unit) == ("dates", 1.0)
    assert dates.step == pytest.approx(0.1, rel=1e-12)
    assert dates.first == DATES[0]
    lengths = samples_of(along(LENGTHS.astype(f"m8[{unit}]")))
    assert lengths.clock == "lengths"
    assert lengths.step == pytest.approx(0.1, rel=1e-12)


def test_dates_of_whole_seconds():
    dates = DATES[0].astype("M8[s]") + NUMBER
    assert samples_of(along(dates)).step == 1.0


@pytest.mark.parametrize("calendar", ["noleap", "standard", "360_day"])
def test_dates_of_other_calendars(calendar):
    times = xr.date_range("2020-02-27", periods=N, freq="6h", calendar=calendar, use_cftime=True)
    samples = samples_of(along(times))
    assert (samples.clock, samples.step) == ("dates", 6 * 3600.0)
    stamps = samples.stamps("dates", samples.first + timedelta(seconds=1.5), 3)
    assert [s - t for s, t in zip(stamps, times, strict=False)] == 3 * [timedelta(seconds=1.5)]


def test_numbers_of_few_digits():
    assert step_of((0.01 * NUMBER).astype(np.float32), "s") == pytest.approx(0.01, rel=1e-5)
    assert step_of((900.0 + 0.01 * NUMBER).astype(np.float32)) == pytest.approx(0.01, rel=1e-2)


def test_dates_of_few_digits():
    """At 128 Hz whole milliseconds are up to half of one off."""
    exact = DATES[0] + (NUMBER * 7_812_500).astype("m8[ns]")
    assert step_of(exact.astype("M8[ms]")) == pytest.approx(1 / 128.0, rel=1e-2)


@pytest.mark.parametrize(("rate", "decimals"), [(128.0, 3), (100.0 / 3.0, 3), (30.0, 3)])
def test_numbers_of_few_decimals(rate, decimals):
    assert step_of(np.round(NUMBER / rate, decimals), "s") == pytest.approx(1 / rate, rel=1e-2)
    lost = np.delete(np.round(NUMBER / rate, decimals), 17)
    with pytest.raises(TimeAxisError, match=r"not evenly spaced, see number 1[67]"):
        step_of(lost, "s")


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ((86400.0 + 0.01 * NUMBER).astype(np.float32), "rounded to 0.0078: too coarse to tell"),
        ((1.6e9 + 0.1 * NUMBER).astype(np.float32), r"rounded to 1.3e\+02: too coarse to tell"),
        (DATES.astype("M8[s]"), "do not ascend, see number 1 .they are rounded to 1: too coarse"),
        (0.1 * NUMBER[::-1], r"descend; expected them to ascend: obj.sortby\('time'\)"),
        (DATES[::-1], "descend"),
        (np.r_[0.1 * NUMBER[:9], 0.1 * NUMBER[8:-1]], "do not ascend, see number 9; expected each"),
        (
            np.r_[0.1 * NUMBER[:9], 0.1 * NUMBER[5:-4]],
            r"sortby\('time'\).drop_duplicates\('time'\)",
        ),
        (
            np.delete(0.1 * NUMBER, 17),
            r"not evenly spaced, see number 1[67]; .*obj.interp\(time=..",
        ),
        (np.delete(DATES, 1), "not evenly spaced"),
        (np.delete(DATES, -2), "not evenly spaced"),
        (np.geomspace(1, 10, N), "not evenly spaced"),
        (np.where(NUMBER == 7, np.nan, 0.1 * NUMBER), "missing or infinite, 1 of 40"),
        (np.where(NUMBER == 0, np.inf, 0.1 * NUMBER), "missing or infinite"),
        (np.where(NUMBER > 37, np.datetime64("NaT"), DATES), "missing or infinite, 2 of 40"),
        (NUMBER.astype(str), "has dtype <U.*expected dates, lengths of time or numbers"),
        (0.1 * NUMBER[:1], "has 1 sample along 'time'; expected 2 or more"),
        (np.zeros(N), "do not ascend, see number 1"),
    ],
    ids=range(17),
)
def test_times_that_are_no_samples(times, told):
    with pytest.raises(TimeAxisError, match=f"^the data.*{told}"):
        samples_of(along(times).assign_coords())


@pytest.mark.parametrize("times", [0.1 * NUMBER, DATES, LENGTHS], ids=["numbers", "dates", "m8"])
def test_a_lost_sample_is_noticed_wherever_it_is(times):
    for at in range(1, N - 1):
        with pytest.raises(TimeAxisError, match="evenly"):
            samples_of(along(np.delete(times, at)))


def test_an_axis_without_times():
    for dim in ("time", "sample", "Samples", "lag"):
        samples = samples_of(along(dim=dim))
        assert (samples.dim, samples.clock, samples.step, samples.unit) == (dim, "none", 1.0, None)
        assert samples.stamps("none", 0.0, 5) is None


def test_times_beside_the_dim():
    """Where the dim has no labels the one coordinate of times along it counts."""
    seconds = ("sample", 0.5 * NUMBER, {"units": "s"})
    label = {"quality": ("sample", NUMBER)}
    for coords in ({"time": seconds}, {"when": ("sample", DATES)}, {"t": seconds, **label}):
        samples = samples_of(along(dim="sample", **coords))
        assert samples.coord.name == next(iter(coords))
        assert samples.dim == "sample"
    both = along(dim="sample", time=seconds, when=("sample", DATES))
    assert samples_of(both).clock == "none"
    assert samples_of(along(dim="sample", **label)).clock == "none"


def test_an_axis_that_is_not_known():
    with pytest.raises(
        AxisError, match=r"'station', 'n'\), none of which .* dims=\{'T': 'its name'"
    ):
        samples_of(along(dim="n"))
    assert samples_of(along(dim="n"), {"T": "n"}).dim == "n"
    with pytest.raises(AxisError, match="names a dimension that is not there"):
        samples_of(along(dim="n"), {"T": "m"})


SECONDS = along(1.0 + 0.1 * NUMBER, "s")
MINUTES = along((2.0 + 0.1 * NUMBER) / 60, "min")
BARE = along(3.0 + 0.1 * NUMBER)


@pytest.mark.parametrize(
    ("record", "greens", "clock", "first"),
    [
        (SECONDS, MINUTES, "numbers", -1.0),
        (MINUTES, SECONDS, "numbers", 1.0 / 60),
        (SECONDS, BARE, "numbers", -2.0),
        (SECONDS, along(), "numbers", 1.0),
        (SECONDS, along(LENGTHS - LENGTHS[5]), "numbers", 1.5),
        (MINUTES, along(LENGTHS - LENGTHS[5]), "numbers", 2.5 / 60),
        (along(DATES), SECONDS, "dates", DATES[0] - np.timedelta64(1, "s")),
        (along(DATES), MINUTES, "dates", DATES[0] - np.timedelta64(2, "s")),
        (along(DATES), along(LENGTHS + LENGTHS[5]), "dates", DATES[0] - LENGTHS[5]),
        (along(DATES), along(DATES - LENGTHS[5]), "lengths", LENGTHS[5]),
        (along(DATES), along(), "dates", DATES[0]),
        (along(LENGTHS), SECONDS, "lengths", -LENGTHS[10]),
        (along(LENGTHS), along(LENGTHS + LENGTHS[5]), "lengths", -LENGTHS[5]),
        (along(), SECONDS, "none", 0.0),
        (along(), along(DATES), "none", 0.0),
        (along(), along(), "none", 0.0),
    ],
)
def test_times_are_counted_from_the_first_of_the_greens_function(record, greens, clock, first):
    record = samples_of(record)
    found, since = record.since(samples_of(greens))
    assert found == clock
    if clock in ("numbers", "none"):
        assert since == pytest.approx(first)
    else:
        assert since == first
    stamps = record.stamps(found, since, 7)
    if clock == "none":
        assert stamps is None
    else:
        assert len(stamps) == 7
        assert stamps[0] == pytest.approx(first) if clock == "numbers" else stamps[0] == first
        steps = np.diff(stamps) / (
            np.timedelta64(1, "s") if clock != "numbers" else 1 / record.unit
        )
        np.testing.assert_allclose(steps.astype(float), 0.1, rtol=1e-9)


def test_dates_of_greens_functions_go_with_dates_only():
    for record in (SECONDS, along(LENGTHS)):
        with pytest.raises(
            TimeAxisError, match=r"have dates, the records (numbers|lengths of time)"
        ):
            samples_of(record).since(samples_of(along(DATES)))
    times = xr.date_range("2020-01-01", periods=N, freq="s", use_cftime=True)
    other = samples_of(along(times))
    for one, two in ((other, samples_of(along(DATES))), (samples_of(along(DATES)), other)):
        with pytest.raises(TimeAxisError, match=r"dates of .*use_cftime=False"):
            one.since(two)
    clock, first = other.since(other)
    assert (clock, first) == ("lengths", np.timedelta64(0))
    np.testing.assert_array_equal(other.stamps(clock, first, 3), NUMBER[:3].astype("m8[s]"))


@pytest.mark.parametrize(
    "times",
    [
        0.1 * NUMBER,
        (0.1 * NUMBER).astype(np.float32),
        NUMBER,
        DATES.astype("M8[ms]"),
        DATES + (NUMBER % 3).astype("m8[ns]"),
        LENGTHS,
    ],
    ids=lambda t: str(t.dtype),
)
def test_times_that_are_not_moved_are_the_same_to_the_bit(times):
    """Others are found by their labels: a last digit would lose them."""
    samples = samples_of(along(times))
    onset = samples_of(along(0.1 * NUMBER, "s"))
    stamps = samples.stamps(*samples.since(onset), N)
    assert stamps.dtype == times.dtype
    assert stamps.tobytes() == times.tobytes()


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_moved_dates_lose_no_nanosecond(unit):
    dates = (DATES[0].astype("M8[s]") + NUMBER).astype(f"M8[{unit}]")
    samples = samples_of(along(dates))
    onset = samples_of(along(-0.123456789 + NUMBER, "s"))
    stamps = samples.stamps(*samples.since(onset), N)
    moved = dates.astype("M8[ns]") + np.timedelta64(123_456_789, "ns")
    np.testing.assert_array_equal(stamps, moved)


def test_rates_that_are_no_whole_nanoseconds_do_not_drift():
    many = 30_000
    exact = DATES[0] + np.rint(np.arange(many) * 1e9 / 30).astype("m8[ns]")
    record = xr.DataArray(np.zeros(many), {"time": exact}, dims="time")
    samples = samples_of(record)
    assert samples.step == pytest.approx(1 / 30, rel=1e-12)
    stamps = samples.stamps(*samples.since(samples_of(along(0.1 * NUMBER - 2, "s"))), many)
    np.testing.assert_array_equal(stamps, exact + np.timedelta64(2, "s"))


@pytest.mark.parametrize(
    ("length", "count"),
    [
        (None, N),
        (2, 2),
        (np.int32(7), 7),
        ("1.5s", 15),
        ("1500ms", 15),
        (pd.Timedelta("2s"), 20),
        (timedelta(seconds=0.5), 5),
        (np.timedelta64(1, "s"), 10),
        ("4s", 40),
        ("0.31s", 3),
    ],
)
@pytest.mark.parametrize("times", [(0.1 * NUMBER, "s"), (100 * NUMBER, "ms"), (DATES,)])
def test_lengths_of_sources(length, count, times):
    assert count_of(length, samples_of(along(*times))) == count


@pytest.mark.parametrize(
    ("length", "told"),
    [
        (41, "is 41 samples; expected 2 to 40, those of the record"),
        ("30s", "is 300 samples; expected 2 to 40"),
        (1, "is 1 samples"),
        (0, "is 0 samples"),
        ("-2s", "is -20 samples"),
        (True, "expected a whole number of samples, or a length of time such as '30s'"),
        (12.0, "expected a whole number of samples"),
        ("12", "expected a whole number of samples"),
        ("soon", "expected a whole number of samples"),
        ("NaT", "expected a whole number of samples"),
        (np.timedelta64("NaT"), "expected a whole number of samples"),
        ("1000000D", "expected a whole number of samples"),
        ([3], "expected a whole number of samples"),
    ],
    ids=str,
)
def test_lengths_that_are_none(length, told):
    with pytest.raises(InputError, match=f"length=.*{told}"):
        count_of(length, samples_of(along(0.1 * NUMBER, "s")))


@pytest.mark.parametrize("times", [None, 0.1 * NUMBER], ids=["none", "numbers"])
def test_seconds_along_an_axis_of_no_unit(times):
    samples = samples_of(along(times))
    with pytest.raises(
        InputError, match=r"no unit of time; .*obj\['time'\].attrs\['units'\] = 's'"
    ):
        count_of("2s", samples)
    assert count_of(20, samples) == 20
