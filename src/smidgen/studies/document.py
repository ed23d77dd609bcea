"""A document is a declaration: its data sets, its trainings, its page and its pictures.

The page (pages/NAME.md.j2) has every note, table and question of the document, with the numbers as expressions:
change a number and the sentence changes. It sees the results as `found` and the names of their module as they are.
`Document.reproduce` trains, renders the page and reads its blocks.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from math import log
from statistics import median
from typing import TYPE_CHECKING, Generic, TypeVar

from smidgen.data import Dataset
from smidgen.spec import NetSpec, parse_spec
from smidgen.studies.phrases import NOTHING, errors, p_text, percent, points, rate_text, seeds_text, signed, span
from smidgen.studies.pictures import Mark, Picture, Series, series
from smidgen.studies.published import checked, optional, otherwise, settings
from smidgen.studies.statistics import SIGNIFICANT, compare, fit
from smidgen.studies.teachers import COPIES
from smidgen.studies.trainings import Bench, Effort, Runs, best_on_selection

if TYPE_CHECKING:
    from jinja2 import Environment

SHAPE = (1, 28, 28)
"""The input of every network in the documents: MNIST and Fashion-MNIST."""


class Network:
    """A network of a document, written in the spec language."""

    text: str

    @property
    def spec(self) -> NetSpec:
        return parse_spec(self.text)

    @property
    def parameters(self) -> int:
        return self.spec.parameters(SHAPE)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return self.spec.macs(SHAPE)


@dataclass(frozen=True, eq=False)
class Row:
    """One row of a document's main table: a network, and its runs by the document's recipe and by ours, if any."""

    name: str
    parameters: int
    published: float | None = None
    theirs: Runs | None = None
    ours: Runs | None = None

    @property
    def reached(self) -> str:
        """How many seeds of the document's recipe reach the published accuracy: "2 of 3"."""
        rates = self.theirs.rates if self.theirs else ()
        return f"{sum(self.published is not None and rate >= self.published for rate in rates)} of {len(rates)}"

    @property
    def time_ratio(self) -> float | None:
        """How many times as long the document's recipe takes as ours."""
        return self.theirs.seconds / self.ours.seconds if self.theirs and self.ours and self.ours.seconds else None


@dataclass(frozen=True)
class Table:
    """A small table of text. A head that begins with ">" stands over a column of numbers."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Finding:
    """A question and the answer that the numbers give; one about published figures needs all epochs."""

    question: str
    answer: str
    against_published: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Results:
    """What a document's trainings gave; its page sees this as `found`. Each document adds fields of its own.

    Attributes:
        on_all: Our runs on all 60,000 training images, by row; empty where the effort cuts epochs.
    """

    rows: tuple[Row, ...]
    on_all: Mapping[str, Runs] = field(default_factory=dict)

    @property
    def ours(self) -> dict[str, Runs]:
        """Our runs by row."""
        return {row.name: row.ours for row in self.rows if row.ours}

    def by_recipe(self, theirs: str) -> tuple[Series, Series]:
        """Return the rows as two series, by the document's recipe (called `theirs`) and by ours."""
        return (
            series(theirs, ((row.parameters, row.theirs) for row in self.rows)),
            series("ours", ((row.parameters, row.ours) for row in self.rows), 1),
        )

    @property
    def marks(self) -> tuple[Mark, ...]:
        """What was published."""
        return tuple((row.name, row.parameters, row.published) for row in self.rows if row.published)


@dataclass(frozen=True)
class Page:
    """The blocks of a rendered page."""

    notes: tuple[str, ...]
    tables: tuple[Table, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, eq=False)
class Report(Page):
    """A reproduced document, ready to be printed or written."""

    name: str
    title: str
    rows: tuple[Row, ...]
    pictures: tuple[Picture, ...]
    runs: Mapping[str, Runs] = field(repr=False)
    seconds: float
    trained: int
    remembered: int


def rows(
    document: str, nets: Mapping[str, Network], theirs: Mapping[str, Runs], ours: Mapping[str, Runs]
) -> tuple[Row, ...]:
    """Return a row for each network, with the test accuracy that the document or its notebook states for it, if any."""
    return tuple(
        Row(name, net.parameters, optional(document, name, "test accuracy"), theirs.get(name), ours.get(name))
        for name, net in nets.items()
    )


R = TypeVar("R", bound=Results)


@dataclass(frozen=True)
class Document(Generic[R]):
    """A document that can be reproduced: its name is also its page's, and `data` names the data sets it needs."""

    name: str
    about: str
    data: tuple[str, ...]
    train: Callable[[Bench, Mapping[str, Dataset]], R]
    pictures: Callable[[R], Iterable[Picture]]

    def reproduce(self, bench: Bench, data: Mapping[str, Dataset]) -> Report:
        """Train everything on `bench` and answer every question."""
        began = time.perf_counter()
        results = self.train(bench, data)
        page = render(self.name, results)
        return Report(
            name=self.name,
            title=f"{self.name}: {self.about}",
            notes=(*page.notes, *effort_notes(bench)),
            rows=results.rows,
            tables=page.tables,
            findings=tuple(cautious(finding, bench.effort) for finding in page.findings),
            pictures=tuple(self.pictures(results)),
            runs=dict(bench.runs),
            seconds=time.perf_counter() - began,
            trained=bench.study.trained,
            remembered=bench.study.remembered,
        )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("smidgen", "studies/pages"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        line_statement_prefix="%",
    )
    found.filters |= {"n": "{:,}".format, "f": format, "rate": rate_text, "median": median, "p": p_text, "log": log}
    filters = (percent, points, signed, span, errors, seeds_text, best_on_selection)
    found.filters |= {each.__name__: each for each in filters}
    found.globals |= {"compare": compare, "fit": fit, "COPIES": COPIES, "SIGNIFICANT": SIGNIFICANT}
    found.globals |= {each.__name__: each for each in (checked, otherwise, settings)}
    return found


def render(name: str, results: Results) -> Page:
    """Render a document's page from its results and the names of their module, and return its blocks."""
    names = vars(sys.modules[type(results).__module__])
    return parse(_environment().get_template(f"{name}.md.j2").render(names, found=results, document=name))


def parse(text: str) -> Page:
    """Split a rendered page into blocks.

    A note begins with "- ", a table with "## ", a question with "? ", or with "?! " if its answer compares with
    published figures. Line breaks within notes and answers do not count; tables without rows are left out.
    """
    notes, tables, findings = [], [], []
    for block in re.split(r"^(?=- |## |\?!? )", text, flags=re.MULTILINE)[1:]:
        head, _, body = block.partition("\n")
        mark, _, title = head.partition(" ")
        if mark == "-":
            notes.append(" ".join(block.split()[1:]))
        elif mark == "##":
            lines = [line.strip().split("|")[1:-1] for line in body.splitlines() if line.startswith("|")]
            heads, *rows = (tuple(cell.strip() for cell in line) for line in lines)
            tables.append(Table(title, heads, tuple(rows)))
        else:
            findings.append(Finding(title, " ".join(body.split()) or NOTHING, mark == "?!"))
    return Page(tuple(notes), tuple(table for table in tables if table.rows), tuple(findings))


def cautious(finding: Finding, effort: Effort) -> Finding:
    """Say in a finding about published figures that epochs were cut, where they were."""
    if effort.is_whole or not finding.against_published or finding.answer == NOTHING:
        return finding
    caution = f"After {100 * effort.epoch_share:.0f} % of the epochs, so no test of what was published."
    return replace(finding, answer=f"{caution} {finding.answer}")


def effort_notes(bench: Bench) -> tuple[str, ...]:
    """Return what the effort cut or left out, as notes; none if it did neither."""
    effort, notes = bench.effort, []
    if not effort.is_whole:
        notes.append(
            f"Effort '{effort.name}': {100 * effort.epoch_share:.0f} % of the epochs, at most {effort.most_seeds} "
            f"seed{'s' if effort.most_seeds > 1 else ''}, no training on the validation images; these are not the "
            "figures to quote."
        )
    if bench.left_out:
        notes.append(f"Left out: {'; '.join(bench.left_out)}.")
    return tuple(notes)
