"""What several commands take: options, data, the store, and the checks before minutes of training."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smidgen.cli.screen import Lines
from smidgen.errors import RequestError

if TYPE_CHECKING:
    from smidgen.data import Dataset, Reading
    from smidgen.trials.store import Store
    from smidgen.trials.workers import Pool

DataArgument = Annotated[str, typer.Argument(help="mnist, fashion-mnist, digits, or the path of your own data.")]
StoreOption = Annotated[str, typer.Option("--store", help="Where trials are remembered: a file or a database URL.")]
WorkersOption = Annotated[int, typer.Option("--workers", help="Trainings at once; 0 is one a CPU.")]
ClusterOption = Annotated[
    str, typer.Option("--cluster", help="Where to train: a Dask scheduler as tcp://host:8786, or local:4 processes.")
]
EngineOption = Annotated[str, typer.Option("--engine", help="auto, native or torch.")]
CopiesOption = Annotated[
    int, typer.Option("--copies", help="So many of each training image, all but the first moved a little.")
]
SplitOption = Annotated[int, typer.Option("--split-seed", help="Which images are set aside for validation.")]


def numbers(text: str, option: str, separator: str = ",", count: int = 0) -> list[int]:
    try:
        values = [int(part) for part in text.split(separator)]
    except ValueError:
        values = []
    if not values or min(values) < 1 or (count and len(values) != count):
        example = separator.join(("1", "28", "28")[-count:] if count else ("8", "4", "2", "1"))
        raise RequestError(f"{option} {text} cannot be read; give whole numbers of at least 1, for example {example}")
    return values


def share(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise RequestError(f"{option} {text} is not a number; give a share of 1, for example {option} 0.97") from None


def points(text: str) -> float:
    """ "0.5%" and "0.005" are half a point; "0.5" could be meant as either, and is asked about."""
    if text.endswith("%"):
        return share(text[:-1].strip(), "--within") / 100
    asked = share(text, "--within")
    if asked >= 0.1:
        raise RequestError(f"--within {text} would be {100 * asked:g} points; write {text}% for {text} points")
    return asked


def load_data(data: str, split_seed: int, reading: Reading | None = None, copies: int = 1) -> Dataset:
    from smidgen.data import Reading, load
    from smidgen.data.augment import with_copies
    from smidgen.trials.workers import default_workers

    return with_copies(
        load(data, split_seed, reporter=Lines(), reading=reading or Reading()), copies, default_workers()
    )


@contextmanager
def opened(store: str) -> Iterator[Store]:
    from smidgen.trials.store import Store, default_path

    with Store(store or default_path()) as memo:
        yield memo


@contextmanager
def pool_of(cluster: str) -> Iterator[Pool | None]:
    """The workers of a cluster; none was asked for: threads of this process."""
    if not cluster:
        yield None
        return
    from smidgen.trials.dask_pool import connect

    with connect(cluster) as pool:
        yield pool


def command_line() -> str:
    """What the user typed, for a report: of a URL's secrets nothing, of its options nothing."""
    return shlex.join(["smidgen", *map(_without_secrets, sys.argv[1:])])


def _without_secrets(argument: str) -> str:
    named = re.sub(r"(://[^:@/?]*):.*@", r"\1:***@", argument)
    return re.sub(r"(://[^?]*)\?.*", r"\1", named)


def check_writable(folder: Path) -> None:
    """Before minutes of training: whether the results will have a place."""
    import os

    nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise RequestError(
            f"cannot write to {folder}: {nearest} is not a folder that you may write to; give another --out"
        )
