""".npz files."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from sample_data import GOOD_X, GOOD_Y

from smidgen.data import from_arrays, load
from smidgen.errors import DataError


def test_npz_of_x_and_y_is_as_from_arrays(tmp_path):
    np.savez(tmp_path / "mine.npz", X=GOOD_X, y=GOOD_Y)
    dataset = load(tmp_path / "mine.npz", split_seed=3)
    assert dataset.name == "mine"
    assert dataset.digest == from_arrays(GOOD_X, GOOD_Y, split_seed=3).digest


def test_npz_in_the_form_of_keras(tmp_path):
    np.savez_compressed(tmp_path / "k.npz", x_train=GOOD_X, y_train=GOOD_Y, x_test=GOOD_X[:5], y_test=GOOD_Y[:5])
    assert load(str(tmp_path / "k.npz")).digest == from_arrays(GOOD_X, GOOD_Y, test=(GOOD_X[:5], GOOD_Y[:5])).digest


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": GOOD_X, "labels": GOOD_Y}, r"has images, labels; it needs arrays X and y"),
        ({"X": GOOD_X}, r"has X; it needs"),
        ({}, r"has no array; it needs"),
        ({"X": GOOD_X, "y": GOOD_Y, "x_test": GOOD_X}, r"has x_test alone; a test split needs both"),
        ({"X": GOOD_X, "y": np.array([None, {}], object)}, r"Object arrays cannot be loaded.*write plain arrays"),
    ],
)
def test_bad_npz(tmp_path, arrays, message):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "bad.npz")


def test_npz_that_is_cut_off_or_damaged(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, X=GOOD_X.astype(float), y=GOOD_Y)
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:-30])
    with pytest.raises(DataError, match=r"not a whole \.npz file"):
        load(path)
    content[400] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read .*mine\.npz: Bad CRC-32"):
        load(path)


def test_a_header_that_states_what_is_not_there_is_refused_before_memory_is_taken(tmp_path, monkeypatch):
    np.savez(tmp_path / "mine.npz", X=np.arange(180, dtype=np.uint8).reshape(30, 2, 3), y=GOOD_Y)
    with zipfile.ZipFile(tmp_path / "mine.npz") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents["X.npy"] = (
        contents["X.npy"].replace(b"(30, 2, 3)", b"(3000000000000, 2, 3)").replace(b" " * 11 + b"\n", b"\n")
    )
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    with pytest.raises(DataError, match=r"huge\.npz: X\.npy has \d+ bytes and states 18,000,000,000,000; write plain"):
        load(tmp_path / "huge.npz")
    monkeypatch.setenv("SMIDGEN_MEMORY", "100B")
    with pytest.raises(
        DataError, match=r"mine\.npz needs about 0\.0 MB of memory and at most 0\.0 MB are allowed; give"
    ):
        load(tmp_path / "mine.npz")
    for size, wrong in (("8GB", None), ("1.5 gb", None), ("8 pigs", "SMIDGEN_MEMORY=8 pigs is not a size; give for")):
        monkeypatch.setenv("SMIDGEN_MEMORY", size)
        if wrong:
            with pytest.raises(DataError, match=wrong):
                load(tmp_path / "mine.npz")
        else:
            load(tmp_path / "mine.npz")


def test_a_fault_of_our_own_keeps_its_traceback(tmp_path, monkeypatch):
    np.savez(tmp_path / "mine.npz", X=GOOD_X, y=GOOD_Y)
    monkeypatch.setattr("smidgen.data.readers.npz._contents", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        load(tmp_path / "mine.npz")
