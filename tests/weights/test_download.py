"""Mirrors that fail in every way: the next one is asked, nothing hangs, nothing bad is kept."""

import os
import socket
import subprocess
import sys
import threading

import loopback as here
import pytest
from toy_weights import TOY

from xgeoml import registry, set_options
from xgeoml.exceptions import DownloadError, WeightsError
from xgeoml.weights import download, store


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_file_is_downloaded_once(weight, cache, server):
    url = server.give("/toy-1.0.safetensors", weight.content)
    ref = weight.ref(urls=(url,))
    path = store.find(ref)
    assert path == cache / weight.cached_name
    assert path.read_bytes() == weight.content
    assert store.find(ref) == path
    assert server.asked == ["GET /toy-1.0.safetensors"]
    assert names(cache) == [weight.cached_name]


def test_a_redirect_is_followed(weight, cache, server):
    there = server.give("/there", weight.content)
    ref = weight.ref(urls=(server.give("/here", here.redirects(there)),))
    assert store.find(ref).read_bytes() == weight.content


FAILURES = {
    "404": (lambda server, content: here.status(404), "404"),
    "500": (lambda server, content: here.status(500), "500"),
    "another file": (lambda server, content: content[:-1] + b"?", "another file"),
    "cut off": (lambda server, content: here.cut_off(content, 100), "100 "),
    "no length, cut off": (lambda server, content: content[:100], "cut off: 100 of"),
    "too much": (lambda server, content: here.endless, "more than the"),
    "empty": (lambda server, content: b"", "cut off: 0 of"),
    "redirects to itself": (lambda server, content: here.redirects("/bad"), "redirects"),
    "stalls": (lambda server, content: server.stalls(content, 100), "in 0.5 seconds|timed out"),
    "silent": (lambda server, content: server.silent, "in 0.5 seconds|timed out"),
    "trickles": (lambda server, content: server.trickles(content), "in 0.5 seconds"),
    "trickles headers": (lambda server, c: server.trickles_headers(c), "in 0.5 seconds"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failing_mirror_is_followed_by_the_next(failure, weight, cache, server, hasty):
    make, told = FAILURES[failure]
    bad = server.give("/bad", make(server, weight.content))
    good = server.give("/good", weight.content)
    assert store.find(weight.ref(urls=(bad, good))).read_bytes() == weight.content
    store.find(weight.ref(urls=(bad, good))).unlink()
    with pytest.raises(DownloadError, match=told) as caught:
        store.find(weight.ref(urls=(bad,)))
    assert bad in str(caught.value)
    assert names(cache) == []


def test_a_mirror_that_is_down(weight, cache, server):
    down = f"http://127.0.0.1:{closed_port()}/x"
    good = server.give("/good", weight.content)
    assert store.find(weight.ref(urls=(down, good))).read_bytes() == weight.content


def test_when_all_fail_each_is_named_with_its_reason(weight, cache, server, monkeypatch):
    down = f"http://user:secret@127.0.0.1:{closed_port()}/x?token=secret"
    busy = server.give("/a", here.status(503))
    urls = (down, f"{busy}?token=secret", server.give("/b", b"something else"))
    ref = weight.ref(urls=urls, size=None)
    spec = TOY.replace(weights=ref)
    monkeypatch.setitem(registry._registered, (spec.task, "toy"), spec)
    with pytest.raises(DownloadError) as caught:
        store.find(ref, "toy@1.0")
    text = str(caught.value)
    for told in ("Connection refused", f"{busy}: 503", f"{urls[2]}: another file"):
        assert told in text
    assert "xgeoml weights fetch toy@1.0 --to FOLDER" in text
    assert "XGEOML_WEIGHTS_URL" in text
    assert "secret" not in text
    assert names(cache) == []


def test_mirrors_of_the_environment_come_first(weight, cache, server, monkeypatch):
    own = server.give("/mirror/toy-1.0.safetensors", weight.content)
    other = server.give("/other", weight.content)
    down = f"http://127.0.0.1:{closed_port()}"
    monkeypatch.setenv("XGEOML_WEIGHTS_URL", f"{down}, {own.rpartition('/')[0]}/")
    store.find(weight.ref(urls=(other,)))
    assert server.asked == ["GET /mirror/toy-1.0.safetensors"]


def test_a_folder_is_no_mirror(weight, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("XGEOML_WEIGHTS_URL", f"file://{weight.path.parent}")
    with pytest.raises(DownloadError, match="folders go into XGEOML_WEIGHTS_PATH"):
        store.find(weight.ref())


def test_a_damaged_file_in_the_cache_is_fetched_again(weight, cache, server):
    ref = weight.ref(urls=(server.give("/x", weight.content),))
    path = store.find(ref)
    path.write_bytes(weight.content[:-1] + b"?")
    assert store.find(ref).read_bytes() == weight.content
    assert len(server.asked) == 2
    path.write_bytes(b"?")
    server.routes.clear()
    with pytest.raises(DownloadError, match=f"{weight.cached_name}: damaged"):
        store.find(ref)


def test_two_threads_download_once(weight, cache, server):
    ref = weight.ref(urls=(server.give("/x", here.slowly(weight.content, 0.2)),))
    found = []
    threads = [threading.Thread(target=lambda: found.append(store.find(ref))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [cache / weight.cached_name] * 4
    assert server.asked == ["GET /x"]


FETCH = """
import sys
from xgeoml.weights import locate
print(locate(sys.argv[1]).read_bytes() == open(sys.argv[2], "rb").read())
"""


def process(*arguments, code=FETCH, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def test_two_processes_at_once(weight, cache, server):
    url = server.give("/toy.safetensors", here.slowly(weight.content, 1.0))
    address = f"{url}#sha256={weight.sha256}"
    both = [process(address, weight.path) for _ in range(2)]
    assert [p.communicate(timeout=60) for p in both] == [("True\n", "")] * 2
    assert names(cache) == [f"toy-{weight.sha256[:12]}.safetensors"]


FULL = """
import resource, sys
from xgeoml.weights import locate, WeightsError
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
try:
    locate(sys.argv[1])
except WeightsError as error:
    sys.stdout.write(f"{type(error).__name__} {error}")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are of POSIX")
def test_a_disk_that_takes_no_more(weight, cache, server):
    url = server.give("/toy.safetensors", weight.content)
    code = FULL.replace("locate, WeightsError", "locate\nfrom xgeoml import WeightsError")
    out, problems = process(f"{url}#sha256={weight.sha256}", code=code).communicate(timeout=60)
    assert problems == ""
    assert out.startswith("WeightsError ")
    assert str(cache) in out
    assert "XGEOML_CACHE_DIR" in out
    assert names(cache) == []


def test_a_full_disk_is_no_fault_of_the_mirror(weight, cache, server, monkeypatch):
    def full(self, chunk):
        self.unwritable = OSError(28, "No space left on device")
        raise self.unwritable

    monkeypatch.setattr(download._Sink, "write", full)
    urls = tuple(server.give(path, weight.content) for path in ("/a", "/b"))
    with pytest.raises(WeightsError, match="No space left on device; make room") as caught:
        store.find(weight.ref(urls=urls))
    assert type(caught.value) is WeightsError
    assert server.asked == ["GET /a"]
    assert names(cache) == []


def test_a_cache_that_cannot_be_made(weight, server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XGEOML_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.raises(WeightsError, match="set XGEOML_CACHE_DIR") as caught:
        store.find(weight.ref(urls=(server.give("/x", weight.content),)))
    assert str(tmp_path / "file" / "cache") in str(caught.value)


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may write anywhere")
def test_a_cache_that_may_not_be_written_to(weight, cache, server):
    cache.mkdir(mode=0o555)
    with pytest.raises(WeightsError, match="Permission denied"):
        store.find(weight.ref(urls=(server.give("/x", weight.content),)))
    assert names(cache) == []


@pytest.mark.parametrize("shown", [True, False])
def test_progress_is_shown_as_asked(shown, weight, cache, server, capsys, monkeypatch):
    import tqdm

    made = []

    class Bar(tqdm.tqdm):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **{**kwargs, "delay": 0})
            made.append(self.disable)

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    ref = weight.ref(urls=(server.give("/x", weight.content),))
    with set_options(progress=shown):
        store.find(ref)
    told = capsys.readouterr().err
    assert ("toy-1.0.safetensors" in told) == shown
    assert made == [not shown]
