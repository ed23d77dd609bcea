"""`smidgen reproduce`: what it takes and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smidgen.cli.options import EngineOption, StoreOption, WorkersOption, check_writable, load_data, opened
from smidgen.cli.screen import bars, console, table

if TYPE_CHECKING:
    from smidgen.studies import Report

EPILOG = "Examples:\n\nsmidgen reproduce reduce-cnn --quick\n\nsmidgen reproduce all --out reproduced"


def reproduce(
    name: Annotated[
        str, typer.Argument(help="logit-regression, width-sweeps, mimic, reduce-cnn, deep-compression, or all.")
    ],
    quick: Annotated[bool, typer.Option("--quick", help="Minutes: fewer epochs, seeds and large networks.")] = False,
    out: Annotated[Path, typer.Option("--out", help="The folder to write.")] = Path("reproduced"),
    store: StoreOption = "",
    workers: WorkersOption = 0,
    engine: EngineOption = "auto",
) -> None:
    """Reproduce published tables beside our recipes, and answer their questions.

    Writes table.csv, table.md, findings.md and pictures into a folder for
    each document, and index.md for all of it. Run the same line again and
    nothing is trained twice; stop it, and it goes on where it was.
    """
    from smidgen.studies import run, wanted, write, write_index

    wanted(name)
    check_writable(out)
    reports = []
    with opened(store) as memo, bars() as reporter:
        found = run(
            name, quick=quick, store=memo, workers=workers or None, engine=engine, reporter=reporter,
            data=lambda data: load_data(data, 0),
        )  # fmt: skip
        for report in found:
            write(report, out)
            reports.append(report)
    for report in reports:
        _print(report)
    console().print(f"{write_index(reports, out)}", soft_wrap=True)


def _print(report: Report) -> None:
    screen = console()
    screen.print(f"\n[bold]{report.title}[/bold]")
    for shown in report.tables:
        screen.print(f"\n{shown.title}")
        rows = table(*shown.heads)
        for row in shown.rows:
            rows.add_row(*row)
        screen.print(rows)
    for finding in report.findings:
        screen.print(f"[bold]{finding.question}[/bold] {finding.answer}\n")
    for note in report.notes:
        screen.print(f"- {note}")
    screen.print(f"{report.trained} trainings, {report.remembered} remembered, {report.seconds:.1f} s")
