"""Files of few bytes that ask for much memory, and files that never end, are refused before any is taken."""

from __future__ import annotations

import json
import os
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from smidgen.errors import ModelFileError, SmidgenError
from smidgen.model import load_safetensors, load_smidgen, open_model
from smidgen.model.coding.range_coder import Encoder
from smidgen.model.coding.spec_coding import write_spec
from smidgen.model.smidgen_file import _with_checksum
from smidgen.spec import parse_spec

LARGEST_BYTES = 20_000_000
"""Of memory that a refusal may take; the files of these tests have asked for hundreds of megabytes."""


def safetensors_of(shape: str, text: str) -> bytes:
    arrays = {"1.weight": np.zeros((2, 1), np.float32), "1.bias": np.zeros(2, np.float32)}
    header = {"smidgen_spec": text, "smidgen_input_shape": shape, "smidgen_classes": '["a", "b"]'}
    return bytes(save(arrays, header))


def smidgen_of(text: str, shape: tuple[int, int, int]) -> bytes:
    """The start of a file: its network, and no weights."""
    encoder = Encoder()
    write_spec(encoder, parse_spec(text), shape, 1)
    return _with_checksum(encoder.finish(), 1)


def memory_of_refusal(path: Path) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(SmidgenError):
            open_model(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", ["1x30000x30000", "1x6000x6000", "999999999x999999999x999999999"])
def test_a_small_safetensors_file_of_a_large_image(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "n.safetensors"
    path.write_bytes(safetensors_of(shape, "globalavgpool, dense 2"))
    assert path.stat().st_size < 400
    assert memory_of_refusal(path) < LARGEST_BYTES


@pytest.mark.parametrize(
    "text", ["repeat 1000 [" + "prelu, " * 2000 + "prelu], dense 2", "conv 9x3x3, " * 5000 + "dense 2"]
)
def test_a_safetensors_file_of_many_layers(tmp_path: Path, text: str) -> None:
    path = tmp_path / "n.safetensors"
    path.write_bytes(safetensors_of("1x8x8", text))
    assert memory_of_refusal(path) < LARGEST_BYTES


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("globalavgpool, dense 2", (1, 6000, 6000)),
        ("globalavgpool, dense 2", (3, 3500, 3500)),
        ("conv 600x1x1, globalavgpool, dense 2", (1, 300, 300)),
        ("dense 60000 relu, dense 1000", (1, 28, 28)),
    ],
)
def test_a_small_smidgen_file_of_a_large_network(tmp_path: Path, text: str, shape: tuple[int, int, int]) -> None:
    path = tmp_path / "n.smidgen"
    path.write_bytes(smidgen_of(text, shape))
    assert path.stat().st_size < 100
    assert memory_of_refusal(path) < LARGEST_BYTES


def test_a_long_header_is_refused_by_its_length(tmp_path: Path) -> None:
    path = tmp_path / "n.safetensors"
    text = json.dumps({"__metadata__": {"a": "x" * 2**23}}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(ModelFileError, match="has a header of 8,388,"):
        load_safetensors(path)


def test_files_longer_than_any_network_are_not_read(tmp_path: Path) -> None:
    for name, load in (("n.smidgen", load_smidgen), ("n.safetensors", load_safetensors)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(2**33)  # sparse: it takes no space
        with pytest.raises(ModelFileError, match="has 8,589,934,592 bytes, and a model file has at most"):
            load(tmp_path / name)


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes")
@pytest.mark.parametrize("name", ["n.smidgen", "n.safetensors"])
def test_a_pipe_and_a_device_are_not_opened(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(ModelFileError, match="is not a regular file"):
        open_model(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(ModelFileError, match="is not a regular file"):
        open_model(tmp_path / name)
