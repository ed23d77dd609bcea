"""Fixtures of all tests: a store of its own for each, small searches, and the command line in this process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from commands import Said
from searches import SMALL, TINY
from services import Server, postgresql
from smidgen.data import Dataset, load
from smidgen.engine import native
from smidgen.search.effort import EFFORTS, Effort
from smidgen.search.result import ShrinkResult
from smidgen.search.shrink import shrink
from smidgen.trials.store import Store

settings.register_profile("smidgen", deadline=None)
settings.load_profile("smidgen")

# In the background of a shell Ctrl-C is ignored, and programs that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest.register_assert_rewrite("oracle", "store_samples", "faults")


def instruction_sets() -> list[str]:
    """The instruction sets of this processor; none without the core: `oracle` then skips the files of tests/native."""
    if native.available():
        return []
    from smidgen import _core

    return _core.instruction_sets()


@pytest.fixture(params=instruction_sets())
def instruction_set(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every instruction set in turn."""
    monkeypatch.setenv("SMIDGEN_INSTRUCTION_SET", request.param)
    return str(request.param)


@pytest.fixture(autouse=True)
def core_against_torch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The core's tests hold it to torch on the CPU, on the best instruction set unless they name one."""
    if request.path.parent.name == "native":
        monkeypatch.setenv("SMIDGEN_TORCH_DEVICE", "cpu")
        if "instruction_set" not in request.fixturenames:
            monkeypatch.delenv("SMIDGEN_INSTRUCTION_SET", raising=False)


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a test that names no store has one; it is made when it is first opened."""
    path = tmp_path / "store.sqlite"
    monkeypatch.setenv("SMIDGEN_STORE", str(path))
    return path


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and the one in which the command runs."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """PostgreSQL on a port of its own; its tests are skipped where it is not installed."""
    with postgresql() as running:
        yield running


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load("digits")


@pytest.fixture(scope="session")
def small_effort() -> Effort:
    return SMALL


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make effort "quick" small, for tests of the command line."""
    monkeypatch.setitem(EFFORTS, "quick", SMALL)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make effort "quick" as small as the command line can use."""
    monkeypatch.setitem(EFFORTS, "quick", TINY)


@pytest.fixture(scope="session")
def answer_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("answer") / "store.sqlite"


@pytest.fixture(scope="session")
def answer(digits: Dataset, answer_store: Path) -> ShrinkResult:
    """What a small search finds on the digits at 0.9; its trainings are in `answer_store`."""
    with Store(answer_store) as store:
        return shrink(digits, 0.9, effort=SMALL, store=store)


@pytest.fixture
def known_store(answer: ShrinkResult, answer_store: Path, own_store: Path) -> Path:
    """A copy of the store that `answer` filled: its teacher and its networks are not trained again."""
    shutil.copy(answer_store, own_store)
    return own_store


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs a line of the command `smidgen` in this process."""
    from smidgen import progress
    from smidgen.cli import main

    # A slow machine would get lines of progress among its errors.
    monkeypatch.setattr(progress, "LINE_SECONDS", 3_600.0)

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["smidgen", *arguments])
        listening = signal.getsignal(signal.SIGINT)
        try:
            with pytest.raises(SystemExit) as end:
                main()
        finally:
            signal.signal(signal.SIGINT, listening)
        printed = capsys.readouterr()
        return Said(int(end.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def child() -> Callable[..., subprocess.Popen[str]]:
    """Starts Python with some code, as `python -c`; it finds what this process finds."""

    def start(code: str, *arguments: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments], stdout=pipe, stderr=pipe, text=True, env=environment
        )

    return start
