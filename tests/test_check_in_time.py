"""The battery of interpolation in time: every model passes it, and every fault is found."""

import bad_in_time
import pytest

import xgeoml
from xgeoml.engine import in_time
from xgeoml.models.catalog import SPECS
from xgeoml.testing import ModelCheckError, check_model, list_checks
from xgeoml.testing.battery import OF_TIMES

OURS = [spec for spec in SPECS if spec.task == "interp_time"]


@pytest.mark.parametrize("spec", OURS, ids=lambda s: s.name)
def test_every_registered_model_passes(spec):
    report = check_model(spec.name, task="interp_time")
    assert set(report) == set(list_checks("interp_time")) - {"processes"}
    skipped = {name for name, said in report.items() if said.startswith("skipped")}
    allowed = {"batches"} if spec.backend == "numpy" else set()
    if hasattr(spec.load_factory(), "fit"):
        allowed |= {"far_values", "global_roll", "small_grids"}
    else:
        allowed |= {"learns_again", "weights_file", "other_grid"}
        allowed |= {"parameters"} if spec.backend == "numpy" else {"far_values"}
    assert skipped <= allowed


@pytest.mark.parametrize(
    "spec", ["akima", bad_in_time.learner(bad_in_time.Learner)], ids=["akima", "learner"]
)
def test_other_processes_give_the_same_bits(spec):
    made = check_model(spec, task="interp_time", checks=["processes"])
    assert made == {"processes": "passed"}


@pytest.mark.parametrize(
    ("factory", "check"),
    [
        (bad_in_time.Remembers, "no_leak"),
        (bad_in_time.AsksOtherCells, "no_leak"),
        (bad_in_time.AsksOtherCells, "chunks"),
        (bad_in_time.Jumps, "ends"),
        (bad_in_time.NoFrost, "units"),
        (bad_in_time.Swings, "somewhere_between"),
        (bad_in_time.Swings, "irregular"),
        (bad_in_time.GivesUp, "missing_cells"),
        (bad_in_time.GivesUpFields, "missing_fields"),
        (bad_in_time.Random, "repeatable"),
        (bad_in_time.KnowsItsStretch, "passes"),
        (bad_in_time.CountsTimes, "passes"),
        (bad_in_time.Warns, "constant"),
        (bad_in_time.NeedsThree, "few_steps"),
        (bad_in_time.Single, "far_values"),
        (bad_in_time.OnlyStrong, "vectors_flip"),
    ],
)
def test_a_fault_of_an_interpolator_is_found(factory, check):
    with pytest.raises(ModelCheckError) as caught:
        check_model(bad_in_time.interpolator(factory), checks=[check, "metadata"])
    assert list(caught.value.failures) == [check]


@pytest.mark.parametrize(
    ("spec", "check"),
    [
        (bad_in_time.interpolator(bad_in_time.Jumps, summary=""), "card"),
        (bad_in_time.learner(bad_in_time.Dices), "learns_again"),
        (bad_in_time.learner(bad_in_time.Bold), "units"),
        (bad_in_time.learner(bad_in_time.Southward), "curvilinear"),
        (bad_in_time.learner(bad_in_time.Southward), "stations"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_a_fault_of_a_spec_or_of_what_learns_is_found(spec, check):
    with pytest.raises(ModelCheckError) as caught:
        check_model(spec, checks=[check])
    assert list(caught.value.failures) == [check]


def test_a_sound_model_of_others_passes():
    report = check_model(bad_in_time.learner(bad_in_time.Learner))
    skipped = {name for name, said in report.items() if said.startswith("skipped")}
    assert skipped == {"far_values", "batches", "global_roll", "small_grids"}


def test_what_keeps_no_totals_is_found(monkeypatch):
    monkeypatch.setattr(in_time, "divide", lambda total, rate, owner, parts, sign: rate)
    with pytest.raises(ModelCheckError, match="parts differ from their total"):
        check_model("linear", task="interp_time", checks=["totals"])


def test_what_changes_given_steps_is_found(monkeypatch):
    plain = in_time._pass
    monkeypatch.setattr(in_time, "_pass", lambda *given: plain(*given) * 1.0001)
    with pytest.raises(ModelCheckError, match="the given steps"):
        check_model("linear", task="interp_time", checks=["ends"])


def test_checks_are_named():
    assert list_checks("interp_time") == list(OF_TIMES)
    assert all(check.__doc__ for check in OF_TIMES.values())
    assert check_model("linear", checks=["units"]) == {"units": "passed"}, "of fill_gaps"
    with pytest.raises(xgeoml.InputError, match="did you mean"):
        check_model("linear", task="interp_time", checks=["end"])
    with pytest.raises(xgeoml.ModelNotFoundError):
        check_model("kalman", task="interp_time")
