"""A folder of another user's, which may be read and not written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

posix = pytest.mark.skipif(os.name != "posix", reason="users, limits and mounts are POSIX")
NOBODY = 65534


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """Let a folder and its files be read and not written; as root, by becoming nobody for a while."""
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)
    is_root = os.geteuid() == 0
    if is_root:
        for above in folder.parents:
            if above == Path(tempfile.gettempdir()):
                break
            above.chmod(above.stat().st_mode | 0o055)
        os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o700)
