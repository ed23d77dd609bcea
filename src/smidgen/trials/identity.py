"""What a process trains with: Smidgen's version, a digest of its code, and the arithmetic of its engine.

Two processes with the same identity give the same bits for the same trial.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import smidgen
from smidgen.engine import choose

TRAINING_CODE = (
    "data",
    "elementary.py",
    "engine",
    "model",
    "records",
    "spec",
    "streams.py",
    "transforms",
    "trials/content.py",
    "trials/evaluate.py",
    "trials/identity.py",
    "trials/remote.py",
)
"""Packages and modules whose code can change an outcome. The native core's arithmetic is in its engine's name."""


def identity(engine: str) -> str:
    """Return the version, the digest of the code and the engine's name, such as "Smidgen 0.1.0, code 12ab34cd, ...".

    Args:
        engine: "auto", "native" or "torch" (see `smidgen.engine.choose`).

    Raises:
        EngineError: the engine is not installed.
    """
    return described(code_digest(), choose(engine).name())


def described(digest: str, engine_name: str) -> str:
    """Return the identity with a digest of the code and an engine's name."""
    return f"Smidgen {smidgen.__version__}, code {digest[:12]}, {engine_name}"


@cache
def code_digest() -> str:
    """Return the SHA-256 of the sources in `TRAINING_CODE`, in hexadecimal digits."""
    package = Path(smidgen.__file__).parent
    places = [package / name for name in TRAINING_CODE]
    files = sorted(file for place in places for file in (place.rglob("*.py") if place.is_dir() else [place]))
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(package).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()
