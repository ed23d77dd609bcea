"""`smidgen predict`: its options and its output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smidgen.cli import json_forms
from smidgen.cli.options import DropOption, EngineOption, option
from smidgen.cli.output import emit, lines
from smidgen.cli.screen import console, table
from smidgen.foreign_text import shown

if TYPE_CHECKING:
    from smidgen.predictions import Predictions

EPILOG = (
    "Examples:\n\nsmidgen predict runs/mnist-0.97/winner.safetensors digit.png\n\n"
    "smidgen predict winner.smidgen photos/ --out classes.csv\n\nsmidgen predict winner.smidgen table.csv --drop id"
)

MOST_ROWS = 20
"""Most examples that are printed."""


def predict(
    model: Annotated[Path, typer.Argument(help="A .smidgen or .safetensors file.")],
    inputs: Annotated[list[Path], typer.Argument(help="Pictures, folders of them, .csv, .tsv, .parquet or .npz.")],
    drop: DropOption = None,
    engine: EngineOption = "auto",
    out: Annotated[
        Path | None, option("--out", "Write the class and the probabilities of each example as CSV.")
    ] = None,
) -> None:
    """Classify pictures, the rows of a table or the examples of an array with a network file."""
    from smidgen import api

    found = api.predict(model, inputs, engine=engine, drop=drop, out=out)
    for note in found.notes:
        lines().say(f"note: {note}")
    emit(found, print_predictions, json_forms.predicted)


def print_predictions(found: Predictions) -> None:
    """Print the class of each example, and for a single one the three most probable."""
    if len(found) == 1:
        typer.echo(shown(found.name))
        for name, probability in found.probabilities[:3]:
            typer.echo(f"  {100 * probability:5.1f} %  {shown(name)}")
    else:
        rows = table("example", "class", ">probability")
        for each in found[:MOST_ROWS]:
            rows.add_row(each.input, each.name, f"{100 * each.probabilities[0][1]:.1f} %")
        console().print(rows)
        if len(found) > MOST_ROWS:
            console().print(f"... and {len(found) - MOST_ROWS:,} more; --out writes all as CSV")
    if found.written_to:
        console().print(f"{found.written_to}: {len(found):,} rows", soft_wrap=True)
