"""What a run shows of its progress: bars on a terminal, a line in a notebook, lines of text in a pipe, a log.

Every stage and message also goes to the logger `smidgen` (level INFO), and every training to it (level DEBUG), so
`logging.basicConfig(level=logging.INFO)` writes them down wherever a program keeps its log.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from smidgen import environment
from smidgen.foreign_text import shown
from smidgen.reporter import Reporter, SilentReporter

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_SECONDS = 10.0
"""Where standard error is no terminal, a command says at least so often what it does."""

NOTEBOOK_SECONDS = 0.3
"""The least time between two changes of the line in a notebook."""

_log = logging.getLogger("smidgen")


@contextmanager
def followed(reporter: Reporter | None) -> Iterator[Reporter | None]:
    """Yield what a public function reports to: the caller's reporter, or what suits the place that it runs in.

    Without a reporter, a notebook gets a line that changes, a terminal gets bars, and a script gets nothing.
    """
    if reporter is not None:
        yield Logged(reporter)
    elif in_notebook():
        with _NotebookLine().running() as line:
            yield Logged(line)
    elif is_watched(sys.stderr):
        with _bars() as bars:
            yield Logged(bars)
    else:
        yield Logged(SilentReporter()) if _log.isEnabledFor(logging.INFO) else None


@contextmanager
def bars() -> Iterator[Reporter]:
    """Show a command's progress on standard error: bars on a terminal, else a line every few seconds."""
    if is_watched(sys.stderr):
        with _bars() as shown_bars:
            yield shown_bars
    else:
        with _TimedLines().running() as lines:
            yield lines


def is_watched(stream: TextIO) -> bool:
    """Whether a person sees the stream as it is written: a terminal, and none of a CI service."""
    return stream.isatty() and not environment.is_ci()


def in_notebook() -> bool:
    """Whether this process runs the cells of a notebook."""
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class Logged:
    """Passes everything on to a reporter, and writes stages and messages to the log."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter

    def stage(self, name: str, total: float) -> None:
        _log.info("%s", shown(name))
        self.reporter.stage(name, total)

    def advance(self, amount: float) -> None:
        self.reporter.advance(amount)

    def say(self, text: str) -> None:
        _log.info("%s", shown(text))
        self.reporter.say(text)


class Lines:
    """Print messages to a terminal's standard error, and no bars."""

    def stage(self, name: str, total: float) -> None: ...

    def advance(self, amount: float) -> None: ...

    def say(self, text: str) -> None:
        if sys.stderr.isatty():
            _print(text)


@contextmanager
def _bars() -> Iterator[Reporter]:
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
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Bars(progress)


class _Bars:
    """Show each stage as a progress bar with the time left."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.task: Any = None

    def stage(self, name: str, total: float) -> None:
        if self.task is not None:
            self.progress.remove_task(self.task)
        self.task = self.progress.add_task(shown(name), total=total or None)

    def advance(self, amount: float) -> None:
        self.progress.advance(self.task, amount)

    def say(self, text: str) -> None:
        _print(text)


class _Stage:
    """The stage of a run, how much of it is done, and since when; safe to use from several threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._name, self._total, self._done, self._began = "the data", 0.0, 0.0, time.monotonic()

    def stage(self, name: str, total: float) -> None:
        with self.lock:
            self._name, self._total, self._done, self._began = name, total, 0.0, time.monotonic()

    def advance(self, amount: float) -> None:
        with self.lock:
            self._done += amount

    def _line(self) -> str:
        """The stage, how much of it is done, and how long the rest will take at the speed so far."""
        seconds = time.monotonic() - self._began
        share = min(1.0, self._done / self._total) if self._total else 0.0
        if not share:
            return f"{self._name}: {seconds:.0f} s"
        return f"{self._name}: {100 * share:.0f} %, {seconds * (1 - share) / share:.0f} s of this stage left"


class _TimedLines(_Stage):
    """Print a line about the stage every `LINE_SECONDS`, preceded by the messages since the last one.

    What is said before the first stage, such as how data was understood, is printed at once. A run that ends before the
    first line prints no more.
    """

    def __init__(self) -> None:
        super().__init__()
        self._messages: list[str] = []
        self._has_begun = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._print_lines, daemon=True)

    def stage(self, name: str, total: float) -> None:
        self._has_begun = True
        super().stage(name, total)

    def say(self, text: str) -> None:
        with self.lock:
            if self._has_begun:
                self._messages.append(text)
            else:
                _print(text)

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
            with self.lock:
                lines, self._messages = [*self._messages, self._line()], []
            for line in lines:
                _print(line)


class _NotebookLine(_Stage):
    """Show the stage as one line below a notebook's cell, which is cleared at the end; messages stay above it."""

    def __init__(self) -> None:
        super().__init__()
        self._handle: Any = None
        self._shown_at = 0.0

    def stage(self, name: str, total: float) -> None:
        super().stage(name, total)
        self._show()

    def advance(self, amount: float) -> None:
        super().advance(amount)
        if time.monotonic() - self._shown_at > NOTEBOOK_SECONDS:
            self._show()

    def say(self, text: str) -> None:
        print(shown(text))

    @contextmanager
    def running(self) -> Iterator[_NotebookLine]:
        """Show the line while the block runs."""
        display = sys.modules["IPython"].display.display
        self._handle = display({"text/plain": ""}, raw=True, display_id=True)
        try:
            yield self
        finally:
            self._handle.update({"text/plain": ""}, raw=True)

    def _show(self) -> None:
        with self.lock:
            self._shown_at = time.monotonic()
            self._handle.update({"text/plain": shown(self._line())}, raw=True)


def _print(text: str) -> None:
    print(shown(text), file=sys.stderr, flush=True)
