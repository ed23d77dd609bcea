"""Readers of what people keep data in: `.npz`, CSV, Parquet, IDX files, a folder of images for each class.

    read(path, reading) -> Contents    images, labels and groups as they stand in the file

A reader checks that a file is whole and says what is wrong with it; what makes data fit for a classifier
is checked in `smidgen.data`, for every format alike. Nothing is ever unpickled.
"""

from __future__ import annotations

import csv
import gzip
import importlib
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import DataError

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Raw:
    """Images [n, ...] and labels [n] as a file gives them, of whatever type."""

    images: Array
    labels: Array
    groups: Array | None = None


@dataclass(frozen=True)
class Reading:
    """What is asked of a reader.

    image_size: (height, width) to which the pictures of a folder are brought; None leaves them as they are
    group_column: the column of a table, or the array of a .npz, that holds the group of each row; "" for none
    """

    image_size: tuple[int, int] | None = None
    group_column: str = ""


AS_IT_IS = Reading()


@dataclass(frozen=True, eq=False)
class Contents:
    """What a file or folder holds; `test` is None where it has no test images of its own."""

    train: Raw
    test: Raw | None = None


Reader = Callable[[Path, Reading], Contents]


def read(path: Path, reading: Reading = AS_IT_IS) -> Contents:
    """Read a file by its suffix, or a folder by what is in it.

    Raises:
        DataError: nothing is there, the kind is not known, or the content cannot be used.
    """
    try:
        reader = _reader(path)
        _check_possible(path, reader, reading)
        return reader(path, reading)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _check_possible(path: Path, reader: Reader, reading: Reading) -> None:
    if reading.image_size is not None and reader is not read_class_folders:
        raise DataError(f"{path} is no folder of pictures, which alone are brought to another size; leave --resize out")
    if reading.group_column and path.is_dir():
        raise DataError(
            f"{path} is a folder and has no columns; give a .csv, .parquet or .npz, or groups to smidgen.from_arrays"
        )


def _reader(path: Path) -> Reader:
    if path.is_dir():
        return read_idx_folder if any(find_file(path, name) for name in IDX_NAMES) else read_class_folders
    if not path.exists():
        raise DataError(f"{path} does not exist; give a folder, or a file ending in {', '.join(READERS)}")
    if path.suffix.lower() not in READERS:
        raise DataError(f"cannot tell what {path} is; give a folder, or a file ending in {', '.join(READERS)}")
    return READERS[path.suffix.lower()]


# --- IDX, the format of MNIST ------------------------------------------------------------------

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
IDX_NAMES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)

# The third byte of an IDX file; all are big-endian.
_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx_folder(folder: Path, _: Reading = AS_IT_IS) -> Contents:
    """A folder with files in MNIST's names, gzipped or not; the two test files may both be missing."""
    found = {name: find_file(folder, name) for name in IDX_NAMES}
    present = {name: path for name, path in found.items() if path is not None}
    missing = [name for name in IDX_NAMES if name not in present]
    if missing and missing != [TEST_IMAGES, TEST_LABELS]:
        held = ", ".join(present) or "no IDX file"
        raise DataError(f"{folder} has {held} and misses {', '.join(missing)}; put all four files there")
    arrays = {name: read_idx(path) for name, path in present.items()}
    train = Raw(arrays[TRAIN_IMAGES], arrays[TRAIN_LABELS])
    return Contents(train, None if missing else Raw(arrays[TEST_IMAGES], arrays[TEST_LABELS]))


def find_file(folder: Path, name: str) -> Path | None:
    """The file of that name, with `.gz` or without; "train-images.idx3-ubyte" is a spelling that also goes round."""
    dotted = name.replace("-idx", ".idx")
    candidates = (folder / found for found in (name, f"{name}.gz", dotted, f"{dotted}.gz"))
    return next((path for path in candidates if path.is_file()), None)


def read_idx(path: Path) -> Array:
    """One IDX file: two zero bytes, a type, a number of axes, the axes as big-endian uint32, the values."""
    content = read_bytes(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _IDX_TYPES:
        raise DataError(f"{path} starts with '{content[:4].hex()}', an IDX file with '0000' and a type; fetch it anew")
    dtype, header_bytes = np.dtype(_IDX_TYPES[content[2]]), 4 + 4 * content[3]
    # A header that is cut off reads as if zeros followed, and is then found too short.
    shape = struct.unpack(f">{content[3]}I", content[4:header_bytes].ljust(4 * content[3], b"\0"))
    expected_bytes = header_bytes + math.prod(shape) * dtype.itemsize
    if len(content) != expected_bytes:
        raise DataError(
            f"{path} is cut off or overlong: its header asks for {expected_bytes:,} bytes and it has "
            f"{len(content):,}; fetch it anew"
        )
    return np.frombuffer(content, dtype, offset=header_bytes).reshape(shape)


def read_bytes(path: Path) -> bytes:
    """A file's content, decompressed where it starts as gzip does, whatever its name."""
    content = path.read_bytes()
    return gunzip(content, str(path)) if content[:2] == b"\x1f\x8b" else content


def gunzip(content: bytes, source: str) -> bytes:
    """Decompress; `source` names it in the error."""
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{source} is a damaged gzip file of {len(content):,} bytes: {error}; fetch it anew") from error


# --- .npz ---------------------------------------------------------------------------------------

# Compared without regard to case; the second pair is what Keras's own files have.
_NPZ_TRAIN = (("x", "y"), ("x_train", "y_train"))
_NPZ_TEST = ("x_test", "y_test")


def read_npz(path: Path, reading: Reading = AS_IT_IS) -> Contents:
    """Arrays `X` and `y`, or `x_train` and `y_train`; `x_test` and `y_test` are taken where they are."""
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path} is not a whole .npz file; write it with numpy.savez_compressed(path, X=X, y=y)")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return _npz_contents(path, arrays, reading.group_column)
    # RuntimeError is what zipfile raises for an encrypted file.
    except (ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"cannot read {path}: {error}; write plain arrays of numbers (and labels of numbers or text), all images "
            "of one size, with numpy.savez_compressed(path, X=X, y=y)"
        ) from error


def _npz_contents(path: Path, arrays: Any, group_name: str) -> Contents:
    names = {str(name).lower(): name for name in arrays.files}
    pair = next((pair for pair in _NPZ_TRAIN if set(pair) <= set(names)), None)
    if pair is None:
        held = ", ".join(arrays.files) or "nothing"
        raise DataError(f"{path} holds {held}; it needs arrays X and y, or x_train, y_train, x_test and y_test")
    tested = [name for name in _NPZ_TEST if name in names]
    if len(tested) == 1:
        raise DataError(f"{path} has {tested[0]} alone; a test split needs both x_test and y_test")
    if group_name and group_name not in arrays.files:
        raise DataError(f"{path} holds {', '.join(arrays.files)} and no array '{group_name}'; name one of these")
    images, labels = (np.asarray(arrays[names[name]]) for name in pair)
    train = Raw(images, labels, np.asarray(arrays[group_name]) if group_name else None)
    return Contents(train, Raw(*(np.asarray(arrays[names[name]]) for name in tested)) if tested else None)


# --- tables: CSV and Parquet ----------------------------------------------------------------------

LABEL_COLUMNS = ("label", "y", "target")


def label_column(names: Sequence[str]) -> int:
    """Which column is the label: the one named so, else the last."""
    lowered = [name.strip().lower() for name in names]
    return next((lowered.index(name) for name in LABEL_COLUMNS if name in lowered), len(names) - 1)


def read_csv(path: Path, reading: Reading = AS_IT_IS) -> Contents:
    """A row for each example; separated by commas, semicolons or tabs, with a header or without.

    There is a header when a field of the first row is `label`, or is text and not the last.
    """
    try:
        # "utf-8-sig" drops the mark that spreadsheets put in front.
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return Contents(_read_rows(path, lines, reading.group_column))
    except ValueError as error:
        raise DataError(
            f"cannot read {path} as a table of numbers: {error} (rows are counted below the header); each row "
            "needs the same number of columns, a number in each, and its label last or in a column named 'label'"
        ) from error


def _read_rows(path: Path, lines: IO[str], group_name: str) -> Raw:
    first_line = lines.readline()
    delimiter = max(",;\t", key=first_line.count)
    first_row = next(csv.reader([first_line], delimiter=delimiter), [])
    has_header = _is_header(first_row)
    if len(first_row) < 2 or (has_header and not any(line.strip() for line in lines)):
        raise DataError(f"{path} has no rows of at least one number and a label; its first line is {first_line[:60]!r}")
    if has_header and "" in first_row:
        # The row numbers of a sorted table would give every label away.
        raise DataError(f"{path} has a column without a name, as an index has; name it or write the table without it")
    lines.seek(0)
    group = _group_column(path, [name.strip() for name in first_row] if has_header else [], group_name)
    return _load_rows(lines, delimiter, label_column(first_row), group, int(has_header))


def _group_column(path: Path, names: Sequence[str], wanted: str) -> int | None:
    if not wanted:
        return None
    if wanted not in names:
        raise DataError(f"{path} has no column '{wanted}'; its columns are {', '.join(names) or 'without names'}")
    return names.index(wanted)


def _is_header(first_row: Sequence[str]) -> bool:
    # An empty field is a value that is missing, not a name.
    texts = [name for name in first_row[:-1] if name.strip() and not _is_number(name)]
    return bool(texts) or "label" in [name.strip().lower() for name in first_row]


def _load_rows(lines: IO[str], delimiter: str, label: int, group: int | None, skip_rows: int) -> Raw:
    # Labels and groups may be text, so each gets a code while NumPy's own parser reads the numbers around it.
    texts = [label] if group is None else [label, group]
    codes: list[dict[str, int]] = [{} for _ in texts]
    table = np.loadtxt(
        lines,
        dtype=np.float32,
        comments=None,
        delimiter=delimiter,
        quotechar='"',
        skiprows=skip_rows,
        ndmin=2,
        converters={column: _coded(known) for column, known in zip(texts, codes, strict=True)},
    )
    columns = [
        np.array(list(known), dtype=str)[table[:, column].astype(np.int64)]
        for column, known in zip(texts, codes, strict=True)
    ]
    return Raw(np.delete(table, texts, axis=1), columns[0], columns[1] if group is not None else None)


def _coded(known: dict[str, int]) -> Callable[[str], int]:
    return lambda text: known.setdefault(text.strip(), len(known))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_parquet(path: Path, reading: Reading = AS_IT_IS) -> Contents:
    """A column for each feature and one for the label, found as in a CSV file."""
    parquet = _optional("pyarrow.parquet", "pyarrow", path)
    try:
        # Opened here, so that the file is closed again whatever it turns out to be.
        with path.open("rb") as file:
            table = parquet.read_table(file)
        columns = [column.to_numpy() for column in table.columns]
    except ValueError as error:
        raise DataError(f"cannot read {path} as Parquet: {error}; write it anew") from error
    if len(columns) < 2:
        raise DataError(f"{path} has {len(columns)} columns; it needs at least one number and a label")
    label = label_column(table.column_names)
    group = _group_column(path, table.column_names, reading.group_column)
    for index, (name, column) in enumerate(zip(table.column_names, columns, strict=True)):
        if column.dtype.kind not in "biuf" and index not in (label, group):
            raise DataError(f"{path}: column '{name}' holds {column.dtype}, not numbers; leave it out or encode it")
    features = [column for index, column in enumerate(columns) if index not in (label, group)]
    return Contents(Raw(np.stack(features, axis=1), columns[label], None if group is None else columns[group]))


# --- a folder of images for each class ---------------------------------------------------------------

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
_GREY_MODES = ("1", "L", "LA")


def read_class_folders(folder: Path, reading: Reading = AS_IT_IS) -> Contents:
    """`folder/<class>/*.png`, or `folder/train/<class>` and `folder/test/<class>`; a class is named as its folder.

    Other folders beside `train` and `test` are left alone: the validation split is cut from `train`.
    """
    if not (folder / "train").is_dir():
        return Contents(_read_classes(folder, reading.image_size))
    train, test = folder / "train", folder / "test"
    tested = _read_classes(test, reading.image_size) if test.is_dir() else None
    return Contents(_read_classes(train, reading.image_size), tested)


def _read_classes(folder: Path, image_size: tuple[int, int] | None) -> Raw:
    files: list[Path] = []
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not classes:
        raise DataError(f"{folder} has no folders in it; put the images of each class in a folder named as the class")
    for path in classes:
        images = sorted(file for file in path.iterdir() if _is_image(file))
        if not images:
            raise DataError(f"{path} has no images ({', '.join(IMAGE_SUFFIXES)}); put some there or remove the folder")
        files += images
    return Raw(_read_images(files, image_size), np.array([file.parent.name for file in files]))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _read_images(files: list[Path], image_size: tuple[int, int] | None) -> Array:
    """uint8 [n, height, width] where every image is grey, else [n, 3, height, width]."""
    pillow = _optional("PIL.Image", "pillow", files[0])
    images = [_decode(pillow, file, image_size) for file in files]
    for file, image in zip(files, images, strict=True):
        if image.shape[:2] != images[0].shape[:2]:
            raise DataError(
                f"{files[0]} is {_size_text(images[0])} pixels and {file} is {_size_text(image)}; "
                "resize all images to one size, for example by --resize 32x32"
            )
    if all(image.ndim == 2 for image in images):
        return np.stack(images)
    planes = [image.transpose(2, 0, 1) if image.ndim == 3 else np.stack([image] * 3) for image in images]
    return np.stack(planes)


def _decode(pillow: Any, file: Path, image_size: tuple[int, int] | None) -> Array:
    try:
        with pillow.open(file) as image:
            if image.mode[0] in "IF":
                raise DataError(f"{file} has more than 8 bits a channel (mode {image.mode}); convert it to 8 bits")
            picture = image.convert("L" if image.mode in _GREY_MODES else "RGB")
            if image_size is not None and picture.size != image_size[::-1]:
                # Each new pixel is the mean of what it covers, as where a picture is classified.
                picture = picture.resize(image_size[::-1], pillow.Resampling.BOX)
            return np.asarray(picture)
    # Pillow raises SyntaxError for broken PNG chunks.
    except (OSError, SyntaxError, ValueError, pillow.DecompressionBombError) as error:
        raise DataError(f"cannot decode the image {file}: {error}; replace or remove it") from error


def _size_text(image: Array) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"


def _optional(module: str, package: str, path: Path) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(f"{path} needs {package} to be read, which is not installed; pip install {package}") from error


READERS: dict[str, Reader] = {".npz": read_npz, ".csv": read_csv, ".parquet": read_parquet}
