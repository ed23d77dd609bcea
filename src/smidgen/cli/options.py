"""Options that several commands have, each with one name, one type and one help text."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

GOAL, TEACHER, DATA, SEARCH, RUN = "Goal", "Teacher", "Data", "Search", "Run"
"""Panels of `--help`."""


def option(name: str, text: str, panel: str | None = None, values: Sequence[str] = ()) -> Any:
    """Declare an option by its name, its help text, its panel in `--help`, and the values that a shell completes."""
    return typer.Option(name, help=text, rich_help_panel=panel, autocompletion=one_of(values) if values else None)


def one_of(values: Sequence[str]) -> Callable[[str], list[str]]:
    """Return what completes a word that is begun to one of these values."""
    return lambda incomplete: [value for value in values if value.startswith(incomplete)]


DATA_NAMES = ("mnist", "fashion-mnist", "digits")

DataArgument = Annotated[
    str,
    typer.Argument(
        help="mnist, fashion-mnist, digits, or the path of your own data.", autocompletion=one_of(DATA_NAMES)
    ),
]

FloorOption = Annotated[str | None, option("--floor", "Accuracy to hold: 0.97 or 97%.", GOAL)]
BytesOption = Annotated[int | None, option("--bytes", "Most bytes of the network's .smidgen file.", GOAL)]
RuleOption = Annotated[
    str,
    option(
        "--rule",
        "wilson: hold the floor with 95 % confidence; rate: by the plain rate; strict: on the confirmation half alone.",
        GOAL,
        ("wilson", "rate", "strict"),
    ),
]

EffortOption = Annotated[
    str,
    option("--effort", "glance, quick, normal or thorough.", SEARCH, ("glance", "quick", "normal", "thorough")),
]
SeedOption = Annotated[int, option("--seed", "Seed of the search and of every training.", SEARCH)]
CopiesOption = Annotated[
    int | None,
    option(
        "--copies",
        "Augment: N copies of each image, all but the first moved a little; default: 4 of few pictures, else 1.",
        DATA,
    ),
]
SplitOption = Annotated[int, option("--split-seed", "Seed of the split into training and validation examples.", DATA)]

LabelOption = Annotated[str, option("--label", "The column of a table with the labels; default: found.", DATA)]
DropOption = Annotated[list[str] | None, option("--drop", "A column of a table to leave out; repeatable.", DATA)]
ClassesOption = Annotated[
    str | None, option("--classes", "Classes in the order of the outputs: low,mid,high; default: sorted.", DATA)
]
LayoutOption = Annotated[
    str,
    option(
        "--layout",
        "Axes of an example: time-channels, channels-time, height-width, height-width-channels or "
        "channels-height-width; default: found.",
        DATA,
    ),
]
GroupOption = Annotated[str, option("--group-column", "Keep rows with one value of this column in one split.", DATA)]
WindowOption = Annotated[
    int | None, option("--window", "Rows of a table in long form that make a window of a signal.", DATA)
]
StepOption = Annotated[int | None, option("--step", "A window begins at every STEP rows; default: no overlap.", DATA)]
TimeOption = Annotated[str, option("--time-column", "Column with the times of rows; default: in order.", DATA)]
ResizeOption = Annotated[str | None, option("--resize", "Resize a folder's pictures: height x width, as 32x32.", DATA)]

StoreOption = Annotated[str | None, option("--store", "Where trainings are remembered: a file or a database URL.", RUN)]
WorkersOption = Annotated[int | None, option("--workers", "Trainings at once; default: one for each CPU.", RUN)]
ClusterOption = Annotated[
    str | None,
    option("--cluster", "Where to train: a Dask scheduler as tls://host:8786, or local:4 for 4 processes.", RUN),
]
EngineOption = Annotated[
    str, option("--engine", "What trains and predicts: auto, native or torch.", RUN, ("auto", "native", "torch"))
]


def command_line() -> str:
    """Return what the user typed, for a report; passwords and parameters of URLs are removed."""
    from smidgen.trials.store.database import shown_argument

    return shlex.join(["smidgen", *map(shown_argument, sys.argv[1:])])
