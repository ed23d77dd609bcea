"""Reports as files: table.csv, table.md, findings.md, pictures, and index.md with everything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from smidgen.atomic_files import write_whole
from smidgen.atomic_folders import changed_folder
from smidgen.errors import RequestError
from smidgen.report.csv import csv_text
from smidgen.studies.document import Finding, Report, Table

CSV_HEAD = (
    *("document", "training", "spec", "parameters", "loss", "temperature", "optimizer", "learning_rate", "schedule"),
    *("epochs", "batch_size", "seed", "selection_correct", "selection_total", "confirmation_correct"),
    *("confirmation_total", "test_correct", "test_total", "train_seconds", "diverged_at", "key"),
)


def write(report: Report, folder: Path) -> list[Path]:
    """Write a report's files into `folder` / the document's name and return their paths.

    Raises:
        RequestError: The folder cannot be written to.
    """
    place = folder / report.name
    texts = {
        "table.csv": trainings_csv(report),
        "table.md": "\n".join(map(markdown, report.tables)),
        "findings.md": findings_text(report.findings),
    }
    names = [*texts, *(picture.file for picture in report.pictures)]
    try:
        with changed_folder(place, names.__contains__, last="findings.md") as draft:
            for file, text in texts.items():
                (draft / file).write_text(text, encoding="utf-8")
            for picture in report.pictures:
                picture.draw(draft / picture.file)
    except OSError as error:
        raise RequestError(f"cannot write to {place}: {error.strerror or error}; give another --out") from error
    return [place / file for file in names]


def write_index(reports: Sequence[Report], folder: Path) -> Path:
    """Write index.md, all reports on one page, beside the documents' folders and return its path."""
    path = folder / "index.md"
    pages = (page(report, f"{report.name}/") for report in reports)
    write_whole(path, "\n".join(["# Reproduced\n", *pages]))
    return path


def trainings_csv(report: Report) -> str:
    """Return one CSV row for each training of the document."""
    rows: list[tuple[object, ...]] = []
    for name, runs in report.runs.items():
        for trial, outcome, test in zip(runs.trials, runs.outcomes, runs.test, strict=True):
            r = trial.recipe
            how = (r.loss, r.temperature, r.optimizer, r.learning_rate, r.schedule, r.epochs, r.batch_size, trial.seed)
            scores = (outcome.selection, outcome.confirmation, test)
            counts = (count for score in scores for count in (score.correct, score.total))
            end = (f"{outcome.train_seconds:.3f}", outcome.diverged_at, trial.key)
            rows.append((report.name, name, trial.spec, outcome.parameters, *how, *counts, *end))
    return csv_text(CSV_HEAD, rows)


def markdown(table: Table) -> str:
    """Return the table as Markdown under its title."""
    heads = [head.lstrip(">") for head in table.heads]
    rule = ["---:" if head.startswith(">") else "---" for head in table.heads]
    lines = ["| " + " | ".join(cells) + " |" for cells in (heads, rule, *table.rows)]
    return "\n".join([f"**{table.title}**", "", *lines, ""])


def findings_text(findings: Sequence[Finding]) -> str:
    """Return the questions in bold, each with its answer below it."""
    return "\n".join(f"**{finding.question}**\n\n{finding.answer}\n" for finding in findings)


def page(report: Report, folder: str) -> str:
    """Return a report as one Markdown page whose pictures lie in `folder`."""
    notes = "\n".join(f"- {note}" for note in report.notes)
    tables = "\n".join(map(markdown, report.tables))
    pictures = "\n".join(f"![{picture.title}]({folder}{picture.file})\n" for picture in report.pictures)
    return "\n".join([f"## {report.title}\n", notes, "", tables, pictures, findings_text(report.findings)])
