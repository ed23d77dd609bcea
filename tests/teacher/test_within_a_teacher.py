"""A search for a network within a few points of an external teacher's accuracy."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_teachers import all_logits

from commands import is_quiet
from smidgen.data import Dataset
from smidgen.model import load_safetensors
from smidgen.search.effort import EFFORTS, Effort
from smidgen.search.goal import Goal, Target
from smidgen.search.result import ShrinkResult
from smidgen.search.shrink import shrink
from smidgen.trials.store import Store


@pytest.fixture(scope="module")
def effort(small_effort: Effort) -> Effort:
    """One generation and few files: the search is only as long as it must be to learn from the teacher."""
    files = replace(small_effort.byte_search, networks=1, children=1)
    return replace(small_effort, first=8, generations=1, children=4, byte_search=files)


@pytest.fixture(scope="module")
def search_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("within") / "store.sqlite"


@pytest.fixture(scope="module")
def found(digits: Dataset, effort: Effort, search_store: Path) -> ShrinkResult:
    """What the search finds within 3 points of logits from a file; its trainings are in `search_store`."""
    goal = Goal(Target(within=0.03, rule="rate"))
    with Store(search_store) as store:
        return shrink(digits, goal, teacher=all_logits(digits), effort=effort, store=store)


def test_the_answer_is_within_what_was_asked_of_the_teacher(found: ShrinkResult) -> None:
    assert found.teacher is not None and found.teacher.trial is None
    wanted = found.teacher.validation.rate - 0.03
    assert min(found.outcome.selection.rate, found.outcome.confirmation.rate) >= wanted - 1e-6
    assert found.floor.accuracy == pytest.approx(wanted, abs=1e-6)
    assert {each.trial.teacher_key for each in found.candidates} - {""} == {found.teacher.key}
    assert found.learned_from_teacher == bool(found.winner.teacher_key)
    assert any("a distance of 3 points is 5.4 of the 180 examples of a half" in note for note in found.teacher.notes)
    assert any("trained on these validation examples too" in note for note in found.teacher.notes)


def test_logits_through_the_command(
    command: Callable[..., Any],
    digits: Dataset,
    found: ShrinkResult,
    effort: Effort,
    search_store: Path,
    own_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The command is the same search, so nothing is trained again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(EFFORTS, "quick", effort)
    shutil.copy(search_store, own_store)
    np.save("logits.npy", all_logits(digits))
    options = ("--within", "3%", "--rule", "rate", "--effort", "quick")
    said = command("shrink", "digits", *options, "--teacher-logits", "logits.npy")
    assert said.code == 0
    assert is_quiet(said.err)
    out = " ".join(said.out.split())
    assert "logits.npy is right on" in out
    assert re.search(r"\b0 trainings, \d+ remembered", out)
    folder = tmp_path / "runs" / "digits-within-0.03-rate-quick"
    assert load_safetensors(folder / "winner.safetensors").spec == found.winner.spec
    assert not (folder / "teacher.safetensors").exists(), "it is the user's own"
    page = (folder / "report.html").read_text()
    assert "within 3 points of its teacher" in page
    assert "logits.npy is right on" in page


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--teacher a.onnx --teacher-logits b.npy", "are two teachers; give one of them"),
        ("--teacher-logits b.csv", "is not a .npy file"),
        ("--weights w.pt", "belong to a teacher; give --teacher"),
        ("--teacher gone.onnx", "no teacher at gone.onnx"),
        ("--teacher a.onnx --weights w.pt", "has its own weights"),
    ],
)
def test_a_wrong_line_about_a_teacher(
    command: Callable[..., Any], line: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = command("shrink", "digits", "--floor", "0.9", *line.split())
    assert (said.code, said.out) == (2, "")
    assert message in said.err
