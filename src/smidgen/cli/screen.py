"""Output of all commands: a console of 80 columns, tables, and progress bars with the time left."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from smidgen.foreign_text import shown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
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


class Lines:
    """Print messages to a terminal's standard error, and no bars."""

    def stage(self, name: str, total: float) -> None: ...

    def advance(self, amount: float) -> None: ...

    def say(self, text: str) -> None:
        say(text)


class _Bars:
    """Show each stage as a progress bar with the time left."""

    def __init__(self, bars: Bars) -> None:
        self.bars = bars
        self.task: Any = None

    def stage(self, name: str, total: float) -> None:
        if self.task is not None:
            self.bars.remove_task(self.task)
        self.task = self.bars.add_task(shown(name), total=total or None)

    def advance(self, amount: float) -> None:
        self.bars.advance(self.task, amount)

    def say(self, text: str) -> None:
        say(text)


@contextmanager
def bars() -> Iterator[_Bars]:
    """Draw progress bars on standard error while the block runs; nothing where that is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(None),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as shown:
        yield _Bars(shown)


def say(text: str) -> None:
    """Print a line to standard error where that is a terminal."""
    if sys.stderr.isatty():
        typer.echo(shown(text), err=True)
