"""Files and folders that change as one: killed at every moment, they are whole, and the next write leaves nothing."""

from __future__ import annotations

import os
import signal
import stat
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from smidgen import atomic_folders
from smidgen.atomic_files import draft_files, write_whole
from smidgen.atomic_folders import changed_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="fork and SIGKILL")

OURS = {"a.txt", "b.txt", "c.txt", "last.json"}
WATCHED = ("open", "os.", "shutil.", "ctypes.call", "fcntl.")
"""Audit events of an access to the file system."""


def write_folder(folder: Path, text: str) -> None:
    """Write three files of one text; "b.txt" only for texts that begin with "with b"."""
    with changed_folder(folder, OURS.__contains__, last="last.json") as draft:
        for name in OURS - ({"b.txt"} if not text.startswith("with b") else set()):
            (draft / name).write_text(text)


def content_of(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def ours_in(folder: Path) -> dict[str, str]:
    return {name: text for name, text in content_of(folder).items() if name in OURS} if folder.exists() else {}


def killed_after(events: int, act: Callable[[], object]) -> bool:
    """Act in a child process that is killed at its n-th access to the file system; False if it ended before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        left = events

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event.startswith(WATCHED) and event != "os.kill":
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        try:
            act()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), "the child failed"
    return status == signal.SIGKILL


def at_every_moment(act: Callable[[], object], check: Callable[[], None]) -> int:
    """Kill `act` at its first, second, ... access to the file system, until it ends; returns the number of kills."""
    for events in range(500):
        if not killed_after(events, act):
            return events
        check()
    raise AssertionError("it does not end")


# --- folders ----------------------------------------------------------------------------------


def without_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic_folders, "_exchange", lambda one, other: False)


@pytest.mark.parametrize("exchanges", [True, False], ids=["exchange", "two renames"])
def test_a_folder_killed_at_every_moment_is_whole_and_the_next_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    if not exchanges:
        without_exchange(monkeypatch)
    folder = tmp_path / "runs" / "out"
    seen = set()

    def reset() -> None:
        write_folder(folder, "with b, old")
        (folder / "deep").mkdir(exist_ok=True)
        (folder / "deep" / "mine.txt").write_text("mine")

    def check() -> None:
        found = ours_in(folder)
        seen.add(tuple(sorted(found.items())))
        if folder.exists():
            assert content_of(folder)["deep/mine.txt"] == "mine"
        write_folder(folder, "new")
        assert content_of(folder) == {**whole["new"], "deep/mine.txt": "mine"}
        assert names_in(folder.parent) == ["out"]
        reset()

    whole = {"new": dict.fromkeys(OURS - {"b.txt"}, "new"), "old": dict.fromkeys(OURS, "with b, old")}
    reset()
    assert at_every_moment(lambda: write_folder(folder, "new"), check) > 20
    allowed = {tuple(sorted(files.items())) for files in whole.values()}
    assert seen - {()} == allowed
    assert () not in seen or not exchanges


def test_a_new_folder_killed_at_every_moment_is_whole_or_absent(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "out"

    def check() -> None:
        if folder.exists():
            assert content_of(folder) == dict.fromkeys(OURS - {"b.txt"}, "new")
        write_folder(folder, "new")
        assert names_in(folder.parent) == ["out"]
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()

    assert at_every_moment(lambda: write_folder(folder, "new"), check) > 10


def test_the_current_folder_keeps_its_place_and_never_mixes_two_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    write_folder(folder, "with b, old")
    (folder / "mine.txt").write_text("mine")
    monkeypatch.chdir(folder)
    number = folder.stat().st_ino

    def check() -> None:
        found = ours_in(folder)
        assert len(set(found.values())) <= 1, "files of two contents"
        assert "last.json" not in found or set(found) in (OURS, OURS - {"b.txt"})
        write_folder(folder, "with b, old")
        assert names_in(Path()) == names_in(folder)
        assert set(names_in(folder)) == {*OURS, "mine.txt"}

    assert at_every_moment(lambda: write_folder(folder, "new"), check) > 10
    assert folder.stat().st_ino == number


def test_an_error_leaves_the_folder_and_its_parents_as_they_were(tmp_path: Path) -> None:
    for folder in (tmp_path / "a" / "b" / "out", tmp_path / "out"):
        with pytest.raises(ValueError, match="no"), changed_folder(folder, OURS.__contains__, "last.json") as draft:
            (draft / "a.txt").write_text("new")
            raise ValueError("no")
        assert names_in(tmp_path) == []


def test_a_folder_keeps_its_permissions_and_a_link_to_it_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real").chmod(0o750)
    (tmp_path / "out").symlink_to("real")
    write_folder(tmp_path / "out", "new")
    assert (tmp_path / "out").is_symlink()
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o750
    assert content_of(tmp_path / "real") == dict.fromkeys(OURS - {"b.txt"}, "new")


def test_two_writers_do_not_remove_each_others_drafts(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    with changed_folder(one, OURS.__contains__, "last.json") as draft:
        (draft / "a.txt").write_text("one")
        write_folder(other, "other")
        write_whole(tmp_path / "file", "a file")
        assert draft.exists()
    assert content_of(one) == {"a.txt": "one"}
    assert names_in(tmp_path) == ["file", "one", "other"]


# --- files ------------------------------------------------------------------------------------


def test_a_file_killed_at_every_moment_is_whole_and_the_next_write_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def check() -> None:
        assert path.read_text() in ("old", "new")
        write_whole(path, "old")
        assert names_in(tmp_path) == ["file.txt"]

    assert at_every_moment(lambda: write_whole(path, "new"), check) > 5


def test_files_that_belong_together_are_never_of_two_writes(tmp_path: Path) -> None:
    names = ["net.c", "net.h", "net.txt"]

    def write(text: str) -> None:
        with draft_files(tmp_path, names) as draft:
            for name in names:
                (draft / name).write_text(text)

    def check() -> None:
        found = content_of(tmp_path)
        assert len({text for name, text in found.items() if name in names}) == 1
        write("old")
        assert content_of(tmp_path) == {**dict.fromkeys(names, "old"), "mine.txt": "mine"}

    (tmp_path / "mine.txt").write_text("mine")
    write("old")
    assert at_every_moment(lambda: write("new"), check) > 5
