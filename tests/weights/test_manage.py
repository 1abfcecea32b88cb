"""fetch, list, verify, clear, info: in Python and at the command line."""

import os
import time

import pytest
from click.testing import CliRunner
from toy_weights import TOY, tensors

from xgeoml import cli, get_model, weights
from xgeoml.exceptions import WeightsError
from xgeoml.weights.files import write_weights

OURS = [get_model(name) for name in ("climanet", "eq_tf", "grace_tf", "subgrid", "temdeep")]


def command(*arguments):
    return CliRunner().invoke(cli.main, ["weights", *map(str, arguments)])


@pytest.fixture
def fetched(weight, cache, server):
    """Return a file in the cache that came by its address."""
    url = server.give("/mine.safetensors", weight.content)
    return weights.fetch(f"{url}#sha256={weight.sha256}")


def test_fetch_all(cache, released):
    made = released("1.0", "1.1")
    found = weights.fetch()
    assert found == {f"toy@{v}": cache / made[v].cached_name for v in ("1.0", "1.1")} | {
        spec.key: found[spec.key] for spec in OURS
    }


def test_fetch_to_a_folder_makes_a_shared_folder_of_it(cache, released, tmp_path, monkeypatch):
    made = released("1.0")["1.0"]
    shared = tmp_path / "shared"
    weights.fetch("toy", to=shared)
    assert (shared / "toy-1.0.safetensors").read_bytes() == made.content
    weights.clear()
    monkeypatch.setenv("XGEOML_OFFLINE", "1")
    monkeypatch.setenv("XGEOML_WEIGHTS_PATH", str(shared))
    assert weights.fetch("toy") == shared / "toy-1.0.safetensors"
    assert weights.list()[0].where in ("folder", "wheel")
    (shared / "toy-1.0.safetensors").write_bytes(b"damaged")
    monkeypatch.delenv("XGEOML_WEIGHTS_PATH")
    with pytest.raises(WeightsError):
        weights.fetch("toy", to=shared)


def test_fetch_mends_a_damaged_copy(cache, released, tmp_path):
    made = released("1.0")["1.0"]
    (tmp_path / "toy-1.0.safetensors").write_bytes(b"damaged")
    assert weights.fetch("toy@1.0", to=tmp_path).read_bytes() == made.content


def test_what_is_not_fetched(weight):
    with pytest.raises(WeightsError, match="is a file already"):
        weights.fetch(weight.path)
    with pytest.raises(WeightsError, match="has no weights"):
        weights.fetch("kalman")


def rows(table):
    return {(row.model, row.version, row.where, row.state) for row in table}


def test_list(fetched, released, tmp_path, monkeypatch):
    made = released("1.1", "1.2", bad=("1.2",))
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "toy-1.1.safetensors").write_bytes(made["1.1"].content)
    monkeypatch.setenv("XGEOML_WEIGHTS_PATH", str(folder))
    table = weights.list()
    assert rows(table) == {
        ("toy", "1.1", "folder", ""),
        ("toy", "1.2", "not here", "bad release"),
        ("toy", "1.0", "cache", ""),
        *((spec.name, spec.version, "wheel", "") for spec in OURS),
    }
    text = repr(table)
    for told in ("model", "where", "not here", "bad release", OURS[0].weights.file):
        assert told in text
        assert told in table._repr_html_()
    assert len({line.index("  ") > 0 for line in text.splitlines()}) == 1
    assert len(table[:2]) == 2


def test_a_damaged_file_in_the_cache_is_listed_too(fetched):
    fetched.write_bytes(b"damaged")
    assert ("?", "?", "cache", "") in rows(weights.list())


def test_verify_hashes_anew(fetched):
    assert {row.state for row in weights.verify()} == {"sound"}
    content = bytearray(fetched.read_bytes())
    stat = fetched.stat()
    content[-1] ^= 1
    fetched.write_bytes(content)
    os.utime(fetched, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert ("toy", "1.0", "cache", "damaged") in rows(weights.verify())


def test_clear_removes_what_is_ours_and_nothing_else(fetched, cache):
    old = cache / f".{fetched.name}.{'0' * 16}.part"
    new = cache / f".{fetched.name}.{'1' * 16}.part"
    others = [cache / name for name in ("notes.txt", "mine.safetensors", "x-0123456789ab.txt")]
    for path in (old, new, *others):
        path.write_bytes(b"x")
    os.utime(old, (0, time.time() - 3600))
    (cache / "folder-0123456789ab.safetensors").mkdir()
    removed = weights.clear()
    assert {row.path for row in removed} == {fetched, old}
    assert str(fetched) in repr(removed)
    left = {path.name for path in cache.iterdir()}
    assert left == {new.name, "folder-0123456789ab.safetensors", *(p.name for p in others)}
    assert repr(weights.clear()) == "no weights files"
    assert "none" in weights.clear()._repr_html_()


def test_clear_where_there_is_no_cache(cache):
    assert len(weights.clear()) == 0
    assert not cache.exists()


def test_info(tmp_path, weight):
    card = weights.Card("toy@1.0", "a toy", limits=("not for use",))
    path = write_weights(tmp_path / "t.safetensors", tensors(), TOY, card)
    assert weights.info(path) == card
    with pytest.raises(WeightsError, match="has no card"):
        weights.info(weight.path)


def test_the_commands(cache, released, tmp_path):
    made = released("1.0", "1.1", bad=("1.0",))
    assert "not here" in command("list").output
    done = command("fetch", "toy@1.0")
    assert done.exit_code == 0
    assert str(cache / made["1.0"].cached_name) in done.output
    assert "Warning: this weight is a bad release: learnt from the future" in done.output
    assert command("fetch", "--to", tmp_path / "to").exit_code == 0
    assert (tmp_path / "to" / "toy-1.1.safetensors").is_file()
    assert command("verify").exit_code == 0
    (cache / made["1.0"].cached_name).write_bytes(b"damaged")
    done = command("verify")
    assert done.exit_code == 1
    assert "xgeoml weights clear" in done.output
    assert "removed" in command("clear").output
    assert "no weights files" in command("clear").output


def test_the_command_info(tmp_path):
    card = weights.Card("toy@1.0", "a toy", limits=("not for use",))
    path = write_weights(tmp_path / "t.safetensors", tensors(), TOY, card)
    assert "<xgeoml card: toy@1.0>" in command("info", path).output
    assert "# toy@1.0" in command("info", path, "--markdown").output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["fetch", "grace_fs"], "Did you mean"),
        (["fetch", "kalman"], "has no weights"),
        (["fetch", "https://host/x.safetensors"], "come without a hash"),
        (["info", "none.safetensors"], "does not exist"),
        (["info", "kalman"], "has no weights"),
    ],
)
def test_errors_have_no_traceback(arguments, told):
    done = command(*arguments)
    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert told in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("name", ["list", "fetch", "verify", "clear", "info"])
def test_each_command_shows_an_example(name):
    assert f"xgeoml weights {name}" in command(name, "--help").output
