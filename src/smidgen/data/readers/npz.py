"""NumPy's .npz: arrays X and y, or those of Keras's files. Nothing is unpickled."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from smidgen.data.readers.base import NO_OPTIONS, Contents, Raw, ReadOptions
from smidgen.errors import DataError

_TRAIN_NAMES = (("x", "y"), ("x_train", "y_train"))
_TEST_NAMES = ("x_test", "y_test")
"""Names in lower case: those of the user's files, and those of Keras's."""


def read_npz(path: Path, options: ReadOptions = NO_OPTIONS) -> Contents:
    """Read arrays `X` and `y`, or `x_train` and `y_train`, and `x_test` and `y_test` if they are there.

    Raises:
        DataError: The file is damaged, or has other arrays.
    """
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path} is not a whole .npz file; write it with numpy.savez_compressed(path, X=X, y=y)")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return _contents(path, arrays, options.group_column)
    # zipfile raises RuntimeError for an encrypted file.
    except (ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"cannot read {path}: {error}; write plain arrays of numbers (and labels of numbers or text), all images "
            "of one size, with numpy.savez_compressed(path, X=X, y=y)"
        ) from error


def _contents(path: Path, arrays: Any, group_name: str) -> Contents:
    names = {str(name).lower(): name for name in arrays.files}
    pair = next((pair for pair in _TRAIN_NAMES if set(pair) <= set(names)), None)
    has = ", ".join(arrays.files) or "no array"
    if pair is None:
        raise DataError(f"{path} has {has}; it needs arrays X and y, or x_train, y_train, x_test and y_test")
    test_names = [name for name in _TEST_NAMES if name in names]
    if len(test_names) == 1:
        raise DataError(f"{path} has {test_names[0]} alone; a test split needs both x_test and y_test")
    if group_name and group_name not in arrays.files:
        raise DataError(f"{path} has {has} and no array '{group_name}'; name one of these")
    images, labels = (np.asarray(arrays[names[name]]) for name in pair)
    train = Raw(images, labels, np.asarray(arrays[group_name]) if group_name else None)
    return Contents(train, Raw(*(np.asarray(arrays[names[name]]) for name in test_names)) if test_names else None)
