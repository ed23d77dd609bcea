"""A short campaign of `fuzz.campaign`: a second for each reader; `make fuzz MINUTES=30` is the long one."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fuzz import campaign
from fuzz.campaign import _read_one, fuzz
from fuzz.readers import CORPUS, READERS, Reader
from smidgen.errors import SmidgenError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits on memory, and /proc")

NEEDS = {"parquet": "pyarrow", "onnx": "onnxruntime"}


@pytest.mark.parametrize("name", READERS)
def test_changed_files_are_read_or_refused(name: str) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    figures = fuzz(name, 0.4, seed=int.from_bytes(os.urandom(4)))
    assert (figures.crashes, figures.hangs) == (0, 0), "\n".join(figures.faults)
    assert figures.tried > 0


@pytest.mark.parametrize("name", READERS)
def test_every_reader_reads_a_file_of_its_corpus(name: str, tmp_path: Path) -> None:
    """Otherwise a campaign would only see the first check of a reader."""
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    ends = {_read_one(name, file.read_bytes(), tmp_path)[0] for file in (CORPUS / name).iterdir()}
    assert "read" in ends
    assert ends <= {"read", "refused"}


def crash(_: Path) -> None:
    raise KeyError("x")


def die(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hoard(_: Path) -> None:
    bytes(bytearray(b"x") * 400_000_000)


def refuse(_: Path) -> None:
    raise SmidgenError("no")


def hang(_: Path) -> None:
    while True:
        pass


@pytest.mark.parametrize("read", [crash, die, hoard, hang, refuse])
def test_the_campaign_sees_what_it_is_for(
    read: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    is_fault = read is not refuse
    monkeypatch.setattr(campaign, "INPUT_SECONDS", 1)
    first = [len(list((CORPUS / "run").iterdir()))]  # the corpus itself is read before limits are set

    def later(file: Path) -> None:
        first[0] -= 1
        if first[0] < 0:
            read(file)

    monkeypatch.setitem(READERS, "run", Reader("run.json", later))
    figures = fuzz("run", 0.3, 0, keep=tmp_path)
    assert bool(figures.crashes + figures.hangs) == is_fault
    assert bool(list(tmp_path.iterdir())) == is_fault
