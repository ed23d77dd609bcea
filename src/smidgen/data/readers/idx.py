"""IDX, the format of MNIST: a folder with files in MNIST's names, gzipped or not.

An IDX file is two zero bytes, a byte for the type, a byte for the number of axes, each axis as a big-endian uint32,
and the values in big-endian order (LeCun, "The MNIST database of handwritten digits").
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from smidgen.data.readers.base import NO_OPTIONS, Array, Contents, Raw, ReadOptions
from smidgen.data.readers.limits import check_memory
from smidgen.errors import DataError

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
IDX_NAMES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""The type of the values by the third byte of the file."""
MOST_AXES = 32
"""Most axes of an array of NumPy 1, of which an IDX file may state 255."""


def read_idx_folder(folder: Path, _: ReadOptions = NO_OPTIONS) -> Contents:
    """Read the four files of MNIST's names; both test files may be missing."""
    found = {name: find_file(folder, name) for name in IDX_NAMES}
    present = {name: path for name, path in found.items() if path is not None}
    missing = [name for name in IDX_NAMES if name not in present]
    if missing and missing != [TEST_IMAGES, TEST_LABELS]:
        has = ", ".join(present) or "no IDX file"
        raise DataError(f"{folder} has {has} and misses {', '.join(missing)}; put all four files there")
    arrays = {name: read_idx(path) for name, path in present.items()}
    train = Raw(arrays[TRAIN_IMAGES], arrays[TRAIN_LABELS])
    return Contents(train, None if missing else Raw(arrays[TEST_IMAGES], arrays[TEST_LABELS]))


def find_file(folder: Path, name: str) -> Path | None:
    """Find a file by its name, with or without ".gz", also in the spelling "train-images.idx3-ubyte"."""
    dotted = name.replace("-idx", ".idx")
    candidates = (folder / found for found in (name, f"{name}.gz", dotted, f"{dotted}.gz"))
    return next((path for path in candidates if path.is_file()), None)


def read_idx(path: Path) -> Array:
    """Read one IDX file, gzipped or not, in the shape and type that its header states.

    Raises:
        DataError: The header is not one of IDX, states more than memory allows, or the length does not fit it.
    """
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if is_gzip else path.open("rb") as content:
            return _read_idx(path, content)
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        size = path.stat().st_size
        raise DataError(f"{path} is a damaged gzip file of {size:,} bytes: {error}; fetch it anew") from error


def _read_idx(path: Path, content: BinaryIO | gzip.GzipFile) -> Array:
    head = content.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _DTYPES:
        raise DataError(
            f"{path} starts with '{head.hex()}', but an IDX file starts with '0000' and a type; fetch it anew"
        )
    dtype, axes = np.dtype(_DTYPES[head[2]]), head[3]
    if axes > MOST_AXES:
        raise DataError(f"{path} states {axes} axes, and data has at most {MOST_AXES}; fetch it anew")
    sizes = content.read(4 * axes)
    # A truncated header is read as if zeros followed; the length then does not fit.
    shape = struct.unpack(f">{axes}I", sizes.ljust(4 * axes, b"\0"))
    expected = math.prod(shape) * dtype.itemsize
    check_memory(expected, path, "give fewer images")
    values = content.read(expected + 1)
    if len(sizes) < 4 * axes or len(values) != expected:
        found = 4 + len(sizes) + len(values)
        raise DataError(
            f"{path} has {'at least ' * (len(values) > expected)}{found:,} bytes, but its header states "
            f"{4 + 4 * axes + expected:,}; the file is truncated or overlong, fetch it anew"
        )
    return np.frombuffer(values, dtype).reshape(shape)
