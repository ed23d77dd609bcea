"""Files that are cut, damaged or false: refused with the byte, before memory is taken, and nothing else happens."""

from __future__ import annotations

import random
from binascii import crc_hqx
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import second_decoder
from quantized_networks import GOLDEN_FILES, a_quantized_model
from smidgen.errors import ModelFileError
from smidgen.model import Codebook, Uniform, decode, encode, flat_weights
from smidgen.model.coding.range_coder import Encoder
from smidgen.model.coding.spec_coding import write_spec
from smidgen.model.smidgen_file import LARGE_BYTES, START_BYTES, _with_checksum, checksum, checksum_width
from smidgen.spec import NetSpec, Repeat, Shape, parse_spec


def sealed(body: bytes) -> bytes:
    """A file with a checksum that is right."""
    return body + checksum(body, checksum_width(len(body) + 2))


@pytest.mark.parametrize("path", GOLDEN_FILES, ids=lambda path: path.stem)
def test_a_cut_file_is_refused_wherever_it_was_cut(path: Path) -> None:
    content = path.read_bytes()
    for end in range(len(content)):
        with pytest.raises(ModelFileError, match="at byte"):
            decode(content[:end])


@pytest.mark.parametrize("path", GOLDEN_FILES, ids=lambda path: path.stem)
def test_a_file_with_any_bit_flipped_is_refused(path: Path) -> None:
    content = path.read_bytes()
    places = range(8 * len(content)) if len(content) < LARGE_BYTES else range(0, 8 * len(content), 7)
    for place in places:
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(ModelFileError, match="at byte"):
            decode(bytes(damaged))


def test_the_checksums_are_the_published_ones() -> None:
    assert checksum(b"123456789", 2).hex() == "29b1"
    assert checksum(b"123456789", 4).hex() == "cbf43926"
    assert second_decoder.crc16(b"123456789").hex() == "29b1"
    assert second_decoder.crc32(b"123456789").hex() == "cbf43926"
    assert [checksum_width(size) for size in (10, LARGE_BYTES - 1, LARGE_BYTES)] == [2, 2, 4]


def test_a_cut_that_would_pass_by_chance_is_kept_from_passing() -> None:
    """About one file in some hundred has such a cut with the usual second byte; the writer takes another."""
    rng, changed = random.Random(0), 0
    for _ in range(1500):
        content = _with_checksum(rng.randbytes(300), 1)
        changed += content[1] != 0x51
        checksums = {end: crc_hqx(content[: end - 2], 0xFFFF).to_bytes(2) for end in range(4, len(content))}
        assert not [end for end, found in checksums.items() if content[end - 2 : end] == found]
    assert 0 < changed < 40


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "at byte 0 there is nothing: this is not a .smidgen file"),
        (b"PK\x03\x04", "at byte 0 there is 504b: this is not a .smidgen file"),
        (
            b"\xb5\x53aaaaaaa",
            "at byte 1 the file says version 3, and this program reads versions up to 2; install a newer Smidgen",
        ),
        (b"\xb5\x51", "at byte 0 the checksum is wrong: the file was cut or damaged"),
        (b"\xb5\x51aaaaaaaaaaa", "at byte 11 the checksum is wrong"),
        (sealed(b"\xb5\x51" + b"\xff" * 9), "at byte 6 the file begins with four bytes that no encoder writes"),
        (sealed(b"\xb5\x51"), "at byte 2 the file ends before its last weight"),
    ],
)
def test_what_is_no_such_file_is_refused_with_its_byte(content: bytes, message: str) -> None:
    with pytest.raises(ModelFileError) as error:
        decode(content)
    assert message in str(error.value)


def header_of(text: str, shape: Shape) -> bytes:
    """A file that ends after its layers."""
    encoder = Encoder()
    write_spec(encoder, parse_spec(text), shape, 1)
    encoder.uint(0, 1)
    return sealed(b"\xb5\x51" + encoder.finish())


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        ("dense 16000, dense 16000", (1, 10, 10), "a file of this length holds at most"),
        ("dense 60000, dense 10", (1, 28, 28), "a file of this length holds at most"),
        ("conv 2x3x3, maxpool 2", (1, 28, 28), "has a network that cannot be"),
        ("conv 2x3x3, dense 2", (1, 2, 2), "has a network that cannot be"),
        ("dense 2", (1, 2, 2), "has a coder of number 7"),
    ],
)
def test_a_header_that_asks_for_too_much_is_refused_before_memory_is_taken(
    text: str, shape: Shape, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "cannot be" in message:
        monkeypatch.setattr("smidgen.model.coding.spec_coding._check_size", lambda *_: None)
    with pytest.raises(ModelFileError, match=rf"at byte \d+ the file .*{message}"):
        decode(header_of(text, shape))


def test_a_repeat_of_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smidgen.model.coding.spec_coding._check_size", lambda *_: None)
    encoder = Encoder()
    write_spec(encoder, NetSpec((Repeat(2, ()),)), (1, 2, 2), 1)
    with pytest.raises(ModelFileError, match="has a repeat of nothing"):
        decode(sealed(b"\xb5\x51" + encoder.finish()))


NEWER = (
    "conv 4x3x5 stride 2 same relu6, crelu, residual [conv 8x3x3 same relu, repeat 2 [residual [prelu]] | "
    "pointwise 8 nobias] relu, depthwise 1x3 shared 3, maxpool 3x2 stride 1, globalavgpool, dense 3"
)
"""A network of version 2."""


def damaged_files(count: int, seed: int) -> Iterator[bytes]:
    """Small golden files with bytes changed, cut, or of noise altogether, each with a checksum that is right again."""
    rng = random.Random(seed)
    bodies = [path.read_bytes()[:-2] for path in GOLDEN_FILES if path.stat().st_size < LARGE_BYTES]
    bodies += 2 * [encode(a_quantized_model(NEWER, (1, 12, 12)))[:-2]]
    for _ in range(count):
        body = bytearray(rng.choice(bodies))
        if rng.random() < 0.2:
            body[START_BYTES:] = rng.randbytes(rng.randrange(300))
        if rng.random() < 0.3:
            del body[rng.randrange(START_BYTES, len(body) + 1) :]
        for _ in range(rng.choice([0, 1, 1, 2, 8])):
            if len(body) > START_BYTES:
                place = rng.randrange(START_BYTES, min(len(body), rng.choice([12, 60, 10**6])))
                body[place] = rng.randrange(256)
        yield sealed(bytes(body))


def check_damaged(count: int, seed: int) -> None:
    refused = 0
    for content in damaged_files(count, seed):
        try:
            quantized = decode(content)
        except ModelFileError as error:
            assert "at byte" in str(error)
            refused += 1
        else:
            assert np.isfinite(flat_weights(quantized)).all()
    assert refused > count // 3


def test_a_thousand_damaged_files_are_read_or_refused_and_nothing_else() -> None:
    check_damaged(1000, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 200))
def test_a_million_damaged_files_are_read_or_refused_and_nothing_else(seed: int) -> None:
    check_damaged(10_000, seed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"levels": np.zeros((2, 4), np.int64)}, "is int64 of shape"),
        ({"levels": np.zeros((4, 2), np.int32)}, r"is int32 of shape \(4, 2\)"),
        ({"levels": np.full((2, 4), 2**20, np.int32)}, "has a level of 1048576; the most is 1048575"),
        ({"grid": Uniform(np.array([0.0], np.float32))}, "not a positive number"),
        ({"grid": Uniform(np.array([np.inf], np.float32))}, "not a positive number"),
        (
            {"grid": Uniform(np.array([3e38], np.float32)), "levels": np.full((2, 4), 9, np.int32)},
            "too large for float32",
        ),
        ({"grid": Uniform(np.ones(3, np.float32))}, "not of float32"),
        ({"grid": Uniform(np.ones(1))}, "not of float32"),
        ({"grid": Codebook(np.ones(4, np.float32), 4)}, "of a codebook of 4"),
        ({"grid": Codebook(np.ones(0, np.float32))}, "has a codebook of"),
        ({"grid": Codebook(np.array([np.nan], np.float32)), "levels": np.zeros((2, 4), np.int32)}, "not finite"),
        ({"grid": None, "levels": np.full((2, 4), np.nan, np.float32).view(np.int32)}, "not finite"),
        ({"coder": "zip"}, "coder='zip'; use auto, adaptive"),
    ],
)
def test_a_tensor_that_cannot_be_stored_is_refused(changed: dict[str, Any], message: str) -> None:
    quantized = a_quantized_model("dense 2", (1, 2, 2))
    wrong = {**quantized.tensors, "0.weight": replace(quantized.tensors["0.weight"], **changed)}
    with pytest.raises(ModelFileError, match=f"0.weight.*{message}.*quantize the network again"):
        encode(replace(quantized, tensors=wrong))


def test_a_network_that_cannot_be_stored_is_refused() -> None:
    quantized = a_quantized_model("dense 2", (1, 2, 2))
    with pytest.raises(ModelFileError, match=r"has the tensors 0\.weight, 0\.bias and was given 0\.weight"):
        encode(replace(quantized, tensors={"0.weight": quantized.tensors["0.weight"]}))
    with pytest.raises(ModelFileError, match="the data has 3 classes"):
        encode(replace(quantized, class_names=("a", "b", "c")))
    with pytest.raises(ModelFileError, match="has 4100 bytes; give a shorter one"):
        encode(replace(quantized, class_names=("a", "b" * 4100)))
    with pytest.raises(ModelFileError, match="at most 4096 layers"):
        encode(a_quantized_model("dense 65537, dense 2", (1, 1, 1)))
