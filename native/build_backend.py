"""Builds the package for pip; where the core cannot be built, the package gets the reason in its place.

Everything else is scikit-build-core's. With SMIDGEN_REQUIRE_NATIVE set, a core that cannot be built is an error.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from scikit_build_core import build

REASON = Path("src/smidgen/core_failure.txt")
"""What the compiler said, in the package; `smidgen.engine.native` reads it. A build begins in the source's folder."""

LINES = 20
"""Lines of the compiler's output that are kept: its first errors, or its end."""


def __getattr__(name: str) -> Any:
    """Return every hook that is not here."""
    return getattr(build, name)


def build_wheel(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """Build a wheel with the core or, if that fails, one without it that says why."""
    REASON.unlink(missing_ok=True)
    if os.environ.get("SMIDGEN_REQUIRE_NATIVE"):
        return str(build.build_wheel(wheel_directory, config_settings, metadata_directory))
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        try:
            with _copied(said):
                return str(build.build_wheel(wheel_directory, config_settings, metadata_directory))
        except (Exception, SystemExit):
            REASON.write_text(_reason(said), encoding="utf-8")
    try:
        # Without the prepared metadata, whose tag is that of a wheel with the core.
        plain = {"wheel.cmake": "false", "wheel.py-api": "py3"}
        return str(build.build_wheel(wheel_directory, {**(config_settings or {}), **plain}))
    finally:
        REASON.unlink()


@contextmanager
def _copied(said: IO[str]) -> Iterator[None]:
    """Send what this process and its compilers print to a file, and show it at the end."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    for stream in (1, 2):
        os.dup2(said.fileno(), stream)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, old in zip((1, 2), kept, strict=True):
            os.dup2(old, stream)
            os.close(old)
        said.seek(0)
        print(said.read(), flush=True)


def _reason(said: IO[str]) -> str:
    said.seek(0)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in said]
    lines = [line for line in lines if line]
    first = next((n for n, line in enumerate(lines) if re.search(r"\berror\b", line, re.IGNORECASE)), None)
    return "\n".join(lines[-LINES:] if first is None else lines[first : first + LINES]) + "\n"
