""".npz files."""

from __future__ import annotations

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
    np.savez(path, X=GOOD_X, y=GOOD_Y)
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:-30])
    with pytest.raises(DataError, match=r"not a whole \.npz file"):
        load(path)
    content[400] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read .*mine\.npz: Bad CRC-32"):
        load(path)
