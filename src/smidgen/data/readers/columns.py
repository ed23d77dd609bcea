"""The roles of the columns of a table, in CSV, Parquet and data frames alike: label, group, features, left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from smidgen.data.readers.base import Array
from smidgen.errors import DataError
from smidgen.text_forms import counted

LABEL_NAMES = (
    "label",
    "labels",
    "class",
    "classes",
    "target",
    "category",
    "species",
    "activity",
    "diagnosis",
    "outcome",
)
"""A column of one of these names has the labels, whatever its place. `y` has them too, unless it is an axis."""
INDEX_NAMES = ("", "id", "index", "row", "unnamed: 0")
"""A column of one of these names whose values are all different whole numbers only numbers the rows."""
TIME_NAMES = ("time", "timestamp", "datetime", "date", "t")
"""In a table in long form, a column of one of these names is no channel of the signal."""
MOST_LABELS = 255
ROWS_PER_LABEL = 5
"""A column of whole numbers looks like labels if each stands, on average, in so many rows."""
SHORTEST_COUNT = 8
"""From this many rows on, values that rise by one step from row to row are taken for the numbers of the rows."""
MISSING = ("", "na", "n/a", "nan", "null", "none", "?", "-")
"""Texts in lower case that say that a number is missing."""
MOST_NAMES = 12


@dataclass(frozen=True, eq=False)
class Table:
    """The columns of a file, before it is decided what they are for.

    Attributes:
        path: Where they are from, for errors.
        names: The name of each column; those of a table without a header are "1", "2" and so on.
        columns: The values of each, [n]: numbers, or text as str.
        has_header: Whether the file names its columns.
        index: Columns that the file itself declares as an index.
        is_frame: Whether it is a data frame, of which columns are left out in Python.
    """

    path: Path | str
    names: tuple[str, ...]
    columns: tuple[Array, ...] = field(repr=False)
    has_header: bool = True
    index: tuple[str, ...] = ()
    is_frame: bool = False


def column(path: Path | str, names: Sequence[str], wanted: str, option: str) -> int | None:
    """Return the place of the column that an option names, or None if that is "".

    Raises:
        DataError: The table has no such column, or several.
    """
    if not wanted:
        return None
    found = [place for place, name in enumerate(names) if name == wanted]
    if not found:
        raise DataError(f"{path} has no column '{wanted}'; give {option} one of {_listed(names)}")
    if len(found) > 1:
        raise DataError(f"{path} has {len(found)} columns '{wanted}'; give each column a name of its own")
    return found[0]


def label_by_name(path: Path | str, names: Sequence[str], wanted: str = "") -> int | None:
    """Return the place of the column that is named as the label; None if no name tells it.

    Args:
        path: The file, for errors.
        names: The columns that can have the labels; "" for one that cannot.
        wanted: The name that the user gives, or "".

    Raises:
        DataError: Several columns have such names, or none has the name that the user gives.
    """
    if wanted:
        return column(path, names, wanted, "--label")
    lowered = [name.strip().lower() for name in names]
    found = [place for place, name in enumerate(lowered) if name in LABEL_NAMES]
    if len(found) > 1:
        several = " and ".join(f"'{names[place]}'" for place in found)
        raise DataError(
            f"{path} has the columns {several}, and each could be the label; give --label {names[found[0]]}"
        )
    if not found and "y" in lowered and "x" not in lowered and "z" not in lowered:
        found = [lowered.index("y")]
    return found[0] if found else None


def label_by_content(table: Table, places: Sequence[int]) -> tuple[int, str]:
    """Find the label among columns whose names do not tell it: the last if it looks like labels, else the only text.

    Args:
        table: The columns.
        places: The columns that can be the label, in order.

    Returns:
        (the place of the column, why it was taken).

    Raises:
        DataError: No column looks like labels, or the first and the last both do and have no names.
    """
    first, last = places[0], places[-1]
    looks = {place: looks_like_labels(table.columns[place]) for place in (first, last)}
    if not table.has_header and first != last and looks[first] and looks[last]:
        names = table.names[first], table.names[last]
        raise DataError(
            f"{table.path} has no header, and its columns {names[0]} and {names[1]} both look like labels; give "
            f"--label {names[0]} or --label {names[1]}"
        )
    if looks[last]:
        return last, "the last"
    texts = [place for place in places if table.columns[place].dtype.kind == "U"]
    if len(texts) == 1:
        return texts[0], "the only one with text"
    different = len(np.unique(table.columns[last]))
    raise DataError(
        f"{table.path} has no column that is named {', '.join(LABEL_NAMES[:-1])} or {LABEL_NAMES[-1]}, and the last, "
        f"'{table.names[last]}', has {counted(different, 'different number')} in {len(table.columns[last]):,} rows; "
        f"give --label with one of {_listed(table.names)}"
    )


def looks_like_labels(values: Array) -> bool:
    """Whether a column has text, or few different whole numbers."""
    if values.dtype.kind == "U":
        return True
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all() or (values != np.rint(values)).any():
        return False
    return 2 <= len(np.unique(values)) <= min(MOST_LABELS, len(values) // ROWS_PER_LABEL)


def label_source(table: Table, place: int, why: str) -> str:
    """Say which column has the labels, and why it was taken."""
    named = f"column '{table.names[place]}'" if table.has_header else f"column {table.names[place]}"
    return f"{named}{', ' if why else ''}{why}"


def numbers_the_rows(name: str, values: Array) -> str:
    """Say why a column only numbers the rows, as an index or a clock does; "" if it does not.

    Such a column would tell a network where in the file a row stands, and in a sorted file that is the class.
    """
    if values.dtype.kind not in "iuf" or len(values) < 2 or not np.isfinite(values).all():
        return ""
    steps = np.diff(values.astype(np.float64))
    step = float(steps.mean())
    if len(values) >= SHORTEST_COUNT and step and np.abs(steps - step).max() <= 1e-6 * abs(step):
        return f"rises by {step:g} in each row" if step > 0 else f"falls by {-step:g} in each row"
    whole = bool((values == np.rint(values)).all())
    if name.strip().lower() in INDEX_NAMES and whole and len(np.unique(values)) == len(values):
        return "numbers the rows"
    return ""


@dataclass(frozen=True)
class Fault:
    """Why a column cannot be a feature.

    Attributes:
        name: The column.
        missing: How many rows have no value.
        text: How many rows have text.
        example: A text of it.
        place: Where the first such row is: "line 5".
        kind: What its values are if it has no numbers at all, such as "dates"; "" for text.
    """

    name: str
    missing: int
    text: int
    example: str = ""
    place: str = ""
    kind: str = ""

    def __str__(self) -> str:
        if self.kind:
            return f"column '{self.name}' has {self.kind} and no numbers"
        where = f" (the first in {self.place})" if self.place else ""
        if self.text:
            first = f" ('{self.example}'{f' in {self.place}' if self.place else ''})" if self.example else where
            return f"column '{self.name}' has text in {counted(self.text, 'row')}{first}"
        return f"column '{self.name}' has no value in {counted(self.missing, 'row')}{where}"


def refuse(path: Path | str, faults: Sequence[Fault], label: str, is_frame: bool = False) -> DataError:
    """Make the error about columns that cannot be features; `label` says which column has the labels."""
    told = "; ".join(map(str, faults[:3]))
    more = f"; and {counted(len(faults) - 3, 'more column')}" if len(faults) > 3 else ""
    names = [fault.name for fault in faults[:MOST_NAMES]]
    left_out = f"X.drop(columns={names})" if is_frame else " ".join(f"--drop {_quoted(name)}" for name in names)
    cures = ["fill the values or drop these rows"] if any(f.missing and not f.text for f in faults) else []
    cures += ["encode text as numbers"] if any(f.text or f.kind for f in faults) else []
    source = f" (labels are {label})" if label else ""
    return DataError(f"{path}: {told}{more}; {', '.join([*cures, f'or leave out with {left_out}'])}{source}")


def twice(names: Sequence[str]) -> list[str]:
    """The names that several columns have."""
    return [name for name, times in Counter(names).items() if times > 1 and name]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMES])
    return f"{shown}, ... ({len(names)} columns)" if len(names) > MOST_NAMES else shown


def _quoted(name: str) -> str:
    return f"'{name}'" if " " in name or not name else name
