"""Whether a model can be used here and now, told without hashing and without the network."""

import re
from pathlib import Path

import pytest

import xgeoml
from xgeoml.spec import WeightsRef
from xgeoml.weights import availability as module
from xgeoml.weights.availability import EXTRAS, availability


def lacking(**changes):
    """Return a network whose weights are not here."""
    ref = {"file": "no.safetensors", "sha256": "0" * 64, "size": 3_210_000, **changes}
    return xgeoml.get_model("grace_tf").replace(weights=WeightsRef(**ref))


def test_weights_that_are_here():
    assert availability(xgeoml.get_model("climanet")) == "weights here"
    assert availability(xgeoml.get_model("kalman")) == ""


def test_weights_that_are_not(monkeypatch):
    assert availability(lacking()) == "weights not here, 3.2 MB, no mirror of them is known"
    mirrored = lacking(urls=("https://example.org/no.safetensors",))
    assert availability(mirrored) == "weights will be downloaded, 3.2 MB"
    monkeypatch.setenv("XGEOML_WEIGHTS_URL", "https://example.org")
    assert availability(lacking(size=None)) == "weights will be downloaded"
    monkeypatch.setenv("XGEOML_OFFLINE", "1")
    assert availability(mirrored) == "weights not here, 3.2 MB, and XGEOML_OFFLINE is set"


def test_a_file_of_another_size_is_another_one(monkeypatch, tmp_path):
    monkeypatch.setenv("XGEOML_WEIGHTS_PATH", str(tmp_path))
    (tmp_path / "no.safetensors").write_bytes(b"abc")
    assert availability(lacking(size=3)) == "weights here"
    assert availability(lacking(size=None)) == "weights here"
    assert "not here" in availability(lacking(size=4))


def test_packages_that_are_missing(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    assert availability(xgeoml.get_model("swin2sr")) == "needs: pip install 'xgeoml[swin]'"
    assert availability(xgeoml.get_model("grace_tf")) == "weights here"


def test_every_extra_of_a_model_is_known():
    said = {}
    for path in (Path(xgeoml.__file__).parent / "models").glob("*.py"):
        call = r'MissingExtraError\("(\w+)", "model \'(\w+)\'", "(\w+)"\)'
        for extra, name, package in re.findall(call, path.read_text("utf-8")):
            said[name] = (package, extra)
    assert said == EXTRAS


@pytest.mark.parametrize("name", ["swin2sr", "ddpm"])
def test_the_repr_says_what_to_fit(name):
    fine = xgeoml.datasets.mountain_temperature(steps=2)
    text = " ".join(repr(fine.geoml).split())
    assert name in text.partition("networks, to be fitted first: ")[2].partition("interp_time")[0]
