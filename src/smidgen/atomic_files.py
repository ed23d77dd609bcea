"""Files that appear whole or not at all. No other module writes beside a file and renames.

A file is written under a name of its own in the same folder, checked, flushed to the disk, and renamed. Whatever
fails before the rename, the file that was there is still there, and nothing is left beside it.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from smidgen.errors import ModelFileError


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
    draft = path.with_name(f".smidgen-{secrets.token_hex(8)}{path.suffix}")
    try:
        _write_through(draft, encoded)
        if check is not None:
            check(draft)
        size_bytes = draft.stat().st_size
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return size_bytes


@contextmanager
def draft_folder(folder: Path) -> Iterator[Path]:
    """Open a temporary folder whose files move into `folder` when the block ends, once all of them are written.

    A full disk then never leaves half of a new set of files beside half of an old one.

    Raises:
        OSError: a file cannot be moved.
    """
    with TemporaryDirectory(prefix=".draft-", dir=folder) as name:
        yield Path(name)
        for file in Path(name).iterdir():
            _flush(file)
        for file in Path(name).iterdir():
            file.replace(folder / file.name)


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
        remedy = _REMEDIES.get(error.errno or 0, "give another place")
        raise ModelFileError(f"cannot write {path.name} in {path.parent}: {error.strerror}; {remedy}") from error


def _write_through(path: Path, content: bytes) -> None:
    """Write a new file and wait until it is on the disk, so that a full disk raises here."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


_REMEDIES = {
    errno.ENOSPC: "free some space or give another place",
    errno.EDQUOT: "free some space or give another place",
    errno.EFBIG: "raise the limit on the size of a file or give another place",
    errno.EACCES: "give a place that you may write to",
    errno.EROFS: "give a place that you may write to",
    errno.ENOENT: "make that directory first",
    errno.ENOTDIR: "give a directory",
}
