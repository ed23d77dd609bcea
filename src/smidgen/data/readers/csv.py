"""CSV and TSV: one row a line, separated by commas, semicolons or tabs, with a header or without."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from smidgen.data.readers.base import NO_OPTIONS, Array, Contents, ReadOptions, decoding
from smidgen.data.readers.columns import LABEL_NAMES, MISSING, Fault, Table, column, label_by_name, refuse, twice
from smidgen.data.readers.limits import check_memory
from smidgen.data.readers.table import contents_of, text_or_numbers
from smidgen.data.readers.text_file import encoding_of
from smidgen.errors import DataError

SAMPLE_ROWS = 50
BYTES_PER_FIELD = 2
"""The shortest field of a CSV file: a digit and a separator."""
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d*,\d+([eE][-+]?\d+)?\s*")


@dataclass(frozen=True)
class _Layout:
    """How the rows of a file are read.

    Attributes:
        delimiter: The character between fields.
        decimal_comma: Whether numbers are written as 1,5.
        names: The names of the columns; those of a table without a header are "1", "2" and so on.
        has_header: Whether the first line is a header.
        texts: The places of the columns that may have text: labels, groups, times.
        dropped: The places of the columns that are not read.
        label: The place of the column with the labels; None if only its content can tell it.
    """

    delimiter: str
    decimal_comma: bool
    names: tuple[str, ...]
    has_header: bool
    texts: frozenset[int]
    dropped: frozenset[int]
    label: int | None


def read_csv(path: Path, options: ReadOptions = NO_OPTIONS) -> Contents:
    """Read a table. The first line is a header if it has text above a number, or names a label.

    Raises:
        DataError: A field is no number, rows differ in length, or a column is missing.
    """
    table, notes = csv_table(path, options)
    contents = contents_of(table, options)
    return replace(contents, notes=(*notes, *contents.notes))


def csv_table(path: Path, options: ReadOptions = NO_OPTIONS) -> tuple[Table, tuple[str, ...]]:
    """Read the columns of a table, and what the user should know of how they were read.

    Raises:
        DataError: A field is no number, or rows differ in length.
    """
    check_memory(path.stat().st_size // BYTES_PER_FIELD * 8, path, "give fewer rows")
    encoding, note = encoding_of(path)
    with path.open(encoding=encoding, newline="") as lines:
        with decoding(path, "write it as CSV"):
            sample = [line for line in islice(lines, SAMPLE_ROWS) if line.strip()]
        layout = _layout(path, sample, options)
        lines.seek(0)
        table = _read_table(path, lines, layout, options)
    commas = "numbers have decimal commas" if layout.decimal_comma else ""
    return table, tuple(filter(None, (note, commas)))


def _read_table(path: Path, lines: IO[str], layout: _Layout, options: ReadOptions) -> Table:
    try:
        columns = _load_rows(lines, layout)
    except ValueError as error:
        lines.seek(0)
        _raise_faults(path, lines, layout)
        raise DataError(f"cannot read {path} as a table of numbers: {error}; give a number in every column") from error
    return Table(path, layout.names, columns, layout.has_header)


# --- the layout, by the first lines --------------------------------------------------------------


def _layout(path: Path, sample: list[str], options: ReadOptions) -> _Layout:
    """Find the columns by the first lines."""
    delimiter = max("\t;,", key=lambda each: _numbers(sample, each))
    rows = _split(sample, delimiter)
    first = [field.strip() for field in rows[0]] if rows else []
    has_header = _is_header(rows, delimiter)
    if len(first) < 2 or len(rows) < 1 + has_header:
        start = sample[0][:60] if sample else ""
        raise DataError(f"{path} has no rows of at least one number and a label; its first line is {start!r}")
    names = _names(path, first) if has_header else tuple(str(place + 1) for place in range(len(first)))
    dropped = {place for name in options.drop if (place := column(path, names, name, "--drop")) is not None}
    kept = ["" if place in dropped else name for place, name in enumerate(names)]
    group = column(path, kept, options.group_column, "--group-column")
    label = label_by_name(path, kept, options.label)
    texts = _may_be_labels(rows[has_header:], kept) if label is None else {label}
    comma = delimiter != "," and any(_DECIMAL_COMMA.fullmatch(field) for row in rows[has_header:] for field in row)
    time = column(path, kept, options.time_column, "--time-column")
    texts |= {place for place in (group, time) if place is not None}
    return _Layout(delimiter, comma, names, has_header, frozenset(texts), frozenset(dropped), label)


def _split(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    try:
        return [row for row in csv.reader(lines, delimiter=delimiter) if row]
    except csv.Error:
        return []


def _numbers(sample: Sequence[str], delimiter: str) -> int:
    """How many fields are numbers if this is what separates them; a field alone in its line does not count."""
    rows = (row for row in _split(sample, delimiter) if len(row) > 1)
    return sum(_is_number(field, delimiter != ",") for row in rows for field in row)


def _is_header(rows: Sequence[Sequence[str]], delimiter: str) -> bool:
    """Whether the first row has text above a number, names a label, or counts the columns as pandas does."""
    if not rows:
        return False
    first = [field.strip() for field in rows[0]]
    if set(LABEL_NAMES) & {field.lower() for field in first} or first == [str(n) for n in range(len(first))]:
        return True
    comma = delimiter != ","
    text = [bool(field) and not _is_number(field, comma) for field in first]
    return any(
        is_text and place < len(row) and _is_number(row[place], comma)
        for row in rows[1:]
        for place, is_text in enumerate(text)
    )


def _names(path: Path, first: Sequence[str]) -> tuple[str, ...]:
    if several := twice(first):
        raise DataError(f"{path} has several columns '{several[0]}'; give each column a name of its own")
    if list(first).count("") > 1:
        raise DataError(f"{path} has {list(first).count('')} columns without a name; name them")
    return tuple(first)


def _may_be_labels(rows: Sequence[Sequence[str]], kept: Sequence[str]) -> set[int]:
    """The first and the last column that are read, and those in which every row of the sample has text."""
    places = [place for place, name in enumerate(kept) if name or len(set(kept)) == 1]
    texts = {place for place in places if all(place < len(row) and not _is_number(row[place], True) for row in rows)}
    return {places[0], places[-1]} | texts if places else set()


def _is_number(text: str, comma: bool = False) -> bool:
    if comma and _DECIMAL_COMMA.fullmatch(text):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True


# --- the values ------------------------------------------------------------------------------------


def _load_rows(lines: IO[str], layout: _Layout) -> tuple[Array, ...]:
    # Text gets a code while NumPy's own parser reads the numbers around it.
    codes: dict[int, dict[str, int]] = {place: {} for place in sorted(layout.texts)}
    converters: dict[int | str, Callable[[str], Any]] = {}
    if layout.decimal_comma:
        converters.update(dict.fromkeys(range(len(layout.names)), _with_comma))
    converters.update(dict.fromkeys(layout.dropped, lambda _: 0.0))
    converters.update({place: _encoder(known) for place, known in codes.items()})
    table = np.loadtxt(
        lines,
        dtype=np.float64,
        comments=None,
        delimiter=layout.delimiter,
        quotechar='"',
        skiprows=int(layout.has_header),
        ndmin=2,
        converters=converters,
    )
    if table.shape[1] != len(layout.names):
        raise ValueError(f"rows have {table.shape[1]} fields and the header {len(layout.names)}")
    return tuple(
        _decoded(place, table[:, place], codes[place], layout) if place in codes else table[:, place]
        for place in range(len(layout.names))
    )


def _encoder(known: dict[str, int]) -> Callable[[str], int]:
    return lambda text: known.setdefault(text.strip(), len(known))


def _with_comma(text: str) -> float:
    return float(text.replace(",", ".")) if _DECIMAL_COMMA.fullmatch(text) else float(text)


def _decoded(place: int, codes: Array, known: dict[str, int], layout: _Layout) -> Array:
    """The texts of a column; as numbers if all are, unless it has the labels: "01" is the name of a class."""
    texts = list(known)
    if place == layout.label:
        return np.array(texts, dtype=str)[codes.astype(np.int64)]
    if layout.decimal_comma:
        texts = [text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text for text in texts]
    return text_or_numbers(texts)[codes.astype(np.int64)]


# --- what is wrong with a file that cannot be read ----------------------------------------------


def _raise_faults(path: Path, lines: IO[str], layout: _Layout) -> None:
    """Raise a DataError that counts the fields that are no numbers, column by column; none if there are none."""
    rows, wanted = csv.reader(lines, delimiter=layout.delimiter), len(layout.names)
    found: dict[int, list[tuple[int, str]]] = {}
    line = 1
    with decoding(path, "write it as CSV"):
        for row in rows:
            if row and len(row) != wanted:
                raise DataError(
                    f"cannot read {path} as a table of numbers: line {line} has {len(row)} fields and line 1 has "
                    f"{wanted}; give every row the same number of columns"
                )
            if row and (line > 1 or not layout.has_header):
                _note_faults(row, line, layout, found)
            line = rows.line_num + 1
    if found:
        label = f"column '{layout.names[layout.label]}'" if layout.label is not None else ""
        raise refuse(path, [_fault(layout.names[place], found[place]) for place in sorted(found)], label)


def _note_faults(row: Sequence[str], line: int, layout: _Layout, found: dict[int, list[tuple[int, str]]]) -> None:
    for place, text in enumerate(row):
        if place not in layout.texts | layout.dropped and not _is_number(text, layout.decimal_comma):
            found.setdefault(place, []).append((line, text.strip()))


def _fault(name: str, fields: Sequence[tuple[int, str]]) -> Fault:
    texts = [(line, text) for line, text in fields if text.lower() not in MISSING]
    line, text = texts[0] if texts else fields[0]
    return Fault(name, len(fields) - len(texts), len(texts), text[:40] if texts else "", f"line {line}")
