"""The command as a terminal and a shell see it: colours and completion."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from commands import COMMANDS

pty = pytest.importorskip("pty", reason="a terminal of POSIX")

COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7][0-9;]*m")
"""A foreground colour; bold and dim are none."""


def in_terminal(*arguments: str, **environment: str) -> str:
    """What the command prints where both outputs are one terminal."""
    master, slave = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "CI", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "smidgen", *arguments],
        stdin=slave, stdout=slave, stderr=slave, env={**clean, "TERM": "xterm-256color", **environment},
    )  # fmt: skip
    os.close(slave)
    printed = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # Linux's end of a terminal
            break
        if not piece:
            break
        printed += piece
    os.close(master)
    assert process.wait(60) == 0
    return printed.decode()


def test_help_has_colours_in_a_terminal_unless_no_color_says_no() -> None:
    assert COLOUR.search(in_terminal("--help"))
    assert not COLOUR.search(in_terminal("--help", NO_COLOR="1"))


# --- completion -------------------------------------------------------------------------------


def completed(shell: str, line: str) -> set[str]:
    """What the program answers to a shell that asks for completions; fish and zsh print a word and its help."""
    words = line.split(" ")
    asks = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }
    code = "import sys; sys.argv = ['smidgen']; from smidgen.cli import main; main()"
    environment = {**os.environ, "_SMIDGEN_COMPLETE": f"complete_{shell}", **asks[shell]}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    return set(re.findall(r'^"?([\w-]+)', done.stdout.replace("_arguments '*: :((\"", '"'), re.MULTILINE))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_and_values_are_completed(shell: str) -> None:
    assert completed(shell, "smidgen ") >= {words.split()[0] for words in COMMANDS}
    assert completed(shell, "smidgen shrink digits --effort q") == {"quick"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_printed(shell: str) -> None:
    code = "import sys; sys.argv = ['smidgen']; from smidgen.cli import main; main()"
    environment = {**os.environ, "_SMIDGEN_COMPLETE": f"source_{shell}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert "_SMIDGEN_COMPLETE" in done.stdout
    if found := shutil.which(shell):
        assert subprocess.run([found, "-n"], input=done.stdout, text=True, check=False).returncode == 0
