"""What every loader returns, and what several of them need."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import TeacherError

Batch = npt.NDArray[np.float32]
Outputs = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Network:
    """A teacher that can be run.

    Attributes:
        name: What notes and errors call it.
        run: Takes a batch, float32 [n, ...], and returns outputs [n, classes].
        input_shape: The shape of its input without the batch axis; None for an axis of any length, and for the whole
            shape if it is unknown.
        parameters: The number of its parameters; 0 if they cannot be counted.
        digest: SHA-256 in hex of its files; "" for an object in memory.
        batch_size: The only number of images that it takes at once; 0 for any number.
        notes: What was found out while it was opened, one sentence each.
    """

    name: str
    run: Callable[[Batch], Outputs]
    input_shape: tuple[int | None, ...] | None = None
    parameters: int = 0
    digest: str = ""
    batch_size: int = 0
    notes: tuple[str, ...] = ()


def import_extra(module: str, extra: str, file: str) -> Any:
    """Import the package that runs a teacher.

    Args:
        module: The module to import.
        extra: The extra of Smidgen that installs it.
        file: The teacher's file, for an error.

    Raises:
        TeacherError: It is not installed, or cannot be imported though it is.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise TeacherError(
                f"{file} needs {module}, which is installed but lacks a package that it needs: {error}; "
                "install that package"
            ) from error
        raise TeacherError(f"{file} needs {module}: {error}; pip install 'smidgen[{extra}]'") from error
    except Exception as error:  # a broken installation may raise anything
        raise TeacherError(
            f"{file} needs {module}, which is installed but fails to start: {type(error).__name__}: "
            f"{cause_of(error)}; repair or reinstall {module}"
        ) from error


def digest_of(*paths: Path) -> str:
    """SHA-256 in hex of the SHA-256 of each file."""
    sha256 = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            sha256.update(hashlib.file_digest(file, "sha256").digest())
    return sha256.hexdigest()


def first_line(error: Exception) -> str:
    """The first line of an error's message, at most 200 characters; the error's type if it has no message."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def cause_of(error: Exception) -> str:
    """The part of a message that has the cause: the lines after a heading that ends in a colon, else the first line."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    if len(lines) < 2 or not lines[0].endswith(":"):
        return first_line(error)
    return " ".join(lines[1:])[:400]


def type_name(value: object) -> str:
    """The type of a value with its article: "an int", "a list"."""
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
