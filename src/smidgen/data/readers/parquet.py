"""Parquet, by pyarrow: one example a row."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from smidgen.data.readers.base import NO_OPTIONS, Array, Contents, ReadOptions, decoding, import_optional
from smidgen.data.readers.columns import Table, twice
from smidgen.data.readers.limits import check_memory
from smidgen.data.readers.table import contents_of
from smidgen.errors import DataError

REMEDY = "write it anew"
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


def read_parquet(path: Path, options: ReadOptions = NO_OPTIONS) -> Contents:
    """Read a table with a column for each feature and one for the label, found as in a CSV file.

    An index that pandas wrote as a column is no feature.

    Raises:
        DataError: pyarrow is not installed, the file is damaged, or a column is missing or no number.
    """
    return contents_of(parquet_table(path), options)


def parquet_table(path: Path) -> Table:
    """Read the columns of a table.

    Raises:
        DataError: pyarrow is not installed, or the file is damaged.
    """
    parquet = import_optional("pyarrow.parquet", "pyarrow", path)
    # pyarrow leaves a path that it cannot read open; a file that is opened here is always closed.
    with path.open("rb") as file:
        with decoding(path, REMEDY):
            opened = parquet.ParquetFile(file)
            cells = opened.metadata.num_rows * opened.metadata.num_columns
        check_memory(8 * cells, path, "give fewer rows or columns")
        with decoding(path, REMEDY):
            table = opened.read()
            index = _index_of(table.schema)
            arrays = [_array_of(column) for column in table.columns]
    names, columns = tuple(map(str, table.column_names)), tuple(map(_plain, arrays))
    if len(columns) < 2:
        raise DataError(f"{path} has {len(columns)} columns; it needs at least one number and a label")
    if several := twice(names):
        raise DataError(f"{path} has several columns '{several[0]}'; give each column a name of its own")
    index += tuple(name for name in names if _PANDAS_INDEX.fullmatch(name))
    return Table(path, names, columns, index=index)


def _array_of(column: Any) -> Array:
    kind = column.type
    if hasattr(kind, "value_type") and hasattr(kind, "index_type"):  # a dictionary, as pandas writes categories
        column = column.cast(kind.value_type)
    values: Array = column.to_numpy()
    return values


def _plain(values: Array) -> Array:
    """The values of a column: numbers, dates, or text as str with "" for a missing one; others as they are."""
    if values.dtype.kind != "O":
        return values
    listed = values.tolist()
    if all(value is None or isinstance(value, str) for value in listed):
        return np.array(["" if value is None else value.strip() for value in listed], dtype=str)
    if all(value is None or isinstance(value, bool) for value in listed):
        return np.array([np.nan if value is None else float(value) for value in listed])
    return values


def _index_of(schema: Any) -> tuple[str, ...]:
    """The columns that pandas says are the index of its table."""
    metadata = schema.pandas_metadata or {}
    return tuple(name for name in metadata.get("index_columns", ()) if isinstance(name, str))
