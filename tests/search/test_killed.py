"""A search that is killed at random moments goes on where it was."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from child_effort import effort_text
from commands import is_quiet
from smidgen.model import load_safetensors
from smidgen.report.folder import write
from smidgen.search.effort import Effort
from smidgen.search.result import ShrinkResult

FLOOR = 0.9
# Once `after` trainings are kept, and a little later, the process is gone; after 0 trainings: the teacher is at work.
# A slow machine would get lines of progress among its errors.
RUNS_AND_IS_KILLED = """
import os, signal, sys, threading
from child_effort import effort_from
from smidgen.search.effort import EFFORTS
from smidgen.trials.store import Store
EFFORTS["quick"], after, delay_seconds = effort_from(sys.argv.pop(1)), int(sys.argv.pop(1)), float(sys.argv.pop(1))

def kill():
    threading.Timer(delay_seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()

kept, put_many = 0, Store.put_many
def put_and_count(store, pairs):
    global kept
    put_many(store, pairs)
    before, kept = kept, kept + len(pairs)
    if before < after <= kept:
        kill()
Store.put_many = put_and_count
if after == 0:
    kill()
from smidgen import progress
from smidgen.cli import main
progress.LINE_SECONDS = 3_600.0
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_killed_at_random_moments_and_run_again_it_finds_the_same_bytes(
    answer: ShrinkResult, tmp_path: Path, child: Callable[..., subprocess.Popen[str]], small_effort: Effort
) -> None:
    """Also: what had ended before a kill is in the store after it, to the byte."""
    chance, store = random.Random(2), tmp_path / "killed.sqlite"

    def run(after: int, delay_seconds: float, store: Path, out: str) -> int:
        settings = (effort_text(small_effort), str(after), str(delay_seconds))
        line = ["shrink", "digits", "--floor", str(FLOOR), "--effort", "quick", "--store", str(store)]
        process = child(RUNS_AND_IS_KILLED, *settings, *line, "--workers", "2", "--out", str(tmp_path / out))
        _, err = process.communicate(timeout=120)
        assert is_quiet(err)
        return process.returncode

    ended: dict[str, bytes] = {}
    for after in (0, *(chance.randint(1, 6) for _ in range(2))):
        assert run(after, chance.uniform(0, 0.02), store, "killed") == -signal.SIGKILL
        now = rows_of(store)
        assert ended.items() <= now.items()
        assert len(now) >= len(ended) + after
        ended = now
    assert len(ended) < answer.trained, "the kills came too late to mean anything"
    assert run(-1, 0, store, "killed") == 0
    write(answer, tmp_path / "whole")
    assert ended.items() <= rows_of(store).items()
    for name in ("winner.safetensors", "teacher.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    found = load_safetensors(tmp_path / "killed" / "winner.safetensors")
    assert found.weights.tobytes() == answer.outcome.weights.tobytes()


def rows_of(path: Path) -> dict[str, bytes]:
    """Every row of the store, weights and all, by key."""
    if not path.exists():
        return {}
    with closing(sqlite3.connect(path)) as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
        rows = database.execute("select * from trials order by key").fetchall() if "trials" in tables else []
    return {row[0]: repr(row).encode() for row in rows}
