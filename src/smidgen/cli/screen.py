"""Text output of all commands: a console of 80 columns, and tables."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from smidgen.foreign_text import shown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from smidgen.records import Score

WIDTH = 80
"""Columns of every output, so that it fits a plain terminal and a pipe gives the same text."""


def console() -> Console:
    """Return a console on standard output, at most 80 columns wide."""
    from rich.console import Console

    width = Console().width
    width = min(WIDTH, width) if sys.stdout.isatty() else WIDTH
    # Networks, class names and file names have brackets and colons, which are neither markup nor emoji.
    screen = Console(width=width, highlight=False, markup=False, emoji=False)
    render = screen.render_str
    screen.render_str = lambda text, **how: render(shown(text), **how)  # type: ignore[method-assign]
    return screen


def table(*heads: str) -> Table:
    """Make a table; a head that begins with ">" is that of a column of numbers."""
    from rich import box
    from rich.table import Table

    empty = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        empty.add_column(head.lstrip(">"), justify="right" if head.startswith(">") else "left", overflow="fold")
    return empty


def score_row(rows: Table, name: str, size: int, score: Score) -> None:
    """Add a row: a size in the table's unit (0: not known), and how many images were classified correctly."""
    low, high = score.interval()
    counts = (f"{size:,}" if size else "?", f"{score.correct:,}", f"{score.total:,}")
    rows.add_row(name, *counts, f"{100 * score.rate:.2f} %", f"{100 * low:.2f} to {100 * high:.2f} %")
