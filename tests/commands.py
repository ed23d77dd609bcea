"""The commands of the command line, for tests that go through all of them, and how a line is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from smidgen.cli import app


@dataclass(frozen=True)
class Said:
    """How a line of the command line ended, and what it printed."""

    code: int
    out: str
    err: str


def _commands() -> Iterator[tuple[str, Any]]:
    def walk(words: tuple[str, ...], group: Any) -> Iterator[tuple[str, Any]]:
        for name, found in group.commands.items():
            if hasattr(found, "commands"):
                yield from walk((*words, name), found)
            else:
                yield " ".join((*words, name)), found

    yield from walk((), typer.main.get_command(app))


COMMANDS = dict(_commands())
"""Every command by its words, as "data fetch"."""


def assert_refused(said: Said, message: str, code: int = 2) -> None:
    """Assert an exit with this code and one line on standard error that has the message, nothing else."""
    assert message in said.err
    assert said.code == code
    assert said.out == ""
    assert said.err.startswith("smidgen: ")
    assert said.err.count("\n") == 1, "one line"
    assert "Traceback" not in said.err


def is_quiet(err: str) -> bool:
    """Whether a command said nothing on standard error but what it expects and what it learns from."""
    return all(line.startswith(("expected: ", "learning from ")) for line in err.splitlines())
