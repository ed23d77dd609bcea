"""`smidgen shrink`: what it prints and writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from smidgen.cli.screen import WIDTH
from smidgen.search.result import ShrinkResult

Command = Callable[..., Any]


def test_shrink_is_quiet_and_its_table_fits(
    command: Command, work: Path, answer: ShrinkResult, known_store: Path, small: None
) -> None:
    said = command("shrink", "digits", "--floor", "0.9", "--effort", "quick")
    assert (said.code, said.err) == (0, ""), "what is not a terminal gets no progress bars"
    assert max(map(len, said.out.splitlines())) <= WIDTH
    assert "\x1b" not in said.out, "no colours in a pipe"
    for row in ("chosen on", "confirmed on", "test, once", "its teacher, test", "fresh seeds hold the floor"):
        assert row in said.out
    assert {path.name for path in (work / "runs").iterdir()} == {"digits-0.9"}
    assert answer.trained > 0
    assert "\n0 trainings, " in said.out, "the same search again trains nothing"
    assert answer.headline in said.out, "and gives the same answer"
