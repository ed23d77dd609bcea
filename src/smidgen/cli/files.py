"""`smidgen inspect`, `smidgen unpack` and `smidgen export`: their options and their output."""

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
from smidgen.cli.screen import console, table

if TYPE_CHECKING:
    from smidgen.exporters import Export
    from smidgen.model import Inspection

INSPECT_EPILOG = "Example:\n\nsmidgen inspect winner.smidgen"
UNPACK_EPILOG = "Example:\n\nsmidgen unpack winner.smidgen --to winner.safetensors"
EXPORT_EPILOG = (
    "Examples:\n\nsmidgen export winner.smidgen --to onnx --data mnist\n\n"
    "smidgen export winner.smidgen --to c --form integer --data mnist\n\n"
    "smidgen export winner.smidgen --to c --data log.csv --window 128 --label activity\n\n"
    "smidgen export winner.smidgen --to html"
)

TARGETS = ("onnx", "tflite", "c", "arduino", "js", "html", "safetensors")

FileArgument = Annotated[Path, typer.Argument(help="A .smidgen file, as compress writes it.")]


def inspect(file: FileArgument) -> None:
    """Print what a .smidgen file contains, and where each of its bits went."""
    from smidgen import api

    emit(api.inspect(file), print_inspection, json_forms.inspected)


def print_inspection(found: Inspection) -> None:
    """Print a table of the file's parts, and one of its tensors."""
    parts = table("part", ">bits", ">bytes", ">share")
    for part in found.parts:
        share = part.bits / (8 * found.size_bytes)
        parts.add_row(part.name, f"{part.bits:,.1f}", f"{part.bits / 8:,.1f}", f"{100 * share:.1f} %")
    tensors = table("tensor", ">weights", ">zeros", "grid", "coder", "levels")
    for tensor in found.tensors:
        zeros = f"{100 * tensor.zeros / tensor.weights:.1f} %"
        levels = "" if tensor.lowest is None else f"{tensor.lowest} to {tensor.highest}"
        tensors.add_row(tensor.name, f"{tensor.weights:,}", zeros, tensor.grid, tensor.coder, levels)
    shape, screen = "x".join(map(str, found.input_shape)), console()
    screen.print(f"{found.spec}")
    screen.print(
        f"input {shape}; {len(found.class_names)} classes; {found.parameters:,} parameters; {found.size_bytes:,} bytes"
    )
    if found.input.is_stated:
        screen.print(f"reads a {found.input}")
    screen.print(parts)
    screen.print(tensors)


def unpack(
    file: FileArgument,
    to: Annotated[Path, option("--to", "The .safetensors file to write.")],
) -> None:
    """Decode a .smidgen file into full-precision weights."""
    from smidgen import api

    emit((to, api.unpack(file, to)), print_unpacked, json_forms.unpacked)


def print_unpacked(written: tuple[Path, int]) -> None:
    """Print the file and its length."""
    console().print(f"{written[0]}: {written[1]:,} bytes", soft_wrap=True)


def export(
    file: Annotated[Path, typer.Argument(help="A .smidgen or .safetensors file.")],
    to: Annotated[
        str,
        option(
            "--to",
            "What to write: onnx, tflite, c, arduino, js, html or safetensors.",
            values=("onnx", "tflite", "c", "arduino", "js", "html", "safetensors"),
        ),
    ],
    form: Annotated[
        str | None,
        option(
            "--form",
            "C output, weights as float: float32; levels: a byte each; levels4: half a byte; coded: range-coded; "
            "integer: a byte each, and no floating point. Default: levels. ONNX, TensorFlow Lite: float or int8.",
            values=("float", "levels", "levels4", "coded", "integer", "int8"),
        ),
    ] = None,
    entry: Annotated[
        str | None,
        option(
            "--entry",
            "C output, the numbers it takes: float, int16 or uint8. Default: uint8 for bytes, else float.",
            values=("float", "int16", "uint8"),
        ),
    ] = None,
    data: Annotated[str | None, option("--data", "Run the export on the test examples of this data set.")] = None,
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
        option(
            "--out", "The file to write; default: beside the network file, where only an earlier export is replaced."
        ),
    ] = None,
) -> None:
    """Write a network for other programs, and compare its classes on a data set's test images."""
    from smidgen import api

    made = api.export(
        file, to=to, form=form, entry=entry, data=data, label=label, drop=drop, classes=classes, layout=layout,
        group_column=group_column, window=window, step=step, time_column=time_column, resize=resize,
        split_seed=split_seed, out=out, reporter=lines(),
    )  # fmt: skip
    emit(made, print_export, json_forms.exported)


def print_export(made: Export) -> None:
    """Print how large the export is, and how it classified the test images."""
    screen, size, proof = console(), made.program_size, made.proof
    names = f"{made.path} and {made.path.with_suffix('.h')}" if made.path.suffix == ".c" else made.path
    screen.print(f"{names}: {made.size_bytes:,} bytes", soft_wrap=True)
    if size is not None:
        screen.print(
            f"On a Cortex-M0+: {size.flash_bytes:,} bytes of flash, {size.ram_bytes:,} of RAM, one example included."
        )
    if proof is not None:
        screen.print(f"{proof.agreeing:,} of {proof.images:,} test examples get the decoded network's class.")
        screen.print(f"Right: {proof.correct:,}; the decoded network: {proof.network_correct:,}.")
