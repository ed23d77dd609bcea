"""What every reader takes and gives, the import of a package that only one format needs, and the errors of decoders."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy.typing as npt

from smidgen.errors import DataError, RequestError
from smidgen.extras import install_line
from smidgen.text_forms import whole_number, whole_numbers

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
        layout: The axes of an example if the file tells them: "time-channels" for windows of a signal; "" if not.
        feature_names: The columns of a table that are features, in the order of the values; () for other data.
        notes: What else a user should know of how the data was read, one sentence each.
    """

    train: Raw
    test: Raw | None = None
    label_source: str = ""
    feature_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    layout: str = ""


@dataclass(frozen=True)
class ReadOptions:
    """How a file or folder is read.

    Attributes:
        resize: (height, width) in pixels to which the images of a folder are resized; None leaves them as they are.
        group_column: The column of a table, or the array of a .npz file, with the group of each row; "" for none.
        label: The column of a table with the labels; "" finds it.
        drop: Columns of a table that are left out.
        classes: The names of the classes in the order of the network's outputs; () orders them by number or alphabet.
        window: How many rows of a table in long form make a window of a signal; 0 if each row is an example.
        step: At every how many rows a window begins; 0 for windows that follow one another.
        time_column: The column of a table in long form with the times; "" for the order of the file.
        layout: The axes of an example, a name in `smidgen.data.layout.LAYOUTS`; "" finds them.
    """

    resize: tuple[int, int] | None = None
    group_column: str = ""
    label: str = ""
    drop: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    window: int = 0
    step: int = 0
    time_column: str = ""
    layout: str = ""

    @classmethod
    def of(
        cls,
        resize: Sequence[int] | str | None = None,
        group_column: str = "",
        label: str = "",
        drop: Sequence[str] | str | None = None,
        classes: Sequence[str] | str | None = None,
        window: int | None = None,
        step: int | None = None,
        time_column: str = "",
        layout: str = "",
    ) -> ReadOptions:
        """Read the options as a user gives them: `resize` may be "32x32", `classes` "low,high", `drop` one name.

        Raises:
            RequestError: An option cannot be.
        """
        sides = whole_numbers(resize, "resize", separator="x", count=2) if resize is not None else ()
        dropped = (drop,) if isinstance(drop, str) else tuple(drop or ())
        names = classes.split(",") if isinstance(classes, str) else map(str, classes or ())
        rows = 0 if window is None else whole_number(window, "window", "leave it out for an example in each row", 2)
        every = 0 if step is None else whole_number(step, "step", "leave it out for windows that do not overlap")
        if not rows and (every or time_column):
            raise RequestError("--step and --time-column are for windows; give --window too")
        return cls(
            (sides[0], sides[1]) if sides else None, group_column, label, dropped,
            tuple(name.strip() for name in names), rows, every, time_column, layout,
        )  # fmt: skip

    @property
    def given(self) -> str:
        """The names of the options that are given, as the command line has them: "--resize, --drop"."""
        return ", ".join(
            f"--{each.name.replace('_', '-')}" for each in fields(self) if getattr(self, each.name) != each.default
        )


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
            f"cannot read {path} without {package}, which is not installed; {install_line(package)}"
        ) from error


@contextmanager
def decoding(path: Path, remedy: str) -> Iterator[None]:
    """Turn whatever a decoder of foreign bytes raises into a DataError with the file, the reason and the remedy.

    Only the call of the decoder stands inside, so that a fault of this package keeps its traceback.
    """
    try:
        yield
    except DataError:
        raise
    except OSError as error:
        if error.errno is not None:  # of the file system; decoders raise it without a number
            raise
        raise DataError(f"cannot read {path}: {error}; {remedy}") from error
    except MemoryError as error:
        raise DataError(f"{path} needs more memory than there is; {remedy}") from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"cannot read {path}: {reason}; {remedy}") from error
