"""A table becomes examples: its label, its groups, its features, and what is left out, in one place for all formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smidgen.data.readers.base import Array, Contents, Raw, ReadOptions
from smidgen.data.readers.columns import (
    MISSING,
    TIME_NAMES,
    Fault,
    Table,
    column,
    label_by_content,
    label_by_name,
    label_source,
    numbers_the_rows,
    refuse,
)
from smidgen.data.readers.windows import Recording, cut_windows
from smidgen.errors import DataError


@dataclass(frozen=True)
class Roles:
    """What the columns of a table are for.

    Attributes:
        label: The place of the column with the labels.
        label_source: The column in words, and why it was taken.
        group: The place of the column with the groups; None if there is none.
        time: The place of the column with the times; None if there is none.
        features: The places of the features.
        left_out: (name, reason) of each column that is none of these and that the user did not leave out.
    """

    label: int
    label_source: str
    group: int | None
    time: int | None
    features: tuple[int, ...]
    left_out: tuple[tuple[str, str], ...]


def contents_of(table: Table, options: ReadOptions) -> Contents:
    """Turn a table into examples.

    Raises:
        DataError: The label is not found or has no value in a row, or a column that is left is not of numbers.
    """
    roles = roles_of(table, options)
    check_given(table, roles.label, "label", roles.label_source)
    check_given(table, roles.group, "group", f"column '{options.group_column}'")
    images = features_of(table, roles.features, roles.label_source)
    labels, groups = table.columns[roles.label], _column(table, roles.group)
    names, notes = tuple(table.names[place] for place in roles.features), notes_of(table, roles)
    if not options.window:
        return Contents(Raw(images, labels, groups), None, roles.label_source, names, tuple(notes))
    cut = cut_windows(Recording(table.path, images, labels, groups, _column(table, roles.time)), options)
    raw = Raw(cut.values, cut.labels, cut.groups)
    return Contents(raw, None, roles.label_source, names, (*notes, *cut.notes), layout="time-channels")


def roles_of(table: Table, options: ReadOptions) -> Roles:
    """Decide what each column is for."""
    path, names = table.path, table.names
    dropped = {column(path, names, name, "--drop") for name in options.drop}
    group = column(path, names, options.group_column, "--group-column")
    time = column(path, names, options.time_column, "--time-column")
    kept = ["" if place in dropped or name in table.index else name for place, name in enumerate(names)]
    label = label_by_name(path, list(names) if options.label else kept, options.label)
    rest = [place for place in range(len(names)) if place not in dropped and place not in (group, label, time)]
    reasons = {place: _left_out(table, place) for place in rest}
    if options.window:
        reasons = {place: reason or _clock(table, place, group) for place, reason in reasons.items()}
    else:
        reasons = {place: reason and reason + _window_hint(names[place]) for place, reason in reasons.items()}
    features = [place for place in rest if not reasons[place]]
    why = ""
    if label is None:
        if not features:
            raise DataError(f"{path} has no column that can be the label; give --label with one of {', '.join(names)}")
        label, why = label_by_content(table, features)
        features.remove(label)
    if not features:
        raise DataError(f"{path} has no feature beside the label, {label_source(table, label, why)}; give more columns")
    if "" in (names[place] for place in features):
        # The row numbers of a sorted table would give every label away.
        raise DataError(f"{path} has a column without a name that is no index; name it or write the table without it")
    left_out = tuple((names[place], reason) for place, reason in reasons.items() if reason)
    return Roles(label, label_source(table, label, why), group, time, tuple(features), left_out)


def check_given(table: Table, place: int | None, what: str, source: str) -> None:
    """Raise a DataError if a row has no label or no group; `source` says which column has them."""
    if place is None:
        return
    values = table.columns[place]
    empty = np.isin(np.char.lower(values), ("", "nan")) if values.dtype.kind == "U" else _missing(values)
    if empty.any():
        raise DataError(
            f"{table.path}: {int(empty.sum()):,} of {len(values):,} rows have no {what} (the first is row "
            f"{int(empty.argmax()) + 1}; {what}s are {source}); fill them or drop these rows"
        )


def features_of(table: Table, places: Sequence[int], label_source: str = "") -> Array:
    """Return columns side by side: float64 [n, columns].

    Raises:
        DataError: A column has text or rows without a value; they are counted.
    """
    faults = [fault for place in places if (fault := fault_of(table.names[place], table.columns[place]))]
    if faults:
        raise refuse(table.path, faults, label_source, table.is_frame)
    return np.stack([table.columns[place].astype(np.float64) for place in places], axis=1)


def fault_of(name: str, values: Array) -> Fault | None:
    """Say why a column is no feature; None if it is one."""
    if values.dtype.kind == "U":
        texts, first_rows, counts = np.unique(values, return_index=True, return_counts=True)
        bad = [place for place, text in enumerate(texts) if not _is_number(str(text))]
        gone = np.array([str(texts[place]).lower() in MISSING for place in bad], bool)
        first = min(first_rows[bad][~gone] if not gone.all() else first_rows[bad])
        return Fault(
            name,
            int(counts[bad][gone].sum()),
            int(counts[bad][~gone].sum()),
            "" if gone.all() else str(values[first])[:40],
            f"row {first + 1}",
        )
    if values.dtype.kind not in "biuf":
        return Fault(name, 0, 0, kind="dates" if values.dtype.kind in "Mm" else f"values of type {values.dtype}")
    missing = _missing(values)
    return Fault(name, int(missing.sum()), 0, place=f"row {int(missing.argmax()) + 1}") if missing.any() else None


def notes_of(table: Table, roles: Roles) -> list[str]:
    """Say which columns were left out, and which may have to be."""
    told = [f"column '{name}' is left out: it {reason}" for name, reason in roles.left_out]
    rising = [table.names[place] for place in roles.features if _rises(table.columns[place])]
    return told + [
        f"column '{name}' rises from row to row, as a clock does; if it is no feature, give --drop {name}"
        for name in rising
    ]


def text_or_numbers(texts: Sequence[str]) -> Array:
    """The values of a column as numbers if every text is one, else as text without spaces around it."""
    stripped = np.array([text.strip() for text in texts], dtype=str)
    try:
        return stripped.astype(np.float64)
    except ValueError:
        return stripped


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _left_out(table: Table, place: int) -> str:
    name = table.names[place]
    return "is the index of the file" if name in table.index else numbers_the_rows(name, table.columns[place])


def _window_hint(name: str) -> str:
    is_clock = name.strip().lower() in TIME_NAMES
    return "; if rows follow in time, --window cuts windows of a signal" if is_clock else ""


def _clock(table: Table, place: int, group: int | None) -> str:
    """Say that a column of a table in long form only tells the time; "" if it does not."""
    values, groups = table.columns[place], _column(table, group)
    if table.names[place].strip().lower() in TIME_NAMES:
        return "tells the time; --time-column sorts by it"
    if values.dtype.kind not in "iuf" or len(values) < 2:
        return ""
    same = np.ones(len(values) - 1, bool) if groups is None else groups[1:] == groups[:-1]
    rises = same.any() and (np.diff(values.astype(np.float64))[same] > 0).all()
    return "rises within each group, as a clock does; --time-column sorts by it" if rises else ""


def _column(table: Table, place: int | None) -> Array | None:
    return None if place is None else table.columns[place]


def _missing(values: Array) -> Array:
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)


def _rises(values: Array) -> bool:
    return len(values) >= 20 and values.dtype.kind in "iuf" and bool((np.diff(values.astype(np.float64)) > 0).all())
