"""Readers of files and folders, one format a module.

A reader checks that a file is whole and says what is wrong with it. `smidgen.data` checks what makes data fit for a
classifier, for every format alike. Nothing is ever unpickled.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from smidgen.data.readers.base import NO_OPTIONS, Contents, Raw, Reader, ReadOptions
from smidgen.data.readers.csv import read_csv
from smidgen.data.readers.idx import IDX_NAMES, find_file, read_idx_folder
from smidgen.data.readers.image_folder import read_image_folder
from smidgen.data.readers.npz import read_npz
from smidgen.data.readers.parquet import read_parquet
from smidgen.errors import DataError

__all__ = ["NO_OPTIONS", "READERS", "Contents", "Raw", "ReadOptions", "read"]

READERS: dict[str, Reader] = {".npz": read_npz, ".csv": read_csv, ".tsv": read_csv, ".parquet": read_parquet}
"""The reader of a file by its suffix."""
TABLES = (read_csv, read_parquet)


def read(path: Path, options: ReadOptions = NO_OPTIONS) -> Contents:
    """Read a file by its suffix, or a folder by what is in it.

    Args:
        path: A file with a suffix of `READERS`, a folder with IDX files, or a folder with one folder for each class.
        options: How it is read.

    Raises:
        DataError: Nothing is there, the format is unknown, or the content cannot be used.
    """
    try:
        reader = _reader(path)
        _check_options(path, reader, options)
        return reader(path, options)
    except OSError as error:
        raise DataError(f"cannot read {error.filename or path}: {error.strerror or error}") from error


def _reader(path: Path) -> Reader:
    known = ", ".join(READERS)
    if path.is_dir():
        return read_idx_folder if any(find_file(path, name) for name in IDX_NAMES) else read_image_folder
    if not path.exists():
        raise DataError(f"{path} does not exist; give a folder, or a file ending in {known}")
    if not path.is_file():
        raise DataError(f"{path} is neither a file nor a folder; give a folder, or a file ending in {known}")
    if path.suffix.lower() not in READERS:
        raise DataError(f"cannot read {path}: its format is unknown; give a folder, or a file ending in {known}")
    return READERS[path.suffix.lower()]


def _check_options(path: Path, reader: Reader, options: ReadOptions) -> None:
    if options.resize is not None and reader is not read_image_folder:
        raise DataError(f"{path} is not a folder of images, and nothing else can be resized; leave out --resize")
    if options.layout and reader is read_image_folder:
        raise DataError(f"{path} is a folder of images, whose axes are known; leave out --layout")
    of_tables = replace(options, resize=None, group_column="", classes=(), layout="")
    if of_tables != NO_OPTIONS and reader not in TABLES:
        raise DataError(f"{path} is not a table; leave out {of_tables.given} (for .csv, .tsv and .parquet)")
    if options.group_column and path.is_dir():
        raise DataError(
            f"{path} is a folder and has no columns; give a .csv, .parquet or .npz, or groups to smidgen.from_arrays"
        )
