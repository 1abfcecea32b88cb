"""``weights=`` and ``model=``: the weights that a call uses, by name, version, path or address."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from toy_weights import TOY, tensors

import xgeoml
from xgeoml import registry
from xgeoml.exceptions import InputError, ModelNotFoundError, SpecError, WeightsError
from xgeoml.tasks.choose import make_handle
from xgeoml.weights import releases, store
from xgeoml.weights.files import write_weights


@pytest.fixture
def data(record):
    return record["lwe_thickness"]


def bias(handle):
    return handle.network("cpu").state_dict()["last.bias"].numpy()


def handle(model="auto", weights=None):
    return make_handle(model, "fill_gaps", None, 0, weights=weights)


def test_all_ways_to_name_a_weight_do_the_same(weight, cache, server, data, released):
    made = released("1.0")["1.0"]
    url = server.give("/elsewhere/toy.safetensors", made.content)
    address = f"{url}#sha256={made.sha256}"
    expected = data.geoml.fill_gaps(made.path)
    assert not expected.identical(data)
    for given in ("toy", "toy@1.0", str(made.path), made.path, address):
        for keywords in (
            *({"model": given}, {"weights": given}, {"model": "toy", "weights": given}),
            {"model": "toy@1.0", "weights": given},
        ):
            got = data.geoml.fill_gaps(**keywords)
            np.testing.assert_array_equal(got, expected)
            assert made.sha256[:12] in got.attrs["history"]
    assert data.geoml.plan(weights=address).model == "toy@1.0"
    assert data.geoml.plan(weights=address).reason == "as asked"


def test_the_call_is_in_the_history_without_passwords(weight, cache, server, data):
    url = server.give("/toy.safetensors", weight.content).replace("//", "//me:secret@")
    asked = f"{url}?token=secret#sha256={weight.sha256}"
    history = data.geoml.fill_gaps(weights=asked).attrs["history"]
    shown = f"weights='{server.url}/toy.safetensors#sha256={weight.sha256}'"
    assert shown in history
    assert "secret" not in history


def test_a_worker_elsewhere_can_find_it_too(weight, cache, server):
    """What travels to workers names the file, not where this machine has it."""
    url = server.give("/toy.safetensors", weight.content)
    sent = pickle.dumps(handle(weights=f"{url}#sha256={weight.sha256}"))
    assert str(cache).encode() not in sent
    store.locate(f"{url}#sha256={weight.sha256}").unlink()
    np.testing.assert_array_equal(bias(pickle.loads(sent)), tensors()["last.bias"])
    assert len(server.asked) == 2


def test_weights_of_another_model(weight, data):
    with pytest.raises(InputError, match=r"those of toy@1\.0, not of model='grace_tf'"):
        data.geoml.fill_gaps("grace_tf", weights=weight.path)
    with pytest.raises(InputError, match=r"those of toy@1\.0, not of model='grace_tf@1\.1'"):
        data.geoml.plan(model=xgeoml.get_model("grace_tf"), weights=weight.path)
    with pytest.raises(ModelNotFoundError, match="grace_tf"):
        data.geoml.fill_gaps("grace_fs", weights=weight.path)


def test_weights_that_are_none(weight, data):
    for wrong, told in (
        ("kalman", "model kalman@1.0 has no weights"),
        ("none.safetensors", "does not exist"),
        ("https://host/x.safetensors", "come without a hash"),
    ):
        with pytest.raises(WeightsError, match=told):
            data.geoml.fill_gaps(weights=wrong)
    with pytest.raises(InputError, match=r"weights=3: expected a name"):
        data.geoml.fill_gaps(weights=3)
    with pytest.raises(InputError, match="both name weights"):
        data.geoml.fill_gaps(weight.path, weights=weight.path)
    with pytest.raises(InputError, match="expected a name such as 'kalman'"):
        data.geoml.fill_gaps(3)


def test_a_trained_object_is_a_model(weight, data):
    trained = SimpleNamespace(spec=TOY, path=weight.path)
    got = data.geoml.fill_gaps(trained)
    np.testing.assert_array_equal(got, data.geoml.fill_gaps(weight.path))
    assert "model='toy@1.0'" in got.attrs["history"]


def test_a_bare_name_is_the_newest(cache, server, released):
    made = released("1.2", "1.10", "1.9")
    assert releases.latest("toy").version == "1.10"
    assert handle("toy").spec.version == "1.10"
    assert server.asked == ["GET /mirror/toy-1.10.safetensors"]
    assert xgeoml.weights.fetch("toy") == cache / made["1.10"].cached_name


def test_an_older_version_is_what_its_file_says(cache, server, released, data):
    made = released("1.0", "1.1")
    old, new = handle("toy@1.0"), handle("toy")
    assert (old.spec.key, new.spec.key) == ("toy@1.0", "toy@1.1")
    assert old.spec.summary == "toy 1.0"
    assert old.spec.weights.sha256 == made["1.0"].sha256
    assert xgeoml.get_model("toy@1.0") == old.spec
    for version, one in (("1.0", old), ("1.1", new)):
        seed = float(version[-1])
        np.testing.assert_array_equal(bias(one), tensors(seed=int(seed))["last.bias"])
    assert handle("toy", weights="toy@1.0") == handle("auto", weights="toy@1.0") == old
    assert "toy@1.0" in data.geoml.fill_gaps("toy@1.0").attrs["history"]
    with pytest.raises(InputError, match=r"those of toy@1\.0, not of model='toy@1\.1'"):
        handle("toy@1.1", weights="toy@1.0")


def test_a_version_that_is_not_known(released):
    released("1.0", "1.1")
    with pytest.raises(ModelNotFoundError, match=r"toy@1\.0"):
        handle("toy@2.0")


def test_an_older_file_must_be_of_its_model(cache, server, released, tmp_path):
    made = released("1.0", "1.1")
    other = write_weights(tmp_path / "x.safetensors", tensors(), TOY.replace(name="other"))
    text = releases.REGISTRY.read_text().replace(made["1.0"].sha256, store.sha256_of(other))
    text = text.replace(f"size = {len(made['1.0'].content)}", f"size = {other.stat().st_size}", 1)
    releases.REGISTRY.write_text(text)
    releases._read.cache_clear()
    server.give("/mirror/toy-1.0.safetensors", other.read_bytes())
    with pytest.raises(WeightsError, match=r"is of other@1\.0, not of toy@1\.0"):
        handle("toy@1.0")


def test_a_bad_release_warns_and_is_never_the_newest(cache, server, released, data):
    released("1.0", "1.1", bad=("1.1",))
    assert handle("toy").spec.version == "1.0"
    with pytest.warns(UserWarning, match="learnt from the future"):
        handle("toy@1.1")
    for use in (data.geoml.fill_gaps, data.geoml.plan, data.to_dataset().geoml.fill_gaps):
        with pytest.warns(UserWarning, match="learnt from the future") as caught:
            use(weights="toy@1.1")
        assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(UserWarning, match="learnt from the future") as caught:
        path = xgeoml.weights.fetch("toy@1.1")
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(UserWarning, match="learnt from the future"):
        handle(path)
    named = ("climanet", "eq_tf", "grace_tf", "subgrid", "temdeep")
    ours = {xgeoml.get_model(name).key for name in named}
    assert set(xgeoml.weights.fetch()) == {"toy@1.0", *ours}


def test_a_card_can_warn_too(tmp_path, data):
    card = xgeoml.weights.Card("toy@1.0", "a toy", warning="only a toy")
    path = write_weights(tmp_path / "t.safetensors", tensors(), TOY, card)
    with pytest.warns(UserWarning, match="only a toy"):
        data.geoml.fill_gaps(path)


def test_a_third_party_ships_its_own(weight, cache, tmp_path, data, monkeypatch):
    folder = tmp_path / "site" / "their_toys" / "data"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("")
    (folder / weight.path.name).write_bytes(weight.content)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    spec = TOY.replace(weights=weight.ref(package="their_toys.data"))
    monkeypatch.setitem(registry._registered, (spec.task, "toy"), spec)
    assert xgeoml.weights.fetch("toy") == folder / weight.path.name
    np.testing.assert_array_equal(data.geoml.fill_gaps("toy"), data.geoml.fill_gaps(weight.path))
    assert "their_toys" in repr(xgeoml.weights.list())


def test_a_spec_of_another_task_is_told_of(weight):
    with pytest.raises(SpecError, match="it is a model for fill_gaps"):
        make_handle(weight.path, "downscale", None, 0)
