"""IDX files and folders of them."""

from __future__ import annotations

import gzip
import itertools
import struct

import numpy as np
import pytest
from sample_data import four, idx, idx_files

from smidgen.data import load
from smidgen.data.readers.idx import IDX_NAMES, TEST_IMAGES, read_idx
from smidgen.errors import DataError


@pytest.mark.parametrize("spelling", ["{}", "{}.gz", "dotted"])
def test_idx_folder(tmp_path, spelling):
    for name, content in idx_files().items():
        path = name.replace("-idx", ".idx") if spelling == "dotted" else spelling.format(name)
        (tmp_path / path).write_bytes(gzip.compress(content) if path.endswith(".gz") else content)
    dataset = load(tmp_path)
    assert dataset.name == tmp_path.name
    assert dataset.input_shape == (1, 4, 5)
    images = np.frombuffer(idx_files()[TEST_IMAGES][16:], np.uint8).reshape(6, 1, 4, 5)
    np.testing.assert_array_equal(dataset.test.images, images)
    assert dataset.test.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_idx_folder_without_test_files(tmp_path):
    for name, content in itertools.islice(idx_files().items(), 2):
        (tmp_path / name).write_bytes(content)
    assert [len(split) for split in four(load(tmp_path))] == [18, 3, 3, 6]


def test_idx_of_big_endian_integers(tmp_path):
    path = tmp_path / "values"
    path.write_bytes(bytes([0, 0, 0x0C, 1]) + struct.pack(">I3i", 3, -1, 2, 70_000))
    assert read_idx(path).tolist() == [-1, 2, 70_000]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(np.zeros((3, 4), np.uint8))[:-5], r"has 19 bytes, but its header states 24; .* fetch it anew"),
        (idx(np.zeros((3, 4), np.uint8)) + b"x", r"has at least 25 bytes, but its header states 24"),
        (idx(np.zeros((3, 4), np.uint8))[:7], r"has 7 bytes, .*truncated or overlong"),
        (b"\x89PNG\r\n", r"starts with '89504e47', but an IDX file starts with '0000' and a type"),
        (b"\0\0\x07\x01", r"starts with '00000701'"),
        (b"", r"starts with ''"),
        (gzip.compress(idx(np.zeros(99, np.uint8)), mtime=0)[:20], r"damaged gzip file of 20 bytes"),
    ],
)
def test_bad_idx(tmp_path, content, message):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(tmp_path / "file")


def test_idx_folder_that_misses_a_file(tmp_path):
    for name in IDX_NAMES[1:]:
        (tmp_path / name).write_bytes(idx_files()[name])
    with pytest.raises(DataError, match=r"and misses train-images-idx3-ubyte; put all four files there"):
        load(tmp_path)


def test_idx_folder_with_no_images(tmp_path):
    for name in IDX_NAMES:
        (tmp_path / name).write_bytes(idx(np.zeros((0, 4, 4) if "images" in name else 0, np.uint8)))
    with pytest.raises(DataError, match=r"examples have shape 0x4x4"):
        load(tmp_path)


def test_a_header_that_states_more_than_memory_is_refused_before_it_is_taken(tmp_path):
    for content in (b"", b"\0" * 40):
        (tmp_path / "file").write_bytes(
            gzip.compress(bytes([0, 0, 0x0E, 3]) + struct.pack(">3I", *[2**32 - 1] * 3) + content)
        )
        with pytest.raises(
            DataError, match=r"file needs about 2\^99 bytes of memory and at most .*; give fewer images, or"
        ):
            read_idx(tmp_path / "file")
    (tmp_path / "file").write_bytes(bytes([0, 0, 8, 255]) + struct.pack(">255I", *[2**32 - 1] * 255) + b"x")
    with pytest.raises(DataError, match=r"states 255 axes, and data has at most 32"):
        read_idx(tmp_path / "file")
