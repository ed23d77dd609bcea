"""`smidgen compress`: its options and its output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smidgen.cli import json_forms
from smidgen.cli.options import (
    DATA,
    GOAL,
    RUN,
    TEACHER,
    BytesOption,
    ClassesOption,
    ClusterOption,
    CopiesOption,
    DropOption,
    EffortOption,
    EngineOption,
    FloorOption,
    GroupOption,
    LabelOption,
    LayoutOption,
    ResizeOption,
    RuleOption,
    SeedOption,
    SplitOption,
    StepOption,
    StoreOption,
    TimeOption,
    WindowOption,
    WorkersOption,
    option,
)
from smidgen.cli.output import bars, emit
from smidgen.cli.screen import console, score_row, table
from smidgen.extras import NO_PICTURES, can_draw
from smidgen.text_forms import counted

if TYPE_CHECKING:
    from rich.table import Table

    from smidgen.model import Part
    from smidgen.search.compress import CompressResult

EPILOG = (
    "Examples:\n\nsmidgen compress runs/mnist-0.97/winner.safetensors --floor 0.97\n\n"
    "smidgen compress teacher.safetensors --within 0.1% --data mnist\n\n"
    "smidgen compress a.safetensors b.safetensors --bytes 256"
)


def compress(
    files: Annotated[
        list[Path], typer.Argument(help="One or more network files; the search starts from the most accurate.")
    ],
    floor: FloorOption = None,
    within: Annotated[str | None, option("--within", "How far below the given network it may be: 0.1%.", GOAL)] = None,
    bytes: BytesOption = None,
    rule: RuleOption = "wilson",
    data: Annotated[
        str | None, option("--data", "What the network was trained on; default: as its file says.", DATA)
    ] = None,
    label: LabelOption = "",
    drop: DropOption = None,
    classes: ClassesOption = None,
    layout: LayoutOption = "",
    group_column: GroupOption = "",
    window: WindowOption = None,
    step: StepOption = None,
    time_column: TimeOption = "",
    resize: ResizeOption = None,
    teacher: Annotated[
        str | None,
        option("--teacher", "What to learn from; default: teacher.safetensors beside the file, or itself.", TEACHER),
    ] = None,
    effort: EffortOption = "normal",
    seed: SeedOption = 0,
    copies: CopiesOption = None,
    split_seed: SplitOption = 0,
    out: Annotated[
        Path | None, option("--out", "The .smidgen file to write; default: NAME-compressed beside the first.", RUN)
    ] = None,
    store: StoreOption = None,
    workers: WorkersOption = None,
    cluster: ClusterOption = None,
    engine: EngineOption = "auto",
) -> None:
    """Find the shortest file of a network that holds an accuracy floor.

    Writes NAME-compressed.smidgen, the curve of accuracy against bytes as
    .png, and all candidates as .csv beside it. Run the same line again and
    nothing is trained twice; stop it, and it continues where it was.
    """
    from smidgen import api

    with bars() as reporter:
        result = api.compress(
            files, floor, within=within, bytes=bytes, rule=rule, data=data, label=label, drop=drop, classes=classes,
            layout=layout, group_column=group_column, window=window, step=step, time_column=time_column,
            resize=resize, teacher=teacher, effort=effort, seed=seed, copies=copies,
            split_seed=split_seed, out=out or True, store=store, workers=workers, cluster=cluster, engine=engine,
            reporter=reporter,
        )  # fmt: skip
    emit(result, print_result, json_forms.compressed)


def print_result(result: CompressResult) -> None:
    """Print the file, its scores, how it became so short, and where its bytes are."""
    screen = console()
    screen.print(f"\n{result.headline}", style="bold")
    screen.print(f"{result.winner.quantized.spec}")
    for rows in (_scores(result), _stages(result), _parts(result)):
        screen.print(rows)
    screen.print(f"{counted(len(result.rejected), 'shorter file')} passed selection but failed confirmation.")
    screen.print(f"{counted(result.trained, 'training')}, {result.remembered} remembered, {result.seconds:.1f} s")
    if not can_draw():
        screen.print(NO_PICTURES)
    screen.print(f"file {result.written_to}", soft_wrap=True)


def _scores(result: CompressResult) -> Table:
    rows, winner = table("", ">bytes", ">right", ">of", ">rate", "95 % interval"), result.winner
    score_row(rows, "chosen on", winner.file_bytes, winner.outcome.selection)
    score_row(rows, "confirmed on", winner.file_bytes, winner.outcome.confirmation)
    score_row(rows, "test, once", winner.file_bytes, result.test)
    score_row(rows, "given, test", result.given_bytes, result.given_test)
    return rows


def _stages(result: CompressResult) -> Table:
    rows = table("stage", ">bytes", ">chosen on")
    for stage in result.stages:
        rows.add_row(stage.name, f"{stage.file_bytes:,}", f"{100 * stage.selection.rate:.2f} %")
    return rows


def _parts(result: CompressResult) -> Table:
    from smidgen.model import encode, size_report

    rows = table("where the bytes are", ">bits", ">share")
    for name, bits in _by_layer(size_report(encode(result.winner.quantized))):
        rows.add_row(name, f"{bits:,.0f}", f"{100 * bits / (8 * result.winner.file_bytes):.1f} %")
    return rows


def _by_layer(parts: Sequence[Part]) -> list[tuple[str, float]]:
    """Add up the bits of weights layer by layer, of all grids, and of the rest."""
    groups: dict[str, float] = {}
    for part in parts:
        name = "grids" if part.name.endswith(" grid") else part.name.removesuffix(" levels")
        if not part.name.endswith((" grid", " levels", "input and layers")):
            name = "frame, names and checksum"
        groups[name] = groups.get(name, 0.0) + part.bits
    return list(groups.items())
