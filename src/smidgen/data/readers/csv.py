"""CSV: one example a row, separated by commas, semicolons or tabs, with a header or without."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from smidgen.data.readers.base import NO_OPTIONS, Contents, Raw, ReadOptions
from smidgen.data.readers.columns import group_column, label_column
from smidgen.errors import DataError


def read_csv(path: Path, options: ReadOptions = NO_OPTIONS) -> Contents:
    """Read a table. The first row is a header if a field of it is `label`, or is text and not the last.

    Raises:
        DataError: A field is no number, rows differ in length, or a column is missing.
    """
    try:
        # "utf-8-sig" drops the byte order mark that spreadsheets write.
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return Contents(_read_rows(path, lines, options.group_column))
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
        raise DataError(
            f"{path} has a column without a name, which may be an index; name it or write the table without it"
        )
    lines.seek(0)
    group = group_column(path, [name.strip() for name in first_row] if has_header else [], group_name)
    return _load_rows(lines, delimiter, label_column(first_row), group, int(has_header))


def _is_header(first_row: Sequence[str]) -> bool:
    # An empty field is a missing value, not a name.
    texts = [name for name in first_row[:-1] if name.strip() and not _is_number(name)]
    return bool(texts) or "label" in [name.strip().lower() for name in first_row]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _load_rows(lines: IO[str], delimiter: str, label: int, group: int | None, skip_rows: int) -> Raw:
    # Labels and groups may be text, so each gets a code while NumPy's own parser reads the numbers around it.
    text_columns = [label] if group is None else [label, group]
    codes: list[dict[str, int]] = [{} for _ in text_columns]
    table = np.loadtxt(
        lines,
        dtype=np.float32,
        comments=None,
        delimiter=delimiter,
        quotechar='"',
        skiprows=skip_rows,
        ndmin=2,
        converters={column: _encoder(known) for column, known in zip(text_columns, codes, strict=True)},
    )
    texts = [
        np.array(list(known), dtype=str)[table[:, column].astype(np.int64)]
        for column, known in zip(text_columns, codes, strict=True)
    ]
    return Raw(np.delete(table, text_columns, axis=1), texts[0], texts[1] if group is not None else None)


def _encoder(known: dict[str, int]) -> Callable[[str], int]:
    return lambda text: known.setdefault(text.strip(), len(known))
