"""What tests of faults share: the command with a small search, an undisturbed run, and what must be left.

A test module loads the fixture with `pytest_plugins = ("faults",)`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from smidgen.trials.store import Store

PATIENCE_SECONDS = 300

Row = tuple[object, ...]

LINE = """
import signal
from searches import TINY
from smidgen.search.effort import EFFORTS
from smidgen.cli import main

if __name__ == "__main__":
    # Where Python is started in the background of a shell it ignores SIGINT, and so do its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    EFFORTS["quick"] = TINY
    main()
"""
"""The command `smidgen` with a search of about a second."""


@dataclass(frozen=True)
class Run:
    """The command with a store and a folder of its own."""

    folder: Path
    store: str
    options: tuple[str, ...] = ()

    def command(self) -> list[str]:
        script = self.folder / "smidgen_with_a_small_search.py"
        script.write_text(LINE)
        line = ("shrink", "digits", "--floor", "0.8", "--effort", "quick", "--out", str(self.folder / "out"))
        return [sys.executable, str(script), *line, "--store", self.store, *self.options]

    def start(self) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        return subprocess.Popen(self.command(), stdout=pipe, stderr=pipe, text=True, env=environment, cwd=self.folder)

    def finish(self) -> None:
        """Run it undisturbed."""
        with self.start() as process:
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, out + err

    def winner(self) -> bytes:
        return (self.folder / "out" / "winner.safetensors").read_bytes()

    def rows(self) -> dict[str, Row]:
        """All that is stored, by key, less the seconds."""
        with Store(self.store) as store:
            found = store.get_many([trial for trial, _ in store.rows()])
        return {
            key: (o.parameters, o.selection, o.confirmation, o.losses, o.diverged_at, o.weights.tobytes())
            for key, o in found.items()
        }


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[str, Row], float]:
    """An undisturbed run: the winner's file, the rows, the seconds that it took."""
    folder = tmp_path_factory.mktemp("reference")
    run = Run(folder, str(folder / "store.sqlite"))
    began = time.monotonic()
    run.finish()
    return run.winner(), run.rows(), time.monotonic() - began


Reference = tuple[bytes, dict[str, Row], float]


def check_what_is_left(run: Run, reference: Reference, before: dict[str, Row]) -> dict[str, Row]:
    """Nothing was lost, nothing altered, and nothing is there that an undisturbed run has not."""
    rows = run.rows() if run.store.startswith("postgresql") or Path(run.store).exists() else {}
    assert before.items() <= rows.items()
    assert rows.items() <= reference[1].items()
    return rows


def check_the_end(run: Run, reference: Reference) -> None:
    assert run.rows() == reference[1]
    assert run.winner() == reference[0]


def times(short: int) -> list[object]:
    """A short form for the default run and a long one."""
    long = int(os.environ.get("SMIDGEN_FAULTS", "100"))
    return [pytest.param(short, id="short"), pytest.param(long, id="long", marks=pytest.mark.slow)]


def report(fault: str, count: int, **figures: object) -> None:
    """One line of figures, shown by `pytest -s`."""
    print(f"\n{fault}: {count} times, " + ", ".join(f"{name} {value}" for name, value in figures.items()))


def new_run(folder: Path, number: int, *options: str) -> Run:
    own = folder / f"run-{number}"
    own.mkdir()
    return Run(own, str(own / "store.sqlite"), options)


def wait_for_rows(run: Run, process: subprocess.Popen[str]) -> None:
    """Until the first training is stored: the command is in the middle of its work."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if run.store.startswith("postgresql") or Path(run.store).exists():
            with Store(run.store) as store:
                if store.rows():
                    return
        time.sleep(0.02)
