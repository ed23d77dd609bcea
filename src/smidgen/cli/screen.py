"""Output of all commands: a console of 80 columns, tables, and progress bars with the time left."""

from __future__ import annotations

import sys
import threading
import time
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
    from smidgen.reporter import Reporter

WIDTH = 80
"""Columns of every output, so that it fits a plain terminal and a pipe gives the same text."""

LINE_SECONDS = 10.0
"""Where standard error is no terminal, a run says at least so often what it does."""


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


class _TimedLines:
    """Print a line about the stage every `LINE_SECONDS`, preceded by the messages since the last one.

    What is said before the first stage, such as how data was understood, is printed at once. A run that ends before the
    first line prints no more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages: list[str] = []
        self._has_begun = False
        self._name, self._total, self._done, self._began = "the data", 0.0, 0.0, time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._print_lines, daemon=True)

    def stage(self, name: str, total: float) -> None:
        with self._lock:
            self._has_begun = True
            self._name, self._total, self._done, self._began = name, total, 0.0, time.monotonic()

    def advance(self, amount: float) -> None:
        with self._lock:
            self._done += amount

    def say(self, text: str) -> None:
        with self._lock:
            if self._has_begun:
                self._messages.append(text)
            else:
                typer.echo(shown(text), err=True)

    @contextmanager
    def running(self) -> Iterator[_TimedLines]:
        """Print lines while the block runs."""
        self._thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            self._thread.join()

    def _print_lines(self) -> None:
        while not self._ended.wait(LINE_SECONDS):
            with self._lock:
                lines, self._messages = [*self._messages, self._line()], []
            for line in lines:
                typer.echo(line, err=True)

    def _line(self) -> str:
        """The stage, how much of it is done, and how long the rest will take at the speed so far."""
        seconds = time.monotonic() - self._began
        share = min(1.0, self._done / self._total) if self._total else 0.0
        if not share:
            return f"{self._name}: {seconds:.0f} s"
        return f"{self._name}: {100 * share:.0f} %, {seconds * (1 - share) / share:.0f} s of this stage left"


@contextmanager
def bars() -> Iterator[Reporter]:
    """Show progress on standard error while the block runs: bars on a terminal, else a line every few seconds."""
    if not sys.stderr.isatty():
        with _TimedLines().running() as lines:
            yield lines
        return
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
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        yield _Bars(shown)


def say(text: str) -> None:
    """Print a line to standard error where that is a terminal."""
    if sys.stderr.isatty():
        typer.echo(shown(text), err=True)
