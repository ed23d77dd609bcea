"""Help of the command line: every command has a text, options that are explained, and an example that it takes."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import smidgen
from commands import COMMANDS
from smidgen.cli.screen import WIDTH
from smidgen.exporters import FORMS
from smidgen.records import OPTIMIZERS

Command = Callable[..., Any]

every_command = pytest.mark.parametrize("words", COMMANDS)


def examples(epilog: str) -> list[str]:
    return [line for line in epilog.splitlines() if line.startswith("smidgen ")]


def test_the_commands_are_these() -> None:
    data = {"data list", "data fetch", "data show"}
    files = {"compress", "import", "inspect", "unpack", "export"}
    assert set(COMMANDS) == {"shrink", "sweep", "reproduce", "show", "predict", "doctor", *files, *data}


@every_command
def test_every_command_has_a_text_and_an_example_that_it_takes(words: str) -> None:
    found = COMMANDS[words]
    assert found.help, f"`smidgen {words}` has no docstring"
    assert (found.epilog or "").startswith("Example"), f"`smidgen {words}` has no example"
    lines = examples(found.epilog)
    assert lines, f"`smidgen {words}` has an example without a line"
    for line in lines:
        _, *arguments = shlex.split(line)
        assert arguments[: len(words.split())] == words.split()
        found.make_context(words, arguments[len(words.split()) :])  # raises where an option is not one


@every_command
def test_the_help_shows_the_text_every_option_and_the_example(words: str, command: Command) -> None:
    said = command(*words.split(), "--help")
    assert (said.code, said.err) == (0, "")
    text = " ".join(said.out.split())
    found = COMMANDS[words]
    assert found.help.splitlines()[0] in text
    for parameter in found.params:
        assert parameter.help, f"{parameter.name} of `smidgen {words}` has no help"
        for option in parameter.opts:
            assert option in text
    for line in examples(found.epilog):
        assert line in text, "an example is broken over two lines"
    assert max(map(len, said.out.splitlines())) <= WIDTH


def test_the_help_of_all_names_each_command(command: Command) -> None:
    said = command("--help")
    assert "Find the smallest neural network that meets your accuracy floor." in said.out
    for words in COMMANDS:
        assert f" {words.split()[0]} " in said.out
    assert command("-h").out == said.out


def test_the_version(command: Command) -> None:
    said = command("--version")
    assert (said.code, said.out, said.err) == (0, f"smidgen {smidgen.__version__}\n", "")


def test_the_help_names_every_optimizer_and_every_form_of_c(command: Command) -> None:
    text = " ".join(command("sweep", "--help").out.split())
    assert all(re.search(rf"\b{name}\b", text) for name in OPTIMIZERS)
    text = command("export", "--help").out
    assert all(f"{form}:" in text for form in FORMS)


@pytest.mark.parametrize("line", ["shrimp", "shrink", "shrink digits --floor 0.9 --wrkers 2", "show"])
def test_a_line_that_is_no_command_is_explained(command: Command, line: str) -> None:
    said = command(*line.split())
    assert said.code == 2
    assert "Usage:" in said.err
    assert "Traceback" not in said.err


def test_the_package_runs_as_a_module() -> None:
    line = [sys.executable, "-m", "smidgen", "--version"]
    finished = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    assert finished.stdout == f"smidgen {smidgen.__version__}\n"
