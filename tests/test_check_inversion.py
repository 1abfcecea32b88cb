"""The battery of waveform inversion: every model passes it, and every fault is found."""

import bad_inversions as bad
import numpy as np
import pytest

import xgeoml
import xgeoml.tasks.greens
import xgeoml.tasks.inverting
from xgeoml.engine import inversion
from xgeoml.models.catalog import SPECS
from xgeoml.spec import Channel
from xgeoml.tasks.samples import Samples
from xgeoml.testing import ModelCheckError, check_model, list_checks
from xgeoml.testing.battery import OF_SOURCES
from xgeoml.weights.files import write_weights

OURS = [spec for spec in SPECS if spec.task == "invert_waveform"]
# What a model without a file is not asked.
NO_FILE = {"weights_file", "parameters"}


def skipped(report):
    return {name for name, said in report.items() if said.startswith("skipped")}


@pytest.mark.parametrize("spec", OURS, ids=lambda s: s.name)
def test_every_registered_model_passes(spec):
    report = check_model(spec.name)
    assert set(report) == set(list_checks("invert_waveform")) - {"processes"}
    assert skipped(report) <= (NO_FILE if spec.backend == "numpy" else {"weights_file"})


def test_other_processes_do_the_same():
    made = check_model(bad.network(bad.Net), checks=["processes"])
    assert made == {"processes": "passed"}


@pytest.mark.parametrize(
    ("spec", "left_out"),
    [
        (bad.deconvolution(bad.Plain), NO_FILE),
        (bad.network(bad.Alone, inputs=(Channel("value"),), outputs=("value",)), set()),
    ],
    ids=["numpy", "network"],
)
def test_sound_models_of_others_pass(spec, left_out):
    assert skipped(check_model(spec)) == left_out


@pytest.mark.parametrize(
    ("factory", "check"),
    [
        (bad.Remembers, "no_leak"),
        (bad.AsksOtherEvents, "no_leak"),
        (bad.AnySign, "signs"),
        (bad.OnlyPositive, "signs"),
        (bad.Late, "forward"),
        (bad.Overwrites, "forward"),
        (bad.Whole, "lengths"),
        (bad.Even, "lengths"),
        (bad.Silent, "lengths"),
        (bad.FirstStation, "stations"),
        (bad.CountsStations, "missing_stations"),
        (bad.Divides, "silent"),
        (bad.Never, "silent"),
        (bad.Random, "repeatable"),
        (bad.Crowds, "chunks"),
        (bad.Crowds, "batches"),
        (bad.Crowds, "one_event"),
    ],
)
def test_a_fault_of_a_deconvolution_is_found(factory, check):
    with pytest.raises(ModelCheckError) as caught:
        check_model(bad.deconvolution(factory), checks=[check, "infinities"])
    assert list(caught.value.failures) == [check]


@pytest.mark.parametrize(
    ("spec", "check"),
    [
        (bad.network(bad.CrowdNet), "batches"),
        (bad.network(bad.CrowdNet), "one_event"),
        (bad.network(bad.OrderNet), "stations"),
        (bad.network(bad.UnsureNet), "spread"),
        (bad.network(bad.Net, summary=""), "card"),
        (bad.deconvolution(bad.Plain, summary=" "), "card"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_a_fault_of_a_network_or_a_spec_is_found(spec, check):
    with pytest.raises(ModelCheckError) as caught:
        check_model(spec, checks=[check, "infinities"])
    assert list(caught.value.failures) == [check]


def test_a_file_without_a_card_and_with_wrong_numbers_is_found(tmp_path):
    state = {k: v.detach().numpy() for k, v in bad.Net().state_dict().items()}
    state["layer.bias"] = np.array([0.0, np.inf], np.float32)
    path = write_weights(tmp_path / "own.safetensors", state, bad.network(bad.Net))
    with pytest.raises(ModelCheckError) as caught:
        check_model(path, checks=["weights_file", "card", "parameters"])
    assert list(caught.value.failures) == ["card", "parameters"]


def test_an_engine_that_knows_no_units_is_found(monkeypatch):
    coarse = bad.deconvolution(bad.Coarse)
    assert check_model(coarse, checks=["units"]) == {"units": "passed"}, "given numbers about 1"
    monkeypatch.setattr(inversion, "_size", lambda values: np.ones(len(values)))
    with pytest.raises(ModelCheckError, match="units"):
        check_model(coarse, checks=["units"])


@pytest.mark.parametrize(
    ("where", "name", "wrong", "check"),
    [
        (inversion, "_longest", lambda gaps: (0, 20), "gaps"),
        (inversion, "_misfit", lambda gather, source: gather.record.std(-1), "forward"),
        (inversion, "matched", lambda g: (g, np.ones(g.record.shape[:2])), "free_amplitudes"),
        (Samples, "since", lambda self, other: (self.clock, self.first), "clocks"),
        (xgeoml.tasks.greens, "on_labels", lambda greens, *other: greens, "labels"),
        (xgeoml.tasks.inverting, "float_dtype", lambda _: np.dtype(float), "dtypes"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_a_fault_around_the_model_is_found(monkeypatch, where, name, wrong, check):
    monkeypatch.setattr(where, name, wrong)
    with pytest.raises(ModelCheckError, match=check):
        check_model(bad.deconvolution(bad.Plain), checks=[check])


def test_a_base_model_is_a_deconvolution():
    inputs = (Channel("value"), Channel("estimate", "eq_tf"))
    with pytest.raises(ModelCheckError, match="expected deconvolutions, such as 'nnls'"):
        check_model(bad.network(bad.Net, inputs=inputs), checks=["repeatable"])


def test_checks_are_named():
    assert list_checks("invert_waveform") == list(OF_SOURCES)
    assert all(check.__doc__ for check in OF_SOURCES.values())
    with pytest.raises(xgeoml.InputError, match="did you mean"):
        check_model("wiener", checks=["sign"])
    with pytest.raises(xgeoml.ModelNotFoundError):
        check_model("kalman", task="invert_waveform")
