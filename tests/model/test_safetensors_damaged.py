"""Files that are not ours or not whole are refused with the reason."""

from __future__ import annotations

import math
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from safetensors_models import a_model
from smidgen.errors import ModelFileError
from smidgen.model import load_safetensors, save_safetensors
from smidgen.model.safetensors_file import CLASSES_KEY, SHAPE_KEY, SPEC_KEY
from smidgen.records import Weights


def saved(path: Path) -> bytes:
    save_safetensors(a_model("dense 3", (2, 1, 1)), path)
    return path.read_bytes()


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model"
    content = saved(path)
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ModelFileError, match="is not a model file"):
            load_safetensors(path)


@pytest.mark.parametrize("garbage", [b"\0", b"more", b"\0" * 4096])
def test_bytes_after_the_end_are_refused(garbage: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(saved(path) + garbage)
    with pytest.raises(ModelFileError, match="is not a model file"):
        load_safetensors(path)


def test_a_flipped_byte_gives_a_model_or_our_error(tmp_path: Path) -> None:
    path = tmp_path / "model"
    content = saved(path)
    refused = 0
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x20]) + content[place + 1 :])
        try:
            load_safetensors(path)
        except ModelFileError:
            refused += 1
    assert refused > len(content) // 4


def test_other_files_are_named_for_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "other"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", "x")
    refuses(path, "zip archive")
    path.write_bytes(pickle.dumps({"weights": [1.0]}))
    refuses(path, "Python pickle, which is never read")
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    refuses(path, "HDF5")
    path.write_bytes(b"")
    refuses(path, "it is empty")
    path.write_text("hello, world")
    refuses(path, "it starts with b'hello, w'")
    refuses(path, r"give a \.safetensors or \.smidgen file that Smidgen wrote")
    refuses(tmp_path / "nothing here", "does not exist")
    refuses(tmp_path, "is not a regular file")


def refuses(path: Path, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        load_safetensors(path)


GOOD = {SPEC_KEY: "dense 2", SHAPE_KEY: "1x1x1", CLASSES_KEY: '["a", "b"]'}


def tensors(**arrays: Weights) -> dict[str, Weights]:
    return {f"0.{name}": array for name, array in arrays.items()}


TWO = tensors(weight=np.zeros((2, 1), np.float32), bias=np.zeros(2, np.float32))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, r"holds tensors \(0.bias, 0.weight\) and no smidgen_spec"),
        ({SPEC_KEY: "dense 2"}, "and no smidgen_spec"),
        ({**GOOD, SPEC_KEY: "dence 2"}, "unknown layer 'dence 2'"),
        ({**GOOD, SPEC_KEY: "maxpool 2, dense 2"}, "map of 1x1"),
        ({**GOOD, SPEC_KEY: "dense " + "9" * 5000}, "do not describe a network"),
        ({**GOOD, SPEC_KEY: "dense 2 relu"}, "must give logits"),
        ({**GOOD, SPEC_KEY: "dense 3", CLASSES_KEY: '["a", "b", "c"]'}, r"0.weight .* shape \(2, 1\)"),
        ({**GOOD, SPEC_KEY: "dense 2, dense 2"}, "lack 1.bias, 1.weight"),
        ({**GOOD, SHAPE_KEY: "28x28"}, "smidgen_input_shape='28x28' is not like 1x28x28"),
        ({**GOOD, SHAPE_KEY: "0x1x1"}, "is not like"),
        ({**GOOD, CLASSES_KEY: '["a", "b", "c"]'}, "3 classes"),
        ({**GOOD, CLASSES_KEY: "[1, 2]"}, "must be a JSON list of names"),
        ({**GOOD, CLASSES_KEY: "a, b"}, "do not describe a network"),
        ({**GOOD, CLASSES_KEY: "[" * 100_000}, "do not describe a network"),
    ],
)
def test_metadata_that_do_not_describe_the_tensors_are_refused(
    metadata: dict[str, str], message: str, tmp_path: Path
) -> None:
    save_file(TWO, tmp_path / "model", metadata)
    refuses(tmp_path / "model", message)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (tensors(weight=np.zeros((1, 2), np.float32), bias=np.zeros(2, np.float32)), r"0.weight .* shape \(1, 2\)"),
        (tensors(weight=np.zeros((2, 1), np.float16), bias=np.zeros(2, np.float32)), "0.weight is float16"),
        (TWO | tensors(mean=np.zeros(2, np.float32)), "have 0.mean, which 'dense 2' has not"),
        (
            tensors(weight=np.array([[math.nan], [0]], np.float32), bias=np.zeros(2, np.float32)),
            "1 of 4 weights are not finite",
        ),
    ],
)
def test_tensors_that_are_not_the_networks_are_refused(
    arrays: dict[str, Weights], message: str, tmp_path: Path
) -> None:
    save_file(arrays, tmp_path / "model", GOOD)
    refuses(tmp_path / "model", message)
