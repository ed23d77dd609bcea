"""Which columns of a table have the label and the group, in CSV and Parquet alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from smidgen.errors import DataError

LABEL_COLUMNS = ("label", "y", "target")


def label_column(names: Sequence[str]) -> int:
    """Return the index of the column with a name in `LABEL_COLUMNS`, else of the last column."""
    lowered = [name.strip().lower() for name in names]
    return next((lowered.index(name) for name in LABEL_COLUMNS if name in lowered), len(names) - 1)


def label_source(names: Sequence[str], label: int, has_header: bool = True) -> str:
    """Say which column has the labels, and why it was taken."""
    if not has_header:
        return f"column {label + 1}, the last (the table has no header)"
    name = names[label].strip()
    return (
        f"column '{name}'"
        if name.lower() in LABEL_COLUMNS
        else (f"column '{name}', the last (no column is named {', '.join(LABEL_COLUMNS[:-1])} or {LABEL_COLUMNS[-1]})")
    )


def group_column(path: Path, names: Sequence[str], wanted: str) -> int | None:
    """Return the index of the column `wanted`, or None if that is "".

    Raises:
        DataError: The table has no such column.
    """
    if not wanted:
        return None
    if wanted not in names:
        raise DataError(f"{path} has no column '{wanted}'; its columns are {', '.join(names) or 'without names'}")
    return names.index(wanted)
