"""Exit codes: 0 success, 1 failure, 2 wrong request, 3 no network meets the floor, 130 Ctrl-C."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import assert_refused
from smidgen.model import Model, save_safetensors
from smidgen.spec import parse_spec

Command = Callable[..., Any]
PATIENCE_SECONDS = 60


def test_success_is_0(command: Command) -> None:
    assert command("show", "cnn2").code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a script as the compiler")
def test_a_run_that_fails_is_1(command: Command, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = parse_spec("dense 10")
    names = tuple(map(str, range(10)))
    save_safetensors(Model(spec, (1, 8, 8), names, np.zeros(650, np.float32)), work / "net.safetensors")
    compiler = work / "cc"
    compiler.write_text("#!/bin/sh\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(work), prepend=os.pathsep)
    said = command("export", "net.safetensors", "--to", "c", "--data", "digits")
    assert_refused(said, "net.c does not compile", code=1)


def test_a_wrong_request_is_2(command: Command) -> None:
    assert_refused(command("show", "cnn9"), "cnn9", code=2)


def test_a_floor_that_no_network_meets_is_3(command: Command, work: Path) -> None:
    said = command("shrink", "digits", "--floor", "97%", "--params", "100", "--effort", "glance")
    assert_refused(said, "digits", code=3)
    for fact in ("100 parameters", "97", "98.89 %", "--effort"):
        assert fact in said.err
    assert list(work.iterdir()) == []


# --- Ctrl-C -----------------------------------------------------------------------------------

# Where Python is started in the background of a shell it ignores SIGINT, and so do its children.
HEARS_CTRL_C = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from smidgen.cli import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT to a child")
def test_ctrl_c_ends_with_130_and_leaves_the_store_usable(
    work: Path, own_store: Path, child: Callable[..., subprocess.Popen[str]], command: Command
) -> None:
    process = child(HEARS_CTRL_C, "sweep", "digits", "--family", "mlp1", "--seeds", "100", "--epochs", "60")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while trials_in(own_store) < 5 and process.poll() is None:
        assert time.monotonic() < deadline, "nothing was trained"
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "smidgen: stopped; every finished training is kept: run the same line to continue"
    assert list(work.iterdir()) == []
    kept = trials_in(own_store)
    assert kept >= 5
    assert command("sweep", "digits", "--family", "mlp1", "--widths", "1", "--seeds", "1", "--epochs", "1").code == 0
    assert trials_in(own_store) == kept + 1


def trials_in(path: Path) -> int:
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as database:
        tables = database.execute("select count(*) from sqlite_master where name = 'trials'").fetchone()[0]
        return int(database.execute("select count(*) from trials").fetchone()[0]) if tables else 0
