"""A weights file is a stranger's: whatever its header says, nothing of it runs."""

import json
import sys

import numpy as np
import pytest
import toys
from safetensors.numpy import save_file

import xgeoml
from xgeoml import registry
from xgeoml.exceptions import SpecError, WeightsError
from xgeoml.spec import ModelSpec
from xgeoml.tasks.choose import make_handle

TOY = {
    "name": "toy",
    "task": "fill_gaps",
    "factory": "toys:SeriesNet",
    "axes": [{"axis": "T"}],
    "inputs": [{"role": "value"}],
    "options": {"channels": 1},
}


@pytest.fixture
def hostile(tmp_path):
    """Return what writes a file with a spec of any kind."""

    def write(**changes):
        path = tmp_path / "hostile.safetensors"
        state = toys.SeriesNet(channels=1).state_dict()
        arrays = {k: v.numpy() for k, v in state.items()}
        save_file(arrays, path, {"spec": json.dumps({**TOY, **changes})})
        return path

    return write


def refused(path, error=WeightsError, **options):
    with pytest.raises(error) as caught:
        make_handle(path, "fill_gaps", options or None, 0)
    return str(caught.value)


def test_a_sound_file_is_taken(hostile):
    assert make_handle(hostile(), "fill_gaps", None, 0).spec.name == "toy"


@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_no_command_is_run(backend, hostile, tmp_path):
    mark = tmp_path / "run"
    path = hostile(factory="os:system", options={"command": f"touch {mark}"}, backend=backend)
    assert "was not called" in refused(path)
    assert "was not called" in refused(path, command=f"touch {mark}")
    with pytest.raises(WeightsError):
        xgeoml.datasets.grace_like(nlat=4, nlon=5).geoml.fill_gaps(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "factory",
    [
        *("subprocess:Popen", "builtins:eval", "builtins:open", "pathlib:Path", "toys:torch.save"),
        *("shutil:rmtree", "os:path.join", "toys:torch", "torch:load", "json:JSONDecoder"),
        *("xgeoml.cli:main", "xgeoml.models.kalman:Kalman", "torch.nn.functional:relu"),
    ],
)
def test_only_networks_are_networks(factory, hostile):
    text = refused(hostile(factory=factory))
    assert "which is not a torch.nn.Module" in text or "is not imported" in text


def test_only_series_models_are_series_models(hostile):
    path = hostile(factory="toys:SeriesNet", backend="numpy", inputs=[])
    assert "the methods summarise and predict" in refused(path)


def test_nothing_is_imported_on_a_files_word(hostile, tmp_path, monkeypatch):
    mark = tmp_path / "run"
    source = f"open({str(mark)!r}, 'w').close()\nfrom toys import SeriesNet"
    (tmp_path / "stray_module.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    path = hostile(factory="stray_module:SeriesNet")
    assert "type first: import stray_module" in refused(path)
    assert not mark.exists()
    import stray_module  # noqa: F401 - the user trusts it

    assert make_handle(path, "fill_gaps", None, 0).spec.name == "toy"
    monkeypatch.delitem(sys.modules, "stray_module")


def test_the_module_of_a_registered_model_is_imported(hostile, tmp_path, monkeypatch):
    (tmp_path / "their_module.py").write_text("from toys import SeriesNet")
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = ModelSpec.from_json(json.dumps({**TOY, "factory": "their_module:SeriesNet"}))
    monkeypatch.setitem(registry._registered, (spec.task, "toy"), spec)
    path = hostile(factory="their_module:SeriesNet")
    assert make_handle(path, "fill_gaps", None, 0).spec == spec
    monkeypatch.delitem(sys.modules, "their_module")


def test_one_file_has_no_other_read(hostile, server):
    """A base model is a name; a path or an address would have files read, or servers asked."""
    for name in ("/etc/passwd", "x.safetensors", f"{server.url}/x.safetensors#sha256={'0' * 64}"):
        path = hostile(inputs=[{"role": "value"}, {"role": "estimate", "name": name}])
        assert "is no model name" in refused(path)
    urls = [f"{server.url}/x.safetensors"]
    elsewhere = {
        "file": "x.safetensors",
        "sha256": "0" * 64,
        "urls": urls,
        "package": "antigravity",
    }
    handle = make_handle(hostile(weights=elsewhere), "fill_gaps", None, 0)
    assert handle.spec.weights is None
    assert handle.weights is not None
    handle.network("cpu")
    assert server.asked == []
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "changes",
    [
        *({"name": 3}, {"name": ["toy"]}, {"factory": 3}, {"factory": None}, {"factory": "os"}),
        *({"factory": "a b:c"}, {"factory": "os:system;ls"}, {"version": 1.0}, {"version": None}),
        *({"task": {}}, {"backend": []}, {"axes": 3}, {"axes": [3]}, {"axes": [{"axis": 3}]}),
        *({"axes": [{"axis": "T", "window": "a"}]}, {"axes": [{"axis": "T", "minimum": "a"}]}),
        *({"inputs": 3}, {"inputs": ["value"]}, {"inputs": [{"role": []}]}, {"outputs": 3}),
        *({"outputs": [["value"]]}, {"outputs": "value"}, {"options": 3}, {"options": [1]}),
        *({"covariates": "yes"}, {"listed": 1}, {"license": 3}, {"more": 1}, {"weights": "x"}),
        *({"weights": {"file": "../x.safetensors", "sha256": "0" * 64}},),
        *({"weights": {"file": "x.safetensors", "sha256": "0" * 64, "urls": "https://x"}},),
        *({"weights": {"file": "x.safetensors", "sha256": "0" * 64, "size": True}},),
    ],
    ids=str,
)
def test_specs_of_wrong_types(changes, hostile):
    assert "carries no valid spec" in refused(hostile(**changes))


def test_what_is_nested_too_deep(hostile, tmp_path):
    deep = json.loads("[" * 900 + "]" * 900)
    assert "carries no valid spec" in refused(hostile(options={"channels": deep}))
    path = tmp_path / "deep.safetensors"
    text = json.dumps(TOY).replace('"channels": 1', f'"channels": {"[" * 50_000}')
    save_file({"a": np.ones(2)}, path, {"spec": text})
    assert "carries no valid spec" in refused(path)


def test_options_are_those_of_the_model(hostile):
    path = hostile(options={"channels": 1, "command": "ls"})
    with pytest.raises(SpecError, match="command"):
        make_handle(path, "fill_gaps", None, 0).network("cpu")


def test_a_factory_that_is_not_there(hostile):
    assert "cannot be imported" in refused(hostile(factory="toys:NoSuchNet"), SpecError)
