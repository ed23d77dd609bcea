"""How much memory data may take: it is known from a file's header and size before memory is taken."""

from __future__ import annotations

import os
import re
from pathlib import Path

from smidgen import environment
from smidgen.errors import DataError

SHARE = 0.5
"""The share of the machine's memory that data may take where the environment does not say."""
_CGROUP = Path("/sys/fs/cgroup/memory.max")


def memory_limit_bytes() -> int:
    """Return the most bytes that the values of a data set may take: `SMIDGEN_MEMORY`, or half of the memory."""
    text = environment.memory().strip()
    if not text:
        return int(SHARE * _machine_bytes())
    found = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([kMGT]?)B?", text, re.IGNORECASE)
    if found is None:
        raise DataError(f"{environment.MEMORY}={text[:40]} is not a size; give for example 8GB")
    return int(float(found[1]) * 1000 ** " kmgt".index(found[2].lower() or " "))


def check_memory(size_bytes: int, path: Path | str, remedy: str) -> None:
    """Check, before memory is taken, that values of this size fit.

    Raises:
        DataError: They do not; the message has both sizes and the remedy.
    """
    limit = memory_limit_bytes()
    if size_bytes > limit:
        raise DataError(
            f"{path} needs about {_size_text(size_bytes)} of memory and at most {_size_text(limit)} are allowed; "
            f"{remedy}, or set SMIDGEN_MEMORY to more"
        )


def _machine_bytes() -> int:
    """The memory of this machine, or of the container that this process is in."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        text = _CGROUP.read_text().strip()
    except OSError:
        return total
    return min(total, int(text)) if text.isdigit() else total


def _size_text(size_bytes: int) -> str:
    if size_bytes >= 2**60:  # a header may state sizes beyond any float
        return f"2^{size_bytes.bit_length()} bytes"
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.1f} MB"
