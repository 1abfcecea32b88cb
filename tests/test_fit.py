"""`fit` on every kind of object: what it learns from, what it refuses, how it goes on."""

from datetime import timedelta

import cftime
import numpy as np
import pytest
import toys
import xarray as xr
from toy_training import (
    DRIVEN,
    QUICK,
    SERIES,
    cycles,
    fields,
    fit,
    same,
    weights,
)

import xgeoml
from xgeoml.exceptions import (
    ExecutionError,
    GeoMLError,
    InputError,
    MissingExtraError,
    ModelNotFoundError,
    SpecError,
)
from xgeoml.model import Model
from xgeoml.spec import AxisSpec
from xgeoml.tasks import fit as fit_module
from xgeoml.tasks import fit_settings


@pytest.fixture(scope="module")
def record():
    """Return six years of monthly cycles, with gaps."""
    made = cycles(3, 4)
    made[20:23] = np.nan
    made[50, 1] = np.nan
    return made.isel(time=np.delete(np.arange(72), 40))


@pytest.fixture(scope="module")
def own(record):
    return fit(record)


def test_a_model_comes_back_and_fills(record, own):
    assert isinstance(own, Model)
    assert own.spec == SERIES
    full = record.geoml.fill_gaps(own, progress=False)
    assert full.notnull().all()
    assert full.sizes["time"] == 72
    seen = full.sel(time=record.time)
    assert np.array_equal(seen.values[record.notnull()], record.values[record.notnull()])


def test_the_card_is_filled_from_the_run(record, own):
    assert own.card.problems() == []
    (data,) = own.card.data
    assert data.period == "2001-01-01 to 2006-12-01, monthly"
    assert data.extent == "3 lat x 4 lon, latitude 8 to 10, longitude 20 to 23"
    assert [row.hidden for row in own.card.skill] == [
        "runs of the validation part",
        "single steps of the validation part",
    ]
    for row in own.card.skill:
        assert set(row.values) == {"toy_series", "linear", "climatology"}
        assert row.unit == "cm"
        # Cycles with noise of 1 cm: the climatology is as good as can be.
        assert 0.8 < row.values["climatology"] < 1.6
    assert own.card.recipe.startswith("fit(model='toy_series@1.0'")


def test_the_history_has_a_row_for_each_epoch(own):
    assert [row["epoch"] for row in own.history[1:]] == [1, 2]
    assert [row["step"] for row in own.history[1:]] == [3, 6]
    assert set(own.history[1]) == {
        "epoch",
        "step",
        "train_loss",
        "val_loss",
        "learning_rate",
        "seconds",
    }


def test_the_same_call_gives_the_same_bits(record, own):
    again = fit(record)
    assert same(weights(own.path), weights(again.path))
    assert not same(weights(fit(record, seed=1).path), weights(own.path))


@pytest.mark.parametrize(
    "kind", ["DataArray", "Dataset", "two variables", "tree", "stations", "single"]
)
def test_every_kind_of_object(record, kind):
    two = record.to_dataset().assign(other=(record * 2).assign_attrs(units="mm"))
    tree = {"/a": two[["tws"]], "/b": cycles(2, steps=60).to_dataset(name="level")}
    obj = {
        "DataArray": record,
        "Dataset": record.to_dataset(),
        "two variables": two,
        "tree": xr.DataTree.from_dict({**tree, "/c": xr.Dataset({"n": ("time", [1, 2])})}),
        "stations": cycles(5).transpose("station", "time"),
        "single": cycles(),
    }[kind]
    own = obj.geoml.fit(SERIES, **QUICK)
    names = {
        "two variables": ["tws", "other"],
        "tree": ["a/tws", "b/level"],
    }.get(kind, ["tws"])
    assert [d.name for d in own.card.data] == names
    assert {row.data for row in own.card.skill} == set(names)
    if kind == "two variables":
        assert {row.unit for row in own.card.skill} == {"cm", "mm"}
        assert len(obj.geoml.fit(SERIES, variables="other", **QUICK).card.data) == 1
    filled = obj.geoml.fill_gaps(own, progress=False)
    assert type(filled) is type(obj)


def test_the_same_data_in_chunks_give_the_same_bits(record, own):
    for chunks in ({"lat": 2, "lon": 2}, {"time": 1}, {"time": 20, "lat": 1}):
        assert same(weights(fit(record.chunk(chunks)).path), weights(own.path))


@pytest.mark.parametrize("calendar", ["noleap", "360_day"])
def test_other_calendars(calendar):
    made = cycles(3, steps=60)
    dates = [cftime.datetime(2001 + i // 12, 1 + i % 12, 16, calendar=calendar) for i in range(60)]
    own = fit(made.assign_coords(time=dates))
    assert own.card.data[0].period == "2001-01-16 to 2005-12-16, monthly"


def test_latitude_may_descend_or_ascend(record):
    losses = [
        fit(r, validation=0, patterns=2).history[-1]["train_loss"]
        for r in (record, record.isel(lat=slice(None, None, -1)))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.3)


def test_a_record_without_gaps():
    assert fit(cycles(3, 4)).history[-1]["val_loss"] > 0


def test_covariates(record):
    rain, heat = (record.fillna(0).rename(n) for n in "pt")
    own = fit(record, DRIVEN, covariates=[rain, heat])
    assert own.card.data[0].covariates == ("p", "t")
    assert record.geoml.fill_gaps(own, covariates=[rain, heat], progress=False).notnull().all()
    for none_or_one in (None, [rain]):
        with pytest.raises(ExecutionError, match=r"toy_driven@1.0 failed on input of shape"):
            fit(record, DRIVEN, covariates=none_or_one)
    with pytest.raises(SpecError, match="it makes no use of covariates"):
        fit(record, covariates=[rain])


def test_what_was_filled_before_is_not_learnt_from(record):
    filled = record.to_dataset().geoml.fill_gaps("climatology", progress=False)
    whole = record.to_dataset().reindex(time=filled.time)
    assert same(weights(fit(filled).path), weights(fit(whole).path))
    (field,) = fields(filled)
    assert np.isnan(field.arrays[0][..., 20:23]).all()


@pytest.mark.filterwarnings("ignore:training did not lower")
def test_shipped_networks_train(record):
    tiny = {"d_model": 8, "layers": 1, "ffn": 8, "kernel": 5, "driver_width": 4}
    own = fit(record, "grace_tf", model_options=tiny, validation=0.3)
    assert own.spec.options["d_model"] == 8
    assert own.spec.weights is None
    row = own.card.skill[0]
    assert {"grace_tf", "kalman", "linear", "climatology"} <= set(row.values)
    assert row.coverage is not None
    assert set(row.crps) >= {"grace_tf", "kalman"}


def test_third_party_networks_with_shared_or_no_parameters(record):
    tied = SERIES.replace(name="toy_tied", factory=toys.TiedNet)
    own = fit(record, tied)
    held = weights(own.path)
    assert np.array_equal(held["before.weight"], held["after.weight"])
    again = fit(record, own, learning_rate=1e-3)
    assert record.geoml.fill_gaps(again, progress=False).notnull().all()


BROKEN = {
    "no parameters": (SERIES.replace(factory=toys.NoParameters), "has no parameters; expected"),
    "one step less": (
        SERIES.replace(factory=toys.SeriesNet, outputs=("value", "log_spread")),
        r"returned \(2, 1, 60\) for input of shape \(2, 2, 60\): \(sample, value, validity, "
        r"\*axes\); expected shape \(2, 2, 60\): \(sample, value and log_spread",
    ),
    "other channels": (
        SERIES.replace(options={"channels": 5}),
        r"failed on input of shape \(2, 2, 60\): .*expected input.*to have 5 channels",
    ),
    "nan": (SERIES.replace(factory=toys.GivesNaN), "returned values that are not finite"),
    "long only": (
        SERIES.replace(factory=toys.LongOnly),
        r"failed on input of shape \(2, 2, 30\).*30 steps are too few",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_network_that_does_not_fit_is_told_of_before_training(record, fault, tmp_path):
    spec, told = BROKEN[fault]
    with pytest.raises(ExecutionError, match=told):
        fit(record, spec.replace(name="toy_broken"), logdir=tmp_path, patterns=10**6)
    assert not (tmp_path / "last.safetensors").exists()


def test_the_minimum_of_an_axis_is_kept(record):
    spec = SERIES.replace(factory=toys.LongOnly, axes=(AxisSpec("T", minimum=48),))
    assert fit(record, spec, steps=10).history
    with pytest.raises(SpecError, match="has 30 steps, expected at least 48"):
        fit(record.isel(time=slice(0, 30)), spec)


def test_a_loss_that_is_no_number_ends_training(record, tmp_path):
    spec = SERIES.replace(name="toy_nan", factory=toys.GivesNaN, options={"after": 2})
    with pytest.raises(ExecutionError, match=r"the loss of toy_nan@1.0 is not finite in epoch 1"):
        fit(record, spec, logdir=tmp_path)
    assert not (tmp_path / "model.safetensors").exists()


def test_a_network_that_breaks_at_the_last_step_is_no_model(record):
    # No loss shows it any more: only the parameters do.
    spec = SERIES.replace(name="toy_steep", factory=toys.Steep)
    with pytest.raises(ExecutionError, match=r"training of toy_steep@1.0 ended with .*'bend'"):
        fit(record, spec, validation=0, max_epochs=1, steps=1)


BAD = {
    "classical": ({"model": "kalman"}, SpecError, r"cannot be trained:\s+- it has no parameters"),
    "auto": ({"model": "auto"}, ModelNotFoundError, "auto"),
    "unknown": ({"model": "grace_tff"}, ModelNotFoundError, "grace_tf"),
    "no model": ({"model": 3}, InputError, "model=3: expected a name"),
    "max_time": ({"max_time": "soon"}, InputError, "max_time='soon': expected seconds, or"),
    "max_time bool": ({"max_time": True}, InputError, "max_time=True: expected seconds"),
    "max_time 0": ({"max_time": 0}, InputError, "max_time=0.0: expected a number above 0"),
    "max_time -": ({"max_time": "-5min"}, InputError, "max_time=-300.0: expected"),
    "max_time NaT": ({"max_time": float("nan")}, InputError, "max_time=nan: expected"),
    "devices 0": ({"devices": 0}, InputError, "devices=0: expected a whole number, 1 or above"),
    "devices two": ({"devices": "two"}, InputError, "devices='two': expected a whole number"),
    "devices 5": ({"devices": 5}, InputError, "batch_size=16: expected a multiple of 5"),
    "nodes": ({"nodes": 2}, InputError, "nodes=2: start the same program on every machine"),
    "batch": ({"accumulate": 5}, InputError, "batch_size=16: expected a multiple of 5"),
    "rate": ({"learning_rate": 0}, InputError, "learning_rate=0: expected a number above 0"),
    "schedule": ({"schedule": "steep"}, InputError, "schedule='steep': expected one of"),
    "validation": ({"validation": 0.9}, InputError, "validation=0.9: expected a number from 0"),
    "patience": (
        {"patience": 2, "validation": 0},
        InputError,
        "validation=0: patience= and schedule='plateau' need",
    ),
    "precision": ({"precision": "float16"}, InputError, "expected 'bfloat16' or 'float32' on a"),
    "device": ({"device": "cuda:99"}, InputError, "device 'cuda:99' is not here"),
    "scaling": ({"scaling": "none"}, SpecError, "scaling 'none': expected one of"),
    "options": ({"model_options": {"depth": 2}}, SpecError, "'depth': expected one of"),
    "variables": ({"variables": "tws"}, InputError, "goes with a Dataset"),
    "resume": ({"resume": "nowhere"}, InputError, "nowhere holds no training that can be gone on"),
    "resume and logdir": ({"resume": "a", "logdir": "b"}, InputError, "leave logdir= out"),
    "dims": ({"dims": "time"}, GeoMLError, "dims='time': expected a mapping"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments(record, case, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    changes, error, told = BAD[case]
    with pytest.raises(error, match=told):
        fit(record, **changes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("max_time", ["5min", 300, timedelta(minutes=5), np.int64(300)])
def test_forms_of_a_length_of_time(max_time):
    assert fit_settings.seconds(max_time) == 300.0
    assert fit_settings.seconds(np.timedelta64(5, "m")) == 300.0


def test_without_lightning(record, monkeypatch):
    found = fit_module.importlib.util.find_spec
    monkeypatch.setattr(
        fit_module.importlib.util, "find_spec", lambda n: None if n == "lightning" else found(n)
    )
    with pytest.raises(MissingExtraError, match=r'pip install "xgeoml\[train\]"'):
        fit(record)


BAD_DATA = {
    "too short": (cycles(3, steps=5), InputError, "is less than a few observed steps"),
    "missing": (cycles(3) * np.nan, InputError, "missing everywhere"),
    "missing and lazy": ((cycles(3) * np.nan).chunk(), InputError, "missing everywhere"),
    "no time": (cycles(3).isel(time=0), GeoMLError, "time"),
    "integers": (cycles(3).astype(int).to_dataset(), InputError, "no floating-point variable"),
    "no object": (np.zeros(3), InputError, "found a ndarray; expected an xarray DataArray"),
    "empty tree": (xr.DataTree.from_dict({"/a": xr.Dataset()}), InputError, "no data variables"),
    "constant": (cycles(3) * 0 + 5, InputError, "tws holds nothing to learn from"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_data_that_teach_nothing(case):
    obj, error, told = BAD_DATA[case]
    with pytest.raises(error, match=told):
        fit(obj)


def test_a_network_on_single_values_cannot_learn(record):
    with pytest.raises(SpecError, match="it sees every value by itself"):
        fit(record, SERIES.replace(axes=()))


def test_errors_in_a_tree_name_the_group():
    tree = xr.DataTree.from_dict({"/deep/a": (cycles(3) * np.nan).to_dataset()})
    with pytest.raises(InputError) as caught:
        fit(tree)
    assert caught.value.__notes__ == ["in the group '/deep/a' of the DataTree"]


def test_training_scale_is_that_of_the_training_part(record):
    made = cycles(20, 20, steps=60) * 3 + 100
    own = fit(made, scaling="training", patterns=2, max_epochs=1)
    (field,) = fields(made)
    values = made.transpose("lat", "lon", "time").values[~field.aside][:, ~field.apart]
    assert own.spec.scale.mean == (pytest.approx(values.mean()),)
    assert own.spec.scale.deviation == (pytest.approx(values.std()),)
    assert xgeoml.load(own.path).spec.scale == own.spec.scale


def test_training_scale_in_use(record):
    spec = DRIVEN.replace(scaling="training")
    rain, heat = (record.fillna(0).rename(n) for n in "pt")
    own = fit(record, spec, covariates=[rain, heat])
    assert len(own.spec.scale.mean) == 3
    drivers = {"covariates": [rain, heat], "progress": False}
    one = record.geoml.fill_gaps(own, **drivers)
    lazy = record.chunk({"lat": 2, "lon": 1}).geoml.fill_gaps(own, covariates=[rain, heat])
    assert one.values.tobytes() == lazy.transpose(*one.dims).values.tobytes()
    # In absolute units a shift is no longer of no consequence.
    shifted = (record + 5).geoml.fill_gaps(own, **drivers) - 5
    assert float(abs(shifted - one).max()) > 1e-3
    with pytest.raises(SpecError, match="it was trained with 2 covariates; give as many"):
        record.geoml.fill_gaps(own, covariates=[rain])
    with pytest.raises(SpecError, match="it was trained with 2 covariates; give as many"):
        fit(record, own, covariates=[rain])
    with pytest.raises(SpecError, match="it knows no scale yet: train it first"):
        record.geoml.fill_gaps(spec, covariates=[rain, heat])
    more = fit(record + 50, own, covariates=[rain, heat], learning_rate=1e-3)
    assert more.spec.scale == own.spec.scale


def test_a_temporary_folder_goes_with_the_program(record, monkeypatch):
    held = []
    monkeypatch.setattr(fit_module.atexit, "register", lambda *a, **k: held.append((a, k)))
    path = fit(record, max_epochs=1).path
    assert path.exists()
    (((function, *arguments), named),) = held
    function(*arguments, **named)
    assert not path.parent.exists()
