"""The list of releases is the one source: catalogue, wheel and files agree with it."""

import pytest

from xgeoml.exceptions import WeightsError
from xgeoml.models.catalog import BUILT_IN
from xgeoml.weights import files, releases, store


@pytest.mark.parametrize("one", releases.releases(), ids=lambda one: one.key)
def test_a_release_is_in_the_wheel_and_is_what_it_says(one):
    path = store.find(one.ref, one.key)
    assert path.stat().st_size == one.ref.size
    assert files.sha256_of(path) == one.ref.sha256
    assert files.read_spec(path).key == one.key


@pytest.mark.parametrize("spec", [s for s in BUILT_IN.values() if s.weights], ids=lambda s: s.key)
def test_the_catalogue_has_the_newest_sound_release(spec):
    newest = releases.latest(spec.name)
    assert (newest.version, newest.ref) == (spec.version, spec.weights)
    assert files.read_spec(store.find(newest.ref)) == spec.replace(weights=None)


def test_no_file_in_the_wheel_is_unknown():
    folder = releases.REGISTRY.parent / "data"
    known = {one.ref.file for one in releases.releases()}
    assert {path.name for path in folder.glob("*.safetensors")} == known


def test_a_card_in_the_wheel_is_complete():
    for one in releases.releases():
        card = files.read_card(store.find(one.ref))
        assert card is None or (card.model, card.problems()) == (one.key, [])


def test_an_unknown_release():
    with pytest.raises(WeightsError, match=r"no weight toy@1\.0 was released; .* grace_tf@1\.0"):
        releases.release("toy@1.0")


def test_a_mistake_in_the_list(tmp_path, monkeypatch):
    path = tmp_path / "registry.toml"
    path.write_text('[[weight]]\nmodel = "a"\nversion = "1"\nfile = "a.pt"\nsha256 = "1"')
    monkeypatch.setattr(releases, "REGISTRY", path)
    with pytest.raises(WeightsError, match=r"a@1: .*expected a \.safetensors file"):
        releases.releases()
