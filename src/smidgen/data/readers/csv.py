"""CSV: one example a row, separated by commas, semicolons or tabs, with a header or without."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from smidgen.data.readers.base import NO_OPTIONS, Contents, Raw, ReadOptions
from smidgen.data.readers.columns import LABEL_COLUMNS, group_column, label_column, label_source
from smidgen.errors import DataError


@dataclass(frozen=True)
class _Layout:
    """The columns of a table.

    Attributes:
        delimiter: The character between fields.
        names: The names of the columns; those of a table without a header are "1", "2" and so on.
        has_header: Whether the first line is a header.
        label: The index of the column with the labels.
        group: The index of the column with the groups; None if there is none.
    """

    delimiter: str
    names: tuple[str, ...]
    has_header: bool
    label: int
    group: int | None

    @property
    def label_source(self) -> str:
        return label_source(self.names, self.label, self.has_header)

    @property
    def text_columns(self) -> list[int]:
        """The columns that can be text: the labels first, then the groups."""
        return [self.label] if self.group is None else [self.label, self.group]


def read_csv(path: Path, options: ReadOptions = NO_OPTIONS) -> Contents:
    """Read a table. The first row is a header if a field of it is `label`, or is text and not the last.

    Raises:
        DataError: A field is no number, rows differ in length, or a column is missing.
    """
    try:
        # "utf-8-sig" drops the byte order mark that spreadsheets write.
        with path.open(encoding="utf-8-sig", newline="") as lines:
            layout = _layout(path, lines, options.group_column)
            try:
                return Contents(_load_rows(lines, layout), label_source=layout.label_source)
            except ValueError as error:
                lines.seek(0)
                fault = _first_fault(lines, layout) or f"{error}; give a number in every column but the label's"
            raise DataError(f"cannot read {path} as a table of numbers: {fault}")
    except (ValueError, csv.Error) as error:
        raise DataError(f"cannot read {path} as a table of numbers: {error}; write it as UTF-8 text") from error


def _layout(path: Path, lines: IO[str], group_name: str) -> _Layout:
    """Find the columns by the first line; `lines` is at its start afterwards."""
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
    names = [name.strip() for name in first_row] if has_header else []
    group = group_column(path, names, group_name)
    numbers = [str(column) for column in range(1, len(first_row) + 1)]
    return _Layout(delimiter, tuple(names or numbers), has_header, label_column(first_row), group)


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


def _load_rows(lines: IO[str], layout: _Layout) -> Raw:
    # Labels and groups may be text, so each gets a code while NumPy's own parser reads the numbers around it.
    text_columns = layout.text_columns
    codes: list[dict[str, int]] = [{} for _ in text_columns]
    table = np.loadtxt(
        lines,
        dtype=np.float32,
        comments=None,
        delimiter=layout.delimiter,
        quotechar='"',
        skiprows=int(layout.has_header),
        ndmin=2,
        converters={column: _encoder(known) for column, known in zip(text_columns, codes, strict=True)},
    )
    if table.shape[1] != len(layout.names):
        raise ValueError(f"rows have {table.shape[1]} fields and the header {len(layout.names)}")
    texts = [
        np.array(list(known), dtype=str)[table[:, column].astype(np.int64)]
        for column, known in zip(text_columns, codes, strict=True)
    ]
    return Raw(np.delete(table, text_columns, axis=1), texts[0], texts[1] if layout.group is not None else None)


def _encoder(known: dict[str, int]) -> Callable[[str], int]:
    return lambda text: known.setdefault(text.strip(), len(known))


def _first_fault(lines: IO[str], layout: _Layout) -> str:
    """Say which field cannot be read, by its line and its column, and what to do; "" if every field can."""
    rows, wanted = csv.reader(lines, delimiter=layout.delimiter), len(layout.names)
    line = 1
    for row in rows:
        if row and len(row) != wanted:
            return (
                f"line {line} has {len(row)} fields and line 1 has {wanted}; give every row the same number of columns"
            )
        for column, text in enumerate(row):
            if column not in layout.text_columns and (line > 1 or not layout.has_header) and not _is_number(text):
                return _field_fault(line, layout.names[column], text.strip(), layout)
        line = rows.line_num + 1
    return ""


def _field_fault(line: int, column: str, text: str, layout: _Layout) -> str:
    if not text:
        return f"column '{column}' is empty in line {line}; fill it or drop the row"
    fact = f"column '{column}' has {text[:40]!r} in line {line}, which is not a number"
    if layout.names[layout.label].lower() in LABEL_COLUMNS:
        return f"{fact}; correct it or leave the column out"
    return (
        f"{fact}, and the labels are {layout.label_source}; correct it, leave the column out, or call the column with "
        "the labels 'label'"
    )
