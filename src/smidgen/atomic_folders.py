"""Folders whose content changes as one: at every moment all files are of the old content, or all of the new.

The new content is written into a folder beside the old one, flushed to the disk, and exchanged with it in one step.
What is in the old folder and was not written by Smidgen is carried over by hard links before the exchange.

Some folders cannot be exchanged: the current directory and its parents, a mount point, a folder in a parent that may
not be written to. There, what Smidgen wrote is removed first and the new files move in after that, the last one last:
a kill in between leaves some files of the new content and none of the old.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from smidgen.atomic_files import flush, locked_draft, remove_leftovers

_OLDER = ".smidgen-older-"
"""Prefix of an old folder's name while a new one takes its place, where the system cannot exchange two folders."""


@contextmanager
def changed_folder(folder: Path, is_ours: Callable[[str], bool], last: str) -> Iterator[Path]:
    """Open an empty temporary folder whose files become the content of `folder` when the block ends.

    If the block raises, `folder` is left as it was.

    Args:
        folder: the folder, which is made with its parents if it is missing.
        is_ours: whether an entry of the old folder, by its name, belongs to the old content; all others are kept.
        last: the name of the file that moves last where the folder cannot be exchanged.

    Raises:
        OSError: a file cannot be written.
    """
    place = folder.resolve()
    made = _make_parents(place)
    try:
        _restore(place)
        swaps = _can_be_exchanged(place)
        room = place.parent if swaps else place
        remove_leftovers(room)
        with locked_draft(room) as draft:
            if place.exists():
                shutil.copymode(place, draft)
            yield draft
            for file in draft.iterdir():
                flush(file)
            if swaps:
                _carry(place, draft, is_ours)
                flush(draft)
                _put_in_place(draft, place)
            else:
                _move_into(place, draft, is_ours, last)
    except BaseException:
        for parent in made:
            with suppress(OSError):
                parent.rmdir()
        raise


def _make_parents(place: Path) -> list[Path]:
    """Make the parents of a folder that are missing, and return those, the deepest first."""
    missing = [parent for parent in place.parents if not parent.exists()]
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists() and not place.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(place))
    return missing


def _can_be_exchanged(place: Path) -> bool:
    is_current = place in (Path.cwd(), *Path.cwd().parents)
    return os.access(place.parent, os.W_OK | os.X_OK) and not is_current and not os.path.ismount(place)


def _carry(place: Path, draft: Path, is_ours: Callable[[str], bool]) -> None:
    """Link every entry of the old folder that is not ours into the new one."""
    if not place.exists():
        return
    remove_leftovers(place)
    for entry in place.iterdir():
        if is_ours(entry.name) or (draft / entry.name).exists():
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.copytree(entry, draft / entry.name, symlinks=True, copy_function=_link)
        else:
            _link(str(entry), str(draft / entry.name))


def _link(source: str, target: str) -> None:
    """Give a file a second name; where the file system or its owner does not allow that, copy it."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def _put_in_place(draft: Path, place: Path) -> None:
    """Give the new folder the old one's name; the old one then has the draft's."""
    if not place.exists():
        draft.rename(place)
    elif not _exchange(draft, place):
        older = place.parent / f"{_OLDER}{place.name}"
        place.rename(older)
        draft.rename(place)
        shutil.rmtree(older, ignore_errors=True)
    flush(place.parent)


def _restore(place: Path) -> None:
    """Finish what a kill between the two renames of `_put_in_place` interrupted: give the old folder its name back."""
    older = place.parent / f"{_OLDER}{place.name}"
    if not older.is_dir():
        return
    if place.exists():
        shutil.rmtree(older, ignore_errors=True)
    else:
        older.rename(place)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; return False where the system or the file system cannot."""
    system = ctypes.CDLL(None) if sys.platform in ("linux", "darwin") else None
    names = os.fsencode(one), os.fsencode(other)
    with suppress(AttributeError):
        if sys.platform == "linux" and system is not None:
            here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of renameat2(2)
            return bool(system.renameat2(here, names[0], here, names[1], exchange) == 0)
        if sys.platform == "darwin" and system is not None:
            return bool(system.renamex_np(*names, 2) == 0)  # RENAME_SWAP
    return False


def _move_into(place: Path, draft: Path, is_ours: Callable[[str], bool], last: str) -> None:
    """Replace the content of a folder that cannot be exchanged: the old files go first, so none stays beside a new."""
    # `last` says that the content is whole, so it is the first to go and the last to come.
    for entry in sorted(place.iterdir(), key=lambda entry: entry.name != last):
        if is_ours(entry.name):
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    for file in sorted(draft.iterdir(), key=lambda file: file.name == last):
        file.replace(place / file.name)
    flush(place)
