"""How a run reports its progress: one protocol for every function that takes long."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Receives the progress of a run. Every method may be called from any thread.

    The command line's implementation draws progress bars.
    """

    def stage(self, name: str, total: float) -> None:
        """Begin a stage of `total` units of work; 0 if the amount is not known."""

    def advance(self, amount: float) -> None:
        """Add `amount` units to the finished work of the stage."""

    def say(self, text: str) -> None:
        """Show one line of text, for example which file is downloaded."""


class PrintingReporter:
    """Prints each stage and message on standard output."""

    def stage(self, name: str, total: float) -> None:
        print(f"[smidgen] {name}")

    def advance(self, amount: float) -> None: ...

    def say(self, text: str) -> None:
        print(f"[smidgen] {text}")


class SilentReporter:
    """Ignores every report."""

    def stage(self, name: str, total: float) -> None: ...

    def advance(self, amount: float) -> None: ...

    def say(self, text: str) -> None: ...
