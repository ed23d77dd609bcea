"""The numbers and the recipes that the documents state, read from two tables beside this module.

published.csv has one row for each number: the document, its table, the row and the figure there, the value as it is
printed, its unit, and the place in the document. Of Deep Compression's tables 2 and 3 it has the columns that are
compared, without their totals. recipes.csv has one row for each setting of a training: what the
document states, what its author's notebook trains, what the column "its recipe" takes here, what ours takes, and why
where this is not what was stated. An empty cell was not said, or does not apply; "by size" differs from row to row.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import NamedTuple

EXPONENTS = {"%": -2, "KB": 3}
"""Powers of ten by which a printed value becomes a rate or bytes; other units are as they are printed."""


@dataclass(frozen=True)
class Figure:
    """A number that a document states.

    Attributes:
        text: The value as it is printed, in `unit`.
        place: Where the document has it.
    """

    document: str
    table: str
    row: str
    name: str
    text: str
    unit: str
    place: str

    @property
    def value(self) -> float:
        """The number: a rate for percentages, bytes for kilobytes."""
        return float(f"{self.text}e{EXPONENTS.get(self.unit, 0)}")

    @property
    def shown(self) -> str:
        """The value with thousands apart and its unit: "1,199,882" or "1.56 %"."""
        return f"{self.text if '.' in self.text else format(int(self.text), ',')} {self.unit}".strip()

    def rounded(self, value: float) -> str:
        """Return another value for the same figure with as many decimals, in the same form as `shown`."""
        decimals = len(self.text.partition(".")[2])
        return f"{value / 10.0 ** EXPONENTS.get(self.unit, 0):,.{decimals}f} {self.unit}".strip()


class Setting(NamedTuple):
    """A setting of a document's trainings, for the rows whose names match the pattern `rows`; cells of recipes.csv."""

    document: str
    rows: str
    setting: str
    stated: str
    notebook: str
    taken: str
    ours: str
    why: str


@cache
def figures(document: str) -> tuple[Figure, ...]:
    """Return the numbers that a document states, in the order of the table."""
    return tuple(
        figure for figure in (Figure(*cells) for cells in _rows("published.csv")) if figure.document == document
    )


@cache
def settings(document: str) -> tuple[Setting, ...]:
    """Return the settings of a document's trainings, in the order of the table."""
    return tuple(each for each in (Setting(*cells) for cells in _rows("recipes.csv")) if each.document == document)


def published(document: str, row: str, name: str) -> float:
    """Return a number that a document states.

    Raises:
        KeyError: The table does not have it.
    """
    found = optional(document, row, name)
    if found is None:
        raise KeyError(f"published.csv has no figure '{name}' of '{row}' in {document}")
    return found


def optional(document: str, row: str, name: str) -> float | None:
    """Return a number that a document states, or None if it does not."""
    return next((each.value for each in figures(document) if (each.row, each.name) == (row, name)), None)


def otherwise(document: str, row: str) -> str:
    """Return the settings of a row that are not as stated, and those that are not said: "epochs; not said: loss"."""
    mine = [each for each in settings(document) if fnmatchcase(row, each.rows) and each.taken != each.stated]
    changed, unsaid = ([each.setting for each in mine if bool(each.stated) == said] for said in (True, False))
    parts = (", ".join(changed), f"not said: {', '.join(unsaid)}" if unsaid else "")
    return "; ".join(filter(None, parts)).replace("_", " ")


def checked(document: str, counted: Mapping[tuple[str, str], float]) -> list[tuple[Figure, str]]:
    """Return the figures that can be counted without training, each with the count, rounded as the figure is."""
    pairs = ((each, counted.get((each.row, each.name))) for each in figures(document))
    return [(each, each.rounded(value)) for each, value in pairs if value is not None]


@cache
def _rows(name: str) -> tuple[tuple[str, ...], ...]:
    text = files("smidgen.studies").joinpath(name).read_text("utf-8")
    return tuple(map(tuple, csv.reader(text.splitlines())))[1:]
