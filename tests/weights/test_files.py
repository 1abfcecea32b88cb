"""Weights files written and read: spec and card in the header, all of the file or none."""

import hashlib
import json
import struct
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_tensors

from xgeoml.exceptions import WeightsError
from xgeoml.spec import Channel, ModelSpec, WeightsRef
from xgeoml.weights import Card, files

SPEC = ModelSpec(
    name="toy",
    task="fill_gaps",
    factory="toys:SeriesNet",
    inputs=(Channel("value"),),
    options={"channels": 1},
    weights=WeightsRef("toy.safetensors", "0" * 64, urls=("https://elsewhere/x",)),
)
CARD = Card("toy@1.0", "fills mönths")
ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "b": np.ones(3, np.float32)}


def test_written_and_read(tmp_path):
    path = files.write_weights(tmp_path / "new" / "toy.safetensors", ARRAYS, SPEC, CARD)
    assert files.read_spec(path) == SPEC.replace(weights=None)
    assert files.read_card(path) == CARD
    read = load_file(path)
    assert set(read) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype
    assert [p.name for p in path.parent.iterdir()] == ["toy.safetensors"]


def test_tensors_are_taken_as_they_come(tmp_path):
    base = torch.arange(12.0).reshape(3, 4).requires_grad_()
    state = {"t": base.T, "same": base, "half": base.detach().to(torch.bfloat16)}
    read = load_tensors(files.write_weights(tmp_path / "t.safetensors", state, SPEC))
    for name, tensor in state.items():
        assert torch.equal(read[name], tensor.detach())
        assert read[name].dtype == tensor.dtype


def test_a_file_without_a_card(tmp_path):
    assert files.read_card(files.write_weights(tmp_path / "t.safetensors", ARRAYS, SPEC)) is None


WRITE = """
import hashlib, sys, numpy as np, xgeoml
from xgeoml.weights import Card, files
assert "torch" not in sys.modules
arrays = {name: np.full(4, i, np.float32) for i, name in enumerate("abcdefgh")}
spec = xgeoml.get_model("grace_tf")
path = files.write_weights(sys.argv[1], arrays, spec, Card("grace_tf@" + spec.version, "s"))
assert files.read_spec(path).name == "grace_tf"
assert "torch" not in sys.modules
print(hashlib.sha256(path.read_bytes()).hexdigest())
"""


def test_the_same_bytes_each_time_and_no_torch(tmp_path):
    command = [sys.executable, "-c", WRITE]
    made = [
        subprocess.run(
            [*command, str(tmp_path / f"{i}.safetensors")],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for i in range(2)
    ]
    assert made[0] == made[1]


def test_tensors_begin_at_eight_bytes(tmp_path):
    for length in range(8):
        card = Card("toy@1.0", "x" * (length + 1))
        content = files.write_weights(tmp_path / "t.safetensors", ARRAYS, SPEC, card).read_bytes()
        assert struct.unpack("<Q", content[:8])[0] % 8 == 0


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = files.write_weights(tmp_path / "t.safetensors", ARRAYS, SPEC)
    before = hashlib.sha256(path.read_bytes()).hexdigest()

    def half() -> None:
        with files.writing(path) as file:
            file.write(b"half")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        half()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert [p.name for p in tmp_path.iterdir()] == ["t.safetensors"]


@pytest.mark.skipif(sys.platform == "win32", reason="rights of POSIX")
def test_a_file_has_the_rights_of_any_new_file(tmp_path):
    (tmp_path / "other").write_text("")
    path = files.write_weights(tmp_path / "t.safetensors", ARRAYS, SPEC)
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_what_is_not_written(tmp_path):
    with pytest.raises(WeightsError, match=r"ends in \.safetensors"):
        files.write_weights(tmp_path / "t.pt", ARRAYS, SPEC)
    with pytest.raises(WeightsError, match=r"that of other@1\.0; the spec is of toy@1\.0"):
        files.write_weights(tmp_path / "t.safetensors", ARRAYS, SPEC, Card("other@1.0", "s"))
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="cannot be written to the folder"):
        files.write_weights(tmp_path / "file" / "t.safetensors", ARRAYS, SPEC)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def raw_file(path, header, tail=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + tail)
    return path


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"123", struct.pack("<Q", 2**63), struct.pack("<Q", 17_000_000) + b" " * 17_000_100),
        struct.pack("<Q", 10) + b"{}",
        b"\x80\x04\x95 a pickle " * 100,
    ],
)
def test_what_is_no_weights_file(content, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    for read in (files.read_spec, files.read_card):
        with pytest.raises(WeightsError, match="expected a safetensors file"):
            read(path)


@pytest.mark.parametrize(
    "header",
    [
        *(b"[]", b"3", b"null", b'{"__metadata__": 3}', b'{"__metadata__": {"spec": 3}}'),
        *(b"\xff\xfe", b"{" * 10, b"[" * 200_000, b'{"a":' * 100_000),
        b'{"__metadata__": {"spec": "{}"}, "n": ' + b"1" * 5000 + b"}",
    ],
)
def test_headers_that_make_no_sense(header, tmp_path):
    with pytest.raises(WeightsError, match="cannot be read"):
        files.read_spec(raw_file(tmp_path / "x.safetensors", header))


def test_a_card_that_makes_no_sense(tmp_path):
    path = raw_file(tmp_path / "x.safetensors", {"__metadata__": {"card": "[]"}})
    with pytest.raises(WeightsError, match="carries no valid card"):
        files.read_card(path)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(WeightsError, match="does not exist"):
        files.read_spec(tmp_path)
