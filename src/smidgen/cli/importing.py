"""`smidgen import`: its options and its output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smidgen.cli import json_forms
from smidgen.cli.options import (
    ClassesOption,
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
from smidgen.cli.screen import console

if TYPE_CHECKING:
    from smidgen.importers import Imported

EPILOG = "Examples:\n\nsmidgen import model.onnx\n\nsmidgen import model.keras --data photos --out model.smidgen"


def import_(
    file: Annotated[Path, typer.Argument(help="An .onnx or .keras file.")],
    data: Annotated[str | None, option("--data", "Compare on the test examples of this data; default: random.")] = None,
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
    out: Annotated[
        Path | None,
        option("--out", "The file to write, .safetensors or .smidgen; default: beside the file, if it is not there."),
    ] = None,
) -> None:
    """Import a network of another program, and compare its outputs with the original's."""
    from smidgen import api

    found = api.import_model(
        file, data=data, label=label, drop=drop, classes=classes, layout=layout, group_column=group_column,
        window=window, step=step, time_column=time_column, resize=resize, split_seed=split_seed,
        out=out or True, reporter=lines(),
    )  # fmt: skip
    emit(found, print_import, json_forms.imported)


def print_import(found: Imported) -> None:
    """Print the network, what was changed, and how it compares with the original."""
    screen, model, proof = console(), found.model, found.proof
    screen.print(f"{model.spec}")
    for note in found.notes:
        screen.print(note)
    parameters = model.spec.parameters(model.input_shape)
    screen.print(f"{found.written_to}: {parameters:,} parameters, {found.size_bytes:,} bytes", soft_wrap=True)
    screen.print(
        f"On {proof.inputs}, {proof.agreeing:,} of {proof.count:,} get the original's class; outputs differ by at most "
        f"{proof.largest_difference:.1g} of the largest."
    )
    if proof.correct is not None:
        screen.print(f"Right: {proof.correct:,} of {proof.count:,}.")
