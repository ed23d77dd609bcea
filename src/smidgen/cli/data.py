"""`smidgen data list`, `smidgen data fetch` and `smidgen data show`: their options and their output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smidgen.cli import json_forms
from smidgen.cli.options import (
    ClassesOption,
    DataArgument,
    DropOption,
    GroupOption,
    LabelOption,
    LayoutOption,
    ResizeOption,
    SplitOption,
    StepOption,
    TimeOption,
    WindowOption,
    option,
)
from smidgen.cli.output import emit, lines
from smidgen.cli.screen import console, table
from smidgen.errors import RequestError
from smidgen.extras import NO_PICTURES, can_draw
from smidgen.foreign_text import shown

if TYPE_CHECKING:
    from rich.table import Table

    from smidgen.data import CachedDataset, Dataset, DataSummary

LIST_EPILOG = "Example:\n\nsmidgen data list"
FETCH_EPILOG = "Example:\n\nsmidgen data fetch mnist"
SHOW_EPILOG = "Example:\n\nsmidgen data show fashion-mnist --out fashion.png"

USES = {
    "train": "training",
    "selection": "choosing a network",
    "confirmation": "confirming the choice",
    "test": "the report, once",
}
"""What each split is used for."""
MAX_ROWS = 12
"""Most classes or features that a table lists."""


def list_() -> None:
    """List the published data sets, and which of them are in the cache."""
    from smidgen import data

    emit(data.list(), print_list, json_forms.listed)


def print_list(found: Sequence[CachedDataset]) -> None:
    """Print a row for each data set."""
    rows = table("data set", "here", ">MB", "where")
    for row in found:
        rows.add_row(row.name, "yes" if row.complete else "no", f"{row.size_bytes / 1e6:.1f}", str(row.folder))
    console().print(rows)


def fetch(name: Annotated[str, typer.Argument(help="mnist, fashion-mnist or digits.")]) -> None:
    """Fetch a published data set into the cache, checked by its SHA-256."""
    from smidgen import data

    emit(data.fetch(name, reporter=lines()), print_files, json_forms.fetched)


def print_files(files: Mapping[str, Path]) -> None:
    """Print a line for each file."""
    for file, path in files.items():
        typer.echo(f"{file}: {shown(path)}")


def show(
    data: DataArgument,
    label: LabelOption = "",
    drop: DropOption = None,
    classes: ClassesOption = None,
    layout: LayoutOption = "",
    group_column: GroupOption = "",
    window: WindowOption = None,
    step: StepOption = None,
    time_column: TimeOption = "",
    resize: ResizeOption = None,
    split_seed: SplitOption = 0,
    out: Annotated[Path, option("--out", "The picture to write.")] = Path("contact-sheet.png"),
) -> None:
    """Print a data set's splits, classes and values, and write ten images of each class as a picture."""
    from smidgen import data as datasets

    found = datasets.show(
        data, split_seed, reporter=lines(), resize=resize, group_column=group_column, window=window, step=step,
        time_column=time_column, label=label, drop=drop,
        classes=classes,
        layout=layout,
    )  # fmt: skip
    picture = out if draw(found.dataset, out) else None

    def print_all(found: DataSummary) -> None:
        print_summary(found)
        if picture:
            console().print(f"picture {picture}", soft_wrap=True)
        elif not can_draw():
            console().print(NO_PICTURES)

    emit(found, print_all, lambda found: json_forms.described(found, picture))


def draw(data: Dataset, path: Path) -> bool:
    """Write ten images of each class; vectors have no picture, and nothing is drawn without matplotlib.

    Returns:
        Whether a picture was written.

    Raises:
        RequestError: it cannot be written.
    """
    from smidgen.report.plots import contact_sheet

    if min(data.input_shape[1:]) < 2 or not can_draw():
        return False
    try:
        contact_sheet(data.train.images, data.train.labels, data.class_names, path)
    except OSError as error:
        raise RequestError(f"cannot write {path}: {error.strerror or error}; give another --out") from error
    return True


def print_summary(data: DataSummary) -> None:
    """Print a table of the splits, one of the classes, and the digest."""
    rows = table("split", ">examples", "used for")
    for name, use in USES.items():
        rows.add_row(name, f"{data.split_sizes[name]:,}", use)
    screen, (low, high) = console(), data.value_range
    screen.print(f"{data.name}: {'x'.join(map(str, data.input_shape))}, {len(data.class_names)} classes")
    read_as = "scaled" if data.dataset.input.is_scaled else "read as they are"
    screen.print(f"values {low:g} to {high:g}, {'read as value / 255' if data.dtype == 'uint8' else read_as}")
    for fact in data.facts:
        screen.print(fact)
    screen.print(rows)
    if data.features:
        screen.print(_features(data))
        if len(data.features) > MAX_ROWS:
            screen.print(f"... and {len(data.features) - MAX_ROWS} more features")
    screen.print(_classes(data))
    if len(data.class_names) > MAX_ROWS:
        screen.print(f"... and {len(data.class_names) - MAX_ROWS} more classes")
    screen.print(f"answering always with the commonest class is {data.majority_rate:.1%} accurate")
    screen.print(f"digest {data.digest}")


def _features(data: DataSummary) -> Table:
    """A table of the first features and their ranges."""
    rows = table("feature", ">from", ">to")
    for name, low, high in data.features[:MAX_ROWS]:
        rows.add_row(name, f"{low:g}", f"{high:g}")
    return rows


def _classes(data: DataSummary) -> Table:
    """A table of the first classes, in the order of the network's outputs, and their images in each split."""
    rows = table("class", *(f">{name}" for name in USES))
    for index, name in enumerate(data.class_names[:MAX_ROWS]):
        rows.add_row(name, *(f"{data.class_counts[split][index]:,}" for split in USES))
    return rows
