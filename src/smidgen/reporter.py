"""Who is told how far a run is. One protocol for every command; the command line's implementation draws bars."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Receives the progress of a run. Every method may be called from any thread."""

    def stage(self, name: str, total: float) -> None:
        """A new stage begins, of `total` units of work; 0 where that is not known."""

    def advance(self, amount: float) -> None:
        """So many units of the stage's work are done."""

    def say(self, text: str) -> None:
        """One line about what was found out: a source that is fetched, a teacher's speed."""


class SilentReporter:
    """Ignores all that it is told."""

    def stage(self, name: str, total: float) -> None: ...

    def advance(self, amount: float) -> None: ...

    def say(self, text: str) -> None: ...
