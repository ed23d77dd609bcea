"""`smidgen shrink`: what it prints and writes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hand_made_results import a_page
from smidgen.cli.screen import WIDTH
from smidgen.cli.shrink import print_result
from smidgen.report.answer import Answer
from smidgen.search.result import ShrinkResult

Command = Callable[..., Any]


def test_shrink_is_quiet_and_its_table_fits(
    command: Command, work: Path, answer: ShrinkResult, known_store: Path, small: None
) -> None:
    said = command("shrink", "digits", "--floor", "0.9", "--effort", "quick")
    assert said.code == 0
    assert re.fullmatch(r"(expected: .*\n)?", said.err), "what is not a terminal gets no progress bars"
    assert max(map(len, said.out.splitlines())) <= WIDTH
    assert "\x1b" not in said.out, "no colours in a pipe"
    for row in ("chosen on", "confirmed on", "test, once", "its teacher, test", "fresh seeds hold the floor"):
        assert row in said.out
    assert {path.name for path in (work / "runs").iterdir()} == {"digits-0.9-quick"}
    assert answer.trained > 0
    assert "\n0 trainings, " in said.out, "the same search again trains nothing"
    assert answer.headline in said.out, "and gives the same answer"


def test_fresh_seeds_are_counted_only_where_there_are_any(capsys: pytest.CaptureFixture[str]) -> None:
    result = Answer.of(a_page().result)
    print_result(result)
    assert "1 of 2 fresh seeds hold the floor" in capsys.readouterr().out
    print_result(replace(result, fresh_seeds=(), fresh_seeds_hold=()))
    assert "fresh seeds" not in capsys.readouterr().out


def test_a_balanced_floor_is_said_below_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    result = Answer.of(a_page().result)
    print_result(replace(result, goal=replace(result.goal, balanced=True)))
    assert "balanced accuracy, the mean over the classes" in " ".join(capsys.readouterr().out.split())


def test_a_file_of_another_network_is_said_in_its_row(answer: ShrinkResult, capsys: pytest.CaptureFixture[str]) -> None:
    answer = Answer.of(answer)
    assert answer.file is not None
    same = replace(answer, winner=replace(answer.winner, spec=answer.file.winner.quantized.spec))
    print_result(same)
    assert "its file, test" in capsys.readouterr().out
    print_result(replace(answer, winner=replace(answer.winner, spec=a_page().result.winner.spec)))
    out = capsys.readouterr().out
    assert "fewest bytes (another" in out
    assert "As C of the form levels, the network of the shortest file: " in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= WIDTH
