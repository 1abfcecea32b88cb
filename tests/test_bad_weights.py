"""Every weights file that is not what it should be gives one clear error."""

import json
import struct

import pytest
import toys

import xgeoml
from xgeoml.exceptions import HashError, WeightsError
from xgeoml.spec import Channel, ModelSpec, WeightsRef

NETWORK = ModelSpec(
    name="toy",
    task="fill_gaps",
    factory=toys.SeriesNet,
    inputs=(Channel("value"),),
    options={"channels": 1},
)


def array():
    return xgeoml.datasets.grace_like(nlat=4, nlon=5).isel(time=slice(0, 40))["lwe_thickness"]


def refused(obj, keywords, error):
    """Return the message of the one error of a call, whose input must not change."""
    before = obj.copy(deep=True)
    with pytest.raises(error) as caught:
        xgeoml.fill_gaps(obj, **keywords)
    assert type(caught.value) is error
    assert obj.identical(before)
    return str(caught.value)


@pytest.fixture
def weights(tmp_path):
    """Return a sound weights file."""
    from safetensors.torch import save_file

    path = tmp_path / "toy.safetensors"
    state = NETWORK.load_factory()(channels=1).state_dict()
    save_file(state, path, metadata={"spec": NETWORK.to_json()})
    return path


def test_sound_weights_are_taken(weights):
    made = array().geoml.fill_gaps(weights)
    assert made.identical(array().geoml.fill_gaps(str(weights)).assign_attrs(made.attrs))


@pytest.mark.parametrize("kept", [0, 4, 50, 300, -1])
def test_a_truncated_file(weights, kept):
    weights.write_bytes(weights.read_bytes()[:kept])
    text = refused(array(), {"model": weights}, WeightsError)
    assert str(weights) in text
    assert "expected a safetensors file" in text


def test_a_file_of_another_kind(weights):
    weights.write_bytes(b"\x80\x04 a pickle, not a safetensors file at all" * 20)
    assert "expected a safetensors file" in refused(array(), {"model": weights}, WeightsError)


def test_a_damaged_header(weights):
    content = bytearray(weights.read_bytes())
    content[20:40] = b"\xff" * 20
    weights.write_bytes(bytes(content))
    assert "cannot be read" in refused(array(), {"model": weights}, WeightsError)


def test_weights_without_a_spec(weights):
    from safetensors.torch import save_file

    save_file(NETWORK.load_factory()(channels=1).state_dict(), weights)
    text = refused(array(), {"model": weights}, WeightsError)
    assert "spec in its header" in text


def test_weights_with_a_spec_that_makes_no_sense(weights):
    header = json.dumps({"__metadata__": {"spec": '{"name": "toy"}'}}).encode()
    weights.write_bytes(struct.pack("<Q", len(header)) + header)
    text = refused(array(), {"model": weights}, WeightsError)
    assert "no valid spec" in text
    assert "'factory' is missing" in text


def test_weights_of_another_network(weights):
    from safetensors.torch import save_file

    other = NETWORK.load_factory()(channels=3).state_dict()
    save_file(other, weights, metadata={"spec": NETWORK.to_json()})
    text = refused(array(), {"model": weights}, WeightsError)
    assert "does not fit" in text


def test_weights_whose_factory_is_not_installed(weights):
    from safetensors.torch import save_file

    spec = NETWORK.replace(factory="no_such_package.nets:Net")
    save_file(NETWORK.load_factory()(channels=1).state_dict(), weights, {"spec": spec.to_json()})
    text = refused(array(), {"model": weights}, WeightsError)
    assert "no_such_package.nets:Net, which is not imported on a file's word" in text
    assert "type first: import no_such_package.nets" in text


def test_weights_whose_factory_is_no_network(weights):
    from safetensors.torch import save_file

    spec = NETWORK.replace(factory="os:system", options={"command": "exit 1"})
    save_file(NETWORK.load_factory()(channels=1).state_dict(), weights, {"spec": spec.to_json()})
    text = refused(array(), {"model": weights}, WeightsError)
    assert "os:system as its model, which is not a torch.nn.Module" in text


def test_weights_that_are_nowhere():
    spec = NETWORK.replace(weights=WeightsRef("gone.safetensors", "0" * 64))
    text = refused(array(), {"model": spec}, WeightsError)
    assert "gone.safetensors" in text
    assert "was not found" in text
    assert "XGEOML_WEIGHTS_PATH" in text


def test_shipped_weights_that_were_changed(weights, monkeypatch):
    folder = weights.parent / "their_changed_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    weights.rename(folder / weights.name)
    monkeypatch.syspath_prepend(str(weights.parent))
    ref = WeightsRef(weights.name, "0" * 64, package=folder.name)
    text = refused(array(), {"model": NETWORK.replace(weights=ref)}, HashError)
    assert "expected " + "0" * 64 in text
    assert "nstall their_changed_package again" in text
