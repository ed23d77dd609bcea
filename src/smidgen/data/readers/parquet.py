"""Parquet, by pyarrow: one example a row."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from smidgen.data.readers.base import NO_OPTIONS, Contents, Raw, ReadOptions, import_optional
from smidgen.data.readers.columns import group_column, label_column, label_source
from smidgen.errors import DataError


def read_parquet(path: Path, options: ReadOptions = NO_OPTIONS) -> Contents:
    """Read a table with a column for each feature and one for the label, found as in a CSV file.

    Raises:
        DataError: pyarrow is not installed, the file is damaged, or a column is missing or no number.
    """
    parquet = import_optional("pyarrow.parquet", "pyarrow", path)
    try:
        # pyarrow leaves a path that it cannot read open; a file that is opened here is always closed.
        with path.open("rb") as file:
            table = parquet.read_table(file)
        columns = [column.to_numpy() for column in table.columns]
    except ValueError as error:
        raise DataError(f"cannot read {path} as Parquet: {error}; write it anew") from error
    if len(columns) < 2:
        raise DataError(f"{path} has {len(columns)} columns; it needs at least one number and a label")
    label = label_column(table.column_names)
    group = group_column(path, table.column_names, options.group_column)
    features = [index for index in range(len(columns)) if index not in (label, group)]
    for index in features:
        if columns[index].dtype.kind not in "biuf":
            raise DataError(
                f"{path}: column '{table.column_names[index]}' is of type {columns[index].dtype} and not of numbers; "
                "leave it out or encode it"
            )
    images = np.stack([columns[index] for index in features], axis=1)
    raw = Raw(images, columns[label], None if group is None else columns[group])
    return Contents(raw, label_source=label_source(table.column_names, label))
