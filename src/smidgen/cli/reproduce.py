"""`smidgen reproduce`: its options and its output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smidgen.cli import json_forms
from smidgen.cli.options import RUN, EngineOption, StoreOption, WorkersOption, option
from smidgen.cli.output import bars, emit
from smidgen.cli.screen import console, table
from smidgen.text_forms import counted

if TYPE_CHECKING:
    from smidgen.studies import Report

EPILOG = "Examples:\n\nsmidgen reproduce reduce-cnn --quick\n\nsmidgen reproduce all --out reproduced"


def reproduce(
    name: Annotated[
        str, typer.Argument(help="logit-regression, width-sweeps, mimic, reduce-cnn, deep-compression, or all.")
    ],
    quick: Annotated[
        bool, option("--quick", "Take minutes instead of hours: fewer epochs, fewer seeds, and no large networks.")
    ] = False,
    out: Annotated[Path, option("--out", "The folder to write.", RUN)] = Path("reproduced"),
    store: StoreOption = None,
    workers: WorkersOption = None,
    engine: EngineOption = "auto",
) -> None:
    """Reproduce published tables beside Smidgen's recipes, and answer their questions.

    Writes table.csv, table.md, findings.md and pictures into a folder for
    each document, and index.md for all of them. Run the same line again
    and nothing is trained twice; stop it, and it continues where it was.
    """
    from smidgen import api

    with bars() as reporter:
        reports = api.reproduce(
            name, quick=quick, out=out, store=store, workers=workers, engine=engine, reporter=reporter
        )

    def print_all(reports: Sequence[Report]) -> None:
        for report in reports:
            print_report(report)
        console().print(f"{out / 'index.md'}", soft_wrap=True)

    emit(reports, print_all, json_forms.reproduced)


def print_report(report: Report) -> None:
    """Print a document's tables, findings and notes."""
    from rich.text import Text

    screen = console()
    screen.print(f"\n{report.title}", style="bold")
    for shown in report.tables:
        screen.print(f"\n{shown.title}")
        rows = table(*shown.heads)
        for row in shown.rows:
            rows.add_row(*row)
        screen.print(rows)
    for finding in report.findings:
        screen.print(Text.assemble((finding.question, "bold"), f" {finding.answer}\n"))
    for note in report.notes:
        screen.print(f"- {note}")
    screen.print(f"{counted(report.trained, 'training')}, {report.remembered} remembered, {report.seconds:.1f} s")
