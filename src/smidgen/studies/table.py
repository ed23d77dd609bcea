"""What a document's reproduction says, before anything is printed: lines, small tables, findings, pictures.

The wording is made from the numbers: change a number and the sentence changes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from smidgen.data import Dataset
from smidgen.studies.trainings import Bench, Runs


@dataclass(frozen=True, eq=False)
class Row:
    """One row of a document's table, beside what came of it here.

    published: the accuracy in the document, 0 to 1, or None where it gives none
    theirs, ours: trained by the document's recipe and by ours; None where it was left out
    """

    name: str
    parameters: int
    published: float | None = None
    theirs: Runs | None = None
    ours: Runs | None = None

    @property
    def time_ratio(self) -> float | None:
        """How many times as long the document's recipe takes as ours."""
        return self.theirs.seconds / self.ours.seconds if self.theirs and self.ours and self.ours.seconds else None


@dataclass(frozen=True)
class Table:
    """A small table of text. A head that begins with ">" is of a column of numbers."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Finding:
    """A question and the answer that the numbers give.

    against_published: whether it holds them against the document's figures, and so means little where epochs are cut
    """

    question: str
    answer: str
    against_published: bool = False


@dataclass(frozen=True)
class Picture:
    """A file name, what it shows, and the function that draws it into a path."""

    file: str
    caption: str
    draw: Callable[[Path], None] = field(repr=False, compare=False)


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that a document's reproduction found."""

    name: str
    title: str
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    tables: tuple[Table, ...]
    findings: tuple[Finding, ...]
    pictures: tuple[Picture, ...]
    runs: Mapping[str, Runs] = field(repr=False)
    seconds: float = 0.0
    trained: int = 0
    remembered: int = 0


@dataclass(frozen=True)
class Document:
    """A document that can be reproduced: the data sets that it needs, and the function that does it."""

    name: str
    title: str
    data: tuple[str, ...]
    reproduce: Callable[[Bench, Mapping[str, Dataset]], Report] = field(repr=False)


# --- what a row says -----------------------------------------------------------------------------


def accuracy_table(rows: Sequence[Row], title: str) -> Table:
    """Published, the document's recipe, ours: mean ± standard deviation over the seeds, and how many seeds."""
    heads = ("", ">parameters", ">published", ">its recipe", ">ours")
    return Table(
        title,
        heads,
        tuple(
            (row.name, f"{row.parameters:,}", percent(row.published), _runs(row.theirs), _runs(row.ours))
            for row in rows
        ),
    )


def cost_table(rows: Sequence[Row]) -> Table:
    """The mean seconds of one training by each recipe, and the interval of one network's test accuracy."""
    heads = ("", ">its recipe", "95 % interval", ">ours", "95 % interval", ">time")
    lines = []
    for row in rows:
        ratio = f"{row.time_ratio:.2g}x" if row.time_ratio else ""
        cells = [cell for runs in (row.theirs, row.ours) for cell in (_seconds(runs), _interval(runs))]
        lines.append((row.name, *cells, ratio))
    title = "Seconds of one training on one thread, test interval of one network, document's time over ours"
    return Table(title, heads, tuple(lines))


def seeds_table(rows: Sequence[Row]) -> Table:
    """How the seeds of the document's recipe lie about each published figure."""
    lines = []
    for row in rows:
        if row.published is not None and row.theirs:
            rates = sorted(row.theirs.rates)
            reached = sum(rate >= row.published for rate in rates)
            ends = (percent(rates[0]), percent(median(rates)), percent(rates[-1]))
            lines.append((row.name, percent(row.published), *ends, f"{reached} of {len(rates)}"))
    heads = ("", ">published", ">lowest", ">median", ">highest", ">seeds at or above")
    return Table("The seeds of the document's recipe about what was published, test accuracy in %", heads, tuple(lines))


def percent(rate: float | None) -> str:
    return "" if rate is None else f"{100 * rate:.2f}"


def _runs(runs: Runs | None) -> str:
    return "" if runs is None else str(runs)


def _seconds(runs: Runs | None) -> str:
    return "" if runs is None else f"{runs.seconds:.1f} s"


def _interval(runs: Runs | None) -> str:
    if runs is None:
        return ""
    low, high = runs.mean_score.interval()
    return f"{100 * low:.2f} to {100 * high:.2f}"


# --- findings that every document has --------------------------------------------------------------


def met(rows: Sequence[Row]) -> Finding:
    """Whether each published accuracy is met by the document's own recipe, and by how much not."""
    answers = [_met(row, row.published, row.theirs) for row in rows if row.published is not None and row.theirs]
    return Finding("Does the document's own recipe give its published accuracy?", " ".join(answers) or NOTHING, True)


def beaten(rows: Sequence[Row]) -> Finding:
    """What our recipe gives at the same size."""
    answers = [
        f"{row.name}: {100 * (row.ours.mean - row.published):+.2f} points to {100 * row.ours.mean:.2f} % "
        f"(published {100 * row.published:.2f} %)."
        for row in rows
        if row.published is not None and row.ours
    ]
    return Finding("What does our recipe give at the same size?", " ".join(answers) or NOTHING, True)


def beaten_on_all(rows: Sequence[Row], on_all: Mapping[str, Runs]) -> Finding:
    """The same with the validation images too, as the documents trained; nothing is chosen there."""
    all_rows = [replace(row, ours=on_all[row.name]) for row in rows if row.name in on_all]
    return Finding("And on all 60,000 training images, as the document trained?", beaten(all_rows).answer, True)


def our_images_table(rows: Sequence[Row], on_all: Mapping[str, Runs]) -> tuple[Table, ...]:
    """Our recipe on 50,000 images, where it was chosen, and on all of them; no table where the effort left both out."""
    lines = tuple(
        (row.name, f"{100 * row.published:.2f}" if row.published else "", str(row.ours or ""), str(on_all[row.name]))
        for row in rows
        if row.name in on_all
    )
    heads = ("", ">published", ">50,000 images", ">60,000 images")
    return (Table("Our recipe, and with the validation images too; test accuracy in %", heads, lines),) if lines else ()


NOTHING = "Nothing was trained that would answer it; run it without --quick."


def _met(row: Row, published: float, runs: Runs) -> str:
    reached = sum(rate >= published for rate in runs.rates)
    seeds, difference = len(runs.test), runs.mean - published
    low, high = (100 * end(runs.rates) for end in (min, max))
    of_seeds = f"{low:.2f} to {high:.2f} %, {reached} of {seeds} at or above it" if seeds > 1 else ""
    said = f"{row.name}: published {100 * published:.2f} %, measured {runs.text}{', ' if of_seeds else ''}{of_seeds}: "
    if difference >= 0:
        return said + "met."
    if -difference <= runs.spread:
        return said + f"{-100 * difference:.2f} points below, within one standard deviation of the seeds."
    spreads = f", {-difference / runs.spread:.1f} standard deviations" if runs.spread else ""
    return said + f"missed by {-100 * difference:.2f} points{spreads}."


# --- text --------------------------------------------------------------------------------------------

CSV_HEAD = (
    *("document", "training", "spec", "parameters", "loss", "temperature", "optimizer", "learning_rate", "schedule"),
    *("epochs", "batch_size", "seed", "selection_correct", "selection_total", "confirmation_correct"),
    *("confirmation_total", "test_correct", "test_total", "train_seconds", "diverged_at", "key"),
)


def csv_text(report: Report) -> str:
    """One row a training, of everything that was trained for the document."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(CSV_HEAD)
    for name, runs in report.runs.items():
        for trial, outcome, test in zip(runs.trials, runs.outcomes, runs.test, strict=True):
            r = trial.recipe
            how = (r.loss, r.temperature, r.optimizer, r.learning_rate, r.schedule, r.epochs, r.batch_size, trial.seed)
            scores = (outcome.selection, outcome.confirmation, test)
            counts = (count for score in scores for count in (score.correct, score.total))
            end = (f"{outcome.train_seconds:.3f}", outcome.diverged_at, trial.key)
            rows.writerow((report.name, name, trial.spec, outcome.parameters, *how, *counts, *end))
    return text.getvalue()


def markdown(table: Table) -> str:
    """The table as Markdown, with its title above."""
    heads = [head.lstrip(">") for head in table.heads]
    rule = ["---:" if head.startswith(">") else "---" for head in table.heads]
    lines = ["| " + " | ".join(cells) + " |" for cells in (heads, rule, *table.rows)]
    return "\n".join([f"**{table.title}**", "", *lines, ""])


def findings_text(findings: Sequence[Finding]) -> str:
    """Questions as bold text, answers under them."""
    return "\n".join(f"**{finding.question}**\n\n{finding.answer}\n" for finding in findings)


def page(report: Report, folder: str = "") -> str:
    """A document's whole page: notes, tables, pictures, findings. `folder` stands before the pictures' names."""
    notes = "\n".join(f"- {note}" for note in report.notes)
    tables = "\n".join(markdown(table) for table in report.tables)
    pictures = "\n".join(f"![{picture.caption}]({folder}{picture.file})\n" for picture in report.pictures)
    return "\n".join([f"## {report.title}\n", notes, "", tables, pictures, findings_text(report.findings)])
