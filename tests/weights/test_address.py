"""Addresses of weights: https, DOI and the hub, each with its hash."""

import sys

import pytest
from loopback import gives, status

from xgeoml.exceptions import DownloadError, MissingExtraError, OfflineError, WeightsError
from xgeoml.weights import address, locate
from xgeoml.weights.download import shown

HASH = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("grace_tf", "name"),
        ("grace_tf@1.0", "name"),
        ("x.safetensors", "path"),
        ("folder/x", "path"),
        ("https://host/x.safetensors", "address"),
        ("HTTP://host/x.safetensors", "address"),
        ("doi:10.5281/zenodo.1/x.safetensors", "address"),
        ("hf://owner/repo/x.safetensors", "address"),
    ],
)
def test_kinds(text, kind):
    assert address.kind_of(text) == kind


@pytest.mark.parametrize("text", ["ftp://host/x.safetensors", "s3://b/x.safetensors", "file:///x"])
def test_other_schemes_are_refused(text):
    with pytest.raises(WeightsError, match="expected a path, or https://"):
        locate(text)


def test_what_an_address_means():
    ref = address.reference(f"HTTPS://host/a/my%20x.safetensors?download=1#sha256={HASH.upper()}")
    assert (ref.file, ref.sha256) == ("my_x.safetensors", HASH)
    assert ref.urls == ("https://host/a/my%20x.safetensors?download=1",)
    ref = address.reference(f"doi:10.5281/zenodo.1/x.safetensors#sha256={HASH}")
    assert (ref.file, ref.urls) == ("x.safetensors", ("doi:10.5281/zenodo.1/x.safetensors",))
    ref = address.reference(f"hf://owner/repo/sub/x.safetensors@v1#sha256={HASH}")
    assert (ref.file, ref.urls) == ("x.safetensors", ("hf://owner/repo/sub/x.safetensors@v1",))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://host/x.safetensors", r"Type: https://host/x.safetensors#sha256=<64"),
        ("doi:10.5281/zenodo.1/x.safetensors", r"zenodo.1/x.safetensors#sha256=<64"),
        (f"https://host/x.safetensors#{HASH}", "is no hash"),
        ("https://host/x.safetensors#sha256=12", "is no hash"),
        (f"https://host/x.safetensors#md5={HASH[:32]}", "is no hash"),
        (f"https://host/x.pt#sha256={HASH}", "expected a .safetensors file"),
        (f"https://host/..%2Fx.safetensors/#sha256={HASH}/..", "is no hash"),
        (f"https://host/#sha256={HASH}", "expected a .safetensors file"),
        (f"hf://owner/x.safetensors#sha256={HASH}", "hf://owner/repo/file"),
        (f"hf://owner/repo/x.bin#sha256={HASH}", "hf://owner/repo/file"),
    ],
)
def test_addresses_that_will_not_do(text, told):
    with pytest.raises(WeightsError, match=told):
        locate(text)


def test_passwords_are_not_shown():
    assert shown("https://me:secret@host/x?token=secret#sha256=1") == "https://host/x#sha256=1"
    assert shown("grace_tf@1.0") == "grace_tf@1.0"
    for end in ("", "#sha256=1", f"#sha256={HASH}"):
        with pytest.raises(WeightsError) as caught:
            locate(f"http://me:secret@127.0.0.1:1/x.safetensors?token=secret{end}")
        assert "secret" not in str(caught.value)


def test_a_doi(weight, cache, server, monkeypatch):
    from pooch import downloaders

    def resolve(doi, **_):
        assert doi == "10.5281/zenodo.123"
        return "https://zenodo.org/records/123"

    monkeypatch.setattr(downloaders, "doi_to_url", resolve)
    monkeypatch.setattr(downloaders.ZenodoRepository, "base_api_url", f"{server.url}/api")
    there = server.give("/files/toy.safetensors", weight.content)
    files = f'{{"files": [{{"key": "toy.safetensors", "links": {{"self": "{there}"}}}}]}}'
    server.give("/api/123", files.encode())
    asked = f"doi:10.5281/zenodo.123/toy.safetensors#sha256={weight.sha256}"
    assert locate(asked).read_bytes() == weight.content
    assert locate(asked) == cache / f"toy-{weight.sha256[:12]}.safetensors"
    assert server.asked == ["GET /api/123", "GET /files/toy.safetensors"]
    with pytest.raises(DownloadError, match=r"'other.safetensors' not found in data archive"):
        locate(f"doi:10.5281/zenodo.123/other.safetensors#sha256={HASH}")


def test_a_doi_that_is_not_resolved(cache, hasty, server, monkeypatch):
    from pooch import downloaders

    monkeypatch.setattr(downloaders, "doi_to_url", lambda *_, **__: server.closing.wait(20))
    with pytest.raises(DownloadError, match="given up"):
        locate(f"doi:10.5281/zenodo.123/x.safetensors#sha256={HASH}")


@pytest.fixture
def hub(weight, server, monkeypatch):
    """Return a hub on this machine: what it answers for a file that LFS keeps."""
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    address._asked.cache_clear()
    head = {
        "X-Repo-Commit": "c" * 40,
        "X-Linked-Etag": f'"{weight.sha256}"',
        "X-Linked-Size": str(len(weight.content)),
        "ETag": '"small"',
    }
    for revision in ("main", "v1", "c" * 40):
        server.give(f"/owner/repo/resolve/{revision}/toy.safetensors", gives(weight.content, head))
    return head


def of_files(server):
    """Return what was asked for; the hub's own package asks for more, as it likes."""
    return [asked for asked in server.asked if "/resolve/" in asked]


@pytest.mark.parametrize("revision", ["", "@v1"])
def test_the_hub_knows_the_hash(revision, weight, cache, server, hub):
    path = locate(f"hf://owner/repo/toy.safetensors{revision}")
    assert path.read_bytes() == weight.content
    there = f"/owner/repo/resolve/{revision[1:] or 'main'}/toy.safetensors"
    exact = f"/owner/repo/resolve/{'c' * 40}/toy.safetensors"
    assert of_files(server) == [f"HEAD {there}", f"GET {exact}"]
    assert locate(f"hf://owner/repo/toy.safetensors{revision}") == path
    assert len(of_files(server)) == 2


def test_with_a_hash_the_hub_is_asked_for_the_file_alone(weight, cache, server, hub):
    asked = f"hf://owner/repo/toy.safetensors#sha256={weight.sha256}"
    assert locate(asked).read_bytes() == weight.content
    assert locate(asked).is_file()
    assert of_files(server) == ["GET /owner/repo/resolve/main/toy.safetensors"]


def test_a_hub_without_a_hash(weight, cache, server, hub):
    del hub["X-Linked-Etag"]
    server.give("/owner/repo/resolve/main/toy.safetensors", gives(weight.content, hub))
    with pytest.raises(WeightsError, match=r"toy.safetensors#sha256=<64"):
        locate("hf://owner/repo/toy.safetensors")


def test_a_hub_that_does_not_know_the_file(cache, server, hub):
    with pytest.raises(WeightsError, match="did not answer as expected"):
        locate("hf://owner/repo/other.safetensors")
    with pytest.raises(DownloadError, match="404"):
        locate(f"hf://owner/repo/other.safetensors#sha256={HASH}")


def test_a_hub_that_gives_another_file(weight, cache, server, hub):
    server.give(f"/owner/repo/resolve/{'c' * 40}/toy.safetensors", b"?" * len(weight.content))
    with pytest.raises(DownloadError, match="another file"):
        locate("hf://owner/repo/toy.safetensors")


def test_a_hub_that_is_down(cache, server, hub):
    server.give("/owner/repo/resolve/main/toy.safetensors", status(503))
    with pytest.raises(WeightsError, match="503"):
        locate("hf://owner/repo/toy.safetensors")


def test_a_hub_that_is_silent(cache, server, hub, hasty):
    server.give("/owner/repo/resolve/main/toy.safetensors", server.silent)
    with pytest.raises(WeightsError, match="given up"):
        locate("hf://owner/repo/toy.safetensors")


def test_the_hub_offline(weight, cache, server, hub, monkeypatch):
    monkeypatch.setenv("XGEOML_OFFLINE", "1")
    with pytest.raises(OfflineError, match=r"toy.safetensors#sha256=<64"):
        locate("hf://owner/repo/toy.safetensors")
    with pytest.raises(OfflineError, match="xgeoml weights fetch"):
        locate(f"hf://owner/repo/toy.safetensors#sha256={weight.sha256}")
    assert of_files(server) == []


def test_without_the_extra(weight, cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for hash_ in ("", f"#sha256={weight.sha256}"):
        with pytest.raises(MissingExtraError, match=r'pip install "xgeoml\[hf\]"'):
            locate(f"hf://owner/repo/toy.safetensors{hash_}")


def test_a_name_from_the_network_leads_to_no_other_folder(weight, cache, server):
    url = server.give("/..%2Fevil.safetensors", weight.content)
    assert locate(f"{url}#sha256={weight.sha256}").parent == cache
