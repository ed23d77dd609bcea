"""What a run shows where standard error is no terminal."""

from __future__ import annotations

import time

import pytest

from smidgen.cli import screen


def test_a_pipe_gets_a_line_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(screen, "LINE_SECONDS", 0.05)
    with screen.bars() as reporter:
        reporter.say("expected: about 3 minutes")
        reporter.stage("generation 1 of 3; best so far 206 parameters", 200.0)
        reporter.advance(50.0)
        time.sleep(0.3)
    first, *lines = capsys.readouterr().err.splitlines()
    assert first == "expected: about 3 minutes"
    assert len(lines) >= 2, "also while nothing is reported"
    assert lines[0].startswith("generation 1 of 3; best so far 206 parameters: 25 %, ")
    assert lines[0].endswith(" of this stage left")


def test_a_short_run_prints_none(capsys: pytest.CaptureFixture[str]) -> None:
    with screen.bars() as reporter:
        reporter.stage("first generation", 1.0)
        reporter.say("a message")
    assert capsys.readouterr().err == ""
    assert screen.LINE_SECONDS <= 10
