"""The battery: every registered model passes it, and every fault is found by the check for it."""

import bad_models
import pytest
import toys
import xarray as xr

from xgeoml.exceptions import InputError, ModelNotFoundError
from xgeoml.models.catalog import BUILT_IN
from xgeoml.spec import AxisSpec, Channel, ModelSpec
from xgeoml.testing import (
    CHECKS,
    ModelCheckError,
    assert_lazy,
    check_model,
    list_checks,
    raise_if_computes,
    records,
)

VALUE = (Channel("value"), Channel("validity"))
SERIES = ModelSpec(
    name="toy_series",
    task="fill_gaps",
    factory=toys.SeriesNet,
    inputs=VALUE,
    outputs=("value", "log_spread"),
    options={"outputs": 2},
    summary="a tiny network of series",
)
DRIVEN = ModelSpec(
    name="toy_driven",
    task="fill_gaps",
    factory=bad_models.Driven,
    inputs=(*VALUE, Channel("estimate", "climatology"), Channel("covariates")),
    outputs=("residual",),
    covariates=True,
    summary="a network that takes drivers",
)
FIELDS = ModelSpec(
    name="toy_fields",
    task="fill_gaps",
    factory=toys.FieldNet,
    axes=(AxisSpec("Y", "window", 4, 2), AxisSpec("X", "window", 4, 2)),
    inputs=VALUE,
    summary="a tiny network of fields",
)


@pytest.mark.parametrize("model", BUILT_IN)
def test_every_registered_model_passes(model):
    report = check_model(model)
    months = BUILT_IN[model].axis("T").coarsen > 1
    assert set(report) == set(list_checks(months=months)) - {"processes"}
    skipped = {name for name, said in report.items() if said.startswith("skipped")}
    assert skipped <= {"weights_file", "parameters"}


@pytest.mark.parametrize("spec", [SERIES, DRIVEN, FIELDS], ids=lambda s: s.name)
def test_a_network_of_a_third_party_passes(spec):
    report = check_model(spec)
    assert report["batches"] == report["covariates"] == report["chunks"] == "passed"
    assert (report["weights_file"] == "passed") == (spec is not DRIVEN)


@pytest.mark.parametrize("model", ["kalman", "grace_tf"])
def test_other_processes_give_the_same_bits(model):
    assert check_model(model, checks=["processes"]) == {"processes": "passed"}


@pytest.mark.parametrize(
    ("factory", "check"),
    [
        (bad_models.Remembers, "no_leak"),
        (bad_models.ThinksInCentimetres, "units"),
        (bad_models.Random, "repeatable"),
        (bad_models.AsksItsNeighbours, "batches"),
        (bad_models.TooSure, "spread"),
        (bad_models.Gullible, "suspect"),
        (bad_models.GivesUp, "gaps_filled"),
        (bad_models.NeedsTwoSteps, "one_step"),
        (bad_models.Warns, "constant_cell"),
    ],
)
def test_a_fault_is_found(factory, check):
    with pytest.raises(ModelCheckError) as caught:
        check_model(bad_models.classical(factory), checks=[check, "metadata"])
    assert list(caught.value.failures) == [check]


@pytest.mark.parametrize(
    ("spec", "check"),
    [
        (bad_models.classical(bad_models.Blind, covariates=True), "covariates"),
        (bad_models.classical(bad_models.Blind, summary=""), "card"),
        (bad_models.network(bad_models.BatchNormal), "batches"),
        (bad_models.network(bad_models.Undrawn), "repeatable"),
        (bad_models.network(toys.WrongShape), "observed"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_a_fault_of_a_spec_or_a_network_is_found(spec, check):
    with pytest.raises(ModelCheckError) as caught:
        check_model(spec, checks=[check])
    assert list(caught.value.failures) == [check]


def test_all_faults_are_told_at_once():
    spec = bad_models.classical(bad_models.TooSure, summary="")
    with pytest.raises(ModelCheckError, match="fails 2 checks") as caught:
        check_model(spec, checks=["spread", "card", "observed"])
    assert set(caught.value.failures) == {"spread", "card"}
    assert "faulty@1.0" in str(caught.value)
    assert isinstance(caught.value, AssertionError)


def test_checks_are_named():
    assert list_checks() == list(CHECKS)
    assert all(check.__doc__ for check in CHECKS.values())
    with pytest.raises(InputError, match=r"did you mean.*chunks"):
        check_model("linear", checks=["chunk"])
    with pytest.raises(ModelNotFoundError, match="'linear'"):
        check_model("linaer")


def test_a_check_may_be_skipped_and_says_why():
    report = check_model("linear", checks=["weights_file"])
    assert report == {"weights_file": "skipped: it has no weights"}


def test_what_computes_is_caught():
    lazy = records.record().chunk(lat=2)
    assert_lazy(lazy)
    assert_lazy(lazy.to_dataset())
    with raise_if_computes():
        made = lazy + 1
    assert_lazy(made)
    with pytest.raises(AssertionError, match="should stay lazy"), raise_if_computes():
        made.compute()
    with pytest.raises(AssertionError, match="in memory, expected lazy: storage"):
        assert_lazy(lazy.compute().to_dataset())
    with pytest.raises(AssertionError, match="storage"):
        assert_lazy(lazy.compute())
    tree = xr.DataTree.from_dict({"/a": lazy.compute().to_dataset()})
    with pytest.raises(AssertionError, match="/a:storage"):
        assert_lazy(tree)


def test_the_record_of_the_checks_has_what_they_need():
    data = records.record()
    assert data.sizes == {"time": 57, "lat": 6, "lon": 7}
    assert bool(data.isel(records.EMPTY_CELL).isnull().all())
    full = data.geoml.fill_gaps("linear")
    assert full.sizes["time"] == records.N_TIME
    assert not bool((full["storage_fill_flag"] == 3).any()), "a good step is taken for a bad one"
    assert records.record().identical(data)
