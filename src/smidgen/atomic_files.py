"""Files that appear whole or not at all. No other module but `atomic_folders` writes beside a file and renames.

A file is written under a name of its own in the same folder, checked, flushed to the disk, and renamed; then the
folder is flushed. Whatever fails before the rename, the file that was there is still there, and nothing is left beside
it. What a killed process or a power cut leaves is removed by the next write into the folder: a draft is locked as long
as its process lives.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from smidgen.errors import ModelFileError

try:
    import fcntl
except ImportError:  # Windows: drafts are not locked there, and what a killed process leaves is not removed
    fcntl = None  # type: ignore[assignment]

_DRAFT = re.compile(r"\.smidgen-[0-9a-f]{16}(\..*)?")


def write_whole(path: Path, content: str | bytes, check: Callable[[Path], object] | None = None) -> int:
    """Write a file. Text is written as UTF-8.

    Args:
        path: the file, which is replaced if it exists; its folder must exist.
        content: all of the file.
        check: called with the written file before it is renamed; an exception that it raises ends the write.

    Returns:
        The length of the file in bytes.

    Raises:
        OSError: the file cannot be written.
    """
    encoded = content.encode() if isinstance(content, str) else content
    remove_leftovers(path.parent)
    with _locked_new(path.parent, path.suffix, lambda draft: draft.touch(exist_ok=False)) as (draft, place):
        _write_through(place, encoded)
        if check is not None:
            check(draft)
        size_bytes = draft.stat().st_size
        draft.replace(path)
    flush(path.parent)
    return size_bytes


@contextmanager
def draft_files(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Open a temporary folder from which files of these names move into `folder` when the block ends.

    Files that are there under the names, except the first, are removed before the first is replaced: whenever the
    process is killed, the files that are there belong together.

    Raises:
        OSError: a file cannot be written or moved; before the first is moved, all are as they were.
    """
    remove_leftovers(folder)
    with locked_draft(folder) as draft:
        yield draft
        for name in names:
            flush(draft / name)
        for name in names[1:]:
            (folder / name).unlink(missing_ok=True)
        for name in names:
            (draft / name).replace(folder / name)
        flush(folder)


def write_checked(path: Path, content: bytes, check: Callable[[Path], object]) -> int:
    """Write a network's file as `write_whole` does, and say in the user's words what is wrong if that fails.

    Returns:
        The length of the file in bytes.

    Raises:
        ModelFileError: the file cannot be written, or `check` raised it.
    """
    try:
        if path.exists() and not path.is_file():
            raise ModelFileError(f"{path} is not a regular file; give the name of a file to write")
        return write_whole(path, content, check)
    except OSError as error:
        raise ModelFileError(cannot_write(path, error)) from error


def cannot_write(path: Path, error: OSError) -> str:
    """Say that a file cannot be written, why, and what to do."""
    remedy = _REMEDIES.get(error.errno or 0, "give another place")
    return f"cannot write {path.name} in {path.parent}: {error.strerror or error}; {remedy}"


# --- drafts ----------------------------------------------------------------------------------


@contextmanager
def locked_draft(folder: Path) -> Iterator[Path]:
    """Make a temporary folder in `folder` that is removed when the block ends; `remove_leftovers` leaves it alone."""
    with _locked_new(folder, "", Path.mkdir) as (draft, _):
        yield draft


@contextmanager
def _locked_new(folder: Path, suffix: str, make: Callable[[Path], object]) -> Iterator[tuple[Path, int]]:
    """Make a file or a folder and lock it; yields its path and an open descriptor, and removes it at the end."""
    while True:
        draft = _draft_name(folder, suffix)
        make(draft)
        place = os.open(draft, os.O_RDWR if draft.is_file() else os.O_RDONLY)
        _lock(place)
        if draft.exists():
            break
        os.close(place)  # another process took it for a leftover before it was locked
    try:
        yield draft, place
    finally:
        _remove(draft)
        os.close(place)


def remove_leftovers(folder: Path) -> None:
    """Remove the drafts in a folder whose process has ended; those of living processes are locked."""
    with suppress(OSError):
        for entry in list(folder.iterdir()):
            if _DRAFT.fullmatch(entry.name) and not entry.is_symlink() and (entry.is_file() or entry.is_dir()):
                _remove_abandoned(entry)


def _remove_abandoned(draft: Path) -> None:
    if fcntl is None:
        return
    place = os.open(draft, os.O_RDONLY)
    try:
        with suppress(OSError):  # its process lives, or the file system has no locks
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(draft)
    finally:
        os.close(place)


def _remove(draft: Path) -> None:
    if draft.is_dir():
        shutil.rmtree(draft, ignore_errors=True)
    else:
        draft.unlink(missing_ok=True)


def _lock(place: int) -> None:
    """Lock an open draft until it is closed, or its process ends in any way."""
    if fcntl is not None:
        with suppress(OSError):  # a file system without locks: what is left there is not removed
            fcntl.flock(place, fcntl.LOCK_EX)


def _draft_name(folder: Path, suffix: str = "") -> Path:
    return folder / f".smidgen-{secrets.token_hex(8)}{suffix}"


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and fcntl is None:
        return  # Windows flushes no folders
    place = os.open(path, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


def _write_through(place: int, content: bytes) -> None:
    """Write to an open file and wait until it is on the disk, so that a full disk raises here."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(place, rest) :]
    os.fsync(place)


_REMEDIES = {
    errno.ENOSPC: "free some space or give another place",
    errno.EDQUOT: "free some space or give another place",
    errno.EFBIG: "raise the limit on the size of a file or give another place",
    errno.EACCES: "give a place that you may write to",
    errno.EROFS: "give a place that you may write to",
    errno.ENOENT: "make that directory first",
    errno.ENOTDIR: "give a directory",
}
