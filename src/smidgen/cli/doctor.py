"""`smidgen doctor`: its options and its output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from smidgen.cli import json_forms
from smidgen.cli.options import StoreOption
from smidgen.cli.output import emit
from smidgen.cli.screen import console, table

if TYPE_CHECKING:
    from smidgen.diagnosis import Core, Diagnosis, Extra

EPILOG = "Example:\n\nsmidgen doctor"


def doctor(store: StoreOption = None) -> None:
    """Print what this installation can do and where it keeps things; exit 1 if it cannot train."""
    from smidgen import api

    found = api.doctor(store=store)
    emit(found, print_diagnosis, json_forms.diagnosed)
    if found.problems:
        raise typer.Exit(1)


def print_diagnosis(found: Diagnosis) -> None:
    """Print a table, and below it what the compiler said if there is no core."""
    rows = table("what", "found")
    rows.add_row("Smidgen", f"{found.version}, code {found.code[:12]}")
    rows.add_row("Python", found.python)
    for name, text in _core_rows(found.core):
        rows.add_row(name, text)
    for extra in found.extras:
        rows.add_row(f"extra {extra.name}", _extra_text(extra))
    rows.add_row("cache", str(found.cache))
    rows.add_row("data in the cache", ", ".join(found.data) or "none; smidgen data fetch NAME")
    rows.add_row("store", found.store_error or f"{found.store}: {found.trials:,} trainings")
    console().print(rows)
    if found.core.failure:
        console().print(f"What the compiler said when the package was built:\n{found.core.failure}")


def _core_rows(core: Core) -> list[tuple[str, str]]:
    if core.missing:
        return [("native core", core.missing)]
    return [
        ("native core", core.engine),
        ("compiler", core.compiler),
        ("instruction sets", ", ".join(core.instruction_sets)),
    ]


def _extra_text(extra: Extra) -> str:
    missing = f"missing: {', '.join(extra.missing)}; pip install 'smidgen[{extra.name}]'" if extra.missing else ""
    return "; ".join(part for part in (", ".join(extra.present), missing) if part)
