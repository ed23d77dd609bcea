"""`smidgen shrink`: its options and its output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smidgen.cli import json_forms
from smidgen.cli.options import (
    GOAL,
    RUN,
    SEARCH,
    TEACHER,
    BytesOption,
    ClassesOption,
    ClusterOption,
    CopiesOption,
    DataArgument,
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
    command_line,
    option,
)
from smidgen.cli.output import bars, emit
from smidgen.cli.screen import console, score_row, table
from smidgen.extras import NO_PICTURES, can_draw
from smidgen.text_forms import counted

if TYPE_CHECKING:
    from rich.table import Table

    from smidgen.report.answer import Answer
    from smidgen.search.result import ShrinkResult

EPILOG = (
    "Examples:\n\nsmidgen shrink mnist --floor 0.97\n\nsmidgen shrink photos/ --floor 90% --resize 32x32\n\n"
    "smidgen shrink mnist --within 0.5% --teacher big.onnx\n\nsmidgen shrink mnist --params 1000 --ram 8192\n\n"
    "smidgen shrink mnist --floor 0.97 --form integer --flash 4096 --ram 2048"
)


def shrink(
    data: DataArgument,
    floor: FloorOption = None,
    within: Annotated[str | None, option("--within", "How far below its teacher it may be: 0.5%.", GOAL)] = None,
    bytes: BytesOption = None,
    params: Annotated[int | None, option("--params", "Most parameters.", GOAL)] = None,
    macs: Annotated[int | None, option("--macs", "Most multiply-accumulates for one example.", GOAL)] = None,
    ram: Annotated[
        int | None,
        option("--ram", "Most bytes of values alive at once, as float32; with --form of the C program.", GOAL),
    ] = None,
    flash: Annotated[
        int | None, option("--flash", "Most bytes of flash of the C program (--form) on a Cortex-M0+.", GOAL)
    ] = None,
    instructions: Annotated[
        int | None, option("--instructions", "Most instructions of the C program (--form) for one input.", GOAL)
    ] = None,
    form: Annotated[str | None, option("--form", "C program that is limited: integer, levels or float.", GOAL)] = None,
    rule: RuleOption = "wilson",
    balanced: Annotated[bool, option("--balanced", "Measure accuracy as the mean over the classes.", GOAL)] = False,
    class_floor: Annotated[
        str | None, option("--class-floor", "Accuracy that each class must reach: 0.8 or 80%.", GOAL)
    ] = None,
    teacher: Annotated[
        str | None,
        option("--teacher", "model.onnx, .keras, .safetensors or .smidgen, or module.py:factory (torch).", TEACHER),
    ] = None,
    weights: Annotated[
        Path | None, option("--weights", "Weights of a torch teacher: w.safetensors or w.pt.", TEACHER)
    ] = None,
    teacher_logits: Annotated[
        Path | None, option("--teacher-logits", "The teacher's logits, a row for each example: logits.npy.", TEACHER)
    ] = None,
    teacher_input: Annotated[
        str, option("--teacher-input", "Axes and range of its input, as 'nhwc 0..1'; default: found.", TEACHER)
    ] = "",
    label: LabelOption = "",
    drop: DropOption = None,
    classes: ClassesOption = None,
    layout: LayoutOption = "",
    group_column: GroupOption = "",
    window: WindowOption = None,
    step: StepOption = None,
    time_column: TimeOption = "",
    resize: ResizeOption = None,
    effort: EffortOption = "normal",
    minutes: Annotated[
        float | None, option("--minutes", "Minutes it may take here, in place of --effort; turned into --work.", SEARCH)
    ] = None,
    work: Annotated[
        float | None, option("--work", "Multiply-accumulates of training it may take: 1.2e12.", SEARCH)
    ] = None,
    seed: SeedOption = 0,
    copies: CopiesOption = None,
    split_seed: SplitOption = 0,
    out: Annotated[Path | None, option("--out", "The folder to write; default: runs/DATA-FLOOR.", RUN)] = None,
    samples: Annotated[
        bool,
        typer.Option("--samples/--no-samples", help="Keep test samples in the report, or none.", rich_help_panel=RUN),
    ] = True,
    store: StoreOption = None,
    workers: WorkersOption = None,
    cluster: ClusterOption = None,
    engine: EngineOption = "auto",
) -> None:
    """Find the smallest network that holds an accuracy floor, or the most accurate within limits.

    Give an accuracy (--floor or --within), limits, or both. Writes
    report.html, frontier.png, trials.csv, winner.smidgen and, in full
    precision, winner.safetensors and teacher.safetensors. Run the same
    line again and nothing is trained twice; stop it, and it continues
    where it was.
    """
    from smidgen import api

    with bars() as reporter:
        result = api.shrink(
            data, floor, within=within, bytes=bytes, params=params, macs=macs, ram=ram, flash=flash,
            instructions=instructions, form=form, rule=rule, balanced=balanced,
            class_floor=class_floor, teacher=teacher, weights=weights, teacher_logits=teacher_logits,
            teacher_input=teacher_input, label=label, drop=drop, classes=classes, layout=layout,
            group_column=group_column, window=window, step=step, time_column=time_column, resize=resize, effort=effort,
            minutes=minutes, work=work, seed=seed, copies=copies, split_seed=split_seed, out=out or True,
            samples=samples, store=store, workers=workers, cluster=cluster, engine=engine, reporter=reporter,
            command=command_line(),
        )  # fmt: skip
    emit(result, print_result, json_forms.shrunk)


def print_result(result: Answer) -> None:
    """Print the network, its scores, and what it was found with."""
    screen = console()
    screen.print(f"\n{result.headline}", style="bold")
    screen.print(f"{result.winner.spec}")
    screen.print(_scores(result))
    if result.goal.balanced:
        screen.print("The floor is for balanced accuracy, the mean over the classes; the table counts examples.")
    teacher, file = result.teacher, result.file
    for note in teacher.notes if teacher else ():
        screen.print(f"- {note}")
    for note in result.notes:
        screen.print(f"- {note}", markup=False)
    if result.fresh_seeds:
        screen.print(_fresh_seeds(result))
    if turn := result.turning_point:
        screen.print(
            f"Turning point, the last size before accuracy breaks down: {turn.parameters:,} parameters "
            f"({turn.low:,} to {turn.high:,})."
        )
    if file:
        screen.print(f"Fewest parameters: {result.outcome.parameters:,}, winner.safetensors.")
        screen.print(f"{result.shortest_file[:1].upper()}{result.shortest_file[1:]}, winner.smidgen.")
    print_device(result)
    if teacher and teacher.parameters and result.learned_from_teacher:
        screen.print(_against_teacher(result, teacher.parameters))
    screen.print(
        f"{counted(result.trained, 'training')}, {result.remembered} remembered, {result.seconds:.1f} s; "
        f"engine {result.winner.engine_name}."
    )
    if not can_draw():
        screen.print(NO_PICTURES)
    screen.print(f"report {result.written_to}/report.html", soft_wrap=True)


def print_device(result: Answer) -> None:
    """Print what the answer's C program takes, and each limit that it exceeds."""
    screen, device = console(), result.device
    if device is None:
        return screen.print("The answer has no C program: a layer or a level does not fit.")
    time = f" Here: {device.nanoseconds / 1000:,.1f} µs." if device.nanoseconds else ""
    of = ", the network of the shortest file" if result.has_another_network_in_file else ""
    screen.print(
        f"As C of the form {device.form}{of}: {device.flash_bytes:,} bytes of flash on a Cortex-M0+ "
        f"({device.flash_text}), {device.ram_bytes:,} of RAM without an input and the stack. "
        f"Estimated instructions: {device.instructions_text}.{time}"
    )
    for sentence in (*device.notes, *device.exceeded(result.goal.limits)):
        screen.print(sentence, markup=False)


def _scores(result: ShrinkResult) -> Table:
    rows = table("", ">parameters", ">right", ">of", ">rate", "95 % interval")
    outcome, teacher, file = result.outcome, result.teacher, result.file
    score_row(rows, "chosen on", outcome.parameters, outcome.selection)
    score_row(rows, "confirmed on", outcome.parameters, outcome.confirmation)
    score_row(rows, "test, once", outcome.parameters, result.test)
    if file:
        name = "fewest bytes (another network), test" if result.has_another_network_in_file else "its file, test"
        score_row(rows, name, file.winner.outcome.parameters, file.test)
    if teacher and result.teacher_test:
        score_row(rows, "its teacher, test", teacher.parameters, result.teacher_test)
    return rows


def _fresh_seeds(result: ShrinkResult) -> str:
    """How many fresh seeds hold the floor, and which."""
    each = [
        f"{100 * fresh.outcome.validation.rate:.2f} %{'' if holds else ' (below)'}"
        for fresh, holds in zip(result.fresh_seeds, result.fresh_seeds_hold, strict=True)
    ]
    met, seeds = result.fresh_seeds_met, len(each)
    begin = " (each begins with what its larger network left)" if result.comes_from_larger else ""
    return f"{met} of {seeds} fresh seeds hold the floor on all validation examples{begin}: {', '.join(each)}."


def _against_teacher(result: ShrinkResult, parameters: int) -> str:
    """Compare the winner with its teacher in parameters and bytes."""
    text = f"1/{parameters / result.outcome.parameters:,.0f} of its teacher's parameters"
    if result.file:
        text += f", 1/{4 * parameters / result.file.winner.file_bytes:,.0f} of its bytes (4 for each parameter)"
    return f"{text}."
