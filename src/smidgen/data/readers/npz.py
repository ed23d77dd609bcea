"""NumPy's .npz: arrays X and y, or those of Keras's files. Nothing is unpickled."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from smidgen.data.readers.base import NO_OPTIONS, Array, Contents, Raw, ReadOptions, decoding
from smidgen.data.readers.limits import check_memory
from smidgen.errors import DataError

_TRAIN_NAMES = (("x", "y"), ("x_train", "y_train"))
_TEST_NAMES = ("x_test", "y_test")
"""Names in lower case: those of the user's files, and those of Keras's."""

REMEDY = (
    "write plain arrays of numbers (and labels of numbers or text), all images of one size, with "
    "numpy.savez_compressed(path, X=X, y=y)"
)


def read_npz(path: Path, options: ReadOptions = NO_OPTIONS) -> Contents:
    """Read arrays `X` and `y`, or `x_train` and `y_train`, and `x_test` and `y_test` if they are there.

    Raises:
        DataError: The file is damaged, or has other arrays.
    """
    return _contents(path, npz_arrays(path), options.group_column)


def npz_arrays(path: Path) -> dict[str, Array]:
    """Read every array by its name; its memory is known before it is taken.

    Raises:
        DataError: The file is damaged, or has other things than arrays.
    """
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path} is not a whole .npz file; write it with numpy.savez_compressed(path, X=X, y=y)")
    with decoding(path, REMEDY):
        size_bytes = _stated_bytes(path)
    check_memory(size_bytes, path, "give fewer images")
    with decoding(path, REMEDY), np.load(path, allow_pickle=False) as archive:
        return {str(name): np.asarray(archive[name]) for name in archive.files}


def _stated_bytes(path: Path) -> int:
    """How many bytes the headers of the arrays state; NumPy takes as much memory before it reads a value.

    Raises:
        ValueError: A header states another length than the file has.
    """
    total = 0
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
                stated = math.prod(shape) * dtype.itemsize
                if not dtype.hasobject and stated != member.file_size - file.tell():
                    raise ValueError(f"{member.filename} has {member.file_size:,} bytes and states {stated:,}")
                total += stated
    return total


def _contents(path: Path, arrays: Mapping[str, Array], group_name: str) -> Contents:
    names = {str(name).lower(): name for name in arrays}
    pair = next((pair for pair in _TRAIN_NAMES if set(pair) <= set(names)), None)
    has = ", ".join(arrays) or "no array"
    if pair is None:
        raise DataError(f"{path} has {has}; it needs arrays X and y, or x_train, y_train, x_test and y_test")
    test_names = [name for name in _TEST_NAMES if name in names]
    if len(test_names) == 1:
        raise DataError(f"{path} has {test_names[0]} alone; a test split needs both x_test and y_test")
    if group_name and group_name not in arrays:
        raise DataError(f"{path} has {has} and no array '{group_name}'; name one of these")
    images, labels = (arrays[names[name]] for name in pair)
    train = Raw(images, labels, arrays[group_name] if group_name else None)
    return Contents(train, Raw(*(arrays[names[name]] for name in test_names)) if test_names else None)
