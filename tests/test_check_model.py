"""The battery: every registered model passes it, and every fault is found by the check for it."""

import bad_models
import bad_refiners
import pytest
import toys
import xarray as xr

from xgeoml.engine import refine
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
from xgeoml.testing.battery import OF_GRIDS

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


# Networks that are fitted in the check, small.
SMALL = {
    "conv_baseline": {"width": 8},
    "swin2sr": {"embed": 12, "depths": [2], "heads": [2]},
    "ddpm": {
        "steps": 2,
        "unet_options": {
            "patch": 2,
            "n_channels": 8,
            "channel_multipliers": [1, 1],
            "is_attention": [False, True],
            "n_blocks": 1,
        },
    },
}


def small(model):
    """Return a network that is fitted soon, with a first estimate that need not be fitted."""
    spec = BUILT_IN[model].with_options(SMALL[model])
    inputs = [Channel("estimate", "bicubic") if c.name else c for c in spec.inputs]
    return spec.replace(inputs=tuple(inputs))


def of_task(task):
    return [name for name, spec in BUILT_IN.items() if spec.task == task]


@pytest.mark.parametrize("model", of_task("fill_gaps"))
def test_every_registered_model_passes(model):
    report = check_model(model)
    months = BUILT_IN[model].axis("T").coarsen > 1
    assert set(report) == set(list_checks(months=months)) - {"processes"}
    skipped = {name for name, said in report.items() if said.startswith("skipped")}
    assert skipped <= {"weights_file", "parameters"}


@pytest.mark.parametrize("model", of_task("downscale"))
def test_every_registered_model_of_downscaling_passes(model):
    spec = BUILT_IN[model]
    report = check_model(small(model) if model in SMALL else model)
    assert set(report) == set(list_checks("downscale")) - {"processes"}
    skipped = {name for name, said in report.items() if said.startswith("skipped")}
    learns = hasattr(spec.load_factory(), "fit") or (spec.backend == "torch" and not spec.weights)
    allowed = {"planes"} if model in SMALL or model == "nearest" else set()
    allowed |= {"units", "far_values"} if model in SMALL else set()
    allowed |= {"far_values"} if learns else {"unseen_truth", "weights_file", "parameters"}
    whole = {"far_cells", "near_missing", "seams", "small_grids", "global_roll"}
    allowed |= whole if spec.bound else {"other_grid"}
    assert skipped <= allowed


def test_a_network_around_an_estimate_that_is_fitted_too():
    spec = BUILT_IN["ddpm"].with_options(SMALL["ddpm"])
    fitted = [b for b in spec.bases if hasattr(BUILT_IN[b].load_factory(), "fit")]
    assert fitted
    checks = ["no_leak", "means_kept", "weights_file", "chunks"]
    assert check_model(spec, checks=checks) == dict.fromkeys(checks, "passed")


@pytest.mark.parametrize("model", ["bicubic", "delta"])
def test_other_processes_make_the_same_fine_fields(model):
    assert check_model(model, checks=["processes"]) == {"processes": "passed"}


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


@pytest.mark.parametrize(
    ("factory", "check"),
    [
        (bad_refiners.Remembers, "no_leak"),
        (bad_refiners.Remembers, "far_cells"),
        (bad_refiners.KnowsItsWindow, "seams"),
        (bad_refiners.NoFrost, "units"),
        (bad_refiners.Steps, "planes"),
        (bad_refiners.GivesUp, "missing"),
        (bad_refiners.Careful, "near_missing"),
        (bad_refiners.Random, "repeatable"),
        (bad_refiners.AsksOtherSteps, "batches"),
        (bad_refiners.Warns, "constant"),
        (bad_refiners.NeedsThree, "small_grids"),
        (bad_refiners.Single, "far_values"),
        (bad_refiners.ChangesItsInput, "missing"),
    ],
)
def test_a_fault_of_an_interpolator_is_found(factory, check):
    with pytest.raises(ModelCheckError) as caught:
        check_model(bad_refiners.interpolator(factory), checks=[check, "metadata"])
    assert list(caught.value.failures) == [check]


@pytest.mark.parametrize(
    ("spec", "check"),
    [
        (bad_refiners.interpolator(bad_refiners.Steps, covariates=True), "covariates"),
        (bad_refiners.interpolator(bad_refiners.Steps, summary=""), "card"),
        (bad_refiners.learner(bad_refiners.Dices), "unseen_truth"),
        (bad_refiners.learner(bad_refiners.Bold), "units"),
        (bad_refiners.network(bad_refiners.BatchNormal), "batches"),
        (bad_refiners.network(bad_refiners.Undrawn), "repeatable"),
        (bad_refiners.network(bad_refiners.Deaf), "members"),
        (bad_refiners.network(bad_refiners.Coarse), "means_kept"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_a_fault_of_what_learns_from_pairs_is_found(spec, check):
    with pytest.raises(ModelCheckError) as caught:
        check_model(spec, checks=[check])
    assert list(caught.value.failures) == [check]


def test_sound_models_of_others_pass():
    report = check_model(bad_refiners.learner(bad_refiners.Learner))
    assert {"passed"} == {report[n] for n in ("no_leak", "units", "planes", "chunks", "card")}


def test_what_keeps_no_means_is_found(monkeypatch):
    monkeypatch.setattr(refine, "conserve", lambda made, *_: made)
    with pytest.raises(ModelCheckError, match="means differ by up to"):
        check_model("bilinear", checks=["means_kept"])


def test_all_faults_are_told_at_once():
    spec = bad_models.classical(bad_models.TooSure, summary="")
    with pytest.raises(ModelCheckError, match="fails 2 checks") as caught:
        check_model(spec, checks=["spread", "card", "observed"])
    assert set(caught.value.failures) == {"spread", "card"}
    assert "faulty@1.0" in str(caught.value)
    assert isinstance(caught.value, AssertionError)


def test_checks_are_named():
    assert list_checks() == list(CHECKS)
    assert list_checks("downscale") == list(OF_GRIDS)
    assert all(check.__doc__ for check in OF_GRIDS.values())
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
