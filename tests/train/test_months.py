"""Networks that make months of days learn from months that are all but complete."""

import numpy as np
import pytest
import torch
import xarray as xr
from toy_training import fields, fit

from xgeoml.exceptions import ExecutionError, InputError
from xgeoml.spec import AxisSpec, Channel, ModelSpec
from xgeoml.train.batches import Batches
from xgeoml.train.clouds import hide_clouds, shapes, tied
from xgeoml.train.fitting import n_channels
from xgeoml.train.job import Job
from xgeoml.train.loss import LIKELIHOOD, HiddenLoss
from xgeoml.train.month_patterns import (
    COMPLETE,
    Sample,
    month_pattern,
    month_truth,
    simple_estimates,
)
from xgeoml.train.months import MonthField
from xgeoml.train.patterns import Ingredients, Pattern
from xgeoml.train.settings import Settings

CHANNELS = (Channel("value"), Channel("validity"), Channel("years"), Channel("exists"))
MONTHS = ModelSpec(
    name="toy_months",
    task="fill_gaps",
    factory="xgeoml.models.climanet:ClimaNet",
    options={"width": 16, "heads": 2, "layers": 1, "hidden": 8, "cycles": 1},
    axes=(
        AxisSpec("T", "window", 31 * 4, 31 * 2, coarsen=31),
        AxisSpec("Y", "window", 8, 4),
        AxisSpec("X", "window", 8, 4),
    ),
    inputs=CHANNELS,
    outputs=("value", "log_spread"),
)
LAST = MONTHS.replace(axes=(*MONTHS.axes[1:], MONTHS.axes[0]))
USUAL = Ingredients(CHANNELS, {})


def days(ny=12, nx=12, months=14, missing=0.0, seed=0, land=True):
    """Return daily waves with a year's cycle, a corner of them without data, some days missing."""
    rng = np.random.default_rng(seed)
    stamps = np.arange(np.datetime64("2001-01"), np.datetime64("2001-01") + months)[[0, -1]].astype(
        "M8[D]"
    )
    stamps = np.arange(stamps[0], (stamps[1].astype("M8[M]") + 1).astype("M8[D]"))
    t, y, x = np.ogrid[: len(stamps), :ny, :nx]
    values = 5 * np.sin(2 * np.pi * t / 365) + np.sin(0.5 * y + 0.2 * t) * np.cos(0.4 * x - 0.1 * t)
    values[rng.random(values.shape) < missing] = np.nan
    if land:
        values[:, :3, :3] = np.nan
    coords = {
        "time": stamps.astype("M8[ns]"),
        "lat": np.arange(ny) * 0.25,
        "lon": np.arange(nx) * 0.25,
    }
    return xr.DataArray(values, coords, ("time", "lat", "lon"), "sst", {"units": "degC"})


def test_a_network_of_months_learns_and_fills():
    record = days(months=18)
    own = fit(record, MONTHS, max_epochs=2, steps=15, patterns=6, batch_size=4, learning_rate=3e-3)
    row = own.card.skill[0]
    assert row.hidden == "days under clouds of the validation part"
    assert set(row.values) == {"toy_months", "available days", "linear"}
    assert row.values["toy_months"] < row.values["available days"]
    assert 0.0 <= row.coverage <= 1.0
    cloudy = record.where(np.random.default_rng(1).random(record.shape) > 0.6)
    filled = cloudy.geoml.fill_gaps(own, freq="MS")
    truth = record.resample(time="MS").mean()
    sea = truth.notnull()
    assert filled.notnull().where(sea, True).all()
    error = abs(filled - truth).where(sea).mean()
    assert error < abs(cloudy.resample(time="MS").mean() - truth).where(sea).mean()


@pytest.mark.parametrize("spec", [MONTHS, LAST], ids=["time first", "time last"])
@pytest.mark.parametrize("chunks", [None, {"time": 100, "lat": 5}])
def test_patterns_hide_days_of_months_that_they_ask_for(spec, chunks):
    record = days(missing=0.1)
    (field,) = fields(record if chunks is None else record.chunk(chunks), spec)
    assert isinstance(field, MonthField)
    assert len(field.blocks) == 2
    assert field.target.sum() == 14
    axis = 2 + [a.axis for a in spec.axes].index("T")
    for k in range(4):
        pattern = field.training_pattern(5, np.random.default_rng(k), USUAL)
        assert len(pattern) == 5
        assert pattern.x.shape[2:] == tuple(a.window for a in spec.axes)
        assert pattern.truth.shape[1:] == tuple(a.window // a.coarsen for a in spec.axes)
        assert pattern.n_wanted
        value, validity, years, exists = np.moveaxis(pattern.x, axis, 2).swapaxes(0, 1)
        clouds = np.moveaxis(pattern.clouds, axis - 1, 1)
        assert not clouds[exists == 0].any()
        assert not value[validity == 0].any()
        assert not validity[exists == 0].any()
        assert not years[exists == 0].any()
        days_of_months = exists.reshape(5, 4, 31, 8, 8).sum(2)
        assert set(np.unique(days_of_months)) <= {0, 28, 29, 30, 31}
        truth = np.moveaxis(pattern.truth, axis - 1, 1)
        left = (validity * ~clouds).reshape(5, 4, 31, 8, 8).sum(2)
        assert (np.isfinite(truth) & (left < days_of_months)).any()
    kept = field.validation_pattern(1, 3, USUAL)
    assert kept.n_wanted
    assert kept.clouds is None
    assert set(kept.compared) == {"available days", "linear"}


def test_validation_months_are_missing_in_training():
    record = days()
    (field,) = fields(record, MONTHS)
    month = record.time.dt.month.values - 1 + 12 * (record.time.dt.year.values - 2001)
    spoilt = record.where(~np.isin(month, np.flatnonzero(field.apart))[:, None, None], 1e6)
    (other,) = fields(spoilt, MONTHS)
    for k in range(5):
        one, two = (f.training_pattern(4, np.random.default_rng(k), USUAL) for f in (field, other))
        assert np.array_equal(one.x, two.x)
        assert np.array_equal(one.truth, two.truth, equal_nan=True)
    assert not np.array_equal(
        field.validation_pattern(0, 4, USUAL).x, other.validation_pattern(0, 4, USUAL).x
    )


def test_truth_is_the_mean_of_the_days():
    record = days()
    (field,) = fields(record, MONTHS, share=0)
    truth = record.resample(time="MS").mean().values
    pattern = field.training_pattern(6, np.random.default_rng(0), USUAL)
    for scaled, area in zip(pattern.truth, pattern.area, strict=True):
        assert area > 0
        assert np.isfinite(scaled).any()
    scaled = pattern.truth[np.isfinite(pattern.truth)]
    assert np.abs(scaled).max() < 6.0
    assert truth.shape[0] == len(field.target)


def sample(seed=0, cloud=0.5):
    rng = np.random.default_rng(seed)
    shape = (62, 4, 4)
    clock = np.broadcast_to(2.0 + np.arange(62)[:, None, None] / 365.25, shape).copy()
    clock[31 + 28 : 62] = np.nan
    value = np.cumsum(rng.standard_normal(shape), axis=0)
    share = (rng.random(shape) > cloud).astype(float)
    share[~np.isfinite(clock)] = 0.0
    value[share == 0] = np.nan
    return Sample(value, share, clock, np.zeros((2, 4, 4)), np.zeros(shape, bool), 1.0)


def test_months_that_are_all_but_complete_are_learnt():
    made = sample(cloud=0.0)
    share, value = made.share.copy(), made.value.copy()
    share[:6, 0, 0] = 0.0  # 25 of 31
    share[:7, 0, 1] = 0.0  # 24 of 31
    share[31:37, 1, 0] = 0.0  # 22 of 28
    share[31:36, 1, 1] = 0.0  # 23 of 28
    value[share == 0] = np.nan
    truth = month_truth(value, share, made.clock, np.ones(2, bool), 31)
    assert 25 / 31 > COMPLETE > 24 / 31
    assert np.isfinite(truth[:, :2, :2]).tolist() == [
        [[True, False], [True, True]],
        [[True, True], [False, True]],
    ]
    assert truth[0, 0, 0] == pytest.approx(value[6:31, 0, 0].mean())
    assert truth[1, 3, 3] == pytest.approx(value[31:59, 3, 3].mean())
    assert np.isnan(month_truth(value, share, made.clock, np.array([True, False]), 31)[1]).all()


def test_simple_estimates():
    made = sample()
    made.value[:31, 2, 2], made.share[:31, 2, 2] = np.nan, 0.0
    made.value[:, 3, 3], made.share[:, 3, 3] = np.nan, 0.0
    found = simple_estimates(made, 31)
    filled = np.full((59, 4, 4), np.nan)
    for row, column in np.ndindex(4, 4):
        days = np.flatnonzero(np.isfinite(made.value[:59, row, column]))
        if len(days):
            filled[:, row, column] = np.interp(np.arange(59), days, made.value[days, row, column])
    assert np.allclose(found["linear"][0], filled[:31].mean(0), equal_nan=True)
    assert np.allclose(found["linear"][1], filled[31:].mean(0), equal_nan=True)
    assert found["available days"][1, 0, 0] == pytest.approx(np.nanmean(made.value[31:59, 0, 0]))
    assert found["available days"][0, 2, 2] == found["linear"][0, 2, 2]
    assert np.isnan(found["available days"][:, 3, 3]).all()


def test_simple_estimates_are_scaled_as_the_truth_is():
    made = sample()
    pattern = month_pattern([made], 31, USUAL, 0, hides=True)
    known = made.value[np.isfinite(made.value)]
    wanted = (simple_estimates(made, 31)["linear"] - known.mean()) / known.std()
    assert np.allclose(pattern.compared["linear"][0], wanted, atol=1e-4)


def test_nothing_to_make_a_pattern_of():
    assert len(month_pattern([], 31, USUAL, 0, hides=False)) == 0


def job(spec, field):
    settings = Settings(batch_size=8, steps=4, patterns=3)
    return Job(spec, settings, "", (field.name,), (1.0,), n_channels([field], spec))


@pytest.mark.parametrize("spec", [MONTHS, LAST], ids=["time first", "time last"])
def test_batches_are_spells_of_some_months(spec):
    (field,) = fields(days(), spec)
    pool = [[field.training_pattern(3, np.random.default_rng(k), USUAL) for k in range(3)]]
    batches = Batches(pool, job(spec, field), Settings(batch_size=8, steps=12), 0)
    axis = [a.axis for a in spec.axes].index("T")
    seen = set()
    for x, truth, weight in batches:
        months = truth.shape[1 + axis]
        seen.add(months)
        assert x.shape[2 + axis] == 31 * months
        assert (weight > 0).all()
        value, validity = x[:, 0], x[:, 1] > 0
        assert not value[~validity].any()
        for v, k in zip(value, validity, strict=True):
            if k.sum() > 12:
                assert v[k].mean() == pytest.approx(0.0, abs=1e-3)
                assert v[k].std(correction=0) == pytest.approx(1.0, abs=1e-3)
        # A day that does not exist has no stamp.
        assert not x[:, 2][x[:, 3] == 0].any()
    assert len(seen) > 2
    assert torch.equal(batches[3][0], batches[3][0])


def test_parts_of_a_batch_make_the_batch():
    (field,) = fields(days(), MONTHS)
    pool = [[field.training_pattern(3, np.random.default_rng(k), USUAL) for k in range(3)]]
    whole = Batches(pool, job(MONTHS, field), Settings(batch_size=8, steps=4), 0)
    halves = Batches(pool, job(MONTHS, field), Settings(batch_size=8, steps=4, accumulate=2), 0)
    for part, name in enumerate(whole[1]):
        joined = torch.cat([halves[2][part], halves[3][part]])
        assert torch.equal(joined.nan_to_num(9.0), name.nan_to_num(9.0))


def test_gaps_of_the_record_are_borrowed():
    """Stripes are no shape that is drawn: where they appear, they come from elsewhere."""
    record = days(months=14, land=False)
    month = record.time.dt.month
    striped = record.where((month < 9) | (record.lat * 4 % 3 > 0))
    (field,) = fields(striped, MONTHS, share=0)
    rng, found = np.random.default_rng(0), 0
    for _ in range(6):
        pattern = field.training_pattern(6, rng, USUAL)
        gone = pattern.clouds & (pattern.x[:, 3] > 0)
        # Whole rows or columns, every third of them, and nothing else.
        rows, columns = gone.all(3), gone.all(2)
        found += ((gone.mean((2, 3)) < 0.5) & (rows.any(2) | columns.any(2))).any(1).sum()
    assert found > 3


def test_clouds_may_be_given():
    (field,) = fields(days(land=False), MONTHS, share=0)
    clouds = np.zeros((3, 9, 9), bool)
    clouds[:, :, 4] = clouds[:, 4] = True
    made = MonthField(**{**vars(field), "clouds": [clouds]})
    rng = np.random.default_rng(0)
    crosses = 0
    for _ in range(4):
        gone = made.training_pattern(6, rng, USUAL).clouds
        crosses += (gone.reshape(*gone.shape[:2], -1).sum(2) == 15).sum()
    assert crosses > 100


def test_no_month_is_complete():
    with pytest.raises(InputError, match="month with 80% of its days observed"):
        fields(days(missing=0.5, ny=8, nx=8), MONTHS)


def test_a_network_must_take_single_months():
    fixed = MONTHS.replace(name="toy_fixed", factory=FourMonths, options={})
    with pytest.raises(ExecutionError, match=r"\(2, 2, 1, 8, 8\)"):
        fit(days(), fixed)


class FourMonths(torch.nn.Module):
    """Whatever it gets, it returns four months."""

    def __init__(self):
        super().__init__()
        self.level = torch.nn.Parameter(torch.zeros(1, 2, 4, 1, 1))

    def forward(self, x):
        return self.level.expand(len(x), 2, 4, *x.shape[3:])


@pytest.mark.parametrize("hides", [True, False])
def test_saved_patterns_come_back(tmp_path, hides):
    made = month_pattern([sample()], 31, USUAL, 0, hides=hides)
    made.save(tmp_path / "00000")
    back = Pattern.load(tmp_path / "00000")
    assert back.hidden == "days under clouds"
    assert np.array_equal(back.x, made.x)
    assert set(back.compared) == ({"available days", "linear"} if hides else set())
    for name, estimate in made.compared.items():
        assert np.array_equal(back.compared[name], estimate)
    assert (back.clouds is None) == hides
    assert np.array_equal(np.asarray(back.clouds), np.asarray(made.clouds))


def test_shapes_have_the_share_asked_for():
    rng = np.random.default_rng(0)
    for share in (0.1, 0.5, 0.9):
        for length in (0.0, 3.0):
            assert shapes((40, 9, 11), rng, length, share).mean() == pytest.approx(share, abs=0.01)


def test_tied_clouds_go_with_the_field():
    rng = np.random.default_rng(0)
    value = np.cumsum(rng.standard_normal((90, 8, 8)), axis=0)
    value[:, 0, 0] = np.nan
    biases = []
    for _ in range(30):
        hidden = tied(value, rng, 0.5)
        seen, below = (np.nanmean(np.where(m, value, np.nan)) for m in (~hidden, hidden))
        biases.append(below - seen)
    assert min(biases) < -0.3
    assert max(biases) > 0.3


def test_clouds_hide_no_day_that_does_not_exist():
    rng = np.random.default_rng(0)
    exists = np.arange(62) % 31 < 28
    kinds = set()
    for _ in range(40):
        hidden = hide_clouds(np.zeros((62, 6, 6)), exists, rng, None)
        assert not hidden[~exists].any()
        kinds.add(bool(hidden[exists].all((1, 2)).any()))
    assert kinds == {True, False}


def test_clouds_of_stations():
    rng, exists = np.random.default_rng(0), np.ones(62, bool)
    for shape in ((62,), (62, 5)):
        hidden = [
            hide_clouds(rng.standard_normal(shape), exists, rng, np.zeros(shape, bool))
            for _ in range(10)
        ]
        assert all(h.shape == shape for h in hidden)
        assert any(h.any() for h in hidden)


@pytest.mark.filterwarnings("ignore:training did not lower")
def test_fit_takes_few_windows_at_a_time(tmp_path):
    quick = {"max_epochs": 1, "steps": 1, "patterns": 2, "batch_size": None}
    fit(days(ny=8, nx=8), MONTHS, **quick, logdir=tmp_path)
    assert Job.read(tmp_path).settings.batch_size == 8


def test_loss_of_months():
    loss = HiddenLoss(MONTHS, 0.4)
    output = torch.tensor([[[0.5, 9.0]], [[np.log(0.25), 9.0]]]).swapaxes(0, 1)[:, :, None]
    output = output.float().requires_grad_()
    truth = torch.tensor([[[0.0, np.nan]]])
    total, weight = loss(output, torch.zeros(1, 4, 1, 2), truth, torch.ones(1))
    likelihood = np.log(0.25) + np.sqrt(2) * 0.5 / 0.25
    assert weight == 1
    assert total.item() == pytest.approx(10 * 0.5 + LIKELIHOOD * likelihood, rel=1e-5)
    total.backward()
    # The likelihood moves no estimate, and what is not wanted moves nothing.
    assert output.grad[0, 0, 0].tolist() == [10.0, 0.0]
    assert output.grad[0, 1, 0, 1] == 0.0
