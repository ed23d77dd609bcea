"""What a run shows of its progress: on a terminal, in a pipe, in a notebook, in a log."""

from __future__ import annotations

import io
import logging
import sys
import time
import types

import pytest

from smidgen import progress
from smidgen.reporter import SilentReporter


def test_a_pipe_gets_a_line_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.05)
    with progress.bars() as reporter:
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
    with progress.bars() as reporter:
        reporter.stage("first generation", 1.0)
        reporter.say("a message")
    assert capsys.readouterr().err == ""
    assert progress.LINE_SECONDS <= 10


class Heard(SilentReporter):
    """Keeps the stages that it is told."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def stage(self, name: str, total: float) -> None:
        self.stages.append(name)


def test_a_script_shows_nothing_unless_a_log_is_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with progress.followed(None) as reporter:
        assert reporter is None
    with caplog.at_level(logging.INFO, "smidgen"), progress.followed(None) as reporter:
        assert reporter is not None
        reporter.stage("teacher", 10.0)
        reporter.say("learning from \x1b[31m")
    assert [record.getMessage() for record in caplog.records] == ["teacher", r"learning from \x1b[31m"]
    assert capsys.readouterr() == ("", "")


def test_the_callers_reporter_is_told_everything() -> None:
    heard = Heard()
    with progress.followed(heard) as reporter:
        assert reporter is not None
        reporter.stage("teacher", 10.0)
    assert heard.stages == ["teacher"]


class Screen(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("ci", "is_watched"), [("", True), ("0", True), ("false", True), ("true", False), ("1", False)]
)
def test_a_terminal_gets_bars_and_a_service_gets_lines(
    monkeypatch: pytest.MonkeyPatch, ci: str, is_watched: bool
) -> None:
    screen = Screen()
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", screen)
    assert progress.is_watched(screen) == is_watched
    with progress.followed(None) as reporter:
        assert (reporter is not None) == is_watched
    with progress.bars() as bars:
        bars.stage("first generation", 4.0)
        bars.advance(1.0)
        bars.say("a message")
    assert ("first generation" in screen.getvalue()) == is_watched


class Handle:
    """What IPython's display returns; it keeps what is shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def update(self, content: dict[str, str], raw: bool) -> None:
        assert raw
        self.shown.append(content["text/plain"])


def test_a_notebook_gets_one_line_that_changes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handle, shell = Handle(), types.SimpleNamespace(kernel=object())
    fake = types.SimpleNamespace(
        get_ipython=lambda: shell, display=types.SimpleNamespace(display=lambda *_, **__: handle)
    )
    monkeypatch.setitem(sys.modules, "IPython", fake)  # type: ignore[arg-type]
    monkeypatch.setattr(progress, "NOTEBOOK_SECONDS", 0.0)
    with progress.followed(None) as reporter:
        assert reporter is not None
        reporter.stage("first generation", 4.0)
        reporter.advance(1.0)
        reporter.say("a message")
    assert handle.shown[0] == "first generation: 0 s"
    assert handle.shown[1].startswith("first generation: 25 %, ")
    assert handle.shown[-1] == "", "the line is gone at the end"
    assert capsys.readouterr().out == "a message\n"
    shell.__dict__.clear()
    assert not progress.in_notebook(), "IPython in a terminal is none"
