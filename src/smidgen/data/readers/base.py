"""What every reader takes and gives, and the import of a package that only one format needs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from smidgen.errors import DataError

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Raw:
    """Examples as a file has them, of any type and not checked yet.

    Attributes:
        images: [n, ...].
        labels: [n].
        groups: [n], or None if the file has no groups.
    """

    images: Array
    labels: Array
    groups: Array | None = None


@dataclass(frozen=True, eq=False)
class Contents:
    """What a file or folder contains.

    Attributes:
        train: The examples, without those of `test`.
        test: The test split; None if the file has none of its own.
        label_source: The column of a table that has the labels, and why it was taken; "" for other data.
    """

    train: Raw
    test: Raw | None = None
    label_source: str = ""


@dataclass(frozen=True)
class ReadOptions:
    """How a file or folder is read.

    Attributes:
        resize: (height, width) in pixels to which the images of a folder are resized; None leaves them as they are.
        group_column: The column of a table, or the array of a .npz file, with the group of each row; "" for none.
    """

    resize: tuple[int, int] | None = None
    group_column: str = ""


NO_OPTIONS = ReadOptions()

Reader = Callable[[Path, ReadOptions], Contents]


def import_optional(module: str, package: str, path: Path) -> Any:
    """Import what reads this file's format.

    Raises:
        DataError: The package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(
            f"cannot read {path} without {package}, which is not installed; pip install {package}"
        ) from error
