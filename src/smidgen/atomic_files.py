"""Files that are whole or absent: written beside their place, checked, flushed to the disk, then renamed."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from smidgen.errors import ModelFileError


def write_checked(path: Path, content: bytes, check: Callable[[Path], None]) -> int:
    """Write a draft beside `path`, have it checked from the disk; only then does it take that name.

    check: reads the draft, and raises when it does not hold what it should.

    Returns:
        the length of the file in bytes.

    Raises:
        ModelFileError: the place cannot hold it. What stood there before is then still there, and nothing is
            left beside it.
    """
    draft = path.with_name(f".smidgen-{secrets.token_hex(8)}")
    with _explained(path):
        if path.exists() and not path.is_file():
            raise ModelFileError(f"{path} is not a regular file; give the name of a file to write")
        try:
            _write_through(draft, content)
            check(draft)
            size_bytes = draft.stat().st_size
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    return size_bytes


def _write_through(path: Path, content: bytes) -> None:
    """Write a new file and wait until the disk has it, so that a full disk is noticed here."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
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


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "give another place")
        raise ModelFileError(f"cannot write {path.name} in {path.parent}: {error.strerror}; {remedy}") from error
