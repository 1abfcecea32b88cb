"""Where a weights file is looked for, in which order, and what is said if it is nowhere."""

import os
import sys

import pytest

from xgeoml import get_model
from xgeoml.exceptions import HashError, ModelNotFoundError, OfflineError, WeightsError
from xgeoml.weights import files, locate, store


def copy(weight, folder, name=None, content=None):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name or weight.path.name)
    path.write_bytes(weight.content if content is None else content)
    return path


@pytest.fixture
def package(weight, tmp_path, monkeypatch):
    """Return the folder of an installed package that brings the file, and must not be imported."""
    folder = tmp_path / "site" / "their_weights_package"
    copy(weight, folder)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(folder.parent))
    return folder


def test_each_place_in_its_turn(weight, cache, package, server, tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    monkeypatch.setenv("XGEOML_WEIGHTS_PATH", f"{first}{os.pathsep}{os.pathsep}{second}")
    url = server.give("/x", weight.content)
    ref = weight.ref(package=package.name, urls=(url,))
    expected = [
        package / weight.path.name,
        copy(weight, first),
        copy(weight, second, weight.cached_name),
        copy(weight, cache, weight.cached_name),
    ]
    for path in expected:
        assert store.find(ref) == path
        path.unlink()
    assert server.asked == []
    assert store.find(ref) == cache / weight.cached_name
    assert server.asked == ["GET /x"]
    assert list(second.iterdir()) == []
    assert "their_weights_package" not in sys.modules


def test_a_damaged_file_is_passed_over(weight, cache, package, server, tmp_path, monkeypatch):
    shared = tmp_path / "shared"
    monkeypatch.setenv("XGEOML_WEIGHTS_PATH", str(shared))
    copy(weight, package, content=b"damaged")
    copy(weight, shared, content=b"damaged too")
    sound = copy(weight, cache, weight.cached_name)
    assert store.find(weight.ref(package=package.name)) == sound
    assert (shared / weight.path.name).read_bytes() == b"damaged too"


def test_a_damaged_file_of_a_package_and_no_mirror(weight, cache, package):
    copy(weight, package, content=b"damaged")
    with pytest.raises(HashError, match=f"expected {weight.sha256}") as caught:
        store.find(weight.ref(package=package.name))
    assert "nstall their_weights_package again" in str(caught.value)


def test_no_mirror_is_known(weight, cache):
    with pytest.raises(WeightsError, match=r"toy-1\.0\.safetensors .* was not found in") as caught:
        store.find(weight.ref(package="no_such_package"))
    assert type(caught.value) is WeightsError
    assert "XGEOML_WEIGHTS_URL" not in str(caught.value)
    with pytest.raises(WeightsError, match="name a mirror with XGEOML_WEIGHTS_URL"):
        store.find(weight.ref())


def test_offline_a_miss_names_all_that_is_needed(
    weight, cache, server, tmp_path, monkeypatch, released
):
    monkeypatch.setenv("XGEOML_OFFLINE", "1")
    monkeypatch.setenv("XGEOML_WEIGHTS_PATH", str(tmp_path / "shared"))
    url = server.give("/x.safetensors", weight.content)
    made = released("1.0")["1.0"]
    with pytest.raises(OfflineError) as caught:
        locate("toy@1.0")
    for told in (
        *("toy-1.0.safetensors", made.sha256, "0.0 MB", str(cache), str(tmp_path / "shared")),
        *("XGEOML_OFFLINE", "xgeoml weights fetch toy@1.0 --to FOLDER"),
    ):
        assert told in str(caught.value)
    other = weight.ref(urls=(url,), size=None)
    for missed in (
        lambda: locate(f"{url}#sha256={weight.sha256}"),
        lambda: store.find(other, "toy@1.0"),
        lambda: store.find(other, "toy@9.0"),
    ):
        with pytest.raises(OfflineError) as caught:
            missed()
        assert f"xgeoml weights fetch '{url}#sha256={weight.sha256}' --to" in str(caught.value)
    with pytest.raises(OfflineError, match="ut the file in a folder"):
        store.find(weight.ref(), "nothing@1.0")
    assert server.asked == []


def test_offline_a_damaged_file_is_named(weight, cache, monkeypatch):
    monkeypatch.setenv("XGEOML_OFFLINE", "1")
    path = copy(weight, cache, weight.cached_name, b"damaged")
    with pytest.raises(OfflineError, match="damaged, its sha256 is") as caught:
        store.find(weight.ref(urls=("https://host/x.safetensors",)))
    assert str(path) in str(caught.value)
    assert "xgeoml weights fetch" in str(caught.value)


def test_offline_what_is_here_is_used(weight, cache, monkeypatch):
    monkeypatch.setenv("XGEOML_OFFLINE", "1")
    path = copy(weight, cache)
    assert store.find(weight.ref()) == path


@pytest.mark.parametrize("value", ["", "0", "false", "False", " "])
def test_values_that_are_not_offline(value, weight, cache, server, monkeypatch):
    monkeypatch.setenv("XGEOML_OFFLINE", value)
    assert store.find(weight.ref(urls=(server.give("/x", weight.content),))).is_file()


def test_a_file_is_hashed_once_until_it_changes(weight, cache, monkeypatch):
    hashed = []

    def counted(path):
        hashed.append(path)
        return files.sha256_of(path)

    monkeypatch.setattr(store, "sha256_of", counted)
    path = copy(weight, cache, weight.cached_name)
    for _ in range(3):
        store.find(weight.ref())
    assert hashed == [path]
    os.utime(path, ns=(0, 0))
    store.find(weight.ref())
    assert hashed == [path, path]


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may read anything")
def test_a_folder_that_may_not_be_looked_into(weight, cache, tmp_path, monkeypatch):
    shared = tmp_path / "shared"
    monkeypatch.setenv("XGEOML_WEIGHTS_PATH", str(shared))
    copy(weight, shared)
    shared.chmod(0)
    sound = copy(weight, cache, weight.cached_name)
    assert store.find(weight.ref()) == sound
    shared.chmod(0o755)


def test_the_cache_is_that_of_the_system_by_default(monkeypatch):
    import pooch

    for value in (None, "", " "):
        monkeypatch.delenv("XGEOML_CACHE_DIR", raising=False)
        if value is not None:
            monkeypatch.setenv("XGEOML_CACHE_DIR", value)
        assert store.cache_folder() == pooch.os_cache("xgeoml")


def test_a_path_is_taken_as_it_is(weight, monkeypatch):
    assert locate(weight.path) == locate(str(weight.path)) == weight.path.resolve()
    monkeypatch.chdir(weight.path.parent)
    assert locate(weight.path.name) == weight.path.resolve()
    monkeypatch.setenv("HOME", str(weight.path.parent))
    assert locate(f"~/{weight.path.name}") == weight.path
    with pytest.raises(WeightsError, match="does not exist"):
        locate("none.safetensors")


def test_names_are_those_of_models():
    assert locate("grace_tf") == locate(get_model("grace_tf").key)
    with pytest.raises(WeightsError, match=r"kalman@1.0 has no weights"):
        locate("kalman")
    with pytest.raises(ModelNotFoundError, match="grace_tf"):
        locate("grace_fs")
